//! The block tree as the page draws it: the blocks of all nodes, laid out as one of them sees them.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;
use tine_chain::hash::BlockHash;
use tine_lab::layout::{Drawn, Gap, lay_out};

use crate::miner::miner_tag;
use crate::rpc::Context;
use crate::view::{BlockInfo, BlockStatus, View};

/// The last heights that are always drawn one by one.
const RECENT: u32 = 24;
/// How far below the tip the drawing reaches; forks below it are in the list of reorganisations.
const DEPTH: u32 = 500;
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

/// What has been read of bodies.
#[derive(Debug, Default)]
pub(super) struct Bodies {
    /// Who mined what, where a log says so.
    miners: HashMap<BlockHash, String>,
    known: Mutex<HashMap<BlockHash, Inside>>,
}

impl Bodies {
    /// Of a run whose log says who mined what.
    pub(super) fn mined_by(miners: HashMap<BlockHash, String>) -> Self {
        Self { miners, known: Mutex::default() }
    }

    fn look(&self, nodes: &[Arc<Context>], info: &BlockInfo) -> Inside {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(inside) = known.get(&info.hash) {
            return inside.clone();
        }
        // whoever has the body; one that nobody has may come later
        let Some(block) = nodes.iter().find_map(|node| node.read_block(info).ok()) else {
            return Inside::default();
        };
        let miner = self.miners.get(&info.hash).cloned().or_else(|| miner_tag(&block));
        let inside = Inside { miner, txs: Some(block.transactions.len()) };
        if known.len() >= MAX_KNOWN {
            known.clear();
        }
        known.insert(info.hash, inside.clone());
        inside
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
    /// When each node first saw it, milliseconds since 1970.
    seen: BTreeMap<String, u64>,
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

/// Every block of a node's tree down to `lowest`, by id. What is there already is replaced.
fn collect<'a>(view: &'a View, lowest: u32, into: &mut HashMap<BlockHash, &'a Arc<BlockInfo>>) {
    let mut walked = HashSet::new();
    for tip in view.tips.iter() {
        let mut block = view.block(&tip.block.hash);
        while let Some(info) = block.filter(|info| info.height >= lowest && walked.insert(info.hash)) {
            into.insert(info.hash, info);
            block = view.block(&info.header.prev_block);
        }
    }
}

/// Draws the blocks of all nodes as `wanted` sees them; without that, as the node with most work does. `None`: no node is
/// called so.
pub(super) fn tree(nodes: &[Arc<Context>], bodies: &Bodies, wanted: Option<&str>) -> Option<Tree> {
    let views: Vec<(String, Arc<View>)> = nodes.iter().map(|node| (node.name.clone(), node.view())).collect();
    let heaviest = |views: &[(String, Arc<View>)]| {
        // of equals the first
        (0..views.len()).rev().max_by_key(|place| views[*place].1.tip.work).unwrap_or_default()
    };
    let place = match wanted {
        Some(wanted) => views.iter().position(|(name, _)| name == wanted)?,
        None => heaviest(&views),
    };
    let (perspective, own) = &views[place];
    let top = views.iter().map(|(_, view)| view.best_header.height).max().unwrap_or(0);
    let lowest = top.saturating_sub(DEPTH);
    let mut found = HashMap::new();
    // the own view last, so that its word on a block counts
    for (_, view) in views.iter().filter(|(name, _)| name != perspective) {
        collect(view, lowest, &mut found);
    }
    collect(own, lowest, &mut found);
    let tips: BTreeMap<String, BlockHash> =
        views.iter().map(|(name, view)| (name.clone(), view.tip.hash)).collect();
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
    let layout = lay_out(&drawn, RECENT);
    let shown = blocks.iter().zip(&layout.places).zip(&drawn).filter_map(|((info, place), drawn)| {
        let seen = |(name, view): &(String, Arc<View>)| Some((name.clone(), view.block(&info.hash)?.seen.0));
        Some(TreeBlock {
            hash: info.hash,
            prev: info.header.prev_block,
            height: info.height,
            column: place.column?,
            lane: place.lane,
            active: drawn.active,
            status: status(info.status),
            work: info.work.to_string(),
            time: info.header.time,
            inside: bodies.look(nodes, info),
            seen: views.iter().filter_map(seen).collect(),
        })
    });
    Some(Tree {
        perspective: perspective.clone(),
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
