//! Coins as they would be after blocks that are not committed yet: differences to what the store has.
//!
//! Nothing is undone here. A switch that fails drops its overlay.

use crate::coins::Coin;
use crate::transaction::OutPoint;

/// A map for look-ups only: its order is never seen.
pub(crate) type FoldMap<K, V> = foldhash::HashMap<K, V>;

/// One outpoint that differs, or did.
#[derive(Debug, Clone, Copy)]
struct Slot {
    /// What the store has.
    before: Option<Coin>,
    /// What is there now.
    now: Option<Coin>,
}

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

/// A coin was spent that is not there, or made where one is: the store's blocks and coins do not fit each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Inconsistent(pub(crate) OutPoint);

/// What the coins of a whole switch amount to, in the order of outpoints.
#[derive(Debug, Default)]
pub(crate) struct Net {
    /// See [`crate::change::Change::created`].
    pub(crate) created: Vec<(OutPoint, Coin)>,
    /// See [`crate::change::Change::spent`].
    pub(crate) spent: Vec<OutPoint>,
}

/// Coins that differ from the store's.
#[derive(Debug, Default)]
pub(crate) struct Overlay {
    slots: FoldMap<OutPoint, Slot>,
}

impl Overlay {
    /// What is at `outpoint`.
    pub(crate) fn get(&self, outpoint: &OutPoint) -> Known {
        match self.slots.get(outpoint) {
            Some(Slot { now: Some(coin), .. }) => Known::Coin(*coin),
            Some(Slot { now: None, .. }) => Known::Spent,
            None => Known::Unchanged,
        }
    }

    /// How many coins differ.
    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    /// Takes away `coin`, which is there.
    pub(crate) fn spend(&mut self, outpoint: OutPoint, coin: Coin) -> Result<(), Inconsistent> {
        use std::collections::hash_map::Entry;
        match self.slots.entry(outpoint) {
            Entry::Vacant(slot) => {
                slot.insert(Slot { before: Some(coin), now: None });
            }
            Entry::Occupied(mut slot) => {
                if slot.get().now != Some(coin) {
                    return Err(Inconsistent(outpoint));
                }
                if slot.get().before.is_none() {
                    slot.remove(); // made and spent in between: nobody will know
                } else {
                    slot.get_mut().now = None;
                }
            }
        }
        Ok(())
    }

    /// Puts `coin` where none is.
    pub(crate) fn create(&mut self, outpoint: OutPoint, coin: Coin) -> Result<(), Inconsistent> {
        use std::collections::hash_map::Entry;
        match self.slots.entry(outpoint) {
            Entry::Vacant(slot) => {
                slot.insert(Slot { before: None, now: Some(coin) });
            }
            Entry::Occupied(mut slot) => {
                if slot.get().now.is_some() {
                    return Err(Inconsistent(outpoint));
                }
                if slot.get().before == Some(coin) {
                    slot.remove(); // as it was before
                } else {
                    slot.get_mut().now = Some(coin);
                }
            }
        }
        Ok(())
    }

    /// The sum of everything.
    pub(crate) fn into_net(self) -> Net {
        let mut net = Net::default();
        for (outpoint, slot) in self.slots {
            if slot.before.is_some() {
                net.spent.push(outpoint);
            }
            if let Some(coin) = slot.now {
                net.created.push((outpoint, coin));
            }
        }
        net.created.sort_unstable_by_key(|(outpoint, _)| *outpoint);
        net.spent.sort_unstable();
        net
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::amount::Amount;
    use crate::hash::{Lock, Txid};
    use crate::transaction::TxOut;

    const PLACE: OutPoint = OutPoint { txid: Txid([7; 32]), vout: 1 };

    fn coin(height: u32) -> Coin {
        Coin { output: TxOut { value: Amount(5), lock: Lock::ZERO }, height, coinbase: false }
    }

    #[test]
    fn a_coin_made_and_spent_leaves_nothing() {
        let mut overlay = Overlay::default();
        overlay.create(PLACE, coin(1)).expect("nothing there");
        assert_eq!(overlay.get(&PLACE), Known::Coin(coin(1)));
        overlay.spend(PLACE, coin(1)).expect("there");
        assert_eq!((overlay.get(&PLACE), overlay.len()), (Known::Unchanged, 0));
    }

    #[test]
    fn a_coin_spent_and_restored_leaves_nothing() {
        let mut overlay = Overlay::default();
        overlay.spend(PLACE, coin(1)).expect("the store has it");
        assert_eq!(overlay.get(&PLACE), Known::Spent);
        overlay.create(PLACE, coin(1)).expect("spent");
        assert_eq!(overlay.len(), 0);
    }

    #[test]
    fn a_coin_that_comes_back_at_another_height_is_spent_and_created() {
        let mut overlay = Overlay::default();
        overlay.spend(PLACE, coin(1)).expect("the store has it");
        overlay.create(PLACE, coin(2)).expect("spent");
        let net = overlay.into_net();
        assert_eq!((net.spent, net.created), (vec![PLACE], vec![(PLACE, coin(2))]));
    }

    #[test]
    fn utx_04_an_unspent_coin_is_never_overwritten_and_an_absent_one_never_spent() {
        let mut overlay = Overlay::default();
        overlay.create(PLACE, coin(1)).expect("nothing there");
        assert_eq!(overlay.create(PLACE, coin(2)), Err(Inconsistent(PLACE)));
        assert_eq!(overlay.get(&PLACE), Known::Coin(coin(1)));
        assert_eq!(overlay.spend(PLACE, coin(2)), Err(Inconsistent(PLACE)));
        assert_eq!(overlay.get(&PLACE), Known::Coin(coin(1)));
    }
}
