//! Marks: what an operator says, and what stays marked.

use std::sync::{Arc, Mutex};

use tine_chain::chain::{Chain, ChainOptions, ManualError};
use tine_chain::change::{Change, Invalidity};
use tine_chain::coins::Coin;
use tine_chain::hash::BlockHash;
use tine_chain::reject::Reject;
use tine_chain::store::{BlockReader, Loaded, MemoryStore, Store, StoreError};
use tine_chain::testing::{TestTree, replay_coins, stored_coins};
use tine_chain::transaction::OutPoint;

#[test]
fn rrg_06_invalidate_and_reconsider() {
    let mut tree = TestTree::regtest();
    tree.draw(
        "genesis a1 a2 a3 a4
                 a1 b2 b3",
    );
    let mut chain = tree.chain();
    tree.deliver(&mut chain, "a1 a2 a3 a4 b2 b3");
    chain.invalidate(&tree.hash("a3")).expect("known");
    tree.activate(&mut chain);
    assert_eq!(tree.tip(&chain), "b3");
    assert_eq!(tree.name(&chain.best_header().hash), "b3");
    let mark = |chain: &Chain, name: &str| chain.tree().get(&tree.hash(name)).expect("known").invalid;
    assert_eq!(mark(&chain, "a3"), Some(Invalidity::Manual));
    assert_eq!(mark(&chain, "a4"), Some(Invalidity::Ancestor));
    assert_eq!(stored_coins(&chain), replay_coins(&chain));
    // a descendant's name is enough to free them all
    chain.reconsider(&tree.hash("a4")).expect("known");
    tree.activate(&mut chain);
    assert_eq!(tree.tip(&chain), "a4");
    assert_eq!(tree.name(&chain.best_header().hash), "a4");
    assert_eq!((mark(&chain, "a3"), mark(&chain, "a4")), (None, None));
    assert_eq!(stored_coins(&chain), replay_coins(&chain));
}

#[test]
fn reconsider_frees_what_was_marked_for_an_ancestor_only() {
    let mut tree = TestTree::regtest();
    tree.draw(
        "genesis a1 a2 a3
                 a1 b2 b3 b4
                 a1 c2",
    );
    let mut chain = tree.chain();
    tree.deliver(&mut chain, "a1 a2 a3 b2 b3 b4 c2");
    chain.invalidate(&tree.hash("b3")).expect("known");
    chain.invalidate(&tree.hash("a1")).expect("known");
    tree.activate(&mut chain);
    assert_eq!(tree.tip(&chain), "genesis");
    // a1 is an ancestor of c2, so it is freed with it, and a2 and a3 which were marked for a1; b3 stays marked itself
    chain.reconsider(&tree.hash("c2")).expect("known");
    tree.activate(&mut chain);
    assert_eq!(tree.tip(&chain), "a3");
    let mark = |name: &str| chain.tree().get(&tree.hash(name)).expect("known").invalid;
    assert_eq!(
        (mark("b2"), mark("b3"), mark("b4")),
        (None, Some(Invalidity::Manual), Some(Invalidity::Ancestor))
    );
}

#[test]
fn a_block_that_broke_a_rule_is_judged_again_when_reconsidered() {
    let mut tree = TestTree::regtest();
    tree.block_with("bad", "genesis", &[], |draft| draft.coinbase.outputs[0].value.0 += 1);
    let mut chain = tree.chain();
    assert_eq!(tree.submit(&mut chain, "bad"), Err(Reject::CoinbaseAmount));
    chain.reconsider(&tree.hash("bad")).expect("known");
    assert_eq!(tree.activate(&mut chain).invalid, [(tree.hash("bad"), Reject::CoinbaseAmount)]);
    assert_eq!(tree.tip(&chain), "genesis");
}

#[test]
fn new_blocks_on_a_marked_branch_are_refused() {
    let mut tree = TestTree::regtest();
    tree.draw("genesis a1 a2 a3");
    let mut chain = tree.chain();
    tree.deliver(&mut chain, "a1 a2");
    chain.invalidate(&tree.hash("a2")).expect("known");
    assert_eq!(tree.submit(&mut chain, "a3"), Err(Reject::BadPrevBlock));
    assert_eq!(tree.submit(&mut chain, "a2"), Err(Reject::DuplicateInvalid));
    tree.activate(&mut chain);
    assert_eq!(tree.tip(&chain), "a1");
}

