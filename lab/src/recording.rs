//! A run as its event log: what a world does, written down line by line.

use sha2::{Digest, Sha256};
use tine_chain::time::Time;
use tine_node::event::Notice;
use tine_node::record::{Entry, Happening, Recorder};

use crate::config::WorldConfig;
use crate::observe::{Observation, Observer};
use crate::order::Order;

/// Names for nodes that have none: `n0`, `n1` …
#[must_use]
pub fn numbered(nodes: usize) -> Vec<String> {
    (0..nodes).map(|node| format!("n{node}")).collect()
}

/// The log of one run, and its running hash.
#[derive(Debug)]
pub struct Recording {
    recorder: Recorder,
    entries: Vec<Entry>,
    hash: Sha256,
    /// The message that is being handled: by whom, and from whom.
    handling: Option<(usize, usize)>,
}

impl Recording {
    /// An empty log of the nodes called `names`.
    #[must_use]
    pub fn new(names: Vec<String>) -> Self {
        Self { recorder: Recorder::new(names), entries: Vec::new(), hash: Sha256::new(), handling: None }
    }

    /// The log of a run, its first line written. `name` is what is run, `scenario` the whole text of it, if it has one.
    #[must_use]
    pub fn begin(config: &WorldConfig, name: &str, nodes: Vec<String>, scenario: &str) -> Self {
        let start = Happening::Start {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            name: name.to_owned(),
            seed: Some(config.seed),
            nodes: nodes.clone(),
            scenario: scenario.to_owned(),
        };
        let mut recording = Self::new(nodes);
        recording.global(Time::from_secs(u64::from(config.params.genesis.time) + 1), start);
        recording
    }

    /// The log of a run that follows no scenario, of nodes without names. What `replay` must know of the rules is written
    /// as the scenario that it would be.
    #[must_use]
    pub fn unscripted(config: &WorldConfig, name: &str) -> Self {
        let nodes = numbered(config.nodes);
        let maturity = config.params.coinbase_maturity;
        let scenario = format!(
            "title = {name:?}\nstory = \"no scenario: only its rules are told here\"\n\n[world]\nnodes = {nodes:?}\n\
            secs = 1.0\nrules = {{ maturity = {maturity} }}\n"
        );
        Self::begin(config, name, nodes, &scenario)
    }

    /// Every line so far.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The lines; the log is over.
    #[must_use]
    pub fn into_entries(self) -> Vec<Entry> {
        self.entries
    }

    /// SHA-256 of all lines, as 64 hexadecimal digits: equal for equal runs.
    #[must_use]
    pub fn hash(&self) -> String {
        hex::encode(self.hash.clone().finalize())
    }

    /// Adds a line about all.
    pub fn global(&mut self, time: Time, happening: Happening) {
        let entry = self.recorder.global(time, happening);
        self.push(entry);
    }

    fn local(&mut self, time: Time, node: usize, happening: Happening) {
        let entry = self.recorder.local(time, node, happening);
        self.push(entry);
    }

    fn push(&mut self, entry: Entry) {
        self.hash.update(entry.line());
        self.entries.push(entry);
    }

    fn notice(&mut self, time: Time, node: usize, notice: &Notice) {
        let from = self.handling.filter(|(to, _)| *to == node).map(|(_, from)| from);
        for entry in self.recorder.notice(time, node, notice, from) {
            self.push(entry);
        }
    }

    fn name(&self, node: usize) -> String {
        self.recorder.names()[node].clone()
    }

    fn order(&mut self, time: Time, order: &Order) {
        match order {
            Order::Partition { groups } => {
                let names = |group: &Vec<usize>| group.iter().map(|node| self.name(*node)).collect();
                let groups = groups.iter().map(names).collect();
                self.global(time, Happening::Split { groups });
            }
            Order::Heal => self.global(time, Happening::Heal),
            Order::Byzantine { node, strategy } => {
                let strategy = strategy.map_or_else(|| "honest".to_owned(), |strategy| strategy.to_string());
                self.local(time, *node, Happening::Byzantine { strategy });
            }
            Order::Quality { .. }
            | Order::Connect { .. }
            | Order::Disconnect { .. }
            | Order::Stop { .. }
            | Order::Start { .. }
            | Order::Skew { .. }
            | Order::Slow { .. }
            | Order::Share { .. }
            | Order::Rules { .. }
            | Order::Mine { .. }
            | Order::Pay { .. } => {}
        }
    }
}

impl Observer for Recording {
    fn see(&mut self, time: Time, seen: &Observation<'_>) {
        match seen {
            Observation::Received { from, to, .. } => self.handling = Some((*to, *from)),
            Observation::Mined { node, hash, height, .. } => {
                self.handling = None;
                self.local(time, *node, Happening::Mined { block: *hash, height: *height });
            }
            Observation::Noticed { node, notice } => self.notice(time, *node, notice),
            Observation::Punished { node, peer, offence } => {
                let peer = self.name(*peer);
                self.local(time, *node, Happening::Punished { peer, offence: *offence });
            }
            Observation::Ordered(order) => self.order(time, order),
            Observation::Sent { .. }
            | Observation::Lost { .. }
            | Observation::Dropped { .. }
            | Observation::Linked { .. }
            | Observation::Unlinked { .. } => {}
        }
    }
}
