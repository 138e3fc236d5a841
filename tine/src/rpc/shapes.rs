//! Shapes that several methods give: transactions and outputs as Core's JSON shows them.
//!
//! Ours have no scripts. Where Core shows one, the lock's 32 bytes stand in its `hex`, `type` is `lock`, and the
//! revealed policy and what satisfies it are the one item of `txinwitness`.

use serde::Serialize;
use tine_chain::amount::Amount;
use tine_chain::codec::{Encode, compact_size_len};
use tine_chain::coins::Coin;
use tine_chain::hash::{BlockHash, Lock, Txid, Wtxid};
use tine_chain::transaction::{OutPoint, Transaction, TxOut};

use super::amount::Coins;
use super::context::Context;

/// Core's weight of `size` bytes. We discount nothing, so that the virtual size that tools compute is the size.
pub(crate) fn weight(size: usize) -> usize {
    size * 4
}

/// Bytes of the encoding that are not in the txid.
pub(crate) fn witness_size(tx: &Transaction) -> usize {
    tx.witnesses.iter().map(|witness| compact_size_len(witness.0.len() as u64) + witness.0.len()).sum()
}

/// What an output asks for.
#[derive(Debug, Serialize)]
pub(crate) struct ScriptPubKey {
    asm: String,
    desc: String,
    hex: String,
    address: String,
    #[serde(rename = "type")]
    kind: &'static str,
}

impl ScriptPubKey {
    pub(crate) fn new(context: &Context, lock: &Lock) -> Self {
        let address = context.address(lock);
        let hex = lock.to_string();
        Self { asm: hex.clone(), desc: format!("addr({address})"), hex, address, kind: "lock" }
    }
}

#[derive(Debug, Default, Serialize)]
struct ScriptSig {
    asm: &'static str,
    hex: &'static str,
}

#[derive(Debug, Serialize)]
struct Prevout {
    generated: bool,
    height: u32,
    value: Coins,
    #[serde(rename = "scriptPubKey")]
    script_pub_key: ScriptPubKey,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum InputJson {
    Coinbase {
        coinbase: String,
        sequence: u32,
    },
    Spend {
        txid: Txid,
        vout: u32,
        #[serde(rename = "scriptSig")]
        script_sig: ScriptSig,
        txinwitness: [String; 1],
        #[serde(skip_serializing_if = "Option::is_none")]
        prevout: Option<Prevout>,
        sequence: u32,
    },
}

#[derive(Debug, Serialize)]
pub(crate) struct OutputJson {
    value: Coins,
    n: usize,
    #[serde(rename = "scriptPubKey")]
    script_pub_key: ScriptPubKey,
}

/// A transaction (Core: `TxToUniv`).
#[derive(Debug, Serialize)]
pub(crate) struct TransactionJson {
    txid: Txid,
    hash: Wtxid,
    version: u32,
    size: usize,
    vsize: usize,
    weight: usize,
    locktime: u32,
    vin: Vec<InputJson>,
    vout: Vec<OutputJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fee: Option<Coins>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hex: Option<String>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    place: Option<Place>,
}

/// Where a transaction is (the end of Core's `getrawtransaction`).
#[derive(Debug, Serialize)]
pub(crate) struct Place {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) in_active_chain: Option<bool>,
    pub(crate) blockhash: BlockHash,
    pub(crate) confirmations: i64,
    pub(crate) time: u32,
    pub(crate) blocktime: u32,
}

impl TransactionJson {
    pub(crate) fn new(context: &Context, tx: &Transaction) -> Self {
        let vin = (tx.inputs.iter().zip(&tx.witnesses))
            .map(|(input, witness)| match input.prevout {
                OutPoint::NULL => {
                    InputJson::Coinbase { coinbase: hex::encode(&witness.0), sequence: input.sequence }
                }
                prevout => InputJson::Spend {
                    txid: prevout.txid,
                    vout: prevout.vout,
                    script_sig: ScriptSig::default(),
                    txinwitness: [hex::encode(&witness.0)],
                    prevout: None,
                    sequence: input.sequence,
                },
            })
            .collect();
        Self {
            txid: tx.txid(),
            hash: tx.wtxid(),
            version: tx.version,
            size: tx.size(),
            vsize: tx.size(),
            weight: weight(tx.size()),
            locktime: tx.lock_time,
            vin,
            vout: outputs(context, &tx.outputs),
            fee: None,
            hex: None,
            place: None,
        }
    }

    /// Adds the whole transaction in hexadecimal digits.
    pub(crate) fn with_hex(mut self, tx: &Transaction) -> Self {
        self.hex = Some(hex::encode(tx.to_bytes()));
        self
    }

    /// Adds where it is.
    pub(crate) fn with_place(mut self, place: Place) -> Self {
        self.place = Some(place);
        self
    }

    /// Adds the fee, and if `prevouts` what each input spends; `spent` has one coin for each input.
    pub(crate) fn add_spent(
        &mut self,
        context: &Context,
        tx: &Transaction,
        spent: &[(OutPoint, Coin)],
        prevouts: bool,
    ) {
        let paid = spent.iter().try_fold(Amount::ZERO, |sum, (_, coin)| sum.checked_add(coin.output.value));
        let kept = tx.output_value();
        self.fee = paid.zip(kept).and_then(|(paid, kept)| paid.checked_sub(kept)).map(Coins);
        if !prevouts {
            return;
        }
        for (input, (_, coin)) in self.vin.iter_mut().zip(spent) {
            if let InputJson::Spend { prevout, .. } = input {
                *prevout = Some(Prevout {
                    generated: coin.coinbase,
                    height: coin.height,
                    value: coin.output.value.into(),
                    script_pub_key: ScriptPubKey::new(context, &coin.output.lock),
                });
            }
        }
    }
}

fn outputs(context: &Context, outputs: &[TxOut]) -> Vec<OutputJson> {
    (outputs.iter().enumerate())
        .map(|(n, output)| OutputJson {
            value: output.value.into(),
            n,
            script_pub_key: ScriptPubKey::new(context, &output.lock),
        })
        .collect()
}
