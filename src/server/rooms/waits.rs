//! The subscribers for which the publishers of a room wait.
//!
//! ```text
//!                 half of a limit of the lag policy                     the limit
//!   lag  ─────────────────┼──────────────────────────────────────────────┼────────▶
//!   keeps up              │ the publishers wait, while its time lasts    │ the same, up to eight times the limit
//!                         │ after that they go on                        │ after that: disconnected
//! ```
//!
//! A client that publishes faster than a healthy subscriber reads would close that subscriber. So the server does not read such a
//! client until the subscriber has caught up, to a quarter of the limit.
//!
//! ```text
//!   the time of a subscription   begins with `publisher_wait_max`, which is also the most
//!     while the publishers wait for it    − the time that passes, + its bytes ÷ `publisher_wait_rate_min`
//!     while they do not                   + a quarter of the time that passes
//!     used up                             they do not wait, and it gets no time, until it has caught up
//! ```
//!
//! So the publishers wait for a subscriber that reads slowly for at most a fifth of the time, and for one that reads at
//! `publisher_wait_rate_min` or faster as long as that takes: one subscriber makes a room no slower than that. A subscriber that has used up
//! its time does not read as a healthy one does, and the limits of the policy apply to it.
//!
//! Messages that were published before their publishers waited are still on the way: of this turn, of other workers, or of other
//! threads. They may bring a subscriber beyond the limit, and it stays connected up to eight times the limit while the publishers wait.
//!
//! Without input, output or clock. The workers tell each other by [`RoomBackpressure`]: a room's publishers and its slow
//! subscribers can be on different workers.
//!
//! Cost: a load for each published message while no room has such a subscriber, else a lock and a hash. An evaluation costs
//! O(subscriptions that are behind), at the flushes of their log. A subscription that has been waited for has an entry until it has all
//! of its time again.

use crate::broadcast::{Lag, LagLimits, SharedLog, SubscriptionId};
use crate::server::lag::{LagAction, LagPolicy};
use crate::time::Timestamp;
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The subscriptions of one log for which the publishers wait, or have waited a short time ago.
#[derive(Debug, Default)]
pub(super) struct LogWaits {
    entries: HashMap<SubscriptionId, Entry>,
    /// When the first one of those for which the publishers wait will have used up its time. `None`: they wait for none.
    ends_at: Option<Timestamp>,
}

/// The waiting time of one subscription.
#[derive(Clone, Copy, Debug)]
struct Entry {
    state: State,
    /// The time that is left, in microseconds. ≤ `publisher_wait_max`; below 0: used up
    left: i64,
    /// When that was so, and where the cursor was.
    at: Timestamp,
    cursor: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The publishers wait for it.
    WaitedFor,
    /// Its time is used up, and it has not caught up.
    GivenUp,
    /// It has caught up.
    Free,
}

impl LogWaits {
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// When a subscriber for which the publishers wait will have used up its time. `None`: they do not wait.
    pub(super) fn ends_at(&self) -> Option<Timestamp> {
        self.ends_at
    }

    /// A subscription has ended. A later one may get its id.
    pub(super) fn forget(&mut self, id: SubscriptionId) {
        self.entries.remove(&id);
    }

    /// Finds the subscriptions again: those beyond half of a limit, and of those for which the publishers wait already, those
    /// beyond a quarter.
    pub(super) fn update(&mut self, policy: &LagPolicy, shared: &SharedLog, now: Timestamp) {
        if !has_waits(policy) {
            self.entries.clear();
            self.ends_at = None;
            return;
        }
        let head = shared.log().head();
        let begin = parts(policy, 1, BEGIN_DIVISOR);
        let mut before = std::mem::take(&mut self.entries);
        for id in shared.lagging(&parts(policy, 1, END_DIVISOR)) {
            let Some(lag) = shared.lag(id) else { continue };
            let cursor = head - lag.bytes;
            let entry = match before.remove(&id) {
                Some(entry) => entry.advanced(now, cursor, policy),
                None => Entry::new(now, cursor, policy),
            };
            let entry = entry.behind(is_beyond(&begin, lag));
            if !entry.is_new(policy) {
                self.entries.insert(id, entry);
            }
        }
        let caught_up = before.into_iter().map(|(id, entry)| {
            let cursor = shared.lag(id).map_or(head, |lag| head - lag.bytes);
            (id, entry.advanced(now, cursor, policy).caught_up())
        });
        self.entries
            .extend(caught_up.filter(|(_, entry)| !entry.is_new(policy)));
        self.ends_at = self.entries.values().filter_map(Entry::ends_at).min();
    }

    /// Whether a subscription beyond a limit stays connected, because the publishers wait for it.
    pub(super) fn spare(
        &self,
        id: SubscriptionId,
        lag: Lag,
        policy: &LagPolicy,
        now: Timestamp,
    ) -> bool {
        let entry = self.entries.get(&id);
        let ends_at = entry.and_then(Entry::ends_at);
        ends_at.is_some_and(|end| end >= now) && !is_beyond(&parts(policy, SPARED_FACTOR, 1), lag)
    }
}

impl Entry {
    /// Of a subscription that was not waited for.
    fn new(now: Timestamp, cursor: u64, policy: &LagPolicy) -> Entry {
        Entry {
            state: State::Free,
            left: micros(policy.publisher_wait_max),
            at: now,
            cursor,
        }
    }

