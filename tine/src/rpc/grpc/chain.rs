//! The service `Chain`.

use tine_chain::amount::Amount;
use tine_chain::block::Block;
use tine_chain::codec::Decode;
use tine_chain::hash::BlockHash;
use tine_chain::transaction::Transaction;
use tonic::{Request, async_trait};

use super::calls::{Answered, Calls};
use super::convert::{self, outpoint, size, text};
use super::v1::chain_server::Chain;
use super::v1::get_block_request::Block as Wanted;
use super::v1::get_headers_request::First;
use super::v1::{self};
use crate::rpc::blockchain::{self, MAX_HEADERS};
use crate::rpc::context::Context;
use crate::rpc::error::{Code, RpcError};
use crate::rpc::params::parse_hash;
use crate::rpc::{explain, mining, rawtransactions};
use crate::view::View;

/// The chain, as the methods of JSON-RPC tell it.
#[derive(Debug)]
pub(super) struct ChainService(pub(super) Calls);

#[async_trait]
impl Chain for ChainService {
    async fn get_info(&self, request: Request<v1::GetInfoRequest>) -> Answered<v1::GetInfoResponse> {
        self.0.run(request, |context, _| Ok(info(context))).await
    }

    async fn get_block(&self, request: Request<v1::GetBlockRequest>) -> Answered<v1::GetBlockResponse> {
        self.0.run(request, block).await
    }

    async fn get_headers(&self, request: Request<v1::GetHeadersRequest>) -> Answered<v1::GetHeadersResponse> {
        self.0.run(request, headers).await
    }

    async fn list_forks(&self, request: Request<v1::ListForksRequest>) -> Answered<v1::ListForksResponse> {
        let forks = |context: &Context, _| {
            let forks = explain::all_forks(context)?;
            Ok(v1::ListForksResponse { forks: forks.into_iter().map(Into::into).collect() })
        };
        self.0.run(request, forks).await
    }

    async fn get_transaction(
        &self,
        request: Request<v1::GetTransactionRequest>,
    ) -> Answered<v1::GetTransactionResponse> {
        self.0.run(request, transaction).await
    }

    async fn get_coin(&self, request: Request<v1::GetCoinRequest>) -> Answered<v1::GetCoinResponse> {
        self.0.run(request, coin).await
    }

    async fn submit_transaction(
        &self,
        request: Request<v1::SubmitTransactionRequest>,
    ) -> Answered<v1::SubmitTransactionResponse> {
        let _running = self.0.begin(&request)?;
        // it waits for the node and for nothing else, so it needs no worker
        self.0.answer(submit_transaction(&self.0.context, request.into_inner()).await)
    }

    async fn submit_block(
        &self,
        request: Request<v1::SubmitBlockRequest>,
    ) -> Answered<v1::SubmitBlockResponse> {
        self.0.run(request, submit_block).await
    }

    async fn list_reorgs(&self, request: Request<v1::ListReorgsRequest>) -> Answered<v1::ListReorgsResponse> {
        let reorgs = |context: &Context, _| {
            let reorgs = explain::all_reorgs(context)?;
            Ok(v1::ListReorgsResponse { reorgs: reorgs.iter().map(Into::into).collect() })
        };
        self.0.run(request, reorgs).await
    }

    async fn explain_reorg(
        &self,
        request: Request<v1::ExplainReorgRequest>,
    ) -> Answered<v1::ExplainReorgResponse> {
        let reorg = |context: &Context, asked: v1::ExplainReorgRequest| {
            let report = explain::one_reorg(context, asked.number)?;
            Ok(v1::ExplainReorgResponse { reorg: Some((&report).into()) })
        };
        self.0.run(request, reorg).await
    }

    async fn explain_transaction(
        &self,
        request: Request<v1::ExplainTransactionRequest>,
    ) -> Answered<v1::ExplainTransactionResponse> {
        self.0.run(request, story).await
    }
}

fn info(context: &Context) -> v1::GetInfoResponse {
    let info = blockchain::chain_info(context);
    v1::GetInfoResponse {
        network: info.tine_network.to_owned(),
        height: info.blocks,
        tip: info.bestblockhash.to_string(),
        headers: info.headers,
        work: info.chainwork.0.to_string(),
        difficulty: info.difficulty,
        time_seconds: info.time,
        median_time_seconds: info.mediantime,
        initial_download: info.initialblockdownload,
        size_on_disk_bytes: info.size_on_disk,
    }
}

/// A block that a request names by its id or its height.
fn named(view: &View, hash: Option<&str>, height: Option<u32>) -> Result<BlockHash, RpcError> {
    match (hash, height) {
        (Some(hash), _) => parse_hash("hash", hash),
        (None, Some(height)) => blockchain::hash_at(view, height.into()),
        (None, None) => Err(RpcError::invalid("give hash or height")),
    }
}

