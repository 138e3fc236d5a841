//! A devnet of real nodes on loopback, in a folder of its own.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::process::{Rpc, Tine, free_ports, wait_for};

/// The devnet's nodes and wallets, in order.
pub const NAMES: [&str; 4] = ["alice", "bob", "carol", "dave"];

/// `tine devnet`, running.
#[derive(Debug)]
pub struct Devnet {
    /// The process.
    pub tine: Tine,
    /// Its root directory.
    pub dir: TempDir,
    /// Alice's RPC port; the others' are 10 apart.
    pub base_port: u16,
}

impl Devnet {
    /// Starts four nodes in a fresh folder and waits until all answer.
    #[must_use]
    pub fn start(args: &[&str]) -> Self {
        Self::start_in(tempfile::tempdir().expect("a temporary folder"), args)
    }

    /// Starts four nodes in a folder that an earlier devnet may have left.
    #[must_use]
    pub fn start_in(dir: TempDir, args: &[&str]) -> Self {
        let base_port = free_ports(4, 10);
        let port = base_port.to_string();
        let root = dir.path().to_str().expect("a plain path").to_owned();
        let mut all = vec!["devnet", "--dir", &root, "--base-port", &port];
        all.extend(args);
        let mut devnet = Self { tine: Tine::start(&all, &[]), dir, base_port };
        let _ = devnet.tine.wait_line("next:", Duration::from_secs(30));
        for name in NAMES {
            devnet.rpc(name).wait_ready(Duration::from_secs(20));
        }
        devnet
    }

    /// The folder of a node.
    #[must_use]
    pub fn node_dir(&self, name: &str) -> PathBuf {
        node_dir(self.dir.path(), name)
    }

    /// The RPC of a node.
    ///
    /// # Panics
    /// When no node has that name.
    #[must_use]
    pub fn rpc(&self, name: &str) -> Rpc {
        let place = NAMES.iter().position(|node| *node == name).expect("one of the four");
        Rpc::new(self.base_port + 10 * place as u16, &self.node_dir(name))
    }

    /// Types a command that may fail: its exit code, and what it printed to standard output and error.
    ///
    /// # Panics
    /// When the program can't be started.
    #[must_use]
    pub fn try_type(&self, args: &[&str]) -> (i32, String, String) {
        let root = self.dir.path().to_str().expect("a plain path");
        Tine::run(&[&["--dir", root], args].concat())
    }

    /// Types a command at the shell; it must succeed. What it printed.
    ///
    /// # Panics
    /// When it fails.
    #[must_use]
    pub fn type_in(&self, args: &[&str]) -> String {
        let (code, out, err) = self.try_type(args);
        assert_eq!(code, 0, "tine {}\n{out}\n{err}", args.join(" "));
        out
    }

    /// The same with `--json`, read.
    ///
    /// # Panics
    /// When it fails, or does not print JSON.
    #[must_use]
    pub fn type_in_json(&self, args: &[&str]) -> Value {
        let mut all = args.to_vec();
        all.push("--json");
        let out = self.type_in(&all);
        serde_json::from_str(&out).unwrap_or_else(|error| panic!("tine {}: {error}\n{out}", args.join(" ")))
    }

    /// Waits until the named nodes have the same tip at `height` or above; that tip's height and id.
    pub fn wait_agreed(&self, names: &[&str], height: u64, timeout: Duration) -> (u64, String) {
        wait_for(&format!("{names:?} to agree at height {height} or above"), timeout, || {
            let tips: Vec<_> = names.iter().map(|name| self.rpc(name).tip()).collect();
            (tips.iter().all(|tip| *tip == tips[0]) && tips[0].0 >= height).then(|| tips[0].clone())
        })
    }

    /// How many peers a node is connected to.
    #[must_use]
    pub fn connections(&self, name: &str) -> usize {
        self.rpc(name).call("getpeerinfo", &json!([])).as_array().map_or(0, Vec::len)
    }
}

/// The folder of a devnet node below a root.
#[must_use]
pub fn node_dir(root: &Path, name: &str) -> PathBuf {
    root.join("devnet").join(name)
}
