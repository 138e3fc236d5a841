//! `mempool.dat`: a restart loses nothing that is still good.

use std::time::Duration;

use tine_node::Restored;
use tine_node::mempool::{Dump, DumpError, EXPIRY};

use crate::harness::*;
use crate::rig_with_coins;

/// Another node with the same chain and an empty mempool.
fn restarted(rig: &Rig) -> Rig {
    let mut fresh = Rig::with(new_node(3));
    fresh.now = rig.now;
    for block in rig.blocks() {
        fresh.submit_block(&block).expect("valid");
    }
    fresh
}

#[test]
fn a_mempool_comes_back_with_its_order_its_times_and_its_preferences() {
    let (mut rig, funds) = rig_with_coins(3);
    let parent = forward(funds[0], 2, FEE);
    let child = forward(Funds::of(&parent, 0, 2), 3, FEE);
    let other = forward(funds[1], 2, 2 * FEE);
    let absent = forward(funds[2], 2, FEE);
    rig.submit_tx(&parent).expect("valid");
    rig.pass(Duration::from_secs(100));
    rig.submit_tx(&other).expect("valid");
    rig.submit_tx(&child).expect("valid");
    rig.node.prioritise(other.txid(), -500);
    rig.node.prioritise(absent.txid(), 700);
    let file = Dump::of(rig.node.mempool()).to_file();

    let mut fresh = restarted(&rig);
    fresh.pass(Duration::from_secs(3_600));
    let dump = Dump::from_file(&file).expect("as written");
    let (actions, restored) = fresh.node.restore(&dump.entries, fresh.now).expect("memory never fails");
    assert_eq!(restored, Restored { accepted: 3, ..Restored::default() });
    assert!(published(&actions).is_empty());
    for (txid, delta) in dump.deltas {
        fresh.node.prioritise(txid, delta);
    }
    let entries = |rig: &Rig| -> Vec<_> {
        let entries = rig.node.mempool().entries();
        entries.map(|entry| (entry.tx.txid(), entry.fee, entry.modified, entry.time)).collect()
    };
    assert_eq!(entries(&fresh), entries(&rig));
    assert_eq!(Dump::of(fresh.node.mempool()).to_file(), file);
    let (_, again) =
        fresh.node.restore(&Dump::from_file(&file).expect("as written").entries, fresh.now).expect("memory");
    assert_eq!(again, Restored { known: 3, ..Restored::default() });
}

#[test]
fn what_is_too_old_or_no_longer_good_stays_away() {
    let (mut rig, funds) = rig_with_coins(3);
    let old = forward(funds[0], 2, FEE);
    rig.submit_tx(&old).expect("valid");
    rig.pass(Duration::from_secs(3_600));
    let spent = forward(funds[1], 2, FEE);
    let good = forward(funds[2], 2, FEE);
    rig.submit_tx(&spent).expect("valid");
    rig.submit_tx(&good).expect("valid");
    let dump = Dump::of(rig.node.mempool());
    let mut fresh = restarted(&rig);
    fresh.submit_tx(&forward(funds[1], 5, FEE)).expect("valid");
    fresh.mine(1);
    fresh.pass(EXPIRY - Duration::from_secs(600));
    let (_, restored) = fresh.node.restore(&dump.entries, fresh.now).expect("memory never fails");
    assert_eq!(restored, Restored { accepted: 1, expired: 1, refused: 1, known: 0 });
    assert!(fresh.has_tx(&good));
}

#[test]
fn a_damaged_file_is_refused_whole_and_says_why() {
    let (mut rig, funds) = rig_with_coins(1);
    rig.submit_tx(&forward(funds[0], 2, FEE)).expect("valid");
    let file = Dump::of(rig.node.mempool()).to_file();
    for byte in 0..file.len() {
        let mut damaged = file.clone();
        damaged[byte] ^= 0x10;
        assert!(Dump::from_file(&damaged).is_err(), "byte {byte}");
        assert!(Dump::from_file(&file[..byte]).is_err(), "{byte} bytes");
    }
    let mut newer = file.clone();
    newer[4] = 9;
    assert_eq!(Dump::from_file(&newer), Err(DumpError::Version(9)));
    assert_eq!(Dump::from_file(&[]), Err(DumpError::Kind));
    let text = Dump::from_file(&file[1..]).expect_err("cut").to_string();
    assert_eq!(text, "it is no such file");
}
