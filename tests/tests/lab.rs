//! The laboratory in processes of its own: what a seed promises holds from one to the next.

use serde_json::Value;
use tine_tests::process::Tine;

fn run(args: &[&str]) -> Value {
    let mut all = vec!["lab", "run", "--json"];
    all.extend(args);
    let (code, out, err) = Tine::run(&all);
    assert_eq!(code, 0, "{out}{err}");
    serde_json::from_str(&out).expect("one JSON document")
}

#[test]
fn two_processes_with_one_seed_have_the_same_events_and_another_seed_has_others() {
    let partition = ["--blocks", "80", "--partition", "20,16,8"];
    let with_seed = |seed| run(&[&partition[..], &["--seed", seed]].concat());
    let (first, again, other) = (with_seed("5"), with_seed("5"), with_seed("6"));
    assert_eq!(first, again);
    assert_ne!(first["event_hash"], other["event_hash"]);
    for outcome in [&first, &other] {
        assert_eq!(outcome["tips"], 1, "honest nodes agree after healing: {outcome}");
    }
}

#[test]
fn the_event_log_hashes_to_the_hash_that_is_printed() {
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    let outcome = run(&["--blocks", "30", "--events", file.path().to_str().expect("a plain path")]);
    let log = std::fs::read(file.path()).expect("written");
    assert_eq!(outcome["event_hash"], hex::encode(tine_chain::hash::sha256(&log)));
    for line in String::from_utf8(log).expect("text").lines() {
        let entry: Value = serde_json::from_str(line).expect("NDJSON");
        assert!(entry["event"].is_string(), "{entry}");
    }
    // it is the log that every other run has: a replay reads it
    let (code, out, err) = Tine::run(&["lab", "replay", file.path().to_str().expect("a plain path")]);
    assert_eq!(code, 0, "{out}{err}");
}

#[test]
fn storms_are_the_same_on_one_thread_and_on_three() {
    let storms = |threads: &str| {
        let (code, out, err) = Tine::run(&["lab", "storm", "--json", "--seeds", "6", "--threads", threads]);
        assert_eq!(code, 0, "{out}{err}");
        serde_json::from_str::<Value>(&out).expect("one JSON document")
    };
    let (one, three) = (storms("1"), storms("3"));
    assert_eq!((one["seeds"].as_u64(), &one["event_hash"]), (Some(6), &three["event_hash"]));
}

#[test]
fn a_world_of_validating_nodes_is_measured() {
    let (code, out, err) = Tine::run(&["lab", "scale", "--json", "--size", "50x20"]);
    assert_eq!(code, 0, "{out}{err}");
    let measured: Value = serde_json::from_str(&out).expect("one JSON document");
    assert_eq!((measured["height"].as_u64(), measured["tips"].as_u64()), (Some(20), Some(1)), "{measured}");
    assert!(measured["adoptions"].as_u64() >= Some(50 * 20), "{measured}");
    assert!(measured["peak_mib"].as_f64() > Some(1.0), "{measured}");
}
