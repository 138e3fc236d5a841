//! The chain that is measured: payments with one input and two outputs, in blocks of 2,000.
//!
//! A hundred empty blocks mature the first coinbases; one block splits eleven of them into 2,000 coins each, every coin
//! with a key of its own. On each of two branches each payment spends the change of the one before it in its lane. What
//! is left of the coins is for the mempool: payments that depend on nothing unconfirmed.

use std::sync::Arc;

use tine_chain::amount::Amount;
use tine_chain::block::{Block, Header};
use tine_chain::hash::{BlockHash, Lock, TaggedHash};
use tine_chain::merkle::merkle_root;
use tine_chain::mining::Scanner;
use tine_chain::params::{Network, Params};
use tine_chain::policy::Policy;
use tine_chain::sighash::SighashCache;
use tine_chain::signature::{PublicKey, public_key, sign};
use tine_chain::transaction::{
    OutPoint, SEQUENCE_FINAL, SEQUENCE_LOCK_TIME, Transaction, TxData, TxIn, TxOut, Witness,
};

use crate::exit::Error;

/// Payments in a block.
pub(super) const PAYMENTS: usize = 2_000;
/// Coinbases that are split into coins: the first for the branches, the others for the mempool.
const SPLITS: usize = 11;
/// Of each payment, base units: to a stranger, and to the miner.
const PAID: u64 = 10_000;
const FEE: u64 = 1_000;
/// Seconds between blocks, so that ten thousand lie between the genesis and now.
const SPACING_SECS: u32 = 60;

/// Who owns a coin.
#[derive(Clone, Copy)]
struct Owner {
    secret: [u8; 32],
    key: PublicKey,
    lock: Lock,
}

impl Owner {
    fn new(split: usize, lane: usize) -> Self {
        let name = format!("{split}/{lane}");
        let secret = TaggedHash::new("tine/bench/owner").chain(name).finish();
        let key = public_key(&secret);
        Self { secret, key, lock: Policy::key(key).lock() }
    }
}

/// A coin and who may spend it.
#[derive(Clone, Copy)]
struct Coin {
    outpoint: OutPoint,
    output: TxOut,
    owner: Owner,
}

/// The end of a chain that is being made.
#[derive(Debug, Clone, Copy)]
pub(super) struct End {
    hash: BlockHash,
    height: u32,
    time: u32,
}

/// Everything that is measured with.
pub(super) struct Material {
    params: Params,
    /// Empty blocks, and the one that makes the coins.
    pub(super) setup: Vec<Arc<Block>>,
    /// Where the branches and the payments for the mempool begin.
    pub(super) fork: End,
    lanes: Vec<Coin>,
    loose: Vec<Vec<Coin>>,
}

impl Material {
    /// The blocks that everything else builds on.
    pub(super) fn new() -> Result<Self, Error> {
        let params = Params::of(Network::Regtest);
        let miner = Owner::new(SPLITS, 0);
        let mut end = End { hash: params.genesis_hash(), height: 0, time: params.genesis.time };
        let mut setup = Vec::new();
        for _ in 0..params.coinbase_maturity as usize + SPLITS - 1 {
            setup.push(end.grow(&params, miner.lock, Vec::new())?);
        }
        let splits: Vec<_> = setup[..SPLITS]
            .iter()
            .enumerate()
            .map(|(split, block)| split_coinbase(&params, miner, &block.transactions[0], split))
            .collect();
        let transactions = splits.iter().map(|(transaction, _)| Arc::clone(transaction)).collect();
        setup.push(end.grow(&params, miner.lock, transactions)?);
        let mut coins = splits.into_iter().map(|(_, coins)| coins);
        let lanes = coins.next().expect("there are several");
        Ok(Self { params, setup, fork: end, lanes, loose: coins.collect() })
    }

    /// A branch of `length` blocks of [`PAYMENTS`] payments on the fork; different branches pay different people.
    pub(super) fn branch(&self, name: &str, length: usize) -> Result<(Vec<Arc<Block>>, End), Error> {
        let rounds = self.payments(name, length);
        let mut end = self.fork;
        let stranger = stranger(name, 0);
        let blocks: Result<Vec<_>, Error> =
            rounds.into_iter().map(|payments| end.grow(&self.params, stranger, payments)).collect();
        Ok((blocks?, end))
    }

    /// The genesis.
    pub(super) fn start(&self) -> End {
        End { hash: self.params.genesis_hash(), height: 0, time: self.params.genesis.time }
    }

