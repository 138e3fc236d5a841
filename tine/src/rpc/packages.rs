//! Core's methods for several transactions at once: `testmempoolaccept`, `submitpackage`.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;
use tine_chain::amount::Amount;
use tine_chain::hash::{Txid, Wtxid};
use tine_chain::reject::Reject;
use tine_chain::transaction::Transaction;
use tine_node::event::{Action, Notice, Removal};
use tine_node::mempool::{Fared, FeeRate, MAX_PACKAGE, PackageError};

use super::amount::Coins;
use super::error::{Code, RpcError};
use super::mempool::fee_rate;
use super::rawtransactions::{MAX_FEE_RATE, decode_hex, max_fee};
use super::registry::{Call, Category, Handler, Kind, Method, Outcome, answer, optional, required};

pub(crate) const METHODS: &[Method] = &[
    Method {
        name: "submitpackage",
        category: Category::Rawtransactions,
        params: &[
            required(
                "package",
                Kind::Array,
                "Parents, then the child of all of them, in hexadecimal digits.",
            ),
            MAX_FEE_RATE,
            optional("maxburnamount", Kind::Amount, "Accepted and of no effect: every output can be spent."),
        ],
        help: "Submits a child with its unconfirmed parents, judged together where a parent pays too little by itself.",
        handler: Handler::Now(submit_package),
    },
    Method {
        name: "testmempoolaccept",
        category: Category::Rawtransactions,
        params: &[
            required("rawtxs", Kind::Array, "Transactions in hexadecimal digits, parents first."),
            MAX_FEE_RATE,
        ],
        help: "Whether the mempool would take these transactions if they came now, in this order.",
        handler: Handler::Now(test_mempool_accept),
    },
];

#[derive(Serialize)]
struct FeesJson {
    base: Coins,
    #[serde(rename = "effective-feerate")]
    effective_feerate: Coins,
    #[serde(rename = "effective-includes")]
    effective_includes: Vec<Wtxid>,
}

/// The transactions of a parameter.
fn decode_all(call: &Call) -> Result<Vec<Arc<Transaction>>, RpcError> {
    let raw: Vec<String> = call.params.required(0)?;
    if raw.is_empty() || raw.len() > MAX_PACKAGE {
        let message = format!("Array must contain between 1 and {MAX_PACKAGE} transactions.");
        return Err(RpcError::invalid(message));
    }
    raw.iter().map(|text| decode_hex(text).map(Arc::new)).collect()
}

#[derive(Serialize)]
struct TestResult {
    txid: Txid,
    wtxid: Wtxid,
    #[serde(rename = "package-error", skip_serializing_if = "Option::is_none")]
    package_error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    allowed: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    vsize: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fees: Option<FeesJson>,
    #[serde(rename = "reject-reason", skip_serializing_if = "Option::is_none")]
    reject_reason: Option<&'static str>,
}

impl TestResult {
    fn new(tx: &Transaction) -> Self {
        Self {
            txid: tx.txid(),
            wtxid: tx.wtxid(),
            package_error: None,
            allowed: None,
            vsize: None,
            fees: None,
            reject_reason: None,
        }
    }
}

fn test_mempool_accept(call: &Call) -> Outcome {
    let txs = decode_all(call)?;
    let candidates = txs.clone();
    let tested = call.context.node.with_blocking(move |node, now| node.test_package(&candidates, now))??;
    let results: Vec<TestResult> = match tested {
        Ok(tested) => (txs.iter().zip(tested))
            .map(|(tx, tested)| test_result(call, tx, tested))
            .collect::<Result<_, _>>()?,
        Err(error) => {
            let failed = |tx: &Arc<Transaction>| TestResult {
                package_error: Some(error.to_string()),
                ..TestResult::new(tx)
            };
            txs.iter().map(failed).collect()
        }
    };
    answer(&results)
}

