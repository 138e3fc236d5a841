//! The handle by which the rest of the program speaks to the network's task.

use std::sync::Arc;
use std::time::Duration;

use tine_chain::time::Time;
use tine_node::event::{Action, PeerId};
use tokio::sync::{mpsc, oneshot, watch};

use crate::range::IpRange;

/// Commands that may wait for the network's task. It never stops taking them, whatever the node does, so a
/// sender waits only for a moment.
pub(crate) const COMMAND_QUEUE: usize = 1_024;
/// Events that may wait for the node. When they are full the network stops reading from its connections.
pub(crate) const EVENT_QUEUE: usize = 64;

/// Why the network could not start, or could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An address that is none.
    #[error("{address:?} is no address: {reason}")]
    BadAddress {
        /// What was given.
        address: String,
        /// What is wrong with it.
        reason: String,
    },
    /// An identity that is none.
    #[error("{0:?} is no peer identity")]
    BadIdentity(String),
    /// An address that can't be listened on.
    #[error("can't listen on {address}: {reason}")]
    Listen {
        /// Where.
        address: String,
        /// Why.
        reason: String,
    },
    /// The key file can't be read or made.
    #[error("identity file {path}: {reason}")]
    IdentityFile {
        /// Where.
        path: String,
        /// Why.
        reason: String,
    },
    /// A part of the network could not be set up.
    #[error("can't set up {part}: {reason}")]
    Setup {
        /// Which part.
        part: &'static str,
        /// Why.
        reason: String,
    },
    /// A peer could not be reached.
    #[error("can't reach {address}: {reason}")]
    Dial {
        /// Whom.
        address: String,
        /// Why.
        reason: String,
    },
    /// The network has stopped.
    #[error("the network has stopped")]
    Stopped,
}

/// What is known of a connected peer.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Peer {
    /// The number by which the node knows it.
    pub id: PeerId,
    /// Its libp2p peer id, base58.
    pub identity: String,
    /// Where it was reached, or reached us from: a multiaddress.
    pub address: String,
    /// The same as `IP:PORT`.
    pub socket: String,
    /// `tcp` or `quic`.
    pub transport: &'static str,
    /// Whether we dialled it.
    pub outbound: bool,
    /// Its user agent.
    pub agent: String,
    /// Since when.
    pub since: Time,
    /// The last round trip measured.
    pub ping: Option<Duration>,
    /// The shortest round trip measured.
    pub ping_min: Option<Duration>,
    /// Bytes of requests and responses sent to it.
    pub bytes_sent: u64,
    /// Bytes of requests, responses and gossip received from it.
    pub bytes_received: u64,
    /// When a request or response was last sent to it.
    pub last_sent: Option<Time>,
    /// When a request, response or gossip was last received from it.
    pub last_received: Option<Time>,
}

/// Counts since the start, and of what is there now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Counters {
    /// Connections that others made to us.
    pub established_inbound: u32,
    /// Connections that we made.
    pub established_outbound: u32,
    /// Connections of either kind whose handshake is not over.
    pub pending: u32,
    /// Connections refused since the start: cut, banned or over a limit. Second connections with a peer do not count.
    pub refused: u64,
    /// Gossiped messages received for the first time.
    pub gossip_received: u64,
    /// Of these, those that the node accepted.
    pub gossip_accepted: u64,
    /// Of these, those that the node rejected, or that were no message.
    pub gossip_rejected: u64,
    /// Of these, those that the node ignored, or did not judge in time.
    pub gossip_ignored: u64,
    /// Times that a peer was too slow to take what was gossiped to it.
    pub slow_peers: u64,
    /// Byte strings received that were no message.
    pub malformed: u64,
    /// Requests received.
    pub requests_received: u64,
    /// Responses not sent because too many bytes were on their way already.
    pub responses_dropped: u64,
    /// Bytes of requests and responses sent to anybody.
    pub bytes_sent: u64,
    /// Bytes of requests, responses and gossip received from anybody.
    pub bytes_received: u64,
}

impl Counters {
    /// Connections that are there.
    #[must_use]
    pub fn established(&self) -> u32 {
        self.established_inbound + self.established_outbound
    }
}

