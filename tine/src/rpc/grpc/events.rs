//! The service `Events`: the node's feed as a stream that goes on where a reader stopped.
//!
//! A task takes from the feed and puts into a short queue, from which the connection takes as fast as its reader does. So
//! a reader who takes nothing holds no more than that queue, and not for ever.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures::stream::{self, Stream, StreamExt as _};
use serde::Deserialize;
use tine_chain::hash::{BlockHash, Txid};
use tine_node::event::Removal;
use tine_node::explain::ReorgReport;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, mpsc, oneshot};
use tonic::{Request, Response, Status, async_trait};

use super::calls::{Answered, Calls};
use super::convert::text;
use super::v1::event::Detail;
use super::v1::events_server::Events;
use super::v1::follow_response::Message;
use super::v1::{self};
use crate::rpc::transport::raised;
use crate::web::feed::{Feed, Missed, Numbered};

/// Events that wait for a reader in its own queue; further ones wait in the feed, which says when they are too many.
const QUEUE: usize = 64;
/// How long a reader may take nothing while something waits for it.
const PATIENCE: Duration = Duration::from_secs(30);

/// What happens on the node.
#[derive(Debug)]
pub(super) struct EventsService(pub(super) Calls);

type Told = Result<v1::FollowResponse, Status>;

#[async_trait]
impl Events for EventsService {
    type FollowStream = Pin<Box<dyn Stream<Item = Told> + Send>>;

    async fn follow(&self, request: Request<v1::FollowRequest>) -> Answered<Self::FollowStream> {
        let running = self.0.begin(&request)?;
        let full = |_| Status::resource_exhausted("too many streams of events are open");
        let place = Arc::clone(&self.0.followers).try_acquire_owned().map_err(full)?;
        let feed = self.0.context.feed();
        let start = start(&feed, &request.into_inner())?;
        let (queue, waiting) = mpsc::channel(QUEUE);
        let (end, ended) = oneshot::channel();
        let follower = Follower { feed, queue, patience: PATIENCE };
        let mut stopped = self.0.stopped.clone();
        tokio::spawn(async move {
            let (_place, _running) = (place, running);
            let status = tokio::select! {
                status = follower.tell(start) => status,
                () = raised(&mut stopped) => Some(Status::unavailable("the node is stopping")),
            };
            // an error means that the reader has gone
            let _ = status.map(|status| end.send(status));
        });
        let told =
            stream::unfold(waiting, |mut waiting| async move { Some((waiting.recv().await?, waiting)) });
        // what waits is told before why nothing follows
        let last = stream::once(ended).filter_map(|status| async { status.ok().map(Err) });
        Ok(Response::new(told.map(Ok).chain(last).boxed()))
    }
}

/// Where a reader starts.
struct Start {
    /// What it has missed.
    missed: Vec<Arc<Numbered>>,
    /// The number of the last event of that, or before now.
    last: u64,
    /// What comes from now on.
    live: broadcast::Receiver<Arc<Numbered>>,
}

fn start(feed: &Feed, asked: &v1::FollowRequest) -> Result<Start, Status> {
    if !asked.run.is_empty() && asked.run != feed.run {
        let message =
            format!("run {:?} has ended, this is {:?}: follow anew, without a run", asked.run, feed.run);
        return Err(Status::failed_precondition(message));
    }
    let oldest = || feed.since(0, 1).first().map_or(0, |event| event.id - 1);
    let after = match asked.after {
        None => feed.last(),
        Some(0) => oldest(),
        Some(after) => after,
    };
    if after > feed.last() {
        let message = format!("after {after}: the last event is {}", feed.last());
        return Err(Status::out_of_range(message));
    }
    match feed.follow(Some(&format!("{}-{after}", feed.run))) {
        (Missed::Events(missed), live) => {
            let last = missed.last().map_or(after, |event| event.id);
            Ok(Start { missed, last, live })
        }
        (Missed::Everything, _) => Err(Status::out_of_range(format!(
            "after {after}: the oldest event that is kept is {}; ask for the state, and follow from now on",
            oldest() + 1
        ))),
    }
}

/// Who fills a reader's queue.
struct Follower {
    feed: Arc<Feed>,
    queue: mpsc::Sender<v1::FollowResponse>,
    patience: Duration,
}

