//! Witnesses: the policy that a coin's lock hides, and what satisfies it.
//!
//! Layout: policy ‖ satisfaction, where the satisfaction follows the policy from the outside in:
//! `Key`: signature 64. `Threshold`: bitmap u16 of the keys that signed ‖ exactly m signatures 64 each, in key order.
//! `Hash`: preimage 32 ‖ inner. `After`, `Older`: inner. `Any`: the satisfaction of its one revealed branch.
//! Nothing may follow. Each set of signers and each branch has one encoding, so that nobody can dress it differently.

use crate::codec::{DecodeError, Encode, Reader};
use crate::coins::Coin;
use crate::hash::sha256;
use crate::policy::{
    Branch, MAX_POLICY_SIZE, Policy, PublicKey, SEQUENCE_LOCK_DISABLED, SEQUENCE_LOCK_MASK,
    SEQUENCE_LOCK_SECONDS,
};
use crate::reject::Reject;
use crate::sighash::SighashCache;
use crate::signature::SignatureCheck;
use crate::transaction::{LOCK_TIME_THRESHOLD, SEQUENCE_FINAL, TxData, Witness};

/// Judges the witness of one input, all but the curve arithmetic: the signatures that it returns must verify.
///
/// Shape, limits and order of the policy are checked by decoding it, its keys on the way: those that sign only by their
/// bytes, since verifying the signature decodes them.
///
/// # Errors
/// The first rule that the witness breaks; [`Reject::WitnessCount`] when `input` is no input of the transaction that
/// has a witness, or `sighash` was made for another number of inputs.
pub fn check_witness(
    tx: &TxData,
    input: usize,
    coin: &Coin,
    sighash: &SighashCache,
) -> Result<Vec<SignatureCheck>, Reject> {
    if tx.witnesses.len() != tx.inputs.len()
        || sighash.inputs() != tx.inputs.len()
        || input >= tx.inputs.len()
    {
        return Err(Reject::WitnessCount);
    }
    let mut reader = Reader::new(&tx.witnesses[input].0);
    let policy = Policy::decode_with_any_keys(&mut reader).map_err(|_| Reject::WitnessDecode)?;
    // "Lock = tagged hash of a policy, revealed in the witness when spent"
    if policy.lock() != coin.output.lock {
        return Err(Reject::WitnessMismatch);
    }
    let mut judge = Judge { tx, input, message: sighash.sighash(input), reader, checks: Vec::new() };
    judge.policy(&policy)?;
    match judge.reader.remaining() {
        0 => Ok(judge.checks),
        _ => Err(Reject::WitnessDecode),
    }
}

/// Walks a policy and its satisfaction together.
struct Judge<'a> {
    tx: &'a TxData,
    input: usize,
    message: [u8; 32],
    reader: Reader<'a>,
    checks: Vec<SignatureCheck>,
}

impl Judge<'_> {
    fn policy(&mut self, policy: &Policy) -> Result<(), Reject> {
        match policy {
            Policy::Key(key) => self.signature(key),
            Policy::Threshold { required, keys } => self.threshold(*required, keys),
            Policy::After { lock_time, policy } => {
                if !after_is_met(self.tx, self.input, *lock_time) {
                    return Err(Reject::UnsatisfiedAfter);
                }
                self.policy(policy)
            }
            Policy::Older { sequence, policy } => {
                if !older_is_met(self.tx, self.input, *sequence) {
                    return Err(Reject::UnsatisfiedOlder);
                }
                self.policy(policy)
            }
            Policy::Hash { digest, policy } => {
                let preimage: [u8; 32] = self.reader.array().map_err(|_| Reject::WitnessDecode)?;
                // "SHA-256 of exactly 32 bytes"
                if sha256(&preimage) != *digest {
                    return Err(Reject::BadPreimage);
                }
                self.policy(policy)
            }
            Policy::Any(branches) => self.policy(one_revealed(branches).ok_or(Reject::WitnessDecode)?),
        }
    }

    fn signature(&mut self, key: &PublicKey) -> Result<(), Reject> {
        key.check_encoding()?;
        let signature = self.reader.array().map_err(|_| Reject::WitnessDecode)?;
        self.checks.push(SignatureCheck { key: key.0, message: self.message, signature });
        Ok(())
    }

    /// "exactly m signatures in key order with a bitmap": at most m curve checks, and one encoding for each set of
    /// signers.
    fn threshold(&mut self, required: u8, keys: &[PublicKey]) -> Result<(), Reject> {
        let signed = self.reader.u16().map_err(|_| Reject::WitnessDecode)?;
        if signed.count_ones() != u32::from(required) || u32::from(signed) >> keys.len() != 0 {
            return Err(Reject::WitnessDecode);
        }
        keys.iter().enumerate().try_for_each(|(place, key)| match signed >> place & 1 {
            1 => self.signature(key),
            _ => key.check(),
        })
    }
}

/// BIP 65: the transaction's lock time is of the same kind (height or time) and not below `lock_time`, and the input's
/// sequence leaves it in force.
#[must_use]
pub fn after_is_met(tx: &TxData, input: usize, lock_time: u32) -> bool {
    let same_kind = (tx.lock_time < LOCK_TIME_THRESHOLD) == (lock_time < LOCK_TIME_THRESHOLD);
    same_kind
        && tx.lock_time >= lock_time
        && tx.inputs.get(input).is_some_and(|input| input.sequence != SEQUENCE_FINAL)
}

