//! A chain on disk and one in memory, given the same blocks, agree: also after a crash, a restart and a reindex.

use std::sync::Arc;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tine_chain::amount::Amount;
use tine_chain::block::{Block, Header};
use tine_chain::chain::{Chain, ChainOptions};
use tine_chain::change::Invalidity;
use tine_chain::coins::Coin;
use tine_chain::hash::{BlockHash, MerkleRoot};
use tine_chain::merkle::merkle_root;
use tine_chain::mining::Scanner;
use tine_chain::params::Params;
use tine_chain::policy::Policy;
use tine_chain::sighash::SighashCache;
use tine_chain::signature::{Parallel, public_key, sign};
use tine_chain::store::memory::MemoryStore;
use tine_chain::store::{SledStore, Store};
use tine_chain::time::Time;
use tine_chain::transaction::{OutPoint, Transaction, TxData, TxIn, TxOut, Witness};

use crate::support::{copy, seed, small};

const SECRET: [u8; 32] = [7; 32];

/// Regtest, where coinbases mature at once.
fn params() -> Params {
    Params { coinbase_maturity: 2, ..crate::support::params() }
}

fn options() -> ChainOptions {
    ChainOptions { parallel: Parallel::Inline, ..ChainOptions::default() }
}

fn on_disk(dir: &std::path::Path) -> Chain {
    let store = SledStore::open(dir, &params(), small()).expect("opened");
    Chain::open(params(), Box::new(store), options()).expect("a chain")
}

fn settle(chain: &mut Chain, now: Time, budget: usize) {
    while chain.activate(now, budget).expect("the store works").more {}
}

/// Makes blocks for a chain in memory.
struct Miner {
    rng: StdRng,
    chain: Chain,
    unique: u32,
    /// Bodies, in the order of their making.
    blocks: Vec<Arc<Block>>,
}

impl Miner {
    fn new(seed: u64) -> Self {
        let store: Box<dyn Store> = Box::new(MemoryStore::new());
        let chain = Chain::open(params(), store, options()).expect("a chain");
        Self { rng: StdRng::seed_from_u64(seed), chain, unique: 0, blocks: Vec::new() }
    }

    fn now(&self) -> Time {
        Time::from_secs(u64::from(params().genesis.time) + 1_000_000)
    }

    /// A valid block: mostly on the tip, sometimes on a rival of it or on one of the blocks below.
    fn block(&mut self) -> Arc<Block> {
        let tip = self.chain.tip().clone();
        let choice = self.rng.random_range(0..10u32);
        let rivals: Vec<_> = self
            .chain
            .tree()
            .tips()
            .filter(|rival| {
                rival.invalid.is_none() && rival.height + 1 >= tip.height && rival.hash != tip.hash
            })
            .cloned()
            .collect();
        let parent = match choice {
            3..7 if !rivals.is_empty() => rivals[self.rng.random_range(0..rivals.len())].clone(),
            1 | 2 => self.chain.active_entry(tip.height.saturating_sub(choice)).unwrap_or(&tip).clone(),
            _ => tip.clone(),
        };
        let payments = match tip.header.prev_block {
            _ if parent.hash == tip.hash => self.payments(),
            // what the tip pays, or some of it
            before if parent.hash == before => {
                let tip = self.chain.block(&tip.hash).expect("readable").expect("active");
                let count = self.rng.random_range(1..=tip.transactions.len());
                tip.transactions[1..count].to_vec()
            }
            _ => Vec::new(),
        };
        self.mine(parent.hash, parent.height + 1, parent.median_time_past + 1, payments)
    }

    fn mine(
        &mut self,
        parent: BlockHash,
        height: u32,
        time: u32,
        payments: Vec<Arc<Transaction>>,
    ) -> Arc<Block> {
        self.unique += 1;
        let coinbase = Transaction::new(TxData {
            version: 1,
            inputs: vec![TxIn { prevout: OutPoint::NULL, sequence: 0 }],
            outputs: vec![TxOut { value: Amount(1_000_000), lock: lock() }; 3],
            lock_time: height - 1,
            witnesses: vec![Witness(self.unique.to_le_bytes().to_vec())],
        });
        let transactions: Vec<_> = std::iter::once(Arc::new(coinbase)).chain(payments).collect();
        let leaves: Vec<_> = transactions.iter().map(|transaction| transaction.wtxid()).collect();
        let mut header = Header {
            version: 1,
            prev_block: parent,
            merkle_root: MerkleRoot::ZERO,
            time,
            bits: self.chain.next_bits(&parent).expect("a known parent"),
            nonce: 0,
        };
        header.merkle_root = merkle_root(&leaves).expect("a coinbase");
        let target = header.bits.to_target().expect("a target");
        header.nonce = Scanner::new(&header).scan(target, 0..=u32::MAX).expect("regtest is easy");
        Arc::new(Block { header, transactions })
    }

