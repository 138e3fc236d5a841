//! Core's wallet methods beside paying one address.

use serde_json::{Value, json};
use tine::rpc::RpcClient;

use crate::support::TestNode;
use crate::support::chain::code;

fn wallets() -> (TestNode, RpcClient, RpcClient) {
    let node = TestNode::with_wallets(&["alice", "bob"]);
    let (alice, bob) = (node.client.wallet("alice"), node.client.wallet("bob"));
    let to = alice.call("tine_walletaddress", ()).unwrap();
    node.client.call("generatetoaddress", (2, to)).unwrap();
    let to = bob.call("tine_walletaddress", ()).unwrap();
    node.client.call("generatetoaddress", (100, to)).unwrap();
    (node, alice, bob)
}

#[test]
fn several_are_paid_at_once_and_addresses_know_it() {
    let (node, alice, bob) = wallets();
    let address = |label: &str| bob.call_as::<String>("getnewaddress", [label]).unwrap();
    let (rent, food) = (address("rent"), address("food"));
    let txid = alice.call("sendmany", json!(["", { &rent: 1.5, &food: "0.25" }])).unwrap();
    assert_eq!(node.client.call("getrawmempool", ()).unwrap(), json!([txid]));
    assert_eq!(code(alice.call("sendmany", json!(["x", {}]))), -8);
    assert_eq!(code(alice.call("sendmany", json!(["", { &rent: 1_000_000 }]))), -6);
    assert_eq!(code(alice.call("sendmany", json!(["", { "nobody": 1 }]))), -5);
    let received = |params: Value| bob.call_raw("getreceivedbyaddress", params).unwrap().get().to_owned();
    assert_eq!(received(json!([rent])), "0.00000000", "not confirmed");
    assert_eq!(received(json!([rent, 0])), "1.50000000");
    let elsewhere = alice.call("tine_walletaddress", ()).unwrap();
    node.client.call("generatetoaddress", (1, elsewhere)).unwrap();
    assert_eq!(received(json!([rent])), "1.50000000");
    let listed = bob.call_raw("listreceivedbyaddress", json!([1, false, false, food])).unwrap();
    let lines: Value = serde_json::from_str(listed.get()).unwrap();
    assert!(listed.get().contains("\"amount\":0.25000000"), "{listed}");
    assert_eq!((&lines[0]["label"], &lines[0]["txids"]), (&json!("food"), &json!([txid])));
    assert_eq!(bob.call("listlabels", ()).unwrap(), json!(["", "food", "rent"]));
    bob.call("setlabel", (&food, "meals")).unwrap();
    assert_eq!(
        bob.call("getaddressesbylabel", ["meals"]).unwrap(),
        json!({ &food: { "purpose": "receive" } })
    );
    assert_eq!(code(bob.call("getaddressesbylabel", ["food"])), -11);
    let info = bob.call("getaddressinfo", [&food]).unwrap();
    assert_eq!((&info["ismine"], &info["labels"]), (&json!(true), &json!(["meals"])));
    assert!(info["hdkeypath"].as_str().unwrap().starts_with("m/44'/"));
    let foreign = alice.call("getaddressinfo", [&food]).unwrap();
    assert_eq!((&foreign["ismine"], &foreign["labels"]), (&json!(false), &json!([])));
    assert_eq!(code(alice.call("setlabel", (&food, "x"))), -5);
    assert_eq!(code(alice.call("getreceivedbyaddress", [&food])), -4);
}

#[test]
fn a_coin_is_kept_back_and_let_go() {
    let (_node, alice, _) = wallets();
    let coins = alice.call("listunspent", ()).unwrap();
    assert_eq!(coins.as_array().unwrap().len(), 2);
    let coin = json!({ "txid": coins[0]["txid"], "vout": coins[0]["vout"] });
    assert_eq!(alice.call("lockunspent", json!([false, [coin]])).unwrap(), true);
    assert_eq!(alice.call("listlockunspent", ()).unwrap(), json!([coin]));
    assert_eq!(code(alice.call("lockunspent", json!([false, [coin]]))), -8, "already");
    let to = alice.call("getnewaddress", ()).unwrap();
    assert_eq!(code(alice.call("sendtoaddress", (&to, 60))), -6, "50 are left");
    assert_eq!(alice.call("lockunspent", json!([true])).unwrap(), true, "all of them");
    assert_eq!(code(alice.call("lockunspent", json!([true, [coin]]))), -8, "it is not locked");
    assert_eq!(code(alice.call("lockunspent", json!([false, [{ "txid": "00".repeat(32), "vout": 0 }]]))), -8);
    alice.call("sendtoaddress", (&to, 60)).unwrap();
}

