//! The memory that coins may take is the budget, however many there are.

use tine_chain::params::{Network, Params};
use tine_chain::store::{SledOptions, SledStore, Store};

use crate::flood::Flood;

/// Payments of a block: each spends a coin and makes two.
const PAYMENTS: usize = 2_000;
/// What a coin is counted as, in bytes.
const COIN_BYTES: usize = 192;

#[test]
fn sto_18_the_coin_cache_stays_within_its_budget_while_the_coin_set_grows() {
    const BUDGET: usize = 2 << 20;
    let dir = tempfile::tempdir().expect("a directory");
    let params = Params::of(Network::Regtest);
    let options = SledOptions { cache_bytes: BUDGET, sled_cache_bytes: 2 << 20, ..SledOptions::default() };
    let mut store = SledStore::open(dir.path(), &params, options).expect("opened");
    let mut flood = Flood::new(18);
    for _ in 0..5 {
        store.commit(&flood.mint(PAYMENTS)).expect("committed");
    }
    let mut most = 0;
    for _ in 0..20 {
        store.commit(&flood.pay(PAYMENTS)).expect("committed");
        most = most.max(store.cached_bytes());
        assert!(store.cached_bytes() <= BUDGET, "{} bytes", store.cached_bytes());
    }
    assert!(most > BUDGET / 4, "a cache that holds nothing proves nothing: {most} bytes");
    let all = flood.coins.len() * COIN_BYTES;
    assert!(all > 4 * BUDGET, "all coins together would have been far over it: {all} bytes");
}
