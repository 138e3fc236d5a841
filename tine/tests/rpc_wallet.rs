//! Core's wallet methods and our own over RPC, on a node with two development wallets.

mod support;

use serde_json::{Value, json};
use support::TestNode;
use tine::rpc::{ClientError, RpcClient};

fn wallets() -> (TestNode, RpcClient, RpcClient) {
    let node = TestNode::with_wallets(&["alice", "bob"]);
    let (alice, bob) = (node.client.wallet("alice"), node.client.wallet("bob"));
    (node, alice, bob)
}

fn code(result: Result<Value, ClientError>) -> i32 {
    result.expect_err("an error was expected").code().expect("the node's own error")
}

fn mine(node: &TestNode, wallet: &RpcClient, count: u32) {
    let address = wallet.call("tine_walletaddress", ()).unwrap();
    let blocks = node.client.call("generatetoaddress", (count, address)).unwrap();
    assert_eq!(blocks.as_array().unwrap().len(), count as usize);
}

#[test]
fn a_payment_is_pending_then_confirmed_for_both() {
    let (node, alice, bob) = wallets();
    assert_eq!(node.client.call("listwallets", ()).unwrap(), json!(["alice", "bob"]));
    mine(&node, &alice, 1);
    let raw = alice.call_raw("getbalances", ()).unwrap();
    assert!(
        raw.get().contains("\"trusted\":0.00000000") && raw.get().contains("\"immature\":50.00000000"),
        "{raw}"
    );
    assert_eq!(code(alice.call("sendtoaddress", (bob_address(&bob), 5))), -6, "not ripe");
    mine(&node, &bob, 100);
    assert_eq!(alice.call_raw("getbalance", ()).unwrap().get(), "50.00000000");
    let txid = alice.call("sendtoaddress", (bob_address(&bob), "5.00000001")).unwrap();
    assert_eq!(node.client.call("getrawmempool", ()).unwrap(), json!([txid]));
    let listed = bob.call_raw("listtransactions", json!({ "count": 1 })).unwrap();
    let line: Value = serde_json::from_str(listed.get()).unwrap();
    assert!(listed.get().contains("\"amount\":5.00000001,"), "{listed}");
    assert_eq!((&line[0]["category"], &line[0]["confirmations"]), (&json!("receive"), &json!(0)));
    let sent = alice.call_raw("gettransaction", [&txid]).unwrap();
    assert!(sent.get().starts_with("{\"amount\":-5.00000001,\"fee\":-0.0000"), "{sent}");
    mine(&node, &bob, 1);
    let sent = alice.call("gettransaction", [&txid]).unwrap();
    assert_eq!(sent["confirmations"], 1);
    assert_eq!(sent["details"][0]["category"], "send");
    let unspent = bob.call("listunspent", ()).unwrap();
    let paid = unspent.as_array().unwrap().iter().find(|coin| coin["txid"] == txid).expect("bob has it");
    assert_eq!(paid["confirmations"], 1);
    let change = alice.call("listunspent", ()).unwrap();
    assert_eq!(change.as_array().unwrap().len(), 1);
    assert_eq!(alice.call("getwalletinfo", ()).unwrap()["walletname"], "alice");
}

fn bob_address(bob: &RpcClient) -> String {
    bob.call_as("getnewaddress", ["rent"]).unwrap()
}

#[test]
fn errors_are_cores() {
    let (node, alice, bob) = wallets();
    assert_eq!(code(node.client.wallet("carol").call("getbalance", ())), -18);
    assert_eq!(code(alice.call("sendtoaddress", ("nonsense", 1))), -5);
    assert_eq!(code(alice.call("sendtoaddress", (bob_address(&bob), 0))), -3);
    assert_eq!(code(alice.call("sendtoaddress", (bob_address(&bob), -1))), -3);
    assert_eq!(code(alice.call("sendtoaddress", (bob_address(&bob), "1e-9"))), -3);
    assert_eq!(code(alice.call("sendtoaddress", (bob_address(&bob), 21_000_001))), -3);
    assert_eq!(code(alice.call("gettransaction", ["00".repeat(32)])), -5);
    assert_eq!(code(alice.call("walletpassphrase", ("wrong", 1))), -14);
    assert_eq!(code(alice.call("listtransactions", json!({ "count": -1 }))), -8);
    assert_eq!(bob.call("listtransactions", ()).unwrap(), json!([]));
}

#[test]
fn our_own_methods_tell_every_step() {
    let (node, alice, bob) = wallets();
    mine(&node, &alice, 1);
    mine(&node, &bob, 100);
    let send = json!({ "to": "bob", "amount": "1.5", "dry_run": true });
    let tried = alice.call("tine_send", &send).unwrap();
    assert_eq!((&tried["wallet"], &tried["amount"]), (&json!("alice"), &json!("1.50000000")));
    assert_eq!(tried["inputs"].as_array().unwrap().len(), 1);
    assert_eq!(node.client.call("getrawmempool", ()).unwrap(), json!([]), "nothing was sent");
    let sent =
        node.client.call("tine_send", json!({ "wallet": "alice", "to": "bob", "amount": "1.5" })).unwrap();
    assert_eq!(node.client.call("getrawmempool", ()).unwrap(), json!([sent["txid"]]));
    let spent = &sent["inputs"][0]["coin"];
    let again = json!({ "wallet": "alice", "to": "bob", "amount": "1", "coins": [spent] });
    assert!(node.client.call("tine_send", again).is_err(), "the coin is spent");
    let history = bob.call("tine_wallethistory", ()).unwrap();
    let last = history.as_array().unwrap().last().unwrap();
    assert_eq!((&last["amount"], &last["state"]), (&json!("+1.50000000"), &json!("pending")));
    assert_eq!(node.client.call("tine_walletlist", ()).unwrap().as_array().unwrap().len(), 2);
    let address = bob.call("tine_walletaddress", ()).unwrap();
    let owners = node.client.call("tine_owners", json!({ "addresses": [address] })).unwrap();
    assert_eq!(owners, json!({ address.as_str().unwrap(): "bob" }));
    let made = node.client.call("tine_walletnew", json!({ "name": "eve", "passphrase": "p" })).unwrap();
    assert_eq!(made["phrase"].as_str().unwrap().split(' ').count(), 24);
    let eve = node.client.wallet("eve");
    eve.call("tine_walletlock", ()).unwrap();
    assert_eq!(code(eve.call("tine_walletunlock", json!({ "passphrase": "q" }))), -14);
    eve.call("tine_walletunlock", json!({ "passphrase": "p" })).unwrap();
}
