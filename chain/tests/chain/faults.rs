//! Storage that fails or lies: fatal, and never a reason to call a block invalid.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tine_chain::amount::COIN;
use tine_chain::block::Block;
use tine_chain::chain::{Chain, ChainOptions};
use tine_chain::change::Change;
use tine_chain::coins::{Coin, Undo};
use tine_chain::hash::BlockHash;
use tine_chain::store::{BlockReader, Loaded, MemoryStore, Store, StoreError};
use tine_chain::testing::TestTree;
use tine_chain::transaction::OutPoint;

/// What goes wrong, once it is switched on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Trouble {
    Coins,
    NoUndo,
    ShortUndo,
    ForeignUndo,
    NoBody,
}

#[derive(Clone)]
struct Faulty {
    trouble: Trouble,
    on: Arc<AtomicBool>,
}

impl Faulty {
    fn is(&self, trouble: Trouble) -> bool {
        self.trouble == trouble && self.on.load(Ordering::Relaxed)
    }
}

struct FaultyStore(MemoryStore, Faulty);

struct FaultyReader(Arc<dyn BlockReader>, Faulty);

impl Store for FaultyStore {
    fn load(&mut self) -> Result<Loaded, StoreError> {
        self.0.load()
    }
    fn coin(&self, outpoint: &OutPoint) -> Result<Option<Coin>, StoreError> {
        if self.1.is(Trouble::Coins) {
            return Err(StoreError::Corrupt { what: "the coin set (on purpose)".to_owned() });
        }
        self.0.coin(outpoint)
    }
    fn commit(&mut self, change: &Change) -> Result<(), StoreError> {
        self.0.commit(change)
    }
    fn for_each_coin(&self, visit: &mut dyn FnMut(&OutPoint, &Coin)) -> Result<(), StoreError> {
        self.0.for_each_coin(visit)
    }
    fn reader(&self) -> Arc<dyn BlockReader> {
        Arc::new(FaultyReader(self.0.reader(), self.1.clone()))
    }
    fn flush(&mut self) -> Result<(), StoreError> {
        self.0.flush()
    }
}

impl BlockReader for FaultyReader {
    fn block(&self, hash: &BlockHash) -> Result<Option<Arc<Block>>, StoreError> {
        if self.1.is(Trouble::NoBody) {
            return Ok(None);
        }
        self.0.block(hash)
    }
    fn undo(&self, hash: &BlockHash) -> Result<Option<Undo>, StoreError> {
        if self.1.is(Trouble::NoUndo) {
            return Ok(None);
        }
        let mut undo = self.0.undo(hash)?;
        if let Some(undo) = &mut undo {
            if self.1.is(Trouble::ShortUndo) {
                undo.spent.pop();
            }
            if self.1.is(Trouble::ForeignUndo) {
                undo.spent.iter_mut().for_each(|(outpoint, _)| outpoint.vout += 1);
            }
        }
        Ok(undo)
    }
}

/// A chain `a1 … a4` where `a4` has a payment, and a heavier branch from `a3` that has it too.
fn troubled(trouble: Trouble) -> (TestTree, Chain, Arc<AtomicBool>) {
    let mut tree = TestTree::regtest();
    tree.draw("genesis a1 a2 a3");
    tree.pay("t", &["a1:0"], &[("bob", COIN)]);
    tree.draw(
        "a3 a4[t]
         a3 b4[t] b5",
    );
    let on = Arc::new(AtomicBool::new(false));
    let store = FaultyStore(MemoryStore::new(), Faulty { trouble, on: Arc::clone(&on) });
    let mut chain =
        Chain::open(tree.params.clone(), Box::new(store), ChainOptions::default()).expect("memory");
    tree.deliver(&mut chain, "a1 a2 a3 a4 b4");
    chain.insert_block(tree.block("b5"), tree.now()).expect("valid");
    (tree, chain, on)
}

