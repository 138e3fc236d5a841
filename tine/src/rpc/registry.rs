//! The table of methods: feeds dispatch, named parameters, `help` and `getopenrpcinfo`.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use futures::future::BoxFuture;
use serde::Serialize;
use serde_json::value::RawValue;

use super::context::{Context, Running};
use super::envelope::RawParams;
use super::error::{Code, RpcError};
use super::params::Params;
use super::{
    addresses, blockchain, blocks_in, clock, connections, control, events, examples, explain, forkchoice,
    getwork, mempool, mining, network, packages, proofs, rawbuild, rawtransactions, stats, tine, wallet,
    wallet_actions, wallet_addresses, wallet_lists, wallets, watch,
};

/// What a method gives: JSON text, so that numbers are written exactly.
pub(crate) type Outcome = Result<Box<RawValue>, RpcError>;

/// `value` as JSON text.
pub(crate) fn answer<T: Serialize + ?Sized>(value: &T) -> Outcome {
    serde_json::value::to_raw_value(value).map_err(|error| RpcError::new(Code::Internal, error.to_string()))
}

/// One call on its way: who answers it, with what, and which wallet the path named.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) context: Arc<Context>,
    pub(crate) params: Params,
    /// From `/wallet/<name>`.
    pub(crate) wallet: Option<Arc<str>>,
    /// Lists the call in `getrpcinfo` as long as it runs.
    _running: Running,
}

/// How a method is run.
#[derive(Clone, Copy)]
pub(crate) enum Handler {
    /// At once, wherever the call came in: answers from memory alone, within microseconds.
    Quick(fn(&Call) -> Outcome),
    /// On a worker's thread; may read files and wait for the node's thread.
    Now(fn(&Call) -> Outcome),
    /// Waits for something to happen, without holding a worker.
    Wait(fn(Call) -> BoxFuture<'static, Outcome>),
}

impl std::fmt::Debug for Handler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Quick(_) => "Quick",
            Self::Now(_) => "Now",
            Self::Wait(_) => "Wait",
        })
    }
}

/// What a parameter holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A string.
    Text,
    /// A string of hexadecimal digits.
    Hex,
    /// A number.
    Number,
    /// An exact number of coins, or a string that holds one.
    Amount,
    /// A boolean.
    Flag,
    /// A number, or a boolean for 0 or 1.
    Verbosity,
    /// An array.
    Array,
    /// An object.
    Object,
    /// The method says.
    Any,
}

/// A parameter of a method.
#[derive(Debug)]
pub(crate) struct Param {
    /// Its name, and other names for it after `|`.
    pub(crate) names: &'static str,
    pub(crate) kind: Kind,
    pub(crate) required: bool,
    pub(crate) help: &'static str,
}

impl Param {
    /// Its first name.
    pub(crate) fn name(&self) -> &'static str {
        self.names.split('|').next().expect("split gives at least one part")
    }
}

/// A parameter that must be given.
pub(crate) const fn required(names: &'static str, kind: Kind, help: &'static str) -> Param {
    Param { names, kind, required: true, help }
}

/// A parameter that may be left out.
pub(crate) const fn optional(names: &'static str, kind: Kind, help: &'static str) -> Param {
    Param { names, kind, required: false, help }
}

/// Where `help` lists a method.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Category {
    /// Core's `Blockchain`.
    Blockchain,
    /// Core's `Control`.
    Control,
    /// Core's `Generating`.
    Generating,
    /// Core's `Mining`.
    Mining,
    /// Core's `Network`.
    Network,
    /// Core's `Rawtransactions`.
    Rawtransactions,
    /// Our own.
    Tine,
    /// Core's `Util`.
    Util,
    /// Core's `Wallet`.
    Wallet,
}

impl Category {
    /// The heading in `help`.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Blockchain => "Blockchain",
            Self::Control => "Control",
            Self::Generating => "Generating",
            Self::Mining => "Mining",
            Self::Network => "Network",
            Self::Rawtransactions => "Rawtransactions",
            Self::Tine => "Tine",
            Self::Util => "Util",
            Self::Wallet => "Wallet",
        }
    }
}

