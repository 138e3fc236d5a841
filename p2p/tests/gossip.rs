//! Gossip: judged before it goes on, known by its content.
#![allow(clippy::wildcard_enum_match_arm, reason = "a test waits for one event and lets the others pass")]

mod common;

use std::time::Duration;

use common::{block, config, meshed, start, start_connected, transaction};
use tine_chain::reject::Reject;
use tine_node::event::{Action, Event, Verdict};
use tine_node::peers::Offence;

/// Three in a line: what the first says reaches the third only through the second.
async fn line() -> (common::Node, common::Node, common::Node) {
    let mut alice = start(config(1)).await;
    let mut bob = start_connected(2, &[&alice]).await;
    let mut carol = start_connected(3, &[&bob]).await;
    alice.connected(&bob).await;
    bob.connected(&carol).await;
    carol.connected(&bob).await;
    meshed(&alice, &mut bob).await;
    meshed(&carol, &mut bob).await;
    (alice, bob, carol)
}

#[tokio::test(flavor = "multi_thread")]
async fn p2p_26_gossip_goes_on_only_when_it_was_accepted() {
    let (alice, mut bob, mut carol) = line().await;

    alice.act(Action::Publish(block(1))).await;
    let id = bob.gossip(&block(1)).await;
    carol.never_gossip(&block(1)).await;
    bob.judge(id, Verdict::Accept).await;
    carol.gossip(&block(1)).await;

    for (n, verdict) in [(2, Verdict::Reject), (3, Verdict::Ignore)] {
        alice.act(Action::Publish(transaction(n))).await;
        let id = bob.gossip(&transaction(n)).await;
        bob.judge(id, verdict).await;
        carol.never_gossip(&transaction(n)).await;
    }
    let counters = bob.until("counted", |status| status.counters.gossip_rejected == 1).await.counters;
    assert_eq!(counters.gossip_accepted, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn p2p_27_what_was_relayed_once_is_not_relayed_again() {
    let (alice, mut bob, mut carol) = line().await;
    alice.act(Action::Publish(block(1))).await;
    let id = bob.gossip(&block(1)).await;
    bob.judge(id, Verdict::Accept).await;
    let id = carol.gossip(&block(1)).await;
    carol.judge(id, Verdict::Accept).await;
    // From the same node, from another, and from one that has just come.
    alice.act(Action::Publish(block(1))).await;
    carol.act(Action::Publish(block(1))).await;
    let dave = start_connected(4, &[&bob]).await;
    bob.connected(&dave).await;
    meshed(&dave, &mut bob).await;
    dave.act(Action::Publish(block(1))).await;
    bob.never_gossip(&block(1)).await;
    carol.never_gossip(&block(1)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_judged_in_time_is_dropped() {
    let mut alice = start(config(1)).await;
    let mut settings = config(2);
    settings.connect = vec![alice.address()];
    settings.limits.verdict_timeout = Duration::from_millis(300);
    let mut bob = start(settings).await;
    let mut carol = start_connected(3, &[&bob]).await;
    alice.connected(&bob).await;
    carol.connected(&bob).await;
    meshed(&alice, &mut bob).await;
    meshed(&carol, &mut bob).await;
    alice.act(Action::Publish(block(1))).await;
    let id = bob.gossip(&block(1)).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    bob.judge(id, Verdict::Accept).await;
    carol.never_gossip(&block(1)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_was_punished_often_is_no_longer_listened_to() {
    let mut alice = start(config(1)).await;
    let mut bob = start_connected(2, &[&alice]).await;
    let of_bob = alice.connected(&bob).await;
    bob.connected(&alice).await;
    meshed(&bob, &mut alice).await;
    for _ in 0..6 {
        alice.act(Action::Punish(of_bob, Offence::Discontinuous)).await;
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    bob.act(Action::Publish(block(1))).await;
    alice.never_gossip(&block(1)).await;
    // What is nobody's fault costs nothing.
    let mut carol = start_connected(3, &[&alice]).await;
    let of_carol = alice.connected(&carol).await;
    carol.connected(&alice).await;
    for _ in 0..20 {
        alice.act(Action::Punish(of_carol, Offence::Broke(Reject::TimeTooNew))).await;
    }
    meshed(&carol, &mut alice).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mesh_forms_within_a_second_or_so() {
    let mut alice = start(config(1)).await;
    let mut bob = start_connected(2, &[&alice]).await;
    bob.connected(&alice).await;
    alice.connected(&bob).await;
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    alice.act(Action::Publish(block(9))).await;
    bob.wait("block", |event| {
        matches!(event, Event::Gossip(_, _, gossip) if gossip == block(9)).then_some(())
    })
    .await;
}
