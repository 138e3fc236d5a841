//! The database: sled, and everything there is to know about it.
//!
//! One tree, so that any batch is atomic. Keys are a tag and the name of the thing:
//! `b` hash → where its body lies; `c` txid, index (big-endian) → coin; `h` hash → header record;
//! `m` → [`Meta`]; `r` number (big-endian) → offset in the journal; `u` hash → where its undo data lies.
//!
//! What sled does, and what is done about it: its `flush` is `sync_file_range`, so `sync_data` on its file follows;
//! large values are never synced, so none is larger than 3 KiB; the garbage of its epochs grows without bound, so
//! it is drained after each batch; a damaged file can make it hang or panic, so it opens under a watchdog.

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::Duration;

use ::sled::{Batch, Config, Db, Mode};

use super::StoreError;
use super::device::Device;
use super::directory::rebuild_note;
use super::journal_file::Standing;
use super::record::at;
use crate::change::HeaderRecord;
use crate::codec::{Decode, DecodeError, Encode, Reader};
use crate::coin_stats::CoinStats;
use crate::coins::Coin;
use crate::hash::{BlockHash, TaggedHash};
use crate::transaction::OutPoint;

/// Operations after which sled's epoch garbage needs another push to be freed, as measured.
const OPERATIONS_PER_DRAIN: usize = 140;

/// Frees the epoch garbage of so many operations.
pub(super) fn drain(operations: usize) {
    for _ in 0..operations / OPERATIONS_PER_DRAIN + 16 {
        crossbeam_epoch::pin().flush();
    }
}

/// The watchdog waits a second longer for each so many bytes of database.
const OPEN_BYTES_PER_SECOND: u64 = 4 << 20;

/// The kinds of entries that are counted, by their tags.
const TAGS: [u8; 5] = *b"bchru";

/// What is written with every batch: what the database stands for.
///
/// Layout: marker (offset u64, number u64; flag, tip; file u32, length u32) ‖ ahead u64 ‖ counts 5 × u64 ‖ coin sum u128 ‖
/// coin statistics 2,064.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Meta {
    /// Every commit before it is in the database; a start replays from here.
    pub(super) marker: Standing,
    /// No entry comes from a commit at or behind this offset of the journal.
    pub(super) ahead: u64,
    /// How many entries there are of each of [`TAGS`].
    pub(super) counts: [u64; 5],
    /// The sum of a hash of each coin: an entry that vanishes or changes in silence is noticed by a full read.
    pub(super) coin_sum: u128,
    /// What the coins amount to at the marker, whatever the entries are.
    pub(super) stats: CoinStats,
}

impl Encode for Meta {
    fn encode(&self, out: &mut Vec<u8>) {
        self.marker.encode(out);
        out.extend_from_slice(&self.ahead.to_le_bytes());
        for number in self.counts {
            out.extend_from_slice(&number.to_le_bytes());
        }
        out.extend_from_slice(&self.coin_sum.to_le_bytes());
        self.stats.encode(out);
    }
}

impl Decode for Meta {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let (marker, ahead) = (Standing::decode(reader)?, reader.u64()?);
        let mut counts = [0; 5];
        for count in &mut counts {
            *count = reader.u64()?;
        }
        let coin_sum = u128::from_le_bytes(reader.array()?);
        Ok(Self { marker, ahead, counts, coin_sum, stats: CoinStats::decode(reader)? })
    }
}

/// A key: its tag, and the name of the thing.
pub(super) type Key = Vec<u8>;

/// The key of what `tag` says about `hash`.
pub(super) fn hash_key(tag: u8, hash: &BlockHash) -> Key {
    let mut key = vec![tag];
    key.extend_from_slice(&hash.0);
    key
}

/// The key of a coin. The index is big-endian, so that keys sort as outpoints do.
pub(super) fn coin_key(outpoint: &OutPoint) -> Key {
    let mut key = vec![b'c'];
    key.extend_from_slice(&outpoint.txid.0);
    key.extend_from_slice(&outpoint.vout.to_be_bytes());
    key
}

