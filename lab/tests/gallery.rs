//! Every ready scenario runs, and comes out as it says.

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
        ("[[step]]\nat = 5", 6, "nothing to do"),
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
