//! One copy of each block and coin for all nodes of a world, behind the same [`Store`] that a node on a real disk has.
//!
//! Coins are kept once, with the block that made each and those that spent it. A coin is unspent at a tip exactly when
//! the block that made it is on the tip's chain and none that spent it is; both are answered by skip pointers in a number
//! of steps logarithmic in the height. So a view of the coins is a tip, a node's store is little more than that, and
//! memory grows with blocks and with nodes, not with their product. Nothing is ever deleted: a block that no node has on
//! its chain any more costs what it cost.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use foldhash::HashMap;
use tine_chain::block::{Block, Header};
use tine_chain::change::{Change, ConnectedBlock, HeaderRecord, Invalidity};
use tine_chain::coins::{Coin, Undo};
use tine_chain::hash::BlockHash;
use tine_chain::journal::Reorg;
use tine_chain::store::{BlockReader, Loaded, MemoryStore, Store, StoreError};
use tine_chain::time::Time;
use tine_chain::transaction::OutPoint;

use crate::config::Storage;

/// A block of the pool, by its place.
type Place = u32;

/// A block that some node knows.
struct PoolBlock {
    header: Header,
    hash: BlockHash,
    height: u32,
    /// None for a child of the genesis.
    parent: Option<Place>,
    /// An ancestor far back (Core: `CBlockIndex::pskip`).
    skip: Option<Place>,
    body: Option<Arc<Block>>,
    undo: Option<Arc<Undo>>,
}

/// A coin between the block that made it and those that spent it, on rival branches.
struct Life {
    coin: Coin,
    made: Place,
    spent: Vec<Place>,
}

/// Everything that all nodes keep together.
#[derive(Default)]
struct Pool {
    blocks: Vec<PoolBlock>,
    places: HashMap<BlockHash, Place>,
    /// A transaction that rival branches have makes its coins once on each.
    coins: HashMap<OutPoint, Vec<Life>>,
}

impl Pool {
    fn at(&self, place: Place) -> &PoolBlock {
        &self.blocks[place as usize]
    }

    /// Where a block is, looked up unless it is the `latest`; the genesis is not here.
    fn place(&self, hash: &BlockHash, latest: Option<(BlockHash, Place)>) -> Option<Place> {
        match latest {
            Some((known, place)) if known == *hash => Some(place),
            Some(_) | None => self.places.get(hash).copied(),
        }
    }

    fn insert(&mut self, record: &HeaderRecord) -> Place {
        if let Some(&place) = self.places.get(&record.hash) {
            return place;
        }
        let place = self.blocks.len() as Place;
        let parent = self.places.get(&record.header.prev_block).copied();
        let skip = parent.and_then(|parent| self.ancestor(parent, skip_height(record.height)));
        self.blocks.push(PoolBlock {
            header: record.header,
            hash: record.hash,
            height: record.height,
            parent,
            skip,
            body: None,
            undo: None,
        });
        self.places.insert(record.hash, place);
        place
    }

    /// The ancestor of a block at `height`; `None` for the genesis, which is not here.
    fn ancestor(&self, place: Place, height: u32) -> Option<Place> {
        let mut walk = place;
        while self.at(walk).height > height {
            let block = self.at(walk);
            let skip = block.skip.filter(|skip| self.at(*skip).height >= height);
            walk = skip.or(block.parent)?;
        }
        (height > 0).then_some(walk)
    }

    fn descends(&self, descendant: Place, ancestor: Place) -> bool {
        self.ancestor(descendant, self.at(ancestor).height) == Some(ancestor)
    }

    /// Whether the coin is there for whoever has `tip`.
    fn lives(&self, life: &Life, tip: Place) -> bool {
        self.descends(tip, life.made) && !life.spent.iter().any(|spender| self.descends(tip, *spender))
    }

    fn coin(&self, outpoint: &OutPoint, tip: Option<Place>) -> Option<Coin> {
        let tip = tip?;
        let lives = self.coins.get(outpoint)?;
        lives.iter().find(|life| self.lives(life, tip)).map(|life| life.coin)
    }

