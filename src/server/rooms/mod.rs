//! The rooms of one worker: names, logs, subscriptions.
//!
//! Publishing appends to logs. Nothing is written to a socket before the flush at the end of the turn. A room exists on a
//! worker while it has a subscriber there, and so does each of its logs (see [`RoomLogs`]). A room with history exists without
//! subscribers, too (`history.rs`).
//!
//! | file | what is in it |
//! |---|---|
//! | `encoding.rs` | [`Encoding`]: plain, deflate, narrow deflate |
//! | `room_logs.rs`, `log_set.rs` | the logs of one room; sets of logs |
//! | `subscription.rs` | [`Subscription`], [`Subscriptions`]: which rooms a connection is in |
//! | `publication.rs`, `compressor.rs` | a message's frames, each made once |
//! | `owed.rs` | long messages that are compressed in steps |
//! | `history.rs` | [`Histories`]: which rooms keep messages, and how many |
//! | `lag.rs` | which subscriptions are too slow |
//! | `census.rs` | [`RoomCensus`]: the limits of rooms and members |
//! | `waits.rs` | for which of them the publishers of a room wait |
//! | `sent.rs` | what each connection was sent, if that is counted |
//!
//! A subscription's life:
//!
//! ```text
//!   subscribe ──▶ keeps up ──flush: the socket takes less──▶ behind ──writable──▶ keeps up
//!                    │                                         │
//!                    │                       beyond a limit: disconnect, or skip and go on
//!                    └──────────────── unsubscribe ◀───────────┘
//! ```

mod census;
mod compressor;
pub(super) mod encoding;
mod history;
mod lag;
mod log_set;
mod owed;
mod publication;
mod room_logs;
mod sent;
mod subscription;
mod waits;

pub use census::NotJoined;
pub(super) use census::RoomCensus;
pub(super) use history::HistoryRules;
pub(super) use lag::{LagPolicyOf, TooSlow};
pub(super) use log_set::LogId;
pub(super) use publication::{Outcome, PublisherOf, SharedMessage, write_fragment, write_frame};
pub(super) use sent::Sent;
pub(super) use subscription::{Subscription, Subscriptions};

use super::history::{Erasure, Position, Replay, Replayed, RoomHistory};
use super::lag::LagPolicy;
use super::metrics::{CompressionCounts, Lagging, MetricsSnapshot, RoomCounts, RoomLag};
use crate::broadcast::{
    Backlog, ChunkPool, FlushBudget, LogLimits, Remainder, SharedLog, Skipped, SubscriptionId,
};
use crate::reactor::SocketKey;
use crate::time::Timestamp;
use crate::websocket::deflate::{DeflateConfig, WindowBits};
use crate::websocket::{Message, OwnedMessage};
use compressor::Compressor;
use encoding::Encoding;
use history::Histories;
use lag::{LagWatch, LogLag};
use log_set::LogSet;
use owed::OwedMessages;
pub(super) use owed::step_bytes;
use publication::{EncodedFrames, FrameStep, LocalMessage, overwrite_frame};
use room_logs::RoomLogs;
use sent::{Beginnings, SentTable};
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use waits::RoomBackpressure;

/// All rooms of one worker.
pub(super) struct RoomTable {
    /// No room without a log, and no log without a subscription, except the plain log of a room with history.
    by_name: HashMap<Arc<str>, RoomLogs>,
    /// The room that was published to last, as it is in `by_name`: messages of one room mostly come together, and to compare two names
    /// costs a tenth of a look into the table.
    recent: Option<(Arc<str>, RoomLogs)>,
    logs: Vec<Option<EncodedLog>>,
    free: Vec<LogId>,
    /// Logs with something to flush.
    dirty: LogSet,
    /// Bytes of all logs that no flush has offered to all subscriptions.
    unflushed_bytes: u64,
    /// The logs that owe messages, each once: a turn goes on with the first one.
    owing: VecDeque<LogId>,
    /// How many of them had to leave their first message to another worker when they were looked at last.
    claimed: usize,
    /// Bytes of all messages that they owe.
    owed_bytes: u64,
    /// A log with many of them, to which a message was appended.
    overfull: Option<LogId>,
    /// The last one of these, until it is flushed.
    filled: Option<LogId>,
    /// A room with a subscriber for which publishers wait, to which a message was published.
    published_under_backpressure: Option<Arc<str>>,
    lag_watch: LagWatch,
    census: RoomCensus,
    lag_policy_of: LagPolicyOf,
    snapshot: Arc<MetricsSnapshot>,
    compressor: Compressor,
    pools: Pools,
    histories: Histories,
    /// The rooms of the backplane that have got their first subscriber here, or have lost their last one, in this order.
    use_changes: Vec<(Arc<str>, bool)>,
    counts: RoomCounts,
    lagging: Lagging,
    /// What each connection was sent, if that is counted.
    sent: SentTable,
    /// How many subscriptions have begun, or were refused by the application; wraps around.
    joins: usize,
    /// The connections to which no room writes, because a message in fragments is under way.
    held: HashSet<u64>,
}

/// What the rooms of all workers share.
#[derive(Clone, Debug, Default)]
pub(super) struct SharedRooms {
    backpressure: RoomBackpressure,
    census: RoomCensus,
    history: Option<Arc<HistoryRules>>,
}

impl SharedRooms {
    /// `history`: `None` if no room keeps messages.
    pub(super) fn new(census: RoomCensus, history: Option<HistoryRules>) -> SharedRooms {
        SharedRooms {
            backpressure: RoomBackpressure::default(),
            census,
            history: history.map(Arc::new),
        }
    }
}

/// The memory of the logs. A log takes its chunks from one of the pools, and returns them to it.
struct Pools {
    usual: ChunkPool,
    /// Of logs that keep messages, with small chunks: a quiet room holds at least one.
    keeping: ChunkPool,
}

impl Pools {
    fn new() -> Pools {
        Pools {
            usual: ChunkPool::new(LogLimits::default(), IDLE_CHUNKS_MAX),
            keeping: ChunkPool::new(KEEPING_LOG_LIMITS, IDLE_CHUNKS_MAX),
        }
    }

    #[inline(always)]
    fn of(&mut self, keeps: bool) -> &mut ChunkPool {
        match keeps {
            false => &mut self.usual,
            true => &mut self.keeping,
        }
    }
}

/// For what a client waits that has published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum PublisherWait {
    /// The flush of a log of which too much is not written.
    Flush(LogId),
    /// Subscribers of a room that are behind.
    Subscribers(Arc<str>),
}

/// The subscriptions of a room that have one encoding, and their log.
struct EncodedLog {
    name: Arc<str>,
    encoding: Encoding,
    shared: SharedLog,
    lag: LogLag,
    beginnings: Beginnings,
    /// The messages behind those in the log.
    owed: Option<Box<OwedMessages>>,
}

