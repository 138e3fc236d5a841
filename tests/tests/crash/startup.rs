//! What the program finds when it starts, and what it is told while it does.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;
use tine_tests::crash::{Source, Victim};
use tine_tests::process::{Tine, free_ports};

/// How long a start or a stop may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// A node with some blocks, stopped cleanly; its tip and coins.
fn stopped(blocks: usize) -> (Victim, (String, serde_json::Value)) {
    let mut source = Source::new(3);
    let mut victim = Victim::start();
    for name in source.extend(blocks) {
        victim.submit(&source.raw(&name));
    }
    let state = victim.state();
    assert!(victim.tine.interrupt(PATIENCE).success());
    (victim, state)
}

/// Runs the program with `more` arguments until it ends by itself: its exit code, and what it said.
fn refused(victim: &mut Victim, more: &[&str]) -> (Option<i32>, String) {
    let arguments = victim.arguments(more);
    victim.run(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    let status = victim.tine.wait_end(PATIENCE);
    // the collectors may be behind by a line
    thread::sleep(Duration::from_millis(50));
    (status.code(), victim.tine.lines().join("\n"))
}

/// Every file below `path` but the lock, with its bytes.
fn read_all(path: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files = Vec::new();
    for entry in fs::read_dir(path).expect("listed") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files.extend(read_all(&path));
        } else if !path.ends_with("LOCK") {
            files.push((path.clone(), fs::read(&path).expect("read")));
        }
    }
    files.sort();
    files
}

#[test]
fn sto_13_a_piece_that_is_gone_is_named_and_the_start_is_clean_when_it_is_back() {
    let (mut victim, state) = stopped(12);
    for piece in ["FORMAT", "journal.dat", "blocks/00000.dat"] {
        let (path, aside) = (victim.data().join(piece), victim.data().join("aside"));
        fs::rename(&path, &aside).expect("moved");
        let (code, said) = refused(&mut victim, &[]);
        assert_eq!(code, Some(1), "{piece}: {said}");
        assert!(said.contains(piece) && said.contains("tine node --reindex"), "{piece}: {said}");
        fs::rename(&aside, &path).expect("moved back");
    }
    // nothing is lost with the database: it is made again
    fs::remove_dir_all(victim.data().join("index")).expect("removed");
    victim.restart(None);
    assert_eq!(victim.state(), state);
}

#[test]
fn sto_14_a_reindex_that_is_killed_goes_on_and_ends_at_the_same_coins() {
    let (mut victim, state) = stopped(60);
    for wait in [0, 40, 120, 400] {
        let arguments = victim.arguments(&["--reindex"]);
        victim.run(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
        thread::sleep(Duration::from_millis(wait));
        victim.tine.kill();
    }
    // without --reindex: it has no need to begin again
    victim.restart(None);
    let end = Instant::now() + PATIENCE;
    while victim.rpc.tip().1 != state.0 {
        assert!(Instant::now() < end, "the tip is {:?}", victim.rpc.tip());
        thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(victim.state(), state);
}

#[test]
fn sto_15_a_second_process_is_refused_and_the_first_does_not_notice() {
    let victim = Victim::start();
    let cookie = fs::read(victim.data().join(".cookie")).expect("a cookie");
    // on ports of its own, so that only the directory stands in its way
    let port = free_ports(1, 10);
    let mut arguments = victim.arguments(&[]);
    for (flag, value) in [("--rpc-port", port.to_string()), ("--listen", format!("127.0.0.1:{}", port + 1))] {
        let place = arguments.iter().position(|word| word == flag).expect("it is given");
        arguments[place + 1] = value;
    }
    let mut second = Tine::start(&arguments.iter().map(String::as_str).collect::<Vec<_>>(), &[]);
    let status = second.wait_end(PATIENCE);
    thread::sleep(Duration::from_millis(50));
    let said = second.lines().join("\n");
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(said.contains("in use by another process"), "{said}");
    assert_eq!(fs::read(victim.data().join(".cookie")).expect("a cookie"), cookie);
    assert!(victim.rpc.try_call("getblockcount", &json!([])).is_ok());
}

#[test]
fn sto_17_a_later_format_is_refused_with_advice_and_nothing_is_changed() {
    let (mut victim, state) = stopped(3);
    let path = victim.data().join("FORMAT");
    let text = fs::read_to_string(&path).expect("text");
    fs::write(&path, format!("99{}", &text[1..])).expect("written");
    let before = read_all(&victim.data());
    for more in [&[][..], &["--reindex"]] {
        let (code, said) = refused(&mut victim, more);
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains("format 99") && said.contains("newer program"), "{said}");
        assert_eq!(read_all(&victim.data()), before);
    }
    fs::write(&path, text).expect("written");
    victim.restart(None);
    assert_eq!(victim.state(), state);
}

#[test]
fn sto_16_a_signal_at_any_stage_of_a_start_is_a_clean_stop() {
    let mut source = Source::new(8);
    let mut victim = Victim::start();
    for name in source.extend(20) {
        victim.submit(&source.raw(&name));
    }
    for stage in 1..=20 {
        for name in source.extend(3) {
            victim.submit(&source.raw(&name));
        }
        let state = victim.state();
        // killed, it replays at its next start what it had not flushed: a stage for each commit
        victim.tine.kill();
        victim.launch(None);
        let end = Instant::now() + PATIENCE;
        let answers = |victim: &Victim| victim.rpc.try_call("getblockcount", &json!([])).is_ok();
        while victim.stages().len() < stage && !answers(&victim) {
            assert!(Instant::now() < end && victim.tine.is_running(), "stage {stage}");
            thread::sleep(Duration::from_millis(1));
        }
        victim.tine.signal_terminate();
        let status = victim.tine.wait_end(PATIENCE);
        assert!(status.success(), "stage {stage}: {status}\n{}", victim.tine.lines().join("\n"));
        victim.restart(None);
        assert_eq!(victim.state(), state, "stage {stage}");
    }
}
