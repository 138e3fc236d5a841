//! REST, without a password and read-only: what fork-observer and scripts fetch. Core's paths and texts.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::Serialize;
use tine_chain::codec::Encode;
use tine_chain::hash::BlockHash;

use super::blockchain::{self, Detail};
use super::context::Context;
use super::error::RpcError;
use crate::view::BlockInfo;

/// The most headers in one answer (Core: `MAX_REST_HEADERS_RESULTS`).
const MAX_HEADERS: usize = 2_000;

/// In which form something is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Bin,
    Hex,
    Json,
}

/// The routes below `/rest`.
pub(crate) fn router(context: Arc<Context>) -> Router {
    Router::new()
        .route("/headers/{count}/{file}", get(headers))
        .route("/block/{file}", get(block))
        .route("/chaininfo.json", get(chain_info))
        .with_state(context)
}

fn refuse(status: StatusCode, message: impl Into<String>) -> Response {
    (status, format!("{}\r\n", message.into())).into_response()
}

/// Splits `<hash>.<format>`.
fn parse_file(file: &str) -> Result<(BlockHash, Format), (StatusCode, String)> {
    let (name, format) = file.rsplit_once('.').unwrap_or((file, ""));
    let format = match format {
        "bin" => Format::Bin,
        "hex" => Format::Hex,
        "json" => Format::Json,
        _ => {
            let message = "output format not found (available: .bin, .hex, .json)";
            return Err((StatusCode::NOT_FOUND, message.to_owned()));
        }
    };
    match name.parse() {
        Ok(hash) => Ok((hash, format)),
        Err(_) => Err((StatusCode::BAD_REQUEST, format!("Invalid hash: {name}"))),
    }
}

fn binary(bytes: Vec<u8>) -> Response {
    ([(header::CONTENT_TYPE, "application/octet-stream")], bytes).into_response()
}

fn text(bytes: &[u8]) -> Response {
    ([(header::CONTENT_TYPE, "text/plain")], format!("{}\n", crate::digits::encode(bytes))).into_response()
}

fn json<T: Serialize>(value: Result<T, RpcError>) -> Response {
    match value {
        Ok(value) => {
            let body = serde_json::to_string(&value).expect("text and numbers serialize");
            ([(header::CONTENT_TYPE, "application/json")], format!("{body}\n")).into_response()
        }
        Err(error) => refuse(StatusCode::INTERNAL_SERVER_ERROR, error.message),
    }
}

/// Runs what reads files where it may wait for them.
async fn blocking(work: impl FnOnce() -> Response + Send + 'static) -> Response {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|_| refuse(StatusCode::INTERNAL_SERVER_ERROR, "reading failed"))
}

/// The header of `hash` and those of the active chain after it.
async fn headers(
    State(context): State<Arc<Context>>,
    Path((count, file)): Path<(String, String)>,
) -> Response {
    let (hash, format) = match parse_file(&file) {
        Ok(parsed) => parsed,
        Err((status, message)) => return refuse(status, message),
    };
    let Some(count) = count.parse().ok().filter(|count| (1..=MAX_HEADERS).contains(count)) else {
        let message =
            format!("Header count is invalid or out of acceptable range (1-{MAX_HEADERS}): {count}");
        return refuse(StatusCode::BAD_REQUEST, message);
    };
    blocking(move || {
        let view = context.view();
        let first = view.block(&hash).filter(|block| view.is_active(&block.hash));
        let found: Vec<_> = std::iter::successors(first, |block| {
            view.active.get(block.height + 1).and_then(|hash| view.block(&hash))
        })
        .take(count)
        .collect();
        let bytes = || found.iter().flat_map(|block| block.header.to_array()).collect::<Vec<u8>>();
        match format {
            Format::Bin => binary(bytes()),
            Format::Hex => text(&bytes()),
            Format::Json => {
                let show = |block: &&Arc<BlockInfo>| {
                    Ok(blockchain::header_json(&view, block, context.transaction_count(block)?))
                };
                json(found.iter().map(show).collect::<Result<Vec<_>, RpcError>>())
            }
        }
    })
    .await
}

async fn block(State(context): State<Arc<Context>>, Path(file): Path<String>) -> Response {
    let (hash, format) = match parse_file(&file) {
        Ok(parsed) => parsed,
        Err((status, message)) => return refuse(status, message),
    };
    blocking(move || {
        let view = context.view();
        let found = view.block(&hash).and_then(|info| Some((info, context.read_block(info).ok()?)));
        let Some((info, block)) = found else {
            return refuse(StatusCode::NOT_FOUND, format!("{hash} not found"));
        };
        match format {
            Format::Bin => binary(block.to_bytes()),
            Format::Hex => text(&block.to_bytes()),
            Format::Json => json(blockchain::block_json(&context, &view, info, &block, Detail::WithPrevouts)),
        }
    })
    .await
}

async fn chain_info(State(context): State<Arc<Context>>) -> Response {
    json(Ok(blockchain::chain_info(&context)))
}
