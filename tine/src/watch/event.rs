//! What the terminal view is told: one shape for a running network and for a recorded run.

use std::collections::BTreeSet;
use std::sync::Arc;

use tine_chain::hash::{BlockHash, Txid};
use tine_chain::time::Time;
use tine_node::explain::ReorgReport;

/// The longest name, tag or reason that is shown, in characters: whoever sends a longer one gains nothing.
const MAX_NAME: usize = 64;
/// The longest line of other text that is shown, in characters.
const MAX_LINE: usize = 512;

/// Something that happened.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    /// When, milliseconds since 1970; virtual in the lab.
    pub(crate) time: Time,
    /// What.
    pub(crate) what: What,
}

/// What happened; nodes are places in the list of nodes.
#[derive(Debug, Clone)]
pub(crate) enum What {
    /// A node saw a block's header for the first time.
    Seen(usize, BlockHash),
    /// A node has a new tip.
    Tip(usize, BlockHash),
    /// A node changed branches.
    Reorg(usize, Arc<ReorgReport>),
    /// A node holds a block invalid: the rule.
    Invalid(usize, BlockHash, String),
    /// A node's mempool took a transaction.
    Payment(usize, Txid),
    /// A node's mempool dropped a transaction.
    Dropped(usize),
    /// A node's mempool took a transaction in the place of another that spends the same coin.
    Replaced {
        /// The node.
        node: usize,
        /// The transaction that had to go.
        gone: Txid,
        /// The one that is there instead.
        by: Txid,
        /// The coin that both spend.
        coin: String,
    },
    /// A node refused a transaction that spends a coin twice.
    DoubleSpend {
        /// The node.
        node: usize,
        /// The transaction refused.
        refused: Txid,
        /// The one in its mempool.
        kept: Txid,
        /// The coin that both spend.
        coin: String,
    },
    /// The network fell apart: who is with whom.
    Split(Vec<BTreeSet<usize>>),
    /// The network is whole again.
    Heal,
    /// What a node says of itself has changed.
    Status(usize, Status),
    /// A node answers.
    Up(usize),
    /// A node does not answer any more: why.
    Down(usize, String),
    /// Something else, in words; of one node or of all.
    Note(Option<usize>, String),
}

/// What a node says of itself.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Status {
    /// Connected peers.
    pub(crate) peers: usize,
    /// Transactions that wait.
    pub(crate) mempool: usize,
    /// Hashes a second; `None`: it has no miner.
    pub(crate) hashrate: Option<f64>,
    /// Whether its miner mines.
    pub(crate) mining: bool,
    /// Milliseconds that its messages are late on purpose.
    pub(crate) delay_ms: u64,
    /// How many of 100 of its messages are lost on purpose.
    pub(crate) drop_percent: u8,
}

impl Status {
    /// Whether `other` says something else: a measured rate alone, which never stands still, does not.
    pub(crate) fn differs(&self, other: &Self) -> bool {
        let plain = |status: &Self| Self { hashrate: status.hashrate.map(|_| 0.0), ..status.clone() };
        plain(self) != plain(other)
    }
}

/// What a block is, at whatever moment it is looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BlockFacts {
    /// Its id.
    pub(crate) hash: BlockHash,
    /// Its parent's.
    pub(crate) prev: BlockHash,
    /// Its height.
    pub(crate) height: u32,
    /// Cumulative work, 64 hexadecimal digits: their order is that of the work.
    pub(crate) work: String,
    /// The tag of who mined it.
    pub(crate) miner: Option<String>,
    /// How many transactions it has; `None`: its body is not known here.
    pub(crate) txs: Option<usize>,
}

/// A name, tag or reason that somebody else chose, fit for a terminal.
pub(crate) fn plain_name(text: &str) -> String {
    harmless(text).take(MAX_NAME).collect()
}

/// A line of text that somebody else may have had a part in, fit for a terminal.
pub(crate) fn plain_line(text: &str) -> String {
    harmless(text).take(MAX_LINE).collect()
}

/// The characters that can't drive a terminal: no control characters (C0, DEL, C1, and with them every escape sequence),
/// nothing that turns the direction of text or has no width, no line or paragraph separators.
fn harmless(text: &str) -> impl Iterator<Item = char> + '_ {
    let is_hidden = |letter: char| {
        matches!(letter,
            '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{feff}' | '\u{fe00}'..='\u{fe0f}' | '\u{e0000}'..='\u{e0fff}')
    };
    text.chars().filter(move |letter| !letter.is_control() && !is_hidden(*letter))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_wrote_cannot_drive_the_terminal() {
        assert_eq!(plain_name("/tine:0.1/"), "/tine:0.1/");
        assert_eq!(plain_name("\u{1b}[2J\u{1b}]0;owned\u{7}x\r\n"), "[2J]0;ownedx");
        assert_eq!(plain_name("\u{9b}31mred\u{7f}"), "31mred", "C1 begins a sequence too");
        assert_eq!(plain_name("a\u{202e}b\u{200b}c\u{2066}d"), "abcd", "nothing turns or hides text");
        assert_eq!(plain_name(&"x".repeat(10_000)).len(), MAX_NAME);
        assert_eq!(plain_line(&"ü".repeat(10_000)).chars().count(), MAX_LINE);
    }

    #[test]
    fn a_rate_that_wavers_is_no_news() {
        let status = |hashrate, mempool| Status { hashrate, mempool, ..Status::default() };
        assert!(!status(Some(10.0), 1).differs(&status(Some(11.0), 1)));
        assert!(status(Some(10.0), 1).differs(&status(Some(10.0), 2)));
        assert!(status(Some(10.0), 1).differs(&status(None, 1)));
    }
}
