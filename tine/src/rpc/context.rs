//! What methods answer from: the published picture, bodies on disk, and handles on those who can do something.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tine_chain::address::Address;
use tine_chain::block::Block;
use tine_chain::coins::Undo;
use tine_chain::hash::{BlockHash, Lock};
use tine_chain::params::{Network as Chain, Params};
use tine_chain::store::{BlockReader, StoreError};
use tine_p2p::Network;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::addresses::AddressIndex;
use super::blockchain::body_missing;
use super::error::{Code, RpcError};
use super::getwork::Outstanding;
use super::stats::TxTotals;
use crate::driver::{NodeHandle, Stopped};
use crate::fleet::{Fleet, Steward};
use crate::mempool_file::MempoolFiles;
use crate::metrics::CallMetrics;
use crate::miner::MinerHandle;
use crate::view::{BlockInfo, View};
use crate::wallets::WalletService;
use crate::web::feed::Feed;

impl From<Stopped> for RpcError {
    fn from(_: Stopped) -> Self {
        Self::stopping()
    }
}

/// Everything that a node's RPC server needs. Fields that a node does not have are `None`, and methods say so.
pub struct Context {
    /// The node's name, as the devnet calls it.
    pub name: String,
    /// The node's thread, and what it publishes.
    pub node: NodeHandle,
    /// The node's network.
    pub network: Option<Network>,
    /// The node's miner.
    pub miner: Option<MinerHandle>,
    /// The node's wallets.
    pub wallets: Option<Arc<WalletService>>,
    /// Whom mining pays when neither the caller nor the miner says.
    pub mining_lock: Option<Lock>,
    /// The network's directory, whose size is shown.
    pub dir: Option<PathBuf>,
    /// Who stops and starts the nodes of this process.
    pub steward: Option<Steward>,
    /// What keeps the mempool across a restart.
    pub mempool_files: Option<Arc<MempoolFiles>>,
    /// Base units for 1,000 bytes below which nothing is relayed.
    pub min_relay_fee_rate: u64,
    started: Instant,
    stop: watch::Sender<bool>,
    templates: AtomicU64,
    calls: AtomicU64,
    running: Mutex<BTreeMap<u64, (&'static str, Instant)>>,
    tx_totals: Mutex<TxTotals>,
    addresses: Mutex<AddressIndex>,
    outstanding: Mutex<Outstanding>,
    feed: Mutex<Option<RunningFeed>>,
    call_metrics: CallMetrics,
}

/// A call that runs.
#[derive(Debug)]
pub(crate) struct Running {
    context: Arc<Context>,
    number: u64,
}

impl Drop for Running {
    fn drop(&mut self) {
        let ended = self.context.running().remove(&self.number);
        if let Some((method, since)) = ended {
            self.context.call_metrics.ended(method, since.elapsed());
        }
    }
}

impl std::fmt::Debug for Context {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Context").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Context {
    /// A context with a node and nothing else; set what there is.
    #[must_use]
    pub fn new(name: impl Into<String>, node: NodeHandle) -> Self {
        // extranonces must differ between two runs of one second, too
        let mut seed = [0; 8];
        getrandom::fill(&mut seed).expect("the system gives random bytes");
        Self {
            name: name.into(),
            node,
            network: None,
            miner: None,
            wallets: None,
            mining_lock: None,
            dir: None,
            steward: None,
            mempool_files: None,
            min_relay_fee_rate: 1_000,
            started: Instant::now(),
            stop: watch::Sender::new(false),
            templates: AtomicU64::new(u64::from_le_bytes(seed)),
            calls: AtomicU64::new(0),
            running: Mutex::default(),
            tx_totals: Mutex::default(),
            addresses: Mutex::default(),
            outstanding: Mutex::default(),
            feed: Mutex::default(),
            call_metrics: CallMetrics::default(),
        }
    }

    /// Becomes true when a caller asks the node to stop, or when [`Context::request_stop`] is called.
    #[must_use]
    pub fn stop_requested(&self) -> watch::Receiver<bool> {
        self.stop.subscribe()
    }

    /// Ends all waiting calls, and asks whoever runs the node to stop it.
    pub fn request_stop(&self) {
        self.stop.send_replace(true);
        if let Some((_, listener)) = lock(&self.feed).take() {
            listener.abort();
        }
    }

    /// What happens on this node, numbered and kept for a while; from the first time that somebody asks on. Must be
    /// called within a tokio runtime.
    pub(crate) fn feed(self: &Arc<Self>) -> Arc<Feed> {
        let mut feed = lock(&self.feed);
        let (feed, _) = feed.get_or_insert_with(|| Feed::start(Fleet::of(std::slice::from_ref(self))));
        Arc::clone(feed)
    }

