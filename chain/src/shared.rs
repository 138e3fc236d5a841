//! What chains of one process know alike: facts that depend on nothing but a block and its ancestors.
//!
//! A laboratory runs thousands of chains side by side. What a header's hash determines (its height, its work, its median
//! time) and the verdict on a body by itself are worked out by whichever chain comes first and are there for all others.
//! What depends on a chain's own state, above all on its coins, is never here: each chain judges that for itself.
//! A program with one chain has no use for it.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use crate::block::{Block, Header};
use crate::hash::BlockHash;
use crate::overlay::FoldMap;
use crate::params::Params;
use crate::pow::Work;
use crate::rules::CheckedBlock;

/// What the hash of a header determines, because it commits to all ancestors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockFacts {
    /// The 80 bytes.
    pub header: Header,
    /// Its id.
    pub hash: BlockHash,
    /// Its distance from the genesis.
    pub height: u32,
    /// Expected hashes of the whole chain up to it.
    pub work: Work,
    /// The median of its own time and those of its ten ancestors, in seconds (Core: `GetMedianTimePast`).
    pub median_time_past: u32,
}

/// Facts and verdicts of all chains that follow the same rules. Grows with the blocks that any of them has seen.
#[derive(Debug, Default)]
pub struct Shared {
    genesis: OnceLock<Arc<Block>>,
    facts: Mutex<FoldMap<BlockHash, Arc<BlockFacts>>>,
    checked: Mutex<FoldMap<BlockHash, CheckedBlock>>,
}

impl Shared {
    /// Nothing is known yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    pub(crate) fn genesis(&self, params: &Params) -> Arc<Block> {
        Arc::clone(self.genesis.get_or_init(|| params.genesis_block()))
    }

    /// The facts of `hash`, worked out by `work_out` if they are not known.
    pub(crate) fn facts(&self, hash: BlockHash, work_out: impl FnOnce() -> BlockFacts) -> Arc<BlockFacts> {
        Arc::clone(lock(&self.facts).entry(hash).or_insert_with(|| Arc::new(work_out())))
    }

    /// The verdict on `block`, if it is known of this very body.
    ///
    /// Two bodies can have one header (CVE-2012-2459), so the verdict holds only for the same transactions in memory,
    /// which in one process are shared by all who have them.
    pub(crate) fn checked(&self, hash: &BlockHash, block: &Arc<Block>) -> Option<CheckedBlock> {
        let known = lock(&self.checked).get(hash).cloned()?;
        is_same(known.block(), block).then_some(known)
    }

    pub(crate) fn learn(&self, checked: &CheckedBlock) {
        lock(&self.checked).insert(checked.hash(), checked.clone());
    }
}

/// Whether the two have the same header and share their transactions.
fn is_same(a: &Arc<Block>, b: &Arc<Block>) -> bool {
    let same = || a.transactions.iter().zip(&b.transactions).all(|(a, b)| Arc::ptr_eq(a, b));
    Arc::ptr_eq(a, b) || (a.header == b.header && a.transactions.len() == b.transactions.len() && same())
}

/// A mutex is poisoned by a panic in between, which leaves these maps as they were.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
