//! Bytes: SPEC §1, §3 and §4.

use sha2::{Digest, Sha256};

pub(super) type Hash = [u8; 32];

/// txid 32 ‖ index u32: SPEC §3.
pub type OutPoint = [u8; 36];

/// What a coinbase spends: a txid of zeros, the index ffffffff.
pub(super) const NULL: OutPoint = {
    let mut bytes = [0; 36];
    [bytes[32], bytes[33], bytes[34], bytes[35]] = [0xff; 4];
    bytes
};

const MAX_COUNT: u64 = 4_000_000;
const MAX_WITNESS: u64 = 4_096;

pub(super) fn sha256(bytes: &[u8]) -> Hash {
    Sha256::digest(bytes).into()
}

/// SHA-256 of SHA-256.
#[must_use]
pub fn sha256d(bytes: &[u8]) -> [u8; 32] {
    sha256(&sha256(bytes))
}

/// T(tag, x) of SPEC §1.
pub(super) fn tagged_hash(tag: &str, message: &[u8]) -> Hash {
    let tag = sha256(tag.as_bytes());
    sha256(&[&tag, &tag, message].concat())
}

#[derive(Debug, Clone)]
pub(super) struct Header {
    pub(super) version: i32,
    pub(super) parent: Hash,
    pub(super) root: Hash,
    pub(super) time: u32,
    pub(super) bits: u32,
    pub(super) hash: Hash,
}

impl Header {
    pub(super) fn parse(bytes: &[u8; 80]) -> Self {
        let field = |at: usize| bytes[at..at + 4].try_into().expect("four bytes");
        let hash_at = |at: usize| bytes[at..at + 32].try_into().expect("thirty-two bytes");
        Self {
            version: i32::from_le_bytes(field(0)),
            parent: hash_at(4),
            root: hash_at(36),
            time: u32::from_le_bytes(field(68)),
            bits: u32::from_le_bytes(field(72)),
            hash: sha256d(bytes),
        }
    }
}

#[derive(Debug, Clone)]
pub(super) struct Transaction {
    pub(super) version: u32,
    /// Outpoint and sequence of each.
    pub(super) inputs: Vec<(OutPoint, u32)>,
    /// Value and lock of each.
    pub(super) outputs: Vec<(u64, Hash)>,
    pub(super) lock_time: u32,
    pub(super) witnesses: Vec<Vec<u8>>,
    pub(super) txid: Hash,
    pub(super) wtxid: Hash,
    pub(super) size: usize,
}

impl Transaction {
    pub(super) fn is_coinbase(&self) -> bool {
        self.inputs.len() == 1 && self.inputs[0].0 == NULL
    }

    pub(super) fn outpoint(&self, index: usize) -> OutPoint {
        let mut outpoint = [0; 36];
        outpoint[..32].copy_from_slice(&self.txid);
        outpoint[32..].copy_from_slice(&u32::try_from(index).expect("fewer outputs").to_le_bytes());
        outpoint
    }
}

/// What is left to read.
pub(super) struct Bytes<'a>(pub(super) &'a [u8]);

impl<'a> Bytes<'a> {
    pub(super) fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    pub(super) fn u8(&mut self) -> Option<u8> {
        Some(self.array::<1>()?[0])
    }

    pub(super) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    /// A CompactSize: only the shortest form is valid.
    fn compact_size(&mut self) -> Option<u64> {
        match self.u8()? {
            0xfd => Some(u64::from(self.u16()?)).filter(|&value| value >= 0xfd),
            0xfe => Some(u64::from(self.u32()?)).filter(|&value| value > 0xffff),
            0xff => Some(self.u64()?).filter(|&value| value > 0xffff_ffff),
            small => Some(u64::from(small)),
        }
    }

    /// A count of at most `limit`.
    pub(super) fn count(&mut self, limit: u64) -> Option<u64> {
        self.compact_size().filter(|&count| count <= limit.min(MAX_COUNT))
    }
}

fn transaction(bytes: &mut Bytes<'_>) -> Option<Transaction> {
    let whole = bytes.0;
    let version = bytes.u32()?;
    let inputs = (0..bytes.count(MAX_COUNT)?)
        .map(|_| Some((bytes.array()?, bytes.u32()?)))
        .collect::<Option<Vec<(OutPoint, u32)>>>()?;
    let outputs = (0..bytes.count(MAX_COUNT)?)
        .map(|_| Some((bytes.u64()?, bytes.array()?)))
        .collect::<Option<Vec<(u64, Hash)>>>()?;
    let lock_time = bytes.u32()?;
    let without_witnesses = &whole[..whole.len() - bytes.0.len()];
    let witnesses = (0..inputs.len())
        .map(|_| {
            let length = bytes.count(MAX_WITNESS)?;
            Some(bytes.take(usize::try_from(length).ok()?)?.to_vec())
        })
        .collect::<Option<Vec<_>>>()?;
    let size = whole.len() - bytes.0.len();
    let wtxid = sha256d(&whole[..size]);
    let mut transaction =
        Transaction { version, inputs, outputs, lock_time, witnesses, txid: wtxid, wtxid, size };
    if !transaction.is_coinbase() {
        transaction.txid = sha256d(without_witnesses);
    }
    Some(transaction)
}

/// One transaction and nothing after it.
pub(super) fn parse_transaction(bytes: &[u8]) -> Option<Transaction> {
    let mut bytes = Bytes(bytes);
    transaction(&mut bytes).filter(|_| bytes.0.is_empty())
}

/// One block and nothing after it.
pub(super) fn parse_block(bytes: &[u8]) -> Option<(Header, Vec<Transaction>)> {
    let mut bytes = Bytes(bytes);
    let header = Header::parse(&bytes.array()?);
    let body = (0..bytes.count(MAX_COUNT)?).map(|_| transaction(&mut bytes)).collect::<Option<Vec<_>>>()?;
    bytes.0.is_empty().then_some((header, body))
}

/// The root over `leaves`, and whether a shorter list has the same one: SPEC §4.
pub(super) fn merkle(leaves: &[Hash]) -> (Hash, bool) {
    let mut level = leaves.to_vec();
    let mut mutated = false;
    while level.len() > 1 {
        mutated |= level.chunks(2).any(|pair| pair.len() == 2 && pair[0] == pair[1]);
        level = level.chunks(2).map(|pair| sha256d(&[pair[0], pair[pair.len() - 1]].concat())).collect();
    }
    (level[0], mutated)
}
