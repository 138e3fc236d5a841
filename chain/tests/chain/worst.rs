//! The worst legal block: it is legal, and twice the bytes are no more than a little over twice the work.

use tine_chain::rules::check_witnesses;
use tine_chain::testing::{TestTree, Worst};
use tine_chain::transaction::OutPoint;

/// What is counted of a block: its bytes, coins looked up, signatures, and bytes hashed for messages to sign.
fn work(worst: Worst, size: usize) -> [usize; 4] {
    let mut tree = TestTree::regtest();
    let block = tree.worst_block("worst", "genesis", worst, size);
    let mut chain = tree.chain();
    let coin = |outpoint: &OutPoint| {
        let made = block.transactions.iter().find(|transaction| transaction.txid() == outpoint.txid);
        let output = made.map(|transaction| transaction.outputs[outpoint.vout as usize]);
        let before = || chain.coin(outpoint).expect("memory").expect("granted");
        output.map_or_else(before, |output| tine_chain::coins::Coin { output, height: 1, coinbase: false })
    };
    let (mut inputs, mut signatures, mut hashed) = (0, 0, 0);
    for transaction in &block.transactions[1..] {
        let spent: Vec<_> = transaction.inputs.iter().map(|input| coin(&input.prevout)).collect();
        let checks = check_witnesses(transaction, &spent, &tree.params.genesis_hash()).expect("legal");
        inputs += spent.len();
        signatures += checks.len();
        // SHA-256 digests made once for each transaction, and a message of under 300 bytes for each input
        hashed += transaction.size() + 300 * spent.len();
    }
    tree.deliver(&mut chain, "worst");
    assert_eq!(tree.tip(&chain), "worst", "{worst:?} is legal");
    [block.size(), inputs, signatures, hashed]
}

#[test]
fn twice_the_size_is_less_than_two_and_a_half_times_the_work() {
    for worst in Worst::ALL {
        let (one, two) = (work(worst, 60_000), work(worst, 120_000));
        assert!(one[0] > 55_000 && one[0] <= 60_000, "{worst:?}: {one:?}");
        for (one, two) in one.into_iter().zip(two) {
            assert!(2 * two < 5 * one, "{worst:?}: {one} and {two}");
        }
    }
}
