//! The network at one moment: events in, picture out. Nothing here reads a clock or a socket.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use tine_chain::hash::{BlockHash, Txid};
use tine_chain::time::Time;
use tine_node::explain::ReorgReport;

use super::event::{BlockFacts, Event, Status, What};

/// How far below the highest block the tree is kept, as on the page.
const DEPTH: u32 = 500;
/// Lines of the log that are kept.
const MAX_LINES: usize = 5_000;

/// What each block is: true at every moment, so shared by all of them.
pub(crate) type Facts = HashMap<BlockHash, BlockFacts>;

/// A node at that moment.
#[derive(Debug, Clone, Default)]
pub(crate) struct NodeNow {
    /// Its name.
    pub(crate) name: String,
    /// Why it does not answer, if it does not.
    pub(crate) down: Option<String>,
    /// Its tip.
    pub(crate) tip: Option<BlockHash>,
    /// What it says of itself; `None`: a recorded node says nothing.
    pub(crate) status: Option<Status>,
    /// Transactions that wait.
    pub(crate) mempool: usize,
    /// How many reorganisations it went through.
    pub(crate) reorgs: usize,
}

/// A block of the tree at that moment.
#[derive(Debug, Clone, Default)]
pub(crate) struct Known {
    /// When each node first saw it.
    pub(crate) seen: BTreeMap<usize, Time>,
    /// The rule that it breaks, as one of the nodes says.
    pub(crate) invalid: Option<String>,
    /// Where its line is in the log.
    line: Option<(Time, u64)>,
}

/// A line of the log.
#[derive(Debug, Clone)]
pub(crate) enum Line {
    /// A block was found, and carried to who has seen it by now.
    Block(BlockHash),
    /// A node changed branches.
    Reorg(usize, Arc<ReorgReport>),
    /// A payment, and whose mempools have it by now.
    Payment(Txid, BTreeSet<usize>),
    /// A spend of a coin that is spent already, and who refused it by now.
    DoubleSpend {
        /// The nodes that refused it.
        nodes: BTreeSet<usize>,
        /// The transaction refused.
        refused: Txid,
        /// The one that has the coin.
        kept: Txid,
        /// The coin.
        coin: String,
    },
    /// Anything else.
    Other(Kind, Option<usize>, String),
}

/// How a line is coloured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Something that one should look at.
    Alarm,
    /// The network was changed.
    Network,
    /// Something else.
    Plain,
}

/// The network.
#[derive(Debug, Clone, Default)]
pub(crate) struct Model {
    /// All nodes.
    pub(crate) nodes: Vec<NodeNow>,
    /// All blocks of the tree.
    pub(crate) blocks: HashMap<BlockHash, Known>,
    /// The log: by time, and in the order of events.
    pub(crate) log: BTreeMap<(Time, u64), Line>,
    /// Who is with whom, if the network is split.
    pub(crate) groups: Vec<BTreeSet<usize>>,
    /// When the last event happened.
    pub(crate) time: Time,
    payments: HashMap<Txid, (Time, u64)>,
    conflicts: HashMap<Txid, (Time, u64)>,
    next: u64,
    highest: u32,
}

impl Model {
    /// A network of these nodes of which nothing else is known.
    pub(crate) fn new(names: &[String]) -> Self {
        let node = |name: &String| NodeNow { name: name.clone(), ..NodeNow::default() };
        Self { nodes: names.iter().map(node).collect(), ..Self::default() }
    }

