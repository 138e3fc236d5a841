//! Requests and responses, each with its peer, its numbers and its bytes.

use std::collections::HashMap;

use libp2p::PeerId as Identity;
use libp2p::request_response::{
    Event as SyncEvent, InboundFailure, InboundRequestId, Message, OutboundFailure, OutboundRequestId,
    ResponseChannel,
};
use tine_chain::codec::Encode;
use tine_node::event::{Event, PeerId, RequestId};
use tine_node::wire::{MAX_REQUEST_SIZE, MAX_RESPONSE_SIZE, Request, Response};

use super::Service;
use crate::behaviour::MAX_REQUESTS_UNDER_WAY;
use crate::codec::Frame;
use crate::sessions::Session;

/// Requests to one peer that may wait for those under way; further ones fail at once.
const MAX_REQUESTS_WAITING: usize = 256;

/// A request of ours that is under way.
struct Asked {
    peer: PeerId,
    id: RequestId,
}

/// A request of a peer that waits for the node.
struct Waiting {
    inbound: InboundRequestId,
    channel: ResponseChannel<Frame<Response>>,
}

/// A response that is on its way.
struct Sending {
    peer: Identity,
    bytes: usize,
}

/// Everything under way, both ways.
#[derive(Default)]
pub(super) struct Exchange {
    asked: HashMap<OutboundRequestId, Asked>,
    waiting: HashMap<RequestId, Waiting>,
    numbers: HashMap<InboundRequestId, RequestId>,
    sending: HashMap<InboundRequestId, Sending>,
    sending_bytes: usize,
    next: u64,
}

impl Service {
    /// The node asks.
    pub(super) fn request(&mut self, peer: PeerId, id: RequestId, request: &Request) {
        let bytes = request.to_bytes();
        let session = self.sessions.numbered(peer);
        let Some(session) = session.filter(|_| bytes.len() <= MAX_REQUEST_SIZE) else {
            self.outbox.push_back(Event::RequestFailed(peer, id));
            return;
        };
        if session.under_way < MAX_REQUESTS_UNDER_WAY {
            self.send_request(peer, id, bytes);
        } else if session.waiting.len() < MAX_REQUESTS_WAITING {
            session.waiting.push_back((id, bytes));
        } else {
            self.outbox.push_back(Event::RequestFailed(peer, id));
        }
    }

    fn send_request(&mut self, peer: PeerId, id: RequestId, bytes: Vec<u8>) {
        let Some(session) = self.sessions.numbered(peer) else { return };
        session.under_way += 1;
        session.sent(bytes.len());
        self.counters.bytes_sent += bytes.len() as u64;
        let identity = session.identity;
        let frame = Frame::Outgoing(bytes);
        let outbound = self.swarm.behaviour_mut().sync.send_request(&identity, frame);
        self.exchange.asked.insert(outbound, Asked { peer, id });
    }

    /// A request has ended, so that the next one can go.
    fn next_request(&mut self, peer: PeerId) {
        let Some(session) = self.sessions.numbered(peer) else { return };
        session.under_way = session.under_way.saturating_sub(1);
        if let Some((id, bytes)) = session.waiting.pop_front() {
            self.send_request(peer, id, bytes);
        }
    }

    /// The node answers.
    pub(super) fn respond(&mut self, peer: PeerId, id: RequestId, response: &Response) {
        let Some(waiting) = self.exchange.waiting.remove(&id) else {
            tracing::debug!(id = id.0, "an answer to a request that is gone");
            return;
        };
        self.exchange.numbers.remove(&waiting.inbound);
        let Some(session) = self.sessions.numbered(peer) else { return };
        let bytes = response.to_bytes();
        let size = bytes.len();
        let is_first = session.response_bytes == 0;
        let fits_peer = session.response_bytes + size <= self.limits.response_bytes_per_peer;
        let fits_all = self.exchange.sending_bytes + size <= self.limits.response_bytes;
        if size > MAX_RESPONSE_SIZE || !(fits_peer || is_first) || !fits_all {
            // Dropping the channel closes the stream: the peer sees that there is no answer.
            self.counters.responses_dropped += 1;
            tracing::debug!(peer = %session.identity, size, "too many bytes on their way; response dropped");
            return;
        }
        session.response_bytes += size;
        session.sent(size);
        self.counters.bytes_sent += size as u64;
        self.exchange.sending_bytes += size;
        let sending = Sending { peer: session.identity, bytes: size };
        self.exchange.sending.insert(waiting.inbound, sending);
        let sent = self.swarm.behaviour_mut().sync.send_response(waiting.channel, Frame::Outgoing(bytes));
        if sent.is_err() {
            self.response_ended(waiting.inbound);
        }
    }

