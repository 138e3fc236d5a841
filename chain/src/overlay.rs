//! Coins as they would be after blocks that are not committed yet: differences to what the store has.
//!
//! Nothing is undone here. A switch that fails drops its overlay. When there are too many differences for memory, some
//! are spilled to the store's scratch, which a restart throws away; those in memory are the newer ones.

use crate::coins::{Coin, CoinDelta};
use crate::store::{Store, StoreError};
use crate::transaction::OutPoint;

/// A map for look-ups only: its order is never seen.
pub(crate) type FoldMap<K, V> = foldhash::HashMap<K, V>;

/// What became of outpoints, in no order.
pub(crate) type Deltas = FoldMap<OutPoint, CoinDelta>;

/// What one entry takes in memory, in bytes, about: key 36, coins 112, and the map's free room.
pub(crate) const ENTRY_BYTES: usize = 192;

/// What an overlay knows of an outpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Known {
    /// It is unspent.
    Coin(Coin),
    /// It is not there.
    Spent,
    /// As in the store.
    Unchanged,
}

/// What the coins of a whole switch amount to, in the order of outpoints.
#[derive(Debug, Default)]
pub(crate) struct Net {
    /// See [`crate::change::Change::created`].
    pub(crate) created: Vec<(OutPoint, Coin)>,
    /// See [`crate::change::Change::spent`].
    pub(crate) spent: Vec<(OutPoint, Coin)>,
}

/// Coins that differ from the store's.
#[derive(Debug, Default)]
pub(crate) struct Overlay {
    deltas: Deltas,
    /// Whether the store's scratch holds more of them.
    spilled: bool,
}

/// A coin was spent that is not there, or made where one is: the store's blocks and coins do not fit each other.
pub(crate) fn inconsistent(outpoint: &OutPoint) -> StoreError {
    StoreError::Corrupt { what: format!("the coin set (at {outpoint})") }
}

impl Overlay {
    fn delta(&self, store: &dyn Store, outpoint: &OutPoint) -> Result<Option<CoinDelta>, StoreError> {
        match self.deltas.get(outpoint) {
            Some(delta) => Ok(Some(*delta)),
            None if self.spilled => store.spilled(outpoint),
            None => Ok(None),
        }
    }

    /// What is at `outpoint`.
    pub(crate) fn get(&self, store: &dyn Store, outpoint: &OutPoint) -> Result<Known, StoreError> {
        Ok(match self.delta(store, outpoint)? {
            Some(CoinDelta { now: Some(coin), .. }) => Known::Coin(coin),
            Some(CoinDelta { now: None, .. }) => Known::Spent,
            None => Known::Unchanged,
        })
    }

    /// Adds what a block did, which was judged on this overlay.
    pub(crate) fn apply(&mut self, store: &dyn Store, deltas: Deltas) -> Result<(), StoreError> {
        if self.deltas.is_empty() && !self.spilled {
            self.deltas = deltas;
            return Ok(());
        }
        for (outpoint, CoinDelta { before, now }) in deltas {
            before.map_or(Ok(()), |coin| self.spend(store, outpoint, coin))?;
            now.map_or(Ok(()), |coin| self.create(store, outpoint, coin))?;
        }
        Ok(())
    }

    /// How many differences are in memory.
    pub(crate) fn len(&self) -> usize {
        self.deltas.len()
    }

    /// Whether the store's scratch holds some.
    pub(crate) fn is_spilled(&self) -> bool {
        self.spilled
    }

    /// Takes away `coin`, which is there.
    pub(crate) fn spend(
        &mut self,
        store: &dyn Store,
        outpoint: OutPoint,
        coin: Coin,
    ) -> Result<(), StoreError> {
        let delta = match self.delta(store, &outpoint)? {
            None => CoinDelta { before: Some(coin), now: None },
            Some(delta) if delta.now == Some(coin) => CoinDelta { now: None, ..delta },
            Some(_) => return Err(inconsistent(&outpoint)),
        };
        self.set(outpoint, delta);
        Ok(())
    }

    /// Puts `coin` where none is.
    pub(crate) fn create(
        &mut self,
        store: &dyn Store,
        outpoint: OutPoint,
        coin: Coin,
    ) -> Result<(), StoreError> {
        let delta = match self.delta(store, &outpoint)? {
            None => CoinDelta { before: None, now: Some(coin) },
            Some(delta) if delta.now.is_none() => CoinDelta { now: Some(coin), ..delta },
            Some(_) => return Err(inconsistent(&outpoint)),
        };
        self.set(outpoint, delta);
        Ok(())
    }

    /// What is as it was before needs no entry, unless the scratch has another one.
    fn set(&mut self, outpoint: OutPoint, delta: CoinDelta) {
        if delta.is_nothing() && !self.spilled {
            self.deltas.remove(&outpoint);
        } else {
            self.deltas.insert(outpoint, delta);
        }
    }

    /// Takes at most `max` differences out of memory, in the order of outpoints: from now on the scratch has them.
    pub(crate) fn spill(&mut self, max: usize) -> Vec<(OutPoint, CoinDelta)> {
        self.spilled = true;
        let mut outpoints: Vec<OutPoint> = self.deltas.keys().take(max).copied().collect();
        outpoints.sort_unstable();
        let delta = |outpoint| (outpoint, self.deltas.remove(&outpoint).expect("just listed"));
        outpoints.into_iter().map(delta).collect()
    }