fn block(context: &Context, asked: v1::GetBlockRequest) -> Result<v1::GetBlockResponse, RpcError> {
    use tine_chain::codec::Encode as _;
    let view = context.view();
    let hash = match &asked.block {
        Some(Wanted::Hash(hash)) => named(&view, Some(hash), None),
        Some(Wanted::Height(height)) => named(&view, None, Some(*height)),
        None => named(&view, None, None),
    }?;
    let info = blockchain::find_block(&view, &hash)?;
    let block = context.read_block(info)?;
    let txs = &block.transactions;
    let taken_apart = if asked.include_transactions { txs.as_slice() } else { &[] };
    Ok(v1::GetBlockResponse {
        header: Some(convert::header(&view, info)),
        txids: txs.iter().map(|tx| tx.txid().to_string()).collect(),
        size_bytes: size(block.size()),
        raw: if asked.include_raw { block.to_bytes() } else { Vec::new() },
        transactions: taken_apart.iter().map(|tx| convert::transaction(context, tx)).collect(),
    })
}

fn headers(context: &Context, asked: v1::GetHeadersRequest) -> Result<v1::GetHeadersResponse, RpcError> {
    let view = context.view();
    let first = match &asked.first {
        Some(First::Hash(hash)) => named(&view, Some(hash), None),
        Some(First::Height(height)) => named(&view, None, Some(*height)),
        None => named(&view, None, None),
    }?;
    let count = match asked.count as usize {
        0 => MAX_HEADERS,
        count @ 1..=MAX_HEADERS => count,
        count => return Err(RpcError::invalid(format!("count is from 1 to {MAX_HEADERS}, not {count}"))),
    };
    blockchain::find_block(&view, &first)?;
    let found = blockchain::active_from(&view, &first, count);
    if found.is_empty() {
        return Err(RpcError::not_found(format!("block {first} is not part of the active chain")));
    }
    Ok(v1::GetHeadersResponse { headers: found.iter().map(|info| convert::header(&view, info)).collect() })
}

fn transaction(
    context: &Context,
    asked: v1::GetTransactionRequest,
) -> Result<v1::GetTransactionResponse, RpcError> {
    let found = rawtransactions::find_transaction(context, &parse_hash("txid", &asked.txid)?)?;
    let block = found.block.as_ref().map(|(info, _)| info.hash);
    let confirmations = block.and_then(|hash| context.view().confirmations(&hash)).unwrap_or(0);
    Ok(v1::GetTransactionResponse {
        transaction: Some(convert::transaction(context, &found.tx)),
        block: text(block),
        confirmations: u32::try_from(confirmations).unwrap_or(0),
    })
}

fn coin(context: &Context, asked: v1::GetCoinRequest) -> Result<v1::GetCoinResponse, RpcError> {
    let (tip, coin) = blockchain::find_coin(context, outpoint(asked.coin.as_ref())?, !asked.without_mempool)?;
    let coin = coin.map(|coin| v1::Coin {
        output: Some(convert::output(context, &coin.output)),
        confirmations: coin.confirmations,
        coinbase: coin.coinbase,
    });
    Ok(v1::GetCoinResponse { tip: tip.to_string(), coin })
}

fn undecodable(what: &str, error: &dyn std::fmt::Display) -> RpcError {
    RpcError::new(Code::Deserialization, format!("{what} decode failed: {error}"))
}

async fn submit_transaction(
    context: &Context,
    asked: v1::SubmitTransactionRequest,
) -> Result<v1::SubmitTransactionResponse, RpcError> {
    let tx = Transaction::from_bytes(&asked.raw).map_err(|error| undecodable("TX", &error))?;
    let max_fee = rawtransactions::checked_max_fee(asked.max_fee_rate.map(Amount), tx.size())?;
    let txid = rawtransactions::send(context, tx, max_fee).await?;
    Ok(v1::SubmitTransactionResponse { txid: txid.to_string() })
}

fn submit_block(
    context: &Context,
    asked: v1::SubmitBlockRequest,
) -> Result<v1::SubmitBlockResponse, RpcError> {
    let block = Block::from_bytes(&asked.raw).map_err(|error| undecodable("Block", &error))?;
    let hash = block.hash().to_string();
    Ok(v1::SubmitBlockResponse { hash, reason: text(mining::submit(context, block)?) })
}

fn story(
    context: &Context,
    asked: v1::ExplainTransactionRequest,
) -> Result<v1::ExplainTransactionResponse, RpcError> {
    let story = explain::story_of(context, parse_hash("txid", &asked.txid)?)?;
    Ok(v1::ExplainTransactionResponse {
        txid: story.txid.to_string(),
        in_mempool: story.in_mempool,
        block: text(story.block),
        height: story.height.unwrap_or(0),
        confirmations: story.confirmations,
        stale_blocks: story.stale_blocks.iter().map(ToString::to_string).collect(),
        reorgs: story.reorgs,
    })
}
