//! Bodies: of whom they are asked, and what becomes of them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tine_chain::block::{Block, HashedHeader};
use tine_chain::chain::Inserted;
use tine_chain::hash::BlockHash;
use tine_chain::reject::{Fault, Reject};

use super::downloads::{blocks_in_flight, blocks_in_request};
use super::{MAX_STALL_TIMEOUT, RETRY_DELAY, WINDOW};
use crate::event::{Notice, PeerId};
use crate::node::Node;
use crate::peers::{Offence, PeerState};
use crate::wire::Request;

impl Node {
    /// Asks for the bodies that are missing, of the peers that have them and owe us the least.
    ///
    /// They are those of the best header chain. A body of it may be nowhere to be had: its miner keeps it back, or who
    /// has it is on a rival block of the same height, and nobody serves what it has not connected. Then each peer is
    /// asked for its own chain, if that is better than ours.
    pub(super) fn fetch_blocks(&mut self) {
        self.downloads.retry_at = None;
        if self.peers.is_empty() || self.chain.best_header().connectable {
            return self.nobody_stalls();
        }
        let block_bytes = self.downloads.block_bytes();
        let limit = blocks_in_flight(block_bytes);
        let most = self.downloads.in_flight.len() + self.peers.len() * limit;
        let wanted = self.chain.next_wanted(most, WINDOW);
        let exhausted = wanted.len() < most;
        let mut plan = Plan::new(&self.peers, limit);
        let mut complete = true;
        for hash in wanted.iter().filter(|hash| !self.downloads.is_in_flight(hash)) {
            complete &= plan.assign(self, hash);
        }
        if plan.nowhere {
            plan.assign_rivals(self);
            self.downloads.retry_at = Some(self.now + RETRY_DELAY);
        }
        for (peer, hashes) in plan.requests {
            for hashes in hashes.chunks(blocks_in_request(block_bytes)) {
                // what a peer that owes too many answers is not asked for, it is asked for later
                self.ask(peer, Request::Blocks(hashes.to_vec()));
            }
        }
        let full = self.chain.best_header().height > self.chain.tip().height + WINDOW;
        match wanted.first() {
            Some(lowest) if exhausted && complete && full => self.watch_for_stall(*lowest),
            Some(_) | None => self.nobody_stalls(),
        }
    }

    /// Everything within the window is here or in flight: whoever owes the lowest body keeps all others waiting.
    fn watch_for_stall(&mut self, lowest: BlockHash) {
        let Some(open) = self.downloads.in_flight.get(&lowest).and_then(|id| self.requests.get(id)) else {
            return self.nobody_stalls();
        };
        let staller = open.peer;
        let (now, timeout) = (self.now, self.downloads.stall_timeout);
        for peer in self.peers.values_mut().filter(|peer| peer.id != staller) {
            peer.stalling_since = None;
        }
        let Some(state) = self.peers.get_mut(&staller) else { return };
        let since = *state.stalling_since.get_or_insert(now);
        if now >= since + timeout {
            self.downloads.stall_timeout = (timeout * 2).min(MAX_STALL_TIMEOUT);
            self.charge(staller, Offence::Stalled);
            self.drop_peer(staller, None);
            self.downloads.retry_at = Some(now);
        }
    }

    fn nobody_stalls(&mut self) {
        for peer in self.peers.values_mut() {
            peer.stalling_since = None;
        }
    }

    pub(crate) fn blocks_came(&mut self, peer: PeerId, asked: &[BlockHash], blocks: Vec<Arc<Block>>) {
        // "the first of the blocks asked for, in order"
        let headers: Vec<HashedHeader> = blocks.iter().map(|block| block.header.into()).collect();
        let fits = headers.iter().zip(asked).all(|(header, asked)| header.hash() == *asked);
        if blocks.len() > asked.len() || !fits {
            return self.charge(peer, Offence::WrongAnswer);
        }
        if blocks.is_empty() {
            let retry = self.now + RETRY_DELAY;
            if let (Some(state), Some(first)) = (self.peers.get_mut(&peer), asked.first()) {
                state.lacks(*first, retry);
            }
        }
        for (header, block) in headers.into_iter().zip(blocks) {
            if self.receive_block(header, block, Some(peer)).is_err() && !self.is_here(peer) {
                return;
            }
        }
    }

