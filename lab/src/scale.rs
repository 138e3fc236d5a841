//! How large a world can be: runs of many nodes, beside what other simulators are known to need.
//!
//! The network is SimBlock's: nodes over the world's regions by their measured shares, the latencies and bandwidths of
//! 2019, links opened as Bitcoin's nodes opened them in 2015, ten minutes between blocks. Each node is the whole node and
//! validates every block; only what depends on nothing but a block is worked out once for all. Polling for headers is
//! switched off, because no message is lost: blocks travel by gossip alone, as in the other simulators.

use std::time::Duration;

use crate::config::{MiningConfig, WorldConfig};
use crate::geography::Preset;
use crate::latency::{Bandwidth, Latency};
use crate::mining::constant_params;
use crate::observe::Observer;
use crate::topology::Topology;
use crate::world::{Counts, World, WorldError};

/// Longer than any run.
const NEVER: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);
/// How long the last block may take to reach everybody.
const SETTLE: Duration = Duration::from_secs(120);

/// How many nodes find how many blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Size {
    /// Nodes.
    pub nodes: usize,
    /// Blocks.
    pub blocks: u64,
}

/// The sizes at which other simulators were measured, and one that none reaches.
pub const SIZES: [Size; 4] = [
    Size { nodes: 600, blocks: 10_000 },
    Size { nodes: 6_000, blocks: 1_000 },
    Size { nodes: 10_000, blocks: 1_000 },
    Size { nodes: 100_000, blocks: 100 },
];

/// The same for a look.
pub const QUICK_SIZES: [Size; 3] =
    [Size { nodes: 600, blocks: 300 }, Size { nodes: 6_000, blocks: 30 }, Size { nodes: 10_000, blocks: 20 }];

/// What another simulator needed, on two cores of a Xeon with 24 GiB; none of them validates a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Peer {
    /// Its name.
    pub name: &'static str,
    /// Nodes of the run.
    pub nodes: usize,
    /// Blocks of the run.
    pub blocks: u64,
    /// Adoptions per CPU second.
    pub adoptions_per_cpu_sec: u64,
    /// Peak memory.
    pub peak_mib: u64,
}

/// The others, as measured.
pub const PEERS: [Peer; 8] = [
    peer("SimBlock", 600, 1_000, 83_000, 299),
    peer("SimBlock", 6_000, 100, 34_000, 541),
    peer("SimBlock", 9_000, 100, 20_000, 753),
    peer("simblock-rs", 600, 1_000, 70_000, 2_048),
    peer("simblock-rs", 6_000, 100, 45_000, 2_253),
    peer("simblock-rs", 10_000, 100, 25_000, 3_789),
    peer("CBlockSim", 600, 1_034, 42_000, 17),
    peer("CBlockSim", 6_000, 107, 30_000, 294),
];

const fn peer(
    name: &'static str,
    nodes: usize,
    blocks: u64,
    adoptions_per_cpu_sec: u64,
    peak_mib: u64,
) -> Peer {
    Peer { name, nodes, blocks, adoptions_per_cpu_sec, peak_mib }
}

/// What a run came to. Time and memory are for the caller to measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Figures {
    /// How large it was.
    pub size: Size,
    /// What happened.
    pub counts: Counts,
    /// Height of the first node's tip.
    pub height: u32,
    /// Different tips at the end.
    pub tips: usize,
}

/// The world of a run.
#[must_use]
pub fn config(size: Size, seed: u64) -> WorldConfig {
    WorldConfig {
        seed,
        nodes: size.nodes,
        params: constant_params(),
        topology: Topology::Bitcoin2015,
        latency: Latency::Measured(Preset::SimBlock2019),
        bandwidth: Bandwidth::Measured,
        mining: MiningConfig { interval: Duration::from_secs(600), ..MiningConfig::default() },
        headers_interval: Some(NEVER),
        ..WorldConfig::default()
    }
}

/// Runs it, and tells `progress` how many blocks have been found, each time one is.
///
/// # Errors
/// When a node's storage fails.
pub fn run(size: Size, seed: u64, mut progress: impl FnMut(u64)) -> Result<Figures, WorldError> {
    let mut world = World::new(config(size, seed), ())?;
    while world.counts().mined < size.blocks {
        world.run_until_mined(world.counts().mined + 1)?;
        progress(world.counts().mined);
    }
    world.stop_mining();
    world.run_for(SETTLE)?;
    Ok(figures(size, &world))
}

fn figures<O: Observer>(size: Size, world: &World<O>) -> Figures {
    let height = world.node(0).map_or(0, |node| node.chain().tip().height);
    Figures { size, counts: world.counts(), height, tips: world.tips().len() }
}
