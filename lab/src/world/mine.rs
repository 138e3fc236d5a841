//! Blocks are found.

use std::sync::Arc;

use tine_chain::block::Block;
use tine_chain::hash::BlockHash;
use tine_chain::pow::Work;
use tine_node::Participant;
use tine_node::event::{Event, Submission, SubmitId};
use tine_node::template::CoinbaseSpec;

use super::carry::Coming;
use super::{World, WorldError};
use crate::mining::solve;
use crate::observe::{Observation, Observer};

impl<O: Observer> World<O> {
    /// Draws when the next block may be found. The process has no memory, so that drawing anew changes nothing.
    pub(super) fn draw(&mut self) {
        self.miners.draw += 1;
        if let Some(interval) = self.miners.sample_interval(&mut self.rng) {
            self.queue.push((self.now + interval).0, Coming::Found(self.miners.draw));
        }
    }

    /// The rate has changed: what was drawn is void.
    pub(super) fn redraw(&mut self) {
        if self.config.mining.automatic {
            self.draw();
        }
    }

    /// From now on no block is found by chance.
    pub fn stop_mining(&mut self) {
        self.config.mining.automatic = false;
        self.miners.draw += 1;
    }

    /// From now on blocks are found by chance.
    pub fn start_mining(&mut self) {
        self.config.mining.automatic = true;
        self.draw();
    }

    /// An event of the process that finds blocks.
    pub(super) fn found(&mut self, draw: u64) -> Result<(), WorldError> {
        if draw != self.miners.draw {
            return Ok(());
        }
        let host = self.miners.sample_host(&mut self.rng);
        let work = self.hosts[host].node.as_ref().map(next_work);
        // a host that is stopped finds nothing
        if let Some(work) = work
            && self.miners.counts(work, &mut self.rng)
        {
            self.mine_on(host, None)?;
        }
        if self.miners.is_stale() {
            let works = self.hosts.iter().enumerate().filter(|(host, _)| self.miners.share(*host) > 0.0);
            let works = works.filter_map(|(_, host)| host.node.as_ref()).map(next_work);
            if let Some(least) = works.min() {
                self.miners.set_least_work(least);
            }
        }
        self.draw();
        Ok(())
    }

    /// A host's tip has changed, and with it perhaps what its next block takes.
    pub(super) fn learn_work(&mut self, host: usize) {
        let Some(node) = &self.hosts[host].node else { return };
        if node.node().chain().params().retarget_interval.is_some() {
            let work = next_work(node);
            if self.miners.learn_work(work) {
                self.redraw();
            }
        }
    }

    /// The host finds a block now, on the tip of its node, or wherever its adversary mines.
    ///
    /// # Errors
    /// When there is no such host, or it is stopped, or storage fails.
    pub fn mine(&mut self, node: usize) -> Result<BlockHash, WorldError> {
        self.mine_on(node, None)
    }

    /// The host finds a block now, on `parent`, which its node knows: a real one, made from the node's own template.
    ///
    /// # Errors
    /// When there is no such host, or it is stopped, or the parent is not known there or not valid, or storage fails.
    pub fn mine_on(&mut self, node: usize, parent: Option<BlockHash>) -> Result<BlockHash, WorldError> {
        self.check_host(node)?;
        let lock = self.purses.lock(node);
        let extra = self.random_u64().to_le_bytes().to_vec();
        let first_nonce = self.random_u64() as u32;
        let clock = self.clock(node);
        let miner = self.hosts[node].node.as_mut().ok_or(WorldError::Stopped { node })?;
        let coinbase = CoinbaseSpec { lock, extra };
        let template = match parent {
            Some(_) => miner.node().template(parent, clock, &coinbase),
            None => miner.template(clock, &coinbase),
        }
        .map_err(|source| WorldError::Template { node, source })?;
        let block = solve(template.block, template.target, first_nonce);
        let block = Arc::new(block.expect("a lab target is met within 2^32 hashes"));
        self.submit_block(node, block)
    }

    /// A host's own program hands a block to its node, as if it had been found there.
    ///
    /// # Errors
    /// When there is no such host, or storage fails. A block that breaks a rule is no error.
    pub fn submit_block(&mut self, node: usize, block: Arc<Block>) -> Result<BlockHash, WorldError> {
        self.check_host(node)?;
        let hash = block.hash();
        let state = self.hosts[node].node.as_ref().ok_or(WorldError::Stopped { node })?;
        let parent = state.node().chain().tree().get(&block.header.prev_block);
        let height = parent.map_or(0, |parent| parent.height + 1);
        self.counts.mined += 1;
        self.purses.learn_block(&block);
        self.see(&Observation::Mined { node, block: &block, hash, height });
        self.handle(node, Event::Submit(SubmitId(0), Submission::Block(block)))?;
        self.answers.clear();
        self.refusals.clear();
        Ok(hash)
    }
}

/// Hashes that the next block of a miner takes.
fn next_work(miner: &Participant) -> Work {
    let bits = miner.node().chain().next_bits(&miner.mining_parent()).expect("the parent is in the tree");
    bits.to_target().expect("the chain's own bits").work()
}
