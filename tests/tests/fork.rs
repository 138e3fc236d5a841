//! A fork, made and explained: the story of `tine net split`, typed at the shell of a running devnet.

use std::time::Duration;

use serde_json::{Value, json};
use tine_tests::devnet::{Devnet, NAMES};
use tine_tests::process::wait_for;

const OTHERS: [&str; 3] = ["bob", "carol", "dave"];

#[test]
fn both_sides_confirm_a_spend_of_the_same_coin_and_most_work_decides() {
    let devnet = Devnet::start(&["--no-mine"]);
    // alice's coin is everybody's history before the split
    let _ = devnet.type_in(&["mine", "12", "--on", "alice"]);
    devnet.wait_agreed(&NAMES, 12, Duration::from_secs(30));
    let coins = devnet.type_in_json(&["wallet", "coins", "alice"]);
    let coin = spendable(&coins);

    // of two nodes that dial each other over TCP and QUIC at once any one connection stays: what QUIC has the kernel does
    // not count
    let by_tcp = peers_by_tcp(&devnet, "alice");
    assert!(devnet.connections("alice") > 0, "there is something to close");
    assert!(connected_sockets(&devnet, "alice") >= by_tcp, "{by_tcp} peers are connected over TCP");
    let _ = devnet.type_in(&["net", "split", "alice | bob,carol,dave"]);
    wait_for("alice to stand alone", Duration::from_secs(5), || {
        (devnet.connections("alice") == 0).then_some(())
    });
    assert_eq!(connected_sockets(&devnet, "alice"), 0, "the split closed the connections themselves");

    // the same coin, twice: to bob on alice's side, to dave on the others'
    let to_bob = send(&devnet, "bob", &coin, "alice");
    let to_dave = send_from_elsewhere(&devnet, "dave", &coin, "bob");
    assert_ne!(to_bob, to_dave);
    let _ = devnet.type_in(&["mine", "1", "--on", "alice"]);
    let _ = devnet.type_in(&["mine", "2", "--on", "bob"]);
    let (height_a, tip_a) = devnet.rpc("alice").tip();
    let (height_b, tip_b) = devnet.wait_agreed(&OTHERS, 14, Duration::from_secs(30));
    assert_eq!((height_a, height_b), (13, 14));
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(devnet.rpc("alice").tip(), (13, tip_a.clone()), "nothing crosses the split");
    let bob = devnet.type_in_json(&["wallet", "history", "bob", "--on", "alice"]);
    assert!(bob.to_string().contains(&to_bob), "bob has been paid on alice's side: {bob}");

    let _ = devnet.type_in(&["net", "heal"]);
    let (_, tip) = devnet.wait_agreed(&NAMES, 14, Duration::from_secs(40));
    assert_eq!(tip, tip_b, "every node ends on the branch with most work");

    let report = devnet.type_in_json(&["explain", "reorg", "last", "--on", "alice"]);
    let text = devnet.type_in(&["explain", "reorg", "last", "--on", "alice"]);
    println!("{text}");
    for (what, word) in [
        ("the old tip", &tip_a[..8]),
        ("the new tip", &tip_b[..8]),
        ("the reversed payment", &to_bob[..8]),
        ("the one that took its coin", &to_dave[..8]),
        ("the fate", "CONFLICTED"),
        ("the reason", "most work"),
    ] {
        assert!(
            report.to_string().contains(word) || text.contains(word),
            "{what}, {word}:\n{text}\n{report}"
        );
        assert!(text.contains(word), "{what} for people:\n{text}");
    }
    assert!(text.contains("fork at 12"), "the fork point:\n{text}");
    assert!(text.contains("1 block reward void"), "one is one:\n{text}");
    // the genesis and 14 blocks against the genesis and 13, of 1,000,000 hashes each
    assert!(text.contains("work 0xe4e1c0 > 0xd59f80"), "the work of both branches:\n{text}");
    assert!(report.to_string().contains(&coin), "the coin that both spent: {report}");

    // wallets show the reversed payment as conflicted, not as money
    for name in ["alice", "bob"] {
        let history = devnet.type_in_json(&["wallet", "history", name, "--on", "alice"]);
        let entry = find(&history, &to_bob).unwrap_or_else(|| panic!("{to_bob} in {name}'s {history}"));
        assert!(entry.to_string().contains("conflicted"), "{entry}");
    }
    let bob = devnet.type_in_json(&["wallet", "balance", "bob", "--on", "alice"]);
    assert_eq!(bob["confirmed"], json!("0.00000000"), "bob's 5 are reversed: {bob}");
    let dave = devnet.type_in_json(&["wallet", "balance", "dave", "--on", "dave"]);
    assert_eq!(dave["confirmed"], json!("5.00000000"), "dave keeps his: {dave}");
}

