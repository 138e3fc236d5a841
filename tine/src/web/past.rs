//! A run that is over, on the same page: its log becomes the page's events, its nodes stand where they ended.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::{Value, json};
use tine_chain::hash::BlockHash;
use tine_lab::replay::Run;
use tine_node::record::{Entry, Happening};

/// What a log tells that its nodes' chains don't.
#[derive(Debug, Default)]
pub(super) struct Past {
    /// When the run ended, milliseconds since 1970 by its own clock.
    pub(super) end: u64,
    /// Who mined what.
    pub(super) miners: HashMap<BlockHash, String>,
    /// From whom each node had blocks, and who had them from it.
    peers: BTreeMap<String, BTreeSet<String>>,
    /// From whom each node was cut off at the end.
    cut: BTreeMap<String, BTreeSet<String>>,
    /// How many reorganisations each node had so far.
    reorgs: BTreeMap<String, u64>,
}

impl Past {
    /// Reads a log: what it tells, and the page's events in order.
    pub(super) fn read(run: &Run) -> (Self, Vec<Value>) {
        let end = (run.start() + run.duration()).0;
        let mut past = Self { end, ..Self::default() };
        for entry in &run.entries {
            past.learn(entry);
        }
        let mut events = vec![past.links(run, run.start().0)];
        for entry in &run.entries {
            events.push(past.events(run, entry));
        }
        (past, events.into_iter().flatten().collect())
    }

    /// The network as it was at the end, as [`super::feed::links`] gives it for a live node.
    pub(super) fn links_of(&self, node: &str) -> Value {
        json!({ "peers": self.peers.get(node), "cut": self.cut.get(node) })
    }

    fn learn(&mut self, entry: &Entry) {
        let Some(node) = &entry.node else { return };
        if let Happening::Mined { block, .. } = &entry.happening {
            self.miners.insert(*block, node.clone());
        } else if let Happening::Header { from: Some(from), .. } = &entry.happening {
            self.peers.entry(node.clone()).or_default().insert(from.clone());
            self.peers.entry(from.clone()).or_default().insert(node.clone());
        }
    }

    fn events(&mut self, run: &Run, entry: &Entry) -> Vec<Value> {
        let event = |kind: &str, more: Value| {
            let mut event = json!({ "t": entry.time.0, "node": entry.node, "kind": kind });
            if let (Value::Object(event), Value::Object(more)) = (&mut event, more) {
                event.extend(more);
            }
            vec![event]
        };
        match &entry.happening {
            Happening::Header { block, parent, height, from, .. } => {
                event("block", json!({ "hash": block, "height": height, "prev": parent, "from": from }))
            }
            Happening::Tip { block, height, disconnected, .. } => {
                let mut events = event("tip", json!({ "hash": block, "height": height }));
                if let (false, Some(node)) = (disconnected.is_empty(), &entry.node) {
                    let next = self.reorgs.entry(node.clone()).or_default();
                    events.extend(event("reorg", json!({ "number": *next })));
                    *next += 1;
                }
                events
            }
            Happening::Invalid { block, reason } => {
                event("invalid", json!({ "hash": block, "reason": reason }))
            }
            Happening::Transaction { txid } => event("tx", json!({ "txid": txid })),
            Happening::Removed { txid, why } => event("tx-removed", json!({ "txid": txid, "why": why })),
            Happening::DoubleSpend { refused, kept, coin } => {
                event("double-spend", json!({ "refused": refused, "kept": kept, "coin": coin.to_string() }))
            }
            Happening::Step { text } => event("step", json!({ "text": text })),
            Happening::Byzantine { strategy } => {
                event("step", json!({ "text": format!("turns {strategy}") }))
            }
            Happening::Split { groups } => {
                self.split(run, groups);
                self.links(run, entry.time.0)
            }
            Happening::Heal => {
                self.cut.clear();
                self.links(run, entry.time.0)
            }
            Happening::Start { .. }
            | Happening::Mined { .. }
            | Happening::Body { .. }
            | Happening::Punished { .. } => Vec::new(),
        }
    }

    /// Who is in different groups is cut off from each other.
    fn split(&mut self, run: &Run, groups: &[Vec<String>]) {
        let group = |node: &String| groups.iter().position(|group| group.contains(node));
        for node in &run.nodes {
            let others = run.nodes.iter().filter(|other| group(other) != group(node));
            self.cut.insert(node.clone(), others.cloned().collect());
        }
    }

    /// Everybody's links from `time` on.
    fn links(&self, run: &Run, time: u64) -> Vec<Value> {
        let none = BTreeSet::new();
        let of = |node: &String| {
            let cut = self.cut.get(node).unwrap_or(&none);
            let peers: Vec<_> = self.peers.get(node).unwrap_or(&none).difference(cut).collect();
            json!({ "t": time, "node": node, "kind": "links", "peers": peers, "cut": cut })
        };
        run.nodes.iter().map(of).collect()
    }
}
