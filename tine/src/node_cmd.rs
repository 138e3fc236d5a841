//! `tine node`: one node, until it is told to stop.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tine_chain::params::Network;
use tine_node::event::{Notice, Removal};
use tine_wallet::dev::DevWallet;
use tokio::sync::broadcast::error::RecvError;
use tracing::level_filters::LevelFilter;

use crate::config::{NodeSettings, Settings, StartSettings};
use crate::dirs;
use crate::driver::NodeHandle;
use crate::exit::Error;
use crate::fleet::Fleet;
use crate::full_node::{FullNode, Options};
use crate::out::Out;
use crate::signals::StopSignal;
use crate::web::Page;

/// How long a node that was told of peers waits for one before it mines all the same.
const MEETING: Duration = Duration::from_secs(10);
/// How long the log rests when it has said everything: what comes in a burst wakes it once.
const LOG_REST: Duration = Duration::from_millis(5);

/// Runs the command.
///
/// # Errors
/// A part of the node does not start; storage fails.
pub fn run(out: Out, settings: &Settings, node: &NodeSettings) -> Result<(), Error> {
    let runtime = runtime()?;
    let options = options(settings, node);
    let (explorer_port, start) = (node.explorer_port, node.start.clone());
    let (mine, has_peers) = (node.mine, !node.connect.is_empty());
    runtime.block_on(async {
        let signal = StopSignal::listen()?;
        let node = FullNode::start(options).await?;
        say_who_it_is(out, &node, mine);
        tokio::spawn(log_notices(node.node.clone()));
        if mine {
            meet_somebody(&node.node, has_peers).await;
            if let Some(miner) = &node.miner {
                miner.resume();
            }
        }
        let page = match explorer_port {
            Some(port) => {
                Some(start_page(port, &start, &Fleet::of(std::slice::from_ref(node.context()))).await?)
            }
            None => None,
        };
        let mut stop_requested = node.stop_requested();
        tokio::select! {
            () = signal.asked() => {}
            _ = stop_requested.wait_for(|asked| *asked) => {}
            () = node.node.stopped() => {}
        }
        out.line("stopping");
        if let Some(page) = page {
            page.stop().await;
        }
        node.stop().await
    })
}

/// Waits until a node that was told of peers has met one and has caught up with it, but not for ever.
async fn meet_somebody(node: &NodeHandle, has_peers: bool) {
    let met = async {
        let mut views = node.views();
        // an error means that the node has stopped
        let _ = views.wait_for(|view| !view.peers.is_empty() && !view.syncing).await;
    };
    if has_peers && tokio::time::timeout(MEETING, met).await.is_err() {
        tracing::warn!("no peer answers: mining alone");
    }
}

/// The threads that serve connections and RPC.
///
/// # Errors
/// The system gives no threads.
pub fn runtime() -> Result<tokio::runtime::Runtime, Error> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Error::failed("the runtime", error))
}

fn options(settings: &Settings, node: &NodeSettings) -> Options {
    let is_dev = node.network == Network::Devnet && DevWallet::named(&node.name).is_some();
    Options {
        name: node.name.clone(),
        own_wallet: node.name.clone(),
        place: 0,
        network: node.network,
        dir: dirs::node_dir(&settings.root, node.network, &node.name),
        seed: node.seed,
        listen: node.listen.clone(),
        connect: node.connect.clone(),
        connect_only: node.connect_only,
        mdns: node.mdns,
        kademlia: true,
        // not before it has met its peers: what it mines alone would be a fork
        mine: false,
        needs_payee: node.mine,
        hashrate: node.hashrate,
        miner_threads: node.miner_threads,
        mine_to: node.mine_to.clone(),
        // a node that is called like one of the devnet's people is one of them
        dev_wallets: if is_dev { crate::devnet::people() } else { Vec::new() },
        rpc_port: node.rpc_port,
        grpc: node.grpc,
        explorer_port: node.explorer_port,
        cookie_file: node.cookie_file.clone(),
        byzantine: node.byzantine,
        start: node.start.clone(),
        steward: None,
    }
}

