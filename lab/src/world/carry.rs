//! Carrying messages, and handing events to nodes.

use std::time::Duration;

use rand::RngExt;
use tine_chain::store::StoreError;
use tine_chain::time::Time;
use tine_node::event::{Action, Event, GossipId, Notice, PeerId, RequestId, Verdict};
use tine_node::wire::{Gossip, Request, Response};

use super::{World, WorldError};
use crate::network::slot_of;
use crate::observe::{Carried, Observation, Observer};
use crate::order::Order;

/// Bytes that a message takes beside its content.
const OVERHEAD: usize = 64;
/// How long a dropped link stays down when neither end was banned.
const REDIAL_AFTER: Duration = Duration::from_secs(5);

/// Something that is going to happen.
#[derive(Debug)]
pub(crate) enum Coming {
    /// A message arrives at a host by one of its links.
    Message(Box<Parcel>),
    /// Gossip arrives: the host, its link, the connection, the message, the number of this copy.
    Gossip(u32, u32, u32, u64, u64),
    /// A node wants to be called.
    Tick(u32),
    /// A block may be found, if this draw is still in force.
    Found(u64),
    /// The next payment of the workload.
    Payment,
    /// One end dials again: the host, its link.
    Redial(u32, u32),
    /// Something is done to the world.
    Order(Box<Order>),
}

/// A question or an answer on its way.
#[derive(Debug, Clone)]
pub(crate) struct Parcel {
    host: u32,
    slot: u32,
    epoch: u32,
    number: u64,
    content: Content,
}

#[derive(Debug, Clone)]
enum Content {
    Request(RequestId, Request),
    Response(RequestId, Response),
}

impl Content {
    fn carried(&self) -> Carried<'_> {
        match self {
            Self::Request(_, request) => Carried::Request(request),
            Self::Response(_, response) => Carried::Response(response),
        }
    }

    /// Blocks that it carries, whole or in part.
    fn blocks(&self) -> u32 {
        match self {
            Self::Response(_, Response::Blocks(blocks)) => blocks.len() as u32,
            Self::Response(_, Response::BlockTransactions(..)) => 1,
            Self::Request(..)
            | Self::Response(_, Response::Headers(_) | Response::Transactions(_) | Response::Mempool(_)) => 0,
        }
    }

    /// Its length in bytes, about: headers and hashes are counted, bodies measured.
    fn bytes(&self) -> usize {
        match self {
            Self::Request(_, Request::Headers { locator }) => 32 * locator.len(),
            Self::Request(_, Request::Blocks(hashes)) => 32 * hashes.len(),
            Self::Request(_, Request::BlockTransactions(_, places)) => 32 + 4 * places.len(),
            Self::Request(_, Request::Transactions(ids)) => 32 * ids.len(),
            Self::Request(_, Request::Mempool) => 0,
            Self::Response(_, Response::Headers(headers)) => 80 * headers.len(),
            Self::Response(_, Response::Blocks(blocks)) => blocks.iter().map(|block| block.size()).sum(),
            Self::Response(
                _,
                Response::BlockTransactions(_, transactions) | Response::Transactions(transactions),
            ) => transactions.iter().map(|transaction| transaction.size()).sum(),
            Self::Response(_, Response::Mempool(ids)) => 32 * ids.len(),
        }
    }
}

/// Where a message goes, and how.
#[derive(Debug, Clone, Copy)]
struct Way {
    to: usize,
    back: u32,
    epoch: u32,
    delay_ms: u32,
    special: bool,
}

impl<O: Observer> World<O> {
    pub(super) fn carry_out(&mut self, coming: Coming) -> Result<(), WorldError> {
        match coming {
            Coming::Gossip(host, slot, epoch, message, number) => {
                self.deliver_gossip(host as usize, slot as usize, epoch, message, number)?;
            }
            Coming::Message(parcel) => self.deliver(*parcel)?,
            Coming::Tick(host) => {
                let host = host as usize;
                if self.hosts[host].tick == Some(self.now) {
                    self.hosts[host].tick = None;
                    self.handle(host, Event::Tick)?;
                }
            }
            Coming::Found(draw) => self.found(draw)?,
            Coming::Payment => self.make_payment()?,
            Coming::Redial(host, slot) => self.dial(host as usize, slot as usize)?,
            Coming::Order(order) => self.apply(*order)?,
        }
        Ok(())
    }

    /// The name of a link's other end, if the link is up and in the same connection.
    fn connected(&self, host: usize, slot: usize, epoch: u32) -> Option<PeerId> {
        let link = self.hosts[host].links.get(slot)?;
        (link.up && link.epoch == epoch && self.hosts[host].node.is_some()).then(|| link.peer(slot))
    }

