//! Who is connected, and by which number the node knows them.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use libp2p::swarm::ConnectionId;
use libp2p::{Multiaddr, PeerId as Identity};
use tine_chain::time::Time;
use tine_node::event::{PeerId, PeerInfo, RequestId};

use crate::address::{ip_of, socket_of, transport_of};
use crate::network::Peer;
use crate::now;

/// The longest user agent that is kept.
const MAX_AGENT: usize = 64;

/// The connection of a peer.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) id: ConnectionId,
    pub(crate) outbound: bool,
    /// Without `/p2p/…`.
    pub(crate) address: Multiaddr,
}

/// A peer from its connection's start to its end.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) number: PeerId,
    pub(crate) identity: Identity,
    pub(crate) link: Link,
    /// Whether it has shown that it is of our chain.
    pub(crate) identified: bool,
    /// Whether it wants blocks gossiped: what is published from now on reaches it.
    pub(crate) subscribed: bool,
    /// Whether the node has been told of it.
    pub(crate) announced: bool,
    pub(crate) agent: String,
    pub(crate) opened: Instant,
    since: Time,
    ping: Option<Duration>,
    ping_min: Option<Duration>,
    bytes_sent: u64,
    bytes_received: u64,
    last_sent: Option<Time>,
    last_received: Option<Time>,
    /// Bytes of responses that are on their way to it.
    pub(crate) response_bytes: usize,
    /// Requests to it that are under way.
    pub(crate) under_way: usize,
    /// Requests to it that wait for those.
    pub(crate) waiting: VecDeque<(RequestId, Vec<u8>)>,
    /// What the node holds against it, for gossip's score.
    pub(crate) penalty: f64,
}

impl Session {
    fn new(number: PeerId, identity: Identity, link: Link) -> Self {
        Self {
            number,
            identity,
            link,
            identified: false,
            subscribed: false,
            announced: false,
            agent: String::new(),
            opened: Instant::now(),
            since: now(),
            ping: None,
            ping_min: None,
            bytes_sent: 0,
            bytes_received: 0,
            last_sent: None,
            last_received: None,
            response_bytes: 0,
            under_way: 0,
            waiting: VecDeque::new(),
            penalty: 0.0,
        }
    }

    pub(crate) fn info(&self) -> PeerInfo {
        let peer = self.describe();
        PeerInfo {
            identity: peer.identity,
            address: peer.address,
            outbound: peer.outbound,
            agent: peer.agent,
        }
    }

    pub(crate) fn ip(&self) -> Option<IpAddr> {
        ip_of(&self.link.address)
    }

    pub(crate) fn is_outbound(&self) -> bool {
        self.link.outbound
    }

    pub(crate) fn describe(&self) -> Peer {
        let link = &self.link;
        Peer {
            id: self.number,
            identity: self.identity.to_string(),
            address: link.address.to_string(),
            socket: socket_of(&link.address).map(|socket| socket.to_string()).unwrap_or_default(),
            transport: transport_of(&link.address).unwrap_or("other"),
            outbound: link.outbound,
            agent: self.agent.clone(),
            since: self.since,
            ping: self.ping,
            ping_min: self.ping_min,
            bytes_sent: self.bytes_sent,
            bytes_received: self.bytes_received,
            last_sent: self.last_sent,
            last_received: self.last_received,
        }
    }

    /// Keeps what can be shown to a person of the user agent that the peer gave itself.
    pub(crate) fn set_agent(&mut self, agent: &str) {
        self.agent = agent.chars().filter(|c| c.is_ascii_graphic() || *c == ' ').take(MAX_AGENT).collect();
    }

    /// Counts a message that goes to the peer.
    pub(crate) fn sent(&mut self, bytes: usize) {
        self.bytes_sent += bytes as u64;
        self.last_sent = Some(now());
    }

    /// Counts a message that came from the peer.
    pub(crate) fn received(&mut self, bytes: usize) {
        self.bytes_received += bytes as u64;
        self.last_received = Some(now());
    }

    pub(crate) fn measured(&mut self, round_trip: Duration) {
        self.ping = Some(round_trip);
        self.ping_min = Some(self.ping_min.map_or(round_trip, |least| least.min(round_trip)));
    }
}

/// All sessions.
#[derive(Debug, Default)]
pub(crate) struct Sessions {
    by_identity: HashMap<Identity, Session>,
    by_number: BTreeMap<PeerId, Identity>,
    next: u64,
}

impl Sessions {
    /// Notes a new connection, which is its peer's only one: the gate lets no second one in.
    pub(crate) fn open(&mut self, identity: Identity, link: Link) -> &mut Session {
        let number = PeerId(self.next);
        self.next += 1;
        self.by_number.insert(number, identity);
        self.by_identity.entry(identity).insert_entry(Session::new(number, identity, link)).into_mut()
    }

    /// Notes that a connection is gone, and with it the session, which is returned.
    pub(crate) fn close(&mut self, identity: &Identity, connection: ConnectionId) -> Option<Session> {
        self.by_identity.get(identity).filter(|session| session.link.id == connection)?;
        let session = self.by_identity.remove(identity)?;
        self.by_number.remove(&session.number);
        Some(session)
    }

    pub(crate) fn get(&self, identity: &Identity) -> Option<&Session> {
        self.by_identity.get(identity)
    }

    pub(crate) fn get_mut(&mut self, identity: &Identity) -> Option<&mut Session> {
        self.by_identity.get_mut(identity)
    }

    pub(crate) fn numbered(&mut self, number: PeerId) -> Option<&mut Session> {
        let identity = self.by_number.get(&number)?;
        self.by_identity.get_mut(identity)
    }

    /// Sessions in the order in which they began.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Session> {
        self.by_number.values().filter_map(|identity| self.by_identity.get(identity))
    }

    pub(crate) fn values_mut(&mut self) -> impl Iterator<Item = &mut Session> {
        self.by_identity.values_mut()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(id: usize) -> Link {
        let address = "/ip4/127.0.0.1/tcp/1".parse().expect("a multiaddress");
        Link { id: ConnectionId::new_unchecked(id), outbound: true, address }
    }

    #[test]
    fn a_session_ends_with_its_connection_and_its_number_is_not_used_again() {
        let peer = Identity::random();
        let mut sessions = Sessions::default();
        let first = sessions.open(peer, link(1)).number;
        assert!(sessions.close(&peer, ConnectionId::new_unchecked(2)).is_none());
        assert!(sessions.close(&peer, ConnectionId::new_unchecked(1)).is_some());
        assert!(sessions.numbered(first).is_none());
        assert_ne!(sessions.open(peer, link(3)).number, first);
    }

    #[test]
    fn an_agent_is_made_fit_to_be_shown() {
        let mut sessions = Sessions::default();
        let session = sessions.open(Identity::random(), link(1));
        session.set_agent(&format!("/tine:1/\x1b[31m\n{}", "x".repeat(1_000)));
        assert!(session.agent.starts_with("/tine:1/[31mxx"));
        assert_eq!(session.agent.len(), MAX_AGENT);
    }
}
