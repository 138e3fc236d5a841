//! A caller that costs as little as it can: one connection that is kept, requests made beforehand.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _};

/// A whole request with this body.
pub(super) fn request(login: &str, body: &str) -> Vec<u8> {
    let login = BASE64_STANDARD.encode(login);
    let length = body.len();
    format!(
        "POST / HTTP/1.1\r\nHost: localhost\r\nAuthorization: Basic {login}\r\nContent-Length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

/// What a header says about the body's length, if it is that header.
fn length_in(header: &str) -> Option<usize> {
    let (name, value) = header.split_once(':')?;
    name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
}

fn bad(what: &str) -> std::io::Error {
    std::io::Error::new(std::io::ErrorKind::InvalidData, what.to_owned())
}

/// A connection that is used by one caller.
pub(super) struct Line {
    stream: BufReader<TcpStream>,
    header: String,
    body: Vec<u8>,
}

impl Line {
    pub(super) fn open(to: SocketAddr) -> std::io::Result<Self> {
        let stream = TcpStream::connect(to)?;
        stream.set_nodelay(true)?;
        Ok(Self { stream: BufReader::new(stream), header: String::new(), body: Vec::new() })
    }

    /// Sends a request and reads the body of its answer, which must be 200.
    pub(super) fn ask(&mut self, request: &[u8]) -> std::io::Result<&[u8]> {
        self.stream.get_mut().write_all(request)?;
        let mut length = None;
        for line in 0.. {
            self.header.clear();
            self.stream.read_line(&mut self.header)?;
            if line == 0 && !self.header.starts_with("HTTP/1.1 200") {
                return Err(bad(&self.header));
            }
            if self.header == "\r\n" {
                break;
            }
            length = length.or_else(|| length_in(&self.header));
        }
        self.body.resize(length.ok_or_else(|| bad("no Content-Length"))?, 0);
        self.stream.read_exact(&mut self.body)?;
        Ok(&self.body)
    }
}

/// The same for a caller among many, who need no thread each.
pub(super) struct AsyncLine {
    stream: tokio::io::BufReader<tokio::net::TcpStream>,
    header: String,
    body: Vec<u8>,
}

impl AsyncLine {
    pub(super) async fn open(to: SocketAddr) -> std::io::Result<Self> {
        let stream = tokio::net::TcpStream::connect(to).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream: tokio::io::BufReader::new(stream), header: String::new(), body: Vec::new() })
    }

    /// Sends a request and reads its answer; whether it was 200.
    pub(super) async fn ask(&mut self, request: &[u8]) -> std::io::Result<bool> {
        self.stream.get_mut().write_all(request).await?;
        let (mut length, mut fine) = (None, false);
        for line in 0.. {
            self.header.clear();
            if self.stream.read_line(&mut self.header).await? == 0 {
                return Err(bad("the connection was closed"));
            }
            fine |= line == 0 && self.header.starts_with("HTTP/1.1 200");
            if self.header == "\r\n" {
                break;
            }
            length = length.or_else(|| length_in(&self.header));
        }
        self.body.resize(length.ok_or_else(|| bad("no Content-Length"))?, 0);
        self.stream.read_exact(&mut self.body).await?;
        Ok(fine)
    }

    /// Asks for a stream of events, and counts what comes until the connection ends.
    pub(super) async fn listen(mut self, request: &[u8], heard: &std::sync::atomic::AtomicU64) {
        if self.stream.get_mut().write_all(request).await.is_err() {
            return;
        }
        loop {
            self.header.clear();
            match self.stream.read_line(&mut self.header).await {
                Ok(0) | Err(_) => return,
                Ok(_) if self.header.starts_with("data:") => {
                    heard.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                }
                Ok(_) => {}
            }
        }
    }
}
