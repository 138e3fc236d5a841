//! `tine net`: shows, cuts and heals a running network, node by node over JSON-RPC, so that it works across processes.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use serde_json::json;

use super::Target;
use crate::cli::{NetArgs, NetCommand};
use crate::config::Settings;
use crate::exit::Error;
use crate::methods::{self, NetFault, NetInfo, NetMember, NetSplit};
use crate::out::Out;

/// How long a cut or a heal may take to show in every node's list of peers.
const SETTLE: Duration = Duration::from_secs(5);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(50);

/// A node, and what it says of itself.
struct Node {
    target: Target,
    info: NetInfo,
}

/// Runs the command.
///
/// # Errors
/// A node that does not answer; groups that name nobody.
pub(super) fn run(out: Out, settings: &Settings, args: &NetArgs) -> Result<(), Error> {
    let targets =
        if args.rpc.is_empty() { Target::all(settings)? } else { Target::at_all(settings, &args.rpc)? };
    let nodes = ask(targets)?;
    match &args.command {
        NetCommand::Show => {
            show(out, &nodes);
            Ok(())
        }
        NetCommand::Split { groups } => split(out, &nodes, groups),
        NetCommand::Delay { node, ms } => {
            fault(out, &nodes, node, &NetFault { delay_ms: Some(*ms), drop_percent: None })
        }
        NetCommand::Drop { node, percent } => {
            fault(out, &nodes, node, &NetFault { delay_ms: None, drop_percent: Some(*percent) })
        }
        NetCommand::Heal => heal(out, &nodes),
        NetCommand::Stop { node } => order(out, settings, &nodes, node, methods::NET_STOP),
        NetCommand::Start { node } => order(out, settings, &nodes, node, methods::NET_START),
    }
}

/// Cuts every link between groups of these nodes, and prints nothing.
///
/// # Errors
/// A node that does not answer; groups that name nobody; a link that stays open.
pub(crate) fn split_quietly(targets: Vec<Target>, groups: &str) -> Result<(), Error> {
    split(Out::quiet(), &ask(targets)?, groups)
}

/// Restores all links of these nodes, and prints nothing.
///
/// # Errors
/// A node that does not answer, or does not find back to the others.
pub(crate) fn heal_quietly(targets: Vec<Target>) -> Result<(), Error> {
    heal(Out::quiet(), &ask(targets)?)
}

fn ask(targets: Vec<Target>) -> Result<Vec<Node>, Error> {
    let info = |target: Target| {
        let info = target.client.call_as::<NetInfo>(methods::NET_INFO, json!({}))?;
        Ok(Node { target, info })
    };
    targets.into_iter().map(info).collect()
}

/// Names by identity.
fn names(nodes: &[Node]) -> BTreeMap<&str, &str> {
    nodes.iter().map(|node| (node.info.identity.as_str(), node.info.name.as_str())).collect()
}

fn list(names: &BTreeMap<&str, &str>, identities: impl Iterator<Item = impl AsRef<str>>) -> String {
    let shown: BTreeSet<String> = identities
        .map(|identity| {
            let identity = identity.as_ref();
            names.get(identity).map_or_else(|| short(identity), |name| (*name).to_owned())
        })
        .collect();
    if shown.is_empty() { "–".into() } else { shown.into_iter().collect::<Vec<_>>().join(",") }
}

/// The end of an identity: all begin alike.
fn short(identity: &str) -> String {
    let start = identity.char_indices().rev().nth(5).map_or(0, |(place, _)| place);
    format!("…{}", &identity[start..])
}

fn show(out: Out, nodes: &[Node]) {
    let names = names(nodes);
    let rows = nodes.iter().map(|Node { info, .. }| {
        [
            info.name.clone(),
            info.height.to_string(),
            format!("{:.12}…", info.tip.to_string()),
            list(&names, info.peers.iter().map(|peer| &peer.identity)),
            list(&names, info.blocked.iter()),
            line_of(info),
        ]
    });
    out.table(["NODE", "HEIGHT", "TIP", "CONNECTED TO", "CUT OFF FROM", "LINE"], rows);
    let stopped: BTreeSet<&str> =
        nodes.iter().flat_map(|node| &node.info.stopped).map(String::as_str).collect();
    for name in stopped {
        out.line(format!("{name} is stopped: `tine net start {name}` starts it"));
    }
    out.document(&nodes.iter().map(|node| &node.info).collect::<Vec<_>>());
}

