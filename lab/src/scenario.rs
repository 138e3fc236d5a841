//! The shape of a run: how many hosts, how far apart, and what befalls them.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::Serialize;

use crate::config::WorldConfig;
use crate::latency::Latency;
use crate::recording::Recording;
use crate::topology::Topology;
use crate::world::{World, WorldError};

/// Virtual time at which a run may go on after its last block, for the nodes to agree.
const SETTLE: Duration = Duration::from_secs(120);

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

/// What a run came to.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Outcome {
    /// The seed it was run under.
    pub seed: u64,
    /// SHA-256 of the event log.
    pub event_hash: String,
    /// Lines in the event log.
    pub events: usize,
    /// Blocks that were found.
    pub mined: u32,
    /// Height of the tip of the first node.
    pub height: u32,
    /// Different tips at the end: 1 when all agree.
    pub tips: usize,
    /// Blocks that were found and are not part of the first node's chain.
    pub stale: u32,
    /// Reorganisations, over all nodes.
    pub reorgs: usize,
    /// The deepest of them, in blocks given up.
    pub deepest_reorg: usize,
    /// Mean seconds between blocks of the first node's chain, by their headers' times.
    pub mean_interval_secs: f64,
    /// Virtual time that passed, in seconds.
    pub virtual_secs: u64,
}

impl Scenario {
    fn config(&self) -> WorldConfig {
        WorldConfig {
            seed: self.seed,
            nodes: self.nodes,
            topology: Topology::Random { degree: self.degree },
            latency: Latency::Uniform(self.latency.0, self.latency.1),
            ..WorldConfig::default()
        }
    }

    /// Runs to the end, and tells `progress` how many blocks have been found, each time one is.
    ///
    /// # Errors
    /// When a node's storage fails.
    pub fn run(&self, mut progress: impl FnMut(u32)) -> Result<(Outcome, Recording), WorldError> {
        let config = self.config();
        let log = Recording::unscripted(&config, "plain");
        let mut world = World::new(config, log)?;
        let mut to = |world: &mut World<Recording>, blocks: u32| {
            while world.counts().mined < u64::from(blocks.min(self.blocks)) {
                let next = world.counts().mined + 1;
                world.run_until_mined(next)?;
                progress(world.counts().mined as u32);
            }
            Ok::<_, WorldError>(())
        };
        if let Some(partition) = self.partition {
            to(&mut world, partition.from_height)?;
            let (cut_off, rest) =
                ((0..partition.cut_off).collect(), (partition.cut_off..self.nodes).collect());
            world.partition(vec![cut_off, rest])?;
            to(&mut world, partition.from_height + partition.blocks)?;
            world.heal()?;
        }
        to(&mut world, self.blocks)?;
        world.stop_mining();
        world.run_for(SETTLE)?;
        // two blocks of the same work found at the end both stand: one more decides. Who is behind gets no help
        if world.tips().len() > 1 && is_tie(&world) {
            world.mine(0)?;
            world.run_for(SETTLE)?;
        }
        Ok((self.outcome(&world), world.into_observer()))
    }

    fn outcome(&self, world: &World<Recording>) -> Outcome {
        let chain = world.node(0).expect("nobody was stopped").chain();
        let (tip, counts) = (chain.tip(), world.counts());
        let first = chain.active_entry(1).map_or(0, |entry| entry.header.time);
        let intervals = tip.height.saturating_sub(1).max(1);
        let log = world.observer();
        Outcome {
            seed: self.seed,
            event_hash: log.hash(),
            events: log.entries().len(),
            mined: counts.mined as u32,
            height: tip.height,
            tips: world.tips().len(),
            stale: counts.mined as u32 - tip.height,
            reorgs: counts.reorgs as usize,
            deepest_reorg: counts.deepest_reorg as usize,
            mean_interval_secs: f64::from(tip.header.time.saturating_sub(first)) / f64::from(intervals),
            virtual_secs: world.elapsed().as_secs(),
        }
    }
}

/// Whether all tips have the same work.
fn is_tie(world: &World<Recording>) -> bool {
    let works: BTreeSet<_> = world.nodes().map(|(_, node)| node.chain().tip().work).collect();
    works.len() == 1
}
