//! Finality and relative locks: when a transaction may be mined.

use crate::coins::Coin;
use crate::policy::{SEQUENCE_LOCK_DISABLED, SEQUENCE_LOCK_MASK, SEQUENCE_LOCK_SECONDS};
use crate::reject::Reject;
use crate::transaction::{LOCK_TIME_THRESHOLD, SEQUENCE_FINAL, TxData};

/// A relative lock of time counts in units of 2^9 = 512 seconds (BIP 68: `SEQUENCE_LOCKTIME_GRANULARITY`).
const SEQUENCE_LOCK_GRANULARITY: u32 = 9;

/// Whether a transaction may be in a block of `height` whose parent has `median_time_past`
/// (Core: `IsFinalTx`; BIP 113 for the time).
#[must_use]
pub fn is_final(transaction: &TxData, height: u32, median_time_past: u32) -> bool {
    let limit = if transaction.lock_time < LOCK_TIME_THRESHOLD { height } else { median_time_past };
    transaction.lock_time == 0
        || transaction.lock_time < limit
        || transaction.inputs.iter().all(|input| input.sequence == SEQUENCE_FINAL)
}

/// [`is_final`], as a rule.
///
/// # Errors
/// [`Reject::NonFinal`].
pub fn check_final(transaction: &TxData, height: u32, median_time_past: u32) -> Result<(), Reject> {
    // BIP 113: "the median time-past of the last 11 blocks [is used] instead of the block's timestamp"
    if !is_final(transaction, height, median_time_past) {
        return Err(Reject::NonFinal);
    }
    Ok(())
}

/// Relative locks (BIP 68; Core: `CalculateSequenceLocks`, `EvaluateSequenceLocks`), for a block of `height` whose
/// parent has `median_time_past`. `median_at` tells the median time past of the block at a height on that chain.
///
/// `spent` has the coin of each input, in order.
///
/// # Errors
/// [`Reject::SequenceLock`].
pub fn check_sequence_locks(
    transaction: &TxData,
    spent: &[Coin],
    height: u32,
    median_time_past: u32,
    median_at: &dyn Fn(u32) -> u32,
) -> Result<(), Reject> {
    // BIP 68: "only … for transactions with version 2 or higher"
    if transaction.version < 2 {
        return Ok(());
    }
    let met = transaction.inputs.iter().zip(spent).all(|(input, coin)| {
        if input.sequence & SEQUENCE_LOCK_DISABLED != 0 {
            return true;
        }
        let number = input.sequence & SEQUENCE_LOCK_MASK;
        if input.sequence & SEQUENCE_LOCK_SECONDS != 0 {
            // BIP 68: "the mediantime of the block prior" to the one that made the coin
            let made = u64::from(median_at(coin.height.saturating_sub(1)));
            u64::from(median_time_past) >= made + (u64::from(number) << SEQUENCE_LOCK_GRANULARITY)
        } else {
            u64::from(height) >= u64::from(coin.height) + u64::from(number)
        }
    });
    // BIP 68: a transaction is not valid in a block before each of its inputs is as old as its sequence demands
    if !met {
        return Err(Reject::SequenceLock);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::amount::Amount;
    use crate::hash::{Lock, Txid};
    use crate::transaction::{OutPoint, TxIn, TxOut, Witness};

    fn transaction(lock_time: u32, sequence: u32) -> TxData {
        TxData {
            version: 2,
            inputs: vec![TxIn { prevout: OutPoint { txid: Txid([1; 32]), vout: 0 }, sequence }],
            outputs: vec![],
            lock_time,
            witnesses: vec![Witness::default()],
        }
    }

    #[test]
    fn tx_13_finality_at_the_boundaries_of_height_time_and_sequence() {
        let threshold = LOCK_TIME_THRESHOLD;
        for (lock_time, sequence, height, median, expected) in [
            (0, 0, 1, 0, true),
            (9, 0, 10, 0, true),
            (10, 0, 10, u32::MAX, false),
            (10, SEQUENCE_FINAL, 10, 0, true),
            (10, SEQUENCE_FINAL - 1, 10, 0, false),
            (threshold - 1, 0, threshold, 0, true),
            (threshold - 1, 0, threshold - 1, u32::MAX, false),
            (threshold, 0, u32::MAX, threshold, false),
            (threshold, 0, 0, threshold + 1, true),
        ] {
            let transaction = transaction(lock_time, sequence);
            assert_eq!(
                is_final(&transaction, height, median),
                expected,
                "{lock_time} {sequence} {height} {median}"
            );
        }
    }

    #[test]
    fn tx_16_relative_locks_are_met_exactly_at_their_age() {
        let coin =
            Coin { output: TxOut { value: Amount(1), lock: Lock::ZERO }, height: 100, coinbase: false };
        let median_at = |height: u32| 1_000 + height;
        let time = SEQUENCE_LOCK_SECONDS;
        for (version, sequence, height, median, expected) in [
            (2, 5, 104, 0, false),
            (2, 5, 105, 0, true),
            (1, 5, 101, 0, true),
            (2, SEQUENCE_LOCK_DISABLED | 5, 101, 0, true),
            // the coin's block came after the block at 99, whose median time is 1,099
            (2, time | 1, 101, 1_099 + 511, false),
            (2, time | 1, 101, 1_099 + 512, true),
            (2, time | 0xffff, 101, 1_099 + 0xffff * 512 - 1, false),
            (2, time | 0xffff, 101, 1_099 + 0xffff * 512, true),
            // bits that BIP 68 gives no meaning to are ignored
            (2, 0x003f_0000, 100, 0, true),
        ] {
            let transaction = TxData { version, ..transaction(0, sequence) };
            let verdict = check_sequence_locks(&transaction, &[coin], height, median, &median_at);
            assert_eq!(verdict.is_ok(), expected, "{version} {sequence:x} {height} {median}");
        }
    }
}
