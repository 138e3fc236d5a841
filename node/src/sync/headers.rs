//! Headers: asked for, judged, kept, and told.

use tine_chain::block::{HashedHeader, Header};
use tine_chain::chain::HeaderOutcome;
use tine_chain::change::Invalidity;
use tine_chain::hash::BlockHash;
use tine_chain::reject::Reject;

use super::{RETRY_DELAY, SETTLING};
use crate::event::{Notice, PeerId};
use crate::node::Node;
use crate::peers::{Offence, SyncState};
use crate::presync::Presync;
use crate::wire::{MAX_HEADERS, Request};

impl Node {
    pub(super) fn ask_headers(&mut self) {
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
        if let Some(after) = self.downloads.presyncs.get(&peer).map(Presync::asks_after) {
            // the answer was lost: the same question again
            self.ask(peer, Request::Headers { locator: vec![after] });
            return;
        }
        let best = self.chain.best_header();
        let from = self.chain.tree().parent(best).unwrap_or(best).hash;
        let locator = self.chain.locator(&from);
        self.ask(peer, Request::Headers { locator });
    }

    pub(crate) fn headers_came(&mut self, peer: PeerId, headers: &[Header]) {
        if headers.len() > MAX_HEADERS {
            return self.charge(peer, Offence::TooLong);
        }
        let headers: Vec<HashedHeader> = headers.iter().copied().map(HashedHeader::from).collect();
        // "each the parent of the next"
        if !headers.is_sorted_by(|parent, child| parent.hash() == child.prev_block) {
            return self.charge(peer, Offence::Discontinuous);
        }
        let full = headers.len() == MAX_HEADERS;
        if let Some(mut presync) = self.downloads.presyncs.remove(&peer) {
            let headers: Vec<Header> = headers.iter().map(HashedHeader::header).collect();
            let step = presync.answered(&headers, full, self.chain.params());
            return self.presync_goes_on(peer, presync, step);
        }
        match self.proved(&headers) {
            Ok(true) => self.keep_headers(peer, &headers, full),
            Ok(false) if full => {
                let headers: Vec<Header> = headers.iter().map(HashedHeader::header).collect();
                self.begin_presync(peer, &headers);
            }
            // less work than we care for: not stored, and no fault
            Ok(false) => self.headers_told(peer, false),
            Err((header, reject)) => self.charge_for_header(peer, &header, reject),
        }
    }

    /// Puts headers into the tree that follow on each other and on one of ours.
    pub(crate) fn keep_headers(&mut self, peer: PeerId, headers: &[HashedHeader], more: bool) {
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
        if let Some(state) = self.peers.get_mut(&peer) {
            state.told = last;
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
        header: HashedHeader,
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

    pub(crate) fn header_seen(&mut self, header: HashedHeader, from: Option<PeerId>) {
        let hash = header.hash();
        let height = self.chain.tree().get(&hash).map_or(0, |entry| entry.height);
        self.notify(Notice::HeaderSeen(header.header(), hash, height, from));
    }

    /// Charges a peer that vouched for a header that breaks a rule, unless only our operator says so.
    pub(crate) fn charge_for_header(&mut self, peer: PeerId, header: &HashedHeader, reject: Reject) {
        if !self.is_manual(header) {
            self.charge(peer, Offence::Broke(reject));
        }
    }

    /// Whether the header is refused for an operator's word: no peer can know of that.
    pub(crate) fn is_manual(&self, header: &HashedHeader) -> bool {
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
}
