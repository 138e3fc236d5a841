//! Mining races without a network: who finds the next block is drawn, and what follows is bookkeeping.
//!
//! A pool mines in private against everybody else. All that matters is how far its branch and the public one have grown
//! since they parted, and whether honest miners are divided between two branches of one length (Sapirshtein, Sompolinsky
//! and Zohar 2016, section 3). Millions of blocks a second are played so; that real nodes come to the same chain, block
//! by block, is what [`nodes`] is for.

pub mod double_spend;
pub mod growth;
pub mod nodes;
pub mod strategy;

use rand::Rng;

use crate::stats::{Estimate, RatioSums, exact};
use strategy::Strategy;

/// Whether honest miners can be divided by publishing as much as they have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fork {
    /// The pool found the last block: a branch of equal length comes too late, everybody saw the other first.
    Irrelevant,
    /// The public branch has just grown: publishing as much, at once, reaches γ of the honest power first.
    Relevant,
    /// Both branches are public and equally long there: γ of the honest power mines on the pool's.
    Active,
}

/// Both branches since they parted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct State {
    /// Blocks of the pool's branch, published or not.
    pub pool: u32,
    /// Blocks of the public branch.
    pub public: u32,
    /// Who can see what.
    pub fork: Fork,
}

impl State {
    /// Everybody mines on one block.
    pub const START: Self = Self { pool: 0, public: 0, fork: Fork::Irrelevant };

    /// Whether publishing as many blocks as the public branch has divides the honest miners.
    #[must_use]
    pub fn can_match(&self) -> bool {
        self.fork == Fork::Relevant && self.public >= 1 && self.pool >= self.public
    }

    /// Whether the pool can publish a longer branch.
    #[must_use]
    pub fn can_override(&self) -> bool {
        self.pool > self.public
    }
}

/// What the pool may do when a block has been found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Move {
    /// Gives its branch up and mines on the public one.
    Adopt,
    /// Publishes one block more than the public branch has.
    Override,
    /// Publishes as many blocks as the public branch has.
    Match,
    /// Publishes nothing.
    Wait,
}

/// Who found a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Finder {
    /// The pool.
    Pool,
    /// An honest miner who, of two equally long branches, saw the pool's first.
    Follower,
    /// Any other honest miner.
    Other,
}

/// Blocks that everybody will build on from now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Settled {
    /// Of the pool.
    pub pool: u32,
    /// Of everybody else.
    pub public: u32,
}

impl std::ops::AddAssign for Settled {
    fn add_assign(&mut self, other: Self) {
        self.pool += other.pool;
        self.public += other.public;
    }
}

/// A block is found: the branches grow.
#[must_use]
pub fn grow(state: State, finder: Finder) -> (State, Settled) {
    let none = Settled::default();
    let State { pool, public, fork } = state;
    match (finder, fork) {
        (Finder::Pool, Fork::Active) => (State { pool: pool + 1, ..state }, none),
        (Finder::Pool, Fork::Irrelevant | Fork::Relevant) => {
            (State { pool: pool + 1, public, fork: Fork::Irrelevant }, none)
        }
        // the pool's published blocks have won; the new block stands against what it still keeps back
        (Finder::Follower, Fork::Active) => {
            let next = State { pool: pool - public, public: 1, fork: Fork::Relevant };
            (next, Settled { pool: public, public: 0 })
        }
        (Finder::Follower, Fork::Irrelevant | Fork::Relevant) | (Finder::Other, _) => {
            (State { pool, public: public + 1, fork: Fork::Relevant }, none)
        }
    }
}

/// The pool moves. A move that the state does not allow is [`Move::Wait`].
#[must_use]
pub fn apply(state: State, chosen: Move) -> (State, Settled) {
    let State { pool, public, .. } = state;
    match chosen {
        Move::Adopt => (State::START, Settled { pool: 0, public }),
        Move::Override if state.can_override() => {
            let next = State { pool: pool - public - 1, ..State::START };
            (next, Settled { pool: public + 1, public: 0 })
        }
        Move::Match if state.can_match() => (State { fork: Fork::Active, ..state }, Settled::default()),
        Move::Override | Move::Match | Move::Wait => (state, Settled::default()),
    }
}

