//! A worker's share of the rooms: the names, the members that this worker
//! serves, and the logs that they read from.
//!
//! Publishing is an append to a log; nothing is written to a socket until the
//! turn ends. A room exists on a worker while somebody there is in it.

use super::handler::Message;
use super::mail::{ConnectionId, Post, Published};
use super::metrics::{Board, Metrics, RoomLag};
use super::places::{Place, Places};
use super::slow::{Ages, SlowPolicy, SlowReaders};
use crate::broadcast::{ChunkPool, Lag, LagBounds, LogLimits, Remainder, Room, Skipped};
use crate::reactor::{Millis, SocketKey};
use crate::websocket::frame::{Opcode, encode};
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

/// All rooms of one worker.
pub(super) struct Rooms {
    worker: usize,
    by_name: HashMap<Arc<str>, u32>,
    rooms: Vec<Option<Entry>>,
    free: Vec<u32>,
    /// Rooms with something to flush, each once.
    dirty: Vec<u32>,
    /// Rooms in which somebody is behind, each once.
    watched: Vec<u32>,
    slow_readers: SlowReadersOf,
    pub(super) metrics: Metrics,
    board: Arc<Board>,
    shared_bytes_min: usize,
    pub(super) pool: ChunkPool,
    pub(super) post: Post,
}

struct Entry {
    name: Arc<str>,
    room: Room,
    dirty: bool,
    watched: bool,
    slow_readers: SlowReaders,
    ages: Ages,
}

/// What a room of this name does with slow readers.
pub(super) type SlowReadersOf = Arc<dyn Fn(&str) -> SlowReaders + Send + Sync>;

/// A member that is over its room's bounds.
#[derive(Clone, Copy, Debug)]
pub(super) struct TooSlow {
    pub(super) key: SocketKey,
    pub(super) place: Place,
    pub(super) policy: SlowPolicy,
    pub(super) lag: Lag,
}

impl Rooms {
    pub(super) fn new(
        worker: usize,
        post: Post,
        board: Arc<Board>,
        slow_readers: SlowReadersOf,
    ) -> Rooms {
        let limits = LogLimits::default();
        Rooms {
            worker,
            by_name: HashMap::new(),
            rooms: Vec::new(),
            free: Vec::new(),
            dirty: Vec::new(),
            watched: Vec::new(),
            slow_readers,
            metrics: Metrics::default(),
            board,
            shared_bytes_min: limits.shared_bytes_min,
            pool: ChunkPool::new(limits, IDLE_CHUNKS_MAX),
            post,
        }
    }

    /// Takes the connection into the room, unless `places` says it is there.
    pub(super) fn join(&mut self, name: &str, key: SocketKey, places: &mut Places) {
        if self.place_in(name, places).is_some() {
            return;
        }
        let room = self.index_or_new(name);
        if let Some(entry) = entry_mut(&mut self.rooms, room) {
            let membership = entry.room.join(key.to_bits());
            places.push(Place { room, membership });
        }
    }

    /// Lets the connection go. What it had not got of the room, it misses, but
    /// for the rest of a message that was begun: the caller writes that before
    /// anything else.
    #[must_use = "a message that was begun has to be finished"]
    pub(super) fn leave(&mut self, place: Place) -> Option<Remainder> {
        let entry = entry_mut(&mut self.rooms, place.room)?;
        let missed = entry.room.skip_to_end(place.membership, &mut self.pool);
        self.metrics.abandoned += missed.records;
        entry.room.leave(place.membership, &mut self.pool);
        if entry.room.is_empty() {
            self.dissolve(place.room);
        }
        missed.remainder
    }

    /// Which of these places is in the room.
    pub(super) fn place_in(&self, name: &str, places: &Places) -> Option<Place> {
        let room = *self.by_name.get(name)?;
        places
            .as_slice()
            .iter()
            .find(|place| place.room == room)
            .copied()
    }

    /// Says something to everyone in the room, on all workers, but `except`.
    pub(super) fn publish(
        &mut self,
        name: &str,
        message: Message<'_>,
        except: Option<(ConnectionId, Option<Place>)>,
    ) {
        let excepted_place = except.and_then(|(_, place)| place);
        if self.post.workers() == 1 {
            self.append_message(name, message, excepted_place);
            return;
        }
        let published = Published {
            room: name.into(),
            frame: encode_frame(message),
            except: except.map(|(id, _)| id),
        };
        match home(name, self.post.workers()) {
            home if home == self.worker => self.order(published, excepted_place),
            home => self.post.send_home(home, published),
        }
    }

    /// At the room's home: this message comes next, for every worker.
    pub(super) fn order(&mut self, published: Published, except: Option<Place>) {
        self.post.send_to_others(&published);
        self.deliver(published, except);
    }

