//! How a command ends: the exit codes, and the one error that every command returns.

use std::process::ExitCode;

/// Why a command did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Anything that is none of the others: exit 1.
    #[error("{0}")]
    Failed(String),
    /// The command line, the environment or the configuration file says something that can't be: exit 2.
    #[error("{0}")]
    Usage(String),
    /// No node answers there: exit 3.
    #[error("{0}")]
    Unreachable(String),
    /// A node answered, and refused: exit 4.
    #[error("{0}")]
    Rejected(String),
}

impl Error {
    /// 1 failed, 2 usage, 3 unreachable, 4 rejected.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Failed(_) => 1,
            Self::Usage(_) => 2,
            Self::Unreachable(_) => 3,
            Self::Rejected(_) => 4,
        }
    }

    /// An [`Error::Failed`] that says what was being done.
    pub fn failed(doing: impl std::fmt::Display, error: impl std::fmt::Display) -> Self {
        Self::Failed(format!("{doing}: {error}"))
    }
}

impl From<&Error> for ExitCode {
    fn from(error: &Error) -> Self {
        Self::from(error.exit_code())
    }
}
