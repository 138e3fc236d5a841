//! What can be measured.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

/// `tine bench`.
#[derive(Debug, Clone, Args)]
pub struct BenchArgs {
    /// What to measure.
    #[command(subcommand)]
    pub command: BenchCommand,
}

/// What is measured.
#[derive(Debug, Clone, Subcommand)]
pub enum BenchCommand {
    /// Measure real nodes on loopback, with Bitcoin Core's figures beside ours
    #[command(after_help = "Use a release build on an idle machine; the whole run takes some minutes.")]
    Chain(BenchChainArgs),
    /// Measure time and memory while the chain and the coin set grow
    #[command(after_help = "Use a release build on an idle machine.")]
    Growth(BenchGrowthArgs),
    /// Measure how fast a node answers calls, and takes blocks while many ask and listen
    #[command(after_help = "Use a release build on an idle machine; the whole run takes about 2 minutes.")]
    Rpc(BenchRpcArgs),
}

/// `tine bench chain`.
#[derive(Debug, Clone, Args)]
pub struct BenchChainArgs {
    /// A tenth of the chain, and each measurement once: to see that everything runs
    #[arg(long)]
    pub quick: bool,
    /// Measure only this row; may be repeated [default: all]
    #[arg(long = "row", value_name = "ROW")]
    pub rows: Vec<BenchRow>,
    /// How often each row is measured; the median is shown [default: 3, with --quick 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=3))]
    pub runs: Option<u32>,
    /// Memory for the coin cache of each node, in MiB [default: the node's own]
    #[arg(long, value_name = "MIB", value_parser = clap::value_parser!(u32).range(4..=65_536))]
    pub coin_cache: Option<u32>,
    /// Where the nodes keep their chains meanwhile; emptied afterwards [default: the system's folder for such things]
    #[arg(long, value_name = "DIR")]
    pub work_dir: Option<PathBuf>,
}

/// A row of the comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum BenchRow {
    /// Download and full validation of payments by a fresh node.
    Sync,
    /// The same of empty blocks.
    SyncEmpty,
    /// A reorganisation by 10 full blocks.
    #[value(name = "reorg-10")]
    #[serde(rename = "reorg-10")]
    Reorg10,
    /// A reorganisation by 100 full blocks.
    #[value(name = "reorg-100")]
    #[serde(rename = "reorg-100")]
    Reorg100,
    /// Undo and redo of 10 verified blocks.
    Redo,
    /// One block whose payments are all in the mempool.
    Connect,
    /// Mempool acceptance, one call for each payment.
    Mempool,
    /// Mempool acceptance in batches of 100 calls.
    MempoolBatch,
    /// `generatetoaddress 1000`.
    Generate,
    /// Start to first answer, empty blocks.
    StartEmpty,
    /// Start to first answer, payments.
    StartPayments,
    /// An empty block along a line of four nodes.
    RelayEmpty,
    /// A block of known payments along a line of four nodes.
    RelayFull,
    /// Nonce search.
    Nonces,
    /// `getblockcount`, one call after the other.
    #[value(skip)]
    CallCount,
    /// `echo`, one call after the other.
    #[value(skip)]
    CallEcho,
    /// `getblockcount` in batches.
    #[value(skip)]
    CallCountBatch,
    /// `echo` in batches.
    #[value(skip)]
    CallEchoBatch,
    /// `submitblock` on a node that nobody else asks.
    #[value(skip)]
    AcceptQuiet,
    /// `submitblock` while many listen and ask.
    #[value(skip)]
    AcceptLoaded,
    /// `submitblock` while many listen and ask without pause.
    #[value(skip)]
    AcceptFlooded,
}

/// `tine bench rpc`.
#[derive(Debug, Clone, Args)]
pub struct BenchRpcArgs {
    /// A fifth of the time, and each measurement once: to see that everything runs
    #[arg(long)]
    pub quick: bool,
    /// Where the node keeps its chain meanwhile; emptied afterwards [default: the system's folder for such things]
    #[arg(long, value_name = "DIR")]
    pub work_dir: Option<PathBuf>,
}

/// `tine bench growth`.
#[derive(Debug, Clone, Args)]
pub struct BenchGrowthArgs {
    /// How many empty blocks the chain grows to
    #[arg(long, value_name = "N", default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1_000..=100_000))]
    pub blocks: u32,
    /// How many coins the coin set grows to
    #[arg(long, value_name = "N", default_value_t = 1_000_000, value_parser = clap::value_parser!(u32).range(10_000..=40_000_000))]
    pub coins: u32,
    /// Memory for the coin cache of the node, in MiB [default: the node's own]
    #[arg(long, value_name = "MIB", value_parser = clap::value_parser!(u32).range(4..=65_536))]
    pub coin_cache: Option<u32>,
    /// Draw the curves into this file
    #[arg(long, value_name = "FILE")]
    pub svg: Option<PathBuf>,
    /// Where the node keeps its chain meanwhile; emptied afterwards [default: the system's folder for such things]
    #[arg(long, value_name = "DIR")]
    pub work_dir: Option<PathBuf>,
}
