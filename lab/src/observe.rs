//! What can be seen of a world while it runs.

use std::sync::Arc;

use tine_chain::block::Block;
use tine_chain::hash::BlockHash;
use tine_chain::time::Time;
use tine_node::event::Notice;
use tine_node::peers::Offence;
use tine_node::wire::{Gossip, Request, Response};

use crate::order::Order;

/// A message on its way.
#[derive(Debug, Clone, Copy)]
pub enum Carried<'a> {
    /// A question.
    Request(&'a Request),
    /// An answer.
    Response(&'a Response),
    /// What is told to all.
    Gossip(&'a Gossip),
}

/// One thing that happened. Hosts are named by their numbers.
#[derive(Debug, Clone, Copy)]
pub enum Observation<'a> {
    /// A message leaves. A copy that the receiver has already had, or that is lost at once, is not sent.
    Sent {
        /// Tells this message from all others of the run; a duplicate has its own.
        number: u64,
        /// Who sends.
        from: usize,
        /// To whom.
        to: usize,
        /// What.
        message: Carried<'a>,
        /// When it will be there.
        arrival: Time,
    },
    /// A message will never arrive.
    Lost {
        /// Who sent it.
        from: usize,
        /// To whom.
        to: usize,
        /// What.
        message: Carried<'a>,
    },
    /// A message arrives, and the node is about to handle it.
    Received {
        /// See [`Observation::Sent`].
        number: u64,
        /// Who sent it.
        from: usize,
        /// Who has it.
        to: usize,
        /// What.
        message: Carried<'a>,
    },
    /// A host found a block; its node is about to take it in.
    Mined {
        /// The host.
        node: usize,
        /// The block.
        block: &'a Arc<Block>,
        /// Its id.
        hash: BlockHash,
        /// Its height.
        height: u32,
    },
    /// A node tells those who watch it.
    Noticed {
        /// The node.
        node: usize,
        /// What.
        notice: &'a Notice,
    },
    /// A node charged a peer.
    Punished {
        /// The node.
        node: usize,
        /// Whom.
        peer: usize,
        /// For what.
        offence: Offence,
    },
    /// A node ended a connection.
    Dropped {
        /// The node.
        node: usize,
        /// Whom it dropped.
        peer: usize,
        /// Whether the peer is banned.
        banned: bool,
    },
    /// A link came up.
    Linked {
        /// Who dialled.
        from: usize,
        /// Who was dialled.
        to: usize,
    },
    /// A link went down.
    Unlinked {
        /// One end.
        a: usize,
        /// The other.
        b: usize,
    },
    /// Something was done to the world.
    Ordered(&'a Order),
}

/// Whoever watches a world. Watching changes nothing.
pub trait Observer {
    /// Something happened, at `time` by the world's clock.
    fn see(&mut self, time: Time, seen: &Observation<'_>);
}

/// Nobody watches.
impl Observer for () {
    fn see(&mut self, _: Time, _: &Observation<'_>) {}
}

/// Both watch.
impl<A: Observer, B: Observer> Observer for (A, B) {
    fn see(&mut self, time: Time, seen: &Observation<'_>) {
        self.0.see(time, seen);
        self.1.see(time, seen);
    }
}

/// Watches from outside: the world has only a loan.
impl<O: Observer + ?Sized> Observer for &mut O {
    fn see(&mut self, time: Time, seen: &Observation<'_>) {
        (**self).see(time, seen);
    }
}
