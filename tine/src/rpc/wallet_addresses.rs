//! Core's `Wallet` methods about addresses: whose they are, what they are called, what came in.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::json;
use tine_chain::amount::Amount;
use tine_chain::hash::{Lock, Txid};
use tine_wallet::{AddressEntry, Keychain, Status, Wallet};

use super::amount::Coins;
use super::envelope::null;
use super::error::{Code, RpcError};
use super::registry::{Call, Category, Handler, Kind, Method, Outcome, answer, optional, required};
use super::wallet::{inspect, named, wallets};

pub(crate) const METHODS: &[Method] = &[
    Method {
        name: "getaddressesbylabel",
        category: Category::Wallet,
        params: &[required("label", Kind::Text, "What they are called.")],
        help: "The wallet's addresses that are called so.",
        handler: Handler::Now(get_addresses_by_label),
    },
    Method {
        name: "getaddressinfo",
        category: Category::Wallet,
        params: &[required("address", Kind::Text, "The address.")],
        help: "What the wallet knows of an address: whether it is its own, its label, where its key is.",
        handler: Handler::Now(get_address_info),
    },
    Method {
        name: "getreceivedbyaddress",
        category: Category::Wallet,
        params: &[
            required("address", Kind::Text, "An address of the wallet."),
            optional("minconf", Kind::Number, "Confirmations, at least. Default 1."),
        ],
        help: "What an address of the wallet has received in all, spent or not.",
        handler: Handler::Now(get_received_by_address),
    },
    Method {
        name: "listlabels",
        category: Category::Wallet,
        params: &[optional("purpose", Kind::Text, "Accepted and of no effect.")],
        help: "The labels of the wallet's addresses, in order; the empty one for addresses without.",
        handler: Handler::Now(|call| answer(&inspect(call, labels)?)),
    },
    Method {
        name: "listreceivedbyaddress",
        category: Category::Wallet,
        params: &[
            optional("minconf", Kind::Number, "Confirmations, at least. Default 1."),
            optional("include_empty", Kind::Flag, "Addresses that have received nothing too. Default false."),
            optional("include_watchonly", Kind::Flag, "Accepted and of no effect."),
            optional("address_filter", Kind::Text, "Only this one."),
        ],
        help: "What each of the wallet's addresses has received in all.",
        handler: Handler::Now(list_received_by_address),
    },
    Method {
        name: "setlabel",
        category: Category::Wallet,
        params: &[
            required("address", Kind::Text, "An address of the wallet."),
            required("label", Kind::Text, "What to call it; empty: nothing any more."),
        ],
        help: "Names an address of the wallet.",
        handler: Handler::Now(set_label),
    },
];

/// The addresses to be paid to that were given out.
fn receiving(wallet: &Wallet) -> Vec<AddressEntry> {
    wallet.addresses(Keychain::Receive)
}

fn labels(wallet: &Wallet) -> BTreeSet<String> {
    receiving(wallet).into_iter().map(|entry| entry.label.unwrap_or_default()).collect()
}

fn get_addresses_by_label(call: &Call) -> Outcome {
    let label = call.params.text(0)?;
    let found: BTreeMap<String, serde_json::Value> = inspect(call, |wallet| {
        let entries = receiving(wallet).into_iter();
        let called = entries.filter(|entry| entry.label.as_deref().unwrap_or_default() == label);
        called.map(|entry| (entry.address.to_string(), json!({ "purpose": "receive" }))).collect()
    })?;
    if found.is_empty() {
        return Err(RpcError::new(Code::InvalidLabel, format!("No addresses with label {label}")));
    }
    answer(&found)
}

