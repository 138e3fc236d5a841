//! A signed payment, and how it came to be.

use std::fmt;
use std::sync::Arc;

use serde::{Serialize, Serializer};
use tine_chain::address::Address;
use tine_chain::amount::Amount;
use tine_chain::hash::{Txid, Wtxid};
use tine_chain::transaction::{OutPoint, Transaction};

use crate::balance::{amount_text, sum};
use crate::book::KeyRef;
use crate::fee::FeeRate;
use crate::keys::KeyPath;
use crate::sign::InputSignature;

/// A coin that a payment spends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PaymentInput {
    /// The coin.
    pub outpoint: OutPoint,
    /// Its amount.
    #[serde(serialize_with = "amount_text")]
    pub amount: Amount,
    /// The address that it was paid to.
    pub address: Address,
    /// Where its key is.
    pub path: KeyPath,
    /// How deep it lies; 0: our own change, in the mempool.
    pub confirmations: u32,
    /// The signing hash, in hexadecimal.
    #[serde(with = "hex::serde")]
    pub sighash: [u8; 32],
    /// Who signed it, and with what.
    pub signatures: Vec<InputSignature>,
}

/// An output that a payment makes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PaymentOutput {
    /// Its place.
    pub vout: u32,
    /// Whom it pays.
    pub address: Address,
    /// How much.
    #[serde(serialize_with = "amount_text")]
    pub amount: Amount,
    /// Our key, when the output is change.
    pub change: Option<KeyRef>,
}

/// A signed payment. Its coins are kept out of other payments until it is committed or cancelled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Payment {
    /// What to hand to a node.
    #[serde(rename = "hex", serialize_with = "transaction_hex")]
    pub transaction: Arc<Transaction>,
    /// Its id.
    pub txid: Txid,
    /// The id of the whole.
    pub wtxid: Wtxid,
    /// The coins spent, in order.
    pub inputs: Vec<PaymentInput>,
    /// All outputs, in order.
    pub outputs: Vec<PaymentOutput>,
    /// Inputs less outputs.
    #[serde(serialize_with = "amount_text")]
    pub fee: Amount,
    /// The rate that the fee comes to.
    pub fee_rate: FeeRate,
    /// Bytes, witnesses included.
    pub size: usize,
    /// The height after which it may be mined; 0: at once.
    pub lock_time: u32,
}

fn transaction_hex<S: Serializer>(transaction: &Transaction, serializer: S) -> Result<S::Ok, S::Error> {
    use tine_chain::codec::Encode;
    serializer.serialize_str(&hex::encode(transaction.to_bytes()))
}

impl Payment {
    /// The output that comes back to us, if there is one.
    #[must_use]
    pub fn change(&self) -> Option<&PaymentOutput> {
        self.outputs.iter().find(|output| output.change.is_some())
    }

    /// What others get.
    #[must_use]
    pub fn amount(&self) -> Amount {
        sum(self.outputs.iter().filter(|output| output.change.is_none()).map(|output| output.amount))
    }

    /// Everything about the payment, for a person to follow.
    #[must_use]
    pub fn explain(&self) -> Explanation<'_> {
        Explanation(self)
    }
}

/// Shows a payment step by step: inputs, outputs, change, fee, signing hashes, signatures, id.
#[derive(Debug, Clone, Copy)]
pub struct Explanation<'a>(&'a Payment);

impl fmt::Display for Explanation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let payment = self.0;
        for input in &payment.inputs {
            writeln!(f, "input    {:>17}  {}", input.amount, input.outpoint)?;
            let depth = match input.confirmations {
                0 => "own change, unconfirmed".to_owned(),
                1 => "1 confirmation".to_owned(),
                more => format!("{more} confirmations"),
            };
            writeln!(f, "         key {}, {depth}", input.path)?;
        }
        for output in &payment.outputs {
            let word = if output.change.is_some() { "change " } else { "pay    " };
            writeln!(f, "{word}  {:>17}  {}", output.amount, output.address)?;
        }
        let (rate, size) = (payment.fee_rate, payment.size);
        writeln!(f, "fee      {:>17}  {size} bytes at {rate} base units each", payment.fee)?;
        match payment.lock_time {
            0 => writeln!(f, "lock     none")?,
            height => writeln!(f, "lock     not before block {} (fee sniping does not pay)", height + 1)?,
        }
        for (index, input) in payment.inputs.iter().enumerate() {
            writeln!(f, "sighash  {}  input {index}", hex::encode(input.sighash))?;
            for signature in &input.signatures {
                writeln!(f, "key      {}", signature.public_key)?;
                writeln!(f, "signed   {}", hex::encode(signature.signature))?;
            }
        }
        writeln!(f, "txid     {}", payment.txid)?;
        write!(f, "wtxid    {}", payment.wtxid)
    }
}
