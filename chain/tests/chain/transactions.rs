//! One test for each rule about transactions by themselves, in a block and loose.

use std::sync::Arc;

use tine_chain::amount::{Amount, COIN, MAX_MONEY};
use tine_chain::chain::Inserted;
use tine_chain::reject::Reject;
use tine_chain::rules::check_transaction;
use tine_chain::testing::TestTree;
use tine_chain::transaction::{MAX_TRANSACTION_SIZE, OutPoint, Transaction, TxData, TxIn, TxOut, Witness};

/// The verdict about a payment of `a1:0` and `a2:0`, by itself and in a block: they must be the same.
fn spoiled(spoil: impl FnOnce(&mut TxData)) -> Result<(), Reject> {
    let mut tree = TestTree::regtest();
    tree.draw("genesis a1 a2 a3 a4");
    let transaction = tree.pay_with("t", &["a1:0", "a2:0"], &[("bob", COIN), ("carol", COIN)], spoil);
    let alone = check_transaction(&transaction);
    tree.block_with("bad", "a4", &["t".to_owned()], |draft| {
        draft.coinbase.outputs[0].value = Amount(COIN);
    });
    let mut chain = tree.chain();
    tree.deliver(&mut chain, "a1 a2 a3 a4");
    let in_block = tree.submit(&mut chain, "bad");
    assert_eq!(alone.map(|()| Inserted::New), in_block, "the same rule everywhere");
    alone
}

#[test]
fn an_honest_transaction_is_taken() {
    assert_eq!(spoiled(|_| {}), Ok(()));
}

#[test]
fn tx_01_bad_txns_vin_empty() {
    let verdict = spoiled(|data| {
        data.inputs.clear();
        data.witnesses.clear();
    });
    assert_eq!(verdict, Err(Reject::NoInputs));
}

#[test]
fn tx_02_bad_txns_vout_empty() {
    assert_eq!(spoiled(|data| data.outputs.clear()), Err(Reject::NoOutputs));
}

#[test]
fn tx_11_bad_txns_oversize_one_byte_over_the_limit() {
    let of_size = |size: usize| {
        let mut tree = TestTree::regtest();
        tree.draw("genesis a1 a2 a3");
        let full = |data: &mut TxData, rest: usize| {
            let output = data.outputs[0];
            data.outputs = vec![TxOut { value: Amount(1), ..output }; 9_990];
            // a count of inputs, and witnesses that are not read before the size is
            data.witnesses = vec![Witness(vec![7; rest])];
        };
        let mut data = TxData::clone(tree.pay("small", &["a1:0"], &[("bob", COIN)]).data());
        full(&mut data, 0);
        // a witness of 0xfd bytes and more has a length of 3 bytes
        let rest = size - Transaction::new(data.clone()).size() - 2;
        full(&mut data, rest);
        let transaction = Transaction::new(data);
        assert_eq!(transaction.size(), size);
        check_transaction(&transaction)
    };
    assert_eq!(of_size(MAX_TRANSACTION_SIZE), Ok(()));
    assert_eq!(of_size(MAX_TRANSACTION_SIZE + 1), Err(Reject::TxTooLarge));
}

#[test]
fn tx_05_bad_txns_vout_toolarge() {
    for value in [MAX_MONEY.0 + 1, 1 << 63, u64::MAX] {
        assert_eq!(spoiled(|data| data.outputs[1].value = Amount(value)), Err(Reject::OutputTooLarge));
    }
}

#[test]
fn tx_07_bad_txns_txouttotal_toolarge() {
    // each is legal, and the sum is one unit over all money; then one that would wrap 64 bits
    let verdict = spoiled(|data| {
        data.outputs[0].value = MAX_MONEY;
        data.outputs[1].value = Amount(1);
    });
    assert_eq!(verdict, Err(Reject::OutputTotalTooLarge));
    let many = u64::MAX / MAX_MONEY.0 + 2;
    let verdict = spoiled(|data| {
        data.outputs = vec![TxOut { value: MAX_MONEY, ..data.outputs[0] }; many as usize];
    });
    assert_eq!(verdict, Err(Reject::OutputTotalTooLarge));
}

#[test]
fn tx_03_bad_txns_inputs_duplicate_among_few_and_among_many() {
    assert_eq!(spoiled(|data| data.inputs[1] = data.inputs[0]), Err(Reject::DuplicateInputs));
    // the sequence is no part of what is spent
    let verdict = spoiled(|data| {
        data.inputs[1] = TxIn { sequence: 5, ..data.inputs[0] };
    });
    assert_eq!(verdict, Err(Reject::DuplicateInputs));
    let verdict = spoiled(|data| {
        let first = data.inputs[0];
        let others = (0..20).map(|vout| TxIn { prevout: OutPoint { vout, ..first.prevout }, ..first });
        data.inputs = others.chain([first]).collect();
        data.witnesses = vec![Witness::default(); 21];
    });
    assert_eq!(verdict, Err(Reject::DuplicateInputs));
}

#[test]
fn tx_03_bad_txns_inputs_duplicate_of_a_coin_made_in_the_same_block() {
    let mut tree = TestTree::regtest();
    tree.draw("genesis a1 a2 a3");
    tree.pay("parent", &["a1:0"], &[("bob", COIN)]);
    tree.pay("child", &["parent:0", "parent:0"], &[("carol", 2 * COIN)]);
    tree.draw("a3 bad[parent,child]");
    let mut chain = tree.chain();
    tree.deliver(&mut chain, "a1 a2 a3");
    assert_eq!(tree.submit(&mut chain, "bad"), Err(Reject::DuplicateInputs));
}

#[test]
fn tx_04_bad_txns_prevout_null() {
    assert_eq!(spoiled(|data| data.inputs[1].prevout = OutPoint::NULL), Err(Reject::NullPrevout));
}

#[test]
fn tx_43_bad_txns_witness_count() {
    assert_eq!(spoiled(|data| data.witnesses.truncate(1)), Err(Reject::WitnessCount));
    assert_eq!(spoiled(|data| data.witnesses.push(Witness::default())), Err(Reject::WitnessCount));
}

#[test]
fn tx_10_the_smallest_transaction_is_over_64_bytes() {
    let lock = TestTree::regtest().block("genesis").transactions[0].outputs[0].lock;
    let smallest = Transaction::new(TxData {
        version: 1,
        inputs: vec![TxIn { prevout: OutPoint::NULL, sequence: 0 }],
        outputs: vec![TxOut { value: Amount(0), lock }],
        lock_time: 0,
        witnesses: vec![Witness::default()],
    });
    assert_eq!(smallest.size(), tine_chain::block::MIN_TRANSACTION_SIZE);
    let stripped: Arc<[u8]> = tine_chain::codec::Encode::to_bytes(&smallest).into();
    assert!(stripped.len() > 65);
}
