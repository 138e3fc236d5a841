//! One test for each rule about headers.

use std::time::Duration;

use tine_chain::block::Header;
use tine_chain::chain::{Chain, HeaderOutcome, Inserted};
use tine_chain::params::{Network, Params};
use tine_chain::pow::CompactTarget;
use tine_chain::reject::Reject;
use tine_chain::testing::{Draft, TestTree};
use tine_chain::time::Time;

/// A chain of `a1 a2 a3`, and the verdict about a header `bad` on top of it.
fn spoiled(spoil: impl FnOnce(&mut Draft)) -> Result<HeaderOutcome, Reject> {
    let mut tree = TestTree::regtest();
    tree.draw("genesis a1 a2 a3");
    tree.block_with("bad", "a3", &[], spoil);
    let mut chain = tree.chain();
    tree.deliver(&mut chain, "a1 a2 a3");
    let verdict = chain.accept_header(tree.block("bad").header, tree.now());
    assert_eq!(
        chain.tree().get(&tree.hash("bad")).is_some(),
        verdict.is_ok(),
        "a refused header leaves nothing"
    );
    verdict
}

#[test]
fn hdr_01_high_hash() {
    assert_eq!(spoiled(|draft| draft.without_work = true), Err(Reject::HighHash));
}

#[test]
fn hdr_03_to_06_high_hash_for_bits_that_encode_no_allowed_target() {
    for bits in [0x2080_ffff, 0xff12_3456, 0x2100_ffff, 0x2000_0000] {
        let verdict = spoiled(|draft| {
            draft.header.bits = CompactTarget(bits);
        });
        assert_eq!(verdict, Err(Reject::HighHash), "{bits:08x}");
    }
}

#[test]
fn hdr_02_bad_diffbits() {
    assert_eq!(spoiled(|draft| draft.header.bits = CompactTarget(0x207f_fffe)), Err(Reject::BadDiffBits));
}

#[test]
fn hdr_08_time_too_old_at_the_median_and_not_a_second_later() {
    // the median of genesis, a1, a2 and a3 is a2's
    let (median, later) = (600 * 2, 600 * 2 + 1);
    let genesis = TestTree::regtest().params.genesis.time;
    assert_eq!(spoiled(|draft| draft.header.time = genesis + median), Err(Reject::TimeTooOld));
    assert_eq!(spoiled(|draft| draft.header.time = genesis + later), Ok(HeaderOutcome::New));
}

#[test]
fn hdr_17_bad_version() {
    assert_eq!(spoiled(|draft| draft.header.version = 0), Err(Reject::BadVersion));
    assert_eq!(spoiled(|draft| draft.header.version = -1), Err(Reject::BadVersion));
    assert_eq!(spoiled(|draft| draft.header.version = i32::MAX), Ok(HeaderOutcome::New));
}

#[test]
fn hdr_10_time_too_new_is_nobodys_fault_and_exactly_two_hours_are_not() {
    let mut tree = TestTree::regtest();
    tree.draw("genesis a1");
    let header = tree.block("a1").header;
    let clock = Time::from_secs(u64::from(header.time) - 7_200);
    let mut chain = tree.chain();
    let second = Duration::from_secs(1);
    let early = Time(clock.0 - second.as_millis() as u64);
    assert_eq!(chain.accept_header(header, early), Err(Reject::TimeTooNew));
    assert!(chain.tree().get(&header.hash()).is_none());
    assert_eq!(chain.accept_header(header, clock), Ok(HeaderOutcome::New));
}

#[test]
fn hdr_11_a_block_too_early_is_kept_aside_and_connected_when_its_time_comes() {
    let mut tree = TestTree::regtest();
    tree.draw("genesis a1");
    let block = tree.block("a1");
    let ready = Time::from_secs(u64::from(block.header.time) - 7_200);
    let early = Time(ready.0 - 1_000);
    let mut chain = tree.chain();
    assert_eq!(chain.insert_block(block.clone(), early), Err(Reject::TimeTooNew));
    assert_eq!(chain.next_retry(), Some(ready));
    assert_eq!(chain.activate(early, 1).expect("works").invalid, []);
    assert_eq!(tree.tip(&chain), "genesis");
    chain.activate(ready, 1).expect("works");
    assert_eq!(tree.tip(&chain), "a1");
    assert_eq!(chain.next_retry(), None);
}

#[test]
fn hdr_11_a_spoiled_body_takes_no_place_among_the_early_blocks() {
    let mut tree = TestTree::regtest();
    tree.draw("genesis a1");
    let mut block = tine_chain::block::Block::clone(&tree.block("a1"));
    block.transactions.push(block.transactions[0].clone());
    let mut chain = tree.chain();
    let early = Time::from_secs(u64::from(block.header.time) - 7_201);
    assert_eq!(chain.insert_block(block.into(), early), Err(Reject::BadMerkleRoot));
    assert_eq!(chain.next_retry(), None);
}

#[test]
fn early_blocks_are_bounded() {
    let mut tree = TestTree::regtest();
    for number in 0..100 {
        tree.draw(&format!("genesis x{number}"));
    }
    let mut chain = tree.chain();
    for number in 0..100 {
        let block = tree.block(&format!("x{number}"));
        let early = Time::from_secs(u64::from(block.header.time) - 7_201);
        assert_eq!(chain.insert_block(block, early), Err(Reject::TimeTooNew));
    }
    tree.activate(&mut chain);
    assert_eq!(chain.tree().len(), 1 + 64);
}

