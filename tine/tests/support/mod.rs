//! A regtest node in memory with its RPC server on a real socket, and plain HTTP to talk to it.

#![allow(dead_code, reason = "each test program uses a part")]

pub(crate) mod chain;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use tempfile::TempDir;
use tine::driver::{Driver, NodeHandle};
use tine::fleet::Fleet;
use tine::rpc::grpc::{GrpcConfig, GrpcServer};
use tine::rpc::{Context, Login, RpcClient, Server, ServerConfig};
use tine::wallets::{WalletService, WalletThread};
use tine::web::Page;
use tine_chain::address::Address;
use tine_chain::chain::{Chain, ChainOptions};
use tine_chain::params::{Network, Params};
use tine_chain::policy::Policy;
use tine_chain::signature;
use tine_chain::store::memory::MemoryStore;
use tine_node::event::Event;
use tine_node::{Node, NodeConfig, Participant};
use tokio::runtime::Runtime;

/// The secret key that mining pays in these tests.
pub(crate) const SECRET: [u8; 32] = [7; 32];

/// A node that ends with the value.
pub(crate) struct TestNode {
    pub(crate) context: Arc<Context>,
    pub(crate) client: RpcClient,
    pub(crate) address: SocketAddr,
    pub(crate) dir: TempDir,
    server: Option<Server>,
    driver: Option<Driver>,
    wallet_thread: Option<WalletThread>,
    runtime: Runtime,
}

impl TestNode {
    pub(crate) fn start() -> Self {
        Self::with(|config| config)
    }

    /// A node of another network than regtest.
    pub(crate) fn on(network: Network) -> Self {
        Self::build(network, |config| config, &[], false)
    }

    /// A node with these development wallets.
    pub(crate) fn with_wallets(names: &[&str]) -> Self {
        Self::build(Network::Regtest, |config| config, names, false)
    }

    /// A node whose server is set up otherwise.
    pub(crate) fn with(configure: impl FnOnce(ServerConfig) -> ServerConfig) -> Self {
        Self::build(Network::Regtest, configure, &[], false)
    }

    /// A node that listens for peers on loopback.
    pub(crate) fn with_network() -> Self {
        Self::build(Network::Regtest, |config| config, &[], true)
    }

    fn build(
        chain: Network,
        configure: impl FnOnce(ServerConfig) -> ServerConfig,
        wallets: &[&str],
        network: bool,
    ) -> Self {
        let dir = TempDir::new().expect("a temporary directory");
        let params = Params::of(chain);
        let chain = Chain::open(params.clone(), Box::new(MemoryStore::new()), ChainOptions::default())
            .expect("an empty store opens");
        let node = Node::new(chain, NodeConfig::new(params));
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("a runtime");
        let network = network.then(|| runtime.block_on(listen(node.chain().params())));
        let p2p = network.as_ref().map(|(p2p, _)| p2p.clone());
        let (handle, driver) = Driver::start("test", Participant::honest(node), network).expect("a thread");
        let mut context = Context::new("test", handle);
        context.mining_lock = Some(Policy::key(signature::public_key(&SECRET)).lock());
        let mut wallet_thread = None;
        if let Some(own) = wallets.first() {
            let keystores = dir.path().join("wallets");
            let (service, thread) = WalletService::start(context.node.clone(), &keystores, own, wallets)
                .expect("development wallets open");
            context.wallets = Some(service);
            wallet_thread = Some(thread);
        }
        context.network = p2p;
        let context = Arc::new(context);
        let cookie = dir.path().join(".cookie");
        let config = configure(ServerConfig {
            cookie: Some(cookie.clone()),
            users: vec!["alice:secret".to_owned()],
            ..ServerConfig::new(0)
        });
        let server = runtime.block_on(Server::start(config, Arc::clone(&context))).expect("a free port");
        let address = server.address();
        let client = RpcClient::new(format!("http://{address}/"), Login::Cookie(cookie));
        let (server, driver) = (Some(server), Some(driver));
        Self { context, client, address, dir, server, driver, wallet_thread, runtime }
    }