impl EncodedLog {
    /// Bytes that wait for a flush, or before that for the compressor.
    #[inline(always)]
    fn waiting_bytes(&self) -> u64 {
        let owed = self.owed.as_ref().map_or(0, |owed| owed.bytes());
        self.shared.pending_bytes() + owed
    }
}

impl RoomTable {
    pub(super) fn new(
        lag_policy_of: LagPolicyOf,
        shared: SharedRooms,
        snapshot: Arc<MetricsSnapshot>,
        deflate: Option<DeflateConfig>,
    ) -> RoomTable {
        RoomTable {
            by_name: HashMap::new(),
            recent: None,
            logs: Vec::new(),
            free: Vec::new(),
            dirty: LogSet::default(),
            unflushed_bytes: 0,
            owing: VecDeque::new(),
            claimed: 0,
            owed_bytes: 0,
            overfull: None,
            filled: None,
            published_under_backpressure: None,
            lag_watch: LagWatch::new(shared.backpressure),
            census: shared.census,
            lag_policy_of,
            snapshot,
            compressor: Compressor::new(deflate),
            pools: Pools::new(),
            histories: Histories::new(shared.history),
            use_changes: Vec::new(),
            counts: RoomCounts::default(),
            lagging: Lagging::default(),
            sent: SentTable::default(),
            joins: 0,
            held: HashSet::new(),
        }
    }

    /// How many subscriptions have begun, or were refused by the application; wraps around.
    #[inline(always)]
    pub(super) fn joins(&self) -> usize {
        self.joins
    }

    /// A subscription has begun, or the application has refused it.
    pub(super) fn count_join(&mut self) {
        self.joins = self.joins.wrapping_add(1);
    }

    pub(super) fn counts(&self) -> (RoomCounts, CompressionCounts) {
        let rooms = RoomCounts {
            rooms: (self.by_name.len() - self.histories.unused()) as u64,
            lagging: self.lagging,
            ..self.counts
        };
        (rooms, self.compressor.counts())
    }

    /// Published messages so far, each times the number of its subscribers.
    pub(super) fn deliveries(&self) -> u64 {
        self.counts.deliveries
    }

    /// From now on counts what each connection is sent. To be called before the first subscription.
    pub(super) fn count_sent(&mut self, is_on: bool) {
        self.sent = SentTable::new(is_on);
    }

    /// A frame for one client was queued, of so many bytes. `is_last`: the message ends with it.
    #[inline(always)]
    pub(super) fn count_frame(&mut self, key: SocketKey, bytes: usize, is_last: bool) {
        self.counts.sent += u64::from(is_last);
        self.sent.frame(key.index(), bytes, is_last);
    }

    /// Takes what a connection that ends was sent, and the room that it was in.
    pub(super) fn take_sent(&mut self, key: SocketKey) -> (Sent, Option<Arc<str>>) {
        self.sent.take(key.index(), key.to_bits())
    }

    /// All subscriptions of a connection end; this is the first of them.
    pub(super) fn leaves(&mut self, key: SocketKey, first: Subscription) {
        if let Some(log) = log_of(&self.logs, first.log) {
            self.sent.left(key.to_bits(), &log.name);
        }
    }
}

// Subscribing.
impl RoomTable {
    /// Subscribes the connection to a room, unless it is subscribed. `window`: for compressed messages, if it was agreed on.
    ///
    /// # Errors
    /// A limit of rooms is reached. Nothing has changed.
    pub(super) fn subscribe(
        &mut self,
        name: &str,
        key: SocketKey,
        window: Option<WindowBits>,
        subscriptions: &mut Subscriptions,
    ) -> Result<(), NotJoined> {
        if self.subscription_in(name, subscriptions).is_some() {
            return Ok(());
        }
        let log = self.enter(name, window, subscriptions)?;
        if self.histories.contains(name) {
            // It begins at a place that the application may know.
            self.settle(log);
        }
        self.add_subscription(log, key, 0, subscriptions);
        self.subscribers_changed(name);
        Ok(())
    }

    /// A connection comes into a room. Returns the log of its encoding.
    fn enter(
        &mut self,
        name: &str,
        window: Option<WindowBits>,
        subscriptions: &Subscriptions,
    ) -> Result<LogId, NotJoined> {
        // A join that is refused counts, too.
        self.count_join();
        self.census.enter(name, subscriptions.as_slice().len())?;
        Ok(self.log_or_new(name, self.compressor.encoding(window)))
    }

    /// Subscribes a connection to a log, beginning with the newest `past` messages of it.
    fn add_subscription(
        &mut self,
        log: LogId,
        key: SocketKey,
        past: u64,
        subscriptions: &mut Subscriptions,
    ) {
        let Some(subscribed) = log_mut(&mut self.logs, log) else {
            return;
        };
        let begin = match past {
            0 => subscribed.shared.log().head(),
            past => subscribed.shared.log().start_of_last(past),
        };
        let id = subscribed.shared.subscribe_from(key.to_bits(), begin);
        let subscription = Subscription { log, id };
        subscriptions.add(subscription);
        self.counts.subscriptions += 1;
        self.counts.deliveries += past;
        let past = Sent {
            messages: past,
            bytes: subscribed.shared.log().head() - begin,
        };
        let (shared, beginnings) = (&subscribed.shared, &mut subscribed.beginnings);
        self.sent.subscribed(subscription, past, shared, beginnings);
        if subscribed.shared.has_catch_ups() {
            self.dirty.insert(log);
        }
        if self.histories.is_on() {
            let name = subscribed.name.clone();
            if self.histories.set_used(&name, true) {
                self.use_changes.push((name, true));
            }
        }
    }

    /// Ends a subscription. Messages that are not written are not delivered. The rest of a message that is partly written is
    /// returned: the caller writes it before anything else.
    #[must_use = "a message that is partly written has to be finished"]
    pub(super) fn unsubscribe(&mut self, subscription: Subscription) -> Option<Remainder> {
        let log = log_mut(&mut self.logs, subscription.log)?;
        let pool = self.pools.of(log.shared.keeps());
        let missed = log.shared.skip_to_end(subscription.id, pool);
        self.counts.abandoned += missed.records;
        self.counts.subscriptions -= 1;
        if let Some(key) = log.shared.key(subscription.id) {
            let (index, missed) = (SocketKey::from_bits(key).index(), Sent::from(&missed));
            let (shared, beginnings) = (&log.shared, &mut log.beginnings);
            self.sent
                .unsubscribed(index, subscription, missed, shared, beginnings);
        }
        log.shared.unsubscribe(subscription.id, pool);
        log.lag.unsubscribed(subscription.id);
        if let Some(owed) = &mut log.owed {
            owed.forget(subscription.id);
        }
        let (name, is_empty) = (log.name.clone(), log.shared.is_empty());
        self.census.leave(&name);
        self.subscribers_changed(&name);
        if is_empty {
            match self.histories.contains(&name) {
                true => self.end_use(subscription.log, &name),
                false => self.remove_log(subscription.log),
            }
        }
        missed.remainder
    }