/// A picture of the network, replaced whenever it changes.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Status {
    /// Where we listen: multiaddresses that end in `/p2p/IDENTITY`, ready to be given to another node.
    pub listen: Vec<String>,
    /// Connected peers, by [`PeerId`].
    pub peers: Vec<Peer>,
    /// The identities that we are cut off from by [`Network::set_cut`].
    pub cut: Vec<String>,
    /// Identities and addresses refused.
    pub banned: Vec<Banned>,
    /// The addresses that the network stays connected to, and who was there.
    pub added: Vec<Added>,
    /// Counts.
    pub counters: Counters,
}

/// Who is refused, and how long.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Banned {
    /// A libp2p peer id, or an IP address.
    pub who: String,
    /// Since when; for a ban of an earlier run, since this one began.
    pub since: Time,
    /// Until when.
    pub until: Time,
}

/// An address that the network stays connected to (Core: `addnode add`).
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Added {
    /// As it was given.
    pub address: String,
    /// The identity of whoever answered there last.
    pub peer: Option<String>,
}

/// A peer that has been met.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownPeer {
    /// Its libp2p identity.
    pub identity: String,
    /// Where it says it can be reached, as multiaddresses.
    pub addresses: Vec<String>,
    /// When it was last connected, or told of.
    pub last_seen: Time,
}

/// Who can be banned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcast {
    Identity(libp2p::PeerId),
    Addresses(IpRange),
}

impl Outcast {
    fn parse(text: &str) -> Result<Self, Error> {
        match text.parse() {
            Ok(range) => Ok(Self::Addresses(range)),
            Err(_) => text.parse().map(Self::Identity).map_err(|_| Error::BadIdentity(text.to_owned())),
        }
    }
}

/// What the network's task is told.
#[derive(Debug)]
pub(crate) enum Command {
    Act(Action),
    Dial(String, oneshot::Sender<Result<(), Error>>),
    Add(String, oneshot::Sender<Result<(), Error>>),
    Remove(String, oneshot::Sender<bool>),
    Cut(Vec<libp2p::PeerId>, oneshot::Sender<()>),
    Ban(Outcast, Time, oneshot::Sender<()>),
    Unban(Outcast, oneshot::Sender<bool>),
    UnbanAll(oneshot::Sender<()>),
    Known(oneshot::Sender<Vec<KnownPeer>>),
    Stop(oneshot::Sender<()>),
}

/// A handle on the running network. Cheap to clone; the network stops when [`Network::shutdown`] is called, or
/// when all handles or the receiver of its events are dropped.
#[derive(Debug, Clone)]
pub struct Network {
    pub(crate) commands: mpsc::Sender<Command>,
    pub(crate) status: watch::Receiver<Arc<Status>>,
    pub(crate) identity: Arc<str>,
}

impl Network {
    /// This node's identity: its libp2p peer id, base58.
    #[must_use]
    pub fn identity(&self) -> &str {
        &self.identity
    }

    /// Carries out an action of the node: `Request`, `Respond`, `Publish`, `Judge`, `Punish`, `Disconnect`.
    /// `Answer` and `Notify` are not for the network and do nothing.
    ///
    /// For a plain thread: it waits, briefly, when the queue is full, and so must not be called from async code,
    /// which has [`Network::send_async`].
    ///
    /// # Errors
    /// [`Error::Stopped`].
    pub fn send(&self, action: Action) -> Result<(), Error> {
        match self.commands.try_send(Command::Act(action)) {
            Ok(()) => Ok(()),
            Err(mpsc::error::TrySendError::Full(command)) => {
                self.commands.blocking_send(command).map_err(|_| Error::Stopped)
            }
            Err(mpsc::error::TrySendError::Closed(_)) => Err(Error::Stopped),
        }
    }

    /// As [`Network::send`], for async code.
    ///
    /// # Errors
    /// [`Error::Stopped`].
    pub async fn send_async(&self, action: Action) -> Result<(), Error> {
        self.commands.send(Command::Act(action)).await.map_err(|_| Error::Stopped)
    }

