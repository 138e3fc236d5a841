//! What the view shows and what is open in it: commands in, requests out. Nothing here reads a clock, a socket or a key.

#![expect(clippy::wildcard_enum_match_arm, reason = "most commands mean nothing while something is open")]

use std::sync::Arc;

use tine_chain::hash::BlockHash;
use tine_chain::time::Time;
use tine_node::explain::ReorgReport;

use super::history::History;
use super::keys::{Command, HELP, Mode};
use super::model::Line;
use super::tree::{Cell, Towards, Tree};

/// The longest answer that can be typed, in characters.
const MAX_TYPED: usize = 400;
/// Columns that a leap goes over.
const LEAP: u32 = 10;
/// Lines that a leap goes over.
const LEAP_LINES: usize = 10;

/// A part of the screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pane {
    /// The block tree.
    Tree,
    /// The nodes.
    Nodes,
    /// The log.
    Events,
}

/// What is asked of the network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Request {
    /// A node mines a block.
    Mine(usize),
    /// The network is cut: groups as `tine net split` reads them.
    Split(String),
    /// The network is healed.
    Heal,
    /// A payment as typed: from, to, amount, perhaps a coin.
    Pay(String),
    /// A node's reorganisation is explained.
    Reorg(usize, Arc<ReorgReport>),
    /// A node's tip is explained, in a recorded run as of this moment.
    Tip(usize, Time),
    /// A block in full.
    Block(BlockHash),
    /// A node and its peers in full.
    Node(usize),
}

/// What came of it.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    /// It was done.
    Done(String),
    /// It was not.
    Failed(String),
    /// Something to read: title and lines.
    Text(String, Vec<String>),
}

/// What whoever runs the view must do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Effect {
    /// End.
    Quit,
    /// Ask the network.
    Ask(Request),
}

/// What is typed for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Question {
    /// Groups.
    Split,
    /// A payment.
    Pay,
}

/// What is open above the panes.
#[derive(Debug, Clone)]
pub(crate) enum Popup {
    /// Something to read.
    Text {
        /// Its title.
        title: String,
        /// Its lines.
        lines: Vec<String>,
        /// The first of them that is shown.
        top: usize,
    },
    /// Which node mines.
    Choice {
        /// The node that is chosen.
        chosen: usize,
    },
    /// Something to type.
    Prompt {
        /// What for.
        question: Question,
        /// What has been typed.
        text: String,
    },
}

/// The view.
#[derive(Debug)]
pub(crate) struct App {
    /// What was told.
    pub(crate) history: History,
    /// What is watched, in a few words.
    pub(crate) title: String,
    /// Whether it is a run that is over.
    pub(crate) recorded: bool,
    /// The part that keys go to.
    pub(crate) pane: Pane,
    /// The block that is chosen; `None`: the tip, whichever it is.
    pub(crate) block: Option<BlockHash>,
    /// The node that is chosen.
    pub(crate) node: usize,
    /// The line that is chosen; `None`: the last.
    pub(crate) line: Option<(Time, u64)>,
    /// As whom the tree is drawn; `None`: as the node with most work.
    pub(crate) perspective: Option<usize>,
    /// What is open.
    pub(crate) popup: Option<Popup>,
    /// What came of the last request; whether it failed.
    pub(crate) message: Option<(String, bool)>,
}

impl App {
    /// Of these nodes.
    pub(crate) fn new(title: String, recorded: bool, names: &[String]) -> Self {
        Self {
            history: History::new(names),
            title,
            recorded,
            pane: Pane::Tree,
            block: None,
            node: 0,
            line: None,
            perspective: None,
            popup: None,
            message: None,
        }
    }

    /// What keys mean now.
    pub(crate) fn mode(&self) -> Mode {
        match &self.popup {
            None => Mode::Panes,
            Some(Popup::Text { .. }) => Mode::Text,
            Some(Popup::Choice { .. }) => Mode::Choice,
            Some(Popup::Prompt { .. }) => Mode::Line,
        }
    }

    /// The tree in the moment that is shown.
    pub(crate) fn tree(&self) -> Tree {
        Tree::new(self.history.model(), &self.history.facts, self.perspective, self.block)
    }

