//! Why a message was not sent to a client.

use crate::websocket::SendError;
use std::fmt;

/// Why a message was not sent to a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NotSent {
    /// The connection is closing or closed.
    NotOpen,
    /// More than [`Config::backlog_bytes_max`](super::Config) wait for it already.
    BacklogFull,
    /// A message in fragments is under way: end it first ([`Context::send_fragment`](super::Context::send_fragment)).
    MessageUnderWay,
    /// The fragment cannot follow those before it: it is of the other type, or the text is not UTF-8.
    Fragment(SendError),
    /// From another thread: the connection's worker does not keep up with the messages that other threads send to it. Try again
    /// later.
    WorkerBehind,
}

impl fmt::Display for NotSent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            NotSent::NotOpen => "the connection is closing",
            NotSent::BacklogFull => "too many bytes are waiting for the client already",
            NotSent::MessageUnderWay => "a message in fragments is under way",
            NotSent::Fragment(error) => return error.fmt(f),
            NotSent::WorkerBehind => "the connection's worker does not keep up",
        })
    }
}

/// The cause that `Display` does not tell.
impl std::error::Error for NotSent {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            NotSent::Fragment(error) => error.source(),
            _ => None,
        }
    }
}
