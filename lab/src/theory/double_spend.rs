//! Double spends by an attacker who mined before he paid.

/// The success of the best private attack without delay: the attacker's lead when he pays is geometric with ratio q/p,
/// and while the merchant waits for `k` blocks he finds a negative binomial number more:
/// `1 − Σ_{j<k} P(L + S = j)(1 − (q/p)^{k−j})`. For `q` below one half.
#[must_use]
pub fn premined_risk(q: f64, k: u32) -> f64 {
    let (p, odds) = (1.0 - q, q / (1.0 - q));
    let k = k as usize;
    let mut lead: Vec<f64> = Vec::with_capacity(k);
    let mut found: Vec<f64> = Vec::with_capacity(k);
    for j in 0..k {
        lead.push(if j == 0 { 1.0 - odds } else { lead[j - 1] * odds });
        found.push(if j == 0 {
            libm::pow(p, k as f64)
        } else {
            found[j - 1] * q * (k + j - 1) as f64 / j as f64
        });
    }
    let held = |j: usize| -> f64 { (0..=j).map(|l| lead[l] * found[j - l]).sum() };
    1.0 - (0..k).map(|j| held(j) * (1.0 - libm::pow(odds, (k - j) as f64))).sum::<f64>()
}
