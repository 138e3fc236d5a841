//! Propagation: what delay costs in stale blocks, in forks, in consistency and in confirmations.

use super::report::{Cell, Check, Curve, Figure, Grid, Report, Scale};
use super::{Effort, Progress, cell_rng, cells, part, reference};
use crate::race::growth::{DelayedDoubleSpend, Growth, grow, honest_growth};
use crate::stats::proportion;
use crate::theory::delay;

/// Races of a cell, of each ten blocks that the other cells play.
const RACES_IN_TEN: u64 = 1;
/// Shares, delays and confirmations of the double spends under delay.
const DELAYED: [(f64, f64, u32); 12] = [
    (0.1, 0.0, 3),
    (0.1, 0.1, 3),
    (0.1, 1.0, 3),
    (0.2, 0.0, 6),
    (0.2, 0.1, 6),
    (0.2, 0.5, 6),
    (0.2, 1.0, 6),
    (0.3, 0.0, 6),
    (0.3, 0.1, 6),
    (0.3, 0.3, 6),
    (0.3, 0.5, 12),
    (0.3, 0.7, 20),
];
/// How far a threshold may lie from the table's: its figures have nine decimals.
const TABLE_ROUNDING: f64 = 1e-8;

/// Plays the reference tables' cells, `effort.trials` blocks each.
pub fn run(effort: Effort, progress: Progress<'_>) -> Report {
    let mut report = Report::new("propagation", effort.seed);
    let (stale, forks) = under_delay(effort, &mut part(progress, 0.0, 0.6));
    let unlimited = unlimited(effort, &mut part(progress, 0.6, 0.7));
    let consistency = consistency(effort, &mut part(progress, 0.7, 0.8));
    let delayed = confirmations(effort, &mut part(progress, 0.8, 1.0));
    report.checks = vec![decker_wattenhofer(), thresholds()];
    report.figures = vec![stale_figure(&stale, &unlimited), depth_figure(&delayed)];
    report.grids = vec![stale, forks, unlimited, consistency, delayed];
    report
}

/// Stale blocks and forks among N miners, whose blocks reach all others after x mean block intervals.
fn under_delay(effort: Effort, progress: Progress<'_>) -> (Grid, Grid) {
    let rows: Vec<_> = reference::rows(reference::STALE)
        // fewer than a hundred stale blocks say little
        .filter(|row| row.number("mc_stale") * effort.trials as f64 >= 100.0)
        .collect();
    let played: Vec<Growth> = cells(rows.len(), progress, |index| {
        let (miners, x) = (rows[index].number("N"), rows[index].number("x"));
        let mut rng = cell_rng(effort.seed, "stale", &[miners, x]);
        grow(Some(miners as usize), x, effort.trials, &mut rng)
    });
    let at = |index: usize| {
        let row = &rows[index];
        vec![row.number("N"), row.number("x"), row.number("interval_s_at_10s_delay")]
    };
    let stale = |(index, played): (usize, &Growth)| Cell {
        theory_error: rows[index].number("mc_se"),
        beside: vec![rows[index].get("stale_limit_N_inf")],
        ..Cell::new(at(index), played.stale, rows[index].number("mc_stale"))
    };
    let fork = |(index, played): (usize, &Growth)| {
        let theory = delay::fork_probability(rows[index].number("x"), rows[index].number("N"));
        Cell { beside: vec![rows[index].get("fork_prob")], ..Cell::new(at(index), played.rivalled, theory) }
    };
    let parameters = vec!["miners", "x", "interval_s_at_10_s_delay"];
    let stale = Grid {
        name: "propagation-stale",
        title: "Blocks that become stale; the table was simulated elsewhere, 10⁸ blocks a cell",
        parameters: parameters.clone(),
        simulated: "stale",
        theory: "table",
        beside: vec!["limit_of_many_miners"],
        cells: played.iter().enumerate().map(stale).collect(),
    };
    let forks = Grid {
        name: "propagation-forks",
        title: "Blocks in whose delay another miner found one: Decker and Wattenhofer's fork formula",
        parameters,
        simulated: "forks",
        theory: "closed_form",
        beside: vec!["table"],
        cells: played.iter().enumerate().map(fork).collect(),
    };
    (stale, forks)
}

