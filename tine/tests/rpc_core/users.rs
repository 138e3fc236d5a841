//! Users of the configuration: salted hashes, whitelists; and the metrics.

use serde_json::{Value, json};
use tine::rpc::ServerConfig;

use crate::support::chain::generate;
use crate::support::{Answer, SECRET, TestNode, basic, request};

/// The user of Bitcoin Core's own test of rpcauth, and the password.
const SALTED: &str =
    "rt:93648e835a54c573682c2eb19f882535$7681e9c5b74bdd85e78166031d2058e1069b3ed7ed967c93fc63abba06f31144";
const PASSWORD: &str = "rt:cA773lm788buwYe4g4WT+05pKyNruVKjQ25x3n0DQcM=";

fn ask(node: &TestNode, login: &str, body: &str) -> Answer {
    Answer::parse(&node.raw(request(body, &basic(login)).as_bytes()))
}

#[test]
fn a_user_may_call_what_is_on_the_whitelist_and_nothing_else() {
    let node = TestNode::with(|config| ServerConfig {
        users: vec![SALTED.to_owned(), "alice:secret".to_owned()],
        whitelists: vec!["rt:getblockcount,uptime".to_owned()],
        ..config
    });
    let call = |method: &str| json!({ "method": method, "id": 1 }).to_string();
    assert_eq!(ask(&node, PASSWORD, &call("getblockcount")).json()["result"], 0);
    assert_eq!(ask(&node, SALTED, &call("getblockcount")).status, 401, "the hash is not the password");
    let refused = ask(&node, PASSWORD, &call("stop"));
    assert_eq!(refused.status, 403);
    assert!(refused.body.contains("rt not allowed to call method stop"), "{}", refused.body);
    assert_eq!(ask(&node, PASSWORD, &call("nothing")).status, 403, "a method that there is not, too");
    let batch =
        |methods: [&str; 2]| json!(methods.map(|method| json!({ "method": method, "id": 1 }))).to_string();
    assert_eq!(ask(&node, PASSWORD, &batch(["getblockcount", "stop"])).status, 403, "the batch as a whole");
    assert_eq!(ask(&node, PASSWORD, &batch(["getblockcount", "uptime"])).status, 200);
    assert!(!*node.context.stop_requested().borrow());
    assert_eq!(ask(&node, "alice:secret", &call("getblockhash")).status, 500, "who has no list may call all");
    let events =
        format!("GET /events HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{}\r\n", basic(PASSWORD));
    assert_eq!(Answer::parse(&node.raw(events.as_bytes())).status, 403, "as tine_events");
    let nobody = "GET /events HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    assert_eq!(Answer::parse(&node.raw(nobody.as_bytes())).status, 401);
}

#[test]
fn a_server_with_a_broken_login_does_not_start() {
    let node = TestNode::start();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let start = |config| runtime.block_on(tine::rpc::Server::start(config, node.context.clone()));
    let no_name = ServerConfig { users: vec!["secret".to_owned()], ..ServerConfig::new(0) };
    let error = start(no_name).unwrap_err().to_string();
    assert!(!error.contains("secret") && error.contains("user:password"), "{error}");
    let list = ServerConfig { whitelists: vec!["bob".to_owned()], ..ServerConfig::new(0) };
    assert!(start(list).unwrap_err().to_string().contains("user:method"));
}

/// What Prometheus would read: name and labels to value.
fn samples(text: &str) -> Vec<(&str, f64)> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| line.rsplit_once(' ').expect("name and value"))
        .map(|(name, value)| (name, value.parse().unwrap()))
        .collect()
}

#[test]
fn metrics_are_there_when_asked_for_with_help_and_units() {
    assert_eq!(TestNode::start().get("/metrics").status, 404, "off unless asked for");
    let node = TestNode::with(|config| ServerConfig { metrics: true, ..config });
    generate(&node, 3, &SECRET);
    node.client.call("getblockhash", [99]).unwrap_err();
    let answer = node.get("/metrics");
    assert_eq!(answer.status, 200);
    assert!(answer.headers.contains("content-type: application/openmetrics-text; version=1.0.0"));
    let text = dechunked(&answer);
    let value = |name: &str| {
        let found = samples(text.trim()).into_iter().find(|(known, _)| *known == name);
        found.unwrap_or_else(|| panic!("no {name} in\n{text}")).1
    };
    assert_eq!(value("tine_block_height"), 3.0);
    assert_eq!(value("tine_mempool_transactions"), 0.0);
    assert_eq!(value("tine_chain_tips{status=\"active\"}"), 1.0);
    assert_eq!(value("tine_rpc_errors_total{code=\"-8\"}"), 1.0);
    assert_eq!(value("tine_rpc_call_duration_seconds_count{method=\"generatetoaddress\"}"), 1.0);
    assert_eq!(value("tine_reorganisations_total"), 0.0);
    assert!(value("tine_uptime_seconds") > 0.0);
    assert!(text.contains("# UNIT tine_disk_usage_bytes bytes") && text.trim().ends_with("# EOF"));
    // each has a help text and a type
    for (name, _) in samples(text.trim()) {
        let family = name.split('{').next().unwrap();
        let known = |family: &str| {
            text.contains(&format!("# HELP {family} ")) && text.contains(&format!("# TYPE {family} "))
        };
        let stem = ["_total", "_count", "_sum", "_bucket"].iter().find_map(|end| family.strip_suffix(end));
        assert!(known(family) || stem.is_some_and(known), "{name}");
    }
    let foreign = "GET /metrics HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n";
    assert_eq!(Answer::parse(&node.raw(foreign.as_bytes())).status, 403, "the same rule for names");
}

fn dechunked(answer: &Answer) -> String {
    assert!(!answer.headers.contains("transfer-encoding"), "{}", answer.headers);
    answer.body.clone()
}

/// The dashboard asks for nothing that is not there.
#[test]
fn the_dashboard_reads_metrics_that_there_are() {
    let node = TestNode::with(|config| ServerConfig { metrics: true, ..config });
    node.client.call("getblockhash", [99]).unwrap_err();
    let text = node.get("/metrics").body;
    let path =
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/grafana/dashboards/tine.json");
    let dashboard: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let queries = panels.iter().flat_map(|panel| panel["targets"].as_array().cloned().unwrap_or_default());
    let mut asked = 0;
    for query in queries {
        let expression = query["expr"].as_str().unwrap().to_owned();
        let names = expression
            .split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
            .filter(|word| word.starts_with("tine_"));
        for name in names {
            asked += 1;
            // a node without network or miner has not everything
            let elsewhere = ["tine_peers", "tine_network", "tine_gossip", "tine_miner", "tine_connections"];
            let is_there = text.lines().any(|line| line.starts_with(name));
            assert!(
                is_there || elsewhere.iter().any(|start| name.starts_with(start)),
                "{name} in {expression}"
            );
        }
    }
    assert!(asked > 10, "{asked}");
}
