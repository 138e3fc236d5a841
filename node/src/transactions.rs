//! Relay of transactions: gossip, orphans, and the exchange of mempools after a connection is made.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tine_chain::hash::{Txid, Wtxid};
use tine_chain::reject::{Fault, Reject};
use tine_chain::store::StoreError;
use tine_chain::time::Time;
use tine_chain::transaction::Transaction;

use crate::event::{Action, Notice, PeerId, Verdict};
use crate::mempool::{Acceptable, Refusal};
use crate::node::Node;
use crate::peers::{MAX_WANTED_TRANSACTIONS, Offence, SyncState};
use crate::relay::verdict;
use crate::wire::{Gossip, MAX_MEMPOOL_IDS, Request};

/// Orphans that one call judges (CVE-2024-52914).
const MAX_ORPHANS_PER_CALL: usize = 16;
/// Transactions asked for in one request of an exchange.
const EXCHANGE_BATCH: usize = 100;
/// Transactions of one exchange that are gossiped on: others may lack them too, after a partition.
pub(crate) const EXCHANGE_GOSSIP: u32 = 200;
/// How long after an exchange a peer may be asked for the ids of its mempool again, for the parents of an orphan.
pub(crate) const EXCHANGE_INTERVAL: Duration = Duration::from_secs(10);

impl Node {
    /// Offers a transaction to the mempool, and tells what came of it.
    pub(crate) fn accept_transaction(
        &mut self,
        tx: &Arc<Transaction>,
    ) -> Result<Result<Txid, Refusal>, StoreError> {
        Ok(match self.judge_transaction(tx)? {
            Ok(acceptable) => self.take_transaction(acceptable, self.now),
            Err(refusal) => Err(refusal),
        })
    }

    /// Whether the mempool would take a transaction. An attempt to spend a coin twice is told.
    pub(crate) fn judge_transaction(
        &mut self,
        tx: &Arc<Transaction>,
    ) -> Result<Result<Acceptable, Refusal>, StoreError> {
        // it is about to be judged again after a reorganisation
        if self.mempool.has_returning() && self.mempool.is_returning(&tx.txid()) {
            return Ok(Err(Reject::AlreadyInMempool.into()));
        }
        let verdict = self.mempool.check(&mut self.chain, tx)?;
        if let Err(Refusal { conflict: Some((kept, coin)), .. }) = &verdict {
            self.relay.remember(tx.clone());
            self.notify(Notice::DoubleSpendAttempt { refused: tx.txid(), kept: *kept, coin: *coin });
        }
        Ok(verdict)
    }

    /// Takes in what was found acceptable just now, as if it had come at `since`.
    pub(crate) fn take_transaction(&mut self, acceptable: Acceptable, since: Time) -> Result<Txid, Refusal> {
        let tx = acceptable.tx.clone();
        let (outcome, removed) = self.mempool.insert(acceptable, since);
        if outcome.is_ok() {
            self.transaction_added(&tx);
        }
        self.notify_removed(removed);
        outcome.map(|()| tx.txid()).map_err(Refusal::from)
    }

    pub(crate) fn transaction_added(&mut self, tx: &Arc<Transaction>) {
        self.notify(Notice::TransactionAdded(tx.clone()));
        self.orphans.remove(&tx.wtxid());
        self.orphans.parent_came(tx.txid());
    }

    /// A transaction was gossiped. Returns what gossip may do with it.
    pub(crate) fn transaction_gossiped(
        &mut self,
        peer: PeerId,
        tx: Arc<Transaction>,
    ) -> Result<Verdict, StoreError> {
        // while we catch up we can't tell a good one from a bad one
        if self.is_syncing() {
            return Ok(Verdict::Ignore);
        }
        Ok(match self.transaction_came(peer, tx)? {
            Ok(()) => Verdict::Accept,
            Err(reject) => verdict(reject),
        })
    }

    /// A peer sent a transaction: it is taken, kept as an orphan, or held against the peer.
    fn transaction_came(
        &mut self,
        peer: PeerId,
        tx: Arc<Transaction>,
    ) -> Result<Result<(), Reject>, StoreError> {
        let wtxid = tx.wtxid();
        if let Some(reject) = self.relay.refused(&wtxid) {
            self.charge_for_transaction(peer, reject);
            return Ok(Err(reject));
        }
        if self.orphans.contains(&wtxid) {
            self.orphans.insert(tx, peer);
            return Ok(Err(Reject::MissingInputs));
        }
        let refusal = match self.accept_transaction(&tx)? {
            Ok(_) => {
                if let Some(state) = self.peers.get_mut(&peer) {
                    state.last_transaction = Some(self.now);
                }
                return Ok(Ok(()));
            }
            Err(refusal) => refusal,
        };
        self.transaction_refused(&[peer], tx, &refusal);
        Ok(Err(refusal.reject))
    }

    fn transaction_refused(&mut self, senders: &[PeerId], tx: Arc<Transaction>, refusal: &Refusal) {
        let reject = refusal.reject;
        if reject == Reject::MissingInputs {
            for peer in senders {
                if self.orphans.insert(tx.clone(), *peer) {
                    self.want_mempool_of(*peer);
                }
            }
            return;
        }
        if reject != Reject::AlreadyInMempool {
            self.relay.refuse(tx.wtxid(), reject);
        }
        if reject.fault() == Fault::Invalid && !is_about_witness(reject) {
            self.orphans.parent_refused(tx.txid());
        }
        for peer in senders {
            self.charge_for_transaction(*peer, reject);
        }
    }

