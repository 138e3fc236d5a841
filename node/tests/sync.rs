//! Catching up: late nodes, partitions, peers that stall, vanish or answer out of order.

mod harness;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use harness::world::{Kind, Loss, World};
use harness::*;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use tine_chain::block::{Block, Header};
use tine_chain::chain::MAX_SIDE_BRANCHES;
use tine_chain::hash::MerkleRoot;
use tine_chain::journal::Fate;
use tine_chain::pow::Work;
use tine_chain::transaction::Transaction;
use tine_node::NodeConfig;
use tine_node::event::{Event, Notice, PeerId, RequestId};
use tine_node::explain::{ReorgReport, explain_tip};
use tine_node::peers::{Offence, SyncState};
use tine_node::wire::{MAX_HEADERS, Request, Response};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_late_node_reaches_the_tip_over_several_peers() {
    let mut world = World::new((0..5).map(new_node).collect());
    for (a, b) in [(0, 1), (1, 2), (2, 3), (0, 3)] {
        world.link(a, b);
    }
    for at in 0..60 {
        world.mine(at % 4, 1);
        world.run(SECOND);
    }
    world.link(4, 1);
    world.link(4, 2);
    world.link(4, 3);
    world.run(5 * SECOND);
    world.assert_agreed();
    assert_eq!(world.node(4).chain().tip().height, 60);
    assert!(!world.node(4).is_syncing());
    assert!(world.node(4).peers().all(|peer| peer.sync == SyncState::Synced));
    // bodies came from more than one peer
    let late: Vec<_> = world.requests.iter().filter(|(at, _)| *at == 4).collect();
    let blocks = late.iter().filter(|(_, request)| matches!(request, Request::Blocks(_))).count();
    assert!(blocks >= 3, "{blocks}");
    assert_eq!(world.offences, vec![]);
}

#[test]
fn more_headers_than_one_answer_holds() {
    let mut world = World::new((0..3).map(new_node).collect());
    world.latency = Duration::from_millis(1);
    for _ in 0..2_100 {
        world.now = world.now + SECOND;
        world.mine(0, 1);
    }
    world.link(0, 1);
    world.run(10 * SECOND);
    world.link(2, 1);
    world.link(2, 0);
    world.run(20 * SECOND);
    world.assert_agreed();
    assert_eq!(world.offences, vec![]);
}

#[test]
fn two_halves_of_a_partition_agree_after_it_and_know_what_happened() {
    let mut world = World::new((0..4).map(new_node).collect());
    world.link_all();
    let funded = world.mine(0, 7);
    for _ in 0..3 {
        world.run(SECOND);
        world.mine(0, 1);
    }
    world.run(SECOND);
    let coin = Funds::of(&funded.transactions[0], 0, 7);
    for other in 1..4 {
        world.cut(0, other);
    }
    // each side confirms another spend of the same coin
    let (to_bob, to_dave) = (forward(coin, 2, FEE), forward(coin, 4, FEE));
    world.submit_tx(0, &to_bob).expect("the coin is there");
    world.submit_tx(1, &to_dave).expect("the coin is there");
    world.run(SECOND);
    world.mine(0, 1);
    world.mine(1, 1);
    world.run(SECOND);
    world.mine(2, 1);
    world.run(SECOND);
    assert_ne!(world.tip(0), world.tip(1));
    for other in 1..4 {
        world.link(0, other);
    }
    world.run(3 * SECOND);
    world.assert_agreed();
    let alice = world.node(0).chain();
    assert_eq!(alice.journal().len(), 1);
    let reorg = alice.journal()[0].clone();
    let fate = reorg.transactions.iter().find(|fate| fate.txid == to_bob.txid()).expect("it was confirmed");
    assert!(
        matches!(&fate.fate, Fate::Conflicted { coin: found, by, .. } if *found == coin.outpoint && *by == to_dave.txid())
    );
    let text = ReorgReport::new(&reorg, alice.reader().as_ref()).expect("memory never fails").to_string();
    for part in
        ["depth 1", "fork at 4", "most work, not first seen", "CONFLICTED", "5a", "6b", "1 payment reversed"]
    {
        assert!(text.contains(part), "{part} is not in:\n{text}");
    }
    assert!(explain_tip(alice).to_string().contains("less work"));
    for at in 0..4 {
        assert!(world.node(at).mempool().is_empty());
    }
    assert_eq!(world.offences, vec![]);
}

