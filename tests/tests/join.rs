//! A fifth node that comes late: it syncs the chain, and finds the other nodes through the one that it was told of.

use std::time::Duration;

use serde_json::json;
use tine_tests::devnet::{Devnet, NAMES, node_dir};
use tine_tests::process::{Rpc, Tine, free_ports, wait_for};

#[test]
fn a_late_node_syncs_and_finds_the_others_through_one() {
    let devnet = Devnet::start(&["--no-mine"]);
    let _ = devnet.type_in(&["mine", "30", "--on", "alice"]);
    let (height, tip) = devnet.wait_agreed(&NAMES, 30, Duration::from_secs(60));

    let dir = tempfile::tempdir().expect("a temporary folder");
    let port = free_ports(1, 10);
    let (root, rpc_port, listen, connect) = (
        dir.path().to_str().expect("a plain path"),
        port.to_string(),
        format!("127.0.0.1:{}", port + 1),
        format!("127.0.0.1:{}", devnet.base_port + 1),
    );
    let _erin = Tine::start(
        &[
            "node",
            "--name",
            "erin",
            "--dir",
            root,
            "--rpc-port",
            &rpc_port,
            "--listen",
            &listen,
            "--connect",
            &connect,
        ],
        &[],
    );
    let erin = Rpc::new(port, &node_dir(dir.path(), "erin"));
    erin.wait_ready(Duration::from_secs(20));
    wait_for("erin to reach the tip", Duration::from_secs(30), || {
        (erin.tip() == (height, tip.clone())).then_some(())
    });
    wait_for("erin to know all four", Duration::from_secs(40), || {
        let peers = erin.call("getpeerinfo", &json!([]));
        (peers.as_array().map_or(0, Vec::len) >= 4).then_some(())
    });
    let _ = devnet.type_in(&["mine", "1", "--on", "dave"]);
    wait_for("erin to follow", Duration::from_secs(30), || (erin.tip().0 == height + 1).then_some(()));
}
