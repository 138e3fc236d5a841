//! Topologically restricted until confirmation: transactions of version 3 (BIP 431).
//!
//! One unconfirmed parent, one small unconfirmed child. So whoever shares an output can't pin its owner: neither by
//! hanging large descendants on it that a replacement would have to pay for, nor by taking the child's place first,
//! for a child that pays more evicts it.

use std::collections::BTreeSet;

use tine_chain::hash::Txid;
use tine_chain::reject::Reject;
use tine_chain::transaction::{OutPoint, Transaction};

use super::replace::Rivals;
use super::{Entry, Mempool};

/// The version that asks for these limits.
pub const TRUC_VERSION: u32 = 3;
/// The most bytes of such a transaction (Core: `TRUC_MAX_VSIZE`).
pub const TRUC_MAX_SIZE: usize = 10_000;
/// The most bytes of one with an unconfirmed parent (Core: `TRUC_CHILD_MAX_VSIZE`).
pub const TRUC_CHILD_MAX_SIZE: usize = 1_000;

impl Mempool {
    /// Checks the limits of version 3. Gives the sibling that would have to go for `tx`, with the coin that it spends.
    pub(super) fn check_truc(
        &self,
        tx: &Transaction,
        ancestors: &BTreeSet<Txid>,
        rivals: &Rivals,
    ) -> Result<Option<(Txid, OutPoint)>, Reject> {
        let restricted = tx.version == TRUC_VERSION;
        // "All of a TRUC transaction's unconfirmed ancestors must also be TRUC. All descendants of an unconfirmed TRUC
        // transaction must also be TRUC."
        if self.parents_of(tx).any(|parent| (parent.tx.version == TRUC_VERSION) != restricted) {
            return Err(Reject::Truc);
        }
        if !restricted {
            return Ok(None);
        }
        // "A TRUC transaction must be at most 10,000 virtual bytes; one that has an unconfirmed TRUC ancestor at most
        // 1,000"
        let most = if ancestors.is_empty() { TRUC_MAX_SIZE } else { TRUC_CHILD_MAX_SIZE };
        // "An unconfirmed TRUC transaction cannot have more than 1 unconfirmed ancestor"
        if tx.size() > most || ancestors.len() > 1 {
            return Err(Reject::Truc);
        }
        let Some(parent) = ancestors.first() else { return Ok(None) };
        self.sibling(self.indexed(parent), rivals)
    }

    /// "nor more than 1 unconfirmed descendant": the one that is there must be on its way out, or be a sibling that
    /// can go alone.
    fn sibling(&self, parent: &Entry, rivals: &Rivals) -> Result<Option<(Txid, OutPoint)>, Reject> {
        let txid = parent.tx.txid();
        let range = OutPoint { txid, vout: 0 }..=OutPoint { txid, vout: u32::MAX };
        let Some((&coin, &child)) = self.spends.range(range).next() else { return Ok(None) };
        if rivals.contains_key(&child) {
            return Ok(None);
        }
        // after a reorganisation there may be more than the limit allows
        if parent.descendants.count > 2 {
            return Err(Reject::Truc);
        }
        Ok(Some((child, coin)))
    }
}
