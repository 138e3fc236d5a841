//! What is broken on purpose: torn tails, flipped bits, missing files, failing disks.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::support::{Model, copy, open, params, small};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tine_chain::block::Block;
use tine_chain::chain::{Chain, ChainOptions};
use tine_chain::codec::Encode;
use tine_chain::hash::BlockHash;
use tine_chain::params::{Network, Params};
use tine_chain::pow::CompactTarget;
use tine_chain::store::testing::body_record;
use tine_chain::store::{SledOptions, SledStore, Stage, Store, StoreError};
use tine_chain::testing::TestTree;

/// Nothing reaches sled but at a clean stop.
fn unflushed() -> SledOptions {
    SledOptions { flush_commits: u64::MAX, cache_bytes: 1 << 30, ..small() }
}

/// A directory after `steps` of `seed`, flushed or not, and the model.
fn prepare(seed: u64, steps: u64, flush: bool) -> (tempfile::TempDir, Model) {
    let dir = tempfile::tempdir().expect("a directory");
    let mut store = open(dir.path(), unflushed()).expect("opened");
    let mut model = Model::new(seed);
    for _ in 0..steps {
        store.commit(&model.next_change()).expect("committed");
    }
    if flush {
        store.flush().expect("flushed");
    }
    (dir, model)
}

fn journal(dir: &Path) -> PathBuf {
    dir.join("journal.dat")
}

fn last_block_file(dir: &Path) -> PathBuf {
    let mut files: Vec<_> = fs::read_dir(dir.join("blocks"))
        .expect("listed")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    files.sort();
    files.pop().expect("a block file")
}

fn flip(path: &Path, bit: usize) {
    let mut bytes = fs::read(path).expect("read");
    bytes[bit / 8] ^= 1 << (bit % 8);
    fs::write(path, bytes).expect("written");
}

/// A fresh copy of `dir`.
fn copied(dir: &Path) -> tempfile::TempDir {
    let new = tempfile::tempdir().expect("a directory");
    copy(dir, new.path());
    new
}

#[test]
fn sto_12_a_journal_torn_at_any_byte_of_its_last_record_ends_before_it() {
    let (dir, before) = prepare(11, 20, true);
    let length = fs::metadata(journal(dir.path())).expect("there").len();
    let mut model = Model::after(11, 20);
    let mut store = open(dir.path(), unflushed()).expect("opened");
    store.commit(&model.next_change()).expect("committed");
    drop(store);
    let whole = fs::read(journal(dir.path())).expect("read");
    for cut in length..=whole.len() as u64 {
        fs::write(journal(dir.path()), &whole[..cut as usize]).expect("written");
        let mut store = open(dir.path(), unflushed()).expect("opened");
        if cut == whole.len() as u64 {
            model.assert_same(&mut store);
        } else {
            before.assert_same(&mut store);
            let torn = store.recovery().cut.iter().map(|tail| (tail.kept, tail.cut));
            assert!(torn.eq((cut > length).then_some((length, cut - length))));
        }
    }
}

#[test]
fn sto_12_a_block_file_torn_at_any_byte_behind_the_last_commit_is_cut() {
    let (dir, model) = prepare(12, 20, true);
    let commit = fs::read(journal(dir.path())).expect("read");
    let path = last_block_file(dir.path());
    let length = fs::metadata(&path).expect("there").len();
    let mut later = Model::after(12, 20);
    let mut store =
        open(dir.path(), SledOptions { block_file_bytes: 1 << 20, ..unflushed() }).expect("opened");
    store.commit(&later.extend(0, 1)).expect("committed");
    drop(store);
    // the crash came before the journal had the commit
    fs::write(journal(dir.path()), commit).expect("written");
    let whole = fs::read(&path).expect("read");
    assert!(whole.len() as u64 > length);
    for cut in length..=whole.len() as u64 {
        fs::write(&path, &whole[..cut as usize]).expect("written");
        let mut store = open(dir.path(), unflushed()).expect("opened");
        model.assert_same(&mut store);
        drop(store);
        let kept = fs::metadata(&path).expect("there").len();
        assert!(kept <= cut && kept >= length);
    }
}

