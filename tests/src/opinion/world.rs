//! One world in which both judge the same.

use std::collections::BTreeMap;
use std::sync::Arc;

use num_bigint::BigUint;
use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;
use ruint::aliases::U256;
use tine_chain::amount::{Amount, COIN, MAX_MONEY};
use tine_chain::block::{Block, Header};
use tine_chain::chain::{Chain, ChainOptions, HeaderOutcome, Inserted};
use tine_chain::change::Change;
use tine_chain::codec::{Decode as _, Encode as _};
use tine_chain::coins::Coin;
use tine_chain::hash::Txid;
use tine_chain::params::{Network as ChainNetwork, Params};
use tine_chain::pow::Target;
use tine_chain::reject::Reject;
use tine_chain::rules::check_transaction;
use tine_chain::signature::Parallel;
use tine_chain::store::{MemoryStore, Store as _};
use tine_chain::time::Time;
use tine_chain::transaction::{OutPoint, Transaction, TxOut};

use super::draw::{Coins, Drawings, MAX_FUTURE_SECS, Place, fee, replay, root, spoil};
use super::owners::OWNERS;
use super::{Difference, Tally, noise, verdict};
use crate::reference::{Network, Reference, Verdict};

/// Seconds between two blocks of a world, more or less.
const SPACING_SECS: u32 = 4;

/// One case as it goes.
pub(super) struct World {
    drawings: Drawings,
    chain: Chain,
    reference: Reference,
    now_secs: u32,
    /// The bytes of all transactions so far, good and bad.
    transactions: Vec<Vec<u8>>,
    outpoints: Vec<OutPoint>,
    pub(super) tally: Tally,
    pub(super) story: Vec<String>,
}

type Judged<T = ()> = Result<T, Box<Difference>>;

/// Small numbers everywhere, so that short chains have halvings, retargets and mature coinbases.
fn params(kind: u32) -> Params {
    let regtest = Params::of(ChainNetwork::Regtest);
    let common = Params {
        halving_interval: 9,
        coinbase_maturity: 3,
        max_future_secs: u64::from(MAX_FUTURE_SECS),
        ..regtest
    };
    if kind == 0 {
        return common;
    }
    Params {
        // four times the timespan times the limit stays below 2^256
        pow_limit: Target(U256::from(0x01_ffffu64) << 232),
        genesis: Header { bits: Target(U256::from(0x01_ffffu64) << 232).to_compact(), ..common.genesis },
        retarget_interval: Some(6),
        target_timespan_secs: i64::from(6 * SPACING_SECS),
        first_period_from_block_one: kind == 1,
        timewarp_grace_secs: (kind == 1).then_some(5),
        ..common
    }
}

/// The same constants for the reference.
fn network(params: &Params) -> Network {
    Network {
        genesis: params.genesis.to_array(),
        limit: BigUint::from_bytes_le(&params.pow_limit.0.to_le_bytes::<32>()),
        interval: params.retarget_interval,
        timespan: params.target_timespan_secs,
        first_period_from_block_one: params.first_period_from_block_one,
        grace: params.timewarp_grace_secs,
        max_future: params.max_future_secs,
        halving: params.halving_interval,
        maturity: params.coinbase_maturity,
    }
}

/// Coins that are there from the start: of every owner, and some of which any two are more money than there can be.
fn granted() -> Coins {
    let coin = |number: u8, value| {
        let outpoint = OutPoint { txid: Txid([number; 32]), vout: 0 };
        let output = TxOut { value, lock: OWNERS.lock_of(usize::from(number)) };
        (outpoint, Coin { output, height: 0, coinbase: false })
    };
    let rich = (40..48).map(|number| coin(number, Amount(MAX_MONEY.0 / 2 + u64::from(number))));
    (1..40).map(|number| coin(number, Amount(1_000 * COIN))).chain(rich).collect()
}

fn array<const N: usize>(value: &impl tine_chain::codec::Encode) -> [u8; N] {
    value.to_bytes().try_into().expect("an encoding of fixed length")
}

