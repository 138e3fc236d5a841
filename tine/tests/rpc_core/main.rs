//! Core's methods by family, each over a real socket, and what is beside JSON-RPC on the same port.

mod addresses;
mod blocks;
mod events;
mod peers;
mod raw;
mod rest;
#[path = "../support/mod.rs"]
mod support;
mod users;
mod wallet;
mod work;