    /// A block was connected by some node, for the first time by any.
    fn connect(&mut self, block: &ConnectedBlock, place: Place) -> Result<(), StoreError> {
        if self.at(place).undo.is_some() {
            return Ok(());
        }
        // this store stages nothing, so no change lets go of its blocks
        let (body, undo) =
            block.held().ok_or_else(|| StoreError::Corrupt { what: format!("block {}", block.hash) })?;
        self.blocks[place as usize].undo = Some(Arc::clone(undo));
        for transaction in &body.transactions {
            let coinbase = transaction.is_coinbase();
            for input in transaction.inputs.iter().filter(|_| !coinbase) {
                self.spend(&input.prevout, place)?;
            }
            for (vout, output) in (0..).zip(&transaction.outputs) {
                let coin = Coin { output: *output, height: block.height, coinbase };
                let life = Life { coin, made: place, spent: Vec::new() };
                self.coins.entry(transaction.outpoint(vout)).or_default().push(life);
            }
        }
        Ok(())
    }

    fn spend(&mut self, outpoint: &OutPoint, place: Place) -> Result<(), StoreError> {
        let missing = || StoreError::Corrupt { what: format!("the shared coins (at {outpoint})") };
        let lives = self.coins.get(outpoint).ok_or_else(missing)?;
        let alive = lives.iter().position(|life| self.lives(life, place)).ok_or_else(missing)?;
        if let Some(life) = self.coins.get_mut(outpoint).and_then(|lives| lives.get_mut(alive)) {
            life.spent.push(place);
        }
        Ok(())
    }
}

fn unknown(hash: &BlockHash) -> StoreError {
    StoreError::Corrupt { what: format!("the shared blocks (at {hash})") }
}

/// The height that a block's skip pointer leads to (Core: `GetSkipHeight`).
fn skip_height(height: u32) -> u32 {
    let without_lowest_one = |number: u32| number & number.wrapping_sub(1);
    match height {
        0 | 1 => 0,
        odd if odd & 1 == 1 => without_lowest_one(without_lowest_one(odd - 1)) + 1,
        even => without_lowest_one(even),
    }
}

/// Reads bodies for any node. A chain asks only for those that its own tree has.
struct PoolReader(Arc<Mutex<Pool>>);

impl BlockReader for PoolReader {
    fn block(&self, hash: &BlockHash) -> Result<Option<Arc<Block>>, StoreError> {
        let pool = lock(&self.0);
        Ok(pool.places.get(hash).and_then(|place| pool.at(*place).body.clone()))
    }

    fn undo(&self, hash: &BlockHash) -> Result<Option<Undo>, StoreError> {
        let pool = lock(&self.0);
        let undo = pool.places.get(hash).and_then(|place| pool.at(*place).undo.as_ref());
        Ok(undo.map(|undo| Undo::clone(undo)))
    }
}

/// A mutex is poisoned by a panic elsewhere, which ends the run anyway.
fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What is one node's own in a header.
#[derive(Debug, Clone, Copy)]
struct Record {
    block: Place,
    body: bool,
    sequence: u64,
    seen: Time,
    invalid: Option<Invalidity>,
}

/// One node's view of the pool.
struct SharedStore {
    pool: Arc<Mutex<Pool>>,
    reader: Arc<PoolReader>,
    /// In the order in which they were committed.
    records: Vec<Record>,
    /// One bit for each block of the pool: whether it has a record. Nearly every header is new to its node, and to look
    /// for it among all records would make a run's time grow with the square of its length.
    known: Vec<u64>,
    tip: Option<Place>,
    journal: Vec<Arc<Reorg>>,
}

impl SharedStore {
    /// The record of a block: most often one of the last.
    fn record(&mut self, block: Place) -> Option<&mut Record> {
        let word = self.known.get(block as usize / 64).copied().unwrap_or_default();
        if word & 1 << (block % 64) == 0 {
            return None;
        }
        self.records.iter_mut().rev().find(|record| record.block == block)
    }

    fn keep(&mut self, record: Record) {
        let word = record.block as usize / 64;
        if word >= self.known.len() {
            self.known.resize(word + 1, 0);
        }
        self.known[word] |= 1 << (record.block % 64);
        self.records.push(record);
    }
}

impl Store for SharedStore {
    fn load(&mut self) -> Result<Loaded, StoreError> {
        let pool = lock(&self.pool);
        let header = |record: &Record| {
            let block = pool.at(record.block);
            HeaderRecord {
                header: block.header,
                hash: block.hash,
                height: block.height,
                sequence: record.sequence,
                seen: record.seen,
                invalid: record.invalid,
            }
        };
        let mut headers: Vec<_> = self.records.iter().map(header).collect();
        // by height, so that parents come first, and as MemoryStore does it
        headers.sort_unstable_by_key(|record| (record.height, record.hash));
        let bodies =
            self.records.iter().filter(|record| record.body).map(|record| pool.at(record.block).hash);
        Ok(Loaded {
            headers,
            bodies: bodies.collect(),
            tip: self.tip.map(|tip| pool.at(tip).hash),
            journal: self.journal.clone(),
        })
    }

