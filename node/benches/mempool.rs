//! What a transaction costs the mempool, and what a template costs a miner.

#![allow(missing_docs, reason = "criterion's macros make undocumented functions")]

#[path = "../tests/harness/mod.rs"]
mod harness;

use std::sync::Arc;
use std::time::Duration;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use harness::*;
use tine_chain::block::Block;
use tine_chain::time::Time;
use tine_chain::transaction::Transaction;
use tine_node::Node;
use tine_node::event::{Event, Submission, SubmitId};
use tine_node::template::CoinbaseSpec;

/// Payments of one input and two outputs, each of a coin of its own.
const PAYMENTS: usize = 2_000;

/// Blocks that make the coins, and the payments that spend them.
fn scene() -> (Vec<Arc<Block>>, Vec<Arc<Transaction>>, Time) {
    let mut rig = Rig::new();
    let coin = rig.fund(1, 7)[0];
    let value = REWARD / PAYMENTS as u64 - FEE;
    let outputs: Vec<_> = (0..PAYMENTS).map(|_| (8, value)).collect();
    let split = pay(&[coin], &outputs);
    rig.submit_tx(&split).expect("valid");
    rig.mine(1);
    let payments = (0..PAYMENTS).map(|vout| {
        let coin = Funds::of(&split, u32::try_from(vout).expect("few"), 8);
        let fee = 1_000 + vout as u64;
        pay(&[coin], &[(2, value / 2), (3, value / 2 - fee)])
    });
    (rig.blocks(), payments.collect(), rig.now)
}

fn node_at(blocks: &[Arc<Block>], now: Time) -> Node {
    let mut rig = Rig::new();
    rig.now = now;
    for block in blocks {
        rig.submit_block(block).expect("valid");
    }
    rig.node
}

fn submit(node: &mut Node, tx: &Arc<Transaction>, now: Time) {
    let event = Event::Submit(SubmitId(1), Submission::Transaction(tx.clone()));
    node.handle(event, now).expect("memory never fails");
}

fn mempool(criterion: &mut Criterion) {
    let (blocks, payments, now) = scene();
    let mut group = criterion.benchmark_group("mempool");
    group.sample_size(10).measurement_time(Duration::from_secs(10));
    group.throughput(Throughput::Elements(payments.len() as u64));
    group.bench_function("accept 2,000 payments", |bencher| {
        let accept_all = |mut node: Node| {
            payments.iter().for_each(|tx| submit(&mut node, tx, now));
            assert_eq!(node.mempool().len(), PAYMENTS);
            node
        };
        bencher.iter_batched(|| node_at(&blocks, now), accept_all, BatchSize::PerIteration);
    });
    group.bench_function("accept 2,000 payments, signatures known", |bencher| {
        let warm = || {
            let mut node = node_at(&blocks, now);
            for tx in &payments {
                node.test_accept(tx).expect("memory never fails").expect("valid");
            }
            node
        };
        let accept_all = |mut node: Node| {
            payments.iter().for_each(|tx| submit(&mut node, tx, now));
            node
        };
        bencher.iter_batched(warm, accept_all, BatchSize::PerIteration);
    });
    group.finish();
    let mut node = node_at(&blocks, now);
    payments.iter().for_each(|tx| submit(&mut node, tx, now));
    let spec = CoinbaseSpec { lock: lock(1), extra: vec![1] };
    criterion.bench_function("template of 2,000 payments", |bencher| {
        bencher.iter(|| node.template(None, now, &spec).expect("the tip is valid"));
    });
}

criterion_group!(benches, mempool);
criterion_main!(benches);
