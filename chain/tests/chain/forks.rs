//! Fork choice, drawn.

use std::fmt::Write as _;

use tine_chain::amount::{Amount, COIN};
use tine_chain::chain::{Chain, ChainOptions};
use tine_chain::change::Invalidity;
use tine_chain::hash::BlockHash;
use tine_chain::params::{Network, Params};
use tine_chain::reject::Reject;
use tine_chain::testing::{TestTree, replay_coins, stored_coins};

fn assert_coins_are_right(chain: &Chain) {
    assert_eq!(stored_coins(chain), replay_coins(chain));
}

#[test]
fn the_block_seen_first_stays_on_a_tie() {
    let mut tree = TestTree::regtest();
    tree.draw(
        "genesis a1 a2
         genesis b1 b2",
    );
    for (order, tip) in [("a1 b1", "a1"), ("b1 a1", "b1"), ("a1 a2 b1 b2", "a2"), ("b1 b2 a1 a2", "b2")] {
        let mut chain = tree.chain();
        tree.deliver(&mut chain, order);
        assert_eq!(tree.tip(&chain), tip, "{order}");
    }
}

#[test]
fn a_header_announced_early_wins_no_tie() {
    let mut tree = TestTree::regtest();
    tree.draw(
        "genesis a1
         genesis b1",
    );
    let mut chain = tree.chain();
    chain.accept_header(tree.block("b1").header, tree.now()).expect("valid");
    tree.deliver(&mut chain, "a1 b1");
    assert_eq!(tree.tip(&chain), "a1");
}

#[test]
fn rrg_02_there_and_back() {
    let mut tree = TestTree::regtest();
    tree.draw(
        "genesis a1 a2 a3 a4 a5 a6
                 a1 b2 b3 b4",
    );
    let mut chain = tree.chain();
    tree.deliver(&mut chain, "a1 a2 a3");
    let there = stored_coins(&chain);
    tree.deliver(&mut chain, "b2 b3");
    assert_eq!(tree.tip(&chain), "a3", "the same work, seen later");
    tree.deliver(&mut chain, "b4");
    assert_eq!(tree.tip(&chain), "b4");
    assert_coins_are_right(&chain);
    tree.deliver(&mut chain, "a4 a5");
    assert_eq!(tree.tip(&chain), "a5");
    assert_coins_are_right(&chain);
    // UTX-02: connecting and disconnecting leaves what was there
    chain.invalidate(&tree.hash("a4")).expect("known");
    tree.activate(&mut chain);
    chain.invalidate(&tree.hash("b4")).expect("known");
    tree.activate(&mut chain);
    assert_eq!((tree.tip(&chain), stored_coins(&chain) == there), ("a3", true));
}

#[test]
fn hdr_20_more_work_wins_over_more_height() {
    // devnet's difficulty rises at block 20 when the blocks before it were fast; a slow branch is higher and lighter
    let mut params = Params::of(Network::Devnet);
    params.genesis.bits = params.pow_limit.to_compact();
    let mut tree = TestTree::new(params);
    let mut parents = ["genesis".to_owned(), "genesis".to_owned()];
    for height in 1..=22 {
        // 1 s and 50 s between blocks
        for (branch, (name, earlier)) in [("fast", 599), ("slow", 550)].into_iter().enumerate() {
            if height == 22 && branch == 0 {
                continue;
            }
            let block = format!("{name}{height}");
            tree.block_with(&block, &parents[branch], &[], |draft| draft.header.time -= earlier);
            parents[branch] = block;
        }
    }
    let mut chain = tree.chain();
    for height in 1..=21 {
        tree.deliver(&mut chain, &format!("fast{height}"));
    }
    for height in 1..=22 {
        tree.deliver(&mut chain, &format!("slow{height}"));
    }
    assert_eq!((tree.tip(&chain), chain.tip().height), ("fast21", 21));
    let slow = chain.tree().get(&tree.hash("slow22")).expect("known");
    assert!(slow.height > chain.tip().height && slow.work < chain.tip().work);
}

