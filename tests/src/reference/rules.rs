//! The rules for bodies and transactions: SPEC §9, in its order.

use std::collections::BTreeSet;

use super::money::{self, Coin, Coins, MAX_MONEY};
use super::policy::{self, Signature};
use super::wire::{self, Header, NULL, Transaction};
use super::{Network, Reason, work};

const MAX_BLOCK: usize = 4_000_000;
const MAX_TRANSACTION: usize = 400_000;
const HEIGHTS_END: u32 = 500_000_000;
const MISSING: Reason = "bad-txns-inputs-missingorspent";

/// What needs nothing but the block.
pub(super) fn check_body(header: &Header, body: &[Transaction], size: usize) -> Result<(), Reason> {
    if body.is_empty() || size > MAX_BLOCK {
        return Err("bad-blk-length");
    }
    let leaves: Vec<_> = body.iter().map(|transaction| transaction.wtxid).collect();
    let (root, mutated) = wire::merkle(&leaves);
    if root != header.root {
        return Err("bad-txnmrklroot");
    }
    if mutated {
        return Err("bad-txns-duplicate");
    }
    if !body[0].is_coinbase() {
        return Err("bad-cb-missing");
    }
    if body[1..].iter().any(Transaction::is_coinbase) {
        return Err("bad-cb-multiple");
    }
    body.iter().try_for_each(check_transaction)
}

/// What needs nothing but the transaction.
fn check_transaction(transaction: &Transaction) -> Result<(), Reason> {
    let values = || transaction.outputs.iter().map(|&(value, _)| value);
    let outpoints: BTreeSet<_> = transaction.inputs.iter().map(|(outpoint, _)| outpoint).collect();
    if transaction.inputs.is_empty() {
        return Err("bad-txns-vin-empty");
    }
    if transaction.outputs.is_empty() {
        return Err("bad-txns-vout-empty");
    }
    if transaction.size > MAX_TRANSACTION {
        return Err("bad-txns-oversize");
    }
    if values().any(|value| value > MAX_MONEY) {
        return Err("bad-txns-vout-toolarge");
    }
    if money::sum(values()).is_none() {
        return Err("bad-txns-txouttotal-toolarge");
    }
    if outpoints.len() < transaction.inputs.len() {
        return Err("bad-txns-inputs-duplicate");
    }
    if transaction.is_coinbase() {
        if !(1..=100).contains(&transaction.witnesses[0].len()) {
            return Err("bad-cb-length");
        }
    } else if outpoints.contains(&NULL) {
        return Err("bad-txns-prevout-null");
    }
    Ok(())
}

/// What needs the block's place and no coins.
pub(super) fn check_place(body: &[Transaction], height: u32, median_time: u32) -> Result<(), Reason> {
    if body.iter().any(|transaction| !is_final(transaction, height, median_time)) {
        return Err("bad-txns-nonfinal");
    }
    if body[0].lock_time != height - 1 || body[0].inputs[0].1 == 0xffff_ffff {
        return Err("bad-cb-height");
    }
    Ok(())
}

fn is_final(transaction: &Transaction, height: u32, median_time: u32) -> bool {
    let limit = if transaction.lock_time < HEIGHTS_END { height } else { median_time };
    transaction.lock_time == 0
        || transaction.lock_time < limit
        || transaction.inputs.iter().all(|&(_, sequence)| sequence == 0xffff_ffff)
}

