//! Keys and signatures: SPEC §6 and §8.

use curve25519_dalek::EdwardsPoint;
use curve25519_dalek::edwards::CompressedEdwardsY;
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::IsIdentity as _;
use num_bigint::BigUint;
use sha2::{Digest as _, Sha512};

use super::wire::Hash;

/// What a policy may say of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    /// One encoding, and not of small order.
    Good,
    /// Another encoding of a number or a point, or a point of small order.
    Weak,
    /// No point of the curve.
    NoPoint,
}

pub(super) fn judge_key(key: &Hash) -> Key {
    let mut y = *key;
    y[31] &= 0x7f;
    let prime = (BigUint::from(1u8) << 255u32) - 19u8;
    if BigUint::from_bytes_le(&y) >= prime {
        return Key::Weak;
    }
    match CompressedEdwardsY(*key).decompress() {
        None => Key::NoPoint,
        Some(point) if point.compress().0 != *key => Key::Weak,
        Some(point) if point.mul_by_cofactor().is_identity() => Key::Weak,
        Some(_) => Key::Good,
    }
}

/// ZIP-215: [8][S]B = [8]R + [8][k]A.
pub(super) fn verify(key: &Hash, message: &Hash, signature: &[u8; 64]) -> bool {
    let (r, s) = signature.split_at(32);
    let [r, s]: [Hash; 2] = [r, s].map(|half| half.try_into().expect("thirty-two bytes"));
    let points = CompressedEdwardsY(*key).decompress().zip(CompressedEdwardsY(r).decompress());
    let Some(((key_point, r_point), s)) = points.zip(Scalar::from_canonical_bytes(s).into_option()) else {
        return false;
    };
    let mut hash = Sha512::new();
    hash.update(r);
    hash.update(key);
    hash.update(message);
    let k = Scalar::from_bytes_mod_order_wide(&hash.finalize().into());
    (EdwardsPoint::mul_base(&s) - r_point - key_point * k).mul_by_cofactor().is_identity()
}
