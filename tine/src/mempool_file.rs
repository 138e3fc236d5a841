//! `mempool.dat` and `fee_estimates.dat`: read at the start, written every minute and at the stop.
//!
//! A file is written beside the old one, synced, and takes its name in one step, so that there is always a whole one.
//! What can't be read is left where it is, named in the log, and done without.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use serde::Deserialize;
use tine_node::mempool::{Dump, DumpError, Estimator, Mempool, Saved};

use crate::driver::{self, NodeHandle, Stopped};

/// The mempool's file.
pub const MEMPOOL_FILE: &str = "mempool.dat";
/// The fee estimates' file.
pub const ESTIMATES_FILE: &str = "fee_estimates.dat";
/// How often a mempool that has changed is written.
const SAVE_INTERVAL: Duration = Duration::from_secs(60);
/// Transactions that the node's thread takes back at a time, so that it has time for others.
const BATCH: usize = 100;
/// The largest file that is read, in bytes: the largest mempool that can be asked for, and its times.
const MAX_FILE_SIZE: u64 = 12_000_000_000;

/// Why a file was of no use.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// It can't be read.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// It is damaged, or of another kind or version.
    #[error("{0}")]
    Dump(#[from] DumpError),
    /// The node has stopped meanwhile.
    #[error("{0}")]
    Stopped(#[from] Stopped),
}

/// What `importmempool` may be told.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ImportOptions {
    use_current_time: bool,
    apply_fee_delta_priority: bool,
    /// Every transaction is offered to every peer that lacks it.
    #[serde(rename = "apply_unbroadcast_set")]
    _apply_unbroadcast_set: bool,
}

impl Default for ImportOptions {
    fn default() -> Self {
        Self { use_current_time: true, apply_fee_delta_priority: false, _apply_unbroadcast_set: false }
    }
}

/// The files of a node.
#[derive(Debug)]
pub struct MempoolFiles {
    dir: PathBuf,
    loaded: AtomicBool,
    /// The mempool that was written last.
    saved: Mutex<Option<Arc<Mempool>>>,
}

impl MempoolFiles {
    /// The files in `dir`.
    #[must_use]
    pub fn new(dir: PathBuf) -> Arc<Self> {
        Arc::new(Self { dir, loaded: AtomicBool::new(false), saved: Mutex::new(None) })
    }

    /// Whether what was in the files is in the node.
    #[must_use]
    pub fn is_loaded(&self) -> bool {
        self.loaded.load(Ordering::Acquire)
    }

    /// Gives the node what the files hold.
    fn load(&self, node: &NodeHandle) {
        let estimates = self.dir.join(ESTIMATES_FILE);
        complain(&estimates, load_estimates(node, &estimates));
        let mempool = self.dir.join(MEMPOOL_FILE);
        let all = ImportOptions {
            use_current_time: false,
            apply_fee_delta_priority: true,
            ..ImportOptions::default()
        };
        complain(&mempool, Self::import(node, &mempool, all));
        self.loaded.store(true, Ordering::Release);
    }

    /// Gives the node the transactions of a file.
    pub(crate) fn import(node: &NodeHandle, path: &Path, options: ImportOptions) -> Result<(), LoadError> {
        let mut dump = Dump::from_file(&read(path)?)?;
        for saved in &mut dump.entries {
            if options.use_current_time {
                saved.time = driver::now();
            }
            if !options.apply_fee_delta_priority {
                saved.delta = 0;
            }
        }
        let (mut accepted, all) = (0, dump.entries.len());
        for batch in dump.entries.chunks(BATCH) {
            let batch: Vec<Saved> = batch.to_vec();
            accepted += node.control_blocking(move |node, now| node.restore(&batch, now))?.accepted;
        }
        if options.apply_fee_delta_priority {
            node.with_blocking(move |node, _| {
                dump.deltas.into_iter().for_each(|(txid, delta)| node.prioritise(txid, delta));
            })?;
        }
        tracing::info!(file = %path.display(), accepted, of = all, "mempool loaded");
        Ok(())
    }

    /// Writes both files as the last picture has it; says where the mempool is.
    ///
    /// # Errors
    /// What the system says, with the file's name.
    pub fn save(&self, node: &NodeHandle) -> io::Result<PathBuf> {
        let mempool = Arc::clone(&node.view().mempool);
        // two writers would write the same temporary file
        let mut saved = self.saved.lock().unwrap_or_else(PoisonError::into_inner);
        let path = self.dir.join(MEMPOOL_FILE);
        write(&path, &Dump::of(&mempool).to_file())?;
        write(&self.dir.join(ESTIMATES_FILE), &mempool.estimator().to_file())?;
        *saved = Some(mempool);
        Ok(path)
    }

    fn save_if_changed(&self, node: &NodeHandle) {
        let now = node.view();
        let last = self.saved.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let same = last.is_some_and(|last| Arc::ptr_eq(&last, &now.mempool));
        if !same && let Err(error) = self.save(node) {
            tracing::warn!(%error, "the mempool can't be saved");
        }
    }
}

/// The thread that loads and saves.
#[derive(Debug)]
pub struct MempoolKeeper {
    stop: mpsc::Sender<()>,
    thread: JoinHandle<()>,
}

impl MempoolKeeper {
    /// Loads, then saves now and then.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start(files: Arc<MempoolFiles>, node: NodeHandle) -> io::Result<Self> {
        let (stop, stopped) = mpsc::channel();
        let work = move || {
            files.load(&node);
            while stopped.recv_timeout(SAVE_INTERVAL) == Err(RecvTimeoutError::Timeout) {
                files.save_if_changed(&node);
            }
            files.save_if_changed(&node);
        };
        let thread = std::thread::Builder::new().name("mempool file".to_owned()).spawn(work)?;
        Ok(Self { stop, thread })
    }

    /// Saves a last time.
    pub fn stop(self) {
        // an error means that the thread has ended already
        let _ = self.stop.send(());
        if self.thread.join().is_err() {
            tracing::error!("the mempool's thread has panicked");
        }
    }
}

fn load_estimates(node: &NodeHandle, path: &Path) -> Result<(), LoadError> {
    let estimator = Estimator::from_file(&read(path)?)?;
    node.with_blocking(move |node, _| node.restore_estimates(estimator))?;
    Ok(())
}

fn complain(path: &Path, outcome: Result<(), LoadError>) {
    match outcome {
        Ok(()) => {}
        Err(LoadError::Io(error)) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => tracing::warn!(file = %path.display(), "ignored: {error}"),
    }
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_FILE_SIZE).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Writes the whole file or leaves the old one.
fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
    let new = path.with_extension("dat.new");
    let write = || -> io::Result<()> {
        let mut file = File::create(&new)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&new, path)?;
        let dir = path.parent().unwrap_or_else(|| Path::new("."));
        File::open(dir)?.sync_all()
    };
    write().map_err(named)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_whole() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().join(MEMPOOL_FILE);
        write(&path, b"first").expect("written");
        write(&path, b"second").expect("written");
        assert_eq!(read(&path).expect("readable"), b"second");
        assert_eq!(std::fs::read_dir(dir.path()).expect("readable").count(), 1, "nothing is left beside it");
        let error = write(&dir.path().join("none").join(MEMPOOL_FILE), b"x").expect_err("no such directory");
        assert!(error.to_string().contains(MEMPOOL_FILE), "{error}");
    }
}
