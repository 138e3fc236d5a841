//! SHA-256, SHA-256d and tagged hashes, and the names of the things they identify.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};

use crate::codec::{Decode, DecodeError, Encode, Reader};

/// SHA-256 of `bytes` (FIPS 180-4).
#[must_use]
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// SHA-256 of the SHA-256 of `bytes`: Bitcoin's identity of blocks, transactions and Merkle nodes.
#[must_use]
pub fn sha256d(bytes: &[u8]) -> [u8; 32] {
    sha256(&sha256(bytes))
}

/// BIP 340's tagged hash, `SHA-256(SHA-256(tag) ‖ SHA-256(tag) ‖ message)`: a hash made for one purpose
/// can't be taken for one made for another.
///
/// The tag fills SHA-256's first block: where many hashes have one purpose, the state after it is kept and cloned.
#[derive(Clone)]
pub struct TaggedHash(Sha256);

impl TaggedHash {
    /// A hash for the purpose that `tag` names.
    #[must_use]
    pub fn new(tag: &str) -> Self {
        let tag = sha256(tag.as_bytes());
        Self(Sha256::new().chain_update(tag).chain_update(tag))
    }

    /// Adds bytes to the message.
    #[must_use]
    pub fn chain(mut self, bytes: impl AsRef<[u8]>) -> Self {
        self.0.update(bytes);
        self
    }

    /// The 32-byte digest.
    #[must_use]
    pub fn finish(self) -> [u8; 32] {
        self.0.finalize().into()
    }
}

/// A string that is not 64 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a hash must be 64 hexadecimal digits")]
pub struct ParseHashError;

/// Thirty-two bytes that are shown as hexadecimal digits, `$order` deciding from which end.
macro_rules! bytes32 {
    ($(#[$doc:meta])* $name:ident, $reversed:expr) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name(pub [u8; 32]);

        impl $name {
            /// Thirty-two zero bytes.
            pub const ZERO: Self = Self([0; 32]);
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let mut bytes = self.0;
                if $reversed {
                    bytes.reverse();
                }
                f.write_str(&hex::encode(bytes))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = ParseHashError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                let mut bytes = [0; 32];
                hex::decode_to_slice(text, &mut bytes).map_err(|_| ParseHashError)?;
                if $reversed {
                    bytes.reverse();
                }
                Ok(Self(bytes))
            }
        }

        impl AsRef<[u8]> for $name {
            fn as_ref(&self) -> &[u8] {
                &self.0
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }

        impl Encode for $name {
            fn encode(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.0);
            }
        }

        impl Decode for $name {
            fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
                reader.array().map(Self)
            }
        }
    };
}

bytes32! {
    /// A block's id: SHA-256d of its 80-byte header, shown byte-reversed as Bitcoin does.
    BlockHash, true
}
bytes32! {
    /// A transaction's id: SHA-256d of its encoding without witnesses, so that no third party can change it
    /// (a coinbase's is over the whole). Shown byte-reversed.
    Txid, true
}
bytes32! {
    /// SHA-256d of a whole transaction, witnesses included. Shown byte-reversed.
    Wtxid, true
}
bytes32! {
    /// The root that a header commits to: Bitcoin's Merkle tree over wtxids. Shown byte-reversed.
    MerkleRoot, true
}
bytes32! {
    /// What an output is locked to: the tagged hash of a spending policy. Shown in byte order.
    Lock, false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sha256d_of_the_empty_string() {
        assert_eq!(
            hex::encode(sha256d(b"")),
            "5df6e0e2761359d30a8275058e299fcc0381534545f55cf43e41983f5d4c9456"
        );
    }

    #[test]
    fn ids_are_shown_byte_reversed_and_locks_are_not() {
        let mut bytes = [0; 32];
        bytes[31] = 0xab;
        assert!(BlockHash(bytes).to_string().starts_with("ab00"));
        assert!(Lock(bytes).to_string().ends_with("00ab"));
        assert_eq!(BlockHash(bytes).to_string().parse(), Ok(BlockHash(bytes)));
        assert_eq!("zz".parse::<Txid>(), Err(ParseHashError));
    }
}
