//! The loop: what nodes, keys and signals say, one at a time, and a picture after each.

use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use ratatui::crossterm::event::{self as terminal, Event as TerminalEvent};
use serde_json::json;
use tine_lab::replay::Run;

use super::event::plain_name;
use super::gather::Gather;
use super::keys;
use super::live::{Follower, News};
use super::palette::Palette;
use super::screen::Screen;
use super::state::{Answer, App, Effect, Request};
use super::{act, describe};
use crate::clock::system_time;
use crate::commands::{Target, chain};
use crate::exit::Error;
use crate::methods::{self, NetInfo};
use crate::roster;
use crate::signals::StopSignal;

/// Between two questions to a node.
const LOOK: Duration = Duration::from_millis(150);
/// Between two questions to a node that does not answer, and two looks for new ones.
const RETRY: Duration = Duration::from_secs(1);
/// The longest between two looks at what settles by itself.
const TICK: Duration = Duration::from_millis(200);
/// The least between two pictures.
const FRAME: Duration = Duration::from_millis(30);
/// Messages that may wait for the loop.
const QUEUE: usize = 256;

/// What the loop is told.
enum Message {
    /// By the terminal.
    Terminal(TerminalEvent),
    /// The terminal can't be read any more.
    NoTerminal(String),
    /// By a node.
    News(usize, Vec<News>),
    /// A node does not answer.
    Lost(usize, String),
    /// A node runs here that did not before.
    Found(Target),
    /// What came of a request.
    Answer(Answer),
    /// A signal.
    Stop,
}

/// Running nodes.
pub(super) struct Live {
    targets: Arc<Mutex<Vec<Target>>>,
    /// Where nodes list themselves, if all of them are watched.
    root: Option<PathBuf>,
}

