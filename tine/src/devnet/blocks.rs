//! One line for each block: height, id, miner, transactions, when each node saw it. And each reorganisation, as the node
//! that went through it explains it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tine_chain::amount::Amount;
use tine_chain::block::Block;
use tine_chain::hash::BlockHash;
use tine_chain::journal::Reorg;
use tine_chain::time::Time;
use tine_node::event::{Notice, Removal};
use tine_node::explain::{ReorgReport, ReportFate};

use super::heard::{self, Heard};
use crate::driver::{self, NodeHandle, Stamped};
use crate::fleet::Fleet;
use crate::miner::miner_tag;
use crate::out::Out;
use crate::wallets::WalletService;

/// How long a block's line waits for nodes that have not seen the block: a cut may be in between.
const PATIENCE: Duration = Duration::from_millis(1_500);
/// Between two looks at lines that wait.
const LOOK: Duration = Duration::from_millis(100);
/// Blocks that are kept in mind so that none is shown twice.
const MAX_SEEN: usize = 10_000;

/// A block on its way.
#[derive(Default)]
struct Sighting {
    height: u32,
    /// When each node saw it, in the order of nodes.
    seen: BTreeMap<usize, Time>,
    body: Option<Arc<Block>>,
    printed: bool,
}

impl Sighting {
    fn first(&self) -> Time {
        self.seen.values().min().copied().unwrap_or_default()
    }
}

struct Board {
    out: Out,
    fleet: Arc<Fleet>,
    /// Everybody's name, by place.
    names: Vec<String>,
    blocks: BTreeMap<(u32, BlockHash), Sighting>,
    /// How many reorganisations of each node need not be printed any more.
    told: Vec<u64>,
}

/// Prints until it is aborted. Reorganisations since `since` are printed even when they were over before this began: nodes
/// that meet at their start may have been apart.
pub(super) async fn watch(out: Out, fleet: Arc<Fleet>, since: Time) {
    let mut heard = heard::listen(&fleet, LOOK);
    let members = fleet.members();
    let told = members
        .iter()
        .map(|member| member.running().map_or(0, |node| first_since(&node.node, since)))
        .collect();
    let names = members.iter().map(|member| member.name.clone()).collect();
    drop(members);
    let mut board = Board { out, fleet, names, blocks: BTreeMap::new(), told };
    while let Some(heard) = heard.recv().await {
        match heard {
            Heard::Notice(place, stamped) => board.note(place, &stamped),
            Heard::Started(place) => board.came_or_left(place, "started"),
            Heard::Stopped(place) => board.came_or_left(place, "stopped"),
            Heard::Tick => {
                board.print_overdue(driver::now());
                board.print_missed_reorgs();
            }
        }
    }
}

/// The number that a node's first reorganisation since then has, or will have.
fn first_since(node: &NodeHandle, since: Time) -> u64 {
    let view = node.view();
    let before = view.reorgs.iter().rev().find(|reorg| reorg.time < since);
    before.map_or(0, |reorg| reorg.number + 1)
}

impl Board {
    fn note(&mut self, place: usize, stamped: &Stamped) {
        match &stamped.notice {
            Notice::HeaderSeen(_, hash, height, _) => {
                let sighting = self.sighting(*height, *hash);
                sighting.seen.entry(place).or_insert(stamped.time);
                self.print_complete(*height, *hash);
            }
            Notice::Chain(change) => {
                for block in &change.connected {
                    let sighting = self.sighting(block.height, block.hash);
                    sighting.seen.entry(place).or_insert(stamped.time);
                    if let Some((body, _)) = block.held() {
                        sighting.body.get_or_insert_with(|| Arc::clone(body));
                    }
                    self.print_complete(block.height, block.hash);
                }
                for (hash, block) in &change.stored {
                    if let Some(sighting) = self
                        .blocks
                        .iter_mut()
                        .find(|((_, known), _)| known == hash)
                        .map(|(_, sighting)| sighting)
                    {
                        sighting.body.get_or_insert_with(|| Arc::clone(block));
                    }
                }
                if let Some(reorg) = &change.reorg {
                    self.print_reorg(place, reorg);
                }
            }
            Notice::BlockInvalid(hash, reject) => {
                let name = &self.names[place];
                self.out.line(self.out.alarm(format!("INVALID {hash} at {name}: {reject}")));
                self.out.document(
                    &json!({ "event": "invalid", "node": name, "hash": hash, "reason": reject.reason() }),
                );
            }
            Notice::DoubleSpendAttempt { refused, kept, coin } => {
                let name = &self.names[place];
                self.out.line(self.out.alarm(format!(
                    "DOUBLE SPEND refused by {name}: {refused:.12} spends {coin}, as {kept:.12} does"
                )));
                self.out.document(&json!({ "event": "double-spend", "node": name, "refused": refused, "kept": kept, "coin": coin.to_string() }));
            }
            Notice::TransactionRemoved(gone, Removal::Replaced { coin, by }) => {
                let name = &self.names[place];
                self.out.line(self.out.alarm(format!(
                    "DOUBLE SPEND taken by {name}: {by:.12} replaces {gone:.12}, both spend {coin}"
                )));
                self.out.document(&json!({ "event": "replaced", "node": name, "replaced": gone, "by": by, "coin": coin.to_string() }));
            }
            Notice::TransactionAdded(_)
            | Notice::TransactionRemoved(..)
            | Notice::Syncing { .. }
            | Notice::Wanted(_) => {}
        }
    }

