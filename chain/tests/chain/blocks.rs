//! One test for each rule about blocks, and what a bad body does not do.

use std::sync::Arc;

use tine_chain::amount::{Amount, COIN, MAX_MONEY};
use tine_chain::block::{Block, MAX_BLOCK_SIZE};
use tine_chain::chain::{ChainOptions, Inserted};
use tine_chain::change::Invalidity;
use tine_chain::hash::{MerkleRoot, Wtxid};
use tine_chain::merkle::merkle_root;
use tine_chain::reject::{Fault, Reject};
use tine_chain::rules::check_block;
use tine_chain::signature::Parallel;
use tine_chain::testing::{Draft, TestTree};
use tine_chain::transaction::{SEQUENCE_FINAL, SEQUENCE_LOCK_TIME, Transaction, TxData, TxOut, Witness};

/// `a1 a2 a3`, then a block `bad` with these transactions: the chain's verdict, and what it keeps of it.
fn verdict(
    tree: &mut TestTree,
    transactions: &[&str],
    spoil: impl FnOnce(&mut Draft),
) -> Result<Inserted, Reject> {
    let names: Vec<_> = transactions.iter().map(|name| (*name).to_owned()).collect();
    tree.block_with("bad", "a3", &names, spoil);
    let mut chain = tree.chain();
    tree.deliver(&mut chain, "a1 a2 a3");
    let before = chain.coin_set().expect("works");
    let verdict = tree.submit(&mut chain, "bad");
    if let Err(reject) = verdict {
        assert_eq!(chain.coin_set().expect("works"), before, "UTX-06: no trace of a bad block");
        assert_eq!(tree.tip(&chain), "a3");
        let mark = chain.tree().get(&tree.hash("bad")).and_then(|entry| entry.invalid);
        let expected = (reject.fault() == Fault::Invalid).then_some(Invalidity::Rule(reject));
        assert_eq!(mark, expected, "only what fails after the root has matched marks a hash");
    }
    verdict
}

fn spoiled(spoil: impl FnOnce(&mut Draft)) -> Result<Inserted, Reject> {
    let mut tree = TestTree::regtest();
    tree.draw("genesis a1 a2 a3");
    verdict(&mut tree, &[], spoil)
}

/// The same, where transaction `t` spends `a1:0`.
fn spoiled_payment(spoil: impl FnOnce(&mut Draft)) -> Result<Inserted, Reject> {
    let mut tree = TestTree::regtest();
    tree.draw("genesis a1 a2 a3");
    tree.pay("t", &["a1:0"], &[("bob", 20 * COIN), ("a1", 29 * COIN)]);
    verdict(&mut tree, &["t"], spoil)
}

#[test]
fn an_honest_block_is_taken() {
    assert_eq!(spoiled(|_| {}), Ok(Inserted::New));
    assert_eq!(spoiled_payment(|_| {}), Ok(Inserted::New));
}

#[test]
fn blk_01_bad_blk_length_without_transactions() {
    assert_eq!(spoiled(|draft| draft.no_coinbase = true), Err(Reject::BadBlockLength));
}

/// A block on `a3` of exactly `size` bytes.
fn block_of_size(tree: &mut TestTree, size: usize) -> Result<Inserted, Reject> {
    verdict(tree, &[], |draft| {
        // outputs of 40 bytes, and the rest in the first coinbase's witness
        let coinbase = draft.coinbase.clone();
        let filler = |outputs: usize, witness: usize| {
            let mut data = coinbase.clone();
            data.outputs = vec![TxOut { value: Amount(0), lock: data.outputs[0].lock }; outputs];
            data.witnesses = vec![Witness(vec![7; witness])];
            data
        };
        draft.transactions =
            (0..10).map(|number| Arc::new(Transaction::new(filler(9_990, 50 + number)))).collect();
        let sum = |draft: &Draft| {
            let coinbase = Transaction::new(draft.coinbase.clone());
            81 + coinbase.size()
                + draft.transactions.iter().map(|transaction| transaction.size()).sum::<usize>()
        };
        draft.coinbase = filler(1, 1);
        let missing = size - sum(draft);
        draft.coinbase = filler(1 + missing / 40, 1);
        let missing = size - sum(draft);
        draft.coinbase.witnesses[0].0.resize(1 + missing, 7);
        assert_eq!(sum(draft), size);
    })
}

