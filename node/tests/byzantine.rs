//! Each adversary among honest nodes, in virtual time.

#![allow(missing_docs, reason = "a test's name says what it shows")]
#![allow(clippy::wildcard_enum_match_arm, reason = "a test picks what it looks for")]

mod harness;

use std::sync::Arc;
use std::time::Duration;

use harness::world::World;
use harness::{FEE, Funds, REWARD, forward, new_node, node_with, params};
use tine_chain::amount::Amount;
use tine_chain::block::Block;
use tine_chain::params::Params;
use tine_chain::transaction::Transaction;
use tine_node::Strategy;
use tine_node::event::{Accepted, Notice};

const SECOND: Duration = Duration::from_secs(1);

/// `honest` nodes, then one that will misbehave; all linked, and agreed on `blocks` blocks of the first.
fn network(honest: usize, blocks: u32) -> World {
    let mut world = World::new((0..=honest as u64).map(new_node).collect());
    world.link_all();
    for _ in 0..blocks {
        world.mine(0, 1);
        world.run(SECOND);
    }
    world.assert_agreed();
    world
}

fn height(world: &World, at: usize) -> u32 {
    world.node(at).chain().tip().height
}

/// How many of the active chain's blocks `owner` was paid for.
fn blocks_of(world: &World, at: usize, owner: u8) -> u32 {
    let blocks = harness::blocks_of(world.node(at));
    let paid = |block: &&Arc<Block>| block.transactions[0].outputs[0].lock == harness::lock(owner);
    u32::try_from(blocks.iter().filter(paid).count()).expect("few")
}

#[test]
fn names_are_read_as_they_are_written_and_each_says_what_it_does() {
    for strategy in Strategy::ALL {
        assert_eq!(strategy.to_string().parse(), Ok(strategy));
        assert!((20..110).contains(&strategy.describe().len()), "{strategy}");
    }
    let error = "honest".parse::<Strategy>().expect_err("not an adversary").to_string();
    assert!(error.contains("`honest`") && error.contains("equal-fork-stubborn"), "{error}");
}

#[test]
fn a_selfish_pool_hides_its_lead_and_shows_it_when_others_come_within_one() {
    let mut world = network(2, 1);
    world.corrupt(2, Strategy::Selfish);
    world.mine_as(2, 9);
    world.mine_as(2, 9);
    world.run(30 * SECOND);
    assert_eq!((height(&world, 2), height(&world, 0)), (3, 1), "two blocks are hidden, from questions too");
    // "pool wins due to the lead of 1"
    world.mine(0, 1);
    world.run(SECOND);
    world.assert_agreed();
    assert_eq!((height(&world, 0), blocks_of(&world, 0, 9)), (3, 2), "the honest block is stale");
}

#[test]
fn a_selfish_pool_shows_one_block_for_one_from_far_ahead() {
    let mut world = network(2, 1);
    world.corrupt(2, Strategy::Selfish);
    let first = world.mine_as(2, 9);
    for _ in 0..3 {
        world.mine_as(2, 9);
    }
    world.mine(0, 1);
    world.run(SECOND);
    assert!(world.node(0).chain().tree().get(&first.hash()).is_some(), "the first block is shown");
    assert_eq!(world.node(0).chain().best_header().height, 2, "and no more than that");
}

#[test]
fn a_selfish_pool_wins_a_race_with_its_next_block_and_a_stubborn_one_hides_it() {
    for (strategy, shown) in [(Strategy::Selfish, true), (Strategy::EqualForkStubborn, false)] {
        let mut world = network(2, 1);
        world.corrupt(2, strategy);
        world.mine_as(2, 9);
        world.mine(0, 1);
        world.run(SECOND);
        let tips = [world.tip(0), world.tip(2)];
        assert_ne!(tips[0], tips[1], "a race: {strategy}");
        let decider = world.mine_as(2, 9);
        world.run(SECOND);
        assert_eq!(world.tip(0) == decider.hash(), shown, "{strategy}");
    }
}

#[test]
fn a_lead_stubborn_pool_keeps_its_last_block() {
    let mut world = network(2, 1);
    world.corrupt(2, Strategy::LeadStubborn);
    world.mine_as(2, 9);
    world.mine_as(2, 9);
    world.mine(0, 1);
    world.run(SECOND);
    assert_eq!(height(&world, 0), 2, "one of two blocks is shown");
    assert_eq!(height(&world, 2), 3);
}

