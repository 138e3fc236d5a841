//! What the active chain says of an address: its balance, its coins, its transactions.
//!
//! The index lives in memory and follows the chain when somebody asks, as [`super::stats::TxTotals`] does: nodes whose
//! addresses nobody looks up pay nothing, syncing never waits for it, and after a crash there is nothing to mend. It
//! goes back over a reorganisation with the blocks' undo data. Its size is bounded by [`MAX_ENTRIES`].

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;
use tine_chain::amount::Amount;
use tine_chain::block::Block;
use tine_chain::coins::Undo;
use tine_chain::hash::{BlockHash, Lock, Txid};
use tine_chain::time::Time;
use tine_chain::transaction::{OutPoint, Transaction};

use super::context::Context;
use super::error::{Code, RpcError};
use super::registry::{Call, Category, Handler, Kind, Method, Outcome, Param, answer, optional, required};
use crate::view::View;

/// Coins and transactions of all addresses together that are kept, about 150 bytes each. A chain that has more has no
/// index: the devnet's has some 20,000 a day.
const MAX_ENTRIES: usize = 2_000_000;
/// The longest page.
const MAX_PAGE: i64 = 1_000;
/// The page when nobody says.
const PAGE: i64 = 50;

const ADDRESS: Param = required("address", Kind::Text, "The address.");
const COUNT: Param = optional("count", Kind::Number, "How many at most, 1 to 1000. Default 50.");
const SKIP: Param = optional("skip", Kind::Number, "How many to leave out first.");

pub(crate) const METHODS: &[Method] = &[
    Method {
        name: "tine_getaddress",
        category: Category::Tine,
        params: &[ADDRESS, COUNT, SKIP],
        help: "What the active chain says of any address, and its transactions, newest first. What waits in the mempool \
               is told beside it, under pending. The index is made at the first question and kept in memory; it holds \
               2,000,000 entries.",
        handler: Handler::Now(get_address),
    },
    Method {
        name: "tine_getaddresscoins",
        category: Category::Tine,
        params: &[ADDRESS, COUNT, SKIP],
        help: "The unspent coins of an address on the active chain, in the order of outpoints; spent_by names the \
               transaction of the mempool that wants one.",
        handler: Handler::Now(get_address_coins),
    },
];

/// What a transaction did to an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Touch {
    height: u32,
    txid: Txid,
    received: Amount,
    spent: Amount,
}

/// An unspent coin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Held {
    value: Amount,
    height: u32,
    coinbase: bool,
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Account {
    touches: Vec<Touch>,
    coins: BTreeMap<OutPoint, Held>,
}

/// Coins and transactions of each lock, up to some block of the active chain.
#[derive(Debug, Default)]
pub(crate) struct AddressIndex {
    /// The blocks that it has followed, by height; the genesis first.
    followed: Vec<BlockHash>,
    accounts: HashMap<Lock, Account>,
    entries: usize,
}

impl AddressIndex {
    /// Goes back to where the active chain leaves what was followed, then up to its tip.
    fn follow(&mut self, context: &Context, view: &View) -> Result<(), RpcError> {
        if self.followed.is_empty() {
            // the genesis output is in no coin set
            self.followed.push(context.params().genesis.hash());
        }
        while let Some((height, hash)) =
            self.followed.len().checked_sub(1).map(|top| (top, self.followed[top]))
        {
            if view.active.get(height as u32) == Some(hash) {
                break;
            }
            let (block, undo) = read(context, view, &hash)?;
            self.disconnect(height as u32, &block, &undo);
        }
        for height in self.followed.len() as u32..=view.tip.height {
            let Some(hash) = view.active.get(height) else { break };
            let (block, undo) = read(context, view, &hash)?;
            self.connect(height, hash, &block, &undo);
            if self.entries > MAX_ENTRIES {
                *self = Self::default();
                return Err(RpcError::new(
                    Code::Misc,
                    format!(
                        "block {height}: the chain has more than {MAX_ENTRIES} entries, too many for this index"
                    ),
                ));
            }
        }
        Ok(())
    }

