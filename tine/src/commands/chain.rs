//! `tine forks`, `tine reorgs`, `tine explain`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::json;
use tine_chain::address::Address;
use tine_chain::amount::Amount;
use tine_chain::hash::{BlockHash, Txid};
use tine_chain::params::Network;
use tine_node::explain::{ReorgReport, ReportBlock, ReportFate, TipReport};

use super::{Target, pay};
use crate::cli::{ExplainWhat, TargetArgs};
use crate::config::Settings;
use crate::exit::Error;
use crate::methods::{self, TxStory};
use crate::out::Out;
use crate::rpc::{Arrival, BLOCK_ARRIVALS, EXPLAIN_TIP, FORKS, Fork};

/// Work without its leading zeros.
fn short_work(work: &str) -> String {
    format!("0x{}", work.trim_start_matches('0'))
}

/// Runs `tine forks`.
///
/// # Errors
/// No node answers.
pub(super) fn forks(out: Out, target: &Target) -> Result<(), Error> {
    let forks: Vec<Fork> = target.client.call_as(FORKS, json!({}))?;
    out.table(
        ["TIP", "HEIGHT", "LEFT AT", "BLOCKS", "WORK", "MINER", "STATUS"],
        forks.iter().map(|fork| {
            let left = if fork.branch_length == 0 { String::new() } else { fork.fork_height.to_string() };
            [
                fork.hash.to_string(),
                fork.height.to_string(),
                left,
                fork.branch_length.to_string(),
                short_work(&fork.work),
                fork.miner.clone().unwrap_or_default(),
                fork.status.clone(),
            ]
        }),
    );
    out.document(&forks);
    Ok(())
}

/// A reorganisation, and the node that went through it.
#[derive(Serialize)]
struct NodeReorg {
    node: String,
    #[serde(flatten)]
    report: ReorgReport,
}

/// The nodes that the options name; all that run here when they name none.
fn asked(settings: &Settings, args: &TargetArgs) -> Result<Vec<Target>, Error> {
    if args.on.is_none() && args.rpc.is_none() {
        return Target::all(settings);
    }
    Ok(vec![Target::resolve(settings, args)?])
}

/// Runs `tine reorgs`.
///
/// # Errors
/// No node answers.
pub(super) fn reorgs(out: Out, settings: &Settings, args: &TargetArgs) -> Result<(), Error> {
    let targets = asked(settings, args)?;
    let mut all = Vec::new();
    for target in &targets {
        let reports: Vec<ReorgReport> = target.client.call_as(methods::REORGS, json!({}))?;
        all.extend(reports.into_iter().map(|report| NodeReorg { node: target.name.clone(), report }));
    }
    // of two nodes that switched in the same moment, in the order of nodes
    all.sort_by_key(|reorg| reorg.report.time);
    if all.is_empty() {
        let names: Vec<&str> = targets.iter().map(|target| target.name.as_str()).collect();
        out.line(format!("no reorganisation so far at {}", names.join(", ")));
        return Ok(());
    }
    let head = ["NODE", "#", "DEPTH", "FROM", "TO", "FORK AT", "CONFLICTED", "RETURNED"];
    out.table(head, all.iter().map(reorg_row));
    all.iter().for_each(|reorg| out.document(reorg));
    Ok(())
}

fn reorg_row(NodeReorg { node, report }: &NodeReorg) -> [String; 8] {
    let tip = |block: Option<&ReportBlock>| {
        block.map_or_else(
            || "the fork".into(),
            |block| format!("{} {:.12}…", block.label, block.hash.to_string()),
        )
    };
    [
        node.clone(),
        report.number.to_string(),
        report.depth.to_string(),
        tip(report.disconnected.last()),
        tip(report.connected.last()),
        report.fork.height.to_string(),
        report.conflicted.to_string(),
        report.returned.to_string(),
    ]
}

/// Runs `tine explain`.
///
/// # Errors
/// No node answers; there is no such thing.
pub(super) fn explain(out: Out, settings: &Settings, what: ExplainWhat) -> Result<(), Error> {
    match what {
        ExplainWhat::Reorg { which, html, target } => {
            let number = parse_number(&which)?;
            let (target, report) = find_reorg(asked(settings, &target)?, number)?;
            explain_reorg(out, &target, report, html.as_deref())
        }
        ExplainWhat::Tip { target } => explain_tip(out, &Target::resolve(settings, &target)?),
        ExplainWhat::Tx { txid, target } => explain_tx(out, &Target::resolve(settings, &target)?, &txid),
    }
}

fn parse_number(which: &str) -> Result<Option<u64>, Error> {
    if which == "last" {
        return Ok(None);
    }
    let number = which.trim_start_matches('#').parse();
    number.map(Some).map_err(|_| Error::Usage(format!("{which:?}: neither a number nor `last`")))
}

/// The reorganisation of that number, or the last over all nodes. Each node counts its own from 0.
///
/// # Errors
/// There was none; several nodes have one of that number.
fn find_reorg(targets: Vec<Target>, number: Option<u64>) -> Result<(Target, ReorgReport), Error> {
    let mut found: Vec<(Target, ReorgReport)> = Vec::new();
    let mut none = None;
    for target in targets {
        match target.client.call_as(methods::EXPLAIN_REORG, json!({ "number": number })) {
            Ok(report) => found.push((target, report)),
            // Core: RPC_INVALID_ADDRESS_OR_KEY
            Err(error) if error.code() == Some(-5) => none = Some(error),
            Err(error) => return Err(error.into()),
        }
    }
    if let (Some(number), [_, _, ..]) = (number, found.as_slice()) {
        let names: Vec<&str> = found.iter().map(|(target, _)| target.name.as_str()).collect();
        let names = names.join(", ");
        return Err(Error::Usage(format!("{names} each have a reorganisation #{number}: say --on NODE")));
    }
    // of two in the same moment the first node's: max_by_key gives the last of equals
    let last = found.into_iter().rev().max_by_key(|(_, report)| report.time);
    last.ok_or_else(|| none.map_or_else(|| Error::Failed("no node was asked".into()), Error::from))
}

