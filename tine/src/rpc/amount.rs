//! Amounts in JSON: exact decimal numbers of coins, never a floating-point value on the way.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;
use tine_chain::amount::{Amount, COIN};

/// An amount that is written as a JSON number of coins with 8 decimals, as Core does: `0.00001000`.
///
/// Reads a number, or a string that holds one, with an exponent if need be (Python writes `1e-08`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Coins(pub Amount);

/// A difference of amounts, in base units; written like [`Coins`], with a sign if it is negative.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct SignedCoins(pub i64);

impl From<Amount> for Coins {
    fn from(amount: Amount) -> Self {
        Self(amount)
    }
}

impl fmt::Display for SignedCoins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let units = self.0.unsigned_abs();
        write!(f, "{sign}{}.{:08}", units / COIN, units % COIN)
    }
}

fn number<S: Serializer>(text: String, serializer: S) -> Result<S::Ok, S::Error> {
    RawValue::from_string(text).expect("digits and a point are a JSON number").serialize(serializer)
}

impl Serialize for Coins {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        number(self.0.to_string(), serializer)
    }
}

impl Serialize for SignedCoins {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        number(self.to_string(), serializer)
    }
}

impl<'de> Deserialize<'de> for Coins {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        parse_coins(raw.get().trim_matches('"')).map(Self).map_err(serde::de::Error::custom)
    }
}

impl<'de> Deserialize<'de> for SignedCoins {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        let text = raw.get().trim_matches('"');
        let (sign, digits) = text.strip_prefix('-').map_or((1, text), |digits| (-1, digits));
        let amount = parse_coins(digits).map_err(serde::de::Error::custom)?;
        Ok(Self(sign * i64::try_from(amount.0).expect("at most all the money there can be")))
    }
}

/// Why a text is not an amount; the words are Core's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AmountError {
    /// Not a number, or finer than a base unit.
    #[error("Invalid amount")]
    Invalid,
    /// Negative, or more than all the money there can be.
    #[error("Amount out of range")]
    OutOfRange,
}

/// Reads a JSON number of coins, exactly (Core: `ParseFixedPoint` and `AmountFromValue`).
///
/// # Errors
/// See [`AmountError`]. An amount that is negative, even `-0`, is refused.
pub fn parse_coins(text: &str) -> Result<Amount, AmountError> {
    if let Some(rest) = text.strip_prefix('-') {
        parse_coins(rest)?;
        return Err(AmountError::OutOfRange);
    }
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, parse_exponent(exponent)?),
        None => (text, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, "0"));
    let are_digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !are_digits(whole) || !are_digits(fraction) || mantissa.len() > 64 {
        return Err(AmountError::Invalid);
    }
    // value = digits × 10^(exponent − decimals) coins = digits × 10^(8 + exponent − decimals) units
    let digits = format!("{whole}{fraction}");
    let significant = digits.trim_end_matches('0');
    let shift = 8 + exponent - fraction.len() as i32 + (digits.len() - significant.len()) as i32;
    let significant = significant.trim_start_matches('0');
    if significant.is_empty() {
        return Ok(Amount::ZERO);
    }
    let shift = u32::try_from(shift).map_err(|_| AmountError::Invalid)?;
    let units: u64 = significant.parse().map_err(|_| AmountError::OutOfRange)?;
    10u64
        .checked_pow(shift)
        .and_then(|power| units.checked_mul(power))
        .map(Amount)
        .filter(|amount| amount.in_range())
        .ok_or(AmountError::OutOfRange)
}

fn parse_exponent(text: &str) -> Result<i32, AmountError> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || digits.len() > 3 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(AmountError::Invalid);
    }
    text.parse().map_err(|_| AmountError::Invalid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rpc_12_amounts_are_exact_or_refused() {
        use AmountError::{Invalid, OutOfRange};
        for (text, expected) in [
            ("0", Ok(0)),
            ("0.00000001", Ok(1)),
            ("1e-8", Ok(1)),
            ("1e-08", Ok(1)),
            ("0.1e-7", Ok(1)),
            ("10E-9", Ok(1)),
            ("1E+2", Ok(10_000_000_000)),
            ("0.10000000000000", Ok(10_000_000)),
            ("20999999.99999999", Ok(2_099_999_999_999_999)),
            ("21000000", Ok(2_100_000_000_000_000)),
            ("0e999", Ok(0)),
            ("0.000000001", Err(Invalid)),
            ("1e-9", Err(Invalid)),
            ("NaN", Err(Invalid)),
            ("inf", Err(Invalid)),
            ("", Err(Invalid)),
            (".5", Err(Invalid)),
            ("1.", Err(Invalid)),
            ("1e", Err(Invalid)),
            ("0x10", Err(Invalid)),
            ("1e99999999999", Err(Invalid)),
            ("-0", Err(OutOfRange)),
            ("-1", Err(OutOfRange)),
            ("--1", Err(OutOfRange)),
            ("21000000.00000001", Err(OutOfRange)),
            ("9007199254740993", Err(OutOfRange)),
            ("18446744073709551616", Err(OutOfRange)),
            ("1e400", Err(OutOfRange)),
        ] {
            assert_eq!(parse_coins(text), expected.map(Amount), "{text}");
        }
    }

    #[test]
    fn rpc_12_amounts_are_written_as_they_are() {
        for units in [0, 1, 10_000_000, 2_099_999_999_999_999, 2_100_000_000_000_000] {
            let text = serde_json::to_string(&Coins(Amount(units))).unwrap();
            assert_eq!(text, Amount(units).to_string());
            assert_eq!(serde_json::from_str::<Coins>(&text).unwrap(), Coins(Amount(units)));
        }
        assert_eq!(serde_json::to_string(&SignedCoins(-1)).unwrap(), "-0.00000001");
        assert_eq!(serde_json::from_str::<SignedCoins>("-0.00000001").unwrap(), SignedCoins(-1));
    }
}
