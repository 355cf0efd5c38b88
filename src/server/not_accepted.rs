//! Why a stream was not taken by the server.

use crate::reactor::AcceptedConnection;
use std::convert::Infallible;
use std::{fmt, io};

/// Why [`ServerHandle::accept`](super::ServerHandle::accept) has not taken a stream. Dropping a connection that is given back
/// closes it.
#[derive(Debug)]
#[non_exhaustive]
pub enum NotAccepted {
    /// The stream is not connected, or the system does not set it to non-blocking.
    Io(io::Error),
    /// The worker whose turn it is has not taken [`Config::mailbox_capacity`](super::Config) messages of other threads. Try
    /// again later.
    Behind(AcceptedConnection),
    /// The server stops, or has stopped.
    Stopping(AcceptedConnection),
}

impl From<io::Error> for NotAccepted {
    fn from(error: io::Error) -> NotAccepted {
        NotAccepted::Io(error)
    }
}

impl From<Infallible> for NotAccepted {
    fn from(never: Infallible) -> NotAccepted {
        match never {}
    }
}

impl fmt::Display for NotAccepted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            NotAccepted::Io(_) => "the stream cannot be served",
            NotAccepted::Behind(_) => "the server does not keep up with new connections",
            NotAccepted::Stopping(_) => "the server stops",
        })
    }
}

impl std::error::Error for NotAccepted {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            NotAccepted::Io(error) => Some(error),
            NotAccepted::Behind(_) | NotAccepted::Stopping(_) => None,
        }
    }
}
