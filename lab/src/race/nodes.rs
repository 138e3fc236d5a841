//! The same races played by real nodes: every block is mined on a node's own template, checked by every node and judged
//! by its fork choice. Only the network is left out: who hears of a block first is the race's to say.
//!
//! Three nodes: the pool's, and one for each half of the honest miners, of which the *followers* hear the pool's
//! blocks first when both branches are equally long. What the race reads of them, it reads off their block trees, so that
//! agreement with [`Race`](super::Race) is a finding and no assumption.

use std::sync::Arc;
use std::time::Duration;

use rand::Rng;
use tine_chain::block::Block;
use tine_chain::chain::{Chain, ChainOptions};
use tine_chain::hash::{BlockHash, Lock};
use tine_chain::params::{Network, Params};
use tine_chain::signature::Parallel;
use tine_chain::store::StoreError;
use tine_chain::store::memory::MemoryStore;
use tine_chain::time::Time;
use tine_node::event::{Event, Submission, SubmitId};
use tine_node::template::CoinbaseSpec;
use tine_node::{Node, NodeConfig};

use super::strategy::Strategy;
use super::{Finder, Fork, Move, Settled, State};
use crate::race::double_spend::DoubleSpend;

/// Virtual time between two blocks.
const INTERVAL: Duration = Duration::from_secs(600);
/// Whom the pool's coinbases pay, and everybody else's.
const POOL: Lock = Lock([1; 32]);
const OTHERS: Lock = Lock([0; 32]);

/// Three nodes at the genesis block of the regtest network.
pub struct Table {
    pool: Node,
    follower: Node,
    other: Node,
    now: Time,
    found: u64,
}

impl Table {
    /// Nobody has found a block yet.
    ///
    /// # Errors
    /// Never with the memory store; the type says that opening a chain may fail.
    pub fn new() -> Result<Self, StoreError> {
        let params = Params::of(Network::Regtest);
        let node = || {
            let options = ChainOptions { parallel: Parallel::Inline, ..ChainOptions::default() };
            let chain = Chain::open(params.clone(), Box::new(MemoryStore::new()), options)?;
            Ok(Node::new(chain, NodeConfig::new(params.clone())))
        };
        let now = Time::from_secs(u64::from(params.genesis.time));
        Ok(Self { pool: node()?, follower: node()?, other: node()?, now, found: 0 })
    }

    /// A block on `parent`, or on the tip of the finder's half of the miners. Nobody has heard of it yet.
    fn find(&mut self, finder: Finder, parent: Option<BlockHash>) -> Arc<Block> {
        self.now = self.now + INTERVAL;
        self.found += 1;
        let (node, lock) = match finder {
            Finder::Pool => (&self.pool, POOL),
            Finder::Follower => (&self.follower, OTHERS),
            Finder::Other => (&self.other, OTHERS),
        };
        let coinbase = CoinbaseSpec { lock, extra: self.found.to_le_bytes().to_vec() };
        let template = node.template(parent, self.now, &coinbase);
        let template =
            template.expect("the parent is a block that the node has, and eight bytes are a witness");
        let block = crate::mining::solve(template.block, template.target, 0);
        Arc::new(block.expect("half of all nonces meet regtest's target"))
    }

    /// The highest block that honest miners build on.
    fn public_tip(&self) -> BlockHash {
        self.other.chain().tip().hash
    }

    /// Whether `hash` pays the pool.
    fn is_pools(&self, hash: &BlockHash) -> Result<bool, StoreError> {
        let block = self.pool.chain().block(hash)?;
        Ok(block.is_some_and(|block| block.transactions[0].data().outputs[0].lock == POOL))
    }
}

/// Hands a block to a node and lets it finish.
fn deliver(node: &mut Node, block: &Arc<Block>, now: Time) -> Result<(), StoreError> {
    node.handle(Event::Submit(SubmitId(0), Submission::Block(block.clone())), now)?;
    while node.deadline() == Some(now) {
        node.handle(Event::Tick, now)?;
    }
    Ok(())
}

