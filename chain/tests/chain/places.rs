//! One test for each rule about transactions at their place in a chain.

use tine_chain::amount::{Amount, COIN, MAX_MONEY};
use tine_chain::chain::Inserted;
use tine_chain::params::Network;
use tine_chain::params::Params;
use tine_chain::policy::{SEQUENCE_LOCK_DISABLED, SEQUENCE_LOCK_SECONDS};
use tine_chain::reject::Reject;
use tine_chain::testing::TestTree;
use tine_chain::transaction::{SEQUENCE_FINAL, SEQUENCE_LOCK_TIME, TxData};

/// `a1 … a5`, all delivered, then block `a6` at height 6 with transaction `t`, which spends `a1:0`.
fn at_height_6(spoil: impl FnOnce(&mut TxData)) -> Result<Inserted, Reject> {
    let mut tree = TestTree::regtest();
    tree.draw("genesis a1 a2 a3 a4 a5");
    tree.pay_with("t", &["a1:0"], &[("bob", COIN)], spoil);
    tree.draw("a5 a6[t]");
    let mut chain = tree.chain();
    tree.deliver(&mut chain, "a1 a2 a3 a4 a5");
    tree.submit(&mut chain, "a6")
}

#[test]
fn tx_13_bad_txns_nonfinal_by_height() {
    let locked = |lock_time: u32, sequence: u32| {
        at_height_6(|data| {
            data.lock_time = lock_time;
            data.inputs[0].sequence = sequence;
        })
    };
    assert_eq!(locked(5, SEQUENCE_LOCK_TIME), Ok(Inserted::New));
    assert_eq!(locked(6, SEQUENCE_LOCK_TIME), Err(Reject::NonFinal));
    assert_eq!(locked(6, SEQUENCE_FINAL), Ok(Inserted::New));
}

#[test]
fn tx_13_bad_txns_nonfinal_by_median_time_and_not_by_the_blocks_own() {
    // the median of genesis and a1 … a5 is a3's time
    let median = TestTree::regtest().params.genesis.time + 3 * 600;
    let locked = |lock_time: u32| {
        at_height_6(|data| {
            data.lock_time = lock_time;
            data.inputs[0].sequence = SEQUENCE_LOCK_TIME;
        })
    };
    assert_eq!(locked(median - 1), Ok(Inserted::New));
    assert_eq!(locked(median), Err(Reject::NonFinal));
}

#[test]
fn blk_21_bad_txns_nonfinal_of_a_coinbase() {
    let mut tree = TestTree::regtest();
    tree.block_with("bad", "genesis", &[], |draft| draft.coinbase.lock_time = 1);
    let mut chain = tree.chain();
    assert_eq!(tree.submit(&mut chain, "bad"), Err(Reject::NonFinal));
}

#[test]
fn tx_16_bad_txns_sequence_lock_by_height() {
    // a1:0 was made at height 1, so it is 5 blocks old at height 6
    let aged = |version: u32, sequence: u32| {
        at_height_6(|data| {
            data.version = version;
            data.inputs[0].sequence = sequence;
        })
    };
    assert_eq!(aged(2, 5), Ok(Inserted::New));
    assert_eq!(aged(2, 6), Err(Reject::SequenceLock));
    assert_eq!(aged(1, 6), Ok(Inserted::New));
    assert_eq!(aged(2, SEQUENCE_LOCK_DISABLED | 6), Ok(Inserted::New));
}

#[test]
fn tx_16_bad_txns_sequence_lock_by_time() {
    // the median time of the genesis, before a1, is its own; that of a5 is a3's, 1,800 s later: three times 512 s
    let aged = |units: u32| at_height_6(|data| data.inputs[0].sequence = SEQUENCE_LOCK_SECONDS | units);
    assert_eq!(aged(3), Ok(Inserted::New));
    assert_eq!(aged(4), Err(Reject::SequenceLock));
}

#[test]
fn tx_16_bad_txns_sequence_lock_on_a_coin_of_the_same_block() {
    let mut tree = TestTree::regtest();
    tree.draw("genesis a1 a2 a3");
    tree.pay("parent", &["a1:0"], &[("bob", COIN)]);
    tree.pay_with("child", &["parent:0"], &[("carol", COIN)], |data| data.inputs[0].sequence = 1);
    tree.draw("a3 bad[parent,child]");
    let mut chain = tree.chain();
    tree.deliver(&mut chain, "a1 a2 a3");
    assert_eq!(tree.submit(&mut chain, "bad"), Err(Reject::SequenceLock));
}

/// The verdict about a block on `a4` with these transactions, once `draw` has made them.
fn with(draw: impl FnOnce(&mut TestTree), transactions: &[&str]) -> Result<Inserted, Reject> {
    let mut tree = TestTree::regtest();
    tree.draw("genesis a1 a2 a3 a4");
    draw(&mut tree);
    let names: Vec<_> = transactions.iter().map(|name| (*name).to_owned()).collect();
    tree.block_with("bad", "a4", &names, |_| {});
    let mut chain = tree.chain();
    tree.deliver(&mut chain, "a1 a2 a3 a4");
    tree.submit(&mut chain, "bad")
}

#[test]
fn blk_12_and_13_bad_txns_inputs_missingorspent() {
    let verdict = with(
        |tree| {
            tree.pay_with("t", &["a1:0"], &[("bob", COIN)], |data| data.inputs[0].prevout.txid.0[0] ^= 1);
        },
        &["t"],
    );
    assert_eq!(verdict, Err(Reject::InputsMissingOrSpent));
    let verdict = with(
        |tree| {
            tree.pay_with("t", &["a1:0"], &[("bob", COIN)], |data| data.inputs[0].prevout.vout = 1);
        },
        &["t"],
    );
    assert_eq!(verdict, Err(Reject::InputsMissingOrSpent));
}

