//! Calls that do not come over the RPC port: the page's buttons and pages run the same methods.

use std::sync::Arc;

use super::context::Context;
use super::envelope::{self, Answer};
use super::error::{Code, RpcError};
use super::registry::{self, Handler};

/// Runs the JSON-RPC call or batch in `body`, but only methods that `allow` lets through; gives the HTTP status and the
/// answer's text. Blocks: methods may read files and wait for the node's thread.
pub(crate) fn call(context: &Arc<Context>, body: &[u8], allow: impl Fn(&str) -> bool) -> (u16, String) {
    let body = match envelope::parse(body) {
        Ok(body) => body,
        Err(error) => {
            let Answer { status, body } = Answer::unreadable(error);
            return (status, body);
        }
    };
    let Answer { status, body } = envelope::execute(body, |_, method, params| {
        if !allow(method) {
            return Err(RpcError::new(Code::MethodNotFound, format!("{method} is not for the page")));
        }
        match registry::prepare(context, None, method, params)? {
            (Handler::Quick(run) | Handler::Now(run), call) => run(&call),
            (Handler::Wait(_), _) => {
                Err(RpcError::new(Code::MethodNotFound, format!("{method} waits, which is not for the page")))
            }
        }
    });
    (status, body)
}
