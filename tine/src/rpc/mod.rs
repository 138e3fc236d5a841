//! JSON-RPC and REST as Bitcoin Core speaks them, gRPC, and the client that the command line uses.
//!
//! A call's way: [`transport`] (socket, limits, `Host`), `server` (password, queue), `envelope` (JSON-RPC's forms),
//! `registry` and `params` (the method and what it is given), then a method of one of the files named as Core names
//! its categories. Reads answer from the published [`crate::view::View`] and the block reader; only submissions and
//! control go to the node's thread.

mod addresses;
mod amount;
mod blockchain;
mod blocks_in;
pub mod client;
mod clock;
mod connections;
mod context;
mod control;
mod cookie;
mod envelope;
mod error;
mod events;
mod examples;
mod explain;
mod forkchoice;
mod getwork;
pub mod grpc;
pub(crate) mod local;
mod mempool;
mod mining;
mod network;
mod packages;
mod params;
mod proofs;
mod rawbuild;
mod rawtransactions;
mod registry;
mod rest;
mod sends;
mod server;
mod shapes;
mod stats;
mod template;
pub mod testing;
mod tine;
pub mod transport;
mod users;
mod wallet;
mod wallet_actions;
mod wallet_addresses;
mod wallet_lists;
mod wallets;
mod watch;

pub use amount::{AmountError, Coins, SignedCoins, parse_coins};
pub use client::{ClientError, Login, RpcClient};
pub use context::Context;
pub use cookie::{COOKIE_USER, Cookie};
pub use error::{Code, RpcError};
pub use explain::{Arrival, BLOCK_ARRIVALS, EXPLAIN_TIP, FORKS, Fork};
pub use registry::{ParamOf, takes_text};
pub use server::{MAX_BODY_SIZE, Server, ServerConfig};
pub use users::{check_login, check_whitelist};
