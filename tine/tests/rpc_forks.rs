//! What those who watch forks ask: fork-observer, REST, waiting calls, our own explanations, the page; row RRG-10.

mod page;
mod support;

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::chain::{best, block_at, code, fork, generate};
use support::{SECRET, TestNode};
use tine_chain::block::Header;
use tine_chain::codec::{Decode, Encode};
use tine_chain::hash::BlockHash;

#[test]
fn fork_observer_gets_what_it_asks_for() {
    let node = TestNode::start();
    let (base, old, new) = fork(&node);
    // as it does at its start
    assert!(node.client.call("getnetworkinfo", ()).unwrap()["subversion"].as_str().unwrap().contains("tine"));
    let tips = node.client.call("getchaintips", ()).unwrap();
    let tips = tips.as_array().unwrap();
    let active: Vec<&Value> = tips.iter().filter(|tip| tip["status"] == "active").collect();
    assert_eq!(active.len(), 1);
    assert_eq!(*active[0], json!({ "height": 4, "hash": new[1], "branchlen": 0, "status": "active" }));
    let stale: Vec<&Value> = tips.iter().filter(|tip| tip["status"] != "active").collect();
    assert_eq!(*stale[0], json!({ "height": 3, "hash": old[0], "branchlen": 1, "status": "valid-fork" }));
    let first: BlockHash = node.client.call_as("getblockhash", (0,)).unwrap();
    let answer = node.raw_get(&format!("/rest/headers/2000/{first}.bin"));
    let headers: Vec<Header> = answer.chunks(80).map(|bytes| Header::from_bytes(bytes).unwrap()).collect();
    assert_eq!(headers.len(), 5);
    assert!(headers.windows(2).all(|pair| pair[1].prev_block == pair[0].hash()));
    assert_eq!(headers[4].hash(), new[1]);
    let header: String = node.client.call_as("getblockheader", (old[0], false)).unwrap();
    let header = Header::from_bytes(&hex::decode(header).unwrap()).unwrap();
    assert_eq!((header.hash(), header.prev_block), (old[0], base), "stale headers too");
    assert_eq!(block_at(&node, &old[0]).hash(), old[0]);
    let stale = node.client.call("getblockheader", (old[0],)).unwrap();
    assert_eq!((&stale["confirmations"], stale.get("nextblockhash")), (&json!(-1), None));
    let start = Instant::now();
    let waited = node.client.call("waitfornewblock", (200,)).unwrap();
    assert!(start.elapsed() >= Duration::from_millis(200));
    assert_eq!(waited, json!({ "hash": new[1], "height": 4 }), "the tip, on time-out");
}

#[test]
fn rest_has_cores_paths_and_refusals() {
    let node = TestNode::start();
    let blocks = generate(&node, 2, &SECRET);
    let body = |path: &str| node.get(path).body;
    let info: Value = serde_json::from_str(&body("/rest/chaininfo.json")).unwrap();
    assert_eq!(info["blocks"], 2);
    let block = block_at(&node, &blocks[1]);
    assert_eq!(node.raw_get(&format!("/rest/block/{}.bin", blocks[1])), block.to_bytes());
    assert_eq!(body(&format!("/rest/block/{}.hex", blocks[1])).trim(), hex::encode(block.to_bytes()));
    let json: Value = serde_json::from_str(&body(&format!("/rest/block/{}.json", blocks[1]))).unwrap();
    assert_eq!(json["tx"][0]["txid"], block.transactions[0].txid().to_string());
    let json: Value = serde_json::from_str(&body(&format!("/rest/headers/5/{}.json", blocks[0]))).unwrap();
    assert_eq!(json.as_array().unwrap().len(), 2);
    assert_eq!(json[1]["hash"], blocks[1].to_string());
    for (path, status) in [
        ("/rest/headers/0/00.bin".to_owned(), 400),
        (format!("/rest/headers/0/{}.bin", blocks[0]), 400),
        (format!("/rest/headers/2001/{}.bin", blocks[0]), 400),
        (format!("/rest/headers/1/{}.xml", blocks[0]), 404),
        (format!("/rest/block/{}.bin", "00".repeat(32)), 404),
        ("/rest/block/xyz.bin".to_owned(), 400),
        ("/rest/nothing".to_owned(), 404),
    ] {
        assert_eq!(node.get(&path).status, status, "{path}");
    }
}

