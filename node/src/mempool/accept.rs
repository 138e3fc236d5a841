//! Whether a transaction may be in the mempool: the cheapest question first.
//!
//! The rules are the chain's, asked for the block after the tip. Where a block would be invalid and a transaction only
//! comes too early, the rejection says so: [`Reject::PrematureNonFinal`] instead of [`Reject::NonFinal`], and so on.

use std::collections::BTreeSet;
use std::sync::Arc;

use tine_chain::amount::Amount;
use tine_chain::chain::Chain;
use tine_chain::coins::Coin;
use tine_chain::hash::Txid;
use tine_chain::policy::SEQUENCE_LOCK_DISABLED;
use tine_chain::reject::Reject;
use tine_chain::rules;
use tine_chain::store::StoreError;
use tine_chain::time::Time;
use tine_chain::transaction::{OutPoint, SEQUENCE_FINAL, Transaction, TxOut};

use super::replace::Rivals;
use super::{Entry, FeeRate, Mempool, Package, Removed, TRUC_VERSION};
use crate::event::Removal;

/// Why a transaction is refused, with what a caller may want to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The rule.
    pub reject: Reject,
    /// With a replacement that is refused: the entry that stays, and the coin that both want.
    pub conflict: Option<(Txid, OutPoint)>,
    /// With [`Reject::MissingInputs`]: the coins that nobody here knows.
    pub missing: Vec<OutPoint>,
}

impl From<Reject> for Refusal {
    fn from(reject: Reject) -> Self {
        Self { reject, conflict: None, missing: Vec::new() }
    }
}

/// A transaction that was found acceptable at the present tip.
#[derive(Debug, Clone)]
pub struct Acceptable {
    /// The transaction.
    pub tx: Arc<Transaction>,
    /// What it pays.
    pub fee: Amount,
    /// What has to go for it, and all that depends on that; each with a coin that both spend.
    pub replaces: Rivals,
    fragile: bool,
    telling: bool,
    height: u32,
}

/// Which limits a transaction must keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Entrance {
    /// From outside: all of them.
    New,
    /// From the file of an earlier run: all of them.
    Restored,
    /// With a child that pays for it: it need pay the least rate only, and of version 3 nothing (BIP 431).
    Package,
    /// Back after a reorganisation: it need not pay the raised rate, since it did pay to be mined.
    Returning,
}

impl Mempool {
    /// Whether `tx` would be accepted at the tip of `chain`, and what it pays. The chain remembers good signatures.
    ///
    /// # Errors
    /// The outer error is the store's; the inner one says why not.
    pub fn check(
        &self,
        chain: &mut Chain,
        tx: &Arc<Transaction>,
    ) -> Result<Result<Acceptable, Refusal>, StoreError> {
        self.check_for(chain, tx, Entrance::New)
    }

    pub(crate) fn check_for(
        &self,
        chain: &mut Chain,
        tx: &Arc<Transaction>,
        entrance: Entrance,
    ) -> Result<Result<Acceptable, Refusal>, StoreError> {
        if let Err(reject) = self.check_alone(tx) {
            return Ok(Err(reject.into()));
        }
        let spent = match self.find_coins(chain, tx)? {
            Ok(spent) => spent,
            Err(refusal) => return Ok(Err(refusal)),
        };
        Ok(self.check_with_coins(chain, tx, &spent, entrance))
    }

    /// What needs nothing but the transaction.
    fn check_alone(&self, tx: &Arc<Transaction>) -> Result<(), Reject> {
        rules::check_transaction(tx)?;
        // Core: "Coinbase is only valid in a block, not as a loose transaction"
        if tx.is_coinbase() {
            return Err(Reject::LooseCoinbase);
        }
        // under another witness too: the coins are the same
        if self.get(&tx.txid()).is_some() {
            return Err(Reject::AlreadyInMempool);
        }
        // Core: "dust": an output that costs more to spend than it is worth
        if tx.outputs.iter().any(|output| output.value < self.dust_limit()) {
            return Err(Reject::Dust);
        }
        Ok(())
    }

    /// The coin of each input: from the mempool, as if mined in the next block, or from the chain.
    pub(crate) fn spent_by(
        &self,
        chain: &Chain,
        tx: &Transaction,
    ) -> Result<Result<Vec<Coin>, Vec<OutPoint>>, StoreError> {
        let height = chain.tip().height + 1;
        let mut spent = Vec::with_capacity(tx.inputs.len());
        let mut missing = Vec::new();
        for input in &tx.inputs {
            match self.coin(chain, &input.prevout, height)? {
                Some(coin) => spent.push(coin),
                None => missing.push(input.prevout),
            }
        }
        Ok(if missing.is_empty() { Ok(spent) } else { Err(missing) })
    }

