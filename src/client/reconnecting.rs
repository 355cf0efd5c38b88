//! A client that connects again when its connection is lost: [`ReconnectingClient`].
//!
//! ```text
//!             ┌──────── pause: backoff, Retry-After ◀───────┐
//!             ▼                                             │ Retry::After
//!   start ─▶ connect ─▶ on_open ─▶ Received::Opened ─▶ Received::Message, …
//!             │                                             │
//!             └── 401, 403, 404, … : the error              └── closed for good: None
//! ```

use std::fmt;
use std::thread;
use std::time::Duration;

use super::backoff::Backoff;
use super::blocking::{Client, ClientBuilder};
use super::error::{ClientError, Step};
use super::random;
use super::retry::Retry;
use super::unconfirmed::Unconfirmed;
use crate::websocket::{CloseFrame, Ended, Event, Message, OwnedMessage, SendError};

/// A client that connects again when its connection is lost, after a pause that grows
/// ([`Backoff`]) and is not shorter than the server asks for. It stops where the next attempt would
/// have the same result ([`Retry`]): after 401, 403 and 404, for example.
///
/// ```no_run
/// use std::time::Duration;
/// use yamabiko::client::{Client, Received, ReconnectingClient};
///
/// let builder = Client::builder("ws://127.0.0.1:8080/prices").keep_alive(Duration::from_secs(25), Duration::from_secs(20));
/// let mut client = ReconnectingClient::new(builder)
///     .on_open(|client| client.send("subscribe"));
/// while let Some(received) = client.read()? {
///     match received {
///         Received::Opened { unconfirmed } => {
///             for message in unconfirmed {
///                 client.send(message)?; // or leave it, if it must not be sent twice
///             }
///         }
///         Received::Message(message) => println!("{message}"),
///         _ => {}
///     }
/// }
/// # Ok::<(), yamabiko::client::ClientError>(())
/// ```
///
/// # What was sent
///
/// A message is kept until a pong shows that the server has received it ([`Unconfirmed`]). When the
/// connection is lost, [`Received::Opened`] of the next one returns the messages without such a
/// pong, in their order. The server may have received some of them, so the application decides
/// whether to send them again.
///
/// # Cost
///
/// A ping and a pong for each round trip with messages, and a copy of each message until it is
/// confirmed. One thread, that of the caller: [`ReconnectingClient::read`] sleeps during a pause.
pub struct ReconnectingClient {
    builder: ClientBuilder,
    backoff: Backoff,
    on_open: Option<Box<OnOpen>>,
    unconfirmed: Unconfirmed,
    connection: Option<Client>,
    /// Before the next attempt.
    pause: Duration,
    /// How the last connection ended, if none follows.
    ended: Option<Ended>,
}

type OnOpen = dyn FnMut(&mut Client) -> Result<(), ClientError> + Send;

/// What [`ReconnectingClient::read`] returns.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Received {
    /// A connection was opened: the first one, or one after a loss.
    Opened {
        /// The messages that were sent on the connections before it, and that no pong has
        /// confirmed.
        unconfirmed: Vec<OwnedMessage>,
    },
    /// A message.
    Message(OwnedMessage),
    /// The server has received so many more of the messages, in the order in which they were sent.
    Confirmed(usize),
}

impl ReconnectingClient {
    /// Connects with these settings, when [`ReconnectingClient::read`] is called. Set
    /// [`ClientBuilder::keep_alive`]: without it a server that has gone silently is not noticed.
    pub fn new(builder: ClientBuilder) -> ReconnectingClient {
        ReconnectingClient {
            builder,
            backoff: Backoff::new(),
            on_open: None,
            unconfirmed: Unconfirmed::new(UNCONFIRMED_BYTES_MAX),
            connection: None,
            pause: Duration::ZERO,
            ended: None,
        }
    }

