//! Settings, from four layers: flag, then `TINE_*` in the environment, then `tine.toml`, then the default.
//!
//! Nothing that was said is ignored: an option, variable or key that is unknown or malformed is refused and named.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::CommandFactory;
use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use tine_chain::params::Network;
use tine_node::Strategy;
use tine_node::mempool::EXPIRY;

use crate::cli::{ByzantineNode, Cli, Common, DevnetArgs, LogFormat, NodeArgs, NodeNetwork, StartArgs};
use crate::dirs;
use crate::exit::Error;
use crate::grpc_at::{GrpcAt, PORT_OFFSET};
use crate::hashrate::HashRate;
use crate::rpc::{check_login, check_whitelist};
use crate::secret::Secret;

/// The first RPC port, and that of a lone node.
pub const DEFAULT_RPC_PORT: u16 = 18_443;
/// The P2P port of a lone node.
pub const DEFAULT_P2P_PORT: u16 = 18_444;
/// The port of the devnet's page.
pub const DEFAULT_EXPLORER_PORT: u16 = 8_181;
/// Hashes a second of a devnet's miners together.
pub const DEFAULT_DEVNET_HASHRATE: HashRate = HashRate(200_000);
/// Nodes of a devnet.
const DEFAULT_NODES: u32 = 4;
/// Coin cache of a node, MiB: room for 200,000 coins that were made and not written to the database yet.
const DEFAULT_CACHE_MIB: u32 = 64;
/// Mempool of a node, MB.
const DEFAULT_MAX_MEMPOOL_MB: u32 = 300;
/// The largest configuration file that is read, in bytes.
const MAX_FILE_SIZE: u64 = 1 << 20;

/// `tine.toml`: the long options by name, `-` as in the option. A table `[devnet]` holds what is said to `tine devnet`
/// alone and goes before what is said above it; what only `tine node` has, `listen` and the like, does not concern a
/// devnet.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct File {
    log: Option<String>,
    log_format: Option<LogFormat>,
    rpc_bind: Option<IpAddr>,
    #[serde(default, deserialize_with = "one_or_more")]
    rpc_allow_host: Vec<String>,
    #[serde(default, deserialize_with = "one_or_more_secrets")]
    rpc_auth: Vec<Secret>,
    #[serde(default, deserialize_with = "one_or_more")]
    rpc_whitelist: Vec<String>,
    metrics: Option<bool>,
    grpc: Option<GrpcAt>,
    cache: Option<u32>,
    max_mempool: Option<u32>,
    mempool_expiry: Option<u32>,
    full_rbf: Option<bool>,
    persist_mempool: Option<bool>,
    network: Option<NodeNetwork>,
    name: Option<String>,
    #[serde(default, deserialize_with = "one_or_more")]
    listen: Vec<String>,
    #[serde(default, deserialize_with = "one_or_more")]
    connect: Vec<String>,
    #[serde(default)]
    connect_only: bool,
    #[serde(default)]
    mdns: bool,
    mine: Option<bool>,
    hashrate: Option<HashRate>,
    miner_threads: Option<u32>,
    mine_to: Option<String>,
    rpc_port: Option<u16>,
    explorer_port: Option<u16>,
    cookie_file: Option<PathBuf>,
    seed: Option<u64>,
    nodes: Option<u32>,
    base_port: Option<u16>,
    #[serde(default)]
    devnet: DevnetFile,
}

/// Reads a text, or a list of them, as the command line takes an option once or more often.
fn one_or_more<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    struct Texts;
    impl<'de> Visitor<'de> for Texts {
        type Value = Vec<String>;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("a text or a list of texts, as in [\"127.0.0.1:18444\", \"127.0.0.1:18454\"]")
        }

        fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Self::Value, E> {
            Ok(vec![text.to_owned()])
        }

        fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Self::Value, A::Error> {
            Vec::deserialize(serde::de::value::SeqAccessDeserializer::new(list))
        }
    }
    deserializer.deserialize_any(Texts)
}

/// As [`one_or_more`], for what must not be printed.
fn one_or_more_secrets<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Secret>, D::Error> {
    Ok(one_or_more(deserializer)?.into_iter().map(Secret::from).collect())
}

