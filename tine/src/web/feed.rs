//! What happens on the page's nodes, numbered and kept for a while, so that a browser that was away catches up.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};
use tine_node::event::{Notice, PeerId};
use tine_node::explain::ReorgReport;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;
use tokio::task::{JoinHandle, JoinSet};

use crate::driver::{self, Stamped};
use crate::fleet::{Fleet, Seat};
use crate::rpc::Context;
use crate::view::View;

/// Events that are kept. On a devnet that is about an hour.
const KEPT: usize = 20_000;
/// Events that a browser may be behind before it starts anew.
pub(crate) const BACKLOG: usize = 4_096;

/// An event: its number, and its JSON on one line.
#[derive(Debug)]
pub(crate) struct Numbered {
    pub(crate) id: u64,
    pub(crate) json: String,
}

/// What a browser that knows events up to some number must be told first.
pub(crate) enum Missed {
    /// These, in order.
    Events(Vec<Arc<Numbered>>),
    /// They are no longer here, or of another run: it must ask for the state as a whole.
    Everything,
}

/// The events of all nodes of the page.
pub(crate) struct Feed {
    /// Tells this run of the program from others: numbers begin at 1 in each.
    pub(crate) run: String,
    kept: Mutex<VecDeque<Arc<Numbered>>>,
    live: broadcast::Sender<Arc<Numbered>>,
    names: BTreeMap<String, String>,
}

impl Feed {
    /// Listens to `nodes`, to whoever of them is started again, too, until the task is aborted.
    pub(crate) fn start(fleet: Arc<Fleet>) -> (Arc<Self>, JoinHandle<()>) {
        let identity = |node: &Arc<Context>| {
            let network = node.network.as_ref()?;
            Some((network.identity().to_owned(), node.name.clone()))
        };
        let feed = Arc::new(Self {
            run: format!("{:x}", driver::now().0),
            kept: Mutex::default(),
            live: broadcast::Sender::new(BACKLOG),
            names: fleet.running().iter().filter_map(identity).collect(),
        });
        let task = tokio::spawn(attend(Arc::clone(&feed), fleet));
        (feed, task)
    }

    /// The events of a run that is over: nothing is added to them.
    pub(crate) fn of(events: Vec<Value>) -> Arc<Self> {
        let feed = Self {
            run: format!("{:x}", driver::now().0),
            kept: Mutex::default(),
            live: broadcast::Sender::new(BACKLOG),
            names: BTreeMap::new(),
        };
        events.into_iter().for_each(|event| feed.publish(event));
        Arc::new(feed)
    }

    fn kept(&self) -> MutexGuard<'_, VecDeque<Arc<Numbered>>> {
        // nothing in here panics halfway
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The number of the last event; 0 before the first.
    pub(crate) fn last(&self) -> u64 {
        self.kept().back().map_or(0, |event| event.id)
    }

    /// What a browser that has seen `seen` (`<run>-<number>`) has missed, and what comes from now on.
    pub(crate) fn follow(&self, seen: Option<&str>) -> (Missed, broadcast::Receiver<Arc<Numbered>>) {
        // under the lock nothing is published: nothing is missed and nothing comes twice
        let kept = self.kept();
        let live = self.live.subscribe();
        let number = seen.and_then(|seen| {
            let (run, number) = seen.split_once('-')?;
            (run == self.run).then(|| number.parse::<u64>().ok())?
        });
        let missed = match number {
            Some(number) if kept.front().is_none_or(|first| first.id <= number + 1) => {
                Missed::Events(kept.iter().filter(|event| event.id > number).cloned().collect())
            }
            Some(_) | None => Missed::Everything,
        };
        (missed, live)
    }

    /// Events kept from `number` on, at most `count`.
    pub(crate) fn since(&self, number: u64, count: usize) -> Vec<Arc<Numbered>> {
        self.kept().iter().filter(|event| event.id >= number).take(count).cloned().collect()
    }

    pub(crate) fn publish(&self, mut event: Value) {
        let mut kept = self.kept();
        let id = kept.back().map_or(0, |event| event.id) + 1;
        event["id"] = id.into();
        let event = Arc::new(Numbered { id, json: event.to_string() });
        kept.push_back(Arc::clone(&event));
        if kept.len() > KEPT {
            kept.pop_front();
        }
        // an error means that nobody listens
        let _ = self.live.send(event);
    }

