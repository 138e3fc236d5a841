//! Spending policies: what an output's lock hides and its spender reveals.
//!
//! A policy's lock is a tagged hash over its tag, its fields and the *locks* of the policies inside it. So whoever
//! spends through one branch of an [`Policy::Any`] reveals that branch and shows the others only as 32-byte locks
//! (as BIP 114 and BIP 341 do with scripts). Every policy has one encoding and one lock; `chain/SPEC.md` gives the bytes.

use std::sync::LazyLock;

use crate::codec::{Decode, DecodeError, Encode, Reader, write_list};
use crate::hash::{Lock, TaggedHash};
use crate::reject::Reject;
pub use crate::signature::PublicKey;

/// The longest encoded policy, in bytes.
pub const MAX_POLICY_SIZE: usize = 1_024;
/// How deep policies may nest; a key alone has depth 1.
pub const MAX_POLICY_DEPTH: usize = 4;
/// The most keys of a threshold.
pub const MAX_THRESHOLD_KEYS: usize = 16;
/// The most branches of an `Any`.
pub const MAX_BRANCHES: usize = 16;

/// BIP 68: this bit of a sequence switches its relative lock off.
pub const SEQUENCE_LOCK_DISABLED: u32 = 1 << 31;
/// BIP 68: this bit of a sequence says that the relative lock counts 512 seconds, not blocks.
pub const SEQUENCE_LOCK_SECONDS: u32 = 1 << 22;
/// BIP 68: these bits of a sequence hold the relative lock's number.
pub const SEQUENCE_LOCK_MASK: u32 = 0x0000_ffff;

/// The hash that makes locks, its tag absorbed.
static LOCK_HASH: LazyLock<TaggedHash> = LazyLock::new(|| TaggedHash::new("tine/policy"));

const TAG_KEY: u8 = 1;
const TAG_THRESHOLD: u8 = 2;
const TAG_AFTER: u8 = 3;
const TAG_OLDER: u8 = 4;
const TAG_HASH: u8 = 5;
const TAG_ANY: u8 = 6;

const BRANCH_HIDDEN: u8 = 0;
const BRANCH_REVEALED: u8 = 1;

const TOO_DEEP: DecodeError = DecodeError::Malformed("the policy nests too deep");

/// Who may spend, and when.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Policy {
    /// A signature by this key.
    Key(PublicKey),
    /// Signatures by exactly `required` of the keys, in their order.
    Threshold {
        /// How many: 1 ≤ required ≤ number of keys.
        required: u8,
        /// At most [`MAX_THRESHOLD_KEYS`], strictly increasing by their bytes.
        keys: Vec<PublicKey>,
    },
    /// Not before a height or time: the transaction's lock time must be of the same kind and at least this (BIP 65).
    After {
        /// As in a transaction: a height below 500,000,000, a UNIX time from there on.
        lock_time: u32,
        /// What must be met as well.
        policy: Box<Policy>,
    },
    /// Not before the coin has this age: the input's sequence must be of the same kind and at least this (BIP 112).
    Older {
        /// A relative lock of BIP 68: [`SEQUENCE_LOCK_SECONDS`] and [`SEQUENCE_LOCK_MASK`], no other bits.
        sequence: u32,
        /// What must be met as well.
        policy: Box<Policy>,
    },
    /// The preimage of a hash, which must be 32 bytes long.
    Hash {
        /// SHA-256 of the preimage.
        digest: [u8; 32],
        /// What must be met as well.
        policy: Box<Policy>,
    },
    /// Any one of 1 to [`MAX_BRANCHES`] branches, which stand strictly increasing by their locks.
    Any(Vec<Branch>),
}

/// One way out of an [`Policy::Any`].
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Branch {
    /// Known.
    Revealed(Policy),
    /// Known only by its lock.
    Hidden(Lock),
}

impl Branch {
    /// What the parent commits to.
    #[must_use]
    pub fn lock(&self) -> Lock {
        match self {
            Self::Revealed(policy) => policy.lock(),
            Self::Hidden(lock) => *lock,
        }
    }

