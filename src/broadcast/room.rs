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
//! The room does not act on a member that lags: [`Room::lagging`] names it, and
//! the layer above lets it skip, or go. Until it does, such a member holds the
//! log from its cursor on.

use std::sync::Arc;

use super::backlog::Backlog;
use super::chunk::ChunkPool;
use super::limits::LagBounds;
use super::log::Log;
use super::members::{Member, Members, Membership};
use super::outbox::Remainder;
use super::spans::{Span, Spans};

/// A log and its members.
///
/// A member is known by a `u64` of the caller's choice (a connection's key),
/// which is handed to `write`, and by the [`Membership`] that
/// [`join`](Room::join) returns. A method that is given the membership of one
/// who has left does nothing.
///
/// ```
/// use yamabiko::broadcast::{ChunkPool, LogLimits, Room};
///
/// let mut pool = ChunkPool::new(LogLimits::default(), 16);
/// let mut room = Room::new();
/// let alice = room.join(1);
/// let bob = room.join(2);
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

/// Members.
impl Room {
    /// A room with nobody in it, which has allocated nothing.
    pub fn new() -> Room {
        Room::default()
    }

    /// Takes in a member that gets every record appended from now on.
    pub fn join(&mut self, member: u64) -> Membership {
        self.members.join(member, self.log.head())
    }

