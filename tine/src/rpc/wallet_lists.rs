//! Core's `Wallet` methods that list: payments and coins.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::Serialize;
use tine_chain::address::Address;
use tine_chain::amount::Amount;
use tine_chain::codec::Encode;
use tine_chain::hash::{BlockHash, Txid};
use tine_wallet::{CoinState, HistoryEntry, KeyRef, Keychain, Kind as Did, Status, Wallet};

use super::amount::{Coins, SignedCoins};
use super::blockchain;
use super::error::RpcError;
use super::registry::{Call, Category, Handler, Kind, Method, Outcome, answer, optional, required};
use super::wallet::{ProcessedBlock, inspect};

pub(crate) const METHODS: &[Method] = &[
    Method {
        name: "gettransaction",
        category: Category::Wallet,
        params: &[
            required("txid", Kind::Hex, "The transaction's id."),
            optional("include_watchonly", Kind::Flag, "Accepted and of no effect."),
        ],
        help: "A transaction of the wallet.",
        handler: Handler::Now(get_transaction),
    },
    Method {
        name: "listsinceblock",
        category: Category::Wallet,
        params: &[
            optional(
                "blockhash",
                Kind::Hex,
                "The last block that is known. Default none: everything is listed.",
            ),
            optional(
                "target_confirmations",
                Kind::Number,
                "How many confirmations lastblock has, which is to be given next time. Default 1.",
            ),
            optional("include_watchonly", Kind::Flag, "Accepted and of no effect."),
            optional(
                "include_removed",
                Kind::Flag,
                "Also what was in blocks that have gone since. Default true.",
            ),
            optional("include_change", Kind::Flag, "Must be false."),
            optional("label", Kind::Text, "Only addresses called so."),
        ],
        help: "What has happened to the wallet since a block: payments in later blocks and those in none; if that block \
               is no longer part of the chain, also those that were in blocks of its branch (removed).",
        handler: Handler::Now(list_since_block),
    },
    Method {
        name: "listtransactions",
        category: Category::Wallet,
        params: &[
            optional("label", Kind::Text, "Only addresses called so; \"*\" (default): all."),
            optional("count", Kind::Number, "How many. Default 10."),
            optional("skip", Kind::Number, "How many of the latest to leave out. Default 0."),
            optional("include_watchonly", Kind::Flag, "Accepted and of no effect."),
        ],
        help: "The latest payments, oldest first.",
        handler: Handler::Now(list_transactions),
    },
    Method {
        name: "listunspent",
        category: Category::Wallet,
        params: &[
            optional("minconf", Kind::Number, "Confirmations, at least."),
            optional("maxconf", Kind::Number, "Confirmations, at most."),
            optional("addresses", Kind::Array, "Only these."),
        ],
        help: "The coins that the wallet can spend.",
        handler: Handler::Now(list_unspent),
    },
];

/// What `listtransactions` and `gettransaction` say of a transaction as a whole.
#[derive(Debug, Clone, Serialize)]
struct About {
    confirmations: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    generated: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    blockhash: Option<BlockHash>,
    #[serde(skip_serializing_if = "Option::is_none")]
    blockheight: Option<u32>,
    txid: Txid,
    walletconflicts: Vec<Txid>,
    time: u64,
    timereceived: u64,
    #[serde(rename = "bip125-replaceable")]
    bip125_replaceable: &'static str,
}

fn about(entry: &HistoryEntry) -> About {
    let (block, height, conflict) = match &entry.status {
        Status::Confirmed(found) => (Some(found.block), Some(found.height), None),
        Status::Conflicted(conflict) => (None, None, Some(conflict.by)),
        Status::Pending | Status::Inactive | Status::Abandoned => (None, None, None),
    };
    About {
        // Core: negative for a transaction that a confirmed one conflicts with
        confirmations: if conflict.is_some() { -1 } else { i64::from(entry.confirmations) },
        generated: (entry.kind == Did::Mined).then_some(true),
        blockhash: block,
        blockheight: height,
        txid: entry.txid,
        walletconflicts: conflict.into_iter().collect(),
        time: entry.seen.as_secs(),
        timereceived: entry.seen.as_secs(),
        bip125_replaceable: "no",
    }
}

