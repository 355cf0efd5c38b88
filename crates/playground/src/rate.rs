//! The rate of commands: a token bucket, with the time as input.

use std::time::{Duration, Instant};

use crate::limits::{COMMANDS_AT_ONCE, COMMANDS_PER_SECOND};

/// How many commands a page may send at this time.
#[derive(Debug)]
pub(crate) struct Rate {
    /// 0 ≤ left ≤ [`COMMANDS_AT_ONCE`].
    left: u32,
    /// `left` is the number at this time.
    counted_at: Instant,
}

impl Rate {
    pub(crate) fn new(now: Instant) -> Rate {
        Rate {
            left: COMMANDS_AT_ONCE,
            counted_at: now,
        }
    }

    /// Counts a command. False: it is one too many.
    pub(crate) fn allows(&mut self, now: Instant) -> bool {
        self.refill(now);
        let allowed = self.left > 0;
        self.left = self.left.saturating_sub(1);
        allowed
    }

    fn refill(&mut self, now: Instant) {
        let interval = Duration::from_secs(1) / COMMANDS_PER_SECOND;
        let passed = now.saturating_duration_since(self.counted_at);
        let new = passed.as_nanos() / interval.as_nanos();
        let new = u32::try_from(new).unwrap_or(u32::MAX).min(COMMANDS_AT_ONCE);
        if self.left + new >= COMMANDS_AT_ONCE {
            self.left = COMMANDS_AT_ONCE;
            self.counted_at = now;
        } else {
            self.left += new;
            self.counted_at += interval * new;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn burst_is_allowed_and_then_the_rate() {
        let start = Instant::now();
        let mut rate = Rate::new(start);
        assert!((0..COMMANDS_AT_ONCE).all(|_| rate.allows(start)));
        assert!(!rate.allows(start));

        let almost = Duration::from_secs(1) / COMMANDS_PER_SECOND - Duration::from_nanos(1);
        assert!(!rate.allows(start + almost));
        assert!(rate.allows(start + almost + Duration::from_nanos(1)));
        let later = start + Duration::from_secs(1);
        let allowed = (0..100).filter(|_| rate.allows(later)).count();
        assert_eq!(allowed, COMMANDS_PER_SECOND as usize - 1);
    }

    #[test]
    fn a_long_pause_allows_no_more_than_a_burst() {
        let start = Instant::now();
        let mut rate = Rate::new(start);
        let later = start + Duration::from_secs(1 << 40);
        let allowed = (0..1000).filter(|_| rate.allows(later)).count();
        assert_eq!(allowed, COMMANDS_AT_ONCE as usize);
    }
}
