//! Who spends whom: adding and removing entries, and the sums over their packages.

use std::collections::BTreeSet;
use std::sync::Arc;

use tine_chain::hash::Txid;
use tine_chain::transaction::{OutPoint, Transaction, TxData};

use super::{Entry, Mempool, Package, Removed};
use crate::event::Removal;

impl Mempool {
    /// The entries that `tx` spends from.
    pub fn parents_of<'a>(&'a self, tx: &'a TxData) -> impl Iterator<Item = &'a Entry> {
        tx.inputs.iter().filter_map(|input| self.entries.get(&input.prevout.txid))
    }

    /// The ids of the entries that spend from `txid`; one that spends two outputs of it comes twice.
    pub fn children_of(&self, txid: &Txid) -> impl Iterator<Item = Txid> {
        let (first, last) = (OutPoint { txid: *txid, vout: 0 }, OutPoint { txid: *txid, vout: u32::MAX });
        self.spends.range(first..=last).map(|(_, spender)| *spender)
    }

    /// Every entry that `tx` depends on.
    #[must_use]
    pub fn ancestors_of(&self, tx: &TxData) -> BTreeSet<Txid> {
        let mut found = BTreeSet::new();
        let mut left: Vec<Txid> = self.parents_of(tx).map(|parent| parent.tx.txid()).collect();
        while let Some(txid) = left.pop() {
            if found.insert(txid) {
                left.extend(self.parents_of(&self.indexed(&txid).tx).map(|parent| parent.tx.txid()));
            }
        }
        found
    }

    /// Every entry that depends on `txid`.
    #[must_use]
    pub fn descendants_of(&self, txid: &Txid) -> BTreeSet<Txid> {
        let mut found = BTreeSet::new();
        let mut left: Vec<Txid> = self.children_of(txid).collect();
        while let Some(txid) = left.pop() {
            if found.insert(txid) {
                left.extend(self.children_of(&txid));
            }
        }
        found
    }

    /// Changes an entry and keeps its places in the orders right.
    fn update(&mut self, txid: &Txid, change: impl FnOnce(&mut Entry)) {
        let entry = self.entries.get_mut(txid).expect("packages are made of entries");
        self.by_worth.remove(&entry.worth());
        self.by_appeal.remove(&entry.appeal());
        change(entry);
        self.by_worth.insert(entry.worth());
        self.by_appeal.insert(entry.appeal());
    }

    /// Adds an entry whose inputs all exist and are spent by no other. Its `sequence` and packages are set here.
    pub(super) fn link(&mut self, mut entry: Entry) {
        let txid = entry.tx.txid();
        let alone = entry.alone();
        entry.sequence = self.next_sequence;
        self.next_sequence += 1;
        entry.ancestors = alone;
        entry.descendants = alone;
        for ancestor in self.ancestors_of(&entry.tx) {
            entry.ancestors.add(self.indexed(&ancestor).alone());
            self.update(&ancestor, |entry| entry.descendants.add(alone));
        }
        self.bytes += alone.size;
        self.by_wtxid.insert(entry.tx.wtxid(), txid);
        self.by_sequence.insert(entry.sequence, txid);
        self.spends.extend(entry.tx.inputs.iter().map(|input| (input.prevout, txid)));
        self.by_worth.insert(entry.worth());
        self.by_appeal.insert(entry.appeal());
        self.entries.insert(txid, entry);
    }

    /// Takes one entry out, and it alone: its descendants stay, for what they spend is on the chain now.
    pub(super) fn unlink(&mut self, txid: &Txid) -> Option<Entry> {
        let alone = self.entries.get(txid)?.alone();
        for ancestor in self.ancestors_of(&self.indexed(txid).tx) {
            self.update(&ancestor, |entry| entry.descendants.subtract(alone));
        }
        for descendant in self.descendants_of(txid) {
            self.update(&descendant, |entry| entry.ancestors.subtract(alone));
        }
        let entry = self.entries.remove(txid)?;
        self.bytes -= alone.size;
        self.by_wtxid.remove(&entry.tx.wtxid());
        self.by_sequence.remove(&entry.sequence);
        self.by_worth.remove(&entry.worth());
        self.by_appeal.remove(&entry.appeal());
        for input in &entry.tx.inputs {
            self.spends.remove(&input.prevout);
        }
        Some(entry)
    }

    /// Takes an entry out with everything that depends on it. Returned in the order of arrival.
    pub(super) fn unlink_with_descendants(&mut self, txid: &Txid) -> Vec<Entry> {
        let mut doomed: Vec<u64> =
            self.descendants_of(txid).iter().map(|txid| self.indexed(txid).sequence).collect();
        doomed.extend(self.entries.get(txid).map(|entry| entry.sequence));
        doomed.sort_unstable();
        // the last to arrive has no descendants left when its turn comes
        let mut removed: Vec<Entry> = doomed
            .iter()
            .rev()
            .filter_map(|sequence| {
                let txid = *self.by_sequence.get(sequence)?;
                self.unlink(&txid)
            })
            .collect();
        removed.reverse();
        removed
    }

    /// [`Mempool::unlink_with_descendants`], all for one reason.
    pub(super) fn remove(&mut self, txid: &Txid, why: &Removal) -> Removed {
        let gone = self.unlink_with_descendants(txid);
        gone.into_iter().map(|entry| (entry.tx, why.clone())).collect()
    }

    /// What `tx` would be together with its ancestors here, and whether they and it stay within the count limits.
    pub(super) fn package_of(&self, tx: &Arc<Transaction>, limit: u32) -> Option<BTreeSet<Txid>> {
        let ancestors = self.ancestors_of(tx);
        let counted = u32::try_from(ancestors.len()).ok()?.checked_add(1)?;
        let fits = |txid: &Txid| self.indexed(txid).descendants.count < limit;
        (counted <= limit && ancestors.iter().all(fits)).then_some(ancestors)
    }
}

impl Entry {
    /// An entry that is not linked yet.
    pub(super) fn unlinked(
        tx: Arc<Transaction>,
        fee: tine_chain::amount::Amount,
        time: tine_chain::time::Time,
        height: u32,
        fragile: bool,
    ) -> Self {
        let alone = Package::of(&tx, fee);
        Self { tx, fee, time, height, sequence: 0, ancestors: alone, descendants: alone, fragile }
    }
}
