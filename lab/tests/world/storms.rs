//! Storms: random worlds, random faults, and everything checked after each step.

use tine_lab::storm;

/// Seeds of the gate; `tine lab storm --seeds 10000` runs more.
const SEEDS: u64 = 40;

#[test]
fn storms_find_nothing() {
    let (mut checks, mut reorgs, mut payments) = (0, 0, 0);
    for seed in 0..SEEDS {
        match storm::run(seed, None).expect("the world goes on") {
            Ok(report) => {
                checks += report.checks;
                reorgs += report.counts.reorgs;
                payments += report.counts.payments;
            }
            Err(failure) => panic!("{}", storm::shrink(failure).expect("the world goes on")),
        }
    }
    // a storm that is too calm finds nothing either
    assert!(checks > 100 * SEEDS && reorgs > SEEDS && payments > 10 * SEEDS, "{checks} {reorgs} {payments}");
}

#[test]
fn a_storm_is_the_same_each_time() {
    let run = || storm::run(77, None).expect("the world goes on").expect("nothing is found");
    assert_eq!(run(), run());
}
