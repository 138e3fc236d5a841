//! Core's `Blockchain` methods that only read: blocks, headers, tips, coins.

use std::borrow::Cow;
use std::sync::Arc;

use serde::Serialize;
use tine_chain::block::Block;
use tine_chain::chain::ChainTipStatus;
use tine_chain::codec::Encode;
use tine_chain::coins::Undo;
use tine_chain::hash::BlockHash;
use tine_chain::params::Network;
use tine_chain::pow::{CompactTarget, Work};
use tine_chain::transaction::{OutPoint, TxOut};

use super::amount::Coins;
use super::context::Context;
use super::error::{Code, RpcError};
use super::registry::{Call, Category, Handler, Kind, Method, Outcome, answer, optional, required};
use super::shapes::{self, ScriptPubKey, TransactionJson};
use crate::view::{BlockInfo, BlockStatus, View};

/// The most headers in one answer (Core: `MAX_REST_HEADERS_RESULTS`).
pub(crate) const MAX_HEADERS: usize = 2_000;

const HASH: super::registry::Param = required("blockhash", Kind::Hex, "The block's id.");

pub(crate) const METHODS: &[Method] = &[
    Method {
        name: "getbestblockhash",
        category: Category::Blockchain,
        params: &[],
        help: "The id of the active tip.",
        handler: Handler::Quick(|call| answer(&call.context.view().tip.hash)),
    },
    Method {
        name: "getblock",
        category: Category::Blockchain,
        params: &[
            HASH,
            optional(
                "verbosity|verbose",
                Kind::Verbosity,
                "0 hexadecimal, 1 object, 2 with transactions, 3 with prevouts.",
            ),
        ],
        help: "A block, of the active chain or of any branch.",
        handler: Handler::Now(get_block),
    },
    Method {
        name: "getblockchaininfo",
        category: Category::Blockchain,
        params: &[],
        help: "The state of the chain.",
        handler: Handler::Now(|call| answer(&chain_info(&call.context))),
    },
    Method {
        name: "getblockcount",
        category: Category::Blockchain,
        params: &[],
        help: "The height of the active tip.",
        handler: Handler::Quick(|call| answer(&call.context.view().tip.height)),
    },
    Method {
        name: "getblockhash",
        category: Category::Blockchain,
        params: &[required("height", Kind::Number, "Its height on the active chain.")],
        help: "The id of the active chain's block at a height.",
        handler: Handler::Quick(get_block_hash),
    },
    Method {
        name: "getblockheader",
        category: Category::Blockchain,
        params: &[
            HASH,
            optional("verbose", Kind::Flag, "false: the 80 bytes in hexadecimal digits. Default true."),
        ],
        help: "A header, of the active chain or of any branch.",
        handler: Handler::Now(get_block_header),
    },
    Method {
        name: "getchaintips",
        category: Category::Blockchain,
        params: &[],
        help: "Every leaf of the block tree: the active tip and the ends of all branches.",
        handler: Handler::Quick(get_chain_tips),
    },
    Method {
        name: "getdifficulty",
        category: Category::Blockchain,
        params: &[],
        help: "How many times harder the tip was to find than a block of Bitcoin's least difficulty.",
        handler: Handler::Quick(|call| answer(&difficulty(call.context.view().tip.header.bits))),
    },
    Method {
        name: "gettxout",
        category: Category::Blockchain,
        params: &[
            required("txid", Kind::Hex, "The transaction's id."),
            required("n", Kind::Number, "The output's place in it."),
            optional("include_mempool", Kind::Flag, "Whether the mempool counts. Default true."),
        ],
        help: "An unspent output, or null.",
        handler: Handler::Now(get_tx_out),
    },
    Method {
        name: "gettxoutsetinfo",
        category: Category::Blockchain,
        params: &[optional("hash_type", Kind::Text, "lthash (default) or none.")],
        help: "All unspent outputs in sum, as kept while blocks connect: nothing is read. The hash is LtHash over \
               BLAKE3: two nodes with the same coins have the same hash, in whatever order these came.",
        handler: Handler::Now(get_tx_out_set_info),
    },
];

/// How much of a block is shown (Core: `TxVerbosity`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Detail {
    /// Ids of transactions.
    Ids,
    /// Transactions.
    Transactions,
    /// Transactions, and what they spend.
    WithPrevouts,
}

