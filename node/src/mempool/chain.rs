//! What the chain does to the mempool.
//!
//! A block takes its transactions out, and what conflicts with them. A reorganisation also brings transactions back:
//! those of the blocks that were taken off the chain, in the order in which they were mined, then the entries that
//! depend on them or that could have become premature, in the order of their arrival. So parents always come before
//! children, and each is judged like a newcomer, a bounded number in each call.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tine_chain::block::Block;
use tine_chain::chain::Chain;
use tine_chain::change::{Change, ConnectedBlock};
use tine_chain::hash::{BlockHash, Txid};
use tine_chain::reject::Reject;
use tine_chain::store::StoreError;
use tine_chain::time::Time;
use tine_chain::transaction::{OutPoint, Transaction};

use super::accept::Entrance;
use super::{Entry, Mempool, Removed};
use crate::event::Removal;

/// A transaction that is to be judged again.
#[derive(Debug, Clone)]
pub(crate) struct Returning {
    pub(super) tx: Arc<Transaction>,
    /// When it came first, if it was an entry before.
    pub(super) entry_since: Option<Time>,
}

/// What the blocks of a change did: to which transactions, and to which coins.
struct Mined {
    by_txid: BTreeMap<Txid, BlockHash>,
    spends: BTreeMap<OutPoint, Txid>,
}

impl Mined {
    fn new(connected: &[ConnectedBlock]) -> Result<Self, StoreError> {
        let mut mined = Self { by_txid: BTreeMap::new(), spends: BTreeMap::new() };
        for block in connected {
            for tx in &block.block()?.transactions {
                mined.by_txid.insert(tx.txid(), block.hash);
                mined.spends.extend(tx.inputs.iter().map(|input| (input.prevout, tx.txid())));
            }
        }
        Ok(mined)
    }

    /// The transaction was mined, or a coin of it was spent by another.
    fn fate(&self, tx: &Transaction) -> Option<Removal> {
        if let Some(&block) = self.by_txid.get(&tx.txid()) {
            return Some(Removal::Confirmed { block });
        }
        tx.inputs.iter().find_map(|input| {
            let by = *self.spends.get(&input.prevout)?;
            Some(Removal::Conflicted { coin: input.prevout, by })
        })
    }
}

impl Mempool {
    /// Follows the chain: `change` was committed.
    ///
    /// # Errors
    /// The store's, when a block must be read again.
    pub(crate) fn apply(&mut self, change: &Change, now: Time) -> Result<Removed, StoreError> {
        let mut removed = Removed::new();
        for connected in &change.connected {
            let block = connected.block()?;
            match self.all_here(&block) {
                Some(entries) => {
                    self.deltas.remove(&block.transactions[0].txid());
                    self.confirm_together(entries, connected, &mut removed);
                }
                None => block.transactions.iter().for_each(|tx| self.confirm(tx, connected, &mut removed)),
            }
            self.estimator.block(connected.height);
        }
        if !change.connected.is_empty() {
            self.start_decay(now);
        }
        if change.disconnected.is_empty() && self.returning.is_empty() {
            return Ok(removed);
        }
        let mined = Mined::new(&change.connected)?;
        if change.disconnected.is_empty() {
            self.settle_returning(&mined, &mut removed);
        } else {
            self.bring_back(change, &mined, &mut removed)?;
        }
        Ok(removed)
    }

    /// The entries of a block's payments, when each of them is one, and fewer others stay here. Then nothing here can
    /// conflict with the block: "no two entries spend the same coin".
    fn all_here(&self, block: &Block) -> Option<Vec<Arc<Entry>>> {
        let (_, payments) = block.transactions.split_first()?;
        if payments.is_empty() || 2 * payments.len() < self.entries.len() {
            return None;
        }
        payments.iter().map(|tx| self.entries.get(&tx.txid()).cloned()).collect()
    }

    fn confirm_together(&mut self, entries: Vec<Arc<Entry>>, block: &ConnectedBlock, removed: &mut Removed) {
        self.unlink_together(&entries);
        removed.reserve(entries.len());
        for entry in entries {
            self.deltas.remove(&entry.tx.txid());
            self.estimator.confirmed(&entry, block.height);
            removed.push((Arc::clone(&entry.tx), Removal::Confirmed { block: block.hash }));
        }
    }

