//! A connection as one value: [`WebSocket`].

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use futures_core::{FusedStream, Stream};
use futures_sink::Sink;
use tokio::io::{AsyncRead, AsyncWrite};
use yamabiko::websocket::deflate::DeflateParameters;
use yamabiko::websocket::frame::{CloseCode, CloseFrame, Role};
use yamabiko::websocket::handshake::{Fields, OwnedFields};
use yamabiko::websocket::{AsMessage, Connection, Ended, Event, Fragment, OwnedMessage, SendError};

use crate::endpoint::Endpoint;
use crate::error::Error;
use crate::input::Input;
use crate::options::Options;
use crate::split::{self, Reader, Writer};

/// An open connection on a stream, as server or as client. If it is dropped without
/// [`WebSocket::close`], only the stream is closed, and the peer reports 1006.
///
/// It is a [`Stream`] of messages and a [`Sink`] for them, with methods for the same without
/// another crate. Keep reading, even if no message is expected: pings and the peer's Close are
/// answered, and deadlines kept, while a task reads.
///
/// # Dropped futures
///
/// A future of this type can be dropped at any point, as `select!` and timeouts do. Nothing
/// that was received is lost. A message is sent as a whole or not at all, and never twice:
/// [`WebSocket::send`] waits until there is room in the write queue, then appends the message,
/// then waits until it is written. If the future is dropped before it has appended the message,
/// the message is not sent; later, the next operation of any kind writes the rest. A program
/// that has to know which it was waits with [`WebSocket::ready`] and then calls
/// [`WebSocket::push`], which does not wait.
///
/// # Cost
///
/// An idle connection takes about 1.6 KB with its task and its stream in the runtime (10,000 connections of `examples/echo`); it has no
/// read buffer. A message is copied once into
/// its [`OwnedMessage`], and not at all by [`WebSocket::read_with`].
pub struct WebSocket<T> {
    endpoint: Endpoint<T>,
    input: Input,
    subprotocol: Option<Box<str>>,
    deflate: Option<DeflateParameters>,
    response_fields: Option<Box<OwnedFields>>,
}

/// A connection as the opening handshake has made it.
pub(crate) struct Opened<T> {
    pub(crate) stream: T,
    pub(crate) connection: Connection,
    pub(crate) role: Role,
    pub(crate) subprotocol: Option<Box<str>>,
    pub(crate) deflate: Option<DeflateParameters>,
    pub(crate) response_fields: Option<Box<OwnedFields>>,
}

impl<T: AsyncRead + AsyncWrite + Unpin> WebSocket<T> {
    /// `surplus`: the bytes that came behind the head of the opening handshake.
    pub(crate) fn new(opened: Opened<T>, surplus: &[u8], options: Arc<Options>) -> WebSocket<T> {
        let Opened {
            stream,
            connection,
            role,
            subprotocol,
            deflate,
            response_fields,
        } = opened;
        WebSocket {
            endpoint: Endpoint::new(stream, connection, role, options),
            input: Input::new(surplus),
            subprotocol,
            deflate,
            response_fields,
        }
    }

    /// A server's connection on a stream whose opening handshake another library has done.
    /// `connection`: from [`Accepted::connection`](yamabiko::websocket::handshake::Accepted),
    /// for example.
    pub fn server(stream: T, connection: Connection, options: Options) -> WebSocket<T> {
        WebSocket::of(stream, connection, Role::Server, options)
    }

    /// A client's connection on a stream whose opening handshake another library has done.
    /// `connection`: from
    /// [`Established::connection`](yamabiko::websocket::handshake::Established), for example.
    pub fn client(stream: T, connection: Connection, options: Options) -> WebSocket<T> {
        WebSocket::of(stream, connection, Role::Client, options)
    }

    fn of(stream: T, connection: Connection, role: Role, options: Options) -> WebSocket<T> {
        let opened = Opened {
            stream,
            connection,
            role,
            subprotocol: None,
            deflate: None,
            response_fields: None,
        };
        WebSocket::new(opened, &[], Arc::new(options))
    }

