//! The clock that a node is driven by: the system's, or one that a tester has stopped (Core: `setmocktime`).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tine_chain::time::Time;

/// A clock, shared by all who ask the time for one node. Cloning shares.
#[derive(Debug, Clone, Default)]
pub struct Clock {
    /// Where it stands, milliseconds since 1970; 0: it runs.
    stopped_at: Arc<AtomicU64>,
}

impl Clock {
    /// Now.
    #[must_use]
    pub fn now(&self) -> Time {
        match self.stopped_at.load(Ordering::Relaxed) {
            0 => system_time(),
            stopped => Time(stopped),
        }
    }

    /// Stops it at a time after 1970; `None`: lets it run.
    pub fn stop_at(&self, time: Option<Time>) {
        self.stopped_at.store(time.map_or(0, |time| time.0), Ordering::Relaxed);
    }
}

/// Now, from the system's clock.
#[must_use]
pub fn system_time() -> Time {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    Time(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_stands_where_it_was_stopped_and_runs_again() {
        let clock = Clock::default();
        let shared = clock.clone();
        assert!(clock.now() > Time::from_secs(1_600_000_000));
        shared.stop_at(Some(Time::from_secs(7)));
        assert_eq!(clock.now(), Time::from_secs(7));
        clock.stop_at(None);
        assert!(shared.now() > Time::from_secs(1_600_000_000));
    }
}
