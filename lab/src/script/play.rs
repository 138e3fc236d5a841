//! Running a scenario.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::Serialize;
use tine_chain::amount::Amount;
use tine_chain::hash::{BlockHash, Txid};
use tine_node::record::{Entry, Happening};

use super::file::{Doing, Script};
use super::measure::{Verdict, judge};
use super::tell;
use crate::observe::Observer;
use crate::order::Order;
use crate::recording::Recording;
use crate::world::{PayError, World, WorldError};

/// What the miner of a payment gets.
const FEE: Amount = Amount(10_000);
/// Between two calls of the progress function, in virtual time.
const SLICE: Duration = Duration::from_secs(10);

/// What a run came to.
#[derive(Debug, Serialize)]
pub struct Outcome {
    /// What was run.
    pub title: String,
    /// The seed it was run under.
    pub seed: u64,
    /// SHA-256 of the event log.
    pub event_hash: String,
    /// Virtual seconds.
    pub secs: f64,
    /// Blocks found.
    pub mined: u64,
    /// What happened, line by line.
    pub story: Vec<String>,
    /// Every node at the end.
    pub nodes: Vec<NodeOutcome>,
    /// Every expectation.
    pub expectations: Vec<Verdict>,
    /// The event log.
    #[serde(skip)]
    pub log: Vec<Entry>,
}

impl Outcome {
    /// Whether all is as expected.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.expectations.iter().all(|verdict| verdict.passed)
    }
}

/// A node at the end of a run.
#[derive(Debug, Serialize)]
pub struct NodeOutcome {
    /// Its name.
    pub name: String,
    /// How it misbehaved, if it ever did.
    pub byzantine: Option<String>,
    /// Height of its tip; none when it is stopped.
    pub height: Option<u32>,
    /// Its tip.
    pub tip: Option<BlockHash>,
    /// Blocks it found.
    pub mined: usize,
    /// How many of them are on its own chain.
    pub kept: usize,
    /// Reorganisations it went through.
    pub reorgs: usize,
    /// The deepest, in blocks given up.
    pub deepest: usize,
}

/// A run, over.
pub(super) struct Played<'a> {
    pub(super) script: &'a Script,
    pub(super) world: World<Recording>,
    /// Nodes that ever misbehaved.
    pub(super) byzantine: BTreeSet<usize>,
    /// Payments by name.
    pub(super) payments: Vec<(String, Txid)>,
    miners: BTreeMap<BlockHash, usize>,
}

impl Played<'_> {
    pub(super) fn entries(&self) -> &[Entry] {
        self.world.observer().entries()
    }

    pub(super) fn place(&self, name: &str) -> Option<usize> {
        self.script.world.nodes.iter().position(|node| node == name)
    }

    pub(super) fn miner(&self, block: &BlockHash) -> Option<usize> {
        self.miners.get(block).copied()
    }
}

/// Runs the scenario that `text` tells; `progress` is told how much of the time has passed, from 0 to 1.
///
/// # Errors
/// When the world can't go on: a step that no node can carry out, or storage.
pub fn play(
    script: &Script,
    text: &str,
    seed: Option<u64>,
    quick: bool,
    mut progress: impl FnMut(f64),
) -> Result<Outcome, WorldError> {
    let config = script.config(seed);
    let seed = config.seed;
    let recording = Recording::begin(&config, &script.title, script.world.nodes.clone(), text);
    let world = World::new(config, recording)?;
    let mut played =
        Played { script, world, byzantine: BTreeSet::new(), payments: Vec::new(), miners: BTreeMap::new() };
    let end = script.duration(quick);
    for (at, doing) in script.timeline() {
        if at > end {
            break;
        }
        run_to(&mut played.world, at, end, &mut progress)?;
        carry_out(&mut played, doing)?;
    }
    run_to(&mut played.world, end, end, &mut progress)?;
    played.miners = miners(&played);
    let expectations = judge(&played);
    Ok(Outcome {
        title: script.title.clone(),
        seed,
        event_hash: played.world.observer().hash(),
        secs: played.world.elapsed().as_secs_f64(),
        mined: played.world.counts().mined,
        story: tell::story(&played),
        nodes: nodes(&played),
        expectations,
        log: played.world.into_observer().into_entries(),
    })
}

fn run_to<O: Observer>(
    world: &mut World<O>,
    at: Duration,
    end: Duration,
    progress: &mut impl FnMut(f64),
) -> Result<(), WorldError> {
    while world.elapsed() < at {
        let slice = SLICE.min(at - world.elapsed());
        world.run_for(slice)?;
        progress(world.elapsed().as_secs_f64() / end.as_secs_f64());
    }
    Ok(())
}

