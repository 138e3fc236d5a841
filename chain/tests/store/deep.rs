//! RRG-03: a reorganisation of over 1,000 blocks there and back, in little memory, with a crash at every stage.

use std::io;
use std::mem::discriminant;
use std::path::Path;
use std::sync::{Arc, Mutex};

use tine_chain::amount::COIN;
use tine_chain::chain::{Chain, ChainOptions};
use tine_chain::coin_stats::CoinStats;
use tine_chain::signature::Parallel;
use tine_chain::store::{SledOptions, SledStore, Stage, StageHook, StoreError};
use tine_chain::testing::{TestTree, replay_coins, stored_coins};

use crate::support::small;

/// Blocks of the branch that is left.
const DEPTH: usize = 1_020;

/// What a switch may hold: a few blocks, and some hundred coins.
const SWITCH_BYTES: usize = 20_000;
const OVERLAY_BYTES: usize = 300 * 192;

/// More than any one block of the drawing adds to either.
const BLOCK_BYTES: usize = 2_000;
const BLOCK_COINS: usize = 10;

/// Two branches from `r3`, each with a payment in every block; the second is one block longer, and then the first is
/// again.
struct Drawing {
    tree: TestTree,
    first: Vec<String>,
    second: Vec<String>,
    more: Vec<String>,
}

fn draw() -> Drawing {
    let mut tree = TestTree::regtest();
    tree.draw("genesis r1 r2 r3");
    let mut branch = |letter: &str, parent: &str, coin: &str, numbers: std::ops::Range<usize>| {
        let (mut parent, mut coin) = (parent.to_owned(), coin.to_owned());
        let mut names = Vec::new();
        for number in numbers {
            let (name, payment) = (format!("{letter}{number}"), format!("pay-{letter}{number}"));
            // the branches are rivals in every coin
            let carol = u64::from(letter == "b");
            let outputs = [("bob", 50 * COIN - number as u64 - carol), ("carol", carol)];
            tree.pay(&payment, &[&coin], &outputs);
            tree.block_with(&name, &parent, std::slice::from_ref(&payment), |_| {});
            (coin, parent) = (format!("{payment}:0"), name.clone());
            names.push(name);
        }
        names
    };
    let first = branch("a", "r3", "r1:0", 0..DEPTH);
    let second = branch("b", "r3", "r1:0", 0..DEPTH + 1);
    let (tip, coin) = (format!("a{}", DEPTH - 1), format!("pay-a{}:0", DEPTH - 1));
    let more = branch("a", &tip, &coin, DEPTH..DEPTH + 2);
    Drawing { tree, first, second, more }
}

impl Drawing {
    fn insert(&self, chain: &mut Chain, names: &[String]) {
        for name in names {
            chain.insert_block(self.tree.block(name), self.tree.now()).expect("valid");
        }
    }

    fn settle(&self, chain: &mut Chain) -> Result<(), StoreError> {
        while chain.activate(self.tree.now(), 64)?.more {}
        Ok(())
    }

    fn open(&self, dir: &Path, hook: Option<StageHook>) -> Result<Chain, StoreError> {
        let options = SledOptions { on_stage: hook, block_file_bytes: 1 << 20, flush_commits: 50, ..small() };
        let store = SledStore::open(dir, &self.tree.params, options)?;
        let options = ChainOptions {
            parallel: Parallel::Inline,
            waiting_bytes: SWITCH_BYTES,
            switch_bytes: SWITCH_BYTES,
            overlay_bytes: OVERLAY_BYTES,
            ..ChainOptions::default()
        };
        Chain::open(self.tree.params.clone(), Box::new(store), options)
    }

    /// Names of the two tips, and what the coins amount to at each, by a chain in memory.
    fn expected(&self) -> [(&str, CoinStats); 2] {
        let mut chain = self.tree.chain();
        self.tree.deliver(&mut chain, "r1 r2 r3");
        [&self.first, &self.second].map(|names| {
            self.insert(&mut chain, names);
            self.settle(&mut chain).expect("memory");
            assert_eq!(self.tree.tip(&chain), names.last().expect("a branch"));
            assert_eq!(stored_coins(&chain), replay_coins(&chain));
            (names.last().expect("a branch").as_str(), chain.coin_stats().expect("memory"))
        })
    }

    /// Goes on step by step, and looks at what is held in memory at each.
    fn settle_watched(&self, chain: &mut Chain) -> Watched {
        let mut watched = Watched::default();
        loop {
            let progress = chain.activate(self.tree.now(), 1).expect("the store works");
            let size = chain.switch_size();
            watched.blocks = watched.blocks.max(size.blocks);
            watched.coins = watched.coins.max(size.coins);
            watched.block_bytes = watched.block_bytes.max(size.block_bytes);
            if let Some(change) = progress.change.filter(|change| change.reorg.is_some()) {
                let blocks = change.disconnected.iter().chain(&change.connected);
                watched.held = blocks.filter_map(|block| Some(block.held()?.0.size())).sum();
                watched.listed = change.created.len() + change.spent.len();
                watched.spilled = change.spilled;
            }
            if !progress.more {
                return watched;
            }
        }
    }
}

