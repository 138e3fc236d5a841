//! The block tree on a grid of characters: height to the right, a lane for each branch, as [`tine_lab::layout`] places
//! them for the page and the exports too.
//!
//! ```text
//!                 BCD
//! [A 12]─┬─[B 13]─[C 14]      lane 0: a row of flags, a row of blocks
//!        │         A
//!        ╰─┆A 13┆             lane 1
//! ```

use std::collections::{BTreeMap, HashMap};

use tine_chain::hash::BlockHash;
use tine_lab::layout::{Drawn, Gap, lay_out};

use super::model::{Facts, Known, Model};

/// The last heights that are always drawn one by one.
const RECENT: u32 = 24;

/// What is known of a block, in the order of how much that says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    /// On the active chain of whoever looks.
    Active,
    /// On another branch.
    Stale,
    /// Only its header is known.
    HeaderOnly,
    /// It breaks a rule.
    Invalid,
}

impl Status {
    /// Its word, the same as on the page.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Stale => "stale",
            Self::HeaderOnly => "header only",
            Self::Invalid => "invalid",
        }
    }

    /// A block's two borders.
    pub(crate) fn borders(self) -> (char, char) {
        match self {
            Self::Active => ('[', ']'),
            Self::Stale => ('┆', '┆'),
            Self::HeaderOnly => ('(', ')'),
            Self::Invalid => ('╳', '╳'),
        }
    }
}

/// A block, and where it is drawn.
#[derive(Debug, Clone)]
pub(crate) struct Cell {
    /// Its id.
    pub(crate) hash: BlockHash,
    /// Its height.
    pub(crate) height: u32,
    /// Its column.
    pub(crate) column: u32,
    /// Its lane.
    pub(crate) lane: u32,
    /// What is known of it.
    pub(crate) status: Status,
    /// The node that mined it, by its place.
    pub(crate) miner: Option<usize>,
    /// Nodes whose tip it is.
    pub(crate) tip_of: Vec<usize>,
    /// Where its parent is drawn, or the gap that it lies in: column and lane.
    pub(crate) parent: Option<(u32, u32)>,
}

/// The tree, placed.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tree {
    /// The blocks that are drawn, lowest first.
    pub(crate) cells: Vec<Cell>,
    /// Runs of heights that are one column.
    pub(crate) gaps: Vec<Gap>,
    /// How many columns there are.
    pub(crate) columns: u32,
    /// How many lanes there are.
    pub(crate) lanes: u32,
    /// As which node it is drawn.
    pub(crate) perspective: Option<usize>,
}

impl Tree {
    /// The tree of `model` as a node sees it; without one as the node with most work does. `kept` is drawn even where
    /// nothing else happens.
    pub(crate) fn new(
        model: &Model,
        facts: &Facts,
        perspective: Option<usize>,
        kept: Option<BlockHash>,
    ) -> Self {
        let perspective = perspective.or_else(|| model.heaviest(facts));
        let tip = perspective.and_then(|node| model.nodes.get(node)?.tip);
        let active = model.chain(tip, facts);
        let mut tips: BTreeMap<BlockHash, Vec<usize>> = BTreeMap::new();
        for (place, node) in model.nodes.iter().enumerate() {
            if let Some(tip) = node.tip {
                tips.entry(tip).or_default().push(place);
            }
        }
        let mut blocks: Vec<_> =
            model.blocks.iter().filter_map(|(hash, known)| Some((facts.get(hash)?, known))).collect();
        blocks.sort_by_key(|(block, known)| (block.height, known.seen.values().min().copied(), block.hash));
        let places: HashMap<BlockHash, usize> =
            blocks.iter().enumerate().map(|(place, (block, _))| (block.hash, place)).collect();
        let drawn: Vec<Drawn> = blocks
            .iter()
            .map(|(block, _)| Drawn {
                // a parent that the tree no longer reaches has no place
                parent: places.get(&block.prev).copied(),
                height: block.height,
                active: active.contains(&block.hash),
                marked: tips.contains_key(&block.hash) || kept == Some(block.hash),
            })
            .collect();
        let layout = lay_out(&drawn, RECENT);
        let cells =
            blocks.iter().zip(&layout.places).zip(&drawn).filter_map(|(((block, known), place), drawn)| {
                let column = place.column?;
                let parent = drawn.parent.map(|parent| layout.places[parent]);
                let miner = block.miner.as_ref();
                Some(Cell {
                    hash: block.hash,
                    height: block.height,
                    column,
                    lane: place.lane,
                    status: status(known, block.txs.is_some() || block.height == 0, drawn.active),
                    miner: miner.and_then(|miner| model.nodes.iter().position(|node| node.name == *miner)),
                    tip_of: tips.get(&block.hash).cloned().unwrap_or_default(),
                    parent: parent
                        .map(|parent| (parent.column.unwrap_or(column.saturating_sub(1)), parent.lane)),
                })
            });
        Self {
            cells: cells.collect(),
            columns: layout.columns,
            lanes: layout.lanes,
            gaps: layout.gaps,
            perspective,
        }
    }

