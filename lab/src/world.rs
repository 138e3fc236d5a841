//! The scheduler: one queue of happenings to come, ordered by (time, sequence), and the hosts they happen to.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tine_chain::chain::{Chain, ChainOptions};
use tine_chain::hash::{BlockHash, Lock};
use tine_chain::signature::Parallel;
use tine_chain::store::StoreError;
use tine_chain::store::memory::MemoryStore;
use tine_chain::time::Time;
use tine_node::event::{
    Action, Event, GossipId, Notice, PeerId, PeerInfo, RequestId, Submission, SubmitId, Verdict,
};
use tine_node::template::CoinbaseSpec;
use tine_node::wire::Gossip;
use tine_node::{Node, NodeConfig};

use crate::log::{EventLog, Happening};
use crate::mining::{TOTAL_HASHRATE, lab_params, sample_interval, solve};
use crate::network::Links;
use crate::scenario::Scenario;

/// Virtual time at which a run may go on after its last block, for the nodes to agree.
const SETTLE: Duration = Duration::from_secs(120);

/// A node and what the world keeps for it.
struct Host {
    node: Node,
    rng: ChaCha8Rng,
    hashrate: f64,
    /// The draw that is in force: a new tip makes a new one, and the old one's event is dropped.
    mining_draw: u64,
    /// When a tick is due.
    tick: Option<Time>,
    /// Ids of gossip that the host has had, by content.
    heard: BTreeSet<[u8; 32]>,
    /// Gossip that awaits the node's verdict: what it is, and whom it came from.
    pending: BTreeMap<GossipId, (PeerId, Gossip)>,
    /// Requests that the host must answer: which connection they came by, and the asker's number.
    asked: BTreeMap<RequestId, (PeerId, RequestId)>,
    /// Requests that the host awaits an answer to, by connection.
    awaited: BTreeSet<(PeerId, RequestId)>,
}

/// Something that is going to happen.
enum Coming {
    Event(usize, PeerId, Message),
    Tick(usize),
    Found(usize, u64),
}

/// What travels along a link.
enum Message {
    Request(RequestId, tine_node::wire::Request),
    Response(RequestId, tine_node::wire::Response),
    Gossip(Gossip),
}

/// A run in progress.
pub struct World {
    scenario: Scenario,
    now: Time,
    start: Time,
    queue: BTreeMap<(Time, u64), Coming>,
    sequence: u64,
    hosts: Vec<Host>,
    links: Links,
    network_rng: ChaCha8Rng,
    next_id: u64,
    mined: u32,
    /// Blocks found when the partition began, while it lasts.
    split_at: Option<u32>,
    healed: bool,
    log: EventLog,
}

/// What a run came to.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Outcome {
    /// The seed it was run under.
    pub seed: u64,
    /// SHA-256 of the event log.
    pub event_hash: String,
    /// Lines in the event log.
    pub events: usize,
    /// Blocks that were found.
    pub mined: u32,
    /// Height of the tip of the first node.
    pub height: u32,
    /// Different tips at the end: 1 when all agree.
    pub tips: usize,
    /// Blocks that were found and are not part of the first node's chain.
    pub stale: u32,
    /// Reorganisations, over all nodes.
    pub reorgs: usize,
    /// The deepest of them, in blocks given up.
    pub deepest_reorg: usize,
    /// Mean seconds between blocks of the first node's chain, by their headers' times.
    pub mean_interval_secs: f64,
    /// Virtual time that passed, in seconds.
    pub virtual_secs: u64,
}

