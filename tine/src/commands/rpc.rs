//! `tine rpc`: any method of a node.

use serde_json::Value;

use super::Target;
use crate::cli::RpcArgs;
use crate::config::Settings;
use crate::exit::Error;
use crate::out::Out;
use crate::roster;
use crate::rpc::{ParamOf, takes_text};

/// JSON-RPC's number for it.
const METHOD_NOT_FOUND: i32 = -32_601;

/// Runs the command: JSON out, as the node wrote it; text without its quotes, as bitcoin-cli does, unless `--json`.
///
/// # Errors
/// No node answers, or it refuses: some methods say so in their result, which is printed all the same.
pub(super) fn run(out: Out, settings: &Settings, args: &RpcArgs) -> Result<(), Error> {
    let target = Target::resolve(settings, &args.target)?;
    if args.method == "stop" {
        refuse_to_stop_others(settings, args)?;
    }
    let params = if args.named { named(args)? } else { positional(args) };
    let raw = target.client.call_raw(&args.method, params).map_err(|error| match error.code() {
        // Core's words, which say too little to whoever mistyped a name
        Some(METHOD_NOT_FOUND) => {
            Error::Failed(format!("{error}: {:?}; `tine rpc help` lists all", args.method))
        }
        _ => error.into(),
    })?;
    let value = serde_json::from_str::<Value>(raw.get());
    if out.json {
        out.raw(raw.get());
    } else {
        match &value {
            Ok(Value::String(text)) => out.raw(text),
            Ok(Value::Null) => {}
            Ok(Value::Object(_) | Value::Array(_)) => out.raw(pretty(raw.get())),
            Ok(Value::Bool(_) | Value::Number(_)) | Err(_) => out.raw(raw.get()),
        }
    }
    match value.ok().and_then(|value| refusal(args, &value)) {
        Some(why) => Err(Error::Rejected(why)),
        None => Ok(()),
    }
}

/// The nodes of a devnet are one process, which stops as a whole: whoever names one of them may not know that.
fn refuse_to_stop_others(settings: &Settings, args: &RpcArgs) -> Result<(), Error> {
    let Some(name) = &args.target.on else { return Ok(()) };
    let own = roster::find(&settings.root, name)?;
    let others: Vec<String> = roster::entries(&settings.root)
        .into_iter()
        .filter(|entry| entry.pid == own.pid && entry.name != own.name)
        .map(|entry| entry.name)
        .collect();
    if others.is_empty() {
        return Ok(());
    }
    Err(Error::Usage(format!(
        "{name} runs in one process with {}: `tine net stop {name}` stops it alone; `tine rpc stop` without --on, or \
         Ctrl-C, stops them all",
        others.join(", ")
    )))
}

/// Why a node refused what it was given, where a method says so in its result and not as an error.
fn refusal(args: &RpcArgs, result: &Value) -> Option<String> {
    match args.method.as_str() {
        // BIP 22 and 23: null, or a word; these are not refusals
        "submitblock" | "getblocktemplate" => {
            let reason = result.as_str()?;
            let refused = !["duplicate", "inconclusive"].contains(&reason);
            refused.then(|| format!("the node refuses the block: {reason}"))
        }
        "testmempoolaccept" => {
            let refused =
                |verdict: &&Value| verdict["allowed"] == false || verdict.get("package-error").is_some();
            let verdict = result.as_array()?.iter().find(refused)?;
            let reason = verdict["reject-reason"].as_str().or(verdict["package-error"].as_str());
            Some(format!("the node would refuse {}: {}", word(&verdict["txid"]), reason.unwrap_or("?")))
        }
        "submitpackage" => {
            let message = result["package_msg"].as_str()?;
            (message != "success").then(|| format!("the node refuses the package: {message}"))
        }
        _ => None,
    }
}

fn word(value: &Value) -> &str {
    value.as_str().unwrap_or("it")
}

/// A parameter: text where the method takes text, though JSON in quotes is read and null still means "not given";
/// otherwise JSON where it reads as JSON. Ids that happen to be all digits stay text.
fn value(is_text: bool, text: &str) -> Value {
    let is_id = text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let read = serde_json::from_str(text);
    match read {
        _ if is_id => Value::String(text.into()),
        Ok(value @ (Value::String(_) | Value::Null)) => value,
        Ok(value) if !is_text => value,
        Ok(_) | Err(_) => Value::String(text.into()),
    }
}

fn positional(args: &RpcArgs) -> Value {
    let is_text = |place: usize| takes_text(&args.method, ParamOf::Place(place));
    args.args.iter().enumerate().map(|(place, text)| value(is_text(place), text)).collect()
}

