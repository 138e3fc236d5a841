//! Decoders: any bytes are decoded or refused, and what is decoded has these bytes for its one encoding.

use std::path::Path;
use std::str::FromStr;
use std::sync::{Arc, OnceLock};

use tine_chain::address::Address;
use tine_chain::block::{Block, Header};
use tine_chain::codec::{Decode, Encode};
use tine_chain::coins::{Coin, Undo};
use tine_chain::hash::BlockHash;
use tine_chain::header_chain::check_headers;
use tine_chain::journal::Reorg;
use tine_chain::merkle::MerkleProof;
use tine_chain::params::{Network, Params};
use tine_chain::policy::Policy;
use tine_chain::rules::{check_block, check_transaction};
use tine_chain::store::testing::reencoded_commit;
use tine_chain::transaction::{Transaction, Witness};
use tine_node::wire::{Gossip, Request, Response};
use tine_wallet::{KdfCost, Keystore, Phrase, Wallet, wallet};

/// Decodes; what is decoded must encode to the same bytes.
fn canonical<T: Decode + Encode>(bytes: &[u8]) -> Option<T> {
    let value = T::from_bytes(bytes).ok()?;
    assert_eq!(value.to_bytes(), bytes, "one encoding for each value");
    Some(value)
}

/// A block, and the rules that need nothing but it.
pub fn block(bytes: &[u8]) {
    if let Some(block) = canonical::<Block>(bytes) {
        assert_eq!(block.size(), bytes.len());
        // refused or not, by a rule
        let _ = check_block(Arc::new(block), &Params::of(Network::Regtest));
    }
}

/// A transaction, and the rules that need nothing but it.
pub fn transaction(bytes: &[u8]) {
    if let Some(transaction) = canonical::<Transaction>(bytes) {
        let _ = check_transaction(&transaction);
    }
}

/// A policy: how deep and how long it is, and its lock.
pub fn policy(bytes: &[u8]) {
    if let Some(policy) = canonical::<Policy>(bytes) {
        assert_eq!(policy.encoded_size(), bytes.len());
        let _ = (policy.check(), policy.depth(), policy.lock(), policy.max_witness_size());
    }
}

/// Everything else that has an encoding; the first byte says what.
pub fn values(bytes: &[u8]) {
    let Some((kind, bytes)) = bytes.split_first() else { return };
    match kind % 6 {
        0 => {
            canonical::<MerkleProof>(bytes);
        }
        1 => {
            canonical::<Undo>(bytes);
        }
        2 => {
            canonical::<Coin>(bytes);
        }
        3 => {
            canonical::<Reorg>(bytes);
        }
        4 => {
            if let Some(witness) = canonical::<Witness>(bytes) {
                // a witness that reveals a policy, or does not
                let _ = witness.policy();
            }
        }
        _ => {
            canonical::<Header>(bytes);
        }
    }
}

/// A file of raw headers, as `tine headers check` reads it.
pub fn headers(bytes: &[u8]) {
    for network in [Network::Bitcoin, Network::Regtest] {
        let params = Params::of(network);
        let _ = check_headers(bytes, &params, None);
        let _ = check_headers(bytes, &params, Some(2_016));
    }
}

/// What a peer asks.
pub fn request(bytes: &[u8]) {
    canonical::<Request>(bytes);
}

/// What a peer answers.
pub fn response(bytes: &[u8]) {
    canonical::<Response>(bytes);
}

/// What a peer tells all.
pub fn gossip(bytes: &[u8]) {
    canonical::<Gossip>(bytes);
}

/// A record of the journal, behind its checksum.
pub fn journal_record(bytes: &[u8]) {
    if let Some(again) = reencoded_commit(bytes) {
        assert_eq!(again, bytes, "one encoding for each commit");
    }
}

/// An address, typed by a person.
pub fn address(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(address) = Address::parse(text) {
        // bech32 may be all in capitals
        assert_eq!(address.to_string(), text.to_lowercase());
    }
    let _ = (BlockHash::from_str(text), Phrase::from_str(text));
}

/// A keystore's file, which anybody may have planted.
pub fn keystore(bytes: &[u8]) {
    let path = Path::new("keystore.json");
    if let Ok(keystore) = Keystore::from_json(bytes, path) {
        let again = Keystore::from_json(&keystore.to_json(), path).expect("what is written is read");
        assert_eq!(again, keystore);
    }
}

/// A wallet's other two files, the book of addresses and the history, divided by the first NUL.
pub fn wallet_files(bytes: &[u8]) {
    static KEYSTORE: OnceLock<Vec<u8>> = OnceLock::new();
    let params = Params::of(Network::Regtest);
    let keystore = KEYSTORE.get_or_init(|| {
        let phrase = Phrase::from_entropy(&[7; 16]).expect("16 bytes");
        Keystore::seal(&wallet::secret_of(phrase), "fuzz", Network::Regtest, KdfCost::LIGHT)
            .expect("sealed")
            .to_json()
    });
    let mut parts = bytes.splitn(2, |byte| *byte == 0);
    let dir = tempfile::tempdir().expect("a directory");
    let write = |name: &str, bytes: &[u8]| std::fs::write(dir.path().join(name), bytes).expect("written");
    write("keystore.json", keystore);
    for name in ["addresses.json", "history.json"] {
        if let Some(part) = parts.next() {
            write(name, part);
        }
    }
    let Ok(mut wallet) = Wallet::open(dir.path(), &params) else { return };
    let (balance, history) = (wallet.balance(), wallet.history().len());
    wallet.save().expect("saved");
    drop(wallet);
    let wallet = Wallet::open(dir.path(), &params).expect("what is written is read");
    assert_eq!((wallet.balance(), wallet.history().len()), (balance, history));
}
