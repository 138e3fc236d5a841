//! The RPC server's transport on a real socket: catalogue rows RPC-01 to RPC-08 and RPC-14.

mod support;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use support::{Answer, TestNode, basic, request};
use tine::rpc::transport::Limits;
use tine::rpc::{ClientError, Cookie, Login, RpcClient, ServerConfig};

const UPTIME: &str = r#"{"method":"uptime","id":1}"#;

#[test]
fn rpc_01_without_the_right_password_nobody_is_let_in() {
    let node = TestNode::start();
    let ask = |headers: &str| Answer::parse(&node.raw(request(UPTIME, headers).as_bytes()));
    let none = ask("");
    assert_eq!(none.status, 401);
    assert!(none.headers.contains("www-authenticate: basic realm=\"jsonrpc\""), "{}", none.headers);
    for wrong in ["alice:wrong", "alice:", "alice:secretx", "mallory:secret", "", ":", "__cookie__:0"] {
        let start = Instant::now();
        assert_eq!(ask(&basic(wrong)).status, 401, "{wrong}");
        assert!(start.elapsed() >= Duration::from_millis(250), "guessing is slow");
    }
    for broken in ["Authorization: Basic ???\r\n", "Authorization: Bearer x\r\n", "Authorization: \r\n"] {
        assert_eq!(ask(broken).status, 401, "{broken}");
    }
    assert_eq!(ask(&basic("alice:secret")).status, 200);
    let cookie = std::fs::read_to_string(node.dir.path().join(".cookie")).unwrap();
    assert_eq!(ask(&basic(&cookie)).status, 200);
}

#[test]
fn rpc_02_the_cookie_goes_with_the_server_and_a_link_stops_the_start() {
    let mut node = TestNode::start();
    let path = node.dir.path().join(".cookie");
    assert!(path.exists());
    node.stop();
    assert!(!path.exists());
    assert!(matches!(node.client.call("uptime", ()), Err(ClientError::Unreachable(_))));
    std::os::unix::fs::symlink(node.dir.path().join("elsewhere"), &path).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let config = ServerConfig { cookie: Some(path), ..ServerConfig::new(0) };
    let started = runtime.block_on(tine::rpc::Server::start(config, node.context.clone()));
    assert!(started.is_err());
    assert!(Cookie::create(&node.dir.path().join("no/such/directory")).is_err());
}

#[test]
fn rpc_03_a_web_page_on_a_rebound_name_is_refused() {
    let node = TestNode::with(|config| ServerConfig { allow_hosts: vec!["alice".to_owned()], ..config });
    let ask = |host: &str, more: &str, path: &str| {
        let login = basic("alice:secret");
        let length = UPTIME.len();
        Answer::parse(&node.raw(
            format!(
                "POST {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Length: {length}\r\n\
                 {login}{more}\r\n{UPTIME}"
            )
            .as_bytes(),
        ))
        .status
    };
    for host in ["localhost", "localhost:18443", "127.0.0.1:1", "[::1]:18443", "alice:18443"] {
        assert_eq!(ask(host, "", "/"), 200, "{host}");
    }
    for host in ["evil.example", "evil.example:18443", "127.0.0.1.evil.example", "localhost.", "", "bob"] {
        assert_eq!(ask(host, "", "/"), 403, "{host}");
    }
    assert_eq!(ask("localhost", "Host: evil.example\r\n", "/"), 403, "two of them");
    assert_eq!(ask("localhost", "", "http://evil.example/"), 403, "absolute form");
    for origin in ["http://evil.example", "https://evil.example:18443", "null", "file://", "x"] {
        assert_eq!(ask("localhost", &format!("Origin: {origin}\r\n"), "/"), 403, "{origin}");
    }
    assert_eq!(ask("localhost", "Origin: http://localhost:8181\r\n", "/"), 200);
    let answer = node.post(UPTIME, "");
    assert!(!answer.headers.contains("access-control-allow"), "no CORS: {}", answer.headers);
    let preflight = "OPTIONS / HTTP/1.1\r\nHost: localhost\r\nOrigin: http://evil.example\r\n\
                     Access-Control-Request-Method: POST\r\nConnection: close\r\n\r\n";
    assert_eq!(Answer::parse(&node.raw(preflight.as_bytes())).status, 403);
    let rest = "GET /rest/chaininfo.json HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n";
    assert_eq!(Answer::parse(&node.raw(rest.as_bytes())).status, 403, "REST has the same rule");
}

