//! Pending writes: which connections have something in their write queue, and until when a batch of rooms' messages waits.
//!
//! The logs with something to write are in the rooms ([`RoomTable::is_dirty`]).

use super::rooms::RoomTable;
use crate::reactor::SocketKey;
use crate::time::Timestamp;
use std::time::Duration;

/// What one worker has to write at the end of a turn, besides the logs.
#[derive(Debug, Default)]
pub(super) struct PendingWrites {
    /// Connections with something in their write queue; some may have ended meanwhile.
    connections: Vec<SocketKey>,
    /// When the current batch of the rooms is written, if [`Config::batch_delay`](super::Config) delays it.
    batch_ends_at: Option<Timestamp>,
}

impl PendingWrites {
    /// The connection has something in its write queue.
    #[inline(always)]
    pub(super) fn add(&mut self, key: SocketKey) {
        self.connections.push(key);
    }

    /// Takes all connections out.
    pub(super) fn take(&mut self) -> Vec<SocketKey> {
        std::mem::take(&mut self.connections)
    }

    /// Takes back the vector that [`PendingWrites::take`] returned, to use its memory again. Connections that were added
    /// meanwhile stay.
    pub(super) fn reuse(&mut self, mut connections: Vec<SocketKey>) {
        connections.clear();
        connections.append(&mut self.connections);
        self.connections = connections;
    }

    /// Whether the rooms' logs are written now: always, unless a delay collects a larger batch first.
    pub(super) fn batch_is_due(
        &mut self,
        rooms: &RoomTable,
        now: Timestamp,
        delay: Duration,
    ) -> bool {
        if delay.is_zero() {
            return true;
        }
        if !rooms.is_dirty() {
            return false;
        }
        let is_due = *self.batch_ends_at.get_or_insert(now.plus(delay)) <= now;
        if is_due {
            self.batch_ends_at = None;
        }
        is_due
    }

    /// The rooms' logs are written now, whatever the delay is.
    pub(super) fn end_batch(&mut self) {
        self.batch_ends_at = None;
    }

    /// When the rooms' logs are written, if that is delayed.
    pub(super) fn batch_ends_at(&self) -> Option<Timestamp> {
        self.batch_ends_at
    }

    /// The one answer to "does this turn owe another flush?": whether something is to be written that no alarm and no event
    /// will bring up.
    pub(super) fn owes_flush(&self, rooms: &RoomTable) -> bool {
        let owes_rooms = rooms.is_dirty() && self.batch_ends_at.is_none();
        owes_rooms || !self.connections.is_empty()
    }
}
