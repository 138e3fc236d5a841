//! What one commit changes: all that the store, the mempool, the wallet and the web learn from.

use std::sync::Arc;

use crate::block::{Block, Header};
use crate::coins::{Coin, Undo};
use crate::hash::BlockHash;
use crate::journal::Reorg;
use crate::reject::Reject;
use crate::store::{BlockReader, StoreError};
use crate::time::Time;
use crate::transaction::OutPoint;

/// Why the tree will never build on a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Invalidity {
    /// It broke this rule.
    Rule(Reject),
    /// An ancestor of it did.
    Ancestor,
    /// An operator said so (`invalidateblock`); `reconsiderblock` takes it back.
    Manual,
}

/// A header as the store keeps it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeaderRecord {
    /// The 80 bytes.
    pub header: Header,
    /// Its id.
    pub hash: BlockHash,
    /// Its distance from the genesis.
    pub height: u32,
    /// Its place in the order in which blocks were first seen, from 0: the earlier of two equals is the tip.
    /// It changes when the last missing body of its chain arrives; then the record is in a change again.
    pub sequence: u64,
    /// When it was first seen.
    pub seen: Time,
    /// Why it is not valid, if it is not.
    pub invalid: Option<Invalidity>,
}

/// A block that became part of the active chain, or ceased to be.
///
/// Its body and undo data are held in memory, unless a change has too many of them: then they are read when they are
/// asked for.
#[derive(Clone)]
pub struct ConnectedBlock {
    /// Its header.
    pub header: Header,
    /// Its id.
    pub hash: BlockHash,
    /// Its height.
    pub height: u32,
    /// How many transactions it has, the coinbase among them.
    pub transactions: u32,
    content: Content,
}

#[derive(Clone)]
enum Content {
    Held(Arc<Block>, Arc<Undo>),
    Stored(Arc<dyn BlockReader>),
}

impl ConnectedBlock {
    /// A block that is held in memory, with what it spent.
    ///
    /// # Panics
    /// When the block has more than 2^32 transactions.
    #[must_use]
    pub fn new(block: Arc<Block>, hash: BlockHash, height: u32, undo: Arc<Undo>) -> Self {
        let transactions =
            u32::try_from(block.transactions.len()).expect("a block is at most 4,000,000 bytes");
        Self { header: block.header, hash, height, transactions, content: Content::Held(block, undo) }
    }

    /// The block.
    ///
    /// # Errors
    /// When it must be read, and that fails.
    pub fn block(&self) -> Result<Arc<Block>, StoreError> {
        match &self.content {
            Content::Held(block, _) => Ok(Arc::clone(block)),
            Content::Stored(reader) => reader.block(&self.hash)?.ok_or_else(|| self.missing("body")),
        }
    }

    /// What it spent.
    ///
    /// # Errors
    /// When it must be read, and that fails.
    pub fn undo(&self) -> Result<Arc<Undo>, StoreError> {
        match &self.content {
            Content::Held(_, undo) => Ok(Arc::clone(undo)),
            Content::Stored(reader) => {
                reader.undo(&self.hash)?.map(Arc::new).ok_or_else(|| self.missing("undo data"))
            }
        }
    }

    /// Body and undo data, when they are in memory.
    #[must_use]
    pub fn held(&self) -> Option<(&Arc<Block>, &Arc<Undo>)> {
        match &self.content {
            Content::Held(block, undo) => Some((block, undo)),
            Content::Stored(_) => None,
        }
    }

    /// Lets go of body and undo data: `reader` has them, at the latest when the change is committed.
    pub(crate) fn release(&mut self, reader: &Arc<dyn BlockReader>) {
        self.content = Content::Stored(Arc::clone(reader));
    }

    fn missing(&self, what: &str) -> StoreError {
        StoreError::Corrupt { what: format!("the {what} of block {}", self.hash) }
    }
}

impl std::fmt::Debug for ConnectedBlock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ConnectedBlock")
            .field("hash", &self.hash)
            .field("height", &self.height)
            .field("held", &self.held().is_some())
            .finish_non_exhaustive()
    }
}

/// One commit: everything in it becomes visible and durable together.
#[derive(Debug, Clone, Default)]
pub struct Change {
    /// Headers that are new, or whose validity or sequence changed; parents before children.
    pub headers: Vec<HeaderRecord>,
    /// Bodies that are new, whether or not they are connected, in the order of arrival.
    pub stored: Vec<(BlockHash, Arc<Block>)>,
    /// Blocks taken off the active chain, from the old tip down.
    pub disconnected: Vec<ConnectedBlock>,
    /// Blocks put on the active chain, from the fork up.
    pub connected: Vec<ConnectedBlock>,
    /// Coins that exist now and did not before, net of what the same change spent, in the order of outpoints.
    ///
    /// An outpoint is in `spent` and in `created` when a reorganisation makes the same coin at another height.
    /// So a store applies `spent` first.
    pub created: Vec<(OutPoint, Coin)>,
    /// Coins that existed before and do not now, in the order of outpoints.
    pub spent: Vec<(OutPoint, Coin)>,
    /// Whether the coins that changed are not listed here, but were all handed over by [`crate::store::Store::spill`].
    pub spilled: bool,
    /// The active tip after the change, when it moved.
    pub tip: Option<BlockHash>,
    /// The journal's entry, when blocks were disconnected.
    pub reorg: Option<Arc<Reorg>>,
}
