//! `tine lab scale` and `tine lab storm`: worlds that are large, and worlds that are rough.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::Instant;

use indicatif::{ProgressBar, ProgressStyle};
use serde::{Deserialize, Serialize};
use tine_lab::scale::{self, PEERS, QUICK_SIZES, SIZES, Size};
use tine_lab::storm::{self, Failure, Report, Tally};
use tine_lab::world::{Counts, WorldError};
use tine_node::record::Entry;

use super::scenario;
use crate::cli::{LabScaleArgs, LabStormArgs};
use crate::exit::Error;
use crate::out::Out;

fn bar(len: u64, what: &str) -> ProgressBar {
    let template = format!("{what} {{wide_bar}} {{pos}} of {{len}}, {{eta}} left");
    let style = ProgressStyle::with_template(&template).expect("our own template");
    // drawn on standard error, and only on a terminal
    ProgressBar::new(len).with_style(style)
}

// -- scale

/// One size, measured.
#[derive(Debug, Serialize, Deserialize)]
struct Measured {
    nodes: usize,
    blocks: u64,
    height: u32,
    tips: usize,
    events: u64,
    adoptions: u64,
    reorgs: u64,
    cpu_secs: f64,
    /// Of these, until the first block was found: nodes are made and meet.
    start_cpu_secs: f64,
    wall_secs: f64,
    events_per_cpu_sec: f64,
    adoptions_per_cpu_sec: f64,
    /// Memory when the first block was found, when half of them were, and the most there ever was.
    start_mib: f64,
    half_mib: f64,
    peak_mib: f64,
}

/// Runs the sizes, each in a process of its own, so that the peak of its memory is its own.
///
/// # Errors
/// Nodes that disagree at the end, or a process that fails: exit 1.
pub(super) fn scale(out: Out, args: &LabScaleArgs) -> Result<(), Error> {
    if let [size] = args.size[..] {
        let measured = measure(size, args.seed)?;
        out.document(&measured);
        table(out, &[measured]);
        return Ok(());
    }
    let sizes = match (args.size.is_empty(), args.quick) {
        (false, _) => args.size.clone(),
        (true, true) => QUICK_SIZES.to_vec(),
        (true, false) => SIZES.to_vec(),
    };
    let measured =
        sizes.into_iter().map(|size| measure_apart(size, args.seed)).collect::<Result<Vec<_>, _>>()?;
    out.document(&serde_json::json!({ "measured": measured, "peers": PEERS }));
    table(out, &measured);
    Ok(())
}

fn measure(size: Size, seed: u64) -> Result<Measured, Error> {
    let bar = bar(size.blocks, &format!("{} nodes", size.nodes));
    let (start, cpu) = (Instant::now(), cpu_secs());
    let (mut at_first, mut at_half) = (None, None);
    let figures = scale::run(size, seed, |mined| {
        bar.set_position(mined);
        if mined >= 1 && at_first.is_none() {
            at_first = Some((cpu_secs() - cpu, memory_mib("VmRSS:")));
        }
        if mined >= size.blocks.div_ceil(2) && at_half.is_none() {
            at_half = Some(memory_mib("VmRSS:"));
        }
    });
    let figures = figures.map_err(|error| Error::failed("the lab", error))?;
    bar.finish_and_clear();
    let (start_cpu_secs, start_mib) = at_first.unwrap_or_default();
    let (cpu_secs, wall_secs) = (cpu_secs() - cpu, start.elapsed().as_secs_f64());
    let Counts { events, adoptions, reorgs, .. } = figures.counts;
    if figures.tips != 1 {
        return Err(Error::Failed(format!(
            "the nodes ended on {} different tips (seed {seed})",
            figures.tips
        )));
    }
    Ok(Measured {
        nodes: size.nodes,
        blocks: size.blocks,
        height: figures.height,
        tips: figures.tips,
        events,
        adoptions,
        reorgs,
        cpu_secs,
        start_cpu_secs,
        wall_secs,
        events_per_cpu_sec: events as f64 / cpu_secs.max(0.01),
        adoptions_per_cpu_sec: adoptions as f64 / cpu_secs.max(0.01),
        start_mib,
        half_mib: at_half.unwrap_or_default(),
        peak_mib: memory_mib("VmHWM:"),
    })
}

fn measure_apart(size: Size, seed: u64) -> Result<Measured, Error> {
    let failed = |error: &dyn std::fmt::Display| Error::failed("a run of its own", error);
    let program = std::env::current_exe().map_err(|error| failed(&error))?;
    let output = std::process::Command::new(program)
        .args(["lab", "scale", "--json", "--seed", &seed.to_string()])
        .args(["--size", &format!("{}x{}", size.nodes, size.blocks)])
        .stderr(std::process::Stdio::inherit())
        .output()
        .map_err(|error| failed(&error))?;
    if !output.status.success() {
        return Err(failed(&output.status));
    }
    serde_json::from_slice(&output.stdout).map_err(|error| failed(&error))
}