    /// Which of these subscriptions is in the room.
    pub(super) fn subscription_in(
        &self,
        name: &str,
        subscriptions: &Subscriptions,
    ) -> Option<Subscription> {
        let logs = self.by_name.get(name)?;
        subscriptions
            .as_slice()
            .iter()
            .find(|subscription| logs.contains(subscription.log))
            .copied()
    }

    fn log_or_new(&mut self, name: &str, encoding: Encoding) -> LogId {
        let room = self.by_name.get_key_value(name);
        if let Some(log) = room.and_then(|(_, logs)| logs.get(encoding)) {
            return log;
        }
        if self.histories.is_on() && self.begin_history(name) {
            return self.log_of_history(name, encoding);
        }
        self.new_log(name, encoding, false)
    }

    fn new_log(&mut self, name: &str, encoding: Encoding, keeps: bool) -> LogId {
        let room = self.by_name.get_key_value(name);
        let (name, mut logs) = match room {
            Some((name, logs)) => (name.clone(), *logs),
            None => (name.into(), RoomLogs::NONE),
        };
        let lag = LogLag::new(self.lag_policy(&name, logs));
        let id = self.free.pop().unwrap_or_else(|| {
            self.logs.push(None);
            LogId::new(self.logs.len() - 1)
        });
        self.logs[id.index()] = Some(EncodedLog {
            name: name.clone(),
            encoding,
            shared: match keeps {
                false => SharedLog::new(),
                true => SharedLog::keeping(),
            },
            lag,
            beginnings: Beginnings::default(),
            owed: None,
        });
        logs.add(encoding, id);
        self.recent = None;
        self.by_name.insert(name, logs);
        id
    }

    /// The room's lag policy. The handler is asked when the room gets its first log.
    fn lag_policy(&self, name: &str, logs: RoomLogs) -> LagPolicy {
        let first = logs.iter().next();
        let first = first.and_then(|(_, log)| log_of(&self.logs, log));
        first.map_or_else(|| (self.lag_policy_of)(name), |log| log.lag.policy())
    }

    fn remove_log(&mut self, id: LogId) {
        let Some(log) = self.logs[id.index()].take() else {
            return;
        };
        self.recent = None;
        if let Some(logs) = self.by_name.get_mut(&log.name) {
            logs.remove(log.encoding);
            if logs.is_empty() {
                self.by_name.remove(&log.name);
            }
        }
        self.dirty.remove(id);
        self.unflushed_bytes -= log.shared.pending_bytes();
        if let Some(owed) = &log.owed {
            self.owed_bytes -= owed.bytes();
            self.owing.retain(|owing| *owing != id);
        }
        self.lag_watch.forget(id, &log.name, &log.lag);
        if log.lag.is_watched() {
            self.publish_room_lag(&log.name);
        }
        let pool = self.pools.of(log.shared.keeps());
        log.shared.dissolve(pool);
        self.free.push(id);
    }
}

// History.
impl RoomTable {
    /// Subscribes the connection to a room, beginning in its past. `head`: the place behind the last message that the room's owner has
    /// put in order; `None`: the room has no history.
    ///
    /// # Errors
    /// It is subscribed already, or a limit of rooms is reached. Nothing has changed.
    pub(super) fn subscribe_from(
        &mut self,
        name: &str,
        replay: Replay,
        head: Option<Position>,
        key: SocketKey,
        window: Option<WindowBits>,
        subscriptions: &mut Subscriptions,
    ) -> Result<Replayed, NotJoined> {
        if self.subscription_in(name, subscriptions).is_some() {
            return Err(NotJoined::AlreadyJoined);
        }
        let log = self.enter(name, window, subscriptions)?;
        if let (Some(head), Some(of_log)) = (head, log_of(&self.logs, log)) {
            self.histories.set_head(name, head, of_log.shared.log());
        }
        let replayed = self.histories.replay(name, replay);
        let mut owed = self.owed_messages(log);
        // It begins behind one of them.
        if owed > replayed.messages {
            self.settle(log);
            owed = 0;
        }
        self.add_subscription(log, key, replayed.messages - owed, subscriptions);
        self.counts.deliveries += owed;
        self.subscribers_changed(name);
        Ok(replayed)
    }

    /// On the room's owner: the place behind the last message. `None`: the room has no history.
    pub(super) fn history_head(&mut self, name: &str) -> Option<Position> {
        if !self.histories.is_on() || !self.begin_history(name) {
            return None;
        }
        self.forget_unused();
        self.histories.head(name)
    }

    /// On the room's owner: the message with its place in the room's history, if the room has one.
    #[inline]
    pub(super) fn number(&mut self, message: &SharedMessage) -> Option<SharedMessage> {
        if !self.histories.is_on() || !self.begin_history(message.room()) {
            return None;
        }
        let position = self.histories.next_position(message.room())?;
        Some(self.number_at(message, position))
    }

    /// On the room's owner: the message with this place in the room's history.
    fn number_at(&self, message: &SharedMessage, position: Position) -> SharedMessage {
        let (room, content) = (message.room(), message.content());
        let numbered = content.and_then(|content| self.histories.numbered(room, position, content));
        let erasure = content.and_then(|content| self.histories.erases(room, content));
        message.numbered(position, numbered).erasing(erasure)
    }

    /// On the room's owner: which earlier message this one takes out of the history.
    pub(super) fn erasure_of(&self, message: &SharedMessage) -> Option<Erasure> {
        self.histories.erases(message.room(), message.content()?)
    }

    /// Takes the text of a message out of all logs of its room. It keeps its offset.
    fn erase(&mut self, name: &str, erasure: &Erasure) {
        let Some(behind) = self.histories.kept_behind(name, erasure.position) else {
            return;
        };
        self.settle_room(name);
        let Some((name, &logs)) = self.by_name.get_key_value(name) else {
            return;
        };
        let name = name.clone();
        let instead = Message::Text(&erasure.instead);
        let numbered = self.histories.numbered(&name, erasure.position, instead);
        let text = match &numbered {
            Some(OwnedMessage::Text(text)) => text,
            _ => &erasure.instead,
        };
        let mut is_erased = true;
        for (_, id) in logs.iter() {
            if let Some(log) = log_mut(&mut self.logs, id) {
                is_erased &= log
                    .shared
                    .overwrite(behind, |frame| overwrite_frame(text, frame));
            }
        }
        if is_erased {
            return;
        }
        let plain = logs.get(Encoding::Plain);
        if let Some(plain) = plain.and_then(|plain| log_of(&self.logs, plain)) {
            let log = plain.shared.log();
            let kept = self.histories.forget_before(&name, behind, log);
            self.keep_messages(logs, kept);
        }
    }

