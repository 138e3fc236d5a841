//! The view's picture: state in, characters out.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Borders, Paragraph, Row, Table};
use tine_lab::render::letter;

use super::model::NodeNow;
use super::palette::Palette;
use super::state::{App, Pane};
use super::tree::window;
use super::{describe, draw, popup};

/// The width from which on nodes and events lie beside each other.
const WIDE: u16 = 150;
/// Columns of the nodes' part where it lies beside the events.
const NODES_WIDTH: u16 = 66;
/// The least rows of the events.
const EVENTS: u16 = 5;
/// Nodes that have a row of their own on a low screen.
const MAX_NODES: u16 = 6;
/// What is at the bottom, the most wanted first.
const KEYS: [(&str, &str); 13] = [
    ("q", "quit"),
    ("?", "keys"),
    ("s", "split"),
    ("H", "heal"),
    ("m", "mine"),
    ("e", "explain"),
    (", .", "step"),
    ("p", "pay"),
    ("Space", "stop"),
    ("Enter", "details"),
    ("t", "tip"),
    ("[ ]", "step lines"),
    ("Tab", "next part"),
];

/// Draws everything.
pub(crate) fn draw(frame: &mut Frame<'_>, app: &App, palette: Palette) {
    let [head, body, message, foot] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Min(0),
        Constraint::Length(1),
        Constraint::Length(1),
    ])
    .areas(frame.area());
    frame.render_widget(Paragraph::new(head_line(app, palette)), head);
    let [tree, nodes, events] = panes(body, app);
    draw_tree(frame, tree, app, palette);
    draw_nodes(frame, nodes, app, palette);
    draw_events(frame, events, app, palette);
    if let Some((text, failed)) = &app.message {
        let style = if *failed { palette.alarm() } else { palette.strong() };
        frame.render_widget(Paragraph::new(Span::styled(format!(" {text}"), style)), message);
    }
    frame.render_widget(Paragraph::new(foot_line(foot.width, palette)), foot);
    popup::draw(frame, app, palette);
}

/// Where the three parts lie: the tree above, the others side by side where there is room.
fn panes(body: Rect, app: &App) -> [Rect; 3] {
    let model = app.history.model();
    let count = u16::try_from(model.nodes.len()).unwrap_or(u16::MAX);
    if body.width >= WIDE {
        let below = body.height / 2;
        let [tree, rest] = Layout::vertical([Constraint::Min(0), Constraint::Length(below)]).areas(body);
        let [nodes, events] =
            Layout::horizontal([Constraint::Length(NODES_WIDTH), Constraint::Min(0)]).spacing(1).areas(rest);
        return [tree, nodes, events];
    }
    let nodes = count.min(if body.height > 30 { count } else { MAX_NODES }).saturating_add(2);
    let rest = body.height.saturating_sub(nodes);
    let tree = (rest * 3 / 5).min(rest.saturating_sub(EVENTS));
    Layout::vertical([Constraint::Length(tree), Constraint::Length(nodes), Constraint::Min(0)]).areas(body)
}

/// What is watched, and which moment of it.
fn head_line<'a>(app: &App, palette: Palette) -> Line<'a> {
    let model = app.history.model();
    let mut spans =
        vec![Span::styled(" tine watch ", palette.chosen()), Span::raw(format!(" {}  ", app.title))];
    if let Some(why) = app.gone().filter(|_| !app.recorded) {
        let text = format!("NO NODE ANSWERS: waiting, q quits   ({why})");
        spans.push(Span::styled(text, palette.alarm()));
        return Line::from(spans);
    }
    let tree = app.tree();
    if let Some(tip) = tree.tip() {
        let seer = tree.perspective.map(|node| model.name(node)).unwrap_or_default();
        let text = match app.perspective {
            Some(_) => format!("height {} as {seer} sees it  ", tip.height),
            None => format!("height {}  ", tip.height),
        };
        spans.push(Span::raw(text));
    }
    if !model.groups.is_empty() {
        spans.push(Span::styled(format!("SPLIT {}  ", model.group_names(&model.groups)), palette.alarm()));
    }
    spans.push(match app.history.position() {
        None if app.recorded => Span::raw(format!("the end, {}", describe::clock(model.time))),
        None => Span::raw("live".to_owned()),
        Some((at, all)) => {
            let back = app.history.live().time.since(model.time).as_secs_f64();
            let text =
                format!("STOPPED at {}, {back:.1} s ago, event {at} of {all}", describe::clock(model.time));
            Span::styled(text, palette.network())
        }
    });
    Line::from(spans)
}

