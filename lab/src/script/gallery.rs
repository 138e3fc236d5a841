//! The ready scenarios, in the order in which they are best read. Each lies in `lab/scenarios/` as text.

use super::{Script, ScriptError};

/// A ready scenario.
#[derive(Debug, Clone, Copy)]
pub struct Exhibit {
    /// What it is called.
    pub name: &'static str,
    /// Its text.
    pub text: &'static str,
}

macro_rules! exhibits {
    ($($name:literal),+ $(,)?) => {
        /// All of them.
        pub const GALLERY: &[Exhibit] = &[$(
            Exhibit { name: $name, text: include_str!(concat!("../../scenarios/", $name, ".toml")) }
        ),+];
    };
}

exhibits!(
    "natural-fork",
    "partition-short",
    "partition-long",
    "partition-uneven",
    "double-spend-race",
    "finney",
    "vector76",
    "majority-rewrite",
    "selfish-mining",
    "stubborn-mining",
    "block-withholding",
    "eclipse",
    "equivocating-miner",
    "timewarp",
    "timewarp-bip54",
    "hash-rate-crash",
    "invalid-block-flood",
    "slow-links",
    "lagging-peer",
    "header-spam",
    "soft-fork",
    "hard-fork",
);

impl Exhibit {
    /// The one called `name`.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        GALLERY.iter().copied().find(|exhibit| exhibit.name == name)
    }

    /// Reads it.
    ///
    /// # Errors
    /// Never: a test reads all of them.
    pub fn script(self) -> Result<Script, ScriptError> {
        Script::parse(self.text)
    }
}