#[test]
fn blk_09_bad_blk_length_one_byte_over_the_limit() {
    let mut tree = TestTree::regtest();
    tree.draw("genesis a1 a2 a3");
    // a full block passes this rule and fails a later one
    assert_eq!(block_of_size(&mut tree, MAX_BLOCK_SIZE), Err(Reject::CoinbaseMultiple));
    let mut tree = TestTree::regtest();
    tree.draw("genesis a1 a2 a3");
    assert_eq!(block_of_size(&mut tree, MAX_BLOCK_SIZE + 1), Err(Reject::BadBlockLength));
}

#[test]
fn blk_10_bad_txnmrklroot() {
    assert_eq!(spoiled(|draft| draft.root = Some(MerkleRoot([1; 32]))), Err(Reject::BadMerkleRoot));
}

/// A body with the header of `block` and these of its transactions.
fn body(block: &Block, places: &[usize]) -> Arc<Block> {
    let transactions = places.iter().map(|&place| Arc::clone(&block.transactions[place])).collect();
    Arc::new(Block { header: block.header, transactions })
}

#[test]
fn mrk_01_02_and_03_bad_txns_duplicate_marks_nothing_and_the_honest_body_follows() {
    let mut tree = TestTree::regtest();
    tree.draw("genesis a1 a2 a3 a4 a5 a6 a7");
    for number in 1..6 {
        tree.pay(&format!("t{number}"), &[&format!("a{number}:0")], &[("bob", COIN)]);
    }
    tree.draw(
        "a7 three[t1,t2]
         a7 six[t1,t2,t3,t4,t5]",
    );
    for (name, repeated) in [("three", vec![0, 1, 2, 2]), ("six", vec![0, 1, 2, 3, 4, 5, 4, 5])] {
        let mut chain = tree.chain();
        tree.deliver(&mut chain, "a1 a2 a3 a4 a5 a6 a7");
        let honest = tree.block(name);
        let mutated = body(&honest, &repeated);
        let root = |block: &Block| {
            merkle_root(&block.transactions.iter().map(|tx| tx.wtxid()).collect::<Vec<Wtxid>>())
        };
        assert_eq!(root(&mutated), root(&honest), "the attack is real");
        assert_eq!(chain.insert_block(mutated, tree.now()), Err(Reject::DuplicateTransactions));
        assert!(!chain.has_body(&honest.hash()));
        tree.deliver(&mut chain, name);
        assert_eq!(tree.tip(&chain), name);
    }
}

#[test]
fn blk_37_altered_signatures_under_an_honest_header_are_mutated() {
    let mut tree = TestTree::regtest();
    tree.draw("genesis a1 a2 a3");
    let honest = tree.pay("t", &["a1:0"], &[("bob", COIN)]);
    tree.draw("a3 a4[t]");
    let mut data = TxData::clone(honest.data());
    data.witnesses[0].0[60] ^= 1;
    let mut block = Block::clone(&tree.block("a4"));
    block.transactions[1] = Arc::new(Transaction::new(data));
    assert_eq!(block.transactions[1].txid(), honest.txid(), "witnesses are no part of the txid");
    let mut chain = tree.chain();
    tree.deliver(&mut chain, "a1 a2 a3");
    assert_eq!(chain.insert_block(Arc::new(block), tree.now()), Err(Reject::BadMerkleRoot));
    tree.deliver(&mut chain, "a4");
    assert_eq!(tree.tip(&chain), "a4");
}

