//! Whether and where a node answers gRPC, as people write it.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::str::FromStr;

use serde::de::Visitor;

/// How far a node's gRPC port is from its RPC port, unless told otherwise.
pub const PORT_OFFSET: u16 = 2;

/// `true`, `false`, an address, a port, or both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GrpcAt {
    /// Nowhere.
    Off,
    /// Somewhere; what is not said is loopback, and the RPC port + [`PORT_OFFSET`].
    On {
        /// The address.
        ip: Option<IpAddr>,
        /// The port.
        port: Option<u16>,
    },
}

/// A text that says neither whether nor where.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("gRPC is true, false, an address, a port from 1 to 65535, or both as in 127.0.0.1:18445")]
pub struct ParseGrpcAtError;

impl GrpcAt {
    /// On loopback, at the port that follows from the RPC port.
    pub const ON: Self = Self::On { ip: None, port: None };

    /// Where, for a node whose RPC is at `rpc_port`; `None`: nowhere.
    #[must_use]
    pub fn address(self, rpc_port: u16) -> Option<SocketAddr> {
        match self {
            Self::Off => None,
            Self::On { ip, port } => Some(SocketAddr::new(
                ip.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST)),
                port.unwrap_or(rpc_port.saturating_add(PORT_OFFSET)),
            )),
        }
    }
}

impl FromStr for GrpcAt {
    type Err = ParseGrpcAtError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let of_port = |port: u16| Some(port).filter(|port| *port > 0).ok_or(ParseGrpcAtError);
        if let Ok(on) = text.parse() {
            return Ok(if on { Self::ON } else { Self::Off });
        }
        if let Ok(ip) = text.parse() {
            return Ok(Self::On { ip: Some(ip), port: None });
        }
        if let Ok(address) = text.parse::<SocketAddr>() {
            return Ok(Self::On { ip: Some(address.ip()), port: Some(of_port(address.port())?) });
        }
        let port = text.parse().map_err(|_| ParseGrpcAtError)?;
        Ok(Self::On { ip: None, port: Some(of_port(port)?) })
    }
}

impl<'de> serde::Deserialize<'de> for GrpcAt {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Said;
        impl Visitor<'_> for Said {
            type Value = GrpcAt;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("true, false, or a text such as \"127.0.0.1:18445\"")
            }

            fn visit_bool<E: serde::de::Error>(self, on: bool) -> Result<GrpcAt, E> {
                Ok(if on { GrpcAt::ON } else { GrpcAt::Off })
            }

            fn visit_i64<E: serde::de::Error>(self, port: i64) -> Result<GrpcAt, E> {
                self.visit_str(&port.to_string())
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<GrpcAt, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_any(Said)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_people_write_and_nothing_else() {
        let at = |text: &str| text.parse::<GrpcAt>().map(|at| at.address(1_000).map(|at| at.to_string()));
        assert_eq!(at("false"), Ok(None));
        for (text, address) in [
            ("true", "127.0.0.1:1002"),
            ("5", "127.0.0.1:5"),
            ("0.0.0.0", "0.0.0.0:1002"),
            ("::1", "[::1]:1002"),
            ("[::1]:7", "[::1]:7"),
            ("10.0.0.1:7", "10.0.0.1:7"),
        ] {
            assert_eq!(at(text), Ok(Some(address.to_owned())), "{text}");
        }
        for text in ["", "yes", "0", "65536", "127.0.0.1:0", "localhost:5", "localhost"] {
            assert_eq!(at(text), Err(ParseGrpcAtError), "{text}");
        }
    }
}
