//! What is being fetched, and how much may be.

use std::collections::BTreeMap;
use std::time::Duration;

use tine_chain::hash::BlockHash;
use tine_chain::time::Time;

use super::{STALL_TIMEOUT, WINDOW};
use crate::event::{PeerId, RequestId};
use crate::peers::MAX_BLOCKS_IN_FLIGHT;
use crate::presync::Presync;
use crate::wire::{BLOCKS_RESPONSE_TARGET, MAX_BLOCKS, Request};

/// Bytes of bodies that a peer may owe us, about, when they are small: more than come in while a full block is judged.
const BYTES_IN_FLIGHT: usize = 8_000_000;
/// Requests over which these bodies are spread.
const REQUESTS_FOR_BLOCKS: usize = 4;
/// Servers of bodies that are remembered until the body is judged.
const MAX_SERVED: usize = 2 * WINDOW as usize;

/// How many bodies a peer may owe us: [`MAX_BLOCKS_IN_FLIGHT`], or more when they have been small.
pub(super) fn blocks_in_flight(block_bytes: usize) -> usize {
    match block_bytes {
        // none has come so far
        0 => MAX_BLOCKS_IN_FLIGHT,
        bytes => (BYTES_IN_FLIGHT / bytes).clamp(MAX_BLOCKS_IN_FLIGHT, MAX_BLOCKS),
    }
}

/// How many bodies are asked for at once: no more than fit one answer.
pub(super) fn blocks_in_request(block_bytes: usize) -> usize {
    match block_bytes {
        0 => MAX_BLOCKS_IN_FLIGHT,
        bytes => {
            let part = blocks_in_flight(bytes).div_ceil(REQUESTS_FOR_BLOCKS);
            (BLOCKS_RESPONSE_TARGET / bytes).clamp(1, part)
        }
    }
}

/// What is being fetched.
#[derive(Debug)]
pub(crate) struct Downloads {
    /// Bodies that were asked for, by which request.
    pub(super) in_flight: BTreeMap<BlockHash, RequestId>,
    /// Who vouched for a body that is not connected yet.
    served_by: BTreeMap<BlockHash, PeerId>,
    /// The peer that tells us all headers while there are more than fit one answer.
    pub(crate) headers_leader: Option<PeerId>,
    pub(super) stall_timeout: Duration,
    /// A running mean of the bytes of bodies.
    pub(super) block_bytes: usize,
    /// When a body that nobody could be asked for may be asked for again.
    pub(super) retry_at: Option<Time>,
    /// Chains of headers whose work is not proved yet, at most one of each peer.
    pub(crate) presyncs: BTreeMap<PeerId, Presync>,
}

impl Default for Downloads {
    fn default() -> Self {
        Self {
            in_flight: BTreeMap::new(),
            served_by: BTreeMap::new(),
            headers_leader: None,
            stall_timeout: STALL_TIMEOUT,
            block_bytes: 0,
            retry_at: None,
            presyncs: BTreeMap::new(),
        }
    }
}

impl Downloads {
    /// A request goes out.
    pub(crate) fn asked(&mut self, id: RequestId, request: &Request) {
        for hash in bodies_of(request) {
            self.in_flight.insert(*hash, id);
        }
    }

    /// A request is answered, or will not be. Returns the bodies that are no longer in flight.
    pub(crate) fn released(&mut self, id: RequestId, request: &Request) -> Vec<BlockHash> {
        let mut released = Vec::new();
        for hash in bodies_of(request) {
            if self.in_flight.get(hash) == Some(&id) {
                self.in_flight.remove(hash);
                released.push(*hash);
            }
        }
        released
    }

    /// A peer has left.
    pub(crate) fn forget(&mut self, peer: PeerId) {
        if self.headers_leader == Some(peer) {
            self.headers_leader = None;
        }
        self.presyncs.remove(&peer);
        self.served_by.retain(|_, server| *server != peer);
    }

    pub(crate) fn is_in_flight(&self, hash: &BlockHash) -> bool {
        self.in_flight.contains_key(hash)
    }

    /// Who vouched for the body; forgotten with this.
    pub(crate) fn take_server(&mut self, hash: &BlockHash) -> Option<PeerId> {
        self.served_by.remove(hash)
    }

    pub(crate) fn set_server(&mut self, hash: BlockHash, peer: PeerId) {
        if self.served_by.len() >= MAX_SERVED {
            self.served_by.pop_first();
        }
        self.served_by.insert(hash, peer);
    }

    /// About how large bodies have been.
    pub(crate) fn block_bytes(&self) -> usize {
        self.block_bytes
    }

    /// The window has moved: be more patient with no one (Core: the time-out decays by 0.85).
    pub(crate) fn progressed(&mut self) {
        self.stall_timeout = (self.stall_timeout * 85 / 100).max(STALL_TIMEOUT);
    }
}

/// The bodies that a request is for.
fn bodies_of(request: &Request) -> &[BlockHash] {
    match request {
        Request::Blocks(hashes) => hashes,
        Request::BlockTransactions(hash, _) => std::slice::from_ref(hash),
        Request::Headers { .. } | Request::Transactions(_) | Request::Mempool => &[],
    }
}
