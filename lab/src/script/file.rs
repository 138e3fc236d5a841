//! The text of a scenario, read and checked.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::Deserialize;
use tine_chain::amount::{Amount, COIN};
use tine_chain::params::Params;
use tine_node::Strategy;
use toml::Spanned;

use super::measure::Measure;
use crate::config::{MiningConfig, WorldConfig};
use crate::latency::Latency;
use crate::mining::{constant_params, lab_params};
use crate::network::LinkQuality;
use crate::topology::Topology;

/// The longest scenario, in bytes.
const MAX_TEXT: usize = 64 * 1024;
/// Nodes that a scenario may have.
const MAX_NODES: usize = 200;
/// Steps and expectations, each.
const MAX_CLAUSES: usize = 500;
/// The longest run, in virtual seconds: a day.
const MAX_SECS: f64 = 86_400.0;
/// Blocks that one step may mine.
const MAX_MINE: u32 = 1_000;

/// Why a text is no scenario.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScriptError {
    /// It is not TOML, or has keys that no scenario has; the message shows the line.
    #[error("{0}")]
    Syntax(String),
    /// A value can't be.
    #[error("line {line}: {what}")]
    Value {
        /// Counted from 1.
        line: usize,
        /// The value and its limit.
        what: String,
    },
    /// It is too long.
    #[error("{bytes} bytes: a scenario has at most {MAX_TEXT}")]
    TooLong {
        /// Its length.
        bytes: usize,
    },
}

/// A scenario.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Script {
    /// One line: what it shows.
    pub title: String,
    /// A page for a student.
    pub story: String,
    /// The world.
    pub world: WorldText,
    /// What befalls it.
    #[serde(default)]
    step: Vec<Spanned<Step>>,
    /// What must be true in the end.
    #[serde(default)]
    expect: Vec<Spanned<Expect>>,
}

/// The world of a scenario.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorldText {
    /// The nodes' names.
    pub nodes: Vec<String>,
    /// Their shares of the hash rate; empty: all alike.
    #[serde(default)]
    pub shares: Vec<f64>,
    /// Who is linked with whom.
    #[serde(default)]
    pub topology: Shape,
    /// Links by name, for the topology `links`.
    #[serde(default)]
    pub links: Vec<[String; 2]>,
    /// The least and the greatest delay of a link, milliseconds.
    #[serde(default = "default_latency")]
    pub latency_ms: [u64; 2],
    /// The mean time between two blocks at the start, seconds.
    #[serde(default = "default_interval")]
    pub interval_secs: f64,
    /// Whether blocks are found by chance from the start.
    #[serde(default = "yes")]
    pub mining: bool,
    /// How long the run takes, virtual seconds.
    pub secs: f64,
    /// The same for a quick look.
    pub quick_secs: Option<f64>,
    /// The seed, unless another is given.
    #[serde(default = "default_seed")]
    pub seed: u64,
    /// The rules of all nodes.
    #[serde(default)]
    pub rules: Rules,
}

fn default_latency() -> [u64; 2] {
    [20, 200]
}

fn default_interval() -> f64 {
    5.0
}

fn default_seed() -> u64 {
    1
}

fn yes() -> bool {
    true
}

/// Who is linked with whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Shape {
    /// Each with all others.
    #[default]
    Clique,
    /// Each with the next.
    Line,
    /// A line whose ends meet.
    Ring,
    /// All with the first.
    Star,
    /// A ring, and chords until each has about six neighbours.
    Random,
    /// By name.
    Links,
}

/// Rules: the devnet's, with what is said otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Rules {
    /// Whether difficulty changes every 20 blocks.
    pub retarget: Option<bool>,
    /// Blocks before a coinbase may be spent.
    pub maturity: Option<u32>,
    /// Blocks between two halvings.
    pub halving: Option<u32>,
    /// Whether BIP 54's rule against the time-warp attack holds.
    pub timewarp_rule: Option<bool>,
    /// Seconds a block may be ahead of the clock.
    pub max_future_secs: Option<u64>,
}

impl Rules {
    /// The constants that nodes with these rules follow.
    #[must_use]
    pub fn params(self) -> Params {
        let mut params = if self.retarget == Some(false) { constant_params() } else { lab_params() };
        params.coinbase_maturity = self.maturity.unwrap_or(params.coinbase_maturity);
        params.halving_interval = self.halving.unwrap_or(params.halving_interval).max(1);
        params.max_future_secs = self.max_future_secs.unwrap_or(params.max_future_secs);
        if self.timewarp_rule == Some(false) {
            params.timewarp_grace_secs = None;
        }
        params
    }
}

