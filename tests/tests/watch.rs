//! `tine watch` as a person uses it: a devnet in one terminal, the view in another, keys typed, the screen read.

use std::time::Duration;

use tine_tests::devnet::{Devnet, NAMES};
use tine_tests::process::Tine;
use tine_tests::terminal::Terminal;

const SOON: Duration = Duration::from_secs(20);
const LATER: Duration = Duration::from_secs(60);

fn watch(devnet: &Devnet, columns: u16, rows: u16) -> Terminal {
    let root = devnet.dir.path().to_str().expect("a plain path");
    Terminal::start(&["watch", "--dir", root], &[], columns, rows)
}

#[test]
fn a_fork_is_made_healed_and_explained_with_keys_alone() {
    let devnet = Devnet::start(&["--no-mine"]);
    let _ = devnet.type_in(&["mine", "12", "--on", "alice"]);
    devnet.wait_agreed(&NAMES, 12, SOON);
    let mut screen = watch(&devnet, 160, 50);
    let start =
        screen.wait("twelve blocks", SOON, |text| text.contains("height 12") && text.contains("[A 12]"));
    assert!(start.contains("live") && start.contains("ABCD"), "four flags on one tip:\n{start}");

    // the network is cut, and each side finds blocks of its own
    screen.press("s");
    let _ = screen.wait_text("> alice,bob | carol,dave", SOON);
    screen.press("\u{15}alice | bob,carol,dave\r");
    let _ = screen.wait_text("SPLIT alice | bob, carol, dave", SOON);
    let _ = screen.wait_text("cut from BCD", SOON);
    screen.press("m");
    let _ = screen.wait_text("who mines a block?", SOON);
    screen.press("a");
    let _ = screen.wait_text("[A 13]", SOON);
    for height in [13, 14] {
        screen.press("mb");
        let _ = screen.wait_text(&format!("B {height}"), SOON);
        let _ = screen.wait_text("bob mined", SOON);
    }
    let split =
        screen.wait("two branches", SOON, |text| text.contains("[B 14]") && text.contains("╰─┆A 13┆"));
    assert!(split.contains("FORK: 2 at this height"), "{split}");

    // back to when there was one branch, and to what happens now
    screen.press("[[");
    let past =
        screen.wait("a moment before", SOON, |text| text.contains("STOPPED") && !text.contains("B 14"));
    assert!(past.contains("A 13"), "{past}");
    screen.press(" ");
    let _ = screen.wait("now", SOON, |text| text.contains("live") && text.contains("[B 14]"));

    // the heal, and what it did
    screen.press("H");
    let _ = screen.wait_text("REORG #0 at alice  depth 1  13a → 14b", LATER);
    let _ = screen.wait("one tip", LATER, |text| text.contains("ABCD") && !text.contains("SPLIT alice"));
    screen.press("e");
    let shown = screen.wait_text("reorganisation #0 of alice", SOON);
    let told = devnet.type_in(&["explain", "reorg", "last"]);
    for line in told.lines().skip(1).map(str::trim) {
        assert!(shown.contains(line), "{line:?} is not among what is shown:\n{shown}");
    }
    screen.press("\u{1b}");
    let _ = screen.wait("nothing open", SOON, |text| !text.contains("most work, not first seen"));

    // a block taken apart, on a screen that has become small
    screen.resize(80, 24);
    let _ = screen.wait("all of it", SOON, |text| text.lines().count() <= 24 && text.contains("q quit"));
    screen.press("\r");
    let block = screen.wait_text("SHA-256d of the header's 80 bytes", SOON);
    let (_, tip) = devnet.rpc("alice").tip();
    assert!(block.contains(&tip), "{tip} is not shown:\n{block}");
    screen.press("\u{1b}");
    let _ = screen.wait("nothing open", SOON, |text| !text.contains("SHA-256d"));
    screen.press("q");
    assert_eq!(screen.wait_end(SOON), 0);
    assert!(screen.is_restored(), "the shell has its terminal back:\n{}", screen.text());
}

#[test]
fn the_terminal_is_given_back_on_sigterm_and_a_devnet_that_ends_is_waited_for() {
    let mut devnet = Devnet::start(&["--no-mine"]);
    let screen = &mut watch(&devnet, 120, 30);
    let _ = screen.wait_text("live", SOON);
    assert!(!screen.is_restored(), "it has been taken");
    let _ = devnet.tine.interrupt(SOON);
    let _ = screen.wait_text("NO NODE ANSWERS: waiting", SOON);
    screen.terminate();
    assert_eq!(screen.wait_end(SOON), 0);
    assert!(screen.is_restored(), "{}", screen.text());
}

#[test]
fn without_a_terminal_it_says_what_else_there_is_or_prints_one_picture() {
    let devnet = Devnet::start(&["--no-mine"]);
    let (code, out, err) = devnet.try_type(&["watch"]);
    assert_eq!((code, out.as_str()), (2, ""));
    for way in ["tine watch --once", "tine devnet --json", "tine forks"] {
        assert!(err.contains(way), "{way}: {err}");
    }
    let _ = devnet.type_in(&["mine", "2", "--on", "bob"]);
    devnet.wait_agreed(&NAMES, 2, SOON);
    let picture = devnet.type_in(&["watch", "--once", "--size", "80x24"]);
    assert_eq!(picture.lines().count(), 24, "{picture}");
    assert!(picture.contains("[B 1]──[B 2]") && picture.contains("ABCD"), "{picture}");
    assert!(!picture.contains('\u{1b}'), "text alone");

    let empty = tempfile::tempdir().expect("a temporary folder");
    let (code, _, err) = Tine::run(&["--dir", empty.path().to_str().expect("plain"), "watch", "--once"]);
    assert_eq!(code, 3, "{err}");
    assert!(err.contains("tine devnet"), "{err}");
}

#[test]
fn a_recorded_run_is_watched_as_if_it_were_live() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let log = folder.path().join("run.ndjson");
    let log = log.to_str().expect("a plain path");
    let (code, _, err) = Tine::run(&["lab", "run", "partition-short", "--quick", "--events", log]);
    assert_eq!(code, 0, "{err}");
    let mut screen = Terminal::start(&["watch", log], &[("NO_COLOR", "1")], 160, 50);
    let end = screen.wait_text("(recorded)", SOON);
    assert!(end.contains("the end, "), "{end}");
    screen.press("e");
    let _ = screen.wait_text("most work, not first seen", SOON);
    screen.press("\u{1b}");
    let _ = screen.wait("nothing open", SOON, |text| !text.contains("most work"));
    screen.press("s");
    let _ = screen.wait_text("this run is over", SOON);
    screen.press("\u{3}");
    assert_eq!(screen.wait_end(SOON), 0, "Ctrl-C quits");
    assert!(screen.is_restored());
}
