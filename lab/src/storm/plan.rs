//! What a seed means: a world, and what befalls it.

use std::time::Duration;

use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tine_chain::amount::Amount;
use tine_node::byzantine::Strategy;

use super::Prank;
use crate::config::WorldConfig;
use crate::geography::Preset;
use crate::latency::{Bandwidth, Latency};
use crate::mining::lab_params;
use crate::network::LinkQuality;
use crate::order::Order;
use crate::topology::Topology;
use crate::workload::Workload;

/// Blocks after which a coinbase is mature: few, so that money moves early.
const MATURITY: u32 = 3;
/// Clocks are off by at most so much: two of them differ by less than a block may be ahead.
const MAX_SKEW_MS: i64 = 20_000;

/// One thing that befalls the world.
#[derive(Debug, Clone)]
pub enum Act {
    /// What scenarios can order, too.
    Order(Order),
    /// A miner tries to get away with an invalid block.
    Prank {
        /// Whose.
        node: usize,
        /// What is wrong with it.
        prank: Prank,
    },
}

/// A storm, before it begins.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The world.
    pub config: WorldConfig,
    /// What befalls it, by the time since its start, in order.
    pub acts: Vec<(Duration, Act)>,
    /// How long it lasts before everything is made whole.
    pub length: Duration,
    /// Hosts that do not keep to the protocol.
    pub dishonest: Vec<usize>,
}

impl Plan {
    /// The storm of `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let nodes = rng.random_range(3..=8);
        let length = Duration::from_secs(rng.random_range(120..=240));
        let config = WorldConfig { seed: rng.random(), nodes, ..world(nodes, &mut rng) };
        let count = rng.random_range(5..=25);
        let mut times: Vec<u64> =
            (0..count).map(|_| rng.random_range(0..length.as_millis() as u64)).collect();
        times.sort_unstable();
        let acts = times.into_iter().map(|ms| (Duration::from_millis(ms), act(nodes, &mut rng)));
        let mut acts: Vec<(Duration, Act)> = acts.collect();
        let dishonest = dishonest(nodes, &mut rng);
        for &node in &dishonest {
            let strategy = Some(Strategy::ALL[rng.random_range(0..Strategy::ALL.len())]);
            let turns = ms(0..=length.as_millis() as u64 / 2, &mut rng);
            acts.push((turns, Act::Order(Order::Byzantine { node, strategy })));
        }
        acts.sort_by_key(|(after, _)| *after);
        Self { acts, config, length, dishonest }
    }
}

/// Who will not keep to the protocol: in half of the storms nobody, otherwise up to a quarter of the hosts.
fn dishonest(nodes: usize, rng: &mut impl Rng) -> Vec<usize> {
    if nodes < 4 || rng.random() {
        return Vec::new();
    }
    let count = rng.random_range(1..=nodes / 4);
    let first = rng.random_range(0..nodes);
    (0..count).map(|next| (first + next) % nodes).collect()
}

fn ms(range: std::ops::RangeInclusive<u64>, rng: &mut impl Rng) -> Duration {
    Duration::from_millis(rng.random_range(range))
}

fn world(nodes: usize, rng: &mut impl Rng) -> WorldConfig {
    let mut params = lab_params();
    params.coinbase_maturity = MATURITY;
    let topology = match rng.random_range(0..5) {
        0 => Topology::Line,
        1 => Topology::Ring,
        2 => Topology::Star,
        3 => Topology::Clique,
        _ => Topology::Random { degree: 4 },
    };
    let latency = match rng.random_range(0..4) {
        0 => Latency::Constant(ms(0..=500, rng)),
        1 => Latency::Exponential(ms(10..=800, rng)),
        2 => Latency::Measured(Preset::SimBlock2019),
        _ => Latency::Uniform(Duration::from_millis(5), ms(10..=1_000, rng)),
    };
    let bandwidth = match rng.random_range(0..3) {
        0 => Bandwidth::Constant(rng.random_range(50_000..1_000_000)),
        _ => Bandwidth::Unlimited,
    };
    let mut config = WorldConfig { params, topology, latency, bandwidth, ..WorldConfig::default() };
    config.quality = quality(0.05, rng);
    config.mining.interval = Duration::from_secs(rng.random_range(2..=6));
    config.mining.shares = (0..nodes).map(|_| rng.random::<f64>()).collect();
    let total: f64 = config.mining.shares.iter().sum();
    config.mining.shares.iter_mut().for_each(|share| *share /= total);
    config.workload = Some(Workload {
        interval: ms(300..=3_000, rng),
        fan_out: rng.random_range(1..=4),
        conflicts: rng.random_range(0.0..0.5),
        amount: Amount(rng.random_range(1_000_000..400_000_000)),
        fee: Amount(100_000),
    });
    config
}

fn quality(worst: f64, rng: &mut impl Rng) -> LinkQuality {
    if rng.random_range(0..3) == 0 {
        return LinkQuality::default();
    }
    LinkQuality {
        delay: Duration::ZERO,
        reorder: ms(0..=600, rng),
        loss: rng.random_range(0.0..worst),
        duplicate: rng.random_range(0.0..worst),
        cut: false,
    }
}

fn act(nodes: usize, rng: &mut impl Rng) -> Act {
    let node = rng.random_range(0..nodes);
    let other = (node + rng.random_range(1..nodes)) % nodes;
    Act::Order(match rng.random_range(0..20) {
        0..=2 => Order::Partition { groups: groups(nodes, rng) },
        3..=4 => Order::Heal,
        5 => {
            let cut = LinkQuality { cut: true, ..LinkQuality::default() };
            Order::Quality { from: node, to: other, quality: cut }
        }
        6 => {
            let slow = LinkQuality { delay: ms(0..=8_000, rng), ..quality(0.3, rng) };
            Order::Quality { from: node, to: other, quality: slow }
        }
        7 => Order::Disconnect { a: node, b: other },
        8 => Order::Connect { from: node, to: other },
        9..=10 => Order::Stop { node },
        11..=12 => Order::Start { node },
        13 => Order::Skew { node, ms: rng.random_range(-MAX_SKEW_MS..=MAX_SKEW_MS) },
        14 => Order::Slow { node, delay: ms(0..=5_000, rng) },
        15 => Order::Share { node, share: rng.random_range(0.0..0.8) },
        16 => Order::Pay { from: node, to: other, amount: Amount(50_000_000), fee: Amount(100_000) },
        _ => return Act::Prank { node, prank: Prank::ALL[rng.random_range(0..Prank::ALL.len())] },
    })
}

fn groups(nodes: usize, rng: &mut impl Rng) -> Vec<Vec<usize>> {
    let mut groups = vec![Vec::new(); rng.random_range(2..=3)];
    for node in 0..nodes {
        let group = rng.random_range(0..groups.len());
        groups[group].push(node);
    }
    groups
}
