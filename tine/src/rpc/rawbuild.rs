//! Core's `Rawtransactions` methods that make: build a transaction, sign it, put signatures together, read a policy.
//!
//! Where Core has scripts we have policies, and where it has WIF keys we have the 64 hexadecimal digits of a secret.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tine_chain::codec::{Decode, Encode};
use tine_chain::coins::Coin;
use tine_chain::hash::{Lock, Txid};
use tine_chain::policy::{Branch, Policy};
use tine_chain::sighash::SighashCache;
use tine_chain::signature::{public_key, sign, verify_one};
use tine_chain::store::StoreError;
use tine_chain::transaction::{
    OutPoint, SEQUENCE_FINAL, SEQUENCE_LOCK_TIME, Transaction, TxData, TxIn, TxOut, Witness,
};
use tine_chain::witness::{Satisfier, check_witness};

use super::amount::{Coins, parse_coins};
use super::context::Context;
use super::error::{Code, RpcError};
use super::params::parse_hash;
use super::rawtransactions::decode_hex;
use super::registry::{Call, Category, Handler, Kind, Method, Outcome, answer, optional, required};

/// BIP 125: this sequence, or a lower one, says that the transaction may be replaced.
const SEQUENCE_REPLACEABLE: u32 = 0xffff_fffd;
/// The most secrets, transactions or coins in one call.
const MAX_LIST: usize = 10_000;

pub(crate) const METHODS: &[Method] = &[
    Method {
        name: "combinerawtransaction",
        category: Category::Rawtransactions,
        params: &[required("txs", Kind::Array, "Copies of one transaction, in hexadecimal digits.")],
        help: "Puts the inputs that were signed in different copies of a transaction into one. Signatures of one input \
               are not mixed: each input is taken whole from the first copy that has it.",
        handler: Handler::Now(combine_raw_transaction),
    },
    Method {
        name: "createrawtransaction",
        category: Category::Rawtransactions,
        params: &[
            required("inputs", Kind::Array, "Objects with txid, vout and, if need be, sequence."),
            required("outputs", Kind::Any, "Objects of address and amount, or one object of them."),
            optional(
                "locktime",
                Kind::Number,
                "The first height or time at which it may be mined. Default 0.",
            ),
            optional(
                "replaceable",
                Kind::Flag,
                "Whether it says that it may be replaced (BIP 125). Default true.",
            ),
            optional("version", Kind::Number, "Default 2."),
        ],
        help: "A transaction without signatures, in hexadecimal digits.",
        handler: Handler::Now(create_raw_transaction),
    },
    Method {
        name: "decodescript",
        category: Category::Rawtransactions,
        params: &[required("hexstring", Kind::Hex, "An encoded policy: what a lock hides.")],
        help: "A policy in words: who may spend and when, its lock and address.",
        handler: Handler::Now(decode_script),
    },
    Method {
        name: "signrawtransactionwithkey",
        category: Category::Rawtransactions,
        params: &[
            required("hexstring", Kind::Hex, "The transaction."),
            required("privkeys", Kind::Array, "Secret keys, 64 hexadecimal digits each."),
            optional(
                "prevtxs",
                Kind::Array,
                "Coins that the node does not know, or whose policy is more than one key: objects with txid, vout, \
                 amount and policy (hexadecimal).",
            ),
            optional("sighashtype", Kind::Text, "ALL: there is no other."),
        ],
        help: "Signs the inputs that these keys can open. A coin's policy is taken to be a single key unless prevtxs \
               reveals another.",
        handler: Handler::Now(sign_raw_transaction_with_key),
    },
];

#[derive(Deserialize)]
struct InputJson {
    txid: Txid,
    vout: u32,
    sequence: Option<u32>,
}

/// The outputs of `[{address: amount}, …]` or `{address: amount, …}`, in order.
fn outputs(call: &Call) -> Result<Vec<TxOut>, RpcError> {
    let raw = call.params.raw(1).expect("required").get();
    let wrong = |_| RpcError::new(Code::Type, "outputs must be an object, or an array of objects");
    let objects: Vec<BTreeMap<String, Box<RawValue>>> = if raw.starts_with('[') {
        serde_json::from_str(raw).map_err(wrong)?
    } else {
        vec![serde_json::from_str(raw).map_err(wrong)?]
    };
    let mut seen = BTreeMap::new();
    let mut outputs = Vec::new();
    for (text, amount) in objects.into_iter().flatten() {
        let lock = call.context.parse_address(&text)?.lock;
        if seen.insert(lock, ()).is_some() {
            return Err(RpcError::invalid(format!("Invalid parameter, duplicated address: {text}")));
        }
        let value = parse_coins(amount.get().trim_matches('"'))
            .map_err(|error| RpcError::new(Code::Type, error.to_string()))?;
        outputs.push(TxOut { value, lock });
    }
    Ok(outputs)
}

