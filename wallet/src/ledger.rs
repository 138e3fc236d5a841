//! What the chain and the mempool say about our coins.
//!
//! The ledger keeps every transaction that paid us or that we paid with, and for each of them four facts: the block
//! it is in, whether the mempool holds it, which confirmed transaction took a coin that it needed, and whether its
//! owner gave it up. Status, coins and balances are computed from these facts and from nothing else, so there is
//! nothing that a reorganisation could leave behind: a block that is taken off takes its facts with it.
//!
//! Invariants: at most one of "in a block" and "conflict" holds for a transaction; `spends` lists exactly the coins that
//! `records` spend; the tip is the last block connected.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tine_chain::amount::Amount;
use tine_chain::block::Block;
use tine_chain::change::{Change, ConnectedBlock};
use tine_chain::coins::Undo;
use tine_chain::hash::{BlockHash, Txid};
use tine_chain::params::Params;
use tine_chain::time::Time;
use tine_chain::transaction::{OutPoint, Transaction, TxOut};

use crate::book::{Book, KeyRef};
use crate::error::WalletError;

/// The last block that the wallet has seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Tip {
    /// Its height.
    pub height: u32,
    /// Its id.
    pub hash: BlockHash,
    /// Its header's time, in seconds since the epoch.
    pub time: u32,
}

/// Where a transaction is confirmed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Confirmation {
    /// The block.
    pub block: BlockHash,
    /// Its height.
    pub height: u32,
    /// The transaction's place in it.
    pub position: u32,
    /// The block's time, in seconds since the epoch.
    pub time: u32,
}

/// Why a transaction can't confirm on this chain: another one spent a coin that it needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Conflict {
    /// The transaction that was confirmed instead.
    pub by: Txid,
    /// The coin that both spend.
    pub coin: OutPoint,
    /// The block with the other transaction; `None` when only the node knows it.
    pub block: Option<BlockHash>,
}

/// What became of a transaction, on the chain that the wallet follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(tag = "status", rename_all = "lowercase")]
pub enum Status {
    /// In a block.
    Confirmed(Confirmation),
    /// In the mempool.
    Pending,
    /// Neither in a block nor in the mempool, and nothing is known against it: it may be sent again.
    Inactive,
    /// It, or a transaction that it builds on, lost a coin to a confirmed transaction: it is not money.
    Conflicted(Conflict),
    /// Given up by its owner, or the reward of a block that is no longer on the chain.
    Abandoned,
}

/// Why the mempool dropped a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Removed {
    /// It was mined; the block tells the rest.
    Confirmed,
    /// A confirmed transaction spends a coin that it, or an ancestor, needs.
    Conflicted {
        /// The coin.
        coin: OutPoint,
        /// The transaction that was mined instead.
        by: Txid,
    },
    /// Evicted, or no longer valid.
    Dropped,
}

/// A transaction of ours, and the facts about it.
#[derive(Debug, Clone)]
pub(crate) struct Record {
    pub(crate) tx: Arc<Transaction>,
    /// The outputs that its inputs spend, as far as they are known.
    pub(crate) spent: Vec<Option<TxOut>>,
    pub(crate) confirmation: Option<Confirmation>,
    pub(crate) in_mempool: bool,
    pub(crate) conflict: Option<Conflict>,
    pub(crate) abandoned: bool,
    /// When the wallet first heard of it.
    pub(crate) seen: Time,
}

/// All the facts.
#[derive(Debug, Clone)]
pub(crate) struct Ledger {
    pub(crate) genesis: BlockHash,
    pub(crate) maturity: u32,
    pub(crate) tip: Tip,
    pub(crate) records: BTreeMap<Txid, Record>,
    /// Which of `records` spend an outpoint. Derived from them.
    pub(crate) spends: BTreeMap<OutPoint, BTreeSet<Txid>>,
}

impl Ledger {
    pub(crate) fn new(params: &Params) -> Self {
        let genesis = params.genesis.hash();
        Self {
            genesis,
            maturity: params.coinbase_maturity,
            tip: Tip { height: 0, hash: genesis, time: params.genesis.time },
            records: BTreeMap::new(),
            spends: BTreeMap::new(),
        }
    }

