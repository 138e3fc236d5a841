//! Coins: what a transaction makes and another spends.

use std::collections::BTreeMap;

use super::wire::{Hash, OutPoint, Transaction};

/// 21,000,000 coins of 10^8 units.
pub(super) const MAX_MONEY: u64 = 21_000_000 * 100_000_000;

#[derive(Debug, Clone, Copy)]
pub(super) struct Coin {
    pub(super) value: u64,
    pub(super) lock: Hash,
    pub(super) height: u32,
    pub(super) coinbase: bool,
}

pub(super) type Coins = BTreeMap<OutPoint, Coin>;

impl Coin {
    /// output 40 ‖ height × 2 + coinbase as u32.
    pub(super) fn encoding(&self) -> [u8; 44] {
        let mut bytes = [0; 44];
        bytes[..8].copy_from_slice(&self.value.to_le_bytes());
        bytes[8..40].copy_from_slice(&self.lock);
        bytes[40..].copy_from_slice(&(self.height * 2 + u32::from(self.coinbase)).to_le_bytes());
        bytes
    }

    pub(super) fn parse(bytes: &[u8; 44]) -> Self {
        let code = u32::from_le_bytes(bytes[40..].try_into().expect("four bytes"));
        Self {
            value: u64::from_le_bytes(bytes[..8].try_into().expect("eight bytes")),
            lock: bytes[8..40].try_into().expect("thirty-two bytes"),
            height: code / 2,
            coinbase: code % 2 == 1,
        }
    }
}

/// The sum, if it can exist.
pub(super) fn sum(values: impl IntoIterator<Item = u64>) -> Option<u64> {
    values.into_iter().try_fold(0u64, |sum, value| sum.checked_add(value).filter(|&sum| sum <= MAX_MONEY))
}

/// The outputs of a transaction become coins.
pub(super) fn create(coins: &mut Coins, transaction: &Transaction, height: u32) {
    let coinbase = transaction.is_coinbase();
    for (index, &(value, lock)) in transaction.outputs.iter().enumerate() {
        coins.insert(transaction.outpoint(index), Coin { value, lock, height, coinbase });
    }
}

/// What a valid body does to the coins.
pub(super) fn replay(coins: &mut Coins, body: &[Transaction], height: u32) {
    for transaction in body {
        for (outpoint, _) in transaction.inputs.iter().filter(|_| !transaction.is_coinbase()) {
            coins.remove(outpoint);
        }
        create(coins, transaction, height);
    }
}
