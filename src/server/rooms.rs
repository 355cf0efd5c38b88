//! A worker's share of the rooms: the names, the members that this worker
//! serves, and the logs that they read from.
//!
//! Publishing is an append to a log; nothing is written to a socket until the
//! turn ends. A room exists on a worker while somebody there is in it.

use super::handler::Message;
use super::mail::{ConnectionId, Post, Published};
use crate::broadcast::{ChunkPool, LagBounds, LogLimits, Membership, Remainder, Room};
use crate::reactor::SocketKey;
use crate::websocket::frame::{Opcode, encode};
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

/// All rooms of one worker.
pub(super) struct Rooms {
    worker: usize,
    by_name: HashMap<Box<str>, usize>,
    rooms: Vec<Option<Entry>>,
    free: Vec<usize>,
    /// Rooms with something to flush, each once.
    dirty: Vec<usize>,
    shared_bytes_min: usize,
    pub(super) pool: ChunkPool,
    pub(super) post: Post,
}

struct Entry {
    name: Box<str>,
    room: Room,
    dirty: bool,
}

/// A connection's membership in one room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) room: usize,
    pub(super) membership: Membership,
}

impl Rooms {
    pub(super) fn new(worker: usize, post: Post) -> Rooms {
        let limits = LogLimits::default();
        Rooms {
            worker,
            by_name: HashMap::new(),
            rooms: Vec::new(),
            free: Vec::new(),
            dirty: Vec::new(),
            shared_bytes_min: limits.shared_bytes_min,
            pool: ChunkPool::new(limits, IDLE_CHUNKS_MAX),
            post,
        }
    }

    /// Takes the connection into the room, unless `places` says it is there.
    pub(super) fn join(&mut self, name: &str, key: SocketKey, places: &mut Vec<Place>) {
        if self.place_in(name, places).is_some() {
            return;
        }
        let room = self.index_or_new(name);
        if let Some(entry) = &mut self.rooms[room] {
            let membership = entry.room.join(key.to_bits());
            places.push(Place { room, membership });
        }
    }

    /// Lets the connection go. What it had not got of the room, it misses, but
    /// for the rest of a message that was begun: the caller writes that before
    /// anything else.
    #[must_use = "a message that was begun has to be finished"]
    pub(super) fn leave(&mut self, place: Place) -> Option<Remainder> {
        let entry = self.rooms.get_mut(place.room)?.as_mut()?;
        let rest = entry.room.take_remainder(place.membership, &mut self.pool);
        entry.room.leave(place.membership, &mut self.pool);
        if entry.room.is_empty() {
            self.dissolve(place.room);
        }
        rest
    }

    /// Which of these places is in the room.
    pub(super) fn place_in(&self, name: &str, places: &[Place]) -> Option<Place> {
        let room = *self.by_name.get(name)?;
        places.iter().find(|place| place.room == room).copied()
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
        let Some(entry) = &mut self.rooms[room] else {
            return;
        };
        let (pool, frame) = (&mut self.pool, published.frame);
        let shared = frame.len() >= self.shared_bytes_min;
        match (except.filter(|place| place.room == room), shared) {
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
        let Some(entry) = &mut self.rooms[room] else {
            return;
        };
        let bytes = message.as_bytes().len() + HEADER_BYTES_MAX;
        let write = |log: &mut Vec<u8>| write_frame(message, log);
        match except.filter(|place| place.room == room) {
            None => entry.room.append_with(bytes, write, &mut self.pool),
            Some(place) => {
                entry
                    .room
                    .append_with_except(place.membership, bytes, write, &mut self.pool);
            }
        }
    }

    /// The rooms with something to flush; each is clean afterwards.
    pub(super) fn take_dirty(&mut self) -> Vec<usize> {
        std::mem::take(&mut self.dirty)
    }

    /// Gives the list back, so that its memory serves the next turn.
    pub(super) fn reuse_dirty(&mut self, mut list: Vec<usize>) {
        if self.dirty.is_empty() {
            list.clear();
            self.dirty = list;
        }
    }

    /// A room that was dirty, with the pool that its log gives memory back to.
    pub(super) fn clean(&mut self, room: usize) -> Option<(&mut Room, &mut ChunkPool)> {
        let entry = self.rooms.get_mut(room)?.as_mut()?;
        entry.dirty = false;
        Some((&mut entry.room, &mut self.pool))
    }

    /// A room, with the pool that its log gives memory back to.
    pub(super) fn room(&mut self, room: usize) -> Option<(&mut Room, &mut ChunkPool)> {
        let entry = self.rooms.get_mut(room)?.as_mut()?;
        Some((&mut entry.room, &mut self.pool))
    }

    /// The room's members that are over these bounds, with the bytes that they
    /// are behind.
    pub(super) fn lagging(&self, room: usize, bounds: &LagBounds, into: &mut Vec<(u64, u64)>) {
        let Some(Some(entry)) = self.rooms.get(room) else {
            return;
        };
        for membership in entry.room.lagging(bounds) {
            let behind = entry.room.lag(membership).map_or(0, |lag| lag.bytes);
            into.extend(entry.room.key(membership).map(|key| (key, behind)));
        }
    }

    fn mark_dirty(&mut self, name: &str) -> Option<usize> {
        let room = *self.by_name.get(name)?;
        let entry = self.rooms.get_mut(room)?.as_mut()?;
        if !entry.dirty {
            entry.dirty = true;
            self.dirty.push(room);
        }
        Some(room)
    }

    fn index_or_new(&mut self, name: &str) -> usize {
        if let Some(&room) = self.by_name.get(name) {
            return room;
        }
        let entry = Entry {
            name: name.into(),
            room: Room::new(),
            dirty: false,
        };
        let room = self.free.pop().unwrap_or_else(|| {
            self.rooms.push(None);
            self.rooms.len() - 1
        });
        self.rooms[room] = Some(entry);
        self.by_name.insert(name.into(), room);
        room
    }

    fn dissolve(&mut self, room: usize) {
        if let Some(entry) = self.rooms[room].take() {
            self.by_name.remove(&entry.name);
            entry.room.dissolve(&mut self.pool);
            self.dirty.retain(|&dirty| dirty != room);
            self.free.push(room);
        }
    }
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
