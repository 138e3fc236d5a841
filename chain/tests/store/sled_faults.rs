//! sled's files, damaged: the store rebuilds the database, or says what is wrong; never a different chain.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::support::{Model, copy, open, seed, small};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tine_chain::store::{SledOptions, Store};

fn prepare(dir: &Path, seed: u64) -> Model {
    let mut store = open(dir, small()).expect("opened");
    let mut model = Model::new(seed);
    for _ in 0..120 {
        store.commit(&model.next_change()).expect("committed");
    }
    store.flush().expect("flushed");
    for _ in 0..5 {
        store.commit(&model.next_change()).expect("committed");
    }
    model
}

fn index_files(dir: &Path) -> Vec<PathBuf> {
    let path = dir.join("index/00000");
    let mut files: Vec<_> = fs::read_dir(path)
        .expect("listed")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.is_file())
        .collect();
    files.sort();
    files
}

/// Damages a copy of `dir` with `damage` and requires the same chain from it, at once or after one clean error.
fn require_same(dir: &Path, model: &Model, name: &str, damage: impl FnOnce(&Path)) -> (bool, bool) {
    let copied = tempfile::tempdir().expect("a directory");
    copy(dir, copied.path());
    damage(copied.path());
    let options = SledOptions { open_timeout: Duration::from_secs(5), ..small() };
    let mut failed = false;
    for _ in 0..2 {
        let mut store = match open(copied.path(), options.clone()) {
            Ok(store) => store,
            Err(error) => panic!("{name}: {error}"),
        };
        match model.difference(&mut store) {
            Ok(None) => return (store.recovery().rebuilt.is_some(), failed),
            Ok(Some(difference)) => panic!("{name}: in silence, {difference}"),
            // found on a later read: the next start rebuilds
            Err(_) => failed = true,
        }
    }
    panic!("{name}: the rebuilt database fails too");
}

#[test]
fn sto_09_sto_10_a_flipped_bit_is_repaired() {
    let dir = tempfile::tempdir().expect("a directory");
    let model = prepare(dir.path(), seed(31));
    let files = index_files(dir.path());
    assert!(files.iter().any(|path| path.ends_with("db")));
    let mut rng = StdRng::seed_from_u64(seed(31));
    let mut rebuilt = 0;
    for round in 0..48 {
        let file = files[round % files.len()].strip_prefix(dir.path()).expect("inside").to_owned();
        let length = fs::metadata(dir.path().join(&file)).expect("there").len();
        let bit = rng.random_range(0..length * 8);
        let name = format!("bit {bit} of {}", file.display());
        let (again, _) = require_same(dir.path(), &model, &name, |dir| {
            let mut bytes = fs::read(dir.join(&file)).expect("read");
            bytes[(bit / 8) as usize] ^= 1 << (bit % 8);
            fs::write(dir.join(&file), bytes).expect("written");
        });
        rebuilt += usize::from(again);
    }
    assert!(rebuilt > 0, "no flip was ever noticed");
}

#[test]
fn sto_11_a_zeroed_page_or_a_cut_tail_is_repaired() {
    let dir = tempfile::tempdir().expect("a directory");
    let model = prepare(dir.path(), seed(32));
    let length = fs::metadata(dir.path().join("index/00000/db")).expect("there").len();
    let mut rng = StdRng::seed_from_u64(seed(32));
    for round in 0..24 {
        let place = rng.random_range(0..length);
        require_same(dir.path(), &model, &format!("round {round}, byte {place}"), |dir| {
            let path = dir.join("index/00000/db");
            let mut bytes = fs::read(&path).expect("read");
            if round % 2 == 0 {
                let page = place as usize / 4096 * 4096;
                let end = bytes.len().min(page + 4096);
                bytes[page..end].fill(0);
            } else {
                bytes.truncate(place as usize);
            }
            fs::write(&path, bytes).expect("written");
        });
    }
}

#[test]
fn a_note_left_by_an_earlier_run_rebuilds_and_goes() {
    let dir = tempfile::tempdir().expect("a directory");
    let model = prepare(dir.path(), 33);
    fs::write(dir.path().join("REBUILD"), "a page did not decode").expect("written");
    let mut store = open(dir.path(), small()).expect("opened");
    assert_eq!(store.recovery().rebuilt.as_deref(), Some("a page did not decode"));
    model.assert_same(&mut store);
    drop(store);
    let mut store = open(dir.path(), small()).expect("opened");
    assert_eq!(store.recovery().rebuilt, None);
    model.assert_same(&mut store);
    assert_eq!(fs::read_dir(dir.path().join("index")).expect("listed").count(), 1, "the broken one is gone");
}
