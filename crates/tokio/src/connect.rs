//! The client's side of the opening handshake: [`Connector`].
//!
//! ```text
//!   host ──resolve──▶ address, address, …
//!                        │ one after the other, until one accepts TCP
//!                        ▼
//!           permit ─▶ TCP ─▶ request ─▶ response ─▶ 101: frames follow
//!           └── CONNECTING: one for each address ─┘   else: an HTTP response
//! ```
//!
//! The permits are those of the library's blocking client (RFC 6455 §4.1): both kinds of clients wait in one queue for an
//! address, and other addresses do not wait.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, lookup_host};
use yamabiko::client::{ClientError, ConnectPermit, HttpRefusal, RemoteHost, Step, random};
#[cfg(feature = "tls")]
use yamabiko::tls::ClientTls;
use yamabiko::websocket::Limits;
use yamabiko::websocket::deadlines::Timeouts;
#[cfg(feature = "deflate")]
use yamabiko::websocket::deflate::{DeflateConfig, DeflatePool};
use yamabiko::websocket::frame::Role;
use yamabiko::websocket::handshake::{
    ClientHandshake, ClientHandshakeError, Established, HttpResponse, InvalidRequest, Proxy,
    ProxyTunnel, WebSocketUri,
};

use crate::client_stream::ClientStream;
use crate::options::Options;
use crate::read_more::read_more;
use crate::timer::{Sleep, Timer};
#[cfg(feature = "tls")]
use crate::tls;
use crate::websocket::{Opened, WebSocket};

/// Connects to `ws://host[:port]/path?query`, or to `wss://` with the feature `tls`, with the default settings.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let mut socket = yamabiko_tokio::connect("ws://127.0.0.1:9001/").await?;
/// socket.send("hello").await?;
/// println!("{:?}", socket.read().await?);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// As [`Connector::connect`].
pub async fn connect(uri: &str) -> Result<WebSocket<ClientStream>, ClientError> {
    Connector::new(uri)?.connect().await
}

/// The settings of a client's connections. It can connect any number of times.
///
/// ```no_run
/// use std::time::Duration;
/// use yamabiko_tokio::Connector;
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let connector = Connector::new("ws://127.0.0.1:8080/chat/lobby")?
///     .subprotocol("yamabiko.chat.v1")?
///     .field("Authorization", "Bearer 51d2")?
///     .connect_timeout(Duration::from_secs(3));
/// let socket = connector.connect().await?;
/// assert_eq!(socket.subprotocol(), Some("yamabiko.chat.v1"));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Connector {
    uri: WebSocketUri,
    /// With a nonce that is never sent.
    handshake: ClientHandshake,
    options: Arc<Options>,
    proxy: Option<Proxy>,
    #[cfg(feature = "tls")]
    tls: Option<ClientTls>,
    resolve_timeout: Duration,
    connect_timeout: Duration,
    handshake_timeout: Duration,
}

impl Connector {
    /// Settings for this URI; 10 seconds for each step.
    ///
    /// # Errors
    /// [`ClientError::Uri`].
    pub fn new(uri: &str) -> Result<Connector, ClientError> {
        let uri = WebSocketUri::parse(uri).map_err(ClientError::Uri)?;
        Ok(Connector {
            handshake: ClientHandshake::new(&uri, [0; 16]),
            uri,
            options: Arc::default(),
            proxy: None,
            #[cfg(feature = "tls")]
            tls: None,
            resolve_timeout: STEP_TIMEOUT,
            connect_timeout: STEP_TIMEOUT,
            handshake_timeout: STEP_TIMEOUT,
        })
    }

    /// Offers a subprotocol, after those that were offered before.
    ///
    /// # Errors
    /// As [`ClientHandshake::subprotocol`].
    pub fn subprotocol(self, name: &str) -> Result<Connector, InvalidRequest> {
        self.with(|handshake| handshake.subprotocol(name))
    }

