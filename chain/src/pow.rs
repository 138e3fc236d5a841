//! Proof of work: targets, their compact form, work, and the retarget.

use ruint::aliases::{U256, U512};

use crate::block::Header;
use crate::hash::BlockHash;
use crate::params::Params;
use crate::reject::Reject;

/// A target in Bitcoin's compact form (`nBits`): a byte of exponent, three of mantissa, the top bit of which is a sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct CompactTarget(pub u32);

impl std::fmt::Display for CompactTarget {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:08x}", self.0)
    }
}

/// The number that a block's hash, read as little-endian, must not be over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Target(pub U256);

/// Expected hashes: of a block, or of a whole branch. Compared as 256-bit numbers, never by height.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Work(pub U256);

impl Work {
    /// The least work that is more.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(U256::from(1u64)))
    }

    /// Less `count` times `other`, or nothing.
    #[must_use]
    pub fn saturating_sub_times(self, other: Self, count: u64) -> Self {
        Self(self.0.saturating_sub(other.0.saturating_mul(U256::from(count))))
    }
}

/// Why compact bits encode no target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// The sign bit is set.
    #[error("the target is negative")]
    Negative,
    /// The mantissa is zero.
    #[error("the target is zero")]
    Zero,
    /// The target needs more than 256 bits.
    #[error("the target overflows 256 bits")]
    Overflow,
}

impl CompactTarget {
    /// Decodes the compact form (Core: `arith_uint256::SetCompact`).
    ///
    /// # Errors
    /// A target that is negative, zero or over 256 bits.
    pub fn to_target(self) -> Result<Target, TargetError> {
        let exponent = (self.0 >> 24) as usize;
        let mantissa = self.0 & 0x007f_ffff;
        let value = U256::from(mantissa);
        let value = if exponent <= 3 { value >> (8 * (3 - exponent)) } else { value };
        if value.is_zero() {
            return Err(TargetError::Zero);
        }
        if self.0 & 0x0080_0000 != 0 {
            return Err(TargetError::Negative);
        }
        if exponent <= 3 {
            return Ok(Target(value));
        }
        value
            .checked_mul(U256::ONE.checked_shl(8 * (exponent - 3)).ok_or(TargetError::Overflow)?)
            .map(Target)
            .ok_or(TargetError::Overflow)
    }
}

impl Target {
    /// The compact form, rounded down to three bytes of mantissa (Core: `arith_uint256::GetCompact`).
    #[must_use]
    pub fn to_compact(self) -> CompactTarget {
        let mut size = self.0.bit_len().div_ceil(8);
        let mut mantissa: u64 = if size <= 3 {
            self.0.to::<u64>() << (8 * (3 - size))
        } else {
            (self.0 >> (8 * (size - 3))).to::<u64>()
        };
        // the sign bit is taken: shift the mantissa away from it
        if mantissa & 0x0080_0000 != 0 {
            mantissa >>= 8;
            size += 1;
        }
        CompactTarget((mantissa as u32) | ((size as u32) << 24))
    }

    /// Whether `hash` is at most the target.
    #[must_use]
    pub fn is_met_by(self, hash: &BlockHash) -> bool {
        U256::from_le_bytes(hash.0) <= self.0
    }

    /// Hashes that finding a block takes on average: 2^256 / (target + 1) (Core: `GetBlockProof`).
    #[must_use]
    pub fn work(self) -> Work {
        // 2^256 / (t + 1) = (~t / (t + 1)) + 1, which stays within 256 bits
        match self.0.checked_add(U256::ONE) {
            // the sum overflows for a target of zero alone, which compact bits can't encode
            Some(divisor) => Work((!self.0 / divisor).saturating_add(U256::ONE)),
            None => Work(U256::ONE),
        }
    }
}

impl std::ops::Add for Work {
    type Output = Self;

    /// Work sums saturate: 2^256 hashes have never been made.
    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl std::fmt::Display for Work {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:064x}", self.0)
    }
}

/// Whether a header's hash meets the target that its own `bits` claim (Core: `CheckProofOfWork`).
///
/// # Errors
/// [`Reject::HighHash`], also when the bits encode no target or one easier than the network's limit.
pub fn check_proof_of_work(params: &Params, bits: CompactTarget, hash: &BlockHash) -> Result<(), Reject> {
    // "compact bits, never negative, zero or over the limit"
    let target = bits.to_target().map_err(|_| Reject::HighHash)?;
    if target > params.pow_limit || !target.is_met_by(hash) {
        return Err(Reject::HighHash);
    }
    Ok(())
}

/// The bits that follow a period whose first block has `first_time` and whose last has `last_time` and `bits`
/// (Core: `CalculateNextWorkRequired`): the target times the actual timespan, clamped to a quarter and four times,
/// over the wanted one.
///
/// # Errors
/// When `bits` encodes no target.
pub fn retarget(
    params: &Params,
    bits: CompactTarget,
    first_time: u32,
    last_time: u32,
) -> Result<CompactTarget, TargetError> {
    let timespan = params.target_timespan_secs;
    let actual = (i64::from(last_time) - i64::from(first_time)).clamp(timespan / 4, timespan * 4);
    Ok(scale(params, bits.to_target()?, actual))
}

