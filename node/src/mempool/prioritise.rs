//! What an operator counts a transaction's fee for.

use tine_chain::amount::Amount;
use tine_chain::hash::Txid;

use super::Mempool;

impl Mempool {
    /// Adds `delta` base units to what `txid` counts as paying, for mining, eviction and replacement; the transaction
    /// need not be here yet (Core: `PrioritiseTransaction`). A block that has it ends that.
    pub fn prioritise(&mut self, txid: Txid, delta: i64) {
        let total = self.delta(&txid).saturating_add(delta);
        if total == 0 {
            self.deltas.remove(&txid);
        } else {
            self.deltas.insert(txid, total);
        }
        let Some(entry) = self.get(&txid) else { return };
        let before = entry.alone();
        let modified = self.modified_fee(&txid, entry.fee);
        let ancestors = self.ancestors_of(&entry.tx);
        let descendants = self.descendants_of(&txid);
        self.update(&txid, |entry| {
            entry.modified = modified;
            entry.ancestors.refee(before.fees, modified);
            entry.descendants.refee(before.fees, modified);
        });
        for ancestor in ancestors {
            self.update(&ancestor, |entry| entry.descendants.refee(before.fees, modified));
        }
        for descendant in descendants {
            self.update(&descendant, |entry| entry.ancestors.refee(before.fees, modified));
        }
        self.changes += 1;
    }

    /// What [`Mempool::prioritise`] has added to the fee of `txid`, in base units.
    #[must_use]
    pub fn delta(&self, txid: &Txid) -> i64 {
        self.deltas.get(txid).copied().unwrap_or(0)
    }

    /// Every transaction that was prioritised, by id, whether or not it is here.
    pub fn deltas(&self) -> impl Iterator<Item = (Txid, i64)> {
        self.deltas.iter().map(|(txid, delta)| (*txid, *delta))
    }

    /// What a fee counts for: never less than nothing, never more than all money.
    pub(super) fn modified_fee(&self, txid: &Txid, fee: Amount) -> Amount {
        let modified = fee.0.saturating_add_signed(self.delta(txid));
        Amount(modified.min(tine_chain::amount::MAX_MONEY.0))
    }
}

impl super::Package {
    fn refee(&mut self, before: Amount, after: Amount) {
        self.fees.0 = self.fees.0 - before.0 + after.0;
    }
}
