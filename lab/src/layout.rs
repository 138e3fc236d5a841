//! Where the blocks of a tree are drawn: height to the right, one lane for each branch.
//!
//! Shared by the page, the terminal view and the exports, so that a fork looks the same everywhere. The active chain
//! lies in lane 0, every other branch in the lowest lane that is free beside it. Long runs of the active chain on which
//! nothing happens are drawn as one gap, so that a fork of yesterday and the tip fit on one screen.

use std::collections::{BTreeMap, BTreeSet};

/// Heights beside something worth seeing that are drawn too.
const MARGIN: u32 = 1;
/// A run of this many heights or fewer is not worth a gap.
const SHORTEST_GAP: u32 = 3;

/// A block that is to be drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drawn {
    /// Its parent's place in the list; `None`: the parent is not drawn. Always less than its own place.
    pub parent: Option<usize>,
    /// Its height.
    pub height: u32,
    /// Whether it is part of the active chain of whoever looks.
    pub active: bool,
    /// Whether it must not vanish in a gap: a tip, a block that somebody asked for.
    pub marked: bool,
}

/// Where a block is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Place {
    /// Its column, from 0 on the left; `None`: it lies in a gap.
    pub column: Option<u32>,
    /// Its lane: 0 for the active chain.
    pub lane: u32,
}

/// A run of heights that is drawn as one column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Gap {
    /// Its column.
    pub column: u32,
    /// The first height in it.
    pub from: u32,
    /// The last height in it.
    pub to: u32,
}

/// A tree, laid out.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Layout {
    /// One place for each block, in the order in which they were given.
    pub places: Vec<Place>,
    /// What is left out.
    pub gaps: Vec<Gap>,
    /// How many columns there are.
    pub columns: u32,
    /// How many lanes there are.
    pub lanes: u32,
}

/// Lays out `blocks`, which are in the order of height and, within a height, of arrival. The last `recent` heights are
/// never left out.
#[must_use]
pub fn lay_out(blocks: &[Drawn], recent: u32) -> Layout {
    let lanes = lanes(blocks);
    let (columns, gaps) = columns(blocks, recent);
    let place =
        |(block, lane): (&Drawn, &u32)| Place { column: columns.get(&block.height).copied(), lane: *lane };
    Layout {
        places: blocks.iter().zip(&lanes).map(place).collect(),
        columns: columns
            .values()
            .copied()
            .chain(gaps.iter().map(|gap| gap.column))
            .max()
            .map_or(0, |last| last + 1),
        lanes: lanes.iter().max().map_or(0, |last| last + 1),
        gaps,
    }
}

/// A chain of blocks off the active one, each the first such child of the one before.
struct Branch {
    first: u32,
    last: u32,
    members: Vec<usize>,
}

fn branches(blocks: &[Drawn]) -> Vec<Branch> {
    let mut branches: Vec<Branch> = Vec::new();
    // the branch whose end a block is
    let mut ends: BTreeMap<usize, usize> = BTreeMap::new();
    for (place, block) in blocks.iter().enumerate().filter(|(_, block)| !block.active) {
        let branch = match block.parent.and_then(|parent| ends.remove(&parent)) {
            Some(branch) => branch,
            None => {
                branches.push(Branch { first: block.height, last: block.height, members: Vec::new() });
                branches.len() - 1
            }
        };
        branches[branch].last = block.height;
        branches[branch].members.push(place);
        ends.insert(place, branch);
    }
    branches
}

/// The lane of each block: for each branch, in the order in which they begin, the lowest that is free beside it.
fn lanes(blocks: &[Drawn]) -> Vec<u32> {
    let mut lanes = vec![0; blocks.len()];
    // of each lane, from 1 on, the height at which its last branch ends
    let mut taken: Vec<u32> = Vec::new();
    for branch in branches(blocks) {
        // two branches of one lane never touch: they would look like one
        let free = taken.iter().position(|end| end + 1 < branch.first);
        let lane = free.unwrap_or_else(|| {
            taken.push(0);
            taken.len() - 1
        });
        taken[lane] = branch.last;
        for member in branch.members {
            lanes[member] = u32::try_from(lane + 1).expect("fewer lanes than blocks");
        }
    }
    lanes
}

