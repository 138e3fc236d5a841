//! Core's mempool methods, out of the published picture.

use std::collections::BTreeSet;

use serde::Serialize;
use serde::ser::SerializeMap;
use tine_chain::amount::Amount;
use tine_chain::hash::{Txid, Wtxid};

use super::amount::Coins;
use super::context::Context;
use super::error::RpcError;
use super::registry::{Call, Category, Handler, Kind, Method, Outcome, answer, optional, required};
use super::shapes;
use crate::view::{MempoolEntry, MempoolView};

pub(crate) const METHODS: &[Method] = &[
    Method {
        name: "getmempoolentry",
        category: Category::Blockchain,
        params: &[required("txid", Kind::Hex, "The transaction's id.")],
        help: "What the mempool knows of a transaction.",
        handler: Handler::Now(get_mempool_entry),
    },
    Method {
        name: "getmempoolancestors",
        category: Category::Blockchain,
        params: &[
            required("txid", Kind::Hex, "The transaction's id."),
            optional("verbose", Kind::Flag, "true: with what the mempool knows of each. Default false."),
        ],
        help: "The unconfirmed transactions that a transaction depends on.",
        handler: Handler::Now(|call| relatives(call, MempoolView::ancestors)),
    },
    Method {
        name: "getmempooldescendants",
        category: Category::Blockchain,
        params: &[
            required("txid", Kind::Hex, "The transaction's id."),
            optional("verbose", Kind::Flag, "true: with what the mempool knows of each. Default false."),
        ],
        help: "The unconfirmed transactions that depend on a transaction.",
        handler: Handler::Now(|call| relatives(call, MempoolView::descendants)),
    },
    Method {
        name: "getmempoolinfo",
        category: Category::Blockchain,
        params: &[],
        help: "The mempool in sum.",
        handler: Handler::Now(get_mempool_info),
    },
    Method {
        name: "getrawmempool",
        category: Category::Blockchain,
        params: &[
            optional("verbose", Kind::Flag, "true: with what the mempool knows of each. Default false."),
            optional(
                "mempool_sequence",
                Kind::Flag,
                "true: an object with the ids and the picture's number.",
            ),
        ],
        help: "The ids of all transactions in the mempool.",
        handler: Handler::Now(get_raw_mempool),
    },
];

impl MempoolView {
    fn closure(&self, start: &MempoolEntry, next: impl Fn(&MempoolEntry) -> Vec<Txid>) -> BTreeSet<Txid> {
        let mut found = BTreeSet::new();
        let mut open = next(start);
        while let Some(txid) = open.pop() {
            if let Some(entry) = self.get(&txid)
                && found.insert(txid)
            {
                open.extend(next(entry));
            }
        }
        found
    }

    /// The waiting transactions whose outputs `entry` spends.
    pub(crate) fn parents(&self, entry: &MempoolEntry) -> Vec<Txid> {
        let parents: BTreeSet<Txid> = entry.tx.inputs.iter().map(|input| input.prevout.txid).collect();
        parents.into_iter().filter(|txid| self.get(txid).is_some()).collect()
    }

    /// The waiting transactions that spend an output of `entry`.
    pub(crate) fn children(&self, entry: &MempoolEntry) -> Vec<Txid> {
        let outputs = 0..u32::try_from(entry.tx.outputs.len()).unwrap_or(u32::MAX);
        let children: BTreeSet<Txid> = outputs
            .filter_map(|vout| self.spender_of(&entry.tx.outpoint(vout)))
            .map(|child| child.tx.txid())
            .collect();
        children.into_iter().collect()
    }

    /// All that `entry` depends on, itself not among them.
    pub(crate) fn ancestors(&self, entry: &MempoolEntry) -> BTreeSet<Txid> {
        self.closure(entry, |entry| self.parents(entry))
    }

    /// All that depend on `entry`, itself not among them.
    pub(crate) fn descendants(&self, entry: &MempoolEntry) -> BTreeSet<Txid> {
        self.closure(entry, |entry| self.children(entry))
    }
}

#[derive(Serialize)]
struct Fees {
    base: Coins,
    modified: Coins,
    ancestor: Coins,
    descendant: Coins,
}

#[derive(Serialize)]
struct EntryJson {
    vsize: usize,
    weight: usize,
    time: u64,
    height: u32,
    descendantcount: usize,
    descendantsize: usize,
    ancestorcount: usize,
    ancestorsize: usize,
    wtxid: Wtxid,
    fees: Fees,
    depends: Vec<Txid>,
    spentby: Vec<Txid>,
    #[serde(rename = "bip125-replaceable")]
    bip125_replaceable: bool,
    unbroadcast: bool,
}

