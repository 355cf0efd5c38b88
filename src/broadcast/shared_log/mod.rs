//! A log with the cursors of its subscriptions.
//!
//! ```text
//!   log        | chunk 7, pinned by B | chunk 8         |
//!                       ^                     ^         ^
//!                       B, blocked         flushed     head
//!                                          A, C, D: ready
//! ```
//!
//! Publishing appends one record. At the end of the turn [`SharedLog::flush`] offers each
//! *ready* subscription everything from its cursor to the head, whatever the number
//! of records. A subscription whose socket accepted less is *blocked*: no flush
//! visits it until its socket is writable again and [`SharedLog::flush_one`] has moved
//! its cursor to the head.
//!
//! A log can keep records that all cursors have passed ([`SharedLog::keep_from`]), and a subscription can begin there
//! ([`SharedLog::subscribe_from`]): with a cursor into the past. It is blocked until it has reached the head, and
//! [`SharedLog::catch_up`] serves these subscriptions in turn.
//!
//! A flush can have a budget ([`SharedLog::flush_within`]). It then stops in the middle of the ready subscriptions,
//! and the next one goes on behind them.
//!
//! The costs, for N subscriptions of which B are blocked:
//!
//! | | cost |
//! |---|---|
//! | append | one copy of the record, whatever N is |
//! | flush without new records | one comparison |
//! | flush | N − B calls of `write`, plus some nanoseconds each; no allocation |
//! | flush_one | usually one call of `write`; O(log) of the backlog's chunks and records |
//! | freeing memory | O(1) a chunk: no search for the slowest subscription |
//! | lagging | one comparison while the log is within the limits, else O(B) |
//! | lag, skip_to_end, skip_to_latest | O(log) of the log's chunks and records |
//! | subscribe, unsubscribe | O(1), plus the search of flush_one if it is blocked |
//! | subscribe_from | O(log) of the log's chunks and records |
//! | catch_up | one call of `write` for up to 16 slices, and O(log) of the log's chunks and records |
//! | a subscription | 28 bytes; its backlog is the log, which all share |
//!
//! Memory is freed without a search for the slowest subscription: each chunk counts
//! the blocked cursors in it (its *pins*), and no ready cursor is before `flushed`.
//! So the chunks to free are those at the log's front that end before `flushed` and
//! have no pin.
//!
//! Where it stops: the log does not act on a slow subscription. [`SharedLog::lagging`]
//! returns it, and the caller lets it skip records or unsubscribes it. Until then it
//! keeps the log from its cursor on, which is at least one chunk.

mod catch_up;
mod lag;
#[cfg(test)]
mod tests;

use std::sync::Arc;

pub use lag::{Lag, Skipped};

use self::catch_up::CatchUp;
use self::lag::skipped_between;
use super::backlog::Backlog;
use super::chunk::ChunkPool;
use super::exclusions::{Exclusions, NO_SPANS, Span};
use super::limits::LagLimits;
use super::log::Log;
use super::subscriptions::{Subscription, SubscriptionId, Subscriptions};
use super::write_queue::Remainder;

