//! Who is connected to whom: cuts, bans, limits, discovery, memory.
#![allow(clippy::wildcard_enum_match_arm, reason = "a test waits for one event and lets the others pass")]

mod common;

use std::time::{Duration, Instant};

use common::{PATIENCE, config, is_connected, port_of, start, start_connected};
use tine_chain::time::Time;
use tine_node::event::Action;
use tine_p2p::{Config, Error, Identity};

fn later(duration: Duration) -> Time {
    let now = std::time::SystemTime::now() + duration;
    Time(now.duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_millis() as u64)
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn a_cut_closes_sockets_and_refuses_new_ones_until_it_is_healed() {
    let mut alice = start(config(1)).await;
    let mut bob = start_connected(2, &[&alice]).await;
    let mut carol = start_connected(3, &[&alice]).await;
    alice.connected(&bob).await;
    alice.connected(&carol).await;
    bob.connected(&alice).await;
    carol.connected(&alice).await;
    assert_eq!(common::sockets_at(port_of(&alice)), 4, "two connections, two ends each");

    alice.network.set_cut(&[bob.identity()]).await.expect("an identity");
    assert_eq!(alice.network.counters().established(), 1);
    assert_eq!(alice.network.status().cut, [bob.identity()]);
    alice.disconnected().await;
    bob.disconnected().await;
    // Bob redials, and is refused at each attempt; Alice, told to dial him, does not.
    alice.until("refused again and again", |status| status.counters.refused >= 2).await;
    assert!(matches!(alice.network.dial(&bob.address()).await, Err(Error::Dial { .. })));
    assert!(bob.network.dial(&alice.address()).await.is_err() || bob.network.peers().is_empty());
    alice.never(is_connected).await;
    let deadline = Instant::now() + PATIENCE;
    while common::sockets_at(port_of(&alice)) != 2 {
        assert!(Instant::now() < deadline, "only Carol's connection is left, between two attempts of Bob's");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(alice.network.peers().len(), 1);
    assert_eq!(alice.network.peers()[0].identity, carol.identity());

    let healed = Instant::now();
    alice.network.heal().await.expect("running");
    alice.until_peers(2).await;
    bob.until_peers(1).await;
    // Bob does not know of it, and waits at most ten seconds between two attempts.
    assert!(healed.elapsed() < Duration::from_secs(12), "{:?}", healed.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn when_both_sides_are_cut_and_healed_the_links_are_back_in_a_moment() {
    let mut nodes = Vec::new();
    for seed in 1..=4u8 {
        let mut settings = config(seed);
        settings.connect = nodes.iter().map(common::Node::address).collect();
        nodes.push(start(settings).await);
    }
    for node in &nodes {
        node.until_peers(3).await;
    }
    let identities: Vec<_> = nodes.iter().map(common::Node::identity).collect();
    let (left, right) = identities.split_at(2);
    for (index, node) in nodes.iter().enumerate() {
        node.network.set_cut(if index < 2 { right } else { left }).await.expect("identities");
    }
    for node in &nodes {
        node.until_peers(1).await;
        assert_eq!(node.network.counters().established(), 1);
    }
    // Long enough for redialling to have grown rare.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let healed = Instant::now();
    for node in &nodes {
        node.network.heal().await.expect("running");
    }
    for node in &nodes {
        node.until_peers(3).await;
    }
    assert!(healed.elapsed() < Duration::from_secs(4), "{:?}", healed.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn two_nodes_that_dial_each_other_at_once_end_with_one_connection() {
    let mut settings = config(1);
    settings.connect = vec!["127.0.0.1:1".to_owned()];
    let alice = start(settings).await;
    let bob = start(config(2)).await;
    let (at_alice, at_bob) = (alice.address(), bob.address());
    let (one, other) = tokio::join!(alice.network.dial(&at_bob), bob.network.dial(&at_alice));
    assert!(one.is_ok() || other.is_ok());
    for node in [&alice, &bob] {
        node.until("one connection", |status| {
            status.peers.len() == 1 && status.counters.established() == 1 && status.counters.pending == 0
        })
        .await;
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(alice.network.counters().established(), 1);
    assert_eq!(bob.network.counters().established(), 1);
}

fn discovering(seed: u8) -> Config {
    let mut settings = config(seed);
    settings.kademlia = true;
    settings.connect_only = false;
    settings
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_knows_one_peer_finds_the_others() {
    let hub = start(discovering(1)).await;
    let mut nodes = Vec::new();
    for seed in 2..=4 {
        let mut settings = discovering(seed);
        settings.connect = vec![hub.address()];
        nodes.push(start(settings).await);
    }
    hub.until_peers(3).await;
    let mut settings = discovering(5);
    settings.connect = vec![hub.address()];
    let late = start(settings).await;
    let status = late.until_peers(4).await;
    for node in &nodes {
        assert!(status.peers.iter().any(|peer| peer.identity == node.identity()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_are_limited_in_total() {
    let mut settings = config(1);
    settings.limits.inbound = 2;
    let alice = start(settings).await;
    let mut others = Vec::new();
    for seed in 2..=5 {
        others.push(start_connected(seed, &[&alice]).await);
    }
    alice.until("refusing", |status| status.peers.len() == 2 && status.counters.refused >= 2).await;
    assert_eq!(alice.network.counters().established(), 2);
    // A slot that falls free is taken.
    let leaving = alice.network.peers()[0].identity.clone();
    let leaver = others.iter().find(|node| node.identity() == leaving).expect("one of them");
    leaver.network.shutdown().await;
    alice
        .until("full again", |status| {
            status.peers.len() == 2 && status.peers.iter().all(|peer| peer.identity != leaving)
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_are_limited_by_address() {
    let mut settings = config(1);
    settings.limits.spare_loopback = false;
    settings.limits.per_address = 1;
    let alice = start(settings).await;
    let _bob = start_connected(2, &[&alice]).await;
    alice.until_peers(1).await;
    let _carol = start_connected(3, &[&alice]).await;
    alice.until("refusing", |status| status.counters.refused >= 2).await;
    assert_eq!(alice.network.counters().established_inbound, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn p2p_18_19_whoever_is_banned_stays_out_over_every_transport_and_after_a_restart() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut settings = config(1);
    settings.peers_file = Some(dir.path().join("peers.json"));
    settings.listen.push("/ip4/127.0.0.1/udp/0/quic-v1".to_owned());
    let mut alice = start(settings.clone()).await;
    let mut bob = start_connected(2, &[&alice]).await;
    let of_bob = alice.connected(&bob).await;
    bob.connected(&alice).await;
    alice.act(Action::Disconnect(of_bob, Some(later(Duration::from_secs(600))))).await;
    assert_eq!(alice.disconnected().await, of_bob);
    for address in alice.network.listen_addresses() {
        let _ = bob.network.dial(&address).await;
    }
    alice.never(is_connected).await;
    assert_eq!(alice.network.status().banned[0].who, bob.identity());
    // Only the identity: everybody on this machine has the same address.
    let carol = start_connected(3, &[&alice]).await;
    alice.connected(&carol).await;
    alice.network.shutdown().await;

    let mut alice = start(settings).await;
    let _ = bob.network.dial(&alice.address()).await;
    alice
        .never(|event| match event {
            tine_node::event::Event::Connected(_, info) => (info.identity == bob.identity()).then_some(()),
            _ => None,
        })
        .await;
    alice.network.clear_banned().await.expect("running");
    bob.network.dial(&alice.address()).await.expect("no longer banned");
    alice.connected(&bob).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_was_only_disconnected_may_come_back() {
    let mut alice = start(config(1)).await;
    let mut bob = start_connected(2, &[&alice]).await;
    let of_bob = alice.connected(&bob).await;
    bob.connected(&alice).await;
    alice.act(Action::Disconnect(of_bob, None)).await;
    alice.disconnected().await;
    assert_ne!(alice.connected(&bob).await, of_bob, "a number is never used again");
}

#[tokio::test(flavor = "multi_thread")]
async fn p2p_24_peers_are_remembered_and_a_broken_file_does_no_harm() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().join("peers.json");
    let alice = start(discovering(1)).await;
    let mut settings = discovering(2);
    settings.peers_file = Some(path.clone());
    settings.connect = vec![alice.address()];
    let bob = start(settings.clone()).await;
    bob.until_peers(1).await;
    bob.network.shutdown().await;

    settings.connect.clear();
    let bob = start(settings.clone()).await;
    bob.until_peers(1).await;
    assert_eq!(bob.network.peers()[0].identity, alice.identity());
    bob.network.shutdown().await;

    for broken in [&b"{"[..], b"", b"\xff\xff", b"[1,2,3]"] {
        std::fs::write(&path, broken).expect("writable");
        let bob = start(settings.clone()).await;
        assert!(bob.network.peers().is_empty());
        bob.network.shutdown().await;
    }
    // It was written anew at the end.
    assert!(std::fs::read_to_string(&path).expect("readable").contains("\"version\""));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_identity_survives_a_restart() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut settings = config(1);
    settings.identity = Identity::File(dir.path().join("p2p.key"));
    let first = start(settings.clone()).await;
    let identity = first.identity();
    first.network.shutdown().await;
    assert_eq!(start(settings.clone()).await.identity(), identity);
    assert_eq!(tine_p2p::identity_of(&settings.identity).expect("readable"), identity);
}

/// Only where the machine can multicast to itself; elsewhere there is nothing to find.
#[tokio::test(flavor = "multi_thread")]
async fn nodes_on_one_network_find_each_other_by_multicast() {
    if !hears_its_own_multicast() {
        return;
    }
    let mut settings = config(1);
    settings.mdns = true;
    settings.connect_only = false;
    settings.listen = vec!["0.0.0.0:0".to_owned()];
    let alice = start(settings.clone()).await;
    settings.identity = Identity::Seed([2; 32]);
    let bob = start(settings).await;
    for (node, other) in [(&alice, &bob), (&bob, &alice)] {
        let other = other.identity();
        node.until("found", |status| status.peers.iter().any(|peer| peer.identity == other)).await;
    }
}

fn hears_its_own_multicast() -> bool {
    let group = std::net::Ipv4Addr::new(224, 0, 0, 251);
    let hear = || -> std::io::Result<usize> {
        let socket = std::net::UdpSocket::bind("0.0.0.0:0")?;
        socket.join_multicast_v4(&group, &std::net::Ipv4Addr::UNSPECIFIED)?;
        socket.set_read_timeout(Some(Duration::from_secs(1)))?;
        socket.send_to(b"anybody?", (group, socket.local_addr()?.port()))?;
        socket.recv(&mut [0; 16])
    };
    hear().is_ok()
}