/// The column of each height that is drawn, and the gaps between them.
fn columns(blocks: &[Drawn], recent: u32) -> (BTreeMap<u32, u32>, Vec<Gap>) {
    let heights: BTreeSet<u32> = blocks.iter().map(|block| block.height).collect();
    let (Some(lowest), Some(highest)) = (heights.first().copied(), heights.last().copied()) else {
        return Default::default();
    };
    let mut shown: BTreeSet<u32> = (highest.saturating_sub(recent)..=highest).chain([lowest]).collect();
    for block in blocks.iter().filter(|block| block.marked || !block.active) {
        shown.extend(block.height.saturating_sub(MARGIN)..=block.height + MARGIN);
    }
    let (mut columns, mut gaps, mut run) = (BTreeMap::new(), Vec::new(), Vec::new());
    let mut next = 0;
    let mut end_run = |run: &mut Vec<u32>, columns: &mut BTreeMap<u32, u32>, next: &mut u32| {
        if run.len() as u32 > SHORTEST_GAP {
            gaps.push(Gap { column: *next, from: run[0], to: run[run.len() - 1] });
            *next += 1;
        } else {
            for height in &*run {
                columns.insert(*height, *next);
                *next += 1;
            }
        }
        run.clear();
    };
    for height in heights {
        if !shown.contains(&height) {
            run.push(height);
            continue;
        }
        end_run(&mut run, &mut columns, &mut next);
        columns.insert(height, next);
        next += 1;
    }
    (columns, gaps)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(parent: Option<usize>, height: u32, active: bool) -> Drawn {
        Drawn { parent, height, active, marked: false }
    }

    fn lanes_of(blocks: &[Drawn]) -> Vec<u32> {
        lay_out(blocks, 100).places.iter().map(|place| place.lane).collect()
    }

    #[test]
    fn branches_lie_in_the_lowest_free_lane() {
        // 0 ─ 1 ─ 2 ─ 3 ─ 4 ─ 5     active
        //     └ 2b ─ 3b             lane 1
        //     └ 2c                  lane 2, beside it
        //             └ 4b          lane 2 again: lane 1 has only just ended
        let blocks = [
            block(None, 0, true),
            block(Some(0), 1, true),
            block(Some(1), 2, true),
            block(Some(1), 2, false),
            block(Some(1), 2, false),
            block(Some(2), 3, true),
            block(Some(3), 3, false),
            block(Some(5), 4, true),
            block(Some(5), 4, false),
            block(Some(7), 5, true),
        ];
        assert_eq!(lanes_of(&blocks), [0, 0, 0, 1, 2, 0, 1, 0, 2, 0]);
    }

    #[test]
    fn a_branch_of_a_branch_has_a_lane_of_its_own() {
        let blocks = [
            block(None, 0, true),
            block(Some(0), 1, true),
            block(Some(0), 1, false),
            block(Some(2), 2, false),
            block(Some(2), 2, false),
        ];
        assert_eq!(lanes_of(&blocks), [0, 0, 1, 1, 2]);
    }

    #[test]
    fn runs_on_which_nothing_happens_are_one_column() {
        let mut blocks: Vec<Drawn> =
            (0..100).map(|n: u32| block(n.checked_sub(1).map(|n| n as usize), n, true)).collect();
        blocks.insert(51, block(Some(49), 50, false));
        for later in &mut blocks[52..] {
            later.parent = later.parent.map(|parent| if parent > 50 { parent + 1 } else { parent });
        }
        let layout = lay_out(&blocks, 5);
        assert_eq!(layout.gaps, [Gap { column: 1, from: 1, to: 48 }, Gap { column: 5, from: 52, to: 93 }]);
        assert_eq!(layout.columns, 12);
        assert_eq!(layout.places[51], Place { column: Some(3), lane: 1 });
        assert_eq!(layout.places[60].column, None);
    }

    #[test]
    fn nothing_is_laid_out_as_nothing() {
        assert_eq!(lay_out(&[], 10), Layout::default());
    }
}
