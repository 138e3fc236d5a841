//! Two blocks for one height, shown at the same moment: whoever hears one first is on its side.

use tine_chain::hash::BlockHash;

use super::hidden::{Hidden, News, news};
use super::{Adversary, Turn};
use crate::event::{Action, Event};

/// A miner that says two things at once.
#[derive(Debug)]
pub(super) struct Equivocate {
    hidden: Hidden,
    /// The parent and height of the twin that is found already.
    first: Option<(BlockHash, u32)>,
}

impl Equivocate {
    pub(super) fn new(seed: u64) -> Self {
        Self { hidden: Hidden::new(seed), first: None }
    }

    /// Shows what there is, one block or both.
    fn show(&mut self, turn: &mut Turn<'_>) {
        if let Some((_, height)) = self.first.take() {
            self.hidden.show_up_to(height, turn);
        }
    }
}

impl Adversary for Equivocate {
    fn before(&mut self, event: Event, turn: &mut Turn<'_>) {
        self.hidden.note(&event, turn);
        turn.events.push(event);
    }

    fn after(&mut self, action: Action, turn: &mut Turn<'_>) {
        match news(&action) {
            News::Stored(blocks) => {
                for (hash, block) in blocks {
                    let Some(height) = self.hidden.height(&hash) else { continue };
                    if self.first.is_some() {
                        self.show(turn);
                    } else {
                        self.first = Some((block.header.prev_block, height));
                    }
                }
            }
            // somebody else is as far: waiting for the twin would only lose
            News::Header(hash, height)
                if !self.hidden.contains(&hash) && self.first.is_some_and(|(_, own)| height >= own) =>
            {
                self.show(turn);
            }
            News::Header(..) | News::Nothing => {}
        }
        turn.actions.extend(self.hidden.without_secrets(action));
    }

    fn parent(&self) -> Option<BlockHash> {
        self.first.map(|(parent, _)| parent)
    }
}