    /// Lets a member go. If a record is [`unfinished`](Room::unfinished) and
    /// the connection is to live on, [`Room::take_remainder`] comes first.
    pub fn leave(&mut self, membership: Membership, pool: &mut ChunkPool) {
        let Some(place) = self.members.place(membership) else {
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
    pub fn key(&self, membership: Membership) -> Option<u64> {
        self.member(membership).map(|member| member.key)
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
    pub fn append_except(&mut self, except: Membership, record: &[u8], pool: &mut ChunkPool) {
        let start = self.log.head();
        self.log.append(record, pool);
        self.leave_out(except, start);
    }

    /// As [`append_with`](Room::append_with), but `except` does not get it.
    pub fn append_with_except(
        &mut self,
        except: Membership,
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
        except: Membership,
        record: Arc<[u8]>,
        pool: &mut ChunkPool,
    ) {
        let start = self.log.head();
        self.log.append_shared(record, pool);
        self.leave_out(except, start);
    }

    /// What was appended from `start` on is not for this member.
    fn leave_out(&mut self, except: Membership, start: u64) {
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
    pub fn flush(
        &mut self,
        pool: &mut ChunkPool,
        mut write: impl FnMut(u64, Backlog<'_>) -> usize,
    ) {
        if self.pending_bytes() == 0 {
            return;
        }
        let ready_before = self.members.ready();
        let mut place = 0;
        while place < self.members.ready() {
            let member = self.members.get_mut(place);
            if offer(&self.log, &mut self.spans, member, &mut write) {
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
        membership: Membership,
        pool: &mut ChunkPool,
        mut write: impl FnMut(u64, Backlog<'_>) -> usize,
    ) -> bool {
        self.block_if_behind(membership);
        let offered = self.move_member(membership, pool, |log, spans, member| {
            offer(log, spans, member, &mut write)
        });
        offered.unwrap_or(true)
    }

    /// Offers one member no more than the rest of the record that was partly
    /// written to it, so that its own bytes can follow. Returns whether it
    /// stands between two records now.
    pub fn finish_record(
        &mut self,
        membership: Membership,
        pool: &mut ChunkPool,
        write: impl FnOnce(u64, &[u8]) -> usize,
    ) -> bool {
        let finished = self.move_member(membership, pool, |log, spans, member| {
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
    pub fn unfinished(&self, membership: Membership) -> bool {
        // A ready member stands between two records.
        match self.blocked_member(membership) {
            Some(member) => self.log.record_end(member.cursor) != member.cursor,
            None => false,
        }
    }

    /// Takes over the rest of the record that is partly written to this
    /// member, if there is one. For the room it is written now; the caller
    /// writes it before anything else, with [`Outbox::finish_first`].
    ///
    /// Copies less than `chunk_bytes`, or refers to a large record.
    ///
    /// [`Outbox::finish_first`]: super::Outbox::finish_first
    pub fn take_remainder(
        &mut self,
        membership: Membership,
        pool: &mut ChunkPool,
    ) -> Option<Remainder> {
        self.move_member(membership, pool, |log, spans, member| {
            let end = log.record_end(member.cursor);
            let rest = end.checked_sub(member.cursor).filter(|rest| *rest > 0)?;
            let (record, written) = log.share_rest(member.cursor, end)?;
            member.cursor = spans.step(member.slot, member.cursor, rest);
            Some(Remainder::new(record, written))
        })?
    }
}

/// Members that are too slow.
impl Room {
    /// The blocked members that are strictly beyond a bound. (A ready one is
    /// brought to the head by the next flush, however much that is.)
    pub fn lagging<'a>(&'a self, bounds: &LagBounds) -> impl Iterator<Item = Membership> + use<'a> {
        let oldest = self.log.oldest_within(bounds);
        let blocked = match oldest > self.log.tail() {
            true => self.members.blocked(),
            false => &[],
        };
        let slow = blocked.iter().filter(move |member| member.cursor < oldest);
        slow.map(Member::membership)
    }

    /// How far a member's cursor is from the head. This is what it makes the
    /// log keep, so records that are left out for it count as well.
    pub fn lag(&self, membership: Membership) -> Option<Lag> {
        let cursor = self.member(membership)?.cursor;
        Some(Lag {
            bytes: self.log.head() - cursor,
            records: self.log.records_between(cursor, self.log.head()),
        })
    }

    /// Moves a member's cursor to the head: it misses all that it has not got,
    /// but for the rest of a record that was partly written. It is ready then;
    /// while its socket is not, `write` takes 0.
    pub fn skip_to_end(&mut self, membership: Membership, pool: &mut ChunkPool) -> Skipped {
        let head = self.log.head();
        self.skip_to(membership, head, pool)
    }

    /// Moves a member's cursor to the newest record that it is to get, or
    /// leaves it if it has begun to get that one. It stays blocked if it was.
    pub fn skip_to_latest(&mut self, membership: Membership, pool: &mut ChunkPool) -> Skipped {
        let Some(member) = self.member(membership) else {
            return Skipped::default();
        };
        let head = self.log.head();
        let left_out = self.spans.of(member.slot).back();
        let end = left_out
            .filter(|span| span.end == head)
            .map_or(head, |span| span.start);
        let latest = self.log.record_start_before(end);
        self.skip_to(membership, latest, pool)
    }

    /// `to` is between two records, and not at the start of one of the
    /// member's spans.
    fn skip_to(&mut self, membership: Membership, to: u64, pool: &mut ChunkPool) -> Skipped {
        if self
            .member(membership)
            .is_none_or(|member| member.cursor >= to)
        {
            return Skipped::default();
        }
        let remainder = self.take_remainder(membership, pool);
        let missed = self.move_member(membership, pool, |log, spans, member| {
            let to = to.max(member.cursor);
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

impl Room {
    /// The one place where a single member's cursor is moved: it is blocked
    /// afterwards if it was and has not come to the head.
    fn move_member<R>(
        &mut self,
        membership: Membership,
        pool: &mut ChunkPool,
        change: impl FnOnce(&mut Log, &mut Spans, &mut Member) -> R,
    ) -> Option<R> {
        let place = self.members.place(membership)?;
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

    fn block_if_behind(&mut self, membership: Membership) {
        let Some(place) = self.members.place(membership) else {
            return;
        };
        let cursor = self.members.get(place).cursor;
        if cursor < self.log.head() && !self.members.is_blocked(place) {
            self.members.block(place);
            self.log.pin(cursor);
        }
    }

    fn member(&self, membership: Membership) -> Option<&Member> {
        let place = self.members.place(membership)?;
        Some(self.members.get(place))
    }

    fn blocked_member(&self, membership: Membership) -> Option<&Member> {
        let place = self.members.place(membership)?;
        let blocked = self.members.is_blocked(place);
        blocked.then(|| self.members.get(place))
    }
}

/// Offers a member its backlog until it stands at the head (`true`), or took
/// less than it was offered (`false`). Once, unless there are many slices.
fn offer(
    log: &Log,
    spans: &mut Spans,
    member: &mut Member,
    write: &mut impl FnMut(u64, Backlog<'_>) -> usize,
) -> bool {
    while member.cursor < log.head() {
        let backlog = log.backlog(member.cursor, spans.of(member.slot));
        let offered = backlog.bytes();
        let taken = write(member.key, backlog).min(offered);
        member.cursor = spans.step(member.slot, member.cursor, taken as u64);
        if taken < offered {
            return false;
        }
    }
    true
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
