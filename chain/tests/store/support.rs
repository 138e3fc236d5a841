//! A naive model of a chain, which makes up random changes, and a comparison of any store with it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::sync::Arc;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use ruint::aliases::U256;
use tine_chain::amount::Amount;
use tine_chain::block::{Block, Header};
use tine_chain::change::{Change, ConnectedBlock, HeaderRecord, Invalidity};
use tine_chain::coin_stats::CoinStats;
use tine_chain::coins::{Coin, Undo};
use tine_chain::hash::{BlockHash, Lock};
use tine_chain::journal::{BranchBlock, Fate, Reorg, TransactionFate};
use tine_chain::merkle::merkle_root;
use tine_chain::mining::Scanner;
use tine_chain::params::{Network, Params};
use tine_chain::pow::Work;
use tine_chain::reject::Reject;
use tine_chain::store::{SledOptions, SledStore, Store, StoreError};
use tine_chain::time::Time;
use tine_chain::transaction::{OutPoint, SEQUENCE_FINAL, Transaction, TxData, TxIn, TxOut, Witness};

pub(crate) type Coins = BTreeMap<OutPoint, Coin>;

pub(crate) fn params() -> Params {
    Params::of(Network::Regtest)
}

/// The seed of a random test, `TINE_TEST_SEED` added to it: a soak tries many.
pub(crate) fn seed(base: u64) -> u64 {
    base + std::env::var("TINE_TEST_SEED").map_or(0, |text| text.parse::<u64>().expect("a number") * 1_000)
}

/// What a store should hold. Two models of one seed make the same steps.
pub(crate) struct Model {
    rng: StdRng,
    pub(crate) step: u64,
    pub(crate) headers: BTreeMap<BlockHash, HeaderRecord>,
    pub(crate) bodies: BTreeMap<BlockHash, Arc<Block>>,
    pub(crate) undo: BTreeMap<BlockHash, Arc<Undo>>,
    /// The active chain from height 1 up.
    pub(crate) active: Vec<BlockHash>,
    pub(crate) coins: Coins,
    pub(crate) journal: Vec<Arc<Reorg>>,
    unique: u64,
    /// The most transactions of a block, beside the coinbase.
    pub(crate) transactions: u32,
}

