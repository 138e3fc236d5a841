//! Block trees drawn as text, for tests: blocks, transactions and coins have names, and every block is mined.
//!
//! ```
//! use tine_chain::testing::TestTree;
//!
//! let mut tree = TestTree::regtest();
//! tree.draw(
//!     "genesis a1 a2 a3
//!              a1 b2 b3 b4",
//! );
//! let mut chain = tree.chain();
//! tree.deliver(&mut chain, "a1 a2 a3");
//! assert_eq!(tree.tip(&chain), "a3");
//! tree.deliver(&mut chain, "b2 b3 b4");
//! assert_eq!(tree.tip(&chain), "b4");
//! ```
//!
//! Each line of a drawing names a block that is there and then its descendants. The coinbase of block `a1` makes the
//! coin `a1:0`, which belongs to the wallet `a1`. [`TestTree::pay`] makes a transaction with a name, whose coins are
//! `name:0` …; a block has it when the drawing says `a2[name]`, or `a2[one,two]`.
//!
//! Everything follows from the names, so that a drawing always gives the same blocks.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::amount::Amount;
use crate::block::{Block, Header};
use crate::chain::{Chain, ChainOptions, Inserted, Progress};
use crate::change::Change;
use crate::coins::Coin;
use crate::hash::{BlockHash, MerkleRoot, TaggedHash, Txid};
use crate::merkle::merkle_root;
use crate::mining::Scanner;
use crate::overlay::FoldMap;
use crate::params::{Network, Params};
use crate::pow::next_bits;
use crate::reject::Reject;
use crate::sighash::SighashCache;
use crate::signature::{Parallel, public_key, sign};
use crate::store::{MemoryStore, Store};
use crate::time::Time;
use crate::transaction::{
    OutPoint, SEQUENCE_FINAL, SEQUENCE_LOCK_TIME, Transaction, TxData, TxIn, TxOut, Witness,
};
use crate::tree::{BlockTree, Index};

mod wallet;
mod worst;

pub use wallet::Wallet;
pub use worst::Worst;

/// What the genesis is called in a drawing.
pub const GENESIS: &str = "genesis";

/// Seconds between two drawn blocks.
const SPACING_SECS: u32 = 600;

/// Blocks, transactions and coins by name.
pub struct TestTree {
    /// The network; change it before anything is drawn.
    pub params: Params,
    tree: BlockTree,
    blocks: BTreeMap<String, Arc<Block>>,
    names: FoldMap<BlockHash, String>,
    transactions: BTreeMap<String, Arc<Transaction>>,
    /// Whom the outputs of all these transactions belong to.
    outputs: FoldMap<OutPoint, (TxOut, Wallet)>,
    granted: BTreeMap<OutPoint, Coin>,
}

/// A block before it is mined, to be spoiled.
pub struct Draft {
    /// Its header; the Merkle root and the nonce are found later.
    pub header: Header,
    /// The coinbase, not frozen yet.
    pub coinbase: TxData,
    /// The transactions after the coinbase.
    pub transactions: Vec<Arc<Transaction>>,
    /// When set, the block has no coinbase at its head.
    pub no_coinbase: bool,
    /// When set, the header has this Merkle root, whatever the transactions are.
    pub root: Option<MerkleRoot>,
    /// When set, the hash is over the target.
    pub without_work: bool,
}

impl TestTree {
    /// A tree of the genesis alone.
    #[must_use]
    pub fn new(params: Params) -> Self {
        let genesis = params.genesis_block();
        let hash = genesis.hash();
        Self {
            tree: BlockTree::new(&params),
            params,
            blocks: BTreeMap::from([(GENESIS.to_owned(), genesis)]),
            names: FoldMap::from_iter([(hash, GENESIS.to_owned())]),
            transactions: BTreeMap::new(),
            outputs: FoldMap::default(),
            granted: BTreeMap::new(),
        }
    }

    /// Regtest, where a coinbase matures after 2 blocks instead of 100, so that drawings stay small.
    #[must_use]
    pub fn regtest() -> Self {
        Self::new(Params { coinbase_maturity: 2, ..Params::of(Network::Regtest) })
    }

    // -- drawing

    /// Mines the blocks of a drawing.
    ///
    /// # Panics
    /// When a line begins with a block that is not there, or a name is taken.
    pub fn draw(&mut self, drawing: &str) {
        for line in drawing.lines() {
            let mut words = line.split_whitespace();
            let Some(mut parent) = words.next().map(str::to_owned) else { continue };
            for word in words {
                let (name, transactions) = parse_word(word);
                self.block_with(&name, &parent, &transactions, |_| {});
                parent = name;
            }
        }
    }

