//! Rules for transactions, by themselves and with the coins they spend.

use crate::amount::Amount;
use crate::coins::Coin;
use crate::hash::BlockHash;
use crate::params::Params;
use crate::reject::Reject;
use crate::sighash::SighashCache;
use crate::signature::SignatureCheck;
use crate::transaction::{MAX_TRANSACTION_SIZE, OutPoint, Transaction, TxData, TxIn};
use crate::witness::check_witness;

/// The fewest and the most bytes of a coinbase's witness.
const COINBASE_WITNESS_BYTES: std::ops::RangeInclusive<usize> = 1..=100;

/// Up to this many inputs, comparing each with each is faster than hashing.
const FEW_INPUTS: usize = 8;

/// The rules that need nothing but the transaction (Core: `CheckTransaction`).
///
/// # Errors
/// The first rule that is broken.
pub fn check_transaction(transaction: &Transaction) -> Result<(), Reject> {
    // Core: "Basic checks that don't depend on any context"
    if transaction.inputs.is_empty() {
        return Err(Reject::NoInputs);
    }
    if transaction.outputs.is_empty() {
        return Err(Reject::NoOutputs);
    }
    // "transaction ≤ 400,000 bytes"
    if transaction.size() > MAX_TRANSACTION_SIZE {
        return Err(Reject::TxTooLarge);
    }
    // "one witness for each input"
    if transaction.witnesses.len() != transaction.inputs.len() {
        return Err(Reject::WitnessCount);
    }
    check_outputs(transaction)?;
    // Core, CVE-2018-17144: "Check for duplicate inputs"
    if has_duplicates(&transaction.inputs) {
        return Err(Reject::DuplicateInputs);
    }
    if transaction.is_coinbase() {
        // "its witness is 1 to 100 free bytes (tag, extranonce)"
        if !COINBASE_WITNESS_BYTES.contains(&transaction.witnesses[0].0.len()) {
            return Err(Reject::CoinbaseLength);
        }
    } else {
        // only a coinbase's one input may point at nothing
        if transaction.inputs.iter().any(|input| input.prevout == OutPoint::NULL) {
            return Err(Reject::NullPrevout);
        }
    }
    Ok(())
}

fn check_outputs(transaction: &TxData) -> Result<(), Reject> {
    // "at most 21,000,000 coins ever"; u64 has no negative amounts: the top bit is far over the limit
    if transaction.outputs.iter().any(|output| !output.value.in_range()) {
        return Err(Reject::OutputTooLarge);
    }
    // "every sum checked" (CVE-2010-5139)
    if transaction.output_value().is_none() {
        return Err(Reject::OutputTotalTooLarge);
    }
    Ok(())
}

fn has_duplicates(inputs: &[TxIn]) -> bool {
    if inputs.len() <= FEW_INPUTS {
        return inputs
            .iter()
            .enumerate()
            .any(|(place, input)| inputs[..place].iter().any(|earlier| earlier.prevout == input.prevout));
    }
    let mut seen = foldhash::HashSet::with_capacity_and_hasher(inputs.len(), Default::default());
    !inputs.iter().all(|input| seen.insert(input.prevout))
}

/// The rules about the coins that a transaction spends in a block at `height` (Core: `Consensus::CheckTxInputs`).
/// Returns the fee.
///
/// `spent` has the coin of each input, in order. Locks are not opened here: see [`check_witnesses`].
///
/// # Errors
/// The first rule that is broken.
///
/// # Panics
/// When there are not as many coins as inputs: a transaction must never be judged with the wrong ones.
pub fn check_inputs(
    transaction: &TxData,
    spent: &[Coin],
    height: u32,
    params: &Params,
) -> Result<Amount, Reject> {
    assert_eq!(spent.len(), transaction.inputs.len(), "a caller hands in one coin for each input");
    // "matures after 100 blocks (10 on devnet)"
    let young = |coin: &Coin| coin.coinbase && height.saturating_sub(coin.height) < params.coinbase_maturity;
    if spent.iter().any(young) {
        return Err(Reject::PrematureSpend);
    }
    let total = spent.iter().try_fold(Amount::ZERO, |sum, coin| sum.checked_add(coin.output.value));
    // "every sum checked"
    let Some(total) = total else {
        return Err(Reject::InputValuesOutOfRange);
    };
    let paid = transaction.output_value().ok_or(Reject::OutputTotalTooLarge)?;
    // no transaction makes money; what it leaves over is its fee
    let Some(fee) = total.checked_sub(paid) else {
        return Err(Reject::InBelowOut);
    };
    Ok(fee)
}

/// Opens the lock of every coin that a transaction spends, all but the curve arithmetic: the signatures that are returned
/// must verify. Depends on the transaction and on the outputs spent, and on nothing else.
///
/// `spent` has the coin of each input, in order; `genesis` names the network.
///
/// # Errors
/// The first rule that a witness breaks.
pub fn check_witnesses(
    transaction: &TxData,
    spent: &[Coin],
    genesis: &BlockHash,
) -> Result<Vec<SignatureCheck>, Reject> {
    let outputs: Vec<_> = spent.iter().map(|coin| coin.output).collect();
    let sighash = SighashCache::new(genesis, transaction, &outputs).map_err(|_| Reject::WitnessCount)?;
    let mut checks = Vec::with_capacity(spent.len());
    for (input, coin) in spent.iter().enumerate() {
        checks.extend(check_witness(transaction, input, coin, &sighash)?);
    }
    Ok(checks)
}
