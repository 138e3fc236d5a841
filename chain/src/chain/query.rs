//! What others may ask of the chain. Nothing here changes anything.

use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::Chain;
use crate::amount::Amount;
use crate::block::{Block, Header};
use crate::codec::Encode;
use crate::coin_stats::CoinStats;
use crate::coins::{Coin, Undo};
use crate::hash::{BlockHash, Txid};
use crate::store::StoreError;
use crate::transaction::OutPoint;
use crate::tree::{BlockEntry, Index};

/// How many hashes of a locator follow each other without a gap (Core: `LocatorEntries`).
const LOCATOR_DENSE: u32 = 10;

/// What is known of a branch's last block (Core: `getchaintips`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ChainTipStatus {
    /// The active tip.
    Active,
    /// Was connected once, and left for a better one.
    ValidFork,
    /// All bodies are there, and were never connected.
    ValidHeaders,
    /// Bodies are missing.
    HeadersOnly,
    /// It or an ancestor breaks a rule, or an operator said so.
    Invalid,
}

/// The last block of a branch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChainTip {
    /// Its id.
    pub hash: BlockHash,
    /// Its height.
    pub height: u32,
    /// Blocks since it left the active chain; 0 for the active tip.
    pub branch_length: u32,
    /// What is known of it.
    pub status: ChainTipStatus,
}

/// All coins, in sum (Core: `gettxoutsetinfo`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CoinSet {
    /// How many there are.
    pub coins: u64,
    /// How many transactions have at least one.
    pub transactions: u64,
    /// What they are worth together.
    pub total: Amount,
    /// SHA-256 over every coin's outpoint (36 bytes) and encoding (44 bytes), in the order of outpoints.
    pub hash: [u8; 32],
}

impl Chain {
    /// The active block at `height`.
    #[must_use]
    pub fn active_hash(&self, height: u32) -> Option<BlockHash> {
        self.active_entry(height).map(|entry| entry.hash)
    }

    /// The active block at `height`, with all that the tree knows of it.
    #[must_use]
    pub fn active_entry(&self, height: u32) -> Option<&BlockEntry> {
        self.active.get(height as usize).map(|&index| self.tree.at(index))
    }

    /// Whether the block is part of the active chain.
    #[must_use]
    pub fn is_active(&self, hash: &BlockHash) -> bool {
        self.tree.get(hash).is_some_and(|entry| self.active_hash(entry.height) == Some(*hash))
    }

    /// The median time past of the tip: what the next block's time must be greater than.
    #[must_use]
    pub fn median_time_past(&self) -> u32 {
        self.tip().median_time_past
    }

    /// Whether the block's body is there.
    #[must_use]
    pub fn has_body(&self, hash: &BlockHash) -> bool {
        self.tree.get(hash).is_some_and(|entry| entry.body)
    }

    /// The block's body, if it is there.
    ///
    /// # Errors
    /// When the store fails.
    pub fn block(&self, hash: &BlockHash) -> Result<Option<Arc<Block>>, StoreError> {
        if *hash == self.tree.at(Index::GENESIS).hash {
            return Ok(Some(Arc::clone(&self.genesis)));
        }
        match self.bodies.get(hash) {
            Some(checked) => Ok(Some(Arc::clone(checked.block()))),
            None => self.reader.block(hash),
        }
    }

    /// What the block spent, if it was ever connected.
    ///
    /// # Errors
    /// When the store fails.
    pub fn undo(&self, hash: &BlockHash) -> Result<Option<Undo>, StoreError> {
        self.reader.undo(hash)
    }

    /// The coin at `outpoint`, if it is unspent at the tip.
    ///
    /// # Errors
    /// When the store fails.
    pub fn coin(&self, outpoint: &OutPoint) -> Result<Option<Coin>, StoreError> {
        self.store.coin(outpoint)
    }

    /// Hashes of the chain that ends with `from`, from there back, ever further apart, the genesis last
    /// (Core: `LocatorEntries`). Of the tip when `from` is not known.
    #[must_use]
    pub fn locator(&self, from: &BlockHash) -> Vec<BlockHash> {
        let from = self.tree.index_of(from).unwrap_or_else(|| self.tip_index());
        let mut locator = Vec::new();
        let mut height = self.tree.at(from).height;
        let mut step = 1;
        loop {
            let ancestor = self.tree.ancestor_of(from, height).expect("not higher than the block itself");
            locator.push(self.tree.at(ancestor).hash);
            if height == 0 {
                return locator;
            }
            height = height.saturating_sub(step);
            if locator.len() > LOCATOR_DENSE as usize {
                step *= 2;
            }
        }
    }

    /// At most `max` headers of the active chain, after the first hash of `locator` that is on it, else after the
    /// genesis.
    #[must_use]
    pub fn headers_after(&self, locator: &[BlockHash], max: usize) -> Vec<Header> {
        let start = locator.iter().find(|hash| self.is_active(hash)).and_then(|hash| self.tree.get(hash));
        let start = start.map_or(0, |entry| entry.height as usize);
        let headers = self.active.iter().skip(start + 1).take(max);
        headers.map(|&index| self.tree.at(index).header).collect()
    }

