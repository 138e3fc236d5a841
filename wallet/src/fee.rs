//! Fee rates, exactly: no floating point.

use std::fmt;
use std::str::FromStr;

use tine_chain::amount::Amount;

/// A fee rate in thousandths of a base unit per byte, which is the same as base units per 1,000 bytes
/// (Core's sat/kvB). Written in base units per byte: `1.5`.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, serde::Serialize, serde::Deserialize,
)]
#[serde(try_from = "String", into = "String")]
pub struct FeeRate(pub u64);

impl FeeRate {
    /// What nodes relay at least: 1 base unit per byte.
    pub const MIN_RELAY: Self = Self(1_000);
    /// What a payment pays unless told otherwise: 2 base units per byte.
    pub const DEFAULT: Self = Self(2_000);
    /// The most that is believed to be meant: 10,000 base units per byte (Core: `maxfeerate` 0.10 BTC/kvB).
    pub const MAX: Self = Self(10_000_000);
    /// Dust is judged by this rate: 3 base units per byte (Core: `DUST_RELAY_TX_FEE`).
    pub const DUST: Self = Self(3_000);

    /// A rate of whole base units per byte.
    #[must_use]
    pub const fn per_byte(units: u64) -> Self {
        Self(units.saturating_mul(1_000))
    }

    /// The fee for `size` bytes, rounded up.
    #[must_use]
    pub fn fee(self, size: usize) -> Amount {
        Amount(self.0.saturating_mul(size as u64).div_ceil(1_000))
    }

    /// The rate that `fee` is over `size` bytes, rounded down.
    #[must_use]
    pub fn of(fee: Amount, size: usize) -> Self {
        let rate = u128::from(fee.0) * 1_000 / (size.max(1) as u128);
        Self(u64::try_from(rate).unwrap_or(u64::MAX))
    }
}

impl fmt::Display for FeeRate {
    /// Base units per byte, without needless zeros: `1.5`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!("{}.{:03}", self.0 / 1_000, self.0 % 1_000);
        f.pad(text.trim_end_matches('0').trim_end_matches('.'))
    }
}

/// Not a fee rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a fee rate is a decimal number of base units per byte with at most 3 decimals, such as 2 or 1.5")]
pub struct ParseFeeRateError;

impl FromStr for FeeRate {
    type Err = ParseFeeRateError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
        let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        if !digits(whole) || !digits(fraction) || fraction.len() > 3 {
            return Err(ParseFeeRateError);
        }
        let units: u64 = whole.parse().map_err(|_| ParseFeeRateError)?;
        let milli: u64 = format!("{fraction:0<3}").parse().expect("three digits fit");
        units.checked_mul(1_000).and_then(|rate| rate.checked_add(milli)).map(Self).ok_or(ParseFeeRateError)
    }
}

impl TryFrom<String> for FeeRate {
    type Error = ParseFeeRateError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<FeeRate> for String {
    fn from(rate: FeeRate) -> Self {
        rate.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_exact_or_refused() {
        for (text, rate) in [("2", 2_000), ("1.5", 1_500), ("0.001", 1), ("10000", 10_000_000)] {
            assert_eq!(text.parse(), Ok(FeeRate(rate)));
            assert_eq!(FeeRate(rate).to_string(), text);
        }
        for text in ["", ".", "1.", "-1", "1e3", "0.0001", "NaN", "18446744073709551615"] {
            assert_eq!(text.parse::<FeeRate>(), Err(ParseFeeRateError), "{text}");
        }
    }

    #[test]
    fn fees_round_up_and_rates_round_down() {
        assert_eq!(FeeRate(1_500).fee(3), Amount(5));
        assert_eq!(FeeRate::of(Amount(5), 3), FeeRate(1_666));
        assert_eq!(FeeRate::per_byte(2).fee(200), Amount(400));
        assert_eq!(FeeRate(u64::MAX).fee(usize::MAX), Amount(u64::MAX.div_ceil(1_000)));
    }
}
