//! How likely it is that a payment is reversed: the race between an attacker and the honest chain.
//!
//! Two answers are given beside each other. The Bitcoin paper's (section 11) takes the attacker's progress while
//! the honest miners find `z` blocks as Poisson distributed; the exact one (M. Rosenfeld, "Analysis of hashrate-based
//! double spending", 2014, equation 1) knows that it is negative binomial. The paper's is a little too low for small
//! q and large z. Both assume that the attacker starts level, mines in secret without losses to latency, and never
//! gives up: they are about probability, so floating point serves here, and only here.

/// The attacker's chance `(q/p)^z` of catching up from `z` behind (Gambler's ruin); 1 from half the power on.
fn catch_up(q: f64, z: u32) -> f64 {
    if q >= 0.5 { 1.0 } else { (q / (1.0 - q)).powf(f64::from(z)) }
}

/// The probability that a payment with `z` confirmations is reversed by an attacker with the share `q` of all power,
/// as the Bitcoin paper computes it (section 11, `AttackerSuccessProbability`).
///
/// `q` is taken as 0 below 0 and as 1 above 1.
#[must_use]
pub fn confirmation_risk(q: f64, z: u32) -> f64 {
    let q = q.clamp(0.0, 1.0);
    if q >= 0.5 {
        return 1.0;
    }
    let lambda = f64::from(z) * (q / (1.0 - q));
    let mut poisson = (-lambda).exp();
    let mut sum = 1.0;
    for k in 0..=z {
        if k > 0 {
            poisson *= lambda / f64::from(k);
        }
        sum -= poisson * (1.0 - catch_up(q, z - k));
    }
    sum.clamp(0.0, 1.0)
}

/// The same probability, exactly: `1 − Σ_{m=0}^{z} C(m+z−1, m) (p^z q^m − p^m q^z)` (Rosenfeld 2014, equation 1).
///
/// `q` is taken as 0 below 0 and as 1 above 1.
#[must_use]
pub fn exact_risk(q: f64, z: u32) -> f64 {
    let q = q.clamp(0.0, 1.0);
    if q >= 0.5 || z == 0 {
        return 1.0;
    }
    let p = 1.0 - q;
    // With A = Σ_{m<z} C(m+z−1, m) q^z p^m, the chance that the attacker is first to z blocks, the honest miners' chance
    // Σ_{m<z} C(m+z−1, m) p^z q^m is 1 − A, and the term m = z is nought: the sum is 1 − (1 − A) + A = 2A. Written so,
    // a small risk is not the difference of two numbers near 1.
    let mut term = q.powf(f64::from(z));
    let mut sum = 0.0;
    for m in 0..z {
        if m > 0 {
            term *= p * f64::from(m + z - 1) / f64::from(m);
        }
        sum += term;
    }
    (2.0 * sum).clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows of the paper's section 11, as printed there: q, z, probability.
    const NAKAMOTO: &str = include_str!("../testdata/nakamoto2008_s11.csv");
    /// q, n, exact probability, Poisson probability.
    const ROSENFELD: &str = include_str!("../testdata/rosenfeld2014.csv");

    fn rows(text: &str) -> impl Iterator<Item = Vec<f64>> {
        text.lines()
            .filter(|line| line.starts_with('0'))
            .map(|line| line.split(',').map(|field| field.parse().unwrap()).collect())
    }

    #[test]
    fn the_papers_table_comes_out_to_its_seven_decimals() {
        let mut count = 0;
        for row in rows(NAKAMOTO) {
            let risk = confirmation_risk(row[0], row[1] as u32);
            assert!((risk - row[2]).abs() < 5.1e-8, "q {} z {}: {risk} not {}", row[0], row[1], row[2]);
            count += 1;
        }
        assert!(count >= 20, "{count} rows");
    }

    #[test]
    fn the_exact_race_comes_out_to_ten_digits() {
        let mut count = 0;
        for row in rows(ROSENFELD) {
            let (q, n) = (row[0], row[1] as u32);
            assert!((exact_risk(q, n) / row[2] - 1.0).abs() < 1e-10, "q {q} n {n}: {}", exact_risk(q, n));
            assert!((confirmation_risk(q, n) - row[3]).abs() < 1e-10, "q {q} n {n}");
            count += 1;
        }
        assert!(count >= 40, "{count} rows");
    }

    #[test]
    fn edges() {
        assert_eq!(confirmation_risk(0.1, 0), 1.0);
        assert_eq!(exact_risk(0.1, 0), 1.0);
        assert_eq!(confirmation_risk(0.5, 100), 1.0);
        assert_eq!(exact_risk(0.7, 6), 1.0);
        assert_eq!(confirmation_risk(0.0, 1), 0.0);
        assert_eq!(exact_risk(-3.0, 1), 0.0);
        assert!((confirmation_risk(0.1, 1) - 0.2045873).abs() < 1e-7, "20.5 % after one confirmation");
    }
}
