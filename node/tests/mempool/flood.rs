//! More than the mempool holds.

use tine_chain::reject::Reject;
use tine_node::mempool::{ENTRY_OVERHEAD, Limits};

use crate::harness::*;
use crate::rig_with_limits;

/// A flood of payments at a little over the least rate never takes more room than the cap, makes the least rate rise,
/// and keeps the best.
#[test]
fn mem_04_a_flood_beyond_the_cap_keeps_the_best_and_raises_the_least_rate() {
    const ROOM: u64 = 100;
    let mut rig = rig_with_limits(Limits { max_usage: ROOM * (188 + ENTRY_OVERHEAD), ..Limits::default() });
    let coin = rig.fund(1, 7)[0];
    let outputs: Vec<_> = (0..400).map(|_| (7, (REWARD - 20_000) / 400)).collect();
    let split = pay(&[coin], &outputs);
    rig.submit_tx(&split).expect("valid");
    rig.mine(1);
    let least = rig.node.mempool().min_fee_rate();
    let mut refused = 0;
    for vout in 0..400u32 {
        // rates in no order, all different
        let fee = 200 + u64::from(vout * 37 % 400);
        match rig.submit_tx(&forward(Funds::of(&split, vout, 7), 2, fee)) {
            Ok(_) => {}
            Err(Reject::MinFeeNotMet | Reject::MempoolFull) => refused += 1,
            Err(other) => panic!("{other}"),
        }
        assert!(rig.node.mempool().usage() <= ROOM * (188 + ENTRY_OVERHEAD));
    }
    let pool = rig.node.mempool();
    assert!(pool.len() as u64 <= ROOM && refused > 0);
    assert!(pool.min_fee_rate() > least);
    let worst = pool.entries().map(|entry| entry.fee.0).min().expect("full");
    assert!(worst > 300, "{worst} is among the lowest quarter of what was offered");
}
