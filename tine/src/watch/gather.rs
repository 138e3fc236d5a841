//! What the nodes of a running network say, made into one story: who is cut off from whom, who does not answer.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use tine_chain::time::Time;

use super::event::{Event, Status, What, plain_line};
use super::live::News;
use super::state::App;

/// How long a split must hold before it is told, in milliseconds: nodes are cut one after the other.
const SETTLE_MS: u64 = 400;

/// What is known of the nodes beside their blocks.
#[derive(Debug, Default)]
pub(crate) struct Gather {
    identities: BTreeMap<usize, String>,
    refused: BTreeMap<usize, HashSet<String>>,
    /// The groups that were told last; one group: the network is whole.
    told: Vec<BTreeSet<usize>>,
    /// Groups that are other than those, and when that was noticed.
    changed: Option<(Vec<BTreeSet<usize>>, Time)>,
    /// When each node last said whom it refuses.
    asked: BTreeMap<usize, Time>,
    /// When nodes that refuse others than before last said that they did not.
    before: BTreeMap<usize, Time>,
    statuses: BTreeMap<usize, Status>,
    down: BTreeSet<usize>,
}

impl Gather {
    /// Adds what a node said to the story.
    pub(crate) fn hear(&mut self, app: &mut App, node: usize, now: Time, news: Vec<News>) {
        for piece in news {
            match piece {
                News::Begins { tip, blocks } => self.begin(app, node, now, tip, &blocks),
                News::Block(block) => app.history.learn(block),
                News::Event(event) => app.history.push(event),
                News::Info(info, status) => {
                    let refused = info.blocked.into_iter().collect();
                    let asked = self.asked.insert(node, now);
                    if self.refused.insert(node, refused).as_ref() != self.refused.get(&node) {
                        self.before.extend(asked.map(|asked| (node, asked)));
                    }
                    self.identities.insert(node, info.identity);
                    self.tell_status(app, node, now, status);
                }
            }
        }
    }

    /// A node does not answer.
    pub(crate) fn lose(&mut self, app: &mut App, node: usize, now: Time, why: &str) {
        if self.down.insert(node) {
            let what = What::Down(node, plain_line(why));
            app.history.push(Event { time: now, what });
        }
        // who is not there cuts nobody off
        self.refused.remove(&node);
        self.statuses.remove(&node);
    }

    fn begin(
        &mut self,
        app: &mut App,
        node: usize,
        now: Time,
        tip: tine_chain::hash::BlockHash,
        blocks: &HashSet<tine_chain::hash::BlockHash>,
    ) {
        if !self.down.contains(&node) {
            return;
        }
        let live = app.history.live();
        let all_gone = self.down.len() == live.nodes.len();
        let old = live.heaviest(&app.history.facts).and_then(|node| live.nodes[node].tip);
        // in the place of the network that ended another one began: with it the old blocks would be no more than noise
        if all_gone && old.is_some_and(|old| old != tip && !blocks.contains(&old)) {
            let names: Vec<String> = live.nodes.iter().map(|node| node.name.clone()).collect();
            app.history = super::history::History::new(&names);
            (app.block, app.line) = (None, None);
            let text = "another network runs here now".to_owned();
            app.history.push(Event { time: now, what: What::Note(None, text) });
            for other in self.down.iter().filter(|other| **other != node) {
                let what = What::Down(*other, "not back yet".into());
                app.history.push(Event { time: now, what });
            }
        }
        self.down.remove(&node);
        app.history.push(Event { time: now, what: What::Up(node) });
    }

    fn tell_status(&mut self, app: &mut App, node: usize, now: Time, status: Status) {
        let news = self.statuses.get(&node).is_none_or(|known| known.differs(&status));
        if news {
            app.history.push(Event { time: now, what: What::Status(node, status.clone()) });
        } else {
            app.history.measure(node, &status);
        }
        self.statuses.insert(node, status);
    }

