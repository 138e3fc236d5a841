//! `getblocktemplate` (BIP 22, 23), as unmodified miners take it.
//!
//! `minerd` hashes the `data` fields the Bitcoin way and so gets our Merkle root. It would trust `txid` instead if
//! `rules` held `segwit`, and patch our coinbase if `mutable` held `coinbase/append`: both stay out.

use std::collections::HashMap;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};
use tine_chain::block::{Block, MAX_BLOCK_SIZE};
use tine_chain::codec::{Decode, Encode};
use tine_chain::hash::{BlockHash, Lock, Txid, Wtxid};
use tine_node::template::{CoinbaseSpec, Template};

use super::context::Context;
use super::error::{Code, RpcError};
use super::mining::SIGOP_LIMIT;
use super::registry::{Call, Outcome, answer};
use super::shapes::weight;
use super::tine::mining_lock;
use super::transport::raised;
use super::watch::published;
use crate::digits;
use crate::view::View;

/// A long poll ends at a new tip at once, and for new transactions alone only at this pace (Core: 60 s, then 10 s).
const MEMPOOL_POLL: Duration = Duration::from_secs(10);

/// What our templates' coinbases say, before the extranonce.
const COINBASE_TAG: &[u8] = b"/tine rpc/";

#[derive(Debug, Default, Deserialize)]
struct TemplateRequest {
    mode: Option<String>,
    data: Option<String>,
    longpollid: Option<String>,
}

#[derive(Serialize)]
struct TransactionTemplate {
    data: String,
    txid: Txid,
    hash: Wtxid,
    depends: Vec<usize>,
    /// Base units, as BIP 22 has it.
    fee: u64,
    sigops: u32,
    weight: usize,
}

#[derive(Serialize)]
struct CoinbaseTemplate {
    data: String,
    txid: Txid,
    hash: Wtxid,
}

#[derive(Serialize)]
struct Nothing {}

