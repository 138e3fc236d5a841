//! The seam between a node and its world: one enum in, one enum out.

use std::sync::Arc;

use tine_chain::block::{Block, Header};
use tine_chain::change::Change;
use tine_chain::hash::{BlockHash, Txid, Wtxid};
use tine_chain::reject::Reject;
use tine_chain::time::Time;
use tine_chain::transaction::{OutPoint, Transaction};

use crate::peers::Offence;
use crate::wire::{Gossip, Request, Response};

/// A connected peer: a number that the transport gives out and never uses again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct PeerId(pub u64);

/// A request that awaits its response: a number that the asking side gives out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// A gossiped message that awaits its verdict: a number that the transport gives out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GossipId(pub u64);

/// A submission that awaits its answer: a number that the submitter gives out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SubmitId(pub u64);

/// What the transport knows of a peer.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct PeerInfo {
    /// Its identity: a libp2p peer id, or a name in the lab.
    pub identity: String,
    /// Where it was reached, or reached us from.
    pub address: String,
    /// Whether we dialled it.
    pub outbound: bool,
    /// Its user agent, when it has told it.
    pub agent: String,
}

/// Something a program on this machine wants accepted.
#[derive(Debug, Clone)]
pub enum Submission {
    /// A transaction for the mempool, and to be relayed.
    Transaction(Arc<Transaction>),
    /// A block that was mined here.
    Block(Arc<Block>),
}

/// Everything that can happen to a node.
#[derive(Debug, Clone)]
pub enum Event {
    /// A peer is there.
    Connected(PeerId, PeerInfo),
    /// A peer is gone.
    Disconnected(PeerId),
    /// A peer asks.
    Request(PeerId, RequestId, Request),
    /// A peer answers what we asked.
    Response(PeerId, RequestId, Response),
    /// A request will not be answered: time-out, refusal, undecodable answer.
    RequestFailed(PeerId, RequestId),
    /// A message was gossiped; it goes no further before [`Action::Judge`].
    Gossip(PeerId, GossipId, Gossip),
    /// A peer sent bytes that are no message.
    Malformed(PeerId),
    /// A program on this machine submits something; answered by [`Action::Answer`].
    Submit(SubmitId, Submission),
    /// The time of [`crate::Node::deadline`] has come. Spurious ticks are harmless.
    Tick,
}

/// What gossip may do with a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Forward it.
    Accept,
    /// Drop it, and hold it against the sender.
    Reject,
    /// Drop it.
    Ignore,
}

/// What became of a submission.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accepted {
    /// In the mempool.
    Transaction(Txid),
    /// On the active chain.
    Connected(BlockHash),
    /// Stored; a branch with more work, or the one seen first, is active.
    SideBranch(BlockHash),
    /// We had it.
    Duplicate(BlockHash),
    /// Kept until its parent, or its time, comes.
    Inconclusive(BlockHash),
}

/// Everything that a node can want of the world.
#[derive(Debug, Clone)]
pub enum Action {
    /// Ask a peer.
    Request(PeerId, RequestId, Request),
    /// Answer a peer.
    Respond(PeerId, RequestId, Response),
    /// Gossip to all.
    Publish(Gossip),
    /// Say what may be done with a gossiped message.
    Judge(GossipId, Verdict),
    /// A peer has done wrong; its score has been charged. For gossip's own scoring, and for the log.
    Punish(PeerId, Offence),
    /// End the connection; do not take the peer back before `until`, if given.
    Disconnect(PeerId, Option<Time>),
    /// The answer to [`Event::Submit`].
    Answer(SubmitId, Result<Accepted, Reject>),
    /// Something that those who watch want to know.
    Notify(Notice),
}

/// Why a transaction left the mempool.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case", tag = "reason")]
pub enum Removal {
    /// It was mined.
    Confirmed {
        /// In this block.
        block: BlockHash,
    },
    /// A block spends a coin that it spends, or that an ancestor of it does.
    Conflicted {
        /// The coin.
        coin: OutPoint,
        /// The transaction that was mined instead.
        by: Txid,
    },
    /// The mempool was full of better ones.
    Evicted,
    /// It waited too long.
    Expired,
    /// Another took its place, or the place of an ancestor, and pays more.
    Replaced {
        /// The coin that both spend; where a sibling was evicted (BIP 431), the one that it spends.
        coin: OutPoint,
        /// The transaction that is there instead.
        by: Txid,
    },
    /// It can't be mined any more after a reorganisation.
    Invalid {
        /// The rule.
        reject: Reject,
    },
}

/// Facts for those who watch: log, wallet, RPC, web, lab.
#[derive(Debug, Clone)]
pub enum Notice {
    /// The chain changed: blocks stored, disconnected, connected. The reorganisation, if one, is within.
    Chain(Arc<Change>),
    /// A header was seen for the first time, from this peer or from here.
    HeaderSeen(Header, BlockHash, u32, Option<PeerId>),
    /// A block turned out invalid.
    BlockInvalid(BlockHash, Reject),
    /// The mempool took a transaction.
    TransactionAdded(Arc<Transaction>),
    /// The mempool dropped a transaction.
    TransactionRemoved(Txid, Removal),
    /// A transaction was refused because it spends a coin that a transaction in the mempool spends, and does not pay
    /// enough to replace it. An attempt that succeeds is told by [`Removal::Replaced`].
    DoubleSpendAttempt {
        /// The transaction refused.
        refused: Txid,
        /// The one that is in the mempool.
        kept: Txid,
        /// The coin that both spend.
        coin: OutPoint,
    },
    /// Catching up: blocks that we have, and headers that we know of.
    Syncing {
        /// Height of the active tip.
        blocks: u32,
        /// Height of the best header.
        headers: u32,
    },
    /// A transaction was asked for and did not come, or the like: harmless, for the debug log.
    Wanted(Wtxid),
}
