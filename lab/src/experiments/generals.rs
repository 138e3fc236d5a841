//! The Byzantine generals (Lamport, Shostak and Pease 1982), beside Raft and proof of work under the same traitor.
//!
//! IC1: all loyal lieutenants obey the same order. IC2: if the commander is loyal, every loyal lieutenant obeys his
//! order. Oral messages (OM) give both to more than 3m generals with at most m traitors, signed ones (SM) to any number.
//! Raft gives neither once its leader lies; proof of work gives agreement with a probability.

pub mod oral;
pub mod raft;
pub mod signed;

use rand::{Rng, RngExt};
use serde::Serialize;
use tine_chain::store::StoreError;
use tine_wallet::risk::exact_risk;

use self::raft::Leader;
use super::report::{Cell, Check, Curve, Figure, Grid, Report, Scale};
use super::{Progress, cell_rng, cells, part, reference};
use crate::race::double_spend::DoubleSpend;
use crate::race::nodes::double_spends;
use crate::stats::proportion;

/// A general's order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum Order {
    /// The default.
    Retreat = 0,
    /// The other.
    Attack = 1,
}

impl Order {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Retreat, Self::Attack];
}

/// How much is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Effort {
    /// What all randomness is drawn from.
    pub seed: u64,
    /// Random traitors tried for each order, where there are too many to try them all.
    pub adversaries: u64,
    /// Double spends by real nodes, for each cell.
    pub races: u64,
}

/// All ways to betray are tried where there are no more than this.
const ALL_WAYS: u64 = 4_096;
/// Orders expected to be taken back from which on their number is near enough to normal to be judged.
const LEAST_EXPECTED: f64 = 30.0;
/// A traitor's share and the confirmations that the others wait for; one of four is a quarter of the power.
const TRAITORS: [(f64, u32); 8] =
    [(0.1, 1), (0.1, 2), (0.25, 1), (0.25, 2), (0.25, 4), (0.25, 6), (0.33, 3), (0.33, 6)];

/// Runs everything.
///
/// # Panics
/// When a memory store or a Raft node refuses what neither ever does.
pub fn run(effort: Effort, progress: Progress<'_>) -> Report {
    let mut report = Report::new("generals", effort.seed);
    report.checks.push(om_counts());
    report.checks.extend(om_cases(effort, &mut part(progress, 0.0, 0.1)));
    report.checks.extend(sm_cases(effort, &mut part(progress, 0.1, 0.3)));
    report.checks.push(forgery());
    report.checks.extend(raft_checks().expect("Raft nodes take what their own leader says"));
    let odds = odds(effort, &mut part(progress, 0.3, 1.0)).expect("the memory store never fails");
    report.figures.push(figure(&odds));
    report.grids.push(odds);
    report
}

/// How often traitors broke IC1 and IC2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Broken {
    tried: u64,
    ic1: u64,
    ic2: u64,
}

impl Broken {
    fn count(&mut self, order: Order, traitors: &[bool], decided: &[Order]) {
        let loyal: Vec<Order> = decided
            .iter()
            .zip(&traitors[1..])
            .filter(|(_, traitor)| !**traitor)
            .map(|(order, _)| *order)
            .collect();
        self.tried += 1;
        self.ic1 += u64::from(loyal.windows(2).any(|pair| pair[0] != pair[1]));
        self.ic2 += u64::from(!traitors[0] && loyal.iter().any(|decided| *decided != order));
    }

    fn agreed(self) -> bool {
        self.ic1 + self.ic2 == 0
    }
}

/// Answers yes-or-no questions in every possible way, one way after another.
#[derive(Debug, Default)]
struct AllWays {
    answers: Vec<bool>,
    next: usize,
}

impl AllWays {
    fn answer(&mut self) -> bool {
        if self.next == self.answers.len() {
            self.answers.push(false);
        }
        self.next += 1;
        self.answers[self.next - 1]
    }

    /// On to the next way; `false` when all have been taken.
    fn advance(&mut self) -> bool {
        self.next = 0;
        while let Some(last) = self.answers.pop() {
            if !last {
                self.answers.push(true);
                return true;
            }
        }
        false
    }
}

/// Tries all ways of a game, up to [`ALL_WAYS`] of them; `None` if there are more.
fn try_all(game: &mut dyn FnMut(&mut dyn FnMut() -> bool) -> Broken) -> Option<Broken> {
    let (mut ways, mut sum) = (AllWays::default(), Broken::default());
    loop {
        add(&mut sum, game(&mut || ways.answer()));
        if !ways.advance() {
            return Some(sum);
        }
        if sum.tried >= ALL_WAYS {
            return None;
        }
    }
}

