//! The mempool against a model that keeps a plain list and computes everything anew.
//!
//! Random payments (new coins, unconfirmed coins, coins that are spent already), blocks, reorganisations and
//! preferences. After each step the verdict and the contents are the model's, and the mempool's sums, limits and
//! templates are what the list gives.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proptest::prelude::*;
use tine_chain::hash::Txid;
use tine_chain::reject::Reject;
use tine_chain::transaction::{OutPoint, Transaction};
use tine_node::mempool::{
    ENTRY_OVERHEAD, FeeRate, Limits, MAX_PACKAGE_COUNT, MAX_PACKAGE_SIZE, MAX_REPLACED, Mempool,
};
use tine_node::template::select;

use crate::harness::*;
use crate::rig_with_limits;

/// An entry of the model: what is known without any index.
#[derive(Clone)]
struct Item {
    tx: Arc<Transaction>,
    fee: u64,
}

/// The list, oldest first.
#[derive(Clone, Default)]
struct Model {
    items: Vec<Item>,
    deltas: BTreeMap<Txid, i64>,
    max_usage: u64,
}

impl Model {
    fn find(&self, txid: &Txid) -> Option<&Item> {
        self.items.iter().find(|item| item.tx.txid() == *txid)
    }

    fn modified(&self, item: &Item) -> u64 {
        item.fee.saturating_add_signed(self.deltas.get(&item.tx.txid()).copied().unwrap_or(0))
    }

    fn ancestors(&self, tx: &Transaction) -> BTreeSet<Txid> {
        let parents = tx.inputs.iter().filter_map(|input| self.find(&input.prevout.txid));
        let mut found = BTreeSet::new();
        for parent in parents {
            found.insert(parent.tx.txid());
            found.extend(self.ancestors(&parent.tx));
        }
        found
    }

    fn descendants(&self, txid: &Txid) -> BTreeSet<Txid> {
        let depends = |item: &&Item| self.ancestors(&item.tx).contains(txid);
        self.items.iter().filter(depends).map(|item| item.tx.txid()).collect()
    }

