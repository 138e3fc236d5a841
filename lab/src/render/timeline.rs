//! The timeline: a lane for each node, a mark for each block found, an arrow for each first hearing, a band for each
//! partition.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use tine_chain::hash::BlockHash;
use tine_chain::time::Time;
use tine_node::record::{Entry, Happening};

use super::{colour, escaped};

/// Arrows that are drawn at most.
const MAX_ARROWS: usize = 6_000;
const LEFT: f64 = 84.0;
const LANE: f64 = 46.0;
const TOP: f64 = 30.0;
/// Pixels for a second of the run, unless that makes the picture too wide or too narrow.
const PIXELS_PER_SECOND: f64 = 12.0;

/// The timeline as SVG.
#[must_use]
pub fn timeline(nodes: &[String], entries: &[&Entry]) -> String {
    let start = entries.first().map(|entry| entry.time).unwrap_or_default();
    let secs = entries.last().map_or(1.0, |last| last.time.since(start).as_secs_f64()).max(1.0);
    let width = (secs * PIXELS_PER_SECOND).clamp(600.0, 12_000.0);
    let x = |time: Time| LEFT + time.since(start).as_secs_f64() / secs * width;
    let lane = |place: usize| TOP + LANE * (place as f64 + 0.5);
    let (full, height) = (LEFT + width + 24.0, TOP + LANE * nodes.len() as f64 + 26.0);
    let mut svg = format!(
        "<svg class=\"timeline\" xmlns=\"http://www.w3.org/2000/svg\" width=\"{full:.0}\" height=\"{height:.0}\" \
         viewBox=\"0 0 {full:.0} {height:.0}\" role=\"img\" aria-label=\"timeline\">\n"
    );
    bands(&mut svg, entries, x, start, height);
    for (place, name) in nodes.iter().enumerate() {
        let y = lane(place);
        let _ = writeln!(
            svg,
            "<line class=\"lane\" x1=\"{LEFT}\" y1=\"{y}\" x2=\"{:.0}\" y2=\"{y}\"/>\
             <circle cx=\"10\" cy=\"{y}\" r=\"6\" fill=\"{}\" class=\"flag\"/>\
             <text class=\"ink\" x=\"22\" y=\"{}\">{}</text>",
            LEFT + width,
            colour(place),
            y + 4.0,
            escaped(name)
        );
    }
    let places: BTreeMap<&str, usize> = nodes.iter().map(String::as_str).zip(0..).collect();
    // when each node had a block
    let mut had: BTreeMap<(BlockHash, usize), Time> = BTreeMap::new();
    let (mut arrows, mut marks) = (0, String::new());
    for entry in entries {
        let Some(&place) = entry.node.as_deref().and_then(|name| places.get(name)) else { continue };
        let (at, y) = (x(entry.time), lane(place));
        match &entry.happening {
            Happening::Mined { block, height } => {
                had.entry((*block, place)).or_insert(entry.time);
                let _ = writeln!(
                    marks,
                    "<rect class=\"active\" x=\"{:.1}\" y=\"{}\" width=\"10\" height=\"12\" rx=\"2\" fill=\"{}\">\
                     <title>{} mined {height} {block}</title></rect>\
                     <text class=\"label\" x=\"{at:.1}\" y=\"{}\" text-anchor=\"middle\">{height}</text>",
                    at - 5.0,
                    y - 6.0,
                    colour(place),
                    escaped(&nodes[place]),
                    y + 18.0
                );
            }
            Happening::Header { block, from, .. } => {
                had.entry((*block, place)).or_insert(entry.time);
                let from = from.as_deref().and_then(|name| places.get(name)).copied();
                if let Some(from) = from.filter(|_| arrows < MAX_ARROWS)
                    && let Some(sent) = had.get(&(*block, from))
                {
                    arrows += 1;
                    let _ = writeln!(
                        svg,
                        "<line class=\"arrow\" x1=\"{:.1}\" y1=\"{}\" x2=\"{at:.1}\" y2=\"{y}\" stroke=\"{}\"/>",
                        x(*sent),
                        lane(from),
                        colour(from)
                    );
                }
            }
            Happening::Tip { disconnected, height, .. } if !disconnected.is_empty() => {
                let _ = writeln!(
                    marks,
                    "<path class=\"reorg\" d=\"M{at:.1} {} l7 11 h-14 z\"><title>{} reorganises: {} given up, tip \
                     {height}</title></path>",
                    y - 20.0,
                    escaped(&nodes[place]),
                    disconnected.len()
                );
            }
            Happening::Invalid { block, reason } => {
                let _ = writeln!(
                    marks,
                    "<path class=\"cross\" d=\"M{:.1} {} l8 8 m0 -8 l-8 8\"><title>{} refuses {block}: {}</title></path>",
                    at - 4.0,
                    y - 4.0,
                    escaped(&nodes[place]),
                    escaped(reason)
                );
            }
            Happening::Start { .. }
            | Happening::Step { .. }
            | Happening::Split { .. }
            | Happening::Heal
            | Happening::Byzantine { .. }
            | Happening::Body { .. }
            | Happening::Tip { .. }
            | Happening::Transaction { .. }
            | Happening::Removed { .. }
            | Happening::DoubleSpend { .. }
            | Happening::Punished { .. } => {}
        }
    }
    svg.push_str(&marks);
    axis(&mut svg, secs, width, height);
    svg.push_str("</svg>\n");
    svg
}

/// Partitions, from the split to the heal or the end.
fn bands(svg: &mut String, entries: &[&Entry], x: impl Fn(Time) -> f64, start: Time, height: f64) {
    let end = entries.last().map_or(start, |last| last.time);
    let mut split: Option<(Time, String)> = None;
    let mut draw = |split: &mut Option<(Time, String)>, until: Time| {
        let Some((from, text)) = split.take() else { return };
        let _ = writeln!(
            svg,
            "<rect class=\"band\" x=\"{:.1}\" y=\"14\" width=\"{:.1}\" height=\"{:.0}\"/>\
             <text class=\"faint\" x=\"{:.1}\" y=\"11\">split: {}</text>",
            x(from),
            x(until) - x(from),
            height - 36.0,
            x(from),
            escaped(&text)
        );
    };
    for entry in entries {
        if let Happening::Split { groups } = &entry.happening {
            draw(&mut split, entry.time);
            let groups: Vec<String> = groups.iter().map(|group| group.join(", ")).collect();
            split = Some((entry.time, groups.join(" | ")));
        } else if entry.happening == Happening::Heal {
            draw(&mut split, entry.time);
        }
    }
    draw(&mut split, end);
}

/// Seconds, about every eighty pixels.
fn axis(svg: &mut String, secs: f64, width: f64, height: f64) {
    let steps = [1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1_800.0, 3_600.0, 7_200.0];
    let step = steps.into_iter().find(|step| step / secs * width >= 80.0).unwrap_or(14_400.0);
    let mut at = 0.0;
    while at <= secs {
        let x = LEFT + at / secs * width;
        let _ = writeln!(
            svg,
            "<text class=\"faint\" x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\">{at} s</text>",
            height - 6.0
        );
        at += step;
    }
}
