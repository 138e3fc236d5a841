//! The papers' numbers: small forms of the experiments, and the fast races against real nodes.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use tine_lab::experiments::report::{Grid, Report};
use tine_lab::experiments::{Effort, doublespend, generals, optimal, propagation, selfish, stubborn};
use tine_lab::plot;
use tine_lab::race::double_spend::DoubleSpend;
use tine_lab::race::nodes::{NodeRace, double_spends};
use tine_lab::race::strategy::{Policy, Strategy, Stubborn};
use tine_lab::race::{Finder, Lottery, Race, Settled, play};
use tine_lab::stats::{RatioSums, proportion};
use tine_lab::theory::process::Model;
use tine_lab::theory::selfish::revenue;
use tine_wallet::risk::exact_risk;

const SEED: u64 = 11;

/// Passes, says so in JSON, and every figure of it can be drawn.
fn assert_passes(report: &Report) {
    for grid in &report.grids {
        assert!(grid.verdict().passed, "{}: {:?}\n{}", grid.name, grid.verdict(), grid.csv());
    }
    for check in &report.checks {
        assert!(check.passed, "{check:?}");
    }
    assert_eq!(report.json()["passed"], true);
    for figure in &report.figures {
        let svg = plot::svg(figure).expect("there is something to draw");
        assert!(svg.starts_with("<svg") && svg.ends_with("</svg>\n"), "{}", figure.name);
        assert_eq!(svg, plot::svg(figure).expect("as before"));
    }
}

fn effort(trials: u64) -> Effort {
    Effort { seed: SEED, trials }
}

#[test]
fn selfish_mining_earns_what_eyal_and_sirer_say() {
    let (alphas, gammas) = selfish::reference_grid();
    let some: Vec<_> = alphas.into_iter().step_by(5).collect();
    let mut told = 0.0;
    let report = selfish::run(&some, &gammas, effort(30_000), &mut |done| told = done);
    assert_eq!(told, 1.0, "progress ends where the work does");
    assert_eq!(report.grids[0].cells.len(), 45);
    for cell in &report.grids[0].cells {
        let table = cell.beside[0].expect("every cell is in the table");
        assert!((table - cell.theory).abs() < 1e-11, "{cell:?}");
    }
    assert_passes(&report);
    let alone = selfish::run(&[0.4], &[0.0], effort(30_000), &mut |_| {});
    let in_grid = report.grids[0].cells.iter().find(|cell| cell.at == [0.4, 0.0]);
    assert_eq!(Some(&alone.grids[0].cells[0]), in_grid, "a cell alone is what it is in the grid");
    let retarget = selfish::retarget(effort(30_000), &mut |_| {});
    assert!(retarget.verdict().passed, "{:?}", retarget.verdict());
}

#[test]
fn a_wrong_theory_is_noticed() {
    // a simulator that lets the pool win every tie that it should lose: γ is not what is claimed
    let played = play(Stubborn::SELFISH, Lottery::new(0.4, 0.25), 300_000, &mut ChaCha8Rng::seed_from_u64(1));
    assert!(played.share.z(revenue(0.4, 0.0)) > 4.0, "{:?}", played.share);
}

#[test]
fn stubborn_strategies_earn_what_the_exact_solution_says() {
    assert_passes(&stubborn::run(|alpha| alpha == 0.25 || alpha == 0.35, effort(20_000), &mut |_| {}));
}

#[test]
fn the_best_policy_is_the_tables_and_earns_what_it_promises() {
    assert_passes(&optimal::run(|alpha| alpha == 0.25 || alpha == 0.35, effort(30_000), &mut |_| {}));
}

#[test]
fn double_spends_succeed_as_often_as_rosenfeld_says() {
    fn wanted(q: f64) -> bool {
        q == 0.1 || q == 0.2 || q == 0.3
    }
    assert_passes(&doublespend::run(&doublespend::Subject::Tables(wanted), effort(200_000), &mut |_| {}));
}

#[test]
fn delay_makes_blocks_stale_as_the_tables_say() {
    assert_passes(&propagation::run(effort(20_000), &mut |_| {}));
}

#[test]
fn generals_agree_below_a_third_and_raft_believes_its_leader() {
    assert_passes(&generals::run(generals::Effort { seed: SEED, adversaries: 200, races: 150 }, &mut |_| {}));
}

