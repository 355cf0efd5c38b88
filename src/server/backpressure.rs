//! Backpressure between workers: clients are not read while too many bytes are in flight to a worker.
//!
//! ```text
//!   a socket is to be read, too many bytes in flight ──▶ paused: what the client sends stays in the kernel
//!   the turn ends, fewer bytes in flight             ──▶ reading begins again for up to 64 of them, the longest paused first
//! ```
//!
//! The bytes in flight to this worker count, too: a worker that is behind pauses its own clients like those of the others, and
//! takes its messages first.
//!
//! [`Environment::must_stop_mid_read`] stops a read that has already begun; the rest of the read is left for later.

use super::connections::Connections;
use super::environment::Environment;
use super::handler::Handler;
use crate::reactor::{Io, SocketKey};
use std::collections::VecDeque;

/// Connections that are not read because a worker is behind, the longest paused first.
#[derive(Debug, Default)]
pub(super) struct PausedConnections {
    keys: VecDeque<SocketKey>,
}

impl PausedConnections {
    pub(super) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// A socket is about to be read: pauses it if a worker is behind.
    #[inline(always)]
    pub(super) fn before_read<H: Handler>(
        &mut self,
        io: &mut Io,
        key: SocketKey,
        connections: &mut Connections<H>,
        environment: &Environment<H>,
    ) {
        if !environment.must_stop_reading() {
            return;
        }
        let connection = connections.open_mut(key);
        if connection.is_some_and(|connection| connection.pause_for_workers(io, key)) {
            self.keys.push_back(key);
        }
    }

    /// The turn ends: begins to read some connections again, if no worker is behind. The next turn shows whether more can follow.
    pub(super) fn resume<H: Handler>(
        &mut self,
        io: &mut Io,
        connections: &mut Connections<H>,
        environment: &Environment<H>,
    ) {
        if self.keys.is_empty() || environment.must_stop_reading() {
            return;
        }
        let count = self.keys.len().min(RESUMED_PER_TURN_MAX);
        let resumed: Vec<_> = self.keys.drain(..count).collect();
        for &key in &resumed {
            if let Some(connection) = connections.open_mut(key) {
                connection.resume_after_workers(io, key, environment);
            }
        }
        io.resume_reading_first(resumed);
    }
}

/// Connections that are read again in one turn. More of them would only be paused again.
const RESUMED_PER_TURN_MAX: usize = 64;