/// The key of a reorganisation.
pub(super) fn reorg_key(number: u64) -> Key {
    let mut key = vec![b'r'];
    key.extend_from_slice(&number.to_be_bytes());
    key
}

pub(super) fn outpoint_of(key: &[u8]) -> Option<OutPoint> {
    let txid = key.get(1..33)?.try_into().ok()?;
    let vout = key.get(33..)?.try_into().ok()?;
    Some(OutPoint { txid: crate::hash::Txid(txid), vout: u32::from_be_bytes(vout) })
}

/// What a coin adds to [`Meta::coin_sum`].
fn coin_hash(key: &[u8], value: &[u8]) -> u128 {
    let digest = TaggedHash::new("tine/coin").chain(key).chain(value).finish();
    u128::from_le_bytes(digest[..16].try_into().expect("16 of 32 bytes"))
}

/// Why a database can't be used.
#[derive(Debug)]
pub(super) enum Broken {
    /// Nothing is wrong with its content: the disk is full, or it may not be read, or another process has it.
    Unavailable(StoreError),
    /// Its content is damaged: it must be rebuilt.
    Damaged(String),
    /// It did not open in time; its thread is still at it.
    Hangs(String),
}

/// A handle for reading, from any thread.
#[derive(Debug, Clone)]
pub(super) struct IndexReader {
    pub(super) db: Db,
    pub(super) path: PathBuf,
    pub(super) note: PathBuf,
}

impl IndexReader {
    /// Runs `read`; what goes wrong is fatal, and makes the next start rebuild the database.
    pub(super) fn guard<T>(&self, read: impl FnOnce(&Db) -> ::sled::Result<T>) -> Result<T, StoreError> {
        let reason = match catch_unwind(AssertUnwindSafe(|| read(&self.db))) {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(error)) => error.to_string(),
            Err(_) => "sled panicked".to_owned(),
        };
        Err(self.failed(reason))
    }

    /// Notes for the next start that the database is not to be trusted.
    pub(super) fn failed(&self, reason: String) -> StoreError {
        // an attempt: the error that is returned matters more
        let _ = std::fs::write(&self.note, &reason);
        StoreError::Database { path: self.path.clone(), reason }
    }

    /// The value of `key`, decoded.
    pub(super) fn get<T: Decode>(&self, key: &[u8]) -> Result<Option<T>, StoreError> {
        match self.guard(|db| db.get(key))? {
            None => Ok(None),
            Some(value) => T::from_bytes(&value)
                .map(Some)
                .map_err(|error| self.failed(format!("the entry of key {}: {error}", hex::encode(key)))),
        }
    }

    /// Calls `visit` with every entry whose key starts with `tag`, in order.
    pub(super) fn scan(
        &self,
        tag: u8,
        mut visit: impl FnMut(&[u8], &[u8]) -> Result<(), DecodeError>,
    ) -> Result<(), StoreError> {
        let mut bad = None;
        self.guard(|db| {
            for entry in db.scan_prefix([tag]) {
                let (key, value) = entry?;
                if let Err(error) = visit(&key, &value) {
                    bad = Some(format!("the entry of key {}: {error}", hex::encode(&key)));
                    break;
                }
            }
            Ok(())
        })?;
        bad.map_or(Ok(()), |reason| Err(self.failed(reason)))
    }
}

/// What the database says of blocks, read once at start.
#[derive(Debug, Default)]
pub(super) struct Scan {
    /// Every header, in no order that matters.
    pub(super) headers: Vec<HeaderRecord>,
    /// Which blocks have bodies.
    pub(super) bodies: Vec<BlockHash>,
    /// Offsets of reorganisations in the journal, in order.
    pub(super) reorgs: Vec<u64>,
}

/// The database and its one writer.
#[derive(Debug)]
pub(super) struct Index {
    reader: IndexReader,
    meta: Meta,
    is_new: bool,
}

