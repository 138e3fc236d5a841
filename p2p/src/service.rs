//! The network's task: it owns the swarm, and turns what happens there into events of the node.

mod commands;
mod dialling;
mod exchange;
mod record;

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::StreamExt;
use libp2p::core::ConnectedPoint;
use libp2p::gossipsub::{self, MessageAcceptance};
use libp2p::swarm::{ConnectionId, ListenError, SwarmEvent};
use libp2p::{Multiaddr, PeerId as Identity, Swarm, identify, mdns, ping};
use tine_node::event::Event;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::MissedTickBehavior;

use crate::address::{ip_of, may_tell, parse_listen, parse_target, without_peer};
use crate::behaviour::{self, Behaviour, BehaviourEvent, protocol_version};
use crate::book::{Book, MAX_ADDRESSES};
use crate::codec::CodecError;
use crate::config::{Config, Limits};
use crate::gate::Refused;
use crate::gossip::{Topics, Verdicts};
use crate::identity;
use crate::network::{Command, Counters, Error, Status};
use crate::now;
use crate::sessions::{Link, Sessions};
use dialling::{Dial, Reached, Resolved};
use exchange::Exchange;

/// How often the task looks at the clock.
const TICK: Duration = Duration::from_millis(100);
/// How long a connection may last without showing that it is of our chain.
const IDENTIFY_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the node is not told of a peer that does not subscribe to blocks.
const SUBSCRIBE_PATIENCE: Duration = Duration::from_secs(1);
/// How often changes are written to the peers file.
const SAVE_INTERVAL: Duration = Duration::from_secs(30);
/// How often what a peer is blamed for is halved.
const PENALTY_HALF_LIFE: Duration = Duration::from_secs(60);
/// How long closing all connections may take at the end.
const FAREWELL: Duration = Duration::from_millis(500);

/// A cut that waits for its connections to close.
struct Cutting {
    identities: BTreeSet<Identity>,
    done: oneshot::Sender<()>,
}

/// The network's task.
pub(crate) struct Service {
    swarm: Swarm<Behaviour>,
    commands: mpsc::Receiver<Command>,
    events: mpsc::Sender<Event>,
    /// Events that the node has not had room for. While there are any, the swarm is not polled.
    outbox: VecDeque<Event>,
    status: watch::Sender<Arc<Status>>,
    status_due: bool,
    limits: Limits,
    version: String,
    topics: Topics,
    verdicts: Verdicts,
    sessions: Sessions,
    exchange: Exchange,
    book: Book,
    dials: HashMap<ConnectionId, Dial>,
    reached: Vec<Reached>,
    resolver: mpsc::Sender<Resolved>,
    resolved: mpsc::Receiver<Resolved>,
    connect_only: bool,
    cutting: Vec<Cutting>,
    peers_file: Option<PathBuf>,
    save_due: bool,
    last_saved: Instant,
    last_forgiven: Instant,
    counters: Counters,
}

impl Service {
    pub(crate) fn new(
        config: &Config,
        commands: mpsc::Receiver<Command>,
        events: mpsc::Sender<Event>,
        status: watch::Sender<Arc<Status>>,
    ) -> Result<Self, Error> {
        let keypair = identity::keypair(&config.identity)?;
        let targets = config.connect.iter().map(|text| parse_target(text)).collect::<Result<Vec<_>, _>>()?;
        let external =
            config.external.iter().map(|text| parse_listen(text)).collect::<Result<Vec<_>, _>>()?;
        let remembered = record::recall(config);
        let book = Book::new(identity::peer_id(&keypair), targets, &remembered.peers);
        let topics = Topics::of(&config.chain_name());
        let mut swarm = behaviour::swarm(config, keypair, &topics, remembered.bans(now()))?;
        for address in external {
            swarm.add_external_address(address);
        }
        let (resolver, resolved) = mpsc::channel(16);
        Ok(Self {
            swarm,
            commands,
            events,
            outbox: VecDeque::new(),
            status,
            status_due: true,
            limits: config.limits.clone(),
            version: protocol_version(&config.chain_name()),
            topics,
            verdicts: Verdicts::default(),
            sessions: Sessions::default(),
            exchange: Exchange::default(),
            book,
            dials: HashMap::new(),
            reached: Vec::new(),
            resolver,
            resolved,
            connect_only: config.connect_only,
            cutting: Vec::new(),
            peers_file: config.peers_file.clone(),
            save_due: false,
            last_saved: Instant::now(),
            last_forgiven: Instant::now(),
            counters: Counters::default(),
        })
    }

