//! Block templates: what a miner hashes.
//!
//! Transactions are chosen by the fee rate of a transaction together with the ancestors that it needs (Core:
//! `addPackageTxs`), so that a child can pay for its parent. A template on another parent than the tip, as an adversary
//! wants it, holds no transaction of the mempool: what is valid there is not known.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tine_chain::amount::Amount;
use tine_chain::block::{Block, Header, MAX_BLOCK_SIZE};
use tine_chain::chain::Chain;
use tine_chain::hash::{BlockHash, Lock, MerkleRoot, Txid, Wtxid};
use tine_chain::merkle;
use tine_chain::pow::Target;
use tine_chain::time::Time;
use tine_chain::transaction::{OutPoint, SEQUENCE_LOCK_TIME, Transaction, TxData, TxIn, TxOut, Witness};
use tine_chain::tree::BlockEntry;

use crate::mempool::{Entry, FeeRate, Mempool, Package};

/// The version of headers that are made here (BIP 9: the top bits 001, no signal).
const HEADER_VERSION: i32 = 0x2000_0000;
/// Packages in a row that do not fit, after which a block that is nearly full is taken as full (Core: 1,000).
const MAX_FAILURES: u32 = 1_000;
/// Bytes free in a block that is nearly full.
const NEARLY_FULL: u64 = 4_000;

/// What a miner says of its coinbase.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CoinbaseSpec {
    /// Who is paid.
    pub lock: Lock,
    /// The coinbase's witness, 1 to 100 bytes: a tag and an extranonce.
    pub extra: Vec<u8>,
}

/// A block that wants a nonce.
#[derive(Debug, Clone)]
pub struct Template {
    /// The block, its nonce 0.
    pub block: Block,
    /// Its height.
    pub height: u32,
    /// What its hash must not be over.
    pub target: Target,
    /// The least time that it may have, in seconds.
    pub min_time: u32,
    /// What its transactions pay together.
    pub fees: Amount,
    /// What each of them pays, in order, the coinbase not among them.
    pub tx_fees: Vec<Amount>,
}

impl Template {
    /// What the coinbase pays.
    pub(crate) fn coinbase_value(&self) -> Amount {
        self.block.transactions.first().and_then(|coinbase| coinbase.output_value()).unwrap_or_default()
    }

    /// Lets the coinbase pay `value`, whatever the rules say.
    pub(crate) fn set_coinbase_value(&mut self, value: Amount) {
        let Some(coinbase) = self.block.transactions.first_mut() else { return };
        let mut data: TxData = coinbase.data().clone();
        data.outputs.iter_mut().for_each(|output| output.value = value);
        *coinbase = Arc::new(Transaction::new(data));
        self.block.header.merkle_root = root(&self.block.transactions);
    }

    /// Lets the block hold `transactions` after its coinbase, which leaves their fees to nobody.
    pub(crate) fn set_transactions(&mut self, transactions: Vec<Arc<Transaction>>) {
        let subsidy = self.coinbase_value().checked_sub(self.fees).unwrap_or_default();
        self.block.transactions.truncate(1);
        self.tx_fees = vec![Amount::ZERO; transactions.len()];
        self.block.transactions.extend(transactions);
        self.fees = Amount::ZERO;
        self.set_coinbase_value(subsidy);
    }
}

/// Why there is no template.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// The parent is not in the tree, or not valid.
    #[error("the parent is not a valid block that is known here")]
    Parent,
    /// The coinbase's witness is not 1 to 100 bytes.
    #[error("a coinbase's witness is 1 to 100 bytes")]
    CoinbaseLength,
    /// Signed or moved money would leave the range: the fees and subsidy are over all the money there can be.
    #[error("the fees are out of range")]
    Fees,
}

