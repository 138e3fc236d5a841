//! The store on disk against a naive model: random changes, reopened and crashed at every step.

use std::sync::{Arc, Mutex};

use crate::flood::Flood;
use crate::support::{Model, copy, open, seed, small};
use tine_chain::change::Change;
use tine_chain::coins::Coin;
use tine_chain::store::{SledOptions, Stage, Store};

#[test]
fn utx_01_random_changes_agree_with_the_model_after_every_step() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut store = open(dir.path(), small()).expect("opened");
    let mut model = Model::new(seed(1));
    for _ in 0..300 {
        let change = model.next_change();
        store.commit(&change).expect("committed");
        if model.step.is_multiple_of(7) {
            model.assert_same(&mut store);
        }
    }
    store.flush().expect("flushed");
    model.assert_same(&mut store);
}

#[test]
fn a_clean_stop_leaves_nothing_to_replay() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut model = Model::new(2);
    for _ in 0..8 {
        let mut store = open(dir.path(), small()).expect("opened");
        assert_eq!(store.recovery(), &Default::default());
        model.assert_same(&mut store);
        for _ in 0..10 {
            store.commit(&model.next_change()).expect("committed");
        }
        store.flush().expect("flushed");
    }
}

#[test]
fn a_stop_without_a_flush_is_replayed() {
    let dir = tempfile::tempdir().expect("a directory");
    let options = SledOptions { flush_commits: u64::MAX, cache_bytes: 1 << 30, ..small() };
    let mut model = Model::new(3);
    for round in 0..8 {
        let mut store = open(dir.path(), options.clone()).expect("opened");
        assert_eq!(store.recovery().replayed, round * 10);
        model.assert_same(&mut store);
        for _ in 0..10 {
            store.commit(&model.next_change()).expect("committed");
        }
    }
}

#[test]
fn sto_01_a_crash_at_any_stage_loses_nothing_that_was_acknowledged() {
    let dir = tempfile::tempdir().expect("a directory");
    let copies = tempfile::tempdir().expect("a directory");
    let stages: Arc<Mutex<Vec<Stage>>> = Arc::default();
    let hook = {
        let (dir, copies, stages) = (dir.path().to_owned(), copies.path().to_owned(), Arc::clone(&stages));
        move |stage: &Stage| {
            let mut stages = stages.lock().expect("one thread");
            copy(&dir, &copies.join(stages.len().to_string()));
            stages.push(stage.clone());
            Ok(())
        }
    };
    let mut store =
        open(dir.path(), SledOptions { on_stage: Some(Arc::new(hook)), ..small() }).expect("opened");
    let mut model = Model::new(seed(4));
    let mut acknowledged = Vec::new();
    for _ in 0..60 {
        store.commit(&model.next_change()).expect("committed");
        acknowledged.resize(stages.lock().expect("one thread").len(), model.step - 1);
    }
    let stages = stages.lock().expect("one thread").clone();
    assert!(stages.iter().filter(|stage| matches!(stage, Stage::FlushSlice { .. })).count() > 2);
    let models: Vec<Model> = (0..=60).map(|steps| Model::after(seed(4), steps)).collect();
    for (number, stage) in stages.iter().enumerate() {
        let path = copies.path().join(number.to_string());
        let mut store = open(&path, small()).unwrap_or_else(|error| panic!("{number} {stage:?}: {error}"));
        // the commit under way may be there: whole, or not at all
        let before = &models[acknowledged[number] as usize];
        let after = &models[acknowledged[number] as usize + 1];
        let before_it = before.difference(&mut store).expect("readable");
        let after_it = after.difference(&mut store).expect("readable");
        assert!(before_it.is_none() || after_it.is_none(), "{number} {stage:?}: {before_it:?} {after_it:?}");
        if matches!(
            stage,
            Stage::Committed
                | Stage::FlushBegin { .. }
                | Stage::FlushSlice { .. }
                | Stage::FlushSync
                | Stage::FlushMark
        ) {
            assert_eq!(after_it, None, "{number} {stage:?}");
        }
        assert_eq!(store.recovery().rebuilt, None, "{number} {stage:?}");
        // sto-02: and it goes on from there
        let mut model = Model::after(seed(4), if after_it.is_none() { after.step } else { before.step });
        for _ in 0..3 {
            store.commit(&model.next_change()).expect("committed");
        }
        model.assert_same(&mut store);
    }
}

