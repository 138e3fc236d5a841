//! The thread that owns a node.
//!
//! One OS thread owns [`Node`]; the rest of the program talks to it over bounded channels and reads what it publishes:
//! an `Arc<View>` after each step, and every [`Notice`] as it happens. This is also the one place where a clock is
//! read for a node.

mod faults;
mod picture;

use std::collections::HashMap;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tine_chain::params::Params;
use tine_chain::reject::Reject;
use tine_chain::store::{BlockReader, StoreError};
use tine_chain::time::Time;
use tine_node::event::{Accepted, Action, Event, Notice, Submission, SubmitId};
use tine_node::template::{CoinbaseSpec, Template, TemplateError};
use tine_node::{Node, Participant};
use tine_p2p::Network;
use tokio::sync::{broadcast, mpsc, oneshot, watch};

use crate::clock::Clock;
use crate::view::View;
use faults::Line;
pub use faults::{Faults, MAX_DELAY_MS};
use picture::Picture;

/// Calls and submissions that may wait for the node.
const COMMAND_QUEUE: usize = 256;
/// Notices that a slow subscriber may be behind before it is told that it lost some.
const NOTICE_QUEUE: usize = 16_384;
/// Steps after which a picture is published even though more work waits.
const STEPS_PER_VIEW: usize = 64;
/// Old pictures that are kept until there is time to take them apart.
const RETIRED_VIEWS: usize = 4;

pub use crate::clock::system_time as now;

/// The node's thread has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the node has stopped")]
pub struct Stopped;

/// A notice, and when the node gave it.
#[derive(Debug, Clone)]
pub struct Stamped {
    /// The time of the step.
    pub time: Time,
    /// What happened.
    pub notice: Notice,
}

/// Runs on the node's thread. The actions that it returns are carried out there as if the node had wanted them; then,
/// when the picture shows what they did, the answer is given. `None`: there is nothing to see, and it was given.
type Call =
    Box<dyn FnOnce(&mut Participant, Time) -> Result<(Vec<Action>, Option<GiveAnswer>), StoreError> + Send>;
type GiveAnswer = Box<dyn FnOnce() + Send>;
/// A block to mine, when it is there.
pub type AskedTemplate = oneshot::Receiver<Result<Template, TemplateError>>;
type SubmitAnswer = oneshot::Sender<Result<Accepted, Reject>>;

enum Command {
    Call(Call),
    Submit(Submission, SubmitAnswer),
    Stop,
}

/// Talks to a node from any thread. Cheap to clone.
#[derive(Clone)]
pub struct NodeHandle {
    commands: mpsc::Sender<Command>,
    views: watch::Receiver<Arc<View>>,
    notices: broadcast::Sender<Arc<Stamped>>,
    reader: Arc<dyn BlockReader>,
    params: Arc<Params>,
    faults: Arc<Faults>,
    clock: Clock,
}

impl std::fmt::Debug for NodeHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NodeHandle").field("network", &self.params.network).finish_non_exhaustive()
    }
}

impl NodeHandle {
    /// The picture published last. Never waits for the node.
    #[must_use]
    pub fn view(&self) -> Arc<View> {
        Arc::clone(&self.views.borrow())
    }

    /// Pictures as they come: waits for the next with `changed()`.
    #[must_use]
    pub fn views(&self) -> watch::Receiver<Arc<View>> {
        self.views.clone()
    }

    /// Every notice from now on, with its time. A subscriber that is too slow is told how many it lost.
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<Arc<Stamped>> {
        self.notices.subscribe()
    }

    /// Reads bodies on the caller's own thread.
    #[must_use]
    pub fn reader(&self) -> &Arc<dyn BlockReader> {
        &self.reader
    }

    /// The clock that the node is driven by.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// The constants of the node's network.
    #[must_use]
    pub fn params(&self) -> &Arc<Params> {
        &self.params
    }

    /// How bad the node's line is made.
    #[must_use]
    pub fn faults(&self) -> &Faults {
        &self.faults
    }

