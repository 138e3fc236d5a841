//! From words to keys: BIP-39 phrase, SLIP-0010 ed25519 derivation.
//!
//! The path is BIP-44's, `m / 44' / coin' / account' / chain' / index'`, every step hardened: SLIP-0010 has no other
//! for ed25519, so addresses can be derived only while the keys are unlocked. The coin type is SLIP-0044's `1'`
//! ("testnet, all coins") on devnet and regtest; `main` has no registered number and uses `0x74696e65'`, "tine" in
//! ASCII. Devnet and regtest share keys, which is harmless: a signature commits to the genesis id.
//!
//! No type here has a `Debug` that shows a secret, and all secrets are overwritten when they are dropped. Left out on
//! purpose: other languages' word lists, 15, 18 and 21 words, and import of single keys.

use std::fmt;
use std::str::FromStr;

use bip39::Mnemonic;
use slip10_ed25519::derive_ed25519_private_key;
use tine_chain::params::Network;
use tine_chain::policy::{Policy, PublicKey};
use tine_chain::signature;
use zeroize::Zeroizing;

use crate::error::{PhraseError, WalletError};

/// How long a phrase is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PhraseLength {
    /// 12 words: 128 bits of entropy.
    Words12,
    /// 24 words: 256 bits of entropy.
    Words24,
}

impl PhraseLength {
    fn entropy_len(self) -> usize {
        match self {
            Self::Words12 => 16,
            Self::Words24 => 32,
        }
    }
}

/// A BIP-39 phrase of 12 or 24 English words.
#[derive(Clone)]
pub struct Phrase(Mnemonic);

impl Phrase {
    /// A new phrase from the system's randomness.
    ///
    /// # Errors
    /// [`WalletError::Randomness`]: then there is no phrase, rather than a weak one.
    pub fn generate(length: PhraseLength) -> Result<Self, WalletError> {
        let mut entropy = Zeroizing::new([0; 32]);
        let entropy = &mut entropy[..length.entropy_len()];
        getrandom::fill(entropy).map_err(WalletError::Randomness)?;
        Ok(Self::from_entropy(entropy).expect("16 and 32 are BIP-39 lengths"))
    }

    /// The phrase of 16 or 32 bytes of entropy; `None` for any other length.
    #[must_use]
    pub fn from_entropy(entropy: &[u8]) -> Option<Self> {
        [16, 32].contains(&entropy.len()).then(|| Mnemonic::from_entropy(entropy).ok().map(Self)).flatten()
    }

    /// The entropy that the words stand for.
    #[must_use]
    pub fn entropy(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(self.0.to_entropy())
    }

    /// The words, with single spaces: for its owner to write down.
    #[must_use]
    pub fn words(&self) -> Zeroizing<String> {
        // room for 24 words of at most 8 letters, so that no smaller buffer is left behind
        let mut words = Zeroizing::new(String::with_capacity(24 * 9));
        for word in self.0.words() {
            if !words.is_empty() {
                words.push(' ');
            }
            words.push_str(word);
        }
        words
    }

    /// BIP-39's seed: PBKDF2-HMAC-SHA512 of words and `passphrase` ("the 25th word", empty for none).
    #[must_use]
    pub fn seed(&self, passphrase: &str) -> Seed {
        Seed(Zeroizing::new(self.0.to_seed(passphrase)))
    }
}

impl FromStr for Phrase {
    type Err = PhraseError;

    /// Reads words apart by any white space, in any case.
    fn from_str(text: &str) -> Result<Self, PhraseError> {
        let text = Zeroizing::new(text.to_lowercase());
        let count = text.split_whitespace().count();
        if count != 12 && count != 24 {
            return Err(PhraseError::WordCount(count));
        }
        Mnemonic::parse_in(bip39::Language::English, text.as_str()).map(Self).map_err(|error| match error {
            bip39::Error::BadWordCount(count) => PhraseError::WordCount(count),
            bip39::Error::UnknownWord(index) => PhraseError::UnknownWord(index + 1),
            bip39::Error::InvalidChecksum
            | bip39::Error::BadEntropyBitCount(_)
            | bip39::Error::AmbiguousLanguages(_) => PhraseError::Checksum,
        })
    }
}

impl fmt::Debug for Phrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Phrase(..)")
    }
}

/// Which of an account's two chains of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Keychain {
    /// Addresses that are given out (BIP-44: external, 0).
    Receive,
    /// Addresses for change (BIP-44: internal, 1).
    Change,
}

impl Keychain {
    fn number(self) -> u32 {
        match self {
            Self::Receive => 0,
            Self::Change => 1,
        }
    }
}

