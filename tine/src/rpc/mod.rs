//! JSON-RPC and REST as Bitcoin Core speaks them, and the client that the command line uses.
//!
//! A call's way: [`transport`] (socket, limits, `Host`), `server` (password, queue), `envelope` (JSON-RPC's forms),
//! `registry` and `params` (the method and what it is given), then a method of one of the files named as Core names
//! its categories. Reads answer from the published [`crate::view::View`] and the block reader; only submissions and
//! control go to the node's thread.

mod amount;
mod auth;
mod blockchain;
pub mod client;
mod context;
mod control;
mod envelope;
mod error;
mod explain;
mod forkchoice;
pub(crate) mod local;
mod mempool;
mod mining;
mod network;
mod packages;
mod params;
mod rawtransactions;
mod registry;
mod rest;
mod sends;
mod server;
mod shapes;
mod template;
mod tine;
pub mod transport;
mod wallet;
mod wallet_lists;
mod wallets;
mod watch;

pub use amount::{AmountError, Coins, SignedCoins, parse_coins};
pub use auth::{COOKIE_USER, Cookie};
pub use client::{ClientError, Login, RpcClient};
pub use context::Context;
pub use error::{Code, RpcError};
pub use explain::{Arrival, BLOCK_ARRIVALS, EXPLAIN_TIP, FORKS, Fork};
pub use registry::{ParamOf, takes_text};
pub use server::{MAX_BODY_SIZE, Server, ServerConfig};