fn add(sum: &mut Broken, more: Broken) {
    sum.tried += more.tried;
    sum.ic1 += more.ic1;
    sum.ic2 += more.ic2;
}

/// All ways of a game where that can be done, and random ones where not; whether it was all.
fn try_ways(
    adversaries: u64,
    rng: &mut impl Rng,
    game: &mut dyn FnMut(&mut dyn FnMut() -> bool) -> Broken,
) -> (Broken, bool) {
    if let Some(broken) = try_all(game) {
        return (broken, true);
    }
    let mut sum = Broken::default();
    for _ in 0..adversaries {
        add(&mut sum, game(&mut || rng.random::<bool>()));
    }
    (sum, false)
}

/// The generals that a table names, `1+2` or `none`.
fn traitors(row: &reference::Row<'_>) -> Vec<bool> {
    let mut traitors = vec![false; row.number("n") as usize];
    for general in row.text("traitors").split('+').filter_map(|name| name.parse::<usize>().ok()) {
        traitors[general] = true;
    }
    traitors
}

/// A loyal commander has two orders to give; a traitor's order is what he makes it.
fn orders(traitors: &[bool]) -> &'static [Order] {
    if traitors[0] { &[Order::Attack] } else { &Order::ALL }
}

fn om_counts() -> Check {
    let mut wrong = 0;
    let mut rows = 0;
    for row in reference::rows(reference::LAMPORT_COUNTS) {
        let (n, m) = (row.number("n") as usize, row.number("m") as u32);
        let loyal = vec![false; n];
        let om = oral::run(m, Order::Attack, &loyal, &mut || Order::Retreat).messages;
        let sm =
            signed::run(m, Order::Attack, &loyal, false, &mut signed::Keys::new(n), &mut || false).messages;
        let matches =
            om as f64 == row.number("om_total_messages") && sm as f64 == row.number("sm_loyal_total");
        wrong += u64::from(!matches);
        rows += 1;
    }
    Check::new(
        "OM(m) sends Σ (n−1)(n−2)…(n−k) messages, SM(m) among loyal generals (n−1) + (n−1)(n−2)",
        format!("{wrong} of {rows} counts differ from the table"),
        wrong == 0,
    )
}

/// What the lieutenants decide: from m, the order, who is a traitor, and what the traitors choose.
type Play<'a> = dyn FnMut(u32, Order, &[bool], &mut dyn FnMut() -> bool) -> Vec<Order> + 'a;

/// Plays a table's cases and checks them: the theorem, and the counts where all ways were tried.
fn play_cases(
    name: &str,
    table: &str,
    effort: Effort,
    progress: Progress<'_>,
    play: &mut Play<'_>,
) -> [Check; 2] {
    let rows: Vec<_> = reference::rows(table).collect();
    let (mut against, mut promised, mut counted, mut different) = (0, 0, 0, 0);
    let played = cells(rows.len(), progress, |index| {
        let row = &rows[index];
        let (traitors, m) = (traitors(row), row.number("m") as u32);
        let mut rng = cell_rng(effort.seed, name, &[index as f64]);
        let (mut sum, mut all) = (Broken::default(), true);
        for order in orders(&traitors) {
            let mut game = |answer: &mut dyn FnMut() -> bool| {
                let mut broken = Broken::default();
                broken.count(*order, &traitors, &play(m, *order, &traitors, answer));
                broken
            };
            let (broken, exhaustive) = try_ways(effort.adversaries, &mut rng, &mut game);
            add(&mut sum, broken);
            all &= exhaustive;
        }
        (sum, all)
    });
    for (row, (broken, all)) in rows.iter().zip(&played) {
        if row.number("expected_agreement") == 1.0 {
            promised += 1;
            against += u64::from(!broken.agreed());
        }
        if *all && broken.tried as f64 == row.number("adversaries_tried") {
            counted += 1;
            let counts = [broken.ic1 as f64, broken.ic2 as f64];
            different += u64::from(counts != [row.number("ic1_violations"), row.number("ic2_violations")]);
        }
    }
    let broken = played.iter().filter(|(broken, _)| !broken.agreed()).count();
    let tried: u64 = played.iter().map(|(broken, _)| broken.tried).sum();
    [
        Check::new(
            format!(
                "{name} holds IC1 and IC2 in every case for which the paper proves it, and falls in others"
            ),
            format!(
                "{against} of {promised} proven cases fall; {broken} of {} cases do, over {tried} betrayals",
                rows.len()
            ),
            against == 0 && broken > 0,
        ),
        Check::new(
            format!("where every betrayal was tried, {name} falls exactly as often as the table says"),
            format!("{different} of {counted} cases differ"),
            different == 0 && counted > 0,
        ),
    ]
}

