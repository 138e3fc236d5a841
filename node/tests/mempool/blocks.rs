//! What a block leaves of the mempool is the same whether most of it was mined, which is taken out at once, or little of
//! it, which is taken out one by one.

use std::sync::Arc;

use tine_chain::amount::Amount;
use tine_chain::transaction::Transaction;

use crate::harness::*;
use crate::rig_with_coins;

/// Two families of a parent, a child and a grandchild; `more` payments that have no relatives, of which the block takes
/// those up to `mined`. Of the families it takes the parents, and of the second the child too.
fn after_a_block(more: usize, mined: usize) -> (Rig, Vec<Arc<Transaction>>) {
    let (mut rig, funds) = rig_with_coins(2 + more);
    let mut block = Vec::new();
    for (number, coin) in funds[..2].iter().enumerate() {
        let parent = forward(*coin, 7, FEE);
        let child = forward(Funds::of(&parent, 0, 7), 7, 2 * FEE);
        let grandchild = forward(Funds::of(&child, 0, 7), 7, 3 * FEE);
        for tx in [&parent, &child, &grandchild] {
            rig.submit_tx(tx).expect("valid");
        }
        block.push(parent);
        block.extend((number == 1).then_some(child));
    }
    let alone: Vec<_> = funds[2..].iter().map(|coin| forward(*coin, 7, FEE)).collect();
    for tx in &alone {
        rig.submit_tx(tx).expect("valid");
    }
    block.extend(alone.into_iter().take(mined));
    (rig, block)
}

#[test]
fn what_stays_has_the_right_relatives_whichever_way_the_block_was_taken_out() {
    // three of the families stay: with two of two payments beside them 5 of 8 entries go, with none of ten 3 of 16
    for (more, mined, stays) in [(2, 2, 3), (10, 0, 13)] {
        let (mut rig, block) = after_a_block(more, mined);
        let before = rig.node.mempool().clone();
        assert_eq!(2 * block.len() > before.len(), mined > 0, "which way it goes");
        rig.mine_only(1, &block);
        let mempool = rig.node.mempool();
        assert_eq!((mempool.len(), before.len()), (stays, stays + block.len()), "a picture does not change");
        let bytes: u64 = mempool.entries().map(|entry| entry.tx.size() as u64).sum();
        let fees: u64 = mempool.entries().map(|entry| entry.fee.0).sum();
        assert_eq!((mempool.bytes(), mempool.total_fees()), (bytes, Amount(fees)));
        assert_eq!(mempool.changes(), before.changes() + block.len() as u64);
        // child and grandchild of the first family, the grandchild of the second, and who has no relatives
        let entries: Vec<_> = mempool.entries().collect();
        let counts: Vec<_> =
            entries.iter().map(|entry| (entry.ancestors.count, entry.descendants.count)).collect();
        let mut expected = vec![(1, 2), (2, 1), (1, 1)];
        expected.resize(stays, (1, 1));
        assert_eq!(counts, expected);
        assert_eq!(entries[1].ancestors.fees, Amount(5 * FEE), "of the grandchild and its parent");
        for entry in mempool.entries() {
            let coin = entry.tx.inputs[0].prevout;
            assert_eq!(mempool.spender_of(&coin), Some(entry.tx.txid()));
            assert!(mempool.get_by_wtxid(&entry.tx.wtxid()).is_some());
        }
        for tx in &block {
            assert!(mempool.get(&tx.txid()).is_none() && mempool.get_by_wtxid(&tx.wtxid()).is_none());
            assert_eq!(mempool.spender_of(&tx.inputs[0].prevout), None);
        }
    }
}

#[test]
fn a_block_with_a_payment_that_was_never_here_is_not_taken_for_the_whole_mempool() {
    let (mut rig, funds) = rig_with_coins(2);
    let ours = forward(funds[0], 7, FEE);
    rig.submit_tx(&ours).expect("valid");
    let rival = forward(funds[0], 8, 5 * FEE);
    let other = forward(funds[1], 7, FEE);
    rig.submit_tx(&other).expect("valid");
    rig.mine_only(1, &[rival, other.clone()]);
    assert!(!rig.has_tx(&ours), "the loser goes with the one that was mined");
    assert!(!rig.has_tx(&other));
    let mempool = rig.node.mempool();
    assert_eq!((mempool.len(), mempool.bytes(), mempool.total_fees()), (0, 0, Amount(0)));
    assert_eq!(mempool.spender_of(&ours.inputs[0].prevout), None);
}