    /// Adds a header field to the request.
    ///
    /// # Errors
    /// As [`ClientHandshake::field`].
    pub fn field(self, name: &str, value: &str) -> Result<Connector, InvalidRequest> {
        self.with(|handshake| handshake.field(name, value))
    }

    /// Sends `Origin`, as a browser does.
    ///
    /// # Errors
    /// As [`ClientHandshake::origin`].
    pub fn origin(self, origin: &str) -> Result<Connector, InvalidRequest> {
        self.with(|handshake| handshake.origin(origin))
    }

    /// Offers permessage-deflate. Compressors and decompressors come from `pool`, which
    /// connections share.
    #[cfg(feature = "deflate")]
    #[must_use]
    pub fn deflate(mut self, config: DeflateConfig, pool: &DeflatePool) -> Connector {
        self.handshake = self.handshake.deflate(config).deflate_pool(pool);
        self
    }

    /// Connects through an HTTP proxy: the client asks it by CONNECT for a way to the server, whose
    /// name the proxy resolves.
    #[must_use]
    pub fn proxy(mut self, proxy: Proxy) -> Connector {
        self.proxy = Some(proxy);
        self
    }

    /// Which servers are trusted for `wss`. If not set, those whose certificates come from an authority that this machine
    /// trusts.
    ///
    /// ```no_run
    /// use yamabiko_tokio::Connector;
    /// use yamabiko_tokio::yamabiko::tls::ClientTls;
    ///
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// let authority = std::fs::read("authority.pem")?;
    /// let connector = Connector::new("wss://localhost:8443/")?.tls(ClientTls::authorities(&authority)?);
    /// let socket = connector.connect().await?;
    /// # drop(socket);
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn tls(mut self, tls: ClientTls) -> Connector {
        self.tls = Some(tls);
        self
    }

    /// How long the resolution of the host's name may take: 10 seconds if not set.
    #[must_use]
    pub fn resolve_timeout(mut self, timeout: Duration) -> Connector {
        self.resolve_timeout = timeout;
        self
    }

    /// How long the TCP connection to one address may take, including the wait for other
    /// connections to the same address: 10 seconds if not set.
    #[must_use]
    pub fn connect_timeout(mut self, timeout: Duration) -> Connector {
        self.connect_timeout = timeout;
        self
    }

    /// How long the opening handshake may take, and before it that of TLS: 10 seconds each if not set.
    #[must_use]
    pub fn handshake_timeout(mut self, timeout: Duration) -> Connector {
        self.handshake_timeout = timeout;
        self
    }

