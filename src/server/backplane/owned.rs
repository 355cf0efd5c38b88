//! The rooms of the backplane that one worker owns: which of them are subscribed to, and how far the engine has told them.
//!
//! ```text
//!            first use: subscribe                load
//!   (idle) ───────────────────────▶ loading ─────────────▶ live ──┐ deliver, gap, load: the next place
//!      ▲                               │                    │ ▲───┘
//!      └──────── unsubscribe ──────────┴────────────────────┘
//!                unused for a while
//! ```
//!
//! A room is in use while a worker has a subscriber of it, or while a client joins it at a place of its past. Those clients wait until
//! the room is loaded. Messages that are published here while it is loaded are held until then: so a client that joins and then publishes
//! gets its own message, which would otherwise be among those of the past. Both end after `load_timeout`.
//!
//! A client that comes from another node may be ahead of this one: its position is behind the room's last message here, or in an epoch
//! that this node has not heard of. Then the node subscribes once more, and the client waits until the engine has told where the room is.
//!
//! What the engine tells is checked here: an offset that the room has had is dropped, and one that does not follow is a gap.
//!
//! Without input, output or clock: [`OwnedRooms::turn_ended`] brings the time. Cost: a hash for each message; what waits has a limit.

use super::config::BackplaneConfig;
use super::node::KeptMessages;
use super::publication::BackplanePublication;
use crate::server::history::{Position, RoomHistory};
use crate::server::not_published::NotPublished;
use crate::time::Timestamp;
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

/// The rooms of one owner. `J`: a client that waits to join.
#[derive(Debug)]
pub(in crate::server) struct OwnedRooms<J> {
    backplane: BackplaneConfig,
    rooms: HashMap<Arc<str>, OwnedRoom<J>>,
    /// Rooms in which something waits since the last turn or is unused since then: its time begins when this turn ends.
    changed: Vec<Arc<str>>,
    /// When the first thing that waits in a room has waited for too long.
    overdue: BTreeSet<(Timestamp, Arc<str>)>,
    /// Since when rooms are unused.
    unused: BTreeSet<(Timestamp, Arc<str>)>,
    /// Rooms that may be unused and subscribed to.
    unused_max: usize,
    /// How many clients wait in all rooms.
    joins: usize,
    /// Bytes of the publications that are held in all rooms.
    held_bytes: usize,
    /// For the engine, when the turn ends: so it gets all messages of a turn together, and delivers them together.
    outgoing: Vec<BackplanePublication>,
}

#[derive(Debug)]
struct OwnedRoom<J> {
    /// The place behind the last message. `None`: it is not loaded.
    position: Option<Position>,
    /// The workers that have a subscriber.
    users: Vec<usize>,
    /// The engine is to tell again where the room is.
    is_refreshing: bool,
    /// Clients that have been told to join, and whose workers have not done that yet.
    joining: usize,
    joins: VecDeque<Waiting<J>>,
    held: VecDeque<Waiting<BackplanePublication>>,
    /// Its places in the two sets.
    overdue_at: Option<Timestamp>,
    unused_since: Option<Timestamp>,
}

#[derive(Debug)]
struct Waiting<T> {
    what: T,
    /// `None`: since this turn.
    since: Option<Timestamp>,
}

/// What is to be done with messages of the engine that follow each other.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::server) enum Delivered {
    /// The room is not loaded: nobody here wants them.
    Unwanted,
    /// The room has had the first `known` ones. The others are the next ones; `gap`: messages are missing in front of them, between the
    /// room's last one and this place.
    Next { known: usize, gap: Option<Position> },
}

/// What is to be done with the messages that the engine keeps of a room.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::server) enum Loaded {
    /// The room is not wanted, or has had all of them.
    Nothing,
    /// They are the past of the room.
    Past,
    /// Those from this index on are the next ones. `gap`: messages are missing in front of this place.
    Next { from: usize, gap: Option<Position> },
}

impl<J> OwnedRooms<J> {
    /// `unused_max`: how many rooms may be unused and subscribed to.
    pub(in crate::server) fn new(backplane: BackplaneConfig, unused_max: usize) -> OwnedRooms<J> {
        OwnedRooms {
            backplane,
            rooms: HashMap::new(),
            changed: Vec::new(),
            overdue: BTreeSet::new(),
            unused: BTreeSet::new(),
            unused_max,
            joins: 0,
            held_bytes: 0,
            outgoing: Vec::new(),
        }
    }

