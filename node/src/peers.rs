//! Peer conduct: what counts as an offence, what it costs, and what we know of each peer.
//!
//! The chain says what a rejection means ([`Reject::fault`]); this module prices it; the driver turns the price into
//! gossip's own scoring and, at [`BAN_SCORE`], into a closed connection. A peer is charged for what it *vouched for*:
//! the bytes that it sent, and the blocks that it served in answer to a request (a node serves only what it has
//! connected itself). It is not charged for a header that it passed on and whose block turns out invalid, because
//! headers are relayed before bodies are known (BIP 152 demands the same).

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use tine_chain::hash::{BlockHash, Wtxid};
use tine_chain::pow::Work;
use tine_chain::reject::{Fault, Reject};
use tine_chain::time::Time;

use crate::event::{PeerId, PeerInfo, RequestId};

/// The score from which on a peer is disconnected and kept out (Bitcoin's classic `-banscore`).
pub const BAN_SCORE: u32 = 100;
/// How long a banned peer is kept out (Core: `DEFAULT_MISBEHAVING_BANTIME`).
pub const BAN_TIME: Duration = Duration::from_secs(24 * 60 * 60);
/// Blocks that one peer may owe us (Core: `MAX_BLOCKS_IN_TRANSIT_PER_PEER`).
pub const MAX_BLOCKS_IN_FLIGHT: usize = 16;
/// Requests of all kinds that may be open with one peer, those among them that it let time out.
pub const MAX_REQUESTS_IN_FLIGHT: usize = 8;
/// Transactions that one peer may have made us want and not yet delivered (Core: `MAX_PEER_TX_ANNOUNCEMENTS`).
pub const MAX_WANTED_TRANSACTIONS: usize = 5_000;
/// Blocks remembered, of each peer, as not to be had from it.
const MAX_LACKING: usize = 64;

/// What a peer did wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Offence {
    /// It sent a header, a block or a transaction that breaks this rule.
    Broke(Reject),
    /// It sent bytes that are no message.
    Malformed,
    /// A list is longer than its kind of message may hold.
    TooLong,
    /// An answer is of another kind than the question, or holds what was not asked for.
    WrongAnswer,
    /// Headers of one answer do not follow on each other.
    Discontinuous,
    /// It kept the whole download waiting.
    Stalled,
}

impl std::fmt::Display for Offence {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Broke(reject) => write!(f, "{reject}"),
            Self::Malformed => f.write_str("malformed message"),
            Self::TooLong => f.write_str("oversized list"),
            Self::WrongAnswer => f.write_str("answer to another question"),
            Self::Discontinuous => f.write_str("headers that do not connect"),
            Self::Stalled => f.write_str("stalled the download"),
        }
    }
}

/// What an offence adds to a peer's score.
///
/// Proof that bytes were forged costs everything at once: an honest program never sends them. What an honest program
/// could do by accident of timing costs nothing.
#[must_use]
pub fn penalty(offence: Offence) -> u32 {
    match offence {
        Offence::Broke(reject) => match reject.fault() {
            Fault::Invalid | Fault::Mutated => BAN_SCORE,
            Fault::Premature | Fault::Local => 0,
        },
        Offence::Malformed | Offence::TooLong | Offence::WrongAnswer => BAN_SCORE,
        // an answer cut together from two chains while the peer reorganises is no crime, five of them are
        Offence::Discontinuous => 20,
        // closed without a ban: a slow line is not an attack, and it may come back faster
        Offence::Stalled => 0,
    }
}

/// The best header that a peer is known to have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeerTip {
    /// Its id.
    pub hash: BlockHash,
    /// Its height.
    pub height: u32,
    /// Cumulative work up to it.
    pub work: Work,
}

/// How far the exchange with a peer has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SyncState {
    /// It has not told all its headers.
    Headers,
    /// We know its headers and lack bodies of them.
    Blocks,
    /// We have all that it has, as far as it is better than what we have.
    Synced,
}

