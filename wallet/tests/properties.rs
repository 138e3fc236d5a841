//! Whatever happens to the chain, a wallet that lived through it agrees with one that is restored afterwards.

mod common;

use std::sync::Arc;

use common::{Toy, home, now, params, stranger, wallet};
use proptest::prelude::*;
use tine_chain::amount::{Amount, COIN};
use tine_chain::transaction::{OutPoint, Transaction};
use tine_wallet::{CoinState, SendRequest, Status, Wallet, WalletError};

/// Something that happens. Numbers are taken modulo what there is.
#[derive(Debug, Clone)]
enum Step {
    /// A block with the mempool in it, for one of the wallets or a stranger.
    Mine(usize),
    /// A payment between two of the wallets, or to a stranger.
    Pay { from: usize, to: usize, units: u64, random: u64 },
    /// A payment that stays out of the mempool, to be mined on a branch.
    Hide { from: usize, to: usize, units: u64, random: u64 },
    /// A branch `depth` blocks below the tip, one block longer than what it replaces, with hidden payments first.
    Fork { depth: usize, reward: usize },
    /// The same, while one of the wallets is closed.
    ForkUnseen { depth: usize, closed: usize },
    /// The mempool loses its last transaction.
    Evict,
    /// A wallet sends again what is in no block and not in the mempool, if it can.
    Resend(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let pay = || (0usize..2, 0usize..3, 1_000u64..60 * COIN, any::<u64>());
    prop_oneof![
        4 => (0usize..3).prop_map(Step::Mine),
        4 => pay().prop_map(|(from, to, units, random)| Step::Pay { from, to, units, random }),
        2 => pay().prop_map(|(from, to, units, random)| Step::Hide { from, to, units, random }),
        2 => (0usize..6, 0usize..3).prop_map(|(depth, reward)| Step::Fork { depth, reward }),
        1 => (0usize..6, 0usize..2).prop_map(|(depth, closed)| Step::ForkUnseen { depth, closed }),
        1 => Just(Step::Evict),
        2 => (0usize..2).prop_map(Step::Resend),
    ]
}

struct World {
    toy: Toy,
    wallets: [Wallet; 2],
    hidden: Vec<Arc<Transaction>>,
}

/// The keys of the two wallets.
const NUMBERS: [u8; 2] = [1, 2];

impl World {
    fn new() -> Self {
        let mut world = Self { toy: Toy::new(), wallets: NUMBERS.map(wallet), hidden: Vec::new() };
        for index in [0, 1, 0, 1] {
            world.mine(index);
        }
        (0..10).for_each(|_| world.mine(2));
        world
    }

    fn address(&mut self, index: usize) -> tine_chain::address::Address {
        self.wallets.get_mut(index).map_or_else(stranger, home)
    }

    fn mine(&mut self, reward: usize) {
        let lock = self.address(reward).lock;
        let [one, two] = &mut self.wallets;
        self.toy.mine(lock, &mut [one, two]);
    }

    fn prepare(&mut self, from: usize, to: usize, units: u64, random: u64) -> Option<tine_wallet::Payment> {
        let address = self.address(to);
        match self.wallets[from].prepare(&SendRequest::new(address, Amount(units)), now(), random) {
            Ok(payment) => Some(payment),
            Err(WalletError::InsufficientFunds { .. }) => None,
            Err(error) => panic!("{error}"),
        }
    }

    fn branch(&mut self, depth: usize, reward: usize) -> tine_chain::hash::BlockHash {
        let depth = depth.min(self.toy.active.len() - 1);
        let mut tip = self.toy.active[self.toy.active.len() - 1 - depth];
        let lock = self.address(reward).lock;
        let hidden = std::mem::take(&mut self.hidden);
        for _ in 0..=depth {
            tip = self.toy.mine_on(tip, lock, &hidden);
        }
        tip
    }

    fn run(&mut self, step: &Step) {
        match *step {
            Step::Mine(reward) => self.mine(reward),
            Step::Pay { from, to, units, random } => {
                let Some(payment) = self.prepare(from, to, units, random) else { return };
                let [one, two] = &mut self.wallets;
                let taken = self.toy.submit(&payment.transaction, &mut [one, two]);
                assert!(taken, "a wallet only spends coins that are there");
                self.wallets[from].commit(&payment, now());
            }
            Step::Hide { from, to, units, random } => {
                let Some(payment) = self.prepare(from, to, units, random) else { return };
                self.wallets[from].cancel(&payment);
                self.hidden.push(payment.transaction);
            }
            Step::Fork { depth, reward } => {
                let tip = self.branch(depth, reward);
                let [one, two] = &mut self.wallets;
                self.toy.switch(tip, &mut [one, two]);
            }
            Step::ForkUnseen { depth, closed } => {
                let tip = self.branch(depth, 2);
                self.toy.switch(tip, &mut [&mut self.wallets[1 - closed]]);
                let Self { toy, wallets, .. } = self;
                wallets[closed].catch_up(&|height| toy.active_hash(height), toy).unwrap();
                wallets[closed].sync_mempool(&toy.mempool, now());
            }
            Step::Resend(index) => {
                let [one, two] = &mut self.wallets;
                let transactions = if index == 0 { one.to_resend() } else { two.to_resend() };
                for tx in transactions {
                    self.toy.submit(&tx, &mut [one, two]);
                }
            }
            Step::Evict => {
                if let Some(tx) = self.toy.mempool.pop() {
                    for wallet in &mut self.wallets {
                        wallet.mempool_removed(&tx.txid(), tine_wallet::Removed::Dropped);
                    }
                }
            }
        }
    }

    /// Coins, for comparison: what a restored wallet can't know, what holds a coin, apart.
    fn view(wallet: &Wallet) -> Vec<(OutPoint, Amount, CoinState, Option<u32>)> {
        wallet.coins().iter().map(|coin| (coin.outpoint, coin.value, coin.state, coin.height)).collect()
    }

    fn check(&self) {
        for (wallet, number) in self.wallets.iter().zip(NUMBERS) {
            let fresh = self.toy.fresh(number);
            assert_eq!(wallet.balance(), fresh.balance());
            assert_eq!(Self::view(wallet), Self::view(&fresh));
            for entry in fresh.history() {
                assert_eq!(wallet.status(&entry.txid), Some(entry.status));
            }
            for entry in wallet.history() {
                if fresh.entry(&entry.txid).is_none() {
                    let gone =
                        matches!(entry.status, Status::Inactive | Status::Conflicted(_) | Status::Abandoned);
                    assert!(gone, "{:?} is in no block and not in the mempool", entry.status);
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn wal_10_balances_equal_a_fresh_rescan_after_any_reorganisations(
        steps in prop::collection::vec(step(), 1..30),
    ) {
        let mut world = World::new();
        for step in &steps {
            world.run(step);
            if matches!(step, Step::Fork { .. } | Step::ForkUnseen { .. } | Step::Resend(_)) {
                world.check();
            }
        }
        world.check();
        assert_eq!(params().coinbase_maturity, 10);
    }
}