    /// Adds an event. Events of different nodes may come a little out of order.
    pub(crate) fn apply(&mut self, event: &Event, facts: &Facts) {
        let time = event.time;
        self.time = self.time.max(time);
        match &event.what {
            What::Seen(node, hash) => self.see(time, *node, *hash, facts),
            What::Tip(node, hash) => self.with_node(*node, |node| node.tip = Some(*hash)),
            What::Reorg(node, report) => {
                self.with_node(*node, |node| node.reorgs += 1);
                self.line(time, Line::Reorg(*node, Arc::clone(report)));
            }
            What::Invalid(node, hash, reason) => {
                self.blocks.entry(*hash).or_default().invalid = Some(reason.clone());
                let text = format!("holds {} invalid: {reason}", name_of(hash, facts));
                self.line(time, Line::Other(Kind::Alarm, Some(*node), text));
            }
            What::Payment(node, txid) => self.pay(time, *node, *txid),
            What::Dropped(node) => {
                self.with_node(*node, |node| node.mempool = node.mempool.saturating_sub(1));
            }
            What::Replaced { node, gone, by, coin } => {
                self.with_node(*node, |node| node.mempool = node.mempool.saturating_sub(1));
                let (by, gone, coin) = (short(by), short(gone), short_coin(coin));
                let text = format!("took a DOUBLE SPEND: {by} replaces {gone}, both spend {coin}");
                self.line(time, Line::Other(Kind::Alarm, Some(*node), text));
            }
            What::DoubleSpend { node, refused, kept, coin } => {
                self.refuse(time, *node, *refused, *kept, coin);
            }
            What::Split(groups) => {
                let text = format!("SPLIT  {}", self.group_names(groups));
                self.groups.clone_from(groups);
                self.line(time, Line::Other(Kind::Network, None, text));
            }
            What::Heal => {
                self.groups.clear();
                self.line(
                    time,
                    Line::Other(Kind::Network, None, "HEALED  all links are allowed again".into()),
                );
            }
            What::Status(node, status) => {
                self.with_node(*node, |node| {
                    node.mempool = status.mempool;
                    node.status = Some(status.clone());
                });
            }
            What::Up(node) => {
                self.with_node(*node, |node| node.down = None);
                self.line(time, Line::Other(Kind::Network, Some(*node), "answers again".into()));
            }
            What::Down(node, why) => {
                self.with_node(*node, |node| node.down = Some(why.clone()));
                self.line(time, Line::Other(Kind::Alarm, Some(*node), format!("does not answer: {why}")));
            }
            What::Note(node, text) => self.line(time, Line::Other(Kind::Plain, *node, text.clone())),
        }
    }

    fn with_node(&mut self, place: usize, change: impl FnOnce(&mut NodeNow)) {
        if let Some(node) = self.nodes.get_mut(place) {
            change(node);
        }
    }

    fn key(&mut self, time: Time) -> (Time, u64) {
        self.next += 1;
        (time, self.next)
    }

    fn line(&mut self, time: Time, line: Line) {
        let key = self.key(time);
        self.insert(key, line);
    }

    fn insert(&mut self, key: (Time, u64), line: Line) {
        self.log.insert(key, line);
        while self.log.len() > MAX_LINES {
            self.log.pop_first();
        }
        for known in [&mut self.payments, &mut self.conflicts] {
            if known.len() > 2 * MAX_LINES {
                known.retain(|_, key| self.log.contains_key(key));
            }
        }
    }

    fn see(&mut self, time: Time, node: usize, hash: BlockHash, facts: &Facts) {
        let Some(block) = facts.get(&hash) else { return };
        let known = self.blocks.entry(hash).or_default();
        let earliest = known.seen.values().all(|seen| time < *seen);
        known.seen.entry(node).or_insert(time);
        // the genesis has not been found by anybody
        if earliest && block.height > 0 {
            let old = known.line;
            let key = self.key(time);
            if let Some(old) = old {
                self.log.remove(&old);
            }
            if let Some(known) = self.blocks.get_mut(&hash) {
                known.line = Some(key);
            }
            self.insert(key, Line::Block(hash));
        }
        if block.height > self.highest {
            self.highest = block.height;
            let lowest = self.highest.saturating_sub(DEPTH);
            self.blocks.retain(|hash, _| facts.get(hash).is_some_and(|block| block.height >= lowest));
        }
    }

