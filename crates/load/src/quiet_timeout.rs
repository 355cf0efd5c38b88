//! A limit for the wait for messages that may never arrive.

use std::time::{Duration, Instant};

/// Waits while a count changes, and for a limited time afterwards.
pub(super) struct QuietTimeout {
    limit: Duration,
    seen: u64,
    since: Instant,
}

impl QuietTimeout {
    pub(super) fn new(limit: Duration) -> QuietTimeout {
        QuietTimeout::starting(Instant::now(), limit)
    }

    fn starting(now: Instant, limit: Duration) -> QuietTimeout {
        QuietTimeout {
            limit,
            seen: 0,
            since: now,
        }
    }

    /// False: the count has not changed for the whole time.
    pub(super) fn lasts(&mut self, count: u64) -> bool {
        self.lasts_at(Instant::now(), count)
    }

    fn lasts_at(&mut self, now: Instant, count: u64) -> bool {
        if count != self.seen {
            self.seen = count;
            self.since = now;
        }
        now.duration_since(self.since) < self.limit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(10);
    const MOMENT: Duration = Duration::from_nanos(1);

    #[test]
    fn quiet_timeout_ends_when_the_count_has_not_changed_for_the_whole_limit() {
        let start = Instant::now();
        let mut quiet_timeout = QuietTimeout::starting(start, LIMIT);
        assert!(quiet_timeout.lasts_at(start, 0));
        assert!(quiet_timeout.lasts_at(start + LIMIT - MOMENT, 0));
        assert!(!quiet_timeout.lasts_at(start + LIMIT, 0));
    }

    #[test]
    fn quiet_timeout_starts_again_with_each_change_of_the_count() {
        let start = Instant::now();
        let mut quiet_timeout = QuietTimeout::starting(start, LIMIT);
        let changes = [LIMIT / 2, LIMIT, 5 * LIMIT / 4];
        for (count, change) in (1..).zip(changes) {
            assert!(quiet_timeout.lasts_at(start + change, count), "{count}");
        }
        let end = start + changes[2] + LIMIT;
        assert!(quiet_timeout.lasts_at(end - MOMENT, 3));
        assert!(!quiet_timeout.lasts_at(end, 3));
    }

    #[test]
    fn quiet_timeout_without_limit_does_not_end_and_quiet_timeout_of_zero_does_not_begin() {
        let start = Instant::now();
        let much_later = start + Duration::from_secs(365 * 24 * 3600);
        assert!(QuietTimeout::starting(start, Duration::MAX).lasts_at(much_later, 0));
        assert!(!QuietTimeout::starting(start, Duration::ZERO).lasts_at(start, 0));
    }
}
