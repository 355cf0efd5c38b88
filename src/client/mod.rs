//! A blocking WebSocket client over `std::net`, on the same protocol core as the
//! server.
//!
//! ```no_run
//! use yamabiko::client::{Client, Message, OwnedMessage};
//! use yamabiko::websocket::frame::CloseCode;
//!
//! let mut client = Client::connect("ws://127.0.0.1:9001/")?;
//! client.send(Message::Text("やまびこ"))?;
//! while let Some(message) = client.read()? {
//!     if let OwnedMessage::Text(text) = message {
//!         println!("{text}");
//!         client.close(CloseCode::NORMAL, "")?;
//!     }
//! }
//! # Ok::<(), yamabiko::client::ClientError>(())
//! ```
//!
//! One thread may have both directions ([`Client`]), or two threads one each
//! ([`Client::split`]): a [`Reader`] and any number of [`Writer`]s. Reading is what
//! answers the server's pings and its Close, so read also when nothing is
//! expected.
//!
//! ```text
//!                    ┌── lock ──────────────────────┐
//!   socket ──64 KiB──▶ Connection ──▶ event         │──▶ Reader
//!                    │     │ pong, Close            │
//!   socket ◀── batch ──────┴── Outgoing ◀── frame ──│◀── Writer, Writer, …
//!                    └──────────────────────────────┘
//! ```
//!
//! No thread sleeps in the kernel with the lock held, and a reader never waits for
//! a write: a server that echoes everything gets neither half stuck while the
//! other works. (With one thread for both, a server that stops reading until it is
//! read from can: then split, or set a write timeout.)
//!
//! | file | what is in it |
//! |---|---|
//! | `builder.rs` | what is asked for |
//! | `opening.rs`, `turn.rs` | resolve, connect, shake hands; one at a time to an address |
//! | `reader.rs`, `writer.rs` | the two halves |
//! | `shared.rs`, `outgoing.rs` | what they share, and who writes |
//! | `stream.rs` | the socket; where TLS will stand |
//! | `randomness.rs` | masking keys and nonces |
//! | `backoff.rs` | when to try again |
//! | `error.rs` | everything that goes wrong |
//!
//! Costs: a buffer of 64 KiB and two allocations for each client; no thread. A
//! message is copied once into its [`OwnedMessage`], and not at all in
//! [`Client::read_with`]. Absent: TLS, proxies, cookies, redirects.

mod backoff;
mod builder;
mod error;
mod opening;
mod outgoing;
mod randomness;
mod reader;
mod shared;
mod stream;
mod turn;
mod writer;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

pub use backoff::Backoff;
pub use builder::ClientBuilder;
pub use error::{ClientError, HttpRefusal, Step};
pub use reader::Reader;
pub use writer::Writer;

pub use crate::websocket::{Message, OwnedMessage};

use crate::websocket::Event;
use crate::websocket::deflate::DeflateParameters;
use crate::websocket::frame::CloseCode;
use shared::Shared;

/// An open connection to a server. Dropped without [`Client::close`], it just
/// drops TCP, and the server sees 1006.
#[derive(Debug)]
pub struct Client {
    reader: Reader,
    writer: Writer,
    subprotocol: Option<String>,
    deflate: Option<DeflateParameters>,
    shared: Arc<Shared>,
}

/// How a connection has ended (§7.1.4 to §7.1.6).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Whether the closing handshake was completed.
    pub clean: bool,
    /// The code of the server's Close; 1005 if that had none; 1006 if no Close
    /// came.
    pub code: u16,
    /// The words of that Close, for a log; may be empty.
    pub reason: String,
    /// Whose Close came first.
    pub first_close: FirstClose,
}

/// Who began the closing handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FirstClose {
    /// This client: it was told to, or the server broke a rule.
    Client,
    /// The server.
    Server,
    /// Nobody: TCP was lost.
    Nobody,
}

impl Client {
    /// Connects to `ws://host[:port]/path?query` with every default.
    ///
    /// # Errors
    /// As [`ClientBuilder::connect`].
    pub fn connect(uri: &str) -> Result<Client, ClientError> {
        Client::builder(uri).connect()
    }

    /// What to ask for in the handshake, and the bounds of the connection.
    pub fn builder(uri: &str) -> ClientBuilder {
        ClientBuilder::new(uri)
    }

    /// Waits for the next message. `None`: the closing handshake is done and TCP
    /// has ended; [`Client::ended`] tells by whom and why.
    ///
    /// Pings are answered on the way and not shown. When the server's Close
    /// comes it is answered, and then the server's end of TCP is awaited, for no
    /// longer than the close timeout.
    ///
    /// # Errors
    /// - [`ClientError::TimedOut`] with [`Step::Read`]: no message came within the
    ///   read timeout. Nothing is lost; read again.
    /// - [`ClientError::Protocol`]: the server broke a rule. It has been told, and
    ///   the connection is over.
    /// - [`ClientError::Lost`]: TCP ended without a Close (1006).
    /// - [`ClientError::TimedOut`] with [`Step::ClosingHandshake`]: the server
    ///   never answered our Close.
    ///
    /// After an error that ends the connection every further read gives it again.
    pub fn read(&mut self) -> Result<Option<OwnedMessage>, ClientError> {
        self.reader.read()
    }