    /// How many rooms are subscribed to.
    pub(in crate::server) fn len(&self) -> usize {
        self.rooms.len()
    }

    /// Bytes of the publications that are held.
    #[cfg(test)]
    fn held_bytes(&self) -> usize {
        self.held_bytes
    }

    /// A worker has its first subscriber of a room, or has lost its last one.
    pub(in crate::server) fn set_used(
        &mut self,
        name: &Arc<str>,
        worker: usize,
        is_used: bool,
        history: Option<RoomHistory>,
    ) {
        if is_used {
            self.room(name, history).users.push(worker);
        } else if let Some(room) = self.rooms.get_mut(name) {
            room.users.retain(|user| *user != worker);
        }
        self.changed.push(name.clone());
    }

    /// A client joins a room, behind this place if it names one. It may have to wait. Returned: it joins now, and the room's last message
    /// is in front of this place. [`OwnedRooms::join_done`] has to follow.
    ///
    /// # Errors
    /// Too many clients wait.
    pub(in crate::server) fn join(
        &mut self,
        name: &Arc<str>,
        client: J,
        after: Option<Position>,
        history: Option<RoomHistory>,
    ) -> Result<Option<(J, Position)>, J> {
        if self.joins >= JOINS_MAX {
            return Err(client);
        }
        self.changed.push(name.clone());
        let room = self.room(name, history);
        if let Some(position) = room.position {
            if after.is_none_or(|after| is_reached(position, after)) {
                room.joining += 1;
                return Ok(Some((client, position)));
            }
            if !std::mem::replace(&mut room.is_refreshing, true) {
                self.backplane.engine.subscribe(name, history);
            }
        }
        let Some(room) = self.rooms.get_mut(name) else {
            return Ok(None);
        };
        room.joins.push_back(Waiting {
            what: client,
            since: None,
        });
        self.joins += 1;
        Ok(None)
    }

    /// A client that was told to join has joined, or has ended.
    pub(in crate::server) fn join_done(&mut self, name: &Arc<str>) {
        if let Some(room) = self.rooms.get_mut(name) {
            room.joining = room.joining.saturating_sub(1);
            self.changed.push(name.clone());
        }
    }

    /// A message of this node for the engine.
    pub(in crate::server) fn publish(&mut self, publication: BackplanePublication) {
        let room = self.rooms.get_mut(publication.room());
        let Some(room) = room.filter(|room| room.position.is_none()) else {
            return self.outgoing.push(publication);
        };
        let bytes = publication.bytes();
        if self.held_bytes.saturating_add(bytes) > HELD_BYTES_MAX {
            return publication.refuse(NotPublished::BackplaneBehind);
        }
        self.held_bytes += bytes;
        self.changed.push(publication.room().into());
        room.held.push_back(Waiting {
            what: publication,
            since: None,
        });
    }

    /// The engine has told what it keeps of a room. Messages that were held go to the engine. The clients that are returned join when that
    /// is done which is returned, too; [`OwnedRooms::join_done`] has to follow for each.
    pub(in crate::server) fn load(&mut self, name: &str, kept: &KeptMessages) -> (Loaded, Vec<J>) {
        let Some((name, room)) = get_mut(&mut self.rooms, name) else {
            return (Loaded::Nothing, Vec::new());
        };
        room.is_refreshing = false;
        let joins = std::mem::take(&mut room.joins);
        self.joins -= joins.len();
        room.joining += joins.len();
        self.changed.push(name);
        let loaded = match room.position.replace(kept.head) {
            None => {
                for publication in std::mem::take(&mut room.held) {
                    self.held_bytes -= publication.what.bytes();
                    self.outgoing.push(publication.what);
                }
                Loaded::Past
            }
            Some(position) => {
                let next = next_of(position, kept);
                if next == Loaded::Nothing {
                    room.position = Some(position);
                }
                next
            }
        };
        (loaded, joins.into_iter().map(|join| join.what).collect())
    }

    /// The place behind a room's last message.
    pub(in crate::server) fn position(&self, name: &str) -> Option<Position> {
        self.rooms.get(name)?.position
    }