#[test]
fn hdr_18_prev_blk_not_found() {
    let mut tree = TestTree::regtest();
    tree.draw("genesis a1 a2");
    let mut chain = tree.chain();
    let orphan = tree.block("a2");
    assert_eq!(chain.accept_header(orphan.header, tree.now()), Err(Reject::PrevBlockNotFound));
    assert_eq!(chain.insert_block(orphan, tree.now()), Err(Reject::PrevBlockNotFound));
    assert_eq!(chain.tree().len(), 1);
    tree.deliver(&mut chain, "a1 a2");
    assert_eq!(tree.tip(&chain), "a2");
}

#[test]
fn hdr_19_bad_prevblk_and_duplicate_invalid() {
    let mut tree = TestTree::regtest();
    tree.block_with("bad", "genesis", &[], |draft| draft.coinbase.witnesses[0].0.clear());
    tree.draw("bad child");
    let mut chain = tree.chain();
    assert_eq!(tree.submit(&mut chain, "bad"), Err(Reject::CoinbaseLength));
    assert_eq!(chain.accept_header(tree.block("child").header, tree.now()), Err(Reject::BadPrevBlock));
    assert_eq!(chain.accept_header(tree.block("bad").header, tree.now()), Err(Reject::DuplicateInvalid));
    assert_eq!(tree.submit(&mut chain, "bad"), Err(Reject::DuplicateInvalid));
    assert_eq!(chain.tree().len(), 2);
}

#[test]
fn blk_33_another_genesis_is_an_orphan_and_ours_a_duplicate() {
    let mut tree = TestTree::regtest();
    tree.draw("genesis a1");
    let mut chain = tree.chain();
    assert_eq!(chain.insert_block(tree.block("genesis"), tree.now()), Ok(Inserted::Duplicate));
    let other = Params::of(Network::Devnet).genesis_block();
    assert!(chain.insert_block(other, tree.now()).is_err());
    assert_eq!(chain.tree().len(), 1);
    // "the genesis output is not in the coin set"
    let output = tree.block("genesis").transactions[0].outpoint(0);
    assert_eq!(chain.coin(&output).expect("works"), None);
}

/// Difficulty periods of 20 blocks at the easiest target of devnet, drawn up to the height before `height`.
fn periods(height: u32) -> (TestTree, Chain, String) {
    let mut params = Params::of(Network::Devnet);
    params.genesis.bits = params.pow_limit.to_compact();
    let mut tree = TestTree::new(params);
    let mut parent = "genesis".to_owned();
    for height in 1..height {
        let name = format!("p{height}");
        tree.block_with(&name, &parent, &[], |draft| draft.header.time -= 595);
        parent = name;
    }
    let mut chain = tree.chain();
    (1..height).for_each(|height| tree.deliver(&mut chain, &format!("p{height}")));
    (tree, chain, parent)
}

fn header_at(tree: &mut TestTree, name: &str, parent: &str, time: u32) -> Header {
    tree.block_with(name, parent, &[], |draft| draft.header.time = time).header
}

#[test]
fn time_timewarp_attack() {
    let (mut tree, mut chain, parent) = periods(40);
    // the grace is 10 s; the bits follow from the blocks before, so that only the time differs
    let last = tree.block(&parent).header.time;
    let now = tree.now();
    let early = header_at(&mut tree, "early", &parent, last - 11);
    assert_eq!(chain.accept_header(early, now), Err(Reject::TimeTimewarp));
    let in_grace = header_at(&mut tree, "in grace", &parent, last - 10);
    assert_eq!(chain.accept_header(in_grace, now), Ok(HeaderOutcome::New));
}

#[test]
fn hdr_16_time_murch_zawy_attack() {
    // to come before its period's first block, the last must be over the median: six blocks before it must be older still
    let mut params = Params::of(Network::Devnet);
    params.genesis.bits = params.pow_limit.to_compact();
    let genesis = params.genesis.time;
    let mut tree = TestTree::new(params);
    let mut parent = "genesis".to_owned();
    for height in 1..39 {
        let name = format!("p{height}");
        // block 20 begins a period an hour ahead, the others go on as if it had not
        let time = if height == 20 { genesis + 3_600 } else { genesis + 5 * height };
        tree.block_with(&name, &parent, &[], |draft| draft.header.time = time);
        parent = name;
    }
    let mut chain = tree.chain();
    (1..39).for_each(|height| tree.deliver(&mut chain, &format!("p{height}")));
    let now = tree.now();
    let before = header_at(&mut tree, "before", &parent, genesis + 3_599);
    assert_eq!(chain.accept_header(before, now), Err(Reject::TimeMurchZawy));
    let equal = header_at(&mut tree, "equal", &parent, genesis + 3_600);
    assert_eq!(chain.accept_header(equal, now), Ok(HeaderOutcome::New));
}

#[test]
fn the_difficulty_follows_the_blocks() {
    let (tree, chain, parent) = periods(45);
    let bits = |height| chain.active_entry(height).expect("active").header.bits;
    assert_eq!(bits(19), bits(1));
    assert_ne!(bits(20), bits(19), "19 intervals of 5 s took less than 20 × 5 s");
    assert_eq!(chain.next_bits(&tree.hash(&parent)), Some(bits(44)));
}