impl Model {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            rng: StdRng::seed_from_u64(seed),
            step: 0,
            headers: BTreeMap::new(),
            bodies: BTreeMap::new(),
            undo: BTreeMap::new(),
            active: Vec::new(),
            coins: BTreeMap::new(),
            journal: Vec::new(),
            unique: 0,
            transactions: 6,
        }
    }

    /// The model of `seed` after `steps`.
    pub(crate) fn after(seed: u64, steps: u64) -> Self {
        let mut model = Self::new(seed);
        for _ in 0..steps {
            model.next_change();
        }
        model
    }

    pub(crate) fn tip(&self) -> Option<BlockHash> {
        self.active.last().copied()
    }

    /// Takes a random step and returns it as a change.
    pub(crate) fn next_change(&mut self) -> Change {
        self.step += 1;
        match self.rng.random_range(0..100) {
            _ if self.active.len() < 4 => self.extend(0, 2),
            0..60 => self.extend(0, 1),
            60..70 => {
                let count = self.rng.random_range(2..6);
                self.extend(0, count)
            }
            70..85 => {
                let depth = self.rng.random_range(1..4);
                self.extend(depth, depth + 1)
            }
            85..93 => self.side_block(),
            _ => self.judge(),
        }
    }

    /// Disconnects `depth` blocks and connects `count`.
    pub(crate) fn extend(&mut self, depth: usize, count: usize) -> Change {
        let before = self.coins.clone();
        let mut change = Change::default();
        let mut returned: Vec<Arc<Transaction>> = Vec::new();
        for _ in 0..depth {
            let block = self.disconnect();
            returned.splice(0..0, block.block().expect("held").transactions[1..].iter().cloned());
            change.disconnected.push(block);
        }
        for _ in 0..count {
            // the new branch has some of the old one's transactions too
            let keep = self.rng.random_range(0..=returned.len());
            let kept: Vec<_> = returned.drain(..keep).collect();
            let block = self.build(kept);
            let record = self.record(&block, self.active.len() as u32 + 1);
            change.headers.push(record);
            change.stored.push((record.hash, Arc::clone(&block)));
            change.connected.push(self.connect(block));
        }
        change.tip = self.tip();
        self.net(&before, &mut change);
        if depth > 0 {
            change.reorg = Some(self.reorg(&change));
        }
        change
    }

    /// A body that is not connected, on a random block.
    fn side_block(&mut self) -> Change {
        let height = self.rng.random_range(0..self.active.len());
        let parent = self.active[height];
        let coinbase = self.coinbase(height as u32 + 2);
        let block = Arc::new(self.block(parent, vec![coinbase]));
        let record = self.record(&block, height as u32 + 2);
        self.bodies.insert(record.hash, Arc::clone(&block));
        Change { headers: vec![record], stored: vec![(record.hash, block)], ..Change::default() }
    }

    /// A verdict on a header that is not active.
    fn judge(&mut self) -> Change {
        let active: BTreeSet<_> = self.active.iter().copied().collect();
        let idle: Vec<_> = self.headers.keys().filter(|hash| !active.contains(*hash)).copied().collect();
        if idle.is_empty() {
            return self.side_block();
        }
        let hash = idle[self.rng.random_range(0..idle.len())];
        let record = self.headers.get_mut(&hash).expect("just listed");
        record.invalid = match record.invalid {
            None => Some(Invalidity::Manual),
            Some(Invalidity::Manual) => Some(Invalidity::Rule(Reject::BadSignature)),
            Some(Invalidity::Rule(_)) => Some(Invalidity::Ancestor),
            Some(Invalidity::Ancestor) => None,
        };
        Change { headers: vec![*record], ..Change::default() }
    }

    fn unique(&mut self) -> u64 {
        self.unique += 1;
        self.unique
    }

    fn lock(&mut self) -> Lock {
        Lock(self.rng.random())
    }

    fn coinbase(&mut self, height: u32) -> Arc<Transaction> {
        let extra = self.unique();
        let output = TxOut { value: Amount(50_0000_0000), lock: self.lock() };
        Arc::new(Transaction::new(TxData {
            version: 1,
            inputs: vec![TxIn { prevout: OutPoint::NULL, sequence: 0 }],
            outputs: vec![output; 2],
            lock_time: height - 1,
            witnesses: vec![Witness(extra.to_le_bytes().to_vec())],
        }))
    }

    fn block(&mut self, parent: BlockHash, transactions: Vec<Arc<Transaction>>) -> Block {
        let params = params();
        let leaves: Vec<_> = transactions.iter().map(|transaction| transaction.wtxid()).collect();
        let mut header = Header {
            version: 1,
            prev_block: parent,
            merkle_root: merkle_root(&leaves).expect("there is a coinbase"),
            time: params.genesis.time + self.unique() as u32,
            bits: params.genesis.bits,
            nonce: 0,
        };
        // a reindex believes no header without work
        header.nonce = Scanner::new(&header).scan(params.pow_limit, 0..=u32::MAX).expect("regtest is easy");
        Block { header, transactions }
    }

    /// A block on the tip that keeps `kept` where they are still good, and spends random coins, its own too.
    fn build(&mut self, kept: Vec<Arc<Transaction>>) -> Arc<Block> {
        let mut coins = self.coins.clone();
        let mut transactions = vec![self.coinbase(self.active.len() as u32 + 1)];
        for transaction in kept {
            if transaction.inputs.iter().all(|input| coins.contains_key(&input.prevout)) {
                spend(&mut coins, &transaction, 0);
                transactions.push(transaction);
            }
        }
        for _ in 0..self.rng.random_range(0..=self.transactions) {
            let count = self.rng.random_range(1..3).min(coins.len());
            let mut inputs = Vec::new();
            for _ in 0..count {
                // new coins are spent more often than old ones
                let from: Vec<u8> = vec![self.rng.random(); 1];
                let found =
                    coins.range(OutPoint { txid: tine_chain::hash::Txid([from[0]; 32]), vout: 0 }..).next();
                let found = found.or_else(|| coins.iter().next()).map(|(outpoint, _)| *outpoint);
                if let Some(prevout) = found {
                    coins.remove(&prevout);
                    // final, at whatever height: a reindex asks the rules
                    inputs.push(TxIn { prevout, sequence: SEQUENCE_FINAL });
                }
            }
            if inputs.is_empty() {
                break;
            }
            let unique = self.unique() as u32;
            let outputs = (0..self.rng.random_range(1..4))
                .map(|value| TxOut { value: Amount(value), lock: self.lock() })
                .collect();
            let witnesses = vec![Witness(unique.to_le_bytes().to_vec()); inputs.len()];
            let transaction =
                Transaction::new(TxData { version: 2, inputs, outputs, lock_time: unique, witnesses });
            for (output, vout) in transaction.outputs.iter().zip(0..) {
                coins
                    .insert(transaction.outpoint(vout), Coin { output: *output, height: 0, coinbase: false });
            }
            transactions.push(Arc::new(transaction));
        }
        let parent = self.tip().unwrap_or_else(|| params().genesis.hash());
        Arc::new(self.block(parent, transactions))
    }

    fn record(&mut self, block: &Block, height: u32) -> HeaderRecord {
        let sequence = self.headers.len() as u64;
        let record = HeaderRecord {
            header: block.header,
            hash: block.hash(),
            height,
            sequence,
            seen: Time(1_000 * sequence),
            invalid: None,
        };
        self.headers.insert(record.hash, record);
        record
    }

    fn connect(&mut self, block: Arc<Block>) -> ConnectedBlock {
        let (hash, height) = (block.hash(), self.active.len() as u32 + 1);
        let mut undo = Undo::default();
        for transaction in &block.transactions {
            undo.spent.extend(spend(&mut self.coins, transaction, height));
        }
        self.active.push(hash);
        let undo = Arc::new(undo);
        self.bodies.insert(hash, Arc::clone(&block));
        self.undo.insert(hash, Arc::clone(&undo));
        ConnectedBlock::new(block, hash, height, undo)
    }

    fn disconnect(&mut self) -> ConnectedBlock {
        let height = self.active.len() as u32;
        let hash = self.active.pop().expect("not below the genesis");
        let (block, undo) = (Arc::clone(&self.bodies[&hash]), Arc::clone(&self.undo[&hash]));
        let mut spent = undo.spent.clone();
        for transaction in block.transactions.iter().rev() {
            for vout in 0..transaction.outputs.len() {
                self.coins.remove(&transaction.outpoint(vout as u32));
            }
            if !transaction.is_coinbase() {
                self.coins.extend(spent.split_off(spent.len() - transaction.inputs.len()));
            }
        }
        ConnectedBlock::new(block, hash, height, undo)
    }

    /// What differs between `before` and now.
    fn net(&mut self, before: &Coins, change: &mut Change) {
        // a draw that nothing depends on: without it, the seeds that tests name would make other chains
        let _: bool = self.rng.random();
        for (outpoint, coin) in &self.coins {
            match before.get(outpoint) {
                Some(old) if old == coin => continue,
                Some(old) => change.spent.push((*outpoint, *old)),
                None => {}
            }
            change.created.push((*outpoint, *coin));
        }
        let gone = before.iter().filter(|(outpoint, _)| !self.coins.contains_key(outpoint));
        change.spent.extend(gone.map(|(outpoint, coin)| (*outpoint, *coin)));
    }

    fn reorg(&mut self, change: &Change) -> Arc<Reorg> {
        let branch = |block: &ConnectedBlock| BranchBlock {
            hash: block.hash,
            height: block.height,
            sequence: self.headers[&block.hash].sequence,
            seen: self.headers[&block.hash].seen,
            transactions: block.transactions,
        };
        let connected: Vec<_> = change.connected.iter().map(branch).collect();
        let mut disconnected: Vec<_> = change.disconnected.iter().map(branch).collect();
        disconnected.reverse();
        let transactions = change.disconnected.iter().flat_map(|block| {
            let body = block.block().expect("held");
            let fate = |transaction: &Arc<Transaction>| TransactionFate {
                txid: transaction.txid(),
                block: block.hash,
                confirmations: 1,
                fate: if transaction.is_coinbase() { Fate::Orphaned } else { Fate::Returned },
            };
            body.transactions.iter().map(fate).collect::<Vec<_>>()
        });
        let reorg = Arc::new(Reorg {
            number: self.journal.len() as u64,
            time: Time(self.step),
            fork: connected[0].clone(),
            fork_work: Work(U256::from(1u64)),
            disconnected,
            old_work: Work(U256::from(2u64)),
            connected,
            new_work: Work(U256::from(3u64)),
            transactions: transactions.collect(),
            omitted: 0,
        });
        self.journal.push(Arc::clone(&reorg));
        reorg
    }

    /// Says how `store` differs from the model, if it does.
    pub(crate) fn difference(&self, store: &mut SledStore) -> Result<Option<String>, StoreError> {
        let loaded = store.load()?;
        if loaded.tip != self.tip() {
            return Ok(Some(format!("tip {:?}, not {:?}", loaded.tip, self.tip())));
        }
        let mut seen = BTreeSet::new();
        for header in &loaded.headers {
            let parent = header.header.prev_block;
            if !seen.contains(&parent) && parent != params().genesis.hash() {
                return Ok(Some(format!("{} comes before its parent", header.hash)));
            }
            seen.insert(header.hash);
        }
        let headers: BTreeMap<_, _> = loaded.headers.iter().map(|header| (header.hash, *header)).collect();
        if headers != self.headers {
            return Ok(Some(format!("{} headers, not {} or others", headers.len(), self.headers.len())));
        }
        if !loaded.bodies.iter().eq(self.bodies.keys()) {
            return Ok(Some("other bodies".to_owned()));
        }
        if loaded.journal != self.journal {
            return Ok(Some(format!("{} reorganisations, not {}", loaded.journal.len(), self.journal.len())));
        }
        let reader = store.reader();
        for (hash, block) in &self.bodies {
            if reader.block(hash)?.as_ref() != Some(block) {
                return Ok(Some(format!("another body of {hash}")));
            }
            if reader.undo(hash)?.as_ref() != self.undo.get(hash).map(|undo| &**undo) {
                return Ok(Some(format!("other undo data of {hash}")));
            }
        }
        self.coin_difference(store)
    }

    fn coin_difference(&self, store: &SledStore) -> Result<Option<String>, StoreError> {
        let mut coins = Vec::new();
        store.for_each_coin(&mut |outpoint, coin| coins.push((*outpoint, *coin)))?;
        if !coins.iter().map(|(outpoint, coin)| (outpoint, coin)).eq(self.coins.iter()) {
            return Ok(Some(format!("{} coins, not {} or others", coins.len(), self.coins.len())));
        }
        let mut stats = CoinStats::default();
        self.coins.iter().for_each(|(outpoint, coin)| stats.insert(outpoint, coin));
        if store.coin_stats()? != stats {
            return Ok(Some(format!("the coins amount to {:?}, not {stats:?}", store.coin_stats()?)));
        }
        for (outpoint, coin) in &self.coins {
            if store.coin(outpoint)? != Some(*coin) {
                return Ok(Some(format!("another coin at {outpoint}")));
            }
        }
        for (outpoint, _) in self.undo.values().flat_map(|undo| &undo.spent) {
            if !self.coins.contains_key(outpoint) && store.coin(outpoint)?.is_some() {
                return Ok(Some(format!("{outpoint} is spent and still there")));
            }
        }
        Ok(None)
    }

    /// Fails unless `store` holds what the model does.
    #[track_caller]
    pub(crate) fn assert_same(&self, store: &mut SledStore) {
        let difference = self.difference(store).expect("the store can be read");
        assert_eq!(difference, None, "after step {}", self.step);
    }
}

