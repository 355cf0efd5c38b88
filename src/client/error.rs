//! The errors of a client: of the opening handshake, of sending, and of a connection that
//! ended without a closing handshake.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::websocket::handshake::{
    ClientHandshakeError, HttpResponse, InvalidRequest, TunnelError, UriError,
};
use crate::websocket::{ProtocolError, SendError};

/// Why a connection could not be opened, why it has ended, or why a message was not sent.
///
/// The closing handshake is not an error: a read then returns `None`.
///
/// `Display` tells what has failed, and [`source`](Error::source) why: the error of the operating
/// system, or the rule that the server broke. Print both, as `anyhow` and `eyre` do.
///
/// ```
/// use std::error::Error;
/// use yamabiko::client::Client;
///
/// # let free = std::net::TcpListener::bind("127.0.0.1:0")?;
/// # let address = free.local_addr()?;
/// # drop(free);
/// let error = Client::connect(&format!("ws://{address}/")).unwrap_err();
/// assert_eq!(error.to_string(), format!("cannot connect to {address}"));
/// let cause = error.source().expect("an error of the system");
/// assert!(cause.to_string().starts_with("Connection refused"));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum ClientError {
    /// The URI is not a WebSocket URI (§3).
    Uri(UriError),
    /// A `wss` URI, and the library was built without the feature `tls`.
    TlsNotSupported,
    /// The TLS handshake failed: the server's certificate is not trusted or of another name, or the server speaks
    /// another TLS.
    #[cfg(feature = "tls")]
    Tls(crate::tls::TlsError),
    /// The operating system returned no random bytes for the keys.
    Randomness(io::Error),
    /// The host's name could not be resolved.
    Resolve {
        /// The host in the URI.
        host: String,
        /// The resolver's error.
        error: io::Error,
    },
    /// No address of the host accepted the TCP connection: each address with its error, in
    /// the order in which they were tried.
    Connect(Vec<(SocketAddr, io::Error)>),
    /// The proxy has opened no way to the server.
    Proxy(TunnelError),
    /// A subprotocol, header field or origin that cannot be sent.
    Request(InvalidRequest),
    /// The server's response breaks a rule of the opening handshake (§4.1).
    Handshake(ClientHandshakeError),
    /// The server sent an HTTP response other than 101.
    Refused(Box<HttpRefusal>),
    /// TCP ended before the response to the handshake was complete.
    EndedInHandshake(Option<io::Error>),
    /// A timeout has passed.
    TimedOut(Step),
    /// The server broke a rule or a limit; a Close with the reason was sent (§7.1.7).
    Protocol(ProtocolError),
    /// The message cannot be sent. Nothing was sent. This error does not end the connection.
    Send(SendError),
    /// TCP ended without a closing handshake: 1006. With the error of the system call, if it
    /// was one; each further read or send returns the same. After this error of a send, a
    /// read can still return messages and the Close that the server sent before.
    Lost(Option<Arc<io::Error>>),
    /// [`Client::read`](super::Client::read) returns whole messages, and this client hands
    /// out pieces ([`ClientBuilder::pieces`](super::ClientBuilder::pieces)). This error does
    /// not end the connection.
    InPieces,
    /// A [`ReconnectingClient`](super::ReconnectingClient) holds as many messages without a
    /// confirmation as it may. Nothing was sent. This error does not end the connection.
    TooMuchUnconfirmed,
}

/// The step whose timeout has passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Step {
    /// The opening handshake; there is no connection.
    OpeningHandshake,
    /// Waiting for a message. The connection stays open: read again.
    Read,
    /// Sending: the server does not read. The connection is lost, perhaps inside a
    /// frame.
    Write,
    /// Waiting for any byte after a ping ([`ClientBuilder::keep_alive`](super::ClientBuilder::keep_alive)).
    /// The connection is lost.
    Pong,
    /// The closing handshake. The connection is lost.
    ClosingHandshake,
}

/// An HTTP response other than `101 Switching Protocols`, as far as it was read.
///
/// ```no_run
/// use yamabiko::client::Client;
///
/// if let Err(error) = Client::connect("ws://127.0.0.1:8080/chat/lobby") {
///     if let Some(refusal) = error.refusal() {
///         match refusal.response.status {
///             300..=399 => println!("moved to: {:?}", refusal.field("Location")),
///             429 | 503 => println!("try again after: {:?}", refusal.field("Retry-After")),
///             _ => println!("{refusal}: {}", refusal.body_text()),
///         }
///     }
/// }
/// ```
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct HttpRefusal {
    /// Status, reason and header fields.
    pub response: HttpResponse,
    /// At most the first 4 KiB of the body, as far as they arrived within a second; without
    /// the framing of chunks.
    pub body_start: Vec<u8>,
}

impl HttpRefusal {
    /// A response with the beginning of its body: for a test of code that handles refusals.
    pub fn new(response: HttpResponse, body_start: Vec<u8>) -> HttpRefusal {
        HttpRefusal {
            response,
            body_start,
        }
    }

    /// A response of which these bytes have been received, the head included: for a client on other I/O. It reads on while
    /// [`HttpRefusal::wants_more`], at most for [`HttpRefusal::BODY_TIMEOUT`].
    pub fn received(response: HttpResponse, bytes: &[u8]) -> HttpRefusal {
        let body = response.body(bytes, BODY_START_BYTES_MAX);
        HttpRefusal::new(response, body.content)
    }