/// A log and its subscriptions.
///
/// The caller knows a subscription by a `u64` of its choice (a connection's key),
/// which is passed to `write`, and by the [`SubscriptionId`] that
/// [`subscribe`](SharedLog::subscribe) returns. A method that is given the id of an ended
/// subscription does nothing.
///
/// ```
/// use yamabiko::broadcast::{ChunkPool, LogLimits, SharedLog};
///
/// let mut pool = ChunkPool::new(LogLimits::default(), 16);
/// let mut shared = SharedLog::new();
/// let alice = shared.subscribe(1);
/// let bob = shared.subscribe(2);
/// shared.append(b"hello ", &mut pool);
/// shared.append_except(alice, b"all", &mut pool);
///
/// // Bob's socket accepts only eight bytes.
/// let mut wire = [Vec::new(), Vec::new(), Vec::new()];
/// shared.flush(&mut pool, |key, backlog| {
///     let bytes = backlog.contiguous().unwrap();
///     let written = if key == 2 { 8 } else { bytes.len() };
///     wire[key as usize].extend_from_slice(&bytes[..written]);
///     written
/// });
/// assert_eq!(wire[1], b"hello ");
/// assert_eq!(wire[2], b"hello al");
/// assert!(shared.unfinished(bob));
///
/// // It becomes writable again.
/// shared.flush_one(bob, &mut pool, |_, backlog| backlog.bytes());
/// assert!(!shared.unfinished(bob));
/// assert_eq!(shared.log().held_bytes(), 0);
/// ```
#[derive(Debug, Default)]
pub struct SharedLog {
    log: Log,
    subscriptions: Subscriptions,
    exclusions: Exclusions,
    /// The head at the beginning of the last flush that visited all. A ready cursor is at or after it, between two
    /// records; a blocked cursor's chunk is pinned.
    flushed: u64,
    /// The head at the beginning of the current flush: offered cursors are at or after it. It means something while a
    /// subscription is offered.
    flushing: u64,
    /// Records from here on are kept, though all cursors may have passed them. `None`: no records are kept for that.
    kept_from: Option<u64>,
    catch_up: CatchUp,
}

/// How much a flush may write: see [`SharedLog::flush_within`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlushBudget {
    /// What is left.
    pub bytes: usize,
    /// What each call of `write` costs besides the bytes that it wrote.
    pub call_bytes: usize,
}

impl FlushBudget {
    /// A budget without a limit.
    pub const UNLIMITED: FlushBudget = FlushBudget {
        bytes: usize::MAX,
        call_bytes: 0,
    };

    #[inline(always)]
    fn charge(&mut self, written: usize) {
        self.bytes = self
            .bytes
            .saturating_sub(written.saturating_add(self.call_bytes));
    }
}

/// Subscriptions.
impl SharedLog {
    /// A log without subscriptions. Allocates nothing.
    pub fn new() -> SharedLog {
        SharedLog::default()
    }

    /// A log without subscriptions that keeps all records, until [`SharedLog::keep_from`] lets it drop some. Allocates nothing.
    pub fn keeping() -> SharedLog {
        SharedLog {
            kept_from: Some(0),
            ..SharedLog::default()
        }
    }

    /// Adds a subscription that receives every record appended from now on.
    pub fn subscribe(&mut self, key: u64) -> SubscriptionId {
        self.subscriptions.add(key, self.log.head())
    }

    /// Adds a subscription that receives every record after `position`, which is in the past: the first record that it gets begins
    /// there or behind it. Records before the tail are gone. If there are such records, [`SharedLog::catch_up`] offers them.
    ///
    /// Until it has reached the present head, records before that do not count as its lag.
    pub fn subscribe_from(&mut self, key: u64, position: u64) -> SubscriptionId {
        let head = self.log.head();
        let from = position.max(self.log.tail()).min(head);
        let cursor = self.log.record_end(from);
        let id = self.subscriptions.add(key, cursor);
        if cursor < head {
            self.block_if_behind(id);
            self.catch_up.begin(id, head);
        }
        id
    }

    /// Ends a subscription. If a record is [`unfinished`](SharedLog::unfinished) and the
    /// connection stays open, call [`SharedLog::take_remainder`] first.
    pub fn unsubscribe(&mut self, id: SubscriptionId, pool: &mut ChunkPool) {
        let Some(index) = self.subscriptions.index(id) else {
            return;
        };
        let blocked = self.subscriptions.is_blocked(index);
        let subscription = self.subscriptions.remove(index);
        self.exclusions.discard(subscription.slot());
        self.catch_up.end(id);
        if blocked {
            self.log.unpin(subscription.cursor());
            self.trim(pool);
        }
    }

    /// How many subscriptions there are.
    pub fn len(&self) -> usize {
        self.subscriptions.len()
    }

    /// Whether there is no subscription.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many subscriptions are blocked: their sockets accepted less than offered.
    pub fn blocked(&self) -> usize {
        self.subscriptions.blocked().len()
    }

    /// The key that was given to [`subscribe`](SharedLog::subscribe).
    pub fn key(&self, id: SubscriptionId) -> Option<u64> {
        self.subscription(id).map(|subscription| subscription.key())
    }

