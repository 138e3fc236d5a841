//! What the view asks of the network, done: over JSON-RPC on running nodes, from the log of a recorded run.

use std::str::FromStr as _;

use serde::Deserialize;
use serde_json::json;
use tine_chain::amount::Amount;
use tine_chain::hash::BlockHash;
use tine_chain::transaction::OutPoint;
use tine_lab::replay::Run;
use tine_node::explain::{ReorgReport, TipReport, explain_tip};
use tine_node::record::Happening;

use super::event::{plain_line, plain_name};
use super::state::{Answer, Request};
use super::{dissect, past};
use crate::commands::{Target, chain, net};
use crate::exit::Error;
use crate::methods::{self, Mine, Mined, NetInfo, Send, Sent};
use crate::rpc::EXPLAIN_TIP;

/// Does what was asked of running nodes.
pub(super) fn on_nodes(targets: &[Target], request: &Request) -> Answer {
    let done = match request {
        Request::Mine(node) => named(targets, *node).and_then(mine),
        Request::Split(groups) => {
            net::split_quietly(answering(targets), groups).map(|()| Answer::Done(format!("split: {groups}")))
        }
        Request::Heal => net::heal_quietly(answering(targets))
            .map(|()| Answer::Done("healed: every node has found back to the others".into())),
        Request::Pay(typed) => pay(targets, typed),
        Request::Reorg(node, report) => named(targets, *node).and_then(|target| {
            let lines = chain::reorg_lines(target, report)?;
            Ok(reorg_text(&target.name, report, lines))
        }),
        Request::Tip(node, _) => named(targets, *node).and_then(|target| {
            let report: TipReport = target.client.call_as(EXPLAIN_TIP, json!({}))?;
            Ok(text(format!("the tip of {}", target.name), report.to_string().lines().map(str::to_owned)))
        }),
        Request::Block(hash) => block(targets, hash),
        Request::Node(node) => named(targets, *node).and_then(node_text),
    };
    done.unwrap_or_else(|error| Answer::Failed(plain_line(&error.to_string())))
}

/// Answers what can be asked of a run that is over.
pub(super) fn of_run(run: &Run, request: &Request) -> Answer {
    let name = |node: &usize| run.nodes.get(*node).cloned().unwrap_or_default();
    match request {
        Request::Reorg(node, report) => {
            reorg_text(&name(node), report, report.to_string().lines().map(str::to_owned))
        }
        Request::Tip(node, moment) => match run.chain(&name(node), moment.since(run.start())) {
            Ok(chain) => {
                let report = explain_tip(&chain).to_string();
                text(format!("the tip of {} then", name(node)), report.lines().map(str::to_owned))
            }
            Err(error) => Answer::Failed(plain_line(&error.to_string())),
        },
        Request::Block(hash) => block_of_run(run, hash),
        Request::Node(node) => {
            Answer::Failed(format!("{} is recorded: it can't be asked for its peers", name(node)))
        }
        Request::Mine(_) | Request::Split(_) | Request::Heal | Request::Pay(_) => {
            Answer::Failed("this run is over: nothing can be changed in it".into())
        }
    }
}

fn text(title: String, lines: impl IntoIterator<Item = String>) -> Answer {
    Answer::Text(plain_name(&title), lines.into_iter().map(|line| plain_line(&line)).collect())
}

fn reorg_text(node: &str, report: &ReorgReport, lines: impl IntoIterator<Item = String>) -> Answer {
    text(format!("reorganisation #{} of {node}", report.number), lines)
}

fn named(targets: &[Target], node: usize) -> Result<&Target, Error> {
    targets.get(node).ok_or_else(|| Error::Failed("that node is not here any more".into()))
}

/// The nodes that answer: one that is down neither cuts nor heals.
fn answering(targets: &[Target]) -> Vec<Target> {
    targets.iter().filter(|target| target.client.is_up()).cloned().collect()
}

fn mine(target: &Target) -> Result<Answer, Error> {
    let mined: Mined = target.client.call_as(methods::MINE, Mine { count: 1, address: None })?;
    let height = mined.height.map_or_else(String::new, |height| format!("#{height} "));
    let hash = mined.blocks.last().map(super::model::short_hash).unwrap_or_default();
    Ok(Answer::Done(format!("{} mined {height}{hash}", target.name)))
}

/// A payment as it is typed.
#[derive(Debug, PartialEq, Eq)]
struct Payment {
    from: String,
    to: String,
    amount: Amount,
    coins: Vec<OutPoint>,
}

fn parse_payment(typed: &str) -> Result<Payment, Error> {
    let mut words = typed.split_whitespace();
    let (Some(from), Some(to), Some(amount), coin, None) =
        (words.next(), words.next(), words.next(), words.next(), words.next())
    else {
        return Err(Error::Usage(format!(
            "{typed:?}: who pays, who is paid, how many coins, and perhaps a coin, as in \"alice bob 5\""
        )));
    };
    let wrong = |what: &str, error: &dyn std::fmt::Display| Error::Usage(format!("{what:?}: {error}"));
    Ok(Payment {
        from: from.to_owned(),
        to: to.to_owned(),
        amount: Amount::from_str(amount).map_err(|error| wrong(amount, &error))?,
        coins: match coin {
            Some(coin) => vec![OutPoint::from_str(coin).map_err(|error| wrong(coin, &error))?],
            None => Vec::new(),
        },
    })
}

