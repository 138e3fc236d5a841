//! What is true: consensus types and rules, the block tree, coins, fork choice and stores.
//!
//! Synchronous, without a clock and without a network: time, randomness and storage are handed in.

pub mod address;
pub mod amount;
pub mod block;
pub mod chain;
pub mod change;
pub mod codec;
pub mod coin_stats;
pub mod coins;
pub mod hash;
pub mod header_chain;
pub mod journal;
pub mod merkle;
pub mod mining;
mod overlay;
pub mod params;
pub mod policy;
pub mod pow;
pub mod reject;
pub mod rules;
pub mod shared;
pub mod sighash;
pub mod signature;
pub mod store;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod time;
pub mod transaction;
pub mod tree;
pub mod witness;
