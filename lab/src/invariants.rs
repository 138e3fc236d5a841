//! What must hold in every world at every moment, judged by a second, naive opinion.
//!
//! [`Audit`] replays every block that a node takes for valid from the genesis on, with the rules about money written down
//! once more as plainly as they can be, and compares: the coins, their sum, the choice of the tip, the mempool, who was
//! punished. It shares nothing with the chain that it judges but types, encodings and signatures.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tine_chain::amount::Amount;
use tine_chain::block::Block;
use tine_chain::coins::Coin;
use tine_chain::hash::{BlockHash, Txid};
use tine_chain::journal::Fate;
use tine_chain::params::Params;
use tine_chain::pow::Work;
use tine_chain::rules::check_witnesses;
use tine_chain::signature::verify_one;
use tine_chain::store::StoreError;
use tine_chain::time::Time;
use tine_chain::transaction::{OutPoint, Transaction};
use tine_node::Node;
use tine_node::event::Notice;
use tine_node::mempool::MAX_PACKAGE_COUNT;
use tine_node::peers::Offence;

use crate::observe::{Observation, Observer};

/// Something that must not be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// A block of a node's active chain breaks a rule.
    #[error("node {node} accepted block {block}, in which {what}")]
    InvalidAccepted {
        /// The node.
        node: usize,
        /// The block.
        block: BlockHash,
        /// The rule, as it was found broken.
        what: &'static str,
    },
    /// A node's coins are not those that its blocks make.
    #[error("the coins of node {node} are not those of a replay from the genesis to {tip}")]
    Coins {
        /// The node.
        node: usize,
        /// Its tip.
        tip: BlockHash,
    },
    /// Coins were made from nothing, or lost.
    #[error("node {node} has coins worth {found} at {tip}, but {expected} were made")]
    Supply {
        /// The node.
        node: usize,
        /// Its tip.
        tip: BlockHash,
        /// The sum of its coins.
        found: Amount,
        /// All subsidies, without what miners left.
        expected: Amount,
    },
    /// A node knows a better chain than its own, all of it.
    #[error("node {node} stays on {tip}, though it has {better} with more work")]
    ForkChoice {
        /// The node.
        node: usize,
        /// Its tip.
        tip: BlockHash,
        /// The better one.
        better: BlockHash,
    },
    /// A node left its chain for one that is not better.
    #[error("node {node} left {old} for {new}, which has no more work")]
    IdleReorg {
        /// The node.
        node: usize,
        /// The tip it had.
        old: BlockHash,
        /// The tip it has.
        new: BlockHash,
    },
    /// A payment that a reorganisation took off the chain is nowhere.
    #[error(
        "node {node} lost transaction {txid} in a reorganisation: it could be mined, and is not in the mempool"
    )]
    LostTransaction {
        /// The node.
        node: usize,
        /// The payment.
        txid: Txid,
    },
    /// The mempool holds what can't be mined.
    #[error("the mempool of node {node} holds {txid}, in which {what}")]
    Mempool {
        /// The node.
        node: usize,
        /// The entry.
        txid: Txid,
        /// What is wrong with it.
        what: &'static str,
    },
    /// An honest node was punished by an honest node.
    #[error("node {node} punished node {peer}, which is honest: {offence}")]
    Punished {
        /// Who punished.
        node: usize,
        /// Whom.
        peer: usize,
        /// What for.
        offence: Offence,
    },
    /// Honest nodes do not agree, long after the network healed.
    #[error("{seconds} s after the network healed, {tips} tips are left")]
    Disagreement {
        /// Different tips of honest nodes.
        tips: usize,
        /// How long they had.
        seconds: u64,
    },
    /// Nodes keep each other busy without an end.
    #[error("{events} events in one millisecond: some node is stuck")]
    Stuck {
        /// How many.
        events: u64,
    },
    /// Something grows that must not.
    #[error("node {node} keeps {found} {what}, at most {limit} are allowed")]
    Unbounded {
        /// The node.
        node: usize,
        /// What.
        what: &'static str,
        /// How many.
        found: u64,
        /// The limit.
        limit: u64,
    },
}

/// A chain as it should be: what its blocks make, replayed.
#[derive(Debug, Clone, Default)]
struct Replay {
    height: u32,
    coins: BTreeMap<OutPoint, Coin>,
    /// All subsidies, without what miners left.
    made: u64,
    /// The times of the last eleven blocks.
    times: Vec<u32>,
}

/// The second opinion on all nodes of a world.
#[derive(Debug)]
pub struct Audit {
    params: Params,
    genesis: BlockHash,
    replays: BTreeMap<BlockHash, Arc<Replay>>,
    /// The tip at which each host's coins were compared last.
    compared: BTreeMap<usize, BlockHash>,
}