    fn connect(&mut self, height: u32, hash: BlockHash, block: &Block, undo: &Undo) {
        let mut spent = undo.spent.iter();
        for (place, tx) in block.transactions.iter().enumerate() {
            let coinbase = place == 0;
            let mut touched: BTreeMap<Lock, (Amount, Amount)> = BTreeMap::new();
            for (outpoint, coin) in spent.by_ref().take(if coinbase { 0 } else { tx.inputs.len() }) {
                let lock = coin.output.lock;
                add(&mut touched.entry(lock).or_default().1, coin.output.value);
                let account = self.accounts.entry(lock).or_default();
                self.entries -= usize::from(account.coins.remove(outpoint).is_some());
            }
            let txid = tx.txid();
            for (vout, output) in (0..).zip(&tx.outputs) {
                add(&mut touched.entry(output.lock).or_default().0, output.value);
                let held = Held { value: output.value, height, coinbase };
                let account = self.accounts.entry(output.lock).or_default();
                self.entries += usize::from(account.coins.insert(OutPoint { txid, vout }, held).is_none());
            }
            self.entries += touched.len();
            for (lock, (received, spent)) in touched {
                let account = self.accounts.entry(lock).or_default();
                account.touches.push(Touch { height, txid, received, spent });
            }
        }
        self.followed.push(hash);
    }

    /// The exact reverse of [`AddressIndex::connect`], of the block on top.
    fn disconnect(&mut self, height: u32, block: &Block, undo: &Undo) {
        let mut locks: Vec<Lock> = undo.spent.iter().map(|(_, coin)| coin.output.lock).collect();
        for (outpoint, coin) in &undo.spent {
            let held = Held { value: coin.output.value, height: coin.height, coinbase: coin.coinbase };
            let account = self.accounts.entry(coin.output.lock).or_default();
            self.entries += usize::from(account.coins.insert(*outpoint, held).is_none());
        }
        // afterwards: a coin may have been made and spent in this one block
        for tx in &block.transactions {
            let txid = tx.txid();
            for (vout, output) in (0..).zip(&tx.outputs) {
                let account = self.accounts.entry(output.lock).or_default();
                self.entries -= usize::from(account.coins.remove(&OutPoint { txid, vout }).is_some());
                locks.push(output.lock);
            }
        }
        for lock in locks {
            let Some(account) = self.accounts.get_mut(&lock) else { continue };
            while account.touches.last().is_some_and(|touch| touch.height == height) {
                account.touches.pop();
                self.entries -= 1;
            }
            if *account == Account::default() {
                self.accounts.remove(&lock);
            }
        }
        self.followed.pop();
    }
}

fn add(sum: &mut Amount, value: Amount) {
    // of a valid chain no sum comes near the limit
    sum.0 = sum.0.saturating_add(value.0);
}

fn read(context: &Context, view: &View, hash: &BlockHash) -> Result<(std::sync::Arc<Block>, Undo), RpcError> {
    let gone = || RpcError::not_found(format!("block {hash}: not here any more, or not yet; ask again"));
    let info = view.block(hash).ok_or_else(gone)?;
    let block = context.read_block(info)?;
    let undo = context.read_undo(hash)?.ok_or_else(gone)?;
    Ok((block, undo))
}

/// Which part of a list is wanted: how many, and how many are left out first.
fn page(call: &Call) -> Result<(usize, usize), RpcError> {
    let count = call.params.integer_in(1, 1..=MAX_PAGE)?.unwrap_or(PAGE);
    let skip = call.params.integer_in(2, 0..=i64::from(u32::MAX))?.unwrap_or(0);
    Ok((usize::try_from(count).unwrap_or(usize::MAX), usize::try_from(skip).unwrap_or(usize::MAX)))
}

/// A transaction of an address.
#[derive(Debug, Serialize)]
struct Moved {
    txid: Txid,
    /// `None`: it waits in the mempool.
    height: Option<u32>,
    blockhash: Option<BlockHash>,
    confirmations: u32,
    received: String,
    spent: String,
    time: Option<Time>,
}

