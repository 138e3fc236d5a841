//! What the chain says of an address, beside a naive count over all blocks, before and after a reorganisation.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tine_chain::address::Address;
use tine_chain::hash::Lock;
use tine_chain::params::Network;
use tine_chain::transaction::OutPoint;

use super::support::chain::{STRANGER, block_at, code, fork, generate, hexed, rich, spend};
use super::support::{SECRET, TestNode, address_of};

/// Every coin of the active chain, by block after block.
fn naive(node: &TestNode) -> BTreeMap<OutPoint, (Lock, u64)> {
    let height = node.client.call("getblockcount", ()).unwrap().as_u64().unwrap();
    let mut coins = BTreeMap::new();
    for height in 1..=height {
        let hash = node.client.call_as("getblockhash", [height]).unwrap();
        for (place, tx) in block_at(node, &hash).transactions.iter().enumerate() {
            if place > 0 {
                tx.inputs.iter().for_each(|input| assert!(coins.remove(&input.prevout).is_some()));
            }
            for (vout, output) in (0..).zip(&tx.outputs) {
                coins.insert(tx.outpoint(vout), (output.lock, output.value.0));
            }
        }
    }
    coins
}

/// Asks for every address that has ever been paid, and compares.
fn agrees(node: &TestNode, locks: &[Lock]) {
    let coins = naive(node);
    for lock in locks {
        let address = Address { network: Network::Regtest, lock: *lock }.to_string();
        let told = node.client.call("tine_getaddress", (&address, 1)).unwrap();
        let own: Vec<_> = coins.iter().filter(|(_, (owner, _))| owner == lock).collect();
        let balance: u64 = own.iter().map(|(_, (_, value))| value).sum();
        assert_eq!(told["balance"], tine_chain::amount::Amount(balance).to_string(), "{address}");
        assert_eq!(told["coins"], own.len(), "{address}");
        let listed = node.client.call("tine_getaddresscoins", (&address, 1_000)).unwrap();
        let mut listed: Vec<(String, u64)> = (listed.as_array().unwrap().iter())
            .map(|coin| (coin["txid"].as_str().unwrap().to_owned(), coin["vout"].as_u64().unwrap()))
            .collect();
        listed.sort();
        let mut wanted: Vec<_> =
            own.iter().map(|(coin, _)| (coin.txid.to_string(), u64::from(coin.vout))).collect();
        wanted.sort();
        assert_eq!(listed, wanted, "{address}");
    }
}

fn lock_of(secret: &[u8; 32]) -> Lock {
    Address::parse(&address_of(secret)).unwrap().lock
}

#[test]
fn an_address_has_what_the_blocks_gave_it() {
    let (node, coin) = rich();
    let (own, other) = (address_of(&SECRET), address_of(&STRANGER));
    agrees(&node, &[lock_of(&SECRET), lock_of(&STRANGER)]);
    let tx = spend(&node, &[coin], &STRANGER, 1_000);
    node.client.call("sendrawtransaction", [hexed(&tx)]).unwrap();
    // not in a block: told beside
    let told = node.client.call("tine_getaddress", [&own]).unwrap();
    assert_eq!((&told["balance"], &told["transactions"]), (&json!("50.00000000"), &json!(1)));
    assert_eq!(told["pending"][0]["spent"], "50.00000000");
    let held = node.client.call("tine_getaddresscoins", [&own]).unwrap();
    assert_eq!(held[0]["spent_by"], tx.txid().to_string());
    let to = node.client.call("tine_getaddress", [&other]).unwrap();
    assert_eq!(to["pending"][0]["received"], "49.99999000");

    generate(&node, 1, &STRANGER);
    agrees(&node, &[lock_of(&SECRET), lock_of(&STRANGER)]);
    let told = node.client.call("tine_getaddress", [&own]).unwrap();
    assert_eq!((&told["balance"], &told["spent"]), (&json!("0.00000000"), &json!("50.00000000")));
    assert_eq!(told["history"][0]["txid"], tx.txid().to_string(), "newest first");
    assert_eq!((&told["history"][0]["confirmations"], &told["history"][1]["height"]), (&json!(1), &json!(1)));
}

#[test]
fn a_reorganisation_is_followed_back() {
    let node = TestNode::start();
    let old = generate(&node, 3, &SECRET);
    agrees(&node, &[lock_of(&SECRET), lock_of(&STRANGER)]);
    let (_, left, taken) = fork(&node);
    agrees(&node, &[lock_of(&SECRET), lock_of(&STRANGER)]);
    let told = node.client.call("tine_getaddress", [address_of(&SECRET)]).unwrap();
    assert_eq!(told["transactions"], 5, "the block that was left counts no more: {left:?}");
    let stranger = node.client.call("tine_getaddress", [address_of(&STRANGER)]).unwrap();
    assert_eq!(stranger["history"][0]["blockhash"], taken[1].to_string());
    // back again, and to the very beginning
    node.client.call("invalidateblock", [taken[0].to_string()]).unwrap();
    agrees(&node, &[lock_of(&SECRET), lock_of(&STRANGER)]);
    node.client.call("invalidateblock", [old[0].to_string()]).unwrap();
    agrees(&node, &[lock_of(&SECRET), lock_of(&STRANGER)]);
    assert_eq!(node.client.call("tine_getaddress", [address_of(&SECRET)]).unwrap()["transactions"], 0);
}

#[test]
fn a_payment_that_was_undone_is_undone_here_too() {
    let (node, coin) = rich();
    let paid = spend(&node, &[coin], &STRANGER, 1_000);
    node.client.call("sendrawtransaction", [hexed(&paid)]).unwrap();
    let with = generate(&node, 1, &SECRET);
    agrees(&node, &[lock_of(&SECRET), lock_of(&STRANGER)]);
    node.client.call("invalidateblock", [with[0].to_string()]).unwrap();
    agrees(&node, &[lock_of(&SECRET), lock_of(&STRANGER)]);
    let told = node.client.call("tine_getaddress", [address_of(&SECRET)]).unwrap();
    assert_eq!(told["balance"], "50.00000000");
    assert_eq!(told["pending"][0]["txid"], paid.txid().to_string(), "it waits again");
}

#[test]
fn long_lists_come_in_pages_and_bad_questions_are_refused() {
    let node = TestNode::start();
    generate(&node, 30, &SECRET);
    let page = |count: u32, skip: u32| {
        let told = node.client.call("tine_getaddress", (address_of(&SECRET), count, skip)).unwrap();
        let heights =
            told["history"].as_array().unwrap().iter().map(|moved| moved["height"].as_u64().unwrap());
        heights.collect::<Vec<_>>()
    };
    assert_eq!(page(10, 0), (21..=30).rev().collect::<Vec<_>>());
    assert_eq!(page(10, 25), (1..=5).rev().collect::<Vec<_>>());
    assert_eq!(page(10, 30), Vec::<u64>::new());
    let coins = node.client.call("tine_getaddresscoins", (address_of(&SECRET), 10, 25)).unwrap();
    assert_eq!(coins.as_array().unwrap().len(), 5);
    let refused = |params: Value| code(node.client.call("tine_getaddress", params));
    assert_eq!(refused(json!([address_of(&SECRET), 0])), -8);
    assert_eq!(refused(json!([address_of(&SECRET), 1_001])), -8);
    assert_eq!(refused(json!([address_of(&SECRET), 1, -1])), -8);
    assert_eq!(refused(json!(["rtine1nonsense"])), -5);
}
