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
//! The maps are persistent: a clone of a mempool shares everything with it and costs a few pointers, and a change copies
//! a path of a tree. So a reader can have a picture of the mempool after every change, and a package is tried on a copy.
//!
//! Limits: 25 ancestors and 25 descendants of 101 kB, rather than clusters of 64. They bound the work for one
//! transaction as well, every wallet knows them, and they need no linearisation to be kept up to date.

mod accept;
mod chain;
mod dump;
mod estimate;
mod floor;
mod graph;
mod package;
mod prioritise;
mod rate;
mod replace;
mod truc;

use std::cmp::Reverse;
use std::sync::Arc;
use std::time::Duration;

use imbl::{OrdMap, OrdSet, Vector};
use tine_chain::amount::Amount;
use tine_chain::hash::{Txid, Wtxid};
use tine_chain::time::Time;
use tine_chain::transaction::{OutPoint, Transaction};

pub(crate) use accept::Entrance;
pub use accept::{Acceptable, Refusal};
pub(crate) use chain::Returning;
pub use dump::{Dump, DumpError, Saved};
pub use estimate::{Estimate, EstimateMode, Estimator, MAX_TARGET};
pub use floor::INCREMENTAL_FEE;
pub use package::{Fared, MAX_PACKAGE, MAX_PACKAGE_BYTES, PackageError};
pub(crate) use package::{check_child_with_parents, check_package};
pub use rate::FeeRate;
pub use replace::MAX_REPLACED;
pub use truc::{TRUC_CHILD_MAX_SIZE, TRUC_MAX_SIZE, TRUC_VERSION};

use crate::event::Removal;
use floor::Floor;

/// Unconfirmed ancestors of a transaction, and descendants, itself among them (Core: `DEFAULT_ANCESTOR_LIMIT`).
pub const MAX_PACKAGE_COUNT: u32 = 25;
/// Their bytes together (Core: `DEFAULT_ANCESTOR_SIZE_LIMIT_KVB`).
pub const MAX_PACKAGE_SIZE: u64 = 101_000;
/// How long an entry may wait (Core: `DEFAULT_MEMPOOL_EXPIRY_HOURS`).
pub const EXPIRY: Duration = Duration::from_secs(336 * 60 * 60);
/// What an entry costs in memory beside its encoding, in bytes: the entry, its places in seven indexes, allocations.
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
    /// Whether a transaction can be replaced that did not say so (Core: `-mempoolfullrbf`).
    pub full_rbf: bool,
    /// How long an entry may wait.
    pub expiry: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_usage: 100_000_000,
            min_relay_fee: FeeRate::per_kilobyte(1_000),
            full_rbf: true,
            expiry: EXPIRY,
        }
    }
}

/// An entry together with its ancestors, or with its descendants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Package {
    /// How many transactions.
    pub count: u32,
    /// Their bytes.
    pub size: u64,
    /// Their fees as [`Entry::modified`] has them.
    pub fees: Amount,
}

impl Package {
    pub(crate) fn of(tx: &Transaction, fee: Amount) -> Self {
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
    /// What it counts as paying: [`Mempool::prioritise`] adds to the fee, or takes away, down to nothing.
    pub modified: Amount,
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
    /// Whether how long it waits tells what its fee rate is good for: it came as news, and with no unconfirmed parent.
    pub(crate) telling: bool,
}

impl Entry {
    /// It alone.
    #[must_use]
    pub fn alone(&self) -> Package {
        Package::of(&self.tx, self.modified)
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

/// A place in an order by fee rate; of equals the earlier is the greater.
type Rank = (FeeRate, Reverse<u64>);

/// Transactions that could be in the next block. A clone shares what it holds, and costs next to nothing.
#[derive(Debug, Clone)]
pub struct Mempool {
    limits: Limits,
    entries: OrdMap<Txid, Arc<Entry>>,
    by_wtxid: OrdMap<Wtxid, Txid>,
    /// Which entry spends a coin.
    spends: OrdMap<OutPoint, Txid>,
    /// In the order of arrival.
    by_sequence: OrdMap<u64, Txid>,
    /// The oldest first.
    by_age: OrdSet<(Time, u64)>,
    /// The least worth first.
    by_worth: OrdSet<Rank>,
    /// The least appealing first.
    by_appeal: OrdSet<Rank>,
    /// What an operator adds to fees, or takes away, in base units.
    deltas: OrdMap<Txid, i64>,
    next_sequence: u64,
    /// Entries that came and went, in number (Core: `mempool_sequence`).
    changes: u64,
    bytes: u64,
    fees: Amount,
    floor: Floor,
    /// Transactions to be judged again after a reorganisation, parents before children.
    returning: Vector<Returning>,
    estimator: Estimator,
}

/// Entries that left, and why.
pub type Removed = Vec<(Arc<Transaction>, Removal)>;

impl Mempool {
    /// An empty mempool.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            entries: OrdMap::new(),
            by_wtxid: OrdMap::new(),
            spends: OrdMap::new(),
            by_sequence: OrdMap::new(),
            by_age: OrdSet::new(),
            by_worth: OrdSet::new(),
            by_appeal: OrdSet::new(),
            deltas: OrdMap::new(),
            next_sequence: 0,
            changes: 0,
            bytes: 0,
            fees: Amount::ZERO,
            floor: Floor::default(),
            returning: Vector::new(),
            estimator: Estimator::default(),
        }
    }

    /// The entry of `txid`.
    #[must_use]
    pub fn get(&self, txid: &Txid) -> Option<&Entry> {
        self.entries.get(txid).map(Arc::as_ref)
    }

    /// The entry of `wtxid`.
    #[must_use]
    pub fn get_by_wtxid(&self, wtxid: &Wtxid) -> Option<&Entry> {
        self.by_wtxid.get(wtxid).and_then(|txid| self.get(txid))
    }

    /// Every entry in the order of arrival, which is one in which all can be mined.
    pub fn entries(&self) -> impl DoubleEndedIterator<Item = &Entry> {
        self.by_sequence.values().map(|txid| self.indexed(txid))
    }

    /// Every entry, the most appealing to a miner first: not yet an order in which they can be mined.
    pub(crate) fn by_appeal(&self) -> impl Iterator<Item = &Entry> {
        self.by_appeal.iter().rev().map(|(_, Reverse(sequence))| self.at_sequence(*sequence))
    }

    /// Every transaction, by id: the fastest way through all of them.
    pub fn transactions(&self) -> impl Iterator<Item = &Arc<Transaction>> {
        self.entries.values().map(|entry| &entry.tx)
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
        self.fees
    }

    /// How many entries have come and gone so far (Core: `mempool_sequence`).
    #[must_use]
    pub fn changes(&self) -> u64 {
        self.changes
    }

    /// What confirmed transactions paid, and how long they waited.
    #[must_use]
    pub fn estimator(&self) -> &Estimator {
        &self.estimator
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