#[test]
fn a_trail_stubborn_pool_goes_on_one_block_behind_and_gives_up_at_two() {
    let mut world = network(2, 1);
    world.corrupt(2, Strategy::TrailStubborn);
    let own = world.mine_as(2, 9);
    world.mine(0, 1);
    world.run(SECOND);
    world.mine(0, 1);
    world.run(SECOND);
    // two public blocks against one of its own
    let second = world.mine_as(2, 9);
    assert_eq!(second.header.prev_block, own.hash(), "it goes on where it was");
    let third = world.mine_as(2, 9);
    world.run(2 * SECOND);
    world.assert_agreed();
    assert_eq!(world.tip(0), third.hash(), "and wins from behind");
    world.mine_as(2, 9);
    for _ in 0..3 {
        world.mine(0, 1);
        world.run(SECOND);
    }
    let next = world.mine_as(2, 9);
    assert_eq!(next.header.prev_block, world.tip(0), "two behind it adopts the public branch");
}

#[test]
fn a_withheld_branch_comes_as_one_deep_reorganisation() {
    let mut world = network(2, 1);
    world.corrupt(2, Strategy::Withholding);
    for _ in 0..4 {
        world.mine_as(2, 9);
    }
    for _ in 0..3 {
        world.mine(0, 1);
        world.run(SECOND);
    }
    world.assert_agreed();
    assert_eq!(blocks_of(&world, 0, 9), 4);
    let deepest = world.node(1).chain().journal().iter().map(|reorg| reorg.disconnected.len()).max();
    assert_eq!(deepest, Some(3), "all three blocks that others had found");
}

#[test]
fn an_equivocating_miner_makes_twins() {
    let mut world = network(2, 1);
    world.corrupt(2, Strategy::Equivocating);
    let first = world.mine_as(2, 9);
    world.run(SECOND);
    assert_eq!(height(&world, 0), 1, "the first waits for its twin");
    let second = world.mine_as(2, 9);
    world.run(SECOND);
    assert_eq!(first.header.prev_block, second.header.prev_block);
    for block in [first, second] {
        assert!(world.node(0).chain().tree().get(&block.hash()).is_some(), "both are shown");
    }
    assert_eq!(height(&world, 0), 2);
}

#[test]
fn an_eclipsed_node_sees_no_block_but_its_own_and_learns_the_truth_from_one_honest_peer() {
    let mut world = World::new((0..3).map(new_node).collect());
    world.corrupt(1, Strategy::Eclipse);
    // the victim, 2, has no peer but the adversary, 1
    world.link(0, 1);
    world.link(1, 2);
    for _ in 0..3 {
        world.mine(0, 1);
        world.run(SECOND);
    }
    world.mine(2, 3);
    world.run(30 * SECOND);
    assert_eq!((height(&world, 0), height(&world, 1), height(&world, 2)), (3, 3, 1));
    world.link(0, 2);
    world.run(30 * SECOND);
    assert_eq!(world.tip(2), world.tip(0), "one honest link is enough");
}

#[test]
fn blocks_that_pay_too_much_are_refused_by_all_and_harm_nobody_else() {
    let mut world = network(2, 1);
    world.corrupt(2, Strategy::InvalidFlood);
    let bad = world.mine_as(2, 9);
    world.run(SECOND);
    for at in 0..2 {
        assert_eq!(height(&world, at), 1);
        let judged = world.notices.iter().any(|(who, notice)| {
            *who == at && matches!(notice, Notice::BlockInvalid(hash, _) if *hash == bad.hash())
        });
        assert!(judged, "node {at} has looked at it");
    }
    let between_honest = world.offences.iter().filter(|(who, of, _)| *who < 2 && *of < 2).count();
    assert_eq!(between_honest, 0, "nobody is blamed for passing a good header on");
    world.mine(0, 1);
    world.run(SECOND);
    assert_eq!(height(&world, 1), 2);
}

