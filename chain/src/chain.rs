//! The chain: the block tree, the coins at its tip, and the way from one tip to a better one.
//!
//! A block comes in through [`Chain::insert_block`], which judges what can be judged without coins and changes nothing
//! that others see. [`Chain::activate`] then moves to the best branch whose bodies are all there: it builds one overlay
//! over everything that must be disconnected and connected, and commits once. An invalid block halfway drops the
//! overlay, is marked with its descendants, and the next-best branch is tried; there is no rollback code. Each commit is
//! one [`Change`], from which everybody else learns.
//!
//! Not here: who sent a block and what that costs them (`node`), and how anything is kept (`store`).

use std::sync::Arc;

use crate::block::Block;
use crate::change::Change;
use crate::hash::BlockHash;
use crate::journal::Reorg;
use crate::params::Params;
use crate::reject::Reject;
use crate::shared::Shared;
use crate::signature::Parallel;
use crate::store::{BlockReader, Loaded, Store, StoreError};
use crate::tree::{BlockEntry, BlockTree, Index};

mod accept;
mod activate;
mod ahead;
mod bodies;
mod connect;
mod fate;
mod manual;
mod query;
mod side_branches;
mod signature_cache;
mod switch;
mod verify;

pub use fate::MAX_FATES;
pub use manual::ManualError;

pub use query::{ChainTip, ChainTipStatus, CoinSet};
pub use side_branches::{LOW_WORK_BLOCKS, MAX_SIDE_BRANCHES};
pub use switch::SwitchSize;

use ahead::Ahead;
use bodies::{Bodies, EarlyBlocks};
use signature_cache::SignatureCache;
use switch::Switch;

/// What a caller may choose.
#[derive(Debug, Clone, Copy)]
pub struct ChainOptions {
    /// Where signatures are verified: the verdict is the same.
    pub parallel: Parallel,
    /// How many transactions are remembered to have good witnesses.
    pub signature_cache_entries: usize,
    /// Bytes of blocks that wait for their turn in memory; over it they are read from the store again.
    pub waiting_bytes: usize,
    /// Bytes of blocks on the way to a better tip that are held in memory; over it they are read from the store again.
    pub switch_bytes: usize,
    /// Bytes of coins, about, that a reorganisation holds in memory; over it they are spilled to the store's scratch.
    pub overlay_bytes: usize,
}

impl Default for ChainOptions {
    fn default() -> Self {
        Self {
            parallel: Parallel::AllCores,
            signature_cache_entries: 100_000,
            waiting_bytes: 64 << 20,
            switch_bytes: 128 << 20,
            overlay_bytes: 128 << 20,
        }
    }
}

/// Whether a header was news.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeaderOutcome {
    /// It is in the tree now.
    New,
    /// It was there.
    Known,
}

/// Whether a block was news.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Inserted {
    /// Its body is there now; [`Chain::activate`] may connect it.
    New,
    /// Its body was there.
    Duplicate,
}

/// What one call of [`Chain::activate`] did.
#[derive(Debug, Default)]
pub struct Progress {
    /// What was committed, if anything was.
    pub change: Option<Arc<Change>>,
    /// Blocks that turned out to break a rule, in the order in which they were found.
    pub invalid: Vec<(BlockHash, Reject)>,
    /// Whether there is more to do: call again.
    pub more: bool,
    /// Whether that should be in a moment: [`Patience::ComesBack`] was asked for, and the next verdict is on its way.
    pub soon: bool,
}

/// What [`Chain::activate_with`] does when the next block's witnesses are being judged on other cores.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Patience {
    /// It waits for the verdict.
    Waits,
    /// It comes back, so that more blocks can be taken in meanwhile, unless many wait already.
    ComesBack,
}

/// The block tree and its store.
pub struct Chain {
    params: Params,
    options: ChainOptions,
    genesis: Arc<Block>,
    shared: Option<Arc<Shared>>,
    store: Box<dyn Store>,
    reader: Arc<dyn BlockReader>,
    tree: BlockTree,
    /// The active chain by height.
    active: Vec<Index>,
    journal: Vec<Arc<Reorg>>,
    bodies: Bodies,
    early: EarlyBlocks,
    /// A move to a better branch that is not finished.
    switch: Option<Switch>,
    signatures: SignatureCache,
    /// Witnesses that are judged before their block has its turn.
    ahead: Ahead,
}

