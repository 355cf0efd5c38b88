//! Whether the engine can be reached, and what the node has counted.

use std::borrow::Cow;
use std::time::{Duration, SystemTime};

/// Whether an engine can be reached: see [`Backplane::state`](super::Backplane::state).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BackplaneState {
    /// The engine takes and delivers messages: the last round trip through all that it needs was short enough. A load balancer
    /// should send new clients elsewhere otherwise.
    pub is_ready: bool,
    /// Why it is not ready, in one line without secrets.
    pub reason: Option<Cow<'static, str>>,
    /// Since when it is so; `None`: the engine does not know.
    pub since: Option<SystemTime>,
}

impl BackplaneState {
    /// The engine can be reached.
    pub const fn ready() -> BackplaneState {
        BackplaneState {
            is_ready: true,
            reason: None,
            since: None,
        }
    }

    /// The engine cannot be reached, for this reason.
    pub fn not_ready(reason: impl Into<Cow<'static, str>>) -> BackplaneState {
        BackplaneState {
            is_ready: false,
            reason: Some(reason.into()),
            since: None,
        }
    }

    /// The same, with the time of the last change.
    #[must_use]
    pub fn since(self, since: SystemTime) -> BackplaneState {
        BackplaneState {
            since: Some(since),
            ..self
        }
    }
}

/// What a node has exchanged with its engine since the server was bound; see
/// [`ServerHandle::backplane_counts`](crate::server::ServerHandle::backplane_counts). The fields from `pending` on are no counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct BackplaneCounts {
    /// Messages of this node that the engine has taken.
    pub published: u64,
    /// Messages of this node that were refused, or whose result is not known.
    pub refused: u64,
    /// Messages that the engine has delivered to rooms of this node.
    pub delivered: u64,
    /// Messages that it has delivered again, and that were dropped.
    pub duplicates: u64,
    /// Gaps in rooms of this node.
    pub gaps: u64,
    /// Messages that the engine has not answered yet.
    pub pending: u64,
    /// Their bytes.
    pub pending_bytes: u64,
    /// Rooms that this node has subscribed to.
    pub rooms: u64,
    /// Nodes of the [`Cluster`](crate::server::Cluster), this one included. 0: no application follows what they hold.
    pub nodes: u64,
    /// What the engine has counted itself.
    pub engine: EngineCounts,
}

/// What an engine has counted since it was made; see [`Backplane::counts`](super::Backplane::counts).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct EngineCounts {
    /// Connections to a service that were made.
    pub connections: u64,
    /// Times that messages of a room were missing, and were read from what the engine keeps.
    pub reads: u64,
    /// Messages that this version cannot read.
    pub malformed: u64,
    /// How long the last message of this node to itself was on its way through the engine. `None`: none was.
    pub round_trip: Option<Duration>,
}