    /// The ids of all subscriptions.
    pub(crate) fn ids(&self) -> Vec<SubscriptionId> {
        self.subscriptions
            .all()
            .iter()
            .map(Subscription::id)
            .collect()
    }

    /// The keys of all subscriptions.
    pub(crate) fn keys(&self) -> impl Iterator<Item = u64> + use<'_> {
        self.subscriptions.all().iter().map(Subscription::key)
    }

    /// The log itself, for its totals and the memory that it holds.
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// Ends the log: returns the log's memory to the pool.
    pub fn dissolve(mut self, pool: &mut ChunkPool) {
        for subscription in self.subscriptions.blocked() {
            self.log.unpin(subscription.cursor());
        }
        self.log.trim(self.log.head(), pool);
    }
}

/// Publishing.
impl SharedLog {
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

    /// As [`append`](SharedLog::append), but `except` does not receive the record.
    ///
    /// Costs O(1) if nothing else is pending for `except` in this turn. Otherwise the
    /// exclusion takes at most 16 bytes until its cursor has passed the record.
    pub fn append_except(&mut self, except: SubscriptionId, record: &[u8], pool: &mut ChunkPool) {
        let start = self.log.head();
        self.log.append(record, pool);
        self.exclude(except, start);
    }

    /// As [`append_with`](SharedLog::append_with), but `except` does not receive the
    /// record.
    pub fn append_with_except(
        &mut self,
        except: SubscriptionId,
        len_hint: usize,
        encode: impl FnOnce(&mut Vec<u8>),
        pool: &mut ChunkPool,
    ) {
        let start = self.log.head();
        self.log.append_with(len_hint, encode, pool);
        self.exclude(except, start);
    }

    /// As [`append_shared`](SharedLog::append_shared), but `except` does not receive the
    /// record.
    pub fn append_shared_except(
        &mut self,
        except: SubscriptionId,
        record: Arc<[u8]>,
        pool: &mut ChunkPool,
    ) {
        let start = self.log.head();
        self.log.append_shared(record, pool);
        self.exclude(except, start);
    }

    /// Lets `write` change the bytes of the record that so many records are behind, whose number stays. It must leave a whole record, or
    /// return false and change nothing. Returns whether the record was changed: not if a subscription has written a part of it.
    ///
    /// Subscriptions that have not written the record get the new bytes. Cost: O(N) for N subscriptions.
    pub fn overwrite(&mut self, behind: u64, write: impl FnOnce(&mut [u8]) -> bool) -> bool {
        let start = self.log.start_of_last(behind.saturating_add(1));
        let end = self.log.start_of_last(behind);
        let is_within = |one: &Subscription| start < one.cursor() && one.cursor() < end;
        if start == end || self.subscriptions.all().iter().any(is_within) {
            return false;
        }
        self.log.overwrite(start, end, write)
    }

    /// `except` does not receive the record that was appended at `start`.
    fn exclude(&mut self, except: SubscriptionId, start: u64) {
        let end = self.log.head();
        let Some(index) = self.subscriptions.index(except).filter(|_| start < end) else {
            return;
        };
        let subscription = self.subscriptions.get_mut(index);
        if subscription.cursor() == start {
            subscription.move_to(end);
        } else {
            let span = Span { start, end };
            self.exclusions.exclude(subscription.slot(), span);
        }
    }
}

/// Writing.
impl SharedLog {
    /// Bytes that a ready subscription may not have been offered yet. A caller that appends much in one turn
    /// flushes when this reaches its limit.
    pub fn pending_bytes(&self) -> u64 {
        self.log.head() - self.flushed
    }

