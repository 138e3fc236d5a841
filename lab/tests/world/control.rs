//! Everything that can be done to a world, one after the other.

use std::time::Duration;

use tine_chain::amount::{Amount, COIN};
use tine_lab::config::{MiningConfig, Storage, WorldConfig};
use tine_lab::latency::{Bandwidth, Latency};
use tine_lab::mining::constant_params;
use tine_lab::network::LinkQuality;
use tine_lab::order::Order;
use tine_lab::recording::{Recording, numbered};
use tine_lab::topology::Topology;
use tine_lab::workload::Workload;
use tine_lab::world::{PayError, World, WorldError};

/// Blocks only on demand, a clique, 50 ms.
fn scripted(nodes: usize) -> WorldConfig {
    WorldConfig {
        nodes,
        params: constant_params(),
        topology: Topology::Clique,
        latency: Latency::Constant(Duration::from_millis(50)),
        mining: MiningConfig { automatic: false, ..MiningConfig::default() },
        ..WorldConfig::default()
    }
}

fn world(config: WorldConfig) -> World<Recording> {
    let log = Recording::new(numbered(config.nodes));
    World::new(config, log).expect("opens")
}

fn heights(world: &World<Recording>) -> Vec<u32> {
    world.nodes().map(|(_, node)| node.chain().tip().height).collect()
}

fn mine(world: &mut World<Recording>, node: usize, blocks: usize) {
    for _ in 0..blocks {
        world.mine(node).expect("mines");
        world.run_for(Duration::from_secs(2)).expect("runs");
    }
}

#[test]
fn a_partition_keeps_two_chains_and_healing_leaves_the_one_with_more_work() {
    let mut world = world(scripted(4));
    mine(&mut world, 0, 1);
    world.partition(vec![vec![0], vec![1, 2, 3]]).expect("partitions");
    mine(&mut world, 0, 2);
    mine(&mut world, 1, 3);
    assert_eq!(heights(&world), [3, 4, 4, 4]);
    world.heal().expect("heals");
    world.run_for(Duration::from_secs(5)).expect("runs");
    assert_eq!(heights(&world), [4; 4]);
    assert_eq!((world.tips().len(), world.counts().reorgs, world.counts().deepest_reorg), (1, 1, 2));
}

#[test]
fn one_direction_can_be_cut() {
    let mut world = world(scripted(2));
    world.run_for(Duration::from_secs(2)).expect("runs");
    world.cut(0, 1).expect("cuts");
    mine(&mut world, 1, 1);
    assert_eq!(heights(&world), [1, 1], "what 1 says arrives");
    mine(&mut world, 0, 1);
    assert_eq!(heights(&world), [2, 1], "what 0 says does not");
    world.heal().expect("heals");
    world.run_for(Duration::from_secs(30)).expect("runs");
    assert_eq!(heights(&world), [2, 2]);
}

#[test]
fn a_node_that_was_stopped_catches_up_from_its_disk() {
    for storage in [Storage::Shared, Storage::Private] {
        let mut world = world(WorldConfig { storage, ..scripted(3) });
        mine(&mut world, 0, 2);
        world.stop(2).expect("stops");
        assert!(world.node(2).is_none());
        assert!(matches!(world.mine(2), Err(WorldError::Stopped { node: 2 })));
        mine(&mut world, 1, 3);
        world.start(2).expect("starts");
        assert_eq!(world.node(2).expect("runs").chain().tip().height, 2, "{storage:?}: what it had");
        world.run_for(Duration::from_secs(5)).expect("runs");
        assert_eq!(heights(&world), [5; 3]);
    }
}

#[test]
fn a_payment_reaches_every_mempool_and_then_the_chain() {
    let mut world = world(scripted(4));
    let too_early = world.try_pay(0, &[(1, Amount(COIN))], Amount(1_000));
    assert!(matches!(too_early, Err(PayError::Funds { node: 0, .. })));
    mine(&mut world, 0, 12);
    let paid = world.try_pay(0, &[(1, Amount(COIN))], Amount(10_000)).expect("pays");
    world.run_for(Duration::from_secs(2)).expect("runs");
    assert!(world.nodes().all(|(_, node)| node.mempool().get(&paid.txid()).is_some()));
    mine(&mut world, 3, 1);
    for (_, node) in world.nodes() {
        assert!(node.mempool().is_empty());
        let coin = node.chain().coin(&paid.outpoint(0)).expect("works").expect("unspent");
        assert_eq!((coin.output.value, coin.height), (Amount(COIN), 13));
    }
}

#[test]
fn rivals_that_spend_one_coin_are_settled_by_a_block() {
    let mut world = world(scripted(2));
    mine(&mut world, 0, 12);
    world.partition(vec![vec![0], vec![1]]).expect("partitions");
    let coins = world.coins(0, Amount(COIN)).expect("looks").expect("has");
    let first = world.sign(0, &coins, &[(1, Amount(COIN))], Amount(10_000));
    let second = world.sign(0, &coins, &[(0, Amount(COIN))], Amount(10_000));
    assert!(world.submit(0, first.clone()).expect("submits").is_ok());
    assert!(world.submit(1, second.clone()).expect("submits").is_ok());
    mine(&mut world, 0, 1);
    mine(&mut world, 1, 2);
    world.heal().expect("heals");
    world.run_for(Duration::from_secs(5)).expect("runs");
    let chain = world.node(0).expect("runs").chain();
    assert!(chain.coin(&second.outpoint(0)).expect("works").is_some());
    assert!(chain.coin(&first.outpoint(0)).expect("works").is_none());
}

