//! Core's `Blockchain` methods that count: of one block, of a window of the chain.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;
use serde_json::{Value, json};
use tine_chain::block::Block;
use tine_chain::coins::Undo;
use tine_chain::hash::BlockHash;
use tine_chain::params::Params;

use super::context::Context;
use super::error::{Code, RpcError};
use super::params::parse_hash;
use super::registry::{Call, Category, Handler, Kind, Method, Outcome, answer, optional, required};
use super::shapes::{weight, witness_size};
use crate::view::{BlockInfo, View};

/// What a coin takes in memory beside its output, as Core counts it (`PER_UTXO_OVERHEAD`).
const PER_UTXO_OVERHEAD: i64 = 41;
/// Bytes of an output, without that.
const OUTPUT_SIZE: i64 = 40;
/// Seconds that `getchaintxstats` looks back unless told otherwise (Core: a month).
const MONTH_SECS: u32 = 30 * 24 * 60 * 60;
/// The shares of a block's bytes at which `feerate_percentiles` are taken, in percent.
const PERCENTILES: [u64; 5] = [10, 25, 50, 75, 90];

pub(crate) const METHODS: &[Method] = &[
    Method {
        name: "getblockstats",
        category: Category::Blockchain,
        params: &[
            required("hash_or_height", Kind::Any, "The block's id, or its height on the active chain."),
            optional("stats", Kind::Array, "Only these members."),
        ],
        help: "A block in numbers: fees, sizes, sums. Amounts are base units, fee rates base units for one byte. The \
               block must have been connected once: only then is it known what it spends.",
        handler: Handler::Now(get_block_stats),
    },
    Method {
        name: "getchaintxstats",
        category: Category::Blockchain,
        params: &[
            optional("nblocks", Kind::Number, "Blocks in the window. Default: those of a month."),
            optional(
                "blockhash",
                Kind::Hex,
                "The window's last block, on the active chain. Default the tip.",
            ),
        ],
        help: "How many transactions the chain has, and how fast they came.",
        handler: Handler::Now(get_chain_tx_stats),
    },
    Method {
        name: "getdeploymentinfo",
        category: Category::Blockchain,
        params: &[optional("blockhash", Kind::Hex, "As of this block. Default the tip.")],
        help: "Changes of the rules that are under way. There are none: every rule holds from the genesis on.",
        handler: Handler::Now(|call| answer(&deployment_info(call)?)),
    },
];

/// The block that a hash or a height means.
fn block_by(view: &View, text: &str) -> Result<Arc<BlockInfo>, RpcError> {
    let Ok(height) = text.parse::<i64>() else {
        let hash: String = serde_json::from_str(text)
            .map_err(|_| RpcError::new(Code::Type, "hash_or_height must be a number or a string"))?;
        let hash = parse_hash("hash_or_height", &hash)?;
        let found = view.block(&hash).ok_or_else(|| RpcError::not_found("Block not found"))?;
        return Ok(Arc::clone(found));
    };
    let tip = view.tip.height;
    if height < 0 {
        return Err(RpcError::invalid(format!("Target block height {height} is negative")));
    }
    let found = u32::try_from(height).ok().and_then(|height| view.active.get(height));
    let found = found.and_then(|hash| view.block(&hash));
    found
        .cloned()
        .ok_or_else(|| RpcError::invalid(format!("Target block height {height} after current tip {tip}")))
}

/// A list of numbers in words of statistics; all 0 when it is empty, as in Core.
struct Spread {
    sorted: Vec<u64>,
}

impl Spread {
    fn new(mut values: Vec<u64>) -> Self {
        values.sort_unstable();
        Self { sorted: values }
    }

    fn sum(&self) -> u64 {
        self.sorted.iter().sum()
    }

    fn mean(&self) -> u64 {
        self.sum().checked_div(self.sorted.len() as u64).unwrap_or(0)
    }

    fn least(&self) -> u64 {
        self.sorted.first().copied().unwrap_or(0)
    }

    fn most(&self) -> u64 {
        self.sorted.last().copied().unwrap_or(0)
    }

    /// Core: `CalculateTruncatedMedian`.
    fn median(&self) -> u64 {
        let middle = self.sorted.len() / 2;
        match self.sorted.len() {
            0 => 0,
            length if length % 2 == 0 => (self.sorted[middle - 1] + self.sorted[middle]) / 2,
            _ => self.sorted[middle],
        }
    }
}

/// Fee rates at shares of the bytes (Core: `CalculatePercentilesByWeight`). `rates` are pairs of rate and size.
fn percentiles(mut rates: Vec<(u64, u64)>) -> [u64; 5] {
    rates.sort_unstable();
    let total: u64 = rates.iter().map(|(_, size)| size).sum();
    let mut found = [rates.last().map_or(0, |(rate, _)| *rate); 5];
    let (mut passed, mut next) = (0, 0);
    for (rate, size) in rates {
        passed += size;
        while next < PERCENTILES.len() && passed * 100 >= total * PERCENTILES[next] {
            found[next] = rate;
            next += 1;
        }
    }
    found
}