fn create_raw_transaction(call: &Call) -> Outcome {
    let given: Vec<InputJson> = call.params.required(0)?;
    let lock_time = number(call, 2, 0)?;
    let version = number(call, 4, 2)?;
    let replaceable = call.params.flag(3, true)?;
    let default = match (replaceable, lock_time) {
        (true, _) => SEQUENCE_REPLACEABLE,
        (false, 0) => SEQUENCE_FINAL,
        (false, _) => SEQUENCE_LOCK_TIME,
    };
    let input = |input: &InputJson| TxIn {
        prevout: OutPoint { txid: input.txid, vout: input.vout },
        sequence: input.sequence.unwrap_or(default),
    };
    let inputs: Vec<TxIn> = given.iter().map(input).collect();
    let signals = inputs.iter().any(|input| input.sequence <= SEQUENCE_REPLACEABLE);
    if call.params.raw(3).is_some() && replaceable && !inputs.is_empty() && !signals {
        return Err(RpcError::invalid(
            "Invalid parameter combination: Sequence number(s) contradict replaceable option",
        ));
    }
    let witnesses = vec![Witness::default(); inputs.len()];
    let data = TxData { version, inputs, outputs: outputs(call)?, lock_time, witnesses };
    answer(&hex::encode(Transaction::new(data).to_bytes()))
}

fn number(call: &Call, place: usize, default: u32) -> Result<u32, RpcError> {
    let given = call.params.integer_in(place, 0..=i64::from(u32::MAX))?;
    Ok(given.map_or(default, |number| u32::try_from(number).expect("the range was checked")))
}

fn combine_raw_transaction(call: &Call) -> Outcome {
    let texts: Vec<String> = call.params.required(0)?;
    let copies = texts.iter().map(|text| decode_hex(text)).collect::<Result<Vec<_>, _>>()?;
    let Some(first) = copies.first() else {
        return Err(RpcError::new(Code::Deserialization, "Missing transactions"));
    };
    if let Some(other) = copies.iter().find(|copy| copy.txid() != first.txid()) {
        let message = format!("not copies of one transaction: {} and {}", first.txid(), other.txid());
        return Err(RpcError::invalid(message));
    }
    let mut data = first.data().clone();
    for (place, witness) in data.witnesses.iter_mut().enumerate() {
        let signed = copies.iter().map(|copy| &copy.witnesses[place]).find(|witness| !witness.0.is_empty());
        *witness = signed.cloned().unwrap_or_default();
    }
    answer(&hex::encode(Transaction::new(data).to_bytes()))
}

/// A policy in JSON.
fn policy_json(policy: &Policy) -> Value {
    match policy {
        Policy::Key(key) => json!({ "type": "key", "pubkey": key.to_string() }),
        Policy::Threshold { required, keys } => json!({
            "type": "threshold",
            "required": required,
            "pubkeys": keys.iter().map(ToString::to_string).collect::<Vec<_>>(),
        }),
        Policy::After { lock_time, policy } => {
            json!({ "type": "after", "locktime": lock_time, "policy": policy_json(policy) })
        }
        Policy::Older { sequence, policy } => {
            json!({ "type": "older", "sequence": sequence, "policy": policy_json(policy) })
        }
        Policy::Hash { digest, policy } => {
            json!({ "type": "hash", "sha256": hex::encode(digest), "policy": policy_json(policy) })
        }
        Policy::Any(branches) => {
            let branch = |branch: &Branch| match branch {
                Branch::Revealed(policy) => policy_json(policy),
                Branch::Hidden(lock) => json!({ "type": "hidden", "lock": lock.to_string() }),
            };
            json!({ "type": "any", "branches": branches.iter().map(branch).collect::<Vec<_>>() })
        }
    }
}

