//! The nodes of one process: who they are, which of them run, and how to have one stopped or started.
//!
//! Whoever shows several nodes holds the [`Fleet`], never the nodes: a node that is stopped lets go of its files only
//! when nobody reads from it any more.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot, watch};

use crate::rpc::Context;
use crate::view::View;

/// Whether a node runs.
#[derive(Debug, Clone)]
pub enum Seat {
    /// It does.
    Running(Arc<Context>),
    /// It does not; this is the last that was seen of it.
    Stopped(Arc<View>),
}

/// A node of the process.
#[derive(Debug, Clone)]
pub struct Member {
    /// Its name.
    pub name: String,
    /// Goes up by one whenever it is stopped or started.
    pub turn: u64,
    /// Whether it runs.
    pub seat: Seat,
}

impl Member {
    /// What answers for it while it runs.
    #[must_use]
    pub fn running(&self) -> Option<&Arc<Context>> {
        match &self.seat {
            Seat::Running(context) => Some(context),
            Seat::Stopped(_) => None,
        }
    }

    /// The last picture of it.
    #[must_use]
    pub fn view(&self) -> Arc<View> {
        match &self.seat {
            Seat::Running(context) => context.view(),
            Seat::Stopped(view) => Arc::clone(view),
        }
    }
}

/// The nodes of one process, in their order.
#[derive(Debug)]
pub struct Fleet {
    members: watch::Sender<Arc<[Member]>>,
}

impl Fleet {
    /// These nodes, all of which run.
    #[must_use]
    pub fn of(nodes: &[Arc<Context>]) -> Arc<Self> {
        let member = |node: &Arc<Context>| Member {
            name: node.name.clone(),
            turn: 0,
            seat: Seat::Running(Arc::clone(node)),
        };
        Arc::new(Self { members: watch::Sender::new(nodes.iter().map(member).collect()) })
    }

    /// Everybody, running or not. Not to be held for long: it keeps nodes from closing their files.
    #[must_use]
    pub fn members(&self) -> Arc<[Member]> {
        Arc::clone(&self.members.borrow())
    }

    /// What answers for the nodes that run.
    #[must_use]
    pub fn running(&self) -> Vec<Arc<Context>> {
        self.members().iter().filter_map(|member| member.running().cloned()).collect()
    }

    /// What answers for node number `place`, if it runs.
    #[must_use]
    pub fn at(&self, place: usize) -> Option<Arc<Context>> {
        self.members().get(place)?.running().cloned()
    }

    /// Who is who, from now on: wakes whenever a node is stopped or started.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<Arc<[Member]>> {
        self.members.subscribe()
    }

    /// Notes that node number `place` was stopped or started.
    pub fn set(&self, place: usize, seat: Seat) {
        self.members.send_modify(|members| {
            let mut changed = members.to_vec();
            if let Some(member) = changed.get_mut(place) {
                member.turn += 1;
                member.seat = seat;
            }
            *members = changed.into();
        });
    }
}

/// What is to become of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// It is to end, and leave everything on disk.
    Stopped,
    /// It is to go on from there.
    Running,
}

/// Why an order was not carried out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OrderError {
    /// No such node.
    #[error("no node is called {name:?} here; there are {}", known.join(", "))]
    Unknown {
        /// What was asked for.
        name: String,
        /// Who is there.
        known: Vec<String>,
    },
    /// It is as it was to be.
    #[error("{0} runs already")]
    Runs(String),
    /// It is as it was to be.
    #[error("{0} is stopped already; `tine net start {0}` starts it")]
    IsStopped(String),
    /// Nobody would be left to start it again.
    #[error("{0} is the last node that runs: Ctrl-C, or `tine rpc stop`, ends the devnet")]
    Last(String),
    /// A part of it failed.
    #[error("{0}")]
    Failed(String),
    /// The process ends.
    #[error("the devnet is stopping")]
    Ending,
}

/// A wish, and where the outcome goes.
#[derive(Debug)]
pub struct Order {
    /// The node.
    pub name: String,
    /// What is to become of it.
    pub wanted: Wanted,
    /// Where the outcome goes.
    pub answer: oneshot::Sender<Result<(), OrderError>>,
}

/// Speaks to whoever owns the nodes of this process. Cheap to clone; holds no node.
#[derive(Debug, Clone)]
pub struct Steward {
    orders: mpsc::Sender<Order>,
    standing: watch::Receiver<Standing>,
}

/// Who there is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Standing {
    /// Every node of the process.
    pub all: Vec<String>,
    /// Those that are stopped.
    pub stopped: Vec<String>,
}

/// Orders that may wait.
const ORDERS: usize = 16;

/// What the owner of the nodes keeps.
#[derive(Debug)]
pub struct Desk {
    /// Orders as they come.
    pub orders: mpsc::Receiver<Order>,
    /// To be kept true.
    pub standing: watch::Sender<Standing>,
}

impl Steward {
    /// For a process with these nodes: the one who asks, and what the one who obeys keeps.
    #[must_use]
    pub fn new(all: Vec<String>) -> (Self, Desk) {
        let (orders, desk) = mpsc::channel(ORDERS);
        let (known, standing) = watch::channel(Standing { all, stopped: Vec::new() });
        (Self { orders, standing }, Desk { orders: desk, standing: known })
    }

    /// Who there is.
    #[must_use]
    pub fn standing(&self) -> Standing {
        self.standing.borrow().clone()
    }

    /// Has a node stopped or started, and waits for it. Blocks; of a thread that may.
    ///
    /// # Errors
    /// Why it was not done.
    pub fn order(&self, name: &str, wanted: Wanted) -> Result<(), OrderError> {
        let (answer, answered) = oneshot::channel();
        let order = Order { name: name.to_owned(), wanted, answer };
        self.orders.blocking_send(order).map_err(|_| OrderError::Ending)?;
        answered.blocking_recv().map_err(|_| OrderError::Ending)?
    }
}
