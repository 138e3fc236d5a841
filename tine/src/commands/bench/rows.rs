//! The measurements, one function for each row of the table.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use indicatif::ProgressBar;
use serde_json::json;
use tine_chain::address::Address;
use tine_chain::block::Block;
use tine_chain::codec::Encode as _;
use tine_chain::hash::{BlockHash, Lock};
use tine_chain::mining::Scanner;
use tine_chain::params::{Network, Params};
use tine_chain::pow::CompactTarget;
use tine_chain::transaction::Transaction;

use super::child::{Figure, Node, PATIENCE, submit_digits};
use super::material::{Material, PAYMENTS};
use super::peer::Standard;
use crate::cli::BenchRow;
use crate::digits;
use crate::exit::Error;

/// Calls of one batch.
const BATCH: usize = 100;
/// Blocks that `generatetoaddress` makes in a run.
const GENERATED: u32 = 1_000;
/// Nonces of one run.
const NONCES: u32 = 20_000_000;
/// How long those who wait for a block get to begin waiting.
const SETTLE: Duration = Duration::from_millis(100);
/// How long gossip takes to find its neighbours: it looks for them once a second.
const MESH: Duration = Duration::from_secs(3);

/// What is measured, and with how much.
pub(super) struct Bench {
    /// Which rows.
    pub(super) rows: BTreeSet<BenchRow>,
    /// Full blocks of the payments chain.
    pub(super) full_blocks: usize,
    /// Empty blocks of the empty chain.
    pub(super) empty_blocks: u32,
    /// How often.
    pub(super) runs: usize,
    /// Coin cache of each node, in MiB.
    pub(super) coin_cache: Option<u32>,
    /// Where nodes keep their chains.
    pub(super) dir: Folder,
    /// Shows what is being measured.
    pub(super) bar: ProgressBar,
}

/// A folder that is removed with everything in it when dropped.
#[derive(Debug)]
pub(super) struct Folder(PathBuf);

impl Folder {
    /// A new one in `parent`, or where the system keeps such things.
    pub(super) fn new(parent: Option<&Path>) -> Result<Self, Error> {
        let parent = parent.map_or_else(std::env::temp_dir, Path::to_path_buf);
        let path = parent.join(format!("tine-bench-{}", std::process::id()));
        std::fs::create_dir_all(&path).map_err(|error| Error::failed(path.display(), error))?;
        Ok(Self(path))
    }