    /// The policy, if it is known.
    #[must_use]
    pub fn policy(&self) -> Option<&Policy> {
        match self {
            Self::Revealed(policy) => Some(policy),
            Self::Hidden(_) => None,
        }
    }
}

impl Policy {
    /// A signature by `key`.
    #[must_use]
    pub fn key(key: PublicKey) -> Self {
        Self::Key(key)
    }

    /// Signatures by `required` of `keys`, which are put in order.
    #[must_use]
    pub fn threshold(required: u8, mut keys: Vec<PublicKey>) -> Self {
        keys.sort_unstable();
        Self::Threshold { required, keys }
    }

    /// `policy`, not before `lock_time`.
    #[must_use]
    pub fn after(lock_time: u32, policy: Self) -> Self {
        Self::After { lock_time, policy: Box::new(policy) }
    }

    /// `policy`, not before the coin is as old as `sequence` says.
    #[must_use]
    pub fn older(sequence: u32, policy: Self) -> Self {
        Self::Older { sequence, policy: Box::new(policy) }
    }

    /// `policy` and the preimage of `digest`.
    #[must_use]
    pub fn hash(digest: [u8; 32], policy: Self) -> Self {
        Self::Hash { digest, policy: Box::new(policy) }
    }

    /// Any of `policies`, which are put in order.
    #[must_use]
    pub fn any(policies: Vec<Self>) -> Self {
        let mut branches: Vec<Branch> = policies.into_iter().map(Branch::Revealed).collect();
        branches.sort_by_cached_key(Branch::lock);
        Self::Any(branches)
    }

    /// What an output is locked to: a tagged hash over the tag, the fields and the locks of the policies inside.
    #[must_use]
    pub fn lock(&self) -> Lock {
        let hash = LOCK_HASH.clone();
        let hash = match self {
            Self::Key(key) => hash.chain([TAG_KEY]).chain(key.0),
            Self::Threshold { required, keys } => {
                keys.iter().fold(hash.chain([TAG_THRESHOLD, *required, keys.len() as u8]), |hash, key| {
                    hash.chain(key.0)
                })
            }
            Self::After { lock_time, policy } => {
                hash.chain([TAG_AFTER]).chain(lock_time.to_le_bytes()).chain(policy.lock())
            }
            Self::Older { sequence, policy } => {
                hash.chain([TAG_OLDER]).chain(sequence.to_le_bytes()).chain(policy.lock())
            }
            Self::Hash { digest, policy } => hash.chain([TAG_HASH]).chain(digest).chain(policy.lock()),
            Self::Any(branches) => branches
                .iter()
                .fold(hash.chain([TAG_ANY, branches.len() as u8]), |hash, branch| hash.chain(branch.lock())),
        };
        Lock(hash.finish())
    }

    /// Everything that the rules ask of a policy: limits, order, and the keys.
    ///
    /// # Errors
    /// [`Reject::WitnessDecode`] when no encoding of the policy would be accepted, [`Reject::WeakKey`] for a key.
    pub fn check(&self) -> Result<(), Reject> {
        self.check_shape().map_err(|_| Reject::WitnessDecode)?;
        self.check_keys()
    }

    /// How deep the policy nests: 1 for keys.
    #[must_use]
    pub fn depth(&self) -> usize {
        match self {
            Self::Key(_) | Self::Threshold { .. } => 1,
            Self::After { policy, .. } | Self::Older { policy, .. } | Self::Hash { policy, .. } => {
                1 + policy.depth()
            }
            Self::Any(branches) => 1 + revealed(branches).map(Self::depth).max().unwrap_or(0),
        }
    }

    /// The length of the encoding, in bytes.
    #[must_use]
    pub fn encoded_size(&self) -> usize {
        match self {
            Self::Key(_) => 33,
            Self::Threshold { keys, .. } => 3 + 32 * keys.len(),
            Self::After { policy, .. } | Self::Older { policy, .. } => 5 + policy.encoded_size(),
            Self::Hash { policy, .. } => 33 + policy.encoded_size(),
            Self::Any(branches) => {
                2 + branches
                    .iter()
                    .map(|branch| branch.policy().map_or(33, |policy| 1 + policy.encoded_size()))
                    .sum::<usize>()
            }
        }
    }

