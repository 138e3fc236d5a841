//! `/metrics` for Prometheus: what a node's picture, network and miner say, and how its RPC is used, in OpenMetrics text.
//!
//! Nothing is counted twice: what others count already is read when somebody asks. Only the calls of RPC are counted
//! here.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use tine_chain::chain::ChainTipStatus;

use crate::rpc::Context;
use crate::rpc::transport::open_work;
use crate::view::View;

/// Upper ends of the histogram of a call's time, in seconds.
const CALL_SECONDS: [f64; 8] = [0.000_1, 0.000_5, 0.002, 0.01, 0.05, 0.25, 1.0, 5.0];

/// A method, as a label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfMethod {
    method: &'static str,
}

/// An error's number, as a label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfCode {
    code: i32,
}

/// How RPC is used.
#[derive(Clone)]
pub(crate) struct CallMetrics {
    seconds: Family<OfMethod, Histogram, fn() -> Histogram>,
    errors: Family<OfCode, Counter>,
}

impl fmt::Debug for CallMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CallMetrics")
    }
}

impl Default for CallMetrics {
    fn default() -> Self {
        let histogram: fn() -> Histogram = || Histogram::new(CALL_SECONDS);
        Self { seconds: Family::new_with_constructor(histogram), errors: Family::default() }
    }
}

impl CallMetrics {
    /// A call of `method` has ended.
    pub(crate) fn ended(&self, method: &'static str, took: Duration) {
        self.seconds.get_or_create(&OfMethod { method }).observe(took.as_secs_f64());
    }

    /// A call was answered by an error.
    pub(crate) fn failed(&self, code: i32) {
        self.errors.get_or_create(&OfCode { code }).inc();
    }
}

/// The route `/metrics`.
pub(crate) fn router(context: Arc<Context>) -> Router {
    let mut registry = Registry::with_prefix("tine");
    let calls = context.call_metrics();
    registry.register_with_unit(
        "rpc_call_duration",
        "How long JSON-RPC calls took to answer, by method",
        Unit::Seconds,
        calls.seconds.clone(),
    );
    registry.register(
        "rpc_errors",
        "JSON-RPC calls answered by an error, by its number",
        calls.errors.clone(),
    );
    registry.register_collector(Box::new(NodeCollector(context)));
    Router::new().route("/metrics", get(serve)).with_state(Arc::new(registry))
}

async fn serve(State(registry): State<Arc<Registry>>) -> Response {
    let written = open_work(move || {
        let mut text = String::new();
        encode(&mut text, &registry).map(|()| text)
    });
    match written.await {
        Ok(Ok(text)) => {
            let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
            ([(header::CONTENT_TYPE, kind)], text).into_response()
        }
        Ok(Err(_)) | Err(_) => {
            (StatusCode::INTERNAL_SERVER_ERROR, "the metrics can't be written\n").into_response()
        }
    }
}

/// Reads what the node has published.
#[derive(Debug)]
struct NodeCollector(Arc<Context>);

/// Writes metrics one after the other.
struct Writer<'a>(DescriptorEncoder<'a>);

