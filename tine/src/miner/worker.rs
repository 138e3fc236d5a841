//! What a miner's thread does, and the search on all processors.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tine_chain::mining::Scanner;
use tine_node::mempool::Mempool;
use tine_node::template::Template;
use tokio::sync::oneshot::error::TryRecvError;

use super::bucket::Bucket;
use super::{Job, Shared};
use crate::driver::{self, AskedTemplate};
use crate::view::View;

/// How long a template is kept although the mempool has changed.
const MEMPOOL_PATIENCE: Duration = Duration::from_millis(250);
/// The longest nap: a new tip is noticed after it.
const NAP: Duration = Duration::from_millis(5);
/// The nap of a miner that is paused.
const PAUSE_NAP: Duration = Duration::from_millis(100);
/// Hashes of one thread between two looks at the others.
const CHUNK: u32 = 20_000;
/// Hashes tried before it is worth starting threads.
const ALONE: u32 = 5_000;

struct Worker<'a> {
    shared: &'a Shared,
    job: Option<Job>,
    asked: Option<AskedTemplate>,
    asked_at: Instant,
    /// The mempool that the last template was asked for with.
    mempool: Option<Arc<Mempool>>,
}

/// Mines until the miner is dropped or the node stops.
pub(super) fn run(shared: &Shared, threads: u32) {
    let mut worker = Worker { shared, job: None, asked: None, asked_at: Instant::now(), mempool: None };
    let mut bucket = Bucket::new(Instant::now());
    while !shared.stop.load(Ordering::Relaxed) && !shared.node.is_stopped() {
        let view = shared.node.view();
        // what is mined while catching up is stale before it is found
        if !shared.mining.load(Ordering::Relaxed) || view.syncing {
            worker.forget();
            bucket = Bucket::new(Instant::now());
            shared.rest(PAUSE_NAP);
            continue;
        }
        if worker.prepare(&view).is_none() {
            continue;
        }
        let rate = shared.rate.load(Ordering::Relaxed);
        let share = if rate == 0 { 0 } else { (rate / u64::from(threads)).max(1) };
        match bucket.take(share, Instant::now()) {
            Ok(batch) => worker.search(batch),
            Err(wait) => shared.rest(wait.min(NAP)),
        }
    }
}

impl Worker<'_> {
    fn forget(&mut self) {
        self.job = None;
        self.asked = None;
    }

    /// Sees to it that there is a job on the block that `view` says is mined on; `None`: not yet.
    fn prepare(&mut self, view: &View) -> Option<()> {
        self.collect();
        let usable = |job: &Job| {
            job.template.block.header.prev_block == view.mining_parent && job.next <= u64::from(u32::MAX)
        };
        let usable = self.job.as_ref().is_some_and(usable);
        let same_mempool = self.mempool.as_ref().is_some_and(|mempool| Arc::ptr_eq(mempool, &view.mempool));
        let fresh = same_mempool || self.asked_at.elapsed() < MEMPOOL_PATIENCE;
        if self.asked.is_none() && !(usable && fresh) {
            self.mempool = Some(Arc::clone(&view.mempool));
            self.ask();
        }
        if !usable {
            self.wait();
            return None;
        }
        Some(())
    }

    fn ask(&mut self) {
        let spec = self.shared.coinbase(self.shared.lock);
        self.asked_at = Instant::now();
        self.asked = self.shared.node.ask_template(spec).ok();
    }

    /// Takes a template that has arrived.
    fn collect(&mut self) {
        let Some(asked) = &mut self.asked else { return };
        match asked.try_recv() {
            Ok(answer) => self.take(answer.ok()),
            Err(TryRecvError::Empty) => {}
            Err(TryRecvError::Closed) => self.take(None),
        }
    }

    /// Waits for the template that was asked for: there is nothing better to do.
    fn wait(&mut self) {
        let Some(asked) = self.asked.take() else { return self.shared.rest(NAP) };
        let answer = asked.blocking_recv().ok().and_then(Result::ok);
        self.take(answer);
    }

    fn take(&mut self, template: Option<Template>) {
        self.asked = None;
        self.job =
            template.map(|template| Job { scanner: Scanner::new(&template.block.header), template, next: 0 });
        if self.job.is_none() {
            self.shared.rest(NAP);
        }
    }

    /// Tries `batch` nonces, and submits a block that is found.
    fn search(&mut self, batch: u32) {
        let Some(job) = &mut self.job else { return };
        job.refresh_time();
        let first = u32::try_from(job.next).expect("`prepare` gives no job that is used up");
        let last = first.saturating_add(batch - 1);
        let found = job.scanner.scan(job.template.target, first..=last);
        job.next = u64::from(last) + 1;
        self.shared.hashes.fetch_add(u64::from(found.unwrap_or(last) - first) + 1, Ordering::Relaxed);
        self.shared.meter();
        if let Some(nonce) = found {
            let block = self.job.take().expect("it was searched").template.block;
            let hash = {
                let mut header = block.header;
                header.nonce = nonce;
                header.hash()
            };
            match self.shared.submit(block, nonce) {
                Ok(Ok(_)) => tracing::debug!(%hash, "block mined"),
                Ok(Err(reject)) => {
                    tracing::warn!(%hash, reason = reject.reason(), "our own block was refused")
                }
                Err(driver::Stopped) => {}
            }
        }
    }
}

impl Job {
    /// Moves the header's time on to now, never back: blocks should say when they were found.
    fn refresh_time(&mut self) {
        let now = u32::try_from(driver::now().as_secs()).unwrap_or(u32::MAX);
        let header = &mut self.template.block.header;
        if now > header.time {
            header.time = now;
            self.scanner = Scanner::new(header);
            self.next = 0;
        }
    }
}

/// Tries every nonce, on all processors, until one is found or `stale` says that it is in vain. The header keeps its
/// time, so that the nonce belongs to the template as it is.
pub(super) fn scan_all_cores(
    template: &Template,
    hashes: &AtomicU64,
    stale: &(dyn Fn() -> bool + Sync),
) -> Option<u32> {
    let scanner = Scanner::new(&template.block.header);
    if let Some(nonce) = scanner.scan(template.target, 0..=ALONE) {
        hashes.fetch_add(u64::from(nonce) + 1, Ordering::Relaxed);
        return Some(nonce);
    }
    let next = AtomicU32::new(ALONE + 1);
    let (found_in, found) = std::sync::mpsc::sync_channel(1);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                while let Ok(first) =
                    next.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |first| first.checked_add(CHUNK))
                {
                    let nonce = scanner.scan(template.target, first..=first + (CHUNK - 1));
                    hashes.fetch_add(u64::from(CHUNK), Ordering::Relaxed);
                    if let Some(nonce) = nonce {
                        // a second finder's nonce is not needed
                        let _ = found_in.try_send(nonce);
                    }
                    if nonce.is_some() || stale() {
                        // the others stop at their next look
                        next.store(u32::MAX, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    found.try_recv().ok()
}
