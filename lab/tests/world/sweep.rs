//! Experiments in shards: what is merged is what one machine alone comes to.

use tine_lab::experiments::{Effort, selfish};
use tine_lab::storm::{self, Tally};
use tine_lab::sweep::{Done, Plan, SweepError, Whole};

const SELFISH: &str =
    "experiment = 'selfish'\nseed = 11\nblocks = 20000\nalpha = [0.2, 0.4]\ngamma = [0, 0.5, 1]\n";

fn through_a_file(done: &Done) -> Done {
    serde_json::from_str(&serde_json::to_string(done).expect("plain data")).expect("what was written")
}

#[test]
fn three_shards_come_to_what_one_machine_comes_to_bit_for_bit() {
    let plan = Plan::parse(SELFISH).expect("a plan");
    let mut results = Vec::new();
    for shard in [2, 0, 1, 0] {
        // one shard is run twice: nothing is counted twice
        let cells = plan.shard(shard, 3).expect("a shard");
        results.extend(cells.into_iter().map(|cell| through_a_file(&plan.play(cell).expect("plays"))));
    }
    assert_eq!(results.len(), 8);
    let Whole::Report(merged) = plan.merge(results).expect("whole") else { panic!("no report") };
    let effort = Effort { seed: 11, trials: 20_000 };
    let alone = selfish::run(&[0.2, 0.4], &[0.0, 0.5, 1.0], effort, &mut |_| {});
    assert_eq!(*merged, alone);
}

#[test]
fn storms_in_shards_have_the_hash_of_storms_in_a_row() {
    let plan = Plan::parse("experiment = 'storm'\nfrom = 3\nseeds = 5\neach = 2\n").expect("a plan");
    assert_eq!(plan.cells(), 3);
    let results = (0..3).rev().map(|cell| through_a_file(&plan.play(cell).expect("plays")));
    let Whole::Storms(tally, failures) = plan.merge(results).expect("whole") else { panic!("no storms") };
    let alone = (3..8).map(|seed| storm::run(seed, None).expect("goes on").expect("finds nothing"));
    assert_eq!((tally, failures), (Tally::of(alone), vec![]));
}

#[test]
fn what_is_missing_foreign_or_contradictory_is_said() {
    let plan = Plan::parse(SELFISH).expect("a plan");
    let other = Plan::parse(&SELFISH.replace("seed = 11", "seed = 12")).expect("a plan");
    let done = plan.play(1).expect("plays");
    let missing = plan.merge([done.clone()]).expect_err("five are missing");
    assert_eq!(missing, SweepError::Missing { missing: 5, cells: 6, first: 0 });
    let foreign = other.merge([done.clone()]).expect_err("of another plan");
    assert!(matches!(foreign, SweepError::Foreign { cell: 1, .. }));
    let mut changed = other.play(1).expect("plays");
    changed.plan.clone_from(&done.plan);
    assert_eq!(plan.merge([done, changed]).expect_err("two results"), SweepError::Contradiction { cell: 1 });
    assert!(plan.shard(3, 3).is_err() && plan.shard(0, 0).is_err());
}

#[test]
fn a_plan_that_is_none_is_refused_with_value_and_limit() {
    for (from, to, part) in [
        ("alpha = [0.2, 0.4]", "alpha = [0.6]", "alpha = 0.6: a share above 0 and below 0.5"),
        ("gamma = [0, 0.5, 1]", "gamma = [2]", "gamma = 2: a number from 0 to 1"),
        ("blocks = 20000", "blocks = 0", "blocks = 0: 1000 to 1000000000"),
        ("blocks = 20000", "bloks = 20000", "bloks"),
        ("alpha = [0.2, 0.4]", "alpha = []", "0 cells: 1 to 1000000"),
        ("'selfish'", "'selfless'", "selfless"),
    ] {
        let error = Plan::parse(&SELFISH.replace(from, to)).expect_err(to).to_string();
        assert!(error.contains(part), "{to}: {error}");
    }
}
