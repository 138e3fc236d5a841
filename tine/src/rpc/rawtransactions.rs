//! Core's `Rawtransactions` methods: look up, decode and submit transactions.

use std::sync::Arc;

use futures::FutureExt as _;
use tine_chain::amount::{Amount, COIN};
use tine_chain::block::Block;
use tine_chain::codec::{Decode, Encode};
use tine_chain::hash::{BlockHash, Txid};
use tine_chain::reject::Reject;
use tine_chain::store::StoreError;
use tine_chain::transaction::{OutPoint, Transaction};
use tine_node::{Declined, Offer};

use super::context::Context;
use super::error::{Code, RpcError};
use super::registry::{Call, Category, Handler, Kind, Method, Outcome, Param, answer, optional, required};
use super::shapes::{Place, TransactionJson};
use crate::digits;
use crate::view::{BlockInfo, View};

/// How many of the last blocks are read for a transaction that has no unspent output left.
const SCAN_BLOCKS: u32 = 500;
/// How many outputs of a transaction are tried in the coin set.
const SCAN_OUTPUTS: u32 = 64;
/// What is refused as a slip of the pen unless the caller says otherwise: 0.10 coins for 1,000 bytes (Core:
/// `DEFAULT_MAX_RAW_TX_FEE_RATE`).
pub(super) const DEFAULT_MAX_FEE_RATE: Amount = Amount(COIN / 10);

pub(super) const MAX_FEE_RATE: Param = optional(
    "maxfeerate",
    Kind::Amount,
    "Coins for 1,000 bytes over which it is refused; 0: no limit. Default 0.10.",
);

pub(crate) const METHODS: &[Method] = &[
    Method {
        name: "decoderawtransaction",
        category: Category::Rawtransactions,
        params: &[
            required("hexstring", Kind::Hex, "The transaction."),
            optional("iswitness", Kind::Flag, "Accepted and of no effect: there is one encoding."),
        ],
        help: "A transaction in words.",
        handler: Handler::Now(decode_raw_transaction),
    },
    Method {
        name: "getrawtransaction",
        category: Category::Rawtransactions,
        params: &[
            required("txid", Kind::Hex, "The transaction's id."),
            optional(
                "verbosity|verbose",
                Kind::Verbosity,
                "0 hexadecimal (default), 1 object, 2 with fee and prevouts.",
            ),
            optional("blockhash", Kind::Hex, "The block to look in, of any branch."),
        ],
        help: "A transaction: of the mempool, of the block named, or of the active chain as long as one of its first \
               outputs is unspent or it is in one of the last 500 blocks.",
        handler: Handler::Now(get_raw_transaction),
    },
    Method {
        name: "sendrawtransaction",
        category: Category::Rawtransactions,
        params: &[
            required("hexstring", Kind::Hex, "The transaction."),
            MAX_FEE_RATE,
            optional("maxburnamount", Kind::Amount, "Accepted and of no effect: every output can be spent."),
        ],
        help: "Submits a transaction to the mempool and the network; gives its id.",
        // it waits for the node and for nothing else: a worker's thread would only be woken twice more
        handler: Handler::Wait(|call| send_raw_transaction(call).boxed()),
    },
];

pub(super) fn decode_hex(text: &str) -> Result<Transaction, RpcError> {
    let refuse = |error: &dyn std::fmt::Display| {
        RpcError::new(Code::Deserialization, format!("TX decode failed: {error}"))
    };
    let bytes = digits::decode(text).map_err(|error| refuse(&error))?;
    Transaction::from_bytes(&bytes).map_err(|error| refuse(&error))
}

fn decode_raw_transaction(call: &Call) -> Outcome {
    let tx = decode_hex(&call.params.text(0)?)?;
    answer(&TransactionJson::new(&call.context, &tx))
}

/// A block of the tree and its body.
pub(crate) type ReadBlock = (Arc<BlockInfo>, Arc<Block>);

