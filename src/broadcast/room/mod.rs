//! A room: one log, and a cursor in it for each member.
//!
//! ```text
//!   log        | chunk 7, pinned by B | chunk 8         |
//!                       ^                     ^         ^
//!                       B, blocked         flushed     head
//!                                          A, C, D: ready
//! ```
//!
//! To say something to everyone is to append it once. At the end of the turn
//! [`Room::flush`] offers each *ready* member everything from its cursor to the
//! head, however many records that are. A member whose socket took less is
//! *blocked*: no flush passes it again until [`Room::flush_one`] has brought it
//! to the head, after its socket has become writable.
//!
//! What each thing costs, for N members of whom B are blocked:
//!
//! | | cost |
//! |---|---|
//! | append | one copy of the record, whatever N is |
//! | flush, nothing new | one comparison |
//! | flush | N − B calls of `write`, some nanoseconds each besides; no allocation |
//! | flush_one | one call of `write`, mostly; O(log) of the backlog's chunks and records |
//! | memory given back | O(1) a chunk: no search for the slowest member |
//! | lagging | one comparison while the log is within the bounds, else O(B) |
//! | join, leave | O(1), and the same search as flush_one if blocked |
//! | a member | 28 bytes; its backlog is the log, which it shares with all |
//!
//! Memory is given back without looking for the slowest member, because each
//! chunk counts the blocked members that stand in it (it is *pinned*), and no
//! ready one stands before `flushed`. So the chunks to give back are those at
//! the log's front that end before `flushed` and have no pin.
//!
//! Where it stops: the room does not act on a member that lags.
//! [`Room::lagging`] names it, and the layer above lets it skip, or go; until
//! then it holds the log from its cursor on, which is at least one chunk.

mod lag;

use std::sync::Arc;

pub use lag::{Lag, Skipped};

use super::backlog::Backlog;
use super::chunk::ChunkPool;
use super::log::Log;
use super::spans::{NO_SPANS, Span, Spans};
use super::subscriptions::{Member, Members, SubscriptionId};
use super::write_queue::Remainder;

/// A log and its members.
///
/// A member is known by a `u64` of the caller's choice (a connection's key),
/// which is handed to `write`, and by the [`SubscriptionId`] that
/// [`subscribe`](Room::subscribe) returns. A method that is given the subscription of one
/// who has left does nothing.
///
/// ```
/// use yamabiko::broadcast::{ChunkPool, LogLimits, Room};
///
/// let mut pool = ChunkPool::new(LogLimits::default(), 16);
/// let mut room = Room::new();
/// let alice = room.subscribe(1);
/// let bob = room.subscribe(2);
/// room.append(b"hello ", &mut pool);
/// room.append_except(alice, b"all", &mut pool);
///
/// // Bob's socket takes only eight bytes.
/// let mut wire = [Vec::new(), Vec::new(), Vec::new()];
/// room.flush(&mut pool, |member, backlog| {
///     let bytes = backlog.contiguous().unwrap();
///     let taken = if member == 2 { 8 } else { bytes.len() };
///     wire[member as usize].extend_from_slice(&bytes[..taken]);
///     taken
/// });
/// assert_eq!(wire[1], b"hello ");
/// assert_eq!(wire[2], b"hello al");
/// assert!(room.unfinished(bob));
///
/// // It becomes writable again.
/// room.flush_one(bob, &mut pool, |_, backlog| backlog.bytes());
/// assert!(!room.unfinished(bob));
/// assert_eq!(room.log().held_bytes(), 0);
/// ```
#[derive(Debug, Default)]
pub struct Room {
    log: Log,
    members: Members,
    spans: Spans,
    /// The head at the last flush. A ready member's cursor is at or behind it,
    /// between two records; a blocked one's chunk is pinned.
    flushed: u64,
}

/// Members.
impl Room {
    /// A room with nobody in it, which has allocated nothing.
    pub fn new() -> Room {
        Room::default()
    }

    /// Takes in a member that gets every record appended from now on.
    pub fn subscribe(&mut self, member: u64) -> SubscriptionId {
        self.members.join(member, self.log.head())
    }

