//! `tine devnet`: nodes on loopback in one process, each with its own directory and real connections to the others,
//! that mine, gossip and pay; and a line for every block.

mod blocks;
mod company;
mod events;
mod heard;

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;
use tine_chain::params::Network;
use tine_wallet::dev::{DEV_WALLETS, DevWallet};

use crate::config::{DevnetSettings, Settings};
use crate::dirs;
use crate::driver;
use crate::exit::Error;
use crate::fleet::Steward;
use crate::full_node::{FullNode, Options};
use crate::grpc_at::{GrpcAt, PORT_OFFSET};
use crate::hashrate::HashRate;
use crate::node_cmd::{runtime, start_page};
use crate::out::Out;
use crate::signals::StopSignal;
use company::Company;

/// The shares of power of the first four nodes, in percent.
const SHARES: [u64; 4] = [40, 30, 20, 10];
/// So many nodes all know each other.
const FEW: u32 = 12;
/// How long nodes may take to find each other before they mine all the same.
const MEETING: Duration = Duration::from_secs(4);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(20);

/// The names of the development wallets.
#[must_use]
pub fn people() -> Vec<&'static str> {
    DEV_WALLETS.iter().map(|wallet| wallet.name).collect()
}

/// The name of node number `place`: the four people, then `node5`, `node6` …
pub(crate) fn name_of(place: u32) -> String {
    DEV_WALLETS
        .get(place as usize)
        .map_or_else(|| format!("node{}", place + 1), |wallet| wallet.name.to_owned())
}

/// What share of all power, in percent, node number `place` of `nodes` has: 40, 30, 20, 10; with fewer nodes the same
/// proportions, with more the others as much as the fourth.
fn share_of(place: u32, nodes: u32) -> f64 {
    let weight = |place: u32| SHARES.get(place as usize).copied().unwrap_or(SHARES[3]);
    let total: u64 = (0..nodes).map(weight).sum();
    100.0 * weight(place) as f64 / total as f64
}

/// Whom node number `place` of `nodes` dials: everybody; of many, the next, the second, the fourth … around a ring, so
/// that nobody has too many connections and everybody is a few hops away.
fn neighbours(place: u32, nodes: u32) -> impl Iterator<Item = u32> {
    let step = move |step: u32| if nodes <= FEW { Some(step) } else { 1_u32.checked_shl(step - 1) };
    (1..nodes).map_while(step).take_while(move |step| *step < nodes).map(move |step| (place + step) % nodes)
}

fn rpc_port(base: u16, place: u32) -> u16 {
    base + u16::try_from(10 * place).expect("at most 64 nodes")
}

/// Runs the command.
///
/// # Errors
/// A port is taken; a part of a node does not start; storage fails.
pub fn run(out: Out, settings: &Settings, devnet: &DevnetSettings) -> Result<(), Error> {
    check_ports(devnet)?;
    let runtime = runtime()?;
    runtime.block_on(async {
        let signal = StopSignal::listen()?;
        let since = driver::now();
        let (steward, desk) = Steward::new((0..devnet.nodes).map(name_of).collect());
        let mut nodes = Vec::new();
        for place in 0..devnet.nodes {
            let options = options(settings, devnet, place, &steward);
            nodes.push((options.clone(), FullNode::start(options).await?));
        }
        let mut company = Company::new(nodes, desk);
        let fleet = Arc::clone(company.fleet());
        let page = start_page(devnet.explorer_port, &devnet.start, &fleet).await?;
        let nodes: Vec<&FullNode> = company.nodes().collect();
        meet(&nodes).await;
        introduce(out, settings, devnet, &nodes);
        let watcher = tokio::spawn(blocks::watch(out, fleet.clone(), since));
        let path = settings.root.join(dirs::network_name(Network::Devnet)).join("events.ndjson");
        let recorder = tokio::spawn(events::record(path, fleet.clone(), devnet.seed));
        if devnet.mine {
            nodes.iter().filter_map(|node| node.miner.as_ref()).for_each(crate::miner::MinerHandle::resume);
        }
        tokio::select! {
            () = signal.asked() => {}
            () = company.serve() => {}
        }
        out.line("stopping");
        page.stop().await;
        watcher.abort();
        recorder.abort();
        company.stop_all().await
    })
}

