//! Which coins to spend.
//!
//! Branch and bound (bdk_coin_select) looks for the set that costs least now and later: the fee of the transaction,
//! and the fee of spending its change one day. The measure is our own and in integers: the one that comes with the
//! library computes in `f32`, which can't hold amounts over 16,777,216 base units exactly. When the search ends
//! without a result, the largest coins are taken until they are enough. Coins that cost more to spend than they are
//! worth are left alone, unless their owner chose them.

use bdk_coin_select::float::Ordf32;
use bdk_coin_select::{BnbMetric, Candidate, CoinSelector};
use tine_chain::amount::Amount;
use tine_chain::codec::compact_size_len;
use tine_chain::transaction::{MAX_TRANSACTION_SIZE, OutPoint};

use crate::balance::sum;
use crate::error::WalletError;
use crate::fee::FeeRate;

/// Bytes of an output: value 8, lock 32.
pub const OUTPUT_SIZE: usize = 40;
/// Bytes of an input without its witness: outpoint 36, sequence 4.
const INPUT_SIZE: usize = 40;
/// The longest witness of one key: policy 33, signature 64.
pub(crate) const KEY_WITNESS_SIZE: usize = 33 + 64;
/// How much the search may look at, in branches times coins, before the fallback: some tens of milliseconds.
const MAX_WORK: usize = 100_000;
/// The search looks at this many of the largest coins: the library's time grows with the square of equal ones.
const MAX_POOL: usize = 200;

/// The least that an output may hold: what it costs to make and to spend it at 3 base units per byte (Core:
/// `GetDustThreshold`).
pub const DUST_THRESHOLD: Amount = Amount(3 * (OUTPUT_SIZE + input_size(KEY_WITNESS_SIZE)) as u64);

/// Bytes of an input with a witness of `witness` bytes (under 253).
#[must_use]
pub const fn input_size(witness: usize) -> usize {
    INPUT_SIZE + 1 + witness
}

/// A coin that may be spent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spendable {
    /// Its name.
    pub outpoint: OutPoint,
    /// Its amount.
    pub value: Amount,
    /// Bytes of the input that spends it, witness included.
    pub input_size: usize,
}

/// What the coins are for.
#[derive(Debug, Clone, Copy)]
pub struct Purpose {
    /// The sum of the payments.
    pub amount: Amount,
    /// How many outputs they take.
    pub outputs: usize,
    /// What to pay for each byte.
    pub fee_rate: FeeRate,
    /// Bytes of the input that will spend the change.
    pub change_input_size: usize,
}

/// The coins chosen, and what is left over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection {
    /// Places in the list of candidates, rising.
    pub chosen: Vec<usize>,
    /// What comes back; `None` when it would be dust.
    pub change: Option<Amount>,
    /// Inputs less payments less change.
    pub fee: Amount,
    /// Bytes of the signed transaction.
    pub size: usize,
}

impl Purpose {
    /// Bytes of a transaction with these inputs.
    fn size(&self, inputs: usize, input_bytes: usize, change: bool) -> usize {
        let outputs = self.outputs + usize::from(change);
        8 + compact_size_len(inputs as u64)
            + input_bytes
            + compact_size_len(outputs as u64)
            + outputs * OUTPUT_SIZE
    }

    /// How `value` in these inputs is divided, `None` when it is not enough.
    fn divide(&self, inputs: usize, input_bytes: usize, value: Amount) -> Option<Division> {
        let plain = self.size(inputs, input_bytes, false);
        let spare = value.checked_sub(self.amount)?;
        if spare < self.fee_rate.fee(plain) {
            return None;
        }
        let with_change = self.size(inputs, input_bytes, true);
        let fee = self.fee_rate.fee(with_change);
        // "dust change goes to fee"
        Some(match spare.checked_sub(fee).filter(|change| *change >= DUST_THRESHOLD) {
            Some(change) => Division { fee, change: Some(change), size: with_change },
            None => Division { fee: spare, change: None, size: plain },
        })
    }
}

