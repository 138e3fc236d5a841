//! Whom to dial, and when: the peers that were asked for, and those that we have met.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use libp2p::{Multiaddr, PeerId};
use tine_chain::time::Time;

use crate::address::{Reach, Target, ip_of, reach_of, subnet_of};
use crate::network::Added;
use crate::peers_file::RememberedPeer;

/// The most peers that are remembered.
pub(crate) const MAX_PEERS: usize = 1_000;
/// The most addresses that are remembered of one peer.
pub(crate) const MAX_ADDRESSES: usize = 4;
/// The wait after a first failure; it doubles with each further one.
const FIRST_WAIT: Duration = Duration::from_millis(250);
/// The longest wait for a peer that was asked for: so soon after it is back is it met again.
const LONGEST_WAIT_WANTED: Duration = Duration::from_secs(3);
/// From this failure in a row on, after about two seconds, a peer that was asked for counts as not there.
const REPORTED_AT: u32 = 4;
/// The longest wait for a peer that was met.
const LONGEST_WAIT_MET: Duration = Duration::from_secs(300);
/// After so many failures in a row a peer that was met is forgotten.
const FORGET_AFTER: u32 = 12;
/// What the one of two peers with the greater identity waits more, so that they do not dial each other at once.
const POLITE_WAIT: Duration = Duration::from_millis(300);

/// When to try again.
#[derive(Debug, Clone, Copy)]
struct Backoff {
    failures: u32,
    next: Instant,
}

impl Backoff {
    fn due(now: Instant) -> Self {
        Self { failures: 0, next: now }
    }

    fn fail(&mut self, longest: Duration, now: Instant) {
        let wait = FIRST_WAIT.saturating_mul(1 << self.failures.min(16)).min(longest);
        self.failures = self.failures.saturating_add(1);
        self.next = now + wait;
    }
}

/// A peer that was asked for.
#[derive(Debug)]
struct Wanted {
    target: Target,
    /// Who answers there, once known.
    peer: Option<PeerId>,
    backoff: Backoff,
    dialling: bool,
}

/// A peer that was met.
#[derive(Debug)]
struct Met {
    addresses: Vec<Multiaddr>,
    last_seen: Time,
    anchor: bool,
    backoff: Backoff,
}

/// What the book has to know of the present to choose from itself.
pub(crate) struct Present<'a> {
    /// Peers that are connected or being dialled.
    pub(crate) busy: &'a BTreeSet<PeerId>,
    /// The addresses of the peers that we have dialled.
    pub(crate) outbound: &'a [IpAddr],
    /// Peers that would be refused.
    pub(crate) refused: &'a dyn Fn(&PeerId) -> bool,
}

/// Whom to dial, and when.
#[derive(Debug)]
pub(crate) struct Book {
    own: PeerId,
    wanted: BTreeMap<u64, Wanted>,
    next_wanted: u64,
    met: BTreeMap<PeerId, Met>,
}

impl Book {
    pub(crate) fn new(own: PeerId, targets: Vec<Target>, remembered: &[RememberedPeer]) -> Self {
        let mut book = Self { own, wanted: BTreeMap::new(), next_wanted: 0, met: BTreeMap::new() };
        for target in targets {
            book.want(target);
        }
        for peer in remembered {
            if let Some((identity, addresses)) = peer.parse() {
                book.meet(identity, addresses, peer.last_seen);
                if let Some(met) = book.met.get_mut(&identity) {
                    met.anchor = peer.anchor;
                }
            }
        }
        book
    }

    /// Adds a peer to stay connected to.
    pub(crate) fn want(&mut self, target: Target) {
        if self.wanted.values().any(|wanted| wanted.target == target) {
            return;
        }
        let wait = target.peer.map_or(Duration::ZERO, |peer| self.politeness(&peer));
        let backoff = Backoff::due(Instant::now() + wait);
        let wanted = Wanted { peer: target.peer, target, backoff, dialling: false };
        self.wanted.insert(self.next_wanted, wanted);
        self.next_wanted += 1;
    }

