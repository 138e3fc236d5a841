//! The mempool and the fee estimates as files, so that a restart loses neither.
//!
//! Layout of both: magic 4 ‖ version u32 ‖ contents ‖ checksum 32, integers little-endian. The checksum is the tagged
//! hash `tine/mempool-file` of all before it. A file that differs in a bit, of another kind or of another version is
//! refused as a whole: what it holds can be done without.
//!
//! `mempool.dat`: count u64 ‖ (transaction ‖ time in milliseconds u64 ‖ fee delta i64)* in the order of arrival ‖
//! count u64 ‖ (txid 32 ‖ fee delta i64)* for transactions that are not here.
//! `fee_estimates.dat`: first height u32 (2³² − 1: none) ‖ last height u32 ‖ count u64 ‖ (height u32 ‖ count u32 ‖
//! kept u32 ‖ (rate u64 ‖ waited u32 ‖ mined u8)*)*.

use std::sync::Arc;

use imbl::Vector;
use tine_chain::amount::MAX_MONEY;
use tine_chain::codec::{Decode, DecodeError, Encode, Reader};
use tine_chain::hash::{TaggedHash, Txid};
use tine_chain::time::Time;
use tine_chain::transaction::Transaction;

use super::estimate::{BlockSamples, MAX_OPEN, SAMPLES_PER_BLOCK, Sample};
use super::{Estimator, Mempool};

const MEMPOOL_MAGIC: [u8; 4] = *b"tmpl";
const ESTIMATES_MAGIC: [u8; 4] = *b"tfee";
/// Of both files.
const VERSION: u32 = 1;
/// The highest block that estimates may be about.
const MAX_HEIGHT: u32 = u32::MAX / 2;
/// The highest fee rate that a sample may have, in base units for 1,000 bytes: all the money for a byte.
const MAX_RATE: u64 = MAX_MONEY.0 * 1_000;
/// Bytes of the checksum at the end.
const CHECKSUM: usize = 32;

/// Why a file can't be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DumpError {
    /// It is another file, or too short to be one.
    #[error("it is no such file")]
    Kind,
    /// Another program wrote it.
    #[error("it is of version {0}, this program knows {VERSION}")]
    Version(u32),
    /// It is damaged.
    #[error("its checksum does not match")]
    Checksum,
    /// Its checksum is right and its contents are not.
    #[error("its contents can't be read: {0}")]
    Contents(DecodeError),
}

impl From<DecodeError> for DumpError {
    fn from(error: DecodeError) -> Self {
        Self::Contents(error)
    }
}

/// An entry as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Saved {
    /// The transaction.
    pub tx: Arc<Transaction>,
    /// When it came.
    pub time: Time,
    /// What an operator added to its fee, base units.
    pub delta: i64,
}

/// What `mempool.dat` holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Dump {
    /// In the order of arrival: parents before children.
    pub entries: Vec<Saved>,
    /// What an operator added to the fees of transactions that are not here, base units.
    pub deltas: Vec<(Txid, i64)>,
}

impl Dump {
    /// What is worth keeping of `mempool`; what waits to be judged again is part of that.
    #[must_use]
    pub fn of(mempool: &Mempool) -> Self {
        let saved = |tx: &Arc<Transaction>, time| Saved {
            tx: Arc::clone(tx),
            time,
            delta: mempool.delta(&tx.txid()),
        };
        let entries = mempool.entries().map(|entry| saved(&entry.tx, entry.time));
        let returning = mempool.returning.iter().filter_map(|returning| {
            let time = returning.entry_since?;
            Some(saved(&returning.tx, time))
        });
        let absent = |(txid, _): &(Txid, i64)| mempool.get(txid).is_none();
        Self {
            entries: entries.chain(returning).collect(),
            deltas: mempool.deltas().filter(absent).collect(),
        }
    }