    /// Submits a transaction or a block that was mined here, and waits for the verdict.
    ///
    /// # Errors
    /// [`Stopped`]; within, why it was refused.
    pub async fn submit(&self, submission: Submission) -> Result<Result<Accepted, Reject>, Stopped> {
        let (answer, answered) = oneshot::channel();
        self.commands.send(Command::Submit(submission, answer)).await.map_err(|_| Stopped)?;
        answered.await.map_err(|_| Stopped)
    }

    /// As [`NodeHandle::submit`], for threads that are not async.
    ///
    /// # Errors
    /// As there.
    pub fn submit_blocking(&self, submission: Submission) -> Result<Result<Accepted, Reject>, Stopped> {
        let (answer, answered) = oneshot::channel();
        self.commands.blocking_send(Command::Submit(submission, answer)).map_err(|_| Stopped)?;
        answered.blocking_recv().map_err(|_| Stopped)
    }

    /// Runs `query` on the node's thread and waits for what it gives. Keep it short: nothing else happens meanwhile.
    ///
    /// # Errors
    /// [`Stopped`].
    pub async fn with<R: Send + 'static>(
        &self,
        query: impl FnOnce(&mut Node, Time) -> R + Send + 'static,
    ) -> Result<R, Stopped> {
        let (call, answered) = queried(query);
        self.commands.send(Command::Call(call)).await.map_err(|_| Stopped)?;
        answered.await.map_err(|_| Stopped)
    }

    /// As [`NodeHandle::with`], for threads that are not async.
    ///
    /// # Errors
    /// As there.
    pub fn with_blocking<R: Send + 'static>(
        &self,
        query: impl FnOnce(&mut Node, Time) -> R + Send + 'static,
    ) -> Result<R, Stopped> {
        let (call, answered) = queried(query);
        self.commands.blocking_send(Command::Call(call)).map_err(|_| Stopped)?;
        answered.blocking_recv().map_err(|_| Stopped)
    }

    /// Asks for a block to mine, on whatever the node (or the adversary that speaks for it) mines on, and lets the
    /// caller go on until the answer comes. For threads that are not async.
    ///
    /// # Errors
    /// [`Stopped`].
    pub fn ask_template(&self, spec: CoinbaseSpec) -> Result<AskedTemplate, Stopped> {
        let (answer, answered) = oneshot::channel();
        let call: Call = Box::new(move |participant, now| {
            // the caller may have stopped waiting
            let _ = answer.send(participant.template(now, &spec));
            Ok((Vec::new(), None))
        });
        self.commands.blocking_send(Command::Call(call)).map_err(|_| Stopped)?;
        Ok(answered)
    }

    /// As [`NodeHandle::ask_template`], and waits.
    ///
    /// # Errors
    /// As there; within, why there is none.
    pub fn template_blocking(&self, spec: CoinbaseSpec) -> Result<Result<Template, TemplateError>, Stopped> {
        self.ask_template(spec)?.blocking_recv().map_err(|_| Stopped)
    }

    /// Runs `control` on the node's thread, carries out the actions it gives, and waits for its result. A storage
    /// error is fatal to the node, as everywhere.
    ///
    /// # Errors
    /// [`Stopped`].
    pub fn control_blocking<R: Send + 'static>(
        &self,
        control: impl FnOnce(&mut Node, Time) -> Result<(Vec<Action>, R), StoreError> + Send + 'static,
    ) -> Result<R, Stopped> {
        self.participate_blocking(move |participant, now| {
            let (actions, result) = control(participant.node_mut(), now)?;
            Ok((participant.filter(actions, now)?, result))
        })
    }

    /// As [`NodeHandle::control_blocking`], for those who can wait without a thread.
    ///
    /// # Errors
    /// [`Stopped`].
    pub async fn control<R: Send + 'static>(
        &self,
        control: impl FnOnce(&mut Node, Time) -> Result<(Vec<Action>, R), StoreError> + Send + 'static,
    ) -> Result<R, Stopped> {
        let (call, answered) = ordered(move |participant, now| {
            let (actions, result) = control(participant.node_mut(), now)?;
            Ok((participant.filter(actions, now)?, result))
        });
        self.commands.send(Command::Call(call)).await.map_err(|_| Stopped)?;
        answered.await.map_err(|_| Stopped)
    }

    /// As [`NodeHandle::control_blocking`], with the adversary that may stand before the node.
    ///
    /// # Errors
    /// [`Stopped`].
    pub fn participate_blocking<R: Send + 'static>(
        &self,
        order: impl FnOnce(&mut Participant, Time) -> Result<(Vec<Action>, R), StoreError> + Send + 'static,
    ) -> Result<R, Stopped> {
        let (call, answered) = ordered(order);
        self.commands.blocking_send(Command::Call(call)).map_err(|_| Stopped)?;
        answered.blocking_recv().map_err(|_| Stopped)
    }

    /// Asks the node to write out everything and end. [`Driver::join`] waits for it.
    pub async fn stop(&self) {
        // an error means that it has ended already
        let _ = self.commands.send(Command::Stop).await;
    }

    /// Whether the node's thread has ended.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.commands.is_closed()
    }

    /// Waits until the node's thread has ended.
    pub async fn stopped(&self) {
        self.commands.closed().await;
    }
}

