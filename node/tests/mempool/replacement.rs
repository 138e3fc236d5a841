//! Replacement by fee (BIP 125, without signalling) and transactions of version 3 (BIP 431).

use std::sync::Arc;

use tine_chain::reject::Reject;
use tine_chain::transaction::Transaction;
use tine_node::event::Removal;
use tine_node::mempool::{ENTRY_OVERHEAD, Limits, TRUC_CHILD_MAX_SIZE, TRUC_VERSION};

use crate::harness::*;
use crate::{removals, rig_with_coins, rig_with_limits, submit};

/// Bytes of a payment of one input and one output.
const SIZE: u64 = 188;

fn in_pool(rig: &Rig, txs: &[&Arc<Transaction>]) -> Vec<bool> {
    txs.iter().map(|tx| rig.has_tx(tx)).collect()
}

#[test]
fn mem_03_a_replacement_that_pays_for_it_takes_the_place_of_the_whole_family() {
    let (mut rig, funds) = rig_with_coins(1);
    let original = forward(funds[0], 2, FEE);
    let child = forward(Funds::of(&original, 0, 2), 3, FEE);
    rig.submit_tx(&original).expect("valid");
    rig.submit_tx(&child).expect("valid");
    let replacement = forward(funds[0], 4, 2 * FEE + SIZE);
    let actions = submit(&mut rig, &replacement);
    let why = Removal::Replaced { coin: funds[0].outpoint, by: replacement.txid() };
    assert_eq!(removals(&actions), vec![(original.txid(), why.clone()), (child.txid(), why)]);
    assert_eq!(in_pool(&rig, &[&original, &child, &replacement]), [false, false, true]);
    assert_eq!(published(&actions).len(), 1);
    let pool = rig.node.mempool();
    assert_eq!((pool.len(), pool.bytes(), pool.total_fees().0), (1, SIZE, 2 * FEE + SIZE));
    assert_eq!(rig.mine(1).transactions[1].txid(), replacement.txid());
}

/// Each row: what the replacement is, and the rule that refuses it. The original pays FEE, its child 3 × FEE.
#[test]
fn mem_03_each_rule_of_replacement_refuses() {
    let (mut rig, funds) = rig_with_coins(3);
    let original = forward(funds[0], 7, FEE);
    let child = forward(Funds::of(&original, 0, 7), 2, 3 * FEE);
    let other = forward(funds[1], 7, FEE);
    for tx in [&original, &child, &other] {
        rig.submit_tx(tx).expect("valid");
    }
    let unconfirmed = Funds::of(&other, 0, 7);
    let many: Vec<_> = (0..50).map(|_| (3, (REWARD - 5 * FEE) / 50)).collect();
    let rows = [
        (
            "in total no more than the original and its child",
            forward(funds[0], 3, 4 * FEE),
            Reject::InsufficientFee,
        ),
        ("not for its own bytes on top", forward(funds[0], 3, 4 * FEE + SIZE - 1), Reject::InsufficientFee),
        ("less for each byte than the original", pay(&funds[..1], &many), Reject::InsufficientFee),
        (
            "an unconfirmed input that the original had not",
            pay(&[funds[0], unconfirmed], &[(3, REWARD)]),
            Reject::ReplacementAddsUnconfirmed,
        ),
        (
            "an output of what it replaces",
            pay(&[funds[0], Funds::of(&original, 0, 7)], &[(3, REWARD)]),
            Reject::SpendsConflicting,
        ),
    ];
    let before = rig.node.mempool().changes();
    for (what, tx, reject) in rows {
        assert_eq!(rig.submit_tx(&tx), Err(reject), "{what}");
    }
    assert_eq!(rig.node.mempool().changes(), before, "nothing has moved");
    let enough = forward(funds[0], 3, 4 * FEE + SIZE);
    rig.submit_tx(&enough).expect("exactly enough");
    assert_eq!(in_pool(&rig, &[&original, &child, &other, &enough]), [false, false, true, true]);
}

#[test]
fn mem_03_at_most_a_hundred_are_replaced() {
    let (mut rig, funds) = rig_with_coins(6);
    let mut originals: Vec<Funds> = Vec::new();
    for coin in &funds[..5] {
        let outputs: Vec<_> = (0..20).map(|_| (7, (REWARD - FEE) / 20)).collect();
        let parent = pay(&[*coin], &outputs);
        rig.submit_tx(&parent).expect("valid");
        for vout in 0..20 {
            rig.submit_tx(&forward(Funds::of(&parent, vout, 7), 2, FEE)).expect("valid");
        }
        originals.push(*coin);
    }
    assert_eq!(rig.node.mempool().len(), 105);
    let too_many = pay(&originals, &[(3, REWARD)]);
    assert_eq!(rig.submit_tx(&too_many), Err(Reject::TooManyReplacements));
    let fewer = pay(&originals[..4], &[(3, REWARD)]);
    rig.submit_tx(&fewer).expect("84 are not too many");
    assert_eq!(rig.node.mempool().len(), 22);
}

