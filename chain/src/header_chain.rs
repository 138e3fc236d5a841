//! Checks a run of raw 80-byte headers: linkage, proof of work, difficulty, times.
//!
//! What is behind `tine headers check`. A run may start anywhere: rules that need a header from before the run are
//! applied as soon as the run reaches far enough (the median of 11 times after 11 headers, a retarget when the first
//! header of its period is there; before that only the factor of 4 is).

use serde::Serialize;

use crate::block::Header;
use crate::codec::Decode as _;
use crate::hash::BlockHash;
use crate::params::Params;
use crate::pow::{
    CompactTarget, MEDIAN_TIME_SPAN, Work, check_period_times, check_proof_of_work, is_permitted_transition,
    is_retarget_height, median_time_past, next_bits,
};
use crate::reject::Reject;

/// What a good run amounts to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// Headers.
    pub count: usize,
    /// The height of the first, when it is known.
    pub first_height: Option<u32>,
    /// The id of the first.
    pub first_hash: BlockHash,
    /// The id of the last.
    pub last_hash: BlockHash,
    /// The expected hashes behind them all.
    pub work: Work,
    /// Every place where the bits changed.
    pub changes: Vec<DifficultyChange>,
    /// The earliest time.
    pub earliest: u32,
    /// The latest time.
    pub latest: u32,
}

/// A header whose bits are not its parent's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct DifficultyChange {
    /// Its place in the run, from 0.
    pub index: usize,
    /// Its height, when it is known.
    pub height: Option<u32>,
    /// The bits before.
    #[serde(serialize_with = "serialize_bits")]
    pub from: CompactTarget,
    /// The bits from here on.
    #[serde(serialize_with = "serialize_bits")]
    pub to: CompactTarget,
    /// Whether the change was computed from the times of the whole period, not only found within the factor of 4.
    pub recomputed: bool,
}

fn serialize_bits<S: serde::Serializer>(bits: &CompactTarget, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(bits)
}

/// The first header of a run that breaks a rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {problem}", place(*index, *height))]
pub struct BadHeader {
    /// Its place in the run, from 0.
    pub index: usize,
    /// Its height, when it is known.
    pub height: Option<u32>,
    /// Its id; `None` when there are not 80 bytes.
    pub hash: Option<BlockHash>,
    /// The rule and the values.
    pub problem: Box<Problem>,
}

fn place(index: usize, height: Option<u32>) -> String {
    match height {
        Some(height) => format!("header {index} (height {height})"),
        None => format!("header {index}"),
    }
}

/// Which rule a header breaks, and with which values.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// The bytes end within a header, or there are none.
    #[error("only {found} of its 80 bytes are there")]
    Truncated {
        /// Bytes that are there.
        found: usize,
    },
    /// It does not name the header before it as its parent.
    #[error("{}: its parent is {found}, the header before it is {expected}", Reject::PrevBlockNotFound)]
    Linkage {
        /// What it names.
        found: BlockHash,
        /// What it should name.
        expected: BlockHash,
    },
    /// It stands at height 0 and is not the genesis block.
    #[error("{}: height 0 belongs to the genesis block {expected}", Reject::BadPrevBlock)]
    Genesis {
        /// Which that is.
        expected: BlockHash,
    },
    /// Its version is below 1.
    #[error("{}: version {version} is below 1", Reject::BadVersion)]
    Version {
        /// What it has.
        version: i32,
    },
    /// Its bits are not those that the chain demands.
    #[error("{}: bits {found}, the chain demands {expected}", Reject::BadDiffBits)]
    Difficulty {
        /// What it has.
        found: CompactTarget,
        /// What it should have.
        expected: CompactTarget,
    },
    /// Its bits changed by more than a factor of 4 at a retarget.
    #[error("{}: bits {found} after {previous} is a change of more than a factor of 4", Reject::BadDiffBits)]
    Transition {
        /// What it has.
        found: CompactTarget,
        /// What its parent has.
        previous: CompactTarget,
    },
    /// Its bits encode no target, or one easier than the network allows.
    #[error("{}: bits {bits} encode no target that the network allows", Reject::HighHash)]
    Target {
        /// What it has.
        bits: CompactTarget,
    },
    /// Its hash is over its target.
    #[error("{}: hash {hash} is over the target {target:064x} of bits {bits}", Reject::HighHash)]
    ProofOfWork {
        /// Its id.
        hash: BlockHash,
        /// Its bits.
        bits: CompactTarget,
        /// The target that these encode.
        target: ruint::aliases::U256,
    },
    /// Its time is not after the median of the 11 before it.
    #[error("{}: time {time} is not after {median}, the median of the {of} before", Reject::TimeTooOld)]
    MedianTime {
        /// What it has.
        time: u32,
        /// What it must be over.
        median: u32,
        /// How many times the median is of.
        of: usize,
    },
    /// Its time breaks a rule of BIP 54.
    #[error("{rule}: time {time}, the header before has {previous}, the first of the period {first}")]
    PeriodTime {
        /// Which.
        rule: Reject,
        /// What it has.
        time: u32,
        /// The time of the header before.
        previous: u32,
        /// The time of the period's first header.
        first: u32,
    },
}

