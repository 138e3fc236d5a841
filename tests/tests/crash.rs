//! `kill -9` of the real program, fifty times and more: inside reorganisations, inside flushes, while it mines and while
//! it syncs. It comes back on a chain that it had, has every block that it acknowledged, and its coins equal a replay
//! from the genesis.
//!
//! Three nodes on regtest: the sources A and B, not connected, mine rival branches; the victim V is given both.

use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;
use tine_tests::naive;
use tine_tests::process::{Rpc, Tine, free_ports, wait_for};

/// Blocks of the branch that loses, in each reorganisation.
const DEPTH: u32 = 8;
/// Kills that the test is about, at least.
const KILLS: usize = 50;
/// Of these, at least so many inside a reorganisation, and so many inside a flush.
const INSIDE: usize = 10;
/// Kills after which the test gives up on reaching [`INSIDE`].
const MOST_KILLS: usize = 160;

/// A node of the test.
struct Node {
    name: &'static str,
    dir: TempDir,
    port: u16,
    tine: Tine,
    rpc: Rpc,
    /// Of its own wallet.
    address: String,
}

impl Node {
    fn start(name: &'static str) -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let port = free_ports(1, 10);
        let tine = spawn(name, &dir, port, None);
        let rpc = Rpc::new(port, &dir.path().join("regtest"));
        rpc.wait_ready(Duration::from_secs(20));
        let made = rpc.call("tine_walletnew", &json!({ "name": "w", "passphrase": "crash" }));
        let address = made["address"].as_str().expect("an address").to_owned();
        Self { name, dir, port, tine, rpc, address }
    }

    /// Starts it again after a kill.
    fn restart(&mut self, connect: Option<u16>) {
        // a cookie of the killed process would be taken for the new one's
        let _ = std::fs::remove_file(self.cookie());
        self.tine = spawn(self.name, &self.dir, self.port, connect);
        self.rpc.wait_ready(Duration::from_secs(30));
    }

    fn cookie(&self) -> PathBuf {
        self.dir.path().join("regtest/.cookie")
    }

    /// Mines at once, with a few payments so that coins are spent too; the new blocks, raw.
    fn mine(&self, count: u32) -> Vec<String> {
        let before = self.rpc.tip().0;
        for place in 0..count {
            if place % 2 == 0 {
                // refused while nothing is mature: then the block is empty
                let _ = self.rpc.try_call(
                    "tine_send",
                    &json!({ "wallet": "w", "to": self.address, "amount": "1.5", "passphrase": "crash" }),
                );
            }
            let _ = self.rpc.call("generatetoaddress", &json!([1, self.address]));
        }
        self.raw_blocks(before + 1)
    }

    /// The active chain from a height on, raw.
    fn raw_blocks(&self, from: u64) -> Vec<String> {
        let raw = |height| {
            let hash = self.rpc.call("getblockhash", &json!([height]));
            self.rpc.call("getblock", &json!([hash, 0])).as_str().expect("hex").to_owned()
        };
        (from..=self.rpc.tip().0).map(raw).collect()
    }

    /// The id of the active block so many below the tip.
    fn hash_below_tip(&self, back: u64) -> String {
        let hash = self.rpc.call("getblockhash", &json!([self.rpc.tip().0 - back]));
        hash.as_str().expect("hex").to_owned()
    }

    /// Submits blocks; each must be answered as taken, as known, or as not better than the tip.
    fn submit(&self, blocks: &[String]) {
        for block in blocks {
            let answer = self.rpc.call("submitblock", &json!([block]));
            let taken = [Value::Null, json!("duplicate"), json!("inconclusive")].contains(&answer);
            assert!(taken, "{}: submitblock: {answer}", self.name);
        }
    }

    /// The store's steps, as its log says.
    fn stages(&self) -> Vec<String> {
        self.tine.lines().into_iter().filter(|line| line.contains("tine::store")).collect()
    }

    /// Kills it as soon as a new step contains `word`, or after `limit`.
    fn kill_at(&mut self, word: &str, limit: Duration) {
        let seen = self.stages().len();
        let end = Instant::now() + limit;
        while Instant::now() < end && !self.stages().iter().skip(seen).any(|stage| stage.contains(word)) {
            thread::sleep(Duration::from_micros(100));
        }
        self.tine.kill();
    }
}

