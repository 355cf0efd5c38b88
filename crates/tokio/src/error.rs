//! Why a connection has ended, or why a message was not sent: [`Error`].

use std::fmt;
use std::io;
use std::sync::Arc;

use yamabiko::websocket::deadlines::Overdue;
use yamabiko::websocket::{ProtocolError, SendError};

/// Why a message was not received or not sent. The closing handshake is not an error: a read
/// then returns `None`.
///
/// `Display` tells what has failed, and [`source`](std::error::Error::source) why: the rule that the peer
/// broke, or the error of the stream. Print both, as `anyhow` and `eyre` do.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Error {
    /// The peer broke a rule or a limit; a Close with the reason was sent (§7.1.7).
    Protocol(ProtocolError),
    /// The message cannot be sent. Nothing was sent. This error does not end the connection.
    Send(SendError),
    /// The stream ended without a closing handshake: 1006. With the error of the stream, if
    /// it was one. After this error of a send, a read can still return messages and the
    /// Close that the peer sent before.
    Lost(Option<Arc<io::Error>>),
    /// The peer did not do in time what it has to do
    /// ([`Timeouts`](yamabiko::websocket::deadlines::Timeouts)).
    TimedOut(Overdue),
    /// Whole messages were asked for, and the connection hands out pieces. Nothing was
    /// read. This error does not end the connection.
    InPieces,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Protocol(_) => f.write_str("the peer broke the protocol"),
            Error::Send(error) => error.fmt(f),
            Error::Lost(_) => f.write_str("the connection was lost without a closing handshake"),
            Error::TimedOut(overdue) => overdue.fmt(f),
            Error::InPieces => f.write_str("messages come in pieces: read them as events"),
        }
    }
}

/// The cause that `Display` does not tell. An error that says all by itself is shown as this error.
impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Protocol(error) => Some(error),
            Error::Send(error) => error.source(),
            Error::Lost(error) => error.as_deref().map(|error| error as _),
            Error::TimedOut(_) | Error::InPieces => None,
        }
    }
}

/// For code around a connection that returns errors of streams.
impl From<Error> for io::Error {
    fn from(error: Error) -> io::Error {
        let kind = match &error {
            Error::Protocol(_) => io::ErrorKind::InvalidData,
            Error::Send(_) | Error::InPieces => io::ErrorKind::InvalidInput,
            Error::Lost(_) => io::ErrorKind::ConnectionAborted,
            Error::TimedOut(_) => io::ErrorKind::TimedOut,
        };
        io::Error::new(kind, error)
    }
}