#[test]
fn a_partition_heals_without_a_new_connection_and_without_a_new_block() {
    // a link that loses everything looks alive: only asking again heals it
    let mut world = World::new((0..2).map(new_node).collect());
    world.mine(0, 1);
    world.link(0, 1);
    world.run(SECOND);
    world.assert_agreed();
    world.latency = Duration::from_secs(1_000_000);
    world.mine(0, 1);
    world.latency = Duration::from_millis(50);
    world.run(40 * SECOND);
    world.assert_agreed();
}

#[test]
fn a_block_that_gossip_misses_while_the_link_is_young_is_asked_for_soon() {
    let mut world = World::new((0..2).map(new_node).collect());
    world.link(0, 1);
    for (found, known) in [(500, 1_500), (2_000, 3_500)] {
        world.run_until(found);
        // gossip goes to those who have grafted, and nobody has
        world.gossip_reaches_nobody(|world| world.mine(0, 1));
        world.run_until(known);
        world.assert_agreed();
    }
}

#[test]
fn unconfirmed_payments_cross_a_healed_link() {
    let mut world = World::new((0..3).map(new_node).collect());
    world.link(0, 1);
    world.link(1, 2);
    let block = world.mine(0, 7);
    for _ in 0..3 {
        world.run(SECOND);
        world.mine(0, 1);
    }
    world.run(SECOND);
    world.cut(1, 2);
    let tx = forward(Funds::of(&block.transactions[0], 0, 7), 2, FEE);
    world.submit_tx(0, &tx).expect("valid");
    world.run(SECOND);
    assert!(world.node(2).mempool().is_empty());
    world.link(1, 2);
    world.run(3 * SECOND);
    assert!(world.node(2).mempool().get(&tx.txid()).is_some());
}

/// A chain of `count` blocks by somebody else.
fn foreign_chain(count: usize) -> Vec<Arc<Block>> {
    let mut other = Rig::new();
    (0..count).map(|_| other.mine(3)).collect()
}

/// Connects `peer`, which tells all headers of `blocks`, and returns what is asked next.
fn tell_headers(rig: &mut Rig, peer: u64, blocks: &[Arc<Block>]) -> Vec<(RequestId, Request)> {
    rig.now = rig.now.max(start() + Duration::from_secs(10 * 3_000));
    let actions = rig.connect(peer);
    let id = request_id(&actions, peer, is_headers);
    requests_to(&rig.answer(peer, id, Response::Headers(headers_of(blocks))), peer)
}

fn asked_blocks(requests: &[(RequestId, Request)]) -> (RequestId, Vec<tine_chain::hash::BlockHash>) {
    let (id, request) =
        requests.iter().find(|(_, request)| is_blocks(request)).expect("blocks were asked for");
    let Request::Blocks(hashes) = request else { unreachable!("it was found as one") };
    (*id, hashes.clone())
}

fn bodies(blocks: &[Arc<Block>], hashes: &[tine_chain::hash::BlockHash]) -> Vec<Arc<Block>> {
    hashes.iter().filter_map(|hash| blocks.iter().find(|block| block.hash() == *hash)).cloned().collect()
}

