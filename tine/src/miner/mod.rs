//! The miner: real proof of work on its own threads.
//!
//! It follows the node's picture: a new tip makes it ask for a new template within milliseconds, a changed mempool
//! within a quarter of a second. A budget of hashes a second keeps a laptop cool and makes shares of power a choice.

mod bucket;
mod worker;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tine_chain::address::Address;
use tine_chain::block::Block;
use tine_chain::hash::{BlockHash, Lock};
use tine_chain::mining::Scanner;
use tine_chain::params::Network;
use tine_chain::reject::Reject;
use tine_node::event::{Accepted, Submission};
use tine_node::template::{CoinbaseSpec, Template};

use crate::driver::{NodeHandle, Stopped};
use crate::hashrate::HashRate;
use crate::methods::MinerStatus;

/// The longest tag, in bytes: with the extra nonce it stays below the 100 bytes that a coinbase may have.
const MAX_TAG: usize = 64;
/// Blocks that one call may ask for.
pub const MAX_MINE: u32 = 1_000;
/// The measured rate is over this span.
const METER_SPAN: Duration = Duration::from_secs(10);

/// How a miner starts.
#[derive(Debug, Clone)]
pub struct MinerOptions {
    /// Whether it mines at once.
    pub mining: bool,
    /// Its budget; `None`: as much as its threads can.
    pub rate: Option<HashRate>,
    /// Threads, at least 1; the budget is shared among them.
    pub threads: u32,
    /// Who is paid.
    pub lock: Lock,
    /// What its coinbases say, `/tag/`.
    pub tag: String,
}

/// Why `mine` mined no block.
#[derive(Debug, thiserror::Error)]
pub enum MineError {
    /// The node refused a block that it had made the template of.
    #[error("the node refused the block that was mined: {0}")]
    Rejected(Reject),
    /// There is no template.
    #[error("no template: {0}")]
    NoTemplate(String),
    /// The node's thread has ended.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

/// What worker threads and handles share.
struct Shared {
    node: NodeHandle,
    mining: AtomicBool,
    /// Hashes a second of all threads; 0: no limit.
    rate: AtomicU64,
    stop: AtomicBool,
    hashes: AtomicU64,
    blocks: AtomicU64,
    extra_nonce: AtomicU64,
    lock: Lock,
    tag: String,
    meter: Mutex<VecDeque<(Instant, u64)>>,
    wake: (Mutex<()>, Condvar),
}

/// A node's miner. Dropping it stops its threads.
pub struct Miner {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

/// Talks to a miner from any thread. Cheap to clone.
#[derive(Clone)]
pub struct MinerHandle(Arc<Shared>);

impl std::fmt::Debug for MinerHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MinerHandle").field("tag", &self.0.tag).finish_non_exhaustive()
    }
}

impl Miner {
    /// Starts the threads.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start(node: NodeHandle, options: MinerOptions) -> std::io::Result<Self> {
        let mut tag = options.tag;
        tag.retain(|c| c.is_ascii_graphic() && c != '/');
        tag.truncate(MAX_TAG);
        let shared = Arc::new(Shared {
            node,
            mining: AtomicBool::new(options.mining),
            rate: AtomicU64::new(options.rate.map_or(0, |rate| rate.0)),
            stop: AtomicBool::new(false),
            hashes: AtomicU64::new(0),
            blocks: AtomicU64::new(0),
            // two runs of one node must not make the same coinbase twice
            extra_nonce: AtomicU64::new(rand::random()),
            lock: options.lock,
            tag,
            meter: Mutex::default(),
            wake: (Mutex::new(()), Condvar::new()),
        });
        let count = options.threads.max(1);
        let mut miner = Self { shared: Arc::clone(&shared), threads: Vec::new() };
        for number in 0..count {
            let shared = Arc::clone(&shared);
            miner.threads.push(
                std::thread::Builder::new()
                    .name(format!("miner {number}"))
                    .spawn(move || worker::run(&shared, count))?,
            );
        }
        Ok(miner)
    }

    /// A handle for others.
    #[must_use]
    pub fn handle(&self) -> MinerHandle {
        MinerHandle(Arc::clone(&self.shared))
    }
}

impl Drop for Miner {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        self.shared.wake();
        for thread in self.threads.drain(..) {
            // a panic in a worker has been reported where it happened
            let _ = thread.join();
        }
    }
}

impl MinerHandle {
    /// Mines (again).
    pub fn resume(&self) {
        self.0.mining.store(true, Ordering::Relaxed);
        self.0.wake();
    }

    /// Stops mining until [`MinerHandle::resume`].
    pub fn pause(&self) {
        self.0.mining.store(false, Ordering::Relaxed);
    }

    /// Changes the budget; `None`: no limit.
    pub fn set_rate(&self, rate: Option<HashRate>) {
        self.0.rate.store(rate.map_or(0, |rate| rate.0), Ordering::Relaxed);
        self.0.wake();
    }

    /// Who is paid.
    #[must_use]
    pub fn lock(&self) -> Lock {
        self.0.lock
    }

