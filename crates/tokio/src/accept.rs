//! The server's side of the opening handshake: [`Acceptor`].

use std::borrow::Cow;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use yamabiko::http::{Origins, Refusal};
use yamabiko::websocket::Limits;
use yamabiko::websocket::deadlines::Timeouts;
#[cfg(feature = "deflate")]
use yamabiko::websocket::deflate::{DeflateConfig, DeflatePool};
use yamabiko::websocket::frame::Role;
use yamabiko::websocket::handshake::{AcceptOptions, Accepted, HeadLimits, RequestReader, Upgrade};

use crate::options::Options;
use crate::read_more::read_more;
use crate::timer::Timer;
use crate::websocket::{Opened, WebSocket};

/// Accepts the opening handshakes of clients, with one set of rules for all. Clones are cheap.
///
/// ```no_run
/// use yamabiko_tokio::Acceptor;
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let acceptor = Acceptor::new().subprotocols(["chat.v2", "chat.v1"]);
/// let listener = tokio::net::TcpListener::bind("127.0.0.1:9001").await?;
/// loop {
///     let (stream, _) = listener.accept().await?;
///     let acceptor = acceptor.clone();
///     tokio::spawn(async move {
///         let mut socket = acceptor.accept(stream).await?;
///         socket.send("welcome").await?;
///         Ok::<(), Box<dyn std::error::Error + Send + Sync>>(())
///     });
/// }
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Acceptor {
    rules: Arc<Rules>,
    options: Arc<Options>,
}

#[derive(Clone, Debug)]
struct Rules {
    origins: Origins,
    subprotocols: Vec<Cow<'static, str>>,
    #[cfg(feature = "deflate")]
    deflate: Option<(DeflateConfig, DeflatePool)>,
    head_limits: HeadLimits,
    handshake_timeout: Duration,
}

/// Accepts a client on this stream with the default rules: [`Acceptor::accept`].
///
/// # Errors
/// As there.
pub async fn accept<T: AsyncRead + AsyncWrite + Unpin>(
    stream: T,
) -> Result<WebSocket<T>, AcceptError> {
    Acceptor::new().accept(stream).await
}

impl Acceptor {
    /// Pages of the server's own origin, no subprotocol, no compression; 10 seconds for the
    /// opening handshake.
    pub fn new() -> Acceptor {
        Acceptor {
            rules: Arc::new(Rules {
                origins: Origins::SameHost,
                subprotocols: Vec::new(),
                #[cfg(feature = "deflate")]
                deflate: None,
                head_limits: HeadLimits::default(),
                handshake_timeout: Duration::from_secs(10),
            }),
            options: Arc::default(),
        }
    }

    /// The pages that may connect: those of the same host if not set.
    #[must_use]
    pub fn origins(self, origins: Origins) -> Acceptor {
        self.with(|rules| rules.origins = origins)
    }

