//! The data directory: one process at a time, one format, one network.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use super::StoreError;
use super::device::Device;
use super::record::at;
use crate::params::Params;

/// The version of everything in the directory. Changing any layout changes it.
pub(super) const FORMAT: u32 = 2;

const FORMAT_FILE: &str = "FORMAT";
const LOCK_FILE: &str = "LOCK";
const REBUILD_FILE: &str = "REBUILD";

/// Takes the directory for this process, until the file is dropped.
///
/// # Errors
/// [`StoreError::Locked`] when another process, or another store in this one, has it.
pub(super) fn lock(device: &Device, dir: &Path) -> Result<File, StoreError> {
    device.create_directory(dir)?;
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
pub(super) fn check_format(device: &Device, dir: &Path, params: &Params) -> Result<(), StoreError> {
    let path = dir.join(FORMAT_FILE);
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            if is_used(dir) {
                return Err(StoreError::Corrupt {
                    what: format!("{} is missing: the directory", path.display()),
                });
            }
            return write_format(device, dir, params);
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
pub(super) fn write_format(device: &Device, dir: &Path, params: &Params) -> Result<(), StoreError> {
    let text = format!("{FORMAT} {}\n", params.genesis.hash());
    device.replace(&dir.join(FORMAT_FILE), |write| write(text.as_bytes()))
}

/// The note that asks the next start to rebuild the database, and says why.
pub(super) fn rebuild_note(dir: &Path) -> PathBuf {
    dir.join(REBUILD_FILE)
}

/// Why an earlier run asked for a rebuild, if it did.
pub(super) fn rebuild_reason(dir: &Path) -> Option<String> {
    fs::read_to_string(rebuild_note(dir)).ok()
}