    /// Tells of splits and heals that have held long enough.
    pub(crate) fn settle(&mut self, app: &mut App, now: Time) {
        let groups = self.groups();
        if groups == self.told || groups.is_empty() {
            self.changed = None;
            if groups == self.told {
                self.before.clear();
            }
            return;
        }
        match &self.changed {
            Some((changed, since)) if *changed == groups => {
                let whole = self.told.len() <= 1;
                if now.0.saturating_sub(since.0) < SETTLE_MS && !(whole && groups.len() == 1) {
                    return;
                }
                // what came of it must not stand before it: it happened between two questions
                let time = self.before.values().max().copied().unwrap_or(*since).min(*since);
                self.before.clear();
                match (whole, groups.len()) {
                    (true, 1) => {}
                    (false, 1) => app.history.push(Event { time, what: What::Heal }),
                    _ => app.history.push(Event { time, what: What::Split(groups.clone()) }),
                }
                self.told = groups;
                self.changed = None;
            }
            _ => self.changed = Some((groups, now)),
        }
    }

    /// Who is with whom: those that no node refuses, on either side.
    fn groups(&self) -> Vec<BTreeSet<usize>> {
        let is_cut = |a: &usize, b: &usize| {
            let refuses = |a: &usize, b: &usize| {
                let identity = self.identities.get(b);
                self.refused
                    .get(a)
                    .zip(identity)
                    .is_some_and(|(refused, identity)| refused.contains(identity))
            };
            refuses(a, b) || refuses(b, a)
        };
        let mut rest: BTreeSet<usize> = self.identities.keys().copied().collect();
        let mut groups = Vec::new();
        while let Some(first) = rest.pop_first() {
            let (mut group, mut edge) = (BTreeSet::from([first]), vec![first]);
            while let Some(node) = edge.pop() {
                let near: Vec<usize> = rest.iter().filter(|other| !is_cut(&node, other)).copied().collect();
                for other in near {
                    rest.remove(&other);
                    group.insert(other);
                    edge.push(other);
                }
            }
            groups.push(group);
        }
        groups
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(gather: &mut Gather, node: usize, from: &[&str]) {
        gather.refused.insert(node, from.iter().map(|name| (*name).to_owned()).collect());
    }

    fn last_line(app: &App) -> String {
        let (_, line) = app.history.live().log.last_key_value().expect("a line");
        super::super::describe::line(app.history.live(), &app.history.facts, line).text
    }

    #[test]
    fn a_split_is_told_once_it_holds_and_its_heal_too() {
        let names: Vec<String> = ["alice", "bob", "carol"].map(str::to_owned).into();
        let mut app = App::new("devnet".into(), false, &names);
        let identities = (0..3).zip(names.iter().cloned()).collect();
        let mut gather = Gather { identities, ..Gather::default() };
        let mut now = 0;
        let mut settle = |gather: &mut Gather, app: &mut App, ms| {
            now += ms;
            gather.settle(app, Time(now));
        };
        settle(&mut gather, &mut app, 1_000);
        settle(&mut gather, &mut app, 1_000);
        assert!(app.history.live().log.is_empty(), "nothing has happened yet");
        cut(&mut gather, 0, &["bob", "carol"]);
        settle(&mut gather, &mut app, 100);
        assert!(app.history.live().groups.is_empty(), "more nodes may be cut in a moment");
        // three groups, cut one after the other
        cut(&mut gather, 1, &["alice", "carol"]);
        settle(&mut gather, &mut app, 100);
        settle(&mut gather, &mut app, SETTLE_MS);
        assert_eq!(last_line(&app), "SPLIT  alice | bob | carol");
        gather.refused.clear();
        settle(&mut gather, &mut app, 100);
        settle(&mut gather, &mut app, SETTLE_MS);
        assert!(last_line(&app).starts_with("HEALED"));
        assert_eq!(app.history.live().log.len(), 2);
    }

    #[test]
    fn a_node_that_goes_is_told_once_and_so_is_its_return() {
        let names: Vec<String> = ["alice", "bob"].map(str::to_owned).into();
        let mut app = App::new("devnet".into(), false, &names);
        let mut gather = Gather::default();
        gather.lose(&mut app, 0, Time(1), "refused");
        gather.lose(&mut app, 0, Time(2), "refused");
        assert_eq!(last_line(&app), "alice does not answer: refused");
        assert_eq!((app.history.live().log.len(), app.gone()), (1, None));
        gather.lose(&mut app, 1, Time(3), "refused");
        assert_eq!(app.gone(), Some("refused"), "nobody is left");
        let begins = News::Begins { tip: tine_chain::hash::BlockHash::ZERO, blocks: HashSet::new() };
        gather.hear(&mut app, 1, Time(4), vec![begins]);
        assert_eq!((last_line(&app).as_str(), app.gone()), ("bob answers again", None));
    }
}
