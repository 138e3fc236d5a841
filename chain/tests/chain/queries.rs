//! What the chain answers.

use tine_chain::amount::{Amount, COIN};
use tine_chain::chain::{Chain, ChainTipStatus};
use tine_chain::hash::BlockHash;
use tine_chain::testing::TestTree;

/// A chain of `length` blocks `n1 …`.
fn long(length: u32) -> (TestTree, Chain) {
    let mut tree = TestTree::regtest();
    let names: Vec<_> = (1..=length).map(|number| format!("n{number}")).collect();
    tree.draw(&format!("genesis {}", names.join(" ")));
    let mut chain = tree.chain();
    tree.deliver(&mut chain, &names.join(" "));
    (tree, chain)
}

#[test]
fn a_locator_is_dense_at_the_tip_and_sparse_below() {
    let (tree, chain) = long(100);
    let locator = chain.locator(&chain.tip().hash);
    let heights: Vec<_> = locator.iter().map(|hash| chain.tree().get(hash).expect("known").height).collect();
    assert_eq!(heights, [100, 99, 98, 97, 96, 95, 94, 93, 92, 91, 90, 89, 87, 83, 75, 59, 27, 0]);
    assert_eq!(chain.locator(&BlockHash([9; 32])), locator);
    assert_eq!(chain.locator(&tree.hash("genesis")), [tree.hash("genesis")]);
}

#[test]
fn headers_after_a_locator() {
    let (tree, chain) = long(20);
    let heights = |locator: &[BlockHash], max: usize| -> Vec<u32> {
        let headers = chain.headers_after(locator, max);
        headers.iter().map(|header| chain.tree().get(&header.hash()).expect("known").height).collect()
    };
    assert_eq!(heights(&[tree.hash("n17")], 100), [18, 19, 20]);
    assert_eq!(heights(&[BlockHash([1; 32]), tree.hash("n5")], 2), [6, 7]);
    assert_eq!(heights(&[], 3), [1, 2, 3]);
    assert_eq!(heights(&[tree.hash("n20")], 100), [0; 0]);
}

#[test]
fn the_tree_answers_as_a_walk_over_parents_does() {
    let mut tree = TestTree::regtest();
    let branch = |prefix: &str, length: usize| {
        (0..length).map(|number| format!("{prefix}{number}")).collect::<Vec<_>>()
    };
    let (main, side) = (branch("m", 60), branch("s", 45));
    tree.draw(&format!("genesis {}\nm20 {}", main.join(" "), side.join(" ")));
    let mut chain = tree.chain();
    tree.deliver(&mut chain, &format!("{} {}", main.join(" "), side.join(" ")));
    let names: Vec<_> = main.iter().chain(&side).collect();
    let path = |name: &str| {
        let mut path = vec![chain.tree().get(&tree.hash(name)).expect("known").clone()];
        while let Some(parent) = chain.tree().parent(path.last().expect("not empty")) {
            path.push(parent.clone());
        }
        path.reverse();
        path
    };
    for a in &names {
        let of_a = path(a);
        for (height, entry) in of_a.iter().enumerate() {
            let found = chain.tree().ancestor(&tree.hash(a), height as u32).expect("not higher");
            assert_eq!(found.hash, entry.hash);
        }
        assert!(chain.tree().ancestor(&tree.hash(a), of_a.len() as u32).is_none());
    }
    for (a, b) in
        [("m59", "s44"), ("m20", "s0"), ("m3", "m50"), ("s44", "s2"), ("s10", "m21"), ("m59", "m59")]
    {
        let (of_a, of_b) = (path(a), path(b));
        let common = of_a.iter().zip(&of_b).take_while(|(a, b)| a.hash == b.hash).count();
        let fork = chain.tree().fork_point(&tree.hash(a), &tree.hash(b)).expect("known");
        assert_eq!(fork.hash, of_a[common - 1].hash, "{a} {b}");
        assert_eq!(chain.tree().is_ancestor(&tree.hash(a), &tree.hash(b)), common == of_a.len());
    }
}

#[test]
fn hdr_09_the_median_of_fewer_than_eleven_times() {
    let (tree, chain) = long(12);
    let genesis = tree.params.genesis.time;
    let medians: Vec<_> = (0..=12)
        .map(|height| (chain.active_entry(height).expect("active").median_time_past - genesis) / 600)
        .collect();
    assert_eq!(medians, [0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 7]);
}

