//! The write-back cache of coins: what was created and spent since the database was last written.
//!
//! A coin that is created and spent between two flushes never reaches the database.

use foldhash::HashMap;

use super::StoreError;
use crate::change::Change;
use crate::coins::Coin;
use crate::transaction::OutPoint;

/// What an entry takes in memory, in bytes: key 36, value 56, and the map's free room.
pub(super) const ENTRY_BYTES: usize = 192;

/// What is known of one outpoint.
#[derive(Debug, Clone, Copy)]
struct Entry {
    /// The coin; `None`: spent.
    coin: Option<Coin>,
    /// Differs from the database.
    dirty: bool,
    /// The database has never had it: when it is spent, there is nothing to delete.
    fresh: bool,
}

/// The cache.
#[derive(Debug, Default)]
pub(super) struct CoinCache {
    // its order is never seen: lists are sorted before they leave
    entries: HashMap<OutPoint, Entry>,
    dirty: usize,
}

impl CoinCache {
    /// What is known of `outpoint`: a coin, that it is spent, or nothing.
    pub(super) fn get(&self, outpoint: &OutPoint) -> Option<Option<Coin>> {
        self.entries.get(outpoint).map(|entry| entry.coin)
    }

    /// Bytes taken, about.
    pub(super) fn bytes(&self) -> usize {
        self.entries.len() * ENTRY_BYTES
    }

    /// Bytes that only a flush gives back, about.
    pub(super) fn dirty_bytes(&self) -> usize {
        self.dirty * ENTRY_BYTES
    }

    /// Refuses a change that contradicts what is known, before anything of it is applied.
    ///
    /// # Errors
    /// A coin that is spent twice, or that would overwrite an unspent one: a bug above us.
    pub(super) fn check(&self, change: &Change) -> Result<(), StoreError> {
        let spent_again = change.spent.iter().find(|(outpoint, _)| self.get(outpoint) == Some(None));
        if let Some((outpoint, _)) = spent_again {
            return Err(StoreError::Corrupt {
                what: format!("the coin set, where {outpoint} is spent twice"),
            });
        }
        // A transaction that is on both branches of a reorganisation makes its coins anew, at another height.
        let replaces = !change.disconnected.is_empty();
        let overwritten = change.created.iter().find(|(outpoint, _)| {
            !replaces && matches!(self.get(outpoint), Some(Some(_))) && !is_spent(change, outpoint)
        });
        match overwritten {
            Some((outpoint, _)) => {
                Err(StoreError::Corrupt { what: format!("the coin set, where {outpoint} is made twice") })
            }
            None => Ok(()),
        }
    }

    /// Whether nothing is in it.
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Adds a coin. `fresh`: the database is known not to have it.
    pub(super) fn create(&mut self, outpoint: OutPoint, coin: Coin, fresh: bool) {
        let entry = self.entries.entry(outpoint).or_insert(Entry { coin: None, dirty: false, fresh });
        self.dirty += usize::from(!entry.dirty);
        entry.coin = Some(coin);
        entry.dirty = true;
    }

    /// Removes a coin.
    pub(super) fn spend(&mut self, outpoint: OutPoint) {
        let entry = self.entries.entry(outpoint).or_insert(Entry { coin: None, dirty: false, fresh: false });
        if entry.fresh {
            self.dirty -= usize::from(entry.dirty);
            self.entries.remove(&outpoint);
            return;
        }
        self.dirty += usize::from(!entry.dirty);
        entry.coin = None;
        entry.dirty = true;
    }

    /// Every outpoint whose entry differs from the database, in order.
    pub(super) fn dirty(&self) -> Vec<OutPoint> {
        let mut dirty: Vec<OutPoint> =
            self.entries.iter().filter(|(_, entry)| entry.dirty).map(|(outpoint, _)| *outpoint).collect();
        dirty.sort_unstable();
        dirty
    }

