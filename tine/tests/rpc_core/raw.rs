//! Transactions made, signed and put together by hand.

use serde_json::{Value, json};
use tine_chain::codec::{Decode, Encode};
use tine_chain::policy::Policy;
use tine_chain::signature::public_key;
use tine_chain::transaction::Transaction;

use crate::support::chain::{STRANGER, code, generate, reward, rich};
use crate::support::{SECRET, TestNode, address_of};

fn decode(value: &Value) -> Transaction {
    Transaction::from_bytes(&hex::decode(value.as_str().expect("text")).unwrap()).unwrap()
}

#[test]
fn a_transaction_is_made_signed_and_sent() {
    let (node, coin) = rich();
    let call = |method: &str, params: Value| node.client.call(method, params);
    let inputs = json!([{ "txid": coin.0.txid, "vout": coin.0.vout }]);
    let to = address_of(&STRANGER);
    let raw = call("createrawtransaction", json!([inputs, { &to: "49.99" }, 0, true])).unwrap();
    let listed = call("createrawtransaction", json!([inputs, [{ &to: 49.99 }]])).unwrap();
    assert_eq!(raw, listed, "outputs as one object or as a list");
    let tx = decode(&raw);
    assert_eq!((tx.version, tx.lock_time, tx.inputs[0].sequence), (2, 0, 0xffff_fffd));
    let signed = call("signrawtransactionwithkey", json!([raw, [hex::encode(SECRET)]])).unwrap();
    assert_eq!(signed["complete"], true);
    assert!(signed.get("errors").is_none());
    let wrong = call("signrawtransactionwithkey", json!([raw, [hex::encode(STRANGER)]])).unwrap();
    assert_eq!(wrong["complete"], false);
    assert_eq!(wrong["errors"][0]["txid"], json!(coin.0.txid));
    let sent = call("sendrawtransaction", json!([signed["hex"]])).unwrap();
    assert_eq!(sent, json!(tx.txid()), "signatures are not part of the id");
    let again = json!([{ "txid": "11".repeat(32), "vout": 0 }]);
    let unknown = call("createrawtransaction", json!([again, { &to: 1 }])).unwrap();
    let signed = call("signrawtransactionwithkey", json!([unknown, [hex::encode(SECRET)]])).unwrap();
    assert_eq!(signed["errors"][0]["error"], "Input not found or already spent");
    for (method, params, expected) in [
        ("createrawtransaction", json!([inputs, { "nonsense": 1 }]), -5),
        ("createrawtransaction", json!([inputs, { &to: -1 }]), -3),
        ("createrawtransaction", json!([inputs, [{ &to: 1 }, { &to: 1 }]]), -8),
        ("createrawtransaction", json!([inputs, { &to: 1 }, -1]), -8),
        ("createrawtransaction", json!([[{ "txid": "x", "vout": 0 }], {}]), -3),
        ("signrawtransactionwithkey", json!([raw, ["x"]]), -5),
        ("signrawtransactionwithkey", json!([raw, [], [], "NONE"]), -8),
        ("signrawtransactionwithkey", json!(["00", []]), -22),
    ] {
        assert_eq!(code(call(method, params.clone())), expected, "{method} {params}");
    }
    let contradiction = json!([{ "txid": coin.0.txid, "vout": 0, "sequence": 0xffff_ffffu32 }]);
    assert_eq!(code(call("createrawtransaction", json!([contradiction, { &to: 1 }, 0, true]))), -8);
}

#[test]
fn two_who_sign_apart_are_put_together() {
    let (node, first) = rich();
    let second = reward(&node, &generate(&node, 1, &STRANGER)[0]);
    generate(&node, 100, &STRANGER);
    let call = |method: &str, params: Value| node.client.call(method, params).unwrap();
    let input =
        |coin: &(tine_chain::transaction::OutPoint, _)| json!({ "txid": coin.0.txid, "vout": coin.0.vout });
    let raw = call(
        "createrawtransaction",
        json!([[input(&first), input(&second)], { address_of(&SECRET): "99.99" }]),
    );
    let by = |secret: &[u8; 32]| call("signrawtransactionwithkey", json!([raw, [hex::encode(secret)]]));
    let (ours, theirs) = (by(&SECRET), by(&STRANGER));
    assert_eq!((&ours["complete"], &theirs["complete"]), (&json!(false), &json!(false)));
    let whole = call("combinerawtransaction", json!([[ours["hex"], theirs["hex"], raw]]));
    let tx = decode(&whole);
    assert!(tx.witnesses.iter().all(|witness| !witness.0.is_empty()));
    assert_eq!(call("sendrawtransaction", json!([whole])), json!(tx.txid()));
    let other = call("createrawtransaction", json!([[input(&first)], { address_of(&SECRET): 1 }]));
    assert_eq!(code(node.client.call("combinerawtransaction", json!([[raw, other]]))), -8);
    assert_eq!(code(node.client.call("combinerawtransaction", json!([[]]))), -22);
}