#[test]
fn silence_and_lag_delay_nobody_who_has_other_peers() {
    for strategy in [Strategy::Silent, Strategy::Lagging, Strategy::HeaderSpam] {
        let mut world = network(3, 2);
        world.corrupt(3, strategy);
        for at in [0, 1, 2, 0] {
            world.mine(at, 1);
            world.run(5 * SECOND);
        }
        for at in 0..3 {
            assert_eq!(height(&world, at), 6, "{strategy}");
        }
        let bans = world.offences.iter().filter(|(who, of, _)| *who < 3 && *of < 3).count();
        assert_eq!(bans, 0, "{strategy}");
    }
}

#[test]
fn a_header_spammer_costs_each_asker_a_branch_of_headers() {
    let mut world = network(1, 2);
    world.corrupt(1, Strategy::HeaderSpam);
    let before = world.node(0).chain().tree().len();
    world.run(60 * SECOND);
    assert!(world.node(0).chain().tree().len() >= before + 16, "valid headers that nobody needs are kept");
    assert_eq!(height(&world, 0), 2);
}

/// Ten blocks a period, a minute each; with or without the rule against the attack.
fn time_params(grace: Option<u32>) -> Params {
    Params {
        retarget_interval: Some(10),
        target_timespan_secs: 600,
        timewarp_grace_secs: grace,
        max_future_secs: 7_200,
        ..params()
    }
}

/// The work of the last block of 60 that a lone miner makes, one a minute.
fn work_after_an_hour(strategy: Option<Strategy>, grace: Option<u32>) -> f64 {
    // a target far from the limit, so that difficulty can fall as well as rise
    let mut params = time_params(grace);
    params.genesis.bits = tine_chain::pow::Target(params.pow_limit.0 >> 8).to_compact();
    let mut world = World::new(vec![node_with(params, 1)]);
    if let Some(strategy) = strategy {
        world.corrupt(0, strategy);
    }
    for _ in 0..60 {
        world.mine_as(0, 1);
        world.run(Duration::from_secs(60));
    }
    let tip = world.node(0).chain().tip();
    f64::from(tip.header.bits.to_target().expect("the chain's own bits").work().0)
}

#[test]
fn a_time_warp_brings_difficulty_down_unless_bip_54_forbids_it() {
    let honest = work_after_an_hour(None, None);
    let warped = work_after_an_hour(Some(Strategy::Timewarp), None);
    let forbidden = work_after_an_hour(Some(Strategy::Timewarp), Some(60));
    assert!(warped < honest / 8.0, "honest {honest}, warped {warped}");
    assert!(forbidden > warped * 4.0, "under BIP 54 {forbidden}, without {warped}");
}

#[test]
fn a_liar_about_the_time_is_believed_as_far_as_the_rules_go() {
    let mut world = network(1, 1);
    world.corrupt(1, Strategy::TimeLiar);
    world.run(SECOND);
    let block = world.mine_as(1, 9);
    world.run(SECOND);
    let ahead = u64::from(block.header.time) - world.now.as_secs();
    assert!((7_190..=7_200).contains(&ahead), "{ahead} s ahead");
    assert_eq!(world.tip(0), block.hash());
}

/// Two payments of one mature coin: the merchant's (owner 3), and one's own (owner 9).
fn two_payments(world: &World) -> (Arc<Transaction>, Arc<Transaction>) {
    let first = &harness::blocks_of(world.node(0))[0];
    let coin = Funds::of(&first.transactions[0], 0, 1);
    assert_eq!(coin.output.value, Amount(REWARD));
    (forward(coin, 3, FEE), forward(coin, 9, FEE))
}

/// Hands both to the adversary, node 2.
fn arm(world: &mut World, strategy: Strategy) -> (Arc<Transaction>, Arc<Transaction>) {
    world.corrupt(2, strategy);
    let (deposit, refund) = two_payments(world);
    assert_eq!(world.submit_tx(2, &deposit), Ok(Accepted::Transaction(deposit.txid())));
    assert_eq!(world.submit_tx(2, &refund), Ok(Accepted::Transaction(refund.txid())));
    (deposit, refund)
}

fn is_mined(world: &World, at: usize, tx: &Transaction) -> bool {
    harness::blocks_of(world.node(at))
        .iter()
        .any(|block| block.transactions.iter().any(|mined| mined.txid() == tx.txid()))
}

