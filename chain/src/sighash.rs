//! What a signature signs.
//!
//! A tagged hash over the genesis id (no replay on another network), the version, the lock time, one SHA-256 digest
//! each of all outpoints, amounts spent, locks spent, sequences and outputs (as BIP 341: every signature commits to
//! everything, and hashing stays linear, CVE-2013-2292), and the input's index.

use std::sync::LazyLock;

use crate::codec::Encode;
use crate::hash::{BlockHash, TaggedHash, sha256};
use crate::transaction::{TxData, TxOut};

/// The hash that is signed, its tag absorbed.
static SIGHASH: LazyLock<TaggedHash> = LazyLock::new(|| TaggedHash::new("tine/sighash"));

/// The spent outputs do not stand one for one beside the inputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{inputs} inputs, but {spent} spent outputs")]
pub struct SpentMismatch {
    /// Inputs of the transaction.
    pub inputs: usize,
    /// Outputs that were handed in.
    pub spent: usize,
}

/// The digests of one transaction, made once for all its inputs.
#[derive(Clone)]
pub struct SighashCache {
    /// Everything but the input's index.
    common: TaggedHash,
    inputs: usize,
}

impl SighashCache {
    /// Digests `tx`, whose inputs spend `spent`, in the same order.
    ///
    /// # Errors
    /// When there are not as many spent outputs as inputs: a signature must never be checked against the wrong one.
    pub fn new(genesis: &BlockHash, tx: &TxData, spent: &[TxOut]) -> Result<Self, SpentMismatch> {
        if tx.inputs.len() != spent.len() {
            return Err(SpentMismatch { inputs: tx.inputs.len(), spent: spent.len() });
        }
        let common = SIGHASH
            .clone()
            .chain(genesis)
            .chain(tx.version.to_le_bytes())
            .chain(tx.lock_time.to_le_bytes())
            .chain(digest(tx.inputs.iter().map(|input| &input.prevout)))
            .chain(digest(spent.iter().map(|output| &output.value)))
            .chain(digest(spent.iter().map(|output| &output.lock)))
            .chain(sequences(tx))
            .chain(digest(&tx.outputs));
        Ok(Self { common, inputs: spent.len() })
    }

    /// How many inputs there are to sign.
    #[must_use]
    pub fn inputs(&self) -> usize {
        self.inputs
    }

    /// The 32 bytes that signatures of input `input_index` sign.
    #[must_use]
    pub fn sighash(&self, input_index: usize) -> [u8; 32] {
        // an index over u32 names no input: a transaction has at most 10,000
        let index = u32::try_from(input_index).unwrap_or(u32::MAX);
        self.common.clone().chain(index.to_le_bytes()).finish()
    }
}

/// SHA-256 of the encodings, one after the other, without a count.
fn digest<'a, T: Encode + 'a>(values: impl IntoIterator<Item = &'a T>) -> [u8; 32] {
    let mut bytes = Vec::new();
    for value in values {
        value.encode(&mut bytes);
    }
    sha256(&bytes)
}

fn sequences(tx: &TxData) -> [u8; 32] {
    let bytes: Vec<u8> = tx.inputs.iter().flat_map(|input| input.sequence.to_le_bytes()).collect();
    sha256(&bytes)
}
