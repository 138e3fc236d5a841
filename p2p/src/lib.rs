//! How it is carried: libp2p, bounded.
//!
//! [`start`] makes one task that owns the swarm: TCP and QUIC, noise, yamux, identify, ping, gossipsub,
//! request-response, Kademlia and multicast discovery. The node's [`Event`]s come out of a channel, its
//! [`Action`](tine_node::event::Action)s go in through [`Network::send`]. Nothing of libp2p is visible outside.
//!
//! What holds here:
//! - Nothing grows without bound. When the node is slow, its events fill their channel and the swarm is not
//!   polled until there is room: what peers send then waits in their sockets. Actions are taken all the while, so
//!   that neither side can wait for the other.
//! - A peer is announced ([`Event::Connected`]) once it has shown that it speaks for our chain, and not before.
//! - Nothing gossiped is forwarded before the node has judged it.
//! - A cut ([`Network::set_cut`]) closes sockets and refuses new ones, by identity, in both directions.
//!
//! Left out on purpose: relaying through third nodes, hole punching, records in the DHT, and peer exchange by
//! gossipsub. The node does not need them, and each widens what a stranger can do.

mod address;
mod bans;
mod behaviour;
mod book;
mod codec;
mod config;
mod gate;
mod gossip;
mod identity;
mod muxer;
mod network;
mod peers_file;
mod range;
mod service;
mod sessions;
pub mod testing;

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use tine_chain::time::Time;
use tine_node::event::Event;
use tokio::sync::{mpsc, watch};

pub use config::{Config, Identity, Limits};
pub use identity::identity_of;
pub use network::{Added, Banned, Counters, Error, KnownPeer, Network, Peer, Status};
pub use range::{IpRange, ParseIpRangeError};

use crate::network::{COMMAND_QUEUE, EVENT_QUEUE};
use crate::service::Service;

/// Starts the network. Must be called within a tokio runtime.
///
/// When it returns, every listener is bound: [`Network::listen_addresses`] has the ports that were really taken.
///
/// # Errors
/// [`Error`], when an address is none or is taken, or the identity file can't be used. A peers file that can't
/// be read is no error: it is reported to the log and replaced.
pub async fn start(config: Config) -> Result<(Network, mpsc::Receiver<Event>), Error> {
    let (commands, commands_taken) = mpsc::channel(COMMAND_QUEUE);
    let (events, events_taken) = mpsc::channel(EVENT_QUEUE);
    let (status_kept, status) = watch::channel(Arc::default());
    let mut service = Service::new(&config, commands_taken, events, status_kept)?;
    service.listen(&config.listen).await?;
    let identity = service.identity().to_string().into();
    tokio::spawn(service.run());
    Ok((Network { commands, status, identity }, events_taken))
}

/// The wall clock: this crate is where time comes in.
pub(crate) fn now() -> Time {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Time(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