    /// Chooses the first of these subprotocols that the client offers, and none if it offers none
    /// of them.
    #[must_use]
    pub fn subprotocols<S: Into<Cow<'static, str>>>(
        self,
        supported: impl IntoIterator<Item = S>,
    ) -> Acceptor {
        let supported = supported.into_iter().map(Into::into).collect();
        self.with(|rules| rules.subprotocols = supported)
    }

    /// Accepts permessage-deflate if the client offers it. Compressors and decompressors come
    /// from `pool`, which connections share.
    #[cfg(feature = "deflate")]
    #[must_use]
    pub fn deflate(self, config: DeflateConfig, pool: DeflatePool) -> Acceptor {
        self.with(|rules| rules.deflate = Some((config, pool)))
    }

    /// The limits of a request's head.
    #[must_use]
    pub fn head_limits(self, limits: HeadLimits) -> Acceptor {
        self.with(|rules| rules.head_limits = limits)
    }

    /// How long the opening handshake may take: 10 seconds if not set.
    #[must_use]
    pub fn handshake_timeout(self, timeout: Duration) -> Acceptor {
        self.with(|rules| rules.handshake_timeout = timeout)
    }

    /// The limits for messages of clients.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Acceptor {
        Arc::make_mut(&mut self.options).limits = limits;
        self
    }

    /// Silence, ping and pong, the closing handshake, an unfinished message.
    #[must_use]
    pub fn timeouts(mut self, timeouts: Timeouts) -> Acceptor {
        Arc::make_mut(&mut self.options).timeouts = timeouts;
        self
    }

    /// Hands out messages in pieces ([`Options::pieces`]).
    #[must_use]
    pub fn pieces(mut self) -> Acceptor {
        Arc::make_mut(&mut self.options).pieces = true;
        self
    }

    /// So many bytes wait for a peer that does not read before a send waits
    /// ([`Options::write_queue_bytes_max`]).
    #[must_use]
    pub fn write_queue_bytes_max(mut self, bytes: usize) -> Acceptor {
        Arc::make_mut(&mut self.options).write_queue_bytes_max = bytes;
        self
    }

    /// The timers of another runtime than tokio.
    #[must_use]
    pub fn timer(mut self, timer: Timer) -> Acceptor {
        Arc::make_mut(&mut self.options).timer = timer;
        self
    }

    /// Reads a client's request and answers it.
    ///
    /// # Errors
    /// The request was refused, and the client has the response; or it did not come.
    pub async fn accept<T: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: T,
    ) -> Result<WebSocket<T>, AcceptError> {
        self.accept_with(stream, |_, options| Ok(options)).await
    }

    /// As [`Acceptor::accept`], with a decision of the application: `decide` gets the request and
    /// what the rules lead to, and adds to that or refuses.
    ///
    /// ```
    /// use yamabiko_tokio::yamabiko::http::{Refusal, Status};
    /// # use yamabiko_tokio::{AcceptError, Acceptor, WebSocket};
    /// # use tokio::net::TcpStream;
    ///
    /// async fn accept(acceptor: &Acceptor, stream: TcpStream) -> Result<(String, WebSocket<TcpStream>), AcceptError> {
    ///     let mut path = String::new();
    ///     let socket = acceptor
    ///         .accept_with(stream, |upgrade, options| {
    ///             path = upgrade.path().to_owned();
    ///             match path.starts_with("/rooms/") {
    ///                 true => Ok(options.field("Set-Cookie", "seen=1")?),
    ///                 false => Err(Refusal::new(Status::NotFound, "there is nothing here")),
    ///             }
    ///         })
    ///         .await?;
    ///     Ok((path, socket))
    /// }
    /// ```
    ///
    /// # Errors
    /// As [`Acceptor::accept`].
    pub async fn accept_with<T: AsyncRead + AsyncWrite + Unpin>(
        &self,
        mut stream: T,
        decide: impl for<'o> FnOnce(
            &Upgrade<'_>,
            AcceptOptions<'o>,
        ) -> Result<AcceptOptions<'o>, Refusal>,
    ) -> Result<WebSocket<T>, AcceptError> {
        // Boxed, so that its buffers do not stay in the task of an open connection.
        let opening = Box::pin(self.open(&mut stream, decide));
        let timeout = self.rules.handshake_timeout;
        let opened = self.options.timer.within(timeout, opening).await;
        let (accepted, surplus) = opened.ok_or(AcceptError::TimedOut)??;
        Ok(self.connection(stream, &accepted, &surplus))
    }

    /// The connection on a stream that has been accepted.
    pub(crate) fn connection<T: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: T,
        accepted: &Accepted,
        surplus: &[u8],
    ) -> WebSocket<T> {
        let opened = Opened {
            stream,
            connection: accepted.connection(self.options.limits),
            role: Role::Server,
            subprotocol: accepted.subprotocol().map(Box::from),
            deflate: accepted.deflate().copied(),
            response_fields: None,
        };
        WebSocket::new(opened, surplus, Arc::clone(&self.options))
    }

    /// What the rules lead to for this request.
    pub(crate) fn decide(
        &self,
        upgrade: &Upgrade<'_>,
        decide: impl for<'o> FnOnce(
            &Upgrade<'_>,
            AcceptOptions<'o>,
        ) -> Result<AcceptOptions<'o>, Refusal>,
    ) -> Result<Accepted, Refusal> {
        upgrade.check_origin(&self.rules.origins)?;
        let subprotocols: Vec<&str> = self.rules.subprotocols.iter().map(|name| &**name).collect();
        let options = AcceptOptions::default().subprotocols(&subprotocols);
        let options = decide(upgrade, self.with_deflate(options))?;
        Ok(upgrade.accept(options)?)
    }

    #[cfg(feature = "deflate")]
    fn with_deflate<'o>(&self, options: AcceptOptions<'o>) -> AcceptOptions<'o> {
        match &self.rules.deflate {
            Some((config, pool)) => options.deflate(*config).deflate_pool(pool),
            None => options,
        }
    }

    #[cfg(not(feature = "deflate"))]
    fn with_deflate<'o>(&self, options: AcceptOptions<'o>) -> AcceptOptions<'o> {
        options
    }

    /// Returns what was agreed on, and the bytes that came behind the request.
    async fn open<T: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: &mut T,
        decide: impl for<'o> FnOnce(
            &Upgrade<'_>,
            AcceptOptions<'o>,
        ) -> Result<AcceptOptions<'o>, Refusal>,
    ) -> Result<(Accepted, Vec<u8>), AcceptError> {
        let (mut bytes, mut response) = (Vec::new(), Vec::new());
        let mut reader = RequestReader::new(self.rules.head_limits);
        let decided = loop {
            if read_more(stream, &mut bytes).await? == 0 {
                return Err(AcceptError::Ended(None));
            }
            match reader.read(&bytes) {
                Ok(None) => {}
                Ok(Some((request, head_bytes))) => {
                    let upgrade = Upgrade::check(&request);
                    let accepted = upgrade.and_then(|upgrade| self.decide(&upgrade, decide));
                    break accepted.map(|accepted| (accepted, head_bytes));
                }
                Err(refusal) => break Err(refusal),
            }
        };
        match decided {
            Ok((accepted, head_bytes)) => {
                accepted.write_response(&mut response);
                stream.write_all(&response).await?;
                stream.flush().await?;
                Ok((accepted, bytes.split_off(head_bytes)))
            }
            Err(refusal) => {
                refusal.write(&mut response);
                Err(refuse(stream, refusal, &response).await)
            }
        }
    }

    fn with(mut self, set: impl FnOnce(&mut Rules)) -> Acceptor {
        set(Arc::make_mut(&mut self.rules));
        self
    }
}

