//! Core's `Network` methods that act on connections, or count them: bans, added nodes, totals.

use std::net::IpAddr;
use std::time::Duration;

use serde::Serialize;
use serde_json::json;
use tine_chain::time::Time;
use tine_p2p::{Added, Banned, Status};

use super::envelope::null;
use super::error::{Code, RpcError};
use super::network::{network, network_error, wait};
use super::registry::{Call, Category, Handler, Kind, Method, Outcome, answer, optional, required};
use crate::driver;

/// How long a ban lasts unless told otherwise (Core: `DEFAULT_MISBEHAVING_BANTIME`, 24 hours).
const BAN_SECS: u64 = 24 * 60 * 60;

pub(crate) const METHODS: &[Method] = &[
    Method {
        name: "clearbanned",
        category: Category::Network,
        params: &[],
        help: "Takes back every ban.",
        handler: Handler::Now(|call| {
            wait(network(call)?.clear_banned()).map_err(|error| network_error(&error))?;
            Ok(null())
        }),
    },
    Method {
        name: "getaddednodeinfo",
        category: Category::Network,
        params: &[optional("node", Kind::Text, "Only this one, as it was given to addnode.")],
        help: "The peers that addnode add, or the configuration, keeps connected; onetry is not among them.",
        handler: Handler::Now(get_added_node_info),
    },
    Method {
        name: "getnettotals",
        category: Category::Network,
        params: &[],
        help: "Bytes of requests, responses and gossip since the start. There is no limit on what is uploaded.",
        handler: Handler::Now(get_net_totals),
    },
    Method {
        name: "listbanned",
        category: Category::Network,
        params: &[],
        help: "Who is refused, and until when, in seconds since 1970. ban_created is when this run began for a ban of \
               an earlier one.",
        handler: Handler::Now(list_banned),
    },
    Method {
        name: "ping",
        category: Category::Network,
        params: &[],
        help: "Accepted and of no effect: every peer is pinged every few seconds; getpeerinfo has the times.",
        handler: Handler::Now(|call| network(call).map(|_| null())),
    },
    Method {
        name: "setban",
        category: Category::Network,
        params: &[
            required("subnet", Kind::Text, "An IP address, alone or with /32 or /128, or a libp2p identity."),
            required("command", Kind::Text, "add, or remove."),
            optional("bantime", Kind::Number, "Seconds; 0 (default): 24 hours."),
            optional("absolute", Kind::Flag, "true: bantime is seconds since 1970. Default false."),
        ],
        help: "Refuses an address or an identity, and closes its connections; or takes it back.",
        handler: Handler::Now(set_ban),
    },
];

/// What a ban names: an address without its mask, or an identity.
fn outcast(text: &str) -> Result<String, RpcError> {
    let refuse = || RpcError::new(Code::ClientInvalidIpOrSubnet, "Error: Invalid IP/Subnet");
    let Some((address, mask)) = text.split_once('/') else { return Ok(text.to_owned()) };
    let address: IpAddr = address.parse().map_err(|_| refuse())?;
    let whole = if address.is_ipv4() { "32" } else { "128" };
    if mask != whole {
        let message = format!("Error: Invalid IP/Subnet: /{mask}; one address at a time, /{whole}");
        return Err(RpcError::new(Code::ClientInvalidIpOrSubnet, message));
    }
    Ok(address.to_string())
}

/// As Core writes it: an address with its mask; identities as they are.
fn shown(who: &str) -> String {
    match who.parse::<IpAddr>() {
        Ok(IpAddr::V4(_)) => format!("{who}/32"),
        Ok(IpAddr::V6(_)) => format!("{who}/128"),
        Err(_) => who.to_owned(),
    }
}

fn end_of_ban(call: &Call, now: Time) -> Result<Time, RpcError> {
    let seconds = call.params.integer_in(2, 0..=i64::from(u32::MAX))?.unwrap_or(0).unsigned_abs();
    if !call.params.flag(3, false)? {
        return Ok(now + Duration::from_secs(if seconds == 0 { BAN_SECS } else { seconds }));
    }
    let until = Time::from_secs(seconds);
    if until <= now {
        return Err(RpcError::invalid("Error: Absolute timestamp is in the past"));
    }
    Ok(until)
}

