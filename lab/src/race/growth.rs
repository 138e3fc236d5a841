//! How delay makes blocks stale: the growth of a chain whose blocks take a while to be heard of.
//!
//! Time is counted in mean block intervals, so that the delay is x = λD, the papers' one parameter. A block reaches
//! every other miner x after it was found, and its finder at once. Whoever finds a block puts it on the highest that he
//! knows; only heights matter here, so that which of two equals he prefers does not.

use std::collections::VecDeque;

use rand::{Rng, RngExt};

use crate::stats::{BatchMeans, Estimate};

/// A block that not everybody has heard of yet.
#[derive(Debug, Clone, Copy)]
struct OnItsWay {
    found_at: f64,
    height: u64,
    finder: usize,
    has_rival: bool,
}

/// What a run came to.
#[derive(Debug, Clone, Copy)]
pub struct Growth {
    /// Blocks that are not part of the highest chain, for each block found.
    pub stale: Estimate,
    /// Blocks in whose delay somebody else found one too, for each block found: Decker and Wattenhofer's forks.
    pub rivalled: Estimate,
}

/// Exponential with mean 1.
fn interval(rng: &mut impl Rng) -> f64 {
    -libm::log(1.0 - rng.random::<f64>())
}

/// `miners` of equal power, or no two blocks by one miner if `None`, find `blocks` blocks under the delay `x`.
pub fn grow(miners: Option<usize>, x: f64, blocks: u64, rng: &mut impl Rng) -> Growth {
    let batch = (blocks / 200).max(1);
    let (mut stale, mut rivalled) = (BatchMeans::new(batch), BatchMeans::new(batch));
    let mut own = vec![0_u64; miners.unwrap_or(0)];
    let mut on_their_way: VecDeque<OnItsWay> = VecDeque::new();
    let (mut now, mut heard, mut top) = (0.0, 0_u64, 0_u64);
    for found in 0..blocks {
        now += interval(rng);
        while let Some(block) = on_their_way.front().filter(|block| block.found_at + x <= now) {
            heard = heard.max(block.height);
            rivalled.add(f64::from(u8::from(block.has_rival)));
            on_their_way.pop_front();
        }
        let finder = miners.map_or(found as usize, |count| rng.random_range(0..count));
        let known = own.get(finder).copied().unwrap_or(0);
        let height = heard.max(known) + 1;
        if let Some(own) = own.get_mut(finder) {
            *own = height;
        }
        for block in &mut on_their_way {
            block.has_rival |= block.finder != finder;
        }
        on_their_way.push_back(OnItsWay { found_at: now, height, finder, has_rival: false });
        stale.add(if height > top { 0.0 } else { 1.0 });
        top = top.max(height);
    }
    Growth { stale: stale.mean(), rivalled: rivalled.mean() }
}

/// A double spend against an honest majority that hears of its own blocks x late, while the attacker, who is one, loses
/// nothing to delay.
#[derive(Debug, Clone, Copy)]
pub struct DelayedDoubleSpend {
    /// The attacker's share of all power.
    pub beta: f64,
    /// The delay, in mean block intervals of all miners together.
    pub x: f64,
    /// Blocks that the merchant waits for.
    pub confirmations: u32,
    /// How many blocks behind the attacker has no hope any more.
    pub give_up: u32,
}

impl DelayedDoubleSpend {
    /// Plays one race from the moment at which a block is found that both branches build on.
    pub fn succeeds(&self, rng: &mut impl Rng) -> bool {
        let (mut attacker, mut honest) = (0_u32, 0_u32);
        let (mut now, mut grew_at) = (0.0, 0.0);
        loop {
            now += interval(rng);
            if rng.random::<f64>() < self.beta {
                attacker += 1;
            } else if now >= grew_at + self.x {
                honest += 1;
                grew_at = now;
            }
            if honest >= self.confirmations && attacker >= honest {
                return true;
            }
            if honest > attacker + self.give_up.max(self.confirmations) {
                return false;
            }
        }
    }
}

/// How fast the honest chain grows beside an attacker of the share `beta`: blocks for each mean interval of all miners.
pub fn honest_growth(beta: f64, x: f64, blocks: u64, rng: &mut impl Rng) -> Estimate {
    let mut ratio = crate::stats::RatioSums::default();
    let (mut waited, mut grew_at, mut now) = (0_u64, 0.0, 0.0);
    while waited < blocks {
        now += interval(rng);
        waited += 1;
        if rng.random::<f64>() >= beta && now >= grew_at + x {
            ratio.add(1.0, now - grew_at);
            grew_at = now;
        }
    }
    ratio.ratio()
}