/// BIP 112: the transaction's version enforces relative locks, and the input's sequence holds one of the same kind
/// (blocks or seconds) that is not below `sequence`.
#[must_use]
pub fn older_is_met(tx: &TxData, input: usize, sequence: u32) -> bool {
    let Some(input) = tx.inputs.get(input) else { return false };
    tx.version >= 2
        && input.sequence & SEQUENCE_LOCK_DISABLED == 0
        && input.sequence & SEQUENCE_LOCK_SECONDS == sequence & SEQUENCE_LOCK_SECONDS
        && input.sequence & SEQUENCE_LOCK_MASK >= sequence & SEQUENCE_LOCK_MASK
}

/// The one revealed branch, or `None` when there is none or more than one.
fn one_revealed(branches: &[Branch]) -> Option<&Policy> {
    let mut revealed = branches.iter().filter_map(|branch| match branch {
        Branch::Revealed(policy) => Some(policy),
        Branch::Hidden(_) => None,
    });
    let policy = revealed.next()?;
    revealed.next().is_none().then_some(policy)
}

impl Witness {
    /// Spends a coin that is locked to `Key(key)`: policy ‖ signature, 97 bytes.
    #[must_use]
    pub fn key(key: PublicKey, signature: [u8; 64]) -> Self {
        let mut bytes = Policy::Key(key).to_bytes();
        bytes.extend_from_slice(&signature);
        Self(bytes)
    }

    /// The policy that this witness reveals.
    ///
    /// # Errors
    /// When the bytes do not start with one.
    pub fn policy(&self) -> Result<Policy, DecodeError> {
        Policy::decode_with_any_keys(&mut Reader::new(&self.0))
    }
}

/// What a wallet has to satisfy a policy with.
pub struct Satisfier<'a> {
    /// The transaction that spends: its lock time, version and sequences decide about `After` and `Older`.
    pub tx: &'a TxData,
    /// Which of its inputs.
    pub input: usize,
    /// Signs the sighash of that input with a key, if it is ours.
    pub sign: &'a dyn Fn(&PublicKey) -> Option<[u8; 64]>,
    /// The preimage of a SHA-256 digest, if we know it.
    pub preimage: &'a dyn Fn(&[u8; 32]) -> Option<[u8; 32]>,
}

impl Satisfier<'_> {
    /// The shortest witness that opens `policy`, or `None` when we can't.
    ///
    /// Of an `Any` it reveals one branch and hides the others; of a threshold it signs with the first keys it can.
    #[must_use]
    pub fn satisfy(&self, policy: &Policy) -> Option<Witness> {
        let (revealed, satisfaction) = self.open(policy)?;
        let mut bytes = revealed.to_bytes();
        if bytes.len() > MAX_POLICY_SIZE {
            return None;
        }
        bytes.extend_from_slice(&satisfaction);
        Some(Witness(bytes))
    }

    /// The policy as the witness shows it, and its satisfaction.
    fn open(&self, policy: &Policy) -> Option<(Policy, Vec<u8>)> {
        match policy {
            Policy::Key(key) => Some((policy.clone(), (self.sign)(key)?.to_vec())),
            Policy::Threshold { required, keys } => {
                Some((policy.clone(), self.sign_threshold(*required, keys)?))
            }
            Policy::After { lock_time, policy } => {
                let (inner, bytes) =
                    after_is_met(self.tx, self.input, *lock_time).then(|| self.open(policy))??;
                Some((Policy::after(*lock_time, inner), bytes))
            }
            Policy::Older { sequence, policy } => {
                let (inner, bytes) =
                    older_is_met(self.tx, self.input, *sequence).then(|| self.open(policy))??;
                Some((Policy::older(*sequence, inner), bytes))
            }
            Policy::Hash { digest, policy } => {
                let mut bytes = (self.preimage)(digest)?.to_vec();
                let (inner, rest) = self.open(policy)?;
                bytes.extend_from_slice(&rest);
                Some((Policy::hash(*digest, inner), bytes))
            }
            Policy::Any(branches) => self.open_any(branches),
        }
    }

    fn sign_threshold(&self, required: u8, keys: &[PublicKey]) -> Option<Vec<u8>> {
        let signatures: Vec<(usize, [u8; 64])> = keys
            .iter()
            .enumerate()
            .filter_map(|(place, key)| Some((place, (self.sign)(key)?)))
            .take(usize::from(required))
            .collect();
        if signatures.len() < usize::from(required) {
            return None;
        }
        let bitmap = signatures.iter().fold(0u16, |bitmap, (place, _)| bitmap | 1 << place);
        let mut bytes = bitmap.to_le_bytes().to_vec();
        for (_, signature) in signatures {
            bytes.extend_from_slice(&signature);
        }
        Some(bytes)
    }

    fn open_any(&self, branches: &[Branch]) -> Option<(Policy, Vec<u8>)> {
        let openings = branches.iter().enumerate().filter_map(|(place, branch)| match branch {
            Branch::Revealed(policy) => self.open(policy).map(|(inner, bytes)| (place, inner, bytes)),
            Branch::Hidden(_) => None,
        });
        let (place, inner, bytes) =
            openings.min_by_key(|(_, inner, bytes)| inner.encoded_size() + bytes.len())?;
        let mut shown: Vec<Branch> = branches.iter().map(|branch| Branch::Hidden(branch.lock())).collect();
        shown[place] = Branch::Revealed(inner);
        Some((Policy::Any(shown), bytes))
    }
}
