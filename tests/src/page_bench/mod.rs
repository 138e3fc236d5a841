//! The explorer under load: how soon it paints, how soon a block is drawn, how smoothly it pans, what memory it takes.

mod chain;
mod probe;

use std::fmt;
use std::path::Path;
use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::json;
use tempfile::TempDir;

use crate::devnet::node_dir;
use crate::process::{Rpc, Tine, free_ports};
use probe::Probe;

/// How long many nodes on few cores may take to start, to sync, to end.
const PATIENCE: Duration = Duration::from_secs(600);
/// Page loads that are measured.
const LOADS: usize = 5;
/// Between two blocks that are watched.
const BETWEEN: Duration = Duration::from_millis(700);
/// Between two looks at memory.
const MEMORY_LOOK: Duration = Duration::from_secs(10);

/// What is measured.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// Blocks of the chain.
    pub blocks: u32,
    /// Nodes of the devnet, and of the recorded run.
    pub nodes: u32,
    /// Blocks mined while the page is watched.
    pub live: u32,
    /// Minutes for which memory is watched.
    pub minutes: u64,
    /// Only the recorded run.
    pub recorded: bool,
}

/// A figure, and what it must be.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// Of what.
    pub what: String,
    /// The middle one of all.
    pub median: f64,
    /// The worst of all but one in twenty.
    pub p95: f64,
    /// The worst.
    pub worst: f64,
    /// Its unit.
    pub unit: &'static str,
    /// The bound, for the median of what is `judged`.
    pub must: Option<Must>,
}

/// A bound.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Must {
    /// The 95th percentile is under it.
    Under(f64),
    /// The median is at least it.
    AtLeast(f64),
}

impl Row {
    fn of(what: &str, unit: &'static str, mut all: Vec<f64>, must: Option<Must>) -> Self {
        all.sort_by(f64::total_cmp);
        let at = |part: f64| {
            all.get(((all.len() as f64 - 1.0) * part).round() as usize).copied().unwrap_or(f64::NAN)
        };
        Self { what: what.to_owned(), median: at(0.5), p95: at(0.95), worst: at(1.0), unit, must }
    }

    /// Whether the bound is kept.
    #[must_use]
    pub fn met(&self) -> bool {
        match self.must {
            Some(Must::Under(bound)) => self.p95 < bound,
            Some(Must::AtLeast(bound)) => self.median >= bound,
            None => true,
        }
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let must = match self.must {
            Some(Must::Under(bound)) => format!("95 % under {bound}"),
            Some(Must::AtLeast(bound)) => format!("median at least {bound}"),
            None => String::new(),
        };
        let verdict = if self.met() { "" } else { "  MISSED" };
        write!(
            f,
            "{:<44} median {:>8.1}  95 % {:>8.1}  worst {:>8.1} {:<4} {must}{verdict}",
            self.what, self.median, self.p95, self.worst, self.unit
        )
    }
}

/// Measures; `None` when there is no browser.
///
/// # Panics
/// When a node or the browser does not do what it should.
#[must_use]
pub fn measure(settings: &Settings) -> Option<Vec<Row>> {
    let mut rows = Vec::new();
    if !settings.recorded {
        rows.extend(live(settings)?);
    }
    rows.extend(recorded(settings)?);
    Some(rows)
}

/// A devnet of many nodes that have the whole chain.
struct Crowd {
    tine: Tine,
    dir: TempDir,
    base_port: u16,
}

impl Crowd {
    /// Starts nodes that all have the chain: it is given to one of them, and its files to the others.
    fn start(settings: &Settings) -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let base_port = free_ports(u16::try_from(settings.nodes).expect("few"), 10);
        let mut alone = Self::run(dir, base_port, 1);
        let rpc = alone.rpc(0);
        for block in chain::blocks(settings.blocks) {
            let answer = rpc.call("submitblock", &json!([block]));
            assert!(answer.is_null() || answer == "inconclusive", "{answer}");
        }
        assert!(alone.tine.interrupt(PATIENCE).success());
        let from = node_dir(alone.dir.path(), &Self::name(0));
        for place in 1..settings.nodes {
            let to = node_dir(alone.dir.path(), &Self::name(place));
            for part in ["FORMAT", "journal.dat", "blocks", "index"] {
                copy(&from.join(part), &to.join(part));
            }
        }
        let crowd = Self::run(alone.dir, base_port, settings.nodes);
        for place in 0..settings.nodes {
            assert_eq!(crowd.rpc(place).tip().0, u64::from(settings.blocks));
        }
        crowd
    }

    fn run(dir: TempDir, base_port: u16, nodes: u32) -> Self {
        let (root, port, count) = (path(dir.path()), base_port.to_string(), nodes.to_string());
        let args =
            ["devnet", "--dir", root, "--base-port", &port, "--nodes", &count, "--no-mine", "--cache", "4"];
        let mut tine = Tine::start(&args, &[]);
        let _ = tine.wait_line("next:", PATIENCE);
        Self { tine, dir, base_port }
    }

    fn name(place: u32) -> String {
        crate::devnet::NAMES
            .get(place as usize)
            .map_or_else(|| format!("node{}", place + 1), |name| (*name).to_owned())
    }

    fn rpc(&self, place: u32) -> Rpc {
        let port = self.base_port + 10 * u16::try_from(place).expect("few");
        Rpc::new(port, &node_dir(self.dir.path(), &Self::name(place)))
    }
}

