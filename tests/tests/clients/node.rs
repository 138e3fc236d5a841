//! A regtest node to call.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use tine_chain::address::Address;
use tine_chain::params::Network;
use tine_chain::policy::Policy;
use tine_chain::signature::public_key;
use tine_tests::process::{Rpc, Tine, free_ports};

/// `tine node --network regtest`, running.
pub(crate) struct Regtest {
    pub(crate) rpc: Rpc,
    pub(crate) port: u16,
    pub(crate) cookie: PathBuf,
    _tine: Tine,
    _dir: TempDir,
}

impl Regtest {
    pub(crate) fn start() -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let port = free_ports(1, 10);
        let root = dir.path().to_str().expect("a plain path").to_owned();
        let (rpc_port, listen) = (port.to_string(), format!("127.0.0.1:{}", port + 1));
        let mine_to = address([7; 32]);
        let arguments =
            ["node", "--network", "regtest", "--dir", &root, "--rpc-port", &rpc_port, "--listen", &listen];
        let more = ["--mine-to", &mine_to, "--grpc"];
        let tine = Tine::start(&[&arguments[..], &more].concat(), &[]);
        let data = dir.path().join("regtest");
        let rpc = Rpc::new(port, &data);
        rpc.wait_ready(Duration::from_secs(30));
        Self { rpc, port, cookie: data.join(".cookie"), _tine: tine, _dir: dir }
    }

    /// Mines, and gives the ids.
    pub(crate) fn generate(&self, count: u32) -> Vec<String> {
        let mined = self.rpc.call("generatetoaddress", &json!([count, address([7; 32])]));
        mined.as_array().expect("ids").iter().map(text).collect()
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// `user:password`.
    pub(crate) fn login(&self) -> String {
        std::fs::read_to_string(&self.cookie).expect("the node wrote it")
    }
}

/// The regtest address of a secret key.
pub(crate) fn address(secret: [u8; 32]) -> String {
    let lock = Policy::key(public_key(&secret)).lock();
    Address { network: Network::Regtest, lock }.to_string()
}

pub(crate) fn text(value: &Value) -> String {
    value.as_str().expect("text").to_owned()
}
