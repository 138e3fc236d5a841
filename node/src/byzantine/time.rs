//! Miners that lie about the time.

use super::{Adversary, Turn};
use crate::template::Template;

/// The latest time that others accept now, in seconds.
fn latest(turn: &Turn<'_>) -> u32 {
    let ahead = turn.node.chain().params().max_future_secs;
    u32::try_from(turn.now.as_secs() + ahead).unwrap_or(u32::MAX)
}

/// Stamps each block as far ahead of the clock as others bear.
#[derive(Debug)]
pub(super) struct TimeLiar;

impl Adversary for TimeLiar {
    fn alter(&mut self, template: &mut Template, turn: &Turn<'_>) {
        template.block.header.time = latest(turn).max(template.min_time);
    }
}

/// The time-warp attack: periods are measured from their first block to their last, so that time may jump back between
/// a last block and the next first one. Blocks carry the least time allowed, the last of a period the greatest.
///
/// BIP 54 ends it: the first block of a period can't be much earlier than the last of the one before. A template's
/// least time knows of that rule, so under it the attack is tried and comes to nothing.
#[derive(Debug)]
pub(super) struct Timewarp;

impl Adversary for Timewarp {
    fn alter(&mut self, template: &mut Template, turn: &Turn<'_>) {
        let interval = turn.node.chain().params().retarget_interval;
        let is_last = interval.is_some_and(|interval| (template.height + 1).is_multiple_of(interval));
        let time = if is_last { latest(turn).max(template.min_time) } else { template.min_time };
        template.block.header.time = time;
    }
}
