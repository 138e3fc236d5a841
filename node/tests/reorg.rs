//! What a reorganisation does to the mempool, and how it is told and explained.

mod harness;

use std::sync::Arc;
use std::time::Duration;

use harness::*;
use tine_chain::block::Block;
use tine_chain::reject::Reject;
use tine_chain::transaction::{SEQUENCE_LOCK_TIME, Transaction};
use tine_node::event::{Accepted, Action, Event, Notice, Removal, Submission, SubmitId};
use tine_node::explain::{Against, Reason, ReorgReport, ReportFate, explain_tip};

/// A node with coins of owner 7, and a rival that has the same blocks and coins.
fn rivals(coins: usize) -> (Rig, Rig, Vec<Funds>) {
    let mut rig = Rig::new();
    let funds = rig.fund(coins, 7);
    let mut rival = Rig::with(new_node(2));
    rival.now = rig.now;
    for block in rig.blocks() {
        rival.submit_block(&block).expect("valid");
    }
    (rig, rival, funds)
}

/// The rival mines `count` blocks, and `rig` takes them all in. Returns what that made it do.
fn overtake(rig: &mut Rig, rival: &mut Rig, count: usize) -> Vec<Action> {
    rival.now = rival.now.max(rig.now);
    let blocks: Vec<Arc<Block>> = (0..count).map(|_| rival.mine(5)).collect();
    rig.now = rig.now.max(rival.now);
    let mut actions = Vec::new();
    for block in &blocks {
        actions.extend(rig.feed(Event::Submit(SubmitId(7_777), Submission::Block(block.clone()))));
    }
    assert_eq!(rig.tip(), rival.tip());
    actions
}

fn removals(actions: &[Action]) -> Vec<(tine_chain::hash::Txid, Removal)> {
    let removed = |notice: &Notice| {
        if let Notice::TransactionRemoved(txid, why) = notice { Some((*txid, why.clone())) } else { None }
    };
    notices(actions).into_iter().filter_map(removed).collect()
}

fn in_pool(rig: &Rig, txs: &[&Arc<Transaction>]) -> Vec<bool> {
    txs.iter().map(|tx| rig.has_tx(tx)).collect()
}

#[test]
fn rrg_08_what_was_mined_on_the_losing_branch_comes_back_in_order() {
    let (mut rig, mut rival, funds) = rivals(2);
    let first = forward(funds[0], 2, FEE);
    let second = forward(Funds::of(&first, 0, 2), 3, FEE);
    let third = forward(Funds::of(&second, 0, 3), 4, FEE);
    for tx in [&first, &second, &third] {
        rig.submit_tx(tx).expect("valid");
        rig.mine(1);
    }
    // unconfirmed, and depends on what will come back
    let fourth = forward(Funds::of(&third, 0, 4), 5, FEE);
    let bystander = forward(funds[1], 2, FEE);
    rig.submit_tx(&fourth).expect("valid");
    rig.submit_tx(&bystander).expect("valid");
    let actions = overtake(&mut rig, &mut rival, 4);
    assert_eq!(removals(&actions), vec![]);
    assert_eq!(in_pool(&rig, &[&first, &second, &third, &fourth, &bystander]), vec![true; 5]);
    let order: Vec<_> = rig.node.mempool().entries().map(|entry| entry.tx.txid()).collect();
    let at = |tx: &Transaction| order.iter().position(|txid| *txid == tx.txid()).expect("it is there");
    assert!(at(&first) < at(&second) && at(&second) < at(&third) && at(&third) < at(&fourth));
    assert_eq!(rig.node.mempool().get(&fourth.txid()).expect("there").ancestors.count, 4);
    // and all can be mined again
    let block = rig.mine(1);
    assert_eq!(block.transactions.len(), 6);
    let report = last_report(&rig);
    assert_eq!((report.depth, report.returned, report.reason), (3, 3, Reason::MostWork));
    assert!(report.to_string().contains("3 transactions returned to the mempool"));
}

fn last_report(rig: &Rig) -> ReorgReport {
    let chain = rig.node.chain();
    let reorg = chain.journal().last().expect("there was one");
    ReorgReport::new(reorg, chain.reader().as_ref()).expect("memory never fails")
}

