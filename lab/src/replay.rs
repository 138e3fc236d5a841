//! Standing at any moment of a run that is over.
//!
//! A log holds every header and body in the order in which each node had them, so that a node's chain can be built
//! again as it was: the same rules, the same order, the same choice of tip. What is asked of it then is answered by the
//! chain itself, as on a live node. Logs of the lab and of a devnet are read alike.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tine_chain::amount::Amount;
use tine_chain::block::{Block, Header};
use tine_chain::chain::{Chain, ChainOptions};
use tine_chain::codec::Decode;
use tine_chain::hash::{BlockHash, Lock};
use tine_chain::params::{Network, Params};
use tine_chain::signature::Parallel;
use tine_chain::store::StoreError;
use tine_chain::store::memory::MemoryStore;
use tine_chain::time::Time;
use tine_node::record::{Entry, Happening};

use crate::purse::Purses;
use crate::script::{Doing, Script, ScriptError};

/// The longest line of a log, in bytes: a block of full size in hexadecimal digits, and what is around it.
const MAX_LINE: usize = 8_100_000;
/// Blocks that are connected between two looks.
const BUDGET: usize = 1_000;

/// Why a text is no log of a run.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// A line is no entry.
    #[error("line {line}: {what}")]
    Line {
        /// Counted from 1.
        line: usize,
        /// Why.
        what: String,
    },
    /// The first line does not say what was run.
    #[error("the log has no first line that says what was run")]
    NoStart,
    /// The scenario in it can't be read.
    #[error("the scenario in the log: {0}")]
    Script(#[from] ScriptError),
    /// No node has that name.
    #[error("no node is called {name:?}; there are {known}")]
    NoSuchNode {
        /// The name.
        name: String,
        /// Those that there are.
        known: String,
    },
    /// Storage failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A run, read from its log.
#[derive(Debug)]
pub struct Run {
    /// What was run.
    pub name: String,
    /// All nodes.
    pub nodes: Vec<String>,
    /// Every line.
    pub entries: Vec<Entry>,
    script: Option<Script>,
    bodies: BTreeMap<BlockHash, Arc<Block>>,
    miners: BTreeMap<BlockHash, String>,
}

impl Run {
    /// Reads a log.
    ///
    /// # Errors
    /// The first line that is none.
    pub fn parse(text: &str) -> Result<Self, ReplayError> {
        let mut entries = Vec::new();
        for (line, text) in (1..).zip(text.lines()) {
            if text.len() > MAX_LINE {
                return Err(ReplayError::Line { line, what: format!("longer than {MAX_LINE} bytes") });
            }
            let entry = serde_json::from_str(text)
                .map_err(|error| ReplayError::Line { line, what: format!("no event of a run ({error})") })?;
            entries.push(entry);
        }
        Self::new(entries)
    }

    /// A run from its lines.
    ///
    /// # Errors
    /// When the first line does not say what was run, or a body is none.
    pub fn new(entries: Vec<Entry>) -> Result<Self, ReplayError> {
        let Some(Happening::Start { name, nodes, scenario, .. }) =
            entries.first().map(|entry| entry.happening.clone())
        else {
            return Err(ReplayError::NoStart);
        };
        let script = if scenario.is_empty() { None } else { Some(Script::parse(&scenario)?) };
        let mut run = Self { name, nodes, entries, script, bodies: BTreeMap::new(), miners: BTreeMap::new() };
        run.read_blocks()?;
        Ok(run)
    }

    fn read_blocks(&mut self) -> Result<(), ReplayError> {
        for (line, entry) in (1..).zip(&self.entries) {
            match (&entry.happening, &entry.node) {
                (Happening::Body { block, raw: Some(raw) }, _) => {
                    let body: Option<Block> =
                        hex::decode(raw).ok().and_then(|bytes| Block::from_bytes(&bytes).ok());
                    let body = body.filter(|body| body.hash() == *block);
                    let body = body.ok_or_else(|| ReplayError::Line {
                        line,
                        what: "its body is not that block".into(),
                    })?;
                    self.bodies.insert(*block, Arc::new(body));
                }
                (Happening::Mined { block, .. }, Some(node)) => {
                    self.miners.insert(*block, node.clone());
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// When the run began.
    #[must_use]
    pub fn start(&self) -> Time {
        self.entries.first().map(|entry| entry.time).unwrap_or_default()
    }

    /// How long it took.
    #[must_use]
    pub fn duration(&self) -> Duration {
        self.entries.last().map_or(Duration::ZERO, |last| last.time.since(self.start()))
    }

    /// Who mined a block, if the log says so.
    #[must_use]
    pub fn miner(&self, block: &BlockHash) -> Option<&str> {
        self.miners.get(block).map(String::as_str)
    }

    /// The lines up to a moment.
    pub fn until(&self, moment: Duration) -> impl Iterator<Item = &Entry> {
        let end = self.start() + moment;
        self.entries.iter().take_while(move |entry| entry.time <= end)
    }

    /// The run as if it had ended `moment` after its start.
    #[must_use]
    pub fn cut(mut self, moment: Duration) -> Self {
        let end = self.start() + moment;
        self.entries.retain(|entry| entry.time <= end);
        self
    }

    /// The chain of a node as it was `moment` after the start.
    ///
    /// # Errors
    /// When there is no such node.
    pub fn chain(&self, node: &str, moment: Duration) -> Result<Chain, ReplayError> {
        let place = self.nodes.iter().position(|name| name == node);
        let place = place
            .ok_or_else(|| ReplayError::NoSuchNode { name: node.to_owned(), known: self.nodes.join(", ") })?;
        let options = ChainOptions { parallel: Parallel::Inline, ..ChainOptions::default() };
        let mut chain = Chain::open(self.params(place, moment), Box::new(MemoryStore::new()), options)?;
        for entry in self.until(moment).filter(|entry| entry.node.as_deref() == Some(node)) {
            // by the node's own clock, which may have been ahead; a refusal is what the node itself came to
            let by = |time: u32| entry.time.max(Time::from_secs(u64::from(time)));
            if let Happening::Header { raw, .. } = &entry.happening
                && let Some(header) = hex::decode(raw).ok().and_then(|bytes| Header::from_bytes(&bytes).ok())
            {
                let _ = chain.accept_header(header, by(header.time));
            } else if let Happening::Body { block, .. } = &entry.happening
                && let Some(body) = self.bodies.get(block)
            {
                let _ = chain.insert_block(Arc::clone(body), by(body.header.time));
                while chain.activate(entry.time, BUDGET)?.more {}
            }
        }
        Ok(chain)
    }

    /// The rules that a node followed then.
    fn params(&self, place: usize, moment: Duration) -> Params {
        let Some(script) = &self.script else { return Params::of(Network::Devnet) };
        let steps = script.timeline().into_iter().take_while(|(at, _)| *at <= moment);
        let changes = steps.filter_map(|(_, doing)| {
            let Doing::Rules { nodes, params } = doing else { return None };
            nodes.contains(&place).then_some(*params)
        });
        changes.last().unwrap_or_else(|| script.world.rules.params())
    }

    /// What each lock is worth on a chain, with the node's name where it is known; the richest first.
    ///
    /// # Errors
    /// When storage fails.
    pub fn balances(&self, chain: &Chain) -> Result<Vec<(String, Amount)>, ReplayError> {
        let mut sums: BTreeMap<Lock, u64> = BTreeMap::new();
        chain.for_each_coin(&mut |_, coin| {
            *sums.entry(coin.output.lock).or_default() += coin.output.value.0
        })?;
        let mut purses = Purses::default();
        let owners: BTreeMap<Lock, &String> =
            self.nodes.iter().enumerate().map(|(place, name)| (purses.lock(place), name)).collect();
        let name =
            |lock: &Lock| owners.get(lock).map_or_else(|| hex::encode(&lock.0[..6]), |name| (*name).clone());
        let mut balances: Vec<_> = sums.iter().map(|(lock, sum)| (name(lock), Amount(*sum))).collect();
        balances.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        Ok(balances)
    }
}
