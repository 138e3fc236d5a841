//! A devnet as a person starts it: a real process, real sockets, the real command line.

use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use serde_json::Value;

/// No step may take longer; the machine may be busy with other tests.
const PATIENCE: Duration = Duration::from_secs(60);

/// A process that does not outlive its test.
struct Process {
    child: Child,
    lines: Receiver<String>,
}

impl Drop for Process {
    fn drop(&mut self) {
        // it may have ended already
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Process {
    fn start(dir: &Path, args: &[&str]) -> Self {
        let mut child = command(dir, args).stdout(Stdio::piped()).spawn().expect("the program runs");
        let out = BufReader::new(child.stdout.take().expect("a pipe"));
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Self { child, lines }
    }

    /// Waits for a line with `wanted` in it; gives all lines up to it.
    fn wait_for(&self, wanted: &str) -> Vec<String> {
        let start = Instant::now();
        let mut seen: Vec<String> = Vec::new();
        while start.elapsed() < PATIENCE {
            if let Ok(line) = self.lines.recv_timeout(Duration::from_millis(100)) {
                seen.push(line);
                if seen.last().is_some_and(|line| line.contains(wanted)) {
                    return seen;
                }
            }
        }
        panic!("no line with {wanted:?} came; there were {seen:#?}");
    }

    /// Sends SIGINT, as Ctrl-C does, and gives the exit code.
    fn interrupt(mut self) -> Option<i32> {
        let killed = Command::new("kill").args(["-INT", &self.child.id().to_string()]).status();
        assert!(killed.expect("`kill` runs").success());
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            if let Some(status) = self.child.try_wait().expect("a child") {
                return status.code();
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("it does not stop");
    }
}

fn command(dir: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tine"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("TINE_") {
            command.env_remove(name);
        }
    }
    command.arg("--dir").arg(dir).args(args).stdin(Stdio::null());
    command
}

fn tine(dir: &Path, args: &[&str]) -> Output {
    command(dir, args).output().expect("the program runs")
}

/// Runs a command that must succeed, and reads the JSON that it prints.
fn json(dir: &Path, args: &[&str]) -> Value {
    let output = tine(dir, &[&["--json"], args].concat());
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

/// A port such that it, and those that a devnet of `nodes` takes from it, are free now. Tests of this file run at the
/// same time: each has a `slot` of its own. The range is below the one from which the system gives ports out.
fn base_port(slot: u16, nodes: u16) -> u16 {
    let is_free = |port: u16| TcpListener::bind(("127.0.0.1", port)).is_ok();
    let start = 20_000 + 2_000 * slot + 100 * u16::try_from(std::process::id() % 10).expect("below 10");
    (start..start + 1_000)
        .step_by(100)
        .find(|base| {
            (0..nodes).all(|k| (0..3).all(|use_of| is_free(base + 10 * k + use_of))) && is_free(base - 1)
        })
        .expect("there are free ports")
}

fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    while start.elapsed() < PATIENCE {
        if let Some(found) = look() {
            return found;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    panic!("{what}: not within {PATIENCE:?}");
}

/// The tip that all nodes have, if they agree.
fn agreed(dir: &Path) -> Option<(String, u64)> {
    let nodes = json(dir, &["net", "show"]);
    let nodes = nodes.as_array().expect("a list");
    let tip = |node: &Value| {
        (node["tip"].as_str().expect("a tip").to_owned(), node["height"].as_u64().expect("a height"))
    };
    let first = tip(&nodes[0]);
    nodes.iter().all(|node| tip(node) == first).then_some(first)
}

struct Devnet {
    dir: tempfile::TempDir,
    port: u16,
}

impl Devnet {
    fn start(&self) -> Process {
        self.start_with(&[])
    }

    fn start_with(&self, more: &[&str]) -> Process {
        let port = self.port.to_string();
        // mining on demand only: what happens is what the test does
        let args = ["devnet", "--nodes", "3", "--base-port", &port, "--no-mine"];
        Process::start(self.dir.path(), &[&args[..], more].concat())
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }
}

#[test]
fn a_devnet_starts_agrees_forks_heals_stops_and_goes_on() {
    let devnet = Devnet { dir: tempfile::tempdir().expect("a temporary directory"), port: base_port(0, 4) };
    let dir = devnet.path();
    let process = devnet.start();
    let greeting = process.wait_for("next:").join("\n");
    for wanted in [
        "alice",
        "bob",
        "carol",
        "dtine1",
        "TEST KEYS, PUBLIC",
        "explorer http://127.0.0.1:",
        "tine net split",
    ] {
        assert!(greeting.contains(wanted), "no {wanted:?} in {greeting}");
    }
    let url = format!("http://127.0.0.1:{}/", devnet.port + 10);
    assert!(greeting.contains(&url), "bob's URL, ready to be copied: {greeting}");
    cookies_are_private(dir);
    taken_ports_are_named(&devnet);
    one_node_of_a_process_is_not_stopped_alone(dir);

    json(dir, &["mine", "1", "--on", "bob"]);
    let line = process.wait_for("#1 ").pop().expect("a line");
    assert!(line.contains("bob") && line.contains("1 tx"), "{line}");
    json(dir, &["mine", "12", "--on", "alice"]);
    until("agreement", || agreed(dir).filter(|(_, height)| *height >= 13));

    refusals_have_their_exit_code(dir);
    pay_and_fork(dir);
    process.wait_for("REORG alice");
    late_node_finds_everybody(&devnet);

    let (tip, height) = until("agreement", || agreed(dir));
    assert_eq!(process.interrupt(), Some(0), "Ctrl-C is a clean stop");
    assert_eq!(tine(dir, &["net", "show"]).status.code(), Some(3), "nobody is listed any more");
    let process = devnet.start_with(&["--json"]);
    let started: Value =
        serde_json::from_str(&process.wait_for("started").pop().expect("a line")).expect("JSON");
    assert_eq!((&started["height"], &started["tip"]), (&Value::from(height), &Value::from(tip.as_str())));
    let same = json(dir, &["rpc", "getbestblockhash", "--on", "carol"]);
    assert_eq!(same.as_str(), Some(tip.as_str()), "the same chain");
    assert_eq!(json(dir, &["wallet", "history", "bob", "--on", "alice"])[0]["state"], "confirmed");
    keystores_are_opened_by_their_passphrase_only(dir);
    until("agreement", || agreed(dir).filter(|(_, reached)| *reached == height + 1));
    json(dir, &["mine", "1", "--on", "carol"]);
    let line = process.wait_for("\"miner\":\"carol\"").pop().expect("a line");
    let block: Value = serde_json::from_str(&line).expect("JSON");
    assert_eq!((&block["event"], &block["height"]), (&"block".into(), &Value::from(height + 2)));
    assert_eq!(process.interrupt(), Some(0));
}

/// Runs a command with `input` typed at it.
fn typed(dir: &Path, input: &str, args: &[&str]) -> Output {
    use std::io::Write as _;
    let mut child = command(dir, args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program runs");
    child.stdin.take().expect("a pipe").write_all(input.as_bytes()).expect("typed");
    child.wait_with_output().expect("the program ends")
}

fn keystores_are_opened_by_their_passphrase_only(dir: &Path) {
    let made = typed(dir, "correct horse\n", &["--json", "wallet", "new", "savings"]);
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let made: Value = serde_json::from_slice(&made.stdout).expect("JSON");
    let phrase = made["phrase"].as_str().expect("it is shown, once").to_owned();
    let keystore = dir.join("devnet/alice/wallets/savings/keystore.json");
    let text = std::fs::read_to_string(&keystore).expect("readable");
    assert!(phrase.split(' ').count() == 24 && !phrase.split(' ').all(|word| text.contains(word)));
    assert_eq!(typed(dir, "x\n", &["wallet", "new", "savings"]).status.code(), Some(1), "never overwritten");
    let taken = tine(dir, &["wallet", "new", "savings"]);
    let said = String::from_utf8_lossy(&taken.stderr).into_owned();
    assert!(said.contains("savings") && !said.contains("passphrase"), "before anybody is asked: {said}");
    let whose = String::from_utf8(tine(dir, &["wallet", "balance"]).stdout).expect("Unicode");
    assert!(whose.contains("alice"), "whose it is: {whose}");

    json(dir, &["send", "savings", "7", "--from", "alice", "--on", "alice"]);
    json(dir, &["mine", "1", "--on", "alice"]);
    assert_eq!(json(dir, &["wallet", "balance", "savings"])["confirmed"], "7.00000000");
    assert!(tine(dir, &["wallet", "lock", "savings"]).status.success());
    let pay = ["send", "bob", "1", "--from", "savings"];
    assert_eq!(tine(dir, &pay).status.code(), Some(1), "locked, and nobody types");
    assert_eq!(typed(dir, "wrong horse\n", &pay).status.code(), Some(1));
    assert!(typed(dir, "correct horse\n", &pay).status.success());
    assert_eq!(tine(dir, &pay).status.code(), Some(1), "locked again");

    let copy = typed(
        dir,
        &format!("{phrase}\nother words\n"),
        &["--json", "wallet", "restore", "copy", "--on", "bob"],
    );
    assert!(copy.status.success(), "{}", String::from_utf8_lossy(&copy.stderr));
    let backup = dir.join("savings.json");
    let path = backup.to_str().expect("a path in Unicode");
    assert!(tine(dir, &["wallet", "backup", path, "savings"]).status.success());
    assert_eq!(tine(dir, &["wallet", "backup", path, "savings"]).status.code(), Some(1), "never overwritten");
    assert_eq!(std::fs::read_to_string(&backup).expect("there"), text);

    let again = ["wallet", "restore", "again", "--file", path, "--on", "carol"];
    assert_eq!(typed(dir, "wrong horse\n", &again).status.code(), Some(1));
    let made = typed(dir, "correct horse\n", &again);
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let address =
        |node: &str, wallet: &str| json(dir, &["wallet", "address", wallet, "--on", node])["address"].clone();
    assert_eq!(address("carol", "again"), address("alice", "savings"));
}

/// Exit code 4 whatever way a node has of saying that it refuses.
fn refusals_have_their_exit_code(dir: &Path) {
    let tip = json(dir, &["rpc", "getbestblockhash"]);
    let mut block = json(dir, &["rpc", "getblock", tip.as_str().expect("an id"), "0"])
        .as_str()
        .expect("hexadecimal digits")
        .to_owned();
    // the nonce: a proof of work that is none, but once in a million
    let nonce = if &block[152..160] == "00000000" { "00000001" } else { "00000000" };
    block.replace_range(152..160, nonce);
    let refused = |args: &[&str], reason: &str| {
        let output = tine(dir, args);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(4), "{args:?}: {said}");
        assert!(said.contains(reason), "{args:?}: {said}");
        String::from_utf8(output.stdout).expect("Unicode")
    };
    assert_eq!(refused(&["rpc", "submitblock", &block], "high-hash").trim(), "high-hash", "the result, too");
    let known = json(dir, &["rpc", "getblock", tip.as_str().expect("an id"), "2"]);
    let coinbase = known["tx"][0]["hex"].as_str().expect("hexadecimal digits");
    assert!(
        refused(&["rpc", "testmempoolaccept", &format!("[\"{coinbase}\"]")], "coinbase").contains("false")
    );
    refused(&["rpc", "sendrawtransaction", coinbase], "");
    // what is no refusal of a rule stays 1
    assert_eq!(tine(dir, &["rpc", "submitblock", "00"]).status.code(), Some(1));
    assert_eq!(tine(dir, &["rpc", "getblockhash", "9999"]).status.code(), Some(1));
    assert_eq!(tine(dir, &["rpc", "submitblock", "--named", "hexdata=00"]).status.code(), Some(1));
}

fn one_node_of_a_process_is_not_stopped_alone(dir: &Path) {
    let output = tine(dir, &["rpc", "stop", "--on", "bob"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("alice, carol") && said.contains("Ctrl-C"), "{said}");
    assert!(tine(dir, &["rpc", "uptime", "--on", "bob"]).status.success(), "it runs on");
}

fn cookies_are_private(dir: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    for name in ["alice", "bob", "carol"] {
        for file in [".cookie", "identity.key", "wallets/alice/keystore.json"] {
            let path: PathBuf = dir.join("devnet").join(name).join(file);
            let mode = std::fs::metadata(&path).expect("there").permissions().mode() & 0o777;
            assert_eq!(mode, 0o600, "{}", path.display());
        }
    }
}

fn taken_ports_are_named(devnet: &Devnet) {
    let port = devnet.port.to_string();
    let other = tempfile::tempdir().expect("a temporary directory");
    let output = tine(other.path(), &["devnet", "--base-port", &port]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains(&port) && said.contains("--base-port"), "{said}");
    assert!(!other.path().join("devnet").exists(), "nothing was begun");
}

/// The same coin is paid to bob on one side of a cut and to carol on the other; the side with more blocks wins.
fn pay_and_fork(dir: &Path) {
    let coins = json(dir, &["wallet", "coins", "alice"]);
    let ripe =
        coins.as_array().expect("a list").iter().find(|coin| coin["immature"] == false).expect("a ripe coin");
    let coin = ripe["coin"].as_str().expect("an outpoint");
    let split = json(dir, &["net", "split", "alice | bob,carol"]);
    assert!(split[0]["peers"].as_array().expect("a list").is_empty(), "alice is alone: {split}");
    assert_eq!(split[0]["blocked"].as_array().expect("a list").len(), 2);

    let lost = json(dir, &["send", "bob", "5", "--coin", coin, "--on", "alice"]);
    let won = json(dir, &["send", "carol", "5", "--coin", coin, "--on", "bob"]);
    assert_eq!((&lost["mempools"], &won["mempools"]), (&Value::from(1), &Value::from(2)));
    let (lost, won) = (&lost["sent"]["txid"], &won["sent"]["txid"]);
    json(dir, &["mine", "1", "--on", "alice"]);
    json(dir, &["mine", "2", "--on", "bob"]);
    assert_eq!(agreed(dir), None, "two chains");
    json(dir, &["net", "heal"]);
    until("agreement after healing", || agreed(dir).filter(|(_, height)| *height == 15));

    let report = json(dir, &["explain", "reorg", "last", "--on", "alice"]);
    assert_eq!(
        (&report["depth"], &report["fork"]["height"], &report["reason"]),
        (&1.into(), &13.into(), &"most-work".into())
    );
    let transactions = report["transactions"].as_array().expect("a list");
    let fate = transactions.iter().find(|tx| tx["txid"] == *lost).expect("the payment that lost");
    assert_eq!((&fate["fate"], &fate["coin"], &fate["by"]), (&"conflicted".into(), &coin.into(), won));
    let people =
        String::from_utf8(tine(dir, &["explain", "reorg", "--on", "alice"]).stdout).expect("Unicode");
    assert!(people.contains("bob's 5.00000000 reversed") && !people.contains("alice's"), "{people}");

    let history = json(dir, &["wallet", "history", "bob", "--on", "alice"]);
    let entry =
        history.as_array().expect("a list").iter().find(|entry| entry["txid"] == *lost).expect("it is shown");
    assert_eq!((&entry["state"], &entry["conflicts_with"]), (&"conflicted".into(), won));
    assert_eq!(json(dir, &["wallet", "balance", "carol", "--on", "alice"])["confirmed"], "5.00000000");
    let forks = json(dir, &["forks", "--on", "alice"]);
    assert_eq!(forks.as_array().expect("a list").len(), 2);
}

/// A node that is told of one peer finds the others, and the chain.
fn late_node_finds_everybody(devnet: &Devnet) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (rpc, listen) = ((devnet.port + 30).to_string(), format!("127.0.0.1:{}", devnet.port + 31));
    let connect = format!("127.0.0.1:{}", devnet.port + 1);
    let late = Process::start(
        dir.path(),
        &[
            "node",
            "--name",
            "late",
            "--rpc-port",
            &rpc,
            "--listen",
            &listen,
            "--connect",
            &connect,
            "--log",
            "warn",
        ],
    );
    late.wait_for("rpc ");
    let (tip, _) = agreed(devnet.path()).expect("the others agree");
    until("the late node's sync", || {
        (json(dir.path(), &["rpc", "getbestblockhash"]) == tip.as_str()).then_some(())
    });
    until("the late node's peers", || {
        (json(dir.path(), &["net", "show"])[0]["peers"].as_array()?.len() >= 3).then_some(())
    });
    assert_eq!(late.interrupt(), Some(0));
}

/// When each of two nodes first saw the tip, in milliseconds since 1970.
fn seen(dir: &Path, node: &str) -> u64 {
    let arrivals = json(dir, &["rpc", "tine_blockarrivals", "1", "--on", node]);
    arrivals[0]["seen"].as_u64().expect("a time")
}

/// Lines are made slow and lossy between real sockets, and good again; a faucet pays whoever asks.
#[test]
fn messages_come_late_or_not_at_all_until_the_net_is_healed() {
    let devnet = Devnet { dir: tempfile::tempdir().expect("a temporary directory"), port: base_port(4, 3) };
    let dir = devnet.path();
    let process = devnet.start();
    process.wait_for("next:");
    let height = |node: &str| json(dir, &["rpc", "getblockcount", "--on", node]).as_u64().expect("a number");

    let shown = json(dir, &["net", "delay", "bob", "700"]);
    assert_eq!((&shown[1]["delay_ms"], &shown[0]["delay_ms"]), (&700.into(), &0.into()));
    json(dir, &["mine", "1", "--on", "alice"]);
    until("bob to see it", || (height("bob") == 1).then_some(()));
    let late = seen(dir, "bob") - seen(dir, "alice");
    assert!(late >= 700, "{late} ms");

    json(dir, &["net", "delay", "bob", "0"]);
    let shown = json(dir, &["net", "drop", "bob", "100"]);
    assert_eq!(shown[1]["drop_percent"], 100);
    json(dir, &["mine", "11", "--on", "alice"]);
    until("carol to see them", || (height("carol") == 12).then_some(()));
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(height("bob"), 1, "nothing gets through, though he is connected");
    let people = String::from_utf8(tine(dir, &["net", "show"]).stdout).expect("Unicode");
    assert!(people.contains("100 % lost"), "{people}");
    assert_eq!(tine(dir, &["net", "drop", "zed", "5"]).status.code(), Some(2));
    let healed = json(dir, &["net", "heal"]);
    assert_eq!((&healed[1]["drop_percent"], &healed[1]["delay_ms"]), (&0.into(), &0.into()));
    json(dir, &["mine", "1", "--on", "alice"]);
    until("bob to catch up", || (height("bob") == 13).then_some(()));

    let paid = json(dir, &["faucet", "bob", "7"]);
    assert_eq!((&paid["sent"]["wallet"], &paid["sent"]["amount"]), (&"alice".into(), &"7.00000000".into()));
    json(dir, &["mine", "1", "--on", "carol"]);
    until("bob's coins", || {
        (json(dir, &["wallet", "balance", "bob"])["confirmed"] == "7.00000000").then_some(())
    });
    assert_eq!(tine(dir, &["faucet", "bob", "20000000"]).status.code(), Some(1));
    assert_eq!(process.interrupt(), Some(0));
}

/// One node ends and comes back while the others go on: by the command line, and by the page's own calls.
#[test]
fn a_node_is_stopped_and_started_while_the_others_go_on() {
    let devnet = Devnet { dir: tempfile::tempdir().expect("a temporary directory"), port: base_port(5, 3) };
    let dir = devnet.path();
    let process = devnet.start();
    process.wait_for("next:");
    json(dir, &["mine", "12", "--on", "bob"]);
    until("agreement", || agreed(dir).filter(|(_, height)| *height == 12));

    let left = json(dir, &["net", "stop", "bob"]);
    assert_eq!(left.as_array().map(Vec::len), Some(2), "{left}");
    assert_eq!(left[0]["stopped"], serde_json::json!(["bob"]));
    process.wait_for("bob is stopped");
    let people = String::from_utf8(tine(dir, &["net", "show"]).stdout).expect("Unicode");
    assert!(people.contains("tine net start bob"), "{people}");
    assert_eq!(tine(dir, &["rpc", "uptime", "--on", "bob"]).status.code(), Some(3), "he is gone");
    let state = |page: &str| {
        let agent: ureq::Agent = ureq::Agent::config_builder().proxy(None).build().into();
        let url = format!("http://127.0.0.1:{}{page}", devnet.port - 1);
        let text = agent.get(&url).call().and_then(|mut answer| answer.body_mut().read_to_string());
        serde_json::from_str::<Value>(&text.expect("the page answers")).expect("JSON")
    };
    let bob = &state("/api/state")["nodes"][1];
    assert_eq!((&bob["running"], &bob["height"]), (&false.into(), &12.into()));
    assert!(state("/api/tree")["tips"]["bob"].is_string(), "his last tip is still shown");

    for (args, code, named) in [
        (["net", "stop", "bob"], 1, "net start bob"),
        (["net", "start", "carol"], 1, "carol runs already"),
        (["net", "stop", "zed"], 2, "alice, bob, carol"),
    ] {
        let output = tine(dir, &args);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{args:?}: {said}");
        assert!(said.contains(named), "{args:?}: {said}");
    }
    let itself = tine(dir, &["rpc", "tine_netstop", "alice", "--on", "alice"]);
    assert!(String::from_utf8_lossy(&itself.stderr).contains("can't stop itself"));
    json(dir, &["net", "stop", "carol"]);
    let last = tine(dir, &["net", "stop", "alice"]);
    assert!(String::from_utf8_lossy(&last.stderr).contains("last node"), "somebody must be left to ask");
    json(dir, &["mine", "3", "--on", "alice"]);

    json(dir, &["net", "start", "bob"]);
    json(dir, &["net", "start", "carol"]);
    process.wait_for("carol is started");
    until("both to catch up", || agreed(dir).filter(|(_, height)| *height == 15));
    let history = state("/api/history");
    let events: Vec<&Value> =
        history.as_array().expect("a list").iter().filter(|event| event["node"] == "bob").collect();
    let kinds: Vec<&str> = events.iter().filter_map(|event| event["kind"].as_str()).collect();
    let stopped = kinds.iter().position(|kind| *kind == "stopped").expect("told");
    let started = kinds.iter().position(|kind| *kind == "started").expect("told");
    assert!(stopped < started, "{kinds:?}");
    until("the blocks that he missed, on his lane", || {
        let history = state("/api/history");
        let seen =
            history.as_array()?.iter().filter(|event| event["node"] == "bob" && event["kind"] == "block");
        let heights: std::collections::BTreeSet<u64> =
            seen.filter_map(|event| event["height"].as_u64()).collect();
        (heights == (1..=15).collect()).then_some(())
    });
    // his wallet and his miner came back with him
    json(dir, &["send", "carol", "5", "--from", "bob", "--on", "bob"]);
    json(dir, &["mine", "1", "--on", "bob"]);
    until("agreement", || agreed(dir).filter(|(_, height)| *height == 16));
    assert_eq!(process.interrupt(), Some(0));
}

/// Nodes that stood apart when they were stopped meet when they are started: what that does to the chain is shown as well.
#[test]
fn a_reorganisation_during_the_start_is_printed() {
    let devnet = Devnet { dir: tempfile::tempdir().expect("a temporary directory"), port: base_port(3, 3) };
    let dir = devnet.path();
    let process = devnet.start();
    process.wait_for("next:");
    json(dir, &["net", "split", "alice | bob,carol"]);
    json(dir, &["mine", "1", "--on", "alice"]);
    json(dir, &["mine", "2", "--on", "bob"]);
    assert_eq!(process.interrupt(), Some(0));
    let process = devnet.start();
    process.wait_for("REORG alice");
    assert_eq!(process.interrupt(), Some(0));
    // the one before is over, and is not told again
    let process = devnet.start();
    process.wait_for("going on at block 2");
    json(dir, &["mine", "1", "--on", "bob"]);
    assert!(!process.wait_for("#3 ").iter().any(|line| line.contains("REORG")));
    assert_eq!(process.interrupt(), Some(0));
}

/// Two processes that know each other only by address; the cut goes through JSON-RPC with a password, as it would from
/// outside of containers.
#[test]
fn a_cut_works_across_processes() {
    let dirs = [(); 2].map(|()| tempfile::tempdir().expect("a temporary directory"));
    let port = base_port(1, 2);
    let node = |place: u16, name: &str, more: &[&str]| {
        let (rpc, listen) = ((port + 10 * place).to_string(), format!("127.0.0.1:{}", port + 10 * place + 1));
        let args = [
            "node",
            "--name",
            name,
            "--rpc-port",
            &rpc,
            "--listen",
            &listen,
            "--rpc-auth",
            "me:tine-test-password",
        ];
        Process::start(dirs[usize::from(place)].path(), &[&args[..], more].concat())
    };
    let first = node(0, "alice", &[]);
    let greeting = first.wait_for("rpc ").join("\n");
    let second = node(1, "bob", &["--connect", &format!("127.0.0.1:{}", port + 1)]);
    let greeting = greeting + &second.wait_for("miner ").join("\n");
    assert!(!greeting.contains("tine-test-password"), "a password was printed: {greeting}");

    let anywhere = tempfile::tempdir().expect("a temporary directory");
    let url = |place: u16| format!("http://me:tine-test-password@127.0.0.1:{}", port + 10 * place);
    let net = |args: &[&str]| {
        let urls = format!("{},{}", url(0), url(1));
        json(anywhere.path(), &[&["net", "--rpc", &urls], args].concat())
    };
    let linked = |nodes: &Value| {
        nodes
            .as_array()
            .expect("a list")
            .iter()
            .all(|node| !node["peers"].as_array().expect("a list").is_empty())
    };
    until("the link", || linked(&net(&["show"])).then_some(()));
    net(&["split", "alice | bob"]);
    for place in 0..2 {
        json(anywhere.path(), &["mine", &(place + 1).to_string(), "--rpc", &url(place)]);
    }
    let apart = net(&["show"]);
    assert_ne!(apart[0]["tip"], apart[1]["tip"]);
    assert_eq!((&apart[0]["height"], &apart[1]["height"]), (&Value::from(1), &Value::from(2)));
    net(&["heal"]);
    until("agreement", || {
        let nodes = net(&["show"]);
        (nodes[0]["tip"] == nodes[1]["tip"] && nodes[0]["height"] == 2).then_some(())
    });
    let wrong = tine(anywhere.path(), &["forks", "--rpc", &url(0).replace("tine-test-password", "guess")]);
    assert_eq!(wrong.status.code(), Some(1));
    assert_eq!((first.interrupt(), second.interrupt()), (Some(0), Some(0)));
}

/// More nodes than people, mining by themselves within their budget: within a minute of the first block all agree.
#[test]
fn six_nodes_mine_and_agree() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let port = base_port(2, 6).to_string();
    let args = ["devnet", "--nodes", "6", "--seed", "7", "--base-port", &port, "--hashrate", "600kH/s"];
    let process = Process::start(dir.path(), &args);
    let greeting = process.wait_for("next:").join("\n");
    assert!(greeting.contains("node5") && greeting.contains("node6"), "{greeting}");
    process.wait_for("#1 ");
    until("four blocks and one tip", || agreed(dir.path()).filter(|(_, height)| *height >= 4));
    assert_eq!(process.interrupt(), Some(0));
}