    /// Whether more of the body is to be read. `bytes`: as for [`HttpRefusal::received`].
    pub fn wants_more(response: &HttpResponse, bytes: &[u8]) -> bool {
        let body = response.body(bytes, BODY_START_BYTES_MAX);
        let is_enough = body.ended || body.content.len() == BODY_START_BYTES_MAX;
        !is_enough && bytes.len() < response.head_bytes + BODY_WIRE_BYTES_MAX
    }

    /// How long a client waits for the beginning of the body.
    pub const BODY_TIMEOUT: Duration = Duration::from_secs(1);

    /// The value of the first header field with this name, without regard to case; bytes
    /// that are not UTF-8 are replaced. Escape it before it is displayed: the server chose
    /// it. [`HttpResponse::fields`] has all fields as they were received.
    pub fn field(&self, name: &str) -> Option<Cow<'_, str>> {
        self.response.field(name).map(String::from_utf8_lossy)
    }

    /// The beginning of the body as text, for a log; bytes that are not UTF-8 are replaced.
    /// Escape it as [`field`](Self::field).
    pub fn body_text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.body_start)
    }
}

impl ClientError {
    /// The server's HTTP response, if it was not 101.
    pub fn refusal(&self) -> Option<&HttpRefusal> {
        match self {
            ClientError::Refused(refusal) => Some(refusal),
            _ => None,
        }
    }
}

/// The body as text: a `main` that returns [`ClientError`] prints its `Debug`.
impl fmt::Debug for HttpRefusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("HttpRefusal")
            .field("response", &self.response)
            .field("body_start", &self.body_text())
            .finish()
    }
}

impl fmt::Display for HttpRefusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let HttpResponse { status, reason, .. } = &self.response;
        let line = format!("{status} {}", reason.escape_debug());
        formatter.write_str(line.trim_end())
    }
}

impl fmt::Display for ClientError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ClientError::Uri(error) => error.fmt(formatter),
            ClientError::TlsNotSupported => {
                formatter.write_str("wss is not supported: the library was built without TLS")
            }
            #[cfg(feature = "tls")]
            ClientError::Tls(error) => error.fmt(formatter),
            ClientError::Randomness(_) => formatter.write_str("no random bytes"),
            ClientError::Resolve { host, .. } => write!(formatter, "cannot resolve {host}"),
            ClientError::Connect(attempts) => write_attempts(attempts, formatter),
            ClientError::Proxy(error) => error.fmt(formatter),
            ClientError::Request(error) => error.fmt(formatter),
            ClientError::Handshake(error) => error.fmt(formatter),
            ClientError::Refused(refusal) => write!(formatter, "the server answered {refusal}"),
            ClientError::EndedInHandshake(_) => {
                formatter.write_str("the server ended the connection during the opening handshake")
            }
            ClientError::TimedOut(step) => step.fmt(formatter),
            ClientError::Protocol(_) => formatter.write_str("the server broke the protocol"),
            ClientError::Send(error) => error.fmt(formatter),
            ClientError::Lost(_) => {
                formatter.write_str("the connection was lost without a closing handshake")
            }
            ClientError::InPieces => formatter
                .write_str("messages come in pieces: read them as events, not as whole messages"),
            ClientError::TooMuchUnconfirmed => formatter.write_str(
                "too many messages are not confirmed by the server: read before sending",
            ),
        }
    }
}

/// The cause that `Display` does not tell. An error that says all by itself is shown as this error.
impl Error for ClientError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            ClientError::Uri(error) => error.source(),
            ClientError::Proxy(error) => error.source(),
            ClientError::Request(error) => error.source(),
            ClientError::Handshake(error) => error.source(),
            ClientError::Send(error) => error.source(),
            #[cfg(feature = "tls")]
            ClientError::Tls(error) => error.source(),
            ClientError::Protocol(error) => Some(error),
            ClientError::Randomness(error) | ClientError::Resolve { error, .. } => Some(error),
            ClientError::EndedInHandshake(error) => error.as_ref().map(|error| error as _),
            ClientError::Lost(error) => error.as_deref().map(|error| error as _),
            ClientError::Connect(attempts) => match &attempts[..] {
                [(_, error)] => Some(error),
                _ => None,
            },
            ClientError::TlsNotSupported
            | ClientError::Refused(_)
            | ClientError::TimedOut(_)
            | ClientError::InPieces
            | ClientError::TooMuchUnconfirmed => None,
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Step::OpeningHandshake => "the server did not complete the opening handshake in time",
            Step::Read => "no message arrived in time",
            Step::Write => "the server did not read in time",
            Step::Pong => "the server did not answer a ping in time",
            Step::ClosingHandshake => "the server did not complete the closing handshake in time",
        })
    }
}

impl From<InvalidRequest> for ClientError {
    fn from(error: InvalidRequest) -> ClientError {
        ClientError::Request(error)
    }
}

/// One address, whose error is the source; or several, each with its error.
fn write_attempts(
    attempts: &[(SocketAddr, io::Error)],
    formatter: &mut fmt::Formatter<'_>,
) -> fmt::Result {
    formatter.write_str("cannot connect")?;
    match attempts {
        [] => return formatter.write_str(": the name has no address"),
        [(address, _)] => return write!(formatter, " to {address}"),
        _ => {}
    }
    for (index, (address, error)) in attempts.iter().enumerate() {
        let separator = if index == 0 { " to " } else { "; to " };
        write!(formatter, "{separator}{address}: {error}")?;
    }
    Ok(())
}

/// How much of the body of an HTTP response is kept.
const BODY_START_BYTES_MAX: usize = 4 << 10;
/// How many bytes are read for that: a chunk with one byte of content takes six.
const BODY_WIRE_BYTES_MAX: usize = 32 << 10;
