//! Proof of work against Core's `pow_tests.cpp`, `arith_uint256_tests.cpp` and BIP 54's vectors.

use proptest::prelude::*;
use ruint::aliases::U256;
use tine_chain::block::Header;
use tine_chain::hash::{BlockHash, MerkleRoot};
use tine_chain::header_chain::{Problem, check_headers};
use tine_chain::mining::Scanner;
use tine_chain::params::{Network, Params};
use tine_chain::pow::{
    CompactTarget, Target, TargetError, Work, check_period_times, check_proof_of_work,
    is_permitted_transition, median_time_past, next_bits, retarget,
};
use tine_chain::reject::Reject;

use crate::support::json;

fn hash_of(number: U256) -> BlockHash {
    BlockHash(number.to_le_bytes())
}

fn header(time: u32, bits: u32) -> Header {
    Header {
        version: 1,
        prev_block: BlockHash::ZERO,
        merkle_root: MerkleRoot::ZERO,
        time,
        bits: CompactTarget(bits),
        nonce: 0,
    }
}

// -- compact targets

#[test]
fn compact_targets_decode_as_in_core() {
    // arith_uint256_tests.cpp, bignum_SetCompact
    for zero in [0, 0x0012_3456, 0x0100_3456, 0x0200_0056, 0x0300_0000, 0x0400_0000, 0x0092_3456, 0x0180_3456]
    {
        assert_eq!(CompactTarget(zero).to_target(), Err(TargetError::Zero), "{zero:08x}");
    }
    for (compact, number, again) in [
        (0x0112_3456, U256::from(0x12), 0x0112_0000),
        (0x0212_3456, U256::from(0x1234), 0x0212_3400),
        (0x0312_3456, U256::from(0x12_3456), 0x0312_3456),
        (0x0412_3456, U256::from(0x1234_5600_u64), 0x0412_3456),
        (0x0500_9234, U256::from(0x9234_0000_u64), 0x0500_9234),
        (0x2012_3456, U256::from(0x12_3456) << 232, 0x2012_3456),
    ] {
        let target = CompactTarget(compact).to_target().expect("a target");
        assert_eq!((target.0, target.to_compact()), (number, CompactTarget(again)), "{compact:08x}");
    }
    assert_eq!(Target(U256::from(0x80)).to_compact(), CompactTarget(0x0200_8000));
}

#[test]
fn hdr_03_a_negative_target_is_refused() {
    for bits in [0x0492_3456, 0x01fe_dcba] {
        assert_eq!(CompactTarget(bits).to_target(), Err(TargetError::Negative));
    }
    let params = Params::of(Network::Bitcoin);
    let negative = CompactTarget(params.pow_limit.to_compact().0 | 0x0080_0000);
    assert_eq!(check_proof_of_work(&params, negative, &hash_of(U256::ONE)), Err(Reject::HighHash));
}

#[test]
fn hdr_04_a_target_over_256_bits_is_refused() {
    for bits in [0xff12_3456, 0x2300_0001, 0x2201_0000, 0x2112_3456 | 0x0070_0000, 0xff7f_ffff] {
        assert_eq!(CompactTarget(bits).to_target(), Err(TargetError::Overflow), "{bits:08x}");
    }
    // the largest that fit
    for bits in [0x2200_00ff, 0x2100_ffff, 0x207f_ffff] {
        assert!(CompactTarget(bits).to_target().is_ok(), "{bits:08x}");
    }
    let params = Params::of(Network::Bitcoin);
    let overflow = CompactTarget(!0x0080_0000);
    assert_eq!(check_proof_of_work(&params, overflow, &hash_of(U256::ONE)), Err(Reject::HighHash));
}

#[test]
fn hdr_05_a_target_easier_than_the_limit_is_refused() {
    for network in Network::ALL {
        let params = Params::of(network);
        let limit = params.pow_limit.to_compact();
        assert_eq!(check_proof_of_work(&params, limit, &hash_of(U256::ONE)), Ok(()), "{network}");
        let easier = Target(params.pow_limit.0 << 1).to_compact();
        assert_eq!(
            check_proof_of_work(&params, easier, &hash_of(U256::ONE)),
            Err(Reject::HighHash),
            "{network}"
        );
    }
}

