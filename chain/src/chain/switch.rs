//! The way from the active tip to a better one, in one overlay.
//!
//! What it holds in memory is bounded. Of many blocks only the ids stay, and their undo data waits in the block files
//! for the commit that names it; of many coins some are spilled to the store's scratch.

use std::sync::Arc;

use super::connect::{ConnectError, Effects, Witnesses};
use super::fate::{Fates, MAX_FATES};
use super::{Chain, Patience, corrupt};
use crate::block::Block;
use crate::change::ConnectedBlock;
use crate::coins::{Coin, Undo};
use crate::hash::BlockHash;
use crate::overlay::{Deltas, ENTRY_BYTES, Overlay};
use crate::reject::Reject;
use crate::rules::CheckedBlock;
use crate::store::{Spilling, Store, StoreError};
use crate::tree::{BlockTree, Index};

/// Coins that are spilled at once: about 30 ms.
const SPILL: usize = 2_048;

/// How far a switch has come. Dropping it undoes it.
pub(super) struct Switch {
    /// The coins after it, as differences to the store's.
    pub(super) overlay: Overlay,
    /// The block whose coins the overlay shows.
    pub(super) at: Index,
    /// From the old tip down.
    pub(super) disconnected: Vec<ConnectedBlock>,
    /// From the fork up.
    pub(super) connected: Vec<ConnectedBlock>,
    /// What becomes of the transactions of the old branch.
    pub(super) fates: Fates,
    /// Bytes of the blocks that are held in memory.
    held_bytes: usize,
}

/// Where [`Chain::advance`] stopped.
pub(super) enum Advance {
    /// At the block it was to go to.
    Reached,
    /// When the budget was used up, or the store must make room first.
    Paused,
    /// Before a block whose witnesses are being judged.
    Pending,
    /// Before this block, which breaks a rule.
    Invalid(Index, Reject),
}

/// What a reorganisation on its way holds in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SwitchSize {
    /// Blocks disconnected and connected so far.
    pub blocks: usize,
    /// Bytes of those blocks that are in memory.
    pub block_bytes: usize,
    /// Coins that differ, in memory.
    pub coins: usize,
    /// Transactions whose fate is followed.
    pub transactions: usize,
}

impl Switch {
    /// A switch that has not begun.
    pub(super) fn new(tip: Index) -> Self {
        Self {
            overlay: Overlay::default(),
            at: tip,
            disconnected: Vec::new(),
            connected: Vec::new(),
            fates: Fates::new(MAX_FATES),
            held_bytes: 0,
        }
    }

    /// Whether the tip would move.
    pub(super) fn is_empty(&self) -> bool {
        self.disconnected.is_empty() && self.connected.is_empty()
    }

    /// The last block that both branches have, when blocks were disconnected.
    pub(super) fn fork(&self, tree: &BlockTree) -> Option<Index> {
        tree.parent_of(tree.index_of(&self.disconnected.last()?.hash)?)
    }

    fn size(&self) -> SwitchSize {
        SwitchSize {
            blocks: self.disconnected.len() + self.connected.len(),
            block_bytes: self.held_bytes,
            coins: self.overlay.len(),
            transactions: self.fates.len(),
        }
    }

    fn connect(
        &mut self,
        store: &dyn Store,
        index: Index,
        block: ConnectedBlock,
        deltas: Deltas,
    ) -> Result<(), StoreError> {
        self.overlay.apply(store, deltas)?;
        if let Some((body, _)) = block.held() {
            self.held_bytes += body.size();
            self.fates.connected(body, &block.hash);
        }
        self.connected.push(block);
        self.at = index;
        Ok(())
    }

    fn disconnect(
        &mut self,
        store: &dyn Store,
        parent: Index,
        block: &Arc<Block>,
        entry: (BlockHash, u32),
        undo: Undo,
    ) -> Result<(), StoreError> {
        let (hash, height) = entry;
        disconnect_coins(&mut self.overlay, store, block, entry, &undo)?;
        self.fates.disconnected(block, &hash, height, &undo);
        self.held_bytes += block.size();
        self.disconnected.push(ConnectedBlock::new(Arc::clone(block), hash, height, Arc::new(undo)));
        self.at = parent;
        Ok(())
    }
}

