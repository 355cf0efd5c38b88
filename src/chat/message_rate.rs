//! How fast one person may send messages to a room: a rate with a burst, and the slow mode of the room.
//!
//! Without a clock: the time is an input. Cost: 24 bytes for each person.

/// How many messages a person may send to a room of the chat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct MessageRate {
    /// 1 ≤ per_second
    pub(super) per_second: u32,
    /// So many may come at once. 1 ≤ burst
    pub(super) burst: u32,
}

/// What a person has sent: the time up to which its rate is used (the generic cell rate algorithm).
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sent {
    used_until: u64,
    last_at: Option<u64>,
}

/// Why a message has to wait, and how many milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wait {
    Rate(u64),
    SlowMode(u64),
}

impl Sent {
    /// Counts a message at `now` (milliseconds), or tells how long it has to wait. `slow_ms`: the least time between two messages.
    pub(super) fn count(
        &mut self,
        now: u64,
        rate: Option<MessageRate>,
        slow_ms: u64,
    ) -> Result<(), Wait> {
        // A clock that was set back lets nobody wait for longer than the room says.
        self.last_at = self.last_at.map(|last| last.min(now));
        let since = self.last_at.map(|last| now - last);
        if let Some(since) = since.filter(|since| *since < slow_ms) {
            return Err(Wait::SlowMode(slow_ms - since));
        }
        if let Some(rate) = rate {
            let interval = 1_000_000 / u64::from(rate.per_second);
            let now = now.saturating_mul(1000);
            let latest = now.saturating_add(interval.saturating_mul(u64::from(rate.burst)));
            self.used_until = self.used_until.clamp(now, latest);
            let next = self.used_until.saturating_add(interval);
            if next > latest {
                return Err(Wait::Rate((next - latest).div_ceil(1000)));
            }
            self.used_until = next;
        }
        self.last_at = Some(now);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Option<MessageRate> = Some(MessageRate {
        per_second: 4,
        burst: 3,
    });

    #[test]
    fn burst_may_come_at_once_and_then_one_message_in_each_interval() {
        let mut sent = Sent::default();
        for _ in 0..3 {
            assert_eq!(sent.count(5000, RATE, 0), Ok(()));
        }
        assert_eq!(sent.count(5000, RATE, 0), Err(Wait::Rate(250)));
        assert_eq!(sent.count(5249, RATE, 0), Err(Wait::Rate(1)));
        assert_eq!(sent.count(5250, RATE, 0), Ok(()));
        assert_eq!(sent.count(5250, RATE, 0), Err(Wait::Rate(250)));
        // A clock that is set back does not lock anybody out.
        assert_eq!(sent.count(10, RATE, 0), Err(Wait::Rate(250)));
        assert_eq!(sent.count(260, RATE, 0), Ok(()));
    }

    #[test]
    fn slow_mode_is_the_least_time_between_two_messages() {
        let mut sent = Sent::default();
        assert_eq!(sent.count(5000, None, 2000), Ok(()));
        assert_eq!(sent.count(6999, None, 2000), Err(Wait::SlowMode(1)));
        assert_eq!(sent.count(7000, None, 2000), Ok(()));
        assert_eq!(sent.count(7000, None, 0), Ok(()));
        // A clock that is set back does not lock anybody out.
        assert_eq!(sent.count(0, None, 2000), Err(Wait::SlowMode(2000)));
        assert_eq!(sent.count(2000, None, 2000), Ok(()));
    }
}
