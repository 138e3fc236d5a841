//! The store on disk: commits, look-ups and flushes. The time of a commit is that of two `fdatasync`.

#[path = "../tests/store/flood.rs"]
mod flood;

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use flood::Flood;
use tine_chain::block::{Block, Header};
use tine_chain::chain::{Chain, ChainOptions};
use tine_chain::hash::Lock;
use tine_chain::merkle::merkle_root;
use tine_chain::mining::Scanner;
use tine_chain::params::{Network, Params};
use tine_chain::store::{SledOptions, SledStore, Store};
use tine_chain::time::Time;
use tine_chain::transaction::{OutPoint, SEQUENCE_LOCK_TIME, Transaction, TxData, TxIn, TxOut, Witness};

fn open(dir: &tempfile::TempDir, options: SledOptions) -> SledStore {
    SledStore::open(dir.path(), &Params::of(Network::Regtest), options).expect("opened")
}

fn commit(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("store commit");
    group.sample_size(20);
    for payments in [0, 100, 2_000] {
        let dir = tempfile::tempdir().expect("a directory");
        let mut store = open(&dir, SledOptions::default());
        let mut flood = Flood::new(1);
        for _ in 0..20 {
            store.commit(&flood.mint(5_000)).expect("committed");
        }
        group.throughput(Throughput::Elements(payments as u64 + 1));
        group.bench_function(format!("block of {payments} payments"), |bencher| {
            let next = || flood.pay(payments);
            bencher.iter_batched(
                next,
                |change| store.commit(&change).expect("committed"),
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

fn coin(criterion: &mut Criterion) {
    let dir = tempfile::tempdir().expect("a directory");
    let mut store = open(&dir, SledOptions::default());
    let mut flood = Flood::new(2);
    let look_up = |criterion: &mut Criterion, name: &str, store: &SledStore, flood: &Flood| {
        let mut coins = flood.coins.iter().cycle();
        criterion.bench_function(name, |bencher| {
            bencher.iter(|| {
                let (outpoint, _) = coins.next().expect("a cycle");
                black_box(store.coin(outpoint).expect("readable")).expect("unspent")
            });
        });
    };
    for _ in 0..10 {
        store.commit(&flood.mint(4_000)).expect("committed");
    }
    look_up(criterion, "coin in the cache", &store, &flood);
    store.flush().expect("flushed");
    look_up(criterion, "coin in sled, 40,000 coins", &store, &flood);
}

fn flush(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("store flush");
    group.sample_size(10).throughput(Throughput::Elements(20_000));
    let dir = tempfile::tempdir().expect("a directory");
    let mut store = open(&dir, SledOptions::default());
    let mut flood = Flood::new(3);
    group.bench_function("20,000 coins", |bencher| {
        bencher.iter_custom(|rounds| {
            let mut time = Duration::ZERO;
            for _ in 0..rounds {
                store.commit(&flood.mint(20_000)).expect("committed");
                let start = clock();
                store.flush().expect("flushed");
                time += start.elapsed();
            }
            time
        });
    });
    group.finish();
}

/// A chain of `blocks` empty blocks in a directory, cleanly closed.
fn long_chain(blocks: u32) -> (tempfile::TempDir, Params) {
    let dir = tempfile::tempdir().expect("a directory");
    let params = Params::of(Network::Regtest);
    let mut chain = open_chain(&dir, &params);
    let mut header = params.genesis;
    for height in 1..=blocks {
        let coinbase = Transaction::new(TxData {
            version: 2,
            inputs: vec![TxIn { prevout: OutPoint::NULL, sequence: SEQUENCE_LOCK_TIME }],
            outputs: vec![TxOut { value: params.subsidy(height), lock: Lock::ZERO }],
            lock_time: height - 1,
            witnesses: vec![Witness(vec![1])],
        });
        header = Header {
            prev_block: header.hash(),
            merkle_root: merkle_root(&[coinbase.wtxid()]).expect("one leaf"),
            time: header.time + 1,
            nonce: 0,
            ..header
        };
        let target = header.bits.to_target().expect("a target");
        header.nonce = Scanner::new(&header).scan(target, 0..=u32::MAX).expect("regtest is easy");
        let block = Block { header, transactions: vec![Arc::new(coinbase)] };
        let now = Time::from_secs(u64::from(header.time));
        chain.insert_block(Arc::new(block), now).expect("valid");
        if height % 1_000 == 0 {
            while chain.activate(now, 1_000).expect("works").more {}
        }
    }
    chain.flush().expect("flushed");
    (dir, params)
}

fn open_chain(dir: &tempfile::TempDir, params: &Params) -> Chain {
    let store = SledStore::open(dir.path(), params, SledOptions::default()).expect("opened");
    Chain::open(params.clone(), Box::new(store), ChainOptions::default()).expect("a chain")
}

/// From the files to a chain that answers, after a clean stop.
fn start(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("start");
    group.sample_size(10);
    for blocks in [1_000, 10_000, 100_000] {
        let (dir, params) = long_chain(blocks);
        group.throughput(Throughput::Elements(blocks.into()));
        group.bench_function(format!("{blocks} blocks"), |bencher| {
            bencher.iter(|| assert_eq!(open_chain(&dir, &params).tip().height, blocks));
        });
    }
    group.finish();
}

#[expect(clippy::disallowed_methods, reason = "a benchmark measures time")]
fn clock() -> Instant {
    Instant::now()
}

criterion_group!(benches, commit, coin, flush, start);
criterion_main!(benches);