#[test]
fn what_is_not_known_and_the_genesis_can_not_be_named() {
    let tree = TestTree::regtest();
    let mut chain = tree.chain();
    let unknown = BlockHash([1; 32]);
    assert_eq!(chain.invalidate(&unknown), Err(ManualError::UnknownBlock));
    assert_eq!(chain.reconsider(&unknown), Err(ManualError::UnknownBlock));
    assert_eq!(chain.precious(&unknown), Err(ManualError::UnknownBlock));
    assert_eq!(chain.invalidate(&tree.hash("genesis")), Err(ManualError::Genesis));
}

#[test]
fn a_precious_block_wins_ties_until_there_is_more_work() {
    let mut tree = TestTree::regtest();
    tree.draw(
        "genesis a1 a2
         genesis b1 b2 b3",
    );
    let mut chain = tree.chain();
    tree.deliver(&mut chain, "a1 b1");
    for name in ["b1", "a1", "b1", "a1"] {
        chain.precious(&tree.hash(name)).expect("known");
        tree.activate(&mut chain);
        assert_eq!(tree.tip(&chain), name);
    }
    tree.deliver(&mut chain, "b2");
    assert_eq!(tree.tip(&chain), "b2", "more work wins over a preference");
    chain.precious(&tree.hash("a1")).expect("known");
    tree.activate(&mut chain);
    assert_eq!(tree.tip(&chain), "b2", "a preference adds no work");
}

/// A store that outlives its chain.
#[derive(Clone)]
struct Shared(Arc<Mutex<MemoryStore>>);

impl Store for Shared {
    fn load(&mut self) -> Result<Loaded, StoreError> {
        self.0.lock().expect("unpoisoned").load()
    }
    fn coin(&self, outpoint: &OutPoint) -> Result<Option<Coin>, StoreError> {
        self.0.lock().expect("unpoisoned").coin(outpoint)
    }
    fn commit(&mut self, change: &Change) -> Result<(), StoreError> {
        self.0.lock().expect("unpoisoned").commit(change)
    }
    fn for_each_coin(&self, visit: &mut dyn FnMut(&OutPoint, &Coin)) -> Result<(), StoreError> {
        self.0.lock().expect("unpoisoned").for_each_coin(visit)
    }
    fn reader(&self) -> Arc<dyn BlockReader> {
        self.0.lock().expect("unpoisoned").reader()
    }
    fn flush(&mut self) -> Result<(), StoreError> {
        self.0.lock().expect("unpoisoned").flush()
    }
}

#[test]
fn rrg_07_and_mrk_03_marks_ties_and_tips_after_a_restart() {
    let mut tree = TestTree::regtest();
    tree.draw(
        "genesis a1 a2 a3 a4
         genesis b1 b2
         genesis c1 c2",
    );
    tree.block_with("bad", "a2", &[], |draft| draft.coinbase.outputs[0].value.0 += 1);
    tree.block_with("x2", "a1", &[], |draft| draft.coinbase.witnesses[0].0.clear());
    let store = Shared(Arc::new(Mutex::new(MemoryStore::new())));
    let open = || {
        Chain::open(tree.params.clone(), Box::new(store.clone()), ChainOptions::default()).expect("memory")
    };
    let mut chain = open();
    tree.deliver(&mut chain, "c1 a1 a2 b1 b2 c2");
    assert_eq!(tree.submit(&mut chain, "x2"), Err(Reject::CoinbaseLength));
    let mut mutated = tine_chain::block::Block::clone(&tree.block("a3"));
    mutated.transactions.push(mutated.transactions[0].clone());
    assert!(chain.insert_block(mutated.into(), tree.now()).is_err());
    chain.invalidate(&tree.hash("b2")).expect("known");
    tree.activate(&mut chain);
    let tips = chain.chain_tips();
    drop(chain);

    let mut chain = open();
    assert_eq!(chain.chain_tips(), tips);
    let mark = |chain: &Chain, name: &str| chain.tree().get(&tree.hash(name)).expect("known").invalid;
    assert_eq!(mark(&chain, "b2"), Some(Invalidity::Manual));
    assert_eq!(mark(&chain, "x2"), Some(Invalidity::Rule(Reject::CoinbaseLength)));
    assert_eq!(tree.tip(&chain), "a2", "seen before c2 and b2");
    assert_eq!(tree.activate(&mut chain).change.map(|_| ()), None);
    assert_eq!(tree.tip(&chain), "a2", "and it stays");
    tree.deliver(&mut chain, "a3");
    assert_eq!(tree.tip(&chain), "a3", "MRK-03: the honest body");
    chain.reconsider(&tree.hash("b2")).expect("known");
    chain.invalidate(&tree.hash("a2")).expect("known");
    tree.activate(&mut chain);
    assert_eq!(tree.tip(&chain), "b2", "its body came before c2's");
    assert_eq!(stored_coins(&chain), replay_coins(&chain));
}