    fn coin(&self, outpoint: &OutPoint) -> Result<Option<Coin>, StoreError> {
        Ok(lock(&self.pool).coin(outpoint, self.tip))
    }

    fn commit(&mut self, change: &Change) -> Result<(), StoreError> {
        let pool = Arc::clone(&self.pool);
        let mut pool = lock(&pool);
        // most changes name one block, three times more
        let mut latest = None;
        for header in &change.headers {
            let block = pool.insert(header);
            latest = Some((header.hash, block));
            let HeaderRecord { sequence, seen, invalid, .. } = *header;
            match self.record(block) {
                Some(record) => (record.sequence, record.invalid) = (sequence, invalid),
                None => self.keep(Record { block, body: false, sequence, seen, invalid }),
            }
        }
        for (hash, body) in &change.stored {
            let block = pool.place(hash, latest).ok_or_else(|| unknown(hash))?;
            pool.blocks[block as usize].body.get_or_insert_with(|| Arc::clone(body));
            if let Some(record) = self.record(block) {
                record.body = true;
            }
        }
        for block in &change.connected {
            let place = pool.place(&block.hash, latest).ok_or_else(|| unknown(&block.hash))?;
            pool.connect(block, place)?;
        }
        if let Some(tip) = &change.tip {
            self.tip = pool.place(tip, latest);
        }
        self.journal.extend(change.reorg.clone());
        Ok(())
    }

    fn for_each_coin(&self, visit: &mut dyn FnMut(&OutPoint, &Coin)) -> Result<(), StoreError> {
        let Some(tip) = self.tip else { return Ok(()) };
        let pool = lock(&self.pool);
        let mut coins: Vec<_> = pool
            .coins
            .iter()
            .filter_map(|(outpoint, lives)| {
                Some((outpoint, lives.iter().find(|life| pool.lives(life, tip))?))
            })
            .collect();
        coins.sort_unstable_by_key(|(outpoint, _)| **outpoint);
        coins.iter().for_each(|(outpoint, life)| visit(outpoint, &life.coin));
        Ok(())
    }

    fn reader(&self) -> Arc<dyn BlockReader> {
        Arc::clone(&self.reader) as Arc<dyn BlockReader>
    }

    fn flush(&mut self) -> Result<(), StoreError> {
        Ok(())
    }
}

/// What is left of a host when its node stops.
#[derive(Clone)]
pub(crate) struct Disk(Arc<Mutex<dyn Store>>);

impl Store for Disk {
    fn load(&mut self) -> Result<Loaded, StoreError> {
        lock(&self.0).load()
    }

    fn coin(&self, outpoint: &OutPoint) -> Result<Option<Coin>, StoreError> {
        lock(&self.0).coin(outpoint)
    }

    fn commit(&mut self, change: &Change) -> Result<(), StoreError> {
        lock(&self.0).commit(change)
    }

    fn for_each_coin(&self, visit: &mut dyn FnMut(&OutPoint, &Coin)) -> Result<(), StoreError> {
        lock(&self.0).for_each_coin(visit)
    }

    fn reader(&self) -> Arc<dyn BlockReader> {
        lock(&self.0).reader()
    }

    fn flush(&mut self) -> Result<(), StoreError> {
        lock(&self.0).flush()
    }
}

/// Where new disks come from.
pub(crate) struct Disks {
    storage: Storage,
    pool: Arc<Mutex<Pool>>,
    reader: Arc<PoolReader>,
}

impl Disks {
    pub(crate) fn new(storage: Storage) -> Self {
        let pool = Arc::new(Mutex::new(Pool::default()));
        Self { storage, reader: Arc::new(PoolReader(Arc::clone(&pool))), pool }
    }

    /// An empty disk.
    pub(crate) fn fresh(&self) -> Disk {
        match self.storage {
            Storage::Private => Disk(Arc::new(Mutex::new(MemoryStore::new()))),
            Storage::Shared => Disk(Arc::new(Mutex::new(SharedStore {
                pool: Arc::clone(&self.pool),
                reader: Arc::clone(&self.reader),
                records: Vec::new(),
                known: Vec::new(),
                tip: None,
                journal: Vec::new(),
            }))),
        }
    }
}