    /// Takes a peer off that list; says whether it was on it.
    pub(crate) fn unwant(&mut self, text: &str) -> bool {
        let before = self.wanted.len();
        self.wanted.retain(|_, wanted| wanted.target.text != text);
        before != self.wanted.len()
    }

    /// The peers to stay connected to, in the order in which they were added.
    pub(crate) fn wanted(&self) -> impl Iterator<Item = Added> + '_ {
        self.wanted.values().map(|wanted| Added {
            address: wanted.target.text.clone(),
            peer: wanted.peer.map(|peer| peer.to_string()),
        })
    }

    /// Notes addresses under which a peer says it can be reached, or was found.
    pub(crate) fn meet(&mut self, peer: PeerId, addresses: Vec<Multiaddr>, seen: Time) {
        if peer == self.own || addresses.is_empty() {
            return;
        }
        if !self.met.contains_key(&peer) && self.met.len() >= MAX_PEERS {
            self.forget_worst();
        }
        let met = self.met.entry(peer).or_insert_with(|| Met {
            addresses: Vec::new(),
            last_seen: seen,
            anchor: false,
            backoff: Backoff::due(Instant::now()),
        });
        met.last_seen = met.last_seen.max(seen);
        // What has worked stays first.
        for address in addresses {
            if !met.addresses.contains(&address) {
                met.addresses.push(address);
            }
        }
        met.addresses.truncate(MAX_ADDRESSES);
    }

    fn forget_worst(&mut self) {
        let worst = self
            .met
            .iter()
            .max_by_key(|(_, met)| (!met.anchor, met.backoff.failures, std::cmp::Reverse(met.last_seen)))
            .map(|(peer, _)| *peer);
        if let Some(worst) = worst {
            self.met.remove(&worst);
        }
    }

    /// A dial reached this peer at this address.
    pub(crate) fn reached(&mut self, peer: PeerId, address: &Multiaddr, seen: Time) {
        self.meet(peer, vec![address.clone()], seen);
        if let Some(met) = self.met.get_mut(&peer) {
            met.addresses.retain(|other| other != address);
            met.addresses.insert(0, address.clone());
            met.addresses.truncate(MAX_ADDRESSES);
            met.backoff = Backoff::due(Instant::now());
        }
    }

    /// A dial of this peer failed.
    pub(crate) fn missed(&mut self, peer: &PeerId) {
        if let Some(met) = self.met.get_mut(peer) {
            met.backoff.fail(LONGEST_WAIT_MET, Instant::now());
            if met.backoff.failures >= FORGET_AFTER {
                self.met.remove(peer);
            }
        }
    }

    /// This peer is of another chain, or ourselves.
    pub(crate) fn forget(&mut self, peer: &PeerId) {
        self.met.remove(peer);
        for wanted in self.wanted.values_mut().filter(|wanted| wanted.peer == Some(*peer)) {
            // As often as it takes to see that somebody has put it right.
            wanted.backoff.failures = 16;
            wanted.backoff.fail(LONGEST_WAIT_WANTED, Instant::now());
        }
    }

    /// The last connection with this peer has closed: it may be tried again soon.
    pub(crate) fn lost(&mut self, peer: &PeerId) {
        let next = Instant::now() + self.wait_after_loss(peer);
        let backoffs = self.backoffs_of(peer);
        for backoff in backoffs.filter(|backoff| backoff.failures == 0) {
            backoff.next = next;
        }
    }

    /// How long to wait until this peer is dialled after its connection was lost.
    pub(crate) fn wait_after_loss(&self, peer: &PeerId) -> Duration {
        FIRST_WAIT + self.politeness(peer)
    }

    fn backoffs_of(&mut self, peer: &PeerId) -> impl Iterator<Item = &mut Backoff> {
        let wanted = self.wanted.values_mut().filter(|wanted| wanted.peer == Some(*peer));
        wanted.map(|wanted| &mut wanted.backoff).chain(self.met.get_mut(peer).map(|met| &mut met.backoff))
    }

    fn politeness(&self, peer: &PeerId) -> Duration {
        if self.own > *peer { POLITE_WAIT } else { Duration::ZERO }
    }

    /// Everybody may be tried at once: the network has been healed.
    pub(crate) fn hurry(&mut self) {
        let now = Instant::now();
        let own = self.own;
        let wait = |peer: &PeerId| if own > *peer { POLITE_WAIT } else { Duration::ZERO };
        for wanted in self.wanted.values_mut() {
            let wait = wanted.peer.as_ref().map_or(Duration::ZERO, wait);
            wanted.backoff = Backoff::due(now + wait);
        }
        for (peer, met) in &mut self.met {
            met.backoff = Backoff::due(now + wait(peer));
        }
    }

    /// Takes the wanted peers that are to be dialled now.
    pub(crate) fn due(&mut self, present: &Present<'_>) -> Vec<(u64, Target)> {
        let now = Instant::now();
        let mut due = Vec::new();
        for (id, wanted) in &mut self.wanted {
            let is_busy = wanted.peer.is_some_and(|peer| {
                peer == self.own || present.busy.contains(&peer) || (present.refused)(&peer)
            });
            if !is_busy && !wanted.dialling && wanted.backoff.next <= now {
                wanted.dialling = true;
                due.push((*id, wanted.target.clone()));
            }
        }
        due
    }

    /// How the dial of a wanted peer ended: who was there, or nobody.
    pub(crate) fn dialled(&mut self, id: u64, reached: Option<PeerId>) {
        let Some(wanted) = self.wanted.get_mut(&id) else { return };
        wanted.dialling = false;
        match reached {
            Some(peer) => {
                wanted.peer = Some(peer);
                wanted.backoff.failures = 0;
                wanted.backoff.next = Instant::now() + FIRST_WAIT;
            }
            None => wanted.backoff.fail(LONGEST_WAIT_WANTED, Instant::now()),
        }
    }

    /// The address of a wanted peer that has just failed to answer for the [`REPORTED_AT`]th time in a row.
    pub(crate) fn unreachable(&self, id: u64) -> Option<&str> {
        let wanted = self.wanted.get(&id).filter(|wanted| wanted.backoff.failures == REPORTED_AT)?;
        Some(&wanted.target.text)
    }

    /// How often the dial of a wanted peer has failed in a row: which of a name's addresses is next.
    pub(crate) fn failures(&self, id: u64) -> usize {
        self.wanted.get(&id).map_or(0, |wanted| wanted.backoff.failures as usize)
    }

    /// Up to `count` peers that were met, to be dialled now: anchors first, then those seen last; of public
    /// addresses, no two in the same subnet.
    pub(crate) fn candidates(&self, count: usize, present: &Present<'_>) -> Vec<(PeerId, Vec<Multiaddr>)> {
        let now = Instant::now();
        let mut candidates: Vec<_> = self
            .met
            .iter()
            .filter(|(peer, met)| {
                met.backoff.next <= now && !present.busy.contains(peer) && !(present.refused)(peer)
            })
            .collect();
        candidates.sort_by_key(|(peer, met)| (!met.anchor, std::cmp::Reverse(met.last_seen), **peer));
        let mut taken: BTreeSet<_> = present.outbound.iter().filter_map(|ip| public_subnet(*ip)).collect();
        let mut chosen = Vec::new();
        for (peer, met) in candidates {
            if chosen.len() >= count {
                break;
            }
            let subnet = met.addresses.first().and_then(ip_of).and_then(public_subnet);
            if subnet.is_none_or(|subnet| taken.insert(subnet)) {
                chosen.push((*peer, met.addresses.clone()));
            }
        }
        chosen
    }

    /// What is to be remembered across a restart; `is_outbound` says which peers we have dialled and hold.
    pub(crate) fn remembered(&self, is_outbound: impl Fn(&PeerId) -> bool) -> Vec<RememberedPeer> {
        self.met
            .iter()
            .map(|(peer, met)| RememberedPeer {
                identity: peer.to_string(),
                addresses: met.addresses.iter().map(ToString::to_string).collect(),
                last_seen: met.last_seen,
                anchor: is_outbound(peer),
            })
            .collect()
    }
}