    /// The name of a node of the page, by its identity.
    pub(crate) fn name_of(&self, identity: &str) -> Option<&str> {
        self.names.get(identity).map(String::as_str)
    }

    fn peer_name(&self, node: &Context, peer: Option<PeerId>) -> Option<String> {
        let view = node.view();
        let peer = view.peers.iter().find(|known| Some(known.id) == peer)?;
        self.name_of(&peer.info.identity).map(str::to_owned)
    }

    /// Tells of the blocks that a node which was started again has seen before anybody listened to it; `left` is how it
    /// was when it was stopped.
    fn catch_up(&self, node: &Context, left: &View) {
        let view = node.view();
        let mut missed = Vec::new();
        let mut block = Some(&view.tip);
        while let Some(info) = block.filter(|info| left.block(&info.hash).is_none() && missed.len() < BACKLOG)
        {
            missed.push(info);
            block = view.block(&info.header.prev_block);
        }
        for info in missed.iter().rev() {
            self.publish(json!({
                "t": info.seen.0, "node": node.name, "kind": "block", "hash": info.hash, "height": info.height,
                "prev": info.header.prev_block, "from": null,
            }));
        }
        if !missed.is_empty() {
            let (t, hash, height) = (view.tip.seen.0, view.tip.hash, view.tip.height);
            self.publish(json!({ "t": t, "node": node.name, "kind": "tip", "hash": hash, "height": height }));
        }
    }

    fn note(&self, node: &Context, stamped: &Stamped) {
        let stamp = |kind: &str| json!({ "t": stamped.time.0, "node": node.name, "kind": kind });
        let with = |kind: &str, more: Value| {
            let mut event = stamp(kind);
            if let (Value::Object(event), Value::Object(more)) = (&mut event, more) {
                event.extend(more);
            }
            self.publish(event);
        };
        match &stamped.notice {
            Notice::HeaderSeen(header, hash, height, peer) => with(
                "block",
                json!({ "hash": hash, "height": height, "prev": header.prev_block, "from": self.peer_name(node, *peer) }),
            ),
            Notice::Chain(change) => {
                if let Some(tip) = change.tip {
                    with(
                        "tip",
                        json!({ "hash": tip, "height": node.view().block(&tip).map(|tip| tip.height) }),
                    );
                }
                if let Some(reorg) = &change.reorg {
                    match ReorgReport::new(reorg, &**node.reader()) {
                        Ok(report) => with("reorg", json!({ "number": reorg.number, "report": report })),
                        Err(error) => tracing::warn!(%error, "a reorganisation can't be explained"),
                    }
                }
            }
            Notice::BlockInvalid(hash, reject) => {
                with("invalid", json!({ "hash": hash, "reason": reject.reason() }));
            }
            Notice::TransactionAdded(tx) => with("tx", json!({ "txid": tx.txid() })),
            Notice::TransactionRemoved(txid, why) => with("tx-removed", json!({ "txid": txid, "why": why })),
            Notice::DoubleSpendAttempt { refused, kept, coin } => {
                with("double-spend", json!({ "refused": refused, "kept": kept, "coin": coin.to_string() }));
            }
            Notice::Syncing { .. } | Notice::Wanted(_) => {}
        }
    }
}

/// Listens to every node that runs; tells when one is stopped, and when it is there again.
async fn attend(feed: Arc<Feed>, fleet: Arc<Fleet>) {
    let mut changes = fleet.changes();
    let mut turns: BTreeMap<String, u64> = BTreeMap::new();
    // how those were that are stopped
    let mut left: BTreeMap<String, Arc<View>> = BTreeMap::new();
    // ends with this task
    let mut ears = JoinSet::new();
    loop {
        let members = Arc::clone(&changes.borrow_and_update());
        for member in members.iter() {
            let before = turns.insert(member.name.clone(), member.turn);
            if before == Some(member.turn) {
                continue;
            }
            if before.is_some() {
                let kind = if member.running().is_some() { "started" } else { "stopped" };
                feed.publish(json!({ "t": driver::now().0, "node": member.name, "kind": kind }));
            }
            if let Seat::Stopped(view) = &member.seat {
                left.insert(member.name.clone(), Arc::clone(view));
            }
            if let Some(node) = member.running() {
                let notices = node.node.subscribe();
                if let Some(left) = left.remove(&member.name) {
                    feed.catch_up(node, &left);
                }
                ears.spawn(listen(Arc::clone(&feed), Arc::clone(node), notices));
                ears.spawn(watch_links(Arc::clone(&feed), Arc::clone(node)));
            }
        }
        drop(members);
        tokio::select! {
            changed = changes.changed() => if changed.is_err() { return },
            Some(_) = ears.join_next() => {}
        }
    }
}

