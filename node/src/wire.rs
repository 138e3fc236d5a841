//! What nodes say to each other, and its encoding. `chain/SPEC.md` lists the layouts.
//!
//! A message is one tag byte, then its fields; a list is a CompactSize count, then its values; nothing may follow.
//! Integers are little-endian, hashes 32 bytes in hash order, headers 80 bytes.
//!
//! | tag | request                                              | response to it                        |
//! |-----|------------------------------------------------------|---------------------------------------|
//! | 00  | `Headers`: ≤ 101 block hashes                        | ≤ 2,000 headers                       |
//! | 01  | `Blocks`: ≤ 128 block hashes                         | ≤ 128 blocks                          |
//! | 02  | `BlockTransactions`: block hash, ≤ 43,956 places u32, strictly increasing | block hash, ≤ 43,956 transactions |
//! | 03  | `Transactions`: ≤ 1,000 wtxids                       | ≤ 1,000 transactions                  |
//! | 04  | `Mempool`: nothing                                   | ≤ 50,000 wtxids                       |
//!
//! | tag | gossip                                                                                        |
//! |-----|-----------------------------------------------------------------------------------------------|
//! | 00  | `Block`: header 80 ‖ nonce u64 ‖ coinbase ‖ ≤ 43,956 short ids, 6 bytes each                   |
//! | 01  | `Transaction`: the transaction                                                                |
//!
//! A short id is the low 6 bytes of SipHash-2-4 of the wtxid, under the first two little-endian u64 of
//! SHA-256(header ‖ nonce u64) (BIP 152, version 2). A request is at most 262,144 bytes, a response 4,001,024,
//! a gossiped message 524,288; a list is bounded before it allocates.

use std::sync::Arc;

use siphasher::sip::SipHasher24;
use tine_chain::block::{Block, HashedHeader, Header, MAX_BLOCK_SIZE, MIN_TRANSACTION_SIZE};
use tine_chain::codec::{Decode, DecodeError, Encode, Reader, write_compact_size, write_list};
use tine_chain::hash::{BlockHash, Wtxid, sha256};
use tine_chain::transaction::Transaction;

/// The most headers in one answer (Core: `MAX_HEADERS_RESULTS`).
pub const MAX_HEADERS: usize = 2_000;
/// The most hashes in a locator (Core: `MAX_LOCATOR_SZ`).
pub const MAX_LOCATOR: usize = 101;
/// The most blocks asked for at once; an answer may hold fewer, as many as fit its size.
pub const MAX_BLOCKS: usize = 128;
/// The most transactions asked for at once.
pub const MAX_TRANSACTIONS: usize = 1_000;
/// The most transaction ids in an answer to [`Request::Mempool`].
pub const MAX_MEMPOOL_IDS: usize = 50_000;
/// The largest request, in bytes of its encoding.
pub const MAX_REQUEST_SIZE: usize = 256 * 1024;
/// The largest response, in bytes of its encoding: one block of full size and its framing.
pub const MAX_RESPONSE_SIZE: usize = 4_000_000 + 1024;
/// Bytes of blocks after which an answer to [`Request::Blocks`] adds no further block.
pub const BLOCKS_RESPONSE_TARGET: usize = 1_000_000;
/// The largest gossiped message, in bytes of its encoding: a compact block of 40,000 short ids, or a transaction.
pub const MAX_GOSSIP_SIZE: usize = 512 * 1024;

/// What one node asks another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// The headers after the first hash of the locator that is on the answerer's active chain
    /// (Bitcoin: `getheaders`).
    Headers {
        /// Hashes of the asker's chain, from its tip back, ever further apart.
        locator: Vec<BlockHash>,
    },
    /// Blocks by id (Bitcoin: `getdata`).
    Blocks(Vec<BlockHash>),
    /// The transactions of a block at these places, strictly increasing (BIP 152: `getblocktxn`).
    BlockTransactions(BlockHash, Vec<u32>),
    /// Transactions of the mempool by id.
    Transactions(Vec<Wtxid>),
    /// The ids of all transactions of the mempool (BIP 35).
    Mempool,
}

/// What it is answered, each to the request of the same name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Response {
    /// At most [`MAX_HEADERS`], each the parent of the next.
    Headers(Vec<Header>),
    /// The first of the blocks asked for, in order; a block that is not there ends the list.
    Blocks(Vec<Arc<Block>>),
    /// The transactions asked for, in order; none if the block is not there.
    BlockTransactions(BlockHash, Vec<Arc<Transaction>>),
    /// Those of the transactions asked for that are there.
    Transactions(Vec<Arc<Transaction>>),
    /// The ids of the mempool.
    Mempool(Vec<Wtxid>),
}

/// What is told to all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Gossip {
    /// A new block, in brief.
    Block(Arc<CompactBlock>),
    /// A transaction.
    Transaction(Arc<Transaction>),
}

