//! From the node's types to the messages of `tine/proto/tine/v1/`, and back.

use std::sync::Arc;

use tine_chain::amount::Amount;
use tine_chain::codec::Encode;
use tine_chain::transaction::{OutPoint, Transaction, TxOut};
use tine_node::explain::{ReorgReport, ReportBlock, ReportFate, ReportTransaction};

use super::v1;
use crate::rpc::context::Context;
use crate::rpc::error::{Code, RpcError};
use crate::rpc::explain::Fork;
use crate::rpc::params::parse_hash;
use crate::view::{BlockInfo, View};

/// An amount that another part wrote as coins, in base units.
pub(super) fn units(coins: &str) -> Result<u64, RpcError> {
    let broken = |error| RpcError::new(Code::Internal, format!("{coins:?}: {error}"));
    coins.parse().map(|amount: Amount| amount.0).map_err(broken)
}

/// The same with a sign.
pub(super) fn signed_units(coins: &str) -> Result<i64, RpcError> {
    let broken = |_| RpcError::new(Code::Internal, format!("{coins:?}: out of range"));
    match coins.strip_prefix('-') {
        Some(lost) => Ok(-i64::try_from(units(lost)?).map_err(broken)?),
        None => i64::try_from(units(coins.strip_prefix('+').unwrap_or(coins))?).map_err(broken),
    }
}

/// A coin's name; `None` is refused.
pub(super) fn outpoint(given: Option<&v1::OutPoint>) -> Result<OutPoint, RpcError> {
    let given = given.ok_or_else(|| RpcError::invalid("coin is missing: give txid and index"))?;
    Ok(OutPoint { txid: parse_hash("txid", &given.txid)?, vout: given.index })
}

impl From<OutPoint> for v1::OutPoint {
    fn from(coin: OutPoint) -> Self {
        Self { txid: coin.txid.to_string(), index: coin.vout }
    }
}

/// A name that may be left out.
pub(super) fn named(wallet: &str) -> Option<&str> {
    Some(wallet).filter(|name| !name.is_empty())
}

/// What may be missing, as text: empty then.
pub(super) fn text<T: ToString>(value: Option<T>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}

pub(super) fn header(view: &View, block: &BlockInfo) -> v1::Header {
    let header = &block.header;
    v1::Header {
        hash: block.hash.to_string(),
        height: block.height,
        confirmations: view.confirmations(&block.hash).unwrap_or(-1),
        version: header.version,
        previous: header.prev_block.to_string(),
        merkle_root: header.merkle_root.to_string(),
        time_seconds: header.time,
        bits: header.bits.0,
        nonce: header.nonce,
        work: block.work.to_string(),
        raw: header.to_array().to_vec(),
    }
}

pub(super) fn output(context: &Context, output: &TxOut) -> v1::Output {
    v1::Output { value: output.value.0, address: context.address(&output.lock), lock: output.lock.0.to_vec() }
}

pub(super) fn transaction(context: &Context, tx: &Arc<Transaction>) -> v1::Transaction {
    let inputs = tx.inputs.iter().zip(&tx.witnesses).map(|(input, witness)| v1::Input {
        coin: (input.prevout != OutPoint::NULL).then(|| input.prevout.into()),
        sequence: input.sequence,
        witness: witness.0.clone(),
    });
    v1::Transaction {
        txid: tx.txid().to_string(),
        wtxid: tx.wtxid().to_string(),
        version: tx.version,
        lock_time: tx.lock_time,
        inputs: inputs.collect(),
        outputs: tx.outputs.iter().map(|made| output(context, made)).collect(),
        size_bytes: size(tx.size()),
        raw: tx.to_bytes(),
    }
}

/// Blocks and transactions are far below 4 GiB.
pub(super) fn size(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

impl From<Fork> for v1::Fork {
    fn from(fork: Fork) -> Self {
        Self {
            tip: fork.hash.to_string(),
            height: fork.height,
            status: fork.status,
            work: fork.work,
            branch_length: fork.branch_length,
            fork: fork.fork.to_string(),
            fork_height: fork.fork_height,
            seen_ms: fork.seen.0,
            miner: fork.miner.unwrap_or_default(),
        }
    }
}

impl From<&ReportBlock> for v1::BranchBlock {
    fn from(block: &ReportBlock) -> Self {
        Self {
            hash: block.hash.to_string(),
            height: block.height,
            seen_ms: block.seen.0,
            transactions: block.transactions,
        }
    }
}

impl From<&ReportTransaction> for v1::TransactionFate {
    fn from(transaction: &ReportTransaction) -> Self {
        use v1::transaction_fate::Fate;
        let (fate, new_block, conflict) = match &transaction.fate {
            ReportFate::ConfirmedAgain { block, .. } => (Fate::ConfirmedAgain, Some(block), None),
            ReportFate::Returned => (Fate::Returned, None, None),
            ReportFate::TooEarly { .. } => (Fate::TooEarly, None, None),
            ReportFate::Conflicted { coin, by, block, .. } => {
                (Fate::Conflicted, Some(block), Some((by, *coin)))
            }
            ReportFate::Orphaned => (Fate::Orphaned, None, None),
        };
        Self {
            txid: transaction.txid.to_string(),
            old_block: transaction.block.to_string(),
            old_confirmations: transaction.confirmations,
            fate: fate.into(),
            story: transaction.to_string(),
            new_block: text(new_block),
            conflicts_with: text(conflict.map(|(by, _)| by)),
            coin: conflict.map(|(_, coin)| coin.into()),
        }
    }
}

impl From<&ReorgReport> for v1::Reorg {
    fn from(report: &ReorgReport) -> Self {
        Self {
            number: report.number,
            time_ms: report.time.0,
            depth: report.depth,
            fork: Some((&report.fork).into()),
            disconnected: report.disconnected.iter().map(Into::into).collect(),
            connected: report.connected.iter().map(Into::into).collect(),
            old_work: report.old_work.clone(),
            new_work: report.new_work.clone(),
            reason: report.reason.to_string(),
            transactions: report.transactions.iter().map(Into::into).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_exact() {
        assert_eq!(units("20999999.97690000").unwrap(), 2_099_999_997_690_000);
        assert_eq!(signed_units("+0.00000001").unwrap(), 1);
        assert_eq!(signed_units("-5.00000000").unwrap(), -500_000_000);
        assert!(units("x").is_err() && signed_units("--1").is_err());
    }
}
