//! Connecting blocks and changing branches.

use std::sync::{Arc, OnceLock};

use tine_chain::block::{Block, Header};
use tine_chain::chain::Chain;
use tine_chain::codec::{Decode, Encode};
use tine_chain::merkle::merkle_root;
use tine_chain::mining::Scanner;
use tine_chain::testing::{Draft, GENESIS, TestTree, replay_coins, stored_coins};

use crate::choices::Choices;

/// Blocks that one input may draw, at most.
const MAX_BLOCKS: usize = 48;
/// A new block goes on one of the newest so many: branches grow long.
const NEWEST: usize = 6;

/// The coins must be those that a replay of the active chain gives.
fn require_coins(chain: &Chain) {
    assert_eq!(stored_coins(chain), replay_coins(chain), "the coins equal a replay from the genesis");
}

/// Six blocks, the last with two payments, one of which spends the other.
fn drawn() -> &'static TestTree {
    static TREE: OnceLock<TestTree> = OnceLock::new();
    TREE.get_or_init(|| {
        let mut tree = TestTree::regtest();
        tree.draw("genesis a1 a2 a3 a4 a5");
        tree.pay("one", &["a1:0", "a2:0"], &[("ann", 60_0000_0000), ("ben", 39_0000_0000)]);
        tree.pay("two", &["one:0"], &[("cat", 59_0000_0000)]);
        tree.draw("a5 a6[one,two]");
        tree
    })
}

/// The bytes of the block that [`connect`] varies.
#[must_use]
pub fn example_block() -> Vec<u8> {
    drawn().block("a6").to_bytes()
}

/// The bytes of one of its payments.
#[must_use]
pub fn example_payment() -> Vec<u8> {
    drawn().transaction("one").to_bytes()
}

/// A good block, varied: each three bytes are a place and what is flipped there; the first byte says whether root and
/// nonce are then made good again. Whatever becomes of it, nothing else changes, and the good block is still taken.
pub fn connect(bytes: &[u8]) {
    let tree = drawn();
    let mut choices = Choices::new(bytes);
    let repair = choices.byte().is_some_and(|byte| byte % 2 == 1);
    let mut varied = example_block();
    while let Some(flip) = choices.byte() {
        let place = choices.below(varied.len());
        varied[place] ^= flip;
    }
    let Ok(mut varied) = Block::from_bytes(&varied) else { return };
    if repair {
        let Some(header) = made_good(tree, &varied) else { return };
        varied.header = header;
    }
    let mut chain = tree.chain();
    tree.deliver(&mut chain, "a1 a2 a3 a4 a5");
    let varied = Arc::new(varied);
    let before = chain.tip().hash;
    let taken = chain.insert_block(Arc::clone(&varied), tree.now()).is_ok();
    let progress = tree.activate(&mut chain);
    let connected = chain.tip().hash == varied.hash();
    assert!(connected || chain.tip().hash == before);
    assert!(taken || !connected, "what was refused is not connected");
    assert!(!connected || progress.invalid.is_empty());
    require_coins(&chain);
    if varied != tree.block("a6") {
        let verdict = tree.submit(&mut chain, "a6");
        assert!(verdict.is_ok(), "a bad body or a rival never spoils a good block: {verdict:?}");
    }
    assert!(chain.tip().height == 6);
    require_coins(&chain);
}

/// The header of `block` with the right root, and mined, if it can be.
fn made_good(tree: &TestTree, block: &Block) -> Option<Header> {
    let leaves: Vec<_> = block.transactions.iter().map(|transaction| transaction.wtxid()).collect();
    let mut header = Header { merkle_root: merkle_root(&leaves)?, ..block.header };
    // harder than regtest's own would take too long
    let target = header.bits.to_target().ok().filter(|target| *target >= tree.params.pow_limit)?;
    header.nonce = Scanner::new(&header).scan(target, 0..=u32::MAX)?;
    Some(header)
}