#[test]
fn a_clock_that_is_behind_keeps_blocks_aside_until_their_time() {
    let mut world = world(scripted(2));
    // "60 s on devnet": two minutes behind, a block of now is a minute too early
    world.skew(1, -120_000).expect("skews");
    mine(&mut world, 0, 1);
    assert_eq!(heights(&world), [1, 0]);
    world.run_for(Duration::from_secs(90)).expect("runs");
    assert_eq!(heights(&world), [1, 1]);
}

#[test]
fn a_slow_validator_is_late_and_a_slow_link_too() {
    let mut world = world(WorldConfig { topology: Topology::Line, ..scripted(3) });
    world.run_for(Duration::from_secs(5)).expect("runs");
    world.slow(1, Duration::from_secs(3)).expect("slows");
    let quality = LinkQuality { delay: Duration::from_secs(2), ..LinkQuality::default() };
    world.set_quality(1, 2, quality).expect("delays");
    world.mine(0).expect("mines");
    for (secs, expected) in [(2, [1, 0, 0]), (2, [1, 1, 0]), (3, [1, 1, 1])] {
        world.run_for(Duration::from_secs(secs)).expect("runs");
        assert_eq!(heights(&world), expected);
    }
}

#[test]
fn bandwidth_makes_large_answers_late() {
    let config = WorldConfig { bandwidth: Bandwidth::Constant(800), ..scripted(2) };
    let mut world = world(config);
    world.run_for(Duration::from_secs(60)).expect("runs");
    world.mine(0).expect("mines");
    // some 350 bytes at 100 bytes a second
    world.run_for(Duration::from_secs(2)).expect("runs");
    assert_eq!(heights(&world), [1, 0]);
    world.run_for(Duration::from_secs(4)).expect("runs");
    assert_eq!(heights(&world), [1, 1]);
}

#[test]
fn nodes_with_other_rules_part_from_the_rest() {
    let mut world = world(scripted(3));
    let mut halved = constant_params();
    halved.halving_interval = 2;
    world.set_rules(2, halved).expect("restarts");
    mine(&mut world, 0, 3);
    assert_eq!(heights(&world), [3, 3, 1], "node 2 allows 25 coins from height 2 on");
    mine(&mut world, 2, 1);
    assert_eq!(world.tips().len(), 2);
}

#[test]
fn an_order_can_wait_for_its_time_and_shares_decide_who_mines() {
    let share = |node, share| (Duration::ZERO, Order::Share { node, share });
    let stop = (Duration::from_secs(600), Order::Stop { node: 1 });
    let config = WorldConfig {
        mining: MiningConfig::default(),
        orders: vec![share(0, 0.0), share(1, 1.0), stop],
        ..scripted(3)
    };
    let mut world = world(config);
    world.run_for(Duration::from_secs(3_600)).expect("runs");
    // 600 s at 5 s a block: 120, with a deviation of 11; two thirds of a share are with hosts 1 and 2
    let mined = world.counts().mined;
    assert!(world.node(1).is_none());
    assert!((100..1_200).contains(&mined), "{mined}");
    let entries = world.observer().entries();
    let early = entries.iter().filter(|entry| entry.time.since(entries[0].time) < Duration::from_secs(600));
    assert!(early.clone().any(is_mined), "the others mine");
    assert!(early.clone().all(|entry| entry.node.as_deref() != Some("n0") || !is_mined(entry)));
}

fn is_mined(entry: &tine_node::record::Entry) -> bool {
    matches!(entry.happening, tine_node::record::Happening::Mined { .. })
}

/// Everything at once: losses, duplicates, reordering, rival payments, restarts, a partition.
fn stormy(seed: u64, storage: Storage) -> WorldConfig {
    let restart = |secs, node| {
        let at = Duration::from_secs(secs);
        [(at, Order::Stop { node }), (at + Duration::from_secs(20), Order::Start { node })]
    };
    let mut orders: Vec<_> = [restart(60, 1), restart(130, 5)].concat();
    orders.push((
        Duration::from_secs(90),
        Order::Partition { groups: vec![vec![0, 1, 2], vec![3, 4, 5, 6, 7]] },
    ));
    orders.push((Duration::from_secs(150), Order::Heal));
    WorldConfig {
        seed,
        nodes: 8,
        quality: LinkQuality {
            loss: 0.05,
            duplicate: 0.05,
            reorder: Duration::from_millis(400),
            ..LinkQuality::default()
        },
        workload: Some(Workload { conflicts: 0.3, ..Workload::default() }),
        orders,
        storage,
        ..WorldConfig::default()
    }
}

#[test]
fn shared_and_private_stores_give_the_same_world() {
    for seed in 0..3 {
        let run = |storage| {
            let mut world = world(stormy(seed, storage));
            world.run_for(Duration::from_secs(240)).expect("runs");
            let sets: Vec<_> =
                world.nodes().map(|(_, node)| node.chain().coin_set().expect("the store works")).collect();
            (world.observer().hash(), world.counts(), sets)
        };
        let shared = run(Storage::Shared);
        assert!(shared.1.payments > 50 && shared.1.reorgs > 0, "{:?}", shared.1);
        assert_eq!(shared, run(Storage::Private), "seed {seed}");
    }
}
