//! The shape of a run: how many hosts, how far apart, and what befalls them.

use std::time::Duration;

use serde::Serialize;

/// When the network falls into two halves, and when it is whole again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Partition {
    /// From this height of the best tip on.
    pub from_height: u32,
    /// For so many blocks, counted over both sides.
    pub blocks: u32,
    /// How many of the hosts, the first ones, are cut off from the rest.
    pub cut_off: usize,
}

/// A run. The same scenario gives the same event log, byte for byte.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Scenario {
    /// What all randomness is drawn from.
    pub seed: u64,
    /// How many nodes.
    pub nodes: usize,
    /// About how many neighbours each has.
    pub degree: usize,
    /// The shortest and the longest mean delay of a link.
    pub latency: (Duration, Duration),
    /// Ends when so many blocks have been found.
    pub blocks: u32,
    /// One partition, if any.
    pub partition: Option<Partition>,
}

impl Default for Scenario {
    /// Twenty nodes, 20 to 200 ms apart, 100 blocks, no partition.
    fn default() -> Self {
        Self {
            seed: 1,
            nodes: 20,
            degree: 6,
            latency: (Duration::from_millis(20), Duration::from_millis(200)),
            blocks: 100,
            partition: None,
        }
    }
}
