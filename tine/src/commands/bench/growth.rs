//! How time and memory grow with the chain and with the coin set.

use std::sync::Arc;
use std::time::Instant;

use indicatif::ProgressBar;
use serde::Serialize;
use serde_json::{Value, json};
use tine_chain::block::Block;
use tine_chain::codec::Encode as _;

use super::child::{Node, submit_digits};
use super::material::{End, Material, PAYMENTS};
use super::rows::Folder;
use super::{bar_style, load, plot, short};
use crate::cli::BenchGrowthArgs;
use crate::digits;
use crate::exit::Error;
use crate::out::Out;

/// Where the chain and the coin set are measured, as multiples of their first size.
const STEPS: [u32; 7] = [1, 2, 5, 10, 20, 50, 100];
/// Empty blocks over which the time of one is averaged, handed over in calls of a hundred.
const MEASURED: u32 = 500;
const BATCH: usize = 100;
/// Full blocks at each size of the coin set; the median is taken.
const FULL_BLOCKS: usize = 3;
/// Transactions in a block that grows the coin set by 2,000 coins each.
const SPLITS_IN_BLOCK: usize = 10;

/// One measurement.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Point {
    /// Blocks of the chain, or coins of the set.
    pub(super) size: u32,
    /// Milliseconds for a block: empty, or of 2,000 payments.
    pub(super) block_ms: f64,
    /// The node's memory, in MB (VmRSS).
    pub(super) memory_mb: f64,
    /// The peak so far, in MB (VmHWM).
    pub(super) peak_memory_mb: f64,
}

/// One curve, and how long the node takes to come back at its end.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Growth {
    pub(super) points: Vec<Point>,
    pub(super) start_secs: f64,
}

/// Runs the command.
pub(super) fn run(out: Out, args: &BenchGrowthArgs) -> Result<(), Error> {
    let folder = Folder::new(args.work_dir.as_deref())?;
    let bar = ProgressBar::new(u64::from(args.blocks) + u64::from(args.coins)).with_style(bar_style());
    let material = Material::new()?;
    let blocks = grow_chain(&material, args, &folder, &bar)?;
    let coins = grow_coins(&material, args, &folder, &bar)?;
    bar.finish_and_clear();
    if let Some(path) = &args.svg {
        plot::draw(path, &blocks, &coins).map_err(|error| Error::failed(path.display(), error))?;
    }
    out.document(&json!({ "blocks": blocks, "coins": coins, "load": load() }));
    show(out, "blocks", "ms an empty block", &blocks);
    show(out, "coins", "ms a block of 2,000 payments", &coins);
    if let Some(load) = load() {
        out.line(format!("load of the machine: {load}"));
    }
    Ok(())
}

fn show(out: Out, size: &str, time: &str, growth: &Growth) {
    let row = |point: &Point| {
        [point.size.to_string(), short(point.block_ms), short(point.memory_mb), short(point.peak_memory_mb)]
    };
    out.table([size, time, "memory, MB", "peak, MB"], growth.points.iter().map(row));
    out.line(format!("start to first answer at the end: {} s\n", short(growth.start_secs)));
}

/// The sizes that are measured: up to `last`, from a hundredth of it on.
fn sizes(last: u32) -> impl Iterator<Item = u32> {
    STEPS.into_iter().map(move |step| last / 100 * step)
}

