//! Optimal selfish mining: the decision process is solved, and the policy it gives is played (Sapirshtein, Sompolinsky
//! and Zohar 2016).

use super::report::{Cell, Check, Curve, Figure, Grid, Report, Scale};
use super::{Effort, Progress, cell_rng, cells, reference};
use crate::race::{Lottery, play};
use crate::theory::process::Model;
use crate::theory::selfish::revenue;

/// What the solution may differ from the table by: its figures have nine decimals.
const TABLE_ROUNDING: f64 = 1e-8;
/// The longest branch, in blocks, of the table's column `R_opt_T60`.
const LIMIT: u32 = 60;

/// The shares of the reference table.
#[must_use]
pub fn shares() -> Vec<f64> {
    let mut shares: Vec<f64> =
        reference::rows(reference::SAPIRSHTEIN).map(|row| row.number("alpha")).collect();
    shares.sort_by(f64::total_cmp);
    shares.dedup();
    shares
}

/// Solves and plays the cells of the reference table whose share is `wanted`; `effort.trials` blocks each.
pub fn run(wanted: impl Fn(f64) -> bool, effort: Effort, progress: Progress<'_>) -> Report {
    let rows: Vec<_> =
        reference::rows(reference::SAPIRSHTEIN).filter(|row| wanted(row.number("alpha"))).collect();
    let played = cells(rows.len(), progress, |index| {
        let row = &rows[index];
        let (alpha, gamma) = (row.number("alpha"), row.number("gamma"));
        let (policy, earnings) = Model { alpha, gamma, limit: LIMIT }.optimal();
        let mut rng = cell_rng(effort.seed, "optimal", &[alpha, gamma]);
        let played = play(&policy, Lottery::new(alpha, gamma), effort.trials, &mut rng);
        Cell {
            beside: vec![
                row.get("R_opt_T60"),
                row.get("recalled_printed_lower"),
                Some(revenue(alpha, gamma)),
            ],
            ..Cell::new(vec![alpha, gamma], played.share, earnings.share)
        }
    });
    let mut report = Report::new("optimal", effort.seed);
    report.checks = checks(&played);
    report.figures.push(figure(&played));
    report.grids.push(Grid {
        name: "optimal-share",
        title: "The pool's part of the chain under its best policy, branches of at most 60 blocks",
        parameters: vec!["alpha", "gamma"],
        simulated: "share",
        theory: "solved",
        beside: vec!["table", "paper_lower_bound", "selfish"],
        cells: played,
    });
    report
}

fn checks(cells: &[Cell]) -> Vec<Check> {
    let apart = |cell: &Cell| cell.beside[0].map_or(0.0, |table| (table - cell.theory).abs());
    let worst = cells.iter().map(apart).fold(0.0, f64::max);
    let beaten =
        cells.iter().filter(|cell| cell.theory + 1e-9 < cell.at[0].max(cell.beside[2].unwrap_or(0.0)));
    let beaten = beaten.count();
    let over = cells.iter().filter(|cell| cell.theory > cell.at[0] / (1.0 - cell.at[0]) + 1e-9).count();
    vec![
        Check::new(
            format!("the solutions are the table's, to {TABLE_ROUNDING:e}"),
            format!("{worst:.1e} apart at most, over {} cells", cells.len()),
            worst <= TABLE_ROUNDING,
        ),
        Check::new(
            "neither honest nor selfish mining earns more",
            format!("{beaten} of {} cells say otherwise", cells.len()),
            beaten == 0,
        ),
        Check::new(
            "no policy earns more than α/(1−α)",
            format!("{over} of {} cells say otherwise", cells.len()),
            over == 0,
        ),
    ]
}

fn figure(cells: &[Cell]) -> Figure {
    let curve = |gamma: f64| {
        let of_it = || cells.iter().filter(move |cell| cell.at[1] == gamma);
        Curve {
            name: format!("optimal, γ = {gamma}"),
            line: of_it().map(|cell| (cell.at[0], cell.theory)).collect(),
            points: of_it().map(|cell| (cell.at[0], cell.simulated)).collect(),
        }
    };
    let known = |name: &str, value: fn(f64) -> f64| Curve {
        name: name.into(),
        line: (10..=95).map(|step| f64::from(step) / 200.0).map(|alpha| (alpha, value(alpha))).collect(),
        points: Vec::new(),
    };
    Figure {
        name: "optimal",
        title: "Optimal selfish mining: solved and played".into(),
        x_label: "α, the pool's part of the power".into(),
        y_label: "part of the chain".into(),
        x_scale: Scale::Linear,
        y_scale: Scale::Linear,
        curves: vec![
            curve(0.0),
            curve(0.5),
            curve(1.0),
            known("selfish, γ = 0", |alpha| revenue(alpha, 0.0)),
            known("honest mining", |alpha| alpha),
        ],
    }
}