#[test]
fn finneys_attack_takes_an_unconfirmed_payment_back() {
    let mut world = network(2, 4);
    let (deposit, refund) = arm(&mut world, Strategy::Finney);
    world.mine_as(2, 9);
    world.run(SECOND);
    assert!(world.node(0).mempool().get(&deposit.txid()).is_some(), "the merchant sees the payment");
    assert_eq!(height(&world, 0), 4, "and not the block");
    world.run(5 * SECOND);
    world.assert_agreed();
    assert!(is_mined(&world, 0, &refund) && !is_mined(&world, 0, &deposit));
}

#[test]
fn vector76_confirms_a_deposit_in_a_branch_that_loses() {
    let mut world = network(2, 4);
    let (deposit, refund) = arm(&mut world, Strategy::Vector76);
    world.mine_as(2, 9);
    // the merchant, 0, hears of the hidden block before it hears of the rival
    world.cut(0, 1);
    world.mine(1, 1);
    world.run(SECOND);
    assert!(is_mined(&world, 0, &deposit), "one confirmation for the merchant");
    world.mine(1, 1);
    world.link(0, 1);
    world.run(30 * SECOND);
    world.assert_agreed();
    assert!(!is_mined(&world, 0, &deposit), "the branch with the deposit has lost");
    assert!(is_mined(&world, 0, &refund), "and the coin went elsewhere");
}

#[test]
fn a_majority_rewrites_what_was_confirmed() {
    let mut world = network(2, 4);
    let (deposit, refund) = arm(&mut world, Strategy::DoubleSpend);
    world.run(SECOND);
    for _ in 0..2 {
        world.mine(0, 1);
        world.run(SECOND);
    }
    assert!(is_mined(&world, 1, &deposit), "two confirmations for the merchant");
    for _ in 0..2 {
        world.mine_as(2, 9);
    }
    world.run(SECOND);
    assert!(is_mined(&world, 1, &deposit), "the secret branch is not longer so far");
    world.mine_as(2, 9);
    world.run(2 * SECOND);
    world.assert_agreed();
    assert!(is_mined(&world, 1, &refund) && !is_mined(&world, 1, &deposit));
}

/// The closed form of Eyal and Sirer (2014), equation 8: the pool's share of the blocks.
fn eyal_sirer(alpha: f64, gamma: f64) -> f64 {
    let a = alpha;
    (a * (1.0 - a).powi(2) * (4.0 * a + gamma * (1.0 - 2.0 * a)) - a.powi(3))
        / (1.0 - a * (1.0 + (2.0 - a) * a))
}

#[test]
fn a_selfish_pool_earns_what_eyal_and_sirer_say() {
    // two nodes: the honest one hears its own block first, so that γ = 0
    const ALPHA: f64 = 0.4;
    const BATCHES: usize = 24;
    const BLOCKS_PER_BATCH: u32 = 125;
    let mut world = network(1, 1);
    world.corrupt(1, Strategy::Selfish);
    let mut finder = 0x2014_u64;
    let (mut shares, mut own_before, mut height_before) = (Vec::new(), 0, 1);
    for _ in 0..BATCHES {
        for _ in 0..BLOCKS_PER_BATCH {
            // SplitMix64
            finder = finder.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut draw = finder;
            draw = (draw ^ (draw >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            draw = (draw ^ (draw >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            let uniform = ((draw ^ (draw >> 31)) >> 11) as f64 / (1u64 << 53) as f64;
            if uniform < ALPHA {
                world.mine_as(1, 9)
            } else {
                world.mine_as(0, 1)
            };
            world.run(SECOND);
        }
        let (own, tip) = (blocks_of(&world, 0, 9), height(&world, 0));
        shares.push(f64::from(own - own_before) / f64::from(tip - height_before));
        (own_before, height_before) = (own, tip);
    }
    let share = f64::from(own_before) / f64::from(height_before - 1);
    let n = BATCHES as f64;
    let mean = shares.iter().sum::<f64>() / n;
    let variance = shares.iter().map(|share| (share - mean).powi(2)).sum::<f64>() / (n - 1.0);
    let error = (variance / n).sqrt();
    let z = (share - eyal_sirer(ALPHA, 0.0)) / error;
    assert!(z.abs() < 4.0, "share {share}, standard error {error}, z {z}");
    assert!(share > ALPHA + 2.0 * error, "more than its share of the power: {share} ± {error}");
}