/// A transaction, and the block it was found in.
pub(crate) struct Found {
    pub(crate) tx: Arc<Transaction>,
    /// `None`: it waits in the mempool.
    pub(crate) block: Option<ReadBlock>,
}

impl Found {
    fn in_block(info: &Arc<BlockInfo>, block: Arc<Block>, txid: &Txid) -> Option<Self> {
        let tx = Arc::clone(block.transactions.iter().find(|tx| tx.txid() == *txid)?);
        Some(Self { tx, block: Some((Arc::clone(info), block)) })
    }
}

fn get_raw_transaction(call: &Call) -> Outcome {
    let context = &call.context;
    let txid: Txid = call.params.hash(0)?;
    let verbosity = call.params.verbosity(1, 0)?;
    let view = context.view();
    let named = match call.params.raw(2) {
        Some(_) => Some(call.params.hash::<BlockHash>(2)?),
        None => None,
    };
    let found = match named {
        Some(hash) => find_in_named_block(context, &view, &txid, &hash)?,
        None => find_anywhere(context, &view, &txid)?,
    };
    if verbosity <= 0 {
        return answer(&digits::encode(&found.tx.to_bytes()));
    }
    answer(&describe(context, &view, &found, named.is_some(), verbosity >= 2)?)
}

/// A transaction of the mempool, or of the active chain as far as it can be found.
pub(crate) fn find_transaction(context: &Context, txid: &Txid) -> Result<Found, RpcError> {
    find_anywhere(context, &context.view(), txid)
}

/// The transaction in words, with the block that it is in.
pub(crate) fn transaction_json(context: &Context, found: &Found) -> Result<TransactionJson, RpcError> {
    describe(context, &context.view(), found, false, false)
}

fn describe(
    context: &Context,
    view: &View,
    found: &Found,
    block_was_named: bool,
    prevouts: bool,
) -> Result<TransactionJson, RpcError> {
    let mut json = TransactionJson::new(context, &found.tx).with_hex(&found.tx);
    let Some((info, block)) = &found.block else { return Ok(json) };
    if prevouts
        && !found.tx.is_coinbase()
        && let Some(undo) = context.read_undo(&info.hash)?
    {
        let before = block.transactions.iter().skip(1).take_while(|tx| tx.txid() != found.tx.txid());
        let skip: usize = before.map(|tx| tx.inputs.len()).sum();
        if let Some(spent) = undo.spent.get(skip..skip + found.tx.inputs.len()) {
            json.add_spent(context, &found.tx, spent, true);
        }
    }
    let confirmations = view.confirmations(&info.hash).unwrap_or(-1).max(0);
    json = json.with_place(Place {
        in_active_chain: block_was_named.then(|| view.is_active(&info.hash)),
        blockhash: info.hash,
        confirmations,
        time: info.header.time,
        blocktime: info.header.time,
    });
    Ok(json)
}

fn find_in_named_block(
    context: &Context,
    view: &View,
    txid: &Txid,
    hash: &BlockHash,
) -> Result<Found, RpcError> {
    let info = view.block(hash).ok_or_else(|| RpcError::not_found("Block hash not found"))?;
    let block = context.read_block(info)?;
    Found::in_block(info, block, txid).ok_or_else(|| {
        let message =
            "No such transaction found in the provided block. Use gettransaction for wallet transactions.";
        RpcError::not_found(message)
    })
}

fn find_anywhere(context: &Context, view: &View, txid: &Txid) -> Result<Found, RpcError> {
    if let Some(entry) = view.mempool.get(txid) {
        return Ok(Found { tx: Arc::clone(&entry.tx), block: None });
    }
    match find_in_active_chain(context, view, txid)? {
        Some((info, block)) => {
            Ok(Found::in_block(&info, block, txid).expect("the block was chosen because it has it"))
        }
        None => Err(RpcError::not_found(format!(
            "No such mempool transaction, and there is no transaction index: on the active chain it is found while \
             one of its first {SCAN_OUTPUTS} outputs is unspent or for {SCAN_BLOCKS} blocks; else give the blockhash"
        ))),
    }
}

