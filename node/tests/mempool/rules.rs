//! One test for each rejection, limits, and the notices that go with them.

use std::sync::Arc;
use std::time::Duration;

use tine_chain::amount::Amount;
use tine_chain::reject::Reject;
use tine_chain::transaction::{LOCK_TIME_THRESHOLD, SEQUENCE_LOCK_TIME, Transaction, TxOut};
use tine_node::event::{Event, Notice, Removal, Submission, SubmitId};
use tine_node::mempool::{ENTRY_OVERHEAD, EXPIRY, FeeRate, Limits};

use crate::harness::*;
use crate::{removals, rig_with_coins, rig_with_limits, submit};

#[test]
fn a_good_transaction_is_taken_published_and_told() {
    let (mut rig, funds) = rig_with_coins(1);
    let tx = forward(funds[0], 2, FEE);
    assert_eq!(rig.node.test_accept(&tx).expect("memory never fails"), Ok(Amount(FEE)));
    assert!(rig.node.mempool().is_empty(), "a test takes nothing in");
    let actions = submit(&mut rig, &tx);
    assert_eq!(published(&actions).len(), 1);
    assert!(matches!(notices(&actions)[..], [Notice::TransactionAdded(_)]));
    let entry = rig.node.mempool().get(&tx.txid()).expect("taken");
    assert_eq!((entry.fee, entry.height, entry.ancestors.count), (Amount(FEE), rig.height(), 1));
    assert_eq!(rig.node.mempool().get_by_wtxid(&tx.wtxid()).map(|entry| entry.tx.txid()), Some(tx.txid()));
    assert_eq!(rig.node.mempool().spender_of(&funds[0].outpoint), Some(tx.txid()));
    assert_eq!(rig.node.mempool().bytes(), tx.size() as u64);
}

#[test]
fn mem_01_known_transactions_are_named_as_such() {
    let (mut rig, funds) = rig_with_coins(1);
    let tx = forward(funds[0], 2, FEE);
    rig.submit_tx(&tx).expect("valid");
    assert_eq!(rig.submit_tx(&tx), Err(Reject::AlreadyInMempool));
    rig.mine(1);
    assert!(rig.node.mempool().is_empty());
    assert_eq!(rig.submit_tx(&tx), Err(Reject::AlreadyKnown));
    // when its outputs are spent too, all that is known is that its inputs are not there
    rig.submit_tx(&forward(Funds::of(&tx, 0, 2), 3, FEE)).expect("valid");
    rig.mine(1);
    assert_eq!(rig.submit_tx(&tx), Err(Reject::MissingInputs));
}

#[test]
fn a_second_spend_that_does_not_pay_for_it_is_refused_and_reported() {
    let (mut rig, funds) = rig_with_coins(2);
    let kept = forward(funds[0], 2, FEE);
    rig.submit_tx(&kept).expect("valid");
    let refused = pay(&funds, &[(3, 2 * REWARD - FEE)]);
    assert_eq!(rig.submit_tx(&refused), Err(Reject::InsufficientFee));
    let actions = submit(&mut rig, &refused);
    let [Notice::DoubleSpendAttempt { refused: a, kept: b, coin }] = notices(&actions)[..] else {
        panic!("{actions:?}");
    };
    assert_eq!((*a, *b, *coin), (refused.txid(), kept.txid(), funds[0].outpoint));
    // one that could never be mined is no attempt
    let mut data = refused.data().clone();
    data.witnesses.reverse();
    let forged = Arc::new(Transaction::new(data));
    let actions = submit(&mut rig, &forged);
    assert!(notices(&actions).is_empty());
    assert_eq!(rig.submit_tx(&forged), Err(Reject::BadSignature));
}

#[test]
fn mem_01_without_full_replacement_only_what_says_so_is_replaced() {
    let mut rig = rig_with_limits(Limits { full_rbf: false, ..Limits::default() });
    let funds = rig.fund(2, 7);
    rig.submit_tx(&forward(funds[0], 2, FEE)).expect("valid");
    let rival = forward(funds[0], 3, 10 * FEE);
    assert_eq!(rig.submit_tx(&rival), Err(Reject::MempoolConflict));
    assert_eq!(notices(&submit(&mut rig, &rival)).len(), 1, "an attempt to spend twice");
    let mut data = draft(&funds[1..], &[(2, REWARD - FEE)]);
    data.inputs[0].sequence = SEQUENCE_LOCK_TIME - 1;
    let opted_in = signed(data, &funds[1..]);
    let child = forward(Funds::of(&opted_in, 0, 2), 3, FEE);
    rig.submit_tx(&opted_in).expect("valid");
    rig.submit_tx(&child).expect("valid");
    assert!(rig.node.mempool().signals_replacement(&child.txid()), "its parent says so for it");
    rig.submit_tx(&forward(funds[1], 4, 10 * FEE)).expect("it may be replaced");
    assert!(!rig.has_tx(&opted_in) && !rig.has_tx(&child));
}

