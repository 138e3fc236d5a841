//! `tine lab sweep` and `tine lab merge`: one experiment on many machines.
//!
//! Each cell's result is a file of its own, written beside its place, synced and renamed: it is whole or not there. So a
//! shard that died is simply run again, and plays what is missing.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;
use tine_lab::sweep::{Done, Plan, SweepError, Whole};

use super::{experiments, scenario, worlds};
use crate::cli::{LabMergeArgs, LabSweepArgs};
use crate::exit::Error;
use crate::out::Out;

/// Plays a shard.
///
/// # Errors
/// A plan or a shard that is none: exit 2. A folder that can't be written: exit 1.
pub(super) fn sweep(out: Out, args: &LabSweepArgs) -> Result<(), Error> {
    let plan = read_plan(&args.plan)?;
    let shard = match args.shard {
        Some(shard) => shard,
        None => shard_of(args.shards, |name| std::env::var(name).ok()).map_err(Error::Usage)?,
    };
    let cells = plan.shard(shard.0, shard.1).map_err(usage)?;
    std::fs::create_dir_all(&args.out).map_err(|error| Error::failed(args.out.display(), error))?;
    let style = ProgressStyle::with_template("{wide_bar} {pos} of {len} cells, {eta} left")
        .expect("our own template");
    // drawn on standard error, and only on a terminal
    let bar = ProgressBar::new(cells.len() as u64).with_style(style);
    let mut played = 0;
    for &cell in &cells {
        let path = args.out.join(file_name(cell));
        if !is_there(&plan, &path)? {
            let done = plan.play(cell).map_err(|error| Error::failed("the lab", error))?;
            keep(&path, &done).map_err(|error| Error::failed(path.display(), error))?;
            played += 1;
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    let (index, count) = shard;
    out.document(&json!({
        "plan": plan.digest(), "shard": index, "shards": count, "cells": cells.len(), "played": played,
    }));
    out.line(format_args!(
        "shard {index}/{count}: {} cells of {}, {played} played, the others were there; results in {}",
        cells.len(),
        plan.cells(),
        args.out.display()
    ));
    Ok(())
}

/// The shard that Slurm or Kubernetes gave this process; all of it where neither did.
fn shard_of(shards: Option<u64>, variable: impl Fn(&str) -> Option<String>) -> Result<(u64, u64), String> {
    let number = |name: &str| match variable(name) {
        None => Ok(None),
        Some(text) => {
            text.parse::<u64>().map(Some).map_err(|_| format!("{name} is {text:?}: a whole number is wanted"))
        }
    };
    let (slurm, kubernetes) = (number("SLURM_ARRAY_TASK_ID")?, number("JOB_COMPLETION_INDEX")?);
    let Some(index) = slurm.or(kubernetes) else { return Ok((0, 1)) };
    // SLURM_ARRAY_TASK_COUNT would not do: it is 1 for a single task of an array that is run again
    let count = shards.ok_or("--shards must say how many shards there are")?;
    Ok((index, count))
}

fn file_name(cell: u64) -> String {
    format!("cell-{cell:06}.json")
}

/// Whether the cell's result is there. What can't be read is played again; what is of another plan is not touched.
fn is_there(plan: &Plan, path: &Path) -> Result<bool, Error> {
    let Some(done) = read_cell(path) else { return Ok(false) };
    if done.plan == plan.digest() {
        return Ok(true);
    }
    let (found, wanted) = (done.plan, plan.digest());
    let path = path.display();
    Err(Error::Usage(format!(
        "{path} is of another plan ({found}, this one is {wanted}): choose another --out"
    )))
}

fn read_cell(path: &Path) -> Option<Done> {
    serde_json::from_slice(&std::fs::read(path).ok()?).ok()
}

fn keep(path: &Path, done: &Done) -> std::io::Result<()> {
    // two processes that play the same cell write the same, each into a file of its own
    let beside = path.with_extension(format!("{}.part", std::process::id()));
    let mut file = std::fs::File::create(&beside)?;
    file.write_all(serde_json::to_string(done)?.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&beside, path)
}

/// Puts the results of all shards together.
///
/// # Errors
/// A cell that is missing, results that do not belong together, or a disagreement with the theory: exit 1.
pub(super) fn merge(out: Out, args: &LabMergeArgs) -> Result<(), Error> {
    let plan = read_plan(&args.plan)?;
    let mut results = Vec::new();
    for path in files(&args.results)? {
        let broken = || {
            Error::Failed(format!(
                "{} is no result of a cell: remove it and run its shard again",
                path.display()
            ))
        };
        results.push(read_cell(&path).ok_or_else(broken)?);
    }
    match plan.merge(results).map_err(|error| Error::failed("merge", error))? {
        Whole::Report(report) => experiments::conclude(out, &report, args.csv.as_deref()),
        Whole::Storms(tally, failures) => {
            out.document(&json!({ "storms": tally, "failures": failures }));
            if failures.is_empty() {
                worlds::calm(out, &tally);
                return Ok(());
            }
            Err(Error::Failed(format!("{} storms found something:\n{}", failures.len(), failures.join("\n"))))
        }
    }
}

fn files(folders: &[PathBuf]) -> Result<Vec<PathBuf>, Error> {
    let mut files = Vec::new();
    for folder in folders {
        let failed = |error| Error::failed(folder.display(), error);
        for entry in std::fs::read_dir(folder).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            if path.extension().is_some_and(|extension| extension == "json") {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}

fn read_plan(path: &Path) -> Result<Plan, Error> {
    let text = scenario::read(path)?;
    Plan::parse(&text).map_err(|error| Error::Usage(format!("{}: {error}", path.display())))
}

fn usage(error: SweepError) -> Error {
    Error::Usage(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shard(shards: Option<u64>, variables: &[(&str, &str)]) -> Result<(u64, u64), String> {
        let find = |name: &str| variables.iter().find(|(key, _)| *key == name);
        shard_of(shards, |name| find(name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn the_shard_comes_from_slurm_or_kubernetes_and_else_is_everything() {
        assert_eq!(shard(None, &[]), Ok((0, 1)));
        assert_eq!(shard(Some(8), &[("SLURM_ARRAY_TASK_ID", "3")]), Ok((3, 8)));
        assert_eq!(shard(Some(2), &[("JOB_COMPLETION_INDEX", "0")]), Ok((0, 2)));
        assert!(shard(None, &[("SLURM_ARRAY_TASK_ID", "3")]).is_err_and(|error| error.contains("--shards")));
        assert!(shard(Some(2), &[("JOB_COMPLETION_INDEX", "x")]).is_err());
    }
}
