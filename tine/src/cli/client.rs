//! Commands that talk to a running node, or to none.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use tine_chain::amount::Amount;
use tine_chain::transaction::OutPoint;

use super::{AnyNetwork, TargetArgs};

/// `tine mine`.
#[derive(Debug, Clone, Args)]
pub struct MineArgs {
    /// How many blocks
    #[arg(value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub count: u32,
    /// The address paid [default: the one that the node's miner pays]
    #[arg(long, value_name = "ADDRESS")]
    pub to: Option<String>,
    /// Which node
    #[command(flatten)]
    pub target: TargetArgs,
}

/// `tine send`.
#[derive(Debug, Clone, Args)]
pub struct SendArgs {
    /// Who is paid: an address, or the name of a wallet of the devnet
    #[arg(value_name = "TO")]
    pub to: String,
    /// How many coins
    #[arg(value_name = "AMOUNT", allow_negative_numbers = true)]
    pub amount: Amount,
    /// The wallet that pays [default: the one that has --coin, or the node's own]
    #[arg(long, value_name = "WALLET")]
    pub from: Option<String>,
    /// Base units for 1,000 bytes; the least that is relayed is 1000 [default: 2000]
    #[arg(long, value_name = "RATE", value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    pub fee_rate: Option<u64>,
    /// A coin that must be spent, as TXID:INDEX; may be repeated
    #[arg(long = "coin", value_name = "OUTPOINT")]
    pub coins: Vec<OutPoint>,
    /// Show inputs, change, fee, signing hash and signature
    #[arg(long)]
    pub explain: bool,
    /// Build and sign, do not submit
    #[arg(long)]
    pub dry_run: bool,
    /// Which node
    #[command(flatten)]
    pub target: TargetArgs,
}

/// `tine wallet`.
#[derive(Debug, Clone, Args)]
pub struct WalletArgs {
    /// What to do with it.
    #[command(subcommand)]
    pub command: WalletCommand,
}

/// Which wallet of which node.
#[derive(Debug, Clone, Args)]
pub struct WalletTarget {
    /// The wallet [default: the node's own]
    #[arg(value_name = "WALLET")]
    pub wallet: Option<String>,
    /// Which node
    #[command(flatten)]
    pub target: TargetArgs,
}

/// What to do with a wallet.
#[derive(Debug, Clone, Subcommand)]
pub enum WalletCommand {
    /// Make a wallet; shows its phrase, once
    New {
        /// Its name
        name: String,
        /// Which node
        #[command(flatten)]
        target: TargetArgs,
    },
    /// Make a wallet again from its phrase, which is asked for or read from standard input, or from a backup
    Restore {
        /// Its name
        name: String,
        /// A file that `tine wallet backup` wrote, on the node's machine [default: ask for the words]
        #[arg(long, value_name = "FILE")]
        file: Option<PathBuf>,
        /// Which node
        #[command(flatten)]
        target: TargetArgs,
    },
    /// List a node's wallets
    List(TargetArgs),
    /// Show an address to be paid to
    Address {
        /// A new one, that nobody has paid to yet
        #[arg(long)]
        new: bool,
        /// Which wallet
        #[command(flatten)]
        wallet: WalletTarget,
    },
    /// Show what a wallet holds
    Balance(WalletTarget),
    /// List a wallet's coins
    Coins(WalletTarget),
    /// Pay somebody
    Send(SendArgs),
    /// List a wallet's payments, and what became of them
    History(WalletTarget),
    /// Copy a wallet's keystore, sealed as it is, to a new file; `restore --file` takes it back
    Backup {
        /// The file; it must not exist
        path: PathBuf,
        /// Which wallet
        #[command(flatten)]
        wallet: WalletTarget,
    },
    /// Keep a wallet's keys in the node's memory, so that it can sign
    Unlock(WalletTarget),
    /// Forget a wallet's keys until it is unlocked again
    Lock(WalletTarget),
}

/// `tine net`.
#[derive(Debug, Clone, Args)]
pub struct NetArgs {
    /// What to do with it.
    #[command(subcommand)]
    pub command: NetCommand,
    /// The nodes, by URL; may be repeated [default: those that run here]
    #[arg(
        long,
        global = true,
        value_name = "URL",
        value_delimiter = ',',
        env = "TINE_NET_RPC",
        hide_env_values = true
    )]
    pub rpc: Vec<String>,
}