/// A block whose transactions the receiver most likely has (BIP 152, version 2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompactBlock {
    /// The header.
    pub header: HashedHeader,
    /// Mixed into the short ids, so that no one can make two transactions collide for everybody.
    pub nonce: u64,
    /// The coinbase, which nobody has.
    pub coinbase: Arc<Transaction>,
    /// SipHash-2-4 of the other transactions' wtxids, 6 bytes each, in block order.
    pub short_ids: Vec<ShortId>,
}

/// The most transactions that a block can hold besides its coinbase: so many short ids, and places, may be named.
pub const MAX_BLOCK_TRANSACTIONS: usize = MAX_BLOCK_SIZE / MIN_TRANSACTION_SIZE;

/// A short id: the low six bytes of a SipHash.
pub type ShortId = [u8; 6];

/// The key under which one compact block's short ids are made.
///
/// "A SHA-256 hash of the block header with the nonce appended in little-endian; the first two little-endian
/// 64-bit integers are k0 and k1" (BIP 152).
#[derive(Debug, Clone, Copy)]
pub struct ShortIdKey {
    k0: u64,
    k1: u64,
}

impl ShortIdKey {
    /// The key for `header` and `nonce`.
    #[must_use]
    pub fn new(header: &Header, nonce: u64) -> Self {
        let mut bytes = [0; Header::SIZE + 8];
        bytes[..Header::SIZE].copy_from_slice(&header.to_array());
        bytes[Header::SIZE..].copy_from_slice(&nonce.to_le_bytes());
        let digest = sha256(&bytes);
        let word =
            |at: usize| u64::from_le_bytes(digest[at..at + 8].try_into().expect("eight bytes of thirty-two"));
        Self { k0: word(0), k1: word(8) }
    }

    /// "Running SipHash-2-4 with the input being the transaction id; dropping the 2 most significant bytes" (BIP 152).
    #[must_use]
    pub fn short_id(&self, wtxid: &Wtxid) -> ShortId {
        let hash = SipHasher24::new_with_keys(self.k0, self.k1).hash(&wtxid.0).to_le_bytes();
        hash[..6].try_into().expect("six bytes of eight")
    }
}

impl CompactBlock {
    /// `block` in brief; `None` for a block without transactions, which has no brief form.
    #[must_use]
    pub fn new(block: &Block, nonce: u64) -> Option<Self> {
        let (coinbase, rest) = block.transactions.split_first()?;
        let key = ShortIdKey::new(&block.header, nonce);
        Some(Self {
            header: block.header.into(),
            nonce,
            coinbase: coinbase.clone(),
            short_ids: rest.iter().map(|transaction| key.short_id(&transaction.wtxid())).collect(),
        })
    }

    /// The key of this block's short ids.
    #[must_use]
    pub fn key(&self) -> ShortIdKey {
        ShortIdKey::new(&self.header, self.nonce)
    }
}

impl Encode for CompactBlock {
    fn encode(&self, out: &mut Vec<u8>) {
        self.header.encode(out);
        out.extend_from_slice(&self.nonce.to_le_bytes());
        self.coinbase.encode(out);
        write_compact_size(self.short_ids.len() as u64, out);
        for id in &self.short_ids {
            out.extend_from_slice(id);
        }
    }
}

impl Decode for CompactBlock {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let header = Header::decode(reader)?.into();
        let nonce = reader.u64()?;
        let coinbase = Arc::decode(reader)?;
        let count = reader.count("short ids", MAX_BLOCK_TRANSACTIONS as u64, 6)?;
        let mut short_ids = Vec::with_capacity(count);
        for _ in 0..count {
            short_ids.push(reader.array()?);
        }
        Ok(Self { header, nonce, coinbase, short_ids })
    }
}

/// The tag bytes of [`Request`] and of the [`Response`] to it.
mod tag {
    pub(super) const HEADERS: u8 = 0;
    pub(super) const BLOCKS: u8 = 1;
    pub(super) const BLOCK_TRANSACTIONS: u8 = 2;
    pub(super) const TRANSACTIONS: u8 = 3;
    pub(super) const MEMPOOL: u8 = 4;
    /// Of [`super::Gossip`].
    pub(super) const GOSSIP_BLOCK: u8 = 0;
    /// Of [`super::Gossip`].
    pub(super) const GOSSIP_TRANSACTION: u8 = 1;
}

impl Request {
    /// Whether `response` is of the kind that answers this.
    #[must_use]
    pub fn is_answered_by(&self, response: &Response) -> bool {
        matches!(
            (self, response),
            (Self::Headers { .. }, Response::Headers(_))
                | (Self::Blocks(_), Response::Blocks(_))
                | (Self::BlockTransactions(..), Response::BlockTransactions(..))
                | (Self::Transactions(_), Response::Transactions(_))
                | (Self::Mempool, Response::Mempool(_))
        )
    }
}

