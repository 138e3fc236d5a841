//! Addresses: what people write, what libp2p wants, and which ones a peer may tell us of.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use libp2p::PeerId;
use libp2p::multiaddr::{Multiaddr, Protocol};

use crate::network::Error;

/// A peer to dial, as configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    /// As it was written: what it is removed by, and what errors name.
    pub(crate) text: String,
    /// Where.
    pub(crate) place: Place,
    /// Who must be there, if that was written.
    pub(crate) peer: Option<PeerId>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// An address that can be dialled, without `/p2p/…`.
    Address(Multiaddr),
    /// A name to look up, a port, and whether to speak QUIC there.
    Name(String, u16, bool),
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Reads a multiaddress, `IP:PORT` or `HOST:PORT`.
pub(crate) fn parse_target(text: &str) -> Result<Target, Error> {
    let bad = |reason: &str| Error::BadAddress { address: text.to_owned(), reason: reason.to_owned() };
    if !text.starts_with('/') {
        return parse_socket_or_name(text)
            .ok_or_else(|| bad("expected HOST:PORT, IP:PORT or a multiaddress"));
    }
    let mut address: Multiaddr = text.parse().map_err(|error| bad(&format!("{error}")))?;
    let peer = strip_peer(&mut address);
    let place = named_place(&address).unwrap_or(Place::Address(address));
    if let Place::Address(address) = &place
        && transport_of(address).is_none()
    {
        return Err(bad("only /tcp/PORT and /udp/PORT/quic-v1 can be dialled"));
    }
    Ok(Target { text: text.to_owned(), place, peer })
}

fn parse_socket_or_name(text: &str) -> Option<Target> {
    let place = if let Ok(socket) = text.parse::<SocketAddr>() {
        Place::Address(tcp_address(socket))
    } else {
        let (host, port) = text.rsplit_once(':')?;
        let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        if host.is_empty() || !host.chars().all(is_name) {
            return None;
        }
        Place::Name(host.to_owned(), port.parse().ok()?, false)
    };
    Some(Target { text: text.to_owned(), place, peer: None })
}

/// Reads where to listen: a multiaddress or `IP:PORT`.
pub(crate) fn parse_listen(text: &str) -> Result<Multiaddr, Error> {
    if let Ok(socket) = text.parse::<SocketAddr>() {
        return Ok(tcp_address(socket));
    }
    let address: Multiaddr = text
        .parse()
        .map_err(|error| Error::BadAddress { address: text.to_owned(), reason: format!("{error}") })?;
    match transport_of(&address) {
        Some(_) => Ok(address),
        None => Err(Error::BadAddress {
            address: text.to_owned(),
            reason: "only /ip…/tcp/PORT and /ip…/udp/PORT/quic-v1 can be listened on".to_owned(),
        }),
    }
}

pub(crate) fn tcp_address(socket: SocketAddr) -> Multiaddr {
    Multiaddr::from(socket.ip()).with(Protocol::Tcp(socket.port()))
}

pub(crate) fn quic_address(socket: SocketAddr) -> Multiaddr {
    Multiaddr::from(socket.ip()).with(Protocol::Udp(socket.port())).with(Protocol::QuicV1)
}

/// `/dns…/NAME/tcp/PORT` and `/dns…/NAME/udp/PORT/quic-v1`.
fn named_place(address: &Multiaddr) -> Option<Place> {
    let parts: Vec<_> = address.iter().collect();
    let (Protocol::Dns(name) | Protocol::Dns4(name) | Protocol::Dns6(name)) = parts.first()? else {
        return None;
    };
    match parts.get(1..)? {
        [Protocol::Tcp(port)] => Some(Place::Name(name.to_string(), *port, false)),
        [Protocol::Udp(port), Protocol::QuicV1] => Some(Place::Name(name.to_string(), *port, true)),
        _ => None,
    }
}

/// Takes a trailing `/p2p/IDENTITY` off.
pub(crate) fn strip_peer(address: &mut Multiaddr) -> Option<PeerId> {
    match address.iter().last() {
        Some(Protocol::P2p(peer)) => {
            address.pop();
            Some(peer)
        }
        _ => None,
    }
}

/// The address without a trailing `/p2p/IDENTITY`.
pub(crate) fn without_peer(mut address: Multiaddr) -> Multiaddr {
    strip_peer(&mut address);
    address
}

/// The socket that a TCP or QUIC address stands for, IPv4-mapped IPv6 turned into IPv4.
#[expect(clippy::wildcard_enum_match_arm, reason = "libp2p's own enum, which grows")]
pub(crate) fn socket_of(address: &Multiaddr) -> Option<SocketAddr> {
    let mut parts = address.iter();
    let ip = match parts.next()? {
        Protocol::Ip4(ip) => IpAddr::V4(ip),
        Protocol::Ip6(ip) => IpAddr::V6(ip).to_canonical(),
        _ => return None,
    };
    match parts.next()? {
        Protocol::Tcp(port) | Protocol::Udp(port) => Some(SocketAddr::new(ip, port)),
        _ => None,
    }
}

/// The IP of an address, IPv4-mapped IPv6 turned into IPv4, so that one host has one name.
pub(crate) fn ip_of(address: &Multiaddr) -> Option<IpAddr> {
    socket_of(address).map(|socket| socket.ip())
}