impl Problem {
    /// The rule, as the chain names it.
    #[must_use]
    pub fn reject(&self) -> Reject {
        match self {
            Self::Truncated { .. } => Reject::BlockDecode,
            Self::Linkage { .. } => Reject::PrevBlockNotFound,
            Self::Genesis { .. } => Reject::BadPrevBlock,
            Self::Version { .. } => Reject::BadVersion,
            Self::Difficulty { .. } | Self::Transition { .. } => Reject::BadDiffBits,
            Self::Target { .. } | Self::ProofOfWork { .. } => Reject::HighHash,
            Self::MedianTime { .. } => Reject::TimeTooOld,
            Self::PeriodTime { rule, .. } => *rule,
        }
    }
}

/// Checks all of `bytes`, a run of raw headers of `params`' network.
///
/// `start_height` is the height of the first header. Without it the height is known when the first is the genesis
/// block or one of [`Params::known_blocks`]; otherwise the periods are found from the first change of the bits.
///
/// # Errors
/// The first header that breaks a rule.
pub fn check_headers(bytes: &[u8], params: &Params, start_height: Option<u32>) -> Result<Summary, BadHeader> {
    let (chunks, rest) = bytes.as_chunks::<{ Header::SIZE }>();
    let headers: Vec<Header> =
        chunks.iter().map(|chunk| Header::from_bytes(chunk).expect("80 bytes are a header")).collect();
    let first_height = start_height.or_else(|| known_height(params, headers.first()?));
    let run = Run {
        params,
        headers: &headers,
        first_height,
        offset: first_height.or_else(|| offset(params, &headers)),
    };
    let summary = run.check()?;
    match summary {
        Some(summary) if rest.is_empty() => Ok(summary),
        Some(_) | None => {
            let index = headers.len();
            let problem = Problem::Truncated { found: rest.len() };
            Err(BadHeader { index, height: run.height(index), hash: None, problem: Box::new(problem) })
        }
    }
}

/// The height of a header that everybody knows.
fn known_height(params: &Params, header: &Header) -> Option<u32> {
    let hash = header.hash();
    if hash == params.genesis_hash() {
        return Some(0);
    }
    params.known_blocks.iter().find(|(_, known)| *known == hash.to_string()).map(|(height, _)| *height)
}

/// A height that is right but for whole periods: the bits change where a period starts.
fn offset(params: &Params, headers: &[Header]) -> Option<u32> {
    // where nothing is ever adjusted, any height but that of the genesis will do
    let Some(interval) = params.retarget_interval else { return Some(1) };
    let change = headers.windows(2).position(|pair| pair[0].bits != pair[1].bits)? + 1;
    let into_period = (change % interval as usize) as u32;
    // one whole period up, so that no block of the run looks like the genesis
    Some(2 * interval - into_period)
}

struct Run<'a> {
    params: &'a Params,
    headers: &'a [Header],
    /// The true height of the first.
    first_height: Option<u32>,
    /// The height of the first as far as the rules are concerned.
    offset: Option<u32>,
}

