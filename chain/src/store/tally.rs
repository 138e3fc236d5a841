//! What the coins amount to, brought up to date in batches: hashing a coin takes longer than moving it.

use rayon::prelude::*;

use crate::coin_stats::CoinStats;
use crate::coins::Coin;
use crate::transaction::OutPoint;

/// Coins that wait before they are added up.
const BATCH: usize = 8_192;

/// Coins that are worth a thread's while.
const CHUNK: usize = 256;

/// The sum, and what is not in it yet.
#[derive(Debug, Default)]
pub(super) struct Tally {
    stats: CoinStats,
    waiting: Vec<(OutPoint, Coin, Move)>,
}

#[derive(Debug, Clone, Copy)]
enum Move {
    Created,
    Spent,
}

impl Tally {
    pub(super) fn new(stats: CoinStats) -> Self {
        Self { stats, waiting: Vec::new() }
    }

    pub(super) fn create(&mut self, outpoint: OutPoint, coin: Coin) {
        self.push(outpoint, coin, Move::Created);
    }

    pub(super) fn spend(&mut self, outpoint: OutPoint, coin: Coin) {
        self.push(outpoint, coin, Move::Spent);
    }

    /// Adds the sum of another tally.
    pub(super) fn add(&mut self, stats: &CoinStats) {
        self.stats.add(stats);
    }

    fn push(&mut self, outpoint: OutPoint, coin: Coin, direction: Move) {
        self.waiting.push((outpoint, coin, direction));
        if self.waiting.len() >= BATCH {
            self.stats = self.stats();
            self.waiting.clear();
        }
    }

    /// The sum of everything.
    pub(super) fn stats(&self) -> CoinStats {
        let mut stats = self.stats.clone();
        let sums = self.waiting.par_chunks(CHUNK).map(sum);
        stats.add(&sums.reduce(CoinStats::default, |mut left, right| {
            left.add(&right);
            left
        }));
        stats
    }
}

fn sum(moves: &[(OutPoint, Coin, Move)]) -> CoinStats {
    let mut sum = CoinStats::default();
    for (outpoint, coin, direction) in moves {
        match direction {
            Move::Created => sum.insert(outpoint, coin),
            Move::Spent => sum.remove(outpoint, coin),
        }
    }
    sum
}
