//! Fuzz targets: plain functions of bytes, which panic when a promise is broken.
//!
//! The test of this package replays the corpora of `fuzz/corpus/` and variations of them; `cargo fuzz run NAME` (from
//! the root, see `docs/reliability.md`) looks for more. Decoders take the bytes as they are. Where bytes alone never
//! get past the first check, a target reads them as a list of choices ([`choices`]) and makes something of them that
//! does: a block tree, a mempool's day, a damaged directory.

pub mod chain;
pub mod choices;
pub mod decoders;
pub mod mempool;
pub mod outside;
pub mod seeds;
pub mod store;

/// A fuzz target.
pub type Target = fn(&[u8]);

/// Every target, by name; a slow one runs milliseconds for each input.
pub const TARGETS: &[(&str, Target)] = &[
    ("block", decoders::block),
    ("transaction", decoders::transaction),
    ("policy", decoders::policy),
    ("values", decoders::values),
    ("headers", decoders::headers),
    ("request", decoders::request),
    ("response", decoders::response),
    ("gossip", decoders::gossip),
    ("journal_record", decoders::journal_record),
    ("address", decoders::address),
    ("keystore", decoders::keystore),
    ("wallet_files", decoders::wallet_files),
    ("connect", chain::connect),
    ("reorganise", chain::reorganise),
    ("mempool", mempool::mempool),
    ("mempool_file", mempool::mempool_file),
    ("estimates_file", mempool::estimates_file),
    ("p2p_codec", outside::p2p_codec),
    ("rpc_envelope", outside::rpc_envelope),
    ("reindex", store::reindex),
    ("recover", store::recover),
];
