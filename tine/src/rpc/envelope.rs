//! JSON-RPC's envelope: what is asked, and in which form it is answered.
//!
//! Follows Bitcoin Core's `JSONRPCRequest::parse` and `HTTPReq_JSONRPC`, so that a client that speaks 1.0, 1.1 or 2.0
//! to Core is answered the same here. Values stay text (`RawValue`) until a method asks for them: numbers keep their
//! digits, and brackets nested a million deep are skipped over by a loop, not by recursion.

use std::fmt;

use serde::Serialize;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::error::{Code, RpcError};

/// The most requests in one batch.
pub(crate) const MAX_BATCH: usize = 10_000;

/// Which form the answer takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Version {
    /// No `jsonrpc` member, or "1.0" or "1.1": `result` and `error` both, errors are HTTP errors.
    #[default]
    Legacy,
    /// "2.0": one of the two, HTTP 200; a request without `id` is not answered.
    V2,
}

/// Parameters as they came.
#[derive(Debug, Default)]
pub(crate) enum RawParams {
    /// No `params` member, or null.
    #[default]
    None,
    /// By position.
    List(Vec<Box<RawValue>>),
    /// By name; names may repeat, which is for the method to refuse.
    Named(Vec<(String, Box<RawValue>)>),
}

/// What is needed to answer.
#[derive(Debug, Default)]
pub(crate) struct Envelope {
    pub(crate) version: Version,
    pub(crate) id: Option<Box<RawValue>>,
}

impl Envelope {
    /// "A Notification is a Request object without an id member" (JSON-RPC 2.0 §4.1).
    pub(crate) fn is_notification(&self) -> bool {
        self.version == Version::V2 && self.id.is_none()
    }
}

/// One call.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) envelope: Envelope,
    pub(crate) method: String,
    pub(crate) params: RawParams,
}

/// A call, or why it is none and how to say so.
pub(crate) type Parsed = Result<Request, (Envelope, RpcError)>;

/// What a body holds.
#[derive(Debug)]
pub(crate) enum Body {
    Single(Parsed),
    Batch(Vec<Parsed>),
}

/// An object's members in order, repeated names included. The values stay where they are: a block's digits are nearly a
/// megabyte.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Collect)
    }
}

/// Reads a body.
///
/// # Errors
/// -32700 when it is not JSON, or neither an object nor an array; -32600 for a batch that is too long.
pub(crate) fn parse(body: &[u8]) -> Result<Body, RpcError> {
    // the most frequent case in one pass
    if let Ok(Members(members)) = serde_json::from_slice(body) {
        return Ok(Body::Single(read_request(members)));
    }
    let not_json = |_| RpcError::new(Code::Parse, "Parse error");
    let whole: &RawValue = serde_json::from_slice(body).map_err(not_json)?;
    match whole.get().as_bytes().first() {
        Some(b'{') => Ok(Body::Single(parse_request(whole))),
        Some(b'[') => {
            let items: Vec<&RawValue> = serde_json::from_str(whole.get()).map_err(not_json)?;
            if items.len() > MAX_BATCH {
                let message = format!("a batch of {} requests is over the limit of {MAX_BATCH}", items.len());
                return Err(RpcError::new(Code::InvalidRequest, message));
            }
            Ok(Body::Batch(items.into_iter().map(parse_request).collect()))
        }
        _ => Err(RpcError::new(Code::Parse, "Top-level object parse error")),
    }
}

fn parse_request(raw: &RawValue) -> Parsed {
    let Ok(Members(members)) = serde_json::from_str(raw.get()) else {
        let envelope = Envelope { version: Version::Legacy, id: Some(null()) };
        return Err((envelope, RpcError::new(Code::InvalidRequest, "Invalid Request object")));
    };
    read_request(members)
}

fn read_request(members: Vec<(String, &RawValue)>) -> Parsed {
    let refuse = |message: &str| RpcError::new(Code::InvalidRequest, message);
    let mut envelope = Envelope::default();
    let (mut version, mut method, mut params) = (None, None, None);
    for (name, value) in members {
        match name.as_str() {
            "id" => envelope.id = Some(value.to_owned()),
            "jsonrpc" => version = Some(value),
            "method" => method = Some(value),
            "params" => params = Some(value),
            _ => {}
        }
    }
    let result = (|| {
        envelope.version = parse_version(version)?;
        let method = match method.map(RawValue::get) {
            None | Some("null") => return Err(refuse("Missing method")),
            Some(text) => serde_json::from_str(text).map_err(|_| refuse("Method must be a string"))?,
        };
        Ok((method, parse_params(params)?))
    })();
    match result {
        Ok((method, params)) => Ok(Request { envelope, method, params }),
        Err(error) => Err((envelope, error)),
    }
}

