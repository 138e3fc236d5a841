//! Relay of blocks and transactions: compact blocks, parked questions, orphans.

mod harness;

use std::sync::Arc;
use std::time::Duration;

use harness::world::World;
use harness::*;
use tine_chain::block::Block;
use tine_chain::chain::ChainTipStatus;
use tine_chain::hash::BlockHash;
use tine_chain::reject::Reject;
use tine_chain::transaction::Transaction;
use tine_node::event::{Accepted, Event, Notice, PeerId, RequestId, Verdict};
use tine_node::wire::{CompactBlock, Gossip, Request, Response};

/// A node with 5 mature coins of owner 7, and a twin that has seen the same blocks.
fn twins() -> (Rig, Rig, Vec<Funds>) {
    let mut rig = Rig::new();
    let funds = rig.fund(5, 7);
    let mut twin = Rig::with(new_node(2));
    twin.now = rig.now;
    for block in rig.blocks() {
        twin.submit_block(&block).expect("valid");
    }
    (rig, twin, funds)
}

fn block_with(miner: &mut Rig, payments: &[Arc<Transaction>]) -> Arc<Block> {
    for tx in payments {
        miner.submit_tx(tx).expect("valid");
    }
    miner.mine(3)
}

#[test]
fn a_block_whose_transactions_are_all_known_needs_no_question() {
    let (mut rig, mut miner, funds) = twins();
    rig.connect_empty(1);
    let payments: Vec<_> = funds.iter().map(|coin| forward(*coin, 2, FEE)).collect();
    for tx in &payments {
        assert_eq!(verdicts(&rig.gossip_tx(1, tx)), vec![Verdict::Accept]);
    }
    let block = block_with(&mut miner, &payments);
    assert_eq!(block.transactions.len(), 6);
    rig.now = miner.now;
    let actions = rig.gossip_block(1, &block);
    assert_eq!(verdicts(&actions), vec![Verdict::Accept]);
    assert!(requests_to(&actions, 1).iter().all(|(_, request)| is_headers(request)));
    assert_eq!(rig.tip(), block.hash());
    assert!(rig.node.mempool().is_empty());
    assert!(published(&actions).is_empty(), "gossip forwards what it accepted");
}

#[test]
fn what_is_missing_is_asked_of_the_announcer() {
    let (mut rig, mut miner, funds) = twins();
    rig.connect_empty(1);
    let payments: Vec<_> = funds.iter().map(|coin| forward(*coin, 2, FEE)).collect();
    for tx in &payments[1..4] {
        rig.gossip_tx(1, tx);
    }
    let block = block_with(&mut miner, &payments);
    rig.now = miner.now;
    let actions = rig.gossip_block(1, &block);
    assert_eq!(verdicts(&actions), vec![Verdict::Accept], "before the body is here");
    let requests = requests_to(&actions, 1);
    let Some((id, Request::BlockTransactions(hash, places))) = requests.first() else {
        panic!("{requests:?}");
    };
    assert_eq!((*hash, places.len()), (block.hash(), 2));
    let missing: Vec<_> = places.iter().map(|place| block.transactions[*place as usize].clone()).collect();
    assert!(missing.iter().all(|tx| !rig.has_tx(tx)));
    rig.answer(1, *id, Response::BlockTransactions(*hash, missing));
    assert_eq!(rig.tip(), block.hash());
}

#[test]
fn a_block_of_which_nothing_is_known_comes_too() {
    let (mut rig, mut miner, funds) = twins();
    rig.connect_empty(1);
    let payments: Vec<_> = funds.iter().map(|coin| forward(*coin, 2, FEE)).collect();
    let block = block_with(&mut miner, &payments);
    rig.now = miner.now;
    let actions = rig.gossip_block(1, &block);
    let (id, request) = first_request(&actions, 1).expect("all are missing");
    assert_eq!(request, Request::BlockTransactions(block.hash(), vec![1, 2, 3, 4, 5]));
    // the announcer has not got it yet: then the whole block is fetched, of whoever has it
    let actions = rig.answer(1, id, Response::BlockTransactions(block.hash(), vec![]));
    assert_eq!(offences(&actions), vec![]);
    let id = request_id(&actions, 1, is_blocks);
    rig.answer(1, id, Response::Blocks(vec![block.clone()]));
    assert_eq!(rig.tip(), block.hash());
}

