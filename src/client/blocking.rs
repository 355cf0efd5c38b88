//! The client as one value, and how it is built.

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::error::ClientError;
use super::opening::{self, Opened};
use super::options::Options;
use super::random;
use super::reader::Reader;
use super::shared::Shared;
use super::stream::ConnectedSocket;
use super::stream_client::StreamClient;
use super::traffic::TrafficObserver;
use super::writer::Writer;
use crate::traffic::Traffic;
use crate::websocket::deflate::{DeflateConfig, DeflateParameters, DeflatePool};
use crate::websocket::frame::CloseFrame;
use crate::websocket::handshake::{Established, Fields, Proxy, WebSocketUri};
use crate::websocket::{AsMessage, Connection, Ended, Event, Fragment, Limits, OwnedMessage};

/// An open connection to a server. If it is dropped without [`Client::close`], only
/// TCP is closed, and the server reports 1006.
#[derive(Debug)]
pub struct Client {
    reader: Reader,
    writer: Writer,
    established: Established,
    shared: Arc<Shared>,
}

impl Client {
    /// Connects to `ws://host[:port]/path?query`, or to `wss://` with the feature `tls`, with the default settings.
    ///
    /// # Errors
    /// As [`ClientBuilder::connect`].
    pub fn connect(uri: &str) -> Result<Client, ClientError> {
        Client::builder(uri).connect()
    }

    /// Sets what the request contains, and the limits of the connection.
    pub fn builder(uri: &str) -> ClientBuilder {
        ClientBuilder {
            uri: uri.to_owned(),
            options: Options::default(),
        }
    }

    /// Waits for the next message. `None`: the closing handshake is complete and TCP
    /// has ended; [`Client::ended`] tells which side closed, and why.
    ///
    /// Pings are answered and not returned. The server's Close is answered; then this
    /// waits for the server's end of TCP, at most until the close timeout.
    ///
    /// # Errors
    /// - [`ClientError::TimedOut`] with [`Step::Read`](super::Step::Read): no message
    ///   arrived within the read timeout. Nothing is lost; read again.
    /// - [`ClientError::Protocol`]: the server broke a rule. A Close with the reason was
    ///   sent, and the connection has ended.
    /// - [`ClientError::Lost`]: TCP ended without a Close (1006).
    /// - [`ClientError::TimedOut`] with
    ///   [`Step::ClosingHandshake`](super::Step::ClosingHandshake): the server did not
    ///   answer our Close.
    /// - [`ClientError::InPieces`]: the client hands out messages in pieces
    ///   ([`ClientBuilder::pieces`]), and [`Client::read_with`] returns them. Nothing was
    ///   read.
    ///
    /// After an error that ends the connection each further read returns the same error, with
    /// the same cause.
    pub fn read(&mut self) -> Result<Option<OwnedMessage>, ClientError> {
        self.reader.read()
    }

