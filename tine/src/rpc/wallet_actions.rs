//! Core's `Wallet` methods that do something: pay several, sign, keep coins back, give up, make and keep wallets.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::json;
use serde_json::value::RawValue;
use tine_chain::codec::Encode;
use tine_chain::hash::Txid;
use tine_chain::sighash::SighashCache;
use tine_chain::transaction::{OutPoint, Transaction, TxOut};
use tine_wallet::{Recipient, Wallet};

use super::amount::parse_coins;
use super::envelope::null;
use super::error::{Code, RpcError};
use super::rawbuild::{SignError, Signed, find_coins, is_open};
use super::rawtransactions::decode_hex;
use super::registry::{Call, Category, Handler, Kind, Method, Outcome, answer, optional, required};
use super::wallet::{inspect, named, wallets};
use crate::methods::WalletNew;

pub(crate) const METHODS: &[Method] = &[
    Method {
        name: "abandontransaction",
        category: Category::Wallet,
        params: &[required(
            "txid",
            Kind::Hex,
            "A transaction of the wallet, in no block and not in the mempool.",
        )],
        help: "Gives up a transaction: what it spends is free again.",
        handler: Handler::Now(|call| {
            let txid: Txid = call.params.hash(0)?;
            wallets(call)?.alter(named(call), |wallet| wallet.abandon(&txid))?;
            Ok(null())
        }),
    },
    Method {
        name: "backupwallet",
        category: Category::Wallet,
        params: &[required(
            "destination",
            Kind::Text,
            "A file that does not exist yet, on the node's machine.",
        )],
        help: "Copies the wallet's sealed keystore.",
        handler: Handler::Now(|call| {
            wallets(call)?.backup(named(call), call.params.text(0)?.as_ref())?;
            Ok(null())
        }),
    },
    Method {
        name: "createwallet",
        category: Category::Wallet,
        params: &[
            required("wallet_name", Kind::Text, "Its name."),
            optional("disable_private_keys", Kind::Flag, "Must be false."),
            optional("blank", Kind::Flag, "Must be false."),
            optional(
                "passphrase",
                Kind::Text,
                "What encrypts its keystore; must be given, and not be empty.",
            ),
            optional("avoid_reuse", Kind::Flag, "Must be false."),
            optional("descriptors", Kind::Flag, "Accepted and of no effect."),
            optional("load_on_startup", Kind::Flag, "Accepted and of no effect: every wallet is loaded."),
        ],
        help: "Makes a wallet. Its recovery phrase is in tine_phrase, once.",
        handler: Handler::Now(create_wallet),
    },
    Method {
        name: "listlockunspent",
        category: Category::Wallet,
        params: &[],
        help: "The coins that lockunspent keeps out of payments.",
        handler: Handler::Now(|call| answer(&inspect(call, locked)?)),
    },
    Method {
        name: "listwalletdir",
        category: Category::Wallet,
        params: &[],
        help: "The wallets in the node's directory: all of them are loaded.",
        handler: Handler::Now(|call| {
            let names = call.context.wallets.as_ref().map_or_else(Vec::new, |wallets| wallets.names());
            let entries: Vec<_> = names.into_iter().map(|name| json!({ "name": name })).collect();
            answer(&json!({ "wallets": entries }))
        }),
    },
    Method {
        name: "loadwallet",
        category: Category::Wallet,
        params: &[
            required("filename", Kind::Text, "Its name."),
            optional("load_on_startup", Kind::Flag, "Accepted and of no effect: every wallet is loaded."),
        ],
        help: "Says whether a wallet is there (error -35: it is loaded, as all are) or not (-18).",
        handler: Handler::Now(load_wallet),
    },
    Method {
        name: "lockunspent",
        category: Category::Wallet,
        params: &[
            required("unlock", Kind::Flag, "true: let them be spent again; false: keep them back."),
            optional("transactions", Kind::Array, "Objects with txid and vout. Left out with unlock: all."),
            optional("persistent", Kind::Flag, "Must be false: it lasts as long as the program."),
        ],
        help: "Keeps coins out of payments, or lets them be spent again.",
        handler: Handler::Now(lock_unspent),
    },
    Method {
        name: "sendmany",
        category: Category::Wallet,
        params: &[
            optional("dummy", Kind::Text, "\"\", for compatibility."),
            required("amounts", Kind::Object, "Addresses and what each is paid."),
            optional("minconf", Kind::Number, "Accepted and of no effect."),
            optional("comment", Kind::Text, "Accepted and of no effect."),
            optional("subtractfeefrom", Kind::Array, "Must be empty."),
            optional("replaceable", Kind::Flag, "Accepted and of no effect."),
            optional("conf_target", Kind::Number, "Accepted and of no effect."),
            optional("estimate_mode", Kind::Text, "Accepted and of no effect."),
            optional("fee_rate", Kind::Amount, "Base units for one byte."),
        ],
        help: "Pays several addresses in one transaction; gives its id.",
        handler: Handler::Now(send_many),
    },
    Method {
        name: "signrawtransactionwithwallet",
        category: Category::Wallet,
        params: &[
            required("hexstring", Kind::Hex, "The transaction."),
            optional("prevtxs", Kind::Array, "Must be empty: the coins must be known to the node."),
            optional("sighashtype", Kind::Text, "ALL: there is no other."),
        ],
        help: "Signs the inputs that the wallet's keys open.",
        handler: Handler::Now(sign_with_wallet),
    },
    Method {
        name: "walletpassphrasechange",
        category: Category::Wallet,
        params: &[
            required("oldpassphrase", Kind::Text, "What encrypts the keystore."),
            required("newpassphrase", Kind::Text, "What shall encrypt it; never empty."),
        ],
        help: "Seals the wallet's keystore under another passphrase.",
        handler: Handler::Now(|call| {
            let (old, new) = (call.params.text(0)?, call.params.text(1)?);
            wallets(call)?.alter(named(call), |wallet| wallet.change_passphrase(&old, &new))?;
            Ok(null())
        }),
    },
];

