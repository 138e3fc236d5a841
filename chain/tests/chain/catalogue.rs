//! Rows of the catalogue (`tests/catalogue/cases.csv`) that have no other place.

use std::time::Duration;

use tine_chain::amount::COIN;
use tine_chain::block::Block;
use tine_chain::chain::{Chain, ChainOptions, Inserted};
use tine_chain::codec::{Decode as _, DecodeError, Encode as _};
use tine_chain::coins::Coin;
use tine_chain::reject::{Fault, Reject};
use tine_chain::store::{SledOptions, SledStore};
use tine_chain::testing::{TestTree, stored_coins};
use tine_chain::time::Time;

/// Every honest block is too early for a clock that is three hours behind. None is marked, nobody is at fault, and all
/// are taken once the clock is right.
#[test]
fn hdr_29_a_clock_that_is_behind_marks_nothing() {
    let mut tree = TestTree::regtest();
    tree.draw("genesis a1 a2 a3");
    let mut chain = tree.chain();
    let behind = Time(tree.block("a1").header.time as u64 * 1_000 - 3 * 3_600_000);
    for name in ["a1", "a2", "a3"] {
        let reject = chain.insert_block(tree.block(name), behind).expect_err("too early, or its parent is");
        assert_eq!(reject.fault(), Fault::Premature, "{name}");
    }
    assert_eq!(chain.tree().iter().filter(|entry| entry.invalid.is_some()).count(), 0);
    let right = behind + Duration::from_secs(3 * 3_600 + 1_800);
    tree.activate(&mut chain);
    for name in ["a1", "a2", "a3"] {
        chain.insert_block(tree.block(name), right).expect("its time has come");
    }
    tree.activate(&mut chain);
    assert_eq!(tree.tip(&chain), "a3");
}

/// Beside itself it is a mutant's mark; elsewhere its second copy spends what is spent. Neither makes money.
#[test]
fn blk_11_a_transaction_twice_in_a_block() {
    for (list, reject) in [
        (&["t", "u", "u"][..], Reject::DuplicateTransactions),
        (&["t", "t"], Reject::InputsMissingOrSpent),
        (&["t", "u", "t"], Reject::InputsMissingOrSpent),
    ] {
        let mut tree = TestTree::regtest();
        tree.draw("genesis a1 a2 a3 a4");
        tree.pay("t", &["a1:0"], &[("bob", COIN)]);
        tree.pay("u", &["a2:0"], &[("bob", COIN)]);
        let names: Vec<String> = list.iter().map(|name| (*name).to_owned()).collect();
        tree.block_with("bad", "a4", &names, |_| {});
        let mut chain = tree.chain();
        tree.deliver(&mut chain, "a1 a2 a3 a4");
        let before = stored_coins(&chain);
        assert_eq!(tree.submit(&mut chain, "bad"), Err(reject), "{list:?}");
        assert_eq!(stored_coins(&chain), before);
    }
}

#[test]
fn blk_17_a_longer_fork_that_spends_a_coin_twice_is_refused() {
    let mut tree = TestTree::regtest();
    tree.draw("genesis a1 a2 a3 a4");
    tree.pay("once", &["a1:0"], &[("bob", COIN)]);
    tree.pay("again", &["a1:0"], &[("carol", COIN)]);
    tree.draw("a3 b4[once] b5[again] b6");
    let mut chain = tree.chain();
    tree.deliver(&mut chain, "a1 a2 a3 a4 b4");
    let before = stored_coins(&chain);
    assert_eq!(tree.submit(&mut chain, "b5"), Err(Reject::InputsMissingOrSpent));
    assert_eq!(tree.submit(&mut chain, "b6"), Err(Reject::BadPrevBlock));
    assert_eq!((tree.tip(&chain), stored_coins(&chain) == before), ("a4", true));
}

/// A damaged copy with the same header comes first: the hash stays good.
#[test]
fn blk_24_a_copy_that_is_not_canonical_does_not_poison_the_hash() {
    let mut tree = TestTree::regtest();
    tree.draw("genesis a1");
    let mut bytes = tree.block("a1").to_bytes();
    bytes.splice(80..81, [0xfd, 1, 0]);
    assert_eq!(Block::from_bytes(&bytes), Err(DecodeError::NonCanonicalCompactSize { value: 1 }));
    let mut chain = tree.chain();
    // all that a node has of such a message is the header
    chain.accept_header(tree.block("a1").header, tree.now()).expect("honest");
    assert_eq!(tree.submit(&mut chain, "a1"), Ok(Inserted::New));
    assert_eq!(tree.tip(&chain), "a1");
}

/// BIP 30 can't be broken: a coinbase's lock time is its height, so that no two are the same.
#[test]
fn blk_25_an_earlier_coinbase_is_refused_again_spent_or_not() {
    for spend in [false, true] {
        let mut tree = TestTree::regtest();
        tree.draw("genesis a1 a2 a3");
        tree.pay("t", &["a1:0"], &[("bob", COIN)]);
        tree.draw(if spend { "a3 a4[t]" } else { "a3 a4" });
        let earlier = tree.transaction("a1").data().clone();
        tree.block_with("bad", "a4", &[], |draft| draft.coinbase = earlier);
        let mut chain = tree.chain();
        tree.deliver(&mut chain, "a1 a2 a3 a4");
        let before = stored_coins(&chain);
        assert_eq!(tree.submit(&mut chain, "bad"), Err(Reject::CoinbaseHeight));
        assert_eq!(stored_coins(&chain), before);
    }
}

/// After a restart, and after a reorganisation, a reward matures at the height at which it always would have.
#[test]
fn utx_07_height_and_coinbase_flag_survive_a_restart_and_a_reorganisation() {
    let mut tree = TestTree::regtest();
    tree.draw(
        "genesis a1 a2
              a1 b2 b3",
    );
    tree.pay("t", &["b3:0"], &[("bob", COIN)]);
    tree.draw("b3 early[t]");
    tree.draw("b3 b4 b5[t]");
    let dir = tempfile::tempdir().expect("a folder");
    let open = || {
        let store = SledStore::open(dir.path(), &tree.params, SledOptions::default()).expect("opened");
        Chain::open(tree.params.clone(), Box::new(store), ChainOptions::default()).expect("a chain")
    };
    let mut chain = open();
    tree.deliver(&mut chain, "a1 a2 b2 b3");
    drop(chain);
    let mut chain = open();
    let coin = chain.coin(&tree.outpoint("b3:0")).expect("the store works").expect("unspent");
    assert_eq!(coin, Coin { output: tree.transaction("b3").outputs[0], height: 3, coinbase: true });
    assert_eq!(tree.submit(&mut chain, "early"), Err(Reject::PrematureSpend));
    tree.deliver(&mut chain, "b4");
    drop(chain);
    let mut chain = open();
    assert_eq!(tree.submit(&mut chain, "early"), Err(Reject::DuplicateInvalid));
    tree.deliver(&mut chain, "b5");
    assert_eq!(tree.tip(&chain), "b5");
}
