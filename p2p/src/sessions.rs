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

/// Connections made within this time of each other may come from two nodes that dialled each other at once.
const AT_ONCE: Duration = Duration::from_secs(3);
/// The longest user agent that is kept.
const MAX_AGENT: usize = 64;

/// One connection.
#[derive(Debug, Clone)]
pub(crate) struct Link {
    pub(crate) id: ConnectionId,
    pub(crate) outbound: bool,
    /// Without `/p2p/…`.
    pub(crate) address: Multiaddr,
    pub(crate) opened: Instant,
}

/// A peer from its first connection's start to its last one's end.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) number: PeerId,
    pub(crate) identity: Identity,
    pub(crate) links: Vec<Link>,
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
    fn new(number: PeerId, identity: Identity) -> Self {
        Self {
            number,
            identity,
            links: Vec::new(),
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

    /// The connection that stands for the session: its oldest.
    fn link(&self) -> &Link {
        self.links.first().expect("a session ends with its last connection")
    }

    pub(crate) fn ip(&self) -> Option<IpAddr> {
        ip_of(&self.link().address)
    }

    pub(crate) fn is_outbound(&self) -> bool {
        self.link().outbound
    }

    pub(crate) fn describe(&self) -> Peer {
        let link = self.link();
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
            connections: self.links.len(),
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

    /// The connection that is one too many, if there is one that we are to close.
    ///
    /// Two nodes that dial each other at once have two connections. Both see it and both keep the one that the
    /// lesser identity dialled. Of two in one direction, whoever dialled closes the later one. But a peer that dials
    /// us long after has lost the connection that we still think is there: it was killed, or its machine slept.
    pub(crate) fn surplus(&self, own: &Identity) -> Option<ConnectionId> {
        let [first, .., last] = &self.links[..] else { return None };
        if !last.outbound && last.opened.duration_since(first.opened) > AT_ONCE {
            return Some(first.id);
        }
        let keeps_outbound = own < &self.identity;
        let is_mixed =
            self.links.iter().any(|link| link.outbound) && self.links.iter().any(|link| !link.outbound);
        if is_mixed {
            return self.links.iter().find(|link| link.outbound != keeps_outbound).map(|link| link.id);
        }
        self.links.last().filter(|link| link.outbound).map(|link| link.id)
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
    /// Notes a new connection.
    pub(crate) fn open(&mut self, identity: Identity, link: Link) -> &mut Session {
        let session = self.by_identity.entry(identity).or_insert_with(|| {
            let number = PeerId(self.next);
            self.next += 1;
            self.by_number.insert(number, identity);
            Session::new(number, identity)
        });
        session.links.push(link);
        session
    }

    /// Notes that a connection is gone. If it was the peer's last, the session has ended and is returned.
    pub(crate) fn close(&mut self, identity: &Identity, connection: ConnectionId) -> Option<Session> {
        let session = self.by_identity.get_mut(identity)?;
        if session.links.len() == 1 && session.links[0].id == connection {
            self.by_number.remove(&session.number);
            return self.by_identity.remove(identity);
        }
        session.links.retain(|link| link.id != connection);
        None
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

    fn link(id: usize, outbound: bool) -> Link {
        let address = "/ip4/127.0.0.1/tcp/1".parse().expect("a multiaddress");
        Link { id: ConnectionId::new_unchecked(id), outbound, address, opened: Instant::now() }
    }

    fn pair() -> (Identity, Identity) {
        let (a, b) = (Identity::random(), Identity::random());
        (a.min(b), a.max(b))
    }

    #[test]
    fn both_sides_of_a_double_connection_keep_the_same_one() {
        let (less, greater) = pair();
        let mut sessions = Sessions::default();
        // Connection 1 was dialled by the lesser one, connection 2 by the greater one.
        sessions.open(greater, link(1, true));
        let at_less = sessions.open(greater, link(2, false)).surplus(&less);
        let mut sessions = Sessions::default();
        sessions.open(less, link(2, true));
        let at_greater = sessions.open(less, link(1, false)).surplus(&greater);
        assert_eq!(
            (at_less, at_greater),
            (Some(ConnectionId::new_unchecked(2)), Some(ConnectionId::new_unchecked(2)))
        );
    }

    #[test]
    fn of_two_in_one_direction_the_dialler_closes_the_later() {
        let (less, greater) = pair();
        let mut sessions = Sessions::default();
        sessions.open(greater, link(1, true));
        assert_eq!(
            sessions.open(greater, link(2, true)).surplus(&less),
            Some(ConnectionId::new_unchecked(2))
        );
        let mut sessions = Sessions::default();
        sessions.open(less, link(1, false));
        assert_eq!(sessions.open(less, link(2, false)).surplus(&greater), None);
    }

    #[test]
    fn a_peer_that_dials_again_long_after_has_lost_the_older_connection() {
        let (less, greater) = pair();
        for (own, peer) in [(less, greater), (greater, less)] {
            for old_was_outbound in [true, false] {
                let mut sessions = Sessions::default();
                sessions.open(peer, link(1, old_was_outbound));
                let later = Instant::now() + 2 * AT_ONCE;
                let session = sessions.open(peer, Link { opened: later, ..link(2, false) });
                assert_eq!(session.surplus(&own), Some(ConnectionId::new_unchecked(1)));
            }
        }
    }

    #[test]
    fn a_session_ends_with_its_last_connection_and_its_number_is_not_used_again() {
        let (_, peer) = pair();
        let mut sessions = Sessions::default();
        let first = sessions.open(peer, link(1, true)).number;
        assert_eq!(sessions.open(peer, link(2, false)).number, first);
        assert!(sessions.close(&peer, ConnectionId::new_unchecked(1)).is_none());
        assert!(sessions.close(&peer, ConnectionId::new_unchecked(2)).is_some());
        assert!(sessions.numbered(first).is_none());
        assert_ne!(sessions.open(peer, link(3, true)).number, first);
    }

    #[test]
    fn an_agent_is_made_fit_to_be_shown() {
        let (_, peer) = pair();
        let mut sessions = Sessions::default();
        let session = sessions.open(peer, link(1, true));
        session.set_agent(&format!("/tine:1/\x1b[31m\n{}", "x".repeat(1_000)));
        assert!(session.agent.starts_with("/tine:1/[31mxx"));
        assert_eq!(session.agent.len(), MAX_AGENT);
    }
}