    /// The room has a history from now on, if it is to have one. False: it is not.
    fn begin_history(&mut self, name: &str) -> bool {
        if self.histories.contains(name) {
            return true;
        }
        let Some(limits) = self.histories.limits_of(name) else {
            return false;
        };
        self.begin_history_with(name, limits);
        true
    }

    #[cold]
    fn begin_history_with(&mut self, name: &str, limits: RoomHistory) {
        let log = self.new_log(name, Encoding::Plain, limits.keeps());
        if let Some(log) = log_of(&self.logs, log) {
            self.histories.begin(&log.name, limits);
        }
    }

    /// The log of a room with history. A new one gets the messages that the room keeps.
    fn log_of_history(&mut self, name: &str, encoding: Encoding) -> LogId {
        let logs = self.by_name.get(name).copied().unwrap_or(RoomLogs::NONE);
        if let Some(log) = logs.get(encoding) {
            return log;
        }
        let kept = self.histories.kept(name);
        let new = self.new_log(name, encoding, self.histories.keeps(name));
        let plain = logs.get(Encoding::Plain);
        let plain = plain.and_then(|plain| {
            self.logs
                .get_mut(plain.index())?
                .take()
                .map(|log| (plain, log))
        });
        if let Some((id, mut log)) = plain {
            if let Some(new) = log_mut(&mut self.logs, new) {
                new.shared
                    .fill_from(&mut log.shared, kept, self.pools.of(true));
            }
            self.logs[id.index()] = Some(log);
        }
        new
    }

    /// A message was appended to all logs of a room with history.
    fn keep(&mut self, name: &str, position: Position) {
        if self.histories.pass(name, position) {
            return self.forget_unused();
        }
        let Some((name, &logs)) = self.by_name.get_key_value(name) else {
            return;
        };
        let name = name.clone();
        let plain = logs.get(Encoding::Plain);
        let Some(plain) = plain.and_then(|plain| log_of(&self.logs, plain)) else {
            return;
        };
        let kept = self.histories.append(&name, position, plain.shared.log());
        self.keep_messages(logs, kept);
        while let Some(room) = self.histories.take_beyond_bytes() {
            let logs = self.by_name.get(&room).copied().unwrap_or(RoomLogs::NONE);
            self.keep_messages(logs, 0);
        }
        self.forget_unused();
    }

    /// Drops histories of at least so many bytes, if there are so many. Returns how many were dropped.
    pub(super) fn drop_histories(&mut self, bytes: usize) -> usize {
        let mut dropped = 0;
        while dropped < bytes {
            let Some((room, kept_bytes)) = self.histories.take_oldest() else {
                break;
            };
            let logs = self.by_name.get(&room).copied().unwrap_or(RoomLogs::NONE);
            self.keep_messages(logs, 0);
            dropped = dropped.saturating_add(usize::try_from(kept_bytes).unwrap_or(usize::MAX));
        }
        dropped
    }

    /// The logs of a room keep their newest `messages` messages.
    fn keep_messages(&mut self, logs: RoomLogs, messages: u64) {
        for (_, id) in logs.iter() {
            let log = log_mut(&mut self.logs, id);
            if let Some(log) = log.filter(|log| log.shared.keeps()) {
                let from = log.shared.log().start_of_last(messages);
                log.shared.keep_from(from, self.pools.of(true));
            }
        }
    }

    /// A log of a room with history has lost its last subscriber.
    fn end_use(&mut self, id: LogId, name: &Arc<str>) {
        let logs = self.by_name.get(name).copied().unwrap_or(RoomLogs::NONE);
        let is_plain = logs.get(Encoding::Plain) == Some(id);
        if !is_plain {
            self.remove_log(id);
        }
        let is_used = |(_, id)| log_of(&self.logs, id).is_some_and(|log| !log.shared.is_empty());
        if !logs.iter().any(is_used) {
            if self.histories.set_used(name, false) {
                self.use_changes.push((name.clone(), false));
            }
            self.forget_unused();
        }
    }

    /// Forgets rooms without subscribers that are too many.
    fn forget_unused(&mut self) {
        while let Some(room) = self.histories.take_beyond_rooms() {
            let logs = self.by_name.get(&room).copied().unwrap_or(RoomLogs::NONE);
            for (_, log) in logs.iter() {
                self.remove_log(log);
            }
        }
    }

    /// Drops messages that are too old.
    fn drop_old(&mut self, now: Timestamp) {
        while let Some(name) = self.histories.take_due(now) {
            let logs = self.by_name.get(&name).copied().unwrap_or(RoomLogs::NONE);
            let plain = logs.get(Encoding::Plain);
            let Some(plain) = plain.and_then(|plain| log_of(&self.logs, plain)) else {
                continue;
            };
            let kept = self.histories.drop_old(&name, plain.shared.log(), now);
            self.keep_messages(logs, kept);
        }
    }
}

// Rooms of the backplane.
impl RoomTable {
    /// Whether a room is one of the backplane.
    pub(super) fn is_shared(&self, name: &str) -> bool {
        self.histories.is_shared(name)
    }

    /// How much of its messages a room of the backplane keeps. `None`: nothing.
    pub(super) fn kept_by_backplane(&self, name: &str) -> Option<RoomHistory> {
        self.histories.asked_limits_of(name)
    }

    /// Takes the rooms that have got their first subscriber here (`true`), or have lost their last one, in this order.
    pub(super) fn take_use_changes(&mut self) -> Vec<(Arc<str>, bool)> {
        std::mem::take(&mut self.use_changes)
    }

    /// Whether there are some.
    pub(super) fn has_use_changes(&self) -> bool {
        !self.use_changes.is_empty()
    }

    /// On the room's owner: a message of the backplane as subscribers get it.
    pub(super) fn number_shared(&self, message: SharedMessage) -> SharedMessage {
        let (room, position, content) = (message.room(), message.position(), message.content());
        let (Some(position), Some(content)) = (position, content) else {
            return message;
        };
        let numbered = self.histories.numbered(room, position, content);
        let erasure = self.histories.erases(room, content);
        match (&numbered, &erasure) {
            (None, None) => message,
            _ => message.numbered(position, numbered).erasing(erasure),
        }
    }

    /// A room begins with these messages of its past, the last of which is in front of `head`. Its subscribers do not get them.
    pub(super) fn load(&mut self, name: &str, head: Position, messages: &[SharedMessage]) {
        let first = messages.first().and_then(SharedMessage::position);
        let before = first.map_or(head, |first| {
            Position::new(first.epoch(), first.offset().saturating_sub(1))
        });
        if !self.restart(name, before) {
            return;
        }
        let deliveries = self.counts.deliveries;
        for message in messages {
            self.append_shared(message, None);
        }
        self.settle_room(name);
        self.counts.deliveries = deliveries;
        self.skip_all(name);
        self.forget_unused();
    }

