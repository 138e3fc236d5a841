//! The journal's entry: what a reorganisation did to every transaction of the old branch.

use super::switch::Switch;
use crate::change::ConnectedBlock;
use crate::hash::{BlockHash, Txid};
use crate::journal::{BranchBlock, Fate, Reorg, TransactionFate};
use crate::overlay::FoldMap;
use crate::time::Time;
use crate::transaction::{OutPoint, Transaction};
use crate::tree::{BlockEntry, BlockTree};

/// The entry for `switch`, which disconnects blocks and is complete. The fork block has `fork_transactions`.
pub(super) fn reorg(
    tree: &BlockTree,
    switch: &Switch,
    fork_transactions: usize,
    number: u64,
    time: Time,
) -> Reorg {
    let entry = |hash: &BlockHash| tree.get(hash).expect("blocks of a switch are in the tree");
    let branch = |block: &ConnectedBlock| branch_block(entry(&block.hash), block.block.transactions.len());
    let old_tip = entry(&switch.disconnected.first().expect("a reorganisation disconnects").hash);
    let fork = tree.at(switch.fork(tree).expect("a reorganisation disconnects"));
    Reorg {
        number,
        time,
        fork: branch_block(fork, fork_transactions),
        fork_work: fork.work,
        disconnected: switch.disconnected.iter().rev().map(branch).collect(),
        old_work: old_tip.work,
        connected: switch.connected.iter().map(branch).collect(),
        new_work: tree.at(switch.at).work,
        transactions: fates(&switch.disconnected, &switch.connected),
    }
}

fn branch_block(entry: &BlockEntry, transactions: usize) -> BranchBlock {
    BranchBlock {
        hash: entry.hash,
        height: entry.height,
        sequence: entry.sequence,
        seen: entry.seen,
        transactions: u32::try_from(transactions).expect("a block is at most 4,000,000 bytes"),
    }
}

/// What the new branch has.
#[derive(Default)]
struct NewBranch {
    confirmed: FoldMap<Txid, BlockHash>,
    spenders: FoldMap<OutPoint, (Txid, BlockHash)>,
}

impl NewBranch {
    fn of(connected: &[ConnectedBlock]) -> Self {
        let mut new = Self::default();
        for block in connected {
            for transaction in &block.block.transactions {
                new.confirmed.insert(transaction.txid(), block.hash);
                if !transaction.is_coinbase() {
                    let spent = transaction.inputs.iter().map(|input| input.prevout);
                    new.spenders.extend(spent.map(|coin| (coin, (transaction.txid(), block.hash))));
                }
            }
        }
        new
    }
}

/// The fate of every transaction of the old branch, in block order from the fork up.
///
/// `disconnected` is from the old tip down.
fn fates(disconnected: &[ConnectedBlock], connected: &[ConnectedBlock]) -> Vec<TransactionFate> {
    let new = NewBranch::of(connected);
    let old_height = disconnected.first().map_or(0, |tip| tip.height);
    let mut lost: FoldMap<Txid, Fate> = FoldMap::default();
    let mut fates = Vec::new();
    for block in disconnected.iter().rev() {
        for transaction in &block.block.transactions {
            let fate = fate(transaction, &new, &lost);
            match fate {
                Fate::Conflicted { .. } | Fate::Orphaned => {
                    lost.insert(transaction.txid(), fate.clone());
                }
                Fate::ConfirmedAgain { .. } | Fate::Returned => {}
            }
            fates.push(TransactionFate {
                txid: transaction.txid(),
                block: block.hash,
                confirmations: old_height - block.height + 1,
                fate,
            });
        }
    }
    fates
}

/// One transaction's fate, given those of its ancestors that are lost.
fn fate(transaction: &Transaction, new: &NewBranch, lost: &FoldMap<Txid, Fate>) -> Fate {
    if let Some(&block) = new.confirmed.get(&transaction.txid()) {
        return Fate::ConfirmedAgain { block };
    }
    if transaction.is_coinbase() {
        return Fate::Orphaned;
    }
    let coins = || transaction.inputs.iter().map(|input| input.prevout);
    let conflict = coins().find_map(|coin| new.spenders.get(&coin).map(|spender| (coin, *spender)));
    if let Some((coin, (by, block))) = conflict {
        return Fate::Conflicted { coin, by, block };
    }
    // what an ancestor lost, its descendants lose with it
    coins().find_map(|coin| lost.get(&coin.txid).cloned()).unwrap_or(Fate::Returned)
}
