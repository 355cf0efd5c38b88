//! The subscribers for which the publishers of a room wait.
//!
//! ```text
//!                 half of a limit of the lag policy                     the limit
//!   lag  ─────────────────┼──────────────────────────────────────────────┼────────▶
//!   keeps up              │ the publishers wait, for `publisher_wait_max`  │ the same, up to eight times the limit
//!                         │ after that they go on                        │ after that: disconnected
//! ```
//!
//! A client that publishes faster than a healthy subscriber reads would close that subscriber. So the server does not read such a
//! client until the subscriber has caught up, to a quarter of the limit. A subscriber that needs more than
//! [`LagPolicy::publisher_wait_max`] for this does not read as a healthy one does. The publishers wait for it no longer, and
//! the limits of the policy apply to it.
//!
//! Messages that were published before their publishers waited are still on the way: of this turn, of other workers, or of other
//! threads. They may bring a subscriber beyond the limit, and it stays connected up to eight times the limit while the publishers wait.
//!
//! Without input, output or clock. The workers tell each other by [`RoomBackpressure`]: a room's publishers and its slow
//! subscribers can be on different workers.
//!
//! Cost: a load for each published message while no room has such a subscriber, else a lock and a hash. An evaluation costs
//! O(subscriptions that are behind), at the flushes of their log.

use crate::broadcast::{Lag, LagLimits, SharedLog, SubscriptionId};
use crate::server::lag::{LagAction, LagPolicy};
use crate::time::Timestamp;
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The subscriptions of one log for which the publishers wait, or have waited too long.
#[derive(Debug, Default)]
pub(super) struct LogWaits {
    /// Since when.
    since: HashMap<SubscriptionId, Timestamp>,
    /// When the publishers will have waited long enough for the next one of them. `None`: they wait for none.
    ends_at: Option<Timestamp>,
}

impl LogWaits {
    pub(super) fn is_empty(&self) -> bool {
        self.since.is_empty()
    }

    /// When the publishers will have waited long enough for a subscriber. `None`: they do not wait.
    pub(super) fn ends_at(&self) -> Option<Timestamp> {
        self.ends_at
    }

    /// A subscription has ended. A later one may get its id.
    pub(super) fn forget(&mut self, id: SubscriptionId) {
        self.since.remove(&id);
    }

    /// Finds the subscriptions again: those beyond half of a limit, and of those for which the publishers wait already, those
    /// beyond a quarter.
    pub(super) fn update(&mut self, policy: &LagPolicy, shared: &SharedLog, now: Timestamp) {
        if shared.blocked() == 0 || !has_waits(policy) {
            self.since.clear();
            self.ends_at = None;
            return;
        }
        let begin = parts(policy, 1, BEGIN_DIVISOR);
        let before = std::mem::take(&mut self.since);
        let behind = shared.lagging(&parts(policy, 1, END_DIVISOR));
        self.since = behind
            .filter_map(|id| match before.get(&id) {
                Some(since) => Some((id, *since)),
                None => is_beyond(&begin, shared.lag(id)?).then_some((id, now)),
            })
            .collect();
        let ends = self.since.values().map(|at| end_of_wait(*at, policy));
        self.ends_at = ends.filter(|end| *end >= now).min();
    }

    /// Whether a subscription beyond a limit stays connected, because the publishers wait for it.
    pub(super) fn spare(
        &self,
        id: SubscriptionId,
        lag: Lag,
        policy: &LagPolicy,
        now: Timestamp,
    ) -> bool {
        let since = self.since.get(&id);
        let is_waited_for = since.is_some_and(|at| end_of_wait(*at, policy) >= now);
        is_waited_for && !is_beyond(&parts(policy, SPARED_FACTOR, 1), lag)
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

fn end_of_wait(since: Timestamp, policy: &LagPolicy) -> Timestamp {
    since.plus(policy.publisher_wait_max)
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