#[test]
fn a_transaction_made_by_hand_is_signed_by_the_wallet() {
    let (node, alice, bob) = wallets();
    let coins = alice.call("listunspent", ()).unwrap();
    let inputs = json!([{ "txid": coins[0]["txid"], "vout": coins[0]["vout"] }]);
    let to = bob.call("getnewaddress", ()).unwrap();
    let raw = node
        .client
        .call("createrawtransaction", json!([inputs, { to.as_str().unwrap(): "49.999" }]))
        .unwrap();
    let theirs = bob.call("signrawtransactionwithwallet", json!([raw])).unwrap();
    assert_eq!(theirs["complete"], false);
    let ours = alice.call("signrawtransactionwithwallet", json!([raw])).unwrap();
    assert_eq!(ours["complete"], true);
    let txid = node.client.call("sendrawtransaction", json!([ours["hex"]])).unwrap();
    assert_eq!(alice.call("gettransaction", json!([txid])).unwrap()["confirmations"], 0);
    assert_eq!(code(alice.call("abandontransaction", json!([txid]))), -8, "it is in the mempool");
    assert_eq!(code(alice.call("abandontransaction", ["00".repeat(32)])), -5);
}

#[test]
fn wallets_are_made_locked_and_kept() {
    let (node, alice, _) = wallets();
    let make = |params: Value| node.client.call("createwallet", params);
    let made = make(json!(["eve", false, false, "one"])).unwrap();
    assert_eq!(made["name"], "eve");
    assert_eq!(made["tine_phrase"].as_str().unwrap().split(' ').count(), 24);
    assert_eq!(code(make(json!({ "wallet_name": "mallory" }))), -8, "a passphrase must be");
    assert_eq!(code(make(json!(["mallory", true]))), -8);
    assert_eq!(code(make(json!(["../mallory", false, false, "one"]))), -8);
    let names = json!({ "wallets": [{ "name": "alice" }, { "name": "bob" }, { "name": "eve" }] });
    assert_eq!(node.client.call("listwalletdir", ()).unwrap(), names);
    assert_eq!(code(node.client.call("loadwallet", ["eve"])), -35);
    assert_eq!(code(node.client.call("loadwallet", ["mallory"])), -18);
    let eve = node.client.wallet("eve");
    eve.call("walletlock", ()).unwrap();
    assert_eq!(code(eve.call("walletpassphrasechange", ("wrong", "two"))), -14);
    eve.call("walletpassphrasechange", ("one", "two")).unwrap();
    assert_eq!(code(eve.call("walletpassphrase", ("one", 60))), -14, "the old one is dead");
    eve.call("walletpassphrase", ("two", 60)).unwrap();
    let copy = node.dir.path().join("copy.json");
    alice.call("backupwallet", [&copy]).unwrap();
    assert!(copy.exists());
    assert!(alice.call("backupwallet", [&copy]).is_err(), "it is there already");
}

#[test]
fn what_has_happened_since_a_block_and_what_was_undone() {
    let (node, alice, bob) = wallets();
    let since = |params: Value| bob.call("listsinceblock", params).unwrap();
    let everything = since(json!([]));
    assert_eq!(everything["transactions"].as_array().unwrap().len(), 100, "a reward of each block");
    let tip = node.client.call("getbestblockhash", ()).unwrap();
    assert_eq!((&everything["lastblock"], &everything["removed"]), (&tip, &json!([])));
    assert_eq!(since(json!([tip]))["transactions"], json!([]));

    let to = bob.call("getnewaddress", ["rent"]).unwrap();
    let txid = alice.call("sendtoaddress", json!([to, 1.5])).unwrap();
    let waiting = since(json!([tip]));
    assert_eq!(
        (&waiting["transactions"][0]["txid"], &waiting["transactions"][0]["confirmations"]),
        (&txid, &json!(0))
    );
    let elsewhere = alice.call("tine_walletaddress", ()).unwrap();
    let block = node.client.call("generatetoaddress", (1, &elsewhere)).unwrap()[0].clone();
    let mined = since(json!([tip, 2]));
    assert_eq!((&mined["transactions"][0]["blockhash"], &mined["lastblock"]), (&block, &tip));
    assert_eq!(since(json!([tip, 1, false, true, false, "food"]))["transactions"], json!([]));
    assert_eq!(since(json!([block]))["transactions"], json!([]));

    // the block goes, and with it the payment: whoever knows that block is told
    node.client.call("invalidateblock", [&block]).unwrap();
    let undone = since(json!([block]));
    assert_eq!((&undone["removed"][0]["txid"], &undone["removed"][0]["label"]), (&txid, &json!("rent")));
    assert_eq!(undone["transactions"][0]["confirmations"], 0, "it waits again");
    assert!(since(json!([block, 1, false, false])).get("removed").is_none());

    let refused = |params: Value| code(bob.call("listsinceblock", params));
    assert_eq!(refused(json!(["11".repeat(32)])), -5);
    assert_eq!(refused(json!([tip, 0])), -8);
    assert_eq!(refused(json!(["11"])), -8);
}
