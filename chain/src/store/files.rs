//! Block files: `blocks/NNNNN.dat`, append-only, bodies and undo data side by side.
//!
//! Nothing in them is ever changed. What lies behind the last commit was never acknowledged: whole records stay (a
//! reindex may find a use for them), a torn one is cut off.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use super::StoreError;
use super::device::Device;
use super::record::{self, Found, Kind, PREFIX, at, damaged};
use crate::codec::{Decode, DecodeError, Encode, Reader};

/// The most files that are kept open for reading.
const MAX_OPEN: usize = 64;

/// Where a record lies: file u32 ‖ offset u32 ‖ payload length u32 (12 bytes).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Position {
    /// The number of the file.
    pub(super) file: u32,
    /// The offset of the record's first byte.
    pub(super) offset: u32,
    /// The length of its payload, in bytes.
    pub(super) length: u32,
}

impl Position {
    pub(super) const SIZE: usize = 12;
}

impl Encode for Position {
    fn encode(&self, out: &mut Vec<u8>) {
        for number in [self.file, self.offset, self.length] {
            out.extend_from_slice(&number.to_le_bytes());
        }
    }
}

impl Decode for Position {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self { file: reader.u32()?, offset: reader.u32()?, length: reader.u32()? })
    }
}

/// How far the block files are written: the last file, and its length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) struct End {
    /// The number of the last file.
    pub(super) file: u32,
    /// Its length, in bytes.
    pub(super) offset: u32,
}

impl Encode for End {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.file.to_le_bytes());
        out.extend_from_slice(&self.offset.to_le_bytes());
    }
}

impl Decode for End {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self { file: reader.u32()?, offset: reader.u32()? })
    }
}

/// The files, for reading from any thread.
#[derive(Debug)]
pub(super) struct BlockFiles {
    dir: PathBuf,
    open: RwLock<BTreeMap<u32, Arc<File>>>,
}

impl BlockFiles {
    /// The files of `dir`, which is created when `create` says that none is to be expected.
    pub(super) fn new(device: &Device, dir: PathBuf, create: bool) -> Result<Self, StoreError> {
        if !create && !dir.is_dir() {
            return Err(StoreError::Corrupt {
                what: format!("{} is missing: the block store", dir.display()),
            });
        }
        device.create_directory(&dir)?;
        Ok(Self { dir, open: RwLock::default() })
    }

    /// The path of file `number`.
    pub(super) fn path(&self, number: u32) -> PathBuf {
        self.dir.join(format!("{number:05}.dat"))
    }

    /// The numbers of the files there are, in order.
    pub(super) fn numbers(&self) -> Result<Vec<u32>, StoreError> {
        let mut numbers = Vec::new();
        for entry in fs::read_dir(&self.dir).map_err(at(&self.dir))? {
            let name = entry.map_err(at(&self.dir))?.file_name();
            let stem = name.to_str().and_then(|name| name.strip_suffix(".dat"));
            numbers.extend(stem.and_then(|stem| stem.parse::<u32>().ok()));
        }
        numbers.sort_unstable();
        Ok(numbers)
    }

    /// File `number`, open for reading.
    pub(super) fn file(&self, number: u32) -> Result<Arc<File>, StoreError> {
        if let Some(file) = self.open.read().unwrap_or_else(PoisonError::into_inner).get(&number) {
            return Ok(Arc::clone(file));
        }
        let path = self.path(number);
        let file = match File::open(&path) {
            Ok(file) => Arc::new(file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(StoreError::Corrupt {
                    what: format!("{} is missing: the block store", path.display()),
                });
            }
            Err(source) => return Err(StoreError::Io { path, source }),
        };
        let mut open = self.open.write().unwrap_or_else(PoisonError::into_inner);
        if open.len() >= MAX_OPEN {
            open.clear();
        }
        open.insert(number, Arc::clone(&file));
        Ok(file)
    }

    /// The payload at `position`, its checksum checked.
    pub(super) fn read(&self, kind: Kind, position: Position) -> Result<Vec<u8>, StoreError> {
        let path = self.path(position.file);
        let offset = u64::from(position.offset);
        let length = self.length(position.file)?;
        match record::read(&*self.file(position.file)?, &path, offset, length)? {
            Found::Record { kind: found, payload, .. }
                if found == kind && payload.len() == position.length as usize =>
            {
                Ok(payload)
            }
            Found::Record { .. } => Err(damaged(&path, offset, "another record lies here")),
            Found::End => Err(damaged(&path, offset, "the file ends before it")),
            Found::Damaged(why) => Err(damaged(&path, offset, why)),
        }
    }

    /// The length of file `number`, in bytes.
    pub(super) fn length(&self, number: u32) -> Result<u64, StoreError> {
        let file = self.file(number)?;
        Ok(file.metadata().map_err(at(&self.path(number)))?.len())
    }

