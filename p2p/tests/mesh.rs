//! Everybody dials everybody, as on a devnet: whatever the order, one connection for each pair, and what is published
//! once they have met reaches all of them at once.
#![allow(clippy::wildcard_enum_match_arm, reason = "a test waits for one event and lets the others pass")]

mod common;

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::time::{Duration, Instant};

use common::{Node, block, config, port_of, start};
use tine_node::event::{Action, Event};
use tokio::net::TcpStream;
use tokio::sync::oneshot;

/// Longer than a busy machine takes to carry a message over loopback; shorter than anything that would mend a loss:
/// a ping ([`settings`] makes them rare) and the node's next question for headers.
const AT_ONCE: Duration = Duration::from_secs(2);

/// Ports that are free now. Addresses without identities, so that nobody knows whom it dials.
fn free_ports(count: usize) -> Vec<u16> {
    let bound: Vec<_> = (0..count).map(|_| TcpListener::bind("127.0.0.1:0").expect("a free port")).collect();
    bound.iter().map(|listener| listener.local_addr().expect("it is bound").port()).collect()
}

fn settings(place: usize, ports: &[u16], seed: usize) -> tine_p2p::Config {
    let mut settings = config((seed * ports.len() + place + 1) as u8);
    settings.listen = vec![format!("127.0.0.1:{}", ports[place])];
    settings.connect =
        ports.iter().filter(|port| **port != ports[place]).map(|port| format!("127.0.0.1:{port}")).collect();
    settings.limits.ping_interval = Duration::from_secs(60);
    settings
}

/// Starts nodes, with so much time from each to the next, and returns when each has been told of all others.
async fn devnet(count: usize, apart: Duration, seed: usize) -> Vec<Node> {
    let ports = free_ports(count);
    let mut nodes = Vec::new();
    for place in 0..count {
        nodes.push(start(settings(place, &ports, seed)).await);
        tokio::time::sleep(apart).await;
    }
    for node in &mut nodes {
        let mut met = BTreeSet::new();
        while met.len() + 1 < count {
            node.wait("meeting", |event| match event {
                Event::Connected(peer, _) => Some(met.insert(peer)),
                Event::Disconnected(peer) => Some(met.remove(&peer)),
                _ => None,
            })
            .await;
        }
    }
    nodes
}

/// Each publishes, nobody passes anything on: all must have it of the publisher itself.
async fn all_hear_all(nodes: &mut [Node], first: u64) {
    for publisher in 0..nodes.len() {
        let news = block(first + publisher as u64);
        let published = Instant::now();
        nodes[publisher].act(Action::Publish(news.clone())).await;
        for (place, node) in nodes.iter_mut().enumerate().filter(|(place, _)| *place != publisher) {
            node.gossip(&news).await;
            let took = published.elapsed();
            assert!(took < AT_ONCE, "{publisher}'s block came to {place} after {took:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_has_met_hears_each_block_at_once_in_whatever_order_nodes_start() {
    // together; between two ticks of the first ones; while the first ones wait for longer and longer
    for (seed, apart) in [0u64, 0, 7, 60, 130, 260, 700].into_iter().enumerate() {
        let mut nodes = devnet(4, Duration::from_millis(apart), seed).await;
        all_hear_all(&mut nodes, 1).await;
        for node in &nodes {
            node.network.shutdown().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pair_has_one_connection_and_keeps_it_while_it_is_dialled_again() {
    let mut nodes = devnet(3, Duration::from_millis(40), 40).await;
    let addresses: Vec<_> = nodes.iter().map(Node::address).collect();
    for round in 0..4 {
        for node in &nodes {
            for address in addresses.iter().filter(|address| !address.contains(&node.identity())) {
                let unknown = address.split("/p2p/").next().expect("the part before");
                node.network.dial(unknown).await.expect("it is there, and connected");
            }
        }
        for node in &mut nodes {
            assert_eq!(node.network.counters().established(), 2);
            while let Ok(event) = node.events.try_recv() {
                assert!(!matches!(event, Event::Disconnected(_)), "a good connection was closed");
            }
        }
        all_hear_all(&mut nodes, 100 * round).await;
    }
}

/// Carries bytes between whoever dials `listener` and `port`, until it is told to stand still: then both connections stay
/// open and nothing passes any more, as when a machine has vanished.
async fn carry(listener: tokio::net::TcpListener, port: u16, still: oneshot::Receiver<()>) {
    let (mut near, _) = listener.accept().await.expect("somebody dials");
    let mut far = TcpStream::connect(("127.0.0.1", port)).await.expect("it listens");
    tokio::select! {
        _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
        _ = still => std::future::pending().await,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_comes_back_takes_the_place_of_a_connection_that_is_dead() {
    let mut settings = config(1);
    settings.limits.ping_interval = Duration::from_secs(1);
    let mut alice = start(settings).await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let way = listener.local_addr().expect("it is bound");
    let (stand_still, still) = oneshot::channel();
    let carrier = tokio::spawn(carry(listener, port_of(&alice), still));

    let mut bob = config(2);
    bob.connect = vec![way.to_string()];
    let vanishing = start(bob.clone()).await;
    let before = alice.connected(&vanishing).await;
    stand_still.send(()).expect("it carries");
    vanishing.network.shutdown().await;
    bob.connect = vec![alice.address()];
    let back = Instant::now();
    let mut bob = start(bob).await;
    assert_eq!(alice.disconnected().await, before);
    alice.connected(&bob).await;
    bob.connected(&alice).await;
    // Without a new dial, only the time-out of a ping, after ten seconds, would have shown it.
    assert!(back.elapsed() < Duration::from_secs(9), "{:?}", back.elapsed());
    carrier.abort();
}
