//! Experiments cut into cells, so that many machines can share the work.
//!
//! A plan says which cells there are, and in which order. What a cell comes to follows from the plan and its number
//! alone, so it does not matter who plays it, when, or how often: results are kept by the cell's number, and the whole
//! is made of exactly one of each. It is, bit for bit, what one machine alone would have come to. Left out on purpose:
//! files and processes, which the program has.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tine_chain::hash::sha256;

use crate::experiments::{Effort, report, selfish};
use crate::race::Revenue;
use crate::storm::{self, Tally};
use crate::world::WorldError;

/// The longest plan, in bytes.
const MAX_TEXT: usize = 64 * 1024;
/// Cells that a plan may have.
const MAX_CELLS: u64 = 1_000_000;
/// Blocks of one cell.
const BLOCKS: std::ops::RangeInclusive<u64> = 1_000..=1_000_000_000;
/// Storms of one cell.
const STORMS: std::ops::RangeInclusive<u64> = 1..=1_000_000;

/// Why a plan is none, or its results make no whole.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SweepError {
    /// It is too long.
    #[error("{bytes} bytes: a plan has at most {MAX_TEXT}")]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// It is not TOML, or has keys that no plan has; the message shows the line.
    #[error("{0}")]
    Syntax(String),
    /// A value can't be.
    #[error("{0}")]
    Value(String),
    /// A shard that is none.
    #[error("shard {index}/{count}: shards are 0/N to N-1/N")]
    Shard {
        /// Which.
        index: u64,
        /// Of how many.
        count: u64,
    },
    /// A result of another plan.
    #[error(
        "cell {cell} is of another plan ({found}, this one is {wanted}): keep the results of each plan apart"
    )]
    Foreign {
        /// Its number.
        cell: u64,
        /// The digest of its plan.
        found: String,
        /// The digest of this plan.
        wanted: String,
    },
    /// Two results for one cell that differ: somebody ran another program.
    #[error("cell {cell} came to two different results: were all shards run by the same version?")]
    Contradiction {
        /// Its number.
        cell: u64,
    },
    /// Some are not there.
    #[error("{missing} of {cells} cells are missing, the first is {first}: run their shards again")]
    Missing {
        /// How many.
        missing: u64,
        /// Of how many.
        cells: u64,
        /// The lowest.
        first: u64,
    },
}

/// What is swept.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(tag = "experiment", rename_all = "kebab-case", deny_unknown_fields)]
enum Subject {
    /// A cell is a pair of a share and a tie-break, as of `tine lab selfish`.
    Selfish { seed: u64, blocks: u64, alpha: Vec<f64>, gamma: Vec<f64> },
    /// A cell is `each` storms, as of `tine lab storm`.
    Storm { from: u64, seeds: u64, each: u64 },
}

/// A plan, read and checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    subject: Subject,
    digest: String,
}

/// What one cell came to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Done {
    /// The digest of its plan.
    pub plan: String,
    /// Its number.
    pub cell: u64,
    came_to: CameTo,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum CameTo {
    Selfish(Revenue),
    Storms { reports: Vec<storm::Report>, failures: Vec<String> },
}

/// All cells together.
#[derive(Debug)]
pub enum Whole {
    /// The report that one machine would have made.
    Report(Box<report::Report>),
    /// What the storms came to, and those that found something.
    Storms(Tally, Vec<String>),
}

impl Plan {
    /// Reads a plan.
    ///
    /// # Errors
    /// Where and why it is none.
    pub fn parse(text: &str) -> Result<Self, SweepError> {
        if text.len() > MAX_TEXT {
            return Err(SweepError::TooLong { bytes: text.len() });
        }
        let subject: Subject = toml::from_str(text)
            .map_err(|error| SweepError::Syntax(error.to_string().trim_end().to_owned()))?;
        check(&subject)?;
        // what the plan means, not how it is laid out
        let digest = hex::encode(&sha256(format!("{subject:?}").as_bytes())[..8]);
        let plan = Self { subject, digest };
        match plan.cells() {
            1..=MAX_CELLS => Ok(plan),
            cells => Err(SweepError::Value(format!("{cells} cells: 1 to {MAX_CELLS}"))),
        }
    }

    /// Sixteen hexadecimal digits that tell this plan from others.
    #[must_use]
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// How many cells there are.
    #[must_use]
    pub fn cells(&self) -> u64 {
        match &self.subject {
            Subject::Selfish { alpha, gamma, .. } => alpha.len() as u64 * gamma.len() as u64,
            Subject::Storm { seeds, each, .. } => seeds.div_ceil(*each),
        }
    }

    /// The cells of shard `index` of `count`: every `count`-th.
    ///
    /// # Errors
    /// When there is no such shard.
    pub fn shard(&self, index: u64, count: u64) -> Result<Vec<u64>, SweepError> {
        if index >= count {
            return Err(SweepError::Shard { index, count });
        }
        Ok((0..self.cells()).filter(|cell| cell % count == index).collect())
    }

