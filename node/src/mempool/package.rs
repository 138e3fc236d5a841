//! Packages: transactions that are judged together, so that a child can pay for its parents (Core: `AcceptPackage`).
//!
//! A package is tried on a copy of the mempool, which costs nothing, and the copy takes the mempool's place when the
//! package is good: all of it or nothing.

use std::collections::BTreeSet;
use std::sync::Arc;

use tine_chain::amount::Amount;
use tine_chain::chain::Chain;
use tine_chain::hash::{Txid, Wtxid};
use tine_chain::reject::Reject;
use tine_chain::store::StoreError;
use tine_chain::time::Time;
use tine_chain::transaction::Transaction;

use super::accept::Entrance;
use super::{FeeRate, Mempool, Package, Refusal, Removed};

/// The most transactions of a package (Core: `MAX_PACKAGE_COUNT`).
pub const MAX_PACKAGE: usize = 25;
/// The most bytes of a package (Core: `MAX_PACKAGE_WEIGHT`, which is 404,000 / 4 there).
pub const MAX_PACKAGE_BYTES: usize = 404_000;

/// Why transactions are no package.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PackageError {
    /// None, or more than [`MAX_PACKAGE`].
    #[error("package-too-many-transactions")]
    Count,
    /// More bytes than a package may have.
    #[error("package-too-large")]
    Size,
    /// One is there twice.
    #[error("package-contains-duplicates")]
    Duplicate,
    /// A child comes before its parent.
    #[error("package-not-sorted")]
    Unsorted,
    /// Two spend the same coin.
    #[error("conflict-in-package")]
    Conflict,
    /// The last is not the child of all others.
    #[error("package-not-child-with-parents")]
    Shape,
}

/// How a transaction of a package fared.
#[derive(Debug, Clone)]
pub struct Fared {
    /// The transaction.
    pub tx: Arc<Transaction>,
    /// What it pays, or the rule that keeps it out.
    pub outcome: Result<Amount, Refusal>,
    /// The rate that it was judged by, and with whom.
    pub rate: FeeRate,
    /// The wtxids of those who were judged together, itself among them.
    pub with: Vec<Wtxid>,
}

/// What came of a package.
#[derive(Debug, Default)]
pub(crate) struct PackageOutcome {
    pub(crate) fared: Vec<Fared>,
    /// In the order in which they were taken.
    pub(crate) added: Vec<Arc<Transaction>>,
    pub(crate) removed: Removed,
}

/// What needs nothing but the transactions (Core: `IsWellFormedPackage`).
///
/// # Errors
/// What is wrong.
pub(crate) fn check_package(txs: &[Arc<Transaction>]) -> Result<(), PackageError> {
    if txs.is_empty() || txs.len() > MAX_PACKAGE {
        return Err(PackageError::Count);
    }
    if txs.iter().map(|tx| tx.size()).sum::<usize>() > MAX_PACKAGE_BYTES {
        return Err(PackageError::Size);
    }
    let mut later: BTreeSet<Txid> = txs.iter().map(|tx| tx.txid()).collect();
    if later.len() != txs.len() {
        return Err(PackageError::Duplicate);
    }
    let mut spent = BTreeSet::new();
    for tx in txs {
        if tx.inputs.iter().any(|input| later.contains(&input.prevout.txid)) {
            return Err(PackageError::Unsorted);
        }
        if !tx.inputs.iter().all(|input| spent.insert(input.prevout)) {
            return Err(PackageError::Conflict);
        }
        later.remove(&tx.txid());
    }
    Ok(())
}

/// "package-not-child-with-parents": the last spends from each of the others (Core: `IsChildWithParents`).
pub(crate) fn check_child_with_parents(txs: &[Arc<Transaction>]) -> Result<(), PackageError> {
    let Some((child, parents)) = txs.split_last() else { return Err(PackageError::Count) };
    let spends: BTreeSet<Txid> = child.inputs.iter().map(|input| input.prevout.txid).collect();
    match parents.iter().all(|parent| spends.contains(&parent.txid())) {
        true => Ok(()),
        false => Err(PackageError::Shape),
    }
}

