//! yamux with every limit set.
//!
//! libp2p's own wrapper of yamux can't lower the receive window, which is 1 GiB for each connection. This one is
//! the same but for that, and for how many new streams may wait.

use std::collections::VecDeque;
use std::io;
use std::iter;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use futures::future;
use futures::{AsyncRead, AsyncWrite};
use libp2p::core::muxing::{StreamMuxer, StreamMuxerEvent};
use libp2p::core::upgrade::{InboundConnectionUpgrade, OutboundConnectionUpgrade, UpgradeInfo};
use yamux::{Connection, ConnectionError, Mode};

/// Streams of one connection, both directions together: 2 × gossip, identify, ping; up to 16 requests; Kademlia.
pub(crate) const MAX_STREAMS: usize = 48;
/// Bytes that a peer may have on the way to us over one connection: the least that yamux allows, 256 KiB a stream.
pub(crate) const MAX_WINDOW: usize = MAX_STREAMS * 256 * 1024;
/// New streams that may wait to be accepted; further ones are reset.
const MAX_WAITING: usize = 16;

/// The upgrade that turns an encrypted connection into a multiplexed one.
#[derive(Debug, Clone)]
pub(crate) struct Config(yamux::Config);

impl Config {
    pub(crate) fn bounded() -> Self {
        let mut config = yamux::Config::default();
        // In this order: yamux checks at each step that the window suffices for the streams.
        config.set_max_num_streams(MAX_STREAMS);
        config.set_max_connection_receive_window(Some(MAX_WINDOW));
        config.set_read_after_close(false);
        Self(config)
    }
}

impl UpgradeInfo for Config {
    type Info = &'static str;
    type InfoIter = iter::Once<Self::Info>;

    fn protocol_info(&self) -> Self::InfoIter {
        iter::once("/yamux/1.0.0")
    }
}

impl<C> InboundConnectionUpgrade<C> for Config
where
    C: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    type Output = Muxer<C>;
    type Error = io::Error;
    type Future = future::Ready<io::Result<Self::Output>>;

    fn upgrade_inbound(self, io: C, _: Self::Info) -> Self::Future {
        future::ready(Ok(Muxer::new(Connection::new(io, self.0, Mode::Server))))
    }
}

impl<C> OutboundConnectionUpgrade<C> for Config
where
    C: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    type Output = Muxer<C>;
    type Error = io::Error;
    type Future = future::Ready<io::Result<Self::Output>>;

    fn upgrade_outbound(self, io: C, _: Self::Info) -> Self::Future {
        future::ready(Ok(Muxer::new(Connection::new(io, self.0, Mode::Client))))
    }
}

/// A multiplexed connection.
#[derive(Debug)]
pub(crate) struct Muxer<C> {
    connection: Connection<C>,
    /// yamux makes progress only when it is asked for the next inbound stream; streams that come up while
    /// something else was wanted wait here.
    waiting: VecDeque<yamux::Stream>,
    accept_waker: Option<Waker>,
}

impl<C: AsyncRead + AsyncWrite + Unpin> Muxer<C> {
    fn new(connection: Connection<C>) -> Self {
        Self { connection, waiting: VecDeque::new(), accept_waker: None }
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<yamux::Stream>> {
        let stream = ready!(self.connection.poll_next_inbound(cx));
        Poll::Ready(stream.unwrap_or(Err(ConnectionError::Closed)).map_err(into_io))
    }
}

impl<C> StreamMuxer for Muxer<C>
where
    C: AsyncRead + AsyncWrite + Unpin + 'static,
{
    type Substream = yamux::Stream;
    type Error = io::Error;

    fn poll_inbound(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Self::Substream, Self::Error>> {
        if let Some(stream) = self.waiting.pop_front() {
            return Poll::Ready(Ok(stream));
        }
        if let Poll::Ready(stream) = self.poll_next(cx) {
            return Poll::Ready(stream);
        }
        self.accept_waker = Some(cx.waker().clone());
        Poll::Pending
    }

    fn poll_outbound(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Self::Substream, Self::Error>> {
        self.connection.poll_new_outbound(cx).map_err(into_io)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.connection.poll_close(cx).map_err(into_io)
    }

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<StreamMuxerEvent, Self::Error>> {
        let stream = ready!(self.poll_next(cx))?;
        if self.waiting.len() < MAX_WAITING {
            self.waiting.push_back(stream);
            if let Some(waker) = self.accept_waker.take() {
                waker.wake();
            }
        }
        // More may be ready; give the rest of the connection its turn first.
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

fn into_io(error: ConnectionError) -> io::Error {
    if let ConnectionError::Io(error) = error { error } else { io::Error::other(error) }
}
