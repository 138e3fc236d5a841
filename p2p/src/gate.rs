//! Who may be connected at all: the one place that refuses for a cut, a ban, too many from one address, or because the
//! peer is connected already.
//!
//! There is never a second connection with one peer, not even for a moment. Gossipsub keeps one queue for all
//! connections of a peer, from which each takes what it can: what a surplus connection takes just before it is closed
//! (the subscriptions, said once) is lost, and one that is opened beside another is not woken when the queue fills, so
//! that blocks wait in it for the next ping. When two nodes dial each other at the same moment and each refuses the
//! other's connection, both are closed, and the lesser identity dials again first.
//!
//! How many connections there may be in total is libp2p's `connection_limits`' business.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::convert::Infallible;
use std::net::IpAddr;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use libp2p::core::Endpoint;
use libp2p::core::transport::PortUse;
use libp2p::swarm::behaviour::{ConnectionClosed, ConnectionEstablished, ListenFailure};
use libp2p::swarm::{
    CloseConnection, ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, THandler, THandlerInEvent,
    THandlerOutEvent, ToSwarm, dummy,
};
use libp2p::{Multiaddr, PeerId};
use tine_chain::time::Time;

use crate::address::{Subnet, ip_of, subnet_of};
use crate::bans::{Bans, Term};
use crate::config::Limits;
use crate::now;
use crate::range::IpRange;

/// How long the answer to a ping may take on a connection that is alive, before a peer that dials is believed.
const PING_GRACE: Duration = Duration::from_secs(1);

/// Why a connection was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refused {
    /// We are cut off from this identity.
    #[error("cut off from this peer")]
    Cut,
    /// The identity or the address is banned.
    #[error("this peer is banned")]
    Banned,
    /// There is a connection with this identity.
    #[error("connected already")]
    Connected,
    /// Enough inbound connections from this address.
    #[error("too many connections from this address")]
    Address,
    /// Enough inbound connections from this subnet.
    #[error("too many connections from this subnet")]
    Subnet,
}

/// The behaviour that refuses.
#[derive(Debug)]
pub(crate) struct Gate {
    /// Identities that we are cut off from.
    cut: BTreeSet<PeerId>,
    pub(crate) bans: Bans,
    per_address: usize,
    per_subnet: usize,
    spare_loopback: bool,
    /// Inbound connections, pending and established, that count.
    inbound: HashMap<ConnectionId, IpAddr>,
    /// Connected peers: since when they dial us all the same, and have answered no ping.
    connected: HashMap<PeerId, Option<Instant>>,
    /// A peer that still dials after so long, with no ping answered meanwhile, has lost its connection.
    lost_after: Duration,
    to_close: VecDeque<PeerId>,
    waker: Option<Waker>,
}

impl Gate {
    pub(crate) fn new(limits: &Limits, bans: Bans) -> Self {
        Self {
            cut: BTreeSet::new(),
            bans,
            per_address: limits.per_address,
            per_subnet: limits.per_subnet,
            spare_loopback: limits.spare_loopback,
            inbound: HashMap::new(),
            connected: HashMap::new(),
            lost_after: limits.ping_interval + PING_GRACE,
            to_close: VecDeque::new(),
            waker: None,
        }
    }

    /// Cuts off from these identities and no others, and closes their connections.
    pub(crate) fn set_cut(&mut self, cut: BTreeSet<PeerId>) {
        self.to_close.extend(cut.difference(&self.cut));
        self.cut = cut;
        self.wake();
    }

    pub(crate) fn cut(&self) -> &BTreeSet<PeerId> {
        &self.cut
    }

    /// Refuses this identity until then, and its address too where that is no shared loopback.
    pub(crate) fn ban(&mut self, identity: PeerId, ip: Option<IpAddr>, until: Time) {
        let term = Term { since: now(), until };
        self.bans.ban_identity(identity, term);
        if let Some(ip) = ip.filter(|ip| !self.is_spared(*ip)) {
            self.bans.ban_addresses(IpRange::one(ip), term);
        }
        self.to_close.push_back(identity);
        self.wake();
    }

    /// Refuses these addresses until then, even loopback, and closes the connections of `there`, who have them.
    pub(crate) fn ban_addresses(&mut self, range: IpRange, until: Time, there: impl Iterator<Item = PeerId>) {
        self.bans.ban_addresses(range, Term { since: now(), until });
        self.to_close.extend(there);
        self.wake();
    }