impl World {
    pub(super) fn new(kind: u32, alter: &dyn Fn(&mut Network)) -> Self {
        let params = params(kind);
        let granted = granted();
        let mut store = MemoryStore::new();
        let created = granted.iter().map(|(outpoint, coin)| (*outpoint, *coin)).collect();
        store.commit(&Change { created, ..Change::default() }).expect("memory does not fail");
        let options = ChainOptions { parallel: Parallel::Inline, ..ChainOptions::default() };
        let mut network = network(&params);
        alter(&mut network);
        let encoded: Vec<_> = granted.iter().map(|(outpoint, coin)| (array(outpoint), array(coin))).collect();
        Self {
            chain: Chain::open(params.clone(), Box::new(store), options).expect("memory does not fail"),
            reference: Reference::new(network, &encoded),
            now_secs: params.genesis.time + 100,
            outpoints: granted.keys().copied().collect(),
            drawings: Drawings::new(params, granted),
            transactions: Vec::new(),
            tally: Tally::default(),
            story: Vec::new(),
        }
    }

    pub(super) fn step(&mut self, rng: &mut ChaCha8Rng) -> Judged {
        self.now_secs += match rng.random_range(0..20) {
            0 => 600,
            1 => 60,
            _ => rng.random_range(0..=SPACING_SECS),
        };
        match rng.random_range(0..20) {
            0..10 => self.draw(rng)?,
            10..12 => self.draw_again(rng)?,
            12 => self.deliver_again(rng)?,
            13..17 => self.loose(rng)?,
            17..19 => self.garble(rng)?,
            _ => {}
        }
        if rng.random_bool(0.85) { self.activate(rng) } else { Ok(()) }
    }

    // -- steps

    /// A new block, spoiled or not, delivered now, later, or as a header first.
    fn draw(&mut self, rng: &mut ChaCha8Rng) -> Judged {
        let parent = self.parent(rng);
        let careful = rng.random_bool(0.65);
        let (mut block, what) = self.block_on(rng, parent, careful);
        if rng.random_ratio(1, 8) {
            let mut story = format!("template on {parent}: {what}");
            let verdict = self.template(&block.to_bytes())?;
            story += &format!(" → {}", verdict.name());
            self.story.push(story);
        }
        self.drawings.mine(&mut block.header);
        let block = Arc::new(block);
        self.drawings.keep(&block, parent);
        let name = self.drawings.blocks.len() - 1;
        let delivery = rng.random_range(0..10);
        let mut verdict = None;
        if delivery < 3 {
            verdict = Some(self.header(&block.header.to_array())?);
        }
        if delivery != 0 && delivery != 9 {
            verdict = Some(self.block(&block.to_bytes())?);
        }
        let said = verdict.map_or("kept back", Verdict::name);
        self.story.push(format!("block {name} on {parent}: {what} → {said}"));
        Ok(())
    }

    /// An earlier block with other random damage: in its bytes, with or without a new root and nonce, or in its list.
    fn draw_again(&mut self, rng: &mut ChaCha8Rng) -> Judged {
        let Some((at, block)) = self.earlier(rng) else { return Ok(()) };
        let mut bytes = block.to_bytes();
        let what = if rng.random_bool(0.5) {
            let mut body = bytes.split_off(Header::SIZE);
            noise::bytes(rng, &mut body);
            bytes.extend(body);
            "bytes of its body"
        } else {
            let mut other = (*block).clone();
            let what = noise::list(rng, &mut other.transactions);
            bytes = other.to_bytes();
            what
        };
        let same_header = rng.random_bool(0.3);
        if let (Ok(mut block), false) = (Block::from_bytes(&bytes), same_header) {
            block.header.merkle_root = root(&block.transactions);
            self.drawings.mine(&mut block.header);
            bytes = block.to_bytes();
            self.drawings.keep(&Arc::new(block), self.drawings.blocks[at].parent);
        }
        let verdict = self.block(&bytes)?;
        self.story.push(format!("block {at} with {what} changed → {}", verdict.name()));
        Ok(())
    }

