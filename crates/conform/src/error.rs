//! Why nothing could be tested.

use std::error;
use std::fmt;
use std::io;
use std::net::SocketAddr;

/// An error of a run without a report. A peer that fails cases is not an error.
///
/// `Display` names the failed operation; the cause is in [`source`](error::Error::source).
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The URL is not `ws://HOST[:PORT][/PATH]`, and not the same with `wss`.
    Url(String),
    /// The URL begins with `wss`, and the plan says not which servers are trusted: [`Plan::tls`](crate::Plan::tls).
    Secure,
    /// The host of the URL has no address.
    Resolve(String, io::Error),
    /// No server is there.
    Connect(SocketAddr, io::Error),
    /// The server does not open a WebSocket or does not echo; the text says what it did.
    NotEcho(String),
    /// No case has such a name.
    NoCase,
    /// The suite cannot accept connections of clients.
    Accept(io::Error),
    /// A thread could not be started.
    Thread(io::Error),
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Url(url) => write!(formatter, "'{url}' is not ws://HOST[:PORT]/PATH or wss://…"),
            Error::Secure => formatter.write_str("wss needs to know which servers are trusted"),
            Error::Resolve(host, _) => write!(formatter, "cannot find {host}"),
            Error::Connect(address, _) => write!(formatter, "cannot connect to {address}"),
            Error::NotEcho(words) => write!(formatter, "no WebSocket server that echoes: {words}"),
            Error::NoCase => formatter.write_str("no case has such a name (see --list)"),
            Error::Accept(_) => formatter.write_str("cannot accept connections"),
            Error::Thread(_) => formatter.write_str("no thread"),
        }
    }
}

impl error::Error for Error {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Error::Resolve(_, error)
            | Error::Connect(_, error)
            | Error::Accept(error)
            | Error::Thread(error) => Some(error),
            Error::Url(_) | Error::Secure | Error::NotEcho(_) | Error::NoCase => None,
        }
    }
}