impl World {
    /// A world at its beginning: all nodes at the genesis, all links up, mining about to start.
    ///
    /// # Errors
    /// Never with the memory store; the type says that opening a chain may fail.
    pub fn new(scenario: Scenario) -> Result<Self, StoreError> {
        let params = lab_params();
        let start = Time::from_secs(u64::from(params.genesis.time) + 1);
        let mut seeds = ChaCha8Rng::seed_from_u64(scenario.seed);
        let mut hosts = Vec::with_capacity(scenario.nodes);
        for _ in 0..scenario.nodes {
            let options = ChainOptions { parallel: Parallel::Inline, ..ChainOptions::default() };
            let chain = Chain::open(params.clone(), Box::new(MemoryStore::new()), options)?;
            let config = NodeConfig { seed: seeds.random(), ..NodeConfig::new(params.clone()) };
            hosts.push(Host {
                node: Node::new(chain, config),
                rng: ChaCha8Rng::seed_from_u64(seeds.random()),
                hashrate: TOTAL_HASHRATE / scenario.nodes as f64,
                mining_draw: 0,
                tick: None,
                heard: BTreeSet::new(),
                pending: BTreeMap::new(),
                asked: BTreeMap::new(),
                awaited: BTreeSet::new(),
            });
        }
        let mut network_rng = ChaCha8Rng::seed_from_u64(seeds.random());
        let links = Links::random(scenario.nodes, scenario.degree, scenario.latency, &mut network_rng);
        Ok(Self {
            now: start,
            start,
            queue: BTreeMap::new(),
            sequence: 0,
            hosts,
            links,
            network_rng,
            next_id: 0,
            mined: 0,
            split_at: None,
            healed: false,
            log: EventLog::new(start),
            scenario,
        })
    }

    /// Runs the scenario to its end, and tells `progress` how many blocks have been found, each time one is.
    ///
    /// # Errors
    /// When a node's storage fails.
    pub fn run(mut self, mut progress: impl FnMut(u32)) -> Result<(Outcome, EventLog), StoreError> {
        self.connect()?;
        for host in 0..self.hosts.len() {
            self.draw(host);
        }
        let mut end = None;
        while let Some(((time, _), coming)) = self.queue.pop_first() {
            if end.is_some_and(|end| time > end) {
                break;
            }
            self.now = time;
            let mined = self.mined;
            self.carry_out(coming)?;
            if self.mined > mined {
                progress(self.mined);
            }
            self.partition()?;
            if end.is_none() && self.mined >= self.scenario.blocks {
                self.heal()?;
                end = Some(self.now + SETTLE);
            }
        }
        Ok((self.outcome(), self.log))
    }

    fn carry_out(&mut self, coming: Coming) -> Result<(), StoreError> {
        match coming {
            Coming::Tick(host) => {
                if self.hosts[host].tick == Some(self.now) {
                    self.hosts[host].tick = None;
                    self.handle(host, Event::Tick)?;
                }
            }
            Coming::Found(host, draw) => {
                if self.hosts[host].mining_draw == draw && self.mined < self.scenario.blocks {
                    self.mine(host)?;
                }
            }
            Coming::Event(host, peer, message) => self.deliver(host, peer, message)?,
        }
        Ok(())
    }

    /// A message arrives, if its link is still up.
    fn deliver(&mut self, to: usize, from: PeerId, message: Message) -> Result<(), StoreError> {
        if self.links.route(to, from).is_none() {
            return Ok(());
        }
        let id = self.fresh_id();
        let host = &mut self.hosts[to];
        let event = match message {
            Message::Request(asker_id, request) => {
                host.asked.insert(RequestId(id), (from, asker_id));
                Event::Request(from, RequestId(id), request)
            }
            Message::Response(asker_id, response) => {
                if !host.awaited.remove(&(from, asker_id)) {
                    return Ok(());
                }
                Event::Response(from, asker_id, response)
            }
            Message::Gossip(gossip) => {
                if !host.heard.insert(gossip_id(&gossip)) {
                    return Ok(());
                }
                host.pending.insert(GossipId(id), (from, gossip.clone()));
                Event::Gossip(from, GossipId(id), gossip)
            }
        };
        self.handle(to, event)
    }

    /// Hands an event to a node and carries out what it wants.
    fn handle(&mut self, host: usize, event: Event) -> Result<(), StoreError> {
        let actions = self.hosts[host].node.handle(event, self.now)?;
        for action in actions {
            self.act(host, action)?;
        }
        self.schedule_tick(host);
        Ok(())
    }

    fn act(&mut self, host: usize, action: Action) -> Result<(), StoreError> {
        match action {
            Action::Request(peer, id, request) => {
                self.hosts[host].awaited.insert((peer, id));
                self.send(host, peer, Message::Request(id, request));
            }
            Action::Respond(peer, id, response) => {
                if let Some((_, asker_id)) = self.hosts[host].asked.remove(&id) {
                    self.send(host, peer, Message::Response(asker_id, response));
                }
            }
            Action::Publish(gossip) => {
                self.hosts[host].heard.insert(gossip_id(&gossip));
                self.forward(host, None, &gossip);
            }
            Action::Judge(id, verdict) => {
                if let Some((from, gossip)) = self.hosts[host].pending.remove(&id)
                    && verdict == Verdict::Accept
                {
                    self.forward(host, Some(from), &gossip);
                }
            }
            Action::Disconnect(peer, _) => self.drop_link(host, peer)?,
            Action::Notify(notice) => self.notice(host, &notice),
            Action::Punish(..) | Action::Answer(..) => {}
        }
        Ok(())
    }