    /// Forgets what blocks and mempool said, back to the genesis; the transactions themselves stay, so that those
    /// that the chain no longer has are still shown.
    pub(crate) fn rewind(&mut self, params: &Params) {
        self.tip = Self::new(params).tip;
        for record in self.records.values_mut() {
            record.confirmation = None;
            record.conflict = None;
            record.in_mempool = false;
            record.abandoned |= record.tx.is_coinbase();
        }
    }

    /// The output of a known transaction.
    fn output(&self, outpoint: &OutPoint) -> Option<&TxOut> {
        self.records.get(&outpoint.txid)?.tx.outputs.get(usize::try_from(outpoint.vout).ok()?)
    }

    /// The coin that `outpoint` names, if it is locked to one of our keys.
    pub(crate) fn own_output(&self, outpoint: &OutPoint, book: &Book) -> Option<(KeyRef, Amount)> {
        let output = self.output(outpoint)?;
        Some((book.owner(&output.lock)?, output.value))
    }

    fn is_ours(&self, tx: &Transaction, book: &Book) -> bool {
        tx.outputs.iter().any(|output| book.owner(&output.lock).is_some())
            || tx.inputs.iter().any(|input| self.own_output(&input.prevout, book).is_some())
    }

    /// Remembers which coins `tx` spends. A coinbase spends none: all coinbases name the same null outpoint, and they
    /// are no conflict.
    pub(crate) fn index_inputs(&mut self, tx: &Transaction) {
        if !tx.is_coinbase() {
            for input in &tx.inputs {
                self.spends.entry(input.prevout).or_default().insert(tx.txid());
            }
        }
    }

    /// The record of `tx`: the one there is, or a new one if the transaction is ours.
    fn record(&mut self, tx: &Arc<Transaction>, book: &mut Book, seen: Time) -> Option<&mut Record> {
        let txid = tx.txid();
        if !self.records.contains_key(&txid) {
            if !self.is_ours(tx, book) {
                return None;
            }
            let spent = tx.inputs.iter().map(|input| self.output(&input.prevout).copied()).collect();
            self.index_inputs(tx);
            for output in &tx.outputs {
                if let Some(key) = book.owner(&output.lock) {
                    book.mark_used(key);
                }
            }
            let record = Record {
                tx: Arc::clone(tx),
                spent,
                confirmation: None,
                in_mempool: false,
                conflict: None,
                abandoned: false,
                seen,
            };
            self.records.insert(txid, record);
        }
        self.records.get_mut(&txid)
    }

    /// Takes over what one commit of the chain changed. Says which of our transactions it touched.
    pub(crate) fn apply(
        &mut self,
        change: &Change,
        book: &mut Book,
        mut fill: impl FnMut(&mut Book),
    ) -> Result<BTreeSet<Txid>, WalletError> {
        self.check_contiguous(change)?;
        let mut touched = BTreeSet::new();
        for block in &change.disconnected {
            let body = block.block()?;
            self.disconnect(&body, &block.hash, &mut touched);
        }
        for block in &change.connected {
            self.connect(block, book, &mut touched)?;
            fill(book);
        }
        Ok(touched)
    }

    /// Whether `change` starts from our tip. Checked before anything is touched.
    fn check_contiguous(&self, change: &Change) -> Result<(), WalletError> {
        let mut tip = self.tip.hash;
        for block in &change.disconnected {
            if block.hash != tip {
                return Err(WalletError::NotContiguous { expected: tip, found: block.hash });
            }
            tip = block.header.prev_block;
        }
        for block in &change.connected {
            let parent = block.header.prev_block;
            if parent != tip {
                return Err(WalletError::NotContiguous { expected: tip, found: parent });
            }
            tip = block.hash;
        }
        Ok(())
    }