/// A template on `parent`, or on the tip.
pub(crate) fn template(
    chain: &Chain,
    mempool: &Mempool,
    parent: Option<BlockHash>,
    now: Time,
    coinbase: &CoinbaseSpec,
) -> Result<Template, TemplateError> {
    let tip = chain.tip();
    let parent = match parent {
        Some(hash) => chain.tree().get(&hash).ok_or(TemplateError::Parent)?,
        None => tip,
    };
    if parent.invalid.is_some() {
        return Err(TemplateError::Parent);
    }
    if coinbase.extra.is_empty() || coinbase.extra.len() > 100 {
        return Err(TemplateError::CoinbaseLength);
    }
    let height = parent.height + 1;
    let subsidy = chain.params().subsidy(height);
    // an amount is always eight bytes: the size is right before the value is known
    let overhead = Header::SIZE + 5 + coinbase_transaction(coinbase, height, subsidy).size();
    let chosen = match parent.hash == tip.hash {
        true => select(mempool, (MAX_BLOCK_SIZE - overhead) as u64),
        false => Vec::new(),
    };
    let tx_fees: Vec<Amount> = chosen.iter().map(|entry| entry.fee).collect();
    let fees = tx_fees.iter().try_fold(Amount::ZERO, |sum, fee| sum.checked_add(*fee));
    let fees = fees.ok_or(TemplateError::Fees)?;
    let value = subsidy.checked_add(fees).ok_or(TemplateError::Fees)?;
    let mut transactions = vec![Arc::new(coinbase_transaction(coinbase, height, value))];
    transactions.extend(chosen.iter().map(|entry| entry.tx.clone()));
    let min_time = min_time(chain, parent);
    let time = min_time.max(u32::try_from(now.as_secs()).unwrap_or(u32::MAX));
    let bits = chain.next_bits(&parent.hash).ok_or(TemplateError::Parent)?;
    let header = Header {
        version: HEADER_VERSION,
        prev_block: parent.hash,
        merkle_root: root(&transactions),
        time,
        bits,
        nonce: 0,
    };
    Ok(Template {
        block: Block { header, transactions },
        height,
        target: bits.to_target().map_err(|_| TemplateError::Parent)?,
        min_time,
        fees,
        tx_fees,
    })
}

/// What of the mempool is worth most in `room` bytes, parents before children: again and again the entry whose package
/// with the ancestors that it still needs pays best for its bytes, if that fits.
#[must_use]
pub fn select(mempool: &Mempool, room: u64) -> Vec<&Entry> {
    Selection::new(mempool, room).run()
}

/// The root that a header must commit to.
fn root(transactions: &[Arc<Transaction>]) -> MerkleRoot {
    let leaves: Vec<Wtxid> = transactions.iter().map(|tx| tx.wtxid()).collect();
    merkle::merkle_root(&leaves).expect("there is always a coinbase")
}

/// "one input with the null outpoint; lock_time = height − 1 and sequence ≠ ffffffff (BIP 54)"
fn coinbase_transaction(spec: &CoinbaseSpec, height: u32, value: Amount) -> Transaction {
    Transaction::new(TxData {
        version: 2,
        inputs: vec![TxIn { prevout: OutPoint::NULL, sequence: SEQUENCE_LOCK_TIME }],
        outputs: vec![TxOut { value, lock: spec.lock }],
        lock_time: height - 1,
        witnesses: vec![Witness(spec.extra.clone())],
    })
}

/// The least time of a block after `parent`.
fn min_time(chain: &Chain, parent: &BlockEntry) -> u32 {
    // "greater than the median of the last 11"
    let least = parent.median_time_past + 1;
    let params = chain.params();
    let (Some(interval), Some(grace)) = (params.retarget_interval, params.timewarp_grace_secs) else {
        return least;
    };
    let height = parent.height + 1;
    // BIP 54: the first block of a period is not earlier than its parent by more than the grace
    if height.is_multiple_of(interval) {
        return least.max(parent.header.time.saturating_sub(grace));
    }
    // BIP 54: the last block of a period is not earlier than the first
    if height % interval == interval - 1 {
        let first = chain.tree().ancestor(&parent.hash, height + 1 - interval);
        return least.max(first.map_or(0, |first| first.header.time));
    }
    least
}

