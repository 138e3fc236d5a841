//! The server: HTTP requests in, JSON-RPC answers out, as Bitcoin Core does it; REST beside it.
//!
//! A call passes, in this order: the connection limit, the header time-out, the `Host` and `Origin` check
//! ([`super::transport`]), the password, the body limit, the work queue. Only then is a byte of it parsed.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body as HttpBody, to_bytes};
use axum::extract::{Path, Request as HttpRequest, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use tine_chain::block::MAX_BLOCK_SIZE;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;

use super::context::Context;
use super::cookie::Cookie;
use super::envelope::{self, Answer, Body, Request};
use super::error::{Code, RpcError};
use super::registry::{self, Handler, Outcome};
use super::rest;
use super::sends::Sends;
use super::transport::{self, AllowedHosts, Limits};
use super::users::{User, Users};
use crate::metrics;
use crate::web::stream;

/// The largest body of a call: the largest block in hexadecimal digits, and room for what is around it.
pub const MAX_BODY_SIZE: usize = 2 * MAX_BLOCK_SIZE + 1024 * 1024;

/// How long a wrong password waits for its answer (Core: 250 ms, "deter brute-forcing").
pub(crate) const FAILURE_DELAY: Duration = Duration::from_millis(250);

/// How a server is set up.
#[derive(Debug, Clone)]
pub struct ServerConfig {
    /// Where to listen; port 0 takes a free one.
    pub bind: SocketAddr,
    /// Whether an address that is not loopback was asked for in so many words (`rpc-bind`).
    pub allow_remote: bool,
    /// Further names that the `Host` header may have (`rpc-allow-host`).
    pub allow_hosts: Vec<String>,
    /// Where to put the cookie; `None`: only `users` may call.
    pub cookie: Option<PathBuf>,
    /// Further callers: `user:password`, or `user:salt$hash` as Core's `rpcauth.py` writes it.
    pub users: Vec<String>,
    /// `user:method,method`: such a user may call nothing else (Core: `-rpcwhitelist`).
    pub whitelists: Vec<String>,
    /// Whether `/metrics` is there, without a password.
    pub metrics: bool,
    /// Calls that may wait or run at once; one more is answered 503 (Core: `-rpcworkqueue`, 64: less than there may be
    /// clients).
    pub work_queue: usize,
    /// Calls that may run at once (Core: `-rpcthreads`, 16).
    pub threads: usize,
    /// Calls that may wait for a block at once.
    pub waiting: usize,
    /// What the socket bears.
    pub limits: Limits,
}

impl ServerConfig {
    /// Core's settings on a loopback port, but for the queue.
    #[must_use]
    pub fn new(port: u16) -> Self {
        Self {
            bind: SocketAddr::from(([127, 0, 0, 1], port)),
            allow_remote: false,
            allow_hosts: Vec::new(),
            cookie: None,
            users: Vec::new(),
            whitelists: Vec::new(),
            metrics: false,
            work_queue: 256,
            threads: 16,
            waiting: 256,
            limits: Limits::default(),
        }
    }
}

/// A server that runs; dropping it stops it, [`Server::stop`] also waits.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
    cookie: Option<Cookie>,
    users: Users,
}

impl Server {
    /// Listens and serves.
    ///
    /// # Errors
    /// When the address is taken or not allowed, or the cookie can't be written.
    pub async fn start(config: ServerConfig, context: Arc<Context>) -> io::Result<Self> {
        transport::refuse_remote(config.bind, config.allow_remote, "JSON-RPC")?;
        let listener = transport::bind(config.bind).await?;
        let address = listener.local_addr()?;
        let cookie = config.cookie.as_deref().map(Cookie::create).transpose()?;
        let logins = config.users.iter().map(String::as_str).chain(cookie.iter().map(Cookie::credentials));
        let users = Users::new(logins, &config.whitelists)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        let (stop, stopped) = watch::channel(false);
        let shared = Arc::new(Shared {
            users: users.clone(),
            stopped: stopped.clone(),
            queue: Arc::new(Semaphore::new(config.work_queue)),
            workers: Semaphore::new(config.threads),
            waiting: Semaphore::new(config.waiting),
            limits: config.limits,
            context,
        });
        let router = router(shared, config.metrics);
        let router = transport::guarded(router, AllowedHosts::new(address.ip(), &config.allow_hosts));
        let task = tokio::spawn(transport::serve(listener, router, config.limits, stopped));
        Ok(Self { address, stop, task, cookie, users })
    }

    /// Everyone who may call.
    pub(crate) fn users(&self) -> &Users {
        &self.users
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Takes no more calls, lets those that run end, and removes the cookie.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        // a panic in the accept loop has been reported where it happened
        let _ = self.task.await;
        drop(self.cookie);
    }
}