fn spawn(name: &str, dir: &TempDir, port: u16, connect: Option<u16>) -> Tine {
    let (rpc_port, listen) = (port.to_string(), format!("127.0.0.1:{}", port + 1));
    let peer = connect.map(|port| format!("127.0.0.1:{}", port + 1));
    let root = dir.path().to_str().expect("a plain path");
    let mut args = vec![
        "node",
        "--network",
        "regtest",
        "--name",
        name,
        "--dir",
        root,
        "--rpc-port",
        &rpc_port,
        "--listen",
        &listen,
        "--log",
        "error,tine::store=trace",
    ];
    if let Some(peer) = &peer {
        args.extend(["--connect", peer, "--connect-only"]);
    }
    Tine::start(&args, &[])
}

/// Where the last kill hit, by the last step that the store told.
#[derive(Debug, Default)]
struct Tally {
    kills: usize,
    in_reorganisation: usize,
    in_flush: usize,
}

impl Tally {
    fn count(&mut self, stages: &[String]) {
        self.kills += 1;
        let since = |word: &str| stages.iter().rposition(|stage| stage.contains(word));
        let open = |begin: Option<usize>, end: &str| begin.is_some() && begin > since(end);
        let switch =
            stages.iter().rposition(|stage| stage.contains("Append {") && !stage.contains("disconnected: 0"));
        // an Append that is not the last one has been committed
        let last_append = since("Append {");
        if switch == last_append && open(switch, "Committed") {
            self.in_reorganisation += 1;
        }
        if open(since("FlushBegin"), "FlushEnd") {
            self.in_flush += 1;
        }
    }

    fn is_enough(&self) -> bool {
        self.kills >= KILLS && self.in_reorganisation >= INSIDE && self.in_flush >= INSIDE
    }
}

#[test]
fn kill_9_loses_no_acknowledged_block_and_no_coin() {
    let (a, b) = (Node::start("a"), Node::start("b"));
    let mut victim = Node::start("victim");
    b.submit(&a.mine(101));
    a.submit(&b.mine(101));
    victim.submit(&a.raw_blocks(1));

    let mut tally = Tally::default();
    let mut acknowledged = active(&victim, 60);
    while !tally.is_enough() && tally.kills < MOST_KILLS {
        match tally.kills % 4 {
            0 | 1 => kill_in_reorganisation(&a, &b, &mut victim, &mut acknowledged, &mut tally),
            2 => kill_in_flush(&mut victim, &mut tally),
            _ if tally.kills % 8 == 3 => kill_while_mining(&a, &b, &mut victim, &mut tally),
            _ => kill_while_syncing(&a, &b, &mut victim, &mut tally),
        }
        check(&victim, &acknowledged);
        acknowledged.extend(active(&victim, 60));
    }
    println!("{tally:?}");
    assert!(tally.is_enough(), "{tally:?}");
}

/// B's branch is one block longer than A's; the victim dies while it changes over.
fn kill_in_reorganisation(
    a: &Node,
    b: &Node,
    victim: &mut Node,
    acknowledged: &mut Vec<String>,
    tally: &mut Tally,
) {
    let (loser, winner) = (a.mine(DEPTH), b.mine(DEPTH + 1));
    victim.submit(&loser);
    let old = victim.rpc.tip().1;
    let (last, side) = winner.split_last().expect("not empty");
    victim.submit(side);
    assert_eq!(victim.rpc.tip().1, old, "a branch of equal work does not win");
    // answered, on the active chain and beside it
    acknowledged.extend(active(victim, DEPTH.into()));
    let side_hashes = (1..=DEPTH).map(|back| b.hash_below_tip(back.into()));
    acknowledged.extend(side_hashes);

    let (rpc, block) = (victim.rpc.clone(), last.clone());
    let submission = thread::spawn(move || rpc.try_call("submitblock", &json!([block])).is_ok());
    let limit = if tally.kills % 8 == 1 { Duration::from_millis(3) } else { Duration::from_millis(500) };
    victim.kill_at(&format!("disconnected: {DEPTH}"), limit);
    let answered = submission.join().expect("a call does not panic");
    tally.count(&victim.stages());
    victim.restart(None);
    let new = b.rpc.tip().1;
    let tip = victim.rpc.tip().1;
    assert!(tip == new || (tip == old && !answered), "the old tip, or the new one: {tip}");
    // before anything is submitted again
    check(victim, acknowledged);
    victim.submit(&winner);
    assert_eq!(victim.rpc.tip().1, new, "it goes on to the better branch");
    a.submit(&winner);
}

