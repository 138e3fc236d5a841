//! Adversaries of the laboratory on a live devnet: real sockets, and a liar among honest nodes.

use std::time::Duration;

use serde_json::json;
use tine_tests::devnet::{Devnet, NAMES};
use tine_tests::process::{Tine, wait_for};

const HONEST: [&str; 3] = ["alice", "bob", "carol"];

#[test]
fn honest_nodes_refuse_what_a_liar_mines_and_go_on_together() {
    let mut devnet = Devnet::start(&["--no-mine", "--byzantine", "dave=invalid-flood"]);
    let greeting = devnet.tine.wait_line("dtine1qtruc04m5", Duration::from_secs(5));
    assert!(greeting.contains("BYZANTINE: invalid-flood"), "{greeting}");
    let _ = devnet.type_in(&["mine", "3", "--on", "alice"]);
    devnet.wait_agreed(&NAMES, 3, Duration::from_secs(30));

    let lie = devnet.type_in_json(&["mine", "1", "--on", "dave"])["blocks"][0].clone();
    for name in HONEST {
        wait_for(&format!("{name}'s verdict"), Duration::from_secs(30), || {
            let tips = devnet.rpc(name).call("getchaintips", &json!([]));
            let seen = tips.as_array()?.iter().find(|tip| tip["hash"] == lie)?.clone();
            (seen["status"] == "invalid").then_some(())
        });
    }
    let _ = devnet.tine.wait_line("bad-cb-amount", Duration::from_secs(5));
    let _ = devnet.type_in(&["mine", "1", "--on", "bob"]);
    devnet.wait_agreed(&HONEST, 4, Duration::from_secs(30));
}

#[test]
fn a_selfish_miner_shows_its_branch_when_it_wins_by_it() {
    let devnet = Devnet::start(&["--no-mine", "--byzantine", "dave=selfish"]);
    let _ = devnet.type_in(&["mine", "1", "--on", "alice"]);
    devnet.wait_agreed(&NAMES, 1, Duration::from_secs(30));
    let hidden = devnet.type_in_json(&["mine", "2", "--on", "dave"])["blocks"].clone();
    std::thread::sleep(Duration::from_secs(2));
    for name in HONEST {
        assert_eq!(devnet.rpc(name).tip().0, 1, "{name} knows nothing of a lead of two");
    }
    // an honest block brings the lead down to one: the pool shows both of its own, and the honest block is stale
    let honest = devnet.type_in_json(&["mine", "1", "--on", "bob"])["blocks"][0].clone();
    let (height, tip) = devnet.wait_agreed(&NAMES, 3, Duration::from_secs(30));
    assert_eq!((height, json!(tip)), (3, hidden[1].clone()));
    let stale = devnet.rpc("alice").call("getblockheader", &json!([honest]));
    assert_eq!(stale["confirmations"], -1, "the honest block lost: {stale}");
}

#[test]
fn an_adversary_that_does_not_exist_is_named_with_those_that_do() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let dir = folder.path().to_str().expect("a plain path");
    let (code, _, err) = Tine::run(&["devnet", "--dir", dir, "--byzantine", "dave=nice"]);
    assert_eq!(code, 2, "{err}");
    assert!(err.contains("nice") && err.contains("equal-fork-stubborn"), "{err}");
    let (code, _, err) = Tine::run(&["devnet", "--dir", dir, "--byzantine", "zed=selfish"]);
    assert_eq!(code, 2, "{err}");
    assert!(err.contains("zed") && err.contains("dave"), "{err}");
}
