//! A node under measurement: this program as a child process, asked over RPC like any other.

use std::io::{BufRead as _, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tine_chain::block::Block;
use tine_chain::codec::Encode as _;
use tine_chain::hash::BlockHash;

use super::caller::Caller;
use crate::cli::BenchRow;
use crate::digits;
use crate::exit::Error;
use crate::rpc::{Login, RpcClient};

/// A peer that is never there: a node that dials only this one meets nobody but whom it is told to.
const NOBODY: &str = "/ip4/127.0.0.1/tcp/9";
/// Longer than anything here takes on a slow machine.
pub(super) const PATIENCE: Duration = Duration::from_secs(900);

/// A running node, killed when dropped.
pub(super) struct Node {
    process: Child,
    /// To ask it.
    pub(super) rpc: RpcClient,
    /// Where it answers JSON-RPC.
    pub(super) rpc_address: SocketAddr,
    /// What its cookie holds.
    pub(super) login: String,
    /// Where peers reach it.
    pub(super) address: String,
}

impl Node {
    /// Starts a regtest node on what `dir` holds, and waits until it answers.
    pub(super) fn start(dir: &Path, coin_cache: Option<u32>) -> Result<Self, Error> {
        let coin_cache = coin_cache.map(|size| ["--cache".to_owned(), size.to_string()]);
        Self::spawn(dir, coin_cache.as_ref().map_or(&[], |option| option))
    }

    /// The same with a page, and where that is.
    pub(super) fn start_with_page(dir: &Path) -> Result<(Self, SocketAddr), Error> {
        let port = free_port().map_err(|error| Error::failed("a node to be measured", error))?;
        let node = Self::spawn(dir, &["--explorer-port".to_owned(), port.to_string()])?;
        Ok((node, SocketAddr::from(([127, 0, 0, 1], port))))
    }

    fn spawn(dir: &Path, options: &[String]) -> Result<Self, Error> {
        let failed = |error: &dyn std::fmt::Display| Error::failed("a node to be measured", error);
        let program = std::env::current_exe().map_err(|error| failed(&error))?;
        let port = free_port().map_err(|error| failed(&error))?;
        let mut command = Command::new(program);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("TINE_") {
                command.env_remove(name);
            }
        }
        command.arg("--dir").arg(dir).args(["--json", "--log", "error", "node", "--network", "regtest"]);
        command.args(["--listen", "/ip4/127.0.0.1/tcp/0", "--connect", NOBODY, "--connect-only"]);
        command.arg("--rpc-port").arg(port.to_string());
        command.args(options);
        let mut process =
            command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().map_err(|error| failed(&error))?;
        let mut line = String::new();
        let stdout = process.stdout.take().expect("piped");
        // it says nothing after this line
        let said = BufReader::new(stdout).read_line(&mut line);
        let started: Value = said
            .ok()
            .and_then(|_| serde_json::from_str(&line).ok())
            .ok_or_else(|| failed(&format!("it did not start: {line}")))?;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let entry = &started["node"];
        let cookie = std::fs::read_to_string(text(&entry["cookie"])).map_err(|error| failed(&error))?;
        let rpc_address = SocketAddr::from(([127, 0, 0, 1], port));
        let (user, password) =
            cookie.trim().split_once(':').ok_or_else(|| failed(&"a cookie of another form"))?;
        let login = Login::Password(user.to_owned(), password.to_owned());
        let rpc = RpcClient::new(text(&entry["rpc"]), login);
        let login = cookie.trim().to_owned();
        Ok(Self { process, rpc, rpc_address, login, address: text(&entry["listen"][0]) })
    }

    /// A connection of its own, for calls that are timed.
    pub(super) fn caller(&self) -> Result<Caller, Error> {
        Caller::connect(self.rpc.url(), &self.login)
    }

    /// Hands over blocks, as a miner would.
    pub(super) fn submit(&self, blocks: &[Arc<Block>]) -> Result<(), Error> {
        let mut caller = self.caller()?;
        blocks.iter().try_for_each(|block| submit_digits(&mut caller, &digits::encode(&block.to_bytes())))
    }

    /// Dials `other`, once.
    pub(super) fn dial(&self, other: &Self) -> Result<(), Error> {
        self.rpc.call("addnode", [other.address.as_str(), "onetry"])?;
        Ok(())
    }

    /// Waits until `hash` is the tip.
    pub(super) fn wait_for(&self, hash: BlockHash) -> Result<(), Error> {
        let patience = PATIENCE.as_millis() as u64;
        let tip = self.rpc.call("waitforblock", json!([hash, patience]))?;
        if tip["hash"] == json!(hash) {
            return Ok(());
        }
        Err(Error::Failed(format!("waited {} s in vain for block {hash}", PATIENCE.as_secs())))
    }

    /// The peak of its memory so far, in MB (VmHWM of `/proc/<pid>/status`).
    pub(super) fn peak_memory_mb(&self) -> Option<f64> {
        self.memory("VmHWM:")
    }

    /// Its memory now, in MB (VmRSS).
    pub(super) fn memory_mb(&self) -> Option<f64> {
        self.memory("VmRSS:")
    }

    fn memory(&self, field: &str) -> Option<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id())).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix(field))?;
        let kib: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
        Some(kib * 1_024.0 / 1e6)
    }

    /// Stops it as an operator would, and waits for its end.
    pub(super) fn stop(mut self) -> Result<(), Error> {
        self.rpc.call("stop", ())?;
        let end = Instant::now() + PATIENCE;
        while Instant::now() < end {
            match self.process.try_wait() {
                Ok(Some(_)) => return Ok(()),
                Ok(None) => std::thread::sleep(Duration::from_millis(5)),
                Err(error) => return Err(Error::failed("a node to be measured", error)),
            }
        }
        Err(Error::Failed("a node did not stop".into()))
    }
}

/// [`Node::submit`] of one block, encoded already: what the caller does to have something to send is not the node's.
pub(super) fn submit_digits(caller: &mut Caller, block: &str) -> Result<(), Error> {
    let answer = caller.call("submitblock", block)?;
    if answer.is_null() {
        return Ok(());
    }
    Err(Error::Failed(format!("a block that was made for the measurement is {answer}")))
}

impl Drop for Node {
    fn drop(&mut self) {
        // it may have ended by itself
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A port that is free now.
fn free_port() -> std::io::Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

/// What one row came to.
#[derive(Debug, Clone)]
pub(super) struct Figure {
    pub(super) row: BenchRow,
    /// One value for each run.
    pub(super) runs: Vec<f64>,
    /// The peak of the measured node's memory, in MB.
    pub(super) peak_memory_mb: Option<f64>,
}

impl Figure {
    /// The median of the runs.
    pub(super) fn median(&self) -> f64 {
        let mut runs = self.runs.clone();
        runs.sort_by(f64::total_cmp);
        runs.get(runs.len() / 2).copied().unwrap_or(f64::NAN)
    }
}