    /// Messages of a room are missing in front of this place. `notice`: what the room's subscribers get instead of them.
    pub(super) fn interrupt(
        &mut self,
        name: &str,
        position: Position,
        notice: Option<&SharedMessage>,
    ) {
        if let Some(notice) = notice {
            self.append(name, notice, None);
        }
        self.restart(name, position);
    }

    /// The room keeps nothing from before this place. False: it has no history.
    fn restart(&mut self, name: &str, position: Position) -> bool {
        if !self.begin_history(name) {
            return false;
        }
        self.settle_room(name);
        let Some((name, &logs)) = self.by_name.get_key_value(name) else {
            return false;
        };
        let plain = logs.get(Encoding::Plain);
        if let Some(plain) = plain.and_then(|plain| log_of(&self.logs, plain)) {
            self.histories.restart(name, position, plain.shared.log());
        }
        self.keep_messages(logs, 0);
        true
    }

    /// All subscriptions of a room are at the end of their logs.
    fn skip_all(&mut self, name: &str) {
        let logs = self.by_name.get(name).copied().unwrap_or(RoomLogs::NONE);
        for (_, id) in logs.iter() {
            let Some(log) = log_mut(&mut self.logs, id) else {
                continue;
            };
            let pool = self.pools.of(log.shared.keeps());
            for subscription in log.shared.ids() {
                // A subscription of a room that begins has been offered nothing, so nothing is partly written.
                let skipped = log.shared.skip_to_end(subscription, pool);
                let subscription = Subscription {
                    log: id,
                    id: subscription,
                };
                self.sent
                    .excepted(subscription, Sent::from(&skipped), &mut log.beginnings);
            }
            log.lag.changed(id, &mut self.lag_watch);
        }
    }

    /// The connections of this worker that subscribe to a room.
    pub(super) fn subscribers_of(&self, name: &str) -> Vec<SocketKey> {
        let logs = self.by_name.get(name).copied().unwrap_or(RoomLogs::NONE);
        let logs = logs.iter().filter_map(|(_, id)| log_of(&self.logs, id));
        let keys = logs.flat_map(|log| log.shared.keys());
        keys.map(SocketKey::from_bits).collect()
    }

    /// Bytes of all messages that the rooms with history keep.
    pub(super) fn kept_bytes(&self) -> usize {
        usize::try_from(self.histories.bytes()).unwrap_or(usize::MAX)
    }
}

// Publishing.
impl RoomTable {
    /// Appends a message where there is one worker.
    pub(super) fn append_local(
        &mut self,
        name: &str,
        message: Message<'_>,
        except: Option<Subscription>,
    ) {
        if self.histories.is_on() && self.begin_history(name) {
            return self.append_numbered(name, message, except);
        }
        self.append(name, LocalMessage::new(message), except);
    }

    /// Appends a message to a room with history, where there is one worker.
    fn append_numbered(&mut self, name: &str, message: Message<'_>, except: Option<Subscription>) {
        let Some(position) = self.histories.next_position(name) else {
            return;
        };
        let erasure = self.histories.erases(name, message);
        let numbered = self.histories.numbered(name, position, message);
        let message = numbered.as_ref().map_or(message, OwnedMessage::as_message);
        self.append(name, LocalMessage::new(message), except);
        self.keep(name, position);
        if let Some(erasure) = erasure {
            self.erase(name, &erasure);
        }
    }

    /// Appends a message that the room's owner has put in order.
    pub(super) fn append_shared(&mut self, message: &SharedMessage, except: Option<Subscription>) {
        let before = self.counts.deliveries;
        // Most rooms of the backplane keep nothing here: they are looked up once.
        let mut position = message.position();
        if position.is_some_and(|position| self.histories.pass(message.room(), position)) {
            position = None;
        }
        let is_kept = position.is_some() && self.begin_history(message.room());
        self.append(message.room(), message, except);
        message.count_reached(self.counts.deliveries.wrapping_sub(before));
        if let Some(position) = position.filter(|_| is_kept) {
            self.keep(message.room(), position);
            if let Some(erasure) = message.erases() {
                self.erase(message.room(), erasure);
            }
        }
    }

    /// The place behind the last message of a room. `None`: it has no history.
    pub(super) fn position(&self, name: &str) -> Option<Position> {
        self.histories.head(name)
    }

    /// How many connections subscribe to a room, on all workers; `None`: they are not counted.
    pub(super) fn members(&self, name: &str) -> Option<usize> {
        self.census.members(name)
    }

    /// Appends a message to each of the room's logs, in the log's encoding.
    fn append(&mut self, name: &str, mut frames: impl EncodedFrames, except: Option<Subscription>) {
        let logs = match &self.recent {
            Some((recent, logs)) if **recent == *name => *logs,
            _ => {
                let Some((name, &logs)) = self.by_name.get_key_value(name) else {
                    return;
                };
                self.recent = Some((name.clone(), logs));
                logs
            }
        };
        for (encoding, id) in logs.iter() {
            let Some(log) = log_of(&self.logs, id) else {
                continue;
            };
            let except = except.filter(|subscription| subscription.log == id);
            self.counts.deliveries += receivers(&log.shared, except);
            let except = except.map(|subscription| subscription.id);
            match log.owed.is_some() || frames.is_divided(encoding, &self.compressor) {
                true => self.owe(id, frames.to_shared(name), except),
                false => self.append_to(id, &mut frames, except),
            }
        }
    }

    /// Appends a message to one log.
    #[inline(always)]
    fn append_to(
        &mut self,
        id: LogId,
        frames: &mut impl EncodedFrames,
        except: Option<SubscriptionId>,
    ) {
        let Some(log) = log_mut(&mut self.logs, id) else {
            return;
        };
        self.dirty.insert(id);
        let before = log.shared.log().head();
        let pool = self.pools.of(log.shared.keeps());
        frames
            .frame(log.encoding, &mut self.compressor)
            .append(&mut log.shared, except, pool);
        let bytes = log.shared.log().head() - before;
        self.unflushed_bytes += bytes;
        if let Some(subscription) = except {
            let messages = 1;
            let subscription = Subscription {
                log: id,
                id: subscription,
            };
            self.sent
                .excepted(subscription, Sent { messages, bytes }, &mut log.beginnings);
        }
        if log.waiting_bytes() >= LOG_UNFLUSHED_BYTES_MAX {
            self.overfull = Some(id);
            self.filled = Some(id);
        }
    }

    /// A log gets a message later: when it is compressed, and those in front of it.
    #[cold]
    fn owe(&mut self, id: LogId, message: SharedMessage, except: Option<SubscriptionId>) {
        let Some(log) = log_mut(&mut self.logs, id) else {
            return;
        };
        let owed = log.owed.get_or_insert_with(|| {
            self.owing.push_back(id);
            Box::default()
        });
        self.owed_bytes += owed.push(message, except);
        if log.waiting_bytes() >= LOG_UNFLUSHED_BYTES_MAX {
            self.overfull = Some(id);
            self.filled = Some(id);
        }
    }