#[test]
fn rpc_04_a_form_on_another_site_changes_nothing() {
    let node = TestNode::start();
    let stop = r#"{"method":"stop"}"#;
    // a browser that remembers the password would send it along
    for kind in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"] {
        let headers = format!("Content-Type: {kind}\r\nOrigin: http://evil.example\r\n");
        assert_eq!(node.post(stop, &headers).status, 403, "{kind}");
        let headers = format!("Content-Type: {kind}\r\nSec-Fetch-Site: cross-site\r\n");
        assert_eq!(node.post(stop, &headers).status, 403, "{kind}");
        let headers = format!("Content-Type: {kind}\r\n");
        assert_eq!(Answer::parse(&node.raw(request(stop, &headers).as_bytes())).status, 401, "{kind}");
    }
    for method in ["GET", "HEAD", "PUT", "DELETE"] {
        let login = basic("alice:secret");
        let text = format!("{method} / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{login}\r\n");
        assert_eq!(Answer::parse(&node.raw(text.as_bytes())).status, 405, "{method}");
    }
    assert!(!*node.context.stop_requested().borrow());
    // curl's default type, from this machine: as Core, the password decides
    assert_eq!(node.post(UPTIME, "Content-Type: text/plain\r\n").status, 200);
}

#[test]
fn rpc_05_what_is_too_large_is_refused_before_it_is_read() {
    let node = TestNode::start();
    let login = basic("alice:secret");
    let gigabyte = format!("POST / HTTP/1.1\r\nHost: localhost\r\n{login}Content-Length: 1073741824\r\n\r\n");
    assert_eq!(Answer::parse(&node.raw(gigabyte.as_bytes())).status, 413);
    // the same without saying so first
    let mut stream = node.connect();
    stream
        .write_all(
            format!("POST / HTTP/1.1\r\nHost: localhost\r\n{login}Transfer-Encoding: chunked\r\n\r\n")
                .as_bytes(),
        )
        .unwrap();
    let chunk = [b"100000\r\n".as_slice(), &[b' '; 0x10_0000], b"\r\n"].concat();
    let sent = (0..64).take_while(|_| stream.write_all(&chunk).is_ok()).count();
    assert!(sent < 64, "the server stopped reading");
    let uri = format!("/{}", "a".repeat(10_000));
    let text = format!("GET {uri} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    assert_eq!(Answer::parse(&node.raw(text.as_bytes())).status, 400);
    let headers: String = (0..10_000).map(|n| format!("X-{n}: y\r\n")).collect();
    let status = node.post(UPTIME, &headers).status;
    assert!([0, 400, 431].contains(&status), "{status}");
    assert_eq!(node.post(UPTIME, "").status, 200, "and goes on");
}

#[test]
fn rpc_06_slow_connections_are_closed() {
    let limits = Limits {
        connections: 16,
        header_timeout: Duration::from_millis(400),
        body_timeout: Duration::from_millis(400),
    };
    let node = TestNode::with(|config| ServerConfig { limits, ..config });
    // far more than there is room for, each silent after its first bytes
    let mut slow: Vec<TcpStream> = (0..100)
        .map(|_| {
            let mut stream = node.connect();
            stream.write_all(b"POST / HT").unwrap();
            stream
        })
        .collect();
    let start = Instant::now();
    assert_eq!(node.post(UPTIME, "").status, 200, "an honest caller gets through");
    assert!(start.elapsed() < Duration::from_secs(10));
    for stream in &mut slow {
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest);
    }
    assert!(start.elapsed() < Duration::from_secs(20), "all were closed");
    // an idle connection, and a body that never ends
    let mut idle = node.connect();
    idle.write_all(request(UPTIME, &basic("alice:secret")).replace("Connection: close\r\n", "").as_bytes())
        .unwrap();
    let mut rest = Vec::new();
    idle.read_to_end(&mut rest).unwrap();
    assert!(String::from_utf8_lossy(&rest).starts_with("HTTP/1.1 200"));
    let login = basic("alice:secret");
    let short = format!("POST / HTTP/1.1\r\nHost: localhost\r\n{login}Content-Length: 100\r\n\r\n{{");
    assert_eq!(Answer::parse(&node.raw(short.as_bytes())).status, 408);
}