    /// The block that is chosen, or else the tip.
    pub(crate) fn chosen<'a>(&self, tree: &'a Tree) -> Option<&'a Cell> {
        self.block.and_then(|block| tree.find(&block)).or_else(|| tree.tip())
    }

    /// Why nothing answers any more, if nothing does.
    pub(crate) fn gone(&self) -> Option<&str> {
        let nodes = &self.history.live().nodes;
        let why = nodes.first().and_then(|node| node.down.as_deref())?;
        nodes.iter().all(|node| node.down.is_some()).then_some(why)
    }

    /// Does what a key asks for.
    pub(crate) fn command(&mut self, command: Command) -> Option<Effect> {
        if command == Command::Quit {
            return Some(Effect::Quit);
        }
        match self.popup.take() {
            None => self.in_panes(command),
            Some(Popup::Text { title, lines, top }) => {
                let top = match command {
                    Command::Move(Towards::Up) => top.saturating_sub(1),
                    Command::Move(Towards::Down) => (top + 1).min(lines.len().saturating_sub(1)),
                    Command::Leap(Towards::Up) => top.saturating_sub(LEAP_LINES),
                    Command::Leap(Towards::Down) => (top + LEAP_LINES).min(lines.len().saturating_sub(1)),
                    Command::First => 0,
                    Command::Close => return None,
                    _ => top,
                };
                self.popup = Some(Popup::Text { title, lines, top });
                None
            }
            Some(Popup::Choice { chosen }) => self.choose(chosen, command),
            Some(Popup::Prompt { question, text }) => self.type_in(question, text, command),
        }
    }

    /// Shows what came of a request.
    pub(crate) fn answer(&mut self, answer: Answer) {
        match answer {
            Answer::Done(text) => self.message = Some((text, false)),
            Answer::Failed(text) => self.message = Some((text, true)),
            Answer::Text(title, lines) => {
                self.message = None;
                self.popup = Some(Popup::Text { title, lines, top: 0 });
            }
        }
    }

    fn in_panes(&mut self, command: Command) -> Option<Effect> {
        self.message = None;
        match command {
            Command::Move(towards) => self.step(towards, 1),
            Command::Leap(towards) => self.step(towards, LEAP),
            Command::First => self.first(),
            Command::Last => (self.block, self.line) = (None, None),
            Command::Pane(forward) => self.pane = self.next_pane(forward),
            Command::Pause if self.history.position().is_some() => self.history.follow(),
            Command::Pause => self.history.pause(),
            Command::Back(step) => self.history.back(step),
            Command::Forth(step) => self.history.forth(step),
            Command::Perspective => {
                let nodes = self.history.model().nodes.len();
                let next = self.perspective.map_or(0, |node| node + 1);
                self.perspective = (next < nodes).then_some(next);
            }
            Command::Help => {
                let lines = HELP.iter().map(|(keys, what)| format!("{keys:<12} {what}")).collect();
                self.answer(Answer::Text("keys".into(), lines));
            }
            Command::ExplainReorg => return self.explain(),
            Command::ExplainTip => return self.explain_tip(),
            Command::Open => return self.open(),
            Command::Mine | Command::Split | Command::Heal | Command::Pay => return self.act(command),
            Command::Letter(_) | Command::Erase | Command::EraseAll | Command::Close | Command::Quit => {}
        }
        None
    }

    /// What changes the network.
    fn act(&mut self, command: Command) -> Option<Effect> {
        if self.recorded {
            self.message = Some(("this run is over: nothing can be changed in it".into(), true));
            return None;
        }
        let names: Vec<&str> = self.history.live().nodes.iter().map(|node| node.name.as_str()).collect();
        let prompt = |question, text| Some(Popup::Prompt { question, text });
        match command {
            Command::Mine => self.popup = Some(Popup::Choice { chosen: self.node }),
            Command::Split => {
                let (left, right) = names.split_at(names.len() / 2);
                self.popup = prompt(Question::Split, format!("{} | {}", left.join(","), right.join(",")));
            }
            Command::Pay => {
                let from = names.get(self.node).copied().unwrap_or("alice");
                let to = names.iter().find(|name| **name != from).copied().unwrap_or("bob");
                self.popup = prompt(Question::Pay, format!("{from} {to} 1"));
            }
            _ => return self.ask(Request::Heal, "healing …"),
        }
        None
    }

    fn ask(&mut self, request: Request, doing: &str) -> Option<Effect> {
        self.message = Some((doing.to_owned(), false));
        Some(Effect::Ask(request))
    }

    fn choose(&mut self, chosen: usize, command: Command) -> Option<Effect> {
        let nodes = &self.history.live().nodes;
        let last = nodes.len().saturating_sub(1);
        let mine = |app: &mut Self, node: usize| {
            app.node = node;
            let doing = format!("{} mines a block …", app.history.live().name(node));
            app.ask(Request::Mine(node), &doing)
        };
        let chosen = match command {
            Command::Move(Towards::Up) => chosen.saturating_sub(1),
            Command::Move(Towards::Down) => (chosen + 1).min(last),
            Command::Open => return mine(self, chosen),
            Command::Close => return None,
            Command::Letter(letter) => {
                let by_number = letter.to_digit(10).map(|number| number as usize);
                let by_number = by_number.filter(|number| (1..=nodes.len()).contains(number));
                let is_called =
                    |name: &str| name.chars().next().is_some_and(|first| first.eq_ignore_ascii_case(&letter));
                let found = by_number
                    .map(|number| number - 1)
                    .or_else(|| nodes.iter().position(|node| is_called(&node.name)));
                match found {
                    Some(node) => return mine(self, node),
                    None => chosen,
                }
            }
            _ => chosen,
        };
        self.popup = Some(Popup::Choice { chosen });
        None
    }

    fn type_in(&mut self, question: Question, mut text: String, command: Command) -> Option<Effect> {
        match command {
            Command::Letter(letter) if text.chars().count() < MAX_TYPED && !letter.is_control() => {
                text.push(letter);
            }
            Command::Erase => drop(text.pop()),
            Command::EraseAll => text.clear(),
            Command::Close => return None,
            Command::Open if question == Question::Split => {
                let doing = format!("splitting {text} …");
                return self.ask(Request::Split(text), &doing);
            }
            Command::Open => return self.ask(Request::Pay(text), "paying …"),
            _ => {}
        }
        self.popup = Some(Popup::Prompt { question, text });
        None
    }

    fn next_pane(&self, forward: bool) -> Pane {
        match (self.pane, forward) {
            (Pane::Tree, true) | (Pane::Events, false) => Pane::Nodes,
            (Pane::Nodes, true) | (Pane::Tree, false) => Pane::Events,
            (Pane::Events, true) | (Pane::Nodes, false) => Pane::Tree,
        }
    }

    fn step(&mut self, towards: Towards, by: u32) {
        match self.pane {
            Pane::Tree => {
                let tree = self.tree();
                let next = self.chosen(&tree).and_then(|from| tree.neighbour(from, towards, by));
                if let Some(next) = next {
                    self.block = Some(next.hash);
                }
            }
            Pane::Nodes => {
                let last = self.history.model().nodes.len().saturating_sub(1);
                self.node = match towards {
                    Towards::Up | Towards::Left => self.node.saturating_sub(by as usize),
                    Towards::Down | Towards::Right => (self.node + by as usize).min(last),
                };
            }
            Pane::Events => {
                let log = &self.history.model().log;
                let last = log.last_key_value().map(|(key, _)| *key);
                let from = self.line.or(last);
                for _ in 0..by {
                    let Some(from) = self.line.or(from) else { return };
                    let next = match towards {
                        Towards::Up | Towards::Left => log.range(..from).next_back(),
                        Towards::Down | Towards::Right => log.range(from..).nth(1),
                    };
                    let Some((next, _)) = next else { break };
                    self.line = Some(*next);
                }
                if self.line == last {
                    self.line = None;
                }
            }
        }
    }

    fn first(&mut self) {
        match self.pane {
            Pane::Tree => self.block = self.tree().cells.first().map(|cell| cell.hash),
            Pane::Nodes => self.node = 0,
            Pane::Events => self.line = self.history.model().log.first_key_value().map(|(key, _)| *key),
        }
    }

    /// The line that is chosen.
    fn chosen_line(&self) -> Option<&Line> {
        let log = &self.history.model().log;
        self.line.and_then(|key| log.get(&key)).or_else(|| log.last_key_value().map(|(_, line)| line))
    }

    fn explain(&mut self) -> Option<Effect> {
        let line = self.chosen_line().filter(|_| self.pane == Pane::Events);
        let chosen = line.and_then(|line| {
            let Line::Reorg(node, report) = line else { return None };
            Some((*node, Arc::clone(report)))
        });
        match chosen.or_else(|| self.history.model().last_reorg()) {
            Some((node, report)) => self.ask(Request::Reorg(node, report), "explaining …"),
            None => {
                self.message = Some(("no reorganisation so far".into(), false));
                None
            }
        }
    }

    fn explain_tip(&mut self) -> Option<Effect> {
        let node = if self.pane == Pane::Nodes { Some(self.node) } else { self.tree().perspective };
        let moment = self.history.model().time;
        self.ask(Request::Tip(node.unwrap_or(0), moment), "explaining …")
    }

    fn open(&mut self) -> Option<Effect> {
        let request = match self.pane {
            Pane::Tree => {
                let tree = self.tree();
                Request::Block(self.chosen(&tree)?.hash)
            }
            Pane::Nodes => Request::Node(self.node),
            Pane::Events => match self.chosen_line()?.clone() {
                Line::Block(hash) => Request::Block(hash),
                Line::Reorg(node, report) => Request::Reorg(node, report),
                Line::Payment(..) | Line::DoubleSpend { .. } | Line::Other(..) => {
                    let line = self.chosen_line()?;
                    let text = super::describe::line(self.history.model(), &self.history.facts, line).text;
                    self.answer(Answer::Text("event".into(), vec![text]));
                    return None;
                }
            },
        };
        self.ask(request, "reading …")
    }
}