    /// The limits for messages of the server.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Connector {
        Arc::make_mut(&mut self.options).limits = limits;
        self
    }

    /// Silence, ping and pong, the closing handshake, an unfinished message.
    #[must_use]
    pub fn timeouts(mut self, timeouts: Timeouts) -> Connector {
        Arc::make_mut(&mut self.options).timeouts = timeouts;
        self
    }

    /// Hands out messages in pieces ([`Options::pieces`]).
    #[must_use]
    pub fn pieces(mut self) -> Connector {
        Arc::make_mut(&mut self.options).pieces = true;
        self
    }

    /// So many bytes wait for a server that does not read before a send waits
    /// ([`Options::write_queue_bytes_max`]).
    #[must_use]
    pub fn write_queue_bytes_max(mut self, bytes: usize) -> Connector {
        Arc::make_mut(&mut self.options).write_queue_bytes_max = bytes;
        self
    }

    /// The timers of another runtime than tokio, for [`Connector::connect_on`].
    #[must_use]
    pub fn timer(mut self, timer: Timer) -> Connector {
        Arc::make_mut(&mut self.options).timer = timer;
        self
    }

    /// Opens TCP, with TLS for `wss`, and performs the opening handshake. While another connection of this process
    /// to the same address is being opened, it waits.
    ///
    /// # Errors
    /// As those of the library's [`ClientBuilder::connect`](yamabiko::client::ClientBuilder::connect);
    /// a timeout of the name resolution is [`ClientError::Resolve`].
    pub async fn connect(&self) -> Result<WebSocket<ClientStream>, ClientError> {
        if self.uri.secure() && !cfg!(feature = "tls") {
            return Err(ClientError::TlsNotSupported);
        }
        let (tcp, _permit) = self.open_tcp().await?;
        let stream = self.secure(tcp).await?;
        // The permit is held until the handshake has succeeded or failed.
        self.connect_on(stream).await
    }

    /// Performs the opening handshake on a stream that leads to the server: TLS, a Unix socket, a
    /// tunnel.
    ///
    /// # Errors
    /// [`ClientError::Randomness`], [`Handshake`](ClientError::Handshake),
    /// [`Refused`](ClientError::Refused), [`EndedInHandshake`](ClientError::EndedInHandshake), and
    /// [`TimedOut`](ClientError::TimedOut) with [`Step::OpeningHandshake`].
    pub async fn connect_on<T: AsyncRead + AsyncWrite + Unpin>(
        &self,
        mut stream: T,
    ) -> Result<WebSocket<T>, ClientError> {
        let handshake = self.handshake.again(random::nonce()?);
        // Boxed, so that its buffers do not stay in the task of an open connection.
        let opening = Box::pin(open(&mut stream, handshake, self.options.timer));
        let opened = self
            .options
            .timer
            .within(self.handshake_timeout, opening)
            .await;
        let timed_out = ClientError::TimedOut(Step::OpeningHandshake);
        let (established, surplus) = opened.ok_or(timed_out)??;
        let opened = Opened {
            stream,
            connection: established.connection(self.options.limits, random::masking_keys()),
            role: Role::Client,
            subprotocol: established.subprotocol.as_deref().map(Box::from),
            deflate: established.deflate,
            response_fields: Some(Box::new(established.fields)),
        };
        Ok(WebSocket::new(opened, &surplus, Arc::clone(&self.options)))
    }

    /// A timer of the runtime.
    pub(crate) fn sleep(&self, duration: Duration) -> Sleep {
        self.options.timer.sleep(duration)
    }

    /// For `wss`: TLS on this connection.
    async fn secure(&self, tcp: TcpStream) -> Result<ClientStream, ClientError> {
        #[cfg(feature = "tls")]
        if self.uri.secure() {
            let opening = tls::secure(tcp, self.uri.host(), self.tls.as_ref());
            let timer = self.options.timer;
            let opened = timer
                .within(self.handshake_timeout, Box::pin(opening))
                .await;
            return opened.unwrap_or(Err(ClientError::TimedOut(Step::OpeningHandshake)));
        }
        Ok(ClientStream::plain(tcp))
    }

    /// TCP to the first address that accepts it.
    async fn open_tcp(&self) -> Result<(TcpStream, ConnectPermit), ClientError> {
        let mut attempts = Vec::new();
        let timer = self.options.timer;
        for address in self.resolve().await? {
            let remote = match &self.proxy {
                Some(_) => self.uri.host().into(),
                None => address.ip().into(),
            };
            let opening = timer.within(self.connect_timeout, open_address(address, remote));
            match opening.await.unwrap_or_else(|| Err(timed_out())) {
                Ok((mut stream, permit)) => {
                    if let Some(proxy) = &self.proxy {
                        let tunnel = ProxyTunnel::new(proxy, &self.uri);
                        let opening = Box::pin(open_tunnel(&mut stream, tunnel));
                        let opened = timer.within(self.connect_timeout, opening).await;
                        let timed_out = ClientError::TimedOut(Step::OpeningHandshake);
                        opened.ok_or(timed_out)??;
                    }
                    return Ok((stream, permit));
                }
                Err(error) => attempts.push((address, error)),
            }
        }
        Err(ClientError::Connect(attempts))
    }

    /// The addresses of the host, in the order of the resolver.
    async fn resolve(&self) -> Result<Vec<SocketAddr>, ClientError> {
        let (host, port) = match &self.proxy {
            Some(proxy) => (proxy.host(), proxy.port()),
            None => (self.uri.host(), self.uri.port()),
        };
        // An IPv6 address without its brackets.
        let bare = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'));
        let lookup = async {
            let addresses = lookup_host((bare.unwrap_or(host), port)).await?;
            Ok(addresses.collect())
        };
        let timer = self.options.timer;
        let addresses = timer.within(self.resolve_timeout, lookup).await;
        addresses
            .unwrap_or_else(|| Err(timed_out()))
            .map_err(|error| ClientError::Resolve {
                host: host.to_owned(),
                error,
            })
    }

    fn with(
        mut self,
        change: impl FnOnce(ClientHandshake) -> Result<ClientHandshake, InvalidRequest>,
    ) -> Result<Connector, InvalidRequest> {
        self.handshake = change(self.handshake)?;
        Ok(self)
    }
}

