//! Core's `Mining` and `Generating` methods.

use std::sync::Arc;

use serde::Serialize;
use tine_chain::block::Block;
use tine_chain::codec::Decode;
use tine_chain::hash::{BlockHash, Lock};
use tine_chain::mining::Scanner;
use tine_chain::pow::{CompactTarget, Target};
use tine_chain::reject::Reject;
use tine_chain::transaction::MAX_TRANSACTION_SIZE;
use tine_node::event::{Accepted, Submission};

use super::amount::Coins;
use super::blockchain::{core_chain_name, difficulty, target_hex};
use super::context::Context;
use super::error::{Code, RpcError};
use super::mempool::fee_rate;
use super::registry::{Call, Category, Handler, Kind, Method, Outcome, answer, optional, required};
use super::template;
use crate::digits;
use crate::view::{BlockInfo, View};

/// The most blocks that one call makes.
pub(crate) const MAX_GENERATE: i64 = 100_000;
/// Blocks that are committed together: more would keep the node's thread from others for too long.
const MAX_RUN: usize = 64;
/// Hashes tried at least for one `generatetoaddress` whose caller does not say (Core: `DEFAULT_MAX_TRIES`). Core's
/// callers mine on regtest, where that is plenty: they expect blocks.
const DEFAULT_MAX_TRIES: u64 = 1_000_000;
/// How often the tries that blocks take on average are made where that is more: 20 times do not suffice once in e^20,
/// 500 million calls.
const TRIES_FOR_EXPECTED: f64 = 20.0;
/// Nonces tried between two looks at whether the search is still wanted: a tenth of a second.
const NONCES_PER_LOOK: u32 = 1 << 20;

pub(crate) const METHODS: &[Method] = &[
    Method {
        name: "generatetoaddress",
        category: Category::Generating,
        params: &[
            required("nblocks", Kind::Number, "How many blocks."),
            required("address", Kind::Text, "Whom they pay."),
            optional(
                "maxtries",
                Kind::Number,
                "Hashes to try for all of them. Default 1000000, or 20 times what they take on average if that is more.",
            ),
        ],
        help: "Mines blocks at once; gives their ids. When maxtries are used up before all are found, gives those that \
               were.",
        handler: Handler::Now(generate_to_address),
    },
    Method {
        name: "getblocktemplate",
        category: Category::Mining,
        params: &[optional(
            "template_request",
            Kind::Object,
            "mode: template (default) or proposal with data; longpollid: wait until a better template is there.",
        )],
        help: "What to mine on (BIP 22, 23): a block with its coinbase, ready to be hashed.",
        handler: Handler::Wait(template::get_block_template),
    },
    Method {
        name: "getmininginfo",
        category: Category::Mining,
        params: &[],
        help: "What matters to a miner.",
        handler: Handler::Now(get_mining_info),
    },
    Method {
        name: "getnetworkhashps",
        category: Category::Mining,
        params: &[
            optional(
                "nblocks",
                Kind::Number,
                "Over how many blocks; -1: since the difficulty changed. Default 120.",
            ),
            optional("height", Kind::Number, "Up to which height; -1 (default): the tip."),
        ],
        help: "The network's hashes in a second, estimated from the work and the times of blocks.",
        handler: Handler::Now(get_network_hash_ps),
    },
    Method {
        name: "submitblock",
        category: Category::Mining,
        params: &[
            required("hexdata", Kind::Hex, "The block."),
            optional("dummy", Kind::Any, "Accepted and of no effect."),
        ],
        help: "Submits a block. Gives null when it is the new tip, else why not, in the words of BIP 22.",
        handler: Handler::Now(submit_block),
    },
];

fn submit_block(call: &Call) -> Outcome {
    let refuse = || RpcError::new(Code::Deserialization, "Block decode failed");
    let bytes = digits::decode(&call.params.long_text(0)?).map_err(|_| refuse())?;
    let block = Block::from_bytes(&bytes).map_err(|_| refuse())?;
    answer(&submit(&call.context, block)?)
}

/// Offers a block to the node; the verdict in BIP 22's words, `None`: it is the new tip.
pub(crate) fn submit(context: &Context, block: Block) -> Result<Option<&'static str>, RpcError> {
    Ok(bip22(context.node.submit_blocking(Submission::Block(Arc::new(block)))?))
}

/// The verdict in BIP 22's words; `None`: accepted.
pub(crate) fn bip22(verdict: Result<Accepted, Reject>) -> Option<&'static str> {
    match verdict {
        Ok(Accepted::Connected(_) | Accepted::Transaction(_)) => None,
        Ok(Accepted::Duplicate(_)) => Some("duplicate"),
        Ok(Accepted::SideBranch(_) | Accepted::Inconclusive(_)) => Some("inconclusive"),
        Err(reject) => Some(reject.reason()),
    }
}