#[test]
fn sto_12_a_bit_flipped_in_the_journal_is_named() {
    let (dir, _) = prepare(13, 12, false);
    let bits = fs::metadata(journal(dir.path())).expect("there").len() as usize * 8;
    let mut rng = StdRng::seed_from_u64(13);
    let last = {
        let shorter = prepare(13, 11, false).0;
        fs::metadata(journal(shorter.path())).expect("there").len() as usize * 8
    };
    for round in 0..60 {
        let dir = copied(dir.path());
        let bit = if round < 50 { rng.random_range(0..last) } else { rng.random_range(last..bits) };
        flip(&journal(dir.path()), bit);
        match open(dir.path(), unflushed()) {
            // in the last record: as if the commit had been torn
            Ok(mut store) => {
                assert!(bit >= last, "bit {bit}");
                assert_eq!(store.recovery().cut.first().map(|tail| tail.kept * 8), Some(last as u64));
                Model::after(13, 11).assert_same(&mut store);
            }
            Err(error) => {
                assert!(bit < last && matches!(error, StoreError::Corrupt { .. }), "bit {bit}: {error}");
                assert!(error.to_string().contains("journal.dat"), "{error}");
                assert!(error.to_string().contains("--reindex"), "{error}");
            }
        }
    }
}

#[test]
fn acknowledged_commits_that_the_database_knows_of_are_missed() {
    let (dir, _) = prepare(14, 12, true);
    let length = fs::metadata(journal(dir.path())).expect("there").len();
    let file = fs::File::options().write(true).open(journal(dir.path())).expect("opened");
    file.set_len(length - 1).expect("cut");
    let error = open(dir.path(), unflushed()).err().expect("refused");
    assert!(matches!(&error, StoreError::Corrupt { what } if what.contains("journal.dat")), "{error}");
}

#[test]
fn sto_12_a_bit_flipped_in_a_block_file_is_never_read_as_something_else() {
    let (dir, model) = prepare(15, 15, true);
    let files: Vec<_> = fs::read_dir(dir.path().join("blocks"))
        .expect("listed")
        .map(|entry| PathBuf::from("blocks").join(entry.expect("an entry").file_name()))
        .collect();
    let mut rng = StdRng::seed_from_u64(15);
    for _ in 0..40 {
        let dir = copied(dir.path());
        let path = dir.path().join(&files[rng.random_range(0..files.len())]);
        flip(&path, rng.random_range(0..fs::metadata(&path).expect("there").len() as usize * 8));
        let mut store = open(dir.path(), unflushed()).expect("coins and headers don't need old bodies");
        let error = model.difference(&mut store).expect_err("some body or undo data is damaged");
        let name = path.file_name().expect("a name").to_str().expect("digits");
        assert!(matches!(&error, StoreError::Corrupt { what } if what.contains(name)), "{error}");
        drop(store);

        // utx-03: undo data or a body that the replay needs
        fs::remove_dir_all(dir.path().join("index")).expect("removed");
        let error = open(dir.path(), unflushed()).map(|_| ());
        if let Err(error) = error {
            assert!(matches!(&error, StoreError::Corrupt { what } if what.contains(name)), "{error}");
        }
    }
}

#[test]
fn sto_12_records_that_changed_places_are_noticed() {
    let (dir, model) = prepare(16, 6, true);
    let path = last_block_file(dir.path());
    let bytes = fs::read(&path).expect("read");
    // every record of the file, by its prefix: magic, length, checksum
    let mut records = Vec::new();
    let mut rest = &bytes[..];
    while !rest.is_empty() {
        let length = 12 + u32::from_le_bytes(rest[4..8].try_into().expect("four")) as usize;
        records.push(&rest[..length]);
        rest = &rest[length..];
    }
    let of_one_length = records.iter().enumerate().find_map(|(first, record)| {
        let second = (first + 1..records.len())
            .find(|second| records[*second].len() == record.len() && records[*second][..4] == record[..4])?;
        Some((first, second))
    });
    let (first, second) = of_one_length.expect("two records of one length");
    records.swap(first, second);
    fs::write(&path, records.concat()).expect("written");
    let mut store = open(dir.path(), unflushed()).expect("opened");
    let error = model.difference(&mut store).expect_err("another block lies there");
    assert!(matches!(&error, StoreError::Corrupt { .. }), "{error}");
}

