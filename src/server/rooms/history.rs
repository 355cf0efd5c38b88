//! Histories: which rooms of a worker keep messages, how many, and which of them lose theirs when all together are too many.
//!
//! The messages themselves are in the rooms' logs. A room with history always has the plain log, also without a subscriber. A log
//! of another encoding that begins later gets the kept messages of the plain one, uncompressed, copied once. All logs of a room
//! have the same messages, so a place in the past is a number of messages from the end, whatever the encoding.
//!
//! ```text
//!   owner       message ──▶ next offset ──▶ Handler::numbered ──▶ logs, on all workers
//!   every log   |  dropped  | kept: the newest `kept` messages |        head: their last offset
//! ```
//!
//! The room's owner gives out the offsets. A message carries its offset to the other workers, and the mark of a subscriber the
//! owner's last offset. So a worker that has forgotten a room learns where it is, and knows that it does not have the earlier
//! messages. An owner that has forgotten a room begins above all offsets of forgotten rooms: no offset is used twice in an epoch.
//!
//! The rooms of the backplane (`server/backplane/`) have their epochs and offsets from the engine. Each of them is here, also if it
//! keeps no message: then only its place in the engine's sequence, and its logs are those of a room without history.
//!
//! Cost: a server without history does not come here. A message costs a hash, two binary searches in the plain log and one in
//! each other log. The age is checked by marks, as that of waiting messages is (`server/lag.rs`).

use crate::broadcast::{LagLimits, Log};
use crate::server::history::{
    Erasure, Gap, HistoryLimits, Position, Replay, Replayed, RoomHistory,
};
use crate::server::lag::Ages;
use crate::time::Timestamp;
use crate::websocket::{Message, OwnedMessage};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;

/// What the application says about the histories of rooms, and the server's epoch.
pub(in crate::server) struct HistoryRules {
    pub(in crate::server) limits: HistoryLimits,
    pub(in crate::server) epoch: u64,
    /// How much a room keeps. `None`: it has no history.
    pub(in crate::server) of_room: Box<OfRoom>,
    /// The message with its position in it. `None`: it is published unchanged.
    pub(in crate::server) numbered: Box<Numbered>,
    /// Whether a message takes an earlier one out of the history.
    pub(in crate::server) erases: Box<Erases>,
    /// Whether a room is one of the backplane. `None`: there is no backplane.
    pub(in crate::server) shares: Option<Box<Shares>>,
}

type Shares = dyn Fn(&str) -> bool + Send + Sync;