    /// The longest witness that spending through any revealed branch can take, in bytes: for fee estimates.
    #[must_use]
    pub fn max_witness_size(&self) -> usize {
        match self {
            Self::Key(_) => 33 + 64,
            Self::Threshold { required, keys } => 3 + 32 * keys.len() + 2 + 64 * usize::from(*required),
            Self::After { policy, .. } | Self::Older { policy, .. } => 5 + policy.max_witness_size(),
            Self::Hash { policy, .. } => 33 + 32 + policy.max_witness_size(),
            Self::Any(branches) => {
                let others = 33 * branches.len().saturating_sub(1);
                3 + others + revealed(branches).map(Self::max_witness_size).max().unwrap_or(0)
            }
        }
    }

    /// The rules about keys alone, here and below.
    fn check_keys(&self) -> Result<(), Reject> {
        match self {
            Self::Key(key) => key.check(),
            Self::Threshold { keys, .. } => keys.iter().try_for_each(PublicKey::check),
            Self::After { policy, .. } | Self::Older { policy, .. } | Self::Hash { policy, .. } => {
                policy.check_keys()
            }
            Self::Any(branches) => revealed(branches).try_for_each(Self::check_keys),
        }
    }

    fn check_shape(&self) -> Result<(), DecodeError> {
        if self.depth() > MAX_POLICY_DEPTH {
            return Err(TOO_DEEP);
        }
        check_size(self.encoded_size())?;
        self.check_node()
    }

    /// The rules of this node and those below it, without depth and size.
    fn check_node(&self) -> Result<(), DecodeError> {
        match self {
            Self::Key(_) => Ok(()),
            Self::Threshold { required, keys } => check_threshold(*required, keys),
            Self::After { policy, .. } | Self::Hash { policy, .. } => policy.check_node(),
            Self::Older { sequence, policy } => {
                check_relative_lock(*sequence)?;
                policy.check_node()
            }
            Self::Any(branches) => {
                check_branches(branches)?;
                revealed(branches).try_for_each(Self::check_node)
            }
        }
    }

    /// Decodes everything but the curve points: shape, limits and order. `room` is how deep it may still nest.
    fn decode_node(reader: &mut Reader<'_>, room: usize) -> Result<Self, DecodeError> {
        // checked before every step down, so that hostile bytes can't exhaust the stack
        let below = room.checked_sub(1).ok_or(TOO_DEEP)?;
        let inner = |reader: &mut Reader<'_>| Self::decode_node(reader, below).map(Box::new);
        Ok(match reader.u8()? {
            TAG_KEY => Self::Key(PublicKey::decode(reader)?),
            TAG_THRESHOLD => decode_threshold(reader)?,
            TAG_AFTER => Self::After { lock_time: reader.u32()?, policy: inner(reader)? },
            TAG_OLDER => {
                let sequence = reader.u32()?;
                check_relative_lock(sequence)?;
                Self::Older { sequence, policy: inner(reader)? }
            }
            TAG_HASH => Self::Hash { digest: reader.array()?, policy: inner(reader)? },
            TAG_ANY => decode_any(reader, below)?,
            tag => return Err(DecodeError::UnknownTag { what: "policy", tag }),
        })
    }

    /// Decodes a policy whose keys have not been checked: for the witness check, which names their fault by itself.
    pub(crate) fn decode_with_any_keys(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let start = reader.position();
        let policy = Self::decode_node(reader, MAX_POLICY_DEPTH)?;
        check_size(reader.position() - start)?;
        Ok(policy)
    }
}

/// The branches that are known.
fn revealed(branches: &[Branch]) -> impl Iterator<Item = &Policy> {
    branches.iter().filter_map(Branch::policy)
}

fn check_size(size: usize) -> Result<(), DecodeError> {
    check_count("encoded policy", size, MAX_POLICY_SIZE)
}

fn check_count(what: &'static str, count: usize, limit: usize) -> Result<(), DecodeError> {
    if count > limit {
        return Err(DecodeError::TooLarge { what, value: count as u64, limit: limit as u64 });
    }
    Ok(())
}

