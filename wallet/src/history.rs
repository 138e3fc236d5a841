//! What happened, in words a person would use: one entry for each transaction.

use serde::Serialize;
use tine_chain::address::Address;
use tine_chain::amount::Amount;
use tine_chain::hash::Txid;
use tine_chain::params::Network;
use tine_chain::time::Time;

use crate::balance::{amount_text, sum};
use crate::book::{Book, KeyRef};
use crate::ledger::{Ledger, Record, Status};

/// What a transaction did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Someone paid us.
    Received,
    /// We paid someone.
    Sent,
    /// We mined a block.
    Mined,
    /// We moved our own coins.
    Internal,
}

/// An output that a history entry is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HistoryOutput {
    /// Its place in the transaction.
    pub vout: u32,
    /// Whom it pays.
    pub address: Address,
    /// How much.
    #[serde(serialize_with = "amount_text")]
    pub amount: Amount,
    /// Our key, when it pays us.
    pub key: Option<KeyRef>,
    /// What we call the address, when it is ours.
    pub label: Option<String>,
}

/// One transaction, as its owner sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HistoryEntry {
    /// Its id.
    pub txid: Txid,
    /// What it did.
    pub kind: Kind,
    /// What it is about: what came in, what went to others (the fee apart), or what was moved.
    #[serde(serialize_with = "amount_text")]
    pub amount: Amount,
    /// What it changes in our total, in base units, the fee included: negative when we pay.
    pub net: i64,
    /// The fee, when all the coins that it spends are known.
    #[serde(serialize_with = "optional_amount_text")]
    pub fee: Option<Amount>,
    /// What became of it.
    #[serde(flatten)]
    pub status: Status,
    /// Blocks on top, its own counted; 0 when it is in none.
    pub confirmations: u32,
    /// When the wallet first heard of it; the block's time, when that was from a block.
    pub seen: Time,
    /// The outputs that it is about: others' when we pay, ours otherwise.
    pub outputs: Vec<HistoryOutput>,
    /// Our change, if any.
    pub change: Vec<HistoryOutput>,
}

fn optional_amount_text<S: serde::Serializer>(
    amount: &Option<Amount>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    amount.as_ref().map(ToString::to_string).serialize(serializer)
}

impl Ledger {
    /// Every transaction of ours: those in blocks first, in block order, then the others by when they were first seen.
    pub(crate) fn history(&self, book: &Book, network: Network) -> Vec<HistoryEntry> {
        let mut entries: Vec<_> =
            self.records.values().map(|record| self.history_entry(record, book, network)).collect();
        entries.sort_by_key(|entry| (place(&entry.status), entry.seen, entry.txid));
        entries
    }

    pub(crate) fn history_entry(&self, record: &Record, book: &Book, network: Network) -> HistoryEntry {
        let txid = record.tx.txid();
        let outputs: Vec<HistoryOutput> = (0u32..)
            .zip(&record.tx.outputs)
            .map(|(vout, output)| {
                let key = book.owner(&output.lock);
                HistoryOutput {
                    vout,
                    address: Address { network, lock: output.lock },
                    amount: output.value,
                    key,
                    label: key.and_then(|key| book.label(key)).map(str::to_owned),
                }
            })
            .collect();
        let (ours, others): (Vec<_>, Vec<_>) = outputs.into_iter().partition(|output| output.key.is_some());
        let spent = self.spent_by_us(record, book);
        let kind = match (record.tx.is_coinbase(), spent.is_some(), others.is_empty()) {
            (true, _, _) => Kind::Mined,
            (false, false, _) => Kind::Received,
            (false, true, false) => Kind::Sent,
            (false, true, true) => Kind::Internal,
        };
        let received = sum(ours.iter().map(|output| output.amount));
        let (about, change) = match kind {
            Kind::Sent => (others, ours),
            Kind::Received | Kind::Mined | Kind::Internal => (ours, Vec::new()),
        };
        let status = self.status(&txid).expect("the record is ours");
        HistoryEntry {
            txid,
            kind,
            amount: sum(about.iter().map(|output| output.amount)),
            net: signed(received) - signed(spent.unwrap_or(Amount::ZERO)),
            fee: fee(record),
            status,
            confirmations: record.confirmation.map_or(0, |it| self.confirmations(it.height)),
            seen: record.seen,
            outputs: about,
            change,
        }
    }

    /// What the transaction takes from our coins, `None` when it spends none of them.
    fn spent_by_us(&self, record: &Record, book: &Book) -> Option<Amount> {
        let mut amounts = record
            .tx
            .inputs
            .iter()
            .filter_map(|input| self.own_output(&input.prevout, book).map(|(_, amount)| amount))
            .peekable();
        amounts.peek()?;
        Some(sum(amounts))
    }
}

/// Where a transaction stands in the history: confirmed ones by height and place, then all others.
fn place(status: &Status) -> (u32, u32) {
    match status {
        Status::Confirmed(confirmation) => (confirmation.height, confirmation.position),
        Status::Pending | Status::Inactive | Status::Conflicted(_) | Status::Abandoned => (u32::MAX, 0),
    }
}

fn signed(amount: Amount) -> i64 {
    i64::try_from(amount.0).unwrap_or(i64::MAX)
}

/// Inputs less outputs, when all inputs are known; a coinbase pays none.
fn fee(record: &Record) -> Option<Amount> {
    if record.tx.is_coinbase() {
        return None;
    }
    let inputs: Option<Vec<Amount>> =
        record.spent.iter().map(|spent| spent.map(|output| output.value)).collect();
    sum(inputs?).checked_sub(sum(record.tx.outputs.iter().map(|output| output.value)))
}
