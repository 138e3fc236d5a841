//! Coins and balances, computed from the ledger's facts.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};
use tine_chain::amount::Amount;
use tine_chain::hash::Txid;
use tine_chain::transaction::OutPoint;

use crate::book::{Book, KeyRef};
use crate::ledger::{Ledger, Record, Status};

/// Writes an amount in coins with 8 decimals, as text: exact in every JSON reader.
pub(crate) fn amount_text<S: Serializer>(amount: &Amount, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(amount)
}

/// What a wallet has, by how sure it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Balance {
    /// In blocks, ripe, and not spent by anything in the mempool.
    #[serde(serialize_with = "amount_text")]
    pub confirmed: Amount,
    /// Made by transactions in the mempool: payments on their way in, and our own change.
    #[serde(serialize_with = "amount_text")]
    pub pending: Amount,
    /// Rewards of blocks that are not yet old enough to be spent.
    #[serde(serialize_with = "amount_text")]
    pub immature: Amount,
}

impl Balance {
    /// All of it.
    #[must_use]
    pub fn total(&self) -> Amount {
        sum([self.confirmed, self.pending, self.immature])
    }
}

/// Adds amounts of coins that exist, and that together are therefore no more than all the money there can be.
/// (Coins of a pending chain of transactions may be counted with those that they replace only if a rule was broken.)
pub(crate) fn sum(amounts: impl IntoIterator<Item = Amount>) -> Amount {
    amounts.into_iter().fold(Amount::ZERO, |sum, amount| Amount(sum.0.saturating_add(amount.0)))
}

/// How far a coin has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum CoinState {
    /// In a block, ripe.
    Confirmed,
    /// In the mempool, and all that it builds on is ours: our own change.
    Change,
    /// In the mempool, from someone else: it can still be taken back.
    Pending,
    /// The reward of a young block.
    Immature,
}

/// A coin of ours that nothing in a block or in the mempool spends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct WalletCoin {
    /// Its name.
    pub outpoint: OutPoint,
    /// Its amount.
    #[serde(serialize_with = "amount_text")]
    pub value: Amount,
    /// The key that opens it.
    pub key: KeyRef,
    /// How far it has come.
    pub state: CoinState,
    /// The height of its block, when it is in one.
    pub height: Option<u32>,
    /// Blocks on top, its own counted; 0 in the mempool.
    pub confirmations: u32,
    /// The height of the first block that may spend it, when it is the reward of a block.
    pub spendable_at: Option<u32>,
    /// A payment of ours that is neither in a block nor in the mempool spends it: it is kept out of new payments
    /// until that one is abandoned.
    pub held_by: Option<Txid>,
}

impl Ledger {
    /// What in a block or in the mempool spends `outpoint`.
    pub(crate) fn spender(&self, outpoint: &OutPoint) -> Option<Txid> {
        self.find_spender(outpoint, |status| matches!(status, Status::Confirmed(_) | Status::Pending))
    }

    /// What of ours wants to spend `outpoint` and is neither in a block nor in the mempool.
    fn holder(&self, outpoint: &OutPoint) -> Option<Txid> {
        self.find_spender(outpoint, |status| matches!(status, Status::Inactive))
    }

    fn find_spender(&self, outpoint: &OutPoint, wanted: impl Fn(Status) -> bool) -> Option<Txid> {
        let spenders = self.spends.get(outpoint)?;
        spenders.iter().copied().find(|txid| self.status(txid).is_some_and(&wanted))
    }

    /// Every coin of ours that nothing in a block or in the mempool spends, by outpoint.
    pub(crate) fn coins(&self, book: &Book) -> Vec<WalletCoin> {
        let mut trust = BTreeMap::new();
        let mut coins = Vec::new();
        for (txid, record) in &self.records {
            if record.confirmation.is_none() && !record.in_mempool {
                continue;
            }
            let Some(status) = self.status(txid) else { continue };
            for (vout, output) in record.tx.outputs.iter().enumerate() {
                let outpoint = OutPoint { txid: *txid, vout: vout as u32 };
                let Some(key) = book.owner(&output.lock) else { continue };
                if self.spender(&outpoint).is_some() {
                    continue;
                }
                let Some(state) = self.coin_state(record, status, book, &mut trust) else { continue };
                let height = record.confirmation.map(|confirmation| confirmation.height);
                coins.push(WalletCoin {
                    outpoint,
                    value: output.value,
                    key,
                    state,
                    height,
                    confirmations: height.map_or(0, |height| self.confirmations(height)),
                    spendable_at: record
                        .tx
                        .is_coinbase()
                        .then(|| height.map(|height| height + self.maturity))
                        .flatten(),
                    held_by: self.holder(&outpoint),
                });
            }
        }
        coins
    }

    /// Blocks from `height` to the tip, both counted.
    pub(crate) fn confirmations(&self, height: u32) -> u32 {
        (self.tip.height + 1).saturating_sub(height)
    }

    fn coin_state(
        &self,
        record: &Record,
        status: Status,
        book: &Book,
        trust: &mut BTreeMap<Txid, bool>,
    ) -> Option<CoinState> {
        match status {
            Status::Confirmed(confirmation) => {
                // "matures after 100 blocks": the next block may spend it if it is `maturity` blocks later
                let next = self.tip.height + 1;
                let ripe = !record.tx.is_coinbase() || next >= confirmation.height + self.maturity;
                Some(if ripe { CoinState::Confirmed } else { CoinState::Immature })
            }
            Status::Pending => {
                let trusted = self.is_trusted(record, book, trust);
                Some(if trusted { CoinState::Change } else { CoinState::Pending })
            }
            Status::Inactive | Status::Conflicted(_) | Status::Abandoned => None,
        }
    }

    /// Whether an unconfirmed transaction spends only coins of ours that are confirmed or, in turn, trusted.
    fn is_trusted(&self, record: &Record, book: &Book, trust: &mut BTreeMap<Txid, bool>) -> bool {
        let txid = record.tx.txid();
        if let Some(known) = trust.get(&txid) {
            return *known;
        }
        let trusted = record.tx.inputs.iter().all(|input| {
            self.own_output(&input.prevout, book).is_some()
                && self.records.get(&input.prevout.txid).is_some_and(|parent| {
                    parent.confirmation.is_some()
                        || (parent.in_mempool && self.is_trusted(parent, book, trust))
                })
        });
        trust.insert(txid, trusted);
        trusted
    }

    pub(crate) fn balance(&self, book: &Book) -> Balance {
        let mut balance = Balance::default();
        for coin in self.coins(book) {
            let part = match coin.state {
                CoinState::Confirmed => &mut balance.confirmed,
                CoinState::Change | CoinState::Pending => &mut balance.pending,
                CoinState::Immature => &mut balance.immature,
            };
            *part = sum([*part, coin.value]);
        }
        balance
    }
}
