//! Every write to the store's own files goes through here, so that a test can see each one, fail it, and cut the power
//! between any two. sled writes its files itself.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use super::StoreError;
use super::record::at;

/// A step that changes what is on disk, told before it is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiskOp<'a> {
    /// A directory is made.
    CreateDirectory {
        /// The directory.
        path: &'a Path,
    },
    /// A file is begun, empty.
    Create {
        /// The file.
        path: &'a Path,
    },
    /// Bytes are written: a cut in power may leave all of them, some, none, or zeros in their place.
    Write {
        /// The file.
        path: &'a Path,
        /// Where they go, in bytes from its start.
        offset: u64,
        /// What is written.
        bytes: &'a [u8],
    },
    /// A file is cut.
    SetLength {
        /// The file.
        path: &'a Path,
        /// Its new length, in bytes.
        length: u64,
    },
    /// What was written to a file becomes durable; its name does not.
    Sync {
        /// The file.
        path: &'a Path,
    },
    /// A file takes another name, and the place of whatever had it.
    Rename {
        /// Its old name.
        from: &'a Path,
        /// Its new name.
        to: &'a Path,
    },
    /// A file or a directory goes, with everything in it.
    Remove {
        /// The file or directory.
        path: &'a Path,
    },
    /// The names in a directory become durable.
    SyncDirectory {
        /// The directory.
        path: &'a Path,
    },
}

impl DiskOp<'_> {
    /// The file or directory that is changed.
    #[must_use]
    pub fn path(&self) -> &Path {
        match self {
            Self::CreateDirectory { path }
            | Self::Create { path }
            | Self::Write { path, .. }
            | Self::SetLength { path, .. }
            | Self::Sync { path }
            | Self::Rename { to: path, .. }
            | Self::Remove { path }
            | Self::SyncDirectory { path } => path,
        }
    }
}

/// Told each [`DiskOp`]; an error stops the store there, as the system's own would.
pub type DiskHook = Arc<dyn Fn(&DiskOp<'_>) -> io::Result<()> + Send + Sync>;

/// The disk, and who watches it.
#[derive(Clone, Default)]
pub(super) struct Device {
    hook: Option<DiskHook>,
}

impl std::fmt::Debug for Device {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Device").field("hook", &self.hook.is_some()).finish()
    }
}

impl Device {
    /// The disk, told to `hook`.
    pub(super) fn new(hook: Option<DiskHook>) -> Self {
        Self { hook }
    }

    /// Tells `op`, then does it.
    fn perform<T>(&self, op: DiskOp<'_>, perform: impl FnOnce() -> io::Result<T>) -> Result<T, StoreError> {
        let told = self.hook.as_ref().map_or(Ok(()), |hook| hook(&op));
        told.and_then(|()| perform()).map_err(at(op.path()))
    }

    /// Creates `path` and its parents, durably.
    pub(super) fn create_directory(&self, path: &Path) -> Result<(), StoreError> {
        if path.is_dir() {
            return Ok(());
        }
        self.perform(DiskOp::CreateDirectory { path }, || fs::create_dir_all(path))?;
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        parent.map_or(Ok(()), |parent| self.sync_directory(parent))
    }

    /// The file at `path`, for reading and writing; begun when there is none. Its name is durable only after
    /// [`Device::sync_directory`].
    pub(super) fn open(&self, path: &Path) -> Result<File, StoreError> {
        let open = || File::options().create(true).truncate(false).read(true).write(true).open(path);
        if path.exists() {
            return open().map_err(at(path));
        }
        self.perform(DiskOp::Create { path }, open)
    }

    /// A new file at `path`, empty, in the place of whatever was there.
    fn create(&self, path: &Path) -> Result<File, StoreError> {
        if path.exists() {
            self.remove(path)?;
        }
        self.open(path)
    }

    /// Writes `bytes` at `offset` of `file`.
    pub(super) fn write(
        &self,
        file: &File,
        path: &Path,
        offset: u64,
        bytes: &[u8],
    ) -> Result<(), StoreError> {
        self.perform(DiskOp::Write { path, offset, bytes }, || file.write_all_at(bytes, offset))
    }

    /// Cuts `file` to `length` bytes.
    pub(super) fn set_length(&self, file: &File, path: &Path, length: u64) -> Result<(), StoreError> {
        self.perform(DiskOp::SetLength { path, length }, || file.set_len(length))
    }

    /// Makes what was written to `file` durable: one `fdatasync`.
    pub(super) fn sync(&self, file: &File, path: &Path) -> Result<(), StoreError> {
        self.perform(DiskOp::Sync { path }, || file.sync_data())
    }

    /// Makes the directory's entries durable: a new file is lost without it, however often the file itself is synced.
    pub(super) fn sync_directory(&self, path: &Path) -> Result<(), StoreError> {
        self.perform(DiskOp::SyncDirectory { path }, || File::open(path)?.sync_all())
    }

    /// Removes a file or a directory.
    pub(super) fn remove(&self, path: &Path) -> Result<(), StoreError> {
        self.perform(DiskOp::Remove { path }, || match path.is_dir() {
            true => fs::remove_dir_all(path),
            false => fs::remove_file(path),
        })
    }

    /// Replaces the file at `path`, whole or not at all, durably, by what `fill` writes to a new one.
    pub(super) fn replace(
        &self,
        path: &Path,
        fill: impl FnOnce(&mut dyn FnMut(&[u8]) -> Result<(), StoreError>) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let new = path.with_extension("new");
        let file = self.create(&new)?;
        let mut offset = 0;
        fill(&mut |bytes| {
            self.write(&file, &new, offset, bytes)?;
            offset += bytes.len() as u64;
            Ok(())
        })?;
        self.sync(&file, &new)?;
        self.perform(DiskOp::Rename { from: &new, to: path }, || fs::rename(&new, path))?;
        self.sync_directory(path.parent().expect("a file in the data directory"))
    }
}
