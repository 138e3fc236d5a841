//! `journal.dat`: one record for each commit, in order. What the database does not hold yet is replayed from here.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::StoreError;
use super::device::Device;
use super::files::{CutTail, End, Position};
use super::record::{self, Found, Kind, at, damaged};
use crate::block::Header;
use crate::change::{HeaderRecord, Invalidity};
use crate::codec::{Decode, DecodeError, Encode, Reader, write_bytes, write_compact_size, write_list};
use crate::hash::BlockHash;
use crate::journal::Reorg;
use crate::reject::Reject;
use crate::time::Time;

/// The file's name in the data directory.
pub(super) const FILE: &str = "journal.dat";

/// A commit, as it is replayed: everything but the bodies, the undo data and the coins that follow from them.
///
/// Layout: number u64 ‖ headers ‖ bodies, each hash and position ‖ undo data, likewise ‖ blocks out, their
/// hashes ‖ blocks in, each hash and height ‖ flag, tip ‖ end of the block files ‖ flag, reorganisation; lists with a count.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Commit {
    /// Its number, from 0, without a gap.
    pub(super) number: u64,
    /// Headers that are new or whose validity changed.
    pub(super) headers: Vec<HeaderRecord>,
    /// Where bodies were put.
    pub(super) bodies: Vec<(BlockHash, Position)>,
    /// Where undo data was put.
    pub(super) undo: Vec<(BlockHash, Position)>,
    /// Blocks off the active chain, the old tip first.
    pub(super) disconnected: Vec<BlockHash>,
    /// Blocks onto the active chain, the lowest first.
    pub(super) connected: Vec<(BlockHash, u32)>,
    /// The tip, when it moved.
    pub(super) tip: Option<BlockHash>,
    /// How far the block files were written.
    pub(super) end: End,
    /// The journal's entry.
    pub(super) reorg: Option<Arc<Reorg>>,
}

impl Encode for HeaderRecord {
    /// header 80 ‖ height u32 ‖ sequence u64 ‖ seen u64 ‖ tag: 0 valid, 1 broke the rule whose reject string
    /// follows, 2 an ancestor did, 3 manual.
    fn encode(&self, out: &mut Vec<u8>) {
        self.header.encode(out);
        out.extend_from_slice(&self.height.to_le_bytes());
        out.extend_from_slice(&self.sequence.to_le_bytes());
        out.extend_from_slice(&self.seen.0.to_le_bytes());
        match self.invalid {
            None => out.push(0),
            Some(Invalidity::Rule(reject)) => {
                out.push(1);
                write_bytes(reject.reason().as_bytes(), out);
            }
            Some(Invalidity::Ancestor) => out.push(2),
            Some(Invalidity::Manual) => out.push(3),
        }
    }
}

/// The shortest encoding of a [`HeaderRecord`], in bytes.
const LEAST_HEADER_RECORD: usize = Header::SIZE + 21;

impl Decode for HeaderRecord {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let header = Header::decode(reader)?;
        Ok(Self {
            header,
            hash: header.hash(),
            height: reader.u32()?,
            sequence: reader.u64()?,
            seen: Time(reader.u64()?),
            invalid: match reader.u8()? {
                0 => None,
                1 => Some(Invalidity::Rule(decode_reject(reader)?)),
                2 => Some(Invalidity::Ancestor),
                3 => Some(Invalidity::Manual),
                tag => return Err(DecodeError::UnknownTag { what: "invalidity", tag }),
            },
        })
    }
}

/// Rules are written by their reject string: the order of the enum may change, the strings don't.
fn decode_reject(reader: &mut Reader<'_>) -> Result<Reject, DecodeError> {
    let reason = reader.bytes("reject string", 100)?;
    let reject = Reject::ALL.iter().find(|reject| reject.reason().as_bytes() == reason);
    reject.copied().ok_or(DecodeError::Malformed("an unknown reject string"))
}

fn write_pairs<T>(pairs: &[(BlockHash, T)], out: &mut Vec<u8>, write: impl Fn(&T, &mut Vec<u8>)) {
    write_compact_size(pairs.len() as u64, out);
    for (hash, value) in pairs {
        hash.encode(out);
        write(value, out);
    }
}