    /// The end of the last whole record of the last file, whatever lies before it: where writing goes on after damage.
    pub(super) fn end(&self) -> Result<End, StoreError> {
        let Some(number) = self.numbers()?.last().copied() else { return Ok(End::default()) };
        let (file, path, length) = (self.file(number)?, self.path(number), self.length(number)?);
        let mut end = 0;
        let mut start = Some(0);
        while let Some(offset) = start {
            end = self.whole_until(number, offset)?;
            start = record::find_next(&file, &path, end, length)?;
        }
        let offset = u32::try_from(end).map_err(|_| damaged(&path, end, "the file is too long"))?;
        Ok(End { file: number, offset })
    }

    /// Where the whole records of file `number` from `offset` on end.
    fn whole_until(&self, number: u32, mut offset: u64) -> Result<u64, StoreError> {
        let (file, path, length) = (self.file(number)?, self.path(number), self.length(number)?);
        while let Found::Record { next, .. } = record::read(&file, &path, offset, length)? {
            offset = next;
        }
        Ok(offset)
    }
}

/// The one who writes the block files.
#[derive(Debug)]
pub(super) struct Appender {
    device: Device,
    files: Arc<BlockFiles>,
    current: Arc<File>,
    end: End,
    limit: u32,
    unsynced: Vec<(u32, Arc<File>)>,
    created: bool,
}

/// A torn tail that was cut off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CutTail {
    /// The file.
    pub path: PathBuf,
    /// Its length since, in bytes.
    pub kept: u64,
    /// How many bytes went.
    pub cut: u64,
}

impl Appender {
    /// Goes on behind `end`, what the last commit says was written; files roll at `limit` bytes.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] when a file that was acknowledged is missing or shorter.
    pub(super) fn open(
        device: Device,
        files: Arc<BlockFiles>,
        end: End,
        limit: u32,
        cut: &mut Vec<CutTail>,
    ) -> Result<Self, StoreError> {
        let numbers = files.numbers()?;
        for number in 0..=end.file {
            if numbers.binary_search(&number).is_err() && end != End::default() {
                let path = files.path(number);
                return Err(StoreError::Corrupt {
                    what: format!("{} is missing: the block store", path.display()),
                });
            }
        }
        if numbers.contains(&end.file) && files.length(end.file)? < u64::from(end.offset) {
            let path = files.path(end.file);
            return Err(damaged(
                &path,
                files.length(end.file)?,
                "the file ends before acknowledged blocks do",
            ));
        }
        let last = numbers.last().copied().unwrap_or(0).max(end.file);
        let path = files.path(last);
        let created = !path.exists();
        let current = Arc::new(device.open(&path)?);
        let length = current.metadata().map_err(at(&path))?.len();
        let start = if last == end.file { u64::from(end.offset) } else { 0 };
        let whole = files.whole_until(last, start)?;
        if whole < length {
            device.set_length(&current, &path, whole)?;
            cut.push(CutTail { path: path.clone(), kept: whole, cut: length - whole });
        }
        let offset = u32::try_from(whole).map_err(|_| damaged(&path, whole, "the file is too long"))?;
        let end = End { file: last, offset };
        Ok(Self { device, files, current, end, limit, unsynced: Vec::new(), created })
    }

    /// How far the files are written.
    pub(super) fn end(&self) -> End {
        self.end
    }

    /// Writes a record behind the last one. Durable only after [`Appender::sync`].
    pub(super) fn append(
        &mut self,
        kind: Kind,
        fill: impl FnOnce(&mut Vec<u8>),
    ) -> Result<Position, StoreError> {
        let record = record::frame(kind, fill);
        if self.end.offset > 0 && u64::from(self.end.offset) + record.len() as u64 > u64::from(self.limit) {
            self.roll()?;
        }
        let position = Position {
            file: self.end.file,
            offset: self.end.offset,
            length: u32::try_from(record.len() as u64 - PREFIX).expect("frame checked it"),
        };
        let path = self.files.path(position.file);
        self.device.write(&self.current, &path, position.offset.into(), &record)?;
        self.end.offset += u32::try_from(record.len()).expect("frame checked it");
        if self.unsynced.last().is_none_or(|(number, _)| *number != self.end.file) {
            self.unsynced.push((self.end.file, Arc::clone(&self.current)));
        }
        Ok(position)
    }

    fn roll(&mut self) -> Result<(), StoreError> {
        let number = self.end.file + 1;
        let path = self.files.path(number);
        self.current = Arc::new(self.device.open(&path)?);
        self.end = End { file: number, offset: 0 };
        self.created = true;
        Ok(())
    }

    /// Whether anything was appended since the last sync.
    pub(super) fn is_dirty(&self) -> bool {
        !self.unsynced.is_empty()
    }

    /// Makes everything appended durable: one `fdatasync`, and more only when a file was begun.
    pub(super) fn sync(&mut self) -> Result<(), StoreError> {
        for (number, file) in self.unsynced.drain(..) {
            self.device.sync(&file, &self.files.path(number))?;
        }
        if std::mem::take(&mut self.created) {
            self.device.sync_directory(&self.files.dir)?;
        }
        Ok(())
    }

    /// The directory of the files.
    pub(super) fn path(&self) -> &Path {
        &self.files.dir
    }
}
