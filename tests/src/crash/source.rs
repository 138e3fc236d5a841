//! Where the victim's blocks come from: a block tree that is drawn here, with payments, and rival branches.

use std::collections::BTreeSet;
use std::sync::Arc;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tine_chain::address::Address;
use tine_chain::block::Block;
use tine_chain::codec::{Decode, Encode};
use tine_chain::hash::BlockHash;
use tine_chain::params::{Network, Params};
use tine_chain::testing::{GENESIS, TestTree, Wallet};

use crate::naive;

/// Regtest's coinbases mature after so many blocks.
const MATURITY: usize = 100;

/// A block tree of the real regtest.
pub struct Source {
    tree: TestTree,
    /// The best branch from height 1 up, by name.
    path: Vec<String>,
    drawn: usize,
    /// The names of all payments.
    made: BTreeSet<String>,
    rng: StdRng,
}

impl Source {
    /// The genesis alone.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let tree = TestTree::new(Params::of(Network::Regtest));
        Self { tree, path: Vec::new(), drawn: 0, made: BTreeSet::new(), rng: StdRng::seed_from_u64(seed) }
    }

    /// The best branch from height 1 up.
    #[must_use]
    pub fn path(&self) -> &[String] {
        &self.path
    }

    /// The id of the best branch's tip.
    #[must_use]
    pub fn tip_hash(&self) -> String {
        self.hash(self.path.last().map_or(GENESIS, String::as_str))
    }

    /// The id of a block.
    #[must_use]
    pub fn hash(&self, name: &str) -> String {
        self.tree.hash(name).to_string()
    }

    /// A block in hexadecimal.
    #[must_use]
    pub fn raw(&self, name: &str) -> String {
        hex::encode(self.tree.block(name).to_bytes())
    }

    /// An address that nobody spends from.
    #[must_use]
    pub fn address(&self) -> String {
        Address { network: Network::Regtest, lock: Wallet::named("miner").lock() }.to_string()
    }

    /// Draws `count` blocks on the best branch; their names.
    pub fn extend(&mut self, count: usize) -> Vec<String> {
        let names = self.branch(self.path.len(), count, "");
        self.path.extend_from_slice(&names);
        names
    }

    /// Draws two branches on the best one, of `depth` blocks and of one more, which is the best from now on. Where both
    /// spend a coin, they make the same payment of it or contradict each other.
    pub fn rivals(&mut self, depth: usize) -> (Vec<String>, Vec<String>) {
        let fork = self.path.len();
        let loser = self.branch(fork, depth, "a");
        let winner = self.branch(fork, depth + 1, "b");
        self.path.extend_from_slice(&winner);
        (loser, winner)
    }

    /// Takes over a block that the victim mined on the best branch.
    ///
    /// # Panics
    /// When it is no block, or not on that branch.
    pub fn adopt(&mut self, raw: &str) {
        let block = Block::from_bytes(&hex::decode(raw).expect("hex")).expect("a block");
        assert_eq!(block.header.prev_block.to_string(), self.tip_hash(), "mined on the best branch");
        let name = self.next_name();
        self.tree.add_block(&name, &Arc::new(block));
        self.path.push(name);
    }

    /// How many coins there are at the block `hash`, and the hash of them all, by a replay from the genesis.
    ///
    /// # Panics
    /// When the block is not known here.
    #[must_use]
    pub fn coins_at(&self, hash: &str) -> (usize, String) {
        let mut hash: BlockHash = hash.parse().expect("a block's id");
        let mut blocks = Vec::new();
        loop {
            let block = self.tree.block(self.tree.name(&hash));
            hash = block.header.prev_block;
            let is_genesis = Arc::ptr_eq(&block, &self.tree.block(GENESIS));
            blocks.push(block);
            if is_genesis {
                break;
            }
        }
        let coins = naive::replay(blocks.iter().rev().map(|block| &**block));
        (coins.len(), naive::hash(&coins))
    }

    fn next_name(&mut self) -> String {
        self.drawn += 1;
        format!("n{}", self.drawn)
    }

    /// Draws `count` blocks on the best branch's block at height `fork`; each pays with the coinbase that has just matured.
    fn branch(&mut self, fork: usize, count: usize, side: &str) -> Vec<String> {
        let mut parent = fork.checked_sub(1).map_or(GENESIS.to_owned(), |place| self.path[place].clone());
        let mut names = Vec::new();
        for height in fork..fork + count {
            let payment = height.checked_sub(MATURITY).and_then(|mature| self.payment(mature, side));
            let name = self.next_name();
            let payments: Vec<String> = payment.into_iter().collect();
            // a second apart: drawn on a block that the victim mined just now, a branch must not run into the future
            let time = self.tree.block(&parent).header.time + 1;
            self.tree.block_with(&name, &parent, &payments, |draft| draft.header.time = time);
            names.push(name.clone());
            parent = name;
        }
        names
    }

    /// A payment with the coinbase of the best branch's block at this place, if we have its key.
    fn payment(&mut self, place: usize, side: &str) -> Option<String> {
        let source = self.path.get(place)?.clone();
        let coinbase = self.tree.transaction(&source);
        // late in a long campaign there is not much left to pay with: the subsidy halves every 150 blocks
        let half = coinbase.outputs[0].value.0 / 2;
        if coinbase.outputs[0].lock != Wallet::named(&source).lock() || half < 10_000 {
            return None;
        }
        // the side that comes second says whether it makes the same payment
        let same = format!("p{place}");
        let is_made = side == "b" && self.rng.random::<bool>() && self.made.contains(&same);
        let name = if side == "b" && !is_made { format!("q{place}") } else { same };
        if self.made.insert(name.clone()) {
            let less = half - u64::from(side == "b") - 1_000;
            self.tree.pay(&name, &[&format!("{source}:0")], &[("ann", half), ("ben", less)]);
        }
        Some(name)
    }
}
