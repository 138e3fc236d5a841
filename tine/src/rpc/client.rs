//! A blocking JSON-RPC client: the command line's and the tests'.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use super::error::RpcError;
use crate::exit::Error;

/// The longest answer that is read, in bytes: a block of 4 MB in its most verbose form fits.
const MAX_ANSWER_SIZE: u64 = 256 * 1024 * 1024;

/// How the caller says who it is.
#[derive(Clone)]
pub enum Login {
    /// The node's cookie file, read at each call: it changes when the node is restarted.
    Cookie(PathBuf),
    /// A user and a password from the configuration.
    Password(String, String),
}

/// Why a call gave no result.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// No node answers there: exit 3.
    #[error("{0}")]
    Unreachable(String),
    /// A rule refused what was submitted: exit 4.
    #[error("{}", .0.message)]
    Rejected(RpcError),
    /// The node answered with any other error: exit 1.
    #[error("{}", .0.message)]
    Failed(RpcError),
    /// What answered does not let us in or does not speak JSON-RPC: exit 1.
    #[error("{0}")]
    Protocol(String),
}

impl ClientError {
    /// The node's own error, if it was one.
    #[must_use]
    pub fn rpc(&self) -> Option<&RpcError> {
        match self {
            Self::Rejected(error) | Self::Failed(error) => Some(error),
            Self::Unreachable(_) | Self::Protocol(_) => None,
        }
    }

    /// The number of the node's own error, if it was one.
    #[must_use]
    pub fn code(&self) -> Option<i32> {
        self.rpc().map(|error| error.code)
    }
}

impl From<RpcError> for ClientError {
    fn from(error: RpcError) -> Self {
        if error.is_rejection() { Self::Rejected(error) } else { Self::Failed(error) }
    }
}

impl From<ClientError> for Error {
    fn from(error: ClientError) -> Self {
        let text = error.to_string();
        match error {
            ClientError::Unreachable(_) => Self::Unreachable(text),
            ClientError::Rejected(_) => Self::Rejected(text),
            ClientError::Failed(_) | ClientError::Protocol(_) => Self::Failed(text),
        }
    }
}

/// Talks to one node.
#[derive(Clone)]
pub struct RpcClient {
    agent: ureq::Agent,
    url: String,
    login: Login,
    next_id: std::sync::Arc<AtomicU64>,
}

impl std::fmt::Debug for RpcClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RpcClient").field("url", &self.url).finish_non_exhaustive()
    }
}

#[derive(Serialize)]
struct Request<'a, P: Serialize + ?Sized> {
    jsonrpc: &'static str,
    id: u64,
    method: &'a str,
    params: &'a P,
}

#[derive(Deserialize)]
struct Reply {
    #[serde(default)]
    result: Option<Box<RawValue>>,
    #[serde(default)]
    error: Option<RpcError>,
    #[serde(default)]
    id: Option<u64>,
}

impl Reply {
    fn into_result(self) -> Result<Box<RawValue>, ClientError> {
        match self.error {
            Some(error) => Err(error.into()),
            None => Ok(self.result.unwrap_or_else(super::envelope::null)),
        }
    }
}

impl RpcClient {
    /// A client for the node at `url`, such as `http://127.0.0.1:18443/`; nothing is sent yet.
    #[must_use]
    pub fn new(url: impl Into<String>, login: Login) -> Self {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_connect(Some(Duration::from_secs(5)))
            .proxy(None)
            .build();
        Self { agent: config.into(), url: url.into(), login, next_id: std::sync::Arc::default() }
    }

    /// A client for a node on this machine, by its data directory.
    #[must_use]
    pub fn local(port: u16, network_dir: &Path) -> Self {
        Self::new(format!("http://127.0.0.1:{port}/"), Login::Cookie(network_dir.join(".cookie")))
    }

    /// The same node, asked about the wallet called `name`.
    #[must_use]
    pub fn wallet(&self, name: &str) -> Self {
        let base = self.url.trim_end_matches('/');
        Self { url: format!("{base}/wallet/{name}"), ..self.clone() }
    }