    /// Dials an address, and says how it went: `Ok` when there is a connection with a node of our chain, new or old.
    ///
    /// # Errors
    /// [`Error::BadAddress`], [`Error::Dial`], [`Error::Stopped`].
    pub async fn dial(&self, address: &str) -> Result<(), Error> {
        self.ask(|answer| Command::Dial(address.to_owned(), answer)).await?
    }

    /// Adds an address to those that the network stays connected to (Core: `addnode add`).
    ///
    /// # Errors
    /// [`Error::BadAddress`], [`Error::Stopped`].
    pub async fn add(&self, address: &str) -> Result<(), Error> {
        self.ask(|answer| Command::Add(address.to_owned(), answer)).await?
    }

    /// Takes an address from those that the network stays connected to; says whether it was there. The
    /// connection stays.
    ///
    /// # Errors
    /// [`Error::Stopped`].
    pub async fn remove(&self, address: &str) -> Result<bool, Error> {
        self.ask(|answer| Command::Remove(address.to_owned(), answer)).await
    }

    /// Cuts this node off from these identities, and from no others: their connections are closed, and new ones
    /// are refused in both directions until the next call. Returns once the connections are closed.
    ///
    /// # Errors
    /// [`Error::BadIdentity`], [`Error::Stopped`].
    pub async fn set_cut(&self, identities: &[String]) -> Result<(), Error> {
        let cut = identities
            .iter()
            .map(|identity| identity.parse().map_err(|_| Error::BadIdentity(identity.clone())))
            .collect::<Result<Vec<_>, _>>()?;
        self.ask(|answer| Command::Cut(cut, answer)).await
    }

    /// Ends every cut. Peers are redialled at once.
    ///
    /// # Errors
    /// [`Error::Stopped`].
    pub async fn heal(&self) -> Result<(), Error> {
        self.set_cut(&[]).await
    }

    /// Forgets all bans (Core: `clearbanned`).
    ///
    /// # Errors
    /// [`Error::Stopped`].
    pub async fn clear_banned(&self) -> Result<(), Error> {
        self.ask(Command::UnbanAll).await
    }

    /// The peers that have been met, connected or not, by identity.
    ///
    /// # Errors
    /// [`Error::Stopped`].
    pub async fn known(&self) -> Result<Vec<KnownPeer>, Error> {
        self.ask(Command::Known).await
    }

    /// Refuses an IP address, a range of them ([`IpRange`]) or an identity until then, and closes their connections
    /// (Core: `setban add`). Loopback is
    /// shared by many, but whoever names it means it.
    ///
    /// # Errors
    /// [`Error::BadIdentity`] for what is neither; [`Error::Stopped`].
    pub async fn ban(&self, who: &str, until: Time) -> Result<(), Error> {
        let who = Outcast::parse(who)?;
        self.ask(|answer| Command::Ban(who, until, answer)).await
    }

    /// Takes an IP address, a range or an identity back (Core: `setban remove`); says whether it was banned.
    ///
    /// # Errors
    /// As [`Network::ban`].
    pub async fn unban(&self, who: &str) -> Result<bool, Error> {
        let who = Outcast::parse(who)?;
        self.ask(|answer| Command::Unban(who, answer)).await
    }

    /// Closes all connections, writes the peers file and ends the network's task.
    pub async fn shutdown(&self) {
        // An error means that it has stopped already.
        let _ = self.ask(Command::Stop).await;
    }

    /// The network as it is now.
    #[must_use]
    pub fn status(&self) -> Arc<Status> {
        self.status.borrow().clone()
    }

    /// A receiver that learns of every change of the [`Status`].
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Arc<Status>> {
        self.status.clone()
    }

    /// Where we listen, ready to be given to another node.
    #[must_use]
    pub fn listen_addresses(&self) -> Vec<String> {
        self.status().listen.clone()
    }

    /// Connected peers.
    #[must_use]
    pub fn peers(&self) -> Vec<Peer> {
        self.status().peers.clone()
    }

    /// Counts.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.status().counters
    }

    async fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> Result<T, Error> {
        let (answer, answered) = oneshot::channel();
        self.commands.send(command(answer)).await.map_err(|_| Error::Stopped)?;
        answered.await.map_err(|_| Error::Stopped)
    }
}
