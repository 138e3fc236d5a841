//! Raft under a traitor: real Raft nodes, of whom the leader may lie.
//!
//! Raft survives generals who fall silent, and promises nothing about one who lies (Ongaro and Ousterhout 2014, section
//! 2: non-Byzantine conditions). The nodes here are those of the `raft` crate unchanged; the traitor sits on the leader's
//! wire and alters what it says to half of the others. Messages arrive in the order in which they were sent, and no clock
//! ticks: elections are called.

use std::collections::VecDeque;

use raft::prelude::{ConfState, Entry, Message, MessageType};
use raft::storage::MemStorage;
use raft::{Config, RawNode};

use super::Order;

/// What the leader is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leader {
    /// It does what Raft says.
    Loyal,
    /// It falls silent after its order was proposed, and another is elected.
    Silent,
    /// It tells half of the others the opposite of its order.
    Liar,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// What each general has applied, in order; general 1 was the leader.
    pub applied: Vec<Vec<Order>>,
    /// Messages sent.
    pub messages: u64,
}

impl Outcome {
    /// Whether everybody but a traitor has applied the same, and something.
    #[must_use]
    pub fn loyal_agree(&self) -> bool {
        self.applied[1..].windows(2).all(|pair| pair[0] == pair[1]) && !self.applied[1].is_empty()
    }
}

/// `n` generals elect the first, who orders to attack.
///
/// # Errors
/// What the Raft nodes refuse: nothing that happens here.
pub fn run(n: u64, leader: Leader) -> raft::Result<Outcome> {
    let mut cluster = Cluster::new(n, leader)?;
    cluster.nodes[0].campaign()?;
    cluster.settle()?;
    cluster.nodes[0].propose(Vec::new(), vec![Order::Attack as u8])?;
    if leader == Leader::Silent {
        cluster.silent = Some(1);
        cluster.settle()?;
        // the second misses the leader, and the order is given again through him
        cluster.nodes[1].campaign()?;
        cluster.settle()?;
        cluster.nodes[1].propose(Vec::new(), vec![Order::Attack as u8])?;
    }
    cluster.settle()?;
    // the leader's next heartbeat carries what is committed
    let speaker = if leader == Leader::Silent { 1 } else { 0 };
    cluster.nodes[speaker].ping();
    cluster.settle()?;
    Ok(Outcome { applied: cluster.applied, messages: cluster.messages })
}

struct Cluster {
    nodes: Vec<RawNode<MemStorage>>,
    leader: Leader,
    /// Whose messages get lost.
    silent: Option<u64>,
    wire: VecDeque<Message>,
    applied: Vec<Vec<Order>>,
    messages: u64,
}

impl Cluster {
    fn new(n: u64, leader: Leader) -> raft::Result<Self> {
        let members = ConfState::from(((1..=n).collect::<Vec<_>>(), Vec::new()));
        let logger = slog::Logger::root(slog::Discard, slog::o!());
        let node = |id| {
            let config = Config { id, election_tick: 10, heartbeat_tick: 3, ..Config::default() };
            RawNode::new(&config, MemStorage::new_with_conf_state(members.clone()), &logger)
        };
        Ok(Self {
            nodes: (1..=n).map(node).collect::<raft::Result<_>>()?,
            leader,
            silent: None,
            wire: VecDeque::new(),
            applied: vec![Vec::new(); n as usize],
            messages: 0,
        })
    }

    /// Carries messages until there are none.
    fn settle(&mut self) -> raft::Result<()> {
        loop {
            for place in 0..self.nodes.len() {
                self.drain(place)?;
            }
            let Some(message) = self.wire.pop_front() else { return Ok(()) };
            self.messages += 1;
            if self.silent.is_none_or(|silent| message.from != silent && message.to != silent) {
                self.nodes[message.to as usize - 1].step(message)?;
            }
        }
    }

    /// What a node has ready: entries to keep, messages to send, entries to apply.
    fn drain(&mut self, place: usize) -> raft::Result<()> {
        while self.nodes[place].has_ready() {
            let mut ready = self.nodes[place].ready();
            let store = self.nodes[place].store().clone();
            self.send(ready.take_messages());
            store.wl().append(ready.entries())?;
            if let Some(state) = ready.hs() {
                store.wl().set_hardstate(state.clone());
            }
            self.send(ready.take_persisted_messages());
            self.apply(place, ready.take_committed_entries());
            let mut light = self.nodes[place].advance(ready);
            if let Some(commit) = light.commit_index() {
                store.wl().mut_hard_state().set_commit(commit);
            }
            self.send(light.take_messages());
            self.apply(place, light.take_committed_entries());
            self.nodes[place].advance_apply();
        }
        Ok(())
    }

    fn send(&mut self, messages: Vec<Message>) {
        for mut message in messages {
            if self.leader == Leader::Liar && message.from == 1 {
                lie(&mut message);
            }
            self.wire.push_back(message);
        }
    }

    fn apply(&mut self, place: usize, entries: Vec<Entry>) {
        // a new leader's first entry is empty
        let orders = entries.iter().filter_map(|entry| entry.data.first());
        let orders =
            orders.map(|byte| if *byte == Order::Attack as u8 { Order::Attack } else { Order::Retreat });
        self.applied[place].extend(orders);
    }
}

/// To every second general the traitor says the opposite; index and term stay as they are, so that Raft's checks hold.
fn lie(message: &mut Message) {
    if message.get_msg_type() == MessageType::MsgAppend && message.to.is_multiple_of(2) {
        for entry in message.mut_entries().iter_mut().filter(|entry| !entry.data.is_empty()) {
            entry.data = vec![Order::Retreat as u8].into();
        }
    }
}