    pub(crate) fn identity(&self) -> Identity {
        *self.swarm.local_peer_id()
    }

    /// Runs until it is told to stop, or nobody is left to speak to.
    pub(crate) async fn run(mut self) {
        let events = self.events.clone();
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            self.publish_status();
            let command = if self.outbox.is_empty() {
                tokio::select! {
                    command = self.commands.recv() => Some(command),
                    event = self.swarm.select_next_some() => { self.on_swarm_event(event); None }
                    Some(resolved) = self.resolved.recv() => { self.on_resolved(resolved); None }
                    _ = ticks.tick() => { self.on_tick(); None }
                }
            } else {
                tokio::select! {
                    command = self.commands.recv() => Some(command),
                    permit = events.reserve() => {
                        let Ok(permit) = permit else { break };
                        permit.send(self.outbox.pop_front().expect("it is not empty"));
                        None
                    }
                    _ = ticks.tick() => { self.on_tick(); None }
                }
            };
            match command {
                None => {}
                Some(Some(Command::Stop(done))) => {
                    self.say_farewell().await;
                    let _ = done.send(());
                    return;
                }
                Some(Some(command)) => self.on_command(command),
                Some(None) => break,
            }
            if self.events.is_closed() {
                break;
            }
        }
        self.say_farewell().await;
    }

    async fn say_farewell(&mut self) {
        self.save_now();
        let peers: Vec<_> = self.swarm.connected_peers().copied().collect();
        for peer in peers {
            let _ = self.swarm.disconnect_peer_id(peer);
        }
        let swarm = &mut self.swarm;
        let closing = async {
            while swarm.connected_peers().next().is_some() {
                swarm.next().await;
            }
        };
        let _ = tokio::time::timeout(FAREWELL, closing).await;
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "libp2p's own enum, which grows")]
    fn on_swarm_event(&mut self, event: SwarmEvent<BehaviourEvent>) {
        match event {
            SwarmEvent::Behaviour(event) => self.on_behaviour_event(event),
            SwarmEvent::ConnectionEstablished { peer_id, connection_id, endpoint, .. } => {
                self.on_established(peer_id, connection_id, &endpoint);
            }
            SwarmEvent::ConnectionClosed { peer_id, connection_id, cause, .. } => {
                tracing::debug!(peer = %peer_id, cause = cause.map(|cause| cause.to_string()), "connection closed");
                self.on_closed(peer_id, connection_id);
            }
            SwarmEvent::OutgoingConnectionError { connection_id, peer_id, error } => {
                self.on_dial_failed(connection_id, peer_id, &error);
            }
            SwarmEvent::IncomingConnectionError { send_back_addr, error, .. } => {
                if let ListenError::Denied { cause } = &error {
                    let cause = cause.downcast_ref::<Refused>();
                    if cause != Some(&Refused::Connected) {
                        self.counters.refused += 1;
                    }
                    tracing::debug!(from = %send_back_addr, cause = cause.map(ToString::to_string), "connection refused");
                } else {
                    tracing::debug!(from = %send_back_addr, %error, "connection failed");
                }
            }
            SwarmEvent::NewListenAddr { address, .. } => {
                tracing::info!(%address, "listening");
                self.status_due = true;
            }
            SwarmEvent::ExpiredListenAddr { .. } => self.status_due = true,
            SwarmEvent::ListenerClosed { addresses, reason: Err(error), .. } => {
                tracing::error!(?addresses, %error, "a listener has closed");
                self.status_due = true;
            }
            SwarmEvent::ListenerError { error, .. } => tracing::warn!(%error, "a listener failed"),
            // The rest is of no consequence here.
            _ => {}
        }
    }

    fn on_behaviour_event(&mut self, event: BehaviourEvent) {
        match event {
            BehaviourEvent::Identify(identify::Event::Received { peer_id, info, .. }) => {
                self.on_identified(peer_id, info);
            }
            BehaviourEvent::Identify(
                identify::Event::Sent { .. } | identify::Event::Pushed { .. } | identify::Event::Error { .. },
            ) => {}
            BehaviourEvent::Ping(event) => self.on_ping(event),
            BehaviourEvent::Gossip(event) => self.on_gossip(event),
            BehaviourEvent::Sync(event) => self.on_sync(event),
            BehaviourEvent::Mdns(mdns::Event::Discovered(found)) => self.on_discovered(found),
            BehaviourEvent::Mdns(mdns::Event::Expired(_)) => {}
            BehaviourEvent::Kademlia(event) => tracing::trace!(?event, "kademlia"),
            BehaviourEvent::Gate(never) | BehaviourEvent::Limits(never) | BehaviourEvent::Memory(never) => {
                match never {}
            }
        }
    }

    fn on_established(&mut self, peer: Identity, connection: ConnectionId, endpoint: &ConnectedPoint) {
        let address = without_peer(endpoint.get_remote_address().clone());
        let outbound = endpoint.is_dialer();
        tracing::debug!(%peer, %address, outbound, "connection established");
        self.on_dial_succeeded(connection, peer);
        if outbound {
            self.book.reached(peer, &address, now());
            self.save_due = true;
        }
        self.sessions.open(peer, Link { id: connection, outbound, address });
        self.status_due = true;
    }

    fn on_closed(&mut self, peer: Identity, connection: ConnectionId) {
        self.status_due = true;
        let Some(session) = self.sessions.close(&peer, connection) else { return };
        self.book.lost(&peer);
        self.fail_requests(&session);
        if session.announced {
            self.outbox.push_back(Event::Disconnected(session.number));
        }
        self.finish_cuts();
    }

    /// Answers the cuts whose connections are all closed.
    fn finish_cuts(&mut self) {
        for Cutting { identities, done } in std::mem::take(&mut self.cutting) {
            if identities.iter().any(|identity| self.sessions.get(identity).is_some()) {
                self.cutting.push(Cutting { identities, done });
            } else {
                self.status_due = true;
                self.publish_status();
                let _ = done.send(());
            }
        }
    }

    /// Tells the node of a peer that has shown what it is, as soon as gossip reaches it: a block published after that
    /// comes to it by gossip, and a block published before is in the headers that it asks for. Who does not subscribe is
    /// told of a little later.
    fn announce_if_ready(&mut self, peer: &Identity) {
        let Some(session) = self.sessions.get(peer) else { return };
        let waited = session.opened.elapsed() > SUBSCRIBE_PATIENCE;
        if session.identified && (session.subscribed || waited) {
            self.announce(peer);
        }
    }

    /// Tells the node of a peer, unless it knows.
    fn announce(&mut self, peer: &Identity) {
        if let Some(session) = self.sessions.get_mut(peer)
            && !session.announced
        {
            session.announced = true;
            self.status_due = true;
            self.outbox.push_back(Event::Connected(session.number, session.info()));
            self.look_after_reached();
        }
    }

    fn on_identified(&mut self, peer: Identity, info: identify::Info) {
        if info.protocol_version != self.version {
            tracing::warn!(%peer, theirs = %info.protocol_version, ours = %self.version, "a peer of another chain");
            self.book.forget(&peer);
            let _ = self.swarm.disconnect_peer_id(peer);
            return;
        }
        let Some(session) = self.sessions.get_mut(&peer) else { return };
        session.set_agent(&info.agent_version);
        session.identified = true;
        let remote = session.ip();
        self.announce_if_ready(&peer);
        self.status_due = true;
        let Some(remote) = remote else { return };
        let mut told = info.listen_addrs;
        told.truncate(64);
        let mut addresses: Vec<Multiaddr> = told.into_iter().map(without_peer).collect();
        addresses.retain(|address| may_tell(remote, address));
        // Where we have reached it, or it has reached us from, it is most likely to be found.
        addresses.sort_by_key(|address| ip_of(address) != Some(remote));
        addresses.truncate(MAX_ADDRESSES);
        if let Some(kademlia) = self.swarm.behaviour_mut().kademlia.as_mut() {
            for address in &addresses {
                kademlia.add_address(&peer, address.clone());
            }
        }
        self.book.meet(peer, addresses, now());
        self.save_due = true;
    }

    fn on_discovered(&mut self, found: Vec<(Identity, Multiaddr)>) {
        for (peer, address) in found {
            let address = without_peer(address);
            if ip_of(&address).is_some_and(|ip| may_tell(ip, &address)) {
                self.book.meet(peer, vec![address], now());
            }
        }
    }

    fn on_ping(&mut self, event: ping::Event) {
        let Some(session) = self.sessions.get_mut(&event.peer) else { return };
        match event.result {
            Ok(round_trip) => {
                session.measured(round_trip);
                self.swarm.behaviour_mut().gate.heard(&event.peer);
            }
            Err(error) => {
                tracing::debug!(peer = %event.peer, %error, "no answer to a ping");
                self.swarm.close_connection(event.connection);
            }
        }
    }

    fn on_gossip(&mut self, event: gossipsub::Event) {
        match event {
            gossipsub::Event::Message { propagation_source, message_id, message } => {
                self.on_gossip_message(propagation_source, message_id, &message);
            }
            gossipsub::Event::SlowPeer { peer_id, failed_messages } => {
                // Its score falls by itself, until nothing is sent to it any more.
                self.counters.slow_peers += 1;
                tracing::debug!(peer = %peer_id, ?failed_messages, "a slow peer");
            }
            gossipsub::Event::Subscribed { peer_id, topic } => {
                if let Some(session) =
                    self.sessions.get_mut(&peer_id).filter(|_| self.topics.is_blocks(&topic))
                {
                    session.subscribed = true;
                    self.announce_if_ready(&peer_id);
                }
            }
            gossipsub::Event::Unsubscribed { .. } | gossipsub::Event::GossipsubNotSupported { .. } => {}
        }
    }

    fn on_gossip_message(
        &mut self,
        source: Identity,
        id: gossipsub::MessageId,
        message: &gossipsub::Message,
    ) {
        self.counters.gossip_received += 1;
        self.announce(&source);
        let Some(session) = self.sessions.get_mut(&source) else {
            self.judge(&id, &source, MessageAcceptance::Ignore);
            return;
        };
        session.received(message.data.len());
        self.counters.bytes_received += message.data.len() as u64;
        let number = session.number;
        let Some(gossip) = self.topics.decode(&message.topic, &message.data) else {
            self.judge(&id, &source, MessageAcceptance::Reject);
            self.counters.malformed += 1;
            self.outbox.push_back(Event::Malformed(number));
            return;
        };
        match self.verdicts.await_verdict(id.clone(), source) {
            Some(verdict) => self.outbox.push_back(Event::Gossip(number, verdict, gossip)),
            None => self.judge(&id, &source, MessageAcceptance::Ignore),
        }
    }

    fn judge(&mut self, message: &gossipsub::MessageId, source: &Identity, acceptance: MessageAcceptance) {
        match acceptance {
            MessageAcceptance::Accept => self.counters.gossip_accepted += 1,
            MessageAcceptance::Reject => self.counters.gossip_rejected += 1,
            MessageAcceptance::Ignore => self.counters.gossip_ignored += 1,
        }
        self.swarm.behaviour_mut().gossip.report_message_validation_result(message, source, acceptance);
    }

    /// A peer sent bytes that are no message.
    fn on_malformed(&mut self, peer: Identity, error: CodecError) {
        self.counters.malformed += 1;
        tracing::debug!(%peer, %error, "malformed message");
        if let Some(session) = self.sessions.get(&peer)
            && session.announced
        {
            self.outbox.push_back(Event::Malformed(session.number));
        }
        match error {
            CodecError::TooLong { .. } => {
                let _ = self.swarm.disconnect_peer_id(peer);
            }
            // What becomes of the peer is for the node to say.
            CodecError::Undecodable(_) => {}
        }
    }

    fn on_tick(&mut self) {
        while let Some(overdue) = self.verdicts.take_overdue(self.limits.verdict_timeout) {
            self.judge(&overdue.message, &overdue.source, MessageAcceptance::Ignore);
        }
        let waiting = self.sessions.iter().filter(|session| !session.announced);
        let waiting: Vec<_> = waiting.map(|session| (session.identity, session.opened)).collect();
        for (peer, opened) in waiting {
            self.announce_if_ready(&peer);
            if opened.elapsed() > IDENTIFY_TIMEOUT {
                let _ = self.swarm.disconnect_peer_id(peer);
            }
        }
        if self.last_forgiven.elapsed() > PENALTY_HALF_LIFE {
            self.last_forgiven = Instant::now();
            self.forgive();
        }
        if self.last_saved.elapsed() > SAVE_INTERVAL {
            self.save_due |= self.swarm.behaviour_mut().gate.bans.expire(now());
            self.save_if_due();
        }
        self.dial_who_is_due();
        self.look_after_reached();
        self.status_due = true;
    }
}
