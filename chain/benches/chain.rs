//! The chain in memory: checking and connecting a block of 2,000 payments with one input and two outputs each, moving
//! between two branches of ten such blocks, and what the store in memory takes for one.
#![allow(missing_docs, reason = "criterion's macros make public items")]

use std::hint::black_box;
use std::sync::Arc;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use tine_chain::block::MAX_BLOCK_SIZE;
use tine_chain::chain::{Chain, ChainOptions};
use tine_chain::change::Change;
use tine_chain::rules::check_block;
use tine_chain::signature::Parallel;
use tine_chain::store::{MemoryStore, Store};
use tine_chain::testing::{TestTree, Worst};

/// Payments in a block, beside the coinbase.
const PAYMENTS: usize = 2_000;
/// Blocks of each branch.
const BRANCH: usize = 10;

/// Blocks `a1 …` and `b1 …` on one root, `length` each, where each payment spends the one before it on its branch.
fn draw(length: usize) -> (TestTree, Vec<Vec<String>>) {
    let mut tree = TestTree::regtest();
    tree.draw("genesis r1 r2 r3");
    let owners: Vec<_> = (0..PAYMENTS).map(|_| ("payer", 2_000_000)).collect();
    tree.pay("split", &["r1:0"], &owners);
    tree.draw("r3 root[split]");
    let branches = ["a", "b"].map(|branch| {
        let mut parent = "root".to_owned();
        for number in 1..=length {
            let payments: Vec<_> = (0..PAYMENTS).map(|place| format!("{branch}{number}-{place}")).collect();
            for (place, payment) in payments.iter().enumerate() {
                let coin = match number {
                    1 => format!("split:{place}"),
                    _ => format!("{branch}{}-{place}:0", number - 1),
                };
                let value = 2_000_000 - 1_000 * number as u64;
                tree.pay(payment, &[&coin], &[("payer", value - 500 * number as u64), ("payee", 500)]);
            }
            let name = format!("{branch}{number}");
            tree.block_with(&name, &parent, &payments, |_| {});
            parent = name;
        }
        (1..=length).map(|number| format!("{branch}{number}")).collect()
    });
    (tree, branches.into())
}

fn chain_at_root(tree: &TestTree, parallel: Parallel) -> Chain {
    let mut chain = tree.chain_with(ChainOptions { parallel, ..ChainOptions::default() });
    tree.deliver(&mut chain, "r1 r2 r3 root");
    chain
}

/// Lets the mempool's path verify every payment of a block on the tip.
fn learn(tree: &TestTree, chain: &mut Chain, name: &str) {
    for transaction in &tree.block(name).transactions[1..] {
        let coin = chain.coin(&transaction.inputs[0].prevout).expect("memory").expect("unspent");
        chain.verify_transaction(transaction, &[coin]).expect("good");
    }
}

fn connect(criterion: &mut Criterion) {
    let (tree, _) = draw(1);
    let mut group = criterion.benchmark_group("connect a block of 2,000 payments");
    group.sample_size(20).throughput(Throughput::Elements(PAYMENTS as u64));
    group.bench_function("rules that need only the block", |bencher| {
        bencher.iter(|| check_block(black_box(tree.block("a1")), &tree.params).expect("good"));
    });
    for (name, known, parallel) in [
        ("signatures known", true, Parallel::Inline),
        ("signatures unknown, one thread", false, Parallel::Inline),
        ("signatures unknown, all cores", false, Parallel::AllCores),
    ] {
        let prepare = || {
            let mut chain = chain_at_root(&tree, parallel);
            if known {
                learn(&tree, &mut chain, "a1");
            }
            chain.insert_block(tree.block("a1"), tree.now()).expect("good");
            chain
        };
        group.bench_function(name, |bencher| {
            let put_on = |mut chain: Chain| {
                chain.activate(tree.now(), 1).expect("memory");
                assert_eq!(tree.tip(&chain), "a1");
                chain
            };
            bencher.iter_batched(prepare, put_on, BatchSize::PerIteration);
        });
    }
    group.finish();
}

