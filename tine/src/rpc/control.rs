//! Core's `Control` and `Util` methods: help, description of the interface, stop, addresses, fees.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Value, json};
use tine_chain::address::Address;

use super::amount::Coins;
use super::error::{Code, RpcError};
use super::mempool::fee_rate;
use super::registry::{
    self, Call, Category, Handler, Kind, Method, Outcome, Param, answer, optional, required,
};

pub(crate) const METHODS: &[Method] = &[
    Method {
        name: "estimatesmartfee",
        category: Category::Util,
        params: &[
            required("conf_target", Kind::Number, "Blocks to wait at most, 1 to 1008."),
            optional("estimate_mode", Kind::Text, "Accepted and of no effect."),
        ],
        help: "The fee rate that gets a transaction mined soon. There is no history of fees: with nothing waiting it is \
               the least that the mempool takes, else an error says that there is not enough data.",
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
        handler: Handler::Now(get_rpc_info),
    },
    Method {
        name: "help",
        category: Category::Control,
        params: &[optional("command", Kind::Text, "A method.")],
        help: "All methods, or all there is to say about one.",
        handler: Handler::Now(help),
    },
    Method {
        name: "stop",
        category: Category::Control,
        params: &[optional("wait", Kind::Number, "Accepted and of no effect.")],
        help: "Stops the node.",
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
        handler: Handler::Now(|call| answer(&call.context.uptime().as_secs())),
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

fn estimate_smart_fee(call: &Call) -> Outcome {
    #[derive(Serialize)]
    struct Estimate {
        #[serde(skip_serializing_if = "Option::is_none")]
        feerate: Option<Coins>,
        #[serde(skip_serializing_if = "Option::is_none")]
        errors: Option<[&'static str; 1]>,
        blocks: i64,
    }
    let blocks = call.params.integer(0)?.unwrap_or(0);
    if !(1..=1_008).contains(&blocks) {
        return Err(RpcError::new(Code::InvalidParameter, "Invalid conf_target, must be between 1 and 1008"));
    }
    let view = call.context.view();
    let least = view.mempool.min_fee_rate.max(call.context.min_relay_fee_rate);
    // all that waits fits into the next block: then the least fee is enough
    let fits = view.mempool.bytes * 2 < tine_chain::block::MAX_BLOCK_SIZE;
    answer(&Estimate {
        feerate: fits.then(|| fee_rate(least)),
        errors: (!fits).then_some(["Insufficient data or no feerate found"]),
        blocks,
    })
}
