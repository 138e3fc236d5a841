//! Every ready scenario runs, and comes out as it says.

#![allow(missing_docs, reason = "a test's name says what it shows")]
#![allow(clippy::wildcard_enum_match_arm, reason = "a test picks what it looks for")]

use tine_lab::script::gallery::GALLERY;
use tine_lab::script::play::play;
use tine_lab::script::{Script, ScriptError};

#[test]
fn every_ready_scenario_comes_out_as_it_says() {
    assert!(GALLERY.len() >= 15);
    let mut failures = Vec::new();
    for exhibit in GALLERY {
        let script = exhibit.script().unwrap_or_else(|error| panic!("{}: {error}", exhibit.name));
        assert!(script.story.split_whitespace().count() >= 50, "{}: a story is a page", exhibit.name);
        assert!(script.expectations().count() >= 2, "{}", exhibit.name);
        let outcome = play(&script, exhibit.text, None, true, |_| {}).expect("memory never fails");
        for verdict in outcome.expectations.iter().filter(|verdict| !verdict.passed) {
            failures.push(format!("{}: {} but {:?}", exhibit.name, verdict.expected, verdict.measured));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn the_same_seed_writes_the_same_log_and_another_seed_another() {
    let exhibit = GALLERY[0];
    let script = exhibit.script().expect("read by the other test");
    let hash = |seed| play(&script, exhibit.text, Some(seed), true, |_| {}).expect("runs").event_hash;
    assert_eq!(hash(5), hash(5));
    assert_ne!(hash(5), hash(6));
}

#[test]
fn a_scenario_that_says_what_cannot_be_is_refused_with_its_line() {
    let text = |tail: &str| {
        format!("title = 't'\nstory = 's'\n[world]\nnodes = ['alice', 'bob']\nsecs = 60\n{tail}")
    };
    assert!(Script::parse(&text("")).is_ok());
    for (tail, line, word) in [
        ("latency_ms = [9, 1]", 6, "least comes first"),
        ("shares = [1, 2, 3]", 6, "at most one for each node"),
        ("[[step]]\nat = 5", 6, "without anything to do"),
        ("[[step]]\nat = 5\nheal = true\nmining = true", 6, "two things"),
        ("[[step]]\nat = 5\nstop = 'eve'", 6, "no node is called \"eve\"; there are alice, bob"),
        ("[[step]]\nat = -1\nheal = true", 6, "at = -1: 0 to 86400"),
        ("[[step]]\nat = 5\nmine = { node = 'bob', blocks = 0 }", 6, "blocks = 0: 1 to 1000"),
        ("[[step]]\nat = 5\nbyzantine = { node = 'bob', strategy = 'evil' }", 6, "`evil` is no adversary"),
        ("[[expect]]\nwhat = 'height'", 6, "`min`, `max` or both"),
        ("[[expect]]\nwhat = 'confirmations'\npayment = 'tea'\nmin = 1", 6, "no payment is called"),
    ] {
        match Script::parse(&text(tail)) {
            Err(ScriptError::Value { line: at, what }) => {
                assert!(at == line && what.contains(word), "{tail}: line {at}: {what}");
            }
            other => panic!("{tail}: {:?}", other.err()),
        }
    }
    for (tail, word) in
        [("speed = 5", "speed"), ("[[step]]\nat = 5\nboil = true", "boil"), ("secs = 5", "secs")]
    {
        let error = Script::parse(&text(tail)).expect_err("not known").to_string();
        assert!(error.contains(word) && error.contains("line"), "{tail}: {error}");
    }
    assert!(matches!(Script::parse(&" ".repeat(70_000)), Err(ScriptError::TooLong { bytes: 70_000 })));
}

#[test]
fn a_replay_stands_where_the_run_stood() {
    use std::time::Duration;
    use tine_lab::replay::Run;

    let exhibit = tine_lab::script::gallery::Exhibit::named("partition-short").expect("in the gallery");
    let script = exhibit.script().expect("read by the other test");
    let outcome = play(&script, exhibit.text, None, true, |_| {}).expect("runs");
    let text: String = outcome.log.iter().map(tine_node::record::Entry::line).collect();
    let run = Run::parse(&text).expect("a log is read as it is written");
    assert_eq!(run.entries, outcome.log);
    for node in &outcome.nodes {
        let chain = run.chain(&node.name, run.duration()).expect("one of the nodes");
        assert_eq!(Some(chain.tip().hash), node.tip, "{}", node.name);
        assert_eq!(chain.journal().len(), node.reorgs, "{}", node.name);
        let (supply, height) = (chain.coin_set().expect("in memory").total, chain.tip().height);
        assert_eq!(supply.0, u64::from(height) * 50 * tine_chain::amount::COIN);
        let sum: u64 = run.balances(&chain).expect("in memory").iter().map(|(_, sum)| sum.0).sum();
        assert_eq!(sum, supply.0, "every coin is somebody's");
    }
    // in the middle of the split the two sides stand apart
    let split = Duration::from_secs(89);
    let tip = |node: &str| run.chain(node, split).expect("one of the nodes").tip().hash;
    assert_eq!(tip("bob"), tip("dave"));
    assert_ne!(tip("alice"), tip("bob"));
}

#[test]
fn clocks_follow_the_blocks() {
    let exhibit = GALLERY[0];
    let script = exhibit.script().expect("read by the other test");
    let outcome = play(&script, exhibit.text, None, true, |_| {}).expect("runs");
    let mut last = std::collections::BTreeMap::new();
    let mut mined = std::collections::BTreeMap::new();
    for entry in &outcome.log {
        let Some(node) = &entry.node else { continue };
        let own = entry.clock[node];
        assert_eq!(
            own,
            last.insert(node.clone(), own).map_or(1, |before| before + 1),
            "each event counts one"
        );
        match &entry.happening {
            tine_node::record::Happening::Mined { block, .. } => {
                mined.insert(*block, (node.clone(), own, entry.lamport));
            }
            tine_node::record::Happening::Header { block, from: Some(_), .. } => {
                let (miner, count, lamport) = &mined[block];
                assert!(entry.clock[miner] > *count, "who has heard of a block comes after its miner");
                assert!(entry.lamport > *lamport);
            }
            _ => {}
        }
    }
    let shiviz = tine_lab::export::shiviz(&outcome.log);
    assert!(shiviz.starts_with("(?<host>\\S*) (?<clock>{.*})\\n(?<event>.*)\n\nalice {\"alice\":1}\n"));
    // read as ShiViz reads it: a host without spaces, its clock as JSON in which it has counted, then a line of text
    let lines: Vec<&str> = shiviz.lines().skip(2).collect();
    assert!(lines.len() > 100 && lines.len().is_multiple_of(2), "{}", lines.len());
    for pair in lines.chunks(2) {
        let (host, clock) = pair[0].split_once(' ').expect("a host and a clock");
        let clock: std::collections::BTreeMap<String, u64> =
            serde_json::from_str(clock).expect("a clock in JSON");
        assert!(!host.contains(char::is_whitespace) && clock[host] >= 1 && !pair[1].is_empty(), "{pair:?}");
    }
    let csv = tine_lab::export::csv(&outcome.log);
    assert_eq!(csv.lines().count(), outcome.log.len() + 1);
}
