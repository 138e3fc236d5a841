//! What a transaction must pay to be mined soon, from what others paid and how long they waited.
//!
//! Each transaction that came as news and without unconfirmed parents is a *sample*: its fee rate, and after how many
//! blocks it was mined or given up. A block's samples are thinned to [`SAMPLES_PER_BLOCK`], evenly by rate, and kept
//! for [`HISTORY`] blocks; a sample counts half as much after each [`HALF_LIFE`] blocks.
//!
//! The rate for a target of T blocks is found from the top: samples in the order of their rates, the highest first, in
//! groups of at least [`GROUP`]; as long as enough of a group was mined within T blocks, go on to the next; the median
//! rate of the last good group is the answer. What still waits after T blocks, or was given up after them, counts as
//! not mined in time. As in Core (`CBlockPolicyEstimator::estimateSmartFee`) the answer is the most of three: 60 % within
//! T/2, 85 % within T, 95 % within 2T. Nothing is rounded through floating point, so every machine has the same answer.
//!
//! Left out on purpose: Core's fixed buckets and three horizons. They bound the memory of a long history; here the
//! samples do.

use std::sync::Arc;

use imbl::Vector;

use super::{Entry, FeeRate, Mempool};

/// The longest wait that can be asked about, in blocks.
pub const MAX_TARGET: u32 = 1_008;
/// How many blocks back samples are kept.
const HISTORY: u32 = 1_008;
/// How many samples of one block are kept.
pub(super) const SAMPLES_PER_BLOCK: usize = 100;
/// After how many blocks a sample counts half as much (Core's medium horizon).
const HALF_LIFE: u32 = 144;
/// What a fresh sample counts.
const FULL: u64 = 1 << 16;
/// How many fresh samples make a group.
const GROUP: u64 = 10;
/// How many samples may wait for the next block.
pub(super) const MAX_OPEN: usize = 10_000;

/// Whether to answer for now, or for what has been seen at any time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum EstimateMode {
    /// Old samples count less.
    #[default]
    Economical,
    /// The higher of that and of the answer when old samples count as much as new ones.
    Conservative,
}

/// A fee rate, and for which target it was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Estimate {
    /// What to pay.
    pub rate: FeeRate,
    /// Within how many blocks it is mined; less than was asked for when the history is too short for that.
    pub target: u32,
}

/// One transaction's story.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sample {
    /// What it paid, base units for 1,000 bytes.
    pub(super) rate: u64,
    /// Blocks until it was mined or given up, at least 1.
    pub(super) waited: u32,
    /// Whether it was mined.
    pub(super) mined: bool,
}

/// What one block told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct BlockSamples {
    pub(super) height: u32,
    /// How many samples there were before they were thinned.
    pub(super) count: u32,
    /// By rate.
    pub(super) samples: Vec<Sample>,
}

/// What confirmed transactions paid, and how long they waited. A clone shares it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Estimator {
    /// The first and the last block that were looked at.
    pub(super) first: Option<u32>,
    pub(super) height: u32,
    /// Oldest first.
    pub(super) blocks: Vector<Arc<BlockSamples>>,
    /// Of the block that comes.
    pub(super) open: Vector<Sample>,
}

impl Estimator {
    /// An entry is in the block at `height`.
    pub(super) fn confirmed(&mut self, entry: &Entry, height: u32) {
        // a child that pays for it says more about when it is mined than its own rate
        let paid_for = entry.descendants.rate() > entry.alone().rate();
        // a block at a height that has been counted tells nothing new
        if height > self.height && !paid_for {
            self.add(entry, height.saturating_sub(entry.height), true);
        }
    }

    /// An entry was given up: evicted, or too old.
    pub(super) fn failed(&mut self, entry: &Entry) {
        self.add(entry, self.height.saturating_sub(entry.height), false);
    }

    fn add(&mut self, entry: &Entry, waited: u32, mined: bool) {
        if entry.telling && self.open.len() < MAX_OPEN && (mined || waited > 0) {
            let rate = FeeRate { fee: entry.fee, size: entry.tx.size() as u64 }.units_per_kilobyte();
            self.open.push_back(Sample { rate, waited: waited.max(1), mined });
        }
    }

    /// The block at `height` is done.
    pub(super) fn block(&mut self, height: u32) {
        if height <= self.height {
            return;
        }
        self.height = height;
        if !self.open.is_empty() {
            self.first.get_or_insert(height);
            self.blocks.push_back(Arc::new(thin(height, std::mem::take(&mut self.open))));
        }
        while self.blocks.front().is_some_and(|block| block.height + HISTORY <= height) {
            self.blocks.pop_front();
        }
    }