#[test]
fn hdr_06_a_target_of_zero_is_refused() {
    let params = Params::of(Network::Bitcoin);
    assert_eq!(check_proof_of_work(&params, CompactTarget(0), &hash_of(U256::ZERO)), Err(Reject::HighHash));
    assert_eq!(
        check_proof_of_work(&params, CompactTarget(0x1d00_0000), &hash_of(U256::ZERO)),
        Err(Reject::HighHash)
    );
    // dividing by target + 1 can't fail, at neither end
    assert_eq!(Target(U256::ZERO).work(), Work(U256::MAX));
    assert_eq!(Target(U256::MAX).work(), Work(U256::ONE));
}

#[test]
fn hdr_01_a_hash_one_above_its_target_is_refused() {
    for network in Network::ALL {
        let params = Params::of(network);
        let bits = params.genesis.bits;
        let target = bits.to_target().expect("a target").0;
        assert_eq!(check_proof_of_work(&params, bits, &hash_of(target)), Ok(()));
        assert_eq!(check_proof_of_work(&params, bits, &hash_of(target + U256::ONE)), Err(Reject::HighHash));
    }
}

proptest! {
    #[test]
    fn hdr_03_compact_bits_never_panic_and_round_trip(bits: u32) {
        if let Ok(target) = CompactTarget(bits).to_target() {
            // rounding loses nothing that compact bits can hold
            prop_assert_eq!(target.to_compact().to_target(), Ok(target));
            prop_assert!(target.work() > Work::default());
        }
    }

    #[test]
    fn hdr_20_work_is_two_to_the_256_over_target_plus_one(limbs: [u64; 4], shift in 0usize..256) {
        let target = U256::from_limbs(limbs) >> shift;
        let work = Target(target).work().0;
        // work × (target + 1) ≤ 2^256 < (work + 1) × (target + 1)
        let wide = |number: U256| ruint::aliases::U512::from(number);
        let one = ruint::aliases::U512::from(1);
        let product = wide(work) * (wide(target) + one);
        let whole = one << 256;
        if target.is_zero() {
            // 2^256 itself does not fit, the sum saturates
            prop_assert_eq!(work, U256::MAX);
        } else {
            prop_assert!(product <= whole && whole < product + wide(target) + one);
        }
    }

    #[test]
    fn hdr_20_work_sums_never_wrap(a: [u64; 4], b: [u64; 4]) {
        let (a, b) = (Work(U256::from_limbs(a)), Work(U256::from_limbs(b)));
        prop_assert!(a + b >= a.max(b));
    }
}

#[test]
fn hdr_20_one_hard_block_outweighs_many_easy_ones() {
    let easy = CompactTarget(0x207f_ffff).to_target().expect("a target").work();
    let hard = CompactTarget(0x1d00_ffff).to_target().expect("a target").work();
    let branch = (0..1_000).fold(Work::default(), |sum, _| sum + easy);
    assert!(hard > branch);
    assert_eq!(Work(U256::MAX) + hard, Work(U256::MAX));
}

// -- retargets

#[test]
fn retargets_as_in_core() {
    // pow_tests.cpp: get_next_work, _pow_limit, _lower_limit_actual, _upper_limit_actual
    let params = Params::of(Network::Bitcoin);
    for (first, height, last, bits, expected) in [
        (1_261_130_161, 32_255, 1_262_152_739, 0x1d00_ffff, 0x1d00_d86a),
        (1_231_006_505, 2_015, 1_233_061_996, 0x1d00_ffff, 0x1d00_ffff),
        (1_279_008_237, 68_543, 1_279_297_671, 0x1c05_a3f4, 0x1c01_68fd),
        (1_263_163_443, 46_367, 1_269_211_443, 0x1c38_7f6f, 0x1d00_e1fd),
    ] {
        let (bits, expected) = (CompactTarget(bits), CompactTarget(expected));
        assert_eq!(retarget(&params, bits, first, last), Ok(expected));
        let ancestor = |at| match at {
            at if at == height => Some(header(last, bits.0)),
            at if at == height - 2_015 => Some(header(first, bits.0)),
            _ => None,
        };
        assert_eq!(next_bits(&params, height, ancestor), Some(expected));
        assert!(is_permitted_transition(&params, height + 1, bits, expected));
    }
}

