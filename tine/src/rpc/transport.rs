//! HTTP on a socket, bounded: number of connections, size and time of headers, who may be asked under which name.
//!
//! `axum::serve` has no time-out for headers, so the accept loop is our own, over hyper. RPC, REST and the web page
//! are routers that are served here alike.

use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::{JoinError, spawn_blocking};

/// The most bytes of a request's line and headers together.
const MAX_HEAD_SIZE: usize = 32 * 1024;
/// The longest request target, in bytes (Core: `MAX_HEADERS_SIZE`, 8,192).
const MAX_URI_SIZE: usize = 8 * 1024;
/// How long a connection may take to end after the server was stopped.
pub(crate) const STOP_GRACE: Duration = Duration::from_secs(2);
/// How much work of callers who need no password may hold threads and memory at once.
const MAX_OPEN_WORK: usize = 8;
/// Their places, the whole program's: a devnet's nodes share its threads.
static OPEN_WORK: Semaphore = Semaphore::const_new(MAX_OPEN_WORK);
/// How long the accept loop rests after an error such as too many open files.
const ACCEPT_REST: Duration = Duration::from_millis(100);

/// What one listener bears.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Connections at once; further ones wait in the system's queue.
    pub connections: usize,
    /// Time for a request's line and headers, and for the next request of a connection to begin.
    pub header_timeout: Duration,
    /// Time for a request's body.
    pub body_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 512,
            header_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(30),
        }
    }
}

/// The names under which a server may be asked.
///
/// A web page can make its own name point at 127.0.0.1 ("DNS rebinding"), and then its requests are of the same origin
/// for the browser; the `Host` header still tells. Addresses of this machine can't be rebound, names can.
#[derive(Debug, Clone)]
pub struct AllowedHosts {
    names: Vec<String>,
}

impl AllowedHosts {
    /// `localhost`, loopback addresses, the address that is listened on, and `more`.
    #[must_use]
    pub fn new(listening: IpAddr, more: &[String]) -> Self {
        let mut names = vec!["localhost".to_owned()];
        if !listening.is_unspecified() {
            names.push(listening.to_string());
        }
        names.extend(more.iter().map(|name| name.to_ascii_lowercase()));
        Self { names }
    }

    /// Whether `host`, with or without a port, is one of them.
    #[must_use]
    pub fn allow(&self, host: &str) -> bool {
        let host = host.to_ascii_lowercase();
        let name = match host.strip_prefix('[') {
            Some(rest) => match rest.split_once(']') {
                Some((address, port)) if port.is_empty() || is_port(port) => address,
                _ => return false,
            },
            None => match host.split_once(':') {
                Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
                Some(_) => return false,
                None => host.as_str(),
            },
        };
        name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
            || self.names.iter().any(|known| known == name)
    }

    /// Why a request with these headers is not let in: a foreign `Host`, or a web page of another origin.
    fn refusal(&self, headers: &HeaderMap, uri: &Uri) -> Option<&'static str> {
        let text = |name| headers.get(name).map(|value| value.to_str().unwrap_or(""));
        let mut hosts = headers.get_all(header::HOST).iter();
        let host = hosts.next().and_then(|value| value.to_str().ok());
        if hosts.next().is_some() || !host.is_some_and(|host| self.allow(host)) {
            return Some("the Host header is not on the allow list (rpc-allow-host)");
        }
        if uri.authority().is_some_and(|authority| !self.allow(authority.as_str())) {
            return Some("the request's target is not on the allow list");
        }
        if let Some(origin) = text(header::ORIGIN) {
            let place = origin.split_once("://").map(|(_, place)| place);
            if !place.is_some_and(|place| self.allow(place)) {
                return Some("the Origin header names another site");
            }
        }
        match text(header::HeaderName::from_static("sec-fetch-site")) {
            Some("cross-site") => Some("another site's page may not call"),
            _ => None,
        }
    }
}