    /// Lets a member go. If a record is [`unfinished`](Room::unfinished) and
    /// the connection is to live on, [`Room::take_remainder`] comes first.
    pub fn unsubscribe(&mut self, subscription: SubscriptionId, pool: &mut ChunkPool) {
        let Some(place) = self.members.place(subscription) else {
            return;
        };
        let blocked = self.members.is_blocked(place);
        let member = self.members.leave(place);
        self.spans.forget(member.slot);
        if blocked {
            self.log.unpin(member.cursor);
            self.log.trim(self.flushed, pool);
        }
    }

    /// How many members there are.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether nobody is here.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many members are blocked: their sockets took less than offered.
    pub fn blocked(&self) -> usize {
        self.members.blocked().len()
    }

    /// The key that a member joined with.
    pub fn key(&self, subscription: SubscriptionId) -> Option<u64> {
        self.member(subscription).map(|member| member.key)
    }

    /// The room's log, to look at: its totals and what it holds.
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// Ends the room: what the log holds goes back to the pool.
    pub fn dissolve(mut self, pool: &mut ChunkPool) {
        for member in self.members.blocked() {
            self.log.unpin(member.cursor);
        }
        self.log.trim(self.log.head(), pool);
    }
}

/// Saying something.
impl Room {
    /// Appends a copy of `record`, see [`Log::append`].
    pub fn append(&mut self, record: &[u8], pool: &mut ChunkPool) {
        self.log.append(record, pool);
    }

    /// Appends the record that `encode` writes, see [`Log::append_with`].
    pub fn append_with(
        &mut self,
        len_hint: usize,
        encode: impl FnOnce(&mut Vec<u8>),
        pool: &mut ChunkPool,
    ) {
        self.log.append_with(len_hint, encode, pool);
    }

    /// Appends a large `record` by reference, see [`Log::append_shared`].
    pub fn append_shared(&mut self, record: Arc<[u8]>, pool: &mut ChunkPool) {
        self.log.append_shared(record, pool);
    }

    /// As [`append`](Room::append), but `except` does not get it.
    ///
    /// Costs O(1) if `except` has nothing else to get in this turn; otherwise
    /// the record is remembered, in 16 bytes at most, until its cursor passes.
    pub fn append_except(&mut self, except: SubscriptionId, record: &[u8], pool: &mut ChunkPool) {
        let start = self.log.head();
        self.log.append(record, pool);
        self.leave_out(except, start);
    }

    /// As [`append_with`](Room::append_with), but `except` does not get it.
    pub fn append_with_except(
        &mut self,
        except: SubscriptionId,
        len_hint: usize,
        encode: impl FnOnce(&mut Vec<u8>),
        pool: &mut ChunkPool,
    ) {
        let start = self.log.head();
        self.log.append_with(len_hint, encode, pool);
        self.leave_out(except, start);
    }

    /// As [`append_shared`](Room::append_shared), but `except` does not get it.
    pub fn append_shared_except(
        &mut self,
        except: SubscriptionId,
        record: Arc<[u8]>,
        pool: &mut ChunkPool,
    ) {
        let start = self.log.head();
        self.log.append_shared(record, pool);
        self.leave_out(except, start);
    }

    /// What was appended from `start` on is not for this member.
    fn leave_out(&mut self, except: SubscriptionId, start: u64) {
        let end = self.log.head();
        let Some(place) = self.members.place(except).filter(|_| start < end) else {
            return;
        };
        let member = self.members.get_mut(place);
        if member.cursor == start {
            member.cursor = end;
        } else {
            self.spans.leave_out(member.slot, Span { start, end });
        }
    }
}

/// Writing.
impl Room {
    /// Bytes that no flush has offered yet. A caller that appends much in one
    /// turn flushes when this reaches its bound.
    pub fn pending_bytes(&self) -> u64 {
        self.log.head() - self.flushed
    }

