//! How long a message is on its way.

use std::time::Duration;

use rand::{Rng, RngExt};

use crate::geography::{Geography, Preset};

/// The delay of messages.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Latency {
    /// Always the same.
    Constant(Duration),
    /// Each link draws its own between the two, and each message up to a tenth of it more.
    Uniform(Duration, Duration),
    /// Each message draws its own: exponential, of this mean.
    Exponential(Duration),
    /// Nodes are in regions of the world; each message draws from a measured distribution.
    Measured(Preset),
}

/// How long a block of so many bytes takes to pass, beside the latency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Bandwidth {
    /// No time.
    Unlimited,
    /// Each node sends so many bits a second, one message after the other.
    Constant(u64),
    /// The lower of the sender's upload and the receiver's download, by their regions of [`Latency::Measured`]; a node
    /// sends one message after the other.
    Measured,
}

/// The latency model of one world, with what it keeps for drawing.
#[derive(Debug)]
pub(crate) struct Delays {
    latency: Latency,
    bandwidth: Bandwidth,
    geography: Option<Geography>,
}

impl Delays {
    pub(crate) fn new(latency: Latency, bandwidth: Bandwidth) -> Self {
        let geography = match latency {
            Latency::Measured(preset) => Some(Geography::new(preset)),
            Latency::Constant(_) | Latency::Uniform(..) | Latency::Exponential(_) => None,
        };
        Self { latency, bandwidth, geography }
    }

    /// Where a node is.
    pub(crate) fn region(&self, rng: &mut impl Rng) -> u8 {
        self.geography.as_ref().map_or(0, |geography| geography.sample_region(rng))
    }

    /// What belongs to a link for good, in milliseconds.
    pub(crate) fn link(&self, rng: &mut impl Rng) -> u32 {
        let ms = match self.latency {
            Latency::Constant(delay) => delay.as_millis() as u64,
            Latency::Uniform(low, high) => {
                let (low, high) = (low.as_millis() as u64, high.as_millis() as u64);
                rng.random_range(low.min(high)..=high.max(low))
            }
            Latency::Exponential(_) | Latency::Measured(_) => 0,
        };
        u32::try_from(ms).unwrap_or(u32::MAX)
    }

    /// Draws how long one message takes over a link, in milliseconds.
    pub(crate) fn sample(&self, link_ms: u32, from: u8, to: u8, rng: &mut impl Rng) -> u64 {
        let link = u64::from(link_ms);
        match self.latency {
            Latency::Constant(_) => link,
            Latency::Uniform(..) => link + rng.random_range(0..=link / 10),
            Latency::Exponential(mean) => {
                let uniform: f64 = 1.0 - rng.random::<f64>(); // in (0, 1]
                (-libm::log(uniform) * mean.as_millis() as f64) as u64
            }
            Latency::Measured(_) => {
                self.geography.as_ref().map_or(0, |geography| geography.sample_latency(from, to, rng))
            }
        }
    }

    /// How long `bytes` take to be sent, in milliseconds; `None` when that is no time.
    pub(crate) fn transfer(&self, bytes: usize, from: u8, to: u8) -> Option<u64> {
        let bits_a_second = match (self.bandwidth, &self.geography) {
            (Bandwidth::Unlimited, _) | (Bandwidth::Measured, None) => return None,
            (Bandwidth::Constant(bits), _) => bits.max(1),
            (Bandwidth::Measured, Some(geography)) => geography.upload(from).min(geography.download(to)),
        };
        Some(bytes as u64 * 8 * 1_000 / bits_a_second)
    }
}
