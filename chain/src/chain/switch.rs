//! The way from the active tip to a better one, in one overlay.

use std::sync::Arc;

use super::connect::{ConnectError, Effects};
use super::{Chain, corrupt};
use crate::block::Block;
use crate::change::ConnectedBlock;
use crate::coins::{Coin, Undo};
use crate::hash::BlockHash;
use crate::overlay::{Inconsistent, Overlay};
use crate::reject::Reject;
use crate::rules::CheckedBlock;
use crate::store::StoreError;
use crate::transaction::OutPoint;
use crate::tree::{BlockTree, Index};

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
    /// Bytes of all these blocks.
    pub(super) bytes: usize,
}

/// Where [`Chain::advance`] stopped.
pub(super) enum Advance {
    /// At the block it was to go to.
    Reached,
    /// When the budget was used up.
    Paused,
    /// Before this block, which breaks a rule.
    Invalid(Index, Reject),
}

/// The store's blocks and coins don't fit each other.
pub(super) fn inconsistent(outpoint: &OutPoint) -> StoreError {
    StoreError::Corrupt { what: format!("the coin set (at {outpoint})") }
}

impl Switch {
    /// A switch that has not begun.
    pub(super) fn new(tip: Index) -> Self {
        Self {
            overlay: Overlay::default(),
            at: tip,
            disconnected: Vec::new(),
            connected: Vec::new(),
            bytes: 0,
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

    fn connect(&mut self, index: Index, block: ConnectedBlock, effects: &Effects) -> Result<(), StoreError> {
        effects.apply(&mut self.overlay)?;
        self.bytes += block.block.size();
        self.connected.push(block);
        self.at = index;
        Ok(())
    }

    fn disconnect(&mut self, parent: Index, block: ConnectedBlock) -> Result<(), StoreError> {
        disconnect_coins(&mut self.overlay, &block)?;
        self.bytes += block.block.size();
        self.disconnected.push(block);
        self.at = parent;
        Ok(())
    }
}

/// Takes away what a block made and gives back what it spent, its last transaction first.
fn disconnect_coins(overlay: &mut Overlay, block: &ConnectedBlock) -> Result<(), StoreError> {
    let failed = |Inconsistent(outpoint)| inconsistent(&outpoint);
    let mut undo = block.undo.spent.iter().rev();
    for (place, transaction) in block.block.transactions.iter().enumerate().rev() {
        let coinbase = place == 0;
        for (vout, output) in (0..).zip(&transaction.outputs) {
            let coin = Coin { output: *output, height: block.height, coinbase };
            overlay.spend(transaction.outpoint(vout), coin).map_err(failed)?;
        }
        let inputs: &[_] = if coinbase { &[] } else { &transaction.inputs };
        for input in inputs.iter().rev() {
            match undo.next() {
                Some((outpoint, coin)) if *outpoint == input.prevout => {
                    overlay.create(*outpoint, *coin).map_err(failed)?;
                }
                Some(_) | None => return Err(undo_damaged(&block.hash)),
            }
        }
    }
    undo.next().map_or(Ok(()), |_| Err(undo_damaged(&block.hash)))
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
        &self,
        switch: &mut Switch,
        target: Index,
        budget: &mut usize,
    ) -> Result<Advance, StoreError> {
        while switch.at != target {
            if *budget == 0 {
                return Ok(Advance::Paused);
            }
            *budget -= 1;
            if !self.tree.descends(target, switch.at) {
                self.disconnect_one(switch)?;
                continue;
            }
            let height = self.tree.at(switch.at).height + 1;
            let next = self.tree.ancestor_of(target, height).expect("the target is higher");
            match self.connect_one(switch, next) {
                Ok(()) => {}
                Err(ConnectError::Rule(reject)) => return Ok(Advance::Invalid(next, reject)),
                Err(ConnectError::Store(error)) => return Err(error),
            }
        }
        Ok(Advance::Reached)
    }

    fn connect_one(&self, switch: &mut Switch, index: Index) -> Result<(), ConnectError> {
        let checked = self.body(index)?;
        let mut effects = self.connect(&switch.overlay, checked.block(), switch.at)?;
        let block = ConnectedBlock {
            block: Arc::clone(checked.block()),
            hash: checked.hash(),
            height: self.tree.at(index).height,
            undo: Arc::new(std::mem::take(&mut effects.undo)),
        };
        Ok(switch.connect(index, block, &effects)?)
    }

    fn disconnect_one(&self, switch: &mut Switch) -> Result<(), StoreError> {
        let index = switch.at;
        let entry = self.tree.at(index);
        let parent = self.tree.parent_of(index).ok_or_else(|| corrupt("two chains share no block"))?;
        let undo: Undo = self.reader.undo(&entry.hash)?.ok_or_else(|| undo_damaged(&entry.hash))?;
        let block: Arc<Block> = Arc::clone(self.body(index)?.block());
        let block = ConnectedBlock { block, hash: entry.hash, height: entry.height, undo: Arc::new(undo) };
        switch.disconnect(parent, block)
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
