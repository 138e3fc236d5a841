//! What a node does: sync, relay, mempool, block template and peer conduct, as a pure state machine.
//!
//! [`Node::handle`] takes one [`event::Event`] and returns the [`event::Action`]s that follow from it. Time comes in as
//! an argument, randomness from a seed, storage through the chain; nothing here reads a clock, starts a thread or
//! writes a log. The same node runs on a devnet, driven by a network, and in the laboratory, driven by a scheduler.
//!
//! The way of a block through here: `relay` or `sync` (who says so, and is it worth having) → `activate` (the chain
//! connects it) → `mempool` and [`event::Notice::Chain`] (who learns of it).

mod activate;
pub mod byzantine;
mod config;
pub mod event;
pub mod explain;
pub mod mempool;
mod node;
mod offers;
mod operator;
mod orphans;
pub mod peers;
mod presync;
pub mod record;
mod relay;
mod requests;
mod serve;
pub mod sync;
pub mod template;
mod transactions;
pub mod wire;

pub use activate::{Mined, OperatorError};
pub use byzantine::{Adversary, Participant, Strategy};
pub use config::NodeConfig;
pub use node::Node;
pub use offers::{Declined, Offer, Restored};
pub use operator::FetchError;