/// The active block that has a transaction: by an output of it that is unspent, or among the last blocks.
pub(crate) fn find_in_active_chain(
    context: &Context,
    view: &View,
    txid: &Txid,
) -> Result<Option<ReadBlock>, RpcError> {
    let wanted = *txid;
    let height = context.node.with_blocking(move |node, _| -> Result<Option<u32>, StoreError> {
        for vout in 0..SCAN_OUTPUTS {
            if let Some(coin) = node.chain().coin(&OutPoint { txid: wanted, vout })? {
                return Ok(Some(coin.height));
            }
        }
        Ok(None)
    })??;
    let lowest = view.tip.height.saturating_sub(SCAN_BLOCKS);
    // a coin's height is of the node's tip, which may be newer than the picture: a miss goes on to the scan
    for height in height.into_iter().chain((lowest..=view.tip.height).rev()) {
        let Some(info) = view.active.get(height).and_then(|hash| view.block(&hash)) else { continue };
        let block = context.read_block(info)?;
        if block.transactions.iter().any(|tx| tx.txid() == *txid) {
            return Ok(Some((Arc::clone(info), block)));
        }
    }
    Ok(None)
}

/// Over which fee a transaction of `size` bytes is refused; `None`: no limit.
pub(super) fn max_fee(call: &Call, size: usize) -> Result<Option<Amount>, RpcError> {
    checked_max_fee(call.params.amount(1)?, size)
}

/// The same of a rate that the caller may have given.
pub(super) fn checked_max_fee(rate: Option<Amount>, size: usize) -> Result<Option<Amount>, RpcError> {
    let rate = rate.unwrap_or(DEFAULT_MAX_FEE_RATE);
    if rate.0 > COIN {
        return Err(RpcError::invalid(
            "Fee rates larger than or equal to 1 coin for 1,000 bytes are not accepted",
        ));
    }
    Ok(max_fee_at(rate, size))
}

/// The fee of `size` bytes at `rate` for 1,000 bytes; `None`: no limit.
pub(super) fn max_fee_at(rate: Amount, size: usize) -> Option<Amount> {
    // at most 10^8 × 400,000 bytes
    (rate > Amount::ZERO).then(|| Amount((rate.0 * size as u64).div_ceil(1_000)))
}

async fn send_raw_transaction(call: Call) -> Outcome {
    let tx = decode_hex(&call.params.long_text(0)?)?;
    let max_fee = max_fee(&call, tx.size())?;
    answer(&send(&call.context, tx, max_fee).await?)
}

/// Offers a transaction to the node; its id.
pub(super) async fn send(
    context: &Context,
    tx: Transaction,
    max_fee: Option<Amount>,
) -> Result<Txid, RpcError> {
    let txid = tx.txid();
    let offers = [Offer { tx: Arc::new(tx), max_fee }];
    let answers = context.node.control(move |node, now| node.offer(&offers, now)).await?;
    verdict(txid, answers.first())
}

/// What the node has answered to an offer, with Core's error numbers.
pub(super) fn verdict(txid: Txid, answer: Option<&Result<Txid, Declined>>) -> Result<Txid, RpcError> {
    let declined = match answer {
        // "already in the mempool" is no failure for who wants it there
        Some(Ok(_) | Err(Declined::Rule(Reject::AlreadyInMempool))) => return Ok(txid),
        Some(Err(declined)) => *declined,
        None => return Err(RpcError::new(Code::Internal, "the node has not answered")),
    };
    Err(match declined {
        Declined::FeeTooHigh { .. } => {
            RpcError::new(Code::Verify, "Fee exceeds maximum configured by user (e.g. -maxtxfee, maxfeerate)")
        }
        Declined::Rule(Reject::AlreadyKnown) => {
            RpcError::new(Code::AlreadyInUtxoSet, "Transaction outputs already in utxo set")
        }
        Declined::Rule(Reject::MissingInputs) => {
            RpcError::new(Code::Verify, "bad-txns-inputs-missingorspent")
        }
        Declined::Rule(reject) => reject.into(),
    })
}
