//! What the papers' experiments can be told.

use std::path::PathBuf;

use clap::Args;

/// What holds for every experiment.
#[derive(Debug, Clone, Args)]
pub struct ExperimentArgs {
    /// What all randomness is drawn from
    #[arg(long, value_name = "N", default_value_t = 11)]
    pub seed: u64,
    /// A look: less is played, so that standard errors are wider
    #[arg(long)]
    pub quick: bool,
    /// Write each table there as CSV and each figure as SVG
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
}

/// `tine lab doublespend`.
#[derive(Debug, Clone, Args)]
pub struct DoubleSpendArgs {
    /// The attacker's share of all power, above 0 and below 0.5 [default: every share of the papers' tables]
    #[arg(long, value_name = "SHARE", value_parser = share)]
    pub q: Option<f64>,
    /// How many blocks the merchant waits for, 1 to 100
    #[arg(long, value_name = "N,…", value_delimiter = ',', default_values_t = [1, 2, 3, 4, 5, 6], requires = "q",
        value_parser = clap::value_parser!(u32).range(1..=100))]
    pub confirmations: Vec<u32>,
    /// Races for each cell [default: 1000000; --quick 20000]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1_000..=1_000_000_000))]
    pub races: Option<u64>,
    /// Seed, extent and output.
    #[command(flatten)]
    pub experiment: ExperimentArgs,
}

/// `tine lab selfish`.
#[derive(Debug, Clone, Args)]
pub struct SelfishArgs {
    /// The pool's share of all power, above 0 and below 0.5 [default: 0.05 to 0.49]
    #[arg(long, value_name = "SHARE,…", value_delimiter = ',', value_parser = share)]
    pub alpha: Vec<f64>,
    /// The share of the honest power that sees the pool's branch first in a tie, 0 to 1 [default: 0,0.25,0.5,0.75,1]
    #[arg(long, value_name = "SHARE,…", value_delimiter = ',', value_parser = part)]
    pub gamma: Vec<f64>,
    /// Blocks for each cell [default: 1000000; --quick 20000]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1_000..=1_000_000_000))]
    pub blocks: Option<u64>,
    /// Seed, extent and output.
    #[command(flatten)]
    pub experiment: ExperimentArgs,
}

/// `tine lab stubborn` and `tine lab optimal`.
#[derive(Debug, Clone, Args)]
pub struct StrategyArgs {
    /// Shares of the table to play [default: all; --quick the middle ones]
    #[arg(long, value_name = "SHARE,…", value_delimiter = ',', value_parser = share)]
    pub alpha: Vec<f64>,
    /// Blocks for each cell [default: 1000000; --quick 20000]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1_000..=1_000_000_000))]
    pub blocks: Option<u64>,
    /// Seed, extent and output.
    #[command(flatten)]
    pub experiment: ExperimentArgs,
}

/// `tine lab propagation`.
#[derive(Debug, Clone, Args)]
pub struct PropagationArgs {
    /// Blocks for each cell [default: 1000000; --quick 20000]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1_000..=1_000_000_000))]
    pub blocks: Option<u64>,
    /// Seed, extent and output.
    #[command(flatten)]
    pub experiment: ExperimentArgs,
}

/// `tine lab generals`.
#[derive(Debug, Clone, Args)]
pub struct GeneralsArgs {
    /// Double spends by real nodes for each cell [default: 2000; --quick 200]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(100..=1_000_000))]
    pub races: Option<u64>,
    /// Seed, extent and output.
    #[command(flatten)]
    pub experiment: ExperimentArgs,
}

/// A share of the power that is no majority.
fn share(text: &str) -> Result<f64, String> {
    number(text)
        .filter(|value| *value > 0.0 && *value < 0.5)
        .ok_or("a share above 0 and below 0.5 is wanted".into())
}

/// Any part of a whole.
fn part(text: &str) -> Result<f64, String> {
    number(text).filter(|value| (0.0..=1.0).contains(value)).ok_or("a number from 0 to 1 is wanted".into())
}

fn number(text: &str) -> Option<f64> {
    text.trim().parse().ok()
}
