//! Hash rates as people write them.

use std::fmt;
use std::str::FromStr;

/// Hashes a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(transparent)]
pub struct HashRate(pub u64);

/// A text that is not a hash rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a hash rate is a number and a unit, such as 200kH/s, 1.5MH/s or 5000H/s")]
pub struct ParseHashRateError;

/// Factor and unit, largest first.
const UNITS: [(u64, &str); 4] = [(1_000_000_000, "GH/s"), (1_000_000, "MH/s"), (1_000, "kH/s"), (1, "H/s")];

impl FromStr for HashRate {
    type Err = ParseHashRateError;

    /// Reads `200kH/s`, `200 kh/s`, `200k`, `1.5M`, `5000`: exactly, without floating point, at least 1 H/s.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim().to_ascii_lowercase();
        let text = text.strip_suffix("h/s").unwrap_or(&text).trim_end();
        let (number, factor) = match text.as_bytes().last().ok_or(ParseHashRateError)? {
            b'k' => (&text[..text.len() - 1], 1_000),
            b'm' => (&text[..text.len() - 1], 1_000_000),
            b'g' => (&text[..text.len() - 1], 1_000_000_000),
            _ => (text, 1u64),
        };
        let number = number.trim_end();
        let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
        let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        if !digits(whole) || !digits(fraction) || fraction.len() > 9 {
            return Err(ParseHashRateError);
        }
        let whole: u64 = whole.parse().map_err(|_| ParseHashRateError)?;
        let scale = 10u64.pow(u32::try_from(fraction.len()).expect("at most 9 digits"));
        let fraction: u64 = fraction.parse().map_err(|_| ParseHashRateError)?;
        whole
            .checked_mul(factor)
            .and_then(|rate| rate.checked_add(fraction * factor / scale))
            .filter(|&rate| rate > 0)
            .map(Self)
            .ok_or(ParseHashRateError)
    }
}

impl fmt::Display for HashRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (factor, unit) =
            UNITS.into_iter().find(|(factor, _)| self.0 >= *factor).unwrap_or(UNITS[UNITS.len() - 1]);
        if self.0.is_multiple_of(factor) {
            f.pad(&format!("{} {unit}", self.0 / factor))
        } else {
            f.pad(&format!("{:.1} {unit}", self.0 as f64 / factor as f64))
        }
    }
}

impl<'de> serde::Deserialize<'de> for HashRate {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_people_write_and_nothing_else() {
        for (text, rate) in [
            ("200kH/s", 200_000),
            ("200 kH/s", 200_000),
            ("50k", 50_000),
            ("1.5MH/s", 1_500_000),
            ("2GH/s", 2_000_000_000),
            ("5000", 5_000),
            ("7 H/s", 7),
        ] {
            assert_eq!(text.parse(), Ok(HashRate(rate)), "{text}");
        }
        for text in
            ["", "k", "-5k", "0", "0.4", "1e3", "5 kB/s", "1.k", ".5k", "99999999999999999999", "5 h/s/s"]
        {
            assert_eq!(text.parse::<HashRate>(), Err(ParseHashRateError), "{text}");
        }
    }

    #[test]
    fn is_shown_in_the_largest_unit_that_fits() {
        assert_eq!(HashRate(200_000).to_string(), "200 kH/s");
        assert_eq!(HashRate(1_540_000).to_string(), "1.5 MH/s");
        assert_eq!(HashRate(12).to_string(), "12 H/s");
    }
}
