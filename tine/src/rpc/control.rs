//! Core's `Control` and `Util` methods: help, description of the interface, stop, addresses, fees.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Value, json};
use tine_chain::address::Address;
use tine_node::mempool::{Estimate, EstimateMode, MAX_TARGET};

use super::amount::Coins;
use super::error::{Code, RpcError};
use super::examples;
use super::mempool::fee_rate;
use super::registry::{
    self, Call, Category, Handler, Kind, Method, Outcome, Param, answer, optional, required,
};

pub(crate) const METHODS: &[Method] = &[
    Method {
        name: "echo",
        category: Category::Control,
        params: &[
            optional("arg0", Kind::Any, "Anything."),
            optional("arg1", Kind::Any, "Anything."),
            optional("arg2", Kind::Any, "Anything."),
            optional("arg3", Kind::Any, "Anything."),
            optional("arg4", Kind::Any, "Anything."),
            optional("arg5", Kind::Any, "Anything."),
            optional("arg6", Kind::Any, "Anything."),
            optional("arg7", Kind::Any, "Anything."),
            optional("arg8", Kind::Any, "Anything."),
            optional("arg9", Kind::Any, "Anything."),
        ],
        help: "Gives back what it is given, for tests of clients: null where nothing is, up to the last that is given.",
        handler: Handler::Quick(echo),
    },
    Method {
        name: "estimatesmartfee",
        category: Category::Util,
        params: &[
            required("conf_target", Kind::Number, "Blocks to wait at most, 1 to 1008."),
            optional(
                "estimate_mode",
                Kind::Text,
                "economical (default): old blocks count less; conservative: at least what all blocks say.",
            ),
        ],
        help: "The fee rate that gets a transaction mined within so many blocks, from what was mined at which rate and \
               what still waits. blocks is the wait that the answer holds for. While too little is known it is the \
               least that the mempool takes if all that waits fits into half a block, else an error.",
        handler: Handler::Now(estimate_smart_fee),
    },
    Method {
        name: "getopenrpcinfo",
        category: Category::Control,
        params: &[],
        help: "This interface as an OpenRPC document.",
        handler: Handler::Now(|_| answer(&openrpc())),
    },
    Method {
        name: "getrpcinfo",
        category: Category::Control,
        params: &[],
        help: "The state of the RPC server.",
        handler: Handler::Quick(get_rpc_info),
    },
    Method {
        name: "help",
        category: Category::Control,
        params: &[optional("command", Kind::Text, "A method.")],
        help: "All methods, or all there is to say about one.",
        handler: Handler::Now(help),
    },
    Method {
        name: "rpc.discover",
        category: Category::Control,
        params: &[],
        help: "This interface as an OpenRPC document, by the name that OpenRPC gives the method.",
        handler: Handler::Now(|_| answer(&openrpc())),
    },
    Method {
        name: "stop",
        category: Category::Control,
        params: &[optional("wait", Kind::Number, "Accepted and of no effect.")],
        help: "Stops the node's process. The nodes of a devnet are one process: it stops them all.",
        handler: Handler::Now(|call| {
            call.context.request_stop();
            answer("tine stopping")
        }),
    },
    Method {
        name: "uptime",
        category: Category::Control,
        params: &[],
        help: "Seconds since the node was started.",
        handler: Handler::Quick(|call| answer(&call.context.uptime().as_secs())),
    },
    Method {
        name: "validateaddress",
        category: Category::Util,
        params: &[required("address", Kind::Text, "The address.")],
        help: "Whether a text is an address of this network, and why not.",
        handler: Handler::Now(validate_address),
    },
];

fn get_rpc_info(call: &Call) -> Outcome {
    let active: Vec<Value> = (call.context.running_calls().into_iter())
        .map(|(method, time)| {
            json!({ "method": method, "duration": u64::try_from(time.as_micros()).unwrap_or(u64::MAX) })
        })
        .collect();
    // the log goes to standard error
    answer(&json!({ "active_commands": active, "logpath": "" }))
}

fn help(call: &Call) -> Outcome {
    match call.params.optional::<String>(0)? {
        Some(name) => match registry::find(&name) {
            Some(method) => answer(&method.help()),
            None => answer(&format!("help: unknown command: {name}")),
        },
        None => {
            let mut by_category: BTreeMap<Category, Vec<&Method>> = BTreeMap::new();
            for method in registry::all() {
                by_category.entry(method.category).or_default().push(method);
            }
            let sections: Vec<String> = (by_category.into_iter())
                .map(|(category, methods)| {
                    let lines: Vec<String> = methods.iter().map(|method| method.usage()).collect();
                    format!("== {} ==\n{}", category.title(), lines.join("\n"))
                })
                .collect();
            answer(&sections.join("\n\n"))
        }
    }
}