fn generate_to_address(call: &Call) -> Outcome {
    let count = call.params.integer_in(0, 0..=MAX_GENERATE)?.unwrap_or(0);
    let address = call.context.parse_address(&call.params.text(1)?)?;
    let count = count.unsigned_abs();
    let tries = match call.params.integer_in(2, 0..=i64::MAX)? {
        Some(tries) => tries.unsigned_abs(),
        None => default_tries(&call.context, count)?,
    };
    answer(&generate(&call.context, count, address.lock, tries)?)
}

/// How many hashes are tried for `count` blocks when the caller does not say.
fn default_tries(context: &Context, count: u64) -> Result<u64, RpcError> {
    let tip = Arc::clone(&context.view().tip);
    let bits = context.node.with_blocking(move |node, _| node.chain().next_bits(&tip.hash))?;
    let expected =
        bits.and_then(|bits| bits.to_target().ok()).map_or(0.0, |target| f64::from(target.work().0));
    // rounding does not matter here, and the cast stops at the most that fits
    let wanted = (expected * count as f64 * TRIES_FOR_EXPECTED) as u64;
    Ok(wanted.max(DEFAULT_MAX_TRIES))
}

/// Mines `count` blocks, each on the tip that is then, until `tries` hashes have been made.
///
/// # Errors
/// A block of ours was refused, which is a mistake of ours: its reason.
pub(crate) fn generate(
    context: &Context,
    count: u64,
    lock: Lock,
    mut tries: u64,
) -> Result<Vec<BlockHash>, RpcError> {
    let mut stopped = context.stop_requested();
    let mut blocks = Vec::new();
    while (blocks.len() as u64) < count && tries > 0 && !*stopped.borrow_and_update() {
        let left = usize::try_from(count).unwrap_or(usize::MAX) - blocks.len();
        // on a network that never gets harder a nonce is found at once
        if left > 1 && context.params().retarget_interval.is_none() && context.view().mempool.is_empty() {
            let run = generate_run(context, left.min(MAX_RUN), lock, &mut tries)?;
            if !run.is_empty() {
                blocks.extend(run);
                continue;
            }
        }
        match generate_one(context, lock, &mut tries)? {
            Search::Exhausted => break,
            Search::Overtaken => {}
            Search::Connected(hash) => blocks.push(hash),
        }
    }
    Ok(blocks)
}

/// What became of the search for a block.
enum Search {
    /// It is the tip.
    Connected(BlockHash),
    /// A peer's block came first.
    Overtaken,
    /// No nonce was found within the tries.
    Exhausted,
}

/// Mines one block on this thread.
fn generate_one(context: &Context, lock: Lock, tries: &mut u64) -> Result<Search, RpcError> {
    let template = template::make(context, lock)?;
    let parent = template.block.header.prev_block;
    let stopped = context.stop_requested();
    let is_stale = || *stopped.borrow() || context.view().mining_parent != parent;
    let Some(block) = search(template.block, template.target, tries, is_stale) else {
        return Ok(if *tries > 0 { Search::Overtaken } else { Search::Exhausted });
    };
    let hash = block.hash();
    match context.node.submit_blocking(Submission::Block(Arc::new(block)))? {
        Ok(Accepted::Connected(_)) => Ok(Search::Connected(hash)),
        Ok(Accepted::SideBranch(_) | Accepted::Duplicate(_)) => Ok(Search::Overtaken),
        // its parent is here, so it is its time that has not come: another would wait as well
        Ok(Accepted::Inconclusive(_)) => Err(refused(Reject::TimeTooNew)),
        Ok(Accepted::Transaction(_)) => {
            Err(RpcError::new(Code::Internal, "the node took the block for a transaction"))
        }
        Err(reject) => Err(refused(reject)),
    }
}

/// What becomes of a block of ours that the node refuses: a mistake of ours, and a refusal all the same.
pub(crate) fn refused(reject: Reject) -> RpcError {
    RpcError::new(Code::Verify, format!("the node refused the block that was mined: {}", reject.reason()))
}

/// Mines up to `count` blocks on the node's own thread, which commits them together.
fn generate_run(
    context: &Context,
    count: usize,
    lock: Lock,
    tries: &mut u64,
) -> Result<Vec<BlockHash>, RpcError> {
    let first = context.reserve_extranonces(count as u64);
    let mut left = *tries;
    let (blocks, left) = context.node.participate_blocking(move |participant, now| {
        let mut extranonces = (0..count as u64).map(|number| first.wrapping_add(number));
        let coinbase = || template::coinbase(lock, extranonces.next().expect("one for each block"));
        let (actions, blocks) = participant.mine(count, now, coinbase, |template| {
            search(template.block, template.target, &mut left, || false)
        })?;
        Ok((actions, (blocks, left)))
    })?;
    *tries = left;
    blocks.map_err(refused)
}

