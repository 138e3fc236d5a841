//! What the laboratory can be told.

use std::path::PathBuf;

use clap::{Args, Subcommand};

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
    /// Run devnet nodes under virtual time; the same seed gives the same events, byte for byte
    Run(LabRunArgs),
}

/// `tine lab run`.
#[derive(Debug, Clone, Args)]
pub struct LabRunArgs {
    /// What all randomness is drawn from
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// How many nodes, 2 to 200
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(2..=200))]
    pub nodes: u32,
    /// About how many neighbours each node has
    #[arg(long, value_name = "N", default_value_t = 6, value_parser = clap::value_parser!(u32).range(2..=200))]
    pub degree: u32,
    /// The shortest and the longest mean delay of a link, in milliseconds
    #[arg(long, value_name = "LOW,HIGH", default_value = "20,200", value_parser = numbers::<u64, 2>)]
    pub latency: [u64; 2],
    /// How many blocks are found
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub blocks: u32,
    /// Cut off the first NODES nodes when FROM blocks have been found, for BLOCKS blocks
    #[arg(long, value_name = "FROM,BLOCKS,NODES", value_parser = numbers::<u32, 3>)]
    pub partition: Option<[u32; 3]>,
    /// Write the event log here, as NDJSON
    #[arg(long, value_name = "FILE")]
    pub events: Option<PathBuf>,
}

/// Exactly `N` whole numbers, separated by commas.
fn numbers<T: std::str::FromStr, const N: usize>(text: &str) -> Result<[T; N], String> {
    let numbers: Result<Vec<T>, _> = text.split(',').map(|part| part.trim().parse()).collect();
    numbers
        .ok()
        .and_then(|numbers| numbers.try_into().ok())
        .ok_or_else(|| format!("{N} whole numbers, separated by commas, are wanted"))
}