/// A pool against everybody else, by a strategy.
pub struct NodeRace<S> {
    table: Table,
    strategy: S,
    /// The pool's tip, published or not.
    private_tip: BlockHash,
    /// The last block that the pool has published.
    published_tip: BlockHash,
    honest_found_last: bool,
}

impl<S: Strategy> NodeRace<S> {
    /// Everybody at the genesis block.
    ///
    /// # Errors
    /// Never with the memory store.
    pub fn new(strategy: S) -> Result<Self, StoreError> {
        let table = Table::new()?;
        let genesis = table.public_tip();
        Ok(Self { table, strategy, private_tip: genesis, published_tip: genesis, honest_found_last: false })
    }

    fn height(&self, hash: &BlockHash) -> u32 {
        self.table.pool.chain().tree().get(hash).expect("the pool's node hears of every block").height
    }

    /// The last block that both branches have.
    fn fork_point(&self) -> (BlockHash, u32) {
        let public_tip = self.best_public();
        let tree = self.table.pool.chain().tree();
        let fork = tree.fork_point(&self.private_tip, &public_tip).expect("both are in the tree");
        (fork.hash, fork.height)
    }

    /// Both halves of the honest miners may stand on different tips; the one that is not the pool's is the rival.
    fn best_public(&self) -> BlockHash {
        let (follower, other) = (self.table.follower.chain().tip(), self.table.other.chain().tip());
        if follower.height > other.height { follower.hash } else { other.hash }
    }

    /// Both branches, as the nodes' trees show them.
    #[must_use]
    pub fn state(&self) -> State {
        let rival = self.best_public();
        let (_, fork) = self.fork_point();
        let (pool, public) = (self.height(&self.private_tip) - fork, self.height(&rival) - fork);
        let divided = self.table.follower.chain().tip().hash != self.table.other.chain().tip().hash;
        let fork = match (divided, self.honest_found_last) {
            (true, _) => Fork::Active,
            (false, true) if public > 0 => Fork::Relevant,
            (false, true | false) => Fork::Irrelevant,
        };
        State { pool, public, fork }
    }

    /// What everybody will build on from now, counted by whom the coinbases pay.
    ///
    /// # Errors
    /// When a store fails.
    pub fn settled(&self) -> Result<Settled, StoreError> {
        let (fork, _) = self.fork_point();
        let mut settled = Settled::default();
        let tree = self.table.pool.chain().tree();
        let mut entry = tree.get(&fork);
        while let Some(block) = entry.filter(|block| block.height > 0) {
            if self.table.is_pools(&block.hash)? {
                settled.pool += 1
            } else {
                settled.public += 1
            }
            entry = tree.parent(block);
        }
        Ok(settled)
    }

    /// `finder` finds a block, the pool moves, and everybody hears what is public.
    ///
    /// # Errors
    /// When a store fails.
    pub fn step(&mut self, finder: Finder) -> Result<Move, StoreError> {
        let parent = (finder == Finder::Pool).then_some(self.private_tip);
        let block = self.table.find(finder, parent);
        let now = self.table.now;
        deliver(&mut self.table.pool, &block, now)?;
        let honest = (finder != Finder::Pool).then(|| block.clone());
        self.honest_found_last = honest.is_some();
        match &honest {
            Some(block) => deliver(&mut self.table.other, block, now)?,
            None => self.private_tip = block.hash(),
        }
        let chosen = self.strategy.choose(self.state_before_the_move(honest.as_deref()));
        self.carry_out(chosen)?;
        let published = self.branch_to(self.published_tip)?;
        // the followers hear the pool first, everybody else the finder
        for block in published.iter().chain(&honest) {
            deliver(&mut self.table.follower, block, now)?;
        }
        for block in &published {
            deliver(&mut self.table.other, block, now)?;
        }
        if chosen == Move::Adopt {
            self.private_tip = self.best_public();
            self.published_tip = self.private_tip;
        }
        Ok(chosen)
    }

