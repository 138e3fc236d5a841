//! What a scenario can expect: numbers that are read off the world and its log at the end.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use tine_chain::hash::BlockHash;
use tine_node::Node;
use tine_node::record::Happening;

use super::play::Played;

/// A number that a scenario is judged by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Measure {
    /// Different tips among the nodes that are honest and run.
    Tips,
    /// Height of a node's tip.
    Height,
    /// Blocks found in all.
    Mined,
    /// Blocks found that are not on the node's chain.
    Stale,
    /// Reorganisations over all honest nodes, or of one.
    Reorgs,
    /// The deepest of them, in blocks given up.
    DeepestReorg,
    /// Times that a node judged a block invalid.
    Invalid,
    /// The node's share of the blocks on the first node's chain, 0 to 1.
    Share,
    /// Confirmations of a payment at a node; 0: none.
    Confirmations,
    /// The work of the node's last block over that of the genesis.
    Difficulty,
    /// Mean seconds between the blocks of a node's chain, by the clock of the world.
    Interval,
    /// Offences that honest nodes charged each other with.
    HonestPunished,
    /// Headers in a node's tree.
    Headers,
}

impl std::fmt::Display for Measure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Tips => "tips",
            Self::Height => "height",
            Self::Mined => "mined",
            Self::Stale => "stale",
            Self::Reorgs => "reorgs",
            Self::DeepestReorg => "deepest-reorg",
            Self::Invalid => "invalid",
            Self::Share => "share",
            Self::Confirmations => "confirmations",
            Self::Difficulty => "difficulty",
            Self::Interval => "interval",
            Self::HonestPunished => "honest-punished",
            Self::Headers => "headers",
        })
    }
}

/// An expectation, judged.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Verdict {
    /// What was expected, in words.
    pub expected: String,
    /// What was measured; none when the node was stopped.
    pub measured: Option<f64>,
    /// Whether it is as expected.
    pub passed: bool,
}

/// Judges every expectation of the scenario.
pub(super) fn judge(played: &Played<'_>) -> Vec<Verdict> {
    let script = played.script;
    script
        .expectations()
        .map(|expect| {
            let place =
                expect.node.as_ref().and_then(|name| script.world.nodes.iter().position(|node| node == name));
            let measured = measure(played, expect.what, place, expect.payment.as_deref());
            let within = |value: f64| {
                expect.min.is_none_or(|min| value >= min) && expect.max.is_none_or(|max| value <= max)
            };
            let subject = expect.payment.as_ref().map_or_else(String::new, |name| format!(" of {name}"));
            let at = expect.node.as_ref().map_or_else(String::new, |name| format!(" ({name})"));
            let range = match (expect.min, expect.max) {
                (Some(min), Some(max)) if min == max => format!("= {min}"),
                (Some(min), Some(max)) => format!("{min} to {max}"),
                (Some(min), None) => format!("≥ {min}"),
                (None, max) => format!("≤ {}", max.unwrap_or_default()),
            };
            Verdict {
                expected: format!("{}{subject}{at} {range}", expect.what),
                measured,
                passed: measured.is_some_and(within),
            }
        })
        .collect()
}

fn measure(played: &Played<'_>, what: Measure, place: Option<usize>, payment: Option<&str>) -> Option<f64> {
    let world = &played.world;
    let at = world.node(place.unwrap_or(0));
    let honest = |node: usize| !played.byzantine.contains(&node);
    let number = match what {
        Measure::Tips => {
            let tips: BTreeSet<BlockHash> = world
                .nodes()
                .filter(|(node, _)| honest(*node))
                .map(|(_, node)| node.chain().tip().hash)
                .collect();
            tips.len() as f64
        }
        Measure::Height => f64::from(at?.chain().tip().height),
        Measure::Mined => world.counts().mined as f64,
        Measure::Stale => world.counts().mined as f64 - f64::from(at?.chain().tip().height),
        Measure::Reorgs => reorgs(played, place).len() as f64,
        Measure::DeepestReorg => reorgs(played, place).into_iter().max().unwrap_or(0) as f64,
        Measure::Invalid => count(played, place, |happening| matches!(happening, Happening::Invalid { .. })),
        Measure::Share => share(played, place.unwrap_or(0))?,
        Measure::Confirmations => confirmations(played, at?, payment?),
        Measure::Difficulty => {
            let chain = at?.chain();
            let work = |bits: tine_chain::pow::CompactTarget| {
                bits.to_target().ok().map(|target| f64::from(target.work().0))
            };
            work(chain.tip().header.bits)? / work(chain.params().genesis.bits)?
        }
        Measure::Interval => {
            let height = at?.chain().tip().height;
            world.elapsed().as_secs_f64() / f64::from(height.max(1))
        }
        Measure::HonestPunished => {
            let entries = played.entries().iter().filter(|entry| {
                let by_honest = entry.node.as_ref().and_then(|name| played.place(name)).is_some_and(honest);
                let Happening::Punished { peer, .. } = &entry.happening else { return false };
                let of_honest = played.place(peer).is_some_and(honest);
                by_honest && of_honest
            });
            entries.count() as f64
        }
        Measure::Headers => at?.chain().tree().len() as f64,
    };
    Some(number)
}

/// Depths of the reorganisations of one node, or of all honest ones.
fn reorgs(played: &Played<'_>, place: Option<usize>) -> Vec<usize> {
    let counted = |node: usize| place.map_or(!played.byzantine.contains(&node), |place| place == node);
    let journals =
        played.world.nodes().filter(|(node, _)| counted(*node)).map(|(_, node)| node.chain().journal());
    journals.flatten().map(|reorg| reorg.disconnected.len()).collect()
}

fn count(played: &Played<'_>, place: Option<usize>, wanted: impl Fn(&Happening) -> bool) -> f64 {
    let name = place.map(|place| &played.script.world.nodes[place]);
    let entries =
        played.entries().iter().filter(|entry| name.is_none_or(|name| entry.node.as_ref() == Some(name)));
    entries.filter(|entry| wanted(&entry.happening)).count() as f64
}

/// What share of the blocks on the first honest node's chain a node has mined.
fn share(played: &Played<'_>, place: usize) -> Option<f64> {
    let (_, judge) = played.world.nodes().find(|(node, _)| !played.byzantine.contains(node))?;
    let chain = judge.chain();
    let own = (1..=chain.tip().height)
        .filter_map(|height| chain.active_hash(height))
        .filter(|hash| played.miner(hash) == Some(place))
        .count();
    Some(own as f64 / f64::from(chain.tip().height.max(1)))
}

fn confirmations(played: &Played<'_>, node: &Node, payment: &str) -> f64 {
    let Some(txid) = played.payments.iter().find(|(name, _)| name == payment).map(|(_, txid)| *txid) else {
        return 0.0;
    };
    let chain = node.chain();
    let holds = |height: &u32| {
        let block = chain.active_hash(*height).and_then(|hash| chain.block(&hash).ok().flatten());
        block.is_some_and(|block| block.transactions.iter().any(|tx| tx.txid() == txid))
    };
    let found = (1..=chain.tip().height).rev().find(holds);
    found.map_or(0.0, |height| f64::from(chain.tip().height + 1 - height))
}