fn foot_line<'a>(width: u16, palette: Palette) -> Line<'a> {
    let mut spans = Vec::new();
    let mut used = 0;
    for (key, what) in KEYS {
        let length = key.len() + what.len() + 4;
        if used + length > usize::from(width) {
            break;
        }
        used += length;
        spans.push(Span::styled(format!(" {key}"), palette.strong()));
        spans.push(Span::styled(format!(" {what}  "), palette.faint()));
    }
    Line::from(spans)
}

/// A part's frame: a line above with its name; what is left.
fn framed(frame: &mut Frame<'_>, area: Rect, title: String, chosen: bool, palette: Palette) -> Rect {
    let style = if chosen { palette.network() } else { Style::new() };
    let mark = if chosen { "▶" } else { " " };
    let block = Block::new()
        .borders(Borders::TOP)
        .border_style(palette.faint())
        .title(Span::styled(format!("{mark}{title} "), style));
    let inner = block.inner(area);
    frame.render_widget(block, area);
    inner
}

fn draw_tree(frame: &mut Frame<'_>, area: Rect, app: &App, palette: Palette) {
    let legend = if area.width >= 110 {
        "block tree   [active] ┆stale┆ (header only) ╳invalid╳   in it who mined it, above it whose tip it is"
    } else {
        "block tree   [active] ┆stale┆ (header) ╳invalid╳, tips above"
    };
    let inner = framed(frame, area, legend.to_owned(), app.pane == Pane::Tree, palette);
    let [grid, lines] = Layout::vertical([Constraint::Min(0), Constraint::Length(2)]).areas(inner);
    let tree = app.tree();
    let chosen = app.chosen(&tree);
    draw::tree(frame.buffer_mut(), grid, &tree, chosen, app, palette);
    if let Some(cell) = chosen {
        let [first, second] = describe::block(app.history.model(), &app.history.facts, cell);
        let lines_of = vec![
            Line::from(Span::styled(format!(" {first}"), palette.strong())),
            Line::from(Span::styled(format!(" {second}"), palette.faint())),
        ];
        frame.render_widget(Paragraph::new(lines_of), lines);
    }
}

fn draw_nodes(frame: &mut Frame<'_>, area: Rect, app: &App, palette: Palette) {
    let inner = framed(frame, area, "nodes".into(), app.pane == Pane::Nodes, palette);
    let model = app.history.model();
    let all = u32::try_from(model.nodes.len()).unwrap_or(u32::MAX);
    let room = u32::from(inner.height.saturating_sub(1));
    let first = window(all, room, Some(u32::try_from(app.node).unwrap_or(0))) as usize;
    let rows = model.nodes.iter().enumerate().skip(first).map(|(place, node)| {
        let style =
            if app.pane == Pane::Nodes && place == app.node { palette.chosen() } else { Style::new() };
        let [tip, peers, mempool, rate, state] = node_columns(app, place, node);
        let alarmed = node.down.is_some() || !model.groups.is_empty();
        let state_style = if alarmed { palette.alarm() } else { Style::new() };
        Row::new([
            Line::from(Span::styled(letter(&node.name), palette.flag(place))),
            Line::raw(node.name.clone()),
            Line::raw(tip),
            Line::raw(peers).right_aligned(),
            Line::raw(mempool).right_aligned(),
            Line::raw(rate).right_aligned(),
            Line::from(Span::styled(state, state_style)),
        ])
        .style(style)
    });
    let head = ["", "NODE", "TIP", "PEERS", "MEMPOOL", "POWER", "LINKS"];
    let widths = [
        Constraint::Length(3),
        Constraint::Length(8),
        Constraint::Length(14),
        Constraint::Length(5),
        Constraint::Length(7),
        Constraint::Length(9),
        Constraint::Min(8),
    ];
    frame.render_widget(Table::new(rows, widths).header(Row::new(head).style(palette.faint())), inner);
}

