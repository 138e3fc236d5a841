//! A node that is killed and started again in the same directory.

use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::process::{Rpc, Tine, free_ports};

/// How long a start may take.
const STARTS: Duration = Duration::from_secs(30);

/// The node.
#[derive(Debug)]
pub struct Victim {
    dir: TempDir,
    /// Its RPC port; it listens for peers on the next one.
    pub port: u16,
    /// Its process.
    pub tine: Tine,
    /// Its RPC.
    pub rpc: Rpc,
}

impl Victim {
    /// Starts one on regtest, in a fresh directory, with nobody to talk to.
    ///
    /// # Panics
    /// When it does not start.
    #[must_use]
    pub fn start() -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let port = free_ports(1, 10);
        let tine = Tine::start(&as_strs(&arguments(&dir, port, None)), &[]);
        let rpc = Rpc::new(port, &dir.path().join("regtest"));
        rpc.wait_ready(STARTS);
        Self { dir, port, tine, rpc }
    }

    /// Its data directory.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.dir.path().join("regtest")
    }

    /// What it is started with, and `more`.
    #[must_use]
    pub fn arguments(&self, more: &[&str]) -> Vec<String> {
        let mut arguments = arguments(&self.dir, self.port, None);
        arguments.extend(more.iter().map(|text| (*text).to_owned()));
        arguments
    }

    /// Starts it again, and does not wait. `peer`: the RPC port of the one node that it talks to.
    pub fn launch(&mut self, peer: Option<u16>) {
        self.run(&as_strs(&arguments(&self.dir, self.port, peer)));
    }

    /// Starts it again with these arguments, and does not wait.
    pub fn run(&mut self, arguments: &[&str]) {
        self.forget_cookie();
        self.tine = Tine::start(arguments, &[]);
    }

    /// Starts it again and waits until it answers.
    pub fn restart(&mut self, peer: Option<u16>) {
        self.launch(peer);
        self.wait_ready();
    }

    /// Waits until it answers.
    ///
    /// # Panics
    /// When it does not in time: with what it printed.
    pub fn wait_ready(&mut self) {
        let end = Instant::now() + STARTS;
        while self.rpc.try_call("getblockcount", &json!([])).is_err() {
            let said = || self.tine.lines().join("\n");
            assert!(Instant::now() < end, "it does not answer within {STARTS:?}:\n{}", said());
            let running = self.tine.is_running();
            assert!(running, "it ended:\n{}", self.tine.lines().join("\n"));
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// A cookie of a killed process would be taken for the new one's.
    pub fn forget_cookie(&self) {
        // it is not there after a clean stop
        let _ = std::fs::remove_file(self.data().join(".cookie"));
    }

    /// Submits a block, which must be answered as taken, as known, or as not better than the tip.
    ///
    /// # Panics
    /// When it is not.
    pub fn submit(&self, raw: &str) {
        let answer = self.rpc.call("submitblock", &json!([raw]));
        let taken = [Value::Null, json!("duplicate"), json!("inconclusive")].contains(&answer);
        assert!(taken, "submitblock: {answer}");
    }

    /// The active block at a height, in hexadecimal.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn raw_at(&self, height: u64) -> String {
        let hash = self.rpc.call("getblockhash", &json!([height]));
        self.rpc.call("getblock", &json!([hash, 0])).as_str().expect("hex").to_owned()
    }

    /// The tip, and the hash of all coins.
    #[must_use]
    pub fn state(&self) -> (String, Value) {
        let info = self.rpc.call("gettxoutsetinfo", &json!(["lthash"]));
        (self.rpc.tip().1, info["lthash"].clone())
    }

    /// The store's steps, as its log says.
    #[must_use]
    pub fn stages(&self) -> Vec<String> {
        self.tine.lines().into_iter().filter(|line| line.contains("tine::store")).collect()
    }

    /// Kills it as soon as a new step contains `word`, or when it ends, or after `limit`.
    pub fn kill_at(&mut self, word: &str, limit: Duration) {
        let seen = self.stages().len();
        let end = Instant::now() + limit;
        while Instant::now() < end
            && self.tine.is_running()
            && !self.stages().iter().skip(seen).any(|stage| stage.contains(word))
        {
            thread::sleep(Duration::from_micros(100));
        }
        self.tine.kill();
    }

    /// Leaves its directory on the disk; where it is.
    pub fn keep(&mut self) -> PathBuf {
        self.dir.disable_cleanup(true);
        self.dir.path().to_owned()
    }
}

fn arguments(dir: &TempDir, port: u16, peer: Option<u16>) -> Vec<String> {
    let root = dir.path().to_str().expect("a plain path");
    let mut arguments: Vec<String> =
        ["node", "--network", "regtest", "--name", "victim", "--dir", root].map(str::to_owned).to_vec();
    let listen = format!("127.0.0.1:{}", port + 1);
    arguments.extend(["--rpc-port".to_owned(), port.to_string(), "--listen".to_owned(), listen]);
    arguments.extend(["--log", "error,tine::store=trace"].map(str::to_owned));
    if let Some(port) = peer {
        arguments.extend(["--connect".to_owned(), format!("127.0.0.1:{}", port + 1)]);
        arguments.push("--connect-only".to_owned());
    }
    arguments
}

fn as_strs(texts: &[String]) -> Vec<&str> {
    texts.iter().map(String::as_str).collect()
}
