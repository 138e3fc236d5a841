//! The event log: one line of JSON for each thing that happened, the same for the lab and for a devnet.
//!
//! Every line that speaks of a node carries its Lamport clock and its vector clock (Lamport 1978; Fidge and Mattern
//! 1988). Messages are not logged one by one: seeing a block's header first *from a peer* comes after that peer's own
//! first sight of it, and that is the edge by which clocks are joined. `docs/events.md` shows every kind of line.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use tine_chain::block::Block;
use tine_chain::codec::Encode;
use tine_chain::hash::{BlockHash, Txid};
use tine_chain::time::Time;
use tine_chain::transaction::OutPoint;

use crate::event::{Notice, Removal};
use crate::peers::Offence;

/// Nodes from which on lines carry no vector clock, only Lamport's.
pub const MAX_VECTOR: usize = 64;
/// First sights that are remembered for the clocks; older ones join nothing any more.
const MAX_SIGHTS: usize = 100_000;

/// Something that happened at a node, or to all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "event")]
pub enum Happening {
    /// The first line.
    Start {
        /// The program's version.
        version: String,
        /// What was run: a scenario's name, or `devnet`.
        name: String,
        /// What all randomness was drawn from, if it was repeatable.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        seed: Option<u64>,
        /// All nodes.
        nodes: Vec<String>,
        /// The whole text of the scenario; empty for a devnet.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        scenario: String,
    },
    /// Something was done to the network, in words.
    Step {
        /// What.
        text: String,
    },
    /// The network fell apart.
    Split {
        /// Who is with whom.
        groups: Vec<Vec<String>>,
    },
    /// The network is whole again.
    Heal,
    /// The node misbehaves from now on.
    Byzantine {
        /// How; `honest` when it stops.
        strategy: String,
    },
    /// The node found a block.
    Mined {
        /// The block.
        block: BlockHash,
        /// Its height.
        height: u32,
    },
    /// The node saw a header for the first time.
    Header {
        /// The block.
        block: BlockHash,
        /// Its parent.
        parent: BlockHash,
        /// Its height.
        height: u32,
        /// Its 80 bytes, in hexadecimal digits.
        raw: String,
        /// The peer that it came from; none for a block of the node's own.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        from: Option<String>,
    },
    /// The node has a block's body.
    Body {
        /// The block.
        block: BlockHash,
        /// Its whole encoding, in hexadecimal digits, in the first such line of the log for this block.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        raw: Option<String>,
    },
    /// The node has a new tip.
    Tip {
        /// The block.
        block: BlockHash,
        /// Its height.
        height: u32,
        /// Blocks given up, from the old tip down.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        disconnected: Vec<BlockHash>,
        /// Blocks taken up, from the fork up.
        connected: Vec<BlockHash>,
    },
    /// The node holds a block invalid.
    Invalid {
        /// The block.
        block: BlockHash,
        /// The rule, as Core's reject string.
        reason: String,
    },
    /// The node's mempool took a transaction.
    Transaction {
        /// The transaction.
        txid: Txid,
    },
    /// The node's mempool dropped a transaction.
    Removed {
        /// The transaction.
        txid: Txid,
        /// Why.
        why: Removal,
    },
    /// The node refused a transaction that spends a coin twice.
    DoubleSpend {
        /// The transaction refused.
        refused: Txid,
        /// The one in the mempool.
        kept: Txid,
        /// The coin.
        coin: OutPoint,
    },
    /// The node charged a peer.
    Punished {
        /// Whom.
        peer: String,
        /// For what.
        offence: Offence,
    },
}

/// One line of the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// When, milliseconds since 1970; virtual in the lab.
    pub time: Time,
    /// The node; none for what happens to all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// The node's Lamport clock.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub lamport: u64,
    /// The node's vector clock; of up to [`MAX_VECTOR`] nodes.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub clock: BTreeMap<String, u64>,
    /// What happened.
    #[serde(flatten)]
    pub happening: Happening,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands out references")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl Entry {
    /// The line, its newline included.
    #[must_use]
    pub fn line(&self) -> String {
        let mut line = serde_json::to_string(self).expect("an entry is plain data");
        line.push('\n');
        line
    }
}

/// A node's clocks.
#[derive(Debug, Clone, Default)]
struct Clock {
    lamport: u64,
    vector: BTreeMap<usize, u64>,
}