    fn deliver_gossip(
        &mut self,
        host: usize,
        slot: usize,
        epoch: u32,
        message: u64,
        number: u64,
    ) -> Result<(), StoreError> {
        // most copies come too late: these cost no look at the host
        if self.rumours.has_heard(message, host) {
            return Ok(());
        }
        let Some(peer) = self.connected(host, slot, epoch) else { return Ok(()) };
        self.rumours.hear(message, host);
        let Some(gossip) = self.rumours.gossip(message).cloned() else { return Ok(()) };
        let from = self.hosts[host].links[slot].to as usize;
        let seen = Observation::Received { number, from, to: host, message: Carried::Gossip(&gossip) };
        self.see(&seen);
        self.counts.messages += 1;
        // the node says in most cases at once what may be done with it
        self.hosts[host].held.push((number, message, slot));
        self.handle(host, Event::Gossip(peer, GossipId(number), gossip))
    }

    fn deliver(&mut self, parcel: Parcel) -> Result<(), StoreError> {
        let Parcel { host, slot, epoch, number, content } = parcel;
        let (host, slot) = (host as usize, slot as usize);
        let Some(peer) = self.connected(host, slot, epoch) else { return Ok(()) };
        let from = self.hosts[host].links[slot].to as usize;
        self.see(&Observation::Received { number, from, to: host, message: content.carried() });
        self.counts.messages += 1;
        let event = match content {
            Content::Request(id, request) => Event::Request(peer, id, request),
            Content::Response(id, response) => Event::Response(peer, id, response),
        };
        self.handle(host, event)
    }

    /// Hands an event to a node and carries out what it wants.
    pub(super) fn handle(&mut self, host: usize, event: Event) -> Result<(), StoreError> {
        let clock = self.clock(host);
        let Some(node) = &mut self.hosts[host].node else { return Ok(()) };
        let actions = node.handle(event, clock)?;
        for action in actions {
            self.act(host, action)?;
        }
        self.schedule_tick(host);
        Ok(())
    }

    fn act(&mut self, host: usize, action: Action) -> Result<(), StoreError> {
        match action {
            Action::Request(peer, id, request) => self.send(host, peer, Content::Request(id, request)),
            Action::Respond(peer, id, response) => self.send(host, peer, Content::Response(id, response)),
            Action::Publish(gossip) => {
                let message = self.rumours.number(gossip, self.now.0);
                self.rumours.hear(message, host);
                self.forward(host, None, message);
            }
            Action::Judge(id, verdict) => self.judged(host, id, verdict),
            Action::Disconnect(peer, until) => self.dropped(host, peer, until)?,
            Action::Notify(notice) => self.notice(host, &notice),
            Action::Punish(peer, offence) => {
                if let Some(link) = self.hosts[host].links.get(slot_of(peer).0) {
                    let peer = link.to as usize;
                    self.see(&Observation::Punished { node: host, peer, offence });
                }
            }
            Action::Answer(_, Ok(accepted)) => self.answers.push(accepted),
            Action::Answer(_, Err(reject)) => self.refusals.push(reject),
        }
        Ok(())
    }

    fn judged(&mut self, host: usize, id: GossipId, verdict: Verdict) {
        let held = &mut self.hosts[host].held;
        let Some(place) = held.iter().rposition(|(number, ..)| *number == id.0) else { return };
        let (_, message, slot) = held.swap_remove(place);
        if verdict == Verdict::Accept {
            self.forward(host, Some(slot), message);
        }
    }

    /// Passes gossip on to all neighbours that may not have it. One that has had it would drop the copy unseen.
    fn forward(&mut self, host: usize, except: Option<usize>, message: u64) {
        for slot in 0..self.hosts[host].links.len() {
            let link = &self.hosts[host].links[slot];
            if !link.up || Some(slot) == except {
                continue;
            }
            let way = Way {
                to: link.to as usize,
                back: link.back,
                epoch: link.epoch,
                delay_ms: link.delay_ms,
                special: link.special,
            };
            if self.rumours.has_heard(message, way.to) {
                continue;
            }
            let bytes = self.rumours.bytes(message);
            let copies = self.arrivals(host, &way, bytes);
            if copies.iter().flatten().next().is_none() {
                self.gossip_lost(host, way.to, message);
            }
            for arrival in copies.into_iter().flatten() {
                let arrival = self.digest(way.to, arrival, u32::from(self.carries_block(message)));
                let number = self.fresh_number();
                self.gossip_sent(number, host, way.to, message, arrival);
                let coming = Coming::Gossip(way.to as u32, way.back, way.epoch, message, number);
                self.queue.push(arrival.0, coming);
            }
        }
    }

    fn carries_block(&self, message: u64) -> bool {
        matches!(self.rumours.gossip(message), Some(Gossip::Block(_)))
    }

    fn gossip_sent(&mut self, number: u64, from: usize, to: usize, message: u64, arrival: Time) {
        if let Some(gossip) = self.rumours.gossip(message) {
            let message = Carried::Gossip(gossip);
            self.observer.see(self.now, &Observation::Sent { number, from, to, message, arrival });
        }
    }

    fn gossip_lost(&mut self, from: usize, to: usize, message: u64) {
        if let Some(gossip) = self.rumours.gossip(message) {
            let message = Carried::Gossip(gossip);
            self.observer.see(self.now, &Observation::Lost { from, to, message });
        }
    }

