//! Statistics and proofs.

use serde_json::{Value, json};
use tine_chain::amount::COIN;
use tine_chain::hash::Txid;

use crate::support::chain::{STRANGER, block_at, code, fork, generate, hexed, rich, spend};
use crate::support::{SECRET, TestNode, address_of};

#[test]
fn getblockstats_counts_what_is_in_a_block() {
    let (node, coin) = rich();
    let first = spend(&node, &[coin], &SECRET, 20_000);
    let second = spend(&node, &[(first.outpoint(0), first.outputs[0])], &STRANGER, 5_000);
    for tx in [&first, &second] {
        node.client.call("sendrawtransaction", [hexed(tx)]).unwrap();
    }
    let block = generate(&node, 1, &STRANGER)[0];
    let call = |params: Value| node.client.call("getblockstats", params);
    let stats = call(json!([block])).unwrap();
    let size = first.size() as u64;
    assert_eq!(second.size() as u64, size, "both have one input and one output");
    for (name, expected) in [
        ("height", json!(102)),
        ("blockhash", json!(block)),
        ("txs", json!(3)),
        ("ins", json!(2)),
        ("outs", json!(3)),
        ("subsidy", json!(50 * COIN)),
        ("totalfee", json!(25_000)),
        ("avgfee", json!(12_500)),
        ("medianfee", json!(12_500)),
        ("minfee", json!(5_000)),
        ("maxfee", json!(20_000)),
        ("avgfeerate", json!(25_000 / (2 * size))),
        ("minfeerate", json!(5_000 / size)),
        ("maxfeerate", json!(20_000 / size)),
        ("total_size", json!(2 * size)),
        ("total_out", json!(2 * 50 * COIN - 45_000)),
        ("utxo_increase", json!(1)),
        ("swtxs", json!(2)),
    ] {
        assert_eq!(stats[name], expected, "{name}");
    }
    let low = 5_000 / size;
    let high = 20_000 / size;
    assert_eq!(stats["feerate_percentiles"], json!([low, low, low, high, high]));
    assert_eq!(call(json!([102])).unwrap(), stats, "by height");
    assert_eq!(call(json!([102, ["txs", "ins"]])).unwrap(), json!({ "ins": 2, "txs": 3 }));
    let genesis = call(json!({ "hash_or_height": 0 })).unwrap();
    assert_eq!((&genesis["txs"], &genesis["utxo_increase_actual"]), (&json!(1), &json!(0)));
    for wrong in [json!([103]), json!([-1]), json!([102, ["nothing"]]), json!(["x"])] {
        assert_eq!(code(call(wrong.clone())), -8, "{wrong}");
    }
    assert_eq!(code(call(json!(["00".repeat(32)]))), -5);
    assert_eq!(code(call(json!([true]))), -3);
}

#[test]
fn getchaintxstats_follows_the_chain_through_a_reorganisation() {
    let node = TestNode::start();
    let call = |params: Value| node.client.call("getchaintxstats", params);
    assert_eq!(call(json!([])).unwrap()["txcount"], 1, "the genesis has one");
    generate(&node, 10, &SECRET);
    let stats = call(json!([4])).unwrap();
    assert_eq!((&stats["txcount"], &stats["window_tx_count"]), (&json!(11), &json!(4)));
    assert_eq!((&stats["window_block_count"], &stats["window_final_block_height"]), (&json!(4), &json!(10)));
    assert!(stats["window_interval"].is_i64());
    let (_, old, new) = fork(&node);
    let stats = call(json!([])).unwrap();
    assert_eq!(stats["txcount"], 15, "13 up to the fork, 2 on the new branch");
    assert_eq!(stats["window_final_block_hash"], json!(new[1]));
    assert_eq!(code(call(json!([1, old[0]]))), -8, "not on the active chain");
    assert_eq!(code(call(json!([14]))), -8);
    assert_eq!(code(call(json!([-1]))), -8);
    let none = call(json!([0])).unwrap();
    assert!(none.get("window_interval").is_none() && none.get("window_tx_count").is_none());
}

#[test]
fn no_change_of_rules_is_under_way() {
    let node = TestNode::start();
    let tip = generate(&node, 2, &SECRET)[1];
    let info = node.client.call("getdeploymentinfo", ()).unwrap();
    assert_eq!(info, json!({ "hash": tip, "height": 2, "deployments": {} }));
    assert_eq!(code(node.client.call("getdeploymentinfo", ["00".repeat(32)])), -5);
}

