//! Core's `Network` methods.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use serde::Serialize;
use tine_node::event::Action;
use tine_p2p::{Network, Status};

use super::amount::Coins;
use super::envelope::null;
use super::error::{Code, RpcError};
use super::mempool::fee_rate;
use super::registry::{Call, Category, Handler, Kind, Method, Outcome, answer, optional, required};
use crate::view::PeerView;

/// Of which Bitcoin Core our shapes are: what tools that compare numbers should take us for.
const SHAPES_OF_CORE: u32 = 310_000;
/// Core's number for its peer-to-peer protocol; ours is libp2p and has names, not numbers.
const PROTOCOL_VERSION: u32 = 70_016;

pub(crate) const METHODS: &[Method] = &[
    Method {
        name: "addnode",
        category: Category::Network,
        params: &[
            required("node", Kind::Text, "A multiaddress, or host:port."),
            required("command", Kind::Text, "add: stay connected; remove: no longer; onetry: dial once."),
        ],
        help: "Adds, removes or tries a peer.",
        handler: Handler::Now(add_node),
    },
    Method {
        name: "disconnectnode",
        category: Category::Network,
        params: &[
            optional("address", Kind::Text, "As getpeerinfo shows it."),
            optional("nodeid", Kind::Number, "As getpeerinfo shows it."),
        ],
        help: "Ends the connection with a peer.",
        handler: Handler::Now(disconnect_node),
    },
    Method {
        name: "getconnectioncount",
        category: Category::Network,
        params: &[],
        help: "How many peers are connected.",
        handler: Handler::Quick(|call| answer(&call.context.view().peers.len())),
    },
    Method {
        name: "getnetworkinfo",
        category: Category::Network,
        params: &[],
        help: "The state of the network.",
        handler: Handler::Now(get_network_info),
    },
    Method {
        name: "getpeerinfo",
        category: Category::Network,
        params: &[],
        help: "What is known of each connected peer.",
        handler: Handler::Now(get_peer_info),
    },
];

pub(crate) fn network(call: &Call) -> Result<&Network, RpcError> {
    call.context.network.as_ref().ok_or_else(|| {
        RpcError::new(Code::NotConnected, "Error: Peer-to-peer functionality missing or disabled")
    })
}

pub(crate) fn network_error(error: &tine_p2p::Error) -> RpcError {
    let code = match error {
        tine_p2p::Error::BadAddress { .. } | tine_p2p::Error::BadIdentity(_) => Code::InvalidParameter,
        tine_p2p::Error::Listen { .. }
        | tine_p2p::Error::IdentityFile { .. }
        | tine_p2p::Error::Setup { .. }
        | tine_p2p::Error::Dial { .. } => Code::Misc,
        tine_p2p::Error::Stopped => Code::NotConnected,
    };
    RpcError::new(code, error.to_string())
}

/// Runs what the network offers as async on this worker's thread.
pub(crate) fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Handle::current().block_on(future)
}

fn add_node(call: &Call) -> Outcome {
    let network = network(call)?;
    let node = call.params.text(0)?;
    match call.params.text(1)?.as_str() {
        "add" => wait(network.add(&node)).map_err(|error| network_error(&error))?,
        "onetry" => wait(network.dial(&node)).map_err(|error| network_error(&error))?,
        "remove" => {
            if !wait(network.remove(&node)).map_err(|error| network_error(&error))? {
                let message = "Error: Node could not be removed. It has not been added previously.";
                return Err(RpcError::new(Code::NodeNotAdded, message));
            }
        }
        other => {
            return Err(RpcError::invalid(format!("command must be add, remove or onetry, not {other}")));
        }
    }
    Ok(null())
}

fn disconnect_node(call: &Call) -> Outcome {
    let network = network(call)?;
    let address: Option<String> = call.params.optional(0)?;
    let id = call.params.integer(1)?;
    let status = network.status();
    let peer = match (address.filter(|address| !address.is_empty()), id) {
        (Some(address), None) => status
            .peers
            .iter()
            .find(|peer| peer.address == address || peer.socket == address || peer.identity == address)
            .map(|peer| peer.id),
        (None, Some(id)) => {
            status.peers.iter().map(|peer| peer.id).find(|peer| i64::try_from(peer.0) == Ok(id))
        }
        (Some(_), Some(_)) | (None, None) => {
            return Err(RpcError::invalid("Only one of address and nodeid should be provided."));
        }
    };
    let peer =
        peer.ok_or_else(|| RpcError::new(Code::NodeNotConnected, "Node not found in connected nodes"))?;
    network.send(Action::Disconnect(peer, None)).map_err(|error| network_error(&error))?;
    Ok(null())
}

