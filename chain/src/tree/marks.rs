//! Marks on the tree: what is invalid and why, and what an operator prefers.

use super::{BlockTree, Index};
use crate::change::Invalidity;

impl BlockTree {
    /// Marks a block invalid for `reason`, and with it everything that builds on it.
    pub(crate) fn mark_invalid(&mut self, index: Index, reason: Invalidity) {
        let subtree = self.subtree(index);
        for &block in &subtree {
            let rank = self.rank(block);
            self.candidates.remove(&rank);
            let reason = if block == index { reason } else { Invalidity::Ancestor };
            let entry = self.at_mut(block);
            // a descendant that broke a rule itself, or that an operator named, stays marked for that
            if block == index || entry.invalid.is_none() {
                entry.invalid = Some(reason);
                self.dirty.push(block);
            }
        }
        if let Some(parent) = self.parent_of(index) {
            self.refresh_candidate(parent);
        }
        if self.at(self.best_header).invalid.is_some() {
            self.find_best_header();
        }
    }

    /// Takes back every mark on a block, its ancestors and its descendants (Core: `ResetBlockFailureFlags`);
    /// blocks that were marked only for one of those ancestors are free again too.
    pub(crate) fn clear_invalid(&mut self, index: Index) {
        let mut top = index;
        let mut walk = Some(index);
        while let Some(block) = walk {
            if self.at_mut(block).invalid.take().is_some() {
                self.dirty.push(block);
                top = block;
            }
            walk = self.parent_of(block);
        }
        let subtree = self.subtree(top);
        for &block in &subtree {
            let parent_invalid =
                self.parent_of(block).is_some_and(|parent| self.at(parent).invalid.is_some());
            let freed = self.at(block).invalid == Some(Invalidity::Ancestor) && !parent_invalid;
            if (freed || self.descends(block, index)) && self.at_mut(block).invalid.take().is_some() {
                self.dirty.push(block);
            }
        }
        for &block in &subtree {
            self.refresh_candidate(block);
        }
        if let Some(parent) = self.parent_of(top) {
            self.refresh_candidate(parent);
        }
        self.find_best_header();
    }

    /// Prefers a block to its equals in work, until more work is known (Core: `PreciousBlock`).
    pub(crate) fn make_precious(&mut self, index: Index, tip: Index) {
        let tip_work = self.at(tip).work;
        if self.at(index).work < tip_work {
            return; // it would not be the tip however much it is preferred
        }
        if tip_work > self.precious_work {
            self.next_precious = 1;
        }
        self.precious_work = tip_work;
        let rank = self.rank(index);
        self.candidates.remove(&rank);
        self.at_mut(index).precious = self.next_precious;
        self.next_precious += 1;
        self.refresh_candidate(index);
    }

    /// `index` and everything that builds on it, parents before children.
    fn subtree(&self, index: Index) -> Vec<Index> {
        let mut subtree = vec![index];
        let mut next = 0;
        while let Some(&block) = subtree.get(next) {
            subtree.extend(self.children(block));
            next += 1;
        }
        subtree
    }

    /// Looks at every header; called only after marks changed.
    pub(super) fn find_best_header(&mut self) {
        let valid = (0..self.entries.len()).map(|place| Index(place as u32));
        self.best_header = valid
            .filter(|&index| self.at(index).invalid.is_none())
            .max_by_key(|&index| (self.at(index).work, std::cmp::Reverse(self.at(index).sequence)))
            .unwrap_or(Index::GENESIS);
    }
}