#[test]
fn a_proof_holds_and_a_changed_one_does_not() {
    let (node, coin) = rich();
    let tx = spend(&node, &[coin], &STRANGER, 20_000);
    node.client.call("sendrawtransaction", [hexed(&tx)]).unwrap();
    assert_eq!(code(node.client.call("gettxoutproof", ([tx.txid()],))), -5, "not in a block yet");
    let hash = generate(&node, 1, &STRANGER)[0];
    let block = block_at(&node, &hash);
    let verify = |proof: &str| node.client.call("verifytxoutproof", [proof]);
    for txids in [vec![tx.txid()], block.transactions.iter().map(|tx| tx.txid()).collect::<Vec<Txid>>()] {
        for params in [json!([txids]), json!([txids, hash])] {
            let proof: String = node.client.call_as("gettxoutproof", params).unwrap();
            assert!(proof.starts_with(&hex::encode(block.header.to_array())), "the header comes first");
            assert_eq!(verify(&proof).unwrap(), json!(txids));
        }
    }
    let proof: String = node.client.call_as("gettxoutproof", ([tx.txid()],)).unwrap();
    let bytes = hex::decode(&proof).unwrap();
    for place in 80..bytes.len() {
        let mut forged = bytes.clone();
        forged[place] ^= 1;
        match verify(&hex::encode(forged)) {
            Ok(proven) => assert_eq!(proven, json!([]), "byte {place}"),
            Err(error) => assert_eq!(error.code(), Some(-22), "byte {place}"),
        }
    }
    let mut elsewhere = bytes;
    elsewhere[79] ^= 1;
    assert_eq!(code(verify(&hex::encode(elsewhere))), -5, "no such block");
    assert_eq!(code(verify("")), -22);
    assert_eq!(code(node.client.call("gettxoutproof", (Vec::<Txid>::new(),))), -8);
    assert_eq!(code(node.client.call("gettxoutproof", ([tx.txid(), tx.txid()],))), -8);
    assert_eq!(code(node.client.call("gettxoutproof", ([Txid([7; 32])], hash))), -5);
}

#[test]
fn setmocktime_stops_the_clock_of_a_regtest_node() {
    let node = TestNode::start();
    let set = |seconds: i64| node.client.call("setmocktime", [seconds]);
    set(1_900_000_000).unwrap();
    let hash = generate(&node, 1, &SECRET)[0];
    assert_eq!(block_at(&node, &hash).header.time, 1_900_000_000, "a template takes the present");
    assert_eq!(code(set(-1)), -8);
    assert_eq!(code(set(1 << 33)), -8);
    // the past: a block must be over the median of those before it, and is then too far ahead of the clock
    set(1_800_000_000).unwrap();
    let early = node.client.call("generatetoaddress", (1, address_of(&SECRET))).unwrap_err();
    assert!(early.to_string().contains("time-too-new"), "{early}");
    assert_eq!(node.client.call("getblockcount", ()).unwrap(), 1);
    // it was kept, and its time has come
    set(1_900_000_000).unwrap();
    assert_eq!(node.client.call("getblockcount", ()).unwrap(), 2);
    set(0).unwrap();
    assert!(node.client.is_up());
}

#[test]
fn headers_are_taken_in_by_hand() {
    let node = TestNode::start();
    let submit = |hex: &str| node.client.call("submitheader", [hex]);
    let template = |tag: u8, parent| {
        let spec = tine_node::template::CoinbaseSpec {
            lock: tine_chain::policy::Policy::key(tine_chain::signature::public_key(&SECRET)).lock(),
            extra: vec![tag],
        };
        let made = node.handle().with_blocking(move |node, now| node.template(parent, now, &spec));
        let mut made = made.unwrap().unwrap();
        while !made.target.is_met_by(&made.block.hash()) {
            made.block.header.nonce += 1;
        }
        made.block
    };
    let block = template(1, None);
    let header = hex::encode(block.header.to_array());
    assert_eq!(submit(&header).unwrap(), Value::Null);
    assert_eq!(submit(&header).unwrap(), Value::Null, "again is no error");
    let tips = node.client.call("getchaintips", ()).unwrap();
    let tip = tips.as_array().unwrap().iter().find(|tip| tip["hash"] == json!(block.hash())).unwrap();
    assert_eq!((&tip["status"], &tip["branchlen"]), (&json!("headers-only"), &json!(1)));
    let mut orphan = block.header;
    orphan.prev_block = tine_chain::hash::BlockHash([5; 32]);
    while !orphan.bits.to_target().unwrap().is_met_by(&orphan.hash()) {
        orphan.nonce += 1;
    }
    let error = submit(&hex::encode(orphan.to_array())).unwrap_err();
    assert_eq!(error.code(), Some(-25));
    assert!(error.to_string().contains("Must submit previous header"), "{error}");
    let mut easy = block.header;
    easy.bits.0 -= 1;
    assert_eq!(code(submit(&hex::encode(easy.to_array()))), -25);
    assert_eq!(code(submit("00")), -22);
    let from_peer = |peer: i64| node.client.call("getblockfrompeer", (block.hash(), peer));
    let error = from_peer(0).unwrap_err();
    assert_eq!(error.to_string(), "Peer does not exist");
    assert_eq!(code(node.client.call("getblockfrompeer", ("00".repeat(32), 0))), -1);
    let genesis = node.client.call("getblockhash", (0,)).unwrap();
    let error = node.client.call("getblockfrompeer", (genesis, 0)).unwrap_err();
    assert_eq!(error.to_string(), "Block already downloaded");
}
