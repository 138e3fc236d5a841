//! REST, without a password and read-only: what fork-observer and scripts fetch. Core's paths and texts.

mod chain;
mod mempool;
mod utxos;

use std::sync::Arc;

use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::Serialize;

use super::context::Context;
use super::error::RpcError;
use super::transport::open_work;

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
        .route("/headers/{file}", get(chain::headers_counted))
        .route("/headers/{count}/{file}", get(chain::headers))
        .route("/block/{file}", get(chain::block))
        .route("/block/notxdetails/{file}", get(chain::block_without_details))
        .route("/blockhashbyheight/{file}", get(chain::hash_by_height))
        .route("/chaininfo.json", get(chain::info))
        .route("/deploymentinfo.json", get(chain::deployments))
        .route("/tx/{file}", get(chain::transaction))
        .route("/mempool/info.json", get(mempool::info))
        .route("/mempool/contents.json", get(mempool::contents))
        .route("/getutxos/{*outpoints}", get(utxos::get_utxos))
        .with_state(context)
}

/// What is not given: a status and why.
type Refusal = (StatusCode, String);

fn refuse(status: StatusCode, message: impl Into<String>) -> Response {
    (status, format!("{}\r\n", message.into())).into_response()
}

/// Splits `<name>.<format>`.
fn split_file(file: &str) -> Result<(&str, Format), Refusal> {
    let (name, format) = file.rsplit_once('.').unwrap_or((file, ""));
    match format {
        "bin" => Ok((name, Format::Bin)),
        "hex" => Ok((name, Format::Hex)),
        "json" => Ok((name, Format::Json)),
        _ => {
            let message = "output format not found (available: .bin, .hex, .json)";
            Err((StatusCode::NOT_FOUND, message.to_owned()))
        }
    }
}

/// Splits `<hash>.<format>`.
fn parse_file<T: std::str::FromStr>(file: &str) -> Result<(T, Format), Refusal> {
    let (name, format) = split_file(file)?;
    match name.parse() {
        Ok(hash) => Ok((hash, format)),
        Err(_) => Err((StatusCode::BAD_REQUEST, format!("Invalid hash: {name}"))),
    }
}

fn binary(bytes: Vec<u8>) -> Response {
    ([(header::CONTENT_TYPE, "application/octet-stream")], bytes).into_response()
}

fn text(bytes: &[u8]) -> Response {
    plain(&crate::digits::encode(bytes))
}

fn plain(line: &str) -> Response {
    ([(header::CONTENT_TYPE, "text/plain")], format!("{line}\n")).into_response()
}

fn json_text(body: &str) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], format!("{body}\n")).into_response()
}

fn json<T: Serialize>(value: Result<T, RpcError>) -> Response {
    match value {
        Ok(value) => json_text(&serde_json::to_string(&value).expect("text and numbers serialize")),
        Err(error) => refuse(StatusCode::INTERNAL_SERVER_ERROR, error.message),
    }
}

/// Runs what reads files, or waits for the node's thread, where it may wait for them.
async fn blocking(work: impl FnOnce() -> Result<Response, Refusal> + Send + 'static) -> Response {
    match open_work(work).await {
        Ok(Ok(response)) => response,
        Ok(Err((status, message))) => refuse(status, message),
        Err(_) => refuse(StatusCode::INTERNAL_SERVER_ERROR, "reading failed"),
    }
}