/// Number, bytes and fees of `entry` and its relatives.
fn sums(pool: &MempoolView, entry: &MempoolEntry, relatives: &BTreeSet<Txid>) -> (usize, usize, Amount) {
    relatives
        .iter()
        .filter_map(|txid| pool.get(txid))
        .fold((1, entry.tx.size(), entry.fee), |(count, size, fee), other| {
            (count + 1, size + other.tx.size(), Amount(fee.0 + other.fee.0))
        })
}

fn entry_json(pool: &MempoolView, entry: &MempoolEntry) -> EntryJson {
    let (ancestorcount, ancestorsize, ancestor) = sums(pool, entry, &pool.ancestors(entry));
    let (descendantcount, descendantsize, descendant) = sums(pool, entry, &pool.descendants(entry));
    EntryJson {
        vsize: entry.tx.size(),
        weight: shapes::weight(entry.tx.size()),
        time: entry.time.as_secs(),
        height: entry.height,
        descendantcount,
        descendantsize,
        ancestorcount,
        ancestorsize,
        wtxid: entry.tx.wtxid(),
        fees: Fees {
            base: entry.fee.into(),
            modified: entry.fee.into(),
            ancestor: ancestor.into(),
            descendant: descendant.into(),
        },
        depends: pool.parents(entry),
        spentby: pool.children(entry),
        bip125_replaceable: false,
        unbroadcast: false,
    }
}

/// An object of entries by id, written without building it first.
struct ById<'a>(&'a MempoolView, Vec<&'a MempoolEntry>);

impl Serialize for ById<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.1.len()))?;
        for entry in &self.1 {
            map.serialize_entry(&entry.tx.txid(), &entry_json(self.0, entry))?;
        }
        map.end()
    }
}

fn find<'a>(pool: &'a MempoolView, call: &Call) -> Result<&'a MempoolEntry, RpcError> {
    pool.get(&call.params.hash(0)?).ok_or_else(|| RpcError::not_found("Transaction not in mempool"))
}

fn get_mempool_entry(call: &Call) -> Outcome {
    let view = call.context.view();
    answer(&entry_json(&view.mempool, find(&view.mempool, call)?))
}

fn relatives(call: &Call, of: fn(&MempoolView, &MempoolEntry) -> BTreeSet<Txid>) -> Outcome {
    let view = call.context.view();
    let pool = &view.mempool;
    let found = of(pool, find(pool, call)?);
    if call.params.flag(1, false)? {
        return answer(&ById(pool, found.iter().filter_map(|txid| pool.get(txid)).collect()));
    }
    answer(&found)
}

fn get_raw_mempool(call: &Call) -> Outcome {
    #[derive(Serialize)]
    struct WithSequence {
        txids: Vec<Txid>,
        mempool_sequence: u64,
    }
    let view = call.context.view();
    let pool = &view.mempool;
    let with_sequence = call.params.flag(1, false)?;
    if call.params.flag(0, false)? {
        if with_sequence {
            return Err(RpcError::invalid("Verbose results cannot contain mempool sequence values."));
        }
        return answer(&ById(pool, pool.entries.iter().collect()));
    }
    let txids: Vec<Txid> = pool.entries.iter().map(|entry| entry.tx.txid()).collect();
    match with_sequence {
        true => answer(&WithSequence { txids, mempool_sequence: view.number }),
        false => answer(&txids),
    }
}

/// A fee rate as Core writes it: coins for 1,000 bytes.
pub(crate) fn fee_rate(units_per_kb: u64) -> Coins {
    Coins(Amount(units_per_kb))
}

fn get_mempool_info(call: &Call) -> Outcome {
    #[derive(Serialize)]
    struct Info {
        loaded: bool,
        size: usize,
        bytes: usize,
        usage: usize,
        total_fee: Coins,
        maxmempool: usize,
        mempoolminfee: Coins,
        minrelaytxfee: Coins,
        incrementalrelayfee: Coins,
        unbroadcastcount: usize,
        fullrbf: bool,
    }
    let context: &Context = &call.context;
    let view = context.view();
    let pool = &view.mempool;
    answer(&Info {
        loaded: true,
        size: pool.entries.len(),
        bytes: pool.bytes,
        usage: pool.bytes,
        total_fee: Coins(Amount(pool.entries.iter().map(|entry| entry.fee.0).sum())),
        maxmempool: context.max_mempool_bytes,
        mempoolminfee: fee_rate(pool.min_fee_rate),
        minrelaytxfee: fee_rate(context.min_relay_fee_rate),
        incrementalrelayfee: fee_rate(context.min_relay_fee_rate),
        unbroadcastcount: 0,
        fullrbf: false,
    })
}