    /// Puts a block on top of the tip.
    pub(crate) fn connect(
        &mut self,
        connected: &ConnectedBlock,
        book: &mut Book,
        touched: &mut BTreeSet<Txid>,
    ) -> Result<(), WalletError> {
        let (block, undo) = (connected.block()?, connected.undo()?);
        let ConnectedBlock { hash, height, .. } = connected;
        let time = block.header.time;
        let mut spent = spent_of(&undo);
        for (position, tx) in block.transactions.iter().enumerate() {
            let confirmation =
                Confirmation { block: *hash, height: *height, position: position as u32, time };
            self.mark_conflicts(tx, *hash, touched);
            let outputs: Vec<Option<TxOut>> =
                tx.inputs.iter().map(|input| spent.next_for(&input.prevout)).collect();
            let Some(record) = self.record(tx, book, Time::from_secs(time.into())) else { continue };
            record.confirmation = Some(confirmation);
            record.in_mempool = false;
            record.abandoned = false;
            record.conflict = None;
            for (known, output) in record.spent.iter_mut().zip(outputs) {
                *known = output.or(*known);
            }
            touched.insert(tx.txid());
        }
        self.tip = Tip { height: *height, hash: *hash, time };
        Ok(())
    }

    /// Every other transaction of ours that spends a coin which `tx` spends can't confirm any more.
    fn mark_conflicts(&mut self, tx: &Transaction, block: BlockHash, touched: &mut BTreeSet<Txid>) {
        for input in &tx.inputs {
            for other in self.spends.get(&input.prevout).into_iter().flatten() {
                if *other != tx.txid() {
                    let record = self.records.get_mut(other).expect("spends lists the inputs of records");
                    record.conflict =
                        Some(Conflict { by: tx.txid(), coin: input.prevout, block: Some(block) });
                    record.in_mempool = false;
                    touched.insert(*other);
                }
            }
        }
    }

    /// Takes the tip off.
    pub(crate) fn disconnect(&mut self, block: &Block, hash: &BlockHash, touched: &mut BTreeSet<Txid>) {
        for tx in &block.transactions {
            for input in &tx.inputs {
                for other in self.spends.get(&input.prevout).into_iter().flatten() {
                    let record = self.records.get_mut(other).expect("spends lists the inputs of records");
                    if record.conflict.is_some_and(|conflict| conflict.block == Some(*hash)) {
                        record.conflict = None;
                        touched.insert(*other);
                    }
                }
            }
            if let Some(record) = self.records.get_mut(&tx.txid()) {
                record.confirmation = None;
                // a reward without its block can never be mined again
                record.abandoned |= tx.is_coinbase();
                touched.insert(tx.txid());
            }
        }
        // of a conflict that only the node knew we can't tell whether this was its block: nothing is known any more
        for (txid, record) in &mut self.records {
            if record.conflict.is_some_and(|conflict| conflict.block.is_none()) {
                record.conflict = None;
                touched.insert(*txid);
            }
        }
        self.tip = Tip { height: self.tip.height.saturating_sub(1), hash: block.header.prev_block, time: 0 };
    }

    /// The mempool took `tx`. Says whether it is ours.
    pub(crate) fn mempool_added(&mut self, tx: &Arc<Transaction>, book: &mut Book, now: Time) -> bool {
        let Some(record) = self.record(tx, book, now) else { return false };
        record.in_mempool = true;
        record.abandoned = false;
        // a conflict that only the node knew of is over when the node takes the transaction back
        record.conflict = record.conflict.filter(|conflict| conflict.block.is_some());
        true
    }

    /// The mempool dropped a transaction. Says whether it is ours.
    pub(crate) fn mempool_removed(&mut self, txid: &Txid, removed: Removed) -> bool {
        let Some(record) = self.records.get(txid) else { return false };
        let is_known = record.confirmation.is_some() || self.conflict(record).is_some();
        let record = self.records.get_mut(txid).expect("just looked at");
        record.in_mempool = false;
        match removed {
            // what a block told us, of this transaction or of one that it builds on, says more
            Removed::Conflicted { coin, by } if !is_known => {
                record.conflict = Some(Conflict { by, coin, block: None });
            }
            Removed::Conflicted { .. } | Removed::Confirmed | Removed::Dropped => {}
        }
        true
    }