    /// Waits for the next event and passes it to `handle`. The event borrows the read
    /// buffer: no copy and no allocation if the message is one frame that arrived in one
    /// piece. It is a text, a binary message, a ping (already answered) or a pong; with
    /// [`ClientBuilder::pieces`] a piece of a message instead of a whole one. `None`: as
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
        self.reader.read_with(handle)
    }

    /// Sends a message in one frame; returns when the kernel has accepted it. Costs one
    /// copy of the payload, which is masked in the copy. Strings are texts, and bytes are
    /// binary messages.
    ///
    /// ```no_run
    /// # let mut client = yamabiko::client::Client::connect("ws://127.0.0.1:9001/")?;
    /// client.send("a text")?;
    /// client.send(&[1, 2, 3])?;
    /// client.send(format!("the answer is {}", 42))?;
    /// # Ok::<(), yamabiko::client::ClientError>(())
    /// ```
    ///
    /// # Errors
    /// - [`ClientError::Send`]: the connection is closing, or a fragmented message is
    ///   under way. Nothing was sent.
    /// - [`ClientError::Lost`]: TCP has ended. A read can still return messages and the
    ///   Close that the server sent before.
    /// - [`ClientError::TimedOut`]: the server did not read within the write timeout.
    ///   The connection is lost.
    ///
    /// # Panics
    /// If the operating system, which returned random bytes for the handshake, returns none
    /// for the masking keys.
    pub fn send(&mut self, message: impl AsMessage) -> Result<(), ClientError> {
        self.writer.send(message)
    }

    /// Sends one fragment of a message. For a message that is longer than what is to be held.
    /// Until the last fragment ([`Fragment::last`]), only pings can be sent.
    ///
    /// ```no_run
    /// # use yamabiko::client::Client;
    /// use std::io::Read;
    /// use yamabiko::websocket::Fragment;
    ///
    /// # let mut client = Client::connect("ws://127.0.0.1:9001/")?;
    /// let mut file = std::fs::File::open("large.bin")?;
    /// let mut bytes = vec![0; 64 << 10];
    /// loop {
    ///     let count = file.read(&mut bytes)?;
    ///     client.send_fragment(Fragment::binary(&bytes[..count]).last_if(count == 0))?;
    ///     if count == 0 {
    ///         break;
    ///     }
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`Client::send`], and [`SendError`](crate::websocket::SendError) for a fragment of
    /// the wrong type, or text that is not UTF-8.
    pub fn send_fragment(&mut self, fragment: Fragment<'_>) -> Result<(), ClientError> {
        self.writer.send_fragment(fragment)
    }

    /// Sends a ping with at most 125 bytes. Its pong is an event of
    /// [`Client::read_with`].
    ///
    /// # Errors
    /// As [`Client::send`]; [`ClientError::Send`] also for a longer payload.
    pub fn ping(&mut self, payload: &[u8]) -> Result<(), ClientError> {
        self.writer.ping(payload)
    }

    /// Performs the closing handshake: sends a Close, reads until the server's Close
    /// (messages before it are discarded), and waits until the server has closed TCP.
    /// Takes at most the close timeout. If the connection has already ended, returns how.
    ///
    /// To receive the last messages, use [`Client::split`] and [`Writer::close`].
    ///
    /// # Errors
    /// [`ClientError::Send`]: the reason has more than 123 bytes. Other failures are
    /// part of [`Ended`].
    pub fn close<'f>(&mut self, close: impl Into<CloseFrame<'f>>) -> Result<Ended, ClientError> {
        self.reader.close(close)
    }

    /// Whether messages can be sent: no Close has been sent or received, and TCP has not
    /// ended. Messages of the server still come while this end closes, so a loop that answers
    /// them asks first.
    ///
    /// ```no_run
    /// # let mut client = yamabiko::client::Client::connect("ws://127.0.0.1:9001/")?;
    /// while let Some(message) = client.read()? {
    ///     if client.is_open() {
    ///         client.send(message)?; // an echo
    ///     }
    /// }
    /// # Ok::<(), yamabiko::client::ClientError>(())
    /// ```
    pub fn is_open(&self) -> bool {
        self.shared.is_open()
    }

    /// How the connection has ended; `None` while it is open.
    pub fn ended(&self) -> Option<Ended> {
        self.shared.ended()
    }

    /// The subprotocol that the server selected from the offered ones.
    pub fn subprotocol(&self) -> Option<&str> {
        self.established.subprotocol.as_deref()
    }

    /// The negotiated compression; `None` if none was offered or the server declined.
    pub fn deflate(&self) -> Option<DeflateParameters> {
        self.established.deflate
    }

    /// The header fields of the server's response.
    ///
    /// ```no_run
    /// # let client = yamabiko::client::Client::connect("ws://127.0.0.1:9001/")?;
    /// println!("cookie: {:?}", client.response_fields().text("Set-Cookie"));
    /// # Ok::<(), yamabiko::client::ClientError>(())
    /// ```
    pub fn response_fields(&self) -> Fields<'_> {
        self.established.fields.as_fields()
    }

    /// The address of the server.
    ///
    /// # Errors
    /// The error of the system call if the connection has ended.
    pub fn peer_address(&self) -> io::Result<SocketAddr> {
        self.shared.stream().peer_address()
    }

    /// The address of this end.
    ///
    /// # Errors
    /// As [`Client::peer_address`].
    pub fn local_address(&self) -> io::Result<SocketAddr> {
        self.shared.stream().local_address()
    }

    /// How long a read waits for a message from now on; `None`: without limit.
    pub fn set_read_timeout(&mut self, timeout: Option<Duration>) {
        self.reader.set_read_timeout(timeout);
    }

    /// How long a send waits while the server does not read, from now on; `None`: without
    /// limit.
    ///
    /// # Errors
    /// The error of the system call.
    pub fn set_write_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        self.writer.set_write_timeout(timeout)
    }

    /// Splits the client into two halves, for two threads.
    ///
    /// ```no_run
    /// # use yamabiko::client::Client;
    /// let (mut reader, mut writer) = Client::connect("ws://127.0.0.1:9001/")?.split();
    /// let writing = std::thread::spawn(move || writer.send("hello"));
    /// let first = reader.read()?;
    /// # let _ = (first, writing);
    /// # Ok::<(), yamabiko::client::ClientError>(())
    /// ```
    pub fn split(self) -> (Reader, Writer) {
        (self.reader.beside_writer(), self.writer)
    }
}

