//! What the coins amount to, brought up to date in batches and in the background: hashing a coin takes longer than
//! moving it. A coin that comes and goes in the meantime is never hashed.

use std::collections::hash_map::Entry;

use foldhash::HashMap;
use rayon::prelude::*;

use crate::coin_stats::CoinStats;
use crate::coins::Coin;
use crate::signature::Background;
use crate::transaction::OutPoint;

/// Coins that wait before those that waited before them are added up.
const BATCH: usize = 16_384;

/// Coins that are worth a thread's while.
const CHUNK: usize = 256;

/// Batches that are being added up at once.
const MAX_UNDER_WAY: usize = 4;

/// The sum, and what is not in it yet.
#[derive(Debug, Default)]
pub(super) struct Tally {
    stats: CoinStats,
    under_way: Vec<Background<CoinStats>>,
    recent: Waiting,
    older: Waiting,
}

/// Moves that are to be added up. Their order doesn't matter.
type Waiting = HashMap<OutPoint, (Coin, Move)>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Move {
    Created,
    Spent,
}

impl Tally {
    pub(super) fn new(stats: CoinStats) -> Self {
        Self { stats, ..Self::default() }
    }

    pub(super) fn create(&mut self, outpoint: OutPoint, coin: Coin) {
        // a coin that comes back, after a reorganisation, waits beside its own end
        if let Some((known, before)) = self.recent.insert(outpoint, (coin, Move::Created)) {
            add_move(&mut self.stats, &outpoint, &known, before);
        }
        self.pushed();
    }

    pub(super) fn spend(&mut self, outpoint: OutPoint, coin: Coin) {
        let made = (coin, Move::Created);
        for waiting in [&mut self.recent, &mut self.older] {
            if let Entry::Occupied(entry) = waiting.entry(outpoint)
                && *entry.get() == made
            {
                entry.remove();
                return;
            }
        }
        if let Some((known, before)) = self.recent.insert(outpoint, (coin, Move::Spent)) {
            add_move(&mut self.stats, &outpoint, &known, before);
        }
        self.pushed();
    }

    /// Adds the sum of another tally.
    pub(super) fn add(&mut self, stats: &CoinStats) {
        self.stats.add(stats);
    }

    fn pushed(&mut self) {
        if self.recent.len() >= BATCH {
            // the emptied table serves again: growing a new one takes as long as filling it
            let full = self.older.drain().collect();
            std::mem::swap(&mut self.recent, &mut self.older);
            self.sum_in_background(full);
        }
    }

    fn sum_in_background(&mut self, moves: Vec<(OutPoint, (Coin, Move))>) {
        if moves.is_empty() {
            return;
        }
        if self.under_way.len() == MAX_UNDER_WAY {
            let done = self.under_way.remove(0).wait();
            self.stats.add(&done);
        }
        self.under_way.push(Background::new(move || sum(&moves)));
    }

    /// The sum of everything.
    pub(super) fn stats(&self) -> CoinStats {
        let mut stats = self.stats.clone();
        self.under_way.iter().for_each(|batch| stats.add(&batch.wait()));
        for waiting in [&self.recent, &self.older] {
            let moves: Vec<_> = waiting.iter().map(|(outpoint, moved)| (*outpoint, *moved)).collect();
            stats.add(&sum(&moves));
        }
        stats
    }
}

fn sum(moves: &[(OutPoint, (Coin, Move))]) -> CoinStats {
    let sums = moves.par_chunks(CHUNK).map(|moves| {
        let mut sum = CoinStats::default();
        for (outpoint, (coin, direction)) in moves {
            add_move(&mut sum, outpoint, coin, *direction);
        }
        sum
    });
    sums.reduce(CoinStats::default, |mut left, right| {
        left.add(&right);
        left
    })
}

fn add_move(sum: &mut CoinStats, outpoint: &OutPoint, coin: &Coin, direction: Move) {
    match direction {
        Move::Created => sum.insert(outpoint, coin),
        Move::Spent => sum.remove(outpoint, coin),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::amount::Amount;
    use crate::hash::{Lock, TaggedHash, Txid};
    use crate::transaction::TxOut;

    fn outpoint(number: u32) -> OutPoint {
        OutPoint { txid: Txid(TaggedHash::new("tally").chain(number.to_le_bytes()).finish()), vout: number }
    }

    fn coin(height: u32) -> Coin {
        let output = TxOut { value: Amount(u64::from(height)), lock: Lock([3; 32]) };
        Coin { output, height, coinbase: false }
    }

    /// More coins than wait at once, of which some go at once, some later, some come back at another height.
    #[test]
    fn the_sum_is_that_of_the_coins_that_are_left_however_they_moved() {
        let number = 4 * BATCH as u32;
        let mut tally = Tally::default();
        let mut plain = CoinStats::default();
        for place in 0..number {
            tally.create(outpoint(place), coin(1));
            plain.insert(&outpoint(place), &coin(1));
            for gone in [place.checked_sub(3), place.checked_sub(BATCH as u32 + 7)].into_iter().flatten() {
                if gone % 4 == u32::from(gone + 3 == place) {
                    tally.spend(outpoint(gone), coin(1));
                    plain.remove(&outpoint(gone), &coin(1));
                    if gone % 16 < 2 {
                        tally.create(outpoint(gone), coin(2));
                        plain.insert(&outpoint(gone), &coin(2));
                    }
                }
            }
        }
        assert_eq!(tally.stats(), plain);
        assert_eq!(tally.stats(), plain, "asking changes nothing");
    }
}
