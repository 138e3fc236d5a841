//! gRPC for programs in other languages: the services of `tine/proto/tine/v1/`, over HTTP/2 on a port of its own.
//!
//! Not a second copy of JSON-RPC: each call stands for a method of it (`gate::STANDS_FOR`), runs the same function, and
//! is let in by the same passwords and whitelists. Here is only what is gRPC's: the way in (`server`, `gate`), the
//! shapes (`convert`), the statuses (`status`), the stream of events (`events`).

mod calls;
mod chain;
mod convert;
mod events;
mod gate;
mod server;
mod status;
mod wallet;

pub use server::{GrpcConfig, GrpcServer, MAX_MESSAGE_SIZE};

/// What the compiler makes of `tine/proto/tine/v1/`: messages, servers, and clients for programs in Rust.
#[allow(missing_docs, unreachable_pub, clippy::all, reason = "generated")]
pub mod v1 {
    tonic::include_proto!("tine.v1");
}

/// The `.proto` files as one set, for reflection.
pub const DESCRIPTORS: &[u8] = tonic::include_file_descriptor_set!("tine.v1");
