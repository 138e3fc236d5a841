//! What the laboratory can be told.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::experiments::{DoubleSpendArgs, GeneralsArgs, PropagationArgs, SelfishArgs, StrategyArgs};
use super::sweep::{LabMergeArgs, LabSweepArgs};
use super::worlds::{LabScaleArgs, LabStormArgs};

/// `tine lab`.
#[derive(Debug, Clone, Args)]
pub struct LabArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: LabCommand,
}

/// What the laboratory does.
#[derive(Debug, Clone, Subcommand)]
pub enum LabCommand {
    /// Run a scenario, from the gallery or a file, or plain nodes; the same seed gives the same events, byte for byte
    Run(LabRunArgs),
    /// List the gallery: scenarios that are ready to run and to be copied
    List {
        /// Print this scenario's text
        name: Option<String>,
    },
    /// Stand at any moment of a run that is over
    Replay(LabReplayArgs),
    /// Open a run that is over on the explorer's page
    Open(LabOpenArgs),
    /// Run thousands of validating nodes, and print what one CPU second yields beside other simulators
    Scale(LabScaleArgs),
    /// Run random worlds with random faults, and check everything after each step
    Storm(LabStormArgs),
    /// Play a plan's cells, or a shard of them: on one machine, a Slurm array or a Kubernetes Indexed Job
    Sweep(LabSweepArgs),
    /// Put the results of all shards together, and judge them
    Merge(LabMergeArgs),
    /// Race double spends: the Bitcoin paper's section 11, Rosenfeld's exact values, and what happens
    Doublespend(DoubleSpendArgs),
    /// Play selfish mining against Eyal and Sirer's closed form
    Selfish(SelfishArgs),
    /// Play the stubborn variants against their exact solutions
    Stubborn(StrategyArgs),
    /// Solve for the best mining strategy, and play it
    Optimal(StrategyArgs),
    /// Make blocks stale by delay: fork rates, consistency, confirmations
    Propagation(PropagationArgs),
    /// Let generals lie: OM(m), SM(m), Raft and proof of work under the same traitor
    Generals(GeneralsArgs),
}

/// `tine lab run`.
#[derive(Debug, Clone, Args)]
pub struct LabRunArgs {
    /// A scenario: a name of `tine lab list`, or a TOML file
    #[arg(value_name = "NAME|FILE", conflicts_with_all = ["nodes", "degree", "latency", "blocks", "partition"])]
    pub scenario: Option<String>,
    /// What all randomness is drawn from [default: what the scenario says, or 1]
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// A shorter run of a scenario
    #[arg(long, requires = "scenario")]
    pub quick: bool,
    /// Write the end of a scenario's run as a page
    #[arg(long, value_name = "FILE", requires = "scenario")]
    pub html: Option<PathBuf>,
    /// How many nodes, 2 to 200
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(2..=200))]
    pub nodes: u32,
    /// About how many neighbours each node has
    #[arg(long, value_name = "N", default_value_t = 6, value_parser = clap::value_parser!(u32).range(2..=200))]
    pub degree: u32,
    /// The shortest and the longest mean delay of a link, in milliseconds
    #[arg(long, value_name = "LOW,HIGH", default_value = "20,200", value_parser = numbers::<u64, 2>)]
    pub latency: [u64; 2],
    /// How many blocks are found; one more when two of the last stand against each other
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub blocks: u32,
    /// Cut off the first NODES nodes when FROM blocks have been found, for BLOCKS blocks
    #[arg(long, value_name = "FROM,BLOCKS,NODES", value_parser = numbers::<u32, 3>)]
    pub partition: Option<[u32; 3]>,
    /// Write the event log here, as NDJSON
    #[arg(long, value_name = "FILE")]
    pub events: Option<PathBuf>,
}

/// `tine lab replay`.
#[derive(Debug, Clone, Args)]
pub struct LabReplayArgs {
    /// The event log of a run, of the lab or of a devnet
    #[arg(value_name = "RUN")]
    pub run: PathBuf,
    /// The moment, in seconds since the start [default: the end]
    #[arg(long, value_name = "T", allow_hyphen_values = true)]
    pub until: Option<f64>,
    /// The node that is asked [default: the first]
    #[arg(long, value_name = "NODE")]
    pub node: Option<String>,
    /// Write the moment as a page
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// Write the events up to the moment as CSV
    #[arg(long, value_name = "FILE")]
    pub csv: Option<PathBuf>,
    /// Write the events up to the moment for ShiViz
    #[arg(long, value_name = "FILE")]
    pub shiviz: Option<PathBuf>,
}

/// `tine lab open`.
#[derive(Debug, Clone, Args)]
pub struct LabOpenArgs {
    /// The event log of a run, of the lab or of a devnet
    #[arg(value_name = "RUN")]
    pub run: PathBuf,
    /// As if the run had ended so many seconds after its start [default: its end]
    #[arg(long, value_name = "T")]
    pub until: Option<f64>,
    /// The port of the page, on loopback; 0 takes a free one
    #[arg(long, value_name = "PORT", default_value_t = 8182)]
    pub port: u16,
}

/// Exactly `N` whole numbers, separated by commas.
fn numbers<T: std::str::FromStr, const N: usize>(text: &str) -> Result<[T; N], String> {
    let numbers: Result<Vec<T>, _> = text.split(',').map(|part| part.trim().parse()).collect();
    numbers
        .ok()
        .and_then(|numbers| numbers.try_into().ok())
        .ok_or_else(|| format!("{N} whole numbers, separated by commas, are wanted"))
}