fn refuse_flags(call: &Call, places: &[usize]) -> Result<(), RpcError> {
    for &place in places {
        if call.params.flag(place, false)? {
            return Err(RpcError::invalid(format!("parameter {} must be false", place + 1)));
        }
    }
    Ok(())
}

fn create_wallet(call: &Call) -> Outcome {
    refuse_flags(call, &[1, 2, 4])?;
    let name = call.params.text(0)?;
    let passphrase = call.params.optional::<String>(3)?.unwrap_or_default();
    let made = wallets(call)?.create(&WalletNew { name, passphrase })?;
    answer(&json!({ "name": made.name, "warnings": [], "tine_phrase": made.phrase }))
}

fn load_wallet(call: &Call) -> Outcome {
    let name = call.params.text(0)?;
    wallets(call)?.resolve(Some(&name))?;
    Err(RpcError::new(Code::WalletAlreadyLoaded, format!("Wallet \"{name}\" is already loaded.")))
}

/// A coin, as Core writes it.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct CoinName {
    txid: Txid,
    vout: u32,
}

fn locked(wallet: &Wallet) -> Vec<CoinName> {
    wallet.locked_coins().map(|coin| CoinName { txid: coin.txid, vout: coin.vout }).collect()
}

fn lock_unspent(call: &Call) -> Outcome {
    let unlock = call.params.flag(0, false)?;
    refuse_flags(call, &[2])?;
    let named_coins: Option<Vec<CoinName>> = call.params.optional(1)?;
    let coins: Vec<OutPoint> = match named_coins {
        Some(coins) => coins.iter().map(|coin| OutPoint { txid: coin.txid, vout: coin.vout }).collect(),
        None if unlock => inspect(call, |wallet| wallet.locked_coins().copied().collect())?,
        None => return Err(RpcError::invalid("transactions: which coins to keep back must be said")),
    };
    let wrong = wallets(call)?.alter(named(call), |wallet| Ok(lock_or_unlock(wallet, &coins, unlock)))?;
    match wrong {
        Some(message) => Err(RpcError::invalid(message)),
        None => answer(&true),
    }
}