#[test]
fn what_the_new_branch_confirms_or_excludes_does_not_come_back() {
    let (mut rig, mut rival, funds) = rivals(3);
    let both = forward(funds[0], 2, FEE);
    let loser = forward(funds[1], 2, FEE);
    rig.submit_tx(&both).expect("valid");
    rig.submit_tx(&loser).expect("valid");
    rig.mine(1);
    let child_of_both = forward(Funds::of(&both, 0, 2), 3, FEE);
    let child_of_loser = forward(Funds::of(&loser, 0, 2), 3, FEE);
    let grandchild = forward(Funds::of(&child_of_loser, 0, 3), 4, FEE);
    for tx in [&child_of_both, &child_of_loser, &grandchild] {
        rig.submit_tx(tx).expect("valid");
    }
    let winner = forward(funds[1], 4, FEE);
    rival.submit_tx(&both).expect("valid");
    rival.submit_tx(&winner).expect("valid");
    let actions = overtake(&mut rig, &mut rival, 2);
    let conflicted = Removal::Conflicted { coin: funds[1].outpoint, by: winner.txid() };
    let removed = removals(&actions);
    assert!(removed.contains(&(child_of_loser.txid(), conflicted.clone())), "{removed:?}");
    assert!(removed.contains(&(grandchild.txid(), conflicted)));
    assert_eq!(removed.len(), 2, "what was in a block is told by the journal");
    assert_eq!(in_pool(&rig, &[&both, &loser, &child_of_both]), vec![false, false, true]);
    let report = last_report(&rig);
    let fate = |tx: &Transaction| {
        let found = report.transactions.iter().find(|transaction| transaction.txid == tx.txid());
        found.expect("it was on the old branch").fate.clone()
    };
    assert!(matches!(fate(&both), ReportFate::ConfirmedAgain { .. }));
    let ReportFate::Conflicted { coin, by, .. } = fate(&loser) else { panic!("{:?}", fate(&loser)) };
    assert_eq!((coin, by), (funds[1].outpoint, winner.txid()));
    // whom the reversed payment was for can be read from the report
    let reversed = report.transactions.iter().find(|transaction| transaction.txid == loser.txid());
    assert_eq!(reversed.expect("there").outputs[0].lock, lock(2));
}

#[test]
fn rrg_09_what_can_no_longer_be_mined_leaves_as_invalid() {
    let (mut rig, mut rival, funds) = rivals(2);
    // three blocks on our side
    let reward = rig.mine(8);
    rig.mine(1);
    rig.mine(1);
    // spends a reward that will be void, with a child
    let void = forward(Funds::of(&reward.transactions[0], 0, 8), 2, FEE);
    let child = forward(Funds::of(&void, 0, 2), 3, FEE);
    // final only at this height
    let mut data = draft(&funds[..1], &[(2, REWARD - FEE)]);
    data.lock_time = rig.height();
    data.inputs[0].sequence = SEQUENCE_LOCK_TIME;
    let locked = signed(data, &funds[..1]);
    for tx in [&void, &child, &locked] {
        rig.submit_tx(tx).expect("valid");
    }
    // an operator takes two blocks off: one coinbase is too young then, the lock is not met
    let hash = rig.node.chain().active_hash(rig.height() - 1).expect("active");
    let actions = rig.node.invalidate(&hash, rig.now).expect("it is known");
    let removed = removals(&actions);
    let invalid = |reject| Removal::Invalid { reject };
    assert!(removed.contains(&(void.txid(), invalid(Reject::PrematureCoinbaseSpend))), "{removed:?}");
    assert!(removed.contains(&(child.txid(), invalid(Reject::MissingInputs))));
    assert!(removed.contains(&(locked.txid(), invalid(Reject::PrematureNonFinal))));
    assert!(rig.node.mempool().is_empty());
    assert_eq!(last_report(&rig).reason, Reason::OldInvalid);
    assert_eq!(explain_tip(rig.node.chain()).rivals[0].against, Against::Invalid);
    rig.node.reconsider(&hash, rig.now).expect("it is known");
    for tx in [&void, &locked] {
        rig.submit_tx(tx).expect("valid again");
    }
    // now the reward itself becomes void
    let actions = overtake(&mut rig, &mut rival, 4);
    let removed = removals(&actions);
    assert!(removed.contains(&(void.txid(), invalid(Reject::MissingInputs))), "{removed:?}");
    assert!(rig.has_tx(&locked), "the new branch is as high");
    let report = last_report(&rig);
    let coinbases = report.transactions.iter().filter(|transaction| transaction.coinbase);
    assert!(coinbases.clone().count() == 3 && coinbases.clone().all(|it| it.fate == ReportFate::Orphaned));
}