/// The SLIP-0044 coin type of `network`: see the module's documentation.
#[must_use]
pub fn coin_type(network: Network) -> u32 {
    match network {
        Network::Main => u32::from_be_bytes(*b"tine"),
        Network::Devnet | Network::Regtest => 1,
        Network::Bitcoin => 0,
    }
}

/// A place in the tree of keys. Shown as `m/44'/1'/0'/0'/7'`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyPath {
    /// SLIP-0044 coin type.
    pub coin_type: u32,
    /// Account, from 0.
    pub account: u32,
    /// Receive or change.
    pub keychain: Keychain,
    /// Place in the chain, from 0.
    pub index: u32,
}

impl KeyPath {
    fn steps(self) -> [u32; 5] {
        [44, self.coin_type, self.account, self.keychain.number(), self.index]
    }
}

impl fmt::Display for KeyPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("m")?;
        self.steps().iter().try_for_each(|step| write!(f, "/{step}'"))
    }
}

impl serde::Serialize for KeyPath {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The 64 bytes that all keys of a wallet come from.
pub struct Seed(Zeroizing<[u8; 64]>);

impl Seed {
    /// The secret key at `path`.
    #[must_use]
    pub fn derive(&self, path: KeyPath) -> SecretKey {
        SecretKey(Zeroizing::new(derive_ed25519_private_key(&self.0[..], &path.steps())))
    }
}

impl fmt::Debug for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seed(..)")
    }
}

/// An ed25519 secret key (32 bytes). It signs with the public key that it derives itself: the double-public-key
/// oracle (RUSTSEC-2022-0093) can't be asked for.
pub struct SecretKey(Zeroizing<[u8; 32]>);

impl SecretKey {
    /// Its public key.
    #[must_use]
    pub fn public_key(&self) -> PublicKey {
        signature::public_key(&self.0)
    }

    /// The policy that asks for this key's signature and no more.
    #[must_use]
    pub fn policy(&self) -> Policy {
        Policy::key(self.public_key())
    }

