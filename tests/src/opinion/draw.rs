//! Random blocks and payments. They may use the chain's own types and rules: they are only guesses at what is valid, and
//! no verdict depends on them.

use std::collections::BTreeMap;
use std::sync::Arc;

use rand::RngExt as _;
use rand::seq::IteratorRandom as _;
use rand_chacha::ChaCha8Rng;
use tine_chain::amount::Amount;
use tine_chain::block::{Block, Header};
use tine_chain::coins::Coin;
use tine_chain::hash::{MerkleRoot, Wtxid};
use tine_chain::merkle::merkle_root;
use tine_chain::mining::Scanner;
use tine_chain::params::Params;
use tine_chain::policy::Policy;
use tine_chain::pow::{median_time_past, next_bits};
use tine_chain::rules::{check_final, check_inputs, check_sequence_locks};
use tine_chain::sighash::SighashCache;
use tine_chain::transaction::{OutPoint, SEQUENCE_LOCK_TIME, Transaction, TxData, TxIn, TxOut, Witness};

use super::noise;
use super::owners::{OWNERS, needs};

/// Nonces that are tried for one block: bits may have been made too hard to meet.
const MAX_NONCES: u32 = 1 << 14;

/// Seconds that a block may be ahead of the clock, in all these worlds.
pub(super) const MAX_FUTURE_SECS: u32 = 20;

pub(super) type Coins = BTreeMap<OutPoint, Coin>;

/// A block that was made, whatever became of it.
pub(super) struct Drawn {
    pub(super) block: Arc<Block>,
    pub(super) parent: usize,
    pub(super) height: u32,
    /// What is unspent after it, if it is valid.
    pub(super) coins: Coins,
}

/// Every block that was made; the first is the genesis.
pub(super) struct Drawings {
    pub(super) params: Params,
    pub(super) blocks: Vec<Drawn>,
}

/// Where a new block goes.
pub(super) struct Place {
    pub(super) parent: usize,
    pub(super) height: u32,
    pub(super) median_time_past: u32,
    /// Times at which a rule may change its verdict.
    pub(super) times: Vec<u32>,
    /// The same, and heights.
    pub(super) near: Vec<u64>,
}

impl Drawings {
    pub(super) fn new(params: Params, coins: Coins) -> Self {
        let block = params.genesis_block();
        Self { blocks: vec![Drawn { block, parent: 0, height: 0, coins }], params }
    }

    fn header(&self, mut at: usize, height: u32) -> Option<Header> {
        while self.blocks[at].height > height {
            at = self.blocks[at].parent;
        }
        (self.blocks[at].height == height).then_some(self.blocks[at].block.header)
    }

    /// The median time past of the block at `height` of the chain that ends with `at`.
    fn median(&self, at: usize, height: u32) -> u32 {
        let times = (0..=height).rev().filter_map(|height| Some(self.header(at, height)?.time));
        median_time_past(times.take(11))
    }

    pub(super) fn place(&self, parent: usize, now_secs: u32) -> Place {
        let last = &self.blocks[parent];
        let median_time_past = self.median(parent, last.height);
        let height = last.height + 1;
        let ends = self.params.retarget_interval.and_then(|interval| {
            let first = height - height % interval;
            self.header(parent, first.max(u32::from(self.params.first_period_from_block_one)))
        });
        let mut times = vec![median_time_past, last.block.header.time, now_secs + MAX_FUTURE_SECS];
        times.extend(ends.map(|first| first.time));
        let earliest = |grace| last.block.header.time.saturating_sub(grace);
        times.extend(self.params.timewarp_grace_secs.map(earliest));
        let near = times.iter().copied().chain([height]).map(u64::from).collect();
        Place { parent, height, median_time_past, times, near }
    }

    /// A payment of up to three of these coins; `None` when it chose some that may not be spent there and should not.
    pub(super) fn payment(
        &self,
        rng: &mut ChaCha8Rng,
        place: &Place,
        coins: &Coins,
        careful: bool,
    ) -> Option<(TxData, Vec<Coin>, Vec<Policy>)> {
        let count = rng.random_range(1..=3);
        let chosen: Vec<(OutPoint, Coin)> =
            coins.iter().map(|(outpoint, coin)| (*outpoint, *coin)).sample(rng, count);
        let (outpoints, spent): (Vec<_>, Vec<_>) = chosen.into_iter().unzip();
        let policies =
            spent.iter().map(|coin| OWNERS.reveal(&coin.output.lock, rng)).collect::<Option<Vec<_>>>()?;
        let (lock_times, sequences): (Vec<_>, Vec<_>) = policies.iter().map(needs).unzip();
        // some coins are worth more than there is money, on purpose
        let total = spent.iter().fold(0u64, |sum, coin| sum.saturating_add(coin.output.value.0));
        let parts = rng.random_range(1..=3);
        // a fee of everything, of a little, of nothing
        let fee = total / [1, 50, 50, 50, u64::MAX][rng.random_range(0..5)];
        let share = (total - fee) / parts;
        let data = TxData {
            version: 2,
            inputs: (outpoints.iter().zip(sequences))
                .map(|(&prevout, sequence)| TxIn { prevout, sequence })
                .collect(),
            outputs: (0..parts).map(|_| TxOut { value: Amount(share), lock: OWNERS.pick(rng) }).collect(),
            lock_time: lock_times.into_iter().max()?,
            witnesses: vec![Witness::default(); outpoints.len()],
        };
        let possible = || self.is_possible(place, &data, &spent, &policies);
        (!careful || possible()).then_some((data, spent, policies))
    }

