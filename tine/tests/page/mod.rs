//! The explorer's page over a real socket: its text, its state, its events, its calls, and who may not make them.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::{Value, json};

use super::fork;
use super::support::{Answer, TestNode};

fn open(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("the page listens");
    stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a time-out");
    stream
}

fn ask(address: SocketAddr, method: &str, path: &str, headers: &str, body: &str) -> Answer {
    let host = if headers.contains("Host:") { "" } else { "Host: localhost\r\n" };
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\n{host}{headers}Connection: close\r\nContent-Length: {length}\r\n\r\n{body}"
    );
    let mut stream = open(address);
    stream.write_all(request.as_bytes()).expect("the server reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("the server answers");
    Answer::parse(&answer)
}

fn get(address: SocketAddr, path: &str) -> Answer {
    ask(address, "GET", path, "", "")
}

/// The token that the page's text holds.
fn token(address: SocketAddr) -> String {
    let page = get(address, "/").body;
    let (_, rest) = page.split_once("name=\"tine-token\" content=\"").expect("the page has a token");
    rest.split_once('"').expect("an attribute").0.to_owned()
}

fn call(address: SocketAddr, headers: &str, method: &str, params: Value) -> Answer {
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }).to_string();
    ask(address, "POST", "/api/rpc/test", headers, &body)
}

/// Reads server-sent events until `count` of them carry data; gives their ids and kinds (or names).
fn listen(address: SocketAddr, last: Option<&str>, count: usize) -> Vec<(String, String)> {
    let mut stream = open(address);
    let resume = last.map_or_else(String::new, |last| format!("Last-Event-ID: {last}\r\n"));
    write!(stream, "GET /api/events HTTP/1.1\r\nHost: localhost\r\n{resume}\r\n").expect("the server reads");
    let (mut id, mut name, mut events) = (String::new(), String::new(), Vec::new());
    for line in BufReader::new(stream).lines() {
        let line = line.expect("events come");
        if let Some(text) = line.strip_prefix("id: ") {
            id = text.to_owned();
        } else if let Some(text) = line.strip_prefix("event: ") {
            name = text.to_owned();
        } else if let Some(text) = line.strip_prefix("data: ") {
            let data: Value = serde_json::from_str(text).expect("JSON");
            let kind = data["kind"].as_str().map_or_else(|| std::mem::take(&mut name), str::to_owned);
            events.push((id.clone(), kind));
            if events.len() == count {
                break;
            }
        }
    }
    events
}

#[test]
fn the_page_shows_the_tree_of_a_fork() {
    let node = TestNode::start();
    let (_, old, new) = fork(&node);
    let page = node.page();
    let address = page.address();
    let shown = get(address, "/");
    assert_eq!(shown.status, 200);
    assert!(shown.headers.contains("content-security-policy: default-src 'none'"), "{}", shown.headers);
    for file in [
        "style.css",
        "app.js",
        "dom.js",
        "tree.js",
        "network.js",
        "timeline.js",
        "details.js",
        "bytes.js",
        "reorg.js",
    ] {
        let found = get(address, &format!("/{file}"));
        assert!(found.status == 200 && found.body.len() > 100, "{file}");
        assert!(!found.body.contains("innerHTML"), "{file}: text from elsewhere is never markup");
    }
    let state = get(address, "/api/state").json();
    assert_eq!(state["nodes"][0]["tip"], json!(new[1]));
    assert_eq!((&state["controls"], &state["nodes"][0]["reorgs"]), (&json!(true), &json!(1)));
    let stranger = get(address, "/api/tree?node=zed");
    assert_eq!((stranger.status, stranger.body.contains("\"zed\"")), (404, true), "{}", stranger.body);
    assert_eq!(get(address, "/api/tree?node=test").json()["perspective"], json!("test"));
    let whole = get(address, "/api/tree?runs=true").json();
    assert_eq!(
        (whole["gaps"].as_array().map(Vec::len), whole["blocks"].as_array().map(Vec::len)),
        (Some(0), Some(6))
    );
    let tree = get(address, "/api/tree").json();
    let place = |hash: &Value| {
        let blocks = tree["blocks"].as_array().expect("a list");
        let block = blocks.iter().find(|block| block["hash"] == *hash).expect("every block is drawn");
        (block["lane"].clone(), block["active"].clone())
    };
    assert_eq!(place(&json!(new[1])), (json!(0), json!(true)));
    assert_eq!(place(&json!(old[0])), (json!(1), json!(false)));
    assert_eq!(tree["tips"], json!({ "test": new[1] }));
}

#[test]
fn a_browser_that_was_away_is_told_what_it_missed() {
    let node = TestNode::start();
    let page = node.page();
    let address = page.address();
    let first = listen(address, None, 1);
    assert_eq!(first[0].1, "reset", "it knows nothing yet");
    fork(&node);
    let seen = listen(address, Some(&first[0].0), 6);
    assert!(seen.iter().any(|(_, kind)| kind == "block") && seen.iter().any(|(_, kind)| kind == "tip"));
    // cut off in the middle, it goes on exactly there
    assert_eq!(listen(address, Some(&seen[2].0), 3), seen[3..]);
    assert_eq!(listen(address, Some("another-7"), 1)[0].1, "reset", "of another run nothing is known");
    let history = get(address, "/api/history").json();
    let kinds: Vec<&str> =
        history.as_array().expect("a list").iter().filter_map(|event| event["kind"].as_str()).collect();
    assert!(kinds.contains(&"reorg"), "{kinds:?}");
}

#[test]
fn nobody_but_the_page_itself_drives_a_node() {
    let node = TestNode::start();
    let page = node.page();
    let address = page.address();
    let key = format!("X-Tine-Token: {}\r\n", token(address));
    let mined = call(address, &key, "tine_mine", json!({ "count": 2 }));
    assert_eq!(mined.json()["result"]["height"], 2, "{}", mined.body);

    let refused = |headers: &str, why: &str| {
        let answer = call(address, headers, "tine_mine", json!({ "count": 1 }));
        assert_eq!(answer.status, 403, "{why}: {}", answer.body);
    };
    refused("", "no token");
    refused("X-Tine-Token: 00\r\n", "a wrong token");
    refused(&format!("{key}Origin: http://evil.example\r\n"), "another site");
    refused(&format!("{key}Sec-Fetch-Site: cross-site\r\n"), "another site");
    refused(&format!("{key}Host: evil.example\r\n"), "a rebound name");
    assert_eq!(ask(address, "GET", "/", "Host: evil.example\r\n", "").status, 403);
    // the same holds for stopping a node; one that is alone in its process says so
    let stop = |headers: &str| call(address, headers, "tine_netstop", json!({ "node": "test" }));
    assert_eq!(stop("").status, 403);
    assert_eq!(stop(&format!("{key}Origin: http://evil.example\r\n")).status, 403);
    assert!(stop(&key).body.contains("alone in its process"));
    // what others can do over RPC with the cookie, the page can't
    for method in ["stop", "tine_walletnew", "invalidateblock", "setban", "no-such-method"] {
        let answer = call(address, &key, method, json!([])).json();
        assert_eq!(answer["error"]["code"], -32601, "{method}");
    }
    let long = "x".repeat(100_000);
    assert_eq!(call(address, &key, "getblock", json!([long])).status, 413);
    assert_eq!(ask(address, "POST", "/", &key, "").status, 405);
    assert_eq!(ask(address, "POST", "/api/rpc/nobody", &key, "{}").status, 404);
    assert_eq!(node.client.call("getblockcount", ()).expect("it lives"), 2);
}