/// The settings of a connection, and [`connect`](ClientBuilder::connect). Made by
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
    options: Options,
}

impl ClientBuilder {
    /// Offers a subprotocol, after those that were offered before. The server selects
    /// at most one ([`Client::subprotocol`]).
    pub fn subprotocol(mut self, name: &str) -> ClientBuilder {
        self.options.subprotocols.push(name.to_owned());
        self
    }

    /// Adds a header field to the request. The fields of the handshake itself cannot be
    /// set: then connecting fails with [`ClientError::Request`].
    pub fn field(mut self, name: &str, value: &str) -> ClientBuilder {
        self.options.fields.push(name, value);
        self
    }

    /// Sends `Origin`, as a browser does. A request without it comes from a client that
    /// is not a browser.
    pub fn origin(mut self, origin: &str) -> ClientBuilder {
        self.options.origin = Some(origin.to_owned());
        self
    }

    /// The limits for messages from the server: [`Limits::default`] if not set.
    pub fn limits(mut self, limits: Limits) -> ClientBuilder {
        self.options.limits = limits;
        self
    }

    /// Hands out messages in pieces, as they come: [`Client::read_with`] returns
    /// [`Event::Piece`]. For messages that are longer than what is to be held: only the
    /// client's read buffer of 64 KiB is, and the decompressor of a compressed message.
    ///
    /// The limits bound the length of the message and not the memory, so set them as high as
    /// a message may be.
    ///
    /// ```no_run
    /// use yamabiko::client::Client;
    /// use yamabiko::websocket::{Event, Limits};
    ///
    /// let mut client = Client::builder("ws://127.0.0.1:9001/")
    ///     .limits(Limits { message_bytes_max: 1 << 34, fragments_max: u32::MAX, ..Limits::default() })
    ///     .pieces()
    ///     .connect()?;
    /// let mut message_bytes = 0;
    /// while let Some(is_whole) = client.read_with(|event| match event {
    ///     Event::Piece(piece) => {
    ///         message_bytes += piece.as_bytes().len();
    ///         piece.is_last()
    ///     }
    ///     _ => false,
    /// })? {
    ///     if is_whole {
    ///         println!("a message of {message_bytes} bytes");
    ///         message_bytes = 0;
    ///     }
    /// }
    /// # Ok::<(), yamabiko::client::ClientError>(())
    /// ```
    pub fn pieces(mut self) -> ClientBuilder {
        self.options.in_pieces = true;
        self
    }