impl Default for Acceptor {
    fn default() -> Acceptor {
        Acceptor::new()
    }
}

/// Why a client was not accepted.
#[derive(Debug)]
#[non_exhaustive]
pub enum AcceptError {
    /// The request was refused; the client has this response.
    Refused(Refusal),
    /// The opening handshake took too long.
    TimedOut,
    /// The stream ended before the request was complete; with its error, if it was one.
    Ended(Option<io::Error>),
}

impl fmt::Display for AcceptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AcceptError::Refused(refusal) => write!(f, "refused: {refusal}"),
            AcceptError::TimedOut => {
                f.write_str("the client did not complete the opening handshake in time")
            }
            AcceptError::Ended(_) => {
                f.write_str("the client ended the connection during the opening handshake")
            }
        }
    }
}

impl std::error::Error for AcceptError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            AcceptError::Refused(refusal) => refusal.source(),
            AcceptError::TimedOut => None,
            AcceptError::Ended(error) => error.as_ref().map(|error| error as _),
        }
    }
}

impl From<io::Error> for AcceptError {
    fn from(error: io::Error) -> AcceptError {
        AcceptError::Ended(Some(error))
    }
}

/// Sends the response, ends this direction, and reads on to the end of the stream: a socket that
/// is closed over unread bytes is reset, and the reset can overtake the response.
async fn refuse<T: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut T,
    refusal: Refusal,
    response: &[u8],
) -> AcceptError {
    if let Err(error) = write_and_end(stream, response).await {
        return error.into();
    }
    let (mut discarded, mut discarded_bytes) = ([0; READ_BYTES], 0);
    while discarded_bytes < DISCARDED_BYTES_MAX {
        match stream.read(&mut discarded).await {
            Ok(count @ 1..) => discarded_bytes += count,
            _ => break,
        }
    }
    AcceptError::Refused(refusal)
}

async fn write_and_end<T: AsyncWrite + Unpin>(stream: &mut T, bytes: &[u8]) -> io::Result<()> {
    stream.write_all(bytes).await?;
    stream.shutdown().await
}

/// How much is discarded at a time.
const READ_BYTES: usize = 4 << 10;
/// A client that is refused may still be sending.
const DISCARDED_BYTES_MAX: usize = 1 << 20;
