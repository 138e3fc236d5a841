//! Payments that are made all the time, by chance.

use std::time::Duration;

use tine_chain::amount::Amount;

/// A generator of payments: each from a host with coins to hosts drawn at random.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Workload {
    /// The mean time between two payments of the whole world; the intervals are exponential.
    pub interval: Duration,
    /// How many hosts one payment pays.
    pub fan_out: usize,
    /// The share of payments whose coins are spent a second time, by another payment at another host, at the same moment.
    pub conflicts: f64,
    /// What each of the paid gets.
    pub amount: Amount,
    /// What the miner gets.
    pub fee: Amount,
}

impl Default for Workload {
    /// One payment a second to one host, of one coin, none in conflict.
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(1),
            fan_out: 1,
            conflicts: 0.0,
            amount: Amount(100_000_000),
            fee: Amount(10_000),
        }
    }
}
