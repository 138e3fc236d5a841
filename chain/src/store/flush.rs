//! Writing the database: rarely, in small batches, and never what memory has made up for.
//!
//! A flush begins at a commit (its target), and writes every entry that was dirty then, a slice with each later
//! commit. When all are written and durable, the marker moves to the target. A crash in between is harmless: a start
//! replays from the old marker, and setting an entry twice to what the journal says is the same as once.

use std::io;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use super::StoreError;
use super::cache::CoinCache;
use super::device::{Device, DiskHook};
use super::journal_file::Standing;
use super::reader::DiskReader;
use super::sled::{Index, Key, coin_key};
use super::sled_scratch::Scratch;
use super::tally::Tally;
use crate::codec::Encode;
use crate::coin_stats::CoinStats;
use crate::coins::CoinDelta;
use crate::transaction::OutPoint;

/// Entries written with one batch: about 30 ms at sled's 14 µs an entry.
const SLICE: usize = 2_048;

/// A step of the store's work, told before it is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stage {
    /// A commit begins: bodies and undo data are appended.
    Append {
        /// How many blocks leave the active chain.
        disconnected: usize,
        /// How many join it.
        connected: usize,
    },
    /// The block files are synced.
    SyncBlocks,
    /// The commit's record is appended to the journal.
    AppendJournal,
    /// The journal is synced.
    SyncJournal,
    /// The commit is durable: memory follows.
    Committed,
    /// Coins of a reorganisation that are too many for memory go to the scratch.
    Spill {
        /// How many.
        coins: usize,
    },
    /// A slice of what was spilled is merged into the database.
    Merge {
        /// Coins that were left before it, about.
        left: usize,
    },
    /// A flush begins.
    FlushBegin {
        /// Entries to be written.
        entries: usize,
    },
    /// A slice of the flush is written.
    FlushSlice {
        /// Entries that were left before it.
        left: usize,
    },
    /// Everything is written: the database is synced.
    FlushSync,
    /// What the marker will stand for is durable: it moves.
    FlushMark,
    /// The flush is durable.
    FlushEnd,
    /// A commit is replayed from the journal.
    Replay {
        /// Its number.
        number: u64,
    },
    /// The database can't be used, and is rebuilt from the journal and the block files.
    Rebuild {
        /// Why.
        reason: String,
    },
}

/// Told each [`Stage`]; an error stops the store there, as the system's own would.
pub type StageHook = Arc<dyn Fn(&Stage) -> io::Result<()> + Send + Sync>;

/// How a store is kept.
#[derive(Clone)]
pub struct SledOptions {
    /// Bytes for the cache of coins and for entries on their way to the database.
    pub cache_bytes: usize,
    /// Bytes for sled's own page cache.
    pub sled_cache_bytes: u64,
    /// Bytes after which a new block file is begun; at most 1 GiB.
    pub block_file_bytes: u32,
    /// Commits after which a flush begins, however little there is to write: they are what a start replays.
    pub flush_commits: u64,
    /// How long sled may take to open, a second more for each 4 MiB, before it is taken to hang.
    pub open_timeout: Duration,
    /// Told each stage: for traces and for tests that kill or fail the store at one.
    pub on_stage: Option<StageHook>,
    /// Told each write to the store's own files: for tests that fail one, or cut the power.
    pub on_disk: Option<DiskHook>,
}

impl Default for SledOptions {
    fn default() -> Self {
        Self {
            cache_bytes: 16 << 20,
            sled_cache_bytes: 16 << 20,
            block_file_bytes: 128 << 20,
            flush_commits: 1_000,
            open_timeout: Duration::from_secs(25),
            on_stage: None,
            on_disk: None,
        }
    }
}

impl std::fmt::Debug for SledOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SledOptions")
            .field("cache_bytes", &self.cache_bytes)
            .field("sled_cache_bytes", &self.sled_cache_bytes)
            .field("block_file_bytes", &self.block_file_bytes)
            .field("flush_commits", &self.flush_commits)
            .field("open_timeout", &self.open_timeout)
            .field("on_stage", &self.on_stage.is_some())
            .field("on_disk", &self.on_disk.is_some())
            .finish()
    }
}