impl Index {
    /// Opens the database in `path`, or begins one, and reads what it says of blocks.
    pub(super) fn open(
        dir: &Path,
        path: &Path,
        cache_bytes: u64,
        timeout: Duration,
    ) -> Result<(Self, Scan), Broken> {
        let size = std::fs::metadata(path.join("db")).map_or(0, |metadata| metadata.len());
        let timeout = timeout + Duration::from_secs(size / OPEN_BYTES_PER_SECOND);
        let config = Config::new()
            .path(path)
            .cache_capacity(cache_bytes)
            .mode(Mode::LowSpace)
            // we say when
            .flush_every_ms(None);
        let db = open_watched(config, path, timeout)?;
        let reader = IndexReader { db, path: path.to_path_buf(), note: rebuild_note(dir) };
        let (meta, is_new) = read_meta(&reader)?;
        let index = Self { reader, meta, is_new };
        let scan = index.scan().map_err(|error| Broken::Damaged(error.to_string()))?;
        let found = [scan.bodies.len(), scan.headers.len(), scan.reorgs.len()].map(|count| count as u64);
        let [bodies, _, headers, reorgs, _] = index.meta.counts;
        if found != [bodies, headers, reorgs] {
            let wanted = [bodies, headers, reorgs];
            return Err(Broken::Damaged(format!(
                "it has {found:?} bodies, headers, reorganisations, not {wanted:?}"
            )));
        }
        Ok((index, scan))
    }

    /// What the database stands for.
    pub(super) fn meta(&self) -> &Meta {
        &self.meta
    }

    /// Whether it was empty when it was opened.
    pub(super) fn is_new(&self) -> bool {
        self.is_new
    }

    /// The handle for reading.
    pub(super) fn reader(&self) -> &IndexReader {
        &self.reader
    }

    /// Everything about blocks.
    pub(super) fn scan(&self) -> Result<Scan, StoreError> {
        let mut scan = Scan::default();
        self.reader.scan(b'h', |_, value| {
            scan.headers.push(HeaderRecord::from_bytes(value)?);
            Ok(())
        })?;
        self.reader.scan(b'b', |key, _| {
            scan.bodies.push(BlockHash::from_bytes(&key[1..])?);
            Ok(())
        })?;
        self.reader.scan(b'r', |_, value| {
            scan.reorgs.push(Reader::new(value).u64()?);
            Ok(())
        })?;
        Ok(scan)
    }

    /// Calls `visit` with every coin in the order of outpoints, and checks that no entry is missing or changed.
    pub(super) fn for_each_coin(&self, mut visit: impl FnMut(OutPoint, Coin)) -> Result<(), StoreError> {
        let (mut sum, mut count) = (0u128, 0);
        self.reader.scan(b'c', |key, value| {
            let outpoint = outpoint_of(key).ok_or(DecodeError::Malformed("no outpoint"))?;
            visit(outpoint, Coin::from_bytes(value)?);
            sum = sum.wrapping_add(coin_hash(key, value));
            count += 1;
            Ok(())
        })?;
        if (sum, count) != (self.meta.coin_sum, self.meta.counts[1]) {
            let wanted = self.meta.counts[1];
            return Err(self
                .reader
                .failed(format!("it has {count} coins, not the {wanted} that were put into it")));
        }
        Ok(())
    }

    /// Applies `operations` (`None` deletes) and what `change` makes of [`Meta`] in one batch.
    ///
    /// Visible at once, durable after [`Index::sync`].
    pub(super) fn apply(
        &mut self,
        operations: Vec<(Key, Option<Vec<u8>>)>,
        change: impl FnOnce(&mut Meta),
    ) -> Result<(), StoreError> {
        let mut meta = self.meta.clone();
        let mut batch = Batch::default();
        let count = operations.len();
        for (key, value) in operations {
            let old = self.reader.guard(|db| db.get(&key))?;
            if old.as_deref() == value.as_deref() {
                continue;
            }
            meta.replace(&key, old.as_deref(), value.as_deref());
            match value {
                Some(value) => batch.insert(key, value),
                None => batch.remove(key),
            }
        }
        change(&mut meta);
        batch.insert(b"m", meta.to_bytes());
        self.reader.guard(|db| db.apply_batch(batch))?;
        self.meta = meta;
        drain(count);
        Ok(())
    }