fn parse_version(version: Option<&RawValue>) -> Result<Version, RpcError> {
    let refuse = |message: &str| RpcError::new(Code::InvalidRequest, message);
    match version.map(RawValue::get) {
        None | Some("null" | "\"1.0\"" | "\"1.1\"") => Ok(Version::Legacy),
        Some("\"2.0\"") => Ok(Version::V2),
        Some(text) if text.starts_with('"') => Err(refuse("JSON-RPC version not supported")),
        Some(_) => Err(refuse("jsonrpc field must be a string")),
    }
}

fn parse_params(params: Option<&RawValue>) -> Result<RawParams, RpcError> {
    let refuse = |_| RpcError::new(Code::InvalidRequest, "Params must be an array or object");
    let Some(text) = params.map(RawValue::get) else { return Ok(RawParams::None) };
    match text.as_bytes().first() {
        Some(b'[') => serde_json::from_str(text).map(RawParams::List).map_err(refuse),
        Some(b'{') => {
            let Members(list) = serde_json::from_str(text).map_err(refuse)?;
            Ok(RawParams::Named(list.into_iter().map(|(name, value)| (name, value.to_owned())).collect()))
        }
        Some(b'n') => Ok(RawParams::None),
        _ => Err(RpcError::new(Code::InvalidRequest, "Params must be an array or object")),
    }
}

/// The JSON value `null`.
pub(crate) fn null() -> Box<RawValue> {
    RawValue::from_string("null".to_owned()).expect("null is JSON")
}

/// An answer: `None` where there was no error, or no result.
pub(crate) fn reply(envelope: &Envelope, result: &Result<Box<RawValue>, RpcError>) -> Box<RawValue> {
    #[derive(Serialize)]
    struct Legacy<'a> {
        result: Option<&'a RawValue>,
        error: Option<&'a RpcError>,
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<&'a RawValue>,
    }
    #[derive(Serialize)]
    struct V2<'a> {
        jsonrpc: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        result: Option<&'a RawValue>,
        #[serde(skip_serializing_if = "Option::is_none")]
        error: Option<&'a RpcError>,
        id: Option<&'a RawValue>,
    }
    let id = envelope.id.as_deref();
    let error = result.as_ref().err();
    let result = result.as_deref().ok();
    match envelope.version {
        Version::Legacy => serde_json::value::to_raw_value(&Legacy { result, error, id }),
        Version::V2 => serde_json::value::to_raw_value(&V2 { jsonrpc: "2.0", result, error, id }),
    }
    .expect("text and numbers serialize")
}

/// The HTTP status of a failed request: 400, 404 or 500 (Core: `JSONErrorReply`).
pub(crate) fn http_status(error: &RpcError) -> u16 {
    match error.code {
        code if code == Code::InvalidRequest as i32 => 400,
        code if code == Code::MethodNotFound as i32 => 404,
        _ => 500,
    }
}

/// A status and a body; 204 has none.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: String,
}

impl Answer {
    /// The answer to one call that ran.
    pub(crate) fn single(envelope: &Envelope, result: &Result<Box<RawValue>, RpcError>) -> Self {
        if envelope.is_notification() {
            return Self { status: 204, body: String::new() };
        }
        let status = match (result, envelope.version) {
            (Err(error), Version::Legacy) => http_status(error),
            (Err(_), Version::V2) | (Ok(_), _) => 200,
        };
        Self { status, body: line(reply(envelope, result).get()) }
    }

    /// The answer to something that is no call.
    pub(crate) fn malformed(envelope: &Envelope, error: RpcError) -> Self {
        let status = http_status(&error);
        Self { status, body: line(reply(envelope, &Err(error)).get()) }
    }

    /// The answer to a body that can't be read.
    pub(crate) fn unreadable(error: RpcError) -> Self {
        Self::malformed(&Envelope { version: Version::Legacy, id: Some(null()) }, error)
    }
}

fn line(text: &str) -> String {
    format!("{text}\n")
}

