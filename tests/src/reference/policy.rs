//! Policies, locks and witnesses: SPEC §6 and §7.

use super::Reason;
use super::curve::{self, Key};
use super::money::Coin;
use super::wire::{Bytes, Hash, Transaction, sha256, tagged_hash};

const DECODE: Reason = "bad-witness-decode";
const WEAK_KEY: Reason = "bad-witness-weak-key";
const MAX_POLICY: usize = 1_024;
const MAX_DEPTH: usize = 4;

const HEIGHTS_END: u32 = 500_000_000;
const OLDER_BITS: u32 = 0x0040_ffff;

/// A signature that must verify.
pub(super) struct Signature {
    key: Hash,
    message: Hash,
    bytes: [u8; 64],
}

impl Signature {
    pub(super) fn verify(&self) -> bool {
        curve::verify(&self.key, &self.message, &self.bytes)
    }
}

enum Policy {
    Key(Hash),
    Threshold(u8, Vec<Hash>),
    After(u32, Box<Policy>),
    Older(u32, Box<Policy>),
    Hash(Hash, Box<Policy>),
    Any(Vec<Branch>),
}

enum Branch {
    Hidden(Hash),
    Revealed(Policy),
}

fn is_increasing(list: &[Hash]) -> bool {
    list.windows(2).all(|pair| pair[0] < pair[1])
}

/// A policy that may still nest `depth` deep.
fn decode(bytes: &mut Bytes<'_>, depth: usize) -> Option<Policy> {
    let below = depth.checked_sub(1)?;
    let inner = |bytes: &mut Bytes<'_>| decode(bytes, below).map(Box::new);
    match bytes.u8()? {
        1 => Some(Policy::Key(bytes.array()?)),
        2 => {
            let required = bytes.u8()?;
            let keys = (0..bytes.count(16)?).map(|_| bytes.array()).collect::<Option<Vec<Hash>>>()?;
            let possible = required >= 1 && usize::from(required) <= keys.len() && is_increasing(&keys);
            possible.then_some(Policy::Threshold(required, keys))
        }
        3 => Some(Policy::After(bytes.u32()?, inner(bytes)?)),
        4 => {
            let number = bytes.u32()?;
            (number & !OLDER_BITS == 0).then_some(Policy::Older(number, inner(bytes)?))
        }
        5 => Some(Policy::Hash(bytes.array()?, inner(bytes)?)),
        6 => {
            let branches = (0..bytes.count(16)?)
                .map(|_| match bytes.u8()? {
                    0 => Some(Branch::Hidden(bytes.array()?)),
                    1 => Some(Branch::Revealed(decode(bytes, below)?)),
                    _ => None,
                })
                .collect::<Option<Vec<_>>>()?;
            let locks: Vec<Hash> = branches.iter().map(Branch::lock).collect();
            (!locks.is_empty() && is_increasing(&locks)).then_some(Policy::Any(branches))
        }
        _ => None,
    }
}

impl Branch {
    fn lock(&self) -> Hash {
        match self {
            Self::Hidden(lock) => *lock,
            Self::Revealed(policy) => policy.lock(),
        }
    }
}

impl Policy {
    fn lock(&self) -> Hash {
        let message = match self {
            Self::Key(key) => [&[1][..], key].concat(),
            Self::Threshold(required, keys) => {
                [&[2, *required, keys.len() as u8][..], &keys.concat()].concat()
            }
            Self::After(number, policy) => [&[3][..], &number.to_le_bytes(), &policy.lock()].concat(),
            Self::Older(number, policy) => [&[4][..], &number.to_le_bytes(), &policy.lock()].concat(),
            Self::Hash(digest, policy) => [&[5][..], digest, &policy.lock()].concat(),
            Self::Any(branches) => {
                let locks: Vec<Hash> = branches.iter().map(Branch::lock).collect();
                [&[6, branches.len() as u8][..], &locks.concat()].concat()
            }
        };
        tagged_hash("tine/policy", &message)
    }
}

