//! Rules for headers.

use crate::block::Header;
use crate::params::Params;
use crate::pow::{check_period_times, next_bits};
use crate::reject::Reject;
use crate::time::Time;

/// The least version (Core: after BIP 34, 66 and 65 it is 4; our chain has their rules from its first block).
const MIN_VERSION: i32 = 1;

/// What the rules for a header ask about the chain that it extends.
pub struct HeaderContext<'a> {
    /// The parent's distance from the genesis.
    pub parent_height: u32,
    /// The parent's median time past, in seconds.
    pub median_time_past: u32,
    /// The headers of that chain by height, the parent's included.
    pub ancestor: &'a dyn Fn(u32) -> Option<Header>,
}

/// The rules that need the chain and the clock (Core: `ContextualCheckBlockHeader`); the proof of work is not among
/// them, see [`crate::pow::check_proof_of_work`].
///
/// # Errors
/// The first rule that is broken. [`Reject::TimeTooNew`] comes last: a header that only has it follows all others.
pub fn check_header(
    header: &Header,
    context: &HeaderContext<'_>,
    params: &Params,
    now: Time,
) -> Result<(), Reject> {
    // "difficulty every 2,016 blocks clamped to 4×, exactly Bitcoin's arithmetic, off-by-one included"
    if Some(header.bits) != next_bits(params, context.parent_height, context.ancestor) {
        return Err(Reject::BadDiffBits);
    }
    // "greater than the median of the last 11"
    if header.time <= context.median_time_past {
        return Err(Reject::TimeTooOld);
    }
    // "plus BIP 54's two timewarp rules on our own networks"
    check_period_times(params, context.parent_height + 1, header.time, context.ancestor)?;
    // a version counts the rules that the miner knows; below 1 there are none
    if header.version < MIN_VERSION {
        return Err(Reject::BadVersion);
    }
    // "at most 2 hours ahead of the node's clock (60 s on devnet)"; compared in whole seconds, as Core does
    if u64::from(header.time) > now.as_secs() + params.max_future_secs {
        return Err(Reject::TimeTooNew);
    }
    Ok(())
}
