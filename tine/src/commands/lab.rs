//! `tine lab`: real nodes under virtual time.

use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use tine_lab::recording::Recording;
use tine_lab::scenario::{Outcome, Partition, Scenario};

use super::{experiments, scenario};
use crate::cli::{LabCommand, LabRunArgs};
use crate::exit::Error;
use crate::out::Out;

/// Runs the command.
///
/// # Errors
/// The scenario contradicts itself: exit 2. The event log can't be written, or the nodes do not agree: exit 1.
pub(super) fn run(out: Out, command: &LabCommand) -> Result<(), Error> {
    match command {
        LabCommand::Run(args) => match &args.scenario {
            Some(named) => scenario::run(out, named, args),
            None => run_plain(out, args),
        },
        LabCommand::List { name } => scenario::list(out, name.as_deref()),
        LabCommand::Replay(args) => scenario::replay(out, args),
        LabCommand::Open(args) => super::recorded::open(out, args),
        LabCommand::Scale(args) => super::worlds::scale(out, args),
        LabCommand::Storm(args) => super::worlds::storm(out, args),
        LabCommand::Sweep(args) => super::sweep::sweep(out, args),
        LabCommand::Merge(args) => super::sweep::merge(out, args),
        LabCommand::Doublespend(args) => experiments::doublespend(out, args),
        LabCommand::Selfish(args) => experiments::selfish(out, args),
        LabCommand::Stubborn(args) => experiments::stubborn(out, args),
        LabCommand::Optimal(args) => experiments::optimal(out, args),
        LabCommand::Propagation(args) => experiments::propagation(out, args),
        LabCommand::Generals(args) => experiments::generals(out, args),
    }
}

fn run_plain(out: Out, args: &LabRunArgs) -> Result<(), Error> {
    let scenario = plain(args)?;
    let start = Instant::now();
    let failed = |error| Error::failed("the lab", error);
    // drawn on standard error, and only on a terminal
    let bar = ProgressBar::new(args.blocks.into()).with_style(bar_style());
    let run = scenario.run(|mined| bar.set_position(mined.into()));
    bar.finish_and_clear();
    let (outcome, log) = run.map_err(failed)?;
    if let Some(path) = &args.events {
        write_events(path, &log).map_err(|error| Error::failed(path.display(), error))?;
    }
    show(out, &outcome, args.nodes, start.elapsed());
    match outcome.tips {
        1 => Ok(()),
        tips => {
            Err(Error::Failed(format!("the nodes ended on {tips} different tips (seed {})", outcome.seed)))
        }
    }
}

fn bar_style() -> ProgressStyle {
    ProgressStyle::with_template("{wide_bar} {pos} of {len} blocks, {eta} left").expect("our own template")
}

fn plain(args: &LabRunArgs) -> Result<Scenario, Error> {
    let [low, high] = args.latency;
    if low > high {
        return Err(Error::Usage(format!("--latency {low},{high}: the shortest delay comes first")));
    }
    let partition = args.partition.map(|[from_height, blocks, cut_off]| Partition {
        from_height,
        blocks,
        cut_off: cut_off as usize,
    });
    if let Some(Partition { cut_off, .. }) = partition
        && !(1..args.nodes as usize).contains(&cut_off)
    {
        let most = args.nodes - 1;
        return Err(Error::Usage(format!("--partition cuts off {cut_off} nodes: 1 to {most} can be")));
    }
    Ok(Scenario {
        seed: args.seed.unwrap_or(1),
        nodes: args.nodes as usize,
        degree: args.degree as usize,
        latency: (Duration::from_millis(low), Duration::from_millis(high)),
        blocks: args.blocks,
        partition,
    })
}

fn write_events(path: &Path, log: &Recording) -> std::io::Result<()> {
    let mut file = std::io::BufWriter::new(std::fs::File::create(path)?);
    for entry in log.entries() {
        file.write_all(entry.line().as_bytes())?;
    }
    file.flush()
}

fn show(out: Out, outcome: &Outcome, nodes: u32, took: Duration) {
    out.document(outcome);
    let Outcome { seed, event_hash, events, mined, height, stale, reorgs, deepest_reorg, .. } = outcome;
    out.line(format_args!("{nodes} nodes, {mined} blocks found, {stale} of them stale; height {height}"));
    out.line(format_args!("{reorgs} reorganisations over all nodes, the deepest by {deepest_reorg}"));
    out.line(format_args!(
        "{:.3} s between blocks, {} s of virtual time in {:.1} s",
        outcome.mean_interval_secs,
        outcome.virtual_secs,
        took.as_secs_f64()
    ));
    out.line(format_args!("seed {seed}: {events} events, hash {event_hash}"));
}
