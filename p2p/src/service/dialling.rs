//! Listening, and dialling: who was asked for, who was met, and who was dialled by hand.

use std::collections::BTreeSet;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::time::{Duration, Instant};

use futures::StreamExt;
use libp2p::core::transport::ListenerId;
use libp2p::swarm::dial_opts::{DialOpts, PeerCondition};
use libp2p::swarm::{ConnectionId, DialError, SwarmEvent};
use libp2p::{Multiaddr, PeerId as Identity};
use tokio::sync::oneshot;

use super::Service;
use crate::address::{
    Place, Target, parse_listen, parse_target, quic_address, socket_of, tcp_address, transport_of,
};
use crate::book::Present;
use crate::gate::Refused;
use crate::network::Error;

/// How long binding may take.
const LISTEN_TIMEOUT: Duration = Duration::from_secs(5);
/// How long looking up a name may take.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(5);

/// Whom a dial is for.
pub(super) enum Dial {
    /// A peer that was asked for.
    Wanted(u64),
    /// A peer that was met.
    Met(Identity),
    /// Somebody who waits for the outcome.
    Once(ByHand),
}

/// A dial by hand, for somebody who waits for the outcome.
pub(super) struct ByHand {
    text: String,
    answer: oneshot::Sender<Result<(), Error>>,
    /// Whether this is the second attempt.
    again: bool,
}

/// A dial by hand that has reached somebody, who has still to show that it takes the connection. When two nodes dial each
/// other at the same moment, each refuses the other's connection, and nothing is left: then it is tried once more.
pub(super) struct Reached {
    peer: Identity,
    dial: ByHand,
    due: Instant,
}

/// A name that has been looked up, for the dial that waits for it.
pub(super) struct Resolved {
    dial: Dial,
    target: Target,
    outcome: Result<Vec<SocketAddr>, String>,
}

impl Service {
    /// Listens at these addresses, and returns when all are bound.
    pub(crate) async fn listen(&mut self, addresses: &[String]) -> Result<(), Error> {
        for text in addresses {
            let address = parse_listen(text)?;
            let failed = |reason: String| Error::Listen { address: text.clone(), reason };
            probe(&address).map_err(|error| failed(error.to_string()))?;
            let listener = self.swarm.listen_on(address).map_err(|error| failed(error.to_string()))?;
            tokio::time::timeout(LISTEN_TIMEOUT, self.bound(listener))
                .await
                .unwrap_or_else(|_| Err("not bound in time".to_owned()))
                .map_err(failed)?;
        }
        self.status_due = true;
        self.publish_status();
        Ok(())
    }

    async fn bound(&mut self, listener: ListenerId) -> Result<(), String> {
        loop {
            let event = self.swarm.select_next_some().await;
            let mut outcome = None;
            if let SwarmEvent::NewListenAddr { listener_id, .. } = &event {
                outcome = (*listener_id == listener).then_some(Ok(()));
            } else if let SwarmEvent::ListenerClosed { listener_id, reason, .. } = &event {
                let reason = reason.as_ref().err().map(ToString::to_string);
                let reason = reason.unwrap_or_else(|| "the listener closed".to_owned());
                outcome = (*listener_id == listener).then_some(Err(reason));
            }
            self.on_swarm_event(event);
            if let Some(outcome) = outcome {
                return outcome;
            }
        }
    }

    /// Dials, once, for somebody who waits for the outcome.
    pub(super) fn dial_once(&mut self, text: String, answer: oneshot::Sender<Result<(), Error>>) {
        self.dial_by_hand(ByHand { text, answer, again: false });
    }

    fn dial_by_hand(&mut self, dial: ByHand) {
        match parse_target(&dial.text) {
            Ok(target) => self.dial_target(Dial::Once(dial), target, 0),
            Err(error) => {
                let _ = dial.answer.send(Err(error));
            }
        }
    }

