//! The data directory: one process at a time, one format, one network.

use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::StoreError;
use super::record::at;
use crate::params::Params;

/// The version of everything in the directory. Changing any layout changes it.
pub(super) const FORMAT: u32 = 1;

const FORMAT_FILE: &str = "FORMAT";
const LOCK_FILE: &str = "LOCK";
const REBUILD_FILE: &str = "REBUILD";

/// Makes the directory's entries durable: a new file is lost without it, however often the file itself is synced.
pub(super) fn sync_directory(path: &Path) -> Result<(), StoreError> {
    File::open(path).and_then(|directory| directory.sync_all()).map_err(at(path))
}

/// Creates `path` and its parents, durably.
pub(super) fn create_directory(path: &Path) -> Result<(), StoreError> {
    if path.is_dir() {
        return Ok(());
    }
    fs::create_dir_all(path).map_err(at(path))?;
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).map_or(Ok(()), sync_directory)
}

/// Replaces `path` whole or not at all, durably.
pub(super) fn write_atomically(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    let new = path.with_extension("new");
    let write = || -> io::Result<()> {
        let mut file = File::create(&new)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&new, path)
    };
    write().map_err(at(path))?;
    sync_directory(path.parent().expect("a file in the data directory"))
}

/// Takes the directory for this process, until the file is dropped.
///
/// # Errors
/// [`StoreError::Locked`] when another process, or another store in this one, has it.
pub(super) fn lock(dir: &Path) -> Result<File, StoreError> {
    create_directory(dir)?;
    let path = dir.join(LOCK_FILE);
    // never truncated: the file is only a name to hold on to
    let file = File::options().create(true).append(true).open(&path).map_err(at(&path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::Locked { path }),
        Err(TryLockError::Error(source)) => Err(StoreError::Io { path, source }),
    }
}

/// Whether the directory holds a chain already.
pub(super) fn is_used(dir: &Path) -> bool {
    ["blocks", "journal.dat", "index"].iter().any(|name| dir.join(name).exists())
}

/// Checks that the directory is of our format and of the network of `params`, or makes a new one so.
pub(super) fn check_format(dir: &Path, params: &Params) -> Result<(), StoreError> {
    let path = dir.join(FORMAT_FILE);
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            if is_used(dir) {
                return Err(StoreError::Corrupt {
                    what: format!("{} is missing: the directory", path.display()),
                });
            }
            return write_format(dir, params);
        }
        Err(source) => return Err(StoreError::Io { path, source }),
    };
    let mut words = text.split_whitespace();
    let (version, genesis) = (words.next().map(str::parse), words.next().map(str::parse));
    match (version, genesis) {
        (Some(Ok(FORMAT)), Some(Ok(found))) if found == params.genesis.hash() => Ok(()),
        (Some(Ok(FORMAT)), Some(Ok(found))) => {
            Err(StoreError::Network { path, found, expected: params.genesis.hash() })
        }
        (Some(Ok(found)), _) if found != FORMAT => Err(StoreError::Format { path, found, known: FORMAT }),
        _ => Err(StoreError::Corrupt { what: path.display().to_string() }),
    }
}

/// Writes the format file: the version, then the genesis.
pub(super) fn write_format(dir: &Path, params: &Params) -> Result<(), StoreError> {
    write_atomically(&dir.join(FORMAT_FILE), format!("{FORMAT} {}\n", params.genesis.hash()).as_bytes())
}

/// The note that asks the next start to rebuild the database, and says why.
pub(super) fn rebuild_note(dir: &Path) -> PathBuf {
    dir.join(REBUILD_FILE)
}

/// Why an earlier run asked for a rebuild, if it did.
pub(super) fn rebuild_reason(dir: &Path) -> Option<String> {
    fs::read_to_string(rebuild_note(dir)).ok()
}
