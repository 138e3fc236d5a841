//! The encrypted keystore: a phrase, sealed under a passphrase.
//!
//! The file is JSON. Its header names everything that is needed to open it and is authenticated with the secret:
//! Argon2id (RFC 9106) makes a 32-byte key of the passphrase and a salt of 16 random bytes, XChaCha20-Poly1305 seals
//! the secret under a nonce of 24 random bytes, with the header's JSON (no spaces, fields in the order of [`Header`])
//! as associated data. What is sealed: entropy length (one byte), entropy, then BIP-39's own passphrase in UTF-8.
//!
//! A wallet is never stored unencrypted. The well-known development wallets are no exception: they are sealed under
//! [`PUBLIC_PASSPHRASE`] with the light cost, and their header says `"public": true`, so that a program can open them
//! without asking and must say that anyone else can.

use argon2::{Algorithm, Argon2, Params, Version};
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};
use serde::{Deserialize, Serialize};
use std::path::Path;
use tine_chain::params::Network;
use zeroize::Zeroizing;

use crate::error::WalletError;
use crate::keys::{Phrase, Seed};

/// The passphrase of keystores that are marked public: anyone may know it.
pub const PUBLIC_PASSPHRASE: &str = "public";

/// What the file says it is.
const FORMAT: &str = "tine-keystore";
/// The version that this program writes.
const VERSION: u32 = 1;

/// What a guess of the passphrase costs. Kept in the file, so that it can be raised later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct KdfCost {
    /// Memory, in KiB.
    pub memory_kib: u32,
    /// Passes over it.
    pub passes: u32,
    /// Lanes.
    pub lanes: u32,
}

impl KdfCost {
    /// 64 MiB, 3 passes: RFC 9106's second recommendation with one lane instead of four, some 0.2 s on a laptop.
    pub const STANDARD: Self = Self { memory_kib: 64 << 10, passes: 3, lanes: 1 };
    /// 1 MiB, 1 pass: for secrets that are public, and for tests.
    pub const LIGHT: Self = Self { memory_kib: 1 << 10, passes: 1, lanes: 1 };

    /// Whether a file may ask for this: a planted one must not cost a gigabyte or a minute.
    fn in_bounds(self) -> bool {
        (8 * self.lanes..=1 << 20).contains(&self.memory_kib)
            && (1..=16).contains(&self.passes)
            && (1..=4).contains(&self.lanes)
    }

    fn derive_key(self, passphrase: &str, salt: &[u8; 16]) -> Zeroizing<[u8; 32]> {
        let params = Params::new(self.memory_kib, self.passes, self.lanes, Some(32))
            .expect("in_bounds is narrower than Argon2's own bounds");
        let mut key = Zeroizing::new([0; 32]);
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into(passphrase.as_bytes(), salt, &mut key[..])
            .expect("a 16-byte salt and a 32-byte key are in Argon2's bounds");
        key
    }
}

/// Everything in the file but the sealed secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    format: String,
    version: u32,
    /// The network whose addresses the wallet shows.
    pub network: Network,
    /// The secret is well known, and so is its passphrase.
    pub public: bool,
    kdf: String,
    cost: KdfCost,
    #[serde(with = "hex::serde")]
    salt: [u8; 16],
    cipher: String,
    #[serde(with = "hex::serde")]
    nonce: [u8; 24],
}

impl Header {
    fn new(network: Network, public: bool, cost: KdfCost) -> Result<Self, WalletError> {
        let (mut salt, mut nonce) = ([0; 16], [0; 24]);
        getrandom::fill(&mut salt).map_err(WalletError::Randomness)?;
        getrandom::fill(&mut nonce).map_err(WalletError::Randomness)?;
        Ok(Self {
            format: FORMAT.to_owned(),
            version: VERSION,
            network,
            public,
            kdf: "argon2id".to_owned(),
            cost,
            salt,
            cipher: "xchacha20-poly1305".to_owned(),
            nonce,
        })
    }