#[test]
fn a_policy_is_read_and_its_coin_spent() {
    let (node, coin) = rich();
    let call = |method: &str, params: Value| node.client.call(method, params).unwrap();
    let keys = vec![public_key(&SECRET), public_key(&STRANGER)];
    let policy = Policy::after(50, Policy::threshold(2, keys));
    let text = hex::encode(policy.to_bytes());
    let decoded = call("decodescript", json!([text]));
    assert_eq!(decoded["policy"]["locktime"], 50);
    assert_eq!(decoded["policy"]["policy"]["required"], 2);
    assert!(decoded["asm"].as_str().unwrap().starts_with("after(50, threshold(2, "));
    assert_eq!(decoded["lock"], json!(policy.lock().to_string()));
    assert_eq!(code(node.client.call("decodescript", ["ff"])), -22);

    let inputs = json!([{ "txid": coin.0.txid, "vout": 0 }]);
    let to_policy =
        call("createrawtransaction", json!([inputs, { decoded["address"].as_str().unwrap(): "49.99" }]));
    let funded = call("signrawtransactionwithkey", json!([to_policy, [hex::encode(SECRET)]]));
    let txid = call("sendrawtransaction", json!([funded["hex"]]));
    let inputs = json!([{ "txid": txid, "vout": 0 }]);
    let spend = call("createrawtransaction", json!([inputs, { address_of(&SECRET): "49.98" }, 60]));
    let both = json!([hex::encode(SECRET), hex::encode(STRANGER)]);
    let hidden = call("signrawtransactionwithkey", json!([spend, both]));
    assert_eq!(hidden["complete"], false, "nobody has said what the lock hides");
    let prev = json!([{ "txid": txid, "vout": 0, "amount": "49.99", "policy": text }]);
    let signed = call("signrawtransactionwithkey", json!([spend, both, prev]));
    assert_eq!(signed["complete"], true, "{signed}");
    call("sendrawtransaction", json!([signed["hex"]]));
    generate(&node, 1, &STRANGER);
    assert_eq!(call("getrawmempool", json!([])), json!([]));
}

/// What `help` shows works as it stands there, as far as this node has what it speaks of.
#[test]
fn every_example_of_the_help_is_a_call() {
    let node = TestNode::with_wallets(&["alice", "bob"]);
    let document = node.client.call("rpc.discover", ()).unwrap();
    assert_eq!(document["openrpc"], node.client.call("getopenrpcinfo", ()).unwrap()["openrpc"]);
    for method in document["methods"].as_array().unwrap() {
        let name = method["name"].as_str().unwrap();
        if name == "stop" {
            continue;
        }
        let dir = node.dir.path().to_str().unwrap();
        let here = |value: &Value| match value.as_str().and_then(|text| text.strip_prefix("/tmp")) {
            Some(rest) => json!(format!("{dir}{rest}")),
            None => value.clone(),
        };
        let example = method["examples"][0]["params"].as_array().unwrap();
        let params: Vec<Value> = example.iter().map(|param| here(&param["value"])).collect();
        if let Err(error) = node.client.call(name, &params) {
            let code = error.code().unwrap_or_else(|| panic!("{name}: {error}"));
            assert!(![-3, -32_600, -32_601, -32_603].contains(&code), "{name} {params:?}: {error}");
            assert!(!error.to_string().contains("Arguments:"), "{name}: {error}");
        }
        let help = node.client.call("help", [name]).unwrap();
        assert!(help.as_str().unwrap().contains("> tine rpc "), "{name}");
    }
}