impl Encode for Request {
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Headers { locator } => {
                out.push(tag::HEADERS);
                write_list(locator, out);
            }
            Self::Blocks(hashes) => {
                out.push(tag::BLOCKS);
                write_list(hashes, out);
            }
            Self::BlockTransactions(hash, places) => {
                out.push(tag::BLOCK_TRANSACTIONS);
                hash.encode(out);
                write_compact_size(places.len() as u64, out);
                for place in places {
                    out.extend_from_slice(&place.to_le_bytes());
                }
            }
            Self::Transactions(ids) => {
                out.push(tag::TRANSACTIONS);
                write_list(ids, out);
            }
            Self::Mempool => out.push(tag::MEMPOOL),
        }
    }
}

impl Decode for Request {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        within(reader, "request bytes", MAX_REQUEST_SIZE)?;
        match reader.u8()? {
            tag::HEADERS => {
                Ok(Self::Headers { locator: reader.list("locator hashes", MAX_LOCATOR as u64, 32)? })
            }
            tag::BLOCKS => Ok(Self::Blocks(reader.list("block hashes", MAX_BLOCKS as u64, 32)?)),
            tag::BLOCK_TRANSACTIONS => {
                let hash = BlockHash::decode(reader)?;
                let count = reader.count("places", MAX_BLOCK_TRANSACTIONS as u64, 4)?;
                let mut places: Vec<u32> = Vec::with_capacity(count);
                for _ in 0..count {
                    let place = reader.u32()?;
                    if places.last().is_some_and(|last| *last >= place) {
                        return Err(DecodeError::Malformed("places must be strictly increasing"));
                    }
                    places.push(place);
                }
                Ok(Self::BlockTransactions(hash, places))
            }
            tag::TRANSACTIONS => {
                Ok(Self::Transactions(reader.list("transaction ids", MAX_TRANSACTIONS as u64, 32)?))
            }
            tag::MEMPOOL => Ok(Self::Mempool),
            tag => Err(DecodeError::UnknownTag { what: "request", tag }),
        }
    }
}

impl Encode for Response {
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Headers(headers) => {
                out.push(tag::HEADERS);
                write_list(headers, out);
            }
            Self::Blocks(blocks) => {
                out.push(tag::BLOCKS);
                write_list(blocks, out);
            }
            Self::BlockTransactions(hash, transactions) => {
                out.push(tag::BLOCK_TRANSACTIONS);
                hash.encode(out);
                write_list(transactions, out);
            }
            Self::Transactions(transactions) => {
                out.push(tag::TRANSACTIONS);
                write_list(transactions, out);
            }
            Self::Mempool(ids) => {
                out.push(tag::MEMPOOL);
                write_list(ids, out);
            }
        }
    }
}

impl Decode for Response {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        within(reader, "response bytes", MAX_RESPONSE_SIZE)?;
        match reader.u8()? {
            tag::HEADERS => Ok(Self::Headers(reader.list("headers", MAX_HEADERS as u64, Header::SIZE)?)),
            tag::BLOCKS => Ok(Self::Blocks(reader.list("blocks", MAX_BLOCKS as u64, Header::SIZE + 1)?)),
            tag::BLOCK_TRANSACTIONS => Ok(Self::BlockTransactions(
                BlockHash::decode(reader)?,
                reader.list("transactions", MAX_BLOCK_TRANSACTIONS as u64, DECODABLE_TRANSACTION_SIZE)?,
            )),
            tag::TRANSACTIONS => Ok(Self::Transactions(reader.list(
                "transactions",
                MAX_TRANSACTIONS as u64,
                DECODABLE_TRANSACTION_SIZE,
            )?)),
            tag::MEMPOOL => Ok(Self::Mempool(reader.list("transaction ids", MAX_MEMPOOL_IDS as u64, 32)?)),
            tag => Err(DecodeError::UnknownTag { what: "response", tag }),
        }
    }
}

impl Encode for Gossip {
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Block(block) => {
                out.push(tag::GOSSIP_BLOCK);
                block.encode(out);
            }
            Self::Transaction(transaction) => {
                out.push(tag::GOSSIP_TRANSACTION);
                transaction.encode(out);
            }
        }
    }
}

impl Decode for Gossip {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        within(reader, "gossip bytes", MAX_GOSSIP_SIZE)?;
        match reader.u8()? {
            tag::GOSSIP_BLOCK => Ok(Self::Block(Arc::decode(reader)?)),
            tag::GOSSIP_TRANSACTION => Ok(Self::Transaction(Arc::decode(reader)?)),
            tag => Err(DecodeError::UnknownTag { what: "gossip", tag }),
        }
    }
}

/// A transaction without inputs and outputs: version, two counts, lock_time. The rules refuse it by name.
const DECODABLE_TRANSACTION_SIZE: usize = 10;

/// A message longer than its kind may be is refused before any of it is read.
fn within(reader: &Reader<'_>, what: &'static str, limit: usize) -> Result<(), DecodeError> {
    match reader.remaining() > limit {
        true => Err(DecodeError::TooLarge { what, value: reader.remaining() as u64, limit: limit as u64 }),
        false => Ok(()),
    }
}
