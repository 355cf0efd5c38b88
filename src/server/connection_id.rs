//! Names of connections.

use crate::reactor::SocketKey;
use std::fmt;

/// Names one connection for as long as the server runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId {
    worker: usize,
    key: SocketKey,
}

impl ConnectionId {
    pub(super) fn new(worker: usize, key: SocketKey) -> ConnectionId {
        ConnectionId { worker, key }
    }

    /// The number of the worker that has the connection.
    pub(super) fn worker(self) -> usize {
        self.worker
    }

    /// The connection's socket, if this worker has it.
    pub(super) fn key_on(self, worker: usize) -> Option<SocketKey> {
        (self.worker == worker).then_some(self.key)
    }
}

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{:x}", self.worker, self.key.to_bits())
    }
}
