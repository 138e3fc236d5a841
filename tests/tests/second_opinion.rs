//! The chain against the naive reference: some thousands of verdicts. `cargo run --release -p tine-tests --bin
//! second-opinion` gives a million.

use tine_tests::opinion::{Case, Tally};
use tine_tests::reference::Network;

const SEED: u64 = 2026;

fn judge(cases: std::ops::Range<u64>) -> Tally {
    let mut tally = Tally::default();
    for number in cases {
        match (Case { seed: SEED, number }).judge(&|_| {}) {
            Ok(verdicts) => tally.add(&verdicts),
            Err(difference) => panic!("seed {SEED}, case {number}:\n{difference}"),
        }
    }
    tally
}

/// What thousands of random verdicts must have shown at least once.
const REACHED: [&str; 44] = [
    "accepted",
    "duplicate",
    "header-decode",
    "high-hash",
    "bad-diffbits",
    "time-too-old",
    "time-too-new",
    "bad-version",
    "prev-blk-not-found",
    "bad-prevblk",
    "duplicate-invalid",
    "block-decode",
    "bad-blk-length",
    "bad-txnmrklroot",
    "bad-txns-duplicate",
    "bad-cb-missing",
    "bad-cb-multiple",
    "bad-cb-height",
    "bad-cb-length",
    "bad-cb-amount",
    "tx-decode",
    "bad-txns-vin-empty",
    "bad-txns-vout-empty",
    "bad-txns-oversize",
    "bad-txns-vout-toolarge",
    "bad-txns-txouttotal-toolarge",
    "bad-txns-inputs-duplicate",
    "bad-txns-prevout-null",
    "bad-txns-nonfinal",
    "bad-txns-sequence-lock",
    "bad-txns-inputs-missingorspent",
    "bad-txns-premature-spend-of-coinbase",
    "bad-txns-inputvalues-outofrange",
    "bad-txns-in-belowout",
    "bad-witness-decode",
    "bad-witness-lock-mismatch",
    "bad-witness-weak-key",
    "bad-witness-signature",
    "bad-witness-preimage",
    "bad-witness-after",
    "bad-witness-older",
    "missing-inputs",
    "non-final",
    "non-BIP68-final",
];

#[test]
fn thousands_of_verdicts_are_the_same_and_reach_every_rule() {
    let tally = judge(0..120);
    let missed: Vec<_> = REACHED.iter().filter(|name| !tally.has(name)).collect();
    assert!(missed.is_empty(), "never seen: {missed:?} among {} verdicts", tally.verdicts());
}

type Plant = fn(&mut Network);

/// A reference that is wrong in one constant must be found out, and the counter-example must be small.
#[test]
fn a_planted_mistake_is_found_and_shrunk() {
    let planted: [(&str, Plant); 7] = [
        ("limit", |network| network.limit = &network.limit >> 1u8),
        ("interval", |network| network.interval = network.interval.map(|blocks| blocks + 1)),
        ("timespan", |network| network.timespan += 1),
        ("grace", |network| network.grace = network.grace.map(|seconds| seconds + 1)),
        ("max_future", |network| network.max_future += 1),
        ("halving", |network| network.halving += 1),
        ("maturity", |network| network.maturity += 1),
    ];
    for (name, plant) in planted {
        let found = (0..400).find_map(|number| Case { seed: SEED, number }.judge(&plant).err());
        let difference = found.unwrap_or_else(|| panic!("{name}: 400 cases and no difference"));
        assert!(difference.story.len() <= 40, "{name}:\n{difference}");
        assert_ne!(difference.chain, difference.reference, "{name}");
    }
}

/// The same numbers give the same case, whatever ran before.
#[test]
fn a_case_is_repeatable() {
    let case = Case { seed: SEED, number: 3 };
    assert_eq!(case.judge(&|_| {}), case.judge(&|_| {}));
}
