//! `getblocktemplate` and `submitblock` as miners use them (catalogue row RPC-13), and what the mempool tells and is told.

mod support;

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::chain::{STRANGER, best, code, generate, hexed, rich, spend};
use support::{SECRET, TestNode};
use tine_chain::address::Address;
use tine_chain::amount::COIN;
use tine_chain::block::Block;
use tine_chain::codec::{Decode, Encode};
use tine_chain::hash::BlockHash;
use tine_chain::merkle;
use tine_chain::params::Network;
use tine_chain::policy::Policy;
use tine_chain::pow::Target;
use tine_chain::signature;
use tine_chain::transaction::{Transaction, TxData};

/// Makes a block of a template as `minerd -a sha256d` does: from the `data` fields alone, by Bitcoin's hashing.
fn mine_as_minerd(template: &Value) -> (String, BlockHash) {
    let text = |value: &Value| value.as_str().expect("a string").to_owned();
    let bytes = |value: &Value| hex::decode(text(value)).expect("hexadecimal");
    let coinbase = bytes(&template["coinbasetxn"]["data"]);
    assert!(coinbase.len() >= 60, "minerd refuses a shorter one");
    let others: Vec<Vec<u8>> =
        template["transactions"].as_array().unwrap().iter().map(|tx| bytes(&tx["data"])).collect();
    let mut layer: Vec<[u8; 32]> =
        std::iter::once(&coinbase).chain(&others).map(|data| tine_chain::hash::sha256d(data)).collect();
    while layer.len() > 1 {
        if layer.len() % 2 == 1 {
            layer.push(*layer.last().unwrap());
        }
        layer = layer.chunks(2).map(|pair| tine_chain::hash::sha256d(&pair.concat())).collect();
    }
    let number = |name: &str| u32::try_from(template[name].as_u64().expect("a number")).unwrap();
    let mut header = Vec::new();
    header.extend_from_slice(&number("version").to_le_bytes());
    header.extend(bytes(&template["previousblockhash"]).iter().rev());
    header.extend_from_slice(&layer[0]);
    header.extend_from_slice(&number("curtime").to_le_bytes());
    header.extend(bytes(&template["bits"]).iter().rev());
    header.extend_from_slice(&[0; 4]);
    let target = text(&template["target"]);
    assert_eq!(target.len(), 64);
    let mut nonce = 0u32;
    let hash = loop {
        header[76..].copy_from_slice(&nonce.to_le_bytes());
        let hash = BlockHash(tine_chain::hash::sha256d(&header));
        // both are 64 digits, most significant first
        if hash.to_string() <= target {
            break hash;
        }
        nonce += 1;
    };
    let mut block = header;
    tine_chain::codec::write_compact_size(1 + others.len() as u64, &mut block);
    block.extend(coinbase);
    block.extend(others.concat());
    (hex::encode(block), hash)
}

