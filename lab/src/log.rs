//! The event log: one JSON object a line, and a hash over all of them.

use serde::Serialize;
use sha2::{Digest, Sha256};
use tine_chain::hash::{BlockHash, Txid};
use tine_chain::time::Time;
use tine_node::event::Notice;

use crate::observe::{Observation, Observer};
use crate::order::Order;

/// Something that happened at a node, or to the network between them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "event")]
pub enum Happening {
    /// The node found a block.
    Mined {
        /// The block.
        block: BlockHash,
        /// Its height.
        height: u32,
    },
    /// The node saw a header for the first time.
    HeaderSeen {
        /// The block.
        block: BlockHash,
        /// Its height.
        height: u32,
    },
    /// The node has a new tip.
    Tip {
        /// The block.
        block: BlockHash,
        /// Its height.
        height: u32,
        /// How many blocks the node gave up for it.
        disconnected: usize,
    },
    /// The node holds a block invalid.
    Invalid {
        /// The block.
        block: BlockHash,
        /// The rule, as Core's reject string.
        reason: &'static str,
    },
    /// The node's mempool took a transaction.
    Transaction {
        /// The transaction.
        txid: Txid,
    },
    /// Links between the groups went down.
    Split {
        /// Who is with whom.
        groups: Vec<Vec<usize>>,
    },
    /// All links are up.
    Healed,
}

/// One line of the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// Milliseconds of virtual time since the start.
    pub ms: u64,
    /// The node, by index; none for the network.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<usize>,
    /// What happened.
    #[serde(flatten)]
    pub happening: Happening,
}

/// Everything that happened, and its running hash.
#[derive(Debug, Default)]
pub struct EventLog {
    /// When the first thing happened: the world's beginning.
    start: Option<Time>,
    hash: Sha256,
    entries: Vec<Entry>,
}

impl EventLog {
    /// Adds a line.
    pub fn record(&mut self, now: Time, node: Option<usize>, happening: Happening) {
        let start = *self.start.get_or_insert(now);
        let entry = Entry { ms: now.0 - start.0, node, happening };
        self.hash.update(Self::line(&entry));
        self.entries.push(entry);
    }

    /// Every line so far.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// SHA-256 of all lines, as 64 hexadecimal digits: equal for equal runs.
    #[must_use]
    pub fn hash(&self) -> String {
        hex::encode(self.hash.clone().finalize())
    }

    /// The lines as text: NDJSON.
    pub fn lines(&self) -> impl Iterator<Item = String> {
        self.entries.iter().map(Self::line)
    }

    fn notice(now: Time, node: usize, notice: &Notice) -> Option<(Time, usize, Happening)> {
        let happening = match notice {
            Notice::Chain(change) => {
                let block = change.tip?;
                let height = change.connected.last().map_or(0, |block| block.height);
                Happening::Tip { block, height, disconnected: change.disconnected.len() }
            }
            Notice::HeaderSeen(_, block, height, _) => {
                Happening::HeaderSeen { block: *block, height: *height }
            }
            Notice::BlockInvalid(block, reject) => {
                Happening::Invalid { block: *block, reason: reject.reason() }
            }
            Notice::TransactionAdded(transaction) => Happening::Transaction { txid: transaction.txid() },
            Notice::TransactionRemoved(..)
            | Notice::DoubleSpendAttempt { .. }
            | Notice::Syncing { .. }
            | Notice::Wanted(_) => return None,
        };
        Some((now, node, happening))
    }

    fn line(entry: &Entry) -> String {
        let mut line = serde_json::to_string(entry).expect("an entry is plain data");
        line.push('\n');
        line
    }
}

impl Observer for EventLog {
    fn see(&mut self, time: Time, seen: &Observation<'_>) {
        self.start.get_or_insert(time);
        match seen {
            Observation::Mined { node, hash, height, .. } => {
                self.record(time, Some(*node), Happening::Mined { block: *hash, height: *height });
            }
            Observation::Noticed { node, notice } => {
                if let Some((time, node, happening)) = Self::notice(time, *node, notice) {
                    self.record(time, Some(node), happening);
                }
            }
            Observation::Ordered(Order::Partition { groups }) => {
                self.record(time, None, Happening::Split { groups: groups.clone() });
            }
            Observation::Ordered(Order::Heal) => self.record(time, None, Happening::Healed),
            Observation::Ordered(
                Order::Quality { .. }
                | Order::Connect { .. }
                | Order::Disconnect { .. }
                | Order::Stop { .. }
                | Order::Start { .. }
                | Order::Skew { .. }
                | Order::Slow { .. }
                | Order::Share { .. }
                | Order::Rules { .. }
                | Order::Byzantine { .. }
                | Order::Mine { .. }
                | Order::Pay { .. },
            )
            | Observation::Sent { .. }
            | Observation::Lost { .. }
            | Observation::Received { .. }
            | Observation::Punished { .. }
            | Observation::Dropped { .. }
            | Observation::Linked { .. }
            | Observation::Unlinked { .. } => {}
        }
    }
}
