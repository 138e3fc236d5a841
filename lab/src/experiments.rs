//! The papers' experiments, each played under a seed and put beside the paper's own numbers.
//!
//! An experiment is a function from parameters and a seed to a [`Report`](report::Report). Each cell of a grid draws from
//! a stream of its own, so that a cell alone gives what it gives in the grid. Left out on purpose: printing, files and
//! time, which the program has; [`plot`](crate::plot) draws the figures.

pub mod doublespend;
pub mod generals;
pub mod optimal;
pub mod propagation;
pub mod reference;
pub mod report;
pub mod selfish;
pub mod stubborn;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// Is told what part of the work is done, 0 to 1.
pub type Progress<'a> = &'a mut dyn FnMut(f64);

/// How much is played, and from which seed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Effort {
    /// What all randomness is drawn from.
    pub seed: u64,
    /// Blocks, or races, of each cell.
    pub trials: u64,
}

/// The randomness of one cell: named by its parameters, so that it does not depend on which others are played.
pub(crate) fn cell_rng(seed: u64, experiment: &str, at: &[f64]) -> ChaCha8Rng {
    let mut name = experiment.as_bytes().to_vec();
    for value in at {
        name.extend(value.to_le_bytes());
    }
    let digest = tine_chain::hash::sha256(&name);
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(u64::from_le_bytes(digest[..8].try_into().expect("eight of 32 bytes")));
    rng
}

/// Plays `count` cells and tells of each.
pub(crate) fn cells<T>(count: usize, progress: Progress<'_>, mut play: impl FnMut(usize) -> T) -> Vec<T> {
    (0..count)
        .map(|index| {
            let cell = play(index);
            progress((index + 1) as f64 / count as f64);
            cell
        })
        .collect()
}

/// The part from `from` to `to` of `progress`.
pub(crate) fn part<'a>(progress: Progress<'a>, from: f64, to: f64) -> impl FnMut(f64) + 'a {
    move |done| progress(from + done * (to - from))
}
