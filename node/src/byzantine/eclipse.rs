//! The peer that an eclipsed node talks to.
//!
//! Heilman, Kendler, Zohar and Goldberg, "Eclipse Attacks on Bitcoin's Peer-to-Peer Network" (2015): whoever holds all
//! connections of a node decides what it sees. Filling its peer table is done by topology here (all its links lead to
//! this peer); this is what the peer does then.

use tine_chain::hash::BlockHash;

use super::{Adversary, Turn};
use crate::event::{Action, Event, Verdict};
use crate::wire::Response;

/// Listens to all, and tells nobody anything newer than the moment when it began.
#[derive(Debug, Default)]
pub(super) struct Eclipse {
    /// The last block that it tells of.
    frozen: Option<BlockHash>,
}

impl Adversary for Eclipse {
    fn before(&mut self, event: Event, turn: &mut Turn<'_>) {
        self.frozen.get_or_insert_with(|| turn.node.chain().tip().hash);
        turn.events.push(event);
    }

    fn after(&mut self, action: Action, turn: &mut Turn<'_>) {
        let passed = match action {
            Action::Publish(_) => return,
            Action::Judge(id, Verdict::Accept) => Action::Judge(id, Verdict::Ignore),
            Action::Respond(peer, id, Response::Headers(mut headers)) => {
                let tree = turn.node.chain().tree();
                headers.retain(|header| {
                    self.frozen.is_some_and(|frozen| tree.is_ancestor(&header.hash(), &frozen))
                });
                Action::Respond(peer, id, Response::Headers(headers))
            }
            action @ (Action::Judge(..)
            | Action::Respond(..)
            | Action::Request(..)
            | Action::Punish(..)
            | Action::Disconnect(..)
            | Action::Answer(..)
            | Action::Notify(_)) => action,
        };
        turn.actions.push(passed);
    }
}
