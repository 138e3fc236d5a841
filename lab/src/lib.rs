//! What if: a discrete-event simulator that drives the real node.
//!
//! Virtual time, one queue ordered by (time, sequence), one seed that fans out to one RNG for each host. The nodes are
//! [`tine_node::Node`] unchanged: what they do here they do on a devnet. A run's [`log`](log::EventLog) has a hash;
//! running the same seed again gives the same hash.
//!
//! Left out on purpose: sockets, threads, the clock. [`scenario`] is the shape of a run, [`world`] carries it out.

pub mod log;
pub mod mining;
pub mod network;
pub mod scenario;
pub mod world;