    /// Whether it is as one that was not waited for.
    fn is_new(&self, policy: &LagPolicy) -> bool {
        self.state == State::Free && self.left >= micros(policy.publisher_wait_max)
    }

    /// The same at a later time, when the cursor has moved to this position.
    fn advanced(self, now: Timestamp, cursor: u64, policy: &LagPolicy) -> Entry {
        let passed = micros(now.since(self.at));
        let change = match self.state {
            State::WaitedFor => {
                let taken = cursor.saturating_sub(self.cursor);
                let rate = u64::from(policy.publisher_wait_rate_min);
                let earned = taken.saturating_mul(1_000_000).checked_div(rate);
                signed(earned.unwrap_or(0)).saturating_sub(passed)
            }
            State::GivenUp => 0,
            State::Free => passed / REFILL_DIVISOR,
        };
        let left_max = micros(policy.publisher_wait_max);
        Entry {
            left: self.left.saturating_add(change).min(left_max),
            at: now,
            cursor,
            ..self
        }
    }

    /// It is beyond a quarter of a limit. `far`: and beyond half of it.
    fn behind(self, far: bool) -> Entry {
        let state = match self.state {
            State::WaitedFor if self.left < 0 => State::GivenUp,
            State::Free if far && self.left >= 0 => State::WaitedFor,
            State::Free if far => State::GivenUp,
            state => state,
        };
        Entry { state, ..self }
    }

    fn caught_up(self) -> Entry {
        let state = State::Free;
        Entry { state, ..self }
    }

    /// When the publishers will have waited long enough for it, if they wait.
    fn ends_at(&self) -> Option<Timestamp> {
        let left = u64::try_from(self.left).ok()?;
        (self.state == State::WaitedFor).then(|| self.at.plus(Duration::from_millis(left / 1000)))
    }
}

/// The rooms whose publishers wait for a subscriber, on all workers. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct RoomBackpressure {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    /// How many rooms there are. Read without the lock, so that a publication costs a load if there is none.
    rooms: AtomicUsize,
    /// How many logs have such a subscriber, by room: 1 ≤ logs.
    logs: Mutex<HashMap<Arc<str>, usize>>,
    /// How many rooms have been removed; wraps around.
    ends: AtomicUsize,
}

impl RoomBackpressure {
    /// A log of the room has a subscriber for which the publishers wait.
    pub(super) fn begin(&self, room: &Arc<str>) {
        let mut logs = self.lock();
        *logs.entry(room.clone()).or_insert(0) += 1;
        self.shared.rooms.store(logs.len(), Ordering::Relaxed);
    }

    /// The log has none any more. True: no log of the room has one.
    pub(super) fn end(&self, room: &str) -> bool {
        let mut logs = self.lock();
        match logs.get_mut(room) {
            Some(count) if *count > 1 => {
                *count -= 1;
                return false;
            }
            _ => logs.remove(room),
        };
        self.shared.rooms.store(logs.len(), Ordering::Relaxed);
        self.shared.ends.fetch_add(1, Ordering::Relaxed);
        true
    }

    /// The room's name, if its publishers wait.
    #[inline]
    pub(super) fn on(&self, room: &str) -> Option<Arc<str>> {
        if self.shared.rooms.load(Ordering::Relaxed) == 0 {
            return None;
        }
        let logs = self.lock();
        logs.get_key_value(room).map(|(name, _)| name.clone())
    }

    /// How often the publishers of a room could go on; wraps around.
    pub(super) fn ends(&self) -> usize {
        self.shared.ends.load(Ordering::Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Arc<str>, usize>> {
        // A panic elsewhere leaves the counts whole: each is changed in one step.
        self.shared
            .logs
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// Only a subscriber that would be disconnected is waited for: one that skips messages is served by skipping them.
fn has_waits(policy: &LagPolicy) -> bool {
    policy.action == LagAction::Disconnect && policy.publisher_wait_max > Duration::ZERO
}

fn micros(time: Duration) -> i64 {
    signed(u64::try_from(time.as_micros()).unwrap_or(u64::MAX))
}

/// Far from the ends of an `i64`.
fn signed(micros: u64) -> i64 {
    i64::try_from(micros).unwrap_or(i64::MAX).min(i64::MAX / 4)
}

/// A part of the policy's limits, or a multiple of them.
fn parts(policy: &LagPolicy, factor: u64, divisor: u64) -> LagLimits {
    let part = |limit: u64| (limit / divisor).saturating_mul(factor);
    LagLimits {
        bytes: part(policy.bytes_max),
        records: policy.messages_max.map_or(u64::MAX, part),
        position: 0,
    }
}

fn is_beyond(limits: &LagLimits, lag: Lag) -> bool {
    lag.bytes > limits.bytes || lag.records > limits.records
}

/// The publishers begin to wait beyond this part of a limit: the other half is for what is published before they wait.
const BEGIN_DIVISOR: u64 = 2;

/// They go on at this part of it.
const END_DIVISOR: u64 = 4;

/// A subscription for which the publishers wait may be behind by this multiple of a limit.
const SPARED_FACTOR: u64 = 8;

/// A subscription for which the publishers do not wait gets this part of the time that passes. So they wait for it for at most a fifth of the
/// time.
const REFILL_DIVISOR: i64 = 4;
