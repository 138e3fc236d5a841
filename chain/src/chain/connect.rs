//! What a block does to the coins, and whether it may.

use std::collections::hash_map::Entry;
use std::sync::Arc;

use foldhash::fast::RandomState;

use super::Chain;
use super::signature_cache::SignatureKey;
use crate::amount::Amount;
use crate::block::Block;
use crate::coins::{Coin, CoinDelta, Undo};
use crate::overlay::{Deltas, Known, Overlay};
use crate::reject::Reject;
use crate::rules::{check_coinbase_amount, check_inputs, check_sequence_locks, check_witnesses, sum_fees};
use crate::signature::{SignatureCheck, verify_batch};
use crate::store::{Store, StoreError};
use crate::transaction::{OutPoint, Transaction};
use crate::tree::Index;

/// Why a block was not connected. The two are never mistaken for each other (BIP 50).
#[derive(Debug)]
pub(super) enum ConnectError {
    /// It breaks a rule.
    Rule(Reject),
    /// We could not tell.
    Store(StoreError),
}

impl From<Reject> for ConnectError {
    fn from(reject: Reject) -> Self {
        Self::Rule(reject)
    }
}

impl From<StoreError> for ConnectError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// What a valid block does to the coins.
pub(super) struct Effects {
    /// What it spent, in order.
    pub(super) undo: Undo,
    /// What its transactions leave to the miner.
    pub(super) fees: Amount,
    /// Every coin that is there now and was not, or the other way round.
    pub(super) deltas: Deltas,
}

/// What is known of a block's witnesses before its turn comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Witnesses {
    /// They were all found good.
    Good,
    /// They are to be judged.
    Unknown,
}

/// The coins in the middle of a block.
struct BlockCoins<'a> {
    store: &'a dyn Store,
    overlay: &'a Overlay,
    deltas: Deltas,
}

impl<'a> BlockCoins<'a> {
    fn new(store: &'a dyn Store, overlay: &'a Overlay, block: &Block) -> Self {
        let moves = |transaction: &Arc<Transaction>| transaction.inputs.len() + transaction.outputs.len();
        let room = block.transactions.iter().map(moves).sum();
        Self { store, overlay, deltas: Deltas::with_capacity_and_hasher(room, RandomState::default()) }
    }

    fn spend(&mut self, outpoint: &OutPoint) -> Result<Coin, ConnectError> {
        let entry = self.deltas.entry(*outpoint);
        let coin = match &entry {
            Entry::Occupied(entry) => entry.get().now,
            Entry::Vacant(_) => match self.overlay.get(self.store, outpoint)? {
                Known::Coin(coin) => Some(coin),
                Known::Spent => None,
                Known::Unchanged => self.store.coin(outpoint)?,
            },
        };
        // each coin exists, and is spent once (Core: `HaveInputs`)
        let Some(coin) = coin else {
            return Err(Reject::InputsMissingOrSpent.into());
        };
        match entry {
            Entry::Occupied(entry) if entry.get().before.is_none() => {
                entry.remove(); // "the output leaves no entry"
            }
            Entry::Occupied(mut entry) => entry.get_mut().now = None,
            Entry::Vacant(entry) => {
                entry.insert(CoinDelta { before: Some(coin), now: None });
            }
        }
        Ok(coin)
    }

    fn create(&mut self, transaction: &Transaction, height: u32, coinbase: bool) {
        for (vout, output) in (0..).zip(&transaction.outputs) {
            let coin = Coin { output: *output, height, coinbase };
            let nothing = CoinDelta { before: None, now: None };
            self.deltas.entry(transaction.outpoint(vout)).or_insert(nothing).now = Some(coin);
        }
    }
}

/// What is added up over the transactions of a block.
#[derive(Default)]
struct Sums {
    fees: Amount,
    undo: Undo,
    /// Signatures that are still to be verified.
    checks: Vec<SignatureCheck>,
}

impl Chain {
    /// Judges a block that passed [`crate::rules::check_block`] and builds on `parent`, whose coins `overlay` shows
    /// (Core: `ConnectBlock`).
    pub(super) fn connect(
        &self,
        overlay: &Overlay,
        block: &Block,
        parent: Index,
        witnesses: Witnesses,
    ) -> Result<Effects, ConnectError> {
        let height = self.tree.at(parent).height + 1;
        let mut coins = BlockCoins::new(&*self.store, overlay, block);
        let mut sums = Sums::default();
        let (coinbase, payments) = block.transactions.split_first().expect("check_block asks for a coinbase");
        for transaction in payments {
            self.connect_transaction(&mut coins, &mut sums, transaction, parent, witnesses)?;
            coins.create(transaction, height, false);
        }
        // a coinbase's outputs can't be spent in its own block, so that they may come last
        coins.create(coinbase, height, true);
        check_coinbase_amount(coinbase, sums.fees, height, &self.params)?;
        // every signature of the block in one batch
        if verify_batch(&sums.checks, self.options.parallel).is_err() {
            return Err(Reject::BadSignature.into());
        }
        Ok(Effects { undo: sums.undo, fees: sums.fees, deltas: coins.deltas })
    }

    fn connect_transaction(
        &self,
        coins: &mut BlockCoins<'_>,
        sums: &mut Sums,
        transaction: &Transaction,
        parent: Index,
        witnesses: Witnesses,
    ) -> Result<(), ConnectError> {
        let mut spent = Vec::with_capacity(transaction.inputs.len());
        for input in &transaction.inputs {
            let coin = coins.spend(&input.prevout)?;
            spent.push(coin);
            sums.undo.spent.push((input.prevout, coin));
        }
        sums.fees = sum_fees(sums.fees, self.check_spend(transaction, &spent, parent)?)?;
        let good = witnesses == Witnesses::Good
            || (!self.signatures.is_empty()
                && self.signatures.contains(&SignatureKey::new(transaction, &spent)));
        if !good {
            sums.checks.extend(check_witnesses(transaction, &spent, &self.tree.at(Index::GENESIS).hash)?);
        }
        Ok(())
    }

    /// The rules about a transaction's coins, witnesses excepted, for a block on `parent`. Returns the fee.
    pub(super) fn check_spend(
        &self,
        transaction: &Transaction,
        spent: &[Coin],
        parent: Index,
    ) -> Result<Amount, Reject> {
        let entry = self.tree.at(parent);
        let fee = check_inputs(transaction, spent, entry.height + 1, &self.params)?;
        let median_at = |height: u32| {
            let ancestor =
                self.tree.ancestor_of(parent, height).expect("a coin is not made after it is spent");
            self.tree.at(ancestor).median_time_past
        };
        check_sequence_locks(transaction, spent, entry.height + 1, entry.median_time_past, &median_at)?;
        Ok(fee)
    }
}