/// All ports are looked at before anything is started, so that an error leaves nothing half begun.
fn check_ports(devnet: &DevnetSettings) -> Result<(), Error> {
    let ports = (0..devnet.nodes).flat_map(|place| {
        let (name, port) = (name_of(place), rpc_port(devnet.base_port, place));
        let grpc = grpc_at(devnet, place).map(|at| (format!("{name}'s gRPC"), at));
        let at = |port| SocketAddr::new(devnet.start.rpc_bind, port);
        [(format!("{name}'s RPC"), at(port)), (format!("{name}'s P2P"), at(port + 1))].into_iter().chain(grpc)
    });
    let explorer = ("the explorer".to_owned(), SocketAddr::new(devnet.start.rpc_bind, devnet.explorer_port));
    // bound together: two uses of one port are an error, too
    let mut bound = Vec::new();
    for (what, at) in ports.chain([explorer.clone()]) {
        let listener = TcpListener::bind(at).map_err(|error| {
            let port = at.port();
            let option = if what == explorer.0 { "--explorer-port" } else { "--base-port" };
            Error::Failed(format!(
                "port {port} for {what} can't be used ({error}); choose others with {option}"
            ))
        })?;
        bound.push(listener);
    }
    Ok(())
}

/// Where a node answers gRPC: on loopback, unless told otherwise.
fn grpc_at(devnet: &DevnetSettings, place: u32) -> Option<SocketAddr> {
    devnet.start.grpc.unwrap_or(GrpcAt::ON).address(rpc_port(devnet.base_port, place))
}

fn options(settings: &Settings, devnet: &DevnetSettings, place: u32, steward: &Steward) -> Options {
    let name = name_of(place);
    let port = |place: u32| rpc_port(devnet.base_port, place) + 1;
    let own = port(place);
    let rate = devnet.hashrate.0 as f64 * share_of(place, devnet.nodes) / 100.0;
    Options {
        place,
        // a fifth node has no wallet of its own: it mines for one of the four people
        own_wallet: people()[place as usize % DEV_WALLETS.len()].to_owned(),
        network: Network::Devnet,
        dir: dirs::node_dir(&settings.root, Network::Devnet, &name),
        seed: devnet.seed,
        listen: vec![format!("/ip4/127.0.0.1/tcp/{own}"), format!("/ip4/127.0.0.1/udp/{own}/quic-v1")],
        connect: neighbours(place, devnet.nodes)
            .map(|other| format!("/ip4/127.0.0.1/tcp/{}", port(other)))
            .collect(),
        connect_only: false,
        mdns: false,
        kademlia: true,
        // not before the nodes have met: their first blocks would be forks of each other
        mine: false,
        needs_payee: devnet.mine,
        hashrate: Some(HashRate((rate as u64).max(1))),
        miner_threads: 1,
        mine_to: None,
        dev_wallets: people(),
        rpc_port: rpc_port(devnet.base_port, place),
        grpc: grpc_at(devnet, place),
        explorer_port: (place == 0).then_some(devnet.explorer_port),
        cookie_file: None,
        byzantine: devnet.byzantine.get(&name).copied(),
        start: devnet.start.clone(),
        steward: Some(steward.clone()),
        name,
    }
}

/// Waits until every node has met every other and all have the same tip, but not for ever.
async fn meet(nodes: &[&FullNode]) {
    let start = Instant::now();
    let have_met = || {
        let views: Vec<_> = nodes.iter().map(|node| node.node.view()).collect();
        let wanted = neighbours(0, nodes.len() as u32).count();
        views.iter().all(|view| view.peers.len() >= wanted && view.tip.hash == views[0].tip.hash)
    };
    while !have_met() && start.elapsed() < MEETING {
        tokio::time::sleep(LOOK).await;
    }
}

