//! The explorer: one page that shows the network breathe, and drives it where that harms nobody.
//!
//! Everything is embedded in the program and loads nothing from elsewhere. The page asks for the state once, then
//! follows server-sent events; a browser that was away names the last event that it saw and is told the rest. Details
//! and buttons are JSON-RPC calls of the same methods as everybody else's, from a list that this module allows.
//!
//! No other page can drive a node: the `Host` and `Origin` are checked as for RPC ([`crate::rpc::transport`]), and each
//! call carries a token that only this page's own text holds. Buttons work on networks whose coins are worth nothing,
//! and on loopback only.

pub(crate) mod feed;
mod past;
mod state;
pub(crate) mod stream;
mod tree;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::extract::{Path, Query, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use subtle::ConstantTimeEq as _;
use tine_chain::params::Network;
use tine_lab::replay::Run;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use self::feed::Feed;
use self::past::Past;
use crate::fleet::{Fleet, Member};
use crate::rpc::transport::{self, AllowedHosts, Limits};
use crate::rpc::{Context, local};

/// Only what is embedded runs, and nobody frames the page.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
                      connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";
/// The header that carries the token.
const TOKEN_HEADER: &str = "x-tine-token";
/// Where the page's text holds it.
const TOKEN_PLACE: &str = "{{token}}";
/// The largest call that the page makes, in bytes.
const MAX_CALL: usize = 64 * 1024;
/// Events in one answer of the history.
const MAX_HISTORY: usize = 5_000;
/// Connections at once: each open page holds one.
const MAX_CONNECTIONS: usize = 2_048;

/// What the page's buttons do.
const CONTROLS: [&str; 8] = [
    "tine_mine",
    "tine_miner",
    "tine_netfault",
    "tine_netheal",
    "tine_netsplit",
    "tine_netstart",
    "tine_netstop",
    "tine_send",
];
/// What the page's details read.
const READS: [&str; 16] = [
    "getblock",
    "getblockhash",
    "getblockheader",
    "getmempoolinfo",
    "getpeerinfo",
    "getrawmempool",
    "getrawtransaction",
    "tine_explaintip",
    "tine_explaintx",
    "tine_forks",
    "tine_getaddress",
    "tine_getaddresscoins",
    "tine_listconflicts",
    "tine_netinfo",
    "tine_reorgs",
    "tine_walletlist",
];

const FILES: [(&str, &str, &str); 9] = [
    ("/style.css", "text/css; charset=utf-8", include_str!("page/style.css")),
    ("/app.js", "text/javascript; charset=utf-8", include_str!("page/app.js")),
    ("/dom.js", "text/javascript; charset=utf-8", include_str!("page/dom.js")),
    ("/bytes.js", "text/javascript; charset=utf-8", include_str!("page/bytes.js")),
    ("/reorg.js", "text/javascript; charset=utf-8", include_str!("page/reorg.js")),
    ("/tree.js", "text/javascript; charset=utf-8", include_str!("page/tree.js")),
    ("/network.js", "text/javascript; charset=utf-8", include_str!("page/network.js")),
    ("/timeline.js", "text/javascript; charset=utf-8", include_str!("page/timeline.js")),
    ("/details.js", "text/javascript; charset=utf-8", include_str!("page/details.js")),
];

/// A page that is served; dropping it stops it.
#[derive(Debug)]
pub struct Page {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
    listener: Option<JoinHandle<()>>,
}

impl Page {
    /// Listens and serves the state of `nodes`.
    ///
    /// # Errors
    /// When the address is taken, or is not loopback and `allow_remote` is not set.
    pub async fn start(
        bind: SocketAddr,
        allow_remote: bool,
        allow_hosts: &[String],
        fleet: Arc<Fleet>,
    ) -> io::Result<Self> {
        transport::refuse_remote(bind, allow_remote, "the page")?;
        let (feed, listener) = Feed::start(Arc::clone(&fleet));
        let is_play = |member: &Member| matches!(member.view().network, Network::Devnet | Network::Regtest);
        let subject = Subject {
            controls: fleet.members().iter().all(is_play) && bind.ip().is_loopback(),
            fleet,
            feed,
            past: None,
            bodies: tree::Bodies::default(),
        };
        Self::serve(bind, allow_hosts, subject, Some(listener)).await
    }

    /// Listens and serves a run that is over; `nodes` stand where it ended.
    ///
    /// # Errors
    /// When the address is taken, or is not loopback.
    pub async fn of_run(bind: SocketAddr, run: &Run, nodes: Vec<Arc<Context>>) -> io::Result<Self> {
        transport::refuse_remote(bind, false, "the page")?;
        let (mut past, events) = Past::read(run);
        let bodies = tree::Bodies::mined_by(std::mem::take(&mut past.miners));
        let fleet = Fleet::of(&nodes);
        let subject = Subject { controls: false, fleet, feed: Feed::of(events), past: Some(past), bodies };
        Self::serve(bind, &[], subject, None).await
    }

