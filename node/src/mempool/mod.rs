//! The mempool: transactions that could be in the next block.
//!
//! It stands beside the chain, never inside: blocks don't consult it, and it judges by the same functions that blocks
//! are judged by (`accept`). What the chain does reaches it as a [`Change`](tine_chain::change::Change) (`chain`), and
//! how full it may be is its own affair (`floor`).
//!
//! Invariants, after every call: each input of each entry is an unspent coin of the chain or an output of another
//! entry; no two entries spend the same coin; an entry's ancestors arrived before it, so the order of arrival is an
//! order in which all of them can be mined; `bytes` and `usage` are the exact sums over the entries.
//!
//! Left out on purpose: replacement by fee. A conflict is refused and reported
//! ([`Notice::DoubleSpendAttempt`](crate::event::Notice::DoubleSpendAttempt)), so that who watches sees the attempt.

mod accept;
mod chain;
mod floor;
mod graph;
mod rate;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use tine_chain::amount::Amount;
use tine_chain::hash::{Txid, Wtxid};
use tine_chain::time::Time;
use tine_chain::transaction::{OutPoint, Transaction};

pub use accept::{Acceptable, Refusal};
pub(crate) use chain::Returning;
pub use floor::INCREMENTAL_FEE;
pub use rate::FeeRate;

use crate::event::Removal;
use floor::Floor;

/// Unconfirmed ancestors of a transaction, and descendants, itself among them (Core: `DEFAULT_ANCESTOR_LIMIT`).
pub const MAX_PACKAGE_COUNT: u32 = 25;
/// What an entry costs in memory beside its encoding, in bytes: the entry, its places in six indexes, allocations.
pub const ENTRY_OVERHEAD: u64 = 768;
/// Bytes that spending an output takes: input 40, witness length 1, a key's policy and signature 97.
pub const SPEND_SIZE: u64 = 138;

/// What the mempool holds and asks for.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// The most memory that entries may take, in bytes: their encodings and [`ENTRY_OVERHEAD`] for each.
    pub max_usage: u64,
    /// The least fee rate that is accepted, ever (Core: `-minrelaytxfee`).
    pub min_relay_fee: FeeRate,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_usage: 100_000_000, min_relay_fee: FeeRate::per_kilobyte(1_000) }
    }
}

/// An entry together with its ancestors, or with its descendants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Package {
    /// How many transactions.
    pub count: u32,
    /// Their bytes.
    pub size: u64,
    /// Their fees.
    pub fees: Amount,
}

impl Package {
    fn of(tx: &Transaction, fee: Amount) -> Self {
        Self { count: 1, size: tx.size() as u64, fees: fee }
    }

    pub(crate) fn add(&mut self, other: Self) {
        self.count += other.count;
        self.size += other.size;
        self.fees.0 += other.fees.0;
    }

    pub(crate) fn subtract(&mut self, other: Self) {
        self.count -= other.count;
        self.size -= other.size;
        self.fees.0 -= other.fees.0;
    }

    /// Fees for bytes.
    #[must_use]
    pub fn rate(self) -> FeeRate {
        FeeRate { fee: self.fees, size: self.size }
    }
}

/// A transaction of the mempool.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The transaction.
    pub tx: Arc<Transaction>,
    /// What it pays.
    pub fee: Amount,
    /// When it came.
    pub time: Time,
    /// The height of the tip when it came.
    pub height: u32,
    /// Its place in the order of arrival: later than all its ancestors'.
    pub sequence: u64,
    /// It and its unconfirmed ancestors.
    pub ancestors: Package,
    /// It and its unconfirmed descendants.
    pub descendants: Package,
    /// Whether a reorganisation can make it premature: it has a lock time, a relative lock or a coinbase's coin.
    pub(crate) fragile: bool,
}

impl Entry {
    /// It alone.
    #[must_use]
    pub fn alone(&self) -> Package {
        Package::of(&self.tx, self.fee)
    }

    /// What eviction goes by: the better of its own rate and that of it with its descendants, and of equals the
    /// earlier is worth more (Core: `CompareTxMemPoolEntryByDescendantScore`).
    fn worth(&self) -> (FeeRate, Reverse<u64>) {
        (self.alone().rate().max(self.descendants.rate()), Reverse(self.sequence))
    }