    /// Bytes and modified fees.
    fn sum<'a>(&self, txids: impl IntoIterator<Item = &'a Txid>) -> (u64, u64) {
        txids
            .into_iter()
            .filter_map(|txid| self.find(txid))
            .fold((0, 0), |(size, fees), item| (size + item.tx.size() as u64, fees + self.modified(item)))
    }

    fn drop_all(&mut self, txids: &BTreeSet<Txid>) {
        self.items.retain(|item| !txids.contains(&item.tx.txid()));
    }

    fn with_descendants(&self, roots: &BTreeSet<Txid>) -> BTreeSet<Txid> {
        roots.iter().flat_map(|root| self.descendants(root)).chain(roots.iter().copied()).collect()
    }

    fn rivals(&self, tx: &Transaction) -> BTreeSet<Txid> {
        let spends = |item: &&Item| {
            item.tx.inputs.iter().any(|theirs| tx.inputs.iter().any(|ours| ours.prevout == theirs.prevout))
        };
        self.items.iter().filter(spends).map(|item| item.tx.txid()).collect()
    }

    /// The verdict about a valid payment whose coins all exist, at the least rate `least`.
    fn submit(&mut self, tx: &Arc<Transaction>, fee: u64, least: FeeRate) -> Result<(), Reject> {
        if self.find(&tx.txid()).is_some() {
            return Err(Reject::AlreadyInMempool);
        }
        let item = Item { tx: tx.clone(), fee };
        let (size, paid) = (tx.size() as u64, self.modified(&item));
        if rate(paid, size) < least {
            return Err(Reject::MinFeeNotMet);
        }
        let ancestors = self.ancestors(tx);
        let leaving = self.replace(&item, &ancestors);
        let mut after = self.clone();
        if let Ok(leaving) = &leaving {
            after.drop_all(leaving);
        }
        after.items.push(item);
        let families = ancestors.iter().map(|ancestor| after.with_descendants(&BTreeSet::from([*ancestor])));
        let own = ancestors.iter().copied().chain([tx.txid()]).collect();
        for family in families.chain([own]) {
            if family.len() > MAX_PACKAGE_COUNT as usize || after.sum(&family).0 > MAX_PACKAGE_SIZE {
                return Err(Reject::TooLongChain);
            }
        }
        leaving?;
        after.trim();
        if after.find(&tx.txid()).is_none() {
            // what was evicted for it stays away, what it would have replaced stays
            if self.rivals(tx).is_empty() {
                *self = after;
            }
            return Err(Reject::MempoolFull);
        }
        *self = after;
        Ok(())
    }

    fn replace(&self, item: &Item, ancestors: &BTreeSet<Txid>) -> Result<BTreeSet<Txid>, Reject> {
        let rivals = self.rivals(&item.tx);
        if rivals.is_empty() {
            return Ok(rivals);
        }
        if rivals.intersection(ancestors).next().is_some() {
            return Err(Reject::SpendsConflicting);
        }
        let each: usize = rivals.iter().map(|rival| self.descendants(rival).len() + 1).sum();
        if each > MAX_REPLACED as usize {
            return Err(Reject::TooManyReplacements);
        }
        let found = || rivals.iter().filter_map(|rival| self.find(rival));
        let theirs: BTreeSet<Txid> =
            found().flat_map(|rival| rival.tx.inputs.iter().map(|input| input.prevout.txid)).collect();
        let adds = |input: &&tine_chain::transaction::TxIn| {
            self.find(&input.prevout.txid).is_some() && !theirs.contains(&input.prevout.txid)
        };
        if item.tx.inputs.iter().find(adds).is_some() {
            return Err(Reject::ReplacementAddsUnconfirmed);
        }
        let (size, paid) = (item.tx.size() as u64, self.modified(item));
        let leaving = self.with_descendants(&rivals);
        let dearer = |rival: &Item| rate(self.modified(rival), rival.tx.size() as u64) >= rate(paid, size);
        if found().any(dearer) || paid < self.sum(&leaving).1 + size {
            return Err(Reject::InsufficientFee);
        }
        Ok(leaving)
    }

    fn usage(&self) -> u64 {
        self.items.iter().map(|item| item.tx.size() as u64 + ENTRY_OVERHEAD).sum()
    }

    /// Evicts whatever has the lowest of the better of its own and its family's rate, of equals the latest.
    fn trim(&mut self) {
        while self.usage() > self.max_usage {
            let worth = |(place, item): (usize, &Item)| {
                let txid = item.tx.txid();
                let family = self.with_descendants(&BTreeSet::from([txid]));
                let (size, fees) = self.sum(&family);
                let own = rate(self.modified(item), item.tx.size() as u64);
                ((own.max(rate(fees, size)), std::cmp::Reverse(place)), family)
            };
            let all = self.items.iter().enumerate().map(worth);
            let worst = all.min_by_key(|(worth, _)| *worth).expect("it is too full to be empty").1;
            self.drop_all(&worst);
        }
    }

    /// The choice of a miner, each time from the beginning.
    fn select(&self, mut room: u64) -> Vec<Txid> {
        let mut chosen: Vec<Txid> = Vec::new();
        let mut failed: BTreeSet<Txid> = BTreeSet::new();
        loop {
            let left =
                self.items.iter().enumerate().filter(|(_, item)| {
                    !chosen.contains(&item.tx.txid()) && !failed.contains(&item.tx.txid())
                });
            let offer = |(place, item): (usize, &'_ Item)| {
                let mut needed = self.ancestors(&item.tx);
                needed.insert(item.tx.txid());
                needed.retain(|txid| !chosen.contains(txid));
                let (size, fees) = self.sum(&needed);
                let own = rate(self.modified(item), item.tx.size() as u64);
                ((own.min(rate(fees, size)), std::cmp::Reverse(place)), item.tx.txid(), needed, size)
            };
            let Some((_, txid, needed, size)) = left.map(offer).max_by_key(|(appeal, ..)| *appeal) else {
                return chosen;
            };
            if size > room {
                failed.insert(txid);
                continue;
            }
            room -= size;
            chosen.extend(self.items.iter().map(|item| item.tx.txid()).filter(|txid| needed.contains(txid)));
        }
    }

    /// A block has `mined`.
    fn confirm(&mut self, mined: &[Arc<Transaction>]) {
        for tx in mined {
            self.items.retain(|item| item.tx.txid() != tx.txid());
            let losers = self.with_descendants(&self.rivals(tx));
            self.drop_all(&losers);
            self.deltas.remove(&tx.txid());
        }
    }
}