    fn cipher(&self, passphrase: &str) -> XChaCha20Poly1305 {
        let key = self.cost.derive_key(passphrase, &self.salt);
        XChaCha20Poly1305::new(&Key::from(*key))
    }

    fn associated_data(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a struct of strings and numbers is JSON")
    }
}

/// What a keystore seals.
pub struct Secret {
    /// The words.
    pub phrase: Phrase,
    /// BIP-39's own passphrase; empty for none.
    pub bip39_passphrase: Zeroizing<String>,
}

impl Secret {
    /// The seed of all keys.
    #[must_use]
    pub fn seed(&self) -> Seed {
        self.phrase.seed(&self.bip39_passphrase)
    }

    fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let entropy = self.phrase.entropy();
        let mut bytes = Zeroizing::new(Vec::with_capacity(1 + entropy.len() + self.bip39_passphrase.len()));
        bytes.push(u8::try_from(entropy.len()).expect("16 or 32"));
        bytes.extend_from_slice(&entropy);
        bytes.extend_from_slice(self.bip39_passphrase.as_bytes());
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (len, rest) = bytes.split_first()?;
        let (entropy, passphrase) = rest.split_at_checked(usize::from(*len))?;
        Some(Self {
            phrase: Phrase::from_entropy(entropy)?,
            bip39_passphrase: Zeroizing::new(std::str::from_utf8(passphrase).ok()?.to_owned()),
        })
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// A sealed secret: what is in the file, and safe to keep in memory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Keystore {
    header: Header,
    #[serde(with = "hex::serde")]
    sealed: Vec<u8>,
}

/// Checks a new passphrase. Any characters may be in it, NUL too: it is compared whole.
fn check_passphrase(passphrase: &str) -> Result<(), WalletError> {
    if passphrase.is_empty() { Err(WalletError::EmptyPassphrase) } else { Ok(()) }
}

impl Keystore {
    /// Seals `secret` under `passphrase`.
    ///
    /// # Errors
    /// [`WalletError::EmptyPassphrase`], [`WalletError::Randomness`].
    pub fn seal(
        secret: &Secret,
        passphrase: &str,
        network: Network,
        cost: KdfCost,
    ) -> Result<Self, WalletError> {
        check_passphrase(passphrase)?;
        Self::seal_with(secret, passphrase, Header::new(network, false, cost)?)
    }

    /// Seals a well-known secret under [`PUBLIC_PASSPHRASE`], at the light cost, and marks it public.
    ///
    /// # Errors
    /// [`WalletError::Randomness`].
    pub fn seal_public(secret: &Secret, network: Network) -> Result<Self, WalletError> {
        Self::seal_with(secret, PUBLIC_PASSPHRASE, Header::new(network, true, KdfCost::LIGHT)?)
    }

    fn seal_with(secret: &Secret, passphrase: &str, header: Header) -> Result<Self, WalletError> {
        let (msg, aad) = (secret.to_bytes(), header.associated_data());
        let sealed = header
            .cipher(passphrase)
            .encrypt(&XNonce::from(header.nonce), Payload { msg: &msg, aad: &aad })
            .expect("a secret is far shorter than the cipher's limit");
        Ok(Self { header, sealed })
    }

    /// Opens the keystore.
    ///
    /// # Errors
    /// [`WalletError::WrongPassphrase`], also when the header or the sealed bytes were changed;
    /// [`WalletError::EmptyPassphrase`].
    pub fn open(&self, passphrase: &str) -> Result<Secret, WalletError> {
        check_passphrase(passphrase)?;
        let aad = self.header.associated_data();
        let bytes = self
            .header
            .cipher(passphrase)
            .decrypt(&XNonce::from(self.header.nonce), Payload { msg: &self.sealed, aad: &aad })
            .map_err(|_| WalletError::WrongPassphrase)?;
        Secret::from_bytes(&Zeroizing::new(bytes)).ok_or(WalletError::WrongPassphrase)
    }

