//! Storms: random worlds in which random things happen, and after each step everything that must hold is checked.
//!
//! A seed is a whole storm: the world, and what befalls it (`plan`). A storm that finds something is run again with ever
//! fewer of its acts until the shortest beginning is known that still finds something; seed and number of acts are all
//! that is needed to see it again.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tine_chain::hash::{BlockHash, sha256};
use tine_chain::time::Time;
use tine_node::record::Entry;

use crate::invariants::{Audit, Violation, Watch};
use crate::order::Order;
use crate::recording::Recording;
use crate::world::{Counts, World, WorldError};

mod plan;
mod prank;

pub use plan::{Act, Plan};
pub use prank::Prank;

/// How long honest nodes have to agree once everything is whole again.
pub const AGREE_WITHIN: Duration = Duration::from_secs(120);
/// Blocks that a liar may have mined in secret and set, one by one, against each of the honest: nobody mines any more, so
/// they run out.
const MAX_KEPT_BACK: usize = 100;
/// Events in one millisecond from which on a node counts as stuck.
const MAX_EVENTS_AT_ONCE: u64 = 100_000;

/// What a storm that found nothing came to.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Report {
    /// Its seed.
    pub seed: u64,
    /// How many acts it had.
    pub acts: usize,
    /// What happened.
    pub counts: Counts,
    /// How often a node was judged.
    pub checks: u64,
    /// SHA-256 of the event log.
    pub event_hash: String,
}

/// What many storms came to.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Tally {
    /// How many.
    pub seeds: u64,
    /// How often a node was judged.
    pub checks: u64,
    /// Blocks found.
    pub mined: u64,
    /// Times that a node took a block as its tip.
    pub adoptions: u64,
    /// Times that a node gave up blocks for others.
    pub reorgs: u64,
    /// Payments that were made.
    pub payments: u64,
    /// SHA-256 over the event hashes of all storms, in the order of their seeds.
    pub event_hash: String,
}

impl Tally {
    /// Adds up reports; of two with the same seed the later one counts.
    pub fn of(reports: impl IntoIterator<Item = Report>) -> Self {
        let mut tally = Self::default();
        let by_seed: BTreeMap<u64, Report> =
            reports.into_iter().map(|report| (report.seed, report)).collect();
        let mut hashes = String::new();
        for report in by_seed.into_values() {
            tally.seeds += 1;
            tally.checks += report.checks;
            tally.mined += report.counts.mined;
            tally.adoptions += report.counts.adoptions;
            tally.reorgs += report.counts.reorgs;
            tally.payments += report.counts.payments;
            hashes += &report.event_hash;
        }
        Self { event_hash: hex::encode(sha256(hashes.as_bytes())), ..tally }
    }
}

/// A storm that found something.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("seed {seed}, the first {acts} of {of} acts, at {ms} ms (event {event}): {violation}")]
pub struct Failure {
    /// Its seed.
    pub seed: u64,
    /// How many of its acts were carried out.
    pub acts: usize,
    /// How many it has.
    pub of: usize,
    /// Virtual time since the start, in milliseconds.
    pub ms: u64,
    /// How many things had happened.
    pub event: u64,
    /// What was found.
    pub violation: Violation,
    /// SHA-256 of the event log up to there.
    pub event_hash: String,
}

/// Runs the storm of `seed` with the first `acts` of its acts, or all.
///
/// # Errors
/// The outer error when the world can't go on, the inner one when something must not be.
pub fn run(seed: u64, acts: Option<usize>) -> Result<Result<Report, Failure>, WorldError> {
    Ok(record(seed, acts)?.0)
}

/// The same, and the event log, for `replay`.
///
/// # Errors
/// As [`run`].
pub fn record(seed: u64, acts: Option<usize>) -> Result<(Result<Report, Failure>, Vec<Entry>), WorldError> {
    let plan = Plan::new(seed);
    let acts = acts.unwrap_or(plan.acts.len()).min(plan.acts.len());
    let mut storm = Storm::new(seed, &plan)?;
    let found = storm.play(&plan, acts)?;
    let (counts, event_hash) = (storm.world.counts(), storm.world.observer().1.hash());
    let (checks, ms) = (storm.checks, storm.world.elapsed().as_millis() as u64);
    let outcome = found.map(|()| Report { seed, acts, counts, checks, event_hash: event_hash.clone() });
    let outcome = outcome.map_err(|violation| {
        let (of, event) = (plan.acts.len(), counts.events);
        Failure { seed, acts, of, ms, event, violation, event_hash }
    });
    Ok((outcome, storm.world.into_observer().1.into_entries()))
}

/// The same storm with the fewest acts, from the first on, that still finds something.
///
/// # Errors
/// When the world can't go on.
pub fn shrink(failure: Failure) -> Result<Failure, WorldError> {
    for acts in 0..failure.acts {
        if let Err(smaller) = run(failure.seed, Some(acts))? {
            return Ok(smaller);
        }
    }
    Ok(failure)
}

/// A storm that is on.
struct Storm {
    world: World<(Watch, Recording)>,
    audit: Audit,
    checks: u64,
    /// The present millisecond, and what happened in it so far.
    at_once: (Time, u64),
}

type Found = Result<(), Violation>;