impl Chain {
    /// Opens the chain that `store` has, or begins one at the genesis.
    ///
    /// # Errors
    /// When the store fails, or what it has is no chain.
    pub fn open(params: Params, store: Box<dyn Store>, options: ChainOptions) -> Result<Self, StoreError> {
        Self::open_sharing(params, store, options, None)
    }

    /// [`Chain::open`], with what other chains of the process that follow the same rules have worked out.
    ///
    /// # Errors
    /// When the store fails, or what it has is no chain.
    pub fn open_sharing(
        params: Params,
        mut store: Box<dyn Store>,
        options: ChainOptions,
        shared: Option<Arc<Shared>>,
    ) -> Result<Self, StoreError> {
        let loaded = store.load()?;
        let mut tree = BlockTree::sharing(&params, shared.clone());
        restore_tree(&mut tree, &loaded)?;
        let tip = match &loaded.tip {
            Some(hash) => {
                let tip = tree.index_of(hash).ok_or_else(|| corrupt("the tip has no header"))?;
                if !tree.at(tip).connectable {
                    return Err(corrupt("a body of the active chain is missing"));
                }
                tip
            }
            None => Index::GENESIS,
        };
        let mut active: Vec<_> = std::iter::successors(Some(tip), |&index| tree.parent_of(index)).collect();
        active.reverse();
        active.iter().for_each(|&index| tree.set_connected(index));
        Ok(Self {
            genesis: match &shared {
                Some(shared) => shared.genesis(&params),
                None => params.genesis_block(),
            },
            shared,
            reader: store.reader(),
            bodies: Bodies::new(options.waiting_bytes),
            early: EarlyBlocks::default(),
            signatures: SignatureCache::new(options.signature_cache_entries),
            ahead: Ahead::default(),
            switch: None,
            journal: loaded.journal,
            params,
            options,
            store,
            tree,
            active,
        })
    }

    /// The constants of the network.
    #[must_use]
    pub fn params(&self) -> &Params {
        &self.params
    }

    /// Every known header.
    #[must_use]
    pub fn tree(&self) -> &BlockTree {
        &self.tree
    }

    /// The last block of the active chain.
    #[must_use]
    pub fn tip(&self) -> &BlockEntry {
        self.tree.at(self.tip_index())
    }

    /// The valid header with the most work behind it; its body may be missing.
    #[must_use]
    pub fn best_header(&self) -> &BlockEntry {
        self.tree.at(self.tree.best_header())
    }

    /// Every reorganisation so far, in order.
    #[must_use]
    pub fn journal(&self) -> &[Arc<Reorg>] {
        &self.journal
    }

    /// A handle for committed bodies, to be shared between threads.
    #[must_use]
    pub fn reader(&self) -> Arc<dyn BlockReader> {
        Arc::clone(&self.reader)
    }

    /// Writes out what a restart would otherwise replay. Called at a clean stop.
    ///
    /// # Errors
    /// When the store fails.
    pub fn flush(&mut self) -> Result<(), StoreError> {
        self.commit(None, crate::time::Time::default())?;
        self.store.flush()
    }

    fn tip_index(&self) -> Index {
        *self.active.last().expect("the genesis is always active")
    }
}

/// Puts what the store kept back into the tree.
fn restore_tree(tree: &mut BlockTree, loaded: &Loaded) -> Result<(), StoreError> {
    for record in &loaded.headers {
        let parent = tree.index_of(&record.header.prev_block);
        let parent = parent.ok_or_else(|| corrupt("a header comes before its parent"))?;
        tree.restore(record, parent);
    }
    for hash in &loaded.bodies {
        let index = tree.index_of(hash).ok_or_else(|| corrupt("a body has no header"))?;
        tree.restore_body(index);
    }
    tree.restored();
    // what was disconnected had been connected
    for block in loaded.journal.iter().flat_map(|reorg| &reorg.disconnected) {
        if let Some(index) = tree.index_of(&block.hash) {
            tree.set_connected(index);
        }
    }
    Ok(())
}

fn corrupt(what: &str) -> StoreError {
    StoreError::Corrupt { what: format!("the block index ({what})") }
}
