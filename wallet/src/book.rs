//! The address book: which keys are ours, which of them were given out, and what their owner calls them.
//!
//! Public, and kept apart from the keystore: with hardened derivation an address can be made only while the keys are
//! unlocked, so the book holds [`GAP_LIMIT`] more keys than were given out. They serve while the wallet is locked, and
//! they are what a restored wallet looks for beyond the last address that it has seen used (BIP-44, "address gap
//! limit"). The book is public, but it tells whoever reads it which coins belong together: its file is private too.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tine_chain::address::Address;
use tine_chain::hash::Lock;
use tine_chain::params::Network;
use tine_chain::policy::{Policy, PublicKey};

use crate::error::WalletError;
use crate::keys::{KeyPath, Keychain, Seed, coin_type};

/// How many unused addresses in a row a restored wallet looks at before it gives up (BIP-44: 20).
pub const GAP_LIMIT: u32 = 20;
/// SLIP-0010: a hardened index stays under 2^31.
const MAX_INDEX: u32 = 1 << 31;

/// One of our keys: which chain of addresses, which place in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct KeyRef {
    /// Receive or change.
    pub keychain: Keychain,
    /// Place in the chain, from 0.
    pub index: u32,
}

/// An address of ours.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AddressEntry {
    /// The address.
    pub address: Address,
    /// Which key opens it.
    pub key: KeyRef,
    /// Its path.
    pub path: KeyPath,
    /// What its owner calls it.
    pub label: Option<String>,
}

/// One chain of addresses.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Chain {
    /// The first index that was not given out.
    next: u32,
    /// The public keys derived so far, by index.
    keys: Vec<PublicKey>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Label {
    #[serde(flatten)]
    key: KeyRef,
    label: String,
}

/// The file's content.
#[derive(Debug, Serialize, Deserialize)]
struct BookFile {
    version: u32,
    network: Network,
    receive: Chain,
    change: Chain,
    labels: Vec<Label>,
}

/// All addresses of a wallet.
#[derive(Debug, Clone)]
pub(crate) struct Book {
    network: Network,
    receive: Chain,
    change: Chain,
    labels: BTreeMap<KeyRef, String>,
    /// Derived from the keys: which of them opens a lock.
    owners: BTreeMap<Lock, KeyRef>,
}

/// The version of the file.
const VERSION: u32 = 1;

impl Book {
    pub(crate) fn new(network: Network) -> Self {
        Self {
            network,
            receive: Chain::default(),
            change: Chain::default(),
            labels: BTreeMap::new(),
            owners: BTreeMap::new(),
        }
    }

    fn chain(&self, keychain: Keychain) -> &Chain {
        match keychain {
            Keychain::Receive => &self.receive,
            Keychain::Change => &self.change,
        }
    }

    fn chain_mut(&mut self, keychain: Keychain) -> &mut Chain {
        match keychain {
            Keychain::Receive => &mut self.receive,
            Keychain::Change => &mut self.change,
        }
    }

    /// The path of `key`: account 0.
    pub(crate) fn path(&self, key: KeyRef) -> KeyPath {
        KeyPath { coin_type: coin_type(self.network), account: 0, keychain: key.keychain, index: key.index }
    }

    /// Derives keys until [`GAP_LIMIT`] of each chain are in store. Says whether there was any to derive.
    pub(crate) fn fill(&mut self, seed: &Seed) -> bool {
        let mut extended = false;
        for keychain in [Keychain::Receive, Keychain::Change] {
            let wanted = self.chain(keychain).next.saturating_add(GAP_LIMIT).min(MAX_INDEX);
            for index in self.chain(keychain).keys.len() as u32..wanted {
                let key = KeyRef { keychain, index };
                let public = seed.derive(self.path(key)).public_key();
                self.chain_mut(keychain).keys.push(public);
                self.owners.insert(Policy::key(public).lock(), key);
                extended = true;
            }
        }
        extended
    }

    /// Gives out the next address of a chain.
    ///
    /// [`WalletError::Locked`] when none is left in store, [`WalletError::IndexExhausted`] when none is left at all.
    pub(crate) fn issue(&mut self, keychain: Keychain) -> Result<KeyRef, WalletError> {
        let chain = self.chain_mut(keychain);
        let index = chain.next;
        if index >= MAX_INDEX {
            return Err(WalletError::IndexExhausted);
        }
        if index as usize >= chain.keys.len() {
            return Err(WalletError::Locked);
        }
        chain.next += 1;
        Ok(KeyRef { keychain, index })
    }

    /// Takes back an address that was given out last and not used.
    pub(crate) fn take_back(&mut self, key: KeyRef) {
        let chain = self.chain_mut(key.keychain);
        if chain.next == key.index + 1 {
            chain.next = key.index;
        }
    }

    /// An output paid to `key` was seen: it, and all before it, count as given out.
    pub(crate) fn mark_used(&mut self, key: KeyRef) {
        let chain = self.chain_mut(key.keychain);
        chain.next = chain.next.max(key.index + 1);
    }

