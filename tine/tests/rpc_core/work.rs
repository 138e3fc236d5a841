//! `getwork`, spoken as `minerd -a sha256d` speaks it when `getblocktemplate` is not there.

use serde_json::Value;
use tine_chain::hash::sha256d;

use crate::support::TestNode;
use crate::support::chain::{STRANGER, best, hexed, rich, spend};

/// minerd's `work_decode`: every word is read as little-endian.
fn words(value: &Value, count: usize) -> Vec<u32> {
    let bytes = hex::decode(value.as_str().expect("text")).expect("hexadecimal");
    assert_eq!(bytes.len(), 4 * count, "minerd refuses any other length");
    bytes.chunks(4).map(|word| u32::from_le_bytes(word.try_into().unwrap())).collect()
}

/// minerd's `scanhash_sha256d` and `fulltest`: hashes the words as SHA-256's big-endian words, compares the hash's words
/// with the target's from the highest down.
fn scan(data: &mut [u32], target: &[u32]) {
    for nonce in 0..1_000_000 {
        data[19] = nonce;
        let header: Vec<u8> = data[..20].iter().flat_map(|word| word.to_be_bytes()).collect();
        let hash: Vec<u32> =
            sha256d(&header).chunks(4).map(|word| u32::from_le_bytes(word.try_into().unwrap())).collect();
        if hash.iter().rev().le(target.iter().rev()) {
            return;
        }
    }
    panic!("no nonce");
}

/// One round: the very bytes that minerd sends, and what it takes for "yay".
fn round(node: &TestNode) -> (bool, String) {
    let get = "{\"method\": \"getwork\", \"params\": [], \"id\":0}\r\n";
    let answer = node.post(get, "");
    assert_eq!(answer.status, 200);
    let work = answer.json();
    let mut data = words(&work["result"]["data"], 32);
    let target = words(&work["result"]["target"], 8);
    assert_eq!((data[20], data[31]), (0x8000_0000, 0x280), "SHA-256's padding");
    scan(&mut data, &target);
    let text = hex::encode(data.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<u8>>());
    let submit = format!("{{\"method\": \"getwork\", \"params\": [ \"{text}\" ], \"id\":1}}\r\n");
    (node.post(&submit, "").json()["result"] == true, text)
}

#[test]
fn an_unmodified_miner_mines_by_getwork() {
    let (node, coin) = rich();
    let payment = spend(&node, &[coin], &STRANGER, 5_000);
    node.client.call("sendrawtransaction", [hexed(&payment)]).unwrap();
    let before = node.client.call("getblockcount", ()).unwrap().as_u64().unwrap();
    for _ in 0..5 {
        assert!(round(&node).0);
    }
    assert_eq!(node.client.call("getblockcount", ()).unwrap(), before + 5);
    assert_eq!(node.client.call("getmempoolinfo", ()).unwrap()["size"], 0, "the payment was mined");
}

#[test]
fn work_that_is_stale_or_forged_is_refused() {
    let node = TestNode::start();
    let (taken, text) = round(&node);
    assert!(taken);
    let tip = best(&node);
    let submit = |data: &str| node.client.call("getwork", [data]);
    assert_eq!(submit(&text).unwrap(), false, "the same again is no new tip");
    let mut forged = hex::decode(&text).unwrap();
    forged[40] ^= 1;
    assert_eq!(submit(&hex::encode(forged)).unwrap(), false, "no block of ours has this root");
    for wrong in ["", "00", "zz", &text[2..]] {
        assert_eq!(submit(wrong).unwrap_err().code(), Some(-8), "{wrong}");
    }
    assert_eq!(best(&node), tip);
}
