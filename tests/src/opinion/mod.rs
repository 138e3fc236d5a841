//! The chain and the reference judge the same random bytes: any difference is a mistake in one of them, or in the
//! specification.
//!
//! A case is a world with both in it, and a number of steps. Each step has random numbers of its own, which follow from
//! the seed, the case and the step, so that a case with steps left out is still a case: that is how a difference is
//! shrunk to the few steps that it needs.

use std::collections::BTreeMap;
use std::fmt;

use rand::RngExt as _;
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;

use crate::reference::{Network, Verdict};

mod draw;
mod forge;
mod noise;
mod owners;
mod world;

use world::World;

/// Steps of one case.
pub const STEPS: u64 = 60;

/// The most attempts at leaving steps out of a case that shows a difference.
const MAX_SHRINK_RUNS: usize = 400;

/// How many verdicts of each kind were the same on both sides: `block bad-cb-amount` and so on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally(pub BTreeMap<(&'static str, &'static str), u64>);

impl Tally {
    /// All of them.
    #[must_use]
    pub fn verdicts(&self) -> u64 {
        self.0.values().sum()
    }

    /// Whether anything was refused for this reason, or accepted if it says so.
    #[must_use]
    pub fn has(&self, verdict: &str) -> bool {
        self.0.keys().any(|(_, name)| *name == verdict)
    }

    /// Adds those of another case.
    pub fn add(&mut self, other: &Self) {
        for (kind, count) in &other.0 {
            *self.0.entry(*kind).or_default() += count;
        }
    }

    fn count(&mut self, what: &'static str, verdict: &'static str) {
        *self.0.entry((what, verdict)).or_default() += 1;
    }
}

/// The two do not agree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// What was judged: `block`, `header`, `transaction`, `template`, `tip`, `coins`.
    pub what: &'static str,
    /// What the chain says.
    pub chain: String,
    /// What the reference says.
    pub reference: String,
    /// The bytes that they were given.
    pub bytes: Vec<u8>,
    /// What happened in this case, step by step, up to there.
    pub story: Vec<String>,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.story {
            writeln!(f, "  {line}")?;
        }
        writeln!(f, "{}: the chain says {}, the reference {}", self.what, self.chain, self.reference)?;
        write!(f, "bytes: {}", hex::encode(&self.bytes))
    }
}

/// One case of one seed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Case {
    /// Whatever was asked for.
    pub seed: u64,
    /// Which of its cases.
    pub number: u64,
}

impl Case {
    /// The random numbers of one step.
    fn rng(self, step: u64) -> ChaCha8Rng {
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&self.seed.to_le_bytes());
        seed[8..16].copy_from_slice(&self.number.to_le_bytes());
        seed[16..24].copy_from_slice(&step.to_le_bytes());
        ChaCha8Rng::from_seed(seed)
    }

    /// Takes these steps. `alter` may change the constants that the reference judges by: a planted mistake.
    ///
    /// # Errors
    /// The first difference.
    pub fn run(self, steps: &[u64], alter: &dyn Fn(&mut Network)) -> Result<Tally, Box<Difference>> {
        let mut world = World::new(self.rng(u64::MAX).random_range(0..3), alter);
        for &step in steps {
            let mut rng = self.rng(step);
            if let Err(mut difference) = world.step(&mut rng) {
                difference.story = std::mem::take(&mut world.story);
                return Err(difference);
            }
        }
        Ok(world.tally)
    }

    /// All [`STEPS`] of the case.
    ///
    /// # Errors
    /// The first difference, with the fewest steps that were found to lead to one.
    pub fn judge(self, alter: &dyn Fn(&mut Network)) -> Result<Tally, Box<Difference>> {
        let steps: Vec<u64> = (0..STEPS).collect();
        self.run(&steps, alter).map_err(|difference| self.shrink(steps, difference, alter))
    }

    /// Leaves out as many steps as it can, first many together, then one by one.
    fn shrink(
        self,
        mut steps: Vec<u64>,
        mut smallest: Box<Difference>,
        alter: &dyn Fn(&mut Network),
    ) -> Box<Difference> {
        let mut runs = 0;
        let mut size = steps.len() / 2;
        while size > 0 {
            let mut start = 0;
            while start < steps.len() && runs < MAX_SHRINK_RUNS {
                runs += 1;
                let mut fewer = steps.clone();
                fewer.drain(start..(start + size).min(steps.len()));
                match self.run(&fewer, alter) {
                    Err(difference) => (steps, smallest) = (fewer, difference),
                    Ok(_) => start += size,
                }
            }
            size /= 2;
        }
        smallest
    }
}

/// What the chain says, in the reference's words.
fn verdict<T>(result: Result<T, tine_chain::reject::Reject>, accepted: impl FnOnce(T) -> Verdict) -> Verdict {
    result.map_or_else(|reject| Verdict::Refused(reject.reason()), accepted)
}