#[test]
fn syn_05_bodies_in_any_order_give_the_same_chain() {
    let blocks = foreign_chain(40);
    let mut rig = Rig::new();
    let mut open: Vec<(u64, RequestId, Vec<_>)> = Vec::new();
    for peer in 1..=3 {
        let requests = tell_headers(&mut rig, peer, &blocks);
        if requests.iter().any(|(_, request)| is_blocks(request)) {
            let (id, hashes) = asked_blocks(&requests);
            open.push((peer, id, hashes));
        }
    }
    // the latest request is answered first
    while let Some((peer, id, hashes)) = open.pop() {
        let actions = rig.answer(peer, id, Response::Blocks(bodies(&blocks, &hashes)));
        for peer in 1..=3 {
            for (id, request) in requests_to(&actions, peer) {
                if let Request::Blocks(hashes) = request {
                    open.push((peer, id, hashes));
                }
            }
        }
    }
    assert_eq!(rig.tip(), blocks[39].hash());
}

#[test]
fn syn_07_sync_resumes_with_any_peer_after_all_have_vanished() {
    let blocks = foreign_chain(30);
    let mut rig = Rig::new();
    let requests = tell_headers(&mut rig, 1, &blocks);
    let (id, hashes) = asked_blocks(&requests);
    assert_eq!(hashes.len(), 16);
    // half of what was asked for, then nothing
    rig.answer(1, id, Response::Blocks(bodies(&blocks, &hashes[..8])));
    assert_eq!(rig.height(), 8);
    rig.feed(Event::Disconnected(PeerId(1)));
    rig.pass(100 * SECOND);
    let mut requests = tell_headers(&mut rig, 2, &blocks[7..]);
    while rig.height() < 30 {
        let (id, hashes) = asked_blocks(&requests);
        requests = requests_to(&rig.answer(2, id, Response::Blocks(bodies(&blocks, &hashes))), 2);
    }
    assert_eq!(rig.tip(), blocks[29].hash());
}

#[test]
fn small_bodies_are_asked_for_in_several_requests_at_once() {
    let blocks = foreign_chain(300);
    let mut rig = Rig::new();
    let requests = tell_headers(&mut rig, 1, &blocks);
    // nobody knows yet how large they are
    let (id, hashes) = asked_blocks(&requests);
    assert_eq!((requests.len(), hashes.len()), (1, 16));
    let actions = rig.answer(1, id, Response::Blocks(bodies(&blocks, &hashes)));
    let next: Vec<_> = requests_to(&actions, 1).into_iter().map(|(_, request)| request).collect();
    let lengths: Vec<_> = next
        .iter()
        .map(|request| if let Request::Blocks(hashes) = request { hashes.len() } else { 0 })
        .collect();
    assert_eq!(lengths, [32; 4]);
}

#[test]
fn a_request_that_times_out_goes_to_another_peer() {
    let blocks = foreign_chain(3);
    let mut rig = Rig::new();
    let requests = tell_headers(&mut rig, 1, &blocks);
    let (late, hashes) = asked_blocks(&requests);
    let second = tell_headers(&mut rig, 2, &blocks);
    assert!(!second.iter().any(|(_, request)| is_blocks(request)), "they are in flight");
    let actions = rig.pass(11 * SECOND);
    let (id, again) = asked_blocks(&requests_to(&actions, 2));
    assert_eq!(again, hashes);
    rig.answer(2, id, Response::Blocks(bodies(&blocks, &hashes)));
    assert_eq!(rig.height(), 3);
    // the late answer is of no use and no crime
    let actions = rig.answer(1, late, Response::Blocks(bodies(&blocks, &hashes)));
    assert_eq!(offences(&actions), vec![]);
}

#[test]
fn a_request_that_fails_is_tried_again_after_a_moment() {
    let blocks = foreign_chain(1);
    let mut rig = Rig::new();
    let (id, _) = asked_blocks(&tell_headers(&mut rig, 1, &blocks));
    let actions = rig.feed(Event::RequestFailed(PeerId(1), id));
    assert!(requests_to(&actions, 1).is_empty(), "not at once");
    let actions = rig.pass(2 * SECOND);
    let (id, hashes) = asked_blocks(&requests_to(&actions, 1));
    rig.answer(1, id, Response::Blocks(bodies(&blocks, &hashes)));
    assert_eq!(rig.height(), 1);
}

