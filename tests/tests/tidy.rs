//! What the map promises and the compiler can't check: which word may stand in which file.

use std::path::{Path, PathBuf};

/// The whole repository.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the repository").to_owned()
}

/// Every Rust file under `folder`, by its path from the root, with its text.
fn sources(folder: &str) -> Vec<(String, String)> {
    let mut files = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a folder of the repository") {
            let path = entry.expect("readable").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(root()).expect("below the root").to_string_lossy().into_owned();
                files.push((name, std::fs::read_to_string(&path).expect("text")));
            }
        }
    }
    assert!(!files.is_empty(), "no sources in {folder}");
    files
}

const CRATES: [&str; 6] = ["chain/src", "node/src", "p2p/src", "wallet/src", "lab/src", "tine/src"];
const PURE: [&str; 4] = ["chain/src", "node/src", "wallet/src", "lab/src"];

/// Lines of code (not of comment) of the given folders that hold `word`, outside the files that `allowed` accepts.
fn offenders(folders: &[&str], word: &str, allowed: impl Fn(&str) -> bool) -> Vec<String> {
    let mut found = Vec::new();
    for (name, text) in folders.iter().flat_map(|folder| sources(folder)) {
        if allowed(&name) {
            continue;
        }
        for (number, line) in (1..).zip(text.lines()) {
            if line.contains(word) && !line.trim_start().starts_with("//") {
                found.push(format!("{name}:{number}: {}", line.trim()));
            }
        }
    }
    found
}

fn assert_none(rule: &str, offenders: &[String]) {
    assert!(offenders.is_empty(), "{rule}:\n{}", offenders.join("\n"));
}

#[test]
fn sled_is_used_in_the_sled_store_only() {
    let uses: Vec<_> = offenders(&CRATES, "sled::", |name| name.starts_with("chain/src/store/sled"))
        .into_iter()
        // our own module is called sled too
        .filter(|line| !line.contains("super::sled::") && !line.contains("store::sled::"))
        .collect();
    assert_none("sled only in chain/src/store/sled*", &uses);
}

#[test]
fn rs_merkle_is_used_in_the_merkle_file_only() {
    assert_none(
        "rs_merkle only in chain/src/merkle.rs",
        &offenders(&CRATES, "rs_merkle::", |name| name == "chain/src/merkle.rs"),
    );
}

#[test]
fn libp2p_is_used_in_p2p_only() {
    assert_none("libp2p only in p2p/", &offenders(&CRATES, "libp2p::", |name| name.starts_with("p2p/")));
}

#[test]
fn pure_crates_read_no_clock_and_spawn_no_threads() {
    for word in ["Instant::now", "SystemTime::now"] {
        assert_none(word, &offenders(&PURE, word, |_| false));
    }
    // DESIGN: the exceptions to purity are the verifier and the store
    assert_none(
        "thread::spawn",
        &offenders(&PURE, "thread::spawn", |name| name.starts_with("chain/src/store/")),
    );
    assert_none("tracing", &offenders(&PURE, "tracing::", |_| false));
}

#[test]
fn pure_crates_use_no_map_whose_order_changes() {
    for word in
        ["collections::HashMap", "collections::HashSet", "collections::{HashMap", "collections::{HashSet"]
    {
        assert_none(word, &offenders(&PURE, word, |_| false));
    }
}

#[test]
fn tx_28_dalek_never_verifies_a_batch() {
    let batch = offenders(&CRATES, "ed25519_dalek::verify_batch", |_| false);
    assert_none("dalek's verify_batch depends on the order of its batch", &batch);
    for manifest in ["Cargo.toml", "chain/Cargo.toml", "wallet/Cargo.toml"] {
        let text = std::fs::read_to_string(root().join(manifest)).expect("text");
        assert!(!text.contains("legacy_compatibility"), "{manifest} asks for legacy_compatibility");
        assert!(!text.contains("\"batch\""), "{manifest} asks for dalek's batch feature");
    }
}

#[test]
fn no_file_is_too_long_to_read_in_one_sitting() {
    let long: Vec<_> = CRATES
        .iter()
        .flat_map(|folder| sources(folder))
        .map(|(name, text)| (text.lines().count(), name))
        .filter(|(lines, _)| *lines > 600)
        .map(|(lines, name)| format!("{name}: {lines} lines"))
        .collect();
    assert_none("600 lines a file", &long);
}

#[test]
fn nothing_is_left_for_later() {
    for word in ["todo!(", "unimplemented!(", "FIXME", "XXX", "dbg!("] {
        assert_none(word, &offenders(&CRATES, word, |_| false));
    }
}

/// (package, least version): holes that RustSec's list does not know (CVE-2026-33040, CVE-2026-34219,
/// CVE-2026-32314, CVE-2026-31814) or that are fixed only from here on (RUSTSEC-2024-0344).
const LEAST_VERSIONS: [(&str, [u64; 3]); 6] = [
    ("libp2p", [0, 57, 1]),
    ("libp2p-gossipsub", [0, 50, 1]),
    ("yamux", [0, 13, 10]),
    ("quinn-proto", [0, 11, 15]),
    ("curve25519-dalek", [4, 1, 3]),
    ("ed25519-dalek", [2, 0, 0]),
];

#[test]
fn cfg_05_dependencies_with_known_holes_are_not_locked() {
    let lock: toml::Table = std::fs::read_to_string(root().join("Cargo.lock"))
        .expect("text")
        .parse()
        .expect("a lock file is TOML");
    let packages = lock["package"].as_array().expect("a list of packages");
    for (name, least) in LEAST_VERSIONS {
        let versions: Vec<[u64; 3]> = packages
            .iter()
            .filter(|package| package["name"].as_str() == Some(name))
            .map(|package| parse_version(package["version"].as_str().expect("text")))
            .collect();
        assert!(!versions.is_empty(), "{name} is not locked at all");
        for version in versions {
            assert!(version >= least, "{name} {version:?} is below {least:?}");
        }
    }
}

fn parse_version(text: &str) -> [u64; 3] {
    let mut parts = text.split(['.', '-', '+']).map(|part| part.parse().unwrap_or(0));
    [(); 3].map(|()| parts.next().unwrap_or(0))
}