fn grow_chain(
    material: &Material,
    args: &BenchGrowthArgs,
    folder: &Folder,
    bar: &ProgressBar,
) -> Result<Growth, Error> {
    let node = Node::start(&folder.of("blocks"), args.coin_cache)?;
    let mut end = material.start();
    let mut points = Vec::new();
    let extend = |end: &mut End, count: u32| {
        let start = Instant::now();
        let mut making = std::time::Duration::ZERO;
        for _ in 0..count.div_ceil(BATCH as u32) {
            let begun = Instant::now();
            let blocks: Result<Vec<_>, _> = (0..BATCH).map(|_| material.grow(end, Vec::new())).collect();
            let blocks = blocks?;
            making += begun.elapsed();
            submit_together(&node, &blocks)?;
            bar.inc(BATCH as u64);
        }
        Ok::<_, Error>(start.elapsed().saturating_sub(making).as_secs_f64() * 1_000.0 / f64::from(count))
    };
    bar.set_message("empty blocks");
    for size in sizes(args.blocks) {
        let before = size.saturating_sub(MEASURED).saturating_sub(end.height());
        extend(&mut end, before)?;
        let block_ms = extend(&mut end, MEASURED.min(size))?;
        points.push(point(&node, size, block_ms));
    }
    Ok(Growth { points, start_secs: restart(node, folder, "blocks", args)? })
}

fn grow_coins(
    material: &Material,
    args: &BenchGrowthArgs,
    folder: &Folder,
    bar: &ProgressBar,
) -> Result<Growth, Error> {
    let node = Node::start(&folder.of("coins"), args.coin_cache)?;
    node.submit(&material.setup)?;
    let mut end = material.fork;
    let (mut splits, mut rounds) =
        (material.splits(), material.rounds(STEPS.len() * FULL_BLOCKS).into_iter());
    let mut made = 0;
    let mut points = Vec::new();
    bar.set_message("coins");
    for size in sizes(args.coins) {
        while made < size {
            let transactions: Vec<_> = splits.by_ref().take(SPLITS_IN_BLOCK).collect();
            if transactions.is_empty() {
                return Err(Error::Failed("no coins are left to be split".into()));
            }
            let coins = (transactions.len() * PAYMENTS) as u32;
            node.submit(&[material.grow(&mut end, transactions)?])?;
            made += coins;
            bar.inc(u64::from(coins));
        }
        let mut times = Vec::with_capacity(FULL_BLOCKS);
        let mut caller = node.caller()?;
        for payments in rounds.by_ref().take(FULL_BLOCKS) {
            let block = digits::encode(&material.grow(&mut end, payments)?.to_bytes());
            let start = Instant::now();
            submit_digits(&mut caller, &block)?;
            times.push(start.elapsed().as_secs_f64() * 1_000.0);
        }
        times.sort_by(f64::total_cmp);
        points.push(point(&node, size, times[FULL_BLOCKS / 2]));
    }
    Ok(Growth { points, start_secs: restart(node, folder, "coins", args)? })
}

fn point(node: &Node, size: u32, block_ms: f64) -> Point {
    let (memory_mb, peak_memory_mb) = (node.memory_mb(), node.peak_memory_mb());
    Point {
        size,
        block_ms,
        memory_mb: memory_mb.unwrap_or(f64::NAN),
        peak_memory_mb: peak_memory_mb.unwrap_or(f64::NAN),
    }
}

/// Hands over blocks in one call.
fn submit_together(node: &Node, blocks: &[Arc<Block>]) -> Result<(), Error> {
    let calls: Vec<_> =
        blocks.iter().map(|block| ("submitblock", [digits::encode(&block.to_bytes())])).collect();
    for answer in node.rpc.batch(&calls)? {
        let answer = answer?;
        if serde_json::from_str(answer.get()).ok() != Some(Value::Null) {
            return Err(Error::Failed(format!("a block that was made for the measurement is {answer}")));
        }
    }
    Ok(())
}

/// Stops the node cleanly, and takes the time from its start to its first answer.
fn restart(node: Node, folder: &Folder, name: &str, args: &BenchGrowthArgs) -> Result<f64, Error> {
    node.stop()?;
    let start = Instant::now();
    let node = Node::start(&folder.of(name), args.coin_cache)?;
    node.rpc.call("getblockcount", ())?;
    let seconds = start.elapsed().as_secs_f64();
    drop(node);
    folder.remove(name);
    Ok(seconds)
}
