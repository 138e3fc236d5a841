//! Targets, work, difficulty and time: SPEC §5. Chains of headers begin with the genesis, so that a header's place is
//! its height.

use num_bigint::BigUint;

use super::wire::Header;
use super::{Network, Reason};

/// What compact bits encode, if they may.
pub(super) fn target(bits: u32) -> Option<BigUint> {
    let (exponent, mantissa) = (bits >> 24, bits & 0x007f_ffff);
    let target = if exponent < 3 {
        BigUint::from(mantissa) >> (8 * (3 - exponent))
    } else {
        BigUint::from(mantissa) << (8 * (exponent - 3))
    };
    let negative = bits & 0x0080_0000 != 0;
    (target != BigUint::ZERO && !negative && target.bits() <= 256).then_some(target)
}

/// Three bytes of mantissa, or two after a zero where the top bit would be set.
fn compact(target: &BigUint) -> u32 {
    let mut bytes = target.to_bytes_be();
    if bytes[0] & 0x80 != 0 {
        bytes.insert(0, 0);
    }
    let exponent = u32::try_from(bytes.len()).expect("at most 33");
    bytes.resize(bytes.len().max(3), 0);
    exponent << 24 | u32::from(bytes[0]) << 16 | u32::from(bytes[1]) << 8 | u32::from(bytes[2])
}

/// 2^256 / (target + 1).
pub(super) fn work(target: &BigUint) -> BigUint {
    (BigUint::from(1u8) << 256u32) / (target + 1u8)
}

pub(super) fn check_proof(header: &Header, limit: &BigUint) -> Result<(), Reason> {
    match target(header.bits) {
        Some(target) if target <= *limit && BigUint::from_bytes_le(&header.hash) <= target => Ok(()),
        _ => Err("high-hash"),
    }
}

/// The bits that the block after `chain` must have.
pub(super) fn next_bits(network: &Network, chain: &[&Header]) -> Option<u32> {
    let (height, last) = (chain.len(), chain[chain.len() - 1]);
    let Some(interval) = network.interval.map(|interval| interval as usize) else { return Some(last.bits) };
    if !height.is_multiple_of(interval) {
        return Some(last.bits);
    }
    let first = chain[first_of_period(network, height - interval)];
    let actual = i64::from(last.time) - i64::from(first.time);
    let actual = actual.clamp(network.timespan / 4, network.timespan * 4);
    let next = target(last.bits)? * actual.unsigned_abs() / network.timespan.unsigned_abs();
    Some(compact(&next.min(network.limit.clone())))
}

fn first_of_period(network: &Network, height: usize) -> usize {
    if height == 0 && network.first_period_from_block_one { 1 } else { height }
}

/// The median of the last 11 times, the later of the two in the middle.
pub(super) fn median_time(chain: &[&Header]) -> u32 {
    let mut times: Vec<u32> = chain.iter().rev().take(11).map(|header| header.time).collect();
    times.sort_unstable();
    times[times.len() / 2]
}

/// BIP 54: the time of the block after `chain`, at either end of a period.
pub(super) fn check_period(network: &Network, chain: &[&Header], time: u32) -> Result<(), Reason> {
    let (Some(interval), Some(grace)) = (network.interval, network.grace) else { return Ok(()) };
    let (interval, height) = (interval as usize, chain.len());
    if height.is_multiple_of(interval)
        && i64::from(time) < i64::from(chain[height - 1].time) - i64::from(grace)
    {
        return Err("time-timewarp-attack");
    }
    if height % interval == interval - 1 && time < chain[first_of_period(network, height + 1 - interval)].time
    {
        return Err("time-murch-zawy-attack");
    }
    Ok(())
}
