//! How headers and blocks get into the tree.

use std::sync::Arc;

use super::{Chain, HeaderOutcome, Inserted};
use crate::block::{Block, HashedHeader, Header};
use crate::change::Invalidity;
use crate::hash::BlockHash;
use crate::params::Params;
use crate::pow::{self, CompactTarget};
use crate::reject::{Fault, Reject};
use crate::rules::{CheckedBlock, HeaderContext, check_block, check_block_in_context, check_header};
use crate::time::Time;
use crate::tree::Index;

impl Chain {
    /// Judges a header and puts it into the tree (Core: `AcceptBlockHeader`). It is kept with the next commit.
    ///
    /// # Errors
    /// The rule it breaks. A header that is refused leaves nothing behind.
    pub fn accept_header(
        &mut self,
        header: impl Into<HashedHeader>,
        now: Time,
    ) -> Result<HeaderOutcome, Reject> {
        let header = header.into();
        let known = self.tree.len();
        self.accept(header.header(), header.hash(), now)?;
        Ok(if self.tree.len() > known { HeaderOutcome::New } else { HeaderOutcome::Known })
    }

    /// Judges a block by all that can be judged without coins, and keeps its body. Nothing is connected.
    ///
    /// A block whose time is too far ahead, and that follows all other rules, is kept aside and tried again by
    /// [`Chain::activate`] at [`Chain::next_retry`]. One that breaks a rule after its Merkle root has matched is marked.
    ///
    /// # Errors
    /// The rule it breaks.
    pub fn insert_block(&mut self, block: Arc<Block>, now: Time) -> Result<Inserted, Reject> {
        let header = block.header.into();
        self.insert_block_of(header, block, now)
    }

    /// [`Chain::insert_block`] for a block whose id is known: `header` is its header.
    ///
    /// # Errors
    /// The rule it breaks.
    pub fn insert_block_of(
        &mut self,
        header: HashedHeader,
        block: Arc<Block>,
        now: Time,
    ) -> Result<Inserted, Reject> {
        debug_assert_eq!(header.header(), block.header, "the header of another block");
        let hash = header.hash();
        let Some(shared) = self.shared.clone() else {
            return self.insert_body(block.header, hash, now, |params| check_block(block, params));
        };
        self.insert_body(block.header, hash, now, |params| match shared.checked(&hash, &block) {
            Some(checked) => Ok(checked),
            None => check_block(block, params).inspect(|checked| shared.learn(checked)),
        })
    }

    /// [`Chain::insert_block`] for a block that another chain of this process, of the same network, has checked.
    ///
    /// # Errors
    /// The rule it breaks.
    pub fn insert_checked_block(&mut self, checked: CheckedBlock, now: Time) -> Result<Inserted, Reject> {
        let (header, hash) = (checked.block().header, checked.hash());
        self.insert_body(header, hash, now, |_| Ok(checked))
    }

    fn insert_body(
        &mut self,
        header: Header,
        hash: BlockHash,
        now: Time,
        check: impl FnOnce(&Params) -> Result<CheckedBlock, Reject>,
    ) -> Result<Inserted, Reject> {
        let index = match self.accept(header, hash, now) {
            Ok(index) => index,
            Err(Reject::TimeTooNew) => {
                // only an honest body may take a place among the early ones
                self.early.keep(check(&self.params)?, &self.params);
                return Err(Reject::TimeTooNew);
            }
            Err(reject) => return Err(reject),
        };
        if self.tree.at(index).body {
            return Ok(Inserted::Duplicate);
        }
        match check(&self.params).and_then(|checked| self.check_in_context(index, checked)) {
            Ok(checked) => {
                self.tree.set_body(index);
                self.bodies.add(checked);
                Ok(Inserted::New)
            }
            Err(reject) => {
                // "only what fails after the root has matched marks a hash"
                if reject.fault() == Fault::Invalid {
                    self.tree.mark_invalid(index, Invalidity::Rule(reject));
                }
                Err(reject)
            }
        }
    }

    fn check_in_context(&self, index: Index, checked: CheckedBlock) -> Result<CheckedBlock, Reject> {
        let parent = self.tree.parent_of(index).expect("the genesis has its body");
        check_block_in_context(
            checked.block(),
            self.tree.at(index).height,
            self.tree.at(parent).median_time_past,
        )?;
        Ok(checked)
    }

    /// The place of a header in the tree: where it is, or where it was put now.
    fn accept(&mut self, header: Header, hash: BlockHash, now: Time) -> Result<Index, Reject> {
        if let Some(index) = self.tree.index_of(&hash) {
            // a block that was found invalid is never looked at again
            if self.tree.at(index).invalid.is_some() {
                return Err(Reject::DuplicateInvalid);
            }
            return Ok(index);
        }
        pow::check_proof_of_work(&self.params, header.bits, &hash)?;
        // "orphan … [is an outcome], not [an] error": the parent may still come
        let Some(parent) = self.tree.index_of(&header.prev_block) else {
            return Err(Reject::PrevBlockNotFound);
        };
        // nothing that builds on an invalid block is valid
        if self.tree.at(parent).invalid.is_some() {
            return Err(Reject::BadPrevBlock);
        }
        self.check_header_on(&header, parent, now)?;
        Ok(self.tree.insert(header, hash, parent, now))
    }

    /// The header at a height of the chain that ends with `tip`.
    pub(super) fn header_on(&self, tip: Index, height: u32) -> Option<Header> {
        self.tree.ancestor_of(tip, height).map(|index| self.tree.at(index).header)
    }

    /// The rules for a header that builds on `parent`, the proof of work not among them.
    pub(super) fn check_header_on(&self, header: &Header, parent: Index, now: Time) -> Result<(), Reject> {
        let entry = self.tree.at(parent);
        let context = HeaderContext {
            parent_height: entry.height,
            median_time_past: entry.median_time_past,
            ancestor: &|height| self.header_on(parent, height),
        };
        check_header(header, &context, &self.params, now)
    }

    /// The bits that the chain demands of the block after `parent`; `None` when that is not known.
    ///
    /// No network's rule depends on the time that the new block will have.
    #[must_use]
    pub fn next_bits(&self, parent: &BlockHash) -> Option<CompactTarget> {
        let parent = self.tree.index_of(parent)?;
        pow::next_bits(&self.params, self.tree.at(parent).height, |height| self.header_on(parent, height))
    }

    /// When a block that is kept aside may be tried again.
    #[must_use]
    pub fn next_retry(&self) -> Option<Time> {
        self.early.next()
    }

    /// Tries the early blocks whose time has come. What they turn out to be is reported like any block's.
    pub(super) fn retry_early(&mut self, now: Time, invalid: &mut Vec<(BlockHash, Reject)>) {
        while let Some(checked) = self.early.take(now) {
            let hash = checked.hash();
            match self.insert_checked_block(checked, now) {
                Ok(Inserted::New | Inserted::Duplicate) => {}
                Err(reject) => {
                    if reject.fault() == Fault::Invalid {
                        invalid.push((hash, reject));
                    }
                }
            }
        }
    }
}
