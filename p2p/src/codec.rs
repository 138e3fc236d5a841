//! Requests and responses as bytes on a stream: a length, four bytes little-endian, then the encoding.
//!
//! The length is checked before anything is allocated, and what is allocated grows with what has come, so that a
//! peer that announces 4 MB and sends nothing costs nothing. Decoding happens here, in the connection's own task.

use std::io;

use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use libp2p::StreamProtocol;
use libp2p::request_response;
use tine_chain::codec::{Decode, DecodeError};
use tine_node::wire::{MAX_REQUEST_SIZE, MAX_RESPONSE_SIZE, Request, Response};

/// What is allocated before the first byte has come, at most.
const FIRST_ALLOCATION: usize = 16 * 1024;

/// Why bytes that a peer sent are no message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CodecError {
    /// The announced length is over the limit. Nothing of it was read.
    #[error("a message of {length} bytes is announced; at most {limit} are allowed")]
    TooLong { length: usize, limit: usize },
    /// The bytes do not decode.
    #[error("undecodable message: {0}")]
    Undecodable(DecodeError),
}

/// A message on its way out, encoded already, or one that came in, decoded.
#[derive(Debug, Clone)]
pub(crate) enum Frame<T> {
    /// To be sent.
    Outgoing(Vec<u8>),
    /// Received, and how many bytes it was.
    Incoming(T, usize),
    /// Received, and no message: the peer's fault, and not the network's. No I/O error, because libp2p keeps
    /// those of unread requests to itself.
    Malformed(CodecError),
}

impl<T> Frame<T> {
    /// What was received.
    pub(crate) fn received(self) -> Result<(T, usize), CodecError> {
        match self {
            Self::Incoming(message, bytes) => Ok((message, bytes)),
            Self::Malformed(error) => Err(error),
            Self::Outgoing(_) => unreachable!("the codec reads only incoming frames"),
        }
    }
}

/// The codec of the one request-response protocol.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct SyncCodec;

impl request_response::Codec for SyncCodec {
    type Protocol = StreamProtocol;
    type Request = Frame<Request>;
    type Response = Frame<Response>;

    async fn read_request<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<Self::Request>
    where
        T: AsyncRead + Unpin + Send,
    {
        read(io, MAX_REQUEST_SIZE).await
    }

    async fn read_response<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<Self::Response>
    where
        T: AsyncRead + Unpin + Send,
    {
        read(io, MAX_RESPONSE_SIZE).await
    }

    async fn write_request<T>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
        frame: Self::Request,
    ) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        write(io, frame).await
    }

    async fn write_response<T>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
        frame: Self::Response,
    ) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        write(io, frame).await
    }
}

pub(crate) async fn read<T, M>(io: &mut T, limit: usize) -> io::Result<Frame<M>>
where
    T: AsyncRead + Unpin + Send,
    M: Decode,
{
    let mut prefix = [0; 4];
    io.read_exact(&mut prefix).await?;
    let length = u32::from_le_bytes(prefix) as usize;
    if length > limit {
        return Ok(Frame::Malformed(CodecError::TooLong { length, limit }));
    }
    let mut bytes = Vec::with_capacity(length.min(FIRST_ALLOCATION));
    io.take(length as u64).read_to_end(&mut bytes).await?;
    if bytes.len() < length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(match M::from_bytes(&bytes) {
        Ok(message) => Frame::Incoming(message, length),
        Err(error) => Frame::Malformed(CodecError::Undecodable(error)),
    })
}

async fn write<T, M>(io: &mut T, frame: Frame<M>) -> io::Result<()>
where
    T: AsyncWrite + Unpin + Send,
{
    let Frame::Outgoing(bytes) = frame else { unreachable!("only outgoing frames are sent") };
    let length = u32::try_from(bytes.len()).expect("checked against the limits before it was queued");
    io.write_all(&length.to_le_bytes()).await?;
    io.write_all(&bytes).await?;
    io.flush().await
}

#[cfg(test)]
mod tests {
    use futures::executor::block_on;
    use futures::io::Cursor;
    use tine_chain::codec::Encode;

    use super::*;

    /// A reader that counts how far it was read.
    fn read_request(bytes: &[u8]) -> (io::Result<Frame<Request>>, u64) {
        let mut io = Cursor::new(bytes);
        let result = block_on(read(&mut io, MAX_REQUEST_SIZE));
        (result, io.position())
    }

    fn framed(bytes: &[u8]) -> Vec<u8> {
        let mut framed = (bytes.len() as u32).to_le_bytes().to_vec();
        framed.extend_from_slice(bytes);
        framed
    }

    #[test]
    fn what_is_written_is_read() {
        let request = Request::Headers { locator: Vec::new() };
        let mut io = Cursor::new(Vec::new());
        block_on(write(&mut io, Frame::<Request>::Outgoing(request.to_bytes()))).expect("memory");
        let (frame, _) = read_request(&io.into_inner());
        let (message, bytes) = frame.expect("a request").received().expect("a message");
        assert_eq!((message, bytes), (request.clone(), request.to_bytes().len()));
    }

    #[test]
    fn p2p_02_a_length_over_the_limit_is_refused_at_the_prefix() {
        let mut bytes = u32::MAX.to_le_bytes().to_vec();
        bytes.extend_from_slice(&[0; 100]);
        let (result, position) = read_request(&bytes);
        let error = result.expect("read").received().expect_err("too long");
        assert_eq!(error, CodecError::TooLong { length: u32::MAX as usize, limit: MAX_REQUEST_SIZE });
        assert_eq!(position, 4);
    }

    #[test]
    fn p2p_04_bytes_that_are_no_message_are_the_peers_fault() {
        for bytes in [
            &framed(&[])[..],
            &framed(&[0xff; 10]),
            &framed(&[&Request::Mempool.to_bytes()[..], &[0]].concat()),
        ] {
            let (result, _) = read_request(bytes);
            let error = result.expect("read").received().expect_err("undecodable");
            assert!(matches!(error, CodecError::Undecodable(_)), "{bytes:?}");
        }
    }

    #[test]
    fn p2p_13_a_message_cut_at_any_byte_is_nobodys_fault() {
        let whole =
            framed(&Request::Headers { locator: vec![tine_chain::hash::BlockHash([1; 32])] }.to_bytes());
        for end in 0..whole.len() {
            let (result, _) = read_request(&whole[..end]);
            let error = result.expect_err("cut short");
            assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        }
        assert!(read_request(&whole).0.is_ok());
    }
}
