//! The search for nonces: the innermost loop of mining.

use std::ops::RangeInclusive;

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
        let (mut start, last) = nonces.into_inner();
        while let Some(nonce) = self.first_candidate(target, start..=last) {
            if target.is_met_by(&self.hash(nonce)) {
                return Some(nonce);
            }
            start = nonce.checked_add(1)?;
        }
        None
    }

    /// The first nonce under which the hash's most significant 32 bits are low enough: very few others get this far.
    fn first_candidate(&self, target: Target, nonces: RangeInclusive<u32>) -> Option<u32> {
        let limit = (target.0 >> 224_usize).to::<u32>();
        // the hash is read as little-endian, so its last word is the most significant
        let is_low = |digest: &[u32; 8]| digest[7].swap_bytes() <= limit;
        let mut lanes = Lanes::<LANES>::new(self);
        let (mut start, last) = nonces.into_inner();
        while start <= last {
            lanes.hash(self, start);
            if let Some(lane) = lanes.digests.iter().position(is_low) {
                // a lane beyond the last nonce does not count
                return start.checked_add(lane as u32).filter(|nonce| *nonce <= last);
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use ruint::aliases::U256;

    use super::*;
    use crate::hash::MerkleRoot;
    use crate::pow::CompactTarget;

    fn header(seed: [u8; 32], time: u32, bits: u32) -> Header {
        Header {
            version: 1,
            prev_block: BlockHash(seed),
            merkle_root: MerkleRoot(crate::hash::sha256(&seed)),
            time,
            bits: CompactTarget(bits),
            nonce: 0,
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn a_search_finds_the_first_nonce_that_hashing_the_header_finds(
            seed: [u8; 32],
            time: u32,
            bits: u32,
            start in prop_oneof![any::<u32>(), u32::MAX - 40..=u32::MAX, 0u32..40],
            length in 0u32..200,
            // one hash in 2 to one in 1,024
            shift in 1usize..=10,
            low_bits: u64,
        ) {
            let header = header(seed, time, bits);
            let nonces = start..=start.saturating_add(length);
            let target = Target((U256::MAX >> shift) - U256::from(low_bits));
            let plain = nonces.clone().find(|&nonce| target.is_met_by(&Header { nonce, ..header }.hash()));
            let scanner = Scanner::new(&header);
            prop_assert_eq!(scanner.scan(target, nonces.clone()), plain);
            for nonce in [start, u32::MAX] {
                prop_assert_eq!(scanner.hash(nonce), Header { nonce, ..header }.hash());
            }
        }
    }

    #[test]
    fn a_target_that_shares_its_top_word_with_hashes_is_compared_in_full() {
        let header = header([7; 32], 1_700_000_000, 0x207f_ffff);
        let scanner = Scanner::new(&header);
        // the target is the hash of one nonce less one: that nonce is a candidate and must be refused
        let hash = U256::from_le_bytes(scanner.hash(5).0);
        assert_eq!(scanner.scan(Target(hash), 5..=5), Some(5));
        assert_eq!(scanner.scan(Target(hash - U256::from(1)), 5..=5), None);
    }
}