/// Four nodes in a line, partitioned, each half with blocks and payments of its own; then whole again, but what `of`
/// says is lost. Returns how many messages were.
fn agree_in_spite_of(of: fn(Kind) -> f64, seed: u64) -> usize {
    let mut world = World::new((0..4).map(new_node).collect());
    (0..3).for_each(|at| world.link(at, at + 1));
    let mut coins = Vec::new();
    for owner in 10..18 {
        coins.push(Funds::of(&world.mine(0, owner).transactions[0], 0, owner));
        world.run(SECOND);
    }
    (0..3).for_each(|_| drop(world.mine(0, 1)));
    world.run(SECOND);
    world.cut(1, 2);
    world.loss = Some(Loss { of, rng: ChaCha8Rng::seed_from_u64(seed), lost: 0 });
    let payments: Vec<_> = coins.into_iter().map(|coin| forward(coin, 2, FEE)).collect();
    for (at, payment) in [0, 3, 1, 0, 2, 0].into_iter().zip(&payments) {
        // the block is the first that others hear of it
        world.gossip_reaches_nobody(|world| world.submit_tx(at, payment)).expect("the coin is there");
        world.mine(at, 1);
        world.run(3 * SECOND);
    }
    // these are not mined before both halves meet
    for (at, payment) in [0, 3].into_iter().zip(&payments[6..]) {
        world.submit_tx(at, payment).expect("the coin is there");
    }
    world.run(SECOND);
    world.link(1, 2);
    // every question may be in vain some ten times, at ten seconds each, over three links
    world.run(900 * SECOND);
    world.assert_agreed();
    assert!(world.offences.iter().all(|(.., offence)| *offence == Offence::Stalled), "{:?}", world.offences);
    // what a reorganisation brought back is where it was (as in Core); what was unconfirmed when both halves met is told
    let has = |at: usize, payment: &Transaction| {
        let (chain, mempool) = (world.node(at).chain(), world.node(at).mempool());
        let spent = chain.coin(&payment.inputs[0].prevout).expect("memory never fails").is_none();
        spent || mempool.get(&payment.txid()).is_some()
    };
    assert!(payments.iter().all(|payment| (0..4).any(|at| has(at, payment))));
    // gossip carries an unconfirmed payment once; only a new connection brings it again
    let told = of(Kind::Gossip) == 0.0;
    let lacking: Vec<_> = (0..4)
        .flat_map(|at| [(at, 6), (at, 7)])
        .filter(|(at, number)| !has(*at, &payments[*number]))
        .collect();
    assert!(!told || lacking.is_empty(), "node and payment: {lacking:?}");
    world.loss.expect("it was set").lost
}

/// Of each kind of message in turn nearly all are lost, then of all kinds half.
#[test]
fn whatever_is_lost_is_asked_for_again() {
    macro_rules! only {
        ($($kind:ident),+) => { [$((stringify!($kind), (|kind| if kind == Kind::$kind { 0.8 } else { 0.0 }) as fn(Kind) -> f64)),+] };
    }
    let kinds = only!(
        AskHeaders,
        Headers,
        AskBlocks,
        Blocks,
        AskBlockTransactions,
        BlockTransactions,
        AskTransactions,
        Transactions,
        AskMempool,
        Mempool,
        Gossip
    );
    assert_eq!(kinds.len(), Kind::ALL.len());
    let mut lost = BTreeMap::new();
    for seed in 0..4 {
        for (name, of) in kinds {
            *lost.entry(name).or_insert(0) += agree_in_spite_of(of, seed);
        }
        *lost.entry("all").or_insert(0) += agree_in_spite_of(|_| 0.5, seed);
    }
    // a loss that hits nothing proves nothing
    assert!(lost.values().all(|lost| *lost > 0), "{lost:?}");
}

