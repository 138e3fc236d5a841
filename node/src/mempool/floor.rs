//! How full the mempool may be: eviction, and the fee rate that it raises.

use std::time::Duration;

use tine_chain::amount::Amount;
use tine_chain::hash::Txid;
use tine_chain::time::Time;

use super::{FeeRate, Mempool, Removed};
use crate::event::Removal;

/// What a newcomer must pay over what was evicted, in base units for 1,000 bytes
/// (Core: `DEFAULT_INCREMENTAL_RELAY_FEE`).
pub const INCREMENTAL_FEE: u64 = 1_000;
/// The time in which the raised rate halves (Core: `ROLLING_FEE_HALFLIFE`).
const HALF_LIFE: Duration = Duration::from_secs(12 * 60 * 60);

/// The least rate since the mempool was full: raised by eviction, and from the next block on it decays
/// (Core: `rollingMinimumFeeRate`).
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Floor {
    /// Base units for 1,000 bytes, at `since`.
    units: u64,
    since: Time,
    /// Whether a block has come since the last eviction.
    decaying: bool,
}

impl Floor {
    pub(super) fn rate(&self) -> FeeRate {
        FeeRate::per_kilobyte(self.units)
    }

    fn raise(&mut self, evicted: FeeRate, now: Time) {
        let units = evicted.units_per_kilobyte().saturating_add(INCREMENTAL_FEE);
        if units > self.units {
            *self = Self { units, since: now, decaying: false };
        }
    }

    fn decay(&mut self, now: Time, half_life: Duration) {
        if !self.decaying || self.units == 0 {
            self.since = now;
            return;
        }
        let half_life = u64::try_from(half_life.as_millis()).expect("twelve hours");
        let passed = u64::try_from(now.since(self.since).as_millis()).unwrap_or(u64::MAX);
        // ten seconds at the least, as Core: rounding would eat the rate
        if passed < 10_000 {
            return;
        }
        let halvings = passed / half_life;
        let whole = self.units.checked_shr(u32::try_from(halvings).unwrap_or(u32::MAX)).unwrap_or(0);
        // a straight line within a half-life: the same on every machine, and never far from the curve
        let part = u128::from(whole) * u128::from(passed % half_life) / u128::from(half_life) / 2;
        self.units = whole - u64::try_from(part).expect("at most half of it");
        self.since = now;
        // Core: below half of the incremental fee it is over
        if self.units < INCREMENTAL_FEE / 2 {
            self.units = 0;
        }
    }
}

impl Mempool {
    /// Time passes: what has waited too long goes, and the raised rate decays, faster when the mempool is far from full.
    pub(crate) fn advance(&mut self, now: Time) -> Removed {
        let removed = self.expire(now);
        self.decay(now);
        removed
    }

    /// Core: `CTxMemPool::Expire`: what is older goes with its descendants.
    fn expire(&mut self, now: Time) -> Removed {
        let mut removed = Removed::new();
        while let Some(&(_, sequence)) =
            self.by_age.get_min().filter(|(time, _)| now.since(*time) > self.limits.expiry)
        {
            let txid = self.at_sequence(sequence).tx.txid();
            removed.extend(self.give_up(&txid, &Removal::Expired));
        }
        removed
    }

    /// Removes what nobody mined, with its descendants.
    fn give_up(&mut self, txid: &Txid, why: &Removal) -> Removed {
        let gone = self.unlink_with_descendants(txid);
        gone.iter().for_each(|entry| self.estimator.failed(entry));
        gone.into_iter().map(|entry| (entry.tx.clone(), why.clone())).collect()
    }

    fn decay(&mut self, now: Time) {
        let (usage, most) = (self.usage(), self.limits.max_usage);
        let half_life = if usage < most / 4 {
            HALF_LIFE / 4
        } else if usage < most / 2 {
            HALF_LIFE / 2
        } else {
            HALF_LIFE
        };
        self.floor.decay(now, half_life);
    }

    /// A block came: from now on the raised rate decays.
    pub(super) fn start_decay(&mut self, now: Time) {
        if !self.floor.decaying {
            self.floor.decaying = true;
            self.floor.since = now;
        }
    }

    /// Evicts what is worth the least, with its descendants, until the limit is kept.
    pub(super) fn trim(&mut self, now: Time) -> Removed {
        let mut removed = Removed::new();
        while self.usage() > self.limits.max_usage {
            let Some(&(_, std::cmp::Reverse(sequence))) = self.by_worth.get_min() else { break };
            let worst = self.at_sequence(sequence);
            let (txid, rate) = (worst.tx.txid(), worst.descendants.rate());
            self.floor.raise(rate, now);
            removed.extend(self.give_up(&txid, &Removal::Evicted));
        }
        removed
    }

    /// What an output must be worth not to be dust: what spending it costs at the least rate.
    #[must_use]
    pub fn dust_limit(&self) -> Amount {
        self.limits.min_relay_fee.fee_for(super::SPEND_SIZE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mem_04_the_raised_rate_decays_after_a_block_and_not_before() {
        let mut floor = Floor::default();
        floor.raise(FeeRate::per_kilobyte(7_000), Time(0));
        assert_eq!(floor.units, 8_000);
        let day = Time::from_secs(24 * 60 * 60);
        floor.decay(day, HALF_LIFE);
        assert_eq!(floor.units, 8_000);
        floor.decaying = true;
        floor.decay(day + HALF_LIFE, HALF_LIFE);
        assert_eq!(floor.units, 4_000);
        floor.decay(day + HALF_LIFE + HALF_LIFE / 2, HALF_LIFE);
        assert_eq!(floor.units, 3_000);
        floor.decay(day + 40 * HALF_LIFE, HALF_LIFE);
        assert_eq!(floor.units, 0);
    }
}