/// Takes away what a block made and gives back what it spent, its last transaction first.
fn disconnect_coins(
    overlay: &mut Overlay,
    store: &dyn Store,
    block: &Block,
    (hash, height): (BlockHash, u32),
    undo: &Undo,
) -> Result<(), StoreError> {
    let mut undo = undo.spent.iter().rev();
    for (place, transaction) in block.transactions.iter().enumerate().rev() {
        let coinbase = place == 0;
        for (vout, output) in (0..).zip(&transaction.outputs) {
            let coin = Coin { output: *output, height, coinbase };
            overlay.spend(store, transaction.outpoint(vout), coin)?;
        }
        let inputs: &[_] = if coinbase { &[] } else { &transaction.inputs };
        for input in inputs.iter().rev() {
            match undo.next() {
                Some((outpoint, coin)) if *outpoint == input.prevout => {
                    overlay.create(store, *outpoint, *coin)?;
                }
                Some(_) | None => return Err(undo_damaged(&hash)),
            }
        }
    }
    undo.next().map_or(Ok(()), |_| Err(undo_damaged(&hash)))
}

fn undo_damaged(hash: &BlockHash) -> StoreError {
    StoreError::Corrupt { what: format!("the undo data of block {hash}") }
}

impl Chain {
    /// Whether a switch that has come as far as this one can go on to `target`.
    pub(super) fn fits(&self, switch: &Switch, target: Index) -> bool {
        if switch.connected.is_empty() {
            // it is still on the active chain, and must not have left a block that it would have to put back
            let fork = self.tree.fork_of(self.tip_index(), target);
            self.tree.at(fork).height <= self.tree.at(switch.at).height
        } else {
            self.tree.descends(target, switch.at)
        }
    }

    /// Goes on towards `target`, for at most `budget` blocks.
    pub(super) fn advance(
        &mut self,
        switch: &mut Switch,
        target: Index,
        budget: &mut usize,
        patience: Patience,
    ) -> Result<Advance, StoreError> {
        while switch.at != target {
            if *budget == 0 || !self.make_room(switch)? {
                return Ok(Advance::Paused);
            }
            if patience == Patience::ComesBack && self.is_next_pending(switch, target) {
                return Ok(Advance::Pending);
            }
            *budget -= 1;
            if let Some((index, reject)) = self.step(switch, target)? {
                return Ok(Advance::Invalid(index, reject));
            }
        }
        Ok(Advance::Reached)
    }

    /// Whether the next step must wait for a verdict.
    fn is_next_pending(&self, switch: &Switch, target: Index) -> bool {
        let next = self.tree.ancestor_of(target, self.tree.at(switch.at).height + 1);
        next.is_some_and(|next| {
            self.tree.parent_of(next) == Some(switch.at) && self.ahead.is_pending(&self.tree.at(next).hash)
        })
    }

    /// Disconnects or connects one block on the way to `target`; the block that may not be connected, and why.
    pub(super) fn step(
        &self,
        switch: &mut Switch,
        target: Index,
    ) -> Result<Option<(Index, Reject)>, StoreError> {
        if !self.tree.descends(target, switch.at) {
            self.disconnect_one(switch)?;
            return Ok(None);
        }
        let height = self.tree.at(switch.at).height + 1;
        let next = self.tree.ancestor_of(target, height).expect("the target is higher");
        match self.connect_one(switch, next) {
            Ok(()) => Ok(None),
            Err(ConnectError::Rule(reject)) => Ok(Some((next, reject))),
            Err(ConnectError::Store(error)) => Err(error),
        }
    }

    fn connect_one(&self, switch: &mut Switch, index: Index) -> Result<(), ConnectError> {
        let checked = self.body(index)?;
        let witnesses = self.known_of_witnesses(index);
        let Effects { undo, deltas, .. } =
            self.connect(&switch.overlay, checked.block(), switch.at, witnesses)?;
        let undo = Arc::new(undo);
        let height = self.tree.at(index).height;
        let block = ConnectedBlock::new(Arc::clone(checked.block()), checked.hash(), height, undo);
        Ok(switch.connect(&*self.store, index, block, deltas)?)
    }

