//! What the network is told when it starts. Nothing is left to a library's default.

use std::path::PathBuf;
use std::time::Duration;

use tine_chain::hash::BlockHash;

/// Where the node's key comes from. Its identity on the network is derived from the key.
#[derive(Debug, Clone)]
pub enum Identity {
    /// Read from this file, which is made, mode 0600, when it is not there.
    File(PathBuf),
    /// Derived from these 32 bytes, so that a devnet has the same identities every time.
    Seed([u8; 32]),
}

/// Everything that [`crate::start`] needs to know.
#[derive(Debug, Clone)]
pub struct Config {
    /// The first block's id. Its first 16 hex digits are in every protocol name and topic, so that nodes of
    /// different chains have nothing to say to each other.
    pub genesis: BlockHash,
    /// Where the key comes from.
    pub identity: Identity,
    /// Where to listen: multiaddresses (`/ip4/0.0.0.0/tcp/18444`, `/ip4/0.0.0.0/udp/18444/quic-v1`) or `IP:PORT` for TCP.
    /// Port 0 takes a free one.
    pub listen: Vec<String>,
    /// Peers to stay connected to: multiaddresses, `HOST:PORT` or `IP:PORT`. Names are looked up at each attempt.
    pub connect: Vec<String>,
    /// Connect to [`Config::connect`] only: nobody else is dialled, though others may dial us.
    pub connect_only: bool,
    /// Addresses under which others can reach this node, if it can't know them itself.
    pub external: Vec<String>,
    /// Where peers and bans are remembered across restarts; `None`: they are not.
    pub peers_file: Option<PathBuf>,
    /// Find nodes on the local network by multicast.
    pub mdns: bool,
    /// Find nodes by asking nodes.
    pub kademlia: bool,
    /// What this node calls itself.
    pub agent: String,
    /// How much of everything.
    pub limits: Limits,
}

impl Config {
    /// A node that listens nowhere and knows nobody: set what you need.
    #[must_use]
    pub fn new(genesis: BlockHash, identity: Identity) -> Self {
        Self {
            genesis,
            identity,
            listen: Vec::new(),
            connect: Vec::new(),
            connect_only: false,
            external: Vec::new(),
            peers_file: None,
            mdns: false,
            kademlia: true,
            agent: format!("/tine:{}/", env!("CARGO_PKG_VERSION")),
            limits: Limits::default(),
        }
    }

    /// The first 16 hex digits of the genesis id: what names our protocols.
    #[must_use]
    pub fn chain_name(&self) -> String {
        let mut name = self.genesis.to_string();
        name.truncate(16);
        name
    }
}

/// Bounds that an operator may want to change. Those that nobody should change are constants beside their use.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Connections that others made to us.
    pub inbound: u32,
    /// Connections that we made. Discovery stops well below, at [`Limits::outbound_target`].
    pub outbound: u32,
    /// How many peers we try to have dialled.
    pub outbound_target: usize,
    /// Inbound connections from one address.
    pub per_address: usize,
    /// Inbound connections from one IPv4 /16 or IPv6 /32.
    pub per_subnet: usize,
    /// Do not count loopback addresses in [`Limits::per_address`] and [`Limits::per_subnet`], nor ban them:
    /// a devnet lives there.
    pub spare_loopback: bool,
    /// Take no more connections while the process uses more bytes of memory than this.
    pub process_bytes: Option<usize>,
    /// Bytes of responses that may be on their way to one peer; one response may always be.
    pub response_bytes_per_peer: usize,
    /// Bytes of responses that may be on their way to all peers.
    pub response_bytes: usize,
    /// How long a request may take, either way.
    pub request_timeout: Duration,
    /// Between two pings of a connection.
    pub ping_interval: Duration,
    /// How long the node may take to judge a gossiped message; after that it is dropped.
    pub verdict_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            inbound: 64,
            outbound: 16,
            outbound_target: 8,
            per_address: 8,
            per_subnet: 32,
            spare_loopback: true,
            process_bytes: Some(4 << 30),
            response_bytes_per_peer: 8 << 20,
            response_bytes: 64 << 20,
            request_timeout: Duration::from_secs(10),
            ping_interval: Duration::from_secs(5),
            verdict_timeout: Duration::from_secs(5),
        }
    }
}
