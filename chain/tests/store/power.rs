//! The power is cut: what was synced is there, and of the rest whatever the disk had got to.
//!
//! A recorder hears of every write, sync and rename of the store. At any instant it can make a directory as the disk
//! might have it then: each write since its file's last sync is there, torn, or lost (zeros, where a later one made the
//! file longer); names that were not synced are there or not, in order. sled's files are those of its last sync, or
//! those of now: what it writes in between is its own affair.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use crate::support::{Model, copy, open, params, seed, small};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tine_chain::store::{DiskOp, SledOptions, SledStore, Store};

/// A write that is not synced yet.
#[derive(Debug, Clone)]
enum Write {
    Bytes { offset: usize, bytes: Vec<u8> },
    Length(usize),
}

/// A file, whatever it is called.
#[derive(Debug, Clone, Default)]
struct Contents {
    synced: Vec<u8>,
    since: Vec<Write>,
}

impl Contents {
    /// What a cut leaves of it.
    fn after_a_cut(&self, rng: &mut StdRng) -> Vec<u8> {
        let mut bytes = self.synced.clone();
        for write in &self.since {
            match (write, rng.random_range(0..4)) {
                (_, 0) => {}
                (Write::Length(length), _) => bytes.resize(*length, 0),
                (Write::Bytes { offset, bytes: new }, 1) => {
                    // the length had been written, and the first of the pages
                    bytes.resize(bytes.len().max(offset + new.len()), 0);
                    let torn = rng.random_range(0..=new.len());
                    bytes[*offset..offset + torn].copy_from_slice(&new[..torn]);
                }
                (Write::Bytes { offset, bytes: new }, 2) => {
                    let torn = rng.random_range(0..=new.len());
                    put(&mut bytes, *offset, &new[..torn]);
                }
                (Write::Bytes { offset, bytes: new }, _) => put(&mut bytes, *offset, new),
            }
        }
        bytes
    }

    fn sync(&mut self) {
        for write in self.since.drain(..) {
            match write {
                Write::Bytes { offset, bytes } => put(&mut self.synced, offset, &bytes),
                Write::Length(length) => self.synced.resize(length, 0),
            }
        }
    }
}

fn put(bytes: &mut Vec<u8>, offset: usize, new: &[u8]) {
    bytes.resize(bytes.len().max(offset + new.len()), 0);
    bytes[offset..offset + new.len()].copy_from_slice(new);
}

/// What stands in a directory under a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Entry {
    Directory,
    File(usize),
}

type Names = BTreeMap<PathBuf, Entry>;

/// A change of names that is not synced yet.
#[derive(Debug, Clone)]
enum Naming {
    Add(PathBuf, Entry),
    Rename(PathBuf, PathBuf),
    Remove(PathBuf),
}

impl Naming {
    fn apply(&self, names: &mut Names) {
        match self {
            Self::Add(path, entry) => {
                names.insert(path.clone(), *entry);
            }
            Self::Rename(from, to) => {
                if let Some(entry) = names.remove(from) {
                    names.insert(to.clone(), entry);
                }
            }
            Self::Remove(path) => names.retain(|name, _| !name.starts_with(path)),
        }
    }

    fn directory(&self) -> &Path {
        match self {
            Self::Add(path, _) | Self::Rename(_, path) | Self::Remove(path) => path.parent().expect("a name"),
        }
    }
}

/// The disk under a store.
#[derive(Debug, Clone, Default)]
struct Disk {
    files: Vec<Contents>,
    names: Names,
    synced_names: Names,
    namings: Vec<Naming>,
    /// sled's directory at its last sync.
    index: BTreeMap<PathBuf, Vec<u8>>,
}

impl Disk {
    fn name(&mut self, naming: Naming) {
        naming.apply(&mut self.names);
        self.namings.push(naming);
    }

    fn file(&mut self, path: &Path) -> Option<&mut Contents> {
        match self.names.get(path) {
            Some(Entry::File(number)) => Some(&mut self.files[*number]),
            Some(Entry::Directory) | None => None,
        }
    }

