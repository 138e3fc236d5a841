//! What all nodes of a devnet say, as one stream, with a tick in between.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::{BoxStream, SelectAll};
use tokio::sync::broadcast::error::RecvError;

use crate::driver::{NodeHandle, Stamped};

/// What was heard.
pub(super) enum Heard {
    /// A node, by its place, said this.
    Notice(usize, Arc<Stamped>),
    /// Time has passed.
    Tick,
}

/// Every notice of these nodes from now on, and a tick `every` so often. A listener that is too slow misses notices; what
/// comes next is still true.
pub(super) fn listen<'a>(
    nodes: impl IntoIterator<Item = &'a NodeHandle>,
    every: Duration,
) -> SelectAll<BoxStream<'static, Heard>> {
    let mut heard = SelectAll::new();
    for (place, node) in nodes.into_iter().enumerate() {
        let notices = futures::stream::unfold(node.subscribe(), move |mut notices| async move {
            loop {
                match notices.recv().await {
                    Ok(stamped) => return Some((Heard::Notice(place, stamped), notices)),
                    Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => return None,
                }
            }
        });
        heard.push(notices.boxed());
    }
    let ticks = futures::stream::unfold(tokio::time::interval(every), |mut interval| async move {
        interval.tick().await;
        Some((Heard::Tick, interval))
    });
    heard.push(ticks.boxed());
    heard
}
