//! Relay of blocks: judged by their header at once, then put together from what is here (BIP 152).
//!
//! A gossiped block is forwarded as soon as its header has proved its work and its coinbase looks like one; its body
//! may still turn out invalid, and nobody is blamed for passing it on. The body is put together from the mempool, the
//! orphans and a few transactions that were refused or evicted; what is missing is asked of the announcer, and when
//! that fails the whole block is fetched like any other.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tine_chain::block::MAX_BLOCK_SIZE;
use tine_chain::block::{Block, MIN_TRANSACTION_SIZE};
use tine_chain::chain::Inserted;
use tine_chain::hash::{BlockHash, Wtxid};
use tine_chain::reject::{Fault, Reject};
use tine_chain::rules;
use tine_chain::store::StoreError;
use tine_chain::time::Time;
use tine_chain::transaction::{SEQUENCE_FINAL, Transaction};

use crate::event::{Action, GossipId, PeerId, RequestId, Verdict};
use crate::node::Node;
use crate::peers::Offence;
use crate::wire::{CompactBlock, Gossip, Request, ShortId};

/// Transactions of a block that is announced before it is connected: connecting a smaller one takes no longer than
/// announcing it.
pub(crate) const LARGE_BLOCK: usize = 100;
/// Blocks remembered as relayed: the latest, which are those that may become the tip again.
const MAX_TOLD: usize = 128;
/// Refused transactions remembered until the next tip.
const MAX_REFUSED: usize = 10_000;
/// Transactions kept beside the mempool to put blocks together from (Core: `-blockreconstructionextratxn`).
const MAX_EXTRA: usize = 100;
/// Blocks that are being put together at a time.
const MAX_PARTIAL: usize = 16;
/// How far below the tip a gossiped header may fork off: deeper ones come by asking for headers.
const MAX_GOSSIP_DEPTH: u32 = 144;

/// How long the verdict on an orphan is kept back for its parent to come: gossip wants it within five seconds, and
/// passes nothing on that it was once told to drop.
const HOLD_VERDICT: Duration = Duration::from_secs(3);
/// Verdicts kept back at a time.
const MAX_HELD: usize = 200;

/// A block of which transactions are missing.
#[derive(Debug, Clone)]
pub(crate) struct Partial {
    compact: Arc<CompactBlock>,
    /// The transactions after the coinbase.
    found: Vec<Option<Arc<Transaction>>>,
}

/// What the relay remembers.
#[derive(Debug, Default)]
pub(crate) struct Relay {
    told: BTreeSet<BlockHash>,
    told_order: VecDeque<BlockHash>,
    refused: BTreeMap<Wtxid, Reject>,
    extra: VecDeque<Arc<Transaction>>,
    /// By the request for what is missing.
    partials: BTreeMap<RequestId, Partial>,
    /// Orphans that were gossiped and are not judged yet: until when they may wait.
    held: BTreeMap<GossipId, (Wtxid, Time)>,
}

impl Relay {
    /// Notes that the block was gossiped on. Returns whether that is news.
    fn tell(&mut self, hash: BlockHash) -> bool {
        if !self.told.insert(hash) {
            return false;
        }
        self.told_order.push_back(hash);
        if self.told_order.len() > MAX_TOLD
            && let Some(oldest) = self.told_order.pop_front()
        {
            self.told.remove(&oldest);
        }
        true
    }

    /// Keeps a transaction that is not in the mempool and could be in a block.
    pub(crate) fn remember(&mut self, tx: Arc<Transaction>) {
        self.extra.push_back(tx);
        if self.extra.len() > MAX_EXTRA {
            self.extra.pop_front();
        }
    }

    /// Keeps the verdict about a transaction until the next tip. By the whole id: another witness may be good.
    pub(crate) fn refuse(&mut self, wtxid: Wtxid, reject: Reject) {
        if self.refused.len() >= MAX_REFUSED {
            self.refused.clear();
        }
        self.refused.insert(wtxid, reject);
    }

    pub(crate) fn refused(&self, wtxid: &Wtxid) -> Option<Reject> {
        self.refused.get(wtxid).copied()
    }

    /// A new tip: what was refused may be acceptable now.
    pub(crate) fn new_tip(&mut self) {
        self.refused.clear();
    }

    pub(crate) fn take_partial(&mut self, id: RequestId) -> Option<Partial> {
        self.partials.remove(&id)
    }
}

/// What gossip is told about a message that is refused for `reject`.
pub(crate) fn verdict(reject: Reject) -> Verdict {
    match reject.fault() {
        Fault::Invalid | Fault::Mutated => Verdict::Reject,
        Fault::Premature | Fault::Local => Verdict::Ignore,
    }
}

