//! Nodes that do not keep to the protocol, and what they do instead.
//!
//! An [`Adversary`] stands between a node and its world: it sees each [`Event`] before the node and each [`Action`]
//! after it, lets pass what it likes, adds its own, and chooses what its miner works on. [`Participant`] puts the two
//! together; the lab's scheduler and the program's driver drive a participant where they would drive a node, so an
//! attack that was studied under virtual time runs on a live network unchanged.
//!
//! Invariants: the node inside stays honest and whole, it only sees and says what it is let; an adversary reads no
//! clock, and draws nothing at random but from its seed. Left out on purpose: forged signatures and broken hashes (no
//! adversary has those), and messages to some peers only, because gossip has one voice for all.

mod double_spend;
mod eclipse;
mod equivocate;
mod headers;
mod hidden;
mod invalid;
mod participant;
mod selfish;
mod slow;
mod strategy;
mod time;

use tine_chain::hash::BlockHash;
use tine_chain::time::Time;

pub use participant::Participant;
pub use strategy::{ParseStrategyError, Strategy};

use crate::event::{Action, Event};
use crate::node::Node;
use crate::template::Template;

/// What an adversary may read and write while it is asked.
pub struct Turn<'a> {
    /// The node that it stands before, as it is now.
    pub node: &'a Node,
    /// The time of the step.
    pub now: Time,
    /// What the node is handed next, in order.
    pub events: Vec<Event>,
    /// What the world is told, in order.
    pub actions: Vec<Action>,
}

impl<'a> Turn<'a> {
    fn new(node: &'a Node, now: Time) -> Self {
        Self { node, now, events: Vec::new(), actions: Vec::new() }
    }
}

/// A way to misbehave. What is not overridden is honest.
pub trait Adversary: Send {
    /// Sees an event before the node does. It passes only if it is pushed to [`Turn::events`].
    fn before(&mut self, event: Event, turn: &mut Turn<'_>) {
        turn.events.push(event);
    }

    /// Sees an action that the node wants. It passes only if it is pushed to [`Turn::actions`].
    fn after(&mut self, action: Action, turn: &mut Turn<'_>) {
        turn.actions.push(action);
    }

    /// The block that its miner builds on; `None`: the node's tip.
    fn parent(&self) -> Option<BlockHash> {
        None
    }

    /// Has the last word on a block before its nonce is searched.
    fn alter(&mut self, _template: &mut Template, _turn: &Turn<'_>) {}

    /// When it wants an [`Event::Tick`], besides the node's own deadline.
    fn deadline(&self) -> Option<Time> {
        None
    }
}