/// The table `[devnet]`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct DevnetFile {
    nodes: Option<u32>,
    seed: Option<u64>,
    base_port: Option<u16>,
    explorer_port: Option<u16>,
    hashrate: Option<HashRate>,
    mine: Option<bool>,
    rpc_bind: Option<IpAddr>,
    #[serde(default, deserialize_with = "one_or_more")]
    rpc_allow_host: Vec<String>,
    #[serde(default, deserialize_with = "one_or_more_secrets")]
    rpc_auth: Vec<Secret>,
    #[serde(default, deserialize_with = "one_or_more")]
    rpc_whitelist: Vec<String>,
    metrics: Option<bool>,
    grpc: Option<GrpcAt>,
    cache: Option<u32>,
    max_mempool: Option<u32>,
    mempool_expiry: Option<u32>,
    full_rbf: Option<bool>,
    persist_mempool: Option<bool>,
}

impl File {
    /// Reads the configuration file: the one that was named, or `<root>/tine.toml` if there is one.
    ///
    /// # Errors
    /// It can't be read or says something that can't be; the key is named. The file is left as it is.
    pub fn load(named: Option<&Path>, root: &Path) -> Result<Self, Error> {
        let default = root.join("tine.toml");
        let path = named.unwrap_or(&default);
        if named.is_none() && !path.exists() {
            return Ok(Self::default());
        }
        let refuse = |error: &dyn std::fmt::Display| Error::Usage(format!("{}: {error}", path.display()));
        if !path.exists() {
            return Err(refuse(&"there is no such file; --config, or TINE_CONFIG, names it"));
        }
        let size = std::fs::metadata(path).map_err(|error| refuse(&error))?.len();
        if size > MAX_FILE_SIZE {
            return Err(refuse(&"longer than 1 MiB"));
        }
        let text = std::fs::read_to_string(path).map_err(|error| refuse(&error))?;
        let file: Self = toml::from_str(&text).map_err(|error| refuse(&error))?;
        file.check().map_err(|error| refuse(&error))?;
        Ok(file)
    }

    /// The file as a devnet reads it: its table over the keys above the table.
    fn for_devnet(&self) -> Self {
        let table = self.devnet.clone();
        Self {
            nodes: table.nodes.or(self.nodes),
            seed: table.seed.or(self.seed),
            base_port: table.base_port.or(self.base_port),
            explorer_port: table.explorer_port.or(self.explorer_port),
            hashrate: table.hashrate.or(self.hashrate),
            mine: table.mine.or(self.mine),
            rpc_bind: table.rpc_bind.or(self.rpc_bind),
            rpc_allow_host: either(&table.rpc_allow_host, &self.rpc_allow_host),
            rpc_auth: if table.rpc_auth.is_empty() { self.rpc_auth.clone() } else { table.rpc_auth },
            rpc_whitelist: either(&table.rpc_whitelist, &self.rpc_whitelist),
            metrics: table.metrics.or(self.metrics),
            grpc: table.grpc.or(self.grpc),
            cache: table.cache.or(self.cache),
            max_mempool: table.max_mempool.or(self.max_mempool),
            mempool_expiry: table.mempool_expiry.or(self.mempool_expiry),
            full_rbf: table.full_rbf.or(self.full_rbf),
            persist_mempool: table.persist_mempool.or(self.persist_mempool),
            ..self.clone()
        }
    }

    /// Ranges, as clap checks them for flags.
    fn check(&self) -> Result<(), String> {
        let within = |key: &str, value: Option<u32>, min: u32, max: u32| match value {
            Some(value) if !(min..=max).contains(&value) => {
                Err(format!("{key} = {value}: must be {min} to {max}"))
            }
            Some(_) | None => Ok(()),
        };
        let numbers = [
            ("cache", self.cache, 4, 65_536),
            ("max-mempool", self.max_mempool, 5, 10_000),
            ("mempool-expiry", self.mempool_expiry, 1, 87_600),
            ("miner-threads", self.miner_threads, 1, 256),
            ("nodes", self.nodes, 1, 20),
            ("devnet.nodes", self.devnet.nodes, 1, 20),
            ("devnet.cache", self.devnet.cache, 4, 65_536),
            ("devnet.max-mempool", self.devnet.max_mempool, 5, 10_000),
            ("devnet.mempool-expiry", self.devnet.mempool_expiry, 1, 87_600),
        ];
        numbers.into_iter().try_for_each(|(key, value, min, max)| within(key, value, min, max))?;
        let ports = [
            ("rpc-port", self.rpc_port),
            ("explorer-port", self.explorer_port),
            ("base-port", self.base_port),
            ("devnet.base-port", self.devnet.base_port),
            ("devnet.explorer-port", self.devnet.explorer_port),
        ];
        ports.into_iter().try_for_each(|(key, port)| within(key, port.map(u32::from), 1, 65_535))
    }
}

