//! What a node can be told at its start.

use std::time::Duration;

use tine_chain::params::{Network, Params};
use tine_chain::pow::Work;

use crate::mempool::Limits;
use crate::peers::BAN_TIME;

/// Settings of a [`crate::Node`]. [`NodeConfig::new`] has the defaults of a network.
#[derive(Debug, Clone)]
pub struct NodeConfig {
    /// Which chain, and its constants.
    pub params: Params,
    /// What the mempool holds and asks for.
    pub mempool: Limits,
    /// The seed of everything that the node chooses at random.
    pub seed: u64,
    /// Work that a chain of headers must have before any of it is kept (Core: `-minimumchainwork`).
    pub minimum_chain_work: Work,
    /// How often every peer is asked for headers again, so that nodes agree after a partition that no connection
    /// was lost in.
    pub headers_interval: Duration,
    /// How long a peer may take to answer before another one is asked.
    pub request_timeout: Duration,
    /// How long a peer that misbehaved is kept out.
    pub ban_time: Duration,
}

impl NodeConfig {
    /// The defaults for the network of `params`.
    #[must_use]
    pub fn new(params: Params) -> Self {
        // on a network of five-second blocks half a minute is six blocks
        let headers_interval = match params.network {
            Network::Devnet | Network::Regtest => Duration::from_secs(10),
            Network::Main | Network::Bitcoin => Duration::from_secs(30),
        };
        Self {
            params,
            mempool: Limits::default(),
            seed: 0,
            minimum_chain_work: Work::default(),
            headers_interval,
            request_timeout: Duration::from_secs(10),
            ban_time: BAN_TIME,
        }
    }
}
