//! How a pool decides: the strategies of the papers.

use super::{Fork, Move, State};

/// A rule that says what the pool does when a block has been found.
pub trait Strategy {
    /// The move in `state`.
    fn choose(&self, state: State) -> Move;
}

/// Selfish mining (Eyal and Sirer 2014, algorithm 1) and the stubborn variants (Nayak, Kumar, Miller and Shi 2016,
/// section 4). With nothing set it is selfish mining itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stubborn {
    /// L: a lead of one is not cashed in, the pool only matches.
    pub lead: bool,
    /// F: a block found while the branches are equally long and public is kept back.
    pub equal_fork: bool,
    /// T: the pool mines on while it is up to so many blocks behind, if it has a block to lose.
    pub trail: u32,
}

impl Stubborn {
    /// Eyal and Sirer's selfish mining.
    pub const SELFISH: Self = Self { lead: false, equal_fork: false, trail: 0 };
}

impl Strategy for Stubborn {
    fn choose(&self, state: State) -> Move {
        let State { pool, public, fork } = state;
        if pool < public {
            let trails = pool >= 1 && public - pool <= self.trail;
            return if trails { Move::Wait } else { Move::Adopt };
        }
        if public == 0 {
            return Move::Wait;
        }
        let one_ahead = pool == public + 1;
        match fork {
            Fork::Relevant if one_ahead && !self.lead => Move::Override,
            Fork::Relevant => Move::Match,
            Fork::Active if one_ahead && !self.equal_fork => Move::Override,
            // from behind: everybody saw the other branch first, so that only a longer one helps
            Fork::Irrelevant if one_ahead => Move::Override,
            Fork::Active | Fork::Irrelevant => Move::Wait,
        }
    }
}

/// A strategy that is forced to end a race whose branches grow to `limit` blocks, as the decision process is that its
/// theory is computed from ([`crate::theory::process`]): the pool publishes if it can, and gives up if not.
#[derive(Debug, Clone, Copy)]
pub struct Bounded<S> {
    /// What decides below the limit.
    pub strategy: S,
    /// The longest branch.
    pub limit: u32,
}

impl<S: Strategy> Strategy for Bounded<S> {
    fn choose(&self, state: State) -> Move {
        if state.pool < self.limit && state.public < self.limit {
            return self.strategy.choose(state);
        }
        if state.can_override() { Move::Override } else { Move::Adopt }
    }
}

/// A move for each state, as the decision process gives it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    limit: u32,
    moves: Vec<Move>,
}

impl Policy {
    /// A move for each state whose branches are no longer than `limit` blocks.
    pub fn new(limit: u32, choose: impl Fn(State) -> Move) -> Self {
        let mut moves = vec![Move::Wait; slots(limit)];
        for state in states(limit) {
            moves[slot(limit, state)] = choose(state);
        }
        Self { limit, moves }
    }
}

impl Strategy for Policy {
    fn choose(&self, state: State) -> Move {
        self.moves[slot(self.limit, state)]
    }
}

impl Strategy for &Policy {
    fn choose(&self, state: State) -> Move {
        (*self).choose(state)
    }
}

/// How many places [`slot`] tells apart.
pub(crate) fn slots(limit: u32) -> usize {
    3 * (limit as usize + 1).pow(2)
}

/// The place of a state in a table.
pub(crate) fn slot(limit: u32, state: State) -> usize {
    let side = limit as usize + 1;
    (state.fork as usize * side + state.pool as usize) * side + state.public as usize
}

/// Every state that can be, with branches of up to `limit` blocks, the longest first.
pub(crate) fn states(limit: u32) -> impl Iterator<Item = State> {
    (0..=limit).rev().flat_map(move |pool| {
        (0..=limit).rev().flat_map(move |public| {
            [Fork::Irrelevant, Fork::Relevant, Fork::Active]
                .into_iter()
                .map(move |fork| State { pool, public, fork })
                .filter(|state| match state.fork {
                    Fork::Irrelevant => true,
                    Fork::Relevant => state.public >= 1,
                    Fork::Active => state.public >= 1 && state.pool >= state.public,
                })
        })
    })
}
