//! A recorded run, told as a running network would have told it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use tine_chain::block::{Block, Header};
use tine_chain::codec::Decode as _;
use tine_chain::hash::{BlockHash, Txid};
use tine_chain::params::{Network, Params};
use tine_chain::pow::Work;
use tine_lab::replay::{ReplayError, Run};
use tine_node::explain::ReorgReport;
use tine_node::record::{Entry, Happening};

use super::event::{BlockFacts, Event, What, plain_line, plain_name};
use crate::miner::miner_tag;

/// A run's blocks and events.
#[derive(Debug, Default)]
pub(super) struct Past {
    /// Every block of the log, parents first.
    pub(super) blocks: Vec<BlockFacts>,
    /// Every event, in order.
    pub(super) events: Vec<Event>,
}

/// Reads a run.
///
/// # Errors
/// A node's chain can't be built again, which is what explains its reorganisations.
pub(super) fn read(run: &Run) -> Result<Past, ReplayError> {
    let mut reader = Reader { run, works: HashMap::new(), reports: reports(run)?, past: Past::default() };
    let genesis = Params::of(Network::Devnet).genesis;
    reader.works.insert(genesis.hash(), work_of(&genesis));
    reader.past.blocks = blocks(&mut reader);
    for entry in &run.entries {
        reader.entry(entry);
    }
    Ok(reader.past)
}

/// The header in a line of the log.
pub(super) fn header(raw: &str) -> Option<Header> {
    Header::from_bytes(&hex::decode(raw).ok()?).ok()
}

/// The block in a line of the log.
pub(super) fn body(raw: &str) -> Option<Block> {
    Block::from_bytes(&hex::decode(raw).ok()?).ok()
}

fn work_of(header: &Header) -> Work {
    header.bits.to_target().map(|target| target.work()).unwrap_or_default()
}

/// The reorganisations of each node that went through some, as its chain explains them.
fn reports(run: &Run) -> Result<BTreeMap<String, std::vec::IntoIter<Arc<ReorgReport>>>, ReplayError> {
    let switched = |entry: &Entry| {
        let Happening::Tip { disconnected, .. } = &entry.happening else { return None };
        entry.node.clone().filter(|_| !disconnected.is_empty())
    };
    let nodes: BTreeSet<String> = run.entries.iter().filter_map(switched).collect();
    let mut all = BTreeMap::new();
    for node in nodes {
        let chain = run.chain(&node, run.duration())?;
        let reports = chain.journal().iter().map(|reorg| ReorgReport::new(reorg, chain.reader().as_ref()));
        let reports: Vec<Arc<ReorgReport>> =
            reports.map(|report| report.map(Arc::new)).collect::<Result<_, _>>()?;
        all.insert(node, reports.into_iter());
    }
    Ok(all)
}

struct Reader<'a> {
    run: &'a Run,
    works: HashMap<BlockHash, Work>,
    reports: BTreeMap<String, std::vec::IntoIter<Arc<ReorgReport>>>,
    past: Past,
}

fn blocks(reader: &mut Reader<'_>) -> Vec<BlockFacts> {
    let mut bodies: HashMap<BlockHash, (Option<String>, usize)> = HashMap::new();
    for entry in &reader.run.entries {
        if let Happening::Body { block, raw: Some(raw) } = &entry.happening
            && let Some(body) = body(raw)
        {
            bodies.insert(*block, (miner_tag(&body), body.transactions.len()));
        }
    }
    let mut blocks = Vec::new();
    for entry in &reader.run.entries {
        let Happening::Header { block, parent, height, raw, .. } = &entry.happening else { continue };
        if reader.works.contains_key(block) {
            continue;
        }
        let Some(header) = header(raw) else { continue };
        let work = reader.works.get(parent).copied().unwrap_or_default() + work_of(&header);
        reader.works.insert(*block, work);
        let (tag, txs) = bodies.remove(block).map_or((None, None), |(tag, txs)| (tag, Some(txs)));
        let miner = reader.run.miner(block).map(str::to_owned).or(tag);
        blocks.push(BlockFacts {
            hash: *block,
            prev: *parent,
            height: *height,
            work: work.to_string(),
            miner: miner.as_deref().map(plain_name),
            txs,
        });
    }
    blocks
}

impl Reader<'_> {
    fn place(&self, name: &str) -> Option<usize> {
        self.run.nodes.iter().position(|node| node == name)
    }

    fn entry(&mut self, entry: &Entry) {
        let place = entry.node.as_deref().and_then(|name| self.place(name));
        let what = match (&entry.happening, place) {
            (Happening::Header { block, .. }, Some(node)) => What::Seen(node, *block),
            (Happening::Tip { block, disconnected, .. }, Some(node)) => {
                self.push(entry, What::Tip(node, *block));
                let report = (!disconnected.is_empty())
                    .then(|| self.reports.get_mut(entry.node.as_deref().unwrap_or_default())?.next())
                    .flatten();
                let Some(report) = report else { return };
                What::Reorg(node, report)
            }
            (Happening::Invalid { block, reason }, Some(node)) => {
                What::Invalid(node, *block, plain_name(reason))
            }
            (Happening::Transaction { txid }, Some(node)) => What::Payment(node, *txid),
            (Happening::Removed { txid, why }, Some(node)) => removed(node, *txid, why),
            (Happening::DoubleSpend { refused, kept, coin }, Some(node)) => {
                What::DoubleSpend { node, refused: *refused, kept: *kept, coin: coin.to_string() }
            }
            (Happening::Byzantine { strategy }, Some(node)) => {
                What::Note(Some(node), format!("turns {}", plain_name(strategy)))
            }
            (Happening::Punished { peer, offence }, Some(node)) => {
                let offence = plain_line(&crate::out::word(offence));
                What::Note(Some(node), format!("charges {} for {offence}", plain_name(peer)))
            }
            (Happening::Step { text }, node) => What::Note(node, plain_line(text)),
            (Happening::Split { groups }, _) => {
                let places = |group: &Vec<String>| group.iter().filter_map(|name| self.place(name)).collect();
                What::Split(groups.iter().map(places).collect())
            }
            (Happening::Heal, _) => What::Heal,
            (
                Happening::Start { .. }
                | Happening::Mined { .. }
                | Happening::Body { .. }
                | Happening::Header { .. }
                | Happening::Tip { .. }
                | Happening::Invalid { .. }
                | Happening::Transaction { .. }
                | Happening::Removed { .. }
                | Happening::DoubleSpend { .. }
                | Happening::Byzantine { .. }
                | Happening::Punished { .. },
                _,
            ) => return,
        };
        self.push(entry, what);
    }

    fn push(&mut self, entry: &Entry, what: What) {
        self.past.events.push(Event { time: entry.time, what });
    }
}

fn removed(node: usize, gone: Txid, why: &tine_node::event::Removal) -> What {
    match why {
        tine_node::event::Removal::Replaced { coin, by } => {
            What::Replaced { node, gone, by: *by, coin: coin.to_string() }
        }
        tine_node::event::Removal::Confirmed { .. }
        | tine_node::event::Removal::Conflicted { .. }
        | tine_node::event::Removal::Evicted
        | tine_node::event::Removal::Expired
        | tine_node::event::Removal::Invalid { .. } => What::Dropped(node),
    }
}
