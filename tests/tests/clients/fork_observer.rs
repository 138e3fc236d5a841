//! The calls of fork-observer's Bitcoin Core backend (`src/backend/bitcoin_core.rs`), in their order, and what it makes
//! of the answers. It hides a node for 40 seconds whose `getnetworkinfo` it can't read, and reads 2,000 headers at a time.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use base64::Engine;
use serde_json::{Value, json};
use tine_chain::block::{Block, Header};
use tine_chain::codec::Decode;

use super::node::{Regtest, text};

/// Requests as fork-observer (through corepc-client and minreq) sends them, written after its source; `$…` is filled in by what was
/// answered before.
const RECORDED: &str = include_str!("../../data/fork_observer.json");

/// Sends a request over a connection of its own, as it does. Status and body.
fn send(node: &Regtest, head: &str, body: &str) -> (u16, Vec<u8>) {
    let mut stream = TcpStream::connect(("127.0.0.1", node.port)).expect("it listens");
    stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a time-out");
    write!(stream, "{head}Content-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len())
        .expect("it reads");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("it answers");
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").expect("headers end");
    let status = String::from_utf8_lossy(&answer[9..12]).parse().expect("a status");
    (status, answer.split_off(end + 4))
}

struct Replay<'a> {
    node: &'a Regtest,
    fixtures: Value,
}

impl Replay<'_> {
    /// Sends the request called `name`; its result.
    fn call(&self, name: &str, words: &[(&str, Value)]) -> Value {
        let mut body = self.fixtures["rpc"][name].to_string();
        assert_ne!(body, "null", "there is a request {name}");
        for (word, value) in words {
            body = body.replace(&format!("\"{word}\""), &value.to_string());
        }
        let login = base64::engine::general_purpose::STANDARD.encode(self.node.login());
        let head = format!(
            "POST / HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nAuthorization: Basic {login}\r\nContent-Type: application/json\r\n",
            self.node.port
        );
        let (status, answer) = send(self.node, &head, &body);
        assert_eq!(status, 200, "{name}");
        let answer: Value = serde_json::from_slice(&answer).expect("JSON");
        let asked: Value = serde_json::from_str(&body).expect("JSON");
        // the jsonrpc crate refuses an answer with another id or version
        assert_eq!((&answer["id"], &answer["jsonrpc"]), (&asked["id"], &json!("2.0")), "{name}");
        assert!(answer.get("error").is_none(), "{name}: {answer}");
        answer["result"].clone()
    }

    fn rest(&self, name: &str, hash: &str) -> Vec<u8> {
        let path = text(&self.fixtures["rest"][name]).replace("$HASH", hash);
        let head = format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\n", self.node.port);
        let (status, body) = send(self.node, &head, "");
        assert_eq!(status, 200, "{path}, without a password");
        body
    }
}

fn header(hex_text: &Value) -> Header {
    Header::from_bytes(&hex::decode(text(hex_text)).expect("hexadecimal")).expect("80 bytes")
}

#[test]
fn its_calls_are_answered_as_it_wants_them() {
    let node = Regtest::start();
    node.generate(20);
    let stale = node.generate(2);
    let _ = node.rpc.call("invalidateblock", &json!([stale[0]]));
    let active = node.rpc.call("generatetoaddress", &json!([3, super::node::address([9; 32])]));
    let _ = node.rpc.call("reconsiderblock", &json!([stale[0]]));
    let replay = Replay { node: &node, fixtures: serde_json::from_str(RECORDED).expect("JSON") };

    let info = replay.call("getnetworkinfo", &[]);
    assert!(text(&info["subversion"]).starts_with("/tine:"));
    let tips = replay.call("getchaintips", &[]);
    let tips = tips.as_array().expect("a list");
    let of_status = |status: &str| tips.iter().filter(|tip| tip["status"] == status).collect::<Vec<_>>();
    let (best, forks) = (of_status("active"), of_status("valid-fork"));
    assert_eq!((best.len(), forks.len(), tips.len()), (1, 1, 2), "{tips:?}");
    assert_eq!((&best[0]["branchlen"], &best[0]["hash"]), (&json!(0), &active[2]));
    assert_eq!((&forks[0]["branchlen"], &forks[0]["hash"]), (&json!(2), &json!(stale[1])));

    // the active chain, 2,000 at a time, from the lowest height it cares for
    let first = replay.call("getblockhash", &[("$HEIGHT", json!(0))]);
    let bytes = replay.rest("headers", &text(&first));
    let headers: Vec<Header> =
        bytes.chunks(80).map(|raw| Header::from_bytes(raw).expect("80 bytes")).collect();
    assert_eq!(headers.len(), 24);
    assert!(headers.is_sorted_by(|parent, child| parent.hash() == child.prev_block));
    assert_eq!(json!(headers[23].hash()), active[2]);

    // the stale branch, header by header down to the active chain
    let mut hash = json!(stale[1]);
    for _ in 0..2 {
        let found = header(&replay.call("getblockheader", &[("$HASH", hash.clone())]));
        assert_eq!(json!(found.hash()), hash, "it hashes the 80 bytes itself");
        hash = json!(found.prev_block);
    }
    assert!(headers.iter().any(|header| json!(header.hash()) == hash), "the fork point");

    let raw =
        hex::decode(text(&replay.call("getblock", &[("$HASH", json!(stale[1]))]))).expect("hexadecimal");
    let block = Block::from_bytes(&raw).expect("a block");
    assert_eq!(block.hash().to_string(), stale[1]);
    assert_eq!(replay.rest("block", &stale[1]), raw);
}

#[test]
fn it_is_woken_by_a_block_and_answered_when_time_is_out() {
    let node = Regtest::start();
    node.generate(1);
    let fixtures: Value = serde_json::from_str(RECORDED).expect("JSON");
    let replay = Replay { node: &node, fixtures };
    let start = Instant::now();
    let tip = replay.call("waitfornewblock", &[("$MILLISECONDS", json!(700))]);
    assert!(start.elapsed() >= Duration::from_millis(700));
    assert_eq!((&tip["height"], tip["hash"].is_string()), (&json!(1), true), "the tip, not an error");
    let start = Instant::now();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(Duration::from_millis(400));
            node.generate(1);
        });
        let tip = replay.call("waitfornewblock", &[("$MILLISECONDS", json!(50_000))]);
        assert_eq!(tip["height"], 2);
    });
    assert!(start.elapsed() < Duration::from_secs(30), "{:?}", start.elapsed());
}
