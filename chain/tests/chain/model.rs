//! Random block trees against a naive model, which keeps a whole map of coins for each block and looks at all of them.
//!
//! `TINE_MODEL_CASES` and `TINE_MODEL_STEPS` make it longer: 21000 cases of up to 100 steps, 50 on average, are over a
//! million (UTX-01), and take three minutes.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use proptest::prelude::*;
use tine_chain::chain::Chain;
use tine_chain::coins::Coin;
use tine_chain::journal::{Fate, Reorg};
use tine_chain::testing::{TestTree, stored_coins};
use tine_chain::transaction::OutPoint;

/// How many blocks a coinbase takes to mature in [`TestTree::regtest`].
const MATURITY: u32 = 2;

/// One random step. The numbers choose among whatever there is to choose from.
#[derive(Debug, Clone)]
enum Step {
    /// Draw a block with up to three transactions on one of the blocks; deliver it, or only its header.
    Extend {
        parent: usize,
        payments: Vec<(usize, usize)>,
        overpay: bool,
        header_only: bool,
    },
    /// Deliver a block again, or for the first time.
    Deliver(usize),
    Invalidate(usize),
    Reconsider(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let payments = prop::collection::vec((any::<usize>(), any::<usize>()), 0..4);
    let extend = (any::<usize>(), payments, prop::bool::weighted(0.08), prop::bool::weighted(0.25)).prop_map(
        |(parent, payments, overpay, header_only)| Step::Extend { parent, payments, overpay, header_only },
    );
    prop_oneof![
        8 => extend,
        3 => any::<usize>().prop_map(Step::Deliver),
        1 => any::<usize>().prop_map(Step::Invalidate),
        1 => any::<usize>().prop_map(Step::Reconsider),
    ]
}

/// A block as the model sees it.
#[derive(Clone)]
struct Block {
    name: String,
    parent: usize,
    height: u32,
    /// All coins after it, by name, with what the store should say of each.
    coins: BTreeMap<String, Coin>,
    /// The transactions that it and its ancestors have.
    confirmed: BTreeSet<String>,
    overpays: bool,
    invalidated: bool,
    /// Its place in the order of headers.
    known: Option<usize>,
    body: bool,
    /// Its place in the order in which chains of bodies became complete.
    complete: Option<usize>,
}

struct Model {
    tree: TestTree,
    chain: Chain,
    blocks: Vec<Block>,
    /// Every payment, with the names of the coins that it spends and makes.
    payments: BTreeMap<String, (Vec<String>, Vec<String>)>,
    headers: usize,
    completed: usize,
    reorgs: usize,
}

impl Model {
    fn new() -> Self {
        let tree = TestTree::regtest();
        let genesis = Block {
            name: "genesis".to_owned(),
            parent: 0,
            height: 0,
            coins: BTreeMap::new(),
            confirmed: BTreeSet::new(),
            overpays: false,
            invalidated: false,
            known: Some(0),
            body: true,
            complete: Some(0),
        };
        let chain = tree.chain();
        Self {
            tree,
            chain,
            blocks: vec![genesis],
            payments: BTreeMap::new(),
            headers: 0,
            completed: 0,
            reorgs: 0,
        }
    }

    fn take(&mut self, step: &Step) {
        match step {
            Step::Extend { parent, payments, overpay, header_only } => {
                // one of the last six blocks, so that branches grow long
                let newest = self.blocks.len().min(6);
                let parent = self.blocks.len() - 1 - parent % newest;
                let place = self.draw(parent, payments, *overpay);
                self.deliver(place, *header_only);
            }
            Step::Deliver(choice) => self.deliver(choice % self.blocks.len(), false),
            Step::Invalidate(choice) => {
                let place = choice % self.blocks.len();
                let done = self.chain.invalidate(&self.tree.hash(&self.blocks[place].name)).is_ok();
                self.blocks[place].invalidated |= done;
            }
            Step::Reconsider(choice) => {
                let place = choice % self.blocks.len();
                if self.chain.reconsider(&self.tree.hash(&self.blocks[place].name)).is_ok() {
                    for other in 0..self.blocks.len() {
                        let related = self.is_ancestor(other, place) || self.is_ancestor(place, other);
                        self.blocks[other].invalidated &= !related;
                    }
                }
            }
        }
    }

    fn path(&self, mut place: usize) -> Vec<usize> {
        let mut path = vec![place];
        while place != 0 {
            place = self.blocks[place].parent;
            path.push(place);
        }
        path
    }

    fn is_ancestor(&self, ancestor: usize, descendant: usize) -> bool {
        self.path(descendant).contains(&ancestor)
    }

