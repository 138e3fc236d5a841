//! Transactions whose witnesses were found good when the mempool took them.

use std::sync::LazyLock;

use crate::codec::Encode;
use crate::coins::Coin;
use crate::hash::TaggedHash;
use crate::transaction::Transaction;

/// What a verdict about witnesses depends on, hashed: the transaction with its witnesses, and the amount and lock of each
/// coin it spends. Lock times and sequences are part of the transaction; maturity, finality and relative locks depend on
/// the block and are judged again in each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct SignatureKey([u8; 32]);

/// The hash that makes keys, its tag absorbed.
static KEY_HASH: LazyLock<TaggedHash> = LazyLock::new(|| TaggedHash::new("tine/signature-cache"));

impl SignatureKey {
    pub(super) fn new(transaction: &Transaction, spent: &[Coin]) -> Self {
        Self::of_coins(transaction, spent.iter())
    }

    pub(super) fn of_coins<'a>(transaction: &Transaction, spent: impl Iterator<Item = &'a Coin>) -> Self {
        let mut bytes = Vec::with_capacity(40 * transaction.inputs.len());
        spent.for_each(|coin| coin.output.encode(&mut bytes));
        Self(KEY_HASH.clone().chain(transaction.wtxid().0).chain(bytes).finish())
    }
}

/// A bounded set. When one half is full the other is forgotten, so the latest are always kept.
pub(super) struct SignatureCache {
    recent: foldhash::HashSet<SignatureKey>,
    older: foldhash::HashSet<SignatureKey>,
    half: usize,
}

impl SignatureCache {
    pub(super) fn new(entries: usize) -> Self {
        Self { recent: foldhash::HashSet::default(), older: foldhash::HashSet::default(), half: entries / 2 }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.recent.is_empty() && self.older.is_empty()
    }

    pub(super) fn contains(&self, key: &SignatureKey) -> bool {
        self.recent.contains(key) || self.older.contains(key)
    }

    pub(super) fn insert(&mut self, key: SignatureKey) {
        if self.half == 0 {
            return;
        }
        if self.recent.len() >= self.half {
            self.older = std::mem::take(&mut self.recent);
        }
        self.recent.insert(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cache_is_bounded_and_keeps_the_latest() {
        let mut cache = SignatureCache::new(10);
        for number in 0..100 {
            cache.insert(SignatureKey([number; 32]));
            assert!(cache.recent.len() + cache.older.len() <= 10);
            assert!(cache.contains(&SignatureKey([number; 32])));
        }
        assert!(!cache.contains(&SignatureKey([80; 32])));
        assert!(cache.contains(&SignatureKey([95; 32])));
    }
}