#[test]
fn blk_36_a_mined_transaction_with_other_signatures_than_the_verified_one_is_judged_anew() {
    let mut tree = TestTree::regtest();
    tree.draw("genesis a1 a2 a3");
    let honest = tree.pay("t", &["a1:0"], &[("bob", COIN)]);
    let mut data = TxData::clone(honest.data());
    data.witnesses[0].0[60] ^= 1;
    tree.add_transaction("forged", &Arc::new(Transaction::new(data)));
    tree.draw("a3 bad[forged]");
    let mut chain = tree.chain();
    tree.deliver(&mut chain, "a1 a2 a3");
    let coin = chain.coin(&tree.outpoint("a1:0")).expect("works").expect("unspent");
    assert_eq!(chain.verify_transaction(&honest, &[coin]), Ok(Amount(49 * COIN)));
    assert_eq!(tree.submit(&mut chain, "bad"), Err(Reject::BadSignature));
}

#[test]
fn blk_02_bad_cb_missing() {
    assert_eq!(spoiled_payment(|draft| draft.no_coinbase = true), Err(Reject::CoinbaseMissing));
}

#[test]
fn blk_03_bad_cb_multiple() {
    let verdict = spoiled(|draft| {
        let mut second = draft.coinbase.clone();
        second.witnesses[0].0.push(1);
        draft.transactions.push(Arc::new(Transaction::new(second)));
    });
    assert_eq!(verdict, Err(Reject::CoinbaseMultiple));
}

#[test]
fn blk_07_bad_cb_height() {
    assert_eq!(spoiled(|draft| draft.coinbase.lock_time = 2), Err(Reject::CoinbaseHeight));
    assert_eq!(spoiled(|draft| draft.coinbase.lock_time = 0), Err(Reject::CoinbaseHeight));
    // the height as BIP 34 has it, one too many, with a sequence that lets the lock time pass
    let verdict = spoiled(|draft| {
        draft.coinbase.lock_time = 4;
        draft.coinbase.inputs[0].sequence = SEQUENCE_FINAL;
    });
    assert_eq!(verdict, Err(Reject::CoinbaseHeight));
    assert_eq!(
        spoiled(|draft| draft.coinbase.inputs[0].sequence = SEQUENCE_FINAL),
        Err(Reject::CoinbaseHeight)
    );
    assert_eq!(
        spoiled(|draft| draft.coinbase.inputs[0].sequence = SEQUENCE_LOCK_TIME - 1),
        Ok(Inserted::New)
    );
}

#[test]
fn blk_08_bad_cb_length() {
    let witness = |length: usize| spoiled(|draft| draft.coinbase.witnesses[0].0 = vec![7; length]);
    assert_eq!(witness(0), Err(Reject::CoinbaseLength));
    assert_eq!(witness(1), Ok(Inserted::New));
    assert_eq!(witness(100), Ok(Inserted::New));
    assert_eq!(witness(101), Err(Reject::CoinbaseLength));
}

#[test]
fn blk_05_bad_cb_amount_one_unit_over_subsidy_and_fees() {
    let pays = |value: u64| spoiled_payment(|draft| draft.coinbase.outputs[0].value = Amount(value));
    // the payment leaves one coin of fee
    assert_eq!(pays(51 * COIN + 1), Err(Reject::CoinbaseAmount));
    assert_eq!(pays(51 * COIN), Ok(Inserted::New));
    assert_eq!(pays(3), Ok(Inserted::New));
}

#[test]
fn blk_31_bad_txns_accumulated_fee_outofrange() {
    let mut tree = TestTree::regtest();
    tree.grant("rich", MAX_MONEY);
    tree.grant("richer", MAX_MONEY);
    tree.draw("genesis a1 a2 a3");
    tree.pay("one", &["rich:0"], &[("bob", 1)]);
    tree.pay("two", &["richer:0"], &[("bob", 1)]);
    let verdict = verdict(&mut tree, &["one", "two"], |draft| {
        draft.coinbase.outputs[0].value = Amount(COIN);
    });
    assert_eq!(verdict, Err(Reject::FeesOutOfRange));
}

#[test]
fn blk_24_a_block_that_is_not_canonical_is_no_block() {
    use tine_chain::codec::{Decode, DecodeError, Encode};
    let mut tree = TestTree::regtest();
    tree.draw("genesis a1");
    let mut bytes = tree.block("a1").to_bytes();
    assert_eq!(bytes[80], 1);
    bytes.splice(80..81, [0xfd, 1, 0]);
    assert_eq!(Block::from_bytes(&bytes), Err(DecodeError::NonCanonicalCompactSize { value: 1 }));
}