impl Node {
    /// A message was gossiped. It is judged in the same call, unless it is an orphan: that waits for its parent a little.
    pub(crate) fn gossiped(&mut self, peer: PeerId, id: GossipId, gossip: Gossip) -> Result<(), StoreError> {
        if !self.is_here(peer) {
            self.out.push(Action::Judge(id, Verdict::Ignore));
            return Ok(());
        }
        match gossip {
            Gossip::Block(compact) => {
                let verdict = self.judge_compact(peer, &compact);
                // before anything else, so that the block travels on while we put it together
                self.out.push(Action::Judge(id, verdict));
                if verdict == Verdict::Accept {
                    self.urgent = compact.short_ids.len() >= LARGE_BLOCK;
                    self.reconstruct(peer, compact);
                }
                Ok(())
            }
            Gossip::Transaction(tx) => {
                let wtxid = tx.wtxid();
                let verdict = self.transaction_gossiped(peer, tx)?;
                let waits = self.orphans.contains(&wtxid) && self.relay.held.len() < MAX_HELD;
                if waits {
                    self.relay.held.insert(id, (wtxid, self.now + HOLD_VERDICT));
                } else {
                    self.out.push(Action::Judge(id, verdict));
                }
                Ok(())
            }
        }
    }

    /// An orphan has met its fate. Returns whether gossip was still waiting for it.
    pub(crate) fn judge_held(&mut self, wtxid: &Wtxid, verdict: Verdict) -> bool {
        self.judge_held_if(verdict, |held, _| held == wtxid)
    }

    /// Drops what has waited long enough.
    pub(crate) fn expire_held(&mut self) {
        let now = self.now;
        self.judge_held_if(Verdict::Ignore, |_, due| *due <= now);
    }

    fn judge_held_if(&mut self, verdict: Verdict, wanted: impl Fn(&Wtxid, &Time) -> bool) -> bool {
        let matching = self.relay.held.extract_if(.., |_, (wtxid, due)| wanted(wtxid, due));
        let before = self.out.len();
        self.out.extend(matching.map(|(id, _)| Action::Judge(id, verdict)));
        self.out.len() > before
    }

    /// When a verdict has been kept back for long enough.
    pub(crate) fn held_deadline(&self) -> Option<Time> {
        self.relay.held.values().map(|(_, due)| *due).min()
    }

    fn judge_compact(&mut self, peer: PeerId, compact: &CompactBlock) -> Verdict {
        let hash = compact.header.hash();
        if self.relay.told.contains(&hash) {
            self.learn_tip(peer, &hash);
            return Verdict::Ignore;
        }
        // "unrequested blocks with little work: ignored, not stored"
        if self.is_deep(compact) {
            return Verdict::Ignore;
        }
        // nor does one branch more than enough come in this way
        if self.proved(&[compact.header]) == Ok(false) {
            return Verdict::Ignore;
        }
        match self.accept_header(compact.header, Some(peer)) {
            Ok(_) => {}
            Err(reject) => return self.header_refused(peer, compact, reject),
        }
        if let Err(reject) = self.check_compact(compact, &hash) {
            self.charge(peer, Offence::Broke(reject));
            return verdict(reject);
        }
        self.learn_tip(peer, &hash);
        self.relay.tell(hash);
        Verdict::Accept
    }

    fn is_deep(&self, compact: &CompactBlock) -> bool {
        let parent = self.chain.tree().get(&compact.header.prev_block);
        parent.is_some_and(|parent| parent.height + MAX_GOSSIP_DEPTH < self.chain.tip().height)
    }

    fn header_refused(&mut self, peer: PeerId, compact: &CompactBlock, reject: Reject) -> Verdict {
        // its work is proved, only its place is not known: the peer can tell
        if reject == Reject::PrevBlockNotFound {
            self.ask_headers_of(peer);
            return Verdict::Ignore;
        }
        // asked for again when its time has come
        if reject == Reject::TimeTooNew {
            let ahead = self.chain.params().max_future_secs;
            let due = Time::from_secs(u64::from(compact.header.time).saturating_sub(ahead));
            if let Some(state) = self.peers.get_mut(&peer) {
                state.headers_due = state.headers_due.min(due.max(self.now + crate::sync::RETRY_DELAY));
                self.quiet = None;
            }
            return Verdict::Ignore;
        }
        // who passed it on may not have known the body that made it, or its parent, invalid
        if reject == Reject::DuplicateInvalid || reject == Reject::BadPrevBlock {
            return Verdict::Ignore;
        }
        self.charge(peer, Offence::Broke(reject));
        verdict(reject)
    }

    /// What can be said of a block in brief before its body is known, and nobody may pass on without having looked.
    fn check_compact(&self, compact: &CompactBlock, hash: &BlockHash) -> Result<(), Reject> {
        let coinbase = &compact.coinbase;
        // "Coinbase: first and only first"
        if !coinbase.is_coinbase() {
            return Err(Reject::CoinbaseMissing);
        }
        rules::check_transaction(coinbase)?;
        // BIP 54: "lock_time = height − 1 and sequence ≠ ffffffff"
        let height = self.chain.tree().get(hash).map_or(0, |entry| entry.height);
        if Some(coinbase.lock_time) != height.checked_sub(1) || coinbase.inputs[0].sequence == SEQUENCE_FINAL
        {
            return Err(Reject::CoinbaseHeight);
        }
        // "block ≤ 4,000,000 bytes"
        if coinbase.size() + compact.short_ids.len() * MIN_TRANSACTION_SIZE > MAX_BLOCK_SIZE {
            return Err(Reject::BadBlockLength);
        }
        Ok(())
    }