    /// Makes everything applied durable.
    pub(super) fn sync(&self, device: &Device) -> Result<(), StoreError> {
        self.reader.guard(|db| db.flush())?;
        let path = self.reader.path.join("db");
        let file = File::open(&path).map_err(at(&path))?;
        device.sync(&file, &path)
    }
}

impl Meta {
    /// Counts an entry that changes from `old` to `new`.
    fn replace(&mut self, key: &[u8], old: Option<&[u8]>, new: Option<&[u8]>) {
        if let Some(place) = TAGS.iter().position(|tag| key.first() == Some(tag)) {
            // wrapping, so that a damaged count is found as one and not as a panic
            let change = u64::from(new.is_some()).wrapping_sub(u64::from(old.is_some()));
            self.counts[place] = self.counts[place].wrapping_add(change);
        }
        if key.first() == Some(&b'c') {
            let hash = |value| coin_hash(key, value);
            self.coin_sum = self.coin_sum.wrapping_sub(old.map_or(0, hash)).wrapping_add(new.map_or(0, hash));
        }
    }
}

fn read_meta(reader: &IndexReader) -> Result<(Meta, bool), Broken> {
    let damaged = |error: StoreError| Broken::Damaged(error.to_string());
    if let Some(meta) = reader.get(b"m").map_err(damaged)? {
        return Ok((meta, false));
    }
    if reader.guard(|db| Ok(db.is_empty())).map_err(damaged)? {
        return Ok((Meta::default(), true));
    }
    Err(Broken::Damaged("it has entries and no marker".to_owned()))
}

/// How often, and how far apart, a database that this process closed a moment ago is asked for again.
const LOCK_LINGERS: (u32, Duration) = (1_000, Duration::from_millis(10));

/// Opens under a watchdog: a flipped bit can make sled loop for ever.
///
/// The lock of the store's directory is ours, so whoever has the database's own lock is a database of this process
/// that was dropped: sled's background threads hold on to it until they have finished.
#[expect(clippy::disallowed_methods, reason = "the store waits where the rules may not")]
fn open_watched(config: Config, path: &Path, timeout: Duration) -> Result<Db, Broken> {
    for _ in 1..LOCK_LINGERS.0 {
        match open_once(config.clone(), path, timeout) {
            Err(Broken::Unavailable(StoreError::Locked { .. })) => std::thread::sleep(LOCK_LINGERS.1),
            opened => return opened,
        }
    }
    open_once(config, path, timeout)
}

fn open_once(config: Config, path: &Path, timeout: Duration) -> Result<Db, Broken> {
    let io = |source| Broken::Unavailable(StoreError::Io { path: path.to_path_buf(), source });
    match watched(timeout, move || config.open()).map_err(io)? {
        Ok(Ok(db)) => Ok(db),
        Ok(Err(error)) => Err(classify(error, path)),
        Err(RecvTimeoutError::Timeout) => Err(Broken::Hangs(format!("it did not open in {timeout:?}"))),
        Err(RecvTimeoutError::Disconnected) => Err(Broken::Damaged("sled panicked while opening".to_owned())),
    }
}

/// Runs `work` on a thread of its own, which is left alone when it takes longer than `timeout`.
fn watched<T: Send + 'static>(
    timeout: Duration,
    work: impl FnOnce() -> T + Send + 'static,
) -> std::io::Result<Result<T, RecvTimeoutError>> {
    let (sender, receiver) = sync_channel(1);
    let run = move || {
        // the receiver is gone when the watchdog has given up
        let _ = sender.send(work());
    };
    std::thread::Builder::new().name("sled-open".to_owned()).spawn(run)?;
    Ok(receiver.recv_timeout(timeout))
}