/// A method.
#[derive(Debug)]
pub(crate) struct Method {
    pub(crate) name: &'static str,
    pub(crate) category: Category,
    pub(crate) params: &'static [Param],
    /// What it does, in a sentence or two.
    pub(crate) help: &'static str,
    pub(crate) handler: Handler,
}

impl Method {
    /// One line: `getblock "blockhash" ( verbosity )`.
    pub(crate) fn usage(&self) -> String {
        let mut text = self.name.to_owned();
        let mut optional = false;
        for param in self.params {
            if !param.required && !optional {
                text.push_str(" (");
                optional = true;
            }
            let quote = if matches!(param.kind, Kind::Text | Kind::Hex) { "\"" } else { "" };
            text.push_str(&format!(" {quote}{}{quote}", param.name()));
        }
        if optional {
            text.push_str(" )");
        }
        text
    }

    /// All there is to say about it.
    pub(crate) fn help(&self) -> String {
        let mut text = format!("{}\n\n{}\n", self.usage(), self.help);
        if !self.params.is_empty() {
            text.push_str("\nArguments:\n");
        }
        for (place, param) in self.params.iter().enumerate() {
            let need = if param.required { "required" } else { "optional" };
            let kind = param.kind.json();
            text.push_str(&format!("{}. {}    ({kind}, {need}) {}\n", place + 1, param.name(), param.help));
        }
        text.push_str(&examples::text(self.name));
        text
    }
}

static METHODS: LazyLock<BTreeMap<&'static str, &'static Method>> = LazyLock::new(|| {
    let tables: [&'static [Method]; 25] = [
        addresses::METHODS,
        blockchain::METHODS,
        blocks_in::METHODS,
        clock::METHODS,
        connections::METHODS,
        control::METHODS,
        events::METHODS,
        explain::METHODS,
        forkchoice::METHODS,
        getwork::METHODS,
        mempool::METHODS,
        mining::METHODS,
        network::METHODS,
        packages::METHODS,
        proofs::METHODS,
        rawbuild::METHODS,
        rawtransactions::METHODS,
        stats::METHODS,
        tine::METHODS,
        wallet::METHODS,
        wallet_actions::METHODS,
        wallet_addresses::METHODS,
        wallet_lists::METHODS,
        wallets::METHODS,
        watch::METHODS,
    ];
    tables.into_iter().flatten().map(|method| (method.name, method)).collect()
});

/// The method called `name`.
pub(crate) fn find(name: &str) -> Option<&'static Method> {
    METHODS.get(name).copied()
}

/// A parameter of a method, by its place from 0 or by one of its names.
#[derive(Debug, Clone, Copy)]
pub enum ParamOf<'a> {
    /// Its place.
    Place(usize),
    /// One of its names.
    Name(&'a str),
}

/// Whether a method's parameter is text; of methods that this program does not know, no.
#[must_use]
pub fn takes_text(method: &str, param: ParamOf<'_>) -> bool {
    let Some(method) = find(method) else { return false };
    let found = match param {
        ParamOf::Place(place) => method.params.get(place),
        ParamOf::Name(name) => {
            method.params.iter().find(|param| param.names.split('|').any(|known| known == name))
        }
    };
    found.is_some_and(|param| matches!(param.kind, Kind::Text | Kind::Hex))
}

/// Every method, by name.
pub(crate) fn all() -> impl Iterator<Item = &'static Method> {
    METHODS.values().copied()
}

/// Finds the method and reads its parameters.
///
/// # Errors
/// -32601 for an unknown method, or what [`Params::new`] says.
pub(crate) fn prepare(
    context: &Arc<Context>,
    wallet: Option<&Arc<str>>,
    name: &str,
    params: RawParams,
) -> Result<(Handler, Call), RpcError> {
    let method = find(name).ok_or_else(|| RpcError::new(Code::MethodNotFound, "Method not found"))?;
    let params = Params::new(method, params)?;
    let (context, _running) = (Arc::clone(context), context.begin(method.name));
    Ok((method.handler, Call { context, params, wallet: wallet.cloned(), _running }))
}