#[test]
fn mem_05_what_is_replaced_makes_room_for_its_replacement() {
    let (mut rig, funds) = rig_with_coins(2);
    let outputs: Vec<_> = (0..25).map(|_| (7, REWARD / 25 - FEE)).collect();
    let parent = pay(&funds[..1], &outputs);
    rig.submit_tx(&parent).expect("valid");
    for vout in 0..24 {
        rig.submit_tx(&forward(Funds::of(&parent, vout, 7), 2, FEE)).expect("within the limit");
    }
    let one_more = forward(Funds::of(&parent, 24, 7), 2, FEE);
    assert_eq!(rig.submit_tx(&one_more), Err(Reject::TooLongChain));
    let instead = pay(&[Funds::of(&parent, 0, 7), Funds::of(&parent, 24, 7)], &[(3, REWARD / 25)]);
    rig.submit_tx(&instead).expect("it takes a sibling's place");
    assert_eq!(rig.node.mempool().get(&parent.txid()).expect("there").descendants.count, 25);
}

/// A low-fee descendant as large as can be, hung on an output that two share, must not keep the other from replacing.
#[test]
fn mem_06_a_child_of_version_3_can_be_evicted_by_its_sibling() {
    let (mut rig, funds) = rig_with_coins(1);
    let version_3 = |coins: &[Funds], outputs: &[(u8, u64)]| {
        let mut data = draft(coins, outputs);
        data.version = TRUC_VERSION;
        signed(data, coins)
    };
    let parent = version_3(&funds, &[(2, REWARD / 2), (3, REWARD / 2 - FEE)]);
    rig.submit_tx(&parent).expect("valid");
    let (theirs, ours) = (Funds::of(&parent, 0, 2), Funds::of(&parent, 1, 3));
    let spread = |coin: Funds, count: u64, fee: u64| {
        let outputs: Vec<_> = (0..count).map(|_| (2, (coin.output.value.0 - fee) / count)).collect();
        version_3(&[coin], &outputs)
    };
    // the size of a pin is bounded
    let pin = spread(theirs, 30, 1_400);
    assert!(pin.size() > TRUC_CHILD_MAX_SIZE);
    assert_eq!(rig.submit_tx(&pin), Err(Reject::Truc));
    let pin = spread(theirs, 20, 1_000);
    rig.submit_tx(&pin).expect("small enough");
    // the sibling goes by the rules of replacement
    let fee = REWARD / 2 - FEE;
    let low = version_3(&[ours], &[(4, fee - 1_000)]);
    assert_eq!(rig.submit_tx(&low), Err(Reject::InsufficientFee));
    let bump = version_3(&[ours], &[(4, fee - 2_000)]);
    let actions = submit(&mut rig, &bump);
    let why = Removal::Replaced { coin: theirs.outpoint, by: bump.txid() };
    assert_eq!(removals(&actions), vec![(pin.txid(), why)]);
    assert_eq!(in_pool(&rig, &[&parent, &bump]), [true, true]);
    // no grandchildren, and no mixing of versions
    let grandchild = version_3(&[Funds::of(&bump, 0, 4)], &[(5, fee - 3 * FEE)]);
    assert_eq!(rig.submit_tx(&grandchild), Err(Reject::Truc));
    assert_eq!(rig.submit_tx(&forward(Funds::of(&bump, 0, 4), 5, FEE)), Err(Reject::Truc));
    rig.mine(1);
    rig.submit_tx(&forward(Funds::of(&bump, 0, 4), 5, FEE)).expect("its parent is mined");
}

#[test]
fn a_replacement_that_does_not_stay_removes_nothing() {
    let room = 2 * (SIZE + ENTRY_OVERHEAD);
    let mut rig = rig_with_limits(Limits { max_usage: room, ..Limits::default() });
    let funds = rig.fund(3, 7);
    let cheap = forward(funds[0], 2, 1_000);
    let dear = forward(funds[1], 2, 100_000);
    rig.submit_tx(&cheap).expect("there is room");
    rig.submit_tx(&dear).expect("there is room");
    // pays more than what it replaces, and is too large for the room that is left
    let outputs: Vec<_> = (0..40).map(|_| (2, (REWARD - 12_000) / 40)).collect();
    let actions = submit(&mut rig, &pay(&funds[..1], &outputs));
    assert_eq!(removals(&actions), vec![]);
    assert_eq!(in_pool(&rig, &[&cheap, &dear]), [true, true]);
    assert_eq!(rig.node.mempool().usage(), room);
}
