//! The list of mutations is whole, and fits the sources.

use std::collections::BTreeSet;
use std::path::Path;

use tine_chain::reject::Reject;

#[derive(serde::Deserialize)]
struct Mutation {
    name: String,
    file: String,
    find: String,
    test: String,
}

#[derive(serde::Deserialize)]
struct List {
    mutation: Vec<Mutation>,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the package lies in the workspace")
}

fn mutations() -> Vec<Mutation> {
    let text = std::fs::read_to_string(root().join("tests/mutations.toml")).expect("the list is there");
    toml::from_str::<List>(&text).expect("the list is TOML").mutation
}

#[test]
fn every_rejection_has_a_mutation() {
    let listed: BTreeSet<String> = mutations().into_iter().map(|mutation| mutation.name).collect();
    let missing: Vec<_> =
        Reject::ALL.iter().filter(|reject| !listed.contains(&format!("{reject:?}"))).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn every_mutation_finds_its_rule_once_and_names_a_test() {
    for Mutation { name, file, find, test } in mutations() {
        let source = std::fs::read_to_string(root().join(&file)).expect("the file is there");
        assert_eq!(source.matches(&find).count(), 1, "{name}: {find:?} in {file}");
        let named = ["chain/src", "chain/tests", "node/tests", "lab/tests"]
            .iter()
            .any(|folder| has(&root().join(folder), &test));
        assert!(named, "{name}: no test is called {test}");
    }
}

/// Whether a source file under `folder` has a function whose name begins with `name`.
fn has(folder: &Path, name: &str) -> bool {
    std::fs::read_dir(folder).expect("the folder is there").any(|entry| {
        let path = entry.expect("it can be read").path();
        if path.is_dir() {
            return has(&path, name);
        }
        path.extension().is_some_and(|extension| extension == "rs")
            && std::fs::read_to_string(&path).expect("it is text").contains(&format!("fn {name}"))
    })
}