fn is_port(text: &str) -> bool {
    text.strip_prefix(':').is_some_and(|port| port.bytes().all(|byte| byte.is_ascii_digit()))
}

async fn guard(State(allowed): State<Arc<AllowedHosts>>, request: Request, next: Next) -> Response {
    let uri = request.uri();
    if uri.path().len() + uri.query().map_or(0, str::len) > MAX_URI_SIZE {
        return (StatusCode::BAD_REQUEST, "the request's target is too long\n").into_response();
    }
    match allowed.refusal(request.headers(), uri) {
        Some(reason) => (StatusCode::FORBIDDEN, format!("{reason}\n")).into_response(),
        None => next.run(request).await,
    }
}

/// Puts the check of [`AllowedHosts`] before everything that `router` does.
pub fn guarded(router: Router, allowed: AllowedHosts) -> Router {
    router.layer(axum::middleware::from_fn_with_state(Arc::new(allowed), guard))
}

/// Refuses an address that others than this machine can reach, unless it was asked for in so many words.
///
/// # Errors
/// That refusal.
pub fn refuse_remote(bind: SocketAddr, allow_remote: bool, what: &str) -> std::io::Result<()> {
    if bind.ip().is_loopback() || allow_remote {
        return Ok(());
    }
    let message = format!("refusing to serve {what} on {bind}: only rpc-bind may name such an address");
    Err(std::io::Error::new(std::io::ErrorKind::PermissionDenied, message))
}

/// Opens a listening socket.
///
/// # Errors
/// When the address is taken, also by the other IP family's wildcard: then some local caller would reach the other
/// process (CVE-2018-20587).
pub async fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    let in_use = |error: std::io::Error| {
        std::io::Error::new(error.kind(), format!("can't listen on {address}: {error}"))
    };
    let listener = TcpListener::bind(address).await.map_err(in_use)?;
    let other: IpAddr = match address.ip() {
        IpAddr::V4(ip) if ip.is_loopback() => std::net::Ipv6Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_loopback() => std::net::Ipv4Addr::LOCALHOST.into(),
        IpAddr::V4(_) | IpAddr::V6(_) => return Ok(listener),
    };
    let port = listener.local_addr()?.port();
    match TcpListener::bind((other, port)).await {
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse && address.port() != 0 => {
            let message = format!("can't listen on {address}: another process has {other} port {port}");
            Err(std::io::Error::new(std::io::ErrorKind::AddrInUse, message))
        }
        // no such family here, or free
        Ok(_) | Err(_) => Ok(listener),
    }
}

/// Serves `router` until `stop` is true or its sender is gone.
pub async fn serve(listener: TcpListener, router: Router, limits: Limits, stop: watch::Receiver<bool>) {
    accept(listener, limits, stop, move |stream, stop| connection(stream, router.clone(), limits, stop))
        .await;
}

/// Gives each connection to `serve`, no more at once than `limits` say, until `stop` is true or its sender is gone.
pub(crate) async fn accept<F: Future<Output = ()> + Send + 'static>(
    listener: TcpListener,
    limits: Limits,
    mut stop: watch::Receiver<bool>,
    serve: impl Fn(TcpStream, watch::Receiver<bool>) -> F,
) {
    let slots = Arc::new(Semaphore::new(limits.connections));
    loop {
        let slot = Arc::clone(&slots).acquire_owned().await.expect("the semaphore is never closed");
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = raised(&mut stop) => break,
        };
        match accepted {
            Ok((stream, _)) => {
                let connection = serve(stream, stop.clone());
                tokio::spawn(async move {
                    connection.await;
                    drop(slot);
                });
            }
            Err(error) => {
                tracing::debug!(%error, "accept failed");
                tokio::time::sleep(ACCEPT_REST).await;
            }
        }
    }
    drop(listener);
    // every slot is back when every connection has ended
    let all = u32::try_from(limits.connections).unwrap_or(u32::MAX);
    let _ = tokio::time::timeout(STOP_GRACE, slots.acquire_many(all)).await;
}