    fn find_coins(&self, chain: &Chain, tx: &Transaction) -> Result<Result<Vec<Coin>, Refusal>, StoreError> {
        let missing = match self.spent_by(chain, tx)? {
            Ok(spent) => return Ok(Ok(spent)),
            Err(missing) => missing,
        };
        // Core: a transaction of which an output is unspent was mined
        for vout in 0..u32::try_from(tx.outputs.len()).unwrap_or(u32::MAX) {
            if chain.coin(&tx.outpoint(vout))?.is_some() {
                return Ok(Err(Reject::AlreadyKnown.into()));
            }
        }
        Ok(Err(Refusal { missing, ..Reject::MissingInputs.into() }))
    }

    fn coin(&self, chain: &Chain, outpoint: &OutPoint, height: u32) -> Result<Option<Coin>, StoreError> {
        let Some(parent) = self.get(&outpoint.txid) else { return chain.coin(outpoint) };
        let output: Option<&TxOut> = parent.tx.outputs.get(outpoint.vout as usize);
        Ok(output.map(|output| Coin { output: *output, height, coinbase: false }))
    }

    /// What needs the coins; the signatures come last.
    fn check_with_coins(
        &self,
        chain: &mut Chain,
        tx: &Arc<Transaction>,
        spent: &[Coin],
        entrance: Entrance,
    ) -> Result<Acceptable, Refusal> {
        let height = chain.tip().height;
        let fee = rules::check_inputs(tx, spent, height + 1, chain.params()).map_err(premature)?;
        let paid = Package::of(tx, self.modified_fee(&tx.txid(), fee));
        // Core: "mempool min fee not met"
        if paid.rate() < self.least_rate(tx, entrance) {
            return Err(Reject::MinFeeNotMet.into());
        }
        let ancestors = self.ancestors_of(tx);
        let mut rivals = self.rivals_of(tx);
        rivals.extend(self.check_truc(tx, &ancestors, &rivals)?);
        let leaving = self.check_replacement(tx, paid, &ancestors, &rivals);
        let none = BTreeSet::new();
        // Core: "too-long-mempool-chain": at most 25 ancestors and 25 descendants, itself among them
        if !self.keeps_limits(tx, &ancestors, leaving.as_ref().unwrap_or(&none)) {
            return Err(Reject::TooLongChain.into());
        }
        chain.verify_transaction(tx, spent)?;
        // last, so that only a transaction that could have been mined counts as an attempt to spend twice
        leaving?;
        let relative =
            tx.version >= 2 && tx.inputs.iter().any(|input| input.sequence & SEQUENCE_LOCK_DISABLED == 0);
        let locked = tx.lock_time != 0 && tx.inputs.iter().any(|input| input.sequence != SEQUENCE_FINAL);
        let fragile = relative || locked || spent.iter().any(|coin| coin.coinbase);
        let telling = entrance == Entrance::New && ancestors.is_empty();
        Ok(Acceptable { tx: tx.clone(), fee, replaces: rivals, fragile, telling, height })
    }

    fn least_rate(&self, tx: &Transaction, entrance: Entrance) -> FeeRate {
        match entrance {
            Entrance::New | Entrance::Restored => self.min_fee_rate(),
            Entrance::Package if tx.version == TRUC_VERSION => FeeRate::per_kilobyte(0),
            Entrance::Package | Entrance::Returning => self.limits().min_relay_fee,
        }
    }

    /// Takes a transaction in that [`Mempool::check`] found acceptable, at the same tip. Tells what had to go for it.
    ///
    /// The inner error is [`Reject::MempoolFull`]: it was itself the least worth of a full mempool. Then what it would
    /// have replaced stays.
    pub(crate) fn insert(&mut self, acceptable: Acceptable, now: Time) -> (Result<(), Reject>, Removed) {
        let txid = acceptable.tx.txid();
        let before = (!acceptable.replaces.is_empty()).then(|| self.clone());
        let mut removed = self.place(acceptable, now);
        removed.extend(self.trim(now));
        let stayed = self.get(&txid).is_some();
        removed.retain(|(tx, _)| tx.txid() != txid);
        if let Some(before) = before.filter(|_| !stayed) {
            *self = Self { floor: self.floor, ..before };
            removed.clear();
        }
        (if stayed { Ok(()) } else { Err(Reject::MempoolFull) }, removed)
    }

    /// Puts a transaction in the place of what it replaces, whether or not there is room.
    pub(super) fn place(&mut self, acceptable: Acceptable, now: Time) -> Removed {
        let Acceptable { tx, fee, replaces, fragile, telling, height } = acceptable;
        let by = tx.txid();
        let mut removed = Removed::new();
        for (rival, coin) in replaces {
            removed.extend(self.remove(&rival, &Removal::Replaced { coin, by }));
        }
        let modified = self.modified_fee(&by, fee);
        let alone = Package::of(&tx, modified);
        self.link(Entry {
            tx,
            fee,
            modified,
            time: now,
            height,
            sequence: 0,
            ancestors: alone,
            descendants: alone,
            fragile,
            telling,
        });
        removed
    }
}

/// A coinbase's coin that a block may not spend yet may be spent later.
fn premature(reject: Reject) -> Reject {
    if reject == Reject::PrematureSpend { Reject::PrematureCoinbaseSpend } else { reject }
}
