//! Which headers are worth keeping, for one who hears of them from strangers.
//!
//! The policy: every branch that was stored is kept, because this program is for looking at forks. What bounds them is
//! the door. A branch comes in when it has more work than the active chain, or when it lacks at most
//! [`LOW_WORK_BLOCKS`] blocks' worth of it, and there are not [`MAX_SIDE_BRANCHES`] near the tip yet or it goes on
//! with one of them. So an attacker with little power fills a bounded number of short branches, and an honest branch
//! comes in at the latest when it overtakes.

use super::Chain;
use crate::hash::BlockHash;
use crate::pow::Work;
use crate::tree::Index;

/// Blocks' worth of work that a branch may lack (Core: `GetAntiDoSWorkThreshold`).
pub const LOW_WORK_BLOCKS: u64 = 144;

/// Branches that end near the tip and have no more work than the active chain, at most, before new ones are refused.
pub const MAX_SIDE_BRANCHES: usize = 100;

/// How near is near, in blocks: twice [`LOW_WORK_BLOCKS`].
const SIDE_WINDOW: u32 = 288;

impl Chain {
    /// The work that a branch which builds on `parent` must have to be worth keeping; `None` when the parent is not
    /// known. At least `minimum`, whatever we have (Core: `nMinimumChainWork`).
    #[must_use]
    pub fn required_work(&self, parent: &BlockHash, minimum: Work) -> Option<Work> {
        let parent = self.tree.index_of(parent)?;
        let required = if self.goes_on(parent) || self.side_branches() < MAX_SIDE_BRANCHES {
            self.low_work()
        } else {
            self.tip().work.next()
        };
        Some(required.max(minimum))
    }

    /// Whether a block on `parent` begins no new branch.
    fn goes_on(&self, parent: Index) -> bool {
        self.tree.is_tip(parent)
    }

    fn low_work(&self) -> Work {
        let block = self.tip().header.bits.to_target().map(crate::pow::Target::work).unwrap_or_default();
        self.tip().work.saturating_sub_times(block, LOW_WORK_BLOCKS)
    }

    /// How many branches end near the tip, the active one not among them.
    #[must_use]
    pub fn side_branches(&self) -> usize {
        let lowest = self.tip().height.saturating_sub(SIDE_WINDOW);
        let near = self.tree.tips().filter(|entry| entry.height >= lowest && entry.work <= self.tip().work);
        near.filter(|entry| !self.is_active(&entry.hash)).count()
    }
}
