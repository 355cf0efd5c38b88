//! The thread that owns the data file: it numbers and writes messages, loads rooms, and tells the server.
//!
//! ```text
//!   take ──▶ records: put them ──▶ rooms: load them, tell the server ──▶ batch: one transaction ──▶ deliver to the server ──▶ answer the publishers
//!     ▲                                                                                                       │
//!     └──────────── once a minute: drop what is too old; while the file takes nothing: try once a second ◀───┘
//! ```
//!
//! A message is delivered and acknowledged when the transaction is committed, so no subscriber has a message that a restart
//! would forget. If the transaction fails, its messages are refused and the rooms are as before.

use std::mem;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rusqlite::ErrorCode;
use yamabiko::server::{BackplaneNode, KeptMessages, Position, RoomHistory};

use crate::health::Health;
use crate::queue::{Batch, BatchLimits, Queue, Work};
use crate::records::RecordChanges;
use crate::room::Time;
use crate::settings::SqliteSettings;
use crate::store::{RoomBatch, Store};

/// What the thread owns.
pub(crate) struct Writer {
    store: Store,
    queue: Arc<Queue>,
    health: Arc<Health>,
    node: BackplaneNode,
    limits: BatchLimits,
    unused_room_age: Time,
    /// Records that could not be written.
    unwritten: RecordChanges,
    /// Rooms with subscribers that could not be read.
    unread: Vec<(Arc<str>, Option<RoomHistory>)>,
    next_retry: Instant,
    /// Bytes of the last batch that was refused: so much the file has to take again.
    refused_bytes: u64,
    next_tidy: Instant,
    #[cfg(test)]
    before_commit: crate::before_commit::BeforeCommit,
}

impl Writer {
    pub(crate) fn new(
        store: Store,
        queue: Arc<Queue>,
        health: Arc<Health>,
        node: BackplaneNode,
        settings: &SqliteSettings,
    ) -> Writer {
        let batch_bytes = usize::try_from(store.bytes_max() / 8).unwrap_or(BATCH_BYTES_MAX);
        Writer {
            store,
            queue,
            health,
            node,
            limits: BatchLimits {
                messages: BATCH_MESSAGES_MAX,
                bytes: batch_bytes.min(BATCH_BYTES_MAX),
            },
            unused_room_age: Time::try_from(settings.unused_room_age.as_millis())
                .unwrap_or(Time::MAX),
            unwritten: RecordChanges::new(),
            unread: Vec::new(),
            next_retry: Instant::now(),
            refused_bytes: 0,
            next_tidy: Instant::now(),
            #[cfg(test)]
            before_commit: crate::before_commit::BeforeCommit::default(),
        }
    }

    #[cfg(test)]
    pub(crate) fn before_commit(&mut self, hook: crate::before_commit::BeforeCommit) {
        self.before_commit = hook;
    }

    /// Works until the queue is closed and empty. Then all is in the file, and the file is closed.
    pub(crate) fn run(mut self) {
        loop {
            let work = self.queue.take(self.limits, self.pause());
            let is_last = work.is_last;
            self.serve(work);
            if is_last {
                break;
            }
            self.tidy();
        }
        if let Err(error) = self.store.close() {
            self.health.failed(&reason(&error));
        }
    }

    /// How long there may be nothing to do.
    fn pause(&self) -> Duration {
        let is_behind = !self.unread.is_empty() || !self.unwritten.is_empty();
        match self.health.is_failed() || is_behind {
            true => RETRY_INTERVAL,
            false => self.next_tidy.saturating_duration_since(Instant::now()),
        }
    }

    fn serve(&mut self, work: Work) {
        let Work {
            records,
            rooms,
            batch,
            ..
        } = work;
        if !records.is_empty() {
            self.unwritten.extend(records);
            self.write_records();
        }
        for (room, subscription) in rooms {
            self.unread.retain(|(unread, _)| *unread != room);
            match subscription {
                Some(subscription) => self.load(room, subscription.history),
                None => self.store.unsubscribe(&room),
            }
        }
        self.retry();
        if !batch.rooms.is_empty() {
            self.write(&batch);
        }
    }

    /// What has failed is tried again, once a second.
    fn retry(&mut self) {
        let now = Instant::now();
        if now < self.next_retry {
            return;
        }
        self.next_retry = now + RETRY_INTERVAL;
        self.write_records();
        let unread = mem::take(&mut self.unread);
        unread
            .into_iter()
            .for_each(|(room, history)| self.load(room, history));
        if self.health.is_failed() {
            let probed = self.store.probe(self.refused_bytes);
            self.report(&probed);
        }
    }

    /// Puts and removes records. If that fails, it is tried again later, and messages that were published after them are refused meanwhile.
    fn write_records(&mut self) {
        if self.unwritten.is_empty() {
            return;
        }
        match self.store.change_records(&self.unwritten) {
            Ok(()) => self.unwritten.clear(),
            Err(error) => self.health.failed(&reason(&error)),
        }
    }

