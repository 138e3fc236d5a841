//! The store on disk: commits, look-ups and flushes. The time of a commit is that of two `fdatasync`.

#[path = "../tests/store/flood.rs"]
mod flood;

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use flood::Flood;
use tine_chain::params::{Network, Params};
use tine_chain::store::{SledOptions, SledStore, Store};

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

#[expect(clippy::disallowed_methods, reason = "a benchmark measures time")]
fn clock() -> Instant {
    Instant::now()
}

criterion_group!(benches, commit, coin, flush);
criterion_main!(benches);