    /// Mines the block `name` on `parent` with these transactions, after `spoil` had its way with it. Its coinbase claims
    /// subsidy and fees.
    ///
    /// # Panics
    /// When the parent or a transaction is not there, or the name is taken.
    pub fn block_with(
        &mut self,
        name: &str,
        parent: &str,
        transactions: &[String],
        spoil: impl FnOnce(&mut Draft),
    ) -> Arc<Block> {
        let parent = self.index(parent);
        let transactions: Vec<_> = transactions.iter().map(|name| self.transaction(name)).collect();
        let mut draft = self.draft(name, parent, transactions);
        spoil(&mut draft);
        let block = self.mine(draft);
        self.add(name, parent, &block);
        block
    }

    /// Names a block that was made in another way.
    ///
    /// # Panics
    /// When its parent is not there, or the name is taken.
    pub fn add_block(&mut self, name: &str, block: &Arc<Block>) {
        let parent = self.tree.index_of(&block.header.prev_block).expect("the parent is drawn");
        self.add(name, parent, block);
    }

    fn add(&mut self, name: &str, parent: Index, block: &Arc<Block>) {
        assert!(self.blocks.insert(name.to_owned(), Arc::clone(block)).is_none(), "{name} is drawn twice");
        let hash = block.hash();
        self.names.entry(hash).or_insert_with(|| name.to_owned());
        if self.tree.index_of(&hash).is_none() {
            self.tree.insert(block.header, hash, parent, Time::default());
        }
        if let Some(coinbase) = block.transactions.first() {
            self.transactions.entry(name.to_owned()).or_insert_with(|| Arc::clone(coinbase));
            self.own(coinbase, &vec![Wallet::named(name); coinbase.outputs.len()]);
        }
    }

    fn draft(&self, name: &str, parent: Index, transactions: Vec<Arc<Transaction>>) -> Draft {
        let entry = self.tree.at(parent);
        let ancestor = |height| Some(self.tree.at(self.tree.ancestor_of(parent, height)?).header);
        let fees = transactions.iter().map(|transaction| self.fee(transaction)).sum::<u64>();
        let value = Amount(self.params.subsidy(entry.height + 1).0 + fees);
        Draft {
            header: Header {
                version: 1,
                prev_block: entry.hash,
                merkle_root: MerkleRoot::ZERO,
                time: entry.header.time + SPACING_SECS,
                bits: next_bits(&self.params, entry.height, ancestor).expect("the parent's chain is drawn"),
                nonce: 0,
            },
            coinbase: TxData {
                version: 2,
                inputs: vec![TxIn { prevout: OutPoint::NULL, sequence: SEQUENCE_LOCK_TIME }],
                outputs: vec![TxOut { value, lock: Wallet::named(name).lock() }],
                lock_time: entry.height,
                witnesses: vec![Witness(name.as_bytes().to_vec())],
            },
            transactions,
            no_coinbase: false,
            root: None,
            without_work: false,
        }
    }

    fn mine(&self, draft: Draft) -> Arc<Block> {
        let coinbase = (!draft.no_coinbase).then(|| Arc::new(Transaction::new(draft.coinbase)));
        let transactions: Vec<_> = coinbase.into_iter().chain(draft.transactions).collect();
        let leaves: Vec<_> = transactions.iter().map(|transaction| transaction.wtxid()).collect();
        let mut header = draft.header;
        header.merkle_root = draft.root.or_else(|| merkle_root(&leaves)).unwrap_or_default();
        let target = header.bits.to_target().unwrap_or(self.params.pow_limit);
        let scanner = Scanner::new(&header);
        header.nonce = if draft.without_work {
            (0..=u32::MAX).find(|&nonce| !target.is_met_by(&scanner.hash(nonce)))
        } else {
            scanner.scan(target, 0..=u32::MAX)
        }
        .expect("test networks are easy");
        Arc::new(Block { header, transactions })
    }

    // -- coins and transactions

    /// Makes the transaction `name`, which spends `coins` (`a1:0`) and pays `outputs` in base units; what is left over is
    /// its fee.
    ///
    /// # Panics
    /// When a coin is not there, or the name is taken.
    pub fn pay(&mut self, name: &str, coins: &[&str], outputs: &[(&str, u64)]) -> Arc<Transaction> {
        self.pay_with(name, coins, outputs, |_| {})
    }

