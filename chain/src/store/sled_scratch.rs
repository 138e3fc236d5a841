//! The scratch: coins of an overlay that are too many for memory.
//!
//! A small database of its own, never synced, in `scratch/`: a restart throws it away. After the commit that it belongs
//! to, it lies as a layer over the coins in the database, until the flusher has merged it into them.

use std::fs;
use std::ops::Bound;
use std::path::{Path, PathBuf};

use ::sled::{Batch, Config, Mode};

use super::StoreError;
use super::record::at;
use super::sled::{IndexReader, Key, coin_key, drain, outpoint_of};
use super::tally::Tally;
use crate::codec::{Decode, Encode};
use crate::coin_stats::CoinStats;
use crate::coins::CoinDelta;
use crate::transaction::OutPoint;

/// Its directory in the data directory.
const SCRATCH: &str = "scratch";

/// Bytes for sled's own page cache.
const CACHE_BYTES: u64 = 8 << 20;

/// Coins that differ, on disk.
#[derive(Debug)]
pub(super) struct Scratch {
    reader: IndexReader,
    /// What all of them change.
    tally: Tally,
    len: usize,
    /// While it is merged: the last key that was.
    merged: Option<Key>,
}

/// Throws away what an earlier run left.
pub(super) fn discard(dir: &Path) -> Result<(), StoreError> {
    let path = dir.join(SCRATCH);
    if path.exists() { fs::remove_dir_all(&path).map_err(at(&path)) } else { Ok(()) }
}

impl Scratch {
    /// An empty one, called `number`: the one before may still be closing.
    pub(super) fn begin(dir: &Path, number: u64) -> Result<Self, StoreError> {
        let path = dir.join(SCRATCH).join(number.to_string());
        let config = Config::new()
            .path(&path)
            .cache_capacity(CACHE_BYTES)
            .mode(Mode::HighThroughput)
            .flush_every_ms(None)
            .temporary(true);
        let failed =
            |error: ::sled::Error| StoreError::Database { path: path.clone(), reason: error.to_string() };
        let db = config.open().map_err(failed)?;
        let note: PathBuf = path.join("NOTE");
        Ok(Self { reader: IndexReader { db, path, note }, tally: Tally::default(), len: 0, merged: None })
    }

    /// How many coins it has, about.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// What is kept of `outpoint`.
    pub(super) fn get(&self, outpoint: &OutPoint) -> Result<Option<CoinDelta>, StoreError> {
        self.reader.get(&coin_key(outpoint))
    }

    /// Keeps `deltas`, in place of what was kept of the same outpoints.
    pub(super) fn put(&mut self, deltas: Vec<(OutPoint, CoinDelta)>) -> Result<(), StoreError> {
        let mut batch = Batch::default();
        let count = deltas.len();
        for (outpoint, delta) in deltas {
            let old = self.get(&outpoint)?;
            self.len = self.len + usize::from(!delta.is_nothing()) - usize::from(old.is_some());
            // what was there before is the same in both
            let before = old.map_or(delta.before, |old| old.now);
            if let Some(coin) = before {
                self.tally.spend(outpoint, coin);
            }
            if let Some(coin) = delta.now {
                self.tally.create(outpoint, coin);
            }
            if delta.is_nothing() {
                batch.remove(coin_key(&outpoint));
            } else {
                batch.insert(coin_key(&outpoint), delta.to_bytes());
            }
        }
        self.reader.guard(|db| db.apply_batch(batch))?;
        drain(count);
        Ok(())
    }

    /// What its coins change in sum.
    pub(super) fn stats(&self) -> CoinStats {
        self.tally.stats()
    }

    /// The next `max` coins to be merged, in order; none when all are.
    pub(super) fn next(&mut self, max: usize) -> Result<Vec<(OutPoint, CoinDelta)>, StoreError> {
        let after = self.merged.clone().map_or(Bound::Unbounded, Bound::Excluded);
        let found = self.range(after, max)?;
        if let Some((outpoint, _)) = found.last() {
            self.merged = Some(coin_key(outpoint));
        }
        self.len = self.len.saturating_sub(found.len());
        Ok(found)
    }

    /// Every coin, in order.
    pub(super) fn all(&self) -> Result<Vec<(OutPoint, CoinDelta)>, StoreError> {
        self.range(Bound::Unbounded, usize::MAX)
    }

    fn range(&self, after: Bound<Key>, max: usize) -> Result<Vec<(OutPoint, CoinDelta)>, StoreError> {
        let entries = self.reader.guard(|db| {
            db.range::<Key, _>((after, Bound::Unbounded)).take(max).collect::<::sled::Result<Vec<_>>>()
        })?;
        let decode = |(key, value): &(::sled::IVec, ::sled::IVec)| {
            Some((outpoint_of(key)?, CoinDelta::from_bytes(value).ok()?))
        };
        let decoded: Option<Vec<_>> = entries.iter().map(decode).collect();
        decoded.ok_or_else(|| self.reader.failed("an entry of the scratch".to_owned()))
    }
}