/// One line of `listtransactions`, and of `details` in `gettransaction`.
#[derive(Debug, Clone, Serialize)]
struct Line {
    address: String,
    category: &'static str,
    amount: SignedCoins,
    #[serde(skip_serializing_if = "Option::is_none")]
    label: Option<String>,
    vout: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    fee: Option<SignedCoins>,
    abandoned: bool,
}

/// Base units with a sign; amounts are far below 2^63.
fn signed(amount: Amount, negative: bool) -> SignedCoins {
    let units = i64::try_from(amount.0).expect("at most all the money there can be");
    SignedCoins(if negative { -units } else { units })
}

fn lines(entry: &HistoryEntry, is_ripe: bool) -> Vec<Line> {
    let dead = matches!(entry.status, Status::Conflicted(_) | Status::Abandoned);
    let category = match entry.kind {
        Did::Sent => "send",
        Did::Received | Did::Internal => "receive",
        Did::Mined if dead || entry.confirmations == 0 => "orphan",
        Did::Mined if is_ripe => "generate",
        Did::Mined => "immature",
    };
    let negative = entry.kind == Did::Sent;
    (entry.outputs.iter())
        .map(|output| Line {
            address: output.address.to_string(),
            category,
            amount: signed(output.amount, negative),
            label: output.label.clone().or_else(|| (!negative).then(String::new)),
            vout: output.vout,
            fee: entry.fee.filter(|_| negative).map(|fee| signed(fee, true)),
            abandoned: entry.status == Status::Abandoned,
        })
        .collect()
}

fn is_ripe(call: &Call, entry: &HistoryEntry) -> bool {
    entry.confirmations > call.context.params().coinbase_maturity
}

/// A line of a list, with what is said of its transaction.
#[derive(Debug, Serialize)]
struct Listed {
    #[serde(flatten)]
    line: Line,
    #[serde(flatten)]
    about: About,
}

/// The lines of a transaction, of those addresses that are called `label` if that is given.
fn listed(call: &Call, entry: &HistoryEntry, label: Option<&str>) -> Vec<Listed> {
    let about = about(entry);
    let lines = lines(entry, is_ripe(call, entry)).into_iter();
    lines
        .filter(|line| label.is_none_or(|label| line.label.as_deref() == Some(label)))
        .map(|line| Listed { line, about: about.clone() })
        .collect()
}

fn list_since_block(call: &Call) -> Outcome {
    #[derive(Serialize)]
    struct Since {
        transactions: Vec<Listed>,
        #[serde(skip_serializing_if = "Option::is_none")]
        removed: Option<Vec<Listed>>,
        lastblock: BlockHash,
    }
    let depth = call.params.integer(1)?.unwrap_or(1);
    let depth = u32::try_from(depth).ok().filter(|depth| *depth > 0);
    let depth = depth.ok_or_else(|| RpcError::invalid("Invalid parameter"))?;
    if call.params.flag(4, false)? {
        return Err(RpcError::invalid("include_change is not supported"));
    }
    let label: Option<String> = call.params.optional(5)?;
    let history = inspect(call, Wallet::history)?;
    let view = call.context.view();
    let known: Option<BlockHash> = call.params.raw(0).map(|_| call.params.hash(0)).transpose()?;
    let (mut height, mut gone) = (None, Vec::new());
    if let Some(hash) = known {
        let mut block = blockchain::find_block(&view, &hash)?;
        while !view.is_active(&block.hash) {
            gone.push(Arc::clone(block));
            block = blockchain::find_block(&view, &block.header.prev_block)?;
        }
        height = Some(block.height);
    }
    let is_new = |entry: &&HistoryEntry| match &entry.status {
        Status::Confirmed(found) => height.is_none_or(|height| found.height > height),
        Status::Pending | Status::Inactive | Status::Conflicted(_) | Status::Abandoned => true,
    };
    let list = |entry| listed(call, entry, label.as_deref());
    let transactions = history.iter().filter(is_new).flat_map(list).collect();
    let removed = match call.params.flag(3, true)? {
        true => {
            let mut removed = Vec::new();
            for block in &gone {
                let body = call.context.read_block(block)?;
                let txids: BTreeSet<Txid> = body.transactions.iter().map(|tx| tx.txid()).collect();
                removed.extend(history.iter().filter(|entry| txids.contains(&entry.txid)).flat_map(list));
            }
            Some(removed)
        }
        false => None,
    };
    let last = view.active.get((view.tip.height + 1).saturating_sub(depth));
    answer(&Since { transactions, removed, lastblock: last.unwrap_or(view.tip.hash) })
}