fn set_ban(call: &Call) -> Outcome {
    let command = call.params.text(1)?;
    let who = outcast(&call.params.text(0)?)?;
    let network = network(call)?;
    let refused = |error: tine_p2p::Error| match error {
        tine_p2p::Error::BadIdentity(_) => RpcError::new(
            Code::ClientInvalidIpOrSubnet,
            "Error: Invalid IP/Subnet: neither an address nor an identity",
        ),
        other @ (tine_p2p::Error::BadAddress { .. }
        | tine_p2p::Error::Listen { .. }
        | tine_p2p::Error::IdentityFile { .. }
        | tine_p2p::Error::Setup { .. }
        | tine_p2p::Error::Dial { .. }
        | tine_p2p::Error::Stopped) => network_error(&other),
    };
    match command.as_str() {
        "add" => {
            if network.status().banned.iter().any(|banned| banned.who == who) {
                let message = "Error: IP/Subnet already banned";
                return Err(RpcError::new(Code::NodeAlreadyAdded, message));
            }
            let until = end_of_ban(call, driver::now())?;
            wait(network.ban(&who, until)).map_err(refused)?;
        }
        "remove" => {
            if !wait(network.unban(&who)).map_err(refused)? {
                let message =
                    "Error: Unban failed. Requested address/subnet was not previously manually banned.";
                return Err(RpcError::new(Code::ClientInvalidIpOrSubnet, message));
            }
        }
        other => return Err(RpcError::invalid(format!("command must be add or remove, not {other}"))),
    }
    Ok(null())
}

fn list_banned(call: &Call) -> Outcome {
    #[derive(Serialize)]
    struct Line {
        address: String,
        ban_created: u64,
        banned_until: u64,
        ban_duration: u64,
        time_remaining: u64,
    }
    let now = driver::now().as_secs();
    let line = |banned: &Banned| Line {
        address: shown(&banned.who),
        ban_created: banned.since.as_secs(),
        banned_until: banned.until.as_secs(),
        ban_duration: banned.until.as_secs().saturating_sub(banned.since.as_secs()),
        time_remaining: banned.until.as_secs().saturating_sub(now),
    };
    let status = network(call)?.status();
    let lines: Vec<Line> = (status.banned.iter().map(line)).filter(|line| line.time_remaining > 0).collect();
    answer(&lines)
}

#[derive(Serialize)]
struct AddedAddress {
    address: String,
    connected: &'static str,
}

#[derive(Serialize)]
struct AddedNode {
    addednode: String,
    connected: bool,
    addresses: Vec<AddedAddress>,
}

fn added_node(added: &Added, status: &Status) -> AddedNode {
    let link = added.peer.as_ref().and_then(|peer| status.peers.iter().find(|link| link.identity == *peer));
    AddedNode {
        addednode: added.address.clone(),
        connected: link.is_some(),
        addresses: link
            .map(|link| AddedAddress {
                address: link.socket.clone(),
                connected: if link.outbound { "outbound" } else { "inbound" },
            })
            .into_iter()
            .collect(),
    }
}

fn get_added_node_info(call: &Call) -> Outcome {
    let status = network(call)?.status();
    let node: Option<String> = call.params.optional(0)?;
    let is_meant = |added: &&Added| node.as_ref().is_none_or(|node| *node == added.address);
    let found: Vec<AddedNode> =
        status.added.iter().filter(is_meant).map(|added| added_node(added, &status)).collect();
    if node.is_some() && found.is_empty() {
        return Err(RpcError::new(Code::NodeNotAdded, "Error: Node has not been added."));
    }
    answer(&found)
}

fn get_net_totals(call: &Call) -> Outcome {
    let counters = call.context.network.as_ref().map(tine_p2p::Network::counters).unwrap_or_default();
    answer(&json!({
        "totalbytesrecv": counters.bytes_received,
        "totalbytessent": counters.bytes_sent,
        "timemillis": driver::now().0,
        "uploadtarget": {
            "timeframe": 24 * 60 * 60,
            "target": 0,
            "target_reached": false,
            "serve_historical_blocks": true,
            "bytes_left_in_cycle": 0,
            "time_left_in_cycle": 0,
        },
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_at_a_time_is_banned() {
        assert_eq!(outcast("1.2.3.4").as_deref(), Ok("1.2.3.4"));
        assert_eq!(outcast("1.2.3.4/32").as_deref(), Ok("1.2.3.4"));
        assert_eq!(outcast("::1/128").as_deref(), Ok("::1"));
        for wrong in ["1.2.3.4/24", "1.2.3.4/", "x/32", "::1/32"] {
            assert_eq!(outcast(wrong).map_err(|error| error.code), Err(-30), "{wrong}");
        }
        assert_eq!(
            (shown("1.2.3.4"), shown("::1"), shown("12D3")),
            ("1.2.3.4/32".into(), "::1/128".into(), "12D3".into())
        );
    }
}