impl Follower {
    /// Tells everything; why it ended, unless the reader has gone.
    async fn tell(&self, Start { missed, last, mut live }: Start) -> Option<Status> {
        let started = v1::Started { run: self.feed.run.clone(), last };
        if let Err(ended) = self.put(Message::Started(started)).await {
            return ended;
        }
        for event in missed {
            if let Err(ended) = self.put(Message::Event(message(&event))).await {
                return ended;
            }
        }
        loop {
            let event = tokio::select! {
                event = live.recv() => event,
                () = self.queue.closed() => return None,
            };
            let ended = match event {
                Ok(event) => self.put(Message::Event(message(&event))).await,
                Err(RecvError::Lagged(lost)) => Err(Some(too_slow(&format!("{lost} events were lost")))),
                Err(RecvError::Closed) => Err(Some(Status::unavailable("the node is stopping"))),
            };
            if let Err(ended) = ended {
                return ended;
            }
        }
    }

    /// Puts a message into the queue; an error is the end, with a status unless the reader has gone.
    async fn put(&self, message: Message) -> Result<(), Option<Status>> {
        use mpsc::error::SendTimeoutError::{Closed, Timeout};
        let message = v1::FollowResponse { message: Some(message) };
        match self.queue.send_timeout(message, self.patience).await {
            Ok(()) => Ok(()),
            Err(Closed(_)) => Err(None),
            Err(Timeout(_)) => Err(Some(too_slow(&format!("nothing was taken for {:?}", self.patience)))),
        }
    }
}

fn too_slow(how: &str) -> Status {
    Status::resource_exhausted(format!("too slow: {how}; follow again after the last event that was seen"))
}

/// An event of the feed, as its JSON has it.
#[derive(Debug, Deserialize)]
struct Stamped {
    t: u64,
    #[serde(default)]
    node: String,
    #[serde(flatten)]
    kind: Kind,
}

#[derive(Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
enum Kind {
    Block { hash: BlockHash, height: u32, prev: BlockHash, from: Option<String> },
    Tip { hash: BlockHash, height: Option<u32> },
    Reorg { report: Box<ReorgReport> },
    Invalid { hash: BlockHash, reason: String },
    Tx { txid: Txid },
    TxRemoved { txid: Txid, why: Removal },
    DoubleSpend { refused: Txid, kept: Txid, coin: String },
    Links { peers: Vec<String>, cut: Vec<String> },
}

/// The message of an event; one that can't be read has its JSON alone.
fn message(event: &Numbered) -> v1::Event {
    let read = serde_json::from_str::<Stamped>(&event.json);
    let mut message = v1::Event { sequence: event.id, json: event.json.clone(), ..v1::Event::default() };
    match read {
        Ok(stamped) => {
            message.time_ms = stamped.t;
            message.node = stamped.node;
            message.detail = Some(detail(stamped.kind));
        }
        Err(error) => tracing::debug!(%error, "an event of a kind that gRPC does not know"),
    }
    message
}

fn detail(kind: Kind) -> Detail {
    match kind {
        Kind::Block { hash, height, prev, from } => Detail::Block(v1::BlockSeen {
            hash: hash.to_string(),
            height,
            previous: prev.to_string(),
            from: from.unwrap_or_default(),
        }),
        Kind::Tip { hash, height } => {
            Detail::Tip(v1::TipChanged { hash: hash.to_string(), height: height.unwrap_or(0) })
        }
        Kind::Reorg { report } => Detail::Reorg(v1::Reorganised { reorg: Some((&*report).into()) }),
        Kind::Invalid { hash, reason } => {
            Detail::Invalid(v1::BlockInvalid { hash: hash.to_string(), reason })
        }
        Kind::Tx { txid } => Detail::Added(v1::TransactionAdded { txid: txid.to_string() }),
        Kind::TxRemoved { txid, why } => Detail::Removed(removed(txid, &why)),
        Kind::DoubleSpend { refused, kept, coin } => Detail::DoubleSpend(v1::DoubleSpend {
            refused: refused.to_string(),
            kept: kept.to_string(),
            coin: coin.parse().ok().map(|coin: tine_chain::transaction::OutPoint| coin.into()),
        }),
        Kind::Links { peers, cut } => Detail::Links(v1::LinksChanged { peers, cut }),
    }
}