#[test]
fn a_database_of_any_earlier_time_is_brought_up_to_date() {
    // what a power cut does to sled, which syncs only when it is told to
    let dir = tempfile::tempdir().expect("a directory");
    let copies = tempfile::tempdir().expect("a directory");
    let mut store = open(dir.path(), small()).expect("opened");
    let mut model = Model::new(seed(5));
    for step in 0..100 {
        store.commit(&model.next_change()).expect("committed");
        if step % 10 == 0 {
            copy(&dir.path().join("index"), &copies.path().join(step.to_string()));
        }
    }
    drop(store);
    for step in (0..100).step_by(10) {
        std::fs::remove_dir_all(dir.path().join("index")).expect("removed");
        copy(&copies.path().join(step.to_string()), &dir.path().join("index"));
        let mut store = open(dir.path(), small()).expect("opened");
        assert!(store.recovery().replayed > 0);
        assert_eq!(store.recovery().rebuilt, None);
        model.assert_same(&mut store);
    }
}

#[test]
fn a_coin_that_a_flush_wrote_and_a_later_commit_spent_stays_spent_after_a_crash() {
    let dir = tempfile::tempdir().expect("a directory");
    let copies = tempfile::tempdir().expect("a directory");
    let hook = {
        let (dir, copies) = (dir.path().to_owned(), copies.path().to_owned());
        let marks = Mutex::new(0);
        move |stage: &Stage| {
            if *stage == Stage::FlushMark {
                let mut marks = marks.lock().expect("one thread");
                copy(&dir, &copies.join(marks.to_string()));
                *marks += 1;
            }
            Ok(())
        }
    };
    let options = SledOptions { on_stage: Some(Arc::new(hook)), flush_commits: 1, ..SledOptions::default() };
    let mut store = open(dir.path(), options).expect("opened");
    let mut flood = Flood::new(6);
    // its coins are in sled, the marker is still before them
    store.commit(&flood.mint(100)).expect("committed");
    let spending = flood.pay(50);
    store.commit(&spending).expect("committed");
    let store = open(&copies.path().join("0"), SledOptions::default()).expect("opened");
    assert_eq!(store.recovery().replayed, 2, "the crash came before the marker moved");
    for (outpoint, _) in &spending.spent {
        assert_eq!(store.coin(outpoint).expect("readable"), None);
    }
    let mut count = 0;
    store.for_each_coin(&mut |_, _| count += 1).expect("readable");
    assert_eq!(count, flood.coins.len());
}

#[test]
fn a_coin_made_anew_at_another_height_is_gone_when_it_is_spent() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut store = open(dir.path(), SledOptions::default()).expect("opened");
    let mut flood = Flood::new(7);
    store.commit(&flood.mint(10)).expect("committed");
    // sled has the coins now, and the cache has forgotten them
    store.flush().expect("flushed");
    let (outpoint, coin) = flood.coins[0];
    let old = flood.mint(1).connected;
    let again = Coin { height: 9, ..coin };
    let reorg = Change {
        disconnected: old,
        spent: vec![(outpoint, coin)],
        created: vec![(outpoint, again)],
        ..Change::default()
    };
    store.commit(&reorg).expect("committed");
    assert_eq!(store.coin(&outpoint).expect("readable"), Some(again));
    store.commit(&Change { spent: vec![(outpoint, again)], ..Change::default() }).expect("committed");
    assert_eq!(store.coin(&outpoint).expect("readable"), None);
    store.flush().expect("flushed");
    assert_eq!(store.coin(&outpoint).expect("readable"), None);
}
