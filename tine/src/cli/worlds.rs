//! What large worlds and storms can be told.

use std::path::PathBuf;

use clap::Args;
use tine_lab::scale::Size;

/// `tine lab scale`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Prints what one CPU second yields, beside what \
    other simulators were measured to yield.")]
pub struct LabScaleArgs {
    /// So many nodes and blocks; may be given more than once. All four sizes if not given
    #[arg(long, value_name = "NODESxBLOCKS", value_parser = size)]
    pub size: Vec<Size>,
    /// What all randomness is drawn from
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// A look: fewer blocks
    #[arg(long)]
    pub quick: bool,
}

/// `tine lab storm`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Exits with 1 when a storm finds something, and prints how to see it again.")]
pub struct LabStormArgs {
    /// How many seeds
    #[arg(long, value_name = "N", default_value_t = 1_000, conflicts_with = "seed",
        value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
    pub seeds: u64,
    /// The first seed
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub from: u64,
    /// This one seed only
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Only so many of its acts, from the first on
    #[arg(long, value_name = "N", requires = "seed")]
    pub acts: Option<usize>,
    /// Write the event log of this one storm here, as NDJSON, for `tine lab replay`
    #[arg(long, value_name = "FILE", requires = "seed")]
    pub events: Option<PathBuf>,
    /// Storms at a time; what they find does not depend on it [default: one for each core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1_024))]
    pub threads: Option<u16>,
}

fn size(text: &str) -> Result<Size, String> {
    let parts =
        text.split_once('x').and_then(|(nodes, blocks)| Some((nodes.parse().ok()?, blocks.parse().ok()?)));
    match parts {
        Some((nodes @ 2..=1_000_000, blocks @ 1..=1_000_000)) => Ok(Size { nodes, blocks }),
        Some(_) | None => {
            Err("nodes and blocks are wanted, as in 600x1000: at least 2 and 1, at most 1000000".to_owned())
        }
    }
}