    /// Whether the witnesses of a block need not be judged again.
    fn known_of_witnesses(&self, index: Index) -> Witnesses {
        let entry = self.tree.at(index);
        // "it was part of the active chain, and so is known to be valid with all its transactions"
        if entry.connected_once || self.ahead.is_good(&entry.hash) {
            return Witnesses::Good;
        }
        Witnesses::Unknown
    }

    fn disconnect_one(&self, switch: &mut Switch) -> Result<(), StoreError> {
        let index = switch.at;
        let entry = self.tree.at(index);
        let parent = self.tree.parent_of(index).ok_or_else(|| corrupt("two chains share no block"))?;
        let undo: Undo = self.reader.undo(&entry.hash)?.ok_or_else(|| undo_damaged(&entry.hash))?;
        let block: Arc<Block> = Arc::clone(self.body(index)?.block());
        switch.disconnect(&*self.store, parent, &block, (entry.hash, entry.height), undo)
    }

    // -- bounded memory

    /// What the reorganisation that is on its way holds in memory.
    #[must_use]
    pub fn switch_size(&self) -> SwitchSize {
        self.switch.as_ref().map_or_else(SwitchSize::default, Switch::size)
    }

    /// Whether the switch holds more than it may.
    pub(super) fn is_big(&self, switch: &Switch) -> bool {
        switch.held_bytes > self.options.switch_bytes
            || switch.overlay.len() * ENTRY_BYTES > self.options.overlay_bytes
    }

    /// Whether the tip would be better already, were the switch committed as it is.
    pub(super) fn is_better(&self, switch: &Switch) -> bool {
        self.tree.at(switch.at).work > self.tip().work
    }

    /// Takes out of memory what is too much. `false`: not yet, come again.
    fn make_room(&mut self, switch: &mut Switch) -> Result<bool, StoreError> {
        if !self.is_big(switch) {
            return Ok(true);
        }
        if self.is_better(switch) {
            return Ok(false); // it is committed as it is
        }
        if switch.held_bytes > self.options.switch_bytes {
            self.release_blocks(switch)?;
        }
        while switch.overlay.len() * ENTRY_BYTES > self.options.overlay_bytes {
            if !switch.overlay.is_spilled() {
                match self.store.prepare_spill()? {
                    Spilling::Never => return Ok(true),
                    Spilling::NotYet => return Ok(false),
                    Spilling::Ready => {}
                }
            }
            self.store.spill(switch.overlay.spill(SPILL))?;
        }
        Ok(true)
    }

    /// Keeps only the ids of the blocks so far.
    fn release_blocks(&mut self, switch: &mut Switch) -> Result<(), StoreError> {
        for block in &switch.connected {
            if let Some((_, undo)) = block.held()
                && !self.store.stage_undo(&block.hash, undo)?
            {
                return Ok(()); // a store in memory has them all the same
            }
        }
        for block in switch.disconnected.iter_mut().chain(&mut switch.connected) {
            block.release(&self.reader);
        }
        switch.held_bytes = 0;
        Ok(())
    }

    /// Spills what is left, a slice with each call, when anything was spilled: the commit needs it all in one place.
    pub(super) fn gather(&mut self, switch: &mut Switch) -> Result<bool, StoreError> {
        if switch.overlay.is_spilled() && switch.overlay.len() > 0 {
            self.store.spill(switch.overlay.spill(SPILL))?;
        }
        Ok(!switch.overlay.is_spilled() || switch.overlay.len() == 0)
    }

    /// Begins anew from the active tip.
    pub(super) fn restart(&mut self, switch: &mut Switch) -> Result<(), StoreError> {
        if switch.overlay.is_spilled() {
            self.store.discard_spilled()?;
        }
        *switch = Switch::new(self.tip_index());
        Ok(())
    }

    /// A body that the tree says is there.
    fn body(&self, index: Index) -> Result<CheckedBlock, StoreError> {
        let hash = self.tree.at(index).hash;
        if let Some(checked) = self.bodies.get(&hash) {
            return Ok(checked.clone());
        }
        let block = self.reader.block(&hash)?;
        let block = block.ok_or_else(|| StoreError::Corrupt { what: format!("the body of block {hash}") })?;
        Ok(CheckedBlock::stored(block, hash))
    }
}
