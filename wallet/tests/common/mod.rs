//! A toy chain for wallets: blocks without work, every coin tracked, changes made by hand.
#![allow(dead_code, reason = "each test file uses its part")]

use std::collections::BTreeMap;
use std::sync::Arc;

use tine_chain::address::Address;
use tine_chain::amount::{Amount, COIN};
use tine_chain::block::{Block, Header};
use tine_chain::change::{Change, ConnectedBlock};
use tine_chain::coins::{Coin, Undo};
use tine_chain::hash::{BlockHash, Lock, MerkleRoot};
use tine_chain::params::{Network, Params};
use tine_chain::pow::CompactTarget;
use tine_chain::store::{BlockReader, StoreError};
use tine_chain::time::Time;
use tine_chain::transaction::{OutPoint, SEQUENCE_LOCK_TIME, Transaction, TxData, TxIn, TxOut, Witness};
use tine_wallet::{Payment, Phrase, Removed, SendRequest, Wallet, wallet::secret_of};

/// The present, in tests: soon after the genesis.
pub(crate) fn now() -> Time {
    Time::from_secs(u64::from(params().genesis.time) + 3_600)
}

/// Devnet: rewards mature after 10 blocks.
pub(crate) fn params() -> Params {
    Params::of(Network::Devnet)
}

/// A wallet in memory; the same number gives the same keys.
pub(crate) fn wallet(number: u8) -> Wallet {
    let phrase = Phrase::from_entropy(&[number; 16]).unwrap();
    Wallet::in_memory(&params(), &secret_of(phrase)).unwrap()
}

/// Somebody else.
pub(crate) fn stranger() -> Address {
    Address { network: Network::Devnet, lock: Lock([0xee; 32]) }
}

pub(crate) fn coins(count: u64) -> Amount {
    Amount(count * COIN)
}

struct Entry {
    block: Arc<Block>,
    undo: Arc<Undo>,
    height: u32,
    /// Every coin after this block.
    coins: Arc<BTreeMap<OutPoint, Coin>>,
}

/// The chain, its branches, and a mempool.
pub(crate) struct Toy {
    entries: BTreeMap<BlockHash, Entry>,
    pub(crate) active: Vec<BlockHash>,
    pub(crate) mempool: Vec<Arc<Transaction>>,
    counter: u32,
}

impl BlockReader for Toy {
    fn block(&self, hash: &BlockHash) -> Result<Option<Arc<Block>>, StoreError> {
        Ok(self.entries.get(hash).map(|entry| Arc::clone(&entry.block)))
    }

    fn undo(&self, hash: &BlockHash) -> Result<Option<Undo>, StoreError> {
        Ok(self.entries.get(hash).map(|entry| (*entry.undo).clone()))
    }
}

impl Toy {
    pub(crate) fn new() -> Self {
        let genesis = params().genesis.hash();
        Self { entries: BTreeMap::new(), active: vec![genesis], mempool: Vec::new(), counter: 0 }
    }

    pub(crate) fn tip(&self) -> BlockHash {
        *self.active.last().unwrap()
    }

    fn height(&self, hash: &BlockHash) -> u32 {
        self.entries.get(hash).map_or(0, |entry| entry.height)
    }

    fn coins_at(&self, hash: &BlockHash) -> Arc<BTreeMap<OutPoint, Coin>> {
        self.entries.get(hash).map_or_else(Arc::default, |entry| Arc::clone(&entry.coins))
    }

    /// Makes a block on `parent`, with those of `txs` whose coins are there. The chain does not follow it yet.
    pub(crate) fn mine_on(&mut self, parent: BlockHash, reward: Lock, txs: &[Arc<Transaction>]) -> BlockHash {
        let height = self.height(&parent) + 1;
        let mut coins = (*self.coins_at(&parent)).clone();
        let mut undo = Undo::default();
        self.counter += 1;
        let mut transactions = vec![Arc::new(coinbase(height, reward, self.counter))];
        for tx in txs {
            let there = tx.inputs.iter().all(|input| coins.contains_key(&input.prevout));
            if !there || transactions.iter().any(|other| other.txid() == tx.txid()) {
                continue;
            }
            for input in &tx.inputs {
                undo.spent.push((input.prevout, coins.remove(&input.prevout).unwrap()));
            }
            add_outputs(&mut coins, tx, height);
            transactions.push(Arc::clone(tx));
        }
        add_outputs(&mut coins, &transactions[0].clone(), height);
        let header = Header {
            version: 1,
            prev_block: parent,
            merkle_root: MerkleRoot([0; 32]),
            time: params().genesis.time + height * 5,
            bits: CompactTarget(0x207f_ffff),
            nonce: self.counter,
        };
        let block = Arc::new(Block { header, transactions });
        let hash = block.hash();
        self.entries.insert(hash, Entry { block, undo: undo.into(), height, coins: coins.into() });
        hash
    }

    fn connected(&self, hash: &BlockHash) -> ConnectedBlock {
        let entry = &self.entries[hash];
        ConnectedBlock::new(Arc::clone(&entry.block), *hash, entry.height, Arc::clone(&entry.undo))
    }

    fn branch(&self, tip: BlockHash) -> Vec<BlockHash> {
        let mut branch = vec![tip];
        while let Some(entry) = self.entries.get(branch.last().unwrap()) {
            branch.push(entry.block.header.prev_block);
        }
        branch.reverse();
        branch
    }

