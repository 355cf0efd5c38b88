//! The rooms of a data file: numbering messages and keeping them, in transactions.
//!
//! ```text
//!   append    a batch ─▶ BEGIN ─▶ space for it ─▶ each message: next offset of its room, a row ─▶ limits of the rooms ─▶ COMMIT
//!   subscribe a room's epoch, its newest offset, and the messages that it keeps
//!   tidy      messages that are too old, rooms that nobody uses, space that the file does not need
//! ```
//!
//! The offset of a message is in the transaction that keeps the message. So an offset that somebody has seen is in the file, and an
//! offset of a transaction that failed is free again, together with its message.
//!
//! Cost: a transaction is about 30 µs and its fsync, if there is one; each message in it about 4 µs more. Bounds: a transaction drops
//! at most [`ROOMS_DROPPED_MAX`] times 4,096 messages; rooms that were used lately are in a cache of [`ROOMS_CACHED_MAX`].

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, Row, Transaction, TransactionBehavior, params};
use yamabiko::server::{BackplaneMessage, Message, Position, RoomHistory};

use crate::file::DataFile;
use crate::records::{self, RecordChanges};
use crate::room::{Room, Time, framed};

/// The rooms of an open data file.
pub(crate) struct Store {
    file: DataFile,
    /// Rooms that were used lately, as the file has them.
    rooms: HashMap<Arc<str>, Room>,
    subscribed: HashSet<Arc<str>>,
    /// The epochs of new rooms with subscribers that could not be written yet.
    unsaved: HashMap<Arc<str>, u64>,
}

/// New messages of one room, in their order.
#[derive(Debug)]
pub(crate) struct RoomBatch {
    pub(crate) room: Arc<str>,
    /// What the room is to keep.
    pub(crate) history: Option<RoomHistory>,
    pub(crate) messages: Vec<BackplaneMessage>,
}

/// A room as its subscribers begin with it.
#[derive(Debug)]
pub(crate) struct Loaded {
    /// The place behind the newest message.
    pub(crate) head: Position,
    /// The kept messages, up to the newest one.
    pub(crate) messages: Vec<BackplaneMessage>,
    /// Why the kept messages are none, if they cannot be read.
    pub(crate) unreadable: Option<rusqlite::Error>,
}

impl Store {
    pub(crate) fn new(file: DataFile) -> Store {
        Store {
            file,
            rooms: HashMap::new(),
            subscribed: HashSet::new(),
            unsaved: HashMap::new(),
        }
    }

    /// Numbers these messages and keeps them, all or none. When this returns they are as durable as the setting says. Returns the place
    /// behind the first message of each room.
    pub(crate) fn append(
        &mut self,
        batches: &[RoomBatch],
        now: Time,
    ) -> rusqlite::Result<Vec<Position>> {
        let messages = batches.iter().flat_map(|batch| &batch.messages);
        match messages
            .filter(|message| message.erases().is_some())
            .count()
        {
            0 => self.insert(batches, now),
            _ => self.erasing(|store| store.insert(batches, now)),
        }
    }

    fn insert(&mut self, batches: &[RoomBatch], now: Time) -> rusqlite::Result<Vec<Position>> {
        let bytes_max = self.file.bytes_max;
        self.change(now, |changes| {
            changes.make_space(bytes_needed(batches), bytes_max)?;
            let positions = batches.iter().map(|batch| changes.insert(batch)).collect();
            changes.enforce_limits()?;
            positions
        })
    }