/// Has a node of a devnet stopped or started by another one of its process.
fn order(out: Out, settings: &Settings, nodes: &[Node], wanted: &str, method: &str) -> Result<(), Error> {
    let steers =
        |node: &&Node| node.info.name != wanted && node.info.company.iter().any(|member| member == wanted);
    let Some(other) = nodes.iter().find(steers) else { return Err(nobody_steers(nodes, wanted)) };
    let member = NetMember { node: wanted.to_owned() };
    let info = other.target.client.call_as::<NetInfo>(method, member)?;
    // who runs is another list now
    let running = |entry: &str| !info.stopped.iter().any(|stopped| stopped == entry);
    let mut targets: Vec<Target> = nodes.iter().map(|node| node.target.clone()).collect();
    if method == methods::NET_START {
        targets.extend(Target::all(settings)?.into_iter().filter(|target| target.name == wanted));
    }
    targets.retain(|target| running(&target.name));
    show(out, &ask(targets)?);
    Ok(())
}

fn nobody_steers(nodes: &[Node], wanted: &str) -> Error {
    let known: BTreeSet<&str> = nodes
        .iter()
        .flat_map(|node| node.info.company.iter().chain([&node.info.name]))
        .map(String::as_str)
        .collect();
    let known = known.into_iter().collect::<Vec<_>>().join(", ");
    match nodes.iter().find(|node| node.info.name == wanted) {
        Some(node) if node.info.company.len() > 1 => Error::Failed(format!(
            "{wanted} is the last node that runs: Ctrl-C, or `tine rpc stop`, ends the devnet"
        )),
        Some(_) => Error::Usage(format!(
            "{wanted} is a process of its own: `tine rpc stop --on {wanted}` stops it, `tine node` starts it"
        )),
        None => Error::Usage(format!("no node is called {wanted:?} here; there are {known}")),
    }
}

/// How bad a node's line is.
fn line_of(info: &NetInfo) -> String {
    let faults = [
        (info.delay_ms > 0).then(|| format!("+{} ms", info.delay_ms)),
        (info.drop_percent > 0).then(|| format!("{} % lost", info.drop_percent)),
    ];
    let faults: Vec<String> = faults.into_iter().flatten().collect();
    if faults.is_empty() { "good".into() } else { faults.join(", ") }
}

/// Makes the line of a node, or of all, bad.
fn fault(out: Out, nodes: &[Node], wanted: &str, fault: &NetFault) -> Result<(), Error> {
    let names: Vec<&str> = nodes.iter().map(|node| node.info.name.as_str()).collect();
    let chosen = if wanted == "all" {
        nodes
    } else {
        let place = place_of(wanted, &names)?;
        &nodes[place..=place]
    };
    for node in chosen {
        node.target.client.call(methods::NET_FAULT, fault)?;
    }
    show(out, &ask(nodes.iter().map(|node| node.target.clone()).collect())?);
    Ok(())
}

/// The place of the node that is called so, or has that number from 1.
fn place_of(member: &str, names: &[&str]) -> Result<usize, Error> {
    let by_number = || member.parse::<usize>().ok().filter(|number| (1..=names.len()).contains(number));
    let named = names.iter().position(|name| *name == member);
    named.or_else(|| by_number().map(|number| number - 1)).ok_or_else(|| {
        Error::Usage(format!(
            "no node is called {member:?} here; there are {}. Nodes of another --dir or machine are named by --rpc, \
             each with its URL",
            names.join(", ")
        ))
    })
}

/// Which group each node is in, by its place in `names`.
///
/// # Errors
/// A name that nobody has, a name twice, a node in no group (it would still join the others), a single group.
fn parse_groups(text: &str, names: &[&str]) -> Result<Vec<usize>, Error> {
    let mut group_of = vec![None; names.len()];
    let mut groups = 0;
    for part in text.split('|') {
        let members: Vec<&str> =
            part.split([',', ' ']).map(str::trim).filter(|name| !name.is_empty()).collect();
        if members.is_empty() {
            return Err(Error::Usage(format!("{text:?}: an empty group; write \"alice | bob,carol\"")));
        }
        for member in members {
            let place = place_of(member, names)?;
            if group_of[place].replace(groups).is_some() {
                return Err(Error::Usage(format!("{member} is named twice")));
            }
        }
        groups += 1;
    }
    if groups < 2 {
        return Err(Error::Usage(format!("{text:?}: a split needs two groups, as in \"alice | bob,carol\"")));
    }
    let missing: Vec<&str> =
        names.iter().zip(&group_of).filter(|(_, group)| group.is_none()).map(|(name, _)| *name).collect();
    if !missing.is_empty() {
        return Err(Error::Usage(format!("in no group: {}; every node needs one", missing.join(", "))));
    }
    Ok(group_of.into_iter().flatten().collect())
}

