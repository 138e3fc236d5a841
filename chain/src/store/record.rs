//! Records: what every append-only file is made of.
//!
//! Layout: magic 4 ‖ payload length u32 ‖ CRC-32C u32 of length and payload ‖ payload, little-endian.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::StoreError;

/// Bytes in front of a payload.
pub(super) const PREFIX: u64 = 12;

/// How much is read at once while looking for the next whole record.
const WINDOW: usize = 64 * 1024;

/// What a record holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A block.
    Body,
    /// A block's hash, then what it spent.
    Undo,
    /// A commit.
    Commit,
}

impl Kind {
    const ALL: [Self; 3] = [Self::Body, Self::Undo, Self::Commit];

    const fn magic(self) -> [u8; 4] {
        match self {
            Self::Body => *b"tbdy",
            Self::Undo => *b"tund",
            Self::Commit => *b"tjnl",
        }
    }
}

/// Names the file in an I/O error.
pub(super) fn at(path: &Path) -> impl FnOnce(io::Error) -> StoreError + '_ {
    |source| StoreError::Io { path: path.to_path_buf(), source }
}

/// A damaged record, by file and offset.
pub(super) fn damaged(path: &Path, offset: u64, why: &str) -> StoreError {
    StoreError::Corrupt { what: format!("{} at byte {offset} ({why})", path.display()) }
}

/// A whole record; `fill` appends the payload.
pub(super) fn frame(kind: Kind, fill: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut record = kind.magic().to_vec();
    record.extend_from_slice(&[0; 8]);
    fill(&mut record);
    let payload = &record[PREFIX as usize..];
    let length = u32::try_from(payload.len()).expect("a payload is far below 4 GiB").to_le_bytes();
    let crc = crc32c::crc32c_append(crc32c::crc32c(&length), payload).to_le_bytes();
    record[4..8].copy_from_slice(&length);
    record[8..12].copy_from_slice(&crc);
    record
}

/// What lies at an offset of a file of records.
#[derive(Debug)]
pub(super) enum Found {
    /// A whole record.
    Record {
        /// What it holds.
        kind: Kind,
        /// Its payload.
        payload: Vec<u8>,
        /// Where the next one starts.
        next: u64,
    },
    /// The end of the file, exactly.
    End,
    /// Something that is no whole record.
    Damaged(&'static str),
}

/// Reads what lies at `offset` of `file`, which is `length` bytes long.
pub(super) fn read(file: &File, path: &Path, offset: u64, length: u64) -> Result<Found, StoreError> {
    if offset == length {
        return Ok(Found::End);
    }
    if offset > length || length - offset < PREFIX {
        return Ok(Found::Damaged("the file ends inside a record"));
    }
    let mut prefix = [0; PREFIX as usize];
    file.read_exact_at(&mut prefix, offset).map_err(at(path))?;
    let Some(kind) = Kind::ALL.into_iter().find(|kind| kind.magic() == prefix[..4]) else {
        return Ok(Found::Damaged("no record starts here"));
    };
    let size = u32::from_le_bytes(prefix[4..8].try_into().expect("four bytes"));
    if u64::from(size) > length - offset - PREFIX {
        return Ok(Found::Damaged("the file ends inside a record"));
    }
    let mut payload = vec![0; size as usize];
    file.read_exact_at(&mut payload, offset + PREFIX).map_err(at(path))?;
    let crc = crc32c::crc32c_append(crc32c::crc32c(&prefix[4..8]), &payload);
    if crc.to_le_bytes() != prefix[8..12] {
        return Ok(Found::Damaged("the checksum does not match"));
    }
    Ok(Found::Record { kind, payload, next: offset + PREFIX + u64::from(size) })
}

/// The offset of the first whole record at or after `from`: a reader that met damage goes on there.
pub(super) fn find_next(file: &File, path: &Path, from: u64, length: u64) -> Result<Option<u64>, StoreError> {
    let mut window = vec![0; WINDOW];
    let mut start = from;
    while start + PREFIX <= length {
        let size = usize::try_from(length - start).map_or(WINDOW, |left| left.min(WINDOW));
        file.read_exact_at(&mut window[..size], start).map_err(at(path))?;
        let magics = window[..size].windows(4).enumerate();
        for (index, magic) in magics {
            let offset = start + index as u64;
            if Kind::ALL.iter().any(|kind| kind.magic() == magic)
                && matches!(read(file, path, offset, length)?, Found::Record { .. })
            {
                return Ok(Some(offset));
            }
        }
        // a magic may lie across two windows
        start += size as u64 - 3;
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn file_with(bytes: &[u8]) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
        file.write_all(bytes).expect("written");
        file
    }

    #[test]
    fn a_flipped_bit_anywhere_is_noticed() {
        let record = frame(Kind::Undo, |out| out.extend_from_slice(b"forty-two"));
        let path = Path::new("test");
        for bit in 0..record.len() * 8 {
            let mut bytes = record.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let file = file_with(&bytes);
            let found = read(file.as_file(), path, 0, bytes.len() as u64).expect("readable");
            assert!(matches!(found, Found::Damaged(_)), "bit {bit}: {found:?}");
        }
    }

    #[test]
    fn the_next_whole_record_is_found_behind_any_damage() {
        let record = frame(Kind::Body, |out| out.extend_from_slice(b"body"));
        for junk in [0, 1, 11, WINDOW - 2, WINDOW, WINDOW + 5] {
            let mut bytes = vec![b't'; junk];
            bytes.extend_from_slice(&record);
            let file = file_with(&bytes);
            let found = find_next(file.as_file(), Path::new("test"), 0, bytes.len() as u64);
            assert_eq!(found.expect("readable"), Some(junk as u64));
        }
    }
}