#[test]
fn utx_03_and_blk_40_trouble_with_the_store_is_fatal_and_marks_nothing() {
    for trouble in
        [Trouble::Coins, Trouble::NoUndo, Trouble::ShortUndo, Trouble::ForeignUndo, Trouble::NoBody]
    {
        let (tree, mut chain, on) = troubled(trouble);
        on.store(true, Ordering::Relaxed);
        // without trouble the payment is found in the overlay: `t` spends what disconnecting a4 gave back
        let expected_fatal = trouble != Trouble::Coins;
        let result = chain.activate(tree.now(), usize::MAX);
        assert_eq!(result.is_err(), expected_fatal);
        assert!(chain.tree().iter().all(|entry| entry.invalid.is_none()), "never a reason to mark a block");
        if expected_fatal {
            assert!(matches!(result, Err(StoreError::Corrupt { .. })));
            assert_eq!(tree.tip(&chain), "a4", "nothing was committed");
        }
    }
}

#[test]
fn blk_40_a_coin_that_can_not_be_read_is_not_missing() {
    let mut tree = TestTree::regtest();
    tree.draw("genesis a1 a2 a3");
    tree.pay("t", &["a1:0"], &[("bob", COIN)]);
    tree.draw("a3 a4[t]");
    let on = Arc::new(AtomicBool::new(false));
    let store = FaultyStore(MemoryStore::new(), Faulty { trouble: Trouble::Coins, on: Arc::clone(&on) });
    let mut chain =
        Chain::open(tree.params.clone(), Box::new(store), ChainOptions::default()).expect("memory");
    tree.deliver(&mut chain, "a1 a2 a3");
    chain.insert_block(tree.block("a4"), tree.now()).expect("valid");
    on.store(true, Ordering::Relaxed);
    assert!(chain.activate(tree.now(), 1).is_err());
    assert_eq!(chain.tree().get(&tree.hash("a4")).expect("known").invalid, None);
    on.store(false, Ordering::Relaxed);
    tree.activate(&mut chain);
    assert_eq!(tree.tip(&chain), "a4");
}

#[test]
fn a_store_whose_parts_do_not_fit_is_refused_at_start() {
    struct Torn(Loaded);
    impl Store for Torn {
        fn load(&mut self) -> Result<Loaded, StoreError> {
            Ok(std::mem::take(&mut self.0))
        }
        fn coin(&self, _: &OutPoint) -> Result<Option<Coin>, StoreError> {
            Ok(None)
        }
        fn commit(&mut self, _: &Change) -> Result<(), StoreError> {
            Ok(())
        }
        fn for_each_coin(&self, _: &mut dyn FnMut(&OutPoint, &Coin)) -> Result<(), StoreError> {
            Ok(())
        }
        fn reader(&self) -> Arc<dyn BlockReader> {
            MemoryStore::new().reader()
        }
        fn flush(&mut self) -> Result<(), StoreError> {
            Ok(())
        }
    }
    let mut tree = TestTree::regtest();
    tree.draw("genesis a1 a2");
    let mut fresh = tree.chain();
    for name in ["a1", "a2"] {
        fresh.insert_block(tree.block(name), tree.now()).expect("valid");
    }
    let change = fresh.activate(tree.now(), 2).expect("memory").change.expect("two blocks");
    let open = |spoil: fn(&mut Loaded)| {
        let mut store = MemoryStore::new();
        store.commit(&change).expect("memory");
        let mut loaded = store.load().expect("memory");
        spoil(&mut loaded);
        Chain::open(tree.params.clone(), Box::new(Torn(loaded)), ChainOptions::default())
    };
    assert!(open(|_| {}).is_ok());
    let spoils: [fn(&mut Loaded); 5] = [
        |loaded| loaded.headers.truncate(1),
        |loaded| loaded.headers.reverse(),
        |loaded| loaded.bodies.truncate(1),
        |loaded| loaded.bodies.push(BlockHash([1; 32])),
        |loaded| loaded.tip = Some(BlockHash([1; 32])),
    ];
    for (place, spoil) in spoils.into_iter().enumerate() {
        assert!(matches!(open(spoil), Err(StoreError::Corrupt { .. })), "{place}");
    }
}
