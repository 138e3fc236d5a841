//! The node: one event in, the actions that follow from it out.
//!
//! [`Node::handle`] first answers the event, then goes on with whatever is due: connecting blocks, judging transactions
//! again, asking peers. Each of these does a bounded amount of work in one call; when more is left,
//! [`Node::deadline`] is the present, so that a driver that obeys it never waits and never blocks for long.

use std::collections::BTreeMap;
use std::time::Duration;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use tine_chain::chain::{Chain, Patience};
use tine_chain::hash::BlockHash;
use tine_chain::store::StoreError;
use tine_chain::time::Time;

use crate::config::NodeConfig;
use crate::event::{Action, Event, Notice, PeerId, PeerInfo, Removal, RequestId, SubmitId};
use crate::mempool::Mempool;
use crate::orphans::Orphans;
use crate::peers::{BAN_SCORE, Offence, PeerState, penalty};
use crate::relay::Relay;
use crate::requests::OpenRequest;
use crate::serve::Parked;
use crate::sync::{Downloads, Quiet};
use crate::template::{CoinbaseSpec, Template, TemplateError, template};

/// Transactions that one call judges again after a reorganisation.
const MAX_RETURNING_PER_CALL: usize = 256;

/// A node: its chain, its mempool, its peers. No clock, no thread, no socket.
pub struct Node {
    pub(crate) chain: Chain,
    pub(crate) config: NodeConfig,
    pub(crate) mempool: Mempool,
    pub(crate) orphans: Orphans,
    pub(crate) peers: BTreeMap<PeerId, PeerState>,
    pub(crate) requests: BTreeMap<RequestId, OpenRequest>,
    pub(crate) downloads: Downloads,
    pub(crate) relay: Relay,
    pub(crate) parked: Vec<Parked>,
    /// Blocks that were submitted and are not connected or refused yet.
    pub(crate) submitted: Vec<(SubmitId, BlockHash)>,
    /// Whether the chain has something to connect.
    pub(crate) activation_due: bool,
    /// When to ask again, when other cores are still at the next block.
    pub(crate) activation_soon: Option<Time>,
    pub(crate) next_request: u64,
    /// While nothing is to be asked of any peer.
    pub(crate) quiet: Option<Quiet>,
    /// What was decided is to be done at once: a block travels on while it is connected here.
    pub(crate) urgent: bool,
    /// The time of the latest call.
    pub(crate) now: Time,
    rng: ChaCha8Rng,
    /// What the present call has decided so far.
    pub(crate) out: Vec<Action>,
}

impl Node {
    /// A node on `chain`, without peers.
    #[must_use]
    pub fn new(chain: Chain, config: NodeConfig) -> Self {
        Self {
            mempool: Mempool::new(config.mempool),
            orphans: Orphans::default(),
            peers: BTreeMap::new(),
            requests: BTreeMap::new(),
            downloads: Downloads::default(),
            relay: Relay::default(),
            parked: Vec::new(),
            submitted: Vec::new(),
            // what was stored before a restart and not connected
            activation_due: true,
            activation_soon: None,
            next_request: 0,
            quiet: None,
            urgent: false,
            now: Time::default(),
            rng: ChaCha8Rng::seed_from_u64(config.seed),
            out: Vec::new(),
            chain,
            config,
        }
    }

    /// Takes in one event, and returns what is to be done, in order.
    ///
    /// # Errors
    /// Only when storage fails, which is fatal: the node must not be used any more.
    pub fn handle(&mut self, event: Event, now: Time) -> Result<Vec<Action>, StoreError> {
        self.now = now;
        // gossip and time alone ask nothing of peers; whatever follows from them that does says so
        if !matches!(event, Event::Gossip(..) | Event::Tick) {
            self.quiet = None;
        }
        match event {
            Event::Connected(peer, info) => self.connected(peer, info),
            Event::Disconnected(peer) => self.disconnected(peer),
            Event::Request(peer, id, request) => self.asked(peer, id, request)?,
            Event::Response(peer, id, response) => self.answered(peer, id, response)?,
            Event::RequestFailed(peer, id) => self.unanswered(peer, id),
            Event::Gossip(peer, id, gossip) => self.gossiped(peer, id, gossip)?,
            Event::Malformed(peer) => self.charge(peer, Offence::Malformed),
            Event::Submit(id, submission) => self.submit(id, submission)?,
            Event::Tick => {}
        }
        // connecting it is work enough for a call of its own, which is due now
        if std::mem::take(&mut self.urgent) && self.activation_due {
            return Ok(std::mem::take(&mut self.out));
        }
        self.advance()?;
        Ok(std::mem::take(&mut self.out))
    }

    /// When the node wants an [`Event::Tick`]: the present, when it has more work than fits one call.
    #[must_use]
    pub fn deadline(&self) -> Option<Time> {
        if self.has_work() {
            return Some(self.now);
        }
        let soon = self.activation_soon.filter(|_| self.activation_due);
        let timers = [soon, self.chain.next_retry(), self.parked_deadline(), self.held_deadline()];
        timers.into_iter().flatten().chain(self.sync_deadline()).min()
    }

    fn has_work(&self) -> bool {
        let activation = self.activation_due && self.activation_soon.is_none();
        activation || self.mempool.has_returning() || self.orphans.has_ready()
    }

