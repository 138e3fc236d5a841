//! The development wallets: PUBLIC keys, printed here for everyone.
//!
//! Their coins belong to whoever reads this. They exist so that a devnet has people in it whose addresses are the same
//! on every machine. A program shows them as public ([`crate::wallet::Wallet::is_public`]) and must refuse them on
//! [`Network::Main`], as [`wallet`] does.

use std::path::Path;

use tine_chain::params::{Network, Params};

use crate::error::WalletError;
use crate::keys::Phrase;
use crate::keystore::{Keystore, PUBLIC_PASSPHRASE, Secret};
use crate::wallet::{Wallet, secret_of};

/// A wallet whose words are public.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DevWallet {
    /// What it is called.
    pub name: &'static str,
    /// Its BIP-39 words. PUBLIC.
    pub phrase: &'static str,
}

/// The four people of a devnet. Their words are BIP-39 of the first 16 bytes of SHA-256 of
/// `tine public wallet` and the name, a space between.
pub const DEV_WALLETS: [DevWallet; 4] = [
    DevWallet {
        name: "alice",
        phrase: "artwork matrix check hole glide tattoo obtain field maze mouse erase urban",
    },
    DevWallet {
        name: "bob",
        phrase: "clown cannon summer knock parent print another seven dilemma brown engine hold",
    },
    DevWallet {
        name: "carol",
        phrase: "flavor mechanic notable ankle hammer plate donkey oyster weather review border legal",
    },
    DevWallet {
        name: "dave",
        phrase: "napkin notice salute sock labor cabin inquiry deputy equal help just lunch",
    },
];

impl DevWallet {
    /// The one called `name`.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        DEV_WALLETS.into_iter().find(|wallet| wallet.name == name)
    }

    /// Its secret, which is none.
    #[must_use]
    pub fn secret(&self) -> Secret {
        secret_of(self.phrase.parse::<Phrase>().expect("the constants are phrases: tested"))
    }
}

/// The development wallet called `name`, in memory and unlocked; its first address is given out already.
///
/// # Errors
/// [`WalletError::PublicOnMain`], [`WalletError::NoDevWallet`], [`WalletError::Randomness`].
pub fn wallet(name: &str, params: &Params) -> Result<Wallet, WalletError> {
    if params.network == Network::Main {
        return Err(WalletError::PublicOnMain);
    }
    let dev = DevWallet::named(name).ok_or_else(|| WalletError::NoDevWallet(name.to_owned()))?;
    let mut wallet = Wallet::in_memory(params, &dev.secret())?;
    let first = wallet.first_address()?;
    wallet.set_label(&first.address, dev.name);
    Ok(wallet)
}

/// Makes the development wallet `dev` in `directory`, unlocked, so that it remembers across restarts which addresses it
/// gave out.
///
/// # Errors
/// [`WalletError::PublicOnMain`], and those of [`Wallet::create`].
pub fn create(directory: &Path, dev: DevWallet, params: &Params) -> Result<Wallet, WalletError> {
    if params.network == Network::Main {
        return Err(WalletError::PublicOnMain);
    }
    let mut wallet = Wallet::create_public(directory, params, &dev.secret())?;
    let first = wallet.first_address()?;
    wallet.set_label(&first.address, dev.name);
    wallet.save()?;
    Ok(wallet)
}

/// The same wallet as a keystore, sealed under [`PUBLIC_PASSPHRASE`] and marked public.
///
/// # Errors
/// [`WalletError::Randomness`].
pub fn keystore(wallet: DevWallet, network: Network) -> Result<Keystore, WalletError> {
    let keystore = Keystore::seal_public(&wallet.secret(), network)?;
    debug_assert!(keystore.open(PUBLIC_PASSPHRASE).is_ok());
    Ok(keystore)
}

#[cfg(test)]
mod tests {
    use tine_chain::hash::sha256;

    use super::*;

    #[test]
    fn the_words_come_from_the_names() {
        for dev in DEV_WALLETS {
            let entropy = sha256(format!("tine public wallet {}", dev.name).as_bytes());
            assert_eq!(*Phrase::from_entropy(&entropy[..16]).unwrap().words(), dev.phrase);
        }
    }

    #[test]
    fn the_addresses_are_the_same_on_every_machine() {
        let address = |name: &str, network| {
            wallet(name, &Params::of(network)).unwrap().first_address().unwrap().address.to_string()
        };
        for (name, expected) in [
            ("alice", "dtine1qw0suxtf6t747y5gd3pmrzkaxpfpckwrn0ckmstzrs556t5dvfjeqyj74jn"),
            ("bob", "dtine1qxuuqug99fzsunrgkdsselmer4su8uuhauqphh2fq2x6kp938eapsa95ev0"),
            ("carol", "dtine1qusq58hk7nq44f0yr7gg8rm729g8fua8fmnhug2dtsvk2hk9fuy6sp22t93"),
            ("dave", "dtine1qtruc04m5klpr695wsthfnp8gheclfqasuggax8vxngmajp8unr2qdcp8al"),
        ] {
            assert_eq!(address(name, Network::Devnet), expected);
            assert_ne!(address(name, Network::Regtest), expected);
        }
    }

    #[test]
    fn a_wallet_on_disk_is_public_and_gives_the_same_address() {
        let root = tempfile::tempdir().unwrap();
        let params = Params::of(Network::Devnet);
        let directory = root.path().join("alice");
        let first = create(&directory, DEV_WALLETS[0], &params).unwrap().first_address().unwrap();
        let mut opened = Wallet::open(&directory, &params).unwrap();
        assert!(opened.is_public());
        opened.unlock(PUBLIC_PASSPHRASE, None).unwrap();
        assert_eq!(opened.first_address().unwrap(), first);
        assert_eq!(first, wallet("alice", &params).unwrap().first_address().unwrap());
        let main = Params::of(Network::Main);
        let refused = create(&root.path().join("main"), DEV_WALLETS[0], &main);
        assert!(matches!(refused, Err(WalletError::PublicOnMain)));
    }

    #[test]
    fn public_keys_are_refused_on_main_and_marked_elsewhere() {
        assert!(matches!(wallet("alice", &Params::of(Network::Main)), Err(WalletError::PublicOnMain)));
        assert!(matches!(wallet("mallory", &Params::of(Network::Devnet)), Err(WalletError::NoDevWallet(_))));
        assert!(wallet("alice", &Params::of(Network::Devnet)).unwrap().is_public());
    }
}