/// What needs the coins, for a body after `chain`. Returns the coins after it.
pub(super) fn connect(
    network: &Network,
    chain: &[&Header],
    body: &[Transaction],
    mut coins: Coins,
) -> Result<Coins, Reason> {
    let height = u32::try_from(chain.len()).expect("short chains");
    let mut fees = 0;
    let mut signatures = Vec::new();
    for transaction in &body[1..] {
        let spent = transaction
            .inputs
            .iter()
            .map(|(outpoint, _)| coins.remove(outpoint).ok_or(MISSING))
            .collect::<Result<Vec<_>, _>>()?;
        let fee = check_coins(network, chain, transaction, &spent)?;
        fees = money::sum([fees, fee]).ok_or("bad-txns-accumulated-fee-outofrange")?;
        signatures.extend(open_all(chain, transaction, &spent)?);
        money::create(&mut coins, transaction, height);
    }
    let subsidy = 5_000_000_000u64.checked_shr(height / network.halving).unwrap_or(0);
    let allowed = money::sum([subsidy, fees]);
    let paid = money::sum(body[0].outputs.iter().map(|&(value, _)| value)).expect("checked");
    if allowed.is_none_or(|allowed| paid > allowed) {
        return Err("bad-cb-amount");
    }
    if !signatures.iter().all(Signature::verify) {
        return Err("bad-witness-signature");
    }
    money::create(&mut coins, &body[0], height);
    Ok(coins)
}

/// Maturity, values and relative locks, in the block after `chain`. Returns the fee.
fn check_coins(
    network: &Network,
    chain: &[&Header],
    transaction: &Transaction,
    spent: &[Coin],
) -> Result<u64, Reason> {
    let height = chain.len() as u64;
    if spent.iter().any(|coin| coin.coinbase && height < u64::from(coin.height) + u64::from(network.maturity))
    {
        return Err("bad-txns-premature-spend-of-coinbase");
    }
    let received =
        money::sum(spent.iter().map(|coin| coin.value)).ok_or("bad-txns-inputvalues-outofrange")?;
    let paid = money::sum(transaction.outputs.iter().map(|&(value, _)| value)).expect("checked");
    let fee = received.checked_sub(paid).ok_or("bad-txns-in-belowout")?;
    let late_enough = transaction.inputs.iter().zip(spent).all(|(&(_, sequence), coin)| {
        let number = u64::from(sequence & 0xffff);
        if transaction.version < 2 || sequence >= 0x8000_0000 {
            true
        } else if sequence & 0x0040_0000 == 0 {
            height >= u64::from(coin.height) + number
        } else {
            // the block before the one that made the coin
            let before = &chain[..(coin.height as usize).max(1)];
            u64::from(work::median_time(chain)) >= u64::from(work::median_time(before)) + 512 * number
        }
    });
    if late_enough { Ok(fee) } else { Err("bad-txns-sequence-lock") }
}

fn open_all(chain: &[&Header], transaction: &Transaction, spent: &[Coin]) -> Result<Vec<Signature>, Reason> {
    let mut signatures = Vec::new();
    for index in 0..spent.len() {
        signatures.extend(policy::open(&chain[0].hash, transaction, spent, index)?);
    }
    Ok(signatures)
}

/// A transaction by itself, as if in the block after `chain`; what time will heal has names of its own.
pub(super) fn check_loose(
    network: &Network,
    chain: &[&Header],
    transaction: &Transaction,
    coins: &Coins,
) -> Result<(), Reason> {
    check_transaction(transaction)?;
    if transaction.is_coinbase() {
        return Err("coinbase");
    }
    let spent = transaction
        .inputs
        .iter()
        .map(|(outpoint, _)| coins.get(outpoint).copied().ok_or("missing-inputs"))
        .collect::<Result<Vec<_>, _>>()?;
    if !is_final(transaction, u32::try_from(chain.len()).expect("short chains"), work::median_time(chain)) {
        return Err("non-final");
    }
    check_coins(network, chain, transaction, &spent).map_err(|reason| match reason {
        "bad-txns-premature-spend-of-coinbase" => "premature-spend-of-coinbase",
        "bad-txns-sequence-lock" => "non-BIP68-final",
        other => other,
    })?;
    let signatures = open_all(chain, transaction, &spent)?;
    if signatures.iter().all(Signature::verify) { Ok(()) } else { Err("bad-witness-signature") }
}
