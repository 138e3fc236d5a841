//! Fork choice: moving to the best branch, and the one commit that makes it so.

use std::sync::Arc;

use super::fate::reorg;
use super::signature_cache::SignatureKey;
use super::switch::{Advance, Switch};
use super::{Chain, Patience, Progress};
use crate::change::{Change, ConnectedBlock, Invalidity};
use crate::journal::Reorg;
use crate::overlay::Net;
use crate::store::StoreError;
use crate::time::Time;

impl Chain {
    /// Moves towards the best branch: "most cumulative work; on a tie the block seen first stays".
    ///
    /// Connects and disconnects at most `budget_blocks` blocks, and says in [`Progress::more`] whether that was not
    /// enough. Blocks that extend the active chain are committed at the end of each call. A reorganisation goes on over
    /// as many calls as it takes, and is committed whole: until then coins, tip and readers show the old branch. Headers
    /// and bodies that came in since the last call are committed in any case.
    ///
    /// # Errors
    /// When the store fails. A block that breaks a rule is no error: see [`Progress::invalid`].
    pub fn activate(&mut self, now: Time, budget_blocks: usize) -> Result<Progress, StoreError> {
        self.activate_with(now, budget_blocks, Patience::Waits)
    }

    /// [`Chain::activate`], waiting or not for what other cores are at.
    ///
    /// # Errors
    /// As there.
    pub fn activate_with(
        &mut self,
        now: Time,
        budget_blocks: usize,
        patience: Patience,
    ) -> Result<Progress, StoreError> {
        let mut progress = Progress { more: self.store.relieve()?, ..Progress::default() };
        self.retry_early(now, &mut progress.invalid);
        self.look_ahead()?;
        let mut budget = budget_blocks;
        let mut switch = self.switch.take().unwrap_or_else(|| Switch::new(self.tip_index()));
        let complete = loop {
            let target = self.tree.best_candidate();
            if !self.fits(&switch, target) {
                self.restart(&mut switch)?;
            }
            match self.advance(&mut switch, target, &mut budget, patience)? {
                Advance::Reached => break true,
                Advance::Paused => break false,
                Advance::Pending => {
                    progress.soon = true;
                    break false;
                }
                Advance::Invalid(index, reject) => {
                    self.tree.mark_invalid(index, Invalidity::Rule(reject));
                    progress.invalid.push((self.tree.at(index).hash, reject));
                }
            }
        };
        if progress.soon && switch.is_empty() {
            // what came in is committed with the block that is waited for
            progress.more = true;
            self.switch = Some(switch);
            return Ok(progress);
        }
        let ready = (complete || self.may_commit_halfway(&switch)) && self.gather(&mut switch)?;
        let ready = if ready {
            // what was spilled is merged later
            progress.more |= !complete || switch.overlay.is_spilled();
            Some(switch)
        } else {
            progress.more = true;
            self.switch = Some(switch);
            None
        };
        progress.change = self.commit(ready, now)?;
        Ok(progress)
    }

    /// A switch that is not complete may be committed when it only adds to the active chain; or when it is better than
    /// what we have already, and too big to be held in memory for longer.
    fn may_commit_halfway(&self, switch: &Switch) -> bool {
        switch.disconnected.is_empty() || (self.is_better(switch) && self.is_big(switch))
    }

    /// Makes everything new visible and durable, together. `None` when there was nothing.
    pub(super) fn commit(
        &mut self,
        switch: Option<Switch>,
        now: Time,
    ) -> Result<Option<Arc<Change>>, StoreError> {
        let mut change =
            Change { headers: self.tree.take_dirty(), stored: self.bodies.unstored(), ..Change::default() };
        if let Some(switch) = switch.filter(|switch| !switch.is_empty()) {
            change.reorg = self.reorg(&switch, now)?.map(Arc::new);
            change.tip = Some(self.tree.at(switch.at).hash);
            change.spilled = switch.overlay.is_spilled();
            let Net { created, spent } = switch.overlay.into_net();
            (change.created, change.spent) = (created, spent);
            (change.disconnected, change.connected) = (switch.disconnected, switch.connected);
        }
        if change.headers.is_empty() && change.stored.is_empty() && change.tip.is_none() {
            return Ok(None);
        }
        self.store.commit(&change)?;
        self.committed(&change);
        Ok(Some(Arc::new(change)))
    }

    fn reorg(&self, switch: &Switch, now: Time) -> Result<Option<Reorg>, StoreError> {
        let Some(fork) = switch.fork(&self.tree) else { return Ok(None) };
        let fork = self.block(&self.tree.at(fork).hash)?;
        let transactions = fork.map_or(0, |block| block.transactions.len());
        Ok(Some(reorg(&self.tree, switch, transactions, self.journal.len() as u64, now)))
    }

    /// The store has taken `change`: now it is so here too.
    fn committed(&mut self, change: &Change) {
        self.bodies.stored();
        for block in &change.disconnected {
            self.remember_witnesses(block);
        }
        self.active.truncate(self.active.len() - change.disconnected.len());
        for block in &change.connected {
            let index = self.tree.index_of(&block.hash).expect("only blocks of the tree are connected");
            self.tree.set_connected(index);
            self.active.push(index);
            if let Some(checked) = self.bodies.remove(&block.hash) {
                self.ahead.remove(&block.hash, checked.block());
            }
        }
        self.journal.extend(change.reorg.clone());
    }

    /// The transactions of a block that was taken off the chain come back to the mempool: their witnesses are good.
    fn remember_witnesses(&mut self, block: &ConnectedBlock) {
        let Some((body, undo)) = block.held() else { return };
        let mut left = undo.spent.as_slice();
        for transaction in body.transactions.iter().skip(1) {
            let Some((spent, rest)) = left.split_at_checked(transaction.inputs.len()) else { return };
            let coins = spent.iter().map(|(_, coin)| coin);
            self.signatures.insert(SignatureKey::of_coins(transaction, coins));
            left = rest;
        }
    }
}
