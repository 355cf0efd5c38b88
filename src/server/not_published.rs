//! Whether a message was published: its place in the room's order, or why it has none.

use super::history::Position;
use std::fmt;

/// A message was published: it has a place in the room's order, and in a room of the backplane the engine has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Published {
    /// The place behind the message. `None`: the room has no history and no backplane, so its messages are not counted.
    pub position: Option<Position>,
}

impl Published {
    pub(super) fn new(position: Option<Position>) -> Published {
        Published { position }
    }
}

/// The message was not published, or nobody knows whether it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NotPublished {
    /// The worker that owns the room has not taken [`Config::mailbox_capacity`](super::Config) cross-worker messages yet, or more
    /// than `worker_backlog_bytes_max` bytes of them. Nothing is lost on the way: try again, or leave this message out.
    WorkerBehind,
    /// The [backplane](super::Backplane) has as many messages as it takes: it is slower than the publishers. Try again later.
    BackplaneBehind,
    /// The engine of the backplane cannot be reached. Try again later.
    BackplaneGone,
    /// The engine has refused the message: it is too long for the engine, or the engine has no room or an error.
    BackplaneRefused,
    /// The engine has not answered. Perhaps it has the message, and the subscribers get it.
    Unknown,
    /// The subscribers of a room of the backplane cannot be counted
    /// ([`Publisher::publish_counted`](super::Publisher::publish_counted)), because they are on several nodes.
    Uncounted,
}

impl fmt::Display for NotPublished {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            NotPublished::WorkerBehind => {
                "the worker that owns the room does not keep up with its messages"
            }
            NotPublished::BackplaneBehind => "the backplane does not keep up with the messages",
            NotPublished::BackplaneGone => "the backplane cannot be reached",
            NotPublished::BackplaneRefused => "the backplane has refused the message",
            NotPublished::Unknown => "the backplane has not answered",
            NotPublished::Uncounted => "the subscribers of a room of the backplane are not counted",
        })
    }
}

impl std::error::Error for NotPublished {}
