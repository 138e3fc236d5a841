//! `tine_*` methods that act: mine now, steer the miner, cut and heal links.

use serde_json::value::RawValue;
use tine_chain::hash::Lock;

use super::error::{Code, RpcError};
use super::mining::{generate, refused};
use super::network::{network_error, wait};
use super::registry::{Call, Category, Handler, Kind, Method, Outcome, answer, optional, required};
use super::wallet::named;
use crate::driver::MAX_DELAY_MS;
use crate::fleet::{OrderError, Steward, Wanted};
use crate::hashrate::HashRate;
use crate::methods::{
    MINE, MINER, Mine, Mined, NET_FAULT, NET_HEAL, NET_INFO, NET_SPLIT, NET_START, NET_STOP, NetInfo,
    NetMember, NetPeer, NetSplit,
};
use crate::miner::{MAX_MINE, MineError, MinerHandle};

pub(crate) const METHODS: &[Method] = &[
    Method {
        name: MINE,
        category: Category::Tine,
        params: &[
            required("count", Kind::Number, "How many blocks, 1 to 1000."),
            optional("address", Kind::Text, "Whom they pay. Default the one that the node's miner pays."),
        ],
        help: "Mines blocks now, at full speed.",
        handler: Handler::Now(mine),
    },
    Method {
        name: MINER,
        category: Category::Tine,
        params: &[
            optional("mining", Kind::Flag, "true: mine; false: pause."),
            optional("hashrate", Kind::Any, "The budget, such as \"50kH/s\", or hashes a second."),
        ],
        help: "Asks or changes the node's own miner.",
        handler: Handler::Now(miner),
    },
    Method {
        name: NET_FAULT,
        category: Category::Tine,
        params: &[
            optional("delay_ms", Kind::Number, "Milliseconds that every message takes longer, 0 to 10000."),
            optional("drop_percent", Kind::Number, "How many of 100 messages are lost, 0 to 100."),
        ],
        help: "Makes the line between this node and its peers bad, each way; connections stay. What is not given stays \
               as it is.",
        handler: Handler::Now(net_fault),
    },
    Method {
        name: NET_HEAL,
        category: Category::Tine,
        params: &[],
        help: "Refuses nobody any more, dials who was cut, and ends delays and losses.",
        handler: Handler::Now(net_heal),
    },
    Method {
        name: NET_INFO,
        category: Category::Tine,
        params: &[],
        help: "Who this node is, whom it knows, whom it refuses.",
        handler: Handler::Now(net_info),
    },
    Method {
        name: NET_START,
        category: Category::Tine,
        params: &[required("node", Kind::Text, "Its name.")],
        help: "Starts a node of this process again: it goes on from its files, and catches up.",
        handler: Handler::Now(|call| order(call, Wanted::Running)),
    },
    Method {
        name: NET_STOP,
        category: Category::Tine,
        params: &[required("node", Kind::Text, "Its name; another than the node that is asked.")],
        help: "Stops another node of this process; the rest goes on. The last one that runs is not stopped.",
        handler: Handler::Now(|call| order(call, Wanted::Stopped)),
    },
    Method {
        name: NET_SPLIT,
        category: Category::Tine,
        params: &[required("identities", Kind::Array, "libp2p identities. They replace those cut before.")],
        help: "Cuts the links to these identities: connections are closed, and refused both ways.",
        handler: Handler::Now(net_split),
    },
];

fn mine(call: &Call) -> Outcome {
    let wanted: Mine = call.params.object()?;
    if !(1..=MAX_MINE).contains(&wanted.count) {
        return Err(RpcError::invalid(format!("count is from 1 to {MAX_MINE}, not {}", wanted.count)));
    }
    let lock = match &wanted.address {
        Some(address) => Some(call.context.parse_address(address)?.lock),
        None => None,
    };
    let blocks = match &call.context.miner {
        Some(miner) => miner.mine_now(wanted.count, lock)?,
        None => {
            let lock = lock.map_or_else(|| mining_lock(call), Ok)?;
            generate(&call.context, u64::from(wanted.count), lock, u64::MAX)?
        }
    };
    let view = call.context.view();
    let height = blocks.last().and_then(|hash| view.block(hash)).map(|block| block.height);
    answer(&Mined { height, blocks })
}

/// Whom mining pays when the caller does not say: the miner's, the configured one, else the node's own wallet.
pub(crate) fn mining_lock(call: &Call) -> Result<Lock, RpcError> {
    let context = &call.context;
    let known = context.miner.as_ref().map(MinerHandle::lock).or(context.mining_lock);
    let own = || context.wallets.as_ref().and_then(|wallets| wallets.first_lock(named(call)).ok());
    known.or_else(own).ok_or_else(no_address)
}

fn no_address() -> RpcError {
    RpcError::new(
        Code::Misc,
        "no address to pay: make a wallet (tine wallet new NAME), or start the node with --mine-to ADDRESS",
    )
}