#[test]
fn hdr_14_a_jump_of_more_than_four_or_between_retargets_is_refused() {
    // pow_tests.cpp: the invalid neighbours of the clamped retargets
    let params = Params::of(Network::Bitcoin);
    let jump =
        |height, old, new| is_permitted_transition(&params, height, CompactTarget(old), CompactTarget(new));
    assert!(!jump(68_544, 0x1c05_a3f4, 0x1c01_68fd - 1));
    assert!(!jump(46_368, 0x1c38_7f6f, 0x1d00_e1fd + 1));
    assert!(jump(46_368, 0x1c38_7f6f, 0x1d00_e1fd));
    // between retargets nothing changes
    assert!(jump(46_369, 0x1c38_7f6f, 0x1c38_7f6f));
    assert!(!jump(46_369, 0x1c38_7f6f, 0x1c38_7f6e));
    // bits that encode nothing never follow
    assert!(!jump(46_368, 0x1c38_7f6f, 0xff12_3456));
}

#[test]
fn hdr_02_the_demanded_bits_are_the_parents_between_retargets() {
    let params = Params::of(Network::Main);
    let ancestor = |at: u32| Some(header(1_000 + at, 0x1d12_3456 + at / 2_016));
    assert_eq!(next_bits(&params, 2_014, ancestor), Some(CompactTarget(0x1d12_3456)));
    assert_eq!(next_bits(&params, 2_016, ancestor), Some(CompactTarget(0x1d12_3457)));
    let regtest = Params::of(Network::Regtest);
    assert_eq!(next_bits(&regtest, 2_015, ancestor), Some(CompactTarget(0x1d12_3456)));
    assert_eq!(next_bits(&regtest, 2_015, |_| None), None);
}

#[test]
fn bitcoins_off_by_one_measures_one_interval_less_than_the_period_has() {
    // 2,016 blocks exactly ten minutes apart: 2,015 intervals, so the next target is a little harder
    let params = Params::of(Network::Bitcoin);
    let bits = 0x1c38_7f6f;
    let next = next_bits(&params, 4_031, |at| Some(header(at * 600, bits))).expect("all ancestors are known");
    assert_eq!(next, retarget(&params, CompactTarget(bits), 0, 2_015 * 600).expect("a target"));
    assert!(next.to_target().expect("a target") < CompactTarget(bits).to_target().expect("a target"));
}

#[test]
fn the_first_devnet_period_is_counted_from_block_one() {
    let params = Params::of(Network::Devnet);
    let bits = params.genesis.bits;
    // the genesis is years older than block 1, which must not make the second period four times easier
    let times = |at: u32| Some(header(if at == 0 { 1_000 } else { 900_000_000 + at * 5 }, bits.0));
    let next = next_bits(&params, 19, times).expect("all ancestors are known");
    assert_eq!(next, retarget(&params, bits, 0, 18 * 5).expect("a target"));
    let second = next_bits(&params, 39, times).expect("all ancestors are known");
    assert_eq!(second, retarget(&params, bits, 0, 19 * 5).expect("a target"));
}

