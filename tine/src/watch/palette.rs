//! Colours, as many as the terminal has; what they say is said by letters and borders too.

use ratatui::style::{Color, Modifier, Style};
use tine_lab::render;

use super::model::Kind;

/// Okabe and Ito's colours in the 256 that most terminals have.
const INDEXED: [u8; 7] = [214, 74, 36, 227, 25, 166, 175];
/// The one of them that black text can't be read on.
const DARK: usize = 4;

/// How many colours there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Palette {
    /// None: `NO_COLOR`, or a terminal that has none.
    None,
    /// 256.
    Indexed,
    /// All.
    Full,
}

impl Palette {
    /// What the environment says: `NO_COLOR` (no-color.org), `TERM`, `COLORTERM`.
    pub(crate) fn of(variable: impl Fn(&str) -> Option<String>) -> Self {
        if variable("NO_COLOR").is_some_and(|value| !value.is_empty())
            || variable("TERM").is_some_and(|term| term == "dumb")
        {
            Self::None
        } else if variable("COLORTERM").is_some_and(|value| value == "truecolor" || value == "24bit") {
            Self::Full
        } else {
            Self::Indexed
        }
    }

    /// The colour of node number `place`.
    fn node(self, place: usize) -> Option<Color> {
        match self {
            Self::None => None,
            Self::Indexed => Some(Color::Indexed(INDEXED[place % INDEXED.len()])),
            Self::Full => {
                let digits = render::colour(place).trim_start_matches('#');
                u32::from_str_radix(digits, 16).ok().map(Color::from_u32)
            }
        }
    }

    /// A node's letter.
    pub(crate) fn flag(self, place: usize) -> Style {
        let style = Style::new().add_modifier(Modifier::BOLD);
        self.node(place).map_or(style, |color| style.fg(color))
    }

    /// A block that a node has mined.
    pub(crate) fn fill(self, miner: Option<usize>) -> Style {
        match miner.and_then(|miner| Some((miner, self.node(miner)?))) {
            Some((miner, color)) => {
                let ink = if miner % INDEXED.len() == DARK { Color::White } else { Color::Black };
                Style::new().bg(color).fg(ink)
            }
            None => Style::new(),
        }
    }

    /// What was chosen.
    pub(crate) fn chosen(self) -> Style {
        Style::new().add_modifier(Modifier::REVERSED | Modifier::BOLD)
    }

    /// What steps back.
    pub(crate) fn faint(self) -> Style {
        Style::new().add_modifier(Modifier::DIM)
    }

    /// What stands out.
    pub(crate) fn strong(self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    /// What one should look at.
    pub(crate) fn alarm(self) -> Style {
        self.colored(Color::Yellow)
    }

    /// What was done to the network.
    pub(crate) fn network(self) -> Style {
        self.colored(Color::Cyan)
    }

    fn colored(self, color: Color) -> Style {
        if self == Self::None { self.strong() } else { self.strong().fg(color) }
    }

    /// A line of the log.
    pub(crate) fn line(self, kind: Kind) -> Style {
        match kind {
            Kind::Alarm => self.alarm(),
            Kind::Network => self.network(),
            Kind::Plain => Style::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(set: &[(&str, &str)]) -> Palette {
        Palette::of(|name| set.iter().find(|(set, _)| *set == name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn the_environment_says_how_many_colours_there_are() {
        assert_eq!(with(&[("TERM", "xterm-256color")]), Palette::Indexed);
        assert_eq!(with(&[("COLORTERM", "truecolor")]), Palette::Full);
        assert_eq!(with(&[("COLORTERM", "truecolor"), ("NO_COLOR", "1")]), Palette::None);
        assert_eq!(with(&[("COLORTERM", "truecolor"), ("NO_COLOR", "")]), Palette::Full);
        assert_eq!(with(&[("TERM", "dumb")]), Palette::None);
    }

    #[test]
    fn nodes_have_the_colours_of_the_page() {
        assert_eq!(Palette::Full.flag(0).fg, Some(Color::Rgb(0xe6, 0x9f, 0)));
        assert_eq!(Palette::Full.fill(Some(1)).bg, Some(Color::Rgb(0x56, 0xb4, 0xe9)));
        assert_eq!(Palette::None.fill(Some(1)), Style::new());
    }
}