    /// What the call removes is nowhere in the file and its write-ahead log when this returns.
    fn erasing<T>(
        &mut self,
        call: impl FnOnce(&mut Store) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<T> {
        self.overwrite_deleted("ON")?;
        let result = call(self);
        self.overwrite_deleted("FAST")?;
        if result.is_ok() {
            // The log still has the pages as they were. If it cannot be emptied now, the next checkpoint does it.
            let emptied =
                self.file
                    .connection
                    .query_row("PRAGMA wal_checkpoint(TRUNCATE)", (), |_| Ok(()));
            drop(emptied);
        }
        result
    }

    fn overwrite_deleted(&self, how: &str) -> rusqlite::Result<()> {
        let file = &self.file.connection;
        file.pragma_update_and_check(None, "secure_delete", how, |_| Ok(()))
    }

    /// The bytes of the file at most.
    pub(crate) fn bytes_max(&self) -> u64 {
        self.file.bytes_max
    }

    /// Whether these messages would fit into an empty file.
    pub(crate) fn can_hold(&self, batches: &[RoomBatch]) -> bool {
        bytes_needed(batches) <= self.file.bytes_max
    }

    /// Whether messages are delivered to this room.
    pub(crate) fn is_subscribed(&self, room: &str) -> bool {
        self.subscribed.contains(room)
    }

    /// The room has subscribers from now on.
    ///
    /// # Errors
    /// The room cannot be read. It has subscribers nevertheless.
    pub(crate) fn subscribe(
        &mut self,
        name: &Arc<str>,
        history: Option<RoomHistory>,
        now: Time,
    ) -> rusqlite::Result<Loaded> {
        self.subscribed.insert(name.clone());
        let Some(room) = self.find(name, history, now)?.cloned() else {
            let epoch = self.unsaved_epoch(name)?;
            return Ok(Loaded {
                head: Position::new(epoch, 0),
                messages: Vec::new(),
                unreadable: None,
            });
        };
        let head = Position::new(room.epoch, room.head);
        let kept = room.read_kept(&self.file.connection, now, read_message);
        let (messages, unreadable) = match kept {
            Ok(messages) => (messages, None),
            Err(error) => (Vec::new(), Some(error)),
        };
        Ok(Loaded {
            head,
            messages,
            unreadable,
        })
    }

    /// The room has no subscriber any more.
    pub(crate) fn unsubscribe(&mut self, room: &str) {
        self.subscribed.remove(room);
        self.unsaved.remove(room);
    }

    /// The room, which is created if it is new. `None`: it is new, and the file takes no changes now.
    fn find(
        &mut self,
        name: &Arc<str>,
        history: Option<RoomHistory>,
        now: Time,
    ) -> rusqlite::Result<Option<&Room>> {
        if !self.rooms.contains_key(name) {
            match Room::find(&self.file.connection, name)? {
                Some(room) => _ = self.rooms.insert(name.clone(), room),
                None if self
                    .change(now, |changes| changes.room(name).map(|_| ()))
                    .is_err() =>
                {
                    return Ok(None);
                }
                None => {}
            }
        }
        let room = self.rooms.get_mut(name);
        Ok(room.map(|room| {
            room.set_history(history);
            &*room
        }))
    }

    /// The epoch with which the room will be created.
    fn unsaved_epoch(&mut self, name: &Arc<str>) -> rusqlite::Result<u64> {
        if let Some(&epoch) = self.unsaved.get(name) {
            return Ok(epoch);
        }
        let epoch = Room::new_epoch(&self.file.connection)?;
        self.unsaved.insert(name.clone(), epoch);
        Ok(epoch)
    }

    /// Drops what is too old, a bounded part of it. Returns whether there may be more.
    pub(crate) fn tidy(&mut self, unused_before: Time, now: Time) -> rusqlite::Result<bool> {
        let file = &self.file.connection;
        let expired = Room::with_expired_messages(file, now, ROOMS_DROPPED_MAX)?;
        let unused = Room::unused(file, unused_before, ROOMS_FORGOTTEN_MAX)?;
        let is_more = expired.len() == ROOMS_DROPPED_MAX || unused.len() == ROOMS_FORGOTTEN_MAX;
        if !expired.is_empty() {
            self.change(now, |changes| changes.drop_expired(&expired))?;
        }
        if !unused.is_empty() {
            self.forget(&unused, now)?;
        }
        self.give_back_space()?;
        Ok(is_more)
    }

    /// Forgets rooms without messages. Those that have subscribers stay, and count as used now.
    fn forget(&mut self, unused: &[String], now: Time) -> rusqlite::Result<()> {
        let (kept, forgotten): (Vec<_>, Vec<_>) = unused
            .iter()
            .partition(|name| self.subscribed.contains(&***name));
        self.change(now, |changes| {
            kept.iter()
                .try_for_each(|name| changes.room(name).map(|room| room.use_at(now)))?;
            forgotten.iter().try_for_each(|name| changes.forget(name))
        })?;
        forgotten
            .iter()
            .for_each(|name| _ = self.rooms.remove(&***name));
        Ok(())
    }

    /// Whether the file takes so many bytes now: writes them, and removes them again.
    pub(crate) fn probe(&mut self, bytes: u64) -> rusqlite::Result<()> {
        let file = &self.file.connection;
        let bytes = i32::try_from(bytes).unwrap_or(i32::MAX);
        // No room has this number. What a killed server has left is replaced.
        let insert = "INSERT OR REPLACE INTO messages VALUES (0, 0, 0, zeroblob(?))";
        file.execute(insert, [bytes])?;
        file.execute("DELETE FROM messages WHERE room = 0", ())?;
        Ok(())
    }

    /// Puts and removes records of the application, all or none.
    pub(crate) fn change_records(&mut self, changes: &RecordChanges) -> rusqlite::Result<()> {
        records::change(&mut self.file.connection, changes)
    }

    /// All records, the one last that was put last.
    pub(crate) fn records(&self) -> rusqlite::Result<Vec<(String, String)>> {
        records::load(&self.file.connection)
    }

    /// Ends the run: all is in the file.
    pub(crate) fn close(self) -> rusqlite::Result<()> {
        self.file.close()
    }

    /// Returns free pages to the file system, if there are many.
    fn give_back_space(&mut self) -> rusqlite::Result<()> {
        let space = Space::of(&self.file.connection)?;
        if space.free_pages > PAGES_GIVEN_BACK && space.free_pages > space.pages / 4 {
            let vacuum = format!("PRAGMA incremental_vacuum({PAGES_GIVEN_BACK})");
            let mut vacuum = self.file.connection.prepare(&vacuum)?;
            // Each step gives back a page.
            let mut pages = vacuum.query(())?;
            while pages.next()?.is_some() {}
        }
        Ok(())
    }

    /// Changes rooms in one transaction. If it fails, nothing has changed.
    fn change<T>(
        &mut self,
        now: Time,
        change: impl FnOnce(&mut Changes<'_>) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<T> {
        let connection = &mut self.file.connection;
        let file = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut changes = Changes {
            file,
            rooms: &self.rooms,
            unsaved: &self.unsaved,
            changed: HashMap::new(),
            now,
        };
        let result = change(&mut changes)?;
        let changed = changes.commit()?;
        changed
            .keys()
            .for_each(|name| _ = self.unsaved.remove(name));
        if self.rooms.len() > ROOMS_CACHED_MAX {
            self.rooms.clear();
        }
        self.rooms.extend(changed);
        Ok(result)
    }
}

/// Rooms that a transaction changes.
struct Changes<'s> {
    file: Transaction<'s>,
    rooms: &'s HashMap<Arc<str>, Room>,
    unsaved: &'s HashMap<Arc<str>, u64>,
    changed: HashMap<Arc<str>, Room>,
    now: Time,
}

impl Changes<'_> {
    /// The room, which is created if it is new.
    fn room(&mut self, name: &str) -> rusqlite::Result<&mut Room> {
        // Two look-ups: the borrow checker does not accept one that returns what it has found.
        if !self.changed.contains_key(name) {
            let room = match self.rooms.get(name) {
                Some(room) => room.clone(),
                None => self.read_or_create(name)?,
            };
            self.changed.insert(name.into(), room);
        }
        self.changed
            .get_mut(name)
            .ok_or(rusqlite::Error::QueryReturnedNoRows)
    }