#[derive(Serialize)]
struct PeerJson {
    id: u64,
    addr: String,
    network: &'static str,
    services: &'static str,
    servicesnames: [&'static str; 1],
    relaytxes: bool,
    lastsend: u64,
    lastrecv: u64,
    last_transaction: u64,
    last_block: u64,
    bytessent: u64,
    bytesrecv: u64,
    conntime: u64,
    timeoffset: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pingtime: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    minping: Option<f64>,
    version: u32,
    subver: String,
    inbound: bool,
    bip152_hb_to: bool,
    bip152_hb_from: bool,
    startingheight: i64,
    presynced_headers: i64,
    synced_headers: i64,
    synced_blocks: i64,
    inflight: [u32; 0],
    addr_relay_enabled: bool,
    addr_processed: u64,
    addr_rate_limited: u64,
    permissions: [&'static str; 0],
    minfeefilter: Coins,
    bytessent_per_msg: BTreeMap<&'static str, u64>,
    bytesrecv_per_msg: BTreeMap<&'static str, u64>,
    connection_type: &'static str,
    transport_protocol_type: String,
    session_id: &'static str,
    tine_identity: String,
    tine_score: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    tine_best_hash: Option<tine_chain::hash::BlockHash>,
}

/// Which of Core's networks an address belongs to.
fn address_network(address: &str) -> &'static str {
    if address.starts_with("/ip6/") || address.starts_with('[') { "ipv6" } else { "ipv4" }
}

/// Counts of addresses and bytes by message are Core's notions and not kept: they are 0 or empty. So is a time before
/// its first message, as in Core.
fn peer_json(call: &Call, peer: &PeerView, status: Option<&Status>) -> PeerJson {
    let link = status.and_then(|status| status.peers.iter().find(|link| link.id == peer.id));
    let seconds = |duration: std::time::Duration| duration.as_secs_f64();
    // when both sides dialled at once the network keeps one of the two connections, and knows which
    let outbound = link.map_or(peer.info.outbound, |link| link.outbound);
    let at = |time: Option<tine_chain::time::Time>| time.map_or(0, |time| time.as_secs());
    let best = peer.best_hash.map_or(-1, |_| i64::from(peer.best_height));
    PeerJson {
        id: peer.id.0,
        addr: link.map_or_else(|| peer.info.address.clone(), |link| link.socket.clone()),
        network: address_network(&peer.info.address),
        services: "0000000000000001",
        servicesnames: ["NETWORK"],
        relaytxes: true,
        lastsend: at(link.and_then(|link| link.last_sent)),
        lastrecv: at(link.and_then(|link| link.last_received)),
        last_transaction: at(peer.last_transaction),
        last_block: at(peer.last_block),
        bytessent: link.map_or(0, |link| link.bytes_sent),
        bytesrecv: link.map_or(0, |link| link.bytes_received),
        conntime: peer.connected.as_secs(),
        timeoffset: 0,
        pingtime: link.and_then(|link| link.ping).map(seconds),
        minping: link.and_then(|link| link.ping_min).map(seconds),
        version: PROTOCOL_VERSION,
        subver: peer.info.agent.clone(),
        inbound: !outbound,
        bip152_hb_to: true,
        bip152_hb_from: true,
        startingheight: peer.starting_height.map_or(-1, i64::from),
        presynced_headers: -1,
        synced_headers: best,
        synced_blocks: best,
        inflight: [],
        addr_relay_enabled: true,
        addr_processed: 0,
        addr_rate_limited: 0,
        permissions: [],
        minfeefilter: fee_rate(call.context.min_relay_fee_rate),
        bytessent_per_msg: BTreeMap::new(),
        bytesrecv_per_msg: BTreeMap::new(),
        connection_type: if outbound { "outbound-full-relay" } else { "inbound" },
        transport_protocol_type: link.map_or_else(|| "tcp".to_owned(), |link| link.transport.to_owned()),
        session_id: "",
        tine_identity: peer.info.identity.clone(),
        tine_score: peer.score,
        tine_best_hash: peer.best_hash,
    }
}

fn get_peer_info(call: &Call) -> Outcome {
    let status: Option<Arc<Status>> = call.context.network.as_ref().map(Network::status);
    let view = call.context.view();
    let peers: Vec<PeerJson> =
        view.peers.iter().map(|peer| peer_json(call, peer, status.as_deref())).collect();
    answer(&peers)
}

#[derive(Serialize)]
struct NetworkJson {
    name: &'static str,
    limited: bool,
    reachable: bool,
    proxy: &'static str,
    proxy_randomize_credentials: bool,
}

#[derive(Serialize)]
struct LocalAddress {
    address: String,
    port: u16,
    score: u32,
}

#[derive(Serialize)]
struct NetworkInfo {
    version: u32,
    subversion: String,
    protocolversion: u32,
    localservices: &'static str,
    localservicesnames: [&'static str; 1],
    localrelay: bool,
    timeoffset: i64,
    connections: usize,
    connections_in: usize,
    connections_out: usize,
    networkactive: bool,
    networks: Vec<NetworkJson>,
    relayfee: Coins,
    incrementalfee: Coins,
    localaddresses: Vec<LocalAddress>,
    warnings: [&'static str; 0],
    tine_network: &'static str,
    tine_identity: Option<String>,
}

/// Address and port of `/ip4/1.2.3.4/tcp/18444/…` and the like.
pub(crate) fn socket_of(multiaddress: &str) -> Option<(IpAddr, u16)> {
    let mut parts = multiaddress.split('/').skip(2);
    let address = parts.next()?.parse().ok()?;
    Some((address, parts.nth(1)?.parse().ok()?))
}

/// `/ip4/1.2.3.4/tcp/18444/…` and the like as address and port.
fn local_address(multiaddress: &str) -> Option<LocalAddress> {
    let mut parts = multiaddress.split('/').skip(2);
    let address = parts.next()?.to_owned();
    let port = parts.nth(1)?.parse().ok()?;
    Some(LocalAddress { address, port, score: 1 })
}

/// Where others reach us; TCP and QUIC share a port and count once.
fn local_addresses(listen: &[String]) -> Vec<LocalAddress> {
    let mut addresses: Vec<_> = listen.iter().filter_map(|address| local_address(address)).collect();
    addresses.sort_by(|a, b| (&a.address, a.port).cmp(&(&b.address, b.port)));
    addresses.dedup_by(|a, b| (&a.address, a.port) == (&b.address, b.port));
    addresses
}

fn get_network_info(call: &Call) -> Outcome {
    let context = &call.context;
    let view = context.view();
    let status = context.network.as_ref().map(Network::status);
    let links = status.as_ref().map_or(&[][..], |status| &status.peers);
    let outbound = links.iter().filter(|link| link.outbound).count();
    let fee = fee_rate(context.min_relay_fee_rate);
    let reachable = status.is_some();
    let networks = ["ipv4", "ipv6"].map(|name| NetworkJson {
        name,
        limited: !reachable,
        reachable,
        proxy: "",
        proxy_randomize_credentials: false,
    });
    let listen = status.as_ref().map_or_else(Vec::new, |status| status.listen.clone());
    answer(&NetworkInfo {
        version: SHAPES_OF_CORE,
        subversion: format!("/tine:{}/", env!("CARGO_PKG_VERSION")),
        protocolversion: PROTOCOL_VERSION,
        localservices: "0000000000000001",
        localservicesnames: ["NETWORK"],
        localrelay: true,
        timeoffset: 0,
        connections: links.len(),
        connections_in: links.len() - outbound,
        connections_out: outbound,
        networkactive: reachable,
        networks: networks.into(),
        relayfee: fee,
        incrementalfee: fee,
        localaddresses: local_addresses(&listen),
        warnings: [],
        tine_network: view.network.name(),
        tine_identity: context.network.as_ref().map(|network| network.identity().to_owned()),
    })
}
