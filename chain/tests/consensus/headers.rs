//! The header verifier on 4,033 consecutive headers of Bitcoin's main network.

use tine_chain::block::Header;
use tine_chain::codec::{Decode as _, Encode as _};
use tine_chain::header_chain::{BadHeader, Problem, Summary, check_headers};
use tine_chain::mining::Scanner;
use tine_chain::params::{Network, Params};
use tine_chain::pow::CompactTarget;
use tine_chain::reject::Reject;

use crate::support::data;

const FILE: &str = "bitcoin-mainnet-headers-822528.bin";
const FIRST_HEIGHT: u32 = 822_528;

fn check(bytes: &[u8], start_height: Option<u32>) -> Result<Summary, BadHeader> {
    check_headers(bytes, &Params::of(Network::Bitcoin), start_height)
}

#[test]
fn real_headers_pass_with_both_difficulty_changes() {
    let bytes = data(FILE);
    for start_height in [None, Some(FIRST_HEIGHT)] {
        let summary = check(&bytes, start_height).expect("real headers are good");
        assert_eq!(summary.count, 4_033);
        assert_eq!(summary.first_height, Some(FIRST_HEIGHT));
        assert_eq!(
            summary.last_hash.to_string(),
            Header::from_bytes(&bytes[bytes.len() - 80..]).expect("80 bytes").hash().to_string()
        );
        let changes: Vec<_> =
            summary.changes.iter().map(|change| (change.height, change.recomputed)).collect();
        assert_eq!(changes, [(Some(824_544), true), (Some(826_560), true)]);
        assert!(summary.earliest < summary.latest);
    }
}

#[test]
fn periods_are_found_in_a_run_that_starts_anywhere() {
    let bytes = data(FILE);
    for skip in [1, 700, 2_015, 2_016, 2_017] {
        let summary = check(&bytes[skip * 80..], None).expect("real headers are good");
        assert_eq!((summary.first_height, summary.count), (None, 4_033 - skip));
        let last = summary.changes.last().expect("the last header changes the bits");
        assert_eq!(last.index, 4_032 - skip);
        // recomputed when the first header of the last period is in the run
        assert_eq!(last.recomputed, skip <= 2_016, "{skip}");
        // and told the height, the same
        assert!(check(&bytes[skip * 80..], Some(FIRST_HEIGHT + skip as u32)).is_ok());
    }
}

#[test]
fn a_wrong_start_height_is_noticed() {
    for height in [FIRST_HEIGHT - 1, FIRST_HEIGHT + 1, 1, u32::MAX] {
        let bad = check(&data(FILE), Some(height)).expect_err("the bits change at another height");
        assert_eq!(bad.problem.reject(), Reject::BadDiffBits, "{height}: {bad}");
    }
    let bad = check(&data(FILE), Some(0)).expect_err("that is not the genesis block");
    assert!(bad.index == 0 && matches!(*bad.problem, Problem::Genesis { .. }));
}

/// Every header, one byte each, and the first to break a rule is always the one that was changed.
#[test]
fn one_flipped_byte_is_named_at_its_header() {
    let bytes = data(FILE);
    for index in 0..4_033_usize {
        // a window around it, for speed: enough for the median of times
        let from = index.saturating_sub(12);
        let to = (index + 2).min(4_033);
        let mut window = bytes[from * 80..to * 80].to_vec();
        let (place, flip) = ((index * 7) % 80, 1 << (index % 8));
        window[(index - from) * 80 + place] ^= flip;
        let bad =
            check(&window, Some(FIRST_HEIGHT + from as u32)).expect_err("the hash changes with every byte");
        assert_eq!(bad.index, index - from, "byte {place} of header {index}: {bad}");
        assert_eq!(bad.height, Some(FIRST_HEIGHT + index as u32));
    }
}

#[test]
fn one_flipped_byte_in_the_whole_file() {
    let bytes = data(FILE);
    for index in [0, 1, 2_015, 2_016, 2_017, 3_333, 4_031, 4_032_usize] {
        for place in [0, 4, 35, 36, 67, 68, 71, 72, 75, 76, 79] {
            let mut changed = bytes.clone();
            changed[index * 80 + place] ^= 1;
            for start_height in [None, Some(FIRST_HEIGHT)] {
                let bad = check(&changed, start_height).expect_err("the hash changes with every byte");
                assert_eq!(bad.index, index, "byte {place} of header {index}: {bad}");
            }
        }
    }
}