    fn read_or_create(&self, name: &str) -> rusqlite::Result<Room> {
        match Room::find(&self.file, name)? {
            Some(room) => Ok(room),
            None => {
                let epoch = self.unsaved.get(name).copied();
                Room::create(&self.file, name, epoch, self.now)
            }
        }
    }

    /// Drops the oldest messages of all rooms, if the file has no space for so many bytes.
    fn make_space(&mut self, needed: u64, bytes_max: u64) -> rusqlite::Result<()> {
        let space = Space::of(&self.file)?;
        if space.used_bytes().saturating_add(needed) <= bytes_max {
            return Ok(());
        }
        // Not every batch is to drop some.
        let wanted = bytes_max
            .saturating_sub(needed)
            .saturating_sub(bytes_max / 16);
        for _ in 0..ROOMS_DROPPED_MAX {
            let missing = Space::of(&self.file)?.used_bytes().saturating_sub(wanted);
            if missing == 0 {
                break;
            }
            let Some(oldest) = Room::with_oldest_message(&self.file)? else {
                break;
            };
            self.drop_bytes(&oldest, missing)?;
        }
        Ok(())
    }

    fn drop_bytes(&mut self, room: &str, bytes: u64) -> rusqlite::Result<()> {
        self.room(room)?;
        let Changes { file, changed, .. } = self;
        let Some(room) = changed.get_mut(room) else {
            return Ok(());
        };
        room.drop_bytes(file, bytes)?;
        room.write(file)
    }