/// A file, or a folder with all that is in it.
fn copy(from: &Path, to: &Path) {
    let copied = if from.is_dir() {
        std::fs::create_dir_all(to).expect("a folder");
        let entries = std::fs::read_dir(from).expect("readable").flatten();
        return entries.for_each(|entry| copy(&entry.path(), &to.join(entry.file_name())));
    } else {
        std::fs::create_dir_all(to.parent().expect("a node's folder")).and_then(|()| std::fs::copy(from, to))
    };
    copied.unwrap_or_else(|error| panic!("{}: {error}", from.display()));
}

fn live(settings: &Settings) -> Option<Vec<Row>> {
    let probe = Probe::start()?;
    let mut crowd = Crowd::start(settings);
    probe.open(&format!("http://127.0.0.1:{}/", crowd.base_port - 1));
    let mut rows = loads(&probe, "live");
    probe.draw_every_block(settings.blocks);
    rows.push(Row::of("live: asking for the whole tree", "ms", probe.redraws(), None));
    rows.extend(pan(&probe, "live"));
    probe.watch_blocks();
    // whatever the panning has left
    std::thread::sleep(BETWEEN);
    for number in 0..settings.live {
        let mined = crowd.rpc(number % 4).call("tine_mine", &json!({ "count": 1 }));
        assert!(mined["height"].is_u64(), "{mined}");
        std::thread::sleep(BETWEEN);
    }
    let accepted = probe.accepted(settings.live as usize);
    rows.push(Row::of(
        "live: accepted to drawn",
        "ms",
        probe.drawn_after(&accepted),
        Some(Must::Under(100.0)),
    ));
    rows.extend(memory(&probe, &crowd, settings.minutes));
    let errors = probe.console_errors();
    assert!(errors.is_empty(), "{errors:?}");
    drop(probe);
    assert!(crowd.tine.interrupt(PATIENCE).success());
    Some(rows)
}

fn recorded(settings: &Settings) -> Option<Vec<Row>> {
    let probe = Probe::start()?;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let log = folder.path().join("run.ndjson");
    let (nodes, blocks) = (settings.nodes.to_string(), settings.blocks.to_string());
    let args = ["lab", "run", "--nodes", &nodes, "--blocks", &blocks, "--events", path(&log)];
    let (_, out, err) = Tine::run(&args);
    assert!(log.exists(), "{out}{err}");
    let port = free_ports(1, 1).to_string();
    let mut open = Tine::start(&["lab", "open", path(&log), "--port", &port], &[]);
    let _ = open.wait_line("http://", PATIENCE);
    probe.open(&format!("http://127.0.0.1:{port}/"));
    let mut rows = loads(&probe, "recorded");
    probe.draw_every_block(settings.blocks * 9 / 10);
    rows.extend(pan(&probe, "recorded"));
    drop(probe);
    assert!(open.interrupt(PATIENCE).success());
    Some(rows)
}

fn path(path: &Path) -> &str {
    path.to_str().expect("a plain path")
}

/// How soon the tree is on the screen, and how soon all that was missed is, too.
fn loads(probe: &Probe, what: &str) -> Vec<Row> {
    let (mut first, mut tree) = (Vec::new(), Vec::new());
    for _ in 0..LOADS {
        let (paint, drawn) = probe.load();
        first.push(paint);
        tree.push(drawn);
    }
    vec![
        Row::of(&format!("{what}: first paint"), "ms", first, Some(Must::Under(1_000.0))),
        Row::of(&format!("{what}: the tree drawn"), "ms", tree, Some(Must::Under(1_000.0))),
    ]
}

/// How many frames a second reach the screen while the tree is panned, by the browser's own tracing.
fn pan(probe: &Probe, what: &str) -> Vec<Row> {
    let gaps = probe.pan();
    let rate = 1_000.0 * gaps.len() as f64 / gaps.iter().sum::<f64>();
    vec![
        Row::of(&format!("{what}: frames while panning"), "/s", vec![rate], Some(Must::AtLeast(59.0))),
        Row::of(&format!("{what}: between two frames"), "ms", gaps, None),
    ]
}

/// The heap after garbage is collected, while blocks keep coming.
fn memory(probe: &Probe, crowd: &Crowd, minutes: u64) -> Vec<Row> {
    let (start, mut heap, mut nodes, mut number) = (Instant::now(), Vec::new(), Vec::new(), 0);
    while start.elapsed() < Duration::from_secs(60 * minutes) {
        let round = Instant::now();
        while round.elapsed() < MEMORY_LOOK {
            let _ = crowd.rpc(number % 4).call("tine_mine", &json!({ "count": 1 }));
            number += 1;
            std::thread::sleep(BETWEEN);
        }
        let (bytes, elements) = probe.memory();
        heap.push(bytes / 1e6);
        nodes.push(elements);
    }
    if heap.len() < 4 {
        return Vec::new();
    }
    // the first quarter warms up
    let part = |from: usize, to: usize| heap[from..to].iter().sum::<f64>() / (to - from) as f64;
    let quarter = heap.len() / 4;
    let growth = part(heap.len() - quarter, heap.len()) / part(quarter, 2 * quarter);
    vec![
        Row::of(&format!("heap over {minutes} min, {number} blocks"), "MB", heap, None),
        Row::of("elements of the page", "", nodes, None),
        Row::of("heap, last quarter beside the second", "×", vec![growth], Some(Must::Under(1.25))),
    ]
}
