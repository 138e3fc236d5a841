//! How fast a node answers calls, and whether those who ask and listen keep it from taking blocks.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use indicatif::ProgressBar;
use serde_json::json;
use tine_chain::codec::Encode as _;
use tokio::runtime::Runtime;

use super::child::{Figure, Node, PATIENCE};
use super::line::{AsyncLine, Line, request};
use super::material::{End, Material};
use super::peer::{SOURCE, Standard};
use super::rows::Folder;
use super::{bar_style, load, row_of, table};
use crate::cli::{BenchRow, BenchRpcArgs};
use crate::digits;
use crate::exit::Error;
use crate::out::Out;

/// Calls of one batch.
const BATCH: usize = 100;
/// Who listens to events meanwhile, and who asks.
const LISTENERS: usize = 1_000;
const CLIENTS: usize = 200;
/// How long a client rests after an answer, where it rests.
const REST: Duration = Duration::from_millis(100);
/// How long those who listen and ask get to begin.
const SETTLE: Duration = Duration::from_millis(500);
/// How long the last event may take to its last listener.
const LAST_EVENT: Duration = Duration::from_secs(60);
/// What the clients ask, in turn.
const QUESTIONS: [&str; 5] = [
    r#"{"method":"getblockcount","params":[],"id":1}"#,
    r#"{"method":"getblockchaininfo","params":[],"id":1}"#,
    r#"{"method":"getblockhash","params":[1],"id":1}"#,
    r#"{"method":"getmempoolinfo","params":[],"id":1}"#,
    r#"{"method":"getchaintips","params":[],"id":1}"#,
];
/// Rows of this table.
const ROWS: [BenchRow; 7] = [
    BenchRow::CallCount,
    BenchRow::CallEcho,
    BenchRow::CallCountBatch,
    BenchRow::CallEchoBatch,
    BenchRow::AcceptQuiet,
    BenchRow::AcceptLoaded,
    BenchRow::AcceptFlooded,
];

/// Runs the command.
///
/// # Errors
/// A node did not do what it was told, or the system refused something.
pub(super) fn run(out: Out, args: &BenchRpcArgs) -> Result<(), Error> {
    let bench = Bench {
        seconds: Duration::from_secs(if args.quick { 1 } else { 5 }),
        blocks: if args.quick { 10 } else { 50 },
        runs: if args.quick { 1 } else { 3 },
        bar: ProgressBar::new(ROWS.len() as u64).with_style(bar_style()),
    };
    bench.bar.enable_steady_tick(Duration::from_millis(200));
    let folder = Folder::new(args.work_dir.as_deref())?;
    let figures = bench.run(&folder);
    bench.bar.finish_and_clear();
    let figures = figures?;
    out.document(&json!({
        "seconds": bench.seconds.as_secs(), "blocks": bench.blocks, "runs": bench.runs,
        "listeners": LISTENERS, "clients": CLIENTS, "load": load(), "core_source": SOURCE,
        "rows": figures.iter().map(row_of).collect::<Vec<_>>(),
    }));
    table(out, &figures);
    out.line(format!(
        "calls over one connection for {} s, median of {}; median of {} blocks, from submitblock to its answer and the tip",
        bench.seconds.as_secs(),
        bench.runs,
        bench.blocks,
    ));
    if let Some(load) = load() {
        out.line(format!("load of the machine: {load}"));
    }
    out.line(out.dim(format!("Core: {SOURCE}")));
    Ok(())
}

struct Bench {
    /// How long calls are counted.
    seconds: Duration,
    /// Blocks whose acceptance is timed.
    blocks: u32,
    /// How often calls are counted.
    runs: usize,
    bar: ProgressBar,
}

/// The node that is asked.
struct Asked {
    node: Node,
    page: SocketAddr,
}

