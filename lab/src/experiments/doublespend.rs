//! Double spends: the Bitcoin paper's section 11 as a formula and as races, with Rosenfeld's exact values beside.
//!
//! The paper takes the attacker's progress while the merchant waits as Poisson distributed; it is negative binomial, so
//! that the paper's figure is too low: 2.43e-4 instead of 5.91e-4 at q = 0.1 and six confirmations. The races decide.

use rand::Rng;
use tine_wallet::risk::{confirmation_risk, exact_risk};

use super::report::{Cell, Check, Curve, Figure, Grid, Report, Scale};
use super::{Effort, Progress, cell_rng, cells, part, reference};
use crate::race::double_spend::DoubleSpend;
use crate::stats::{Estimate, proportion};
use crate::theory::double_spend::premined_risk;

/// Races expected to succeed (and to fail) from which on their number is near enough to normal to be judged.
const LEAST_EXPECTED: f64 = 100.0;
/// Shares that the figure shows of the tables.
const DRAWN: [f64; 4] = [0.1, 0.2, 0.3, 0.4];
/// How far formula and paper may lie apart: the paper prints seven decimals.
const PRINTED: f64 = 0.5e-7;
/// How far our exact values may lie from the table's, as a part of them.
const TABLE_ROUNDING: f64 = 1e-10;

/// What is raced.
#[derive(Debug, Clone)]
pub enum Subject {
    /// All pairs of the reference tables with shares for which this holds, with and without pre-mining.
    Tables(fn(f64) -> bool),
    /// One attacker against each number of confirmations.
    Pairs(f64, Vec<u32>),
}

/// Plays `effort.trials` races for each pair of a share and a number of confirmations.
pub fn run(subject: &Subject, effort: Effort, progress: Progress<'_>) -> Report {
    let mut report = Report::new("doublespend", effort.seed);
    match subject {
        Subject::Tables(wanted) => {
            let level = pairs(reference::ROSENFELD, ["q", "n"], wanted);
            let premined = pairs(reference::PREMINED, ["beta", "k"], wanted);
            report.grids.push(races(&level, false, effort, &mut part(progress, 0.0, 0.6)));
            report.grids.push(races(&premined, true, effort, &mut part(progress, 0.6, 1.0)));
            report.checks.extend([paper_table(), rosenfeld_table(), premined_table()]);
        }
        Subject::Pairs(q, confirmations) => {
            let pairs: Vec<_> = confirmations.iter().map(|z| (*q, *z)).collect();
            report.grids.push(races(&pairs, false, effort, progress));
        }
    }
    report.checks.extend(told_apart(&report.grids[0], effort));
    report.figures.push(figure(&report.grids[0]));
    report
}

fn pairs(table: &str, columns: [&str; 2], wanted: impl Fn(f64) -> bool) -> Vec<(f64, u32)> {
    reference::rows(table)
        .map(|row| (row.number(columns[0]), row.number(columns[1]) as u32))
        // at one half and above every race is won, only not in any time that could be waited for
        .filter(|(q, _)| *q < 0.5 && wanted(*q))
        .collect()
}

fn count(race: DoubleSpend, races: u64, rng: &mut impl Rng) -> Estimate {
    proportion((0..races).filter(|_| race.succeeds(rng)).count() as u64, races)
}

fn races(pairs: &[(f64, u32)], premined: bool, effort: Effort, progress: Progress<'_>) -> Grid {
    // what is too rare to be judged at this number of races is not raced
    let theory = |q, z| if premined { premined_risk(q, z) } else { exact_risk(q, z) };
    let expected = |risk: f64| risk.min(1.0 - risk) * effort.trials as f64;
    let pairs: Vec<_> = pairs.iter().filter(|(q, z)| expected(theory(*q, *z)) >= LEAST_EXPECTED).collect();
    let cells = cells(pairs.len(), progress, |index| {
        let (q, z) = *pairs[index];
        let kind = if premined { "premined" } else { "doublespend" };
        let mut rng = cell_rng(effort.seed, kind, &[q, f64::from(z)]);
        let raced = count(DoubleSpend::new(q, z, premined), effort.trials, &mut rng);
        let beside = if premined { exact_risk(q, z) } else { confirmation_risk(q, z) };
        Cell { beside: vec![Some(beside)], ..Cell::new(vec![q, f64::from(z)], raced, theory(q, z)) }
    });
    let (name, title, theory, beside) = if premined {
        (
            "doublespend-premined",
            "The same by an attacker who mined before he paid",
            "exact_premined",
            "exact_without_premining",
        )
    } else {
        (
            "doublespend",
            "Double spends that succeed: races, Rosenfeld's exact value, the white paper's approximation",
            "exact",
            "white_paper_poisson",
        )
    };
    Grid {
        name,
        title,
        parameters: vec!["q", "confirmations"],
        simulated: "raced",
        theory,
        beside: vec![beside],
        cells,
    }
}