/// The most that was held in memory on the way, and by the change.
#[derive(Debug, Default)]
struct Watched {
    blocks: usize,
    block_bytes: usize,
    coins: usize,
    held: usize,
    listed: usize,
    spilled: bool,
}

impl Watched {
    fn check(&self) {
        assert!(self.blocks > 2 * DEPTH - 10, "{self:?}");
        assert!(self.block_bytes <= SWITCH_BYTES + BLOCK_BYTES, "{self:?}");
        assert!(self.coins <= OVERLAY_BYTES / 192 + BLOCK_COINS, "{self:?}");
        assert!(self.held <= SWITCH_BYTES + BLOCK_BYTES, "{self:?}");
        assert_eq!((self.listed, self.spilled), (0, true), "the store has the coins already");
    }
}

/// Fails the store at the `count`th stage of a kind, once it is armed.
type Trap = Arc<Mutex<Option<(Stage, usize)>>>;

fn trap_hook(trap: &Trap) -> StageHook {
    let trap = Arc::clone(trap);
    Arc::new(move |stage: &Stage| {
        let mut armed = trap.lock().expect("unpoisoned");
        let Some((kind, left)) = armed.as_mut().filter(|(kind, _)| discriminant(kind) == discriminant(stage))
        else {
            return Ok(());
        };
        if *left == 0 {
            return Err(io::Error::other(format!("a crash at {kind:?}")));
        }
        *left -= 1;
        Ok(())
    })
}

/// Every stage of the way, in an order in which each is still to come after a restart from the one before. After the last
/// the commit is durable, and nobody knows it yet.
fn stages() -> Vec<(Stage, usize)> {
    vec![
        (Stage::Spill { coins: 0 }, 0),
        (Stage::Spill { coins: 0 }, 4),
        (Stage::Append { disconnected: 0, connected: 0 }, 0),
        (Stage::SyncBlocks, 0),
        (Stage::AppendJournal, 0),
        (Stage::SyncJournal, 0),
    ]
}

#[test]
fn rrg_03_over_1_000_blocks_there_and_back_in_little_memory_and_through_crashes() {
    let drawing = draw();
    let expected = drawing.expected();
    let dir = tempfile::tempdir().expect("a directory");
    let mut chain = drawing.open(dir.path(), None).expect("opened");
    drawing.tree.deliver(&mut chain, "r1 r2 r3");
    drawing.insert(&mut chain, &drawing.first);
    drawing.settle(&mut chain).expect("the store works");
    // every body of the better branch is stored, and one step is taken: what is committed next is the switch
    drawing.insert(&mut chain, &drawing.second);
    chain.activate(drawing.tree.now(), 1).expect("the store works");
    drop(chain);

    let trap = Trap::default();
    let mut committed = false;
    for (stage, count) in stages() {
        *trap.lock().expect("unpoisoned") = Some((stage.clone(), count));
        // a replay may meet the stage already
        let outcome = drawing.open(dir.path(), Some(trap_hook(&trap))).and_then(|mut chain| {
            drawing.settle(&mut chain)?;
            chain.flush()
        });
        assert!(outcome.is_err(), "{stage:?} never came");
        let chain = drawing.open(dir.path(), None).expect("opened after the crash");
        let tip = drawing.tree.tip(&chain);
        let (_, stats) = expected.iter().find(|(name, _)| *name == tip).expect("the old tip or the new one");
        assert_eq!(chain.coin_stats().expect("works"), *stats, "after a crash at {stage:?}");
        committed |= tip == expected[1].0;
    }
    assert!(committed, "the last crash came after the commit");

    // the way there again, in a new directory that nobody disturbs; and back
    let dir = tempfile::tempdir().expect("a directory");
    let mut chain = drawing.open(dir.path(), None).expect("opened");
    drawing.tree.deliver(&mut chain, "r1 r2 r3");
    drawing.insert(&mut chain, &drawing.first);
    drawing.settle(&mut chain).expect("the store works");
    drawing.insert(&mut chain, &drawing.second);
    drawing.settle_watched(&mut chain).check();
    assert_eq!((drawing.tree.tip(&chain), chain.coin_stats().expect("works")), expected[1]);
    assert_eq!(stored_coins(&chain), replay_coins(&chain));
    drop(chain);

    // back, with a crash while what was spilled is merged
    *trap.lock().expect("unpoisoned") = Some((Stage::Merge { left: 0 }, 1));
    let mut chain = drawing.open(dir.path(), Some(trap_hook(&trap))).expect("opened");
    drawing.insert(&mut chain, &drawing.more);
    assert!(drawing.settle(&mut chain).is_err(), "it takes more than one slice");
    drop(chain);
    let chain = drawing.open(dir.path(), None).expect("opened");
    assert_eq!(drawing.tree.tip(&chain), drawing.more.last().expect("two blocks"));
    assert_eq!(stored_coins(&chain), replay_coins(&chain));
    let mut stats = CoinStats::default();
    stored_coins(&chain).iter().for_each(|(outpoint, coin)| stats.insert(outpoint, coin));
    assert_eq!(chain.coin_stats().expect("works"), stats);
    let reorg = chain.journal().last().expect("two reorganisations");
    assert_eq!((reorg.disconnected.len(), reorg.transactions.len()), (DEPTH + 1, 2 * (DEPTH + 1)));
}