    /// Gives each message the next offset of the room. Returns the place behind the first one.
    fn insert(&mut self, batch: &RoomBatch) -> rusqlite::Result<Position> {
        let now = self.now;
        self.room(&batch.room)?.set_history(batch.history);
        let Changes { file, changed, .. } = self;
        let room = changed.get_mut(&*batch.room);
        let room = room.ok_or(rusqlite::Error::QueryReturnedNoRows)?;
        let first = Position::new(room.epoch, room.head + 1);
        let mut insert = file.prepare("INSERT INTO messages VALUES (?, ?, ?, ?)")?;
        for message in &batch.messages {
            let bytes = framed(message.payload().len() as u64);
            if let Some(row) = room.take_next(bytes, now) {
                insert.execute(params![row.room, row.offset, now, column(message)])?;
            }
            if let Some(erasure) = message.erases() {
                room.erase(file, erasure)?;
            }
        }
        Ok(first)
    }

    fn enforce_limits(&mut self) -> rusqlite::Result<()> {
        let Changes { file, changed, .. } = self;
        changed
            .values_mut()
            .try_for_each(|room| room.drop_beyond_limits(file))
    }

    fn drop_expired(&mut self, rooms: &[String]) -> rusqlite::Result<()> {
        let now = self.now;
        for name in rooms {
            self.room(name)?;
            let Changes { file, changed, .. } = self;
            if let Some(room) = changed.get_mut(&**name) {
                room.drop_expired(file, now)?;
            }
        }
        Ok(())
    }

    fn forget(&mut self, room: &str) -> rusqlite::Result<()> {
        match Room::find(&self.file, room)? {
            Some(room) => room.remove(&self.file),
            None => Ok(()),
        }
    }

    /// Returns the rooms as the file has them now.
    fn commit(self) -> rusqlite::Result<HashMap<Arc<str>, Room>> {
        let Changes { file, changed, .. } = self;
        changed.values().try_for_each(|room| room.write(&file))?;
        file.commit()?;
        Ok(changed)
    }
}

/// How the file's pages are used.
struct Space {
    page_bytes: u64,
    pages: u64,
    free_pages: u64,
}

impl Space {
    fn of(file: &Connection) -> rusqlite::Result<Space> {
        let read = |name: &str| {
            let number = |row: &Row<'_>| row.get::<_, i64>(0);
            file.pragma_query_value(None, name, number)
                .map(i64::cast_unsigned)
        };
        Ok(Space {
            page_bytes: read("page_size")?,
            pages: read("page_count")?,
            free_pages: read("freelist_count")?,
        })
    }

    fn used_bytes(&self) -> u64 {
        (self.pages - self.free_pages) * self.page_bytes
    }
}

/// The bytes that these messages take in the file, at most: a long one has pages of its own.
fn bytes_needed(batches: &[RoomBatch]) -> u64 {
    let messages = batches.iter().flat_map(|batch| &batch.messages);
    let of_message = |message: &BackplaneMessage| match message.payload().len() as u64 {
        short @ 0..=1000 => short * 2 + 64,
        long => long + 2 * 4096,
    };
    messages.map(of_message).sum::<u64>() + SPARE_BYTES
}

/// A text as TEXT, so that `sqlite3` shows it, and binary data as BLOB.
fn column(message: &BackplaneMessage) -> ToSqlOutput<'_> {
    ToSqlOutput::Borrowed(match message.is_text() {
        true => ValueRef::Text(message.payload()),
        false => ValueRef::Blob(message.payload()),
    })
}

fn read_message(row: &Row<'_>) -> rusqlite::Result<(BackplaneMessage, u64)> {
    let column = row.get_ref("message")?;
    let message = match column {
        ValueRef::Blob(data) => Message::Binary(data),
        text => Message::Text(text.as_str()?),
    };
    let bytes = message.as_bytes().len() as u64;
    Ok((BackplaneMessage::new(0, message), bytes))
}

/// For the rooms' own rows, and pages that are divided.
const SPARE_BYTES: u64 = 128 << 10;

/// Rooms whose messages one transaction drops.
const ROOMS_DROPPED_MAX: usize = 64;

/// Rooms that one transaction forgets.
const ROOMS_FORGOTTEN_MAX: usize = 256;

/// Rooms that are not read again when they are used.
const ROOMS_CACHED_MAX: usize = 16_384;

/// Pages that are returned to the file system at a time.
const PAGES_GIVEN_BACK: u64 = 1024;

#[cfg(test)]
impl Store {
    /// Every change fails from now on, as on a full disk; or none.
    pub(crate) fn refuse_changes(&mut self, refused: bool) {
        let set = self
            .file
            .connection
            .pragma_update(None, "query_only", refused);
        set.expect("a setting");
    }
}
