//! Methods over a regtest node on a real socket: shapes, parameters, error numbers: rows RPC-09, RPC-10, RPC-12.

mod support;

use std::time::Duration;

use serde_json::{Value, json};
use support::chain::{STRANGER, best, block_at, code, generate, hexed, reward, rich, spend};
use support::{SECRET, TestNode, address_of};
use tine::rpc::{ClientError, Coins};
use tine_chain::amount::{Amount, COIN};
use tine_chain::block::Header;
use tine_chain::codec::{Decode, Encode};
use tine_chain::hash::{BlockHash, Txid};
use tine_chain::transaction::{OutPoint, Transaction};

#[test]
fn blocks_and_headers_have_cores_shapes() {
    let node = TestNode::start();
    let blocks = generate(&node, 3, &SECRET);
    let call = |method: &str, params: Value| node.client.call(method, params);
    assert_eq!(call("getblockcount", json!([])).unwrap(), 3);
    assert_eq!(best(&node), blocks[2]);
    assert_eq!(call("getblockhash", json!([2])).unwrap(), blocks[1].to_string());
    assert_eq!(call("getblockhash", json!({ "height": 1 })).unwrap(), blocks[0].to_string());
    let header = call("getblockheader", json!([blocks[1]])).unwrap();
    for (name, expected) in [
        ("hash", json!(blocks[1])),
        ("confirmations", json!(2)),
        ("height", json!(2)),
        ("nTx", json!(1)),
        ("bits", json!("207fffff")),
        ("previousblockhash", json!(blocks[0])),
        ("nextblockhash", json!(blocks[2])),
        ("chainwork", json!(format!("{:064x}", 6))),
        ("target", json!(format!("7fffff{}", "0".repeat(58)))),
    ] {
        assert_eq!(header[name], expected, "{name}");
    }
    let raw: String = node.client.call_as("getblockheader", (blocks[1], false)).unwrap();
    let raw = Header::from_bytes(&hex::decode(raw).unwrap()).unwrap();
    assert_eq!(raw.hash(), blocks[1]);
    let block = block_at(&node, &blocks[1]);
    assert_eq!((block.hash(), block.header), (blocks[1], raw));
    let verbose = call("getblock", json!([blocks[1]])).unwrap();
    assert_eq!(verbose["tx"], json!([block.transactions[0].txid()]));
    assert_eq!(verbose["size"], block.size());
    let full = node.client.call_raw("getblock", (blocks[1], 2)).unwrap();
    assert!(full.get().contains("\"value\":50.00000000,"), "exact, with 8 decimals: {full}");
    let full: Value = serde_json::from_str(full.get()).unwrap();
    assert_eq!(full["tx"][0]["vout"][0]["scriptPubKey"]["address"], address_of(&SECRET));
    assert!(full["tx"][0]["vin"][0]["coinbase"].is_string());
    let genesis: BlockHash = node.client.call_as("getblockhash", (0,)).unwrap();
    let genesis = call("getblock", json!([genesis, 2])).unwrap();
    assert_eq!((&genesis["height"], &genesis["nTx"]), (&json!(0), &json!(1)));
    assert!(genesis.get("previousblockhash").is_none());
}

#[test]
fn what_corepc_and_others_look_for_is_there() {
    let node = TestNode::start();
    let info = node.client.call("getblockchaininfo", ()).unwrap();
    assert_eq!(info["chain"], "regtest");
    assert_eq!(info["tine_network"], "regtest");
    assert_eq!(info["initialblockdownload"], false, "from genesis on");
    assert_eq!(info["warnings"], json!([]));
    for name in [
        "blocks",
        "headers",
        "bestblockhash",
        "bits",
        "target",
        "difficulty",
        "time",
        "mediantime",
        "verificationprogress",
        "chainwork",
        "size_on_disk",
        "pruned",
    ] {
        assert!(!info[name].is_null(), "{name}");
    }
    let network = node.client.call("getnetworkinfo", ()).unwrap();
    for name in [
        "version",
        "subversion",
        "protocolversion",
        "localservices",
        "localservicesnames",
        "localrelay",
        "timeoffset",
        "connections",
        "connections_in",
        "connections_out",
        "networkactive",
        "networks",
        "relayfee",
        "incrementalfee",
        "localaddresses",
        "warnings",
    ] {
        assert!(!network[name].is_null(), "{name}");
    }
    assert_eq!(node.client.call("getpeerinfo", ()).unwrap(), json!([]));
    assert_eq!(node.client.call("getconnectioncount", ()).unwrap(), 0);
    let mining = node.client.call("getmininginfo", ()).unwrap();
    assert_eq!(mining["next"]["height"], 1);
    assert_eq!(mining["chain"], "regtest");
    let raw = node.client.call_raw("getmempoolinfo", ()).unwrap();
    assert!(raw.get().contains("\"mempoolminfee\":0.00001000,"), "{raw}");
    assert_eq!(code(node.client.call("addnode", ("127.0.0.1:1", "add"))), -9, "it has no network");
}

