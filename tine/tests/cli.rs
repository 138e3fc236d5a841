//! What the command line accepts, refuses and answers, as a process.

use std::path::Path;
use std::process::{Command, Output};

/// The 4,033 mainnet headers from height 822,528.
const HEADERS: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/../chain/data/bitcoin-mainnet-headers-822528.bin");

fn tine(dir: &Path, args: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tine"));
    // nothing of the environment that the tests run in
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("TINE_") {
            command.env_remove(name);
        }
    }
    command.arg("--dir").arg(dir).args(args).envs(variables.iter().copied());
    command.stdin(std::process::Stdio::null()).output().expect("the program runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn cfg_01_what_cannot_be_is_refused_by_name() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    /// Arguments, variables, exit code, and what the error names.
    type Row<'a> = (&'a [&'a str], &'a [(&'a str, &'a str)], i32, &'a str);
    let table: &[Row<'_>] = &[
        (&[], &[], 2, "Usage"),
        (&["frobnicate"], &[], 2, "frobnicate"),
        (&["devnet", "--nodes", "0"], &[], 2, "--nodes"),
        (&["devnet", "--nodes", "65"], &[], 2, "--nodes"),
        (&["--config", "/nowhere.toml", "forks"], &[], 2, "no such file"),
        (&["devnet", "--hashrate", "fast"], &[], 2, "--hashrate"),
        (&["devnet", "--hashrate=-5k"], &[], 2, "--hashrate"),
        (&["devnet", "--base-port", "65500"], &[], 2, "--base-port"),
        (&["devnet", "--base-port", "99999"], &[], 2, "--base-port"),
        (&["devnet", "--frob"], &[], 2, "--frob"),
        (&["node", "--network", "bitcoin"], &[], 2, "--network"),
        (&["node", "--name", "../x"], &[], 2, "--name"),
        (&["node", "--connect-only"], &[], 2, "--connect"),
        (&["node", "--cache", "1"], &[], 2, "--cache"),
        (&["node", "--rpc-bind", "nowhere"], &[], 2, "--rpc-bind"),
        (&["node", "--log", "a=b=c"], &[], 2, "--log"),
        (&["node"], &[("TINE_HASHRATE", "fast")], 2, "TINE_HASHRATE"),
        (&["node"], &[("TINE_HASHRATE", "")], 2, "TINE_HASHRATE"),
        (&["node"], &[("TINE_HASHRAT", "5k")], 2, "TINE_HASHRAT"),
        (&["forks"], &[("TINE_RCP", "http://127.0.0.1:1")], 2, "TINE_RCP"),
        (&["wallet", "balance"], &[("TINE_DIRR", "/tmp")], 2, "TINE_DIRR"),
        (&["mine", "0"], &[], 2, "0"),
        (&["mine", "x"], &[], 2, "x"),
        (&["send", "bob"], &[], 2, "AMOUNT"),
        (&["send", "bob", "1e3"], &[], 2, "decimal"),
        (&["send", "bob", "0.000000001"], &[], 2, "8 decimals"),
        (&["send", "bob", "5", "--coin", "abc"], &[], 2, "outpoint"),
        (&["send", "bob", "5", "--fee-rate", "0"], &[], 2, "--fee-rate"),
        (&["explain", "tx", "abc"], &[], 2, "64 hexadecimal"),
        (&["headers", "check", "x", "--network", "frob"], &[], 2, "--network"),
        (&["forks", "--rpc", "ftp://x"], &[], 2, "--rpc"),
        (&["forks", "--rpc", "http://127.0.0.1:1", "--on", "bob"], &[], 2, "--on"),
        (&["completions", "csh"], &[], 2, "csh"),
        (&["headers", "check", "/nowhere/at/all"], &[], 1, "/nowhere/at/all"),
        (&["forks"], &[], 3, "tine devnet"),
        (&["mine", "--on", "bob"], &[], 3, "tine devnet"),
        (&["net", "show"], &[], 3, "tine devnet"),
        (&["wallet", "balance"], &[], 3, "tine devnet"),
        (&["rpc", "uptime", "--rpc", "http://u:p@127.0.0.1:1"], &[], 3, "127.0.0.1:1"),
    ];
    for (args, variables, code, named) in table {
        let output = tine(dir.path(), args, variables);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(*code), "{args:?} {variables:?}: {said}");
        assert!(said.contains(named), "{args:?} {variables:?} does not name {named:?}: {said}");
        assert!(!said.contains(":p@"), "a password was printed: {said}");
        assert!(output.stdout.is_empty(), "{args:?} printed {}", text(&output.stdout));
    }
    let left: Vec<_> = std::fs::read_dir(dir.path()).expect("readable").flatten().collect();
    assert!(left.is_empty(), "a refused command left {left:?}");
}

#[test]
fn cfg_02_a_configuration_file_that_would_be_ignored_is_refused_and_kept() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().join("tine.toml");
    for (file, named) in
        [("hashrat = '5k'\n", "hashrat"), ("mine = 'yes'\n", "mine"), ("mine = true\nmine = true\n", "mine")]
    {
        std::fs::write(&path, file).expect("written");
        let output = tine(dir.path(), &["node"], &[]);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(named) && said.contains("tine.toml"), "{said}");
        assert_eq!(std::fs::read_to_string(&path).expect("kept"), file);
    }
}