    /// The rate at which a transaction is mined within `target` blocks; `None`: not enough is known.
    ///
    /// `waiting` are the transactions that wait now: rate in base units for 1,000 bytes, and for how many blocks.
    #[must_use]
    pub fn estimate(&self, target: u32, mode: EstimateMode, waiting: &[(u64, u32)]) -> Option<Estimate> {
        // a wait can be judged only where twice as much has been seen
        let usable = (self.height + 1).saturating_sub(self.first?) / 2;
        // Core: "It's not possible to get reasonable estimates for confTarget of 1"
        let target = target.clamp(2, MAX_TARGET).min(usable);
        if target < 2 {
            return None;
        }
        let rate = match mode {
            EstimateMode::Economical => self.rate_for(target, false, waiting)?,
            EstimateMode::Conservative => {
                self.rate_for(target, false, waiting)?.max(self.rate_for(target, true, waiting)?)
            }
        };
        Some(Estimate { rate: FeeRate::per_kilobyte(rate), target })
    }

    /// "the most of three: 60 % within T/2, 85 % within T, 95 % within 2T"
    fn rate_for(&self, target: u32, ageless: bool, waiting: &[(u64, u32)]) -> Option<u64> {
        let within = |target, percent| self.rate_within(target, percent, ageless, waiting);
        let main = within(target, 85)?;
        Some(main.max(within(target / 2, 60).unwrap_or(0)).max(within(target * 2, 95).unwrap_or(0)))
    }

    fn rate_within(&self, target: u32, percent: u64, ageless: bool, waiting: &[(u64, u32)]) -> Option<u64> {
        let judge = |sample: &Sample| match (sample.mined, sample.waited <= target) {
            (true, in_time) => Some(in_time),
            (false, true) => None,
            (false, false) => Some(false),
        };
        let mut votes: Vec<Vote> = Vec::new();
        for block in &self.blocks {
            let weight = if ageless { FULL } else { weight(self.height - block.height) };
            let weight = weight * u64::from(block.count) / block.samples.len() as u64;
            let judged = block.samples.iter().filter_map(|sample| Some((sample.rate, judge(sample)?)));
            votes.extend(judged.map(|(rate, in_time)| Vote { rate, weight, in_time }));
        }
        let late = waiting.iter().filter(|(_, waited)| *waited > target);
        votes.extend(late.map(|(rate, _)| Vote { rate: *rate, weight: FULL, in_time: false }));
        votes.sort_by_key(|vote| std::cmp::Reverse(vote.rate));
        last_good_group(&votes, percent)
    }
}

/// A sample's say about one target.
struct Vote {
    rate: u64,
    weight: u64,
    in_time: bool,
}

/// The median rate of the last of the groups from the top of which enough was mined in time.
fn last_good_group(votes: &[Vote], percent: u64) -> Option<u64> {
    let mut good = None;
    let mut start = 0;
    for end in 1..=votes.len() {
        let group = &votes[start..end];
        let whole = group.iter().map(|vote| vote.weight).sum::<u64>() >= GROUP * FULL;
        // equal rates stay together
        let last_of_rate = votes.get(end).is_none_or(|next| next.rate != votes[end - 1].rate);
        if !(whole && last_of_rate) {
            continue;
        }
        let sum = |votes: &[Vote], only_good: bool| -> u64 {
            votes.iter().filter(|vote| vote.in_time || !only_good).map(|vote| vote.weight).sum()
        };
        if sum(group, true) * 100 < sum(group, false) * percent {
            return good;
        }
        good = median(group);
        start = end;
    }
    good
}

fn median(group: &[Vote]) -> Option<u64> {
    let half = group.iter().map(|vote| vote.weight).sum::<u64>() / 2;
    let mut seen = 0;
    let middle = group.iter().find(|vote| {
        seen += vote.weight;
        seen > half
    });
    middle.map(|vote| vote.rate)
}

/// What a sample counts at an age in blocks: half after each half-life, a straight line between.
fn weight(age: u32) -> u64 {
    let whole = FULL.checked_shr(age / HALF_LIFE).unwrap_or(0);
    whole - whole * u64::from(age % HALF_LIFE) / u64::from(HALF_LIFE) / 2
}

/// At most [`SAMPLES_PER_BLOCK`] of a block's samples, evenly by rate.
fn thin(height: u32, samples: Vector<Sample>) -> BlockSamples {
    let mut samples: Vec<Sample> = samples.into_iter().collect();
    samples.sort_by_key(|sample| (sample.rate, sample.waited, sample.mined));
    let count = samples.len();
    let kept = count.min(SAMPLES_PER_BLOCK);
    let samples = (0..kept).map(|place| samples[place * count / kept]).collect();
    BlockSamples { height, count: u32::try_from(count).unwrap_or(u32::MAX), samples }
}

