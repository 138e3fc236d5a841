//! The nodes of the page, as they are now.

use serde::Serialize;
use tine_chain::hash::BlockHash;

use super::feed::{Feed, links};
use super::past::Past;
use crate::fleet::Member;
use crate::methods::MinerStatus;

/// A node.
#[derive(Debug, Serialize)]
struct NodeState {
    name: String,
    /// Whether it runs; of a node that does not, the rest is what was last seen.
    running: bool,
    height: u32,
    tip: BlockHash,
    work: String,
    syncing: bool,
    mempool: usize,
    mempool_bytes: u64,
    forks: usize,
    reorgs: u64,
    peers: serde_json::Value,
    cut: serde_json::Value,
    connections: usize,
    /// How bad its line was made: see [`crate::methods::NetFault`].
    delay_ms: u64,
    drop_percent: u8,
    miner: Option<MinerStatus>,
    wallets: Vec<String>,
}

/// The nodes, and up to which event this is true.
#[derive(Debug, Serialize)]
pub(super) struct State {
    run: String,
    last: u64,
    network: &'static str,
    version: &'static str,
    controls: bool,
    /// Whether nodes can be stopped and started.
    steered: bool,
    /// When a run that is over ended; the page goes back from there.
    ended: Option<u64>,
    nodes: Vec<NodeState>,
}

/// A picture of `nodes`.
pub(super) fn state(members: &[Member], feed: &Feed, past: Option<&Past>, controls: bool) -> State {
    // read first: an event between this and the picture is told again, and none is lost
    let last = feed.last();
    State {
        run: feed.run.clone(),
        last,
        network: members.first().map_or("", |node| node.view().network.name()),
        version: env!("CARGO_PKG_VERSION"),
        controls,
        ended: past.map(|past| past.end),
        steered: members.iter().any(|member| member.running().is_some_and(|node| node.steward.is_some())),
        nodes: members.iter().map(|member| node_state(member, feed, past)).collect(),
    }
}

fn node_state(member: &Member, feed: &Feed, past: Option<&Past>) -> NodeState {
    let (view, node) = (member.view(), member.running());
    let status = node.and_then(|node| node.network.as_ref()).map(tine_p2p::Network::status);
    let live = || status.as_deref().map(|status| links(feed, status)).unwrap_or_default();
    let mut links = past.map_or_else(live, |past| past.links_of(&member.name));
    let listed = links["peers"].as_array().map_or(0, Vec::len);
    let faults = node.map(|node| node.node.faults());
    NodeState {
        name: member.name.clone(),
        running: node.is_some(),
        height: view.tip.height,
        tip: view.tip.hash,
        work: view.tip.work.to_string(),
        syncing: node.is_some() && view.syncing,
        mempool: view.mempool.len(),
        mempool_bytes: view.mempool.bytes(),
        forks: view.tips.len() - 1,
        reorgs: view.reorgs.last().map_or(0, |reorg| reorg.number + 1),
        peers: links["peers"].take(),
        cut: links["cut"].take(),
        connections: node.map_or(0, |_| listed.max(view.peers.len())),
        delay_ms: faults.map_or(0, |faults| faults.delay().as_millis() as u64),
        drop_percent: faults.map_or(0, crate::driver::Faults::drop_percent),
        miner: node.and_then(|node| node.miner.as_ref()).map(crate::miner::MinerHandle::status),
        wallets: node
            .and_then(|node| node.wallets.as_ref())
            .map(|wallets| wallets.names())
            .unwrap_or_default(),
    }
}