/// A block tree that grows in all ways: bad blocks, late blocks, headers first, orders of an operator. The coins equal a
/// replay at every end, and a chain that is given the active blocks alone comes to the same.
pub fn reorganise(bytes: &[u8]) {
    let mut choices = Choices::new(bytes);
    let mut growth =
        Growth { tree: TestTree::regtest(), names: vec![GENESIS.to_owned()], coins: Vec::new(), payments: 0 };
    let mut chain = growth.tree.chain();
    while let Some(op) = choices.byte()
        && growth.names.len() < MAX_BLOCKS
    {
        match op % 8 {
            0..=3 => {
                let name = growth.draw(&mut choices);
                // taken or refused: what counts is what follows
                match op {
                    // only its header
                    128..=159 => {
                        let header = growth.tree.block(&name).header;
                        let _ = chain.accept_header(header, growth.tree.now());
                    }
                    // kept for later
                    160..=191 => {}
                    _ => {
                        let _ = growth.tree.submit(&mut chain, &name);
                    }
                }
            }
            4 | 5 => {
                let name = growth.chosen(&mut choices);
                if name != GENESIS {
                    let _ = growth.tree.submit(&mut chain, &name);
                }
            }
            6 => {
                let _ = chain.invalidate(&growth.tree.hash(&growth.chosen(&mut choices)));
            }
            _ => {
                let _ = chain.reconsider(&growth.tree.hash(&growth.chosen(&mut choices)));
            }
        }
        growth.tree.activate(&mut chain);
    }
    require_coins(&chain);
    let mut straight = growth.tree.chain();
    for height in 1..=chain.tip().height {
        let hash = chain.active_hash(height).expect("every height has a block");
        let name = growth.tree.name(&hash).to_owned();
        let verdict = growth.tree.submit(&mut straight, &name);
        assert!(verdict.is_ok(), "{name} was connected on another way: {verdict:?}");
    }
    assert_eq!(straight.tip().hash, chain.tip().hash);
    assert_eq!(stored_coins(&straight), stored_coins(&chain));
}

struct Growth {
    tree: TestTree,
    names: Vec<String>,
    /// Every coin that was ever made.
    coins: Vec<String>,
    payments: usize,
}

impl Growth {
    fn chosen(&self, choices: &mut Choices<'_>) -> String {
        self.names[choices.below(self.names.len())].clone()
    }

    /// Draws a block, with payments or without, good or spoiled.
    fn draw(&mut self, choices: &mut Choices<'_>) -> String {
        let newest = self.names.len().min(NEWEST);
        let parent = self.names[self.names.len() - 1 - choices.below(newest)].clone();
        let name = format!("n{}", self.names.len());
        let count = choices.below(4).saturating_sub(1);
        let payments: Vec<String> = (0..count).filter_map(|_| self.pay(choices)).collect();
        let spoil = choices.byte().unwrap_or(0);
        self.tree.block_with(&name, &parent, &payments, |draft| spoil_draft(draft, spoil));
        if spoil != 3 {
            self.coins.push(format!("{name}:0"));
        }
        self.names.push(name.clone());
        name
    }

    /// A payment that spends a coin, whether it is mature, spent or on another branch.
    fn pay(&mut self, choices: &mut Choices<'_>) -> Option<String> {
        if self.coins.is_empty() {
            return None;
        }
        let coin = self.coins[choices.below(self.coins.len())].clone();
        let (source, vout) = coin.split_once(':').expect("written so");
        let vout: usize = vout.parse().expect("written so");
        let value = self.tree.transaction(source).outputs[vout].value.0;
        let paid = match choices.byte().unwrap_or(0) {
            // more than there is
            255 => value + 1,
            share => value / 256 * u64::from(share) + 1,
        };
        let name = format!("p{}", self.payments);
        self.payments += 1;
        self.tree.pay(&name, &[&coin], &[("ann", paid), ("ben", value.saturating_sub(paid) / 2)]);
        self.coins.extend([format!("{name}:0"), format!("{name}:1")]);
        Some(name)
    }
}

fn spoil_draft(draft: &mut Draft, spoil: u8) {
    match spoil {
        1 => draft.coinbase.outputs[0].value.0 += 1,
        2 => draft.root = Some(tine_chain::hash::MerkleRoot([2; 32])),
        3 => draft.no_coinbase = true,
        4 => draft.without_work = true,
        5 => draft.coinbase.lock_time += 1,
        6 => draft.header.time = 0,
        7 => draft.header.version = -1,
        8 => {
            if let Some(transaction) = draft.transactions.first().cloned() {
                draft.transactions.push(transaction);
            }
        }
        _ => {}
    }
}
