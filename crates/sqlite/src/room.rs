//! One room of a data file: its row, and dropping its oldest messages.

use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Row, params};
use std::time::Duration;
use yamabiko::server::{Erasure, RoomHistory};

/// A row of the table `rooms`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Room {
    id: i64,
    pub(crate) epoch: u64,
    /// The offset of the newest message.
    pub(crate) head: u64,
    /// How many messages are kept: the newest ones, none missing among them.
    messages: u64,
    /// Their bytes, counted as [`RoomHistory::bytes_max`] counts them.
    bytes: u64,
    /// When the oldest kept message was published.
    oldest_at: Option<i64>,
    /// When a message was last published.
    used_at: i64,
    /// What is to be kept; `None`: nothing.
    history: Option<RoomHistory>,
}

/// The time in milliseconds since 1970.
pub(crate) type Time = i64;

impl Room {
    /// The room with this name, if the file has it.
    pub(crate) fn find(file: &Connection, name: &str) -> rusqlite::Result<Option<Room>> {
        let mut select = file.prepare(&format!("{SELECT} WHERE name = ?"))?;
        select.query_row([name], Room::read).optional()
    }

    /// A new room, with this epoch, or one of its own.
    pub(crate) fn create(
        file: &Connection,
        name: &str,
        epoch: Option<u64>,
        now: Time,
    ) -> rusqlite::Result<Room> {
        let mut insert = file.prepare(
            "INSERT INTO rooms (name, epoch, head, messages, bytes, used_at)
             VALUES (?, coalesce(?, random()), 0, 0, 0, ?) RETURNING *",
        )?;
        let epoch = epoch.map(u64::cast_signed);
        insert.query_row(params![name, epoch, now], Room::read)
    }

    /// An epoch that no room has.
    pub(crate) fn new_epoch(file: &Connection) -> rusqlite::Result<u64> {
        file.query_row("SELECT random()", (), |row| {
            Ok(row.get::<_, i64>(0)?.cast_unsigned())
        })
    }

    /// The room with the oldest message of all.
    pub(crate) fn with_oldest_message(file: &Connection) -> rusqlite::Result<Option<String>> {
        let select =
            "SELECT name FROM rooms WHERE oldest_at IS NOT NULL ORDER BY oldest_at LIMIT 1";
        file.query_row(select, (), |row| row.get(0)).optional()
    }

    /// Rooms with messages that are too old.
    pub(crate) fn with_expired_messages(
        file: &Connection,
        now: Time,
        most: usize,
    ) -> rusqlite::Result<Vec<String>> {
        let mut select = file
            .prepare("SELECT name FROM rooms WHERE expires_at <= ? ORDER BY expires_at LIMIT ?")?;
        let names = select.query_map(params![now, most as i64], |row| row.get(0))?;
        names.collect()
    }

    /// Rooms without messages that were not published to since `before`.
    pub(crate) fn unused(
        file: &Connection,
        before: Time,
        most: usize,
    ) -> rusqlite::Result<Vec<String>> {
        let mut select = file.prepare(
            "SELECT name FROM rooms WHERE messages = 0 AND used_at < ? ORDER BY used_at LIMIT ?",
        )?;
        let names = select.query_map(params![before, most as i64], |row| row.get(0))?;
        names.collect()
    }

    /// Removes the room, which has no messages.
    pub(crate) fn remove(self, file: &Connection) -> rusqlite::Result<()> {
        file.execute("DELETE FROM rooms WHERE id = ?", [self.id])?;
        Ok(())
    }

    fn read(row: &Row<'_>) -> rusqlite::Result<Room> {
        Ok(Room {
            id: row.get("id")?,
            epoch: row.get::<_, i64>("epoch")?.cast_unsigned(),
            head: count(row, "head")?,
            messages: count(row, "messages")?,
            bytes: count(row, "bytes")?,
            oldest_at: row.get("oldest_at")?,
            used_at: row.get("used_at")?,
            history: history(row)?,
        })
    }