impl From<MineError> for RpcError {
    fn from(error: MineError) -> Self {
        match error {
            MineError::Rejected(reject) => refused(reject),
            MineError::NoTemplate(_) | MineError::Stopped(_) => Self::new(Code::Misc, error.to_string()),
        }
    }
}

fn miner(call: &Call) -> Outcome {
    let missing = || RpcError::new(Code::Misc, "this node has no miner");
    let miner = call.context.miner.as_ref().ok_or_else(missing)?;
    let mining: Option<bool> = call.params.optional(0)?;
    if let Some(raw) = call.params.raw(1) {
        miner.set_rate(Some(parse_rate(raw)?));
    }
    match mining {
        Some(true) => miner.resume(),
        Some(false) => miner.pause(),
        None => {}
    }
    answer(&miner.status())
}

fn parse_rate(raw: &RawValue) -> Result<HashRate, RpcError> {
    let text = raw.get().trim_matches('"');
    text.parse().map_err(|error: crate::hashrate::ParseHashRateError| RpcError::invalid(error.to_string()))
}

fn net_info(call: &Call) -> Outcome {
    let context = &call.context;
    let view = context.view();
    let status = context.network.as_ref().map(tine_p2p::Network::status);
    let status = status.as_deref();
    let standing = context.steward.as_ref().map(Steward::standing).unwrap_or_default();
    answer(&NetInfo {
        name: context.name.clone(),
        identity: context.network.as_ref().map_or_else(String::new, |network| network.identity().to_owned()),
        listen: status.map_or_else(Vec::new, |status| status.listen.clone()),
        blocked: status.map_or_else(Vec::new, |status| status.cut.clone()),
        peers: status.map_or_else(Vec::new, |status| {
            let peer = |peer: &tine_p2p::Peer| NetPeer {
                identity: peer.identity.clone(),
                address: peer.address.clone(),
                outbound: peer.outbound,
            };
            status.peers.iter().map(peer).collect()
        }),
        tip: view.tip.hash,
        height: view.tip.height,
        work: view.tip.work.to_string(),
        delay_ms: u64::try_from(context.node.faults().delay().as_millis()).unwrap_or(u64::MAX),
        drop_percent: context.node.faults().drop_percent(),
        company: standing.all,
        stopped: standing.stopped,
    })
}

fn order(call: &Call, wanted: Wanted) -> Outcome {
    let NetMember { node } = call.params.object()?;
    let own = &call.context.name;
    let Some(steward) = &call.context.steward else {
        return Err(RpcError::new(
            Code::Misc,
            format!("{own} is alone in its process, not a node of a devnet: `tine rpc stop` ends it"),
        ));
    };
    if wanted == Wanted::Stopped && node == *own {
        // it would wait for this very call to end
        return Err(RpcError::invalid(format!("{own} can't stop itself: ask another node of the devnet")));
    }
    steward.order(&node, wanted).map_err(|error| match error {
        OrderError::Unknown { .. } => RpcError::invalid(error.to_string()),
        OrderError::Runs(_)
        | OrderError::IsStopped(_)
        | OrderError::Last(_)
        | OrderError::Failed(_)
        | OrderError::Ending => RpcError::new(Code::Misc, error.to_string()),
    })?;
    net_info(call)
}

fn net_split(call: &Call) -> Outcome {
    let NetSplit { identities } = call.params.object()?;
    let network = super::network::network(call)?;
    wait(network.set_cut(&identities)).map_err(|error| network_error(&error))?;
    net_info(call)
}

fn net_fault(call: &Call) -> Outcome {
    let delay = call.params.integer_in(0, 0..=i64::from(MAX_DELAY_MS))?;
    let percent = call.params.integer_in(1, 0..=100)?;
    let faults = call.context.node.faults();
    if let Some(delay) = delay {
        faults.set_delay_ms(u32::try_from(delay).expect("the range was checked"));
    }
    if let Some(percent) = percent {
        faults.set_drop_percent(u8::try_from(percent).expect("the range was checked"));
    }
    net_info(call)
}

fn net_heal(call: &Call) -> Outcome {
    call.context.node.faults().set_delay_ms(0);
    call.context.node.faults().set_drop_percent(0);
    wait(super::network::network(call)?.heal()).map_err(|error| network_error(&error))?;
    net_info(call)
}

#[cfg(test)]
mod tests {
    use tine_chain::reject::Reject;

    use super::*;

    #[test]
    fn a_block_of_ours_that_is_refused_is_a_refusal() {
        let error = RpcError::from(MineError::Rejected(Reject::HighHash));
        assert!(error.is_rejection() && error.message.contains("high-hash"), "{error}");
        assert!(!RpcError::from(MineError::NoTemplate("none".into())).is_rejection());
    }
}
