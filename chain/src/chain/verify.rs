//! Judging what is in no block yet: transactions for the mempool, and templates.

use std::sync::Arc;

use super::Chain;
use super::connect::{ConnectError, Witnesses};
use super::signature_cache::SignatureKey;
use super::switch::Switch;
use crate::amount::Amount;
use crate::block::Block;
use crate::coins::Coin;
use crate::reject::Reject;
use crate::rules::{check_block_in_context, check_body, check_final, check_transaction, check_witnesses};
use crate::signature::verify_batch;
use crate::store::StoreError;
use crate::time::Time;
use crate::transaction::Transaction;
use crate::tree::Index;

impl Chain {
    /// Judges a loose transaction by the rules of the next block on the tip: everything but whether its coins are there.
    /// Returns the fee, and remembers that the witnesses are good.
    ///
    /// `spent` has the coin of each input, in order; that of an unconfirmed transaction has the height of the next block.
    ///
    /// # Errors
    /// The rule it breaks; one that only time must heal as [`crate::reject::Fault::Premature`].
    ///
    /// # Panics
    /// When there are not as many coins as inputs.
    pub fn verify_transaction(
        &mut self,
        transaction: &Transaction,
        spent: &[Coin],
    ) -> Result<Amount, Reject> {
        check_transaction(transaction)?;
        // a coinbase is good only at the head of its block
        if transaction.is_coinbase() {
            return Err(Reject::LooseCoinbase);
        }
        let fee = self.verify_place(transaction, spent).map_err(premature)?;
        let key = SignatureKey::new(transaction, spent);
        if !self.signatures.contains(&key) {
            let checks = check_witnesses(transaction, spent, &self.tree.at(Index::GENESIS).hash)?;
            verify_batch(&checks, self.options.parallel).map_err(|_| Reject::BadSignature)?;
            self.signatures.insert(key);
        }
        Ok(fee)
    }

    /// Verifies the witnesses of transactions in one batch, and remembers them if all are good. If one is not, nothing
    /// is remembered: [`Chain::verify_transaction`] finds it.
    ///
    /// Each comes with the coin of each of its inputs, in order.
    pub fn verify_ahead(&mut self, transactions: &[(Arc<Transaction>, Vec<Coin>)]) {
        let genesis = self.tree.at(Index::GENESIS).hash;
        let (mut keys, mut checks) = (Vec::new(), Vec::new());
        for (transaction, spent) in transactions {
            let key = SignatureKey::new(transaction, spent);
            if !self.signatures.contains(&key)
                && check_transaction(transaction).is_ok()
                && let Ok(found) = check_witnesses(transaction, spent, &genesis)
            {
                keys.push(key);
                checks.extend(found);
            }
        }
        if verify_batch(&checks, self.options.parallel).is_ok() {
            keys.into_iter().for_each(|key| self.signatures.insert(key));
        }
    }

    fn verify_place(&self, transaction: &Transaction, spent: &[Coin]) -> Result<Amount, Reject> {
        let tip = self.tip();
        check_final(transaction, tip.height + 1, tip.median_time_past)?;
        self.check_spend(transaction, spent, self.tip_index())
    }

    /// Judges a block that is not mined yet by every rule but the proof of work (Core: `TestBlockValidity`). Its parent
    /// may be any block of the tree whose chain has all bodies. Nothing changes. Returns the fees.
    ///
    /// # Errors
    /// The outer error when the store fails, the inner one when the block breaks a rule.
    pub fn verify_block_template(
        &self,
        block: &Block,
        now: Time,
    ) -> Result<Result<Amount, Reject>, StoreError> {
        match self.verify_template(block, now) {
            Ok(fees) => Ok(Ok(fees)),
            Err(ConnectError::Rule(reject)) => Ok(Err(reject)),
            Err(ConnectError::Store(error)) => Err(error),
        }
    }

    fn verify_template(&self, block: &Block, now: Time) -> Result<Amount, ConnectError> {
        let parent = self.tree.index_of(&block.header.prev_block);
        let parent = parent.filter(|&parent| self.tree.at(parent).connectable);
        let parent = parent.ok_or(Reject::PrevBlockNotFound)?;
        self.check_header_on(&block.header, parent, now)?;
        check_body(block)?;
        let entry = self.tree.at(parent);
        check_block_in_context(block, entry.height + 1, entry.median_time_past)?;
        let mut switch = Switch::new(self.tip_index());
        while switch.at != parent {
            if self.step(&mut switch, parent)?.is_some() {
                return Err(Reject::BadPrevBlock.into());
            }
        }
        Ok(self.connect(&switch.overlay, block, parent, Witnesses::Unknown)?.fees)
    }
}

/// What only time must heal is no fault of the sender.
fn premature(reject: Reject) -> Reject {
    if reject == Reject::NonFinal {
        Reject::PrematureNonFinal
    } else if reject == Reject::SequenceLock {
        Reject::PrematureSequenceLock
    } else if reject == Reject::PrematureSpend {
        Reject::PrematureCoinbaseSpend
    } else {
        reject
    }
}
