//! Policies of every kind, good and bad, and how to open them.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;
use tine_chain::codec::Encode as _;
use tine_chain::hash::{Lock, sha256};
use tine_chain::policy::{Branch, Policy, PublicKey, SEQUENCE_LOCK_SECONDS};
use tine_chain::signature::public_key;
use tine_chain::transaction::{SEQUENCE_FINAL, SEQUENCE_LOCK_TIME, Witness};

use super::forge;

/// When the genesis of our networks was made.
const GENESIS_TIME: u32 = 1_788_220_800;

/// Keys that have secrets.
const KEYS: u8 = 16;

/// Every policy that coins of these worlds are locked to.
pub(super) struct Owners {
    good: Vec<Policy>,
    bad: Vec<Policy>,
    by_lock: BTreeMap<Lock, Policy>,
    secrets: BTreeMap<PublicKey, [u8; 32]>,
}

/// The same in all worlds.
pub(super) static OWNERS: LazyLock<Owners> = LazyLock::new(Owners::new);

/// What a preimage is hashed from.
const PREIMAGE: [u8; 32] = [9; 32];

fn key(number: u8) -> Policy {
    Policy::key(public_key(&[number; 32]))
}

fn keys(count: u8) -> Vec<PublicKey> {
    (1..=count).map(|number| public_key(&[number; 32])).collect()
}

fn hash(policy: Policy) -> Policy {
    Policy::hash(sha256(&PREIMAGE), policy)
}

fn good() -> Vec<Policy> {
    let two_of_three = || Policy::threshold(2, keys(3));
    let crowd = || Policy::any((1..=KEYS).map(key).collect());
    let mut good: Vec<_> =
        [0, 1, 3, SEQUENCE_LOCK_SECONDS, SEQUENCE_LOCK_SECONDS | 1, SEQUENCE_LOCK_SECONDS | 2]
            .map(|sequence| Policy::older(sequence, key(1)))
            .into();
    good.extend(
        [0, 3, 12, 499_999_999, 500_000_000, GENESIS_TIME + 60, GENESIS_TIME + 1_000, u32::MAX]
            .map(|lock_time| Policy::after(lock_time, key(2))),
    );
    good.extend([
        key(1),
        key(2),
        Policy::threshold(1, keys(1)),
        two_of_three(),
        Policy::threshold(KEYS, keys(KEYS)),
        Policy::threshold(3, keys(KEYS)),
        hash(key(1)),
        hash(hash(hash(key(2)))),
        Policy::any(vec![key(1), key(2)]),
        Policy::any(vec![Policy::after(8, key(1)), Policy::older(2, key(2)), hash(two_of_three())]),
        crowd(),
        Policy::any(vec![Policy::any(vec![Policy::any(vec![key(3)])]), key(4)]),
        Policy::after(4, Policy::older(1, hash(two_of_three()))),
    ]);
    good
}

/// Policies that no encoding of is accepted, or whose keys are not.
fn bad() -> Vec<Policy> {
    let weak = forge::weak_keys();
    let mut bad: Vec<_> = weak.iter().map(|weak| Policy::key(*weak)).collect();
    // whether the weak key signs or not is up to the signer
    bad.extend(weak.iter().map(|weak| Policy::threshold(1, vec![*weak, public_key(&[1; 32])])));
    let raw = |required, keys| Policy::Threshold { required, keys };
    let mut reversed = keys(3);
    reversed.sort_unstable_by(|a, b| b.cmp(a));
    let twins = Policy::any(vec![key(1), key(1)]);
    let wide = |inner: Policy| Policy::any((1..KEYS).map(key).chain([inner]).collect());
    bad.extend([
        raw(0, keys(1)),
        raw(2, keys(1)),
        raw(1, Vec::new()),
        raw(1, reversed),
        raw(1, vec![public_key(&[1; 32]); 2]),
        Policy::threshold(1, keys(KEYS + 1)),
        Policy::older(1 << 31, key(1)),
        Policy::older(1 << 16, key(1)),
        hash(hash(hash(hash(key(1))))),
        Policy::Any(Vec::new()),
        twins,
        Policy::any((1..=KEYS + 1).map(key).collect()),
        // 1,030 bytes when one branch of each is revealed
        wide(wide(key(20))),
    ]);
    bad
}

impl Owners {
    fn new() -> Self {
        let (good, bad) = (good(), bad());
        let by_lock = good.iter().chain(&bad).map(|policy| (policy.lock(), policy.clone())).collect();
        let secrets = (1..=32).map(|number| (public_key(&[number; 32]), [number; 32])).collect();
        Self { good, bad, by_lock, secrets }
    }

