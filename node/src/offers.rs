//! Transactions from programs on this machine: tested, offered one by one or as a package, restored from a file.

use std::sync::Arc;

use tine_chain::amount::Amount;
use tine_chain::coins::Coin;
use tine_chain::hash::Txid;
use tine_chain::reject::Reject;
use tine_chain::store::StoreError;
use tine_chain::time::Time;
use tine_chain::transaction::Transaction;

use crate::event::Action;
use crate::mempool::{
    Entrance, Estimator, Fared, PackageError, Saved, check_child_with_parents, check_package,
};
use crate::node::Node;
use crate::wire::Gossip;

/// A transaction for the mempool, and what the submitter takes for a slip of the pen.
#[derive(Debug, Clone)]
pub struct Offer {
    /// The transaction.
    pub tx: Arc<Transaction>,
    /// A higher fee is refused.
    pub max_fee: Option<Amount>,
}

/// Why an offer came to nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Declined {
    /// By this rule.
    Rule(Reject),
    /// It pays more than the submitter said it should.
    FeeTooHigh {
        /// What it pays.
        fee: Amount,
        /// The most that it should.
        limit: Amount,
    },
}

/// What came of transactions of an earlier run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Restored {
    /// Are here.
    pub accepted: usize,
    /// Were here.
    pub known: usize,
    /// Are too old.
    pub expired: usize,
    /// Are not acceptable any more.
    pub refused: usize,
}

impl Node {
    /// Whether `tx` would be accepted by the mempool now, and what it pays.
    ///
    /// # Errors
    /// The outer error is the store's, the inner one the rule.
    pub fn test_accept(&mut self, tx: &Arc<Transaction>) -> Result<Result<Amount, Reject>, StoreError> {
        let verdict = self.mempool.check(&mut self.chain, tx)?;
        Ok(verdict.map(|acceptable| acceptable.fee).map_err(|refusal| refusal.reject))
    }

    /// Whether each of `txs` would be accepted if they came now and in this order, and what it pays. Nothing changes.
    ///
    /// # Errors
    /// The outer error is the store's; then that they are no package; the inner one is the rule.
    pub fn test_package(
        &mut self,
        txs: &[Arc<Transaction>],
        now: Time,
    ) -> Result<Result<Vec<Result<Amount, Reject>>, PackageError>, StoreError> {
        if let Err(error) = check_package(txs) {
            return Ok(Err(error));
        }
        let verdicts = self.mempool.test_in_order(&mut self.chain, txs, now)?;
        Ok(Ok(verdicts.into_iter().map(|verdict| verdict.map_err(|refusal| refusal.reject)).collect()))
    }

    /// Offers transactions to the mempool, in order, and publishes those that it takes. Their signatures are verified
    /// in one batch.
    ///
    /// # Errors
    /// The store's.
    #[expect(clippy::type_complexity, reason = "what to do, and an answer for each offer")]
    pub fn offer(
        &mut self,
        offers: &[Offer],
        now: Time,
    ) -> Result<(Vec<Action>, Vec<Result<Txid, Declined>>), StoreError> {
        self.now = now;
        self.verify_ahead(offers.iter().map(|offer| &offer.tx))?;
        let mut answers = Vec::with_capacity(offers.len());
        for offer in offers {
            answers.push(self.consider(offer)?);
        }
        self.advance()?;
        Ok((std::mem::take(&mut self.out), answers))
    }

    fn consider(&mut self, Offer { tx, max_fee }: &Offer) -> Result<Result<Txid, Declined>, StoreError> {
        let acceptable = match self.judge_transaction(tx)? {
            Ok(acceptable) => acceptable,
            Err(refusal) => return Ok(Err(Declined::Rule(refusal.reject))),
        };
        let fee = acceptable.fee;
        if let Some(limit) = max_fee.filter(|limit| fee > *limit) {
            return Ok(Err(Declined::FeeTooHigh { fee, limit }));
        }
        let taken = self.take_transaction(acceptable, self.now);
        if taken.is_ok() {
            self.out.push(Action::Publish(Gossip::Transaction(tx.clone())));
        }
        Ok(taken.map_err(|refusal| Declined::Rule(refusal.reject)))
    }

    /// Verifies the signatures of several transactions in one batch, as far as their coins are here: the chain then
    /// knows them. A batch that fails says nothing, and each is verified by itself when it is offered.
    ///
    /// # Errors
    /// The store's.
    pub fn verify_ahead<'a>(
        &mut self,
        txs: impl ExactSizeIterator<Item = &'a Arc<Transaction>>,
    ) -> Result<(), StoreError> {
        if txs.len() < 2 {
            return Ok(());
        }
        let mut batch: Vec<(Arc<Transaction>, Vec<Coin>)> = Vec::with_capacity(txs.len());
        for tx in txs {
            if let Ok(spent) = self.mempool.spent_by(&self.chain, tx)? {
                batch.push((tx.clone(), spent));
            }
        }
        self.chain.verify_ahead(&batch);
        Ok(())
    }

    /// Offers a child with its unconfirmed parents: they are judged together where a parent pays too little by itself.
    ///
    /// # Errors
    /// The outer error is the store's, the inner one that they are no such package.
    #[expect(clippy::type_complexity, reason = "what to do, and how each transaction fared")]
    pub fn offer_package(
        &mut self,
        txs: &[Arc<Transaction>],
        now: Time,
    ) -> Result<(Vec<Action>, Result<Vec<Fared>, PackageError>), StoreError> {
        self.now = now;
        if let Err(error) = check_package(txs).and_then(|()| check_child_with_parents(txs)) {
            return Ok((Vec::new(), Err(error)));
        }
        let outcome = self.mempool.take_package(&mut self.chain, txs, now)?;
        for tx in outcome.added {
            self.transaction_added(&tx);
            self.out.push(Action::Publish(Gossip::Transaction(tx)));
        }
        self.notify_removed(outcome.removed);
        self.advance()?;
        Ok((std::mem::take(&mut self.out), Ok(outcome.fared)))
    }

    /// Adds `delta` base units to what a transaction counts as paying. See [`crate::mempool::Mempool::prioritise`].
    pub fn prioritise(&mut self, txid: Txid, delta: i64) {
        self.mempool.prioritise(txid, delta);
    }

    /// Takes back what an earlier run had in its mempool, as old as it was then. It is not published: peers that lack
    /// it ask for it.
    ///
    /// # Errors
    /// The store's.
    pub fn restore(&mut self, saved: &[Saved], now: Time) -> Result<(Vec<Action>, Restored), StoreError> {
        self.now = now;
        self.verify_ahead(saved.iter().map(|saved| &saved.tx))?;
        let mut count = Restored::default();
        for Saved { tx, time, delta } in saved {
            let since = (*time).min(now);
            if *delta != 0 && self.mempool.delta(&tx.txid()) == 0 {
                self.mempool.prioritise(tx.txid(), *delta);
            }
            if now.since(since) > self.mempool.limits().expiry {
                count.expired += 1;
                continue;
            }
            let verdict = self.mempool.check_for(&mut self.chain, tx, Entrance::Restored)?;
            match verdict.and_then(|acceptable| self.take_transaction(acceptable, since)) {
                Ok(_) => count.accepted += 1,
                Err(refusal) if refusal.reject == Reject::AlreadyInMempool => count.known += 1,
                Err(_) => count.refused += 1,
            }
        }
        self.advance()?;
        Ok((std::mem::take(&mut self.out), count))
    }

    /// Goes on with the fee estimates of an earlier run.
    pub fn restore_estimates(&mut self, estimator: Estimator) {
        self.mempool.restore_estimates(estimator);
    }
}