impl Audit {
    /// Judges by `params`.
    #[must_use]
    pub fn new(params: Params) -> Self {
        let genesis = params.genesis_hash();
        let start = Replay { times: vec![params.genesis.time], ..Replay::default() };
        Self {
            params,
            genesis,
            replays: BTreeMap::from([(genesis, Arc::new(start))]),
            compared: BTreeMap::new(),
        }
    }

    /// Judges a node as it is now, in all that concerns itself alone.
    ///
    /// # Errors
    /// The outer error is the store's, the inner one what must not be.
    pub fn check(&mut self, host: usize, node: &Node) -> Result<Result<(), Violation>, StoreError> {
        let replay = match self.replay(host, node)? {
            Ok(replay) => replay,
            Err(violation) => return Ok(Err(violation)),
        };
        // coins move only with the tip
        let tip = node.chain().tip().hash;
        if self.compared.insert(host, tip) != Some(tip)
            && let Err(violation) = coins(host, node, &replay)?
        {
            return Ok(Err(violation));
        }
        Ok(fork_choice(host, node)
            .and_then(|()| mempool(host, node, &replay))
            .and_then(|()| bounds(host, node)))
    }

    /// What the blocks of the node's chain make, each judged when it is first met.
    fn replay(&mut self, host: usize, node: &Node) -> Result<Result<Arc<Replay>, Violation>, StoreError> {
        let chain = node.chain();
        let mut height = chain.tip().height;
        let known = loop {
            let hash = chain.active_hash(height).expect("every height up to the tip has a block");
            if let Some(known) = self.replays.get(&hash) {
                break Arc::clone(known);
            }
            height -= 1;
        };
        let mut replay = known;
        for height in height + 1..=chain.tip().height {
            let hash = chain.active_hash(height).expect("every height up to the tip has a block");
            let block = chain.block(&hash)?.expect("active blocks have bodies");
            match self.extend(&replay, &block) {
                Ok(next) => replay = Arc::new(next),
                Err(what) => {
                    return Ok(Err(Violation::InvalidAccepted { node: host, block: hash, what }));
                }
            }
            self.replays.insert(hash, Arc::clone(&replay));
        }
        Ok(Ok(replay))
    }

    /// The rules about time, work and money, one by one.
    fn extend(&self, before: &Replay, block: &Block) -> Result<Replay, &'static str> {
        let mut after = before.clone();
        after.height += 1;
        let target = block.header.bits.to_target().map_err(|_| "the bits are no target")?;
        if !target.is_met_by(&block.hash()) {
            return Err("the work is missing");
        }
        let mut times = before.times.clone();
        times.sort_unstable();
        if block.header.time <= times[times.len() / 2] {
            return Err("the time is not after the median of the last eleven");
        }
        after.times.push(block.header.time);
        let surplus = after.times.len().saturating_sub(11);
        after.times.drain(..surplus);
        let (coinbase, payments) = block.transactions.split_first().ok_or("there is no coinbase")?;
        if !coinbase.is_coinbase() || coinbase.lock_time + 1 != after.height {
            return Err("the coinbase is not that of its height");
        }
        let mut fees = 0;
        for payment in payments {
            fees += self.spend(&mut after, payment)?;
        }
        let allowed = self.params.subsidy(after.height).0 + fees;
        let taken: u64 = coinbase.outputs.iter().map(|output| output.value.0).sum();
        if taken > allowed {
            return Err("the coinbase takes more than subsidy and fees");
        }
        after.made += self.params.subsidy(after.height).0 - (allowed - taken);
        create(&mut after, coinbase, true);
        Ok(after)
    }

    /// Takes a payment's coins and makes its own. Returns its fee.
    fn spend(&self, after: &mut Replay, payment: &Transaction) -> Result<u64, &'static str> {
        if payment.is_coinbase() {
            return Err("there is a second coinbase");
        }
        let mut spent = Vec::new();
        for input in &payment.inputs {
            let coin = after.coins.remove(&input.prevout).ok_or("a coin is spent that is not there")?;
            if coin.coinbase && after.height < coin.height + self.params.coinbase_maturity {
                return Err("a coinbase is spent before it is mature");
            }
            spent.push(coin);
        }
        let checks = check_witnesses(payment, &spent, &self.genesis).map_err(|_| "a lock is not opened")?;
        if !checks.iter().all(verify_one) {
            return Err("a signature is wrong");
        }
        let taken: u64 = spent.iter().map(|coin| coin.output.value.0).sum();
        let given: u64 = payment.outputs.iter().map(|output| output.value.0).sum();
        create(after, payment, false);
        taken.checked_sub(given).ok_or("a payment gives more than it takes")
    }
}

