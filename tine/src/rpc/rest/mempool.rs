//! The mempool.

use std::sync::Arc;

use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;

use super::{blocking, json, json_text};
use crate::rpc::context::Context;
use crate::rpc::mempool;

/// `?verbose=&mempool_sequence=`, texts as in Core.
#[derive(Debug, Deserialize)]
pub(super) struct How {
    verbose: Option<String>,
    mempool_sequence: Option<String>,
}

/// A flag of a query; anything but `true` and `false` is refused in Core's words.
fn flag(name: &str, given: Option<&str>, default: bool) -> Result<bool, (StatusCode, String)> {
    match given {
        None => Ok(default),
        Some("true") => Ok(true),
        Some("false") => Ok(false),
        Some(_) => {
            let message = format!("The \"{name}\" query parameter must be either \"true\" or \"false\".");
            Err((StatusCode::BAD_REQUEST, message))
        }
    }
}

pub(super) async fn info(State(context): State<Arc<Context>>) -> Response {
    json(Ok(mempool::info(&context)))
}

pub(super) async fn contents(State(context): State<Arc<Context>>, Query(how): Query<How>) -> Response {
    blocking(move || {
        let verbose = flag("verbose", how.verbose.as_deref(), true)?;
        let sequence = flag("mempool_sequence", how.mempool_sequence.as_deref(), false)?;
        match mempool::contents(&context, verbose, sequence) {
            Ok(body) => Ok(json_text(body.get())),
            Err(error) => Err((StatusCode::BAD_REQUEST, error.message)),
        }
    })
    .await
}