    /// Writes all that has changed in the row.
    pub(crate) fn write(&self, file: &Connection) -> rusqlite::Result<()> {
        let mut update = file.prepare(
            "UPDATE rooms SET head = ?, messages = ?, bytes = ?, oldest_at = ?, expires_at = ?,
             used_at = ?, messages_max = ?, bytes_max = ?, age_max = ? WHERE id = ?",
        )?;
        update.execute(params![
            stored(self.head),
            stored(self.messages),
            stored(self.bytes),
            self.oldest_at,
            self.expires_at(),
            self.used_at,
            self.history.map(|history| stored(history.messages_max)),
            self.history.map(|history| stored(history.bytes_max)),
            self.age_max(),
            self.id,
        ])?;
        Ok(())
    }

    fn age_max(&self) -> Option<Time> {
        let age = self.history?.age_max?;
        Some(i64::try_from(age.as_millis()).unwrap_or(i64::MAX))
    }

    fn expires_at(&self) -> Option<Time> {
        Some(self.oldest_at?.saturating_add(self.age_max()?))
    }

    /// What the room is to keep from now on.
    pub(crate) fn set_history(&mut self, history: Option<RoomHistory>) {
        self.history = history.filter(|history| history.messages_max > 0);
    }

    /// The room is used now, though nothing is published.
    pub(crate) fn use_at(&mut self, now: Time) {
        self.used_at = now;
    }

    /// The next message takes its offset, and is kept if the room has a history.
    pub(crate) fn take_next(&mut self, message_bytes: u64, now: Time) -> Option<NewRow> {
        self.head += 1;
        self.used_at = now;
        self.history?;
        self.messages += 1;
        self.bytes += message_bytes;
        self.oldest_at.get_or_insert(now);
        Some(NewRow {
            room: self.id,
            offset: stored(self.head),
        })
    }

    /// A message of the room is another text from now on, under the same offset.
    pub(crate) fn erase(&mut self, file: &Connection, erasure: &Erasure) -> rusqlite::Result<()> {
        if erasure.position.epoch() != self.epoch {
            return Ok(());
        }
        let offset = stored(erasure.position.offset());
        let select = "SELECT octet_length(message) FROM messages WHERE room = ? AND offset = ?";
        let old = file
            .query_row(select, params![self.id, offset], |row| row.get::<_, i64>(0))
            .optional()?;
        let Some(old) = old else { return Ok(()) };
        file.execute(
            "UPDATE messages SET message = ? WHERE room = ? AND offset = ?",
            params![erasure.instead, self.id, offset],
        )?;
        let new = framed(erasure.instead.len() as u64);
        self.bytes = (self.bytes + new).saturating_sub(framed(old.cast_unsigned()));
        Ok(())
    }

    /// Drops the oldest messages beyond the room's limits. A room is left some messages above them, so that not every message drops
    /// another one. Drops a bounded number at a time.
    pub(crate) fn drop_beyond_limits(&mut self, file: &Connection) -> rusqlite::Result<()> {
        let (messages_max, bytes_max) = match self.history {
            None => (0, 0),
            Some(history) => (history.messages_max, history.bytes_max),
        };
        if self.messages <= with_slack(messages_max) && self.bytes <= with_slack(bytes_max) {
            return Ok(());
        }
        self.drop_while(file, |room, _| {
            room.messages > messages_max || room.bytes > bytes_max
        })?;
        Ok(())
    }

    /// Drops messages that are too old, a bounded number at a time.
    pub(crate) fn drop_expired(&mut self, file: &Connection, now: Time) -> rusqlite::Result<()> {
        let Some(age_max) = self.age_max() else {
            return Ok(());
        };
        self.drop_while(file, |_, at| at.saturating_add(age_max) <= now)?;
        Ok(())
    }

    /// Drops the oldest messages until so many bytes are free, a bounded number at a time. Returns the bytes of the dropped messages.
    pub(crate) fn drop_bytes(&mut self, file: &Connection, bytes: u64) -> rusqlite::Result<u64> {
        let enough = self.bytes.saturating_sub(bytes);
        self.drop_while(file, |room, _| room.bytes > enough)
    }

    /// Drops the oldest message while the function says so of the room and the time of that message. Returns the dropped bytes.
    fn drop_while(
        &mut self,
        file: &Connection,
        too_many: impl Fn(&Room, Time) -> bool,
    ) -> rusqlite::Result<u64> {
        let before = self.bytes;
        let Some(last) = self.count_down(file, too_many)? else {
            return Ok(0);
        };
        let delete = "DELETE FROM messages WHERE room = ? AND offset <= ?";
        file.execute(delete, params![self.id, last])?;
        self.oldest_at = self.read_oldest(file)?;
        Ok(before - self.bytes)
    }

