//! Time, as the protocol core and the event loop count it: whole milliseconds since an epoch.
//!
//! One unit and one origin. A millisecond is the least that `epoll_wait` can sleep, and the deadlines of a network are
//! seconds. A [`Timestamp`] has 8 bytes, `std::time::Instant` has 16, and only a [`Timestamp`] can be made by a test or
//! a fuzzer: code that takes it as an input needs no clock. The clock of this file is for the layers that do input and
//! output.

use core::time::Duration;

/// A point in time: whole milliseconds since an epoch that the caller has chosen, such as
/// the moment at which the reactor was made.
///
/// ```
/// use std::time::Duration;
/// use yamabiko::time::Timestamp;
///
/// let now = Timestamp(1_000);
/// assert_eq!(now.plus(Duration::from_secs(25)), Timestamp(26_000));
/// assert_eq!(Timestamp(26_000).since(now), Duration::from_secs(25));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// The point `span` later. A part of a millisecond counts as a whole one, so that no
    /// deadline comes early. The latest point is `Timestamp(u64::MAX)`.
    #[must_use]
    pub fn plus(self, span: Duration) -> Timestamp {
        // Not by `as_nanos`: a message costs several of these, and a division of 128 bits costs more than the rest of it.
        let seconds = span.as_secs().saturating_mul(MILLIS_PER_SECOND);
        let part = u64::from(span.subsec_nanos().div_ceil(NANOS_PER_MILLI));
        Timestamp(self.0.saturating_add(seconds).saturating_add(part))
    }

    /// How long after `earlier` this is; zero if it is not after it.
    #[must_use]
    pub fn since(self, earlier: Timestamp) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

/// The one place that reads the operating system's clock.
#[cfg(any(feature = "client", feature = "reactor"))]
#[cfg_attr(not(feature = "reactor"), allow(dead_code))]
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    epoch: std::time::Instant,
}

#[cfg(any(feature = "client", feature = "reactor"))]
#[cfg_attr(not(feature = "reactor"), allow(dead_code))]
impl Clock {
    /// Its epoch is now.
    pub(crate) fn start() -> Clock {
        Clock {
            epoch: std::time::Instant::now(),
        }
    }

    /// Rounded down: a deadline is never taken to have come before it has.
    #[cfg(any(feature = "client", test))]
    pub(crate) fn now(&self) -> Timestamp {
        self.at(std::time::Instant::now())
    }

    /// The point in time of this instant, rounded down.
    pub(crate) fn at(&self, instant: std::time::Instant) -> Timestamp {
        let millis = instant.saturating_duration_since(self.epoch).as_millis();
        Timestamp(u64::try_from(millis).unwrap_or(u64::MAX))
    }

    /// The time of day, which can be set and so may go backwards: for dates, not for
    /// deadlines.
    pub(crate) fn wall(&self) -> std::time::SystemTime {
        std::time::SystemTime::now()
    }

    /// How long it is until `at`, to the nanosecond, so that a sleep of that length ends
    /// when `now()` has reached `at`; zero if `at` is past.
    pub(crate) fn until(&self, at: Timestamp) -> Duration {
        Duration::from_millis(at.0).saturating_sub(self.epoch.elapsed())
    }
}

const MILLIS_PER_SECOND: u64 = 1_000;
const NANOS_PER_MILLI: u32 = 1_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn part_of_a_millisecond_counts_as_a_whole_one() {
        let five = Timestamp(5);
        assert_eq!(five.plus(Duration::ZERO), Timestamp(5));
        assert_eq!(five.plus(Duration::from_nanos(1)), Timestamp(6));
        assert_eq!(five.plus(Duration::from_millis(1)), Timestamp(6));
        assert_eq!(five.plus(Duration::from_nanos(1_000_001)), Timestamp(7));
        assert_eq!(five.plus(Duration::new(1, 999_000_001)), Timestamp(2_005));
        assert_eq!(five.plus(Duration::new(1, 999_000_000)), Timestamp(2_004));
    }

    #[test]
    fn adding_stops_at_the_latest_point() {
        let latest = Timestamp(u64::MAX);
        assert_eq!(Timestamp(1).plus(Duration::MAX), latest);
        assert_eq!(latest.plus(Duration::from_secs(1)), latest);
    }

    #[test]
    fn time_since_a_later_point_is_zero() {
        assert_eq!(Timestamp(3).since(Timestamp(5)), Duration::ZERO);
        assert_eq!(Timestamp(5).since(Timestamp(3)), Duration::from_millis(2));
    }

    #[cfg(any(feature = "client", feature = "reactor"))]
    #[test]
    fn time_until_a_past_point_is_zero() {
        let clock = Clock::start();
        assert_eq!(clock.until(Timestamp(0)), Duration::ZERO);
        assert!(clock.until(Timestamp(60_000)) > Duration::from_secs(50));
    }
}