fn create(after: &mut Replay, transaction: &Transaction, coinbase: bool) {
    for (vout, output) in (0..).zip(&transaction.outputs) {
        let coin = Coin { output: *output, height: after.height, coinbase };
        after.coins.insert(transaction.outpoint(vout), coin);
    }
}

/// "coins equal a replay from genesis, supply is exact"
fn coins(host: usize, node: &Node, replay: &Replay) -> Result<Result<(), Violation>, StoreError> {
    let tip = node.chain().tip().hash;
    let mut expected = replay.coins.iter();
    let mut same = true;
    let mut sum = 0;
    node.chain().for_each_coin(&mut |outpoint, coin| {
        same &= expected.next() == Some((outpoint, coin));
        sum += coin.output.value.0;
    })?;
    if !same || expected.next().is_some() {
        return Ok(Err(Violation::Coins { node: host, tip }));
    }
    if sum != replay.made {
        let (found, expected) = (Amount(sum), Amount(replay.made));
        return Ok(Err(Violation::Supply { node: host, tip, found, expected }));
    }
    Ok(Ok(()))
}

/// "most cumulative work", among the blocks that the node has with all their ancestors.
fn fork_choice(host: usize, node: &Node) -> Result<(), Violation> {
    let tip = node.chain().tip();
    let possible = |work: Work, connectable: bool, valid: bool| connectable && valid && work > tip.work;
    let mut known = node.chain().tree().iter();
    match known.find(|entry| possible(entry.work, entry.connectable, entry.invalid.is_none())) {
        Some(better) => Err(Violation::ForkChoice { node: host, tip: tip.hash, better: better.hash }),
        None => Ok(()),
    }
}

/// Every entry can be mined after those before it, and no two spend the same coin.
fn mempool(host: usize, node: &Node, replay: &Replay) -> Result<(), Violation> {
    let mut spent = BTreeSet::new();
    let mut made = BTreeSet::new();
    for entry in node.mempool().entries() {
        let txid = entry.tx.txid();
        for input in &entry.tx.inputs {
            let there = replay.coins.contains_key(&input.prevout) || made.contains(&input.prevout);
            let what = match there {
                false => "a coin is spent that is not there",
                true if !spent.insert(input.prevout) => "a coin is spent a second time",
                true => continue,
            };
            return Err(Violation::Mempool { node: host, txid, what });
        }
        made.extend((0..).zip(&entry.tx.outputs).map(|(vout, _)| entry.tx.outpoint(vout)));
    }
    Ok(())
}

/// Orphans that a node keeps at most.
const MAX_ORPHANS: u64 = 100;

fn bounds(host: usize, node: &Node) -> Result<(), Violation> {
    let counts = [
        ("orphans", node.orphan_count() as u64, MAX_ORPHANS),
        ("bytes of transactions", node.mempool().usage(), node.mempool().limits().max_usage),
    ];
    for (what, found, limit) in counts {
        if found > limit {
            return Err(Violation::Unbounded { node: host, what, found, limit });
        }
    }
    Ok(())
}

/// Watches for what only shows in passing, and says which nodes have something new to be judged.
#[derive(Debug, Default)]
pub struct Watch {
    /// Hosts whose chain or mempool changed since they were last judged.
    touched: BTreeSet<usize>,
    /// Payments that must come back, by host.
    returning: BTreeMap<usize, BTreeMap<Txid, Arc<Transaction>>>,
    /// Hosts that do not keep to the protocol: nothing is asked of them.
    dishonest: BTreeSet<usize>,
    violation: Option<(Time, Violation)>,
}

impl Watch {
    /// Nothing is asked of `hosts`.
    #[must_use]
    pub fn except(hosts: impl IntoIterator<Item = usize>) -> Self {
        Self { dishonest: hosts.into_iter().collect(), ..Self::default() }
    }

    /// Whether something is asked of a host.
    #[must_use]
    pub fn is_honest(&self, host: usize) -> bool {
        !self.dishonest.contains(&host)
    }

    /// Honest hosts that have something new; they count as judged from now on.
    pub fn take_touched(&mut self) -> Vec<usize> {
        std::mem::take(&mut self.touched).into_iter().filter(|host| self.is_honest(*host)).collect()
    }

    /// What must not be and was.
    #[must_use]
    pub fn violation(&self) -> Option<&Violation> {
        self.violation.as_ref().map(|(_, violation)| violation)
    }