fn rate(fee: u64, size: u64) -> FeeRate {
    FeeRate { fee: tine_chain::amount::Amount(fee), size }
}

/// One thing that happens.
#[derive(Debug, Clone)]
enum Step {
    /// Spend some of the coins that were ever made, at this fee for a byte, to so many outputs.
    Pay { coins: Vec<prop::sample::Index>, fee: u64, outputs: u64 },
    /// Count a transaction for more or less.
    Prefer { which: prop::sample::Index, delta: i64 },
    /// A block with as much as fits, or without any.
    Mine,
    /// Take blocks off; they come back later, or never.
    Rewind { depth: u32, back: bool },
}

fn step() -> impl Strategy<Value = Step> {
    let coins = prop::collection::vec(any::<prop::sample::Index>(), 1..4);
    prop_oneof![
        12 => (coins, 0..40u64, 1..5u64).prop_map(|(coins, fee, outputs)| Step::Pay { coins, fee, outputs }),
        1 => (any::<prop::sample::Index>(), -3_000..6_000i64)
            .prop_map(|(which, delta)| Step::Prefer { which, delta }),
        1 => Just(Step::Mine),
        1 => (1..4u32, any::<bool>()).prop_map(|(depth, back)| Step::Rewind { depth, back }),
    ]
}

struct Subject {
    rig: Rig,
    model: Model,
    /// Every coin of owner 7 that was ever made, with repeated chances for the latest.
    coins: Vec<Funds>,
}

impl Subject {
    fn new(max_usage: u64) -> Self {
        let mut rig = rig_with_limits(Limits { max_usage, ..Limits::default() });
        let coins = rig.fund(6, 7);
        Self { rig, model: Model { max_usage, ..Model::default() }, coins }
    }

    fn pool(&self) -> &Mempool {
        self.rig.node.mempool()
    }

