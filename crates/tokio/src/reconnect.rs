//! A client that connects again when its connection is lost: [`ReconnectingClient`].
//!
//! ```text
//!   Waiting ── the pause is over ──▶ Connecting ── 101 ──▶ Open ── closed for good ──▶ Ended
//!      ▲                                │                   │
//!      └─────────── failed ─────────────┴────── lost ───────┘
//! ```
//!
//! The policy is that of the library's blocking client: [`Retry`], [`Backoff`], [`Unconfirmed`]. The state is in the
//! client, an attempt to connect included, so that every future can be dropped.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_core::Stream;
use yamabiko::client::{Backoff, ClientError, Received, Retry, Unconfirmed, random};
use yamabiko::websocket::frame::CloseFrame;
use yamabiko::websocket::{Ended, Event, Message, OwnedMessage, SendError};

use crate::client_stream::ClientStream;
use crate::connect::Connector;
use crate::error::Error;
use crate::timer::Sleep;
use crate::websocket::WebSocket;

/// A client that connects again when its connection is lost, as the library's
/// [`ReconnectingClient`](yamabiko::client::ReconnectingClient), without blocking.
///
/// ```no_run
/// use yamabiko_tokio::yamabiko::client::Received;
/// use yamabiko_tokio::{Connector, ReconnectingClient};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let connector = Connector::new("ws://127.0.0.1:8080/prices")?;
/// let mut client = ReconnectingClient::new(connector)
///     .on_open(|socket| socket.push("subscribe"));
/// while let Some(received) = client.read().await? {
///     match received {
///         Received::Opened { unconfirmed } => {
///             for message in unconfirmed {
///                 client.send(message).await?; // or leave it, if it must not be sent twice
///             }
///         }
///         Received::Message(message) => println!("{message}"),
///         _ => {}
///     }
/// }
/// # Ok(())
/// # }
/// ```
pub struct ReconnectingClient {
    connector: Connector,
    backoff: Backoff,
    on_open: Option<Box<OnOpen>>,
    unconfirmed: Unconfirmed,
    state: State,
}

type OnOpen = dyn FnMut(&mut WebSocket<ClientStream>) -> Result<(), Error> + Send;
type Connecting =
    Pin<Box<dyn Future<Output = Result<WebSocket<ClientStream>, ClientError>> + Send>>;

enum State {
    Waiting(Sleep),
    Connecting(Connecting),
    Open(Box<WebSocket<ClientStream>>),
    Ended(Ended),
}

impl ReconnectingClient {
    /// Connects with these settings, when [`ReconnectingClient::read`] is called.
    pub fn new(connector: Connector) -> ReconnectingClient {
        ReconnectingClient {
            state: State::Connecting(connecting(&connector)),
            connector,
            backoff: Backoff::new(),
            on_open: None,
            unconfirmed: Unconfirmed::new(UNCONFIRMED_BYTES_MAX),
        }
    }

    /// Called with each new connection before anything else is sent: to subscribe, or to ask for
    /// what was missed, by [`WebSocket::push`]. If it fails, the connection counts as lost.
    #[must_use]
    pub fn on_open(
        mut self,
        subscribe: impl FnMut(&mut WebSocket<ClientStream>) -> Result<(), Error> + Send + 'static,
    ) -> ReconnectingClient {
        self.on_open = Some(Box::new(subscribe));
        self
    }

    /// The pauses between attempts, in place of [`Backoff::new`].
    #[must_use]
    pub fn backoff(mut self, backoff: Backoff) -> ReconnectingClient {
        self.backoff = backoff;
        self
    }

    /// How many bytes of messages may be unconfirmed: 1 MiB if not set. Each message counts 64
    /// bytes more than its payload.
    #[must_use]
    pub fn unconfirmed_bytes_max(mut self, bytes: usize) -> ReconnectingClient {
        self.unconfirmed = Unconfirmed::new(bytes);
        self
    }

    /// Waits for the next message, a new connection, or a confirmation. `None`: the connection
    /// was closed, and no other one follows; [`ReconnectingClient::ended`] tells why. It may be
    /// dropped at any point.
    ///
    /// # Errors
    /// Those after which another attempt would have the same result ([`Retry::Never`]). A further
    /// read makes another attempt.
    pub async fn read(&mut self) -> Result<Option<Received>, ClientError> {
        poll_fn(|cx| self.poll_read(cx)).await
    }

    /// Sends a message, and keeps it until it is confirmed. If the connection is lost, or was lost
    /// and no read has found it yet, the next [`Received::Opened`] returns the message. If the future
    /// is dropped, the message is either kept and sent by the next operation, or neither.
    ///
    /// # Errors
    /// - [`ClientError::Send`] with [`SendError::NotOpen`]: no connection was opened, or none
    ///   follows. Nothing was sent or kept.
    /// - [`ClientError::TooMuchUnconfirmed`]: read until pongs have come. Nothing was sent or kept.
    pub async fn send(&mut self, message: impl Into<OwnedMessage>) -> Result<(), ClientError> {
        let message = message.into();
        let State::Open(socket) = &mut self.state else {
            return Err(ClientError::Send(SendError::NotOpen));
        };
        if !self.unconfirmed.has_room(&message) {
            return Err(ClientError::TooMuchUnconfirmed);
        }
        // If it fails, the connection is lost, which the next read finds.
        _ = socket.ready().await;
        _ = socket.push(Message::from(&message));
        _ = self.unconfirmed.push(message);
        ask(socket, &mut self.unconfirmed);
        _ = socket.flush().await;
        Ok(())
    }