    pub(crate) fn handle(&self) -> &NodeHandle {
        &self.context.node
    }

    /// Sends bytes and reads until the other side closes.
    pub(crate) fn raw(&self, request: &[u8]) -> String {
        let mut stream = self.connect();
        stream.write_all(request).expect("the server reads");
        let mut answer = Vec::new();
        // a server that refuses early may reset the connection after its answer
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8_lossy(&answer).into_owned()
    }

    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).expect("the server listens");
        stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a time-out");
        stream
    }

    /// A POST with the right password; `headers` end with line ends.
    pub(crate) fn post(&self, body: &str, headers: &str) -> Answer {
        Answer::parse(&self.raw(request(body, &format!("{}{headers}", basic("alice:secret"))).as_bytes()))
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        Answer::parse(&self.raw(request.as_bytes()))
    }

    /// The body of a GET, as bytes.
    pub(crate) fn raw_get(&self, path: &str) -> Vec<u8> {
        let mut stream = self.connect();
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).expect("the server reads");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("the server answers");
        let head = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n").expect("headers end");
        assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
        answer.split_off(head + 4)
    }

    /// The page of this node, on a free port.
    pub(crate) fn page(&self) -> Page {
        let bind = SocketAddr::from(([127, 0, 0, 1], 0));
        let nodes = Fleet::of(std::slice::from_ref(&self.context));
        self.runtime.block_on(Page::start(bind, false, &[], nodes)).expect("a free port")
    }

    /// A gRPC server of this node, on a free port.
    pub(crate) fn grpc(&self, configure: impl FnOnce(GrpcConfig) -> GrpcConfig) -> GrpcServer {
        let config = configure(GrpcConfig::new(SocketAddr::from(([127, 0, 0, 1], 0))));
        self.block_on(GrpcServer::start(config, self.server(), Arc::clone(&self.context)))
            .expect("a free port")
    }

    /// The JSON-RPC server.
    pub(crate) fn server(&self) -> &Server {
        self.server.as_ref().expect("not stopped")
    }

    /// Runs a future on the node's runtime.
    pub(crate) fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    /// Stops the server, then the node.
    pub(crate) fn stop(&mut self) {
        self.context.request_stop();
        if let Some(server) = self.server.take() {
            self.runtime.block_on(server.stop());
        }
        if let Some(driver) = self.driver.take() {
            self.runtime.block_on(self.context.node.stop());
            driver.join().expect("storage works");
        }
        if let Some(thread) = self.wallet_thread.take() {
            thread.join();
        }
    }
}

impl Drop for TestNode {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A network of an identity of its own, on a free port of loopback.
async fn listen(params: &Params) -> (tine_p2p::Network, tokio::sync::mpsc::Receiver<Event>) {
    let identity = tine_p2p::Identity::Seed(rand::random());
    let mut config = tine_p2p::Config::new(params.genesis.hash(), identity);
    config.listen = vec!["/ip4/127.0.0.1/tcp/0".to_owned()];
    config.connect_only = true;
    config.mdns = false;
    config.kademlia = false;
    tine_p2p::start(config).await.expect("a free port")
}

/// The regtest address of a secret key.
pub(crate) fn address_of(secret: &[u8; 32]) -> String {
    let lock = Policy::key(signature::public_key(secret)).lock();
    Address { network: Network::Regtest, lock }.to_string()
}

/// An HTTP answer.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn parse(text: &str) -> Self {
        let (headers, body) = text.split_once("\r\n\r\n").unwrap_or((text, ""));
        let status = headers.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        Self { status, headers: headers.to_ascii_lowercase(), body: body.to_owned() }
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }
}

/// A header line.
pub(crate) fn basic(credentials: &str) -> String {
    format!("Authorization: Basic {}\r\n", BASE64_STANDARD.encode(credentials))
}

/// A POST to `/` on this host, with further header lines.
pub(crate) fn request(body: &str, headers: &str) -> String {
    format!(
        "POST / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {}\r\n{headers}\r\n{body}",
        body.len()
    )
}