/// What holds for every command, resolved.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where everything is kept.
    pub root: PathBuf,
    /// What the file says.
    pub file: File,
    /// What to log; `None`: the command's default.
    pub log: Option<String>,
    /// How log lines look.
    pub log_format: LogFormat,
    /// Print JSON.
    pub json: bool,
}

impl Settings {
    /// Resolves the common options.
    ///
    /// # Errors
    /// The file, or a variable of the environment, says something that can't be.
    pub fn resolve(common: &Common) -> Result<Self, Error> {
        let root = match &common.dir {
            Some(dir) if dir.as_os_str().is_empty() => return Err(Error::Usage("--dir: empty".into())),
            Some(dir) => std::path::absolute(dir).map_err(|error| Error::Usage(format!("--dir: {error}")))?,
            None => dirs::default_root()?,
        };
        let file = File::load(common.config.as_deref(), &root)?;
        Ok(Self {
            log: common.log.clone().or_else(|| file.log.clone()),
            log_format: common.log_format.or(file.log_format).unwrap_or(LogFormat::Human),
            json: common.json,
            root,
            file,
        })
    }
}

/// Refuses variables `TINE_*` that no option reads: a setting with a typing error must not pass in silence.
///
/// # Errors
/// The first such variable, named.
pub fn check_environment(names: impl Iterator<Item = String>) -> Result<(), Error> {
    let known = known_variables();
    let unknown: BTreeSet<String> =
        names.filter(|name| name.starts_with("TINE_") && !known.contains(name)).collect();
    match unknown.first() {
        None => Ok(()),
        Some(name) => Err(Error::Usage(format!("environment variable {name}: no option is called so"))),
    }
}

fn known_variables() -> BTreeSet<String> {
    fn collect(command: &clap::Command, into: &mut BTreeSet<String>) {
        let variables = command.get_arguments().filter_map(|argument| argument.get_env());
        into.extend(variables.map(|name| name.to_string_lossy().into_owned()));
        for command in command.get_subcommands() {
            collect(command, into);
        }
    }
    let mut known = BTreeSet::new();
    collect(&Cli::command(), &mut known);
    known
}

/// Settings of every node that is started, resolved.
#[derive(Debug, Clone)]
pub struct StartSettings {
    /// Address of JSON-RPC, REST and the page.
    pub rpc_bind: IpAddr,
    /// Host names by which they may be reached, besides this machine's.
    pub rpc_allow_host: Vec<String>,
    /// Each a `user:password` or `user:salt$hash` that may call JSON-RPC besides the cookie.
    pub rpc_auth: Vec<Secret>,
    /// Each a `user:method,method`: all that the user may call.
    pub rpc_whitelist: Vec<String>,
    /// Whether `/metrics` is there.
    pub metrics: bool,
    /// Whether and where gRPC is; `None`: nothing was said.
    pub grpc: Option<GrpcAt>,
    /// Coin cache, bytes.
    pub cache_bytes: usize,
    /// Mempool, bytes.
    pub max_mempool_bytes: usize,
    /// How long a transaction may wait in the mempool.
    pub mempool_expiry: Duration,
    /// Whether a transaction can be replaced that did not say so.
    pub full_rbf: bool,
    /// Keep the mempool and the fee estimates across a restart.
    pub persist_mempool: bool,
    /// Build coins and indexes anew.
    pub reindex: bool,
}

