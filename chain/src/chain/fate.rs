//! The journal's entry: what a reorganisation did to every transaction of the old branch.
//!
//! Fates are followed while the switch goes on, so that no block is needed a second time.

use super::switch::Switch;
use crate::block::Block;
use crate::change::ConnectedBlock;
use crate::coins::Undo;
use crate::hash::{BlockHash, Txid};
use crate::journal::{BranchBlock, Fate, Reorg, TransactionFate};
use crate::overlay::FoldMap;
use crate::time::Time;
use crate::transaction::{OutPoint, Transaction};
use crate::tree::{BlockEntry, BlockTree};

/// Transactions whose fates one journal entry lists, at most: those of the latest blocks. The others are counted.
pub const MAX_FATES: usize = 100_000;

/// The entry for `switch`, which disconnects blocks and is complete. The fork block has `fork_transactions`.
pub(super) fn reorg(
    tree: &BlockTree,
    switch: &Switch,
    fork_transactions: usize,
    number: u64,
    time: Time,
) -> Reorg {
    let entry = |hash: &BlockHash| tree.get(hash).expect("blocks of a switch are in the tree");
    let branch = |block: &ConnectedBlock| branch_block(entry(&block.hash), block.transactions);
    let old_tip = entry(&switch.disconnected.first().expect("a reorganisation disconnects").hash);
    let fork = tree.at(switch.fork(tree).expect("a reorganisation disconnects"));
    let (transactions, omitted) = switch.fates.tell(old_tip.height, fork.height);
    let fork_transactions = u32::try_from(fork_transactions).expect("a block is at most 4,000,000 bytes");
    Reorg {
        number,
        time,
        fork: branch_block(fork, fork_transactions),
        fork_work: fork.work,
        disconnected: switch.disconnected.iter().rev().map(branch).collect(),
        old_work: old_tip.work,
        connected: switch.connected.iter().map(branch).collect(),
        new_work: tree.at(switch.at).work,
        transactions,
        omitted,
    }
}

fn branch_block(entry: &BlockEntry, transactions: u32) -> BranchBlock {
    BranchBlock {
        hash: entry.hash,
        height: entry.height,
        sequence: entry.sequence,
        seen: entry.seen,
        transactions,
    }
}

/// A transaction of the old branch.
struct Old {
    txid: Txid,
    coinbase: bool,
    /// The coins it spent, and the heights at which they were made.
    spent: Vec<(OutPoint, u32)>,
}

/// A disconnected block.
struct OldBlock {
    hash: BlockHash,
    height: u32,
    transactions: Vec<Old>,
}

/// What is known so far of the transactions of the old branch.
pub(super) struct Fates {
    /// How many of them are followed, at most.
    limit: usize,
    /// From the old tip down.
    blocks: Vec<OldBlock>,
    listed: usize,
    omitted: u64,
    /// The new branch's block that has the transaction too.
    confirmed: FoldMap<Txid, Option<BlockHash>>,
    /// Who on the new branch spends a coin that the old one spent.
    spenders: FoldMap<OutPoint, Option<(Txid, BlockHash)>>,
}

