//! Messages as bytes of a stream and of gossip, without a network: for whoever tries what bytes do.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures::AsyncRead;
use futures::executor::block_on;
use tine_chain::codec::Decode;
use tine_node::wire::{Gossip, MAX_REQUEST_SIZE, MAX_RESPONSE_SIZE, Request, Response};

use crate::codec::{self, Frame};
use crate::gossip::Topics;

/// What a stream of bytes turned out to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Read<T> {
    /// A message, of so many bytes behind its length.
    Message(T, usize),
    /// No message, and the peer's fault: why.
    Malformed(String),
    /// It ended before the message did.
    Cut,
}

/// Bytes that come a few at a time, as a slow peer sends them.
struct Trickle<'a> {
    left: &'a [u8],
    piece: usize,
}

impl AsyncRead for Trickle<'_> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let count = self.piece.max(1).min(buffer.len()).min(self.left.len());
        let (now, later) = self.left.split_at(count);
        buffer[..count].copy_from_slice(now);
        self.left = later;
        Poll::Ready(Ok(count))
    }
}

fn read<T: Decode>(bytes: &[u8], piece: usize, limit: usize) -> (Read<T>, usize) {
    let mut stream = Trickle { left: bytes, piece };
    let read = match block_on(codec::read(&mut stream, limit)).map(Frame::received) {
        Ok(Ok((message, length))) => Read::Message(message, length),
        Ok(Err(error)) => Read::Malformed(error.to_string()),
        // a stream in memory fails in no other way
        Err(_) => Read::Cut,
    };
    (read, bytes.len() - stream.left.len())
}

/// Reads a request from a stream that gives `piece` bytes at a time, and how many bytes were taken from it.
#[must_use]
pub fn read_request(bytes: &[u8], piece: usize) -> (Read<Request>, usize) {
    read(bytes, piece, MAX_REQUEST_SIZE)
}

/// As [`read_request`], a response.
#[must_use]
pub fn read_response(bytes: &[u8], piece: usize) -> (Read<Response>, usize) {
    read(bytes, piece, MAX_RESPONSE_SIZE)
}

/// What a message of gossip is taken for on the topic of blocks, or on that of transactions.
#[must_use]
pub fn read_gossip(bytes: &[u8], of_blocks: bool) -> Option<Gossip> {
    let topics = Topics::of("testing");
    topics.decode(&topics.hash_of(of_blocks), bytes)
}
