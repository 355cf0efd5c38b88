//! Which subscriptions are too far behind, when that is to be checked again, and the lag that the metrics show.
//!
//! ```text
//!   a flush leaves a subscription behind ──▶ the log is watched: its age is marked, a due time may follow
//!   a flush, or the due time             ──▶ subscriptions beyond a limit of the policy (flush.rs acts on them)
//!   the turn ends                        ──▶ the lags of changed logs are published; a log that caught up is no longer watched
//! ```
//!
//! Which subscriptions the publishers wait for is in `waits.rs`.
//!
//! Cost: a log in which all subscriptions keep up costs one comparison per flush. The due times of all logs are in one ordered
//! set, so a turn looks at the first one only, however many logs are watched.

use super::log_set::{LogId, LogSet};
use super::subscription::Subscription;
use super::waits::{LogWaits, RoomBackpressure};
use crate::broadcast::{Lag, LagLimits, SharedLog, SubscriptionId};
use crate::reactor::SocketKey;
use crate::server::lag::{Ages, LagAction, LagPolicy};
use crate::time::Timestamp;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// The lag policy of a room, by its name.
pub(crate) type LagPolicyOf = Arc<dyn Fn(&str) -> LagPolicy + Send + Sync>;

/// A subscription beyond a limit of its room's policy.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TooSlow {
    pub(crate) key: SocketKey,
    pub(crate) subscription: Subscription,
    pub(crate) action: LagAction,
    pub(crate) lag: Lag,
}

/// What is known of the lag in one log.
#[derive(Debug)]
pub(super) struct LogLag {
    policy: LagPolicy,
    /// A subscription is behind, or was when the turn began.
    watched: bool,
    ages: Ages,
    waits: LogWaits,
    /// Whether the log is counted in [`RoomBackpressure`].
    has_backpressure: bool,
    /// The log's time in `LagWatch::due`.
    due: Option<Timestamp>,
}

/// The watched logs of one worker.
#[derive(Debug, Default)]
pub(super) struct LagWatch {
    backpressure: RoomBackpressure,
    /// The publishers of a room may go on, and the other workers do not know it yet.
    backpressure_ended: bool,
    /// Logs whose published lag is out of date.
    changed: LogSet,
    /// Logs in which the subscriptions for which publishers wait may have changed.
    waits_changed: LogSet,
    /// When a subscription will be too old, or the publishers will have waited long enough for it, for each log that has such a time.
    due: BTreeSet<(Timestamp, LogId)>,
}

impl LogLag {
    pub(super) fn new(policy: LagPolicy) -> LogLag {
        LogLag {
            policy,
            watched: false,
            ages: Ages::default(),
            waits: LogWaits::default(),
            has_backpressure: false,
            due: None,
        }
    }

    pub(super) fn policy(&self) -> LagPolicy {
        self.policy
    }

    pub(super) fn is_watched(&self) -> bool {
        self.watched
    }

    /// The log has been flushed: a subscription may be behind now.
    pub(super) fn flushed(
        &mut self,
        id: LogId,
        shared: &SharedLog,
        now: Timestamp,
        watch: &mut LagWatch,
    ) {
        let is_behind = shared.blocked() > 0;
        if !is_behind && !self.watched {
            return;
        }
        watch.changed.insert(id);
        self.watched = true;
        if let Some(age_max) = self.policy.age_max.filter(|_| is_behind) {
            self.ages.mark(shared.log().head(), now, age_max);
        }
        self.update_due(id, watch);
    }

    /// A subscription or a cursor has changed. If the log is watched, its published lag is out of date.
    pub(super) fn changed(&self, id: LogId, watch: &mut LagWatch) {
        if self.watched {
            watch.changed.insert(id);
        }
        if !self.waits.is_empty() {
            watch.waits_changed.insert(id);
        }
    }

    /// A subscription has ended.
    pub(super) fn unsubscribed(&mut self, subscription: SubscriptionId) {
        self.waits.forget(subscription);
    }

    /// Finds the subscriptions again for which the publishers wait, and tells the other workers.
    pub(super) fn update_waits(
        &mut self,
        id: LogId,
        room: &Arc<str>,
        shared: &SharedLog,
        now: Timestamp,
        watch: &mut LagWatch,
    ) {
        if shared.blocked() == 0 && self.waits.is_empty() && !self.has_backpressure {
            return;
        }
        self.waits.update(&self.policy, shared, now);
        self.update_due(id, watch);
        let waits = self.waits.ends_at().is_some();
        match (self.has_backpressure, waits) {
            (false, true) => watch.backpressure.begin(room),
            (true, false) => watch.end_backpressure(room),
            _ => {}
        }
        self.has_backpressure = waits;
    }

    /// Ends the watch of a log in which no subscription is behind any more.
    pub(super) fn end_watch_if_caught_up(
        &mut self,
        id: LogId,
        shared: &SharedLog,
        watch: &mut LagWatch,
    ) {
        if shared.blocked() == 0 {
            self.watched = false;
            self.ages.clear();
            self.update_due(id, watch);
        }
    }

    /// Adds the subscriptions that are beyond a limit.
    pub(super) fn find_too_slow(
        &mut self,
        id: LogId,
        shared: &SharedLog,
        now: Timestamp,
        watch: &mut LagWatch,
        found: &mut Vec<TooSlow>,
    ) {
        let age_max = self.policy.age_max;
        let too_old = age_max.map_or(0, |age_max| self.ages.too_old(now, age_max));
        self.update_due(id, watch);
        let head = shared.log().head();
        for subscription in shared.lagging(&self.limits(too_old)) {
            let (Some(key), Some(lag)) = (shared.key(subscription), shared.lag(subscription))
            else {
                continue;
            };
            let is_too_old = head - lag.bytes < too_old;
            // A subscriber may finish the newest message in time if it has begun to receive it.
            let is_beyond =
                lag.records > 1 && !self.waits.spare(subscription, lag, &self.policy, now);
            if is_beyond || is_too_old {
                found.push(TooSlow {
                    key: SocketKey::from_bits(key),
                    subscription: Subscription {
                        log: id,
                        id: subscription,
                    },
                    action: self.policy.action,
                    lag,
                });
            }
        }
    }