/// An order whose result is given when the picture shows what it did.
fn ordered<R: Send + 'static>(
    order: impl FnOnce(&mut Participant, Time) -> Result<(Vec<Action>, R), StoreError> + Send + 'static,
) -> (Call, oneshot::Receiver<R>) {
    let (answer, answered) = oneshot::channel();
    let call: Call = Box::new(move |participant, now| {
        let (actions, result) = order(participant, now)?;
        let give: GiveAnswer = Box::new(move || {
            // the caller may have stopped waiting
            let _ = answer.send(result);
        });
        Ok((actions, Some(give)))
    });
    (call, answered)
}

fn queried<R: Send + 'static>(
    query: impl FnOnce(&mut Node, Time) -> R + Send + 'static,
) -> (Call, oneshot::Receiver<R>) {
    let (answer, answered) = oneshot::channel();
    let call: Call = Box::new(move |participant, now| {
        // the caller may have stopped waiting
        let _ = answer.send(query(participant.node_mut(), now));
        Ok((Vec::new(), None))
    });
    (call, answered)
}

/// The thread itself.
#[derive(Debug)]
pub struct Driver {
    thread: JoinHandle<Result<(), StoreError>>,
}

impl Driver {
    /// Starts the thread called `name`. `network` carries what the node says, and `incoming` what it hears; without
    /// them the node is alone.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start(
        name: &str,
        participant: Participant,
        network: Option<(Network, mpsc::Receiver<Event>)>,
    ) -> std::io::Result<(NodeHandle, Self)> {
        let (commands, command_queue) = mpsc::channel(COMMAND_QUEUE);
        let clock = Clock::default();
        let picture = Picture::new(&participant, clock.now());
        let (views_in, views) = watch::channel(picture.view());
        let (notices, _) = broadcast::channel(NOTICE_QUEUE);
        let handle = NodeHandle {
            commands,
            views,
            notices: notices.clone(),
            reader: participant.node().chain().reader(),
            params: Arc::new(participant.node().chain().params().clone()),
            faults: Arc::default(),
            clock: clock.clone(),
        };
        let (network, incoming) = network.unzip();
        let world = World {
            participant,
            network,
            commands: command_queue,
            incoming,
            faults: Arc::clone(&handle.faults),
            line: Line::default(),
            turn: 0,
            picture,
            views: views_in,
            retired: Vec::new(),
            notices,
            clock,
            submitted: HashMap::new(),
            next_submission: 0,
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
        let thread =
            std::thread::Builder::new().name(format!("node {name}")).spawn(move || world.run(&runtime))?;
        Ok((handle, Self { thread }))
    }

    /// Waits for the thread to end.
    ///
    /// # Errors
    /// Storage failed.
    pub fn join(self) -> Result<(), StoreError> {
        self.thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

/// What makes the node do its next step.
enum Cause {
    Command(Command),
    Event(Event),
    /// The network brought something, which may come late, or not at all.
    Heard(Event),
    Deadline,
    /// Nobody can talk to the node any more.
    Abandoned,
    /// The network has stopped; the node goes on alone.
    NetworkGone,
}

struct World {
    participant: Participant,
    network: Option<Network>,
    commands: mpsc::Receiver<Command>,
    incoming: Option<mpsc::Receiver<Event>>,
    faults: Arc<Faults>,
    line: Line,
    /// Which of the three causes was served last.
    turn: u8,
    picture: Picture,
    views: watch::Sender<Arc<View>>,
    /// Pictures that were replaced and may be the last of their kind.
    retired: Vec<Arc<View>>,
    notices: broadcast::Sender<Arc<Stamped>>,
    clock: Clock,
    submitted: HashMap<SubmitId, SubmitAnswer>,
    next_submission: u64,
}

impl World {
    fn run(mut self, runtime: &tokio::runtime::Runtime) -> Result<(), StoreError> {
        let mut steps_unpublished = 0;
        loop {
            let cause = match self.ready() {
                Some(cause) => cause,
                None => {
                    self.publish();
                    self.retired.clear();
                    steps_unpublished = 0;
                    let wait = self.wait();
                    let incoming = self.incoming.as_mut().filter(|_| self.line.has_room());
                    runtime.block_on(next(&mut self.commands, incoming, wait))
                }
            };
            match cause {
                Cause::Command(Command::Stop) | Cause::Abandoned => break,
                Cause::Command(Command::Call(call)) => self.call(call)?,
                Cause::Command(Command::Submit(submission, answer)) => self.submit(submission, answer)?,
                Cause::Event(event) => self.step(|participant, now| participant.handle(event, now))?,
                Cause::Heard(event) => {
                    self.line.receive(event, &self.faults, now());
                    continue;
                }
                Cause::Deadline => self.step(|participant, now| participant.handle(Event::Tick, now))?,
                Cause::NetworkGone => self.incoming = None,
            }
            steps_unpublished += 1;
            if steps_unpublished >= STEPS_PER_VIEW {
                self.publish();
                steps_unpublished = 0;
            }
        }
        self.participant.node_mut().flush()?;
        self.publish();
        Ok(())
    }

    /// Work that need not be waited for. What people ask, what has become due and what peers say take turns, so that
    /// neither a flood of messages nor a long reorganisation starves the others.
    fn ready(&mut self) -> Option<Cause> {
        (0..3).find_map(|_| {
            self.turn = (self.turn + 1) % 3;
            match self.turn {
                0 => self.commands.try_recv().ok().map(Cause::Command),
                1 => self
                    .participant
                    .deadline()
                    .filter(|deadline| *deadline <= self.clock.now())
                    .map(|_| Cause::Deadline),
                _ => self.arrived().map(Cause::Event),
            }
        })
    }

    /// How long nothing is due. The node goes by its own clock, which a tester may have stopped; lines are as long as
    /// they are.
    fn wait(&self) -> Option<Duration> {
        let deadline = self.participant.deadline().map(|deadline| deadline.since(self.clock.now()));
        deadline.into_iter().chain(self.line.due().map(|due| due.since(now()))).min()
    }

    /// The next message that has come all the way.
    fn arrived(&mut self) -> Option<Event> {
        let now = now();
        loop {
            self.send_due(now);
            let arrived = self.line.arrived(now);
            if arrived.is_some() || !self.line.has_room() {
                return arrived;
            }
            let event = self.incoming.as_mut()?.try_recv().ok()?;
            self.line.receive(event, &self.faults, now);
        }
    }

    /// Hands the network what leaves by now.
    fn send_due(&mut self, now: Time) {
        while let Some(action) = self.line.leaving(now) {
            if let Some(network) = &self.network
                && network.send(action).is_err()
            {
                tracing::debug!("the network has stopped");
                self.network = None;
            }
        }
    }

    fn call(&mut self, call: Call) -> Result<(), StoreError> {
        let now = self.clock.now();
        let (actions, give_answer) = call(&mut self.participant, now)?;
        self.carry_out(actions, give_answer, now);
        Ok(())
    }

    fn submit(&mut self, submission: Submission, answer: SubmitAnswer) -> Result<(), StoreError> {
        let id = SubmitId(self.next_submission);
        self.next_submission += 1;
        self.submitted.insert(id, answer);
        self.step(|participant, now| participant.handle(Event::Submit(id, submission), now))
    }

    fn step(
        &mut self,
        work: impl FnOnce(&mut Participant, Time) -> Result<Vec<Action>, StoreError>,
    ) -> Result<(), StoreError> {
        let now = self.clock.now();
        let actions = work(&mut self.participant, now)?;
        self.carry_out(actions, None, now);
        Ok(())
    }

    /// Does what the node wants. Who waits for an answer comes first, with a picture that shows what it speaks of: what
    /// else there is to say wakes other threads, and after a full block there is much of it.
    fn carry_out(&mut self, actions: Vec<Action>, give_answer: Option<GiveAnswer>, now: Time) {
        for action in &actions {
            if let Action::Notify(notice) = action {
                self.picture.note(self.participant.node(), notice, now);
            }
        }
        if let Some(give_answer) = give_answer {
            self.publish();
            give_answer();
        }
        for action in &actions {
            if let Action::Answer(id, result) = action
                && let Some(answer) = self.submitted.remove(id)
            {
                self.publish();
                // the submitter may have stopped waiting
                let _ = answer.send(*result);
            }
        }
        actions.into_iter().for_each(|action| self.say(action, now));
    }

    fn say(&mut self, action: Action, now: Time) {
        match action {
            // given already
            Action::Answer(..) => {}
            Action::Notify(notice) => {
                if self.notices.receiver_count() > 0 {
                    // an error means that the last has just left
                    let _ = self.notices.send(Arc::new(Stamped { time: now, notice }));
                }
            }
            Action::Punish(peer, offence) => {
                tracing::info!(peer = peer.0, %offence, "peer punished");
                self.tell_network(Action::Punish(peer, offence));
            }
            // nobody hears it, and whoever comes later asks for what they lack
            Action::Publish(_) if self.participant.node().peers().next().is_none() => {}
            action @ (Action::Request(..)
            | Action::Respond(..)
            | Action::Publish(_)
            | Action::Judge(..)
            | Action::Disconnect(..)) => self.tell_network(action),
        }
    }

    fn tell_network(&mut self, action: Action) {
        if self.network.is_some() {
            let now = now();
            self.line.send(action, &self.faults, now);
            self.send_due(now);
        }
    }

    fn publish(&mut self) {
        if let Some(view) = self.picture.take(&self.participant, self.clock.now()) {
            let before = self.views.send_replace(view);
            // somebody waits for an answer: taking a large picture apart takes longer than making one
            if self.retired.len() < RETIRED_VIEWS {
                self.retired.push(before);
            }
        }
    }
}

/// Waits for the next cause.
async fn next(
    commands: &mut mpsc::Receiver<Command>,
    incoming: Option<&mut mpsc::Receiver<Event>>,
    wait: Option<Duration>,
) -> Cause {
    let heard = async {
        match incoming {
            Some(incoming) => incoming.recv().await.map_or(Cause::NetworkGone, Cause::Heard),
            None => std::future::pending().await,
        }
    };
    let due = async {
        match wait {
            Some(wait) => tokio::time::sleep(wait).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        command = commands.recv() => command.map_or(Cause::Abandoned, Cause::Command),
        cause = heard => cause,
        () = due => Cause::Deadline,
    }
}