    /// What mining goes by: the lesser of its own rate and that of it with its ancestors
    /// (Core: `CompareTxMemPoolEntryByAncestorFee`).
    fn appeal(&self) -> (FeeRate, Reverse<u64>) {
        (self.alone().rate().min(self.ancestors.rate()), Reverse(self.sequence))
    }
}

/// Transactions that could be in the next block.
#[derive(Debug, Clone)]
pub struct Mempool {
    limits: Limits,
    entries: BTreeMap<Txid, Entry>,
    by_wtxid: BTreeMap<Wtxid, Txid>,
    /// Which entry spends a coin.
    spends: BTreeMap<OutPoint, Txid>,
    /// In the order of arrival.
    by_sequence: BTreeMap<u64, Txid>,
    /// The least worth first.
    by_worth: BTreeSet<(FeeRate, Reverse<u64>)>,
    /// The least appealing first.
    by_appeal: BTreeSet<(FeeRate, Reverse<u64>)>,
    next_sequence: u64,
    bytes: u64,
    floor: Floor,
    /// Transactions to be judged again after a reorganisation, parents before children.
    returning: VecDeque<Returning>,
}

/// Entries that left, and why.
pub type Removed = Vec<(Arc<Transaction>, Removal)>;

impl Mempool {
    /// An empty mempool.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            entries: BTreeMap::new(),
            by_wtxid: BTreeMap::new(),
            spends: BTreeMap::new(),
            by_sequence: BTreeMap::new(),
            by_worth: BTreeSet::new(),
            by_appeal: BTreeSet::new(),
            next_sequence: 0,
            bytes: 0,
            floor: Floor::default(),
            returning: VecDeque::new(),
        }
    }

    /// The entry of `txid`.
    #[must_use]
    pub fn get(&self, txid: &Txid) -> Option<&Entry> {
        self.entries.get(txid)
    }

    /// The entry of `wtxid`.
    #[must_use]
    pub fn get_by_wtxid(&self, wtxid: &Wtxid) -> Option<&Entry> {
        self.by_wtxid.get(wtxid).and_then(|txid| self.entries.get(txid))
    }

    /// Every entry in the order of arrival, which is one in which all can be mined.
    pub fn entries(&self) -> impl DoubleEndedIterator<Item = &Entry> {
        self.by_sequence.values().map(|txid| self.indexed(txid))
    }

    /// Every entry, the most appealing to a miner first: not yet an order in which they can be mined.
    pub(crate) fn by_appeal(&self) -> impl Iterator<Item = &Entry> {
        self.by_appeal.iter().rev().map(|(_, Reverse(sequence))| self.at_sequence(*sequence))
    }

    /// The entry that spends `coin`.
    #[must_use]
    pub fn spender_of(&self, coin: &OutPoint) -> Option<Txid> {
        self.spends.get(coin).copied()
    }

    /// How many entries there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The sum of the entries' encodings, in bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The memory that is accounted for, in bytes: [`Mempool::bytes`] and [`ENTRY_OVERHEAD`] for each entry.
    #[must_use]
    pub fn usage(&self) -> u64 {
        self.bytes + self.entries.len() as u64 * ENTRY_OVERHEAD
    }

    /// What it holds and asks for.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The sum of the entries' fees.
    #[must_use]
    pub fn total_fees(&self) -> Amount {
        Amount(self.entries.values().map(|entry| entry.fee.0).sum())
    }

    /// The fee rate that a transaction must pay now: the least ever, or more since the mempool was full.
    #[must_use]
    pub fn min_fee_rate(&self) -> FeeRate {
        self.limits.min_relay_fee.max(self.floor.rate())
    }

    fn indexed(&self, txid: &Txid) -> &Entry {
        self.entries.get(txid).expect("an index names only entries")
    }

    fn at_sequence(&self, sequence: u64) -> &Entry {
        self.indexed(self.by_sequence.get(&sequence).expect("an order names only entries"))
    }
}
