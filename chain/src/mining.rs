//! The search for nonces: the innermost loop of mining.

use std::ops::RangeInclusive;

use ruint::aliases::U256;
use sha2::block_api::compress256;

use crate::block::Header;
use crate::hash::BlockHash;
use crate::pow::Target;

/// SHA-256's initial state (FIPS 180-4, 5.3.3).
const INITIAL_STATE: [u32; 8] =
    [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19];

/// A header whose first 64 bytes are hashed already.
///
/// SHA-256 works in blocks of 64 bytes. The first holds version, parent and most of the Merkle root, so its state (the
/// midstate) serves for every nonce: two compressions a hash remain of three.
#[derive(Debug, Clone)]
pub struct Scanner {
    midstate: [u32; 8],
    /// The last 16 bytes of the header and SHA-256's padding for 80 bytes; the nonce is at 12..16.
    second_block: [u8; 64],
}

impl Scanner {
    /// Prepares the search for `header`; its own nonce is of no importance.
    #[must_use]
    pub fn new(header: &Header) -> Self {
        let bytes = header.to_array();
        let (first, rest) = bytes.split_first_chunk::<64>().expect("a header has 80 bytes");
        let mut midstate = INITIAL_STATE;
        compress256(&mut midstate, &[*first]);
        Self { midstate, second_block: padded(rest, 80) }
    }

    /// The block's id if it had `nonce`.
    #[must_use]
    pub fn hash(&self, nonce: u32) -> BlockHash {
        let mut lanes = Lanes::<1>::new(self);
        lanes.hash(self, nonce);
        BlockHash(digest_bytes(&lanes.digests[0]))
    }

    /// The first nonce of `nonces` under which the hash is at most `target`.
    #[must_use]
    pub fn scan(&self, target: Target, nonces: RangeInclusive<u32>) -> Option<u32> {
        // the hash is read as little-endian, so its last word is the most significant: most nonces fail there
        let limit = (target.0 >> 224_usize).to::<u32>();
        let is_met = |digest: &[u32; 8]| {
            digest[7].swap_bytes() <= limit && U256::from_le_bytes(digest_bytes(digest)) <= target.0
        };
        let mut lanes = Lanes::<LANES>::new(self);
        let (mut start, last) = nonces.into_inner();
        while start <= last {
            lanes.hash(self, start);
            let found = lanes.digests.iter().position(is_met).map(|lane| start.checked_add(lane as u32));
            if let Some(nonce) = found {
                // a lane beyond the last nonce does not count
                return nonce.filter(|nonce| *nonce <= last);
            }
            start = start.checked_add(LANES as u32)?;
        }
        None
    }
}

/// Nonces that are hashed side by side.
///
/// Each hash is two compressions, the second of which waits for the first. The processor works ahead on the next lane
/// meanwhile, which it could not do if every compression waited for the one before.
const LANES: usize = 8;

/// Scratch space for `N` nonces.
struct Lanes<const N: usize> {
    second_blocks: [[u8; 64]; N],
    outer_blocks: [[u8; 64]; N],
    digests: [[u32; 8]; N],
}

impl<const N: usize> Lanes<N> {
    fn new(scanner: &Scanner) -> Self {
        Self {
            second_blocks: [scanner.second_block; N],
            outer_blocks: [padded(&[], 32); N],
            digests: [[0; 8]; N],
        }
    }

    /// Hashes the nonces `start`, `start + 1`, … (SHA-256d), as SHA-256's eight big-endian words each.
    fn hash(&mut self, scanner: &Scanner, start: u32) {
        for (lane, block) in self.second_blocks.iter_mut().enumerate() {
            block[12..16].copy_from_slice(&start.wrapping_add(lane as u32).to_le_bytes());
        }
        for (block, digest) in self.second_blocks.iter().zip(&mut self.digests) {
            *digest = scanner.midstate;
            compress256(digest, std::slice::from_ref(block));
        }
        for (block, digest) in self.outer_blocks.iter_mut().zip(&self.digests) {
            block[..32].copy_from_slice(&digest_bytes(digest));
        }
        for (block, digest) in self.outer_blocks.iter().zip(&mut self.digests) {
            *digest = INITIAL_STATE;
            compress256(digest, std::slice::from_ref(block));
        }
    }
}

/// The last block of a message of `length` bytes that ends with `rest`: a one bit, zeros, the length in bits
/// (FIPS 180-4, 5.1.1). With nothing of the message: room for 32 bytes at its start.
fn padded(rest: &[u8], length: u64) -> [u8; 64] {
    let mut block = [0; 64];
    block[..rest.len()].copy_from_slice(rest);
    block[(length % 64) as usize] = 0x80;
    block[56..].copy_from_slice(&(length * 8).to_be_bytes());
    block
}

#[inline]
fn digest_bytes(words: &[u32; 8]) -> [u8; 32] {
    let mut bytes = [0; 32];
    for (bytes, word) in bytes.chunks_exact_mut(4).zip(words) {
        bytes.copy_from_slice(&word.to_be_bytes());
    }
    bytes
}
