//! Invalid blocks that a miner hands to its own node, each wrong in one thing.

use std::sync::Arc;

use tine_chain::amount::Amount;
use tine_chain::coins::Coin;
use tine_chain::merkle::merkle_root;
use tine_chain::transaction::{OutPoint, Transaction};
use tine_node::template::{CoinbaseSpec, Template};

use crate::mining::solve;
use crate::observe::Observer;
use crate::world::{World, WorldError};

/// What is wrong with a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Prank {
    /// The coinbase takes one unit more than it may.
    Overpaid,
    /// A coinbase is spent before it is mature.
    Immature,
    /// A coin is spent twice.
    SpentTwice,
    /// A coin is spent that was spent in an earlier block.
    SpentBefore,
    /// A signature is wrong.
    Forged,
}

impl Prank {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Overpaid, Self::Immature, Self::SpentTwice, Self::SpentBefore, Self::Forged];

    /// Plays it on a host's own node. Nothing happens when the host is stopped or has no coin to do it with.
    ///
    /// # Errors
    /// When the world can't go on.
    pub fn play<O: Observer>(self, world: &mut World<O>, host: usize) -> Result<(), WorldError> {
        let lock = world.lock(host);
        let clock = world.clock(host);
        let Some(node) = world.node(host) else { return Ok(()) };
        let spec = CoinbaseSpec { lock, extra: b"prank".to_vec() };
        let template = node.template(None, clock, &spec);
        let mut template = template.map_err(|source| WorldError::Template { node: host, source })?;
        if self.spoil(world, host, &mut template)?.is_none() {
            return Ok(());
        }
        let leaves: Vec<_> = template.block.transactions.iter().map(|tx| tx.wtxid()).collect();
        template.block.header.merkle_root = merkle_root(&leaves).expect("there is a coinbase");
        let block =
            solve(template.block, template.target, 0).expect("a lab target is met within 2^32 hashes");
        world.submit_block(host, Arc::new(block))?;
        Ok(())
    }

    /// Makes the block invalid; `None` when there is no coin to do it with.
    fn spoil<O: Observer>(
        self,
        world: &mut World<O>,
        host: usize,
        template: &mut Template,
    ) -> Result<Option<()>, WorldError> {
        let transactions = &mut template.block.transactions;
        let payment = match self {
            Self::Overpaid => {
                let mut coinbase = transactions[0].data().clone();
                coinbase.outputs[0].value.0 += 1;
                transactions[0] = Arc::new(Transaction::new(coinbase));
                return Ok(Some(()));
            }
            Self::Immature => {
                let next = template.height;
                let found =
                    own_coin(world, host, |coin, maturity| coin.coinbase && coin.height + maturity > next)?;
                found.map(|coin| pay(world, host, coin, 1))
            }
            Self::SpentTwice => own_coin(world, host, |coin, _| !coin.coinbase)?.map(|coin| {
                transactions.push(pay(world, host, coin, 1));
                pay(world, host, coin, 2)
            }),
            Self::SpentBefore => spent_coin(world, host)?.map(|coin| pay(world, host, coin, 1)),
            Self::Forged => own_coin(world, host, |coin, _| !coin.coinbase)?.map(|coin| {
                let mut forged = pay(world, host, coin, 1).data().clone();
                if let Some(byte) = forged.witnesses[0].0.last_mut() {
                    *byte ^= 1;
                }
                Arc::new(Transaction::new(forged))
            }),
        };
        let Some(payment) = payment else { return Ok(None) };
        transactions.push(payment);
        Ok(Some(()))
    }
}

/// Pays a coin back to its owner, all but `fee`.
fn pay<O: Observer>(world: &mut World<O>, host: usize, coin: (OutPoint, Coin), fee: u64) -> Arc<Transaction> {
    world.sign(host, &[coin], &[], Amount(fee))
}

/// A coin of the host that fits, and that no transaction of its mempool spends.
fn own_coin<O: Observer>(
    world: &mut World<O>,
    host: usize,
    fits: impl Fn(&Coin, u32) -> bool,
) -> Result<Option<(OutPoint, Coin)>, WorldError> {
    let lock = world.lock(host);
    let Some(node) = world.node(host) else { return Ok(None) };
    let maturity = node.chain().params().coinbase_maturity;
    let mut found = None;
    node.chain().for_each_coin(&mut |outpoint, coin| {
        let free = || node.mempool().spender_of(outpoint).is_none();
        if found.is_none() && coin.output.lock == lock && fits(coin, maturity) && free() {
            found = Some((*outpoint, *coin));
        }
    })?;
    Ok(found)
}

/// A coin of the host that one of the last blocks spent.
fn spent_coin<O: Observer>(
    world: &mut World<O>,
    host: usize,
) -> Result<Option<(OutPoint, Coin)>, WorldError> {
    let lock = world.lock(host);
    let Some(node) = world.node(host) else { return Ok(None) };
    let chain = node.chain();
    for height in (1..=chain.tip().height).rev().take(10) {
        let hash = chain.active_hash(height).expect("every height up to the tip has a block");
        let undo = chain.undo(&hash)?.unwrap_or_default();
        if let Some(spent) = undo.spent.into_iter().find(|(_, coin)| coin.output.lock == lock) {
            return Ok(Some(spent));
        }
    }
    Ok(None)
}
