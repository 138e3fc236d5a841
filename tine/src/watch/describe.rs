//! What is said in words: lines of the log, a block, a moment.

use std::time::Duration;

use tine_chain::time::Time;

use super::model::{Facts, Kind, Line, Model, name_of, short, short_coin};
use super::tree::{Cell, Status};

/// A line of the log: how it is coloured, the node that it is about, its words.
pub(crate) struct Described {
    /// How it is coloured.
    pub(crate) kind: Kind,
    /// The node.
    pub(crate) node: Option<usize>,
    /// The words.
    pub(crate) text: String,
}

/// A line of the log, as things stand in `model`.
pub(crate) fn line(model: &Model, facts: &Facts, line: &Line) -> Described {
    match line {
        Line::Block(hash) => block_line(model, facts, hash),
        Line::Reorg(node, report) => {
            let last = |blocks: &[tine_node::explain::ReportBlock]| {
                blocks.last().map_or_else(|| report.fork.height.to_string(), |block| block.label.clone())
            };
            let (from, to) = (last(&report.disconnected), last(&report.connected));
            let text = format!(
                "REORG #{} at {}  depth {}  {from} → {to}   payments: {} reversed, {} returned",
                report.number,
                model.name(*node),
                report.depth,
                report.conflicted,
                report.returned,
            );
            Described { kind: Kind::Alarm, node: Some(*node), text }
        }
        Line::Payment(txid, nodes) => {
            let all = model.nodes.len();
            let text = format!("payment {} in {} of {}", short(txid), nodes.len(), count(all, "mempool"));
            Described { kind: Kind::Plain, node: None, text }
        }
        Line::DoubleSpend { nodes, refused, kept, coin } => {
            let coin = short_coin(coin);
            let text = format!(
                "DOUBLE SPEND refused by {}: {} spends {coin}, as {} does",
                model.names(nodes.iter().copied()),
                short(refused),
                short(kept),
            );
            Described { kind: Kind::Alarm, node: nodes.first().copied(), text }
        }
        Line::Other(kind, node, text) => {
            let name = node.map_or_else(String::new, |node| format!("{} ", model.name(node)));
            Described { kind: *kind, node: *node, text: format!("{name}{text}") }
        }
    }
}

fn block_line(model: &Model, facts: &Facts, hash: &tine_chain::hash::BlockHash) -> Described {
    let block = facts.get(hash);
    let miner = block.and_then(|block| block.miner.as_deref());
    let node = miner.and_then(|miner| model.nodes.iter().position(|node| node.name == miner));
    let mut text = format!("{}  by {}", name_of(hash, facts), miner.unwrap_or("?"));
    if let Some(txs) = block.and_then(|block| block.txs).filter(|txs| *txs > 1) {
        text.push_str(&format!("  {txs} tx"));
    }
    let height = block.map(|block| block.height);
    let same = |hash: &tine_chain::hash::BlockHash| facts.get(hash).map(|block| block.height) == height;
    let rivals = model.blocks.keys().filter(|other| same(other)).count();
    let kind = if rivals > 1 { Kind::Alarm } else { Kind::Plain };
    if rivals > 1 {
        text.push_str(&format!("   FORK: {rivals} at this height"));
    }
    let arrivals = arrivals(model, hash, node);
    if !arrivals.is_empty() {
        text.push_str(&format!("   {arrivals}"));
    }
    Described { kind, node, text }
}

/// `bob +12 ms  carol +31 ms   not at dave`: who had a block how long after the first of all.
fn arrivals(model: &Model, hash: &tine_chain::hash::BlockHash, miner: Option<usize>) -> String {
    let Some(known) = model.blocks.get(hash) else { return String::new() };
    let first = known.seen.values().min().copied().unwrap_or_default();
    let mut seen: Vec<(Duration, usize)> =
        known.seen.iter().map(|(node, time)| (time.since(first), *node)).collect();
    seen.sort_unstable();
    let mut parts: Vec<String> = seen
        .into_iter()
        .filter(|(_, node)| Some(*node) != miner)
        .map(|(after, node)| format!("{} +{} ms", model.name(node), after.as_millis()))
        .collect();
    let missing = (0..model.nodes.len()).filter(|node| !known.seen.contains_key(node));
    let missing = model.names(missing);
    if !missing.is_empty() {
        parts.push(format!("not at {missing}"));
    }
    parts.join("  ")
}

/// The two lines below the tree: what the chosen block is, and who had it when.
pub(crate) fn block(model: &Model, facts: &Facts, cell: &Cell) -> [String; 2] {
    let Some(block) = facts.get(&cell.hash) else { return Default::default() };
    let txs = block.txs.map_or_else(|| "body not here".to_owned(), |txs| format!("{txs} tx"));
    let miner = block.miner.as_deref().map_or_else(String::new, |miner| format!("by {miner} · "));
    let why = model.blocks.get(&cell.hash).and_then(|known| known.invalid.as_deref());
    let status = match (cell.status, why) {
        (Status::Invalid, Some(why)) => format!("invalid ({why})"),
        (status, _) => status.word().to_owned(),
    };
    let head = format!(
        "{} · {miner}{status} · work {} · {txs}",
        name_of(&cell.hash, facts),
        short_work(&block.work)
    );
    let first = model.blocks.get(&cell.hash).and_then(|known| known.seen.values().min().copied());
    let miner = cell.miner.filter(|_| block.height > 0);
    let seen = match first.filter(|_| block.height > 0) {
        Some(first) => format!("found {}   {}", clock(first), arrivals(model, &cell.hash, miner)),
        None => String::new(),
    };
    [head, seen]
}

/// Work without its leading zeros.
pub(crate) fn short_work(work: &str) -> String {
    let digits = work.trim_start_matches('0');
    format!("0x{}", if digits.is_empty() { "0" } else { digits })
}

/// A time of day, UTC.
pub(crate) fn clock(time: Time) -> String {
    let (secs, ms) = (time.as_secs() % 86_400, time.0 % 1_000);
    format!("{:02}:{:02}:{:02}.{ms:03}", secs / 3_600, secs / 60 % 60, secs % 60)
}

/// `1 payment`, `2 payments`.
pub(crate) fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

/// Hashes a second, in four characters and a unit.
pub(crate) fn rate(rate: f64) -> String {
    let (value, unit) = match rate {
        rate if rate >= 1e9 => (rate / 1e9, "GH/s"),
        rate if rate >= 1e6 => (rate / 1e6, "MH/s"),
        rate if rate >= 1e3 => (rate / 1e3, "kH/s"),
        rate => (rate, "H/s"),
    };
    if value < 10.0 { format!("{value:.1} {unit}") } else { format!("{value:.0} {unit}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_work_and_rates_are_short() {
        assert_eq!(clock(Time(1_788_220_861_250)), "00:01:01.250");
        assert_eq!(short_work("00000002d4"), "0x2d4");
        assert_eq!(short_work("0000"), "0x0");
        assert_eq!(rate(80_000.0), "80 kH/s");
        assert_eq!(rate(1_500_000.0), "1.5 MH/s");
        assert_eq!(rate(0.0), "0.0 H/s");
    }
}