fn split(out: Out, nodes: &[Node], groups: &str) -> Result<(), Error> {
    let names: Vec<&str> = nodes.iter().map(|node| node.info.name.as_str()).collect();
    let group_of = parse_groups(groups, &names)?;
    let listed: BTreeSet<&str> = nodes.iter().map(|node| node.info.identity.as_str()).collect();
    // whoever is in no group would carry blocks across
    let strangers: BTreeSet<&String> = nodes
        .iter()
        .flat_map(|node| node.info.peers.iter().map(|peer| &peer.identity))
        .filter(|identity| !listed.contains(identity.as_str()))
        .collect();
    if !strangers.is_empty() {
        let shown: Vec<String> = strangers.iter().map(|identity| short(identity)).collect();
        out.line(format!(
            "peers that are in no group, since they run in another --dir, are cut off from everybody: {} (--rpc URL names \
             them too)",
            shown.join(", ")
        ));
    }
    let were_cut = cut_off(nodes);
    for (place, node) in nodes.iter().enumerate() {
        let others = nodes.iter().zip(&group_of).filter(|(_, group)| **group != group_of[place]);
        let identities = others.map(|(other, _)| &other.info.identity).chain(strangers.iter().copied());
        let identities = identities.cloned().collect();
        node.target.client.call(methods::NET_SPLIT, NetSplit { identities })?;
    }
    let is_cut = |nodes: &[Node]| {
        let open =
            |node: &Node| node.info.peers.iter().any(|peer| node.info.blocked.contains(&peer.identity));
        !nodes.iter().any(open) && have_met_again(nodes, &were_cut)
    };
    finish(
        out,
        nodes,
        is_cut,
        "a link across the cut is still open, or a node has not found back to its group yet",
    )
}

/// Whom each node refuses.
fn cut_off(nodes: &[Node]) -> Vec<BTreeSet<String>> {
    nodes.iter().map(|node| node.info.blocked.iter().cloned().collect()).collect()
}

/// Whether every node has at least one link to those that it was cut off from and is no more.
fn have_met_again(nodes: &[Node], were_cut: &[BTreeSet<String>]) -> bool {
    let known: BTreeSet<&str> = nodes.iter().map(|node| node.info.identity.as_str()).collect();
    nodes.iter().zip(were_cut).all(|(node, cut)| {
        let is_wanted =
            |identity: &&String| known.contains(identity.as_str()) && !node.info.blocked.contains(identity);
        let mut wanted = cut.iter().filter(is_wanted).peekable();
        let has = |identity: &String| node.info.peers.iter().any(|peer| peer.identity == *identity);
        wanted.peek().is_none() || wanted.any(has)
    })
}

fn heal(out: Out, nodes: &[Node]) -> Result<(), Error> {
    let were_cut = cut_off(nodes);
    for node in nodes {
        node.target.client.call(methods::NET_HEAL, json!({}))?;
    }
    let is_healed = |nodes: &[Node]| {
        nodes.iter().all(|node| node.info.blocked.is_empty()) && have_met_again(nodes, &were_cut)
    };
    finish(out, nodes, is_healed, "not every node has found back to the others yet")
}

/// Looks until what was done shows, then shows it.
fn finish(out: Out, nodes: &[Node], done: impl Fn(&[Node]) -> bool, otherwise: &str) -> Result<(), Error> {
    let start = Instant::now();
    loop {
        let now = ask(nodes.iter().map(|node| node.target.clone()).collect())?;
        let is_done = done(&now);
        if is_done || start.elapsed() > SETTLE {
            show(out, &now);
            return if is_done { Ok(()) } else { Err(Error::Failed(otherwise.into())) };
        }
        std::thread::sleep(LOOK);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_name_every_node_once() {
        let names = ["alice", "bob", "carol", "dave"];
        assert_eq!(parse_groups("alice | bob,carol,dave", &names).expect("parses"), [0, 1, 1, 1]);
        assert_eq!(parse_groups("bob,dave|carol,alice", &names).expect("parses"), [1, 0, 1, 0]);
        assert_eq!(parse_groups("1|2,3|4", &names).expect("parses"), [0, 1, 1, 2]);
        for (text, named) in [
            ("alice | bob", "carol, dave"),
            ("alice,bob,carol,dave", "two groups"),
            ("alice | bob,carol,dave,eve", "eve"),
            ("alice | bob,carol,dave,late", "--rpc"),
            ("alice | alice,bob,carol,dave", "alice is named twice"),
            ("alice | ", "empty group"),
            ("5 | 1,2,3,4", "5"),
        ] {
            let error = parse_groups(text, &names).expect_err(text);
            assert!(matches!(&error, Error::Usage(why) if why.contains(named)), "{error}");
        }
    }
}
