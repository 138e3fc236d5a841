//! `--reindex`: a new journal and a new database from what the block files still hold.
//!
//! Nothing but the bodies is believed: the new journal knows their headers and no tip, so that the chain connects
//! every block again, and judges it again. Of the old journal, what can't be had elsewhere is kept where it can still
//! be read: the order of arrival, manual invalidations, and the reorganisations so far.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::StoreError;
use super::device::Device;
use super::directory::{check_format, is_used, lock, rebuild_note, write_format};
use super::disk::SledStore;
use super::files::{BlockFiles, Position};
use super::flush::SledOptions;
use super::journal_file::{self, Commit, JournalFile};
use super::record::{self, Found, Kind};
use crate::block::{Block, Header};
use crate::change::{HeaderRecord, Invalidity};
use crate::codec::Decode;
use crate::hash::BlockHash;
use crate::journal::Reorg;
use crate::params::Params;
use crate::pow::check_proof_of_work;
use crate::rules::{HeaderContext, check_block, check_block_in_context, check_header};
use crate::time::Time;
use crate::tree::{BlockTree, Index};

/// Headers in one commit of the new journal.
const HEADERS_PER_COMMIT: usize = 2_000;

impl SledStore {
    /// Rebuilds everything in `dir` from its block files, then opens it: the tip is the genesis until the chain has
    /// connected the blocks again. Damaged records are left out; their blocks must be fetched again.
    ///
    /// A crash on the way leaves the old journal or the new one, and the next [`SledStore::open`] goes on.
    ///
    /// # Errors
    /// As [`SledStore::open`].
    pub fn reindex(dir: &Path, params: &Params, options: SledOptions) -> Result<Self, StoreError> {
        {
            let device = options.device();
            let _lock = lock(&device, dir)?;
            match check_format(&device, dir, params) {
                Err(StoreError::Corrupt { .. }) => write_format(&device, dir, params)?,
                checked => checked?,
            }
            if is_used(dir) {
                rewrite(&device, dir, params)?;
            }
        }
        Self::open(dir, params, options)
    }
}

fn rewrite(device: &Device, dir: &Path, params: &Params) -> Result<(), StoreError> {
    let files = BlockFiles::new(device, dir.join("blocks"), false)?;
    let path = dir.join(journal_file::FILE);
    let mut known = Known::default();
    let old = JournalFile::open(device.clone(), path.clone(), true)?;
    old.salvage(|commit| known.salvage(commit))?;
    let mut bodies = find_bodies(&files, &mut known, params)?;
    let (headers, tree) = known.link(params);
    leave_out_unlawful(&mut bodies, &files, &tree)?;
    // first the note: whatever journal a crash leaves, the database is built from it
    device.replace(&rebuild_note(dir), |write| write(b"--reindex"))?;
    JournalFile::replace(device, &path, &commits(&files, &headers, &bodies, known.reorgs)?)
}

/// What is known of headers, before they are linked to the genesis.
#[derive(Default)]
struct Known {
    headers: BTreeMap<BlockHash, HeaderRecord>,
    reorgs: BTreeMap<u64, Arc<Reorg>>,
    next_sequence: u64,
}

impl Known {
    /// Keeps of an old commit what nothing else knows.
    fn salvage(&mut self, commit: Commit) {
        for header in commit.headers {
            self.next_sequence = self.next_sequence.max(header.sequence + 1);
            self.headers.insert(header.hash, header);
        }
        self.reorgs.extend(commit.reorg.map(|reorg| (reorg.number, reorg)));
    }

    /// Notes a body's header, when the old journal did not have it: seen in the order of the files.
    fn add(&mut self, header: Header) {
        let hash = header.hash();
        if self.headers.contains_key(&hash) {
            return;
        }
        let (sequence, seen) = (self.next_sequence, Time::from_secs(header.time.into()));
        self.next_sequence += 1;
        self.headers.insert(hash, HeaderRecord { header, hash, height: 0, sequence, seen, invalid: None });
    }

