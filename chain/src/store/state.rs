//! What the database and the memory in front of it say together, and how the journal brings them up to date.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError};

use super::cache::CoinCache;
use super::flush::{Flusher, Parts, SledOptions, Stage};
use super::journal_file::{Commit, Cursor, JournalFile, Standing};
use super::reader::DiskReader;
use super::recover::Recovery;
use super::sled::{Index, Scan, coin_key, hash_key, reorg_key};
use super::sled_scratch::Scratch;
use super::tally::Tally;
use super::{BlockReader, Loaded, Spilling, StoreError};
use crate::block::Block;
use crate::change::{Change, HeaderRecord};
use crate::codec::{Decode, Encode, Reader};
use crate::coins::{Coin, CoinDelta};
use crate::hash::BlockHash;
use crate::transaction::OutPoint;

/// Everything that is looked up: the journal, the database, and what is on its way there.
pub(super) struct State {
    pub(super) options: SledOptions,
    pub(super) journal: JournalFile,
    pub(super) index: Index,
    pub(super) reader: Arc<DiskReader>,
    pub(super) coins: CoinCache,
    pub(super) standing: Standing,
    pub(super) flusher: Flusher,
    /// What the coins amount to.
    pub(super) tally: Tally,
    dir: PathBuf,
    /// What the switch that is on its way has spilled.
    scratch: Option<Scratch>,
    scratches: u64,
    /// What a committed switch had spilled: it lies over the coins of the database, and under those in memory.
    layer: Option<Scratch>,
}

impl State {
    /// The state at the database's marker.
    pub(super) fn new(
        options: SledOptions,
        dir: PathBuf,
        journal: JournalFile,
        index: Index,
        reader: DiskReader,
    ) -> Self {
        let standing = index.meta().marker;
        let tally = Tally::new(index.meta().stats.clone());
        let mut flusher = Flusher::default();
        flusher.start_at(standing.cursor.number);
        let reader = Arc::new(reader);
        let coins = CoinCache::default();
        let (scratch, scratches, layer) = (None, 0, None);
        Self {
            options,
            journal,
            index,
            reader,
            coins,
            standing,
            flusher,
            tally,
            dir,
            scratch,
            scratches,
            layer,
        }
    }

    /// Replays what the database does not hold.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] when the journal ends before what the database holds: acknowledged commits are gone.
    pub(super) fn replay(&mut self, recovery: &mut Recovery) -> Result<(), StoreError> {
        // In a database that begins empty, a coin that is created is not there yet. In one that a crash left between
        // two markers it may be, and must be deleted there when it is spent.
        let fresh = self.index.is_new();
        let path = self.journal.path().to_path_buf();
        let ahead = self.index.meta().ahead;
        if self.journal.length() < ahead {
            let what = format!("{} (it ends before the commits that the database holds)", path.display());
            return Err(StoreError::Corrupt { what });
        }
        while let Some((commit, next)) = self.journal.next(self.standing.cursor, ahead, &mut recovery.cut)? {
            self.options.tell(&path, Stage::Replay { number: commit.number })?;
            self.absorb(&commit, next);
            self.replay_coins(&commit, fresh)?;
            self.relieve()?;
            recovery.replayed += 1;
        }
        Ok(())
    }

    /// What a commit did to the coins, from its bodies and their undo data.
    fn replay_coins(&mut self, commit: &Commit, fresh: bool) -> Result<(), StoreError> {
        for hash in &commit.disconnected {
            let block = self.acknowledged_block(hash)?;
            let undo = self.reader.undo(hash)?.ok_or_else(|| missing("the undo data", hash))?;
            let height = self.height_of(hash)?;
            self.disconnect(&block, height, undo.spent, fresh)
                .ok_or_else(|| missing("some of the undo data", hash))?;
            self.within_commit()?;
        }
        for (hash, height) in &commit.connected {
            let block = self.acknowledged_block(hash)?;
            let undo = self.reader.undo(hash)?.ok_or_else(|| missing("the undo data", hash))?;
            undo.spent.into_iter().for_each(|(outpoint, coin)| self.tally.spend(outpoint, coin));
            self.connect(&block, *height, fresh);
            self.within_commit()?;
        }
        Ok(())
    }

    fn within_commit(&mut self) -> Result<(), StoreError> {
        let (flusher, parts) = self.parts();
        flusher.within_commit(parts)
    }

    fn height_of(&self, hash: &BlockHash) -> Result<u32, StoreError> {
        let record: Option<HeaderRecord> = self.reader.get(&hash_key(b'h', hash))?;
        record.map(|record| record.height).ok_or_else(|| missing("the header", hash))
    }

