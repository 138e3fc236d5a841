//! Who is refused, and until when. Bounded: whoever makes us ban without end pushes out their own bans.

use std::collections::BTreeMap;
use std::net::IpAddr;

use libp2p::PeerId;
use tine_chain::time::Time;

use crate::range::IpRange;

/// The most identities, and the most ranges of addresses, that are remembered as banned.
pub(crate) const MAX_BANS: usize = 1_000;

/// From when to when somebody is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Term {
    pub(crate) since: Time,
    pub(crate) until: Time,
}

/// Banned identities and addresses.
#[derive(Debug, Default)]
pub(crate) struct Bans {
    identities: BTreeMap<PeerId, Term>,
    addresses: BTreeMap<IpRange, Term>,
}

impl Bans {
    pub(crate) fn ban_identity(&mut self, identity: PeerId, term: Term) {
        insert_bounded(&mut self.identities, identity, term);
    }

    pub(crate) fn ban_addresses(&mut self, range: IpRange, term: Term) {
        insert_bounded(&mut self.addresses, range, term);
    }

    /// Takes an identity back; says whether it was banned.
    pub(crate) fn unban_identity(&mut self, identity: &PeerId) -> bool {
        self.identities.remove(identity).is_some()
    }

    /// Takes a range back, which must be one that was banned; says whether it was.
    pub(crate) fn unban_addresses(&mut self, range: &IpRange) -> bool {
        self.addresses.remove(range).is_some()
    }

    pub(crate) fn is_banned(&self, identity: &PeerId, now: Time) -> bool {
        self.identities.get(identity).is_some_and(|term| now < term.until)
    }

    pub(crate) fn is_address_banned(&self, ip: IpAddr, now: Time) -> bool {
        self.addresses.iter().any(|(range, term)| now < term.until && range.contains(ip))
    }

    /// Drops those that are over; says whether there were any.
    pub(crate) fn expire(&mut self, now: Time) -> bool {
        let before = self.identities.len() + self.addresses.len();
        self.identities.retain(|_, term| now < term.until);
        self.addresses.retain(|_, term| now < term.until);
        before != self.identities.len() + self.addresses.len()
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    pub(crate) fn identities(&self) -> impl Iterator<Item = (&PeerId, Term)> {
        self.identities.iter().map(|(identity, term)| (identity, *term))
    }

    pub(crate) fn addresses(&self) -> impl Iterator<Item = (IpRange, Term)> {
        self.addresses.iter().map(|(range, term)| (*range, *term))
    }
}

/// Inserts, or makes longer; when full, what ends first makes room.
fn insert_bounded<K: Ord + Clone>(bans: &mut BTreeMap<K, Term>, key: K, term: Term) {
    let term = bans.get(&key).filter(|old| old.until > term.until).copied().unwrap_or(term);
    if bans.len() >= MAX_BANS
        && !bans.contains_key(&key)
        && let Some(first) = bans.iter().min_by_key(|(_, term)| term.until).map(|(key, _)| key.clone())
    {
        bans.remove(&first);
    }
    bans.insert(key, term);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn until(time: u64) -> Term {
        Term { since: Time(0), until: Time(time) }
    }

    #[test]
    fn p2p_18_the_list_is_bounded_and_what_ends_first_goes_first() {
        let mut bans = Bans::default();
        let ip = |n: u32| IpAddr::from(n.to_be_bytes());
        for n in 0..5_000u32 {
            bans.ban_addresses(IpRange::one(ip(n)), until(10_000 + u64::from(n)));
        }
        assert_eq!(bans.addresses().count(), MAX_BANS);
        assert!(bans.is_address_banned(ip(4_999), Time(0)));
        assert!(!bans.is_address_banned(ip(0), Time(0)));
        assert!(bans.expire(Time(14_990)));
        assert_eq!(bans.addresses().count(), 9);
    }

    #[test]
    fn p2p_19_a_mapped_address_is_banned_with_its_address() {
        let mut bans = Bans::default();
        bans.ban_addresses("::ffff:1.2.3.4".parse().expect("an address"), until(10));
        assert!(bans.is_address_banned("1.2.3.4".parse().expect("an address"), Time(9)));
        assert!(bans.is_address_banned("::ffff:1.2.3.4".parse().expect("an address"), Time(9)));
        assert!(!bans.is_address_banned("1.2.3.4".parse().expect("an address"), Time(10)));
    }

    #[test]
    fn a_range_is_banned_with_every_address_in_it() {
        let mut bans = Bans::default();
        let range: IpRange = "10.1.0.0/16".parse().expect("a range");
        let [inside, outside] = ["10.1.9.9", "10.2.0.0"].map(|ip| ip.parse().expect("an address"));
        bans.ban_addresses(range, until(10));
        assert!(bans.is_address_banned(inside, Time(9)) && !bans.is_address_banned(outside, Time(9)));
        assert!(!bans.unban_addresses(&IpRange::one(inside)), "it was not banned by itself");
        assert!(bans.unban_addresses(&range) && !bans.is_address_banned(inside, Time(9)));
    }

    #[test]
    fn a_shorter_ban_does_not_end_a_longer_one() {
        let mut bans = Bans::default();
        let identity = PeerId::random();
        bans.ban_identity(identity, until(100));
        bans.ban_identity(identity, until(50));
        assert!(bans.is_banned(&identity, Time(99)));
    }

    #[test]
    fn whoever_is_taken_back_is_no_longer_refused() {
        let mut bans = Bans::default();
        let (identity, ip) = (PeerId::random(), "1.2.3.4".parse().expect("an address"));
        bans.ban_identity(identity, until(100));
        bans.ban_addresses(IpRange::one(ip), until(100));
        assert!(bans.unban_identity(&identity) && bans.unban_addresses(&IpRange::one(ip)));
        assert!(!bans.is_banned(&identity, Time(1)) && !bans.is_address_banned(ip, Time(1)));
        assert!(
            !bans.unban_identity(&identity) && !bans.unban_addresses(&IpRange::one(ip)),
            "there was no ban any more"
        );
    }
}