#[test]
fn bad_txns_inputs_missingorspent_for_two_spends_in_one_block() {
    let two = |tree: &mut TestTree| {
        tree.pay("one", &["a1:0"], &[("bob", COIN)]);
        tree.pay("two", &["a1:0"], &[("carol", COIN)]);
    };
    assert_eq!(with(two, &["one", "two"]), Err(Reject::InputsMissingOrSpent));
    assert_eq!(with(two, &["two"]), Ok(Inserted::New));
    // the second one spends a coin that was made and spent within the block
    let three = |tree: &mut TestTree| {
        tree.pay("parent", &["a1:0"], &[("bob", COIN)]);
        tree.pay("one", &["parent:0"], &[("bob", COIN)]);
        tree.pay("two", &["parent:0"], &[("carol", COIN)]);
    };
    assert_eq!(with(three, &["parent", "one", "two"]), Err(Reject::InputsMissingOrSpent));
}

#[test]
fn blk_14_and_15_a_coin_of_the_same_block_can_be_spent_after_it_was_made() {
    let pair = |tree: &mut TestTree| {
        tree.pay("parent", &["a1:0"], &[("bob", COIN)]);
        tree.pay("child", &["parent:0"], &[("carol", COIN)]);
    };
    assert_eq!(with(pair, &["parent", "child"]), Ok(Inserted::New));
    assert_eq!(with(pair, &["child", "parent"]), Err(Reject::InputsMissingOrSpent));
}

#[test]
fn blk_22_bad_txns_inputs_missingorspent_for_a_coin_of_another_fork() {
    let mut tree = TestTree::regtest();
    tree.draw(
        "genesis a1 a2 a3
                 a1 b2",
    );
    tree.pay("t", &["b2:0"], &[("bob", COIN)]);
    tree.draw("a3 a4 bad[t]");
    let mut chain = tree.chain();
    tree.deliver(&mut chain, "a1 b2 a2 a3 a4");
    assert_eq!(tree.submit(&mut chain, "bad"), Err(Reject::InputsMissingOrSpent));
}

#[test]
fn blk_39_a_chain_of_self_spends_in_one_block() {
    let chain_of_spends = |tree: &mut TestTree| {
        tree.pay("s0", &["a1:0"], &[("bob", 30 * COIN)]);
        for number in 1..25 {
            tree.pay(&format!("s{number}"), &[&format!("s{}:0", number - 1)], &[("bob", 30 * COIN - number)]);
        }
    };
    let names: Vec<_> = (0..25).map(|number| format!("s{number}")).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    assert_eq!(with(chain_of_spends, &names), Ok(Inserted::New));
}

#[test]
fn bad_txns_premature_spend_of_coinbase_one_block_early() {
    let maturity = Params::of(Network::Regtest).coinbase_maturity;
    for (height, expected) in [(maturity, Err(Reject::PrematureSpend)), (maturity + 1, Ok(Inserted::New))] {
        let mut tree = TestTree::new(Params::of(Network::Regtest));
        let names: Vec<_> = (1..height).map(|height| format!("a{height}")).collect();
        tree.draw(&format!("genesis {}", names.join(" ")));
        tree.pay("t", &["a1:0"], &[("bob", COIN)]);
        tree.draw(&format!("a{} last[t]", height - 1));
        let mut chain = tree.chain();
        tree.deliver(&mut chain, &names.join(" "));
        assert_eq!(tree.submit(&mut chain, "last"), expected, "a1:0 is {} blocks old", height - 1);
    }
}

#[test]
fn tx_08_bad_txns_inputvalues_outofrange() {
    let mut tree = TestTree::regtest();
    tree.grant("rich", MAX_MONEY);
    tree.grant("poor", Amount(1));
    tree.draw("genesis a1");
    tree.pay("t", &["rich:0", "poor:0"], &[("bob", COIN)]);
    tree.block_with("bad", "a1", &["t".to_owned()], |draft| draft.coinbase.outputs[0].value = Amount(COIN));
    let mut chain = tree.chain();
    tree.deliver(&mut chain, "a1");
    assert_eq!(tree.submit(&mut chain, "bad"), Err(Reject::InputValuesOutOfRange));
}

#[test]
fn tx_09_and_blk_18_bad_txns_in_belowout_by_one_unit() {
    let pays = |value: u64| {
        with(
            |tree| {
                tree.pay("t", &["a1:0"], &[("bob", value)]);
            },
            &["t"],
        )
    };
    assert_eq!(pays(50 * COIN), Ok(Inserted::New));
    assert_eq!(pays(50 * COIN + 1), Err(Reject::InBelowOut));
}

#[test]
fn blk_35_what_was_good_in_the_mempool_is_judged_again_at_its_height() {
    // final and old enough for height 6, delivered in a block at height 5 of another branch
    let mut tree = TestTree::regtest();
    tree.draw("genesis a1 a2 a3 a4 a5");
    let transaction = tree.pay_with("t", &["a1:0"], &[("bob", COIN)], |data| {
        data.lock_time = 5;
        data.inputs[0].sequence = 5;
    });
    tree.draw("a4 bad[t]");
    let mut chain = tree.chain();
    tree.deliver(&mut chain, "a1 a2 a3 a4 a5");
    let coin = chain.coin(&tree.outpoint("a1:0")).expect("works").expect("unspent");
    assert_eq!(chain.verify_transaction(&transaction, &[coin]), Ok(Amount(49 * COIN)));
    chain.invalidate(&tree.hash("a5")).expect("known");
    tree.activate(&mut chain);
    assert_eq!(tree.submit(&mut chain, "bad"), Err(Reject::NonFinal));
    assert_eq!(tree.tip(&chain), "a4");
}
