//! The reactor's time: whole milliseconds since it was made.
//!
//! One unit, one origin, one reading per turn. A millisecond is what
//! `epoll_wait` can sleep for, and the deadlines of a network are seconds; a
//! `u64` of them is eight bytes beside `Instant`'s sixteen, and is what the
//! timer wheel counts in.

use std::time::{Duration, Instant, SystemTime};

/// A point in time: whole milliseconds since the reactor's epoch, which is the
/// moment it was made.
///
/// ```
/// use std::time::Duration;
/// use yamabiko::reactor::Millis;
///
/// let now = Millis(1_000);
/// assert_eq!(now.plus(Duration::from_secs(25)), Millis(26_000));
/// assert_eq!(Millis(26_000).since(now), Duration::from_secs(25));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Millis(pub u64);

impl Millis {
    /// The point `span` later. A part of a millisecond counts as a whole one,
    /// so that no deadline comes early; what lies beyond the end of time is
    /// the end of time.
    #[must_use]
    pub fn plus(self, span: Duration) -> Millis {
        let millis = span.as_nanos().div_ceil(NANOS_PER_MILLI);
        let millis = u64::try_from(millis).unwrap_or(u64::MAX);
        Millis(self.0.saturating_add(millis))
    }

    /// How long after `earlier` this is; zero if it is not after it.
    #[must_use]
    pub fn since(self, earlier: Millis) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

/// The one place that reads the operating system's clock.
pub(super) struct Clock {
    epoch: Instant,
}

impl Clock {
    pub(super) fn start() -> Clock {
        Clock {
            epoch: Instant::now(),
        }
    }

    /// Rounded down: a deadline is never thought to have come before it has.
    pub(super) fn now(&self) -> Millis {
        let millis = self.epoch.elapsed().as_millis();
        Millis(u64::try_from(millis).unwrap_or(u64::MAX))
    }

    /// The time of day, which can be set and so may go backwards: for dates, not for
    /// deadlines.
    pub(super) fn wall(&self) -> SystemTime {
        SystemTime::now()
    }

    /// How long it is until `at`, to the nanosecond, so that a sleep of that
    /// length ends when `now()` has reached `at`; zero if `at` is past.
    pub(super) fn until(&self, at: Millis) -> Duration {
        Duration::from_millis(at.0).saturating_sub(self.epoch.elapsed())
    }
}

const NANOS_PER_MILLI: u128 = 1_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_a_millisecond_counts_as_a_whole_one() {
        assert_eq!(Millis(5).plus(Duration::ZERO), Millis(5));
        assert_eq!(Millis(5).plus(Duration::from_nanos(1)), Millis(6));
        assert_eq!(Millis(5).plus(Duration::from_millis(1)), Millis(6));
        assert_eq!(Millis(5).plus(Duration::from_nanos(1_000_001)), Millis(7));
    }

    #[test]
    fn adding_stops_at_the_end_of_time() {
        assert_eq!(Millis(1).plus(Duration::MAX), Millis(u64::MAX));
        assert_eq!(
            Millis(u64::MAX).plus(Duration::from_secs(1)),
            Millis(u64::MAX)
        );
    }

    #[test]
    fn since_a_later_point_is_zero() {
        assert_eq!(Millis(3).since(Millis(5)), Duration::ZERO);
        assert_eq!(Millis(5).since(Millis(3)), Duration::from_millis(2));
    }

    #[test]
    fn the_time_until_a_past_point_is_zero() {
        let clock = Clock::start();
        assert_eq!(clock.until(Millis(0)), Duration::ZERO);
        assert!(clock.until(Millis(60_000)) > Duration::from_secs(50));
    }
}