/// One line: `after(100, key(02…))`.
fn policy_text(policy: &Policy) -> String {
    match policy {
        Policy::Key(key) => format!("key({key})"),
        Policy::Threshold { required, keys } => {
            let keys: Vec<String> = keys.iter().map(ToString::to_string).collect();
            format!("threshold({required}, {})", keys.join(", "))
        }
        Policy::After { lock_time, policy } => format!("after({lock_time}, {})", policy_text(policy)),
        Policy::Older { sequence, policy } => format!("older({sequence}, {})", policy_text(policy)),
        Policy::Hash { digest, policy } => format!("hash({}, {})", hex::encode(digest), policy_text(policy)),
        Policy::Any(branches) => {
            let text = |branch: &Branch| match branch {
                Branch::Revealed(policy) => policy_text(policy),
                Branch::Hidden(lock) => format!("lock({lock})"),
            };
            format!("any({})", branches.iter().map(text).collect::<Vec<_>>().join(", "))
        }
    }
}

fn parse_policy(text: &str) -> Result<Policy, RpcError> {
    let refuse = |error: &dyn std::fmt::Display| {
        RpcError::new(Code::Deserialization, format!("policy decode failed: {error}"))
    };
    let bytes = hex::decode(text).map_err(|error| refuse(&error))?;
    Policy::from_bytes(&bytes).map_err(|error| refuse(&error))
}

fn decode_script(call: &Call) -> Outcome {
    #[derive(Serialize)]
    struct Decoded {
        asm: String,
        desc: String,
        #[serde(rename = "type")]
        kind: &'static str,
        address: String,
        lock: String,
        max_witness_size: usize,
        policy: Value,
    }
    let policy = parse_policy(&call.params.text(0)?)?;
    let address = call.context.address(&policy.lock());
    answer(&Decoded {
        asm: policy_text(&policy),
        desc: format!("addr({address})"),
        kind: "policy",
        address,
        lock: policy.lock().to_string(),
        max_witness_size: policy.max_witness_size(),
        policy: policy_json(&policy),
    })
}

/// A coin as a caller describes it.
#[derive(Deserialize)]
struct PrevTx {
    txid: Txid,
    vout: u32,
    amount: Coins,
    #[serde(alias = "redeemScript", alias = "witnessScript")]
    policy: Option<String>,
    #[serde(rename = "scriptPubKey", alias = "lock")]
    lock: Option<String>,
}

/// What is known of a coin to be spent.
struct Known {
    output: TxOut,
    policy: Option<Policy>,
}

/// Finds the coins that `inputs` spend: in the mempool, then in the coin set.
pub(super) fn find_coins(context: &Context, inputs: &[TxIn]) -> Result<Vec<Option<TxOut>>, RpcError> {
    let wanted: Vec<OutPoint> = inputs.iter().map(|input| input.prevout).collect();
    let found = context.node.with_blocking(move |node, _| -> Result<Vec<_>, StoreError> {
        let find = |outpoint: &OutPoint| {
            if let Some(entry) = node.mempool().get(&outpoint.txid) {
                return Ok(entry.tx.outputs.get(outpoint.vout as usize).copied());
            }
            Ok(node.chain().coin(outpoint)?.map(|coin| coin.output))
        };
        wanted.iter().map(find).collect()
    })?;
    Ok(found?)
}

fn known_coins(call: &Call, tx: &TxData) -> Result<Vec<Option<Known>>, RpcError> {
    let mut told: BTreeMap<OutPoint, Known> = BTreeMap::new();
    for prev in call.params.optional::<Vec<PrevTx>>(2)?.unwrap_or_default() {
        let policy = prev.policy.as_deref().map(parse_policy).transpose()?;
        let lock: Lock = match (&policy, &prev.lock) {
            (Some(policy), _) => policy.lock(),
            (None, Some(lock)) => parse_hash("lock", lock)?,
            (None, None) => return Err(RpcError::invalid("prevtxs: policy or lock must be given")),
        };
        let output = TxOut { value: prev.amount.0, lock };
        told.insert(OutPoint { txid: prev.txid, vout: prev.vout }, Known { output, policy });
    }
    let found = find_coins(&call.context, &tx.inputs)?;
    let known = |(input, found): (&TxIn, Option<TxOut>)| {
        told.remove(&input.prevout).or_else(|| Some(Known { output: found?, policy: None }))
    };
    Ok(tx.inputs.iter().zip(found).map(known).collect())
}