/// Waits until `flag` is true or its sender is gone.
pub(crate) async fn raised(flag: &mut watch::Receiver<bool>) {
    // an error means that the sender is gone
    let _ = flag.wait_for(|&raised| raised).await;
}

/// Runs `work`, for a caller who need not say who they are, on a thread that may read files and wait; at most
/// [`MAX_OPEN_WORK`] at once, the others wait for their turn without one. The place is held until the thread is done, also
/// when the caller has gone meanwhile.
///
/// # Errors
/// The work has panicked.
pub(crate) async fn open_work<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, JoinError> {
    let place = OPEN_WORK.acquire().await.expect("the semaphore is never closed");
    let work = move || {
        let _place = place;
        work()
    };
    spawn_blocking(work).await
}

async fn connection(stream: TcpStream, router: Router, limits: Limits, mut stop: watch::Receiver<bool>) {
    // answers are small and asked for one by one: Nagle's delay would be most of their time
    let _ = stream.set_nodelay(true);
    let mut http = hyper::server::conn::http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(limits.header_timeout).max_buf_size(MAX_HEAD_SIZE);
    let mut connection = pin!(http.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router)));
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = raised(&mut stop) => {
            connection.as_mut().graceful_shutdown();
            tokio::time::timeout(STOP_GRACE, connection).await.unwrap_or(Ok(()))
        }
    };
    if let Err(error) = ended {
        tracing::trace!(%error, "connection ended");
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test]
    async fn whoever_needs_no_password_holds_few_threads_at_once() {
        static RUNNING: AtomicUsize = AtomicUsize::new(0);
        let work = || {
            let running = RUNNING.fetch_add(1, Ordering::SeqCst) + 1;
            // long enough that those of one round meet
            std::thread::sleep(Duration::from_millis(20));
            RUNNING.fetch_sub(1, Ordering::SeqCst);
            running
        };
        let most = futures::future::join_all((0..32).map(|_| open_work(work))).await;
        let most = most.into_iter().map(|running| running.expect("no panic")).max().expect("32 of them");
        assert!((2..=MAX_OPEN_WORK).contains(&most), "{most} at once");
        // work whose caller has gone keeps its place until it is done
        let (done, waits) = std::sync::mpsc::channel::<()>();
        let caller = tokio::spawn(open_work(move || waits.recv()));
        while OPEN_WORK.available_permits() == MAX_OPEN_WORK {
            tokio::task::yield_now().await;
        }
        caller.abort();
        assert!(caller.await.expect_err("aborted").is_cancelled());
        assert!(OPEN_WORK.available_permits() < MAX_OPEN_WORK, "its thread still runs");
        drop(done);
    }

    #[test]
    fn rpc_03_which_names_are_ours() {
        let allowed = AllowedHosts::new("192.168.7.7".parse().unwrap(), &["Alice".to_owned()]);
        for host in [
            "localhost",
            "LOCALHOST:18443",
            "127.0.0.1",
            "127.0.0.1:18443",
            "127.1.2.3:1",
            "[::1]",
            "[::1]:18443",
            "192.168.7.7:18443",
            "alice",
            "alice:18443",
        ] {
            assert!(allowed.allow(host), "{host}");
        }
        for host in [
            "",
            ":18443",
            "evil.example",
            "evil.example:18443",
            "localhost.evil.example",
            "localhost@evil.example",
            "127.0.0.1.nip.io",
            "192.168.7.8",
            "[::1",
            "[::1]evil",
            "localhost:18443:1",
            "localhost:x",
            "0.0.0.0",
        ] {
            assert!(!allowed.allow(host), "{host}");
        }
        assert!(!AllowedHosts::new("0.0.0.0".parse().unwrap(), &[]).allow("0.0.0.0"));
    }
}
