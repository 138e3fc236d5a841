//! What a node publishes after each step: an immutable picture, read by RPC, REST, web, miner and command line
//! without asking the node's thread.
//!
//! A picture is cheap to make: what did not change is shared with the one before (headers in shards, the active chain
//! in chunks, the mempool in persistent maps). Bodies are not in it; they are read through [`tine_chain::store::BlockReader`].

use std::collections::HashMap;
use std::sync::Arc;

use tine_chain::block::Header;
use tine_chain::chain::ChainTipStatus;
use tine_chain::change::Invalidity;
use tine_chain::hash::{BlockHash, Txid};
use tine_chain::journal::Reorg;
use tine_chain::params::Network;
use tine_chain::pow::Work;
use tine_chain::time::Time;
use tine_chain::transaction::OutPoint;
use tine_node::event::{PeerId, PeerInfo};
use tine_node::mempool::Mempool;

/// How many of the last reorganisations a picture holds.
pub const RECENT_REORGS: usize = 100;

/// How many of the last conflicts a picture holds.
pub const RECENT_CONFLICTS: usize = 100;

/// How far a block has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BlockStatus {
    /// Only its header is known.
    HeaderOnly,
    /// Its body is here, and it has not been connected so far.
    Stored,
    /// It is or was part of the active chain: every rule has been checked.
    Valid,
    /// It, or an ancestor, is not valid.
    Invalid(Invalidity),
}

/// A block of the tree, as last published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockInfo {
    /// The 80 bytes.
    pub header: Header,
    /// Its id.
    pub hash: BlockHash,
    /// Its distance from the genesis.
    pub height: u32,
    /// Cumulative work, this block's included.
    pub work: Work,
    /// The median time of the 11 blocks that end with this one, seconds since 1970.
    pub median_time_past: u32,
    /// Its place in the order in which blocks were first seen.
    pub sequence: u64,
    /// When it was first seen.
    pub seen: Time,
    /// How far it has come.
    pub status: BlockStatus,
}

/// A leaf of the block tree.
#[derive(Debug, Clone)]
pub struct Tip {
    /// The block.
    pub block: Arc<BlockInfo>,
    /// Blocks between it and the active chain; 0 for the active tip.
    pub branch_length: u32,
    /// What it is.
    pub status: ChainTipStatus,
}

const SHARDS: usize = 256;

type Shard = HashMap<BlockHash, Arc<BlockInfo>>;

/// Every header that the node knows, by id. Cloning shares; a change copies the list of shards, and one shard of 256.
#[derive(Debug, Clone)]
pub struct HeaderIndex {
    shards: Arc<Vec<Arc<Shard>>>,
    len: usize,
}

impl Default for HeaderIndex {
    fn default() -> Self {
        Self { shards: Arc::new(vec![Arc::default(); SHARDS]), len: 0 }
    }
}

impl HeaderIndex {
    /// The block called `hash`.
    #[must_use]
    pub fn get(&self, hash: &BlockHash) -> Option<&Arc<BlockInfo>> {
        self.shards[usize::from(hash.0[0])].get(hash)
    }

    /// How many there are, the genesis among them.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// All of them, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<BlockInfo>> {
        self.shards.iter().flat_map(|shard| shard.values())
    }

    /// Adds or replaces a block.
    pub fn insert(&mut self, block: Arc<BlockInfo>) {
        let shards = Arc::make_mut(&mut self.shards);
        let shard = Arc::make_mut(&mut shards[usize::from(block.hash.0[0])]);
        if shard.insert(block.hash, block).is_none() {
            self.len += 1;
        }
    }
}

const CHUNK: usize = 1_024;

/// The active chain, by height. Cloning shares; a new tip copies the list of chunks, and one chunk of 1,024.
#[derive(Debug, Clone, Default)]
pub struct ActiveChain {
    chunks: Arc<Vec<Arc<Vec<BlockHash>>>>,
}

impl ActiveChain {
    /// The active block at `height`.
    #[must_use]
    pub fn get(&self, height: u32) -> Option<BlockHash> {
        let height = height as usize;
        self.chunks.get(height / CHUNK)?.get(height % CHUNK).copied()
    }

    /// Number of blocks, the genesis included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.chunks.last().map_or(0, |last| (self.chunks.len() - 1) * CHUNK + last.len())
    }

    /// Whether not even the genesis is in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Puts a block on top.
    pub fn push(&mut self, hash: BlockHash) {
        let is_full = self.len().is_multiple_of(CHUNK);
        let chunks = Arc::make_mut(&mut self.chunks);
        if is_full {
            chunks.push(Arc::new(Vec::with_capacity(CHUNK)));
        }
        let last = chunks.last_mut().expect("a chunk was pushed when the last was full");
        Arc::make_mut(last).push(hash);
    }

    /// Keeps the lowest `len` blocks.
    pub fn truncate(&mut self, len: usize) {
        let chunks = Arc::make_mut(&mut self.chunks);
        chunks.truncate(len.div_ceil(CHUNK));
        if !len.is_multiple_of(CHUNK)
            && let Some(last) = chunks.last_mut()
        {
            Arc::make_mut(last).truncate(len % CHUNK);
        }
    }
}

