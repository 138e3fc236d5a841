//! Transactions and templates that are judged before they are in a block.

use std::sync::Arc;

use tine_chain::amount::{Amount, COIN};
use tine_chain::block::Block;
use tine_chain::chain::Chain;
use tine_chain::reject::{Fault, Reject};
use tine_chain::testing::TestTree;
use tine_chain::transaction::{SEQUENCE_LOCK_TIME, Transaction, TxData};

/// The verdict of the mempool about a spend of `coin`, with `a1 … a5` active.
fn loose(coin: &str, spoil: impl FnOnce(&mut TxData)) -> Result<Amount, Reject> {
    let mut tree = TestTree::regtest();
    tree.draw("genesis a1 a2 a3 a4 a5");
    let mut chain = tree.chain();
    tree.deliver(&mut chain, "a1 a2 a3 a4 a5");
    let transaction = tree.pay_with("t", &[coin], &[("bob", COIN)], spoil);
    let coin = chain.coin(&tree.outpoint(coin)).expect("works").expect("unspent");
    chain.verify_transaction(&transaction, &[coin])
}

#[test]
fn a_good_transaction_is_told_its_fee() {
    assert_eq!(loose("a1:0", |_| {}), Ok(Amount(49 * COIN)));
}

#[test]
fn what_only_time_must_heal_is_premature() {
    let lock_time = |data: &mut TxData| {
        data.lock_time = 6;
        data.inputs[0].sequence = SEQUENCE_LOCK_TIME;
    };
    assert_eq!(loose("a1:0", lock_time), Err(Reject::PrematureNonFinal));
    assert_eq!(loose("a1:0", |data| data.inputs[0].sequence = 6), Err(Reject::PrematureSequenceLock));
    assert_eq!(loose("a5:0", |_| {}), Err(Reject::PrematureCoinbaseSpend));
    assert_eq!(loose("a4:0", |_| {}), Ok(Amount(49 * COIN)));
    for reject in [Reject::PrematureNonFinal, Reject::PrematureSequenceLock, Reject::PrematureCoinbaseSpend] {
        assert_eq!(reject.fault(), Fault::Premature);
    }
}

#[test]
fn what_can_never_be_valid_is_not() {
    assert_eq!(loose("a1:0", |data| data.outputs.clear()), Err(Reject::NoOutputs));
    assert_eq!(loose("a1:0", |data| data.outputs[0].value = Amount(50 * COIN + 1)), Err(Reject::InBelowOut));
}

#[test]
fn tx_12_a_loose_coinbase() {
    let mut tree = TestTree::regtest();
    tree.draw("genesis a1 a2 a3");
    let mut chain = tree.chain();
    tree.deliver(&mut chain, "a1");
    let coin = chain.coin(&tree.outpoint("a1:0")).expect("works").expect("unspent");
    assert_eq!(chain.verify_transaction(&tree.transaction("a2"), &[coin]), Err(Reject::LooseCoinbase));
}

#[test]
fn a_forged_signature_is_refused_and_not_remembered() {
    let mut tree = TestTree::regtest();
    tree.draw("genesis a1 a2 a3");
    let mut chain = tree.chain();
    tree.deliver(&mut chain, "a1 a2 a3");
    let honest = tree.pay("t", &["a1:0"], &[("bob", COIN)]);
    let mut data = TxData::clone(honest.data());
    data.witnesses[0].0[50] ^= 1;
    let forged = Transaction::new(data);
    let coin = chain.coin(&tree.outpoint("a1:0")).expect("works").expect("unspent");
    for _ in 0..2 {
        assert_eq!(chain.verify_transaction(&forged, &[coin]), Err(Reject::BadSignature));
        assert!(chain.verify_transaction(&honest, &[coin]).is_ok());
    }
    // the verdict depends on the coin that is spent: TX-19
    let mut other = coin;
    other.output.value = Amount(other.output.value.0 + 1);
    assert_eq!(chain.verify_transaction(&honest, &[other]), Err(Reject::BadSignature));
}

/// A chain `a1 a2 a3` with the side block `b2`, and a template on `parent`.
fn template(parent: &str, spoil: impl FnOnce(&mut Block)) -> (TestTree, Chain, Block) {
    let mut tree = TestTree::regtest();
    tree.draw(
        "genesis a1 a2 a3
                 a1 b2",
    );
    tree.pay("t", &["a1:0"], &[("bob", COIN)]);
    let block = tree.block_with("next", parent, &["t".to_owned()], |draft| draft.without_work = true);
    let mut chain = tree.chain();
    tree.deliver(&mut chain, "a1 a2 a3 b2");
    let mut block = Block::clone(&block);
    spoil(&mut block);
    (tree, chain, block)
}

#[test]
fn a_template_needs_no_work_and_may_build_on_any_branch() {
    for parent in ["a3", "b2", "a2"] {
        let (tree, chain, block) = template(parent, |_| {});
        let fees = chain.verify_block_template(&block, tree.now()).expect("works");
        assert_eq!(fees, Ok(Amount(49 * COIN)), "on {parent}");
        assert_eq!(tree.tip(&chain), "a3");
    }
}

#[test]
fn a_template_is_judged_by_every_other_rule() {
    let verdict = |parent: &str, spoil: fn(&mut Block)| {
        let (tree, chain, block) = template(parent, spoil);
        chain.verify_block_template(&block, tree.now()).expect("works")
    };
    assert_eq!(verdict("a3", |block| block.header.merkle_root.0[0] ^= 1), Err(Reject::BadMerkleRoot));
    assert_eq!(verdict("a3", |block| block.header.bits.0 -= 1), Err(Reject::BadDiffBits));
    assert_eq!(verdict("a3", |block| block.header.prev_block.0[0] ^= 1), Err(Reject::PrevBlockNotFound));
    assert_eq!(verdict("a1", |_| {}), Err(Reject::PrematureSpend));
}

#[test]
fn blk_30_the_cache_of_verified_transactions_is_used_in_blocks() {
    // a transaction that was verified connects although its block could not verify it: there is no way to see that from
    // outside but time, so that this only says that the verdict is the same with and without
    let mut tree = TestTree::regtest();
    tree.draw("genesis a1 a2 a3");
    let transaction = tree.pay("t", &["a1:0"], &[("bob", COIN)]);
    let child = tree.pay("u", &["t:0"], &[("carol", COIN / 2)]);
    tree.draw("a3 a4[t,u]");
    for known in [false, true] {
        let mut chain = tree.chain();
        tree.deliver(&mut chain, "a1 a2 a3");
        if known {
            let coin = chain.coin(&tree.outpoint("a1:0")).expect("works").expect("unspent");
            chain.verify_transaction(&transaction, &[coin]).expect("good");
            let unconfirmed =
                tine_chain::coins::Coin { output: transaction.outputs[0], height: 4, coinbase: false };
            chain.verify_transaction(&child, &[unconfirmed]).expect("good");
        }
        tree.deliver(&mut chain, "a4");
        let block: Arc<Block> = chain.block(&tree.hash("a4")).expect("works").expect("stored");
        assert_eq!(block, tree.block("a4"));
    }
}
