//! A whole node: store, chain, node, network, driver, wallets, miner, RPC, put together in the order in which they need
//! each other, and taken apart in the reverse.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tine_chain::address::Address;
use tine_chain::chain::{Chain, ChainOptions};
use tine_chain::hash::Lock;
use tine_chain::params::{Network as Chains, Params};
use tine_chain::store::StoreError;
use tine_chain::store::{SledOptions, SledStore};
use tine_node::{Node, NodeConfig, Participant, Strategy};
use tine_p2p::{Config as P2pConfig, Identity, Network};
use tokio::sync::watch;

use crate::config::StartSettings;
use crate::dirs;
use crate::driver::{Driver, NodeHandle};
use crate::exit::Error;
use crate::fleet::Steward;
use crate::hashrate::HashRate;
use crate::mempool_file::{MempoolFiles, MempoolKeeper};
use crate::miner::{Miner, MinerHandle, MinerOptions};
use crate::roster::{Entry, Listed};
use crate::rpc::grpc::{GrpcConfig, GrpcServer};
use crate::rpc::{Context, Server, ServerConfig};
use crate::wallets::{WalletService, WalletThread};

/// The key that a node is known by on the network.
const IDENTITY_FILE: &str = "identity.key";
/// Peers and bans, remembered.
const PEERS_FILE: &str = "peers.json";

/// What a node is started with.
#[derive(Debug, Clone)]
pub struct Options {
    /// Its name; also what its coinbases say.
    pub name: String,
    /// The wallet that is meant when none is named, and that mining pays.
    pub own_wallet: String,
    /// Its place in a devnet, from 0.
    pub place: u32,
    /// Which chain.
    pub network: Chains,
    /// Where it keeps everything.
    pub dir: PathBuf,
    /// For repeatable identities and choices.
    pub seed: Option<u64>,
    /// Where peers reach it.
    pub listen: Vec<String>,
    /// Peers to start from.
    pub connect: Vec<String>,
    /// Talk to nobody else.
    pub connect_only: bool,
    /// Look for peers on the local network.
    pub mdns: bool,
    /// Look for peers by asking peers.
    pub kademlia: bool,
    /// Mine at once.
    pub mine: bool,
    /// Whether it is an error that nobody is there to be paid.
    pub needs_payee: bool,
    /// The miner's budget; `None`: no limit.
    pub hashrate: Option<HashRate>,
    /// Threads that mine.
    pub miner_threads: u32,
    /// The address that mining pays; `None`: the node's own wallet.
    pub mine_to: Option<String>,
    /// Development wallets to have.
    pub dev_wallets: Vec<&'static str>,
    /// The port of JSON-RPC and REST; 0 takes a free one.
    pub rpc_port: u16,
    /// Where gRPC is; `None`: nowhere.
    pub grpc: Option<SocketAddr>,
    /// The port of the page.
    pub explorer_port: Option<u16>,
    /// The cookie's file; `None`: `.cookie` in the directory.
    pub cookie_file: Option<PathBuf>,
    /// How it misbehaves; `None`: not at all.
    pub byzantine: Option<Strategy>,
    /// What every node is told.
    pub start: StartSettings,
    /// Who stops and starts it while others of its process go on; `None`: nobody.
    pub steward: Option<Steward>,
}

/// A node that runs.
pub struct FullNode {
    /// Its name.
    pub name: String,
    /// Its thread, and what it publishes.
    pub node: NodeHandle,
    /// Its network.
    pub p2p: Network,
    /// Its miner, if anybody can be paid.
    pub miner: Option<MinerHandle>,
    /// Its wallets.
    pub wallets: Arc<WalletService>,
    /// Where it answers JSON-RPC.
    pub rpc: SocketAddr,
    /// What it says of itself to commands.
    pub entry: Entry,
    context: Arc<Context>,
    server: Server,
    grpc: Option<GrpcServer>,
    miner_threads: Option<Miner>,
    wallet_thread: WalletThread,
    mempool_keeper: Option<MempoolKeeper>,
    driver: Driver,
    listed: Listed,
}

impl std::fmt::Debug for FullNode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FullNode").field("name", &self.name).field("rpc", &self.rpc).finish_non_exhaustive()
    }
}