    /// Offers each ready subscription everything that is new to it, and frees the
    /// memory that all cursors have passed.
    ///
    /// `write` gets a subscription's key and its backlog, and returns how many bytes
    /// the socket accepted. If that is less than offered, the subscription is blocked.
    /// A caller that cannot write (a control frame is partly written, the connection
    /// closes) returns 0.
    ///
    /// Inlined into the caller with everything that it does for a subscription, so
    /// that no function returns between two system calls of `write`.
    #[inline(always)]
    pub fn flush(
        &mut self,
        pool: &mut ChunkPool,
        mut write: impl FnMut(u64, Backlog<'_>) -> usize,
    ) {
        let mut budget = FlushBudget::UNLIMITED;
        // A second time if the first one completed a flush that had begun before.
        while !self.flush_within(pool, &mut budget, &mut write) {}
    }

    /// As [`flush`](SharedLog::flush), until the budget is used up: the last call of `write` may exceed it. Returns whether
    /// everything was offered to all; if not, the next flush goes on with the subscriptions that this one has not visited.
    /// Records that are appended meanwhile are offered to those at once, and to the others by the flush after that.
    #[inline(always)]
    pub fn flush_within(
        &mut self,
        pool: &mut ChunkPool,
        budget: &mut FlushBudget,
        mut write: impl FnMut(u64, Backlog<'_>) -> usize,
    ) -> bool {
        if self.pending_bytes() == 0 {
            return true;
        }
        if self.subscriptions.offered() == 0 {
            self.flushing = self.log.head();
        }
        // Most cursors are where the last flush left them, or where it left their neighbours.
        let mut usual = Backlog::new(&self.log, self.flushed, &NO_SPANS);
        let ready_before = self.subscriptions.ready();
        let mut index = self.subscriptions.offered();
        while index < self.subscriptions.ready() && budget.bytes > 0 {
            let subscription = self.subscriptions.get_mut(index);
            let exclusions = &mut self.exclusions;
            let write = |key, backlog: Backlog<'_>| {
                let written = write(key, backlog);
                budget.charge(written);
                written
            };
            if offer(&self.log, exclusions, subscription, Some(&mut usual), write) {
                self.subscriptions.advance_offered();
                index += 1;
            } else {
                self.subscriptions.block(index);
            }
        }
        let newly_blocked = ready_before - self.subscriptions.ready();
        for subscription in &self.subscriptions.blocked()[..newly_blocked] {
            self.log.pin(subscription.cursor());
        }
        if index < self.subscriptions.ready() {
            return false;
        }
        self.subscriptions.end_offers();
        self.flushed = self.flushing;
        self.trim(pool);
        self.pending_bytes() == 0
    }

    /// Offers one subscription its backlog, as [`flush`](SharedLog::flush) does: for a
    /// socket that became writable. Returns whether the subscription is ready now,
    /// with its cursor at the head; if not, its socket accepted less than offered.
    pub fn flush_one(
        &mut self,
        id: SubscriptionId,
        pool: &mut ChunkPool,
        mut write: impl FnMut(u64, Backlog<'_>) -> usize,
    ) -> bool {
        self.block_if_behind(id);
        let offered = self.move_cursor(id, pool, |log, exclusions, subscription| {
            offer(log, exclusions, subscription, None, &mut write)
        });
        offered.unwrap_or(true)
    }

    /// Offers one subscription only the rest of the record that is partly written, so
    /// that the connection's own bytes can follow. Returns whether the cursor is
    /// between two records now.
    pub fn finish_record(
        &mut self,
        id: SubscriptionId,
        pool: &mut ChunkPool,
        write: impl FnOnce(u64, &[u8]) -> usize,
    ) -> bool {
        let finished = self.move_cursor(id, pool, |log, exclusions, subscription| {
            let end = log.record_end(subscription.cursor());
            let rest = log.rest_of_record(subscription.cursor(), end);
            if rest.is_empty() {
                return true;
            }
            let written = write(subscription.key(), rest).min(rest.len());
            advance(subscription, exclusions, written as u64);
            written == rest.len()
        });
        finished.unwrap_or(true)
    }

    /// Whether a record is partly written to this subscription. Then only the rest of
    /// that record may be written next.
    pub fn unfinished(&self, id: SubscriptionId) -> bool {
        // A ready cursor is between two records.
        match self.blocked_subscription(id) {
            Some(subscription) => {
                self.log.record_end(subscription.cursor()) != subscription.cursor()
            }
            None => false,
        }
    }

    /// Takes over the rest of the record that is partly written to this subscription,
    /// if there is one. The log then regards it as written; the caller writes it
    /// before anything else, with [`WriteQueue::finish_first`].
    ///
    /// Copies less than `chunk_bytes`, or refers to a large record.
    ///
    /// [`WriteQueue::finish_first`]: super::WriteQueue::finish_first
    pub fn take_remainder(
        &mut self,
        id: SubscriptionId,
        pool: &mut ChunkPool,
    ) -> Option<Remainder> {
        self.move_cursor(id, pool, |log, exclusions, subscription| {
            let end = log.record_end(subscription.cursor());
            let rest = end.checked_sub(subscription.cursor())?;
            if rest == 0 {
                return None;
            }
            let (record, written) = log.share_rest(subscription.cursor(), end)?;
            advance(subscription, exclusions, rest);
            Some(Remainder::new(record, written))
        })?
    }
}

/// Slow subscriptions.
///
/// ```text
///   log        | ....... | one | two | three | four |
///                           ^cursor, inside "one"   ^head
///
///   skip_to_latest   remainder "ne", then "four";  skipped: "two", "three"
///   skip_to_end      remainder "ne";               skipped: all three
/// ```
impl SharedLog {
    /// The blocked subscriptions that are strictly beyond a limit. (The next flush
    /// offers a ready subscription everything up to the head.)
    ///
    /// Cost: one binary search for the oldest position within the limits. Each blocked
    /// cursor is compared with it only if the log reaches further back.
    ///
    /// ```
    /// use yamabiko::broadcast::{ChunkPool, LagLimits, LogLimits, SharedLog, WriteQueue};
    ///
    /// let mut pool = ChunkPool::new(LogLimits::default(), 16);
    /// let mut shared = SharedLog::new();
    /// let id = shared.subscribe(1);
    /// shared.append(b"one", &mut pool);
    /// shared.append(b"two", &mut pool);
    /// shared.flush(&mut pool, |_, _| 2); // the socket accepted "on"
    ///
    /// let limits = LagLimits { bytes: 3, ..LagLimits::default() };
    /// let slow: Vec<_> = shared.lagging(&limits).collect();
    /// assert_eq!(slow, [id]); // four bytes behind
    ///
    /// // To disconnect it: the rest of the record that was begun, then a Close frame.
    /// let mut write_queue = WriteQueue::new();
    /// if let Some(remainder) = shared.take_remainder(id, &mut pool) {
    ///     write_queue.finish_first(remainder);
    /// }
    /// write_queue.push(b"\x88\x02\x03\xF5");
    /// shared.unsubscribe(id, &mut pool);
    /// assert_eq!(write_queue.slices().concat(), b"e\x88\x02\x03\xF5");
    /// assert_eq!(shared.log().held_bytes(), 0);
    /// ```
    pub fn lagging<'a>(
        &'a self,
        limits: &LagLimits,
    ) -> impl Iterator<Item = SubscriptionId> + use<'a> {
        let oldest = self.log.oldest_within(limits);
        let blocked = match oldest > self.log.tail() {
            true => self.subscriptions.blocked(),
            false => &[],
        };
        let lags = move |one: &&Subscription| self.lags_from(one) < oldest;
        let slow = blocked.iter().filter(lags);
        slow.map(Subscription::id)
    }

