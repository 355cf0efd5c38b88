//! Lag: how far a subscription is behind its room, the limits of that, and what happens beyond them.
//!
//! A slow subscriber costs the others only memory of the log that all share. [`LagPolicy`] limits that, and decides what
//! happens beyond a limit. Every message that is not delivered is counted ([`Metrics`](super::Metrics)).
//!
//! A mark is a position in the log and a time, set by a flush that left a subscription behind. Every message before the position
//! is at least as old as the mark. A new mark follows after a sixteenth of the limit at the earliest. Age is checked by marks,
//! so an old message is found late by up to 1/16 of the limit, never early.
//!
//! `rooms/lag.rs` applies the limits, and `flush.rs` takes the policy's action.

use crate::time::Timestamp;
use std::collections::VecDeque;
use std::time::Duration;

/// How far a subscriber may be behind in one room, and what happens beyond that. Each limit is strict: at it nothing
/// happens, one past it the policy's action is taken.
///
/// ```
/// use std::time::Duration;
/// use yamabiko::server::{LagAction, LagPolicy};
///
/// // Prices: a slow subscriber gets only the newest one.
/// let prices = LagPolicy { action: LagAction::Latest, ..LagPolicy::default() };
/// assert_eq!(prices.age_max, Some(Duration::from_secs(30)));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LagPolicy {
    /// What happens beyond a limit. [`LagAction::Latest`] has a rule of its own and does not use the limits.
    pub action: LagAction,
    /// Bytes of the room's log that wait for the subscriber, frame headers included, in its encoding (compressed or not).
    /// Default 1 MiB. A single message is no lag, however long it is: a subscriber may finish the newest message that it
    /// has begun to receive.
    pub bytes_max: u64,
    /// Messages that wait for the subscriber. Default `None`: no limit.
    pub messages_max: Option<u64>,
    /// How long the oldest of these messages has waited. Default 30 s. `None`: no limit.
    pub age_max: Option<Duration>,
    /// How long clients that publish to the room wait for a subscriber that is behind by more than half of `bytes_max` or of
    /// `messages_max`, with [`LagAction::Disconnect`]. The server does not read these clients meanwhile, so that a subscriber that
    /// reads is not disconnected because another client publishes faster. Up to eight times these limits, it stays connected
    /// while they wait. Default 5 s. Zero: they do not wait. A [`Publisher`](super::Publisher) never waits.
    ///
    /// It is a supply: what they have waited is missing the next time, and comes back in four times as long. So they wait for one
    /// subscriber for at most a fifth of the time, and longer only while it reads at `publisher_wait_rate_min` or faster.
    pub publisher_wait_max: Duration,
    /// Bytes per second, in the subscriber's encoding, which a subscriber has to take while clients wait for it: each of them gives the
    /// time back that it takes at this rate. So one subscriber makes a room no slower than that. Default 256 KiB. Zero: bytes give no
    /// time.
    pub publisher_wait_rate_min: u32,
}

/// What happens to a subscriber that is too slow. A message that is partly written is finished in any case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum LagAction {
    /// Its connection is closed with 1013 and a reason that has the number of bytes that it was behind.
    #[default]
    Disconnect,
    /// The waiting messages are skipped, and the subscriber goes on with the next one.
    /// [`Handler::missed`](super::Handler::missed) gets their number.
    Skip,
    /// As soon as the subscriber is behind, all waiting messages but the newest are skipped.
    Latest,
}

/// What a subscriber did not get of a room, because it was too slow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Missed {
    /// Whole messages.
    pub messages: u64,
    /// Their bytes, frame headers included.
    pub bytes: u64,
}

impl Default for LagPolicy {
    fn default() -> LagPolicy {
        LagPolicy {
            action: LagAction::Disconnect,
            bytes_max: 1 << 20,
            messages_max: None,
            age_max: Some(Duration::from_secs(30)),
            publisher_wait_max: Duration::from_secs(5),
            publisher_wait_rate_min: 256 << 10,
        }
    }
}

/// How old the messages of a log are, while a subscription is behind in it.
#[derive(Debug, Default)]
pub(super) struct Ages {
    /// (position, time), both rising: the messages before the position were appended at the time or earlier.
    marks: VecDeque<(u64, Timestamp)>,
    /// The messages before this position are too old.
    too_old: u64,
}

impl Ages {
    /// A subscription is behind, and this is the position of the log's head now.
    pub(super) fn mark(&mut self, head: u64, now: Timestamp, age_max: Duration) {
        let spacing = age_max / MARKS_PER_AGE;
        let far_enough =
            |(position, at): &(u64, Timestamp)| head > *position && now >= at.plus(spacing);
        if self.marks.back().is_none_or(far_enough) {
            self.marks.push_back((head, now));
        }
    }

    /// No subscription is behind.
    pub(super) fn clear(&mut self) {
        self.marks = VecDeque::new();
    }

    /// The position before which all messages are too old.
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

    /// When the messages before the oldest mark will be too old.
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
    fn position_is_too_old_past_the_limit_and_not_at_it() {
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