fn read_pairs<T>(
    reader: &mut Reader<'_>,
    size: usize,
    read: impl Fn(&mut Reader<'_>) -> Result<T, DecodeError>,
) -> Result<Vec<(BlockHash, T)>, DecodeError> {
    let count = reader.count("blocks", u64::MAX, 32 + size)?;
    (0..count).map(|_| Ok((BlockHash::decode(reader)?, read(reader)?))).collect()
}

fn write_option<T: Encode>(value: Option<&T>, out: &mut Vec<u8>) {
    out.push(u8::from(value.is_some()));
    if let Some(value) = value {
        value.encode(out);
    }
}

/// A flag, 0 or 1, and then the value.
fn read_option<T: Decode>(reader: &mut Reader<'_>) -> Result<Option<T>, DecodeError> {
    match reader.u8()? {
        0 => Ok(None),
        1 => T::decode(reader).map(Some),
        tag => Err(DecodeError::UnknownTag { what: "option", tag }),
    }
}

impl Encode for Commit {
    fn encode(&self, out: &mut Vec<u8>) {
        let height = |height: &u32, out: &mut Vec<u8>| out.extend_from_slice(&height.to_le_bytes());
        out.extend_from_slice(&self.number.to_le_bytes());
        write_list(&self.headers, out);
        write_pairs(&self.bodies, out, Position::encode);
        write_pairs(&self.undo, out, Position::encode);
        write_list(&self.disconnected, out);
        write_pairs(&self.connected, out, height);
        write_option(self.tip.as_ref(), out);
        self.end.encode(out);
        write_option(self.reorg.as_ref(), out);
    }
}

impl Decode for Commit {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            number: reader.u64()?,
            headers: reader.list("headers", u64::MAX, LEAST_HEADER_RECORD)?,
            bodies: read_pairs(reader, Position::SIZE, Position::decode)?,
            undo: read_pairs(reader, Position::SIZE, Position::decode)?,
            disconnected: reader.list("blocks out", u64::MAX, 32)?,
            connected: read_pairs(reader, 4, |reader| reader.u32())?,
            tip: read_option(reader)?,
            end: End::decode(reader)?,
            reorg: read_option(reader)?,
        })
    }
}

/// A place between two commits: where the next one is written, and its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) struct Cursor {
    /// An offset in the file, in bytes.
    pub(super) offset: u64,
    /// The number of the next commit.
    pub(super) number: u64,
}

/// Where the store stands behind a commit.
///
/// Layout: offset u64 ‖ number u64 ‖ flag, tip ‖ end of the block files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Standing {
    /// Behind the commit.
    pub(super) cursor: Cursor,
    /// The active tip.
    pub(super) tip: Option<BlockHash>,
    /// How far the block files are written.
    pub(super) end: End,
}

impl Encode for Standing {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.cursor.offset.to_le_bytes());
        out.extend_from_slice(&self.cursor.number.to_le_bytes());
        write_option(self.tip.as_ref(), out);
        self.end.encode(out);
    }
}

impl Decode for Standing {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let cursor = Cursor { offset: reader.u64()?, number: reader.u64()? };
        Ok(Self { cursor, tip: read_option(reader)?, end: End::decode(reader)? })
    }
}

/// The open file.
#[derive(Debug)]
pub(super) struct JournalFile {
    device: Device,
    path: PathBuf,
    file: File,
    length: u64,
}

impl JournalFile {
    /// Opens the file at `path`, or begins a new one when `create` says that there is none to be expected.
    pub(super) fn open(device: Device, path: PathBuf, create: bool) -> Result<Self, StoreError> {
        if !create && !path.exists() {
            return Err(StoreError::Corrupt { what: format!("{} is missing: the journal", path.display()) });
        }
        let file = device.open(&path)?;
        let length = file.metadata().map_err(at(&path))?.len();
        if length == 0 {
            device.sync_directory(path.parent().expect("a file in the data directory"))?;
        }
        Ok(Self { device, path, file, length })
    }

    /// The file.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Its length, in bytes, of whole records and perhaps a torn one.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// The commit at `at_cursor` and where the next one starts; `None` at the end.
    ///
    /// A torn tail is cut off. Damage before `acknowledged`, or that whole records follow, is an error.
    pub(super) fn next(
        &mut self,
        at_cursor: Cursor,
        acknowledged: u64,
        cut: &mut Vec<CutTail>,
    ) -> Result<Option<(Commit, Cursor)>, StoreError> {
        let offset = at_cursor.offset;
        match record::read(&self.file, &self.path, offset, self.length)? {
            Found::Record { kind: Kind::Commit, payload, next } => {
                let commit = Commit::from_bytes(&payload)
                    .map_err(|error| damaged(&self.path, offset, &error.to_string()))?;
                if commit.number != at_cursor.number {
                    let why = format!("commit {} where {} belongs", commit.number, at_cursor.number);
                    return Err(damaged(&self.path, offset, &why));
                }
                Ok(Some((commit, Cursor { offset: next, number: at_cursor.number + 1 })))
            }
            Found::Record { .. } => Err(damaged(&self.path, offset, "a record of another file")),
            Found::End => Ok(None),
            Found::Damaged(why) => {
                let known = offset < acknowledged;
                if known || record::find_next(&self.file, &self.path, offset + 1, self.length)?.is_some() {
                    return Err(damaged(&self.path, offset, why));
                }
                self.device.set_length(&self.file, &self.path, offset)?;
                self.sync()?;
                cut.push(CutTail { path: self.path.clone(), kept: offset, cut: self.length - offset });
                self.length = offset;
                Ok(None)
            }
        }
    }