    /// How far a cursor is from the head. The log keeps this part for it, so excluded
    /// records count as well. What a subscription is catching up is no lag.
    pub fn lag(&self, id: SubscriptionId) -> Option<Lag> {
        let from = self.lags_from(self.subscription(id)?);
        Some(Lag {
            bytes: self.log.head() - from,
            records: self.log.records_between(from, self.log.head()),
        })
    }

    /// The bytes of the greatest lag. Cost: a comparison for each blocked subscription.
    pub fn lag_bytes_max(&self) -> u64 {
        let blocked = self.subscriptions.blocked().iter();
        let furthest = blocked.map(|one| self.lags_from(one)).min();
        furthest.map_or(0, |from| self.log.head() - from)
    }

    fn lags_from(&self, subscription: &Subscription) -> u64 {
        self.catch_up
            .lags_from(subscription.id(), subscription.cursor())
    }

    /// Moves a cursor to the head. The subscription does not receive the records in
    /// between, except the rest of a record that was partly written. It is ready
    /// afterwards; while its socket is not, `write` returns 0.
    pub fn skip_to_end(&mut self, id: SubscriptionId, pool: &mut ChunkPool) -> Skipped {
        let head = self.log.head();
        self.skip_to(id, head, pool)
    }

    /// Moves a cursor to the newest record that is not excluded, or leaves it there if
    /// that record is partly written. A blocked subscription stays blocked.
    pub fn skip_to_latest(&mut self, id: SubscriptionId, pool: &mut ChunkPool) -> Skipped {
        let Some(subscription) = self.subscription(id) else {
            return Skipped::default();
        };
        let head = self.log.head();
        let last_excluded = self.exclusions.of(subscription.slot()).back();
        let end = last_excluded
            .filter(|span| span.end == head)
            .map_or(head, |span| span.start);
        let latest = self.log.record_start_before(end);
        self.skip_to(id, latest, pool)
    }

