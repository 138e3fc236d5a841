//! Keeps the next [`View`] up to date, touching only what changed.

use std::collections::VecDeque;
use std::sync::Arc;

use tine_chain::chain::{Chain, ChainTip};
use tine_chain::hash::BlockHash;
use tine_chain::time::Time;
use tine_chain::tree::BlockEntry;
use tine_node::event::{Notice, Removal};
use tine_node::mempool::Mempool;
use tine_node::peers::PeerState;
use tine_node::{Node, Participant};

use crate::view::{
    ActiveChain, BlockInfo, BlockStatus, Conflict, Decision, HeaderIndex, PeerView, RECENT_CONFLICTS,
    RECENT_REORGS, Tip, View,
};

/// The view published last, and what has become stale in it.
pub(super) struct Picture {
    view: Arc<View>,
    headers: HeaderIndex,
    active: ActiveChain,
    chain_changed: bool,
    conflicts: VecDeque<Conflict>,
    conflicts_changed: bool,
}

impl Picture {
    /// Everything, from the start.
    pub(super) fn new(participant: &Participant, now: Time) -> Self {
        let node = participant.node();
        let chain = node.chain();
        let mut headers = HeaderIndex::default();
        for entry in chain.tree().iter() {
            headers.insert(Arc::new(block_info(entry)));
        }
        let mut active = ActiveChain::default();
        follow(&mut active, chain);
        let info =
            |hash: &BlockHash| Arc::clone(headers.get(hash).expect("every block of the tree was inserted"));
        let view = Arc::new(View {
            number: 0,
            time: now,
            network: chain.params().network,
            tip: info(&chain.tip().hash),
            mining_parent: participant.mining_parent(),
            best_header: info(&chain.best_header().hash),
            tips: tips(chain, &headers),
            headers: headers.clone(),
            active: active.clone(),
            mempool: Arc::new(node.mempool().clone()),
            conflicts: Arc::new([]),
            peers: peers(node),
            syncing: node.is_syncing(),
            reorgs: reorgs(chain),
        });
        Self {
            view,
            headers,
            active,
            chain_changed: false,
            conflicts: VecDeque::new(),
            conflicts_changed: false,
        }
    }

    /// The view published last.
    pub(super) fn view(&self) -> Arc<View> {
        Arc::clone(&self.view)
    }

    /// Marks what `notice` makes stale.
    pub(super) fn note(&mut self, node: &Node, notice: &Notice, now: Time) {
        if let Some(conflict) = conflict(notice, now) {
            if self.conflicts.len() == RECENT_CONFLICTS {
                self.conflicts.pop_front();
            }
            self.conflicts.push_back(conflict);
            self.conflicts_changed = true;
        }
        let mut refresh = |hash: &BlockHash| {
            if let Some(entry) = node.chain().tree().get(hash) {
                self.headers.insert(Arc::new(block_info(entry)));
            }
            self.chain_changed = true;
        };
        match notice {
            Notice::Chain(change) => {
                change.headers.iter().for_each(|record| refresh(&record.hash));
                change.stored.iter().for_each(|(hash, _)| refresh(hash));
                change.connected.iter().for_each(|block| refresh(&block.hash));
                change.disconnected.iter().for_each(|block| refresh(&block.hash));
            }
            Notice::HeaderSeen(_, hash, ..) | Notice::BlockInvalid(hash, _) => refresh(hash),
            // the mempool itself tells whether it has changed
            Notice::TransactionAdded(_)
            | Notice::TransactionRemoved(..)
            | Notice::DoubleSpendAttempt { .. }
            | Notice::Syncing { .. }
            | Notice::Wanted(_) => {}
        }
    }

    /// The next view, if it differs from the last.
    pub(super) fn take(&mut self, participant: &Participant, now: Time) -> Option<Arc<View>> {
        let node = participant.node();
        let mining_parent = participant.mining_parent();
        let chain = node.chain();
        let peers = peers(node);
        let syncing = node.is_syncing();
        let mempool_changed = !same_mempool(node.mempool(), &self.view.mempool);
        let same = !self.chain_changed
            && !mempool_changed
            && !self.conflicts_changed
            && syncing == self.view.syncing
            && mining_parent == self.view.mining_parent
            && same_peers(&peers, &self.view.peers);
        if same {
            return None;
        }
        let mut view = View {
            number: self.view.number + 1,
            time: now,
            peers,
            syncing,
            mining_parent,
            ..(*self.view).clone()
        };
        if self.chain_changed {
            self.chain_changed = false;
            follow(&mut self.active, chain);
            self.look_up(chain, &mut view);
        }
        if std::mem::take(&mut self.conflicts_changed) {
            view.conflicts = self.conflicts.iter().cloned().collect();
        }
        if mempool_changed {
            view.mempool = Arc::new(node.mempool().clone());
        }
        self.view = Arc::new(view);
        Some(self.view())
    }

