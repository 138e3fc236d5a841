//! The socket: HTTP/2 without encryption, bounded like that of JSON-RPC.

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::{Extension, Router, middleware};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tine_chain::block::MAX_BLOCK_SIZE;
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;
use tonic::service::Routes;
use tonic_reflection::server::Builder as Reflection;

use super::calls::Calls;
use super::chain::ChainService;
use super::events::EventsService;
use super::gate::{Gate, Known, pass};
use super::v1::chain_server::ChainServer;
use super::v1::events_server::EventsServer;
use super::v1::wallet_server::WalletServer;
use super::wallet::WalletsService;
use super::{DESCRIPTORS, gate};
use crate::rpc::context::Context;
use crate::rpc::server::Server;
use crate::rpc::transport::{self, AllowedHosts, Limits, STOP_GRACE, raised};

/// The largest message that is read, in bytes: a block, and room for what is around it.
pub const MAX_MESSAGE_SIZE: usize = MAX_BLOCK_SIZE + 64 * 1024;
/// The largest message that is sent, in bytes: a block, whole and taken apart. Clients take 4 MiB unless told otherwise.
const MAX_ANSWER_SIZE: usize = 32 * 1024 * 1024;
/// Bytes that a peer may send before they are read, for a stream and for a connection.
const WINDOW: u32 = 256 * 1024;
/// Calls of one connection at once.
const MAX_STREAMS: u32 = 128;
/// The most bytes of a call's headers together.
const MAX_HEADERS: u32 = 16 * 1024;
/// How often an idle connection is asked whether it is there, and how long it may take to say so.
const PING: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(20));

/// How a gRPC server is set up.
#[derive(Debug, Clone)]
pub struct GrpcConfig {
    /// Where to listen; port 0 takes a free one.
    pub bind: SocketAddr,
    /// Whether an address that is not loopback was asked for in so many words.
    pub allow_remote: bool,
    /// Further names under which it may be asked (`rpc-allow-host`).
    pub allow_hosts: Vec<String>,
    /// Calls that may wait or run at once; one more is answered RESOURCE_EXHAUSTED.
    pub work_queue: usize,
    /// Calls that may run at once.
    pub threads: usize,
    /// Streams of events that may be open at once.
    pub followers: usize,
    /// What the socket bears: `header_timeout` is the time until somebody with a password must have called, `body_timeout`
    /// that of a call's message to come and to be answered.
    pub limits: Limits,
}

impl GrpcConfig {
    /// As many calls as JSON-RPC takes.
    #[must_use]
    pub fn new(bind: SocketAddr) -> Self {
        Self {
            bind,
            allow_remote: false,
            allow_hosts: Vec::new(),
            work_queue: 64,
            threads: 16,
            followers: 1_024,
            limits: Limits { body_timeout: Duration::from_secs(60), ..Limits::default() },
        }
    }
}

/// A server that runs; dropping it stops it, [`GrpcServer::stop`] also waits.
#[derive(Debug)]
pub struct GrpcServer {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl GrpcServer {
    /// Listens and serves whoever may call `rpc`.
    ///
    /// # Errors
    /// When the address is taken or not allowed.
    pub async fn start(config: GrpcConfig, rpc: &Server, context: Arc<Context>) -> io::Result<Self> {
        transport::refuse_remote(config.bind, config.allow_remote, "gRPC")?;
        let listener = transport::bind(config.bind).await?;
        let address = listener.local_addr()?;
        let (stop, stopped) = watch::channel(false);
        let calls = Calls {
            context,
            workers: Arc::new(Semaphore::new(config.threads)),
            followers: Arc::new(Semaphore::new(config.followers)),
            stopped: stopped.clone(),
        };
        let gate = Gate {
            users: rpc.users().clone(),
            hosts: AllowedHosts::new(address.ip(), &config.allow_hosts),
            queue: Arc::new(Semaphore::new(config.work_queue)),
            timeout: config.limits.body_timeout,
        };
        let router = router(calls).layer(middleware::from_fn_with_state(Arc::new(gate), pass));
        let limits = config.limits;
        let serve = move |stream, stop| connection(stream, router.clone(), limits, stop);
        let task = tokio::spawn(transport::accept(listener, limits, stopped, serve));
        Ok(Self { address, stop, task })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Takes no more calls, and lets those that run end.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        // a panic in the accept loop has been reported where it happened
        let _ = self.task.await;
    }
}

fn router(calls: Calls) -> Router {
    let reflection = || Reflection::configure().register_encoded_file_descriptor_set(DESCRIPTORS);
    let ours = "the compiler made the set";
    macro_rules! bounded {
        ($server:expr) => {
            $server.max_decoding_message_size(MAX_MESSAGE_SIZE).max_encoding_message_size(MAX_ANSWER_SIZE)
        };
    }
    Routes::new(bounded!(ChainServer::new(ChainService(calls.clone()))))
        .add_service(bounded!(WalletServer::new(WalletsService(calls.clone()))))
        .add_service(bounded!(EventsServer::new(EventsService(calls))))
        .add_service(reflection().build_v1().expect(ours))
        // grpcio's own client of reflection knows only this one
        .add_service(reflection().build_v1alpha().expect(ours))
        .prepare()
        .into_axum_router()
}

/// Serves one connection, as long as somebody with a password uses it.
async fn connection(stream: TcpStream, router: Router, limits: Limits, mut stop: watch::Receiver<bool>) {
    // answers are small and asked for one by one: Nagle's delay would be most of their time
    let _ = stream.set_nodelay(true);
    let known = gate::Known::default();
    let service = TowerToHyperService::new(router.layer(Extension(known.clone())));
    let mut http = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
    http.timer(TokioTimer::new())
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(WINDOW)
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(MAX_HEADERS)
        .keep_alive_interval(PING.0)
        .keep_alive_timeout(PING.1);
    let mut connection = pin!(http.serve_connection(TokioIo::new(stream), service));
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = nobody_came(&known, limits.header_timeout) => return,
        () = raised(&mut stop) => {
            connection.as_mut().graceful_shutdown();
            tokio::time::timeout(STOP_GRACE, connection).await.unwrap_or(Ok(()))
        }
    };
    if let Err(error) = ended {
        tracing::trace!(%error, "connection ended");
    }
}

/// Returns when the time is over and nobody with a password has called; otherwise never.
async fn nobody_came(known: &Known, time: Duration) {
    tokio::time::sleep(time).await;
    if known.get() {
        std::future::pending().await
    }
}
