//! The page: the status of the nodes in plain HTML, made at each request and read-only.
//!
//! It shows one node, or all nodes of a devnet: their tips, the last blocks, the reorganisations.

use std::fmt::Write as _;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tine_chain::journal::Reorg;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::rpc::Context;
use crate::rpc::transport::{self, AllowedHosts, Limits};
use crate::view::View;

/// How many of the last blocks and reorganisations are shown of each node.
const SHOWN: u32 = 15;
/// Nothing is loaded, framed or sent anywhere; the page reloads itself.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";
const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem;\
color:#222;background:#fff}table{border-collapse:collapse;width:100%;margin:.5rem 0 1.5rem}th,td{text-align:left;\
padding:.2rem .8rem .2rem 0;border-bottom:1px solid #ddd}code{font:13px ui-monospace,monospace}\
@media(prefers-color-scheme:dark){body{color:#ddd;background:#181818}th,td{border-color:#444}}";

/// A page that is served; dropping it stops it.
#[derive(Debug)]
pub struct Page {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Page {
    /// Listens and serves the state of `nodes`.
    ///
    /// # Errors
    /// When the address is taken, or is not loopback and `allow_remote` is not set.
    pub async fn start(
        bind: SocketAddr,
        allow_remote: bool,
        allow_hosts: &[String],
        nodes: Vec<Arc<Context>>,
    ) -> io::Result<Self> {
        transport::refuse_remote(bind, allow_remote, "the page")?;
        let listener = transport::bind(bind).await?;
        let address = listener.local_addr()?;
        let allowed = AllowedHosts::new(address.ip(), allow_hosts);
        let router = transport::guarded(router(nodes), allowed);
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(transport::serve(listener, router, Limits::default(), stopped));
        Ok(Self { address, stop, task })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends it, and waits for that.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        // a panic in the accept loop has been reported where it happened
        let _ = self.task.await;
    }
}

fn router(nodes: Vec<Arc<Context>>) -> Router {
    Router::new().route("/", get(page)).with_state(Arc::from(nodes))
}

async fn page(State(nodes): State<Arc<[Arc<Context>]>>) -> Response {
    let views: Vec<(&str, Arc<View>)> = nodes.iter().map(|node| (node.name.as_str(), node.view())).collect();
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::CACHE_CONTROL, "no-store"),
    ];
    (headers, render(&views)).into_response()
}

/// The text with everything that means something to HTML written out.
fn escape(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut out, character| {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
        out
    })
}

/// A row of cells, escaped.
fn row(cells: &[String]) -> String {
    let cells: String = cells.iter().map(|cell| format!("<td>{}</td>", escape(cell))).collect();
    format!("<tr>{cells}</tr>")
}

fn table(title: &str, head: &[&str], rows: &[String]) -> String {
    if rows.is_empty() {
        return format!("<h3>{title}</h3><p>None so far.</p>");
    }
    let head: String = head.iter().map(|name| format!("<th scope=col>{name}</th>")).collect();
    format!("<h3>{title}</h3><table><thead><tr>{head}</tr></thead><tbody>{}</tbody></table>", rows.concat())
}

fn render(views: &[(&str, Arc<View>)]) -> String {
    let mut html = format!(
        "<!doctype html><html lang=en><meta charset=utf-8><meta http-equiv=refresh content=5>\
         <meta name=viewport content=\"width=device-width\"><title>tine</title><style>{STYLE}</style><h1>tine</h1>"
    );
    let nodes: Vec<String> = views.iter().map(|(name, view)| row(&node_cells(name, view))).collect();
    let head = ["node", "network", "height", "tip", "peers", "mempool", "branches"];
    html.push_str(&table("Nodes", &head, &nodes));
    for (name, view) in views {
        let _ = write!(html, "<h2>{}</h2>", escape(name));
        let lowest = view.tip.height.saturating_sub(SHOWN - 1);
        let blocks = (lowest..=view.tip.height).rev().filter_map(|height| view.active.get(height));
        let blocks = blocks.filter_map(|hash| view.block(&hash)).map(|block| {
            let seen = block.seen.as_secs().to_string();
            row(&[block.height.to_string(), block.hash.to_string(), block.header.time.to_string(), seen])
        });
        html.push_str(&table(
            "Last blocks",
            &["height", "id", "time", "first seen"],
            &blocks.collect::<Vec<_>>(),
        ));
        let reorgs: Vec<String> =
            view.reorgs.iter().rev().take(SHOWN as usize).map(|reorg| row(&reorg_cells(reorg))).collect();
        html.push_str(&table("Reorganisations", &["number", "fork at", "out", "in"], &reorgs));
    }
    html
}

fn node_cells(name: &str, view: &View) -> [String; 7] {
    [
        name.to_owned(),
        view.network.name().to_owned(),
        view.tip.height.to_string(),
        view.tip.hash.to_string(),
        view.peers.len().to_string(),
        view.mempool.len().to_string(),
        (view.tips.len() - 1).to_string(),
    ]
}

fn reorg_cells(reorg: &Reorg) -> [String; 4] {
    let blocks = |list: &[tine_chain::journal::BranchBlock]| {
        list.iter()
            .map(|block| format!("{} {:.12}", block.height, block.hash.to_string()))
            .collect::<Vec<_>>()
    };
    [
        reorg.number.to_string(),
        reorg.fork.height.to_string(),
        blocks(&reorg.disconnected).join(", "),
        blocks(&reorg.connected).join(", "),
    ]
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_others_wrote_is_text_and_nothing_else() {
        assert_eq!(
            super::row(&["<script>alert('\"&')</script>".to_owned()]),
            "<tr><td>&lt;script&gt;alert(&#39;&quot;&amp;&#39;)&lt;/script&gt;</td></tr>"
        );
    }
}