fn named(args: &RpcArgs) -> Result<Value, Error> {
    let pair = |arg: &String| match arg.split_once('=') {
        Some((name, text)) if !name.is_empty() => {
            Ok((name.to_owned(), value(takes_text(&args.method, ParamOf::Name(name)), text)))
        }
        Some(_) | None => Err(Error::Usage(format!("{arg:?}: with --named a parameter reads name=value"))),
    };
    Ok(Value::Object(args.args.iter().map(pair).collect::<Result<_, _>>()?))
}

/// JSON on many lines, its numbers untouched: they are copied, not read.
fn pretty(json: &str) -> String {
    let mut out = String::new();
    let (mut depth, mut in_text, mut escaped) = (0_usize, false, false);
    let mut chars = json.chars().peekable();
    while let Some(c) = chars.next() {
        if in_text {
            out.push(c);
            in_text = escaped || c != '"';
            escaped = !escaped && c == '\\';
            continue;
        }
        match c {
            '{' | '[' if matches!(chars.peek(), Some('}' | ']')) => {
                out.push(c);
                out.extend(chars.next());
            }
            '{' | '[' => {
                depth += 1;
                out.push(c);
                break_line(&mut out, depth);
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                break_line(&mut out, depth);
                out.push(c);
            }
            ',' => {
                out.push(c);
                break_line(&mut out, depth);
            }
            ':' => out.push_str(": "),
            c if c.is_ascii_whitespace() => {}
            c => {
                in_text = c == '"';
                out.push(c);
            }
        }
    }
    out
}

fn break_line(out: &mut String, depth: usize) {
    out.push('\n');
    out.push_str(&"  ".repeat(depth));
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cli::TargetArgs;

    fn args(method: &str, args: &[&str]) -> RpcArgs {
        let args = args.iter().map(|arg| (*arg).to_owned()).collect();
        RpcArgs { method: method.into(), args, named: false, target: TargetArgs::default() }
    }

    #[test]
    fn parameters_are_json_where_they_read_as_json() {
        assert_eq!(value(false, "5"), json!(5));
        assert_eq!(value(false, "[1,\"a\"]"), json!([1, "a"]));
        assert_eq!(value(false, "dtine1q"), json!("dtine1q"));
        let id = "1".repeat(64);
        assert_eq!(value(false, &id), json!(id));
        assert!(matches!(named(&args("tine_send", &["=5"])), Err(Error::Usage(_))));
    }

    #[test]
    fn parameters_are_text_where_the_method_takes_text() {
        let given = args("tine_send", &["to=bob", "amount=3", "fee_rate=5000", "dry_run=true"]);
        assert_eq!(
            named(&given).expect("pairs"),
            json!({ "to": "bob", "amount": "3", "fee_rate": 5000, "dry_run": true })
        );
        assert_eq!(positional(&args("tine_send", &["null", "bob", "3"])), json!([null, "bob", "3"]));
        assert_eq!(positional(&args("submitblock", &["00", "1"])), json!(["00", 1]));
        assert_eq!(positional(&args("nobody_knows", &["3", "x"])), json!([3, "x"]), "as before");
        assert_eq!(positional(&args("validateaddress", &["\"5\""])), json!(["5"]));
    }

    #[test]
    fn refusals_within_results_are_found() {
        let refused = |method: &str, result: Value| refusal(&args(method, &[]), &result);
        assert_eq!(refused("submitblock", Value::Null), None);
        assert_eq!(refused("submitblock", json!("duplicate")), None);
        assert!(refused("submitblock", json!("high-hash")).is_some_and(|why| why.contains("high-hash")));
        assert_eq!(refused("getblocktemplate", json!({ "bits": "207fffff" })), None);
        assert!(refused("getblocktemplate", json!("bad-cb-amount")).is_some());
        assert_eq!(refused("testmempoolaccept", json!([{ "allowed": true }])), None);
        let verdicts =
            json!([{ "allowed": true }, { "allowed": false, "txid": "ab", "reject-reason": "dust" }]);
        assert!(refused("testmempoolaccept", verdicts).is_some_and(|why| why.contains("ab: dust")));
        assert!(refused("submitpackage", json!({ "package_msg": "transaction failed" })).is_some());
        assert_eq!(refused("submitpackage", json!({ "package_msg": "success" })), None);
        assert_eq!(refused("getblockhash", json!("high-hash")), None);
    }

    #[test]
    fn json_is_laid_out_without_touching_its_numbers() {
        let text = r#"{"a":50.00000000,"b":[],"c":{"d":"x,{\"y","e":[1,null]}}"#;
        let laid_out = pretty(text);
        assert!(laid_out.contains("\"a\": 50.00000000,\n"));
        assert!(laid_out.contains("\"b\": [],\n"));
        assert!(laid_out.contains(r#""d": "x,{\"y","#));
        let read = |text| serde_json::from_str::<Value>(text).expect("JSON");
        assert_eq!(read(&laid_out), read(text));
    }
}
