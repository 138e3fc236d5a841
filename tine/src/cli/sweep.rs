//! What sweeps over many machines can be told.

use std::path::PathBuf;

use clap::Args;

/// `tine lab sweep`.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "`sbatch deploy/sweep.slurm` plays it as a Slurm array, each task its part. Without --shard the part is taken from SLURM_ARRAY_TASK_ID, or from \
    JOB_COMPLETION_INDEX of a Kubernetes Indexed Job, where these are set. Cells that are in the folder already \
    are not played again."
)]
pub struct LabSweepArgs {
    /// What is to be played: a TOML file
    #[arg(value_name = "PLAN")]
    pub plan: PathBuf,
    /// The folder for the results, one file for each cell; shards may share it
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Only every N-th cell, from the I-th on, counted from 0
    #[arg(long, value_name = "I/N", value_parser = shard)]
    pub shard: Option<(u64, u64)>,
    /// How many shards there are, where SLURM_ARRAY_TASK_ID or JOB_COMPLETION_INDEX says which one this is
    #[arg(long, value_name = "N", env = "TINE_SHARDS", value_parser = clap::value_parser!(u64).range(1..))]
    pub shards: Option<u64>,
}

/// `tine lab merge`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Exits with 1 when a cell is \
    missing or theory and simulation disagree.")]
pub struct LabMergeArgs {
    /// What was played
    #[arg(value_name = "PLAN")]
    pub plan: PathBuf,
    /// The folders with the results
    #[arg(value_name = "DIR", required = true)]
    pub results: Vec<PathBuf>,
    /// Write each table there as CSV and each figure as SVG
    #[arg(long, value_name = "DIR")]
    pub csv: Option<PathBuf>,
}

fn shard(text: &str) -> Result<(u64, u64), String> {
    let parts =
        text.split_once('/').and_then(|(index, count)| Some((index.parse().ok()?, count.parse().ok()?)));
    match parts {
        Some((index, count)) if index < count => Ok((index, count)),
        Some((_, count)) => Err(format!("of {count} shards the last is {}/{count}", count.saturating_sub(1))),
        None => Err("a shard and their number are wanted, as in 0/8".to_owned()),
    }
}
