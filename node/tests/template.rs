//! Block templates: what is chosen, in which order, and that the chain takes what they say.

mod harness;

use std::time::Duration;

use harness::*;
use tine_chain::amount::Amount;
use tine_chain::block::{Header, MAX_BLOCK_SIZE};
use tine_chain::hash::{BlockHash, Txid};
use tine_chain::params::{Network, Params};
use tine_chain::transaction::SEQUENCE_FINAL;
use tine_node::event::{Accepted, Notice};
use tine_node::template::{CoinbaseSpec, Template, TemplateError};

fn spec() -> CoinbaseSpec {
    CoinbaseSpec { lock: lock(1), extra: b"/tine/1".to_vec() }
}

fn template(rig: &Rig) -> Template {
    rig.node.template(None, rig.now, &spec()).expect("the tip is known")
}

fn ids(template: &Template) -> Vec<Txid> {
    template.block.transactions[1..].iter().map(|tx| tx.txid()).collect()
}

#[test]
fn an_empty_template_is_what_design_says() {
    let mut rig = Rig::new();
    rig.mine(1);
    let template = template(&rig);
    let coinbase = &template.block.transactions[0];
    assert_eq!(template.height, 2);
    assert_eq!(coinbase.lock_time, 1, "height - 1");
    assert_ne!(coinbase.inputs[0].sequence, SEQUENCE_FINAL);
    assert_eq!(coinbase.witnesses[0].0, b"/tine/1");
    assert_eq!(coinbase.output_value(), Some(Amount(REWARD)));
    assert_eq!(template.block.header.nonce, 0);
    assert!(template.min_time > rig.node.chain().median_time_past());
    let verdict = rig.node.chain().verify_block_template(&template.block, rig.now);
    assert_eq!(verdict.expect("memory never fails"), Ok(Amount::ZERO));
}

#[test]
fn the_best_fee_rate_comes_first_and_packages_stay_together() {
    let mut rig = Rig::new();
    let funds = rig.fund(4, 7);
    let cheap = forward(funds[0], 2, 1_000);
    let dear = forward(funds[1], 2, 50_000);
    let middle = forward(funds[2], 2, 10_000);
    // alone the parent is the worst of all; with its child it is the best
    let parent = forward(funds[3], 2, 300);
    let child = forward(Funds::of(&parent, 0, 2), 3, 200_000);
    for tx in [&cheap, &dear, &middle, &parent, &child] {
        rig.submit_tx(tx).expect("valid");
    }
    let template = template(&rig);
    let expected: Vec<_> = [&parent, &child, &dear, &middle, &cheap].map(|tx| tx.txid()).to_vec();
    assert_eq!(ids(&template), expected);
    assert_eq!(template.fees, Amount(261_300));
    assert_eq!(template.tx_fees, [300, 200_000, 50_000, 10_000, 1_000].map(Amount));
    assert_eq!(template.block.transactions[0].output_value(), Some(Amount(REWARD + 261_300)));
    let block = solve(template.block);
    assert_eq!(rig.submit_block(&block), Ok(Accepted::Connected(block.hash())));
    assert!(rig.node.mempool().is_empty());
}

#[test]
fn a_second_child_does_not_pay_for_its_parent_again() {
    let mut rig = Rig::new();
    let funds = rig.fund(2, 7);
    let parent = pay(&funds[..1], &[(2, REWARD / 2), (2, REWARD / 2 - 1_000)]);
    let rich = forward(Funds::of(&parent, 0, 2), 3, 100_000);
    let poor = forward(Funds::of(&parent, 1, 2), 3, 2_000);
    let other = forward(funds[1], 2, 3_000);
    for tx in [&parent, &poor, &rich, &other] {
        rig.submit_tx(tx).expect("valid");
    }
    let expected: Vec<_> = [&parent, &rich, &other, &poor].map(|tx| tx.txid()).to_vec();
    assert_eq!(ids(&template(&rig)), expected);
}

#[test]
fn a_template_never_outgrows_a_block() {
    let mut rig = Rig::new();
    let funds = rig.fund(12, 7);
    // each over a third of a megabyte
    for (at, coin) in funds.iter().enumerate() {
        let outputs: Vec<_> = (0..9_000).map(|_| (2, 500_000)).collect();
        let mut outputs = outputs;
        outputs.push((2, REWARD - 9_000 * 500_000 - 400_000 - at as u64));
        rig.submit_tx(&pay(&[*coin], &outputs)).expect("valid");
    }
    let template = template(&rig);
    assert_eq!(template.block.transactions.len(), 12, "eleven of them fit, and the coinbase");
    assert!(template.block.size() <= MAX_BLOCK_SIZE);
    // the one that pays least is left out
    let least = rig.node.mempool().entries().min_by_key(|entry| entry.fee).expect("not empty").tx.txid();
    assert!(!ids(&template).contains(&least));
    let verdict = rig.node.chain().verify_block_template(&template.block, rig.now);
    assert!(verdict.expect("memory never fails").is_ok());
}