    /// Appends what the room's home has put in order.
    pub(super) fn deliver(&mut self, published: Published, except: Option<Place>) {
        let Some(room) = self.mark_dirty(&published.room) else {
            return;
        };
        let Some(entry) = entry_mut(&mut self.rooms, room) else {
            return;
        };
        let except = except.filter(|place| place.room == room);
        self.metrics.deliveries += receivers(&entry.room, except);
        let (pool, frame) = (&mut self.pool, published.frame);
        let shared = frame.len() >= self.shared_bytes_min;
        match (except, shared) {
            (None, false) => entry.room.append(&frame, pool),
            (None, true) => entry.room.append_shared(frame, pool),
            (Some(place), false) => entry.room.append_except(place.membership, &frame, pool),
            (Some(place), true) => entry
                .room
                .append_shared_except(place.membership, frame, pool),
        }
    }

    /// The only worker: the frame is encoded straight into the room's log.
    fn append_message(&mut self, name: &str, message: Message<'_>, except: Option<Place>) {
        let Some(room) = self.mark_dirty(name) else {
            return;
        };
        let Some(entry) = entry_mut(&mut self.rooms, room) else {
            return;
        };
        let bytes = message.as_bytes().len() + HEADER_BYTES_MAX;
        let write = |log: &mut Vec<u8>| write_frame(message, log);
        let except = except.filter(|place| place.room == room);
        self.metrics.deliveries += receivers(&entry.room, except);
        match except {
            None => entry.room.append_with(bytes, write, &mut self.pool),
            Some(place) => {
                entry
                    .room
                    .append_with_except(place.membership, bytes, write, &mut self.pool);
            }
        }
    }

    /// The rooms with something to flush; each is clean afterwards.
    pub(super) fn take_dirty(&mut self) -> Vec<u32> {
        std::mem::take(&mut self.dirty)
    }

    /// Gives the list back, so that its memory serves the next turn.
    pub(super) fn reuse_dirty(&mut self, mut list: Vec<u32>) {
        if self.dirty.is_empty() {
            list.clear();
            self.dirty = list;
        }
    }

    /// A room that was dirty, with the pool that its log gives memory back to.
    pub(super) fn clean(&mut self, room: u32) -> Option<(&mut Room, &mut ChunkPool)> {
        let entry = entry_mut(&mut self.rooms, room)?;
        entry.dirty = false;
        Some((&mut entry.room, &mut self.pool))
    }

    /// A room, with the pool that its log gives memory back to.
    pub(super) fn room(&mut self, room: u32) -> Option<(&mut Room, &mut ChunkPool)> {
        let entry = entry_mut(&mut self.rooms, room)?;
        Some((&mut entry.room, &mut self.pool))
    }

    /// Whether a room has something to flush.
    pub(super) fn is_dirty(&self) -> bool {
        !self.dirty.is_empty()
    }

    /// The room's name.
    pub(super) fn name(&self, room: u32) -> Option<Arc<str>> {
        Some(entry(&self.rooms, room)?.name.clone())
    }

    /// The room has been flushed: is somebody behind, and since when?
    pub(super) fn watch(&mut self, room: u32, now: Millis) {
        let Some(entry) = entry_mut(&mut self.rooms, room) else {
            return;
        };
        if entry.room.blocked() == 0 {
            return;
        }
        if let Some(age_max) = entry.slow_readers.age_max {
            entry.ages.mark(entry.room.log().head(), now, age_max);
        }
        if !entry.watched {
            entry.watched = true;
            self.watched.push(room);
        }
    }

    /// The rooms in which somebody is behind. Those that have caught up are
    /// taken off the list first.
    pub(super) fn watched(&mut self) -> &[u32] {
        let (rooms, board) = (&mut self.rooms, &self.board);
        self.watched.retain(|&room| {
            let Some(entry) = entry_mut(rooms, room) else {
                return false;
            };
            entry.watched = entry.room.blocked() > 0;
            if !entry.watched {
                entry.ages.clear();
                board.drop_lag(&entry.name);
            }
            entry.watched
        });
        &self.watched
    }

    /// When the first of those who are behind will be too old.
    pub(super) fn too_old_at(&self) -> Option<Millis> {
        let entries = self
            .watched
            .iter()
            .filter_map(|&room| entry(&self.rooms, room));
        entries
            .filter_map(|entry| entry.ages.due(entry.slow_readers.age_max?))
            .min()
    }

