//! Following a running node over JSON-RPC: first what it has seen so far, then each event as it comes (`tine_events`).

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tine_chain::hash::{BlockHash, Txid};
use tine_chain::time::Time;
use tine_node::explain::ReorgReport;

use super::event::{BlockFacts, Event, Status, What, plain_line, plain_name};
use crate::commands::Target;
use crate::exit::Error;
use crate::methods::{self, MinerStatus, NetInfo};
use crate::rpc::{Arrival, BLOCK_ARRIVALS, ClientError};

/// Blocks that a node is asked about at the start: more than a screen holds.
const FIRST_BLOCKS: u32 = 300;
/// Blocks that a node is asked about when there are new ones.
const NEW_BLOCKS: u32 = 20;
/// Events in one answer.
const MAX_EVENTS: u32 = 1_000;
/// How often a node says how it is when nothing happens.
const STATUS: Duration = Duration::from_secs(1);
/// Calls in one request.
const BATCH: usize = 100;

/// What a node said.
#[derive(Debug)]
pub(crate) enum News {
    /// What a block is.
    Block(BlockFacts),
    /// Something that happened.
    Event(Event),
    /// How the node is, and whom it refuses.
    Info(Box<NetInfo>, Status),
    /// It tells everything from the beginning: it was not asked before, or was away.
    Begins {
        /// Its tip.
        tip: BlockHash,
        /// The blocks that it knows.
        blocks: HashSet<BlockHash>,
    },
}

/// `tine_events`.
#[derive(Deserialize)]
struct Events {
    run: String,
    last: u64,
    events: Vec<Told>,
}

/// One of them: `docs/rpc.md` lists the kinds.
#[derive(Deserialize)]
struct Told {
    t: Time,
    kind: String,
    #[serde(flatten)]
    more: HashMap<String, Value>,
}

/// What of `getblockheader` is wanted.
#[derive(Deserialize)]
struct HeaderOf {
    hash: BlockHash,
    height: u32,
    chainwork: String,
    previousblockhash: Option<BlockHash>,
}

#[derive(Deserialize)]
struct MempoolInfo {
    size: usize,
}

/// One node, followed.
#[derive(Debug)]
pub(crate) struct Follower {
    place: usize,
    target: Target,
    /// Which run of the node the numbers of events belong to, and the last of them; `None`: not asked yet.
    known: Option<(String, u64)>,
    /// The headers of blocks that have been read, and whether their bodies were there.
    blocks: HashMap<BlockHash, bool>,
    /// Reorganisations that have been told, by number and time.
    reorgs: HashSet<(u64, Time)>,
    looked: Option<Instant>,
}

impl Follower {
    /// Of the node whose place is `place`; nothing is asked yet.
    pub(crate) fn new(place: usize, target: Target) -> Self {
        let (blocks, reorgs) = (HashMap::new(), HashSet::new());
        Self { place, target, known: None, blocks, reorgs, looked: None }
    }

    /// What is new.
    ///
    /// # Errors
    /// The node does not answer, or not as a tine does; everything is asked anew afterwards.
    pub(crate) fn look(&mut self) -> Result<Vec<News>, Error> {
        let news = match self.known.clone() {
            None => self.begin(),
            Some((run, last)) => self.go_on(&run, last),
        };
        if news.is_err() {
            self.known = None;
        }
        news
    }

    fn begin(&mut self) -> Result<Vec<News>, Error> {
        self.blocks.clear();
        // first: what happens after this is told, and what happened before is in what is asked next
        let after = json!({ "after": i64::MAX / 2, "count": 1 });
        let events: Events = self.target.client.call_as("tine_events", after)?;
        let info: NetInfo = self.target.client.call_as(methods::NET_INFO, json!({}))?;
        let arrivals = self.arrivals(FIRST_BLOCKS)?;
        let reports: Vec<ReorgReport> = self.target.client.call_as(methods::REORGS, json!({}))?;
        let blocks = arrivals.iter().map(|arrival| arrival.hash).collect();
        let mut news = vec![News::Begins { tip: info.tip, blocks }];
        news.extend(self.learn(&arrivals)?);
        news.extend(self.earlier(&info, arrivals, reports));
        news.extend(self.status()?);
        self.known = Some((events.run, events.last));
        Ok(news)
    }