/// The payee's own node confirms the payment, and gives it up with its branch: what he saw as his is shown as conflicted,
/// and asking nobody in particular finds the reorganisation that did it.
#[test]
fn a_payee_who_saw_his_payment_confirmed_sees_it_conflicted() {
    let devnet = Devnet::start(&["--no-mine"]);
    let _ = devnet.type_in(&["mine", "12", "--on", "alice"]);
    devnet.wait_agreed(&NAMES, 12, Duration::from_secs(30));
    let coin = spendable(&devnet.type_in_json(&["wallet", "coins", "alice"]));

    let _ = devnet.type_in(&["net", "split", "carol | alice,bob,dave"]);
    // a second split while the first holds: it is done when alice and bob stand apart from carol and dave, who have met
    let _ = devnet.type_in(&["net", "split", "alice,bob | carol,dave"]);
    assert_eq!((devnet.connections("carol"), devnet.connections("dave")), (1, 1), "carol is back with dave");
    let to_bob = send(&devnet, "bob", &coin, "alice");
    let _ = devnet.type_in(&["mine", "1", "--on", "alice"]);
    devnet.wait_agreed(&["alice", "bob"], 13, Duration::from_secs(30));
    let seen = devnet.type_in_json(&["wallet", "history", "bob"]);
    assert_eq!(find(&seen, &to_bob).expect("bob's own node shows it")["state"], "confirmed");
    let to_dave = send(&devnet, "dave", &coin, "carol");
    let _ = devnet.type_in(&["mine", "2", "--on", "carol"]);
    devnet.wait_agreed(&["carol", "dave"], 14, Duration::from_secs(30));

    let _ = devnet.type_in(&["net", "heal"]);
    devnet.wait_agreed(&NAMES, 14, Duration::from_secs(40));
    let history = devnet.type_in_json(&["wallet", "history", "bob"]);
    let entry = find(&history, &to_bob).expect("it is not forgotten");
    assert_eq!((&entry["state"], &entry["conflicts_with"]), (&json!("conflicted"), &json!(to_dave)));
    assert_eq!(devnet.type_in_json(&["wallet", "balance", "bob"])["confirmed"], json!("0.00000000"));
    // what a node never saw it can't show: nothing of bob's payment is at carol's
    let history = devnet.type_in_json(&["wallet", "history", "bob", "--on", "carol"]);
    assert_eq!(find(&history, &to_bob), None);

    every_node_is_asked_for_its_reorganisations(&devnet);
}

