//! Signatures as signers make them, and as only an attacker would.

use std::sync::LazyLock;

use curve25519_dalek::EdwardsPoint;
use curve25519_dalek::constants::EIGHT_TORSION;
use curve25519_dalek::edwards::CompressedEdwardsY;
use curve25519_dalek::scalar::Scalar;
use num_bigint::BigUint;
use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;
use sha2::{Digest as _, Sha512};
use tine_chain::policy::PublicKey;

/// The identity, y = 1, written as y = p + 1.
const OTHER_IDENTITY: [u8; 32] = {
    let mut bytes = [0xff; 32];
    bytes[0] = 0xee;
    bytes[31] = 0x7f;
    bytes
};

/// Keys that no policy may have: of small order, written otherwise, no point at all.
pub(super) fn weak_keys() -> Vec<PublicKey> {
    let mut keys: Vec<_> = EIGHT_TORSION[..4].iter().map(|point| point.compress().0).collect();
    keys.push(OTHER_IDENTITY);
    let no_point = (2..=u8::MAX).map(|y| {
        let mut bytes = [0; 32];
        bytes[0] = y;
        bytes
    });
    keys.extend(no_point.filter(|bytes| CompressedEdwardsY(*bytes).decompress().is_none()).take(1));
    keys.into_iter().map(PublicKey).collect()
}

/// A signature over `message` that `key` may or may not have made.
pub(super) fn sign(
    secret: Option<&[u8; 32]>,
    key: &PublicKey,
    message: &[u8; 32],
    rng: &mut ChaCha8Rng,
) -> [u8; 64] {
    let honest = |message: &[u8; 32]| match secret {
        Some(secret) => tine_chain::signature::sign(secret, message),
        None => crafted(Scalar::ZERO, key, message, Scalar::ZERO, EdwardsPoint::default().compress()),
    };
    let nonce = Scalar::from(rng.random_range(1..1_000u64));
    let torsion = EIGHT_TORSION[rng.random_range(0..8)];
    match rng.random_range(0..160) {
        // R with a part of small order: only the equation with the cofactor holds
        0 => {
            let r = (EdwardsPoint::mul_base(&nonce) + torsion).compress();
            crafted(nonce, key, message, scalar(secret), r)
        }
        // R of small order, or written with y = p + 1
        1 => crafted(Scalar::ZERO, key, message, scalar(secret), torsion.compress()),
        2 => crafted(Scalar::ZERO, key, message, scalar(secret), CompressedEdwardsY(OTHER_IDENTITY)),
        // S that is not below the group order
        3 => with_order_added(honest(message)),
        // another message, another key
        4 => honest(&[rng.random(); 32]),
        5 => tine_chain::signature::sign(&[rng.random(); 32], message),
        _ => honest(message),
    }
}

/// The secret's scalar (RFC 8032); zero for a key that has none: right for the identity.
fn scalar(secret: Option<&[u8; 32]>) -> Scalar {
    let Some(secret) = secret else { return Scalar::ZERO };
    let hash: [u8; 64] = Sha512::digest(secret).into();
    let mut bytes: [u8; 32] = hash[..32].try_into().expect("half of the hash");
    bytes[0] &= 0xf8;
    bytes[31] = bytes[31] & 0x3f | 0x40;
    Scalar::from_bytes_mod_order(bytes)
}

/// S = nonce + k × secret, for any R.
fn crafted(
    nonce: Scalar,
    key: &PublicKey,
    message: &[u8; 32],
    secret: Scalar,
    r: CompressedEdwardsY,
) -> [u8; 64] {
    let hash = Sha512::new().chain_update(r.0).chain_update(key.0).chain_update(message);
    let k = Scalar::from_bytes_mod_order_wide(&hash.finalize().into());
    let mut signature = [0; 64];
    signature[..32].copy_from_slice(&r.0);
    signature[32..].copy_from_slice(&(nonce + k * secret).to_bytes());
    signature
}

/// The group order.
static ORDER: LazyLock<BigUint> =
    LazyLock::new(|| BigUint::from_bytes_le(&(Scalar::ZERO - Scalar::ONE).to_bytes()) + 1u8);

fn with_order_added(mut signature: [u8; 64]) -> [u8; 64] {
    let sum = (BigUint::from_bytes_le(&signature[32..]) + &*ORDER).to_bytes_le();
    signature[32..].fill(0);
    signature[32..32 + sum.len()].copy_from_slice(&sum);
    signature
}
