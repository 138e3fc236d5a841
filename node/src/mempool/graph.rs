//! Who spends whom: adding and removing entries, and the sums over their packages.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use imbl::{OrdMap, OrdSet};
use tine_chain::amount::Amount;
use tine_chain::hash::Txid;
use tine_chain::transaction::{OutPoint, Transaction, TxData};

use super::{Entry, MAX_PACKAGE_COUNT, MAX_PACKAGE_SIZE, Mempool, Package, Rank, Removed};
use crate::event::Removal;

/// Outputs that are looked up one by one.
const FEW_OUTPUTS: usize = 8;

impl Mempool {
    /// The entries that `tx` spends from.
    pub fn parents_of<'a>(&'a self, tx: &'a TxData) -> impl Iterator<Item = &'a Entry> {
        tx.inputs.iter().filter_map(|input| self.get(&input.prevout.txid))
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
        let mut left = Vec::new();
        match self.entries.contains_key(txid) {
            true => self.add_children(txid, &mut left),
            // it is no entry itself: a transaction that left the chain
            false => left.extend(self.children_of(txid)),
        }
        while let Some(txid) = left.pop() {
            if found.insert(txid) {
                self.add_children(&txid, &mut left);
            }
        }
        found
    }

    /// [`Mempool::children_of`] an entry: a few look-ups are quicker than a walk through a range.
    fn add_children(&self, txid: &Txid, children: &mut Vec<Txid>) {
        let entry = self.indexed(txid);
        if entry.descendants.count == 1 {
            return;
        }
        let outputs = entry.tx.outputs.len();
        if outputs > FEW_OUTPUTS {
            return children.extend(self.children_of(txid));
        }
        let coins = (0..outputs as u32).map(|vout| entry.tx.outpoint(vout));
        children.extend(coins.filter_map(|coin| self.spender_of(&coin)));
    }

    /// Changes an entry and keeps its places in the orders right.
    pub(super) fn update(&mut self, txid: &Txid, change: impl FnOnce(&mut Entry)) {
        let entry = Arc::make_mut(self.entries.get_mut(txid).expect("packages are made of entries"));
        let (worth, appeal) = (entry.worth(), entry.appeal());
        change(entry);
        let (new_worth, new_appeal) = (entry.worth(), entry.appeal());
        move_rank(&mut self.by_worth, worth, new_worth);
        move_rank(&mut self.by_appeal, appeal, new_appeal);
    }

    /// Adds an entry whose inputs all exist and are spent by no other. Its `sequence` and packages are set here.
    pub(super) fn link(&mut self, mut entry: Entry) {
        let alone = entry.alone();
        entry.sequence = self.next_sequence;
        self.next_sequence += 1;
        self.changes += 1;
        entry.ancestors = alone;
        entry.descendants = alone;
        for ancestor in self.ancestors_of(&entry.tx) {
            entry.ancestors.add(self.indexed(&ancestor).alone());
            self.update(&ancestor, |entry| entry.descendants.add(alone));
        }
        self.bytes += alone.size;
        self.fees.0 += entry.fee.0;
        self.index(Arc::new(entry));
    }

    /// Puts an entry in its place in each of the maps.
    fn index(&mut self, entry: Arc<Entry>) {
        let txid = entry.tx.txid();
        self.by_wtxid.insert(entry.tx.wtxid(), txid);
        self.by_sequence.insert(entry.sequence, txid);
        self.by_age.insert((entry.time, entry.sequence));
        for input in &entry.tx.inputs {
            self.spends.insert(input.prevout, txid);
        }
        self.by_worth.insert(entry.worth());
        self.by_appeal.insert(entry.appeal());
        self.entries.insert(txid, entry);
    }