/// Whether sled's error is about the content or about the system.
fn classify(error: ::sled::Error, path: &Path) -> Broken {
    use std::io::ErrorKind::{OutOfMemory, PermissionDenied, ReadOnlyFilesystem, StorageFull};
    let reason = error.to_string();
    if reason.contains("could not acquire lock") {
        return Broken::Unavailable(StoreError::Locked { path: path.join("db") });
    }
    if let ::sled::Error::Io(source) = error
        && matches!(source.kind(), OutOfMemory | PermissionDenied | ReadOnlyFilesystem | StorageFull)
    {
        return Broken::Unavailable(StoreError::Io { path: path.to_path_buf(), source });
    }
    Broken::Damaged(reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sto_09_the_watchdog_tells_slow_dead_and_done_apart() {
        let done = watched(Duration::from_secs(60), || 7).expect("a thread");
        assert_eq!(done, Ok(7));
        let (sender, never) = sync_channel::<()>(0);
        let slow = watched(Duration::from_millis(10), move || never.recv().is_ok()).expect("a thread");
        assert_eq!(slow, Err(RecvTimeoutError::Timeout));
        drop(sender);
        let dead = watched(Duration::from_secs(60), || panic!("as sled does")).expect("a thread");
        assert_eq!(dead, Err::<(), _>(RecvTimeoutError::Disconnected));
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "to close later")]
    fn a_database_that_is_still_closing_is_waited_for() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("index");
        let closing = Config::new().path(&path).open().expect("opened");
        let closed = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(200));
            drop(closing);
        });
        open_watched(Config::new().path(&path), &path, Duration::from_secs(60))
            .expect("opened after the other");
        closed.join().expect("closed");
    }

    #[test]
    fn what_the_system_refuses_is_no_damage() {
        let refused = std::io::Error::from(std::io::ErrorKind::StorageFull);
        let broken = classify(::sled::Error::Io(refused), Path::new("index"));
        assert!(matches!(broken, Broken::Unavailable(StoreError::Io { .. })), "{broken:?}");
        let broken = classify(::sled::Error::ReportableBug("a page".to_owned()), Path::new("index"));
        assert!(matches!(broken, Broken::Damaged(_)), "{broken:?}");
    }

    #[test]
    fn a_coin_that_vanishes_or_changes_in_silence_is_noticed_by_a_full_read() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("index");
        let open = || Index::open(dir.path(), &path, 1 << 20, Duration::from_secs(60)).expect("opened").0;
        let coin = Coin {
            output: crate::transaction::TxOut {
                value: crate::amount::Amount(1),
                lock: crate::hash::Lock::ZERO,
            },
            height: 1,
            coinbase: false,
        };
        let key = |byte| coin_key(&OutPoint { txid: crate::hash::Txid([byte; 32]), vout: 0 });
        let mut index = open();
        let coins = (0..9).map(|byte| (key(byte), Some(coin.to_bytes()))).collect();
        index.apply(coins, |_| {}).expect("applied");
        index.apply(vec![(key(3), None), (key(4), Some(coin.to_bytes()))], |_| {}).expect("applied");
        let mut count = 0;
        index.for_each_coin(|_, _| count += 1).expect("all there");
        assert_eq!(count, 8);
        index.reader.db.remove(key(5)).expect("removed behind its back");
        assert!(index.for_each_coin(|_, _| {}).is_err());
        index.reader.db.insert(key(5), Coin { height: 2, ..coin }.to_bytes()).expect("inserted");
        assert!(index.for_each_coin(|_, _| {}).is_err());
        index.reader.db.insert(key(5), coin.to_bytes()).expect("inserted");
        assert!(index.for_each_coin(|_, _| {}).is_ok());
        assert!(rebuild_note(dir.path()).exists(), "the next start rebuilds");
    }
}
