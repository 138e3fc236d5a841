//! What is going to happen, ordered by (time, sequence).
//!
//! A wheel of one bucket for each of the next milliseconds, and an ordered map for what is further away: putting in and
//! taking out cost the same however much is waiting. Within a millisecond things happen in the order in which they were
//! put in. Invariant: whatever is less than [`SPAN`] ahead lies in the wheel, so a later push never overtakes.

use std::collections::{BTreeMap, VecDeque};

/// Milliseconds that the wheel covers; a power of two.
const SPAN: u64 = 8_192;

/// A queue of things to come, by milliseconds.
#[derive(Debug)]
pub(crate) struct Queue<T> {
    wheel: Vec<VecDeque<T>>,
    far: BTreeMap<u64, VecDeque<T>>,
    /// The millisecond that the wheel begins with: when something was last taken out.
    now: u64,
    /// Nothing lies in the wheel before this.
    searched: u64,
    /// What lies in the wheel.
    near: usize,
    len: usize,
}

impl<T> Queue<T> {
    /// An empty queue that begins at `now`.
    pub(crate) fn new(now: u64) -> Self {
        let wheel = (0..SPAN).map(|_| VecDeque::new()).collect();
        Self { wheel, far: BTreeMap::new(), now, searched: now, near: 0, len: 0 }
    }

    /// How much is waiting.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Puts something in, to happen at `time`, or at once when that is past.
    pub(crate) fn push(&mut self, time: u64, item: T) {
        let time = time.max(self.now);
        self.len += 1;
        if time - self.now < SPAN {
            self.wheel[(time % SPAN) as usize].push_back(item);
            self.near += 1;
            self.searched = self.searched.min(time);
        } else {
            self.far.entry(time).or_default().push_back(item);
        }
    }

    /// When the next thing happens. Until it is taken out, something may still be put in before it.
    pub(crate) fn next_time(&mut self) -> Option<u64> {
        if self.near == 0 {
            return self.far.first_key_value().map(|(time, _)| *time);
        }
        while self.wheel[(self.searched % SPAN) as usize].is_empty() {
            self.searched += 1;
        }
        Some(self.searched)
    }

    /// Takes out the next thing, and when it happens.
    pub(crate) fn pop(&mut self) -> Option<(u64, T)> {
        let time = self.next_time()?;
        self.advance(time);
        let bucket = &mut self.wheel[(time % SPAN) as usize];
        let item = bucket.pop_front()?;
        // a burst must not leave its memory behind in every bucket
        if bucket.is_empty() && bucket.capacity() > 64 {
            *bucket = VecDeque::new();
        }
        self.near -= 1;
        self.len -= 1;
        Some((time, item))
    }

    /// Nothing is left before `now`: from now on the wheel covers what follows it.
    fn advance(&mut self, now: u64) {
        self.now = now;
        self.searched = now;
        while let Some(entry) = self.far.first_entry()
            && *entry.key() - now < SPAN
        {
            let time = *entry.key();
            let mut items = entry.remove();
            self.near += items.len();
            // the bucket is empty: what is this far ahead never lay in the wheel before
            self.wheel[(time % SPAN) as usize].append(&mut items);
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    #[test]
    fn the_order_is_that_of_a_map_by_time_and_sequence() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let mut queue = Queue::new(1_000_000);
        let mut model = BTreeMap::new();
        let mut now = 1_000_000;
        for sequence in 0..100_000u64 {
            let ahead = match rng.random_range(0..10) {
                0 => rng.random_range(0..100_000),
                1 => rng.random_range(SPAN - 2..SPAN + 2),
                _ => rng.random_range(0..50),
            };
            queue.push(now + ahead, sequence);
            model.insert((now + ahead, sequence), sequence);
            if rng.random_range(0..3) > 0 || sequence > 60_000 {
                let expected = model.pop_first().map(|((time, _), item)| (time, item));
                assert_eq!(queue.pop(), expected);
                now = expected.map_or(now, |(time, _)| time);
            }
            assert_eq!(queue.len(), model.len());
            // looking changes nothing
            assert_eq!(queue.next_time(), model.first_key_value().map(|((time, _), _)| *time));
        }
    }
}
