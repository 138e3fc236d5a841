//! Packages: a child that pays for its parents, tests of several transactions, and what an operator prefers.

use std::sync::Arc;

use tine_chain::amount::Amount;
use tine_chain::reject::Reject;
use tine_chain::transaction::Transaction;
use tine_node::mempool::{ENTRY_OVERHEAD, Fared, FeeRate, Limits, MAX_PACKAGE, PackageError, TRUC_VERSION};
use tine_node::{Declined, Offer};

use crate::harness::*;
use crate::{removals, rig_with_coins, rig_with_limits};

fn offer(rig: &mut Rig, txs: &[&Arc<Transaction>]) -> Result<Vec<Result<Amount, Reject>>, PackageError> {
    let txs: Vec<_> = txs.iter().map(|tx| Arc::clone(tx)).collect();
    let (_, outcome) = rig.node.offer_package(&txs, rig.now).expect("memory never fails");
    let verdict = |fared: Fared| fared.outcome.map_err(|refusal| refusal.reject);
    outcome.map(|fared| fared.into_iter().map(verdict).collect())
}

/// A rig whose mempool is full of payments of 188 bytes, and asks for more than they paid.
fn full() -> (Rig, Vec<Funds>) {
    let room = 6 * (188 + ENTRY_OVERHEAD);
    let mut rig = rig_with_limits(Limits { max_usage: room, ..Limits::default() });
    let funds = rig.fund(9, 7);
    for (at, coin) in funds[..7].iter().enumerate() {
        rig.submit_tx(&forward(*coin, 2, 2_000 + 100 * at as u64)).expect("better than the worst");
    }
    assert!(rig.node.mempool().min_fee_rate() > FeeRate::per_kilobyte(10_000));
    (rig, funds[7..].to_vec())
}

#[test]
fn a_child_pays_for_a_parent_that_would_be_refused_alone() {
    let (mut rig, funds) = full();
    let parent = forward(funds[0], 2, 200);
    let child = forward(Funds::of(&parent, 0, 2), 3, 10_000);
    assert_eq!(rig.submit_tx(&parent), Err(Reject::MinFeeNotMet));
    assert_eq!(rig.submit_tx(&child), Err(Reject::MissingInputs));
    let poor = forward(Funds::of(&parent, 0, 2), 3, 4_000);
    assert_eq!(
        offer(&mut rig, &[&parent, &poor]),
        Ok(vec![Err(Reject::MinFeeNotMet), Err(Reject::MissingInputs)])
    );
    let (actions, outcome) =
        rig.node.offer_package(&[parent.clone(), child.clone()], rig.now).expect("memory never fails");
    let fared = outcome.expect("a child with its parent");
    assert_eq!(fared[0].rate, FeeRate { fee: Amount(10_200), size: 2 * 188 });
    assert_eq!(fared[0].with, vec![parent.wtxid(), child.wtxid()]);
    assert!(rig.has_tx(&parent) && rig.has_tx(&child));
    assert_eq!((published(&actions).len(), removals(&actions).len()), (2, 2), "two others had to go");
    assert!(rig.node.mempool().usage() <= rig.node.mempool().limits().max_usage);
    // both are mined, though the parent pays little
    assert!(rig.mine(1).transactions.iter().any(|tx| tx.txid() == parent.txid()));
}

#[test]
fn a_parent_of_version_3_may_pay_nothing() {
    let (mut rig, funds) = rig_with_coins(1);
    let mut data = draft(&funds, &[(2, REWARD)]);
    data.version = TRUC_VERSION;
    let parent = signed(data, &funds);
    let coin = Funds::of(&parent, 0, 2);
    let mut data = draft(&[coin], &[(3, REWARD - 1_000)]);
    data.version = TRUC_VERSION;
    let child = signed(data, &[coin]);
    assert_eq!(rig.submit_tx(&parent), Err(Reject::MinFeeNotMet));
    assert_eq!(offer(&mut rig, &[&parent, &child]), Ok(vec![Ok(Amount(0)), Ok(Amount(1_000))]));
    // of another version it pays the least rate itself
    let (mut rig, funds) = rig_with_coins(1);
    let parent = forward(funds[0], 2, 0);
    let child = forward(Funds::of(&parent, 0, 2), 3, FEE);
    assert_eq!(
        offer(&mut rig, &[&parent, &child]),
        Ok(vec![Err(Reject::MinFeeNotMet), Err(Reject::MissingInputs)])
    );
    assert!(rig.node.mempool().is_empty());
}