/// What we know of a peer.
#[derive(Debug, Clone)]
pub struct PeerState {
    /// Its number.
    pub id: PeerId,
    /// What the transport knows.
    pub info: PeerInfo,
    /// When it connected.
    pub since: Time,
    /// The best header that it is known to have.
    pub best: Option<PeerTip>,
    /// The last block of its latest answer to a question for headers. That is on its own chain, and so it serves it;
    /// what it has only gossiped it may not have whole.
    pub(crate) told: Option<BlockHash>,
    /// The height of the first header that it named (Core: `startingheight`).
    pub starting_height: Option<u32>,
    /// When it last gave us a block that we did not have (Core: `last_block`).
    pub last_block: Option<Time>,
    /// When it last gave us a transaction that we took (Core: `last_transaction`).
    pub last_transaction: Option<Time>,
    /// The sum of its penalties.
    pub score: u32,
    /// How far the exchange with it has come.
    pub sync: SyncState,
    /// Blocks asked of it and not yet here.
    pub in_flight: BTreeSet<BlockHash>,
    /// Requests of ours that it has not answered, whether or not they timed out.
    pub(crate) requests: BTreeSet<RequestId>,
    /// The open question for headers, if there is one.
    pub(crate) headers_request: Option<RequestId>,
    /// When to ask for headers again.
    pub(crate) headers_due: Time,
    /// Since when it alone keeps the download window from moving.
    pub(crate) stalling_since: Option<Time>,
    /// When we may ask for the ids of its mempool; `None` while an exchange runs, or none is wanted.
    pub(crate) mempool_due: Option<Time>,
    /// From when on an orphan may make us ask again.
    pub(crate) mempool_again: Time,
    /// How many transactions of the present exchange are still gossiped on.
    pub(crate) gossip_left: u32,
    /// Ids of its mempool that we have not asked for yet.
    pub(crate) wanted: VecDeque<Wtxid>,
    /// Blocks that it did not have when asked, and when to ask again.
    pub(crate) lacking: BTreeMap<BlockHash, Time>,
    /// Told to disconnect: nothing it says counts any more.
    pub(crate) gone: bool,
}

impl PeerState {
    /// A peer that has just connected: everything is still to be asked.
    pub(crate) fn new(id: PeerId, info: PeerInfo, now: Time) -> Self {
        Self {
            id,
            info,
            since: now,
            best: None,
            told: None,
            starting_height: None,
            last_block: None,
            last_transaction: None,
            score: 0,
            sync: SyncState::Headers,
            in_flight: BTreeSet::new(),
            requests: BTreeSet::new(),
            headers_request: None,
            headers_due: now,
            stalling_since: None,
            mempool_due: Some(now),
            mempool_again: now,
            gossip_left: 0,
            wanted: VecDeque::new(),
            lacking: BTreeMap::new(),
            gone: false,
        }
    }

    /// Whether one more request may be sent to it.
    pub(crate) fn may_ask(&self) -> bool {
        !self.gone && self.requests.len() < MAX_REQUESTS_IN_FLIGHT
    }

    /// Learns that the peer has the block of `tip`.
    pub(crate) fn has(&mut self, tip: PeerTip) {
        self.lacking.remove(&tip.hash);
        self.starting_height.get_or_insert(tip.height);
        if self.best.is_none_or(|best| best.work < tip.work) {
            self.best = Some(tip);
        }
    }

    /// Remembers not to ask for `hash` before `retry`.
    pub(crate) fn lacks(&mut self, hash: BlockHash, retry: Time) {
        if self.lacking.len() >= MAX_LACKING {
            self.lacking.pop_first();
        }
        self.lacking.insert(hash, retry);
    }

    /// Whether asking for `hash` was in vain not long ago.
    pub(crate) fn lacks_now(&self, hash: &BlockHash, now: Time) -> bool {
        self.lacking.get(hash).is_some_and(|retry| now < *retry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// P2P-21: "every reject kind maps to its documented penalty".
    #[test]
    fn every_rejection_has_its_penalty() {
        for &reject in Reject::ALL {
            let expected = match reject.fault() {
                Fault::Invalid | Fault::Mutated => 100,
                Fault::Premature | Fault::Local => 0,
            };
            assert_eq!(penalty(Offence::Broke(reject)), expected, "{reject}");
        }
        for (offence, expected) in [
            (Offence::Malformed, 100),
            (Offence::TooLong, 100),
            (Offence::WrongAnswer, 100),
            (Offence::Discontinuous, 20),
            (Offence::Stalled, 0),
        ] {
            assert_eq!(penalty(offence), expected, "{offence}");
        }
    }
}