/// `target` × `actual` seconds / the wanted timespan, at most the limit, rounded as compact bits round.
fn scale(params: &Params, target: Target, actual: i64) -> CompactTarget {
    // The lab's targets are so easy that the product may exceed 2^256.
    let product: U512 = target.0.widening_mul(U256::from(actual.unsigned_abs()));
    let scaled = product / U512::from(params.target_timespan_secs.unsigned_abs());
    Target(scaled.min(U512::from(params.pow_limit.0)).to()).to_compact()
}

/// Whether difficulty is adjusted for the block at `height`.
#[must_use]
pub fn is_retarget_height(params: &Params, height: u32) -> bool {
    params.retarget_interval.is_some_and(|interval| height.is_multiple_of(interval) && height > 0)
}

/// The bits that the child of the block at `parent_height` must have (Core: `GetNextWorkRequired`).
///
/// `ancestor` gives the headers of the parent's branch by height, the parent included. `None` when it does not know one
/// that is needed (at a retarget that is the first of the period; else only the parent).
pub fn next_bits(
    params: &Params,
    parent_height: u32,
    ancestor: impl Fn(u32) -> Option<Header>,
) -> Option<CompactTarget> {
    let parent = ancestor(parent_height)?;
    match params.retarget_interval {
        Some(interval) if is_retarget_height(params, parent_height.saturating_add(1)) => {
            let first = ancestor(first_of_period(params, parent_height, interval))?;
            // Bitcoin's off-by-one: a period of n blocks is measured from its first to its last, n - 1 intervals
            retarget(params, parent.bits, first.time, parent.time).ok()
        }
        Some(_) | None => Some(parent.bits),
    }
}

/// The height from which the period that ends at `last_height` is measured.
fn first_of_period(params: &Params, last_height: u32, interval: u32) -> u32 {
    let first = last_height - (interval - 1);
    // "the first window counted from block 1": the genesis is older than any devnet
    if first == 0 && params.first_period_from_block_one { 1 } else { first }
}

/// Whether `new` may follow `old` at `height`, for one who does not know the times between (Core:
/// `PermittedDifficultyTransition`): the same, or at a retarget within the clamp of a factor of 4.
#[must_use]
pub fn is_permitted_transition(params: &Params, height: u32, old: CompactTarget, new: CompactTarget) -> bool {
    if !is_retarget_height(params, height) {
        return old == new;
    }
    let (Ok(old), Ok(new)) = (old.to_target(), new.to_target()) else { return false };
    let bound = |actual| scale(params, old, actual).to_target().ok();
    let (hardest, easiest) = (bound(params.target_timespan_secs / 4), bound(params.target_timespan_secs * 4));
    hardest.is_some_and(|hardest| hardest <= new) && easiest.is_some_and(|easiest| new <= easiest)
}

/// BIP 54's two rules about the times at the ends of a difficulty period, for the block at `height` with `time`.
///
/// `ancestor` gives the headers of its branch below `height`. A header that it does not know is not judged.
///
/// # Errors
/// [`Reject::TimeTimewarp`] or [`Reject::TimeMurchZawy`].
pub fn check_period_times(
    params: &Params,
    height: u32,
    time: u32,
    ancestor: impl Fn(u32) -> Option<Header>,
) -> Result<(), Reject> {
    let (Some(interval), Some(grace)) = (params.retarget_interval, params.timewarp_grace_secs) else {
        return Ok(());
    };
    // "the nTime of the first block of a period must not be lower than that of the block before, minus the grace"
    if is_retarget_height(params, height) {
        let parent = ancestor(height - 1);
        if parent.is_some_and(|parent| i64::from(time) < i64::from(parent.time) - i64::from(grace)) {
            return Err(Reject::TimeTimewarp);
        }
    }
    // "the nTime of the last block of a period must not be lower than that of the first block of the same period"
    if is_retarget_height(params, height.saturating_add(1)) {
        let first = ancestor(first_of_period(params, height, interval));
        if first.is_some_and(|first| time < first.time) {
            return Err(Reject::TimeMurchZawy);
        }
    }
    Ok(())
}

/// How many blocks the median of times is taken over.
pub const MEDIAN_TIME_SPAN: usize = 11;

/// The median of the times of a block and its ancestors, at most [`MEDIAN_TIME_SPAN`] of them, in any order (Core:
/// `GetMedianTimePast`; of an even number it takes the later of the two in the middle). 0 for none.
pub fn median_time_past(times: impl IntoIterator<Item = u32>) -> u32 {
    let mut latest: Vec<u32> = times.into_iter().take(MEDIAN_TIME_SPAN).collect();
    latest.sort_unstable();
    latest.get(latest.len() / 2).copied().unwrap_or(0)
}