#[test]
fn errors_are_json_when_json_is_wanted() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let output = tine(dir.path(), &["--json", "forks"], &[]);
    assert_eq!(output.status.code(), Some(3));
    let error: serde_json::Value = serde_json::from_slice(&output.stderr).expect("JSON");
    assert_eq!(error["exit"], 3);
    assert!(error["error"].as_str().is_some_and(|why| why.contains("tine devnet")));
}

#[test]
fn completions_and_the_manual_are_printed() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let output = tine(dir.path(), &["completions", shell], &[]);
        assert_eq!(output.status.code(), Some(0), "{shell}");
        assert!(text(&output.stdout).contains("devnet"), "{shell}");
    }
    // roff writes a hyphen as \-
    let manual = text(&tine(dir.path(), &["man"], &[]).stdout).replace("\\-", "-");
    for wanted in [".TH", "devnet", "--base-port", "--explain"] {
        assert!(manual.contains(wanted), "the manual lacks {wanted}");
    }
    let help = tine(dir.path(), &["--help"], &[]);
    assert_eq!(help.status.code(), Some(0));
    assert!(text(&help.stdout).contains("Exit codes"));
}

#[test]
fn real_headers_check_out() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let good = tine(dir.path(), &["--json", "headers", "check", HEADERS, "--network", "bitcoin"], &[]);
    assert_eq!(good.status.code(), Some(0), "{}", text(&good.stderr));
    let summary: serde_json::Value = serde_json::from_slice(&good.stdout).expect("JSON");
    assert_eq!(summary["count"], 4_033);
    assert_eq!(summary["first_height"], 822_528);
    let changes: Vec<_> =
        summary["changes"].as_array().expect("a list").iter().map(|change| &change["height"]).collect();
    assert_eq!(changes, [824_544, 826_560]);
    let people = tine(dir.path(), &["headers", "check", HEADERS, "--height", "822528"], &[]);
    assert!(
        text(&people.stdout).contains("4033 headers, heights 822528 to 826560: all valid"),
        "{}",
        text(&people.stdout)
    );
    assert!(summary["milliseconds"].as_f64() > Some(0.0), "how long it took: {summary}");
    assert!(text(&people.stdout).contains(" ms)"), "{}", text(&people.stdout));
}

#[test]
fn one_changed_byte_is_named_with_its_rule() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().join("headers.bin");
    let bytes = std::fs::read(HEADERS).expect("the data is there");
    // a byte of: version, parent, Merkle root, time, bits, nonce; each in another header
    for (index, offset) in [(7, 1), (100, 20), (2_016, 50), (3_000, 69), (4_032, 74), (2_500, 78)] {
        let mut changed = bytes.clone();
        changed[index * 80 + offset] ^= 1;
        std::fs::write(&path, &changed).expect("written");
        let file = path.to_str().expect("a path in Unicode");
        let output = tine(dir.path(), &["--json", "headers", "check", file], &[]);
        assert_eq!(output.status.code(), Some(4), "header {index}");
        let verdict: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
        assert_eq!(verdict["index"], index, "{verdict}");
        assert_eq!(verdict["height"], 822_528 + index, "{verdict}");
        assert!(text(&output.stderr).contains(verdict["rule"].as_str().expect("a rule")), "{verdict}");
    }
    std::fs::write(&path, &bytes[..bytes.len() - 1]).expect("written");
    let file = path.to_str().expect("a path in Unicode");
    let output = tine(dir.path(), &["headers", "check", file], &[]);
    assert_eq!(output.status.code(), Some(4));
    assert!(text(&output.stderr).contains("header 4032"), "{}", text(&output.stderr));
}

#[test]
fn bench_rpc_asks_a_real_node_with_a_crowd_around_it() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let work = dir.path().join("work");
    let output = tine(
        dir.path(),
        &["--json", "bench", "rpc", "--quick", "--work-dir", work.to_str().expect("text")],
        &[],
    );
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let rows = answer["rows"].as_array().expect("rows");
    let names: Vec<_> = rows.iter().filter_map(|row| row["row"].as_str()).collect();
    assert_eq!(names[..4], ["call-count", "call-echo", "call-count-batch", "call-echo-batch"]);
    assert_eq!(names[4..], ["accept-quiet", "accept-loaded", "accept-flooded"]);
    assert!(rows.iter().all(|row| row["median"].as_f64().is_some_and(|value| value > 0.0)), "{rows:?}");
    assert_eq!(std::fs::read_dir(&work).expect("it was made").count(), 0);
}

#[test]
fn bench_measures_a_real_node_and_leaves_nothing_behind() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let work = dir.path().join("work");
    let work_dir = work.to_str().expect("text");
    let args = ["--json", "bench", "chain", "--quick", "--row", "generate", "--work-dir", work_dir];
    let output = tine(dir.path(), &args, &[]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(answer["rows"].as_array().map(Vec::len), Some(1));
    let row = &answer["rows"][0];
    assert_eq!((&row["row"], &row["core"]), (&"generate".into(), &4_770.0.into()));
    assert!(row["median"].as_f64().is_some_and(|rate| rate > 0.0), "{row}");
    assert_eq!(std::fs::read_dir(&work).expect("it was made").count(), 0);
}
