//! Twenty real nodes under virtual time.

mod control;
mod storms;
mod sweep;

use std::time::Duration;

use tine_lab::replay::Run;
use tine_lab::scenario::{Outcome, Partition, Scenario};
use tine_node::record::Happening;

fn run(scenario: Scenario) -> Outcome {
    scenario.run(|_| {}).expect("nothing fails").0
}

#[test]
fn the_same_seed_gives_the_same_events_and_another_seed_others() {
    let first = run(Scenario { seed: 7, blocks: 60, ..Scenario::default() });
    let again = run(Scenario { seed: 7, blocks: 60, ..Scenario::default() });
    let other = run(Scenario { seed: 8, blocks: 60, ..Scenario::default() });
    assert_eq!(first, again);
    assert_ne!(first.event_hash, other.event_hash);
}

#[test]
fn honest_nodes_agree_after_a_partition_heals() {
    let partition = Partition { from_height: 20, blocks: 16, cut_off: 8 };
    let scenario = Scenario { seed: 3, blocks: 60, partition: Some(partition), ..Scenario::default() };
    let (outcome, log) = scenario.run(|_| {}).expect("runs");
    assert_eq!(outcome.tips, 1, "all twenty have the same tip: {outcome:?}");
    assert_eq!(outcome.height + outcome.stale, outcome.mined);
    assert!(outcome.stale >= 1, "one side's branch was given up: {outcome:?}");
    assert!(outcome.deepest_reorg >= 1, "{outcome:?}");
    let healed = log.entries().iter().position(|entry| entry.happening == Happening::Heal);
    assert!(healed.is_some(), "the partition ended before the run did");
    let run = Run::new(log.entries().to_vec()).expect("it is a log");
    let replayed = run.chain("n0", run.duration()).expect("memory never fails");
    assert_eq!(replayed.tip().height, outcome.height, "the log can be stood in");
    assert!(!log.entries().iter().any(|entry| matches!(entry.happening, Happening::Invalid { .. })));
}

#[test]
fn two_thousand_blocks_keep_the_devnets_pace() {
    // "every 20 blocks": Bitcoin's off-by-one measures 19 intervals as if they were 20 (5.26 s), and a window that short
    // overshoots more than it undershoots, because 1/x is convex; between nodes on one machine hardly a block is lost
    let latency = (Duration::from_millis(1), Duration::from_millis(5));
    // one run of 2,000 blocks lies 0.06 s beside the mean of many, more or less
    let seeds = 1..=12;
    let count = seeds.clone().count() as f64;
    let mean_of = |seed| {
        let outcome =
            run(Scenario { seed, nodes: 4, degree: 4, latency, blocks: 2_000, ..Scenario::default() });
        assert_eq!(outcome.tips, 1, "{outcome:?}");
        outcome.mean_interval_secs
    };
    let mean = seeds.map(mean_of).sum::<f64>() / count;
    assert!((5.3..=5.6).contains(&mean), "{mean}");
}
