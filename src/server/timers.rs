//! The timers that an application sets for its connections.
//!
//! ```text
//!   Context::set_timer ──▶ in 5 s ──the turn ends──▶ at 12:00:05 ──the socket's deadline──▶ Handler::timer
//! ```
//!
//! A context has no clock. So a timer that a handler sets is a span until the turn ends; then it gets its time, and the socket's
//! one deadline in the reactor's wheel becomes the earliest of the connection's.
//!
//! Cost: a hash table with an entry for each connection that has a timer, and nothing for the others.

use crate::reactor::SocketKey;
use crate::time::Timestamp;
use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

/// The connection has [`Context::TIMERS_MAX`](super::Context::TIMERS_MAX) other timers already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TooManyTimers;

/// The timers of one worker's connections.
#[derive(Debug, Default)]
pub(super) struct Timers {
    by_connection: HashMap<SocketKey, TimersOfConnection>,
    /// Connections whose earliest timer may have changed in this turn, each once.
    changed: Vec<SocketKey>,
}

/// At least one timer, or a change of this turn.
#[derive(Debug, Default)]
struct TimersOfConnection {
    /// 0 ≤ length ≤ [`TIMERS_MAX`]; each number once.
    timers: Vec<(u32, Due)>,
    is_changed: bool,
}

/// When a timer is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Due {
    /// Set in this turn.
    After(Duration),
    At(Timestamp),
}

impl Timers {
    /// Sets a timer, in place of one with the same number.
    pub(super) fn set(
        &mut self,
        key: SocketKey,
        number: u32,
        after: Duration,
    ) -> Result<(), TooManyTimers> {
        let of_connection = self.by_connection.entry(key).or_default();
        let timers = &mut of_connection.timers;
        let due = Due::After(after);
        match timers.iter().position(|(other, _)| *other == number) {
            Some(index) => timers[index].1 = due,
            None if timers.len() >= TIMERS_MAX => return Err(TooManyTimers),
            None => timers.push((number, due)),
        }
        self.change(key);
        Ok(())
    }

    /// Removes a timer, if it is set.
    pub(super) fn clear(&mut self, key: SocketKey, number: u32) {
        if let Some(of_connection) = self.by_connection.get_mut(&key) {
            of_connection.timers.retain(|(other, _)| *other != number);
            self.change(key);
        }
    }

    /// Removes all timers of a connection.
    pub(super) fn forget(&mut self, key: SocketKey) {
        // Nearly always there is none at all.
        if !self.by_connection.is_empty() {
            self.by_connection.remove(&key);
        }
    }

    fn change(&mut self, key: SocketKey) {
        if let Some(of_connection) = self.by_connection.get_mut(&key)
            && !std::mem::replace(&mut of_connection.is_changed, true)
        {
            self.changed.push(key);
        }
    }

    /// A turn ends: the timers that were set in it get their times. Takes a connection whose deadline is to be set again.
    pub(super) fn take_changed(&mut self, now: Timestamp) -> Option<SocketKey> {
        while let Some(key) = self.changed.pop() {
            let Some(of_connection) = self.by_connection.get_mut(&key) else {
                continue;
            };
            of_connection.is_changed = false;
            for (_, due) in &mut of_connection.timers {
                if let Due::After(span) = *due {
                    *due = Due::At(now.plus(span));
                }
            }
            if of_connection.timers.is_empty() {
                self.by_connection.remove(&key);
            }
            return Some(key);
        }
        None
    }

    /// When the first timer of a connection is due.
    #[inline]
    pub(super) fn next_at(&self, key: SocketKey) -> Option<Timestamp> {
        if self.by_connection.is_empty() {
            return None;
        }
        let timers = &self.by_connection.get(&key)?.timers;
        timers.iter().filter_map(|(_, due)| due.at()).min()
    }

    /// Takes a timer that is due: the earliest one. A timer that was set in this turn is not.
    pub(super) fn take_due(&mut self, key: SocketKey, now: Timestamp) -> Option<u32> {
        let timers = &mut self.by_connection.get_mut(&key)?.timers;
        let due = timers.iter().enumerate();
        let due = due.filter_map(|(index, (_, due))| Some((due.at()?, index)));
        let (at, index) = due.min()?;
        if at > now {
            return None;
        }
        let (number, _) = timers.remove(index);
        if timers.is_empty() {
            self.forget_empty(key);
        }
        Some(number)
    }

