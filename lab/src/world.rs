//! The world: one queue of what is to come, and the hosts to which it comes.
//!
//! A world is made from a [`WorldConfig`], and run step by step or up to a moment. At any moment in between it can be
//! looked at, and things can be done to it (`control`). Whoever wants to know everything is an [`Observer`]. Nodes are
//! [`tine_node::Node`] unchanged, and see each other only through messages that the world carries (`carry`).
//!
//! Invariant: everything that happens follows from the configuration and the calls; nothing from addresses, threads or
//! the time of day.

use std::sync::Arc;
use std::time::Duration;

use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tine_chain::chain::{Chain, ChainOptions};
use tine_chain::hash::BlockHash;
use tine_chain::params::Params;
use tine_chain::shared::Shared;
use tine_chain::signature::Parallel;
use tine_chain::store::StoreError;
use tine_chain::time::Time;
use tine_node::{Node, NodeConfig, Participant, Strategy};

use crate::config::{Storage, WorldConfig};
use crate::gossip::Rumours;
use crate::latency::Delays;
use crate::mining::Miners;
use crate::network::{Conditions, Link};
use crate::observe::{Observation, Observer};
use crate::purse::Purses;
use crate::queue::Queue;
use crate::store::{Disk, Disks};
use crate::topology::TopologyError;

mod carry;
mod control;
mod links;
mod mine;
mod pay;

use carry::Coming;

pub use pay::PayError;

/// Why a world can't go on, or not begin.
#[derive(Debug, thiserror::Error)]
pub enum WorldError {
    /// The links don't fit the nodes.
    #[error(transparent)]
    Topology(#[from] TopologyError),
    /// A node's storage failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There is no such host.
    #[error("there is no node {node}: nodes are numbered 0 to {last}")]
    NoSuchNode {
        /// The number.
        node: usize,
        /// The highest there is.
        last: usize,
    },
    /// Something was asked of a host that is stopped.
    #[error("node {node} is stopped")]
    Stopped {
        /// The host.
        node: usize,
    },
    /// A node could not make a block on that parent.
    #[error("node {node} can't mine: {source}")]
    Template {
        /// The host.
        node: usize,
        /// Why.
        source: tine_node::template::TemplateError,
    },
}

/// A node, and what the world keeps for it.
pub(crate) struct Host {
    /// None while it is stopped.
    node: Option<Participant>,
    /// How it misbehaves, if it does.
    strategy: Option<Strategy>,
    disk: Disk,
    params: Params,
    /// What all hosts with these rules have worked out; none where each keeps everything for itself.
    shared: Option<Arc<Shared>>,
    seed: u64,
    links: Vec<Link>,
    /// When a tick is due.
    tick: Option<Time>,
    /// Added to the world's time, in milliseconds.
    skew: i64,
    /// How long the host takes over what carries a block.
    slow: Duration,
    /// Until when it is busy with what came before.
    busy_until: Time,
    /// Until when its uplink is.
    uplink_until: Time,
    /// Gossip that awaits its verdict, by the number that the node knows it by: which message, and by which link.
    held: Vec<(u64, u64, usize)>,
}

/// A run in progress.
pub struct World<O: Observer> {
    config: WorldConfig,
    observer: O,
    now: Time,
    start: Time,
    queue: Queue<Coming>,
    hosts: Vec<Host>,
    /// Where each host is: beside the hosts, because every message asks.
    regions: Vec<u8>,
    /// Whether any host was ever slow.
    any_slow: bool,
    conditions: Conditions,
    delays: Delays,
    rumours: Rumours,
    miners: Miners,
    purses: Purses,
    /// Draws everything that is nobody's own: latencies, losses, who finds the next block.
    rng: ChaCha8Rng,
    next_number: u64,
    /// The answers to submissions of the present call.
    answers: Vec<tine_node::event::Accepted>,
    refusals: Vec<tine_chain::reject::Reject>,
    counts: Counts,
}

/// What has happened so far, in numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub struct Counts {
    /// Things taken from the queue.
    pub events: u64,
    /// Messages that arrived and were handled.
    pub messages: u64,
    /// Blocks found.
    pub mined: u64,
    /// Times that a node took a block as its tip.
    pub adoptions: u64,
    /// Times that a node gave up blocks for others.
    pub reorgs: u64,
    /// The most blocks that a node gave up at once.
    pub deepest_reorg: u64,
    /// Payments that were made.
    pub payments: u64,
}

