//! Transactions: what moves coins from the outputs of earlier transactions to new ones.

use std::ops::Deref;

use crate::amount::Amount;
use crate::codec::{Decode, DecodeError, Encode, Reader, compact_size_len, write_bytes, write_list};
use crate::hash::{Lock, Txid, Wtxid, sha256d};

/// The largest transaction, in bytes of its whole encoding: 400,000 (as Core's policy limit of 400,000 weight units).
pub const MAX_TRANSACTION_SIZE: usize = 400_000;

/// The longest witness of one input, in bytes: a policy of 1 KiB, 16 signatures and the hashes around them fit.
pub const MAX_WITNESS_SIZE: usize = 4_096;

/// An input's sequence that switches off lock times (Core: `SEQUENCE_FINAL`).
pub const SEQUENCE_FINAL: u32 = 0xffff_ffff;

/// An input's sequence that keeps `lock_time` in force without a relative lock (Core: `MAX_SEQUENCE_NONFINAL`).
pub const SEQUENCE_LOCK_TIME: u32 = 0xffff_fffe;

/// Below this `lock_time` is a height, from it on a UNIX time in seconds (Core: `LOCKTIME_THRESHOLD`).
pub const LOCK_TIME_THRESHOLD: u32 = 500_000_000;

/// Bytes of an encoded input without its witness: outpoint 36, sequence 4.
const INPUT_SIZE: usize = 40;
/// Bytes of an encoded output: value 8, lock 32.
const OUTPUT_SIZE: usize = 40;

/// Which output of which transaction: txid 32, index u32 (36 bytes).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct OutPoint {
    /// The transaction that made the output.
    pub txid: Txid,
    /// The output's place in it, from 0.
    pub vout: u32,
}

impl OutPoint {
    /// What a coinbase's input points at: no transaction, index ffffffff.
    pub const NULL: Self = Self { txid: Txid::ZERO, vout: u32::MAX };
}

impl std::hash::Hash for OutPoint {
    /// Half of the id is enough to tell coins apart in a table: it is a hash already, and nobody can make many that agree
    /// in 16 bytes. Coins are looked up more often than anything else.
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        let half = self.txid.0.first_chunk().expect("an id has 32 bytes");
        state.write_u128(u128::from_le_bytes(*half));
        state.write_u32(self.vout);
    }
}

impl std::fmt::Display for OutPoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.txid, self.vout)
    }
}

/// A text that is not `<64 hex>:<index>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an outpoint is written as <txid>:<index>")]
pub struct ParseOutPointError;

impl std::str::FromStr for OutPoint {
    type Err = ParseOutPointError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (txid, vout) = text.split_once(':').ok_or(ParseOutPointError)?;
        Ok(Self {
            txid: txid.parse().map_err(|_| ParseOutPointError)?,
            vout: vout.parse().map_err(|_| ParseOutPointError)?,
        })
    }
}

/// An input: the coin it spends, and its sequence (BIP 68). Its witness is kept in [`TxData::witnesses`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TxIn {
    /// The output spent.
    pub prevout: OutPoint,
    /// Relative lock and finality, u32.
    pub sequence: u32,
}

/// An output: an amount, and the lock that must be opened to spend it (40 bytes).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TxOut {
    /// How much.
    pub value: Amount,
    /// The hash of the policy that may spend it.
    pub lock: Lock,
}

/// What an input shows to open a lock: the revealed policy and what satisfies it, as bytes.
///
/// A transaction can be decoded, hashed and relayed without knowing policies; they are read when it is judged.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Witness(pub Vec<u8>);

/// The fields of a transaction, free to change. [`Transaction`] is the same, frozen, with its ids.
///
/// Layout: version u32 ‖ count, inputs 40 each ‖ count, outputs 40 each ‖ lock_time u32 ‖ for each input a
/// length and its witness.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TxData {
    /// At least 2 enforces BIP 68 relative locks.
    pub version: u32,
    /// What is spent.
    pub inputs: Vec<TxIn>,
    /// What is made.
    pub outputs: Vec<TxOut>,
    /// The first height or time at which the transaction may be mined.
    pub lock_time: u32,
    /// One for each input, in the same order.
    pub witnesses: Vec<Witness>,
}

impl TxData {
    /// A coinbase has one input, and it points at nothing.
    #[must_use]
    pub fn is_coinbase(&self) -> bool {
        self.inputs.len() == 1 && self.inputs[0].prevout == OutPoint::NULL
    }

    /// The sum of the outputs, or `None` when it or any of them is over all the money there can be.
    #[must_use]
    pub fn output_value(&self) -> Option<Amount> {
        self.outputs.iter().try_fold(Amount::ZERO, |sum, output| sum.checked_add(output.value))
    }

    fn encode_without_witnesses(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.version.to_le_bytes());
        write_list(&self.inputs, out);
        write_list(&self.outputs, out);
        out.extend_from_slice(&self.lock_time.to_le_bytes());
    }

    /// The encoded length with witnesses, in bytes.
    fn size(&self) -> usize {
        8 + compact_size_len(self.inputs.len() as u64)
            + self.inputs.len() * INPUT_SIZE
            + compact_size_len(self.outputs.len() as u64)
            + self.outputs.len() * OUTPUT_SIZE
            + self
                .witnesses
                .iter()
                .map(|Witness(bytes)| compact_size_len(bytes.len() as u64) + bytes.len())
                .sum::<usize>()
    }
}

