//! Members that are too slow for their room: who they are, and letting them
//! miss what they have not got.
//!
//! ```text
//!   log        | ....... | one | two | three | four |
//!                           ^cursor, inside "one"   ^head
//!
//!   skip_to_latest   remainder "ne", then "four";  missed: "two", "three"
//!   skip_to_end      remainder "ne";               missed: all three
//! ```
//!
//! Cost: [`Room::lagging`] finds the oldest position within the bounds once,
//! by binary search, and compares each blocked member's cursor with it; while
//! the whole log is within the bounds it looks at no member. The others are
//! O(log) of the log's chunks and records.

use super::{ChunkPool, Room};
use crate::broadcast::limits::LagLimits;
use crate::broadcast::log::Log;
use crate::broadcast::spans::Spans;
use crate::broadcast::subscriptions::{Member, SubscriptionId};
use crate::broadcast::write_queue::Remainder;

impl Room {
    /// The blocked members that are strictly beyond a bound. (A ready one is
    /// brought to the head by the next flush, however much that is.)
    ///
    /// ```
    /// use yamabiko::broadcast::{ChunkPool, LagLimits, LogLimits, WriteQueue, Room};
    ///
    /// let mut pool = ChunkPool::new(LogLimits::default(), 16);
    /// let mut room = Room::new();
    /// let member = room.subscribe(1);
    /// room.append(b"one", &mut pool);
    /// room.append(b"two", &mut pool);
    /// room.flush(&mut pool, |_, _| 2); // the socket took "on"
    ///
    /// let bounds = LagLimits { bytes: 3, ..LagLimits::default() };
    /// let slow: Vec<_> = room.lagging(&bounds).collect();
    /// assert_eq!(slow, [member]); // four bytes behind
    ///
    /// // It has to go: the record it has begun to get, then a Close frame.
    /// let mut write_queue = WriteQueue::new();
    /// if let Some(remainder) = room.take_remainder(member, &mut pool) {
    ///     write_queue.finish_first(remainder);
    /// }
    /// write_queue.push(b"\x88\x02\x03\xF5");
    /// room.unsubscribe(member, &mut pool);
    /// assert_eq!(write_queue.slices().concat(), b"e\x88\x02\x03\xF5");
    /// assert_eq!(room.log().held_bytes(), 0);
    /// ```
    pub fn lagging<'a>(
        &'a self,
        bounds: &LagLimits,
    ) -> impl Iterator<Item = SubscriptionId> + use<'a> {
        let oldest = self.log.oldest_within(bounds);
        let blocked = match oldest > self.log.tail() {
            true => self.members.blocked(),
            false => &[],
        };
        let slow = blocked.iter().filter(move |member| member.cursor < oldest);
        slow.map(Member::subscription)
    }

    /// How far a member's cursor is from the head. This is what it makes the
    /// log keep, so records that are left out for it count as well.
    pub fn lag(&self, subscription: SubscriptionId) -> Option<Lag> {
        let cursor = self.member(subscription)?.cursor;
        Some(Lag {
            bytes: self.log.head() - cursor,
            records: self.log.records_between(cursor, self.log.head()),
        })
    }

    /// Moves a member's cursor to the head: it misses all that it has not got,
    /// but for the rest of a record that was partly written. It is ready then;
    /// while its socket is not, `write` takes 0.
    pub fn skip_to_end(&mut self, subscription: SubscriptionId, pool: &mut ChunkPool) -> Skipped {
        let head = self.log.head();
        self.skip_to(subscription, head, pool)
    }

    /// Moves a member's cursor to the newest record that it is to get, or
    /// leaves it if it has begun to get that one. It stays blocked if it was.
    pub fn skip_to_latest(
        &mut self,
        subscription: SubscriptionId,
        pool: &mut ChunkPool,
    ) -> Skipped {
        let Some(member) = self.member(subscription) else {
            return Skipped::default();
        };
        let head = self.log.head();
        let left_out = self.spans.of(member.slot).back();
        let end = left_out
            .filter(|span| span.end == head)
            .map_or(head, |span| span.start);
        let latest = self.log.record_start_before(end);
        self.skip_to(subscription, latest, pool)
    }

    /// `to` is between two records, and not at the start of one of the
    /// member's spans.
    fn skip_to(&mut self, subscription: SubscriptionId, to: u64, pool: &mut ChunkPool) -> Skipped {
        let behind = |member: &Member| member.cursor < to;
        if !self.member(subscription).is_some_and(behind) {
            return Skipped::default();
        }
        let remainder = self.take_remainder(subscription, pool);
        let missed = self.move_member(subscription, pool, |log, spans, member| {
            let missed = missed_between(log, spans, member, to);
            spans.forget_before(member.slot, to);
            member.cursor = to;
            missed
        });
        let (bytes, records) = missed.unwrap_or_default();
        Skipped {
            bytes,
            records,
            remainder,
        }
    }
}