/// A main chain `m1 … m4`, and a heavier branch from `m1` whose block at `bad` of five overpays.
fn invalid_deep_in_a_reorganisation(bad: usize) {
    let mut tree = TestTree::regtest();
    tree.draw("genesis m1 m2 m3 m4");
    let mut parent = "m1".to_owned();
    for place in 0..5 {
        let name = format!("x{place}");
        tree.block_with(&name, &parent, &[], |draft| {
            draft.coinbase.outputs[0].value.0 += u64::from(place == bad);
        });
        parent = name;
    }
    let mut chain = tree.chain();
    tree.deliver(&mut chain, "m1 m2 m3 m4");
    let coins = chain.coin_set_hash().expect("works");
    // the bodies come from the tip down, so that the whole branch is tried at once
    for place in 0..5 {
        chain.accept_header(tree.block(&format!("x{place}")).header, tree.now()).expect("valid");
    }
    for place in (1..5).rev() {
        tree.deliver(&mut chain, &format!("x{place}"));
    }
    chain.insert_block(tree.block("x0"), tree.now()).expect("follows the rules that need no coins");
    let progress = tree.activate(&mut chain);
    assert_eq!(progress.invalid, [(tree.hash(&format!("x{bad}")), Reject::CoinbaseAmount)]);
    for place in 0..5 {
        let expected = match place.cmp(&bad) {
            std::cmp::Ordering::Less => None,
            std::cmp::Ordering::Equal => Some(Invalidity::Rule(Reject::CoinbaseAmount)),
            std::cmp::Ordering::Greater => Some(Invalidity::Ancestor),
        };
        let entry = chain.tree().get(&tree.hash(&format!("x{place}"))).expect("known");
        assert_eq!(entry.invalid, expected, "x{place}");
    }
    if bad == 4 {
        // what is left of the branch is as high as ours, and one block more would have been needed
        assert_eq!(tree.tip(&chain), "x3");
    } else {
        assert_eq!(tree.tip(&chain), "m4");
        assert_eq!(chain.coin_set_hash().expect("works"), coins, "RRG-04: identical coins");
        assert!(chain.journal().is_empty());
    }
    assert_coins_are_right(&chain);
}

#[test]
fn blk_06_and_rrg_04_an_invalid_block_deep_in_a_reorganisation() {
    (0..5).for_each(invalid_deep_in_a_reorganisation);
}

#[test]
fn the_next_best_branch_is_tried_when_the_best_is_invalid() {
    let mut tree = TestTree::regtest();
    tree.draw(
        "genesis m1 m2
         genesis n1 n2 n3",
    );
    tree.block_with("x1", "genesis", &[], |draft| draft.coinbase.outputs[0].value.0 += 1);
    tree.draw("x1 x2 x3 x4");
    let mut chain = tree.chain();
    tree.deliver(&mut chain, "m1 m2");
    for name in ["n1", "n2", "n3", "x1", "x2", "x3", "x4"] {
        chain.insert_block(tree.block(name), tree.now()).expect("follows the rules that need no coins");
    }
    let progress = tree.activate(&mut chain);
    assert_eq!(progress.invalid.len(), 1);
    assert_eq!(tree.tip(&chain), "n3");
    assert_coins_are_right(&chain);
}

#[test]
fn blk_23_a_child_of_a_block_that_failed_sees_none_of_its_coins() {
    let mut tree = TestTree::regtest();
    tree.draw("genesis a1 a2 a3");
    tree.pay("t", &["a1:0"], &[("bob", COIN)]);
    tree.block_with("bad", "a3", &["t".to_owned()], |draft| {
        draft.coinbase.outputs[0].value = Amount(100 * COIN)
    });
    tree.pay("u", &["t:0"], &[("carol", COIN)]);
    tree.draw("bad child[u]");
    tree.draw("a3 other[u]");
    let mut chain = tree.chain();
    tree.deliver(&mut chain, "a1 a2 a3");
    assert_eq!(tree.submit(&mut chain, "bad"), Err(Reject::CoinbaseAmount));
    assert_eq!(tree.submit(&mut chain, "child"), Err(Reject::BadPrevBlock));
    assert_eq!(tree.submit(&mut chain, "other"), Err(Reject::InputsMissingOrSpent));
    assert_eq!(chain.coin(&tree.outpoint("t:0")).expect("works"), None);
    assert_coins_are_right(&chain);
}

