//! Bodies and undo data, from any thread.

use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use super::files::{BlockFiles, Position};
use super::record::{Kind, damaged};
use super::sled::{IndexReader, Key, hash_key};
use super::{BlockReader, StoreError};
use crate::block::Block;
use crate::codec::Decode;
use crate::coins::Undo;
use crate::hash::BlockHash;

/// Bytes of recent blocks that are kept decoded.
const RECENT_BYTES: usize = 4 << 20;

/// The most recent blocks that are kept decoded.
const RECENT_BLOCKS: usize = 16;

/// What an entry on its way to the database takes in memory, in bytes, about.
const PENDING_BYTES: usize = 320;

/// Entries that the database does not have yet.
pub(super) type Pending = BTreeMap<Key, Vec<u8>>;

/// What the store and its readers share.
#[derive(Debug)]
pub(super) struct DiskReader {
    pub(super) files: Arc<BlockFiles>,
    pub(super) index: IndexReader,
    pub(super) pending: RwLock<Pending>,
    recent: Mutex<VecDeque<(BlockHash, Arc<Block>, usize)>>,
    /// Held as long as anyone can read: a second store must not open the database.
    _lock: File,
}

impl DiskReader {
    pub(super) fn new(files: Arc<BlockFiles>, index: IndexReader, lock: File) -> Self {
        Self { files, index, pending: RwLock::default(), recent: Mutex::default(), _lock: lock }
    }

    /// The entry of `key`, written or not.
    pub(super) fn get<T: Decode>(&self, key: &[u8]) -> Result<Option<T>, StoreError> {
        // first the entries on their way: they leave only after the database has them
        let pending = self.pending.read().unwrap_or_else(PoisonError::into_inner).get(key).cloned();
        match pending {
            Some(value) => Ok(Some(T::from_bytes(&value).expect("encoded by us"))),
            None => self.index.get(key),
        }
    }

    /// Where the record of `tag` about `hash` lies.
    pub(super) fn position(&self, tag: u8, hash: &BlockHash) -> Result<Option<Position>, StoreError> {
        self.get(&hash_key(tag, hash))
    }

    /// Bytes that entries on their way to the database take, about.
    pub(super) fn pending_bytes(&self) -> usize {
        self.pending.read().unwrap_or_else(PoisonError::into_inner).len() * PENDING_BYTES
    }

    /// Keeps a block that is likely to be asked for.
    pub(super) fn remember(&self, hash: BlockHash, block: &Arc<Block>) {
        let size = block.size();
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        recent.push_back((hash, Arc::clone(block), size));
        let mut bytes: usize = recent.iter().map(|(_, _, size)| size).sum();
        while bytes > RECENT_BYTES || recent.len() > RECENT_BLOCKS {
            bytes -= recent.pop_front().map_or(bytes, |(_, _, size)| size);
        }
    }

    fn recent(&self, hash: &BlockHash) -> Option<Arc<Block>> {
        let recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        recent.iter().find(|(known, _, _)| known == hash).map(|(_, block, _)| Arc::clone(block))
    }

    /// The block at `position`, which must be `hash`.
    pub(super) fn block_at(&self, hash: &BlockHash, position: Position) -> Result<Block, StoreError> {
        let bad = |why: &str| damaged(&self.files.path(position.file), position.offset.into(), why);
        let bytes = self.files.read(Kind::Body, position)?;
        let block = Block::from_bytes(&bytes).map_err(|error| bad(&error.to_string()))?;
        if block.hash() != *hash {
            return Err(bad(&format!("block {} where {hash} belongs", block.hash())));
        }
        Ok(block)
    }

    /// The undo data at `position`, which must be of `hash`.
    fn undo_at(&self, hash: &BlockHash, position: Position) -> Result<Undo, StoreError> {
        let bad = |why: &str| damaged(&self.files.path(position.file), position.offset.into(), why);
        let bytes = self.files.read(Kind::Undo, position)?;
        match bytes.split_at_checked(32) {
            Some((found, undo)) if found == hash.0 => {
                Undo::from_bytes(undo).map_err(|error| bad(&error.to_string()))
            }
            _ => Err(bad(&format!("the undo data of another block than {hash}"))),
        }
    }
}

impl BlockReader for DiskReader {
    fn block(&self, hash: &BlockHash) -> Result<Option<Arc<Block>>, StoreError> {
        if let Some(block) = self.recent(hash) {
            return Ok(Some(block));
        }
        let Some(position) = self.position(b'b', hash)? else { return Ok(None) };
        self.block_at(hash, position).map(Arc::new).map(Some)
    }

    fn undo(&self, hash: &BlockHash) -> Result<Option<Undo>, StoreError> {
        let Some(position) = self.position(b'u', hash)? else { return Ok(None) };
        self.undo_at(hash, position).map(Some)
    }
}