fn say_who_it_is(out: Out, node: &FullNode, mine: bool) {
    let view = node.node.view();
    let entry = &node.entry;
    out.line(format!(
        "{} on {}  height {}  tip {}",
        out.bold(&node.name),
        dirs::network_name(view.network),
        view.tip.height,
        view.tip.hash
    ));
    out.line(format!("  rpc      {}  (cookie {})", entry.rpc, entry.cookie.display()));
    if let Some(grpc) = &entry.grpc {
        out.line(format!("  grpc     {grpc}"));
    }
    for address in &entry.listen {
        out.line(format!("  p2p      {address}"));
    }
    if let Some(explorer) = &entry.explorer {
        out.line(format!("  explorer {explorer}"));
    }
    if let Some(miner) = node.miner.as_ref().map(crate::miner::MinerHandle::status) {
        // it begins when it has met its peers
        let state = if mine || miner.mining { "mines" } else { "not mining" };
        out.line(format!("  miner    {state}, pays {}", miner.address));
    }
    out.document(
        &json!({ "event": "started", "node": entry, "height": view.tip.height, "tip": view.tip.hash }),
    );
}

/// Serves the page of these nodes on `port`.
///
/// # Errors
/// The port is taken.
pub async fn start_page(port: u16, start: &StartSettings, fleet: &Arc<Fleet>) -> Result<Page, Error> {
    let bind = SocketAddr::new(start.rpc_bind, port);
    Page::start(bind, !bind.ip().is_loopback(), &start.rpc_allow_host, Arc::clone(fleet)).await.map_err(
        |error| {
            Error::Failed(format!(
                "the explorer on {bind}: {error}; choose another port with --explorer-port"
            ))
        },
    )
}

/// The log of a node that runs alone: what the pure crates report as facts.
async fn log_notices(node: NodeHandle) {
    if LevelFilter::current() < LevelFilter::WARN {
        return; // there is nothing to be said about any notice
    }
    let mut notices = node.subscribe();
    loop {
        match notices.recv().await {
            Ok(stamped) => log_notice(&stamped.notice),
            Err(RecvError::Lagged(lost)) => tracing::warn!(lost, "the log is behind"),
            Err(RecvError::Closed) => return,
        }
        if notices.is_empty() {
            tokio::time::sleep(LOG_REST).await;
        }
    }
}

fn log_notice(notice: &Notice) {
    match notice {
        Notice::Chain(change) => {
            if let Some(reorg) = &change.reorg {
                let depth = reorg.disconnected.len();
                tracing::warn!(number = reorg.number, depth, fork = reorg.fork.height, "REORG");
            }
            for block in &change.connected {
                let (height, transactions) = (block.height, block.transactions);
                tracing::info!(height, hash = %block.hash, transactions, "block connected");
            }
        }
        Notice::HeaderSeen(_, hash, height, peer) => {
            tracing::debug!(height, %hash, peer = peer.map(|peer| peer.0), "header seen");
        }
        Notice::BlockInvalid(hash, reject) => {
            tracing::warn!(%hash, reason = reject.reason(), "invalid block")
        }
        Notice::TransactionAdded(tx) => tracing::debug!(txid = %tx.txid(), "transaction added"),
        Notice::TransactionRemoved(txid, Removal::Replaced { coin, by }) => {
            tracing::warn!(%txid, %by, %coin, "transaction replaced");
        }
        Notice::TransactionRemoved(txid, why) => tracing::debug!(%txid, ?why, "transaction removed"),
        Notice::DoubleSpendAttempt { refused, kept, coin } => {
            tracing::warn!(%refused, %kept, %coin, "double spend refused");
        }
        Notice::Syncing { blocks, headers } => tracing::info!(blocks, headers, "catching up"),
        Notice::Wanted(wtxid) => tracing::debug!(%wtxid, "wanted"),
    }
}