/// The signing hash of input `index`: SPEC §8.
fn signing_hash(genesis: &Hash, transaction: &Transaction, spent: &[Coin], index: usize) -> Hash {
    let digest = |parts: Vec<Vec<u8>>| sha256(&parts.concat());
    let inputs = &transaction.inputs;
    let outputs = &transaction.outputs;
    let message = [
        &genesis[..],
        &transaction.version.to_le_bytes(),
        &transaction.lock_time.to_le_bytes(),
        &digest(inputs.iter().map(|(outpoint, _)| outpoint.to_vec()).collect()),
        &digest(spent.iter().map(|coin| coin.value.to_le_bytes().to_vec()).collect()),
        &digest(spent.iter().map(|coin| coin.lock.to_vec()).collect()),
        &digest(inputs.iter().map(|(_, sequence)| sequence.to_le_bytes().to_vec()).collect()),
        &digest(outputs.iter().map(|(value, lock)| [&value.to_le_bytes()[..], lock].concat()).collect()),
        &u32::try_from(index).expect("few inputs").to_le_bytes(),
    ]
    .concat();
    tagged_hash("tine/sighash", &message)
}

/// Judges the witness of input `index`, and returns the signatures that must verify.
pub(super) fn open(
    genesis: &Hash,
    transaction: &Transaction,
    spent: &[Coin],
    index: usize,
) -> Result<Vec<Signature>, Reason> {
    let witness = &transaction.witnesses[index];
    let mut bytes = Bytes(witness);
    let policy = decode(&mut bytes, MAX_DEPTH).ok_or(DECODE)?;
    if witness.len() - bytes.0.len() > MAX_POLICY {
        return Err(DECODE);
    }
    if policy.lock() != spent[index].lock {
        return Err("bad-witness-lock-mismatch");
    }
    let message = signing_hash(genesis, transaction, spent, index);
    let mut signatures = Vec::new();
    satisfy(&policy, transaction, index, &message, &mut bytes, &mut signatures)?;
    if bytes.0.is_empty() { Ok(signatures) } else { Err(DECODE) }
}

fn satisfy(
    policy: &Policy,
    transaction: &Transaction,
    index: usize,
    message: &Hash,
    bytes: &mut Bytes<'_>,
    signatures: &mut Vec<Signature>,
) -> Result<(), Reason> {
    let sequence = transaction.inputs[index].1;
    let mut go_on =
        |policy, bytes: &mut Bytes<'_>| satisfy(policy, transaction, index, message, bytes, signatures);
    match policy {
        Policy::Key(key) => signatures.push(signature(key, message, bytes)?),
        Policy::Threshold(required, keys) => {
            let bitmap = bytes.u16().ok_or(DECODE)?;
            let beyond = (keys.len()..16).any(|place| bitmap >> place & 1 == 1);
            if beyond || bitmap.count_ones() != u32::from(*required) {
                return Err(DECODE);
            }
            for (place, key) in keys.iter().enumerate() {
                if bitmap >> place & 1 == 1 {
                    signatures.push(signature(key, message, bytes)?);
                } else if curve::judge_key(key) != Key::Good {
                    return Err(WEAK_KEY);
                }
            }
        }
        Policy::After(number, policy) => {
            let lock_time = transaction.lock_time;
            let same_kind = (lock_time < HEIGHTS_END) == (*number < HEIGHTS_END);
            if !same_kind || lock_time < *number || sequence == 0xffff_ffff {
                return Err("bad-witness-after");
            }
            go_on(policy, bytes)?;
        }
        Policy::Older(number, policy) => {
            let enabled = transaction.version >= 2 && sequence < 0x8000_0000;
            let same_kind = sequence & 0x0040_0000 == number & 0x0040_0000;
            if !enabled || !same_kind || sequence & 0xffff < number & 0xffff {
                return Err("bad-witness-older");
            }
            go_on(policy, bytes)?;
        }
        Policy::Hash(digest, policy) => {
            let preimage: Hash = bytes.array().ok_or(DECODE)?;
            if sha256(&preimage) != *digest {
                return Err("bad-witness-preimage");
            }
            go_on(policy, bytes)?;
        }
        Policy::Any(branches) => {
            let mut revealed = branches.iter().filter_map(|branch| match branch {
                Branch::Revealed(policy) => Some(policy),
                Branch::Hidden(_) => None,
            });
            let (Some(policy), None) = (revealed.next(), revealed.next()) else { return Err(DECODE) };
            go_on(policy, bytes)?;
        }
    }
    Ok(())
}

/// The next signature, by a key that must not be weak. One that is no point will not verify.
fn signature(key: &Hash, message: &Hash, bytes: &mut Bytes<'_>) -> Result<Signature, Reason> {
    if curve::judge_key(key) == Key::Weak {
        return Err(WEAK_KEY);
    }
    let bytes = bytes.array().ok_or(DECODE)?;
    Ok(Signature { key: *key, message: *message, bytes })
}
