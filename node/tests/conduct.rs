//! Peer conduct: who is charged for what, and that honest data from others is taken all the same.

mod harness;

use std::sync::Arc;
use std::time::Duration;

use harness::*;
use tine_chain::amount::Amount;
use tine_chain::block::{Block, Header};
use tine_chain::reject::Reject;
use tine_chain::transaction::{Transaction, TxData, TxOut, Witness};
use tine_node::event::{Action, Event, Notice, PeerId, RequestId, Verdict};
use tine_node::peers::Offence;
use tine_node::wire::{CompactBlock, Gossip, MAX_HEADERS, MAX_LOCATOR, Request, Response};

const BANNED: bool = true;

/// A node at height 4 with three peers that have told their (no) headers, and the next block, mined by somebody.
fn scene() -> (Rig, Arc<Block>) {
    let mut rig = Rig::new();
    rig.fund(2, 7);
    for peer in 1..=3 {
        rig.connect_empty(peer);
    }
    rig.now = rig.now + Duration::from_secs(10);
    let block = mine_on(&rig.node, None, 3, rig.now);
    (rig, block)
}

/// Peer 1 tells the header of `block`. Returns the request for its body, and of whom.
fn tell(rig: &mut Rig, peer: u64, block: &Block) -> Vec<Action> {
    let mut actions = rig.pass(Duration::from_secs(31));
    // the others have nothing to tell
    for other in (1..=3).filter(|other| *other != peer) {
        for (id, _) in requests_to(&actions, other) {
            rig.answer(other, id, Response::Headers(vec![]));
        }
    }
    let ids: Vec<_> = requests_to(&actions, peer).into_iter().filter(|(_, ask)| is_headers(ask)).collect();
    actions = rig.answer(
        peer,
        ids.last().expect("asked every ten seconds").0,
        Response::Headers(vec![block.header]),
    );
    actions
}

fn with_first(block: &Block, change: impl FnOnce(&mut TxData)) -> Arc<Block> {
    let mut coinbase = block.transactions[0].data().clone();
    change(&mut coinbase);
    let mut transactions = block.transactions.clone();
    transactions[0] = Arc::new(Transaction::new(coinbase));
    rebuilt(block, transactions)
}

#[test]
fn malformed_bytes_end_the_connection() {
    let (mut rig, _) = scene();
    let actions = rig.feed(Event::Malformed(PeerId(2)));
    assert_eq!(offences(&actions), vec![(2, Offence::Malformed)]);
    assert_eq!(dropped(&actions), vec![(2, BANNED)]);
    // and nothing that it says afterwards counts
    let actions = rig.gossip(2, Gossip::Transaction(Arc::new(Transaction::new(draft(&[], &[])))));
    assert_eq!(verdicts(&actions), vec![Verdict::Ignore]);
    assert_eq!(offences(&actions), vec![]);
}

#[test]
fn a_header_without_work_is_charged_to_its_sender() {
    let (mut rig, block) = scene();
    let mut header = block.header;
    let target = header.bits.to_target().expect("valid bits");
    header.nonce =
        (0..).find(|nonce| !target.is_met_by(&Header { nonce: *nonce, ..header }.hash())).expect("half");
    let bad = Block { header, transactions: block.transactions.clone() };
    let actions = rig.gossip_block(1, &bad);
    assert_eq!(verdicts(&actions), vec![Verdict::Reject]);
    assert_eq!(offences(&actions), vec![(1, Offence::Broke(Reject::HighHash))]);
    assert_eq!(dropped(&actions), vec![(1, BANNED)]);
    // the honest one is taken from somebody else
    rig.gossip_block(2, &block);
    assert_eq!(rig.tip(), block.hash());
}

#[test]
fn each_broken_header_rule_is_named() {
    let change = |rule: Reject| -> Box<dyn Fn(&mut Header)> {
        if rule == Reject::BadDiffBits {
            Box::new(|header| header.bits.0 = 0x207f_fffe)
        } else if rule == Reject::TimeTooOld {
            Box::new(|header| header.time = params().genesis.time)
        } else {
            Box::new(|header| header.version = 0)
        }
    };
    for rule in [Reject::BadDiffBits, Reject::TimeTooOld, Reject::BadVersion] {
        let (mut rig, block) = scene();
        let mut header = block.header;
        change(rule)(&mut header);
        let bad = solve(Block { header, transactions: block.transactions.clone() });
        assert_eq!(offences(&tell(&mut rig, 1, &bad)), vec![(1, Offence::Broke(rule))]);
        let (mut rig, _) = scene();
        assert_eq!(offences(&rig.gossip_block(1, &bad)), vec![(1, Offence::Broke(rule))]);
    }
}