    /// Makes the ledger's view of the mempool exactly `transactions`.
    pub(crate) fn sync_mempool(&mut self, transactions: &[Arc<Transaction>], book: &mut Book, now: Time) {
        for record in self.records.values_mut() {
            record.in_mempool = false;
        }
        // A child may stand before the parent that makes it ours: go on until nothing new is found.
        loop {
            let before = self.records.len();
            for tx in transactions {
                self.mempool_added(tx, book, now);
            }
            if self.records.len() == before {
                return;
            }
        }
    }

    /// Transactions that are in no block and not in the mempool, and that nothing speaks against: parents first.
    pub(crate) fn inactive(&self) -> Vec<Arc<Transaction>> {
        let mut waiting: BTreeMap<Txid, &Record> = self
            .records
            .iter()
            .filter(|(txid, _)| self.status(txid) == Some(Status::Inactive))
            .map(|(txid, record)| (*txid, record))
            .collect();
        let mut ordered = Vec::new();
        while !waiting.is_empty() {
            let ready: Vec<Txid> = waiting
                .iter()
                .filter(|(_, record)| {
                    record.tx.inputs.iter().all(|input| !waiting.contains_key(&input.prevout.txid))
                })
                .map(|(txid, _)| *txid)
                .collect();
            for txid in ready {
                ordered.extend(waiting.remove(&txid).map(|record| Arc::clone(&record.tx)));
            }
        }
        ordered
    }

    /// What became of a transaction.
    pub(crate) fn status(&self, txid: &Txid) -> Option<Status> {
        let record = self.records.get(txid)?;
        if let Some(confirmation) = record.confirmation {
            return Some(Status::Confirmed(confirmation));
        }
        if let Some(conflict) = self.conflict(record) {
            return Some(Status::Conflicted(conflict));
        }
        Some(if record.in_mempool {
            Status::Pending
        } else if record.abandoned {
            Status::Abandoned
        } else {
            Status::Inactive
        })
    }

    /// The conflict of a transaction or of the nearest unconfirmed ancestor that has one.
    fn conflict(&self, record: &Record) -> Option<Conflict> {
        let mut queue = vec![record];
        let mut visited = BTreeSet::new();
        while let Some(record) = queue.pop() {
            if record.conflict.is_some() {
                return record.conflict;
            }
            for input in &record.tx.inputs {
                if let Some(parent) = self.records.get(&input.prevout.txid)
                    && parent.confirmation.is_none()
                    && visited.insert(parent.tx.txid())
                {
                    queue.push(parent);
                }
            }
        }
        None
    }

    /// The owner gives up a transaction, and what builds on it: its coins are free again.
    pub(crate) fn abandon(&mut self, txid: &Txid) -> Result<(), WalletError> {
        let mut queue = vec![*txid];
        let mut family = BTreeSet::new();
        while let Some(txid) = queue.pop() {
            match self.status(&txid).ok_or(WalletError::UnknownTransaction(txid))? {
                Status::Confirmed(_) | Status::Pending => return Err(WalletError::NotAbandonable(txid)),
                Status::Inactive | Status::Conflicted(_) | Status::Abandoned => {}
            }
            if family.insert(txid) {
                let outputs = self.records[&txid].tx.outputs.len() as u32;
                for vout in 0..outputs {
                    queue.extend(self.spends.get(&OutPoint { txid, vout }).into_iter().flatten());
                }
            }
        }
        for txid in family {
            self.records.get_mut(&txid).expect("just looked at").abandoned = true;
        }
        Ok(())
    }
}

/// The outputs that a block spent, handed out in the order of its inputs.
struct SpentOutputs<'a>(std::slice::Iter<'a, (OutPoint, tine_chain::coins::Coin)>);

fn spent_of(undo: &Undo) -> SpentOutputs<'_> {
    SpentOutputs(undo.spent.iter())
}

impl SpentOutputs<'_> {
    /// The output at `outpoint`, which must be asked for in block order; `None` for a coinbase's input.
    fn next_for(&mut self, outpoint: &OutPoint) -> Option<TxOut> {
        let (next, coin) = self.0.as_slice().first()?;
        if next != outpoint {
            return None;
        }
        self.0.next();
        Some(coin.output)
    }
}