    /// An earlier block as it was: perhaps it was kept back.
    fn deliver_again(&mut self, rng: &mut ChaCha8Rng) -> Judged {
        let Some((at, block)) = self.earlier(rng) else { return Ok(()) };
        let verdict = self.block(&block.to_bytes())?;
        self.story.push(format!("block {at} again → {}", verdict.name()));
        Ok(())
    }

    /// A transaction by itself.
    fn loose(&mut self, rng: &mut ChaCha8Rng) -> Judged {
        let tip = self.tip();
        let place = self.drawings.place(tip, self.now_secs);
        let coins = self.drawings.blocks[tip].coins.clone();
        let careful = rng.random_bool(0.5);
        let Some((mut data, spent, policies)) = self.drawings.payment(rng, &place, &coins, careful) else {
            return Ok(());
        };
        let sign = |rng: &mut ChaCha8Rng, data: &mut _| self.drawings.sign(rng, data, &spent, &policies);
        let what = if careful {
            sign(rng, &mut data);
            "careful"
        } else {
            spoil(rng, &place, &mut data, &self.outpoints, sign)
        };
        let bytes = Transaction::new(data).to_bytes();
        let verdict = self.transaction(&bytes)?;
        self.story.push(format!("transaction on the tip: {what} → {}", verdict.name()));
        self.transactions.push(bytes);
        Ok(())
    }

    /// Damaged bytes of anything.
    fn garble(&mut self, rng: &mut ChaCha8Rng) -> Judged {
        for _ in 0..3 {
            if rng.random_bool(0.5) && !self.transactions.is_empty() {
                let mut bytes = self.transactions[rng.random_range(0..self.transactions.len())].clone();
                noise::bytes(rng, &mut bytes);
                self.transaction(&bytes)?;
            } else if let Some((_, block)) = self.earlier(rng) {
                let mut bytes = block.to_bytes();
                if rng.random_ratio(1, 4) {
                    bytes.truncate(Header::SIZE);
                    noise::bytes(rng, &mut bytes);
                    self.header(&bytes)?;
                } else {
                    noise::bytes(rng, &mut bytes);
                    self.block(&bytes)?;
                }
            }
        }
        self.story.push("garbled bytes".to_owned());
        Ok(())
    }

    // -- making blocks

    /// The tip, one of the latest, or any.
    fn parent(&self, rng: &mut ChaCha8Rng) -> usize {
        let count = self.drawings.blocks.len();
        match rng.random_range(0..20) {
            0..13 => self.tip(),
            13..19 => count - 1 - rng.random_range(0..count.min(6)),
            _ => rng.random_range(0..count),
        }
    }

    fn tip(&self) -> usize {
        let tip = self.chain.tip().hash;
        let found = self.drawings.blocks.iter().position(|drawn| drawn.block.hash() == tip);
        found.expect("only drawn blocks are connected")
    }

    /// One that was drawn, the genesis excepted.
    fn earlier(&self, rng: &mut ChaCha8Rng) -> Option<(usize, Arc<Block>)> {
        let count = self.drawings.blocks.len();
        let at = (count > 1).then(|| rng.random_range(1..count))?;
        Some((at, Arc::clone(&self.drawings.blocks[at].block)))
    }

    /// A block without a nonce, and what was done to it.
    fn block_on(&mut self, rng: &mut ChaCha8Rng, parent: usize, careful: bool) -> (Block, String) {
        let place = self.drawings.place(parent, self.now_secs);
        let mut done = Vec::new();
        let spoils = |rng: &mut ChaCha8Rng| !careful && rng.random_bool(0.3);
        let mut coins = self.drawings.blocks[parent].coins.clone();
        let mut fees = 0;
        let mut transactions = Vec::new();
        for _ in 0..rng.random_range(0..4) {
            let ready = careful || rng.random_bool(0.8);
            let Some((mut data, spent, policies)) = self.drawings.payment(rng, &place, &coins, ready) else {
                continue;
            };
            let sign = |rng: &mut ChaCha8Rng, data: &mut _| self.drawings.sign(rng, data, &spent, &policies);
            if spoils(rng) {
                done.push(spoil(rng, &place, &mut data, &self.outpoints, sign));
            } else {
                sign(rng, &mut data);
            }
            fees += fee(&data, &spent);
            let transaction = Arc::new(Transaction::new(data));
            replay(&mut coins, &transaction, place.height);
            self.outpoints.push(transaction.outpoint(0));
            self.transactions.push(transaction.to_bytes());
            transactions.push(transaction);
        }
        let mut coinbase = self.drawings.coinbase(rng, &place, fees);
        if spoils(rng) {
            done.extend(noise::transaction(rng, &mut coinbase, &place.near, &self.outpoints));
        }
        transactions.insert(0, Arc::new(Transaction::new(coinbase)));
        if spoils(rng) && rng.random_bool(0.5) {
            done.push(noise::list(rng, &mut transactions));
        }
        let time = self.time(rng, &place);
        let mut header = self.drawings.header_at(&place, time);
        header.merkle_root = root(&transactions);
        if spoils(rng) {
            done.push(noise::header(rng, &mut header, &place.near));
        }
        let done = if done.is_empty() { "as it should be".to_owned() } else { done.join(", ") };
        (Block { header, transactions }, done)
    }

