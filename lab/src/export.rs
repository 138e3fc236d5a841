//! A run's log in other people's formats.

use tine_node::record::{Entry, Happening};

/// For ShiViz (bestchai.bitbucket.io/shiviz): the expression by which it reads the lines, an empty line, and then two
/// lines for each event: host and vector clock, and what happened.
#[must_use]
pub fn shiviz<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> String {
    let mut text = String::from("(?<host>\\S*) (?<clock>{.*})\\n(?<event>.*)\n\n");
    for entry in entries {
        let Some(node) = &entry.node else { continue };
        if entry.clock.is_empty() {
            continue;
        }
        let host = |name: &str| name.replace(char::is_whitespace, "_");
        let clock: Vec<String> =
            entry.clock.iter().map(|(name, count)| format!("\"{}\":{count}", host(name))).collect();
        text.push_str(&format!("{} {{{}}}\n{}\n", host(node), clock.join(","), describe(&entry.happening)));
    }
    text
}

/// One line for each event: `seconds,node,lamport,event,block,height,detail`.
#[must_use]
pub fn csv<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> String {
    let mut text = String::from("seconds,node,lamport,event,block,height,detail\n");
    let mut start = None;
    for entry in entries {
        let start = *start.get_or_insert(entry.time);
        let (event, block, height, detail) = fields(&entry.happening);
        text.push_str(&format!(
            "{:.3},{},{},{event},{block},{height},{}\n",
            entry.time.since(start).as_secs_f64(),
            quoted(entry.node.as_deref().unwrap_or("")),
            entry.lamport,
            quoted(&detail),
        ));
    }
    text
}

/// A field as RFC 4180 has it.
fn quoted(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

/// An event on one line.
#[must_use]
pub fn describe(happening: &Happening) -> String {
    let (event, block, height, detail) = fields(happening);
    let block = if block.is_empty() { String::new() } else { format!(" block={:.8}", &block[56..]) };
    let height = if height.is_empty() { String::new() } else { format!(" height={height}") };
    let detail = if detail.is_empty() { String::new() } else { format!(" {detail}") };
    format!("{event}{height}{block}{}", detail.replace('\n', " "))
}

/// Kind, block, height and the rest.
fn fields(happening: &Happening) -> (&'static str, String, String, String) {
    let none = String::new;
    match happening {
        Happening::Start { name, nodes, .. } => {
            ("start", none(), none(), format!("{name}: {}", nodes.join(" ")))
        }
        Happening::Step { text } => ("step", none(), none(), text.clone()),
        Happening::Split { groups } => {
            let groups: Vec<String> = groups.iter().map(|group| group.join(" ")).collect();
            ("split", none(), none(), groups.join(" | "))
        }
        Happening::Heal => ("heal", none(), none(), none()),
        Happening::Byzantine { strategy } => ("byzantine", none(), none(), strategy.clone()),
        Happening::Mined { block, height } => ("mined", block.to_string(), height.to_string(), none()),
        Happening::Header { block, height, from, .. } => {
            let from = from.as_ref().map_or_else(none, |from| format!("from={from}"));
            ("header", block.to_string(), height.to_string(), from)
        }
        Happening::Body { block, .. } => ("body", block.to_string(), none(), none()),
        Happening::Tip { block, height, disconnected, .. } => {
            let detail =
                if disconnected.is_empty() { none() } else { format!("gave-up={}", disconnected.len()) };
            (
                if disconnected.is_empty() { "tip" } else { "reorg" },
                block.to_string(),
                height.to_string(),
                detail,
            )
        }
        Happening::Invalid { block, reason } => ("invalid", block.to_string(), none(), reason.clone()),
        Happening::Transaction { txid } => ("transaction", none(), none(), txid.to_string()),
        Happening::Removed { txid, .. } => ("removed", none(), none(), txid.to_string()),
        Happening::DoubleSpend { refused, kept, .. } => {
            ("double-spend", none(), none(), format!("refused={refused} kept={kept}"))
        }
        Happening::Punished { peer, offence } => ("punished", none(), none(), format!("{peer}: {offence}")),
    }
}
