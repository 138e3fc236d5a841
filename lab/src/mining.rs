//! Mining under virtual time: when a block is found is drawn, that it is one is real.

use std::time::Duration;

use rand::{Rng, RngExt};
use ruint::aliases::U256;
use tine_chain::block::Block;
use tine_chain::params::{Network, Params};
use tine_chain::pow::Target;

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

/// The lab's whole hash rate, in hashes a second, at which [`lab_params`] begin with the devnet's 5 s a block.
pub const TOTAL_HASHRATE: f64 = START_WORK as f64 / 5.0;

/// Time until a miner of `hashrate` hashes a second meets `target`: exponential, mean work / rate.
///
/// `libm` rather than the system's logarithm, so that every machine draws the same number.
pub fn sample_interval(rng: &mut impl Rng, target: Target, hashrate: f64) -> Duration {
    let work = f64::from(target.work().0);
    let uniform: f64 = 1.0 - rng.random::<f64>(); // in (0, 1]
    let seconds = -libm::log(uniform) * work / hashrate;
    Duration::from_millis((seconds * 1_000.0) as u64)
}

/// Searches the nonce of a block that has been drawn as found.
///
/// Returns `None` when no nonce of the 2^32 will do, which at lab difficulties does not happen.
#[must_use]
pub fn solve(mut block: Block, target: Target, first_nonce: u32) -> Option<Block> {
    for offset in 0..=u32::MAX {
        block.header.nonce = first_nonce.wrapping_add(offset);
        if target.is_met_by(&block.header.hash()) {
            return Some(block);
        }
    }
    None
}