impl Fates {
    /// Nothing yet.
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit,
            blocks: Vec::new(),
            listed: 0,
            omitted: 0,
            confirmed: FoldMap::default(),
            spenders: FoldMap::default(),
        }
    }

    /// How many transactions are followed.
    pub(super) fn len(&self) -> usize {
        self.listed
    }

    /// A block leaves the active chain.
    pub(super) fn disconnected(&mut self, block: &Block, hash: &BlockHash, height: u32, undo: &Undo) {
        if self.omitted > 0 || self.listed + block.transactions.len() > self.limit {
            self.omitted += block.transactions.len() as u64;
            return;
        }
        let mut undo = undo.spent.iter();
        let mut old = |transaction: &Transaction| {
            let coinbase = transaction.is_coinbase();
            let inputs = if coinbase { 0 } else { transaction.inputs.len() };
            let spent = undo.by_ref().take(inputs).map(|(outpoint, coin)| (*outpoint, coin.height)).collect();
            Old { txid: transaction.txid(), coinbase, spent }
        };
        let transactions: Vec<Old> = block.transactions.iter().map(|transaction| old(transaction)).collect();
        self.listed += transactions.len();
        for old in &transactions {
            self.confirmed.insert(old.txid, None);
            self.spenders.extend(old.spent.iter().map(|(outpoint, _)| (*outpoint, None)));
        }
        self.blocks.push(OldBlock { hash: *hash, height, transactions });
    }

    /// A block of the new branch.
    pub(super) fn connected(&mut self, block: &Block, hash: &BlockHash) {
        if self.listed == 0 {
            return;
        }
        for transaction in &block.transactions {
            let txid = transaction.txid();
            if let Some(confirmed) = self.confirmed.get_mut(&txid) {
                *confirmed = Some(*hash);
            }
            for input in &transaction.inputs {
                if let Some(spender) = self.spenders.get_mut(&input.prevout) {
                    *spender = Some((txid, *hash));
                }
            }
        }
    }

    /// The fate of every transaction that is followed, in block order from the fork up, and how many are not told: those
    /// that are not followed, and those that depend on one of these.
    fn tell(&self, old_height: u32, fork_height: u32) -> (Vec<TransactionFate>, u64) {
        let mut omitted = self.omitted;
        let mut told: FoldMap<Txid, Fate> = FoldMap::default();
        let mut fates = Vec::with_capacity(self.listed);
        for block in self.blocks.iter().rev() {
            for old in &block.transactions {
                let Some(fate) = self.fate(old, &told, fork_height) else {
                    omitted += 1;
                    continue;
                };
                told.insert(old.txid, fate.clone());
                let confirmations = old_height - block.height + 1;
                fates.push(TransactionFate { txid: old.txid, block: block.hash, confirmations, fate });
            }
        }
        (fates, omitted)
    }

    /// One transaction's fate, given those of its ancestors; `None` when one of them is not followed.
    fn fate(&self, old: &Old, told: &FoldMap<Txid, Fate>, fork_height: u32) -> Option<Fate> {
        if let Some(block) = self.confirmed.get(&old.txid).copied().flatten() {
            return Some(Fate::ConfirmedAgain { block });
        }
        if old.coinbase {
            return Some(Fate::Orphaned);
        }
        let conflict = old.spent.iter().find_map(|(coin, _)| {
            let (by, block) = self.spenders.get(coin).copied().flatten()?;
            Some(Fate::Conflicted { coin: *coin, by, block })
        });
        if conflict.is_some() {
            return conflict;
        }
        // what an ancestor lost, its descendants lose with it
        for (coin, height) in &old.spent {
            match told.get(&coin.txid) {
                Some(fate @ (Fate::Conflicted { .. } | Fate::Orphaned)) => return Some(fate.clone()),
                Some(Fate::ConfirmedAgain { .. } | Fate::Returned) => {}
                None if *height > fork_height => return None,
                None => {}
            }
        }
        Some(Fate::Returned)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::coins::Coin;
    use crate::testing::TestTree;

    #[test]
    fn what_depends_on_a_transaction_that_is_not_followed_is_only_counted() {
        let mut tree = TestTree::regtest();
        tree.draw("genesis a1 a2 a3");
        tree.pay("parent", &["a1:0"], &[("bob", 10)]);
        tree.draw("a3 a4[parent]");
        tree.pay("child", &["parent:0"], &[("bob", 5)]);
        tree.pay("other", &["a2:0"], &[("bob", 5)]);
        tree.draw("a4 a5[child,other]");
        let spent = |coin: &str, height| {
            let output = tree.transaction(coin.split(':').next().expect("a name")).outputs[0];
            (tree.outpoint(coin), Coin { output, height, coinbase: false })
        };
        let undo = Undo { spent: vec![spent("parent:0", 4), spent("a2:0", 2)] };
        let mut fates = Fates::new(4);
        fates.disconnected(&tree.block("a5"), &tree.hash("a5"), 5, &undo);
        fates.disconnected(&tree.block("a4"), &tree.hash("a4"), 4, &Undo { spent: vec![spent("a1:0", 1)] });
        let (told, omitted) = fates.tell(5, 3);
        let told: Vec<_> = told.into_iter().map(|fate| (fate.txid, fate.fate)).collect();
        let expected = [
            (tree.transaction("a5").txid(), Fate::Orphaned),
            (tree.transaction("other").txid(), Fate::Returned),
        ];
        assert_eq!((told, omitted), (expected.to_vec(), 3));
    }
}
