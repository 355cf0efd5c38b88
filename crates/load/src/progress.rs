//! The progress of a run, for a callback.

use std::time::Duration;

/// The progress of a run. [`run`](crate::run) calls the callback at least every 50 ms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// The current phase.
    pub phase: Phase,
    /// Messages that all connections have received so far, the warm-up included.
    pub received: u64,
}

/// The phases of a run, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Phase {
    /// Connections are opened.
    Opening {
        /// How many are open.
        opened: u64,
        /// How many there will be.
        connections: u64,
    },
    /// All are open; the server has a moment before the load begins.
    Settling {
        /// Time until the next phase.
        left: Duration,
    },
    /// The threads of the load get ready.
    Starting,
    /// There is load, and nothing is measured yet.
    WarmingUp {
        /// Time until the next phase.
        left: Duration,
    },
    /// There is load, and it is measured.
    Measuring {
        /// Time until the next phase.
        left: Duration,
    },
    /// Nothing is published; messages are on their way.
    Draining,
    /// The slow members read their backlog.
    CatchingUp,
    /// Connections are closed.
    Closing,
}