/// Runs what a body holds, each call by `run`, in order; `run` is told the call's place in the batch.
pub(crate) fn execute(
    body: Body,
    mut run: impl FnMut(usize, &str, RawParams) -> Result<Box<RawValue>, RpcError>,
) -> Answer {
    match body {
        Body::Single(Ok(Request { envelope, method, params })) => {
            Answer::single(&envelope, &run(0, &method, params))
        }
        Body::Single(Err((envelope, error))) => Answer::malformed(&envelope, error),
        Body::Batch(items) => {
            let asked = items.len();
            let mut replies = Vec::new();
            for (place, item) in items.into_iter().enumerate() {
                let (envelope, result) = match item {
                    Ok(Request { envelope, method, params }) => (envelope, run(place, &method, params)),
                    Err((envelope, error)) => (envelope, Err(error)),
                };
                if !envelope.is_notification() {
                    replies.push(reply(&envelope, &result));
                }
            }
            // an empty batch is answered by an empty array, as Core does; one of notifications by nothing
            if replies.is_empty() && asked > 0 {
                return Answer { status: 204, body: String::new() };
            }
            Answer { status: 200, body: line(&serde_json::to_string(&replies).expect("raw values")) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A node that knows one method: `echo` gives its parameters back.
    fn ask(body: &str) -> (u16, String) {
        let answer = match parse(body.as_bytes()) {
            Err(error) => Answer::unreadable(error),
            Ok(body) => execute(body, |_, method, params| match (method, params) {
                ("echo", RawParams::List(list)) => Ok(serde_json::value::to_raw_value(&list).unwrap()),
                ("echo", _) => Ok(null()),
                ("fail", _) => Err(RpcError::invalid("no")),
                _ => Err(RpcError::new(Code::MethodNotFound, "Method not found")),
            }),
        };
        (answer.status, answer.body.trim_end().to_owned())
    }

    #[test]
    fn rpc_08_the_forms_of_one_request() {
        for (body, status, reply) in [
            (r#"{"method":"echo","id":7}"#, 200, r#"{"result":null,"error":null,"id":7}"#),
            (r#"{"method":"echo"}"#, 200, r#"{"result":null,"error":null}"#),
            (
                r#"{"jsonrpc":"1.0","method":"echo","params":[1.10,"a"],"id":"x"}"#,
                200,
                r#"{"result":[1.10,"a"],"error":null,"id":"x"}"#,
            ),
            (
                r#"{"jsonrpc":"2.0","method":"echo","params":[],"id":1}"#,
                200,
                r#"{"jsonrpc":"2.0","result":[],"id":1}"#,
            ),
            (r#"{"jsonrpc":"2.0","method":"echo"}"#, 204, ""),
            (r#"{"jsonrpc":"2.0","method":"nothing"}"#, 204, ""),
            (
                r#"{"jsonrpc":"2.0","method":"fail","id":null}"#,
                200,
                r#"{"jsonrpc":"2.0","error":{"code":-8,"message":"no"},"id":null}"#,
            ),
            (
                r#"{"method":"fail","id":1}"#,
                500,
                r#"{"result":null,"error":{"code":-8,"message":"no"},"id":1}"#,
            ),
            (
                r#"{"method":"nothing","id":1}"#,
                404,
                r#"{"result":null,"error":{"code":-32601,"message":"Method not found"},"id":1}"#,
            ),
        ] {
            assert_eq!(ask(body), (status, reply.to_owned()), "{body}");
        }
    }

    #[test]
    fn rpc_08_malformed_requests() {
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        let deep_params = format!(r#"{{"method":"echo","params":[{deep}],"id":1}}"#);
        let many = format!("[{}1]", "1,".repeat(MAX_BATCH));
        for (body, status, code) in [
            ("", 500, -32700),
            ("{", 500, -32700),
            ("\u{0}", 500, -32700),
            ("3", 500, -32700),
            ("\"method\"", 500, -32700),
            (r#"{"method":"echo","id":1} x"#, 500, -32700),
            ("{}", 400, -32600),
            (r#"{"method":3,"id":1}"#, 400, -32600),
            (r#"{"method":null,"id":1}"#, 400, -32600),
            (r#"{"method":"echo","params":3,"id":1}"#, 400, -32600),
            (r#"{"method":"echo","params":"x","id":1}"#, 400, -32600),
            (r#"{"jsonrpc":"2.1","method":"echo","id":1}"#, 400, -32600),
            (r#"{"jsonrpc":"3.0","method":"echo","id":1}"#, 400, -32600),
            (r#"{"jsonrpc":2.0,"method":"echo","id":1}"#, 400, -32600),
            (many.as_str(), 400, -32600),
            (&"[".repeat(100_000), 500, -32700),
        ] {
            let (found, reply) = ask(body);
            assert_eq!(found, status, "{}", &body[..body.len().min(80)]);
            assert!(reply.contains(&format!("\"code\":{code},")), "{reply}");
        }
        assert_eq!(ask(&deep_params).0, 200, "nesting is skipped by a loop");
        let (status, reply) = ask(&deep);
        assert_eq!(status, 200);
        assert!(reply.contains("Invalid Request object"));
    }

    #[test]
    fn rpc_08_batches() {
        assert_eq!(ask("[]"), (200, "[]".to_owned()));
        let notifications = r#"[{"jsonrpc":"2.0","method":"echo"},{"jsonrpc":"2.0","method":"fail"}]"#;
        assert_eq!(ask(notifications), (204, String::new()));
        let mixed = r#"[1,{"method":"echo","id":1},{"jsonrpc":"2.0","method":"fail","id":2},{"jsonrpc":"2.0","method":"echo"},{"id":3}]"#;
        let (status, reply) = ask(mixed);
        assert_eq!(status, 200, "a batch never fails as a whole");
        let items: Vec<serde_json::Value> = serde_json::from_str(&reply).unwrap();
        assert_eq!(items.len(), 4, "the notification has no answer");
        assert_eq!(items[0]["error"]["code"], -32600);
        assert_eq!(items[1]["id"], 1);
        assert_eq!(items[2]["error"]["code"], -8);
        assert_eq!(items[3]["error"]["code"], -32600);
    }
}
