//! Catching up: headers first, then the bodies of the best header chain, from several peers at once.
//!
//! Every peer is asked for headers when it connects, twice again while the connection is young ([`SETTLING`]), and every
//! [`crate::NodeConfig::headers_interval`] from then on, so that nodes agree again after a partition that nobody noticed.
//! Bodies are asked for within [`WINDOW`] of the active chain, of peers whose headers have them, at most
//! [`MAX_BLOCKS_IN_FLIGHT`](crate::peers::MAX_BLOCKS_IN_FLIGHT) of each. A peer that alone keeps the window from moving
//! is dropped after two seconds, twice as long for the next one (Core: `BLOCK_STALLING_TIMEOUT`).
//!
//! Any message may be lost. Each is asked for again: headers every interval, a pass over headers whose work is not proved
//! from where it stands, bodies of another peer (or of the same) when the request is overdue, the rest of a block in
//! brief as a whole block, ids and transactions of a mempool ten seconds later; an announcement is made up for by the
//! next question for headers.

mod bodies;
mod downloads;
mod headers;

use std::time::Duration;

use tine_chain::hash::BlockHash;
use tine_chain::time::Time;
use tine_chain::tree::BlockEntry;

use crate::event::PeerId;
use crate::node::Node;
use crate::peers::{PeerTip, SyncState};

pub(crate) use downloads::Downloads;

/// How far above the active chain bodies are fetched (Core: `BLOCK_DOWNLOAD_WINDOW`).
pub const WINDOW: u32 = 1_024;
/// When a new peer is asked for headers again: gossip reaches it only once both sides have subscribed and grafted, and
/// a block found until then would otherwise wait for the next round.
pub const SETTLING: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(3)];
/// How long to wait before a peer is asked again for what it did not have.
pub const RETRY_DELAY: Duration = Duration::from_secs(1);
/// How long a peer may keep the window from moving, at first (Core: `BLOCK_STALLING_TIMEOUT_DEFAULT`).
pub const STALL_TIMEOUT: Duration = Duration::from_secs(2);
/// The same, at most (Core: `BLOCK_STALLING_TIMEOUT_MAX`).
pub const MAX_STALL_TIMEOUT: Duration = Duration::from_secs(64);
/// How many blocks the tip may be behind the best header before the node counts as catching up.
const SYNCED_WITHIN: u32 = 2;

/// Why peers need not be looked at one by one: there is nothing to ask of any before a moment. With thousands of blocks
/// that only come by gossip that is most of the work saved.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Quiet {
    /// When some peer is to be asked for something again.
    until: Time,
    /// When the first is to be asked for headers.
    headers_due: Option<Time>,
    /// What a peer was found to have since, whose body may be missing.
    learned: Option<BlockHash>,
}

impl Node {
    /// Whether the node is catching up: more than a couple of bodies are missing, or headers still come in bulk.
    #[must_use]
    pub fn is_syncing(&self) -> bool {
        let behind = self.chain.best_header().height > self.chain.tip().height + SYNCED_WITHIN;
        behind || self.downloads.headers_leader.is_some()
    }

    /// Asks peers for whatever is due. Looks at every peer, unless it is known that there is nothing to ask.
    pub(crate) fn sync_with_peers(&mut self) {
        if self.is_quiet() {
            return;
        }
        self.ask_headers();
        self.fetch_blocks();
        self.set_sync_states();
        self.exchange_mempools();
        self.quiet = self.find_quiet();
    }

    /// Whether nothing has changed since nothing was to be asked, and no time has come.
    fn is_quiet(&self) -> bool {
        let Some(quiet) = &self.quiet else { return false };
        let complete = |hash: &_| self.chain.tree().get(hash).is_none_or(|entry| entry.connectable);
        self.now < quiet.until && self.chain.best_header().connectable && quiet.learned.iter().all(complete)
    }

    /// Nothing is to be asked when all peers are where we are, owe nothing, and are not to be asked again yet.
    fn find_quiet(&self) -> Option<Quiet> {
        let downloads = &self.downloads;
        let idle =
            self.requests.is_empty() && downloads.headers_leader.is_none() && downloads.retry_at.is_none();
        if !idle || !self.chain.best_header().connectable {
            return None;
        }
        let mut quiet = Quiet { until: Time(u64::MAX), headers_due: None, learned: None };
        for peer in self.peers.values() {
            if peer.gone || peer.sync != SyncState::Synced || !peer.wanted.is_empty() {
                return None;
            }
            let due = quiet.headers_due.get_or_insert(peer.headers_due);
            *due = peer.headers_due.min(*due);
            quiet.until = quiet.until.min(peer.headers_due).min(peer.mempool_due.unwrap_or(peer.headers_due));
        }
        Some(quiet)
    }

    /// Notes that the peer has `hash`. Returns whether that is better than what it was known to have.
    pub(crate) fn learn_tip(&mut self, peer: PeerId, hash: &BlockHash) -> bool {
        let Some(tip) = self.chain.tree().get(hash).map(peer_tip) else { return false };
        let Some(state) = self.peers.get_mut(&peer) else { return false };
        let before = state.best;
        state.has(tip);
        let news = state.best != before;
        if let Some(quiet) = &mut self.quiet
            && news
        {
            // a second one before the first is complete: look again
            let before = quiet.learned.replace(*hash).and_then(|hash| self.chain.tree().get(&hash));
            if before.is_some_and(|before| !before.connectable) {
                self.quiet = None;
            }
        }
        news
    }

    fn set_sync_states(&mut self) {
        let (tree, work) = (self.chain.tree(), self.chain.tip().work);
        for peer in self.peers.values_mut().filter(|peer| peer.sync != SyncState::Headers) {
            // what is not better than ours is not fetched
            let best = peer.best.and_then(|best| tree.get(&best.hash));
            let complete = best.is_none_or(|best| best.connectable || best.work <= work);
            peer.sync = if complete { SyncState::Synced } else { SyncState::Blocks };
        }
    }

    /// When something in here is due.
    pub(crate) fn sync_deadline(&self) -> Option<Time> {
        if let Some(quiet) = self.quiet.filter(|_| self.requests.is_empty()) {
            return quiet.headers_due;
        }
        let timeout = self.downloads.stall_timeout;
        let peers = self.peers.values().filter(|peer| !peer.gone).flat_map(|peer| {
            let headers = (peer.headers_request.is_none() && peer.may_ask()).then_some(peer.headers_due);
            let stall = peer.stalling_since.map(|since| since + timeout);
            headers.into_iter().chain(stall)
        });
        peers.chain(self.requests_deadline()).chain(self.downloads.retry_at).min()
    }
}

fn peer_tip(entry: &BlockEntry) -> PeerTip {
    PeerTip { hash: entry.hash, height: entry.height, work: entry.work }
}