    fn came_or_left(&self, place: usize, what: &str) {
        let name = &self.names[place];
        self.out.line(self.out.bold(format!("{name} is {what}")));
        self.out.document(&json!({ "event": what, "node": name }));
    }

    fn sighting(&mut self, height: u32, hash: BlockHash) -> &mut Sighting {
        while self.blocks.len() >= MAX_SEEN {
            self.blocks.pop_first();
        }
        let sighting = self.blocks.entry((height, hash)).or_default();
        sighting.height = height;
        sighting
    }

    /// Prints a block's line as soon as every node has seen it.
    fn print_complete(&mut self, height: u32, hash: BlockHash) {
        let complete = self.blocks.get(&(height, hash)).is_some_and(|block| {
            !block.printed && block.body.is_some() && block.seen.len() >= self.fleet.running().len()
        });
        if complete {
            self.print(height, hash);
        }
    }

    /// Prints the lines that have waited long enough.
    fn print_overdue(&mut self, now: Time) {
        let overdue: Vec<(u32, BlockHash)> = self
            .blocks
            .iter()
            .rev()
            .take(200)
            .filter(|(_, block)| !block.printed && now.since(block.first()) > PATIENCE)
            .map(|(key, _)| *key)
            .collect();
        overdue.into_iter().rev().for_each(|(height, hash)| self.print(height, hash));
    }

    fn print(&mut self, height: u32, hash: BlockHash) {
        let rivals =
            self.blocks.range((height, BlockHash::ZERO)..).take_while(|((at, _), _)| *at == height).count()
                - 1;
        let Some(block) = self.blocks.get_mut(&(height, hash)) else { return };
        block.printed = true;
        let first = block.first();
        let tag = block.body.as_deref().and_then(miner_tag);
        let mut seen: Vec<(u64, &str)> =
            block.seen.iter().map(|(place, time)| (time.0 - first.0, self.names[*place].as_str())).collect();
        seen.sort_unstable();
        let transactions = block.body.as_ref().map(|body| body.transactions.len());
        let times: Vec<String> = seen
            .iter()
            .filter(|(_, name)| tag.as_deref() != Some(*name))
            .map(|(after, name)| format!("{name} +{after} ms"))
            .collect();
        let missing = self.names.len() - block.seen.len();
        let mut notes = String::new();
        if missing > 0 {
            notes.push_str(&format!("  not seen by {missing}"));
        }
        if rivals > 0 {
            notes.push_str(&format!("  FORK: {} blocks at this height", rivals + 1));
        }
        self.out.line(format!(
            "{} {}  {:<6} {:>3} tx{}{}",
            self.out.bold(format!("#{height}")),
            short(&hash),
            tag.as_deref().unwrap_or("?"),
            transactions.map_or_else(|| "?".to_owned(), |count| count.to_string()),
            if times.is_empty() { String::new() } else { format!("   seen {}", times.join("  ")) },
            self.out.alarm(notes)
        ));
        let seen: BTreeMap<&str, u64> = seen.into_iter().map(|(after, name)| (name, after)).collect();
        self.out.document(&json!({
            "event": "block", "height": height, "hash": hash, "miner": tag, "transactions": transactions,
            "time": first, "seen_ms": seen, "rivals": rivals,
        }));
    }

    /// What no notice told of: it came before the first, or there were too many.
    fn print_missed_reorgs(&mut self) {
        for place in 0..self.names.len() {
            let Some(node) = self.fleet.at(place) else { continue };
            let view = node.node.view();
            view.reorgs.iter().for_each(|reorg| self.print_reorg(place, reorg));
        }
    }

    /// Prints a reorganisation, once.
    fn print_reorg(&mut self, place: usize, reorg: &Reorg) {
        if reorg.number < self.told[place] {
            return;
        }
        self.told[place] = reorg.number + 1;
        let (name, Some(node)) = (&self.names[place], self.fleet.at(place)) else { return };
        let report = match ReorgReport::new(reorg, &**node.node.reader()) {
            Ok(report) => report,
            Err(error) => return tracing::error!(%error, "a reorganisation can't be explained"),
        };
        let text = report.to_string().replacen("REORG", &format!("REORG {name}"), 1);
        self.out.line(self.out.alarm(text));
        for line in node.wallets.iter().flat_map(|wallets| losses(&report, wallets)) {
            self.out.line(self.out.alarm(format!("  {line}")));
        }
        self.out.document(&json!({ "event": "reorg", "node": name, "report": report }));
    }
}

/// `bob's 5.00000000 reversed`, for each payment to a wallet here that is no longer money; change comes back to its
/// owner and is no loss.
fn losses(report: &ReorgReport, wallets: &WalletService) -> Vec<String> {
    let conflicted = report.transactions.iter().filter(|tx| matches!(tx.fate, ReportFate::Conflicted { .. }));
    conflicted
        .flat_map(|tx| &tx.outputs)
        .filter_map(|output| {
            let owner = wallets.owner_of(&output.lock)?;
            Some(format!("{owner}'s {} reversed", Amount(output.value)))
        })
        .collect()
}

/// The first digits of an id that are not the zeros which every id begins with.
fn short(hash: &BlockHash) -> String {
    format!("{:.14}…", hash.to_string())
}
