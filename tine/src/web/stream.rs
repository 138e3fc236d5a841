//! A feed as server-sent events: to the page, and to callers of RPC.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::http::HeaderMap;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures::stream::{self, StreamExt as _};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::watch;

use super::feed::{Feed, Missed, Numbered};
use crate::rpc::transport;

/// How often an idle stream says that it is there.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// First what was missed since `Last-Event-ID`, then everything as it happens, until `stopped`.
pub(crate) fn follow(feed: &Arc<Feed>, headers: &HeaderMap, mut stopped: watch::Receiver<bool>) -> Response {
    let seen = headers.get("last-event-id").and_then(|id| id.to_str().ok());
    let (missed, live) = feed.follow(seen);
    let run = feed.run.clone();
    let first = match missed {
        Missed::Events(events) => events.iter().map(|event| sse(&run, event)).collect(),
        // with the number up to which the state, asked for after this, holds everything
        Missed::Everything => {
            vec![Event::default().event("reset").id(format!("{run}-{}", feed.last())).data("{}")]
        }
    };
    let live = stream::unfold((live, run, false), |(mut live, run, ended)| async move {
        if ended {
            return None;
        }
        match live.recv().await {
            Ok(event) => Some((sse(&run, &event), (live, run, false))),
            // too slow: it comes back and is told what it missed
            Err(RecvError::Lagged(_)) => Some((Event::default().comment("behind"), (live, run, true))),
            Err(RecvError::Closed) => None,
        }
    });
    let until = async move { transport::raised(&mut stopped).await };
    let all = stream::iter(first).chain(live).take_until(Box::pin(until)).map(Ok::<_, Infallible>);
    Sse::new(all).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)).into_response()
}

fn sse(run: &str, event: &Numbered) -> Event {
    Event::default().id(format!("{run}-{}", event.id)).data(&event.json)
}
