//! The store on disk.
//!
//! A commit appends bodies and undo data to the block files and syncs them, then appends one record to the journal and
//! syncs that: two syncs, and the second makes the whole change durable at once. Memory follows (the coins of a large
//! change meanwhile, on another core), and sled follows when memory is full ([`super::flush`]). Nothing that was
//! acknowledged depends on what sled has written.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;

use super::directory::{check_format, is_used, lock};
use super::files::{Appender, BlockFiles, Position};
use super::flush::{SledOptions, Stage};
use super::journal_file::{self, Commit, Cursor, JournalFile};
use super::reader::DiskReader;
use super::record::Kind;
use super::recover::{Recovery, open_index};
use super::sled::Scan;
use super::sled_scratch;
use super::state::{State, absorb};
use super::{BlockReader, Loaded, Spilling, Store, StoreError};
use crate::block::Block;
use crate::change::Change;
use crate::codec::Encode;
use crate::coin_stats::CoinStats;
use crate::coins::{Coin, CoinDelta, Undo};
use crate::hash::BlockHash;
use crate::params::Params;
use crate::transaction::OutPoint;

/// Coins that a change must move for it to be worth a thread: that takes as long as moving a few hundred.
const MANY_COINS: usize = 2_048;

/// Records of blocks, and where they were put.
type Placed = Vec<(BlockHash, Position)>;

/// A chain in a directory.
pub struct SledStore {
    state: State,
    blocks: Appender,
    /// What the database said at start, until it is loaded.
    scan: Option<Scan>,
    recovery: Recovery,
    /// Where the undo data of blocks lies that a commit may name.
    staged: BTreeMap<BlockHash, Position>,
    /// A write or sync failed: what is on disk is not known any more, and a retry may report success for lost data.
    failed: bool,
}

impl SledStore {
    /// Opens the chain in `dir`, or begins one there.
    ///
    /// Comes back by itself from any crash, and rebuilds the database when it is missing or broken.
    ///
    /// # Errors
    /// [`StoreError::Locked`], [`StoreError::Format`] and [`StoreError::Network`] change nothing;
    /// [`StoreError::Corrupt`] names the file that is damaged when only [`SledStore::reindex`] can help.
    pub fn open(dir: &Path, params: &Params, options: SledOptions) -> Result<Self, StoreError> {
        match Self::try_open(dir, params, options.clone()) {
            // the database broke while it was brought up to date, which left a note: now it is rebuilt
            Err(StoreError::Database { .. }) => Self::try_open(dir, params, options),
            result => result,
        }
    }

    fn try_open(dir: &Path, params: &Params, options: SledOptions) -> Result<Self, StoreError> {
        let device = options.device();
        let lock = lock(&device, dir)?;
        check_format(&device, dir, params)?;
        let mut recovery = Recovery::default();
        sled_scratch::discard(dir)?;
        let files = Arc::new(BlockFiles::new(&device, dir.join("blocks"), !is_used(dir))?);
        let is_new = files.numbers()?.is_empty();
        let journal = JournalFile::open(device.clone(), dir.join(journal_file::FILE), is_new)?;
        let (index, scan) = open_index(dir, &options, journal.length() > 0, &mut recovery)?;
        let reader = DiskReader::new(Arc::clone(&files), index.reader().clone(), lock);
        let limit = options.block_file_bytes.min(1 << 30);
        let mut state = State::new(options, dir.to_path_buf(), journal, index, reader);
        let before = state.index.meta().clone();
        state.replay(&mut recovery)?;
        // a long replay flushes: then the database is read again when it is loaded
        let scan = Some(scan).filter(|_| *state.index.meta() == before);
        let blocks = Appender::open(device, files, state.standing.end, limit, &mut recovery.cut)?;
        Ok(Self { state, blocks, scan, recovery, staged: BTreeMap::new(), failed: false })
    }

    /// What was found and done when the store was opened.
    #[must_use]
    pub fn recovery(&self) -> &Recovery {
        &self.recovery
    }

    /// Bytes that coins, and entries on their way to the database, take in memory, about: what
    /// [`SledOptions::cache_bytes`] bounds. A commit may go over it until it has ended.
    #[must_use]
    pub fn cached_bytes(&self) -> usize {
        self.state.cached_bytes()
    }

    /// Runs `write`; when it fails, nothing is written any more.
    fn guard<T>(&mut self, write: impl FnOnce(&mut Self) -> Result<T, StoreError>) -> Result<T, StoreError> {
        if self.failed {
            let source = io::Error::other("an earlier write failed: restart the node");
            return Err(StoreError::Io { path: self.blocks.path().to_path_buf(), source });
        }
        let result = write(self);
        self.failed = result.is_err();
        result
    }

    /// Makes `change` durable, and has memory follow what it does to the coins: where these are many, on another core
    /// while the disk is written.
    fn write_and_absorb(&mut self, change: &Change) -> Result<(Commit, Cursor), StoreError> {
        if change.spilled || change.created.len() + change.spent.len() < MANY_COINS {
            let written = self.write(change)?;
            self.state.absorb_coins(change);
            return Ok(written);
        }
        let mut coins = std::mem::take(&mut self.state.coins);
        let mut tally = std::mem::take(&mut self.state.tally);
        let written = std::thread::scope(|scope| {
            scope.spawn(|| absorb(&mut coins, &mut tally, change));
            self.write(change)
        });
        (self.state.coins, self.state.tally) = (coins, tally);
        written
    }