    /// Does to the picture what the store is about to do to the disk below `root`.
    fn record(&mut self, root: &Path, op: &DiskOp<'_>) {
        match *op {
            DiskOp::CreateDirectory { path } => self.name(Naming::Add(path.to_owned(), Entry::Directory)),
            DiskOp::Create { path } => {
                self.files.push(Contents::default());
                self.name(Naming::Add(path.to_owned(), Entry::File(self.files.len() - 1)));
            }
            DiskOp::Write { path, offset, bytes } => {
                let write = Write::Bytes { offset: offset as usize, bytes: bytes.to_vec() };
                self.file(path).expect("begun before it is written").since.push(write);
            }
            DiskOp::SetLength { path, length } => {
                let write = Write::Length(length as usize);
                self.file(path).expect("begun before it is cut").since.push(write);
            }
            DiskOp::Sync { path } => match self.file(path) {
                Some(file) => file.sync(),
                None => self.index = read_all(&root.join("index")),
            },
            DiskOp::Rename { from, to } => self.name(Naming::Rename(from.to_owned(), to.to_owned())),
            DiskOp::Remove { path } => self.name(Naming::Remove(path.to_owned())),
            DiskOp::SyncDirectory { path } => {
                let (synced, rest) =
                    self.namings.drain(..).partition::<Vec<_>, _>(|naming| naming.directory() == path);
                synced.iter().for_each(|naming| naming.apply(&mut self.synced_names));
                self.namings = rest;
            }
        }
    }

    /// Makes `to` what a cut leaves of what lies below `root`; sled's files are those of `index`.
    fn cut(&self, root: &Path, to: &Path, index: &BTreeMap<PathBuf, Vec<u8>>, rng: &mut StdRng) {
        let mut names = self.synced_names.clone();
        let kept = rng.random_range(0..=self.namings.len());
        self.namings[..kept].iter().for_each(|naming| naming.apply(&mut names));
        // what lies in a directory that is not there is not there either
        let is_there = |path: &Path| {
            path.ancestors()
                .skip(1)
                .take_while(|parent| *parent != root)
                .all(|parent| names.contains_key(parent))
        };
        for (path, entry) in names.iter().filter(|(path, _)| path.starts_with(root) && is_there(path)) {
            let target = to.join(path.strip_prefix(root).expect("below the root"));
            match entry {
                Entry::Directory => fs::create_dir_all(target).expect("a directory"),
                Entry::File(number) => {
                    fs::write(target, self.files[*number].after_a_cut(rng)).expect("written");
                }
            }
        }
        for (path, bytes) in index.iter().filter(|(path, _)| is_there(path)) {
            let target = to.join(path.strip_prefix(root).expect("below the root"));
            fs::create_dir_all(target.parent().expect("in a directory")).expect("a directory");
            fs::write(target, bytes).expect("written");
        }
    }
}

/// Every file below `path`, with its bytes.
fn read_all(path: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    let Ok(entries) = fs::read_dir(path) else { return files };
    for entry in entries {
        let path = entry.expect("an entry").path();
        match path.is_dir() {
            true => files.extend(read_all(&path)),
            false => drop(files.insert(path.clone(), fs::read(path).expect("read"))),
        }
    }
    files
}

/// What a recorder keeps: the picture now, and pictures of some instants.
#[derive(Default)]
struct Recording {
    disk: Disk,
    ops: usize,
    /// The disk before an operation, sled's files then, and what the operation was.
    instants: Vec<(Disk, BTreeMap<PathBuf, Vec<u8>>, String)>,
}

