//! python-bitcoinrpc from PyPI, in a virtual environment below the target folder.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use super::node::{Regtest, address};

/// What is installed, unmodified.
const PACKAGE: &str = "python-bitcoinrpc==1.0";

fn run(command: &mut Command) -> Output {
    command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"))
}

fn must(command: &mut Command, what: &str) -> String {
    let output = run(command);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{what}: {out}{err}");
    out
}

/// A Python with the package; `None` where there is no Python at all.
fn python() -> Option<PathBuf> {
    let found = Command::new("python3").arg("--version").output();
    if !found.is_ok_and(|output| output.status.success()) {
        return None;
    }
    let venv = Path::new(env!("CARGO_TARGET_TMPDIR")).join("bitcoinrpc-venv");
    let python = venv.join("bin/python");
    let has_it = |python: &Path| run(Command::new(python).args(["-c", "import bitcoinrpc"])).status.success();
    if !python.exists() || !has_it(&python) {
        let made =
            Command::new("python3").args(["-m", "venv"]).arg(&venv).output().expect("it ran a moment ago");
        assert!(made.status.success(), "no virtual environment: install Debian's python3-venv: {made:?}");
        let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", PACKAGE];
        must(Command::new(&python).args(pip), "pip install");
    }
    Some(python)
}

#[test]
fn python_bitcoinrpc_works() {
    let Some(python) = python() else {
        eprintln!("\n*** SKIPPED: python_bitcoinrpc_works: there is no python3 on this machine ***\n");
        return;
    };
    let node = Regtest::start();
    let login = node.login();
    let (user, password) = login.split_once(':').expect("a cookie");
    let url = format!("http://{user}:{password}@127.0.0.1:{}", node.port);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/python_bitcoinrpc.py");
    let said = must(Command::new(python).arg(script).args([&url, &address([7; 32])]), "the script");
    assert_eq!(said.trim(), "all is well", "{said}");
}