    /// Mostly now, else the earliest or latest that is allowed, or where another rule begins.
    fn time(&self, rng: &mut ChaCha8Rng, place: &Place) -> u32 {
        let earliest = place.median_time_past.saturating_add(1);
        let latest = self.now_secs + MAX_FUTURE_SECS;
        match rng.random_range(0..16) {
            0 => earliest,
            1 => latest.max(earliest),
            2 => latest + rng.random_range(0..30),
            3..6 => place.times[rng.random_range(0..place.times.len())]
                .saturating_add_signed(rng.random_range(-1..=1)),
            _ => {
                self.now_secs.max(earliest)
                    - rng.random_range(0..2).min(self.now_secs.saturating_sub(earliest))
            }
        }
    }

    // -- judging

    fn now(&self) -> Time {
        Time::from_secs(u64::from(self.now_secs))
    }

    fn agree(
        &mut self,
        what: &'static str,
        chain: Verdict,
        reference: Verdict,
        bytes: &[u8],
    ) -> Judged<Verdict> {
        if chain != reference {
            return Err(difference(what, chain.name(), reference.name(), bytes));
        }
        self.tally.count(what, chain.name());
        Ok(chain)
    }

    fn block(&mut self, bytes: &[u8]) -> Judged<Verdict> {
        let now = self.now();
        let chain = verdict(
            Block::from_bytes(bytes)
                .map_err(|_| Reject::BlockDecode)
                .and_then(|block| self.chain.insert_block(Arc::new(block), now)),
            |inserted| match inserted {
                Inserted::New => Verdict::Accepted,
                Inserted::Duplicate => Verdict::Duplicate,
            },
        );
        let reference = self.reference.submit_block(bytes, u64::from(self.now_secs));
        let verdict = self.agree("block", chain, reference, bytes)?;
        if verdict == Verdict::Accepted {
            self.keep_if_new(bytes);
        }
        Ok(verdict)
    }

    /// Damage can leave a valid block, where the proof of work is easy: others may build on it then.
    fn keep_if_new(&mut self, bytes: &[u8]) {
        let block = Arc::new(Block::from_bytes(bytes).expect("it was accepted"));
        let find = |hash| self.drawings.blocks.iter().position(|drawn| drawn.block.hash() == hash);
        if let (None, Some(parent)) = (find(block.hash()), find(block.header.prev_block)) {
            self.drawings.keep(&block, parent);
        }
    }

    fn header(&mut self, bytes: &[u8]) -> Judged<Verdict> {
        let now = self.now();
        let chain = match Header::from_bytes(bytes) {
            Err(_) => Verdict::Refused("header-decode"),
            Ok(header) => verdict(self.chain.accept_header(header, now), |outcome| match outcome {
                HeaderOutcome::New => Verdict::Accepted,
                HeaderOutcome::Known => Verdict::Duplicate,
            }),
        };
        let reference = self.reference.submit_header(bytes, u64::from(self.now_secs));
        self.agree("header", chain, reference, bytes)
    }