#[test]
fn coins_that_nobody_knows_are_missing() {
    let (mut rig, funds) = rig_with_coins(1);
    let parent = forward(funds[0], 2, FEE);
    let child = forward(Funds::of(&parent, 0, 2), 3, FEE);
    assert_eq!(rig.submit_tx(&child), Err(Reject::MissingInputs));
    rig.submit_tx(&parent).expect("valid");
    rig.submit_tx(&child).expect("valid");
    // an output that the parent does not have
    let mut ghost = Funds::of(&parent, 0, 2);
    ghost.outpoint.vout = 9;
    assert_eq!(rig.submit_tx(&forward(ghost, 3, FEE)), Err(Reject::MissingInputs));
}

#[test]
fn a_loose_coinbase_is_refused() {
    let (mut rig, _) = rig_with_coins(1);
    let coinbase = rig.blocks()[0].transactions[0].clone();
    assert_eq!(rig.submit_tx(&coinbase), Err(Reject::LooseCoinbase));
}

#[test]
fn what_only_comes_too_early_is_premature() {
    let (mut rig, funds) = rig_with_coins(2);
    // final at the height of the block after the next
    let mut data = draft(&funds[..1], &[(2, REWARD - FEE)]);
    data.lock_time = rig.height() + 1;
    data.inputs[0].sequence = SEQUENCE_LOCK_TIME;
    let locked = signed(data, &funds[..1]);
    assert_eq!(rig.submit_tx(&locked), Err(Reject::PrematureNonFinal));
    // by time: the median of the last eleven, not the clock
    let mut data = draft(&funds[..1], &[(2, REWARD - FEE)]);
    data.lock_time = u32::try_from(rig.now.as_secs()).expect("this century");
    assert!(data.lock_time > LOCK_TIME_THRESHOLD);
    data.inputs[0].sequence = SEQUENCE_LOCK_TIME;
    assert_eq!(rig.submit_tx(&signed(data, &funds[..1])), Err(Reject::PrematureNonFinal));
    // a relative lock of five blocks on a coin that is four old in the next
    let mut data = draft(&funds[1..], &[(2, REWARD - FEE)]);
    data.inputs[0].sequence = 4;
    let relative = signed(data, &funds[1..]);
    assert_eq!(rig.submit_tx(&relative), Err(Reject::PrematureSequenceLock));
    // the coinbase of the tip
    let young = Funds::of(&rig.blocks().last().expect("mined").transactions[0], 0, 99);
    let immature = forward(young, 2, FEE);
    assert_eq!(rig.submit_tx(&immature), Err(Reject::PrematureCoinbaseSpend));
    rig.mine(1);
    for tx in [locked, relative, immature] {
        rig.submit_tx(&tx).expect("its time has come");
    }
    let block = rig.mine(1);
    assert_eq!(block.transactions.len(), 4);
}

#[test]
fn fees_dust_and_sums() {
    let (mut rig, funds) = rig_with_coins(1);
    let size = forward(funds[0], 2, FEE).size() as u64;
    assert_eq!(rig.submit_tx(&forward(funds[0], 2, size - 1)), Err(Reject::MinFeeNotMet));
    let dust = rig.node.mempool().dust_limit().0;
    let dusty = |value| pay(&funds, &[(2, REWARD - FEE), (3, value)]);
    assert_eq!(rig.submit_tx(&dusty(dust - 1)), Err(Reject::Dust));
    assert_eq!(rig.submit_tx(&pay(&funds, &[(2, REWARD + 1)])), Err(Reject::InBelowOut));
    let mut data = draft(&funds, &[(2, REWARD - FEE)]);
    data.outputs.push(TxOut { value: Amount(u64::MAX), lock: lock(2) });
    assert_eq!(rig.submit_tx(&signed(data, &funds)), Err(Reject::OutputTooLarge));
    // exactly the least of both is enough
    assert_eq!(rig.node.test_accept(&dusty(dust)).expect("memory never fails"), Ok(Amount(FEE - dust)));
    rig.submit_tx(&forward(funds[0], 2, size)).expect("one unit for each byte");
}