impl Mempool {
    /// Goes on with what an earlier run has learnt, unless this one has learnt something itself.
    pub(crate) fn restore_estimates(&mut self, estimator: Estimator) {
        if self.estimator.blocks.is_empty() {
            let height = self.estimator.height.max(estimator.height);
            self.estimator = Estimator { height, ..estimator };
        }
    }

    /// The rate at which a transaction is mined within `target` blocks, as far as the past tells; never less than what
    /// the mempool asks for now. `None`: not enough is known.
    #[must_use]
    pub fn estimate_fee(&self, target: u32, mode: EstimateMode) -> Option<Estimate> {
        let height = self.estimator.height;
        let waiting: Vec<(u64, u32)> = self
            .entries
            .values()
            .filter(|entry| entry.telling && height > entry.height)
            .map(|entry| (entry.alone().rate().units_per_kilobyte(), height - entry.height))
            .collect();
        let estimate = self.estimator.estimate(target, mode, &waiting)?;
        Some(Estimate { rate: estimate.rate.max(self.min_fee_rate()), ..estimate })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Blocks at which transactions of these rates were mined after that many blocks, ten of each.
    fn history(blocks: u32, stories: &[(u64, u32, bool)]) -> Estimator {
        let mut estimator = Estimator::default();
        for height in 1..=blocks {
            for &(rate, waited, mined) in stories {
                (0..10).for_each(|_| estimator.open.push_back(Sample { rate, waited, mined }));
            }
            estimator.block(height);
        }
        estimator
    }

    fn rate(estimator: &Estimator, target: u32) -> Option<u64> {
        let estimate = estimator.estimate(target, EstimateMode::Economical, &[])?;
        Some(estimate.rate.units_per_kilobyte())
    }

    #[test]
    fn the_estimate_is_the_lowest_rate_that_was_mined_in_time() {
        let estimator =
            history(100, &[(9_000, 1, true), (5_000, 2, true), (3_000, 6, true), (1_000, 30, true)]);
        assert_eq!(rate(&estimator, 2), Some(9_000), "60 % within 1 block, too");
        assert_eq!(rate(&estimator, 4), Some(5_000));
        assert_eq!(rate(&estimator, 12), Some(3_000));
        assert_eq!(rate(&estimator, 50), Some(3_000), "25 blocks were not enough for the lowest");
        let all = history(200, &[(9_000, 1, true), (1_000, 30, true)]);
        assert_eq!(rate(&all, 60), Some(1_000));
    }

    #[test]
    fn what_was_given_up_or_still_waits_counts_against_a_rate() {
        let estimator = history(100, &[(9_000, 1, true), (5_000, 1, true), (5_000, 20, false)]);
        assert_eq!(rate(&estimator, 4), Some(9_000));
        let estimator = history(100, &[(9_000, 1, true), (5_000, 1, true)]);
        assert_eq!(rate(&estimator, 4), Some(5_000));
        let waiting = vec![(5_000, 50); 5_000];
        let estimate = estimator.estimate(4, EstimateMode::Economical, &waiting).expect("known");
        assert_eq!(estimate.rate.units_per_kilobyte(), 9_000);
    }

    #[test]
    fn little_is_known_at_first_and_the_past_fades() {
        assert_eq!(rate(&Estimator::default(), 6), None);
        assert_eq!(
            rate(&history(3, &[(5_000, 1, true)]), 6),
            None,
            "two blocks say nothing of a wait of two"
        );
        let estimate = history(10, &[(5_000, 1, true)]).estimate(500, EstimateMode::Economical, &[]);
        assert_eq!(estimate.map(|estimate| estimate.target), Some(5), "as far as the history goes");
        // dear once, cheap for a long time
        let mut estimator = history(10, &[(50_000, 1, true), (1_000, 40, true)]);
        assert_eq!(rate(&estimator, 4), Some(50_000));
        for height in 11..900 {
            (0..10).for_each(|_| estimator.open.push_back(Sample { rate: 1_000, waited: 1, mined: true }));
            estimator.block(height);
        }
        assert_eq!(rate(&estimator, 4), Some(1_000));
        estimator.block(5_000);
        assert!(estimator.blocks.is_empty(), "forgotten");
        assert_eq!(rate(&estimator, 4), None);
    }

    #[test]
    fn a_block_is_thinned_evenly_and_weighs_as_much() {
        let samples = (0..1_000).map(|rate| Sample { rate, waited: 1, mined: true }).collect();
        let block = thin(7, samples);
        assert_eq!((block.samples.len(), block.count), (SAMPLES_PER_BLOCK, 1_000));
        assert_eq!((block.samples[0].rate, block.samples[99].rate), (0, 990));
        assert_eq!((weight(0), weight(HALF_LIFE), weight(HALF_LIFE / 2)), (FULL, FULL / 2, FULL - FULL / 4));
    }
}