#[test]
fn any_parent_will_do_and_only_on_the_tip_are_there_transactions() {
    let mut rig = Rig::new();
    let funds = rig.fund(1, 7);
    rig.submit_tx(&forward(funds[0], 2, FEE)).expect("valid");
    let older = rig.node.chain().active_hash(1);
    let fork = rig.node.template(older, rig.now, &spec()).expect("it is known");
    assert_eq!((fork.height, fork.block.transactions.len()), (2, 1));
    let tip = rig.node.template(Some(rig.tip()), rig.now, &spec()).expect("it is known");
    assert_eq!(tip.block.transactions.len(), 2);
    let block = solve(fork.block);
    assert_eq!(rig.submit_block(&block), Ok(Accepted::SideBranch(block.hash())));
    let unknown = rig.node.template(Some(BlockHash([9; 32])), rig.now, &spec());
    assert_eq!(unknown.err(), Some(TemplateError::Parent));
    let long = CoinbaseSpec { lock: lock(1), extra: vec![0; 101] };
    assert_eq!(rig.node.template(None, rig.now, &long).err(), Some(TemplateError::CoinbaseLength));
    let none = CoinbaseSpec { lock: lock(1), extra: vec![] };
    assert_eq!(rig.node.template(None, rig.now, &none).err(), Some(TemplateError::CoinbaseLength));
}

#[test]
fn a_clock_that_is_behind_still_makes_blocks() {
    let mut rig = Rig::new();
    for _ in 0..12 {
        rig.mine(1);
    }
    rig.now = start();
    let template = template(&rig);
    assert_eq!(template.block.header.time, template.min_time);
    assert_eq!(template.min_time, rig.node.chain().median_time_past() + 1);
}

/// BIP 54: at the borders of a difficulty period a template's time keeps the two timewarp rules.
#[test]
fn times_at_the_borders_of_a_period_are_allowed() {
    // blocks of twenty seconds, a retarget every six
    let params =
        Params { retarget_interval: Some(6), target_timespan_secs: 120, ..Params::of(Network::Devnet) };
    let params = Params {
        genesis: Header { bits: params.pow_limit.to_compact(), ..params.genesis },
        max_future_secs: 7_200,
        ..params
    };
    // a clock that is ahead for the first half of each period, or for the second: the last block would be earlier than
    // the first, or the first earlier than the one before it
    for ahead in [0..3, 3..6] {
        let mut rig = Rig::with(node_with(params.clone(), 1));
        for height in 1..=20 {
            let offset = if ahead.contains(&(height % 6)) { 7_000 } else { 0 };
            rig.now = start() + Duration::from_secs(offset + 20 * height);
            let template = template(&rig);
            let verdict = rig.node.chain().verify_block_template(&template.block, rig.now);
            assert_eq!(verdict.expect("memory never fails"), Ok(Amount::ZERO), "at {height}");
            let block = solve(template.block);
            assert_eq!(rig.submit_block(&block), Ok(Accepted::Connected(block.hash())));
        }
    }
}

#[test]
fn a_run_of_blocks_takes_the_mempool_first_and_is_connected_together() {
    let mut rig = Rig::new();
    let funds = rig.fund(1, 7);
    let tx = forward(funds[0], 2, 1_000);
    rig.submit_tx(&tx).expect("a good payment");
    let before = rig.height();
    let mut number = 0;
    let coinbase = || {
        number += 1;
        CoinbaseSpec { lock: lock(1), extra: vec![number; 4] }
    };
    let solved = |template: Template| Some((*solve(template.block)).clone());
    let (actions, mined) = rig.node.mine(40, rig.now, coinbase, solved).expect("memory never fails");
    let mined = mined.expect("our own blocks are good");
    assert_eq!((mined.len(), rig.height()), (40, before + 40));
    assert_eq!(mined.last(), Some(&rig.tip()));
    assert!(!rig.has_tx(&tx), "it is confirmed");
    let connected: Vec<_> = notices(&actions)
        .into_iter()
        .filter_map(
            |notice| if let Notice::Chain(change) = notice { Some(change.connected.len()) } else { None },
        )
        .filter(|connected| *connected > 0)
        .collect();
    assert_eq!(connected.iter().sum::<usize>(), 40);
    assert!(connected.len() < 5, "committed in {connected:?}");
    // no nonce, no block
    let (_, mined) = rig.node.mine(5, rig.now, spec, |_| None).expect("memory never fails");
    assert_eq!(mined, Ok(Vec::new()));
}
