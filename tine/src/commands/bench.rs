//! `tine bench`: how fast real nodes are, by one command.

mod caller;
mod child;
mod growth;
mod line;
mod material;
mod peer;
mod plot;
mod rows;
mod rpc;

use std::collections::BTreeSet;

use clap::ValueEnum as _;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use crate::cli::{BenchChainArgs, BenchCommand, BenchRow};
use crate::exit::Error;
use crate::out::Out;
use child::Figure;
use peer::{SOURCE, Standard};
use rows::{Bench, Folder};

/// Payments and empty blocks of a whole run; `--quick` takes a tenth.
const FULL_BLOCKS: usize = 100;
const EMPTY_BLOCKS: u32 = 10_000;
/// Rows that share ten groups of coins have no more than three runs each.
const MAX_RUNS: usize = 3;

/// Runs the command.
///
/// # Errors
/// A node did not do what it was told, or the system refused something: exit 1.
pub(super) fn run(out: Out, command: &BenchCommand) -> Result<(), Error> {
    match command {
        BenchCommand::Chain(args) => chain(out, args),
        BenchCommand::Growth(args) => growth::run(out, args),
        BenchCommand::Rpc(args) => rpc::run(out, args),
    }
}

fn chain(out: Out, args: &BenchChainArgs) -> Result<(), Error> {
    let rows: BTreeSet<_> = match args.rows.as_slice() {
        [] => BenchRow::value_variants().iter().copied().collect(),
        rows => rows.iter().copied().collect(),
    };
    let (part, runs) = if args.quick { (10, 1) } else { (1, MAX_RUNS) };
    let bench = Bench {
        full_blocks: FULL_BLOCKS / part,
        empty_blocks: EMPTY_BLOCKS / part as u32,
        runs: args.runs.map_or(runs, |runs| runs as usize),
        coin_cache: args.coin_cache,
        dir: Folder::new(args.work_dir.as_deref())?,
        bar: ProgressBar::new(rows.len() as u64).with_style(bar_style()),
        rows,
    };
    bench.bar.enable_steady_tick(std::time::Duration::from_millis(200));
    let figures = bench.run();
    bench.bar.finish_and_clear();
    show(out, &bench, &figures?);
    Ok(())
}

fn bar_style() -> ProgressStyle {
    ProgressStyle::with_template("{bar:20} {pos} of {len}  {elapsed}  {msg}").expect("our own template")
}

/// A row as JSON; null where there is no such figure.
fn row_of(figure: &Figure) -> serde_json::Value {
    let standard = Standard::of(figure.row);
    json!({
        "row": figure.row, "work": standard.work, "unit": standard.unit,
        "median": figure.median(), "runs": figure.runs, "peak_memory_mb": figure.peak_memory_mb,
        "core": standard.core, "must": standard.must, "aim": standard.aim,
        "met": standard.is_met_by(figure.median()),
    })
}

/// The figures as a table.
fn table(out: Out, figures: &[Figure]) {
    let line = |figure: &Figure| {
        let standard = Standard::of(figure.row);
        let verdict = match standard.is_met_by(figure.median()) {
            Some(true) => "yes".to_owned(),
            Some(false) => out.alarm("no"),
            None => String::new(),
        };
        [
            standard.work.to_owned(),
            standard.unit.to_owned(),
            short(figure.median()),
            figure.peak_memory_mb.map_or_else(String::new, |mb| format!("{mb:.0} MB")),
            standard.core.map_or_else(String::new, short),
            standard.must.map_or_else(String::new, short),
            standard.aim.map_or_else(String::new, short),
            verdict,
        ]
    };
    let head = ["work", "unit", "tine", "peak memory", "Core", "must", "aim", "met"];
    out.table(head, figures.iter().map(line));
}

fn show(out: Out, bench: &Bench, figures: &[Figure]) {
    let rows: Vec<_> = figures.iter().map(row_of).collect();
    out.document(&json!({
        "payments": bench.full_blocks * material::PAYMENTS, "empty_blocks": bench.empty_blocks,
        "runs": bench.runs, "load": load(), "core_source": SOURCE, "rows": rows,
    }));
    table(out, figures);
    let payments = bench.full_blocks * material::PAYMENTS;
    out.line(format!("{payments} payments, {} empty blocks, median of {}", bench.empty_blocks, bench.runs));
    if let Some(load) = load() {
        out.line(format!("load of the machine: {load}"));
    }
    out.line(out.dim(format!("Core: {SOURCE}")));
}

/// How many processes have wanted a processor in the last 1, 5 and 15 minutes.
fn load() -> Option<String> {
    let text = std::fs::read_to_string("/proc/loadavg").ok()?;
    Some(text.split_whitespace().take(3).collect::<Vec<_>>().join(" "))
}

/// Three digits that matter.
fn short(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}