    /// The folder of the node called `name`.
    pub(super) fn of(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Removes the folder of the node called `name`.
    pub(super) fn remove(&self, name: &str) {
        // what is left is removed with the whole
        let _ = std::fs::remove_dir_all(self.of(name));
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // an attempt: nothing else can be done about it
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

impl Bench {
    /// Measures the rows that are wanted.
    pub(super) fn run(&self) -> Result<Vec<Figure>, Error> {
        let material = Material::new()?;
        let mut figures = Vec::new();
        figures.extend(self.nonces()?);
        if self.wants(&[BenchRow::Generate, BenchRow::SyncEmpty, BenchRow::StartEmpty]) {
            figures.extend(self.empty_chain()?);
        }
        if self.wants(&[BenchRow::Connect, BenchRow::Mempool, BenchRow::MempoolBatch]) {
            figures.extend(self.mempool(&material)?);
        }
        if self.wants(&[BenchRow::RelayEmpty, BenchRow::RelayFull]) {
            figures.extend(self.relay(&material)?);
        }
        if self.wants(&[BenchRow::Sync, BenchRow::Redo, BenchRow::StartPayments]) {
            figures.extend(self.payments_chain(&material)?);
        }
        if self.wants(&[BenchRow::Reorg10, BenchRow::Reorg100]) {
            figures.extend(self.reorganisations(&material)?);
        }
        figures.sort_by_key(|figure| figure.row);
        Ok(figures)
    }

    fn wants(&self, rows: &[BenchRow]) -> bool {
        rows.iter().any(|row| self.rows.contains(row))
    }

    fn node(&self, name: &str) -> Result<Node, Error> {
        Node::start(&self.dir.of(name), self.coin_cache)
    }

    /// Measures `row` as often as is wanted, if it is wanted.
    fn measure(
        &self,
        row: BenchRow,
        mut once: impl FnMut() -> Result<f64, Error>,
    ) -> Result<Option<Figure>, Error> {
        if !self.wants(&[row]) {
            return Ok(None);
        }
        let mut runs = Vec::new();
        for _ in 0..self.runs {
            self.bar.set_message(Standard::of(row).work);
            runs.push(once()?);
        }
        self.bar.inc(1);
        Ok(Some(Figure { row, runs, peak_memory_mb: None }))
    }

    // -- the processor alone

    fn nonces(&self) -> Result<Option<Figure>, Error> {
        let scanner = Scanner::new(&Params::of(Network::Main).genesis);
        // no hash is 1 or less
        let target =
            CompactTarget(0x0300_0001).to_target().map_err(|error| Error::failed("a target", error))?;
        self.measure(BenchRow::Nonces, || {
            let start = Instant::now();
            let found = scanner.scan(target, 0..=NONCES - 1);
            let rate = f64::from(NONCES) / start.elapsed().as_secs_f64() / 1e6;
            found.map_or(Ok(rate), |nonce| Err(Error::Failed(format!("nonce {nonce} gives a hash of 1"))))
        })
    }

    // -- empty blocks

    fn empty_chain(&self) -> Result<Vec<Figure>, Error> {
        let source = self.node("empty")?;
        let payee = Address { network: Network::Regtest, lock: Lock([1; 32]) }.to_string();
        let generate = |count: u32| source.rpc.call("generatetoaddress", json!([count, payee]));
        let mut figures = Vec::new();
        figures.extend(self.measure(BenchRow::Generate, || {
            let start = Instant::now();
            generate(GENERATED)?;
            Ok(f64::from(GENERATED) / start.elapsed().as_secs_f64())
        })?);
        let height = || source.rpc.call_as::<u32>("getblockcount", ());
        while height()? < self.empty_blocks {
            generate((self.empty_blocks - height()?).min(GENERATED))?;
        }
        let tip: BlockHash = source.rpc.call_as("getbestblockhash", ())?;
        let height = height()?;
        figures.extend(self.download(BenchRow::SyncEmpty, &source, tip, f64::from(height))?);
        source.stop()?;
        figures.extend(self.starts(BenchRow::StartEmpty, "empty", tip)?);
        self.dir.remove("empty");
        Ok(figures)
    }

    /// A fresh node downloads everything from `source`: `amount` a second.
    fn download(
        &self,
        row: BenchRow,
        source: &Node,
        tip: BlockHash,
        amount: f64,
    ) -> Result<Option<Figure>, Error> {
        let mut peak = None;
        let figure = self.measure(row, || {
            let fresh = self.node("fresh")?;
            let start = Instant::now();
            fresh.dial(source)?;
            fresh.wait_for(tip)?;
            let seconds = start.elapsed().as_secs_f64();
            peak = [peak, fresh.peak_memory_mb()].into_iter().flatten().reduce(f64::max);
            drop(fresh);
            self.dir.remove("fresh");
            Ok(amount / seconds)
        })?;
        Ok(figure.map(|figure| Figure { peak_memory_mb: peak, ..figure }))
    }

    /// From the start of the process to the first answer, which must name `tip`.
    fn starts(&self, row: BenchRow, name: &str, tip: BlockHash) -> Result<Option<Figure>, Error> {
        self.measure(row, || {
            let start = Instant::now();
            let node = self.node(name)?;
            let answer: BlockHash = node.rpc.call_as("getbestblockhash", ())?;
            let seconds = start.elapsed().as_secs_f64();
            node.stop()?;
            if answer == tip {
                Ok(seconds)
            } else {
                Err(Error::Failed(format!("{name} came back with the tip {answer} instead of {tip}")))
            }
        })
    }

    // -- payments

    fn payments_chain(&self, material: &Material) -> Result<Vec<Figure>, Error> {
        let (blocks, end) = material.branch("a", self.full_blocks)?;
        let source = self.node("payments")?;
        source.submit(&material.setup)?;
        source.submit(&blocks)?;
        let mut figures = Vec::new();
        let payments = (blocks.len() * PAYMENTS) as f64;
        figures.extend(self.download(BenchRow::Sync, &source, end.hash(), payments)?);
        figures.extend(self.measure(BenchRow::Redo, || {
            let first = blocks[blocks.len() - 10].hash();
            let start = Instant::now();
            source.rpc.call("invalidateblock", [first])?;
            source.rpc.call("reconsiderblock", [first])?;
            source.wait_for(end.hash())?;
            Ok(start.elapsed().as_secs_f64())
        })?);
        source.stop()?;
        figures.extend(self.starts(BenchRow::StartPayments, "payments", end.hash())?);
        self.dir.remove("payments");
        Ok(figures)
    }

    fn reorganisations(&self, material: &Material) -> Result<Vec<Figure>, Error> {
        let mut figures = Vec::new();
        for (row, depth) in [(BenchRow::Reorg10, 10), (BenchRow::Reorg100, 100)] {
            if self.wants(&[row]) {
                figures.extend(self.reorganisation(material, row, depth)?);
            }
        }
        Ok(figures)
    }

    /// A node on a branch of `depth` full blocks meets one that has another with one block more.
    fn reorganisation(
        &self,
        material: &Material,
        row: BenchRow,
        depth: usize,
    ) -> Result<Option<Figure>, Error> {
        let rival = self.node("rival")?;
        let (blocks, mut end) = material.branch("b", depth)?;
        let last = material.grow(&mut end, Vec::new())?;
        rival.submit(&material.setup)?;
        rival.submit(&blocks)?;
        rival.submit(&[last])?;
        let (blocks, _) = material.branch("a", depth)?;
        let figure = self.measure(row, || {
            let node = self.node("loser")?;
            node.submit(&material.setup)?;
            node.submit(&blocks)?;
            let start = Instant::now();
            node.dial(&rival)?;
            node.wait_for(end.hash())?;
            let seconds = start.elapsed().as_secs_f64();
            drop(node);
            self.dir.remove("loser");
            Ok(seconds)
        });
        drop(rival);
        self.dir.remove("rival");
        figure
    }

    // -- the mempool

    fn mempool(&self, material: &Material) -> Result<Vec<Figure>, Error> {
        let node = self.node("mempool")?;
        node.submit(&material.setup)?;
        let mut end = material.fork;
        let mut groups = material.loose().into_iter();
        // a group is sent and confirmed: every run finds the mempool empty
        let mut send_and_confirm = |send: fn(&Node, &[Arc<Transaction>]) -> Result<(), Error>| {
            let group = groups.next().ok_or_else(|| Error::Failed("no coins are left to be spent".into()))?;
            let start = Instant::now();
            send(&node, &group)?;
            let sent = start.elapsed().as_secs_f64();
            let block = digits::encode(&material.grow(&mut end, group)?.to_bytes());
            let mut caller = node.caller()?;
            let start = Instant::now();
            submit_digits(&mut caller, &block)?;
            Ok((sent, start.elapsed().as_secs_f64()))
        };
        let rate = |(sent, _)| PAYMENTS as f64 / sent;
        let mut figures = Vec::new();
        figures.extend(self.measure(BenchRow::Mempool, || send_and_confirm(send_one_by_one).map(rate))?);
        figures.extend(self.measure(BenchRow::MempoolBatch, || send_and_confirm(send_in_batches).map(rate))?);
        figures.extend(self.measure(BenchRow::Connect, || {
            send_and_confirm(send_in_batches).map(|(_, confirmed)| confirmed * 1_000.0)
        })?);
        drop(node);
        self.dir.remove("mempool");
        Ok(figures)
    }

    // -- relay

    fn relay(&self, material: &Material) -> Result<Vec<Figure>, Error> {
        let names = ["line-1", "line-2", "line-3", "line-4"];
        let nodes = names.iter().map(|name| self.node(name)).collect::<Result<Vec<_>, _>>()?;
        let (first, last) = (&nodes[0], &nodes[names.len() - 1]);
        first.submit(&material.setup)?;
        let mut end = material.fork;
        for pair in nodes.windows(2) {
            pair[1].dial(&pair[0])?;
            pair[1].wait_for(end.hash())?;
        }
        std::thread::sleep(MESH);
        let mut figures = Vec::new();
        figures.extend(self.measure(BenchRow::RelayEmpty, || {
            let block = material.grow(&mut end, Vec::new())?;
            travel_ms(first, last, &block)
        })?);
        let mut groups = material.loose().into_iter();
        figures.extend(self.measure(BenchRow::RelayFull, || {
            let group = groups.next().ok_or_else(|| Error::Failed("no coins are left to be spent".into()))?;
            send_in_batches(first, &group)?;
            wait_for_mempool(last, group.len())?;
            let block = material.grow(&mut end, group)?;
            travel_ms(first, last, &block)
        })?);
        drop(nodes);
        names.iter().for_each(|name| self.dir.remove(name));
        Ok(figures)
    }
}

fn hex_of(payment: &Transaction) -> String {
    digits::encode(&payment.to_bytes())
}

fn send_one_by_one(node: &Node, payments: &[Arc<Transaction>]) -> Result<(), Error> {
    let mut caller = node.caller()?;
    payments.iter().try_for_each(|payment| caller.call("sendrawtransaction", &hex_of(payment)).map(drop))
}

fn send_in_batches(node: &Node, payments: &[Arc<Transaction>]) -> Result<(), Error> {
    for payments in payments.chunks(BATCH) {
        let calls: Vec<_> =
            payments.iter().map(|payment| ("sendrawtransaction", [hex_of(payment)])).collect();
        for answer in node.rpc.batch(&calls)? {
            answer?;
        }
    }
    Ok(())
}

/// Waits until `node` has heard of `count` transactions.
fn wait_for_mempool(node: &Node, count: usize) -> Result<(), Error> {
    let end = Instant::now() + PATIENCE;
    while Instant::now() < end {
        if node.rpc.call("getmempoolinfo", ())?["size"] == json!(count) {
            return Ok(());
        }
        std::thread::sleep(SETTLE);
    }
    Err(Error::Failed(format!("waited {} s in vain for {count} transactions", PATIENCE.as_secs())))
}

/// Gives `first` a block; the milliseconds from then until it is the tip of `last`, which a caller who waits there hears.
fn travel_ms(first: &Node, last: &Node, block: &Arc<Block>) -> Result<f64, Error> {
    let (hash, digits) = (block.hash(), digits::encode(&block.to_bytes()));
    let mut caller = first.caller()?;
    std::thread::scope(|scope| {
        let at_last = scope.spawn(|| last.wait_for(hash).map(|()| Instant::now()));
        std::thread::sleep(SETTLE);
        let start = Instant::now();
        submit_digits(&mut caller, &digits)?;
        let end = at_last.join().map_err(|_| Error::Failed("a caller who waited failed".into()))??;
        Ok(end.saturating_duration_since(start).as_secs_f64() * 1_000.0)
    })
}