fn kind(op: &DiskOp<'_>) -> &'static str {
    match op {
        DiskOp::CreateDirectory { .. } | DiskOp::Create { .. } => "the creation",
        DiskOp::Write { .. } => "a write",
        DiskOp::SetLength { .. } => "the cut",
        DiskOp::Sync { .. } | DiskOp::SyncDirectory { .. } => "a sync",
        DiskOp::Rename { .. } => "the renaming",
        DiskOp::Remove { .. } => "the removal",
    }
}

/// Options whose store is recorded; a picture is taken before one of `every` operations.
fn recorded(root: &Path, every: usize, options: SledOptions) -> (SledOptions, Arc<Mutex<Recording>>) {
    let recording: Arc<Mutex<Recording>> = Arc::default();
    let (root, recorder) = (root.to_owned(), Arc::clone(&recording));
    let hook = move |op: &DiskOp<'_>| -> io::Result<()> {
        let mut recording = recorder.lock().expect("one thread");
        if recording.ops.is_multiple_of(every) {
            let instant = (
                recording.disk.clone(),
                read_all(&root.join("index")),
                format!("before {} of {}", kind(op), op.path().display()),
            );
            recording.instants.push(instant);
        }
        recording.ops += 1;
        recording.disk.record(&root, op);
        Ok(())
    };
    (SledOptions { on_disk: Some(Arc::new(hook)), ..options }, recording)
}

#[test]
fn sto_05_sto_06_a_power_cut_at_any_write_loses_nothing_that_was_acknowledged() {
    const STEPS: u64 = 60;
    let dir = tempfile::tempdir().expect("a directory");
    let root = dir.path().join("chain");
    let (options, recording) = recorded(&root, 3, small());
    let mut store = open(&root, options).expect("opened");
    let mut model = Model::new(seed(51));
    // how many steps were acknowledged at each instant
    let mut acknowledged = vec![0; recording.lock().expect("one thread").instants.len()];
    for _ in 0..STEPS {
        let step = model.step;
        store.commit(&model.next_change()).expect("committed");
        acknowledged.resize(recording.lock().expect("one thread").instants.len(), step);
    }
    drop(store);
    let instants = std::mem::take(&mut recording.lock().expect("one thread").instants);
    assert!(instants.len() > 60, "{} instants", instants.len());
    let models: Vec<Model> = (0..=STEPS).map(|steps| Model::after(seed(51), steps)).collect();
    let mut rng = StdRng::seed_from_u64(seed(51));
    let mut torn = 0;
    for ((disk, index_now, op), step) in instants.iter().zip(acknowledged) {
        for index in [index_now, &disk.index] {
            let after = tempfile::tempdir().expect("a directory");
            disk.cut(&root, after.path(), index, &mut rng);
            let mut store = open(after.path(), small()).unwrap_or_else(|error| panic!("{op}: {error}"));
            torn += store.recovery().cut.len();
            // the commit under way may be there: whole, or not at all
            let before = models[step as usize].difference(&mut store).expect("readable");
            let whole = models[step as usize + 1].difference(&mut store).expect("readable");
            assert!(before.is_none() || whole.is_none(), "step {step}, {op}: {before:?} {whole:?}");
            // and it goes on from there
            let mut model = Model::after(seed(51), step + u64::from(whole.is_none()));
            store.commit(&model.next_change()).expect("committed");
            model.assert_same(&mut store);
        }
    }
    assert!(torn > 10, "{torn} torn tails");
}