/// Tries nonces, then later times, until the target is met, `tries` are used up, or `is_stale` says that it is in vain.
fn search(mut block: Block, target: Target, tries: &mut u64, is_stale: impl Fn() -> bool) -> Option<Block> {
    let mut scanner = Scanner::new(&block.header);
    let mut first = 0_u32;
    while *tries > 0 && !is_stale() {
        let length = u32::try_from(*tries).unwrap_or(u32::MAX).min(NONCES_PER_LOOK);
        let last = first.saturating_add(length - 1);
        let found = scanner.scan(target, first..=last);
        *tries -= u64::from(found.unwrap_or(last) - first) + 1;
        if let Some(nonce) = found {
            block.header.nonce = nonce;
            return Some(block);
        }
        if last == u32::MAX {
            block.header.time += 1;
            scanner = Scanner::new(&block.header);
        }
        first = last.wrapping_add(1);
    }
    None
}

#[derive(Serialize)]
struct NextBlock {
    height: u32,
    bits: String,
    difficulty: f64,
    target: String,
}

#[derive(Serialize)]
struct MiningInfo {
    blocks: u32,
    bits: String,
    difficulty: f64,
    target: String,
    networkhashps: f64,
    pooledtx: usize,
    blockmintxfee: Coins,
    chain: &'static str,
    next: NextBlock,
    warnings: [&'static str; 0],
    tine_network: &'static str,
}

fn get_mining_info(call: &Call) -> Outcome {
    let context = &call.context;
    let view = context.view();
    let tip = &view.tip;
    let parent = tip.hash;
    let next = context.node.with_blocking(move |node, _| node.chain().next_bits(&parent))?;
    let next: CompactTarget = next.unwrap_or(tip.header.bits);
    answer(&MiningInfo {
        blocks: tip.height,
        bits: tip.header.bits.to_string(),
        difficulty: difficulty(tip.header.bits),
        target: target_hex(tip.header.bits),
        networkhashps: network_hash_ps(context, &view, 120, tip),
        pooledtx: view.mempool.len(),
        blockmintxfee: fee_rate(context.min_relay_fee_rate),
        chain: core_chain_name(view.network),
        next: NextBlock {
            height: tip.height + 1,
            bits: next.to_string(),
            difficulty: difficulty(next),
            target: target_hex(next),
        },
        warnings: [],
        tine_network: view.network.name(),
    })
}

/// Core's `GetNetworkHashPS`: the work of the last `lookup` blocks over the time between the earliest and the latest.
fn network_hash_ps(context: &Context, view: &View, lookup: u32, last: &BlockInfo) -> f64 {
    let lookup = match (lookup, context.params().retarget_interval) {
        (0, Some(interval)) => last.height % interval + 1,
        (0, None) => last.height,
        (lookup, _) => lookup,
    };
    // where the genesis is far older than block 1 the time between them says nothing
    let lowest = u32::from(context.params().first_period_from_block_one).min(last.height);
    let first = (last.height - lookup.min(last.height)).max(lowest);
    let blocks: Vec<_> = (first..=last.height)
        .filter_map(|height| view.active.get(height))
        .filter_map(|hash| view.block(&hash))
        .collect();
    let times = || blocks.iter().map(|block| block.header.time);
    let (Some(earliest), Some(latest), Some(start)) = (times().min(), times().max(), blocks.first()) else {
        return 0.0;
    };
    if earliest == latest {
        return 0.0;
    }
    let work = last.work.0.saturating_sub(start.work.0);
    f64::from(work) / f64::from(latest - earliest)
}

fn get_network_hash_ps(call: &Call) -> Outcome {
    let lookup = call.params.integer(0)?.unwrap_or(120);
    if lookup < -1 || lookup == 0 {
        let message = "Invalid nblocks. Must be a positive number or -1.";
        return Err(RpcError::invalid(message));
    }
    let height = call.params.integer(1)?.unwrap_or(-1);
    let view = call.context.view();
    let last = match u32::try_from(height) {
        Ok(height) => view.active.get(height).and_then(|hash| view.block(&hash)),
        Err(_) if height == -1 => Some(&view.tip),
        Err(_) => None,
    };
    let last = last.ok_or_else(|| RpcError::invalid("Block does not exist at specified height"))?;
    let lookup = u32::try_from(lookup.max(0)).unwrap_or(u32::MAX);
    answer(&network_hash_ps(&call.context, &view, lookup, last))
}

/// What `sigoplimit` says: we count no signature operations; no block can hold more signatures than bytes.
pub(crate) const SIGOP_LIMIT: usize = MAX_TRANSACTION_SIZE;
