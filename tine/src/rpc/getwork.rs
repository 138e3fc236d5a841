//! `getwork`, which Core had until 0.10 and miners fall back to: a header to hash, without a word of what is in it.
//!
//! `data` is the header as SHA-256 pads it (128 bytes), each word of 4 bytes turned round; `target` is the number in
//! little-endian bytes. What a miner gives back is matched with the block that was handed out by its Merkle root.

use std::collections::VecDeque;
use std::sync::Arc;

use serde::Serialize;
use tine_chain::block::{Block, Header};
use tine_chain::codec::Decode;
use tine_chain::hash::MerkleRoot;
use tine_node::event::{Accepted, Submission};

use super::error::RpcError;
use super::registry::{Call, Category, Handler, Kind, Method, Outcome, answer, optional};
use super::template;
use super::tine::mining_lock;

/// Blocks handed out that are remembered; a miner that needs longer asks again.
const MAX_OUTSTANDING: usize = 256;
/// A header, padded.
const DATA_SIZE: usize = 128;

pub(crate) const METHODS: &[Method] = &[Method {
    name: "getwork",
    category: Category::Mining,
    params: &[optional(
        "data",
        Kind::Hex,
        "A header that was found, 256 digits, as getwork gave it but for the nonce.",
    )],
    help: "Without data: a header to hash (data, words of 4 bytes turned round) and what it must be below (target, \
           little-endian). With data: whether that block is the new tip.",
    handler: Handler::Now(get_work),
}];

/// Blocks that were handed out, the oldest first.
#[derive(Debug, Default)]
pub(crate) struct Outstanding(VecDeque<Block>);

impl Outstanding {
    fn add(&mut self, block: Block) {
        if self.0.len() == MAX_OUTSTANDING {
            self.0.pop_front();
        }
        self.0.push_back(block);
    }

    fn find(&self, root: &MerkleRoot) -> Option<Block> {
        self.0.iter().find(|block| block.header.merkle_root == *root).cloned()
    }
}

/// Turns each word of 4 bytes round.
fn turned(mut bytes: [u8; DATA_SIZE]) -> [u8; DATA_SIZE] {
    bytes.chunks_exact_mut(4).for_each(<[u8]>::reverse);
    bytes
}

/// A header with SHA-256's padding: a bit, zeros, and the length in bits (640).
fn padded(header: &Header) -> [u8; DATA_SIZE] {
    let mut bytes = [0; DATA_SIZE];
    bytes[..Header::SIZE].copy_from_slice(&header.to_array());
    bytes[Header::SIZE] = 0x80;
    bytes[DATA_SIZE - 8..].copy_from_slice(&(8 * Header::SIZE as u64).to_be_bytes());
    bytes
}

fn get_work(call: &Call) -> Outcome {
    match call.params.optional::<String>(0)? {
        None => hand_out(call),
        Some(data) => answer(&submit(call, &data)?),
    }
}

fn hand_out(call: &Call) -> Outcome {
    #[derive(Serialize)]
    struct Work {
        data: String,
        target: String,
    }
    let template = template::make(&call.context, mining_lock(call)?)?;
    let data = hex::encode(turned(padded(&template.block.header)));
    let target = hex::encode(template.target.0.to_le_bytes::<32>());
    call.context.outstanding().add(template.block);
    answer(&Work { data, target })
}

/// Whether the header made a block of ours the new tip.
fn submit(call: &Call, data: &str) -> Result<bool, RpcError> {
    let mut bytes = [0; DATA_SIZE];
    hex::decode_to_slice(data, &mut bytes)
        .map_err(|_| RpcError::invalid(format!("data must be {} hexadecimal digits", 2 * DATA_SIZE)))?;
    let header = Header::from_bytes(&turned(bytes)[..Header::SIZE])
        .map_err(|error| RpcError::invalid(format!("data is no header: {error}")))?;
    let Some(mut block) = call.context.outstanding().find(&header.merkle_root) else { return Ok(false) };
    // a miner may turn nonce and time; the rest is as it was handed out or judged like any other block
    block.header = header;
    let verdict = call.context.node.submit_blocking(Submission::Block(Arc::new(block)))?;
    Ok(matches!(verdict, Ok(Accepted::Connected(_))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_padding_is_sha256s_own() {
        let header = tine_chain::params::Params::of(tine_chain::params::Network::Regtest).genesis;
        let words = turned(padded(&header));
        // minerd: data[20] = 0x80000000, data[31] = 0x00000280, both read as little-endian words
        assert_eq!(words[80..84], [0, 0, 0, 0x80]);
        assert_eq!(words[124..128], [0x80, 2, 0, 0]);
        assert_eq!(turned(words)[..80], header.to_array());
    }
}
