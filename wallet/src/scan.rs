//! Catching up with the chain: after the wallet was closed, after a change was missed, after a restore.

use std::collections::BTreeSet;

use tine_chain::change::ConnectedBlock;
use tine_chain::hash::{BlockHash, Txid};
use tine_chain::store::BlockReader;

use crate::error::WalletError;
use crate::wallet::Wallet;

/// The most passes of a rescan: each finds addresses that the one before led to.
const MAX_PASSES: usize = 100;

impl Wallet {
    /// Brings the wallet to the active chain, through a reorganisation if there was one while it did not look.
    ///
    /// `active` gives the active chain's block at a height. Says which of our transactions changed.
    ///
    /// # Errors
    /// [`WalletError::MissingBlock`] when a body is not there (then [`Wallet::tip`] says how far it got),
    /// [`WalletError::Store`], and [`WalletError::NotContiguous`] when `active` belongs to another genesis.
    pub fn catch_up(
        &mut self,
        active: &dyn Fn(u32) -> Option<BlockHash>,
        reader: &dyn BlockReader,
    ) -> Result<Vec<Txid>, WalletError> {
        let mut touched = BTreeSet::new();
        if !self.back_to_the_fork(active, reader, &mut touched)? {
            // a block that we have seen is no longer to be had: begin again
            self.ledger.rewind(&self.params);
        }
        self.forward(active, reader, &mut touched)?;
        Ok(touched.into_iter().collect())
    }

    /// Reads the whole chain again. Serves after a restore: the keys must be unlocked, so that addresses beyond the
    /// gap limit can be looked for when those before them turn out to be used.
    ///
    /// # Errors
    /// As [`Wallet::catch_up`].
    pub fn rescan(
        &mut self,
        active: &dyn Fn(u32) -> Option<BlockHash>,
        reader: &dyn BlockReader,
    ) -> Result<(), WalletError> {
        let mut touched = BTreeSet::new();
        for _ in 0..MAX_PASSES {
            let known = self.ledger.records.len();
            self.ledger.rewind(&self.params);
            self.forward(active, reader, &mut touched)?;
            // A pass may find an address used late that moves the gap, and a payment to one of the new addresses may
            // lie before: look again until nothing new is found.
            if self.ledger.records.len() == known {
                break;
            }
        }
        Ok(())
    }

    /// Takes blocks off until our tip is on the active chain; `false` when a body is missing.
    fn back_to_the_fork(
        &mut self,
        active: &dyn Fn(u32) -> Option<BlockHash>,
        reader: &dyn BlockReader,
        touched: &mut BTreeSet<Txid>,
    ) -> Result<bool, WalletError> {
        loop {
            let tip = self.ledger.tip;
            let there = active(tip.height);
            if there == Some(tip.hash) {
                return Ok(true);
            }
            if tip.height == 0 {
                let found = there.unwrap_or(BlockHash::ZERO);
                return Err(WalletError::NotContiguous { expected: tip.hash, found });
            }
            let Some(block) = reader.block(&tip.hash)? else { return Ok(false) };
            self.ledger.disconnect(&block, &tip.hash, touched);
        }
    }

    fn forward(
        &mut self,
        active: &dyn Fn(u32) -> Option<BlockHash>,
        reader: &dyn BlockReader,
        touched: &mut BTreeSet<Txid>,
    ) -> Result<(), WalletError> {
        while let Some(hash) = active(self.ledger.tip.height + 1) {
            let block = reader.block(&hash)?.ok_or(WalletError::MissingBlock(hash))?;
            if block.header.prev_block != self.ledger.tip.hash {
                let (expected, found) = (self.ledger.tip.hash, block.header.prev_block);
                return Err(WalletError::NotContiguous { expected, found });
            }
            // without it only the fees of others' transactions stay unknown
            let undo = reader.undo(&hash)?.unwrap_or_default().into();
            let height = self.ledger.tip.height + 1;
            let connected = ConnectedBlock::new(block, hash, height, undo);
            self.ledger.connect(&connected, &mut self.book, touched)?;
            self.refill();
        }
        Ok(())
    }
}