    fn forward(&mut self, host: usize, except: Option<PeerId>, gossip: &Gossip) {
        let peers: Vec<_> = self.links.peers(host).filter(|peer| Some(*peer) != except).collect();
        for peer in peers {
            self.send(host, peer, Message::Gossip(gossip.clone()));
        }
    }

    /// Puts a message on its way: the link's latency, and up to a tenth of it more.
    fn send(&mut self, from: usize, peer: PeerId, message: Message) {
        if let Some(route) = self.links.route(from, peer) {
            let latency = route.latency.as_millis() as u64;
            let jitter = self.network_rng.random_range(0..=latency / 10);
            let arrival = self.now + Duration::from_millis(latency + jitter);
            self.schedule(arrival, Coming::Event(route.to, route.as_peer, message));
        }
    }

    fn schedule(&mut self, time: Time, coming: Coming) {
        self.queue.insert((time, self.sequence), coming);
        self.sequence += 1;
    }

    fn schedule_tick(&mut self, host: usize) {
        let Some(deadline) = self.hosts[host].node.deadline() else { return };
        let due = deadline.max(self.now);
        if self.hosts[host].tick.is_none_or(|tick| tick > due) {
            self.hosts[host].tick = Some(due);
            self.schedule(due, Coming::Tick(host));
        }
    }

    /// Draws when the host will find a block on its present tip. An exponential has no memory, so that drawing anew at
    /// each tip changes nothing.
    fn draw(&mut self, host: usize) {
        let Host { node, rng, hashrate, mining_draw, .. } = &mut self.hosts[host];
        *mining_draw += 1;
        let draw = *mining_draw;
        let chain = node.chain();
        let bits = chain.next_bits(&chain.tip().hash).expect("the tip is in the tree");
        let target = bits.to_target().expect("the chain's own bits");
        let due = self.now + sample_interval(rng, target, *hashrate);
        self.schedule(due, Coming::Found(host, draw));
    }

    /// The host finds a block: a real one, with the node's own template.
    fn mine(&mut self, host: usize) -> Result<(), StoreError> {
        let mut lock = [0; 32];
        lock[..8].copy_from_slice(&(host as u64).to_le_bytes());
        let Host { node, rng, .. } = &mut self.hosts[host];
        let extra = rng.next_u64().to_le_bytes().to_vec();
        let template = node
            .template(None, self.now, &CoinbaseSpec { lock: Lock(lock), extra })
            .expect("the tip is a parent, and eight bytes are a witness");
        let target = template.target;
        let height = template.height;
        let block =
            solve(template.block, target, rng.next_u32()).expect("a lab target is met within 2^32 hashes");
        let hash = block.hash();
        self.mined += 1;
        self.log.record(self.now, Some(host), Happening::Mined { block: hash, height });
        self.handle(host, Event::Submit(SubmitId(0), Submission::Block(block.into())))?;
        Ok(())
    }

    fn notice(&mut self, host: usize, notice: &Notice) {
        let happening = match notice {
            Notice::Chain(change) => {
                let Some(block) = change.tip else { return };
                let height = self.hosts[host].node.chain().tip().height;
                self.draw(host);
                Happening::Tip { block, height, disconnected: change.disconnected.len() }
            }
            Notice::HeaderSeen(_, block, height, _) => {
                Happening::HeaderSeen { block: *block, height: *height }
            }
            Notice::BlockInvalid(block, reject) => {
                Happening::Invalid { block: *block, reason: reject.reason() }
            }
            Notice::TransactionAdded(transaction) => Happening::Transaction { txid: transaction.txid() },
            Notice::TransactionRemoved(..)
            | Notice::DoubleSpendAttempt { .. }
            | Notice::Syncing { .. }
            | Notice::Wanted(_) => return,
        };
        self.log.record(self.now, Some(host), happening);
    }