/// What to do with a network.
#[derive(Debug, Clone, Subcommand)]
pub enum NetCommand {
    /// Show the nodes, their tips and their links
    Show,
    /// Cut every link between groups of nodes
    Split {
        /// Names (or numbers from 1, in the order of --rpc), as in "alice | bob,carol,dave"
        #[arg(value_name = "GROUPS")]
        groups: String,
    },
    /// Make every message to and from a node late
    Delay {
        /// Its name (or number, in the order of --rpc), or `all`
        node: String,
        /// Milliseconds that a message takes longer, each way; 0: none
        #[arg(value_name = "MS", value_parser = clap::value_parser!(u32).range(0..=10_000))]
        ms: u32,
    },
    /// Lose messages to and from a node; its connections stay
    Drop {
        /// Its name (or number, in the order of --rpc), or `all`
        node: String,
        /// How many of 100, each way; 0: none
        #[arg(value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(0..=100))]
        percent: u8,
    },
    /// Restore all links, and end delays and losses
    Heal,
    /// Stop a node of a devnet; the others go on
    Stop {
        /// Its name
        node: String,
    },
    /// Start a node that was stopped; it goes on from its files, and catches up
    Start {
        /// Its name
        node: String,
    },
}

/// `tine faucet`.
#[derive(Debug, Clone, Args)]
pub struct FaucetArgs {
    /// Who is paid: an address, or the name of a wallet of any node here
    #[arg(value_name = "TO")]
    pub to: String,
    /// How many coins
    #[arg(value_name = "AMOUNT", default_value = "10", allow_negative_numbers = true)]
    pub amount: Amount,
    /// Which node
    #[command(flatten)]
    pub target: TargetArgs,
}

/// `tine explain`.
#[derive(Debug, Clone, Args)]
pub struct ExplainArgs {
    /// Of what.
    #[command(subcommand)]
    pub what: ExplainWhat,
}

/// What is explained.
#[derive(Debug, Clone, Subcommand)]
pub enum ExplainWhat {
    /// Why a node changed branches, and what became of each transaction
    Reorg {
        /// Its number as `tine reorgs` shows it, or `last`: the last one of all nodes, unless --on names one
        #[arg(default_value = "last")]
        which: String,
        /// Write it as a page with both branches drawn
        #[arg(long, value_name = "FILE")]
        html: Option<PathBuf>,
        /// Which node
        #[command(flatten)]
        target: TargetArgs,
    },
    /// Why this block is the tip
    Tip {
        /// Which node
        #[command(flatten)]
        target: TargetArgs,
    },
    /// Where a transaction is, and where it has been
    Tx {
        /// Its id
        txid: tine_chain::hash::Txid,
        /// Which node
        #[command(flatten)]
        target: TargetArgs,
    },
}

/// `tine rpc`.
#[derive(Debug, Clone, Args)]
pub struct RpcArgs {
    /// The method; `help` lists them
    pub method: String,
    /// Its parameters: text where the method takes text, else JSON where it reads as JSON; name=value with --named
    #[arg(value_name = "ARGS", allow_negative_numbers = true)]
    pub args: Vec<String>,
    /// Parameters are name=value
    #[arg(long)]
    pub named: bool,
    /// Which node
    #[command(flatten)]
    pub target: TargetArgs,
}

/// `tine headers`.
#[derive(Debug, Clone, Args)]
pub struct HeadersArgs {
    /// What to do with them.
    #[command(subcommand)]
    pub command: HeadersCommand,
}

/// What to do with headers.
#[derive(Debug, Clone, Subcommand)]
pub enum HeadersCommand {
    /// Verify raw 80-byte headers: linkage, work, difficulty, time
    Check {
        /// The file, or - for standard input
        file: PathBuf,
        /// Whose rules
        #[arg(long, value_name = "NETWORK", default_value = "bitcoin")]
        network: AnyNetwork,
        /// The height of the first header [default: known for some, otherwise found from the headers]
        #[arg(long, value_name = "N")]
        height: Option<u32>,
    },
}