    /// What happened before anybody asked, as far as the node remembers it.
    fn earlier(&mut self, info: &NetInfo, arrivals: Vec<Arrival>, reports: Vec<ReorgReport>) -> Vec<News> {
        let given_up: HashSet<BlockHash> =
            reports.iter().flat_map(|report| &report.disconnected).map(|block| block.hash).collect();
        let taken_up: HashSet<BlockHash> =
            reports.iter().flat_map(|report| &report.connected).map(|block| block.hash).collect();
        let mut events = Vec::new();
        let mut last = Time(0);
        for arrival in arrivals.iter().rev() {
            events.push((arrival.seen, What::Seen(self.place, arrival.hash)));
            // what belonged to a rival branch became the tip when the node switched to it
            let on_chain = arrival.active || given_up.contains(&arrival.hash);
            if on_chain && !taken_up.contains(&arrival.hash) {
                events.push((arrival.seen, What::Tip(self.place, arrival.hash)));
            }
            last = last.max(arrival.seen);
        }
        for report in reports {
            last = last.max(report.time);
            let tip = report.connected.last().unwrap_or(&report.fork).hash;
            events.push((report.time, What::Tip(self.place, tip)));
            if self.reorgs.insert((report.number, report.time)) {
                events.push((report.time, What::Reorg(self.place, Arc::new(report))));
            }
        }
        events.push((last, What::Tip(self.place, info.tip)));
        events.sort_by_key(|(time, _)| *time);
        events.into_iter().map(|(time, what)| News::Event(Event { time, what })).collect()
    }

    fn go_on(&mut self, run: &str, last: u64) -> Result<Vec<News>, Error> {
        let asked = json!({ "after": last, "count": MAX_EVENTS });
        let told: Events = self.target.client.call_as("tine_events", asked)?;
        if told.run != run || told.last < last {
            return self.begin();
        }
        let events: Vec<Event> = told.events.iter().filter_map(|told| self.read(told)).collect();
        let mut news = Vec::new();
        let is_block = |event: &Event| matches!(event.what, What::Seen(..) | What::Tip(..));
        let is_time = self.looked.is_none_or(|looked| looked.elapsed() > STATUS);
        if events.iter().any(is_block) || (is_time && self.blocks.values().any(|body| !body)) {
            let arrivals = self.arrivals(NEW_BLOCKS.max(told.events.len() as u32))?;
            news.extend(self.learn(&arrivals)?);
        }
        news.extend(events.into_iter().map(News::Event));
        if is_time || !told.events.is_empty() {
            news.extend(self.status()?);
        }
        self.known = Some((told.run, told.last));
        Ok(news)
    }

    fn arrivals(&self, count: u32) -> Result<Vec<Arrival>, ClientError> {
        self.target.client.call_as(BLOCK_ARRIVALS, json!({ "count": count.min(10_000) }))
    }