    /// Waits for the next message. `None`: the closing handshake is complete;
    /// [`WebSocket::ended`] tells which side closed, and why.
    ///
    /// # Errors
    /// [`Error::Protocol`], [`Error::Lost`], [`Error::TimedOut`]: the connection has ended, and
    /// each further read returns the same. [`Error::InPieces`].
    pub async fn read(&mut self) -> Result<Option<OwnedMessage>, Error> {
        poll_fn(|cx| self.input.poll_message(&mut self.endpoint, cx)).await
    }

    /// Waits for the next event and passes it to `handle`: a text, a binary message, a ping
    /// (already answered), a pong, or, with [`Options::pieces`], a piece of a message. The event
    /// borrows the read buffer: no copy and no allocation if the message is one frame.
    ///
    /// # Errors
    /// As [`WebSocket::read`].
    pub async fn read_with<R>(
        &mut self,
        handle: impl FnOnce(Event<'_>) -> R,
    ) -> Result<Option<R>, Error> {
        self.next(|event, _| handle(event)).await
    }

    /// As [`WebSocket::read_with`], for replies that borrow what was received. They are written
    /// when all that was read has been handed out, so many replies by one write.
    ///
    /// ```
    /// # use yamabiko_tokio::{Error, WebSocket};
    /// # use tokio::io::{AsyncRead, AsyncWrite};
    /// /// An echo without a copy of the message before the write queue.
    /// async fn echo<T: AsyncRead + AsyncWrite + Unpin>(mut socket: WebSocket<T>) -> Result<(), Error> {
    ///     while let Some(sent) = socket
    ///         .read_and_reply(|event, replies| match event.message() {
    ///             Some(message) if replies.is_open() => replies.send(message),
    ///             _ => Ok(()),
    ///         })
    ///         .await?
    ///     {
    ///         sent?;
    ///     }
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Errors
    /// As [`WebSocket::read`].
    pub async fn read_and_reply<R>(
        &mut self,
        handle: impl FnOnce(Event<'_>, &mut Replies<'_, T>) -> R,
    ) -> Result<Option<R>, Error> {
        // The peer reads its replies before it is read on.
        if self.endpoint.is_full() && self.is_open() {
            // If it fails, the read finds what the peer has sent before.
            _ = self.ready().await;
        }
        self.next(handle).await
    }

    /// Sends a message in one frame; returns when the stream has taken it. Strings are texts,
    /// and bytes are binary messages.
    ///
    /// # Errors
    /// [`Error::Send`]: the connection is closing, or a fragmented message is under way; nothing
    /// was sent. [`Error::Lost`]: the stream has ended. A read can still return messages and the
    /// Close that the peer sent before.
    pub async fn send(&mut self, message: impl AsMessage) -> Result<(), Error> {
        let mut message = Some(message);
        poll_fn(|cx| self.endpoint.poll_send(&mut message, cx)).await
    }

    /// Appends a message to the write queue, as soon as there is room. It is written by the next
    /// [`WebSocket::flush`] or [`WebSocket::send`], and when a read has to wait.
    ///
    /// # Errors
    /// As [`WebSocket::send`].
    pub async fn feed(&mut self, message: impl AsMessage) -> Result<(), Error> {
        self.ready().await?;
        self.push(message)
    }

    /// Sends one fragment of a message ([`Connection::send_fragment`]).
    ///
    /// # Errors
    /// As [`WebSocket::send`].
    pub async fn send_fragment(&mut self, fragment: Fragment<'_>) -> Result<(), Error> {
        self.push_and_flush(|connection, output| connection.send_fragment(fragment, output))
            .await
    }

    /// Sends a ping with at most 125 bytes. Its pong is an event of [`WebSocket::read_with`].
    ///
    /// # Errors
    /// As [`WebSocket::send`]; also for a longer payload.
    pub async fn ping(&mut self, payload: &[u8]) -> Result<(), Error> {
        self.push_and_flush(|connection, output| connection.ping(payload, output))
            .await
    }

    /// Waits until there is room in the write queue. Has no effect if it is dropped.
    ///
    /// # Errors
    /// [`Error::Lost`].
    pub async fn ready(&mut self) -> Result<(), Error> {
        poll_fn(|cx| self.endpoint.poll_ready(cx)).await
    }

    /// Appends a message to the write queue, without waiting, whether there is room or not: call
    /// [`WebSocket::ready`] before.
    ///
    /// # Errors
    /// As [`WebSocket::send`].
    pub fn push(&mut self, message: impl AsMessage) -> Result<(), Error> {
        self.endpoint
            .push(|connection, output| connection.send(message, output))
    }

    /// Writes the write queue.
    ///
    /// # Errors
    /// [`Error::Lost`].
    pub async fn flush(&mut self) -> Result<(), Error> {
        poll_fn(|cx| self.endpoint.poll_flush(cx)).await
    }

    /// Performs the closing handshake: sends a Close, reads until the peer's Close (messages
    /// before it are discarded) and to the end of the stream, at most for
    /// [`Timeouts::close`](yamabiko::websocket::deadlines::Timeouts::close). If the connection
    /// has already ended, returns how.
    ///
    /// # Errors
    /// [`Error::Send`]: the reason has more than 123 bytes. Other failures are part of [`Ended`].
    pub async fn close<'f>(&mut self, close: impl Into<CloseFrame<'f>>) -> Result<Ended, Error> {
        self.endpoint.start_close(close.into())?;
        while let Ok(Some(())) = self.read_with(|_| ()).await {}
        Ok(self.endpoint.ended().unwrap_or_default())
    }

