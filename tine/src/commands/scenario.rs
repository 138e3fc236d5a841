//! `tine lab run NAME|FILE`, `tine lab list`, `tine lab replay`: scenarios, and standing at a moment of their runs.

use std::path::Path;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;
use tine_lab::replay::{ReplayError, Run};
use tine_lab::script::gallery::{Exhibit, GALLERY};
use tine_lab::script::play::{NodeOutcome, Outcome, play};
use tine_lab::script::{Script, Verdict};
use tine_lab::{export, report};
use tine_node::explain::ReorgReport;
use tine_node::record::Entry;

use crate::cli::{LabReplayArgs, LabRunArgs};
use crate::exit::Error;
use crate::out::{Out, word};

/// The largest log that is read, in bytes.
const MAX_LOG: u64 = 2 << 30;
/// Steps of a progress bar.
const BAR: u64 = 1_000;

/// Prints the gallery, or the text of one scenario.
pub(super) fn list(out: Out, name: Option<&str>) -> Result<(), Error> {
    if let Some(name) = name {
        let no_exhibit =
            || Error::Usage(format!("no scenario is called {name:?}: `tine lab list` shows all"));
        let exhibit = Exhibit::named(name).ok_or_else(no_exhibit)?;
        out.raw(exhibit.text);
        return Ok(());
    }
    let mut titles = Vec::new();
    for exhibit in GALLERY {
        let script = exhibit.script().map_err(|error| Error::failed(exhibit.name, error))?;
        titles.push((exhibit.name, script.title));
    }
    out.document(
        &titles.iter().map(|(name, title)| json!({ "name": name, "title": title })).collect::<Vec<_>>(),
    );
    out.table(
        ["scenario", "what it shows"],
        titles.into_iter().map(|(name, title)| [name.to_owned(), title]),
    );
    out.line("\ntine lab run NAME runs one, tine lab list NAME prints its text");
    Ok(())
}

fn unknown(name: &str) -> Error {
    Error::Usage(format!("{name:?} is neither a file nor a scenario of `tine lab list`"))
}

/// Runs a scenario, tells what happened, and judges it.
pub(super) fn run(out: Out, named: &str, args: &LabRunArgs) -> Result<(), Error> {
    let text = match Exhibit::named(named) {
        Some(exhibit) => exhibit.text.to_owned(),
        None if Path::new(named).exists() => read(Path::new(named))?,
        None => return Err(unknown(named)),
    };
    let script = Script::parse(&text).map_err(|error| Error::Usage(format!("{named}: {error}")))?;
    let style = ProgressStyle::with_template("{wide_bar} {percent} %, {eta} left").expect("our own template");
    let bar = ProgressBar::new(BAR).with_style(style);
    let outcome =
        play(&script, &text, args.seed, args.quick, |part| bar.set_position((part * BAR as f64) as u64));
    bar.finish_and_clear();
    let outcome = outcome.map_err(|error| Error::failed(named, error))?;
    if let Some(path) = &args.events {
        write(path, outcome.log.iter().map(Entry::line).collect())?;
    }
    out.document(&json!({ "passed": outcome.passed(), "run": outcome }));
    show(out, &script, &outcome);
    if let Some(path) = &args.html {
        let run = Run::new(outcome.log.clone()).map_err(|error| Error::failed(named, error))?;
        let html =
            report::html(&run, &run.nodes[0], run.duration()).map_err(|error| Error::failed(named, error))?;
        write(path, html)?;
        out.line(format!("page: {}", path.display()));
    }
    if outcome.passed() {
        return Ok(());
    }
    let failed = outcome.expectations.iter().filter(|verdict| !verdict.passed).count();
    Err(Error::Failed(format!(
        "{failed} of {} expectations failed (seed {})",
        outcome.expectations.len(),
        outcome.seed
    )))
}

