//! What is open above the panes: something to read, to choose or to type.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, BorderType, Clear, Padding, Paragraph};
use tine_lab::render::letter;

use super::palette::Palette;
use super::state::{App, Popup, Question};

/// The widest that a text is shown, in columns.
const MAX_WIDTH: u16 = 110;

/// Draws what is open, if something is.
pub(super) fn draw(frame: &mut Frame<'_>, app: &App, palette: Palette) {
    match &app.popup {
        None => {}
        Some(Popup::Text { title, lines, top }) => text(frame, title, lines, *top, palette),
        Some(Popup::Choice { chosen }) => choice(frame, app, *chosen, palette),
        Some(Popup::Prompt { question, text }) => prompt(frame, *question, text, palette),
    }
}

/// A box in the middle with room for so much; what is in it.
fn open(frame: &mut Frame<'_>, title: &str, hint: &str, width: u16, height: u16, palette: Palette) -> Rect {
    let all = frame.area();
    // borders and padding
    let (width, height) = ((width + 4).min(all.width), (height + 2).min(all.height));
    let area = Rect { x: (all.width - width) / 2, y: (all.height - height) / 2, width, height };
    let block = Block::bordered()
        .border_type(BorderType::Rounded)
        .padding(Padding::horizontal(1))
        .title(Span::styled(format!(" {title} "), palette.strong()))
        .title_bottom(Span::styled(format!(" {hint} "), palette.faint()));
    let inner = block.inner(area);
    frame.render_widget(Clear, area);
    frame.render_widget(block, area);
    inner
}

fn text(frame: &mut Frame<'_>, title: &str, lines: &[String], top: usize, palette: Palette) {
    let room = frame.area().width.saturating_sub(4).min(MAX_WIDTH);
    let wrapped: Vec<(String, bool)> = lines.iter().flat_map(|line| wrap(line, usize::from(room))).collect();
    let widest = wrapped.iter().map(|(line, _)| line.chars().count()).max().unwrap_or(0);
    let hint = "↑ ↓ PgUp PgDn: more   Esc: close";
    let width = widest.max(hint.chars().count() + 2).max(title.chars().count() + 2);
    let width = u16::try_from(width).unwrap_or(room).min(room);
    let height = u16::try_from(wrapped.len()).unwrap_or(u16::MAX);
    let inner = open(frame, title, hint, width, height.max(1), palette);
    // the last screen stays full
    let top = top.min(wrapped.len().saturating_sub(usize::from(inner.height)));
    let shown: Vec<Line<'_>> = wrapped
        .into_iter()
        .skip(top)
        .take(usize::from(inner.height))
        .map(|(line, alarm)| Line::styled(line, if alarm { palette.alarm() } else { Default::default() }))
        .collect();
    frame.render_widget(Paragraph::new(shown), inner);
}

/// A line in pieces of at most `room` characters, later ones set in; and whether it should be looked at.
fn wrap(line: &str, room: usize) -> Vec<(String, bool)> {
    let alarm = ["CONFLICTED", "reversed", "REORG"].iter().any(|word| line.contains(word))
        && !line.trim_start().starts_with("0 ");
    let indent: String = line.chars().take_while(|letter| *letter == ' ').chain("    ".chars()).collect();
    let mut pieces = Vec::new();
    let mut piece = String::new();
    for word in line.split_inclusive(' ') {
        let fits = piece.chars().count() + word.trim_end().chars().count() <= room;
        if !fits && !piece.trim().is_empty() {
            pieces.push((std::mem::replace(&mut piece, indent.clone()), alarm));
        }
        for letter in word.chars() {
            // a word that is longer than a line
            if piece.chars().count() >= room && letter != ' ' && room > indent.len() {
                pieces.push((std::mem::replace(&mut piece, indent.clone()), alarm));
            }
            piece.push(letter);
        }
    }
    pieces.push((piece, alarm));
    pieces
}

fn choice(frame: &mut Frame<'_>, app: &App, chosen: usize, palette: Palette) {
    let nodes = &app.history.live().nodes;
    let hint = "number, letter or Enter; Esc: not now";
    let height = u16::try_from(nodes.len()).unwrap_or(u16::MAX);
    let inner = open(frame, "who mines a block?", hint, 40, height, palette);
    let first =
        super::tree::window(nodes.len() as u32, u32::from(inner.height), Some(chosen as u32)) as usize;
    let lines: Vec<Line<'_>> = nodes
        .iter()
        .enumerate()
        .skip(first)
        .map(|(place, node)| {
            let style = if place == chosen { palette.chosen() } else { Default::default() };
            Line::from(vec![
                Span::raw(format!("{:>2}  ", place + 1)),
                Span::styled(format!("{:<3}", letter(&node.name)), palette.flag(place)),
                Span::styled(node.name.clone(), style),
            ])
        })
        .collect();
    frame.render_widget(Paragraph::new(lines), inner);
}

fn prompt(frame: &mut Frame<'_>, question: Question, text: &str, palette: Palette) {
    let (title, what) = match question {
        Question::Split => {
            ("split the network", "groups, with | between them: who is in different ones is cut off")
        }
        Question::Pay => ("pay", "FROM TO AMOUNT, and a coin (TXID:INDEX) if it must be that one"),
    };
    let inner = open(frame, title, "Enter: do it   Ctrl-U: empty   Esc: not now", 70, 3, palette);
    // of a long text the end is shown
    let room = usize::from(inner.width.saturating_sub(3));
    let length = text.chars().count();
    let shown: String = text.chars().skip(length.saturating_sub(room)).collect();
    let cursor = inner.x + 2 + u16::try_from(shown.chars().count()).unwrap_or(0);
    let lines = vec![
        Line::styled(what, palette.faint()),
        Line::raw(""),
        Line::from(vec![Span::styled("> ", palette.network()), Span::styled(shown, palette.strong())]),
    ];
    frame.render_widget(Paragraph::new(lines), inner);
    if inner.height > 2 && cursor < inner.right() {
        frame.set_cursor_position((cursor, inner.y + 2));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lines_are_broken_between_words_and_long_words_anywhere() {
        let pieces =
            |line: &str, room| wrap(line, room).into_iter().map(|(piece, _)| piece).collect::<Vec<_>>();
        assert_eq!(pieces("short", 20), ["short"]);
        assert_eq!(pieces("  one two three four", 12), ["  one two ", "      three ", "      four"]);
        let id = "0123456789abcdef".repeat(4);
        let broken = pieces(&id, 40);
        assert_eq!(broken.iter().map(|piece| piece.trim()).collect::<String>(), id);
        assert!(broken.iter().all(|piece| piece.chars().count() <= 40));
    }
}