    /// Payments of some coins that may be spent in the next block, one of them in a chain of two.
    fn payments(&mut self) -> Vec<Arc<Transaction>> {
        let next = self.chain.tip().height + 1;
        let mut coins = Vec::new();
        let mut visit = |outpoint: &OutPoint, coin: &Coin| {
            if !coin.coinbase || coin.height + params().coinbase_maturity <= next {
                coins.push((*outpoint, *coin));
            }
        };
        self.chain.for_each_coin(&mut visit).expect("in memory");
        let mut payments = Vec::new();
        for _ in 0..self.rng.random_range(0..4).min(coins.len()) {
            let (outpoint, coin) = coins.swap_remove(self.rng.random_range(0..coins.len()));
            let payment = pay(outpoint, coin.output, 2);
            if self.rng.random() {
                payments.push(Arc::clone(&payment));
                payments.push(pay(payment.outpoint(1), payment.outputs[1], 1));
            } else {
                payments.push(payment);
            }
        }
        payments
    }
}

fn lock() -> tine_chain::hash::Lock {
    Policy::key(public_key(&SECRET)).lock()
}

fn pay(prevout: OutPoint, spent: TxOut, outputs: u64) -> Arc<Transaction> {
    let value = Amount(spent.value.0 / outputs);
    let mut data = TxData {
        version: 2,
        inputs: vec![TxIn { prevout, sequence: 0 }],
        outputs: vec![TxOut { value, lock: lock() }; outputs as usize],
        lock_time: 0,
        witnesses: vec![Witness::default()],
    };
    let cache = SighashCache::new(&params().genesis_hash(), &data, &[spent]).expect("one coin for one input");
    data.witnesses[0] = Witness::key(public_key(&SECRET), sign(&SECRET, &cache.sighash(0)));
    Arc::new(Transaction::new(data))
}

#[track_caller]
fn assert_same(disk: &Chain, memory: &Chain) {
    assert_eq!(disk.tip().hash, memory.tip().hash);
    assert_eq!(disk.coin_set().expect("readable"), memory.coin_set().expect("readable"));
    assert_eq!(disk.best_header().hash, memory.best_header().hash);
    let bodies = |chain: &Chain| -> Vec<_> {
        let mut entries: Vec<_> =
            chain.tree().iter().map(|entry| (entry.hash, entry.body, entry.invalid)).collect();
        entries.sort_unstable_by_key(|(hash, ..)| *hash);
        entries
    };
    assert_eq!(bodies(disk), bodies(memory));
}

#[test]
fn sto_01_a_chain_on_disk_is_the_chain_in_memory_through_crashes_and_a_reindex() {
    let mut dir = tempfile::tempdir().expect("a directory");
    let mut disk = on_disk(dir.path());
    let mut miner = Miner::new(seed(51));
    let now = miner.now();
    let mut marked = None;
    for step in 0..220u32 {
        let block = miner.block();
        for (chain, budget) in [(&mut disk, 1), (&mut miner.chain, 100)] {
            chain.insert_block(Arc::clone(&block), now).expect("valid");
            settle(chain, now, budget);
        }
        miner.blocks.push(block);
        if step % 40 == 30 {
            let height = miner.chain.tip().height - 3;
            marked = miner.chain.active_hash(height);
            for chain in [&mut disk, &mut miner.chain] {
                chain.invalidate(&marked.expect("active")).expect("known");
                settle(chain, now, 100);
            }
        }
        if let Some(hash) = marked.filter(|_| step % 40 == 37) {
            for chain in [&mut disk, &mut miner.chain] {
                chain.reconsider(&hash).expect("known");
                settle(chain, now, 100);
            }
        }
        if step % 11 == 0 {
            assert_same(&disk, &miner.chain);
        }
        if step % 23 == 0 {
            // a crash: the process's files, as they are
            let copied = tempfile::tempdir().expect("a directory");
            copy(dir.path(), copied.path());
            disk = on_disk(copied.path());
            dir = copied;
            assert_eq!(disk.journal(), miner.chain.journal());
        }
    }
    assert!(miner.chain.journal().len() > 5, "{} reorganisations", miner.chain.journal().len());
    assert_same(&disk, &miner.chain);
    drop(disk);

    sto_14_reindex(dir.path(), &miner.chain, now);
}

/// The same tip, coins and verdicts come out when every block is connected again, also when that is interrupted.
fn sto_14_reindex(dir: &std::path::Path, memory: &Chain, now: Time) {
    let store = SledStore::reindex(dir, &params(), small()).expect("reindexed");
    let mut chain = Chain::open(params(), Box::new(store), options()).expect("a chain");
    assert_eq!(chain.tip().height, 0);
    for _ in 0..30 {
        chain.activate(now, 1).expect("the store works");
    }
    assert!(chain.tip().height > 10);
    drop(chain);
    let mut chain = on_disk(dir);
    assert!(chain.tip().height > 10, "it goes on where it stopped");
    settle(&mut chain, now, 10);
    assert_eq!(chain.tip().hash, memory.tip().hash);
    assert_eq!(chain.coin_set().expect("readable"), memory.coin_set().expect("readable"));
    assert!(chain.journal().starts_with(memory.journal()));
    let manual = |chain: &Chain| {
        let mut marked: Vec<_> = chain
            .tree()
            .iter()
            .filter(|entry| entry.invalid == Some(Invalidity::Manual))
            .map(|entry| entry.hash)
            .collect();
        marked.sort_unstable();
        marked
    };
    assert_eq!(manual(&chain), manual(memory));
}
