//! Proof: what the end-to-end tests are written with.
//!
//! [`process`] starts the real program and talks to it as a user would; [`crash`] kills it and looks at what is left;
//! [`naive`] replays a chain with plain maps, as a second opinion on its coins. [`mod@reference`] is a second opinion on
//! every rule, and [`opinion`] compares it with the chain.

pub mod browser;
pub mod crash;
pub mod devnet;
pub mod naive;
pub mod opinion;
pub mod page_bench;
pub mod process;
pub mod proxy;
pub mod reference;
pub mod terminal;