#[test]
fn rpc_07_more_calls_than_the_queue_holds() {
    let node = TestNode::with(|config| ServerConfig { work_queue: 2, threads: 1, ..config });
    // two batches that wait hold both places
    let wait = r#"[{"method":"waitfornewblock","params":[1500]}]"#;
    let mut waiting: Vec<TcpStream> = (0..2)
        .map(|_| {
            let mut stream = node.connect();
            stream.write_all(request(wait, &basic("alice:secret")).as_bytes()).unwrap();
            stream
        })
        .collect();
    std::thread::sleep(Duration::from_millis(300));
    let refused = node.post(UPTIME, "");
    assert_eq!(refused.status, 503);
    assert_eq!(refused.body.trim(), "Work queue depth exceeded");
    // the node itself is not touched
    assert_eq!(node.handle().with_blocking(|node, _| node.chain().tip().height), Ok(0));
    for stream in &mut waiting {
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
    assert_eq!(node.post(UPTIME, "").status, 200);
}

#[test]
fn rpc_07_waiting_calls_hold_no_place() {
    let node = TestNode::with(|config| ServerConfig { work_queue: 1, threads: 1, waiting: 3, ..config });
    let wait = r#"{"method":"waitfornewblock","params":[60000]}"#;
    let _waiting: Vec<TcpStream> = (0..3)
        .map(|_| {
            let mut stream = node.connect();
            stream.write_all(request(wait, &basic("alice:secret")).as_bytes()).unwrap();
            // one after the other: on their way in they pass through the one place that there is
            std::thread::sleep(Duration::from_millis(200));
            stream
        })
        .collect();
    // "they have a bound of their own": a fourth is refused as soon as all three wait
    let fourth = r#"{"method":"waitfornewblock","params":[1]}"#;
    let end = std::time::Instant::now() + Duration::from_secs(20);
    while node.post(fourth, "").status != 503 {
        assert!(std::time::Instant::now() < end, "a fourth waiting call is still let in");
        std::thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(node.post(UPTIME, "").status, 200);
}

#[test]
fn rpc_08_bodies_that_are_no_call() {
    let node = TestNode::start();
    let deep = "[".repeat(100_000);
    for (body, status, code) in [
        ("", 500, -32700),
        ("{", 500, -32700),
        (deep.as_str(), 500, -32700),
        ("{}", 400, -32600),
        (r#"{"jsonrpc":"2.1","method":"uptime","id":1}"#, 400, -32600),
        (r#"{"jsonrpc":"3.0","method":"uptime","id":1}"#, 400, -32600),
        (r#"{"method":"nothing","id":1}"#, 404, -32601),
        (r#"{"method":"getblockhash","params":[-1],"id":1}"#, 500, -8),
        (r#"{"jsonrpc":"2.0","method":"nothing","id":1}"#, 200, -32601),
    ] {
        let answer = node.post(body, "");
        assert_eq!(answer.status, status, "{}", &body[..body.len().min(60)]);
        assert!(answer.headers.contains("content-type: application/json"), "python-bitcoinrpc wants it");
        assert_eq!(answer.json()["error"]["code"], code);
    }
    assert_eq!(node.post(r#"{"jsonrpc":"2.0","method":"uptime"}"#, "").status, 204);
    assert_eq!(node.post("[]", "").body.trim(), "[]");
}

#[test]
fn rpc_14_an_address_that_others_reach_must_be_asked_for() {
    let node = TestNode::start();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let start = |config| runtime.block_on(tine::rpc::Server::start(config, node.context.clone()));
    let open = ServerConfig { bind: "0.0.0.0:0".parse().unwrap(), ..ServerConfig::new(0) };
    assert_eq!(start(open.clone()).unwrap_err().kind(), std::io::ErrorKind::PermissionDenied);
    assert!(start(ServerConfig { allow_remote: true, ..open }).is_ok());
    let taken = ServerConfig { bind: node.address, ..ServerConfig::new(0) };
    assert!(start(taken).unwrap_err().to_string().contains(&node.address.to_string()));
    // the other IP family of the same port, where there is one
    if let Ok(other) = std::net::TcpListener::bind(("::1", 0)) {
        let port = other.local_addr().unwrap().port();
        let refused = start(ServerConfig::new(port)).unwrap_err();
        assert!(refused.to_string().contains("::1"), "{refused}");
    }
}

#[test]
fn the_client_tells_its_failures_apart() {
    let node = TestNode::start();
    let url = node.client.url().to_owned();
    let wrong = RpcClient::new(&url, Login::Password("alice".to_owned(), "wrong".to_owned()));
    assert!(matches!(wrong.call("uptime", ()), Err(ClientError::Protocol(_))));
    let nowhere = RpcClient::new("http://127.0.0.1:9/", Login::Password(String::new(), String::new()));
    assert!(matches!(nowhere.call("uptime", ()), Err(ClientError::Unreachable(_))));
    let no_cookie = RpcClient::new(&url, Login::Cookie(node.dir.path().join("none")));
    assert!(matches!(no_cookie.call("uptime", ()), Err(ClientError::Unreachable(_))));
    assert!(
        matches!(node.client.call("nothing", ()), Err(ClientError::Failed(error)) if error.code == -32601)
    );
    let results = node.client.batch(&[("getblockcount", vec![]), ("getblockhash", vec![9])]).unwrap();
    assert_eq!(results[0].as_ref().unwrap().get(), "0");
    assert_eq!(results[1].as_ref().unwrap_err().code(), Some(-8));
    assert_eq!(tine::exit::Error::from(node.client.call("nothing", ()).unwrap_err()).exit_code(), 1);
}