    /// The signature of a 32-byte signing hash.
    #[must_use]
    pub fn sign(&self, message: &[u8; 32]) -> [u8; 64] {
        signature::sign(&self.0, message)
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretKey(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The vectors of BIP-39's reference implementation (trezor/python-mnemonic, passphrase "TREZOR"):
    /// entropy, words, seed.
    const BIP39: [(&str, &str, &str); 4] = [
        (
            "00000000000000000000000000000000",
            "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about",
            "c55257c360c07c72029aebc1b53c05ed0362ada38ead3e3e9efa3708e53495531f09a6987599d18264c1e1c92f2cf141630c7a3c4ab7c81b2f001698e7463b04",
        ),
        (
            "7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f",
            "legal winner thank year wave sausage worth useful legal winner thank yellow",
            "2e8905819b8723fe2c1d161860e5ee1830318dbf49a83bd451cfb8440c28bd6fa457fe1296106559a3c80937a1c1069be3a3a5bd381ee6260e8d9739fce1f607",
        ),
        (
            "0000000000000000000000000000000000000000000000000000000000000000",
            "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon art",
            "bda85446c68413707090a52022edd26a1c9462295029f2e60cd7c4f2bbd3097170af7a4d73245cafa9c3cca8d561a7c3de6f5d4a10be8ed2a5e608d68f92fcc8",
        ),
        (
            "f585c11aec520db57dd353c69554b21a89b20fb0650966fa0a9d6f74fd989d8f",
            "void come effort suffer camp survey warrior heavy shoot primary clutch crush open amazing screen patrol group space point ten exist slush involve unfold",
            "01f5bced59dec48e362f2c45b5de68b9fd6c92c6634f44d6d40aab69056506f0e35524a518034ddc1192e1dacd32c1ed3eaa3c3b131c88ed8e7e54c49a5d0998",
        ),
    ];

    #[test]
    fn bip39_vectors() {
        for (entropy, words, seed) in BIP39 {
            let phrase = Phrase::from_entropy(&hex::decode(entropy).unwrap()).unwrap();
            assert_eq!(*phrase.words(), words);
            assert_eq!(hex::encode(&*phrase.entropy()), entropy);
            let phrase: Phrase = words.parse().unwrap();
            assert_eq!(hex::encode(phrase.seed("TREZOR").0.as_ref()), seed);
        }
    }

    #[test]
    fn wrong_words_are_refused_by_kind_and_never_repeated() {
        let good = BIP39[1].1;
        let parse = |text: &str| text.parse::<Phrase>().map(|_| ()).unwrap_err();
        assert_eq!(parse("legal winner"), PhraseError::WordCount(2));
        assert_eq!(parse(&good.replace("sausage", "saussage")), PhraseError::UnknownWord(6));
        assert!(!parse(&good.replace("sausage", "saussage")).to_string().contains("saussage"));
        assert_eq!(parse(&good.replace("yellow", "thank")), PhraseError::Checksum);
        let odd = format!("  {}\n", good.to_uppercase().replace(' ', "\t "));
        assert_eq!(*odd.parse::<Phrase>().unwrap().words(), good);
        let fifteen = Mnemonic::from_entropy(&[7; 20]).unwrap().words().collect::<Vec<_>>().join(" ");
        assert_eq!(parse(&fifteen), PhraseError::WordCount(15));
    }

    /// SLIP-0010, "Test vector 1 for ed25519" and "Test vector 2": seed, path, private key, public key.
    const SLIP10: [(&str, &[u32], &str, &str); 5] = [
        (
            "000102030405060708090a0b0c0d0e0f",
            &[],
            "2b4be7f19ee27bbf30c667b642d5f4aa69fd169872f8fc3059c08ebae2eb19e7",
            "a4b2856bfec510abab89753fac1ac0e1112364e7d250545963f135f2a33188ed",
        ),
        (
            "000102030405060708090a0b0c0d0e0f",
            &[0],
            "68e0fe46dfb67e368c75379acec591dad19df3cde26e63b93a8e704f1dade7a3",
            "8c8a13df77a28f3445213a0f432fde644acaa215fc72dcdf300d5efaa85d350c",
        ),
        (
            "000102030405060708090a0b0c0d0e0f",
            &[0, 1, 2, 2, 1_000_000_000],
            "8f94d394a8e8fd6b1bc2f3f49f5c47e385281d5c17e65324b0f62483e37e8793",
            "3c24da049451555d51a7014a37337aa4e12d41e485abccfa46b47dfb2af54b7a",
        ),
        (
            "fffcf9f6f3f0edeae7e4e1dedbd8d5d2cfccc9c6c3c0bdbab7b4b1aeaba8a5a29f9c999693908d8a8784817e7b7875726f6c696663605d5a5754514e4b484542",
            &[0, 2_147_483_647, 1],
            "3757c7577170179c7868353ada796c839135b3d30554bbb74a4b1e4a5a58505c",
            "2e66aa57069c86cc18249aecf5cb5a9cebbfd6fadeab056254763874a9352b45",
        ),
        (
            "fffcf9f6f3f0edeae7e4e1dedbd8d5d2cfccc9c6c3c0bdbab7b4b1aeaba8a5a29f9c999693908d8a8784817e7b7875726f6c696663605d5a5754514e4b484542",
            &[0, 2_147_483_647, 1, 2_147_483_646, 2],
            "551d333177df541ad876a60ea71f00447931c0a9da16f227c11ea080d7391b8d",
            "47150c75db263559a70d5778bf36abbab30fb061ad69f69ece61a72b0cfa4fc0",
        ),
    ];

    #[test]
    fn slip10_vectors() {
        for (seed, path, secret, public) in SLIP10 {
            let derived = derive_ed25519_private_key(&hex::decode(seed).unwrap(), path);
            assert_eq!(hex::encode(derived), secret);
            assert_eq!(hex::encode(SecretKey(Zeroizing::new(derived)).public_key().0), public);
        }
    }

    #[test]
    fn paths_are_written_as_bip44_writes_them() {
        let path = KeyPath {
            coin_type: coin_type(Network::Devnet),
            account: 0,
            keychain: Keychain::Change,
            index: 7,
        };
        assert_eq!(path.to_string(), "m/44'/1'/0'/1'/7'");
        assert_eq!(coin_type(Network::Main), 1_953_066_597, "under 2^31");
    }

    #[test]
    fn wal_02_debug_shows_no_secret() {
        let phrase: Phrase = BIP39[1].1.parse().unwrap();
        let seed = phrase.seed("");
        let path = KeyPath { coin_type: 1, account: 0, keychain: Keychain::Receive, index: 0 };
        let shown = format!("{phrase:?} {seed:?} {:?}", seed.derive(path));
        assert_eq!(shown, "Phrase(..) Seed(..) SecretKey(..)");
    }

    #[test]
    fn generated_phrases_differ_and_have_the_length_asked_for() {
        let twelve = Phrase::generate(PhraseLength::Words12).unwrap();
        let again = Phrase::generate(PhraseLength::Words12).unwrap();
        assert_ne!(*twelve.words(), *again.words());
        assert_eq!(twelve.words().split(' ').count(), 12);
        assert_eq!(Phrase::generate(PhraseLength::Words24).unwrap().words().split(' ').count(), 24);
    }
}