/// A transaction's money, divided.
struct Division {
    fee: Amount,
    change: Option<Amount>,
    size: usize,
}

/// Number, bytes and value of the selected coins.
fn totals(selector: &CoinSelector<'_>, sizes: &[usize]) -> (usize, usize, Amount) {
    selector.selected().fold((0, 0, Amount::ZERO), |(count, bytes, value), (index, candidate)| {
        (count + 1, bytes + sizes[index], sum([value, Amount(candidate.value)]))
    })
}

/// The measure: what the selection costs now and later, in base units.
struct LowestCost<'a> {
    purpose: Purpose,
    sizes: &'a [usize],
    least_size: usize,
}

impl LowestCost<'_> {
    /// Costs are thousands of base units, which `f32` holds exactly; a rounded larger one only ranks less finely.
    fn score(cost: Amount) -> Ordf32 {
        Ordf32(cost.0 as f32)
    }
}

impl BnbMetric for LowestCost<'_> {
    fn score(&mut self, selector: &CoinSelector<'_>) -> Option<Ordf32> {
        let (count, bytes, value) = totals(selector, self.sizes);
        let division = self.purpose.divide(count, bytes, value)?;
        let later = match division.change {
            Some(_) => self.purpose.fee_rate.fee(self.purpose.change_input_size),
            None => Amount::ZERO,
        };
        Some(Self::score(sum([division.fee, later])))
    }

    /// No selection that contains this one costs less than the fee for its inputs and for as many more as the
    /// largest of the remaining coins need to be enough.
    fn bound(&mut self, selector: &CoinSelector<'_>) -> Option<Ordf32> {
        let (mut count, mut bytes, mut value) = totals(selector, self.sizes);
        let mut rest = selector.unselected();
        loop {
            let fee = self.purpose.fee_rate.fee(self.purpose.size(count, bytes, false));
            if value >= sum([self.purpose.amount, fee]) {
                return Some(Self::score(fee));
            }
            // the candidates stand in falling order of value
            let (_, candidate) = rest.next()?;
            count += 1;
            bytes += self.least_size;
            value = sum([value, Amount(candidate.value)]);
        }
    }
}

/// Chooses among `candidates`; the result does not depend on their order.
///
/// # Errors
/// [`WalletError::InsufficientFunds`], [`WalletError::TooLarge`].
pub fn select(candidates: &[Spendable], purpose: Purpose) -> Result<Selection, WalletError> {
    let mut order: Vec<usize> = (0..candidates.len())
        // a coin that costs more than it is worth would only make it worse
        .filter(|index| candidates[*index].value > purpose.fee_rate.fee(candidates[*index].input_size))
        .collect();
    order.sort_by_key(|index| (std::cmp::Reverse(candidates[*index].value), candidates[*index].outpoint));
    let pool: Vec<Candidate> = order
        .iter()
        .take(MAX_POOL)
        .map(|index| Candidate {
            value: candidates[*index].value.0,
            weight: candidates[*index].input_size as u64 * 4,
            input_count: 1,
            is_segwit: false,
        })
        .collect();
    let sizes: Vec<usize> = order.iter().map(|index| candidates[*index].input_size).collect();
    let least_size = sizes.iter().copied().min().unwrap_or(0);
    let mut selector = CoinSelector::new(&pool);
    let metric = LowestCost { purpose, sizes: &sizes, least_size };
    let mut chosen: Vec<usize> = match selector.run_bnb(metric, MAX_WORK / pool.len().max(1)) {
        Ok(_) => selector.selected_indices().iter().map(|place| order[*place]).collect(),
        Err(_) => largest_first(candidates, &order, purpose)?,
    };
    chosen.sort_unstable();
    finish(candidates, chosen, purpose)
}

/// As many of `order` as are enough.
fn largest_first(
    candidates: &[Spendable],
    order: &[usize],
    purpose: Purpose,
) -> Result<Vec<usize>, WalletError> {
    let (mut bytes, mut value) = (0, Amount::ZERO);
    for (count, index) in (1..).zip(order) {
        bytes += candidates[*index].input_size;
        value = sum([value, candidates[*index].value]);
        if purpose.divide(count, bytes, value).is_some() {
            return Ok(order[..count].to_vec());
        }
    }
    Err(insufficient(candidates, purpose))
}