    /// Whether logs owe messages.
    pub(super) fn owes_messages(&self) -> bool {
        !self.owing.is_empty()
    }

    /// Whether the next turn can go on with them. If not, other workers compress the messages that are next.
    pub(super) fn can_go_on(&self) -> bool {
        self.claimed < self.owing.len()
    }

    /// Compresses so many bytes of the messages that logs owe, and appends those that are ready. True: other workers may wait for one
    /// of them.
    pub(super) fn compress_owed(&mut self, bytes_max: usize) -> bool {
        let (mut left_bytes, mut has_appended) = (bytes_max, false);
        self.claimed = 0;
        while left_bytes > 0
            && self.can_go_on()
            && let Some(&id) = self.owing.front()
        {
            let step = self.compress_first(id, left_bytes);
            if step != FrameStep::IsClaimed {
                self.claimed = 0;
            }
            let bytes = match step {
                FrameStep::Compressed(bytes) => bytes,
                FrameStep::IsReady => {
                    has_appended = true;
                    // The next log is served in between.
                    self.owing.rotate_left(1);
                    self.append_owed(id)
                }
                FrameStep::IsClaimed => {
                    self.owing.rotate_left(1);
                    self.claimed += 1;
                    0
                }
            };
            left_bytes = left_bytes.saturating_sub(bytes);
        }
        has_appended
    }

    /// Compresses a step of the first message that a log owes.
    fn compress_first(&mut self, id: LogId, bytes_max: usize) -> FrameStep {
        let log = log_mut(&mut self.logs, id);
        let owed = log.and_then(|log| Some((log.encoding, log.owed.as_deref_mut()?)));
        owed.map_or(FrameStep::IsReady, |(encoding, owed)| {
            owed.step(encoding, &mut self.compressor, bytes_max)
        })
    }

    /// Appends the first message that a log owes. Returns its bytes.
    fn append_owed(&mut self, id: LogId) -> usize {
        let Some(log) = log_mut(&mut self.logs, id) else {
            return 0;
        };
        let Some(first) = log.owed.as_mut().and_then(|owed| owed.pop()) else {
            self.owing.retain(|owing| *owing != id);
            return 0;
        };
        let bytes = first.message.bytes();
        self.owed_bytes -= bytes as u64;
        if log.owed.take_if(|owed| owed.is_empty()).is_some() {
            self.owing.retain(|owing| *owing != id);
        }
        self.append_to(id, &mut &first.message, first.except);
        bytes
    }

    /// How many messages a log owes.
    fn owed_messages(&self, id: LogId) -> u64 {
        let owed = log_of(&self.logs, id).and_then(|log| log.owed.as_ref());
        owed.map_or(0, |owed| owed.messages())
    }

    /// A log gets all messages that it owes, now. Of the first one the rest is compressed.
    fn settle(&mut self, id: LogId) {
        while log_of(&self.logs, id).is_some_and(|log| log.owed.is_some()) {
            self.compress_first(id, usize::MAX);
            self.append_owed(id);
        }
    }

    /// The same for all logs of a room.
    fn settle_room(&mut self, name: &str) {
        if self.owes_messages() {
            let logs = self.by_name.get(name).copied().unwrap_or(RoomLogs::NONE);
            logs.iter().for_each(|(_, id)| self.settle(id));
        }
    }

    /// The same for the logs of these subscriptions: the last messages of a connection are to be written.
    pub(super) fn settle_all(&mut self, subscriptions: &Subscriptions) {
        if self.owes_messages() {
            for subscription in subscriptions.as_slice() {
                self.settle(subscription.log);
            }
        }
    }

    /// Whether a message of this length is compressed in any encoding.
    pub(super) fn is_compressible(&self, message_bytes: usize) -> bool {
        self.compressor.is_compressible(message_bytes)
    }

    /// Bytes that this worker has compressed, also those that did not get shorter; wraps around.
    #[inline(always)]
    pub(super) fn compressed_bytes(&self) -> usize {
        self.compressor.compressed_bytes()
    }

    /// Compresses a message for one client, if that was agreed on and makes it shorter.
    pub(super) fn compress_for(
        &mut self,
        window: Option<WindowBits>,
        message: Message<'_>,
    ) -> Option<&[u8]> {
        self.compressor.compress_for(window, message)
    }
}

// Writing.
impl RoomTable {
    /// Whether a log has something to flush.
    pub(super) fn is_dirty(&self) -> bool {
        !self.dirty.is_empty()
    }

    /// Whether the logs are to be flushed before more is read: a turn reads from every client, and the number of messages
    /// from each is not limited.
    #[inline(always)]
    pub(super) fn must_flush(&self) -> bool {
        self.overfull.is_some() || self.must_flush_all()
    }

    /// Whether all logs are to be flushed, however long that takes.
    #[inline(always)]
    pub(super) fn must_flush_all(&self) -> bool {
        self.unflushed_bytes >= UNFLUSHED_BYTES_MAX
    }

    /// Whether messages of other workers can be appended: no log has too much to flush.
    pub(super) fn takes_messages(&mut self) -> bool {
        let filled = self.filled.map(PublisherWait::Flush);
        if !filled.is_some_and(|wait| self.must_wait(&wait)) {
            self.filled = None;
        }
        self.filled.is_none() && !self.must_flush_all()
    }

    /// A client of this worker has published to a room.
    #[inline]
    pub(super) fn published(&mut self, room: &str) {
        if let Some(room) = self.lag_watch.backpressure().on(room) {
            self.published_under_backpressure = Some(room);
        }
    }

    /// Whether a client has published something for which it may have to wait.
    #[inline(always)]
    pub(super) fn publisher_may_wait(&self) -> bool {
        self.overfull.is_some() || self.published_under_backpressure.is_some()
    }

    /// A client is about to be received: what others have published is not its matter.
    #[inline(always)]
    pub(super) fn forget_publications(&mut self) {
        self.overfull = None;
        self.published_under_backpressure = None;
    }

    /// What the client has to wait for that has published, if there is anything.
    pub(super) fn take_publisher_wait(&mut self) -> Option<PublisherWait> {
        let overfull = self.overfull.take().map(PublisherWait::Flush);
        let room = self.published_under_backpressure.take();
        let slow = room.map(PublisherWait::Subscribers);
        let mut waits = overfull.into_iter().chain(slow);
        waits.find(|wait| self.must_wait(wait))
    }