#[test]
fn a_transaction_goes_its_way() {
    let (node, coin) = rich();
    let tx = spend(&node, &[coin], &STRANGER, 20_000);
    let (txid, text) = (tx.txid(), hexed(&tx));
    let call = |method: &str, params: Value| node.client.call(method, params);
    let decoded = call("decoderawtransaction", json!([text])).unwrap();
    assert_eq!((&decoded["txid"], &decoded["size"]), (&json!(txid), &json!(tx.size())));
    let tested = node.client.call_raw("testmempoolaccept", ([&text],)).unwrap();
    assert!(
        tested.get().contains("\"allowed\":true") && tested.get().contains("\"base\":0.00020000"),
        "{tested}"
    );
    assert_eq!(code(call("getmempoolentry", json!([txid]))), -5);
    assert_eq!(code(call("getrawtransaction", json!([txid]))), -5);
    assert_eq!(call("sendrawtransaction", json!([text])).unwrap(), json!(txid));
    assert_eq!(call("sendrawtransaction", json!([text])).unwrap(), json!(txid), "again is no error");
    assert_eq!(call("getrawmempool", json!([])).unwrap(), json!([txid]));
    let entry = &call("getrawmempool", json!([true])).unwrap()[txid.to_string()];
    assert_eq!((&entry["vsize"], &entry["ancestorcount"]), (&json!(tx.size()), &json!(1)));
    assert_eq!(*entry, call("getmempoolentry", json!([txid])).unwrap());
    assert_eq!(call("getmempoolinfo", json!([])).unwrap()["size"], 1);
    assert_eq!(call("getrawtransaction", json!([txid])).unwrap(), text);
    let spent = json!([coin.0.txid, coin.0.vout]);
    assert_eq!(call("gettxout", spent.clone()).unwrap(), Value::Null, "spent in the mempool");
    let coin_of = |more: Value| call("gettxout", more).unwrap();
    assert_eq!(coin_of(json!([coin.0.txid, coin.0.vout, false]))["coinbase"], true);
    assert_eq!(coin_of(json!([txid, 0]))["confirmations"], 0);
    let block = generate(&node, 1, &STRANGER)[0];
    assert_eq!(coin_of(json!([txid, 0]))["confirmations"], 1);
    let raw = node.client.call_raw("gettxout", (txid, 0)).unwrap();
    assert!(raw.get().contains("\"value\":49.99980000,"), "{raw}");
    let full = call("getrawtransaction", json!([txid, 2])).unwrap();
    assert_eq!((&full["blockhash"], &full["confirmations"]), (&json!(block), &json!(1)));
    assert_eq!(full["vin"][0]["prevout"]["scriptPubKey"]["address"], address_of(&SECRET));
    let raw = node.client.call_raw("getblock", (block, 2)).unwrap();
    assert!(raw.get().contains("\"fee\":0.00020000,"), "{raw}");
    assert_eq!(call("getrawtransaction", json!([txid, 1, block])).unwrap()["in_active_chain"], true);
    assert_eq!(code(call("sendrawtransaction", json!([text]))), -27, "its outputs are there already");
    let set = call("gettxoutsetinfo", json!([])).unwrap();
    assert_eq!(
        (&set["height"], &set["txouts"], &set["bestblock"]),
        (&json!(102), &json!(102), &json!(block))
    );
}

