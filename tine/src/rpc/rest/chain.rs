//! Headers, blocks and transactions.

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;
use serde_json::json;
use tine_chain::codec::Encode;
use tine_chain::hash::{BlockHash, Txid};

use super::{Format, Refusal, binary, blocking, json, parse_file, refuse, split_file, text};
use crate::rpc::blockchain::{self, Detail, MAX_HEADERS};
use crate::rpc::context::Context;
use crate::rpc::error::RpcError;
use crate::rpc::rawtransactions;
use crate::rpc::stats;
use crate::view::BlockInfo;

/// Headers unless told otherwise (Core's own default).
const DEFAULT_HEADERS: &str = "5";

/// `?count=`.
#[derive(Debug, Deserialize)]
pub(super) struct Counted {
    count: Option<String>,
}

/// `/rest/headers/<hash>.<format>?count=<count>`.
pub(super) async fn headers_counted(
    State(context): State<Arc<Context>>,
    Path(file): Path<String>,
    Query(counted): Query<Counted>,
) -> Response {
    let count = counted.count.unwrap_or_else(|| DEFAULT_HEADERS.to_owned());
    blocking(move || headers_from(&context, &count, &file)).await
}

/// `/rest/headers/<count>/<hash>.<format>`, as fork-observer asks.
pub(super) async fn headers(
    State(context): State<Arc<Context>>,
    Path((count, file)): Path<(String, String)>,
) -> Response {
    blocking(move || headers_from(&context, &count, &file)).await
}

/// The header of a block and those of the active chain after it.
fn headers_from(context: &Context, count: &str, file: &str) -> Result<Response, Refusal> {
    let (hash, format) = parse_file::<BlockHash>(file)?;
    let Some(count) = count.parse().ok().filter(|count| (1..=MAX_HEADERS).contains(count)) else {
        let message =
            format!("Header count is invalid or out of acceptable range (1-{MAX_HEADERS}): {count}");
        return Err((StatusCode::BAD_REQUEST, message));
    };
    let view = context.view();
    let found = blockchain::active_from(&view, &hash, count);
    let bytes = || found.iter().flat_map(|block| block.header.to_array()).collect::<Vec<u8>>();
    Ok(match format {
        Format::Bin => binary(bytes()),
        Format::Hex => text(&bytes()),
        Format::Json => {
            let show = |block: &Arc<BlockInfo>| {
                Ok(blockchain::header_json(&view, block, context.transaction_count(block)?))
            };
            json(found.iter().map(show).collect::<Result<Vec<_>, RpcError>>())
        }
    })
}

pub(super) async fn block(State(context): State<Arc<Context>>, Path(file): Path<String>) -> Response {
    blocking(move || block_in(&context, &file, Detail::WithPrevouts)).await
}

pub(super) async fn block_without_details(
    State(context): State<Arc<Context>>,
    Path(file): Path<String>,
) -> Response {
    blocking(move || block_in(&context, &file, Detail::Ids)).await
}

fn block_in(context: &Context, file: &str, detail: Detail) -> Result<Response, Refusal> {
    let (hash, format) = parse_file::<BlockHash>(file)?;
    let view = context.view();
    let found = view.block(&hash).and_then(|info| Some((info, context.read_block(info).ok()?)));
    let Some((info, block)) = found else {
        return Err((StatusCode::NOT_FOUND, format!("{hash} not found")));
    };
    Ok(match format {
        Format::Bin => binary(block.to_bytes()),
        Format::Hex => text(&block.to_bytes()),
        Format::Json => json(blockchain::block_json(context, &view, info, &block, detail)),
    })
}

/// `/rest/blockhashbyheight/<height>.<format>`; the bytes of `.bin` are in the order of the header.
pub(super) async fn hash_by_height(
    State(context): State<Arc<Context>>,
    Path(file): Path<String>,
) -> Response {
    let (name, format) = match split_file(&file) {
        Ok(split) => split,
        Err((status, message)) => return refuse(status, message),
    };
    let Ok(height) = name.parse::<u32>() else {
        return refuse(StatusCode::BAD_REQUEST, format!("Invalid height: {name}"));
    };
    let Some(hash) = context.view().active.get(height) else {
        return refuse(StatusCode::NOT_FOUND, "Block height out of range");
    };
    match format {
        Format::Bin => binary(hash.0.to_vec()),
        Format::Hex => super::plain(&hash.to_string()),
        Format::Json => json(Ok(json!({ "blockhash": hash }))),
    }
}

pub(super) async fn info(State(context): State<Arc<Context>>) -> Response {
    blocking(move || Ok(json(Ok(blockchain::chain_info(&context))))).await
}

pub(super) async fn deployments(State(context): State<Arc<Context>>) -> Response {
    json(Ok(stats::deployments_at(&context.view().tip)))
}

/// `/rest/tx/<txid>.<format>`: found as `getrawtransaction` finds it.
pub(super) async fn transaction(State(context): State<Arc<Context>>, Path(file): Path<String>) -> Response {
    blocking(move || {
        let (txid, format) = parse_file::<Txid>(&file)?;
        let found = rawtransactions::find_transaction(&context, &txid);
        let found = found.map_err(|_| (StatusCode::NOT_FOUND, format!("{txid} not found")))?;
        let bytes = || found.tx.to_bytes();
        Ok(match format {
            Format::Bin => binary(bytes()),
            Format::Hex => text(&bytes()),
            Format::Json => json(rawtransactions::transaction_json(&context, &found)),
        })
    })
    .await
}
