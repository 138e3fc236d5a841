//! ed25519 signatures under ZIP-215, singly and in batches.
//!
//! ed25519-dalek makes keys and signatures, ed25519-zebra judges them: ZIP-215 is the published rule under which a
//! batch and a single check always agree, whatever else is in the batch and in whatever order. dalek's own batch
//! gives verdicts that hang on the order, so it must never be called. The batch's weights come from the operating
//! system; the verdict does not depend on them. Threads (rayon) and randomness are the exceptions to this crate's
//! purity that the design grants to this file.

use std::sync::{Arc, Condvar, Mutex, PoisonError};

use ed25519_dalek::Signer as _;
use ed25519_zebra::{Signature, VerificationKey, VerificationKeyBytes, batch};
use rand::SeedableRng as _;
use rand::rngs::{StdRng, SysRng};
use rayon::prelude::*;

use crate::codec::{Decode, DecodeError, Encode, Reader};
use crate::hash::ParseHashError;
use crate::reject::Reject;

/// Signatures checked together: beyond this a batch gains little.
const MAX_BATCH: usize = 1_024;
/// Below this a batch costs more than the cores it would occupy save.
const MIN_BATCH: usize = 32;

/// The prime 2^255 − 19, little-endian: a canonical y-coordinate is below it.
const FIELD_PRIME: [u8; 32] = with_ends(0xed, 0xff, 0x7f);

/// The y-coordinates of the points of order 1, 2, 4 and 8, little-endian: with either sign of x, these are all eight.
const SMALL_ORDER: [[u8; 32]; 5] = [
    with_ends(1, 0, 0),
    with_ends(0xec, 0xff, 0x7f),
    [0; 32],
    [
        0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0, 0xd5,
        0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05,
    ],
    [
        0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f, 0x2a,
        0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a,
    ],
];

/// Thirty-two bytes: the first, thirty in the middle, the last.
const fn with_ends(first: u8, middle: u8, last: u8) -> [u8; 32] {
    let mut bytes = [middle; 32];
    bytes[0] = first;
    bytes[31] = last;
    bytes
}

/// An ed25519 public key, 32 bytes. Shown as hexadecimal digits in byte order.
///
/// The bytes may be anything; [`PublicKey::check`] tells whether a policy may hold them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey(pub [u8; 32]);

impl PublicKey {
    /// Whether a policy may hold this key.
    ///
    /// "Policies may hold only keys that decode canonically and are not of small order": for a key of small order
    /// anybody can make signatures, and a second encoding of one point would be a second name of one owner.
    ///
    /// # Errors
    /// [`Reject::WeakKey`].
    pub fn check(&self) -> Result<(), Reject> {
        self.check_encoding()?;
        ed25519_dalek::VerifyingKey::from_bytes(&self.0).map_err(|_| Reject::WeakKey)?;
        Ok(())
    }

    /// [`PublicKey::check`] without decoding, for a key whose signature is about to be verified: that decodes it, and
    /// fails if there is no such point.
    ///
    /// # Errors
    /// [`Reject::WeakKey`].
    pub(crate) fn check_encoding(&self) -> Result<(), Reject> {
        let mut y = self.0;
        y[31] &= 0x7f;
        // Canonical means y below the prime and no sign on x = 0; the two points with x = 0 are of small order. This
        // is the same as encoding the point again and comparing (see the tests), without the arithmetic.
        let canonical = y.iter().rev().lt(FIELD_PRIME.iter().rev());
        if canonical && !SMALL_ORDER.contains(&y) { Ok(()) } else { Err(Reject::WeakKey) }
    }
}

impl std::fmt::Display for PublicKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl std::fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

impl std::str::FromStr for PublicKey {
    type Err = ParseHashError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes).map_err(|_| ParseHashError)?;
        Ok(Self(bytes))
    }
}

impl serde::Serialize for PublicKey {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for PublicKey {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl Encode for PublicKey {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.0);
    }
}

impl Decode for PublicKey {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        reader.array().map(Self)
    }
}

/// One signature to be judged: 128 bytes that need nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SignatureCheck {
    /// The public key, an encoded point.
    pub key: [u8; 32],
    /// What was signed: a sighash.
    pub message: [u8; 32],
    /// R ‖ S.
    pub signature: [u8; 64],
}