    /// Reads the commit at `offset` again.
    pub(super) fn read(&self, offset: u64) -> Result<Commit, StoreError> {
        match record::read(&self.file, &self.path, offset, self.length)? {
            Found::Record { kind: Kind::Commit, payload, .. } => {
                Commit::from_bytes(&payload).map_err(|error| damaged(&self.path, offset, &error.to_string()))
            }
            Found::Record { .. } => Err(damaged(&self.path, offset, "a record of another file")),
            Found::End => Err(damaged(&self.path, offset, "the file ends before it")),
            Found::Damaged(why) => Err(damaged(&self.path, offset, why)),
        }
    }

    /// Every commit that can still be read, whatever lies between: what a reindex starts from.
    pub(super) fn salvage(&self, mut visit: impl FnMut(Commit)) -> Result<(), StoreError> {
        let mut offset = 0;
        loop {
            match record::read(&self.file, &self.path, offset, self.length)? {
                Found::Record { payload, next, .. } => {
                    if let Ok(commit) = Commit::from_bytes(&payload) {
                        visit(commit);
                    }
                    offset = next;
                }
                Found::End => return Ok(()),
                Found::Damaged(_) => {
                    match record::find_next(&self.file, &self.path, offset + 1, self.length)? {
                        Some(next) => offset = next,
                        None => return Ok(()),
                    }
                }
            }
        }
    }

    /// Writes `commit` behind the last one and returns its offset. Durable only after [`JournalFile::sync`].
    pub(super) fn append(&mut self, commit: &Commit) -> Result<u64, StoreError> {
        let record = record::frame(Kind::Commit, |out| commit.encode(out));
        let offset = self.length;
        self.device.write(&self.file, &self.path, offset, &record)?;
        self.length += record.len() as u64;
        Ok(offset)
    }

    /// Makes everything appended durable: one `fdatasync`.
    pub(super) fn sync(&self) -> Result<(), StoreError> {
        self.device.sync(&self.file, &self.path)
    }

    /// Replaces the file at `path` by one with `commits`, whole or not at all.
    pub(super) fn replace(device: &Device, path: &Path, commits: &[Commit]) -> Result<(), StoreError> {
        device.replace(path, |write| {
            commits
                .iter()
                .try_for_each(|commit| write(&record::frame(Kind::Commit, |out| commit.encode(out))))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(nonce: u32, invalid: Option<Invalidity>) -> HeaderRecord {
        let header = Header {
            version: 1,
            prev_block: BlockHash([7; 32]),
            merkle_root: crate::hash::MerkleRoot([8; 32]),
            time: 9,
            bits: crate::pow::CompactTarget(0x207f_ffff),
            nonce,
        };
        HeaderRecord { header, hash: header.hash(), height: 1, sequence: 2, seen: Time(3), invalid }
    }

    #[test]
    fn a_commit_survives_its_encoding() {
        let rules = Reject::ALL.iter().map(|reject| Some(Invalidity::Rule(*reject)));
        let others = [None, Some(Invalidity::Ancestor), Some(Invalidity::Manual)];
        let headers = rules.chain(others).zip(0..).map(|(invalid, nonce)| header(nonce, invalid)).collect();
        let position = Position { file: 1, offset: 2, length: 3 };
        let commit = Commit {
            number: 5,
            headers,
            bodies: vec![(BlockHash([1; 32]), position)],
            undo: vec![(BlockHash([2; 32]), position)],
            disconnected: vec![BlockHash([3; 32])],
            connected: vec![(BlockHash([4; 32]), 4), (BlockHash([5; 32]), 5)],
            tip: Some(BlockHash([5; 32])),
            end: End { file: 1, offset: 77 },
            reorg: None,
        };
        assert_eq!(Commit::from_bytes(&commit.to_bytes()), Ok(commit));
    }

    #[test]
    fn reject_strings_tell_the_rules_apart() {
        for reject in Reject::ALL {
            let same = Reject::ALL.iter().filter(|other| other.reason() == reject.reason()).count();
            assert_eq!(same, 1, "{reject:?}");
        }
    }
}
