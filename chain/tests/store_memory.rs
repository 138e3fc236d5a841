//! Memory and disk stay in proportion. A process of its own, so that what it takes is the store's.

#[path = "store/flood.rs"]
mod flood;

use std::fs;
use std::path::Path;

use flood::Flood;
use tine_chain::params::{Network, Params};
use tine_chain::store::{SledOptions, SledStore, Store};

/// What the process holds in memory, in MiB.
fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("a line");
    line.split_whitespace().nth(1).and_then(|number| number.parse::<u64>().ok()).expect("kB") / 1024
}

fn size(path: &Path) -> u64 {
    let metadata = fs::metadata(path).expect("there");
    if metadata.is_file() {
        return metadata.len();
    }
    fs::read_dir(path).expect("listed").map(|entry| size(&entry.expect("an entry").path())).sum()
}

#[test]
#[cfg(target_os = "linux")]
fn sto_18_memory_is_bounded_and_the_database_in_proportion() {
    let dir = tempfile::tempdir().expect("a directory");
    let params = Params::of(Network::Regtest);
    let options = SledOptions { cache_bytes: 8 << 20, sled_cache_bytes: 8 << 20, ..SledOptions::default() };
    let mut flood = Flood::new(1);
    let mut most = 0;
    let mut store = SledStore::open(dir.path(), &params, options.clone()).expect("opened");
    for _ in 0..10 {
        store.commit(&flood.mint(2_000)).expect("committed");
    }
    for _ in 0..60 {
        store.commit(&flood.pay(2_000)).expect("committed");
        most = most.max(resident());
    }
    store.flush().expect("flushed");
    most = most.max(resident());
    let coins = flood.coins.len() as u64;
    drop(store);
    let store = SledStore::open(dir.path(), &params, options).expect("opened");
    assert_eq!(store.recovery().replayed, 0);
    let mut counted = 0;
    store.for_each_coin(&mut |_, _| counted += 1).expect("readable");
    assert_eq!(counted, coins);
    most = most.max(resident());
    let disk = size(&dir.path().join("index"));
    assert!(most < 200, "{most} MiB");
    assert!(disk < coins * 81 * 8, "{disk} bytes for {coins} coins");
}
