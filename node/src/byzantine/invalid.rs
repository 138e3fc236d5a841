//! Blocks that cost work and are worth nothing.

use std::sync::Arc;

use tine_chain::amount::Amount;

use super::{Adversary, Turn};
use crate::event::{Accepted, Action, Event, Submission};
use crate::template::Template;
use crate::wire::{CompactBlock, Gossip};

/// A miner whose coinbases pay one unit more than the rules allow. Header and coinbase look well, so that every node
/// passes the announcement on and has to connect the block to find out.
#[derive(Debug)]
pub(super) struct InvalidFlood {
    nonce: u64,
}

impl InvalidFlood {
    pub(super) fn new(seed: u64) -> Self {
        Self { nonce: seed }
    }
}

impl Adversary for InvalidFlood {
    fn before(&mut self, event: Event, turn: &mut Turn<'_>) {
        let Event::Submit(id, Submission::Block(block)) = event else {
            turn.events.push(event);
            return;
        };
        // its own node would refuse it
        self.nonce = self.nonce.wrapping_add(1);
        if let Some(compact) = CompactBlock::new(&block, self.nonce) {
            turn.actions.push(Action::Publish(Gossip::Block(Arc::new(compact))));
        }
        // what its miner wants to hear
        turn.actions.push(Action::Answer(id, Ok(Accepted::Connected(block.hash()))));
    }

    fn alter(&mut self, template: &mut Template, _turn: &Turn<'_>) {
        let value = template.coinbase_value();
        template.set_coinbase_value(Amount(value.0.saturating_add(1)));
    }
}
