//! Core's `setmocktime`: the time that a regtest node takes for the present.

use tine_chain::params::Network;
use tine_chain::time::Time;

use super::envelope::null;
use super::error::{Code, RpcError};
use super::registry::{Call, Category, Handler, Kind, Method, Outcome, required};

/// The last second that a block's header can say.
const MAX_SECS: i64 = u32::MAX as i64;

pub(crate) const METHODS: &[Method] = &[Method {
    name: "setmocktime",
    category: Category::Control,
    params: &[required(
        "timestamp",
        Kind::Number,
        "Seconds since 1970, at which time stands still; 0: the real time.",
    )],
    help: "Stops a regtest node's clock at a time, or lets it run again.",
    handler: Handler::Now(set_mock_time),
}];

fn set_mock_time(call: &Call) -> Outcome {
    let context = &call.context;
    if context.params().network != Network::Regtest {
        let message = "setmocktime is for regression testing (-regtest mode) only";
        return Err(RpcError::new(Code::Misc, message));
    }
    let asked = call.params.integer(0)?.unwrap_or(0);
    let seconds = u64::try_from(asked).ok().filter(|_| asked <= MAX_SECS);
    let seconds = seconds.ok_or_else(|| {
        RpcError::invalid(format!("Mocktime must be in the range [0, {MAX_SECS}], not {asked}."))
    })?;
    context.node.clock().stop_at((seconds > 0).then(|| Time::from_secs(seconds)));
    // a step, so that what has become due at the new time is done when this is answered
    context.node.control_blocking(|node, now| Ok((node.handle(tine_node::event::Event::Tick, now)?, ())))?;
    Ok(null())
}
