//! Histograms of times: how many turns, or deliveries, took how long.
//!
//! One thread counts, and any thread reads, without a lock: a bucket is a number that only one thread writes. Counting costs a search in
//! 16 limits and two additions.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// How many observations were how long. Counts only rise: take two and subtract.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Histogram {
    counts: [u64; BUCKETS],
    micros: u64,
}

impl Histogram {
    /// Without observations.
    pub(super) const EMPTY: Histogram = Histogram {
        counts: [0; BUCKETS],
        micros: 0,
    };

    /// The upper limits of the buckets, which they include. A last bucket behind them has no limit.
    pub const LIMITS: [Duration; BUCKETS - 1] = [
        Duration::from_micros(50),
        Duration::from_micros(100),
        Duration::from_micros(250),
        Duration::from_micros(500),
        Duration::from_millis(1),
        Duration::from_micros(2_500),
        Duration::from_millis(5),
        Duration::from_millis(10),
        Duration::from_millis(25),
        Duration::from_millis(50),
        Duration::from_millis(100),
        Duration::from_millis(250),
        Duration::from_millis(500),
        Duration::from_secs(1),
        Duration::from_millis(2_500),
        Duration::from_secs(10),
    ];

    /// The limit of each bucket, `None` for the last one, and its observations: those above the limit before it.
    pub fn buckets(&self) -> impl Iterator<Item = (Option<Duration>, u64)> + use<> {
        let limits = Histogram::LIMITS.into_iter().map(Some).chain([None]);
        limits.zip(self.counts)
    }

    /// All observations.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The sum of all observed times, each rounded down to a microsecond.
    pub fn sum(&self) -> Duration {
        Duration::from_micros(self.micros)
    }
}

/// The histogram of one worker, for other threads to read.
#[derive(Debug, Default)]
pub(super) struct SharedHistogram {
    counts: [AtomicU64; BUCKETS],
    micros: AtomicU64,
}

impl SharedHistogram {
    /// Adds `count` observations of the same time. Only the histogram's own worker calls this.
    pub(super) fn observe(&self, time: Duration, count: u64) {
        let bucket = Histogram::LIMITS.partition_point(|limit| *limit < time);
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        add(&self.counts[bucket], count);
        add(&self.micros, micros.saturating_mul(count));
    }

    /// Adds what this worker has observed.
    pub(super) fn add_to(&self, sum: &mut Histogram) {
        for (total, count) in sum.counts.iter_mut().zip(&self.counts) {
            *total += count.load(Ordering::Relaxed);
        }
        sum.micros = sum.micros.wrapping_add(self.micros.load(Ordering::Relaxed));
    }
}

/// Adds to a number that only this thread writes: no locked instruction.
pub(super) fn add(number: &AtomicU64, count: u64) {
    let sum = number.load(Ordering::Relaxed).wrapping_add(count);
    number.store(sum, Ordering::Relaxed);
}

const BUCKETS: usize = 17;

#[cfg(test)]
mod tests {
    use super::*;

    fn histogram(times: &[(Duration, u64)]) -> Histogram {
        let shared = SharedHistogram::default();
        for (time, count) in times {
            shared.observe(*time, *count);
        }
        let mut histogram = Histogram::default();
        shared.add_to(&mut histogram);
        histogram
    }

    #[test]
    fn time_at_a_limit_is_in_its_bucket_and_one_past_it_in_the_next() {
        let limit = Duration::from_millis(1);
        let found = histogram(&[(limit, 3), (limit + Duration::from_nanos(1), 2)]);
        let buckets: Vec<_> = found.buckets().filter(|(_, count)| *count > 0).collect();
        let next = Duration::from_micros(2_500);
        assert_eq!(buckets, [(Some(limit), 3), (Some(next), 2)]);
        assert_eq!((found.count(), found.sum()), (5, limit * 5));
    }

    #[test]
    fn time_beyond_all_limits_is_in_the_last_bucket() {
        let found = histogram(&[(Duration::ZERO, 1), (Duration::MAX, 1)]);
        let buckets: Vec<_> = found.buckets().filter(|(_, count)| *count > 0).collect();
        assert_eq!(buckets, [(Some(Duration::from_micros(50)), 1), (None, 1)]);
    }

    #[test]
    fn limits_rise() {
        assert!(Histogram::LIMITS.is_sorted_by(|one, next| one < next));
    }
}
