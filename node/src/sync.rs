//! Catching up: headers first, then the bodies of the best header chain, from several peers at once.
//!
//! Every peer is asked for headers when it connects, twice again while the connection is young ([`SETTLING`]), and every
//! [`crate::NodeConfig::headers_interval`] from then on, so that nodes agree again after a partition that nobody noticed. Bodies are asked for within [`WINDOW`] of the active chain,
//! of peers whose headers have them, at most [`MAX_BLOCKS_IN_FLIGHT`] of each. A peer that alone keeps the window from
//! moving is dropped after two seconds, twice as long for the next one (Core: `BLOCK_STALLING_TIMEOUT`).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tine_chain::block::{Block, Header};
use tine_chain::chain::{HeaderOutcome, Inserted};
use tine_chain::change::Invalidity;
use tine_chain::hash::BlockHash;
use tine_chain::reject::{Fault, Reject};
use tine_chain::time::Time;
use tine_chain::tree::BlockEntry;

use crate::event::{Notice, PeerId, RequestId};
use crate::node::Node;
use crate::peers::{MAX_BLOCKS_IN_FLIGHT, Offence, PeerState, PeerTip, SyncState};
use crate::presync::Presync;
use crate::wire::{BLOCKS_RESPONSE_TARGET, MAX_BLOCKS, MAX_HEADERS, Request};

/// How far above the active chain bodies are fetched (Core: `BLOCK_DOWNLOAD_WINDOW`).
pub const WINDOW: u32 = 1_024;
/// When a new peer is asked for headers again: gossip reaches it only once both sides have subscribed and grafted, and
/// a block found until then would otherwise wait for the next round.
pub const SETTLING: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(3)];
/// Bytes of bodies that a peer may owe us, about, when they are small: more than come in while a full block is judged.
const BYTES_IN_FLIGHT: usize = 8_000_000;
/// Requests over which these bodies are spread.
const REQUESTS_FOR_BLOCKS: usize = 4;
/// How long to wait before a peer is asked again for what it did not have.
pub const RETRY_DELAY: Duration = Duration::from_secs(1);
/// How long a peer may keep the window from moving, at first (Core: `BLOCK_STALLING_TIMEOUT_DEFAULT`).
pub const STALL_TIMEOUT: Duration = Duration::from_secs(2);
/// The same, at most (Core: `BLOCK_STALLING_TIMEOUT_MAX`).
pub const MAX_STALL_TIMEOUT: Duration = Duration::from_secs(64);
/// How many blocks the tip may be behind the best header before the node counts as catching up.
const SYNCED_WITHIN: u32 = 2;
/// Servers of bodies that are remembered until the body is judged.
const MAX_SERVED: usize = 2 * WINDOW as usize;

/// How many bodies a peer may owe us: [`MAX_BLOCKS_IN_FLIGHT`], or more when they have been small.
fn blocks_in_flight(block_bytes: usize) -> usize {
    match block_bytes {
        // none has come so far
        0 => MAX_BLOCKS_IN_FLIGHT,
        bytes => (BYTES_IN_FLIGHT / bytes).clamp(MAX_BLOCKS_IN_FLIGHT, MAX_BLOCKS),
    }
}

