//! A store that forgets everything when it is dropped: for tests and for the laboratory.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use crate::block::Block;
use crate::change::{Change, HeaderRecord};
use crate::coins::{Coin, Undo};
use crate::hash::BlockHash;
use crate::journal::Reorg;
use crate::overlay::FoldMap;
use crate::store::{BlockReader, Loaded, Store, StoreError};
use crate::transaction::OutPoint;

/// Bodies and undo data, shared with readers.
#[derive(Default)]
struct Bodies {
    blocks: RwLock<FoldMap<BlockHash, Arc<Block>>>,
    undos: RwLock<FoldMap<BlockHash, Arc<Undo>>>,
}

impl BlockReader for Bodies {
    fn block(&self, hash: &BlockHash) -> Result<Option<Arc<Block>>, StoreError> {
        Ok(self.blocks.read().unwrap_or_else(PoisonError::into_inner).get(hash).cloned())
    }

    fn undo(&self, hash: &BlockHash) -> Result<Option<Undo>, StoreError> {
        let undos = self.undos.read().unwrap_or_else(PoisonError::into_inner);
        Ok(undos.get(hash).map(|undo| Undo::clone(undo)))
    }
}

/// Everything in memory.
#[derive(Default)]
pub struct MemoryStore {
    /// By height and then in the order of arrival, so that parents come first.
    headers: BTreeMap<(u32, BlockHash), HeaderRecord>,
    coins: FoldMap<OutPoint, Coin>,
    bodies: Arc<Bodies>,
    tip: Option<BlockHash>,
    journal: Vec<Arc<Reorg>>,
}

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

impl Store for MemoryStore {
    fn load(&mut self) -> Result<Loaded, StoreError> {
        let blocks = self.bodies.blocks.read().unwrap_or_else(PoisonError::into_inner);
        let has_body = |record: &&HeaderRecord| blocks.contains_key(&record.hash);
        Ok(Loaded {
            headers: self.headers.values().copied().collect(),
            bodies: self.headers.values().filter(has_body).map(|record| record.hash).collect(),
            tip: self.tip,
            journal: self.journal.clone(),
        })
    }

    fn coin(&self, outpoint: &OutPoint) -> Result<Option<Coin>, StoreError> {
        Ok(self.coins.get(outpoint).copied())
    }

    fn commit(&mut self, change: &Change) -> Result<(), StoreError> {
        for record in &change.headers {
            self.headers.insert((record.height, record.hash), *record);
        }
        let mut blocks = self.bodies.blocks.write().unwrap_or_else(PoisonError::into_inner);
        blocks.extend(change.stored.iter().map(|(hash, block)| (*hash, Arc::clone(block))));
        let mut undos = self.bodies.undos.write().unwrap_or_else(PoisonError::into_inner);
        let held = change.connected.iter().filter_map(|block| Some((block.hash, block.held()?)));
        undos.extend(held.map(|(hash, (_, undo))| (hash, Arc::clone(undo))));
        for (outpoint, _) in &change.spent {
            self.coins.remove(outpoint);
        }
        self.coins.extend(change.created.iter().copied());
        self.tip = change.tip.or(self.tip);
        self.journal.extend(change.reorg.clone());
        Ok(())
    }

    fn for_each_coin(&self, visit: &mut dyn FnMut(&OutPoint, &Coin)) -> Result<(), StoreError> {
        let mut coins: Vec<_> = self.coins.iter().collect();
        coins.sort_unstable_by_key(|(outpoint, _)| **outpoint);
        for (outpoint, coin) in coins {
            visit(outpoint, coin);
        }
        Ok(())
    }

    fn reader(&self) -> Arc<dyn BlockReader> {
        Arc::clone(&self.bodies) as Arc<dyn BlockReader>
    }

    fn flush(&mut self) -> Result<(), StoreError> {
        Ok(())
    }
}