fn unlimited(effort: Effort, progress: Progress<'_>) -> Grid {
    const DELAYS: [f64; 10] = [0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0, 1.5, 2.0];
    let cells = cells(DELAYS.len(), progress, |index| {
        let x = DELAYS[index];
        let mut rng = cell_rng(effort.seed, "unlimited", &[x]);
        Cell::new(vec![x], grow(None, x, effort.trials, &mut rng).stale, delay::stale_rate(x))
    });
    Grid {
        name: "propagation-many-miners",
        title: "The same among so many miners that none finds two blocks in a row: x/(1+x)",
        parameters: vec!["x"],
        simulated: "stale",
        theory: "closed_form",
        beside: Vec::new(),
        cells,
    }
}

/// At the threshold the honest chain grows as fast as the attacker finds blocks: β for each mean interval.
fn consistency(effort: Effort, progress: Progress<'_>) -> Grid {
    let rows: Vec<_> = reference::rows(reference::CONSISTENCY).collect();
    let cells = cells(rows.len(), progress, |index| {
        let x = rows[index].number("x");
        let beta = delay::consistency_threshold(x);
        let mut rng = cell_rng(effort.seed, "consistency", &[x]);
        Cell {
            beside: ["beta_tight", "beta_convergence_opportunity", "beta_pss"]
                .map(|column| rows[index].get(column).filter(|beta| beta.is_finite()))
                .into(),
            ..Cell::new(vec![x], honest_growth(beta, x, effort.trials, &mut rng), beta)
        }
    });
    Grid {
        name: "propagation-consistency",
        title: "The share β at which the honest chain grows as slowly as the attacker's; \
                what older proofs could promise stands beside",
        parameters: vec!["x"],
        simulated: "honest_growth",
        theory: "beta",
        beside: vec!["tight", "convergence_opportunities", "pass_seeman_shelat"],
        cells,
    }
}

/// Double spends while honest blocks travel.
fn confirmations(effort: Effort, progress: Progress<'_>) -> Grid {
    let races = (effort.trials * RACES_IN_TEN / 10).max(1_000);
    let cells = cells(DELAYED.len(), progress, |index| {
        let (beta, x, confirmations) = DELAYED[index];
        let at = vec![beta, x, f64::from(confirmations)];
        let mut rng = cell_rng(effort.seed, "delayed", &at);
        let race = DelayedDoubleSpend { beta, x, confirmations, give_up: hopeless(beta, x) };
        let won = (0..races).filter(|_| race.succeeds(&mut rng)).count() as u64;
        Cell {
            beside: vec![Some(delay::double_spend_risk(beta, 0.0, confirmations)), needed(beta, x)],
            ..Cell::new(at, proportion(won, races), delay::double_spend_risk(beta, x, confirmations))
        }
    });
    Grid {
        name: "propagation-depth",
        title: "Double spends that succeed while honest blocks travel, and the confirmations that keep them below 0.1 %",
        parameters: vec!["beta", "x", "confirmations"],
        simulated: "raced",
        theory: "exact",
        beside: vec!["exact_without_delay", "needed_below_0.1_percent"],
        cells,
    }
}

/// How far behind the chance to catch up is below 1e-9: the chance of a first confirmation's reversal falls by a steady
/// factor for each further one.
fn hopeless(beta: f64, x: f64) -> u32 {
    let (one, two) = (delay::double_spend_risk(beta, x, 20), delay::double_spend_risk(beta, x, 21));
    (libm::log(1e-9) / libm::log(two / one)).ceil() as u32
}

fn needed(beta: f64, x: f64) -> Option<f64> {
    (1..=400).find(|k| delay::double_spend_risk(beta, x, *k) < 1e-3).map(f64::from)
}

