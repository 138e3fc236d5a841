//! The mempool: rules, replacement, packages, fees, files, and a model of all of it.

#[path = "../harness/mod.rs"]
mod harness;

mod blocks;
mod fees;
mod files;
mod flood;
mod hostile;
mod model;
mod packages;
mod replacement;
mod rules;

use std::sync::Arc;

use harness::*;
use tine_chain::hash::Txid;
use tine_chain::transaction::Transaction;
use tine_node::NodeConfig;
use tine_node::event::{Action, Event, Notice, Removal, Submission, SubmitId};
use tine_node::mempool::Limits;

fn rig_with_limits(mempool: Limits) -> Rig {
    Rig::with(node_with_config(NodeConfig { mempool, ..NodeConfig::new(params()) }))
}

fn rig_with_coins(count: usize) -> (Rig, Vec<Funds>) {
    let mut rig = Rig::new();
    let funds = rig.fund(count, 7);
    (rig, funds)
}

fn submit(rig: &mut Rig, tx: &Arc<Transaction>) -> Vec<Action> {
    rig.feed(Event::Submit(SubmitId(99_999), Submission::Transaction(tx.clone())))
}

/// What left the mempool, and why.
fn removals(actions: &[Action]) -> Vec<(Txid, Removal)> {
    let removed = |notice: &Notice| {
        if let Notice::TransactionRemoved(txid, why) = notice { Some((*txid, why.clone())) } else { None }
    };
    notices(actions).into_iter().filter_map(removed).collect()
}
