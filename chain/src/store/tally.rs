//! What the coins amount to, brought up to date in batches and in the background: hashing a coin takes longer than
//! moving it. A coin that comes and goes in the meantime is never hashed.

use std::collections::VecDeque;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use foldhash::HashMap;
use rayon::prelude::*;

use crate::coin_stats::CoinStats;
use crate::coins::Coin;
use crate::transaction::OutPoint;

/// Moves that are handed over together.
const HANDED: usize = 4_096;

/// Batches that may wait before whoever brings the next one does the work.
const MAX_WAITING: usize = 16;

/// Coins that wait before those that waited before them are added up.
const BATCH: usize = 16_384;

/// Coins that are worth a thread's while.
const CHUNK: usize = 256;

/// The sum, and what is not in it yet.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// Moves that are not handed over yet, in order.
    moves: Vec<Moved>,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    /// Batches in order; the first to be netted is in front. Never locked for long.
    queue: Mutex<VecDeque<Vec<Moved>>>,
    /// Held by whoever nets: a core that finds it held leaves its batch to the holder, or to the next.
    netting: Mutex<Netting>,
}

/// A coin that came or went.
#[derive(Debug, Clone, Copy)]
struct Moved {
    outpoint: OutPoint,
    coin: Coin,
    direction: Move,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Move {
    Created,
    Spent,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // a panic in here ends the process
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Tally {
    pub(super) fn new(stats: CoinStats) -> Self {
        let tally = Self::default();
        lock(&tally.shared.netting).stats = stats;
        tally
    }

    pub(super) fn create(&mut self, outpoint: OutPoint, coin: Coin) {
        self.push(Moved { outpoint, coin, direction: Move::Created });
    }

    pub(super) fn spend(&mut self, outpoint: OutPoint, coin: Coin) {
        self.push(Moved { outpoint, coin, direction: Move::Spent });
    }

    /// Adds the sum of another tally.
    pub(super) fn add(&mut self, stats: &CoinStats) {
        lock(&self.shared.netting).stats.add(stats);
    }

    fn push(&mut self, moved: Moved) {
        self.moves.push(moved);
        if self.moves.len() >= HANDED {
            self.hand_over();
        }
    }

    fn hand_over(&mut self) {
        let batch = std::mem::replace(&mut self.moves, Vec::with_capacity(HANDED));
        let waiting = {
            let mut queue = lock(&self.shared.queue);
            queue.push_back(batch);
            queue.len()
        };
        if waiting > MAX_WAITING {
            return self.shared.catch_up(&mut lock(&self.shared.netting));
        }
        let shared = Arc::clone(&self.shared);
        rayon::spawn_fifo(move || {
            // no core ever waits for another here: what the holder leaves is taken with the next batch
            if let Ok(mut netting) = shared.netting.try_lock() {
                shared.catch_up(&mut netting);
            }
        });
    }

    /// The sum of everything.
    pub(super) fn stats(&self) -> CoinStats {
        let mut netting = lock(&self.shared.netting);
        self.shared.catch_up(&mut netting);
        let mut stats = netting.stats();
        stats.add(&sum(&self.moves));
        stats
    }
}

impl Shared {
    fn catch_up(&self, netting: &mut Netting) {
        loop {
            // the queue is free again before the work begins
            let batch = lock(&self.queue).pop_front();
            let Some(batch) = batch else { return };
            batch.into_iter().for_each(|moved| netting.take(moved));
        }
    }
}

/// Moves that wait for what takes them back; their order doesn't matter.
type Waiting = HashMap<OutPoint, (Coin, Move)>;

#[derive(Debug, Default)]
struct Netting {
    stats: CoinStats,
    recent: Waiting,
    older: Waiting,
}

impl Netting {
    fn take(&mut self, moved: Moved) {
        let Moved { outpoint, coin, direction } = moved;
        if direction == Move::Spent && self.is_taken_back(&outpoint, coin) {
            return;
        }
        // a coin that comes back, after a reorganisation, waits beside its own end
        if let Some((known, before)) = self.recent.insert(outpoint, (coin, direction)) {
            add_move(&mut self.stats, &outpoint, &known, before);
        }
        if self.recent.len() >= BATCH {
            // the emptied table serves again: growing a new one takes as long as filling it
            let full: Vec<Moved> = self.older.drain().map(moved_of).collect();
            std::mem::swap(&mut self.recent, &mut self.older);
            self.stats.add(&sum(&full));
        }
    }

    /// Whether the coin that goes came a short while ago: then neither is ever hashed.
    fn is_taken_back(&mut self, outpoint: &OutPoint, coin: Coin) -> bool {
        let made = (coin, Move::Created);
        for waiting in [&mut self.recent, &mut self.older] {
            if let Entry::Occupied(entry) = waiting.entry(*outpoint)
                && *entry.get() == made
            {
                entry.remove();
                return true;
            }
        }
        false
    }

    fn stats(&self) -> CoinStats {
        let waiting = self.recent.iter().chain(&self.older);
        let waiting: Vec<Moved> = waiting.map(|(outpoint, moved)| moved_of((*outpoint, *moved))).collect();
        let mut stats = self.stats.clone();
        stats.add(&sum(&waiting));
        stats
    }
}

fn moved_of((outpoint, (coin, direction)): (OutPoint, (Coin, Move))) -> Moved {
    Moved { outpoint, coin, direction }
}

fn sum(moves: &[Moved]) -> CoinStats {
    let sums = moves.par_chunks(CHUNK).map(|moves| {
        let mut sum = CoinStats::default();
        for Moved { outpoint, coin, direction } in moves {
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