/// The races hold with the exact value, and against the paper's where both differ by more than chance could.
fn told_apart(grid: &Grid, effort: Effort) -> Option<Check> {
    let cell = grid.cells.iter().find(|cell| cell.at == [0.1, 6.0])?;
    let paper = cell.beside[0]?;
    let z = cell.simulated.z(paper);
    Some(Check::new(
        "the races tell the exact value from the white paper's approximation at q = 0.1 and six confirmations",
        format!(
            "raced {:.3e} over {} races; exact {:.3e} (z {:+.2}), white paper {paper:.3e} (z {z:+.1})",
            cell.simulated.mean,
            effort.trials,
            cell.theory,
            cell.z(),
        ),
        z > 4.0 && cell.z().abs() <= 4.0,
    ))
}

fn paper_table() -> Check {
    let worst = reference::rows(reference::NAKAMOTO)
        .map(|row| {
            let formula = confirmation_risk(row.number("q"), row.number("z") as u32);
            (formula - row.number("p_printed")).abs()
        })
        .fold(0.0, f64::max);
    Check::new(
        "the formula of section 11 gives the paper's printed values, to their seven decimals",
        format!("{worst:.1e} apart at most"),
        worst <= PRINTED * 1.02,
    )
}

fn rosenfeld_table() -> Check {
    let worst = reference::rows(reference::ROSENFELD)
        .map(|row| {
            let exact = exact_risk(row.number("q"), row.number("n") as u32);
            (exact / row.number("p_exact") - 1.0).abs()
        })
        .fold(0.0, f64::max);
    Check::new(
        "the exact formula gives Rosenfeld's table",
        format!("{worst:.1e} of a value apart at most"),
        worst <= TABLE_ROUNDING,
    )
}

fn premined_table() -> Check {
    let worst = reference::rows(reference::PREMINED)
        .map(|row| {
            let exact = premined_risk(row.number("beta"), row.number("k") as u32);
            (exact - row.number("P_premined")).abs()
        })
        .fold(0.0, f64::max);
    Check::new(
        "with pre-mining the closed form gives its table, to twelve decimals",
        format!("{worst:.1e} apart at most"),
        worst <= 1e-12,
    )
}

fn figure(grid: &Grid) -> Figure {
    let mut shares: Vec<f64> = grid.cells.iter().map(|cell| cell.at[0]).collect();
    shares.dedup();
    // of a whole table, as many as can be told apart
    if shares.len() > DRAWN.len() {
        shares.retain(|share| DRAWN.contains(share));
    }
    let exact = |q: &f64| {
        let of_it = || grid.cells.iter().filter(move |cell| cell.at[0] == *q);
        Curve {
            name: format!("q = {q}, exact"),
            line: of_it().map(|cell| (cell.at[1], cell.theory)).collect(),
            points: of_it().map(|cell| (cell.at[1], cell.simulated)).collect(),
        }
    };
    let mut curves: Vec<_> = shares.iter().map(exact).collect();
    if let Some(q) = shares.first() {
        let cells = grid.cells.iter().filter(|cell| cell.at[0] == *q);
        curves.push(Curve {
            name: format!("q = {q}, white paper"),
            line: cells.filter_map(|cell| Some((cell.at[1], cell.beside[0]?))).collect(),
            points: Vec::new(),
        });
    }
    Figure {
        name: "doublespend",
        title: "Double spends that succeed".into(),
        x_label: "confirmations".into(),
        y_label: "probability".into(),
        x_scale: Scale::Linear,
        y_scale: Scale::Log,
        curves,
    }
}