    /// Whether messages can be sent: no Close has been sent or received, and the stream has not
    /// ended. Messages of the peer still come while this end closes.
    pub fn is_open(&self) -> bool {
        self.endpoint.is_open()
    }

    /// How the connection has ended; `None` while it is open.
    pub fn ended(&self) -> Option<Ended> {
        self.endpoint.ended()
    }

    /// The subprotocol in use.
    pub fn subprotocol(&self) -> Option<&str> {
        self.subprotocol.as_deref()
    }

    /// The negotiated compression.
    pub fn deflate(&self) -> Option<DeflateParameters> {
        self.deflate
    }

    /// The header fields of the server's response, in a client's connection.
    pub fn response_fields(&self) -> Option<Fields<'_>> {
        self.response_fields
            .as_ref()
            .map(|fields| fields.as_fields())
    }

    /// The stream, for its addresses and options.
    pub fn get_ref(&self) -> &T {
        self.endpoint.stream()
    }

    /// Splits the connection into two halves, for two tasks.
    ///
    /// ```no_run
    /// # use yamabiko_tokio::{Error, WebSocket};
    /// # async fn example(socket: WebSocket<tokio::net::TcpStream>) -> Result<(), Error> {
    /// let (mut reader, mut writer) = socket.split();
    /// let sending = tokio::spawn(async move { writer.send("hello").await });
    /// let first = reader.read().await?;
    /// # let _ = (first, sending);
    /// # Ok(())
    /// # }
    /// ```
    pub fn split(self) -> (Reader<T>, Writer<T>) {
        split::split(self.endpoint, self.input)
    }

    /// As [`WebSocket::push`], for a ping.
    #[cfg(feature = "client")]
    pub(crate) fn push_ping(&mut self, payload: &[u8]) -> Result<(), Error> {
        self.endpoint
            .push(|connection, output| connection.ping(payload, output))
    }

    /// As [`WebSocket::read_with`], as a poll.
    #[cfg(feature = "client")]
    pub(crate) fn poll_event<R>(
        &mut self,
        cx: &mut Context<'_>,
        handle: &mut impl FnMut(Event<'_>) -> R,
    ) -> Poll<Result<Option<R>, Error>> {
        let mut take = |_: &mut Endpoint<T>, event: Event<'_>| Some(handle(event));
        self.input.poll(&mut self.endpoint, cx, &mut take)
    }

    async fn next<R>(
        &mut self,
        handle: impl FnOnce(Event<'_>, &mut Replies<'_, T>) -> R,
    ) -> Result<Option<R>, Error> {
        let mut handle = Some(handle);
        poll_fn(|cx| {
            let task = cx.waker();
            let mut take = |endpoint: &mut Endpoint<T>, event: Event<'_>| {
                let handle = handle.take()?;
                Some(handle(event, &mut Replies { endpoint, task }))
            };
            self.input.poll(&mut self.endpoint, cx, &mut take)
        })
        .await
    }

    async fn push_and_flush(
        &mut self,
        encode: impl FnOnce(&mut Connection, &mut Vec<u8>) -> Result<(), SendError>,
    ) -> Result<(), Error> {
        let mut encode = Some(encode);
        poll_fn(|cx| self.endpoint.poll_push(&mut encode, cx)).await
    }
}