fn introduce(out: Out, settings: &Settings, devnet: &DevnetSettings, nodes: &[&FullNode]) {
    for (place, node) in (0..).zip(nodes) {
        let address = node.miner.as_ref().map(|miner| miner.status().address).unwrap_or_default();
        let balance = node.wallets.balance(None).map(|balance| balance.confirmed).unwrap_or_default();
        let share = share_of(place, devnet.nodes);
        let byzantine = devnet
            .byzantine
            .get(&node.name)
            .map_or_else(String::new, |strategy| out.alarm(format!("  BYZANTINE: {strategy}")).to_string());
        out.line(format!(
            " {} {}  p2p {}  miner {share:>2.0} %  {address}  {balance}{byzantine}",
            out.bold(format!("{:<6}", node.name)),
            node.entry.rpc,
            rpc_port(devnet.base_port, place) + 1,
        ));
    }
    let total = devnet.hashrate;
    out.line(format!(" explorer http://127.0.0.1:{}/   all miners together {total}", devnet.explorer_port));
    if nodes[0].entry.grpc.is_some() {
        out.line(format!(
            " gRPC     each node at its RPC port + {PORT_OFFSET}, with its cookie: docs/grpc.md"
        ));
    }
    out.line(format!(" {}", out.alarm("TEST KEYS, PUBLIC: anybody can spend these coins")));
    for wallet in DEV_WALLETS {
        let DevWallet { name, phrase } = wallet;
        out.line(out.dim(format!("   {name:<6} {phrase}")));
    }
    let first = &nodes[0].name;
    let others: Vec<&str> = nodes[1..].iter().map(|node| node.name.as_str()).collect();
    let mut next =
        vec!["tine mine 12".to_owned(), format!("tine send {} 5", others.first().copied().unwrap_or("bob"))];
    if !others.is_empty() {
        next.push(format!("tine net split \"{first} | {}\"", others.join(",")));
    }
    out.line(format!(" next:  {}", next.join("  |  ")));
    out.line(out.dim("        a reward can be spent after 10 blocks: mine first"));
    if dirs::default_root().is_ok_and(|root| root != settings.root) {
        let root = settings.root.display();
        out.line(out.dim(format!("        each with --dir {root}, or after export TINE_DIR={root}")));
    }
    let tip = nodes[0].node.view();
    if tip.tip.height > 0 {
        out.line(format!(" going on at block {}", tip.tip.height));
    }
    out.document(&json!({
        "event": "started",
        "nodes": nodes.iter().map(|node| &node.entry).collect::<Vec<_>>(),
        "explorer": format!("http://127.0.0.1:{}/", devnet.explorer_port),
        "height": tip.tip.height,
        "tip": tip.tip.hash,
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_add_up() {
        let shares =
            |nodes: u32| (0..nodes).map(|place| share_of(place, nodes).round() as u64).collect::<Vec<_>>();
        assert_eq!(shares(4), [40, 30, 20, 10]);
        assert_eq!(shares(1), [100]);
        assert_eq!(shares(2), [57, 43]);
        assert_eq!(shares(5).len(), 5);
        assert!((0..20).map(|place| share_of(place, 20)).sum::<f64>().round() == 100.0);
    }

    #[test]
    fn few_all_know_each_other_and_many_are_some_hops_apart() {
        assert_eq!(neighbours(1, 4).collect::<Vec<_>>(), [2, 3, 0]);
        assert_eq!(neighbours(49, 50).collect::<Vec<_>>(), [0, 1, 3, 7, 15, 31]);
        for nodes in 2..=64 {
            let (mut near, mut hops) = (std::collections::BTreeSet::from([0]), 0);
            while near.len() < nodes as usize {
                near.extend(near.clone().into_iter().flat_map(|place| neighbours(place, nodes)));
                hops += 1;
            }
            assert!(hops <= 6, "{nodes} nodes: {hops} hops");
        }
    }

    #[test]
    fn ports_are_ten_apart() {
        assert_eq!(rpc_port(18_443, 0), 18_443);
        assert_eq!(rpc_port(18_443, 3), 18_473);
        assert_eq!(name_of(0), "alice");
        assert_eq!(name_of(4), "node5");
    }
}
