//! Selfish mining: what a pool earns that does not publish what it finds (Eyal and Sirer 2014).

use super::report::{Cell, Check, Curve, Figure, Grid, Report, Scale};
use super::{Effort, Progress, cell_rng, cells, reference};
use crate::race::strategy::Stubborn;
use crate::race::{Lottery, Revenue, play};
use crate::theory::selfish::{blocks_per_chain_block, break_even_weeks, revenue, threshold};

/// The shares and tie-breaks of the reference table.
#[must_use]
pub fn reference_grid() -> (Vec<f64>, Vec<f64>) {
    let column = |name: &'static str| {
        let mut values: Vec<f64> =
            reference::rows(reference::EYAL_SIRER).map(|row| row.number(name)).collect();
        values.sort_by(f64::total_cmp);
        values.dedup();
        values
    };
    (column("alpha"), column("gamma"))
}

/// Plays every pair of a share of `alphas` and a tie-break of `gammas`; `effort.trials` blocks each.
pub fn run(alphas: &[f64], gammas: &[f64], effort: Effort, progress: Progress<'_>) -> Report {
    let pairs: Vec<_> =
        alphas.iter().flat_map(|alpha| gammas.iter().map(move |gamma| (*alpha, *gamma))).collect();
    let results = cells(pairs.len(), progress, |index| (pairs[index], play_cell(pairs[index], effort)));
    report(&results, gammas, effort.seed)
}

/// Plays one pair of a share and a tie-break.
#[must_use]
pub fn play_cell((alpha, gamma): (f64, f64), effort: Effort) -> Revenue {
    let mut rng = cell_rng(effort.seed, "selfish", &[alpha, gamma]);
    play(Stubborn::SELFISH, Lottery::new(alpha, gamma), effort.trials, &mut rng)
}

/// What pairs that were played come to, whoever played them. The figure has a curve for each of `gammas`.
#[must_use]
pub fn report(results: &[Played], gammas: &[f64], seed: u64) -> Report {
    let mut report = Report::new("selfish", seed);
    report.grids.push(shares(results));
    report.grids.push(growths(results));
    report.grids.extend(absolute_rates(results));
    report.checks.extend(thresholds(results));
    report.figures.push(figure(gammas, &report.grids[0]));
    report
}

/// A pair of a share and a tie-break, and what it came to.
pub type Played = ((f64, f64), Revenue);

fn shares(results: &[Played]) -> Grid {
    let printed = |alpha: f64, gamma: f64| {
        let mut rows = reference::rows(reference::EYAL_SIRER);
        rows.find(|row| row.number("alpha") == alpha && row.number("gamma") == gamma)
            .map(|row| row.number("R_closed"))
    };
    let cell = |((alpha, gamma), played): &Played| Cell {
        beside: vec![printed(*alpha, *gamma), Some(played.blocks as f64)],
        ..Cell::new(vec![*alpha, *gamma], played.share, revenue(*alpha, *gamma))
    };
    Grid {
        name: "selfish-share",
        title: "The pool's part of the chain (Eyal and Sirer 2014, equation 8)",
        parameters: vec!["alpha", "gamma"],
        simulated: "share",
        theory: "closed_form",
        beside: vec!["table", "blocks"],
        cells: results.iter().map(cell).collect(),
    }
}

fn growths(results: &[Played]) -> Grid {
    let cell = |((alpha, gamma), played): &Played| {
        let delta = blocks_per_chain_block(*alpha);
        Cell {
            beside: vec![Some(2.0 * delta), break_even_weeks(*alpha, *gamma)],
            ..Cell::new(vec![*alpha, *gamma], played.growth, 1.0 / delta)
        }
    };
    Grid {
        name: "selfish-growth",
        title: "Chain growth for each block found: no γ in it; its inverse δ is the first retarget \
                (Grunspan and Pérez-Marco 2018)",
        parameters: vec!["alpha", "gamma"],
        simulated: "growth",
        theory: "closed_form",
        beside: vec!["first_period_weeks", "break_even_weeks"],
        cells: results.iter().map(cell).collect(),
    }
}

