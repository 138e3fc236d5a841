//! The mining race as a Markov decision process (Sapirshtein, Sompolinsky and Zohar 2016, section 3): what a strategy
//! earns, exactly, and which strategy earns most.
//!
//! The states are those of [`crate::race`]. A cycle runs from everybody on one block to the next time that is so; what a
//! strategy earns in the long run is what it earns in a mean cycle. Branches are cut off at a length at which the pool
//! must publish or give up, so that every figure here is one that a strategy reaches: a lower bound to what it could
//! without the cut.

use crate::race::strategy::{Bounded, Policy, Strategy, slot, slots, states};
use crate::race::{Finder, Fork, Move, Settled, State, apply, grow};

/// Sweeps over all states end when no value moves by more than this, in blocks.
const CONVERGED: f64 = 1e-10;
/// A move is better than another only by more than this, so that rounding can't swap two equals for ever.
const LEAST_GAIN: f64 = 1e-9;

/// The race's parameters.
#[derive(Debug, Clone, Copy)]
pub struct Model {
    /// The pool's share of all power, above 0 and below one half.
    pub alpha: f64,
    /// The share of the honest power that sees the pool's branch first when two are equally long.
    pub gamma: f64,
    /// The longest branch.
    pub limit: u32,
}

/// What a strategy earns.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Earnings {
    /// The pool's part of the chain.
    pub share: f64,
    /// Blocks of the chain for each block found.
    pub growth: f64,
}

/// Sums over the rest of a cycle: blocks of the pool and of the others that settle, and blocks that are found.
type Sums = [f64; 3];

/// What follows from a state under a strategy: what settles at once, and where the next block leads, with what chance.
struct Row {
    state: usize,
    now: Sums,
    next: [(usize, f64); 3],
}

impl Model {
    /// What `strategy` earns when it is [`Bounded`] by the limit.
    #[must_use]
    pub fn earnings(&self, strategy: impl Strategy) -> Earnings {
        let bounded = Bounded { strategy, limit: self.limit };
        let reachable = self.reachable(&bounded);
        let mut values = vec![[0.0; 3]; slots(self.limit)];
        self.evaluate(&bounded, &reachable, &mut values)
    }

    /// The strategy that earns the largest share, and what it earns: Howard's policy iteration.
    ///
    /// Sapirshtein et al. ask, for a share ρ, whether any strategy makes `(1−ρ)·pool − ρ·public` positive, and halve the
    /// range of ρ by the answer. Here ρ is the share that the strategy at hand earns, and each state's move is changed to
    /// the one that makes this sum largest: a better strategy, whose share is the next ρ, until none is better. It comes
    /// to the same root, and every step of the way is a strategy that exists.
    #[must_use]
    pub fn optimal(&self) -> (Policy, Earnings) {
        let all: Vec<_> = states(self.limit).filter(|state| *state != State::START).collect();
        let mut values = vec![[0.0; 3]; slots(self.limit)];
        let honest = |state: State| if state.can_override() { Move::Override } else { Move::Adopt };
        let mut policy = Policy::new(self.limit, honest);
        loop {
            let earnings = self.evaluate(&policy, &all, &mut values);
            let better = self.improve(&policy, earnings.share, &values);
            if better == policy {
                return (policy, earnings);
            }
            policy = better;
        }
    }

    /// For each state the move with the largest `(1−ρ)·pool − ρ·public`; the old one where no other is better.
    fn improve(&self, policy: &Policy, rho: f64, values: &[Sums]) -> Policy {
        let worth = |state: State, chosen: Move| {
            let (next, settled) = apply(state, chosen);
            let [pool, public, _] = plus(settled, self.ahead(values, next));
            (1.0 - rho) * pool - rho * public
        };
        Policy::new(self.limit, |state| {
            let old = policy.choose(state);
            let mut best = (worth(state, old) + LEAST_GAIN, old);
            for chosen in self.moves(state) {
                let worth = worth(state, chosen);
                if worth > best.0 {
                    best = (worth, chosen);
                }
            }
            best.1
        })
    }

