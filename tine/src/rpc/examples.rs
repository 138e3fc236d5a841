//! An example for each method: what `help` shows and the OpenRPC document has.
//!
//! A test calls every one of them, so that none goes out of date.

use serde_json::Value;

use super::registry::Method;

/// A block's id: regtest's genesis.
const BLOCK: &str = "\"0f0b4a64c0d48e5b8f1f1e6a1d1b3d5f6c5e0c1b8e9a7d6c5b4a392817060504\"";
/// A transaction's id.
const TXID: &str = "\"5be9a3c37a3f7d1e8c2f8f0b9a1d6e4c3b2a190807f6e5d4c3b2a19080706050\"";
/// An address of regtest.
const ADDRESS: &str = "\"rtine1q4xcdcmxzp4ymv2yxcutu9l5vnrrtcs6gslkv35tukntmgs42rqlq4p6y3t\"";
/// An encoded policy: a signature by one key.
const POLICY: &str = "\"01ea4a6c63e29c520abef5507b132ec5f9954776aebebe7b92421eea691446d22c\"";
/// Two inputs' worth of nothing: the smallest transaction that decodes.
const TX: &str = "\"0200000000000000000000\"";

/// Each method's arguments, as a JSON array in which `$…` stands for one of the constants above.
const ARGUMENTS: &[(&str, &str)] = &[
    ("abandontransaction", "[$TXID]"),
    ("addnode", r#"["127.0.0.1:18454", "onetry"]"#),
    ("backupwallet", r#"["/tmp/alice.backup.json"]"#),
    ("combinerawtransaction", "[[$TX]]"),
    ("createrawtransaction", r#"[[{"txid": $TXID, "vout": 0}], [{$ADDRESS: "0.10000000"}]]"#),
    ("createwallet", r#"["eve", false, false, "correct horse battery staple"]"#),
    ("decoderawtransaction", "[$TX]"),
    ("decodescript", "[$POLICY]"),
    ("disconnectnode", r#"["127.0.0.1:18454"]"#),
    ("echo", r#"["hello", 7]"#),
    ("estimatesmartfee", "[6]"),
    ("generatetoaddress", "[1, $ADDRESS]"),
    ("getaddednodeinfo", r#"["127.0.0.1:18454"]"#),
    ("getaddressesbylabel", r#"["rent"]"#),
    ("getaddressinfo", "[$ADDRESS]"),
    ("getbalance", r#"["*", 6]"#),
    ("getblock", "[$BLOCK, 2]"),
    ("getblockfrompeer", "[$BLOCK, 0]"),
    ("getblockhash", "[0]"),
    ("getblockheader", "[$BLOCK, true]"),
    ("getblockstats", r#"[0, ["avgfee", "txs"]]"#),
    ("getblocktemplate", r#"[{"capabilities": ["coinbasetxn", "longpoll"]}]"#),
    ("getchaintxstats", "[0]"),
    ("getmempoolancestors", "[$TXID, true]"),
    ("getmempooldescendants", "[$TXID]"),
    ("getmempoolentry", "[$TXID]"),
    ("getnetworkhashps", "[20]"),
    ("getnewaddress", r#"["rent"]"#),
    ("getnodeaddresses", r#"[8, "ipv4"]"#),
    ("getrawmempool", "[true]"),
    ("getrawtransaction", "[$TXID, 1]"),
    ("getreceivedbyaddress", "[$ADDRESS, 6]"),
    ("gettransaction", "[$TXID]"),
    ("gettxout", "[$TXID, 0]"),
    ("gettxoutproof", "[[$TXID]]"),
    ("gettxoutsetinfo", r#"["lthash"]"#),
    ("gettxspendingprevout", r#"[[{"txid": $TXID, "vout": 0}]]"#),
    ("help", r#"["getblock"]"#),
    ("importmempool", r#"["/tmp/mempool.dat", {"apply_fee_delta_priority": true}]"#),
    ("invalidateblock", "[$BLOCK]"),
    ("listreceivedbyaddress", "[6, true]"),
    ("listsinceblock", "[$BLOCK, 6]"),
    ("listtransactions", r#"["*", 20]"#),
    ("listunspent", "[6]"),
    ("loadwallet", r#"["alice"]"#),
    ("lockunspent", r#"[false, [{"txid": $TXID, "vout": 0}]]"#),
    ("preciousblock", "[$BLOCK]"),
    ("prioritisetransaction", "[$TXID, 0, 10000]"),
    ("reconsiderblock", "[$BLOCK]"),
    ("sendmany", r#"["", {$ADDRESS: 0.10}]"#),
    ("sendrawtransaction", "[$TX]"),
    ("sendtoaddress", "[$ADDRESS, 0.10]"),
    ("setban", r#"["192.168.0.6", "add", 86400]"#),
    ("setlabel", r#"[$ADDRESS, "rent"]"#),
    ("setmocktime", "[1700000000]"),
    (
        "signrawtransactionwithkey",
        r#"[$TX, ["0707070707070707070707070707070707070707070707070707070707070707"]]"#,
    ),
    ("signrawtransactionwithwallet", "[$TX]"),
    ("submitblock", r#"["00"]"#),
    ("submitheader", r#"["00"]"#),
    ("submitpackage", "[[$TX, $TX]]"),
    ("testmempoolaccept", "[[$TX]]"),
    ("tine_blockarrivals", "[5]"),
    ("tine_events", "[0, 100]"),
    ("tine_explainreorg", "[0]"),
    ("tine_explaintx", "[$TXID]"),
    ("tine_getaddress", "[$ADDRESS, 10]"),
    ("tine_getaddresscoins", "[$ADDRESS]"),
    ("tine_mine", "[3]"),
    ("tine_miner", r#"[true, "50kH/s"]"#),
    ("tine_netfault", "[100, 5]"),
    ("tine_netsplit", r#"[["12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp"]]"#),
    ("tine_netstart", r#"["bob"]"#),
    ("tine_netstop", r#"["bob"]"#),
    ("tine_owners", "[[$ADDRESS]]"),
    ("tine_send", r#"["alice", $ADDRESS, "0.10", 1000]"#),
    ("tine_walletaddress", r#"["alice", true]"#),
    ("tine_walletbackup", r#"["alice", "/tmp/alice.backup.json"]"#),
    ("tine_walletbalance", r#"["alice"]"#),
    ("tine_walletcoins", r#"["alice"]"#),
    ("tine_wallethistory", r#"["alice"]"#),
    ("tine_walletlock", r#"["eve"]"#),
    ("tine_walletnew", r#"["eve", "correct horse battery staple"]"#),
    (
        "tine_walletrestore",
        r#"["eve", "legal winner thank year wave sausage worth useful legal winner thank yellow", "correct horse"]"#,
    ),
    ("tine_walletunlock", r#"["eve", "correct horse battery staple"]"#),
    ("validateaddress", "[$ADDRESS]"),
    ("verifytxoutproof", r#"["00"]"#),
    ("waitforblock", "[$BLOCK, 1000]"),
    ("waitforblockheight", "[100, 1000]"),
    ("waitfornewblock", "[1000]"),
    ("walletpassphrase", r#"["correct horse battery staple", 60]"#),
    ("walletpassphrasechange", r#"["correct horse battery staple", "a better one"]"#),
];

fn arguments(name: &str) -> String {
    let text = ARGUMENTS.iter().find(|(known, _)| *known == name).map_or("[]", |(_, text)| text);
    [("$BLOCK", BLOCK), ("$TXID", TXID), ("$ADDRESS", ADDRESS), ("$POLICY", POLICY), ("$TX", TX)]
        .into_iter()
        .fold(text.to_owned(), |text, (word, value)| text.replace(word, value))
}

fn values(name: &str) -> Vec<Value> {
    serde_json::from_str(&arguments(name)).expect("every example is JSON: a test reads them all")
}

/// The last part of a method's help.
pub(super) fn text(name: &str) -> String {
    let mut words: Vec<String> = Vec::new();
    for value in values(name) {
        words.push(match &value {
            Value::String(text) if text.chars().all(|c| c.is_ascii_alphanumeric() || "/.:_-".contains(c)) => {
                // what reads as JSON by itself must be quoted twice
                if serde_json::from_str::<Value>(text).is_ok() {
                    format!("'\"{text}\"'")
                } else {
                    text.clone()
                }
            }
            Value::String(text) => format!("'{text}'"),
            Value::Null | Value::Bool(_) | Value::Number(_) => value.to_string(),
            Value::Array(_) | Value::Object(_) => format!("'{value}'"),
        });
    }
    let line = std::iter::once(name.to_owned()).chain(words).collect::<Vec<_>>().join(" ");
    let call = serde_json::json!({ "jsonrpc": "2.0", "id": 1, "method": name, "params": values(name) });
    format!(
        "\nExamples:\n> tine rpc {line}\n> curl --user \"$(cat .cookie)\" --data-binary '{call}' http://127.0.0.1:18443/\n"
    )
}

/// The example's parameters as OpenRPC has them.
pub(super) fn params(method: &Method) -> impl Iterator<Item = Value> {
    let named = method.params.iter().zip(values(method.name));
    named.map(|(param, value)| serde_json::json!({ "name": param.name(), "value": value }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rpc::registry;

    #[test]
    fn every_method_has_an_example_that_fits_its_parameters() {
        for method in registry::all() {
            let given = values(method.name).len();
            let required = method.params.iter().filter(|param| param.required).count();
            assert!(required <= given && given <= method.params.len(), "{}: {given}", method.name);
            assert!(method.help().contains(&format!("> tine rpc {}", method.name)));
        }
    }

    #[test]
    fn examples_are_of_methods_that_there_are_in_order() {
        assert!(ARGUMENTS.is_sorted_by(|a, b| a.0 < b.0), "by name");
        for (name, _) in ARGUMENTS {
            assert!(registry::find(name).is_some(), "{name}");
        }
    }
}