#[test]
fn a_deep_reorganisation_is_done_in_steps_and_answered_at_its_end() {
    let (mut rig, mut rival, funds) = rivals(1);
    let tx = forward(funds[0], 2, FEE);
    rig.submit_tx(&tx).expect("valid");
    for _ in 0..60 {
        rig.mine(1);
    }
    rival.now = rig.now;
    let blocks: Vec<_> = (0..61).map(|_| rival.mine(5)).collect();
    rig.now = rival.now;
    for block in &blocks[..60] {
        assert_eq!(rig.submit_block(block), Ok(Accepted::SideBranch(block.hash())));
    }
    let last = Event::Submit(SubmitId(1), Submission::Block(blocks[60].clone()));
    let first = rig.node.handle(last, rig.now).expect("memory never fails");
    assert!(!first.iter().any(|action| matches!(action, Action::Answer(..))), "not yet");
    assert_eq!(rig.node.deadline(), Some(rig.now), "it goes on at once");
    assert_ne!(rig.tip(), rival.tip(), "and shows the old branch until it is done");
    let actions = rig.pass(Duration::ZERO);
    let connected = Action::Answer(SubmitId(1), Ok(Accepted::Connected(blocks[60].hash())));
    assert!(actions.iter().any(|action| format!("{action:?}") == format!("{connected:?}")));
    assert_eq!(rig.tip(), rival.tip());
    assert!(rig.has_tx(&tx));
    let changes = notices(&actions)
        .iter()
        .filter(|notice| matches!(notice, Notice::Chain(change) if change.reorg.is_some()))
        .count();
    assert_eq!(changes, 1, "one commit");
}

#[test]
fn reports_are_written_and_read_as_json() {
    let (mut rig, mut rival, _) = rivals(1);
    rig.mine(1);
    overtake(&mut rig, &mut rival, 2);
    let report = last_report(&rig);
    let json = serde_json::to_string(&report).expect("plain data");
    assert_eq!(serde_json::from_str::<ReorgReport>(&json).expect("as written"), report);
    assert!(json.contains("\"reason\":\"most-work\""));
    let tip = explain_tip(rig.node.chain());
    assert_eq!(tip.rivals.len(), 1);
    assert_eq!(tip.rivals[0].against, Against::LessWork);
    let json = serde_json::to_string(&tip).expect("plain data");
    assert!(json.contains("\"against\":\"less-work\""));
}

#[test]
fn an_operator_breaks_a_tie() {
    let (mut rig, mut rival, _) = rivals(1);
    let ours = rig.mine(1);
    rival.now = rig.now;
    let theirs = rival.mine(5);
    assert_eq!(rig.submit_block(&theirs), Ok(Accepted::SideBranch(theirs.hash())));
    let against = explain_tip(rig.node.chain()).rivals[0].against;
    assert_eq!((rig.tip(), against), (ours.hash(), Against::SeenLater));
    rig.node.precious(&theirs.hash(), rig.now).expect("it is known");
    assert_eq!(rig.tip(), theirs.hash());
    assert_eq!(last_report(&rig).reason, Reason::Tie);
}

#[test]
fn what_is_too_early_for_a_lower_tip_is_not_said_to_be_in_the_mempool() {
    let mut rig = Rig::new();
    let funds = rig.fund(2, 7);
    let fork = rig.mine(1).hash();
    // an old payment, one locked to its height as wallets do against fee sniping, and one that spends the latter
    let plain = forward(funds[0], 2, FEE);
    rig.submit_tx(&plain).expect("valid");
    rig.mine(1);
    let mut data = draft(&[funds[1]], &[(3, funds[1].output.value.0 - FEE)]);
    data.lock_time = rig.height();
    data.inputs[0].sequence = SEQUENCE_LOCK_TIME;
    let locked = signed(data, &[funds[1]]);
    let child = forward(Funds::of(&locked, 0, 3), 4, FEE);
    rig.submit_tx(&locked).expect("valid");
    rig.submit_tx(&child).expect("valid");
    rig.mine(1);
    let first = rig.blocks().iter().find(|block| block.header.prev_block == fork).expect("there").hash();
    rig.node.invalidate(&first, rig.now).expect("it is known");
    assert_eq!(rig.tip(), fork);

    let report = last_report(&rig);
    for transaction in report.transactions.iter().filter(|transaction| !transaction.coinbase) {
        let is_there = rig.node.mempool().get(&transaction.txid).is_some();
        assert_eq!(transaction.fate == ReportFate::Returned, is_there, "{transaction}");
    }
    assert_eq!(report.returned, 1, "{report}");
    let fate_of = |tx: &Transaction| {
        report.transactions.iter().find(|found| found.txid == tx.txid()).map(|found| found.fate.clone())
    };
    let height = locked.lock_time + 1;
    assert_eq!(fate_of(&locked), Some(ReportFate::TooEarly { height }));
    assert_eq!(fate_of(&child), Some(ReportFate::TooEarly { height }));
    assert!(report.to_string().contains("too early to be mined before"), "{report}");
}
