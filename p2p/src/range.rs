//! Ranges of IP addresses, as bans name them: one address, or all that begin with the same bits.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// The addresses whose first `bits` bits are those of `first`: an IPv4 address has 32, an IPv6 address 128.
///
/// Written as `10.1.0.0/16`; one address alone without its mask. The bits after the mask are zero, and an IPv4 address in
/// IPv6's clothes (`::ffff:10.1.2.3`) is an IPv4 address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct IpRange {
    first: IpAddr,
    bits: u8,
}

/// A text that is no range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("neither an IP address nor a range as in 10.1.0.0/16 or 10.1.0.0/255.255.0.0")]
pub struct ParseIpRangeError;

/// An address as a number, its first bit the highest, and how many bits it has.
fn number(ip: IpAddr) -> (u128, u8) {
    match ip {
        IpAddr::V4(ip) => (u128::from(ip.to_bits()) << 96, 32),
        IpAddr::V6(ip) => (ip.to_bits(), 128),
    }
}

/// The first `bits` bits.
fn mask(bits: u8) -> u128 {
    u128::MAX.checked_shl(128 - u32::from(bits)).unwrap_or(0)
}

impl IpRange {
    /// One address.
    #[must_use]
    pub fn one(ip: IpAddr) -> Self {
        let ip = ip.to_canonical();
        Self { first: ip, bits: number(ip).1 }
    }

    /// The addresses that begin like `ip`; `None` when an address does not have so many bits.
    #[must_use]
    pub fn new(ip: IpAddr, bits: u8) -> Option<Self> {
        let (number, width) = number(ip);
        if bits > width {
            return None;
        }
        let kept = number & mask(bits);
        let first = match ip {
            IpAddr::V4(_) => IpAddr::V4(u32::try_from(kept >> 96).ok()?.into()),
            IpAddr::V6(_) => IpAddr::V6(kept.into()),
        };
        Some(Self { first, bits })
    }

    /// Whether it is a single address.
    #[must_use]
    pub fn is_one(&self) -> bool {
        self.bits == number(self.first).1
    }

    /// Whether `ip` is among them.
    #[must_use]
    pub fn contains(&self, ip: IpAddr) -> bool {
        let ((first, width), (ip, other)) = (number(self.first), number(ip.to_canonical()));
        width == other && (first ^ ip) & mask(self.bits) == 0
    }

    /// As Core writes it: with the mask, also of a single address.
    #[must_use]
    pub fn with_mask(&self) -> String {
        format!("{}/{}", self.first, self.bits)
    }
}

impl fmt::Display for IpRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_one() { self.first.fmt(f) } else { f.write_str(&self.with_mask()) }
    }
}

/// How many bits a mask written as an address has; `None` when they are not the first ones.
fn bits_of(netmask: IpAddr) -> Option<u8> {
    let (number, width) = number(netmask);
    let bits = u8::try_from(number.leading_ones()).ok()?.min(width);
    (number == mask(bits)).then_some(bits)
}

impl FromStr for IpRange {
    type Err = ParseIpRangeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let Some((ip, wanted)) = text.split_once('/') else {
            return text.parse().map(Self::one).map_err(|_| ParseIpRangeError);
        };
        let ip: IpAddr = ip.parse().map_err(|_| ParseIpRangeError)?;
        let is_number = !wanted.is_empty() && wanted.bytes().all(|byte| byte.is_ascii_digit());
        let bits = match (is_number, wanted.parse::<IpAddr>()) {
            (true, _) => wanted.parse().ok(),
            (false, Ok(netmask)) if netmask.is_ipv4() == ip.is_ipv4() => bits_of(netmask),
            (false, _) => None,
        };
        bits.and_then(|bits| Self::new(ip, bits)).ok_or(ParseIpRangeError)
    }
}

impl serde::Serialize for IpRange {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for IpRange {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(text: &str) -> IpRange {
        text.parse().expect("a range")
    }

    #[test]
    fn a_range_holds_what_begins_like_it() {
        for (text, inside, outside) in [
            ("10.1.2.3", "10.1.2.3", "10.1.2.4"),
            ("10.1.2.3/16", "10.1.255.0", "10.2.0.0"),
            ("10.1.2.3/255.255.0.0", "10.1.255.0", "10.2.0.0"),
            ("10.1.2.3/16", "::ffff:10.1.9.9", "::ffff:10.2.9.9"),
            ("0.0.0.0/0", "255.255.255.255", "::1"),
            ("2001:db8::/32", "2001:db8:ffff::1", "2001:db9::"),
            ("::/0", "::1", "1.2.3.4"),
        ] {
            let range = range(text);
            assert!(range.contains(inside.parse().expect("an address")), "{inside} in {text}");
            assert!(!range.contains(outside.parse().expect("an address")), "{outside} not in {text}");
        }
    }

    #[test]
    fn it_is_written_as_people_write_it() {
        for (text, written, masked) in [
            ("10.1.2.3/32", "10.1.2.3", "10.1.2.3/32"),
            ("10.1.2.3/16", "10.1.0.0/16", "10.1.0.0/16"),
            ("::1", "::1", "::1/128"),
            ("2001:db8:1::/32", "2001:db8::/32", "2001:db8::/32"),
        ] {
            assert_eq!(
                (range(text).to_string().as_str(), range(text).with_mask().as_str()),
                (written, masked)
            );
            assert_eq!(range(written), range(text));
        }
        for wrong in [
            "",
            "/",
            "1.2.3.4/",
            "1.2.3.4/33",
            "1.2.3.4/-1",
            "1.2.3.4/255.0.255.0",
            "::1/129",
            "x/8",
            "1.2.3.4/ffff::",
        ] {
            assert_eq!(wrong.parse::<IpRange>(), Err(ParseIpRangeError), "{wrong}");
        }
    }
}