/// Tip, peers, mempool, power and links of a node.
fn node_columns(app: &App, place: usize, node: &NodeNow) -> [String; 5] {
    let model = app.history.model();
    let tip = node.tip.map_or_else(
        || "–".to_owned(),
        |tip| {
            let height =
                app.history.facts.get(&tip).map_or_else(|| "?".to_owned(), |block| block.height.to_string());
            format!("{height} {}", end_of(&tip.to_string()))
        },
    );
    let said = node.status.as_ref().filter(|_| node.down.is_none());
    let peers = said.map_or_else(|| "–".to_owned(), |status| status.peers.to_string());
    let rate = said.map_or_else(
        || "–".to_owned(),
        |status| match status.hashrate {
            Some(_) if !status.mining => "off".to_owned(),
            Some(rate) => describe::rate(rate),
            None => "–".to_owned(),
        },
    );
    let mut links: Vec<String> = Vec::new();
    if node.down.is_some() {
        links.push("DOWN".into());
    }
    if let Some(group) = model.groups.iter().find(|group| group.contains(&place)) {
        let others = (0..model.nodes.len()).filter(|other| !group.contains(other));
        let letters: Vec<String> = others.map(|other| letter(model.name(other))).collect();
        links.push(format!("cut from {}", letters.join("")));
    }
    if let Some(status) = said {
        if status.delay_ms > 0 {
            links.push(format!("+{} ms", status.delay_ms));
        }
        if status.drop_percent > 0 {
            links.push(format!("{} % lost", status.drop_percent));
        }
    }
    let links = if links.is_empty() { "good".to_owned() } else { links.join(", ") };
    [tip, peers, node.mempool.to_string(), rate, links]
}

/// The end of an id, which differs where the beginnings are zeros.
fn end_of(id: &str) -> String {
    format!("…{}", id.get(id.len().saturating_sub(6)..).unwrap_or_default())
}

fn draw_events(frame: &mut Frame<'_>, area: Rect, app: &App, palette: Palette) {
    let inner = framed(frame, area, "events   (UTC)".into(), app.pane == Pane::Events, palette);
    let model = app.history.model();
    let all = u32::try_from(model.log.len()).unwrap_or(u32::MAX);
    let chosen = app.line.map(|line| u32::try_from(model.log.range(..line).count()).unwrap_or(0));
    let first = window(all, u32::from(inner.height), chosen);
    let shown = model.log.iter().skip(first as usize).take(usize::from(inner.height));
    let last = model.log.last_key_value().map(|(key, _)| *key);
    let lines: Vec<Line<'_>> = shown
        .map(|(key, line)| {
            let described = describe::line(model, &app.history.facts, line);
            let mark = described.node.map_or_else(String::new, |node| letter(model.name(node)));
            let flag = described.node.map_or_else(Style::new, |node| palette.flag(node));
            let is_chosen = app.pane == Pane::Events && Some(*key) == app.line.or(last);
            let style = if is_chosen { palette.chosen() } else { palette.line(described.kind) };
            Line::from(vec![
                Span::styled(format!(" {} ", describe::clock(key.0)), palette.faint()),
                Span::styled(format!("{mark:<2}"), flag),
                Span::styled(described.text, style),
            ])
        })
        .collect();
    frame.render_widget(Paragraph::new(lines), inner);
}