#[test]
fn a_short_id_that_matches_the_wrong_transaction_is_nobodys_fault() {
    let (mut rig, mut miner, funds) = twins();
    rig.connect_empty(1);
    let tx = forward(funds[0], 2, FEE);
    let block = block_with(&mut miner, &[tx]);
    // another transaction, announced under the place of the real one: as a collision of 48 bits would do
    let other = forward(funds[1], 2, FEE);
    rig.gossip_tx(1, &other);
    rig.now = miner.now;
    let mut compact = CompactBlock::new(&block, 7).expect("not empty");
    compact.short_ids[0] = compact.key().short_id(&other.wtxid());
    let actions = rig.gossip(1, Gossip::Block(Arc::new(compact)));
    assert_eq!(offences(&actions), vec![]);
    let id = request_id(&actions, 1, is_blocks);
    rig.answer(1, id, Response::Blocks(vec![block.clone()]));
    assert_eq!(rig.tip(), block.hash());
    assert!(rig.has_tx(&other));
}

#[test]
fn repeated_short_ids_mean_the_whole_block() {
    let (mut rig, mut miner, funds) = twins();
    rig.connect_empty(1);
    let block = block_with(&mut miner, &[forward(funds[0], 2, FEE), forward(funds[1], 2, FEE)]);
    rig.now = miner.now;
    let mut compact = CompactBlock::new(&block, 7).expect("not empty");
    compact.short_ids[1] = compact.short_ids[0];
    let actions = rig.gossip(1, Gossip::Block(Arc::new(compact)));
    request_id(&actions, 1, is_blocks);
}

#[test]
fn a_block_mined_here_is_published_and_served() {
    let (mut rig, _, funds) = twins();
    rig.connect_empty(1);
    let tx = forward(funds[0], 2, FEE);
    rig.submit_tx(&tx).expect("valid");
    rig.now = rig.now + Duration::from_secs(10);
    let block = mine_on(&rig.node, None, 3, rig.now);
    let id = tine_node::event::SubmitId(1_000);
    let actions = rig.feed(Event::Submit(id, tine_node::event::Submission::Block(block.clone())));
    let gossip = published(&actions);
    let [Gossip::Block(compact)] = gossip.as_slice() else { panic!("{gossip:?}") };
    assert_eq!(compact.header.header(), block.header);
    let served = |rig: &mut Rig, request| {
        let actions = rig.feed(Event::Request(PeerId(1), RequestId(9), request));
        responses(&actions).into_iter().next().cloned()
    };
    assert_eq!(
        served(&mut rig, Request::Blocks(vec![block.hash(), BlockHash([9; 32])])),
        Some(Response::Blocks(vec![block.clone()]))
    );
    assert_eq!(
        served(&mut rig, Request::BlockTransactions(block.hash(), vec![1])),
        Some(Response::BlockTransactions(block.hash(), vec![tx]))
    );
    assert_eq!(
        served(&mut rig, Request::BlockTransactions(block.hash(), vec![2])),
        Some(Response::BlockTransactions(block.hash(), vec![]))
    );
    assert_eq!(served(&mut rig, Request::Blocks(vec![BlockHash([9; 32])])), Some(Response::Blocks(vec![])));
}