fn list_transactions(call: &Call) -> Outcome {
    let label: Option<String> = call.params.optional::<String>(0)?.filter(|label| label != "*");
    let count = call.params.integer(1)?.unwrap_or(10);
    let skip = call.params.integer(2)?.unwrap_or(0);
    let count = usize::try_from(count).map_err(|_| RpcError::invalid("Negative count"))?;
    let skip = usize::try_from(skip).map_err(|_| RpcError::invalid("Negative from"))?;
    let history = inspect(call, Wallet::history)?;
    let mut listed: Vec<Listed> = (history.iter().rev())
        .flat_map(|entry| self::listed(call, entry, label.as_deref()))
        .skip(skip)
        .take(count)
        .collect();
    listed.reverse();
    answer(&listed)
}

fn get_transaction(call: &Call) -> Outcome {
    #[derive(Serialize)]
    struct Transaction {
        amount: SignedCoins,
        #[serde(skip_serializing_if = "Option::is_none")]
        fee: Option<SignedCoins>,
        #[serde(flatten)]
        about: About,
        details: Vec<Line>,
        hex: String,
        lastprocessedblock: ProcessedBlock,
    }
    let txid: Txid = call.params.hash(0)?;
    let found = inspect(call, |wallet| {
        Some((wallet.entry(&txid)?, wallet.transaction(&txid)?, ProcessedBlock::of(wallet)))
    })?;
    let missing = || RpcError::not_found("Invalid or non-wallet transaction id");
    let (entry, tx, lastprocessedblock) = found.ok_or_else(missing)?;
    let fee = entry.fee.filter(|_| entry.kind == Did::Sent);
    let fee_units = fee.map_or(0, |fee| signed(fee, false).0);
    answer(&Transaction {
        amount: SignedCoins(entry.net + fee_units),
        fee: fee.map(|fee| signed(fee, true)),
        about: about(&entry),
        details: lines(&entry, is_ripe(call, &entry)),
        hex: hex::encode(tx.to_bytes()),
        lastprocessedblock,
    })
}

fn list_unspent(call: &Call) -> Outcome {
    #[derive(Serialize)]
    struct Unspent {
        txid: Txid,
        vout: u32,
        address: String,
        #[serde(rename = "scriptPubKey")]
        script_pub_key: String,
        amount: Coins,
        confirmations: u32,
        spendable: bool,
        solvable: bool,
        safe: bool,
    }
    let least = call.params.integer(0)?.unwrap_or(1);
    let most = call.params.integer(1)?.unwrap_or(9_999_999);
    let only: Option<Vec<String>> = call.params.optional(2)?;
    let only = match only {
        Some(list) => {
            Some(list.iter().map(|text| call.context.parse_address(text)).collect::<Result<Vec<_>, _>>()?)
        }
        None => None,
    };
    let unspent = inspect(call, |wallet| {
        let coins = wallet.coins().into_iter().filter(|coin| {
            let confirmations = i64::from(coin.confirmations);
            coin.state != CoinState::Immature
                && (least..=most).contains(&confirmations)
                && coin.held_by.is_none()
        });
        let addresses: BTreeMap<KeyRef, Address> = [Keychain::Receive, Keychain::Change]
            .into_iter()
            .flat_map(|keychain| wallet.addresses(keychain))
            .map(|entry| (entry.key, entry.address))
            .collect();
        let shown = coins.filter_map(|coin| {
            let address = *addresses.get(&coin.key)?;
            if only.as_ref().is_some_and(|only| !only.iter().any(|wanted| wanted.lock == address.lock)) {
                return None;
            }
            Some(Unspent {
                txid: coin.outpoint.txid,
                vout: coin.outpoint.vout,
                address: address.to_string(),
                script_pub_key: address.lock.to_string(),
                amount: coin.value.into(),
                confirmations: coin.confirmations,
                spendable: true,
                solvable: true,
                safe: coin.confirmations > 0,
            })
        });
        shown.collect::<Vec<_>>()
    })?;
    answer(&unspent)
}