    /// What the pool sees when a block has been found that the followers have yet to hear of.
    fn state_before_the_move(&self, honest: Option<&Block>) -> State {
        let Some(block) = honest else { return self.state() };
        let (rival, tree) = (block.hash(), self.table.pool.chain().tree());
        let fork = tree.fork_point(&self.private_tip, &rival).expect("both are in the tree").height;
        let (pool, public) = (self.height(&self.private_tip) - fork, self.height(&rival) - fork);
        State { pool, public, fork: Fork::Relevant }
    }

    fn carry_out(&mut self, chosen: Move) -> Result<(), StoreError> {
        let rival = self.height(&self.table.public_tip()).max(self.height(&self.best_public()));
        let up_to = match chosen {
            Move::Adopt | Move::Wait => return Ok(()),
            Move::Match => rival,
            Move::Override => rival + 1,
        };
        let tree = self.table.pool.chain().tree();
        let block = tree.ancestor(&self.private_tip, up_to).expect("a move that the state allows");
        self.published_tip = block.hash;
        Ok(())
    }

    /// The pool's blocks up to `tip` that some honest node does not have, oldest first.
    fn branch_to(&self, tip: BlockHash) -> Result<Vec<Arc<Block>>, StoreError> {
        let Table { pool, follower, other, .. } = &self.table;
        let mut branch = Vec::new();
        let mut entry = pool.chain().tree().get(&tip);
        while let Some(block) = entry
            .filter(|block| !follower.chain().has_body(&block.hash) || !other.chain().has_body(&block.hash))
        {
            branch.extend(pool.chain().block(&block.hash)?);
            entry = pool.chain().tree().parent(block);
        }
        branch.reverse();
        Ok(branch)
    }
}

/// Plays `races` double spends by real nodes and returns how many succeed: the merchant's node has shown his payment's
/// block under `confirmations` blocks, and then leaves it.
///
/// The attacker begins with one block found in secret and must be longer, which is Rosenfeld's way to say that he begins
/// level and must draw level: real nodes keep the branch that they saw first.
///
/// # Errors
/// When a store fails.
pub fn double_spends(race: DoubleSpend, races: u64, rng: &mut impl Rng) -> Result<u64, StoreError> {
    let mut table = Table::new()?;
    let mut succeeded = 0;
    for _ in 0..races {
        succeeded += u64::from(double_spend(&mut table, race, rng)?);
    }
    Ok(succeeded)
}

fn double_spend(table: &mut Table, race: DoubleSpend, rng: &mut impl Rng) -> Result<bool, StoreError> {
    let start = table.other.chain().tip().height;
    let mut secret = vec![table.find(Finder::Pool, Some(table.public_tip()))];
    deliver(&mut table.pool, &secret[0], table.now)?;
    let mut payment = None;
    loop {
        let public = table.other.chain().tip().height - start;
        let lead = i64::try_from(secret.len()).expect("a branch is short") - i64::from(public);
        if public >= race.confirmations && lead > 0 {
            break;
        }
        if -lead > i64::from(race.give_up()) && public >= race.confirmations {
            return Ok(false);
        }
        if race.attacker_finds(rng) {
            let tip = secret.last().expect("it begins with one").hash();
            let block = table.find(Finder::Pool, Some(tip));
            deliver(&mut table.pool, &block, table.now)?;
            secret.push(block);
        } else {
            let block = table.find(Finder::Other, None);
            deliver(&mut table.other, &block, table.now)?;
            deliver(&mut table.pool, &block, table.now)?;
            payment.get_or_insert(block.hash());
        }
    }
    for block in &secret {
        deliver(&mut table.other, block, table.now)?;
    }
    Ok(payment.is_some_and(|payment| !table.other.chain().is_active(&payment)))
}
