//! A moment of a run as a page: the block tree as one node sees it, the timeline, the last reorganisation, the story.

use std::collections::BTreeMap;
use std::time::Duration;

use tine_chain::chain::Chain;
use tine_chain::hash::BlockHash;
use tine_node::explain::ReorgReport;
use tine_node::record::{Entry, Happening};

use crate::render::{Status, TreeBlock, page, reorg_card, timeline, tree};
use crate::replay::{ReplayError, Run};

/// Lines of the story on a page.
const MAX_STORY: usize = 200;

/// The page of `run` as `node` saw it `moment` after the start.
///
/// # Errors
/// When there is no such node.
pub fn html(run: &Run, node: &str, moment: Duration) -> Result<String, ReplayError> {
    let chain = run.chain(node, moment)?;
    let entries: Vec<&Entry> = run.until(moment).collect();
    let mut sections = vec![
        (
            "Block tree",
            format!("<div class=\"scroll\">{}</div>", tree(&run.nodes, &blocks(run, &chain, &entries))),
        ),
        ("Timeline", format!("<div class=\"scroll\">{}</div>", timeline(&run.nodes, &entries))),
    ];
    if let Some(reorg) = chain.journal().last() {
        let report = ReorgReport::new(reorg, chain.reader().as_ref())?;
        sections.push(("The last reorganisation", reorg_card(&report)));
    }
    sections.push(("What was done", story(run, &entries)));
    let about = format!("as {node} saw it {:.1} s after the start", moment.as_secs_f64());
    Ok(page(&run.name, &about, &run.nodes, &sections))
}

/// Every block that `chain` knows, and the tips of all nodes.
fn blocks(run: &Run, chain: &Chain, entries: &[&Entry]) -> Vec<TreeBlock> {
    let mut tips: BTreeMap<&str, BlockHash> = BTreeMap::new();
    for entry in entries {
        if let (Some(node), Happening::Tip { block, .. }) = (&entry.node, &entry.happening) {
            tips.insert(node, *block);
        }
    }
    let mut blocks: Vec<TreeBlock> = chain
        .tree()
        .iter()
        .map(|entry| TreeBlock {
            hash: entry.hash,
            parent: entry.header.prev_block,
            height: entry.height,
            work: entry.work.to_string(),
            miner: run.miner(&entry.hash).map(str::to_owned),
            status: match (chain.is_active(&entry.hash), entry.invalid, entry.body) {
                (true, ..) => Status::Active,
                (false, Some(_), _) => Status::Invalid,
                (false, None, true) => Status::Stale,
                (false, None, false) => Status::HeaderOnly,
            },
            tip_of: run
                .nodes
                .iter()
                .filter(|node| tips.get(node.as_str()) == Some(&entry.hash))
                .cloned()
                .collect(),
        })
        .collect();
    blocks.sort_by_key(|block| block.height);
    blocks
}

fn story(run: &Run, entries: &[&Entry]) -> String {
    let start = run.start();
    let lines = entries.iter().filter_map(|entry| {
        let Happening::Step { text } = &entry.happening else { return None };
        Some(format!("{:>8.1} s  {text}", entry.time.since(start).as_secs_f64()))
    });
    let text: Vec<String> = lines.take(MAX_STORY).collect();
    format!("<pre>{}</pre>", text.join("\n").replace('&', "&amp;").replace('<', "&lt;"))
}