#[test]
fn mem_05_packages_are_at_most_twenty_five() {
    let (mut rig, funds) = rig_with_coins(2);
    let mut coin = funds[0];
    for at in 0..25 {
        let tx = forward(coin, 7, FEE);
        rig.submit_tx(&tx).expect("within the limit");
        assert_eq!(rig.node.mempool().get(&tx.txid()).expect("taken").ancestors.count, at + 1);
        coin = Funds::of(&tx, 0, 7);
    }
    assert_eq!(rig.submit_tx(&forward(coin, 7, FEE)), Err(Reject::TooLongChain));
    // many children of one parent
    let outputs: Vec<_> = (0..26).map(|_| (7, REWARD / 26 - FEE)).collect();
    let parent = pay(&funds[1..], &outputs);
    rig.submit_tx(&parent).expect("valid");
    for vout in 0..24 {
        rig.submit_tx(&forward(Funds::of(&parent, vout, 7), 7, FEE)).expect("within the limit");
    }
    let one_more = forward(Funds::of(&parent, 24, 7), 7, FEE);
    assert_eq!(rig.submit_tx(&one_more), Err(Reject::TooLongChain));
    // after a block there is room again
    rig.mine(1);
    rig.submit_tx(&one_more).expect("its parent is mined");
}

/// A transaction of about `size` bytes: a coin into many outputs.
fn large(coin: Funds, size: usize, fee: u64) -> Arc<Transaction> {
    let outputs = u64::try_from((size - 148) / 40).expect("few");
    let value = (coin.output.value.0 - fee) / outputs;
    let mut list = vec![(7, value); usize::try_from(outputs).expect("few")];
    list[0].1 += (coin.output.value.0 - fee) % outputs;
    pay(&[coin], &list)
}

#[test]
fn mem_05_packages_are_at_most_101_kilobytes() {
    let (mut rig, funds) = rig_with_coins(1);
    let parent = large(funds[0], 50_000, 50_000);
    let middle = large(Funds::of(&parent, 0, 7), 50_900, 51_000);
    rig.submit_tx(&parent).expect("valid");
    rig.submit_tx(&middle).expect("within the limit");
    let pool = rig.node.mempool();
    assert!(pool.get(&middle.txid()).expect("taken").ancestors.size > 100_000);
    // a chain of three is too large, and so are the parent's descendants with one more
    let deep = forward(Funds::of(&middle, 0, 7), 2, 200);
    assert_eq!(rig.submit_tx(&deep), Err(Reject::TooLongChain));
    let wide = forward(Funds::of(&parent, 1, 7), 2, FEE);
    assert_eq!(rig.submit_tx(&wide), Err(Reject::TooLongChain));
    rig.mine(1);
    rig.submit_tx(&deep).expect("what it spends is mined");
    rig.submit_tx(&wide).expect("what it spends is mined");
}

#[test]
fn what_nobody_mines_for_two_weeks_expires_with_its_descendants() {
    let (mut rig, funds) = rig_with_coins(2);
    let old = forward(funds[0], 2, FEE);
    let child = forward(Funds::of(&old, 0, 2), 3, FEE);
    let young = forward(funds[1], 2, FEE);
    rig.submit_tx(&old).expect("valid");
    rig.pass(Duration::from_secs(24 * 3_600));
    rig.submit_tx(&child).expect("valid");
    rig.submit_tx(&young).expect("valid");
    rig.pass(EXPIRY - Duration::from_secs(24 * 3_600));
    assert!(rig.has_tx(&old), "not older than the limit");
    let actions = rig.pass(Duration::from_secs(1));
    let expired = |tx: &Transaction| (tx.txid(), Removal::Expired);
    assert_eq!(removals(&actions), vec![expired(&old), expired(&child)]);
    assert!(rig.has_tx(&young));
    rig.submit_tx(&old).expect("it may come again");
}