/// `tcp` or `quic`, for addresses that we can speak to.
pub(crate) fn transport_of(address: &Multiaddr) -> Option<&'static str> {
    let parts: Vec<_> = address.iter().collect();
    match parts.as_slice() {
        [Protocol::Ip4(_) | Protocol::Ip6(_), Protocol::Tcp(_)]
        | [Protocol::Ip4(_) | Protocol::Ip6(_), Protocol::Tcp(_), Protocol::P2p(_)] => Some("tcp"),
        [Protocol::Ip4(_) | Protocol::Ip6(_), Protocol::Udp(_), Protocol::QuicV1]
        | [Protocol::Ip4(_) | Protocol::Ip6(_), Protocol::Udp(_), Protocol::QuicV1, Protocol::P2p(_)] => {
            Some("quic")
        }
        _ => None,
    }
}

/// The network that an address belongs to for counting: IPv4 /16, IPv6 /32. Whoever has one address there has
/// many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Subnet {
    V4([u8; 2]),
    V6([u8; 4]),
}

pub(crate) fn subnet_of(ip: IpAddr) -> Subnet {
    match ip.to_canonical() {
        IpAddr::V4(ip) => Subnet::V4([ip.octets()[0], ip.octets()[1]]),
        IpAddr::V6(ip) => {
            let [a, b, c, d, ..] = ip.octets();
            Subnet::V6([a, b, c, d])
        }
    }
}

/// From how far away an address makes sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Reach {
    Host,
    Site,
    World,
}

pub(crate) fn reach_of(ip: IpAddr) -> Reach {
    match ip.to_canonical() {
        ip if ip.is_loopback() => Reach::Host,
        IpAddr::V4(ip) if ip.is_private() || ip.is_link_local() => Reach::Site,
        IpAddr::V6(ip) if ip.is_unique_local() || ip.is_unicast_link_local() => Reach::Site,
        IpAddr::V4(_) | IpAddr::V6(_) => Reach::World,
    }
}

/// Whether an address is one that a peer at `remote` may tell us of: one that can be dialled, and not in a
/// nearer network than the peer itself, where it would point at our own machines.
pub(crate) fn may_tell(remote: IpAddr, address: &Multiaddr) -> bool {
    let Some(socket) = socket_of(address) else { return false };
    transport_of(address).is_some()
        && socket.port() != 0
        && !socket.ip().is_unspecified()
        && !socket.ip().is_multicast()
        && reach_of(socket.ip()) >= reach_of(remote)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn multiaddr(text: &str) -> Multiaddr {
        text.parse().expect("a multiaddress")
    }

    #[test]
    fn people_may_write_sockets_names_and_multiaddresses() {
        let place = |text| parse_target(text).expect("an address").place;
        assert_eq!(place("127.0.0.1:18444"), Place::Address(multiaddr("/ip4/127.0.0.1/tcp/18444")));
        assert_eq!(place("[::1]:18444"), Place::Address(multiaddr("/ip6/::1/tcp/18444")));
        assert_eq!(place("alice:18444"), Place::Name("alice".to_owned(), 18_444, false));
        assert_eq!(place("/dns4/bob/tcp/1"), Place::Name("bob".to_owned(), 1, false));
        assert_eq!(place("/dns/bob/udp/1/quic-v1"), Place::Name("bob".to_owned(), 1, true));
        assert_eq!(
            place("/ip4/1.2.3.4/udp/5/quic-v1"),
            Place::Address(multiaddr("/ip4/1.2.3.4/udp/5/quic-v1"))
        );
        for text in
            ["", "alice", "alice:", "alice:99999", ":1", "a b:1", "/ip4/1.2.3.4", "/ip4/1.2.3.4/udp/5"]
        {
            assert!(matches!(parse_target(text), Err(Error::BadAddress { .. })), "{text:?}");
        }
    }

    #[test]
    fn the_identity_is_taken_off() {
        let identity = PeerId::random();
        let target = parse_target(&format!("/ip4/1.2.3.4/tcp/5/p2p/{identity}")).expect("an address");
        assert_eq!(target.peer, Some(identity));
        assert_eq!(target.place, Place::Address(multiaddr("/ip4/1.2.3.4/tcp/5")));
    }

    #[test]
    fn p2p_19_a_mapped_address_is_the_address() {
        assert_eq!(
            ip_of(&multiaddr("/ip6/::ffff:1.2.3.4/tcp/1")),
            ip_of(&multiaddr("/ip4/1.2.3.4/udp/2/quic-v1"))
        );
        assert_eq!(
            subnet_of("::ffff:1.2.3.4".parse().expect("an address")),
            subnet_of("1.2.9.9".parse().expect("an address"))
        );
    }

    #[test]
    fn a_peer_far_away_may_not_point_at_our_own_machines() {
        let far = "8.8.8.8".parse().expect("an address");
        let near = "192.168.1.2".parse().expect("an address");
        let here = "127.0.0.1".parse().expect("an address");
        let told = ["/ip4/127.0.0.1/tcp/1", "/ip4/10.0.0.1/tcp/1", "/ip4/9.9.9.9/tcp/1"].map(multiaddr);
        assert_eq!(told.each_ref().map(|address| may_tell(far, address)), [false, false, true]);
        assert_eq!(told.each_ref().map(|address| may_tell(near, address)), [false, true, true]);
        assert_eq!(told.each_ref().map(|address| may_tell(here, address)), [true, true, true]);
        assert!(!may_tell(here, &multiaddr("/ip4/0.0.0.0/tcp/1")));
        assert!(!may_tell(here, &multiaddr("/ip4/127.0.0.1/tcp/0")));
    }
}