impl StartSettings {
    fn resolve(args: &StartArgs, file: &File) -> Result<Self, Error> {
        let rpc_auth = if args.rpc_auth.is_empty() { &file.rpc_auth } else { &args.rpc_auth }.clone();
        for secret in &rpc_auth {
            check_login(secret.expose())
                .map_err(|why| Error::Usage(format!("--rpc-auth (or TINE_RPC_AUTH): {why}")))?;
        }
        let rpc_whitelist = either(&args.rpc_whitelist, &file.rpc_whitelist);
        for text in &rpc_whitelist {
            check_whitelist(text)
                .map_err(|why| Error::Usage(format!("--rpc-whitelist (or TINE_RPC_WHITELIST): {why}")))?;
        }
        Ok(Self {
            rpc_auth,
            rpc_whitelist,
            metrics: args.metrics.or(file.metrics).unwrap_or(false),
            grpc: args.grpc.or(file.grpc),
            rpc_bind: args.rpc_bind.or(file.rpc_bind).unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST)),
            rpc_allow_host: either(&args.rpc_allow_host, &file.rpc_allow_host),
            cache_bytes: args.cache.or(file.cache).unwrap_or(DEFAULT_CACHE_MIB) as usize * 1024 * 1024,
            max_mempool_bytes: args.max_mempool.or(file.max_mempool).unwrap_or(DEFAULT_MAX_MEMPOOL_MB)
                as usize
                * 1_000_000,
            mempool_expiry: args.mempool_expiry.or(file.mempool_expiry).map_or(EXPIRY, hours),
            full_rbf: args.full_rbf.or(file.full_rbf).unwrap_or(true),
            persist_mempool: args.persist_mempool.or(file.persist_mempool).unwrap_or(true),
            reindex: args.reindex,
        })
    }
}

fn hours(number: u32) -> Duration {
    Duration::from_secs(u64::from(number) * 3_600)
}

/// Settings of `tine node`, resolved.
#[derive(Debug, Clone)]
pub struct NodeSettings {
    /// Which chain.
    pub network: Network,
    /// The node's name.
    pub name: String,
    /// Where peers reach us.
    pub listen: Vec<String>,
    /// Peers to start from.
    pub connect: Vec<String>,
    /// Talk to nobody else.
    pub connect_only: bool,
    /// Look for peers on the local network.
    pub mdns: bool,
    /// Mine.
    pub mine: bool,
    /// Hashes a second; `None`: no limit.
    pub hashrate: Option<HashRate>,
    /// Threads that mine.
    pub miner_threads: u32,
    /// The address that mining pays; `None`: the node's own wallet.
    pub mine_to: Option<String>,
    /// The port of JSON-RPC and REST.
    pub rpc_port: u16,
    /// The port of the page; `None`: no page.
    pub explorer_port: Option<u16>,
    /// Where gRPC is; `None`: nowhere.
    pub grpc: Option<SocketAddr>,
    /// The cookie's file; `None`: in the node's directory.
    pub cookie_file: Option<PathBuf>,
    /// For repeatable runs.
    pub seed: Option<u64>,
    /// How the node misbehaves; `None`: not at all.
    pub byzantine: Option<Strategy>,
    /// What every node is told.
    pub start: StartSettings,
}

impl NodeSettings {
    /// Lays the flags (and the environment, which clap has read) over the file over the defaults.
    ///
    /// # Errors
    /// A name that can't be a file name; options that contradict each other.
    pub fn resolve(args: &NodeArgs, file: &File) -> Result<Self, Error> {
        let name = args.name.clone().or_else(|| file.name.clone()).unwrap_or_else(|| "node".into());
        dirs::check_name("--name", &name)?;
        let listen = either(&args.listen, &file.listen);
        let connect = either(&args.connect, &file.connect);
        let connect_only = args.connect_only || file.connect_only;
        if connect_only && connect.is_empty() {
            return Err(Error::Usage("--connect-only needs at least one --connect".into()));
        }
        let rpc_port = args.rpc_port.or(file.rpc_port).unwrap_or(DEFAULT_RPC_PORT);
        let start = StartSettings::resolve(&args.start, file)?;
        Ok(Self {
            network: args.network.or(file.network).unwrap_or(NodeNetwork::Devnet).into(),
            name,
            listen: if listen.is_empty() {
                vec![format!("/ip4/127.0.0.1/tcp/{DEFAULT_P2P_PORT}")]
            } else {
                listen
            },
            connect,
            connect_only,
            mdns: args.mdns || file.mdns,
            mine: args.mine || file.mine.unwrap_or(false),
            hashrate: args.hashrate.or(file.hashrate),
            miner_threads: args.miner_threads.or(file.miner_threads).unwrap_or(1),
            mine_to: args.mine_to.clone().or_else(|| file.mine_to.clone()),
            grpc: start.grpc.unwrap_or(GrpcAt::Off).address(rpc_port),
            rpc_port,
            explorer_port: args.explorer_port.or(file.explorer_port),
            cookie_file: args.cookie_file.clone().or_else(|| file.cookie_file.clone()),
            seed: args.seed.or(file.seed),
            byzantine: args.byzantine,
            start,
        })
    }
}