    /// Judges what should have come back to a node that has nothing left to do.
    ///
    /// # Errors
    /// The outer error is the store's, the inner one [`Violation::LostTransaction`].
    pub fn check_returned(&mut self, host: usize, node: &Node) -> Result<Result<(), Violation>, StoreError> {
        for (txid, transaction) in self.returning.remove(&host).unwrap_or_default() {
            let missing = node.mempool().get(&txid).is_none();
            if missing && can_be_mined(node, &transaction)? && !is_in_long_chain(node, &transaction) {
                return Ok(Err(Violation::LostTransaction { node: host, txid }));
            }
        }
        Ok(Ok(()))
    }

    /// A host is to be judged later: it is still at work.
    pub fn touch(&mut self, host: usize) {
        self.touched.insert(host);
    }

    /// A host was stopped: its mempool is gone.
    fn forget(&mut self, host: usize) {
        self.returning.remove(&host);
        self.touched.remove(&host);
    }

    fn noticed(&mut self, time: Time, node: usize, notice: &Notice) {
        match notice {
            Notice::Chain(change) if change.tip.is_some() => {
                self.touched.insert(node);
                let returning = self.returning.entry(node).or_default();
                if let Some(reorg) = &change.reorg {
                    let fates = reorg.transactions.iter().filter(|fate| fate.fate == Fate::Returned);
                    let returned: BTreeSet<_> = fates.map(|fate| fate.txid).collect();
                    let old = change.disconnected.iter().filter_map(|block| block.held());
                    let old = old.flat_map(|(body, _)| &body.transactions);
                    let back = old.filter(|transaction| returned.contains(&transaction.txid()));
                    returning.extend(back.map(|transaction| (transaction.txid(), transaction.clone())));
                    if reorg.new_work <= reorg.old_work {
                        let old = reorg.disconnected.last().map_or(BlockHash::ZERO, |block| block.hash);
                        let new = reorg.connected.last().map_or(BlockHash::ZERO, |block| block.hash);
                        self.violation.get_or_insert((time, Violation::IdleReorg { node, old, new }));
                    }
                }
                for (body, _) in change.connected.iter().filter_map(|block| block.held()) {
                    for transaction in &body.transactions {
                        returning.remove(&transaction.txid());
                    }
                }
            }
            Notice::TransactionRemoved(txid, _) => {
                // the node has said why
                self.returning.entry(node).or_default().remove(txid);
            }
            Notice::TransactionAdded(_) => {
                self.touched.insert(node);
            }
            Notice::Chain(_)
            | Notice::HeaderSeen(..)
            | Notice::BlockInvalid(..)
            | Notice::DoubleSpendAttempt { .. }
            | Notice::Syncing { .. }
            | Notice::Wanted(_) => {}
        }
    }
}

/// Whether the next block could hold a payment: its coins are there and mature, or in the mempool, and free.
fn can_be_mined(node: &Node, payment: &Transaction) -> Result<bool, StoreError> {
    let chain = node.chain();
    let next = chain.tip().height + 1;
    for input in &payment.inputs {
        let place = &input.prevout;
        let mature = |coin: &Coin| !coin.coinbase || coin.height + chain.params().coinbase_maturity <= next;
        let there = chain.coin(place)?.is_some_and(|coin| mature(&coin));
        let made = node.mempool().get(&place.txid).is_some();
        if !(there || made) || node.mempool().spender_of(place).is_some() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// "at most 25 ancestors and 25 descendants, itself among them": what exceeds that does not come back (nor with Core).
fn is_in_long_chain(node: &Node, payment: &Transaction) -> bool {
    let ancestors = node.mempool().ancestors_of(payment);
    let full = |txid: &Txid| {
        node.mempool().get(txid).is_some_and(|entry| entry.descendants.count >= MAX_PACKAGE_COUNT)
    };
    ancestors.len() as u32 >= MAX_PACKAGE_COUNT || ancestors.iter().any(full)
}

impl Observer for Watch {
    fn see(&mut self, time: Time, seen: &Observation<'_>) {
        match seen {
            Observation::Noticed { node, notice } => self.noticed(time, *node, notice),
            Observation::Punished { node, peer, offence } => {
                if self.is_honest(*node) && self.is_honest(*peer) {
                    let (node, peer, offence) = (*node, *peer, *offence);
                    self.violation.get_or_insert((time, Violation::Punished { node, peer, offence }));
                }
            }
            Observation::Ordered(
                crate::order::Order::Stop { node } | crate::order::Order::Rules { node, .. },
            ) => self.forget(*node),
            Observation::Ordered(_)
            | Observation::Sent { .. }
            | Observation::Lost { .. }
            | Observation::Received { .. }
            | Observation::Mined { .. }
            | Observation::Dropped { .. }
            | Observation::Linked { .. }
            | Observation::Unlinked { .. } => {}
        }
    }
}
