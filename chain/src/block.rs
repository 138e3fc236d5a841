//! Headers and blocks.

use std::sync::Arc;

use crate::codec::{Decode, DecodeError, Encode, MAX_SIZE, Reader, compact_size_len, write_list};
use crate::hash::{BlockHash, MerkleRoot, sha256d};
use crate::pow::CompactTarget;
use crate::transaction::Transaction;

/// The largest block, in bytes of its whole encoding: 4,000,000.
pub const MAX_BLOCK_SIZE: usize = MAX_SIZE as usize;

/// The smallest transaction: version 4, counts 1 + 1, one input 40, one output 40, lock_time 4, an empty witness 1.
pub const MIN_TRANSACTION_SIZE: usize = 91;

/// Bitcoin's block header, 80 bytes to the letter.
///
/// Layout: version i32 ‖ previous block 32 ‖ Merkle root 32 ‖ time u32 ‖ bits u32 ‖ nonce u32, little-endian.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Header {
    /// Rules the miner signals (BIP 9); ours asks for at least 1.
    pub version: i32,
    /// The block this one builds on.
    pub prev_block: BlockHash,
    /// Commits to every transaction, witnesses included.
    pub merkle_root: MerkleRoot,
    /// Seconds since 1970-01-01 UTC.
    pub time: u32,
    /// The target that the hash must not be over, in compact form.
    pub bits: CompactTarget,
    /// What miners vary.
    pub nonce: u32,
}

impl Header {
    /// Encoded length, in bytes.
    pub const SIZE: usize = 80;

    /// The encoding, without a heap allocation.
    #[must_use]
    pub fn to_array(&self) -> [u8; Self::SIZE] {
        let mut bytes = [0; Self::SIZE];
        bytes[0..4].copy_from_slice(&self.version.to_le_bytes());
        bytes[4..36].copy_from_slice(&self.prev_block.0);
        bytes[36..68].copy_from_slice(&self.merkle_root.0);
        bytes[68..72].copy_from_slice(&self.time.to_le_bytes());
        bytes[72..76].copy_from_slice(&self.bits.0.to_le_bytes());
        bytes[76..80].copy_from_slice(&self.nonce.to_le_bytes());
        bytes
    }

    /// The block's id: SHA-256d of the 80 bytes.
    #[must_use]
    pub fn hash(&self) -> BlockHash {
        BlockHash(sha256d(&self.to_array()))
    }
}

impl Encode for Header {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.to_array());
    }
}

impl Decode for Header {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            version: i32::from_le_bytes(reader.array()?),
            prev_block: BlockHash::decode(reader)?,
            merkle_root: MerkleRoot::decode(reader)?,
            time: reader.u32()?,
            bits: CompactTarget(reader.u32()?),
            nonce: reader.u32()?,
        })
    }
}

/// A header with its id, worked out once and carried along.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HashedHeader {
    header: Header,
    hash: BlockHash,
}

impl HashedHeader {
    /// The block's id.
    #[must_use]
    pub fn hash(&self) -> BlockHash {
        self.hash
    }

    /// The header alone.
    #[must_use]
    pub fn header(&self) -> Header {
        self.header
    }
}

impl From<Header> for HashedHeader {
    fn from(header: Header) -> Self {
        Self { header, hash: header.hash() }
    }
}

impl std::ops::Deref for HashedHeader {
    type Target = Header;

    fn deref(&self) -> &Header {
        &self.header
    }
}

/// A block: header ‖ CompactSize count ‖ transactions, the coinbase first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// The 80 bytes that were mined.
    pub header: Header,
    /// Shared with the mempool that they may have come from.
    pub transactions: Vec<Arc<Transaction>>,
}

impl Block {
    /// The block's id.
    #[must_use]
    pub fn hash(&self) -> BlockHash {
        self.header.hash()
    }

    /// Encoded length, in bytes.
    #[must_use]
    pub fn size(&self) -> usize {
        Header::SIZE
            + compact_size_len(self.transactions.len() as u64)
            + self.transactions.iter().map(|transaction| transaction.size()).sum::<usize>()
    }
}

impl Encode for Block {
    fn encode(&self, out: &mut Vec<u8>) {
        out.reserve(self.size());
        self.header.encode(out);
        write_list(&self.transactions, out);
    }
}

impl Decode for Block {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            header: Header::decode(reader)?,
            // a transaction without inputs and outputs is 10 bytes; the rules refuse it by name
            transactions: reader.list("transactions", MAX_SIZE / 10, 10)?,
        })
    }
}