#[test]
fn a_question_for_a_body_on_its_way_is_parked_and_then_answered() {
    let (mut rig, mut miner, funds) = twins();
    rig.connect_empty(1);
    rig.connect_empty(2);
    let block = block_with(&mut miner, &[forward(funds[0], 2, FEE)]);
    rig.now = miner.now;
    let actions = rig.gossip_block(1, &block);
    let (id, _) = first_request(&actions, 1).expect("one is missing");
    // 2 got the header from us and asks for the rest before we have it
    let question = Event::Request(PeerId(2), RequestId(5), Request::Blocks(vec![block.hash()]));
    assert!(responses(&rig.feed(question.clone())).is_empty());
    let actions =
        rig.answer(1, id, Response::BlockTransactions(block.hash(), vec![block.transactions[1].clone()]));
    assert_eq!(responses(&actions), vec![&Response::Blocks(vec![block.clone()])]);
    // when the body never comes, the answer is that it is not there
    let next = miner.mine(3);
    let lost = rebuilt(&next, vec![next.transactions[0].clone(), forward(funds[1], 2, FEE)]);
    rig.now = miner.now;
    rig.gossip_block(1, &lost);
    let question = Event::Request(PeerId(2), RequestId(6), Request::Blocks(vec![lost.hash()]));
    assert!(responses(&rig.feed(question)).is_empty());
    let actions = rig.pass(Duration::from_secs(3));
    assert_eq!(responses(&actions), vec![&Response::Blocks(vec![])]);
}

#[test]
fn a_header_whose_parent_is_unknown_leads_to_a_question_for_headers() {
    let (mut rig, mut miner, _) = twins();
    rig.connect_empty(1);
    let first = miner.mine(3);
    let second = miner.mine(3);
    rig.now = miner.now;
    let actions = rig.gossip_block(1, &second);
    assert_eq!(verdicts(&actions), vec![Verdict::Ignore]);
    let id = request_id(&actions, 1, is_headers);
    let actions = rig.answer(1, id, Response::Headers(headers_of(&[first.clone(), second.clone()])));
    let id = request_id(&actions, 1, is_blocks);
    let actions = rig.answer(1, id, Response::Blocks(vec![first, second.clone()]));
    assert_eq!(rig.tip(), second.hash());
    // it did not come by gossip: neighbours may lack it
    assert_eq!(published(&actions).len(), 1);
}

#[test]
fn the_same_block_is_passed_on_once() {
    let (mut rig, mut miner, _) = twins();
    rig.connect_empty(1);
    rig.connect_empty(2);
    let block = miner.mine(3);
    rig.now = miner.now;
    assert_eq!(verdicts(&rig.gossip_block(1, &block)), vec![Verdict::Accept]);
    let other = CompactBlock::new(&block, 8).expect("not empty");
    assert_eq!(verdicts(&rig.gossip(2, Gossip::Block(Arc::new(other)))), vec![Verdict::Ignore]);
}

#[test]
fn a_rival_of_the_tip_is_stored_and_reported_and_the_first_stays() {
    let (mut rig, mut miner, _) = twins();
    rig.connect_empty(1);
    let parent = rig.tip();
    let ours = rig.mine(1);
    miner.now = rig.now;
    let theirs = mine_on(&miner.node, Some(parent), 2, miner.now);
    assert_eq!(verdicts(&rig.gossip_block(1, &theirs)), vec![Verdict::Accept]);
    assert_eq!(rig.tip(), ours.hash());
    let tips = rig.node.chain().chain_tips();
    assert!(tips.iter().any(|tip| tip.hash == theirs.hash() && tip.status == ChainTipStatus::ValidHeaders));
    assert_eq!(rig.submit_block(&theirs), Ok(Accepted::Duplicate(theirs.hash())));
}

#[test]
fn syn_06_a_gossiped_header_far_below_the_tip_is_ignored() {
    let mut rig = Rig::new();
    for _ in 0..150 {
        rig.mine(1);
    }
    rig.connect_empty(1);
    let old = mine_on(&rig.node, rig.node.chain().active_hash(3), 2, rig.now);
    assert_eq!(verdicts(&rig.gossip_block(1, &old)), vec![Verdict::Ignore]);
    assert!(rig.node.chain().tree().get(&old.hash()).is_none(), "and not stored");
}

