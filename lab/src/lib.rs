//! What if: a discrete-event simulator that drives the real node.
//!
//! Virtual time, one queue ordered by (time, sequence), one seed that fans out to one RNG for each host. The nodes are
//! [`tine_node::Node`] unchanged: what they do here they do on a devnet. A run's [`Recording`](recording::Recording) has a hash;
//! running the same seed again gives the same hash.
//!
//! Left out on purpose: sockets, threads, the clock. [`config`] is what a world is made from, [`world`] runs it,
//! [`order`] is what can befall it, [`observe`] what can be seen of it. [`experiments`] put the papers' numbers beside
//! ours.

pub mod config;
pub mod experiments;
pub mod export;
pub mod geography;
mod gossip;
pub mod invariants;
pub mod latency;
pub mod layout;
pub mod mining;
pub mod network;
pub mod observe;
pub mod order;
pub mod plot;
mod purse;
mod queue;
pub mod race;
pub mod recording;
pub mod render;
pub mod replay;
pub mod report;
pub mod scale;
pub mod scenario;
pub mod script;
pub mod stats;
mod store;
pub mod storm;
pub mod sweep;
pub mod theory;
pub mod topology;
pub mod workload;
pub mod world;
