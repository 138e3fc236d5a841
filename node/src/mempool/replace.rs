//! Replacement: a transaction that spends a coin of another takes its place if it pays enough for that.
//!
//! The rules are those of BIP 125 under Core's names; rule 1 (what can be replaced must say so) holds only without
//! [`Limits::full_rbf`](super::Limits::full_rbf). What is replaced goes with its descendants.

use std::collections::{BTreeMap, BTreeSet};

use tine_chain::hash::Txid;
use tine_chain::reject::Reject;
use tine_chain::transaction::{OutPoint, SEQUENCE_FINAL, Transaction};

use super::accept::Refusal;
use super::{FeeRate, INCREMENTAL_FEE, Mempool, Package};

/// How many transactions a replacement may remove (Core: `MAX_REPLACEMENT_CANDIDATES`).
pub const MAX_REPLACED: u32 = 100;

/// What would have to go: each direct rival, and a coin that it holds and the newcomer wants.
pub(super) type Rivals = BTreeMap<Txid, OutPoint>;

impl Mempool {
    /// The entries that spend a coin that `tx` spends.
    pub(super) fn rivals_of(&self, tx: &Transaction) -> Rivals {
        let mut rivals = Rivals::new();
        for input in &tx.inputs {
            if let Some(rival) = self.spender_of(&input.prevout) {
                rivals.entry(rival).or_insert(input.prevout);
            }
        }
        rivals
    }

    /// Whether `tx`, which depends on `ancestors` and counts as `paid`, may replace `rivals`. Gives all that would go.
    pub(super) fn check_replacement(
        &self,
        tx: &Transaction,
        paid: Package,
        ancestors: &BTreeSet<Txid>,
        rivals: &Rivals,
    ) -> Result<BTreeSet<Txid>, Refusal> {
        let Some((&kept, &coin)) = rivals.first_key_value() else { return Ok(BTreeSet::new()) };
        self.check_rules(tx, paid, ancestors, rivals)
            .map_err(|reject| Refusal { conflict: Some((kept, coin)), ..reject.into() })
    }

    fn check_rules(
        &self,
        tx: &Transaction,
        paid: Package,
        ancestors: &BTreeSet<Txid>,
        rivals: &Rivals,
    ) -> Result<BTreeSet<Txid>, Reject> {
        // Core: `EntriesAndTxidsDisjoint`
        if rivals.keys().any(|rival| ancestors.contains(rival)) {
            return Err(Reject::SpendsConflicting);
        }
        // BIP 125, rule 1: "the original transactions signal replaceability"
        if !self.limits.full_rbf && rivals.keys().any(|rival| !self.signals_replacement(rival)) {
            return Err(Reject::MempoolConflict);
        }
        // rule 5: "the number of original transactions to be replaced and their descendant transactions [...] must not
        // exceed a total of 100"
        let count: u32 = rivals.keys().map(|rival| self.indexed(rival).descendants.count).sum();
        if count > MAX_REPLACED {
            return Err(Reject::TooManyReplacements);
        }
        // rule 2: "the replacement transaction may only include an unconfirmed input if that input was included in one
        // of the original transactions"
        let theirs: BTreeSet<Txid> = rivals
            .keys()
            .flat_map(|rival| &self.indexed(rival).tx.inputs)
            .map(|input| input.prevout.txid)
            .collect();
        if self.parents_of(tx).any(|parent| !theirs.contains(&parent.tx.txid())) {
            return Err(Reject::ReplacementAddsUnconfirmed);
        }
        // Core: `PaysMoreThanConflicts`: a miner must not be offered less for the same room
        if rivals.keys().any(|rival| paid.rate() <= self.indexed(rival).alone().rate()) {
            return Err(Reject::InsufficientFee);
        }
        let mut leaving: BTreeSet<Txid> = rivals.keys().copied().collect();
        leaving.extend(rivals.keys().flat_map(|rival| self.descendants_of(rival)));
        let lost: u64 = leaving.iter().map(|txid| self.indexed(txid).modified.0).sum();
        // rule 3: "the replacement transaction pays an absolute fee of at least the sum paid by the original transactions"
        // rule 4: "the additional fees (difference between absolute fee paid by the replacement transaction and the sum
        // paid by the original transactions) pays for the replacement transaction's bandwidth"
        let relay = FeeRate::per_kilobyte(INCREMENTAL_FEE).fee_for(paid.size);
        if paid.fees.0 < lost.saturating_add(relay.0) {
            return Err(Reject::InsufficientFee);
        }
        Ok(leaving)
    }

    /// BIP 125: "a transaction that has not opted in may be replaceable [...] if any of its ancestors signals".
    #[must_use]
    pub fn signals_replacement(&self, txid: &Txid) -> bool {
        let Some(entry) = self.get(txid) else { return false };
        signals(&entry.tx) || self.ancestors_of(&entry.tx).iter().any(|txid| signals(&self.indexed(txid).tx))
    }
}

/// "an nSequence number less than (0xffffffff - 1)"
fn signals(tx: &Transaction) -> bool {
    tx.inputs.iter().any(|input| input.sequence < SEQUENCE_FINAL - 1)
}
