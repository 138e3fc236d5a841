//! Chains under delay. Everywhere x = λD: the delay in mean block intervals of all miners together.

/// The chance that somebody else finds a block while one travels: `1 − e^{−x(1−1/N)}`, Decker and Wattenhofer's fork
/// formula for a constant delay and `N` miners of equal power, the finder's own share left out.
#[must_use]
pub fn fork_probability(x: f64, miners: f64) -> f64 {
    -libm::expm1(-x * (1.0 - 1.0 / miners))
}

/// The share of blocks that become stale among very many miners: `x/(1+x)`. Each height takes the delay and then the
/// wait for one block more.
#[must_use]
pub fn stale_rate(x: f64) -> f64 {
    x / (1.0 + x)
}

/// Decker and Wattenhofer's model from a measured propagation: `1 − (1 − P_b)^I`, where `P_b` is the chance of a block
/// in a second and `I` the seconds for which a mean miner has not heard of a block yet.
#[must_use]
pub fn fork_rate_from_propagation(blocks_per_second: f64, uninformed_seconds: f64) -> f64 {
    1.0 - libm::pow(1.0 - blocks_per_second, uninformed_seconds)
}

/// How fast an honest chain of the power `1 − β` grows: `(1−β)/(1 + (1−β)x)`.
#[must_use]
pub fn honest_growth(beta: f64, x: f64) -> f64 {
    (1.0 - beta) / (1.0 + (1.0 - beta) * x)
}

/// The largest share of an attacker at which the longest chain stays consistent: where [`honest_growth`] equals β
/// (Dembo et al. 2020, Gaži, Kiayias and Russell 2020). By bisection to 1e-12.
#[must_use]
pub fn consistency_threshold(x: f64) -> f64 {
    let (mut low, mut high) = (0.0, 0.5);
    while high - low > 1e-12 {
        let beta = f64::midpoint(low, high);
        if honest_growth(beta, x) > beta { low = beta } else { high = beta }
    }
    low
}

/// The success of a double spend against `k` confirmations by an attacker of the share `beta`, from the moment at which
/// the block was found that both branches build on; 1 from the [`consistency_threshold`] on.
///
/// While the honest chain grows by one the attacker finds X blocks: Poisson of mean βx during the delay, and geometric
/// after it. When k honest blocks stand against A of his, he needs a sum of such X to run ahead of its count by
/// d = k − A, and the most it ever does is X plus the waiting line of Lindley's recursion `W ← max(0, W + X − 1)`, whose
/// stationary law follows from the balance of its crossings: `π_{j+1}·P(X=0) = Σ_{i≤j} π_i·P(X ≥ j−i+2)`. At x = 0
/// it is Rosenfeld's race.
#[must_use]
pub fn double_spend_risk(beta: f64, x: f64, k: u32) -> f64 {
    let mean = beta * x + beta / (1.0 - beta);
    if mean >= 1.0 {
        return 1.0;
    }
    let size = k as usize + 2;
    let found = found_in_one_growth(beta, x, size);
    let at_least = |n: usize| 1.0 - found[..n.min(size)].iter().sum::<f64>();
    let mut line = vec![(1.0 - mean) / found[0]];
    for j in 0..size - 1 {
        let crossing: f64 = (0..=j).map(|i| line[i] * at_least(j - i + 2)).sum();
        line.push(crossing / found[0]);
    }
    let furthest = convolve(&found, &line, size);
    let during = (0..k).fold(vec![1.0], |sum, _| convolve(&sum, &found, size));
    // his chance to fail: A < k, and never as far ahead as d = k − A
    let fails = |a: usize| during[a] * furthest[..k as usize - a].iter().sum::<f64>();
    1.0 - (0..k as usize).map(fails).sum::<f64>()
}

/// `P(X = 0), P(X = 1), …`: what the attacker finds while the honest chain grows by one.
fn found_in_one_growth(beta: f64, x: f64, size: usize) -> Vec<f64> {
    let mut poisson = vec![libm::exp(-beta * x)];
    let mut geometric = vec![1.0 - beta];
    for n in 1..size {
        poisson.push(poisson[n - 1] * beta * x / n as f64);
        geometric.push(geometric[n - 1] * beta);
    }
    convolve(&poisson, &geometric, size)
}

fn convolve(a: &[f64], b: &[f64], size: usize) -> Vec<f64> {
    let term = |n: usize, i: usize| match (a.get(i), b.get(n - i)) {
        (Some(a), Some(b)) => a * b,
        (None, _) | (_, None) => 0.0,
    };
    (0..size).map(|n| (0..=n).map(|i| term(n, i)).sum()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_delay_the_race_is_rosenfelds() {
        for (beta, k) in [(0.1, 6), (0.3, 2), (0.3, 20), (0.45, 10)] {
            let (exact, ours) = (tine_wallet::risk::exact_risk(beta, k), double_spend_risk(beta, 0.0, k));
            assert!((ours - exact).abs() < 1e-12, "β {beta} k {k}: {ours} not {exact}");
        }
    }

    #[test]
    fn delay_helps_the_attacker_until_nothing_holds_him() {
        let risks: Vec<_> = [0.0, 0.1, 0.5, 1.0].map(|x| double_spend_risk(0.3, x, 6)).into();
        assert!(risks.is_sorted() && risks[0] < risks[3], "{risks:?}");
        let least = consistency_threshold(1.0);
        assert!(double_spend_risk(least - 0.01, 1.0, 6) < 1.0);
        assert_eq!(double_spend_risk(least + 0.01, 1.0, 6), 1.0);
    }
}
