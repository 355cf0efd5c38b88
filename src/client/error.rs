//! Everything that can keep a client from connecting, and everything that can
//! end its connection other than by a closing handshake.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::io;
use std::net::SocketAddr;

use crate::websocket::handshake::{ClientHandshakeError, HttpAnswer, InvalidRequest, UriError};
use crate::websocket::{ProtocolError, SendError};

/// Why a client has no connection, or no longer has one.
///
/// A connection that was closed by a closing handshake is no error: reading then
/// gives `None`.
#[derive(Debug)]
#[non_exhaustive]
pub enum ClientError {
    /// The URI is not a WebSocket URI (§3).
    Uri(UriError),
    /// A `wss` URI: this client speaks no TLS yet.
    TlsNotSupported,
    /// The operating system gave no random bytes for the keys.
    Randomness(io::Error),
    /// The host's name could not be resolved.
    Resolve {
        /// The host as it stands in the URI.
        host: String,
        /// What the resolver said.
        error: io::Error,
    },
    /// No address of the host took the TCP connection: each with its error, in
    /// the order in which they were tried.
    Connect(Vec<(SocketAddr, io::Error)>),
    /// A subprotocol, header field or origin that cannot be sent.
    Request(InvalidRequest),
    /// The server's answer breaks a rule of the opening handshake (§4.1).
    Handshake(ClientHandshakeError),
    /// The server gave an HTTP answer other than 101.
    Refused(Box<HttpRefusal>),
    /// The server ended TCP before its answer to the handshake was complete.
    EndedInHandshake(Option<io::Error>),
    /// Something took longer than it may.
    TimedOut(Step),
    /// The server broke a rule or a limit; it has been told so (§7.1.7).
    Protocol(ProtocolError),
    /// This cannot be sent, and nothing was sent. The connection goes on.
    Send(SendError),
    /// TCP ended without a closing handshake: 1006. After this from a send, reading
    /// may still find what the server said before, its Close among it.
    Lost(Option<io::Error>),
}

/// What took too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Step {
    /// The opening handshake; no connection has come of it.
    OpeningHandshake,
    /// A message from the server. The connection goes on: read again.
    Read,
    /// Sending: the server does not read. The connection is lost, perhaps
    /// inside a frame.
    Write,
    /// The server's part of the closing handshake. The connection is lost.
    ClosingHandshake,
}

/// An HTTP answer that is not `101 Switching Protocols`, as far as it was read.
///
/// ```no_run
/// use yamabiko::client::Client;
///
/// if let Err(error) = Client::connect("ws://127.0.0.1:8080/chat/lobby") {
///     if let Some(refusal) = error.refusal() {
///         match refusal.answer.status {
///             300..=399 => println!("it has moved: {:?}", refusal.field("Location")),
///             429 | 503 => println!("come back after: {:?}", refusal.field("Retry-After")),
///             _ => println!("{refusal}: {}", refusal.body_text()),
///         }
///     }
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpRefusal {
    /// Status, reason and header fields.
    pub answer: HttpAnswer,
    /// The first 4 KiB of the body at most, as they came within a second; without the
    /// framing of chunks.
    pub body_start: Vec<u8>,
}

impl HttpRefusal {
    /// The value of the first header field of this name, whatever its case; bytes that
    /// are not UTF-8 are replaced. Shown to people, it has to be escaped: the server
    /// chose it. [`HttpAnswer::fields`] has all of them, as they came.
    pub fn field(&self, name: &str) -> Option<Cow<'_, str>> {
        self.answer.field(name).map(String::from_utf8_lossy)
    }

    /// The beginning of the body as text, for a log; bytes that are not UTF-8 are
    /// replaced. As with [`field`](Self::field), escape it.
    pub fn body_text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.body_start)
    }
}

impl ClientError {
    /// The server's HTTP answer, if it gave one other than 101.
    pub fn refusal(&self) -> Option<&HttpRefusal> {
        match self {
            ClientError::Refused(refusal) => Some(refusal),
            _ => None,
        }
    }
}

impl fmt::Display for HttpRefusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let HttpAnswer { status, reason, .. } = &self.answer;
        let line = format!("{status} {}", reason.escape_debug());
        formatter.write_str(line.trim_end())
    }
}

impl fmt::Display for ClientError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ClientError::Uri(error) => error.fmt(formatter),
            ClientError::TlsNotSupported => formatter.write_str("wss is not supported yet: no TLS"),
            ClientError::Randomness(error) => write!(formatter, "no random bytes: {error}"),
            ClientError::Resolve { host, error } => {
                write!(formatter, "cannot resolve {host}: {error}")
            }
            ClientError::Connect(attempts) => write_attempts(attempts, formatter),
            ClientError::Request(error) => error.fmt(formatter),
            ClientError::Handshake(error) => error.fmt(formatter),
            ClientError::Refused(answer) => write!(formatter, "the server answered {answer}"),
            ClientError::EndedInHandshake(error) => {
                formatter
                    .write_str("the server ended the connection during the opening handshake")?;
                write_cause(error, formatter)
            }
            ClientError::TimedOut(step) => step.fmt(formatter),
            ClientError::Protocol(error) => {
                write!(formatter, "the server broke the protocol: {error}")
            }
            ClientError::Send(error) => error.fmt(formatter),
            ClientError::Lost(error) => {
                formatter.write_str("the connection was lost without a closing handshake")?;
                write_cause(error, formatter)
            }
        }
    }
}

impl Error for ClientError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            ClientError::Uri(error) => Some(error),
            ClientError::Request(error) => Some(error),
            ClientError::Handshake(error) => Some(error),
            ClientError::Protocol(error) => Some(error),
            ClientError::Send(error) => Some(error),
            ClientError::Randomness(error) | ClientError::Resolve { error, .. } => Some(error),
            ClientError::EndedInHandshake(error) | ClientError::Lost(error) => {
                error.as_ref().map(|error| error as _)
            }
            ClientError::Connect(attempts) => attempts.last().map(|(_, error)| error as _),
            ClientError::TlsNotSupported | ClientError::Refused(_) | ClientError::TimedOut(_) => {
                None
            }
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Step::OpeningHandshake => "the server did not complete the opening handshake in time",
            Step::Read => "no message came in time",
            Step::Write => "the server did not take what was sent in time",
            Step::ClosingHandshake => "the server did not complete the closing handshake in time",
        })
    }
}

impl From<InvalidRequest> for ClientError {
    fn from(error: InvalidRequest) -> ClientError {
        ClientError::Request(error)
    }
}

fn write_attempts(
    attempts: &[(SocketAddr, io::Error)],
    formatter: &mut fmt::Formatter<'_>,
) -> fmt::Result {
    formatter.write_str("cannot connect")?;
    if attempts.is_empty() {
        return formatter.write_str(": the name has no address");
    }
    for (index, (address, error)) in attempts.iter().enumerate() {
        let separator = if index == 0 { " to " } else { "; to " };
        write!(formatter, "{separator}{address}: {error}")?;
    }
    Ok(())
}

fn write_cause(cause: &Option<io::Error>, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
    match cause {
        Some(error) => write!(formatter, ": {error}"),
        None => Ok(()),
    }
}