fn removed(txid: Txid, why: &Removal) -> v1::TransactionRemoved {
    let (word, block, by) = match why {
        Removal::Confirmed { block } => ("confirmed", Some(block), None),
        Removal::Conflicted { by, .. } => ("conflicted", None, Some(by)),
        Removal::Evicted => ("evicted", None, None),
        Removal::Expired => ("expired", None, None),
        Removal::Replaced { by, .. } => ("replaced", None, Some(by)),
        Removal::Invalid { .. } => ("invalid", None, None),
    };
    v1::TransactionRemoved { txid: txid.to_string(), why: word.to_owned(), block: text(block), by: text(by) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn asked(after: Option<u64>, run: &str) -> v1::FollowRequest {
        v1::FollowRequest { after, run: run.to_owned() }
    }

    fn tip(height: u32) -> serde_json::Value {
        json!({ "t": 5, "node": "alice", "kind": "tip", "hash": "00".repeat(32), "height": height })
    }

    #[test]
    fn a_reader_goes_on_where_it_stopped_or_is_told_why_not() {
        let feed = Feed::of((1..=5).map(tip).collect());
        let run = feed.run.clone();
        let missed = |after, run: &str| {
            start(&feed, &asked(after, run))
                .map(|start| (start.missed.iter().map(|event| event.id).collect::<Vec<_>>(), start.last))
                .map_err(|status| status.code())
        };
        assert_eq!(missed(Some(3), &run), Ok((vec![4, 5], 5)));
        assert_eq!(missed(Some(0), ""), Ok((vec![1, 2, 3, 4, 5], 5)));
        assert_eq!(missed(Some(5), &run), Ok((vec![], 5)));
        assert_eq!(missed(None, ""), Ok((vec![], 5)));
        assert_eq!(missed(Some(6), &run), Err(tonic::Code::OutOfRange));
        assert_eq!(missed(Some(3), "another"), Err(tonic::Code::FailedPrecondition));
    }

    /// Why a stream ends whose reader takes nothing, while `events` happen.
    async fn ends(events: u32, patience: Duration) -> Status {
        let feed = Feed::of(Vec::new());
        let (queue, waiting) = mpsc::channel(QUEUE);
        let start = start(&feed, &asked(None, "")).expect("from now on");
        (1..=events).for_each(|height| feed.publish(tip(height)));
        let follower = Follower { feed, queue, patience };
        let status = follower.tell(start).await.expect("the reader is still there");
        drop(waiting);
        status
    }

    #[tokio::test]
    async fn a_reader_who_is_too_slow_is_told_so() {
        let lost = ends(u32::try_from(crate::web::feed::BACKLOG).unwrap() + 10, PATIENCE).await;
        assert_eq!(lost.code(), tonic::Code::ResourceExhausted);
        assert!(lost.message().contains("events were lost"), "{lost}");
        let stuck = ends(u32::try_from(QUEUE).unwrap() + 10, Duration::from_millis(50)).await;
        assert_eq!(stuck.code(), tonic::Code::ResourceExhausted);
        assert!(stuck.message().contains("nothing was taken"), "{stuck}");
    }

    #[test]
    fn an_event_keeps_its_json_and_is_typed_if_it_is_known() {
        let event = |value: serde_json::Value| message(&Numbered { id: 9, json: value.to_string() });
        let known = event(tip(7));
        assert_eq!((known.sequence, known.time_ms, known.node.as_str()), (9, 5, "alice"));
        assert!(matches!(known.detail, Some(Detail::Tip(tip)) if tip.height == 7));
        let why =
            json!({ "reason": "replaced", "coin": format!("{}:1", "11".repeat(32)), "by": "22".repeat(32) });
        let removed =
            event(json!({ "t": 5, "node": "", "kind": "tx-removed", "txid": "33".repeat(32), "why": why }));
        let Some(Detail::Removed(removed)) = removed.detail else { panic!("{removed:?}") };
        assert_eq!((removed.why.as_str(), removed.by), ("replaced", "22".repeat(32)));
        let unknown = event(json!({ "t": 5, "kind": "eclipse" }));
        assert!(unknown.detail.is_none() && unknown.json.contains("eclipse"));
    }
}
