//! Addresses: a lock as a person writes it.
//!
//! Bech32m (BIP 350): the network's prefix, the version symbol 0 (`q`), the 32 bytes of the lock. An address says
//! nothing about the policy behind it.

use bech32::primitives::decode::{CheckedHrpstring, CheckedHrpstringError};
use bech32::primitives::iter::{ByteIterExt as _, Fe32IterExt as _};
use bech32::{Bech32m, Fe32, Hrp};

use crate::hash::Lock;
use crate::params::Network;
use crate::policy::Policy;
use crate::reject::Reject;

/// A network and a lock on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Address {
    /// Where it can be paid to.
    pub network: Network,
    /// What payments to it are locked to.
    pub lock: Lock,
}

/// Why a text is no address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Not bech32m: a wrong character, mixed case, a wrong checksum.
    #[error("not an address: {}", innermost(.0))]
    Bech32(#[from] CheckedHrpstringError),
    /// A prefix that is no network's.
    #[error("the prefix `{0}` belongs to no network of tine")]
    UnknownPrefix(String),
    /// A version symbol that has no meaning yet.
    #[error("address version {0} is unknown")]
    UnknownVersion(u8),
    /// Not 32 bytes, or left-over bits that are not zero.
    #[error("an address must hold exactly 32 bytes")]
    Length,
}

/// What is really wrong: the outer errors of the library only say that something is.
fn innermost(error: &CheckedHrpstringError) -> String {
    if matches!(error, CheckedHrpstringError::Checksum(_)) {
        return "its checksum is wrong: a character is missing or mistyped, or two have changed places; copy it again".into();
    }
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

/// The networks that have addresses.
const NETWORKS: [Network; 3] = [Network::Main, Network::Devnet, Network::Regtest];

impl Address {
    /// The address that pays to `policy`.
    ///
    /// # Errors
    /// When coins sent there could never be spent: the policy breaks a limit or holds a weak key.
    pub fn of_policy(network: Network, policy: &Policy) -> Result<Self, Reject> {
        policy.check()?;
        Ok(Self { network, lock: policy.lock() })
    }

    /// Reads an address of any network, in lower or upper case.
    ///
    /// # Errors
    /// See [`AddressError`].
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        let mut checked = CheckedHrpstring::new::<Bech32m>(text)?;
        let prefix = checked.hrp().to_lowercase();
        let network = NETWORKS
            .into_iter()
            .find(|network| network.address_hrp() == prefix)
            .ok_or(AddressError::UnknownPrefix(prefix))?;
        match checked.fe32_iter().next().ok_or(AddressError::Length)? {
            Fe32::Q => {}
            version => return Err(AddressError::UnknownVersion(version.to_u8())),
        }
        checked.remove_witness_version();
        checked.validate_segwit_padding().map_err(|_| AddressError::Length)?;
        let bytes: Vec<u8> = checked.byte_iter().collect();
        let lock = Lock(bytes.try_into().map_err(|_| AddressError::Length)?);
        Ok(Self { network, lock })
    }
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let hrp = Hrp::parse_unchecked(self.network.address_hrp());
        let data = self.lock.0.iter().copied().bytes_to_fes().with_checksum::<Bech32m>(&hrp);
        data.with_witness_version(Fe32::Q)
            .chars()
            .try_for_each(|symbol| std::fmt::Write::write_char(f, symbol))
    }
}

impl std::str::FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl serde::Serialize for Address {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Address {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}
