//! The block tree as the page draws it: the blocks of all nodes, laid out as one of them sees them.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;
use tine_chain::hash::BlockHash;
use tine_lab::layout::{Drawn, Gap, lay_out};

use crate::fleet::Member;
use crate::miner::miner_tag;
use crate::view::{BlockInfo, BlockStatus, View};

/// The last heights that are always drawn one by one.
const RECENT: u32 = 24;
/// How far below the tip the drawing reaches; forks below it are in the list of reorganisations.
const DEPTH: u32 = 2_000;
/// Blocks whose bodies have been looked into that are kept in mind.
const MAX_KNOWN: usize = 10_000;

/// What only a block's body tells.
#[derive(Debug, Clone, Default, Serialize)]
struct Inside {
    /// The tag of who mined it.
    miner: Option<String>,
    /// How many transactions it has; `None`: its body is not here.
    txs: Option<usize>,
}

/// What is kept in mind of a block.
#[derive(Debug, Clone)]
struct Known {
    /// When the first of the nodes saw it: whoever sees it later can't have been first.
    first: u64,
    /// `None`: nobody had its body.
    inside: Option<Inside>,
}

/// What has been read of bodies, and of who saw what first.
#[derive(Debug, Default)]
pub(super) struct Bodies {
    /// Who mined what, where a log says so.
    miners: HashMap<BlockHash, String>,
    known: Mutex<HashMap<BlockHash, Known>>,
}

impl Bodies {
    /// Of a run whose log says who mined what.
    pub(super) fn mined_by(miners: HashMap<BlockHash, String>) -> Self {
        Self { miners, known: Mutex::default() }
    }

    fn look(&self, members: &[Member], views: &[Arc<View>], info: &BlockInfo) -> (u64, Inside) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(Known { first, inside: Some(inside) }) = known.get(&info.hash) {
            return (*first, inside.clone());
        }
        let seen = || views.iter().filter_map(|view| view.block(&info.hash)).map(|block| block.seen.0).min();
        let first = known.get(&info.hash).map_or_else(|| seen().unwrap_or(info.seen.0), |known| known.first);
        // whoever has the body; one that nobody has may come later
        let mut running = members.iter().filter_map(Member::running);
        let inside = running.find_map(|node| node.read_block(info).ok()).map(|block| Inside {
            miner: self.miners.get(&info.hash).cloned().or_else(|| miner_tag(&block)),
            txs: Some(block.transactions.len()),
        });
        if known.len() >= MAX_KNOWN {
            known.clear();
        }
        known.insert(info.hash, Known { first, inside: inside.clone() });
        (first, inside.unwrap_or_default())
    }
}

/// A block, and where it is drawn.
#[derive(Debug, Serialize)]
pub(super) struct TreeBlock {
    hash: BlockHash,
    prev: BlockHash,
    height: u32,
    column: u32,
    lane: u32,
    active: bool,
    status: &'static str,
    work: String,
    time: u32,
    #[serde(flatten)]
    inside: Inside,
    /// When the first node saw it, milliseconds since 1970.
    first: u64,
}

/// The tree.
#[derive(Debug, Serialize)]
pub(super) struct Tree {
    /// As whom it is drawn.
    perspective: String,
    columns: u32,
    lanes: u32,
    blocks: Vec<TreeBlock>,
    gaps: Vec<Gap>,
    /// The tip of each node.
    tips: BTreeMap<String, BlockHash>,
}

/// Adds every block of a node's tree down to `lowest` that is not there yet. Of a block that is there, all ancestors are.
fn collect<'a>(view: &'a View, lowest: u32, into: &mut HashMap<BlockHash, &'a Arc<BlockInfo>>) {
    for tip in view.tips.iter() {
        let mut block = view.block(&tip.block.hash);
        while let Some(info) = block.filter(|info| info.height >= lowest) {
            match into.entry(info.hash) {
                Entry::Occupied(_) => break,
                Entry::Vacant(entry) => entry.insert(info),
            };
            block = view.block(&info.header.prev_block);
        }
    }
}

/// Draws the blocks of all nodes as `wanted` sees them; without that, as the node with most work does; straight runs
/// block by block if `runs` is set. `None`: no node is called so.
pub(super) fn tree(members: &[Member], bodies: &Bodies, wanted: Option<&str>, runs: bool) -> Option<Tree> {
    let views: Vec<Arc<View>> = members.iter().map(Member::view).collect();
    let place = match wanted {
        Some(wanted) => members.iter().position(|member| member.name == wanted)?,
        // of equals the first
        None => (0..views.len()).rev().max_by_key(|place| views[*place].tip.work)?,
    };
    let own = &views[place];
    let top = views.iter().map(|view| view.best_header.height).max().unwrap_or(0);
    let lowest = top.saturating_sub(DEPTH);
    let mut found = HashMap::new();
    // the own view first, so that its word on a block counts
    collect(own, lowest, &mut found);
    views.iter().for_each(|view| collect(view, lowest, &mut found));
    let tips: BTreeMap<String, BlockHash> =
        members.iter().zip(&views).map(|(member, view)| (member.name.clone(), view.tip.hash)).collect();
    let marked: HashSet<BlockHash> = tips.values().copied().collect();
    let mut blocks: Vec<&Arc<BlockInfo>> = found.into_values().collect();
    blocks.sort_by_key(|info| (info.height, info.seen, info.hash));
    let places: HashMap<BlockHash, usize> =
        blocks.iter().enumerate().map(|(place, info)| (info.hash, place)).collect();
    let drawn: Vec<Drawn> = blocks
        .iter()
        .map(|info| Drawn {
            parent: places.get(&info.header.prev_block).copied(),
            height: info.height,
            active: own.is_active(&info.hash),
            marked: marked.contains(&info.hash),
        })
        .collect();
    let layout = lay_out(&drawn, if runs { u32::MAX } else { RECENT });
    let shown = blocks.iter().zip(&layout.places).zip(&drawn).filter_map(|((info, place), drawn)| {
        let column = place.column?;
        let (first, inside) = bodies.look(members, &views, info);
        Some(TreeBlock {
            hash: info.hash,
            prev: info.header.prev_block,
            height: info.height,
            column,
            lane: place.lane,
            active: drawn.active,
            status: status(info.status),
            work: info.work.to_string(),
            time: info.header.time,
            inside,
            first,
        })
    });
    Some(Tree {
        perspective: members[place].name.clone(),
        columns: layout.columns,
        lanes: layout.lanes,
        blocks: shown.collect(),
        gaps: layout.gaps,
        tips,
    })
}

fn status(status: BlockStatus) -> &'static str {
    match status {
        BlockStatus::HeaderOnly => "header-only",
        BlockStatus::Stored => "stored",
        BlockStatus::Valid => "valid",
        BlockStatus::Invalid(_) => "invalid",
    }
}
