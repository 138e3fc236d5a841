//! Links between hosts: who is connected to whom, how long a message takes, and what is cut.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rand::{Rng, RngExt};
use tine_node::event::PeerId;

/// One direction of a link.
#[derive(Debug, Clone, Copy)]
pub struct Route {
    /// The host at the other end.
    pub to: usize,
    /// What that host calls us.
    pub as_peer: PeerId,
    /// Mean delay of a message.
    pub latency: Duration,
}

/// All links of a world.
#[derive(Debug, Default)]
pub struct Links {
    /// Pairs that want to be connected, the lower index first, and their latency.
    wanted: BTreeMap<(usize, usize), Duration>,
    /// The links that are up, from each host by the name it has for its peer.
    routes: BTreeMap<(usize, PeerId), Route>,
    next_peer: u64,
}

impl Links {
    /// A connected random graph: a ring, and chords until each host has about `degree` neighbours.
    #[must_use]
    pub fn random(hosts: usize, degree: usize, latency: (Duration, Duration), rng: &mut impl Rng) -> Self {
        let mut links = Self::default();
        let delay = |rng: &mut _| {
            let (low, high) = (latency.0.as_millis() as u64, latency.1.as_millis() as u64);
            Duration::from_millis(RngExt::random_range(rng, low..=high))
        };
        for host in 0..hosts {
            let next = (host + 1) % hosts;
            if host != next {
                links.wanted.insert(pair(host, next), delay(rng));
            }
        }
        let chords = hosts * degree.saturating_sub(2) / 2;
        for _ in 0..chords {
            let (a, b) = (rng.random_range(0..hosts), rng.random_range(0..hosts));
            if a != b && !links.wanted.contains_key(&pair(a, b)) {
                links.wanted.insert(pair(a, b), delay(rng));
            }
        }
        links
    }

    /// The link by which `host` reaches `peer`, if it is up.
    #[must_use]
    pub fn route(&self, host: usize, peer: PeerId) -> Option<Route> {
        self.routes.get(&(host, peer)).copied()
    }

    /// The peers of `host` whose links are up, in the order in which they connected.
    pub fn peers(&self, host: usize) -> impl Iterator<Item = PeerId> {
        self.routes.range((host, PeerId(0))..=(host, PeerId(u64::MAX))).map(|((_, peer), _)| *peer)
    }

    /// Brings up every wanted link that is down; returns the new connections, as (host, its name for the peer, the
    /// peer's host).
    pub fn connect_all(&mut self) -> Vec<(usize, PeerId, usize)> {
        let up: BTreeSet<_> = self.routes.iter().map(|((host, _), route)| pair(*host, route.to)).collect();
        let mut connected = Vec::new();
        for (&(a, b), &latency) in &self.wanted {
            if up.contains(&(a, b)) {
                continue;
            }
            let (peer_of_a, peer_of_b) = (PeerId(self.next_peer), PeerId(self.next_peer + 1));
            self.next_peer += 2;
            self.routes.insert((a, peer_of_a), Route { to: b, as_peer: peer_of_b, latency });
            self.routes.insert((b, peer_of_b), Route { to: a, as_peer: peer_of_a, latency });
            connected.extend([(a, peer_of_a, b), (b, peer_of_b, a)]);
        }
        connected
    }

    /// Takes down every link between two hosts for which `cut` holds; returns what each end lost.
    pub fn disconnect(&mut self, cut: impl Fn(usize, usize) -> bool) -> Vec<(usize, PeerId)> {
        let lost: Vec<_> = self
            .routes
            .iter()
            .filter(|((host, _), route)| cut(*host, route.to))
            .map(|(ends, _)| *ends)
            .collect();
        for ends in &lost {
            self.routes.remove(ends);
        }
        lost
    }
}

fn pair(a: usize, b: usize) -> (usize, usize) {
    (a.min(b), a.max(b))
}