    /// The engine has told so many messages of a room, with this place behind the first one.
    pub(in crate::server) fn deliver(
        &mut self,
        name: &str,
        first: Position,
        count: usize,
    ) -> Delivered {
        let position = self.rooms.get_mut(name);
        let Some(position) = position.and_then(|room| room.position.as_mut()) else {
            return Delivered::Unwanted;
        };
        let last = *position;
        let known = match first.epoch() == last.epoch() {
            true => last.plus(1).offset().saturating_sub(first.offset()),
            false => 0,
        };
        let known = usize::try_from(known).unwrap_or(count).min(count);
        let Some(new) = count.checked_sub(known + 1) else {
            return Delivered::Next { known, gap: None };
        };
        let next = first.plus(known as u64);
        *position = next.plus(new as u64);
        let gap = (next != last.plus(1)).then(|| before(next));
        Delivered::Next { known, gap }
    }

    /// The engine has told that messages are missing in front of this place. False: nobody here wants the room, or it is there already.
    pub(in crate::server) fn gap(&mut self, name: &str, at: Position) -> bool {
        let position = self.rooms.get_mut(name);
        let Some(position) = position.and_then(|room| room.position.as_mut()) else {
            return false;
        };
        if *position == at {
            return false;
        }
        *position = at;
        true
    }

    /// Whether something has begun to wait since the last turn ended, or waits for the end of this one.
    pub(in crate::server) fn owes_turn(&self) -> bool {
        !self.changed.is_empty() || !self.outgoing.is_empty()
    }

    /// The engine gets the messages of this turn.
    pub(in crate::server) fn give_outgoing(&mut self) {
        if !self.outgoing.is_empty() {
            let engine = &self.backplane.engine;
            engine.publish_all(&mut self.outgoing.drain(..));
        }
    }

    /// When something is due: a client or a message has waited for too long, or a room has been unused for long enough.
    pub(in crate::server) fn next_due(&self) -> Option<Timestamp> {
        let unused = self
            .unused
            .first()
            .map(|(since, _)| since.plus(self.backplane.unsubscribe_after));
        let overdue = self.overdue.first().map(|(at, _)| *at);
        unused.into_iter().chain(overdue).min()
    }

    /// A turn has ended at this time. Returns the clients that have waited for too long. Messages that have done so are refused; rooms
    /// that have been unused for long enough are unsubscribed from.
    pub(in crate::server) fn turn_ended(&mut self, now: Timestamp) -> Vec<J> {
        self.give_outgoing();
        for name in std::mem::take(&mut self.changed) {
            self.begin_times(&name, now);
        }
        let mut failed = Vec::new();
        while let Some((at, name)) = self.overdue.pop_first() {
            if at > now {
                self.overdue.insert((at, name));
                break;
            }
            self.end_waiting(&name, now, &mut failed);
        }
        while let Some((since, name)) = self.unused.pop_first() {
            let is_due = since.plus(self.backplane.unsubscribe_after) <= now;
            if !is_due && self.unused.len() < self.unused_max {
                self.unused.insert((since, name));
                break;
            }
            self.backplane.engine.unsubscribe(&name);
            self.rooms.remove(&name);
        }
        failed
    }

    /// The room, which is subscribed to from now on.
    fn room(&mut self, name: &Arc<str>, history: Option<RoomHistory>) -> &mut OwnedRoom<J> {
        if !self.rooms.contains_key(name) {
            self.backplane.engine.subscribe(name, history);
        }
        self.rooms.entry(name.clone()).or_default()
    }

    /// Something has changed in the room in the turn that ends now.
    fn begin_times(&mut self, name: &Arc<str>, now: Timestamp) {
        let Some(room) = self.rooms.get_mut(name) else {
            return;
        };
        begin_waiting(&mut room.joins, now);
        begin_waiting(&mut room.held, now);
        let overdue_at = room
            .waits_since()
            .map(|since| since.plus(self.backplane.load_timeout));
        replace_in(&mut self.overdue, &mut room.overdue_at, overdue_at, name);
        let unused_since = room.is_unused().then(|| room.unused_since.unwrap_or(now));
        replace_in(&mut self.unused, &mut room.unused_since, unused_since, name);
    }