/// At γ = 1 every block of the pool ends in the chain: its absolute rate is its power.
fn absolute_rates(results: &[Played]) -> Option<Grid> {
    let cell = |((alpha, gamma), played): &Played| {
        (*gamma == 1.0).then(|| Cell::new(vec![*alpha], played.pool_rate, *alpha))
    };
    let cells: Vec<_> = results.iter().filter_map(cell).collect();
    (!cells.is_empty()).then(|| Grid {
        name: "selfish-absolute-rate",
        title: "The pool's blocks in the chain for each block found at γ = 1: no block of its is lost",
        parameters: vec!["alpha"],
        simulated: "pool_rate",
        theory: "alpha_itself",
        beside: Vec::new(),
        cells,
    })
}

/// Selfish mining pays above `(1−γ)/(3−2γ)` and only there: asked of every cell whose share is known well enough to say.
fn thresholds(results: &[Played]) -> Option<Check> {
    let told: Vec<_> =
        results.iter().filter(|((alpha, _), played)| played.share.z(*alpha).abs() > 4.0).collect();
    let wrong = told
        .iter()
        .filter(|((alpha, gamma), played)| (played.share.mean > *alpha) != (*alpha > threshold(*gamma)))
        .count();
    (!told.is_empty()).then(|| {
        Check::new(
            "it pays above α = (1−γ)/(3−2γ) and only there (equation 9)",
            format!("{wrong} of {} cells that can tell say otherwise", told.len()),
            wrong == 0,
        )
    })
}

fn figure(gammas: &[f64], shares: &Grid) -> Figure {
    let curve = |gamma: &f64| Curve {
        name: format!("γ = {gamma}"),
        line: (0..=98)
            .map(|step| f64::from(step) / 200.0)
            .map(|alpha| (alpha, revenue(alpha, *gamma)))
            .collect(),
        points: shares
            .cells
            .iter()
            .filter(|cell| cell.at[1] == *gamma)
            .map(|cell| (cell.at[0], cell.simulated))
            .collect(),
    };
    let mut curves: Vec<_> = gammas.iter().map(curve).collect();
    curves.push(Curve {
        name: "honest mining".into(),
        line: vec![(0.0, 0.0), (0.49, 0.49)],
        points: Vec::new(),
    });
    Figure {
        name: "selfish",
        title: "Selfish mining: the pool's part of the chain".into(),
        x_label: "α, the pool's part of the power".into(),
        y_label: "part of the chain".into(),
        x_scale: Scale::Linear,
        y_scale: Scale::Linear,
        curves,
    }
}

/// Grunspan and Pérez-Marco's table: the divisor of the first retarget, from plays at each of its cells.
pub fn retarget(effort: Effort, progress: Progress<'_>) -> Grid {
    let rows: Vec<_> = reference::rows(reference::GRUNSPAN).collect();
    let cells = cells(rows.len(), progress, |index| {
        let row = &rows[index];
        // the table rounds 1/3 to nine digits, and so do we
        let (alpha, gamma) = (row.number("q"), row.number("gamma"));
        let mut rng = cell_rng(effort.seed, "retarget", &[alpha, gamma]);
        let played = play(Stubborn::SELFISH, Lottery::new(alpha, gamma), effort.trials, &mut rng);
        Cell {
            beside: vec![
                row.get("first_period_weeks"),
                row.get("break_even_weeks"),
                row.get("mc_break_even_weeks"),
            ],
            ..Cell::new(
                vec![alpha, gamma],
                played.pool_rate,
                revenue(alpha, gamma) / blocks_per_chain_block(alpha),
            )
        }
    });
    Grid {
        name: "selfish-before-retarget",
        title: "The pool's rate before the difficulty follows, q′/δ, never above α: \
                selfish mining loses until the first retarget (Grunspan and Pérez-Marco 2018)",
        parameters: vec!["alpha", "gamma"],
        simulated: "pool_rate",
        theory: "closed_form",
        beside: vec!["first_period_weeks", "break_even_weeks", "break_even_simulated_there"],
        cells,
    }
}
