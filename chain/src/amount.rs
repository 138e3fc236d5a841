//! Amounts of money: whole base units, every sum checked.

use std::fmt;
use std::str::FromStr;

use crate::codec::{Decode, DecodeError, Encode, Reader};

/// Base units in one coin: 10^8, as in Bitcoin.
pub const COIN: u64 = 100_000_000;

/// The most that can ever exist: 21,000,000 coins (Core: `MAX_MONEY`).
pub const MAX_MONEY: Amount = Amount(21_000_000 * COIN);

/// A number of base units, 10^-8 of a coin each.
///
/// Holds any `u64`, since that is what the wire can say; rules ask [`Amount::in_range`] before they sum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Amount(pub u64);

impl Amount {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// Whether the amount can exist: at most [`MAX_MONEY`] (Core: `MoneyRange`).
    #[must_use]
    pub fn in_range(self) -> bool {
        self <= MAX_MONEY
    }

    /// The sum, or `None` when it is over [`MAX_MONEY`].
    #[must_use]
    pub fn checked_add(self, other: Self) -> Option<Self> {
        self.0.checked_add(other.0).map(Self).filter(|sum| sum.in_range())
    }

    /// The difference, or `None` when it is negative.
    #[must_use]
    pub fn checked_sub(self, other: Self) -> Option<Self> {
        self.0.checked_sub(other.0).map(Self)
    }
}

impl fmt::Display for Amount {
    /// Coins with 8 decimals, as Core prints them: `0.00001000`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}.{:08}", self.0 / COIN, self.0 % COIN))
    }
}

/// Why a text is not an amount.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ParseAmountError {
    /// Not of the form `12` or `12.5`.
    #[error("an amount must be a decimal number of coins such as 12 or 0.5")]
    NotANumber,
    /// Finer than a base unit.
    #[error("an amount has at most 8 decimals")]
    TooPrecise,
    /// More than can ever exist.
    #[error("an amount is at most 21000000 coins")]
    TooLarge,
}

impl FromStr for Amount {
    type Err = ParseAmountError;

    /// Reads coins, exactly: no sign, no exponent, at most 8 decimals, no floating point anywhere.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
        let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        if !digits(whole) || !digits(fraction) {
            return Err(ParseAmountError::NotANumber);
        }
        if fraction.len() > 8 {
            return Err(ParseAmountError::TooPrecise);
        }
        let coins: u64 = whole.parse().map_err(|_| ParseAmountError::TooLarge)?;
        let units: u64 = format!("{fraction:0<8}").parse().expect("eight digits fit");
        coins
            .checked_mul(COIN)
            .and_then(|base| base.checked_add(units))
            .map(Self)
            .filter(|amount| amount.in_range())
            .ok_or(ParseAmountError::TooLarge)
    }
}

impl Encode for Amount {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.0.to_le_bytes());
    }
}

impl Decode for Amount {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        reader.u64().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rpc_12_text_is_exact_or_refused() {
        assert_eq!("0.00000001".parse(), Ok(Amount(1)));
        assert_eq!("21000000".parse(), Ok(MAX_MONEY));
        assert_eq!("12.5".parse::<Amount>().unwrap().to_string(), "12.50000000");
        for (text, error) in [
            ("0.000000001", ParseAmountError::TooPrecise),
            ("1e-9", ParseAmountError::NotANumber),
            ("NaN", ParseAmountError::NotANumber),
            ("-0", ParseAmountError::NotANumber),
            ("", ParseAmountError::NotANumber),
            (".5", ParseAmountError::NotANumber),
            ("21000000.00000001", ParseAmountError::TooLarge),
            ("99999999999999999999", ParseAmountError::TooLarge),
        ] {
            assert_eq!(text.parse::<Amount>(), Err(error), "{text}");
        }
    }

    #[test]
    fn sums_stop_at_all_the_money_there_can_be() {
        assert_eq!(MAX_MONEY.checked_add(Amount(1)), None);
        assert_eq!(Amount(u64::MAX).checked_add(Amount(1)), None);
        assert_eq!(Amount(1).checked_sub(Amount(2)), None);
    }
}