    /// How many transactions the chain has up to each height, as far as somebody has asked.
    pub(crate) fn tx_totals(&self) -> MutexGuard<'_, TxTotals> {
        lock(&self.tx_totals)
    }

    /// What each address has, as far as somebody has asked.
    pub(crate) fn addresses(&self) -> MutexGuard<'_, AddressIndex> {
        lock(&self.addresses)
    }

    /// How RPC is used.
    pub(crate) fn call_metrics(&self) -> &CallMetrics {
        &self.call_metrics
    }

    /// The blocks that `getwork` has handed out.
    pub(crate) fn outstanding(&self) -> MutexGuard<'_, Outstanding> {
        lock(&self.outstanding)
    }

    /// The last picture.
    pub(crate) fn view(&self) -> Arc<View> {
        self.node.view()
    }

    /// The constants of the node's network.
    pub(crate) fn params(&self) -> &Params {
        self.node.params()
    }

    pub(crate) fn reader(&self) -> &Arc<dyn BlockReader> {
        self.node.reader()
    }

    pub(crate) fn uptime(&self) -> Duration {
        self.started.elapsed()
    }

    /// "`initialblockdownload` is false from genesis on regtest and devnet (many tools wait for it for ever)".
    pub(crate) fn is_initial_download(&self, view: &View) -> bool {
        match view.network {
            Chain::Main | Chain::Bitcoin => view.syncing,
            Chain::Devnet | Chain::Regtest => false,
        }
    }

    /// A block's body.
    pub(crate) fn read_block(&self, info: &BlockInfo) -> Result<Arc<Block>, RpcError> {
        if info.height == 0 {
            return Ok(self.params().genesis_block());
        }
        self.reader().block(&info.hash)?.ok_or_else(|| body_missing(info))
    }

    /// What a block spent, if it was ever connected.
    pub(crate) fn read_undo(&self, hash: &BlockHash) -> Result<Option<Undo>, StoreError> {
        self.reader().undo(hash)
    }

    /// How many transactions a block has; 0 when only its header is known, as in Core.
    pub(crate) fn transaction_count(&self, info: &BlockInfo) -> Result<usize, RpcError> {
        if info.height == 0 {
            return Ok(1);
        }
        Ok(self.reader().block(&info.hash)?.map_or(0, |block| block.transactions.len()))
    }

    /// The address of a lock on this network.
    pub(crate) fn address(&self, lock: &Lock) -> String {
        Address { network: self.params().network, lock: *lock }.to_string()
    }

    /// Reads an address of this network.
    pub(crate) fn parse_address(&self, text: &str) -> Result<Address, RpcError> {
        let refuse = |reason: &dyn std::fmt::Display| {
            RpcError::new(Code::NotFound, format!("Invalid address {text:?}: {reason}"))
        };
        let address = Address::parse(text).map_err(|error| refuse(&error))?;
        let ours = self.params().network;
        if address.network != ours {
            let theirs = address.network.name();
            return Err(refuse(&format!("it is of network {theirs}, this node is on {}", ours.name())));
        }
        Ok(address)
    }

    /// Bytes of everything in the network's directory.
    pub(crate) fn size_on_disk(&self) -> u64 {
        self.dir.as_deref().map_or(0, directory_size)
    }

    /// Counts a call as running until the value is dropped.
    pub(crate) fn begin(self: &Arc<Self>, method: &'static str) -> Running {
        let number = self.calls.fetch_add(1, Ordering::Relaxed);
        self.running().insert(number, (method, Instant::now()));
        Running { context: Arc::clone(self), number }
    }

    /// The calls that run now, in the order in which they began: method and time so far.
    pub(crate) fn running_calls(&self) -> Vec<(&'static str, Duration)> {
        self.running().values().map(|(method, since)| (*method, since.elapsed())).collect()
    }

    fn running(&self) -> MutexGuard<'_, BTreeMap<u64, (&'static str, Instant)>> {
        lock(&self.running)
    }

    /// The first of `count` numbers in a row that no other template of this process has, and most likely none of another.
    pub(crate) fn reserve_extranonces(&self, count: u64) -> u64 {
        self.templates.fetch_add(count, Ordering::Relaxed)
    }
}

/// The feed and the task that fills it.
type RunningFeed = (Arc<Feed>, JoinHandle<()>);

/// None of what is locked here is left half done by a panic.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Files that vanish meanwhile count nothing.
fn directory_size(dir: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(dir) else { return 0 };
    (entries.flatten())
        .map(|entry| match entry.metadata() {
            Ok(found) if found.is_dir() => directory_size(&entry.path()),
            Ok(found) => found.len(),
            Err(_) => 0,
        })
        .sum()
}