    /// Tells the server what the file has of a room. If that cannot be read now, it is tried again later.
    fn load(&mut self, room: Arc<str>, history: Option<RoomHistory>) {
        match self.store.subscribe(&room, history, now()) {
            Ok(loaded) => {
                if let Some(error) = loaded.unreadable {
                    self.health.failed(&reason(&error));
                }
                let (head, messages) = (loaded.head, loaded.messages);
                self.tell_loaded(&room, KeptMessages { head, messages });
            }
            Err(error) => {
                self.health.failed(&reason(&error));
                self.unread.push((room, history));
            }
        }
    }

    fn tell_loaded(&self, room: &str, mut kept: KeptMessages) {
        while let Err(again) = self.node.load(room, kept) {
            kept = again;
            if !self.wait_for_server() {
                return;
            }
        }
    }

    fn write(&mut self, batch: &Batch) {
        #[cfg(test)]
        self.before_commit.call();
        if !self.unwritten.is_empty() || !self.store.can_hold(&batch.rooms) {
            // Records wait to be written. Or one message is longer than the file may be: the file is well.
            return batch.answer(self.queue.finish(), &[]);
        }
        let written = self.store.append(&batch.rooms, now());
        let publications = self.queue.finish();
        if written.is_err() {
            self.refused_bytes = batch.bytes();
            self.next_retry = Instant::now() + RETRY_INTERVAL;
        }
        self.report(&written);
        let firsts = written.unwrap_or_default();
        for (room, first) in batch.rooms.iter().zip(&firsts) {
            self.deliver(room, *first);
        }
        batch.answer(publications, &firsts);
    }

    /// Other threads learn whether the file takes changes.
    fn report<T>(&self, changed: &rusqlite::Result<T>) {
        match changed {
            Ok(_) if self.unread.is_empty() && self.unwritten.is_empty() => {
                self.health.recovered();
            }
            Ok(_) => {}
            Err(error) => self.health.failed(&reason(error)),
        }
    }

    fn deliver(&self, batch: &RoomBatch, first: Position) {
        if !self.store.is_subscribed(&batch.room) {
            return;
        }
        let mut delivered = 0;
        while let Some(rest) = batch.messages.get(delivered..) {
            let first = first.plus(delivered as u64);
            match self.node.deliver(&batch.room, first, rest) {
                Ok(()) => return,
                Err(behind) => delivered += behind.taken,
            }
            if !self.wait_for_server() {
                return;
            }
        }
    }

    /// The server is behind. Returns whether it is worth trying again.
    fn wait_for_server(&self) -> bool {
        thread::sleep(SERVER_RETRY_INTERVAL);
        !self.queue.is_closed()
    }

    fn tidy(&mut self) {
        let started = Instant::now();
        if started < self.next_tidy {
            return;
        }
        let now = now();
        let is_more = self
            .store
            .tidy(now.saturating_sub(self.unused_room_age), now);
        // What fails here fails again when a message is written.
        let interval = match is_more {
            Ok(true) => RETRY_INTERVAL,
            Ok(false) | Err(_) => TIDY_INTERVAL,
        };
        self.next_tidy = started + interval;
    }
}

/// In one line, without the name of the file.
pub(crate) fn reason(error: &rusqlite::Error) -> String {
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => "the disk or the data file is full".to_owned(),
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            format!("the data file is damaged: {error}")
        }
        None if is_damage(error) => format!("the data file is damaged: {error}"),
        _ => format!("the data file cannot be written: {error}"),
    }
}

/// Whether the file has a value that no version of yamabiko writes.
fn is_damage(error: &rusqlite::Error) -> bool {
    use rusqlite::Error::{
        FromSqlConversionFailure, IntegralValueOutOfRange, InvalidColumnType, Utf8Error,
    };
    matches!(
        error,
        FromSqlConversionFailure(..)
            | IntegralValueOutOfRange(..)
            | InvalidColumnType(..)
            | Utf8Error(..)
    )
}

fn now() -> Time {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        Time::try_from(since.as_millis()).unwrap_or(Time::MAX)
    })
}

/// Messages of one transaction.
const BATCH_MESSAGES_MAX: usize = 4096;

/// Bytes of one transaction.
const BATCH_BYTES_MAX: usize = 4 << 20;

/// While the file takes nothing.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// While the server takes nothing.
const SERVER_RETRY_INTERVAL: Duration = Duration::from_millis(1);

/// Between two searches for messages that are too old.
const TIDY_INTERVAL: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn value_that_no_version_writes_is_damage_and_no_failed_write() {
        let bytes = vec![0xff];
        let no_text = String::from_utf8(bytes).expect_err("no UTF-8").utf8_error();
        let reason = reason(&rusqlite::Error::Utf8Error(0, no_text));
        assert!(reason.starts_with("the data file is damaged: "), "{reason}");
    }
}
