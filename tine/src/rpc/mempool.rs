//! Core's mempool methods, out of the published picture; and what an operator does to the mempool.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize};
use tine_chain::amount::Amount;
use tine_chain::hash::{Txid, Wtxid};
use tine_chain::transaction::OutPoint;
use tine_node::mempool::{Entry, INCREMENTAL_FEE, MAX_PACKAGE_COUNT, MAX_PACKAGE_SIZE, Mempool};

use super::amount::Coins;
use super::context::Context;
use super::error::{Code, RpcError};
use super::registry::{Call, Category, Handler, Kind, Method, Outcome, answer, optional, required};
use super::shapes;
use crate::mempool_file::{ImportOptions, MempoolFiles};

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
        handler: Handler::Now(|call| relatives(call, |pool, entry| pool.ancestors_of(&entry.tx))),
    },
    Method {
        name: "getmempooldescendants",
        category: Category::Blockchain,
        params: &[
            required("txid", Kind::Hex, "The transaction's id."),
            optional("verbose", Kind::Flag, "true: with what the mempool knows of each. Default false."),
        ],
        help: "The unconfirmed transactions that depend on a transaction.",
        handler: Handler::Now(|call| relatives(call, |pool, entry| pool.descendants_of(&entry.tx.txid()))),
    },
    Method {
        name: "getmempoolinfo",
        category: Category::Blockchain,
        params: &[],
        help: "The mempool in sum.",
        handler: Handler::Quick(|call| answer(&info(&call.context))),
    },
    Method {
        name: "getprioritisedtransactions",
        category: Category::Mining,
        params: &[],
        help: "What prioritisetransaction was told, by transaction.",
        handler: Handler::Now(get_prioritised_transactions),
    },
    Method {
        name: "getrawmempool",
        category: Category::Blockchain,
        params: &[
            optional("verbose", Kind::Flag, "true: with what the mempool knows of each. Default false."),
            optional(
                "mempool_sequence",
                Kind::Flag,
                "true: an object with the ids and how many entries have come and gone.",
            ),
        ],
        help: "The ids of all transactions in the mempool.",
        handler: Handler::Now(get_raw_mempool),
    },
    Method {
        name: "gettxspendingprevout",
        category: Category::Blockchain,
        params: &[required("outputs", Kind::Array, "Objects with txid and vout.")],
        help: "Which transactions of the mempool spend these coins.",
        handler: Handler::Now(get_tx_spending_prevout),
    },
    Method {
        name: "importmempool",
        category: Category::Blockchain,
        params: &[
            required("filepath", Kind::Text, "A mempool.dat, on the node's machine."),
            optional(
                "options",
                Kind::Object,
                "use_current_time (default true): as if they came now; apply_fee_delta_priority (default false): \
                 with what prioritisetransaction was told there.",
            ),
        ],
        help: "Takes in the transactions of a mempool.dat.",
        handler: Handler::Now(import_mempool),
    },
    Method {
        name: "prioritisetransaction",
        category: Category::Mining,
        params: &[
            required("txid", Kind::Hex, "The transaction's id; it may still have to come."),
            optional("dummy", Kind::Number, "Must be 0 or null."),
            required(
                "fee_delta",
                Kind::Number,
                "Base units to add to what the transaction counts as paying.",
            ),
        ],
        help: "Makes a transaction count as paying more, or less, for mining, eviction and replacement. The fee itself \
               is not changed.",
        handler: Handler::Now(prioritise_transaction),
    },
    Method {
        name: "savemempool",
        category: Category::Blockchain,
        params: &[],
        help: "Writes the mempool to mempool.dat.",
        handler: Handler::Now(save_mempool),
    },
    Method {
        name: "tine_listconflicts",
        category: Category::Tine,
        params: &[],
        help: "The last 100 times that two transactions wanted the same coin, oldest first: which stayed, which was \
               refused or went, and what decided (refused, replaced, mined). Forgotten at a restart.",
        handler: Handler::Now(|call| answer(&call.context.view().conflicts)),
    },
];

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
    descendantcount: u32,
    descendantsize: u64,
    ancestorcount: u32,
    ancestorsize: u64,
    wtxid: Wtxid,
    fees: Fees,
    depends: BTreeSet<Txid>,
    spentby: BTreeSet<Txid>,
    #[serde(rename = "bip125-replaceable")]
    bip125_replaceable: bool,
    unbroadcast: bool,
}