fn om_cases(effort: Effort, progress: Progress<'_>) -> [Check; 2] {
    play_cases("OM", reference::LAMPORT_OM, effort, progress, &mut |m, order, traitors, answer| {
        let mut lie = || if answer() { Order::Attack } else { Order::Retreat };
        oral::run(m, order, traitors, &mut lie).orders
    })
}

fn sm_cases(effort: Effort, progress: Progress<'_>) -> [Check; 2] {
    let mut keys = signed::Keys::new(7);
    play_cases("SM", reference::LAMPORT_SM, effort, progress, &mut |m, order, traitors, answer| {
        signed::run(m, order, traitors, false, &mut keys, answer).orders
    })
}

fn forgery() -> Check {
    let mut keys = signed::Keys::new(4);
    let traitors = [false, true, false, false];
    let decided = signed::run(1, Order::Attack, &traitors, true, &mut keys, &mut || true);
    let obeyed = decided.orders[1..].iter().all(|order| *order == Order::Attack);
    Check::new(
        "an order with a forged signature is refused, and the commander's own obeyed",
        format!("{} forged orders refused; loyal lieutenants {:?}", decided.refused, &decided.orders[1..]),
        decided.refused == 2 && obeyed,
    )
}

/// The same four generals as Raft nodes.
fn raft_checks() -> ::raft::Result<[Check; 3]> {
    let run = |leader| raft::run(4, leader);
    let (loyal, silent, liar) = (run(Leader::Loyal)?, run(Leader::Silent)?, run(Leader::Liar)?);
    let told = |outcome: &raft::Outcome| format!("generals 2 to 4 applied {:?}", &outcome.applied[1..]);
    let obeyed = loyal.applied.iter().all(|applied| applied == &[Order::Attack]);
    Ok([
        Check::new("Raft: all follow a loyal leader", told(&loyal), obeyed),
        Check::new("Raft: a leader who falls silent is replaced", told(&silent), silent.loyal_agree()),
        Check::new(
            "Raft believes a lying leader: one traitor of four splits the loyal, where OM(1) holds",
            told(&liar),
            !liar.loyal_agree(),
        ),
    ])
}

/// Proof of work under a traitor: his chance to take an order back, by real nodes.
fn odds(effort: Effort, progress: Progress<'_>) -> Result<Grid, StoreError> {
    let played = cells(TRAITORS.len(), progress, |index| {
        let (q, z) = TRAITORS[index];
        let mut rng = cell_rng(effort.seed, "odds", &[q, f64::from(z)]);
        let won = double_spends(DoubleSpend::new(q, z, false), effort.races, &mut rng)?;
        let theory = exact_risk(q, z);
        Ok(Cell {
            judged: theory * effort.races as f64 >= LEAST_EXPECTED,
            ..Cell::new(vec![q, f64::from(z)], proportion(won, effort.races), theory)
        })
    });
    Ok(Grid {
        name: "generals-proof-of-work",
        title: "Proof of work holds by the odds: a traitor with the share q takes back an order of z blocks, real nodes",
        parameters: vec!["q", "blocks"],
        simulated: "taken_back",
        theory: "exact",
        beside: Vec::new(),
        cells: played.into_iter().collect::<Result<_, StoreError>>()?,
    })
}

fn figure(odds: &Grid) -> Figure {
    let curve = |q: f64| Curve {
        name: format!("traitor's share {q}"),
        line: (1..=8).map(|z| (f64::from(z), exact_risk(q, z))).collect(),
        points: odds
            .cells
            .iter()
            .filter(|cell| cell.at[0] == q)
            .map(|cell| (cell.at[1], cell.simulated))
            .collect(),
    };
    Figure {
        name: "generals",
        title: "Proof of work holds by the odds".into(),
        x_label: "blocks on top of the order".into(),
        y_label: "chance that it is taken back".into(),
        x_scale: Scale::Linear,
        y_scale: Scale::Log,
        curves: [0.1, 0.25, 0.33].map(curve).into(),
    }
}