/// `errors` of `signrawtransactionwith…`.
#[derive(Serialize)]
pub(super) struct SignError {
    txid: Txid,
    vout: u32,
    #[serde(rename = "scriptSig")]
    script_sig: &'static str,
    sequence: u32,
    error: String,
}

impl SignError {
    pub(super) fn new(input: &TxIn, error: impl Into<String>) -> Self {
        let (txid, vout) = (input.prevout.txid, input.prevout.vout);
        Self { txid, vout, script_sig: "", sequence: input.sequence, error: error.into() }
    }
}

/// What `signrawtransactionwith…` gives.
#[derive(Serialize)]
pub(super) struct Signed {
    pub(super) hex: String,
    pub(super) complete: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) errors: Vec<SignError>,
}

fn secrets(call: &Call) -> Result<Vec<[u8; 32]>, RpcError> {
    let texts: Vec<String> = call.params.required(1)?;
    if texts.len() > MAX_LIST {
        return Err(RpcError::invalid(format!("{} keys are over the limit of {MAX_LIST}", texts.len())));
    }
    let read = |text: &String| {
        let mut secret = [0; 32];
        match hex::decode_to_slice(text, &mut secret) {
            Ok(()) => Ok(secret),
            // the text itself is a secret, or nearly one
            Err(_) => Err(RpcError::not_found("Invalid private key: 64 hexadecimal digits are wanted")),
        }
    };
    texts.iter().map(read).collect()
}

fn sign_raw_transaction_with_key(call: &Call) -> Outcome {
    let tx = decode_hex(&call.params.text(0)?)?;
    let secrets = secrets(call)?;
    match call.params.optional::<String>(3)?.as_deref() {
        None | Some("ALL" | "DEFAULT") => {}
        Some(other) => return Err(RpcError::invalid(format!("'{other}' is not a valid sighash parameter."))),
    }
    let keys: BTreeMap<_, _> = secrets.iter().map(|secret| (public_key(secret), *secret)).collect();
    let coins = known_coins(call, tx.data())?;
    let single: BTreeMap<Lock, Policy> =
        keys.keys().map(|key| Policy::key(*key)).map(|policy| (policy.lock(), policy)).collect();
    let mut data = tx.data().clone();
    let mut errors = Vec::new();
    let outputs: Option<Vec<TxOut>> = coins.iter().map(|coin| Some(coin.as_ref()?.output)).collect();
    let Some(outputs) = outputs else {
        // one signature commits to what all inputs spend
        let unknown = data.inputs.iter().zip(&coins).filter(|(_, coin)| coin.is_none());
        errors.extend(unknown.map(|(input, _)| SignError::new(input, "Input not found or already spent")));
        return answer(&Signed { hex: hex::encode(tx.to_bytes()), complete: false, errors });
    };
    let genesis = call.context.params().genesis_hash();
    let sighash = SighashCache::new(&genesis, &data, &outputs).expect("one coin for each input");
    for (place, coin) in coins.iter().flatten().enumerate() {
        let message = sighash.sighash(place);
        let policy = coin.policy.as_ref().or_else(|| single.get(&coin.output.lock));
        let signed = policy.and_then(|policy| {
            let sign = |key: &_| keys.get(key).map(|secret| sign(secret, &message));
            Satisfier { tx: &data, input: place, sign: &sign, preimage: &|_| None }.satisfy(policy)
        });
        if let Some(witness) = signed {
            data.witnesses[place] = witness;
        }
        if !is_open(&data, place, coin.output, &sighash) {
            let why = "Unable to sign input, invalid signature or no key for it";
            errors.push(SignError::new(&data.inputs[place], why));
        }
    }
    let complete = errors.is_empty();
    answer(&Signed { hex: hex::encode(Transaction::new(data).to_bytes()), complete, errors })
}

/// Whether an input's witness opens its coin.
pub(super) fn is_open(tx: &TxData, place: usize, output: TxOut, sighash: &SighashCache) -> bool {
    // only the output counts for the witness
    let coin = Coin { output, height: 0, coinbase: false };
    check_witness(tx, place, &coin, sighash)
        .is_ok_and(|checks| !checks.is_empty() && checks.iter().all(verify_one))
}
