//! The two halves of a connection, for two tasks: [`Reader`] and [`Writer`].
//!
//! They share the endpoint behind a lock, which is held for one poll and never while a task waits. The read buffer is
//! the reader's own, so an event is handed out without the lock.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use futures_core::{FusedStream, Stream};
use futures_sink::Sink;
use tokio::io::{AsyncRead, AsyncWrite};
use yamabiko::websocket::frame::{CloseCode, CloseFrame};
use yamabiko::websocket::{AsMessage, Connection, Ended, Event, Fragment, OwnedMessage, SendError};

use crate::endpoint::Endpoint;
use crate::error::Error;
use crate::input::{Access, Input};

type Shared<T> = Arc<Mutex<Endpoint<T>>>;

pub(crate) fn split<T>(endpoint: Endpoint<T>, input: Input) -> (Reader<T>, Writer<T>) {
    let shared = Arc::new(Mutex::new(endpoint));
    let reader = Reader {
        shared: Locked(Arc::clone(&shared)),
        input,
    };
    (reader, Writer { shared })
}

/// The half that receives: a [`Stream`] of messages.
///
/// Keep reading, even if no message is expected: pings and the peer's Close are answered, and
/// deadlines kept, while a task reads.
pub struct Reader<T> {
    shared: Locked<T>,
    input: Input,
}

/// The half that sends: a [`Sink`] for messages.
pub struct Writer<T> {
    shared: Shared<T>,
}

impl<T: AsyncRead + AsyncWrite + Unpin> Reader<T> {
    /// As [`WebSocket::read`](crate::WebSocket::read).
    ///
    /// # Errors
    /// As there.
    pub async fn read(&mut self) -> Result<Option<OwnedMessage>, Error> {
        poll_fn(|cx| self.input.poll_message(&mut self.shared, cx)).await
    }

    /// As [`WebSocket::read_with`](crate::WebSocket::read_with). `handle` runs without a lock.
    ///
    /// # Errors
    /// As there.
    pub async fn read_with<R>(
        &mut self,
        handle: impl FnOnce(Event<'_>) -> R,
    ) -> Result<Option<R>, Error> {
        let mut handle = Some(handle);
        let mut take =
            |_: &mut Locked<T>, event: Event<'_>| handle.take().map(|handle| handle(event));
        poll_fn(|cx| self.input.poll(&mut self.shared, cx, &mut take)).await
    }

    /// Whether messages can be sent.
    pub fn is_open(&self) -> bool {
        lock(&self.shared.0).is_open()
    }

    /// How the connection has ended; `None` while it is open.
    pub fn ended(&self) -> Option<Ended> {
        lock(&self.shared.0).ended()
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> Writer<T> {
    /// As [`WebSocket::send`](crate::WebSocket::send).
    ///
    /// # Errors
    /// As there.
    pub async fn send(&mut self, message: impl AsMessage) -> Result<(), Error> {
        let mut message = Some(message);
        poll_fn(|cx| lock(&self.shared).poll_send(&mut message, cx)).await
    }

    /// As [`WebSocket::feed`](crate::WebSocket::feed). The reader writes the queue, too, before it
    /// waits.
    ///
    /// # Errors
    /// As there.
    pub async fn feed(&mut self, message: impl AsMessage) -> Result<(), Error> {
        poll_fn(|cx| lock(&self.shared).poll_ready(cx)).await?;
        lock(&self.shared).push(|connection, output| connection.send(message, output))
    }

    /// As [`WebSocket::send_fragment`](crate::WebSocket::send_fragment).
    ///
    /// # Errors
    /// As there.
    pub async fn send_fragment(&mut self, fragment: Fragment<'_>) -> Result<(), Error> {
        self.push_and_flush(|connection, output| connection.send_fragment(fragment, output))
            .await
    }

    /// As [`WebSocket::ping`](crate::WebSocket::ping).
    ///
    /// # Errors
    /// As there.
    pub async fn ping(&mut self, payload: &[u8]) -> Result<(), Error> {
        self.push_and_flush(|connection, output| connection.ping(payload, output))
            .await
    }

    /// As [`WebSocket::flush`](crate::WebSocket::flush).
    ///
    /// # Errors
    /// As there.
    pub async fn flush(&mut self) -> Result<(), Error> {
        poll_fn(|cx| lock(&self.shared).poll_flush(cx)).await
    }

    /// Sends a Close. The reader receives what is on its way, the peer's Close, and the end.
    ///
    /// # Errors
    /// [`Error::Send`]: the reason has more than 123 bytes. [`Error::Lost`].
    pub async fn close<'f>(&mut self, close: impl Into<CloseFrame<'f>>) -> Result<(), Error> {
        lock(&self.shared).start_close(close.into())?;
        self.flush().await
    }

    /// Whether messages can be sent.
    pub fn is_open(&self) -> bool {
        lock(&self.shared).is_open()
    }

    async fn push_and_flush(
        &mut self,
        encode: impl FnOnce(&mut Connection, &mut Vec<u8>) -> Result<(), SendError>,
    ) -> Result<(), Error> {
        let mut encode = Some(encode);
        poll_fn(|cx| lock(&self.shared).poll_push(&mut encode, cx)).await
    }
}

/// The endpoint behind its lock.
struct Locked<T>(Shared<T>);

impl<T: AsyncRead + AsyncWrite + Unpin> Access for Locked<T> {
    type Stream = T;

    fn with<R>(&mut self, f: impl FnOnce(&mut Endpoint<T>) -> R) -> R {
        f(&mut lock(&self.0))
    }
}

/// A poisoned lock is used: a stream that panicked has panicked in the task of one half, and the
/// other one finds the endpoint as a poll has left it.
fn lock<T>(shared: &Mutex<Endpoint<T>>) -> MutexGuard<'_, Endpoint<T>> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Messages until the end of the connection. An error that ends it is the last item.
impl<T: AsyncRead + AsyncWrite + Unpin> Stream for Reader<T> {
    type Item = Result<OwnedMessage, Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        this.input.poll_next(&mut this.shared, cx)
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> FusedStream for Reader<T> {
    fn is_terminated(&self) -> bool {
        self.input.is_terminated()
    }
}

/// Messages to send. `poll_close` sends a Close with 1000; the reader receives the peer's.
impl<T: AsyncRead + AsyncWrite + Unpin, M: AsMessage> Sink<M> for Writer<T> {
    type Error = Error;

    fn poll_ready(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        lock(&self.shared).poll_ready(cx)
    }

    fn start_send(self: Pin<&mut Self>, message: M) -> Result<(), Error> {
        lock(&self.shared).push(|connection, output| connection.send(message, output))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        lock(&self.shared).poll_flush(cx)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let mut endpoint = lock(&self.shared);
        endpoint.start_close(CloseCode::NORMAL.into())?;
        endpoint.poll_flush(cx)
    }
}

impl<T> fmt::Debug for Reader<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Reader")
    }
}

impl<T> fmt::Debug for Writer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Writer")
    }
}