#[derive(Serialize)]
struct BlockTemplate {
    capabilities: [&'static str; 1],
    version: i32,
    rules: [&'static str; 0],
    vbavailable: Nothing,
    vbrequired: u32,
    previousblockhash: BlockHash,
    transactions: Vec<TransactionTemplate>,
    coinbaseaux: Nothing,
    coinbasevalue: u64,
    coinbasetxn: CoinbaseTemplate,
    longpollid: String,
    target: String,
    mintime: u32,
    mutable: [&'static str; 3],
    noncerange: &'static str,
    sigoplimit: usize,
    sizelimit: usize,
    weightlimit: usize,
    curtime: u32,
    bits: String,
    height: u32,
}

/// A template on the active tip that pays `lock`, with an extranonce of its own.
pub(crate) fn make(context: &Context, lock: Lock) -> Result<Template, RpcError> {
    let spec = coinbase(lock, context.reserve_extranonces(1));
    let template = context.node.template_blocking(spec)?;
    template.map_err(|error| RpcError::new(Code::Misc, error.to_string()))
}

/// A coinbase that pays `lock`, and says which of our templates it is of.
pub(super) fn coinbase(lock: Lock, extranonce: u64) -> CoinbaseSpec {
    let mut extra = COINBASE_TAG.to_vec();
    extra.extend_from_slice(&extranonce.to_be_bytes());
    CoinbaseSpec { lock, extra }
}

pub(super) fn get_block_template(call: Call) -> BoxFuture<'static, Outcome> {
    async move {
        let request: TemplateRequest = call.params.optional(0)?.unwrap_or_default();
        match request.mode.as_deref().unwrap_or("template") {
            "template" => {}
            "proposal" => return blocking(move || judge_proposal(&call, request.data.as_deref())).await,
            _ => return Err(RpcError::invalid("Invalid mode")),
        }
        if let Some(known) = &request.longpollid {
            wait_for_change(&call.context, known).await;
        }
        blocking(move || answer(&template_json(&call)?)).await
    }
    .boxed()
}

/// Runs what waits for the node's thread where it may wait.
async fn blocking(work: impl FnOnce() -> Outcome + Send + 'static) -> Outcome {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|panic| Err(RpcError::new(Code::Internal, panic.to_string())))
}

/// The tip, then how many times what waits to be mined has changed.
fn longpoll_id(view: &View) -> String {
    format!("{}{:016x}", view.tip.hash, view.mempool.changes())
}

/// Waits until the tip, or at a slower pace the mempool, is no longer what `known` says.
async fn wait_for_change(context: &Context, known: &str) {
    let mut views = context.node.views();
    let mut stopped = context.stop_requested();
    loop {
        tokio::select! {
            () = published(&mut views, |view| !known.starts_with(&view.tip.hash.to_string())) => return,
            () = raised(&mut stopped) => return,
            () = tokio::time::sleep(MEMPOOL_POLL) => {}
        }
        if longpoll_id(&context.view()) != known {
            return;
        }
    }
}

fn template_json(call: &Call) -> Result<BlockTemplate, RpcError> {
    let context = &call.context;
    let lock = mining_lock(call)?;
    let view = context.view();
    let template = make(context, lock)?;
    let block = &template.block;
    let coinbase = &block.transactions[0];
    Ok(BlockTemplate {
        capabilities: ["proposal"],
        version: block.header.version,
        rules: [],
        vbavailable: Nothing {},
        vbrequired: 0,
        previousblockhash: block.header.prev_block,
        transactions: transactions(&template),
        coinbaseaux: Nothing {},
        coinbasevalue: coinbase.output_value().map_or(0, |value| value.0),
        coinbasetxn: CoinbaseTemplate {
            data: digits::encode(&coinbase.to_bytes()),
            txid: coinbase.txid(),
            hash: coinbase.wtxid(),
        },
        // of the tip that the template is on, which may be newer than the picture
        longpollid: format!("{}{}", block.header.prev_block, &longpoll_id(&view)[64..]),
        target: format!("{:064x}", template.target.0),
        mintime: template.min_time,
        mutable: ["time", "transactions", "prevblock"],
        noncerange: "00000000ffffffff",
        sigoplimit: SIGOP_LIMIT,
        sizelimit: MAX_BLOCK_SIZE,
        weightlimit: weight(MAX_BLOCK_SIZE),
        curtime: block.header.time,
        bits: block.header.bits.to_string(),
        height: template.height,
    })
}

fn transactions(template: &Template) -> Vec<TransactionTemplate> {
    let list = &template.block.transactions[1..];
    // "1-based indexes in the 'transactions' list" (BIP 22)
    let places: HashMap<Txid, usize> = (1..).zip(list).map(|(place, tx)| (tx.txid(), place)).collect();
    (list.iter().zip(&template.tx_fees))
        .map(|(tx, fee)| {
            let mut depends: Vec<usize> =
                tx.inputs.iter().filter_map(|input| places.get(&input.prevout.txid).copied()).collect();
            depends.sort_unstable();
            depends.dedup();
            TransactionTemplate {
                data: digits::encode(&tx.to_bytes()),
                txid: tx.txid(),
                hash: tx.wtxid(),
                depends,
                fee: fee.0,
                sigops: 0,
                weight: weight(tx.size()),
            }
        })
        .collect()
}

/// BIP 23's block proposal: would this block, mined, be accepted?
fn judge_proposal(call: &Call, data: Option<&str>) -> Outcome {
    let Some(data) = data else {
        return Err(RpcError::new(Code::Type, "Missing data String key for proposal"));
    };
    let refuse = || RpcError::new(Code::Deserialization, "Block decode failed");
    let block = Block::from_bytes(&digits::decode(data).map_err(|_| refuse())?).map_err(|_| refuse())?;
    let view = call.context.view();
    let hash = block.hash();
    if let Some(known) = view.block(&hash) {
        let word = match known.status {
            crate::view::BlockStatus::Invalid(_) => "duplicate-invalid",
            crate::view::BlockStatus::Valid => "duplicate",
            crate::view::BlockStatus::HeaderOnly | crate::view::BlockStatus::Stored => {
                "duplicate-inconclusive"
            }
        };
        return answer(word);
    }
    if block.header.prev_block != view.tip.hash {
        return answer("inconclusive-not-best-prevblk");
    }
    let verdict = call
        .context
        .node
        .with_blocking(move |node, now| node.chain().verify_block_template(&block, now))??;
    answer(&verdict.err().map(|reject| reject.reason()))
}