fn explain_reorg(out: Out, target: &Target, report: ReorgReport, html: Option<&Path>) -> Result<(), Error> {
    out.line(out.bold(format!("{}:", target.name)));
    out.line(&report);
    let losses = reversed(target, &report)?;
    for line in &losses {
        out.line(out.alarm(format!("  {line}")));
    }
    if let Some(path) = html {
        let miners = miners(target)?;
        let page =
            tine_lab::render::incident(&target.name, &report, |block| miners.get(block).cloned(), &losses);
        std::fs::write(path, page).map_err(|error| Error::failed(path.display(), error))?;
        out.line(format!("page: {}", path.display()));
    }
    out.document(&NodeReorg { node: target.name.clone(), report });
    Ok(())
}

/// What `tine explain reorg` says, line by line.
///
/// # Errors
/// The node does not answer.
pub(crate) fn reorg_lines(target: &Target, report: &ReorgReport) -> Result<Vec<String>, Error> {
    let losses = reversed(target, report)?;
    let text = report.to_string();
    Ok(text.lines().map(str::to_owned).chain(losses.iter().map(|line| format!("  {line}"))).collect())
}

/// The payments to wallets of a node that are no longer money.
fn reversed(target: &Target, report: &ReorgReport) -> Result<Vec<String>, Error> {
    let network = network_of(target)?;
    let owners = owners(target, network, report)?;
    Ok(losses(report, &owners, network))
}

/// Who mined the blocks that a node has seen lately.
fn miners(target: &Target) -> Result<BTreeMap<BlockHash, String>, Error> {
    let arrivals: Vec<Arrival> = target.client.call_as(BLOCK_ARRIVALS, json!({ "count": 10_000 }))?;
    Ok(arrivals.into_iter().filter_map(|arrival| Some((arrival.hash, arrival.miner?))).collect())
}

/// Which chain a node follows.
///
/// # Errors
/// It does not answer.
pub(crate) fn network_of(target: &Target) -> Result<Network, Error> {
    #[derive(Deserialize)]
    struct Info {
        tine_network: Network,
    }
    let info: Info = target.client.call_as("getblockchaininfo", json!([]))?;
    Ok(info.tine_network)
}

/// Names of the wallets that the conflicted payments were for.
fn owners(
    target: &Target,
    network: Network,
    report: &ReorgReport,
) -> Result<BTreeMap<String, String>, Error> {
    let addresses: BTreeSet<String> = report
        .transactions
        .iter()
        .filter(|transaction| matches!(transaction.fate, ReportFate::Conflicted { .. }))
        .flat_map(|transaction| &transaction.outputs)
        .map(|output| Address { network, lock: output.lock }.to_string())
        .collect();
    if addresses.is_empty() {
        return Ok(BTreeMap::new());
    }
    Ok(target.client.call_as(methods::OWNERS, json!({ "addresses": addresses }))?)
}

/// `bob's 5.00000000 reversed`, for each payment that is no longer money.
fn losses(report: &ReorgReport, owners: &BTreeMap<String, String>, network: Network) -> Vec<String> {
    let mut lines = Vec::new();
    for transaction in &report.transactions {
        if !matches!(transaction.fate, ReportFate::Conflicted { .. }) {
            continue;
        }
        for output in &transaction.outputs {
            let address = Address { network, lock: output.lock }.to_string();
            if let Some(owner) = owners.get(&address) {
                lines.push(format!("{owner}'s {} reversed", Amount(output.value)));
            }
        }
    }
    lines
}

fn explain_tip(out: Out, target: &Target) -> Result<(), Error> {
    let report: TipReport = target.client.call_as(EXPLAIN_TIP, json!({}))?;
    out.line(out.bold(format!("{}:", target.name)));
    out.line(&report);
    out.document(&report);
    Ok(())
}

fn explain_tx(out: Out, target: &Target, txid: &Txid) -> Result<(), Error> {
    let story: TxStory = target.client.call_as(methods::EXPLAIN_TX, json!({ "txid": txid }))?;
    out.line(out.bold(story.txid));
    match (&story.block, story.height) {
        (Some(block), Some(height)) => {
            out.line(format!("  in block #{height} {block}"));
            out.line(format!("  {}", pay::risk_line(story.confirmations)));
        }
        (Some(_) | None, _) if story.in_mempool => {
            out.line("  in the mempool");
            out.line(format!("  {}", pay::risk_line(0)));
        }
        (Some(_) | None, _) => out.line("  neither in the active chain nor in the mempool: it is not money"),
    }
    for block in &story.stale_blocks {
        out.line(format!("  also in stale block {block}"));
    }
    for reorg in &story.reorgs {
        out.line(format!("  {reorg}"));
    }
    out.document(&story);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reorganisations_are_named_by_number_or_last() {
        assert_eq!(parse_number("last").expect("parses"), None);
        assert_eq!(parse_number("7").expect("parses"), Some(7));
        assert_eq!(parse_number("#7").expect("parses"), Some(7));
        assert!(matches!(parse_number("first"), Err(Error::Usage(_))));
    }
}