/// A neighbour passes a header on before it has the body, then its own block of the same height comes to it first: it
/// never connects the other, and so never serves it.
#[test]
fn a_body_that_nobody_serves_does_not_keep_a_rival_out_that_somebody_has() {
    let blocks = foreign_chain(1);
    let mut rig = Rig::new();
    let (rival, kept_back) = (mine_on(&rig.node, None, 7, rig.now), blocks[0].clone());
    let requests = tell_headers(&mut rig, 1, std::slice::from_ref(&kept_back));
    let (id, asked) = asked_blocks(&requests);
    assert_eq!(asked, [kept_back.hash()]);
    // "none of them is here"
    rig.answer(1, id, Response::Blocks(vec![]));
    let mut asked = Vec::new();
    for _ in 0..40 {
        let actions = rig.pass(SECOND);
        for (id, request) in requests_to(&actions, 1) {
            if matches!(request, Request::Headers { .. }) {
                let told = Response::Headers(headers_of(std::slice::from_ref(&rival)));
                asked.extend(requests_to(&rig.answer(1, id, told), 1));
            } else {
                asked.push((id, request));
            }
        }
        while let Some((id, request)) = asked.pop() {
            if let Request::Blocks(hashes) = request {
                let answer = Response::Blocks(bodies(std::slice::from_ref(&rival), &hashes));
                asked.extend(requests_to(&rig.answer(1, id, answer), 1));
            }
        }
    }
    assert_eq!(rig.tip(), rival.hash());
    assert_eq!(rig.score(1), 0);
}

/// Lets `peer` answer these requests for bodies, and those that follow from the answers.
fn serve(rig: &mut Rig, peer: u64, blocks: &[Arc<Block>], mut requests: Vec<(RequestId, Request)>) {
    while let Some((id, request)) = requests.pop() {
        if let Request::Blocks(hashes) = request {
            let answer = Response::Blocks(bodies(blocks, &hashes));
            requests.extend(requests_to(&rig.answer(peer, id, answer), peer));
        }
    }
}

#[test]
fn syn_03_a_peer_that_stalls_the_window_is_replaced() {
    let blocks = foreign_chain(1_100);
    let mut rig = Rig::new();
    let (stalled, first) = asked_blocks(&tell_headers(&mut rig, 1, &blocks));
    assert_eq!(first[0], blocks[0].hash());
    // a second peer serves everything that it is asked for; the first keeps the lowest bodies to itself
    let requests = tell_headers(&mut rig, 2, &blocks);
    serve(&mut rig, 2, &blocks, requests);
    assert_eq!(rig.height(), 0);
    let actions = rig.pass(3 * SECOND);
    assert_eq!(offences(&actions), vec![(1, Offence::Stalled)]);
    assert_eq!(dropped(&actions), vec![(1, false)], "closed, not banned");
    let requests = requests_to(&actions, 2);
    let (_, hashes) = asked_blocks(&requests);
    assert_eq!(hashes[..first.len()], first, "the lowest come first");
    serve(&mut rig, 2, &blocks, requests);
    assert!(rig.height() >= 1_024, "{}", rig.height());
    // what the first says now counts for nothing
    let actions = rig.answer(1, stalled, Response::Blocks(vec![]));
    assert!(actions.is_empty());
}

#[test]
fn a_node_that_catches_up_says_so() {
    let blocks = foreign_chain(12);
    let mut rig = Rig::new();
    let (id, hashes) = asked_blocks(&tell_headers(&mut rig, 1, &blocks));
    assert!(rig.node.is_syncing());
    let actions = rig.answer(1, id, Response::Blocks(bodies(&blocks, &hashes[..3])));
    let syncing =
        notices(&actions).into_iter().any(|notice| matches!(notice, Notice::Syncing { headers: 12, .. }));
    assert!(syncing);
}