    /// The bytes of the file.
    #[must_use]
    pub fn to_file(&self) -> Vec<u8> {
        let mut out = open(MEMPOOL_MAGIC);
        out.extend_from_slice(&(self.entries.len() as u64).to_le_bytes());
        for Saved { tx, time, delta } in &self.entries {
            tx.encode(&mut out);
            out.extend_from_slice(&time.0.to_le_bytes());
            out.extend_from_slice(&delta.to_le_bytes());
        }
        out.extend_from_slice(&(self.deltas.len() as u64).to_le_bytes());
        for (txid, delta) in &self.deltas {
            txid.encode(&mut out);
            out.extend_from_slice(&delta.to_le_bytes());
        }
        seal(out)
    }

    /// Reads what [`Dump::to_file`] wrote.
    ///
    /// # Errors
    /// Why the file can't be used.
    pub fn from_file(bytes: &[u8]) -> Result<Self, DumpError> {
        let mut reader = unseal(bytes, MEMPOOL_MAGIC)?;
        // no list is allocated by its count: each item must be there
        let mut dump = Self::default();
        for _ in 0..reader.u64()? {
            let tx = Arc::new(Transaction::decode(&mut reader)?);
            let (time, delta) = (Time(reader.u64()?), reader.u64()?.cast_signed());
            dump.entries.push(Saved { tx, time, delta });
        }
        for _ in 0..reader.u64()? {
            dump.deltas.push((Txid::decode(&mut reader)?, reader.u64()?.cast_signed()));
        }
        finish(&reader)?;
        Ok(dump)
    }
}

impl Estimator {
    /// The bytes of `fee_estimates.dat`.
    #[must_use]
    pub fn to_file(&self) -> Vec<u8> {
        let mut out = open(ESTIMATES_MAGIC);
        out.extend_from_slice(&self.first.unwrap_or(u32::MAX).to_le_bytes());
        out.extend_from_slice(&self.height.to_le_bytes());
        out.extend_from_slice(&(self.blocks.len() as u64).to_le_bytes());
        for block in &self.blocks {
            let kept = u32::try_from(block.samples.len()).expect("a hundred at most");
            for number in [block.height, block.count, kept] {
                out.extend_from_slice(&number.to_le_bytes());
            }
            for sample in &block.samples {
                out.extend_from_slice(&sample.rate.to_le_bytes());
                out.extend_from_slice(&sample.waited.to_le_bytes());
                out.push(u8::from(sample.mined));
            }
        }
        seal(out)
    }

    /// Reads what [`Estimator::to_file`] wrote.
    ///
    /// # Errors
    /// Why the file can't be used.
    pub fn from_file(bytes: &[u8]) -> Result<Self, DumpError> {
        let mut reader = unseal(bytes, ESTIMATES_MAGIC)?;
        let first = Some(reader.u32()?).filter(|first| *first != u32::MAX);
        let height = reader.u32()?;
        // no chain has so many blocks, and sums are made with heights
        if height > MAX_HEIGHT || first.is_some_and(|first| first > height) {
            return Err(DecodeError::Malformed("a height that no chain has").into());
        }
        let mut blocks: Vector<Arc<BlockSamples>> = Vector::new();
        for _ in 0..reader.u64()? {
            let block = read_block(&mut reader)?;
            let above = blocks.back().is_none_or(|last| last.height < block.height);
            if !above || block.height > height || block.samples.is_empty() {
                return Err(DecodeError::Malformed("blocks out of order, or without samples").into());
            }
            blocks.push_back(Arc::new(block));
        }
        finish(&reader)?;
        Ok(Self { first, height, blocks, ..Self::default() })
    }
}

fn read_block(reader: &mut Reader<'_>) -> Result<BlockSamples, DecodeError> {
    let (height, count, kept) = (reader.u32()?, reader.u32()?, reader.u32()?);
    if count as usize > MAX_OPEN || kept as usize > SAMPLES_PER_BLOCK || kept > count {
        return Err(DecodeError::Malformed("more samples than a block is judged by"));
    }
    let mut samples = Vec::new();
    for _ in 0..kept {
        let sample = Sample { rate: reader.u64()?, waited: reader.u32()?, mined: read_flag(reader)? };
        if sample.rate > MAX_RATE {
            return Err(DecodeError::Malformed("a fee rate over all the money there is"));
        }
        samples.push(sample);
    }
    Ok(BlockSamples { height, count, samples })
}