fn carry_out(played: &mut Played<'_>, doing: Doing) -> Result<(), WorldError> {
    let text = tell::doing(&doing, &played.script.world.nodes);
    let world = &mut played.world;
    let now = world.now();
    world.observer_mut().global(now, Happening::Step { text });
    match doing {
        Doing::Split(groups) => world.partition(groups),
        Doing::Heal => world.heal(),
        Doing::Mine { node, blocks } => (0..blocks).try_for_each(|_| {
            world.mine(node)?;
            // a block each second: faster than chance, slower than a message
            world.run_for(Duration::from_secs(1))
        }),
        Doing::Mining(true) => {
            world.start_mining();
            Ok(())
        }
        Doing::Mining(false) => {
            world.stop_mining();
            Ok(())
        }
        Doing::Pay { name, from, to, amount } => match world.try_pay(from, &[(to, amount)], FEE) {
            Ok(payment) => {
                played.payments.push((name, payment.txid()));
                Ok(())
            }
            Err(PayError::World(error)) => Err(error),
            Err(error @ (PayError::Funds { .. } | PayError::Refused { .. })) => {
                let text = format!("{name} was not paid: {error}");
                world.observer_mut().global(now, Happening::Step { text });
                Ok(())
            }
        },
        Doing::DoubleSpend { name, from, to, amount, on, other_on } => {
            pay_twice(played, name, (from, to, amount), (on, other_on))
        }
        Doing::Byzantine { node, strategy } => {
            if strategy.is_some() {
                played.byzantine.insert(node);
            }
            world.apply(Order::Byzantine { node, strategy })
        }
        Doing::Share { node, share } => world.set_share(node, share),
        Doing::Stop(node) => world.stop(node),
        Doing::Start(node) => world.start(node),
        Doing::Link(a, b) => world.connect(a, b),
        Doing::Unlink(a, b) => world.disconnect(a, b),
        Doing::Skew { node, ms } => world.skew(node, ms),
        Doing::Slow { node, delay } => world.slow(node, delay),
        Doing::Delay { from, to, quality } => world.set_quality(from, to, quality),
        Doing::Rules { nodes, params } => {
            nodes.into_iter().try_for_each(|node| world.set_rules(node, (*params).clone()))
        }
    }
}

/// Two payments of the same coins: to another at one node, back to the payer at a second one.
fn pay_twice(
    played: &mut Played<'_>,
    name: String,
    (from, to, amount): (usize, usize, Amount),
    (on, other_on): (usize, usize),
) -> Result<(), WorldError> {
    let world = &mut played.world;
    let Some(coins) = world.coins(from, Amount(amount.0 + FEE.0))? else {
        let (now, text) = (world.now(), format!("{name} was not paid: no coins"));
        world.observer_mut().global(now, Happening::Step { text });
        return Ok(());
    };
    let payment = world.sign(from, &coins, &[(to, amount)], FEE);
    let again = world.sign(from, &coins, &[(from, amount)], FEE);
    played.payments.push((format!("{name}-again"), again.txid()));
    played.payments.push((name, payment.txid()));
    // refusals are part of the story, and in the log
    let _ = world.submit(on, payment)?;
    let _ = world.submit(other_on, again)?;
    Ok(())
}

fn miners(played: &Played<'_>) -> BTreeMap<BlockHash, usize> {
    let mined = played.entries().iter().filter_map(|entry| {
        let Happening::Mined { block, .. } = &entry.happening else { return None };
        Some((*block, played.place(entry.node.as_deref()?)?))
    });
    mined.collect()
}

fn nodes(played: &Played<'_>) -> Vec<NodeOutcome> {
    let names = played.script.world.nodes.iter().enumerate();
    names
        .map(|(place, name)| {
            let chain = played.world.node(place).map(tine_node::Node::chain);
            let own: Vec<&BlockHash> =
                played.miners.iter().filter(|(_, miner)| **miner == place).map(|(block, _)| block).collect();
            let depths: Vec<usize> = chain
                .iter()
                .flat_map(|chain| chain.journal())
                .map(|reorg| reorg.disconnected.len())
                .collect();
            let strategies = played.entries().iter().rev().filter_map(|entry| {
                let Happening::Byzantine { strategy } = &entry.happening else { return None };
                (entry.node.as_ref() == Some(name)).then(|| strategy.clone())
            });
            NodeOutcome {
                name: name.clone(),
                byzantine: strategies.into_iter().find(|strategy| strategy != "honest"),
                height: chain.map(|chain| chain.tip().height),
                tip: chain.map(|chain| chain.tip().hash),
                mined: own.len(),
                kept: own.iter().filter(|block| chain.is_some_and(|chain| chain.is_active(block))).count(),
                reorgs: depths.len(),
                deepest: depths.into_iter().max().unwrap_or(0),
            }
        })
        .collect()
}
