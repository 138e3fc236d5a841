//! What a world is made from: plain data. The same configuration gives the same events, byte for byte.

use std::time::Duration;

use tine_chain::params::Params;

use crate::latency::{Bandwidth, Latency};
use crate::mining::lab_params;
use crate::network::LinkQuality;
use crate::order::Order;
use crate::topology::Topology;
use crate::workload::Workload;

/// A world, before its first moment. [`WorldConfig::default`] is the devnet with twenty nodes.
#[derive(Debug, Clone)]
pub struct WorldConfig {
    /// What all randomness is drawn from.
    pub seed: u64,
    /// How many nodes.
    pub nodes: usize,
    /// Their rules; [`Order::Rules`] gives a node others.
    pub params: Params,
    /// Who is linked with whom.
    pub topology: Topology,
    /// How long messages travel.
    pub latency: Latency,
    /// How long large ones take to pass.
    pub bandwidth: Bandwidth,
    /// What is wrong with every link.
    pub quality: LinkQuality,
    /// Who finds blocks, and how often.
    pub mining: MiningConfig,
    /// Payments that are made all the time.
    pub workload: Option<Workload>,
    /// What befalls the world, by the time since its start. Of the same moment, in this order.
    pub orders: Vec<(Duration, Order)>,
    /// Whether nodes keep their chains together or each for itself. Nothing that can be seen depends on it.
    pub storage: Storage,
    /// See [`tine_node::NodeConfig::headers_interval`]; `None`: what the network's nodes do.
    pub headers_interval: Option<Duration>,
}

impl Default for WorldConfig {
    /// Twenty nodes with the devnet's rules, 20 to 200 ms apart.
    fn default() -> Self {
        Self {
            seed: 1,
            nodes: 20,
            params: lab_params(),
            topology: Topology::Random { degree: 6 },
            latency: Latency::Uniform(Duration::from_millis(20), Duration::from_millis(200)),
            bandwidth: Bandwidth::Unlimited,
            quality: LinkQuality::default(),
            mining: MiningConfig::default(),
            workload: None,
            orders: Vec::new(),
            storage: Storage::Shared,
            headers_interval: None,
        }
    }
}

/// Who finds blocks, and how often.
#[derive(Debug, Clone, PartialEq)]
pub struct MiningConfig {
    /// The mean time between two blocks at the genesis' difficulty when the shares add up to 1. What the difficulty does
    /// from there on is the rules' affair.
    pub interval: Duration,
    /// The hash rate of each node as a share of the total; empty: all alike. Nodes beyond the list have none.
    pub shares: Vec<f64>,
    /// Whether blocks are found by chance; if not, only [`Order::Mine`] finds any.
    pub automatic: bool,
}

impl Default for MiningConfig {
    /// The devnet's five seconds, all alike.
    fn default() -> Self {
        Self { interval: Duration::from_secs(5), shares: Vec::new(), automatic: true }
    }
}

/// Where nodes keep their chains.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Storage {
    /// One copy of each block and coin for all.
    Shared,
    /// Each node has its own.
    Private,
}