    /// Somebody to pay.
    pub(super) fn pick(&self, rng: &mut ChaCha8Rng) -> Lock {
        let list = if rng.random_ratio(1, 8) { &self.bad } else { &self.good };
        list[rng.random_range(0..list.len())].lock()
    }

    /// Which lock each of the coins has that are there from the start: all good policies in turn.
    pub(super) fn lock_of(&self, number: usize) -> Lock {
        self.good[number % self.good.len()].lock()
    }

    /// The policy that a coin is locked to, with one branch of each `Any` revealed.
    pub(super) fn reveal(&self, lock: &Lock, rng: &mut ChaCha8Rng) -> Option<Policy> {
        self.by_lock.get(lock).map(|policy| reveal(policy, rng))
    }

    /// The witness that opens a revealed policy.
    pub(super) fn open(&self, policy: &Policy, sighash: &[u8; 32], rng: &mut ChaCha8Rng) -> Witness {
        let mut bytes = policy.to_bytes();
        self.satisfy(policy, sighash, rng, &mut bytes);
        Witness(bytes)
    }

    fn satisfy(&self, policy: &Policy, sighash: &[u8; 32], rng: &mut ChaCha8Rng, bytes: &mut Vec<u8>) {
        match policy {
            Policy::Key(key) => bytes.extend(self.sign(key, sighash, rng)),
            Policy::Threshold { required, keys } => {
                let first = rng.random_range(0..keys.len().max(1));
                let signs =
                    |place: usize| (place + keys.len() - first) % keys.len().max(1) < usize::from(*required);
                let places: Vec<usize> = (0..keys.len()).filter(|&place| signs(place)).collect();
                let bitmap =
                    places.iter().fold(0u16, |bitmap, place| bitmap | 1u16.wrapping_shl(*place as u32));
                bytes.extend(bitmap.to_le_bytes());
                places.iter().for_each(|&place| bytes.extend(self.sign(&keys[place], sighash, rng)));
            }
            Policy::After { policy, .. } | Policy::Older { policy, .. } => {
                self.satisfy(policy, sighash, rng, bytes);
            }
            Policy::Hash { policy, .. } => {
                bytes.extend(if rng.random_ratio(1, 16) { [8; 32] } else { PREIMAGE });
                self.satisfy(policy, sighash, rng, bytes);
            }
            Policy::Any(branches) => {
                if let Some(policy) = branches.iter().find_map(Branch::policy) {
                    self.satisfy(policy, sighash, rng, bytes);
                }
            }
        }
    }

    fn sign(&self, key: &PublicKey, sighash: &[u8; 32], rng: &mut ChaCha8Rng) -> [u8; 64] {
        forge::sign(self.secrets.get(key), key, sighash, rng)
    }
}

fn reveal(policy: &Policy, rng: &mut ChaCha8Rng) -> Policy {
    match policy {
        Policy::Key(_) | Policy::Threshold { .. } => policy.clone(),
        Policy::After { lock_time, policy } => Policy::after(*lock_time, reveal(policy, rng)),
        Policy::Older { sequence, policy } => Policy::older(*sequence, reveal(policy, rng)),
        Policy::Hash { digest, policy } => Policy::hash(*digest, reveal(policy, rng)),
        Policy::Any(branches) => {
            let shown = rng.random_range(0..branches.len().max(1));
            let show = |(place, branch): (usize, &Branch)| match branch {
                Branch::Revealed(policy) if place == shown => Branch::Revealed(reveal(policy, rng)),
                Branch::Revealed(_) | Branch::Hidden(_) => Branch::Hidden(branch.lock()),
            };
            Policy::Any(branches.iter().enumerate().map(show).collect())
        }
    }
}

/// The lock time and the sequence that a revealed policy asks of the transaction that spends it.
pub(super) fn needs(policy: &Policy) -> (u32, u32) {
    match policy {
        Policy::Key(_) | Policy::Threshold { .. } => (0, SEQUENCE_FINAL),
        Policy::Hash { policy, .. } => needs(policy),
        Policy::Any(branches) => branches.iter().find_map(Branch::policy).map_or((0, SEQUENCE_FINAL), needs),
        Policy::After { lock_time, policy } => {
            let (inner, sequence) = needs(policy);
            (inner.max(*lock_time), sequence.min(SEQUENCE_LOCK_TIME))
        }
        Policy::Older { sequence, policy } => {
            let (lock_time, inner) = needs(policy);
            (lock_time, if inner >= SEQUENCE_LOCK_TIME { *sequence } else { inner.max(*sequence) })
        }
    }
}
