//! Stubborn mining: variants of selfish mining that give up later (Nayak, Kumar, Miller and Shi 2016).

use super::report::{Cell, Check, Curve, Figure, Grid, Report, Scale};
use super::{Effort, Progress, cell_rng, cells, reference};
use crate::race::strategy::{Bounded, Stubborn};
use crate::race::{Lottery, play};
use crate::theory::process::Model;

/// The longest branch, in blocks, as in the reference table: longer where leads grow longer.
fn limit(alpha: f64) -> u32 {
    if alpha <= 0.35 { 70 } else { 140 }
}

/// What a strategy that the table solves exactly may differ from it by: its figures have eight decimals.
const TABLE_ROUNDING: f64 = 1e-7;

/// The shares of the reference table.
#[must_use]
pub fn shares() -> Vec<f64> {
    let mut shares: Vec<f64> = reference::rows(reference::NAYAK).map(|row| row.number("alpha")).collect();
    shares.sort_by(f64::total_cmp);
    shares.dedup();
    shares
}

/// Plays the strategies of the reference table at the shares for which `wanted` holds; `effort.trials` blocks each. Its
/// theory is the exact solution of the same bounded race.
pub fn run(wanted: impl Fn(f64) -> bool, effort: Effort, progress: Progress<'_>) -> Report {
    let rows: Vec<_> = reference::rows(reference::NAYAK).filter(|row| wanted(row.number("alpha"))).collect();
    let played = cells(rows.len(), progress, |index| {
        let row = &rows[index];
        let (alpha, gamma, trail) = (row.number("alpha"), row.number("gamma"), row.number("trail"));
        let strategy = Stubborn {
            lead: row.number("lead") == 1.0,
            equal_fork: row.number("equal_fork") == 1.0,
            trail: trail as u32,
        };
        let limit = limit(alpha);
        let at = vec![alpha, gamma, row.number("lead"), row.number("equal_fork"), trail];
        let mut rng = cell_rng(effort.seed, "stubborn", &at);
        let played = play(Bounded { strategy, limit }, Lottery::new(alpha, gamma), effort.trials, &mut rng);
        let theory = Model { alpha, gamma, limit }.earnings(strategy).share;
        Cell {
            beside: vec![row.get("R_exact"), row.get("mc_R")],
            // a pool that all but never wins a race has no scatter to judge it by
            judged: theory > 0.01,
            ..Cell::new(at, played.share, theory)
        }
    });
    let mut report = Report::new("stubborn", effort.seed);
    report.checks.push(same_as_table(&played));
    report.figures.push(figure(&played));
    report.grids.push(Grid {
        name: "stubborn-share",
        title: "The pool's part of the chain: lead (L), equal-fork (F) and trail (T) stubborn",
        parameters: vec!["alpha", "gamma", "lead", "equal_fork", "trail"],
        simulated: "share",
        theory: "exact",
        beside: vec!["table_exact", "table_simulated"],
        cells: played,
    });
    report
}

fn same_as_table(cells: &[Cell]) -> Check {
    let differences: Vec<f64> =
        cells.iter().filter_map(|cell| cell.beside[0].map(|table| (table - cell.theory).abs())).collect();
    let worst = differences.iter().copied().fold(0.0, f64::max);
    Check::new(
        format!("the exact solutions are the table's, to {TABLE_ROUNDING:e}"),
        format!("{worst:.1e} apart at most, over {} cells", differences.len()),
        worst <= TABLE_ROUNDING,
    )
}

/// What four strategies earn above their power at γ = ½.
fn figure(cells: &[Cell]) -> Figure {
    const STRATEGIES: [(&str, [f64; 3]); 5] = [
        ("selfish", [0.0, 0.0, 0.0]),
        ("L, lead", [1.0, 0.0, 0.0]),
        ("F, equal fork", [0.0, 1.0, 0.0]),
        ("T1, trail", [0.0, 0.0, 1.0]),
        ("L F T1", [1.0, 1.0, 1.0]),
    ];
    let curve = |(name, strategy): (&str, [f64; 3])| {
        let of_it = || cells.iter().filter(move |cell| cell.at[1] == 0.5 && cell.at[2..] == strategy);
        Curve {
            name: name.into(),
            line: of_it().map(|cell| (cell.at[0], cell.theory - cell.at[0])).collect(),
            points: of_it()
                .map(|cell| {
                    let mut gain = cell.simulated;
                    gain.mean -= cell.at[0];
                    (cell.at[0], gain)
                })
                .collect(),
        }
    };
    Figure {
        name: "stubborn",
        title: "Stubborn mining at γ = ½: what it earns above its power".into(),
        x_label: "α, the pool's part of the power".into(),
        y_label: "part of the chain − α".into(),
        x_scale: Scale::Linear,
        y_scale: Scale::Linear,
        curves: STRATEGIES.into_iter().map(curve).collect(),
    }
}