/// Settings of `tine devnet`, resolved.
#[derive(Debug, Clone)]
pub struct DevnetSettings {
    /// How many nodes.
    pub nodes: u32,
    /// For repeatable runs.
    pub seed: Option<u64>,
    /// The first RPC port.
    pub base_port: u16,
    /// The port of the page.
    pub explorer_port: u16,
    /// Hashes a second of all miners together.
    pub hashrate: HashRate,
    /// Mine.
    pub mine: bool,
    /// Which nodes misbehave, and how.
    pub byzantine: BTreeMap<String, Strategy>,
    /// What every node is told.
    pub start: StartSettings,
}

impl DevnetSettings {
    /// Lays the flags over the file over the defaults.
    ///
    /// # Errors
    /// Ports beyond 65,535.
    pub fn resolve(args: &DevnetArgs, file: &File) -> Result<Self, Error> {
        let file = &file.for_devnet();
        let nodes = args.nodes.or(file.nodes).unwrap_or(DEFAULT_NODES);
        let base_port = args.base_port.or(file.base_port).unwrap_or(DEFAULT_RPC_PORT);
        if u32::from(base_port) + 10 * nodes > 65_535 {
            return Err(Error::Usage(format!(
                "--base-port {base_port}: {nodes} nodes need ports up to {}",
                u32::from(base_port) + 10 * (nodes - 1) + u32::from(PORT_OFFSET)
            )));
        }
        let start = StartSettings::resolve(&args.start, file)?;
        if let Some(GrpcAt::On { port: Some(port), .. }) = start.grpc {
            return Err(Error::Usage(format!(
                "--grpc {port}: each node of a devnet has a port of its own, its RPC port + {PORT_OFFSET}; give the \
                 address alone, or --base-port"
            )));
        }
        let beside = if base_port == DEFAULT_RPC_PORT {
            DEFAULT_EXPLORER_PORT
        } else {
            base_port.saturating_sub(1).max(1)
        };
        Ok(Self {
            nodes,
            seed: args.seed.or(file.seed),
            base_port,
            explorer_port: args.explorer_port.or(file.explorer_port).unwrap_or(beside),
            hashrate: args.hashrate.or(file.hashrate).unwrap_or(DEFAULT_DEVNET_HASHRATE),
            mine: !args.no_mine && file.mine.unwrap_or(true),
            byzantine: byzantine_nodes(&args.byzantine, nodes)?,
            start,
        })
    }
}

/// `NAME=ADVERSARY` for each node that misbehaves.
fn byzantine_nodes(args: &[ByzantineNode], nodes: u32) -> Result<BTreeMap<String, Strategy>, Error> {
    let names: Vec<String> = (0..nodes).map(crate::devnet::name_of).collect();
    let mut byzantine = BTreeMap::new();
    for ByzantineNode { name, strategy } in args {
        let refuse = |why: &str| Err(Error::Usage(format!("--byzantine {name}={strategy}: {why}")));
        if !names.contains(name) {
            return refuse(&format!("no node is called so; there are {}", names.join(", ")));
        }
        if byzantine.insert(name.clone(), *strategy).is_some() {
            return refuse("the node is named twice");
        }
    }
    Ok(byzantine)
}

/// A list from the command line hides the one from the file.
fn either(flag: &[String], file: &[String]) -> Vec<String> {
    if flag.is_empty() { file.to_vec() } else { flag.to_vec() }
}

#[cfg(test)]
mod tests;