#[test]
fn sto_14_a_power_cut_while_reindexing_costs_no_body() {
    let dir = tempfile::tempdir().expect("a directory");
    let model = {
        let mut store = open(dir.path(), small()).expect("opened");
        let mut model = Model::new(seed(52));
        for _ in 0..40 {
            store.commit(&model.next_change()).expect("committed");
        }
        model
    };
    let scratch = tempfile::tempdir().expect("a directory");
    let root = scratch.path().join("chain");
    copy(dir.path(), &root);
    let (options, recording) = recorded(&root, 1, small());
    {
        // everything that is there was synced long ago
        let disk = &mut recording.lock().expect("one thread").disk;
        let before = read_all(&root);
        for (path, bytes) in before.into_iter().filter(|(path, _)| !path.starts_with(root.join("index"))) {
            disk.files.push(Contents { synced: bytes, since: Vec::new() });
            disk.names.insert(path, Entry::File(disk.files.len() - 1));
        }
        for name in ["blocks", "index"] {
            disk.names.insert(root.join(name), Entry::Directory);
        }
        disk.names.insert(root.join("index/00000"), Entry::Directory);
        disk.synced_names = disk.names.clone();
        disk.index = read_all(&root.join("index"));
    }
    drop(SledStore::reindex(&root, &params(), options).expect("reindexed"));
    let instants = std::mem::take(&mut recording.lock().expect("one thread").instants);
    let mut rng = StdRng::seed_from_u64(seed(52));
    let mut old = 0;
    for (disk, index_now, op) in &instants {
        for index in [index_now, &disk.index] {
            let after = tempfile::tempdir().expect("a directory");
            disk.cut(&root, after.path(), index, &mut rng);
            let mut store = open(after.path(), small()).unwrap_or_else(|error| panic!("{op}: {error}"));
            let loaded = store.load().expect("loaded");
            assert!(loaded.bodies.iter().eq(model.bodies.keys()), "{op}");
            assert_eq!(loaded.journal, model.journal, "{op}");
            // the old journal, or the new one, which has no tip
            assert!(loaded.tip.is_none() || loaded.tip == model.tip(), "{op}");
            old += usize::from(loaded.tip.is_some());
        }
    }
    assert!(old > 0, "no cut came early enough to find the old journal");
}

/// Fails the operation `fail_at` as a full or a broken disk would: half of what was to be written is there.
fn failing(fail_at: usize, errno: i32) -> (SledOptions, Arc<Mutex<usize>>) {
    let ops: Arc<Mutex<usize>> = Arc::default();
    let counter = Arc::clone(&ops);
    let hook = move |op: &DiskOp<'_>| {
        let mut ops = counter.lock().expect("one thread");
        *ops += 1;
        if *ops - 1 != fail_at {
            return Ok(());
        }
        if let DiskOp::Write { path, offset, bytes } = *op {
            use std::os::unix::fs::FileExt;
            let file = fs::File::options().write(true).open(path)?;
            file.write_all_at(&bytes[..bytes.len() / 2], offset)?;
        }
        Err(io::Error::from_raw_os_error(errno))
    };
    (SledOptions { on_disk: Some(Arc::new(hook)), flush_commits: 5, ..small() }, ops)
}

#[test]
fn sto_07_every_write_may_fail_once_and_the_store_stops_there_and_goes_on_later() {
    const STEPS: u64 = 16;
    const ENOSPC: i32 = 28;
    const EIO: i32 = 5;
    let models: Vec<Model> = (0..=STEPS).map(|steps| Model::after(seed(53), steps)).collect();
    let mut failed = 0;
    for fail_at in 0.. {
        let dir = tempfile::tempdir().expect("a directory");
        let (options, ops) = failing(fail_at, if fail_at % 2 == 0 { ENOSPC } else { EIO });
        let mut model = Model::new(seed(53));
        let opened = open(&dir.path().join("chain"), options);
        let ended = opened.and_then(|mut store| {
            while model.step < STEPS {
                store.commit(&model.next_change())?;
            }
            Ok(())
        });
        if *ops.lock().expect("one thread") <= fail_at {
            assert!(ended.is_ok());
            break;
        }
        failed += 1;
        let error = ended.expect_err("an error is never swallowed");
        assert!(error.to_string().contains("(os error"), "the reason is told: {error}");
        // space is made, the disk is changed
        let mut store =
            open(&dir.path().join("chain"), small()).unwrap_or_else(|error| panic!("{fail_at}: {error}"));
        assert_eq!(store.recovery().rebuilt, None, "{fail_at}");
        let acknowledged = model.step.saturating_sub(1) as usize;
        let before = models[acknowledged].difference(&mut store).expect("readable");
        let whole = models[model.step as usize].difference(&mut store).expect("readable");
        assert!(before.is_none() || whole.is_none(), "{fail_at}: {before:?} {whole:?}");
        let mut model = Model::after(seed(53), if whole.is_none() { model.step } else { model.step - 1 });
        store.commit(&model.next_change()).expect("committed");
        model.assert_same(&mut store);
    }
    assert!(failed > 60, "{failed} operations");
}