impl SledOptions {
    /// The disk that the store is to write to.
    pub(super) fn device(&self) -> Device {
        Device::new(self.on_disk.clone())
    }

    /// Tells `stage`; `path` names what fails when the hook says so.
    pub(super) fn tell(&self, path: &std::path::Path, stage: Stage) -> Result<(), StoreError> {
        match &self.on_stage {
            None => Ok(()),
            Some(hook) => hook(&stage).map_err(super::record::at(path)),
        }
    }
}

/// A flush under way.
#[derive(Debug)]
struct Job {
    target: Standing,
    /// What the coins amount to there.
    stats: CoinStats,
    /// Keys of entries, then coins, that were dirty at the target; both are taken from the end.
    entries: Vec<Key>,
    coins: Vec<OutPoint>,
}

/// The flusher.
#[derive(Debug, Default)]
pub(super) struct Flusher {
    job: Option<Job>,
    /// The number of the commit at which the last flush began.
    begun: u64,
}

/// What a flush works on.
pub(super) struct Parts<'a> {
    pub(super) options: &'a SledOptions,
    pub(super) index: &'a mut Index,
    pub(super) reader: &'a DiskReader,
    pub(super) coins: &'a mut CoinCache,
    pub(super) standing: Standing,
    pub(super) tally: &'a Tally,
    /// What the last deep reorganisation spilled.
    pub(super) layer: &'a mut Option<Scratch>,
}

impl Parts<'_> {
    /// Bytes that only a flush gives back, about.
    fn dirty_bytes(&self) -> usize {
        self.coins.dirty_bytes() + self.pending_bytes()
    }

    /// Writes a slice of the layer over the database into it, and says whether there is more. Nothing newer than the
    /// layer is written before all of it is.
    pub(super) fn merge(&mut self) -> Result<bool, StoreError> {
        let Some(layer) = self.layer.as_mut() else { return Ok(false) };
        let left = layer.len();
        let slice = layer.next(SLICE)?;
        if slice.is_empty() {
            *self.layer = None;
            return Ok(false);
        }
        self.tell(Stage::Merge { left })?;
        let write = |(outpoint, delta): &(OutPoint, CoinDelta)| {
            (coin_key(outpoint), delta.now.map(|coin| coin.to_bytes()))
        };
        let ahead = self.standing.cursor.offset;
        self.index.apply(slice.iter().map(write).collect(), |meta| meta.ahead = meta.ahead.max(ahead))?;
        Ok(true)
    }

    fn pending_bytes(&self) -> usize {
        self.reader.pending_bytes()
    }

    fn tell(&self, stage: Stage) -> Result<(), StoreError> {
        self.options.tell(&self.reader.files.path(0).with_file_name("index"), stage)
    }
}

impl Flusher {
    /// Does what memory and the replay's length ask for after a commit: nothing, or one slice of a flush, or all of it.
    pub(super) fn after_commit(&mut self, mut parts: Parts<'_>) -> Result<(), StoreError> {
        let limit = parts.options.cache_bytes;
        if parts.coins.bytes() + parts.pending_bytes() > limit {
            parts.coins.evict_clean();
        }
        let dirty = parts.dirty_bytes();
        if parts.layer.is_some() && dirty <= limit {
            return parts.merge().map(drop);
        }
        while parts.merge()? {}
        let due = parts.standing.cursor.number - self.begun >= parts.options.flush_commits;
        if self.job.is_none() && (due || dirty > limit / 4 * 3) {
            self.begin(&parts)?;
        }
        if dirty > limit {
            self.finish(&mut parts)?;
            // the database has them, and memory has no room for them
            parts.coins.evict_clean();
            return Ok(());
        }
        self.step(&mut parts)
    }

    /// Writes everything, and moves the marker to where the store stands.
    pub(super) fn flush(&mut self, mut parts: Parts<'_>) -> Result<(), StoreError> {
        while parts.merge()? {}
        self.finish(&mut parts)?;
        if parts.index.meta().marker != parts.standing {
            self.begin(&parts)?;
            self.finish(&mut parts)?;
        }
        parts.coins.evict_clean();
        Ok(())
    }