    /// Puts a question or an answer on its way.
    fn send(&mut self, host: usize, peer: PeerId, content: Content) {
        let (slot, epoch) = slot_of(peer);
        let Some(link) = self.hosts[host].links.get(slot).filter(|link| link.up && link.epoch == epoch)
        else {
            return;
        };
        let way = Way {
            to: link.to as usize,
            back: link.back,
            epoch: link.epoch,
            delay_ms: link.delay_ms,
            special: link.special,
        };
        let copies = self.arrivals(host, &way, content.bytes());
        if copies.iter().flatten().next().is_none() {
            self.see(&Observation::Lost { from: host, to: way.to, message: content.carried() });
        }
        for arrival in copies.into_iter().flatten() {
            let arrival = self.digest(way.to, arrival, content.blocks());
            let number = self.fresh_number();
            let message = content.carried();
            self.see(&Observation::Sent { number, from: host, to: way.to, message, arrival });
            let parcel = Parcel {
                host: way.to as u32,
                slot: way.back,
                epoch: way.epoch,
                number,
                content: content.clone(),
            };
            self.queue.push(arrival.0, Coming::Message(Box::new(parcel)));
        }
    }

    /// Draws when a message arrives: never, once or twice.
    fn arrivals(&mut self, from: usize, way: &Way, bytes: usize) -> [Option<Time>; 2] {
        let quality = match way.special {
            true => self.conditions.quality(from, way.to),
            false => self.conditions.everywhere,
        };
        if quality.cut || self.chance(quality.loss) {
            return [None; 2];
        }
        let twice = self.chance(quality.duplicate);
        let departure = self.departure(from, way.to, bytes);
        let first = self.arrival(from, way, departure, &quality);
        let second = twice.then(|| self.arrival(from, way, departure, &quality));
        [Some(first), second]
    }

    fn arrival(
        &mut self,
        from: usize,
        way: &Way,
        departure: Time,
        quality: &crate::network::LinkQuality,
    ) -> Time {
        let regions = (self.regions[from], self.regions[way.to]);
        let latency = self.delays.sample(way.delay_ms, regions.0, regions.1, &mut self.rng);
        let reorder = quality.reorder.as_millis() as u64;
        let late = if reorder > 0 { self.rng.random_range(0..=reorder) } else { 0 };
        departure + quality.delay + Duration::from_millis(latency + late)
    }

    /// When the last byte has left the sender, which sends one message after the other.
    fn departure(&mut self, from: usize, to: usize, bytes: usize) -> Time {
        let regions = (self.regions[from], self.regions[to]);
        let Some(transfer) = self.delays.transfer(bytes + OVERHEAD, regions.0, regions.1) else {
            return self.now;
        };
        let uplink = &mut self.hosts[from].uplink_until;
        *uplink = (*uplink).max(self.now) + Duration::from_millis(transfer);
        *uplink
    }

    /// When a host that is slow with blocks is through with a message.
    fn digest(&mut self, host: usize, arrival: Time, blocks: u32) -> Time {
        if blocks == 0 || !self.any_slow {
            return arrival;
        }
        let state = &mut self.hosts[host];
        if state.slow.is_zero() {
            return arrival;
        }
        state.busy_until = state.busy_until.max(arrival) + state.slow * blocks;
        state.busy_until
    }

    pub(super) fn schedule_tick(&mut self, host: usize) {
        let state = &mut self.hosts[host];
        let Some(deadline) = state.node.as_ref().and_then(tine_node::Participant::deadline) else { return };
        // the node speaks of its own clock
        let due = Time(deadline.0.saturating_add_signed(-state.skew)).max(self.now);
        if state.tick.is_none_or(|tick| tick > due) {
            state.tick = Some(due);
            self.queue.push(due.0, Coming::Tick(host as u32));
        }
    }

    fn notice(&mut self, host: usize, notice: &Notice) {
        if let Notice::Chain(change) = notice
            && change.tip.is_some()
        {
            let given_up = change.disconnected.len() as u64;
            self.counts.adoptions += 1;
            self.counts.reorgs += u64::from(given_up > 0);
            self.counts.deepest_reorg = self.counts.deepest_reorg.max(given_up);
            self.learn_work(host);
        }
        self.see(&Observation::Noticed { node: host, notice });
    }

    /// A node wants to be rid of a peer.
    fn dropped(&mut self, host: usize, peer: PeerId, until: Option<Time>) -> Result<(), StoreError> {
        let (slot, epoch) = slot_of(peer);
        let Some(link) = self.hosts[host].links.get(slot).filter(|link| link.up && link.epoch == epoch)
        else {
            return Ok(());
        };
        let other = link.to as usize;
        self.see(&Observation::Dropped { node: host, peer: other, banned: until.is_some() });
        // the node speaks of its own clock
        let skew = self.hosts[host].skew;
        let until = until.map(|until| Time(until.0.saturating_add_signed(-skew)));
        self.hosts[host].links[slot].banned_until = until.unwrap_or(Time(0));
        self.unlink(host, slot)?;
        let redial = until.unwrap_or(self.now + REDIAL_AFTER);
        self.queue.push(redial.0, Coming::Redial(host as u32, slot as u32));
        Ok(())
    }
}
