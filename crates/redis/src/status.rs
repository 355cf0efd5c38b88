//! Whether Redis can be reached, as both threads see it.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use yamabiko::server::BackplaneState;

/// Whether Redis can be reached. The thread that publishes sends a beat twice a second to the node's own channel, and the thread that receives reports it. So
/// the node is ready only if the way of a message works: from its one connection through Redis to its other one.
#[derive(Debug)]
pub(crate) struct Status {
    ready_within: Duration,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// When the last beat that has come back was sent.
    beat: Option<Instant>,
    /// What the last lost connection was lost by.
    reason: Option<String>,
    /// What was told last. `None`: nothing yet.
    told: Option<bool>,
    /// Since when it is so.
    since: SystemTime,
    round_trip: Option<Duration>,
}

impl Status {
    pub(crate) fn new(ready_within: Duration) -> Status {
        Status {
            ready_within,
            state: Mutex::new(State {
                beat: None,
                reason: None,
                told: None,
                since: SystemTime::now(),
                round_trip: None,
            }),
        }
    }

    /// A beat that was sent at this time has come back.
    pub(crate) fn beat(&self, sent: Instant) {
        let mut state = self.lock();
        state.beat = Some(sent);
        state.round_trip = Some(sent.elapsed());
        state.reason = None;
    }

    /// A connection was lost.
    pub(crate) fn lost(&self, reason: &str) {
        let mut state = self.lock();
        state.beat = None;
        state.reason = Some(reason.to_owned());
    }

    /// Whether this has changed since it was asked last. A Redis that was never reached is a change when the reason is known.
    pub(crate) fn change(&self) -> bool {
        let mut state = self.lock();
        let is_ready = self.is_ready(&state);
        let has_changed = match state.told {
            Some(told) => is_ready != told,
            None => is_ready || state.reason.is_some(),
        };
        if has_changed {
            state.told = Some(is_ready);
            state.since = SystemTime::now();
        }
        has_changed
    }

    pub(crate) fn now(&self) -> BackplaneState {
        self.describe(&self.lock())
    }

    /// How long the last beat took.
    pub(crate) fn round_trip(&self) -> Option<Duration> {
        self.lock().round_trip
    }

    fn is_ready(&self, state: &State) -> bool {
        state
            .beat
            .is_some_and(|sent| sent.elapsed() <= self.ready_within)
    }

    fn describe(&self, state: &State) -> BackplaneState {
        let described = match (self.is_ready(state), &state.reason) {
            (true, _) => BackplaneState::ready(),
            (false, Some(reason)) => BackplaneState::not_ready(reason.clone()),
            (false, None) => BackplaneState::not_ready("Redis does not answer"),
        };
        described.since(state.since)
    }

    /// A poisoned lock is used: each step leaves the state whole.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redis_that_was_never_reached_is_told_once_and_again_when_it_is_there() {
        let status = Status::new(Duration::from_secs(3600));
        assert!(!status.change(), "nothing is known");
        for is_told in [true, false] {
            status.lost("connection refused");
            assert_eq!(status.change(), is_told);
        }
        assert_eq!(status.now().reason.as_deref(), Some("connection refused"));
        for is_told in [true, false] {
            status.beat(Instant::now());
            assert_eq!(status.change(), is_told);
        }
        status.lost("broken pipe");
        assert!(status.change());
    }
}
