//! A client in Python that grpcio-tools makes of the published files.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::json;

use super::node::{Regtest, address, text};
use super::venv;

/// What is installed, unmodified.
const PACKAGES: [&str; 2] = ["grpcio==1.85.1", "grpcio-tools==1.85.1"];

#[test]
fn a_client_made_from_the_published_files_reads_pays_and_follows() {
    let Some(python) = venv::python("grpc-venv", "grpc_tools", &PACKAGES) else { return };
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let proto = root.parent().expect("tests/ lies in the repository").join("tine/proto");
    let made = tempfile::tempdir().expect("a temporary folder");
    let mut compile = Command::new(&python);
    compile.args(["-m", "grpc_tools.protoc", "-I"]).arg(&proto);
    compile.arg("--python_out").arg(made.path()).arg("--grpc_python_out").arg(made.path());
    for file in ["chain", "events", "wallet"] {
        compile.arg(proto.join(format!("tine/v1/{file}.proto")));
    }
    let compiled = compile.output().expect("it starts");
    assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));

    let node = Regtest::start();
    let wallet = json!({ "name": "payer", "passphrase": "of a test" });
    let own = text(&node.rpc.call("tine_walletnew", &wallet)["address"]);
    let _ = node.rpc.call("generatetoaddress", &json!([101, own]));
    let where_ = format!("127.0.0.1:{}", node.port + 2);
    let mut child = Command::new(&python)
        .arg(root.join("data/python_grpc.py"))
        .args([&where_, &node.login(), "payer", &address([9; 32])])
        .env("PYTHONPATH", made.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut says =
        BufReader::new(child.stdout.take().expect("piped")).lines().map(|line| line.expect("text"));
    assert_eq!(says.next().as_deref(), Some("mine"));
    node.generate(1);
    writeln!(child.stdin.take().expect("piped"), "mined").expect("it reads");
    assert_eq!(says.next().as_deref(), Some("all is well"));
    assert!(child.wait().expect("it ends").success());
}
