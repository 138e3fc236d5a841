//! The swarm: every protocol, with every limit set.

use std::num::{NonZeroU8, NonZeroUsize};
use std::time::Duration;

use libp2p::identity::Keypair;
use libp2p::kad::store::{MemoryStore, MemoryStoreConfig};
use libp2p::request_response::{self, ProtocolSupport};
use libp2p::swarm::NetworkBehaviour;
use libp2p::swarm::behaviour::toggle::Toggle;
use libp2p::{
    PeerId, StreamProtocol, Swarm, SwarmBuilder, connection_limits, identify, kad, mdns,
    memory_connection_limits, noise, ping, quic, tcp,
};

use crate::bans::Bans;
use crate::codec::SyncCodec;
use crate::config::{Config, Limits};
use crate::gate::Gate;
use crate::gossip::{self, Topics};
use crate::muxer;
use crate::network::Error;

/// Requests to one peer that may be under way at once; further ones wait.
pub(crate) const MAX_REQUESTS_UNDER_WAY: usize = 8;
/// Requests both ways over one connection.
const MAX_REQUEST_STREAMS: usize = 2 * MAX_REQUESTS_UNDER_WAY;
/// From the first byte to an encrypted, multiplexed connection.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Streams of one connection whose protocol is not agreed on yet.
const MAX_NEGOTIATING: usize = 16;
/// Connections whose handshake is not over, each way.
const MAX_PENDING: u32 = 32;
/// The largest Kademlia message: 20 peers with their addresses.
const MAX_KADEMLIA_PACKET: usize = 16 * 1024;
/// A connection that nobody uses is kept: that it is alive, ping sees to.
const IDLE_TIMEOUT: Duration = Duration::from_secs(24 * 60 * 60);

/// All protocols of a node.
#[derive(NetworkBehaviour)]
pub(crate) struct Behaviour {
    /// First, so that what it refuses costs the others nothing.
    pub(crate) gate: Gate,
    pub(crate) limits: connection_limits::Behaviour,
    pub(crate) memory: Toggle<memory_connection_limits::Behaviour>,
    pub(crate) identify: identify::Behaviour,
    pub(crate) ping: ping::Behaviour,
    pub(crate) gossip: gossip::Behaviour,
    pub(crate) sync: request_response::Behaviour<SyncCodec>,
    pub(crate) kademlia: Toggle<kad::Behaviour<MemoryStore>>,
    pub(crate) mdns: Toggle<mdns::tokio::Behaviour>,
}

/// The name by which nodes of one chain know each other: identify's protocol version.
pub(crate) fn protocol_version(chain: &str) -> String {
    format!("/tine/{chain}/1")
}

fn protocol(chain: &str, name: &str) -> StreamProtocol {
    StreamProtocol::try_from_owned(format!("/tine/{chain}/{name}/1")).expect("it begins with a slash")
}

/// Builds the swarm; it listens nowhere yet.
pub(crate) fn swarm(
    config: &Config,
    keypair: Keypair,
    topics: &Topics,
    bans: Bans,
) -> Result<Swarm<Behaviour>, Error> {
    let behaviour = behaviour(config, &keypair, topics, bans)?;
    let swarm = SwarmBuilder::with_existing_identity(keypair)
        .with_tokio()
        .with_tcp(
            tcp::Config::new().nodelay(true).listen_backlog(MAX_PENDING),
            noise::Config::new,
            muxer::Config::bounded,
        )
        .map_err(|error| Error::Setup { part: "noise", reason: error.to_string() })?
        .with_quic_config(bounded_quic)
        .with_behaviour(|_| behaviour)
        .map_err(|error| Error::Setup { part: "behaviour", reason: error.to_string() })?
        .with_swarm_config(|swarm| {
            swarm
                .with_idle_connection_timeout(IDLE_TIMEOUT)
                .with_max_negotiating_inbound_streams(MAX_NEGOTIATING)
                .with_notify_handler_buffer_size(NonZeroUsize::new(32).expect("not zero"))
                .with_per_connection_event_buffer_size(16)
                // One address of a peer after the other, so that one dial makes one connection.
                .with_dial_concurrency_factor(NonZeroU8::MIN)
        })
        .with_connection_timeout(HANDSHAKE_TIMEOUT)
        .build();
    Ok(swarm)
}