fn get_address_info(call: &Call) -> Outcome {
    #[derive(Serialize)]
    struct Info {
        address: String,
        #[serde(rename = "scriptPubKey")]
        script_pub_key: String,
        ismine: bool,
        iswatchonly: bool,
        solvable: bool,
        isscript: bool,
        iswitness: bool,
        ischange: bool,
        #[serde(skip_serializing_if = "Option::is_none")]
        hdkeypath: Option<String>,
        labels: Vec<String>,
    }
    let address = call.context.parse_address(&call.params.text(0)?)?;
    let entry = inspect(call, |wallet| wallet.address_entry(&address.lock))?;
    answer(&Info {
        address: address.to_string(),
        script_pub_key: address.lock.to_string(),
        ismine: entry.is_some(),
        iswatchonly: false,
        solvable: entry.is_some(),
        isscript: false,
        iswitness: false,
        ischange: entry.as_ref().is_some_and(|entry| entry.key.keychain == Keychain::Change),
        hdkeypath: entry.as_ref().map(|entry| entry.path.to_string()),
        labels: entry
            .filter(|entry| entry.key.keychain == Keychain::Receive)
            .map(|entry| entry.label.unwrap_or_default())
            .into_iter()
            .collect(),
    })
}

fn set_label(call: &Call) -> Outcome {
    let address = call.context.parse_address(&call.params.text(0)?)?;
    let label = call.params.text(1)?;
    if label == "*" {
        return Err(RpcError::new(Code::InvalidLabel, "Invalid label name: * stands for all"));
    }
    let ours = wallets(call)?.alter(named(call), |wallet| Ok(wallet.set_label(&address, &label)))?;
    if !ours {
        return Err(RpcError::not_found("the address is not of this wallet: only its own are named"));
    }
    Ok(null())
}

/// What came in at an address.
#[derive(Default)]
struct Received {
    amount: u64,
    confirmations: Option<u32>,
    txids: Vec<Txid>,
}

/// What came in at each address, in transactions with at least so many confirmations.
fn received(wallet: &Wallet, least: i64) -> BTreeMap<Lock, Received> {
    let mut sums: BTreeMap<Lock, Received> = BTreeMap::new();
    for entry in wallet.history() {
        let dead = matches!(entry.status, Status::Conflicted(_) | Status::Abandoned | Status::Inactive);
        if dead || i64::from(entry.confirmations) < least {
            continue;
        }
        let Some(tx) = wallet.transaction(&entry.txid) else { continue };
        for output in &tx.outputs {
            let own = wallet.address_entry(&output.lock);
            if own.is_none_or(|own| own.key.keychain != Keychain::Receive) {
                continue;
            }
            let sum = sums.entry(output.lock).or_default();
            sum.amount += output.value.0;
            let least = sum.confirmations.map_or(entry.confirmations, |known| known.min(entry.confirmations));
            sum.confirmations = Some(least);
            if sum.txids.last() != Some(&entry.txid) {
                sum.txids.push(entry.txid);
            }
        }
    }
    sums
}

fn get_received_by_address(call: &Call) -> Outcome {
    let address = call.context.parse_address(&call.params.text(0)?)?;
    let least = call.params.integer(1)?.unwrap_or(1);
    let (is_ours, sums) =
        inspect(call, |wallet| (wallet.address_entry(&address.lock).is_some(), received(wallet, least)))?;
    if !is_ours {
        return Err(RpcError::new(Code::Wallet, "Address not found in wallet"));
    }
    answer(&Coins(Amount(sums.get(&address.lock).map_or(0, |sum| sum.amount))))
}

fn list_received_by_address(call: &Call) -> Outcome {
    #[derive(Serialize)]
    struct Line {
        address: String,
        amount: Coins,
        confirmations: u32,
        label: String,
        txids: Vec<Txid>,
    }
    let least = call.params.integer(0)?.unwrap_or(1);
    let include_empty = call.params.flag(1, false)?;
    let only = match call.params.optional::<String>(3)? {
        Some(text) => Some(call.context.parse_address(&text)?),
        None => None,
    };
    let lines = inspect(call, |wallet| {
        let mut sums = received(wallet, least);
        let line = |entry: AddressEntry| {
            if only.is_some_and(|only| only.lock != entry.address.lock) {
                return None;
            }
            let sum = sums.remove(&entry.address.lock);
            if sum.is_none() && !include_empty {
                return None;
            }
            let sum = sum.unwrap_or_default();
            Some(Line {
                address: entry.address.to_string(),
                amount: Coins(Amount(sum.amount)),
                confirmations: sum.confirmations.unwrap_or(0),
                label: entry.label.unwrap_or_default(),
                txids: sum.txids,
            })
        };
        receiving(wallet).into_iter().filter_map(line).collect::<Vec<_>>()
    })?;
    answer(&lines)
}