fn public_subnet(ip: IpAddr) -> Option<crate::address::Subnet> {
    (reach_of(ip) == Reach::World).then(|| subnet_of(ip))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::parse_target;

    fn address(text: &str) -> Multiaddr {
        text.parse().expect("a multiaddress")
    }

    fn nobody() -> BTreeSet<PeerId> {
        BTreeSet::new()
    }

    #[test]
    fn p2p_23_the_book_is_bounded() {
        let mut book = Book::new(PeerId::random(), Vec::new(), &[]);
        for n in 0..3_000u64 {
            let addresses = (1..20u16).map(|port| address(&format!("/ip4/127.0.0.1/tcp/{port}"))).collect();
            book.meet(PeerId::random(), addresses, Time(n));
        }
        let remembered = book.remembered(|_| false);
        assert_eq!(remembered.len(), MAX_PEERS);
        assert!(remembered.iter().all(|peer| peer.addresses.len() == MAX_ADDRESSES));
        assert!(remembered.iter().all(|peer| peer.last_seen.0 >= 2_000), "those seen last stay");
    }

    #[test]
    fn p2p_33_outbound_peers_come_from_different_subnets() {
        let mut book = Book::new(PeerId::random(), Vec::new(), &[]);
        for host in 1..50 {
            book.meet(PeerId::random(), vec![address(&format!("/ip4/5.5.5.{host}/tcp/1"))], Time(9));
        }
        book.meet(PeerId::random(), vec![address("/ip4/6.6.6.6/tcp/1")], Time(1));
        let outbound = [];
        let present = Present { busy: &nobody(), outbound: &outbound, refused: &|_| false };
        assert_eq!(book.candidates(8, &present).len(), 2);
        let outbound = ["5.5.200.1".parse().expect("an address")];
        let present = Present { busy: &nobody(), outbound: &outbound, refused: &|_| false };
        assert_eq!(book.candidates(8, &present).len(), 1);
    }

    #[test]
    fn p2p_14_we_are_not_our_own_peer() {
        let own = PeerId::random();
        let target = parse_target(&format!("/ip4/127.0.0.1/tcp/1/p2p/{own}")).expect("an address");
        let mut book = Book::new(own, vec![target], &[]);
        book.meet(own, vec![address("/ip4/127.0.0.1/tcp/1")], Time(1));
        let present = Present { busy: &nobody(), outbound: &[], refused: &|_| false };
        assert!(book.due(&present).is_empty());
        assert!(book.candidates(8, &present).is_empty());
    }

    #[test]
    fn a_wanted_peer_is_dialled_once_at_a_time_and_later_after_a_failure() {
        let target = parse_target("127.0.0.1:1").expect("an address");
        let mut book = Book::new(PeerId::random(), vec![target], &[]);
        let present = Present { busy: &nobody(), outbound: &[], refused: &|_| false };
        let due = book.due(&present);
        assert_eq!(due.len(), 1);
        assert!(book.due(&present).is_empty(), "under way");
        book.dialled(due[0].0, None);
        assert!(book.due(&present).is_empty(), "it failed just now");
        book.hurry();
        assert_eq!(book.due(&present).len(), 1);
    }

    #[test]
    fn a_peer_that_is_never_there_is_forgotten() {
        let mut book = Book::new(PeerId::random(), Vec::new(), &[]);
        let peer = PeerId::random();
        book.meet(peer, vec![address("/ip4/127.0.0.1/tcp/1")], Time(1));
        for _ in 0..FORGET_AFTER {
            book.missed(&peer);
        }
        assert!(book.remembered(|_| false).is_empty());
    }
}