impl Asked {
    fn start(folder: &Folder) -> Result<Self, Error> {
        let (node, page) = Node::start_with_page(&folder.of("asked"))?;
        // the page begins to listen when the node has said that it runs
        let end = Instant::now() + PATIENCE;
        while Line::open(page).is_err() && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(Self { node, page })
    }

    fn request(&self, body: &str) -> Vec<u8> {
        request(&self.node.login, body)
    }

    fn line(&self) -> Result<Line, Error> {
        Line::open(self.node.rpc_address).map_err(|error| failed(&error))
    }
}

fn failed(error: &dyn std::fmt::Display) -> Error {
    Error::failed("asking a node", error)
}

impl Bench {
    fn run(&self, folder: &Folder) -> Result<Vec<Figure>, Error> {
        let material = Material::new()?;
        let asked = Asked::start(folder)?;
        asked.node.submit(&material.setup)?;
        let call =
            |method: &str, params: &str| format!(r#"{{"method":"{method}","params":{params},"id":1}}"#);
        let batch = |call: &str| format!("[{}]", vec![call; BATCH].join(","));
        let (count, echo) = (call("getblockcount", "[]"), call("echo", r#"["hello",7]"#));
        let mut figures = vec![
            self.rate(&asked, BenchRow::CallCount, &count, 1)?,
            self.rate(&asked, BenchRow::CallEcho, &echo, 1)?,
            self.rate(&asked, BenchRow::CallCountBatch, &batch(&count), BATCH)?,
            self.rate(&asked, BenchRow::CallEchoBatch, &batch(&echo), BATCH)?,
        ];
        let mut end = material.fork;
        figures.push(self.acceptance(&asked, BenchRow::AcceptQuiet, &material, &mut end)?);
        for (row, rest) in [(BenchRow::AcceptLoaded, Some(REST)), (BenchRow::AcceptFlooded, None)] {
            let crowd = Crowd::gather(&asked, rest)?;
            figures.push(self.acceptance(&asked, row, &material, &mut end)?);
            crowd.leave(self.blocks)?;
        }
        Ok(figures)
    }

    /// Calls a second over one connection.
    fn rate(&self, asked: &Asked, row: BenchRow, body: &str, calls: usize) -> Result<Figure, Error> {
        self.bar.set_message(Standard::of(row).work);
        let request = asked.request(body);
        let mut line = asked.line()?;
        let mut runs = Vec::new();
        for _ in 0..self.runs {
            let (start, mut answered) = (Instant::now(), 0);
            while start.elapsed() < self.seconds {
                let answer = line.ask(&request).map_err(|error| failed(&error))?;
                if !answer.ends_with(b"}\n") && !answer.ends_with(b"]\n") {
                    return Err(failed(&String::from_utf8_lossy(answer)));
                }
                answered += calls;
            }
            runs.push(answered as f64 / start.elapsed().as_secs_f64());
        }
        self.bar.inc(1);
        Ok(Figure { row, runs, peak_memory_mb: None })
    }

    /// Milliseconds from `submitblock` until its answer and a look at the tip, of each block.
    fn acceptance(
        &self,
        asked: &Asked,
        row: BenchRow,
        material: &Material,
        end: &mut End,
    ) -> Result<Figure, Error> {
        self.bar.set_message(Standard::of(row).work);
        let mut line = asked.line()?;
        let tip = asked.request(r#"{"method":"getbestblockhash","params":[],"id":1}"#);
        let mut runs = Vec::new();
        for _ in 0..self.blocks {
            let block = material.grow(end, Vec::new())?;
            let hex = digits::encode(&block.to_bytes());
            let submit = asked.request(&format!(r#"{{"method":"submitblock","params":["{hex}"],"id":1}}"#));
            let start = Instant::now();
            line.ask(&submit).map_err(|error| failed(&error))?;
            let answer = line.ask(&tip).map_err(|error| failed(&error))?;
            runs.push(start.elapsed().as_secs_f64() * 1_000.0);
            let answer = String::from_utf8_lossy(answer).into_owned();
            if !answer.contains(&block.hash().to_string()) {
                return Err(Error::Failed(format!("the tip is not the block that was submitted: {answer}")));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        self.bar.inc(1);
        Ok(Figure { row, runs, peak_memory_mb: asked.node.peak_memory_mb() })
    }
}

/// Those who listen to the page's events and those who ask, each on a connection of its own.
struct Crowd {
    runtime: Runtime,
    over: Arc<AtomicBool>,
    heard: Arc<AtomicU64>,
    answered: Arc<AtomicU64>,
    refused: Arc<AtomicU64>,
}

impl Crowd {
    fn gather(asked: &Asked, rest: Option<Duration>) -> Result<Self, Error> {
        let crowd = Self {
            runtime: crate::node_cmd::runtime()?,
            over: Arc::default(),
            heard: Arc::default(),
            answered: Arc::default(),
            refused: Arc::default(),
        };
        let questions: Arc<[Vec<u8>]> = QUESTIONS.iter().map(|body| asked.request(body)).collect();
        let events: Arc<[u8]> = b"GET /api/events HTTP/1.1\r\nHost: localhost\r\n\r\n"[..].into();
        let (rpc, page) = (asked.node.rpc_address, asked.page);
        crowd.runtime.block_on(async {
            for _ in 0..LISTENERS {
                let line = AsyncLine::open(page).await.map_err(|error| failed(&error))?;
                let (events, heard) = (Arc::clone(&events), Arc::clone(&crowd.heard));
                tokio::spawn(async move { line.listen(&events, &heard).await });
            }
            for number in 0..CLIENTS {
                let line = AsyncLine::open(rpc).await.map_err(|error| failed(&error))?;
                let client = Client {
                    line,
                    questions: Arc::clone(&questions),
                    over: Arc::clone(&crowd.over),
                    answered: Arc::clone(&crowd.answered),
                    refused: Arc::clone(&crowd.refused),
                };
                tokio::spawn(client.ask(number, rest));
            }
            tokio::time::sleep(SETTLE).await;
            Ok::<_, Error>(())
        })?;
        Ok(crowd)
    }

    /// Ends it, and checks that all were there.
    fn leave(self, blocks: u32) -> Result<(), Error> {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        // each block is at least a header and a tip
        let wanted = 2 * u64::from(blocks) * LISTENERS as u64;
        let end = Instant::now() + LAST_EVENT;
        while count(&self.heard) < wanted && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(10));
        }
        self.over.store(true, Ordering::Relaxed);
        std::thread::sleep(SETTLE);
        let (heard, answered, refused) = (count(&self.heard), count(&self.answered), count(&self.refused));
        self.runtime.shutdown_background();
        tracing::info!(heard, answered, refused, "the crowd");
        if heard < wanted || answered == 0 || refused > 0 {
            return Err(Error::Failed(format!(
                "{LISTENERS} listeners heard {heard} events of at least {wanted}; of {CLIENTS} clients' calls {answered} were \
                 answered and {refused} refused"
            )));
        }
        Ok(())
    }
}

/// One of those who ask.
struct Client {
    line: AsyncLine,
    questions: Arc<[Vec<u8>]>,
    over: Arc<AtomicBool>,
    answered: Arc<AtomicU64>,
    refused: Arc<AtomicU64>,
}

impl Client {
    async fn ask(mut self, number: usize, rest: Option<Duration>) {
        for question in self.questions.iter().cycle().skip(number) {
            if self.over.load(Ordering::Relaxed) {
                return;
            }
            let counter = match self.line.ask(question).await {
                Ok(true) => &self.answered,
                Ok(false) | Err(_) => &self.refused,
            };
            counter.fetch_add(1, Ordering::Relaxed);
            if let Some(rest) = rest {
                tokio::time::sleep(rest).await;
            }
        }
    }
}