/// A race in progress.
#[derive(Debug, Clone)]
pub struct Race<S> {
    state: State,
    strategy: S,
}

impl<S: Strategy> Race<S> {
    /// At the start: everybody on one block.
    pub fn new(strategy: S) -> Self {
        Self { state: State::START, strategy }
    }

    /// Both branches now.
    pub fn state(&self) -> State {
        self.state
    }

    /// `finder` finds a block and the pool moves; returns the move and the blocks that this settles.
    pub fn step(&mut self, finder: Finder) -> (Move, Settled) {
        let (grown, mut settled) = grow(self.state, finder);
        let chosen = self.strategy.choose(grown);
        let (next, by_move) = apply(grown, chosen);
        settled += by_move;
        self.state = next;
        (chosen, settled)
    }
}

/// Draws who finds the next block: one 64-bit number, cut at α and at α + (1 − α)·γ.
#[derive(Debug, Clone, Copy)]
pub struct Lottery {
    pool_below: u64,
    follower_below: u64,
}

impl Lottery {
    /// `alpha`: the pool's share of all power, below one half; `gamma`: the share of the honest power that sees the
    /// pool's branch first when two are equally long.
    #[must_use]
    pub fn new(alpha: f64, gamma: f64) -> Self {
        // 2^64 as a float; a product that reaches it is cut to the largest number by `as`
        let cut = |share: f64| (share * 18_446_744_073_709_551_616.0) as u64;
        Self { pool_below: cut(alpha), follower_below: cut(alpha + (1.0 - alpha) * gamma) }
    }

    /// Who it is.
    pub fn draw(&self, rng: &mut impl Rng) -> Finder {
        let drawn = rng.next_u64();
        if drawn < self.pool_below {
            Finder::Pool
        } else if drawn < self.follower_below {
            Finder::Follower
        } else {
            Finder::Other
        }
    }
}

/// What a race came to.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Revenue {
    /// Blocks found.
    pub blocks: u64,
    /// The pool's part of the chain: Eyal and Sirer's relative revenue.
    #[serde(with = "exact")]
    pub share: Estimate,
    /// Blocks of the chain for each block found.
    #[serde(with = "exact")]
    pub growth: Estimate,
    /// Blocks of the pool in the chain for each block found: its absolute rate before the difficulty follows.
    #[serde(with = "exact")]
    pub pool_rate: Estimate,
}

/// Plays until at least `blocks` blocks have been found and everybody mines on one block again: whole cycles only, each
/// independent of the others, so that their scatter gives the standard errors.
pub fn play<S: Strategy>(strategy: S, lottery: Lottery, blocks: u64, rng: &mut impl Rng) -> Revenue {
    let mut race = Race::new(strategy);
    let (mut share, mut growth, mut pool_rate) =
        (RatioSums::default(), RatioSums::default(), RatioSums::default());
    let (mut found, mut cycle, mut settled) = (0_u64, 0_u64, Settled::default());
    loop {
        let (_, by_step) = race.step(lottery.draw(rng));
        settled += by_step;
        cycle += 1;
        if race.state != State::START {
            continue;
        }
        let (pool, chain) = (f64::from(settled.pool), f64::from(settled.pool + settled.public));
        share.add(pool, chain);
        growth.add(chain, cycle as f64);
        pool_rate.add(pool, cycle as f64);
        found += cycle;
        if found >= blocks {
            break;
        }
        (cycle, settled) = (0, Settled::default());
    }
    Revenue { blocks: found, share: share.ratio(), growth: growth.ratio(), pool_rate: pool_rate.ratio() }
}