#[test]
fn sto_13_a_missing_piece_is_named_and_nothing_is_lost_when_it_comes_back() {
    let (dir, model) = prepare(17, 15, true);
    for piece in ["FORMAT", "journal.dat", "blocks/00000.dat", "blocks"] {
        let (path, aside) = (dir.path().join(piece), dir.path().join("aside"));
        fs::rename(&path, &aside).expect("moved");
        let error = open(dir.path(), unflushed()).err().unwrap_or_else(|| panic!("{piece} is not missed"));
        let name = if piece == "blocks" { "blocks" } else { piece };
        assert!(error.to_string().contains(name), "{piece}: {error}");
        assert!(!path.exists(), "{piece} is not made anew");
        fs::rename(&aside, &path).expect("moved back");
        model.assert_same(&mut open(dir.path(), unflushed()).expect("opened"));
    }
}

#[test]
fn sto_13_a_missing_database_is_rebuilt_to_the_same() {
    for steps in [3, 40, 150] {
        let (dir, model) = prepare(18, steps, steps == 40);
        fs::remove_dir_all(dir.path().join("index")).expect("removed");
        let mut store = open(dir.path(), small()).expect("opened");
        assert_eq!(store.recovery().rebuilt.as_deref(), Some("it is missing"));
        assert_eq!(store.recovery().replayed, steps);
        model.assert_same(&mut store);
    }
}

#[test]
fn sto_15_a_second_store_is_refused_while_anyone_can_read_the_first() {
    let (dir, model) = prepare(19, 5, false);
    let store = open(dir.path(), small()).expect("opened");
    assert!(matches!(open(dir.path(), small()), Err(StoreError::Locked { .. })));
    assert!(matches!(SledStore::reindex(dir.path(), &params(), small()), Err(StoreError::Locked { .. })));
    let reader = store.reader();
    drop(store);
    assert!(matches!(open(dir.path(), small()), Err(StoreError::Locked { .. })));
    assert!(reader.block(&model.tip().expect("blocks")).expect("readable").is_some());
    drop(reader);
    model.assert_same(&mut open(dir.path(), small()).expect("opened"));
}

#[test]
fn sto_17_another_format_or_network_is_refused_and_nothing_changed() {
    let (dir, model) = prepare(20, 5, false);
    let other = SledStore::open(dir.path(), &Params::of(Network::Devnet), small()).err();
    assert!(matches!(other, Some(StoreError::Network { .. })), "{other:?}");
    let path = dir.path().join("FORMAT");
    let text = fs::read_to_string(&path).expect("read");
    fs::write(&path, format!("3 {}", &text[2..])).expect("written");
    let newer = open(dir.path(), small()).err().expect("refused");
    assert!(matches!(newer, StoreError::Format { found: 3, known: 2, .. }), "{newer}");
    assert!(newer.to_string().contains("newer program"));
    let reindex = SledStore::reindex(dir.path(), &params(), small()).err();
    assert!(matches!(reindex, Some(StoreError::Format { .. })), "{reindex:?}");
    fs::write(&path, "rubbish").expect("written");
    assert!(matches!(open(dir.path(), small()), Err(StoreError::Corrupt { .. })));
    fs::write(&path, text).expect("written");
    model.assert_same(&mut open(dir.path(), small()).expect("opened"));
}

#[test]
fn sto_07_after_a_failed_sync_nothing_is_committed_until_a_restart() {
    for failing in [Stage::SyncBlocks, Stage::AppendJournal, Stage::SyncJournal, Stage::FlushMark] {
        let (dir, mut model) = prepare(21, 5, true);
        let fail = Arc::new(AtomicBool::new(false));
        let hook = {
            let (fail, failing) = (Arc::clone(&fail), failing.clone());
            move |stage: &Stage| match *stage == failing && fail.swap(false, Ordering::SeqCst) {
                true => Err(std::io::Error::from_raw_os_error(5)),
                false => Ok(()),
            }
        };
        let options = SledOptions { on_stage: Some(Arc::new(hook)), flush_commits: 1, ..small() };
        let mut store = open(dir.path(), options).expect("opened");
        store.commit(&model.extend(0, 1)).expect("committed");
        fail.store(true, Ordering::SeqCst);
        let mut result = Ok(());
        while result.is_ok() {
            result = store.commit(&model.extend(0, 1));
        }
        assert!(matches!(result, Err(StoreError::Io { .. })), "{failing:?}: {result:?}");
        let again = store.commit(&model.extend(0, 1));
        assert!(matches!(again, Err(StoreError::Io { .. })), "the disk works again, and still: {again:?}");
        assert!(store.flush().is_err());
        drop(store);
        let store = open(dir.path(), small()).expect("opened");
        assert_eq!(store.recovery().rebuilt, None);
    }
}