/// Where batches are computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Parallel {
    /// On the calling thread: the laboratory, which runs thousands of nodes.
    #[default]
    Inline,
    /// On all cores, through rayon.
    AllCores,
}

/// Whether one signature is valid under ZIP-215: S canonical, A and R any encodings of points,
/// `[8][S]B = [8]R + [8][k]A`.
#[must_use]
pub fn verify_one(check: &SignatureCheck) -> bool {
    VerificationKey::try_from(check.key)
        .and_then(|key| key.verify(&Signature::from_bytes(&check.signature), &check.message))
        .is_ok()
}

/// Whether all signatures are valid under ZIP-215: the same verdict as [`verify_one`] on each, only faster.
///
/// # Errors
/// The index of the first that is not valid.
pub fn verify_batch(checks: &[SignatureCheck], parallel: Parallel) -> Result<(), usize> {
    let guilty = match parallel {
        // under one rule for both the cheaper one may be asked
        _ if checks.len() == 1 => (!verify_one(&checks[0])).then_some(0),
        Parallel::Inline => first_guilty(checks, MAX_BATCH),
        Parallel::AllCores => {
            let size = checks.len().div_ceil(rayon::current_num_threads()).clamp(MIN_BATCH, MAX_BATCH);
            if checks.len() <= size {
                first_guilty(checks, size)
            } else {
                checks
                    .par_chunks(size)
                    .enumerate()
                    .find_map_first(|(chunk, checks)| first_guilty(checks, size).map(|at| chunk * size + at))
            }
        }
    };
    guilty.map_or(Ok(()), Err)
}

/// The first signature that is not valid, batch by batch.
fn first_guilty(checks: &[SignatureCheck], batch_size: usize) -> Option<usize> {
    checks.chunks(batch_size).enumerate().find_map(|(number, checks)| {
        // when the batch fails, each is checked alone, so that the guilty one is named
        if batch_is_valid(checks) {
            return None;
        }
        let at = checks.iter().position(|check| !verify_one(check))?;
        Some(number * batch_size + at)
    })
}

/// Whether the batch equation holds. `false` also when the operating system has no randomness to give.
fn batch_is_valid(checks: &[SignatureCheck]) -> bool {
    let Ok(rng) = StdRng::try_from_rng(&mut SysRng) else { return false };
    let mut verifier = batch::Verifier::new();
    for check in checks {
        let key = VerificationKeyBytes::from(check.key);
        verifier.queue((key, Signature::from_bytes(&check.signature), &check.message));
    }
    verifier.verify(rng).is_ok()
}

/// A value that is worked out on another core.
#[derive(Debug)]
pub(crate) struct Background<T>(Arc<Slot<T>>);

#[derive(Debug)]
struct Slot<T> {
    value: Mutex<Option<T>>,
    news: Condvar,
}

impl<T: Clone + Send + 'static> Background<T> {
    /// Runs `work` as soon as a core is free.
    pub(crate) fn new(work: impl FnOnce() -> T + Send + 'static) -> Self {
        let slot = Arc::new(Slot { value: Mutex::new(None), news: Condvar::new() });
        let filled = Arc::clone(&slot);
        rayon::spawn_fifo(move || {
            let value = work();
            *filled.value.lock().unwrap_or_else(PoisonError::into_inner) = Some(value);
            filled.news.notify_all();
        });
        Self(slot)
    }

    /// Whether it is there.
    pub(crate) fn is_done(&self) -> bool {
        self.0.value.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// The value, as soon as it is there.
    pub(crate) fn wait(&self) -> T {
        let mut value = self.0.value.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(value) = &*value {
                return value.clone();
            }
            value = self.0.news.wait(value).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// Signs `message` with the 32-byte secret (RFC 8032; the same input gives the same signature).
#[must_use]
pub fn sign(secret: &[u8; 32], message: &[u8; 32]) -> [u8; 64] {
    ed25519_dalek::SigningKey::from_bytes(secret).sign(message).to_bytes()
}

/// The public key of the 32-byte secret (RFC 8032).
#[must_use]
pub fn public_key(secret: &[u8; 32]) -> PublicKey {
    PublicKey(ed25519_dalek::SigningKey::from_bytes(secret).verifying_key().to_bytes())
}