struct Shared {
    context: Arc<Context>,
    users: Users,
    stopped: watch::Receiver<bool>,
    queue: Arc<Semaphore>,
    workers: Semaphore,
    waiting: Semaphore,
    limits: Limits,
}

fn router(shared: Arc<Shared>, with_metrics: bool) -> Router {
    let rest = rest::router(Arc::clone(&shared.context));
    let metrics = with_metrics.then(|| metrics::router(Arc::clone(&shared.context)));
    let router = Router::new()
        .route("/", any(serve_root_call))
        .route("/wallet/{name}", any(serve_wallet_call))
        .route("/events", get(serve_events))
        .with_state(shared)
        .nest("/rest", rest);
    metrics.into_iter().fold(router, Router::merge)
}

/// What happens on the node, as server-sent events, for whoever may call `tine_events`.
async fn serve_events(State(shared): State<Arc<Shared>>, request: HttpRequest) -> Response {
    let headers = request.headers().clone();
    let user = match let_in(&shared, authorization(&headers)).await {
        Ok(user) => user,
        Err(response) => return response,
    };
    if !user.may_call("tine_events") {
        return forbidden(&user, "tine_events");
    }
    stream::follow(&shared.context.feed(), &headers, shared.stopped.clone())
}

fn forbidden(user: &User, method: &str) -> Response {
    tracing::warn!(user = user.name, method, "JSON-RPC call that is not on the user's whitelist");
    let message = format!("RPC User {} not allowed to call method {method}\n", user.name);
    (StatusCode::FORBIDDEN, message).into_response()
}

fn authorization(headers: &HeaderMap) -> Option<String> {
    headers.get(header::AUTHORIZATION).map(|value| value.to_str().unwrap_or("").to_owned())
}

async fn serve_root_call(State(shared): State<Arc<Shared>>, request: HttpRequest) -> Response {
    serve_call(shared, None, request).await
}

async fn serve_wallet_call(
    State(shared): State<Arc<Shared>>,
    Path(name): Path<String>,
    request: HttpRequest,
) -> Response {
    serve_call(shared, Some(name.into()), request).await
}

fn refuse(status: StatusCode, message: &'static str) -> Response {
    // what is left of the body is not worth reading
    (status, [(header::CONNECTION, "close")], format!("{message}\n")).into_response()
}

async fn serve_call(shared: Arc<Shared>, wallet: Option<Arc<str>>, request: HttpRequest) -> Response {
    if request.method() != axum::http::Method::POST {
        return refuse(StatusCode::METHOD_NOT_ALLOWED, "JSONRPC server handles only POST requests");
    }
    // a body can't be shared between threads, so nothing of the request may be borrowed across an await
    let answered = async {
        let user = let_in(&shared, authorization(request.headers())).await?;
        let body = read_body(&shared, request).await?;
        run(&shared, &user, wallet, body).await
    };
    match answered.await {
        Ok(answer) => respond(answer),
        Err(response) => response,
    }
}

/// Who is calling, if that is anybody who may.
async fn let_in(shared: &Shared, header: Option<String>) -> Result<Arc<User>, Response> {
    if let Some(header) = header {
        if let Some(user) = shared.users.find(&header) {
            return Ok(user);
        }
        tracing::warn!("JSON-RPC call with a wrong password");
        tokio::time::sleep(FAILURE_DELAY).await;
    }
    let ask = (header::WWW_AUTHENTICATE, "Basic realm=\"jsonrpc\"");
    Err((StatusCode::UNAUTHORIZED, [ask, (header::CONNECTION, "close")], "").into_response())
}

/// The first method of a body that a user may not call (Core refuses a batch as a whole).
fn not_allowed<'a>(user: &User, body: &'a Body) -> Option<&'a str> {
    let method = |item: &'a envelope::Parsed| item.as_ref().ok().map(|request| request.method.as_str());
    let refused = |method: &&str| !user.may_call(method);
    match body {
        Body::Single(item) => method(item).filter(refused),
        Body::Batch(items) => items.iter().filter_map(method).find(refused),
    }
}

async fn read_body(shared: &Shared, request: HttpRequest) -> Result<axum::body::Bytes, Response> {
    let too_large = || refuse(StatusCode::PAYLOAD_TOO_LARGE, "the request is too large");
    let announced = request.headers().get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    if announced.and_then(|length| length.parse::<usize>().ok()).is_some_and(|length| length > MAX_BODY_SIZE)
    {
        return Err(too_large());
    }
    match tokio::time::timeout(shared.limits.body_timeout, to_bytes(request.into_body(), MAX_BODY_SIZE)).await
    {
        Ok(Ok(body)) => Ok(body),
        Ok(Err(_)) => Err(too_large()),
        Err(_) => Err(refuse(StatusCode::REQUEST_TIMEOUT, "the request's body took too long")),
    }
}

