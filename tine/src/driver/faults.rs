//! A bad line on purpose: messages between a node and its network that come late, or not at all.
//!
//! What is delayed or lost are whole messages, between the connections and the node: TCP itself would send again what a
//! line loses, so that losing packets only makes it slow. Connections stay, and nobody is told: a request whose answer
//! is lost fails, gossip that is lost is never heard of, as of a peer that has forgotten it.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};
use std::time::Duration;

use tine_chain::time::Time;
use tine_node::event::{Action, Event, Verdict};

/// The longest delay, in milliseconds: the time after which a request is given up.
pub const MAX_DELAY_MS: u32 = 10_000;
/// Messages that wait at once, each way; while there are more, nothing is read from the network. None waits on a good line.
const MAX_HELD: usize = 256;

/// How bad the line of a node is; zeros: as good as it is.
#[derive(Debug, Default)]
pub struct Faults {
    delay_ms: AtomicU32,
    drop_percent: AtomicU8,
}

impl Faults {
    /// How much longer a message takes, each way.
    #[must_use]
    pub fn delay(&self) -> Duration {
        Duration::from_millis(u64::from(self.delay_ms.load(Ordering::Relaxed)))
    }

    /// How many of 100 messages are lost, each way.
    #[must_use]
    pub fn drop_percent(&self) -> u8 {
        self.drop_percent.load(Ordering::Relaxed)
    }

    /// Delays messages by so many milliseconds, at most [`MAX_DELAY_MS`], from now on.
    pub fn set_delay_ms(&self, ms: u32) {
        self.delay_ms.store(ms.min(MAX_DELAY_MS), Ordering::Relaxed);
    }

    /// Loses so many of 100 messages from now on.
    pub fn set_drop_percent(&self, percent: u8) {
        self.drop_percent.store(percent.min(100), Ordering::Relaxed);
    }

    /// Draws the lot of a message.
    fn is_lost(&self) -> bool {
        let percent = self.drop_percent();
        percent > 0 && rand::random_range(0..100) < percent
    }
}

/// Things on their way, first in, first out.
#[derive(Debug)]
struct Lane<T> {
    held: VecDeque<(Time, T)>,
}

impl<T> Default for Lane<T> {
    fn default() -> Self {
        Self { held: VecDeque::new() }
    }
}

impl<T> Lane<T> {
    /// Nothing overtakes what was sent before it, though the delay has become shorter meanwhile.
    fn push(&mut self, due: Time, thing: T) {
        let last = self.held.back().map_or(due, |(last, _)| *last);
        self.held.push_back((due.max(last), thing));
    }

    fn pop(&mut self, now: Time) -> Option<T> {
        self.due().filter(|due| *due <= now)?;
        self.held.pop_front().map(|(_, thing)| thing)
    }

    fn due(&self) -> Option<Time> {
        self.held.front().map(|(due, _)| *due)
    }
}

/// The line between a node and its network.
#[derive(Debug, Default)]
pub(super) struct Line {
    incoming: Lane<Event>,
    outgoing: Lane<Action>,
}

impl Line {
    /// Takes what the network brings. What the network must be told when a message is lost is among what goes out.
    pub(super) fn receive(&mut self, event: Event, faults: &Faults, now: Time) {
        let due = now + faults.delay();
        match event {
            Event::Gossip(_, id, _) if faults.is_lost() => {
                self.outgoing.push(now, Action::Judge(id, Verdict::Ignore));
            }
            Event::Request(..) if faults.is_lost() => {}
            Event::Response(peer, id, _) if faults.is_lost() => {
                self.incoming.push(due, Event::RequestFailed(peer, id));
            }
            event @ (Event::Gossip(..)
            | Event::Request(..)
            | Event::Response(..)
            | Event::Connected(..)
            | Event::Disconnected(_)
            | Event::RequestFailed(..)
            | Event::Malformed(_)
            | Event::Submit(..)
            | Event::Tick) => self.incoming.push(due, event),
        }
    }