#[test]
fn hdr_21_a_header_of_79_or_81_bytes_or_none_is_refused() {
    for length in [0, 79, 81] {
        assert!(Header::from_bytes(&vec![0; length]).is_err());
    }
    let bytes = data(FILE);
    for (length, index, found) in [(0, 0, 0), (79, 0, 79), (81, 1, 1), (80 * 4_033 - 1, 4_032, 79)] {
        let bad = check(&bytes[..length], None).expect_err("a header is cut");
        assert_eq!((bad.index, *bad.problem, bad.hash), (index, Problem::Truncated { found }, None));
    }
}

#[test]
fn hdr_24_headers_that_do_not_connect_are_refused() {
    let bytes = data(FILE);
    let mut gap = bytes[..80 * 5].to_vec();
    gap.extend_from_slice(&bytes[80 * 6..80 * 8]);
    let bad = check(&gap, None).expect_err("a header is missing");
    assert_eq!(bad.index, 5);
    assert!(matches!(*bad.problem, Problem::Linkage { .. }));
    // repeated
    let mut again = bytes[..80 * 5].to_vec();
    again.extend_from_slice(&bytes[80 * 4..80 * 6]);
    assert_eq!(check(&again, None).expect_err("a header is there twice").index, 5);
}

// -- on our own networks, mined here

/// A chain of regtest headers from the genesis with these steps of time.
fn mine(times: &[i64]) -> Vec<u8> {
    let params = Params::of(Network::Regtest);
    let mut bytes = params.genesis.to_bytes();
    let mut parent = params.genesis;
    for &step in times {
        parent = solved(Header {
            prev_block: parent.hash(),
            time: (i64::from(parent.time) + step) as u32,
            ..parent
        });
        parent.encode(&mut bytes);
    }
    bytes
}

fn solved(header: Header) -> Header {
    let target = header.bits.to_target().expect("a target");
    let nonce = Scanner::new(&header).scan(target, 0..=u32::MAX).expect("half of all nonces are good");
    Header { nonce, ..header }
}

fn regtest(bytes: &[u8]) -> Result<Summary, BadHeader> {
    check_headers(bytes, &Params::of(Network::Regtest), None)
}

#[test]
fn hdr_08_the_time_must_be_over_the_median() {
    let steady = vec![10; 20];
    assert!(regtest(&mine(&steady)).is_ok());
    // the median of the eleven before block 21 is the time of block 15, 50 seconds before its parent
    let mut equal = steady.clone();
    equal.push(-50);
    let bad = regtest(&mine(&equal)).expect_err("equal to the median");
    assert_eq!((bad.index, bad.problem.reject()), (21, Reject::TimeTooOld));
    assert!(matches!(*bad.problem, Problem::MedianTime { of: 11, .. }));
    let mut above = steady;
    above.push(-49);
    assert!(regtest(&mine(&above)).is_ok());
}

#[test]
fn hdr_09_near_the_genesis_the_median_is_of_those_that_exist() {
    // block 1 against the genesis alone
    assert!(regtest(&mine(&[1])).is_ok());
    assert_eq!(regtest(&mine(&[0])).expect_err("equal").index, 1);
    // of two, the later one counts
    assert!(regtest(&mine(&[10, 1])).is_ok());
    let bad = regtest(&mine(&[10, 0])).expect_err("equal to the later of two");
    assert!(matches!(*bad.problem, Problem::MedianTime { of: 2, .. }));
    // of three, the one in the middle: block 3 may be older than block 2
    assert!(regtest(&mine(&[10, 10, -9])).is_ok());
    assert_eq!(regtest(&mine(&[10, 10, -10])).expect_err("equal").index, 3);
}

#[test]
fn hdr_17_a_version_below_one_is_refused() {
    let genesis = Params::of(Network::Regtest).genesis;
    for version in [0, -1, i32::MIN] {
        let mut bytes = genesis.to_bytes();
        let child = solved(Header { version, prev_block: genesis.hash(), time: genesis.time + 1, ..genesis });
        child.encode(&mut bytes);
        let bad = regtest(&bytes).expect_err("too low");
        assert_eq!((bad.index, *bad.problem), (1, Problem::Version { version }));
    }
}

#[test]
fn hdr_02_other_bits_than_the_chain_demands_are_refused() {
    let genesis = Params::of(Network::Regtest).genesis;
    let mut bytes = genesis.to_bytes();
    let bits = CompactTarget(genesis.bits.0 - 1);
    solved(Header { bits, prev_block: genesis.hash(), time: genesis.time + 1, ..genesis }).encode(&mut bytes);
    let bad = check_headers(&bytes, &Params::of(Network::Regtest), None).expect_err("bits off by one");
    assert_eq!(*bad.problem, Problem::Difficulty { found: bits, expected: genesis.bits });
}