/// Amounts are written in coins.
pub type Amounts = f64;

/// Something done at a moment: exactly one of the keys beside `at`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Step {
    /// When, virtual seconds since the start.
    pub at: f64,
    split: Option<Vec<Vec<String>>>,
    heal: Option<bool>,
    mine: Option<MineText>,
    mining: Option<bool>,
    pay: Option<PayText>,
    double_spend: Option<DoubleSpendText>,
    byzantine: Option<ByzantineText>,
    share: Option<ShareText>,
    stop: Option<String>,
    start: Option<String>,
    link: Option<[String; 2]>,
    unlink: Option<[String; 2]>,
    skew: Option<SkewText>,
    slow: Option<SlowText>,
    delay: Option<DelayText>,
    rules: Option<RulesText>,
}

macro_rules! tables {
    ($($(#[$doc:meta])* $name:ident { $($(#[$field_attribute:meta])* $field:ident: $type:ty),+ $(,)? })+) => {
        $($(#[$doc])*
        #[derive(Debug, Clone, Deserialize)]
        #[serde(deny_unknown_fields, rename_all = "kebab-case")]
        struct $name { $($(#[$field_attribute])* $field: $type),+ })+
    };
}

tables! {
    MineText { node: String, #[serde(default = "one")] blocks: u32 }
    PayText { name: String, from: String, to: String, coins: Amounts }
    /// One coin of `from`, paid to `to` at node `on`, and back to `from` at node `other-on`.
    DoubleSpendText { name: String, from: String, to: String, coins: Amounts, on: String, other_on: String }
    ByzantineText { node: String, strategy: String }
    ShareText { node: String, share: f64 }
    SkewText { node: String, ms: i64 }
    SlowText { node: String, ms: u64 }
    DelayText { from: String, to: String, ms: u64 }
    RulesText { nodes: Vec<String>, set: Rules }
}

fn one() -> u32 {
    1
}

/// A step, checked: nodes by their places.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "named as in docs/scenarios.md, which describes each")]
pub enum Doing {
    Split(Vec<Vec<usize>>),
    Heal,
    Mine { node: usize, blocks: u32 },
    Mining(bool),
    Pay { name: String, from: usize, to: usize, amount: Amount },
    DoubleSpend { name: String, from: usize, to: usize, amount: Amount, on: usize, other_on: usize },
    Byzantine { node: usize, strategy: Option<Strategy> },
    Share { node: usize, share: f64 },
    Stop(usize),
    Start(usize),
    Link(usize, usize),
    Unlink(usize, usize),
    Skew { node: usize, ms: i64 },
    Slow { node: usize, delay: Duration },
    Delay { from: usize, to: usize, quality: LinkQuality },
    Rules { nodes: Vec<usize>, params: Box<Params> },
}

/// What must be true in the end.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expect {
    /// What is measured.
    pub what: Measure,
    /// Of or at which node, where that matters; the first otherwise.
    pub node: Option<String>,
    /// Which payment, for [`Measure::Confirmations`].
    pub payment: Option<String>,
    /// Not less than this.
    pub min: Option<f64>,
    /// Not more than this.
    pub max: Option<f64>,
}

impl Script {
    /// Reads a scenario.
    ///
    /// # Errors
    /// Where and why it is none.
    pub fn parse(text: &str) -> Result<Self, ScriptError> {
        if text.len() > MAX_TEXT {
            return Err(ScriptError::TooLong { bytes: text.len() });
        }
        let script: Self = toml::from_str(text)
            .map_err(|error| ScriptError::Syntax(error.to_string().trim_end().to_owned()))?;
        script.check(text)?;
        Ok(script)
    }

    fn check(&self, text: &str) -> Result<(), ScriptError> {
        let line_of = |key: &str| {
            text.lines().position(|line| line.trim_start().starts_with(key)).map_or(1, |at| at + 1)
        };
        let world = &self.world;
        let refuse = |key: &str, what: String| Err(ScriptError::Value { line: line_of(key), what });
        let names: BTreeSet<&String> = world.nodes.iter().collect();
        if !(1..=MAX_NODES).contains(&world.nodes.len()) || names.len() != world.nodes.len() {
            return refuse(
                "nodes",
                format!("{} nodes: 1 to {MAX_NODES}, each with its own name", world.nodes.len()),
            );
        }
        if world.shares.len() > world.nodes.len()
            || world.shares.iter().any(|share| !(0.0..=100.0).contains(share))
        {
            return refuse("shares", "shares are 0 to 100, at most one for each node".into());
        }
        if world.latency_ms[0] > world.latency_ms[1] || world.latency_ms[1] > 600_000 {
            return refuse(
                "latency_ms",
                format!("{:?}: the least comes first, and at most 600000", world.latency_ms),
            );
        }
        for (key, secs) in [
            ("secs", Some(world.secs)),
            ("quick_secs", world.quick_secs),
            ("interval_secs", Some(world.interval_secs)),
        ] {
            if secs.is_some_and(|secs| !(0.1..=MAX_SECS).contains(&secs)) {
                return refuse(key, format!("{key} = {}: 0.1 to {MAX_SECS}", secs.unwrap_or_default()));
            }
        }
        if self.step.len() > MAX_CLAUSES || self.expect.len() > MAX_CLAUSES {
            return refuse("[[step]]", format!("at most {MAX_CLAUSES} steps and as many expectations"));
        }
        let line = |span: std::ops::Range<usize>| text[..span.start].matches('\n').count() + 1;
        self.links().map_err(|what| ScriptError::Value { line: line_of("links"), what })?;
        let mut payments = BTreeSet::new();
        for step in &self.step {
            let doing = self
                .doing(step.get_ref())
                .map_err(|what| ScriptError::Value { line: line(step.span()), what })?;
            if let Doing::Pay { name, .. } | Doing::DoubleSpend { name, .. } = doing {
                payments.insert(format!("{name}-again"));
                payments.insert(name);
            }
        }
        for expect in &self.expect {
            self.check_expect(expect.get_ref(), &payments)
                .map_err(|what| ScriptError::Value { line: line(expect.span()), what })?;
        }
        Ok(())
    }

    fn check_expect(&self, expect: &Expect, payments: &BTreeSet<String>) -> Result<(), String> {
        expect.node.as_ref().map(|name| self.place(name)).transpose()?;
        if expect.min.is_none() && expect.max.is_none() {
            return Err(format!("{}: `min`, `max` or both are wanted", expect.what));
        }
        match (expect.what == Measure::Confirmations, &expect.payment) {
            (true, Some(name)) if payments.contains(name) => Ok(()),
            (true, name) => Err(format!("confirmations: no payment is called {name:?}")),
            (false, Some(_)) => Err(format!("{}: has no `payment`", expect.what)),
            (false, None) => Ok(()),
        }
    }

    /// The place of a node.
    fn place(&self, name: &str) -> Result<usize, String> {
        let place = self.world.nodes.iter().position(|node| node == name);
        place.ok_or_else(|| format!("no node is called {name:?}; there are {}", self.world.nodes.join(", ")))
    }

    fn places(&self, names: &[String]) -> Result<Vec<usize>, String> {
        names.iter().map(|name| self.place(name)).collect()
    }

    fn links(&self) -> Result<Vec<(usize, usize)>, String> {
        self.world.links.iter().map(|[a, b]| Ok((self.place(a)?, self.place(b)?))).collect()
    }

    /// What happens, in the order of time; steps of the same moment in the order of the text.
    #[must_use]
    pub fn timeline(&self) -> Vec<(Duration, Doing)> {
        let mut steps: Vec<(Duration, Doing)> = self
            .step
            .iter()
            .map(|step| {
                let step = step.get_ref();
                (Duration::from_secs_f64(step.at), self.doing(step).expect("checked when it was read"))
            })
            .collect();
        steps.sort_by_key(|(at, _)| *at);
        steps
    }

    /// What must be true in the end.
    pub fn expectations(&self) -> impl Iterator<Item = &Expect> {
        self.expect.iter().map(Spanned::get_ref)
    }

    fn doing(&self, step: &Step) -> Result<Doing, String> {
        if !(0.0..=MAX_SECS).contains(&step.at) {
            return Err(format!("at = {}: 0 to {MAX_SECS}", step.at));
        }
        let amount = |coins: f64| match coins {
            coins if (0.000_000_01..=1_000_000.0).contains(&coins) => {
                Ok(Amount((coins * COIN as f64) as u64))
            }
            coins => Err(format!("coins = {coins}: 0.00000001 to 1000000")),
        };
        let pair = |[a, b]: &[String; 2]| Ok::<_, String>((self.place(a)?, self.place(b)?));
        let mut found = Vec::new();
        if let Some(groups) = &step.split {
            found
                .push(Doing::Split(groups.iter().map(|group| self.places(group)).collect::<Result<_, _>>()?));
        }
        if step.heal == Some(true) {
            found.push(Doing::Heal);
        }
        if let Some(MineText { node, blocks }) = &step.mine {
            if !(1..=MAX_MINE).contains(blocks) {
                return Err(format!("blocks = {blocks}: 1 to {MAX_MINE}"));
            }
            found.push(Doing::Mine { node: self.place(node)?, blocks: *blocks });
        }
        found.extend(step.mining.map(Doing::Mining));
        if let Some(PayText { name, from, to, coins }) = &step.pay {
            let (from, to) = (self.place(from)?, self.place(to)?);
            found.push(Doing::Pay { name: name.clone(), from, to, amount: amount(*coins)? });
        }
        if let Some(DoubleSpendText { name, from, to, coins, on, other_on }) = &step.double_spend {
            found.push(Doing::DoubleSpend {
                name: name.clone(),
                from: self.place(from)?,
                to: self.place(to)?,
                amount: amount(*coins)?,
                on: self.place(on)?,
                other_on: self.place(other_on)?,
            });
        }
        if let Some(ByzantineText { node, strategy }) = &step.byzantine {
            let strategy = match strategy.as_str() {
                "honest" => None,
                name => Some(name.parse::<Strategy>().map_err(|error| error.to_string())?),
            };
            found.push(Doing::Byzantine { node: self.place(node)?, strategy });
        }
        if let Some(ShareText { node, share }) = &step.share {
            if !(0.0..=100.0).contains(share) {
                return Err(format!("share = {share}: 0 to 100"));
            }
            found.push(Doing::Share { node: self.place(node)?, share: *share });
        }
        found.extend(step.stop.as_ref().map(|name| self.place(name).map(Doing::Stop)).transpose()?);
        found.extend(step.start.as_ref().map(|name| self.place(name).map(Doing::Start)).transpose()?);
        found.extend(step.link.as_ref().map(pair).transpose()?.map(|(a, b)| Doing::Link(a, b)));
        found.extend(step.unlink.as_ref().map(pair).transpose()?.map(|(a, b)| Doing::Unlink(a, b)));
        if let Some(SkewText { node, ms }) = &step.skew {
            found.push(Doing::Skew { node: self.place(node)?, ms: *ms });
        }
        if let Some(SlowText { node, ms }) = &step.slow {
            found.push(Doing::Slow { node: self.place(node)?, delay: Duration::from_millis(*ms) });
        }
        if let Some(DelayText { from, to, ms }) = &step.delay {
            let quality = LinkQuality { delay: Duration::from_millis(*ms), ..LinkQuality::default() };
            found.push(Doing::Delay { from: self.place(from)?, to: self.place(to)?, quality });
        }
        if let Some(RulesText { nodes, set }) = &step.rules {
            found.push(Doing::Rules { nodes: self.places(nodes)?, params: Box::new(set.params()) });
        }
        match (found.pop(), found.is_empty()) {
            (Some(doing), true) => Ok(doing),
            (Some(_), false) => Err("two things at once: each has a step of its own".into()),
            (None, _) => Err("a step without anything to do".into()),
        }
    }

    /// The world at its beginning.
    #[must_use]
    pub fn config(&self, seed: Option<u64>) -> WorldConfig {
        let world = &self.world;
        let topology = match world.topology {
            Shape::Clique => Topology::Clique,
            Shape::Line => Topology::Line,
            Shape::Ring => Topology::Ring,
            Shape::Star => Topology::Star,
            Shape::Random => Topology::Random { degree: 6 },
            Shape::Links => Topology::Links(self.links().expect("checked when it was read")),
        };
        let [low, high] = world.latency_ms.map(Duration::from_millis);
        WorldConfig {
            seed: seed.unwrap_or(world.seed),
            nodes: world.nodes.len(),
            params: world.rules.params(),
            topology,
            latency: if low == high { Latency::Constant(low) } else { Latency::Uniform(low, high) },
            mining: MiningConfig {
                interval: Duration::from_secs_f64(world.interval_secs),
                shares: world.shares.clone(),
                automatic: world.mining,
            },
            ..WorldConfig::default()
        }
    }

    /// How long the run takes.
    #[must_use]
    pub fn duration(&self, quick: bool) -> Duration {
        let secs = if quick { self.world.quick_secs.unwrap_or(self.world.secs) } else { self.world.secs };
        Duration::from_secs_f64(secs)
    }
}