    /// Performs the closing handshake, as [`WebSocket::close`]; no other connection follows.
    ///
    /// # Errors
    /// [`ClientError::Send`]: the reason has more than 123 bytes.
    pub async fn close<'f>(
        &mut self,
        close: impl Into<CloseFrame<'f>>,
    ) -> Result<Ended, ClientError> {
        let ended = match &mut self.state {
            State::Open(socket) => match socket.close(close).await {
                Err(Error::Send(error)) => return Err(ClientError::Send(error)),
                closed => closed.unwrap_or_default(),
            },
            State::Ended(ended) => ended.clone(),
            State::Waiting(_) | State::Connecting(_) => Ended::default(),
        };
        self.state = State::Ended(ended.clone());
        Ok(ended)
    }

    /// Whether messages can be sent now.
    pub fn is_open(&self) -> bool {
        self.connection().is_some_and(WebSocket::is_open)
    }

    /// How many messages the server has not confirmed.
    pub fn unconfirmed(&self) -> usize {
        self.unconfirmed.len()
    }

    /// How the last connection ended, if no other one follows.
    pub fn ended(&self) -> Option<&Ended> {
        match &self.state {
            State::Ended(ended) => Some(ended),
            _ => None,
        }
    }

    /// The connection, for its addresses and agreements.
    pub fn connection(&self) -> Option<&WebSocket<ClientStream>> {
        match &self.state {
            State::Open(socket) => Some(socket),
            _ => None,
        }
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Received>, ClientError>> {
        loop {
            let received = match &mut self.state {
                State::Ended(_) => return Poll::Ready(Ok(None)),
                State::Waiting(sleep) => {
                    ready!(sleep.as_mut().poll(cx));
                    self.state = State::Connecting(connecting(&self.connector));
                    None
                }
                State::Connecting(attempt) => {
                    let connected = ready!(attempt.as_mut().poll(cx));
                    self.connected(connected)?
                }
                State::Open(_) => ready!(self.poll_receive(cx))?,
            };
            if received.is_some() {
                return Poll::Ready(Ok(received));
            }
        }
    }

    /// The result of an attempt. `None`: another one follows.
    fn connected(
        &mut self,
        connected: Result<WebSocket<ClientStream>, ClientError>,
    ) -> Result<Option<Received>, ClientError> {
        let mut socket = match connected {
            Ok(socket) => Box::new(socket),
            Err(error) => {
                let Retry::After(asked) = Retry::of(&error) else {
                    self.state = State::Connecting(connecting(&self.connector));
                    return Err(error);
                };
                return self.lost(asked).map(|()| None);
            }
        };
        let subscribed = self
            .on_open
            .as_mut()
            .map_or(Ok(()), |hook| hook(&mut socket));
        if subscribed.is_err() {
            return self.lost(Duration::ZERO).map(|()| None);
        }
        self.state = State::Open(socket);
        let unconfirmed = self.unconfirmed.take();
        Ok(Some(Received::Opened { unconfirmed }))
    }

    /// One event. `None`: it is no message, or the connection has ended.
    fn poll_receive(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<Received>, ClientError>> {
        let State::Open(socket) = &mut self.state else {
            return Poll::Ready(Ok(None));
        };
        let unconfirmed = &mut self.unconfirmed;
        let mut take = |event: Event<'_>| match event {
            Event::Pong(payload) => match unconfirmed.pong(&payload) {
                0 => Ok(None),
                count => Ok(Some(Received::Confirmed(count))),
            },
            Event::Piece(_) => Err(ClientError::InPieces),
            event => Ok(event.into_message().map(Received::Message)),
        };
        let read = ready!(socket.poll_event(cx, &mut take));
        let Ok(Some(received)) = read else {
            return Poll::Ready(self.end().map(|()| None));
        };
        ask(socket, &mut self.unconfirmed);
        let received = received?;
        if matches!(received, Some(Received::Message(_))) {
            // A server that accepts connections and then fails needs the pauses most.
            self.backoff.reset();
        }
        Poll::Ready(Ok(received))
    }

    fn end(&mut self) -> Result<(), ClientError> {
        let ended = self
            .connection()
            .and_then(WebSocket::ended)
            .unwrap_or_default();
        match Retry::of_end(&ended) {
            Retry::Never => self.state = State::Ended(ended),
            Retry::After(asked) => self.lost(asked)?,
        }
        Ok(())
    }

    /// Another attempt follows.
    fn lost(&mut self, asked: Duration) -> Result<(), ClientError> {
        let pause = self.backoff.next_delay_after(asked, random::number()?);
        self.state = State::Waiting(self.connector.sleep(pause));
        Ok(())
    }
}

/// What is received until the last connection is closed; an error is an item, and a further poll
/// makes another attempt.
impl Stream for ReconnectingClient {
    type Item = Result<Received, ClientError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.get_mut().poll_read(cx).map(Result::transpose)
    }
}

impl fmt::Debug for ReconnectingClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReconnectingClient")
            .field("connector", &self.connector)
            .field("connection", &self.connection())
            .field("unconfirmed", &self.unconfirmed.len())
            .finish_non_exhaustive()
    }
}

fn connecting(connector: &Connector) -> Connecting {
    let connector = connector.clone();
    Box::pin(async move { connector.connect().await })
}

/// Asks for a confirmation, if one is missing; the next operation writes the ping.
fn ask(socket: &mut WebSocket<ClientStream>, unconfirmed: &mut Unconfirmed) {
    if socket.is_open()
        && let Some(ping) = unconfirmed.ping()
    {
        _ = socket.push_ping(&ping);
    }
}

const UNCONFIRMED_BYTES_MAX: usize = 1 << 20;