fn bounded_quic(mut config: quic::Config) -> quic::Config {
    config.handshake_timeout = HANDSHAKE_TIMEOUT;
    config.max_idle_timeout = 30_000;
    config.keep_alive_interval = Duration::from_secs(5);
    config.max_concurrent_stream_limit = muxer::MAX_STREAMS as u32;
    config.max_stream_data = 1 << 20;
    config.max_connection_data = muxer::MAX_WINDOW as u32;
    config
}

fn behaviour(config: &Config, keypair: &Keypair, topics: &Topics, bans: Bans) -> Result<Behaviour, Error> {
    let chain = config.chain_name();
    let identity = keypair.public().to_peer_id();
    let identify = identify::Config::new(protocol_version(&chain), keypair.public())
        .with_agent_version(config.agent.clone())
        .with_interval(Duration::from_secs(300))
        .with_push_listen_addr_updates(true)
        .with_cache_size(0);
    let ping = ping::Config::new()
        .with_interval(config.limits.ping_interval)
        .with_timeout(config.limits.ping_interval.max(Duration::from_secs(10)));
    let sync = request_response::Config::default()
        .with_request_timeout(config.limits.request_timeout)
        .with_max_concurrent_streams(MAX_REQUEST_STREAMS);
    Ok(Behaviour {
        gate: Gate::new(&config.limits, bans),
        limits: connection_limits::Behaviour::new(connection_limits(&config.limits)),
        memory: config.limits.process_bytes.map(memory_connection_limits::Behaviour::with_max_bytes).into(),
        identify: identify::Behaviour::new(identify),
        ping: ping::Behaviour::new(ping),
        gossip: gossip::behaviour(&chain, topics)?,
        sync: request_response::Behaviour::new([(protocol(&chain, "sync"), ProtocolSupport::Full)], sync),
        kademlia: config.kademlia.then(|| kademlia(&chain, identity)).into(),
        mdns: config.mdns.then(|| multicast(identity)).flatten().into(),
    })
}

fn connection_limits(limits: &Limits) -> connection_limits::ConnectionLimits {
    connection_limits::ConnectionLimits::default()
        .with_max_pending_incoming(Some(MAX_PENDING))
        .with_max_pending_outgoing(Some(MAX_PENDING))
        .with_max_established_incoming(Some(limits.inbound))
        .with_max_established_outgoing(Some(limits.outbound))
        .with_max_established(Some(limits.inbound.saturating_add(limits.outbound)))
    // That a peer has one connection, the gate sees to.
}

/// Kademlia finds peers and nothing else: it keeps no records, and takes into its table only whom we have
/// identified ourselves.
fn kademlia(chain: &str, identity: PeerId) -> kad::Behaviour<MemoryStore> {
    let mut config = kad::Config::new(protocol(chain, "kad"));
    config
        .set_kbucket_inserts(kad::BucketInserts::Manual)
        .set_record_filtering(kad::StoreInserts::FilterBoth)
        .set_caching(kad::Caching::Disabled)
        .set_record_ttl(None)
        .set_provider_record_ttl(None)
        .set_replication_interval(None)
        .set_publication_interval(None)
        .set_provider_publication_interval(None)
        .set_query_timeout(Duration::from_secs(20))
        .set_substreams_timeout(Duration::from_secs(10))
        .set_max_packet_size(MAX_KADEMLIA_PACKET)
        .set_parallelism(kad::ALPHA_VALUE)
        .set_replication_factor(kad::K_VALUE)
        .set_kbucket_size(kad::K_VALUE)
        .disjoint_query_paths(true)
        .set_periodic_bootstrap_interval(Some(Duration::from_secs(60)));
    let store = MemoryStoreConfig {
        max_records: 0,
        max_value_bytes: 0,
        max_providers_per_key: 0,
        max_provided_keys: 0,
    };
    let mut behaviour =
        kad::Behaviour::with_config(identity, MemoryStore::with_config(identity, store), config);
    behaviour.set_mode(Some(kad::Mode::Server));
    behaviour
}

/// Without multicast, as in some containers, there is the rest of discovery.
fn multicast(identity: PeerId) -> Option<mdns::tokio::Behaviour> {
    let config = mdns::Config {
        ttl: Duration::from_secs(360),
        query_interval: Duration::from_secs(60),
        enable_ipv6: false,
    };
    mdns::tokio::Behaviour::new(config, identity)
        .inspect_err(|error| tracing::warn!(%error, "no discovery by multicast"))
        .ok()
}
