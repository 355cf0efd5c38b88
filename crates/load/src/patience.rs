//! How long to wait for things of which nobody knows whether they will come.

use std::time::{Duration, Instant};

/// Waits as long as something happens, and a while longer.
pub(super) struct Patience {
    limit: Duration,
    seen: u64,
    since: Instant,
}

impl Patience {
    pub(super) fn new(limit: Duration) -> Patience {
        Patience::starting(Instant::now(), limit)
    }

    fn starting(now: Instant, limit: Duration) -> Patience {
        Patience {
            limit,
            seen: 0,
            since: now,
        }
    }

    /// False: what is counted has not changed for the whole time.
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
    fn patience_ends_when_the_count_has_not_changed_for_the_whole_limit() {
        let start = Instant::now();
        let mut patience = Patience::starting(start, LIMIT);
        assert!(patience.lasts_at(start, 0));
        assert!(patience.lasts_at(start + LIMIT - MOMENT, 0));
        assert!(!patience.lasts_at(start + LIMIT, 0));
    }

    #[test]
    fn patience_starts_again_with_each_change_of_the_count() {
        let start = Instant::now();
        let mut patience = Patience::starting(start, LIMIT);
        let changes = [LIMIT / 2, LIMIT, 5 * LIMIT / 4];
        for (count, change) in (1..).zip(changes) {
            assert!(patience.lasts_at(start + change, count), "{count}");
        }
        let end = start + changes[2] + LIMIT;
        assert!(patience.lasts_at(end - MOMENT, 3));
        assert!(!patience.lasts_at(end, 3));
    }

    #[test]
    fn patience_without_limit_does_not_end_and_patience_of_zero_does_not_begin() {
        let start = Instant::now();
        let much_later = start + Duration::from_secs(365 * 24 * 3600);
        assert!(Patience::starting(start, Duration::MAX).lasts_at(much_later, 0));
        assert!(!Patience::starting(start, Duration::ZERO).lasts_at(start, 0));
    }
}
