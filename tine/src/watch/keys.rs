//! Which key does what.
//!
//! `h j k l` move, as in vi; so the heal is a capital `H`, beside the `s` that splits.

#![expect(clippy::wildcard_enum_match_arm, reason = "most keys mean nothing")]

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use super::history::Step;
use super::tree::Towards;

/// What a key asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Command {
    /// End.
    Quit,
    /// Choose the next thing in this direction.
    Move(Towards),
    /// The same, a screen further.
    Leap(Towards),
    /// Choose the first thing.
    First,
    /// Choose nothing any more, and follow the end.
    Last,
    /// The next part of the screen; `false`: the one before.
    Pane(bool),
    /// Ask who mines.
    Mine,
    /// Ask for groups, and split.
    Split,
    /// Heal.
    Heal,
    /// Ask for a payment.
    Pay,
    /// Explain the reorganisation that is chosen, or the last.
    ExplainReorg,
    /// Explain the tip.
    ExplainTip,
    /// Draw the tree as the next node sees it.
    Perspective,
    /// Stop, or follow again.
    Pause,
    /// Go back in time.
    Back(Step),
    /// Go forth in time.
    Forth(Step),
    /// Show what is chosen in full; in a question: go on.
    Open,
    /// Show the keys.
    Help,
    /// Leave what is open.
    Close,
    /// A letter of an answer.
    Letter(char),
    /// The last letter goes.
    Erase,
    /// All letters go.
    EraseAll,
}

/// What keys mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// The three parts of the screen.
    Panes,
    /// A text is open.
    Text,
    /// Something is to be chosen from a list.
    Choice,
    /// Something is to be typed.
    Line,
}

/// The keys, and what is said of them: in `?`, and in part at the bottom of the screen.
pub(crate) const HELP: [(&str, &str); 17] = [
    ("←↓↑→ hjkl", "choose: in the tree parents, children, other branches"),
    ("PgUp PgDn", "the same, a screen further"),
    ("g  G", "the first block or line; G or End follows the tip again"),
    ("Tab", "go to the next part: tree, nodes, events"),
    ("Enter", "the chosen block (its header taken apart), node or event"),
    ("m", "mine a block: choose the node"),
    ("p", "pay: from, to, amount, and a coin if it must be that one"),
    ("s", "split the network: type the groups, or take the two halves"),
    ("H", "heal it (a capital: h moves)"),
    ("e", "explain the chosen reorganisation, or the last"),
    ("t", "explain why the tip is the tip"),
    ("v", "see the tree as another node does"),
    ("Space", "stop the picture, or follow the network again"),
    (",  .", "back and forth in time: one event at one node"),
    ("[  ]", "back and forth in time: one line of the log"),
    ("?", "these keys"),
    ("q  Ctrl-C", "quit; the network goes on"),
];

/// What a key asks for; `None`: nothing.
pub(crate) fn command(mode: Mode, key: KeyEvent) -> Option<Command> {
    if key.kind == KeyEventKind::Release {
        return None;
    }
    if key.modifiers.contains(KeyModifiers::CONTROL) {
        return match key.code {
            KeyCode::Char('c' | 'd') => Some(Command::Quit),
            KeyCode::Char('u') => Some(Command::EraseAll),
            _ => None,
        };
    }
    match mode {
        Mode::Panes => panes(key.code),
        Mode::Text => text(key.code),
        Mode::Choice => choice(key.code),
        Mode::Line => line(key.code),
    }
}

/// Arrows, and vi's letters for them.
fn direction(code: KeyCode) -> Option<Towards> {
    match code {
        KeyCode::Left | KeyCode::Char('h') => Some(Towards::Left),
        KeyCode::Down | KeyCode::Char('j') => Some(Towards::Down),
        KeyCode::Up | KeyCode::Char('k') => Some(Towards::Up),
        KeyCode::Right | KeyCode::Char('l') => Some(Towards::Right),
        _ => None,
    }
}