    /// The sum of everything, when nothing was spilled.
    pub(crate) fn into_net(self) -> Net {
        let room = self.deltas.len();
        let mut net = Net { created: Vec::with_capacity(room), spent: Vec::with_capacity(room / 2) };
        for (outpoint, delta) in self.deltas {
            net.spent.extend(delta.before.map(|coin| (outpoint, coin)));
            net.created.extend(delta.now.map(|coin| (outpoint, coin)));
        }
        sort(&mut net.created);
        sort(&mut net.spent);
        net
    }
}

/// Puts coins in the order of outpoints. Ids are as good as random: their first bytes and the output's place decide almost
/// always. These are compared as numbers, and only they are moved until the order is known.
fn sort(coins: &mut [(OutPoint, Coin)]) {
    let prefix =
        |outpoint: &OutPoint| u64::from_be_bytes(*outpoint.txid.0.first_chunk().expect("an id has 32 bytes"));
    coins.sort_by_cached_key(|(outpoint, _)| (prefix(outpoint), outpoint.vout));
    if !coins.is_sorted_by_key(|(outpoint, _)| *outpoint) {
        // two ids that begin alike
        coins.sort_unstable_by_key(|(outpoint, _)| *outpoint);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::amount::Amount;
    use crate::hash::{Lock, Txid};
    use crate::store::MemoryStore;
    use crate::transaction::TxOut;

    const PLACE: OutPoint = OutPoint { txid: Txid([7; 32]), vout: 1 };

    fn coin(height: u32) -> Coin {
        Coin { output: TxOut { value: Amount(5), lock: Lock::ZERO }, height, coinbase: false }
    }

    fn known(overlay: &Overlay) -> Known {
        overlay.get(&MemoryStore::new(), &PLACE).expect("memory")
    }

    #[test]
    fn a_coin_made_and_spent_leaves_nothing() {
        let (mut overlay, store) = (Overlay::default(), MemoryStore::new());
        overlay.create(&store, PLACE, coin(1)).expect("nothing there");
        assert_eq!(known(&overlay), Known::Coin(coin(1)));
        overlay.spend(&store, PLACE, coin(1)).expect("there");
        assert_eq!((known(&overlay), overlay.len()), (Known::Unchanged, 0));
    }

    #[test]
    fn a_coin_spent_and_restored_leaves_nothing() {
        let (mut overlay, store) = (Overlay::default(), MemoryStore::new());
        overlay.spend(&store, PLACE, coin(1)).expect("the store has it");
        assert_eq!(known(&overlay), Known::Spent);
        overlay.create(&store, PLACE, coin(1)).expect("spent");
        assert_eq!(overlay.len(), 0);
    }

    #[test]
    fn a_coin_that_comes_back_at_another_height_is_spent_and_created() {
        let (mut overlay, store) = (Overlay::default(), MemoryStore::new());
        overlay.spend(&store, PLACE, coin(1)).expect("the store has it");
        overlay.create(&store, PLACE, coin(2)).expect("spent");
        let net = overlay.into_net();
        assert_eq!((net.spent, net.created), (vec![(PLACE, coin(1))], vec![(PLACE, coin(2))]));
    }

    #[test]
    fn utx_04_an_unspent_coin_is_never_overwritten_and_an_absent_one_never_spent() {
        let (mut overlay, store) = (Overlay::default(), MemoryStore::new());
        overlay.create(&store, PLACE, coin(1)).expect("nothing there");
        assert!(overlay.create(&store, PLACE, coin(2)).is_err());
        assert_eq!(known(&overlay), Known::Coin(coin(1)));
        assert!(overlay.spend(&store, PLACE, coin(2)).is_err());
        assert_eq!(known(&overlay), Known::Coin(coin(1)));
    }

    #[test]
    fn what_is_left_is_in_the_order_of_outpoints_also_where_ids_begin_alike() {
        let (mut overlay, store) = (Overlay::default(), MemoryStore::new());
        let place = |number: u8| {
            let mut txid = [number % 3; 32];
            txid[31] = number / 3;
            OutPoint { txid: Txid(txid), vout: u32::from(number % 5) }
        };
        let mut places: Vec<OutPoint> = (0..60).map(place).collect();
        for place in &places {
            overlay.create(&store, *place, coin(1)).expect("nothing there");
        }
        places.sort_unstable();
        let created: Vec<OutPoint> = overlay.into_net().created.into_iter().map(|(place, _)| place).collect();
        assert_eq!(created, places);
    }

    #[test]
    fn a_difference_that_vanished_hides_the_one_in_the_scratch() {
        let (mut overlay, store) = (Overlay::default(), MemoryStore::new());
        overlay.spend(&store, PLACE, coin(1)).expect("the store has it");
        let spent = CoinDelta { before: Some(coin(1)), now: None };
        assert_eq!(overlay.spill(10), [(PLACE, spent)]);
        overlay.set(PLACE, CoinDelta { now: Some(coin(1)), ..spent });
        assert_eq!(known(&overlay), Known::Coin(coin(1)));
        let restored = CoinDelta { before: Some(coin(1)), now: Some(coin(1)) };
        assert_eq!((overlay.spill(10), restored.is_nothing()), (vec![(PLACE, restored)], true));
    }
}