    /// Takes what the node sends.
    pub(super) fn send(&mut self, action: Action, faults: &Faults, now: Time) {
        let due = now + faults.delay();
        match action {
            Action::Request(peer, id, _) if faults.is_lost() => {
                self.incoming.push(due, Event::RequestFailed(peer, id));
            }
            Action::Respond(..) | Action::Publish(_) if faults.is_lost() => {}
            // a verdict is what sends gossip on
            action @ (Action::Request(..) | Action::Respond(..) | Action::Publish(_) | Action::Judge(..)) => {
                self.outgoing.push(due, action);
            }
            // no messages, but orders to our own transport: in their place among the messages
            action @ (Action::Punish(..)
            | Action::Disconnect(..)
            | Action::Answer(..)
            | Action::Notify(_)) => self.outgoing.push(now, action),
        }
    }

    /// What has arrived by now.
    pub(super) fn arrived(&mut self, now: Time) -> Option<Event> {
        self.incoming.pop(now)
    }

    /// What leaves by now.
    pub(super) fn leaving(&mut self, now: Time) -> Option<Action> {
        self.outgoing.pop(now)
    }

    /// When something next arrives or leaves.
    pub(super) fn due(&self) -> Option<Time> {
        self.incoming.due().into_iter().chain(self.outgoing.due()).min()
    }

    /// Whether more may come in.
    pub(super) fn has_room(&self) -> bool {
        self.incoming.held.len() < MAX_HELD && self.outgoing.held.len() < MAX_HELD
    }
}

#[cfg(test)]
mod tests {
    use tine_chain::hash::Wtxid;
    use tine_node::event::{GossipId, PeerId, RequestId};
    use tine_node::wire::{Gossip, Request, Response};

    use super::*;

    const NOW: Time = Time(1_000_000);
    const PEER: PeerId = PeerId(1);

    fn faults(delay_ms: u32, drop_percent: u8) -> Faults {
        let faults = Faults::default();
        faults.set_delay_ms(delay_ms);
        faults.set_drop_percent(drop_percent);
        faults
    }

    fn gossip(id: u64) -> Event {
        let transaction = tine_chain::params::Params::of(tine_chain::params::Network::Regtest)
            .genesis_block()
            .transactions[0]
            .clone();
        Event::Gossip(PEER, GossipId(id), Gossip::Transaction(transaction))
    }

    #[test]
    fn messages_come_late_and_in_their_order() {
        let (mut line, slow, fast) = (Line::default(), faults(300, 0), faults(0, 0));
        line.receive(Event::Request(PEER, RequestId(1), Request::Mempool), &slow, NOW);
        line.receive(Event::Disconnected(PEER), &fast, NOW + Duration::from_millis(10));
        assert_eq!(line.due(), Some(NOW + Duration::from_millis(300)));
        assert!(line.arrived(NOW + Duration::from_millis(299)).is_none());
        let then = NOW + Duration::from_millis(300);
        assert!(matches!(line.arrived(then), Some(Event::Request(..))));
        assert!(matches!(line.arrived(then), Some(Event::Disconnected(_))), "it does not overtake");
        line.send(Action::Request(PEER, RequestId(2), Request::Mempool), &slow, NOW);
        assert!(line.leaving(NOW).is_none() && line.leaving(then).is_some());
        assert_eq!(line.due(), None);
    }

    #[test]
    fn what_is_lost_is_never_waited_for() {
        let (mut line, dead) = (Line::default(), faults(0, 100));
        line.receive(gossip(5), &dead, NOW);
        assert!(matches!(line.leaving(NOW), Some(Action::Judge(GossipId(5), Verdict::Ignore))));
        line.receive(
            Event::Response(PEER, RequestId(6), Response::Mempool(vec![Wtxid([1; 32])])),
            &dead,
            NOW,
        );
        assert!(matches!(line.arrived(NOW), Some(Event::RequestFailed(_, RequestId(6)))));
        line.send(Action::Request(PEER, RequestId(7), Request::Mempool), &dead, NOW);
        assert!(matches!(line.arrived(NOW), Some(Event::RequestFailed(_, RequestId(7)))));
        line.receive(Event::Connected(PEER, info()), &dead, NOW);
        assert!(matches!(line.arrived(NOW), Some(Event::Connected(..))), "connections stay");
        assert!(line.leaving(NOW).is_none());
    }

    fn info() -> tine_node::event::PeerInfo {
        let text = String::new;
        tine_node::event::PeerInfo { identity: text(), address: text(), outbound: true, agent: text() }
    }
}