/// What a member missed, see [`Room::skip_to_end`].
#[derive(Debug, Default)]
#[must_use = "a record that was begun has to be finished"]
pub struct Skipped {
    /// Bytes of the records that were skipped whole.
    pub bytes: u64,
    /// How many records were skipped whole.
    pub records: u64,
    /// The rest of the record that was partly written: to be finished before
    /// anything else is written to this member.
    pub remainder: Option<Remainder>,
}

/// How far a member is behind, see [`Room::lag`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lag {
    /// Bytes of the log from its cursor to the head.
    pub bytes: u64,
    /// Records in there, one partly written included.
    pub records: u64,
}

/// Bytes and records from a member's cursor to `to` without those left out.
fn missed_between(log: &Log, spans: &Spans, member: &Member, to: u64) -> (u64, u64) {
    let mut bytes = to - member.cursor;
    let mut records = log.records_between(member.cursor, to);
    for span in spans.of(member.slot).iter().filter(|span| span.end <= to) {
        bytes -= span.end - span.start;
        records -= log.records_between(span.start, span.end);
    }
    (bytes, records)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{at_most, backlog_of, nothing, pool};
    use super::*;

    #[test]
    fn a_member_lags_beyond_a_bound_and_not_at_it() {
        let (mut room, mut pool) = (Room::new(), pool());
        let slow = room.subscribe(1);
        room.append(b"one", &mut pool);
        room.append(b"three", &mut pool);
        room.flush(&mut pool, nothing);
        room.subscribe(2);
        let named = |bytes, records| {
            let bounds = LagLimits {
                bytes,
                records,
                position: 0,
            };
            room.lagging(&bounds).collect::<Vec<_>>()
        };
        assert_eq!(named(8, 2), []);
        assert_eq!(named(7, 2), [slow]);
        assert_eq!(named(8, 1), [slow]);
        assert_eq!(named(0, 0), [slow]);
    }

    /// The log goes further back than the bounds, because of another member.
    #[test]
    fn a_member_at_a_bound_does_not_lag_beside_one_that_does() {
        let (mut room, mut pool) = (Room::new(), pool());
        let members = [room.subscribe(1), room.subscribe(2)];
        room.append(b"one", &mut pool);
        room.append(b"three", &mut pool);
        room.flush(&mut pool, |key, _| if key == 1 { 0 } else { 3 });
        for (bytes, records) in [(5, 9), (9, 1), (7, 1)] {
            let bounds = LagLimits {
                bytes,
                records,
                position: 0,
            };
            assert_eq!(room.lagging(&bounds).collect::<Vec<_>>(), [members[0]]);
        }
    }

    #[test]
    fn a_ready_member_does_not_lag_however_much_is_pending() {
        let (mut room, mut pool) = (Room::new(), pool());
        room.subscribe(1);
        room.append(b"one", &mut pool);
        let bounds = LagLimits {
            bytes: 0,
            records: 0,
            position: 0,
        };
        assert_eq!(room.lagging(&bounds).count(), 0);
        assert_eq!(room.pending_bytes(), 3);
    }

    #[test]
    fn skipping_to_the_end_leaves_the_rest_of_the_record_begun() {
        let (mut room, mut pool) = (Room::new(), pool());
        let member = room.subscribe(1);
        room.append(b"one", &mut pool);
        room.append(b"three", &mut pool);
        room.append_except(member, b"left out", &mut pool);
        room.append(b"six", &mut pool);
        room.flush(&mut pool, at_most(1));
        let skipped = room.skip_to_end(member, &mut pool);
        assert_eq!((skipped.bytes, skipped.records), (8, 2));
        assert_eq!(skipped.remainder.unwrap().bytes(), b"ne");
        assert_eq!((room.blocked(), pool.lent()), (0, 0));
    }

    #[test]
    fn skipping_to_the_latest_leaves_the_newest_for_this_member() {
        let (mut room, mut pool) = (Room::new(), pool());
        let member = room.subscribe(1);
        for record in [b"one", b"two"] {
            room.append(record, &mut pool);
        }
        room.append_except(member, b"mine", &mut pool);
        room.flush(&mut pool, nothing);
        let skipped = room.skip_to_latest(member, &mut pool);
        assert_eq!((skipped.bytes, skipped.records), (3, 1));
        assert!(skipped.remainder.is_none());
        assert_eq!(
            (backlog_of(&mut room, member), room.blocked()),
            (b"two".to_vec(), 1)
        );
    }

    #[test]
    fn skipping_to_the_latest_keeps_the_newest_if_it_was_begun() {
        let (mut room, mut pool) = (Room::new(), pool());
        let member = room.subscribe(1);
        room.append(b"one", &mut pool);
        room.flush(&mut pool, at_most(1));
        let skipped = room.skip_to_latest(member, &mut pool);
        assert_eq!((skipped.bytes, skipped.records), (0, 0));
        assert!(skipped.remainder.is_none() && room.unfinished(member));
    }
}
