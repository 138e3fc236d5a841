//! A caller who costs next to nothing: one connection that is kept, one write for a call, and no more of HTTP than the
//! node's answers have. What is measured is the node, and not a client's pools and buffers.

use std::fmt::Display;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::exit::Error;

/// The longest answer that is read, in bytes: those of a block's submission and of a transaction are short.
const MAX_ANSWER: usize = 1 << 20;

/// A connection with a node.
pub(super) struct Caller {
    stream: BufReader<TcpStream>,
    /// The lines of HTTP that are the same in each call.
    head: String,
}

#[derive(Serialize)]
struct Call<'a> {
    jsonrpc: &'static str,
    id: u32,
    method: &'a str,
    params: [&'a str; 1],
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    result: Value,
    #[serde(default)]
    error: Value,
}

fn failed(error: impl Display) -> Error {
    Error::failed("a call to a node that is measured", error)
}

impl Caller {
    /// Connects to a node: `url` is as it tells it, `login` what its cookie holds.
    pub(super) fn connect(url: &str, login: &str) -> Result<Self, Error> {
        let place = url.trim_start_matches("http://").trim_end_matches('/');
        let stream = TcpStream::connect(place).map_err(failed)?;
        stream.set_nodelay(true).map_err(failed)?;
        let login = BASE64_STANDARD.encode(login);
        let head = format!(
            "POST / HTTP/1.1\r\nHost: {place}\r\nAuthorization: Basic {login}\r\n\
             Content-Type: application/json\r\nContent-Length: "
        );
        Ok(Self { stream: BufReader::new(stream), head })
    }

    /// Calls a method with one parameter, a string, and gives its result.
    pub(super) fn call(&mut self, method: &str, param: &str) -> Result<Value, Error> {
        let call = Call { jsonrpc: "2.0", id: 1, method, params: [param] };
        let body = serde_json::to_string(&call).map_err(failed)?;
        let request = format!("{}{}\r\n\r\n{body}", self.head, body.len());
        self.stream.get_mut().write_all(request.as_bytes()).map_err(failed)?;
        let answer: Answer = serde_json::from_slice(&self.read_answer()?).map_err(failed)?;
        if answer.error.is_null() { Ok(answer.result) } else { Err(failed(answer.error)) }
    }

    /// The body of an answer.
    fn read_answer(&mut self) -> Result<Vec<u8>, Error> {
        let mut length = None;
        let mut line = String::new();
        loop {
            line.clear();
            if self.stream.read_line(&mut line).map_err(failed)? == 0 {
                return Err(failed("the node has closed the connection"));
            }
            match line.trim_end().split_once(':') {
                Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                    length = Some(value.trim().parse::<usize>().map_err(failed)?);
                }
                None if line.trim_end().is_empty() => break,
                Some(_) | None => {}
            }
        }
        let length = length.filter(|length| *length <= MAX_ANSWER);
        let mut body = vec![0; length.ok_or_else(|| failed("an answer without a length"))?];
        self.stream.read_exact(&mut body).map_err(failed)?;
        Ok(body)
    }
}
