//! Why the chain is as it is: reports of a reorganisation, and of the choice of tip.
//!
//! A report is made from the journal's entry and the bodies of the blocks that it names, and holds everything that a
//! page or a line of text shows. Blocks of the old branch are labelled `104a`, those of the new one `104b`.

use std::collections::BTreeMap;
use std::fmt;

use tine_chain::chain::Chain;
use tine_chain::hash::{BlockHash, Lock, Txid};
use tine_chain::journal::{BranchBlock, Fate, Reorg, TransactionFate};
use tine_chain::pow::Work;
use tine_chain::store::{BlockReader, StoreError};
use tine_chain::time::Time;
use tine_chain::transaction::{LOCK_TIME_THRESHOLD, OutPoint, SEQUENCE_FINAL, Transaction};
use tine_chain::tree::BlockEntry;

/// Why a branch was left for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// The new branch has more work behind it. Which one was seen first does not count.
    MostWork,
    /// Both have the same work, and an operator preferred the new one, or it was complete first.
    Tie,
    /// The old branch has more work: it, or a block of it, was declared invalid.
    OldInvalid,
}

impl Reason {
    fn of(old: Work, new: Work) -> Self {
        match new.cmp(&old) {
            std::cmp::Ordering::Greater => Self::MostWork,
            std::cmp::Ordering::Equal => Self::Tie,
            std::cmp::Ordering::Less => Self::OldInvalid,
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::MostWork => "most work, not first seen",
            Self::Tie => "a tie: preferred, or complete first",
            Self::OldInvalid => "the old branch was declared invalid",
        })
    }
}

/// A block of a report.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ReportBlock {
    /// `104a`: its height and its branch.
    pub label: String,
    /// Its id.
    pub hash: BlockHash,
    /// Its height.
    pub height: u32,
    /// Its place in the order in which blocks were first seen.
    pub sequence: u64,
    /// When it was first seen.
    pub seen: Time,
    /// How many transactions it has, the coinbase among them.
    pub transactions: u32,
}

impl ReportBlock {
    fn new(block: &BranchBlock, branch: &str) -> Self {
        Self {
            label: format!("{}{branch}", block.height),
            hash: block.hash,
            height: block.height,
            sequence: block.sequence,
            seen: block.seen,
            transactions: block.transactions,
        }
    }
}

/// What became of a transaction of the old branch.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case", tag = "fate")]
pub enum ReportFate {
    /// The new branch has it too.
    ConfirmedAgain {
        /// In this block.
        #[serde(rename = "in_block")]
        block: BlockHash,
        /// Its label.
        #[serde(rename = "in_label")]
        label: String,
    },
    /// It can be mined again: the mempool has it.
    Returned,
    /// It can be mined again later: the new tip is lower than it, or an ancestor, allows. Its wallet sends it again.
    TooEarly {
        /// The first height at which it may be mined.
        height: u32,
    },
    /// The new branch spends a coin that it spends, or that one of its ancestors does.
    Conflicted {
        /// The coin that both spend.
        coin: OutPoint,
        /// The transaction that has it now.
        by: Txid,
        /// The block that transaction is in.
        #[serde(rename = "in_block")]
        block: BlockHash,
        /// That block's label.
        #[serde(rename = "in_label")]
        label: String,
    },
    /// A coinbase of a block that no longer counts, or what was spent from one.
    Orphaned,
}

/// An output of a transaction: who was to be paid, and how much.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ReportOutput {
    /// The lock, from which a wallet can tell whose it is.
    pub lock: Lock,
    /// Base units.
    pub value: u64,
}

/// A transaction of the old branch.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ReportTransaction {
    /// Its id.
    pub txid: Txid,
    /// The block of the old branch that had it.
    pub block: BlockHash,
    /// That block's label.
    pub label: String,
    /// How many confirmations it had.
    pub confirmations: u32,
    /// Whether it is that block's coinbase.
    pub coinbase: bool,
    /// Whom it paid.
    pub outputs: Vec<ReportOutput>,
    /// What became of it.
    #[serde(flatten)]
    pub fate: ReportFate,
}

