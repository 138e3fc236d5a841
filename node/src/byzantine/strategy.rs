//! The adversaries by name.

use super::Adversary;
use super::double_spend::{DoubleSpend, Plan};
use super::eclipse::Eclipse;
use super::equivocate::Equivocate;
use super::headers::HeaderSpam;
use super::invalid::InvalidFlood;
use super::selfish::{Rules, Selfish};
use super::slow::{Lagging, Silent};
use super::time::{TimeLiar, Timewarp};

/// A named way to misbehave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Strategy {
    /// Selfish mining as published: Eyal and Sirer's algorithm 1.
    Selfish,
    /// Selfish mining that keeps a lead of one secret.
    LeadStubborn,
    /// Selfish mining that keeps the block which would decide a race secret.
    EqualForkStubborn,
    /// Selfish mining that goes on one block behind.
    TrailStubborn,
    /// Shows a private branch whole, when others have all but caught up.
    Withholding,
    /// Passes nothing on.
    Eclipse,
    /// Two blocks at each height.
    Equivocating,
    /// Old timestamps, and a late one where difficulty is measured.
    Timewarp,
    /// Timestamps as far ahead as the rules allow.
    TimeLiar,
    /// Blocks with proof of work that pay too much.
    InvalidFlood,
    /// A payment out of a block that exists already.
    Finney,
    /// A deposit confirmed in a branch that is meant to lose.
    Vector76,
    /// A secret branch with the conflicting payment.
    DoubleSpend,
    /// Never answers.
    Silent,
    /// Answers late.
    Lagging,
    /// Endless headers of little work.
    HeaderSpam,
}

/// A text that names no strategy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no adversary; there are {names}", names = names())]
pub struct ParseStrategyError(String);

fn names() -> String {
    Strategy::ALL.map(Strategy::name).join(", ")
}

impl Strategy {
    /// All of them.
    pub const ALL: [Self; 16] = [
        Self::Selfish,
        Self::LeadStubborn,
        Self::EqualForkStubborn,
        Self::TrailStubborn,
        Self::Withholding,
        Self::Eclipse,
        Self::Equivocating,
        Self::Timewarp,
        Self::TimeLiar,
        Self::InvalidFlood,
        Self::Finney,
        Self::Vector76,
        Self::DoubleSpend,
        Self::Silent,
        Self::Lagging,
        Self::HeaderSpam,
    ];

    /// The name, in lower case with hyphens.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Selfish => "selfish",
            Self::LeadStubborn => "lead-stubborn",
            Self::EqualForkStubborn => "equal-fork-stubborn",
            Self::TrailStubborn => "trail-stubborn",
            Self::Withholding => "withholding",
            Self::Eclipse => "eclipse",
            Self::Equivocating => "equivocating",
            Self::Timewarp => "timewarp",
            Self::TimeLiar => "time-liar",
            Self::InvalidFlood => "invalid-flood",
            Self::Finney => "finney",
            Self::Vector76 => "vector76",
            Self::DoubleSpend => "double-spend",
            Self::Silent => "silent",
            Self::Lagging => "lagging",
            Self::HeaderSpam => "header-spam",
        }
    }

    /// One line for people.
    #[must_use]
    pub fn describe(self) -> &'static str {
        match self {
            Self::Selfish => "hides its blocks and shows them to waste others' work (Eyal and Sirer 2014)",
            Self::LeadStubborn => {
                "selfish, and shows only one block when it is one ahead (Nayak et al. 2016, L)"
            }
            Self::EqualForkStubborn => {
                "selfish, and hides the block that would win a race (Nayak et al. 2016, F)"
            }
            Self::TrailStubborn => "selfish, and goes on one block behind (Nayak et al. 2016, T1)",
            Self::Withholding => {
                "hides a whole branch until others have all but caught up: one deep reorganisation"
            }
            Self::Eclipse => "passes nothing on: who has no other peers sees no block but its own",
            Self::Equivocating => "finds two blocks for each height and shows both at once",
            Self::Timewarp => {
                "stamps blocks early and the last of each period late, to bring difficulty down"
            }
            Self::TimeLiar => "stamps blocks as far ahead of the clock as others bear",
            Self::InvalidFlood => "spends its power on blocks that pay one unit too much",
            Self::Finney => {
                "hides a block with its own payment, pays the merchant with the same coin, shows the block"
            }
            Self::Vector76 => {
                "confirms its deposit in a branch of one block, and takes the coin back in the other"
            }
            Self::DoubleSpend => "mines the conflicting payment in secret until the merchant has delivered",
            Self::Silent => "asks, and never answers",
            Self::Lagging => "answers and announces eight seconds late",
            Self::HeaderSpam => "answers every question for headers with new ones of little work",
        }
    }

    /// The adversary itself. `seed` decides whatever it chooses at random.
    #[must_use]
    pub fn adversary(self, seed: u64) -> Box<dyn Adversary> {
        match self {
            Self::Selfish => Box::new(Selfish::new(Rules::default(), seed)),
            Self::LeadStubborn => {
                Box::new(Selfish::new(Rules { lead_stubborn: true, ..Rules::default() }, seed))
            }
            Self::EqualForkStubborn => {
                Box::new(Selfish::new(Rules { equal_fork_stubborn: true, ..Rules::default() }, seed))
            }
            Self::TrailStubborn => Box::new(Selfish::new(Rules { trail: 1, ..Rules::default() }, seed)),
            Self::Withholding => {
                Box::new(Selfish::new(Rules { silent_lead: true, ..Rules::default() }, seed))
            }
            Self::Eclipse => Box::new(Eclipse::default()),
            Self::Equivocating => Box::new(Equivocate::new(seed)),
            Self::Timewarp => Box::new(Timewarp),
            Self::TimeLiar => Box::new(TimeLiar),
            Self::InvalidFlood => Box::new(InvalidFlood::new(seed)),
            Self::Finney => Box::new(DoubleSpend::new(Plan::Finney, seed)),
            Self::Vector76 => Box::new(DoubleSpend::new(Plan::Vector76, seed)),
            Self::DoubleSpend => Box::new(DoubleSpend::new(Plan::Majority, seed)),
            Self::Silent => Box::new(Silent),
            Self::Lagging => Box::new(Lagging::default()),
            Self::HeaderSpam => Box::new(HeaderSpam::new(seed)),
        }
    }
}

impl std::fmt::Display for Strategy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

impl std::str::FromStr for Strategy {
    type Err = ParseStrategyError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|strategy| strategy.name() == text)
            .ok_or_else(|| ParseStrategyError(text.to_owned()))
    }
}

impl serde::Serialize for Strategy {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> serde::Deserialize<'de> for Strategy {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}
