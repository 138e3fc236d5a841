//! `tine forks`, `tine reorgs`, `tine explain`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::Deserialize;
use serde_json::json;
use tine_chain::address::Address;
use tine_chain::amount::Amount;
use tine_chain::hash::{BlockHash, Txid};
use tine_chain::params::Network;
use tine_node::explain::{ReorgReport, ReportFate, TipReport};

use super::{Target, pay};
use crate::cli::ExplainWhat;
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

/// Runs `tine reorgs`.
///
/// # Errors
/// No node answers.
pub(super) fn reorgs(out: Out, target: &Target) -> Result<(), Error> {
    let reports: Vec<ReorgReport> = target.client.call_as(methods::REORGS, json!({}))?;
    if reports.is_empty() {
        out.line(format!("{} has not been reorganised", target.name));
    }
    for report in &reports {
        let (out_of, into) = (report.disconnected.last(), report.connected.last());
        let tip = |block: Option<&tine_node::explain::ReportBlock>| {
            block.map_or_else(
                || "the fork".into(),
                |block| format!("{} {:.12}…", block.label, block.hash.to_string()),
            )
        };
        out.line(format!(
            "#{}  depth {}  {} → {}  fork at {}  {} conflicted, {} returned",
            report.number,
            report.depth,
            tip(out_of),
            tip(into),
            report.fork.height,
            report.conflicted,
            report.returned
        ));
        out.document(report);
    }
    Ok(())
}

/// Runs `tine explain`.
///
/// # Errors
/// No node answers; there is no such thing.
pub(super) fn explain(out: Out, settings: &Settings, what: ExplainWhat) -> Result<(), Error> {
    match what {
        ExplainWhat::Reorg { which, html, target } => {
            let number = parse_number(&which)?;
            explain_reorg(out, &Target::resolve(settings, &target)?, number, html.as_deref())
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

fn explain_reorg(out: Out, target: &Target, number: Option<u64>, html: Option<&Path>) -> Result<(), Error> {
    let report: ReorgReport = target.client.call_as(methods::EXPLAIN_REORG, json!({ "number": number }))?;
    out.line(out.bold(format!("{}:", target.name)));
    out.line(&report);
    let network = network_of(target)?;
    let owners = owners(target, network, &report)?;
    let losses = losses(&report, &owners, network);
    for line in &losses {
        out.line(out.alarm(format!("  {line}")));
    }
    out.document(&report);
    if let Some(path) = html {
        let miners = miners(target)?;
        let page =
            tine_lab::render::incident(&target.name, &report, |block| miners.get(block).cloned(), &losses);
        std::fs::write(path, page).map_err(|error| Error::failed(path.display(), error))?;
        out.line(format!("page: {}", path.display()));
    }
    Ok(())
}

/// Who mined the blocks that a node has seen lately.
fn miners(target: &Target) -> Result<BTreeMap<BlockHash, String>, Error> {
    let arrivals: Vec<Arrival> = target.client.call_as(BLOCK_ARRIVALS, json!({ "count": 10_000 }))?;
    Ok(arrivals.into_iter().filter_map(|arrival| Some((arrival.hash, arrival.miner?))).collect())
}

fn network_of(target: &Target) -> Result<Network, Error> {
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