#[test]
fn hdr_10_hdr_29_a_block_from_the_future_is_nobodys_fault_and_looked_at_again_in_its_time() {
    let mut rig = Rig::new();
    rig.mine(1);
    rig.connect_empty(1);
    let ahead = rig.now + Duration::from_secs(7_300);
    let early = mine_on(&rig.node, None, 2, ahead);
    let actions = rig.gossip_block(1, &early);
    assert_eq!((verdicts(&actions), offences(&actions)), (vec![Verdict::Ignore], vec![]));
    assert_eq!(rig.submit_block(&early), Ok(Accepted::Inconclusive(early.hash())));
    rig.now = rig.now + Duration::from_secs(200);
    rig.feed(Event::Tick);
    assert_eq!(rig.tip(), early.hash());
}

#[test]
fn mem_02_an_orphan_is_taken_when_its_parent_comes() {
    let (mut rig, _, funds) = twins();
    rig.connect_empty(1);
    let parent = forward(funds[0], 2, FEE);
    let child = forward(Funds::of(&parent, 0, 2), 3, FEE);
    let grandchild = forward(Funds::of(&child, 0, 3), 4, FEE);
    for tx in [&grandchild, &child] {
        let actions = rig.gossip_tx(1, tx);
        assert_eq!((verdicts(&actions), offences(&actions)), (vec![], vec![]), "gossip waits a little");
    }
    assert_eq!(rig.node.orphan_count(), 2);
    let actions = rig.gossip_tx(1, &parent);
    assert_eq!(verdicts(&actions), vec![Verdict::Accept; 3]);
    assert!(rig.has_tx(&child) && rig.has_tx(&grandchild));
    assert_eq!(rig.node.orphan_count(), 0);
}

#[test]
fn an_orphan_whose_parent_comes_late_is_dropped_by_gossip_and_published_afterwards() {
    let (mut rig, _, funds) = twins();
    rig.connect_empty(1);
    let parent = forward(funds[0], 2, FEE);
    let child = forward(Funds::of(&parent, 0, 2), 3, FEE);
    rig.gossip_tx(1, &child);
    let actions = rig.pass(Duration::from_secs(4));
    assert_eq!(verdicts(&actions), vec![Verdict::Ignore]);
    let actions = rig.gossip_tx(1, &parent);
    assert_eq!(verdicts(&actions), vec![Verdict::Accept]);
    assert_eq!(published(&actions), vec![&Gossip::Transaction(child)]);
}

#[test]
fn the_parent_of_an_orphan_is_found_in_the_announcers_mempool() {
    let (mut rig, _, funds) = twins();
    rig.connect_empty(1);
    rig.pass(Duration::from_secs(11));
    let parent = forward(funds[0], 2, FEE);
    let child = forward(Funds::of(&parent, 0, 2), 3, FEE);
    let actions = rig.gossip_tx(1, &child);
    let requests = requests_to(&actions, 1);
    let Some((id, Request::Mempool)) = requests.last() else { panic!("{requests:?}") };
    let actions = rig.answer(1, *id, Response::Mempool(vec![parent.wtxid(), child.wtxid()]));
    let (id, request) = first_request(&actions, 1).expect("the parent is unknown");
    assert_eq!(request, Request::Transactions(vec![parent.wtxid()]));
    rig.answer(1, id, Response::Transactions(vec![parent.clone()]));
    assert!(rig.has_tx(&parent) && rig.has_tx(&child));
}

/// A transaction that spends a coin nobody knows.
fn parentless(seed: u8) -> Arc<Transaction> {
    let ghost = pay(&[Funds::of(&forward_nothing(seed), 0, 7)], &[(2, REWARD - FEE)]);
    assert_eq!(ghost.inputs.len(), 1);
    ghost
}

fn forward_nothing(seed: u8) -> Transaction {
    let mut data = draft(&[], &[(7, REWARD)]);
    data.lock_time = u32::from(seed);
    Transaction::new(data)
}

#[test]
fn mem_12_a_flood_of_orphans_evicts_its_own() {
    let (mut rig, _, funds) = twins();
    rig.connect_empty(1);
    rig.connect_empty(2);
    let parent = forward(funds[0], 2, FEE);
    let child = forward(Funds::of(&parent, 0, 2), 3, FEE);
    rig.gossip_tx(1, &child);
    for seed in 0..200 {
        rig.gossip_tx(2, &parentless(seed));
        assert!(rig.node.orphan_count() <= 26);
    }
    rig.gossip_tx(1, &parent);
    assert!(rig.has_tx(&child), "the honest orphan is still there");
}