    fn charge_for_transaction(&mut self, peer: PeerId, reject: Reject) {
        self.charge(peer, Offence::Broke(reject));
    }

    /// Judges some of the orphans of which a parent has come.
    pub(crate) fn judge_ready_orphans(&mut self) -> Result<(), StoreError> {
        for _ in 0..MAX_ORPHANS_PER_CALL {
            let Some((tx, senders)) = self.orphans.next_ready() else { break };
            match self.accept_transaction(&tx)? {
                Ok(_) => {
                    if !self.judge_held(&tx.wtxid(), Verdict::Accept) {
                        self.out.push(Action::Publish(Gossip::Transaction(tx)));
                    }
                }
                Err(refusal) => {
                    if refusal.reject != Reject::MissingInputs {
                        self.judge_held(&tx.wtxid(), verdict(refusal.reject));
                    }
                    self.transaction_refused(&senders, tx, &refusal);
                }
            }
        }
        Ok(())
    }

    // -- the exchange of mempools

    /// The peer has parents that we lack: its mempool is worth a look, if we have not just looked.
    fn want_mempool_of(&mut self, peer: PeerId) {
        let next = self.now + EXCHANGE_INTERVAL;
        if let Some(state) = self.peers.get_mut(&peer)
            && state.mempool_due.is_none()
            && state.mempool_again <= self.now
        {
            state.mempool_due = Some(self.now);
            state.mempool_again = next;
            self.quiet = None;
        }
    }

    /// Asks peers that have just come for what their mempools have, once we are where they are.
    pub(crate) fn exchange_mempools(&mut self) {
        if self.is_syncing() {
            return;
        }
        let ready: Vec<PeerId> = self
            .peers
            .values()
            .filter(|peer| peer.sync == SyncState::Synced && peer.may_ask())
            .filter(|peer| peer.mempool_due.is_some_and(|due| due <= self.now) || !peer.wanted.is_empty())
            .map(|peer| peer.id)
            .collect();
        for peer in ready {
            let Some(state) = self.peers.get_mut(&peer) else { continue };
            if state.mempool_due.take_if(|due| *due <= self.now).is_some() {
                state.mempool_again = self.now + EXCHANGE_INTERVAL;
                state.gossip_left = EXCHANGE_GOSSIP;
                self.ask(peer, Request::Mempool);
            }
            self.ask_for_wanted(peer);
        }
    }

    /// Asks for the next of the transactions that a peer has and we lack, one request at a time.
    fn ask_for_wanted(&mut self, peer: PeerId) {
        let Some(state) = self.peers.get(&peer) else { return };
        let asks = |id| {
            let open = self.requests.get(id).filter(|open| !open.overdue);
            open.is_some_and(|open| matches!(open.request, Request::Transactions(_)))
        };
        if state.wanted.is_empty() || state.requests.iter().any(asks) {
            return;
        }
        let mut wanted = state.wanted.clone();
        let mut batch = Vec::new();
        while batch.len() < EXCHANGE_BATCH
            && let Some(id) = wanted.pop_front()
        {
            if self.lacks_transaction(&id) {
                batch.push(id);
            }
        }
        if let Some(state) = self.peers.get_mut(&peer) {
            state.wanted = wanted;
        }
        if !batch.is_empty() {
            self.ask(peer, Request::Transactions(batch));
        }
    }

    fn lacks_transaction(&self, id: &Wtxid) -> bool {
        self.mempool.get_by_wtxid(id).is_none()
            && !self.orphans.contains(id)
            && self.relay.refused(id).is_none()
    }

    pub(crate) fn mempool_came(&mut self, peer: PeerId, ids: Vec<Wtxid>) {
        if ids.len() > MAX_MEMPOOL_IDS {
            return self.charge(peer, Offence::TooLong);
        }
        let lacked = ids.into_iter().filter(|id| self.lacks_transaction(id));
        let wanted = lacked.take(MAX_WANTED_TRANSACTIONS).collect();
        if let Some(state) = self.peers.get_mut(&peer) {
            state.wanted = wanted;
        }
    }

    pub(crate) fn transactions_came(
        &mut self,
        peer: PeerId,
        asked: &[Wtxid],
        transactions: Vec<Arc<Transaction>>,
    ) -> Result<(), StoreError> {
        // "those of the transactions asked for that are there"
        let mut open: BTreeSet<Wtxid> = asked.iter().copied().collect();
        for tx in transactions {
            if !open.remove(&tx.wtxid()) {
                self.charge(peer, Offence::WrongAnswer);
                return Ok(());
            }
            if self.transaction_came(peer, tx.clone())?.is_ok() {
                self.gossip_on(peer, tx);
            }
            if !self.is_here(peer) {
                return Ok(());
            }
        }
        for id in open {
            self.notify(Notice::Wanted(id));
        }
        Ok(())
    }

    fn gossip_on(&mut self, peer: PeerId, tx: Arc<Transaction>) {
        let Some(state) = self.peers.get_mut(&peer).filter(|state| state.gossip_left > 0) else { return };
        state.gossip_left -= 1;
        self.out.push(Action::Publish(Gossip::Transaction(tx)));
    }
}

/// Whether the rule is about witnesses: then the same transaction may come with a good one.
fn is_about_witness(reject: Reject) -> bool {
    matches!(
        reject,
        Reject::WitnessCount
            | Reject::WitnessDecode
            | Reject::WitnessMismatch
            | Reject::WeakKey
            | Reject::BadSignature
            | Reject::BadPreimage
            | Reject::UnsatisfiedAfter
            | Reject::UnsatisfiedOlder
            | Reject::TxTooLarge
    )
}
