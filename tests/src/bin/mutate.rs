//! Takes one rule out of the source at a time and sees that the test which owns it fails.
//!
//! `cargo run -p tine-tests --bin mutate` tries every mutation of `tests/mutations.toml`; `-- --sample N` tries N of
//! them, others each day; `-- NAME` tries one. With `-- --second-opinion` before these, the judge is not the test that owns
//! the rule but the naive reference, which knows no test: it must notice every mutation of a rule that its cases reach.
//! It works on a copy of the sources under `target/mutate`. First every test is run with no mutation: one that fails anyway,
//! or that is not there, would prove nothing.
#![allow(clippy::print_stdout)]

use std::collections::BTreeMap;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::Deserialize;

/// What a test run must have printed before its failure counts: a mutant that does not compile proves nothing.
const TESTS_RAN: &str = "test result: FAILED";

/// One rule taken out.
#[derive(Debug, Deserialize)]
struct Mutation {
    /// The rejection that the rule gives, or another name for it.
    name: String,
    /// The source file, from the root.
    file: String,
    /// Text that stands there exactly once.
    find: String,
    /// What stands there instead.
    replace: String,
    /// The package whose tests must notice.
    package: String,
    /// The test that must fail, as `cargo test` filters it.
    test: String,
    /// The only test target that has it, if that is known.
    target: Option<String>,
}

/// Where the rules are that the reference has as well.
const RULES: [&str; 10] = [
    "chain/src/block.rs",
    "chain/src/chain/",
    "chain/src/codec.rs",
    "chain/src/merkle.rs",
    "chain/src/policy.rs",
    "chain/src/pow.rs",
    "chain/src/rules/",
    "chain/src/sighash.rs",
    "chain/src/transaction.rs",
    "chain/src/witness.rs",
];

/// The naive reference judges instead of the test that owns the rule.
fn ask_the_reference(mutation: &mut Mutation) {
    mutation.package = "tine-tests".to_owned();
    mutation.target = Some("second_opinion".to_owned());
    mutation.test = "thousands_of_verdicts_are_the_same_and_reach_every_rule".to_owned();
}

#[derive(Debug, Deserialize)]
struct List {
    mutation: Vec<Mutation>,
}

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().ok_or("no repository")?;
    let mut list: List = toml::from_str(&std::fs::read_to_string(root.join("tests/mutations.toml"))?)?;
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.first().is_some_and(|argument| argument == "--second-opinion") {
        arguments.remove(0);
        list.mutation.retain(|mutation| RULES.iter().any(|rules| mutation.file.starts_with(rules)));
        list.mutation.iter_mut().for_each(ask_the_reference);
    }
    let chosen = choose(&list.mutation, &arguments)?;
    let copy = root.join("target/mutate");
    copy_sources(root, &copy)?;
    check_unmutated(&chosen, &copy)?;
    let mut survivors = Vec::new();
    for (number, mutation) in (1..).zip(&chosen) {
        let caught = try_mutation(mutation, &copy)?;
        let verdict = if caught { "caught" } else { "SURVIVED" };
        println!("{number:3}/{} {verdict:9} {} ({})", chosen.len(), mutation.name, mutation.test);
        if !caught {
            survivors.push(&mutation.name);
        }
    }
    println!("{} mutations, {} survived {survivors:?}", chosen.len(), survivors.len());
    Ok(if survivors.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// All, or the one that is named, or a sample that changes from day to day.
fn choose<'a>(all: &'a [Mutation], arguments: &[String]) -> Result<Vec<&'a Mutation>, Box<dyn Error>> {
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => Ok(all.iter().collect()),
        ["--sample", count] => {
            let count: usize = count.parse()?;
            let days = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs() / 86_400;
            let start = usize::try_from(days)? * count;
            Ok((0..count.min(all.len())).map(|k| &all[(start + k) % all.len()]).collect())
        }
        [name] => {
            let named: Vec<_> = all.iter().filter(|mutation| mutation.name == name).collect();
            if named.is_empty() { Err(format!("no mutation is named {name}").into()) } else { Ok(named) }
        }
        _ => Err("usage: mutate [--second-opinion] [--sample N | NAME]".into()),
    }
}

