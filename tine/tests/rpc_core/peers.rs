//! Methods that act on connections, on two nodes with a real network.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::chain::{code, generate};
use crate::support::{SECRET, TestNode};

fn until(what: &str, mut done: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(30);
    while !done() {
        assert!(Instant::now() < end, "never: {what}");
        std::thread::sleep(Duration::from_millis(30));
    }
}

fn peers(node: &TestNode) -> usize {
    node.client.call("getconnectioncount", ()).unwrap().as_u64().unwrap() as usize
}

/// Where a node listens.
fn address(node: &TestNode) -> String {
    let info = node.client.call("getnetworkinfo", ()).unwrap();
    let local = &info["localaddresses"][0];
    format!("{}:{}", local["address"].as_str().unwrap(), local["port"])
}

fn identity(node: &TestNode) -> String {
    node.client.call("tine_netinfo", ()).unwrap()["identity"].as_str().unwrap().to_owned()
}

#[test]
fn nodes_are_added_counted_banned_and_taken_back() {
    let (alice, bob) = (TestNode::with_network(), TestNode::with_network());
    let call = |method: &str, params: Value| alice.client.call(method, params);
    let bobs = address(&bob);
    assert_eq!(call("getaddednodeinfo", json!([])).unwrap(), json!([]));
    call("addnode", json!([bobs, "add"])).unwrap();
    until("connected", || peers(&alice) == 1 && peers(&bob) == 1);
    until("listed as connected", || {
        let added = call("getaddednodeinfo", json!([bobs])).unwrap();
        added[0]["connected"] == true && added[0]["addresses"][0]["connected"] == "outbound"
    });
    assert_eq!(code(call("getaddednodeinfo", json!(["127.0.0.1:1"]))), -24);
    let hash = generate(&bob, 3, &SECRET)[2];
    until("alice has bob's blocks", || call("getbestblockhash", json!([])).unwrap() == json!(hash));
    until("what it took is counted", || {
        let totals = call("getnettotals", json!([])).unwrap();
        let bytes = |name: &str| totals[name].as_u64().unwrap();
        bytes("totalbytesrecv") > 3 * 80 && bytes("totalbytessent") > 0
    });
    until("bob is known", || {
        let known = call("getnodeaddresses", json!([0, "ipv4"])).unwrap();
        known.as_array().unwrap().iter().any(|peer| peer["tine_identity"] == json!(identity(&bob)))
    });
    assert_eq!(call("getnodeaddresses", json!([0, "ipv6"])).unwrap(), json!([]));
    assert_eq!(code(call("getnodeaddresses", json!([-1]))), -8);
    assert_eq!(code(call("getnodeaddresses", json!([1, "onion"]))), -8);
    assert_eq!(call("ping", json!([])).unwrap(), Value::Null);
    let id = call("getpeerinfo", json!([])).unwrap()[0]["id"].clone();
    let tip = call("getblockfrompeer", json!([hash, id])).unwrap_err();
    assert_eq!(tip.to_string(), "Block already downloaded");

    assert_eq!(call("addnode", json!([bobs, "remove"])).unwrap(), Value::Null);
    assert_eq!(code(call("addnode", json!([bobs, "remove"]))), -24);
    let who = identity(&bob);
    call("setban", json!([who, "add", 600])).unwrap();
    until("bob is out", || peers(&alice) == 0);
    let banned = call("listbanned", json!([])).unwrap();
    assert_eq!((&banned[0]["address"], &banned[0]["ban_duration"]), (&json!(who), &json!(600)));
    assert_eq!(code(call("setban", json!([who, "add"]))), -23);
    assert!(call("addnode", json!([bobs, "onetry"])).is_err(), "refused");
    call("setban", json!([who, "remove"])).unwrap();
    assert_eq!(code(call("setban", json!([who, "remove"]))), -30);
    until("bob is back", || call("addnode", json!([bobs, "onetry"])).is_ok() && peers(&alice) == 1);

    call("setban", json!(["127.7.7.7/8", "add"])).unwrap();
    until("all of this machine are out", || peers(&alice) == 0);
    assert_eq!(call("listbanned", json!([])).unwrap()[0]["address"], "127.0.0.0/8");
    assert_eq!(code(call("setban", json!(["127.0.0.1", "remove"]))), -30, "it was not banned by itself");
    assert_eq!(code(call("setban", json!(["127.0.0.0/255.0.0.0", "add"]))), -23);
    call("clearbanned", json!([])).unwrap();
    assert_eq!(call("listbanned", json!([])).unwrap(), json!([]));
    until("bob is back again", || call("addnode", json!([bobs, "onetry"])).is_ok() && peers(&alice) == 1);
    let id = call("getpeerinfo", json!([])).unwrap()[0]["id"].clone();
    call("disconnectnode", json!({ "nodeid": id })).unwrap();
    until("the connection is ended", || {
        call("getpeerinfo", json!([])).unwrap().as_array().unwrap().iter().all(|peer| peer["id"] != id)
    });
}

#[test]
fn what_can_not_be_banned_is_said() {
    let node = TestNode::with_network();
    let ban = |params: Value| code(node.client.call("setban", params));
    assert_eq!(ban(json!(["127.0.0.1/33", "add"])), -30, "an address has 32 bits");
    assert_eq!(ban(json!(["nonsense", "add"])), -30);
    assert_eq!(ban(json!(["1.2.3.4", "frob"])), -8);
    assert_eq!(ban(json!(["1.2.3.4", "add", -1])), -8);
    assert_eq!(ban(json!(["1.2.3.4", "add", 1_000, true])), -8, "in the past");
    node.client.call("setban", json!(["1.2.3.4/32", "add", 4_000_000_000u32, true])).unwrap();
    assert_eq!(node.client.call("listbanned", ()).unwrap()[0]["banned_until"], 4_000_000_000u32);
    let alone = TestNode::start();
    for (method, params) in
        [("setban", json!(["1.2.3.4", "add"])), ("listbanned", json!([])), ("ping", json!([]))]
    {
        assert_eq!(code(alone.client.call(method, params)), -9, "{method}: it has no network");
    }
}