    /// Makes `change` durable.
    fn write(&mut self, change: &Change) -> Result<(Commit, Cursor), StoreError> {
        let (disconnected, connected) = (change.disconnected.len(), change.connected.len());
        self.tell(Stage::Append { disconnected, connected })?;
        let (bodies, undo) = self.append_blocks(change)?;
        if self.blocks.is_dirty() {
            self.tell(Stage::SyncBlocks)?;
            self.blocks.sync()?;
        }
        let commit = Commit {
            number: self.state.standing.cursor.number,
            headers: change.headers.clone(),
            bodies,
            undo,
            disconnected: change.disconnected.iter().map(|block| block.hash).collect(),
            connected: change.connected.iter().map(|block| (block.hash, block.height)).collect(),
            tip: change.tip,
            end: self.blocks.end(),
            reorg: change.reorg.clone(),
        };
        self.tell(Stage::AppendJournal)?;
        self.state.journal.append(&commit)?;
        self.tell(Stage::SyncJournal)?;
        self.state.journal.sync()?;
        self.tell(Stage::Committed)?;
        let next = Cursor { offset: self.state.journal.length(), number: commit.number + 1 };
        Ok((commit, next))
    }

    /// Appends the bodies and undo data that are not in the files yet.
    fn append_blocks(&mut self, change: &Change) -> Result<(Placed, Placed), StoreError> {
        let (mut bodies, mut undo) = (Vec::new(), Vec::new());
        for (hash, block) in &change.stored {
            self.append_body(hash, block, &mut bodies)?;
        }
        for connected in &change.connected {
            match connected.held() {
                Some((block, spent)) => {
                    self.append_body(&connected.hash, block, &mut bodies)?;
                    self.append_undo(&connected.hash, spent, &mut undo)?;
                }
                // its body was stored before it was let go of
                None => undo.extend(self.staged.remove_entry(&connected.hash)),
            }
        }
        Ok((bodies, undo))
    }

    fn append_body(
        &mut self,
        hash: &BlockHash,
        block: &Arc<Block>,
        bodies: &mut Placed,
    ) -> Result<(), StoreError> {
        let known = bodies.iter().rev().any(|(written, _)| written == hash);
        if !known && self.state.reader.position(b'b', hash)?.is_none() {
            bodies.push((*hash, self.blocks.append(Kind::Body, |out| block.encode(out))?));
            self.state.reader.remember(*hash, block);
        }
        Ok(())
    }

    /// What a block spends follows from its ancestors: the undo data of an earlier connection is still right.
    fn append_undo(&mut self, hash: &BlockHash, undo: &Undo, written: &mut Placed) -> Result<(), StoreError> {
        if self.state.reader.position(b'u', hash)?.is_some() {
            return Ok(());
        }
        let position = match self.staged.remove(hash) {
            Some(position) => position,
            None => self.write_undo(hash, undo)?,
        };
        written.push((*hash, position));
        Ok(())
    }

    fn write_undo(&mut self, hash: &BlockHash, undo: &Undo) -> Result<Position, StoreError> {
        self.blocks.append(Kind::Undo, |out| {
            hash.encode(out);
            undo.encode(out);
        })
    }

    fn tell(&self, stage: Stage) -> Result<(), StoreError> {
        self.state.options.tell(self.state.journal.path(), stage)
    }
}

impl Store for SledStore {
    fn load(&mut self) -> Result<Loaded, StoreError> {
        let scan = match self.scan.take() {
            Some(scan) => scan,
            None => self.state.index.scan()?,
        };
        self.state.loaded(scan)
    }

    fn coin(&self, outpoint: &OutPoint) -> Result<Option<Coin>, StoreError> {
        self.state.coin(outpoint)
    }

    fn commit(&mut self, change: &Change) -> Result<(), StoreError> {
        self.state.coins.check(change)?;
        self.scan = None;
        self.guard(|store| {
            let (commit, next) = store.write_and_absorb(change)?;
            store.state.absorb(&commit, next);
            store.state.relieve()
        })
    }

    fn for_each_coin(&self, visit: &mut dyn FnMut(&OutPoint, &Coin)) -> Result<(), StoreError> {
        self.state.for_each_coin(visit)
    }

    fn reader(&self) -> Arc<dyn BlockReader> {
        Arc::clone(&self.state.reader) as Arc<dyn BlockReader>
    }

    fn flush(&mut self) -> Result<(), StoreError> {
        self.guard(|store| {
            store.scan = None;
            store.state.flush()
        })
    }

    fn coin_stats(&self) -> Result<CoinStats, StoreError> {
        Ok(self.state.tally.stats())
    }

    fn stage_undo(&mut self, hash: &BlockHash, undo: &Undo) -> Result<bool, StoreError> {
        if !self.staged.contains_key(hash) && self.state.reader.position(b'u', hash)?.is_none() {
            let position = self.guard(|store| store.write_undo(hash, undo))?;
            self.staged.insert(*hash, position);
        }
        Ok(true)
    }

    fn prepare_spill(&mut self) -> Result<Spilling, StoreError> {
        self.guard(|store| {
            store.scan = None;
            store.state.prepare_spill()
        })
    }

    fn spill(&mut self, deltas: Vec<(OutPoint, CoinDelta)>) -> Result<(), StoreError> {
        self.guard(|store| store.state.spill(deltas))
    }

    fn spilled(&self, outpoint: &OutPoint) -> Result<Option<CoinDelta>, StoreError> {
        self.state.spilled(outpoint)
    }

    fn discard_spilled(&mut self) -> Result<(), StoreError> {
        self.state.discard_spilled();
        Ok(())
    }

    fn relieve(&mut self) -> Result<bool, StoreError> {
        self.guard(|store| store.state.merge())
    }
}
