//! Selfish mining in closed form.

/// The pool's share of the chain: `[α(1−α)²(4α + γ(1−2α)) − α³] / [1 − α(1 + (2−α)α)]` (Eyal and Sirer 2014,
/// equation 8), for α below one half.
#[must_use]
pub fn revenue(alpha: f64, gamma: f64) -> f64 {
    let honest = 1.0 - alpha;
    let numerator =
        alpha * honest * honest * (4.0 * alpha + gamma * (1.0 - 2.0 * alpha)) - alpha * alpha * alpha;
    numerator / (1.0 - alpha * (1.0 + (2.0 - alpha) * alpha))
}

/// The least share with which selfish mining beats honest mining: `(1−γ)/(3−2γ)` (Eyal and Sirer 2014, equation 9).
#[must_use]
pub fn threshold(gamma: f64) -> f64 {
    (1.0 - gamma) / (3.0 - 2.0 * gamma)
}

/// How many blocks are found for each block of the chain, by which the difficulty falls at the first retarget:
/// `δ = [p − q + pq(p−q) + pq] / [p²q + p − q]` with q = α (Grunspan and Pérez-Marco 2018). Its inverse is the growth of
/// the chain for each block found; γ is no part of it.
#[must_use]
pub fn blocks_per_chain_block(alpha: f64) -> f64 {
    let (p, q) = (1.0 - alpha, alpha);
    (p - q + p * q * (p - q) + p * q) / (p * p * q + p - q)
}

/// After how many weeks a selfish pool has earned what it would have earned by honest mining: `2q′(δ−1)/(q′−q)`, where
/// q′ is its [`revenue`] (from Grunspan and Pérez-Marco 2018). `None` if it never does.
#[must_use]
pub fn break_even_weeks(alpha: f64, gamma: f64) -> Option<f64> {
    let apparent = revenue(alpha, gamma);
    (apparent > alpha).then(|| 2.0 * apparent * (blocks_per_chain_block(alpha) - 1.0) / (apparent - alpha))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_closed_forms_agree_with_each_other() {
        for percent in 1..50 {
            let alpha = f64::from(percent) / 100.0;
            let pool_rate = revenue(alpha, 1.0) / blocks_per_chain_block(alpha);
            assert!((pool_rate - alpha).abs() < 1e-12, "at γ = 1 no block of the pool is lost: {pool_rate}");
            assert!(blocks_per_chain_block(alpha) > 1.0);
        }
        for tenth in 0..10 {
            let gamma = f64::from(tenth) / 10.0;
            let least = threshold(gamma);
            assert!((revenue(least, gamma) - least).abs() < 1e-12, "γ = {gamma}");
            assert_eq!(break_even_weeks(least - 0.01, gamma), None);
        }
    }
}