fn panes(code: KeyCode) -> Option<Command> {
    if let Some(towards) = direction(code) {
        return Some(Command::Move(towards));
    }
    Some(match code {
        KeyCode::Char('q') => Command::Quit,
        KeyCode::PageUp => Command::Leap(Towards::Left),
        KeyCode::PageDown => Command::Leap(Towards::Right),
        KeyCode::Home | KeyCode::Char('g') => Command::First,
        KeyCode::End | KeyCode::Char('G') | KeyCode::Esc => Command::Last,
        KeyCode::Tab => Command::Pane(true),
        KeyCode::BackTab => Command::Pane(false),
        KeyCode::Char('m') => Command::Mine,
        KeyCode::Char('s') => Command::Split,
        KeyCode::Char('H') => Command::Heal,
        KeyCode::Char('p') => Command::Pay,
        KeyCode::Char('e') => Command::ExplainReorg,
        KeyCode::Char('t') => Command::ExplainTip,
        KeyCode::Char('v') => Command::Perspective,
        KeyCode::Char(' ') => Command::Pause,
        KeyCode::Char(',') => Command::Back(Step::Event),
        KeyCode::Char('.') => Command::Forth(Step::Event),
        KeyCode::Char('[') => Command::Back(Step::Line),
        KeyCode::Char(']') => Command::Forth(Step::Line),
        KeyCode::Enter => Command::Open,
        KeyCode::Char('?') | KeyCode::F(1) => Command::Help,
        _ => return None,
    })
}

fn text(code: KeyCode) -> Option<Command> {
    if let Some(towards) = direction(code) {
        return Some(Command::Move(towards));
    }
    Some(match code {
        KeyCode::PageUp => Command::Leap(Towards::Up),
        KeyCode::PageDown | KeyCode::Char(' ') => Command::Leap(Towards::Down),
        KeyCode::Home | KeyCode::Char('g') => Command::First,
        KeyCode::Esc | KeyCode::Enter | KeyCode::Char('q' | 'e' | 't' | '?') => Command::Close,
        _ => return None,
    })
}

fn choice(code: KeyCode) -> Option<Command> {
    Some(match code {
        KeyCode::Up => Command::Move(Towards::Up),
        KeyCode::Down => Command::Move(Towards::Down),
        KeyCode::Enter => Command::Open,
        KeyCode::Esc => Command::Close,
        KeyCode::Char(letter) => Command::Letter(letter),
        _ => return None,
    })
}

fn line(code: KeyCode) -> Option<Command> {
    Some(match code {
        KeyCode::Enter => Command::Open,
        KeyCode::Esc => Command::Close,
        KeyCode::Backspace => Command::Erase,
        KeyCode::Char(letter) => Command::Letter(letter),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn press(mode: Mode, code: KeyCode) -> Option<Command> {
        command(mode, KeyEvent::new(code, KeyModifiers::NONE))
    }

    #[test]
    fn h_moves_and_a_capital_heals() {
        assert_eq!(press(Mode::Panes, KeyCode::Char('h')), Some(Command::Move(Towards::Left)));
        assert_eq!(press(Mode::Panes, KeyCode::Left), Some(Command::Move(Towards::Left)));
        let shifted = KeyEvent::new(KeyCode::Char('H'), KeyModifiers::SHIFT);
        assert_eq!(command(Mode::Panes, shifted), Some(Command::Heal));
    }

    #[test]
    fn letters_are_letters_while_one_types() {
        for letter in ['q', 'h', 'H', 's', ' ', '|', ','] {
            assert_eq!(press(Mode::Line, KeyCode::Char(letter)), Some(Command::Letter(letter)));
        }
        let cleared = KeyEvent::new(KeyCode::Char('u'), KeyModifiers::CONTROL);
        assert_eq!(command(Mode::Line, cleared), Some(Command::EraseAll));
    }

    #[test]
    fn ctrl_c_ends_it_whatever_is_open() {
        for mode in [Mode::Panes, Mode::Text, Mode::Choice, Mode::Line] {
            let key = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
            assert_eq!(command(mode, key), Some(Command::Quit));
        }
        assert_eq!(press(Mode::Panes, KeyCode::Char('q')), Some(Command::Quit));
        assert_eq!(press(Mode::Text, KeyCode::Char('q')), Some(Command::Close), "it closes the text only");
    }

    #[test]
    fn every_key_that_help_names_does_something() {
        for (keys, _) in HELP {
            for key in keys.split_whitespace() {
                let code = match key {
                    "PgUp" => KeyCode::PageUp,
                    "PgDn" => KeyCode::PageDown,
                    "Tab" => KeyCode::Tab,
                    "Enter" => KeyCode::Enter,
                    "Space" => KeyCode::Char(' '),
                    "Ctrl-C" | "←↓↑→" => continue,
                    "hjkl" => KeyCode::Char('j'),
                    letter => KeyCode::Char(letter.chars().next().expect("not empty")),
                };
                assert!(press(Mode::Panes, code).is_some(), "{key}");
            }
        }
    }

    #[test]
    fn a_key_that_goes_up_again_is_no_second_press() {
        let mut key = KeyEvent::new(KeyCode::Char('q'), KeyModifiers::NONE);
        key.kind = KeyEventKind::Release;
        assert_eq!(command(Mode::Panes, key), None);
    }
}