    /// Whether a client still has to wait.
    pub(super) fn must_wait(&self, wait: &PublisherWait) -> bool {
        let overfull = |log: &EncodedLog| log.waiting_bytes() >= LOG_UNFLUSHED_BYTES_MAX;
        match wait {
            PublisherWait::Flush(log) => log_of(&self.logs, *log).is_some_and(overfull),
            PublisherWait::Subscribers(room) => self.lag_watch.backpressure().on(room).is_some(),
        }
    }

    /// How often the publishers of a room could go on, on any worker; wraps around.
    pub(super) fn backpressure_ends(&self) -> usize {
        self.lag_watch.backpressure().ends()
    }

    /// Bytes of all logs that no flush has offered to all subscriptions, and of the messages that they owe.
    pub(super) fn unflushed_bytes(&self) -> u64 {
        self.unflushed_bytes + self.owed_bytes
    }

    /// Whether one of these subscriptions is in a log that is not flushed. Of a connection in many rooms, the first 16 are looked at.
    pub(super) fn writes_to(&self, subscriptions: &Subscriptions) -> bool {
        let first = subscriptions.as_slice().iter().take(16);
        let mut logs = first.filter_map(|subscription| log_of(&self.logs, subscription.log));
        logs.any(|log| log.shared.pending_bytes() > 0)
    }

    /// Takes the logs with something to flush, the one that has waited longest first. The caller flushes each of them, and gives back
    /// those that are not finished.
    pub(super) fn take_dirty(&mut self) -> Vec<LogId> {
        self.dirty.take()
    }

    /// The log has something to flush, because the last flush was not finished.
    pub(super) fn still_dirty(&mut self, log: LogId) {
        if log_of(&self.logs, log).is_some() {
            self.dirty.insert(log);
        }
    }

    /// Takes back the vector that [`RoomTable::take_dirty`] returned, to use its memory again.
    pub(super) fn reuse_dirty(&mut self, logs: Vec<LogId>) {
        self.dirty.reuse(logs);
    }