/// Two transactions that wanted the same coin, and which of them the node let go.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Conflict {
    /// When it was found.
    pub time: Time,
    /// What both wanted; for a descendant, what its ancestor wanted.
    pub coin: OutPoint,
    /// The one that stayed, or came.
    pub kept: Txid,
    /// The one that was refused, or went.
    pub gone: Txid,
    /// What decided.
    pub decision: Decision,
}

/// What decides between two transactions that spend the same coin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Decision {
    /// The second did not pay enough to replace the first.
    Refused,
    /// The second pays more.
    Replaced,
    /// A block has one of them.
    Mined,
}

/// A connected peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerView {
    /// Its number.
    pub id: PeerId,
    /// What the transport knows of it.
    pub info: PeerInfo,
    /// When it connected.
    pub connected: Time,
    /// The best header it has shown us.
    pub best_hash: Option<BlockHash>,
    /// That header's height.
    pub best_height: u32,
    /// The height of the first header that it named.
    pub starting_height: Option<u32>,
    /// When it last gave us a block that we did not have.
    pub last_block: Option<Time>,
    /// When it last gave us a transaction that we took.
    pub last_transaction: Option<Time>,
    /// Its score: what it has done wrong so far; it is sent away at 100.
    pub score: u32,
}

/// A picture of a node.
#[derive(Debug, Clone)]
pub struct View {
    /// Pictures are numbered, from 0.
    pub number: u64,
    /// When it was taken.
    pub time: Time,
    /// Which chain.
    pub network: Network,
    /// The active tip.
    pub tip: Arc<BlockInfo>,
    /// The block that the miner builds on: the active tip, unless an adversary wants another.
    pub mining_parent: BlockHash,
    /// The header with most work that is not known to be invalid.
    pub best_header: Arc<BlockInfo>,
    /// Every leaf of the tree, the active tip among them, highest first.
    pub tips: Arc<[Tip]>,
    /// Every header.
    pub headers: HeaderIndex,
    /// The active chain.
    pub active: ActiveChain,
    /// What waits to be mined: shares all that did not change with the node's own. The same as in the picture before if
    /// nothing did.
    pub mempool: Arc<Mempool>,
    /// The last [`RECENT_CONFLICTS`] conflicts, oldest first.
    pub conflicts: Arc<[Conflict]>,
    /// Who is connected, by number.
    pub peers: Arc<[PeerView]>,
    /// Whether the node is catching up.
    pub syncing: bool,
    /// The last [`RECENT_REORGS`] reorganisations, oldest first.
    pub reorgs: Arc<[Arc<Reorg>]>,
}

impl View {
    /// The block called `hash`.
    #[must_use]
    pub fn block(&self, hash: &BlockHash) -> Option<&Arc<BlockInfo>> {
        self.headers.get(hash)
    }

    /// Whether the block called `hash` is part of the active chain.
    #[must_use]
    pub fn is_active(&self, hash: &BlockHash) -> bool {
        self.block(hash).is_some_and(|block| self.active.get(block.height) == Some(*hash))
    }

    /// Core's count of confirmations: 1 for the tip, −1 for a block that is not active, `None` when unknown.
    #[must_use]
    pub fn confirmations(&self, hash: &BlockHash) -> Option<i64> {
        let block = self.block(hash)?;
        Some(if self.active.get(block.height) == Some(*hash) {
            i64::from(self.tip.height) - i64::from(block.height) + 1
        } else {
            -1
        })
    }

    /// The last block that the branch of `hash` has in common with the active chain.
    #[must_use]
    pub fn fork_point(&self, hash: &BlockHash) -> Option<&Arc<BlockInfo>> {
        let mut block = self.block(hash)?;
        while self.active.get(block.height) != Some(block.hash) {
            block = self.block(&block.header.prev_block)?;
        }
        Some(block)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_active_chain_shares_what_did_not_change() {
        let hash = |n: u32| {
            let mut bytes = [0; 32];
            bytes[..4].copy_from_slice(&n.to_le_bytes());
            BlockHash(bytes)
        };
        let mut chain = ActiveChain::default();
        for n in 0..2_500 {
            chain.push(hash(n));
        }
        let before = chain.clone();
        chain.truncate(2_048);
        assert_eq!(chain.len(), 2_048);
        chain.push(hash(9_999));
        chain.truncate(100);
        assert_eq!((chain.len(), chain.get(99), chain.get(100)), (100, Some(hash(99)), None));
        assert_eq!((before.len(), before.get(2_499)), (2_500, Some(hash(2_499))));
        assert!(Arc::ptr_eq(&before.chunks[0], &before.clone().chunks[0]));
    }
}