/// Spends all of `candidates`: their owner has chosen them.
///
/// # Errors
/// [`WalletError::InsufficientFunds`], [`WalletError::TooLarge`].
pub fn select_all(candidates: &[Spendable], purpose: Purpose) -> Result<Selection, WalletError> {
    finish(candidates, (0..candidates.len()).collect(), purpose)
}

fn finish(candidates: &[Spendable], chosen: Vec<usize>, purpose: Purpose) -> Result<Selection, WalletError> {
    let bytes = chosen.iter().map(|index| candidates[*index].input_size).sum();
    let value = sum(chosen.iter().map(|index| candidates[*index].value));
    let division =
        purpose.divide(chosen.len(), bytes, value).ok_or_else(|| insufficient(candidates, purpose))?;
    if division.size > MAX_TRANSACTION_SIZE {
        return Err(WalletError::TooLarge { size: division.size, max: MAX_TRANSACTION_SIZE });
    }
    Ok(Selection { chosen, change: division.change, fee: division.fee, size: division.size })
}

/// The fee named is that of spending everything there is: even that is not enough.
fn insufficient(candidates: &[Spendable], purpose: Purpose) -> WalletError {
    let bytes = candidates.iter().map(|coin| coin.input_size).sum();
    let fee = purpose.fee_rate.fee(purpose.size(candidates.len(), bytes, false));
    WalletError::InsufficientFunds {
        needed: sum([purpose.amount, fee]),
        fee,
        available: sum(candidates.iter().map(|coin| coin.value)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tine_chain::hash::Txid;

    use super::*;

    fn coin(number: u32, value: u64) -> Spendable {
        Spendable {
            outpoint: OutPoint { txid: Txid([7; 32]), vout: number },
            value: Amount(value),
            input_size: input_size(KEY_WITNESS_SIZE),
        }
    }

    fn coins(values: &[u64]) -> Vec<Spendable> {
        (0..).zip(values).map(|(number, value)| coin(number, *value)).collect()
    }

    fn purpose(amount: u64, rate: u64) -> Purpose {
        Purpose {
            amount: Amount(amount),
            outputs: 1,
            fee_rate: FeeRate(rate),
            change_input_size: input_size(KEY_WITNESS_SIZE),
        }
    }

    #[test]
    fn an_exact_match_leaves_no_change() {
        // one input of 138, one output of 40, 10 around them: 188 bytes at 2
        let pool = coins(&[5_000_000_000, 1_000_000_376, 700_000_000, 999_999_999]);
        let selection = select(&pool, purpose(1_000_000_000, 2_000)).unwrap();
        assert_eq!(selection, Selection { chosen: vec![1], change: None, fee: Amount(376), size: 188 });
    }

    #[test]
    fn wal_11_dust_change_goes_to_the_fee() {
        let least = 1_000_000_000 + 376;
        let with_change = least + 80 + DUST_THRESHOLD.0;
        let spent = |value| select(&coins(&[value]), purpose(1_000_000_000, 2_000)).unwrap();
        assert_eq!(spent(with_change - 1).change, None);
        assert_eq!(spent(with_change - 1).fee, Amount(376 + 80 + DUST_THRESHOLD.0 - 1));
        assert_eq!(spent(with_change).change, Some(DUST_THRESHOLD));
        assert_eq!(spent(with_change).fee, Amount(456));
    }

    #[test]
    fn wal_11_one_unit_short_is_refused_with_the_numbers() {
        let pool = coins(&[600, 1_000_000_000 + 375]);
        let error = select(&pool[1..], purpose(1_000_000_000, 2_000)).unwrap_err();
        assert!(matches!(
            error,
            WalletError::InsufficientFunds {
                needed: Amount(1_000_000_376),
                fee: Amount(376),
                available: Amount(1_000_000_375)
            }
        ));
        // the coin of 600 brings 600 − 276 more
        assert_eq!(select(&pool, purpose(1_000_000_000, 2_000)).unwrap().chosen, [0, 1]);
        assert!(select(&[], purpose(1, 1_000)).is_err());
    }

    #[test]
    fn a_coin_that_costs_more_than_it_is_worth_is_left_alone_unless_chosen() {
        let pool = coins(&[100, 10_000]);
        assert_eq!(select(&pool, purpose(5_000, 2_000)).unwrap().chosen, [1]);
        assert_eq!(select_all(&pool, purpose(5_000, 2_000)).unwrap().chosen, [0, 1]);
    }

    #[test]
    fn amounts_that_floating_point_can_not_hold_are_exact() {
        let all = tine_chain::amount::MAX_MONEY.0;
        let pool = coins(&[all - 1_000_001, 500_000, 500_001]);
        let selection = select(&pool, purpose(all - 1_000_001, 1_000)).unwrap();
        let inputs: u64 = selection.chosen.iter().map(|index| pool[*index].value.0).sum();
        assert_eq!(
            inputs,
            all - 1_000_001 + selection.fee.0 + selection.change.unwrap_or_default().0,
            "not a unit is lost"
        );
    }

    #[test]
    fn more_inputs_than_a_transaction_may_have_are_refused() {
        let pool = coins(&vec![1_000; 3_000]);
        assert!(matches!(select(&pool, purpose(2_550_000, 1_000)), Err(WalletError::TooLarge { .. })));
        assert_eq!(select(&pool, purpose(2_360_000, 1_000)).unwrap().chosen.len(), 2_738);
        assert!(matches!(select_all(&pool, purpose(1, 1_000)), Err(WalletError::TooLarge { .. })));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(100))]

        #[test]
        fn wal_11_sums_are_exact_and_no_coin_is_used_twice(
            values in prop::collection::vec(1u64..20_000_000_000, 0..40),
            amount in 1u64..60_000_000_000,
            rate in 1_000u64..300_000,
            outputs in 1usize..5,
        ) {
            let pool = coins(&values);
            let purpose = Purpose { outputs, ..purpose(amount, rate) };
            let effective: u64 = pool.iter()
                .map(|coin| coin.value.0.saturating_sub(FeeRate(rate).fee(coin.input_size).0))
                .sum();
            match select(&pool, purpose) {
                Ok(selection) => {
                    prop_assert!(selection.chosen.is_sorted_by(|a, b| a < b));
                    let inputs: u64 = selection.chosen.iter().map(|index| values[*index]).sum();
                    let change = selection.change.unwrap_or_default();
                    prop_assert_eq!(inputs, amount + change.0 + selection.fee.0);
                    prop_assert!(selection.fee >= FeeRate(rate).fee(selection.size));
                    prop_assert!(selection.change.is_none_or(|change| change >= DUST_THRESHOLD));
                    let most = FeeRate(rate).fee(selection.size + OUTPUT_SIZE).0 + DUST_THRESHOLD.0;
                    prop_assert!(selection.fee.0 <= most, "no more than dust is given away");
                    let mut reversed = pool.clone();
                    reversed.reverse();
                    let again = select(&reversed, purpose).unwrap();
                    let names = |pool: &[Spendable], selection: &Selection| {
                        let mut names: Vec<_> =
                            selection.chosen.iter().map(|index| pool[*index].outpoint).collect();
                        names.sort_unstable();
                        names
                    };
                    prop_assert_eq!(names(&pool, &selection), names(&reversed, &again));
                }
                Err(WalletError::InsufficientFunds { .. }) => {
                    // even all coins together, each less what it costs, don't cover the rest of the transaction
                    let rest = FeeRate(rate).fee(10 + outputs * OUTPUT_SIZE).0;
                    prop_assert!(effective <= amount + rest + pool.len() as u64);
                }
                Err(error) => prop_assert!(false, "{error}"),
            }
        }
    }
}