impl Mempool {
    /// Whether each of `txs` would be accepted if they came in this order. Nothing changes here.
    pub(crate) fn test_in_order(
        &self,
        chain: &mut Chain,
        txs: &[Arc<Transaction>],
        now: Time,
    ) -> Result<Vec<Result<Amount, Refusal>>, StoreError> {
        let mut copy = self.clone();
        txs.iter().map(|tx| copy.take(chain, tx, now).map(|(outcome, _)| outcome)).collect()
    }

    fn take(
        &mut self,
        chain: &mut Chain,
        tx: &Arc<Transaction>,
        now: Time,
    ) -> Result<(Result<Amount, Refusal>, Removed), StoreError> {
        let acceptable = match self.check(chain, tx)? {
            Ok(acceptable) => acceptable,
            Err(refusal) => return Ok((Err(refusal), Removed::new())),
        };
        let fee = acceptable.fee;
        let (outcome, removed) = self.insert(acceptable, now);
        Ok((outcome.map(|()| fee).map_err(Refusal::from), removed))
    }

    /// Takes a child with its parents in. Each is tried alone; those that lack only a fee, or a parent that does, are
    /// then judged together by what they pay in sum.
    pub(crate) fn take_package(
        &mut self,
        chain: &mut Chain,
        txs: &[Arc<Transaction>],
        now: Time,
    ) -> Result<PackageOutcome, StoreError> {
        let mut result = PackageOutcome::default();
        let mut short: Vec<usize> = Vec::new();
        for (place, tx) in txs.iter().enumerate() {
            let (outcome, removed) = self.take(chain, tx, now)?;
            let needs_help = |refusal: &Refusal| {
                matches!(refusal.reject, Reject::MinFeeNotMet | Reject::MissingInputs | Reject::MempoolFull)
            };
            match &outcome {
                Ok(_) => result.added.push(tx.clone()),
                Err(refusal) if needs_help(refusal) => short.push(place),
                Err(_) => {}
            }
            result.removed.extend(removed);
            let alone = Package::of(tx, *outcome.as_ref().unwrap_or(&Amount::ZERO));
            result.fared.push(Fared { tx: tx.clone(), outcome, rate: alone.rate(), with: vec![tx.wtxid()] });
        }
        // a child alone has nobody to pay for
        if short.len() > 1 {
            let group: Vec<_> = short.iter().map(|place| txs[*place].clone()).collect();
            if let Some((fees, removed)) = self.take_together(chain, &group, now)? {
                let fees_sum = Amount(fees.iter().map(|fee| fee.0).sum());
                let size = group.iter().map(|tx| tx.size() as u64).sum();
                let with: Vec<Wtxid> = group.iter().map(|tx| tx.wtxid()).collect();
                for (place, fee) in short.iter().zip(fees) {
                    let fared = &mut result.fared[*place];
                    fared.outcome = Ok(fee);
                    fared.rate = FeeRate { fee: fees_sum, size };
                    fared.with = with.clone();
                }
                result.added.extend(group);
                result.removed.extend(removed);
            }
        }
        Ok(result)
    }

    /// Takes `group` in if it pays enough in sum and all of it stays; gives what each pays.
    fn take_together(
        &mut self,
        chain: &mut Chain,
        group: &[Arc<Transaction>],
        now: Time,
    ) -> Result<Option<(Vec<Amount>, Removed)>, StoreError> {
        let mut copy = self.clone();
        let (mut fees, mut removed, mut sum) = (Vec::new(), Removed::new(), Package::default());
        for tx in group {
            let Ok(acceptable) = copy.check_for(chain, tx, Entrance::Package)? else { return Ok(None) };
            sum.add(Package::of(tx, self.modified_fee(&tx.txid(), acceptable.fee)));
            fees.push(acceptable.fee);
            removed.extend(copy.place(acceptable, now));
        }
        if sum.rate() < self.min_fee_rate() {
            return Ok(None);
        }
        removed.extend(copy.trim(now));
        if group.iter().any(|tx| copy.get(&tx.txid()).is_none()) {
            return Ok(None);
        }
        *self = copy;
        Ok(Some((fees, removed)))
    }
}