    /// Something has waited for too long in a room.
    fn end_waiting(&mut self, name: &Arc<str>, now: Timestamp, failed: &mut Vec<J>) {
        let Some(room) = self.rooms.get_mut(name) else {
            return;
        };
        room.overdue_at = None;
        let timeout = self.backplane.load_timeout;
        let is_overdue =
            |since: Option<Timestamp>| since.is_some_and(|since| since.plus(timeout) <= now);
        for join in take_while(&mut room.joins, is_overdue) {
            self.joins -= 1;
            failed.push(join);
        }
        for publication in take_while(&mut room.held, is_overdue) {
            self.held_bytes -= publication.bytes();
            publication.refuse(NotPublished::BackplaneGone);
        }
        self.begin_times(name, now);
    }
}

impl<J> OwnedRoom<J> {
    /// Since when the first thing waits.
    fn waits_since(&self) -> Option<Timestamp> {
        let join = self.joins.front().and_then(|join| join.since);
        let held = self.held.front().and_then(|held| held.since);
        join.into_iter().chain(held).min()
    }

    fn is_unused(&self) -> bool {
        self.users.is_empty() && self.joining == 0 && self.joins.is_empty() && self.held.is_empty()
    }
}

impl<J> Default for OwnedRoom<J> {
    fn default() -> OwnedRoom<J> {
        OwnedRoom {
            position: None,
            users: Vec::new(),
            is_refreshing: false,
            joining: 0,
            joins: VecDeque::new(),
            held: VecDeque::new(),
            overdue_at: None,
            unused_since: None,
        }
    }
}

/// Which of the kept messages a room does not have that is at this place.
pub(in crate::server) fn next_of(position: Position, kept: &KeptMessages) -> Loaded {
    let (head, count) = (kept.head, kept.messages.len());
    if head.epoch() == position.epoch() {
        if head.offset() <= position.offset() {
            return Loaded::Nothing;
        }
        let missing = usize::try_from(head.offset() - position.offset()).unwrap_or(usize::MAX);
        if missing <= count {
            let (from, gap) = (count - missing, None);
            return Loaded::Next { from, gap };
        }
    }
    let offset = head.offset().saturating_sub(count as u64);
    let gap = Some(Position::new(head.epoch(), offset));
    Loaded::Next { from: 0, gap }
}

/// Whether a room that is at this place has had all that a client has.
fn is_reached(position: Position, by_client: Position) -> bool {
    position.epoch() == by_client.epoch() && position.offset() >= by_client.offset()
}

/// The place in front of the message that is in front of this one.
fn before(position: Position) -> Position {
    Position::new(position.epoch(), position.offset().saturating_sub(1))
}

fn begin_waiting<T>(waiting: &mut VecDeque<Waiting<T>>, now: Timestamp) {
    let new = waiting.iter_mut().rev();
    new.take_while(|one| one.since.is_none())
        .for_each(|one| one.since = Some(now));
}

/// Takes the first ones out, as far as their time is `is_taken`.
fn take_while<T>(
    waiting: &mut VecDeque<Waiting<T>>,
    is_taken: impl Fn(Option<Timestamp>) -> bool,
) -> Vec<T> {
    let kept = waiting.iter().position(|one| !is_taken(one.since));
    let taken = waiting.drain(..kept.unwrap_or(waiting.len()));
    taken.map(|one| one.what).collect()
}

fn replace_in(
    set: &mut BTreeSet<(Timestamp, Arc<str>)>,
    of_room: &mut Option<Timestamp>,
    at: Option<Timestamp>,
    name: &Arc<str>,
) {
    if *of_room == at {
        return;
    }
    if let Some(old) = std::mem::replace(of_room, at) {
        set.remove(&(old, name.clone()));
    }
    set.extend(at.map(|at| (at, name.clone())));
}

fn get_mut<'a, V>(map: &'a mut HashMap<Arc<str>, V>, name: &str) -> Option<(Arc<str>, &'a mut V)> {
    let (name, _) = map.get_key_value(name)?;
    let name = name.clone();
    map.get_mut(&name).map(|value| (name, value))
}

/// Clients of one owner that may wait until their rooms are loaded.
const JOINS_MAX: usize = 1 << 16;