/// What each transaction after the coinbase paid, in base units, in block order.
fn fees(block: &Block, undo: &Undo) -> Vec<u64> {
    let mut spent = undo.spent.iter();
    let fee = |tx: &Arc<tine_chain::transaction::Transaction>| {
        let paid: u64 = spent.by_ref().take(tx.inputs.len()).map(|(_, coin)| coin.output.value.0).sum();
        paid - tx.outputs.iter().map(|output| output.value.0).sum::<u64>()
    };
    block.transactions.iter().skip(1).map(fee).collect()
}

fn get_block_stats(call: &Call) -> Outcome {
    let context = &call.context;
    let view = context.view();
    let asked = call.params.raw(0).map_or("null", |raw| raw.get());
    let info = block_by(&view, asked)?;
    let block = context.read_block(&info)?;
    let undo = match info.height {
        0 => Undo::default(),
        _ => context.read_undo(&info.hash)?.ok_or_else(|| {
            RpcError::new(Code::Misc, "Undo data not available: the block was never connected")
        })?,
    };
    let all = block_stats(context, &info, &block, &undo);
    let Some(wanted) = call.params.optional::<Vec<String>>(1)? else { return answer(&all) };
    let mut chosen = BTreeMap::new();
    for name in wanted {
        let Some(value) = all.get(&name) else {
            return Err(RpcError::invalid(format!("Invalid selected statistic '{name}'")));
        };
        chosen.insert(name, value.clone());
    }
    answer(&chosen)
}

fn block_stats(context: &Context, info: &BlockInfo, block: &Block, undo: &Undo) -> Value {
    let others = || block.transactions.iter().skip(1);
    let fees = fees(block, undo);
    let sizes: Vec<u64> = others().map(|tx| tx.size() as u64).collect();
    let rates: Vec<(u64, u64)> = fees.iter().zip(&sizes).map(|(fee, size)| (fee / size, *size)).collect();
    let rate_percentiles = percentiles(rates.clone());
    let rate = Spread::new(rates.into_iter().map(|(rate, _)| rate).collect());
    let (fee, size) = (Spread::new(fees), Spread::new(sizes));
    let inputs = others().map(|tx| tx.inputs.len()).sum::<usize>();
    let outputs: usize = block.transactions.iter().map(|tx| tx.outputs.len()).sum();
    // the genesis output is not in the coin set
    let made = if info.height == 0 { 0 } else { outputs as i64 };
    let grown = made - inputs as i64;
    let witnesses: usize = others().map(|tx| witness_size(tx)).sum();
    let paid_out: u64 = others().flat_map(|tx| &tx.outputs).map(|output| output.value.0).sum();
    json!({
        "avgfee": fee.mean(),
        "avgfeerate": fee.sum().checked_div(size.sum()).unwrap_or(0),
        "avgtxsize": size.mean(),
        "blockhash": info.hash,
        "feerate_percentiles": rate_percentiles,
        "height": info.height,
        "ins": inputs,
        "maxfee": fee.most(),
        "maxfeerate": rate.most(),
        "maxtxsize": size.most(),
        "medianfee": fee.median(),
        "mediantime": info.median_time_past,
        "mediantxsize": size.median(),
        "minfee": fee.least(),
        "minfeerate": rate.least(),
        "mintxsize": size.least(),
        "outs": outputs,
        "subsidy": context.params().subsidy(info.height).0,
        "swtotal_size": if witnesses > 0 { size.sum() } else { 0 },
        "swtotal_weight": if witnesses > 0 { weight(size.sum() as usize) } else { 0 },
        "swtxs": size.sorted.len(),
        "time": info.header.time,
        "total_out": paid_out,
        "total_size": size.sum(),
        "total_weight": weight(size.sum() as usize),
        "totalfee": fee.sum(),
        "txs": block.transactions.len(),
        "utxo_increase": outputs as i64 - inputs as i64,
        "utxo_increase_actual": grown,
        "utxo_size_inc": (outputs as i64 - inputs as i64) * (OUTPUT_SIZE + PER_UTXO_OVERHEAD),
        "utxo_size_inc_actual": grown * (OUTPUT_SIZE + PER_UTXO_OVERHEAD),
    })
}

/// How many transactions the active chain has up to each height; grows as it is asked for, and shrinks with a
/// reorganisation.
#[derive(Debug, Default)]
pub(crate) struct TxTotals(Vec<(BlockHash, u64)>);

