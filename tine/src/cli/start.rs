//! Commands that start nodes.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::builder::{PossibleValue, TypedValueParser};
use clap::{ArgAction, Args};
use tine_node::Strategy;

use super::NodeNetwork;
use crate::grpc_at::GrpcAt;
use crate::hashrate::HashRate;
use crate::secret::Secret;

/// What a node can be told, whoever starts it.
#[derive(Debug, Clone, Args, Default)]
pub struct StartArgs {
    /// The address that JSON-RPC, REST and the page listen on [default: 127.0.0.1]
    #[arg(long, value_name = "ADDRESS", env = "TINE_RPC_BIND")]
    pub rpc_bind: Option<IpAddr>,
    /// A host name by which the page and RPC may be reached, besides this machine's; may be repeated
    #[arg(long, value_name = "HOST", env = "TINE_RPC_ALLOW_HOST", value_delimiter = ',')]
    pub rpc_allow_host: Vec<String>,
    /// A `user:password`, or `user:salt$hash` as Bitcoin Core's rpcauth.py writes it, that may call JSON-RPC besides the
    /// cookie; may be repeated; best set in the environment or the file
    #[arg(long, value_name = "USER:PASSWORD", env = "TINE_RPC_AUTH", hide_env_values = true)]
    pub rpc_auth: Vec<Secret>,
    /// The only methods that a user may call: `user:method,method`; may be repeated [default: all]
    #[arg(long, value_name = "USER:METHODS", env = "TINE_RPC_WHITELIST", value_delimiter = ';')]
    pub rpc_whitelist: Vec<String>,
    /// Whether /metrics for Prometheus is on the port of JSON-RPC, without a password [default: false]
    #[arg(long, value_name = "BOOL", env = "TINE_METRICS", num_args = 0..=1, default_missing_value = "true")]
    pub metrics: Option<bool>,
    /// Answer gRPC too: true, an address, a port, or both; `tine node` [default: false], `tine devnet` [default: true,
    /// node k at base port +10k+2]
    #[arg(long, value_name = "ADDRESS", env = "TINE_GRPC", num_args = 0..=1, default_missing_value = "true")]
    pub grpc: Option<GrpcAt>,
    /// Memory for the coin cache of each node, in MiB [default: 64]
    #[arg(long, value_name = "MIB", env = "TINE_CACHE", value_parser = clap::value_parser!(u32).range(4..=65_536))]
    pub cache: Option<u32>,
    /// Memory for the mempool of each node, in MB [default: 300]
    #[arg(long, value_name = "MB", env = "TINE_MAX_MEMPOOL", value_parser = clap::value_parser!(u32).range(5..=10_000))]
    pub max_mempool: Option<u32>,
    /// How long a transaction may wait in the mempool, in hours [default: 336]
    #[arg(long, value_name = "HOURS", env = "TINE_MEMPOOL_EXPIRY", value_parser = clap::value_parser!(u32).range(1..=87_600))]
    pub mempool_expiry: Option<u32>,
    /// Whether a waiting transaction that did not signal it (BIP 125) can be replaced by one that pays more [default: true]
    #[arg(long, value_name = "BOOL", env = "TINE_FULL_RBF")]
    pub full_rbf: Option<bool>,
    /// Whether the mempool and the fee estimates outlive the program [default: true]
    #[arg(long, value_name = "BOOL", env = "TINE_PERSIST_MEMPOOL")]
    pub persist_mempool: Option<bool>,
    /// Build coins and indexes anew from the block files
    #[arg(long)]
    pub reindex: bool,
}

/// Reads the name of an adversary; help lists them with a line each.
#[derive(Clone)]
struct StrategyParser;

impl TypedValueParser for StrategyParser {
    type Value = Strategy;

    fn parse_ref(
        &self,
        command: &clap::Command,
        arg: Option<&clap::Arg>,
        value: &std::ffi::OsStr,
    ) -> Result<Strategy, clap::Error> {
        let parse = |text: &str| text.parse::<Strategy>();
        clap::builder::StringValueParser::new()
            .try_map(move |text| parse(&text))
            .parse_ref(command, arg, value)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        let value = |strategy: Strategy| PossibleValue::new(strategy.name()).help(strategy.describe());
        Some(Box::new(Strategy::ALL.into_iter().map(value)))
    }
}

/// A node of a devnet, and how it misbehaves: `dave=selfish`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ByzantineNode {
    /// The node's name.
    pub name: String,
    /// What it does.
    pub strategy: Strategy,
}

impl std::str::FromStr for ByzantineNode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, strategy) =
            text.split_once('=').ok_or("NODE=ADVERSARY is wanted, such as dave=selfish")?;
        let strategy = strategy.parse().map_err(|error| format!("{error}"))?;
        Ok(Self { name: name.to_owned(), strategy })
    }
}