/// What has been chosen so far, and what that changes.
struct Selection<'a> {
    mempool: &'a Mempool,
    room: u64,
    chosen: Vec<&'a Entry>,
    included: BTreeSet<Txid>,
    /// Entries of which an ancestor is included: what is left of their packages.
    modified: BTreeMap<Txid, Package>,
    /// The same by appeal, as [`Mempool::by_appeal`] orders.
    by_appeal: BTreeSet<(FeeRate, Reverse<u64>, Txid)>,
    failed: BTreeSet<Txid>,
}

impl<'a> Selection<'a> {
    fn new(mempool: &'a Mempool, room: u64) -> Self {
        Self {
            mempool,
            room,
            chosen: Vec::new(),
            included: BTreeSet::new(),
            modified: BTreeMap::new(),
            by_appeal: BTreeSet::new(),
            failed: BTreeSet::new(),
        }
    }

    fn run(mut self) -> Vec<&'a Entry> {
        let mut fresh = self.mempool.by_appeal().peekable();
        let mut failures = 0;
        loop {
            // an entry that was included, or that is listed among the modified, has its turn there
            let passed = |entry: &&Entry| {
                let txid = entry.tx.txid();
                self.included.contains(&txid) || self.modified.contains_key(&txid)
            };
            while fresh.next_if(passed).is_some() {}
            let best_fresh = fresh.peek().map(|entry| key(entry, entry.ancestors));
            let best_modified = self.by_appeal.last().copied();
            let Some(best) = best_fresh.max(best_modified) else { return self.chosen };
            if Some(best) == best_fresh {
                fresh.next();
            } else {
                self.by_appeal.remove(&best);
            }
            let (_, _, txid) = best;
            if self.include(&txid) {
                failures = 0;
            } else {
                self.failed.insert(txid);
                failures += 1;
                if failures > MAX_FAILURES && self.room < NEARLY_FULL {
                    return self.chosen;
                }
            }
        }
    }

    /// Takes an entry with the ancestors that it still needs, if there is room.
    fn include(&mut self, txid: &Txid) -> bool {
        let Some(entry) = self.mempool.get(txid) else { return false };
        let package = self.modified.get(txid).copied().unwrap_or(entry.ancestors);
        if package.size > self.room {
            return false;
        }
        let mut wanted: Vec<&Entry> = self
            .mempool
            .ancestors_of(&entry.tx)
            .iter()
            .filter(|txid| !self.included.contains(*txid))
            .filter_map(|txid| self.mempool.get(txid))
            .collect();
        wanted.push(entry);
        wanted.sort_by_key(|entry| entry.sequence);
        for entry in wanted {
            self.room -= entry.alone().size;
            self.chosen.push(entry);
            self.take(entry);
        }
        true
    }

    /// Marks an entry as included; what depends on it needs the less.
    fn take(&mut self, entry: &'a Entry) {
        let txid = entry.tx.txid();
        self.included.insert(txid);
        if let Some(package) = self.modified.remove(&txid) {
            self.by_appeal.remove(&key(entry, package));
        }
        for descendant in self.mempool.descendants_of(&txid) {
            let Some(descendant) = self.mempool.get(&descendant) else { continue };
            let txid = descendant.tx.txid();
            let mut package = self.modified.get(&txid).copied().unwrap_or(descendant.ancestors);
            self.by_appeal.remove(&key(descendant, package));
            package.subtract(entry.alone());
            self.modified.insert(txid, package);
            if !self.included.contains(&txid) && !self.failed.contains(&txid) {
                self.by_appeal.insert(key(descendant, package));
            }
        }
    }
}

/// The order of [`Entry::appeal`], for a package that is smaller than it was.
fn key(entry: &Entry, ancestors: Package) -> (FeeRate, Reverse<u64>, Txid) {
    let rate = entry.alone().rate().min(ancestors.rate());
    (rate, Reverse(entry.sequence), entry.tx.txid())
}
