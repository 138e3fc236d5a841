//! Every row of the catalogue of malformed input and faults is a test that bears its id, or does not fit and says why.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

const IDS: [&str; 8] = ["HDR", "BLK", "TX", "MRK", "UTX", "RRG", "MEM", "STO"];

/// `("BLK", 7)` for BLK-07.
type Id = (String, u32);

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the package lies in the workspace")
}

fn read(name: &str) -> String {
    std::fs::read_to_string(root().join("tests/catalogue").join(name)).expect("it is there")
}

/// `BLK-07`, if the text begins with such an id.
fn id(text: &str) -> Option<Id> {
    let (prefix, rest) = text.split_once('-')?;
    let number = rest.get(..2)?.parse().ok()?;
    IDS.contains(&prefix).then(|| (prefix.to_owned(), number))
}

fn rows() -> BTreeSet<Id> {
    read("cases.csv").lines().skip(1).map(|line| id(line).expect("a row begins with its id")).collect()
}

/// The rows that don't fit, each with its reason.
fn excused() -> BTreeMap<Id, String> {
    let text = read("README.md");
    let lines = text.lines().filter_map(|line| line.strip_prefix("| "));
    lines
        .filter_map(|line| Some((id(line)?, line.split_once('|')?.1.trim_matches([' ', '|']).to_owned())))
        .collect()
}

/// The ids that the name of a function bears: `blk_12_and_13_…`, `hdr_03_to_06_…`, `sto_05_sto_06_…`.
fn ids_of_name(name: &str) -> Vec<Id> {
    let mut ids: Vec<Id> = Vec::new();
    let mut prefix = None;
    let mut range = false;
    for word in name.split('_') {
        let upper = word.to_uppercase();
        match (prefix, word.parse::<u32>()) {
            (Some(prefix), Ok(number)) if word.len() == 2 => {
                let first = if range { ids.last().map_or(number, |(_, last)| last + 1) } else { number };
                ids.extend((first..=number).map(|number| (String::from(prefix), number)));
                range = false;
            }
            _ if word == "to" => range = true,
            _ if word == "and" => {}
            _ => prefix = IDS.into_iter().find(|id| *id == upper),
        }
        if prefix.is_none() {
            break;
        }
    }
    ids
}

/// Adds the ids in the names of functions under `folder`, and those that the text of a test names.
fn collect(folder: &Path, found: &mut BTreeSet<Id>) {
    for entry in std::fs::read_dir(folder).expect("a folder of the repository") {
        let path = entry.expect("readable").path();
        if path.is_dir() {
            if !path.ends_with("target") && !path.ends_with(".git") {
                collect(&path, found);
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).expect("text");
            let names = text.split("fn ").skip(1).filter_map(|rest| rest.split('(').next());
            found.extend(names.flat_map(ids_of_name));
            if path.components().any(|part| part.as_os_str() == "tests") && !path.ends_with(file!()) {
                for (at, _) in text.match_indices('-') {
                    let start =
                        text[..at].rfind(|c: char| !c.is_ascii_uppercase()).map_or(0, |before| before + 1);
                    found.extend(text.get(start..).and_then(id));
                }
            }
        }
    }
}

#[test]
fn every_row_has_a_test_or_a_reason() {
    let (rows, excused) = (rows(), excused());
    let mut tested = BTreeSet::new();
    collect(root(), &mut tested);
    let missing: Vec<_> =
        rows.iter().filter(|id| !tested.contains(*id) && !excused.contains_key(*id)).collect();
    assert!(missing.is_empty(), "neither a test nor a reason: {missing:?}");
    let unknown: Vec<_> = excused.keys().filter(|id| !rows.contains(*id)).collect();
    assert!(unknown.is_empty(), "excused, but in no row: {unknown:?}");
    assert!(excused.values().all(|reason| reason.len() > 30), "a reason is a sentence: {excused:?}");
}

#[test]
fn names_are_read_as_they_are_written() {
    let ids =
        |name| ids_of_name(name).iter().map(|(id, number)| format!("{id}-{number:02}")).collect::<Vec<_>>();
    assert_eq!(ids("blk_07_bad_cb_height"), ["BLK-07"]);
    assert_eq!(ids("blk_12_and_13_missing"), ["BLK-12", "BLK-13"]);
    assert_eq!(ids("hdr_03_to_06_high_hash"), ["HDR-03", "HDR-04", "HDR-05", "HDR-06"]);
    assert_eq!(ids("sto_05_sto_06_a_power_cut"), ["STO-05", "STO-06"]);
    assert_eq!(ids("mrk_01_02_and_03_bad_07_txns"), ["MRK-01", "MRK-02", "MRK-03"]);
    assert_eq!(ids("the_story"), Vec::<String>::new());
}