impl Run<'_> {
    fn height(&self, index: usize) -> Option<u32> {
        self.first_height?.checked_add(u32::try_from(index).ok()?)
    }

    /// The header at `height`, as the rules count.
    fn ancestor(&self, height: u32) -> Option<Header> {
        self.headers.get(height.checked_sub(self.offset?)? as usize).copied()
    }

    fn check(&self) -> Result<Option<Summary>, BadHeader> {
        let (Some(first), Some(last)) = (self.headers.first(), self.headers.last()) else { return Ok(None) };
        let mut work = Work::default();
        let mut changes = Vec::new();
        let mut parent = None;
        for (index, header) in self.headers.iter().enumerate() {
            let hash = header.hash();
            let change = self.header(index, header, &hash, parent).map_err(|problem| BadHeader {
                index,
                height: self.height(index),
                hash: Some(hash),
                problem: Box::new(problem),
            })?;
            work = work + header.bits.to_target().map_or(Work::default(), |target| target.work());
            changes.extend(change);
            parent = Some(hash);
        }
        let times = || self.headers.iter().map(|header| header.time);
        Ok(Some(Summary {
            count: self.headers.len(),
            first_height: self.first_height,
            first_hash: first.hash(),
            last_hash: last.hash(),
            work,
            changes,
            earliest: times().min().unwrap_or(first.time),
            latest: times().max().unwrap_or(first.time),
        }))
    }

    fn header(
        &self,
        index: usize,
        header: &Header,
        hash: &BlockHash,
        parent: Option<BlockHash>,
    ) -> Result<Option<DifficultyChange>, Problem> {
        if let Some(expected) = parent.filter(|expected| *expected != header.prev_block) {
            return Err(Problem::Linkage { found: header.prev_block, expected });
        }
        if self.height(index) == Some(0) && *hash != self.params.genesis_hash() {
            return Err(Problem::Genesis { expected: self.params.genesis_hash() });
        }
        // "ours asks for at least 1", and no block of Bitcoin ever had less
        if header.version < 1 {
            return Err(Problem::Version { version: header.version });
        }
        let change = self.difficulty(index, header)?;
        self.proof_of_work(header, hash)?;
        self.times(index, header)?;
        Ok(change)
    }

    fn proof_of_work(&self, header: &Header, hash: &BlockHash) -> Result<(), Problem> {
        if check_proof_of_work(self.params, header.bits, hash).is_ok() {
            return Ok(());
        }
        let bits = header.bits;
        match bits.to_target() {
            Ok(target) if target <= self.params.pow_limit => {
                Err(Problem::ProofOfWork { hash: *hash, bits, target: target.0 })
            }
            Ok(_) | Err(_) => Err(Problem::Target { bits }),
        }
    }

    fn difficulty(&self, index: usize, header: &Header) -> Result<Option<DifficultyChange>, Problem> {
        let Some(previous) = index.checked_sub(1).map(|before| self.headers[before].bits) else {
            // the bits of the first are given; they must only be allowed, which the proof of work asks
            return Ok(None);
        };
        let Some(offset) = self.offset else {
            // no change in the whole run
            return Ok(None);
        };
        let height = offset.saturating_add(index as u32);
        let expected = next_bits(self.params, height - 1, |height| self.ancestor(height));
        match expected {
            Some(expected) if expected != header.bits => {
                return Err(Problem::Difficulty { found: header.bits, expected });
            }
            None if !is_permitted_transition(self.params, height, previous, header.bits) => {
                return Err(Problem::Transition { found: header.bits, previous });
            }
            Some(_) | None => {}
        }
        let change = DifficultyChange {
            index,
            height: self.height(index),
            from: previous,
            to: header.bits,
            recomputed: expected.is_some() && is_retarget_height(self.params, height),
        };
        Ok((previous != header.bits).then_some(change))
    }

    fn times(&self, index: usize, header: &Header) -> Result<(), Problem> {
        let before = &self.headers[index.saturating_sub(MEDIAN_TIME_SPAN)..index];
        // near the genesis there are fewer ancestors; elsewhere they are only not in the run
        let complete = before.len() == MEDIAN_TIME_SPAN || self.first_height == Some(0);
        let median = median_time_past(before.iter().map(|header| header.time));
        if complete && !before.is_empty() && header.time <= median {
            return Err(Problem::MedianTime { time: header.time, median, of: before.len() });
        }
        let Some(height) = self.offset.map(|offset| offset.saturating_add(index as u32)) else {
            return Ok(());
        };
        check_period_times(self.params, height, header.time, |height| self.ancestor(height)).map_err(|rule| {
            let interval = self.params.retarget_interval.unwrap_or(1);
            let time_at = |height| self.ancestor(height).map_or(0, |header| header.time);
            let (previous, first) = (time_at(height - 1), time_at(height - height % interval));
            Problem::PeriodTime { rule, time: header.time, previous, first }
        })
    }
}
