//! Shutdown: how far a worker has come with it.
//!
//! ```text
//!   shutdown() ──flag──▶ drain: no new connections, Close 1001 to all
//!                          ├── all connections have ended ──▶ stop
//!                          └── drain_timeout ──▶ close the rest ──▶ stop
//! ```
//!
//! The flag is shared by all workers. Each worker looks at it at the end of a turn. Setting the flag does not wake a worker, so
//! each worker also gets a cross-worker message that wakes it. `worker.rs` takes these steps.

use crate::time::Timestamp;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// One worker's view of the shutdown.
#[derive(Debug)]
pub(super) struct Shutdown {
    requested: Arc<AtomicBool>,
    /// When the remaining connections are closed, once this worker drains.
    ends_at: Option<Timestamp>,
}

impl Shutdown {
    pub(super) fn new(requested: Arc<AtomicBool>) -> Shutdown {
        Shutdown {
            requested,
            ends_at: None,
        }
    }

    /// Requests the shutdown of all workers.
    pub(super) fn request(&self) {
        self.requested.store(true, Ordering::Release);
    }

    /// True once: the shutdown was requested, and this worker begins to drain now.
    pub(super) fn begins(&mut self, now: Timestamp, drain_timeout: Duration) -> bool {
        if self.ends_at.is_some() || !self.requested.load(Ordering::Acquire) {
            return false;
        }
        self.ends_at = Some(now.plus(drain_timeout));
        true
    }

    pub(super) fn is_draining(&self) -> bool {
        self.ends_at.is_some()
    }

    /// When the remaining connections are closed.
    pub(super) fn ends_at(&self) -> Option<Timestamp> {
        self.ends_at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_worker_begins_to_drain_once_after_any_of_them_requested_it() {
        let requested = Arc::default();
        let mut workers = [(); 2].map(|()| Shutdown::new(Arc::clone(&requested)));
        let timeout = Duration::from_millis(5);
        assert!(!workers[0].begins(Timestamp(1), timeout));
        workers[1].request();
        for worker in &mut workers {
            assert!(!worker.is_draining());
            assert!(worker.begins(Timestamp(2), timeout));
            assert!(!worker.begins(Timestamp(3), timeout));
            assert_eq!(worker.ends_at(), Some(Timestamp(7)));
        }
    }
}
