//! Witnesses that are judged on other cores before their block has its turn: the verdicts are what they are without.

use std::sync::Arc;

use tine_chain::amount::COIN;
use tine_chain::chain::{Chain, ChainOptions, Patience};
use tine_chain::hash::BlockHash;
use tine_chain::reject::Reject;
use tine_chain::signature::Parallel;
use tine_chain::testing::TestTree;
use tine_chain::transaction::{Transaction, TxData};

/// Blocks after the first three.
const BLOCKS: usize = 6;
/// Payments in each, the later of which spend the earlier.
const PAYMENTS: usize = 3;

fn payment(number: usize) -> String {
    format!("t{number}")
}

/// Blocks `b0 …` in a row, each full of payments that spend the one before; the witness of payment `forged` is bad.
fn draw(forged: Option<usize>) -> TestTree {
    let mut tree = TestTree::regtest();
    tree.draw("genesis a1 a2 a3");
    for number in 0..BLOCKS * PAYMENTS {
        let coin = number.checked_sub(1).map_or("a1:0".to_owned(), |before| format!("{}:0", payment(before)));
        let value = 49 * COIN - 10_000 * number as u64;
        let good = tree.pay(&payment(number), &[&coin], &[("payer", value)]);
        if forged == Some(number) {
            let mut data = TxData::clone(good.data());
            *data.witnesses[0].0.last_mut().expect("a signature") ^= 1;
            tree.add_transaction("forged", &Arc::new(Transaction::new(data)));
        }
    }
    let mut parent = "a3".to_owned();
    for block in 0..BLOCKS {
        let name = |number| if forged == Some(number) { "forged".to_owned() } else { payment(number) };
        let payments: Vec<_> = (block * PAYMENTS..(block + 1) * PAYMENTS).map(name).collect();
        tree.block_with(&format!("b{block}"), &parent, &payments, |_| {});
        parent = format!("b{block}");
    }
    tree
}

/// All blocks come at once; then the chain moves, a block or two at a time.
fn run(tree: &TestTree, parallel: Parallel, patience: Patience) -> (Chain, Vec<(BlockHash, Reject)>) {
    let mut chain = tree.chain_with(ChainOptions { parallel, ..ChainOptions::default() });
    tree.deliver(&mut chain, "a1 a2 a3");
    for block in 0..BLOCKS {
        chain.insert_block(tree.block(&format!("b{block}")), tree.now()).expect("follows the rules so far");
    }
    let mut invalid = Vec::new();
    loop {
        let progress = chain.activate_with(tree.now(), 2, patience).expect("memory");
        assert!(!progress.soon || (progress.more && patience == Patience::ComesBack));
        invalid.extend(progress.invalid);
        if !progress.more {
            return (chain, invalid);
        }
    }
}

fn all_ways(tree: &TestTree) -> Vec<(Chain, Vec<(BlockHash, Reject)>)> {
    let ways = [
        (Parallel::Inline, Patience::Waits),
        (Parallel::AllCores, Patience::Waits),
        (Parallel::AllCores, Patience::ComesBack),
    ];
    ways.into_iter().map(|(parallel, patience)| run(tree, parallel, patience)).collect()
}

#[test]
fn blocks_that_wait_are_connected_in_their_turn() {
    let tree = draw(None);
    for (mut chain, invalid) in all_ways(&tree) {
        assert_eq!((tree.tip(&chain), invalid), ("b5", Vec::new()));
        // off the chain and on again
        chain.invalidate(&tree.hash("b1")).expect("known");
        tree.activate(&mut chain);
        assert_eq!(tree.tip(&chain), "b0");
        chain.reconsider(&tree.hash("b1")).expect("known");
        tree.activate(&mut chain);
        assert_eq!(tree.tip(&chain), "b5");
    }
}

#[test]
fn tx_17_a_bad_witness_among_blocks_that_wait_is_found_in_its_turn() {
    for forged in [0, 4, BLOCKS * PAYMENTS - 1] {
        let tree = draw(Some(forged));
        let guilty = forged / PAYMENTS;
        let before = guilty.checked_sub(1).map_or("a3".to_owned(), |block| format!("b{block}"));
        for (chain, invalid) in all_ways(&tree) {
            assert_eq!(invalid, [(tree.hash(&format!("b{guilty}")), Reject::BadSignature)]);
            assert_eq!(tree.tip(&chain), before);
        }
    }
}
