//! A mempool's day, and its files.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tine_chain::hash::{TaggedHash, Txid};
use tine_chain::testing::{GENESIS, TestTree, Wallet, replay_coins, stored_coins};
use tine_chain::transaction::OutPoint;
use tine_node::event::{Event, Submission, SubmitId};
use tine_node::mempool::{Dump, EstimateMode, Estimator, MAX_TARGET};
use tine_node::template::CoinbaseSpec;
use tine_node::{Node, NodeConfig};

use crate::choices::Choices;

/// Steps that one input may take, at most.
const MAX_STEPS: usize = 64;
/// Blocks under the first step: the coins of most of them are mature.
const GROUND: usize = 6;

/// Payments, double spends, replacements, chains of them, blocks that confirm or contradict them, reorganisations.
/// After each step the mempool is consistent, and what it gives a miner is a valid block.
pub fn mempool(bytes: &[u8]) {
    let mut choices = Choices::new(bytes);
    let mut day = Day::new();
    for _ in 0..MAX_STEPS {
        let Some(op) = choices.byte() else { break };
        match op % 8 {
            0..=4 => {
                if let Some(name) = day.pay(&mut choices) {
                    day.submit(Submission::Transaction(day.tree.transaction(&name)));
                }
            }
            5 => {
                // heard of again
                if day.payments > 0 {
                    let name = format!("p{}", choices.below(day.payments));
                    day.submit(Submission::Transaction(day.tree.transaction(&name)));
                }
            }
            _ => day.mine(&mut choices),
        }
        day.check();
    }
    let chain = day.node.chain();
    assert_eq!(stored_coins(chain), replay_coins(chain));
}

/// A `mempool.dat` that somebody has written, its checksum made good: a node takes back what is acceptable of it.
pub fn mempool_file(bytes: &[u8]) {
    // as it is, it is refused almost always, and must not be more than refused
    let _ = Dump::from_file(bytes);
    let file = sealed(bytes);
    let Ok(dump) = Dump::from_file(&file) else { return };
    assert_eq!(dump.to_file(), file, "one file for each content");
    let mut day = Day::new();
    let now = day.tree.now();
    let (_, restored) = day.node.restore(&dump.entries, now).expect("memory does not fail");
    let counted = restored.accepted + restored.known + restored.expired + restored.refused;
    assert_eq!(counted, dump.entries.len(), "each is here, or there is a reason");
    dump.deltas.into_iter().for_each(|(txid, delta)| day.node.prioritise(txid, delta));
    day.check();
}

/// A `fee_estimates.dat`, likewise.
pub fn estimates_file(bytes: &[u8]) {
    let _ = Estimator::from_file(bytes);
    let file = sealed(bytes);
    let Ok(estimator) = Estimator::from_file(&file) else { return };
    assert_eq!(estimator.to_file(), file, "one file for each content");
    for mode in [EstimateMode::Economical, EstimateMode::Conservative] {
        for target in [0, 1, 2, 6, MAX_TARGET, u32::MAX] {
            if let Some(estimate) = estimator.estimate(target, mode, &[(1_000, 1), (1 << 40, 1_000)]) {
                assert!(estimate.target <= MAX_TARGET);
            }
        }
    }
    let mut day = Day::new();
    day.node.restore_estimates(estimator);
    day.mine(&mut Choices::new(&[0, 0]));
    day.check();
}

/// The files of a node whose mempool has a payment, and that has seen one confirmed.
pub(crate) fn example_files() -> (Vec<u8>, Vec<u8>) {
    let mut day = Day::new();
    let mut choices = Choices::new(&[0, 0, 9, 1, 3, 9]);
    let name = day.pay(&mut choices).expect("there are coins");
    day.submit(Submission::Transaction(day.tree.transaction(&name)));
    let parent = day.names.last().expect("a block").clone();
    day.extend(&parent, &[name]);
    let name = day.pay(&mut choices).expect("there are coins");
    day.submit(Submission::Transaction(day.tree.transaction(&name)));
    let mempool = day.node.mempool();
    (Dump::of(mempool).to_file(), mempool.estimator().to_file())
}

/// `contents` with the checksum that both files end with.
pub(crate) fn sealed(contents: &[u8]) -> Vec<u8> {
    let sum = TaggedHash::new("tine/mempool-file").chain(contents).finish();
    [contents, &sum].concat()
}

struct Day {
    tree: TestTree,
    node: Node,
    names: Vec<String>,
    coins: Vec<String>,
    payments: usize,
    submissions: u64,
}

