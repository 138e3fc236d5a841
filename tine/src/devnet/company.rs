//! The devnet's nodes as their owner has them: stopped and started while the others go on.

use std::sync::Arc;
use std::time::Duration;

use futures::future::select_all;

use crate::driver::NodeHandle;
use crate::exit::Error;
use crate::fleet::{Desk, Fleet, Order, OrderError, Seat, Wanted};
use crate::full_node::{FullNode, Options};
use crate::hashrate::HashRate;
use crate::miner::MinerHandle;

/// How long whoever reads from a stopped node may take to let go of its files.
const LETTING_GO: Duration = Duration::from_secs(10);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(10);

/// A node, or what it takes to have it again.
struct Post {
    options: Options,
    node: Option<FullNode>,
    /// What its miner did when it was stopped: whether it mined, and its budget.
    mined: Option<(bool, Option<u64>)>,
}

/// All nodes of the process.
pub(super) struct Company {
    posts: Vec<Post>,
    fleet: Arc<Fleet>,
    desk: Desk,
}

impl Company {
    /// Of these nodes, which run, with what each was started with.
    pub(super) fn new(nodes: Vec<(Options, FullNode)>, desk: Desk) -> Self {
        let contexts: Vec<_> = nodes.iter().map(|(_, node)| Arc::clone(node.context())).collect();
        let post = |(mut options, node): (Options, FullNode)| {
            // once is enough
            options.start.reindex = false;
            Post { options, node: Some(node), mined: None }
        };
        Self { posts: nodes.into_iter().map(post).collect(), fleet: Fleet::of(&contexts), desk }
    }

    /// Who runs.
    pub(super) fn fleet(&self) -> &Arc<Fleet> {
        &self.fleet
    }

    /// The nodes that run, in their order.
    pub(super) fn nodes(&self) -> impl Iterator<Item = &FullNode> {
        self.posts.iter().filter_map(|post| post.node.as_ref())
    }

    /// Carries out orders until a node is asked to stop the process, or has failed.
    pub(super) async fn serve(&mut self) {
        loop {
            let ended = {
                let watched = self.nodes().map(|node| {
                    let (mut asked, handle): (_, NodeHandle) = (node.stop_requested(), node.node.clone());
                    Box::pin(async move {
                        tokio::select! {
                            _ = asked.wait_for(|asked| *asked) => {}
                            () = handle.stopped() => {}
                        }
                    })
                });
                select_all(watched)
            };
            let order = tokio::select! {
                _ = ended => return,
                order = self.desk.orders.recv() => order,
            };
            // without anybody who could ask, only the nodes can end this
            let Some(Order { name, wanted, answer }) = order else { continue };
            let outcome = self.obey(&name, wanted).await;
            self.note_standing();
            // whoever asked may have gone
            let _ = answer.send(outcome);
        }
    }

    async fn obey(&mut self, name: &str, wanted: Wanted) -> Result<(), OrderError> {
        let place = self.posts.iter().position(|post| post.options.name == name).ok_or_else(|| {
            let known = self.posts.iter().map(|post| post.options.name.clone()).collect();
            OrderError::Unknown { name: name.to_owned(), known }
        })?;
        match (wanted, self.posts[place].node.is_some()) {
            (Wanted::Running, true) => Err(OrderError::Runs(name.to_owned())),
            (Wanted::Stopped, false) => Err(OrderError::IsStopped(name.to_owned())),
            (Wanted::Stopped, true) if self.nodes().count() == 1 => Err(OrderError::Last(name.to_owned())),
            (Wanted::Stopped, true) => self.stop(place).await,
            (Wanted::Running, false) => self.start(place).await,
        }
    }

    async fn stop(&mut self, place: usize) -> Result<(), OrderError> {
        let post = &mut self.posts[place];
        let Some(node) = post.node.take() else { return Ok(()) };
        post.mined = node.miner.as_ref().map(MinerHandle::status).map(|miner| (miner.mining, miner.budget));
        let files = Arc::downgrade(node.node.reader());
        self.fleet.set(place, Seat::Stopped(node.node.view()));
        node.stop().await.map_err(|error| OrderError::Failed(error.to_string()))?;
        // whoever was reading a moment ago
        let free = async {
            while files.strong_count() > 0 {
                tokio::time::sleep(LOOK).await;
            }
        };
        let held = || OrderError::Failed("it is stopped, but somebody still reads its files".into());
        tokio::time::timeout(LETTING_GO, free).await.map_err(|_| held())
    }

    async fn start(&mut self, place: usize) -> Result<(), OrderError> {
        let post = &mut self.posts[place];
        let node = FullNode::start(post.options.clone())
            .await
            .map_err(|error| OrderError::Failed(error.to_string()))?;
        if let (Some(miner), Some((mined, budget))) = (&node.miner, post.mined) {
            miner.set_rate(budget.map(HashRate));
            if mined {
                miner.resume();
            }
        }
        self.fleet.set(place, Seat::Running(Arc::clone(node.context())));
        post.node = Some(node);
        Ok(())
    }

    fn note_standing(&self) {
        let stopped = self.posts.iter().filter(|post| post.node.is_none());
        let stopped = stopped.map(|post| post.options.name.clone()).collect();
        self.desk.standing.send_modify(|standing| standing.stopped = stopped);
    }

    /// Every node is stopped, whatever becomes of the others; the first error is told.
    pub(super) async fn stop_all(self) -> Result<(), Error> {
        let nodes = self.posts.into_iter().filter_map(|post| post.node);
        let results = futures::future::join_all(nodes.map(FullNode::stop)).await;
        results.into_iter().collect()
    }
}