    /// Where the node is.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Calls a method; `params` is an array, or an object of names.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn call(&self, method: &str, params: impl Serialize) -> Result<Value, ClientError> {
        self.call_as(method, params)
    }

    /// Calls a method and reads the result as `T`; with [`super::Coins`] for amounts, exactly.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn call_as<T: DeserializeOwned>(
        &self,
        method: &str,
        params: impl Serialize,
    ) -> Result<T, ClientError> {
        let raw = self.call_raw(method, params)?;
        serde_json::from_str(raw.get())
            .map_err(|error| ClientError::Protocol(format!("{method} gave something unexpected: {error}")))
    }

    /// Calls a method and gives the result's text as the node wrote it.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn call_raw(&self, method: &str, params: impl Serialize) -> Result<Box<RawValue>, ClientError> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let request = Request { jsonrpc: "2.0", id, method, params: &params };
        let text = self.post(&to_text(&request)?)?;
        let reply: Reply = serde_json::from_str(&text).map_err(|_| self.not_rpc(&text))?;
        reply.into_result()
    }

    /// Calls many methods in one request; the answers are in the order of the calls.
    ///
    /// # Errors
    /// The request as a whole failed; each call has its own result besides.
    pub fn batch<P: Serialize>(
        &self,
        calls: &[(&str, P)],
    ) -> Result<Vec<Result<Box<RawValue>, ClientError>>, ClientError> {
        if calls.is_empty() {
            return Ok(Vec::new());
        }
        let first = self.next_id.fetch_add(calls.len() as u64, Ordering::Relaxed);
        let requests: Vec<_> = (first..)
            .zip(calls)
            .map(|(id, (method, params))| Request { jsonrpc: "2.0", id, method, params })
            .collect();
        let text = self.post(&to_text(&requests)?)?;
        let mut replies: Vec<Reply> = serde_json::from_str(&text).map_err(|_| self.not_rpc(&text))?;
        replies.sort_by_key(|reply| reply.id);
        if replies.len() != calls.len() {
            return Err(self.not_rpc(&text));
        }
        Ok(replies.into_iter().map(Reply::into_result).collect())
    }

    /// Whether a node answers here.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.call("uptime", ()).is_ok()
    }

    fn not_rpc(&self, text: &str) -> ClientError {
        let start: String = text.chars().take(200).collect();
        match serde_json::from_str::<Reply>(text).map(|reply| reply.error) {
            Ok(Some(error)) => error.into(),
            _ => ClientError::Protocol(format!("{} does not answer in JSON-RPC: {start}", self.url)),
        }
    }

    fn authorization(&self) -> Result<String, ClientError> {
        let credentials = match &self.login {
            Login::Password(user, password) => format!("{user}:{password}"),
            Login::Cookie(path) => std::fs::read_to_string(path).map_err(|error| {
                let path = path.display();
                ClientError::Unreachable(format!("no node seems to run at {}: {path}: {error}", self.url))
            })?,
        };
        Ok(format!("Basic {}", BASE64_STANDARD.encode(credentials.trim())))
    }

    fn post(&self, body: &str) -> Result<String, ClientError> {
        let unreachable =
            |error| ClientError::Unreachable(format!("no node answers at {}: {error}", self.url));
        let mut response = self
            .agent
            .post(&self.url)
            .header("Authorization", self.authorization()?)
            .header("Content-Type", "application/json")
            .send(body)
            .map_err(unreachable)?;
        let status = response.status().as_u16();
        let text = response
            .body_mut()
            .with_config()
            .limit(MAX_ANSWER_SIZE)
            .read_to_string()
            .map_err(|error| ClientError::Protocol(format!("{}: {error}", self.url)))?;
        match status {
            401 => Err(ClientError::Protocol(format!("{} refuses our user and password", self.url))),
            403 | 503 => Err(ClientError::Protocol(format!("{}: {}", self.url, text.trim()))),
            _ => Ok(text),
        }
    }
}

fn to_text<T: Serialize>(value: &T) -> Result<String, ClientError> {
    serde_json::to_string(value).map_err(|error| ClientError::Protocol(error.to_string()))
}