#[test]
fn a_refusal_names_the_rule() {
    let (node, coin) = rich();
    let send = |tx: &Transaction| node.client.call("sendrawtransaction", [hexed(tx)]);
    let first = spend(&node, &[coin], &STRANGER, 20_000);
    let refused = |tx: &Transaction| match send(tx).unwrap_err() {
        ClientError::Rejected(error) => (error.code, error.message),
        other @ (ClientError::Unreachable(_) | ClientError::Failed(_) | ClientError::Protocol(_)) => {
            panic!("{other:?}")
        }
    };
    let mut forged = first.data().clone();
    forged.outputs[0].value.0 -= 1;
    assert_eq!(refused(&forged.into()), (-26, "bad-witness-signature".to_owned()));
    let cheap = spend(&node, &[coin], &STRANGER, 1);
    assert_eq!(refused(&cheap), (-26, "mempool min fee not met".to_owned()));
    let missing = spend(&node, &[(OutPoint { txid: Txid([3; 32]), vout: 0 }, coin.1)], &STRANGER, 9_000);
    assert_eq!(refused(&missing), (-25, "bad-txns-inputs-missingorspent".to_owned()));
    let unripe = reward(&node, &best(&node));
    let unripe = refused(&spend(&node, &[unripe], &STRANGER, 9_000));
    assert_eq!(unripe, (-26, "premature-spend-of-coinbase".to_owned()));
    let wasteful = spend(&node, &[coin], &STRANGER, 10 * COIN);
    assert_eq!(send(&wasteful).unwrap_err().code(), Some(-25), "a fee that must be a mistake");
    let tested = node.client.call("testmempoolaccept", ([hexed(&wasteful)],)).unwrap();
    assert_eq!(tested[0]["reject-reason"], "max-fee-exceeded");
    send(&first).unwrap();
    let second = spend(&node, &[coin], &STRANGER, 20_100);
    assert_eq!(refused(&second), (-26, "insufficient fee".to_owned()));
    let tested = node.client.call("testmempoolaccept", ([hexed(&second)],)).unwrap();
    assert_eq!(
        (&tested[0]["allowed"], &tested[0]["reject-reason"]),
        (&json!(false), &json!("insufficient fee"))
    );
    for garbage in ["", "00", "zz"] {
        assert_eq!(code(node.client.call("sendrawtransaction", [garbage])), -22);
    }
}

/// What a batch sends is given to the node together, and answered as if it had come call by call.
#[test]
fn what_a_batch_sends_is_answered_in_order() {
    let (node, coin) = rich();
    let parent = spend(&node, &[coin], &STRANGER, 20_000);
    let rival = spend(&node, &[coin], &STRANGER, 20_100);
    let (first, second) = (hexed(&parent), hexed(&rival));
    let calls = [
        ("sendrawtransaction", json!([first])),
        ("sendrawtransaction", json!(["zz"])),
        ("getmempoolinfo", json!([])),
        ("sendrawtransaction", json!([second])),
        ("sendrawtransaction", json!([first])),
        ("sendrawtransaction", json!([first, "0.10"])),
        ("sendrawtransaction", json!({ "hexstring": first })),
    ];
    let answers = node.client.batch(&calls).unwrap();
    let told: Vec<Result<Value, i32>> = answers
        .into_iter()
        .map(|answer| match answer {
            Ok(raw) => Ok(serde_json::from_str(raw.get()).unwrap()),
            Err(error) => Err(error.code().unwrap()),
        })
        .collect();
    let txid = json!(parent.txid());
    assert_eq!(told[0], Ok(txid.clone()));
    assert_eq!(told[1], Err(-22));
    assert_eq!(
        told[2].as_ref().unwrap()["size"],
        1,
        "what was sent before is there, and nothing that comes after"
    );
    assert_eq!(told[3], Err(-26), "it pays too little to replace the first");
    assert_eq!(told[4..], [Ok(txid.clone()), Ok(txid.clone()), Ok(txid)]);
}