#[test]
fn hdr_22_times_up_to_the_year_2106_are_unsigned() {
    let params = Params::of(Network::Bitcoin);
    let (first, last) = (u32::MAX - 2_015 * 600, u32::MAX);
    let late = retarget(&params, CompactTarget(0x1c38_7f6f), first, last);
    assert_eq!(late, retarget(&params, CompactTarget(0x1c38_7f6f), 0, 2_015 * 600));
    assert_eq!(median_time_past([u32::MAX, 1, 0x8000_0000]), 0x8000_0000);
    // a period that ends before it began is clamped to a quarter, from whatever distance
    assert_eq!(
        retarget(&params, CompactTarget(0x1c38_7f6f), u32::MAX, 0),
        retarget(&params, CompactTarget(0x1c38_7f6f), 0, 302_400)
    );
}

proptest! {
    #[test]
    fn hdr_14_every_retarget_is_a_permitted_transition(mantissa in 0x8000u32..0x80_0000, first: u32, last: u32) {
        let params = Params::of(Network::Main);
        let old = CompactTarget(0x1d00_0000 | mantissa);
        let new = retarget(&params, old, first, last).expect("a target");
        prop_assert!(is_permitted_transition(&params, 2_016, old, new));
        let new = new.to_target().expect("a target").0;
        let old = old.to_target().expect("a target").0;
        prop_assert!(new <= params.pow_limit.0 && new <= old * U256::from(4) && new >= old / U256::from(5));
    }
}

// -- times

#[test]
fn hdr_09_the_median_of_fewer_than_eleven() {
    assert_eq!(median_time_past([]), 0);
    assert_eq!(median_time_past([5]), 5);
    assert_eq!(median_time_past([5, 9]), 9);
    assert_eq!(median_time_past([9, 1, 5]), 5);
    assert_eq!(median_time_past([1, 2, 3, 4]), 3);
    assert_eq!(median_time_past([11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1]), 6);
    // only the latest eleven count
    assert_eq!(median_time_past([11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 1_000, 1_000]), 6);
}

/// BIP 54's own vectors: real proof of work on Bitcoin's genesis, two difficulty periods, checked by the header
/// verifier with BIP 54 switched on.
#[test]
fn hdr_09_hdr_16_bip_54_vectors() {
    let mut params = Params::of(Network::Bitcoin);
    params.timewarp_grace_secs = Some(7_200);
    let tree = json("bip54_timestamps.json");
    let mut verdicts = Vec::new();
    walk(&tree, &mut Vec::new(), &mut |headers, node| {
        if let Some(valid) = node["valid"].as_bool() {
            let result = check_headers(headers, &params, None);
            assert_eq!(result.is_ok(), valid, "{}: {result:?}", node["comment"]);
            if let Err(bad) = &result {
                assert_eq!(bad.index, headers.len() / Header::SIZE - 1, "{}", node["comment"]);
            }
            verdicts.push(result.map_err(|bad| bad.problem.reject()).map(|summary| summary.count));
        }
    });
    let rules: Vec<_> = verdicts.iter().filter_map(|verdict| verdict.as_ref().err()).collect();
    assert_eq!(rules, [&Reject::TimeTimewarp, &Reject::TimeMurchZawy]);
    assert_eq!(verdicts.len(), 9);
    // without BIP 54 all of them are good: the rules are what makes the difference
    params.timewarp_grace_secs = None;
    walk(&tree, &mut Vec::new(), &mut |headers, node| {
        if node["valid"].is_boolean() {
            assert!(check_headers(headers, &params, None).is_ok(), "{}", node["comment"]);
        }
    });
}

fn walk(node: &serde_json::Value, headers: &mut Vec<u8>, visit: &mut dyn FnMut(&[u8], &serde_json::Value)) {
    let before = headers.len();
    for header in node["block_headers"].as_array().expect("a list") {
        headers.extend(hex::decode(header.as_str().expect("a string")).expect("hexadecimal digits"));
    }
    visit(headers, node);
    for extension in node["extensions"].as_array().into_iter().flatten() {
        walk(extension, headers, visit);
    }
    headers.truncate(before);
}

