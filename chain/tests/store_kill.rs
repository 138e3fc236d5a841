//! `kill -9` for real: a child commits and tells each acknowledgement; it is killed, and the store opened again.
//!
//! A program of its own: called by `cargo test` it is the parent; called as `child DIR STEP [KIND]` it commits in DIR,
//! which is at STEP or one further, until it is killed, by itself at the first stage of KIND if that is given.

#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "two processes that talk over a pipe, and wait"
)]

#[path = "store/support.rs"]
#[allow(dead_code, reason = "shared with the other tests of the store")]
mod support;

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use support::{Model, open, small};
use tine_chain::store::{SledOptions, SledStore, Stage, Store};

const NAME: &str = "sto_01_sto_02_kill_9_at_random_moments_in_reorganisations_flushes_and_recoveries";
const SEED: u64 = 41;
/// The most commits of one run of the child.
const COMMITS: usize = 40;

/// The model that `store` holds, at or after `least` steps.
fn resume(store: &mut SledStore, least: u64) -> Model {
    let mut model = Model::after(SEED, least);
    for _ in 0..2 {
        if model.difference(store).expect("readable").is_none() {
            return model;
        }
        model.next_change();
    }
    panic!("the store is neither at step {least}, which was acknowledged, nor one further");
}

fn is_reorganisation(stage: &Stage) -> bool {
    matches!(stage, Stage::Append { disconnected: 1.., .. })
}

/// Dies at the first stage of a kind: in the middle of what it names, as the operating system would have it.
fn kill_hook(kind: String) -> impl Fn(&Stage) -> std::io::Result<()> {
    let reorganising = AtomicU64::new(0);
    move |stage| {
        if matches!(stage, Stage::Append { .. }) {
            reorganising.store(u64::from(is_reorganisation(stage)), Ordering::SeqCst);
        }
        let in_reorganisation = reorganising.load(Ordering::SeqCst) == 1;
        let now = match kind.as_str() {
            "reorg-sync-blocks" => in_reorganisation && *stage == Stage::SyncBlocks,
            "reorg-journal" => in_reorganisation && *stage == Stage::SyncJournal,
            "reorg-committed" => in_reorganisation && *stage == Stage::Committed,
            "flush-slice" => matches!(stage, Stage::FlushSlice { .. }),
            "flush-sync" => *stage == Stage::FlushSync,
            "flush-mark" => *stage == Stage::FlushMark,
            "replay" => matches!(stage, Stage::Replay { .. }),
            _ => false,
        };
        if now {
            println!("\nkilled {kind}");
            let id = std::process::id().to_string();
            Command::new("kill").args(["-9", &id]).status()?;
            std::thread::sleep(Duration::from_secs(60));
        }
        Ok(())
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["child", dir, step] => child(dir, step, ""),
        ["child", dir, step, kind] => child(dir, step, kind),
        _ if words.contains(&"--list") => println!("{NAME}: test"),
        // what `cargo test` is told to leave out
        _ if words.iter().any(|word| !word.starts_with('-'))
            && !words.iter().any(|word| NAME.contains(word)) => {}
        _ => {
            kill_again_and_again();
            println!("test {NAME} ... ok");
        }
    }
}

fn child(dir: &str, step: &str, kind: &str) {
    let kind = kind.to_owned();
    let options = SledOptions { on_stage: Some(Arc::new(kill_hook(kind))), ..small() };
    let mut store = open(Path::new(dir), options).expect("opened");
    let least = step.parse().expect("a number");
    let mut model = resume(&mut store, least);
    // the model is naive: a long run would spend its time there
    for _ in 0..COMMITS {
        store.commit(&model.next_change()).expect("committed");
        println!("\nack {}", model.step);
        std::io::stdout().flush().expect("written");
    }
}

/// Runs the child until it is killed, by itself at `kind` or from here, and returns what it acknowledged last.
fn run_child(dir: &Path, step: u64, kind: &str, wait: Duration) -> (u64, bool) {
    let mut child = Command::new(std::env::current_exe().expect("a path"))
        .arg("child")
        .arg(dir)
        .args([&step.to_string(), kind])
        .stdout(Stdio::piped())
        .spawn()
        .expect("started");
    let stdout = child.stdout.take().expect("piped");
    let reading = std::thread::spawn(move || {
        let (mut last, mut killed) = (step, false);
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            if let Some(step) = line.strip_prefix("ack ") {
                last = step.parse().expect("a number");
            }
            killed |= line.starts_with("killed ");
        }
        (last, killed)
    });
    let patience = if kind.is_empty() { wait } else { Duration::from_secs(20) };
    let mut waited = Duration::ZERO;
    while waited < patience && child.try_wait().expect("a child").is_none() {
        std::thread::sleep(Duration::from_millis(3));
        waited += Duration::from_millis(3);
    }
    // SIGKILL; an error says that it is dead already
    let _ = child.kill();
    child.wait().expect("a child");
    reading.join().expect("read")
}

fn kill_again_and_again() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut rng = StdRng::seed_from_u64(SEED);
    let kinds = [
        "",
        "reorg-sync-blocks",
        "flush-slice",
        "flush-sync",
        "reorg-journal",
        "flush-mark",
        "replay",
        "reorg-committed",
    ];
    let (mut step, mut in_reorganisations, mut in_flushes, mut in_replays) = (0, 0, 0, 0);
    for cycle in 0..44 {
        let kind = kinds[cycle % kinds.len()];
        let wait = Duration::from_millis(rng.random_range(30..400));
        let (acknowledged, inside) = run_child(dir.path(), step, kind, wait);
        in_reorganisations += u32::from(inside && kind.starts_with("reorg"));
        in_flushes += u32::from(inside && kind.starts_with("flush"));
        in_replays += u32::from(inside && kind == "replay");
        assert!(acknowledged >= step);
        let mut store = open(dir.path(), small()).expect("it comes back by itself");
        assert_eq!(store.recovery().rebuilt, None);
        step = resume(&mut store, acknowledged).step;
    }
    assert!(in_reorganisations >= 10, "{in_reorganisations} kills inside a reorganisation");
    assert!(in_flushes >= 10, "{in_flushes} kills inside a flush");
    assert!(in_replays > 0, "no kill inside a recovery");
    assert!(step > 50, "{step}");
}