    /// Dials those whose time has come.
    pub(super) fn dial_who_is_due(&mut self) {
        let mut busy: BTreeSet<Identity> = self.sessions.iter().map(|session| session.identity).collect();
        busy.extend(self.dials.values().filter_map(|dial| match dial {
            Dial::Met(peer) => Some(*peer),
            Dial::Wanted(_) | Dial::Once(..) => None,
        }));
        let outbound: Vec<_> = self
            .sessions
            .iter()
            .filter(|session| session.is_outbound())
            .filter_map(|session| session.ip())
            .collect();
        let gate = &self.swarm.behaviour().gate;
        let refused = |peer: &Identity| gate.refuses(peer).is_some();
        let present = Present { busy: &busy, outbound: &outbound, refused: &refused };
        let due = self.book.due(&present);
        let under_way = self.dials.values().filter(|dial| matches!(dial, Dial::Met(_))).count();
        let lacking = self.limits.outbound_target.saturating_sub(outbound.len() + under_way);
        let candidates = if self.connect_only { Vec::new() } else { self.book.candidates(lacking, &present) };
        for (id, target) in due {
            let attempt = self.book.failures(id);
            self.dial_target(Dial::Wanted(id), target, attempt);
        }
        for (peer, addresses) in candidates {
            self.dial_peer(Dial::Met(peer), peer, addresses);
        }
    }

    fn dial_target(&mut self, dial: Dial, target: Target, attempt: usize) {
        match target.place.clone() {
            Place::Address(address) => self.dial_address(dial, target.peer, address),
            Place::Name(name, port, _) => {
                let resolver = self.resolver.clone();
                tokio::spawn(async move {
                    let lookup = tokio::time::timeout(LOOKUP_TIMEOUT, tokio::net::lookup_host((name, port)));
                    let outcome = match lookup.await {
                        Ok(Ok(found)) => {
                            let mut found: Vec<_> = found.take(16).collect();
                            // One address at each attempt, the next one at the next.
                            let length = found.len().max(1);
                            found.rotate_left(attempt % length);
                            Ok(found)
                        }
                        Ok(Err(error)) => Err(error.to_string()),
                        Err(_) => Err("the name was not found in time".to_owned()),
                    };
                    // If the network has stopped, nobody wants to know.
                    let _ = resolver.send(Resolved { dial, target, outcome }).await;
                });
            }
        }
    }

    pub(super) fn on_resolved(&mut self, resolved: Resolved) {
        let Resolved { dial, target, outcome } = resolved;
        let is_quic = matches!(target.place, Place::Name(_, _, true));
        match outcome.and_then(|found| found.first().copied().ok_or_else(|| "no address".to_owned())) {
            Ok(socket) if is_quic => self.dial_address(dial, target.peer, quic_address(socket)),
            Ok(socket) => self.dial_address(dial, target.peer, tcp_address(socket)),
            Err(reason) => self.end_dial(dial, None, &reason),
        }
    }

    fn dial_address(&mut self, dial: Dial, peer: Option<Identity>, address: Multiaddr) {
        match peer {
            Some(peer) => self.dial_peer(dial, peer, vec![address]),
            None => {
                let options = DialOpts::unknown_peer_id().address(address).allocate_new_port().build();
                self.start_dial(dial, options);
            }
        }
    }

    fn dial_peer(&mut self, dial: Dial, peer: Identity, addresses: Vec<Multiaddr>) {
        // Who dials by hand gets a dial of their own.
        let condition = match dial {
            Dial::Once(..) => PeerCondition::Disconnected,
            Dial::Wanted(_) | Dial::Met(_) => PeerCondition::DisconnectedAndNotDialing,
        };
        let options = DialOpts::peer_id(peer)
            .condition(condition)
            .addresses(addresses)
            // The listener's own port can't be used again for a while after a close.
            .allocate_new_port()
            .build();
        self.start_dial(dial, options);
    }

    fn start_dial(&mut self, dial: Dial, options: DialOpts) {
        let (connection, peer) = (options.connection_id(), options.get_peer_id());
        match self.swarm.dial(options) {
            Ok(()) => {
                self.dials.insert(connection, dial);
            }
            // It is connected, or somebody else is about to.
            Err(DialError::DialPeerConditionFalse(_)) => self.end_dial(dial, peer, "under way already"),
            Err(error) => {
                self.count_refusal(&error);
                self.end_dial(dial, None, &explain(&error));
            }
        }
    }

    pub(super) fn on_dial_succeeded(&mut self, connection: ConnectionId, peer: Identity) {
        if let Some(dial) = self.dials.remove(&connection) {
            self.end_dial(dial, Some(peer), "");
        }
    }

