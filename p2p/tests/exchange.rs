//! Requests and responses between nodes, over each transport, and what ends them.
#![allow(clippy::wildcard_enum_match_arm, reason = "a test waits for one event and lets the others pass")]

mod common;

use common::{A_WHILE, Node, config, is_connected, start, start_connected};
use tine_chain::hash::BlockHash;
use tine_node::event::{Action, Event, PeerId, RequestId};
use tine_node::wire::{Request, Response};
use tine_p2p::Error;

async fn request_of(node: &mut Node) -> (PeerId, RequestId, Request) {
    node.wait("request", |event| match event {
        Event::Request(peer, id, request) => Some((peer, id, request)),
        _ => None,
    })
    .await
}

/// Asks in both directions, and gets the answers that belong to the questions.
async fn exchange(listen: &str, transport: &str) {
    let mut settings = config(1);
    settings.listen = vec![listen.to_owned()];
    let mut alice = start(settings).await;
    let mut bob = start_connected(2, &[&alice]).await;
    let (of_bob, of_alice) = (alice.connected(&bob).await, bob.connected(&alice).await);
    let status = bob.until("described", |status| status.peers.len() == 1).await;
    assert_eq!(status.peers[0].transport, transport);
    assert_eq!(status.peers[0].agent, format!("/tine:{}/", env!("CARGO_PKG_VERSION")));
    assert!(status.peers[0].outbound);
    assert!(!alice.network.peers()[0].outbound);

    // More at once than may be under way: the rest waits for its turn.
    for n in 0..40u8 {
        let request = Request::Headers { locator: vec![BlockHash([n; 32])] };
        bob.act(Action::Request(of_alice, RequestId(u64::from(n)), request)).await;
    }
    for _ in 0..40 {
        let (peer, id, request) = request_of(&mut alice).await;
        assert_eq!(peer, of_bob);
        let Request::Headers { locator } = request else { panic!("that was not asked") };
        let answer = Response::Mempool(vec![tine_chain::hash::Wtxid(locator[0].0)]);
        alice.act(Action::Respond(peer, id, answer)).await;
    }
    let mut answered = Vec::new();
    for _ in 0..40 {
        let (peer, id, response) = bob
            .wait("response", |event| match event {
                Event::Response(peer, id, response) => Some((peer, id, response)),
                _ => None,
            })
            .await;
        assert_eq!(peer, of_alice);
        assert_eq!(response, Response::Mempool(vec![tine_chain::hash::Wtxid([id.0 as u8; 32])]));
        answered.push(id.0);
    }
    answered.sort_unstable();
    assert_eq!(answered, (0..40).collect::<Vec<_>>());

    alice.act(Action::Request(of_bob, RequestId(7), Request::Mempool)).await;
    let (peer, id, request) = request_of(&mut bob).await;
    assert_eq!((peer, request), (of_alice, Request::Mempool));
    bob.act(Action::Respond(peer, id, Response::Mempool(Vec::new()))).await;
    alice
        .wait("response", |event| match event {
            Event::Response(_, RequestId(7), Response::Mempool(ids)) => {
                assert!(ids.is_empty());
                Some(())
            }
            _ => None,
        })
        .await;
    let sent = bob.until("counted", |status| status.peers[0].bytes_received > 40 * 33).await;
    assert!(sent.peers[0].bytes_sent > 40 * 33);
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_ask_each_other_over_tcp() {
    exchange("/ip4/127.0.0.1/tcp/0", "tcp").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_ask_each_other_over_quic() {
    exchange("/ip4/127.0.0.1/udp/0/quic-v1", "quic").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_is_looked_up() {
    let alice = start(config(1)).await;
    let mut settings = config(2);
    settings.connect = vec![format!("localhost:{}", common::port_of(&alice))];
    let bob = start(settings).await;
    bob.until_peers(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p2p_01_nodes_of_different_chains_have_nothing_to_say_to_each_other() {
    let mut alice = start(config(1)).await;
    let mut settings = config(2);
    settings.genesis = BlockHash([0x77; 32]);
    settings.connect = vec![alice.address()];
    let mut bob = start(settings).await;
    // The handshake itself succeeds, and then both hang up.
    bob.network.dial(&alice.address()).await.ok();
    alice.never(is_connected).await;
    bob.never(is_connected).await;
    assert!(alice.network.peers().is_empty());
    alice.until("alone", |status| status.counters.established() == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_under_way_fail_when_the_peer_goes_and_before_it_is_gone() {
    let mut alice = start(config(1)).await;
    let mut bob = start_connected(2, &[&alice]).await;
    let of_alice = bob.connected(&alice).await;
    for n in 0..20 {
        bob.act(Action::Request(of_alice, RequestId(n), Request::Mempool)).await;
    }
    request_of(&mut alice).await;
    alice.network.shutdown().await;
    let mut failed = Vec::new();
    bob.wait("disconnection", |event| match event {
        Event::RequestFailed(peer, id) => {
            assert_eq!(peer, of_alice);
            failed.push(id.0);
            None
        }
        Event::Disconnected(peer) => {
            assert_eq!(peer, of_alice);
            Some(())
        }
        _ => None,
    })
    .await;
    failed.sort_unstable();
    assert_eq!(failed, (0..20).collect::<Vec<_>>(), "each exactly once");
    // Whoever is gone can't be asked.
    bob.act(Action::Request(of_alice, RequestId(99), Request::Mempool)).await;
    bob.wait("failure", |event| matches!(event, Event::RequestFailed(_, RequestId(99))).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p2p_14_a_node_does_not_connect_to_itself() {
    let mut alice = start(config(1)).await;
    let bare = alice.address().split("/p2p/").next().expect("an address").to_owned();
    assert!(matches!(alice.network.dial(&bare).await, Err(Error::Dial { .. })));
    assert!(matches!(alice.network.dial(&alice.address()).await, Err(Error::Dial { .. })));
    alice.never(is_connected).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_that_is_taken_is_an_error_that_names_it() {
    let alice = start(config(1)).await;
    let taken = format!("127.0.0.1:{}", common::port_of(&alice));
    let mut settings = config(2);
    settings.listen = vec![taken.clone()];
    match tine_p2p::start(settings).await {
        Err(Error::Listen { address, .. }) => assert_eq!(address, taken),
        other => panic!("{:?}", other.map(|_| ())),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_takes_no_events_still_gets_its_actions_carried_out() {
    let mut alice = start(config(1)).await;
    let mut bob = start_connected(2, &[&alice]).await;
    let (of_bob, of_alice) = (alice.connected(&bob).await, bob.connected(&alice).await);
    // From here on Alice takes nothing, while Bob asks, and she asks in turn: neither may wait for the other.
    for n in 0..300 {
        bob.act(Action::Request(of_alice, RequestId(n), Request::Mempool)).await;
        bob.act(Action::Publish(common::transaction(n))).await;
    }
    let asking = async {
        for n in 0..3_000 {
            alice.act(Action::Request(of_bob, RequestId(n), Request::Mempool)).await;
        }
    };
    tokio::time::timeout(common::PATIENCE, asking).await.expect("actions are always taken");
    // Then she wakes up, and it all goes on: of what Bob asked, the first may have timed out by now.
    tokio::time::sleep(A_WHILE).await;
    let answering = async {
        loop {
            let (peer, id, _) = request_of(&mut alice).await;
            alice.act(Action::Respond(peer, id, Response::Mempool(Vec::new()))).await;
        }
    };
    tokio::select! {
        () = answering => unreachable!("it answers for ever"),
        () = bob.wait("response", |event| matches!(event, Event::Response(..)).then_some(())) => {}
    }
}