/// One reorganisation, explained.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ReorgReport {
    /// Its number in the journal, from 0.
    pub number: u64,
    /// When the node switched.
    pub time: Time,
    /// How many blocks were taken off the chain.
    pub depth: u32,
    /// The last block that both branches have.
    pub fork: ReportBlock,
    /// The old branch from the fork up.
    pub disconnected: Vec<ReportBlock>,
    /// The new branch from the fork up.
    pub connected: Vec<ReportBlock>,
    /// Cumulative work at the fork, 64 hexadecimal digits.
    pub fork_work: String,
    /// Cumulative work at the old tip.
    pub old_work: String,
    /// Cumulative work at the new tip.
    pub new_work: String,
    /// Why.
    pub reason: Reason,
    /// Every transaction of the old branch, in block order.
    pub transactions: Vec<ReportTransaction>,
    /// How many of them can be mined again.
    pub returned: usize,
    /// How many became conflicted.
    pub conflicted: usize,
}

impl ReorgReport {
    /// Explains a journal entry. Bodies that `reader` no longer has leave the outputs of their transactions out.
    ///
    /// # Errors
    /// When the store fails.
    pub fn new(reorg: &Reorg, reader: &dyn BlockReader) -> Result<Self, StoreError> {
        let branch = |blocks: &[BranchBlock], name: &str| -> Vec<ReportBlock> {
            blocks.iter().map(|block| ReportBlock::new(block, name)).collect()
        };
        let disconnected = branch(&reorg.disconnected, "a");
        let connected = branch(&reorg.connected, "b");
        let transactions = report_transactions(reorg, &disconnected, &connected, reader)?;
        let count = |wanted: fn(&ReportFate) -> bool| {
            transactions.iter().filter(|transaction| wanted(&transaction.fate)).count()
        };
        Ok(Self {
            number: reorg.number,
            time: reorg.time,
            depth: u32::try_from(disconnected.len()).unwrap_or(u32::MAX),
            fork: ReportBlock::new(&reorg.fork, ""),
            fork_work: reorg.fork_work.to_string(),
            old_work: reorg.old_work.to_string(),
            new_work: reorg.new_work.to_string(),
            reason: Reason::of(reorg.old_work, reorg.new_work),
            returned: count(|fate| matches!(fate, ReportFate::Returned)),
            conflicted: count(|fate| matches!(fate, ReportFate::Conflicted { .. })),
            disconnected,
            connected,
            transactions,
        })
    }
}

fn report_transactions(
    reorg: &Reorg,
    disconnected: &[ReportBlock],
    connected: &[ReportBlock],
    reader: &dyn BlockReader,
) -> Result<Vec<ReportTransaction>, StoreError> {
    let label = |hash: &BlockHash| {
        let known = disconnected.iter().chain(connected).find(|block| block.hash == *hash);
        known.map_or_else(|| short(hash), |block| block.label.clone())
    };
    let new_height = reorg.connected.last().map_or(reorg.fork.height, |tip| tip.height);
    let mut too_early = BTreeMap::new();
    let mut body = None;
    let mut reports = Vec::with_capacity(reorg.transactions.len());
    for TransactionFate { txid, block, confirmations, fate } in &reorg.transactions {
        // transactions come in block order: each body is read once
        if body.as_ref().is_none_or(|(hash, _)| hash != block) {
            body = Some((*block, reader.block(block)?));
        }
        let transactions =
            body.iter().filter_map(|(_, body)| body.as_ref()).flat_map(|body| &body.transactions);
        let found = transactions.into_iter().find(|tx| tx.txid() == *txid);
        let outputs = found.iter().flat_map(|tx| &tx.outputs);
        reports.push(ReportTransaction {
            txid: *txid,
            block: *block,
            label: label(block),
            confirmations: *confirmations,
            coinbase: found.is_some_and(|tx| tx.is_coinbase()),
            outputs: outputs
                .map(|output| ReportOutput { lock: output.lock, value: output.value.0 })
                .collect(),
            fate: match fate {
                Fate::ConfirmedAgain { block } => {
                    ReportFate::ConfirmedAgain { block: *block, label: label(block) }
                }
                Fate::Returned => {
                    let height = found.and_then(|tx| first_height(tx, new_height, &too_early));
                    too_early.extend(height.map(|height| (*txid, height)));
                    height.map_or(ReportFate::Returned, |height| ReportFate::TooEarly { height })
                }
                Fate::Conflicted { coin, by, block } => {
                    ReportFate::Conflicted { coin: *coin, by: *by, block: *block, label: label(block) }
                }
                Fate::Orphaned => ReportFate::Orphaned,
            },
        });
    }
    Ok(reports)
}