    /// What the miner is doing.
    #[must_use]
    pub fn status(&self) -> MinerStatus {
        let shared = &self.0;
        let network: Network = shared.node.params().network;
        MinerStatus {
            mining: shared.mining.load(Ordering::Relaxed),
            budget: Some(shared.rate.load(Ordering::Relaxed)).filter(|&rate| rate > 0),
            hashrate: shared.measured(),
            hashes: shared.hashes.load(Ordering::Relaxed),
            blocks: shared.blocks.load(Ordering::Relaxed),
            address: Address { network, lock: shared.lock }.to_string(),
        }
    }

    /// Mines `count` blocks on the active chain now, at full speed on all processors, whether or not the miner is
    /// paused, and pays `lock` (`None`: who is paid otherwise). Blocks the calling thread.
    ///
    /// # Errors
    /// See [`MineError`]. Blocks mined before the error stay mined.
    pub fn mine_now(&self, count: u32, lock: Option<Lock>) -> Result<Vec<BlockHash>, MineError> {
        let mut mined = Vec::new();
        while mined.len() < count as usize {
            if let Some(hash) = self.mine_one(lock.unwrap_or(self.0.lock))? {
                mined.push(hash);
            }
        }
        Ok(mined)
    }

    /// `None`: somebody else was faster.
    fn mine_one(&self, lock: Lock) -> Result<Option<BlockHash>, MineError> {
        let spec = self.0.coinbase(lock);
        let template =
            self.0.node.template_blocking(spec)?.map_err(|error| MineError::NoTemplate(error.to_string()))?;
        let parent = template.block.header.prev_block;
        let stale = || self.0.stop.load(Ordering::Relaxed) || self.0.node.view().mining_parent != parent;
        let Some(nonce) = worker::scan_all_cores(&template, &self.0.hashes, &stale) else {
            return if self.0.node.is_stopped() { Err(Stopped.into()) } else { Ok(None) };
        };
        match self.0.submit(template.block, nonce)?.map_err(MineError::Rejected)? {
            Accepted::Connected(hash) => Ok(Some(hash)),
            // an adversary's own branch, which need not be the active one
            Accepted::SideBranch(hash) if !self.0.node.view().is_active(&parent) => Ok(Some(hash)),
            Accepted::SideBranch(_)
            | Accepted::Duplicate(_)
            | Accepted::Inconclusive(_)
            | Accepted::Transaction(_) => Ok(None),
        }
    }
}

impl Shared {
    fn wake(&self) {
        self.wake.1.notify_all();
    }

    /// Waits until something may have changed, at most `time`.
    fn rest(&self, time: Duration) {
        let guard = self.wake.0.lock().unwrap_or_else(PoisonError::into_inner);
        drop(self.wake.1.wait_timeout(guard, time));
    }

    /// What the coinbase of the next template says: `/tag/` and a number that no other template has.
    fn coinbase(&self, lock: Lock) -> CoinbaseSpec {
        let mut extra = format!("/{}/", self.tag).into_bytes();
        extra.extend_from_slice(&self.extra_nonce.fetch_add(1, Ordering::Relaxed).to_le_bytes());
        CoinbaseSpec { lock, extra }
    }

    fn submit(&self, mut block: Block, nonce: u32) -> Result<Result<Accepted, Reject>, Stopped> {
        block.header.nonce = nonce;
        let verdict = self.node.submit_blocking(Submission::Block(Arc::new(block)))?;
        if let Ok(Accepted::Connected(_) | Accepted::SideBranch(_)) = verdict {
            self.blocks.fetch_add(1, Ordering::Relaxed);
        }
        Ok(verdict)
    }

    /// Notes the count of hashes, about once a second.
    fn meter(&self) {
        let mut meter = self.meter.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if meter.back().is_some_and(|(last, _)| now.duration_since(*last) < Duration::from_secs(1)) {
            return;
        }
        meter.push_back((now, self.hashes.load(Ordering::Relaxed)));
        while meter.front().is_some_and(|(first, _)| now.duration_since(*first) > METER_SPAN) {
            meter.pop_front();
        }
    }

    fn measured(&self) -> f64 {
        let meter = self.meter.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((since, before)) = meter.front() else { return 0.0 };
        let seconds = since.elapsed().as_secs_f64();
        // a miner that paused long ago has no rate, though its last samples are still here
        if seconds < 0.1 || seconds > 2.0 * METER_SPAN.as_secs_f64() {
            return 0.0;
        }
        (self.hashes.load(Ordering::Relaxed) - before) as f64 / seconds
    }
}

/// The tag of whoever mined a block, as [`Miner`] writes it: `/tag/` at the start of the coinbase's free bytes.
#[must_use]
pub fn miner_tag(block: &Block) -> Option<String> {
    let free = &block.transactions.first()?.witnesses.first()?.0;
    let rest = free.strip_prefix(b"/")?;
    let tag = &rest[..rest.iter().position(|&byte| byte == b'/')?];
    let text = std::str::from_utf8(tag).ok()?;
    (!text.is_empty() && text.len() <= MAX_TAG && text.chars().all(|c| c.is_ascii_graphic()))
        .then(|| text.to_owned())
}

/// A template, being searched.
struct Job {
    template: Template,
    scanner: Scanner,
    /// The next nonce; over `u32::MAX`: all have been tried.
    next: u64,
}