/// Runs every chosen test on the sources as they are, those of one target together.
///
/// # Errors
/// A test fails, or none is called so.
fn check_unmutated(chosen: &[&Mutation], copy: &Path) -> Result<(), Box<dyn Error>> {
    let mut filters: BTreeMap<(&str, Option<&str>), Vec<&str>> = BTreeMap::new();
    for mutation in chosen {
        let filters = filters.entry((&mutation.package, mutation.target.as_deref())).or_default();
        if !filters.contains(&mutation.test.as_str()) {
            filters.push(&mutation.test);
        }
    }
    for ((package, target), filters) in filters {
        let (passed, output) = cargo_test(copy, package, target, &filters)?;
        if !passed {
            return Err(format!("a test of {package} fails without any mutation:\n{output}").into());
        }
        if let Some(missing) = not_run(&output, &filters) {
            return Err(format!("{package}: no test that runs is called {missing}").into());
        }
        println!("unmutated: {} tests of {package} pass", filters.len());
    }
    Ok(())
}

/// The first of these names under which no test has passed, by what `cargo test` printed.
fn not_run<'a>(output: &str, filters: &[&'a str]) -> Option<&'a str> {
    let passed: Vec<&str> =
        output.lines().filter_map(|line| line.strip_prefix("test ")?.strip_suffix(" ... ok")).collect();
    filters.iter().find(|filter| !passed.iter().any(|name| name.contains(**filter))).copied()
}

/// Whether the test passes with the rule and fails without it.
fn try_mutation(mutation: &Mutation, copy: &Path) -> Result<bool, Box<dyn Error>> {
    let path = copy.join(&mutation.file);
    let original = std::fs::read_to_string(&path)?;
    let places = original.matches(&mutation.find).count();
    if places != 1 {
        return Err(format!(
            "{}: {:?} stands {places} times in {}",
            mutation.name, mutation.find, mutation.file
        )
        .into());
    }
    std::fs::write(&path, original.replace(&mutation.find, &mutation.replace))?;
    let mutant = run_test(mutation, copy);
    std::fs::write(&path, original)?;
    let (passed, output) = mutant?;
    if !passed && !output.contains(TESTS_RAN) {
        return Err(format!("{}: the mutant does not compile:\n{output}", mutation.name).into());
    }
    Ok(!passed)
}

fn run_test(mutation: &Mutation, copy: &Path) -> Result<(bool, String), Box<dyn Error>> {
    cargo_test(copy, &mutation.package, mutation.target.as_deref(), &[&mutation.test])
}

/// Runs the tests of a package, or of one target of it, whose names contain one of `filters`: whether all passed, and
/// what was printed.
fn cargo_test(
    copy: &Path,
    package: &str,
    target: Option<&str>,
    filters: &[&str],
) -> Result<(bool, String), Box<dyn Error>> {
    let output = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .current_dir(copy)
        .env(
            "CARGO_TARGET_DIR",
            std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| shared_target(copy).into()),
        )
        .args(["test", "-p", package])
        .args(target.map_or(vec!["--tests"], |target| vec!["--test", target]))
        .arg("--")
        .args(filters)
        .stdin(Stdio::null())
        .output()?;
    let text =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    Ok((output.status.success(), text))
}

/// The repository's own build folder, in which the dependencies have been built already.
fn shared_target(copy: &Path) -> PathBuf {
    copy.parent().expect("the copy lies in target/").to_owned()
}

/// The files that git knows, so that no build output is copied; those that have not changed keep their time.
fn copy_sources(root: &Path, copy: &Path) -> Result<(), Box<dyn Error>> {
    let listed = Command::new("git").current_dir(root).args(["ls-files", "-z"]).output()?;
    for name in String::from_utf8(listed.stdout)?.split('\0').filter(|name| !name.is_empty()) {
        let (from, to): (PathBuf, PathBuf) = (root.join(name), copy.join(name));
        let bytes = std::fs::read(&from)?;
        if std::fs::read(&to).is_ok_and(|old| old == bytes) {
            continue;
        }
        std::fs::create_dir_all(to.parent().ok_or("a file lies in a folder")?)?;
        std::fs::write(to, bytes)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_that_is_not_there_or_did_not_pass_is_named() {
        let output = "running 3 tests\ntest blocks::a_rule_holds ... ok\ntest another ... ignored, slow\n\
                      test third ... FAILED\n\ntest result: ok. 1 passed; 0 failed; 1 ignored\n";
        assert_eq!(not_run(output, &["a_rule"]), None);
        assert_eq!(not_run(output, &["a_rule", "nowhere"]), Some("nowhere"));
        assert_eq!(not_run(output, &["another"]), Some("another"), "ignored is not run");
        assert_eq!(not_run(output, &["third"]), Some("third"));
    }
}
