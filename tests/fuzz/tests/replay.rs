//! Every fuzz target, on its corpus and on variations of it: what a fuzzer has found stays found.

#![allow(clippy::print_stdout, reason = "for whoever looks at what failed")]

use std::fs;
use std::path::{Path, PathBuf};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tine_fuzz::{TARGETS, Target};

/// Targets that take milliseconds for each input.
const SLOW: [&str; 8] = [
    "connect",
    "reorganise",
    "mempool",
    "mempool_file",
    "estimates_file",
    "recover",
    "reindex",
    "wallet_files",
];
/// How many of them are files of a store or a wallet: the last.
const FILES: usize = 3;
/// Variations of a corpus, for a fast target and a slow one.
const VARIATIONS: [usize; 2] = [4_000, 40];

fn corpus(name: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(name);
    let mut inputs: Vec<_> = fs::read_dir(&path)
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
        .map(|entry| entry.expect("an entry").path())
        .map(|path| (path.clone(), fs::read(path).expect("read")))
        .collect();
    inputs.sort();
    assert!(!inputs.is_empty(), "{name} has no corpus");
    inputs
}

/// A few bytes changed, cut out, doubled or taken from another input.
fn vary(rng: &mut StdRng, input: &[u8], other: &[u8]) -> Vec<u8> {
    let mut bytes = input.to_vec();
    for _ in 0..rng.random_range(1..4) {
        let place = rng.random_range(0..=bytes.len());
        let length = rng.random_range(0..=8).min(bytes.len() - place);
        match rng.random_range(0..5) {
            0 if place < bytes.len() => bytes[place] ^= 1 << rng.random_range(0..8),
            1 if place < bytes.len() => {
                bytes[place] = *b"\x00\x01\x7f\x80\xfd\xfe\xff".get(length).unwrap_or(&0)
            }
            2 => drop(bytes.drain(place..place + length)),
            3 => {
                let again = bytes[place..place + length].to_vec();
                bytes.splice(place..place, again);
            }
            _ => {
                let from = rng.random_range(0..=other.len());
                let to = rng.random_range(from..=other.len());
                bytes.splice(place..place + length, other[from..to].iter().copied());
            }
        }
    }
    bytes
}

/// Prints the input if the target panics.
struct Trace<'a>(&'a str, &'a [u8]);

impl Drop for Trace<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let bytes: String = self.1.iter().map(|byte| format!("{byte:02x}")).collect();
            println!("target {}, input {bytes}", self.0);
        }
    }
}

fn replay(name: &str, target: Target) {
    let inputs = corpus(name);
    for (path, input) in &inputs {
        println!("{}", path.display());
        target(input);
    }
    let mut rng = StdRng::seed_from_u64(1);
    for _ in 0..VARIATIONS[usize::from(SLOW.contains(&name))] {
        let one = &inputs[rng.random_range(0..inputs.len())].1;
        let other = &inputs[rng.random_range(0..inputs.len())].1;
        let varied = vary(&mut rng, one, other);
        let _trace = Trace(name, &varied);
        target(&varied);
    }
}

#[test]
fn decoders_on_their_corpora_and_variations() {
    for (name, target) in TARGETS.iter().filter(|(name, _)| !SLOW.contains(name)) {
        replay(name, *target);
    }
}

#[test]
fn chains_and_mempools_on_their_corpora_and_variations() {
    for (name, target) in TARGETS.iter().filter(|(name, _)| SLOW[..SLOW.len() - FILES].contains(name)) {
        replay(name, *target);
    }
}

#[test]
fn files_on_their_corpora_and_variations() {
    for (name, target) in TARGETS.iter().filter(|(name, _)| SLOW[SLOW.len() - FILES..].contains(name)) {
        replay(name, *target);
    }
}

#[test]
fn every_target_is_one_line_of_the_fuzz_folder() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/fuzz_targets");
    let mut files: Vec<_> = fs::read_dir(folder)
        .expect("listed")
        .map(|entry| {
            entry.expect("an entry").path().file_stem().expect("a name").to_string_lossy().into_owned()
        })
        .collect();
    files.sort();
    let mut names: Vec<_> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    names.sort();
    assert_eq!(files, names);
}