    /// Writes a slice, until the database has every coin and memory none. Says whether that is so.
    pub(super) fn empty_cache(&mut self, mut parts: Parts<'_>) -> Result<bool, StoreError> {
        if parts.merge()? {
            return Ok(false);
        }
        if self.job.is_none() {
            parts.coins.evict_clean();
            if parts.coins.is_empty() {
                return Ok(true);
            }
            self.begin(&parts)?;
        }
        self.step(&mut parts)?;
        Ok(false)
    }

    /// In the middle of a commit that is replayed: writes what is too much for memory. The marker stays.
    pub(super) fn within_commit(&mut self, mut parts: Parts<'_>) -> Result<(), StoreError> {
        if parts.dirty_bytes() <= parts.options.cache_bytes {
            return Ok(());
        }
        self.finish(&mut parts)?;
        self.begin(&parts)?;
        let meta = parts.index.meta();
        let job = self.job.as_mut().expect("just begun");
        (job.target, job.stats) = (meta.marker, meta.stats.clone());
        self.finish(&mut parts)?;
        parts.coins.evict_clean();
        Ok(())
    }

    /// The replay stands at `number`: flushes are counted from there.
    pub(super) fn start_at(&mut self, number: u64) {
        self.begun = number;
    }

    fn begin(&mut self, parts: &Parts<'_>) -> Result<(), StoreError> {
        let pending = parts.reader.pending.read().unwrap_or_else(PoisonError::into_inner);
        // taken from the end: in order for the database
        let entries: Vec<Key> = pending.keys().rev().cloned().collect();
        drop(pending);
        let mut coins = parts.coins.dirty();
        coins.reverse();
        parts.tell(Stage::FlushBegin { entries: entries.len() + coins.len() })?;
        self.begun = parts.standing.cursor.number;
        self.job = Some(Job { target: parts.standing, stats: parts.tally.stats(), entries, coins });
        Ok(())
    }

    fn finish(&mut self, parts: &mut Parts<'_>) -> Result<(), StoreError> {
        while self.job.is_some() {
            self.step(parts)?;
        }
        Ok(())
    }

    fn step(&mut self, parts: &mut Parts<'_>) -> Result<(), StoreError> {
        let Some(job) = &mut self.job else { return Ok(()) };
        let left = job.entries.len() + job.coins.len();
        if left > 0 {
            parts.tell(Stage::FlushSlice { left })?;
            return job.write_slice(parts);
        }
        let (target, stats) = (job.target, job.stats.clone());
        // first what the marker stands for, then the marker
        parts.tell(Stage::FlushSync)?;
        parts.index.sync(&parts.options.device())?;
        parts.tell(Stage::FlushMark)?;
        parts.index.apply(Vec::new(), |meta| {
            meta.marker = target;
            meta.stats = stats;
            meta.ahead = meta.ahead.max(target.cursor.offset);
        })?;
        parts.index.sync(&parts.options.device())?;
        self.job = None;
        parts.tell(Stage::FlushEnd)
    }
}

impl Job {
    /// Writes the next [`SLICE`] entries as they are now, which may be newer than the target.
    fn write_slice(&mut self, parts: &mut Parts<'_>) -> Result<(), StoreError> {
        let keys = self.entries.split_off(self.entries.len().saturating_sub(SLICE));
        let room = SLICE - keys.len();
        let outpoints = self.coins.split_off(self.coins.len().saturating_sub(room));
        let mut operations = Vec::with_capacity(keys.len() + outpoints.len());
        let pending = parts.reader.pending.read().unwrap_or_else(PoisonError::into_inner);
        operations.extend(keys.iter().map(|key| (key.clone(), pending.get(key).cloned())));
        drop(pending);
        for outpoint in &outpoints {
            // a coin that was created and spent since is gone without a trace
            if let Some(coin) = parts.coins.unwritten(outpoint) {
                operations.push((coin_key(outpoint), coin.map(|coin| coin.to_bytes())));
            }
        }
        let ahead = parts.standing.cursor.offset;
        parts.index.apply(operations, |meta| meta.ahead = meta.ahead.max(ahead))?;
        let mut pending = parts.reader.pending.write().unwrap_or_else(PoisonError::into_inner);
        for key in &keys {
            pending.remove(key);
        }
        drop(pending);
        for outpoint in &outpoints {
            parts.coins.written(outpoint);
        }
        Ok(())
    }
}