    /// [`TestTree::pay`], after `spoil` had its way with the transaction; it is signed after that.
    ///
    /// # Panics
    /// When a coin is not there, or the name is taken.
    pub fn pay_with(
        &mut self,
        name: &str,
        coins: &[&str],
        outputs: &[(&str, u64)],
        spoil: impl FnOnce(&mut TxData),
    ) -> Arc<Transaction> {
        let input = |coin: &&str| TxIn { prevout: self.outpoint(coin), sequence: SEQUENCE_FINAL };
        let owners: Vec<_> = outputs.iter().map(|(owner, _)| Wallet::named(owner)).collect();
        let output =
            |(owner, value): &(&str, u64)| TxOut { value: Amount(*value), lock: Wallet::named(owner).lock() };
        let mut data = TxData {
            version: 2,
            inputs: coins.iter().map(input).collect(),
            outputs: outputs.iter().map(output).collect(),
            lock_time: 0,
            witnesses: vec![Witness::default(); coins.len()],
        };
        spoil(&mut data);
        self.sign(&mut data);
        let transaction = Arc::new(Transaction::new(data));
        self.own(&transaction, &owners);
        self.add_transaction(name, &transaction);
        transaction
    }

    /// Names a transaction that was made in another way.
    ///
    /// # Panics
    /// When the name is taken.
    pub fn add_transaction(&mut self, name: &str, transaction: &Arc<Transaction>) {
        let before = self.transactions.insert(name.to_owned(), Arc::clone(transaction));
        assert!(before.is_none(), "{name} is made twice");
    }

    /// Signs every input whose coin is known and that has a witness; a transaction with other coins stays unsigned.
    fn sign(&self, data: &mut TxData) {
        let spent: Option<Vec<_>> =
            data.inputs.iter().map(|input| self.outputs.get(&input.prevout).copied()).collect();
        let Some(spent) = spent else { return };
        let outputs: Vec<_> = spent.iter().map(|(output, _)| *output).collect();
        let sighash =
            SighashCache::new(&self.params.genesis_hash(), data, &outputs).expect("one coin for each input");
        for (place, (_, owner)) in spent.iter().enumerate() {
            let signature = sign(&owner.secret(), &sighash.sighash(place));
            if let Some(witness) = data.witnesses.get_mut(place) {
                *witness = Witness::key(public_key(&owner.secret()), signature);
            }
        }
    }

    /// Outputs without an owner belong to the one before.
    fn own(&mut self, transaction: &Transaction, owners: &[Wallet]) {
        for ((vout, output), owner) in (0..).zip(&transaction.outputs).zip(owners) {
            self.outputs.insert(transaction.outpoint(vout), (*output, *owner));
        }
    }

    /// A coin out of nothing, `name:0`, that [`TestTree::chain`] has from the start: the rules of money can only be broken
    /// by chains that have more of it than there is.
    pub fn grant(&mut self, name: &str, value: Amount) {
        let outpoint =
            OutPoint { txid: Txid(TaggedHash::new("tine/testing/grant").chain(name).finish()), vout: 0 };
        let owner = Wallet::named(name);
        let output = TxOut { value, lock: owner.lock() };
        self.granted.insert(outpoint, Coin { output, height: 0, coinbase: false });
        self.outputs.insert(outpoint, (output, owner));
    }

    fn fee(&self, transaction: &Transaction) -> u64 {
        let value = |input: &TxIn| self.outputs.get(&input.prevout).map_or(0, |(output, _)| output.value.0);
        let spent: u64 = transaction.inputs.iter().map(value).sum();
        let paid = transaction.outputs.iter().fold(0u64, |sum, output| sum.saturating_add(output.value.0));
        spent.saturating_sub(paid)
    }

    // -- by name

