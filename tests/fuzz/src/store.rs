//! A store that finds its files in any state.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use tempfile::TempDir;
use tine_chain::chain::{Chain, ChainOptions};
use tine_chain::codec::Encode;
use tine_chain::hash::BlockHash;
use tine_chain::params::Params;
use tine_chain::signature::Parallel;
use tine_chain::store::testing::{body_record, commit_record, undo_record};
use tine_chain::store::{SledOptions, SledStore, StoreError};
use tine_chain::testing::{TestTree, replay_coins, stored_coins};

use crate::choices::Choices;

/// Faults that one input may put in, at most.
const MAX_FAULTS: usize = 4;
/// The longest record that one input may make, in bytes.
const MAX_RECORD: usize = 2_048;

fn options() -> SledOptions {
    SledOptions {
        cache_bytes: 16 << 10,
        sled_cache_bytes: 1 << 20,
        block_file_bytes: 2 << 10,
        flush_commits: 4,
        open_timeout: Duration::from_secs(5),
        ..SledOptions::default()
    }
}

fn open(dir: &Path, params: &Params, reindex: bool) -> Result<Chain, StoreError> {
    let store = match reindex {
        true => SledStore::reindex(dir, params, options())?,
        false => SledStore::open(dir, params, options())?,
    };
    let options = ChainOptions { parallel: Parallel::Inline, ..ChainOptions::default() };
    Chain::open(params.clone(), Box::new(store), options)
}

/// A directory as files, and what was in it.
struct Example {
    tree: TestTree,
    files: BTreeMap<PathBuf, Vec<u8>>,
    tip: BlockHash,
}

/// Two branches of some blocks, one of which lost; flushed, and then a little more.
fn example() -> &'static Example {
    static EXAMPLE: OnceLock<Example> = OnceLock::new();
    EXAMPLE.get_or_init(|| {
        let mut tree = TestTree::regtest();
        tree.draw("genesis a1 a2 a3 a4");
        tree.pay("one", &["a1:0"], &[("ann", 20_0000_0000), ("ben", 29_0000_0000)]);
        tree.pay("two", &["one:0"], &[("cat", 19_0000_0000)]);
        tree.draw("a3 b4[one] b5 b6[two] b7 b8");
        let dir = tempfile::tempdir().expect("a directory");
        let mut chain = open(dir.path(), &tree.params, false).expect("opened");
        tree.deliver(&mut chain, "a1 a2 a3 a4 b4 b5 b6");
        chain.flush().expect("flushed");
        tree.deliver(&mut chain, "b7 b8");
        let tip = chain.tip().hash;
        drop(chain);
        Example { files: read_all(dir.path(), dir.path()), tree, tip }
    })
}

fn read_all(root: &Path, path: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(path).expect("listed") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files.extend(read_all(root, &path));
        } else {
            let name = path.strip_prefix(root).expect("below the root").to_owned();
            files.insert(name, fs::read(&path).expect("read"));
        }
    }
    files
}

fn write_all(files: &BTreeMap<PathBuf, Vec<u8>>) -> TempDir {
    let dir = tempfile::tempdir().expect("a directory");
    for (name, bytes) in files {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().expect("a directory")).expect("a directory");
        fs::write(path, bytes).expect("written");
    }
    dir
}

/// Damages `bytes`: a flipped bit, a cut tail, a page of zeros, bytes too many, or nothing left.
fn damage(bytes: &mut Vec<u8>, choices: &mut Choices<'_>) {
    let kind = choices.below(5);
    if bytes.is_empty() {
        return;
    }
    let share = usize::from(u16::from_le_bytes([choices.byte().unwrap_or(0), choices.byte().unwrap_or(0)]));
    let place = bytes.len() * share / 65_536;
    match kind {
        0 => bytes[place] ^= 1 << choices.below(8),
        1 => bytes.truncate(place),
        2 => {
            let page = place / 4_096 * 4_096;
            let end = bytes.len().min(page + 4_096);
            bytes[page..end].fill(0);
        }
        3 => bytes.extend_from_slice(choices.bytes(64)),
        _ => bytes.clear(),
    }
}

/// What a chain says of itself must be so.
fn require_sound(chain: &Chain) {
    assert_eq!(stored_coins(chain), replay_coins(chain), "the coins equal a replay from the genesis");
}

/// Whether the chain can be read through; a store that notices damage only then must say so.
fn reads_through(chain: &Chain) -> Result<(), StoreError> {
    chain.for_each_coin(&mut |_, _| {})?;
    for height in 1..=chain.tip().height {
        let hash = chain.active_hash(height).expect("every height has a block");
        chain.block(&hash)?;
    }
    Ok(())
}