    /// Called with each new connection before anything else is sent: to subscribe, or to ask for
    /// what was missed. If it fails, the connection counts as lost.
    #[must_use]
    pub fn on_open(
        mut self,
        subscribe: impl FnMut(&mut Client) -> Result<(), ClientError> + Send + 'static,
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

    /// Waits for the next message, a new connection, or a confirmation. `None`: the connection was closed,
    /// and no other one follows; [`ReconnectingClient::ended`] tells why.
    ///
    /// # Errors
    /// - Those after which another attempt would have the same result ([`Retry::Never`]).
    /// - [`ClientError::TimedOut`] with [`Step::Read`]: no message arrived within the read
    ///   timeout. Read again.
    /// - [`ClientError::InPieces`]: the builder asks for pieces.
    pub fn read(&mut self) -> Result<Option<Received>, ClientError> {
        while self.ended.is_none() {
            let received = match &mut self.connection {
                None => self.open()?,
                Some(_) => self.receive()?,
            };
            if received.is_some() {
                return Ok(received);
            }
        }
        Ok(None)
    }

    /// Sends a message, and keeps it until it is confirmed. If the connection is lost, or was lost
    /// and no read has found it yet, the next [`Received::Opened`] returns the message.
    ///
    /// # Errors
    /// - [`ClientError::Send`] with [`SendError::NotOpen`]: no connection was opened, or none
    ///   follows. Nothing was sent or kept.
    /// - [`ClientError::TooMuchUnconfirmed`]: read until pongs have come. Nothing was sent or kept.
    pub fn send(&mut self, message: impl Into<OwnedMessage>) -> Result<(), ClientError> {
        let message = message.into();
        let Some(connection) = &mut self.connection else {
            return Err(ClientError::Send(SendError::NotOpen));
        };
        if !self.unconfirmed.has_room(&message) {
            return Err(ClientError::TooMuchUnconfirmed);
        }
        // If it fails, the connection is lost, which the next read finds.
        _ = connection.send(Message::from(&message));
        _ = self.unconfirmed.push(message);
        self.ask();
        Ok(())
    }

    /// Performs the closing handshake, as [`Client::close`]; no other connection follows.
    ///
    /// # Errors
    /// As there.
    pub fn close<'f>(&mut self, close: impl Into<CloseFrame<'f>>) -> Result<Ended, ClientError> {
        let ended = match &mut self.connection {
            Some(connection) => connection.close(close)?,
            None => self.ended.clone().unwrap_or_default(),
        };
        self.connection = None;
        self.ended = Some(ended.clone());
        Ok(ended)
    }

    /// Whether messages can be sent now.
    pub fn is_open(&self) -> bool {
        self.connection.as_ref().is_some_and(Client::is_open)
    }

    /// How many messages the server has not confirmed.
    pub fn unconfirmed(&self) -> usize {
        self.unconfirmed.len()
    }

    /// How the last connection ended, if no other one follows.
    pub fn ended(&self) -> Option<&Ended> {
        self.ended.as_ref()
    }

    /// The connection, for its addresses and agreements.
    pub fn connection(&self) -> Option<&Client> {
        self.connection.as_ref()
    }

    /// One attempt. `None`: it failed, and another one follows.
    fn open(&mut self) -> Result<Option<Received>, ClientError> {
        thread::sleep(self.pause);
        match self.builder.clone().connect() {
            Ok(mut connection) => {
                let subscribed = match &mut self.on_open {
                    Some(subscribe) => subscribe(&mut connection),
                    None => Ok(()),
                };
                if subscribed.is_err() {
                    self.lost(Duration::ZERO)?;
                    return Ok(None);
                }
                self.connection = Some(connection);
                let unconfirmed = self.unconfirmed.take();
                Ok(Some(Received::Opened { unconfirmed }))
            }
            Err(error) => match Retry::of(&error) {
                Retry::Never => Err(error),
                Retry::After(asked) => self.lost(asked).map(|()| None),
            },
        }
    }

    /// One event. `None`: it is no message, or the connection has ended.
    fn receive(&mut self) -> Result<Option<Received>, ClientError> {
        let Some(connection) = &mut self.connection else {
            return Ok(None);
        };
        let unconfirmed = &mut self.unconfirmed;
        let read = connection.read_with(|event| match event {
            Event::Pong(payload) => match unconfirmed.pong(&payload) {
                0 => Ok(None),
                count => Ok(Some(Received::Confirmed(count))),
            },
            Event::Piece(_) => Err(ClientError::InPieces),
            event => Ok(event.into_message().map(Received::Message)),
        });
        match read {
            Ok(Some(received)) => {
                self.ask();
                let received = received?;
                if matches!(received, Some(Received::Message(_))) {
                    // A server that accepts connections and then fails needs the pauses most.
                    self.backoff.reset();
                }
                Ok(received)
            }
            Err(error @ ClientError::TimedOut(Step::Read)) => Err(error),
            Ok(None) | Err(_) => self.end().map(|()| None),
        }
    }

    /// Asks for a confirmation, if one is missing. If the connection is lost, the next read finds that.
    fn ask(&mut self) {
        if let (Some(connection), Some(ping)) = (&mut self.connection, self.unconfirmed.ping()) {
            _ = connection.ping(&ping);
        }
    }

    fn end(&mut self) -> Result<(), ClientError> {
        let connection = self.connection.take();
        let ended = connection.and_then(|connection| connection.ended());
        let ended = ended.unwrap_or_default();
        match Retry::of_end(&ended) {
            Retry::Never => self.ended = Some(ended),
            Retry::After(asked) => self.lost(asked)?,
        }
        Ok(())
    }

    /// Another attempt follows.
    fn lost(&mut self, asked: Duration) -> Result<(), ClientError> {
        self.pause = self.backoff.next_delay_after(asked, random::number()?);
        Ok(())
    }
}

impl fmt::Debug for ReconnectingClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReconnectingClient")
            .field("builder", &self.builder)
            .field("connection", &self.connection)
            .field("unconfirmed", &self.unconfirmed.len())
            .finish_non_exhaustive()
    }
}

const UNCONFIRMED_BYTES_MAX: usize = 1 << 20;