impl Storm {
    fn new(seed: u64, plan: &Plan) -> Result<Self, WorldError> {
        let watch = Watch::except(plan.dishonest.iter().copied());
        let recording = Recording::unscripted(&plan.config, &format!("storm {seed}"));
        let world = World::new(plan.config.clone(), (watch, recording))?;
        let audit = Audit::new(plan.config.params.clone());
        Ok(Self { at_once: (world.now(), 0), world, audit, checks: 0 })
    }

    fn play(&mut self, plan: &Plan, acts: usize) -> Result<Found, WorldError> {
        let start = self.world.now();
        for (after, act) in &plan.acts[..acts] {
            if let Err(violation) = self.run_until(start + *after)? {
                return Ok(Err(violation));
            }
            match act {
                Act::Order(order) => match self.world.apply(order.clone()) {
                    // a host that is stopped does not pay
                    Ok(()) | Err(WorldError::Stopped { .. }) => {}
                    Err(error) => return Err(error),
                },
                Act::Prank { node, prank } => prank.play(&mut self.world, *node)?,
            }
            if let Err(violation) = self.check()? {
                return Ok(Err(violation));
            }
        }
        if let Err(violation) = self.run_until(start + plan.length)? {
            return Ok(Err(violation));
        }
        self.calm()
    }

    /// Everything is made whole, but liars go on lying; then honest nodes must agree.
    fn calm(&mut self) -> Result<Found, WorldError> {
        self.world.stop_mining();
        self.world.stop_payments();
        for node in 0..self.world.len() {
            self.world.apply(Order::Skew { node, ms: 0 })?;
            self.world.apply(Order::Slow { node, delay: Duration::ZERO })?;
            self.world.apply(Order::Start { node })?;
        }
        self.world.apply(Order::Heal)?;
        self.join_honest()?;
        if let Err(violation) = self.run_until(self.world.now() + AGREE_WITHIN / 2)? {
            return Ok(Err(violation));
        }
        // two branches of equal work may both stand: one more block decides, unless a liar has kept one to set against it
        let watch = &self.world.observer().0;
        let honest = (0..self.world.len()).find(|host| watch.is_honest(*host));
        let liars = (0..self.world.len()).any(|host| !watch.is_honest(host));
        for _ in 0..if liars { MAX_KEPT_BACK } else { 1 } {
            if let Some(node) = honest {
                self.world.mine(node)?;
            }
            if let Err(violation) = self.run_until(self.world.now() + AGREE_WITHIN / 2)? {
                return Ok(Err(violation));
            }
            if self.honest_tips().len() <= 1 {
                return Ok(Ok(()));
            }
        }
        let (tips, seconds) = (self.honest_tips().len(), AGREE_WITHIN.as_secs());
        Ok(Err(Violation::Disagreement { tips, seconds }))
    }

    /// Links honest hosts in a line, for who has only liars around cannot agree with anybody.
    fn join_honest(&mut self) -> Result<(), WorldError> {
        let watch = &self.world.observer().0;
        let honest: Vec<usize> = (0..self.world.len()).filter(|host| watch.is_honest(*host)).collect();
        for pair in honest.windows(2) {
            self.world.apply(Order::Connect { from: pair[0], to: pair[1] })?;
        }
        Ok(())
    }

    fn honest_tips(&self) -> BTreeSet<BlockHash> {
        let watch = &self.world.observer().0;
        let honest = self.world.nodes().filter(|(node, _)| watch.is_honest(*node));
        honest.map(|(_, node)| node.chain().tip().hash).collect()
    }

    fn run_until(&mut self, end: Time) -> Result<Found, WorldError> {
        while self.world.next_time().is_some_and(|next| next <= end) {
            self.world.step()?;
            if let Err(violation) = self.check()? {
                return Ok(Err(violation));
            }
        }
        self.world.run_until(end)?;
        Ok(Ok(()))
    }

    /// Judges every node that has something new and is through with it.
    fn check(&mut self) -> Result<Found, WorldError> {
        let now = self.world.now();
        let events = if self.at_once.0 == now { self.at_once.1 + 1 } else { 1 };
        self.at_once = (now, events);
        if events > MAX_EVENTS_AT_ONCE {
            return Ok(Err(Violation::Stuck { events }));
        }
        if let Some(violation) = self.world.observer().0.violation() {
            return Ok(Err(violation.clone()));
        }
        for host in self.world.observer_mut().0.take_touched() {
            let found = self.check_host(host)?;
            if found.is_err() {
                return Ok(found);
            }
        }
        Ok(Ok(()))
    }

    fn check_host(&mut self, host: usize) -> Result<Found, WorldError> {
        let clock = self.world.clock(host);
        let Some(node) = self.world.node(host) else { return Ok(Ok(())) };
        if node.deadline().is_some_and(|deadline| deadline <= clock) {
            self.world.observer_mut().0.touch(host);
            return Ok(Ok(()));
        }
        self.checks += 1;
        let found = self.audit.check(host, node)?;
        if found.is_err() {
            return Ok(found);
        }
        self.check_returned(host)
    }

    fn check_returned(&mut self, host: usize) -> Result<Found, WorldError> {
        let mut watch = std::mem::take(&mut self.world.observer_mut().0);
        let found = match self.world.node(host) {
            Some(node) => watch.check_returned(host, node),
            None => Ok(Ok(())),
        };
        self.world.observer_mut().0 = watch;
        Ok(found?)
    }
}