    /// `to` is between two records, and not at the start of an excluded span.
    fn skip_to(&mut self, id: SubscriptionId, to: u64, pool: &mut ChunkPool) -> Skipped {
        let behind = |subscription: &Subscription| subscription.cursor() < to;
        if !self.subscription(id).is_some_and(behind) {
            return Skipped::default();
        }
        let remainder = self.take_remainder(id, pool);
        let skipped = self.move_cursor(id, pool, |log, exclusions, subscription| {
            let spans = exclusions.of(subscription.slot());
            let skipped = skipped_between(log, spans, subscription.cursor(), to);
            exclusions.discard_before(subscription.slot(), to);
            subscription.move_to(to);
            skipped
        });
        Skipped {
            remainder,
            ..skipped.unwrap_or_default()
        }
    }
}

/// The past: records that are kept for subscriptions that come later.
impl SharedLog {
    /// From now on keeps the records from `position` on, and frees those before it that all cursors have passed. Whole chunks are
    /// freed, so somewhat more may be kept.
    pub fn keep_from(&mut self, position: u64, pool: &mut ChunkPool) {
        self.kept_from = Some(position);
        self.trim(pool);
    }

    /// Whether records are kept.
    #[inline(always)]
    pub fn keeps(&self) -> bool {
        self.kept_from.is_some()
    }

    /// The position from which records are kept; the head if none are.
    pub fn kept_from(&self) -> u64 {
        self.kept_from
            .unwrap_or(self.log.head())
            .min(self.log.head())
    }

    /// Whether a subscription is to be offered something by [`SharedLog::catch_up`].
    #[inline(always)]
    pub fn has_catch_ups(&self) -> bool {
        self.catch_up.waits()
    }

