//! The pictures that the view draws, kept in `frames/` and looked at: a fork made and healed, gone back in, on small and
//! large screens. `UPDATE_FRAMES=1` draws them anew.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::style::Color;
use tine_chain::hash::{BlockHash, Txid};
use tine_chain::time::Time;
use tine_node::explain::{Reason, ReorgReport, ReportBlock, ReportFate, ReportTransaction};

use super::event::{BlockFacts, Event, Status, What, plain_name};
use super::history::Step;
use super::keys::Command;
use super::palette::Palette;
use super::state::{Answer, App, Effect, Pane, Request};
use super::tree::Towards;
use super::{screen, view};

const NAMES: [&str; 4] = ["alice", "bob", "carol", "dave"];
/// 2026-09-01 12:00:00 UTC.
const START: u64 = 1_788_264_000_000;

/// A devnet that is told of by hand.
struct Story {
    app: App,
    now: u64,
}

impl Story {
    fn new() -> Self {
        let names = NAMES.map(str::to_owned);
        let mut story = Self { app: App::new("devnet, 4 nodes".into(), false, &names), now: START };
        story.learn(0, 0, 0, None);
        for node in 0..4 {
            let status = Status {
                peers: 3,
                hashrate: Some([80_000.0, 60_000.0, 40_000.0, 20_000.0][node]),
                mining: true,
                ..Status::default()
            };
            story.tell(What::Status(node, status));
            story.tell(What::Seen(node, hash(0)));
            story.tell(What::Tip(node, hash(0)));
        }
        story
    }

    fn learn(&mut self, id: u8, prev: u8, height: u32, miner: Option<usize>) {
        self.app.history.learn(BlockFacts {
            hash: hash(id),
            prev: if height == 0 { BlockHash::ZERO } else { hash(prev) },
            height,
            work: format!("{:064x}", (height + 1) * 0x1000),
            miner: miner.map(|miner| NAMES[miner].to_owned()),
            txs: Some(1),
        });
    }

    fn tell(&mut self, what: What) {
        self.app.history.push(Event { time: Time(self.now), what });
    }

    /// A block is found by the first of `seers`, and reaches the others 10 ms apart; those whose tip it is not keep theirs.
    fn found(&mut self, id: u8, prev: u8, height: u32, seers: &[usize], adopted: bool) {
        self.now += 5_000;
        self.learn(id, prev, height, seers.first().copied());
        for (after, seer) in seers.iter().enumerate() {
            self.tell(What::Seen(*seer, hash(id)));
            if adopted || after == 0 {
                self.tell(What::Tip(*seer, hash(id)));
            }
            self.now += 10;
        }
    }

    /// Four blocks that everybody has.
    fn agreed() -> Self {
        let mut story = Self::new();
        for height in 1..=4u8 {
            let first = usize::from(height) % 4;
            let mut seers = vec![first];
            seers.extend((0..4).filter(|node| *node != first));
            story.found(height, height - 1, u32::from(height), &seers, true);
        }
        story
    }

    /// alice, bob | carol, dave: 1 block here, 2 there.
    fn split() -> Self {
        let mut story = Self::agreed();
        story.tell(What::Payment(0, txid(1)));
        story.tell(What::Payment(1, txid(1)));
        story.now += 2_000;
        story.tell(What::Split(vec![BTreeSet::from([0, 1]), BTreeSet::from([2, 3])]));
        story.found(0xa5, 4, 5, &[0, 1], true);
        story.found(0xb5, 4, 5, &[2, 3], true);
        story.found(0xb6, 0xb5, 6, &[3, 2], true);
        story
    }

    /// The same, healed: alice and bob go over to the others' branch.
    fn healed() -> Self {
        let mut story = Self::split();
        story.now += 3_000;
        story.tell(What::Heal);
        for node in [0, 1] {
            for id in [0xb5, 0xb6] {
                story.tell(What::Seen(node, hash(id)));
            }
            story.now += 20;
            story.tell(What::Tip(node, hash(0xb6)));
            let report = report(story.now);
            story.tell(What::Reorg(node, Arc::new(report)));
        }
        story
    }

    fn press(&mut self, command: Command) -> Option<Effect> {
        self.app.command(command)
    }

    fn picture(&self, columns: u16, rows: u16) -> String {
        screen::picture(&self.app, columns, rows).join("\n") + "\n"
    }
}

fn hash(id: u8) -> BlockHash {
    let mut bytes = [id; 32];
    // the ids of blocks begin with zeros, and are shown backwards
    bytes[30..].fill(0);
    BlockHash(bytes)
}

fn txid(id: u8) -> Txid {
    Txid([id; 32])
}