/// The first height at which a transaction may be mined, when that is above the block after a tip at `tip_height`:
/// "final when lock_time < height", and not before what it spends.
fn first_height(tx: &Transaction, tip_height: u32, too_early: &BTreeMap<Txid, u32>) -> Option<u32> {
    let locked = tx.lock_time < LOCK_TIME_THRESHOLD
        && tx.lock_time > tip_height
        && tx.inputs.iter().any(|input| input.sequence != SEQUENCE_FINAL);
    let own = locked.then(|| tx.lock_time + 1);
    tx.inputs.iter().filter_map(|input| too_early.get(&input.prevout.txid).copied()).chain(own).max()
}

/// The first eight digits of an id.
fn short(id: &impl fmt::Display) -> String {
    format!("{:.8}…", id.to_string())
}

/// A coin as `<8 digits>…:<index>`.
fn short_coin(coin: &OutPoint) -> String {
    format!("{}:{}", short(&coin.txid), coin.vout)
}

/// Work without its leading zeros: `0x2d4`.
fn short_work(work: &str) -> String {
    let digits = work.trim_start_matches('0');
    format!("0x{}", if digits.is_empty() { "0" } else { digits })
}

/// A block's label and the end of its id that differs: the first digits are zeros.
fn short_block(block: Option<&ReportBlock>) -> String {
    block.map_or_else(String::new, |block| format!("{} {}", block.label, short(&block.hash)))
}

impl fmt::Display for ReorgReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let old = short_block(self.disconnected.last());
        let new = short_block(self.connected.last().or(Some(&self.fork)));
        writeln!(
            f,
            "REORG #{}  depth {}   {old} → {new}   fork at {}",
            self.number, self.depth, self.fork.height
        )?;
        let (new_work, old_work) = (short_work(&self.new_work), short_work(&self.old_work));
        let sign = match self.reason {
            Reason::MostWork => ">",
            Reason::Tie => "=",
            Reason::OldInvalid => "<",
        };
        writeln!(f, "  why   work {new_work} {sign} {old_work} ({})", self.reason)?;
        for (name, blocks) in [("out  ", &self.disconnected), ("in   ", &self.connected)] {
            // invalidateblock alone takes blocks off and puts none on
            if !blocks.is_empty() {
                let list: Vec<String> = blocks.iter().map(|block| short_block(Some(block))).collect();
                writeln!(f, "  {name} {}", list.join("  "))?;
            }
        }
        for transaction in self.transactions.iter().filter(|transaction| !transaction.coinbase) {
            writeln!(f, "  tx {transaction}")?;
        }
        let coinbases = self.transactions.iter().filter(|transaction| transaction.coinbase).count();
        write!(
            f,
            "  {} reversed, {} returned to the mempool, {} void",
            plural(self.conflicted, "payment"),
            plural(self.returned, "transaction"),
            plural(coinbases, "block reward"),
        )
    }
}