    /// The subscriptions that are further behind than the half of what the log holds.
    pub(super) fn slowest(&self, id: LogId, shared: &SharedLog) -> Vec<TooSlow> {
        let log = shared.log();
        let limits = LagLimits {
            bytes: (log.head() - log.tail()) / 2,
            records: u64::MAX,
            position: 0,
        };
        let too_slow = |subscription| {
            Some(TooSlow {
                key: SocketKey::from_bits(shared.key(subscription)?),
                subscription: Subscription {
                    log: id,
                    id: subscription,
                },
                action: LagAction::Disconnect,
                lag: shared.lag(subscription)?,
            })
        };
        shared.lagging(&limits).filter_map(too_slow).collect()
    }

    /// The policy's limits as positions and counts; messages before `too_old` are too old.
    fn limits(&self, too_old: u64) -> LagLimits {
        match self.policy.action {
            LagAction::Latest => LagLimits {
                bytes: u64::MAX,
                records: 1,
                position: 0,
            },
            LagAction::Disconnect | LagAction::Skip => LagLimits {
                bytes: self.policy.bytes_max,
                records: self.policy.messages_max.unwrap_or(u64::MAX),
                position: too_old,
            },
        }
    }

    /// The log's due time was taken out of the worker's ordered set.
    pub(super) fn due_taken(&mut self) {
        self.due = None;
    }

    /// Brings the log's time in the worker's ordered set up to date.
    fn update_due(&mut self, id: LogId, watch: &mut LagWatch) {
        let age_max = self.policy.age_max.filter(|_| self.watched);
        let too_old = age_max.and_then(|age_max| self.ages.due(age_max));
        let waited = self.waits.ends_at().map(|end| end.plus(MILLISECOND));
        let due = too_old.into_iter().chain(waited).min();
        if due == self.due {
            return;
        }
        if let Some(old) = std::mem::replace(&mut self.due, due) {
            watch.due.remove(&(old, id));
        }
        watch.due.extend(due.map(|at| (at, id)));
    }
}

/// The wait for a subscriber is over when its end has passed.
const MILLISECOND: Duration = Duration::from_millis(1);

#[cfg(test)]
impl LogLag {
    pub(super) fn age_due(&self, age_max: std::time::Duration) -> Option<Timestamp> {
        self.ages.due(age_max)
    }
}

#[cfg(test)]
impl LagWatch {
    /// The logs whose published lag is out of date.
    pub(super) fn changed(&mut self) -> Vec<LogId> {
        let changed = self.changed.take();
        changed.iter().for_each(|&log| self.changed.insert(log));
        changed
    }

    /// How many logs have a due time.
    pub(super) fn due_logs(&self) -> usize {
        self.due.len()
    }
}

impl LagWatch {
    pub(super) fn new(backpressure: RoomBackpressure) -> LagWatch {
        LagWatch {
            backpressure,
            ..LagWatch::default()
        }
    }

    /// When the first subscription will be too old, or the publishers will have waited long enough for it.
    pub(super) fn next_due(&self) -> Option<Timestamp> {
        self.due.first().map(|&(at, _)| at)
    }

    /// Takes the next log in which a subscription may be too old by now. [`LogLag::due_taken`] follows.
    pub(super) fn take_due(&mut self, now: Timestamp) -> Option<LogId> {
        self.due.first().filter(|(at, _)| *at <= now)?;
        self.due.pop_first().map(|(_, log)| log)
    }

    /// Takes the logs whose published lag is out of date.
    pub(super) fn take_changed(&mut self) -> Vec<LogId> {
        self.changed.take()
    }

    /// Takes back the vector that [`LagWatch::take_changed`] returned, to use its memory again.
    pub(super) fn reuse(&mut self, logs: Vec<LogId>) {
        self.changed.reuse(logs);
    }

    pub(super) fn has_changes(&self) -> bool {
        !self.changed.is_empty()
    }

    /// Takes the logs in which the subscriptions for which publishers wait may have changed.
    pub(super) fn take_waits_changed(&mut self) -> Vec<LogId> {
        self.waits_changed.take()
    }

    /// Takes back the vector that [`LagWatch::take_waits_changed`] returned, to use its memory again.
    pub(super) fn reuse_waits_changed(&mut self, logs: Vec<LogId>) {
        self.waits_changed.reuse(logs);
    }

    /// The publishers of a log's room do not wait for its subscribers any more.
    fn end_backpressure(&mut self, room: &str) {
        self.backpressure_ended |= self.backpressure.end(room);
    }

    /// True, once: the publishers of a room may go on, also those on other workers.
    pub(super) fn take_backpressure_ended(&mut self) -> bool {
        std::mem::take(&mut self.backpressure_ended)
    }

    pub(super) fn backpressure(&self) -> &RoomBackpressure {
        &self.backpressure
    }

    /// The log is gone.
    pub(super) fn forget(&mut self, id: LogId, room: &str, lag: &LogLag) {
        if lag.has_backpressure {
            self.end_backpressure(room);
        }
        self.waits_changed.remove(id);
        self.changed.remove(id);
        if let Some(due) = lag.due {
            self.due.remove(&(due, id));
        }
    }
}