/// Writes down what nodes tell, and keeps their clocks.
#[derive(Debug)]
pub struct Recorder {
    names: Vec<String>,
    clocks: Vec<Clock>,
    /// The clock of each node when it first saw a block.
    sights: BTreeMap<(BlockHash, usize), Clock>,
    /// Blocks whose bodies are in the log.
    bodies: BTreeSet<BlockHash>,
}

impl Recorder {
    /// A recorder for the nodes called `names`.
    #[must_use]
    pub fn new(names: Vec<String>) -> Self {
        let clocks = vec![Clock::default(); names.len()];
        Self { names, clocks, sights: BTreeMap::new(), bodies: BTreeSet::new() }
    }

    /// The nodes.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// From now on bodies are written out again: the log goes on in another file.
    pub fn forget_bodies(&mut self) {
        self.bodies.clear();
    }

    /// A line about all.
    #[must_use]
    pub fn global(&self, time: Time, happening: Happening) -> Entry {
        Entry { time, node: None, lamport: 0, clock: BTreeMap::new(), happening }
    }

    /// A line about one node, by its place among the names.
    pub fn local(&mut self, time: Time, node: usize, happening: Happening) -> Entry {
        self.after(time, node, None, happening)
    }

    fn after(&mut self, time: Time, node: usize, cause: Option<Clock>, happening: Happening) -> Entry {
        let vectors = self.names.len() <= MAX_VECTOR;
        let clock = &mut self.clocks[node];
        if let Some(cause) = cause {
            clock.lamport = clock.lamport.max(cause.lamport);
            for (other, count) in cause.vector {
                let own = clock.vector.entry(other).or_default();
                *own = (*own).max(count);
            }
        }
        clock.lamport += 1;
        if vectors {
            *clock.vector.entry(node).or_default() += 1;
        }
        Entry {
            time,
            node: Some(self.names[node].clone()),
            lamport: clock.lamport,
            clock: clock.vector.iter().map(|(node, count)| (self.names[*node].clone(), *count)).collect(),
            happening,
        }
    }

    /// What a node's notice says, in lines; `from` is the peer by whose message it came, if it is one of the nodes.
    pub fn notice(&mut self, time: Time, node: usize, notice: &Notice, from: Option<usize>) -> Vec<Entry> {
        match notice {
            Notice::HeaderSeen(header, block, height, peer) => {
                let from = from.filter(|from| peer.is_some() && *from != node);
                let cause = from.and_then(|from| self.sights.get(&(*block, from)).cloned());
                let happening = Happening::Header {
                    block: *block,
                    parent: header.prev_block,
                    height: *height,
                    raw: hex::encode(header.to_array()),
                    from: from.map(|from| self.names[from].clone()),
                };
                let entry = self.after(time, node, cause, happening);
                if self.sights.len() >= MAX_SIGHTS {
                    self.sights.clear();
                }
                self.sights.insert((*block, node), self.clocks[node].clone());
                vec![entry]
            }
            Notice::Chain(change) => {
                let mut entries: Vec<Entry> = Vec::new();
                for (hash, block) in &change.stored {
                    let happening = self.body(*hash, block);
                    entries.push(self.local(time, node, happening));
                }
                if let Some(block) = change.tip {
                    let connected: Vec<BlockHash> = change.connected.iter().map(|block| block.hash).collect();
                    let height = change.connected.last().map_or(0, |block| block.height);
                    let disconnected = change.disconnected.iter().map(|block| block.hash).collect();
                    let happening = Happening::Tip { block, height, disconnected, connected };
                    entries.push(self.local(time, node, happening));
                }
                entries
            }
            Notice::BlockInvalid(block, reject) => {
                let happening = Happening::Invalid { block: *block, reason: reject.reason().to_owned() };
                vec![self.local(time, node, happening)]
            }
            Notice::TransactionAdded(tx) => {
                vec![self.local(time, node, Happening::Transaction { txid: tx.txid() })]
            }
            Notice::TransactionRemoved(txid, why) => {
                vec![self.local(time, node, Happening::Removed { txid: *txid, why: why.clone() })]
            }
            Notice::DoubleSpendAttempt { refused, kept, coin } => {
                let happening = Happening::DoubleSpend { refused: *refused, kept: *kept, coin: *coin };
                vec![self.local(time, node, happening)]
            }
            Notice::Syncing { .. } | Notice::Wanted(_) => Vec::new(),
        }
    }

    /// That a node has a body; its bytes are in the first such line of the log for this block.
    pub fn body(&mut self, block: BlockHash, body: &Block) -> Happening {
        let first = self.bodies.insert(block);
        Happening::Body { block, raw: first.then(|| hex::encode(body.to_bytes())) }
    }
}
