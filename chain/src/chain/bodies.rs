//! Bodies in memory: those that wait for a commit or for their turn, and those whose time has not come.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::block::Block;
use crate::hash::BlockHash;
use crate::overlay::FoldMap;
use crate::params::Params;
use crate::rules::CheckedBlock;
use crate::time::Time;

/// The most blocks that are kept for being too early.
const MAX_EARLY_BLOCKS: usize = 64;
/// The most bytes of them.
const MAX_EARLY_BYTES: usize = 16_000_000;

/// Checked bodies that are not connected.
pub(super) struct Bodies {
    waiting: FoldMap<BlockHash, CheckedBlock>,
    /// Their order of arrival, for those that the store does not have yet.
    unstored: Vec<BlockHash>,
    bytes: usize,
    limit: usize,
}

impl Bodies {
    pub(super) fn new(limit: usize) -> Self {
        Self { waiting: FoldMap::default(), unstored: Vec::new(), bytes: 0, limit }
    }

    /// A new body, which the next commit stores.
    pub(super) fn add(&mut self, checked: CheckedBlock) {
        self.unstored.push(checked.hash());
        self.bytes += checked.block().size();
        self.waiting.insert(checked.hash(), checked);
    }

    pub(super) fn get(&self, hash: &BlockHash) -> Option<&CheckedBlock> {
        self.waiting.get(hash)
    }

    /// What the store does not have.
    pub(super) fn unstored(&self) -> Vec<(BlockHash, Arc<Block>)> {
        let body = |hash: &BlockHash| {
            let checked = self.waiting.get(hash).expect("kept until it is stored");
            (*hash, Arc::clone(checked.block()))
        };
        self.unstored.iter().map(body).collect()
    }

    /// The store has everything now. Bodies that take too much memory can be read from there.
    pub(super) fn stored(&mut self) {
        self.unstored.clear();
        if self.bytes > self.limit {
            self.waiting = FoldMap::default();
            self.bytes = 0;
        }
    }

    /// The block is connected: it has had its turn.
    pub(super) fn remove(&mut self, hash: &BlockHash) -> Option<CheckedBlock> {
        let checked = self.waiting.remove(hash)?;
        self.bytes -= checked.block().size();
        Some(checked)
    }
}

/// Blocks that follow every rule but the one about the clock.
#[derive(Default)]
pub(super) struct EarlyBlocks {
    /// By the second in which they may come in.
    blocks: BTreeMap<(u64, BlockHash), CheckedBlock>,
    bytes: usize,
}

impl EarlyBlocks {
    /// Keeps a block until its time; when there are too many, those that are furthest ahead go.
    pub(super) fn keep(&mut self, checked: CheckedBlock, params: &Params) {
        let ready = u64::from(checked.block().header.time).saturating_sub(params.max_future_secs);
        let size = checked.block().size();
        if self.blocks.insert((ready, checked.hash()), checked).is_none() {
            self.bytes += size;
        }
        while self.blocks.len() > MAX_EARLY_BLOCKS || self.bytes > MAX_EARLY_BYTES {
            let (_, dropped) = self.blocks.pop_last().expect("there are too many");
            self.bytes -= dropped.block().size();
        }
    }

    pub(super) fn next(&self) -> Option<Time> {
        self.blocks.keys().next().map(|(ready, _)| Time::from_secs(*ready))
    }

    /// The first block whose time has come.
    pub(super) fn take(&mut self, now: Time) -> Option<CheckedBlock> {
        self.next().filter(|ready| *ready <= now)?;
        let (_, checked) = self.blocks.pop_first()?;
        self.bytes -= checked.block().size();
        Some(checked)
    }
}