    /// A whole block is here, and `header` is its header. `vouched` is the peer that says that it is valid, if one does.
    pub(crate) fn receive_block(
        &mut self,
        header: HashedHeader,
        block: Arc<Block>,
        vouched: Option<PeerId>,
    ) -> Result<Inserted, Reject> {
        let hash = header.hash();
        let known = self.chain.tree().get(&hash).is_some_and(|entry| entry.invalid.is_some());
        self.downloads.block_bytes = match self.downloads.block_bytes {
            0 => block.size(),
            mean => (mean * 7 + block.size()) / 8,
        };
        let outcome = self.chain.insert_block_of(header, block, self.now);
        match outcome {
            Ok(Inserted::New) => {
                self.activation_due = true;
                if let Some(peer) = vouched {
                    self.gave_block(peer);
                    self.downloads.set_server(hash, peer);
                }
            }
            Ok(Inserted::Duplicate) => {}
            Err(reject) => {
                if reject.fault() == Fault::Invalid && !known {
                    self.notify(Notice::BlockInvalid(hash, reject));
                }
                if let Some(peer) = vouched {
                    self.charge_for_header(peer, &header, reject);
                }
            }
        }
        outcome
    }

    /// The peer gave us a block that we did not have.
    pub(crate) fn gave_block(&mut self, peer: PeerId) {
        if let Some(state) = self.peers.get_mut(&peer) {
            state.last_block = Some(self.now);
        }
    }
}

/// Who is to be asked for which bodies.
struct Plan {
    /// How many bodies a peer may owe.
    limit: usize,
    /// Peers that may be asked, and how many bodies they owe.
    load: BTreeMap<PeerId, usize>,
    requests: BTreeMap<PeerId, Vec<BlockHash>>,
    /// Whether a body can't be had of anybody at present: no peer has it, or those that have did not give it just now.
    nowhere: bool,
}

impl Plan {
    fn new(peers: &BTreeMap<PeerId, PeerState>, limit: usize) -> Self {
        // a peer is asked for more when half of what it may owe has come
        let free = |peer: &&PeerState| peer.may_ask() && peer.in_flight.len() <= limit / 2;
        let load = peers.values().filter(free).map(|peer| (peer.id, peer.in_flight.len())).collect();
        Self { limit, load, requests: BTreeMap::new(), nowhere: false }
    }

    /// Chooses a peer for `hash`: of those that have it the one that owes the least.
    fn assign(&mut self, node: &Node, hash: &BlockHash) -> bool {
        let mut by_load: BTreeSet<(usize, PeerId)> = BTreeSet::new();
        by_load.extend(
            self.load.iter().filter(|(_, load)| **load < self.limit).map(|(peer, load)| (*load, *peer)),
        );
        let can_give = |id: &PeerId| node.peers.get(id).is_some_and(|peer| gives(node, peer, hash));
        if let Some((_, id)) = by_load.into_iter().find(|(_, id)| can_give(id)) {
            self.add(id, *hash);
            return true;
        }
        // one that is busy may give it later
        self.nowhere |= !node.peers.values().any(|peer| !peer.gone && gives(node, peer, hash));
        false
    }

    /// Asks each peer that may be asked for what is missing of its own chain.
    fn assign_rivals(&mut self, node: &Node) {
        for peer in node.peers.values() {
            let room = self.load.get(&peer.id).map_or(0, |load| self.limit.saturating_sub(*load));
            let Some(told) = peer.told.filter(|_| room > 0) else { continue };
            for hash in node.chain.next_wanted_of(&told, room, WINDOW) {
                let comes = node.downloads.is_in_flight(&hash) || self.is_assigned(&hash);
                if !comes && !peer.lacks_now(&hash, node.now) {
                    self.add(peer.id, hash);
                }
            }
        }
    }

    fn is_assigned(&self, hash: &BlockHash) -> bool {
        self.requests.values().any(|hashes| hashes.contains(hash))
    }

    fn add(&mut self, peer: PeerId, hash: BlockHash) {
        *self.load.entry(peer).or_default() += 1;
        self.requests.entry(peer).or_default().push(hash);
    }
}

/// Whether the peer has a block, and did not say otherwise a moment ago.
fn gives(node: &Node, peer: &PeerState, hash: &BlockHash) -> bool {
    let mut tips = peer.best.map(|best| best.hash).into_iter().chain(peer.told);
    tips.any(|tip| node.chain.tree().is_ancestor(hash, &tip)) && !peer.lacks_now(hash, node.now)
}