    /// Where a block is drawn.
    pub(crate) fn find(&self, hash: &BlockHash) -> Option<&Cell> {
        self.cells.iter().find(|cell| cell.hash == *hash)
    }

    /// The block that is marked while nobody chooses one: the tip of whoever looks.
    pub(crate) fn tip(&self) -> Option<&Cell> {
        let node = self.perspective?;
        self.cells.iter().find(|cell| cell.tip_of.contains(&node))
    }

    /// The block from `from` towards `to`, `by` columns or lanes on.
    pub(crate) fn neighbour(&self, from: &Cell, to: Towards, by: u32) -> Option<&Cell> {
        let distance = |cell: &&Cell| cell.column.abs_diff(from.column);
        match to {
            Towards::Left => {
                let wanted = from.column.saturating_sub(by);
                let parent = from.parent.filter(|(column, _)| by == 1 && *column + 1 == from.column);
                let lane = parent.map_or(from.lane, |(_, lane)| lane);
                let left = self.cells.iter().filter(|cell| cell.column < from.column);
                left.min_by_key(|cell| (cell.column.abs_diff(wanted), cell.lane.abs_diff(lane)))
            }
            Towards::Right => {
                let wanted = from.column + by;
                let right = self.cells.iter().filter(|cell| cell.column > from.column);
                right.min_by_key(|cell| (cell.column.abs_diff(wanted), cell.lane.abs_diff(from.lane)))
            }
            Towards::Up => {
                let above = self.cells.iter().filter(|cell| cell.lane < from.lane);
                above.min_by_key(|cell| (distance(cell), from.lane - cell.lane))
            }
            Towards::Down => {
                let below = self.cells.iter().filter(|cell| cell.lane > from.lane);
                below.min_by_key(|cell| (distance(cell), cell.lane - from.lane))
            }
        }
    }
}

/// A direction on the tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Towards {
    /// To parents.
    Left,
    /// To children.
    Right,
    /// To the lane above.
    Up,
    /// To the lane below.
    Down,
}

fn status(known: &Known, has_body: bool, active: bool) -> Status {
    if known.invalid.is_some() {
        Status::Invalid
    } else if active {
        Status::Active
    } else if has_body {
        Status::Stale
    } else {
        Status::HeaderOnly
    }
}

/// The first of `all` places that are shown when there is room for `room` of them: `chosen` in the middle, or the end.
pub(crate) fn window(all: u32, room: u32, chosen: Option<u32>) -> u32 {
    let last = all.saturating_sub(room);
    chosen.map_or(last, |chosen| chosen.saturating_sub(room / 2).min(last))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_holds_what_is_chosen() {
        assert_eq!(window(10, 20, None), 0, "all of it fits");
        assert_eq!(window(100, 20, None), 80, "the end, if nothing is chosen");
        assert_eq!(window(100, 20, Some(50)), 40);
        assert_eq!(window(100, 20, Some(3)), 0);
        assert_eq!(window(100, 20, Some(99)), 80);
    }
}
