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
}