#[test]
fn rrg_05_a_better_header_chain_without_bodies_moves_nothing() {
    let mut tree = TestTree::regtest();
    tree.draw(
        "genesis a1 a2
         genesis b1 b2 b3 b4",
    );
    let mut chain = tree.chain();
    tree.deliver(&mut chain, "a1 a2");
    for name in ["b1", "b2", "b3", "b4"] {
        chain.accept_header(tree.block(name).header, tree.now()).expect("valid");
    }
    assert_eq!(tree.name(&chain.best_header().hash), "b4");
    tree.deliver(&mut chain, "b2 b3 b4");
    assert_eq!(tree.tip(&chain), "a2", "one body is missing");
    assert_eq!(chain.next_wanted(16, 1_024), [tree.hash("b1")]);
    tree.deliver(&mut chain, "b1");
    assert_eq!(tree.tip(&chain), "b4");
    assert_coins_are_right(&chain);
}

#[test]
fn syn_05_bodies_in_any_order_give_the_same_chain() {
    let mut tree = TestTree::regtest();
    tree.draw("genesis a1 a2 a3 a4 a5");
    let mut chain = tree.chain();
    for number in 1..=5 {
        chain.accept_header(tree.block(&format!("a{number}")).header, tree.now()).expect("valid");
    }
    tree.deliver(&mut chain, "a4 a2 a5 a1");
    assert_eq!(tree.tip(&chain), "a2");
    tree.deliver(&mut chain, "a3");
    assert_eq!(tree.tip(&chain), "a5");
    assert_coins_are_right(&chain);
}

/// Two branches of `depth` blocks from a common root, each with payments, one block more on the second.
fn deep(depth: usize) -> (TestTree, Vec<String>, Vec<String>, String) {
    let mut tree = TestTree::regtest();
    tree.draw("genesis r1 r2 r3");
    let mut branches = [Vec::new(), Vec::new()];
    for (branch, length) in [("a", depth), ("b", depth + 1)] {
        let mut parent = "r3".to_owned();
        let mut coin = "r1:0".to_owned();
        for number in 0..length {
            let (name, payment) = (format!("{branch}{number}"), format!("pay-{branch}{number}"));
            tree.pay(&payment, &[&coin], &[("bob", 50 * COIN - number as u64), ("carol", 0)]);
            tree.block_with(&name, &parent, std::slice::from_ref(&payment), |_| {});
            coin = format!("{payment}:0");
            branches[usize::from(branch == "b")].push(name.clone());
            parent = name;
        }
    }
    tree.draw(&format!("a{} last1 last2", depth - 1));
    let [a, b] = branches;
    (tree, a, b, "last1 last2".to_owned())
}

#[test]
fn rrg_03_a_reorganisation_150_deep_there_and_back() {
    let (tree, a, b, last) = deep(150);
    let mut chain = tree.chain_with(ChainOptions { waiting_bytes: 10_000, ..ChainOptions::default() });
    tree.deliver(&mut chain, "r1 r2 r3");
    tree.deliver(&mut chain, &a.join(" "));
    tree.deliver(&mut chain, &b.join(" "));
    assert_eq!(tree.tip(&chain), "b150");
    assert_coins_are_right(&chain);
    assert_eq!(chain.journal()[0].disconnected.len(), 150);
    assert_eq!(chain.journal()[0].connected.len(), 151);
    tree.deliver(&mut chain, &last);
    assert_eq!(tree.tip(&chain), "last2");
    assert_eq!(chain.journal().len(), 2);
    assert_coins_are_right(&chain);
    let mut active = String::new();
    for height in 0..=chain.tip().height {
        let hash: BlockHash = chain.active_hash(height).expect("active");
        write!(active, "{} ", tree.name(&hash)).expect("memory");
    }
    assert_eq!(active.trim_end(), format!("genesis r1 r2 r3 {} last1 last2", a.join(" ")));
}