#[test]
fn tx_17_bad_witness_signature() {
    let mut tree = TestTree::regtest();
    tree.draw("genesis a1 a2 a3");
    let honest = tree.pay("t", &["a1:0"], &[("bob", COIN)]);
    let mut data = TxData::clone(honest.data());
    *data.witnesses[0].0.last_mut().expect("a signature") ^= 1;
    tree.add_transaction("forged", &Arc::new(Transaction::new(data)));
    assert_eq!(verdict(&mut tree, &["forged"], |_| {}), Err(Reject::BadSignature));
}

#[test]
fn witnesses_are_judged_in_blocks() {
    let mut tree = TestTree::regtest();
    tree.draw("genesis a1 a2 a3");
    let honest = tree.pay("t", &["a1:0"], &[("bob", COIN)]);
    let other = tree.pay("u", &["a2:0"], &[("bob", COIN)]);
    for (name, witness, reject) in [
        ("empty", Witness::default(), Reject::WitnessDecode),
        ("borrowed", other.witnesses[0].clone(), Reject::WitnessMismatch),
    ] {
        let mut data = TxData::clone(honest.data());
        data.witnesses[0] = witness;
        tree.add_transaction(name, &Arc::new(Transaction::new(data)));
        tree.block_with(&format!("with {name}"), "a3", &[name.to_owned()], |_| {});
        let mut chain = tree.chain();
        tree.deliver(&mut chain, "a1 a2 a3");
        assert_eq!(tree.submit(&mut chain, &format!("with {name}")), Err(reject));
    }
}

#[test]
fn blk_28_and_38_one_bad_signature_fails_the_block_wherever_it_stands_inline_and_on_all_cores() {
    const PAYMENTS: usize = 40;
    let mut tree = TestTree::regtest();
    tree.draw("genesis a1 a2 a3");
    let names: Vec<_> = (0..PAYMENTS).map(|number| format!("p{number}")).collect();
    let outputs: Vec<_> = names.iter().map(|name| (name.as_str(), COIN)).collect();
    tree.pay("split", &["a1:0"], &outputs);
    for (number, name) in names.iter().enumerate() {
        tree.pay(name, &[&format!("split:{number}")], &[("bob", COIN / 2)]);
    }
    tree.draw(&format!("a3 good[split,{}]", names.join(",")));
    for bad in [0, PAYMENTS / 2, PAYMENTS - 1] {
        let mut data = TxData::clone(tree.transaction(&names[bad]).data());
        data.witnesses[0].0[40] ^= 4;
        let forged = Arc::new(Transaction::new(data));
        let mut all = vec!["split".to_owned()];
        all.extend(names.iter().cloned());
        tree.block_with(&format!("forged{bad}"), "a3", &all, |draft| draft.transactions[1 + bad] = forged);
    }
    for parallel in [Parallel::Inline, Parallel::AllCores] {
        let mut chain = tree.chain_with(ChainOptions { parallel, ..ChainOptions::default() });
        tree.deliver(&mut chain, "a1 a2 a3");
        for bad in [0, PAYMENTS / 2, PAYMENTS - 1] {
            assert_eq!(
                tree.submit(&mut chain, &format!("forged{bad}")),
                Err(Reject::BadSignature),
                "{parallel:?}"
            );
        }
        tree.deliver(&mut chain, "good");
        assert_eq!(tree.tip(&chain), "good");
    }
}

#[test]
fn check_block_judges_without_a_chain() {
    let mut tree = TestTree::regtest();
    tree.draw("genesis a1");
    let checked = check_block(tree.block("a1"), &tree.params).expect("honest");
    let mut chain = tree.chain();
    assert_eq!(chain.insert_checked_block(checked.clone(), tree.now()), Ok(Inserted::New));
    assert_eq!(chain.insert_checked_block(checked, tree.now()), Ok(Inserted::Duplicate));
}
