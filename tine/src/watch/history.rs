//! All that was told so far, and where in it the view stands: at its end, or at any moment before.

use super::event::{BlockFacts, Event, Status, What};
use super::model::{Facts, Model};

/// Events that can be gone back to, as many as nodes keep for who was away.
const MAX_EVENTS: usize = 20_000;
/// Events that become part of the ground at once when there are more.
const SETTLED: usize = 4_000;

/// How far a step goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// One event: a block arrives at one more node.
    Event,
    /// One line of the log.
    Line,
}

/// The events, and the network at the moment that is shown.
#[derive(Debug, Default)]
pub(crate) struct History {
    /// What each block is.
    pub(crate) facts: Facts,
    /// The network before the first event that is kept.
    ground: Model,
    /// By time.
    events: Vec<Event>,
    /// The network after all of them.
    live: Model,
    /// How many of them have happened in the moment that is shown, and the network then; `None`: all.
    past: Option<(usize, Model)>,
}

impl History {
    /// Of these nodes, nothing told yet.
    pub(crate) fn new(names: &[String]) -> Self {
        let model = Model::new(names);
        Self { ground: model.clone(), live: model, ..Self::default() }
    }

    /// The network in the moment that is shown.
    pub(crate) fn model(&self) -> &Model {
        self.past.as_ref().map_or(&self.live, |(_, model)| model)
    }

    /// The network after everything that was told.
    pub(crate) fn live(&self) -> &Model {
        &self.live
    }

    /// Whether a moment of the past is shown, which is after so many events of so many.
    pub(crate) fn position(&self) -> Option<(usize, usize)> {
        self.past.as_ref().map(|(position, _)| (*position, self.events.len()))
    }

    /// A node that was not there before; its place.
    pub(crate) fn add_node(&mut self, name: &str) -> usize {
        let node = super::model::NodeNow { name: name.to_owned(), ..Default::default() };
        let models = [&mut self.ground, &mut self.live];
        for model in models.into_iter().chain(self.past.as_mut().map(|(_, model)| model)) {
            model.nodes.push(node.clone());
        }
        self.live.nodes.len() - 1
    }

    /// What a block is; what was known of its body is kept.
    pub(crate) fn learn(&mut self, block: BlockFacts) {
        let known = self.facts.entry(block.hash).or_insert_with(|| block.clone());
        known.miner = block.miner.or(known.miner.take());
        known.txs = block.txs.or(known.txs);
        if !block.work.is_empty() {
            known.work = block.work;
        }
    }

    /// A measured rate is told only now, and never again.
    pub(crate) fn measure(&mut self, node: usize, status: &Status) {
        if let Some(known) = self.live.nodes.get_mut(node).and_then(|node| node.status.as_mut()) {
            known.hashrate = status.hashrate;
        }
    }

    /// Adds an event, wherever its time puts it.
    pub(crate) fn push(&mut self, event: Event) {
        self.live.apply(&event, &self.facts);
        let place = self.events.partition_point(|other| other.time <= event.time);
        if let Some((position, model)) = &mut self.past
            && place < *position
        {
            model.apply(&event, &self.facts);
            *position += 1;
        }
        self.events.insert(place, event);
        if self.events.len() > MAX_EVENTS {
            self.settle();
        }
    }

    /// The oldest events become part of the ground.
    fn settle(&mut self) {
        for event in self.events.drain(..SETTLED) {
            self.ground.apply(&event, &self.facts);
        }
        if let Some((position, _)) = &self.past {
            let position = position.saturating_sub(SETTLED);
            self.stand_at(position);
        }
        let (facts, live, ground) = (&mut self.facts, &self.live, &self.ground);
        let events = &self.events;
        let named: std::collections::HashSet<_> =
            events.iter().filter_map(|event| block_of(&event.what)).collect();
        facts.retain(|hash, _| {
            live.blocks.contains_key(hash) || ground.blocks.contains_key(hash) || named.contains(hash)
        });
    }

    /// Shows the moment after the first `position` events.
    pub(crate) fn stand_at(&mut self, position: usize) {
        let position = position.min(self.events.len());
        let mut model = self.ground.clone();
        self.events[..position].iter().for_each(|event| model.apply(event, &self.facts));
        self.past = Some((position, model));
    }

    /// Shows what happens now.
    pub(crate) fn follow(&mut self) {
        self.past = None;
    }

    /// Stays where it is, whatever happens.
    pub(crate) fn pause(&mut self) {
        if self.past.is_none() {
            self.past = Some((self.events.len(), self.live.clone()));
        }
    }

    /// Goes back in time.
    pub(crate) fn back(&mut self, step: Step) {
        self.pause();
        let position = self.past.as_ref().map_or(0, |(position, _)| *position);
        let before = (0..position).rev().find(|end| *end == 0 || self.is_stop(*end, step));
        self.stand_at(before.unwrap_or(0));
    }

    /// Goes forth in time, as far as there is something.
    pub(crate) fn forth(&mut self, step: Step) {
        let Some((position, _)) = &self.past else { return };
        let after = (position + 1..=self.events.len()).find(|end| self.is_stop(*end, step));
        self.stand_at(after.unwrap_or(self.events.len()));
    }

    /// Whether a step ends after the first `end` events: the last of them is worth seeing.
    fn is_stop(&self, end: usize, step: Step) -> bool {
        let last = &self.events[end - 1];
        match (&last.what, step) {
            (What::Status(..), _) | (What::Tip(..) | What::Dropped(..), Step::Line) => false,
            (What::Seen(_, hash), Step::Line) => {
                // only where it was found
                !self.events[..end - 1]
                    .iter()
                    .rev()
                    .any(|event| matches!(&event.what, What::Seen(_, other) if other == hash))
            }
            (What::Payment(_, txid), Step::Line) => !self.events[..end - 1]
                .iter()
                .any(|event| matches!(&event.what, What::Payment(_, other) if other == txid)),
            (What::DoubleSpend { refused, .. }, Step::Line) => !self.events[..end - 1].iter().any(
                |event| matches!(&event.what, What::DoubleSpend { refused: other, .. } if other == refused),
            ),
            (
                What::Seen(..)
                | What::Tip(..)
                | What::Payment(..)
                | What::Dropped(..)
                | What::DoubleSpend { .. }
                | What::Reorg(..)
                | What::Invalid(..)
                | What::Replaced { .. }
                | What::Split(..)
                | What::Heal
                | What::Up(..)
                | What::Down(..)
                | What::Note(..),
                _,
            ) => true,
        }
    }
}

fn block_of(what: &What) -> Option<&tine_chain::hash::BlockHash> {
    match what {
        What::Seen(_, hash) | What::Tip(_, hash) | What::Invalid(_, hash, _) => Some(hash),
        What::Reorg(..)
        | What::Payment(..)
        | What::Dropped(..)
        | What::Replaced { .. }
        | What::DoubleSpend { .. }
        | What::Split(..)
        | What::Heal
        | What::Status(..)
        | What::Up(..)
        | What::Down(..)
        | What::Note(..) => None,
    }
}