impl<O: Observer> World<O> {
    /// A world at its beginning: all nodes at the genesis, links coming up, mining about to start.
    ///
    /// # Errors
    /// When the topology does not fit, or storage fails.
    pub fn new(config: WorldConfig, observer: O) -> Result<Self, WorldError> {
        let start = Time::from_secs(u64::from(config.params.genesis.time) + 1);
        let mut seeds = ChaCha8Rng::seed_from_u64(config.seed);
        let mut rng = ChaCha8Rng::seed_from_u64(seeds.random());
        let delays = Delays::new(config.latency, config.bandwidth);
        let disks = Disks::new(config.storage);
        let shared = shared(config.storage);
        let regions = (0..config.nodes).map(|_| delays.region(&mut rng)).collect();
        let hosts = (0..config.nodes)
            .map(|_| Host {
                node: None,
                strategy: None,
                disk: disks.fresh(),
                params: config.params.clone(),
                shared: shared.clone(),
                seed: seeds.random(),
                links: Vec::new(),
                tick: None,
                skew: 0,
                slow: Duration::ZERO,
                busy_until: start,
                uplink_until: start,
                held: Vec::new(),
            })
            .collect();
        let links = config.topology.links(config.nodes, &mut rng)?;
        let mut world = Self {
            observer,
            now: start,
            start,
            queue: Queue::new(start.0),
            hosts,
            regions,
            any_slow: false,
            conditions: Conditions::new(config.quality),
            delays,
            rumours: Rumours::new(config.nodes),
            miners: miners(&config),
            purses: Purses::default(),
            rng,
            next_number: 0,
            answers: Vec::new(),
            refusals: Vec::new(),
            counts: Counts::default(),
            config,
        };
        world.begin(&links)?;
        Ok(world)
    }

    fn begin(&mut self, links: &[(usize, usize)]) -> Result<(), WorldError> {
        for host in 0..self.hosts.len() {
            self.boot(host)?;
        }
        for &(a, b) in links {
            self.lay(a, b);
        }
        for (after, order) in std::mem::take(&mut self.config.orders) {
            self.queue.push((self.start + after).0, Coming::Order(Box::new(order)));
        }
        self.dial_all()?;
        if self.config.mining.automatic {
            self.draw();
        }
        self.next_payment();
        Ok(())
    }

    /// Makes the node of a host from its disk.
    fn boot(&mut self, host: usize) -> Result<(), StoreError> {
        let options = ChainOptions {
            parallel: Parallel::Inline,
            signature_cache_entries: 10_000,
            ..ChainOptions::default()
        };
        let Host { node, strategy, disk, params, shared, seed, .. } = &mut self.hosts[host];
        let chain = Chain::open_sharing(params.clone(), Box::new(disk.clone()), options, shared.clone())?;
        let mut config = NodeConfig { seed: *seed, ..NodeConfig::new(params.clone()) };
        config.headers_interval = self.config.headers_interval.unwrap_or(config.headers_interval);
        // a node that starts again is another process: it draws other numbers
        *seed = seed.wrapping_add(1);
        let mut participant = Participant::honest(Node::new(chain, config));
        participant.set_strategy(*strategy);
        *node = Some(participant);
        self.schedule_tick(host);
        Ok(())
    }

    // -- running

    /// Lets the next thing happen. Returns when it did, or `None` when nothing will ever happen again.
    ///
    /// # Errors
    /// When a node's storage fails, or an order makes no sense.
    pub fn step(&mut self) -> Result<Option<Time>, WorldError> {
        let Some((time, coming)) = self.queue.pop() else { return Ok(None) };
        self.now = Time(time);
        self.counts.events += 1;
        self.carry_out(coming)?;
        Ok(Some(self.now))
    }

    /// Runs until `time`; then that is the present.
    ///
    /// # Errors
    /// See [`World::step`].
    pub fn run_until(&mut self, time: Time) -> Result<(), WorldError> {
        while self.queue.next_time().is_some_and(|next| next <= time.0) {
            self.step()?;
        }
        self.now = self.now.max(time);
        Ok(())
    }