impl Day {
    fn new() -> Self {
        let tree = TestTree::regtest();
        let node = Node::new(tree.chain(), NodeConfig::new(tree.params.clone()));
        let mut day = Self {
            tree,
            node,
            names: vec![GENESIS.to_owned()],
            coins: Vec::new(),
            payments: 0,
            submissions: 0,
        };
        for _ in 0..GROUND {
            let parent = day.names.last().expect("the genesis").clone();
            day.extend(&parent, &[]);
        }
        day
    }

    fn submit(&mut self, submission: Submission) {
        let now = self.tree.now() + Duration::from_secs(1);
        self.submissions += 1;
        let id = SubmitId(self.submissions);
        self.node.handle(Event::Submit(id, submission), now).expect("memory does not fail");
        while self.node.deadline().is_some_and(|deadline| deadline <= now) {
            self.node.handle(Event::Tick, now).expect("memory does not fail");
        }
    }

    /// A payment of one coin or two: at any fee, mature or not, spent or not, confirmed or not.
    fn pay(&mut self, choices: &mut Choices<'_>) -> Option<String> {
        let mut spent = BTreeSet::new();
        for _ in 0..=choices.below(2) {
            // the newest coins more often: chains of payments grow
            let back = choices.below(12).min(self.coins.len().checked_sub(1)?);
            spent.insert(self.coins[self.coins.len() - 1 - back].clone());
        }
        let value: u64 = spent.iter().map(|coin| self.value(coin)).sum();
        let fee = u64::from(choices.byte().unwrap_or(0)).pow(3);
        let paid = value.saturating_sub(fee);
        let name = format!("p{}", self.payments);
        self.payments += 1;
        let inputs: Vec<&str> = spent.iter().map(String::as_str).collect();
        self.tree.pay(&name, &inputs, &[("ann", paid / 2), ("ben", paid - paid / 2)]);
        self.coins.extend([format!("{name}:0"), format!("{name}:1")]);
        Some(name)
    }

    fn value(&self, coin: &str) -> u64 {
        let (name, vout) = coin.split_once(':').expect("written so");
        let vout: usize = vout.parse().expect("written so");
        self.tree.transaction(name).outputs[vout].value.0
    }

    /// A block on one of the newest, with some of the payments, valid there or not.
    fn mine(&mut self, choices: &mut Choices<'_>) {
        let parent = self.names[self.names.len() - 1 - choices.below(4)].clone();
        let payments: BTreeSet<usize> = match self.payments {
            0 => BTreeSet::new(),
            all => (0..choices.below(4)).map(|_| choices.below(all)).collect(),
        };
        let names: Vec<String> = payments.into_iter().map(|number| format!("p{number}")).collect();
        self.extend(&parent, &names);
    }

    fn extend(&mut self, parent: &str, payments: &[String]) {
        let name = format!("n{}", self.names.len());
        let block = self.tree.block_with(&name, parent, payments, |_| {});
        self.coins.push(format!("{name}:0"));
        self.names.push(name);
        self.submit(Submission::Block(block));
    }

    /// What must hold after every step.
    fn check(&mut self) {
        let mempool = self.node.mempool();
        let pooled: BTreeSet<Txid> = mempool.entries().map(|entry| entry.tx.txid()).collect();
        let mut spent: BTreeSet<OutPoint> = BTreeSet::new();
        let (mut bytes, mut fees) = (0, 0);
        for entry in mempool.entries() {
            for input in &entry.tx.inputs {
                assert!(spent.insert(input.prevout), "two transactions spend {}", input.prevout);
                let there = pooled.contains(&input.prevout.txid)
                    || self.node.chain().coin(&input.prevout).expect("memory").is_some();
                assert!(there, "nobody made {}", input.prevout);
            }
            bytes += entry.tx.size() as u64;
            fees += entry.fee.0;
        }
        assert_eq!((mempool.len(), mempool.bytes()), (pooled.len(), bytes));
        assert_eq!(mempool.total_fees().0, fees);
        let coinbase = CoinbaseSpec { lock: Wallet::named("miner").lock(), extra: vec![1] };
        let now = self.tree.now() + Duration::from_secs(1);
        let template = self.node.template(None, now, &coinbase).expect("the tip is valid");
        let verdict = self.node.chain().verify_block_template(&Arc::new(template.block), now);
        assert_eq!(verdict.expect("memory does not fail"), Ok(template.fees));
    }
}
