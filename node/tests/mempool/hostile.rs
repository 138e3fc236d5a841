//! Peers that want more of our time than is theirs.

use std::sync::Arc;

use tine_chain::hash::Wtxid;
use tine_chain::transaction::Transaction;
use tine_node::event::{Action, Event, GossipId, PeerId, Submission, SubmitId};
use tine_node::wire::{Gossip, Request, Response};

use crate::harness::*;
use crate::rig_with_coins;

/// Connects a peer whose mempool has `ids`. Returns what the node does when it has heard of them.
fn connect_with(rig: &mut Rig, peer: u64, ids: Vec<Wtxid>) -> Vec<Action> {
    let mut actions = rig.connect(peer);
    loop {
        let (id, request) = first_request(&actions, peer).expect("a new peer is asked for what it has");
        actions = match request {
            Request::Headers { .. } => rig.answer(peer, id, Response::Headers(vec![])),
            Request::Mempool => return rig.answer(peer, id, Response::Mempool(ids)),
            other @ (Request::Blocks(_) | Request::BlockTransactions(..) | Request::Transactions(_)) => {
                panic!("asked for {other:?}")
            }
        };
    }
}

#[test]
fn mem_10_a_peer_that_announces_without_end_keeps_nobody_waiting() {
    let (mut rig, funds) = rig_with_coins(2);
    let invented: Vec<Wtxid> =
        (0..4_000u32).map(|n| Wtxid(tine_chain::hash::sha256(&n.to_le_bytes()))).collect();
    let flood = connect_with(&mut rig, 1, invented);
    let asked = |actions: &[Action], peer| -> usize {
        let sizes = requests_to(actions, peer).into_iter().map(|(_, request)| match request {
            Request::Transactions(ids) => ids.len(),
            Request::Headers { .. }
            | Request::Blocks(_)
            | Request::BlockTransactions(..)
            | Request::Mempool => 0,
        });
        sizes.sum()
    };
    assert_eq!(asked(&flood, 1), 100, "one request at a time, of a hundred");
    // the first does not answer: others are asked and heard all the same, and so are programs on this machine
    let honest = forward(funds[0], 2, FEE);
    let actions = connect_with(&mut rig, 2, vec![honest.wtxid()]);
    let id = request_id(&actions, 2, |request| matches!(request, Request::Transactions(_)));
    rig.answer(2, id, Response::Transactions(vec![honest.clone()]));
    assert!(rig.has_tx(&honest));
    rig.submit_tx(&forward(funds[1], 2, FEE)).expect("valid");
}

#[test]
fn mem_13_orphans_that_one_parent_resolves_are_judged_a_few_at_a_time() {
    let (mut rig, funds) = rig_with_coins(1);
    let outputs: Vec<_> = (0..100).map(|_| (7, REWARD / 100 - FEE)).collect();
    let parent = pay(&funds, &outputs);
    let children: Vec<Arc<Transaction>> =
        (0..100).map(|vout| forward(Funds::of(&parent, vout, 7), 2, FEE)).collect();
    for peer in 1..5 {
        rig.connect_empty(peer);
    }
    for (peer, children) in (1..5).zip(children.chunks(25)) {
        for child in children {
            rig.gossip_tx(peer, child);
        }
    }
    assert_eq!(rig.node.orphan_count(), 100);
    let block = mine_on(&rig.node, None, 1, rig.now);
    let gossip = Event::Gossip(PeerId(1), GossipId(77_777), Gossip::Transaction(parent.clone()));
    rig.node.handle(gossip, rig.now).expect("memory never fails");
    assert!(rig.has_tx(&parent));
    assert!(rig.node.orphan_count() > 50, "most of them wait");
    assert_eq!(rig.node.deadline(), Some(rig.now), "it goes on at once");
    // a block that comes meanwhile is connected in one call
    let height = rig.height();
    let submit = Event::Submit(SubmitId(1), Submission::Block(block));
    rig.node.handle(submit, rig.now).expect("memory never fails");
    assert_eq!(rig.height(), height + 1);
    assert!(rig.node.orphan_count() > 30, "and the orphans still wait");
    rig.feed(Event::Tick);
    assert_eq!((rig.node.orphan_count(), rig.node.mempool().len()), (0, 25), "as many as a parent may have");
}
