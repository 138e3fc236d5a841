//! What all nodes of a devnet say, in one queue, with a tick in between.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::driver::Stamped;
use crate::fleet::{Fleet, Seat};
use crate::rpc::Context;

/// What may wait to be looked at.
const QUEUE: usize = 1_024;

/// What was heard.
pub(super) enum Heard {
    /// A node, by its place, said this.
    Notice(usize, Arc<Stamped>),
    /// A node, by its place, was started again.
    Started(usize),
    /// A node, by its place, was stopped.
    Stopped(usize),
    /// Time has passed.
    Tick,
}

/// Every notice of these nodes from now on, who comes and goes, and a tick `every` so often. A listener that is too slow
/// misses notices; what comes next is still true.
pub(super) fn listen(fleet: &Arc<Fleet>, every: Duration) -> mpsc::Receiver<Heard> {
    let (sender, heard) = mpsc::channel(QUEUE);
    let mut ears = JoinSet::new();
    let members = fleet.members();
    for (place, member) in members.iter().enumerate() {
        if let Some(node) = member.running() {
            attend(&mut ears, place, node, &sender);
        }
    }
    let turns = members.iter().map(|member| member.turn).collect();
    tokio::spawn(usher(Arc::clone(fleet), turns, ears, sender, every));
    heard
}

/// Passes on what a node says until it stops. Holds nothing that would keep the node's files open.
fn attend(ears: &mut JoinSet<()>, place: usize, node: &Context, sender: &mpsc::Sender<Heard>) {
    let (mut notices, mut views, sender) = (node.node.subscribe(), node.node.views(), sender.clone());
    ears.spawn(async move {
        let gone = async move { while views.changed().await.is_ok() {} };
        tokio::pin!(gone);
        loop {
            let heard = tokio::select! {
                heard = notices.recv() => heard,
                () = &mut gone => return,
            };
            match heard {
                Ok(stamped) => {
                    if sender.send(Heard::Notice(place, stamped)).await.is_err() {
                        return;
                    }
                }
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return,
            }
        }
    });
}

/// Looks after who comes and goes, and the ticks, as long as somebody listens.
async fn usher(
    fleet: Arc<Fleet>,
    mut turns: Vec<u64>,
    mut ears: JoinSet<()>,
    sender: mpsc::Sender<Heard>,
    every: Duration,
) {
    let mut changes = fleet.changes();
    let mut ticks = tokio::time::interval(every);
    loop {
        let mut news = Vec::new();
        {
            let members = changes.borrow_and_update();
            for (place, member) in members.iter().enumerate() {
                if std::mem::replace(&mut turns[place], member.turn) == member.turn {
                    continue;
                }
                news.push(match &member.seat {
                    Seat::Running(node) => {
                        attend(&mut ears, place, node, &sender);
                        Heard::Started(place)
                    }
                    Seat::Stopped(_) => Heard::Stopped(place),
                });
            }
        }
        for heard in news {
            if sender.send(heard).await.is_err() {
                return;
            }
        }
        tokio::select! {
            changed = changes.changed() => if changed.is_err() { return },
            _ = ticks.tick() => if sender.send(Heard::Tick).await.is_err() { return },
            Some(_) = ears.join_next() => {}
            () = sender.closed() => return,
        }
    }
}
