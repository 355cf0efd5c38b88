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
        Patience {
            limit,
            seen: 0,
            since: Instant::now(),
        }
    }

    /// False: what is counted has not changed for the whole time.
    pub(super) fn lasts(&mut self, count: u64) -> bool {
        if count != self.seen {
            self.seen = count;
            self.since = Instant::now();
        }
        self.since.elapsed() < self.limit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patience_without_limit_lasts_and_none_does_not() {
        let mut endless = Patience::new(Duration::MAX);
        assert!(endless.lasts(0) && endless.lasts(0) && endless.lasts(1));
        assert!(!Patience::new(Duration::ZERO).lasts(0));
    }

    #[test]
    fn patience_begins_anew_with_each_change() {
        let long_ago = Instant::now();
        while long_ago.elapsed().is_zero() {}
        let mut patience = Patience {
            limit: Duration::MAX,
            seen: 7,
            since: long_ago,
        };
        assert!(patience.lasts(7) && patience.since == long_ago);
        assert!(patience.lasts(8) && patience.since > long_ago);
    }
}