/// Core's name for the chain that tools should take ours for. Our own name is in `tine_network`.
pub(crate) fn core_chain_name(network: Network) -> &'static str {
    match network {
        Network::Main | Network::Bitcoin => "main",
        Network::Devnet | Network::Regtest => "regtest",
    }
}

/// Core's `GetDifficulty`: the target of bits 1d00ffff over this one.
pub(crate) fn difficulty(bits: CompactTarget) -> f64 {
    let exponent = (bits.0 >> 24) as i32;
    let mantissa = f64::from(bits.0 & 0x00ff_ffff);
    f64::from(0xffff) / mantissa * 256f64.powi(29 - exponent)
}

/// 64 hexadecimal digits of the target that `bits` encodes.
pub(crate) fn target_hex(bits: CompactTarget) -> String {
    bits.to_target().map_or_else(|_| "0".repeat(64), |target| format!("{:064x}", target.0))
}

/// `getblockchaininfo`.
#[derive(Debug, Serialize)]
pub(crate) struct ChainInfo {
    chain: &'static str,
    pub(crate) blocks: u32,
    pub(crate) headers: u32,
    pub(crate) bestblockhash: BlockHash,
    bits: String,
    target: String,
    pub(crate) difficulty: f64,
    pub(crate) time: u32,
    pub(crate) mediantime: u32,
    verificationprogress: f64,
    pub(crate) initialblockdownload: bool,
    pub(crate) chainwork: Work64,
    pub(crate) size_on_disk: u64,
    pruned: bool,
    warnings: [&'static str; 0],
    pub(crate) tine_network: &'static str,
}

/// Work as 64 hexadecimal digits.
#[derive(Debug)]
pub(crate) struct Work64(pub(crate) Work);

impl Serialize for Work64 {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

pub(crate) fn chain_info(context: &Context) -> ChainInfo {
    let view = context.view();
    let tip = &view.tip;
    let headers = view.best_header.height.max(tip.height);
    ChainInfo {
        chain: core_chain_name(view.network),
        blocks: tip.height,
        headers,
        bestblockhash: tip.hash,
        bits: tip.header.bits.to_string(),
        target: target_hex(tip.header.bits),
        difficulty: difficulty(tip.header.bits),
        time: tip.header.time,
        mediantime: tip.median_time_past,
        verificationprogress: f64::from(tip.height + 1) / f64::from(headers + 1),
        initialblockdownload: context.is_initial_download(&view),
        chainwork: Work64(tip.work),
        size_on_disk: context.size_on_disk(),
        pruned: false,
        warnings: [],
        tine_network: view.network.name(),
    }
}

/// `getblockheader`, and the start of `getblock`.
#[derive(Debug, Serialize)]
pub(crate) struct HeaderJson {
    hash: BlockHash,
    confirmations: i64,
    height: u32,
    version: i32,
    #[serde(rename = "versionHex")]
    version_hex: String,
    merkleroot: String,
    time: u32,
    mediantime: u32,
    nonce: u32,
    bits: String,
    target: String,
    difficulty: f64,
    chainwork: Work64,
    #[serde(rename = "nTx")]
    n_tx: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    previousblockhash: Option<BlockHash>,
    #[serde(skip_serializing_if = "Option::is_none")]
    nextblockhash: Option<BlockHash>,
}

pub(crate) fn header_json(view: &View, block: &BlockInfo, transactions: usize) -> HeaderJson {
    let header = &block.header;
    let is_active = view.is_active(&block.hash);
    HeaderJson {
        hash: block.hash,
        confirmations: view.confirmations(&block.hash).unwrap_or(-1),
        height: block.height,
        version: header.version,
        version_hex: format!("{:08x}", header.version),
        merkleroot: header.merkle_root.to_string(),
        time: header.time,
        mediantime: block.median_time_past,
        nonce: header.nonce,
        bits: header.bits.to_string(),
        target: target_hex(header.bits),
        difficulty: difficulty(header.bits),
        chainwork: Work64(block.work),
        n_tx: transactions,
        previousblockhash: (block.height > 0).then_some(header.prev_block),
        nextblockhash: is_active.then(|| view.active.get(block.height + 1)).flatten(),
    }
}

/// `getblock` with verbosity 1 and above.
#[derive(Debug, Serialize)]
pub(crate) struct BlockJson {
    #[serde(flatten)]
    header: HeaderJson,
    strippedsize: usize,
    size: usize,
    weight: usize,
    tx: Transactions,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Transactions {
    Ids(Vec<tine_chain::hash::Txid>),
    Whole(Vec<TransactionJson>),
}

pub(crate) fn block_json(
    context: &Context,
    view: &View,
    info: &BlockInfo,
    block: &Block,
    detail: Detail,
) -> Result<BlockJson, RpcError> {
    let tx = match detail {
        Detail::Ids => Transactions::Ids(block.transactions.iter().map(|tx| tx.txid()).collect()),
        Detail::Transactions | Detail::WithPrevouts => {
            let undo = context.read_undo(&info.hash)?;
            Transactions::Whole(block_transactions(context, block, undo.as_ref(), detail))
        }
    };
    let witnesses: usize = block.transactions.iter().map(|tx| shapes::witness_size(tx)).sum();
    Ok(BlockJson {
        header: header_json(view, info, block.transactions.len()),
        strippedsize: block.size() - witnesses,
        size: block.size(),
        weight: shapes::weight(block.size()),
        tx,
    })
}

fn block_transactions(
    context: &Context,
    block: &Block,
    undo: Option<&Undo>,
    detail: Detail,
) -> Vec<TransactionJson> {
    let mut spent = undo.map(|undo| undo.spent.as_slice());
    let mut shown = Vec::with_capacity(block.transactions.len());
    for tx in &block.transactions {
        let own = match (&mut spent, tx.is_coinbase()) {
            (Some(rest), false) if rest.len() >= tx.inputs.len() => {
                let (own, others) = rest.split_at(tx.inputs.len());
                *rest = others;
                Some(own)
            }
            _ => None,
        };
        let mut json = TransactionJson::new(context, tx).with_hex(tx);
        if let Some(own) = own {
            json.add_spent(context, tx, own, detail == Detail::WithPrevouts);
        }
        shown.push(json);
    }
    shown
}

/// The block called `hash`, of any branch.
pub(crate) fn find_block<'a>(view: &'a View, hash: &BlockHash) -> Result<&'a Arc<BlockInfo>, RpcError> {
    view.block(hash).ok_or_else(|| RpcError::not_found("Block not found"))
}

fn get_block(call: &Call) -> Outcome {
    let hash = call.params.hash(0)?;
    let verbosity = call.params.verbosity(1, 1)?;
    let view = call.context.view();
    let info = find_block(&view, &hash)?;
    let block = call.context.read_block(info)?;
    let detail = match verbosity {
        ..=0 => return answer(&crate::digits::encode(&block.to_bytes())),
        1 => Detail::Ids,
        2 => Detail::Transactions,
        3.. => Detail::WithPrevouts,
    };
    answer(&block_json(&call.context, &view, info, &block, detail)?)
}

/// The active chain's block at a height.
pub(crate) fn hash_at(view: &View, height: i64) -> Result<BlockHash, RpcError> {
    let hash = u32::try_from(height).ok().and_then(|height| view.active.get(height));
    hash.ok_or_else(|| RpcError::invalid("Block height out of range"))
}

/// `first`, if it is part of the active chain, and the blocks after it; at most `count`.
pub(crate) fn active_from(view: &View, first: &BlockHash, count: usize) -> Vec<Arc<BlockInfo>> {
    let first = view.block(first).filter(|block| view.is_active(&block.hash));
    let next = |block: &&Arc<BlockInfo>| view.active.get(block.height + 1).and_then(|hash| view.block(&hash));
    std::iter::successors(first, next).take(count).cloned().collect()
}

fn get_block_hash(call: &Call) -> Outcome {
    answer(&hash_at(&call.context.view(), call.params.integer(0)?.unwrap_or(-1))?)
}

fn get_block_header(call: &Call) -> Outcome {
    let view = call.context.view();
    let info = find_block(&view, &call.params.hash(0)?)?;
    if !call.params.flag(1, true)? {
        return answer(&hex::encode(info.header.to_array()));
    }
    answer(&header_json(&view, info, call.context.transaction_count(info)?))
}

fn get_chain_tips(call: &Call) -> Outcome {
    #[derive(Serialize)]
    struct Tip {
        height: u32,
        hash: BlockHash,
        branchlen: u32,
        status: ChainTipStatus,
    }
    let view = call.context.view();
    let tips: Vec<Tip> = (view.tips.iter())
        .map(|tip| Tip {
            height: tip.block.height,
            hash: tip.block.hash,
            branchlen: tip.branch_length,
            status: tip.status,
        })
        .collect();
    answer(&tips)
}

#[derive(Serialize)]
struct TxOutJson {
    bestblock: BlockHash,
    confirmations: u32,
    value: Coins,
    #[serde(rename = "scriptPubKey")]
    script_pub_key: ScriptPubKey,
    coinbase: bool,
}

/// An unspent output.
pub(crate) struct FoundCoin {
    pub(crate) output: TxOut,
    /// 0: its transaction waits in the mempool.
    pub(crate) confirmations: u32,
    pub(crate) coinbase: bool,
}

/// The tip, and the coin if it is unspent there; with the mempool, if it is unspent there, too.
pub(crate) fn find_coin(
    context: &Context,
    outpoint: OutPoint,
    include_mempool: bool,
) -> Result<(BlockHash, Option<FoundCoin>), RpcError> {
    // one question to the node's thread, so that coin, tip and mempool belong together
    let found = context.node.with_blocking(move |node, _| {
        let tip = node.chain().tip();
        let (best, height) = (tip.hash, tip.height);
        if include_mempool {
            if node.mempool().spender_of(&outpoint).is_some() {
                return Ok((best, None));
            }
            if let Some(entry) = node.mempool().get(&outpoint.txid) {
                let output = entry.tx.outputs.get(outpoint.vout as usize);
                let found = |output: &TxOut| FoundCoin { output: *output, confirmations: 0, coinbase: false };
                return Ok((best, output.map(found)));
            }
        }
        let coin = node.chain().coin(&outpoint)?;
        let found = coin.map(|coin| FoundCoin {
            output: coin.output,
            confirmations: height.saturating_sub(coin.height) + 1,
            coinbase: coin.coinbase,
        });
        Ok((best, found))
    })?;
    found.map_err(|error: tine_chain::store::StoreError| RpcError::from(error))
}

fn get_tx_out(call: &Call) -> Outcome {
    let context = &call.context;
    let n = call.params.integer_in(1, 0..=i64::from(u32::MAX))?.unwrap_or(0);
    let outpoint =
        OutPoint { txid: call.params.hash(0)?, vout: u32::try_from(n).expect("the range was checked") };
    let (bestblock, coin) = find_coin(context, outpoint, call.params.flag(2, true)?)?;
    answer(&coin.map(|coin| TxOutJson {
        bestblock,
        confirmations: coin.confirmations,
        value: coin.output.value.into(),
        script_pub_key: ScriptPubKey::new(context, &coin.output.lock),
        coinbase: coin.coinbase,
    }))
}

#[derive(Serialize)]
struct TxOutSetInfo {
    height: u32,
    bestblock: BlockHash,
    txouts: u64,
    bogosize: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    lthash: Option<String>,
    total_amount: Coins,
    disk_size: u64,
}

fn get_tx_out_set_info(call: &Call) -> Outcome {
    let hash_type: Cow<'_, str> = call.params.optional::<String>(0)?.map_or("lthash".into(), Into::into);
    let with_hash = match hash_type.as_ref() {
        "lthash" => true,
        "none" => false,
        other => {
            return Err(RpcError::invalid(format!("'{other}' is not a valid hash_type: lthash or none")));
        }
    };
    let disk_size = call.context.size_on_disk();
    let (stats, height, bestblock) = call.context.node.with_blocking(move |node, _| {
        let tip = node.chain().tip();
        node.chain().coin_stats().map(|stats| (stats, tip.height, tip.hash))
    })??;
    answer(&TxOutSetInfo {
        height,
        bestblock,
        txouts: stats.coins,
        bogosize: stats.bogosize(),
        lthash: with_hash.then(|| hex::encode(stats.hash.digest())),
        total_amount: stats.total().into(),
        disk_size,
    })
}

/// What [`Context::read_block`] says when only the header is there (Core's words).
pub(crate) fn body_missing(info: &BlockInfo) -> RpcError {
    let message = match info.status {
        BlockStatus::HeaderOnly => "Block not available (not fully downloaded)",
        BlockStatus::Stored | BlockStatus::Valid | BlockStatus::Invalid(_) => "Block not found on disk",
    };
    RpcError::new(Code::Misc, message)
}
