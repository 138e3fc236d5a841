//! What an operator may say about blocks.

use super::Chain;
use crate::change::Invalidity;
use crate::hash::BlockHash;

/// Why an operator's word about a block can't be followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ManualError {
    /// No header has this id.
    #[error("Block not found")]
    UnknownBlock,
    /// There is no chain without the genesis.
    #[error("the genesis block can't be invalidated")]
    Genesis,
}

impl Chain {
    /// Treats a block and all that builds on it as invalid, until [`Chain::reconsider`] (Core: `invalidateblock`).
    ///
    /// The tip moves with the next [`Chain::activate`]; the mark is kept with that commit.
    ///
    /// # Errors
    /// When the block is not known, or is the genesis.
    pub fn invalidate(&mut self, hash: &BlockHash) -> Result<(), ManualError> {
        let index = self.tree.index_of(hash).ok_or(ManualError::UnknownBlock)?;
        if self.tree.parent_of(index).is_none() {
            return Err(ManualError::Genesis);
        }
        self.tree.mark_invalid(index, Invalidity::Manual);
        Ok(())
    }

    /// Takes back every mark on a block, its ancestors and its descendants (Core: `reconsiderblock`): what broke a rule
    /// will be judged again. The tip moves with the next [`Chain::activate`].
    ///
    /// # Errors
    /// When the block is not known.
    pub fn reconsider(&mut self, hash: &BlockHash) -> Result<(), ManualError> {
        let index = self.tree.index_of(hash).ok_or(ManualError::UnknownBlock)?;
        self.tree.clear_invalid(index);
        Ok(())
    }

    /// Prefers a block to others of the same work, as if it had been seen first (Core: `preciousblock`). Not kept over a
    /// restart. The tip moves with the next [`Chain::activate`].
    ///
    /// # Errors
    /// When the block is not known.
    pub fn precious(&mut self, hash: &BlockHash) -> Result<(), ManualError> {
        let index = self.tree.index_of(hash).ok_or(ManualError::UnknownBlock)?;
        let tip = self.tip_index();
        self.tree.make_precious(index, tip);
        Ok(())
    }
}