/// A transaction that no longer changes, with its ids and size computed once.
#[derive(Clone)]
pub struct Transaction {
    data: TxData,
    txid: Txid,
    wtxid: Wtxid,
    size: usize,
}

impl Transaction {
    /// Freezes `data` and computes its ids.
    #[must_use]
    pub fn new(data: TxData) -> Self {
        let mut bytes = Vec::with_capacity(data.size());
        data.encode_without_witnesses(&mut bytes);
        let stripped = bytes.len();
        for witness in &data.witnesses {
            witness.encode(&mut bytes);
        }
        Self::with_bytes(data, &bytes, stripped)
    }

    /// `bytes` is the whole encoding of `data`, the first `stripped` of them without the witnesses.
    fn with_bytes(data: TxData, bytes: &[u8], stripped: usize) -> Self {
        let wtxid = Wtxid(sha256d(bytes));
        // "a coinbase's txid *is* its wtxid, so rival coinbases of one height differ too"
        let txid = if data.is_coinbase() { Txid(wtxid.0) } else { Txid(sha256d(&bytes[..stripped])) };
        Self { data, txid, wtxid, size: bytes.len() }
    }

    /// The id that outpoints name; third parties can't change it.
    #[must_use]
    pub fn txid(&self) -> Txid {
        self.txid
    }

    /// The id of the whole, witnesses included.
    #[must_use]
    pub fn wtxid(&self) -> Wtxid {
        self.wtxid
    }

    /// The encoded length, in bytes.
    #[must_use]
    pub fn size(&self) -> usize {
        self.size
    }

    /// The outpoint of output `vout`.
    #[must_use]
    pub fn outpoint(&self, vout: u32) -> OutPoint {
        OutPoint { txid: self.txid, vout }
    }

    /// The fields, to build another transaction from.
    #[must_use]
    pub fn data(&self) -> &TxData {
        &self.data
    }
}

impl Deref for Transaction {
    type Target = TxData;

    fn deref(&self) -> &TxData {
        &self.data
    }
}

impl From<TxData> for Transaction {
    fn from(data: TxData) -> Self {
        Self::new(data)
    }
}

impl PartialEq for Transaction {
    fn eq(&self, other: &Self) -> bool {
        self.wtxid == other.wtxid
    }
}

impl Eq for Transaction {}

impl std::fmt::Debug for Transaction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Transaction")
            .field("txid", &self.txid)
            .field("data", &self.data)
            .finish_non_exhaustive()
    }
}

impl serde::Serialize for OutPoint {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for OutPoint {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl Encode for OutPoint {
    fn encode(&self, out: &mut Vec<u8>) {
        self.txid.encode(out);
        out.extend_from_slice(&self.vout.to_le_bytes());
    }
}

impl Decode for OutPoint {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self { txid: Txid::decode(reader)?, vout: reader.u32()? })
    }
}

impl Encode for TxIn {
    fn encode(&self, out: &mut Vec<u8>) {
        self.prevout.encode(out);
        out.extend_from_slice(&self.sequence.to_le_bytes());
    }
}

impl Decode for TxIn {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self { prevout: OutPoint::decode(reader)?, sequence: reader.u32()? })
    }
}

impl Encode for TxOut {
    fn encode(&self, out: &mut Vec<u8>) {
        self.value.encode(out);
        self.lock.encode(out);
    }
}

impl Decode for TxOut {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self { value: Amount::decode(reader)?, lock: Lock::decode(reader)? })
    }
}

impl Encode for Witness {
    fn encode(&self, out: &mut Vec<u8>) {
        write_bytes(&self.0, out);
    }
}

impl Decode for Witness {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self(reader.bytes("witness bytes", MAX_WITNESS_SIZE as u64)?.to_vec()))
    }
}

impl Encode for Transaction {
    fn encode(&self, out: &mut Vec<u8>) {
        out.reserve(self.size);
        self.data.encode_without_witnesses(out);
        for witness in &self.data.witnesses {
            witness.encode(out);
        }
    }
}

impl Decode for Transaction {
    /// Counts may be anything that the bytes can hold: no inputs, no outputs or too many bytes are for the rules to
    /// name (`bad-txns-vin-empty` …), not for the codec.
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let start = reader.position();
        let version = reader.u32()?;
        let inputs = reader.list("inputs", u64::MAX, INPUT_SIZE)?;
        let outputs = reader.list("outputs", u64::MAX, OUTPUT_SIZE)?;
        let lock_time = reader.u32()?;
        let stripped = reader.position() - start;
        let mut witnesses = Vec::with_capacity(inputs.len());
        for _ in 0..inputs.len() {
            witnesses.push(Witness::decode(reader)?);
        }
        let data = TxData { version, inputs, outputs, lock_time, witnesses };
        Ok(Self::with_bytes(data, reader.since(start), stripped))
    }
}
