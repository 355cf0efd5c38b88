//! The errors of a plan, and of a run without a report.

use std::error;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};

use yamabiko::websocket::handshake::{ClientHandshakeError, InvalidRequest, UriError};

/// An error of a plan, or of a run without a report. A server that fails under the load is
/// not an error: the report describes it ([`Report::failure`](crate::Report::failure)).
///
/// `Display` names the failed operation; the cause is in [`source`](error::Error::source).
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The URL is not that of a WebSocket server.
    Url {
        /// The URL of the plan, without credentials.
        url: String,
        /// The error.
        source: UriError,
    },
    /// The URL begins with `wss`, and the crate was compiled without its feature `tls`.
    Secure {
        /// The URL of the plan, without credentials.
        url: String,
    },
    /// This machine trusts no authority, and the plan names none.
    Tls(String),
    /// A request must not have this header field, origin or subprotocol.
    Request(InvalidRequest),
    /// A setting of the plan has a value that is out of range, or that does not fit
    /// the others.
    InvalidSetting {
        /// The method of [`PlanBuilder`](crate::PlanBuilder) that sets it.
        setting: &'static str,
        /// The value; empty for a setting without one.
        value: String,
        /// The expected value.
        reason: String,
    },
    /// A setting that the scenario does not use.
    UnusedSetting {
        /// The method of [`PlanBuilder`](crate::PlanBuilder) that sets it.
        setting: &'static str,
        /// The scenario's name.
        scenario: &'static str,
    },
    /// This process may not open as many files as the plan has connections.
    OpenFiles {
        /// Connections of the plan.
        connections: u32,
        /// Files that the run needs.
        needed: u64,
        /// The files that this process may open (`ulimit -n`).
        allowed: u64,
        /// The limit that it may set without further rights.
        allowed_max: u64,
    },
    /// The host of the URL has no address.
    Resolve {
        /// The host.
        host: String,
        /// The error of the resolver, or that it found no address.
        source: io::Error,
    },
    /// Not all connections could be opened.
    Opening {
        /// The number of open connections.
        opened: u64,
        /// The number of connections in the plan.
        connections: u64,
        /// The error of the next connection.
        source: Box<Error>,
    },
    /// The TCP connection failed.
    Connect {
        /// The server's address.
        address: SocketAddr,
        /// The source address, if the plan names any.
        from: Option<IpAddr>,
        /// The operating system's error.
        source: io::Error,
    },
    /// TCP failed during the opening handshake.
    HandshakeTransport {
        /// The server's address.
        address: SocketAddr,
        /// The operating system's error.
        source: io::Error,
    },
    /// The response of the server does not open a WebSocket.
    Handshake {
        /// The server's address.
        address: SocketAddr,
        /// The error of the response.
        source: ClientHandshakeError,
    },
    /// TCP and the opening handshake took longer than
    /// [`open_timeout`](crate::PlanBuilder::open_timeout).
    OpenTimeout {
        /// The server's address.
        address: SocketAddr,
    },
    /// The plan requires compression, and the server declines it.
    CompressionDeclined {
        /// The server's address.
        address: SocketAddr,
    },
    /// The server's process cannot be read from `/proc`.
    Process {
        /// The file.
        path: String,
        /// The operating system's error, or that the content is not understood.
        source: io::Error,
    },
    /// The operating system has no random numbers.
    Randomness(io::Error),
    /// A thread could not be started.
    Thread(io::Error),
    /// An event loop could not be started, or has failed.
    EventLoop(io::Error),
    /// A thread of the load has panicked: a fault of this crate.
    Panicked,
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Url { url, .. } => write!(formatter, "'{url}'"),
            Error::Secure { url } => write!(
                formatter,
                "'{url}': wss needs the feature 'tls' of yamabiko-load"
            ),
            Error::Tls(reason) => formatter.write_str(reason),
            Error::Request(error) => error.fmt(formatter),
            Error::InvalidSetting {
                setting,
                value,
                reason,
            } => match value.is_empty() {
                true => write!(formatter, "{setting}: {reason}"),
                false => write!(formatter, "{setting} {value}: {reason}"),
            },
            Error::UnusedSetting { setting, scenario } => {
                write!(formatter, "{setting} is not for the scenario {scenario}")
            }
            Error::OpenFiles {
                connections,
                needed,
                allowed,
                ..
            } => write!(
                formatter,
                "{connections} connections need {needed} open files, and {allowed} are allowed"
            ),
            Error::Resolve { host, .. } => write!(formatter, "cannot find {host}"),
            Error::Opening {
                opened,
                connections,
                ..
            } => write!(formatter, "{opened} of {connections} connections opened"),
            Error::Connect {
                address,
                from: None,
                ..
            } => write!(formatter, "cannot connect to {address}"),
            Error::Connect {
                address,
                from: Some(from),
                ..
            } => write!(formatter, "cannot connect to {address} from {from}"),
            Error::HandshakeTransport { address, .. } => {
                write!(formatter, "in the opening handshake with {address}")
            }
            Error::Handshake { address, .. } => write!(formatter, "no WebSocket at {address}"),
            Error::OpenTimeout { address } => {
                write!(formatter, "the server at {address} took too long")
            }
            Error::CompressionDeclined { address } => write!(
                formatter,
                "the server at {address} declines permessage-deflate"
            ),
            Error::Process { path, .. } => write!(formatter, "cannot read {path}"),
            Error::Randomness(_) => formatter.write_str("no random numbers"),
            Error::Thread(_) => formatter.write_str("no thread"),
            Error::EventLoop(_) => formatter.write_str("the event loop failed"),
            Error::Panicked => formatter.write_str("a thread of the load has panicked"),
        }
    }
}

impl error::Error for Error {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Error::Url { source, .. } => Some(source),
            Error::Handshake { source, .. } => Some(source),
            Error::Opening { source, .. } => Some(source),
            Error::Resolve { source, .. }
            | Error::Connect { source, .. }
            | Error::HandshakeTransport { source, .. }
            | Error::Process { source, .. }
            | Error::Randomness(source)
            | Error::Thread(source)
            | Error::EventLoop(source) => Some(source),
            // Its text is in this error's text.
            Error::Request(error) => error.source(),
            Error::Secure { .. }
            | Error::Tls(_)
            | Error::InvalidSetting { .. }
            | Error::UnusedSetting { .. }
            | Error::OpenFiles { .. }
            | Error::OpenTimeout { .. }
            | Error::CompressionDeclined { .. }
            | Error::Panicked => None,
        }
    }
}