    /// A connection has no timers any more. An entry that was changed in this turn is removed when the turn ends.
    fn forget_empty(&mut self, key: SocketKey) {
        if self
            .by_connection
            .get(&key)
            .is_some_and(|of_connection| !of_connection.is_changed)
        {
            self.by_connection.remove(&key);
        }
    }
}

impl Due {
    fn at(self) -> Option<Timestamp> {
        match self {
            Due::After(_) => None,
            Due::At(at) => Some(at),
        }
    }
}

impl fmt::Display for TooManyTimers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the connection has too many timers")
    }
}

impl std::error::Error for TooManyTimers {}

/// The timers of one connection: enough for every purpose that a protocol has, and few enough to search them one by one.
pub(super) const TIMERS_MAX: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: SocketKey = SocketKey::from_bits(7);
    const OTHER: SocketKey = SocketKey::from_bits(8);
    const NONE: [u32; 0] = [];

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// The timers that are due, in their order.
    fn due(timers: &mut Timers, now: u64) -> Vec<u32> {
        std::iter::from_fn(|| timers.take_due(KEY, Timestamp(now))).collect()
    }

    #[test]
    fn timers_are_due_in_the_order_of_time_and_once() {
        let mut timers = Timers::default();
        for (number, after) in [(1, 30), (2, 10), (3, 20)] {
            timers.set(KEY, number, seconds(after)).unwrap();
        }
        assert_eq!(timers.next_at(KEY), None);
        assert_eq!(timers.take_changed(Timestamp(500)), Some(KEY));
        assert_eq!(timers.take_changed(Timestamp(500)), None);
        assert_eq!(timers.next_at(KEY), Some(Timestamp(10_500)));
        assert_eq!(due(&mut timers, 10_499), NONE);
        assert_eq!(due(&mut timers, 20_500), [2, 3]);
        assert_eq!(timers.next_at(KEY), Some(Timestamp(30_500)));
        assert_eq!(due(&mut timers, 40_000), [1]);
        assert!(timers.by_connection.is_empty());
    }

    #[test]
    fn timer_that_is_set_again_has_its_new_time_only() {
        let mut timers = Timers::default();
        timers.set(KEY, 1, seconds(1)).unwrap();
        timers.take_changed(Timestamp(0));
        timers.set(KEY, 1, seconds(5)).unwrap();
        timers.take_changed(Timestamp(500));
        assert_eq!(due(&mut timers, 5_499), NONE);
        assert_eq!(due(&mut timers, 5_500), [1]);
    }

    #[test]
    fn timer_that_is_set_while_others_are_due_waits_for_the_next_turn() {
        let mut timers = Timers::default();
        timers.set(KEY, 1, Duration::ZERO).unwrap();
        timers.take_changed(Timestamp(0));
        assert_eq!(timers.take_due(KEY, Timestamp(0)), Some(1));
        timers.set(KEY, 1, Duration::ZERO).unwrap();
        assert_eq!(timers.take_due(KEY, Timestamp(0)), None);
        assert_eq!(timers.take_changed(Timestamp(0)), Some(KEY));
        assert_eq!(timers.take_due(KEY, Timestamp(0)), Some(1));
    }

    #[test]
    fn connection_has_as_many_timers_as_are_allowed_and_not_one_more() {
        let mut timers = Timers::default();
        for number in 0..TIMERS_MAX as u32 {
            timers.set(KEY, number, seconds(1)).unwrap();
        }
        assert_eq!(timers.set(KEY, 99, seconds(1)), Err(TooManyTimers));
        assert_eq!(timers.set(KEY, 0, seconds(2)), Ok(()));
        assert_eq!(timers.set(OTHER, 99, seconds(1)), Ok(()));
        timers.clear(KEY, 1);
        assert_eq!(timers.set(KEY, 99, seconds(1)), Ok(()));
    }

    #[test]
    fn cleared_and_forgotten_timers_are_not_due_and_take_no_memory() {
        let mut timers = Timers::default();
        timers.set(KEY, 1, seconds(1)).unwrap();
        timers.clear(KEY, 1);
        timers.clear(OTHER, 1);
        timers.set(OTHER, 1, seconds(1)).unwrap();
        timers.forget(OTHER);
        assert_eq!(timers.take_changed(Timestamp(0)), Some(KEY));
        assert_eq!(timers.take_changed(Timestamp(0)), None);
        assert_eq!(due(&mut timers, 10_000), NONE);
        assert!(timers.by_connection.is_empty() && timers.changed.is_empty());
    }
}