#[derive(Debug, Serialize)]
struct AddressPage {
    address: String,
    lock: Lock,
    /// The tip that this is true for.
    height: u32,
    balance: String,
    received: String,
    spent: String,
    coins: usize,
    transactions: usize,
    pending: Vec<Moved>,
    history: Vec<Moved>,
}

fn get_address(call: &Call) -> Outcome {
    let (context, view) = (&call.context, call.context.view());
    let lock = context.parse_address(&call.params.text(0)?)?.lock;
    let (count, skip) = page(call)?;
    let mut index = context.addresses();
    index.follow(context, &view)?;
    let nobody = Account::default();
    let account = index.accounts.get(&lock).unwrap_or(&nobody);
    let total = |amount: fn(&Touch) -> Amount| {
        let mut sum = Amount::default();
        account.touches.iter().for_each(|touch| add(&mut sum, amount(touch)));
        sum
    };
    let (received, spent) = (total(|touch| touch.received), total(|touch| touch.spent));
    let confirmed = |touch: &Touch| {
        let block = view.active.get(touch.height).and_then(|hash| view.block(&hash));
        Moved {
            txid: touch.txid,
            height: Some(touch.height),
            blockhash: block.map(|block| block.hash),
            confirmations: view.tip.height.saturating_sub(touch.height) + 1,
            received: touch.received.to_string(),
            spent: touch.spent.to_string(),
            time: block.map(|block| block.seen),
        }
    };
    answer(&AddressPage {
        address: context.address(&lock),
        lock,
        height: view.tip.height,
        balance: Amount(received.0.saturating_sub(spent.0)).to_string(),
        received: received.to_string(),
        spent: spent.to_string(),
        coins: account.coins.len(),
        transactions: account.touches.len(),
        pending: pending(&view, &lock, account),
        history: account.touches.iter().rev().skip(skip).take(count).map(confirmed).collect(),
    })
}

/// What waits in the mempool and touches an address.
fn pending(view: &View, lock: &Lock, account: &Account) -> Vec<Moved> {
    let pool = &view.mempool;
    let worth = |outpoint: &OutPoint| {
        let waiting = || pool.get(&outpoint.txid)?.tx.outputs.get(outpoint.vout as usize).copied();
        let made = || waiting().filter(|output| output.lock == *lock).map(|output| output.value);
        account.coins.get(outpoint).map(|held| held.value).or_else(made).unwrap_or_default()
    };
    let moved = |tx: &Transaction| {
        let (mut received, mut spent) = (Amount::default(), Amount::default());
        tx.outputs
            .iter()
            .filter(|output| output.lock == *lock)
            .for_each(|output| add(&mut received, output.value));
        tx.inputs.iter().for_each(|input| add(&mut spent, worth(&input.prevout)));
        (received, spent)
    };
    pool.transactions()
        .map(|tx| (tx, moved(tx)))
        .filter(|(_, (received, spent))| received.0 + spent.0 > 0)
        .take(PAGE as usize)
        .map(|(tx, (received, spent))| Moved {
            txid: tx.txid(),
            height: None,
            blockhash: None,
            confirmations: 0,
            received: received.to_string(),
            spent: spent.to_string(),
            time: None,
        })
        .collect()
}

#[derive(Debug, Serialize)]
struct AddressCoin {
    txid: Txid,
    vout: u32,
    amount: String,
    height: u32,
    coinbase: bool,
    spent_by: Option<Txid>,
}

fn get_address_coins(call: &Call) -> Outcome {
    let (context, view) = (&call.context, call.context.view());
    let lock = context.parse_address(&call.params.text(0)?)?.lock;
    let (count, skip) = page(call)?;
    let mut index = context.addresses();
    index.follow(context, &view)?;
    let coins = index.accounts.get(&lock).into_iter().flat_map(|account| &account.coins);
    let coin = |(outpoint, held): (&OutPoint, &Held)| AddressCoin {
        txid: outpoint.txid,
        vout: outpoint.vout,
        amount: held.value.to_string(),
        height: held.height,
        coinbase: held.coinbase,
        spent_by: view.mempool.spender_of(outpoint),
    };
    answer(&coins.skip(skip).take(count).map(coin).collect::<Vec<_>>())
}