    fn look_up(&mut self, chain: &Chain, view: &mut View) {
        for entry in [chain.tip(), chain.best_header()] {
            self.headers.insert(Arc::new(block_info(entry)));
        }
        view.headers = self.headers.clone();
        view.active = self.active.clone();
        view.tip = self.info(&chain.tip().hash);
        view.best_header = self.info(&chain.best_header().hash);
        view.tips = tips(chain, &self.headers);
        view.reorgs = reorgs(chain);
    }

    fn info(&self, hash: &BlockHash) -> Arc<BlockInfo> {
        Arc::clone(self.headers.get(hash).expect("inserted just now"))
    }
}

fn block_info(entry: &BlockEntry) -> BlockInfo {
    BlockInfo {
        header: entry.header,
        hash: entry.hash,
        height: entry.height,
        work: entry.work,
        median_time_past: entry.median_time_past,
        sequence: entry.sequence,
        seen: entry.seen,
        status: match entry.invalid {
            Some(why) => BlockStatus::Invalid(why),
            None if entry.connected_once => BlockStatus::Valid,
            None if entry.body => BlockStatus::Stored,
            None => BlockStatus::HeaderOnly,
        },
    }
}

/// Makes `active` the chain that ends with the tip: goes down from the tip to the first block that is in it already.
fn follow(active: &mut ActiveChain, chain: &Chain) {
    let mut missing = Vec::new();
    let mut entry = Some(chain.tip());
    while let Some(block) = entry
        && active.get(block.height) != Some(block.hash)
    {
        missing.push(block.hash);
        entry = chain.tree().parent(block);
    }
    active.truncate(entry.map_or(0, |block| block.height as usize + 1));
    missing.into_iter().rev().for_each(|hash| active.push(hash));
}

fn tips(chain: &Chain, headers: &HeaderIndex) -> Arc<[Tip]> {
    let tip = |tip: ChainTip| {
        let block = Arc::clone(headers.get(&tip.hash)?);
        Some(Tip { block, branch_length: tip.branch_length, status: tip.status })
    };
    let mut tips: Vec<Tip> = chain.chain_tips().into_iter().filter_map(tip).collect();
    tips.sort_by_key(|tip| (std::cmp::Reverse(tip.block.height), tip.block.sequence));
    tips.into()
}

fn reorgs(chain: &Chain) -> Arc<[Arc<tine_chain::journal::Reorg>]> {
    let journal = chain.journal();
    journal[journal.len().saturating_sub(RECENT_REORGS)..].into()
}

/// What a notice says about two transactions that want the same coin.
fn conflict(notice: &Notice, time: Time) -> Option<Conflict> {
    let (coin, kept, gone, decision) = match notice {
        Notice::DoubleSpendAttempt { refused, kept, coin } => (coin, kept, refused, Decision::Refused),
        Notice::TransactionRemoved(txid, Removal::Replaced { coin, by }) => {
            (coin, by, txid, Decision::Replaced)
        }
        Notice::TransactionRemoved(txid, Removal::Conflicted { coin, by }) => {
            (coin, by, txid, Decision::Mined)
        }
        Notice::TransactionRemoved(
            _,
            Removal::Confirmed { .. } | Removal::Evicted | Removal::Expired | Removal::Invalid { .. },
        )
        | Notice::TransactionAdded(_)
        | Notice::Chain(_)
        | Notice::HeaderSeen(..)
        | Notice::BlockInvalid(..)
        | Notice::Syncing { .. }
        | Notice::Wanted(_) => return None,
    };
    Some(Conflict { time, coin: *coin, kept: *kept, gone: *gone, decision })
}

fn same_mempool(a: &Mempool, b: &Mempool) -> bool {
    a.changes() == b.changes() && a.min_fee_rate() == b.min_fee_rate()
}

fn peers(node: &Node) -> Arc<[PeerView]> {
    node.peers().map(peer).collect()
}

fn same_peers(a: &[PeerView], b: &[PeerView]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a == b)
}

fn peer(state: &PeerState) -> PeerView {
    PeerView {
        id: state.id,
        info: state.info.clone(),
        connected: state.since,
        best_hash: state.best.map(|best| best.hash),
        best_height: state.best.map_or(0, |best| best.height),
        starting_height: state.starting_height,
        last_block: state.last_block,
        last_transaction: state.last_transaction,
        score: state.score,
    }
}