    fn is_valid(&self, place: usize) -> bool {
        self.path(place).iter().all(|&place| !self.blocks[place].overpays && !self.blocks[place].invalidated)
    }

    /// Draws a block on `parent`, whose payments spend coins that are there.
    fn draw(&mut self, parent: usize, payments: &[(usize, usize)], overpay: bool) -> usize {
        let name = format!("n{}", self.blocks.len());
        let before = self.blocks[parent].clone();
        let height = before.height + 1;
        let (mut coins, mut confirmed) = (before.coins, before.confirmed);
        let mut names = Vec::new();
        for &(choice, split) in payments {
            let Some(payment) = self.payment(&coins, &confirmed, height, choice, split) else { continue };
            let (spends, makes) = self.payments[&payment].clone();
            coins.retain(|coin, _| !spends.contains(coin));
            let transaction = self.tree.transaction(&payment);
            for (coin, output) in makes.iter().zip(&transaction.outputs) {
                coins.insert(coin.clone(), Coin { output: *output, height, coinbase: false });
            }
            confirmed.insert(payment.clone());
            names.push(payment);
        }
        let block = self.tree.block_with(&name, &before.name, &names, |draft| {
            draft.coinbase.outputs[0].value.0 += u64::from(overpay);
        });
        let output = block.transactions[0].outputs[0];
        coins.insert(format!("{name}:0"), Coin { output, height, coinbase: true });
        self.blocks.push(Block {
            name,
            parent,
            height,
            coins,
            confirmed,
            overpays: overpay,
            invalidated: false,
            known: None,
            body: false,
            complete: None,
        });
        self.blocks.len() - 1
    }

    /// A payment that can be mined at `height`: one of another branch, or a new one.
    fn payment(
        &mut self,
        coins: &BTreeMap<String, Coin>,
        confirmed: &BTreeSet<String>,
        height: u32,
        choice: usize,
        split: usize,
    ) -> Option<String> {
        let mature = |coin: &Coin| !coin.coinbase || height - coin.height >= MATURITY;
        let ready = |name: &String| coins.get(name).is_some_and(mature);
        if split.is_multiple_of(3) {
            let mut again = self
                .payments
                .iter()
                .filter(|(name, (spends, _))| !confirmed.contains(*name) && spends.iter().all(ready));
            let count = again.clone().count();
            if count > 0 {
                return again.nth(choice % count).map(|(name, _)| name.clone());
            }
        }
        let spendable: Vec<_> = coins.keys().filter(|name| ready(name)).cloned().collect();
        let first = spendable.get(choice % spendable.len().max(1))?.clone();
        let second = spendable[(choice / 7) % spendable.len()].clone();
        let spends =
            if second == first || split.is_multiple_of(2) { vec![first] } else { vec![first, second] };
        let value: u64 = spends.iter().map(|name| coins[name].output.value.0).sum();
        let parts = 1 + split as u64 % 3;
        let share = (value - value / 100) / parts;
        let outputs: Vec<_> = ["x", "y", "z"][..parts as usize].iter().map(|owner| (*owner, share)).collect();
        let name = format!("p{}", self.payments.len());
        let inputs: Vec<_> = spends.iter().map(String::as_str).collect();
        self.tree.pay(&name, &inputs, &outputs);
        let makes = (0..parts).map(|vout| format!("{name}:{vout}")).collect();
        self.payments.insert(name.clone(), (spends, makes));
        Some(name)
    }

    fn deliver(&mut self, place: usize, header_only: bool) {
        let block = &self.blocks[place];
        let (name, parent) = (block.name.clone(), block.parent);
        let marked = self.path(place).iter().any(|&place| self.blocks[place].invalidated);
        // a branch that breaks a rule may be refused or not; no verdict hangs on it
        if header_only {
            let header = self.tree.block(&name).header;
            let _ = self.chain.accept_header(header, self.tree.now());
        } else {
            let _ = self.chain.insert_block(self.tree.block(&name), self.tree.now());
        }
        if marked || self.blocks[parent].known.is_none() {
            return;
        }
        if self.blocks[place].known.is_none() {
            self.headers += 1;
            self.blocks[place].known = Some(self.headers);
        }
        if !header_only && !self.blocks[place].body {
            self.blocks[place].body = true;
            self.complete(place);
        }
    }