    fn confirm(&mut self, tx: &Transaction, block: &ConnectedBlock, removed: &mut Removed) {
        // it has been mined: no more need to hurry it
        self.deltas.remove(&tx.txid());
        if let Some(entry) = self.unlink(&tx.txid()) {
            self.estimator.confirmed(&entry, block.height);
            removed.push((entry.tx.clone(), Removal::Confirmed { block: block.hash }));
            // its coins were its own: "no two entries spend the same coin"
            return;
        }
        for input in &tx.inputs {
            if let Some(loser) = self.spender_of(&input.prevout) {
                let why = Removal::Conflicted { coin: input.prevout, by: tx.txid() };
                removed.extend(self.remove(&loser, &why));
            }
        }
    }

    /// Queues what a reorganisation brings back, and drops of it what the new branch has decided.
    fn bring_back(
        &mut self,
        change: &Change,
        mined: &Mined,
        removed: &mut Removed,
    ) -> Result<(), StoreError> {
        // disconnected blocks are listed from the old tip down
        let mut queue: Vec<Returning> = Vec::new();
        let mut displaced: BTreeMap<u64, Arc<Entry>> = BTreeMap::new();
        for block in change.disconnected.iter().rev() {
            for tx in &block.block()?.transactions {
                if !mined.by_txid.contains_key(&tx.txid()) {
                    for child in self.children_of(&tx.txid()).collect::<BTreeSet<_>>() {
                        displaced.extend(self.displace(&child));
                    }
                }
                if !tx.is_coinbase() {
                    queue.push(Returning { tx: tx.clone(), entry_since: None });
                }
            }
        }
        let fragile: Vec<Txid> =
            self.entries().filter(|entry| entry.fragile).map(|entry| entry.tx.txid()).collect();
        for txid in fragile {
            displaced.extend(self.displace(&txid));
        }
        let displaced = displaced.into_values();
        queue
            .extend(displaced.map(|entry| Returning { tx: entry.tx.clone(), entry_since: Some(entry.time) }));
        queue.extend(std::mem::take(&mut self.returning));
        self.returning = queue.into_iter().collect();
        self.settle_returning(mined, removed);
        Ok(())
    }

    fn displace(&mut self, txid: &Txid) -> impl Iterator<Item = (u64, Arc<Entry>)> + use<> {
        self.unlink_with_descendants(txid).into_iter().map(|entry| (entry.sequence, entry))
    }

    /// Takes out of the queue what was mined, and what conflicts with that, with everything that depends on it.
    fn settle_returning(&mut self, mined: &Mined, removed: &mut Removed) {
        let mut doomed: BTreeMap<Txid, Removal> = BTreeMap::new();
        self.returning.retain(|returning| {
            let tx = &returning.tx;
            let inherited = || tx.inputs.iter().find_map(|input| doomed.get(&input.prevout.txid).cloned());
            let Some(fate) = mined.fate(tx).or_else(inherited) else { return true };
            if matches!(fate, Removal::Conflicted { .. }) {
                doomed.insert(tx.txid(), fate.clone());
            }
            if returning.entry_since.is_some() {
                removed.push((tx.clone(), fate));
            }
            false
        });
    }

    /// Whether transactions wait to be judged again.
    #[must_use]
    pub fn has_returning(&self) -> bool {
        !self.returning.is_empty()
    }

    /// Whether `txid` waits to be judged again.
    pub(crate) fn is_returning(&self, txid: &Txid) -> bool {
        self.returning.iter().any(|returning| returning.tx.txid() == *txid)
    }

    /// Judges the next of the queue again. Returns the transaction if it is new here, and what had to go.
    ///
    /// # Errors
    /// The store's.
    pub(crate) fn return_next(
        &mut self,
        chain: &mut Chain,
        now: Time,
    ) -> Result<(Option<Arc<Transaction>>, Removed), StoreError> {
        let Some(Returning { tx, entry_since }) = self.returning.pop_front() else {
            return Ok((None, Removed::new()));
        };
        let (outcome, mut removed) = match self.check_for(chain, &tx, Entrance::Returning)? {
            Ok(acceptable) => self.insert(acceptable, entry_since.unwrap_or(now)),
            Err(refusal) => (Err(refusal.reject), Removed::new()),
        };
        match (outcome, entry_since) {
            (Ok(()), None) => return Ok((Some(tx), removed)),
            (Ok(()), Some(_)) => {}
            (Err(Reject::MempoolFull), Some(_)) => removed.push((tx, Removal::Evicted)),
            (Err(reject), Some(_)) => removed.push((tx, Removal::Invalid { reject })),
            // it was never here: who cares for it learns from the journal
            (Err(_), None) => {}
        }
        Ok((None, removed))
    }
}