    /// Every header that descends from the genesis and that the rules allow there, parents first, with its height.
    ///
    /// What an operator ruled stays ruled, with its descendants; what a rule refused is judged again. A record may have
    /// been made by anybody, inside the bytes of a block that is damaged now: only work and the rules make a header.
    fn link(&self, params: &Params) -> (Vec<HeaderRecord>, BlockTree) {
        let mut children: BTreeMap<BlockHash, Vec<&HeaderRecord>> = BTreeMap::new();
        for record in self.headers.values() {
            children.entry(record.header.prev_block).or_default().push(record);
        }
        let mut linked: Vec<HeaderRecord> = Vec::new();
        let mut tree = BlockTree::new(params);
        let mut parents = vec![(Index::GENESIS, false)];
        while let Some((parent, invalid)) = parents.pop() {
            let (hash, height) = (tree.at(parent).hash, tree.at(parent).height);
            for record in children.remove(&hash).unwrap_or_default() {
                if !is_lawful(&record.header, &tree, parent, params) {
                    continue;
                }
                let invalid = match record.invalid {
                    Some(Invalidity::Manual) => Some(Invalidity::Manual),
                    None | Some(Invalidity::Rule(_) | Invalidity::Ancestor) => {
                        invalid.then_some(Invalidity::Ancestor)
                    }
                };
                linked.push(HeaderRecord { height: height + 1, invalid, ..*record });
                parents.push((tree.restore(record, parent), invalid.is_some()));
            }
        }
        linked.sort_unstable_by_key(|record| (record.height, record.sequence));
        (linked, tree)
    }
}

/// Whether the rules allow `header` on `parent`; that it was too early once does not matter any more.
fn is_lawful(header: &Header, tree: &BlockTree, parent: Index, params: &Params) -> bool {
    let entry = tree.at(parent);
    let context = HeaderContext {
        parent_height: entry.height,
        median_time_past: entry.median_time_past,
        ancestor: &|height| Some(tree.at(tree.ancestor_of(parent, height)?).header),
    };
    check_proof_of_work(params, header.bits, &header.hash()).is_ok()
        && check_header(header, &context, params, Time(u64::MAX)).is_ok()
}

/// Leaves out the bodies that the rules don't allow at their place: the chain asks only when a block is handed in, and
/// takes what the store has for judged.
fn leave_out_unlawful(
    bodies: &mut BTreeMap<BlockHash, Position>,
    files: &BlockFiles,
    tree: &BlockTree,
) -> Result<(), StoreError> {
    let mut unlawful = Vec::new();
    for (hash, position) in bodies.iter() {
        let Some(parent) = tree.index_of(hash).and_then(|index| tree.parent_of(index)) else { continue };
        let (height, median_time_past) = (tree.at(parent).height + 1, tree.at(parent).median_time_past);
        let block = Block::from_bytes(&files.read(Kind::Body, *position)?);
        if !block.is_ok_and(|block| check_block_in_context(&block, height, median_time_past).is_ok()) {
            unlawful.push(*hash);
        }
    }
    for hash in &unlawful {
        bodies.remove(hash);
    }
    Ok(())
}

/// Where every body lies that can still be read and that the rules allow by itself; the first of two.
fn find_bodies(
    files: &BlockFiles,
    known: &mut Known,
    params: &Params,
) -> Result<BTreeMap<BlockHash, Position>, StoreError> {
    let mut bodies = BTreeMap::new();
    for number in files.numbers()? {
        let (file, path, length) = (files.file(number)?, files.path(number), files.length(number)?);
        let mut offset = 0;
        loop {
            match record::read(&file, &path, offset, length)? {
                Found::End => break,
                Found::Damaged(_) => match record::find_next(&file, &path, offset + 1, length)? {
                    Some(next) => offset = next,
                    None => break,
                },
                Found::Record { kind, payload, next } => {
                    if kind == Kind::Body
                        && let Ok(block) = Block::from_bytes(&payload)
                        && let Ok(block) = check_block(Arc::new(block), params)
                        && let (Ok(offset), Ok(length)) =
                            (u32::try_from(offset), u32::try_from(payload.len()))
                    {
                        known.add(block.block().header);
                        bodies.entry(block.hash()).or_insert(Position { file: number, offset, length });
                    }
                    offset = next;
                }
            }
        }
    }
    Ok(bodies)
}

/// The new journal.
fn commits(
    files: &BlockFiles,
    headers: &[HeaderRecord],
    bodies: &BTreeMap<BlockHash, Position>,
    reorgs: BTreeMap<u64, Arc<Reorg>>,
) -> Result<Vec<Commit>, StoreError> {
    let end = files.end()?;
    let of_headers = headers.chunks(HEADERS_PER_COMMIT).map(|headers| Commit {
        headers: headers.to_vec(),
        bodies: headers.iter().filter_map(|record| Some((record.hash, *bodies.get(&record.hash)?))).collect(),
        end,
        ..Commit::default()
    });
    let of_reorgs = reorgs.into_values().map(|reorg| Commit { reorg: Some(reorg), end, ..Commit::default() });
    Ok(of_headers.chain(of_reorgs).zip(0..).map(|(commit, number)| Commit { number, ..commit }).collect())
}
