//! Peers that let others wait.

use std::collections::VecDeque;
use std::time::Duration;

use tine_chain::time::Time;

use super::{Adversary, Turn};
use crate::event::{Action, Event};

/// How late a lagging peer is: later than a block interval of the devnet, earlier than a request times out.
const LAG: Duration = Duration::from_secs(8);
/// What a lagging peer keeps back at most; what comes on top of it is dropped.
const MAX_LATE: usize = 4_096;

/// Asks, and never answers.
#[derive(Debug)]
pub(super) struct Silent;

impl Adversary for Silent {
    fn after(&mut self, action: Action, turn: &mut Turn<'_>) {
        if !matches!(action, Action::Respond(..)) {
            turn.actions.push(action);
        }
    }
}

/// Answers and announces late.
#[derive(Debug, Default)]
pub(super) struct Lagging {
    late: VecDeque<(Time, Action)>,
}

impl Adversary for Lagging {
    fn before(&mut self, event: Event, turn: &mut Turn<'_>) {
        while self.late.front().is_some_and(|(due, _)| *due <= turn.now) {
            turn.actions.extend(self.late.pop_front().map(|(_, action)| action));
        }
        turn.events.push(event);
    }

    fn after(&mut self, action: Action, turn: &mut Turn<'_>) {
        if !matches!(action, Action::Respond(..) | Action::Publish(_)) {
            turn.actions.push(action);
        } else if self.late.len() < MAX_LATE {
            self.late.push_back((turn.now + LAG, action));
        }
    }

    fn deadline(&self) -> Option<Time> {
        self.late.front().map(|(due, _)| *due)
    }
}