    pub(super) fn on_dial_failed(
        &mut self,
        connection: ConnectionId,
        peer: Option<Identity>,
        error: &DialError,
    ) {
        self.count_refusal(error);
        let reason = explain(error);
        tracing::debug!(peer = peer.map(|peer| peer.to_string()), reason, "dial failed");
        let Some(dial) = self.dials.remove(&connection) else { return };
        match error {
            // It is ourselves: known from now on, and so never dialled again.
            DialError::LocalPeerId { .. } => {
                let own = self.identity();
                if let Dial::Wanted(id) = dial {
                    self.book.dialled(id, Some(own));
                } else {
                    self.end_dial(dial, None, &reason);
                }
            }
            DialError::Denied { cause } if cause.downcast_ref() == Some(&Refused::Connected) => {
                self.end_dial(dial, peer, &reason);
            }
            DialError::NoAddresses
            | DialError::DialPeerConditionFalse(_)
            | DialError::Aborted
            | DialError::WrongPeerId { .. }
            | DialError::Denied { .. }
            | DialError::Transport(_) => self.end_dial(dial, None, &reason),
        }
    }

    fn count_refusal(&mut self, error: &DialError) {
        if let DialError::Denied { cause } = error
            && cause.downcast_ref() != Some(&Refused::Connected)
        {
            self.counters.refused += 1;
        }
    }

    /// Looks at what has become of the connections that were made by hand.
    pub(super) fn look_after_reached(&mut self) {
        for Reached { peer, dial, due } in std::mem::take(&mut self.reached) {
            match self.sessions.get(&peer).map(|session| session.announced) {
                Some(true) => {
                    let _ = dial.answer.send(Ok(()));
                }
                None if Instant::now() >= due && dial.again => {
                    self.end_dial(Dial::Once(dial), None, "the connection was closed at once");
                }
                None if Instant::now() >= due => self.dial_by_hand(ByHand { again: true, ..dial }),
                Some(false) | None => self.reached.push(Reached { peer, dial, due }),
            }
        }
    }

    fn end_dial(&mut self, dial: Dial, reached: Option<Identity>, reason: &str) {
        match (dial, reached) {
            (Dial::Wanted(id), reached) => {
                self.book.dialled(id, reached);
                // said once: neither while both are starting nor at every attempt
                if let Some(address) = self.book.unreachable(id) {
                    tracing::warn!(address, reason, "can't reach a peer that was asked for; still trying");
                }
            }
            (Dial::Met(_), Some(_)) => {}
            (Dial::Met(peer), None) => self.book.missed(&peer),
            (Dial::Once(dial), Some(peer)) => {
                let due = Instant::now() + self.book.wait_after_loss(&peer);
                self.reached.push(Reached { peer, dial, due });
                self.look_after_reached();
            }
            (Dial::Once(ByHand { text, answer, .. }), None) => {
                let _ = answer.send(Err(Error::Dial { address: text, reason: reason.to_owned() }));
            }
        }
    }
}

/// Binds and lets go: libp2p sets SO_REUSEPORT, with which the kernel would let two nodes share a port and hand
/// each every other connection.
fn probe(address: &Multiaddr) -> std::io::Result<()> {
    match (socket_of(address).filter(|socket| socket.port() != 0), transport_of(address)) {
        (Some(socket), Some("tcp")) => TcpListener::bind(socket).map(drop),
        (Some(socket), Some(_)) => UdpSocket::bind(socket).map(drop),
        _ => Ok(()),
    }
}

fn explain(error: &DialError) -> String {
    if let DialError::Transport(failures) = error
        && let Some((_, failure)) = failures.last()
    {
        // each layer repeats the one below it: the innermost says it all
        let mut innermost: &dyn std::error::Error = failure;
        while let Some(source) = innermost.source() {
            innermost = source;
        }
        return innermost.to_string();
    }
    let DialError::Denied { cause } = error else { return error.to_string() };
    match cause.downcast_ref::<Refused>() {
        Some(refused) => refused.to_string(),
        None => std::error::Error::source(cause).map_or_else(|| cause.to_string(), ToString::to_string),
    }
}
