//! Where the chain is kept.
//!
//! [`SledStore`] keeps it on disk. Append-only files are the truth: bodies and undo data in `blocks/`, and in
//! `journal.dat` one record for each commit. sled holds what is looked up, and may be older than the files:
//! [`SledStore::open`] replays the journal from where sled's last flush stood.

mod cache;
mod device;
mod directory;
mod disk;
mod files;
mod flush;
mod journal_file;
mod reader;
mod record;
mod recover;
mod reindex;
mod sled;
mod sled_scratch;
mod state;
mod tally;
#[cfg(any(test, feature = "testing"))]
pub mod testing;

pub use self::device::{DiskHook, DiskOp};
pub use self::disk::SledStore;
pub use self::files::CutTail;
pub use self::flush::{SledOptions, Stage, StageHook};
pub use self::recover::Recovery;

use std::sync::Arc;

use crate::block::Block;
use crate::change::{Change, HeaderRecord};
use crate::coin_stats::CoinStats;
use crate::coins::{Coin, CoinDelta, Undo};
use crate::hash::BlockHash;
use crate::journal::Reorg;
use crate::transaction::OutPoint;

pub mod memory;

pub use memory::MemoryStore;

/// Storage failed. Fatal to the node, and never a reason to call a block invalid (BIP 50 was that).
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Reading or writing a file failed.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: std::path::PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The database failed.
    #[error("the database at {path}: {reason}")]
    Database {
        /// Its directory.
        path: std::path::PathBuf,
        /// What it said.
        reason: String,
    },
    /// What was read is not what was written.
    #[error("{what} is damaged; `tine node --reindex` rebuilds it from the block files")]
    Corrupt {
        /// Which file or record, and how it was noticed.
        what: String,
    },
    /// Another process has the directory.
    #[error("{path} is in use by another process")]
    Locked {
        /// The lock file.
        path: std::path::PathBuf,
    },
    /// Written by a version that we don't know.
    #[error("{path} has format {found}, this program writes {known}: use a newer program, or another --dir")]
    Format {
        /// The file that says so.
        path: std::path::PathBuf,
        /// The version found.
        found: u32,
        /// The version known.
        known: u32,
    },
    /// Holds another network's chain.
    #[error("{path} belongs to the network with genesis {found}, not {expected}: use another --dir")]
    Network {
        /// The file that says so.
        path: std::path::PathBuf,
        /// The genesis found.
        found: BlockHash,
        /// The genesis of the network that was asked for.
        expected: BlockHash,
    },
}

/// What a store knows when it is opened, read once.
#[derive(Debug, Default)]
pub struct Loaded {
    /// Every header, parents before children, the genesis not among them.
    pub headers: Vec<HeaderRecord>,
    /// Which of them have their bodies.
    pub bodies: Vec<BlockHash>,
    /// The active tip; `None` in a new store: the genesis.
    pub tip: Option<BlockHash>,
    /// Every reorganisation so far, in order.
    pub journal: Vec<Arc<Reorg>>,
}

/// Reads bodies from any thread, without asking the node.
pub trait BlockReader: Send + Sync {
    /// The body of `hash`, if there is one.
    fn block(&self, hash: &BlockHash) -> Result<Option<Arc<Block>>, StoreError>;
    /// What the block spent when it was connected, if it ever was.
    fn undo(&self, hash: &BlockHash) -> Result<Option<Undo>, StoreError>;
}

/// Whether a store takes coins of an overlay that has become too large for memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spilling {
    /// It is memory itself.
    Never,
    /// It must write out something first: ask again.
    NotYet,
    /// It does.
    Ready,
}

/// Everything a store must do. Memory and sled implement it.
///
/// What is spilled and staged belongs to the switch that is on its way: a commit takes it in, and a restart throws it
/// away. A store that is memory itself leaves all of it where it is.
pub trait Store: Send {
    /// Everything that is read once, at start.
    fn load(&mut self) -> Result<Loaded, StoreError>;
    /// The coin at `outpoint`, if it is unspent at the committed tip.
    fn coin(&self, outpoint: &OutPoint) -> Result<Option<Coin>, StoreError>;
    /// Makes `change` visible and durable, whole or not at all.
    fn commit(&mut self, change: &Change) -> Result<(), StoreError>;
    /// Calls `visit` with every coin, in the order of outpoints.
    fn for_each_coin(&self, visit: &mut dyn FnMut(&OutPoint, &Coin)) -> Result<(), StoreError>;
    /// A handle for bodies, to be shared between threads.
    fn reader(&self) -> Arc<dyn BlockReader>;
    /// Writes out what a restart would otherwise replay. Called at a clean stop.
    fn flush(&mut self) -> Result<(), StoreError>;
    /// What all coins amount to at the committed tip.
    fn coin_stats(&self) -> Result<CoinStats, StoreError> {
        let mut stats = CoinStats::default();
        self.for_each_coin(&mut |outpoint, coin| stats.insert(outpoint, coin))?;
        Ok(stats)
    }
    /// Keeps the undo data of a block that is connected on the way to a new tip, until a commit names the block. `false`:
    /// the commit must bring it.
    fn stage_undo(&mut self, _hash: &BlockHash, _undo: &Undo) -> Result<bool, StoreError> {
        Ok(false)
    }
    /// Begins an empty scratch for [`Store::spill`], when it can.
    fn prepare_spill(&mut self) -> Result<Spilling, StoreError> {
        Ok(Spilling::Never)
    }
    /// Keeps coins that differ, in place of what was spilled of the same outpoints.
    fn spill(&mut self, _deltas: Vec<(OutPoint, CoinDelta)>) -> Result<(), StoreError> {
        Ok(())
    }
    /// What was spilled of `outpoint`.
    fn spilled(&self, _outpoint: &OutPoint) -> Result<Option<CoinDelta>, StoreError> {
        Ok(None)
    }
    /// Forgets everything that was spilled.
    fn discard_spilled(&mut self) -> Result<(), StoreError> {
        Ok(())
    }
    /// Does a slice of the work that a commit of spilled coins left behind, and says whether there is more.
    fn relieve(&mut self) -> Result<bool, StoreError> {
        Ok(false)
    }
}
