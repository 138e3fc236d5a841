//! Connecting blocks, what follows from it, and what programs on this machine may do to the chain.

use std::sync::Arc;
use std::time::Duration;

use tine_chain::block::{Block, HashedHeader};
use tine_chain::chain::{Inserted, ManualError, Patience};
use tine_chain::change::{Change, Invalidity};
use tine_chain::hash::BlockHash;
use tine_chain::reject::Reject;
use tine_chain::store::StoreError;
use tine_chain::time::Time;
use tine_chain::transaction::Transaction;

use crate::event::{Accepted, Action, Notice, Submission, SubmitId};
use crate::node::Node;
use crate::peers::Offence;
use crate::relay::LARGE_BLOCK;
use crate::template::{CoinbaseSpec, Template};
use crate::wire::Gossip;

/// Bytes of blocks that one call connects, about: one full block, or many small ones.
const BYTES_PER_CALL: usize = 1_000_000;
/// Blocks that one call connects, at most.
const MAX_BLOCKS_PER_CALL: usize = 32;

/// How long until the chain is asked again about a block that other cores are at.
const VERDICT_DELAY: Duration = Duration::from_millis(1);

/// The blocks of [`Node::mine`], in order, or the rule that one of them broke.
pub type Mined = Result<Vec<BlockHash>, Reject>;

