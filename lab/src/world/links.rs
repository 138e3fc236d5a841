//! Links come and go.

use tine_chain::store::StoreError;
use tine_chain::time::Time;
use tine_node::event::{Event, PeerInfo};

use super::World;
use crate::network::Link;
use crate::observe::{Observation, Observer};

impl<O: Observer> World<O> {
    /// Makes a link that is down. Returns its place among those of `from`.
    pub(super) fn lay(&mut self, from: usize, to: usize) -> usize {
        let delay_ms = self.delays.link(&mut self.rng);
        let (slot, back) = (self.hosts[from].links.len(), self.hosts[to].links.len());
        let link = |to: usize, back: usize, outbound| Link {
            to: to as u32,
            back: back as u32,
            epoch: 0,
            delay_ms,
            up: false,
            outbound,
            special: false,
            banned_until: Time(0),
        };
        self.hosts[from].links.push(link(to, back, true));
        self.hosts[to].links.push(link(from, slot, false));
        slot
    }

    /// Which of `from`'s links leads to `to`.
    pub(super) fn slot_to(&self, from: usize, to: usize) -> Option<usize> {
        self.hosts[from].links.iter().position(|link| link.to as usize == to)
    }

    /// Brings up every link that is down and may be up.
    pub(super) fn dial_all(&mut self) -> Result<(), StoreError> {
        for host in 0..self.hosts.len() {
            self.dial_from(host)?;
        }
        Ok(())
    }

    pub(super) fn dial_from(&mut self, host: usize) -> Result<(), StoreError> {
        for slot in 0..self.hosts[host].links.len() {
            self.dial(host, slot)?;
        }
        Ok(())
    }

    /// Brings a link up, if it is down, both ends run, neither is banned and no partition is between them.
    pub(super) fn dial(&mut self, host: usize, slot: usize) -> Result<(), StoreError> {
        let link = &self.hosts[host].links[slot];
        let (other, back) = (link.to as usize, link.back as usize);
        let banned = link.banned_until.max(self.hosts[other].links[back].banned_until);
        let runs = self.hosts[host].node.is_some() && self.hosts[other].node.is_some();
        if link.up || !runs || banned > self.now || !self.conditions.may_meet(host, other) {
            return Ok(());
        }
        for (host, slot) in [(host, slot), (other, back)] {
            let link = &mut self.hosts[host].links[slot];
            link.up = true;
            link.epoch += 1;
        }
        let (from, to) = match self.hosts[host].links[slot].outbound {
            true => (host, other),
            false => (other, host),
        };
        self.see(&Observation::Linked { from, to });
        self.introduce(host, slot)?;
        self.introduce(other, back)
    }

    fn introduce(&mut self, host: usize, slot: usize) -> Result<(), StoreError> {
        let link = &self.hosts[host].links[slot];
        let info = PeerInfo {
            identity: format!("node{}", link.to),
            address: format!("lab/{}", link.to),
            outbound: link.outbound,
            agent: String::new(),
        };
        let peer = link.peer(slot);
        self.handle(host, Event::Connected(peer, info))
    }

    /// Takes a link down; both ends notice.
    pub(super) fn unlink(&mut self, host: usize, slot: usize) -> Result<(), StoreError> {
        let link = &self.hosts[host].links[slot];
        if !link.up {
            return Ok(());
        }
        let (other, back) = (link.to as usize, link.back as usize);
        self.see(&Observation::Unlinked { a: host, b: other });
        for (host, slot) in [(host, slot), (other, back)] {
            let link = &mut self.hosts[host].links[slot];
            link.up = false;
            let peer = link.peer(slot);
            self.hosts[host].held.retain(|(_, _, by)| *by != slot);
            self.handle(host, Event::Disconnected(peer))?;
        }
        Ok(())
    }

    /// Takes down every link of a host.
    pub(super) fn unlink_all(&mut self, host: usize) -> Result<(), StoreError> {
        for slot in 0..self.hosts[host].links.len() {
            self.unlink(host, slot)?;
        }
        Ok(())
    }

    /// Says of every link whether it has a quality of its own.
    pub(super) fn set_special(&mut self, from: usize, to: usize, special: bool) {
        for link in self.hosts[from].links.iter_mut().filter(|link| link.to as usize == to) {
            link.special = special;
        }
    }
}