#[test]
fn hdr_16_the_period_rules_at_their_very_edges() {
    let params = Params::of(Network::Devnet);
    // every block at time 1,000 + 100 × height
    let ancestor = |at: u32| Some(header(1_000 + 100 * at, 0x1e10_c6f7));
    let check = |height, time| check_period_times(&params, height, time, ancestor);
    let parent = 1_000 + 100 * 39;
    assert_eq!(check(40, parent - 10), Ok(()));
    assert_eq!(check(40, parent - 11), Err(Reject::TimeTimewarp));
    let first = 1_000 + 100 * 40;
    assert_eq!(check(59, first), Ok(()));
    assert_eq!(check(59, first - 1), Err(Reject::TimeMurchZawy));
    // the first period starts at block 1
    assert_eq!(check(19, 1_100), Ok(()));
    assert_eq!(check(19, 1_099), Err(Reject::TimeMurchZawy));
    // elsewhere, and without retargets, they ask nothing
    assert_eq!(check(41, 0), Ok(()));
    assert_eq!(check(58, 0), Ok(()));
    assert_eq!(check_period_times(&Params::of(Network::Regtest), 2_016, 0, ancestor), Ok(()));
}

// -- the nonce search

#[test]
fn the_scanner_hashes_as_headers_do() {
    let genesis = Params::of(Network::Bitcoin).genesis;
    let scanner = Scanner::new(&genesis);
    for nonce in [0, 1, genesis.nonce, u32::MAX] {
        assert_eq!(scanner.hash(nonce), Header { nonce, ..genesis }.hash());
    }
    let target = genesis.bits.to_target().expect("a target");
    assert_eq!(scanner.scan(target, genesis.nonce - 1_000..=u32::MAX), Some(genesis.nonce));
    assert_eq!(scanner.scan(target, genesis.nonce - 1_000..=genesis.nonce - 1), None);
    // at the end of all nonces, and over no nonces at all
    let any = Target(U256::MAX);
    assert_eq!(scanner.scan(any, u32::MAX - 2..=u32::MAX), Some(u32::MAX - 2));
    assert_eq!(scanner.scan(any, u32::MAX..=u32::MAX), Some(u32::MAX));
    assert_eq!(scanner.scan(Target(U256::ONE), u32::MAX - 20..=u32::MAX), None);
    #[expect(clippy::reversed_empty_ranges, reason = "an empty range is what is tested")]
    let none = 5..=4;
    assert_eq!(scanner.scan(any, none), None);
}

proptest! {
    #[test]
    fn the_scanner_finds_the_first_nonce_that_a_plain_search_finds(root: [u8; 32], time: u32, start in 0..u32::MAX - 2_000) {
        let header = Header { merkle_root: MerkleRoot(root), ..header(time, 0x207f_ffff) };
        let target = Target(U256::MAX >> 8_usize);
        let plain = (start..=start + 500).find(|&nonce| target.is_met_by(&Header { nonce, ..header }.hash()));
        prop_assert_eq!(Scanner::new(&header).scan(target, start..=start + 500), plain);
    }
}

#[test]
fn a_bad_header_says_what_is_wrong() {
    let params = Params::of(Network::Bitcoin);
    let bad = check_headers(&[0; 80], &params, Some(7)).expect_err("zeros are no header");
    assert!(matches!(*bad.problem, Problem::Version { version: 0 }));
    assert_eq!(bad.to_string(), "header 0 (height 7): bad-version: version 0 is below 1");
}

#[test]
fn a_retarget_of_the_easiest_targets_does_not_wrap() {
    // a quarter of all hashes will do, and the period took four times as long as it should
    let easiest = Target(U256::MAX >> 2);
    let params = Params { pow_limit: easiest, target_timespan_secs: 100, ..Params::of(Network::Devnet) };
    let harder = Target(U256::MAX >> 8).to_compact();
    let scaled = retarget(&params, harder, 0, 400).and_then(CompactTarget::to_target);
    assert_eq!(scaled.map(|target| target.0 >> 240_usize), Ok(U256::from(0x03ff)), "four times as easy");
}