    /// Waits for the next event and lends it to `handle`, where it lies: no copy,
    /// no allocation, if the message came in one piece. The event is a text, a
    /// binary message, a ping (answered already) or a pong. `None`: as
    /// [`Client::read`].
    ///
    /// ```no_run
    /// # use yamabiko::{client::Client, websocket::Event};
    /// # let mut client = Client::connect("ws://127.0.0.1:9001/")?;
    /// let mut payload_bytes = 0;
    /// while let Some(bytes) = client.read_with(|event| match event {
    ///     Event::Text(text) => text.len(),
    ///     Event::Binary(bytes) => bytes.len(),
    ///     _ => 0,
    /// })? {
    ///     payload_bytes += bytes;
    /// }
    /// # Ok::<(), yamabiko::client::ClientError>(())
    /// ```
    ///
    /// # Errors
    /// As [`Client::read`].
    pub fn read_with<R>(
        &mut self,
        handle: impl FnOnce(Event<'_>) -> R,
    ) -> Result<Option<R>, ClientError> {
        self.reader.lend(handle)
    }

    /// Sends a message in one frame; returns when the kernel has taken it. Costs
    /// one copy of the payload, which is masked there.
    ///
    /// # Errors
    /// - [`ClientError::Send`]: this cannot be sent (a control payload of more than
    ///   125 bytes, or the connection is closing). Nothing was sent.
    /// - [`ClientError::Lost`]: TCP is gone. Reading may still find the server's
    ///   reason.
    /// - [`ClientError::TimedOut`]: the server did not read within the write
    ///   timeout. The connection is lost.
    ///
    /// # Panics
    /// If the operating system, which gave random bytes for the first keys, gives
    /// none for further ones.
    pub fn send(&mut self, message: Message<'_>) -> Result<(), ClientError> {
        self.writer.send(message)
    }

    /// Sends a ping with at most 125 bytes. Its pong comes as an event of
    /// [`Client::read_with`].
    ///
    /// # Errors
    /// As [`Client::send`].
    pub fn ping(&mut self, payload: &[u8]) -> Result<(), ClientError> {
        self.writer.ping(payload)
    }

    /// The closing handshake: sends a Close, reads until the server's (messages
    /// that are still on their way are dropped), and waits until the server has
    /// dropped TCP. Takes no longer than the close timeout. If the connection
    /// has ended already, tells how.
    ///
    /// To see the last messages, [`Client::split`] and close by the
    /// [`Writer`].
    ///
    /// # Errors
    /// [`ClientError::Send`]: the reason has more than 123 bytes. Everything else
    /// that goes wrong is in the [`Ended`].
    pub fn close(&mut self, code: CloseCode, reason: &str) -> Result<Ended, ClientError> {
        self.reader.close(code, reason)
    }

    /// How the connection has ended; `None` while it has not.
    pub fn ended(&self) -> Option<Ended> {
        self.shared.ended()
    }

    /// The subprotocol that the server chose, one of those offered.
    pub fn subprotocol(&self) -> Option<&str> {
        self.subprotocol.as_deref()
    }

    /// The compression that was agreed on: `None` if none was offered, or the server
    /// declined.
    pub fn deflate(&self) -> Option<DeflateParameters> {
        self.deflate
    }

    /// The address of the server.
    ///
    /// # Errors
    /// The operating system's, when the connection is gone.
    pub fn peer_address(&self) -> io::Result<SocketAddr> {
        self.shared.stream.peer_address()
    }

    /// The address of this end.
    ///
    /// # Errors
    /// As [`Client::peer_address`].
    pub fn local_address(&self) -> io::Result<SocketAddr> {
        self.shared.stream.local_address()
    }

    /// How long a read may wait for a message from now on; `None`: forever.
    pub fn set_read_timeout(&mut self, timeout: Option<Duration>) {
        self.reader.set_read_timeout(timeout);
    }

    /// One half for each of two threads.
    ///
    /// ```no_run
    /// # use yamabiko::{client::Client, websocket::Message};
    /// let (mut reader, mut writer) = Client::connect("ws://127.0.0.1:9001/")?.split();
    /// let writing = std::thread::spawn(move || writer.send(Message::Text("hello")));
    /// let first = reader.read()?;
    /// # let _ = (first, writing);
    /// # Ok::<(), yamabiko::client::ClientError>(())
    /// ```
    pub fn split(self) -> (Reader, Writer) {
        (self.reader.shares(), self.writer)
    }
}

impl Ended {
    /// TCP is gone, and no Close came.
    const LOST: Ended = Ended {
        clean: false,
        code: 1006,
        reason: String::new(),
        first_close: FirstClose::Nobody,
    };
}
