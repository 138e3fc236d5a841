//! Fee estimates from what was mined.

use std::time::Duration;

use tine_node::mempool::{Estimate, EstimateMode, Estimator, FeeRate};

use crate::harness::*;
use crate::rig_with_coins;

fn estimate(rig: &Rig, target: u32) -> Option<Estimate> {
    rig.node.mempool().estimate_fee(target, EstimateMode::Economical)
}

/// Fifteen payments at once, mined three in a block, the dearest first.
fn market() -> Rig {
    let (mut rig, funds) = rig_with_coins(150);
    for round in funds.chunks(15) {
        let mut rest: Vec<_> =
            (1..).zip(round).map(|(rank, coin)| forward(*coin, 2, 188 * 10 * rank)).collect();
        for tx in &rest {
            rig.submit_tx(tx).expect("valid");
        }
        while !rest.is_empty() {
            let chosen = rest.split_off(rest.len() - 3);
            rig.mine_only(1, &chosen);
        }
    }
    rig
}

#[test]
fn who_waits_longer_pays_less() {
    let rig = market();
    let rate = |target| estimate(&rig, target).expect("enough is known").rate.units_per_kilobyte();
    assert!(rate(2) > rate(4) && rate(4) > rate(10), "{} {} {}", rate(2), rate(4), rate(10));
    assert!((10_000..=150_000).contains(&rate(10)));
    assert_eq!(
        estimate(&rig, 1).map(|estimate| estimate.target),
        Some(2),
        "nobody can promise the next block"
    );
    assert!(estimate(&rig, 1_008).expect("known").target < 1_008, "no further than the history goes");
    let conservative = rig.node.mempool().estimate_fee(2, EstimateMode::Conservative).expect("known");
    assert!(conservative.rate >= estimate(&rig, 2).expect("known").rate);
}

#[test]
fn nothing_is_promised_without_a_history_and_nothing_below_the_floor() {
    let (rig, _) = rig_with_coins(1);
    assert_eq!(estimate(&rig, 6), None);
    let rig = market();
    assert!(estimate(&rig, 100).expect("known").rate >= FeeRate::per_kilobyte(1_000));
}

#[test]
fn estimates_survive_a_restart() {
    let rig = market();
    let file = rig.node.mempool().estimator().to_file();
    let mut fresh = Rig::new();
    fresh.node.restore_estimates(Estimator::from_file(&file).expect("as written"));
    for target in [2, 4, 6, 20, 1_008] {
        assert_eq!(estimate(&fresh, target), estimate(&rig, target), "{target}");
    }
    fresh.pass(Duration::from_secs(60));
    // what it knows by itself is not overwritten
    let mut other = market();
    let before = estimate(&other, 4);
    other.node.restore_estimates(Estimator::default());
    assert_eq!(estimate(&other, 4), before);
}
