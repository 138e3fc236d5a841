//! A token bucket: how many hashes may be made now.

use std::time::{Duration, Instant};

/// Batches a second: short enough to follow a new tip, long enough to cost nothing.
const BATCHES_PER_SECOND: u64 = 200;
/// What may be saved up, in batches: a thread that was not run for a while does not catch up.
const BURST_BATCHES: f64 = 4.0;
/// A batch without a limit; about 2 ms of one processor.
const UNLIMITED_BATCH: u32 = 20_000;

/// Tokens are hashes.
#[derive(Debug)]
pub(super) struct Bucket {
    tokens: f64,
    filled: Instant,
}

impl Bucket {
    /// An empty bucket.
    pub(super) fn new(now: Instant) -> Self {
        Self { tokens: 0.0, filled: now }
    }

    /// A batch of hashes that may be made now at `rate` hashes a second (0: no limit), or how long to wait for it.
    pub(super) fn take(&mut self, rate: u64, now: Instant) -> Result<u32, Duration> {
        if rate == 0 {
            return Ok(UNLIMITED_BATCH);
        }
        let batch = u32::try_from(rate / BATCHES_PER_SECOND).unwrap_or(u32::MAX).max(1);
        let seconds = now.saturating_duration_since(self.filled).as_secs_f64();
        self.filled = now;
        self.tokens = (self.tokens + seconds * rate as f64).min(f64::from(batch) * BURST_BATCHES);
        if self.tokens >= f64::from(batch) {
            self.tokens -= f64::from(batch);
            return Ok(batch);
        }
        Err(Duration::from_secs_f64((f64::from(batch) - self.tokens) / rate as f64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Hashes made in `seconds` by a thread that always waits as long as it is told.
    fn run(rate: u64, seconds: u64) -> u64 {
        let start = Instant::now();
        let mut now = start;
        let mut bucket = Bucket::new(now);
        let mut hashes = 0;
        while now < start + Duration::from_secs(seconds) {
            match bucket.take(rate, now) {
                Ok(batch) => hashes += u64::from(batch),
                Err(wait) => now += wait.max(Duration::from_nanos(1)),
            }
        }
        hashes
    }

    #[test]
    fn spends_its_budget_and_no_more() {
        for rate in [1, 7, 1_000, 20_000, 80_000, 5_000_000] {
            let hashes = run(rate, 10) as f64;
            let budget = (rate * 10) as f64;
            assert!((hashes - budget).abs() <= (budget * 0.01).max(1.0), "{rate}: {hashes}");
        }
    }

    #[test]
    fn a_thread_that_slept_does_not_catch_up() {
        let start = Instant::now();
        let mut bucket = Bucket::new(start);
        let later = start + Duration::from_secs(60);
        let mut hashes = 0;
        while let Ok(batch) = bucket.take(10_000, later) {
            hashes += batch;
        }
        assert!(hashes <= 200, "{hashes}");
    }
}
