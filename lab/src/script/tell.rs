//! A run in words.

use std::collections::BTreeMap;

use tine_chain::hash::BlockHash;
use tine_node::record::Happening;

use super::file::Doing;
use super::play::Played;

/// Lines of a story; what comes on top of them is counted.
const MAX_LINES: usize = 60;

/// A step in words.
pub(super) fn doing(doing: &Doing, names: &[String]) -> String {
    let name = |place: &usize| names[*place].as_str();
    let list =
        |places: &[usize]| places.iter().map(|place| names[*place].clone()).collect::<Vec<_>>().join(", ");
    match doing {
        Doing::Split(groups) => {
            format!(
                "the network splits: {}",
                groups.iter().map(|group| list(group)).collect::<Vec<_>>().join(" | ")
            )
        }
        Doing::Heal => "the network heals".into(),
        Doing::Mine { node, blocks } => format!("{} mines {blocks}", name(node)),
        Doing::Mining(true) => "miners start".into(),
        Doing::Mining(false) => "miners stop".into(),
        Doing::Pay { name: what, from, to, amount } => {
            format!("{what}: {} pays {} {amount}", name(from), name(to))
        }
        Doing::DoubleSpend { name: what, from, to, amount, on, other_on } => format!(
            "{what}: {} pays {} {amount} at {}, and itself with the same coin at {}",
            name(from),
            name(to),
            name(on),
            name(other_on)
        ),
        Doing::Byzantine { node, strategy: Some(strategy) } => format!("{} turns {strategy}", name(node)),
        Doing::Byzantine { node, strategy: None } => format!("{} is honest again", name(node)),
        Doing::Share { node, share } => {
            format!("{} has {:.0} % of the first hash rate", name(node), 100.0 * share)
        }
        Doing::Stop(node) => format!("{} stops", name(node)),
        Doing::Start(node) => format!("{} starts", name(node)),
        Doing::Link(a, b) => format!("{} connects to {}", name(a), name(b)),
        Doing::Unlink(a, b) => format!("{} and {} part", name(a), name(b)),
        Doing::Skew { node, ms } => format!("the clock of {} is {ms} ms ahead", name(node)),
        Doing::Slow { node, delay } => format!("{} takes {} ms over a block", name(node), delay.as_millis()),
        Doing::Delay { from, to, .. } => format!("what {} sends {} is late", name(from), name(to)),
        Doing::Rules { nodes, .. } => format!("new rules for {}", list(nodes)),
    }
}

/// What happened, line by line: the steps, and what nodes went through.
pub(super) fn story(played: &Played<'_>) -> Vec<String> {
    let start = played.entries().first().map(|entry| entry.time).unwrap_or_default();
    let mut refused: BTreeMap<BlockHash, usize> = BTreeMap::new();
    let mut lines = Vec::new();
    for entry in played.entries() {
        let who = entry.node.as_deref().unwrap_or("");
        let what = match &entry.happening {
            Happening::Step { text } => text.clone(),
            Happening::Tip { block, height, disconnected, connected } if !disconnected.is_empty() => format!(
                "{who} REORGANISES: {} given up for {}, tip {height} {:.12}",
                blocks(disconnected.len()),
                blocks(connected.len()),
                ending(block)
            ),
            Happening::Invalid { block, reason } => {
                let times = refused.entry(*block).or_default();
                *times += 1;
                if *times > 1 {
                    continue;
                }
                format!("{who} refuses block {:.12}: {reason}", ending(block))
            }
            Happening::DoubleSpend { refused, kept, .. } => {
                format!("{who} refuses {refused:.8}: it spends the coin of {kept:.8}")
            }
            Happening::Punished { peer, offence } => format!("{who} punishes {peer}: {offence}"),
            Happening::Start { .. }
            | Happening::Split { .. }
            | Happening::Heal
            | Happening::Byzantine { .. }
            | Happening::Mined { .. }
            | Happening::Header { .. }
            | Happening::Body { .. }
            | Happening::Tip { .. }
            | Happening::Transaction { .. }
            | Happening::Removed { .. } => continue,
        };
        lines.push(format!("{:>8.1} s  {what}", entry.time.since(start).as_secs_f64()));
    }
    let more = lines.len().saturating_sub(MAX_LINES);
    lines.truncate(MAX_LINES);
    if more > 0 {
        lines.push(format!("            … and {more} more like these"));
    }
    lines
}

fn blocks(count: usize) -> String {
    format!("{count} block{}", if count == 1 { "" } else { "s" })
}

/// The end of an id, which differs where the beginning may be zeros.
fn ending(block: &BlockHash) -> String {
    block.to_string()[52..].to_owned()
}