    /// Offers each subscription of a log that keeps up all that is new to it, until the budget is used up. `write` returns how many
    /// bytes it took. False: the log has more to flush.
    ///
    /// Inlined, as everything between two system calls is (the reason is in `reactor/calls.rs`).
    #[inline(always)]
    pub(super) fn flush(
        &mut self,
        id: LogId,
        now: Timestamp,
        budget: &mut FlushBudget,
        write: impl FnMut(u64, Backlog<'_>) -> usize,
    ) -> bool {
        let Some(log) = log_mut(&mut self.logs, id) else {
            return true;
        };
        let before = log.shared.pending_bytes();
        let write = unless_held(&self.held, write);
        let pool = self.pools.of(log.shared.keeps());
        let finished = log.shared.flush_within(pool, budget, write);
        self.unflushed_bytes -= before - log.shared.pending_bytes();
        if !log.shared.keeps() {
            log.lag.flushed(id, &log.shared, now, &mut self.lag_watch);
        }
        finished
    }

    /// Whether the log keeps messages: then [`RoomTable::catch_up`] follows each flush.
    #[inline(always)]
    pub(super) fn keeps(&self, id: LogId) -> bool {
        log_of(&self.logs, id).is_some_and(|log| log.shared.keeps())
    }

    /// The second part of the [flush](RoomTable::flush) of a log that keeps messages: offers messages of the past to the subscriptions that
    /// have not got them yet. False: there are more.
    ///
    /// `write` is another closure than that of the flush: a closure that is called in two places is not inlined.
    #[inline(never)]
    pub(super) fn catch_up(
        &mut self,
        id: LogId,
        now: Timestamp,
        budget: &mut FlushBudget,
        write: impl FnMut(u64, Backlog<'_>) -> usize,
    ) -> bool {
        let Some(log) = log_mut(&mut self.logs, id) else {
            return true;
        };
        let pool = self.pools.of(true);
        let finished = log
            .shared
            .catch_up(pool, budget, unless_held(&self.held, write));
        if log.encoding == Encoding::Plain {
            let head = log.shared.log().head();
            self.histories.flushed(&log.name, head, now);
        }
        log.lag.flushed(id, &log.shared, now, &mut self.lag_watch);
        finished
    }

    /// Offers one subscription all that it has not got, because its socket takes more.
    pub(super) fn flush_one(
        &mut self,
        subscription: Subscription,
        write: impl FnMut(u64, Backlog<'_>) -> usize,
    ) {
        if let Some(log) = log_mut(&mut self.logs, subscription.log) {
            log.lag.changed(subscription.log, &mut self.lag_watch);
            let write = unless_held(&self.held, write);
            let pool = self.pools.of(log.shared.keeps());
            log.shared.flush_one(subscription.id, pool, write);
        }
    }

    /// Writes no messages of rooms to this connection until [`RoomTable::release`]; the rest of a message that is partly written
    /// is not held. The subscriptions fall behind meanwhile, as those of a slow client do.
    pub(super) fn hold(&mut self, key: SocketKey) {
        self.held.insert(key.to_bits());
    }

    /// The rooms write to the connection again. The caller flushes its subscriptions.
    pub(super) fn release(&mut self, key: SocketKey) {
        self.held.remove(&key.to_bits());
    }

    /// Offers one subscription the rest of the message that is partly written to it. True: nothing is partly written now.
    pub(super) fn finish_message(
        &mut self,
        subscription: Subscription,
        write: impl FnOnce(u64, &[u8]) -> usize,
    ) -> bool {
        let Some(log) = log_mut(&mut self.logs, subscription.log) else {
            return true;
        };
        log.lag.changed(subscription.log, &mut self.lag_watch);
        let pool = self.pools.of(log.shared.keeps());
        log.shared.finish_record(subscription.id, pool, write)
    }
}

// Lag.
impl RoomTable {
    /// When the first subscription will be too old, the publishers will have waited long enough for one, or a kept message will be
    /// too old.
    pub(super) fn next_due(&self) -> Option<Timestamp> {
        let dues = [self.lag_watch.next_due(), self.histories.next_due()];
        dues.into_iter().flatten().min()
    }

    /// Takes the logs in which a subscription may be too old by now, or the publishers may have waited long enough for one. Drops
    /// the kept messages that are too old.
    pub(super) fn take_due(&mut self, now: Timestamp) -> Vec<LogId> {
        self.drop_old(now);
        let mut taken = Vec::new();
        while let Some(id) = self.lag_watch.take_due(now) {
            if let Some(log) = log_mut(&mut self.logs, id) {
                log.lag.due_taken();
            }
            taken.push(id);
        }
        taken
    }

    /// Adds the subscriptions of a log that are beyond a limit of the room's policy.
    pub(super) fn find_too_slow(&mut self, id: LogId, now: Timestamp, found: &mut Vec<TooSlow>) {
        if let Some(log) = log_mut(&mut self.logs, id) {
            let watch = &mut self.lag_watch;
            log.lag.update_waits(id, &log.name, &log.shared, now, watch);
            log.lag.find_too_slow(id, &log.shared, now, watch, found);
        }
    }

    /// Finds the subscriptions again for which publishers wait, in the logs where that may have changed. True: the publishers of
    /// a room may go on, also those on other workers.
    pub(super) fn update_waits(&mut self, now: Timestamp) -> bool {
        let changed = self.lag_watch.take_waits_changed();
        for &id in &changed {
            if let Some(log) = log_mut(&mut self.logs, id) {
                let watch = &mut self.lag_watch;
                log.lag.update_waits(id, &log.name, &log.shared, now, watch);
            }
        }
        self.lag_watch.reuse_waits_changed(changed);
        self.lag_watch.take_backpressure_ended()
    }

    /// Skips the messages that wait for a subscription, all or, with `keep_latest`, all but the newest.
    pub(super) fn skip(&mut self, subscription: Subscription, keep_latest: bool) -> Skipped {
        let Some(log) = log_mut(&mut self.logs, subscription.log) else {
            return Skipped::default();
        };
        let pool = self.pools.of(log.shared.keeps());
        let skipped = match keep_latest {
            true => log.shared.skip_to_latest(subscription.id, pool),
            false => log.shared.skip_to_end(subscription.id, pool),
        };
        self.counts.skipped += skipped.records;
        self.sent
            .excepted(subscription, Sent::from(&skipped), &mut log.beginnings);
        log.lag.changed(subscription.log, &mut self.lag_watch);
        skipped
    }

    /// The name of the subscription's room.
    pub(super) fn name(&self, subscription: Subscription) -> Option<Arc<str>> {
        Some(log_of(&self.logs, subscription.log)?.name.clone())
    }

    /// Publishes the lags that have changed.
    pub(super) fn publish_lags(&mut self) {
        if !self.lag_watch.has_changes() {
            return;
        }
        let changed = self.lag_watch.take_changed();
        for &id in &changed {
            let Some(log) = log_mut(&mut self.logs, id) else {
                continue;
            };
            log.lag
                .end_watch_if_caught_up(id, &log.shared, &mut self.lag_watch);
            let name = log.name.clone();
            self.publish_room_lag(&name);
        }
        self.lag_watch.reuse(changed);
    }

    /// Publishes how far a room is behind, or that none of its subscriptions is.
    fn publish_room_lag(&mut self, name: &str) {
        let logs = self.by_name.get(name).copied().unwrap_or(RoomLogs::NONE);
        let is_watched = |(_, id)| log_of(&self.logs, id).is_some_and(|log| log.lag.is_watched());
        let is_watched = logs.iter().any(is_watched);
        let lag = is_watched.then(|| self.room_lag(name)).flatten();
        let all = &mut self.lagging;
        match lag {
            Some(lag) => self.snapshot.publish_lag(lag, all),
            None => self.snapshot.remove_lag(name, all),
        }
    }

    /// The memory that slow subscriptions make the logs hold, as it was published last.
    pub(super) fn held_bytes(&self) -> usize {
        self.lagging.held_bytes()
    }

    /// The subscriptions that make a log hold the most memory: all in the log with the most that are further behind than the
    /// half of it.
    pub(super) fn slowest(&self) -> Vec<TooSlow> {
        let logs = self.logs.iter().zip(0..);
        let logs = logs.filter_map(|(log, id)| Some((log.as_ref()?, LogId::new(id))));
        let behind = logs.filter(|(log, _)| log.shared.blocked() > 0);
        let held = |(log, _): &(&EncodedLog, LogId)| log.shared.log().held_bytes();
        let slowest = behind.max_by_key(held);
        slowest.map_or_else(Vec::new, |(log, id)| log.lag.slowest(id, &log.shared))
    }

    /// The number of the room's subscribers has changed. A published lag contains it.
    fn subscribers_changed(&mut self, name: &str) {
        let Some(logs) = self.by_name.get(name) else {
            return;
        };
        for (_, id) in logs.iter() {
            if let Some(log) = log_of(&self.logs, id) {
                log.lag.changed(id, &mut self.lag_watch);
            }
        }
    }

    /// How far a room is behind, all of its logs together.
    fn room_lag(&self, name: &str) -> Option<RoomLag> {
        let (name, logs) = self.by_name.get_key_value(name)?;
        let mut lag = RoomLag {
            room: name.clone(),
            subscribers: 0,
            behind: 0,
            bytes: 0,
            held_bytes: 0,
        };
        for log in logs.iter().filter_map(|(_, id)| log_of(&self.logs, id)) {
            let (shared, log) = (&log.shared, log.shared.log());
            lag.subscribers += shared.len();
            lag.behind += shared.blocked();
            // A log that keeps messages holds them without a subscription.
            let (behind, held) = match shared.keeps() {
                false => (log.head() - log.tail(), log.held_bytes()),
                true => (
                    shared.lag_bytes_max(),
                    usize::try_from(shared.lag_bytes_max()).unwrap_or(usize::MAX),
                ),
            };
            lag.bytes = lag.bytes.max(behind);
            lag.held_bytes += held;
        }
        Some(lag)
    }
}

/// The same `write`, which takes nothing for a connection that is held. Nearly always none is, and then this costs a comparison.
#[inline(always)]
fn unless_held(
    held: &HashSet<u64>,
    mut write: impl FnMut(u64, Backlog<'_>) -> usize,
) -> impl FnMut(u64, Backlog<'_>) -> usize {
    move |subscriber, backlog| match !held.is_empty() && held.contains(&subscriber) {
        false => write(subscriber, backlog),
        true => 0,
    }
}

fn log_of(logs: &[Option<EncodedLog>], id: LogId) -> Option<&EncodedLog> {
    logs.get(id.index())?.as_ref()
}

fn log_mut(logs: &mut [Option<EncodedLog>], id: LogId) -> Option<&mut EncodedLog> {
    logs.get_mut(id.index())?.as_mut()
}

/// How many subscribers a message has in a log.
fn receivers(shared: &SharedLog, except: Option<Subscription>) -> u64 {
    shared.len() as u64 - u64::from(except.is_some())
}

/// Bytes of one log that wait for a flush: from so many on, a client that publishes to it is not read. Each such client may add one
/// message to that.
const LOG_UNFLUSHED_BYTES_MAX: u64 = 1 << 20;

/// Bytes of all logs of a worker that wait for a flush: from so many on, they are flushed at once, whatever the turn's budget is.
const UNFLUSHED_BYTES_MAX: u64 = 16 << 20;

/// Small chunks, because each quiet room with history holds one.
const KEEPING_LOG_LIMITS: LogLimits = LogLimits {
    chunk_bytes: 8 << 10,
    shared_bytes_min: 2 << 10,
};

/// Chunks of 64 KiB that a worker keeps for reuse: 4 MiB.
const IDLE_CHUNKS_MAX: usize = 64;

#[cfg(test)]
mod tests;