    /// Seals the same secret under another passphrase, a new salt and a new nonce. A public keystore stays what it is.
    ///
    /// # Errors
    /// As [`Keystore::open`] and [`Keystore::seal`].
    pub fn change_passphrase(&self, old: &str, new: &str) -> Result<Self, WalletError> {
        check_passphrase(new)?;
        let secret = self.open(old)?;
        let header = Header::new(self.header.network, self.header.public, self.header.cost)?;
        Self::seal_with(&secret, new, header)
    }

    /// What the file says without a passphrase.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The file's text.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        let mut json = serde_json::to_vec_pretty(self).expect("a struct of strings and numbers is JSON");
        json.push(b'\n');
        json
    }

    /// Reads the file's text; `path` is for the error.
    ///
    /// # Errors
    /// [`WalletError::Format`] for a later version, [`WalletError::Corrupt`] for everything else that we didn't write.
    pub fn from_json(json: &[u8], path: &Path) -> Result<Self, WalletError> {
        #[derive(Deserialize)]
        struct Version {
            format: String,
            version: u32,
        }
        #[derive(Deserialize)]
        struct Outline {
            header: Version,
        }
        let corrupt = |what: String| WalletError::Corrupt { path: path.to_owned(), what };
        let Outline { header: version } =
            serde_json::from_slice(json).map_err(|error| corrupt(error.to_string()))?;
        if version.format != FORMAT {
            return Err(corrupt("it is no keystore".to_owned()));
        }
        if version.version != VERSION {
            return Err(WalletError::Format {
                path: path.to_owned(),
                found: version.version,
                known: VERSION,
            });
        }
        let keystore: Self = serde_json::from_slice(json).map_err(|error| corrupt(error.to_string()))?;
        let header = &keystore.header;
        if header.kdf != "argon2id" || header.cipher != "xchacha20-poly1305" {
            return Err(corrupt("unknown key derivation or cipher".to_owned()));
        }
        if !header.cost.in_bounds() {
            return Err(corrupt("its Argon2 cost is out of bounds".to_owned()));
        }
        Ok(keystore)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret() -> Secret {
        Secret {
            phrase: Phrase::from_entropy(&[0x5a; 16]).unwrap(),
            bip39_passphrase: Zeroizing::new("twenty-fifth".to_owned()),
        }
    }

    fn sealed(passphrase: &str) -> Keystore {
        Keystore::seal(&secret(), passphrase, Network::Regtest, KdfCost::LIGHT).unwrap()
    }

    fn parse(json: &[u8]) -> Result<Keystore, WalletError> {
        Keystore::from_json(json, Path::new("keystore.json"))
    }

    #[test]
    fn what_is_sealed_comes_back() {
        let keystore = parse(&sealed("correct horse").to_json()).unwrap();
        let opened = keystore.open("correct horse").unwrap();
        assert_eq!(*opened.phrase.words(), *secret().phrase.words());
        assert_eq!(*opened.bip39_passphrase, "twenty-fifth");
    }

    #[test]
    fn wal_01_the_whole_passphrase_counts_and_an_empty_one_is_refused() {
        assert!(matches!(
            Keystore::seal(&secret(), "", Network::Main, KdfCost::LIGHT),
            Err(WalletError::EmptyPassphrase)
        ));
        let keystore = sealed("be\0fore");
        for wrong in ["be", "be\0", "be\0for", "be\0foreX", "be\0fxre", "Be\0fore", "be\0fore "] {
            assert!(matches!(keystore.open(wrong), Err(WalletError::WrongPassphrase)), "{wrong:?}");
        }
        assert!(matches!(keystore.open(""), Err(WalletError::EmptyPassphrase)));
        keystore.open("be\0fore").unwrap();
    }

    #[test]
    fn wal_01_after_a_change_the_old_passphrase_is_dead() {
        let old = sealed("old");
        let new = old.change_passphrase("old", "new").unwrap();
        assert!(matches!(new.open("old"), Err(WalletError::WrongPassphrase)));
        assert_eq!(*new.open("new").unwrap().phrase.words(), *secret().phrase.words());
        assert_ne!(old.header.salt, new.header.salt);
        assert_ne!(old.header.nonce, new.header.nonce);
        assert!(matches!(old.change_passphrase("wrong", "new"), Err(WalletError::WrongPassphrase)));
        assert!(matches!(old.change_passphrase("old", ""), Err(WalletError::EmptyPassphrase)));
    }

    #[test]
    fn the_header_is_authenticated() {
        let keystore = sealed("p");
        let mut changed = Vec::new();
        for edit in [
            |header: &mut Header| header.network = Network::Main,
            |header: &mut Header| header.public = true,
            |header: &mut Header| header.cost.passes = 2,
            |header: &mut Header| header.salt[0] ^= 1,
            |header: &mut Header| header.nonce[23] ^= 1,
        ] {
            let mut copy = keystore.clone();
            edit(&mut copy.header);
            changed.push(copy);
        }
        for index in 0..keystore.sealed.len() {
            let mut copy = keystore.clone();
            copy.sealed[index] ^= 0x80;
            changed.push(copy);
        }
        for copy in changed {
            assert!(matches!(copy.open("p"), Err(WalletError::WrongPassphrase)));
        }
    }

    #[test]
    fn a_planted_file_is_refused_before_it_costs_anything() {
        let text = String::from_utf8(sealed("p").to_json()).unwrap();
        for (from, to) in [
            ("\"memory_kib\": 1024", "\"memory_kib\": 4294967295"),
            ("\"memory_kib\": 1024", "\"memory_kib\": 1"),
            ("\"passes\": 1", "\"passes\": 4000000"),
            ("\"lanes\": 1", "\"lanes\": 0"),
            ("\"lanes\": 1", "\"lanes\": 16777215"),
            ("argon2id", "argon2d"),
            ("tine-keystore", "other"),
            ("\"public\"", "\"extra\": 1, \"public\""),
            ("{", "["),
        ] {
            assert!(text.contains(from), "{from}");
            let planted = text.replacen(from, to, 1);
            assert!(matches!(parse(planted.as_bytes()), Err(WalletError::Corrupt { .. })), "{to}");
        }
        let later = text.replacen("\"version\": 1", "\"version\": 2", 1);
        assert!(matches!(parse(later.as_bytes()), Err(WalletError::Format { found: 2, known: 1, .. })));
    }

    #[test]
    fn wal_02_the_file_and_the_debug_text_hold_no_secret() {
        let keystore = sealed("hunter2");
        let json = String::from_utf8(keystore.to_json()).unwrap();
        let shown = format!("{json}{keystore:?}{:?}", secret());
        let seed = hex::encode(secret().phrase.entropy());
        for word in secret().phrase.words().split(' ').chain([seed.as_str(), "hunter2", "twenty-fifth"]) {
            assert!(!shown.contains(&format!("\"{word}")) && !shown.contains(&format!("{word} ")), "{word}");
        }
        assert!(!shown.contains(&seed));
    }

    #[test]
    fn two_seals_of_one_secret_share_nothing() {
        let (one, two) = (sealed("p"), sealed("p"));
        assert_ne!(one.header.salt, two.header.salt);
        assert_ne!(one.sealed, two.sealed);
    }

    #[test]
    fn public_keystores_open_with_the_public_passphrase() {
        let keystore = Keystore::seal_public(&secret(), Network::Devnet).unwrap();
        assert!(keystore.header().public);
        keystore.open(PUBLIC_PASSPHRASE).unwrap();
    }

    #[test]
    fn the_standard_cost_is_within_what_is_read() {
        assert!(KdfCost::STANDARD.in_bounds() && KdfCost::LIGHT.in_bounds());
    }
}