/// CPU time of this process so far, as Linux counts it: in hundredths of a second.
fn cpu_secs() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // the name before the last parenthesis may hold anything; user and system time are the 12th and 13th field after it
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    fields.skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / 100.0
}

/// Memory of this process as Linux states it, in MiB: `VmRSS:` now, `VmHWM:` the most it ever had.
fn memory_mib(field: &str) -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    kib.unwrap_or(0.0) / 1_024.0
}

fn table(out: Out, measured: &[Measured]) {
    let ours = measured.iter().map(|run| {
        [
            out.bold("tine, validating"),
            format!("{} × {}", run.nodes, run.blocks),
            format!("{:.1} + {:.1}", run.start_cpu_secs, run.cpu_secs - run.start_cpu_secs),
            format!("{:.0}", run.adoptions_per_cpu_sec),
            format!("{:.0}", run.events_per_cpu_sec),
            format!("{:.0}, {:.0}, {:.0}", run.start_mib, run.half_mib, run.peak_mib),
        ]
    });
    let others = PEERS.iter().map(|peer| {
        [
            peer.name.to_owned(),
            format!("{} × {}", peer.nodes, peer.blocks),
            String::new(),
            peer.adoptions_per_cpu_sec.to_string(),
            String::new(),
            peer.peak_mib.to_string(),
        ]
    });
    let head = [
        "simulator",
        "nodes × blocks",
        "CPU s: start + run",
        "adoptions / CPU s",
        "events / CPU s",
        "MiB: start, half, peak",
    ];
    out.table(head, ours.chain(others));
}

// -- storms

/// Runs storms.
///
/// # Errors
/// A storm that finds something: exit 1.
pub(super) fn storm(out: Out, args: &LabStormArgs) -> Result<(), Error> {
    if let Some(seed) = args.seed {
        let failed = |error| Error::failed("the lab", error);
        let (outcome, log) = storm::record(seed, args.acts).map_err(failed)?;
        if let Some(path) = &args.events {
            scenario::write(path, log.iter().map(Entry::line).collect())?;
        }
        return match outcome {
            Ok(report) => {
                out.document(&report);
                let Report { acts, counts, checks, event_hash, .. } = &report;
                out.line(format_args!("seed {seed}: {acts} acts, {} events, {checks} checks", counts.events));
                out.line(format_args!("event hash {event_hash}"));
                Ok(())
            }
            Err(failure) => Err(found(&failure)),
        };
    }
    let start = Instant::now();
    let tally = all(args)?;
    let wall_secs = start.elapsed().as_secs_f64();
    out.document(&Storms { tally: &tally, wall_secs });
    calm(out, &tally);
    out.line(format_args!("{wall_secs:.1} s"));
    Ok(())
}

/// What was printed of storms that found nothing.
#[derive(Debug, Serialize)]
struct Storms<'a> {
    #[serde(flatten)]
    tally: &'a Tally,
    wall_secs: f64,
}

/// Says what storms came to that found nothing.
pub(super) fn calm(out: Out, tally: &Tally) {
    let Tally { seeds, checks, mined, reorgs, payments, event_hash, .. } = tally;
    out.line(format_args!(
        "{seeds} storms found nothing: {checks} checks, {mined} blocks, {reorgs} reorganisations, {payments} payments"
    ));
    out.line(format_args!("event hash {event_hash}"));
}

type Outcome = Result<Result<Report, Failure>, WorldError>;

/// Every seed once, on several threads; each world stays on one.
fn all(args: &LabStormArgs) -> Result<Tally, Error> {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let next = AtomicU64::new(args.from);
    let end = args.from + args.seeds;
    let (sender, outcomes) = mpsc::channel::<Outcome>();
    let bar = bar(args.seeds, "storms");
    std::thread::scope(|scope| {
        for _ in 0..args.threads.map_or(cores, usize::from) {
            let (sender, next) = (sender.clone(), &next);
            scope.spawn(move || {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= end || sender.send(storm::run(seed, None)).is_err() {
                        break;
                    }
                }
            });
        }
        drop(sender);
        let mut reports = Vec::new();
        for outcome in outcomes {
            let report = outcome.map_err(|error| Error::failed("the lab", error));
            match report {
                Ok(Ok(report)) => reports.push(report),
                Ok(Err(failure)) => {
                    next.store(end, Ordering::Relaxed);
                    bar.finish_and_clear();
                    return Err(found(&shortest(failure)?));
                }
                Err(error) => return Err(error),
            }
            bar.inc(1);
        }
        bar.finish_and_clear();
        Ok(Tally::of(reports))
    })
}

fn shortest(failure: Failure) -> Result<Failure, Error> {
    storm::shrink(failure).map_err(|error| Error::failed("the lab", error))
}

fn found(failure: &Failure) -> Error {
    let Failure { seed, acts, event_hash, .. } = failure;
    let version = env!("CARGO_PKG_VERSION");
    Error::Failed(format!(
        "{failure}\nversion {version}, event hash {event_hash}\nto see it again: tine lab storm --seed {seed} --acts {acts} --events storm.ndjson\nto stand in it:  tine lab replay storm.ndjson --node n0"
    ))
}
