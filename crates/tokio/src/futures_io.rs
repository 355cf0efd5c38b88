//! Streams of the crate `futures-io`: [`FuturesIo`].

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A stream with the traits of `futures-io`, as smol and async-std have it, as one with tokio's.
/// No runtime of tokio is needed; set the runtime's timers, too
/// ([`Acceptor::timer`](crate::Acceptor::timer)).
///
/// ```
/// use futures_io::{AsyncRead, AsyncWrite};
/// use yamabiko_tokio::{AcceptError, Acceptor, FuturesIo, Timer, WebSocket};
///
/// async fn accept<S>(stream: S, timer: Timer) -> Result<WebSocket<FuturesIo<S>>, AcceptError>
/// where
///     S: AsyncRead + AsyncWrite + Unpin,
/// {
///     Acceptor::new().timer(timer).accept(FuturesIo(stream)).await
/// }
/// ```
///
/// A client opens its stream by itself, and then performs the opening handshake on it:
///
/// ```
/// # use futures_io::{AsyncRead, AsyncWrite};
/// use yamabiko_tokio::yamabiko::client::ClientError;
/// use yamabiko_tokio::{Connector, FuturesIo, Timer, WebSocket};
///
/// async fn connect<S>(uri: &str, stream: S, timer: Timer) -> Result<WebSocket<FuturesIo<S>>, ClientError>
/// where
///     S: AsyncRead + AsyncWrite + Unpin,
/// {
///     Connector::new(uri)?.timer(timer).connect_on(FuturesIo(stream)).await
/// }
/// ```
///
/// On smol, `stream` is `smol::net::TcpStream::connect("127.0.0.1:9001").await?`. [`Timer`](crate::Timer) shows how `timer`
/// is made. Without it, a future that is not polled in a runtime of tokio panics.
#[derive(Debug)]
pub struct FuturesIo<S>(
    /// The stream.
    pub S,
);

impl<S: futures_io::AsyncRead + Unpin> AsyncRead for FuturesIo<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let stream = Pin::new(&mut self.get_mut().0);
        let count = ready!(stream.poll_read(cx, buffer.initialize_unfilled()))?;
        buffer.advance(count);
        Poll::Ready(Ok(()))
    }
}

impl<S: futures_io::AsyncWrite + Unpin> AsyncWrite for FuturesIo<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().0).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().0).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().0).poll_close(cx)
    }
}
