//! Methods that wait for a block. They wait for the next published picture, and hold no worker meanwhile.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use serde::Serialize;
use tine_chain::hash::BlockHash;
use tokio::sync::watch;

use super::error::RpcError;
use super::registry::{Call, Category, Handler, Kind, Method, Outcome, Param, answer, optional, required};
use super::transport::raised;
use crate::view::View;

const TIMEOUT: Param = optional("timeout", Kind::Number, "Milliseconds; 0 (default): for ever.");

pub(crate) const METHODS: &[Method] = &[
    Method {
        name: "waitforblock",
        category: Category::Blockchain,
        params: &[required("blockhash", Kind::Hex, "The id to wait for."), TIMEOUT],
        help: "Waits until a block is the active tip; gives the tip then, or after the time-out.",
        handler: Handler::Wait(|call| wait_for_block(call).boxed()),
    },
    Method {
        name: "waitforblockheight",
        category: Category::Blockchain,
        params: &[required("height", Kind::Number, "The height to wait for."), TIMEOUT],
        help: "Waits until the active tip is at least this high; gives the tip then, or after the time-out.",
        handler: Handler::Wait(|call| wait_for_height(call).boxed()),
    },
    Method {
        name: "waitfornewblock",
        category: Category::Blockchain,
        params: &[
            TIMEOUT,
            optional("current_tip", Kind::Hex, "The tip that is known; default the one that is."),
        ],
        help: "Waits until the active tip is another; gives the tip then, or after the time-out.",
        handler: Handler::Wait(wait_for_new_block),
    },
];

fn timeout(call: &Call, place: usize) -> Result<Option<Duration>, RpcError> {
    let milliseconds = call.params.integer(place)?.unwrap_or(0);
    let milliseconds = u64::try_from(milliseconds).map_err(|_| RpcError::invalid("Negative timeout"))?;
    Ok((milliseconds > 0).then(|| Duration::from_millis(milliseconds)))
}

/// Waits for a picture that is `done`, or until the node is gone.
pub(super) async fn published(views: &mut watch::Receiver<Arc<View>>, done: impl Fn(&View) -> bool) {
    // an error means that no further picture will come
    let _ = views.wait_for(|view| done(view)).await;
}

/// Waits until `done`, the time-out or the node's end; gives the tip that is then.
async fn wait_until(
    call: &Call,
    timeout: Option<Duration>,
    done: impl Fn(&View) -> bool + Send + Sync,
) -> Outcome {
    #[derive(Serialize)]
    struct Tip {
        hash: BlockHash,
        height: u32,
    }
    let mut views = call.context.node.views();
    let mut stopped = call.context.stop_requested();
    let arrived = async {
        tokio::select! {
            () = published(&mut views, done) => {}
            () = raised(&mut stopped) => {}
        }
    };
    match timeout {
        // running out of time is an answer like any other
        Some(timeout) => tokio::time::timeout(timeout, arrived).await.unwrap_or(()),
        None => arrived.await,
    }
    let view = call.context.view();
    answer(&Tip { hash: view.tip.hash, height: view.tip.height })
}

async fn wait_for_block(call: Call) -> Outcome {
    let hash: BlockHash = call.params.hash(0)?;
    wait_until(&call, timeout(&call, 1)?, |view| view.tip.hash == hash).await
}

async fn wait_for_height(call: Call) -> Outcome {
    let height = call.params.integer(0)?.unwrap_or(0);
    wait_until(&call, timeout(&call, 1)?, |view| i64::from(view.tip.height) >= height).await
}

fn wait_for_new_block(call: Call) -> BoxFuture<'static, Outcome> {
    // the tip is read here, when the call comes in, not when the future is first polled
    let known = match call.params.raw(1) {
        Some(_) => call.params.hash(1),
        None => Ok(call.context.view().tip.hash),
    };
    async move {
        let known = known?;
        wait_until(&call, timeout(&call, 0)?, |view| view.tip.hash != known).await
    }
    .boxed()
}