    /// Whether a connection with this identity would be refused.
    pub(crate) fn refuses(&self, identity: &PeerId) -> Option<Refused> {
        if self.cut.contains(identity) {
            return Some(Refused::Cut);
        }
        self.bans.is_banned(identity, now()).then_some(Refused::Banned)
    }

    /// The connection with this peer is alive: it has answered a ping.
    pub(crate) fn heard(&mut self, identity: &PeerId) {
        if let Some(doubted) = self.connected.get_mut(identity) {
            *doubted = None;
        }
    }

    /// A connected peer dials us. Once, that may be because it does not know who it is that it dials. If it goes on, it
    /// was killed, or its machine slept, and what we hold is no connection any more.
    fn doubt(&mut self, identity: &PeerId) {
        let Some(doubted) = self.connected.get_mut(identity) else { return };
        if doubted.get_or_insert_with(Instant::now).elapsed() > self.lost_after {
            self.to_close.push_back(*identity);
            self.wake();
        }
    }

    fn is_spared(&self, ip: IpAddr) -> bool {
        self.spare_loopback && ip.to_canonical().is_loopback()
    }

    fn admit(&self, identity: &PeerId) -> Result<dummy::ConnectionHandler, ConnectionDenied> {
        let connected = self.connected.contains_key(identity).then_some(Refused::Connected);
        match self.refuses(identity).or(connected) {
            Some(refused) => Err(ConnectionDenied::new(refused)),
            None => Ok(dummy::ConnectionHandler),
        }
    }

    fn refuses_address(&self, ip: IpAddr) -> Option<Refused> {
        if self.bans.is_address_banned(ip, now()) {
            return Some(Refused::Banned);
        }
        if self.is_spared(ip) {
            return None;
        }
        let subnet: Subnet = subnet_of(ip);
        if self.inbound.values().filter(|other| **other == ip).count() >= self.per_address {
            return Some(Refused::Address);
        }
        let neighbours = self.inbound.values().filter(|other| subnet_of(**other) == subnet).count();
        (neighbours >= self.per_subnet).then_some(Refused::Subnet)
    }

    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

impl NetworkBehaviour for Gate {
    type ConnectionHandler = dummy::ConnectionHandler;
    type ToSwarm = Infallible;

    fn handle_pending_inbound_connection(
        &mut self,
        connection: ConnectionId,
        _local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<(), ConnectionDenied> {
        let Some(ip) = ip_of(remote) else { return Ok(()) };
        if let Some(refused) = self.refuses_address(ip) {
            return Err(ConnectionDenied::new(refused));
        }
        self.inbound.insert(connection, ip);
        Ok(())
    }

    fn handle_established_inbound_connection(
        &mut self,
        _connection: ConnectionId,
        identity: PeerId,
        _local: &Multiaddr,
        _remote: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.doubt(&identity);
        self.admit(&identity)
    }

    fn handle_pending_outbound_connection(
        &mut self,
        _connection: ConnectionId,
        identity: Option<PeerId>,
        _addresses: &[Multiaddr],
        _role: Endpoint,
    ) -> Result<Vec<Multiaddr>, ConnectionDenied> {
        if let Some(identity) = identity {
            self.admit(&identity)?;
        }
        Ok(Vec::new())
    }

    fn handle_established_outbound_connection(
        &mut self,
        _connection: ConnectionId,
        identity: PeerId,
        remote: &Multiaddr,
        _role: Endpoint,
        _port: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        if ip_of(remote).is_some_and(|ip| self.bans.is_address_banned(ip, now())) {
            return Err(ConnectionDenied::new(Refused::Banned));
        }
        self.admit(&identity)
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        if let FromSwarm::ConnectionEstablished(ConnectionEstablished { peer_id, .. }) = event {
            self.connected.insert(peer_id, None);
        }
        if let FromSwarm::ConnectionClosed(ConnectionClosed { peer_id, .. }) = event {
            self.connected.remove(&peer_id);
        }
        if let FromSwarm::ListenFailure(ListenFailure { connection_id, .. })
        | FromSwarm::ConnectionClosed(ConnectionClosed { connection_id, .. }) = event
        {
            self.inbound.remove(&connection_id);
        }
    }

    fn on_connection_handler_event(
        &mut self,
        _identity: PeerId,
        _connection: ConnectionId,
        event: THandlerOutEvent<Self>,
    ) {
        match event {}
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        if let Some(peer_id) = self.to_close.pop_front() {
            return Poll::Ready(ToSwarm::CloseConnection { peer_id, connection: CloseConnection::All });
        }
        self.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}