fn reorganise(criterion: &mut Criterion) {
    let (tree, branches) = draw(BRANCH);
    let mut group = criterion.benchmark_group("reorganise by 10 blocks of 2,000 payments");
    group.sample_size(10).throughput(Throughput::Elements((BRANCH * PAYMENTS) as u64));
    let tips = [branches[0].last(), branches[1].last()].map(|tip| tree.hash(tip.expect("ten blocks")));
    let prepare = || {
        let mut chain = chain_at_root(&tree, Parallel::AllCores);
        branches[0].iter().for_each(|block| tree.deliver(&mut chain, block));
        for block in &branches[1] {
            chain.insert_block(tree.block(block), tree.now()).expect("good");
        }
        chain
    };
    let go_to = |chain: &mut Chain, tip| {
        chain.precious(&tip).expect("known");
        chain.activate(tree.now(), usize::MAX).expect("memory");
        assert_eq!(chain.tip().hash, tip);
    };
    group.bench_function("to a branch that was never verified", |bencher| {
        let there = |mut chain| {
            go_to(&mut chain, tips[1]);
            chain
        };
        bencher.iter_batched(prepare, there, BatchSize::PerIteration);
    });
    let mut chain = prepare();
    go_to(&mut chain, tips[1]);
    group.bench_function("to a branch that was active before", |bencher| {
        bencher.iter(|| {
            let other = tips[usize::from(chain.tip().hash == tips[0])];
            go_to(&mut chain, other);
        });
    });
    group.finish();
}

/// The worst legal blocks, and the same with half the bytes. Nothing of them is known beforehand.
fn worst(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("worst legal block");
    group.sample_size(10);
    for kind in Worst::ALL {
        for size in [MAX_BLOCK_SIZE / 2, MAX_BLOCK_SIZE] {
            let mut tree = TestTree::regtest();
            let block = tree.worst_block("worst", "genesis", kind, size);
            group.throughput(Throughput::Bytes(block.size() as u64));
            group.bench_function(format!("{kind:?}, {size} bytes"), |bencher| {
                let prepare = || {
                    tree.chain_with(ChainOptions { parallel: Parallel::AllCores, ..ChainOptions::default() })
                };
                let connect = |mut chain: Chain| {
                    chain.insert_block(Arc::clone(&block), tree.now()).expect("legal");
                    chain.activate(tree.now(), 1).expect("memory");
                    assert_eq!(chain.tip().height, 1);
                    chain
                };
                bencher.iter_batched(prepare, connect, BatchSize::PerIteration);
            });
        }
    }
    group.finish();
}

fn store(criterion: &mut Criterion) {
    let (tree, _) = draw(1);
    let mut chain = chain_at_root(&tree, Parallel::Inline);
    chain.insert_block(tree.block("a1"), tree.now()).expect("good");
    let mut before: Vec<Arc<Change>> = Vec::new();
    let change = chain.activate(tree.now(), 1).expect("memory").change.expect("a block");
    before.push(Arc::new(Change {
        created: change.connected[0].undo().expect("held").spent.clone(),
        ..Change::default()
    }));
    let mut group = criterion.benchmark_group("store in memory");
    group.throughput(Throughput::Elements(PAYMENTS as u64));
    group.bench_function("commit of a block of 2,000 payments", |bencher| {
        let prepare = || {
            let mut store = MemoryStore::new();
            before.iter().for_each(|change| store.commit(change).expect("memory"));
            store
        };
        bencher.iter_batched(
            prepare,
            |mut store| store.commit(&change).expect("memory"),
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

fn empty_blocks(criterion: &mut Criterion) {
    const LENGTH: usize = 2_000;
    let mut tree = TestTree::regtest();
    let names: Vec<_> = (0..LENGTH).map(|number| format!("n{number}")).collect();
    tree.draw(&format!("genesis {}", names.join(" ")));
    let blocks: Vec<_> = names.iter().map(|name| tree.block(name)).collect();
    let mut group = criterion.benchmark_group("empty blocks");
    group.sample_size(10).throughput(Throughput::Elements(LENGTH as u64));
    group.bench_function("insert and connect", |bencher| {
        let run = |mut chain: Chain| {
            for block in &blocks {
                chain.insert_block(Arc::clone(block), tree.now()).expect("good");
                chain.activate(tree.now(), 1).expect("memory");
            }
            assert_eq!(chain.tip().height as usize, LENGTH);
        };
        bencher.iter_batched(|| tree.chain(), run, BatchSize::PerIteration);
    });
    group.finish();
}

criterion_group!(benches, connect, reorganise, store, empty_blocks, worst);
criterion_main!(benches);