/// Runs what the body holds on a worker's thread; a single call that waits for something waits here instead, and one that
/// need not wait is answered here.
async fn run(
    shared: &Arc<Shared>,
    user: &User,
    wallet: Option<Arc<str>>,
    body: axum::body::Bytes,
) -> Result<Answer, Response> {
    let queue_full = || refuse(StatusCode::SERVICE_UNAVAILABLE, "Work queue depth exceeded");
    let place = Arc::clone(&shared.queue).try_acquire_owned().map_err(|_| queue_full())?;
    let body = match envelope::parse(&body) {
        Ok(body) => body,
        Err(error) => return Ok(Answer::unreadable(error)),
    };
    if let Some(method) = not_allowed(user, &body) {
        return Err(forbidden(user, method));
    }
    let body = match answer_at_once(shared, wallet.as_ref(), body) {
        Ok(answer) => return Ok(answer),
        Err(body) => body,
    };
    if let Body::Single(Ok(request)) = &body
        && let Some(Handler::Wait(_)) = registry::find(&request.method).map(|method| method.handler)
    {
        drop(place);
        let _waiter = shared.waiting.try_acquire().map_err(|_| queue_full())?;
        let Body::Single(Ok(Request { envelope, method, params })) = body else {
            unreachable!("matched above");
        };
        let outcome = match registry::prepare(&shared.context, wallet.as_ref(), &method, params) {
            Ok((Handler::Wait(wait), call)) => wait(call).await,
            Ok((Handler::Quick(run) | Handler::Now(run), call)) => run(&call),
            Err(error) => Err(error),
        };
        count_error(&shared.context, &outcome);
        return Ok(Answer::single(&envelope, &outcome));
    }
    let _worker = shared.workers.acquire().await.expect("the semaphore is never closed");
    let context = Arc::clone(&shared.context);
    let runtime = tokio::runtime::Handle::current();
    let work = move || {
        let _place = place;
        let mut sends = match &body {
            Body::Batch(items) => Some(Sends::of(items)),
            Body::Single(_) => None,
        };
        envelope::execute(body, |place, method, params| {
            let sent = sends.as_mut().and_then(|sends| sends.answer(&context, place));
            let outcome =
                sent.unwrap_or_else(|| match registry::prepare(&context, wallet.as_ref(), method, params)? {
                    (Handler::Quick(run) | Handler::Now(run), call) => run(&call),
                    (Handler::Wait(wait), call) => runtime.block_on(wait(call)),
                });
            count_error(&context, &outcome);
            outcome
        })
    };
    Ok(tokio::task::spawn_blocking(work).await.unwrap_or_else(|panic| {
        let message = format!("a method failed to handle its input: {panic}");
        tracing::error!(message);
        let outcome: Outcome = Err(RpcError::new(Code::Internal, message));
        Answer::single(&envelope::Envelope::default(), &outcome)
    }))
}

/// The answer to a single call of a method that is quick; anything else is given back.
fn answer_at_once(shared: &Shared, wallet: Option<&Arc<str>>, body: Body) -> Result<Answer, Body> {
    let is_quick =
        |method: &str| matches!(registry::find(method).map(|method| method.handler), Some(Handler::Quick(_)));
    match body {
        Body::Single(Ok(Request { envelope, method, params })) if is_quick(&method) => {
            let outcome = match registry::prepare(&shared.context, wallet, &method, params) {
                Ok((Handler::Quick(run), call)) => run(&call),
                Ok((Handler::Now(_) | Handler::Wait(_), _)) => unreachable!("looked up above"),
                Err(error) => Err(error),
            };
            count_error(&shared.context, &outcome);
            Ok(Answer::single(&envelope, &outcome))
        }
        body @ (Body::Single(_) | Body::Batch(_)) => Err(body),
    }
}

fn count_error(context: &Context, outcome: &Outcome) {
    if let Err(error) = outcome {
        context.call_metrics().failed(error.code);
    }
}

fn respond(answer: Answer) -> Response {
    let status = StatusCode::from_u16(answer.status).expect("one of 200, 204, 400, 404 and 500");
    if status == StatusCode::NO_CONTENT {
        return status.into_response();
    }
    // python-bitcoinrpc raises for any other type
    (status, [(header::CONTENT_TYPE, "application/json")], HttpBody::from(answer.body)).into_response()
}