#[test]
fn what_is_no_package_is_refused_as_a_whole() {
    let (mut rig, funds) = rig_with_coins(2);
    let parent = forward(funds[0], 2, FEE);
    let child = forward(Funds::of(&parent, 0, 2), 3, FEE);
    let rival = forward(funds[0], 4, FEE);
    let stranger = forward(funds[1], 4, FEE);
    let rows: [(&[&Arc<Transaction>], PackageError); 6] = [
        (&[], PackageError::Count),
        (&vec![&parent; MAX_PACKAGE + 1], PackageError::Count),
        (&[&parent, &parent], PackageError::Duplicate),
        (&[&child, &parent], PackageError::Unsorted),
        (&[&parent, &rival], PackageError::Conflict),
        (&[&stranger, &parent, &child], PackageError::Shape),
    ];
    for (txs, error) in rows {
        assert_eq!(offer(&mut rig, txs), Err(error));
    }
    assert!(rig.node.mempool().is_empty());
}

#[test]
fn several_are_tested_as_if_they_came_in_order_and_nothing_stays() {
    let (mut rig, funds) = rig_with_coins(2);
    let parent = forward(funds[0], 2, FEE);
    let child = forward(Funds::of(&parent, 0, 2), 3, FEE);
    let cheap = forward(funds[1], 2, 1);
    let txs = [parent.clone(), child.clone(), cheap];
    let verdicts = rig.node.test_package(&txs, rig.now).expect("memory never fails").expect("a package");
    assert_eq!(verdicts, vec![Ok(Amount(FEE)), Ok(Amount(FEE)), Err(Reject::MinFeeNotMet)]);
    assert!(rig.node.mempool().is_empty());
    assert_eq!(rig.node.test_accept(&child).expect("memory never fails"), Err(Reject::MissingInputs));
}

#[test]
fn offers_are_answered_one_by_one_though_verified_together() {
    let (mut rig, funds) = rig_with_coins(4);
    let good = forward(funds[0], 2, FEE);
    let child = forward(Funds::of(&good, 0, 2), 3, FEE);
    let mut data = forward(funds[1], 2, FEE).data().clone();
    data.witnesses[0].0[40] ^= 1;
    let forged = Arc::new(Transaction::new(data));
    let wasteful = forward(funds[2], 2, 50 * FEE);
    let last = forward(funds[3], 2, FEE);
    let offers: Vec<Offer> = [&good, &child, &forged, &wasteful, &last, &good]
        .map(|tx| Offer { tx: tx.clone(), max_fee: Some(Amount(FEE)) })
        .to_vec();
    let (actions, answers) = rig.node.offer(&offers, rig.now).expect("memory never fails");
    let too_high = Declined::FeeTooHigh { fee: Amount(50 * FEE), limit: Amount(FEE) };
    assert_eq!(answers[..2], [Ok(good.txid()), Ok(child.txid())]);
    assert!(
        matches!(answers[2], Err(Declined::Rule(Reject::BadSignature | Reject::WitnessDecode))),
        "{answers:?}"
    );
    assert_eq!(answers[3..], [Err(too_high), Ok(last.txid()), Err(Declined::Rule(Reject::AlreadyInMempool))]);
    assert_eq!(published(&actions).len(), 3);
}

#[test]
fn what_an_operator_prefers_is_mined_first_and_evicted_last() {
    let (mut rig, funds) = rig_with_coins(3);
    let poor = forward(funds[0], 2, 1);
    rig.node.prioritise(poor.txid(), 100_000);
    rig.submit_tx(&poor).expect("it counts as paying more");
    let parent = forward(funds[1], 2, FEE);
    let child = forward(Funds::of(&parent, 0, 2), 3, FEE);
    let rich = forward(funds[2], 2, 2 * FEE);
    for tx in [&parent, &child, &rich] {
        rig.submit_tx(tx).expect("valid");
    }
    let entry = |rig: &Rig, tx: &Transaction| rig.node.mempool().get(&tx.txid()).expect("there").clone();
    assert_eq!((entry(&rig, &poor).fee, entry(&rig, &poor).modified), (Amount(1), Amount(100_001)));
    rig.node.prioritise(child.txid(), 100_000);
    assert_eq!(entry(&rig, &parent).descendants.fees, Amount(2 * FEE + 100_000));
    rig.node.prioritise(parent.txid(), -100 * FEE as i64);
    assert_eq!(entry(&rig, &parent).modified, Amount(0), "never less than nothing");
    assert_eq!(entry(&rig, &child).ancestors.fees, Amount(FEE + 100_000));
    let order: Vec<_> = rig.mine(1).transactions[1..].iter().map(|tx| tx.txid()).collect();
    assert_eq!(order, [&poor, &parent, &child, &rich].map(|tx| tx.txid()));
    assert_eq!(rig.node.mempool().deltas().count(), 0, "a block ends it");
}
