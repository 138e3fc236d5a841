//! Where nodes are: the measured tables of SimBlock and of Gervais et al. (2016), as presets.
//!
//! `lab/data/simblock_*.csv` names each table's source. A latency is sampled as SimBlock does it: Pareto with the shape
//! 0.2 × mean and the scale mean − 5, whose mean is the table's value.

use rand::{Rng, RngExt};

/// How many regions the tables have.
pub const REGIONS: usize = 6;

/// Their names, in the order of the tables.
pub const REGION_NAMES: [&str; REGIONS] =
    ["NORTH_AMERICA", "EUROPE", "SOUTH_AMERICA", "ASIA_PACIFIC", "JAPAN", "AUSTRALIA"];

const LATENCY: &str = include_str!("../data/simblock_latency_ms.csv");
const BANDWIDTH: &str = include_str!("../data/simblock_bandwidth_bps.csv");
const SHARES: &str = include_str!("../data/simblock_region_distribution.csv");
const DEGREES: &str = include_str!("../data/simblock_degree_cdf.csv");

/// Quantiles that a latency's distribution is kept as: a sample costs one draw and one look-up.
const QUANTILES: usize = 1_024;

/// Which measurement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Preset {
    /// SimBlock's tables of 2015.
    #[serde(rename = "simblock-2015")]
    SimBlock2015,
    /// SimBlock's tables of 2019.
    #[serde(rename = "simblock-2019")]
    SimBlock2019,
    /// Gervais et al. (2016), with SimBlock's bandwidths of 2015.
    BitcoinSimulator,
}

impl Preset {
    fn latency_table(self) -> &'static str {
        match self {
            Self::SimBlock2015 => "simblock_2015",
            Self::SimBlock2019 => "simblock_2019",
            Self::BitcoinSimulator => "bitcoin_simulator",
        }
    }

    fn year(self) -> &'static str {
        match self {
            Self::SimBlock2015 | Self::BitcoinSimulator => "2015",
            Self::SimBlock2019 => "2019",
        }
    }
}

/// A preset, read and ready to be sampled.
#[derive(Debug, Clone)]
pub struct Geography {
    /// The sum of the shares of nodes up to each region.
    cumulative: [f64; REGIONS],
    /// Bits a second.
    download: [u64; REGIONS],
    /// Bits a second.
    upload: [u64; REGIONS],
    /// Milliseconds, for each pair of regions, at equally likely levels.
    quantiles: Vec<[u32; QUANTILES]>,
}

impl Geography {
    /// Reads the tables of `preset`.
    ///
    /// # Panics
    /// Never: the tables are part of the program, and a test reads each.
    #[must_use]
    pub fn new(preset: Preset) -> Self {
        let mut quantiles = vec![[0; QUANTILES]; REGIONS * REGIONS];
        for row in rows(LATENCY, preset.latency_table()) {
            let mean: f64 = row[3].parse().expect("a mean");
            quantiles[region(row[1]) * REGIONS + region(row[2])] = pareto_quantiles(mean);
        }
        let (mut download, mut upload) = ([0; REGIONS], [0; REGIONS]);
        for row in rows(BANDWIDTH, preset.year()).filter(|row| row[1] != "INTER_REGIONAL") {
            download[region(row[1])] = row[2].parse().expect("bits a second");
            upload[region(row[1])] = row[3].parse().expect("bits a second");
        }
        let mut cumulative = [0.0; REGIONS];
        for row in rows(SHARES, &format!("bitcoin_{}", preset.year())) {
            cumulative[region(row[1])] = row[2].parse().expect("a share");
        }
        for place in 1..REGIONS {
            cumulative[place] += cumulative[place - 1];
        }
        Self { cumulative, download, upload, quantiles }
    }

    /// Draws the region of a node.
    pub fn sample_region(&self, rng: &mut impl Rng) -> u8 {
        let level = rng.random::<f64>() * self.cumulative[REGIONS - 1];
        let place = self.cumulative.iter().position(|sum| level < *sum);
        place.unwrap_or(REGIONS - 1) as u8
    }

    /// Draws the latency of one message, in milliseconds.
    pub fn sample_latency(&self, from: u8, to: u8, rng: &mut impl Rng) -> u64 {
        let level = rng.random_range(0..QUANTILES);
        u64::from(self.quantiles[usize::from(from) * REGIONS + usize::from(to)][level])
    }

    /// Bits a second that a node of the region can send.
    #[must_use]
    pub fn upload(&self, region: u8) -> u64 {
        self.upload[usize::from(region)]
    }

    /// Bits a second that a node of the region can receive.
    #[must_use]
    pub fn download(&self, region: u8) -> u64 {
        self.download[usize::from(region)]
    }
}

/// How many links a Bitcoin node of 2015 opens (Miller et al.), entry k − 1 is the share with at most k.
#[must_use]
pub fn outbound_links() -> Vec<f64> {
    rows(DEGREES, "bitcoin_2015").map(|row| row[2].parse().expect("a share")).collect()
}

/// The rows of a table whose first field is `key`.
fn rows<'a>(table: &'a str, key: &str) -> impl Iterator<Item = Vec<&'a str>> {
    let rows = table.lines().filter(|line| !line.starts_with('#')).map(|line| line.split(',').collect());
    rows.filter(move |row: &Vec<&str>| row[0] == key)
}

fn region(name: &str) -> usize {
    REGION_NAMES.iter().position(|known| *known == name).expect("a region of the tables")
}

/// The quantiles of scale / U^(1 / shape) at the middle of each level, in milliseconds.
fn pareto_quantiles(mean: f64) -> [u32; QUANTILES] {
    let (shape, scale) = (0.2 * mean, mean - 5.0);
    std::array::from_fn(|level| {
        let uniform = (level as f64 + 0.5) / QUANTILES as f64;
        libm::round(scale / libm::pow(uniform, 1.0 / shape)) as u32
    })
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;

    const PRESETS: [Preset; 3] = [Preset::SimBlock2015, Preset::SimBlock2019, Preset::BitcoinSimulator];

    #[test]
    fn every_table_is_whole() {
        for preset in PRESETS {
            let geography = Geography::new(preset);
            assert!((geography.cumulative[REGIONS - 1] - 1.0).abs() < 0.001, "{preset:?}");
            assert!(geography.download.iter().chain(&geography.upload).all(|bits| *bits > 1_000_000));
            assert!(geography.quantiles.iter().flatten().all(|ms| *ms > 0), "{preset:?}");
        }
        assert_eq!(outbound_links().len(), 20);
    }

    #[test]
    fn samples_have_the_mean_of_the_table() {
        let geography = Geography::new(Preset::SimBlock2015);
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let sum: u64 = (0..100_000).map(|_| geography.sample_latency(0, 1, &mut rng)).sum();
        // NORTH_AMERICA to EUROPE: 119 ms; the deviation of such a Pareto is about 5 ms
        assert!((118.5..119.5).contains(&(sum as f64 / 100_000.0)), "{sum}");
    }
}