/// Why an operator's order was not followed.
#[derive(Debug, thiserror::Error)]
pub enum OperatorError {
    /// It makes no sense.
    #[error(transparent)]
    Refused(#[from] ManualError),
    /// Storage failed, which is fatal.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Node {
    /// Connects a bounded number of blocks, and follows the change.
    pub(crate) fn activate(&mut self, patience: Patience) -> Result<(), StoreError> {
        let budget = (BYTES_PER_CALL / self.downloads.block_bytes().max(1)).clamp(1, MAX_BLOCKS_PER_CALL);
        let progress = self.chain.activate_with(self.now, budget, patience)?;
        self.activation_due = progress.more;
        self.activation_soon = progress.soon.then(|| self.now + VERDICT_DELAY);
        for (hash, reject) in progress.invalid {
            self.block_invalid(&hash, reject);
        }
        if let Some(change) = progress.change {
            self.changed(&change)?;
        }
        if !self.activation_due {
            self.answer_submissions()?;
        }
        Ok(())
    }

    fn block_invalid(&mut self, hash: &BlockHash, reject: Reject) {
        self.notify(Notice::BlockInvalid(*hash, reject));
        // who served it has said that it was connected there
        if let Some(peer) = self.downloads.take_server(hash) {
            self.charge(peer, Offence::Broke(reject));
        }
    }

    fn changed(&mut self, change: &Arc<Change>) -> Result<(), StoreError> {
        self.notify(Notice::Chain(Arc::clone(change)));
        if change.tip.is_none() {
            return Ok(());
        }
        self.relay.new_tip();
        self.downloads.progressed();
        let removed = self.mempool.apply(change, self.now)?;
        self.notify_removed(removed);
        for block in &change.connected {
            for tx in &block.block()?.transactions {
                self.orphans.mined(tx);
            }
            self.downloads.take_server(&block.hash);
            self.answer_parked(&block.hash)?;
        }
        if self.is_syncing() {
            let (blocks, headers) = (self.chain.tip().height, self.chain.best_header().height);
            self.notify(Notice::Syncing { blocks, headers });
        } else if let Some(tip) = change.connected.last().filter(|_| !self.peers.is_empty()) {
            // neighbours that did not get it by gossip learn of it now; those that did have said so
            let block = tip.block()?;
            self.publish_block(&block);
        }
        Ok(())
    }

    /// A program on this machine wants something accepted.
    pub(crate) fn submit(&mut self, id: SubmitId, submission: Submission) -> Result<(), StoreError> {
        match submission {
            Submission::Transaction(tx) => self.submit_transaction(id, tx),
            Submission::Block(block) => self.submit_block(id, block),
        }
    }

    fn submit_transaction(&mut self, id: SubmitId, tx: Arc<Transaction>) -> Result<(), StoreError> {
        let outcome = self.accept_transaction(&tx)?;
        if outcome.is_ok() {
            self.out.push(Action::Publish(Gossip::Transaction(tx)));
        }
        let answer = outcome.map(Accepted::Transaction).map_err(|refusal| refusal.reject);
        self.out.push(Action::Answer(id, answer));
        Ok(())
    }

    fn submit_block(&mut self, id: SubmitId, block: Arc<Block>) -> Result<(), StoreError> {
        let header = HashedHeader::from(block.header);
        let hash = header.hash();
        let known = self.chain.tree().get(&hash).is_some();
        let extends_tip = header.prev_block == self.chain.tip().hash;
        let outcome = self.receive_block(header, Arc::clone(&block), None);
        if !known && self.chain.tree().get(&hash).is_some() {
            self.header_seen(header, None);
        }
        let answer = match outcome {
            Ok(Inserted::New) => {
                // answered when it is known whether it connects, most often in this very call
                self.submitted.push((id, hash));
                if extends_tip && block.transactions.len() > LARGE_BLOCK {
                    // as Core's "fast announce": its work is proved and its root is right
                    self.publish_block(&block);
                    self.urgent = true;
                    return Ok(());
                }
                return self.activate(Patience::ComesBack);
            }
            Ok(Inserted::Duplicate) => Ok(Accepted::Duplicate(hash)),
            // kept until its time comes
            Err(Reject::TimeTooNew) => Ok(Accepted::Inconclusive(hash)),
            Err(reject) => Err(reject),
        };
        self.out.push(Action::Answer(id, answer));
        Ok(())
    }

    /// Nothing is left to connect: every submitted block has met its fate.
    fn answer_submissions(&mut self) -> Result<(), StoreError> {
        for (id, hash) in std::mem::take(&mut self.submitted) {
            let answer = self.fate_of(&hash);
            if answer.is_ok()
                && let Some(block) = self.chain.block(&hash)?
            {
                self.publish_block(&block);
            }
            self.out.push(Action::Answer(id, answer));
        }
        Ok(())
    }

    fn fate_of(&self, hash: &BlockHash) -> Result<Accepted, Reject> {
        match self.chain.tree().get(hash).and_then(|entry| entry.invalid) {
            Some(Invalidity::Rule(reject)) => Err(reject),
            Some(Invalidity::Ancestor) => Err(Reject::BadPrevBlock),
            Some(Invalidity::Manual) => Err(Reject::DuplicateInvalid),
            None if self.chain.is_active(hash) => Ok(Accepted::Connected(*hash)),
            None => Ok(Accepted::SideBranch(*hash)),
        }
    }

    // -- blocks on demand

    /// Mines up to `count` blocks in a row on the tip and connects them, so that the disk is synced once for many. The
    /// first takes what is in the mempool, the others are empty; it ends early when `search` finds no nonce. For networks
    /// on which that takes no time. `coinbase` says what the next block pays, and `search` gives the block its nonce.
    ///
    /// Gives what is to be done, and the blocks, or why one of them was refused, which is a mistake of ours.
    ///
    /// # Errors
    /// Only when storage fails.
    pub fn mine(
        &mut self,
        count: usize,
        now: Time,
        mut coinbase: impl FnMut() -> CoinbaseSpec,
        mut search: impl FnMut(Template) -> Option<Block>,
    ) -> Result<(Vec<Action>, Mined), StoreError> {
        self.now = now;
        let mut mined = Ok(Vec::new());
        while let Ok(hashes) = &mut mined
            && hashes.len() < count
        {
            let template = self.template(hashes.last().copied(), now, &coinbase());
            let Some(block) = template.ok().and_then(&mut search) else { break };
            let header = HashedHeader::from(block.header);
            match self.receive_block(header, Arc::new(block), None) {
                Ok(Inserted::New | Inserted::Duplicate) => {
                    self.header_seen(header, None);
                    hashes.push(header.hash());
                }
                Err(reject) => mined = Err(reject),
            }
        }
        // one call connects some of them; whoever asked for blocks wants to see them all
        let mut actions = self.settle()?;
        while self.activation_due {
            if self.activation_soon.is_some() {
                self.activate(Patience::Waits)?;
            }
            actions.extend(self.settle()?);
        }
        Ok((actions, mined))
    }

    // -- an operator's orders

    /// Treats a block and all that builds on it as invalid (Core: `invalidateblock`). The chain begins to move, and goes
    /// on at [`Node::deadline`].
    ///
    /// # Errors
    /// When the block is not known or is the genesis, or storage fails.
    pub fn invalidate(&mut self, hash: &BlockHash, now: Time) -> Result<Vec<Action>, OperatorError> {
        self.now = now;
        self.chain.invalidate(hash)?;
        Ok(self.settle()?)
    }

    /// Takes back every mark on a block, its ancestors and its descendants (Core: `reconsiderblock`).
    ///
    /// # Errors
    /// When the block is not known, or storage fails.
    pub fn reconsider(&mut self, hash: &BlockHash, now: Time) -> Result<Vec<Action>, OperatorError> {
        self.now = now;
        self.chain.reconsider(hash)?;
        Ok(self.settle()?)
    }

    /// Prefers a block to others with the same work (Core: `preciousblock`).
    ///
    /// # Errors
    /// When the block is not known, or storage fails.
    pub fn precious(&mut self, hash: &BlockHash, now: Time) -> Result<Vec<Action>, OperatorError> {
        self.now = now;
        self.chain.precious(hash)?;
        Ok(self.settle()?)
    }

    /// Begins to move to the best branch, however far it is.
    fn settle(&mut self) -> Result<Vec<Action>, StoreError> {
        self.activation_due = true;
        self.quiet = None;
        self.advance()?;
        Ok(std::mem::take(&mut self.out))
    }
}
