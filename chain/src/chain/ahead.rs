//! Witnesses of blocks that wait for their turn, judged on other cores while the coins of those before them move.
//!
//! Whether a block's witnesses are good depends on nothing but its id: the header commits to every transaction with its
//! witnesses, each input to the transaction that made its coin, and so to that coin's amount and lock. What also depends
//! on where the block stands (is the coin there, is it mature, is the lock time over) is judged when its turn comes.
//! Only a good verdict is used: a block with any other is judged again in its turn, so that the rule is named which it
//! breaks first.

use std::sync::Arc;

use super::Chain;
use crate::block::Block;
use crate::coins::Coin;
use crate::hash::{BlockHash, Txid};
use crate::overlay::FoldMap;
use crate::rules::check_witnesses;
use crate::signature::{Background, Parallel, verify_batch};
use crate::store::StoreError;
use crate::transaction::{OutPoint, Transaction, TxOut};
use crate::tree::Index;

/// Bytes of blocks whose witnesses are judged ahead of their turn, at most.
const MAX_AHEAD_BYTES: usize = 8 << 20;

/// A transaction and the coins that it spends.
type Spend = (Arc<Transaction>, Vec<Coin>);

/// What is being judged, and what for.
#[derive(Default)]
pub(super) struct Ahead {
    verdicts: FoldMap<BlockHash, Background<bool>>,
    /// Transactions of these blocks: the coins of later ones.
    transactions: FoldMap<Txid, Arc<Transaction>>,
    /// The last block that was looked at.
    at: Option<Index>,
    bytes: usize,
}

impl Ahead {
    /// Whether the block's witnesses were found good. Waits for a verdict that is on its way.
    pub(super) fn is_good(&self, hash: &BlockHash) -> bool {
        self.verdicts.get(hash).is_some_and(Background::wait)
    }

    /// Whether it is better to take in more blocks than to wait for the verdict about this one.
    pub(super) fn is_pending(&self, hash: &BlockHash) -> bool {
        self.bytes < MAX_AHEAD_BYTES && self.verdicts.get(hash).is_some_and(|verdict| !verdict.is_done())
    }

    /// The block has had its turn: the coins that it left are in the store.
    pub(super) fn remove(&mut self, hash: &BlockHash, block: &Block) {
        self.verdicts.remove(hash);
        if self.transactions.is_empty() {
            return;
        }
        for transaction in &block.transactions {
            if self.transactions.remove(&transaction.txid()).is_some() {
                self.bytes = self.bytes.saturating_sub(transaction.size());
            }
        }
    }

    fn add(&mut self, block: &Block) {
        for transaction in &block.transactions {
            self.bytes += transaction.size();
            self.transactions.insert(transaction.txid(), Arc::clone(transaction));
        }
    }

    fn output(&self, outpoint: &OutPoint) -> Option<TxOut> {
        self.transactions.get(&outpoint.txid)?.outputs.get(outpoint.vout as usize).copied()
    }
}

impl Chain {
    /// Has the witnesses judged of the blocks that are here and will have their turn after the next one.
    ///
    /// # Errors
    /// When the store fails.
    pub(super) fn look_ahead(&mut self) -> Result<(), StoreError> {
        if self.options.parallel == Parallel::Inline {
            return Ok(());
        }
        let (tip, best) = (self.tip_index(), self.tree.best_header());
        let mut at = self.ahead_from(tip, best);
        // the next block alone is judged by all cores at once
        if self.tree.at(best).height <= self.tree.at(tip).height + 1 {
            return Ok(());
        }
        while self.ahead.bytes < MAX_AHEAD_BYTES {
            let Some(next) = self.tree.ancestor_of(best, self.tree.at(at).height + 1) else { break };
            let hash = self.tree.at(next).hash;
            let Some(block) = self.bodies.get(&hash).map(|checked| Arc::clone(checked.block())) else {
                break;
            };
            if !self.tree.at(next).connected_once {
                self.judge_ahead(hash, &block)?;
            }
            at = next;
            self.ahead.at = Some(at);
        }
        Ok(())
    }

    /// Where to go on: behind what was looked at and what is connected already.
    fn ahead_from(&mut self, tip: Index, best: Index) -> Index {
        let fork = self.tree.fork_of(tip, best);
        let waiting = |at: &Index| {
            self.tree.at(*at).height > self.tree.at(fork).height && self.tree.descends(best, *at)
        };
        self.ahead.at.filter(waiting).unwrap_or_else(|| {
            // all of it has had its turn, or another branch has become the best
            self.ahead = Ahead::default();
            fork
        })
    }

    fn judge_ahead(&mut self, hash: BlockHash, block: &Block) -> Result<(), StoreError> {
        self.ahead.add(block);
        let mut spends: Vec<Spend> = Vec::with_capacity(block.transactions.len());
        for transaction in block.transactions.iter().skip(1) {
            // a coin that is not there yet, or not any more: judged in its turn
            let Some(spent) = self.coins_ahead(transaction)? else { return Ok(()) };
            spends.push((Arc::clone(transaction), spent));
        }
        if !spends.is_empty() {
            let genesis = self.tree.at(Index::GENESIS).hash;
            let verdict = Background::new(move || witnesses_are_good(&spends, &genesis));
            self.ahead.verdicts.insert(hash, verdict);
        }
        Ok(())
    }

    /// What `transaction` spends, of which only the outputs matter here.
    fn coins_ahead(&self, transaction: &Transaction) -> Result<Option<Vec<Coin>>, StoreError> {
        let mut coins = Vec::with_capacity(transaction.inputs.len());
        for input in &transaction.inputs {
            let coin = match self.ahead.output(&input.prevout) {
                Some(output) => Some(Coin { output, height: 0, coinbase: false }),
                None => self.store.coin(&input.prevout)?,
            };
            let Some(coin) = coin else { return Ok(None) };
            coins.push(coin);
        }
        Ok(Some(coins))
    }
}

fn witnesses_are_good(spends: &[Spend], genesis: &BlockHash) -> bool {
    let mut checks = Vec::with_capacity(spends.len());
    for (transaction, spent) in spends {
        let Ok(found) = check_witnesses(transaction, spent, genesis) else { return false };
        checks.extend(found);
    }
    verify_batch(&checks, Parallel::AllCores).is_ok()
}