fn report(time: u64) -> ReorgReport {
    let block = |label: &str, id: u8, height: u32| ReportBlock {
        label: label.into(),
        hash: hash(id),
        height,
        sequence: u64::from(id),
        seen: Time(time),
        transactions: 2,
    };
    ReorgReport {
        number: 0,
        time: Time(time),
        depth: 1,
        fork: block("4", 4, 4),
        disconnected: vec![block("5a", 0xa5, 5)],
        connected: vec![block("5b", 0xb5, 5), block("6b", 0xb6, 6)],
        fork_work: format!("{:064x}", 0x5000),
        old_work: format!("{:064x}", 0x6000),
        new_work: format!("{:064x}", 0x7000),
        reason: Reason::MostWork,
        transactions: vec![ReportTransaction {
            txid: txid(1),
            block: hash(0xa5),
            label: "5a".into(),
            confirmations: 1,
            coinbase: false,
            outputs: Vec::new(),
            fate: ReportFate::Conflicted {
                coin: format!("{}:0", "cc".repeat(32)).parse().expect("a coin"),
                by: txid(2),
                block: hash(0xb5),
                label: "5b".into(),
            },
        }],
        returned: 0,
        conflicted: 1,
    }
}

/// Compares a picture with the one that is kept, or keeps it.
fn assert_frame(name: &str, picture: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/watch/frames").join(name);
    if std::env::var_os("UPDATE_FRAMES").is_some() {
        std::fs::write(&path, picture).expect("written");
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        picture == kept,
        "{name} is drawn otherwise now (UPDATE_FRAMES=1 keeps this):\n{picture}\nkept:\n{kept}"
    );
}

#[test]
fn a_natural_fork_has_two_tips_at_one_height() {
    let mut story = Story::agreed();
    // carol and dave find a block each before they hear of the other's
    story.found(0xc5, 4, 5, &[2, 1, 0, 3], true);
    story.found(0xd5, 4, 5, &[3, 0, 1, 2], false);
    let picture = story.picture(80, 24);
    assert_frame("fork-80x24.txt", &picture);
    assert!(picture.contains("╰─┆D 5┆"), "{picture}");
    assert!(picture.contains("FORK: 2 at this height"), "{picture}");
}

#[test]
fn a_split_grows_two_branches() {
    let story = Story::split();
    let (small, large) = (story.picture(80, 24), story.picture(160, 50));
    assert_frame("split-80x24.txt", &small);
    assert_frame("split-160x50.txt", &large);
    for picture in [small, large] {
        assert!(picture.contains("SPLIT alice, bob | carol, dave"), "{picture}");
        assert!(picture.contains("─[D 6]") && picture.contains("─┆A 5┆"), "{picture}");
        assert!(picture.contains("cut from CD"), "{picture}");
    }
}

#[test]
fn after_the_heal_the_reorganisation_is_explained() {
    let mut story = Story::healed();
    let asked = story.press(Command::ExplainReorg);
    let Some(Effect::Ask(Request::Reorg(1, report))) = asked else { panic!("{asked:?}") };
    let text = format!("{report}\n  bob's 5.00000000 reversed");
    let lines = text.lines().map(str::to_owned).collect();
    story.app.answer(Answer::Text("reorganisation #0 of bob".into(), lines));
    assert_frame("healed-80x24.txt", &story.picture(80, 24));
    let picture = story.picture(160, 50);
    assert_frame("healed-160x50.txt", &picture);
    for words in
        ["REORG #0 at bob  depth 1", "(most work, not first seen)", "CONFLICTED: 02020202…", "HEALED"]
    {
        assert!(picture.contains(words), "{words}:\n{picture}");
    }
    assert_eq!(story.press(Command::Close), None);
    assert!(!story.picture(160, 50).contains("CONFLICTED"), "it is closed");
}

#[test]
fn steps_go_back_to_any_moment_and_forth_again() {
    let mut story = Story::healed();
    let now = story.picture(160, 50);
    // the two reorganisations and the heal
    for _ in 0..3 {
        assert_eq!(story.press(Command::Back(Step::Line)), None);
    }
    let picture = story.picture(160, 50);
    assert_frame("stepped-160x50.txt", &picture);
    assert!(
        picture.contains("STOPPED at") && picture.contains("SPLIT alice, bob | carol, dave"),
        "{picture}"
    );
    assert!(!picture.contains("REORG") && !picture.contains("HEALED"), "{picture}");
    // what happens meanwhile does not move the picture, but for how long ago it is
    story.found(7, 0xb6, 7, &[0, 1, 2, 3], true);
    let same = |text: &str| text.lines().skip(1).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(same(&story.picture(160, 50)), same(&picture));
    // single events: dave's block 6 is not at carol's yet
    assert_eq!(story.press(Command::Back(Step::Event)), None);
    assert!(!story.picture(160, 50).contains("HEALED"));
    for _ in 0..200 {
        assert_eq!(story.press(Command::Forth(Step::Event)), None);
    }
    assert!(story.picture(160, 50).contains("#7 "), "the end");
    assert_eq!(story.press(Command::Pause), None);
    assert!(story.picture(160, 50).contains("live"), "followed again");
    assert!(now.contains("live"));
    for _ in 0..500 {
        assert_eq!(story.press(Command::Back(Step::Line)), None);
    }
    assert!(story.picture(160, 50).contains("event 0 of"), "the beginning");
}

