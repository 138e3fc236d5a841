//! What one commit changes: all that the store, the mempool, the wallet and the web learn from.

use std::sync::Arc;

use crate::block::{Block, Header};
use crate::coins::{Coin, Undo};
use crate::hash::BlockHash;
use crate::journal::Reorg;
use crate::reject::Reject;
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
#[derive(Debug, Clone)]
pub struct ConnectedBlock {
    /// The block.
    pub block: Arc<Block>,
    /// Its id.
    pub hash: BlockHash,
    /// Its height.
    pub height: u32,
    /// What it spent.
    pub undo: Arc<Undo>,
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
    /// An outpoint can be in `spent` and in `created`: a reorganisation may make the same coin at another height.
    /// So a store applies `spent` first.
    pub created: Vec<(OutPoint, Coin)>,
    /// Coins that existed before and do not now, in the order of outpoints.
    pub spent: Vec<OutPoint>,
    /// The active tip after the change, when it moved.
    pub tip: Option<BlockHash>,
    /// The journal's entry, when blocks were disconnected.
    pub reorg: Option<Arc<Reorg>>,
}
