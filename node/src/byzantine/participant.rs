//! A node and, perhaps, an adversary that speaks for it.

use std::collections::VecDeque;

use tine_chain::block::Block;
use tine_chain::hash::BlockHash;
use tine_chain::store::StoreError;
use tine_chain::time::Time;

use super::{Adversary, Strategy, Turn};
use crate::activate::Mined;
use crate::event::{Action, Event};
use crate::node::Node;
use crate::template::{CoinbaseSpec, Template, TemplateError};

/// Events that an adversary may hand to its node in one step: a bound on its own mistakes.
const MAX_EVENTS_PER_STEP: usize = 256;

/// Who takes part in a network: a [`Node`], alone or behind an [`Adversary`].
pub struct Participant {
    node: Node,
    adversary: Option<Box<dyn Adversary>>,
}

impl Participant {
    /// A node that keeps to the protocol.
    #[must_use]
    pub fn honest(node: Node) -> Self {
        Self { node, adversary: None }
    }

    /// A node behind the adversary that `strategy` names.
    #[must_use]
    pub fn byzantine(node: Node, strategy: Strategy) -> Self {
        let adversary = strategy.adversary(node.config().seed);
        Self { node, adversary: Some(adversary) }
    }

    /// Takes `strategy` up from now on, or becomes honest. What the adversary before it still hid is forgotten; the
    /// node has it and will tell it.
    pub fn set_strategy(&mut self, strategy: Option<Strategy>) {
        self.adversary = strategy.map(|strategy| strategy.adversary(self.node.config().seed));
    }

    /// The node.
    #[must_use]
    pub fn node(&self) -> &Node {
        &self.node
    }

    /// The node, for orders of its operator. What they make it do goes through [`Participant::filter`].
    pub fn node_mut(&mut self) -> &mut Node {
        &mut self.node
    }

    /// The node, whatever stood before it.
    #[must_use]
    pub fn into_node(self) -> Node {
        self.node
    }

    /// As [`Node::handle`], through the adversary.
    ///
    /// # Errors
    /// Only when storage fails.
    pub fn handle(&mut self, event: Event, now: Time) -> Result<Vec<Action>, StoreError> {
        let Some(adversary) = &mut self.adversary else { return self.node.handle(event, now) };
        let mut turn = Turn::new(&self.node, now);
        adversary.before(event, &mut turn);
        let Turn { events, actions, .. } = turn;
        self.play(events, actions, now)
    }

    /// What is left of `actions`, which the node wants for another reason than an event.
    ///
    /// # Errors
    /// Only when storage fails.
    pub fn filter(&mut self, actions: Vec<Action>, now: Time) -> Result<Vec<Action>, StoreError> {
        let Some(adversary) = &mut self.adversary else { return Ok(actions) };
        let (events, passed) = through(adversary.as_mut(), &self.node, actions, now);
        self.play(events, passed, now)
    }

    fn play(
        &mut self,
        events: Vec<Event>,
        mut out: Vec<Action>,
        now: Time,
    ) -> Result<Vec<Action>, StoreError> {
        let Some(adversary) = &mut self.adversary else { return Ok(out) };
        let mut events = VecDeque::from(events);
        for _ in 0..MAX_EVENTS_PER_STEP {
            let Some(event) = events.pop_front() else { break };
            let wanted = self.node.handle(event, now)?;
            let (more, passed) = through(adversary.as_mut(), &self.node, wanted, now);
            events.extend(more);
            out.extend(passed);
        }
        Ok(out)
    }

    /// As [`Node::mine`]. An adversary has a say in every block, so that it mines none in a row.
    ///
    /// # Errors
    /// Only when storage fails.
    pub fn mine(
        &mut self,
        count: usize,
        now: Time,
        coinbase: impl FnMut() -> CoinbaseSpec,
        search: impl FnMut(Template) -> Option<Block>,
    ) -> Result<(Vec<Action>, Mined), StoreError> {
        match self.adversary {
            None => self.node.mine(count, now, coinbase, search),
            Some(_) => Ok((Vec::new(), Ok(Vec::new()))),
        }
    }

    /// When [`Event::Tick`] is wanted, by the node or by the adversary.
    #[must_use]
    pub fn deadline(&self) -> Option<Time> {
        let adversary = self.adversary.as_ref().and_then(|adversary| adversary.deadline());
        self.node.deadline().into_iter().chain(adversary).min()
    }

    /// The block that the miner builds on.
    #[must_use]
    pub fn mining_parent(&self) -> BlockHash {
        self.chosen_parent().unwrap_or(self.node.chain().tip().hash)
    }

    /// A block to mine, as the adversary wants it.
    ///
    /// # Errors
    /// As [`Node::template`].
    pub fn template(&mut self, now: Time, coinbase: &CoinbaseSpec) -> Result<Template, TemplateError> {
        let mut template = self.node.template(self.chosen_parent(), now, coinbase)?;
        if let Some(adversary) = &mut self.adversary {
            adversary.alter(&mut template, &Turn::new(&self.node, now));
        }
        Ok(template)
    }

    /// The adversary's choice, while the node holds that block for valid.
    fn chosen_parent(&self) -> Option<BlockHash> {
        let parent = self.adversary.as_ref()?.parent()?;
        self.node.chain().tree().get(&parent).filter(|entry| entry.invalid.is_none()).map(|entry| entry.hash)
    }
}

fn through(
    adversary: &mut dyn Adversary,
    node: &Node,
    actions: Vec<Action>,
    now: Time,
) -> (Vec<Event>, Vec<Action>) {
    let mut turn = Turn::new(node, now);
    for action in actions {
        adversary.after(action, &mut turn);
    }
    (turn.events, turn.actions)
}