    /// The payments of each block of a branch, made on all cores.
    fn payments(&self, name: &str, length: usize) -> Vec<Vec<Arc<Transaction>>> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let genesis = self.params.genesis_hash();
        let part = |lanes: &[Coin]| -> Vec<Vec<Arc<Transaction>>> {
            let mut coins = lanes.to_vec();
            let mut round = |number| {
                let pay = |coin: &mut Coin| {
                    let payment = pay(&genesis, coin, stranger(name, number));
                    coin.outpoint = payment.outpoint(0);
                    coin.output = payment.outputs[0];
                    payment
                };
                coins.iter_mut().map(pay).collect()
            };
            (0..length).map(&mut round).collect()
        };
        let parts: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = self
                .lanes
                .chunks(self.lanes.len().div_ceil(cores))
                .map(|lanes| scope.spawn(move || part(lanes)))
                .collect();
            threads.into_iter().map(|thread| thread.join().expect("payments are made without fail")).collect()
        });
        let mut rounds = vec![Vec::new(); length];
        for part in parts {
            for (round, payments) in rounds.iter_mut().zip(part) {
                round.extend(payments);
            }
        }
        rounds
    }

    /// Payments for the mempool, [`PAYMENTS`] in each of ten groups.
    pub(super) fn loose(&self) -> Vec<Vec<Arc<Transaction>>> {
        let genesis = self.params.genesis_hash();
        let group =
            |coins: &Vec<Coin>| coins.iter().map(|coin| pay(&genesis, coin, stranger("loose", 0))).collect();
        self.loose.iter().map(group).collect()
    }

    /// Payments for `rounds` blocks of [`PAYMENTS`], each of which spends the change of the block before.
    pub(super) fn rounds(&self, rounds: usize) -> Vec<Vec<Arc<Transaction>>> {
        self.payments("rounds", rounds)
    }

    /// Transactions that each turn one coin into [`PAYMENTS`] that are never spent, made as they are asked for: 20,000.
    pub(super) fn splits(&self) -> impl Iterator<Item = Arc<Transaction>> {
        let genesis = self.params.genesis_hash();
        self.loose.iter().flatten().enumerate().map(move |(number, coin)| {
            let value = Amount((coin.output.value.0 - PAYMENTS as u64) / PAYMENTS as u64);
            let lock = stranger("split", number);
            signed(&genesis, coin, vec![TxOut { value, lock }; PAYMENTS])
        })
    }

    /// One more block on `end`.
    pub(super) fn grow(
        &self,
        end: &mut End,
        transactions: Vec<Arc<Transaction>>,
    ) -> Result<Arc<Block>, Error> {
        end.grow(&self.params, stranger("miner", 0), transactions)
    }
}

impl End {
    /// Its block.
    pub(super) fn hash(&self) -> BlockHash {
        self.hash
    }

    /// Its distance from the genesis.
    pub(super) fn height(&self) -> u32 {
        self.height
    }

    /// Mines the next block.
    fn grow(
        &mut self,
        params: &Params,
        lock: Lock,
        transactions: Vec<Arc<Transaction>>,
    ) -> Result<Arc<Block>, Error> {
        let height = self.height + 1;
        let coinbase = Transaction::new(TxData {
            version: 2,
            inputs: vec![TxIn { prevout: OutPoint::NULL, sequence: SEQUENCE_LOCK_TIME }],
            outputs: vec![TxOut { value: params.subsidy(height), lock }],
            lock_time: self.height,
            witnesses: vec![Witness(b"/tine bench/".to_vec())],
        });
        let transactions: Vec<_> = std::iter::once(Arc::new(coinbase)).chain(transactions).collect();
        let leaves: Vec<_> = transactions.iter().map(|transaction| transaction.wtxid()).collect();
        let bits = params.genesis.bits;
        let mut header = Header {
            version: 1,
            prev_block: self.hash,
            merkle_root: merkle_root(&leaves).expect("there is a coinbase"),
            time: self.time + SPACING_SECS,
            bits,
            nonce: 0,
        };
        let target = bits.to_target().map_err(|error| Error::failed("regtest's target", error))?;
        let nonce = Scanner::new(&header).scan(target, 0..=u32::MAX);
        header.nonce = nonce.ok_or_else(|| Error::Failed("no nonce meets regtest's target".into()))?;
        *self = Self { hash: header.hash(), height, time: header.time };
        Ok(Arc::new(Block { header, transactions }))
    }
}

/// Somebody whose coins are never spent.
fn stranger(branch: &str, number: usize) -> Lock {
    Lock(TaggedHash::new("tine/bench/stranger").chain(format!("{branch}/{number}")).finish())
}

/// A payment of `coin`: the change first, then what the stranger gets.
fn pay(genesis: &BlockHash, coin: &Coin, to: Lock) -> Arc<Transaction> {
    let change = Amount(coin.output.value.0 - PAID - FEE);
    let outputs =
        vec![TxOut { value: change, lock: coin.owner.lock }, TxOut { value: Amount(PAID), lock: to }];
    signed(genesis, coin, outputs)
}

fn signed(genesis: &BlockHash, coin: &Coin, outputs: Vec<TxOut>) -> Arc<Transaction> {
    let mut data = TxData {
        version: 2,
        inputs: vec![TxIn { prevout: coin.outpoint, sequence: SEQUENCE_FINAL }],
        outputs,
        lock_time: 0,
        witnesses: vec![Witness::default()],
    };
    let sighash =
        SighashCache::new(genesis, &data, &[coin.output]).expect("one coin for one input").sighash(0);
    data.witnesses[0] = Witness::key(coin.owner.key, sign(&coin.owner.secret, &sighash));
    Arc::new(Transaction::new(data))
}

/// A transaction that makes [`PAYMENTS`] coins of a coinbase, and the coins.
fn split_coinbase(
    params: &Params,
    miner: Owner,
    coinbase: &Transaction,
    split: usize,
) -> (Arc<Transaction>, Vec<Coin>) {
    let coin = Coin { outpoint: coinbase.outpoint(0), output: coinbase.outputs[0], owner: miner };
    let value = Amount((coin.output.value.0 - PAYMENTS as u64 * FEE) / PAYMENTS as u64);
    let owners: Vec<_> = (0..PAYMENTS).map(|lane| Owner::new(split, lane)).collect();
    let outputs = owners.iter().map(|owner| TxOut { value, lock: owner.lock }).collect();
    let transaction = signed(&params.genesis_hash(), &coin, outputs);
    let coins = (0..)
        .zip(owners)
        .zip(&transaction.outputs)
        .map(|((vout, owner), output)| Coin { outpoint: transaction.outpoint(vout), output: *output, owner })
        .collect();
    (transaction, coins)
}
