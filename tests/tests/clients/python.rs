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

/// A Python with the package, or why there is none.
fn python() -> Result<PathBuf, String> {
    let venv = Path::new(env!("CARGO_TARGET_TMPDIR")).join("bitcoinrpc-venv");
    let python = venv.join("bin/python");
    let done = |command: &mut Command| match command.output() {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr))),
        Err(error) => Err(format!("{command:?}: {error}")),
    };
    if done(Command::new(&python).args(["-c", "import bitcoinrpc"])).is_err() {
        done(Command::new("python3").args(["-m", "venv"]).arg(&venv))?;
        let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", PACKAGE];
        done(Command::new(&python).args(pip))?;
    }
    Ok(python)
}

#[test]
fn python_bitcoinrpc_works() {
    let python = match python() {
        Ok(python) => python,
        Err(error) => {
            // a bare machine need not have Python, nor reach PyPI; the gate must
            assert!(std::env::var_os("PYTHON_REQUIRED").is_none(), "{error}");
            eprintln!("NOT RUN: no Python with {PACKAGE}: {error}");
            return;
        }
    };
    let node = Regtest::start();
    let login = node.login();
    let (user, password) = login.split_once(':').expect("a cookie");
    let url = format!("http://{user}:{password}@127.0.0.1:{}", node.port);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/python_bitcoinrpc.py");
    let said = must(Command::new(python).arg(script).args([&url, &address([7; 32])]), "the script");
    assert_eq!(said.trim(), "all is well", "{said}");
}