    fn response_ended(&mut self, inbound: InboundRequestId) {
        if let Some(sending) = self.exchange.sending.remove(&inbound) {
            self.exchange.sending_bytes -= sending.bytes;
            if let Some(session) = self.sessions.get_mut(&sending.peer) {
                session.response_bytes = session.response_bytes.saturating_sub(sending.bytes);
            }
        }
    }

    pub(super) fn on_sync(&mut self, event: SyncEvent<Frame<Request>, Frame<Response>>) {
        match event {
            SyncEvent::Message {
                peer, message: Message::Request { request_id, request, channel }, ..
            } => {
                self.on_request(peer, request_id, request, channel);
            }
            SyncEvent::Message { peer, message: Message::Response { request_id, response }, .. } => {
                self.on_response(peer, request_id, response);
            }
            SyncEvent::OutboundFailure { peer, request_id, error, .. } => {
                self.on_request_failed(peer, request_id, &error);
            }
            SyncEvent::InboundFailure { request_id, error, .. } => {
                self.on_response_failed(request_id, &error)
            }
            SyncEvent::ResponseSent { request_id, .. } => self.response_ended(request_id),
        }
    }

    fn on_request(
        &mut self,
        peer: Identity,
        inbound: InboundRequestId,
        request: Frame<Request>,
        channel: ResponseChannel<Frame<Response>>,
    ) {
        // It speaks a protocol that has our chain in its name.
        self.announce(&peer);
        let Some(session) = self.sessions.get_mut(&peer) else { return };
        let number = session.number;
        let (request, bytes) = match request.received() {
            Ok(received) => received,
            // With the channel, the stream is dropped.
            Err(error) => return self.on_malformed(peer, error),
        };
        session.received(bytes);
        self.counters.bytes_received += bytes as u64;
        let id = RequestId(self.exchange.next);
        self.exchange.next += 1;
        self.exchange.waiting.insert(id, Waiting { inbound, channel });
        self.exchange.numbers.insert(inbound, id);
        self.counters.requests_received += 1;
        self.outbox.push_back(Event::Request(number, id, request));
    }

    fn on_response(&mut self, peer: Identity, outbound: OutboundRequestId, response: Frame<Response>) {
        let Some(asked) = self.exchange.asked.remove(&outbound) else { return };
        match response.received() {
            Ok((response, bytes)) => {
                if let Some(session) = self.sessions.numbered(asked.peer) {
                    session.received(bytes);
                    self.counters.bytes_received += bytes as u64;
                }
                self.outbox.push_back(Event::Response(asked.peer, asked.id, response));
            }
            Err(error) => {
                self.on_malformed(peer, error);
                self.outbox.push_back(Event::RequestFailed(asked.peer, asked.id));
            }
        }
        self.next_request(asked.peer);
    }

    fn on_request_failed(&mut self, peer: Identity, outbound: OutboundRequestId, error: &OutboundFailure) {
        // When the peer is gone, its requests have been answered for already.
        let Some(asked) = self.exchange.asked.remove(&outbound) else { return };
        tracing::debug!(%peer, %error, "a request failed");
        self.outbox.push_back(Event::RequestFailed(asked.peer, asked.id));
        self.next_request(asked.peer);
    }

    fn on_response_failed(&mut self, inbound: InboundRequestId, error: &InboundFailure) {
        tracing::debug!(%error, "a response was not sent");
        if let Some(id) = self.exchange.numbers.remove(&inbound) {
            self.exchange.waiting.remove(&id);
        }
        self.response_ended(inbound);
    }

    /// The peer is gone: what it was asked will not be answered.
    pub(super) fn fail_requests(&mut self, session: &Session) {
        let peer = session.number;
        let mut failed: Vec<_> = session.waiting.iter().map(|(id, _)| *id).collect();
        self.exchange.asked.retain(|_, asked| {
            if asked.peer == peer {
                failed.push(asked.id);
            }
            asked.peer != peer
        });
        failed.sort_unstable();
        self.outbox.extend(failed.into_iter().map(|id| Event::RequestFailed(peer, id)));
    }
}