impl FullNode {
    /// Starts everything. When this returns, the node answers; it may still be catching up.
    ///
    /// # Errors
    /// Which part did not start, and why.
    pub async fn start(options: Options) -> Result<Self, Error> {
        dirs::create_private(&options.dir).map_err(|error| {
            Error::Failed(format!("{}: {error}; choose another directory with --dir", options.dir.display()))
        })?;
        let params = Params::of(options.network);
        let chain = open_chain(&options, &params).await?;
        let mut config = NodeConfig::new(params.clone());
        config.seed = seed_of(&options);
        config.mempool.max_usage = options.start.max_mempool_bytes as u64;
        config.mempool.full_rbf = options.start.full_rbf;
        config.mempool.expiry = options.start.mempool_expiry;
        let node = Node::new(chain, config);
        let (p2p, incoming) = tine_p2p::start(p2p_config(&options, &params))
            .await
            .map_err(|error| p2p_failed(&options, &error))?;
        let participant = match options.byzantine {
            Some(strategy) => Participant::byzantine(node, strategy),
            None => Participant::honest(node),
        };
        let (handle, driver) = Driver::start(&options.name, participant, Some((p2p.clone(), incoming)))
            .map_err(|error| Error::failed("the node's thread", error))?;
        Self::start_services(options, handle, driver, p2p).await
    }

    async fn start_services(
        options: Options,
        handle: NodeHandle,
        driver: Driver,
        p2p: Network,
    ) -> Result<Self, Error> {
        let (wallets, wallet_thread) = open_wallets(&options, &handle).await?;
        let lock = mining_lock(&options, &wallets)?;
        let miner = lock.map(|lock| start_miner(&options, &handle, lock)).transpose()?;
        let mut context = context(&options, &handle, &p2p, &wallets, miner.as_ref(), lock);
        let mempool_keeper = match options.start.persist_mempool {
            true => {
                let files = MempoolFiles::new(options.dir.clone());
                context.mempool_files = Some(Arc::clone(&files));
                let keeper = MempoolKeeper::start(files, handle.clone());
                Some(keeper.map_err(|error| Error::failed("the mempool's thread", error))?)
            }
            false => None,
        };
        let context = Arc::new(context);
        let server = start_server(&options, &context).await?;
        let rpc = server.address();
        let grpc = match options.grpc {
            Some(bind) => Some(start_grpc(&options, bind, &server, &context).await?),
            None => None,
        };
        let entry = entry(&options, &p2p, rpc, grpc.as_ref().map(GrpcServer::address));
        let listed = entry.list(&options.dir).map_err(|error| Error::failed(options.dir.display(), error))?;
        Ok(Self {
            name: options.name,
            node: handle,
            p2p,
            miner: miner.as_ref().map(Miner::handle),
            wallets,
            rpc,
            entry,
            context,
            server,
            grpc,
            miner_threads: miner,
            wallet_thread,
            mempool_keeper,
            driver,
            listed,
        })
    }

    /// Becomes true when a caller of RPC asks the node to stop.
    #[must_use]
    pub fn stop_requested(&self) -> watch::Receiver<bool> {
        self.context.stop_requested()
    }

    /// What RPC answers from; for the page.
    #[must_use]
    pub fn context(&self) -> &Arc<Context> {
        &self.context
    }

    /// Stops everything and writes out what must not be lost.
    ///
    /// # Errors
    /// Storage failed, now or before.
    pub async fn stop(self) -> Result<(), Error> {
        drop(self.listed);
        self.context.request_stop();
        let (server, miner, wallet_thread, driver) =
            (self.server, self.miner_threads, self.wallet_thread, self.driver);
        if let Some(grpc) = self.grpc {
            grpc.stop().await;
        }
        server.stop().await;
        // threads are waited for where waiting harms nobody
        let threads =
            |work: Box<dyn FnOnce() -> Result<(), StoreError> + Send>| tokio::task::spawn_blocking(work);
        let failed = |error: &dyn std::fmt::Display| Error::failed(&self.name, error);
        threads(Box::new(move || {
            drop(miner);
            Ok(())
        }))
        .await
        .map_err(|error| failed(&error))?
        .map_err(|error| failed(&error))?;
        self.p2p.shutdown().await;
        if let Some(keeper) = self.mempool_keeper {
            threads(Box::new(move || {
                keeper.stop();
                Ok(())
            }))
            .await
            .map_err(|error| failed(&error))?
            .map_err(|error| failed(&error))?;
        }
        self.node.stop().await;
        let end = move || {
            let result = driver.join();
            wallet_thread.join();
            result
        };
        threads(Box::new(end)).await.map_err(|error| failed(&error))?.map_err(|error| failed(&error))
    }
}

