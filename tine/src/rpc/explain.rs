//! `tine_*` methods that explain: branches, reorganisations, the choice of tip, the way of a transaction.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tine_chain::hash::{BlockHash, Txid};
use tine_chain::journal::Reorg;
use tine_chain::time::Time;
use tine_node::explain::{ReorgReport, explain_tip};

use super::context::Context;
use super::error::RpcError;
use super::rawtransactions::find_in_active_chain;
use super::registry::{Call, Category, Handler, Kind, Method, Outcome, answer, optional, required};
use crate::methods::{EXPLAIN_REORG, EXPLAIN_TX, REORGS, TxStory};
use crate::miner::miner_tag;
use crate::view::{BlockInfo, View};

/// `tine_forks {}` → list of [`Fork`], the active branch first.
pub const FORKS: &str = "tine_forks";
/// `tine_explaintip {}` → `node::explain::TipReport`.
pub const EXPLAIN_TIP: &str = "tine_explaintip";
/// `tine_blockarrivals {"count"}` → list of [`Arrival`], the latest first.
pub const BLOCK_ARRIVALS: &str = "tine_blockarrivals";

/// The most blocks of branches that are read for one story of a transaction.
const MAX_STALE_READS: usize = 1_000;
/// The most arrivals in one answer.
const MAX_ARRIVALS: i64 = 10_000;

pub(crate) const METHODS: &[Method] = &[
    Method {
        name: BLOCK_ARRIVALS,
        category: Category::Tine,
        params: &[optional("count", Kind::Number, "How many, 1 to 10000. Default 20.")],
        help: "When this node first saw each of the last blocks, on any branch, the latest first.",
        handler: Handler::Now(block_arrivals),
    },
    Method {
        name: EXPLAIN_REORG,
        category: Category::Tine,
        params: &[optional("number", Kind::Number, "As tine_reorgs shows it. Default the last.")],
        help: "Why the node changed branches, and what became of each transaction.",
        handler: Handler::Now(explain_reorg),
    },
    Method {
        name: EXPLAIN_TIP,
        category: Category::Tine,
        params: &[],
        help: "Why this block is the tip, and no other.",
        handler: Handler::Now(|call| {
            answer(&call.context.node.with_blocking(|node, _| explain_tip(node.chain()))?)
        }),
    },
    Method {
        name: EXPLAIN_TX,
        category: Category::Tine,
        params: &[required("txid", Kind::Hex, "The transaction's id.")],
        help: "Where a transaction is, and where it has been.",
        handler: Handler::Now(explain_tx),
    },
    Method {
        name: FORKS,
        category: Category::Tine,
        params: &[],
        help: "Every branch of the block tree: its end, its work, where it leaves the active chain.",
        handler: Handler::Now(forks),
    },
    Method {
        name: REORGS,
        category: Category::Tine,
        params: &[],
        help: "Every reorganisation so far, oldest first.",
        handler: Handler::Now(reorgs),
    },
];

/// A branch.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Fork {
    /// Its last block.
    pub hash: BlockHash,
    /// That block's height.
    pub height: u32,
    /// As in `getchaintips`.
    pub status: String,
    /// Cumulative work, hexadecimal.
    pub work: String,
    /// Blocks since it left the active chain.
    pub branch_length: u32,
    /// Where it left the active chain.
    pub fork: BlockHash,
    /// That block's height.
    pub fork_height: u32,
    /// When its last block was first seen, milliseconds since 1970.
    pub seen: Time,
    /// The tag of who mined its last block.
    pub miner: Option<String>,
}

/// When a block came.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Arrival {
    /// The block.
    pub hash: BlockHash,
    /// Its height.
    pub height: u32,
    /// Its place in the order in which blocks were first seen.
    pub sequence: u64,
    /// When it was first seen, milliseconds since 1970.
    pub seen: Time,
    /// Whether it is part of the active chain.
    pub active: bool,
    /// The tag of who mined it.
    pub miner: Option<String>,
    /// How many transactions it has; 0 when only its header is known.
    pub transactions: usize,
}

fn forks(call: &Call) -> Outcome {
    answer(&all_forks(&call.context)?)
}

/// Every branch, the active one first.
pub(crate) fn all_forks(context: &Context) -> Result<Vec<Fork>, RpcError> {
    let view = context.view();
    let mut forks = Vec::new();
    for tip in view.tips.iter() {
        let fork = view.fork_point(&tip.block.hash).unwrap_or(&tip.block);
        forks.push(Fork {
            hash: tip.block.hash,
            height: tip.block.height,
            status: crate::out::word(&tip.status),
            work: tip.block.work.to_string(),
            branch_length: tip.branch_length,
            fork: fork.hash,
            fork_height: fork.height,
            seen: tip.block.seen,
            miner: miner_of(context, &tip.block)?.0,
        });
    }
    forks.sort_by_key(|fork| (fork.branch_length, std::cmp::Reverse(fork.height), fork.hash));
    Ok(forks)
}

/// Who mined a block, and how many transactions it has.
fn miner_of(context: &Context, info: &BlockInfo) -> Result<(Option<String>, usize), RpcError> {
    let block = if info.height == 0 { None } else { context.reader().block(&info.hash)? };
    Ok(block.map_or((None, 0), |block| (miner_tag(&block), block.transactions.len())))
}

