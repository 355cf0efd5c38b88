//! Whether the data file takes messages, as other threads see it.

use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::SystemTime;

use yamabiko::server::{BackplaneNode, BackplaneState};

/// The state of the data file. Any thread may read it.
#[derive(Default)]
pub(crate) struct Health {
    /// Why no message is taken, and since when; `None`: messages are taken.
    failure: Mutex<Option<Failure>>,
    node: OnceLock<BackplaneNode>,
}

#[derive(Clone)]
struct Failure {
    reason: String,
    since: SystemTime,
}

impl Health {
    /// Changes are told to this node from now on.
    pub(crate) fn report_to(&self, node: BackplaneNode) {
        // A second server cannot have the same file.
        let _ = self.node.set(node);
    }

    pub(crate) fn state(&self) -> BackplaneState {
        match self.lock().clone() {
            None => BackplaneState::ready(),
            Some(Failure { reason, since }) => BackplaneState::not_ready(reason).since(since),
        }
    }

    pub(crate) fn is_failed(&self) -> bool {
        self.lock().is_some()
    }

    /// Messages are taken.
    pub(crate) fn recovered(&self) {
        if self.lock().take().is_some() {
            self.report();
        }
    }

    /// No message is taken, for this reason.
    pub(crate) fn failed(&self, reason: &str) {
        let mut failure = self.lock();
        if failure
            .as_ref()
            .is_some_and(|failure| failure.reason == reason)
        {
            return;
        }
        let since = failure
            .as_ref()
            .map_or_else(SystemTime::now, |failure| failure.since);
        *failure = Some(Failure {
            reason: reason.to_owned(),
            since,
        });
        drop(failure);
        self.report();
    }

    fn report(&self) {
        if let Some(node) = self.node.get() {
            node.state_changed();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Failure>> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