/// Opens (or rebuilds) the store and the chain on it; this reads files and may take a while.
async fn open_chain(options: &Options, params: &Params) -> Result<Chain, Error> {
    let (dir, params, reindex) = (options.dir.clone(), params.clone(), options.start.reindex);
    let sled = SledOptions {
        cache_bytes: options.start.cache_bytes,
        on_stage: Some(Arc::new(|stage| {
            tracing::trace!(target: "tine::store", "{stage:?}");
            Ok(())
        })),
        ..SledOptions::default()
    };
    // a deep reorganisation nets more coins in memory than the store keeps, so that less goes to disk
    let chain = ChainOptions { overlay_bytes: 4 * options.start.cache_bytes, ..ChainOptions::default() };
    let open = move || -> Result<Chain, StoreError> {
        let store = if reindex {
            SledStore::reindex(&dir, &params, sled)?
        } else {
            SledStore::open(&dir, &params, sled)?
        };
        Chain::open(params, Box::new(store), chain)
    };
    let opened =
        tokio::task::spawn_blocking(open).await.map_err(|error| Error::failed("opening the chain", error))?;
    opened.map_err(|error| {
        let mut text = format!("{}: {error}", options.name);
        if matches!(error, StoreError::Locked { .. }) {
            text.push_str(
                ": it runs already, see `tine net show`; stop it, or choose another directory with --dir",
            );
        }
        Error::Failed(text)
    })
}

/// The devnet's nodes differ in everything that their seeds decide.
fn seed_of(options: &Options) -> u64 {
    let base = options.seed.unwrap_or_else(rand::random);
    base.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(u64::from(options.place))
}

fn p2p_config(options: &Options, params: &Params) -> P2pConfig {
    let identity = match options.seed {
        None => Identity::File(options.dir.join(IDENTITY_FILE)),
        Some(seed) => {
            let text = format!("tine devnet identity {seed} {}", options.name);
            Identity::Seed(tine_chain::hash::sha256(text.as_bytes()))
        }
    };
    let mut config = P2pConfig::new(params.genesis.hash(), identity);
    config.listen = options.listen.clone();
    config.connect = options.connect.clone();
    config.connect_only = options.connect_only;
    config.mdns = options.mdns;
    config.kademlia = options.kademlia;
    config.peers_file = Some(options.dir.join(PEERS_FILE));
    config
}

fn p2p_failed(options: &Options, error: &tine_p2p::Error) -> Error {
    let mut text = format!("{}: {error}", options.name);
    if matches!(error, tine_p2p::Error::Listen { .. }) {
        text.push_str("; choose another with --listen");
    }
    match error {
        tine_p2p::Error::BadAddress { .. } => Error::Usage(text),
        tine_p2p::Error::BadIdentity(_)
        | tine_p2p::Error::Listen { .. }
        | tine_p2p::Error::IdentityFile { .. }
        | tine_p2p::Error::Setup { .. }
        | tine_p2p::Error::Dial { .. }
        | tine_p2p::Error::Stopped => Error::Failed(text),
    }
}

async fn open_wallets(
    options: &Options,
    handle: &NodeHandle,
) -> Result<(Arc<WalletService>, WalletThread), Error> {
    let (handle, dir) = (handle.clone(), options.dir.join("wallets"));
    let (own, dev) = (options.own_wallet.clone(), options.dev_wallets.clone());
    let start = move || WalletService::start(handle, &dir, &own, &dev);
    let started =
        tokio::task::spawn_blocking(start).await.map_err(|error| Error::failed("wallets", error))?;
    started.map_err(|error| Error::failed(format!("{}: wallets", options.name), error))
}

