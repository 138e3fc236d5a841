//! Files of a wallet: written whole or not at all, readable by their owner only, held by one process.
//!
//! A file is written to a temporary one in the same directory, synced, renamed over the old one, and the directory is
//! synced: at every instant there is the old file or the new one. A temporary file that a crash left behind holds
//! nothing that the real one may not, and is removed when the wallet is next opened.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use crate::error::WalletError;

/// The most that a wallet file may hold: 256 MiB, so that a planted file can't fill the memory.
const MAX_FILE_SIZE: u64 = 256 << 20;
/// How the names of temporary files end.
const TEMPORARY: &str = ".tmp";

fn io_error(path: &Path) -> impl FnOnce(io::Error) -> WalletError + '_ {
    move |source| WalletError::Io { path: path.to_owned(), source }
}

/// Gives `path` the mode `mode`, whatever the umask took away or left.
#[cfg(unix)]
fn set_mode(path: &Path, mode: u32) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
}

#[cfg(not(unix))]
fn set_mode(_path: &Path, _mode: u32) -> io::Result<()> {
    Ok(())
}

/// Opens a new file of mode 0600: no one else can open it, not even before the mode is set.
fn create_private(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(path)?;
    set_mode(path, 0o600)?;
    Ok(file)
}

/// Makes what was renamed or removed in `directory` survive a power cut.
fn sync_directory(directory: &Path) -> io::Result<()> {
    #[cfg(unix)]
    File::open(directory)?.sync_all()?;
    #[cfg(not(unix))]
    let _ = directory;
    Ok(())
}

/// Replaces the file at `path` by `bytes`, whole or not at all; mode 0600.
pub(crate) fn write_atomically(path: &Path, bytes: &[u8]) -> Result<(), WalletError> {
    let directory = path.parent().expect("a wallet's files have a directory");
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(TEMPORARY);
    let temporary = PathBuf::from(temporary);
    let written = (|| {
        match fs::remove_file(&temporary) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let mut file = create_private(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&temporary, path)
    })();
    if let Err(error) = written {
        // the old file is untouched; a temporary one that can't be removed is removed at the next opening
        let _ = fs::remove_file(&temporary);
        return Err(io_error(path)(error));
    }
    sync_directory(directory).map_err(io_error(directory))
}

/// The bytes of the file at `path`, `None` when there is none.
pub(crate) fn read(path: &Path) -> Result<Option<Vec<u8>>, WalletError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(io_error(path)(error)),
    };
    let mut bytes = Vec::new();
    file.take(MAX_FILE_SIZE + 1).read_to_end(&mut bytes).map_err(io_error(path))?;
    if bytes.len() as u64 > MAX_FILE_SIZE {
        return Err(WalletError::Corrupt {
            path: path.to_owned(),
            what: format!("longer than {MAX_FILE_SIZE} bytes"),
        });
    }
    Ok(Some(bytes))
}

/// Makes the directory and those above it; those that are new get mode 0700.
pub(crate) fn create_directory(path: &Path) -> Result<(), WalletError> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    let is_new = !path.exists();
    builder.create(path).map_err(io_error(path))?;
    if is_new {
        set_mode(path, 0o700).map_err(io_error(path))?;
    }
    Ok(())
}

/// Removes what a crash left behind in the middle of a write. Only the holder of the lock may.
pub(crate) fn remove_temporary(directory: &Path) -> Result<(), WalletError> {
    for entry in fs::read_dir(directory).map_err(io_error(directory))? {
        let path = entry.map_err(io_error(directory))?.path();
        if path.as_os_str().to_string_lossy().ends_with(&format!(".json{TEMPORARY}")) {
            fs::remove_file(&path).map_err(io_error(&path))?;
        }
    }
    Ok(())
}

/// A wallet's directory, held by this process until it is dropped (or the process dies, however it does).
#[derive(Debug)]
pub(crate) struct DirectoryLock {
    _file: File,
}

impl DirectoryLock {
    /// Takes `directory`, which must exist.
    pub(crate) fn take(directory: &Path) -> Result<Self, WalletError> {
        let path = directory.join("lock");
        let file = match create_private(&path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                OpenOptions::new().write(true).open(&path).map_err(io_error(&path))?
            }
            other => other.map_err(io_error(&path))?,
        };
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => Err(WalletError::InUse(directory.to_owned())),
            Err(TryLockError::Error(error)) => Err(io_error(&path)(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wal_06_files_are_0600_and_directories_0700() {
        use std::os::unix::fs::PermissionsExt;
        let root = tempfile::tempdir().unwrap();
        let directory = root.path().join("a/b");
        create_directory(&directory).unwrap();
        let path = directory.join("x.json");
        write_atomically(&path, b"one").unwrap();
        write_atomically(&path, b"two").unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(&directory)), (0o600, 0o700));
        assert_eq!(read(&path).unwrap().unwrap(), b"two");
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 1, "no temporary file is left");
    }

    #[test]
    fn wal_04_a_failed_write_leaves_the_old_file() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("x.json");
        write_atomically(&path, b"old").unwrap();
        // a directory in the way of the temporary file: the write can't begin
        fs::create_dir(root.path().join("x.json.tmp")).unwrap();
        assert!(matches!(write_atomically(&path, b"new"), Err(WalletError::Io { .. })));
        assert_eq!(read(&path).unwrap().unwrap(), b"old");
    }

    #[test]
    fn wal_06_one_holder_at_a_time() {
        let root = tempfile::tempdir().unwrap();
        let held = DirectoryLock::take(root.path()).unwrap();
        assert!(matches!(DirectoryLock::take(root.path()), Err(WalletError::InUse(_))));
        drop(held);
        DirectoryLock::take(root.path()).unwrap();
    }
}
