//! The worst legal blocks: as many bytes as are allowed, full of what takes longest to judge for each of them.

use std::sync::Arc;

use super::{TestTree, Wallet};
use crate::amount::Amount;
use crate::block::Block;
use crate::coins::Coin;
use crate::hash::{Lock, TaggedHash, Txid};
use crate::policy::{MAX_THRESHOLD_KEYS, Policy};
use crate::sighash::SighashCache;
use crate::signature::{PublicKey, public_key, sign};
use crate::transaction::{
    MAX_TRANSACTION_SIZE, OutPoint, SEQUENCE_FINAL, Transaction, TxData, TxIn, TxOut, Witness,
};
use crate::witness::Satisfier;

/// Bytes of a block's header, coinbase and counts, and more.
const BLOCK_ROOM: usize = 1_000;

/// Bytes of a transaction without its inputs, and more.
const TRANSACTION_ROOM: usize = 200;

/// What each coin is worth, in base units.
const VALUE: u64 = 1_000;

/// What a block is full of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Worst {
    /// Inputs of one key each: most coins looked up, most sighashes.
    Inputs,
    /// Thresholds of 16 out of 16: most signatures.
    Signatures,
    /// Thresholds of 1 out of 16: the largest policies, most keys that must be points.
    Keys,
    /// Payments that each spend the one before: the deepest chain in a block.
    Chain,
}

impl Worst {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Inputs, Self::Signatures, Self::Keys, Self::Chain];

    fn policy(self) -> Policy {
        let required = match self {
            Self::Inputs | Self::Chain => return Policy::key(key(0)),
            Self::Signatures => MAX_THRESHOLD_KEYS,
            Self::Keys => 1,
        };
        Policy::threshold(required as u8, (0..MAX_THRESHOLD_KEYS).map(key).collect())
    }

    /// Bytes of one input with its witness.
    fn input_size(self) -> usize {
        // outpoint, sequence, and the witness with its length
        36 + 4 + 3 + self.policy().max_witness_size()
    }

    fn inputs_of_a_transaction(self) -> usize {
        match self {
            Self::Chain => 1,
            Self::Inputs | Self::Signatures | Self::Keys => {
                (MAX_TRANSACTION_SIZE - TRANSACTION_ROOM) / self.input_size()
            }
        }
    }
}

fn signer(number: usize) -> Wallet {
    Wallet::named(&format!("signer-{number}"))
}

fn key(number: usize) -> PublicKey {
    public_key(&signer(number).secret())
}

/// Spends `coins`, all of them locked to `policy`, to one output with the lock `to`.
fn spend(tree: &TestTree, coins: &[(OutPoint, TxOut)], policy: &Policy, to: Lock) -> Transaction {
    let spent: Vec<TxOut> = coins.iter().map(|(_, output)| *output).collect();
    let value = Amount(spent.iter().map(|output| output.value.0).sum());
    let mut data = TxData {
        version: 2,
        inputs: coins
            .iter()
            .map(|(prevout, _)| TxIn { prevout: *prevout, sequence: SEQUENCE_FINAL })
            .collect(),
        outputs: vec![TxOut { value, lock: to }],
        lock_time: 0,
        witnesses: vec![Witness::default(); coins.len()],
    };
    let sighash =
        SighashCache::new(&tree.params.genesis_hash(), &data, &spent).expect("one coin for each input");
    let secrets: Vec<_> =
        (0..MAX_THRESHOLD_KEYS).map(|number| (key(number), signer(number).secret())).collect();
    let witness = |input| {
        let message = sighash.sighash(input);
        let sign = |wanted: &PublicKey| {
            secrets.iter().find(|(key, _)| key == wanted).map(|(_, secret)| sign(secret, &message))
        };
        Satisfier { tx: &data, input, sign: &sign, preimage: &|_| None }
            .satisfy(policy)
            .expect("all keys are ours")
    };
    let witnesses = (0..coins.len()).map(witness).collect();
    data.witnesses = witnesses;
    Transaction::new(data)
}

impl TestTree {
    /// Mines the block `name` on `parent`: almost `size` bytes, full of what `worst` says. The coins that it spends come
    /// out of nothing, as by [`TestTree::grant`], so it must be made before the chain is.
    ///
    /// # Panics
    /// When the parent is not there, or the name is taken.
    pub fn worst_block(&mut self, name: &str, parent: &str, worst: Worst, size: usize) -> Arc<Block> {
        let (policy, lock) = (worst.policy(), worst.policy().lock());
        let per_transaction = worst.inputs_of_a_transaction();
        let mut left = size - BLOCK_ROOM;
        let mut names = Vec::new();
        let mut last: Option<(OutPoint, TxOut)> = None;
        loop {
            let number = names.len();
            let coins = match last.filter(|_| worst == Worst::Chain) {
                Some(coin) => vec![coin],
                None => {
                    let room = left.saturating_sub(TRANSACTION_ROOM) / worst.input_size();
                    let count = per_transaction.min(room);
                    (0..count)
                        .map(|coin| self.grant_locked(&format!("{name}-{number}-{coin}"), lock))
                        .collect()
                }
            };
            let transaction = spend(self, &coins, &policy, lock);
            if coins.is_empty() || transaction.size() > left {
                break;
            }
            left -= transaction.size();
            let coin = (transaction.outpoint(0), transaction.outputs[0]);
            self.outputs.insert(coin.0, (coin.1, signer(0)));
            last = Some(coin);
            let transaction_name = format!("{name}-{number}");
            self.add_transaction(&transaction_name, &Arc::new(transaction));
            names.push(transaction_name);
        }
        self.block_with(name, parent, &names, |_| {})
    }

    fn grant_locked(&mut self, name: &str, lock: Lock) -> (OutPoint, TxOut) {
        let txid = Txid(TaggedHash::new("tine/testing/grant").chain(name).finish());
        let (outpoint, output) = (OutPoint { txid, vout: 0 }, TxOut { value: Amount(VALUE), lock });
        self.granted.insert(outpoint, Coin { output, height: 0, coinbase: false });
        self.outputs.insert(outpoint, (output, signer(0)));
        (outpoint, output)
    }
}