    /// Makes `tip` the tip of the chain, tells `wallets`, and then lets the mempool settle as a node's would.
    pub(crate) fn switch(&mut self, tip: BlockHash, wallets: &mut [&mut Wallet]) -> Change {
        let new = self.branch(tip);
        let common = self.active.iter().zip(&new).take_while(|(old, new)| old == new).count();
        let change = Change {
            disconnected: self.active[common..].iter().rev().map(|hash| self.connected(hash)).collect(),
            connected: new[common..].iter().map(|hash| self.connected(hash)).collect(),
            tip: Some(tip),
            ..Change::default()
        };
        self.active = new;
        for wallet in wallets.iter_mut() {
            wallet.apply(&change).unwrap();
        }
        let returned = change
            .disconnected
            .iter()
            .rev()
            .flat_map(|block| block.block().unwrap().transactions[1..].to_vec());
        let mut candidates: Vec<_> = returned.collect();
        candidates.append(&mut self.mempool);
        self.settle(candidates, &change, wallets);
        change
    }

    fn settle(&mut self, candidates: Vec<Arc<Transaction>>, change: &Change, wallets: &mut [&mut Wallet]) {
        let mut view = (*self.coins_at(&self.tip())).clone();
        let mut spenders = BTreeMap::new();
        for block in change.connected.iter().flat_map(|block| block.block().unwrap().transactions.clone()) {
            for input in &block.inputs {
                spenders.insert(input.prevout, block.txid());
            }
        }
        let mut dropped = BTreeMap::new();
        for tx in candidates {
            if tx.inputs.iter().all(|input| view.contains_key(&input.prevout)) {
                remove_inputs(&mut view, &tx);
                add_outputs(&mut view, &tx, u32::MAX >> 1);
                announce(&tx, wallets);
                self.mempool.push(tx);
                continue;
            }
            let confirmed = change.connected.iter().any(|block| {
                block.block().unwrap().transactions.iter().any(|other| other.txid() == tx.txid())
            });
            // directly, or through a parent that was dropped for it
            let conflict = tx.inputs.iter().find_map(|input| {
                let direct = spenders
                    .get(&input.prevout)
                    .map(|by| Removed::Conflicted { coin: input.prevout, by: *by });
                direct.or(dropped.get(&input.prevout.txid).copied())
            });
            let removed = match (confirmed, conflict) {
                (true, _) => Removed::Confirmed,
                (false, Some(conflict)) => conflict,
                (false, None) => Removed::Dropped,
            };
            dropped.insert(tx.txid(), removed);
            for wallet in wallets.iter_mut() {
                wallet.mempool_removed(&tx.txid(), removed);
            }
        }
    }

    /// Mines the whole mempool on the tip.
    pub(crate) fn mine(&mut self, reward: Lock, wallets: &mut [&mut Wallet]) -> BlockHash {
        let txs = self.mempool.clone();
        let hash = self.mine_on(self.tip(), reward, &txs);
        self.switch(hash, wallets);
        hash
    }

    pub(crate) fn mine_many(&mut self, count: usize, reward: Lock, wallets: &mut [&mut Wallet]) {
        for _ in 0..count {
            self.mine(reward, wallets);
        }
    }

    /// Puts a transaction into the mempool, if its coins are there. Says whether it went in.
    pub(crate) fn submit(&mut self, tx: &Arc<Transaction>, wallets: &mut [&mut Wallet]) -> bool {
        let mut view = (*self.coins_at(&self.tip())).clone();
        for other in &self.mempool {
            remove_inputs(&mut view, other);
            add_outputs(&mut view, other, u32::MAX >> 1);
        }
        if !tx.inputs.iter().all(|input| view.contains_key(&input.prevout)) {
            return false;
        }
        self.mempool.push(Arc::clone(tx));
        announce(tx, wallets);
        true
    }

    pub(crate) fn active_hash(&self, height: u32) -> Option<BlockHash> {
        self.active.get(height as usize).copied()
    }

    /// The same wallet, as it would be if it were restored now.
    pub(crate) fn fresh(&self, number: u8) -> Wallet {
        let mut fresh = wallet(number);
        fresh.rescan(&|height| self.active_hash(height), self).unwrap();
        fresh.sync_mempool(&self.mempool, now());
        fresh
    }
}

fn coinbase(height: u32, reward: Lock, extra: u32) -> Transaction {
    Transaction::new(TxData {
        version: 2,
        inputs: vec![TxIn { prevout: OutPoint::NULL, sequence: SEQUENCE_LOCK_TIME }],
        outputs: vec![TxOut { value: coins(50), lock: reward }],
        lock_time: height - 1,
        witnesses: vec![Witness(extra.to_le_bytes().to_vec())],
    })
}

fn announce(tx: &Arc<Transaction>, wallets: &mut [&mut Wallet]) {
    for wallet in wallets.iter_mut() {
        wallet.mempool_added(tx, now());
    }
}

fn remove_inputs(coins: &mut BTreeMap<OutPoint, Coin>, tx: &Transaction) {
    for input in &tx.inputs {
        coins.remove(&input.prevout);
    }
}

fn add_outputs(coins: &mut BTreeMap<OutPoint, Coin>, tx: &Transaction, height: u32) {
    for (vout, output) in (0..).zip(&tx.outputs) {
        coins.insert(tx.outpoint(vout), Coin { output: *output, height, coinbase: tx.is_coinbase() });
    }
}

/// Where a wallet likes to be paid in tests.
pub(crate) fn home(wallet: &mut Wallet) -> Address {
    wallet.first_address().unwrap().address
}

/// Prepares a payment of `count` coins.
pub(crate) fn pay(from: &mut Wallet, to: Address, count: u64, random: u64) -> Payment {
    from.prepare(&SendRequest::new(to, coins(count)), now(), random).unwrap()
}
