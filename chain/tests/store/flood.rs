//! Big blocks, quickly made: payments of one input and two outputs that spend random coins.

use std::sync::Arc;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tine_chain::amount::Amount;
use tine_chain::block::{Block, Header};
use tine_chain::change::{Change, ConnectedBlock, HeaderRecord};
use tine_chain::coins::{Coin, Undo};
use tine_chain::hash::{BlockHash, Lock, MerkleRoot};
use tine_chain::params::{Network, Params};
use tine_chain::pow::CompactTarget;
use tine_chain::time::Time;
use tine_chain::transaction::{OutPoint, Transaction, TxData, TxIn, TxOut, Witness};

/// A chain of such blocks, and the coins at its tip.
pub(crate) struct Flood {
    rng: StdRng,
    parent: BlockHash,
    height: u32,
    pub(crate) coins: Vec<(OutPoint, Coin)>,
}

impl Flood {
    pub(crate) fn new(seed: u64) -> Self {
        let parent = Params::of(Network::Regtest).genesis.hash();
        Self { rng: StdRng::seed_from_u64(seed), parent, height: 0, coins: Vec::new() }
    }

    /// A block whose coinbase makes `count` coins.
    pub(crate) fn mint(&mut self, count: usize) -> Change {
        self.change(count, 0)
    }

    /// A block of `count` payments.
    pub(crate) fn pay(&mut self, count: usize) -> Change {
        self.change(1, count)
    }

    fn change(&mut self, minted: usize, payments: usize) -> Change {
        self.height += 1;
        let mut spent = Vec::with_capacity(payments);
        let mut transactions = vec![self.transaction(OutPoint::NULL, minted)];
        for _ in 0..payments {
            let (outpoint, coin) = self.coins.swap_remove(self.rng.random_range(0..self.coins.len()));
            spent.push((outpoint, coin));
            transactions.push(self.transaction(outpoint, 2));
        }
        let created = self.created(&transactions);
        self.coins.extend_from_slice(&created);
        let header = Header {
            version: 1,
            prev_block: self.parent,
            merkle_root: MerkleRoot(self.rng.random()),
            time: self.height,
            bits: CompactTarget(0x207f_ffff),
            nonce: 0,
        };
        let (block, hash) = (Arc::new(Block { header, transactions }), header.hash());
        self.parent = hash;
        let sequence = u64::from(self.height);
        let record =
            HeaderRecord { header, hash, height: self.height, sequence, seen: Time(0), invalid: None };
        Change {
            headers: vec![record],
            stored: vec![(hash, Arc::clone(&block))],
            created,
            spent: spent.clone(),
            connected: vec![ConnectedBlock::new(block, hash, self.height, Arc::new(Undo { spent }))],
            tip: Some(hash),
            ..Change::default()
        }
    }

    fn transaction(&mut self, prevout: OutPoint, outputs: usize) -> Arc<Transaction> {
        let mut output = || TxOut { value: Amount(1), lock: Lock(self.rng.random()) };
        Arc::new(Transaction::new(TxData {
            version: 2,
            inputs: vec![TxIn { prevout, sequence: 0 }],
            outputs: (0..outputs).map(|_| output()).collect(),
            lock_time: self.height,
            witnesses: vec![Witness(vec![1; 97])],
        }))
    }

    fn created(&self, transactions: &[Arc<Transaction>]) -> Vec<(OutPoint, Coin)> {
        let mut created = Vec::new();
        for (transaction, coinbase) in
            transactions.iter().zip([true].into_iter().chain(std::iter::repeat(false)))
        {
            for (output, vout) in transaction.outputs.iter().zip(0..) {
                let coin = Coin { output: *output, height: self.height, coinbase };
                created.push((transaction.outpoint(vout), coin));
            }
        }
        created
    }
}
