//! The queue between the workers, which never wait, and the thread of a webhook, which does.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::event::WebhookEvent;

#[derive(Debug)]
pub(super) struct Queue {
    state: Mutex<State>,
    /// Something has come, or the queue is closed.
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    events: VecDeque<(WebhookEvent, Teller)>,
    /// Of all events in it; at most [`BYTES_MAX`].
    bytes: usize,
    closed: bool,
    counts: WebhookCounts,
}

/// What the webhooks of an app have done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct WebhookCounts {
    pub(crate) sent: u64,
    /// Requests that got no 2xx, repetitions included.
    pub(crate) requests_failed: u64,
    pub(crate) given_up: u64,
    pub(crate) discarded: u64,
}

/// Who tells the web server of an event. Another node of a cluster does it unless this one does; then this one only has to know of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Teller {
    This,
    OtherNode,
}

/// What the thread gets when it asks.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Taken {
    Event(WebhookEvent, Teller),
    /// Nothing has come until the given time.
    Nothing,
    /// Nothing will come any more.
    Closed,
}

impl Queue {
    pub(super) fn new() -> Queue {
        Queue {
            state: Mutex::default(),
            changed: Condvar::new(),
        }
    }

    /// Adds an event, or discards it if there is no room.
    pub(super) fn push(&self, event: WebhookEvent, teller: Teller) {
        let mut state = self.lock();
        let bytes = event.bytes();
        if state.bytes + bytes > BYTES_MAX {
            state.counts.discarded += 1;
            return;
        }
        state.bytes += bytes;
        state.events.push_back((event, teller));
        drop(state);
        self.changed.notify_one();
    }

    /// Takes the next event, and waits for one until this time. `None`: as long as it takes.
    pub(super) fn take(&self, until: Option<Instant>) -> Taken {
        let mut state = self.lock();
        loop {
            if let Some((event, teller)) = state.events.pop_front() {
                state.bytes -= event.bytes();
                return Taken::Event(event, teller);
            }
            if state.closed {
                return Taken::Closed;
            }
            state = match until {
                None => self
                    .changed
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner),
                Some(until) => {
                    let left = until.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        return Taken::Nothing;
                    }
                    let waited = self.changed.wait_timeout(state, left);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }

    /// Waits for this long, or until the queue is closed. True: it is closed.
    pub(super) fn pause(&self, time: Duration) -> bool {
        let state = self.lock();
        let is_open = |state: &mut State| !state.closed;
        let waited = self.changed.wait_timeout_while(state, time, is_open);
        waited.unwrap_or_else(PoisonError::into_inner).0.closed
    }

    /// The app is gone: the thread ends.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_one();
    }

    pub(super) fn count_sent(&self, events: usize) {
        self.lock().counts.sent += events as u64;
    }

    pub(super) fn count_failed_request(&self) {
        self.lock().counts.requests_failed += 1;
    }

    pub(super) fn count_given_up(&self, events: usize) {
        self.lock().counts.given_up += events as u64;
    }

    pub(super) fn counts(&self) -> WebhookCounts {
        self.lock().counts
    }

    /// A poisoned lock is used: its steps leave the queue whole.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Bytes of the events that wait.
const BYTES_MAX: usize = 4 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn event(channel: &str) -> WebhookEvent {
        WebhookEvent::ChannelOccupied {
            channel: channel.into(),
        }
    }

    #[test]
    fn events_are_taken_in_order_and_then_there_is_nothing() {
        let queue = Queue::new();
        queue.push(event("a"), Teller::This);
        queue.push(event("b"), Teller::This);
        assert_eq!(queue.take(None), Taken::Event(event("a"), Teller::This));
        assert_eq!(queue.take(None), Taken::Event(event("b"), Teller::This));
        assert_eq!(queue.take(Some(Instant::now())), Taken::Nothing);
        queue.push(event("c"), Teller::This);
        queue.close();
        assert_eq!(queue.take(None), Taken::Event(event("c"), Teller::This));
        assert_eq!(queue.take(None), Taken::Closed);
        assert!(queue.pause(Duration::from_secs(60)));
    }

    #[test]
    fn event_that_finds_no_room_is_discarded_and_counted() {
        let queue = Queue::new();
        let one = event("a").bytes();
        let room = BYTES_MAX / one;
        (0..room).for_each(|_| queue.push(event("a"), Teller::This));
        assert_eq!(queue.counts().discarded, 0);
        queue.push(event("a"), Teller::This);
        assert_eq!(queue.counts().discarded, 1);
        queue.take(None);
        queue.push(event("b"), Teller::This);
        assert_eq!(queue.counts().discarded, 1);
    }
}