/// Replies to what was received: [`WebSocket::read_and_reply`].
#[derive(Debug)]
pub struct Replies<'e, T> {
    endpoint: &'e mut Endpoint<T>,
    /// The task that reads.
    task: &'e Waker,
}

impl<T: AsyncRead + AsyncWrite + Unpin> Replies<'_, T> {
    /// Whether a message can be sent.
    pub fn is_open(&self) -> bool {
        self.endpoint.is_open()
    }

    /// Appends a message to the write queue. One of 16 KiB or more is written at once, from where
    /// it lies; what the stream does not take is appended.
    ///
    /// # Errors
    /// As [`WebSocket::send`].
    pub fn send(&mut self, message: impl AsMessage) -> Result<(), Error> {
        let cx = &mut Context::from_waker(self.task);
        self.endpoint.send(message.as_message(), cx)
    }

    /// Appends a fragment of a message to the write queue.
    ///
    /// # Errors
    /// As [`WebSocket::send`].
    pub fn send_fragment(&mut self, fragment: Fragment<'_>) -> Result<(), Error> {
        self.endpoint
            .push(|connection, output| connection.send_fragment(fragment, output))
    }

    /// Begins the closing handshake.
    ///
    /// # Errors
    /// [`Error::Send`]: the reason has more than 123 bytes.
    pub fn close<'f>(&mut self, close: impl Into<CloseFrame<'f>>) -> Result<(), Error> {
        self.endpoint.start_close(close.into())
    }
}

/// Messages until the end of the connection. An error that ends it is the last item.
impl<T: AsyncRead + AsyncWrite + Unpin> Stream for WebSocket<T> {
    type Item = Result<OwnedMessage, Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        this.input.poll_next(&mut this.endpoint, cx)
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> FusedStream for WebSocket<T> {
    fn is_terminated(&self) -> bool {
        self.input.is_terminated()
    }
}

/// Messages to send. `poll_close` performs the closing handshake with 1000; it discards messages
/// that still come.
impl<T: AsyncRead + AsyncWrite + Unpin, M: AsMessage> Sink<M> for WebSocket<T> {
    type Error = Error;

    fn poll_ready(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.get_mut().endpoint.poll_ready(cx)
    }

    fn start_send(self: Pin<&mut Self>, message: M) -> Result<(), Error> {
        self.get_mut().push(message)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.get_mut().endpoint.poll_flush(cx)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let this = self.get_mut();
        this.endpoint.start_close(CloseCode::NORMAL.into())?;
        this.input.poll_discard(&mut this.endpoint, cx)
    }
}

impl<T> fmt::Debug for WebSocket<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebSocket")
            .field("subprotocol", &self.subprotocol)
            .field("endpoint", &self.endpoint)
            .finish_non_exhaustive()
    }
}
