//! gRPC over a real socket, with the client that the compiler makes of the published files.

mod chain;
mod client;
mod events;
mod gate;
#[path = "../support/mod.rs"]
mod support;
mod wallet;