fn test_result(
    call: &Call,
    tx: &Transaction,
    tested: Result<Amount, Reject>,
) -> Result<TestResult, RpcError> {
    let limit = max_fee(call, tx.size())?;
    let refused =
        |reason| TestResult { allowed: Some(false), reject_reason: Some(reason), ..TestResult::new(tx) };
    Ok(match tested {
        Err(reject) => refused(reject.reason()),
        Ok(fee) if limit.is_some_and(|limit| fee > limit) => refused("max-fee-exceeded"),
        Ok(fee) => TestResult {
            allowed: Some(true),
            vsize: Some(tx.size()),
            fees: Some(FeesJson {
                base: fee.into(),
                effective_feerate: fee_rate(FeeRate { fee, size: tx.size() as u64 }.units_per_kilobyte()),
                effective_includes: vec![tx.wtxid()],
            }),
            ..TestResult::new(tx)
        },
    })
}

#[derive(Serialize)]
struct PackageTx {
    txid: Txid,
    #[serde(skip_serializing_if = "Option::is_none")]
    vsize: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fees: Option<FeesJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'static str>,
}

#[derive(Serialize)]
struct PackageResult {
    package_msg: &'static str,
    #[serde(rename = "tx-results")]
    tx_results: BTreeMap<Wtxid, PackageTx>,
    #[serde(rename = "replaced-transactions")]
    replaced_transactions: Vec<Txid>,
}

fn submit_package(call: &Call) -> Outcome {
    let txs = decode_all(call)?;
    let limits: Vec<Option<Amount>> =
        txs.iter().map(|tx| max_fee(call, tx.size())).collect::<Result<_, _>>()?;
    let candidates = txs.clone();
    let outcome = call.context.node.control_blocking(move |node, now| {
        // what would be a slip of the pen is found before anything is taken in
        let tested = node.test_package(&candidates, now)?;
        let fees = tested.unwrap_or_default();
        let wasteful = (fees.iter().zip(&limits))
            .any(|(fee, limit)| fee.is_ok_and(|fee| limit.is_some_and(|limit| fee > limit)));
        if wasteful {
            return Ok((Vec::new(), None));
        }
        let (actions, fared) = node.offer_package(&candidates, now)?;
        let replaced = replaced(&actions);
        Ok((actions, Some((fared, replaced))))
    })?;
    let Some((fared, replaced)) = outcome else {
        let message = "Fee exceeds maximum configured by user (e.g. -maxtxfee, maxfeerate)";
        return Err(RpcError::new(Code::Verify, message));
    };
    answer(&package_result(fared, replaced)?)
}

fn replaced(actions: &[Action]) -> Vec<Txid> {
    let gone = |action: &Action| match action {
        Action::Notify(Notice::TransactionRemoved(txid, Removal::Replaced { .. })) => Some(*txid),
        Action::Notify(_)
        | Action::Request(..)
        | Action::Respond(..)
        | Action::Publish(_)
        | Action::Judge(..)
        | Action::Punish(..)
        | Action::Disconnect(..)
        | Action::Answer(..) => None,
    };
    actions.iter().filter_map(gone).collect()
}

fn package_result(
    fared: Result<Vec<Fared>, PackageError>,
    replaced_transactions: Vec<Txid>,
) -> Result<PackageResult, RpcError> {
    let fared = fared.map_err(|error| RpcError::new(Code::Verify, error.to_string()))?;
    let mut failed = false;
    let tx_results = fared
        .into_iter()
        .map(|Fared { tx, outcome, rate, with }| {
            let reject = outcome.as_ref().err().map(|refusal| refusal.reject);
            // "already in the mempool" is no failure for who wants it there
            let error = reject.filter(|reject| *reject != Reject::AlreadyInMempool).map(Reject::reason);
            failed |= error.is_some();
            let fees = outcome.ok().map(|fee| FeesJson {
                base: fee.into(),
                effective_feerate: fee_rate(rate.units_per_kilobyte()),
                effective_includes: with,
            });
            let vsize = error.is_none().then(|| tx.size());
            (tx.wtxid(), PackageTx { txid: tx.txid(), vsize, fees, error })
        })
        .collect();
    let package_msg = if failed { "transaction failed" } else { "success" };
    Ok(PackageResult { package_msg, tx_results, replaced_transactions })
}
