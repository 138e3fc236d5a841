//! Budgets, and what a step at a time shows to others.

use tine_chain::chain::ChainOptions;
use tine_chain::signature::Parallel;
use tine_chain::testing::{TestTree, replay_coins, stored_coins};

#[test]
fn blocks_on_the_tip_are_committed_as_far_as_the_budget_goes() {
    let mut tree = TestTree::regtest();
    tree.draw("genesis a1 a2 a3 a4 a5");
    let mut chain = tree.chain();
    for number in 1..=5 {
        chain.insert_block(tree.block(&format!("a{number}")), tree.now()).expect("valid");
    }
    assert_eq!(tree.tip(&chain), "genesis", "nothing is connected by inserting");
    let progress = chain.activate(tree.now(), 2).expect("works");
    assert!(progress.more);
    assert_eq!(tree.tip(&chain), "a2");
    let change = progress.change.expect("two blocks");
    assert_eq!((change.stored.len(), change.connected.len(), change.disconnected.len()), (5, 2, 0));
    assert!(chain.activate(tree.now(), 2).expect("works").more);
    let progress = chain.activate(tree.now(), 2).expect("works");
    assert!(!progress.more);
    assert_eq!(tree.tip(&chain), "a5");
    assert!(chain.activate(tree.now(), 2).expect("works").change.is_none());
}

#[test]
fn a_reorganisation_over_many_calls_is_committed_once() {
    let mut tree = TestTree::regtest();
    tree.draw(
        "genesis a1 a2 a3
         genesis b1 b2 b3 b4 b5",
    );
    let mut chain = tree.chain();
    tree.deliver(&mut chain, "a1 a2 a3");
    let (old, coins) = (chain.tip().hash, stored_coins(&chain));
    for name in ["b1", "b2", "b3", "b4", "b5"] {
        chain.insert_block(tree.block(name), tree.now()).expect("valid");
    }
    // three down, five up; it would be better with the fourth already
    for call in 0..7 {
        let progress = chain.activate(tree.now(), 1).expect("works");
        assert!(progress.more);
        assert_eq!(chain.tip().hash, old, "RRG-10: one tip");
        assert_eq!(stored_coins(&chain), coins);
        // bodies are safe with the first call
        assert_eq!(progress.change.is_some(), call == 0);
    }
    let progress = chain.activate(tree.now(), 1).expect("works");
    assert!(!progress.more);
    let change = progress.change.expect("the switch");
    assert_eq!((change.disconnected.len(), change.connected.len()), (3, 5));
    assert_eq!(change.tip, Some(tree.hash("b5")));
    assert_eq!(stored_coins(&chain), replay_coins(&chain));
}

#[test]
fn a_switch_goes_on_when_its_branch_grows_and_turns_when_another_is_better() {
    let mut tree = TestTree::regtest();
    tree.draw(
        "genesis a1 a2 a3 a4 a5 a6
         genesis b1 b2 b3 b4 b5
         genesis c1 c2 c3 c4 c5 c6",
    );
    let mut chain = tree.chain();
    tree.deliver(&mut chain, "a1 a2 a3");
    let insert = |chain: &mut tine_chain::chain::Chain, names: &str| {
        for name in names.split(' ') {
            chain.insert_block(tree.block(name), tree.now()).expect("valid");
        }
    };
    insert(&mut chain, "b1 b2 b3 b4");
    chain.activate(tree.now(), 5).expect("works");
    assert_eq!(tree.tip(&chain), "a3");
    insert(&mut chain, "b5");
    assert!(chain.activate(tree.now(), 2).expect("works").more);
    insert(&mut chain, "c1 c2 c3 c4 c5 c6");
    assert!(chain.activate(tree.now(), 2).expect("works").more);
    tree.activate(&mut chain);
    assert_eq!(tree.tip(&chain), "c6");
    assert_eq!(chain.journal().len(), 1, "the half-made switch left nothing");
    // half-way off the active chain, that chain itself becomes the best again
    insert(&mut chain, "a4 a5 a6");
    tree.activate(&mut chain);
    assert_eq!(tree.tip(&chain), "c6");
    assert_eq!(stored_coins(&chain), replay_coins(&chain));
}

#[test]
fn utx_08_a_switch_too_big_to_hold_is_committed_when_it_is_better() {
    let mut tree = TestTree::regtest();
    tree.draw(
        "genesis a1 a2
         genesis b1 b2 b3 b4 b5 b6",
    );
    let options = ChainOptions { parallel: Parallel::Inline, switch_bytes: 0, ..ChainOptions::default() };
    let mut chain = tree.chain_with(options);
    tree.deliver(&mut chain, "a1 a2");
    for number in 1..=6 {
        chain.insert_block(tree.block(&format!("b{number}")), tree.now()).expect("valid");
    }
    let mut tips = Vec::new();
    loop {
        let more = chain.activate(tree.now(), 1).expect("works").more;
        tips.push(tree.tip(&chain).to_owned());
        assert_eq!(stored_coins(&chain), replay_coins(&chain));
        if !more {
            break;
        }
    }
    // two steps down and two up are not better; the third is
    assert_eq!(tips, ["a2", "a2", "a2", "a2", "b3", "b4", "b5", "b6"]);
    assert_eq!(chain.journal().len(), 1);
}

#[test]
fn bodies_that_take_too_much_memory_are_read_from_the_store_again() {
    let mut tree = TestTree::regtest();
    tree.draw("genesis a1 a2 a3 a4");
    let mut chain = tree.chain_with(ChainOptions { waiting_bytes: 1, ..ChainOptions::default() });
    for number in 1..=4 {
        chain.accept_header(tree.block(&format!("a{number}")).header, tree.now()).expect("valid");
    }
    tree.deliver(&mut chain, "a2 a3 a4 a1");
    assert_eq!(tree.tip(&chain), "a4");
}