/// Applies `transaction` to `coins` and returns what it spent.
fn spend(coins: &mut Coins, transaction: &Transaction, height: u32) -> Vec<(OutPoint, Coin)> {
    let coinbase = transaction.is_coinbase();
    let mut spent = Vec::new();
    for input in transaction.inputs.iter().filter(|_| !coinbase) {
        spent.push((input.prevout, coins.remove(&input.prevout).expect("the model spends what there is")));
    }
    for (output, vout) in transaction.outputs.iter().zip(0..) {
        coins.insert(transaction.outpoint(vout), Coin { output: *output, height, coinbase });
    }
    spent
}

/// Small limits, so that a short run flushes often and rolls over many block files.
pub(crate) fn small() -> SledOptions {
    SledOptions {
        cache_bytes: 16 << 10,
        sled_cache_bytes: 1 << 20,
        block_file_bytes: 8 << 10,
        flush_commits: 20,
        open_timeout: std::time::Duration::from_secs(10),
        on_stage: None,
        on_disk: None,
    }
}

pub(crate) fn open(dir: &Path, options: SledOptions) -> Result<SledStore, StoreError> {
    SledStore::open(dir, &params(), options)
}

/// Copies a data directory as a crash would leave it: what the processes wrote, and no lock.
pub(crate) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a directory");
    for entry in fs::read_dir(from).expect("listed") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        if entry.file_type().expect("a type").is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).expect("copied");
        }
    }
}