/// `count` headers on `parent`, one second apart; `branch` tells chains apart.
fn headers_on(parent: &Header, branch: u32, count: usize) -> Vec<Header> {
    let mut headers: Vec<Header> = Vec::new();
    let mut root = [0; 32];
    root[..4].copy_from_slice(&branch.to_le_bytes());
    for _ in 0..count {
        let before = headers.last().unwrap_or(parent);
        let header = Header {
            prev_block: before.hash(),
            merkle_root: MerkleRoot(root),
            time: before.time + 1,
            nonce: 0,
            ..*before
        };
        headers.push(solve(Block { header, transactions: vec![] }).header);
    }
    headers
}

/// Work of the genesis and so many blocks after it.
fn work_of(blocks: u32) -> Work {
    let one = params().genesis.bits.to_target().expect("a target").work();
    (0..blocks).fold(one, |work, _| work + one)
}

#[test]
fn hdr_25_headers_without_enough_work_are_not_stored_and_with_it_they_are() {
    let headers = headers_on(&params().genesis, 1, 2 * MAX_HEADERS);
    let (first, second) = headers.split_at(MAX_HEADERS);
    let config = NodeConfig { minimum_chain_work: work_of(3_000), ..NodeConfig::new(params()) };
    let mut rig = Rig::with(node_with_config(config));
    rig.now = rig.now + Duration::from_secs(10_000);
    // one that stops too early
    let id = request_id(&rig.connect(1), 1, is_headers);
    let id = request_id(&rig.answer(1, id, Response::Headers(first.to_vec())), 1, is_headers);
    let actions = rig.answer(1, id, Response::Headers(second[..500].to_vec()));
    assert_eq!((rig.node.chain().tree().len(), offences(&actions)), (1, vec![]));
    // one that has it, and tells it twice
    let id = request_id(&rig.connect(2), 2, is_headers);
    let id = request_id(&rig.answer(2, id, Response::Headers(first.to_vec())), 2, is_headers);
    let id = request_id(&rig.answer(2, id, Response::Headers(second.to_vec())), 2, is_headers);
    assert_eq!(rig.node.chain().tree().len(), 1, "proved, and not stored yet");
    let id = request_id(&rig.answer(2, id, Response::Headers(first.to_vec())), 2, is_headers);
    rig.answer(2, id, Response::Headers(second.to_vec()));
    assert_eq!(rig.node.chain().tree().len(), 1 + headers.len());
}

#[test]
fn hdr_27_branches_off_early_history_are_judged_before_anything_is_stored() {
    let mut rig = Rig::new();
    (0..200).for_each(|_| drop(rig.mine(1)));
    for peer in 0..50 {
        let id = request_id(&rig.connect(peer), peer, is_headers);
        let headers = headers_on(&params().genesis, peer as u32, 30);
        let actions = rig.answer(peer, id, Response::Headers(headers));
        assert_eq!(offences(&actions), vec![]);
    }
    assert_eq!(rig.node.chain().tree().len(), 201);
}

#[test]
fn rrg_12_the_number_of_side_branches_is_bounded_and_a_better_one_always_comes_in() {
    let mut rig = Rig::new();
    (0..20).for_each(|_| drop(rig.mine(1)));
    let below = rig.blocks()[18].header;
    for peer in 0..300 {
        let id = request_id(&rig.connect(peer), peer, is_headers);
        rig.answer(peer, id, Response::Headers(headers_on(&below, peer as u32, 1)));
    }
    assert_eq!(rig.node.chain().side_branches(), MAX_SIDE_BRANCHES);
    assert_eq!((rig.height(), rig.node.chain().tree().len()), (20, 21 + MAX_SIDE_BRANCHES));
    let id = request_id(&rig.connect(999), 999, is_headers);
    let honest = headers_on(&below, 999, 2);
    rig.answer(999, id, Response::Headers(honest.clone()));
    assert_eq!(rig.node.chain().best_header().hash, honest[1].hash());
}
