//! Mining under virtual time: when a block is found is drawn, that it is one is real.

use std::time::Duration;

use rand::{Rng, RngExt};
use ruint::aliases::U256;
use tine_chain::block::Block;
use tine_chain::mining::Scanner;
use tine_chain::params::{Network, Params};
use tine_chain::pow::{Target, Work};

/// Hashes that finding a lab block takes at the start: enough for the retarget to have grain, few enough to be nothing.
const START_WORK: u64 = 256;

/// The devnet's rules at a scale where a block takes 256 hashes instead of a million: every difficulty is
/// shifted by the same factor, so that intervals and retargets are those of the devnet.
#[must_use]
pub fn lab_params() -> Params {
    let mut params = Params::of(Network::Devnet);
    let scale = 1_000_000 / START_WORK;
    let start = params.genesis.bits.to_target().expect("the devnet's own bits");
    let factor = U256::from(scale);
    params.pow_limit = Target(U256::MAX >> 2);
    params.genesis.bits = Target(start.0.saturating_mul(factor)).to_compact();
    params
}

/// The lab's rules without a retarget: the difficulty never changes, and a block takes two hashes.
#[must_use]
pub fn constant_params() -> Params {
    let mut params = lab_params();
    params.genesis.bits = Params::of(Network::Regtest).genesis.bits;
    params.pow_limit = Params::of(Network::Regtest).pow_limit;
    params.retarget_interval = None;
    params
}

/// Hash rates, and the chance by which blocks are found: one Poisson process for the whole world.
///
/// Each host finds blocks at the rate of its hashes over the work that its own next block takes. The process runs at the
/// rate that all would have at the least work of any of them; the host of an event is drawn by its share, and the event
/// counts with the probability least work over its own work (thinning: Lewis and Shedler 1979). Both are exact, and a
/// block costs one draw however many hosts there are.
#[derive(Debug)]
pub(crate) struct Miners {
    /// Hashes a second of all shares together, were their sum 1.
    hashrate: f64,
    shares: Vec<f64>,
    /// Sums of the shares up to each host.
    cumulative: Vec<f64>,
    /// No host's next block takes less work, in hashes.
    least_work: f64,
    /// The draw that is in force; events of earlier ones are void.
    pub(crate) draw: u64,
    /// Events in a row that did not count.
    missed: u32,
}

/// Events in a row that do not count before it is looked up again what the least work is.
const MAX_MISSED: u32 = 16;

impl Miners {
    /// `interval` between blocks of `genesis_work` when the shares add up to 1.
    pub(crate) fn new(shares: Vec<f64>, interval: Duration, genesis_work: Work) -> Self {
        let least_work = f64::from(genesis_work.0);
        let hashrate = least_work / interval.as_secs_f64().max(0.001);
        let mut miners = Self { hashrate, shares, cumulative: Vec::new(), least_work, draw: 0, missed: 0 };
        miners.add_up();
        miners
    }

    fn add_up(&mut self) {
        let mut sum = 0.0;
        let sums = self.shares.iter().map(|share| {
            sum += share.max(0.0);
            sum
        });
        self.cumulative = sums.collect();
    }

    pub(crate) fn share(&self, host: usize) -> f64 {
        self.shares[host]
    }

    pub(crate) fn set_share(&mut self, host: usize, share: f64) {
        self.shares[host] = share;
        self.add_up();
    }

    /// Draws the time to the next event; `None` when nobody mines.
    pub(crate) fn sample_interval(&self, rng: &mut impl Rng) -> Option<Duration> {
        let total = self.cumulative.last().copied().unwrap_or_default();
        if total <= 0.0 {
            return None;
        }
        Some(sample_exponential(rng, self.least_work / (self.hashrate * total)))
    }

    /// Draws whose event it is.
    pub(crate) fn sample_host(&self, rng: &mut impl Rng) -> usize {
        let total = self.cumulative.last().copied().unwrap_or_default();
        let level = rng.random::<f64>() * total;
        let place = self.cumulative.partition_point(|sum| *sum <= level);
        place.min(self.cumulative.len().saturating_sub(1))
    }

    /// Draws whether an event of a host counts whose next block takes `work`.
    pub(crate) fn counts(&mut self, work: Work, rng: &mut impl Rng) -> bool {
        let counts = rng.random::<f64>() * f64::from(work.0) < self.least_work;
        self.missed = if counts { 0 } else { self.missed + 1 };
        counts
    }

    /// Whether the least work should be looked up again.
    pub(crate) fn is_stale(&self) -> bool {
        self.missed >= MAX_MISSED
    }

    /// Some host's next block takes `work`. Returns whether that is less than was known, so that a new draw is due.
    pub(crate) fn learn_work(&mut self, work: Work) -> bool {
        let work = f64::from(work.0);
        let less = work < self.least_work;
        if less {
            self.least_work = work;
        }
        less
    }

    /// The least work of all hosts was looked up.
    pub(crate) fn set_least_work(&mut self, work: Work) {
        self.missed = 0;
        self.least_work = f64::from(work.0);
    }
}

/// An exponential draw of the given mean in seconds, in whole milliseconds.
///
/// `libm` rather than the system's logarithm, so that every machine draws the same number.
pub fn sample_exponential(rng: &mut impl Rng, mean_secs: f64) -> Duration {
    let uniform: f64 = 1.0 - rng.random::<f64>(); // in (0, 1]
    let seconds = -libm::log(uniform) * mean_secs;
    Duration::from_millis((seconds * 1_000.0) as u64)
}

/// Searches the nonce of a block that has been drawn as found.
///
/// Returns `None` when no nonce of the 2^32 will do, which at lab difficulties does not happen.
#[must_use]
pub fn solve(mut block: Block, target: Target, first_nonce: u32) -> Option<Block> {
    let scanner = Scanner::new(&block.header);
    let nonce =
        scanner.scan(target, first_nonce..=u32::MAX).or_else(|| scanner.scan(target, 0..=first_nonce))?;
    block.header.nonce = nonce;
    Some(block)
}
