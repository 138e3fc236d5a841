//! Where kills hit.

use std::fmt;

/// Kills, counted by what the store's log said last.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    /// All of them.
    pub kills: usize,
    /// Between the first write of a reorganisation and its commit.
    pub in_reorganisation: usize,
    /// Between the first write of a block that extends the chain and its commit.
    pub in_connection: usize,
    /// While the database was written.
    pub in_flush: usize,
    /// While the journal was replayed.
    pub in_recovery: usize,
    /// After Ctrl-C, wherever that was.
    pub in_shutdown: usize,
}

impl Tally {
    /// Counts a kill after these lines of the store's log.
    pub fn count(&mut self, stages: &[String]) {
        self.kills += 1;
        let last = |word: &str| stages.iter().rposition(|stage| stage.contains(word));
        let is_open = |begin: Option<usize>, end: &str| begin.is_some() && begin > last(end);
        let append = last("Append {");
        if is_open(append, "Committed") {
            let extends = append.is_some_and(|place| stages[place].contains("disconnected: 0"));
            *(if extends { &mut self.in_connection } else { &mut self.in_reorganisation }) += 1;
        }
        self.in_flush += usize::from(is_open(last("FlushBegin"), "FlushEnd"));
        self.in_recovery += usize::from(stages.last().is_some_and(|stage| stage.contains("Replay")));
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kills, in_reorganisation, in_connection, in_flush, in_recovery, in_shutdown } = self;
        write!(
            f,
            "{kills} kills: {in_reorganisation} in a reorganisation, {in_connection} in a connection, {in_flush} in a \
             flush, {in_recovery} in a recovery, {in_shutdown} in a shutdown"
        )
    }
}
