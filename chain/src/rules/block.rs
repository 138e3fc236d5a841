//! Rules for blocks.

use std::sync::Arc;

use crate::amount::Amount;
use crate::block::{Block, MAX_BLOCK_SIZE};
use crate::hash::{BlockHash, Wtxid};
use crate::merkle;
use crate::params::Params;
use crate::pow::check_proof_of_work;
use crate::reject::Reject;
use crate::rules::{check_final, check_transaction};
use crate::transaction::{SEQUENCE_FINAL, Transaction};

/// A block that follows every rule that needs nothing but the block. Only such a block can be connected.
///
/// Cheap to clone: the verdict is reached once, and shared.
#[derive(Debug, Clone)]
pub struct CheckedBlock {
    block: Arc<Block>,
    hash: BlockHash,
}

impl CheckedBlock {
    /// A block that was checked before it was stored.
    pub(crate) fn stored(block: Arc<Block>, hash: BlockHash) -> Self {
        Self { block, hash }
    }

    /// The block.
    #[must_use]
    pub fn block(&self) -> &Arc<Block> {
        &self.block
    }

    /// Its id.
    #[must_use]
    pub fn hash(&self) -> BlockHash {
        self.hash
    }
}

/// The rules that need nothing but the block (Core: `CheckBlock`).
///
/// Only what fails after the root has matched says something about the header: before that the body may be anybody's.
/// [`Reject::fault`] tells the two apart.
///
/// # Errors
/// The first rule that is broken.
pub fn check_block(block: Arc<Block>, params: &Params) -> Result<CheckedBlock, Reject> {
    let hash = block.hash();
    check_proof_of_work(params, block.header.bits, &hash)?;
    check_body(&block)?;
    Ok(CheckedBlock { block, hash })
}

/// [`check_block`] without the proof of work: what a template must pass before it is mined.
pub(crate) fn check_body(block: &Block) -> Result<(), Reject> {
    // "block ≤ 4,000,000 bytes", and there is always a coinbase
    if block.transactions.is_empty() || block.size() > MAX_BLOCK_SIZE {
        return Err(Reject::BadBlockLength);
    }
    let leaves: Vec<Wtxid> = block.transactions.iter().map(|transaction| transaction.wtxid()).collect();
    let (root, mutated) = merkle::merkle_root_and_mutation(&leaves).expect("there are leaves");
    // "Leaves are wtxids": the header commits to every byte of the body
    if root != block.header.merkle_root {
        return Err(Reject::BadMerkleRoot);
    }
    // CVE-2012-2459: "a tree with two equal sibling subtrees" has the root of another list of transactions
    if mutated {
        return Err(Reject::DuplicateTransactions);
    }
    // "Coinbase: first and only first"
    if !block.transactions[0].is_coinbase() {
        return Err(Reject::CoinbaseMissing);
    }
    if block.transactions[1..].iter().any(|transaction| transaction.is_coinbase()) {
        return Err(Reject::CoinbaseMultiple);
    }
    block.transactions.iter().try_for_each(|transaction| check_transaction(transaction))
}

/// The rules that need a block's place, and no coins (Core: `ContextualCheckBlock`): it is at `height`, and its parent
/// has `median_time_past`.
///
/// # Errors
/// [`Reject::NonFinal`], [`Reject::CoinbaseHeight`].
pub fn check_block_in_context(block: &Block, height: u32, median_time_past: u32) -> Result<(), Reject> {
    for transaction in &block.transactions {
        check_final(transaction, height, median_time_past)?;
    }
    let coinbase: &Transaction = &block.transactions[0];
    // BIP 54: "lock_time = height − 1 and sequence ≠ ffffffff", so that no two coinbases are the same
    if Some(coinbase.lock_time) != height.checked_sub(1) || coinbase.inputs[0].sequence == SEQUENCE_FINAL {
        return Err(Reject::CoinbaseHeight);
    }
    Ok(())
}

/// The sum of fees with one more.
///
/// # Errors
/// [`Reject::FeesOutOfRange`].
pub fn sum_fees(fees: Amount, fee: Amount) -> Result<Amount, Reject> {
    // "every sum checked"
    let Some(sum) = fees.checked_add(fee) else {
        return Err(Reject::FeesOutOfRange);
    };
    Ok(sum)
}

/// The coinbase's rule about money, for a block at `height` whose other transactions pay `fees`.
///
/// # Errors
/// [`Reject::CoinbaseAmount`].
pub fn check_coinbase_amount(
    coinbase: &Transaction,
    fees: Amount,
    height: u32,
    params: &Params,
) -> Result<(), Reject> {
    let allowed = params.subsidy(height).checked_add(fees);
    // "pays at most subsidy + fees"
    if coinbase.output_value().zip(allowed).is_none_or(|(paid, allowed)| paid > allowed) {
        return Err(Reject::CoinbaseAmount);
    }
    Ok(())
}
