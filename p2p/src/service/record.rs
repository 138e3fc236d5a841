//! What the network shows of itself, and what it remembers of others.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use libp2p::PeerId as Identity;

use super::Service;
use crate::bans::Term;
use crate::config::Config;
use crate::network::{Banned, Status};
use crate::peers_file::{self, Remembered};
use crate::sessions::Session;

impl Service {
    fn remembered(&self) -> Remembered {
        let is_outbound = |peer: &Identity| self.sessions.get(peer).is_some_and(Session::is_outbound);
        Remembered::new(self.book.remembered(is_outbound), &self.swarm.behaviour().gate.bans)
    }

    pub(super) fn save_if_due(&mut self) {
        self.last_saved = Instant::now();
        if let Some(path) = self.peers_file.clone()
            && std::mem::take(&mut self.save_due)
        {
            let remembered = self.remembered();
            tokio::task::spawn_blocking(move || save(&path, &remembered));
        }
    }

    pub(super) fn save_now(&self) {
        if let Some(path) = &self.peers_file {
            save(path, &self.remembered());
        }
    }

    /// Replaces the picture that others see, if it has changed.
    pub(super) fn publish_status(&mut self) {
        if !std::mem::take(&mut self.status_due) {
            return;
        }
        let own = self.identity();
        let gate = &self.swarm.behaviour().gate;
        let connections = self.swarm.network_info();
        let connections = connections.connection_counters();
        self.counters.established_inbound = connections.num_established_incoming();
        self.counters.established_outbound = connections.num_established_outgoing();
        self.counters.pending = connections.num_pending();
        let banned = |who: String, term: Term| Banned { who, since: term.since, until: term.until };
        let identities = gate.bans.identities().map(|(identity, term)| banned(identity.to_string(), term));
        let addresses = gate.bans.addresses().map(|(range, term)| banned(range.to_string(), term));
        let status = Status {
            listen: self.swarm.listeners().map(|address| format!("{address}/p2p/{own}")).collect(),
            peers: self.sessions.iter().filter(|session| session.announced).map(Session::describe).collect(),
            cut: gate.cut().iter().map(ToString::to_string).collect(),
            banned: identities.chain(addresses).collect(),
            added: self.book.wanted().collect(),
            counters: self.counters,
        };
        self.status.send_if_modified(|old| {
            let is_new = **old != status;
            if is_new {
                *old = Arc::new(status);
            }
            is_new
        });
    }
}

fn save(path: &Path, remembered: &Remembered) {
    if let Err(error) = peers_file::write(path, remembered) {
        tracing::warn!(path = %path.display(), %error, "can't write the peers file");
    }
}

pub(super) fn recall(config: &Config) -> Remembered {
    let Some(path) = &config.peers_file else { return Remembered::default() };
    peers_file::read(path).unwrap_or_else(|error| {
        tracing::warn!(path = %path.display(), %error, "can't read the peers file; starting without it");
        Remembered::default()
    })
}