    /// Takes `gone` out, which are all mined and have no ancestor but each other, at once: new maps for those that stay
    /// cost less than changing seven maps for each that goes, when fewer stay than go.
    pub(super) fn unlink_together(&mut self, gone: &[Arc<Entry>]) {
        let left: BTreeSet<u64> = gone.iter().map(|entry| entry.sequence).collect();
        let stays = |(sequence, _): &(&u64, &Txid)| !left.contains(sequence);
        let staying: Vec<Arc<Entry>> = match left.len() == self.entries.len() {
            true => Vec::new(),
            false => {
                let staying = self.by_sequence.iter().filter(stays);
                staying.map(|(_, txid)| Arc::clone(self.entries.get(txid).expect("indexed"))).collect()
            }
        };
        self.changes += gone.len() as u64;
        for entry in gone {
            self.bytes -= entry.alone().size;
            self.fees.0 -= entry.fee.0;
        }
        self.entries = OrdMap::new();
        self.by_wtxid = OrdMap::new();
        self.spends = OrdMap::new();
        self.by_sequence = OrdMap::new();
        self.by_age = OrdSet::new();
        self.by_worth = OrdSet::new();
        self.by_appeal = OrdSet::new();
        // in the order of arrival: ancestors before those that spend from them
        for mut entry in staying {
            if entry.ancestors.count > 1 {
                let mut ancestors = entry.alone();
                for ancestor in self.ancestors_of(&entry.tx) {
                    ancestors.add(self.indexed(&ancestor).alone());
                }
                Arc::make_mut(&mut entry).ancestors = ancestors;
            }
            self.index(entry);
        }
    }

    /// Takes one entry out, and it alone: its descendants stay, for what they spend is on the chain now.
    pub(super) fn unlink(&mut self, txid: &Txid) -> Option<Arc<Entry>> {
        let entry = Arc::clone(self.entries.get(txid)?);
        let alone = entry.alone();
        // most have no relatives here, and the packages say so: nothing is looked for in vain
        if entry.ancestors.count > 1 {
            for ancestor in self.ancestors_of(&entry.tx) {
                self.update(&ancestor, |entry| entry.descendants.subtract(alone));
            }
        }
        if entry.descendants.count > 1 {
            for descendant in self.descendants_of(txid) {
                self.update(&descendant, |entry| entry.ancestors.subtract(alone));
            }
        }
        self.entries.remove(txid);
        self.changes += 1;
        self.bytes -= alone.size;
        self.fees.0 -= entry.fee.0;
        self.by_wtxid.remove(&entry.tx.wtxid());
        self.by_sequence.remove(&entry.sequence);
        self.by_age.remove(&(entry.time, entry.sequence));
        self.by_worth.remove(&entry.worth());
        self.by_appeal.remove(&entry.appeal());
        for input in &entry.tx.inputs {
            self.spends.remove(&input.prevout);
        }
        Some(entry)
    }

    /// Takes an entry out with everything that depends on it. Returned in the order of arrival.
    pub(super) fn unlink_with_descendants(&mut self, txid: &Txid) -> Vec<Arc<Entry>> {
        let mut doomed: Vec<u64> =
            self.descendants_of(txid).iter().map(|txid| self.indexed(txid).sequence).collect();
        doomed.extend(self.entries.get(txid).map(|entry| entry.sequence));
        doomed.sort_unstable();
        // the last to arrive has no descendants left when its turn comes
        let mut removed: Vec<Arc<Entry>> = doomed
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
        gone.into_iter().map(|entry| (entry.tx.clone(), why.clone())).collect()
    }

    /// Whether `tx` and its `ancestors` here keep the limits, and each of those with its descendants, after `leaving`
    /// have left.
    pub(super) fn keeps_limits(
        &self,
        tx: &Transaction,
        ancestors: &BTreeSet<Txid>,
        leaving: &BTreeSet<Txid>,
    ) -> bool {
        let alone = Package::of(tx, Amount::ZERO);
        let mut package = alone;
        for ancestor in ancestors {
            package.add(self.indexed(ancestor).alone());
            if !package.fits() {
                return false;
            }
        }
        let mut lost: BTreeMap<Txid, Package> = BTreeMap::new();
        for leaver in leaving.iter().map(|txid| self.indexed(txid)) {
            for ancestor in self.ancestors_of(&leaver.tx) {
                lost.entry(ancestor).or_default().add(leaver.alone());
            }
        }
        ancestors.iter().all(|ancestor| {
            let mut package = self.indexed(ancestor).descendants;
            package.add(alone);
            package.subtract(lost.get(ancestor).copied().unwrap_or_default());
            package.fits()
        })
    }
}

fn move_rank(order: &mut OrdSet<Rank>, from: Rank, to: Rank) {
    // ranks of one entry differ in the rate alone
    if from != to {
        order.remove(&from);
        order.insert(to);
    }
}

impl Package {
    /// Whether it is within the limits.
    fn fits(self) -> bool {
        self.count <= MAX_PACKAGE_COUNT && self.size <= MAX_PACKAGE_SIZE
    }
}
