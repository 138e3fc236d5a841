//! What is asked of the browser.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use crate::browser::Browser;
use crate::process::wait_for;

/// Where frames are told of.
const CATEGORIES: &str = "devtools.timeline,disabled-by-default-devtools.timeline.frame";
/// How far the tree is panned, in pixels, and how fast, in pixels a second.
const PAN: (i64, i64) = (24_000, 3_000);
const PATIENCE: Duration = Duration::from_secs(120);
/// Between two frames; what is longer is no pause of the page but of the measurement.
const PAUSE_MS: f64 = 500.0;

/// Notes when each block was on the screen: its element is there, and a frame with it has begun.
const WATCH: &str = "(() => { window.tineDrawn = {}; new MutationObserver((changes) => { \
    const now = []; for (const change of changes) for (const node of change.addedNodes) \
    if (node.dataset?.hash && !(node.dataset.hash in window.tineDrawn)) now.push(node.dataset.hash); \
    if (now.length) requestAnimationFrame(() => { const channel = new MessageChannel(); \
    channel.port1.onmessage = () => { for (const hash of now) window.tineDrawn[hash] ??= performance.timeOrigin + performance.now(); }; \
    channel.port2.postMessage(0); }); }).observe(document.querySelector('#tree-view'), { childList: true, subtree: true }); return true; })()";

/// A browser on the page.
pub(super) struct Probe(Browser);

impl Probe {
    /// `None`: there is no browser.
    pub(super) fn start() -> Option<Self> {
        let browser = Browser::start_traced(CATEGORIES)?;
        browser.look((1_280, 900), false, "light");
        Some(Self(browser))
    }

    pub(super) fn open(&self, url: &str) {
        self.0.open(url);
        self.wait_tree();
    }

    fn wait_tree(&self) {
        self.0.wait_true("the tree", "performance.getEntriesByName('tine-tree').length > 0 && !!document.querySelector('#time-view svg')");
    }

    fn number(&self, expression: &str) -> f64 {
        self.0.eval(expression).as_f64().unwrap_or(f64::NAN)
    }

    /// Loads the page anew: milliseconds until the first paint, and until the tree was in the document.
    pub(super) fn load(&self) -> (f64, f64) {
        self.0.reload();
        self.wait_tree();
        let paint = self.number("performance.getEntriesByName('first-contentful-paint')[0].startTime");
        (paint, self.number("performance.getEntriesByName('tine-tree')[0].startTime"))
    }

    /// Asks for straight runs, too, and waits until at least `blocks` columns are there.
    pub(super) fn draw_every_block(&self, blocks: u32) {
        self.0.click("#runs");
        let wide = format!("document.querySelector('#tree-view').scrollWidth > {}", u64::from(blocks) * 80);
        wait_for("every block", PATIENCE, || (self.0.eval(&wide) == json!(true)).then_some(()));
    }

    /// Milliseconds that asking for the whole tree and drawing it takes, some times.
    pub(super) fn redraws(&self) -> Vec<f64> {
        let once = "(async () => { const begin = performance.now(); const tree = await (await fetch('/api/tree?runs=true')).json(); \
                    return [performance.now() - begin, tree.blocks.length]; })()";
        (0..LOOKS).map(|_| self.0.eval(once)[0].as_f64().unwrap_or(f64::NAN)).collect()
    }

    /// Pans the tree to the left as a hand would; milliseconds between frames that reached the screen.
    pub(super) fn pan(&self) -> Vec<f64> {
        if self.0.eval("document.querySelector('#follow').checked") == json!(true) {
            self.0.click("#follow");
        }
        let _ = self.0.eval("window.scrollTo(0, 0)");
        let _ = self.0.trace();
        let place = self.0.eval(
            "(() => { const box = document.querySelector('#tree-view').getBoundingClientRect(); return [box.x + box.width / 2, box.y + 40]; })()",
        );
        let begin = self.0.eval("document.querySelector('#tree-view').scrollLeft");
        let _ = self.0.devtools(
            "Input.synthesizeScrollGesture",
            json!({ "x": place[0], "y": place[1], "xDistance": PAN.0, "speed": PAN.1, "gestureSourceType": "mouse", "preventFling": true }),
        );
        let end = self.0.eval("document.querySelector('#tree-view').scrollLeft");
        assert_ne!(begin, end, "the tree was not panned");
        let frame = |event: &Value| (event["name"] == "DrawFrame").then(|| event["ts"].as_f64())?;
        let mut frames: Vec<f64> = self.0.trace().iter().filter_map(frame).collect();
        frames.sort_by(f64::total_cmp);
        assert!(frames.len() > 60, "tracing told of {} frames", frames.len());
        frames.windows(2).map(|pair| (pair[1] - pair[0]) / 1_000.0).filter(|gap| *gap < PAUSE_MS).collect()
    }

    /// From now on, notes when each new block is drawn.
    pub(super) fn watch_blocks(&self) {
        if self.0.eval("document.querySelector('#follow').checked") == json!(false) {
            self.0.click("#follow");
        }
        std::thread::sleep(Duration::from_secs(2));
        let _ = self.0.eval(WATCH);
    }

    /// The last `count` blocks, and when the first node accepted each: milliseconds since 1970.
    pub(super) fn accepted(&self, count: usize) -> BTreeMap<String, f64> {
        let all = "(async () => { const first = new Map(); for (let from = 0; ;) { \
                   const list = await (await fetch(`/api/history?from=${from}`)).json(); if (!list.length) break; \
                   for (const event of list) if (event.kind === 'tip' && !first.has(event.hash)) first.set(event.hash, event.t); \
                   from = list[list.length - 1].id + 1; } return [...first].slice(-COUNT); })()"
            .replace("COUNT", &count.to_string());
        let list = self.0.eval(&all);
        let pair = |entry: &Value| Some((entry[0].as_str()?.to_owned(), entry[1].as_f64()?));
        list.as_array().into_iter().flatten().filter_map(pair).collect()
    }

    /// Milliseconds from acceptance to the screen, of each block.
    pub(super) fn drawn_after(&self, accepted: &BTreeMap<String, f64>) -> Vec<f64> {
        let drawn = self.0.eval("window.tineDrawn");
        let all: Vec<f64> =
            accepted.iter().filter_map(|(hash, time)| Some(drawn[hash.as_str()].as_f64()? - time)).collect();
        assert_eq!(all.len(), accepted.len(), "every block was drawn");
        all
    }

    /// Bytes of the heap after garbage collection, and elements of the page.
    pub(super) fn memory(&self) -> (f64, f64) {
        let _ = self.0.devtools("HeapProfiler.collectGarbage", json!({}));
        let heap = self.number("performance.memory.usedJSHeapSize");
        (heap, self.number("document.querySelectorAll('*').length"))
    }

    pub(super) fn console_errors(&self) -> Vec<String> {
        self.0.console_errors()
    }
}

/// Times that something is asked for.
const LOOKS: usize = 9;