    fn template(&mut self, bytes: &[u8]) -> Judged<Verdict> {
        let block = Block::from_bytes(bytes).map_err(|_| Reject::BlockDecode);
        let judge =
            |block| self.chain.verify_block_template(&block, self.now()).expect("memory does not fail");
        let chain = verdict(block.and_then(judge), |_| Verdict::Accepted);
        let reference = self.reference.judge_template(bytes, u64::from(self.now_secs));
        self.agree("template", chain, reference, bytes)
    }

    fn transaction(&mut self, bytes: &[u8]) -> Judged<Verdict> {
        let chain = verdict(self.verify_transaction(bytes), |_| Verdict::Accepted);
        let reference = self.reference.judge_transaction(bytes);
        self.agree("transaction", chain, reference, bytes)
    }

    fn verify_transaction(&mut self, bytes: &[u8]) -> Result<Amount, Reject> {
        let transaction = Transaction::from_bytes(bytes).map_err(|_| Reject::TxDecode)?;
        check_transaction(&transaction)?;
        if transaction.is_coinbase() {
            return Err(Reject::LooseCoinbase);
        }
        let coin =
            |outpoint| self.chain.coin(outpoint).expect("memory does not fail").ok_or(Reject::MissingInputs);
        let spent =
            transaction.inputs.iter().map(|input| coin(&input.prevout)).collect::<Result<Vec<_>, _>>()?;
        self.chain.verify_transaction(&transaction, &spent)
    }

    /// Both move to the best chain, the chain in small steps. Tip, coins and what was found invalid must be the same.
    fn activate(&mut self, rng: &mut ChaCha8Rng) -> Judged {
        let budget = rng.random_range(1..6);
        let (tip, reorganisations) = (self.chain.tip().hash, self.chain.journal().len());
        let mut found = Vec::new();
        loop {
            let progress = self.chain.activate(self.now(), budget).expect("memory does not fail");
            found.extend(progress.invalid.into_iter().map(|(hash, reject)| (hash.0, reject.reason())));
            if !progress.more {
                break;
            }
        }
        let expected = self.reference.activate(u64::from(self.now_secs));
        let said = |list: &[([u8; 32], &'static str)]| {
            let names = list.iter().map(|(hash, reason)| format!("{} {reason}", hex::encode(hash)));
            names.collect::<Vec<_>>().join(", ")
        };
        if found != expected {
            return Err(difference("connection", &said(&found), &said(&expected), &[]));
        }
        for (_, reason) in &found {
            self.tally.count("connection", reason);
            self.story.push(format!("found while connecting → {reason}"));
        }
        self.compare_tips()?;
        let moved = if self.chain.journal().len() > reorganisations {
            "after a reorganisation"
        } else if self.chain.tip().hash != tip {
            "after new blocks"
        } else {
            "as before"
        };
        self.tally.count("tip and coins", moved);
        Ok(())
    }

    fn compare_tips(&mut self) -> Judged {
        let (tip, expected) = (self.chain.tip().hash.0, self.reference.tip());
        if tip != expected {
            return Err(difference("tip", &hex::encode(tip), &hex::encode(expected), &[]));
        }
        let mut coins = BTreeMap::new();
        let visit = &mut |outpoint: &OutPoint, coin: &Coin| {
            coins.insert(array(outpoint), array(coin));
        };
        self.chain.for_each_coin(visit).expect("memory does not fail");
        let expected = self.reference.coins();
        if coins != expected {
            let odd = |ours: &BTreeMap<[u8; 36], [u8; 44]>, others: &BTreeMap<_, _>| {
                let odd = ours.iter().find(|(outpoint, coin)| others.get(*outpoint) != Some(*coin));
                odd.map_or("nothing else".to_owned(), |(outpoint, _)| hex::encode(outpoint))
            };
            return Err(difference("coins", &odd(&coins, &expected), &odd(&expected, &coins), &[]));
        }
        Ok(())
    }
}

fn difference(what: &'static str, chain: &str, reference: &str, bytes: &[u8]) -> Box<Difference> {
    Box::new(Difference {
        what,
        chain: chain.to_owned(),
        reference: reference.to_owned(),
        bytes: bytes.to_vec(),
        story: Vec::new(),
    })
}
