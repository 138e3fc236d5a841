//! The journal: who, when, why, and what became of every transaction.

use std::collections::BTreeMap;

use tine_chain::amount::COIN;
use tine_chain::chain::Chain;
use tine_chain::journal::{BranchBlock, Fate};
use tine_chain::testing::TestTree;
use tine_chain::time::Time;

/// A double spend and its descendants on two branches, with `b4` delivered last.
///
/// On `a`: `double-a` spends `r1:0`, `child` spends it, and `grandchild` spends that and `r3:0`; `both` is on both
/// branches; `alone` is on `a` only; `of-a2` spends the coinbase of `a2`.
fn double_spend() -> (TestTree, Chain) {
    let mut tree = TestTree::regtest();
    tree.draw("genesis r1 r2 r3 r4 r5 r6");
    tree.pay("double-a", &["r1:0"], &[("bob", 50 * COIN)]);
    tree.pay("double-b", &["r1:0"], &[("dave", 50 * COIN)]);
    tree.pay("child", &["double-a:0"], &[("carol", 40 * COIN)]);
    tree.pay("grandchild", &["r3:0", "child:0"], &[("carol", 40 * COIN)]);
    tree.pay("both", &["r2:0"], &[("bob", 50 * COIN)]);
    tree.pay("of-both", &["both:0"], &[("bob", 50 * COIN)]);
    tree.pay("alone", &["r4:0"], &[("bob", 50 * COIN)]);
    tree.draw("r6 a1[double-a,both] a2[child,alone] a3[grandchild]");
    tree.pay("of-a2", &["a1:0"], &[("bob", COIN)]);
    tree.draw("a3 a4[of-a2,of-both]");
    tree.draw("r6 b1[both] b2[double-b] b3 b4 b5");
    let mut chain = tree.chain();
    tree.deliver(&mut chain, "r1 r2 r3 r4 r5 r6 a1 a2 a3 a4 b1 b2 b3 b4");
    assert!(chain.journal().is_empty());
    chain.insert_block(tree.block("b5"), tree.now()).expect("valid");
    while chain.activate(Time::from_secs(u64::MAX / 2_000), 1).expect("works").more {}
    assert_eq!(tree.tip(&chain), "b5");
    (tree, chain)
}

#[test]
fn every_transaction_of_the_old_branch_has_its_fate() {
    let (tree, chain) = double_spend();
    let reorg = &chain.journal()[0];
    let conflicted = Fate::Conflicted {
        coin: tree.outpoint("r1:0"),
        by: tree.transaction("double-b").txid(),
        block: tree.hash("b2"),
    };
    let expected: Vec<_> = [
        ("a1", "a1", 4, Fate::Orphaned),
        ("double-a", "a1", 4, conflicted.clone()),
        ("both", "a1", 4, Fate::ConfirmedAgain { block: tree.hash("b1") }),
        ("a2", "a2", 3, Fate::Orphaned),
        ("child", "a2", 3, conflicted.clone()),
        ("alone", "a2", 3, Fate::Returned),
        ("a3", "a3", 2, Fate::Orphaned),
        ("grandchild", "a3", 2, conflicted),
        ("a4", "a4", 1, Fate::Orphaned),
        ("of-a2", "a4", 1, Fate::Orphaned),
        ("of-both", "a4", 1, Fate::Returned),
    ]
    .into_iter()
    .map(|(name, block, confirmations, fate)| {
        (tree.transaction(name).txid(), tree.hash(block), confirmations, fate)
    })
    .collect();
    let found: Vec<_> = reorg
        .transactions
        .iter()
        .map(|entry| (entry.txid, entry.block, entry.confirmations, entry.fate.clone()))
        .collect();
    assert_eq!(found, expected);
}

#[test]
fn the_entry_names_both_branches_their_work_and_the_order_of_arrival() {
    let (tree, chain) = double_spend();
    let reorg = &chain.journal()[0];
    let names = |branch: &[BranchBlock]| -> Vec<String> {
        branch.iter().map(|block| tree.name(&block.hash).to_owned()).collect()
    };
    assert_eq!(reorg.number, 0);
    assert_eq!(tree.name(&reorg.fork.hash), "r6");
    assert_eq!(names(&reorg.disconnected), ["a1", "a2", "a3", "a4"]);
    assert_eq!(names(&reorg.connected), ["b1", "b2", "b3", "b4", "b5"]);
    assert!(reorg.old_work < reorg.new_work && reorg.fork_work < reorg.old_work);
    assert_eq!(reorg.time, Time::from_secs(u64::MAX / 2_000));
    let mut seen: Vec<_> = reorg.disconnected.iter().chain(&reorg.connected).collect();
    seen.sort_by_key(|block| block.sequence);
    let order: Vec<_> = seen.iter().map(|block| tree.name(&block.hash)).collect();
    assert_eq!(order, ["a1", "a2", "a3", "a4", "b1", "b2", "b3", "b4", "b5"]);
    let sizes: BTreeMap<_, _> =
        reorg.disconnected.iter().map(|block| (tree.name(&block.hash), block.transactions)).collect();
    assert_eq!(sizes, BTreeMap::from([("a1", 3), ("a2", 3), ("a3", 2), ("a4", 3)]));
    assert_eq!(reorg.fork.transactions, 1);
}

#[test]
fn a_plain_extension_is_no_reorganisation_and_an_invalidation_is_one() {
    let mut tree = TestTree::regtest();
    tree.draw("genesis a1 a2 a3");
    let mut chain = tree.chain();
    tree.deliver(&mut chain, "a1 a2 a3");
    assert!(chain.journal().is_empty());
    chain.invalidate(&tree.hash("a3")).expect("known");
    tree.activate(&mut chain);
    let reorg = &chain.journal()[0];
    assert_eq!((reorg.disconnected.len(), reorg.connected.len()), (1, 0));
    assert_eq!(tree.name(&reorg.fork.hash), "a2");
    assert_eq!(reorg.transactions[0].fate, Fate::Orphaned);
}