/// A directory with a few faults: it opens to the same chain, or the error names what is damaged, and then a reindex
/// brings back whatever the block files still hold.
pub fn recover(bytes: &[u8]) {
    let example = example();
    let mut choices = Choices::new(bytes);
    let mut files = example.files.clone();
    let names: Vec<PathBuf> = files.keys().cloned().collect();
    let mut damaged: Vec<&PathBuf> = Vec::new();
    for _ in 0..=choices.below(MAX_FAULTS) {
        let name = &names[choices.below(names.len())];
        damage(files.get_mut(name).expect("one of them"), &mut choices);
        damaged.push(name);
    }
    let bodies_whole = damaged.iter().all(|name| !name.starts_with("blocks"));
    let journal_whole = damaged.iter().all(|name| !name.starts_with("journal.dat"));
    let dir = write_all(&files);
    let error = match open(dir.path(), &example.tree.params, false) {
        Ok(chain) => match reads_through(&chain) {
            Ok(()) => {
                require_sound(&chain);
                // a torn record at the journal's very end is as if its commit had not been
                assert!(chain.tip().hash == example.tip || !journal_whole, "an older chain, in silence");
                return;
            }
            Err(error) => error,
        },
        Err(error) => error,
    };
    let mut chain = match error {
        // noticed while it was read: the next start rebuilds
        StoreError::Database { .. } => match open(dir.path(), &example.tree.params, false) {
            Ok(chain) => chain,
            Err(error) => panic!("the database is not rebuilt: {error}"),
        },
        StoreError::Corrupt { .. } => {
            assert!(error.to_string().contains("--reindex"), "{error}");
            match open(dir.path(), &example.tree.params, true) {
                Ok(chain) => chain,
                Err(error) => panic!("a reindex does not help: {error}"),
            }
        }
        // the file that says which format this is was damaged
        StoreError::Format { .. } | StoreError::Network { .. } => {
            assert!(damaged.iter().any(|name| name.starts_with("FORMAT")), "{error}");
            return;
        }
        StoreError::Io { .. } | StoreError::Locked { .. } => {
            panic!("nothing is wrong with the disk: {error}")
        }
    };
    example.tree.activate(&mut chain);
    if reads_through(&chain).is_ok() {
        require_sound(&chain);
    }
    assert!(!bodies_whole || chain.tip().hash == example.tip, "every body is there");
}

/// A directory of records that anybody may have made, each with a good checksum: a reindex takes from it what the rules
/// allow. Each record is its kind, a template or none, and bytes that vary it.
pub fn reindex(bytes: &[u8]) {
    let example = example();
    let mut choices = Choices::new(bytes);
    let (mut blocks, mut journal) = (Vec::new(), Vec::new());
    while let Some(kind) = choices.byte() {
        let length = choices.below(MAX_RECORD);
        let payload = match kind / 4 % 4 {
            0 => choices.bytes(length).to_vec(),
            1 => varied(example.tree.block("a1").to_bytes(), choices.bytes(length % 64)),
            2 => varied(example.tree.block("a2").to_bytes(), choices.bytes(length % 64)),
            _ => varied(example.tree.block("b4").to_bytes(), choices.bytes(length % 64)),
        };
        match kind % 4 {
            0 => blocks.extend(body_record(&payload)),
            1 => blocks.extend(undo_record(&payload)),
            2 => journal.extend(commit_record(&payload)),
            // rubbish between the records
            _ => blocks.extend(payload),
        }
    }
    let dir = tempfile::tempdir().expect("a directory");
    fs::create_dir(dir.path().join("blocks")).expect("a directory");
    fs::write(dir.path().join("blocks/00000.dat"), blocks).expect("written");
    fs::write(dir.path().join("journal.dat"), journal).expect("written");
    let mut chain = open(dir.path(), &example.tree.params, true).expect("a reindex takes anything");
    example.tree.activate(&mut chain);
    require_sound(&chain);
    // what was connected is valid on any node
    let mut straight = example.tree.chain();
    for height in 1..=chain.tip().height {
        let hash = chain.active_hash(height).expect("every height has a block");
        let block = chain.block(&hash).expect("readable").expect("active blocks have bodies");
        let verdict = straight.insert_block(block, example.tree.now());
        assert!(verdict.is_ok(), "another node refuses block {height}: {verdict:?}");
    }
    example.tree.activate(&mut straight);
    assert_eq!(straight.tip().hash, chain.tip().hash);
}

/// `bytes` with flips: each three bytes are what is flipped, and where.
fn varied(mut bytes: Vec<u8>, flips: &[u8]) -> Vec<u8> {
    let mut choices = Choices::new(flips);
    while let Some(flip) = choices.byte() {
        let place = choices.below(bytes.len());
        bytes[place] ^= flip;
    }
    bytes
}

/// The commits of an example's journal: their payloads.
#[must_use]
pub fn example_commits() -> Vec<Vec<u8>> {
    let journal = example().files.get(Path::new("journal.dat")).expect("there is one");
    let mut commits = Vec::new();
    let mut rest = &journal[..];
    while let Some((prefix, behind)) = rest.split_at_checked(12) {
        let length = u32::from_le_bytes(prefix[4..8].try_into().expect("four bytes")) as usize;
        commits.push(behind[..length].to_vec());
        rest = &behind[length..];
    }
    commits
}