/// All of them or none; says what stands against it.
fn lock_or_unlock(wallet: &mut Wallet, coins: &[OutPoint], unlock: bool) -> Option<String> {
    let locked: Vec<OutPoint> = wallet.locked_coins().copied().collect();
    let own = wallet.coins();
    for coin in coins {
        if unlock && !locked.contains(coin) {
            return Some(format!("Invalid parameter, expected locked output: {coin}"));
        }
        if !unlock && locked.contains(coin) {
            return Some(format!("Invalid parameter, output already locked: {coin}"));
        }
        if !unlock && !own.iter().any(|own| own.outpoint == *coin) {
            return Some(format!("Invalid parameter, not an unspent output of the wallet: {coin}"));
        }
    }
    for coin in coins {
        match unlock {
            true => drop(wallet.unlock_coin(coin)),
            false => wallet.lock_coin(*coin),
        }
    }
    None
}

fn send_many(call: &Call) -> Outcome {
    if call.params.optional::<String>(0)?.is_some_and(|dummy| !dummy.is_empty()) {
        return Err(RpcError::invalid("Dummy value must be set to \"\""));
    }
    if call.params.optional::<Vec<Box<RawValue>>>(4)?.is_some_and(|list| !list.is_empty()) {
        return Err(RpcError::invalid("subtractfeefrom is not supported"));
    }
    let amounts: BTreeMap<String, Box<RawValue>> = call.params.required(1)?;
    let mut recipients: Vec<Recipient> = Vec::new();
    for (text, amount) in amounts {
        let address = call.context.parse_address(&text)?;
        if recipients.iter().any(|known| known.address.lock == address.lock) {
            return Err(RpcError::invalid(format!("Invalid parameter, duplicated address: {text}")));
        }
        let amount = parse_coins(amount.get().trim_matches('"'))
            .map_err(|error| RpcError::new(Code::Type, format!("{error} for {text}")))?;
        recipients.push(Recipient { address, amount });
    }
    // base units for a byte, with decimals, to base units for 1,000 bytes: parsed as coins, 10^-8 of it is lost
    let fee_rate = call.params.amount(8)?.map(|rate| rate.0 / 100_000);
    answer(&wallets(call)?.send_many(named(call), recipients, fee_rate)?)
}

fn sign_with_wallet(call: &Call) -> Outcome {
    let tx = decode_hex(&call.params.text(0)?)?;
    if call.params.optional::<Vec<Box<RawValue>>>(1)?.is_some_and(|list| !list.is_empty()) {
        return Err(RpcError::invalid("prevtxs is not supported here: signrawtransactionwithkey takes it"));
    }
    match call.params.optional::<String>(2)?.as_deref() {
        None | Some("ALL" | "DEFAULT") => {}
        Some(other) => return Err(RpcError::invalid(format!("'{other}' is not a valid sighash parameter."))),
    }
    let mut data = tx.data().clone();
    let coins = find_coins(&call.context, &data.inputs)?;
    let spent: Option<Vec<TxOut>> = coins.iter().copied().collect();
    let Some(spent) = spent else {
        let unknown = data.inputs.iter().zip(&coins).filter(|(_, coin)| coin.is_none());
        let errors =
            unknown.map(|(input, _)| SignError::new(input, "Input not found or already spent")).collect();
        return answer(&Signed { hex: hex::encode(tx.to_bytes()), complete: false, errors });
    };
    wallets(call)?.sign_inputs(named(call), &mut data, &spent)?;
    let genesis = call.context.params().genesis_hash();
    let sighash = SighashCache::new(&genesis, &data, &spent).expect("one coin for each input");
    let closed = (0..data.inputs.len()).filter(|&place| !is_open(&data, place, spent[place], &sighash));
    let errors: Vec<SignError> = closed
        .map(|place| {
            SignError::new(&data.inputs[place], "Unable to sign input: the wallet has no key for it")
        })
        .collect();
    let complete = errors.is_empty();
    answer(&Signed { hex: hex::encode(Transaction::new(data).to_bytes()), complete, errors })
}