    /// Goes on with whatever is due.
    pub(crate) fn advance(&mut self) -> Result<(), StoreError> {
        let removed = self.mempool.advance(self.now);
        self.notify_removed(removed);
        self.expire_requests();
        if self.activation_due || self.chain.next_retry().is_some_and(|retry| retry <= self.now) {
            self.activate(Patience::ComesBack)?;
        }
        self.judge_returning()?;
        self.judge_ready_orphans()?;
        self.expire_held();
        self.sync_with_peers();
        self.release_parked()?;
        Ok(())
    }

    /// Judges some of the transactions again that a reorganisation brought back.
    fn judge_returning(&mut self) -> Result<(), StoreError> {
        for _ in 0..MAX_RETURNING_PER_CALL {
            if !self.mempool.has_returning() {
                break;
            }
            let (added, removed) = self.mempool.return_next(&mut self.chain, self.now)?;
            self.notify_removed(removed);
            if let Some(tx) = added {
                self.orphans.parent_came(tx.txid());
                self.notify(Notice::TransactionAdded(tx));
            }
        }
        Ok(())
    }

    // -- what others may read

    /// The chain.
    #[must_use]
    pub fn chain(&self) -> &Chain {
        &self.chain
    }

    /// The mempool.
    #[must_use]
    pub fn mempool(&self) -> &Mempool {
        &self.mempool
    }

    /// The peers, by number.
    pub fn peers(&self) -> impl Iterator<Item = &PeerState> {
        self.peers.values()
    }

    /// What the node was told at its start.
    #[must_use]
    pub fn config(&self) -> &NodeConfig {
        &self.config
    }

    /// How many transactions wait for their parents.
    #[must_use]
    pub fn orphan_count(&self) -> usize {
        self.orphans.len()
    }

    /// A block to mine on `parent`, or on the tip. Only on the tip it holds transactions.
    ///
    /// # Errors
    /// When the parent is not known or not valid, or the coinbase would not be.
    pub fn template(
        &self,
        parent: Option<BlockHash>,
        now: Time,
        coinbase: &CoinbaseSpec,
    ) -> Result<Template, TemplateError> {
        template(&self.chain, &self.mempool, parent, now, coinbase)
    }

    /// Writes out what a restart would otherwise replay. Called at a clean stop.
    ///
    /// # Errors
    /// When storage fails.
    pub fn flush(&mut self) -> Result<(), StoreError> {
        self.chain.flush()
    }

    // -- peers come, go, and err

    fn connected(&mut self, peer: PeerId, info: PeerInfo) {
        self.peers.insert(peer, PeerState::new(peer, info, self.now));
    }

    fn disconnected(&mut self, peer: PeerId) {
        let Some(state) = self.peers.remove(&peer) else { return };
        self.forget_requests(state.requests);
        self.downloads.forget(peer);
        self.orphans.forget(peer);
        self.parked.retain(|parked| parked.peer != peer);
    }

    /// Charges a peer for what it did. At [`BAN_SCORE`] it goes.
    pub(crate) fn charge(&mut self, peer: PeerId, offence: Offence) {
        let cost = penalty(offence);
        let until = self.now + self.config.ban_time;
        let Some(state) = self.peers.get_mut(&peer).filter(|state| !state.gone) else { return };
        state.score = state.score.saturating_add(cost);
        let banned = state.score >= BAN_SCORE;
        if cost > 0 || offence == Offence::Stalled {
            self.out.push(Action::Punish(peer, offence));
        }
        if banned {
            self.drop_peer(peer, Some(until));
        }
    }

    /// Ends a connection. From now on nothing that the peer says counts, and what it owes is asked of others.
    pub(crate) fn drop_peer(&mut self, peer: PeerId, until: Option<Time>) {
        let Some(state) = self.peers.get_mut(&peer).filter(|state| !state.gone) else { return };
        state.gone = true;
        let requests = std::mem::take(&mut state.requests);
        self.forget_requests(requests);
        if self.downloads.headers_leader == Some(peer) {
            self.downloads.headers_leader = None;
        }
        self.quiet = None;
        self.out.push(Action::Disconnect(peer, until));
    }

    /// Whether the peer is there, and was not told to go.
    pub(crate) fn is_here(&self, peer: PeerId) -> bool {
        self.peers.get(&peer).is_some_and(|state| !state.gone)
    }

    // -- small things

    pub(crate) fn notify(&mut self, notice: Notice) {
        self.out.push(Action::Notify(notice));
    }

    pub(crate) fn notify_removed(&mut self, removed: crate::mempool::Removed) {
        for (tx, why) in removed {
            let txid = tx.txid();
            match why {
                Removal::Confirmed { .. } => {}
                // a miner may see it otherwise
                Removal::Conflicted { .. }
                | Removal::Evicted
                | Removal::Expired
                | Removal::Replaced { .. }
                | Removal::Invalid { .. } => {
                    self.relay.remember(tx);
                }
            }
            self.notify(Notice::TransactionRemoved(txid, why));
        }
    }

    pub(crate) fn random(&mut self) -> u64 {
        self.rng.next_u64()
    }

    /// `around`, give or take a quarter, so that nodes that started together don't ask together.
    pub(crate) fn jitter(&mut self, around: Duration) -> Duration {
        let quarter = u64::try_from(around.as_millis()).unwrap_or(u64::MAX) / 4;
        let spread = self.rng.next_u64() % (2 * quarter + 1);
        around - Duration::from_millis(quarter) + Duration::from_millis(spread)
    }
}