    /// Offers compression (permessage-deflate, RFC 7692); not offered if not set. The
    /// server may decline ([`Client::deflate`]). If it agrees, messages of at least
    /// `threshold_bytes` are sent compressed if that makes them shorter, and received
    /// messages are inflated within the limits.
    ///
    /// Memory: the compressor and the decompressors of a pool, which this connection has
    /// for itself ([`ClientBuilder::deflate_pool`]). With context takeover also up to 40
    /// KiB for receiving and 147 to 273 KiB for sending.
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
        self.options.deflate = Some(config);
        self
    }

    /// Shares a pool of compressors and decompressors with other connections. If not set,
    /// each connection has a pool of its own.
    pub fn deflate_pool(mut self, pool: DeflatePool) -> ClientBuilder {
        self.options.deflate_pool = pool;
        self
    }

    /// Connects through an HTTP proxy: the client asks it by CONNECT for a way to the server, whose
    /// name the proxy resolves.
    ///
    /// ```no_run
    /// use yamabiko::client::Client;
    /// use yamabiko::websocket::handshake::Proxy;
    ///
    /// let proxy = Proxy::parse("http://aki:51d2@proxy.example:3128")?;
    /// let client = Client::builder("ws://chat.example/").proxy(proxy).connect()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn proxy(mut self, proxy: Proxy) -> ClientBuilder {
        self.options.proxy = Some(proxy);
        self
    }

    /// How long the resolution of the host's name may take: 10 seconds if not set. A name is resolved
    /// on a thread of its own, which ends when the operating system's call returns.
    pub fn resolve_timeout(mut self, timeout: Duration) -> ClientBuilder {
        self.options.timeouts.resolve = timeout;
        self
    }

    /// Calls `observe` for all bytes that are sent and received from now on, the opening handshake included: to show or to
    /// record a connection. It is called by the threads that read and write, so it should not wait. Replaces one that was set
    /// before.
    ///
    /// ```no_run
    /// use yamabiko::client::{Client, Traffic};
    ///
    /// let client = Client::builder("ws://127.0.0.1:9001/").observe(|traffic| match traffic {
    ///     Traffic::Sent(bytes) => eprintln!("sent {} bytes", bytes.len()),
    ///     Traffic::Received(bytes) => eprintln!("received {} bytes", bytes.len()),
    ///     _ => {}
    /// });
    /// # drop(client.connect());
    /// ```
    pub fn observe(
        mut self,
        observe: impl Fn(Traffic<'_>) + Send + Sync + 'static,
    ) -> ClientBuilder {
        self.options.observer = TrafficObserver::new(observe);
        self
    }

    /// How long the TCP connection to one address may take, including the wait for
    /// other connections to the same address: 10 seconds if not set.
    pub fn connect_timeout(mut self, timeout: Duration) -> ClientBuilder {
        self.options.timeouts.connect = timeout;
        self
    }

    /// How long the opening handshake may take, from the first byte of the request to
    /// the last byte of the response's head: 10 seconds if not set.
    pub fn handshake_timeout(mut self, timeout: Duration) -> ClientBuilder {
        self.options.timeouts.handshake = timeout;
        self
    }

    /// How long a read waits for a message: without limit if not set.
    pub fn read_timeout(mut self, timeout: Duration) -> ClientBuilder {
        self.options.timeouts.read = Some(timeout);
        self
    }

    /// How long a send waits while the server does not read: without limit if not set.
    pub fn write_timeout(mut self, timeout: Duration) -> ClientBuilder {
        self.options.timeouts.write = Some(timeout);
        self
    }

    /// How long the closing handshake may take, including the server's end of TCP: 5
    /// seconds if not set.
    pub fn close_timeout(mut self, timeout: Duration) -> ClientBuilder {
        self.options.timeouts.close = timeout;
        self
    }

    /// Keeps the connection alive, and notices a server that has gone silently: after `silence`
    /// without a byte from it, a ping is sent, and after `answer` more without a byte the connection
    /// is lost ([`Step::Pong`](super::Step::Pong)). Both are measured while a thread reads. Not if not
    /// set. 25 and 20 seconds suit most networks.
    pub fn keep_alive(mut self, silence: Duration, answer: Duration) -> ClientBuilder {
        self.options.timeouts.keep_alive = Some((silence, answer));
        self
    }

    /// Which servers are trusted for a `wss` URI: those that this machine trusts if not set.
    ///
    /// ```no_run
    /// use yamabiko::client::Client;
    /// use yamabiko::tls::ClientTls;
    ///
    /// let authority = std::fs::read("authority.pem")?;
    /// let client = Client::builder("wss://chat.example.org/chat/lobby")
    ///     .tls(ClientTls::authorities(&authority)?)
    ///     .connect()?;
    /// # drop(client);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[cfg(feature = "tls")]
    pub fn tls(mut self, tls: crate::tls::ClientTls) -> ClientBuilder {
        self.options.tls = Some(tls);
        self
    }

    /// Opens TCP, performs the opening handshake, and returns the open connection. Each step has
    /// a time limit.
    ///
    /// # Errors
    /// - TLS failed: `ClientError::Tls`, for example because the certificate is not trusted.
    /// - Nothing was sent: [`ClientError::Uri`], [`TlsNotSupported`](ClientError::TlsNotSupported),
    ///   [`Randomness`](ClientError::Randomness), [`Request`](ClientError::Request),
    ///   [`Resolve`](ClientError::Resolve), [`Connect`](ClientError::Connect),
    ///   [`Proxy`](ClientError::Proxy).
    /// - The opening handshake failed: [`ClientError::Handshake`], [`Refused`](ClientError::Refused),
    ///   [`EndedInHandshake`](ClientError::EndedInHandshake), and
    ///   [`TimedOut`](ClientError::TimedOut) with
    ///   [`Step::OpeningHandshake`](super::Step::OpeningHandshake).
    //= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
    //# it MUST open a connection, send an opening handshake, and read the
    //# server's handshake in response.
    pub fn connect(self) -> Result<Client, ClientError> {
        let ClientBuilder { uri, options } = self;
        let uri = WebSocketUri::parse(&uri).map_err(ClientError::Uri)?;
        let secure = options.secure(&uri)?;
        let handshake = options.handshake(&uri, random::nonce()?)?;
        let proxy = options.proxy.as_ref();
        let (timeouts, observer) = (&options.timeouts, &options.observer);
        let opened = opening::open(&uri, proxy, handshake, &secure, timeouts, observer)?;
        Ok(Client::of(opened, &options))
    }

    /// As [`ClientBuilder::connect`], on a socket that is connected already: TCP, or a Unix socket. The URI names the host and the
    /// path for the request; its host is not resolved, and a proxy is not asked. A `wss` URI opens TLS on the socket.
    ///
    /// ```no_run
    /// # #[cfg(unix)] {
    /// use std::os::unix::net::UnixStream;
    /// use yamabiko::client::Client;
    ///
    /// let socket = UnixStream::connect("/run/yamabiko.sock")?;
    /// let mut client = Client::builder("ws://localhost/chat/lobby").connect_on(socket)?;
    /// # }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`ClientBuilder::connect`], except those of a connection that cannot be opened.
    pub fn connect_on(self, socket: impl Into<ConnectedSocket>) -> Result<Client, ClientError> {
        let ClientBuilder { uri, options } = self;
        let uri = WebSocketUri::parse(&uri).map_err(ClientError::Uri)?;
        let secure = options.secure(&uri)?;
        let handshake = options.handshake(&uri, random::nonce()?)?;
        let stream = socket.into().into_stream();
        let (timeouts, observer) = (&options.timeouts, &options.observer);
        let opened = opening::open_on(stream, &uri, handshake, &secure, timeouts, observer)?;
        Ok(Client::of(opened, &options))
    }

    /// As [`ClientBuilder::connect`], over any stream that blocks: a pipe, or a TLS stream of another library. The URI names the
    /// host and the path for the request, and no TLS is opened for a `wss` URI: the stream is what it needs. [`StreamClient`]
    /// describes what becomes of the timeouts.
    ///
    /// ```
    /// use std::io::{self, Cursor, Read, Write};
    /// use yamabiko::client::{Client, ClientError};
    ///
    /// /// A server that refuses, as a stream.
    /// struct Refuses(Cursor<&'static [u8]>);
    ///
    /// impl Read for Refuses {
    ///     fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
    ///         self.0.read(buffer)
    ///     }
    /// }
    /// impl Write for Refuses {
    ///     fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
    ///         Ok(bytes.len())
    ///     }
    ///     fn flush(&mut self) -> io::Result<()> {
    ///         Ok(())
    ///     }
    /// }
    ///
    /// let response = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";
    /// let refused = Client::builder("ws://localhost/").connect_over(Refuses(Cursor::new(response)));
    /// assert!(matches!(refused, Err(ClientError::Refused(_))));
    /// ```
    ///
    /// # Errors
    /// As [`ClientBuilder::connect`], except those of a connection that cannot be opened.
    pub fn connect_over<S: Read + Write>(self, stream: S) -> Result<StreamClient<S>, ClientError> {
        let ClientBuilder { uri, options } = self;
        let uri = WebSocketUri::parse(&uri).map_err(ClientError::Uri)?;
        let handshake = options.handshake(&uri, random::nonce()?)?;
        StreamClient::open(stream, handshake, &options, |established| {
            connection(established, &options)
        })
    }
}

impl Client {
    fn of(opened: Opened, options: &Options) -> Client {
        let established = opened.established;
        let connection = connection(&established, options);
        let shared = Shared::new(opened.stream, connection, options.timeouts.deadlines());
        let shared = Arc::new(shared);
        let read_timeout = options.timeouts.read;
        Client {
            reader: Reader::new(Arc::clone(&shared), &opened.surplus, read_timeout)
                .in_pieces(options.in_pieces),
            writer: Writer::new(Arc::clone(&shared)),
            established,
            shared,
        }
    }
}

/// The connection of what was agreed on, with these settings.
fn connection(established: &Established, options: &Options) -> Connection {
    let connection = established.connection(options.limits, random::masking_keys());
    match options.in_pieces {
        true => connection.with_pieces(),
        false => connection,
    }
}