    fn connect(&mut self, block: &Block, height: u32, fresh: bool) {
        for transaction in &block.transactions {
            let coinbase = transaction.is_coinbase();
            for input in transaction.inputs.iter().filter(|_| !coinbase) {
                self.coins.spend(input.prevout);
            }
            for (output, vout) in transaction.outputs.iter().zip(0..) {
                let coin = Coin { output: *output, height, coinbase };
                self.coins.create(transaction.outpoint(vout), coin, fresh);
                self.tally.create(transaction.outpoint(vout), coin);
            }
        }
    }

    /// Backwards, so that a coin which the block both made and spent is gone in the end; `None`: too little undo data.
    fn disconnect(
        &mut self,
        block: &Block,
        height: u32,
        mut spent: Vec<(OutPoint, Coin)>,
        fresh: bool,
    ) -> Option<()> {
        for transaction in block.transactions.iter().rev() {
            let coinbase = transaction.is_coinbase();
            for (output, vout) in transaction.outputs.iter().zip(0..) {
                self.coins.spend(transaction.outpoint(vout));
                self.tally.spend(transaction.outpoint(vout), Coin { output: *output, height, coinbase });
            }
            for input in transaction.inputs.iter().rev().filter(|_| !coinbase) {
                let (outpoint, coin) = spent.pop().filter(|(outpoint, _)| *outpoint == input.prevout)?;
                self.coins.create(outpoint, coin, fresh);
                self.tally.create(outpoint, coin);
            }
        }
        spent.is_empty().then_some(())
    }

    fn acknowledged_block(&self, hash: &BlockHash) -> Result<Block, StoreError> {
        let position = self.reader.position(b'b', hash)?.ok_or_else(|| missing("the body", hash))?;
        self.reader.block_at(hash, position)
    }

    /// Takes over what a durable commit says of blocks; `next` is where the one after it will be.
    pub(super) fn absorb(&mut self, commit: &Commit, next: Cursor) {
        let offset = self.standing.cursor.offset;
        let mut pending = self.reader.pending.write().unwrap_or_else(PoisonError::into_inner);
        for header in &commit.headers {
            pending.insert(hash_key(b'h', &header.hash), header.to_bytes());
        }
        for (hash, position) in &commit.bodies {
            pending.insert(hash_key(b'b', hash), position.to_bytes());
        }
        for (hash, position) in &commit.undo {
            pending.insert(hash_key(b'u', hash), position.to_bytes());
        }
        if let Some(reorg) = &commit.reorg {
            pending.insert(reorg_key(reorg.number), offset.to_le_bytes().to_vec());
        }
        drop(pending);
        self.standing = Standing { cursor: next, tip: commit.tip.or(self.standing.tip), end: commit.end };
    }

    /// Takes over what a change does to the coins: when it is durable, or while it is being written by others. Should
    /// the writing fail, the store is not to be used any more.
    pub(super) fn absorb_coins(&mut self, change: &Change) {
        if change.spilled {
            self.layer = self.scratch.take();
            let stats = self.layer.as_ref().map(Scratch::stats).unwrap_or_default();
            self.tally.add(&stats);
        }
        absorb(&mut self.coins, &mut self.tally, change);
    }

    // -- what is too much for memory

    /// Makes way for a scratch: only the database may have coins under it.
    pub(super) fn prepare_spill(&mut self) -> Result<Spilling, StoreError> {
        let (flusher, parts) = self.parts();
        if !flusher.empty_cache(parts)? {
            return Ok(Spilling::NotYet);
        }
        self.scratches += 1;
        self.scratch = Some(Scratch::begin(&self.dir, self.scratches)?);
        Ok(Spilling::Ready)
    }

    pub(super) fn spill(&mut self, deltas: Vec<(OutPoint, CoinDelta)>) -> Result<(), StoreError> {
        self.options.tell(&self.dir, Stage::Spill { coins: deltas.len() })?;
        self.scratch.as_mut().map_or(Ok(()), |scratch| scratch.put(deltas))
    }

    pub(super) fn spilled(&self, outpoint: &OutPoint) -> Result<Option<CoinDelta>, StoreError> {
        self.scratch.as_ref().map_or(Ok(None), |scratch| scratch.get(outpoint))
    }

    pub(super) fn discard_spilled(&mut self) {
        self.scratch = None;
    }

    /// Merges a slice of what was spilled, and says whether there is more.
    pub(super) fn merge(&mut self) -> Result<bool, StoreError> {
        self.parts().1.merge()
    }

