//! `tine headers check`.

use std::io::Read as _;
use std::path::Path;
use std::time::Instant;

use serde_json::json;
use tine_chain::header_chain::{Summary, check_headers};
use tine_chain::params::Params;

use crate::cli::HeadersCommand;
use crate::exit::Error;
use crate::out::Out;

/// The largest file that is read, in bytes: more headers than Bitcoin will have in this century.
const MAX_FILE_SIZE: u64 = 1 << 30;

/// Runs the command.
///
/// # Errors
/// The file can't be read: exit 1. A header breaks a rule: exit 4.
pub(super) fn run(out: Out, command: &HeadersCommand) -> Result<(), Error> {
    let HeadersCommand::Check { file, network, height } = command;
    let params = Params::of((*network).into());
    let bytes = read(file)?;
    let start = Instant::now();
    let checked = check_headers(&bytes, &params, *height);
    let took_ms = start.elapsed().as_secs_f64() * 1_000.0;
    match checked {
        Ok(summary) => {
            show(out, &summary, took_ms);
            Ok(())
        }
        Err(bad) => {
            out.document(&json!({
                "valid": false, "index": bad.index, "height": bad.height,
                "hash": bad.hash, "rule": bad.problem.reject().reason(), "problem": bad.problem.to_string(),
            }));
            let hash = bad.hash.map_or_else(String::new, |hash| format!("\n  id {hash}"));
            Err(Error::Rejected(format!("{bad}{hash}")))
        }
    }
}

fn read(file: &Path) -> Result<Vec<u8>, Error> {
    let failed = |error| Error::failed(file.display(), error);
    let mut bytes = Vec::new();
    let read = if file == Path::new("-") {
        std::io::stdin().lock().take(MAX_FILE_SIZE + 1).read_to_end(&mut bytes)
    } else {
        std::fs::File::open(file).map_err(failed)?.take(MAX_FILE_SIZE + 1).read_to_end(&mut bytes)
    };
    read.map_err(failed)?;
    if bytes.len() as u64 > MAX_FILE_SIZE {
        return Err(Error::Failed(format!("{}: longer than 1 GiB", file.display())));
    }
    Ok(bytes)
}

fn show(out: Out, summary: &Summary, took_ms: f64) {
    out.document(&json!({
        "valid": true,
        "count": summary.count,
        "first_height": summary.first_height,
        "first_hash": summary.first_hash,
        "last_hash": summary.last_hash,
        "work": summary.work.to_string(),
        "changes": summary.changes,
        "earliest": summary.earliest,
        "latest": summary.latest,
        "milliseconds": took_ms,
    }));
    let heights = summary.first_height.map_or_else(String::new, |first| {
        format!(", heights {first} to {}", u64::from(first) + summary.count as u64 - 1)
    });
    out.line(format!("{} headers{heights}: {} ({took_ms:.1} ms)", summary.count, out.bold("all valid")));
    out.line(format!("  first  {}", summary.first_hash));
    out.line(format!("  last   {}", summary.last_hash));
    out.line(format!("  work   0x{:x} expected hashes", summary.work.0));
    for change in &summary.changes {
        let at = change
            .height
            .map_or_else(|| format!("header {}", change.index), |height| format!("height {height}"));
        let how =
            if change.recomputed { "recomputed from the period's times" } else { "within the factor of 4" };
        out.line(format!("  difficulty changes at {at}: {} to {} ({how})", change.from, change.to));
    }
}