#[test]
fn wanted_bodies_are_the_lowest_of_the_best_header_chain_within_the_window() {
    let mut tree = TestTree::regtest();
    tree.draw(
        "genesis a1 a2 a3 a4 a5 a6
         genesis b1",
    );
    let mut chain = tree.chain();
    tree.deliver(&mut chain, "b1");
    assert_eq!(chain.next_wanted(10, 10), []);
    for number in 1..=6 {
        chain.accept_header(tree.block(&format!("a{number}")).header, tree.now()).expect("valid");
    }
    tree.deliver(&mut chain, "a2");
    let wanted = |chain: &Chain, max: usize, window: u32| -> Vec<String> {
        chain.next_wanted(max, window).iter().map(|hash| tree.name(hash).to_owned()).collect()
    };
    assert_eq!(wanted(&chain, 10, 10), ["a1", "a3", "a4", "a5", "a6"]);
    assert_eq!(wanted(&chain, 2, 10), ["a1", "a3"]);
    assert_eq!(wanted(&chain, 10, 3), ["a1", "a3"]);
    tree.deliver(&mut chain, "a1");
    assert_eq!(wanted(&chain, 10, 2), ["a3", "a4"]);
    tree.deliver(&mut chain, "a3 a4 a5 a6");
    assert_eq!(wanted(&chain, 10, 10), [""; 0]);
}

#[test]
fn chain_tips_have_cores_statuses_and_one_is_active() {
    let mut tree = TestTree::regtest();
    tree.draw(
        "genesis a1 a2 a3 a4
                 a1 fork
                 a1 side
                 a2 head1 head2
                 a4 ahead",
    );
    tree.block_with("bad", "a2", &[], |draft| draft.coinbase.outputs[0].value.0 += 1);
    tree.draw("bad after");
    let mut chain = tree.chain();
    tree.deliver(&mut chain, "a1 fork a2 a3 side a4");
    chain.accept_header(tree.block("bad").header, tree.now()).expect("valid");
    chain.accept_header(tree.block("after").header, tree.now()).expect("valid");
    chain.invalidate(&tree.hash("bad")).expect("known");
    for name in ["head1", "head2", "ahead"] {
        chain.accept_header(tree.block(name).header, tree.now()).expect("valid");
    }
    let mut tips: Vec<_> = chain
        .chain_tips()
        .iter()
        .map(|tip| (tree.name(&tip.hash).to_owned(), tip.height, tip.branch_length, tip.status))
        .collect();
    assert!(tips.is_sorted_by_key(|(_, height, _, _)| std::cmp::Reverse(*height)));
    tips.sort_by(|a, b| a.0.cmp(&b.0));
    let expected = [
        ("a4", 4, 0, ChainTipStatus::Active),
        ("after", 4, 2, ChainTipStatus::Invalid),
        ("ahead", 5, 1, ChainTipStatus::HeadersOnly),
        ("fork", 2, 1, ChainTipStatus::ValidFork),
        ("head2", 4, 2, ChainTipStatus::HeadersOnly),
        ("side", 2, 1, ChainTipStatus::ValidHeaders),
    ];
    let expected = expected.map(|(name, height, length, status)| (name.to_owned(), height, length, status));
    assert_eq!(tips, expected);
}

#[test]
fn the_coin_set_is_counted_summed_and_hashed() {
    let mut tree = TestTree::regtest();
    tree.draw("genesis a1 a2 a3");
    tree.pay("t", &["a1:0"], &[("bob", 20 * COIN), ("carol", 30 * COIN)]);
    tree.draw(
        "a3 a4[t]
         a3 b4 b5",
    );
    let mut chain = tree.chain();
    tree.deliver(&mut chain, "a1 a2 a3");
    let before = chain.coin_set().expect("works");
    assert_eq!((before.coins, before.transactions, before.total), (3, 3, Amount(150 * COIN)));
    tree.deliver(&mut chain, "a4");
    let set = chain.coin_set().expect("works");
    assert_eq!((set.coins, set.transactions, set.total), (5, 4, Amount(200 * COIN)));
    assert_ne!(set.hash, before.hash);
    chain.invalidate(&tree.hash("a4")).expect("known");
    tree.activate(&mut chain);
    assert_eq!(chain.coin_set().expect("works"), before);
}
