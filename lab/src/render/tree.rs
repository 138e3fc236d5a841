//! The block tree.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use tine_chain::hash::BlockHash;

use super::{colour, escaped, letter};
use crate::layout::{Drawn, Place, lay_out};

/// Blocks that are drawn at most: the latest.
const MAX_BLOCKS: usize = 2_000;
/// Heights at the end that are never left out.
const RECENT: u32 = 12;
const COLUMN: u32 = 64;
const LANE: u32 = 78;
const WIDTH: u32 = 40;
const HEIGHT: u32 = 28;
const TOP: u32 = 44;

/// What is known of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// On the active chain of whoever looks: a solid border.
    Active,
    /// On another branch: a broken border.
    Stale,
    /// Only its header is known: hollow.
    HeaderOnly,
    /// Breaks a rule: crossed out.
    Invalid,
}

/// A block to draw.
#[derive(Debug, Clone)]
pub struct TreeBlock {
    /// Its id.
    pub hash: BlockHash,
    /// Its parent's.
    pub parent: BlockHash,
    /// Its height.
    pub height: u32,
    /// Cumulative work, hexadecimal digits; empty: not known.
    pub work: String,
    /// Who mined it, by name.
    pub miner: Option<String>,
    /// What is known of it.
    pub status: Status,
    /// Nodes whose tip it is.
    pub tip_of: Vec<String>,
}

/// The tree as SVG. `nodes` are all nodes by name, in the order that gives them their colours; `blocks` come in the order
/// of height and, within a height, of arrival.
#[must_use]
pub fn tree(nodes: &[String], blocks: &[TreeBlock]) -> String {
    let blocks = &blocks[blocks.len().saturating_sub(MAX_BLOCKS)..];
    let places: BTreeMap<BlockHash, usize> =
        blocks.iter().zip(0..).map(|(block, at)| (block.hash, at)).collect();
    let drawn: Vec<Drawn> = blocks
        .iter()
        .map(|block| Drawn {
            parent: places.get(&block.parent).copied(),
            height: block.height,
            active: block.status == Status::Active,
            marked: !block.tip_of.is_empty(),
        })
        .collect();
    let layout = lay_out(&drawn, RECENT);
    let (width, height) = (layout.columns * COLUMN + 24, layout.lanes * LANE + TOP + 8);
    let mut svg = format!(
        "<svg class=\"tree\" xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"block tree\">\n\
         <defs><marker id=\"to\" viewBox=\"0 0 6 6\" refX=\"5\" refY=\"3\" markerWidth=\"6\" markerHeight=\"6\" \
         orient=\"auto\"><path d=\"M0 0 6 3 0 6z\" class=\"ink\"/></marker></defs>\n"
    );
    for gap in &layout.gaps {
        let (x, y) = (gap.column * COLUMN + 12, TOP + HEIGHT / 2);
        let count = gap.to - gap.from + 1;
        let _ = writeln!(
            svg,
            "<text class=\"faint\" x=\"{}\" y=\"{}\" text-anchor=\"middle\">… {count} …</text>",
            x + WIDTH / 2,
            y + 4
        );
    }
    for (block, place) in blocks.iter().zip(&layout.places) {
        let parent = places.get(&block.parent).map(|at| layout.places[*at]);
        edge(&mut svg, *place, parent);
    }
    for (block, place) in blocks.iter().zip(&layout.places) {
        if let Some(column) = place.column {
            draw(&mut svg, nodes, block, column, place.lane);
        }
    }
    svg.push_str("</svg>\n");
    svg
}

/// The line from a block to its parent, or to the gap that its parent is in.
fn edge(svg: &mut String, place: Place, parent: Option<Place>) {
    let (Some(column), Some(parent)) = (place.column, parent) else { return };
    let y = |lane: u32| TOP + lane * LANE + HEIGHT / 2;
    let x = column * COLUMN + 12;
    let before = parent.column.unwrap_or(column.saturating_sub(1)) * COLUMN + 12 + WIDTH;
    let (from, to) = (y(place.lane), y(parent.lane));
    let middle = (x + before) / 2;
    let _ = writeln!(
        svg,
        "<path class=\"edge\" d=\"M{x} {from} C{middle} {from} {middle} {to} {before} {to}\" marker-end=\"url(#to)\"/>"
    );
}

fn draw(svg: &mut String, nodes: &[String], block: &TreeBlock, column: u32, lane: u32) {
    let (x, y) = (column * COLUMN + 12, TOP + lane * LANE);
    let miner = block.miner.as_ref().and_then(|name| nodes.iter().position(|node| node == name));
    let fill = match (block.status, miner) {
        (Status::HeaderOnly, _) | (_, None) => "none",
        (_, Some(place)) => colour(place),
    };
    let class = match block.status {
        Status::Active => "active",
        Status::Stale => "stale",
        Status::HeaderOnly => "hollow",
        Status::Invalid => "invalid",
    };
    let id = block.hash.to_string();
    let title = format!(
        "{} · height {} · work 0x{} · {} · {class}",
        id,
        block.height,
        short_work(&block.work),
        block.miner.as_deref().unwrap_or("unknown miner")
    );
    let _ = writeln!(
        svg,
        "<g><title>{}</title><rect class=\"{class}\" x=\"{x}\" y=\"{y}\" width=\"{WIDTH}\" height=\"{HEIGHT}\" rx=\"5\" \
         fill=\"{fill}\"/>",
        escaped(&title)
    );
    let middle = x + WIDTH / 2;
    let on = if fill == "none" { "ink" } else { "on" };
    let mark = block.miner.as_deref().map_or_else(|| "·".to_owned(), letter);
    let _ = writeln!(
        svg,
        "<text class=\"{on}\" x=\"{middle}\" y=\"{}\" text-anchor=\"middle\">{} {}</text>",
        y + 18,
        escaped(&mark),
        block.height
    );
    if block.status == Status::Invalid {
        let _ = writeln!(
            svg,
            "<path class=\"cross\" d=\"M{x} {y} {} {} M{} {y} {x} {}\"/>",
            x + WIDTH,
            y + HEIGHT,
            x + WIDTH,
            y + HEIGHT
        );
    }
    if !block.work.is_empty() {
        let _ = writeln!(
            svg,
            "<text class=\"label\" x=\"{middle}\" y=\"{}\" text-anchor=\"middle\">0x{}</text>",
            y + HEIGHT + 13,
            short_work(&block.work)
        );
    }
    for (flag, name) in block.tip_of.iter().enumerate() {
        let place = nodes.iter().position(|node| node == name).unwrap_or(0);
        let (cx, cy) = (x + 8 + 15 * (flag as u32 % 4), y - 12 - 15 * (flag as u32 / 4));
        let _ = writeln!(
            svg,
            "<circle cx=\"{cx}\" cy=\"{cy}\" r=\"7\" fill=\"{}\" class=\"flag\"><title>tip of {}</title></circle>\
             <text class=\"on small\" x=\"{cx}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
            colour(place),
            escaped(name),
            cy + 3,
            escaped(&letter(name))
        );
    }
    svg.push_str("</g>\n");
}

/// Work without leading zeros.
fn short_work(work: &str) -> &str {
    let digits = work.trim_start_matches('0');
    if digits.is_empty() { "0" } else { digits }
}