/// How many bodies are asked for at once: no more than fit one answer.
fn blocks_in_request(block_bytes: usize) -> usize {
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
    in_flight: BTreeMap<BlockHash, RequestId>,
    /// Who vouched for a body that is not connected yet.
    served_by: BTreeMap<BlockHash, PeerId>,
    /// The peer that tells us all headers while there are more than fit one answer.
    pub(crate) headers_leader: Option<PeerId>,
    stall_timeout: Duration,
    /// A running mean of the bytes of bodies.
    block_bytes: usize,
    /// When a body that nobody could be asked for may be asked for again.
    retry_at: Option<Time>,
    /// Chains of headers whose work is not proved yet, at most one of each peer.
    pub(crate) presyncs: BTreeMap<PeerId, Presync>,
}

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

    // -- headers

    fn ask_headers(&mut self) {
        let due: Vec<PeerId> = self
            .peers
            .values()
            .filter(|peer| peer.headers_request.is_none() && peer.headers_due <= self.now && peer.may_ask())
            .map(|peer| peer.id)
            .collect();
        for peer in due {
            self.ask_headers_of(peer);
        }
    }

    /// Asks for headers from the parent of our best one on, so that a peer with the same tip says that it has it.
    pub(crate) fn ask_headers_of(&mut self, peer: PeerId) {
        let next = self.now + self.jitter(self.config.headers_interval);
        let Some(state) = self.peers.get_mut(&peer) else { return };
        if state.headers_request.is_some() {
            // asked again as soon as the answer is here
            state.headers_due = self.now;
            return;
        }
        let settling = SETTLING.iter().map(|after| state.since + *after).find(|at| *at > self.now);
        state.headers_due = settling.map_or(next, |at| at.min(next));
        let best = self.chain.best_header();
        let from = self.chain.tree().parent(best).unwrap_or(best).hash;
        let locator = self.chain.locator(&from);
        self.ask(peer, Request::Headers { locator });
    }

    pub(crate) fn headers_came(&mut self, peer: PeerId, headers: &[Header]) {
        if headers.len() > MAX_HEADERS {
            return self.charge(peer, Offence::TooLong);
        }
        // "each the parent of the next"
        if !headers.is_sorted_by(|parent, child| parent.hash() == child.prev_block) {
            return self.charge(peer, Offence::Discontinuous);
        }
        let full = headers.len() == MAX_HEADERS;
        if let Some(mut presync) = self.downloads.presyncs.remove(&peer) {
            let step = presync.answered(headers, full, self.chain.params());
            return self.presync_goes_on(peer, presync, step);
        }
        match self.proved(headers) {
            Ok(true) => self.keep_headers(peer, headers, full),
            Ok(false) if full => self.begin_presync(peer, headers),
            // less work than we care for: not stored, and no fault
            Ok(false) => self.headers_told(peer, false),
            Err((header, reject)) => self.charge_for_header(peer, &header, reject),
        }
    }

    /// Puts headers into the tree that follow on each other and on one of ours.
    pub(crate) fn keep_headers(&mut self, peer: PeerId, headers: &[Header], more: bool) {
        let mut last: Option<BlockHash> = None;
        let mut news = false;
        for header in headers {
            match self.accept_header(*header, Some(peer)) {
                Ok(outcome) => news |= outcome == HeaderOutcome::New,
                Err(Reject::TimeTooNew) => break,
                // an answer begins after a hash that we named
                Err(Reject::PrevBlockNotFound) => return self.charge(peer, Offence::Discontinuous),
                Err(reject) => return self.charge_for_header(peer, header, reject),
            }
            last = Some(header.hash());
        }
        let improved = last.is_some_and(|last| self.learn_tip(peer, &last));
        self.headers_told(peer, more && (news || improved));
    }

    /// Goes on with headers when there are more, with one peer at a time.
    pub(crate) fn headers_told(&mut self, peer: PeerId, more: bool) {
        let leader = self.downloads.headers_leader;
        let leads = leader.is_none_or(|leader| leader == peer || !self.is_here(leader));
        if more && leads {
            self.downloads.headers_leader = Some(peer);
            self.ask_headers_of(peer);
            return;
        }
        if leader == Some(peer) {
            self.downloads.headers_leader = None;
        }
        let soon = self.now + RETRY_DELAY;
        let Some(state) = self.peers.get_mut(&peer) else { return };
        if more {
            state.headers_due = state.headers_due.min(soon);
        } else {
            state.sync = SyncState::Blocks;
        }
    }

    /// Puts a header into the tree, and says so when it is new.
    pub(crate) fn accept_header(
        &mut self,
        header: Header,
        from: Option<PeerId>,
    ) -> Result<HeaderOutcome, Reject> {
        let outcome = self.chain.accept_header(header, self.now)?;
        if outcome == HeaderOutcome::New {
            // kept with the next commit
            self.activation_due = true;
            self.header_seen(header, from);
        }
        Ok(outcome)
    }

    pub(crate) fn header_seen(&mut self, header: Header, from: Option<PeerId>) {
        let hash = header.hash();
        let height = self.chain.tree().get(&hash).map_or(0, |entry| entry.height);
        self.notify(Notice::HeaderSeen(header, hash, height, from));
    }

    /// Charges a peer that vouched for a header that breaks a rule, unless only our operator says so.
    pub(crate) fn charge_for_header(&mut self, peer: PeerId, header: &Header, reject: Reject) {
        if !self.is_manual(header) {
            self.charge(peer, Offence::Broke(reject));
        }
    }

    /// Whether the header is refused for an operator's word: no peer can know of that.
    pub(crate) fn is_manual(&self, header: &Header) -> bool {
        let tree = self.chain.tree();
        let known = tree.get(&header.hash()).or_else(|| tree.get(&header.prev_block));
        let mut walk = known.filter(|entry| entry.invalid.is_some());
        while let Some(entry) = walk {
            match entry.invalid {
                Some(Invalidity::Manual) => return true,
                Some(Invalidity::Rule(_)) => return false,
                Some(Invalidity::Ancestor) => walk = tree.parent(entry),
                None => return false,
            }
        }
        false
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
        let tree = self.chain.tree();
        for peer in self.peers.values_mut().filter(|peer| peer.sync != SyncState::Headers) {
            let complete =
                peer.best.and_then(|best| tree.get(&best.hash)).is_none_or(|best| best.connectable);
            peer.sync = if complete { SyncState::Synced } else { SyncState::Blocks };
        }
    }

    // -- bodies

    /// Asks for the bodies that are missing, of the peers that have them and owe us the least.
    fn fetch_blocks(&mut self) {
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
        if !complete && plan.lacking {
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
        let fits = blocks.iter().zip(asked).all(|(block, asked)| block.hash() == *asked);
        if blocks.len() > asked.len() || !fits {
            return self.charge(peer, Offence::WrongAnswer);
        }
        if blocks.is_empty() {
            let retry = self.now + RETRY_DELAY;
            if let (Some(state), Some(first)) = (self.peers.get_mut(&peer), asked.first()) {
                state.lacks(*first, retry);
            }
        }
        for block in blocks {
            if self.receive_block(block, Some(peer)).is_err() && !self.is_here(peer) {
                return;
            }
        }
    }

    /// A whole block is here. `vouched` is the peer that says that it is valid, if one does.
    pub(crate) fn receive_block(
        &mut self,
        block: Arc<Block>,
        vouched: Option<PeerId>,
    ) -> Result<Inserted, Reject> {
        let (header, hash) = (block.header, block.hash());
        let known = self.chain.tree().get(&hash).is_some_and(|entry| entry.invalid.is_some());
        self.downloads.block_bytes = match self.downloads.block_bytes {
            0 => block.size(),
            mean => (mean * 7 + block.size()) / 8,
        };
        let outcome = self.chain.insert_block(block, self.now);
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

/// Who is to be asked for which bodies.
struct Plan {
    /// How many bodies a peer may owe.
    limit: usize,
    /// Peers that may be asked, and how many bodies they owe.
    load: BTreeMap<PeerId, usize>,
    requests: BTreeMap<PeerId, Vec<BlockHash>>,
    /// Whether a body was not assigned only because a peer did not have it a moment ago.
    lacking: bool,
}

impl Plan {
    fn new(peers: &BTreeMap<PeerId, PeerState>, limit: usize) -> Self {
        // a peer is asked for more when half of what it may owe has come
        let free = |peer: &&PeerState| peer.may_ask() && peer.in_flight.len() <= limit / 2;
        let load = peers.values().filter(free).map(|peer| (peer.id, peer.in_flight.len())).collect();
        Self { limit, load, requests: BTreeMap::new(), lacking: false }
    }

    /// Chooses a peer for `hash`: of those that have it the one that owes the least.
    fn assign(&mut self, node: &Node, hash: &BlockHash) -> bool {
        let has =
            |peer: &PeerState| peer.best.is_some_and(|best| node.chain.tree().is_ancestor(hash, &best.hash));
        let mut by_load: BTreeSet<(usize, PeerId)> = BTreeSet::new();
        by_load.extend(
            self.load.iter().filter(|(_, load)| **load < self.limit).map(|(peer, load)| (*load, *peer)),
        );
        for (_, id) in by_load {
            let Some(peer) = node.peers.get(&id).filter(|peer| has(peer)) else { continue };
            if peer.lacks_now(hash, node.now) {
                self.lacking = true;
                continue;
            }
            *self.load.entry(id).or_default() += 1;
            self.requests.entry(id).or_default().push(*hash);
            return true;
        }
        false
    }
}
