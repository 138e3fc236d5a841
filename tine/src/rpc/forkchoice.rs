//! Core's methods by which an operator overrules fork choice.

use std::time::Duration;

use tine_chain::hash::BlockHash;
use tine_chain::time::Time;
use tine_node::event::Action;
use tine_node::{Node, OperatorError};

use super::envelope::null;
use super::error::{Code, RpcError};
use super::registry::{Call, Category, Handler, Kind, Method, Outcome, Param, required};

/// How often the node is asked whether it is done.
const POLL: Duration = Duration::from_millis(2);

const HASH: Param = required("blockhash", Kind::Hex, "The block's id.");

pub(crate) const METHODS: &[Method] = &[
    Method {
        name: "invalidateblock",
        category: Category::Blockchain,
        params: &[HASH],
        help: "Calls a block invalid, as if it broke a rule; with it all that build on it. reconsiderblock takes it back.",
        handler: Handler::Now(|call| command(call, Node::invalidate)),
    },
    Method {
        name: "preciousblock",
        category: Category::Blockchain,
        params: &[HASH],
        help: "Treats a block as if it had been seen before all others of the same work.",
        handler: Handler::Now(|call| command(call, Node::precious)),
    },
    Method {
        name: "reconsiderblock",
        category: Category::Blockchain,
        params: &[HASH],
        help: "Forgets that a block, its ancestors and its descendants were called invalid, and judges them again.",
        handler: Handler::Now(|call| command(call, Node::reconsider)),
    },
];

fn known(call: &Call) -> Result<BlockHash, RpcError> {
    let hash = call.params.hash(0)?;
    match call.context.view().block(&hash) {
        Some(_) => Ok(hash),
        None => Err(RpcError::not_found("Block not found")),
    }
}

/// An order of the operator, carried out on the node's thread.
type Order = fn(&mut Node, &BlockHash, Time) -> Result<Vec<Action>, OperatorError>;

/// Gives the order, and waits until what follows from it is done: a long reorganisation goes on step by step.
fn command(call: &Call, order: Order) -> Outcome {
    let hash = known(call)?;
    let node = &call.context.node;
    let refused = node.control_blocking(move |node, now| match order(node, &hash, now) {
        Ok(actions) => Ok((actions, None)),
        Err(OperatorError::Refused(error)) => Ok((Vec::new(), Some(error))),
        Err(OperatorError::Store(error)) => Err(error),
    })?;
    if let Some(error) = refused {
        return Err(RpcError::new(Code::Misc, error.to_string()));
    }
    while node.with_blocking(|node, now| node.deadline().is_some_and(|deadline| deadline <= now))? {
        std::thread::sleep(POLL);
    }
    Ok(null())
}
