//! What can be said of a call without a node: its envelope, its method, its parameters. For whoever tries what bytes do.

use tine_chain::hash::BlockHash;

use super::envelope::{self, Answer, RawParams, null};
use super::error::{Code, RpcError};
use super::params::Params;
use super::registry::{self, Outcome};

/// The HTTP status and the body that a caller gets, when every method whose parameters are of the right kinds answers
/// null.
#[must_use]
pub fn answer_without_a_node(body: &[u8]) -> (u16, String) {
    let Answer { status, body } = match envelope::parse(body) {
        Err(error) => Answer::unreadable(error),
        Ok(body) => envelope::execute(body, |_, method, params| read_parameters(method, params)),
    };
    (status, body)
}

/// Reads each parameter in every way that a method may.
fn read_parameters(method: &str, params: RawParams) -> Outcome {
    let method =
        registry::find(method).ok_or_else(|| RpcError::new(Code::MethodNotFound, "Method not found"))?;
    let params = Params::new(method, params)?;
    for place in 0..method.params.len() {
        let long = params.raw(place).is_some().then(|| params.long_text(place));
        if let Some(Ok(long)) = &long {
            assert_eq!(params.text(place).as_deref(), Ok(&**long), "two ways to read one string");
        }
        // refused or not: nothing else may happen
        let _ = (params.integer(place), params.amount(place), params.verbosity(place, 0));
        let _ = (params.hash::<BlockHash>(place), params.flag(place, false));
    }
    Ok(null())
}