    async fn serve(
        bind: SocketAddr,
        allow_hosts: &[String],
        subject: Subject,
        listener: Option<JoinHandle<()>>,
    ) -> io::Result<Self> {
        let socket = transport::bind(bind).await?;
        let address = socket.local_addr()?;
        let allowed = AllowedHosts::new(address.ip(), allow_hosts);
        let (stop, stopped) = watch::channel(false);
        let shared = Arc::new(Shared { subject, token: token(), stopped: stopped.clone() });
        let router = transport::guarded(router(shared), allowed);
        let limits = Limits { connections: MAX_CONNECTIONS, ..Limits::default() };
        let task = tokio::spawn(transport::serve(socket, router, limits, stopped));
        Ok(Self { address, stop, task, listener })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends it, and waits for that.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        self.listener.iter().for_each(JoinHandle::abort);
        // a panic in the accept loop has been reported where it happened
        let _ = self.task.await;
    }
}

/// What a page shows.
struct Subject {
    fleet: Arc<Fleet>,
    feed: Arc<Feed>,
    /// What is known of a run that is over.
    past: Option<Past>,
    bodies: tree::Bodies,
    controls: bool,
}

struct Shared {
    subject: Subject,
    token: String,
    stopped: watch::Receiver<bool>,
}

/// 128 random bits in hexadecimal digits.
fn token() -> String {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).expect("the system gives random bytes");
    hex::encode(bytes)
}

fn router(shared: Arc<Shared>) -> Router {
    let mut router = Router::new()
        .route("/", get(index))
        .route(
            "/api/state",
            get(|State(shared): State<Arc<Shared>>| async move {
                let Subject { fleet, feed, past, controls, .. } = &shared.subject;
                Json(state::state(&fleet.members(), feed, past.as_ref(), *controls))
            }),
        )
        .route("/api/tree", get(tree_of))
        .route("/api/events", get(events))
        .route("/api/history", get(history))
        .route("/api/rpc/{node}", post(call));
    for (path, kind, text) in FILES {
        router = router.route(path, get(move || async move { ([(header::CONTENT_TYPE, kind)], text) }));
    }
    router.layer(middleware::from_fn(hardened)).with_state(shared)
}

/// Headers of every answer: nothing is stored, guessed, framed or loaded from elsewhere.
async fn hardened(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
    ] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

async fn index(State(shared): State<Arc<Shared>>) -> Response {
    let page = include_str!("page/index.html").replace(TOKEN_PLACE, &shared.token);
    ([(header::CONTENT_TYPE, "text/html; charset=utf-8")], page).into_response()
}

/// As whom the tree is drawn.
#[derive(Debug, Deserialize)]
struct Perspective {
    node: Option<String>,
    /// Whether straight runs are drawn block by block.
    #[serde(default)]
    runs: bool,
}

async fn tree_of(State(shared): State<Arc<Shared>>, Query(wanted): Query<Perspective>) -> Response {
    let named = wanted.node.clone();
    let drawn = transport::open_work(move || {
        let Subject { fleet, bodies, .. } = &shared.subject;
        tree::tree(&fleet.members(), bodies, wanted.node.as_deref(), wanted.runs)
    });
    match drawn.await {
        Ok(Some(tree)) => Json(tree).into_response(),
        Ok(None) => {
            let text = format!("no node is called {:?}\n", named.unwrap_or_default());
            (StatusCode::NOT_FOUND, text).into_response()
        }
        Err(error) => {
            tracing::error!(%error, "the tree was not drawn");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// Which events of the past.
#[derive(Debug, Deserialize)]
struct Since {
    #[serde(default)]
    from: u64,
}

/// Events that are kept, as a JSON list: for the timeline, and for whoever polls.
async fn history(State(shared): State<Arc<Shared>>, Query(since): Query<Since>) -> Response {
    let copy = transport::open_work(move || {
        let events = shared.subject.feed.since(since.from, MAX_HISTORY);
        let list: Vec<&str> = events.iter().map(|event| event.json.as_str()).collect();
        format!("[{}]", list.join(","))
    });
    match copy.await {
        Ok(list) => ([(header::CONTENT_TYPE, "application/json")], list).into_response(),
        Err(error) => {
            tracing::error!(%error, "the history was not copied");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// Server-sent events: first what was missed, then everything as it happens.
async fn events(State(shared): State<Arc<Shared>>, headers: HeaderMap) -> Response {
    stream::follow(&shared.subject.feed, &headers, shared.stopped.clone())
}
/// Runs a call for whoever has read the page.
async fn call(
    State(shared): State<Arc<Shared>>,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let refuse = |status: StatusCode, message: &str| (status, format!("{message}\n")).into_response();
    let given = headers.get(TOKEN_HEADER).map_or(&b""[..], HeaderValue::as_bytes);
    if !bool::from(given.ct_eq(shared.token.as_bytes())) {
        return refuse(
            StatusCode::FORBIDDEN,
            "only the page itself may call; reload it if the node was restarted",
        );
    }
    let Some(node) = shared.subject.fleet.running().into_iter().find(|node| node.name == name) else {
        return refuse(StatusCode::NOT_FOUND, "no such node, or it is stopped");
    };
    let Ok(Ok(body)) = tokio::time::timeout(Limits::default().body_timeout, to_bytes(body, MAX_CALL)).await
    else {
        return refuse(StatusCode::PAYLOAD_TOO_LARGE, "too large, or too slow");
    };
    let controls = shared.subject.controls;
    let allowed = move |method: &str| READS.contains(&method) || (controls && CONTROLS.contains(&method));
    match tokio::task::spawn_blocking(move || local::call(&node, &body, allowed)).await {
        Ok((status, body)) => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            (status, [(header::CONTENT_TYPE, "application/json")], body).into_response()
        }
        Err(error) => {
            tracing::error!(%error, "a method failed to handle its input");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}