#[test]
fn rpc_09_wrong_parameters_are_named() {
    let node = TestNode::start();
    let call = |method: &str, params: Value| node.client.call(method, params);
    let named = |method: &str, params: Value| code(call(method, params));
    assert_eq!(named("getblockhash", json!([])), -1, "too few: the help");
    assert_eq!(named("getblockhash", json!([1, 2])), -1, "too many");
    assert_eq!(named("getblockhash", json!(["1"])), -3);
    assert_eq!(named("getblockhash", json!([1.5])), -3);
    assert_eq!(named("getblockhash", json!({ "hight": 1 })), -8);
    assert_eq!(named("getblockhash", json!({ "args": [1], "height": 1 })), -8);
    assert_eq!(named("getblock", json!(["abc"])), -8);
    assert_eq!(named("getblock", json!(["z".repeat(64)])), -8);
    assert_eq!(named("getblock", json!(["00".repeat(32)])), -5);
    assert_eq!(named("generatetoaddress", json!([1, "nonsense"])), -5);
    let bitcoin = "bc1p5cyxnuxmeuwuvkwfem96lqzszd02n6xdcjrs20cac6yqjjwudpxqkedrcr";
    assert_eq!(named("generatetoaddress", json!([1, bitcoin])), -5);
    let twice = node.post(r#"{"method":"getblockhash","params":{"height":0,"height":0},"id":1}"#, "").json();
    assert_eq!(twice["error"]["code"], -8);
    let genesis = call("getblockhash", json!({ "args": [0] })).unwrap();
    let mixed = call("getblock", json!({ "args": [genesis], "verbose": false })).unwrap();
    assert!(mixed.is_string(), "verbose is another name of verbosity");
    let help = call("help", json!(["getblockhash"])).unwrap();
    assert!(help.as_str().unwrap().starts_with("getblockhash height"));
    assert!(call("help", json!([])).unwrap().as_str().unwrap().contains("== Blockchain =="));
}

#[test]
fn rpc_10_numbers_and_texts_from_the_edge() {
    let node = TestNode::start();
    for height in ["9223372036854775808", "-9223372036854775809", "1e400", "4294967296", "-1", "1", "1e0"] {
        let body = format!(r#"{{"method":"getblockhash","params":[{height}],"id":1}}"#);
        let answer = node.post(&body, "").json();
        let code = answer["error"]["code"].as_i64().unwrap();
        assert!(code == -8 || code == -3, "{height}: {answer}");
    }
    let odd = "é".repeat(32);
    assert_eq!(code(node.client.call("getblock", [&odd])), -8);
    let answer = node.post(r#"{"method":"uptime","id":"é\u0000\ud800"}"#, "");
    assert!(answer.status == 200 || answer.status == 500, "{answer:?}");
}

/// Every method with everything: an answer or an error that means something, never a panic.
#[test]
fn rpc_09_rpc_10_no_method_is_upset_by_anything() {
    let (node, _) = rich();
    let document = node.client.call("getopenrpcinfo", ()).unwrap();
    let methods = document["methods"].as_array().unwrap();
    assert!(methods.len() > 70, "{}", methods.len());
    let hash = best(&node);
    let values = [
        json!(null),
        json!(true),
        json!(0),
        json!(-1),
        json!(3),
        json!(1e300),
        json!(u64::MAX),
        json!(0.000_000_001),
        json!(""),
        json!("*"),
        json!("é\u{0}"),
        json!(hash),
        json!("ff".repeat(40)),
        json!(address_of(&SECRET)),
        json!([]),
        json!([[[]]]),
        json!({}),
        json!({ "mode": 1 }),
    ];
    for method in methods {
        let name = method["name"].as_str().unwrap();
        // these two do what they are told; waiting for ever is not the subject here
        if name == "stop" || name.starts_with("wait") || name == "getblocktemplate" {
            continue;
        }
        let count = method["params"].as_array().unwrap().len();
        for (place, value) in values.iter().enumerate() {
            for used in 0..=count.min(3) + 1 {
                let mut params = vec![value.clone(); used];
                if let Some(last) = params.last_mut() {
                    *last = values[(place + used) % values.len()].clone();
                }
                if (name == "tine_mine" || name == "generatetoaddress") && params.first() == Some(&json!(3)) {
                    continue;
                }
                if let Err(error) = node.client.call(name, &params) {
                    let code = error.code().unwrap_or_else(|| panic!("{name} {params:?}: {error}"));
                    assert_ne!(code, -32603, "{name} {params:?}: {error}");
                    assert!((-32..0).contains(&code), "{name} {params:?}: {code}");
                }
            }
        }
    }
    assert!(node.client.is_up());
}

#[test]
fn rpc_12_amounts_are_exact_on_the_way_in_and_out() {
    let (node, _) = rich();
    for (text, status) in
        [("0.000000001", -3), ("1e-9", -3), ("-0", -3), ("21000000.00000001", -3), ("\"x\"", -3)]
    {
        let body = format!(r#"{{"method":"sendrawtransaction","params":["00",{text}],"id":1}}"#);
        let answer = node.post(&body, "").json();
        let code = answer["error"]["code"].as_i64().unwrap();
        assert!(code == status || code == -22, "{text}: {answer}");
        let hexed = format!(
            r#"{{"method":"testmempoolaccept","params":[["{}"],{text}],"id":1}}"#,
            hex::encode(block_at(&node, &best(&node)).transactions[0].to_bytes())
        );
        assert_eq!(node.post(&hexed, "").json()["error"]["code"], status, "{text}");
    }
    assert_eq!(node.post(r#"{"method":"uptime","params":[NaN],"id":1}"#, "").json()["error"]["code"], -32700);
    let total: Total = node.client.call_as("gettxoutsetinfo", ()).unwrap();
    assert_eq!(total.total_amount, Coins(Amount(101 * 50 * COIN)));
}

#[derive(serde::Deserialize)]
struct Total {
    total_amount: Coins,
}

#[test]
fn calls_that_run_are_listed() {
    let node = TestNode::start();
    let client = node.client.clone();
    let waiting = std::thread::spawn(move || client.call("waitfornewblock", (1_000,)));
    std::thread::sleep(Duration::from_millis(300));
    let active = node.client.call("getrpcinfo", ()).unwrap()["active_commands"].clone();
    assert_eq!(
        (&active[0]["method"], &active[1]["method"]),
        (&json!("waitfornewblock"), &json!("getrpcinfo"))
    );
    assert!(active[0]["duration"].as_u64().unwrap() >= 200_000, "microseconds: {active}");
    waiting.join().unwrap().unwrap();
    let active = node.client.call("getrpcinfo", ()).unwrap()["active_commands"].clone();
    assert_eq!(active.as_array().unwrap().len(), 1);
}

#[test]
fn small_things() {
    let node = TestNode::start();
    assert!(node.client.call("uptime", ()).unwrap().as_u64().unwrap() < 60);
    let valid = node.client.call("validateaddress", [address_of(&SECRET)]).unwrap();
    assert_eq!((&valid["isvalid"], &valid["address"]), (&json!(true), &json!(address_of(&SECRET))));
    assert_eq!(node.client.call("validateaddress", ["x"]).unwrap()["isvalid"], false);
    let raw = node.client.call_raw("estimatesmartfee", (6,)).unwrap();
    assert_eq!(raw.get(), r#"{"feerate":0.00001000,"blocks":6}"#);
    assert_eq!(code(node.client.call("estimatesmartfee", (0,))), -8);
    assert_eq!(node.client.call("getnetworkhashps", ()).unwrap(), 0.0);
    generate(&node, 20, &SECRET);
    assert!(node.client.call("getnetworkhashps", ()).unwrap().as_f64().unwrap() >= 0.0);
    assert!(node.client.call("getdifficulty", ()).unwrap().as_f64().unwrap() < 1e-9);
    let mined = node.client.call("tine_mine", json!({ "count": 2 })).unwrap();
    assert_eq!(mined["height"], 22);
    assert_eq!(code(node.client.call("tine_mine", (0,))), -8);
    assert_eq!(code(node.client.call("tine_miner", ())), -1, "it has none");
    let info = node.client.call("tine_netinfo", ()).unwrap();
    assert_eq!((&info["name"], &info["height"]), (&json!("test"), &json!(22)));
    assert_eq!(code(node.client.call("getbalance", ())), -18, "it has no wallet");
    let stopping = node.client.call("stop", ()).unwrap();
    assert_eq!(stopping, "tine stopping");
    assert!(*node.context.stop_requested().borrow());
}