fn read_flag(reader: &mut Reader<'_>) -> Result<bool, DecodeError> {
    match reader.u8()? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(DecodeError::Malformed("a flag that is neither 0 nor 1")),
    }
}

fn open(magic: [u8; 4]) -> Vec<u8> {
    let mut out = magic.to_vec();
    out.extend_from_slice(&VERSION.to_le_bytes());
    out
}

fn checksum(bytes: &[u8]) -> [u8; CHECKSUM] {
    TaggedHash::new("tine/mempool-file").chain(bytes).finish()
}

fn seal(mut bytes: Vec<u8>) -> Vec<u8> {
    let sum = checksum(&bytes);
    bytes.extend_from_slice(&sum);
    bytes
}

fn unseal(bytes: &[u8], magic: [u8; 4]) -> Result<Reader<'_>, DumpError> {
    let (contents, sum) = bytes.split_last_chunk::<CHECKSUM>().ok_or(DumpError::Kind)?;
    let mut reader = Reader::new(contents);
    if reader.array() != Ok(magic) {
        return Err(DumpError::Kind);
    }
    let version = reader.u32().map_err(|_| DumpError::Kind)?;
    if version != VERSION {
        return Err(DumpError::Version(version));
    }
    if checksum(contents) != *sum {
        return Err(DumpError::Checksum);
    }
    Ok(reader)
}

fn finish(reader: &Reader<'_>) -> Result<(), DumpError> {
    match reader.remaining() {
        0 => Ok(()),
        count => Err(DecodeError::TrailingBytes { count }.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn estimates_come_back_from_their_file_and_a_flipped_bit_is_noticed() {
        let mut estimator = Estimator { first: Some(3), height: 9, ..Estimator::default() };
        let sample = Sample { rate: 4_000, waited: 2, mined: true };
        let block = BlockSamples { height: 7, count: 3, samples: vec![sample; 3] };
        estimator.blocks.push_back(Arc::new(block));
        let file = estimator.to_file();
        assert_eq!(Estimator::from_file(&file), Ok(estimator));
        for bit in 0..file.len() * 8 {
            let mut bytes = file.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(Estimator::from_file(&bytes).is_err(), "bit {bit}");
        }
        for length in 0..file.len() {
            assert!(Estimator::from_file(&file[..length]).is_err(), "{length} bytes");
        }
        assert_eq!(Dump::from_file(&file), Err(DumpError::Kind));
    }

    /// A file with a good checksum that no node has written: sums over what it says must not overflow.
    #[test]
    fn estimates_that_cannot_be_are_refused() {
        let sample = Sample { rate: 4_000, waited: 2, mined: true };
        let block = |count, samples| Arc::new(BlockSamples { height: 7, count, samples });
        let with = |first, height, block: Arc<BlockSamples>| {
            let mut estimator = Estimator { first, height, ..Estimator::default() };
            estimator.blocks.push_back(block);
            Estimator::from_file(&estimator.to_file()).is_ok()
        };
        assert!(with(Some(3), 9, block(3, vec![sample; 3])));
        assert!(!with(Some(3), u32::MAX, block(3, vec![sample; 3])), "a height");
        assert!(!with(Some(10), 9, block(3, vec![sample; 3])), "a first block after the last");
        assert!(!with(Some(3), 9, block(u32::MAX, vec![sample; 3])), "a count");
        assert!(!with(Some(3), 9, block(2, vec![sample; 3])), "more kept than there were");
        assert!(!with(Some(3), 9, block(101, vec![sample; 101])), "more kept than are kept");
        assert!(!with(Some(3), 9, block(3, vec![Sample { rate: u64::MAX, ..sample }])), "a rate");
    }
}