#[test]
fn sto_14_reindex_keeps_bodies_order_verdicts_and_the_journal() {
    let (dir, model) = prepare(22, 60, true);
    let mut store = SledStore::reindex(dir.path(), &params(), small()).expect("reindexed");
    let loaded = store.load().expect("loaded");
    assert_eq!(loaded.tip, None, "the chain connects every block again");
    assert!(loaded.bodies.iter().eq(model.bodies.keys()));
    assert_eq!(loaded.journal, model.journal);
    let order = |header: &tine_chain::change::HeaderRecord| {
        (header.hash, header.height, header.sequence, header.seen)
    };
    let mut found: Vec<_> = loaded.headers.iter().map(order).collect();
    found.sort_unstable();
    assert!(found.into_iter().eq(model.headers.values().map(order)));
    for header in &loaded.headers {
        let manual = |header: &tine_chain::change::HeaderRecord| {
            header.invalid == Some(tine_chain::change::Invalidity::Manual)
        };
        assert_eq!(manual(header), manual(&model.headers[&header.hash]));
    }
    let mut coins = 0;
    store.for_each_coin(&mut |_, _| coins += 1).expect("readable");
    assert_eq!(coins, 0);
    drop(store);
    // an interrupted one goes on at the next start, with or without a second --reindex
    let mut store = open(dir.path(), small()).expect("opened");
    assert_eq!(store.load().expect("loaded").bodies.len(), model.bodies.len());
}

#[test]
fn sto_14_reindex_survives_a_lost_journal_and_damaged_bodies() {
    let (dir, model) = prepare(23, 40, true);
    fs::remove_file(journal(dir.path())).expect("removed");
    fs::remove_file(dir.path().join("FORMAT")).expect("removed");
    let path = dir.path().join("blocks/00001.dat");
    let middle = fs::metadata(&path).expect("there").len() as usize * 4;
    flip(&path, middle);
    let mut store = SledStore::reindex(dir.path(), &params(), small()).expect("reindexed");
    let loaded = store.load().expect("loaded");
    let missing: Vec<_> = model.bodies.keys().filter(|hash| !loaded.bodies.contains(hash)).collect();
    // without the journal nothing knows the header of a damaged body: what builds on it waits for it too
    let is_missing = |hash: &BlockHash| missing.contains(&hash);
    let damaged = missing.iter().filter(|hash| !is_missing(&model.headers[*hash].header.prev_block)).count();
    assert!(damaged <= 1, "one record is damaged: {missing:?}");
    let reader = store.reader();
    for hash in &loaded.bodies {
        assert_eq!(reader.block(hash).expect("readable").as_ref(), Some(&model.bodies[hash]));
    }
    for header in &loaded.headers {
        assert_eq!(header.height, model.headers[&header.hash].height);
    }
}

#[test]
fn sto_14_a_reindex_judges_headers_and_bodies_again() {
    let mut tree = TestTree::regtest();
    tree.draw("genesis a1 a2");
    // a record that somebody hid in a witness comes to light when the block around it is damaged
    tree.block_with("planted", "genesis", &[], |draft| {
        draft.header.bits = CompactTarget(0x1d00_ffff);
        draft.without_work = true;
    });
    // has work, and is no block all the same: nobody mined this coinbase at that height
    tree.block_with("early", "a2", &[], |draft| draft.coinbase.lock_time += 1);
    tree.draw("early more");
    // and another that has a good header and not its transactions
    let swapped =
        Block { header: tree.block("a2").header, transactions: tree.block("a1").transactions.clone() };
    let dir = tempfile::tempdir().expect("a directory");
    fs::create_dir(dir.path().join("blocks")).expect("a directory");
    let drawn = ["a1", "planted", "a2", "early", "more"].map(|name| tree.block(name));
    let bodies = std::iter::once(swapped.into()).chain(drawn);
    let records: Vec<_> = bodies.map(|block| body_record(&block.to_bytes())).collect();
    fs::write(dir.path().join("blocks/00000.dat"), records.concat()).expect("written");
    let store = SledStore::reindex(dir.path(), &tree.params, small()).expect("reindexed");
    let mut chain =
        Chain::open(tree.params.clone(), Box::new(store), ChainOptions::default()).expect("opened");
    tree.activate(&mut chain);
    assert_eq!(tree.tip(&chain), "a2");
    assert!(chain.tree().get(&tree.hash("planted")).is_none());
    assert!(!chain.has_body(&tree.hash("early")));
}