impl TxTotals {
    /// Transactions of the active chain up to `height`, that block's included.
    fn up_to(&mut self, context: &Context, view: &View, height: u32) -> Result<u64, RpcError> {
        let same =
            |(height, total): (usize, &(BlockHash, u64))| view.active.get(height as u32) != Some(total.0);
        // the chain that was counted is followed down to where the present one leaves it
        while self.0.len().checked_sub(1).is_some_and(|last| same((last, &self.0[last]))) {
            self.0.pop();
        }
        for height in self.0.len() as u32..=height {
            let block = view.active.get(height).and_then(|hash| view.block(&hash));
            let block = block.ok_or_else(|| RpcError::not_found("Block not found"))?;
            let before = self.0.last().map_or(0, |(_, total)| *total);
            self.0.push((block.hash, before + context.transaction_count(block)? as u64));
        }
        Ok(self.0[height as usize].1)
    }
}

/// Seconds that a block should take; where the difficulty never changes, Bitcoin's.
fn spacing_secs(params: &Params) -> u32 {
    let blocks = i64::from(params.retarget_interval.unwrap_or(1).max(1));
    let spacing = params.retarget_interval.map_or(600, |_| params.target_timespan_secs / blocks);
    u32::try_from(spacing).unwrap_or(600).max(1)
}

#[derive(Serialize)]
struct ChainTxStats {
    time: u32,
    txcount: u64,
    window_final_block_hash: BlockHash,
    window_final_block_height: u32,
    window_block_count: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    window_tx_count: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    window_interval: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    txrate: Option<f64>,
}

fn get_chain_tx_stats(call: &Call) -> Outcome {
    let context = &call.context;
    let view = context.view();
    let last = match call.params.raw(1) {
        None => Arc::clone(&view.tip),
        Some(_) => {
            let hash: BlockHash = call.params.hash(1)?;
            let found = view.block(&hash).ok_or_else(|| RpcError::not_found("Block not found"))?;
            if !view.is_active(&hash) {
                return Err(RpcError::invalid("Block is not in main chain"));
            }
            Arc::clone(found)
        }
    };
    let most = last.height.saturating_sub(1);
    let blocks = match call.params.integer(0)? {
        None => (MONTH_SECS / spacing_secs(context.params())).min(most),
        Some(blocks) => u32::try_from(blocks).ok().filter(|blocks| *blocks == 0 || *blocks < last.height).ok_or_else(|| {
            let limit = last.height.saturating_sub(1);
            RpcError::invalid(format!(
                "Invalid block count: {blocks} should be between 0 and the block's height - 1, which is {limit}"
            ))
        })?,
    };
    let mut totals = context.tx_totals();
    let txcount = totals.up_to(context, &view, last.height)?;
    let before = last.height - blocks;
    let in_window = txcount - totals.up_to(context, &view, before)?;
    drop(totals);
    let first = view.active.get(before).and_then(|hash| view.block(&hash));
    let interval = first.map(|first| i64::from(last.median_time_past) - i64::from(first.median_time_past));
    let interval = interval.filter(|_| blocks > 0);
    answer(&ChainTxStats {
        time: last.header.time,
        txcount,
        window_final_block_hash: last.hash,
        window_final_block_height: last.height,
        window_block_count: blocks,
        window_tx_count: (blocks > 0).then_some(in_window),
        window_interval: interval,
        txrate: interval.filter(|interval| *interval > 0).map(|interval| in_window as f64 / interval as f64),
    })
}

fn deployment_info(call: &Call) -> Result<Value, RpcError> {
    let view = call.context.view();
    let block = match call.params.raw(0) {
        None => &view.tip,
        Some(_) => view.block(&call.params.hash(0)?).ok_or_else(|| RpcError::not_found("Block not found"))?,
    };
    Ok(deployments_at(block))
}

/// `getdeploymentinfo` as of a block.
pub(crate) fn deployments_at(block: &BlockInfo) -> Value {
    json!({ "hash": block.hash, "height": block.height, "deployments": {} })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_taken_by_size() {
        assert_eq!(percentiles(Vec::new()), [0; 5]);
        assert_eq!(percentiles(vec![(7, 1)]), [7; 5]);
        // 80 bytes at 1, 10 at 5, 10 at 9
        assert_eq!(percentiles(vec![(9, 10), (1, 80), (5, 10)]), [1, 1, 1, 1, 5]);
    }

    #[test]
    fn a_spread_is_truncated_as_cores() {
        let spread = Spread::new(vec![4, 1, 2, 8]);
        assert_eq!((spread.mean(), spread.median(), spread.least(), spread.most()), (3, 3, 1, 8));
        assert_eq!(Spread::new(vec![5, 1, 9]).median(), 5);
        let none = Spread::new(Vec::new());
        assert_eq!((none.mean(), none.median(), none.least(), none.most()), (0, 0, 0, 0));
    }
}