fn decker_wattenhofer() -> Check {
    let value = |name: &str| {
        reference::rows(reference::DECKER)
            .find(|row| row.text("quantity") == name)
            .and_then(|row| row.get("value"))
    };
    let of = |name| value(name).unwrap_or(f64::NAN);
    let model =
        delay::fork_rate_from_propagation(1.0 / of("seconds_per_block_in_sample"), of("integral_1_minus_f"));
    let (observed, std_error) = (of("observed_fork_rate"), of("observed_rate_binomial_se"));
    let z = (observed - model) / std_error;
    Check::new(
        "Decker and Wattenhofer's model gives their printed 1.78 %, and what they saw lies within its scatter",
        format!(
            "model {:.2} %, seen {:.2} ± {:.2} % (z {z:+.2})",
            model * 1e2,
            observed * 1e2,
            std_error * 1e2
        ),
        (model - of("model_fork_rate")).abs() <= 0.5e-4 && z.abs() <= 3.0,
    )
}

fn thresholds() -> Check {
    let worst = reference::rows(reference::CONSISTENCY)
        .map(|row| (delay::consistency_threshold(row.number("x")) - row.number("beta_tight")).abs())
        .fold(0.0, f64::max);
    Check::new(
        format!("the thresholds are the table's, to {TABLE_ROUNDING:e}"),
        format!("{worst:.1e} apart at most"),
        worst <= TABLE_ROUNDING,
    )
}

fn stale_figure(stale: &Grid, unlimited: &Grid) -> Figure {
    let points = |grid: &Grid, miners: f64| {
        let of_it = grid.cells.iter().filter(|cell| cell.at[0] == miners);
        of_it.map(|cell| (cell.at[1], cell.simulated)).collect()
    };
    let table = |miners: f64| {
        let of_it = stale.cells.iter().filter(|cell| cell.at[0] == miners);
        of_it.map(|cell| (cell.at[1], cell.theory)).collect()
    };
    let mut curves: Vec<_> = [2.0, 10.0]
        .map(|miners| Curve {
            name: format!("{miners} miners"),
            line: table(miners),
            points: points(stale, miners),
        })
        .into();
    let ten_to = |exponent: i32| libm::pow(10.0, f64::from(exponent) / 20.0);
    curves.push(Curve {
        name: "very many: x/(1+x)".into(),
        line: (-76..=6).map(ten_to).map(|x| (x, delay::stale_rate(x))).collect(),
        points: unlimited.cells.iter().map(|cell| (cell.at[0], cell.simulated)).collect(),
    });
    curves.extend(measured());
    Figure {
        name: "propagation",
        title: "Stale blocks against delay".into(),
        x_label: "delay in block intervals".into(),
        y_label: "blocks that become stale".into(),
        x_scale: Scale::Log,
        y_scale: Scale::Log,
        curves,
    }
}

/// The networks that Gervais et al. measured, at their median delay: gossip reaches half of them sooner than that.
fn measured() -> Option<Curve> {
    let points: Vec<_> = reference::rows(reference::GERVAIS)
        .filter_map(|row| {
            let x = row.get("measured_median_propagation_s")? / row.get("block_interval_s")?;
            let mean = row.get("measured_stale_rate")?;
            Some((x, crate::stats::Estimate { mean, std_error: 0.0 }))
        })
        .collect();
    (!points.is_empty()).then(|| Curve { name: "measured (Gervais 2016)".into(), line: Vec::new(), points })
}

fn depth_figure(delayed: &Grid) -> Figure {
    let curve = |x: f64| Curve {
        name: format!("x = {x}"),
        line: (1..=24).map(|k| (f64::from(k), delay::double_spend_risk(0.3, x, k))).collect(),
        points: delayed
            .cells
            .iter()
            .filter(|cell| cell.at[..2] == [0.3, x])
            .map(|cell| (cell.at[2], cell.simulated))
            .collect(),
    };
    Figure {
        name: "propagation-depth",
        title: "Double spends by 30 % of the power while blocks travel".into(),
        x_label: "confirmations".into(),
        y_label: "probability".into(),
        x_scale: Scale::Linear,
        y_scale: Scale::Log,
        curves: [0.0, 0.1, 0.3, 0.5, 0.7].map(curve).into(),
    }
}