    /// The block called `name`.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn block(&self, name: &str) -> Arc<Block> {
        Arc::clone(self.blocks.get(name).unwrap_or_else(|| panic!("no block is called {name}")))
    }

    /// The id of the block called `name`.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn hash(&self, name: &str) -> BlockHash {
        self.block(name).hash()
    }

    /// What the block `hash` is called.
    ///
    /// # Panics
    /// When it was not drawn.
    #[must_use]
    pub fn name(&self, hash: &BlockHash) -> &str {
        self.names.get(hash).expect("the block was drawn")
    }

    /// The transaction called `name`; a block's name means its coinbase.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn transaction(&self, name: &str) -> Arc<Transaction> {
        Arc::clone(self.transactions.get(name).unwrap_or_else(|| panic!("no transaction is called {name}")))
    }

    /// The outpoint of a coin, written `name:index`.
    ///
    /// # Panics
    /// When there is no such transaction.
    #[must_use]
    pub fn outpoint(&self, coin: &str) -> OutPoint {
        let (name, vout) = coin.split_once(':').expect("a coin is written name:index");
        let vout = vout.parse().expect("a coin is written name:index");
        if !self.transactions.contains_key(name) {
            let txid = Txid(TaggedHash::new("tine/testing/grant").chain(name).finish());
            let outpoint = OutPoint { txid, vout };
            assert!(self.granted.contains_key(&outpoint), "no coin is called {coin}");
            return outpoint;
        }
        self.transaction(name).outpoint(vout)
    }

    fn index(&self, name: &str) -> Index {
        self.tree.index_of(&self.hash(name)).expect("every drawn block is in the tree")
    }

    // -- chains

    /// A time at which no drawn block is too early.
    #[must_use]
    pub fn now(&self) -> Time {
        let latest = self.tree.iter().map(|entry| entry.header.time).max().expect("the genesis is there");
        Time::from_secs(u64::from(latest))
    }

    /// A chain in memory, at the genesis.
    #[must_use]
    pub fn chain(&self) -> Chain {
        self.chain_with(ChainOptions { parallel: Parallel::Inline, ..ChainOptions::default() })
    }

    /// The same with other options.
    ///
    /// # Panics
    /// Never: memory does not fail.
    #[must_use]
    pub fn chain_with(&self, options: ChainOptions) -> Chain {
        let mut store = MemoryStore::new();
        let created = self.granted.iter().map(|(outpoint, coin)| (*outpoint, *coin)).collect();
        store.commit(&Change { created, ..Change::default() }).expect("memory does not fail");
        Chain::open(self.params.clone(), Box::new(store), options).expect("memory does not fail")
    }

    /// Hands one block over and lets the chain activate what is best. The rule that the block breaks, if it breaks one.
    ///
    /// # Errors
    /// What [`Chain::insert_block`] or [`Chain::activate`] says of this block.
    ///
    /// # Panics
    /// When the store fails.
    pub fn submit(&self, chain: &mut Chain, name: &str) -> Result<Inserted, Reject> {
        let inserted = chain.insert_block(self.block(name), self.now())?;
        let hash = self.hash(name);
        match self.activate(chain).invalid.iter().find(|(invalid, _)| *invalid == hash) {
            Some((_, reject)) => Err(*reject),
            None => Ok(inserted),
        }
    }

    /// Hands blocks over, names separated by blanks, each of which must be taken, and activates after each.
    ///
    /// # Panics
    /// When a block is refused, or the store fails.
    pub fn deliver(&self, chain: &mut Chain, names: &str) {
        for name in names.split_whitespace() {
            let verdict = self.submit(chain, name);
            assert!(verdict.is_ok(), "{name}: {verdict:?}");
        }
    }

    /// Activates until there is nothing more to do. The last change, and every block that was found invalid.
    ///
    /// # Panics
    /// When the store fails.
    pub fn activate(&self, chain: &mut Chain) -> Progress {
        let mut whole = Progress::default();
        loop {
            let progress = chain.activate(self.now(), 16).expect("the store works");
            whole.invalid.extend(progress.invalid);
            whole.change = progress.change.or(whole.change);
            if !progress.more {
                return whole;
            }
        }
    }

    /// What the tip is called.
    #[must_use]
    pub fn tip(&self, chain: &Chain) -> &str {
        self.name(&chain.tip().hash)
    }
}

/// `a2[one,two]` is the block `a2` with the transactions `one` and `two`.
fn parse_word(word: &str) -> (String, Vec<String>) {
    match word.split_once('[') {
        None => (word.to_owned(), Vec::new()),
        Some((name, list)) => {
            let list = list.strip_suffix(']').expect("a list of transactions ends with ]");
            (name.to_owned(), list.split(',').map(str::to_owned).collect())
        }
    }
}

/// The coins that a naive replay of the active chain from the genesis gives.
///
/// # Panics
/// When the store fails, a body of the active chain is missing, or it spends a coin that is not there.
#[must_use]
pub fn replay_coins(chain: &Chain) -> BTreeMap<OutPoint, Coin> {
    let mut coins = BTreeMap::new();
    for height in 1..=chain.tip().height {
        let hash = chain.active_hash(height).expect("every height up to the tip has a block");
        let block = chain.block(&hash).expect("the store works").expect("active blocks have bodies");
        for transaction in &block.transactions {
            let coinbase = transaction.is_coinbase();
            for input in transaction.inputs.iter().filter(|_| !coinbase) {
                coins.remove(&input.prevout).expect("a replayed block spends coins that are there");
            }
            for (vout, output) in (0..).zip(&transaction.outputs) {
                coins.insert(transaction.outpoint(vout), Coin { output: *output, height, coinbase });
            }
        }
    }
    coins
}

/// The coins that the chain's store has.
///
/// # Panics
/// When the store fails.
#[must_use]
pub fn stored_coins(chain: &Chain) -> BTreeMap<OutPoint, Coin> {
    let mut coins = BTreeMap::new();
    chain
        .for_each_coin(&mut |outpoint, coin| {
            coins.insert(*outpoint, *coin);
        })
        .expect("the store works");
    coins
}