#[test]
fn the_choice_moves_along_branches_and_opens_blocks() {
    let mut story = Story::split();
    let chosen = |story: &Story| {
        let tree = story.app.tree();
        story.app.chosen(&tree).map(|cell| cell.hash)
    };
    assert_eq!(chosen(&story), Some(hash(0xb6)), "the tip, while nobody chooses");
    for (towards, expected) in [
        (Towards::Left, 0xb5),
        (Towards::Down, 0xa5),
        (Towards::Left, 4),
        (Towards::Left, 3),
        (Towards::Right, 4),
        (Towards::Right, 0xb5),
    ] {
        assert_eq!(story.press(Command::Move(towards)), None);
        assert_eq!(chosen(&story), Some(hash(expected)), "{towards:?}");
    }
    let Some(Effect::Ask(Request::Block(asked))) = story.press(Command::Open) else { panic!("not asked") };
    assert_eq!(asked, hash(0xb5));
    assert_eq!(story.press(Command::Last), None);
    assert_eq!(chosen(&story), Some(hash(0xb6)));
    story.app.perspective = Some(0);
    assert_eq!(chosen(&story), Some(hash(0xa5)), "as alice sees it");
}

#[test]
fn questions_are_asked_before_anything_is_changed() {
    let mut story = Story::agreed();
    assert_eq!(story.press(Command::Split), None);
    assert!(story.picture(80, 24).contains("> alice,bob | carol,dave"), "the halves are proposed");
    assert_eq!(story.press(Command::EraseAll), None);
    for letter in "alice | bob,carol,dave".chars() {
        assert_eq!(story.press(Command::Letter(letter)), None);
    }
    let asked = story.press(Command::Open);
    assert_eq!(asked, Some(Effect::Ask(Request::Split("alice | bob,carol,dave".into()))));
    assert_eq!(story.press(Command::Mine), None);
    assert_eq!(story.press(Command::Letter('x')), None, "nobody is called so");
    assert_eq!(story.press(Command::Letter('c')), Some(Effect::Ask(Request::Mine(2))));
    assert_eq!(story.press(Command::Pay), None);
    assert_eq!(story.press(Command::Close), None);
    assert!(story.app.popup.is_none());
    assert_eq!(story.press(Command::Heal), Some(Effect::Ask(Request::Heal)));
    assert_eq!(story.press(Command::Quit), Some(Effect::Quit));
    story.app.recorded = true;
    assert_eq!(story.press(Command::Heal), None);
    assert!(story.picture(80, 24).contains("this run is over"));
}

#[test]
fn hostile_text_does_not_reach_the_terminal() {
    let hostile = "\u{1b}]0;owned\u{7}\u{1b}[31m\u{9b}2Jeve\r\n\u{202e}";
    let mut story = Story::agreed();
    story.app.history.learn(BlockFacts {
        hash: hash(9),
        prev: hash(4),
        height: 5,
        work: "0".repeat(64),
        // as `live` and `past` let tags in
        miner: Some(plain_name(hostile)),
        txs: Some(1),
    });
    story.tell(What::Seen(0, hash(9)));
    story.tell(What::Invalid(0, hash(9), plain_name(hostile)));
    story.app.pane = Pane::Events;
    let drawn = Terminal::new(TestBackend::new(160, 50)).and_then(|mut terminal| {
        terminal.draw(|frame| view::draw(frame, &story.app, Palette::Full))?;
        Ok(terminal.backend().buffer().clone())
    });
    let buffer = drawn.expect("a buffer in memory");
    let text: String = buffer.content().iter().map(|cell| cell.symbol()).collect();
    assert!(text.contains("]0;owned[31m2Jeve"), "what can be read of it is shown");
    assert!(!text.chars().any(|letter| letter.is_control() || letter == '\u{202e}'));
}

#[test]
fn miners_are_colours_unless_nobody_wants_them() {
    let story = Story::split();
    let colours = |palette| {
        let mut terminal = Terminal::new(TestBackend::new(80, 24)).expect("in memory");
        terminal.draw(|frame| view::draw(frame, &story.app, palette)).expect("in memory");
        let buffer = terminal.backend().buffer();
        buffer
            .content()
            .iter()
            .flat_map(|cell| [cell.fg, cell.bg])
            .filter(|color| *color != Color::Reset)
            .count()
    };
    assert!(colours(Palette::Full) > 20);
    assert!(colours(Palette::Indexed) > 20);
    assert_eq!(colours(Palette::None), 0);
}

#[test]
fn the_smallest_screens_are_drawn_too() {
    let mut story = Story::healed();
    for (columns, rows) in [(1, 1), (20, 8), (40, 10), (80, 5), (300, 100)] {
        let _ = story.picture(columns, rows);
        assert_eq!(story.press(Command::Help), None);
        let _ = story.picture(columns, rows);
        assert_eq!(story.press(Command::Close), None);
        assert_eq!(story.press(Command::Split), None);
        let _ = story.picture(columns, rows);
        assert_eq!(story.press(Command::Close), None);
    }
}