async fn open_address(
    address: SocketAddr,
    remote: RemoteHost,
) -> io::Result<(TcpStream, ConnectPermit)> {
    let permit = ConnectPermit::acquire(remote).await;
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    Ok((stream, permit))
}

/// Asks the proxy for a way to the server.
async fn open_tunnel(stream: &mut TcpStream, mut tunnel: ProxyTunnel) -> Result<(), ClientError> {
    let mut request = Vec::new();
    tunnel.write_request(&mut request);
    stream.write_all(&request).await.map_err(failed)?;
    let mut bytes = Vec::new();
    while !tunnel.receive(&bytes).map_err(ClientError::Proxy)? {
        if read_more(stream, &mut bytes).await.map_err(failed)? == 0 {
            return Err(ClientError::EndedInHandshake(None));
        }
    }
    Ok(())
}

/// Sends the request and reads the response. Returns what was agreed on, and the bytes that came
/// behind the response.
async fn open<T: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut T,
    mut handshake: ClientHandshake,
    timer: Timer,
) -> Result<(Established, Vec<u8>), ClientError> {
    let mut request = Vec::new();
    handshake.write_request(&mut request);
    stream.write_all(&request).await.map_err(failed)?;
    stream.flush().await.map_err(failed)?;
    let mut bytes = Vec::new();
    loop {
        if read_more(stream, &mut bytes).await.map_err(failed)? == 0 {
            return Err(ClientError::EndedInHandshake(None));
        }
        match handshake.receive(&bytes) {
            Ok(Some(established)) => {
                let surplus = bytes.split_off(established.head_bytes);
                return Ok((established, surplus));
            }
            Ok(None) => {}
            Err(ClientHandshakeError::NotSwitched(response)) => {
                return Err(refused(stream, response, bytes, timer).await);
            }
            Err(error) => return Err(ClientError::Handshake(error)),
        }
    }
}

/// The HTTP response, with the part of its body that arrives soon.
async fn refused<T: AsyncRead + Unpin>(
    stream: &mut T,
    response: HttpResponse,
    mut bytes: Vec<u8>,
    timer: Timer,
) -> ClientError {
    let read_body = async {
        while HttpRefusal::wants_more(&response, &bytes)
            && matches!(read_more(stream, &mut bytes).await, Ok(1..))
        {}
    };
    // The content that has arrived is reported, not the reason why reading ended.
    _ = timer.within(HttpRefusal::BODY_TIMEOUT, read_body).await;
    ClientError::Refused(Box::new(HttpRefusal::received(response, &bytes)))
}

fn failed(error: io::Error) -> ClientError {
    ClientError::EndedInHandshake(Some(error))
}

fn timed_out() -> io::Error {
    io::ErrorKind::TimedOut.into()
}

const STEP_TIMEOUT: Duration = Duration::from_secs(10);
