//! What happens on a node, for callers of RPC: `tine_events` for who polls, `GET /events` for who listens.
//!
//! Both tell the same numbered events, the last 20,000 of this run, from the first time that somebody asked on. The page
//! (`web/`) has a feed of its own of all its nodes.

use serde::Serialize;
use serde_json::value::RawValue;

use super::error::{Code, RpcError};
use super::registry::{Call, Category, Handler, Kind, Method, Outcome, answer, optional};

/// `tine_events {"after", "count"}` → what has happened since.
const EVENTS: &str = "tine_events";
/// The most events in one answer.
const MAX_EVENTS: i64 = 5_000;

pub(crate) const METHODS: &[Method] = &[Method {
    name: EVENTS,
    category: Category::Tine,
    params: &[
        optional(
            "after",
            Kind::Number,
            "The number of the last event that is known. Default 0: all that are kept.",
        ),
        optional("count", Kind::Number, "How many, 1 to 5000. Default 1000."),
    ],
    help: "What happened on this node: headers seen, tips, reorganisations with the fate of each transaction, \
           transactions that came and went, double spends, links. Kept from the first call on; last is the number to \
           ask after next, run changes when the node is restarted. GET /events on the same port gives them as \
           server-sent events, with the same password.",
    handler: Handler::Now(events),
}];

fn events(call: &Call) -> Outcome {
    #[derive(Serialize)]
    struct Events<'a> {
        run: &'a str,
        last: u64,
        events: Vec<&'a RawValue>,
    }
    let after = call.params.integer_in(0, 0..=i64::MAX)?.unwrap_or(0).unsigned_abs();
    let count = call.params.integer_in(1, 1..=MAX_EVENTS)?.unwrap_or(1_000);
    let feed = call.context.feed();
    let found = feed.since(after + 1, usize::try_from(count).expect("the range was checked"));
    let broken = |error: serde_json::Error| RpcError::new(Code::Internal, error.to_string());
    let events = found.iter().map(|event| serde_json::from_str(&event.json)).collect::<Result<Vec<_>, _>>();
    let last = found.last().map_or_else(|| feed.last(), |event| event.id);
    answer(&Events { run: &feed.run, last, events: events.map_err(broken)? })
}