#[test]
fn an_unmodified_miner_mines_by_getblocktemplate() {
    let (node, coin) = rich();
    let payment = spend(&node, &[coin], &SECRET, 5_000);
    let child = spend(&node, &[(payment.outpoint(0), payment.outputs[0])], &STRANGER, 7_000);
    for tx in [&payment, &child] {
        node.client.call("sendrawtransaction", [hexed(tx)]).unwrap();
    }
    let request = json!([{ "capabilities": ["coinbasetxn", "workid", "longpoll"], "rules": ["segwit"] }]);
    let template = node.client.call("getblocktemplate", &request).unwrap();
    for (name, expected) in [
        ("height", json!(102)),
        ("rules", json!([])),
        ("mutable", json!(["time", "transactions", "prevblock"])),
        ("bits", json!("207fffff")),
        ("previousblockhash", json!(best(&node))),
        ("noncerange", json!("00000000ffffffff")),
        ("coinbasevalue", json!(50 * COIN + 12_000)),
    ] {
        assert_eq!(template[name], expected, "{name}");
    }
    assert_eq!(template["transactions"][0]["txid"], json!(payment.txid()));
    assert_eq!(template["transactions"][0]["fee"], 5_000);
    assert_eq!(template["transactions"][1]["depends"], json!([1]));
    let again = node.client.call("getblocktemplate", ()).unwrap();
    assert_ne!(again["coinbasetxn"]["data"], template["coinbasetxn"]["data"], "an extranonce of its own");
    let (block, hash) = mine_as_minerd(&template);
    let proposal = json!([{ "mode": "proposal", "data": block }]);
    assert_eq!(node.client.call("getblocktemplate", &proposal).unwrap(), Value::Null);
    assert_eq!(node.client.call("submitblock", [&block]).unwrap(), Value::Null);
    assert_eq!(best(&node), hash);
    assert_eq!(node.client.call("submitblock", [&block]).unwrap(), "duplicate");
    assert_eq!(node.client.call("getblocktemplate", &proposal).unwrap(), "duplicate");
    assert_eq!(node.client.call("getrawmempool", ()).unwrap(), json!([]));
    for _ in 0..5 {
        let (block, hash) = mine_as_minerd(&node.client.call("getblocktemplate", ()).unwrap());
        assert_eq!(node.client.call("submitblock", [block]).unwrap(), Value::Null);
        assert_eq!(best(&node), hash);
    }
}

