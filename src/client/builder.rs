//! What a client asks for, and from these wishes to an open connection.

use std::sync::Arc;
use std::time::Duration;

use super::Client;
use super::error::ClientError;
use super::opening;
use super::randomness::Randomness;
use super::reader::Reader;
use super::shared::Shared;
use super::writer::Writer;
use crate::websocket::deflate::DeflateConfig;
use crate::websocket::handshake::{ClientHandshake, WebSocketUri};
use crate::websocket::{Connection, Limits};

/// How a client connects, and the bounds of its connection. Made by
/// [`Client::builder`].
///
/// ```no_run
/// use std::time::Duration;
/// use yamabiko::client::Client;
/// use yamabiko::websocket::Limits;
///
/// let client = Client::builder("ws://127.0.0.1:8080/chat/lobby")
///     .subprotocol("yamabiko.chat.v1")
///     .field("Authorization", "Bearer 51d2")
///     .limits(Limits { message_bytes_max: 64 << 10, ..Limits::default() })
///     .read_timeout(Duration::from_secs(60))
///     .connect()?;
/// assert_eq!(client.subprotocol(), Some("yamabiko.chat.v1"));
/// # Ok::<(), yamabiko::client::ClientError>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until connect() is called"]
pub struct ClientBuilder {
    uri: String,
    subprotocols: Vec<String>,
    fields: Vec<(String, String)>,
    origin: Option<String>,
    limits: Limits,
    deflate: Option<DeflateConfig>,
    timeouts: Timeouts,
}

/// How long a client waits for what.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timeouts {
    pub(super) connect: Duration,
    pub(super) handshake: Duration,
    pub(super) read: Option<Duration>,
    pub(super) write: Option<Duration>,
    pub(super) close: Duration,
}

impl ClientBuilder {
    pub(super) fn new(uri: &str) -> ClientBuilder {
        ClientBuilder {
            uri: uri.to_owned(),
            subprotocols: Vec::new(),
            fields: Vec::new(),
            origin: None,
            limits: Limits::default(),
            deflate: None,
            timeouts: Timeouts {
                connect: Duration::from_secs(10),
                handshake: Duration::from_secs(10),
                read: None,
                write: None,
                close: Duration::from_secs(5),
            },
        }
    }

    /// Offers a subprotocol, after those offered before: the server chooses one,
    /// or none ([`Client::subprotocol`]).
    pub fn subprotocol(mut self, name: &str) -> ClientBuilder {
        self.subprotocols.push(name.to_owned());
        self
    }

    /// Adds a header field to the request. Those of the handshake itself cannot
    /// be set: connecting then gives [`ClientError::Request`].
    pub fn field(mut self, name: &str, value: &str) -> ClientBuilder {
        self.fields.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Sends `Origin`, as a browser does. Without it a server sees a client that
    /// is no browser.
    pub fn origin(mut self, origin: &str) -> ClientBuilder {
        self.origin = Some(origin.to_owned());
        self
    }

    /// What a message from the server may cost; the default is that of [`Limits`].
    pub fn limits(mut self, limits: Limits) -> ClientBuilder {
        self.limits = limits;
        self
    }

    /// Offers compression (permessage-deflate, RFC 7692). The server may decline
    /// ([`Client::deflate`]); if it agrees, messages of at least `threshold_bytes`
    /// go compressed where that makes them shorter, and those that come are
    /// inflated, within the limits. None is offered if this is not called.
    ///
    /// Memory: nothing in between messages, unless contexts are taken over: then up
    /// to 32 KiB for receiving, and 149 to 275 KiB for sending.
    ///
    /// ```no_run
    /// use yamabiko::client::Client;
    /// use yamabiko::websocket::deflate::DeflateConfig;
    ///
    /// let client = Client::builder("ws://127.0.0.1:8080/")
    ///     .deflate(DeflateConfig::default())
    ///     .connect()?;
    /// println!("compressed: {}", client.deflate().is_some());
    /// # Ok::<(), yamabiko::client::ClientError>(())
    /// ```
    pub fn deflate(mut self, config: DeflateConfig) -> ClientBuilder {
        self.deflate = Some(config);
        self
    }

    /// How long the TCP connection to one address may take, the wait for other
    /// connections to this address included: 10 seconds if not set.
    pub fn connect_timeout(mut self, timeout: Duration) -> ClientBuilder {
        self.timeouts.connect = timeout;
        self
    }

    /// How long the opening handshake may take from the first byte of the request
    /// to the last of the answer's head: 10 seconds if not set.
    pub fn handshake_timeout(mut self, timeout: Duration) -> ClientBuilder {
        self.timeouts.handshake = timeout;
        self
    }

    /// How long one read may wait for its message: forever if not set.
    pub fn read_timeout(mut self, timeout: Duration) -> ClientBuilder {
        self.timeouts.read = Some(timeout);
        self
    }

    /// How long a send may wait while the server takes nothing: forever if not
    /// set.
    pub fn write_timeout(mut self, timeout: Duration) -> ClientBuilder {
        self.timeouts.write = Some(timeout);
        self
    }

    /// How long the closing handshake may take, the server's end of TCP included:
    /// 5 seconds if not set.
    pub fn close_timeout(mut self, timeout: Duration) -> ClientBuilder {
        self.timeouts.close = timeout;
        self
    }

    /// Opens TCP, shakes hands, and gives the open connection. The name of the
    /// host is resolved by the operating system, which takes its own time.
    ///
    /// # Errors
    /// Every variant of [`ClientError`] up to `TimedOut(OpeningHandshake)`.
    //= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
    //# it MUST open a connection, send an opening handshake, and read the
    //# server's handshake in response.
    pub fn connect(self) -> Result<Client, ClientError> {
        let uri = WebSocketUri::parse(&self.uri).map_err(ClientError::Uri)?;
        if uri.secure() {
            return Err(ClientError::TlsNotSupported);
        }
        let mut randomness = Randomness::new().map_err(ClientError::Randomness)?;
        let handshake = self.handshake(&uri, randomness.nonce())?;
        let opened = opening::open(&uri, handshake, &self.timeouts)?;
        let mut connection = Connection::client(self.limits, move || randomness.masking_key());
        if let (Some(agreed), Some(config)) = (opened.deflate, &self.deflate) {
            connection = connection.with_deflate(agreed, config);
        }
        let shared = Shared::new(opened.stream, connection, self.timeouts.close);
        let shared = Arc::new(shared);
        Ok(Client {
            reader: Reader::new(Arc::clone(&shared), &opened.surplus, self.timeouts.read),
            writer: Writer::new(Arc::clone(&shared)),
            subprotocol: opened.subprotocol,
            deflate: opened.deflate,
            shared,
        })
    }
}

impl ClientBuilder {
    fn handshake(
        &self,
        uri: &WebSocketUri,
        nonce: [u8; 16],
    ) -> Result<ClientHandshake, ClientError> {
        let mut handshake = ClientHandshake::new(uri, nonce);
        for name in &self.subprotocols {
            handshake = handshake.subprotocol(name)?;
        }
        for (name, value) in &self.fields {
            handshake = handshake.field(name, value)?;
        }
        if let Some(origin) = &self.origin {
            handshake = handshake.origin(origin)?;
        }
        if let Some(config) = self.deflate {
            handshake = handshake.deflate(config);
        }
        Ok(handshake)
    }
}