fn plural(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

impl fmt::Display for ReportTransaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let confirmations = plural(self.confirmations as usize, "confirmation");
        write!(f, "{} had {confirmations} → ", short(&self.txid))?;
        match &self.fate {
            ReportFate::ConfirmedAgain { label, .. } => write!(f, "confirmed again in {label}"),
            ReportFate::Returned => f.write_str("back in the mempool"),
            ReportFate::TooEarly { height } => {
                write!(f, "unconfirmed, and too early to be mined before {height}")
            }
            ReportFate::Conflicted { coin, by, label, .. } => {
                let (by, coin) = (short(by), short_coin(coin));
                write!(f, "CONFLICTED: {by} in {label} spends the same coin {coin}")
            }
            ReportFate::Orphaned => f.write_str("void: it spends a reward that no longer exists"),
        }
    }
}

/// Why a tip that is not the active one is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Against {
    /// Less work behind it.
    LessWork,
    /// The same work, but it was seen, or complete, later.
    SeenLater,
    /// It or an ancestor is not valid.
    Invalid,
    /// Bodies are missing: they are being fetched, or nobody has them.
    Incomplete,
    /// It is better, and the switch to it is under way.
    Pending,
}

impl fmt::Display for Against {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::LessWork => "less work",
            Self::SeenLater => "the same work, but complete later",
            Self::Invalid => "not valid",
            Self::Incomplete => "bodies are missing",
            Self::Pending => "better: switching to it",
        })
    }
}

/// A tip that is not the active one.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Rival {
    /// Its id.
    pub hash: BlockHash,
    /// Its height.
    pub height: u32,
    /// Cumulative work, 64 hexadecimal digits.
    pub work: String,
    /// The height of the last block that it shares with the active chain.
    pub fork_height: u32,
    /// Why it is not the active one.
    pub against: Against,
}

/// Why the tip is the tip.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct TipReport {
    /// Its id.
    pub hash: BlockHash,
    /// Its height.
    pub height: u32,
    /// Cumulative work, 64 hexadecimal digits.
    pub work: String,
    /// When it was first seen.
    pub seen: Time,
    /// The other tips, the most work first.
    pub rivals: Vec<Rival>,
}

/// Why the active tip of `chain` is what it is.
#[must_use]
pub fn explain_tip(chain: &Chain) -> TipReport {
    let tip = chain.tip();
    let mut tips: Vec<&BlockEntry> =
        chain.tree().tips().filter(|other| !chain.is_active(&other.hash)).collect();
    tips.sort_by_key(|entry| (std::cmp::Reverse(entry.work), entry.sequence));
    let rivals = tips.into_iter().map(|entry| Rival {
        hash: entry.hash,
        height: entry.height,
        work: entry.work.to_string(),
        fork_height: chain.tree().fork_point(&tip.hash, &entry.hash).map_or(0, |fork| fork.height),
        against: against(entry, tip),
    });
    TipReport {
        hash: tip.hash,
        height: tip.height,
        work: tip.work.to_string(),
        seen: tip.seen,
        rivals: rivals.collect(),
    }
}

fn against(entry: &BlockEntry, tip: &BlockEntry) -> Against {
    if entry.invalid.is_some() {
        return Against::Invalid;
    }
    match entry.work.cmp(&tip.work) {
        std::cmp::Ordering::Less => Against::LessWork,
        std::cmp::Ordering::Equal if entry.connectable => Against::SeenLater,
        std::cmp::Ordering::Greater if entry.connectable => Against::Pending,
        std::cmp::Ordering::Equal | std::cmp::Ordering::Greater => Against::Incomplete,
    }
}

impl fmt::Display for TipReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TIP {} {}   work {}", self.height, short(&self.hash), short_work(&self.work))?;
        if self.rivals.is_empty() {
            return write!(f, "\n  why   no other branch is known");
        }
        for rival in &self.rivals {
            let (hash, work) = (short(&rival.hash), short_work(&rival.work));
            write!(f, "\n  not   {} {hash}   work {work}, fork at {}", rival.height, rival.fork_height)?;
            write!(f, ": {}", rival.against)?;
        }
        Ok(())
    }
}