fn pay(targets: &[Target], typed: &str) -> Result<Answer, Error> {
    let Payment { from, to, amount, coins } = parse_payment(typed)?;
    // the node of the one who pays, as `tine send --from` chooses it
    let target = targets.iter().find(|target| target.name == from).or_else(|| targets.first());
    let target = target.ok_or_else(|| Error::Failed("there is no node".into()))?;
    let send = Send {
        wallet: Some(from),
        to: to.clone(),
        amount: amount.to_string(),
        fee_rate: None,
        coins,
        passphrase: None,
        dry_run: false,
    };
    let sent = target.client.call_as::<Sent>(methods::SEND, &send).map_err(|error| {
        // Core: RPC_WALLET_UNLOCK_NEEDED
        let locked = error.code() == Some(-13);
        let error = Error::from(error);
        if locked { Error::failed(error, "`tine wallet unlock` opens it") } else { error }
    })?;
    let txid = super::model::short(&sent.txid);
    Ok(Answer::Done(format!("{} from {} to {to}, fee {}: {txid}", sent.amount, sent.wallet, sent.fee)))
}

/// A block, from the first node that has it.
fn block(targets: &[Target], hash: &BlockHash) -> Result<Answer, Error> {
    let raw = |method: &str, verbosity: serde_json::Value| {
        let calls = targets.iter().filter_map(|target| {
            target.client.call_as::<String>(method, json!([hash, verbosity.clone()])).ok()
        });
        calls.into_iter().next()
    };
    let header = raw("getblockheader", json!(false)).and_then(|raw| past::header(&raw));
    let header = header.ok_or_else(|| Error::Failed(format!("no node knows {hash} any more")))?;
    let body = raw("getblock", json!(0)).and_then(|raw| past::body(&raw));
    let network = targets.first().map(chain::network_of).transpose()?;
    let title = format!("block {}", super::model::short_hash(hash));
    Ok(text(title, dissect::block(&header, body.as_ref(), network)))
}

fn block_of_run(run: &Run, hash: &BlockHash) -> Answer {
    let header = run.entries.iter().find_map(|entry| {
        let Happening::Header { block, raw, .. } = &entry.happening else { return None };
        if block == hash { past::header(raw) } else { None }
    });
    let body = run.entries.iter().find_map(|entry| {
        let Happening::Body { block, raw: Some(raw) } = &entry.happening else { return None };
        if block == hash { past::body(raw) } else { None }
    });
    let title = format!("block {}", super::model::short_hash(hash));
    match header {
        Some(header) => text(title, dissect::block(&header, body.as_ref(), None)),
        None => Answer::Failed(format!("the log does not hold {hash}")),
    }
}

/// A node and its peers.
fn node_text(target: &Target) -> Result<Answer, Error> {
    #[derive(Deserialize)]
    struct Peer {
        addr: String,
        subver: String,
        inbound: bool,
    }
    let info: NetInfo = target.client.call_as(methods::NET_INFO, json!({}))?;
    let peers: Vec<Peer> = target.client.call_as("getpeerinfo", json!([]))?;
    let mut lines = vec![
        format!("rpc        {}", target.client.url()),
        format!("identity   {}", info.identity),
        format!("tip        #{} {}", info.height, info.tip),
        format!("work       {}", super::describe::short_work(&info.work)),
    ];
    lines.extend(info.listen.iter().map(|address| format!("listens    {address}")));
    lines.extend(info.blocked.iter().map(|identity| format!("refuses    {identity}")));
    lines.extend(peers.iter().map(|peer| {
        let way = if peer.inbound { "from" } else { "to  " };
        format!("peer {way}  {}  {}", peer.addr, plain_name(&peer.subver))
    }));
    Ok(text(target.name.clone(), lines))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payments_are_read_as_they_are_typed() {
        let coin = format!("{}:1", "ab".repeat(32));
        let payment = parse_payment(&format!(" alice  bob 1.5 {coin} ")).expect("parses");
        assert_eq!((payment.from.as_str(), payment.to.as_str()), ("alice", "bob"));
        assert_eq!((payment.amount, payment.coins.len()), (Amount(150_000_000), 1));
        for (wrong, named) in [
            ("", "alice bob 5"),
            ("alice bob", "alice bob 5"),
            ("alice bob many", "many"),
            ("alice bob 1 coin", "coin"),
            ("alice bob 1 2 3", "alice bob 5"),
        ] {
            let error = parse_payment(wrong).expect_err(wrong).to_string();
            assert!(error.contains(named), "{wrong:?}: {error}");
        }
    }
}