    fn pay(&mut self, time: Time, node: usize, txid: Txid) {
        self.with_node(node, |node| node.mempool += 1);
        let known = self.payments.get(&txid).and_then(|key| self.log.get_mut(key));
        if let Some(Line::Payment(_, nodes)) = known {
            nodes.insert(node);
            return;
        }
        let key = self.key(time);
        self.payments.insert(txid, key);
        self.insert(key, Line::Payment(txid, BTreeSet::from([node])));
    }

    fn refuse(&mut self, time: Time, node: usize, refused: Txid, kept: Txid, coin: &str) {
        let known = self.conflicts.get(&refused).and_then(|key| self.log.get_mut(key));
        if let Some(Line::DoubleSpend { nodes, .. }) = known {
            nodes.insert(node);
            return;
        }
        let key = self.key(time);
        self.conflicts.insert(refused, key);
        let nodes = BTreeSet::from([node]);
        self.insert(key, Line::DoubleSpend { nodes, refused, kept, coin: coin.to_owned() });
    }

    /// `alice, bob | carol, dave`.
    pub(crate) fn group_names(&self, groups: &[BTreeSet<usize>]) -> String {
        let group = |group: &BTreeSet<usize>| self.names(group.iter().copied());
        groups.iter().map(group).collect::<Vec<_>>().join(" | ")
    }

    /// Names of nodes, with commas.
    pub(crate) fn names(&self, nodes: impl Iterator<Item = usize>) -> String {
        nodes.map(|node| self.name(node)).collect::<Vec<_>>().join(", ")
    }

    /// The name of a node.
    pub(crate) fn name(&self, node: usize) -> &str {
        self.nodes.get(node).map_or("?", |node| node.name.as_str())
    }

    /// The heaviest tip of all nodes: of equals the first node's.
    pub(crate) fn heaviest(&self, facts: &Facts) -> Option<usize> {
        let work = |node: &usize| {
            let tip = self.nodes[*node].tip.and_then(|tip| facts.get(&tip));
            tip.map(|tip| tip.work.as_str())
        };
        (0..self.nodes.len()).rev().filter(|node| work(node).is_some()).max_by_key(work)
    }

    /// The blocks from a tip down, as far as the tree is kept.
    pub(crate) fn chain(&self, tip: Option<BlockHash>, facts: &Facts) -> HashSet<BlockHash> {
        let mut chain = HashSet::new();
        let mut next = tip;
        while let Some(hash) = next.filter(|hash| self.blocks.contains_key(hash) && chain.insert(*hash)) {
            next = facts.get(&hash).map(|block| block.prev);
        }
        chain
    }

    /// The last reorganisation in the log.
    pub(crate) fn last_reorg(&self) -> Option<(usize, Arc<ReorgReport>)> {
        self.log.values().rev().find_map(|line| match line {
            Line::Reorg(node, report) => Some((*node, Arc::clone(report))),
            Line::Block(_) | Line::Payment(..) | Line::DoubleSpend { .. } | Line::Other(..) => None,
        })
    }
}

/// `#103 00af…`.
pub(crate) fn name_of(hash: &BlockHash, facts: &Facts) -> String {
    let height = facts.get(hash).map_or_else(String::new, |block| format!("#{} ", block.height));
    format!("{height}{}", short_hash(hash))
}

/// The first digits of an id, of which the first ones are zeros.
pub(crate) fn short_hash(hash: &BlockHash) -> String {
    format!("{:.12}…", hash.to_string())
}

/// The first digits of a transaction's id.
pub(crate) fn short(txid: &Txid) -> String {
    format!("{:.8}…", txid.to_string())
}

/// A coin: the first digits of its transaction's id, and its place there.
pub(crate) fn short_coin(coin: &str) -> String {
    coin.split_once(':').map_or_else(|| coin.to_owned(), |(id, place)| format!("{id:.8}…:{place}"))
}
