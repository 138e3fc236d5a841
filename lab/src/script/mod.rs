//! Scenarios as text: a world, what befalls it and when, and what must be true in the end.
//!
//! The text is TOML, read strictly: what is not known is refused, and errors name line, value and limit. [`gallery`] holds
//! ready ones, [`play`] runs them.

mod file;
pub mod gallery;
mod measure;
pub mod play;
mod tell;

pub use file::{Amounts, Doing, Expect, Script, ScriptError, Step};
pub use measure::{Measure, Verdict};