    /// The coin at `outpoint`.
    pub(super) fn coin(&self, outpoint: &OutPoint) -> Result<Option<Coin>, StoreError> {
        if let Some(known) = self.coins.get(outpoint) {
            return Ok(known);
        }
        if let Some(layer) = &self.layer
            && let Some(delta) = layer.get(outpoint)?
        {
            return Ok(delta.now);
        }
        self.index.reader().get(&coin_key(outpoint))
    }

    /// Flushes as much as is due.
    pub(super) fn relieve(&mut self) -> Result<(), StoreError> {
        let (flusher, parts) = self.parts();
        flusher.after_commit(parts)
    }

    /// Flushes everything.
    pub(super) fn flush(&mut self) -> Result<(), StoreError> {
        let (flusher, parts) = self.parts();
        flusher.flush(parts)
    }

    /// See [`super::SledStore::cached_bytes`].
    pub(super) fn cached_bytes(&self) -> usize {
        self.coins.bytes() + self.reader.pending_bytes()
    }

    fn parts(&mut self) -> (&mut Flusher, Parts<'_>) {
        let Self { options, index, reader, coins, standing, flusher, tally, layer, .. } = self;
        (flusher, Parts { options, index, reader, coins, standing: *standing, tally, layer })
    }

    /// Everything that is read once at start: `scan` from the database, and what is on its way there.
    pub(super) fn loaded(&self, scan: Scan) -> Result<Loaded, StoreError> {
        let pending = self.reader.pending.read().unwrap_or_else(PoisonError::into_inner);
        let Scan { mut headers, mut bodies, mut reorgs } = scan;
        headers.retain(|header| !pending.contains_key(&hash_key(b'h', &header.hash)));
        bodies.retain(|hash| !pending.contains_key(&hash_key(b'b', hash)));
        for (key, value) in pending.iter() {
            match key[0] {
                b'h' => headers.push(HeaderRecord::from_bytes(value).expect("encoded by us")),
                b'b' => bodies.push(BlockHash::from_bytes(&key[1..]).expect("a hash key")),
                b'r' => reorgs.push(Reader::new(value).u64().expect("encoded by us")),
                // positions of undo data are looked up
                _ => {}
            }
        }
        drop(pending);
        // parents before children
        headers.sort_unstable_by_key(|header| (header.height, header.sequence, header.hash));
        bodies.sort_unstable();
        reorgs.sort_unstable();
        reorgs.dedup();
        let journal = reorgs.iter().map(|offset| self.journal.read(*offset).map(|commit| commit.reorg));
        let journal = journal.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect();
        Ok(Loaded { headers, bodies, tip: self.standing.tip, journal })
    }

    /// Calls `visit` with every coin, in the order of outpoints: the database's, as memory has changed them.
    pub(super) fn for_each_coin(&self, visit: &mut dyn FnMut(&OutPoint, &Coin)) -> Result<(), StoreError> {
        // a whole layer in memory: only between a deep reorganisation and the end of its merge
        let layer = self.layer.as_ref().map_or(Ok(Vec::new()), Scratch::all)?;
        let mut dirty: BTreeMap<_, _> =
            layer.into_iter().map(|(outpoint, delta)| (outpoint, delta.now)).collect();
        let in_memory = self.coins.dirty();
        dirty.extend(in_memory.iter().map(|outpoint| (*outpoint, self.coins.unwritten(outpoint).flatten())));
        let mut dirty = dirty.into_iter().peekable();
        self.index.for_each_coin(|outpoint, coin| {
            while let Some((earlier, coin)) = dirty.next_if(|(dirty, _)| *dirty < outpoint) {
                coin.iter().for_each(|coin| visit(&earlier, coin));
            }
            let coin = dirty.next_if(|(dirty, _)| *dirty == outpoint).map_or(Some(coin), |(_, coin)| coin);
            coin.iter().for_each(|coin| visit(&outpoint, coin));
        })?;
        for (outpoint, coin) in dirty {
            coin.iter().for_each(|coin| visit(&outpoint, coin));
        }
        Ok(())
    }
}

/// What a change does to the coins in memory, and to what they amount to.
pub(super) fn absorb(coins: &mut CoinCache, tally: &mut Tally, change: &Change) {
    for (outpoint, coin) in &change.spent {
        coins.spend(*outpoint);
        tally.spend(*outpoint, *coin);
    }
    // a reorganisation may make a coin anew that the database has, at another height
    let fresh = change.disconnected.is_empty();
    for (outpoint, coin) in &change.created {
        coins.create(*outpoint, *coin, fresh);
        tally.create(*outpoint, *coin);
    }
}

fn missing(what: &str, hash: &BlockHash) -> StoreError {
    StoreError::Corrupt { what: format!("the block store, which lacks {what} of {hash},") }
}
