//! Places: which connections a full server closes for new ones, so that silent clients cannot keep all others out.
//!
//! ```text
//!   beyond `connections_max` ──▶ the connection that has been without a request for longest, if that is
//!                                an eighth of `handshake_timeout` or more; the new one is served in its place
//!   beyond any limit         ──▶ a refused connection: it gets a 503, or the answer to /health. If all places for these
//!                                are taken, the oldest of them is closed whose response is not on its way
//!   the same over TLS        ──▶ as well, but it has few places: a handshake costs more than any response. A silent one keeps
//!                                its place for an eighth of `handshake_timeout`, and then a new one gets it
//! ```
//!
//! A client that has sent its request keeps its place: it has a deadline for the body and for each write, or it is a WebSocket. A client
//! that needs no more than an eighth of the time limit for its request is not affected, however many others come.
//!
//! Cost: nothing until the server is full. Then one look at each connection of the worker, at most once a second, and at each
//! refused one for each new one when their places are taken. Each worker looks at its own connections only.

use super::connections::{ConnectionState, Connections};
use super::handler::Handler;
use crate::reactor::SocketKey;
use crate::time::Timestamp;
use std::collections::VecDeque;
use std::time::Duration;

/// Connections that are without a request, as they were found at one time.
#[derive(Debug, Default)]
pub(super) struct ReplaceableConnections {
    /// The one that had waited longest is last. ≤ `FOUND_MAX`
    keys: Vec<SocketKey>,
    found_at: Option<Timestamp>,
}

impl ReplaceableConnections {
    /// Takes the one that has waited longest, if it has waited for at least `least`.
    pub(super) fn take<H: Handler>(
        &mut self,
        connections: &mut Connections<H>,
        now: Timestamp,
        least: Duration,
    ) -> Option<SocketKey> {
        let taken = self.take_found(connections, now, least);
        if taken.is_some() || !self.may_search(now) {
            return taken;
        }
        self.search(connections, now, least);
        self.take_found(connections, now, least)
    }

    fn take_found<H: Handler>(
        &mut self,
        connections: &mut Connections<H>,
        now: Timestamp,
        least: Duration,
    ) -> Option<SocketKey> {
        // Some may have sent a request since then, or may be gone.
        std::iter::from_fn(|| self.keys.pop())
            .find(|key| waits_for(*key, connections, now).is_some_and(|time| time >= least))
    }

    fn may_search(&self, now: Timestamp) -> bool {
        self.found_at
            .is_none_or(|found_at| now.since(found_at) >= SEARCH_INTERVAL)
    }

    fn search<H: Handler>(
        &mut self,
        connections: &mut Connections<H>,
        now: Timestamp,
        least: Duration,
    ) {
        self.found_at = Some(now);
        let mut found: Vec<(Duration, SocketKey)> = connections
            .keys()
            .into_iter()
            .filter_map(|key| Some((waits_for(key, connections, now)?, key)))
            .filter(|(time, _)| *time >= least)
            .collect();
        found.sort_unstable();
        let rest = found.len().saturating_sub(FOUND_MAX);
        self.keys = found[rest..].iter().map(|(_, key)| *key).collect();
    }
}

/// How long a connection that the limit counts has been without a request.
fn waits_for<H: Handler>(
    key: SocketKey,
    connections: &mut Connections<H>,
    now: Timestamp,
) -> Option<Duration> {
    match connections.get_mut(key)? {
        ConnectionState::Opening(opening) if !opening.is_refused() => {
            opening.is_without_request_for(now)
        }
        _ => None,
    }
}

/// The refused connections of a worker that get a response.
#[derive(Debug)]
pub(super) struct RefusedConnections {
    /// The oldest is first. Some may be gone. ≤ 2 × `max`
    keys: VecDeque<SocketKey>,
    /// Each costs a descriptor, at most for the time of a handshake and of an ending.
    max: usize,
}

impl RefusedConnections {
    pub(super) fn new(max: usize) -> RefusedConnections {
        RefusedConnections {
            keys: VecDeque::new(),
            max,
        }
    }

    /// How many there may be.
    pub(super) fn max(&self) -> usize {
        self.max
    }

    /// Adds one for which there is a place.
    pub(super) fn add<H: Handler>(&mut self, key: SocketKey, connections: &mut Connections<H>) {
        if self.keys.len() >= 2 * self.max {
            self.keys.retain(|key| connections.get_mut(*key).is_some());
        }
        self.keys.push_back(key);
    }

    /// Whether there is a place for one more.
    pub(super) fn has_place<H: Handler>(&mut self, connections: &mut Connections<H>) -> bool {
        self.keys.retain(|key| connections.get_mut(*key).is_some());
        self.keys.len() < self.max
    }

    /// Takes the oldest one that has been without a request for at least `least`.
    pub(super) fn take_silent<H: Handler>(
        &mut self,
        connections: &mut Connections<H>,
        now: Timestamp,
        least: Duration,
    ) -> Option<SocketKey> {
        let index = self
            .keys
            .iter()
            .position(|key| is_silent(*key, connections, now, least))?;
        self.keys.remove(index)
    }

    /// Takes the oldest one that can be closed for a new one. The order is by age alone: if a client that has sent nothing went before others,
    /// a newcomer whose request is on its way would be the first to go.
    pub(super) fn take_replaceable<H: Handler>(
        &mut self,
        connections: &mut Connections<H>,
    ) -> Option<SocketKey> {
        self.keys.retain(|key| connections.get_mut(*key).is_some());
        let index = self
            .keys
            .iter()
            .position(|key| is_replaceable(*key, connections))?;
        self.keys.remove(index)
    }
}

/// Whether a refused connection can be closed for a new one. It cannot while its response is on its way.
fn is_replaceable<H: Handler>(key: SocketKey, connections: &mut Connections<H>) -> bool {
    match connections.get_mut(key) {
        Some(ConnectionState::Opening(_)) => true,
        Some(ConnectionState::Ending(ending)) => ending.is_written(),
        Some(ConnectionState::Open(_)) | None => false,
    }
}

/// Whether a connection has been without a request for so long.
fn is_silent<H: Handler>(
    key: SocketKey,
    connections: &mut Connections<H>,
    now: Timestamp,
    least: Duration,
) -> bool {
    match connections.get_mut(key) {
        Some(ConnectionState::Opening(opening)) => opening
            .is_without_request_for(now)
            .is_some_and(|time| time >= least),
        _ => false,
    }
}

/// Refused connections over TLS of one worker that get a response at a time.
pub(super) const TLS_REFUSALS_MAX: usize = 16;

/// The part of `handshake_timeout` after which a client without a request may lose its place.
pub(super) const PATIENCE_DIVISOR: u32 = 8;

/// How many connections a search keeps.
const FOUND_MAX: usize = 1024;

/// The least time between two searches: one takes some milliseconds if tens of thousands of connections are without a request.
const SEARCH_INTERVAL: Duration = Duration::from_secs(1);