    /// What must be written for `outpoint`: a coin, `Some(None)` to delete it, `None` when there is nothing to do.
    pub(super) fn unwritten(&self, outpoint: &OutPoint) -> Option<Option<Coin>> {
        self.entries.get(outpoint).filter(|entry| entry.dirty).map(|entry| entry.coin)
    }

    /// Notes that the database now says the same of `outpoint`.
    pub(super) fn written(&mut self, outpoint: &OutPoint) {
        let Some(entry) = self.entries.get_mut(outpoint) else { return };
        self.dirty -= usize::from(entry.dirty);
        entry.dirty = false;
        entry.fresh = false;
        if entry.coin.is_none() {
            self.entries.remove(outpoint);
        }
    }

    /// Forgets what the database knows as well.
    pub(super) fn evict_clean(&mut self) {
        if self.dirty < self.entries.len() {
            self.entries.retain(|_, entry| entry.dirty);
            self.entries.shrink_to(self.dirty * 2);
        }
    }
}

fn is_spent(change: &Change, outpoint: &OutPoint) -> bool {
    change.spent.iter().any(|(spent, _)| spent == outpoint)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::amount::Amount;
    use crate::hash::{Lock, Txid};
    use crate::transaction::TxOut;

    fn outpoint(byte: u8) -> OutPoint {
        OutPoint { txid: Txid([byte; 32]), vout: 0 }
    }

    fn coin(value: u64) -> Coin {
        Coin { output: TxOut { value: Amount(value), lock: Lock([1; 32]) }, height: 1, coinbase: false }
    }

    #[test]
    fn a_coin_created_and_spent_in_memory_leaves_nothing_to_write() {
        let mut cache = CoinCache::default();
        cache.create(outpoint(1), coin(5), true);
        assert_eq!(cache.get(&outpoint(1)), Some(Some(coin(5))));
        cache.spend(outpoint(1));
        assert_eq!(cache.get(&outpoint(1)), None);
        assert_eq!((cache.bytes(), cache.dirty_bytes()), (0, 0));
    }

    #[test]
    fn a_coin_that_the_database_may_have_is_deleted_there() {
        let mut cache = CoinCache::default();
        cache.create(outpoint(1), coin(5), false);
        cache.create(outpoint(2), coin(6), true);
        cache.written(&outpoint(2));
        assert_eq!(cache.dirty(), [outpoint(1)]);
        cache.spend(outpoint(1));
        cache.spend(outpoint(2));
        cache.spend(outpoint(3));
        assert_eq!(cache.dirty(), [outpoint(1), outpoint(2), outpoint(3)]);
        assert_eq!(cache.unwritten(&outpoint(2)), Some(None));
        for byte in 1..=3 {
            cache.written(&outpoint(byte));
        }
        assert_eq!(cache.bytes(), 0);
    }

    #[test]
    fn utx_04_a_coin_made_or_spent_twice_is_refused_and_the_cache_unchanged() {
        let mut cache = CoinCache::default();
        cache.create(outpoint(1), coin(5), true);
        cache.spend(outpoint(2));
        let twice = Change { created: vec![(outpoint(1), coin(6))], ..Change::default() };
        assert!(cache.check(&twice).is_err());
        let again = Change { spent: vec![(outpoint(2), coin(5))], ..Change::default() };
        assert!(cache.check(&again).is_err());
        assert_eq!(cache.get(&outpoint(1)), Some(Some(coin(5))));
        assert_eq!(cache.dirty_bytes(), 2 * ENTRY_BYTES);
        let both = Change {
            created: vec![(outpoint(1), coin(6))],
            spent: vec![(outpoint(1), coin(5))],
            ..Change::default()
        };
        assert!(cache.check(&both).is_ok());
    }

    #[test]
    fn only_clean_entries_are_evicted() {
        let mut cache = CoinCache::default();
        cache.create(outpoint(1), coin(5), true);
        cache.create(outpoint(2), coin(6), true);
        cache.written(&outpoint(1));
        cache.evict_clean();
        assert_eq!(cache.get(&outpoint(1)), None);
        assert_eq!(cache.get(&outpoint(2)), Some(Some(coin(6))));
    }
}