fn schema(kind: Kind) -> Value {
    match kind {
        Kind::Text => json!({ "type": "string" }),
        Kind::Hex => json!({ "type": "string", "pattern": "^[0-9a-fA-F]*$" }),
        Kind::Number => json!({ "type": "number" }),
        Kind::Amount => json!({ "type": ["number", "string"] }),
        Kind::Flag => json!({ "type": "boolean" }),
        Kind::Verbosity => json!({ "type": ["number", "boolean"] }),
        Kind::Array => json!({ "type": "array" }),
        Kind::Object => json!({ "type": "object" }),
        Kind::Any => json!({}),
    }
}

fn openrpc() -> Value {
    let param = |param: &Param| {
        json!({
            "name": param.name(),
            "required": param.required,
            "description": param.help,
            "schema": schema(param.kind),
        })
    };
    let methods: Vec<Value> = registry::all()
        .map(|method| {
            json!({
                "name": method.name,
                "summary": method.help,
                "tags": [{ "name": method.category.title() }],
                "paramStructure": "either",
                "params": method.params.iter().map(param).collect::<Vec<_>>(),
                "result": { "name": "result", "schema": {} },
                "examples": [{
                    "name": "example",
                    "params": examples::params(method).collect::<Vec<Value>>(),
                }],
            })
        })
        .collect();
    json!({
        "openrpc": "1.3.2",
        "info": {
            "title": "tine JSON-RPC",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Bitcoin Core's methods, shapes and error numbers; our own methods begin with tine_.",
        },
        "methods": methods,
    })
}

fn validate_address(call: &Call) -> Outcome {
    #[derive(Serialize)]
    struct Valid {
        isvalid: bool,
        address: String,
        #[serde(rename = "scriptPubKey")]
        script_pub_key: String,
        isscript: bool,
        iswitness: bool,
    }
    let text = call.params.text(0)?;
    match call.context.parse_address(&text) {
        Ok(Address { lock, .. }) => answer(&Valid {
            isvalid: true,
            address: call.context.address(&lock),
            script_pub_key: lock.to_string(),
            isscript: false,
            iswitness: false,
        }),
        Err(error) => answer(&json!({ "isvalid": false, "error_locations": [], "error": error.message })),
    }
}

fn echo(call: &Call) -> Outcome {
    let mut given: Vec<_> = (0..10).map(|place| call.params.raw(place)).collect();
    given.truncate(given.iter().rposition(Option::is_some).map_or(0, |last| last + 1));
    answer(&given)
}

fn estimate_smart_fee(call: &Call) -> Outcome {
    #[derive(Serialize)]
    struct Answer {
        #[serde(skip_serializing_if = "Option::is_none")]
        feerate: Option<Coins>,
        #[serde(skip_serializing_if = "Option::is_none")]
        errors: Option<[&'static str; 1]>,
        blocks: u32,
    }
    let asked = call.params.integer(0)?.and_then(|blocks| u32::try_from(blocks).ok());
    let Some(blocks) = asked.filter(|blocks| (1..=MAX_TARGET).contains(blocks)) else {
        let message = format!("Invalid conf_target, must be between 1 and {MAX_TARGET}");
        return Err(RpcError::new(Code::InvalidParameter, message));
    };
    let mode = call.params.optional::<String>(1)?.unwrap_or_default().to_ascii_lowercase();
    let mode = match mode.as_str() {
        "" | "unset" | "economical" => EstimateMode::Economical,
        "conservative" => EstimateMode::Conservative,
        _ => {
            return Err(RpcError::invalid(
                "Invalid estimate_mode parameter, must be one of: \"unset\", \"economical\", \"conservative\"",
            ));
        }
    };
    let view = call.context.view();
    let pool = &view.mempool;
    let estimate = pool.estimate_fee(blocks, mode).or_else(|| {
        // all that waits fits into half of the next block: then the least fee is enough
        let fits = pool.bytes() * 2 < tine_chain::block::MAX_BLOCK_SIZE as u64;
        fits.then(|| Estimate { rate: pool.min_fee_rate(), target: blocks })
    });
    answer(&match estimate {
        Some(Estimate { rate, target }) => {
            Answer { feerate: Some(fee_rate(rate.units_per_kilobyte())), errors: None, blocks: target }
        }
        None => Answer { feerate: None, errors: Some(["Insufficient data or no feerate found"]), blocks },
    })
}