/// The fast race and the one of real nodes, step by step on the same finders.
fn assert_equal_step_by_step(strategy: impl Strategy + Clone, alpha: f64, gamma: f64, steps: u32) {
    let mut rng = ChaCha8Rng::seed_from_u64(SEED);
    let lottery = Lottery::new(alpha, gamma);
    let mut fast = Race::new(strategy.clone());
    let mut full = NodeRace::new(strategy).expect("the memory store opens");
    let mut settled = Settled::default();
    for step in 1..=steps {
        let finder = lottery.draw(&mut rng);
        let (chosen, by_step) = fast.step(finder);
        settled += by_step;
        assert_eq!(
            chosen,
            full.step(finder).expect("the memory store never fails"),
            "step {step}, {finder:?}"
        );
        assert_eq!(fast.state(), full.state(), "step {step}, {finder:?}, {chosen:?}");
        if step % 50 == 0 || step == steps {
            assert_eq!(settled, full.settled().expect("the memory store never fails"), "step {step}");
        }
    }
    assert!(settled.pool > 0 && settled.public > 0, "both were paid: {settled:?}");
}

#[test]
fn real_nodes_come_to_the_same_chain_block_by_block() {
    assert_equal_step_by_step(Stubborn::SELFISH, 0.4, 0.5, 600);
    assert_equal_step_by_step(Stubborn::SELFISH, 0.35, 0.0, 300);
    let variants = [(true, false, 0), (false, true, 0), (false, false, 2), (true, true, 1)];
    for (lead, equal_fork, trail) in variants {
        assert_equal_step_by_step(Stubborn { lead, equal_fork, trail }, 0.45, 0.5, 400);
    }
    let (policy, _): (Policy, _) = Model { alpha: 0.4, gamma: 0.5, limit: 20 }.optimal();
    assert_equal_step_by_step(&policy, 0.4, 0.5, 400);
}

#[test]
fn a_pool_of_real_nodes_earns_what_the_paper_says() {
    let (alpha, gamma) = (0.35, 0.5);
    let mut rng = ChaCha8Rng::seed_from_u64(SEED);
    let lottery = Lottery::new(alpha, gamma);
    let mut race = NodeRace::new(Stubborn::SELFISH).expect("the memory store opens");
    let (mut cycles, mut before) = (RatioSums::default(), Settled::default());
    for _ in 0..1_500 {
        race.step(lottery.draw(&mut rng)).expect("the memory store never fails");
        if race.state() == tine_lab::race::State::START {
            let now = race.settled().expect("the memory store never fails");
            let pool = f64::from(now.pool - before.pool);
            cycles.add(pool, pool + f64::from(now.public - before.public));
            before = now;
        }
    }
    let share = cycles.ratio();
    assert!(share.z(revenue(alpha, gamma)).abs() <= 3.0, "{share:?} against {}", revenue(alpha, gamma));
    assert!(share.std_error < 0.04, "{share:?}");
}

#[test]
fn double_spends_against_real_nodes_succeed_by_the_odds() {
    let races = 300;
    let won = double_spends(DoubleSpend::new(0.3, 2, false), races, &mut ChaCha8Rng::seed_from_u64(SEED));
    let raced = proportion(won.expect("the memory store never fails"), races);
    assert!(raced.z(exact_risk(0.3, 2)).abs() <= 3.0, "{raced:?} against {}", exact_risk(0.3, 2));
}

#[test]
fn outside_a_tie_a_follower_is_any_honest_miner() {
    let mut a = Race::new(Stubborn::SELFISH);
    let mut b = Race::new(Stubborn::SELFISH);
    assert_eq!(a.step(Finder::Follower), b.step(Finder::Other));
    assert_eq!(a.state(), b.state());
}

#[test]
fn a_grid_writes_a_line_for_each_cell() {
    let report = selfish::run(&[0.3], &[0.0, 1.0], effort(1_000), &mut |_| {});
    let grid: &Grid = &report.grids[0];
    let csv = grid.csv();
    let mut lines = csv.lines();
    assert_eq!(lines.next(), Some("alpha,gamma,share,std_error,closed_form,z,table,blocks"));
    assert_eq!(lines.count(), 2);
}