/// Until the node stops: then it must be let go of.
async fn listen(feed: Arc<Feed>, node: Arc<Context>, mut notices: broadcast::Receiver<Arc<Stamped>>) {
    loop {
        let heard = tokio::select! {
            heard = notices.recv() => heard,
            () = node.node.stopped() => return,
        };
        match heard {
            Ok(stamped) => {
                let (feed, node) = (Arc::clone(&feed), Arc::clone(&node));
                // a report of a reorganisation reads bodies
                let noted = tokio::task::spawn_blocking(move || feed.note(&node, &stamped));
                if let Err(error) = noted.await {
                    tracing::error!(%error, "an event was not noted");
                }
            }
            Err(RecvError::Lagged(lost)) => tracing::warn!(lost, "the page's feed is behind"),
            Err(RecvError::Closed) => return,
        }
    }
}

/// Says when a node's links change: whom it is connected to, whom it is cut off from.
async fn watch_links(feed: Arc<Feed>, node: Arc<Context>) {
    let Some(mut status) = node.network.as_ref().map(tine_p2p::Network::watch) else { return };
    let mut before = Value::Null;
    loop {
        let links = {
            let status = status.borrow_and_update();
            links(&feed, &status)
        };
        if links != before {
            before = links.clone();
            let (peers, cut) = (&links["peers"], &links["cut"]);
            feed.publish(json!({
                "t": driver::now().0, "node": node.name, "kind": "links", "peers": peers, "cut": cut,
            }));
        }
        tokio::select! {
            changed = status.changed() => if changed.is_err() { return },
            () = node.node.stopped() => return,
        }
    }
}

/// Names of the page's nodes that a node is connected to, and cut off from.
pub(crate) fn links(feed: &Feed, status: &tine_p2p::Status) -> Value {
    let mut peers: Vec<&str> = status.peers.iter().filter_map(|peer| feed.name_of(&peer.identity)).collect();
    peers.sort_unstable();
    let mut cut: Vec<&str> = status.cut.iter().filter_map(|identity| feed.name_of(identity)).collect();
    cut.sort_unstable();
    json!({ "peers": peers, "cut": cut })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn feed() -> Feed {
        Feed {
            run: "7".into(),
            kept: Mutex::default(),
            live: broadcast::Sender::new(4),
            names: BTreeMap::new(),
        }
    }

    fn missed(feed: &Feed, seen: Option<&str>) -> Option<Vec<u64>> {
        match feed.follow(seen).0 {
            Missed::Events(events) => Some(events.iter().map(|event| event.id).collect()),
            Missed::Everything => None,
        }
    }

    #[test]
    fn who_was_away_is_told_what_was_missed_and_nothing_twice() {
        let feed = feed();
        assert_eq!(missed(&feed, Some("7-0")), Some(vec![]), "nothing has happened");
        (0..5).for_each(|n| feed.publish(json!({ "n": n })));
        assert_eq!(missed(&feed, Some("7-3")), Some(vec![4, 5]));
        assert_eq!(missed(&feed, Some("7-5")), Some(vec![]));
        for anew in [None, Some("6-3"), Some("7-x"), Some("nonsense")] {
            assert_eq!(missed(&feed, anew), None, "{anew:?}");
        }
    }

    #[test]
    fn old_events_are_forgotten_and_whoever_needs_them_starts_anew() {
        let feed = feed();
        (0..KEPT + 10).for_each(|n| feed.publish(json!({ "n": n })));
        assert_eq!(feed.kept().len(), KEPT);
        assert_eq!(missed(&feed, Some("7-9")), None);
        assert_eq!(missed(&feed, Some("7-10")).map(|events| events.len()), Some(KEPT));
        assert_eq!(
            feed.since(20_000, 3).iter().map(|event| event.id).collect::<Vec<_>>(),
            [20_000, 20_001, 20_002]
        );
    }
}