    /// At most `max` blocks of the best header chain whose bodies are missing, lowest first, none of them more than
    /// `window` above where that chain leaves the active one.
    #[must_use]
    pub fn next_wanted(&self, max: usize, window: u32) -> Vec<BlockHash> {
        self.missing_below(self.tree.best_header(), max, window)
    }

    /// The same for the chain that ends in `tip`: nothing unless it has more work than ours and is not known to be
    /// invalid.
    #[must_use]
    pub fn next_wanted_of(&self, tip: &BlockHash, max: usize, window: u32) -> Vec<BlockHash> {
        let valid = self.tree.index_of(tip).filter(|index| self.tree.at(*index).invalid.is_none());
        valid.map_or_else(Vec::new, |index| self.missing_below(index, max, window))
    }

    fn missing_below(&self, best: Index, max: usize, window: u32) -> Vec<BlockHash> {
        let entry = self.tree.at(best);
        if entry.connectable || entry.work <= self.tip().work && !self.tip_is_invalid() {
            return Vec::new();
        }
        let fork = self.tree.at(self.tree.fork_of(self.tip_index(), best)).height;
        let last = entry.height.min(fork.saturating_add(window));
        let mut wanted = Vec::new();
        let mut walk = self.tree.ancestor_of(best, last).filter(|_| last > fork);
        while let Some(index) = walk {
            let entry = self.tree.at(index);
            if entry.connectable || entry.height <= fork {
                break; // so is everything below
            }
            if !entry.body {
                wanted.push(entry.hash);
            }
            walk = self.tree.parent_of(index);
        }
        wanted.reverse();
        wanted.truncate(max);
        wanted
    }

    fn tip_is_invalid(&self) -> bool {
        self.tip().invalid.is_some()
    }

    /// The last block of every branch, the highest first (Core: `getchaintips`). Exactly one is active.
    #[must_use]
    pub fn chain_tips(&self) -> Vec<ChainTip> {
        let active = self.tip();
        let others = self.tree.tips().filter(|entry| !self.is_active(&entry.hash));
        let mut tips: Vec<_> = others.chain([active]).map(|entry| self.chain_tip(entry)).collect();
        tips.sort_unstable_by_key(|tip| (std::cmp::Reverse(tip.height), tip.hash));
        tips
    }

    fn chain_tip(&self, entry: &BlockEntry) -> ChainTip {
        let fork = self.tree.fork_point(&entry.hash, &self.tip().hash).expect("both are in the tree");
        let status = if self.is_active(&entry.hash) {
            ChainTipStatus::Active
        } else if entry.invalid.is_some() {
            ChainTipStatus::Invalid
        } else if !entry.connectable {
            ChainTipStatus::HeadersOnly
        } else if entry.connected_once {
            ChainTipStatus::ValidFork
        } else {
            ChainTipStatus::ValidHeaders
        };
        ChainTip { hash: entry.hash, height: entry.height, branch_length: entry.height - fork.height, status }
    }

    /// Calls `visit` with every coin, in the order of outpoints.
    ///
    /// # Errors
    /// When the store fails.
    pub fn for_each_coin(&self, visit: &mut dyn FnMut(&OutPoint, &Coin)) -> Result<(), StoreError> {
        self.store.for_each_coin(visit)
    }

    /// Counts, sums and hashes all coins. Reads every one of them: seconds on a long chain.
    ///
    /// # Errors
    /// When the store fails.
    pub fn coin_set(&self) -> Result<CoinSet, StoreError> {
        let mut set = CoinSet { coins: 0, transactions: 0, total: Amount::ZERO, hash: [0; 32] };
        let mut hash = Sha256::new();
        let mut bytes = Vec::with_capacity(80);
        let mut last: Option<Txid> = None;
        self.store.for_each_coin(&mut |outpoint, coin| {
            set.coins += 1;
            set.transactions += u64::from(last.replace(outpoint.txid) != Some(outpoint.txid));
            set.total.0 += coin.output.value.0;
            bytes.clear();
            outpoint.encode(&mut bytes);
            coin.encode(&mut bytes);
            hash.update(&bytes);
        })?;
        set.hash = hash.finalize().into();
        Ok(set)
    }

    /// What all coins amount to, as kept while blocks connect: nothing is read.
    ///
    /// # Errors
    /// When the store fails.
    pub fn coin_stats(&self) -> Result<CoinStats, StoreError> {
        self.store.coin_stats()
    }

    /// [`CoinSet::hash`]: equal exactly when all coins are equal.
    ///
    /// # Errors
    /// When the store fails.
    pub fn coin_set_hash(&self) -> Result<[u8; 32], StoreError> {
        Ok(self.coin_set()?.hash)
    }
}