#[test]
fn mem_14_orphans_go_with_their_announcer_with_a_block_and_with_a_rival() {
    let (mut rig, mut miner, funds) = twins();
    rig.connect_empty(1);
    rig.connect_empty(2);
    let parent = forward(funds[0], 2, FEE);
    let child = forward(Funds::of(&parent, 0, 2), 3, FEE);
    let rival = forward(Funds::of(&parent, 0, 2), 4, 2 * FEE);
    rig.gossip_tx(1, &child);
    rig.gossip_tx(2, &child);
    rig.feed(Event::Disconnected(PeerId(1)));
    assert_eq!(rig.node.orphan_count(), 1, "2 told of it too");
    rig.feed(Event::Disconnected(PeerId(2)));
    assert_eq!(rig.node.orphan_count(), 0);

    rig.connect_empty(3);
    rig.gossip_tx(3, &child);
    rig.gossip_tx(3, &rival);
    assert_eq!(rig.node.orphan_count(), 2);
    let block = block_with(&mut miner, &[parent, child]);
    rig.now = miner.now;
    rig.submit_block(&block).expect("valid");
    assert_eq!(rig.node.orphan_count(), 0, "one was mined, the other conflicts");
}

#[test]
fn mem_15_what_was_refused_is_looked_at_again_after_a_block() {
    let (mut rig, mut miner, _) = twins();
    rig.connect_empty(1);
    // the coinbase at the tip may be spent by the block after the next
    let young = Funds::of(&rig.blocks().last().expect("mined").transactions[0], 0, 99);
    let tx = forward(young, 2, FEE);
    assert_eq!(verdicts(&rig.gossip_tx(1, &tx)), vec![Verdict::Ignore]);
    let block = miner.mine(3);
    rig.now = miner.now;
    rig.gossip_block(1, &block);
    let actions = rig.gossip_tx(1, &tx);
    assert_eq!(verdicts(&actions), vec![Verdict::Accept]);
    assert!(notices(&actions).iter().any(|notice| matches!(notice, Notice::TransactionAdded(_))));
}

#[test]
fn transactions_are_not_judged_while_the_node_catches_up() {
    let (miner, _, funds) = twins();
    let mut rig = Rig::new();
    rig.now = miner.now;
    let actions = rig.connect(1);
    let id = request_id(&actions, 1, is_headers);
    rig.answer(1, id, Response::Headers(headers_of(&miner.blocks())));
    let actions = rig.gossip_tx(1, &forward(funds[0], 2, FEE));
    assert_eq!(verdicts(&actions), vec![Verdict::Ignore]);
    assert_eq!(rig.node.orphan_count(), 0);
}

#[test]
fn a_payment_and_a_block_reach_everybody_on_a_line() {
    let mut world = World::new((0..6).map(new_node).collect());
    let funded = world.mine(0, 7);
    world.mine(0, 1);
    world.mine(0, 1);
    for at in 0..5 {
        world.link(at, at + 1);
    }
    world.run(Duration::from_secs(5));
    world.assert_agreed();
    let tx = forward(Funds::of(&funded.transactions[0], 0, 7), 2, FEE);
    world.submit_tx(0, &tx).expect("valid");
    world.run(Duration::from_millis(300));
    assert!((0..6).all(|at| world.node(at).mempool().get(&tx.txid()).is_some()));
    world.requests.clear();
    world.mine(5, 1);
    // five hops of 50 ms: each forwards before it has connected the block
    world.run(Duration::from_millis(260));
    world.assert_agreed();
    let fetched = world.requests.iter().any(|(_, request)| !is_headers(request));
    assert!(!fetched, "{:?}", world.requests);
    assert_eq!(world.submit_tx(3, &tx), Err(Reject::AlreadyKnown));
}