    fn exists(&self, coin: &OutPoint) -> bool {
        self.pool().get(&coin.txid).is_some()
            || self.rig.node.chain().coin(coin).expect("memory never fails").is_some()
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Pay { coins, fee, outputs } => self.pay(&coins, fee, outputs),
            Step::Prefer { which, delta } => {
                let txid = which.get(&self.coins).outpoint.txid;
                self.rig.node.prioritise(txid, delta);
                let sum = self.model.deltas.entry(txid).or_default();
                *sum += delta;
            }
            Step::Mine => {
                let block = self.rig.mine(1);
                self.model.confirm(&block.transactions[1..]);
            }
            Step::Rewind { depth, back } => self.rewind(depth, back),
        }
        self.check();
    }

    fn pay(&mut self, picks: &[prop::sample::Index], fee_rate: u64, outputs: u64) {
        let mut funds: Vec<Funds> = picks.iter().map(|pick| *pick.get(&self.coins)).collect();
        funds.sort_by_key(|coin| coin.outpoint);
        funds.dedup_by_key(|coin| coin.outpoint);
        funds.retain(|coin| self.exists(&coin.outpoint));
        let total: u64 = funds.iter().map(|coin| coin.output.value.0).sum();
        let size = 10 + 138 * funds.len() as u64 + 40 * outputs;
        if funds.is_empty() || total < size * fee_rate + 1_000 * outputs {
            return;
        }
        let value = (total - size * fee_rate) / outputs;
        let tx = pay(&funds, &vec![(7, value); usize::try_from(outputs).expect("few")]);
        let least = self.pool().min_fee_rate();
        let expected = self.model.submit(&tx, total - value * outputs, least);
        assert_eq!(self.rig.submit_tx(&tx).map(|_| ()), expected);
        if expected.is_ok() {
            let made = (0..tx.outputs.len()).map(|vout| Funds::of(&tx, u32::try_from(vout).expect("few"), 7));
            self.coins.extend(made);
        }
    }

    /// What a reorganisation brings back is judged by the node; the model begins anew with the node's list, after
    /// every payment that the node would take has been seen to be there.
    fn rewind(&mut self, depth: u32, back: bool) {
        let before: Vec<_> = self.rig.blocks();
        let funded = 8;
        let fork = self.rig.height().saturating_sub(depth).max(funded);
        if fork == self.rig.height() {
            return;
        }
        let hash = before[fork as usize].hash();
        let had: Vec<_> = self.model.items.iter().map(|item| item.tx.clone()).collect();
        self.rig.node.invalidate(&hash, self.rig.now).expect("it is known");
        if back {
            self.rig.node.reconsider(&hash, self.rig.now).expect("it is known");
        }
        let lost = before[fork as usize..].iter().flat_map(|block| block.transactions[1..].to_vec());
        let roomy = self.pool().usage() + 100_000 < self.model.max_usage;
        // what an operator slights may be refused when its block is taken off, and its children with it, though both could
        // be mined again once the block is back
        let slighted = back && self.model.deltas.values().any(|delta| *delta < 0);
        for tx in lost.chain(had) {
            let verdict = self.rig.node.test_accept(&tx).expect("memory never fails");
            assert!(verdict.is_err() || !roomy || slighted, "{} should have come back", tx.txid());
        }
        self.model.items =
            self.pool().entries().map(|entry| Item { tx: entry.tx.clone(), fee: entry.fee.0 }).collect();
        self.model.deltas = self.pool().deltas().collect();
    }

    fn check(&self) {
        let (pool, model) = (self.pool(), &self.model);
        let ours: Vec<Txid> = model.items.iter().map(|item| item.tx.txid()).collect();
        let theirs: Vec<Txid> = pool.entries().map(|entry| entry.tx.txid()).collect();
        assert_eq!(theirs, ours);
        let mut spent = BTreeSet::new();
        for (item, entry) in model.items.iter().zip(pool.entries()) {
            let txid = item.tx.txid();
            assert_eq!((entry.fee.0, entry.modified.0), (item.fee, model.modified(item)));
            let mut ancestors = model.ancestors(&item.tx);
            ancestors.insert(txid);
            let family = model.with_descendants(&BTreeSet::from([txid]));
            for (package, members) in [(entry.ancestors, &ancestors), (entry.descendants, &family)] {
                let sums = (package.count as usize, (package.size, package.fees.0));
                assert_eq!(sums, (members.len(), model.sum(members)), "{txid}");
                assert!(package.count <= MAX_PACKAGE_COUNT && package.size <= MAX_PACKAGE_SIZE);
            }
            for input in &item.tx.inputs {
                assert!(spent.insert(input.prevout), "a coin is spent twice");
                assert_eq!(pool.spender_of(&input.prevout), Some(txid));
                assert!(self.exists(&input.prevout), "a coin is not there");
            }
        }
        assert_eq!((pool.len(), pool.usage()), (ours.len(), model.usage()));
        assert_eq!(pool.total_fees().0, model.items.iter().map(|item| item.fee).sum::<u64>());
        assert!(pool.usage() <= model.max_usage);
        for room in [500, 2_000, 1_000_000] {
            let chosen: Vec<Txid> = select(pool, room).iter().map(|entry| entry.tx.txid()).collect();
            assert_eq!(chosen, model.select(room), "in {room} bytes");
        }
        let spec = tine_node::template::CoinbaseSpec { lock: lock(1), extra: vec![1] };
        let template = self.rig.node.template(None, self.rig.now, &spec).expect("the tip is valid");
        let verdict = self.rig.node.chain().verify_block_template(&template.block, self.rig.now);
        assert_eq!(verdict.expect("memory never fails"), Ok(template.fees));
        assert_eq!(template.block.transactions.len(), ours.len() + 1);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn the_mempool_is_a_list_with_indexes(
        steps in prop::collection::vec(step(), 1..80),
        tight in any::<bool>(),
    ) {
        let mut subject = Subject::new(if tight { 12_000 } else { 10_000_000 });
        for step in steps {
            subject.step(step);
        }
    }
}