fn entry_json(pool: &Mempool, entry: &Entry) -> EntryJson {
    let txid = entry.tx.txid();
    EntryJson {
        vsize: entry.tx.size(),
        weight: shapes::weight(entry.tx.size()),
        time: entry.time.as_secs(),
        height: entry.height,
        descendantcount: entry.descendants.count,
        descendantsize: entry.descendants.size,
        ancestorcount: entry.ancestors.count,
        ancestorsize: entry.ancestors.size,
        wtxid: entry.tx.wtxid(),
        fees: Fees {
            base: entry.fee.into(),
            modified: entry.modified.into(),
            ancestor: entry.ancestors.fees.into(),
            descendant: entry.descendants.fees.into(),
        },
        depends: pool.parents_of(&entry.tx).map(|parent| parent.tx.txid()).collect(),
        spentby: pool.children_of(&txid).collect(),
        // Core: "whether this transaction signals BIP125 replaceability or has an unconfirmed ancestor signaling"
        bip125_replaceable: pool.signals_replacement(&txid),
        unbroadcast: false,
    }
}

/// An object of entries by id, written without building it first.
struct ById<'a>(&'a Mempool, Vec<&'a Entry>);

impl Serialize for ById<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.1.len()))?;
        for entry in &self.1 {
            map.serialize_entry(&entry.tx.txid(), &entry_json(self.0, entry))?;
        }
        map.end()
    }
}

fn find<'a>(pool: &'a Mempool, call: &Call) -> Result<&'a Entry, RpcError> {
    pool.get(&call.params.hash(0)?).ok_or_else(|| RpcError::not_found("Transaction not in mempool"))
}

fn get_mempool_entry(call: &Call) -> Outcome {
    let view = call.context.view();
    answer(&entry_json(&view.mempool, find(&view.mempool, call)?))
}

fn relatives(call: &Call, of: fn(&Mempool, &Entry) -> BTreeSet<Txid>) -> Outcome {
    let view = call.context.view();
    let pool = &view.mempool;
    let found = of(pool, find(pool, call)?);
    if call.params.flag(1, false)? {
        return answer(&ById(pool, found.iter().filter_map(|txid| pool.get(txid)).collect()));
    }
    answer(&found)
}

fn get_raw_mempool(call: &Call) -> Outcome {
    contents(&call.context, call.params.flag(0, false)?, call.params.flag(1, false)?)
}

/// `getrawmempool`, and `/rest/mempool/contents.json`.
pub(crate) fn contents(context: &Context, verbose: bool, with_sequence: bool) -> Outcome {
    #[derive(Serialize)]
    struct WithSequence {
        txids: Vec<Txid>,
        mempool_sequence: u64,
    }
    let view = context.view();
    let pool = &view.mempool;
    if verbose {
        if with_sequence {
            return Err(RpcError::invalid("Verbose results cannot contain mempool sequence values."));
        }
        return answer(&ById(pool, pool.entries().collect()));
    }
    let txids: Vec<Txid> = pool.entries().map(|entry| entry.tx.txid()).collect();
    match with_sequence {
        true => answer(&WithSequence { txids, mempool_sequence: pool.changes() }),
        false => answer(&txids),
    }
}

/// A fee rate as Core writes it: coins for 1,000 bytes.
pub(crate) fn fee_rate(units_per_kb: u64) -> Coins {
    Coins(Amount(units_per_kb))
}

/// `getmempoolinfo`.
#[derive(Serialize)]
pub(crate) struct MempoolInfo {
    loaded: bool,
    size: usize,
    bytes: u64,
    usage: u64,
    total_fee: Coins,
    maxmempool: u64,
    mempoolminfee: Coins,
    minrelaytxfee: Coins,
    incrementalrelayfee: Coins,
    unbroadcastcount: usize,
    fullrbf: bool,
    /// Thresholds are spelled out in witnesses, whoever they pay: nothing is forbidden.
    permitbaremultisig: bool,
    /// Outputs carry a lock and nothing else.
    maxdatacarriersize: u64,
    /// Core limits clusters; ours are limits of an entry with all its ancestors, and with all its descendants.
    limitclustercount: u32,
    limitclustersize: u64,
    /// Blocks are filled by ancestor fee rate, which is good but not always the best.
    optimal: bool,
}