    /// Runs for so long.
    ///
    /// # Errors
    /// See [`World::step`].
    pub fn run_for(&mut self, duration: Duration) -> Result<(), WorldError> {
        self.run_until(self.now + duration)
    }

    /// Runs until so many blocks have been found in all, or nothing happens any more.
    ///
    /// # Errors
    /// See [`World::step`].
    pub fn run_until_mined(&mut self, blocks: u64) -> Result<(), WorldError> {
        while self.counts.mined < blocks {
            if self.step()?.is_none() {
                break;
            }
        }
        Ok(())
    }

    // -- looking

    /// The present.
    #[must_use]
    pub fn now(&self) -> Time {
        self.now
    }

    /// How much time has passed in the world.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.now.since(self.start)
    }

    /// How many hosts there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.hosts.len()
    }

    /// Whether there is no host at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.hosts.is_empty()
    }

    /// The node of a host; `None` while it is stopped.
    ///
    /// # Panics
    /// When there is no such host.
    #[must_use]
    pub fn node(&self, host: usize) -> Option<&Node> {
        self.hosts[host].node.as_ref().map(Participant::node)
    }

    /// Every node that runs, with its host.
    pub fn nodes(&self) -> impl Iterator<Item = (usize, &Node)> {
        self.hosts.iter().enumerate().filter_map(|(host, state)| Some((host, state.node.as_ref()?.node())))
    }

    /// The tips of all nodes that run, each once, in the order of their hashes.
    #[must_use]
    pub fn tips(&self) -> Vec<BlockHash> {
        let mut tips: Vec<_> = self.nodes().map(|(_, node)| node.chain().tip().hash).collect();
        tips.sort_unstable();
        tips.dedup();
        tips
    }

    /// When the next thing will happen, if any.
    pub fn next_time(&mut self) -> Option<Time> {
        self.queue.next_time().map(Time)
    }

    /// What has happened so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// What is waiting in the queue.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.queue.len()
    }

    /// What the world was made from; its orders are in the queue.
    #[must_use]
    pub fn config(&self) -> &WorldConfig {
        &self.config
    }

    /// Who watches.
    #[must_use]
    pub fn observer(&self) -> &O {
        &self.observer
    }

    /// Who watches, to be told something.
    pub fn observer_mut(&mut self) -> &mut O {
        &mut self.observer
    }

    /// Ends the world; what is left is who watched.
    #[must_use]
    pub fn into_observer(self) -> O {
        self.observer
    }

    // -- small things

    fn see(&mut self, seen: &Observation<'_>) {
        self.observer.see(self.now, seen);
    }

    /// The present by the host's own clock.
    ///
    /// # Panics
    /// When there is no such host.
    #[must_use]
    pub fn clock(&self, host: usize) -> Time {
        Time(self.now.0.saturating_add_signed(self.hosts[host].skew))
    }

    fn fresh_number(&mut self) -> u64 {
        self.next_number += 1;
        self.next_number
    }

    /// Draws whether something of this probability happens; what is impossible costs no draw.
    fn chance(&mut self, probability: f64) -> bool {
        probability > 0.0 && self.rng.random::<f64>() < probability
    }

    fn random_u64(&mut self) -> u64 {
        self.rng.next_u64()
    }

    fn check_host(&self, node: usize) -> Result<(), WorldError> {
        if node < self.hosts.len() {
            return Ok(());
        }
        Err(WorldError::NoSuchNode { node, last: self.hosts.len().saturating_sub(1) })
    }
}

/// A place for what hosts that follow the same rules work out alike.
pub(crate) fn shared(storage: Storage) -> Option<Arc<Shared>> {
    match storage {
        Storage::Shared => Some(Arc::new(Shared::new())),
        Storage::Private => None,
    }
}

fn miners(config: &WorldConfig) -> Miners {
    let mut shares = config.mining.shares.clone();
    if shares.is_empty() {
        shares = vec![1.0 / config.nodes as f64; config.nodes];
    }
    shares.resize(config.nodes, 0.0);
    let target = config.params.genesis.bits.to_target().expect("a genesis has a target");
    Miners::new(shares, config.mining.interval, target.work())
}