    /// Whether a body that was announced is worth having now, and can be connected.
    fn wants_body(&self, compact: &CompactBlock) -> bool {
        let hash = compact.header.hash();
        let tree = self.chain.tree();
        let (Some(entry), Some(parent)) = (tree.get(&hash), tree.get(&compact.header.prev_block)) else {
            return false;
        };
        !entry.body
            && parent.connectable
            && entry.work >= self.chain.tip().work
            && !self.downloads.is_in_flight(&hash)
    }

    /// Puts a block together from what is here, and asks the announcer for the rest.
    fn reconstruct(&mut self, peer: PeerId, compact: Arc<CompactBlock>) {
        if !self.wants_body(&compact) {
            return;
        }
        let hash = compact.header.hash();
        let Some(found) = self.find_transactions(&compact) else {
            // two transactions of the block share a short id
            self.ask(peer, Request::Blocks(vec![hash]));
            return;
        };
        let missing: Vec<u32> = (1u32..)
            .zip(&found)
            .filter(|(_, transaction)| transaction.is_none())
            .map(|(place, _)| place)
            .collect();
        let partial = Partial { compact, found };
        if missing.is_empty() {
            self.complete(peer, partial, None);
        } else if self.relay.partials.len() < MAX_PARTIAL
            && let Some(id) = self.ask(peer, Request::BlockTransactions(hash, missing))
        {
            self.relay.partials.insert(id, partial);
        }
    }

    /// The transactions after the coinbase as far as they are here; `None` when short ids repeat.
    fn find_transactions(&self, compact: &CompactBlock) -> Option<Vec<Option<Arc<Transaction>>>> {
        let mut places: BTreeMap<ShortId, usize> = BTreeMap::new();
        for (place, id) in compact.short_ids.iter().enumerate() {
            if places.insert(*id, place).is_some() {
                return None;
            }
        }
        let key = compact.key();
        let mut found: Vec<Option<Arc<Transaction>>> = vec![None; compact.short_ids.len()];
        let mut ambiguous = BTreeSet::new();
        let known = self.mempool.transactions().chain(self.orphans.iter());
        for tx in known.chain(&self.relay.extra) {
            let Some(&place) = places.get(&key.short_id(&tx.wtxid())) else { continue };
            match &found[place] {
                Some(other) if other.wtxid() != tx.wtxid() => {
                    ambiguous.insert(place);
                }
                Some(_) | None => found[place] = Some(tx.clone()),
            }
        }
        for place in ambiguous {
            found[place] = None;
        }
        Some(found)
    }

    /// The missing transactions of a block came.
    pub(crate) fn block_transactions_came(
        &mut self,
        peer: PeerId,
        partial: Partial,
        places: &[u32],
        transactions: Vec<Arc<Transaction>>,
    ) {
        // "none if the block is not there": the whole block will be fetched, of whoever has it
        if transactions.is_empty() {
            return;
        }
        let Partial { compact, mut found } = partial;
        let key = compact.key();
        let fits = places.iter().zip(&transactions).all(|(place, tx)| {
            compact.short_ids.get(*place as usize - 1) == Some(&key.short_id(&tx.wtxid()))
        });
        if transactions.len() != places.len() || !fits {
            return self.charge(peer, Offence::WrongAnswer);
        }
        for (place, tx) in places.iter().zip(transactions) {
            found[*place as usize - 1] = Some(tx);
        }
        self.complete(peer, Partial { compact, found }, Some(peer));
    }

    /// All transactions are there. `vouched` is who served some of them: only a connected block is served.
    fn complete(&mut self, peer: PeerId, partial: Partial, vouched: Option<PeerId>) {
        let Partial { compact, found } = partial;
        let mut transactions = vec![compact.coinbase.clone()];
        transactions.extend(found.into_iter().flatten());
        let block = Block { header: compact.header.header(), transactions };
        let hash = compact.header.hash();
        match self.receive_block(compact.header, Arc::new(block), None) {
            Ok(Inserted::New) => {
                self.gave_block(peer);
                if let Some(peer) = vouched {
                    self.downloads.set_server(hash, peer);
                }
            }
            Ok(Inserted::Duplicate) => {}
            // a short id matched another transaction than the miner's: nobody's fault
            Err(reject) if reject.fault() == Fault::Mutated => {
                self.ask(peer, Request::Blocks(vec![hash]));
            }
            Err(reject) => {
                if let Some(peer) = vouched {
                    self.charge_for_header(peer, &compact.header, reject);
                }
            }
        }
    }

    /// Gossips a block, unless that has been done.
    ///
    /// The nonce is our own, so the message is another than the one in which others announce the same block: gossip
    /// would drop ours as a duplicate where theirs came too early to be judged.
    pub(crate) fn publish_block(&mut self, block: &Block) {
        if !self.relay.tell(block.hash()) {
            return;
        }
        let nonce = self.random();
        if let Some(compact) = CompactBlock::new(block, nonce) {
            self.out.push(Action::Publish(Gossip::Block(Arc::new(compact))));
        }
    }
}
