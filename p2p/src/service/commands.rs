//! What the node and the program want of the network.

use std::collections::BTreeSet;

use libp2p::PeerId as Identity;
use libp2p::gossipsub::{MessageAcceptance, PublishError};
use tine_chain::codec::Encode;
use tine_chain::time::Time;
use tine_node::event::{Action, GossipId, PeerId, Verdict};
use tine_node::peers::{Offence, penalty};
use tine_node::wire::{Gossip, MAX_GOSSIP_SIZE};

use super::{Cutting, Service};
use crate::network::{Command, KnownPeer, Outcast};
use crate::sessions::Session;

impl Service {
    pub(super) fn on_command(&mut self, command: Command) {
        match command {
            Command::Act(action) => self.act(action),
            Command::Dial(text, answer) => self.dial_once(text, answer),
            Command::Add(text, answer) => {
                let result = crate::address::parse_target(&text).map(|target| self.book.want(target));
                self.status_due = true;
                self.publish_status();
                let _ = answer.send(result);
            }
            Command::Remove(text, answer) => {
                let found = self.book.unwant(&text);
                self.status_due = true;
                self.publish_status();
                let _ = answer.send(found);
            }
            Command::Cut(identities, done) => {
                let identities: BTreeSet<Identity> = identities.into_iter().collect();
                self.swarm.behaviour_mut().gate.set_cut(identities.clone());
                self.book.hurry();
                self.cutting.push(Cutting { identities, done });
                self.finish_cuts();
            }
            Command::Ban(who, until, done) => {
                self.ban(who, until);
                let _ = done.send(());
            }
            Command::Unban(who, answer) => {
                let bans = &mut self.swarm.behaviour_mut().gate.bans;
                let found = match who {
                    Outcast::Identity(identity) => bans.unban_identity(&identity),
                    Outcast::Addresses(range) => bans.unban_addresses(&range),
                };
                self.bans_changed();
                let _ = answer.send(found);
            }
            Command::UnbanAll(done) => {
                self.swarm.behaviour_mut().gate.bans.clear();
                self.bans_changed();
                let _ = done.send(());
            }
            Command::Known(answer) => {
                let known = self.book.remembered(|_| false).into_iter().map(|peer| KnownPeer {
                    identity: peer.identity,
                    addresses: peer.addresses,
                    last_seen: peer.last_seen,
                });
                let _ = answer.send(known.collect());
            }
            Command::Stop(_) => unreachable!("the loop stops before it comes here"),
        }
    }

    fn ban(&mut self, who: Outcast, until: Time) {
        let there: Vec<Identity> = match who {
            Outcast::Identity(_) => Vec::new(),
            Outcast::Addresses(range) => {
                let has_it = |session: &&Session| session.ip().is_some_and(|ip| range.contains(ip));
                self.sessions.iter().filter(has_it).map(|session| session.identity).collect()
            }
        };
        let gate = &mut self.swarm.behaviour_mut().gate;
        match who {
            Outcast::Identity(identity) => gate.ban(identity, None, until),
            Outcast::Addresses(range) => gate.ban_addresses(range, until, there.into_iter()),
        }
        self.bans_changed();
    }

    /// Whoever asks next must see it, and a restart must not forget it.
    fn bans_changed(&mut self) {
        (self.save_due, self.status_due) = (true, true);
        self.publish_status();
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Request(peer, id, request) => self.request(peer, id, &request),
            Action::Respond(peer, id, response) => self.respond(peer, id, &response),
            Action::Publish(gossip) => self.publish(&gossip),
            Action::Judge(id, verdict) => self.on_verdict(id, verdict),
            Action::Punish(peer, offence) => self.punish(peer, offence),
            Action::Disconnect(peer, until) => self.disconnect(peer, until),
            // For those who submitted, and those who watch: the driver sees to them.
            Action::Answer(..) | Action::Notify(_) => {}
        }
    }

    fn publish(&mut self, gossip: &Gossip) {
        let bytes = gossip.to_bytes();
        if bytes.len() > MAX_GOSSIP_SIZE {
            tracing::warn!(bytes = bytes.len(), "a message is too large to be gossiped");
            return;
        }
        let topic = self.topics.topic(gossip);
        match self.swarm.behaviour_mut().gossip.publish(topic, bytes) {
            Ok(_) => {}
            // Whoever comes later asks for what they lack.
            Err(PublishError::NoPeersSubscribedToTopic) => {}
            // It came by gossip, and went on when it was accepted.
            Err(PublishError::Duplicate) => {}
            Err(error) => tracing::debug!(%error, "a message was not gossiped"),
        }
    }

    fn on_verdict(&mut self, id: GossipId, verdict: Verdict) {
        let Some(pending) = self.verdicts.take(id) else {
            tracing::debug!(id = id.0, "a verdict that came too late");
            return;
        };
        let acceptance = match verdict {
            Verdict::Accept => MessageAcceptance::Accept,
            Verdict::Reject => MessageAcceptance::Reject,
            Verdict::Ignore => MessageAcceptance::Ignore,
        };
        self.judge(&pending.message, &pending.source, acceptance);
    }

    /// What the node holds against a peer counts as much in gossip's score of it.
    fn punish(&mut self, peer: PeerId, offence: Offence) {
        let Some(session) = self.sessions.numbered(peer) else { return };
        session.penalty += f64::from(penalty(offence));
        let (identity, penalty) = (session.identity, session.penalty);
        tracing::info!(peer = %identity, %offence, "a peer has done wrong");
        self.swarm.behaviour_mut().gossip.set_application_score(&identity, -penalty);
    }

    /// Halves what peers are blamed for.
    pub(super) fn forgive(&mut self) {
        let gossip = &mut self.swarm.behaviour_mut().gossip;
        for session in self.sessions.values_mut().filter(|session| session.penalty > 0.0) {
            session.penalty = if session.penalty < 1.0 { 0.0 } else { session.penalty / 2.0 };
            gossip.set_application_score(&session.identity, -session.penalty);
        }
    }

    fn disconnect(&mut self, peer: PeerId, until: Option<Time>) {
        let Some(session) = self.sessions.numbered(peer) else { return };
        let (identity, ip) = (session.identity, session.ip());
        tracing::info!(peer = %identity, until = until.map(Time::as_secs), "disconnecting a peer");
        match until {
            Some(until) => {
                self.swarm.behaviour_mut().gate.ban(identity, ip, until);
                (self.save_due, self.status_due) = (true, true);
            }
            None => {
                let _ = self.swarm.disconnect_peer_id(identity);
            }
        }
    }
}