    /// Counts the room without its oldest messages, while the function says so. Returns the offset of the last one.
    fn count_down(
        &mut self,
        file: &Connection,
        too_many: impl Fn(&Room, Time) -> bool,
    ) -> rusqlite::Result<Option<i64>> {
        let mut select = file.prepare(
            "SELECT offset, at, octet_length(message) FROM messages WHERE room = ? ORDER BY offset LIMIT ?",
        )?;
        let mut rows = select.query(params![self.id, DROPPED_MAX])?;
        let mut last = None;
        while let Some(row) = rows.next()? {
            if !too_many(self, row.get(1)?) {
                break;
            }
            last = Some(row.get(0)?);
            self.messages = self.messages.saturating_sub(1);
            self.bytes = self
                .bytes
                .saturating_sub(framed(row.get::<_, i64>(2)?.cast_unsigned()));
        }
        Ok(last)
    }

    /// The time of the oldest message. A room without one has nothing to count.
    fn read_oldest(&mut self, file: &Connection) -> rusqlite::Result<Option<Time>> {
        let select = "SELECT at FROM messages WHERE room = ? ORDER BY offset LIMIT 1";
        let oldest = file
            .query_row(select, [self.id], |row| row.get(0))
            .optional()?;
        if oldest.is_none() {
            (self.messages, self.bytes) = (0, 0);
        }
        Ok(oldest)
    }

    /// The newest messages that the room's limits keep, the oldest one first.
    pub(crate) fn read_kept<M>(
        &self,
        file: &Connection,
        now: Time,
        message: impl Fn(&Row<'_>) -> rusqlite::Result<(M, u64)>,
    ) -> rusqlite::Result<Vec<M>> {
        let Some(history) = self.history else {
            return Ok(Vec::new());
        };
        let mut select = file.prepare(
            "SELECT offset, at, message FROM messages WHERE room = ? ORDER BY offset DESC LIMIT ?",
        )?;
        let mut rows = select.query(params![self.id, stored(history.messages_max)])?;
        let (mut kept, mut bytes, mut next) = (Vec::new(), 0, self.head);
        while let Some(row) = rows.next()? {
            let (offset, at): (u64, Time) = (count(row, "offset")?, row.get("at")?);
            let (read, message_bytes) = message(row)?;
            bytes += framed(message_bytes);
            let expired = self
                .age_max()
                .is_some_and(|age| at.saturating_add(age) <= now);
            if offset != next || bytes > history.bytes_max || expired {
                break;
            }
            kept.push(read);
            next -= 1;
        }
        kept.reverse();
        Ok(kept)
    }
}

/// Where a new message is inserted.
pub(crate) struct NewRow {
    pub(crate) room: i64,
    pub(crate) offset: i64,
}

/// The bytes of a message with the header of its frame.
pub(crate) fn framed(payload_bytes: u64) -> u64 {
    let header = match payload_bytes {
        0..=125 => 2,
        126..=0xFFFF => 4,
        _ => 10,
    };
    payload_bytes + header
}

fn with_slack(limit: u64) -> u64 {
    limit.saturating_add(limit / 8)
}

fn stored(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn count(row: &Row<'_>, column: &str) -> rusqlite::Result<u64> {
    let number: i64 = row.get(column)?;
    u64::try_from(number).map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(0, Type::Integer, Box::new(error))
    })
}

fn history(row: &Row<'_>) -> rusqlite::Result<Option<RoomHistory>> {
    let Some(messages_max) = row.get::<_, Option<i64>>("messages_max")? else {
        return Ok(None);
    };
    let bytes_max: Option<i64> = row.get("bytes_max")?;
    let age_max: Option<i64> = row.get("age_max")?;
    Ok(Some(RoomHistory {
        messages_max: messages_max.cast_unsigned(),
        bytes_max: bytes_max.unwrap_or(0).cast_unsigned(),
        age_max: age_max.map(|age| Duration::from_millis(age.cast_unsigned())),
    }))
}

const SELECT: &str = "SELECT * FROM rooms";

/// Messages that are dropped from a room at a time.
const DROPPED_MAX: i64 = 4096;
