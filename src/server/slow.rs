//! Readers that are too slow for their room: the bounds, and what is done.
//!
//! A slow reader costs the others nothing but the log that all share, and that
//! is bounded here. Over a bound, the room's policy decides; nothing is lost
//! without a number that says so ([`Metrics`](super::Metrics)).
//!
//! The age of what waits is kept in marks: at the end of a turn that leaves
//! somebody behind, where the log's head was, and when. When a mark is older
//! than the bound, so is everything before it. There are at most some 16 marks
//! for a room, so an age is judged up to a sixteenth late, and never early.

use crate::time::Timestamp;
use std::collections::VecDeque;
use std::time::Duration;

/// What a reader may be behind in one room, and what is done beyond that. Each
/// bound is strict: at it nothing happens, one past it the policy acts.
///
/// ```
/// use std::time::Duration;
/// use yamabiko::server::{SlowPolicy, SlowReaders};
///
/// // Prices: whoever cannot follow gets the newest, and no history.
/// let prices = SlowReaders { policy: SlowPolicy::Latest, ..SlowReaders::default() };
/// assert_eq!(prices.age_max, Some(Duration::from_secs(30)));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlowReaders {
    /// What is done.
    pub policy: SlowPolicy,
    /// Bytes of the room's log that wait for it, frame headers included, as they
    /// will be written: compressed, if it takes that. Default 1 MiB. A single message is no lag, whatever its size: whoever has begun to
    /// get the newest one may finish it.
    pub bytes_max: u64,
    /// Messages that wait for it. Default: no bound.
    pub messages_max: u64,
    /// How long the oldest of them has been waiting. Default 30 s.
    pub age_max: Option<Duration>,
}

/// What is done with a reader that is too slow. A message that it has begun to
/// get is finished in any case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SlowPolicy {
    /// It is closed with 1013, and words that say how far it was behind.
    #[default]
    Disconnect,
    /// It misses what waits, and goes on with what comes next;
    /// [`Handler::missed`](super::Handler::missed) is told how much that was.
    Skip,
    /// As soon as it is behind, only the newest message is kept for it.
    Latest,
}

/// What a reader has missed of a room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Missed {
    /// Whole messages.
    pub messages: u64,
    /// Their bytes, frame headers included.
    pub bytes: u64,
}

impl Default for SlowReaders {
    fn default() -> SlowReaders {
        SlowReaders {
            policy: SlowPolicy::Disconnect,
            bytes_max: 1 << 20,
            messages_max: u64::MAX,
            age_max: Some(Duration::from_secs(30)),
        }
    }
}

/// When a room's log had come how far, while somebody is behind.
#[derive(Debug, Default)]
pub(super) struct Ages {
    /// (position, time), both rising: what is before the position was appended
    /// at the time or earlier.
    marks: VecDeque<(u64, Timestamp)>,
    /// What is before this position is too old.
    too_old: u64,
}

impl Ages {
    /// Somebody is behind, and the log's head is here now.
    pub(super) fn mark(&mut self, head: u64, now: Timestamp, age_max: Duration) {
        let spacing = age_max / MARKS_PER_AGE;
        let far_enough =
            |(position, at): &(u64, Timestamp)| head > *position && now >= at.plus(spacing);
        if self.marks.back().is_none_or(far_enough) {
            self.marks.push_back((head, now));
        }
    }

    /// Nobody is behind.
    pub(super) fn clear(&mut self) {
        self.marks = VecDeque::new();
    }

    /// The position before which everything is older than the bound.
    pub(super) fn too_old(&mut self, now: Timestamp, age_max: Duration) -> u64 {
        while let Some(&(position, at)) = self.marks.front() {
            if at.plus(age_max) >= now {
                break;
            }
            self.too_old = position;
            self.marks.pop_front();
        }
        self.too_old
    }

    /// When the oldest mark will be too old.
    pub(super) fn due(&self, age_max: Duration) -> Option<Timestamp> {
        let (_, at) = self.marks.front()?;
        Some(at.plus(age_max).plus(Duration::from_millis(1)))
    }
}

const MARKS_PER_AGE: u32 = 16;

#[cfg(test)]
mod tests {
    use super::*;

    const AGE: Duration = Duration::from_millis(160);

    #[test]
    fn what_is_older_than_the_bound_is_too_old_and_at_it_is_not() {
        let mut ages = Ages::default();
        ages.mark(100, Timestamp(1000), AGE);
        ages.mark(200, Timestamp(1010), AGE);
        assert_eq!(ages.due(AGE), Some(Timestamp(1161)));
        assert_eq!(ages.too_old(Timestamp(1160), AGE), 0);
        assert_eq!(ages.too_old(Timestamp(1161), AGE), 100);
        assert_eq!(ages.too_old(Timestamp(1171), AGE), 200);
        assert_eq!(ages.due(AGE), None);
    }

    #[test]
    fn a_busy_room_keeps_few_marks() {
        let mut ages = Ages::default();
        for now in 0..100_000 {
            ages.mark(now * 10, Timestamp(now), AGE);
            ages.too_old(Timestamp(now), AGE);
            assert!(ages.marks.len() <= 18);
        }
    }

    #[test]
    fn a_late_mark_makes_old_later_and_never_earlier() {
        let mut ages = Ages::default();
        ages.mark(100, Timestamp(0), AGE);
        ages.mark(150, Timestamp(9), AGE); // too soon after the last for a mark
        ages.mark(200, Timestamp(10), AGE);
        assert_eq!(ages.too_old(Timestamp(161), AGE), 100);
        assert_eq!(ages.too_old(Timestamp(169), AGE), 100);
        assert_eq!(ages.too_old(Timestamp(171), AGE), 200);
    }
}