/// Sends a request as minerd 2.5.1 sent its own, on a connection that is kept: recorded with its `--protocol-dump`, all but
/// address, password and length, while it mined for a regtest node (5 blocks, by both protocols). Debian has no package of it.
fn as_minerd(stream: &mut std::net::TcpStream, body: &str) -> Value {
    use std::io::{BufRead, BufReader, Read, Write};
    let login = support::basic("alice:secret");
    let request = format!(
        "POST / HTTP/1.1\r\nHost: 127.0.0.1:29443\r\n{login}Accept-Encoding: deflate, gzip, br, zstd\r\n\
         Content-Type: application/json\r\nUser-Agent: cpuminer/2.5.1\r\nX-Mining-Extensions: midstate\r\n\
         Content-Length: {}\r\n\r\n{body}\r\n",
        body.len() + 2
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut reader = BufReader::new(stream);
    let head: Vec<String> =
        reader.by_ref().lines().map(Result::unwrap).take_while(|line| !line.is_empty()).collect();
    assert!(head[0].contains("200"), "{head:?}");
    let length =
        head.iter().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
    let mut answer = vec![0; length.expect("a length")];
    reader.read_exact(&mut answer).unwrap();
    let answer: Value = serde_json::from_slice(&answer).unwrap();
    assert_eq!(answer["error"], Value::Null, "{answer}");
    answer["result"].clone()
}

#[test]
fn minerds_own_requests_for_templates_and_its_long_poll() {
    let node = TestNode::start();
    let (mut miner, mut poller) = (node.connect(), node.connect());
    let template = as_minerd(
        &mut miner,
        r#"{"method": "getblocktemplate", "params": [{"capabilities": ["coinbasetxn", "coinbasevalue", "longpoll", "workid"], "rules": ["segwit"]}], "id":0}"#,
    );
    let id = template["longpollid"].as_str().unwrap();
    let waits = format!(
        r#"{{"method": "getblocktemplate", "params": [{{"capabilities": ["coinbasetxn", "coinbasevalue", "longpoll", "workid"], "rules": ["segwit"], "longpollid": "{id}"}}], "id":0}}"#
    );
    let next = std::thread::scope(|scope| {
        let polled = scope.spawn(|| as_minerd(&mut poller, &waits));
        let (block, hash) = mine_as_minerd(&template);
        let submit = format!(r#"{{"method": "submitblock", "params": ["{block}"], "id":1}}"#);
        assert_eq!(as_minerd(&mut miner, &submit), Value::Null, "accepted");
        assert_eq!(best(&node), hash);
        polled.join().unwrap()
    });
    assert_eq!((&next["height"], &next["previousblockhash"]), (&json!(2), &json!(best(&node))));
    let (block, hash) = mine_as_minerd(&next);
    let submit = format!(r#"{{"method": "submitblock", "params": ["{block}"], "id":1}}"#);
    assert_eq!(as_minerd(&mut miner, &submit), Value::Null);
    assert_eq!(best(&node), hash);
}

#[test]
fn minerds_own_requests_for_work() {
    let node = TestNode::start();
    let mut miner = node.connect();
    let work = as_minerd(&mut miner, r#"{"method": "getwork", "params": [], "id":0}"#);
    let bytes = |name: &str| hex::decode(work[name].as_str().unwrap()).unwrap();
    let (data, mut target) = (bytes("data"), bytes("target"));
    target.reverse();
    // it reads words of 4 bytes and writes them back turned round: the header's own order
    let mut header: Vec<u8> = data[..80].chunks(4).flat_map(|word| word.iter().rev().copied()).collect();
    let mut found = (0u32..).filter(|nonce| {
        header[76..].copy_from_slice(&nonce.to_le_bytes());
        let mut hash = tine_chain::hash::sha256d(&header);
        hash.reverse();
        hash.as_slice() <= target.as_slice()
    });
    let (first, second) = (found.next().unwrap(), found.next().unwrap());
    let mut submit = |nonce: u32| {
        let mut data = data.clone();
        data[76..80].copy_from_slice(&nonce.to_be_bytes());
        let data = hex::encode(data);
        as_minerd(&mut miner, &format!(r#"{{"method": "getwork", "params": [ "{data}" ], "id":1}}"#))
    };
    assert_eq!(submit(first), json!(true));
    assert_eq!(submit(second), json!(false), "a rival of the tip is none");
    assert_eq!(node.client.call("getblockcount", json!([])).unwrap(), json!(1));
}

#[test]
fn a_long_poll_ends_with_a_new_tip() {
    let node = TestNode::start();
    let template = node.client.call("getblocktemplate", ()).unwrap();
    let request = json!([{ "longpollid": template["longpollid"] }]);
    let client = node.client.clone();
    let waiting = std::thread::spawn(move || {
        let start = Instant::now();
        (client.call("getblocktemplate", &request).unwrap(), start.elapsed())
    });
    std::thread::sleep(Duration::from_millis(300));
    let hash = generate(&node, 1, &SECRET)[0];
    let (next, waited) = waiting.join().unwrap();
    assert_eq!(next["previousblockhash"], json!(hash));
    assert!(waited >= Duration::from_millis(250) && waited < Duration::from_secs(5), "{waited:?}");
    // one that is out of date is answered at once
    let start = Instant::now();
    node.client.call("getblocktemplate", json!([{ "longpollid": "old" }])).unwrap();
    assert!(start.elapsed() < Duration::from_secs(2));
}

#[test]
fn blocks_are_generated_where_one_takes_more_tries_than_cores_default() {
    let node = TestNode::on(Network::Devnet);
    let lock = Policy::key(signature::public_key(&SECRET)).lock();
    let address = Address { network: Network::Devnet, lock }.to_string();
    // a million tries each on average: with Core's default of a million for all of them there would be one or none
    let blocks = node.client.call("generatetoaddress", json!([5, address])).unwrap();
    assert_eq!(blocks.as_array().map(Vec::len), Some(5), "{blocks}");
    assert_eq!(json!(best(&node)), blocks[4]);
    let none = node.client.call("generatetoaddress", json!([5, address, 1])).unwrap();
    assert_eq!(none, json!([]), "what the caller says holds, as in Core");
}

/// A block on the tip, changed by `change` and then mined again.
fn crooked(node: &TestNode, change: impl FnOnce(&mut Block)) -> String {
    let template = node.client.call("getblocktemplate", ()).unwrap();
    let (text, _) = mine_as_minerd(&template);
    let mut block = Block::from_bytes(&hex::decode(text).unwrap()).unwrap();
    change(&mut block);
    let target: Target = block.header.bits.to_target().expect("regtest's easiest, or nearly");
    while !target.is_met_by(&block.hash()) {
        block.header.nonce += 1;
    }
    hex::encode(block.to_bytes())
}

type Change = fn(&mut Block);

#[test]
fn rpc_13_submitblock_says_what_is_wrong_and_the_tip_stays() {
    let node = TestNode::start();
    generate(&node, 3, &SECRET);
    let tip = best(&node);
    let submit = |text: String| node.client.call("submitblock", [text]);
    for garbage in ["", "zz", "00", &"ff".repeat(200)] {
        assert_eq!(code(submit(garbage.to_owned())), -22, "{garbage}");
    }
    let mut trailing = crooked(&node, |_| {});
    trailing.push_str("00");
    assert_eq!(code(submit(trailing)), -22, "nothing may follow");
    let orphan = submit(crooked(&node, |block| block.header.prev_block = BlockHash([1; 32]))).unwrap();
    assert_eq!(orphan, "prev-blk-not-found");
    let cases: [(&str, Change); 5] = [
        ("bad-diffbits", |block| block.header.bits.0 = 0x207f_fffe),
        ("bad-txnmrklroot", |block| block.header.merkle_root.0[0] ^= 1),
        ("time-too-old", |block| block.header.time = 1),
        ("bad-cb-amount", |block| {
            let mut data = block.transactions[0].data().clone();
            data.outputs[0].value.0 += 1;
            replace_coinbase(block, data);
        }),
        ("bad-cb-height", |block| {
            let mut data = block.transactions[0].data().clone();
            data.lock_time -= 1;
            replace_coinbase(block, data);
        }),
    ];
    for (reason, change) in cases {
        assert_eq!(submit(crooked(&node, change)).unwrap(), reason);
        assert_eq!(best(&node), tip, "{reason}");
    }
    let invalid = crooked(&node, |block| {
        let mut data = block.transactions[0].data().clone();
        data.outputs[0].value.0 += 2;
        replace_coinbase(block, data);
    });
    assert_eq!(submit(invalid.clone()).unwrap(), "bad-cb-amount");
    assert_eq!(submit(invalid).unwrap(), "duplicate-invalid");
    assert_eq!(submit(crooked(&node, |_| {})).unwrap(), Value::Null, "and a good one is taken");
}

fn replace_coinbase(block: &mut Block, data: TxData) {
    block.transactions[0] = Arc::new(Transaction::new(data));
    let leaves: Vec<_> = block.transactions.iter().map(|tx| tx.wtxid()).collect();
    block.header.merkle_root = merkle::merkle_root(&leaves).unwrap();
}

#[test]
fn the_mempool_tells_who_spends_what_and_for_how_much() {
    let (node, coin) = rich();
    let call = |method: &str, params: Value| node.client.call(method, params);
    let sequence =
        || call("getrawmempool", json!([false, true])).unwrap()["mempool_sequence"].as_u64().unwrap();
    let parent = spend(&node, &[coin], &SECRET, 20_000);
    let child = spend(&node, &[(parent.outpoint(0), parent.outputs[0])], &STRANGER, 5_000);
    let (parent_id, child_id) = (parent.txid().to_string(), child.txid().to_string());
    let before = sequence();
    for tx in [&parent, &child] {
        call("sendrawtransaction", json!([hexed(tx)])).unwrap();
    }
    assert_eq!(sequence(), before + 2);
    assert_eq!(call("getmempooldescendants", json!([parent_id])).unwrap(), json!([child_id]));
    assert_eq!(call("getmempoolancestors", json!([child_id])).unwrap(), json!([parent_id]));
    let outputs = json!([[
        { "txid": coin.0.txid, "vout": coin.0.vout },
        { "txid": child_id, "vout": 0 },
    ]]);
    let spenders = call("gettxspendingprevout", outputs).unwrap();
    assert_eq!(spenders[0]["spendingtxid"], parent_id);
    assert_eq!(spenders[1], json!({ "txid": child_id, "vout": 0 }), "nobody spends it");

    assert_eq!(call("prioritisetransaction", json!([parent_id, 0, 1_000])).unwrap(), true);
    assert_eq!(code(call("prioritisetransaction", json!([parent_id, 7, 1_000]))), -8);
    let raw = node.client.call_raw("getmempoolentry", [&child_id]).unwrap();
    for text in [
        r#""ancestorcount":2"#,
        r#""fees":{"base":0.00005000,"modified":0.00005000,"ancestor":0.00026000,"descendant":0.00005000}"#,
        &format!(r#""depends":["{parent_id}"],"spentby":[],"bip125-replaceable":false"#),
    ] {
        assert!(raw.get().contains(text), "{text} in {raw}");
    }
    let told = call("getprioritisedtransactions", json!([])).unwrap();
    let expected = json!({ "fee_delta": 1_000, "in_mempool": true, "modified_fee": 21_000 });
    assert_eq!(told[&parent_id], expected);
    let raw = node.client.call_raw("getmempoolinfo", ()).unwrap();
    assert!(
        raw.get().contains(r#""total_fee":0.00025000"#) && raw.get().contains(r#""fullrbf":true"#),
        "{raw}"
    );
    assert_eq!(code(call("savemempool", json!([]))), -1, "it keeps no files");
}

#[test]
fn a_package_is_tested_and_submitted_and_replaces() {
    let (node, coin) = rich();
    let call = |method: &str, params: Value| node.client.call(method, params);
    let rival = spend(&node, &[coin], &STRANGER, 1_000);
    call("sendrawtransaction", json!([hexed(&rival)])).unwrap();
    let parent = spend(&node, &[coin], &SECRET, 20_000);
    let child = spend(&node, &[(parent.outpoint(0), parent.outputs[0])], &STRANGER, 5_000);
    let package = json!([[hexed(&parent), hexed(&child)]]);
    let tested = call("testmempoolaccept", package.clone()).unwrap();
    assert_eq!((&tested[0]["allowed"], &tested[1]["allowed"]), (&json!(true), &json!(true)), "{tested}");
    let swapped = call("testmempoolaccept", json!([[hexed(&child), hexed(&parent)]])).unwrap();
    assert_eq!(swapped[0]["package-error"], "package-not-sorted");
    assert_eq!(call("getrawmempool", json!([])).unwrap(), json!([rival.txid()]), "a test changes nothing");
    let result = call("submitpackage", package.clone()).unwrap();
    assert_eq!(
        (&result["package_msg"], &result["replaced-transactions"]),
        (&json!("success"), &json!([rival.txid()]))
    );
    let of_child = &result["tx-results"][child.wtxid().to_string()];
    assert_eq!((&of_child["txid"], &of_child["vsize"]), (&json!(child.txid()), &json!(child.size())));
    assert_eq!(call("getrawmempool", json!([])).unwrap(), json!([parent.txid(), child.txid()]));
    let low = spend(&node, &[coin], &STRANGER, 20_050);
    assert_eq!(code(call("sendrawtransaction", json!([hexed(&low)]))), -26);
    let conflicts = call("tine_listconflicts", json!([])).unwrap();
    let story = |at: usize| ["decision", "kept", "gone", "coin"].map(|name| conflicts[at][name].clone());
    let coin_text = coin.0.to_string();
    let told = |decision: &str, kept: &Transaction, gone: &Transaction| {
        [json!(decision), json!(kept.txid()), json!(gone.txid()), json!(coin_text)]
    };
    assert_eq!(story(0), told("replaced", &parent, &rival));
    assert_eq!(story(1), told("refused", &parent, &low));
    assert_eq!(call("submitpackage", package).unwrap()["package_msg"], "success", "again is no error");
    assert_eq!(code(call("submitpackage", json!([[hexed(&child), hexed(&parent)]]))), -25);
}