/// `tine devnet`.
#[derive(Debug, Clone, Args)]
pub struct DevnetArgs {
    /// How many nodes, 1 to 64
    #[arg(long, value_name = "N", env = "TINE_NODES", value_parser = clap::value_parser!(u32).range(1..=64))]
    pub nodes: Option<u32>,
    /// Makes the nodes' identities and random choices repeatable
    #[arg(long, value_name = "N", env = "TINE_SEED")]
    pub seed: Option<u64>,
    /// The first RPC port; node k gets RPC at +10k, P2P at +10k+1 and gRPC at +10k+2 [default: 18443]
    #[arg(long, value_name = "PORT", env = "TINE_BASE_PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub base_port: Option<u16>,
    /// The port of the page [default: 8181 with the default base port, base port − 1 otherwise]
    #[arg(long, value_name = "PORT", env = "TINE_EXPLORER_PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub explorer_port: Option<u16>,
    /// Hashes a second of all miners together [default: 200kH/s]
    #[arg(long, value_name = "RATE", env = "TINE_HASHRATE")]
    pub hashrate: Option<HashRate>,
    /// Start without mining; `tine mine` still does
    #[arg(long)]
    pub no_mine: bool,
    /// Let a node misbehave, such as `dave=selfish`; may be repeated. `tine node --help` lists the adversaries
    #[arg(long, value_name = "NODE=ADVERSARY", env = "TINE_DEVNET_BYZANTINE", value_delimiter = ',')]
    pub byzantine: Vec<ByzantineNode>,
    /// What every node is told
    #[command(flatten)]
    pub start: StartArgs,
}

/// `tine node`.
#[derive(Debug, Clone, Args)]
pub struct NodeArgs {
    /// Which chain [default: devnet]
    #[arg(long, value_name = "NETWORK", env = "TINE_NETWORK")]
    pub network: Option<NodeNetwork>,
    /// The node's name; on devnet also the name of its directory [default: node]
    #[arg(long, value_name = "NAME", env = "TINE_NAME")]
    pub name: Option<String>,
    /// Where peers reach us, a multiaddress or host:port; may be repeated [default: /ip4/127.0.0.1/tcp/18444]
    #[arg(long, value_name = "ADDRESS", env = "TINE_LISTEN", value_delimiter = ',')]
    pub listen: Vec<String>,
    /// A peer to start from, a multiaddress or host:port; may be repeated
    #[arg(long, value_name = "ADDRESS", env = "TINE_CONNECT", value_delimiter = ',')]
    pub connect: Vec<String>,
    /// Dial nobody but the peers named by --connect
    #[arg(long, env = "TINE_CONNECT_ONLY", action = ArgAction::SetTrue)]
    pub connect_only: bool,
    /// Look for peers on the local network (mDNS)
    #[arg(long, env = "TINE_MDNS", action = ArgAction::SetTrue)]
    pub mdns: bool,
    /// Mine
    #[arg(long, env = "TINE_MINE", action = ArgAction::SetTrue)]
    pub mine: bool,
    /// Hashes a second to spend [default: all of one thread]
    #[arg(long, value_name = "RATE", env = "TINE_HASHRATE")]
    pub hashrate: Option<HashRate>,
    /// Threads that mine [default: 1]
    #[arg(long, value_name = "N", env = "TINE_MINER_THREADS", value_parser = clap::value_parser!(u32).range(1..=256))]
    pub miner_threads: Option<u32>,
    /// The address that mining pays [default: the node's own wallet]
    #[arg(long, value_name = "ADDRESS", env = "TINE_MINE_TO")]
    pub mine_to: Option<String>,
    /// The port of JSON-RPC and REST [default: 18443]
    #[arg(long, value_name = "PORT", env = "TINE_RPC_PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub rpc_port: Option<u16>,
    /// The port of the page [default: none]
    #[arg(long, value_name = "PORT", env = "TINE_EXPLORER_PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub explorer_port: Option<u16>,
    /// The file to write the cookie to [default: .cookie in the node's directory]
    #[arg(long, value_name = "FILE", env = "TINE_COOKIE_FILE")]
    pub cookie_file: Option<PathBuf>,
    /// Makes the node's identity and random choices repeatable
    #[arg(long, value_name = "N", env = "TINE_SEED")]
    pub seed: Option<u64>,
    /// Misbehave, in one of these ways, for experiments on networks of one's own:
    #[arg(long, value_name = "ADVERSARY", env = "TINE_BYZANTINE", value_parser = StrategyParser)]
    pub byzantine: Option<Strategy>,
    /// What every node is told
    #[command(flatten)]
    pub start: StartArgs,
}