pub(crate) fn info(context: &Context) -> MempoolInfo {
    let view = context.view();
    let (pool, limits) = (&view.mempool, view.mempool.limits());
    MempoolInfo {
        loaded: context.mempool_files.as_ref().is_none_or(|files| files.is_loaded()),
        size: pool.len(),
        bytes: pool.bytes(),
        usage: pool.usage(),
        total_fee: Coins(pool.total_fees()),
        maxmempool: limits.max_usage,
        mempoolminfee: fee_rate(pool.min_fee_rate().units_per_kilobyte()),
        minrelaytxfee: fee_rate(limits.min_relay_fee.units_per_kilobyte()),
        incrementalrelayfee: fee_rate(INCREMENTAL_FEE),
        unbroadcastcount: 0,
        fullrbf: limits.full_rbf,
        permitbaremultisig: true,
        maxdatacarriersize: 0,
        limitclustercount: MAX_PACKAGE_COUNT,
        limitclustersize: MAX_PACKAGE_SIZE,
        optimal: false,
    }
}

fn get_tx_spending_prevout(call: &Call) -> Outcome {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Coin {
        txid: Txid,
        vout: u32,
    }
    #[derive(Serialize)]
    struct Spent {
        txid: Txid,
        vout: u32,
        #[serde(skip_serializing_if = "Option::is_none")]
        spendingtxid: Option<Txid>,
    }
    let coins: Vec<Coin> = call.params.required(0)?;
    if coins.is_empty() {
        return Err(RpcError::invalid("Invalid parameter, outputs are missing"));
    }
    let view = call.context.view();
    let spent = |Coin { txid, vout }| Spent {
        txid,
        vout,
        spendingtxid: view.mempool.spender_of(&OutPoint { txid, vout }),
    };
    answer(&coins.into_iter().map(spent).collect::<Vec<_>>())
}

fn prioritise_transaction(call: &Call) -> Outcome {
    let txid: Txid = call.params.hash(0)?;
    if call.params.integer(1)?.is_some_and(|dummy| dummy != 0) {
        return Err(RpcError::invalid(
            "Priority is no longer supported, dummy argument to prioritisetransaction must be 0.",
        ));
    }
    let delta = call.params.integer(2)?.unwrap_or(0);
    call.context.node.control_blocking(move |node, _| {
        node.prioritise(txid, delta);
        Ok((Vec::new(), ()))
    })?;
    answer(&true)
}

fn get_prioritised_transactions(call: &Call) -> Outcome {
    #[derive(Serialize)]
    struct Prioritised {
        fee_delta: i64,
        in_mempool: bool,
        #[serde(skip_serializing_if = "Option::is_none")]
        modified_fee: Option<u64>,
    }
    let view = call.context.view();
    let pool = &view.mempool;
    let told: BTreeMap<Txid, Prioritised> = pool
        .deltas()
        .map(|(txid, fee_delta)| {
            let entry = pool.get(&txid);
            let modified_fee = entry.map(|entry| entry.modified.0);
            (txid, Prioritised { fee_delta, in_mempool: entry.is_some(), modified_fee })
        })
        .collect();
    answer(&told)
}

fn files(call: &Call) -> Result<&Arc<MempoolFiles>, RpcError> {
    let refuse = || RpcError::new(Code::Misc, "this node keeps no files");
    call.context.mempool_files.as_ref().ok_or_else(refuse)
}

fn save_mempool(call: &Call) -> Outcome {
    #[derive(Serialize)]
    struct SavedTo {
        filename: PathBuf,
    }
    let files = files(call)?;
    if !files.is_loaded() {
        return Err(RpcError::new(Code::Misc, "The mempool was not loaded yet"));
    }
    let failed =
        |error: std::io::Error| RpcError::new(Code::Misc, format!("Unable to dump mempool to disk: {error}"));
    let filename = files.save(&call.context.node).map_err(failed)?;
    answer(&SavedTo { filename })
}

fn import_mempool(call: &Call) -> Outcome {
    #[derive(Serialize)]
    struct Nothing {}
    let path = PathBuf::from(call.params.text(0)?);
    let options: ImportOptions = call.params.optional(1)?.unwrap_or_default();
    if call.context.view().syncing {
        let message = "Can only import the mempool after the block download and sync is done.";
        return Err(RpcError::new(Code::InitialDownload, message));
    }
    MempoolFiles::import(&call.context.node, &path, options)
        .map_err(|error| RpcError::new(Code::Misc, format!("Unable to import mempool file: {error}")))?;
    answer(&Nothing {})
}
