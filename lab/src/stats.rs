//! What a simulation found, and how well it knows it.
//!
//! Standard errors come from the runs themselves: from independent regenerative cycles ([`RatioSums`]), from batch means
//! ([`BatchMeans`]), or from counted races ([`proportion`]). A grid of such figures is judged as a whole by [`judge`],
//! because among two hundred honest cells a few always lie two standard errors away.

use serde::{Deserialize, Serialize};

/// No cell of a grid may lie further than so many standard errors from the theory.
pub const MAX_Z: f64 = 4.0;
/// A figure and its standard error.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Estimate {
    /// What was found.
    pub mean: f64,
    /// How far it is likely to lie from the truth.
    pub std_error: f64,
}

/// An [`Estimate`] as two decimal texts, which come back bit for bit.
pub(crate) mod exact {
    use serde::{Deserializer, Serializer, de::Error};

    use super::{Deserialize, Estimate, Serialize};

    pub(crate) fn serialize<S: Serializer>(estimate: &Estimate, to: S) -> Result<S::Ok, S::Error> {
        [estimate.mean.to_string(), estimate.std_error.to_string()].serialize(to)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Estimate, D::Error> {
        let [mean, std_error] = <[String; 2]>::deserialize(from)?;
        let number =
            |text: String| text.parse().map_err(|_| D::Error::custom(format!("{text:?}: no number")));
        Ok(Estimate { mean: number(mean)?, std_error: number(std_error)? })
    }
}

impl Estimate {
    /// How many standard errors the figure lies from `expected`; 0 when both are equal and neither can vary.
    #[must_use]
    pub fn z(&self, expected: f64) -> f64 {
        let distance = self.mean - expected;
        if distance.abs() < 1e-12 { 0.0 } else { distance / self.std_error }
    }
}

/// How often something happened in `runs` independent runs.
#[must_use]
pub fn proportion(happened: u64, runs: u64) -> Estimate {
    let n = runs as f64;
    let mean = happened as f64 / n;
    Estimate { mean, std_error: (mean * (1.0 - mean) / n).sqrt() }
}

/// Σx/Σy over independent cycles: the ratio estimator of a regenerative simulation (Crane and Iglehart 1975).
#[derive(Debug, Clone, Copy, Default)]
pub struct RatioSums {
    x: f64,
    y: f64,
    xx: f64,
    xy: f64,
    yy: f64,
}

impl RatioSums {
    /// One more cycle, which gave `x` of `y`.
    pub fn add(&mut self, x: f64, y: f64) {
        self.x += x;
        self.y += y;
        self.xx += x * x;
        self.xy += x * y;
        self.yy += y * y;
    }

    /// The ratio r and its standard error `√Σ(x − r·y)² / Σy`.
    #[must_use]
    pub fn ratio(&self) -> Estimate {
        let mean = self.x / self.y;
        let squares = self.xx - 2.0 * mean * self.xy + mean * mean * self.yy;
        Estimate { mean, std_error: squares.max(0.0).sqrt() / self.y }
    }
}

/// The mean of a stationary sequence, cut into batches that are long enough to be taken as independent.
#[derive(Debug, Clone, Copy)]
pub struct BatchMeans {
    batch: u64,
    in_batch: u64,
    sum: f64,
    batches: u64,
    total: f64,
    squares: f64,
}

impl BatchMeans {
    /// Batches of `batch` values each.
    #[must_use]
    pub fn new(batch: u64) -> Self {
        Self { batch: batch.max(1), in_batch: 0, sum: 0.0, batches: 0, total: 0.0, squares: 0.0 }
    }

    /// One more value.
    pub fn add(&mut self, value: f64) {
        self.sum += value;
        self.in_batch += 1;
        if self.in_batch == self.batch {
            let mean = self.sum / self.batch as f64;
            self.total += mean;
            self.squares += mean * mean;
            self.batches += 1;
            (self.in_batch, self.sum) = (0, 0.0);
        }
    }