/// Ctrl-C makes it flush; the victim dies in the middle of that.
fn kill_in_flush(victim: &mut Node, tally: &mut Tally) {
    let before = victim.rpc.tip();
    victim.tine.signal_interrupt();
    let word = if tally.kills % 8 == 2 { "FlushBegin" } else { "FlushMark" };
    victim.kill_at(word, Duration::from_secs(10));
    tally.count(&victim.stages());
    victim.restart(None);
    assert_eq!(victim.rpc.tip(), before);
}

/// The victim dies while it mines; what it had answered for is there.
fn kill_while_mining(a: &Node, b: &Node, victim: &mut Node, tally: &mut Tally) {
    let before = victim.rpc.tip();
    let (rpc, address) = (victim.rpc.clone(), victim.address.clone());
    let mining = thread::spawn(move || {
        let mut last = None;
        while let Ok(mined) = rpc.try_call("generatetoaddress", &json!([1, address])) {
            last = mined[0].as_str().map(str::to_owned);
        }
        last
    });
    thread::sleep(Duration::from_millis(20 + 13 * (tally.kills as u64 % 17)));
    victim.tine.kill();
    tally.count(&victim.stages());
    let last = mining.join().expect("a call does not panic");
    victim.restart(None);
    assert!(victim.rpc.tip().0 >= before.0);
    if let Some(hash) = last {
        let header = victim.rpc.call("getblockheader", &json!([hash]));
        assert!(header["confirmations"].as_i64() >= Some(1), "an answered block is on the chain: {header}");
    }
    let blocks = victim.raw_blocks(before.0 + 1);
    a.submit(&blocks);
    b.submit(&blocks);
}

/// The victim dies while it downloads A's blocks; with A there it reaches A's tip all the same.
fn kill_while_syncing(a: &Node, b: &Node, victim: &mut Node, tally: &mut Tally) {
    let before = victim.rpc.tip();
    let blocks = a.mine(40);
    victim.tine.kill();
    victim.restart(Some(a.port));
    thread::sleep(Duration::from_millis(7 * (tally.kills as u64 % 31)));
    victim.tine.kill();
    tally.count(&victim.stages());
    victim.restart(Some(a.port));
    assert!(victim.rpc.tip().0 >= before.0);
    wait_for("the victim to rejoin", Duration::from_secs(30), || {
        (victim.rpc.tip() == a.rpc.tip()).then_some(())
    });
    b.submit(&blocks);
}

/// Ids of the last blocks of the active chain, the newest last.
fn active(node: &Node, count: u64) -> Vec<String> {
    (0..count.min(node.rpc.tip().0)).rev().map(|back| node.hash_below_tip(back)).collect()
}

/// Nothing acknowledged is lost, and the coins equal a replay. Asks for the newest 100: what is older was asked for
/// after earlier kills.
fn check(victim: &Node, acknowledged: &[String]) {
    for hash in acknowledged.iter().rev().take(100) {
        let block = victim.rpc.try_call("getblock", &json!([hash, 0]));
        assert!(block.is_ok(), "block {hash} was acknowledged: {block:?}");
    }
    let info = victim.rpc.call("gettxoutsetinfo", &json!([]));
    let coins = naive::replay(&naive::download(&victim.rpc));
    assert_eq!(info["txouts"], json!(coins.len()));
    assert_eq!(
        info["hash_serialized_3"],
        json!(naive::hash(&coins)),
        "the coins equal a replay from the genesis"
    );
}