    fn complete(&mut self, place: usize) {
        if self.blocks[self.blocks[place].parent].complete.is_none() {
            return;
        }
        let mut ready = VecDeque::from([place]);
        while let Some(place) = ready.pop_front() {
            self.completed += 1;
            self.blocks[place].complete = Some(self.completed);
            let mut children: Vec<_> = (place + 1..self.blocks.len())
                .filter(|&child| self.blocks[child].parent == place && self.blocks[child].body)
                .collect();
            children.sort_by_key(|&child| self.blocks[child].known);
            ready.extend(children);
        }
    }

    /// Every block has the same work, so the highest is the heaviest.
    fn best(&self) -> usize {
        (0..self.blocks.len())
            .filter(|&place| self.is_valid(place))
            .filter_map(|place| Some((self.blocks[place].height, self.blocks[place].complete?, place)))
            .max_by_key(|&(height, complete, _)| (height, std::cmp::Reverse(complete)))
            .map_or(0, |(_, _, place)| place)
    }

    fn block_called(&self, name: &str) -> &Block {
        self.blocks.iter().find(|block| block.name == name).expect("the tip was drawn")
    }

    fn expected_coins(&self, block: &Block) -> BTreeMap<OutPoint, Coin> {
        block.coins.iter().map(|(name, coin)| (self.tree.outpoint(name), *coin)).collect()
    }

    /// The chain's coins are those of its tip, and no more money is there than was issued.
    fn check_coins(&self) {
        let tip = self.block_called(self.tree.tip(&self.chain));
        assert_eq!(stored_coins(&self.chain), self.expected_coins(tip));
        let issued: u64 = (1..=tip.height).map(|height| self.tree.params.subsidy(height).0).sum();
        let total = self.chain.coin_set().expect("memory").total;
        assert_eq!(total.0, issued, "UTX-05: every miner claims everything");
    }

    /// Fates by another definition: what returned can be mined on the new tip, all of it, in its order.
    fn check_fates(&self, reorg: &Reorg) {
        let tip = reorg.connected.last().unwrap_or(&reorg.fork).hash;
        let tip = self.block_called(self.tree.name(&tip));
        let mut coins: BTreeSet<_> = self.expected_coins(tip).into_keys().collect();
        let by_id: BTreeMap<_, _> =
            self.payments.keys().map(|name| (self.tree.transaction(name).txid(), name)).collect();
        for entry in &reorg.transactions {
            let Some(name) = by_id.get(&entry.txid) else {
                assert_eq!(entry.fate, Fate::Orphaned, "a coinbase");
                continue;
            };
            let transaction = self.tree.transaction(name);
            let there = transaction.inputs.iter().all(|input| coins.contains(&input.prevout));
            match &entry.fate {
                Fate::ConfirmedAgain { block } => {
                    assert!(self.tree.block(self.tree.name(block)).transactions.contains(&transaction));
                }
                Fate::Returned => {
                    assert!(there, "{name} can be mined again");
                    coins.extend((0..).zip(&transaction.outputs).map(|(vout, _)| transaction.outpoint(vout)));
                }
                Fate::Conflicted { coin, by, block } => {
                    assert!(!there);
                    let block = self.tree.block(self.tree.name(block));
                    let spender =
                        block.transactions.iter().find(|other| other.txid() == *by).expect("is in it");
                    assert!(spender.inputs.iter().any(|input| input.prevout == *coin));
                }
                Fate::Orphaned => assert!(!there),
            }
        }
    }

    /// Activates in steps of `budget`, checks after each, and at the end that the best block is the tip.
    fn check(&mut self, budget: usize) {
        loop {
            let more = self.chain.activate(self.tree.now(), budget).expect("memory does not fail").more;
            self.check_coins();
            while self.reorgs < self.chain.journal().len() {
                let reorg = self.chain.journal()[self.reorgs].clone();
                self.check_fates(&reorg);
                self.reorgs += 1;
            }
            if !more {
                break;
            }
        }
        assert_eq!(self.tree.tip(&self.chain), self.blocks[self.best()].name);
    }
}

fn from_env(name: &str, default: u32) -> u32 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: from_env("TINE_MODEL_CASES", 48),
        failure_persistence: None,
        max_shrink_iters: 2_000,
        ..ProptestConfig::default()
    })]

    #[test]
    fn utx_01_random_trees_have_the_coins_and_the_tip_of_a_naive_model(
        steps in prop::collection::vec((step(), 1..4usize, any::<bool>()), 1..from_env("TINE_MODEL_STEPS", 60) as usize),
    ) {
        let mut model = Model::new();
        for (step, budget, activate) in &steps {
            model.take(step);
            if *activate {
                model.check(*budget);
            }
        }
        model.check(usize::MAX);
    }
}