fn block_arrivals(call: &Call) -> Outcome {
    let count = call.params.integer_in(0, 1..=MAX_ARRIVALS)?.unwrap_or(20);
    let view = call.context.view();
    let mut blocks: Vec<&Arc<BlockInfo>> = view.headers.iter().collect();
    blocks.sort_unstable_by_key(|block| std::cmp::Reverse(block.sequence));
    blocks.truncate(usize::try_from(count).expect("the range was checked"));
    let arrival = |block: &Arc<BlockInfo>| {
        let (miner, transactions) = miner_of(&call.context, block)?;
        Ok(Arrival {
            hash: block.hash,
            height: block.height,
            sequence: block.sequence,
            seen: block.seen,
            active: view.is_active(&block.hash),
            miner,
            transactions,
        })
    };
    answer(&blocks.into_iter().map(arrival).collect::<Result<Vec<_>, RpcError>>()?)
}

fn journal(context: &Context) -> Result<Vec<Arc<Reorg>>, RpcError> {
    Ok(context.node.with_blocking(|node, _| node.chain().journal().to_vec())?)
}

fn reorgs(call: &Call) -> Outcome {
    answer(&all_reorgs(&call.context)?)
}

/// Every reorganisation, explained, oldest first.
pub(crate) fn all_reorgs(context: &Context) -> Result<Vec<ReorgReport>, RpcError> {
    let report = |reorg: &Arc<Reorg>| Ok(ReorgReport::new(reorg, context.reader().as_ref())?);
    journal(context)?.iter().map(report).collect()
}

fn explain_reorg(call: &Call) -> Outcome {
    let number = call.params.integer_in(0, 0..=i64::MAX)?;
    answer(&one_reorg(&call.context, number.map(i64::unsigned_abs))?)
}

/// The reorganisation of that number, or the last, explained.
pub(crate) fn one_reorg(context: &Context, number: Option<u64>) -> Result<ReorgReport, RpcError> {
    let journal = journal(context)?;
    let found = match number {
        Some(number) => journal.iter().find(|reorg| reorg.number == number),
        None => journal.last(),
    };
    let reorg = found.ok_or_else(|| match number {
        Some(number) => RpcError::not_found(format!("there was no reorganisation {number}")),
        None => RpcError::not_found("there was no reorganisation so far"),
    })?;
    Ok(ReorgReport::new(reorg, context.reader().as_ref())?)
}

fn explain_tx(call: &Call) -> Outcome {
    answer(&story_of(&call.context, call.params.hash(0)?)?)
}

/// Where a transaction is, and where it has been.
pub(crate) fn story_of(context: &Context, txid: Txid) -> Result<TxStory, RpcError> {
    let view = context.view();
    let found = find_in_active_chain(context, &view, &txid)?;
    let block = found.as_ref().map(|(info, _)| info);
    let in_mempool = view.mempool.get(&txid).is_some();
    let stale_blocks = stale_blocks(context, &view, &txid)?;
    let reorgs = fates(context, &txid)?;
    if block.is_none() && !in_mempool && stale_blocks.is_empty() && reorgs.is_empty() {
        return Err(RpcError::not_found(
            "the transaction is not in the mempool, not in the last blocks, in no branch and in no reorganisation, \
             and it has no unspent output",
        ));
    }
    let confirmations = block.and_then(|block| view.confirmations(&block.hash)).unwrap_or(0);
    Ok(TxStory {
        txid,
        in_mempool,
        block: block.map(|block| block.hash),
        height: block.map(|block| block.height),
        confirmations: u32::try_from(confirmations).unwrap_or(0),
        stale_blocks,
        reorgs,
    })
}

/// Blocks off the active chain that have the transaction.
fn stale_blocks(context: &Context, view: &View, txid: &Txid) -> Result<Vec<BlockHash>, RpcError> {
    let mut found = Vec::new();
    let mut reads = 0;
    for tip in view.tips.iter() {
        let mut next = Some(&tip.block);
        while let Some(block) = next.filter(|block| !view.is_active(&block.hash) && reads < MAX_STALE_READS) {
            reads += 1;
            if let Some(body) = context.reader().block(&block.hash)?
                && body.transactions.iter().any(|tx| tx.txid() == *txid)
                && !found.contains(&block.hash)
            {
                found.push(block.hash);
            }
            next = view.block(&block.header.prev_block);
        }
    }
    Ok(found)
}

/// What each reorganisation did to the transaction, in words.
fn fates(context: &Context, txid: &Txid) -> Result<Vec<String>, RpcError> {
    let mut words = Vec::new();
    for reorg in journal(context)? {
        if !reorg.transactions.iter().any(|fate| fate.txid == *txid) {
            continue;
        }
        let report = ReorgReport::new(&reorg, context.reader().as_ref())?;
        let own = report.transactions.iter().filter(|transaction| transaction.txid == *txid);
        words.extend(own.map(|transaction| format!("reorganisation #{}: {transaction}", report.number)));
    }
    Ok(words)
}
