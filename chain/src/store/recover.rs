//! Opening the database, or rebuilding it when it is missing or broken.

use std::fs;
use std::path::{Path, PathBuf};

use super::StoreError;
use super::device::Device;
use super::directory::{rebuild_note, rebuild_reason};
use super::files::CutTail;
use super::flush::{SledOptions, Stage};
use super::record::at;
use super::sled::{Broken, Index, Scan};

/// The database's directory in the data directory. Each database in it has a number: one that was given up may still
/// be held by a thread that hangs, so a new one never takes its place.
const INDEX: &str = "index";

/// What was found and done when a store was opened.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recovery {
    /// Commits that were replayed from the journal: none after a clean stop.
    pub replayed: u64,
    /// Why the database was rebuilt, if it was.
    pub rebuilt: Option<String>,
    /// Why sled's snapshot was put aside, if it was: the database was read from its log, and checked in full.
    pub snapshot_dropped: Option<String>,
    /// Torn tails that were cut off: writes that a crash interrupted, never acknowledged.
    pub cut: Vec<CutTail>,
}

/// The databases in `dir/index`, by number, in order.
fn generations(device: &Device, dir: &Path) -> Result<Vec<u32>, StoreError> {
    let path = dir.join(INDEX);
    device.create_directory(&path)?;
    let mut numbers = Vec::new();
    for entry in fs::read_dir(&path).map_err(at(&path))? {
        let name = entry.map_err(at(&path))?.file_name();
        numbers.extend(name.to_str().and_then(|name| name.parse::<u32>().ok()));
    }
    numbers.sort_unstable();
    Ok(numbers)
}

fn generation(dir: &Path, number: u32) -> PathBuf {
    dir.join(INDEX).join(format!("{number:05}"))
}

/// Opens the database, or begins a new one when there is none, when an earlier run asked for it, or when it is broken.
///
/// `expected`: the journal holds commits, so there should be a database.
pub(super) fn open_index(
    dir: &Path,
    options: &SledOptions,
    expected: bool,
    recovery: &mut Recovery,
) -> Result<(Index, Scan), StoreError> {
    let device = options.device();
    let numbers = generations(&device, dir)?;
    let last = numbers.last().copied();
    let reason = match (rebuild_reason(dir), last) {
        (Some(reason), _) => Some(reason),
        (None, None) => expected.then(|| "it is missing".to_owned()),
        (None, Some(number)) => match open_or_drop_snapshot(dir, &generation(dir, number), options, recovery)
        {
            Ok(opened) => {
                // what an earlier start gave up
                for old in numbers.iter().filter(|old| **old < number) {
                    device.remove(&generation(dir, *old))?;
                }
                return Ok(opened);
            }
            Err(Broken::Unavailable(error)) => return Err(error),
            Err(Broken::Damaged(reason) | Broken::Hangs(reason)) => Some(reason),
        },
    };
    let path = generation(dir, last.map_or(0, |number| number + 1));
    if let Some(reason) = reason {
        options.tell(&path, Stage::Rebuild { reason: reason.clone() })?;
        recovery.rebuilt = Some(reason);
    }
    begin_index(dir, &path, options)
}

/// Begins a new database. The note that asked for it goes when its directory is there to stay.
fn begin_index(dir: &Path, path: &Path, options: &SledOptions) -> Result<(Index, Scan), StoreError> {
    let device = options.device();
    device.create_directory(path)?;
    let note = rebuild_note(dir);
    if note.exists() {
        device.remove(&note)?;
        device.sync_directory(dir)?;
    }
    Index::open(dir, path, options.sled_cache_bytes, options.open_timeout).map_err(|broken| match broken {
        Broken::Unavailable(error) => error,
        Broken::Damaged(reason) | Broken::Hangs(reason) => {
            StoreError::Database { path: path.to_path_buf(), reason }
        }
    })
}

/// Opens the database; when it is damaged, once more without sled's snapshot, which is only a short cut to its log.
///
/// A log without its snapshot may read as an older state: it is used only when every coin is there.
fn open_or_drop_snapshot(
    dir: &Path,
    path: &Path,
    options: &SledOptions,
    recovery: &mut Recovery,
) -> Result<(Index, Scan), Broken> {
    let open = || Index::open(dir, path, options.sled_cache_bytes, options.open_timeout);
    let reason = match open() {
        Err(Broken::Damaged(reason)) => reason,
        other => return other,
    };
    let dropped = drop_snapshots(path).map_err(Broken::Unavailable)?;
    if !dropped {
        return Err(Broken::Damaged(reason));
    }
    let (index, scan) = open()?;
    index.for_each_coin(|_, _| {}).map_err(|error| Broken::Damaged(error.to_string()))?;
    // reading the damaged one left a note
    let note = rebuild_note(dir);
    if note.exists() {
        options.device().remove(&note).map_err(Broken::Unavailable)?;
    }
    recovery.snapshot_dropped = Some(reason);
    Ok((index, scan))
}

/// Puts sled's snapshots aside and says whether there was one.
fn drop_snapshots(path: &Path) -> Result<bool, StoreError> {
    let mut dropped = false;
    for entry in fs::read_dir(path).map_err(at(path))? {
        let entry = entry.map_err(at(path))?;
        let name = entry.file_name();
        let Some(name) = name.to_str().filter(|name| name.starts_with("snap.")) else { continue };
        fs::rename(entry.path(), path.join(format!("broken.{name}"))).map_err(at(path))?;
        dropped = true;
    }
    Ok(dropped)
}
