//! Payments between hosts.

use std::sync::Arc;
use std::time::Duration;

use rand::RngExt;
use tine_chain::amount::Amount;
use tine_chain::coins::Coin;
use tine_chain::hash::{Lock, Txid};
use tine_chain::reject::Reject;
use tine_chain::transaction::{OutPoint, Transaction, TxOut};
use tine_node::event::{Event, Submission, SubmitId};

use super::carry::Coming;
use super::{World, WorldError};
use crate::mining::sample_exponential;
use crate::observe::Observer;
use crate::workload::Workload;

/// Hosts that are asked for coins before a payment of the workload is given up.
const MAX_PAYERS: usize = 8;

/// Why a payment was not made.
#[derive(Debug, thiserror::Error)]
pub enum PayError {
    /// The payer has not so much that it could spend now.
    #[error("node {node} has no coins worth {amount} that it could spend now")]
    Funds {
        /// The payer.
        node: usize,
        /// What was to be paid, fee included.
        amount: Amount,
    },
    /// The payer's own node refused the transaction.
    #[error("node {node} refuses the payment: {reject}")]
    Refused {
        /// The payer.
        node: usize,
        /// The rule.
        reject: Reject,
    },
    /// The world can't go on.
    #[error(transparent)]
    World(#[from] WorldError),
}

impl<O: Observer> World<O> {
    /// What a host's coins are locked to.
    pub fn lock(&mut self, host: usize) -> Lock {
        self.purses.lock(host)
    }

    /// Coins of a host that its node would let it spend now, worth at least `amount` together; `None` when there are not
    /// so many.
    ///
    /// # Errors
    /// When there is no such host, or it is stopped, or storage fails.
    pub fn coins(
        &mut self,
        host: usize,
        amount: Amount,
    ) -> Result<Option<Vec<(OutPoint, Coin)>>, WorldError> {
        self.check_host(host)?;
        let node = self.hosts[host].node.as_ref().ok_or(WorldError::Stopped { node: host })?.node();
        Ok(self.purses.choose(host, node, amount)?)
    }

    /// A signed transaction that spends these coins of `from`, pays `outputs` by host and amount, and gives what is left
    /// of it after the fee back to `from`. Nobody has seen it yet.
    pub fn sign(
        &mut self,
        from: usize,
        coins: &[(OutPoint, Coin)],
        outputs: &[(usize, Amount)],
        fee: Amount,
    ) -> Arc<Transaction> {
        let mut paid: Vec<TxOut> = Vec::with_capacity(outputs.len() + 1);
        for (to, value) in outputs {
            paid.push(TxOut { value: *value, lock: self.purses.lock(*to) });
        }
        let spent: u64 = coins.iter().map(|(_, coin)| coin.output.value.0).sum();
        let out: u64 = outputs.iter().map(|(_, value)| value.0).sum();
        let change = spent.saturating_sub(out + fee.0);
        if change > 0 {
            paid.push(TxOut { value: Amount(change), lock: self.purses.lock(from) });
        }
        let genesis = self.hosts[from].params.genesis_hash();
        self.purses.pay(from, &genesis, coins, paid)
    }

    /// Hands a transaction to a node. The outer error is the world's, the inner one the rule that the node names.
    ///
    /// # Errors
    /// When there is no such host, or it is stopped, or storage fails.
    pub fn submit(
        &mut self,
        node: usize,
        transaction: Arc<Transaction>,
    ) -> Result<Result<Txid, Reject>, WorldError> {
        self.check_host(node)?;
        if self.hosts[node].node.is_none() {
            return Err(WorldError::Stopped { node });
        }
        let txid = transaction.txid();
        self.handle(node, Event::Submit(SubmitId(0), Submission::Transaction(transaction)))?;
        self.answers.clear();
        Ok(self.refusals.pop().map_or(Ok(txid), Err))
    }

    /// Makes a payment now, and says what became of it.
    ///
    /// # Errors
    /// See [`PayError`].
    pub fn try_pay(
        &mut self,
        from: usize,
        outputs: &[(usize, Amount)],
        fee: Amount,
    ) -> Result<Arc<Transaction>, PayError> {
        let amount = Amount(outputs.iter().map(|(_, value)| value.0).sum::<u64>() + fee.0);
        let coins = self.coins(from, amount)?.ok_or(PayError::Funds { node: from, amount })?;
        let transaction = self.sign(from, &coins, outputs, fee);
        match self.submit(from, transaction.clone())? {
            Ok(_) => {
                self.counts.payments += 1;
                Ok(transaction)
            }
            Err(reject) => Err(PayError::Refused { node: from, reject }),
        }
    }

    pub(super) fn pay_now(
        &mut self,
        from: usize,
        to: usize,
        amount: Amount,
        fee: Amount,
    ) -> Result<(), WorldError> {
        self.check_host(to)?;
        match self.try_pay(from, &[(to, amount)], fee) {
            Ok(_) | Err(PayError::Funds { .. } | PayError::Refused { .. }) => Ok(()),
            Err(PayError::World(error)) => Err(error),
        }
    }

    // -- the workload

    /// From now on no payment is made by itself.
    pub fn stop_payments(&mut self) {
        self.config.workload = None;
    }

    pub(super) fn next_payment(&mut self) {
        if let Some(workload) = self.config.workload {
            let after = sample_exponential(&mut self.rng, workload.interval.as_secs_f64());
            let at = self.now + after.max(Duration::from_millis(1));
            self.queue.push(at.0, Coming::Payment);
        }
    }

    /// One payment of the workload: by the first of some hosts drawn at random that has the coins.
    pub(super) fn make_payment(&mut self) -> Result<(), WorldError> {
        let Some(workload) = self.config.workload else { return Ok(()) };
        for _ in 0..MAX_PAYERS {
            let from = self.rng.random_range(0..self.hosts.len());
            if self.hosts[from].node.is_some() && self.pay_by(from, &workload)? {
                break;
            }
        }
        self.next_payment();
        Ok(())
    }

    fn pay_by(&mut self, from: usize, workload: &Workload) -> Result<bool, WorldError> {
        let needed = Amount(workload.amount.0 * workload.fan_out as u64 + workload.fee.0);
        let Some(coins) = self.coins(from, needed)? else { return Ok(false) };
        let payment = self.draw_payment(from, &coins, workload);
        if self.submit(from, payment)?.is_err() {
            return Ok(false);
        }
        self.counts.payments += 1;
        if self.chance(workload.conflicts) {
            let rival = self.draw_payment(from, &coins, workload);
            let elsewhere = self.rng.random_range(0..self.hosts.len());
            if self.hosts[elsewhere].node.is_some() {
                // whichever comes first at a node stays there
                let _ = self.submit(elsewhere, rival)?;
            }
        }
        Ok(true)
    }

    fn draw_payment(
        &mut self,
        from: usize,
        coins: &[(OutPoint, Coin)],
        workload: &Workload,
    ) -> Arc<Transaction> {
        let hosts = self.hosts.len();
        let outputs: Vec<_> =
            (0..workload.fan_out).map(|_| (self.rng.random_range(0..hosts), workload.amount)).collect();
        self.sign(from, coins, &outputs, workload.fee)
    }
}