#[test]
fn mem_04_a_full_mempool_evicts_the_least_worth_and_asks_for_more() {
    let room = 4 * (188 + ENTRY_OVERHEAD);
    let mut rig = rig_with_limits(Limits { max_usage: room, ..Limits::default() });
    let funds = rig.fund(8, 7);
    let fee_of = |at: u64| 1_000 + 1_000 * at;
    let paid: Vec<_> = (0..4).map(|at| forward(funds[at as usize], 2, fee_of(at))).collect();
    assert_eq!(paid[0].size(), 188);
    for tx in &paid {
        rig.submit_tx(tx).expect("there is room");
    }
    assert_eq!(rig.node.mempool().usage(), room);
    let least = rig.node.mempool().min_fee_rate();
    let actions = submit(&mut rig, &forward(funds[4], 2, 5_000));
    assert_eq!(removals(&actions), vec![(paid[0].txid(), Removal::Evicted)]);
    assert!(rig.node.mempool().usage() <= room);
    assert!(rig.node.mempool().min_fee_rate() > least);
    // 1,000 for 188 bytes and the increment
    assert_eq!(rig.node.mempool().min_fee_rate(), FeeRate::per_kilobyte(1_000_000 / 188 + 1_000));
    assert_eq!(rig.submit_tx(&forward(funds[5], 2, 1_100)), Err(Reject::MinFeeNotMet));
    // better than the floor and still the worst
    assert_eq!(rig.submit_tx(&forward(funds[5], 2, 1_300)), Err(Reject::MempoolFull));
    // a day after a block the floor is gone
    rig.mine(1);
    rig.pass(Duration::from_secs(24 * 3_600));
    assert_eq!(rig.node.mempool().min_fee_rate(), least);
    rig.submit_tx(&forward(funds[6], 2, 200)).expect("there is room, and no floor");
}

#[test]
fn a_parent_is_worth_what_its_child_pays() {
    let room = 4 * (188 + ENTRY_OVERHEAD);
    let mut rig = rig_with_limits(Limits { max_usage: room, ..Limits::default() });
    let funds = rig.fund(4, 7);
    let parent = forward(funds[0], 2, 200);
    let child = forward(Funds::of(&parent, 0, 2), 3, 20_000);
    let middle = forward(funds[1], 2, 2_000);
    for tx in [&parent, &child, &middle, &forward(funds[2], 2, 3_000)] {
        rig.submit_tx(tx).expect("there is room");
    }
    rig.submit_tx(&forward(funds[3], 2, 4_000)).expect("better than the worst");
    assert!(rig.has_tx(&parent) && rig.has_tx(&child));
    assert!(!rig.has_tx(&middle), "the worst alone, though the parent pays less");
}

#[test]
fn mem_08_a_block_takes_out_what_it_has_and_what_it_excludes() {
    let (mut rig, funds) = rig_with_coins(3);
    let mut miner = Rig::with(new_node(2));
    miner.now = rig.now;
    for block in rig.blocks() {
        miner.submit_block(&block).expect("valid");
    }
    let mined = forward(funds[0], 2, FEE);
    let child_of_mined = forward(Funds::of(&mined, 0, 2), 3, FEE);
    let loser = forward(funds[1], 2, FEE);
    let child_of_loser = forward(Funds::of(&loser, 0, 2), 3, FEE);
    let bystander = forward(funds[2], 2, FEE);
    for tx in [&mined, &child_of_mined, &loser, &child_of_loser, &bystander] {
        rig.submit_tx(tx).expect("valid");
    }
    let winner = forward(funds[1], 4, FEE);
    miner.submit_tx(&mined).expect("valid");
    miner.submit_tx(&winner).expect("valid");
    let block = miner.mine(1);
    rig.now = miner.now;
    let actions = rig.feed(Event::Submit(SubmitId(1), Submission::Block(block.clone())));
    let removed = removals(&actions);
    let conflicted = Removal::Conflicted { coin: funds[1].outpoint, by: winner.txid() };
    assert!(removed.contains(&(mined.txid(), Removal::Confirmed { block: block.hash() })));
    assert!(removed.contains(&(loser.txid(), conflicted.clone())));
    assert!(removed.contains(&(child_of_loser.txid(), conflicted)));
    assert_eq!(removed.len(), 3);
    assert!(rig.has_tx(&child_of_mined) && rig.has_tx(&bystander));
    let child = rig.node.mempool().get(&child_of_mined.txid()).expect("still here");
    assert_eq!(child.ancestors.count, 1, "its parent is no longer unconfirmed");
}