    /// Solves for the sums that `strategy` makes of each of the `states`, from `values` on, by sweeps (Gauss and Seidel).
    /// Nearly every step makes a branch longer, so that a sweep from the longest to the shortest settles all but the jumps
    /// back to short ones.
    fn evaluate(&self, strategy: &impl Strategy, states: &[State], values: &mut [Sums]) -> Earnings {
        let rows: Vec<_> = states.iter().map(|state| self.row(*state, strategy.choose(*state))).collect();
        loop {
            let mut moved = 0.0_f64;
            for Row { state, now, next } in &rows {
                let mut sums = *now;
                for (place, chance) in next {
                    let value = &values[*place];
                    (0..3).for_each(|i| sums[i] += chance * value[i]);
                }
                moved = moved.max((sums[2] - values[*state][2]).abs());
                values[*state] = sums;
            }
            if moved < CONVERGED {
                break;
            }
        }
        let [pool, public, found] = self.after_a_block(values, State::START);
        Earnings { share: pool / (pool + public), growth: (pool + public) / found }
    }

    fn row(&self, state: State, chosen: Move) -> Row {
        let (moved_to, settled) = apply(state, chosen);
        let mut row =
            Row { state: slot(self.limit, state), now: plus(settled, [0.0; 3]), next: [(0, 0.0); 3] };
        if moved_to == State::START {
            return row;
        }
        row.now[2] += 1.0;
        for ((finder, chance), next) in self.chances(moved_to.fork).into_iter().zip(&mut row.next) {
            if chance > 0.0 {
                let (grown, settled) = grow(moved_to, finder);
                row.now[0] += chance * f64::from(settled.pool);
                row.now[1] += chance * f64::from(settled.public);
                *next = (slot(self.limit, grown), chance);
            }
        }
        row
    }

    /// What the pool may do: at the limit, publish if it can and give up if not.
    fn moves(&self, state: State) -> impl Iterator<Item = Move> {
        let free = state.pool < self.limit && state.public < self.limit;
        [Move::Adopt, Move::Override, Move::Match, Move::Wait].into_iter().filter(
            move |chosen| match chosen {
                Move::Adopt => free || !state.can_override(),
                Move::Override => state.can_override(),
                Move::Match => free && state.can_match(),
                Move::Wait => free,
            },
        )
    }

    /// Who finds the next block, with what chance. Outside a tie a follower is as any other honest miner.
    fn chances(&self, fork: Fork) -> [(Finder, f64); 3] {
        let follower = match fork {
            Fork::Active => (1.0 - self.alpha) * self.gamma,
            Fork::Irrelevant | Fork::Relevant => 0.0,
        };
        let other = 1.0 - self.alpha - follower;
        [(Finder::Pool, self.alpha), (Finder::Follower, follower), (Finder::Other, other)]
    }

    /// The sums of the rest of the cycle when the pool has moved to `state`; the cycle ends at the start.
    fn ahead(&self, values: &[Sums], state: State) -> Sums {
        if state == State::START { [0.0; 3] } else { self.after_a_block(values, state) }
    }

    fn after_a_block(&self, values: &[Sums], state: State) -> Sums {
        let mut sums = [0.0, 0.0, 1.0];
        for (finder, chance) in self.chances(state.fork) {
            if chance > 0.0 {
                let (next, settled) = grow(state, finder);
                let value = plus(settled, values[slot(self.limit, next)]);
                (0..3).for_each(|i| sums[i] += chance * value[i]);
            }
        }
        sums
    }

    /// The states that a strategy can come to, those with long branches first.
    fn reachable(&self, strategy: &impl Strategy) -> Vec<State> {
        let mut seen = vec![false; slots(self.limit)];
        let mut open = vec![State::START];
        while let Some(moved_to) = open.pop() {
            for (finder, chance) in self.chances(moved_to.fork) {
                if chance > 0.0 {
                    let (grown, _) = grow(moved_to, finder);
                    if !std::mem::replace(&mut seen[slot(self.limit, grown)], true) {
                        open.push(apply(grown, strategy.choose(grown)).0);
                    }
                }
            }
        }
        states(self.limit).filter(|state| seen[slot(self.limit, *state)]).collect()
    }
}

fn plus(settled: Settled, sums: Sums) -> Sums {
    [sums[0] + f64::from(settled.pool), sums[1] + f64::from(settled.public), sums[2]]
}
