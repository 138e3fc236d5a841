//! A full disk: the node stops with the reason, and goes on when there is space.

use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use tine_tests::crash::{Source, Victim};
use tine_tests::process::Tine;

const PATIENCE: Duration = Duration::from_secs(60);

/// Submits blocks until the node answers no more; the ids of those that it acknowledged.
fn submit_until_it_ends(victim: &mut Victim, source: &mut Source, most: usize) -> Vec<String> {
    let mut acknowledged = Vec::new();
    for _ in 0..most {
        let name = source.extend(1).pop().expect("one");
        match victim.rpc.try_call("submitblock", &json!([source.raw(&name)])) {
            Ok(Value::Null) => acknowledged.push(source.hash(&name)),
            Ok(answer) => panic!("refused: {answer}"),
            Err(_) => break,
        }
    }
    acknowledged
}

/// The node has ended by itself and said why.
fn require_a_clean_end(victim: &mut Victim, reason: &str) {
    let status = victim.tine.wait_end(PATIENCE);
    thread::sleep(Duration::from_millis(50));
    let said =
        victim.tine.lines().into_iter().filter(|line| !line.contains("tine::store")).collect::<Vec<_>>();
    let said = said.join("\n");
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(said.contains(reason), "{said}");
    assert!(!said.contains("panicked"), "{said}");
}

/// It comes back with everything that it acknowledged, and goes on.
fn require_nothing_lost(victim: &mut Victim, source: &Source, acknowledged: &[String]) {
    victim.restart(None);
    for hash in acknowledged.iter().rev().take(50) {
        let header = victim.rpc.call("getblockheader", &json!([hash]));
        assert!(header["confirmations"].as_i64() >= Some(1), "{hash} was acknowledged: {header}");
    }
    let (tip, coins) = victim.state();
    assert_eq!(coins, json!(source.coins_at(&tip).1));
    // the block that was refused is taken now
    let known = victim.rpc.tip().0 as usize;
    for name in &source.path()[known..] {
        victim.submit(&source.raw(name));
    }
    assert_eq!(victim.rpc.tip().1, source.tip_hash());
}

#[test]
fn sto_07_a_write_that_fails_ends_the_node_with_the_reason() {
    let mut source = Source::new(5);
    let mut victim = Victim::start();
    for name in source.extend(5) {
        victim.submit(&source.raw(&name));
    }
    assert!(victim.tine.interrupt(PATIENCE).success());
    // the largest file of all may grow a little
    let largest = largest_file(&victim.data());
    let arguments = victim.arguments(&[]);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    victim.tine = Tine::start_limited(&arguments, largest / 1024 + 8);
    victim.wait_ready();
    let acknowledged = submit_until_it_ends(&mut victim, &mut source, 4_000);
    require_a_clean_end(&mut victim, "os error 27");
    require_nothing_lost(&mut victim, &source, &acknowledged);
}

fn largest_file(path: &Path) -> u64 {
    let entries = std::fs::read_dir(path).expect("listed").map(|entry| entry.expect("an entry").path());
    let size = |path: std::path::PathBuf| match path.is_dir() {
        true => largest_file(&path),
        false => path.metadata().expect("there").len(),
    };
    entries.map(size).max().unwrap_or(0)
}

/// A file system of its own in memory, as far as this user may mount one.
struct SmallDisk<'a>(&'a Path);

impl<'a> SmallDisk<'a> {
    fn mount(path: &'a Path, kib: u64) -> Option<Self> {
        let size = format!("size={kib}k");
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "none"]).arg(path).output();
        mount.is_ok_and(|output| output.status.success()).then_some(Self(path))
    }

    fn grow(&self, kib: u64) {
        let size = format!("remount,size={kib}k");
        let grown = Command::new("mount").args(["-o", &size]).arg(self.0).status().expect("mount runs");
        assert!(grown.success());
    }
}

impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        // lazily: a node that a failed test left may still have files open
        let _ = Command::new("umount").arg("-l").arg(self.0).status();
    }
}

#[test]
fn sto_07_a_full_disk_ends_the_node_and_it_goes_on_when_there_is_space() {
    let mut source = Source::new(6);
    let mut victim = Victim::start();
    assert!(victim.tine.interrupt(PATIENCE).success());
    let data = victim.data();
    let Some(disk) = SmallDisk::mount(&data, 1_700) else {
        println!("only root may mount a file system: the test before this one does it by a limit");
        return;
    };
    victim.restart(None);
    let acknowledged = submit_until_it_ends(&mut victim, &mut source, 4_000);
    require_a_clean_end(&mut victim, "No space left on device");
    disk.grow(64 << 10);
    require_nothing_lost(&mut victim, &source, &acknowledged);
    victim.tine.kill();
}