fn every_node_is_asked_for_its_reorganisations(devnet: &Devnet) {
    let listed = devnet.type_in(&["reorgs", "--json"]);
    let nodes: Vec<String> = listed
        .lines()
        .map(|line| {
            serde_json::from_str::<Value>(line).expect("JSON")["node"].as_str().expect("a node").to_owned()
        })
        .collect();
    assert!(["alice", "bob"].iter().all(|name| nodes.iter().any(|node| node == name)), "{listed}");
    assert!(devnet.type_in(&["reorgs", "--on", "carol"]).contains("no reorganisation"));
    // bob alone goes through another one: it is the last of all, though alice is the first node
    let _ = devnet.type_in(&["net", "split", "bob | alice,carol,dave"]);
    let _ = devnet.type_in(&["mine", "1", "--on", "bob"]);
    let _ = devnet.type_in(&["mine", "2", "--on", "alice"]);
    let _ = devnet.type_in(&["net", "heal"]);
    devnet.wait_agreed(&NAMES, 16, Duration::from_secs(40));
    let last = devnet.type_in_json(&["explain", "reorg", "last"]);
    assert_eq!((&last["node"], &last["fork"]["height"]), (&json!("bob"), &json!(14)));
    assert!(devnet.type_in(&["explain", "reorg"]).starts_with("bob:"));
    let own = devnet.type_in_json(&["explain", "reorg", "last", "--on", "alice"]);
    assert_eq!((&own["node"], &own["fork"]["height"]), (&json!("alice"), &json!(12)));
    // numbers are each node's own
    let (code, _, err) = devnet.try_type(&["explain", "reorg", "0"]);
    assert!(code == 2 && err.contains("alice, bob") && err.contains("--on"), "{code}: {err}");
    assert_eq!(devnet.type_in_json(&["explain", "reorg", "1"])["node"], json!("bob"), "only he has one");
    // blocks off, and none on: there is no line about the latter
    let (_, tip) = devnet.rpc("dave").tip();
    let _ = devnet.type_in(&["rpc", "invalidateblock", &tip, "--on", "dave"]);
    let text = devnet.type_in(&["explain", "reorg", "--on", "dave"]);
    assert!(text.contains("  out ") && !text.contains("  in "), "{text}");
}

/// A coin of 50 that may be spent now.
fn spendable(coins: &Value) -> String {
    let list = coins.as_array().expect("a list of coins");
    let coin = list.iter().find(|coin| coin["confirmations"].as_u64().is_some_and(|depth| depth > 10));
    coin.expect("a mature coin")["coin"].as_str().expect("an outpoint").to_owned()
}

fn send(devnet: &Devnet, to: &str, coin: &str, on: &str) -> String {
    let sent = devnet.type_in_json(&["send", to, "5", "--from", "alice", "--coin", coin, "--on", on]);
    sent["sent"]["txid"].as_str().expect("a txid").to_owned()
}

/// Alice's keys are on bob's node too (they are public): he spends her coin to somebody else.
fn send_from_elsewhere(devnet: &Devnet, to: &str, coin: &str, on: &str) -> String {
    send(devnet, to, coin, on)
}

fn find<'a>(history: &'a Value, txid: &str) -> Option<&'a Value> {
    history.as_array()?.iter().find(|entry| entry["txid"] == json!(txid))
}

/// Peers that a node is connected to over TCP, as it says itself.
fn peers_by_tcp(devnet: &Devnet, name: &str) -> usize {
    let info = devnet.rpc(name).call("tine_netinfo", &json!({}));
    let peers = info["peers"].as_array().expect("a list");
    peers
        .iter()
        .filter(|peer| peer["address"].as_str().is_some_and(|address| address.contains("/tcp/")))
        .count()
}

/// TCP connections, as the kernel counts them, that have the node's P2P port at one end and are established.
fn connected_sockets(devnet: &Devnet, name: &str) -> usize {
    let place = NAMES.iter().position(|node| *node == name).expect("one of the four") as u16;
    let port = format!(":{:04X}", devnet.base_port + 10 * place + 1);
    let table = std::fs::read_to_string("/proc/net/tcp").expect("Linux keeps a table of sockets");
    table
        .lines()
        .filter_map(|line| {
            let mut fields = line.split_whitespace().skip(1);
            Some((fields.next()?, fields.next()?, fields.next()?))
        })
        .filter(|(local, remote, state)| {
            *state == "01" && (local.ends_with(&port) || remote.ends_with(&port))
        })
        .count()
}