#[test]
fn mrk_03_a_mutated_body_is_charged_to_its_server_and_the_honest_one_is_taken() {
    let (mut rig, _) = scene();
    // three transactions
    for number in 0..2 {
        let coin = Funds::of(&rig.blocks()[number].transactions[0], 0, 7);
        rig.submit_tx(&forward(coin, 2, FEE)).expect("valid");
    }
    let block = mine_on(&rig.node, None, 3, rig.now);
    // 2 has the header too, and keeps the body back
    let actions = tell(&mut rig, 1, &block);
    let id = request_id(&actions, 1, is_blocks);
    rig.gossip_block(2, &block);
    // "[a,b,c] -> [a,b,c,c]" has the same root
    let mut transactions = block.transactions.clone();
    transactions.push(transactions[2].clone());
    let mutated = Arc::new(Block { header: block.header, transactions });
    let actions = rig.answer(1, id, Response::Blocks(vec![mutated]));
    assert_eq!(offences(&actions), vec![(1, Offence::Broke(Reject::DuplicateTransactions))]);
    assert_eq!(dropped(&actions), vec![(1, BANNED)]);
    assert!(!notices(&actions).iter().any(|notice| matches!(notice, Notice::BlockInvalid(..))));
    // SYN-04: asked for again at once, of the other
    let id = request_id(&actions, 2, is_blocks);
    rig.answer(2, id, Response::Blocks(vec![block.clone()]));
    assert_eq!(rig.tip(), block.hash());
}

#[test]
fn syn_04_a_body_of_another_block_under_this_header_is_refused() {
    let (mut rig, block) = scene();
    let actions = tell(&mut rig, 1, &block);
    let id = request_id(&actions, 1, is_blocks);
    let other = with_first(&block, |coinbase| coinbase.lock_time += 1);
    let forged = Arc::new(Block { header: block.header, transactions: other.transactions.clone() });
    let actions = rig.answer(1, id, Response::Blocks(vec![forged]));
    assert_eq!(offences(&actions), vec![(1, Offence::Broke(Reject::BadMerkleRoot))]);
    rig.gossip_block(2, &block);
    assert_eq!(rig.tip(), block.hash());
}

#[test]
fn an_invalid_block_is_charged_to_who_served_it_not_to_who_announced_it() {
    let (mut rig, block) = scene();
    let thief = with_first(&block, |coinbase| coinbase.outputs[0].value = Amount(REWARD + 1));
    // 2 passes the header on, and has not seen the body; all of it is in the message, so it is judged at once
    let actions = rig.gossip_block(2, &thief);
    assert_eq!(verdicts(&actions), vec![Verdict::Accept]);
    let invalid = |actions: &[Action]| {
        notices(actions)
            .iter()
            .any(|notice| matches!(notice, Notice::BlockInvalid(_, Reject::CoinbaseAmount)))
    };
    assert!(invalid(&actions));
    assert_eq!(offences(&actions), vec![]);
    // another one is served by 1, who says with that that it is connected there
    let thief = with_first(&block, |coinbase| coinbase.outputs[0].value = Amount(REWARD + 2));
    let actions = tell(&mut rig, 1, &thief);
    let id = request_id(&actions, 1, is_blocks);
    let actions = rig.answer(1, id, Response::Blocks(vec![thief.clone()]));
    assert!(invalid(&actions));
    assert_eq!(offences(&actions), vec![(1, Offence::Broke(Reject::CoinbaseAmount))]);
    assert_eq!(rig.height(), 4);
    // it is known to be bad now: a peer that builds on it in its headers vouches for it
    rig.now = rig.now + Duration::from_secs(60);
    let actions = tell(&mut rig, 3, &thief);
    assert_eq!(offences(&actions), vec![(3, Offence::Broke(Reject::DuplicateInvalid))]);
    // and one that only passes it on does not
    assert_eq!(offences(&rig.gossip_block(2, &thief)), vec![]);
}