fn locked(targets: &Mutex<Vec<Target>>) -> Vec<Target> {
    // a list that is pushed to is whole at any time
    targets.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

impl Live {
    /// Of these nodes, and those that come after them if there is a `root`; and a view of them.
    ///
    /// # Errors
    /// None of them answers.
    pub(super) fn new(mut targets: Vec<Target>, root: Option<PathBuf>) -> Result<(App, Self), Error> {
        let mut silent = None;
        let mut network = None;
        for target in &mut targets {
            match target.client.call_as::<NetInfo>(methods::NET_INFO, json!({})) {
                Ok(info) => {
                    target.name = plain_name(&info.name);
                    network = network.or_else(|| chain::network_of(target).ok());
                }
                Err(error) => silent = Some(error),
            }
        }
        let network = match (network, silent) {
            (Some(network), _) => network.name(),
            (None, Some(error)) => return Err(error.into()),
            (None, None) => return Err(Error::Unreachable("no node is named".into())),
        };
        let names: Vec<String> = targets.iter().map(|target| target.name.clone()).collect();
        let title = format!("{network}, {}", describe::count(names.len(), "node"));
        let live = Self { targets: Arc::new(Mutex::new(targets)), root };
        Ok((App::new(title, false, &names), live))
    }

    /// The view of what the nodes say when each is asked once.
    ///
    /// # Errors
    /// A node does not answer.
    pub(super) fn once(&self, mut app: App) -> Result<App, Error> {
        let mut gather = Gather::default();
        for (place, target) in locked(&self.targets).into_iter().enumerate() {
            match Follower::new(place, target).look() {
                Ok(news) => gather.hear(&mut app, place, system_time(), news),
                Err(error) => gather.lose(&mut app, place, system_time(), &error.to_string()),
            }
        }
        // what was cut before now holds already
        gather.settle(&mut app, system_time());
        gather.settle(&mut app, system_time() + RETRY);
        Ok(app)
    }

    /// Shows them until somebody ends it.
    ///
    /// # Errors
    /// The terminal is gone.
    pub(super) fn run(self, app: App, palette: Palette) -> Result<(), Error> {
        let (told, messages) = sync_channel(QUEUE);
        for (place, target) in locked(&self.targets).into_iter().enumerate() {
            self.follow(place, target, &told);
        }
        if let Some(root) = self.root.clone() {
            let (targets, told) = (Arc::clone(&self.targets), told.clone());
            thread::spawn(move || look_for_more(&root, &targets, &told));
        }
        let asked = Arc::clone(&self.targets);
        let world = World {
            answer: Arc::new(move |request| act::on_nodes(&locked(&asked), &request)),
            live: Some(self),
        };
        serve(app, palette, world, told, &messages)
    }

    fn follow(&self, place: usize, target: Target, told: &SyncSender<Message>) {
        let (told, root, targets) = (told.clone(), self.root.clone(), Arc::clone(&self.targets));
        thread::spawn(move || {
            let name = target.name.clone();
            let mut follower = Follower::new(place, target);
            loop {
                let (message, pause) = match follower.look() {
                    Ok(news) => (Message::News(place, news), LOOK),
                    Err(error) => (Message::Lost(place, error.to_string()), RETRY),
                };
                let lost = matches!(message, Message::Lost(..));
                if told.send(message).is_err() {
                    return;
                }
                thread::sleep(pause);
                // a node that comes back may listen elsewhere
                let listed = root.as_ref().filter(|_| lost).and_then(|root| roster::find(root, &name).ok());
                if let Some(entry) = listed {
                    let target = Target::of(&entry);
                    follower = Follower::new(place, target.clone());
                    if let Some(known) = targets.lock().unwrap_or_else(PoisonError::into_inner).get_mut(place)
                    {
                        *known = target;
                    }
                }
            }
        });
    }

    /// A node that was not there before.
    fn add(&self, app: &mut App, target: Target, told: &SyncSender<Message>) {
        let place = {
            let mut targets = self.targets.lock().unwrap_or_else(PoisonError::into_inner);
            if targets.iter().any(|known| known.name == target.name) {
                return;
            }
            targets.push(target.clone());
            targets.len() - 1
        };
        app.history.add_node(&target.name);
        self.follow(place, target, told);
    }
}

/// Looks for nodes that begin to run here.
fn look_for_more(root: &std::path::Path, targets: &Mutex<Vec<Target>>, told: &SyncSender<Message>) {
    loop {
        thread::sleep(RETRY);
        let known = locked(targets);
        let is_new = |target: &Target| known.iter().all(|known| known.name != target.name);
        let listed = roster::entries(root).into_iter().map(|entry| Target::of(&entry));
        for target in listed.filter(is_new).filter(|target| target.client.is_up()) {
            if told.send(Message::Found(target)).is_err() {
                return;
            }
        }
    }
}

/// Shows a recorded run until somebody ends it.
///
/// # Errors
/// The terminal is gone.
pub(super) fn recorded(app: App, run: Arc<Run>, palette: Palette) -> Result<(), Error> {
    let (told, messages) = sync_channel(QUEUE);
    let world = World { answer: Arc::new(move |request| act::of_run(&run, &request)), live: None };
    serve(app, palette, world, told, &messages)
}

/// What the view is a view of.
struct World {
    /// Does what is asked.
    answer: Arc<dyn Fn(Request) -> Answer + Send + Sync>,
    live: Option<Live>,
}

fn serve(
    mut app: App,
    palette: Palette,
    world: World,
    told: SyncSender<Message>,
    messages: &Receiver<Message>,
) -> Result<(), Error> {
    listen_to_signals(told.clone())?;
    let mut screen = Screen::take()?;
    let keys = told.clone();
    thread::spawn(move || read_terminal(&keys));
    let mut gather = Gather::default();
    let mut drawn: Option<Instant> = None;
    let mut changed = true;
    loop {
        if changed && drawn.is_none_or(|drawn| drawn.elapsed() >= FRAME) {
            screen.draw(&app, palette)?;
            (drawn, changed) = (Some(Instant::now()), false);
        }
        let message = match messages.recv_timeout(if changed { FRAME } else { TICK }) {
            Ok(message) => message,
            Err(RecvTimeoutError::Timeout) => {
                gather.settle(&mut app, system_time());
                changed = true;
                continue;
            }
            Err(RecvTimeoutError::Disconnected) => return Ok(()),
        };
        changed = true;
        match message {
            Message::Terminal(event) => {
                let key = event.as_key_event();
                let command = key.and_then(|key| keys::command(app.mode(), key));
                match command.and_then(|command| app.command(command)) {
                    Some(Effect::Quit) => return Ok(()),
                    Some(Effect::Ask(request)) => ask(&world, request, &told),
                    None => {}
                }
            }
            Message::NoTerminal(why) => return Err(Error::failed("the terminal", why)),
            Message::News(node, news) => gather.hear(&mut app, node, system_time(), news),
            Message::Lost(node, why) => gather.lose(&mut app, node, system_time(), &why),
            Message::Found(target) => {
                if let Some(live) = &world.live {
                    live.add(&mut app, target, &told);
                }
            }
            Message::Answer(answer) => app.answer(answer),
            Message::Stop => return Ok(()),
        }
        gather.settle(&mut app, system_time());
    }
}

/// Asks beside the loop: an answer may take a while.
fn ask(world: &World, request: Request, told: &SyncSender<Message>) {
    let (answer, told) = (Arc::clone(&world.answer), told.clone());
    thread::spawn(move || {
        // an error means that the view has ended
        let _ = told.send(Message::Answer(answer(request)));
    });
}

fn read_terminal(told: &SyncSender<Message>) {
    loop {
        let message = match terminal::read() {
            Ok(event) => Message::Terminal(event),
            Err(error) => Message::NoTerminal(error.to_string()),
        };
        let is_end = matches!(message, Message::NoTerminal(_));
        if told.send(message).is_err() || is_end {
            return;
        }
    }
}

/// SIGTERM and SIGINT end the view as `q` does: the terminal is given back.
fn listen_to_signals(told: SyncSender<Message>) -> Result<(), Error> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Error::failed("the runtime", error))?;
    let signal = {
        let _inside = runtime.enter();
        StopSignal::listen()?
    };
    thread::spawn(move || {
        runtime.block_on(signal.asked());
        // an error means that the view has ended
        let _ = told.send(Message::Stop);
    });
    Ok(())
}
