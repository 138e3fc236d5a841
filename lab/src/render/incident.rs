//! One reorganisation as a page of its own, made from its report alone.

use tine_chain::hash::BlockHash;
use tine_node::explain::{ReorgReport, ReportBlock};

use super::page::{page, reorg_card};
use super::tree::{Status, TreeBlock, tree};

/// The page of `report`, as `node` went through it. `miner_of` names whoever mined a block, where that is known; `notes`
/// are lines about whom it cost what.
#[must_use]
pub fn incident(
    node: &str,
    report: &ReorgReport,
    miner_of: impl Fn(&BlockHash) -> Option<String>,
    notes: &[String],
) -> String {
    let block = |block: &ReportBlock, parent: BlockHash, work: &str, status: Status| TreeBlock {
        hash: block.hash,
        parent,
        height: block.height,
        work: work.to_owned(),
        miner: miner_of(&block.hash),
        status,
        tip_of: Vec::new(),
    };
    let mut blocks = vec![block(&report.fork, BlockHash::ZERO, &report.fork_work, Status::Active)];
    let branches = [
        (&report.connected, &report.new_work, Status::Active),
        (&report.disconnected, &report.old_work, Status::Stale),
    ];
    for (branch, work, status) in branches {
        let mut parent = report.fork.hash;
        for (at, member) in branch.iter().enumerate() {
            // the report knows the work of the tips only
            let work = if at + 1 == branch.len() { work.as_str() } else { "" };
            blocks.push(block(member, parent, work, status));
            parent = member.hash;
        }
    }
    blocks.sort_by_key(|block| (block.height, block.status == Status::Stale));
    let mut miners: Vec<String> = blocks.iter().filter_map(|block| block.miner.clone()).collect();
    miners.sort();
    miners.dedup();
    let mut sections =
        vec![("Both branches", format!("<div class=\"scroll\">{}</div>", tree(&miners, &blocks)))];
    sections.push(("What happened", reorg_card(report)));
    if !notes.is_empty() {
        sections.push(("Who lost", format!("<pre>{}</pre>", super::escaped(&notes.join("\n")))));
    }
    let about = format!("{node} gave up {} blocks for {}", report.disconnected.len(), report.connected.len());
    page(&format!("Reorganisation #{} at {node}", report.number), &about, &miners, &sections)
}
