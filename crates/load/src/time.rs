//! The run's time, and the schedule of an open loop.
//!
//! One clock for all threads: nanoseconds since the run was begun. It is read
//! once for each read and each batch of writes, not for each message.
//!
//! In open loop, message `k` of the run is due at a certain time, and its latency counts
//! from that time even if it is sent later. So the waiting time counts for all messages
//! that wait while a server stops (otherwise, the latencies suffer from
//! *coordinated omission*). Above 10,000 messages a second, those of 100 µs are due
//! together at the end of these 100 µs: the operating system does not wake a thread
//! more precisely.

use std::time::{Duration, Instant};

/// Nanoseconds since the run was begun.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    epoch: Instant,
}

impl Clock {
    pub(super) fn start() -> Clock {
        Clock {
            epoch: Instant::now(),
        }
    }

    /// The current time.
    pub(super) fn now_ns(self) -> u64 {
        nanos(self.epoch.elapsed())
    }

    /// The time until then; zero if it is past.
    pub(super) fn until(self, at_ns: u64) -> Duration {
        Duration::from_nanos(at_ns).saturating_sub(self.epoch.elapsed())
    }
}

/// The latest time, 584 years after the start.
pub(super) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// The time of publishing, and the part of it that is measured:
/// start ≤ from ≤ to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Timeline {
    pub start_ns: u64,
    pub from_ns: u64,
    pub to_ns: u64,
}

impl Timeline {
    pub(super) fn measures(&self, at_ns: u64) -> bool {
        self.from_ns <= at_ns && at_ns < self.to_ns
    }
}

/// When the messages of an open loop are due.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Schedule {
    start_ns: u64,
    interval_ns: f64,
}

impl Schedule {
    /// This many messages a second, the first one at the start.
    pub(super) fn new(start_ns: u64, per_second: f64) -> Schedule {
        Schedule {
            start_ns,
            interval_ns: 1e9 / per_second,
        }
    }

    /// When message `k` is due.
    pub(super) fn due_ns(&self, k: u64) -> u64 {
        // Exact below 2^53 ns, 104 days; and `as` saturates.
        let after = k as f64 * self.interval_ns;
        let after_ns = if self.wakes_for_each() {
            after as u64
        } else {
            ((after / TICK_NS as f64).ceil() as u64).saturating_mul(TICK_NS)
        };
        self.start_ns.saturating_add(after_ns)
    }

    /// The next time after `now_ns` at which a message is due.
    pub(super) fn next_ns(&self, now_ns: u64) -> u64 {
        if now_ns < self.start_ns {
            return self.start_ns;
        }
        let elapsed_ns = now_ns - self.start_ns;
        if !self.wakes_for_each() {
            return self
                .start_ns
                .saturating_add((elapsed_ns / TICK_NS + 1).saturating_mul(TICK_NS));
        }
        // A division may be off by one: skip times that are past.
        let mut k = (elapsed_ns as f64 / self.interval_ns) as u64;
        while self.due_ns(k) <= now_ns {
            k += 1;
        }
        self.due_ns(k)
    }

    fn wakes_for_each(&self) -> bool {
        self.interval_ns >= TICK_NS as f64
    }
}

const TICK_NS: u64 = 100_000;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn slow_schedules_have_a_time_for_each_message() {
        let schedule = Schedule::new(1_000, 1_000.0);
        let due: Vec<_> = (0..4).map(|k| schedule.due_ns(k)).collect();
        assert_eq!(due, [1_000, 1_001_000, 2_001_000, 3_001_000]);
        assert_eq!(schedule.next_ns(0), 1_000);
        assert_eq!(schedule.next_ns(1_000), 1_001_000);
        assert_eq!(schedule.next_ns(2_000_999), 2_001_000);
    }

    #[test]
    fn fast_schedules_collect_messages_at_the_end_of_100_microseconds() {
        let schedule = Schedule::new(0, 40_000.0);
        let due: Vec<_> = (0..6).map(|k| schedule.due_ns(k)).collect();
        assert_eq!(due, [0, 100_000, 100_000, 100_000, 100_000, 200_000]);
        assert_eq!(schedule.next_ns(0), 100_000);
        assert_eq!(schedule.next_ns(199_999), 200_000);
    }

    #[test]
    fn end_of_the_measured_time_is_not_part_of_it() {
        let timeline = Timeline {
            start_ns: 0,
            from_ns: 10,
            to_ns: 20,
        };
        let measured: Vec<_> = [9, 10, 19, 20].map(|at| timeline.measures(at)).into();
        assert_eq!(measured, [false, true, true, false]);
    }

    proptest! {
        #[test]
        fn message_is_due_at_the_next_time_unless_it_is_a_tick(
            per_second in 0.01..1e7_f64,
            now_ns in 0..1_000_000_000_000_u64,
            start_ns in 0..1_000_000_000_u64,
        ) {
            let schedule = Schedule::new(start_ns, per_second);
            let next_ns = schedule.next_ns(now_ns);
            prop_assert!(next_ns > now_ns || next_ns == start_ns);
            if now_ns >= start_ns {
                // None of the messages that are due now is due later.
                let due = ((now_ns - start_ns) as f64 * per_second / 1e9) as u64;
                let at_last = schedule.due_ns(due.saturating_sub(1));
                prop_assert!(at_last <= now_ns + TICK_NS);
                prop_assert!(schedule.due_ns(due + 2) >= next_ns || schedule.due_ns(due + 2) > now_ns);
            }
        }
    }
}
