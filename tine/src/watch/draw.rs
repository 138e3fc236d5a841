//! The tree's characters.

use std::collections::BTreeMap;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use tine_lab::render::letter;

use super::palette::Palette;
use super::state::App;
use super::tree::{Cell, Tree, window};

/// Characters between two blocks.
const EDGE: u16 = 2;
/// Rows of a lane: flags, blocks.
const LANE: u16 = 2;

/// The four directions that a line's character goes to.
const UP: u8 = 1;
const RIGHT: u8 = 2;
const DOWN: u8 = 4;
const LEFT: u8 = 8;

/// Columns and lanes that are in sight, and where.
struct Camera {
    area: Rect,
    /// The characters of one block.
    width: u16,
    first_column: u32,
    first_lane: u32,
}

impl Camera {
    /// Around the block that was chosen, or at the end.
    fn new(area: Rect, tree: &Tree, width: u16, chosen: Option<&Cell>) -> Self {
        let room = u32::from(area.width.saturating_sub(EDGE) / (width + EDGE)).max(1);
        let lanes = u32::from(area.height / LANE).max(1);
        Self {
            area,
            width,
            first_column: window(tree.columns, room, chosen.map(|cell| cell.column)),
            first_lane: window(tree.lanes, lanes, Some(chosen.map_or(0, |cell| cell.lane))),
        }
    }

    /// The first character of a column's blocks, if it is in sight.
    fn x(&self, column: u32) -> Option<u16> {
        let column = u16::try_from(column.checked_sub(self.first_column)?).ok()?;
        let x = self.area.x + EDGE + column.checked_mul(self.width + EDGE)?;
        (x + self.width <= self.area.right()).then_some(x)
    }

    /// The row of a lane's blocks, which may be out of sight.
    fn y(&self, lane: u32) -> i64 {
        let lane = i64::from(lane) - i64::from(self.first_lane);
        i64::from(self.area.y) + lane * i64::from(LANE) + 1
    }

    /// A row, if it is in sight.
    fn row(&self, y: i64) -> Option<u16> {
        u16::try_from(y).ok().filter(|y| (self.area.top()..self.area.bottom()).contains(y))
    }
}

/// Draws the tree, as much of it as there is room for.
pub(super) fn tree(
    buffer: &mut Buffer,
    area: Rect,
    tree: &Tree,
    chosen: Option<&Cell>,
    app: &App,
    palette: Palette,
) {
    let model = app.history.model();
    let letters: Vec<String> = model.nodes.iter().map(|node| letter(&node.name)).collect();
    let widest = letters.iter().map(|letter| letter.chars().count()).max().unwrap_or(1).max(1);
    let digits = tree.cells.iter().map(|cell| cell.height.to_string().len()).max().unwrap_or(1);
    let width = u16::try_from(widest + digits + 3).unwrap_or(u16::MAX);
    if area.width < width + EDGE || area.height < LANE {
        return;
    }
    // who has not chosen sees the end
    let camera = Camera::new(area, tree, width, chosen.filter(|_| app.block.is_some()));
    edges(buffer, &camera, tree, palette);
    for gap in &tree.gaps {
        let Some((x, y)) = camera.x(gap.column).zip(camera.row(camera.y(0))) else { continue };
        let text = format!("┄{}┄", gap.to - gap.from + 1);
        let text = format!("{text:┄^width$}", width = usize::from(width));
        buffer.set_stringn(x, y, text, usize::from(width), palette.faint());
    }
    for cell in &tree.cells {
        let Some((x, y)) = camera.x(cell.column).zip(camera.row(camera.y(cell.lane))) else { continue };
        let is_chosen = chosen.is_some_and(|chosen| chosen.hash == cell.hash);
        let mark = cell.miner.map_or("·", |miner| letters[miner].as_str());
        let (left, right) = cell.status.borders();
        let style = if is_chosen { palette.chosen() } else { palette.fill(cell.miner) };
        let inner = format!("{mark:<widest$} {:>digits$}", cell.height);
        let border = if is_chosen { palette.chosen() } else { palette.strong() };
        buffer.set_stringn(x, y, left.to_string(), 1, border);
        buffer.set_stringn(x + 1, y, inner, usize::from(width - 2), style);
        buffer.set_stringn(x + width - 1, y, right.to_string(), 1, border);
        if let Some(row) = camera.row(i64::from(y) - 1) {
            flags(buffer, x, row, width, cell, &letters, palette);
        }
    }
}

/// The letters of the nodes whose tip a block is; those that find no room are counted.
fn flags(buffer: &mut Buffer, x: u16, y: u16, width: u16, cell: &Cell, letters: &[String], palette: Palette) {
    let room = usize::from(width);
    let all: usize = cell.tip_of.iter().map(|node| letters[*node].chars().count()).sum();
    let mut used = 0;
    for (shown, node) in cell.tip_of.iter().enumerate() {
        let text = &letters[*node];
        let length = text.chars().count();
        let rest = format!("+{}", cell.tip_of.len() - shown);
        if all > room && used + length + rest.len() > room {
            buffer.set_stringn(x + used as u16, y, rest, room - used, Style::new());
            return;
        }
        buffer.set_stringn(x + used as u16, y, text, room - used, palette.flag(*node));
        used += length;
    }
}

/// Lines from blocks to their parents.
fn edges(buffer: &mut Buffer, camera: &Camera, tree: &Tree, palette: Palette) {
    let mut lines: BTreeMap<(u16, u16), u8> = BTreeMap::new();
    let gaps = tree.gaps.iter().filter(|gap| gap.column > 0).map(|gap| (gap.column, 0, 0));
    let cells = tree.cells.iter().filter_map(|cell| Some((cell.column, cell.lane, cell.parent?.1)));
    for (column, lane, parent) in cells.chain(gaps) {
        let Some(x) = camera.x(column) else { continue };
        let (own, above) = (camera.y(lane), camera.y(parent));
        let mut mark = |x: u16, y: i64, to: u8| {
            if let Some(y) = camera.row(y) {
                *lines.entry((x, y)).or_default() |= to;
            }
        };
        let spine = x - EDGE;
        mark(x - 1, own, LEFT | RIGHT);
        if own == above {
            mark(spine, own, LEFT | RIGHT);
            continue;
        }
        let (towards, back) = if own > above { (DOWN, UP) } else { (UP, DOWN) };
        mark(spine, above, LEFT | towards);
        for y in own.min(above) + 1..own.max(above) {
            mark(spine, y, UP | DOWN);
        }
        mark(spine, own, back | RIGHT);
    }
    for ((x, y), to) in lines {
        buffer.set_stringn(x, y, character(to).to_string(), 1, palette.faint());
    }
}

/// The character of a line that goes to these directions.
fn character(to: u8) -> char {
    const TABLE: [char; 16] =
        [' ', '│', '─', '╰', '│', '│', '╭', '├', '─', '╯', '─', '┴', '╮', '┤', '┬', '┼'];
    TABLE[usize::from(to & (UP | RIGHT | DOWN | LEFT))]
}