    fn is_possible(&self, place: &Place, data: &TxData, spent: &[Coin], policies: &[Policy]) -> bool {
        let median_at = |height| self.median(place.parent, height);
        check_final(data, place.height, place.median_time_past).is_ok()
            && check_inputs(data, spent, place.height, &self.params).is_ok()
            && check_sequence_locks(data, spent, place.height, place.median_time_past, &median_at).is_ok()
            && policies.iter().all(|policy| policy.check().is_ok())
    }

    /// Gives every input its witness.
    pub(super) fn sign(&self, rng: &mut ChaCha8Rng, data: &mut TxData, spent: &[Coin], policies: &[Policy]) {
        let outputs: Vec<_> = spent.iter().map(|coin| coin.output).collect();
        let Ok(sighash) = SighashCache::new(&self.params.genesis_hash(), data, &outputs) else { return };
        for (place, policy) in policies.iter().enumerate() {
            data.witnesses[place] = OWNERS.open(policy, &sighash.sighash(place), rng);
        }
    }

    /// The coinbase of a block whose transactions leave `fees`.
    pub(super) fn coinbase(&self, rng: &mut ChaCha8Rng, place: &Place, fees: u64) -> TxData {
        let value = Amount(self.params.subsidy(place.height).0.saturating_add(fees));
        TxData {
            version: 2,
            inputs: vec![TxIn { prevout: OutPoint::NULL, sequence: SEQUENCE_LOCK_TIME }],
            outputs: vec![TxOut { value, lock: OWNERS.pick(rng) }],
            lock_time: place.height - 1,
            witnesses: vec![Witness(rng.random::<[u8; 8]>().to_vec())],
        }
    }

    /// The header that the place asks for, without root and nonce.
    pub(super) fn header_at(&self, place: &Place, time: u32) -> Header {
        let parent = &self.blocks[place.parent];
        let bits = next_bits(&self.params, parent.height, |height| self.header(place.parent, height));
        Header {
            version: 1,
            prev_block: parent.block.hash(),
            merkle_root: MerkleRoot::ZERO,
            time,
            // a parent whose bits were spoiled may encode no target
            bits: bits.unwrap_or(parent.block.header.bits),
            nonce: 0,
        }
    }

    /// Finds a nonce, if there is one among the first.
    pub(super) fn mine(&self, header: &mut Header) {
        let target = header.bits.to_target().unwrap_or(self.params.pow_limit);
        header.nonce = Scanner::new(header).scan(target, 0..=MAX_NONCES).unwrap_or(0);
    }

    /// Remembers a block, so that others may build on it.
    pub(super) fn keep(&mut self, block: &Arc<Block>, parent: usize) {
        let height = self.blocks[parent].height + 1;
        let mut coins = self.blocks[parent].coins.clone();
        block.transactions.iter().for_each(|transaction| replay(&mut coins, transaction, height));
        self.blocks.push(Drawn { block: Arc::clone(block), parent, height, coins });
    }
}

/// What a transaction does to the coins, if it is valid.
pub(super) fn replay(coins: &mut Coins, transaction: &Transaction, height: u32) {
    let coinbase = transaction.is_coinbase();
    transaction.inputs.iter().for_each(|input| {
        coins.remove(&input.prevout);
    });
    // a handful is enough to choose from
    for (vout, output) in (0..8).zip(&transaction.outputs) {
        coins.insert(transaction.outpoint(vout), Coin { output: *output, height, coinbase });
    }
}

/// What a transaction that spends these coins leaves to the miner.
pub(super) fn fee(data: &TxData, spent: &[Coin]) -> u64 {
    let received = spent.iter().fold(0u64, |sum, coin| sum.saturating_add(coin.output.value.0));
    let paid = data.outputs.iter().fold(0u64, |sum, output| sum.saturating_add(output.value.0));
    received.saturating_sub(paid)
}

/// The root over a body, zeros over none.
pub(super) fn root(transactions: &[Arc<Transaction>]) -> MerkleRoot {
    let leaves: Vec<Wtxid> = transactions.iter().map(|transaction| transaction.wtxid()).collect();
    merkle_root(&leaves).unwrap_or_default()
}

/// A transaction with random damage, before or after it is signed. Returns what was done to it.
pub(super) fn spoil(
    rng: &mut ChaCha8Rng,
    place: &Place,
    data: &mut TxData,
    outpoints: &[OutPoint],
    sign: impl FnOnce(&mut ChaCha8Rng, &mut TxData),
) -> &'static str {
    let before = rng.random_bool(0.7);
    if !before {
        sign(rng, data);
        return noise::transaction(rng, data, &place.near, outpoints).unwrap_or("nothing");
    }
    let what = noise::transaction(rng, data, &place.near, outpoints).unwrap_or("nothing");
    sign(rng, data);
    what
}