    /// Offers each ready member all that is new to it, and gives back the
    /// memory that everyone has passed.
    ///
    /// `write` gets a member's key and its backlog, and returns how many bytes
    /// of it the socket took. After fewer than offered, the member is blocked.
    /// To refuse (a control frame is partly written, the connection closes)
    /// is to take 0.
    ///
    /// Inlined into the caller with all that it does for a member, so that
    /// nothing returns between two system calls of `write`.
    #[inline(always)]
    pub fn flush(
        &mut self,
        pool: &mut ChunkPool,
        mut write: impl FnMut(u64, Backlog<'_>) -> usize,
    ) {
        if self.pending_bytes() == 0 {
            return;
        }
        // Most members stand where the last flush left them.
        let usual = self.log.backlog(self.flushed, &NO_SPANS);
        let ready_before = self.members.ready();
        let mut place = 0;
        while place < self.members.ready() {
            let member = self.members.get_mut(place);
            if offer(&self.log, &mut self.spans, member, Some(&usual), &mut write) {
                place += 1;
            } else {
                self.members.block(place);
            }
        }
        let newly_blocked = ready_before - self.members.ready();
        for member in &self.members.blocked()[..newly_blocked] {
            self.log.pin(member.cursor);
        }
        self.flushed = self.log.head();
        self.log.trim(self.flushed, pool);
    }

    /// Offers one member what it has not got, as [`flush`](Room::flush) does:
    /// for one whose socket became writable. Returns whether it is ready now,
    /// at the head; if not, its socket took less than it was offered.
    pub fn flush_one(
        &mut self,
        subscription: SubscriptionId,
        pool: &mut ChunkPool,
        mut write: impl FnMut(u64, Backlog<'_>) -> usize,
    ) -> bool {
        self.block_if_behind(subscription);
        let offered = self.move_member(subscription, pool, |log, spans, member| {
            offer(log, spans, member, None, &mut write)
        });
        offered.unwrap_or(true)
    }

    /// Offers one member no more than the rest of the record that was partly
    /// written to it, so that its own bytes can follow. Returns whether it
    /// stands between two records now.
    pub fn finish_record(
        &mut self,
        subscription: SubscriptionId,
        pool: &mut ChunkPool,
        write: impl FnOnce(u64, &[u8]) -> usize,
    ) -> bool {
        let finished = self.move_member(subscription, pool, |log, spans, member| {
            let end = log.record_end(member.cursor);
            let rest = log.rest_of_record(member.cursor, end);
            if rest.is_empty() {
                return true;
            }
            let taken = write(member.key, rest).min(rest.len());
            member.cursor = spans.step(member.slot, member.cursor, taken as u64);
            taken == rest.len()
        });
        finished.unwrap_or(true)
    }

    /// Whether a record is partly written to this member: nothing else may be
    /// written to it now but the rest of that record.
    pub fn unfinished(&self, subscription: SubscriptionId) -> bool {
        // A ready member stands between two records.
        match self.blocked_member(subscription) {
            Some(member) => self.log.record_end(member.cursor) != member.cursor,
            None => false,
        }
    }

    /// Takes over the rest of the record that is partly written to this
    /// member, if there is one. For the room it is written now; the caller
    /// writes it before anything else, with [`WriteQueue::finish_first`].
    ///
    /// Copies less than `chunk_bytes`, or refers to a large record.
    ///
    /// [`WriteQueue::finish_first`]: super::WriteQueue::finish_first
    pub fn take_remainder(
        &mut self,
        subscription: SubscriptionId,
        pool: &mut ChunkPool,
    ) -> Option<Remainder> {
        self.move_member(subscription, pool, |log, spans, member| {
            let end = log.record_end(member.cursor);
            let rest = end.checked_sub(member.cursor).filter(|rest| *rest > 0)?;
            let (record, written) = log.share_rest(member.cursor, end)?;
            member.cursor = spans.step(member.slot, member.cursor, rest);
            Some(Remainder::new(record, written))
        })?
    }
}

impl Room {
    /// The one place where a single member's cursor is moved: it is blocked
    /// afterwards if it was and has not come to the head.
    fn move_member<R>(
        &mut self,
        subscription: SubscriptionId,
        pool: &mut ChunkPool,
        change: impl FnOnce(&mut Log, &mut Spans, &mut Member) -> R,
    ) -> Option<R> {
        let place = self.members.place(subscription)?;
        let blocked = self.members.is_blocked(place);
        let member = self.members.get_mut(place);
        let before = member.cursor;
        let result = change(&mut self.log, &mut self.spans, member);
        let after = member.cursor;
        if blocked {
            if after < self.log.head() {
                self.log.pin(after);
            } else {
                self.members.unblock(place);
            }
            self.log.unpin(before);
            self.log.trim(self.flushed, pool);
        }
        Some(result)
    }

    fn block_if_behind(&mut self, subscription: SubscriptionId) {
        let Some(place) = self.members.place(subscription) else {
            return;
        };
        let cursor = self.members.get(place).cursor;
        if cursor < self.log.head() && !self.members.is_blocked(place) {
            self.members.block(place);
            self.log.pin(cursor);
        }
    }

    fn member(&self, subscription: SubscriptionId) -> Option<&Member> {
        let place = self.members.place(subscription)?;
        Some(self.members.get(place))
    }

    fn blocked_member(&self, subscription: SubscriptionId) -> Option<&Member> {
        let place = self.members.place(subscription)?;
        let blocked = self.members.is_blocked(place);
        blocked.then(|| self.members.get(place))
    }
}

/// Offers a member its backlog until it stands at the head (`true`), or took
/// less than it was offered (`false`). Once, unless there are many slices.
///
/// `usual` is a backlog found before, which may be this member's, too.
#[inline(always)]
fn offer(
    log: &Log,
    spans: &mut Spans,
    member: &mut Member,
    usual: Option<&Backlog<'_>>,
    write: &mut impl FnMut(u64, Backlog<'_>) -> usize,
) -> bool {
    while member.cursor < log.head() {
        let left_out = spans.of(member.slot);
        let backlog = match usual {
            Some(usual) if usual.from() == member.cursor && left_out.is_empty() => *usual,
            _ => log.backlog(member.cursor, left_out),
        };
        let offered = backlog.bytes();
        let taken = write(member.key, backlog).min(offered);
        member.cursor = spans.step(member.slot, member.cursor, taken as u64);
        if taken < offered {
            return false;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broadcast::LogLimits;

    const LIMITS: LogLimits = LogLimits {
        chunk_bytes: 64,
        shared_bytes_min: 10,
    };

    pub(super) fn pool() -> ChunkPool {
        ChunkPool::new(LIMITS, 2)
    }

    fn all(_: u64, backlog: Backlog<'_>) -> usize {
        backlog.bytes()
    }

    pub(super) fn nothing(_: u64, _: Backlog<'_>) -> usize {
        0
    }

    /// Takes so many bytes from whoever is asked.
    pub(super) fn at_most(bytes: usize) -> impl FnMut(u64, Backlog<'_>) -> usize {
        move |_, backlog| backlog.bytes().min(bytes)
    }

    /// What a member is offered by a flush of it alone.
    pub(super) fn backlog_of(room: &mut Room, member: SubscriptionId) -> Vec<u8> {
        let mut bytes = Vec::new();
        room.flush_one(member, &mut pool(), |_, backlog| {
            bytes = backlog.slices().collect::<Vec<_>>().concat();
            0
        });
        bytes
    }

    #[test]
    fn many_records_are_one_slice_and_one_write() {
        let (mut room, mut pool) = (Room::new(), pool());
        room.subscribe(1);
        room.append(b"one", &mut pool);
        room.append(b"two", &mut pool);
        let mut writes = Vec::new();
        room.flush(&mut pool, |key, backlog| {
            writes.push((key, backlog.contiguous().map(<[u8]>::to_vec)));
            backlog.bytes()
        });
        assert_eq!(writes, [(1, Some(b"onetwo".to_vec()))]);
    }

    #[test]
    fn nothing_new_is_offered_to_no_one() {
        let (mut room, mut pool) = (Room::new(), pool());
        room.subscribe(1);
        room.flush(&mut pool, |_, _| unreachable!("nothing was said"));
        room.append(b"one", &mut pool);
        room.flush(&mut pool, all);
        room.flush(&mut pool, |_, _| unreachable!("all was written"));
    }

    #[test]
    fn a_member_gets_what_is_said_after_it_joined() {
        let (mut room, mut pool) = (Room::new(), pool());
        room.append(b"early", &mut pool);
        let late = room.subscribe(1);
        room.append(b"late", &mut pool);
        assert_eq!(backlog_of(&mut room, late), b"late");
    }

    #[test]
    fn a_room_of_nobody_keeps_nothing() {
        let (mut room, mut pool) = (Room::new(), pool());
        room.append(b"hello", &mut pool);
        room.flush(&mut pool, all);
        assert_eq!((room.log().held_bytes(), pool.lent()), (0, 0));
    }

    #[test]
    fn flush_passes_blocked_members_until_they_were_served() {
        let (mut room, mut pool) = (Room::new(), pool());
        let member = room.subscribe(1);
        room.append(b"one", &mut pool);
        room.flush(&mut pool, at_most(2));
        room.append(b"two", &mut pool);
        room.flush(&mut pool, |_, _| unreachable!("it is blocked"));
        assert_eq!(room.blocked(), 1);

        assert!(room.flush_one(member, &mut pool, all));
        room.append(b"three", &mut pool);
        let mut offered = 0;
        room.flush(&mut pool, |_, backlog| {
            offered = backlog.bytes();
            offered
        });
        assert_eq!((offered, room.blocked()), (5, 0));
    }

    #[test]
    fn a_member_with_more_slices_than_are_offered_at_once_gets_them_all() {
        let (mut room, mut pool) = (Room::new(), pool());
        room.subscribe(1);
        for _ in 0..=Backlog::SLICES_MAX {
            room.append(&[7; 10], &mut pool);
        }
        let mut offers = Vec::new();
        room.flush(&mut pool, |_, backlog| {
            offers.push(backlog.slices().count());
            backlog.bytes()
        });
        assert_eq!(offers, [Backlog::SLICES_MAX, 1]);
        assert_eq!((room.blocked(), room.log().held_bytes()), (0, 0));
    }

    #[test]
    fn taking_more_than_offered_is_taking_all() {
        let (mut room, mut pool) = (Room::new(), pool());
        let member = room.subscribe(1);
        room.append(b"one", &mut pool);
        room.flush(&mut pool, |_, _| usize::MAX);
        assert_eq!(
            room.lag(member),
            Some(Lag {
                bytes: 0,
                records: 0
            })
        );
    }

    #[test]
    fn a_sender_at_the_head_is_moved_over_what_it_said() {
        let (mut room, mut pool) = (Room::new(), pool());
        let sender = room.subscribe(1);
        room.append_except(sender, b"mine", &mut pool);
        room.append_except(sender, b"too", &mut pool);
        assert!(room.spans.of(sender.slot()).is_empty());
        room.flush(&mut pool, |_, _| unreachable!("there is nothing for it"));
        assert_eq!(room.log().held_bytes(), 0);
    }

    #[test]
    fn a_sender_behind_the_head_gets_what_others_said_between() {
        let (mut room, mut pool) = (Room::new(), pool());
        let sender = room.subscribe(1);
        room.append(b"a", &mut pool);
        room.append_except(sender, b"-", &mut pool);
        room.append_except(sender, b"-", &mut pool);
        room.append(b"b", &mut pool);
        room.append_except(sender, b"-", &mut pool);
        assert_eq!(room.spans.of(sender.slot()).len(), 2);
        assert_eq!(backlog_of(&mut room, sender), b"ab");
        assert!(room.flush_one(sender, &mut pool, all));
        assert!(room.spans.of(sender.slot()).is_empty());
    }

    /// Of two members, since the one who is behind has spans.
    #[test]
    fn empty_record_is_none_and_leaves_no_span() {
        let (mut room, mut pool) = (Room::new(), pool());
        let members = [room.subscribe(1), room.subscribe(2)];
        room.append(b"a", &mut pool);
        room.flush(
            &mut pool,
            |key, backlog| if key == 1 { 0 } else { backlog.bytes() },
        );
        for member in members {
            room.append_except(member, b"", &mut pool);
            assert!(room.spans.of(member.slot()).is_empty());
        }
        assert_eq!((room.pending_bytes(), room.log().records()), (0, 1));
        assert_eq!(backlog_of(&mut room, members[0]), b"a");
    }

    #[test]
    fn room_is_empty_when_all_have_left() {
        let (mut room, mut pool) = (Room::new(), pool());
        assert_eq!((room.len(), room.is_empty()), (0, true));
        let members = [room.subscribe(1), room.subscribe(2)];
        assert_eq!((room.len(), room.is_empty()), (2, false));
        for (member, left) in members.into_iter().zip([1, 0]) {
            room.unsubscribe(member, &mut pool);
            assert_eq!((room.len(), room.is_empty()), (left, left == 0));
        }
    }

    #[test]
    fn who_leaves_takes_its_spans_and_its_chunks_along() {
        let (mut room, mut pool) = (Room::new(), pool());
        let member = room.subscribe(1);
        room.append(b"a", &mut pool);
        room.append_except(member, b"-", &mut pool);
        room.flush(&mut pool, nothing);
        assert_eq!(pool.lent(), 1);
        room.unsubscribe(member, &mut pool);
        room.unsubscribe(member, &mut pool);
        assert_eq!((pool.lent(), room.len()), (0, 0));

        let next = room.subscribe(2);
        assert_eq!(next, member);
        room.append(b"b", &mut pool);
        assert_eq!(backlog_of(&mut room, next), b"b");
    }

    #[test]
    fn a_record_is_finished_without_the_next() {
        let (mut room, mut pool) = (Room::new(), pool());
        let member = room.subscribe(1);
        room.append(b"one", &mut pool);
        room.append(b"two", &mut pool);
        room.flush(&mut pool, at_most(1));
        assert!(room.unfinished(member));
        let half = |_, rest: &[u8]| {
            assert_eq!(rest, b"ne");
            1
        };
        assert!(!room.finish_record(member, &mut pool, half));
        assert!(room.finish_record(member, &mut pool, |_, rest| rest.len()));
        assert!(!room.unfinished(member));
        assert_eq!(room.blocked(), 1);
        assert_eq!(backlog_of(&mut room, member), b"two");
    }

    #[test]
    fn the_rest_of_a_small_record_is_copied() {
        let (mut room, mut pool) = (Room::new(), pool());
        let member = room.subscribe(1);
        room.append(b"one", &mut pool);
        room.flush(&mut pool, at_most(1));
        let remainder = room.take_remainder(member, &mut pool).unwrap();
        assert_eq!(remainder.bytes(), b"ne");
        assert!(room.take_remainder(member, &mut pool).is_none());
        assert_eq!((room.blocked(), pool.lent()), (0, 0));
    }

    #[test]
    fn the_rest_of_a_large_record_is_a_reference() {
        let (mut room, mut pool) = (Room::new(), pool());
        let member = room.subscribe(1);
        let record: Arc<[u8]> = (*b"a large record").into();
        room.append_shared(Arc::clone(&record), &mut pool);
        room.flush(&mut pool, at_most(8));
        let remainder = room.take_remainder(member, &mut pool).unwrap();
        assert_eq!(remainder.bytes(), b"record");
        assert_eq!(remainder.bytes().as_ptr(), record[8..].as_ptr());
        assert_eq!(room.log().held_bytes(), 0);
    }

    #[test]
    fn the_rests_of_a_large_encoded_record_are_one_copy() {
        let (mut room, mut pool) = (Room::new(), pool());
        let members = [room.subscribe(1), room.subscribe(2)];
        room.append(b"a large record", &mut pool);
        room.flush(&mut pool, at_most(8));
        let rests = members.map(|member| room.take_remainder(member, &mut pool).unwrap());
        assert_eq!(rests[0].bytes(), b"record");
        assert_eq!(rests[0].bytes().as_ptr(), rests[1].bytes().as_ptr());
    }

    #[test]
    fn who_has_left_is_named_in_vain() {
        let (mut room, mut pool) = (Room::new(), pool());
        let gone = room.subscribe(1);
        room.subscribe(2);
        room.unsubscribe(gone, &mut pool);
        room.append_except(gone, b"hello", &mut pool);
        assert!(room.flush_one(gone, &mut pool, |_, _| unreachable!("it has left")));
        assert!(room.finish_record(gone, &mut pool, |_, _| unreachable!("it has left")));
        assert!(!room.unfinished(gone));
        assert!(room.take_remainder(gone, &mut pool).is_none());
        assert_eq!(room.skip_to_end(gone, &mut pool).records, 0);
        assert_eq!(room.skip_to_latest(gone, &mut pool).records, 0);
        assert_eq!((room.lag(gone), room.key(gone)), (None, None));
    }

    #[test]
    fn a_room_that_ends_gives_its_memory_back() {
        let (mut room, mut pool) = (Room::new(), pool());
        room.subscribe(1);
        for _ in 0..9 {
            room.append(b"record", &mut pool);
        }
        room.flush(&mut pool, nothing);
        room.append(b"pending", &mut pool);
        assert_eq!(pool.lent(), 3);
        room.dissolve(&mut pool);
        assert_eq!((pool.lent(), pool.idle()), (0, 2));
    }
}