#[test]
fn a_context_free_break_in_a_served_body_is_charged_too() {
    let (mut rig, block) = scene();
    let mut transactions = block.transactions.clone();
    transactions.push(Arc::new(Transaction::new(draft(&[], &[(1, 5)]))));
    let bad = rebuilt(&block, transactions);
    let actions = tell(&mut rig, 1, &bad);
    let id = request_id(&actions, 1, is_blocks);
    let actions = rig.answer(1, id, Response::Blocks(vec![bad]));
    assert_eq!(offences(&actions), vec![(1, Offence::Broke(Reject::NoInputs))]);
}

#[test]
fn an_operators_word_is_no_fault_of_the_peers() {
    let (mut rig, block) = scene();
    rig.gossip_block(1, &block);
    rig.node.invalidate(&block.hash(), rig.now).expect("it is known");
    assert_eq!(rig.height(), 4);
    rig.now = rig.now + Duration::from_secs(10);
    let child = {
        let mut other = Rig::new();
        other.now = rig.now;
        for block in rig.blocks() {
            other.submit_block(&block).expect("valid");
        }
        other.submit_block(&block).expect("valid");
        other.mine(3)
    };
    assert_eq!(offences(&tell(&mut rig, 1, &block)), vec![]);
    rig.now = rig.now + Duration::from_secs(60);
    assert_eq!(offences(&tell(&mut rig, 2, &child)), vec![]);
    assert_eq!(offences(&rig.gossip_block(3, &child)), vec![]);
    rig.node.reconsider(&block.hash(), rig.now).expect("it is known");
    assert_eq!(rig.tip(), block.hash());
}

#[test]
fn headers_that_do_not_follow_on_each_other_are_charged() {
    let mut source = Rig::new();
    let blocks: Vec<_> = (0..3).map(|_| source.mine(1)).collect();
    let mut rig = Rig::new();
    rig.now = source.now;
    let id = request_id(&rig.connect(1), 1, is_headers);
    let headers = vec![blocks[0].header, blocks[2].header];
    let actions = rig.answer(1, id, Response::Headers(headers));
    assert_eq!(offences(&actions), vec![(1, Offence::Discontinuous)]);
    assert_eq!(dropped(&actions), vec![], "once may be an accident");
    // headers out of nowhere are the same
    let id = request_id(&rig.connect(2), 2, is_headers);
    let actions = rig.answer(2, id, Response::Headers(vec![blocks[2].header]));
    assert_eq!(offences(&actions), vec![(2, Offence::Discontinuous)]);
    assert_eq!(rig.score(2), 20);
}

#[test]
fn too_many_headers_are_charged() {
    let (mut rig, block) = scene();
    let id = request_id(&rig.connect(9), 9, is_headers);
    let actions = rig.answer(9, id, Response::Headers(vec![block.header; MAX_HEADERS + 1]));
    assert_eq!(offences(&actions), vec![(9, Offence::TooLong)]);
    assert_eq!(dropped(&actions), vec![(9, BANNED)]);
}

#[test]
fn p2p_05_questions_above_their_limits_are_charged() {
    let (mut rig, block) = scene();
    let locator = vec![block.hash(); MAX_LOCATOR + 1];
    let actions = rig.feed(Event::Request(PeerId(1), RequestId(1), Request::Headers { locator }));
    assert_eq!(offences(&actions), vec![(1, Offence::TooLong)]);
    assert!(responses(&actions).is_empty());
}

#[test]
fn p2p_32_answers_that_nobody_asked_for_are_ignored_and_wrong_ones_charged() {
    let (mut rig, block) = scene();
    let stray = rig.answer(1, RequestId(777), Response::Blocks(vec![block.clone()]));
    assert_eq!(offences(&stray), vec![]);
    assert!(!rig.node.chain().has_body(&block.hash()), "not stored");
    let actions = tell(&mut rig, 1, &block);
    let id = request_id(&actions, 1, is_blocks);
    // P2P-20: 2 answers in the name of 1
    assert!(rig.answer(2, id, Response::Blocks(vec![block.clone()])).is_empty());
    let actions = rig.answer(1, id, Response::Headers(vec![]));
    assert_eq!(offences(&actions), vec![(1, Offence::WrongAnswer)]);
    // a second answer to the same question
    assert!(rig.answer(1, id, Response::Blocks(vec![block])).is_empty());
}

#[test]
fn blocks_that_were_not_asked_for_are_charged() {
    let (mut rig, block) = scene();
    let actions = tell(&mut rig, 1, &block);
    let id = request_id(&actions, 1, is_blocks);
    let other = rebuilt(
        &block,
        vec![with_first(&block, |tx| tx.witnesses[0] = Witness(vec![9])).transactions[0].clone()],
    );
    let actions = rig.answer(1, id, Response::Blocks(vec![other]));
    assert_eq!(offences(&actions), vec![(1, Offence::WrongAnswer)]);
}