/// "1 ≤ m ≤ n ≤ 16, keys strictly increasing": one encoding for each set of keys, and no key counts twice.
fn check_threshold(required: u8, keys: &[PublicKey]) -> Result<(), DecodeError> {
    check_count("number of keys", keys.len(), MAX_THRESHOLD_KEYS)?;
    if required == 0 || usize::from(required) > keys.len() {
        return Err(DecodeError::Malformed("a threshold needs 1 ≤ m ≤ n"));
    }
    if !keys.is_sorted_by(|a, b| a < b) {
        return Err(DecodeError::Malformed("the keys of a threshold are not strictly increasing"));
    }
    Ok(())
}

/// BIP 68 gives no meaning to other bits; two numbers with one meaning would be two locks for one policy.
fn check_relative_lock(sequence: u32) -> Result<(), DecodeError> {
    if sequence & !(SEQUENCE_LOCK_SECONDS | SEQUENCE_LOCK_MASK) != 0 {
        return Err(DecodeError::Malformed("a relative lock has bits that BIP 68 does not define"));
    }
    Ok(())
}

/// 1 to 16 branches, strictly increasing by lock: one encoding for each set of branches.
fn check_branches(branches: &[Branch]) -> Result<(), DecodeError> {
    check_count("number of branches", branches.len(), MAX_BRANCHES)?;
    if branches.is_empty() {
        return Err(DecodeError::Malformed("no branches"));
    }
    let locks: Vec<Lock> = branches.iter().map(Branch::lock).collect();
    if !locks.is_sorted_by(|a, b| a < b) {
        return Err(DecodeError::Malformed("the branches are not strictly increasing by lock"));
    }
    Ok(())
}

fn decode_threshold(reader: &mut Reader<'_>) -> Result<Policy, DecodeError> {
    let required = reader.u8()?;
    let keys = reader.list("keys", MAX_THRESHOLD_KEYS as u64, 32)?;
    check_threshold(required, &keys)?;
    Ok(Policy::Threshold { required, keys })
}

fn decode_any(reader: &mut Reader<'_>, room: usize) -> Result<Policy, DecodeError> {
    let count = reader.count("branches", MAX_BRANCHES as u64, 33)?;
    let mut branches = Vec::with_capacity(count);
    for _ in 0..count {
        branches.push(match reader.u8()? {
            BRANCH_HIDDEN => Branch::Hidden(Lock::decode(reader)?),
            BRANCH_REVEALED => Branch::Revealed(Policy::decode_node(reader, room)?),
            tag => return Err(DecodeError::UnknownTag { what: "branch", tag }),
        });
    }
    check_branches(&branches)?;
    Ok(Policy::Any(branches))
}

impl Encode for Policy {
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Key(key) => {
                out.push(TAG_KEY);
                key.encode(out);
            }
            Self::Threshold { required, keys } => {
                out.extend_from_slice(&[TAG_THRESHOLD, *required]);
                write_list(keys, out);
            }
            Self::After { lock_time, policy } => {
                out.push(TAG_AFTER);
                out.extend_from_slice(&lock_time.to_le_bytes());
                policy.encode(out);
            }
            Self::Older { sequence, policy } => {
                out.push(TAG_OLDER);
                out.extend_from_slice(&sequence.to_le_bytes());
                policy.encode(out);
            }
            Self::Hash { digest, policy } => {
                out.push(TAG_HASH);
                out.extend_from_slice(digest);
                policy.encode(out);
            }
            Self::Any(branches) => {
                out.push(TAG_ANY);
                write_list(branches, out);
            }
        }
    }
}

impl Encode for Branch {
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Hidden(lock) => {
                out.push(BRANCH_HIDDEN);
                lock.encode(out);
            }
            Self::Revealed(policy) => {
                out.push(BRANCH_REVEALED);
                policy.encode(out);
            }
        }
    }
}

impl Decode for Policy {
    /// Refuses weak keys as well: a policy that was decoded can be paid to.
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let policy = Self::decode_with_any_keys(reader)?;
        policy.check_keys().map_err(|_| {
            DecodeError::Malformed("a key of the policy is not canonical or is of small order")
        })?;
        Ok(policy)
    }
}
