//! Blocks of one's own that others are not to know of yet.

use std::collections::BTreeMap;
use std::sync::Arc;

use tine_chain::block::{Block, Header};
use tine_chain::hash::BlockHash;

use super::Turn;
use crate::event::{Action, Event, GossipId, Notice, Submission, Verdict};
use crate::wire::{CompactBlock, Gossip, Request, Response};

/// Blocks that are hidden, and how they are shown.
#[derive(Debug)]
pub(super) struct Hidden {
    blocks: BTreeMap<BlockHash, (u32, Arc<Block>)>,
    /// Of the next announcement.
    nonce: u64,
    /// The announcement of a block that was heard last, if a block was hidden then.
    rival: Option<GossipId>,
}

impl Hidden {
    pub(super) fn new(seed: u64) -> Self {
        Self { blocks: BTreeMap::new(), nonce: seed, rival: None }
    }

    pub(super) fn contains(&self, hash: &BlockHash) -> bool {
        self.blocks.contains_key(hash)
    }

    /// The height of a hidden block.
    pub(super) fn height(&self, hash: &BlockHash) -> Option<u32> {
        self.blocks.get(hash).map(|(height, _)| *height)
    }

    /// Looks at an event before the node has it: a block that is submitted is hidden, one that is heard is a rival.
    pub(super) fn note(&mut self, event: &Event, turn: &Turn<'_>) {
        match event {
            Event::Submit(_, Submission::Block(block)) => self.hide(block, turn),
            Event::Gossip(_, id, Gossip::Block(_)) => {
                self.rival = (!self.blocks.is_empty()).then_some(*id);
            }
            Event::Submit(_, Submission::Transaction(_))
            | Event::Gossip(_, _, Gossip::Transaction(_))
            | Event::Connected(..)
            | Event::Disconnected(_)
            | Event::Request(..)
            | Event::Response(..)
            | Event::RequestFailed(..)
            | Event::Malformed(_)
            | Event::Tick => {}
        }
    }

    /// Hides a block before the node has it.
    fn hide(&mut self, block: &Arc<Block>, turn: &Turn<'_>) {
        let parent = turn.node.chain().tree().get(&block.header.prev_block);
        let height = parent.map_or(0, |parent| parent.height + 1);
        self.blocks.insert(block.hash(), (height, Arc::clone(block)));
    }

    /// Announces what is hidden up to `height`, parents first.
    pub(super) fn show_up_to(&mut self, height: u32, turn: &mut Turn<'_>) {
        let mut shown: Vec<_> = self.blocks.extract_if(.., |_, (at, _)| *at <= height).collect();
        shown.sort_unstable_by_key(|(hash, (at, _))| (*at, *hash));
        for (_, (_, block)) in shown {
            self.nonce = self.nonce.wrapping_add(1);
            if let Some(compact) = CompactBlock::new(&block, self.nonce) {
                turn.actions.push(Action::Publish(Gossip::Block(Arc::new(compact))));
            }
        }
    }

    /// Forgets what is hidden: nobody will ever see it.
    pub(super) fn abandon(&mut self) {
        self.blocks.clear();
    }

    /// `action` without what it would give away; `None` when nothing is left of it.
    pub(super) fn without_secrets(&self, action: Action) -> Option<Action> {
        // whoever has a block in hand does not carry its rival
        if let Action::Judge(id, Verdict::Accept) = action
            && self.rival == Some(id)
        {
            return Some(Action::Judge(id, Verdict::Ignore));
        }
        if self.blocks.is_empty() {
            return Some(action);
        }
        Some(match action {
            Action::Publish(Gossip::Block(compact)) if self.contains(&compact.header.hash()) => return None,
            Action::Respond(peer, id, Response::Headers(headers)) => {
                Action::Respond(peer, id, Response::Headers(self.known_to_all(headers, Header::hash)))
            }
            Action::Respond(peer, id, Response::Blocks(blocks)) => {
                Action::Respond(peer, id, Response::Blocks(self.known_to_all(blocks, |block| block.hash())))
            }
            Action::Request(peer, id, Request::Headers { mut locator }) => {
                locator.retain(|hash| !self.contains(hash));
                Action::Request(peer, id, Request::Headers { locator })
            }
            action @ (Action::Publish(_)
            | Action::Respond(..)
            | Action::Request(..)
            | Action::Judge(..)
            | Action::Punish(..)
            | Action::Disconnect(..)
            | Action::Answer(..)
            | Action::Notify(_)) => action,
        })
    }

    /// The front of a chain, up to the first hidden block.
    fn known_to_all<T>(&self, chain: Vec<T>, hash: impl Fn(&T) -> BlockHash) -> Vec<T> {
        chain.into_iter().take_while(|item| !self.contains(&hash(item))).collect()
    }
}

/// What an adversary learns from what its node does.
pub(super) enum News {
    /// Blocks whose bodies the node has just got, in the order of arrival.
    Stored(Vec<(BlockHash, Arc<Block>)>),
    /// A header that the node has just seen, and its height. Others' blocks are noticed by it: a node fetches no body
    /// of a branch that has less work than its own.
    Header(BlockHash, u32),
    /// Nothing about blocks.
    Nothing,
}

pub(super) fn news(action: &Action) -> News {
    match action {
        Action::Notify(Notice::Chain(change)) => News::Stored(change.stored.clone()),
        Action::Notify(Notice::HeaderSeen(_, hash, height, _)) => News::Header(*hash, *height),
        Action::Notify(
            Notice::BlockInvalid(..)
            | Notice::TransactionAdded(_)
            | Notice::TransactionRemoved(..)
            | Notice::DoubleSpendAttempt { .. }
            | Notice::Syncing { .. }
            | Notice::Wanted(_),
        )
        | Action::Request(..)
        | Action::Respond(..)
        | Action::Publish(_)
        | Action::Judge(..)
        | Action::Punish(..)
        | Action::Disconnect(..)
        | Action::Answer(..) => News::Nothing,
    }
}
