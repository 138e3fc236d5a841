//! python-bitcoinrpc from PyPI.

use std::path::Path;
use std::process::Command;

use super::node::{Regtest, address};
use super::venv;

/// What is installed, unmodified.
const PACKAGE: &str = "python-bitcoinrpc==1.0";

#[test]
fn python_bitcoinrpc_works() {
    let Some(python) = venv::python("bitcoinrpc-venv", "bitcoinrpc", &[PACKAGE]) else { return };
    let node = Regtest::start();
    let login = node.login();
    let (user, password) = login.split_once(':').expect("a cookie");
    let url = format!("http://{user}:{password}@127.0.0.1:{}", node.port);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/python_bitcoinrpc.py");
    let output =
        Command::new(python).arg(script).args([&url, &address([7; 32])]).output().expect("it starts");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success() && out.trim() == "all is well", "{out}{err}");
}
