//! Records as they lie in the store's files, for tests and fuzz targets.

use super::journal_file::Commit;
use super::record::{self, Kind};
use crate::codec::{Decode, Encode};

/// A body as it lies in a block file: magic, length, checksum, `payload`.
#[must_use]
pub fn body_record(payload: &[u8]) -> Vec<u8> {
    record::frame(Kind::Body, |out| out.extend_from_slice(payload))
}

/// Undo data as it lies in a block file.
#[must_use]
pub fn undo_record(payload: &[u8]) -> Vec<u8> {
    record::frame(Kind::Undo, |out| out.extend_from_slice(payload))
}

/// A commit as it lies in the journal.
#[must_use]
pub fn commit_record(payload: &[u8]) -> Vec<u8> {
    record::frame(Kind::Commit, |out| out.extend_from_slice(payload))
}

/// The encoding of the commit that `payload` encodes, if it does.
#[must_use]
pub fn reencoded_commit(payload: &[u8]) -> Option<Vec<u8>> {
    Commit::from_bytes(payload).ok().map(|commit| commit.to_bytes())
}
