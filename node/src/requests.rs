//! Open requests: what we asked whom, until when.
//!
//! A request that timed out stays open, so that a late answer is still of use; but its blocks are asked of others, and
//! a peer whose requests are all overdue is given up.

use tine_chain::store::StoreError;
use tine_chain::time::Time;

use crate::event::{Action, PeerId, RequestId};
use crate::node::Node;
use crate::peers::{MAX_REQUESTS_IN_FLIGHT, Offence};
use crate::wire::{Request, Response};

/// A question that we asked.
#[derive(Debug, Clone)]
pub(crate) struct OpenRequest {
    pub(crate) peer: PeerId,
    pub(crate) request: Request,
    deadline: Time,
    /// It timed out; an answer is still welcome.
    pub(crate) overdue: bool,
}

impl Node {
    /// Asks a peer, unless it owes too many answers.
    pub(crate) fn ask(&mut self, peer: PeerId, request: Request) -> Option<RequestId> {
        let state = self.peers.get_mut(&peer).filter(|state| state.may_ask())?;
        self.quiet = None;
        let id = RequestId(self.next_request);
        self.next_request += 1;
        state.requests.insert(id);
        match &request {
            Request::Headers { .. } => state.headers_request = Some(id),
            Request::Blocks(hashes) => state.in_flight.extend(hashes),
            Request::BlockTransactions(hash, _) => {
                state.in_flight.insert(*hash);
            }
            Request::Transactions(_) | Request::Mempool => {}
        }
        self.downloads.asked(id, &request);
        let deadline = self.now + self.config.request_timeout;
        self.out.push(Action::Request(peer, id, request.clone()));
        self.requests.insert(id, OpenRequest { peer, request, deadline, overdue: false });
        Some(id)
    }

    /// A peer answers.
    pub(crate) fn answered(
        &mut self,
        peer: PeerId,
        id: RequestId,
        response: Response,
    ) -> Result<(), StoreError> {
        // an answer to no request, a second one, or one to a question for another peer, is ignored
        let Some(open) = self.requests.get(&id).filter(|open| open.peer == peer).cloned() else {
            return Ok(());
        };
        let partial = self.relay.take_partial(id);
        let latest = self.peers.get(&peer).is_some_and(|state| state.headers_request == Some(id));
        self.close(id, &open);
        if !open.request.is_answered_by(&response) {
            self.charge(peer, Offence::WrongAnswer);
            return Ok(());
        }
        match (open.request, response) {
            // two passes over the same headers must not be mixed up with an answer that is late
            (Request::Headers { .. }, Response::Headers(_))
                if !latest && self.downloads.presyncs.contains_key(&peer) => {}
            (Request::Headers { .. }, Response::Headers(headers)) => self.headers_came(peer, &headers),
            (Request::Blocks(asked), Response::Blocks(blocks)) => self.blocks_came(peer, &asked, blocks),
            (Request::BlockTransactions(hash, places), Response::BlockTransactions(of, transactions)) => {
                if hash != of {
                    self.charge(peer, Offence::WrongAnswer);
                } else if let Some(partial) = partial {
                    self.block_transactions_came(peer, partial, &places, transactions);
                }
            }
            (Request::Transactions(asked), Response::Transactions(transactions)) => {
                return self.transactions_came(peer, &asked, transactions);
            }
            (Request::Mempool, Response::Mempool(ids)) => self.mempool_came(peer, ids),
            (
                Request::Headers { .. }
                | Request::Blocks(_)
                | Request::BlockTransactions(..)
                | Request::Transactions(_)
                | Request::Mempool,
                _,
            ) => {}
        }
        Ok(())
    }

    /// A request will not be answered.
    pub(crate) fn unanswered(&mut self, peer: PeerId, id: RequestId) {
        let Some(open) = self.requests.get(&id).filter(|open| open.peer == peer).cloned() else { return };
        self.relay.take_partial(id);
        self.close(id, &open);
        self.in_vain(&open);
    }

    fn close(&mut self, id: RequestId, open: &OpenRequest) {
        self.requests.remove(&id);
        self.release(id, open);
        if let Some(state) = self.peers.get_mut(&open.peer) {
            state.requests.remove(&id);
        }
    }

    /// What the request was for may be asked of others.
    pub(crate) fn release(&mut self, id: RequestId, open: &OpenRequest) {
        let released = self.downloads.released(id, &open.request);
        if let Some(state) = self.peers.get_mut(&open.peer) {
            if state.headers_request == Some(id) {
                state.headers_request = None;
            }
            for hash in &released {
                state.in_flight.remove(hash);
            }
        }
    }

    /// Don't ask the same again at once.
    fn in_vain(&mut self, open: &OpenRequest) {
        let retry = self.now + crate::sync::RETRY_DELAY;
        let Some(state) = self.peers.get_mut(&open.peer) else { return };
        match &open.request {
            Request::Headers { .. } => state.headers_due = state.headers_due.max(retry),
            Request::Blocks(hashes) => hashes.iter().for_each(|hash| state.lacks(*hash, retry)),
            // the whole block may be there even so
            Request::BlockTransactions(..) => {}
            // what it has is asked anew, and then for what we still lack of it
            Request::Transactions(_) | Request::Mempool => {
                state.wanted.clear();
                state.mempool_due = Some(self.now + crate::transactions::EXCHANGE_INTERVAL);
            }
        }
        // another peer may tell us all headers
        if matches!(open.request, Request::Headers { .. }) && self.downloads.headers_leader == Some(open.peer)
        {
            self.downloads.headers_leader = None;
        }
    }

    /// Forgets every request to a peer that goes.
    pub(crate) fn forget_requests(&mut self, requests: std::collections::BTreeSet<RequestId>) {
        for id in requests {
            self.relay.take_partial(id);
            if let Some(open) = self.requests.remove(&id) {
                self.release(id, &open);
            }
        }
    }

    /// Turns to others for what is overdue.
    pub(crate) fn expire_requests(&mut self) {
        let now = self.now;
        let overdue: Vec<RequestId> = self
            .requests
            .iter()
            .filter(|(_, open)| !open.overdue && open.deadline <= now)
            .map(|(id, _)| *id)
            .collect();
        for id in overdue {
            let Some(open) = self.requests.get_mut(&id) else { continue };
            open.overdue = true;
            let open = open.clone();
            self.release(id, &open);
            self.in_vain(&open);
            self.give_up_on(open.peer);
        }
    }

    /// Ends the connection to a peer that owes every answer that it may.
    fn give_up_on(&mut self, peer: PeerId) {
        let owed = self.requests.values().filter(|open| open.peer == peer && open.overdue).count();
        if owed >= MAX_REQUESTS_IN_FLIGHT {
            self.drop_peer(peer, None);
        }
    }

    /// When the next request is overdue.
    pub(crate) fn requests_deadline(&self) -> Option<Time> {
        self.requests.values().filter(|open| !open.overdue).map(|open| open.deadline).min()
    }
}