    /// Which of our keys opens `lock`.
    pub(crate) fn owner(&self, lock: &Lock) -> Option<KeyRef> {
        self.owners.get(lock).copied()
    }

    /// The policy of one of our keys.
    pub(crate) fn policy(&self, key: KeyRef) -> Policy {
        Policy::key(self.chain(key.keychain).keys[key.index as usize])
    }

    pub(crate) fn address(&self, key: KeyRef) -> Address {
        Address { network: self.network, lock: self.policy(key).lock() }
    }

    pub(crate) fn label(&self, key: KeyRef) -> Option<&str> {
        self.labels.get(&key).map(String::as_str)
    }

    pub(crate) fn set_label(&mut self, key: KeyRef, label: &str) {
        if label.is_empty() {
            self.labels.remove(&key);
        } else {
            self.labels.insert(key, label.to_owned());
        }
    }

    pub(crate) fn entry(&self, key: KeyRef) -> AddressEntry {
        AddressEntry {
            address: self.address(key),
            key,
            path: self.path(key),
            label: self.label(key).map(str::to_owned),
        }
    }

    /// The addresses of a chain that were given out, in order.
    pub(crate) fn issued(&self, keychain: Keychain) -> impl Iterator<Item = AddressEntry> + '_ {
        let chain = self.chain(keychain);
        (0..chain.next.min(chain.keys.len() as u32)).map(move |index| self.entry(KeyRef { keychain, index }))
    }

    pub(crate) fn to_json(&self) -> Vec<u8> {
        let labels =
            self.labels.iter().map(|(key, label)| Label { key: *key, label: label.clone() }).collect();
        let file = BookFile {
            version: VERSION,
            network: self.network,
            receive: self.receive.clone(),
            change: self.change.clone(),
            labels,
        };
        serde_json::to_vec(&file).expect("a struct of strings and numbers is JSON")
    }

    /// Reads the file's content; the error says what is wrong with it.
    pub(crate) fn from_json(json: &[u8], network: Network) -> Result<Self, String> {
        let file: BookFile = serde_json::from_slice(json).map_err(|error| error.to_string())?;
        if file.version != VERSION {
            return Err(format!("format {}, this program knows {VERSION}", file.version));
        }
        if file.network != network {
            return Err(format!("it is for {:?}, the keystore for {network:?}", file.network));
        }
        let mut book = Self {
            network,
            receive: file.receive,
            change: file.change,
            labels: file.labels.into_iter().map(|label| (label.key, label.label)).collect(),
            owners: BTreeMap::new(),
        };
        for keychain in [Keychain::Receive, Keychain::Change] {
            for index in 0..book.chain(keychain).keys.len() as u32 {
                let key = KeyRef { keychain, index };
                let lock = book.policy(key).lock();
                book.owners.insert(lock, key);
            }
        }
        Ok(book)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::Phrase;

    fn seed() -> Seed {
        Phrase::from_entropy(&[1; 16]).unwrap().seed("")
    }

    #[test]
    fn addresses_are_given_out_in_order_and_survive_the_file() {
        let mut book = Book::new(Network::Regtest);
        assert!(matches!(book.issue(Keychain::Receive), Err(WalletError::Locked)));
        assert!(book.fill(&seed()));
        assert!(!book.fill(&seed()), "nothing left to derive");
        let first = book.issue(Keychain::Receive).unwrap();
        let second = book.issue(Keychain::Receive).unwrap();
        assert_ne!(book.address(first), book.address(second));
        book.set_label(second, "rent");
        let again = Book::from_json(&book.to_json(), Network::Regtest).unwrap();
        assert_eq!(again.owner(&book.address(second).lock), Some(second));
        assert_eq!(again.label(second), Some("rent"));
        assert_eq!(again.issued(Keychain::Receive).count(), 2);
        assert!(Book::from_json(&book.to_json(), Network::Main).is_err());
    }

    #[test]
    fn a_used_address_moves_the_gap() {
        let mut book = Book::new(Network::Regtest);
        book.fill(&seed());
        book.mark_used(KeyRef { keychain: Keychain::Receive, index: 19 });
        assert!(book.fill(&seed()));
        let last = KeyRef { keychain: Keychain::Receive, index: 39 };
        assert_eq!(book.owner(&book.address(last).lock), Some(last));
        assert_eq!(book.issue(Keychain::Receive).unwrap().index, 20);
    }

    #[test]
    fn an_unused_address_can_be_taken_back() {
        let mut book = Book::new(Network::Regtest);
        book.fill(&seed());
        let first = book.issue(Keychain::Change).unwrap();
        let second = book.issue(Keychain::Change).unwrap();
        book.take_back(first);
        assert_eq!(book.chain(Keychain::Change).next, 2, "a later one is out");
        book.take_back(second);
        assert_eq!(book.issue(Keychain::Change).unwrap(), second);
    }
}