type OfRoom = dyn Fn(&str) -> Option<RoomHistory> + Send + Sync;
type Numbered = dyn Fn(&str, Position, Message<'_>) -> Option<OwnedMessage> + Send + Sync;

type Erases = dyn Fn(&str, Message<'_>) -> Option<Erasure> + Send + Sync;

impl fmt::Debug for HistoryRules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HistoryRules")
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

/// The rooms with history on one worker.
#[derive(Debug, Default)]
pub(super) struct Histories {
    /// `None`: no room has a history.
    rules: Option<Arc<HistoryRules>>,
    rooms: HashMap<Arc<str>, Kept>,
    /// Bytes of all kept messages.
    bytes: u64,
    /// Rooms with kept messages, the one first that was published to longest ago.
    by_publication: Order,
    /// Rooms without a subscriber, the one first that has been unused for longest.
    unused: Order,
    /// When messages of a room become too old.
    due: BTreeSet<(Timestamp, Arc<str>)>,
    /// No offset of a forgotten room is greater.
    forgotten_offset_max: u64,
}

/// What one room keeps.
#[derive(Debug)]
struct Kept {
    limits: RoomHistory,
    /// A room of the backplane.
    is_shared: bool,
    /// The place behind the newest message.
    head: Position,
    /// How many of the newest messages are kept: none is missing among them.
    messages: u64,
    /// Their bytes in the plain log.
    bytes: u64,
    ages: Ages,
    due: Option<Timestamp>,
    /// Its places in the two orders.
    published: Option<u64>,
    unused: Option<u64>,
}

impl Histories {
    pub(super) fn new(rules: Option<Arc<HistoryRules>>) -> Histories {
        Histories {
            rules,
            ..Histories::default()
        }
    }

    /// Whether rooms can have a history.
    #[inline(always)]
    pub(super) fn is_on(&self) -> bool {
        self.rules.is_some()
    }

    pub(super) fn contains(&self, room: &str) -> bool {
        self.rooms.contains_key(room)
    }

    /// How many rooms with history have no subscriber.
    pub(super) fn unused(&self) -> usize {
        self.unused.len()
    }

    /// How much a room is to keep, if it has a history.
    pub(super) fn limits_of(&self, room: &str) -> Option<RoomHistory> {
        let rules = self.rules.as_ref()?;
        let limits = (rules.of_room)(room);
        limits.or_else(|| rules.shares(room).then_some(NOTHING))
    }

    /// How much the application wants a room to keep. `None`: nothing.
    pub(super) fn asked_limits_of(&self, room: &str) -> Option<RoomHistory> {
        (self.rules.as_ref()?.of_room)(room)
    }

    /// Whether a room is one of the backplane.
    pub(super) fn is_shared(&self, room: &str) -> bool {
        match self.rooms.get(room) {
            Some(kept) => kept.is_shared,
            None => self.rules.as_ref().is_some_and(|rules| rules.shares(room)),
        }
    }

    /// A room begins, without messages and without subscribers. It may be one that was forgotten.
    pub(super) fn begin(&mut self, room: &Arc<str>, limits: RoomHistory) {
        let is_shared = self.rules.as_ref().is_some_and(|rules| rules.shares(room));
        let head = match is_shared {
            true => UNKNOWN,
            false => Position::new(self.own_epoch(), self.forgotten_offset_max),
        };
        let mut kept = Kept {
            limits,
            is_shared,
            head,
            messages: 0,
            bytes: 0,
            ages: Ages::default(),
            due: None,
            published: None,
            unused: None,
        };
        self.unused.touch(&mut kept.unused, room);
        self.rooms.insert(room.clone(), kept);
    }

    /// A room has its first subscriber, or has lost its last one. True: that has changed, and it is a room of the backplane.
    pub(super) fn set_used(&mut self, room: &Arc<str>, is_used: bool) -> bool {
        let Some(kept) = self.rooms.get_mut(room) else {
            return false;
        };
        let was_used = kept.unused.is_none();
        match is_used {
            true => self.unused.remove(&mut kept.unused),
            false => self.unused.touch(&mut kept.unused, room),
        }
        kept.is_shared && was_used != is_used
    }

    /// On the room's owner: the position behind the next message.
    pub(super) fn next_position(&self, room: &str) -> Option<Position> {
        Some(self.rooms.get(room)?.head.plus(1))
    }

    /// The place behind the newest message. `None`: the room has no history.
    pub(super) fn head(&self, room: &str) -> Option<Position> {
        Some(self.rooms.get(room)?.head)
    }

    /// The owner's last place, as a mark has brought it. It is another one than here if this worker has forgotten the room.
    pub(super) fn set_head(&mut self, room: &str, head: Position, log: &Log) {
        let Some((room, kept)) = self.rooms.get_key_value(room) else {
            return;
        };
        if kept.head == head {
            return;
        }
        let room = room.clone();
        self.restart(&room, head, log);
    }

    /// The room keeps nothing from before this place.
    pub(super) fn restart(&mut self, room: &Arc<str>, head: Position, log: &Log) {
        if let Some(kept) = self.rooms.get_mut(room) {
            kept.head = head;
        }
        self.keep(room, 0, log);
    }

    /// The message with its position in it, if the application writes it there.
    pub(super) fn numbered(
        &self,
        room: &str,
        position: Position,
        message: Message<'_>,
    ) -> Option<OwnedMessage> {
        (self.rules.as_ref()?.numbered)(room, position, message)
    }

    /// Whether a message takes an earlier one out of the history.
    pub(super) fn erases(&self, room: &str, message: Message<'_>) -> Option<Erasure> {
        (self.rules.as_ref()?.erases)(room, message)
    }

    /// How many messages are behind the one in front of this place, if that is kept.
    pub(super) fn kept_behind(&self, room: &str, position: Position) -> Option<u64> {
        let kept = self.rooms.get(room)?;
        let behind = kept.head.offset().checked_sub(position.offset())?;
        (position.epoch() == kept.head.epoch() && behind < kept.messages).then_some(behind)
    }

    /// The room forgets all but its newest messages. Returns how many are kept.
    pub(super) fn forget_before(&mut self, room: &Arc<str>, messages: u64, log: &Log) -> u64 {
        self.keep(room, messages, log)
    }

    /// Whether a room keeps messages.
    pub(super) fn keeps(&self, room: &str) -> bool {
        self.rooms.get(room).is_some_and(|kept| kept.limits.keeps())
    }

    /// A message was appended to the logs of a room that keeps none. False: it keeps some.
    pub(super) fn pass(&mut self, room: &str, position: Position) -> bool {
        let kept = self.rooms.get_mut(room);
        let Some(kept) = kept.filter(|kept| !kept.limits.keeps()) else {
            return false;
        };
        kept.head = position;
        true
    }

    /// A message was appended to the room's plain log. Returns how many messages are kept now.
    pub(super) fn append(&mut self, room: &Arc<str>, position: Position, log: &Log) -> u64 {
        let Some(kept) = self.rooms.get_mut(room) else {
            return 0;
        };
        // This worker has not had the messages in between.
        if position != kept.head.plus(1) {
            kept.messages = 0;
        }
        kept.head = position;
        let within = log.start_within(&LagLimits {
            bytes: kept.limits.bytes_max,
            records: kept.limits.messages_max,
            position: 0,
        });
        let messages = (kept.messages + 1).min(log.records_between(within, log.head()));
        self.by_publication.touch(&mut kept.published, room);
        if kept.unused.is_some() {
            self.unused.touch(&mut kept.unused, room);
        }
        self.keep(room, messages, log)
    }

    /// The plain log of a room has been flushed.
    pub(super) fn flushed(&mut self, room: &Arc<str>, head: u64, now: Timestamp) {
        let Some(kept) = self.rooms.get_mut(room).filter(|kept| kept.messages > 0) else {
            return;
        };
        let Some(age_max) = kept.limits.age_max else {
            return;
        };
        kept.ages.mark(head, now, age_max);
        let due = kept.ages.due(age_max);
        set_due(&mut self.due, &mut kept.due, due, room);
    }

    /// When the first message becomes too old.
    pub(super) fn next_due(&self) -> Option<Timestamp> {
        self.due.first().map(|(at, _)| *at)
    }

    /// Bytes of all kept messages.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The epoch of rooms that are not of the backplane.
    fn own_epoch(&self) -> u64 {
        self.rules.as_ref().map_or(0, |rules| rules.epoch)
    }

    /// Takes a room in which messages may be too old by now.
    pub(super) fn take_due(&mut self, now: Timestamp) -> Option<Arc<str>> {
        self.due.first().filter(|(at, _)| *at <= now)?;
        let (_, room) = self.due.pop_first()?;
        if let Some(kept) = self.rooms.get_mut(&room) {
            kept.due = None;
        }
        Some(room)
    }

    /// Drops the messages of a room that are too old. Returns how many are kept.
    pub(super) fn drop_old(&mut self, room: &Arc<str>, log: &Log, now: Timestamp) -> u64 {
        let Some(kept) = self.rooms.get_mut(room) else {
            return 0;
        };
        let Some(age_max) = kept.limits.age_max else {
            return kept.messages;
        };
        let from = kept.ages.too_old(now, age_max).max(log.tail());
        let messages = kept.messages.min(log.records_between(from, log.head()));
        let due = kept.ages.due(age_max);
        set_due(&mut self.due, &mut kept.due, due, room);
        self.keep(room, messages, log)
    }

    /// The room keeps its newest `messages` messages.
    fn keep(&mut self, room: &Arc<str>, messages: u64, log: &Log) -> u64 {
        let Some(kept) = self.rooms.get_mut(room) else {
            return 0;
        };
        let bytes = log.head() - log.start_of_last(messages);
        self.bytes = self.bytes - kept.bytes + bytes;
        (kept.messages, kept.bytes) = (messages, bytes);
        if messages == 0 {
            self.by_publication.remove(&mut kept.published);
        }
        messages
    }

    /// If all rooms together keep too much: takes a room that is to lose its messages.
    pub(super) fn take_beyond_bytes(&mut self) -> Option<Arc<str>> {
        if self.bytes <= self.rules.as_ref()?.limits.bytes_max {
            return None;
        }
        self.take_oldest().map(|(room, _)| room)
    }

    /// Takes the room that was published to longest ago: it is to lose its messages, of so many bytes.
    pub(super) fn take_oldest(&mut self) -> Option<(Arc<str>, u64)> {
        let room = self.by_publication.first()?;
        let kept = self.rooms.get_mut(&room)?;
        self.by_publication.remove(&mut kept.published);
        let bytes = kept.bytes;
        self.bytes -= bytes;
        (kept.messages, kept.bytes) = (0, 0);
        Some((room, bytes))
    }

    /// If there are too many rooms without subscribers: forgets one.
    pub(super) fn take_beyond_rooms(&mut self) -> Option<Arc<str>> {
        if self.unused.len() <= self.rules.as_ref()?.limits.rooms_max {
            return None;
        }
        let room = self.unused.first()?;
        let mut kept = self.rooms.remove(&room)?;
        self.unused.remove(&mut kept.unused);
        self.by_publication.remove(&mut kept.published);
        set_due(&mut self.due, &mut kept.due, None, &room);
        self.bytes -= kept.bytes;
        if !kept.is_shared {
            self.forgotten_offset_max = self.forgotten_offset_max.max(kept.head.offset());
        }
        Some(room)
    }

    /// How many of the kept messages a subscription begins with.
    pub(super) fn kept(&self, room: &str) -> u64 {
        self.rooms.get(room).map_or(0, |kept| kept.messages)
    }

    /// How a subscription begins in this room.
    pub(super) fn replay(&self, room: &str, replay: Replay) -> Replayed {
        let kept = self.rooms.get(room);
        let unknown = Position::new(self.own_epoch(), 0);
        let (head, messages) = kept.map_or((unknown, 0), |kept| (kept.head, kept.messages));
        let (epoch, head) = (head.epoch(), head.offset());
        let (messages, gap) = match replay {
            Replay::Latest(most) => (messages.min(most), Gap::None),
            Replay::After(from) if from.epoch() != epoch => (messages, Gap::OtherEpoch),
            Replay::After(from) => match head.checked_sub(from.offset()) {
                Some(missed) if missed <= messages => (missed, Gap::None),
                _ => (messages, Gap::Forgotten),
            },
        };
        Replayed {
            position: Position::new(epoch, head - messages),
            messages,
            gap,
        }
    }
}

impl HistoryRules {
    fn shares(&self, room: &str) -> bool {
        self.shares.as_ref().is_some_and(|shares| shares(room))
    }
}

fn set_due(
    due: &mut BTreeSet<(Timestamp, Arc<str>)>,
    of_room: &mut Option<Timestamp>,
    at: Option<Timestamp>,
    room: &Arc<str>,
) {
    if *of_room == at {
        return;
    }
    if let Some(old) = std::mem::replace(of_room, at) {
        due.remove(&(old, room.clone()));
    }
    due.extend(at.map(|at| (at, room.clone())));
}

/// A room of the backplane that is to keep nothing.
const NOTHING: RoomHistory = RoomHistory {
    messages_max: 0,
    bytes_max: 0,
    age_max: None,
};

/// The place of a room of the backplane that is not loaded yet.
const UNKNOWN: Position = Position::new(0, 0);

/// Rooms in the order of their last use. Each room keeps its place.
#[derive(Debug, Default)]
struct Order {
    rooms: BTreeMap<u64, Arc<str>>,
    next: u64,
}

impl Order {
    fn len(&self) -> usize {
        self.rooms.len()
    }

    fn first(&self) -> Option<Arc<str>> {
        self.rooms.values().next().cloned()
    }

    /// The room is the last one now.
    fn touch(&mut self, place: &mut Option<u64>, room: &Arc<str>) {
        self.remove(place);
        self.rooms.insert(self.next, room.clone());
        *place = Some(self.next);
        self.next += 1;
    }

    fn remove(&mut self, place: &mut Option<u64>) {
        if let Some(place) = place.take() {
            self.rooms.remove(&place);
        }
    }
}
