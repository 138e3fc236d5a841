//! Core's `Network` methods that act on connections, or count them: bans, added nodes, totals.

use std::net::IpAddr;
use std::time::Duration;

use rand::seq::SliceRandom as _;
use serde::Serialize;
use serde_json::json;
use tine_chain::time::Time;
use tine_p2p::{Added, Banned, IpRange, KnownPeer, Status};

use super::envelope::null;
use super::error::{Code, RpcError};
use super::network::{network, network_error, socket_of, wait};
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
        name: "getnodeaddresses",
        category: Category::Network,
        params: &[
            optional("count", Kind::Number, "How many, at most; 0: all. Default 1."),
            optional("network", Kind::Text, "Only ipv4, or only ipv6."),
        ],
        help: "Addresses of peers that this node has met or was told of, in random order.",
        handler: Handler::Now(get_node_addresses),
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
            required(
                "subnet",
                Kind::Text,
                "An IP address, a range of them as in 10.1.0.0/16, or a libp2p identity.",
            ),
            required("command", Kind::Text, "add, or remove."),
            optional("bantime", Kind::Number, "Seconds; 0 (default): 24 hours."),
            optional("absolute", Kind::Flag, "true: bantime is seconds since 1970. Default false."),
        ],
        help: "Refuses an address, a range or an identity, and closes their connections; or takes it back.",
        handler: Handler::Now(set_ban),
    },
];

/// What a ban names: addresses as [`IpRange`] writes them, or an identity as it is.
fn outcast(text: &str) -> Result<String, RpcError> {
    match text.parse::<IpRange>() {
        Ok(range) => Ok(range.to_string()),
        Err(error) if text.contains(['/', '.', ':']) => {
            let message = format!("Error: Invalid IP/Subnet: {text:?} is {error}");
            Err(RpcError::new(Code::ClientInvalidIpOrSubnet, message))
        }
        Err(_) => Ok(text.to_owned()),
    }
}

/// As Core writes it: addresses with their mask; identities as they are.
fn shown(who: &str) -> String {
    who.parse::<IpRange>().map_or_else(|_| who.to_owned(), |range| range.with_mask())
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

/// An address of a peer that was met (Core: of `addrman`).
#[derive(Serialize)]
struct NodeAddress {
    time: u64,
    services: u64,
    address: IpAddr,
    port: u16,
    network: &'static str,
    tine_identity: String,
}

/// TCP and QUIC of one peer share a port and count once.
fn node_addresses(peer: &KnownPeer) -> Vec<NodeAddress> {
    let mut sockets: Vec<_> = peer.addresses.iter().filter_map(|address| socket_of(address)).collect();
    sockets.sort_unstable();
    sockets.dedup();
    let address = |(address, port): (IpAddr, u16)| NodeAddress {
        time: peer.last_seen.as_secs(),
        services: 1,
        address,
        port,
        network: if address.is_ipv4() { "ipv4" } else { "ipv6" },
        tine_identity: peer.identity.clone(),
    };
    sockets.into_iter().map(address).collect()
}

fn get_node_addresses(call: &Call) -> Outcome {
    let count = call.params.integer(0)?.unwrap_or(1);
    let count = usize::try_from(count).map_err(|_| RpcError::invalid("Address count out of range"))?;
    let wanted: Option<String> = call.params.optional(1)?;
    if let Some(other) = wanted.as_deref().filter(|name| !["ipv4", "ipv6"].contains(name)) {
        return Err(RpcError::invalid(format!("Network not recognized: {other}")));
    }
    let known = wait(network(call)?.known()).map_err(|error| network_error(&error))?;
    let is_wanted = |address: &NodeAddress| wanted.as_ref().is_none_or(|wanted| wanted == address.network);
    let mut addresses: Vec<NodeAddress> = known.iter().flat_map(node_addresses).filter(is_wanted).collect();
    addresses.shuffle(&mut rand::rng());
    if count > 0 {
        addresses.truncate(count);
    }
    answer(&addresses)
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
    fn addresses_and_ranges_of_them_are_banned_as_core_writes_them() {
        assert_eq!(outcast("1.2.3.4").as_deref(), Ok("1.2.3.4"));
        assert_eq!(outcast("1.2.3.4/32").as_deref(), Ok("1.2.3.4"));
        assert_eq!(outcast("::1/128").as_deref(), Ok("::1"));
        assert_eq!(outcast("1.2.3.4/24").as_deref(), Ok("1.2.3.0/24"));
        assert_eq!(outcast("1.2.3.4/255.255.0.0").as_deref(), Ok("1.2.0.0/16"));
        assert_eq!(outcast("12D3").as_deref(), Ok("12D3"));
        for wrong in ["1.2.3.4/33", "1.2.3.4/", "x/32", "1.2.3", "::1/129"] {
            assert_eq!(outcast(wrong).map_err(|error| error.code), Err(-30), "{wrong}");
        }
        assert_eq!(
            (shown("1.2.0.0/16"), shown("1.2.3.4"), shown("::1"), shown("12D3")),
            ("1.2.0.0/16".into(), "1.2.3.4/32".into(), "::1/128".into(), "12D3".into())
        );
    }
}
