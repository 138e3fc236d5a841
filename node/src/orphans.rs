//! Transactions whose parents are not known yet.
//!
//! Bounded in number, in bytes and by peer: who floods it evicts only their own (CVE-2012-3789). When a parent comes,
//! its children are queued and judged a few in each call (CVE-2024-52914).

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use tine_chain::hash::{Txid, Wtxid};
use tine_chain::transaction::{OutPoint, Transaction};

use crate::event::PeerId;

/// The most orphans (Core: `DEFAULT_MAX_ORPHAN_TRANSACTIONS`).
pub(crate) const MAX_ORPHANS: usize = 100;
/// The most orphans of one peer.
pub(crate) const MAX_ORPHANS_PER_PEER: usize = 25;
/// The largest orphan, in bytes (Core: "transactions larger than 100k are ignored").
pub(crate) const MAX_ORPHAN_SIZE: usize = 100_000;

/// An orphan, and who told of it.
#[derive(Debug, Clone)]
struct Orphan {
    tx: Arc<Transaction>,
    /// The first is charged with its place.
    announcers: Vec<PeerId>,
    sequence: u64,
}

/// The pool of orphans.
#[derive(Debug, Clone, Default)]
pub(crate) struct Orphans {
    orphans: BTreeMap<Wtxid, Orphan>,
    /// Which orphans spend a coin.
    by_coin: BTreeMap<OutPoint, BTreeSet<Wtxid>>,
    /// Orphans of which a parent has come.
    ready: VecDeque<Wtxid>,
    next_sequence: u64,
}

impl Orphans {
    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.orphans.len()
    }

    /// The transactions, by id.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<Transaction>> {
        self.orphans.values().map(|orphan| &orphan.tx)
    }

    /// Whether it is here.
    pub(crate) fn contains(&self, wtxid: &Wtxid) -> bool {
        self.orphans.contains_key(wtxid)
    }

    /// Keeps `tx` on behalf of `peer`. Returns whether it is here now.
    pub(crate) fn insert(&mut self, tx: Arc<Transaction>, peer: PeerId) -> bool {
        if let Some(orphan) = self.orphans.get_mut(&tx.wtxid()) {
            if !orphan.announcers.contains(&peer) {
                orphan.announcers.push(peer);
            }
            return true;
        }
        if tx.size() > MAX_ORPHAN_SIZE {
            return false;
        }
        if self.count_of(peer) >= MAX_ORPHANS_PER_PEER {
            self.evict_oldest_of(peer);
        }
        if self.orphans.len() >= MAX_ORPHANS {
            self.evict_oldest_of(self.greediest());
        }
        let wtxid = tx.wtxid();
        for input in &tx.inputs {
            self.by_coin.entry(input.prevout).or_default().insert(wtxid);
        }
        let sequence = self.next_sequence;
        self.next_sequence += 1;
        self.orphans.insert(wtxid, Orphan { tx, announcers: vec![peer], sequence });
        true
    }

    fn count_of(&self, peer: PeerId) -> usize {
        self.orphans.values().filter(|orphan| orphan.announcers.first() == Some(&peer)).count()
    }

    /// The peer that most orphans are charged to, the lowest number of equals.
    fn greediest(&self) -> PeerId {
        let mut counts: BTreeMap<PeerId, usize> = BTreeMap::new();
        for orphan in self.orphans.values() {
            *counts.entry(orphan.announcers[0]).or_default() += 1;
        }
        let most = counts.iter().max_by_key(|(peer, count)| (**count, std::cmp::Reverse(**peer)));
        most.map(|(peer, _)| *peer).expect("called when the pool is full")
    }

    fn evict_oldest_of(&mut self, peer: PeerId) {
        let of_peer = self.orphans.iter().filter(|(_, orphan)| orphan.announcers.first() == Some(&peer));
        if let Some(wtxid) = of_peer.min_by_key(|(_, orphan)| orphan.sequence).map(|(wtxid, _)| *wtxid) {
            self.remove(&wtxid);
        }
    }

    /// Takes an orphan out. Returns it and who told of it.
    pub(crate) fn remove(&mut self, wtxid: &Wtxid) -> Option<(Arc<Transaction>, Vec<PeerId>)> {
        let orphan = self.orphans.remove(wtxid)?;
        for input in &orphan.tx.inputs {
            if let Some(spenders) = self.by_coin.get_mut(&input.prevout) {
                spenders.remove(wtxid);
                if spenders.is_empty() {
                    self.by_coin.remove(&input.prevout);
                }
            }
        }
        Some((orphan.tx, orphan.announcers))
    }

    /// A peer has left: what only it told of goes with it.
    pub(crate) fn forget(&mut self, peer: PeerId) {
        let mut alone = Vec::new();
        for (wtxid, orphan) in &mut self.orphans {
            orphan.announcers.retain(|announcer| *announcer != peer);
            if orphan.announcers.is_empty() {
                alone.push(*wtxid);
            }
        }
        for wtxid in alone {
            self.remove(&wtxid);
        }
    }

    fn children_of(&self, txid: Txid) -> BTreeSet<Wtxid> {
        let coins = OutPoint { txid, vout: 0 }..=OutPoint { txid, vout: u32::MAX };
        self.by_coin.range(coins).flat_map(|(_, spenders)| spenders).copied().collect()
    }

    /// `txid` exists now: its children are to be judged.
    pub(crate) fn parent_came(&mut self, txid: Txid) {
        for child in self.children_of(txid) {
            if !self.ready.contains(&child) {
                self.ready.push_back(child);
            }
        }
    }

    /// `txid` will never exist: nor will its children.
    pub(crate) fn parent_refused(&mut self, txid: Txid) {
        for child in self.children_of(txid) {
            self.remove(&child);
        }
    }

    /// A block has `tx`: it and its rivals are no orphans any more, and its children have a parent.
    pub(crate) fn mined(&mut self, tx: &Transaction) {
        if self.orphans.is_empty() {
            return;
        }
        for input in &tx.inputs {
            for spender in self.by_coin.get(&input.prevout).cloned().unwrap_or_default() {
                self.remove(&spender);
            }
        }
        self.parent_came(tx.txid());
    }

    /// The next orphan to be judged, taken out.
    pub(crate) fn next_ready(&mut self) -> Option<(Arc<Transaction>, Vec<PeerId>)> {
        while let Some(wtxid) = self.ready.pop_front() {
            if let Some(orphan) = self.remove(&wtxid) {
                return Some(orphan);
            }
        }
        None
    }

    /// Whether orphans wait to be judged.
    pub(crate) fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }
}
