//! `tine lab selfish`, `doublespend` and the other experiments: the papers' numbers beside ours.

use std::path::Path;

use indicatif::{ProgressBar, ProgressStyle};
use tine_lab::experiments::report::{Grid, Report};
use tine_lab::experiments::{Effort, doublespend, generals, optimal, propagation, selfish, stubborn};
use tine_lab::plot;
use tine_lab::stats::{MAX_Z, Verdict};

use crate::cli::{DoubleSpendArgs, ExperimentArgs, GeneralsArgs, PropagationArgs, SelfishArgs, StrategyArgs};
use crate::exit::Error;
use crate::out::Out;

/// Blocks or races for each cell, and in a quick look.
const TRIALS: u64 = 1_000_000;
const QUICK_TRIALS: u64 = 20_000;
/// Shares of a quick look at strategies whose exact solution takes a while.
const QUICK_SHARES: [f64; 3] = [0.25, 0.3, 0.35];

/// `tine lab doublespend`.
pub(super) fn doublespend(out: Out, args: &DoubleSpendArgs) -> Result<(), Error> {
    let subject = match args.q {
        Some(q) => doublespend::Subject::Pairs(q, args.confirmations.clone()),
        None => doublespend::Subject::Tables(|_| true),
    };
    let effort = effort(&args.experiment, args.races);
    finish(out, &args.experiment, |tell| doublespend::run(&subject, effort, tell))
}

/// `tine lab selfish`.
pub(super) fn selfish(out: Out, args: &SelfishArgs) -> Result<(), Error> {
    let (all_alphas, all_gammas) = selfish::reference_grid();
    let whole = args.alpha.is_empty() && args.gamma.is_empty();
    let or = |given: &[f64], all: Vec<f64>| if given.is_empty() { all } else { given.to_vec() };
    let (alphas, gammas) = (or(&args.alpha, all_alphas), or(&args.gamma, all_gammas));
    let effort = effort(&args.experiment, args.blocks);
    finish(out, &args.experiment, |tell| {
        let mut report = selfish::run(&alphas, &gammas, effort, tell);
        if whole {
            report.grids.push(selfish::retarget(effort, &mut |_| {}));
        }
        report
    })
}

/// `tine lab stubborn`.
pub(super) fn stubborn(out: Out, args: &StrategyArgs) -> Result<(), Error> {
    strategies(out, args, stubborn::shares(), |wanted, effort, tell| stubborn::run(wanted, effort, tell))
}

/// `tine lab optimal`.
pub(super) fn optimal(out: Out, args: &StrategyArgs) -> Result<(), Error> {
    strategies(out, args, optimal::shares(), |wanted, effort, tell| optimal::run(wanted, effort, tell))
}

/// `tine lab propagation`.
pub(super) fn propagation(out: Out, args: &PropagationArgs) -> Result<(), Error> {
    let effort = effort(&args.experiment, args.blocks);
    finish(out, &args.experiment, |tell| propagation::run(effort, tell))
}

/// `tine lab generals`.
pub(super) fn generals(out: Out, args: &GeneralsArgs) -> Result<(), Error> {
    let ExperimentArgs { seed, quick, .. } = args.experiment;
    let (adversaries, races) = if quick { (200, 200) } else { (5_000, 2_000) };
    let effort = generals::Effort { seed, adversaries, races: args.races.unwrap_or(races) };
    finish(out, &args.experiment, |tell| generals::run(effort, tell))
}

fn strategies(
    out: Out,
    args: &StrategyArgs,
    known: Vec<f64>,
    run: impl FnOnce(&dyn Fn(f64) -> bool, Effort, &mut dyn FnMut(f64)) -> Report,
) -> Result<(), Error> {
    if let Some(unknown) = args.alpha.iter().find(|alpha| !known.contains(alpha)) {
        return Err(Error::Usage(format!("--alpha {unknown}: the table has {known:?}")));
    }
    let some = if args.experiment.quick { QUICK_SHARES.to_vec() } else { known };
    let shares = if args.alpha.is_empty() { some } else { args.alpha.clone() };
    let effort = effort(&args.experiment, args.blocks);
    finish(out, &args.experiment, |tell| run(&|alpha| shares.contains(&alpha), effort, tell))
}

fn effort(args: &ExperimentArgs, trials: Option<u64>) -> Effort {
    let usual = if args.quick { QUICK_TRIALS } else { TRIALS };
    Effort { seed: args.seed, trials: trials.unwrap_or(usual) }
}

/// Runs with a progress bar, prints, writes, and says by the exit code whether all agrees.
fn finish(
    out: Out,
    args: &ExperimentArgs,
    run: impl FnOnce(&mut dyn FnMut(f64)) -> Report,
) -> Result<(), Error> {
    // drawn on standard error, and only on a terminal
    let style = ProgressStyle::with_template("{wide_bar} {percent} %, {eta} left").expect("our own template");
    let bar = ProgressBar::new(1_000).with_style(style);
    let report = run(&mut |done| bar.set_position((done * 1_000.0) as u64));
    bar.finish_and_clear();
    conclude(out, &report, args.out.as_deref())
}

/// Prints and writes a report, and says by the exit code whether all agrees.
pub(super) fn conclude(out: Out, report: &Report, folder: Option<&Path>) -> Result<(), Error> {
    show(out, report);
    if let Some(folder) = folder {
        write(folder, report).map_err(|error| Error::failed(folder.display(), error))?;
        out.line(format_args!("tables and figures are in {}", folder.display()));
    }
    out.document(&report.json());
    if report.passed() {
        return Ok(());
    }
    let Report { experiment, seed, .. } = report;
    Err(Error::Failed(format!("{experiment}, seed {seed}: theory and simulation disagree")))
}

fn show(out: Out, report: &Report) {
    for grid in &report.grids {
        out.line(out.bold(grid.title));
        let rows = grid.cells.iter().map(|cell| grid.values(cell).map(figure).collect());
        out.columns(&grid.columns(), rows);
        out.line(verdict(out, grid));
        out.line("");
    }
    for check in &report.checks {
        out.line(format_args!("{} {}: {}", mark(out, check.passed), check.claim, check.found));
    }
    out.line(format_args!("seed {}", report.seed));
}

fn mark(out: Out, passed: bool) -> String {
    if passed { "✓".into() } else { out.alarm("✗") }
}

fn verdict(out: Out, grid: &Grid) -> String {
    let Verdict { cells, chi2_per_cell, chi2_range: (low, high), worst_z, passed } = grid.verdict();
    let (mark, low) = (mark(out, passed), low.max(0.0));
    format!(
        "{mark} {cells} cells judged: χ²/n {chi2_per_cell:.3} (allowed {low:.3} to {high:.3}), worst |z| {worst_z:.2} (allowed {MAX_Z})"
    )
}

/// Four decimals or four figures, whichever says more.
fn figure(value: Option<f64>) -> String {
    match value {
        None => "–".into(),
        Some(value) if value == 0.0 || value.abs() >= 1e5 || value.fract() == 0.0 => format!("{value}"),
        Some(value) if value.abs() < 1e-2 => format!("{value:.3e}"),
        Some(value) => format!("{value:.5}"),
    }
}

fn write(folder: &Path, report: &Report) -> Result<(), Box<dyn std::error::Error>> {
    std::fs::create_dir_all(folder)?;
    for grid in &report.grids {
        std::fs::write(folder.join(format!("{}.csv", grid.name)), grid.csv())?;
    }
    for figure in &report.figures {
        std::fs::write(folder.join(format!("{}.svg", figure.name)), plot::svg(figure)?)?;
    }
    Ok(())
}