fn show(out: Out, script: &Script, outcome: &Outcome) {
    out.line(out.bold(&script.title));
    out.line("");
    out.line(script.story.trim());
    out.line("");
    outcome.story.iter().for_each(|line| out.line(line));
    out.line("");
    let number =
        |number: Option<u32>| number.map_or_else(|| "stopped".to_owned(), |number| number.to_string());
    let row = |node: &NodeOutcome| {
        [
            node.name.clone(),
            node.byzantine.clone().unwrap_or_else(|| "honest".to_owned()),
            number(node.height),
            node.tip.map_or_else(String::new, |tip| tip.to_string()[52..].to_owned()),
            node.mined.to_string(),
            node.kept.to_string(),
            format!("{} (deepest {})", node.reorgs, node.deepest),
        ]
    };
    let head = ["node", "conduct", "height", "tip", "mined", "kept", "reorganisations"];
    out.table(head, outcome.nodes.iter().map(row));
    out.line("");
    let row = |verdict: &Verdict| {
        let measured = verdict.measured.map_or_else(|| "none".to_owned(), |value| format!("{value:.3}"));
        let mark = if verdict.passed { "✓ pass".to_owned() } else { out.alarm("✗ FAIL") };
        [verdict.expected.clone(), measured, mark]
    };
    out.table(["expected", "measured", ""], outcome.expectations.iter().map(row));
    out.line(format!(
        "seed {}: {} blocks in {:.0} s of virtual time, {} events, hash {}",
        outcome.seed,
        outcome.mined,
        outcome.secs,
        outcome.log.len(),
        outcome.event_hash
    ));
}

/// Stands at a moment and answers what a live node would.
pub(super) fn replay(out: Out, args: &LabReplayArgs) -> Result<(), Error> {
    let failed = |error: ReplayError| Error::failed(args.run.display(), error);
    let run = read_run(&args.run)?;
    let moment = moment(&run, args.until)?;
    let node = args.node.clone().unwrap_or_else(|| run.nodes[0].clone());
    let chain = run.chain(&node, moment).map_err(failed)?;
    let balances = run.balances(&chain).map_err(failed)?;
    let tips = chain.chain_tips();
    let reorg =
        chain.journal().last().map(|reorg| ReorgReport::new(reorg, chain.reader().as_ref())).transpose();
    let reorg = reorg.map_err(|error| Error::failed("the journal", error))?;
    out.line(format!(
        "{}, {:.1} s after the start of {:?}: height {}, tip {}",
        out.bold(&node),
        moment.as_secs_f64(),
        run.name,
        chain.tip().height,
        chain.tip().hash
    ));
    out.line("");
    let row = |tip: &tine_chain::chain::ChainTip| {
        [tip.height.to_string(), tip.hash.to_string(), tip.branch_length.to_string(), word(&tip.status)]
    };
    out.table(["height", "tip", "branch", "status"], tips.iter().map(row));
    out.line("");
    let rows = balances.iter().map(|(name, sum)| [name.clone(), sum.to_string()]);
    out.table(["owner", "coins"], rows);
    if let Some(reorg) = &reorg {
        out.line(format!("\n{reorg}"));
    }
    out.document(&json!({
        "run": run.name,
        "node": node,
        "secs": moment.as_secs_f64(),
        "height": chain.tip().height,
        "tip": chain.tip().hash,
        "tips": tips.iter().map(|tip| json!({
            "height": tip.height, "hash": tip.hash, "branchlen": tip.branch_length, "status": tip.status,
        })).collect::<Vec<_>>(),
        "balances": balances.iter().map(|(name, sum)| json!({ "owner": name, "amount": sum.to_string() })).collect::<Vec<_>>(),
        "reorg": reorg,
    }));
    if let Some(path) = &args.html {
        write(path, report::html(&run, &node, moment).map_err(failed)?)?;
    }
    if let Some(path) = &args.csv {
        write(path, export::csv(run.until(moment)))?;
    }
    if let Some(path) = &args.shiviz {
        write(path, export::shiviz(run.until(moment)))?;
    }
    Ok(())
}

/// Reads the log of a run.
pub(crate) fn read_run(path: &Path) -> Result<Run, Error> {
    Run::parse(&read(path)?).map_err(|error| Error::failed(path.display(), error))
}

/// The moment so many seconds after a run's start; its end if none is named.
pub(crate) fn moment(run: &Run, until: Option<f64>) -> Result<Duration, Error> {
    match until {
        None => Ok(run.duration()),
        Some(secs) if (0.0..=1e9).contains(&secs) => Ok(Duration::from_secs_f64(secs)),
        Some(secs) => Err(Error::Usage(format!("--until {secs}: 0 to 1000000000 seconds"))),
    }
}

pub(super) fn read(path: &Path) -> Result<String, Error> {
    let failed = |error: std::io::Error| Error::failed(path.display(), error);
    let size = std::fs::metadata(path).map_err(failed)?.len();
    if size > MAX_LOG {
        return Err(Error::Usage(format!("{}: {size} bytes, more than {MAX_LOG}", path.display())));
    }
    std::fs::read_to_string(path).map_err(failed)
}

pub(super) fn write(path: &Path, text: String) -> Result<(), Error> {
    std::fs::write(path, text).map_err(|error| Error::failed(path.display(), error))
}