#[test]
fn wrong_transactions_for_a_compact_block_are_charged() {
    let (mut rig, _) = scene();
    let mut miner = Rig::new();
    miner.now = rig.now;
    for block in rig.blocks() {
        miner.submit_block(&block).expect("valid");
    }
    let coin = Funds::of(&rig.blocks()[0].transactions[0], 0, 7);
    miner.submit_tx(&forward(coin, 2, FEE)).expect("valid");
    let full = miner.mine(3);
    rig.now = miner.now;
    let (id, _) = first_request(&rig.gossip_block(1, &full), 1).expect("one is missing");
    let wrong = vec![forward(coin, 4, FEE)];
    let actions = rig.answer(1, id, Response::BlockTransactions(full.hash(), wrong));
    assert_eq!(offences(&actions), vec![(1, Offence::WrongAnswer)]);
    // too many of them as well
    let (id, _) = {
        rig.connect_empty(5);
        let compact = CompactBlock::new(&full, 9).expect("not empty");
        let actions = rig.gossip(5, Gossip::Block(Arc::new(compact)));
        first_request(&actions, 5).expect("the body is still missing")
    };
    rig.answer(5, id, Response::Blocks(vec![full.clone()]));
    assert_eq!(rig.tip(), full.hash());
}

#[test]
fn mem_09_an_invalid_transaction_is_charged_and_looked_at_once() {
    let (mut rig, _) = scene();
    let coin = Funds::of(&rig.blocks()[0].transactions[0], 0, 7);
    let mut data = forward(coin, 2, FEE).data().clone();
    let last = data.witnesses[0].0.len() - 1;
    data.witnesses[0].0[last - 40] ^= 1;
    let forged = Arc::new(Transaction::new(data));
    for peer in [1, 2] {
        let actions = rig.gossip_tx(peer, &forged);
        assert_eq!(verdicts(&actions), vec![Verdict::Reject]);
        assert_eq!(offences(&actions), vec![(peer, Offence::Broke(Reject::BadSignature))]);
        assert_eq!(dropped(&actions), vec![(peer, BANNED)]);
    }
    // the same transaction under its real witness is welcome
    assert_eq!(verdicts(&rig.gossip_tx(3, &forward(coin, 2, FEE))), vec![Verdict::Accept]);
}

#[test]
fn what_only_policy_refuses_is_no_offence() {
    let (mut rig, _) = scene();
    let coin = Funds::of(&rig.blocks()[0].transactions[0], 0, 7);
    let cheap = forward(coin, 2, 1);
    let actions = rig.gossip_tx(1, &cheap);
    assert_eq!((verdicts(&actions), offences(&actions)), (vec![Verdict::Ignore], vec![]));
    let mut data = draft(&[coin], &[(2, REWARD - FEE)]);
    data.outputs.push(TxOut { value: Amount(1), lock: lock(2) });
    let dusty = signed(data, &[coin]);
    let actions = rig.gossip_tx(1, &dusty);
    assert_eq!((verdicts(&actions), offences(&actions)), (vec![Verdict::Ignore], vec![]));
}

#[test]
fn a_block_in_brief_with_a_false_coinbase_is_charged_and_marks_nothing() {
    let (mut rig, block) = scene();
    let mut compact = CompactBlock::new(&block, 7).expect("not empty");
    compact.coinbase = with_first(&block, |coinbase| coinbase.lock_time = 77).transactions[0].clone();
    let actions = rig.gossip(1, Gossip::Block(Arc::new(compact)));
    assert_eq!(verdicts(&actions), vec![Verdict::Reject]);
    assert_eq!(offences(&actions), vec![(1, Offence::Broke(Reject::CoinbaseHeight))]);
    rig.gossip_block(2, &block);
    assert_eq!(rig.tip(), block.hash());
}

#[test]
fn p2p_13_a_peer_that_answers_nothing_is_given_up() {
    let (mut rig, _) = scene();
    let mut gone = Vec::new();
    for _ in 0..20 {
        let actions = rig.pass(Duration::from_secs(10));
        gone.extend(dropped(&actions));
    }
    gone.sort_unstable();
    assert_eq!(gone, vec![(1, false), (2, false), (3, false)]);
}