    /// Begins or ends the scenario's partition when its time has come.
    fn partition(&mut self) -> Result<(), StoreError> {
        let Some(partition) = self.scenario.partition else { return Ok(()) };
        match self.split_at {
            None if !self.healed && self.mined >= partition.from_height => self.split(partition.cut_off),
            Some(at) if self.mined >= at + partition.blocks => self.heal(),
            None | Some(_) => Ok(()),
        }
    }

    fn split(&mut self, cut_off: usize) -> Result<(), StoreError> {
        self.split_at = Some(self.mined);
        let groups = vec![(0..cut_off).collect(), (cut_off..self.hosts.len()).collect()];
        self.log.record(self.now, None, Happening::Split { groups });
        let lost = self.links.disconnect(|a, b| (a < cut_off) != (b < cut_off));
        for (host, peer) in lost {
            self.lose(host, peer)?;
        }
        Ok(())
    }

    fn heal(&mut self) -> Result<(), StoreError> {
        if self.split_at.take().is_some() {
            self.healed = true;
            self.log.record(self.now, None, Happening::Healed);
            self.connect()?;
        }
        Ok(())
    }

    fn connect(&mut self) -> Result<(), StoreError> {
        for (host, peer, other) in self.links.connect_all() {
            let info = PeerInfo {
                identity: format!("node{other}"),
                address: format!("lab/{other}"),
                outbound: host < other,
                agent: String::new(),
            };
            self.handle(host, Event::Connected(peer, info))?;
        }
        Ok(())
    }

    fn drop_link(&mut self, host: usize, peer: PeerId) -> Result<(), StoreError> {
        let Some(route) = self.links.route(host, peer) else { return Ok(()) };
        let lost = self.links.disconnect(|a, b| (a, b) == (host, route.to) || (b, a) == (host, route.to));
        for (host, peer) in lost {
            self.lose(host, peer)?;
        }
        Ok(())
    }

    /// One end of a link that went down: its requests fail, and then the peer is gone.
    fn lose(&mut self, host: usize, peer: PeerId) -> Result<(), StoreError> {
        let all = (peer, RequestId(0))..=(peer, RequestId(u64::MAX));
        let failed: Vec<_> = self.hosts[host].awaited.range(all).copied().collect();
        for ends in failed {
            self.hosts[host].awaited.remove(&ends);
            self.handle(host, Event::RequestFailed(ends.0, ends.1))?;
        }
        self.handle(host, Event::Disconnected(peer))
    }

    fn fresh_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    fn outcome(&self) -> Outcome {
        let chain = self.hosts[0].node.chain();
        let tip = chain.tip();
        let tips: BTreeSet<BlockHash> = self.hosts.iter().map(|host| host.node.chain().tip().hash).collect();
        let given_up: Vec<_> = self
            .log
            .entries()
            .iter()
            .filter_map(|entry| match entry.happening {
                Happening::Tip { disconnected, .. } if disconnected > 0 => Some(disconnected),
                Happening::Tip { .. }
                | Happening::Mined { .. }
                | Happening::HeaderSeen { .. }
                | Happening::Invalid { .. }
                | Happening::Transaction { .. }
                | Happening::Split { .. }
                | Happening::Healed => None,
            })
            .collect();
        let first = chain
            .active_hash(1)
            .and_then(|hash| chain.tree().get(&hash))
            .map_or(0, |entry| entry.header.time);
        let intervals = tip.height.saturating_sub(1).max(1);
        Outcome {
            seed: self.scenario.seed,
            event_hash: self.log.hash(),
            events: self.log.entries().len(),
            mined: self.mined,
            height: tip.height,
            tips: tips.len(),
            stale: self.mined - tip.height,
            reorgs: given_up.len(),
            deepest_reorg: given_up.into_iter().max().unwrap_or(0),
            mean_interval_secs: f64::from(tip.header.time.saturating_sub(first)) / f64::from(intervals),
            virtual_secs: self.now.since(self.start).as_secs(),
        }
    }
}

/// What makes two gossiped messages the same: their content.
fn gossip_id(gossip: &Gossip) -> [u8; 32] {
    match gossip {
        Gossip::Block(block) => block.header.hash().0,
        Gossip::Transaction(transaction) => transaction.wtxid().0,
    }
}