impl Writer<'_> {
    fn gauge(&mut self, name: &str, help: &str, unit: Option<Unit>, value: f64) -> fmt::Result {
        let gauge = ConstGauge::new(value);
        gauge.encode(self.0.encode_descriptor(name, help, unit.as_ref(), gauge.metric_type())?)
    }

    fn counter(&mut self, name: &str, help: &str, unit: Option<Unit>, value: u64) -> fmt::Result {
        let counter = ConstCounter::new(value);
        counter.encode(self.0.encode_descriptor(name, help, unit.as_ref(), counter.metric_type())?)
    }

    /// One gauge for each value of a label.
    fn gauges(
        &mut self,
        name: &str,
        help: &str,
        label: &'static str,
        values: &[(&'static str, f64)],
    ) -> fmt::Result {
        let kind = ConstGauge::new(0.0).metric_type();
        let mut encoder = self.0.encode_descriptor(name, help, None, kind)?;
        for (value, number) in values {
            ConstGauge::new(*number).encode(encoder.encode_family(&[(label, *value)])?)?;
        }
        Ok(())
    }

    /// One counter for each value of a label.
    fn counters(
        &mut self,
        name: &str,
        help: &str,
        label: &'static str,
        values: &[(&'static str, u64)],
    ) -> fmt::Result {
        let kind = ConstCounter::new(0u64).metric_type();
        let mut encoder = self.0.encode_descriptor(name, help, None, kind)?;
        for (value, number) in values {
            ConstCounter::new(*number).encode(encoder.encode_family(&[(label, *value)])?)?;
        }
        Ok(())
    }
}

impl Collector for NodeCollector {
    fn encode(&self, encoder: DescriptorEncoder) -> fmt::Result {
        let (context, mut writer) = (&self.0, Writer(encoder));
        let view = context.view();
        about(context, &view, &mut writer)?;
        chain(context, &view, &mut writer)?;
        mempool(&view, &mut writer)?;
        network(context, &mut writer)?;
        miner(context, &mut writer)
    }
}

fn about(context: &Context, view: &View, writer: &mut Writer<'_>) -> fmt::Result {
    let labels = [
        ("name", context.name.as_str()),
        ("network", view.network.name()),
        ("version", env!("CARGO_PKG_VERSION")),
    ];
    let kind = ConstGauge::new(1.0).metric_type();
    let mut encoder =
        writer.0.encode_descriptor("node", "Always 1; the labels say which node this is", None, kind)?;
    ConstGauge::new(1.0).encode(encoder.encode_family(&labels)?)?;
    let uptime = context.uptime().as_secs_f64();
    writer.gauge("uptime", "Time since the node was started", Some(Unit::Seconds), uptime)
}

fn chain(context: &Context, view: &View, writer: &mut Writer<'_>) -> fmt::Result {
    let tip = &view.tip;
    writer.gauge("block_height", "Height of the active tip", None, f64::from(tip.height))?;
    let headers = view.best_header.height.max(tip.height);
    writer.gauge("header_height", "Height of the best header that is known", None, f64::from(headers))?;
    let time = f64::from(tip.header.time);
    writer.gauge("tip_time", "Time in the active tip's header, since 1970", Some(Unit::Seconds), time)?;
    writer.gauge(
        "chain_work",
        "Cumulative work of the active tip, in hashes",
        None,
        f64::from(tip.work.0),
    )?;
    let catching_up = if view.syncing { 1.0 } else { 0.0 };
    writer.gauge("syncing", "1 while the node is catching up, else 0", None, catching_up)?;
    let count = |status| view.tips.iter().filter(|tip| tip.status == status).count() as f64;
    let tips = [
        ("active", ChainTipStatus::Active),
        ("valid-fork", ChainTipStatus::ValidFork),
        ("valid-headers", ChainTipStatus::ValidHeaders),
        ("headers-only", ChainTipStatus::HeadersOnly),
        ("invalid", ChainTipStatus::Invalid),
    ];
    let tips: Vec<_> = tips.into_iter().map(|(name, status)| (name, count(status))).collect();
    writer.gauges(
        "chain_tips",
        "Ends of branches of the block tree, by status as in getchaintips",
        "status",
        &tips,
    )?;
    let last = view.reorgs.last();
    let reorgs = last.map_or(0, |reorg| reorg.number + 1);
    writer.counter("reorganisations", "Reorganisations that the journal has", None, reorgs)?;
    let depth = last.map_or(0, |reorg| reorg.disconnected.len());
    writer.gauge(
        "last_reorganisation_depth",
        "Blocks that the last reorganisation took out",
        None,
        depth as f64,
    )?;
    let bytes = context.size_on_disk() as f64;
    writer.gauge("disk_usage", "Files in the node's directory", Some(Unit::Bytes), bytes)
}

fn mempool(view: &View, writer: &mut Writer<'_>) -> fmt::Result {
    let pool = &view.mempool;
    writer.gauge("mempool_transactions", "Transactions that wait to be mined", None, pool.len() as f64)?;
    writer.gauge("mempool_size", "Their encodings together", Some(Unit::Bytes), pool.bytes() as f64)?;
    writer.gauge("mempool_usage", "Memory that they take", Some(Unit::Bytes), pool.usage() as f64)?;
    let limit = pool.limits().max_usage as f64;
    writer.gauge("mempool_limit", "Memory that they may take", Some(Unit::Bytes), limit)?;
    let rate = pool.min_fee_rate().units_per_kilobyte() as f64;
    writer.gauge("mempool_min_fee_rate", "Least fee rate taken, in base units for 1,000 bytes", None, rate)
}

fn network(context: &Context, writer: &mut Writer<'_>) -> fmt::Result {
    let Some(status) = context.network.as_ref().map(tine_p2p::Network::status) else { return Ok(()) };
    let outbound = status.peers.iter().filter(|peer| peer.outbound).count();
    let inbound = status.peers.len() - outbound;
    let peers = [("inbound", inbound as f64), ("outbound", outbound as f64)];
    writer.gauges("peers", "Connected peers, by who dialled", "direction", &peers)?;
    writer.gauge(
        "peers_banned",
        "Identities and addresses that are refused",
        None,
        status.banned.len() as f64,
    )?;
    writer.gauge("peers_cut", "Identities that the node is cut off from", None, status.cut.len() as f64)?;
    let counters = status.counters;
    let bytes = Some(Unit::Bytes);
    let (sent, received) = (counters.bytes_sent, counters.bytes_received);
    writer.counter("network_sent", "Requests and responses sent to peers", bytes.clone(), sent)?;
    writer.counter("network_received", "Requests, responses and gossip from peers", bytes, received)?;
    let verdicts = [
        ("accepted", counters.gossip_accepted),
        ("rejected", counters.gossip_rejected),
        ("ignored", counters.gossip_ignored),
    ];
    writer.counters(
        "gossip_messages",
        "Gossiped messages, by what was made of them",
        "verdict",
        &verdicts,
    )?;
    writer.counter(
        "connections_refused",
        "Connections refused: cut, banned or over a limit",
        None,
        counters.refused,
    )?;
    writer.counter("malformed_messages", "Byte strings that were no message", None, counters.malformed)
}

fn miner(context: &Context, writer: &mut Writer<'_>) -> fmt::Result {
    let Some(status) = context.miner.as_ref().map(crate::miner::MinerHandle::status) else { return Ok(()) };
    writer.gauge(
        "miner_hash_rate",
        "Hashes a second of the node's own miner, measured",
        None,
        status.hashrate,
    )?;
    writer.counter("miner_hashes", "Hashes of the node's own miner", None, status.hashes)?;
    writer.counter("miner_blocks", "Blocks that the node's own miner found", None, status.blocks)
}
