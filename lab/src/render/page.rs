//! Whole pages.

use std::fmt::Write as _;

use tine_node::explain::{ReorgReport, ReportFate};

use super::{colour, escaped, letter};

const STYLE: &str = "\
:root{color-scheme:light dark;--ink:#1a1a1a;--paper:#fff;--faint:#6b6b6b;--line:#c9c9c9;--band:#d55e0022;--card:#f5f5f2}
@media(prefers-color-scheme:dark){:root{--ink:#ececec;--paper:#15171a;--faint:#9a9a9a;--line:#4a4d52;--band:#d55e0044;--card:#202327}}
body{margin:0 auto;max-width:1100px;padding:16px;background:var(--paper);color:var(--ink);font:16px/1.5 system-ui,sans-serif}
h1{font-size:1.4rem;margin:.2em 0}h2{font-size:1.1rem;margin:1.4em 0 .4em}
p{max-width:70ch}.sub,.faint{color:var(--faint)}
.scroll{overflow-x:auto;border:1px solid var(--line);border-radius:6px;padding:4px}
.legend{display:flex;flex-wrap:wrap;gap:.3em 1.2em;padding:0;list-style:none;font-size:.9rem}
.legend svg{vertical-align:-5px;margin-right:.35em}
pre{overflow-x:auto;background:var(--card);padding:10px;border-radius:6px;font-size:.85rem}
table{border-collapse:collapse;font-size:.9rem}td,th{padding:.25em .7em;border-bottom:1px solid var(--line);text-align:left}
svg text{font:11px system-ui,sans-serif}svg .ink{fill:var(--ink)}svg .on{fill:#000}svg .small{font-size:9px}
svg .label,svg .faint{fill:var(--faint);font-size:10px}
rect.active,rect.key{stroke:var(--ink);stroke-width:2}
rect.stale{stroke:var(--ink);stroke-width:2;stroke-dasharray:4 3;fill-opacity:.55}
rect.hollow{stroke:var(--faint);stroke-width:1.5}rect.invalid{stroke:#d55e00;stroke-width:2;fill-opacity:.3}
.cross{stroke:#d55e00;stroke-width:2;fill:none}.flag{stroke:var(--ink);stroke-width:1}
.edge{stroke:var(--ink);stroke-width:1.2;fill:none}.lane{stroke:var(--line)}.arrow{stroke-width:1;opacity:.7}
.band{fill:var(--band)}.reorg{fill:#d55e00;stroke:var(--ink);stroke-width:.7}
.bad{color:#d55e00;font-weight:600}
";

/// A page that needs nothing else: a title, what it is about, and sections of a heading and HTML.
#[must_use]
pub fn page(title: &str, about: &str, nodes: &[String], sections: &[(&str, String)]) -> String {
    let mut html = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n\
         <title>{0}</title>\n<style>{STYLE}</style></head>\n<body>\n<h1>{0}</h1>\n<p class=\"sub\">{1}</p>\n",
        escaped(title),
        escaped(about)
    );
    html.push_str(&legend(nodes));
    for (heading, body) in sections {
        let _ = writeln!(html, "<h2>{}</h2>\n{body}", escaped(heading));
    }
    html.push_str("</body></html>\n");
    html
}

/// What colours, letters, borders and marks mean.
fn legend(nodes: &[String]) -> String {
    let mut html = String::from("<ul class=\"legend\">");
    for (place, name) in nodes.iter().enumerate() {
        let _ = write!(
            html,
            "<li><svg width=\"20\" height=\"20\"><circle class=\"flag\" cx=\"10\" cy=\"10\" r=\"8\" fill=\"{}\"/>\
             <text class=\"on small\" x=\"10\" y=\"13\" text-anchor=\"middle\">{}</text></svg>{}</li>",
            colour(place),
            escaped(&letter(name)),
            escaped(name)
        );
    }
    for (class, text) in
        [("active", "active"), ("stale", "stale"), ("hollow", "header only"), ("invalid", "invalid")]
    {
        let cross =
            if class == "invalid" { "<path class=\"cross\" d=\"M3 4 23 16M23 4 3 16\"/>" } else { "" };
        let fill = if class == "hollow" { "none" } else { "#9993" };
        let _ = write!(
            html,
            "<li><svg width=\"26\" height=\"20\"><rect class=\"{class}\" x=\"3\" y=\"4\" width=\"20\" height=\"12\" rx=\"3\" \
             fill=\"{fill}\"/>{cross}</svg>{text}</li>"
        );
    }
    html.push_str(
        "<li><svg width=\"20\" height=\"20\"><path class=\"reorg\" d=\"M10 4 l7 11 h-14 z\"/></svg>reorganisation</li>\
         <li>fill: miner</li><li>0x…: work behind the block</li><li>circle: whose tip</li></ul>\n",
    );
    html
}

/// A reorganisation, explained.
#[must_use]
pub fn reorg_card(report: &ReorgReport) -> String {
    let mut html = format!("<pre>{}</pre>\n", escaped(&report.to_string()));
    let rows: Vec<_> = report.transactions.iter().filter(|tx| !tx.coinbase).collect();
    if rows.is_empty() {
        return html;
    }
    html.push_str("<div class=\"scroll\"><table><tr><th>transaction</th><th>was in</th><th>confirmations</th><th>now</th></tr>\n");
    for tx in rows {
        let (class, fate) = match &tx.fate {
            ReportFate::ConfirmedAgain { label, .. } => ("", format!("confirmed again in {label}")),
            ReportFate::Returned => ("", "back in the mempool".to_owned()),
            ReportFate::TooEarly { height } => ("", format!("may be mined again at height {height}")),
            ReportFate::Conflicted { coin, by, label, .. } => {
                ("bad", format!("CONFLICTED: {by:.12} in {label} spends {coin}"))
            }
            ReportFate::Orphaned => ("bad", "void: it spent a reward that is gone".to_owned()),
        };
        let _ = writeln!(
            html,
            "<tr><td>{:.16}…</td><td>{}</td><td>{}</td><td class=\"{class}\">{}</td></tr>",
            tx.txid.to_string(),
            escaped(&tx.label),
            tx.confirmations,
            escaped(&fate)
        );
    }
    html.push_str("</table></div>\n");
    html
}