/// Bytes of messages that one owner holds until their rooms are loaded.
const HELD_BYTES_MAX: usize = 8 << 20;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::backplane::{Backplane, BackplaneMessage, BackplaneNode, BackplaneState};
    use crate::websocket::Message;
    use proptest::prelude::*;
    use std::sync::Mutex;
    use std::time::Duration;

    /// An engine that notes what it is told.
    #[derive(Default)]
    struct Noted(Mutex<Vec<String>>);

    impl Noted {
        fn note(&self, line: String) {
            self.0.lock().unwrap().push(line);
        }

        fn take(&self) -> Vec<String> {
            std::mem::take(&mut self.0.lock().unwrap())
        }
    }

    impl Backplane for Noted {
        fn start(&self, _: BackplaneNode) {}
        fn publish(&self, publication: BackplanePublication) {
            let text = String::from_utf8(publication.message().payload().to_vec());
            self.note(format!("publish {}", text.unwrap()));
            publication.taken(at(1));
        }
        fn subscribe(&self, room: &str, _: Option<RoomHistory>) {
            self.note(format!("subscribe {room}"));
        }
        fn unsubscribe(&self, room: &str) {
            self.note(format!("unsubscribe {room}"));
        }
        fn state(&self) -> BackplaneState {
            BackplaneState::ready()
        }
    }

    type Answers = Arc<Mutex<Vec<Result<Position, NotPublished>>>>;

    fn rooms(unused_max: usize) -> (OwnedRooms<u32>, Arc<Noted>) {
        let engine = Arc::new(Noted::default());
        let backplane = BackplaneConfig {
            load_timeout: Duration::from_millis(100),
            unsubscribe_after: Duration::from_millis(50),
            ..BackplaneConfig::new(engine.clone())
        };
        (OwnedRooms::new(backplane, unused_max), engine)
    }

    fn at(offset: u64) -> Position {
        Position::new(7, offset)
    }

    fn kept(head: Position, messages: usize) -> KeptMessages {
        let message = BackplaneMessage::new(0, Message::Text("kept"));
        KeptMessages {
            head,
            messages: vec![message; messages],
        }
    }

    fn publication(room: &str, text: &str, answers: &Answers) -> BackplanePublication {
        let answers = answers.clone();
        let answer = Box::new(move |result| answers.lock().unwrap().push(result));
        let message = BackplaneMessage::new(0, Message::Text(text));
        BackplanePublication::new(room.into(), None, message, answer)
    }

    #[test]
    fn clients_and_messages_wait_until_the_room_is_loaded() {
        let (mut rooms, engine) = rooms(9);
        let (hall, answers): (Arc<str>, Answers) = ("hall".into(), Answers::default());
        rooms.publish(publication("hall", "nobody joins", &answers));
        assert_eq!(rooms.join(&hall, 1, None, None), Ok(None));
        assert_eq!(rooms.join(&hall, 2, None, None), Ok(None));
        rooms.publish(publication("hall", "held", &answers));
        rooms.publish(publication("garden", "another room", &answers));
        rooms.publish(publication("hall", "held, too", &answers));
        rooms.give_outgoing();
        assert!(rooms.held_bytes() > 0);
        assert_eq!(
            engine.take(),
            [
                "subscribe hall",
                "publish nobody joins",
                "publish another room"
            ]
        );
        let loaded = rooms.load("hall", &kept(at(9), 2));
        assert_eq!(loaded, (Loaded::Past, vec![1, 2]));
        rooms.give_outgoing();
        assert_eq!(engine.take(), ["publish held", "publish held, too"]);
        assert_eq!((rooms.held_bytes(), rooms.joins), (0, 0));
        assert_eq!(rooms.join(&hall, 3, None, None), Ok(Some((3, at(9)))));
        rooms.publish(publication("hall", "live", &answers));
        rooms.give_outgoing();
        assert_eq!(engine.take(), ["publish live"]);
    }

    #[test]
    fn client_that_is_ahead_of_the_node_waits_until_the_engine_has_told_where_the_room_is() {
        let (mut rooms, engine) = rooms(9);
        let hall: Arc<str> = "hall".into();
        rooms.set_used(&hall, 0, true, None);
        rooms.load("hall", &kept(at(9), 0));
        assert_eq!(
            rooms.join(&hall, 1, Some(at(9)), None),
            Ok(Some((1, at(9))))
        );
        assert_eq!(rooms.join(&hall, 2, Some(at(10)), None), Ok(None));
        let other = Position::new(8, 1);
        assert_eq!(rooms.join(&hall, 3, Some(other), None), Ok(None));
        assert_eq!(engine.take(), ["subscribe hall", "subscribe hall"]);
        let next = Delivered::Next {
            known: 0,
            gap: None,
        };
        assert_eq!(rooms.deliver("hall", at(10), 1), next);
        assert_eq!(
            rooms.load("hall", &kept(at(10), 1)),
            (Loaded::Nothing, vec![2, 3])
        );
        assert_eq!(rooms.position("hall"), Some(at(10)));
        assert_eq!(rooms.join(&hall, 4, Some(at(11)), None), Ok(None));
        assert_eq!(engine.take(), ["subscribe hall"]);
    }

    #[test]
    fn what_waits_for_too_long_fails_and_the_rest_goes_on_waiting() {
        let (mut rooms, engine) = rooms(9);
        let (hall, answers): (Arc<str>, Answers) = ("hall".into(), Answers::default());
        assert_eq!(rooms.join(&hall, 1, None, None), Ok(None));
        assert!(rooms.turn_ended(Timestamp(1000)).is_empty());
        assert_eq!(rooms.next_due(), Some(Timestamp(1100)));
        rooms.publish(publication("hall", "held", &answers));
        assert_eq!(rooms.join(&hall, 2, None, None), Ok(None));
        assert!(rooms.turn_ended(Timestamp(1060)).is_empty());
        assert_eq!(rooms.turn_ended(Timestamp(1100)), [1]);
        assert!(answers.lock().unwrap().is_empty());
        assert_eq!(rooms.next_due(), Some(Timestamp(1160)));
        assert_eq!(rooms.turn_ended(Timestamp(1160)), [2]);
        assert_eq!(*answers.lock().unwrap(), [Err(NotPublished::BackplaneGone)]);
        assert_eq!(engine.take(), ["subscribe hall"]);
        // Nobody uses it any more.
        assert!(rooms.turn_ended(Timestamp(1210)).is_empty());
        assert_eq!(engine.take(), ["unsubscribe hall"]);
        assert_eq!((rooms.len(), rooms.next_due()), (0, None));
        let loaded = rooms.load("hall", &kept(at(9), 2));
        assert_eq!(loaded, (Loaded::Nothing, vec![]));
    }

    #[test]
    fn room_is_unsubscribed_from_when_it_has_been_unused_for_long_enough() {
        let (mut rooms, engine) = rooms(9);
        let hall: Arc<str> = "hall".into();
        rooms.set_used(&hall, 0, true, None);
        rooms.set_used(&hall, 2, true, None);
        rooms.load("hall", &kept(at(0), 0));
        rooms.set_used(&hall, 0, false, None);
        rooms.turn_ended(Timestamp(1000));
        assert_eq!(rooms.next_due(), None, "another worker uses it");
        rooms.set_used(&hall, 2, false, None);
        rooms.turn_ended(Timestamp(1010));
        assert_eq!(rooms.next_due(), Some(Timestamp(1060)));
        // A client is on its way into the room.
        assert_eq!(rooms.join(&hall, 1, None, None), Ok(Some((1, at(0)))));
        rooms.turn_ended(Timestamp(1060));
        assert_eq!(rooms.next_due(), None);
        rooms.join_done(&hall);
        rooms.turn_ended(Timestamp(1070));
        assert_eq!(engine.take(), ["subscribe hall"]);
        rooms.turn_ended(Timestamp(1120));
        assert_eq!(engine.take(), ["unsubscribe hall"]);
    }

    #[test]
    fn room_that_has_been_unused_for_longest_is_unsubscribed_from_when_there_are_too_many() {
        let (mut rooms, engine) = rooms(2);
        for (name, now) in [("a", 0), ("b", 1), ("c", 2)] {
            let name: Arc<str> = name.into();
            rooms.set_used(&name, 0, true, None);
            rooms.set_used(&name, 0, false, None);
            rooms.turn_ended(Timestamp(now));
        }
        let told = engine.take();
        assert_eq!(
            told,
            ["subscribe a", "subscribe b", "subscribe c", "unsubscribe a"]
        );
    }

    #[test]
    fn messages_are_held_up_to_a_limit_of_bytes_and_one_more_is_refused() {
        let (mut rooms, _) = rooms(9);
        let (hall, answers): (Arc<str>, Answers) = ("hall".into(), Answers::default());
        rooms.set_used(&hall, 0, true, None);
        let text = "x".repeat(1 << 20);
        let bytes = publication("hall", &text, &Answers::default()).bytes();
        for _ in 0..HELD_BYTES_MAX / bytes {
            rooms.publish(publication("hall", &text, &answers));
        }
        assert!(answers.lock().unwrap().is_empty());
        rooms.publish(publication("hall", &text, &answers));
        assert_eq!(
            *answers.lock().unwrap(),
            [Err(NotPublished::BackplaneBehind)]
        );
    }

    /// What the engine does with a room.
    #[derive(Clone, Debug)]
    enum Step {
        /// Messages; perhaps the node does not get them.
        Publish { lost: bool, count: u64 },
        /// The node gets messages again.
        Again { back: u64, count: u64 },
        /// The node is told where the room is, with so many messages.
        Load { messages: u64 },
        /// The next message is in another epoch; perhaps the node is not told of that.
        Restart { told: bool, offset: u64 },
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => (0..4u8, 1..4u64).prop_map(|(lost, count)| Step::Publish { lost: lost == 0, count }),
            1 => (0..5u64, 1..4u64).prop_map(|(back, count)| Step::Again { back, count }),
            1 => (0..6u64).prop_map(|messages| Step::Load { messages }),
            1 => (any::<bool>(), 0..9u64).prop_map(|(told, offset)| Step::Restart { told, offset }),
        ]
    }

    /// The node gets messages, the last of which is in front of this place: each is dropped, or it follows the one before it, or a gap.
    fn deliver(rooms: &mut OwnedRooms<u32>, place: &mut Position, last: Position, count: u64) {
        let first = Position::new(last.epoch(), last.offset() + 1 - count);
        let delivered = rooms.deliver("hall", first, count as usize);
        let Delivered::Next { known, gap } = delivered else {
            return;
        };
        *place = gap.unwrap_or(*place);
        for index in known as u64..count {
            assert_eq!(place.plus(1), first.plus(index));
            *place = place.plus(1);
        }
        assert_eq!(rooms.position("hall"), Some(*place));
    }

    proptest! {
        /// The log of a node: each place follows the one before it, or a gap, and none comes twice.
        #[test]
        fn node_has_the_sequence_of_the_engine_or_a_gap(steps in prop::collection::vec(step(), 0..80)) {
            let (mut rooms, _) = rooms(9);
            rooms.set_used(&"hall".into(), 0, true, None);
            let mut head = at(3);
            rooms.load("hall", &kept(head, 0));
            let (mut place, mut begin) = (head, head.offset());
            let mut epoch = 7;
            for step in steps {
                match step {
                    Step::Publish { lost, count } => {
                        head = head.plus(count);
                        if !lost {
                            deliver(&mut rooms, &mut place, head, count);
                        }
                    }
                    Step::Again { back, count } if head.offset() >= begin + back + count && place.epoch() == head.epoch() => {
                        let again = Position::new(head.epoch(), head.offset() - back);
                        deliver(&mut rooms, &mut place, again, count);
                    }
                    Step::Again { .. } => {}
                    Step::Load { messages } => {
                        let messages = messages.min(head.offset() - begin);
                        let (Loaded::Next { from, gap }, _) = rooms.load("hall", &kept(head, messages as usize)) else {
                            continue;
                        };
                        place = gap.unwrap_or(place);
                        for offset in head.offset() - messages + from as u64..head.offset() {
                            prop_assert_eq!(place, Position::new(head.epoch(), offset));
                            place = place.plus(1);
                        }
                        prop_assert_eq!(place, head);
                    }
                    Step::Restart { told, offset } => {
                        epoch += 1;
                        (head, begin) = (Position::new(epoch, offset), offset);
                        if told && rooms.gap("hall", head) {
                            place = head;
                        }
                    }
                }
            }
        }
    }
}
