//! The README's main job, as its reader runs it: four nodes that mine, agree, pay, stop, and go on.

use std::time::{Duration, Instant};

use serde_json::json;
use tine_tests::devnet::{Devnet, NAMES};
use tine_tests::naive;
use tine_tests::process::wait_for;

#[test]
fn four_nodes_mine_agree_stop_and_go_on() {
    let started = Instant::now();
    let mut devnet = Devnet::start(&[]);
    for name in NAMES {
        let line = devnet.tine.wait_line(name, Duration::from_secs(10));
        assert!(line.contains("dtine1"), "an address for {name}: {line}");
    }
    assert!(started.elapsed() < Duration::from_secs(20), "who they are is shown at once");

    let rpc = devnet.rpc("alice");
    wait_for("the first block", Duration::from_secs(120), || (rpc.tip().0 >= 1).then_some(()));
    let (height, tip) = devnet.wait_agreed(&NAMES, 4, Duration::from_secs(60));
    assert!(height >= 4);
    assert!(devnet.tine.interrupt(Duration::from_secs(20)).success(), "Ctrl-C ends it cleanly");

    let Devnet { tine, dir, .. } = devnet;
    drop(tine);
    let devnet = Devnet::start_in(dir, &["--no-mine"]);
    let rpc = devnet.rpc("alice");
    assert!(rpc.tip().0 >= height, "starting again continues the same chain");
    assert_eq!(rpc.call("getblockhash", &json!([height])), json!(tip));
}

#[test]
fn a_payment_typed_at_the_shell_is_in_every_mempool_then_in_a_block_and_every_balance_is_right() {
    let devnet = Devnet::start(&["--no-mine"]);
    let _ = devnet.type_in(&["mine", "12", "--on", "alice"]);
    devnet.wait_agreed(&NAMES, 12, Duration::from_secs(30));

    // from the key press: the command's own start and end are in the figure
    let typed = Instant::now();
    let printed = devnet.type_in(&["send", "bob", "5", "--from", "alice", "--explain"]);
    wait_for("the payment in four mempools", Duration::from_secs(10), || {
        NAMES
            .iter()
            .all(|name| {
                devnet
                    .rpc(name)
                    .call("getrawmempool", &json!([]))
                    .as_array()
                    .is_some_and(|ids| ids.len() == 1)
            })
            .then_some(())
    });
    let took = typed.elapsed();
    let counted = printed.lines().find(|line| line.contains("mempools after")).unwrap_or_default();
    println!("in every mempool {took:?} after it was typed; the command itself says: {counted}");
    // a second where nothing else runs, as the figure printed shows; this machine may be busy
    assert!(took < Duration::from_secs(10), "{took:?}: {printed}");
    let txid = devnet.rpc("dave").call("getrawmempool", &json!([]))[0].as_str().expect("an id").to_owned();
    assert!(printed.contains(&txid), "--explain names the transaction {txid}:\n{printed}");
    for word in ["sighash", "signed", "fee", "change"] {
        assert!(printed.to_lowercase().contains(word), "--explain shows the {word}:\n{printed}");
    }

    let _ = devnet.type_in(&["mine", "1", "--on", "carol"]);
    devnet.wait_agreed(&NAMES, 13, Duration::from_secs(30));
    let bob = devnet.type_in_json(&["wallet", "balance", "bob"]);
    assert_eq!(bob["confirmed"], json!("5.00000000"), "{bob}");
    let carol = devnet.type_in_json(&["wallet", "balance", "carol"]);
    let alice = devnet.type_in_json(&["wallet", "balance", "alice"]);
    let total: u64 = [&alice, &bob, &carol]
        .iter()
        .flat_map(|balance| ["confirmed", "pending", "immature"].map(|kind| units(&balance[kind])))
        .sum();
    assert_eq!(total, 13 * 50 * 100_000_000, "nothing was made or lost: {alice} {bob} {carol}");

    // the coins of every node equal a replay from the genesis
    for name in NAMES {
        let rpc = devnet.rpc(name);
        let info = rpc.call("gettxoutsetinfo", &json!([]));
        let coins = naive::replay(&naive::download(&rpc));
        assert_eq!(info["txouts"], json!(coins.len()));
        assert_eq!(info["lthash"], json!(naive::hash(&coins)));
    }
}

/// Base units of an amount that JSON shows as text.
fn units(amount: &serde_json::Value) -> u64 {
    amount.as_str().expect("an amount as text").parse::<tine_chain::amount::Amount>().expect("an amount").0
}