    /// Offers each subscription that is catching up a backlog of at most [`Backlog::SLICES_MAX`] slices in turn, until the budget
    /// is used up. True: none of them is to be offered more now. One whose socket takes less than offered goes on with
    /// [`SharedLog::flush_one`].
    pub fn catch_up(
        &mut self,
        pool: &mut ChunkPool,
        budget: &mut FlushBudget,
        mut write: impl FnMut(u64, Backlog<'_>) -> usize,
    ) -> bool {
        while budget.bytes > 0 {
            let Some(id) = self.catch_up.next() else {
                return true;
            };
            // It may have ended, or have reached the head by `flush_one`.
            if self.blocked_subscription(id).is_none() {
                continue;
            }
            let goes_on = self.move_cursor(id, pool, |log, exclusions, subscription| {
                let spans = exclusions.of(subscription.slot());
                let backlog = Backlog::new(log, subscription.cursor(), spans);
                let offered = backlog.bytes();
                let written = write(subscription.key(), backlog).min(offered);
                budget.charge(written);
                advance(subscription, exclusions, written as u64);
                written == offered && subscription.cursor() < log.head()
            });
            if goes_on == Some(true) {
                self.catch_up.queue(id);
            }
        }
        !self.catch_up.waits()
    }

    /// Copies the newest `records` records of another log that has the same ones, into this one, which has no subscription. Large
    /// records are shared.
    pub fn fill_from(&mut self, other: &mut SharedLog, records: u64, pool: &mut ChunkPool) {
        let mut position = other.log.start_of_last(records);
        while position < other.log.head() {
            let end = other.log.record_end(position + 1);
            match (end - position) < pool.limits().shared_bytes_min as u64 {
                true => {
                    let record = other.log.rest_of_record(position, end);
                    self.log.append(record, pool);
                }
                false => {
                    if let Some((record, _)) = other.log.share_rest(position, end) {
                        self.log.append_shared(record, pool);
                    }
                }
            }
            position = end;
        }
        self.flushed = self.log.head();
    }

    fn trim(&mut self, pool: &mut ChunkPool) {
        let needed = match self.kept_from {
            Some(kept) => kept.min(self.flushed),
            None => self.flushed,
        };
        self.log.trim(needed, pool);
    }
}

impl SharedLog {
    /// The one place where the cursor of a single subscription is moved. A blocked
    /// subscription stays blocked if its cursor has not reached the head.
    fn move_cursor<R>(
        &mut self,
        id: SubscriptionId,
        pool: &mut ChunkPool,
        change: impl FnOnce(&mut Log, &mut Exclusions, &mut Subscription) -> R,
    ) -> Option<R> {
        let index = self.subscriptions.index(id)?;
        let blocked = self.subscriptions.is_blocked(index);
        let subscription = self.subscriptions.get_mut(index);
        let before = subscription.cursor();
        let result = change(&mut self.log, &mut self.exclusions, subscription);
        let after = subscription.cursor();
        if blocked {
            if after < self.log.head() {
                self.log.pin(after);
            } else {
                self.subscriptions.unblock(index);
            }
            self.log.unpin(before);
            self.catch_up.moved(id, after);
            self.trim(pool);
        }
        Some(result)
    }

    fn block_if_behind(&mut self, id: SubscriptionId) {
        let Some(index) = self.subscriptions.index(id) else {
            return;
        };
        let cursor = self.subscriptions.get(index).cursor();
        if cursor < self.log.head() && !self.subscriptions.is_blocked(index) {
            self.subscriptions.block(index);
            self.log.pin(cursor);
        }
    }

    fn subscription(&self, id: SubscriptionId) -> Option<&Subscription> {
        let index = self.subscriptions.index(id)?;
        Some(self.subscriptions.get(index))
    }

    fn blocked_subscription(&self, id: SubscriptionId) -> Option<&Subscription> {
        let index = self.subscriptions.index(id)?;
        let blocked = self.subscriptions.is_blocked(index);
        blocked.then(|| self.subscriptions.get(index))
    }
}

/// Offers a subscription its backlog until its cursor is at the head (`true`), or the
/// socket accepts less than offered (`false`). One offer, unless there are many slices.
///
/// `usual` is a backlog without excluded spans that was built before. It may also be that of this
/// subscription, and becomes it.
#[inline(always)]
fn offer<'a>(
    log: &'a Log,
    exclusions: &mut Exclusions,
    subscription: &mut Subscription,
    mut usual: Option<&mut Backlog<'a>>,
    mut write: impl FnMut(u64, Backlog<'_>) -> usize,
) -> bool {
    while subscription.cursor() < log.head() {
        let spans = exclusions.of(subscription.slot());
        let backlog = match usual.take().filter(|_| spans.is_empty()) {
            Some(usual) if usual.from() == subscription.cursor() => *usual,
            Some(usual) => {
                *usual = Backlog::new(log, subscription.cursor(), &NO_SPANS);
                *usual
            }
            None => Backlog::new(log, subscription.cursor(), spans),
        };
        let offered = backlog.bytes();
        let written = write(subscription.key(), backlog).min(offered);
        advance(subscription, exclusions, written as u64);
        if written < offered {
            return false;
        }
    }
    true
}

/// Moves a cursor over `bytes` that were written, and over excluded spans behind them.
#[inline(always)]
fn advance(subscription: &mut Subscription, exclusions: &mut Exclusions, bytes: u64) {
    let position = exclusions.step(subscription.slot(), subscription.cursor(), bytes);
    subscription.move_to(position);
}
