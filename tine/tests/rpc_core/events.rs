//! What happens, by polling and by listening.

use std::io::{BufRead, BufReader, Write};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::chain::{fork, generate};
use crate::support::{SECRET, TestNode, basic};

/// Asks until the events so far satisfy `enough`.
fn poll(node: &TestNode, enough: impl Fn(&[Value]) -> bool) -> Vec<Value> {
    let (mut seen, mut last) = (Vec::new(), 0);
    let end = Instant::now() + Duration::from_secs(20);
    loop {
        let answer = node.client.call("tine_events", json!({ "after": last, "count": 3 })).unwrap();
        last = answer["last"].as_u64().unwrap();
        seen.extend(answer["events"].as_array().unwrap().iter().cloned());
        if enough(&seen) {
            return seen;
        }
        assert!(Instant::now() < end, "only {seen:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn of_kind<'a>(events: &'a [Value], kind: &str) -> Vec<&'a Value> {
    events.iter().filter(|event| event["kind"] == kind).collect()
}

#[test]
fn whoever_polls_is_told_everything_once_and_in_order() {
    let node = TestNode::start();
    assert_eq!(node.client.call("tine_events", ()).unwrap()["events"], json!([]));
    let (_, old, new) = fork(&node);
    let events = poll(&node, |events| !of_kind(events, "reorg").is_empty());
    let numbers: Vec<u64> = events.iter().map(|event| event["id"].as_u64().unwrap()).collect();
    assert_eq!(numbers, (1..=events.len() as u64).collect::<Vec<_>>());
    let reorg = of_kind(&events, "reorg")[0];
    assert_eq!(reorg["report"]["disconnected"][0]["hash"], json!(old[0]));
    assert_eq!(reorg["report"]["connected"][1]["hash"], json!(new[1]));
    assert_eq!(of_kind(&events, "block").len(), 5);
    assert!(node.client.call("tine_events", json!({ "after": -1 })).is_err());
    assert!(node.client.call("tine_events", json!({ "count": 0 })).is_err());
}

#[test]
fn whoever_listens_hears_it_and_goes_on_where_it_stopped() {
    let node = TestNode::start();
    let listen = |more: &str| {
        let mut stream = node.connect();
        let login = basic("alice:secret");
        let request = format!("GET /events HTTP/1.1\r\nHost: localhost\r\n{login}{more}\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut lines = BufReader::new(stream).lines().map(|line| line.expect("the stream goes on"));
        let status = lines.next().unwrap();
        assert!(status.contains("200"), "{status}");
        let head: Vec<String> = lines.by_ref().take_while(|line| !line.is_empty()).collect();
        assert!(
            head.iter().any(|line| line.eq_ignore_ascii_case("content-type: text/event-stream")),
            "{head:?}"
        );
        lines
    };
    let mut lines = listen("");
    assert!(lines.any(|line| line == "event: reset"), "nothing was known: ask for the state first");
    let hash = generate(&node, 1, &SECRET)[0];
    let wanted = format!("\"hash\":\"{hash}\"");
    let mut id = String::new();
    for line in lines.by_ref() {
        if let Some(found) = line.strip_prefix("id: ") {
            id = found.to_owned();
        }
        if line.starts_with("data: ") && line.contains("\"kind\":\"tip\"") && line.contains(&wanted) {
            break;
        }
    }
    drop(lines);
    let missed = generate(&node, 2, &SECRET);
    let mut again = listen(&format!("Last-Event-ID: {id}\r\n"));
    // two headers; the blocks are connected in one run, which is one change of tip
    let data: Vec<String> = again.by_ref().filter(|line| line.starts_with("data: ")).take(3).collect();
    for hash in missed {
        assert!(data.iter().any(|line| line.contains(&hash.to_string())), "{hash} in {data:?}");
    }
    assert!(!data.iter().any(|line| line.contains(&wanted)), "nothing comes twice");
}