    /// Over the batches that are full: their mean, and `√(s²/n)`.
    #[must_use]
    pub fn mean(&self) -> Estimate {
        let n = self.batches as f64;
        let mean = self.total / n;
        let variance = (self.squares / n - mean * mean).max(0.0) * n / (n - 1.0);
        Estimate { mean, std_error: (variance / n).sqrt() }
    }
}

/// Whether a whole grid agrees with its theory.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Verdict {
    /// How many cells were judged.
    pub cells: usize,
    /// χ²/n: the mean of z².
    pub chi2_per_cell: f64,
    /// Where χ²/n must lie: `1 ± 3√(2/n)`.
    pub chi2_range: (f64, f64),
    /// The largest |z|.
    pub worst_z: f64,
    /// χ²/n lies there, and no |z| is over [`MAX_Z`].
    pub passed: bool,
}

/// Judges the z values of a grid's cells: χ²/n within `1 ± 3√(2/n)` (n cells of mean 1 and variance 2) and no |z| over 4.
/// Too small a χ² is as suspect as too large a one: its standard errors would be wrong.
#[must_use]
pub fn judge(z_values: &[f64]) -> Verdict {
    let cells = z_values.len();
    let n = cells.max(1) as f64;
    let chi2_per_cell = z_values.iter().map(|z| z * z).sum::<f64>() / n;
    let worst_z = z_values.iter().fold(0.0_f64, |worst, z| worst.max(z.abs()));
    let width = 3.0 * (2.0 / n).sqrt();
    let chi2_range = (1.0 - width, 1.0 + width);
    let in_range = (chi2_range.0..=chi2_range.1).contains(&chi2_per_cell);
    let passed = in_range && worst_z <= MAX_Z;
    Verdict { cells, chi2_per_cell, chi2_range, worst_z, passed }
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    /// Sums of twelve uniforms: mean 0, variance 1, near enough to normal.
    fn normals(seed: u64, count: usize) -> Vec<f64> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        (0..count).map(|_| (0..12).map(|_| rng.random::<f64>()).sum::<f64>() - 6.0).collect()
    }

    #[test]
    fn an_honest_grid_passes_and_a_crooked_one_does_not() {
        let honest = normals(1, 200);
        assert!(judge(&honest).passed, "{:?}", judge(&honest));
        let shifted: Vec<_> = honest.iter().map(|z| z + 1.0).collect();
        assert!(!judge(&shifted).passed, "a bias of one standard error shows over 200 cells");
        let too_good: Vec<_> = honest.iter().map(|z| z / 2.0).collect();
        assert!(!judge(&too_good).passed, "standard errors that are twice too large show too");
        let mut outlier = honest;
        outlier[7] = 4.1;
        assert!(!judge(&outlier).passed);
        assert!(!judge(&[f64::INFINITY]).passed && !judge(&[f64::NAN]).passed);
    }

    #[test]
    fn standard_errors_are_those_that_repetition_shows() {
        let estimates: Vec<_> = (0..400)
            .map(|seed| {
                let mut rng = ChaCha8Rng::seed_from_u64(seed);
                let (mut ratio, mut batches) = (RatioSums::default(), BatchMeans::new(10));
                for _ in 0..500 {
                    let y: f64 = 1.0 + rng.random::<f64>();
                    ratio.add(y * rng.random::<f64>(), y);
                    batches.add(y);
                }
                (ratio.ratio().z(0.5), batches.mean().z(1.5))
            })
            .collect();
        let (ratios, means): (Vec<_>, Vec<_>) = estimates.into_iter().unzip();
        for z_values in [ratios, means] {
            let spread = z_values.iter().map(|z| z * z).sum::<f64>() / 400.0;
            assert!((0.8..1.25).contains(&spread), "z² is {spread} on average, and should be 1");
        }
    }

    #[test]
    fn a_figure_that_can_not_vary_is_right_or_infinitely_wrong() {
        let never = proportion(0, 1_000);
        assert_eq!((never.z(0.0), never.z(0.1)), (0.0, f64::NEG_INFINITY));
    }
}