/// Whom mining pays: the address given, or the node's own wallet. `None`: nobody, so the node can't mine.
fn mining_lock(options: &Options, wallets: &WalletService) -> Result<Option<Lock>, Error> {
    let Some(text) = &options.mine_to else {
        return match wallets.first_lock(None) {
            Ok(lock) => Ok(Some(lock)),
            Err(error) if options.needs_payee => Err(Error::Usage(format!(
                "--mine needs somebody to pay: {error}. Give --mine-to ADDRESS, or start without --mine and make a \
                     wallet first (`tine wallet new {}`)",
                options.own_wallet
            ))),
            Err(_) => Ok(None),
        };
    };
    let address =
        Address::parse(text).map_err(|error| Error::Usage(format!("--mine-to {text:?}: {error}")))?;
    if address.network != options.network {
        return Err(Error::Usage(format!("--mine-to {text:?}: an address of another network")));
    }
    Ok(Some(address.lock))
}

fn start_miner(options: &Options, handle: &NodeHandle, lock: Lock) -> Result<Miner, Error> {
    let miner = MinerOptions {
        mining: options.mine,
        rate: options.hashrate,
        threads: options.miner_threads,
        lock,
        tag: options.name.clone(),
    };
    Miner::start(handle.clone(), miner).map_err(|error| Error::failed("the miner's threads", error))
}

fn context(
    options: &Options,
    handle: &NodeHandle,
    p2p: &Network,
    wallets: &Arc<WalletService>,
    miner: Option<&Miner>,
    lock: Option<Lock>,
) -> Context {
    let mut context = Context::new(options.name.clone(), handle.clone());
    context.network = Some(p2p.clone());
    context.wallets = Some(Arc::clone(wallets));
    context.miner = miner.map(Miner::handle);
    context.mining_lock = lock;
    context.dir = Some(options.dir.clone());
    context.steward = options.steward.clone();
    context
}

async fn start_server(options: &Options, context: &Arc<Context>) -> Result<Server, Error> {
    let mut config = ServerConfig::new(options.rpc_port);
    config.bind.set_ip(options.start.rpc_bind);
    config.allow_remote = !options.start.rpc_bind.is_loopback();
    config.allow_hosts = options.start.rpc_allow_host.clone();
    config.cookie = Some(cookie_path(options));
    config.whitelists = options.start.rpc_whitelist.clone();
    config.metrics = options.start.metrics;
    config.users = options.start.rpc_auth.iter().map(|secret| secret.expose().to_owned()).collect();
    let bind = config.bind;
    if config.allow_remote {
        tracing::warn!(%bind, "RPC is open to other machines, and not encrypted: who has the password drives this node");
    }
    Server::start(config, Arc::clone(context)).await.map_err(|error| {
        Error::Failed(format!(
            "{}: RPC on {bind}: {error}; choose another port with --rpc-port",
            options.name
        ))
    })
}

async fn start_grpc(
    options: &Options,
    bind: SocketAddr,
    server: &Server,
    context: &Arc<Context>,
) -> Result<GrpcServer, Error> {
    let mut config = GrpcConfig::new(bind);
    config.allow_remote = !bind.ip().is_loopback();
    config.allow_hosts = options.start.rpc_allow_host.clone();
    if config.allow_remote {
        tracing::warn!(%bind, "gRPC is open to other machines, and not encrypted: who has the password drives this node");
    }
    GrpcServer::start(config, server, Arc::clone(context)).await.map_err(|error| {
        Error::Failed(format!("{}: gRPC on {bind}: {error}; choose another port with --grpc", options.name))
    })
}

fn cookie_path(options: &Options) -> PathBuf {
    options.cookie_file.clone().unwrap_or_else(|| options.dir.join(".cookie"))
}

/// `host:port` for whoever reads this on this machine.
fn reachable(address: SocketAddr) -> String {
    let port = address.port();
    if address.ip().is_unspecified() { format!("127.0.0.1:{port}") } else { address.to_string() }
}

fn entry(options: &Options, p2p: &Network, rpc: SocketAddr, grpc: Option<SocketAddr>) -> Entry {
    Entry {
        name: options.name.clone(),
        place: options.place,
        network: options.network,
        pid: std::process::id(),
        identity: p2p.identity().to_owned(),
        rpc: format!("http://{}/", reachable(rpc)),
        grpc: grpc.map(reachable),
        cookie: absolute(&cookie_path(options)),
        listen: p2p.listen_addresses(),
        explorer: options.explorer_port.map(|port| format!("http://127.0.0.1:{port}/")),
    }
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}
