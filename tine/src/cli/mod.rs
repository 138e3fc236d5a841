//! The command line, as clap derives it. What a command does is in `commands/`; here is only what can be said.
//!
//! An option is looked up as flag, then `TINE_*` in the environment, then `tine.toml`, then the default: clap does the
//! first two, [`crate::config`] the others, which is why options that the file may set are `Option`s.

mod bench;
mod client;
pub mod examples;
mod experiments;
mod lab;
mod start;
mod sweep;
mod watch;
mod worlds;

pub use bench::{BenchArgs, BenchChainArgs, BenchCommand, BenchGrowthArgs, BenchRow, BenchRpcArgs};
pub use client::{
    ExplainArgs, ExplainWhat, FaucetArgs, HeadersArgs, HeadersCommand, MineArgs, NetArgs, NetCommand,
    RpcArgs, SendArgs, WalletArgs, WalletCommand, WalletTarget,
};
pub use experiments::{
    DoubleSpendArgs, ExperimentArgs, GeneralsArgs, PropagationArgs, SelfishArgs, StrategyArgs,
};
pub use lab::{LabArgs, LabCommand, LabOpenArgs, LabReplayArgs, LabRunArgs};
pub use start::{ByzantineNode, DevnetArgs, NodeArgs, StartArgs};
pub use sweep::{LabMergeArgs, LabSweepArgs};
pub use watch::{Size, WatchArgs};
pub use worlds::{LabScaleArgs, LabStormArgs};

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use tine_chain::params::Network;

/// A Bitcoin-style node you can watch fork.
///
/// Start with `tine devnet`: four nodes on this machine that mine, gossip and pay.
#[derive(Debug, Parser)]
#[command(name = "tine", version, max_term_width = 100, arg_required_else_help = true)]
#[command(after_help = "Exit codes: 0 done, 1 failed, 2 usage, 3 no node answers, 4 a node refused.\n\
    An option may also be set as TINE_<NAME> in the environment or as <name> in tine.toml.")]
pub struct Cli {
    /// What holds for every command.
    #[command(flatten)]
    pub common: Common,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What holds for every command.
#[derive(Debug, Clone, Args)]
pub struct Common {
    /// Where everything is kept: `<DIR>/<network>/`, devnet nodes in `<DIR>/devnet/<name>/` [default: ~/.tine]
    #[arg(long, global = true, value_name = "DIR", env = "TINE_DIR")]
    pub dir: Option<PathBuf>,
    /// The configuration file [default: tine.toml in the directory, if it exists]
    #[arg(long, global = true, value_name = "FILE", env = "TINE_CONFIG")]
    pub config: Option<PathBuf>,
    /// Print JSON: one document, or one line for each event of a stream
    #[arg(long, global = true)]
    pub json: bool,
    /// What to log, such as `info` or `tine_p2p=debug` [default: warn; `tine node`: info]
    #[arg(long, global = true, value_name = "FILTER", env = "TINE_LOG")]
    pub log: Option<String>,
    /// How log lines look
    #[arg(long, global = true, value_name = "FORMAT", env = "TINE_LOG_FORMAT")]
    pub log_format: Option<LogFormat>,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Human,
    /// One JSON object a line.
    Json,
}

/// The networks that have nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NodeNetwork {
    /// Ten-minute blocks.
    Main,
    /// Five-second blocks, for a laptop.
    Devnet,
    /// Blocks on demand.
    Regtest,
}

impl From<NodeNetwork> for Network {
    fn from(network: NodeNetwork) -> Self {
        match network {
            NodeNetwork::Main => Self::Main,
            NodeNetwork::Devnet => Self::Devnet,
            NodeNetwork::Regtest => Self::Regtest,
        }
    }
}

/// The networks whose headers can be checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum AnyNetwork {
    /// Bitcoin's own.
    Bitcoin,
    /// tine's ten-minute network.
    Main,
    /// tine's five-second network.
    Devnet,
    /// Blocks on demand.
    Regtest,
}

impl From<AnyNetwork> for Network {
    fn from(network: AnyNetwork) -> Self {
        match network {
            AnyNetwork::Bitcoin => Self::Bitcoin,
            AnyNetwork::Main => Self::Main,
            AnyNetwork::Devnet => Self::Devnet,
            AnyNetwork::Regtest => Self::Regtest,
        }
    }
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Start nodes on this machine that mine, gossip and pay, and show each block
    Devnet(DevnetArgs),
    /// Watch the tree, the nodes and the events in the terminal, and drive a devnet from it
    Watch(WatchArgs),
    /// Run one node
    Node(NodeArgs),
    /// Make wallets, show them, pay from them
    Wallet(WalletArgs),
    /// Mine blocks now
    Mine(MineArgs),
    /// Pay somebody
    Send(SendArgs),
    /// Get coins on a devnet, from whichever of its public wallets has some
    Faucet(FaucetArgs),
    /// Cut a running network in two, make lines bad, and heal it
    Net(NetArgs),
    /// Show every branch of the block tree
    Forks(TargetArgs),
    /// List the reorganisations that the nodes went through
    Reorgs(TargetArgs),
    /// Explain a reorganisation, the tip, or what became of a transaction
    Explain(ExplainArgs),
    /// Call any JSON-RPC method
    Rpc(RpcArgs),
    /// Run the same nodes under virtual time and a seed
    Lab(LabArgs),
    /// Check raw block headers
    Headers(HeadersArgs),
    /// Measure how fast nodes are
    Bench(BenchArgs),
    /// Print completions for a shell
    Completions {
        /// Which shell
        shell: Shell,
    },
    /// Print the manual page
    Man,
}

/// The shells that completions are made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Shell {
    /// GNU Bash.
    Bash,
    /// Elvish.
    Elvish,
    /// Fish.
    Fish,
    /// PowerShell.
    Powershell,
    /// Z shell.
    Zsh,
}

/// Which node is asked.
#[derive(Debug, Clone, Args, Default)]
pub struct TargetArgs {
    /// The node to ask, by name [default: the first that runs here; about reorganisations all of them]
    #[arg(long, value_name = "NODE")]
    pub on: Option<String>,
    /// The node to ask, by URL: `http://host:port`, or `http://user:password@host:port`
    #[arg(long, value_name = "URL", env = "TINE_RPC", hide_env_values = true, conflicts_with = "on")]
    pub rpc: Option<String>,
    /// The file that holds the node's `user:password`
    #[arg(long, value_name = "FILE", env = "TINE_COOKIE_FILE", requires = "rpc")]
    pub cookie_file: Option<PathBuf>,
}
