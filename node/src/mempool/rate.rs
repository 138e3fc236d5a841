//! Fee rates: compared as fractions, never rounded.

use std::cmp::Ordering;

use tine_chain::amount::Amount;

/// A fee for a number of bytes. Two rates are equal when their fractions are: 1 for 2 bytes is 2 for 4.
#[derive(Debug, Clone, Copy)]
pub struct FeeRate {
    /// Base units.
    pub fee: Amount,
    /// Bytes, more than 0.
    pub size: u64,
}

impl FeeRate {
    /// A rate in base units for 1,000 bytes.
    #[must_use]
    pub const fn per_kilobyte(units: u64) -> Self {
        Self { fee: Amount(units), size: 1_000 }
    }

    /// Base units for 1,000 bytes, rounded down.
    #[must_use]
    pub fn units_per_kilobyte(self) -> u64 {
        let units = u128::from(self.fee.0) * 1_000 / u128::from(self.size.max(1));
        u64::try_from(units).unwrap_or(u64::MAX)
    }

    /// What `size` bytes cost at this rate, rounded up.
    #[must_use]
    pub fn fee_for(self, size: u64) -> Amount {
        let fee = (u128::from(self.fee.0) * u128::from(size)).div_ceil(u128::from(self.size.max(1)));
        Amount(u64::try_from(fee).unwrap_or(u64::MAX))
    }
}

impl Ord for FeeRate {
    fn cmp(&self, other: &Self) -> Ordering {
        // a/b against c/d is a·d against c·b
        let left = u128::from(self.fee.0) * u128::from(other.size);
        let right = u128::from(other.fee.0) * u128::from(self.size);
        left.cmp(&right)
    }
}

impl PartialOrd for FeeRate {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for FeeRate {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for FeeRate {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_fractions() {
        let rate = |fee, size| FeeRate { fee: Amount(fee), size };
        assert_eq!(rate(1, 2), rate(2, 4));
        assert!(rate(1, 3) < rate(1, 2));
        assert!(rate(u64::MAX, 1) > rate(u64::MAX - 1, 1));
        assert_eq!(FeeRate::per_kilobyte(1_000).fee_for(1), Amount(1));
        assert_eq!(FeeRate::per_kilobyte(1).fee_for(1), Amount(1));
        assert_eq!(rate(3, 2).units_per_kilobyte(), 1_500);
    }
}