#[test]
fn forks_are_made_explained_and_overruled() {
    let node = TestNode::start();
    let (base, old, new) = fork(&node);
    let call = |method: &str, params: Value| node.client.call(method, params);
    let report = call("tine_explainreorg", json!([])).unwrap();
    assert_eq!(report["fork"]["hash"], json!(base));
    assert_eq!(report["disconnected"][0]["hash"], json!(old[0]));
    assert_eq!(report["connected"][1]["hash"], json!(new[1]));
    assert_eq!(call("tine_reorgs", json!([])).unwrap().as_array().unwrap().len(), 1);
    assert_eq!(code(call("tine_explainreorg", json!([7]))), -5);
    let forks = call("tine_forks", json!([])).unwrap();
    assert_eq!((&forks[0]["hash"], &forks[1]["hash"]), (&json!(new[1]), &json!(old[0])));
    assert_eq!((&forks[1]["fork"], &forks[1]["branch_length"]), (&json!(base), &json!(1)));
    let why = call("tine_explaintip", json!([])).unwrap();
    assert_eq!(why["rivals"][0]["hash"], json!(old[0]));
    let arrivals = call("tine_blockarrivals", json!([3])).unwrap();
    let order: Vec<&Value> = arrivals.as_array().unwrap().iter().map(|arrival| &arrival["hash"]).collect();
    assert_eq!(order, [&json!(new[1]), &json!(new[0]), &json!(old[0])]);
    let stale = block_at(&node, &old[0]).transactions[0].txid();
    let story = call("tine_explaintx", json!({ "txid": stale })).unwrap();
    assert_eq!((&story["block"], &story["stale_blocks"]), (&Value::Null, &json!([old[0]])));
    assert_eq!(story["reorgs"].as_array().unwrap().len(), 1);
    assert_eq!(call("invalidateblock", json!([new[0]])).unwrap(), Value::Null);
    assert_eq!(best(&node), old[0]);
    let tips = call("getchaintips", json!([])).unwrap();
    let invalid = tips.as_array().unwrap().iter().find(|tip| tip["status"] == "invalid").unwrap();
    assert_eq!(invalid["hash"], json!(new[1]));
    call("reconsiderblock", json!([new[1]])).unwrap();
    assert_eq!(best(&node), new[1]);
    assert_eq!(code(call("invalidateblock", json!(["00".repeat(32)]))), -5);
    let genesis: BlockHash = node.client.call_as("getblockhash", (0,)).unwrap();
    assert_eq!(code(call("invalidateblock", json!([genesis]))), -1);
    // two of the same work: the one called precious is the tip
    call("invalidateblock", json!([new[1]])).unwrap();
    let tie = best(&node);
    assert!(tie == old[0] || tie == new[0]);
    let other = if tie == old[0] { new[0] } else { old[0] };
    call("preciousblock", json!([other])).unwrap();
    assert_eq!(best(&node), other);
}

#[test]
fn waiting_ends_when_it_happens() {
    let node = TestNode::start();
    let client = node.client.clone();
    let height = std::thread::spawn(move || client.call("waitforblockheight", (3, 20_000)).unwrap());
    let client = node.client.clone();
    let block = std::thread::spawn(move || client.call("waitfornewblock", (20_000,)).unwrap());
    std::thread::sleep(Duration::from_millis(200));
    let blocks = generate(&node, 3, &SECRET);
    assert_eq!(height.join().unwrap(), json!({ "hash": blocks[2], "height": 3 }));
    assert!(block.join().unwrap()["height"].as_u64().unwrap() >= 1);
    let now = node.client.call("waitforblock", (blocks[2], 1)).unwrap();
    assert_eq!(now["height"], 3);
    assert_eq!(
        node.client.call("waitforblock", (blocks[0], 50)).unwrap()["height"],
        3,
        "the tip, on time-out"
    );
    assert_eq!(code(node.client.call("waitfornewblock", (-1,))), -8);
}

#[test]
fn rrg_10_an_answer_belongs_to_one_tip() {
    let node = TestNode::start();
    let (_, old, new) = fork(&node);
    let client = node.client.clone();
    let stop = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    let reader = std::thread::spawn(move || {
        let mut seen = std::collections::BTreeSet::new();
        while !stopped.load(std::sync::atomic::Ordering::Relaxed) {
            let info = client.call("getblockchaininfo", ()).unwrap();
            let tip = (info["blocks"].as_u64().unwrap(), info["bestblockhash"].as_str().unwrap().to_owned());
            let tips = client.call("getchaintips", ()).unwrap();
            let active = tips.as_array().unwrap().iter().filter(|tip| tip["branchlen"] == 0).count();
            assert_eq!(active, 1);
            seen.insert(tip);
        }
        seen
    });
    for _ in 0..15 {
        node.client.call("invalidateblock", [new[0]]).unwrap();
        node.client.call("reconsiderblock", [new[0]]).unwrap();
    }
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    let allowed = [(3, old[0].to_string()), (4, new[1].to_string())];
    for tip in reader.join().unwrap() {
        assert!(allowed.contains(&tip), "{tip:?} is of no single tip");
    }
}