    /// The room's members that are over its bounds.
    pub(super) fn too_slow(&mut self, room: u32, now: Millis, into: &mut Vec<TooSlow>) {
        let Some(entry) = entry_mut(&mut self.rooms, room) else {
            return;
        };
        let SlowReaders {
            policy,
            bytes_max,
            messages_max,
            age_max,
        } = entry.slow_readers;
        let too_old = age_max.map_or(0, |age_max| entry.ages.too_old(now, age_max));
        let bounds = match policy {
            SlowPolicy::Latest => LagBounds {
                bytes: u64::MAX,
                records: 1,
                position: 0,
            },
            _ => LagBounds {
                bytes: bytes_max,
                records: messages_max,
                position: too_old,
            },
        };
        let head = entry.room.log().head();
        for membership in entry.room.lagging(&bounds) {
            let (Some(key), Some(lag)) = (entry.room.key(membership), entry.room.lag(membership))
            else {
                continue;
            };
            // Whoever has begun to get the newest message may finish it in time.
            if lag.records > 1 || head - lag.bytes < too_old {
                let (key, place) = (SocketKey::from_bits(key), Place { room, membership });
                into.push(TooSlow {
                    key,
                    place,
                    policy,
                    lag,
                });
            }
        }
    }

    /// A member misses what waits for it, but for the newest message if
    /// `latest`.
    pub(super) fn skip(&mut self, place: Place, latest: bool) -> Skipped {
        let Some(entry) = entry_mut(&mut self.rooms, place.room) else {
            return Skipped::default();
        };
        let skipped = match latest {
            true => entry.room.skip_to_latest(place.membership, &mut self.pool),
            false => entry.room.skip_to_end(place.membership, &mut self.pool),
        };
        self.metrics.skipped += skipped.records;
        skipped
    }

    /// Shows the worker's numbers to others.
    pub(super) fn show(&mut self) {
        self.board.show(&self.metrics);
        for &room in &self.watched {
            let Some(Entry { name, room, .. }) = entry(&self.rooms, room) else {
                continue;
            };
            let log = room.log();
            self.board.show_lag(RoomLag {
                room: name.clone(),
                members: room.len(),
                behind: room.blocked(),
                bytes: log.head() - log.tail(),
                held_bytes: log.held_bytes(),
            });
        }
    }

    fn mark_dirty(&mut self, name: &str) -> Option<u32> {
        let room = *self.by_name.get(name)?;
        let entry = entry_mut(&mut self.rooms, room)?;
        if !entry.dirty {
            entry.dirty = true;
            self.dirty.push(room);
        }
        Some(room)
    }

    fn index_or_new(&mut self, name: &str) -> u32 {
        if let Some(&room) = self.by_name.get(name) {
            return room;
        }
        let shared_name: Arc<str> = name.into();
        let entry = Entry {
            name: shared_name.clone(),
            room: Room::new(),
            dirty: false,
            watched: false,
            slow_readers: (self.slow_readers)(name),
            ages: Ages::default(),
        };
        let room = self.free.pop().unwrap_or_else(|| {
            self.rooms.push(None);
            // Each room has a member with a socket: there are far fewer.
            (self.rooms.len() - 1) as u32
        });
        self.rooms[room as usize] = Some(entry);
        self.by_name.insert(shared_name, room);
        room
    }

    fn dissolve(&mut self, room: u32) {
        if let Some(entry) = self.rooms[room as usize].take() {
            self.by_name.remove(&entry.name);
            self.dirty.retain(|&dirty| dirty != room);
            if entry.watched {
                self.watched.retain(|&watched| watched != room);
                self.board.drop_lag(&entry.name);
            }
            entry.room.dissolve(&mut self.pool);
            self.free.push(room);
        }
    }
}

fn entry(rooms: &[Option<Entry>], room: u32) -> Option<&Entry> {
    rooms.get(room as usize)?.as_ref()
}

fn entry_mut(rooms: &mut [Option<Entry>], room: u32) -> Option<&mut Entry> {
    rooms.get_mut(room as usize)?.as_mut()
}

/// For how many members a message is.
fn receivers(room: &Room, except: Option<Place>) -> u64 {
    room.len() as u64 - u64::from(except.is_some())
}

/// Appends a whole message as a server sends it: one frame, unmasked.
pub(super) fn write_frame(message: Message<'_>, output: &mut Vec<u8>) {
    let opcode = match message {
        Message::Text(_) => Opcode::Text,
        Message::Binary(_) => Opcode::Binary,
    };
    encode(true, opcode, None, message.as_bytes(), output);
}

/// The same, as one allocation that workers share.
pub(super) fn encode_frame(message: Message<'_>) -> Arc<[u8]> {
    let mut frame = Vec::with_capacity(message.as_bytes().len() + HEADER_BYTES_MAX);
    write_frame(message, &mut frame);
    frame.into()
}

/// The worker that puts a room's messages in order: 0 ≤ home < workers.
pub(super) fn home(room: &str, workers: usize) -> usize {
    let mut hasher = DefaultHasher::new();
    room.hash(&mut hasher);
    usize::try_from(hasher.finish() % workers.max(1) as u64).unwrap_or(0)
}

/// A server's frames have no masking key.
const HEADER_BYTES_MAX: usize = 10;

/// Chunks of 64 KiB that a worker keeps for reuse: 4 MiB.
const IDLE_CHUNKS_MAX: usize = 64;