    /// Plays one cell.
    ///
    /// # Errors
    /// When a world can't go on.
    ///
    /// # Panics
    /// When there is no such cell.
    pub fn play(&self, cell: u64) -> Result<Done, WorldError> {
        assert!(cell < self.cells(), "cell {cell} of {}", self.cells());
        let came_to = match &self.subject {
            Subject::Selfish { seed, blocks, .. } => {
                let effort = Effort { seed: *seed, trials: *blocks };
                CameTo::Selfish(selfish::play_cell(self.pair(cell), effort))
            }
            Subject::Storm { from, seeds, each } => {
                let (first, end) = (from + cell * each, from + seeds);
                let (mut reports, mut failures) = (Vec::new(), Vec::new());
                for seed in first..(first + each).min(end) {
                    match storm::run(seed, None)? {
                        Ok(report) => reports.push(report),
                        Err(failure) => failures.push(failure.to_string()),
                    }
                }
                CameTo::Storms { reports, failures }
            }
        };
        Ok(Done { plan: self.digest.clone(), cell, came_to })
    }

    /// The share and the tie-break of a cell.
    fn pair(&self, cell: u64) -> (f64, f64) {
        match &self.subject {
            Subject::Selfish { alpha, gamma, .. } => {
                let (cell, gammas) = (cell as usize, gamma.len());
                (alpha[cell / gammas], gamma[cell % gammas])
            }
            Subject::Storm { .. } => unreachable!("a storm has no shares"),
        }
    }

    /// Puts all cells together. The same result twice counts once.
    ///
    /// # Errors
    /// When a result is of another plan or contradicts another one, or a cell is missing.
    pub fn merge(&self, results: impl IntoIterator<Item = Done>) -> Result<Whole, SweepError> {
        let mut by_cell: BTreeMap<u64, CameTo> = BTreeMap::new();
        for Done { plan, cell, came_to } in results {
            if plan != self.digest || cell >= self.cells() || !self.is_kind_of(&came_to) {
                return Err(SweepError::Foreign { cell, found: plan, wanted: self.digest.clone() });
            }
            if by_cell.get(&cell).is_some_and(|other| *other != came_to) {
                return Err(SweepError::Contradiction { cell });
            }
            by_cell.insert(cell, came_to);
        }
        if let Some(first) = (0..self.cells()).find(|cell| !by_cell.contains_key(cell)) {
            let missing = self.cells() - by_cell.len() as u64;
            return Err(SweepError::Missing { missing, cells: self.cells(), first });
        }
        Ok(self.whole(by_cell))
    }

    fn is_kind_of(&self, came_to: &CameTo) -> bool {
        match (&self.subject, came_to) {
            (Subject::Selfish { .. }, CameTo::Selfish(_))
            | (Subject::Storm { .. }, CameTo::Storms { .. }) => true,
            (Subject::Selfish { .. }, CameTo::Storms { .. })
            | (Subject::Storm { .. }, CameTo::Selfish(_)) => false,
        }
    }

    fn whole(&self, by_cell: BTreeMap<u64, CameTo>) -> Whole {
        let (mut revenues, mut all, mut failed) = (Vec::new(), Vec::new(), Vec::new());
        for (cell, came_to) in by_cell {
            match came_to {
                CameTo::Selfish(revenue) => revenues.push((self.pair(cell), revenue)),
                CameTo::Storms { reports, failures } => {
                    all.extend(reports);
                    failed.extend(failures);
                }
            }
        }
        match &self.subject {
            Subject::Selfish { seed, gamma, .. } => {
                Whole::Report(Box::new(selfish::report(&revenues, gamma, *seed)))
            }
            Subject::Storm { .. } => Whole::Storms(Tally::of(all), failed),
        }
    }
}

fn check(subject: &Subject) -> Result<(), SweepError> {
    let refuse = |what: String| Err(SweepError::Value(what));
    match subject {
        Subject::Selfish { blocks, alpha, gamma, .. } => {
            if !BLOCKS.contains(blocks) {
                return refuse(format!("blocks = {blocks}: {} to {}", BLOCKS.start(), BLOCKS.end()));
            }
            if let Some(alpha) = alpha.iter().find(|alpha| !(**alpha > 0.0 && **alpha < 0.5)) {
                return refuse(format!("alpha = {alpha}: a share above 0 and below 0.5"));
            }
            if let Some(gamma) = gamma.iter().find(|gamma| !(0.0..=1.0).contains(*gamma)) {
                return refuse(format!("gamma = {gamma}: a number from 0 to 1"));
            }
        }
        Subject::Storm { from, seeds, each } => {
            if !STORMS.contains(each) {
                return refuse(format!(
                    "each = {each}: {} to {} storms of one cell",
                    STORMS.start(),
                    STORMS.end()
                ));
            }
            if from.checked_add(*seeds).and_then(|end| end.checked_add(*each)).is_none() {
                return refuse(format!("from = {from}, seeds = {seeds}: seeds are below 2^64"));
            }
        }
    }
    Ok(())
}