    /// What blocks are that were not known, or not in full.
    fn learn(&mut self, arrivals: &[Arrival]) -> Result<Vec<News>, Error> {
        let is_new = |arrival: &&Arrival| {
            let has_body = arrival.transactions > 0 || arrival.height == 0;
            self.blocks.get(&arrival.hash).is_none_or(|known| !known && has_body)
        };
        let new: Vec<&Arrival> = arrivals.iter().filter(is_new).collect();
        let mut news = Vec::new();
        for some in new.chunks(BATCH) {
            let calls: Vec<_> =
                some.iter().map(|arrival| ("getblockheader", json!([arrival.hash]))).collect();
            for (arrival, header) in some.iter().zip(self.target.client.batch(&calls)?) {
                let header: HeaderOf = read(&header?)?;
                let has_body = arrival.transactions > 0 || arrival.height == 0;
                self.blocks.insert(header.hash, has_body);
                news.push(News::Block(BlockFacts {
                    hash: header.hash,
                    prev: header.previousblockhash.unwrap_or(BlockHash::ZERO),
                    height: header.height,
                    work: plain_name(&header.chainwork),
                    miner: arrival.miner.as_deref().map(plain_name),
                    txs: (arrival.transactions > 0).then_some(arrival.transactions),
                }));
            }
        }
        // what is older than these is not asked for again
        if self.blocks.len() > 4 * FIRST_BLOCKS as usize {
            let recent: HashSet<BlockHash> = arrivals.iter().map(|arrival| arrival.hash).collect();
            self.blocks.retain(|hash, _| recent.contains(hash));
        }
        Ok(news)
    }

    /// How the node is.
    fn status(&mut self) -> Result<Vec<News>, Error> {
        self.looked = Some(Instant::now());
        let calls =
            [(methods::NET_INFO, json!({})), ("getmempoolinfo", json!([])), (methods::MINER, json!({}))];
        let mut answers = self.target.client.batch(&calls)?.into_iter();
        let mut next = || answers.next().ok_or_else(|| Error::Failed("an answer is missing".into()));
        let info: NetInfo = read(&next()??)?;
        let mempool: MempoolInfo = read(&next()??)?;
        // a node may have no miner
        let miner = next()?.ok().as_deref().map(read::<MinerStatus>).transpose()?;
        let status = Status {
            peers: info.peers.len(),
            mempool: mempool.size,
            hashrate: miner.as_ref().map(|miner| miner.hashrate),
            mining: miner.is_some_and(|miner| miner.mining),
            delay_ms: info.delay_ms,
            drop_percent: info.drop_percent,
        };
        Ok(vec![News::Info(Box::new(info), status)])
    }

    /// An event; `None`: of a kind that the view does not show.
    fn read(&mut self, told: &Told) -> Option<Event> {
        let place = self.place;
        let field = |name: &str| told.more.get(name);
        let text = |name: &str| field(name).and_then(Value::as_str).map(plain_name);
        let hash = || BlockHash::deserialize(field("hash")?).ok();
        let id = |name: &str| Txid::deserialize(field(name)?).ok();
        let what = match told.kind.as_str() {
            "block" => What::Seen(place, hash()?),
            "tip" => What::Tip(place, hash()?),
            "reorg" => {
                let report = ReorgReport::deserialize(field("report")?).ok()?;
                if !self.reorgs.insert((report.number, report.time)) {
                    return None;
                }
                What::Reorg(place, Arc::new(report))
            }
            "invalid" => What::Invalid(place, hash()?, text("reason").unwrap_or_default()),
            "tx" => What::Payment(place, id("txid")?),
            "tx-removed" => removed(place, id("txid")?, field("why")?),
            "double-spend" => What::DoubleSpend {
                node: place,
                refused: id("refused")?,
                kept: id("kept")?,
                coin: text("coin")?,
            },
            "step" => What::Note(Some(place), plain_line(field("text")?.as_str()?)),
            _ => return None,
        };
        Some(Event { time: told.t, what })
    }
}

/// What became of a transaction that left a mempool.
fn removed(node: usize, gone: Txid, why: &Value) -> What {
    let by = why.get("by").and_then(|by| Txid::deserialize(by).ok());
    match (why.get("reason").and_then(Value::as_str), by) {
        (Some("replaced"), Some(by)) => {
            let coin = why.get("coin").and_then(Value::as_str).map(plain_name).unwrap_or_default();
            What::Replaced { node, gone, by, coin }
        }
        _ => What::Dropped(node),
    }
}

fn read<T: DeserializeOwned>(raw: &RawValue) -> Result<T, Error> {
    serde_json::from_str(raw.get()).map_err(|error| Error::failed("an answer of the node", error))
}
