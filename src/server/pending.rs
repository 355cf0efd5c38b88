//! Pending writes: which connections have something in their write queue, and when a delayed batch is written.
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
    /// Connections whose handler is to be told that their write queue is empty, each once; some may have ended meanwhile.
    drained: Vec<SocketKey>,
    /// When the current batch of the rooms is written, if [`Config::batch_delay`](super::Config) delays it.
    batch_ends_at: Option<Timestamp>,
}

impl PendingWrites {
    /// The connection has something in its write queue.
    #[inline(always)]
    pub(super) fn add(&mut self, key: SocketKey) {
        self.connections.push(key);
    }

    /// The connection's write queue is empty, and its handler wants to know that.
    pub(super) fn add_drained(&mut self, key: SocketKey) {
        self.drained.push(key);
    }

    /// Takes those connections out.
    pub(super) fn take_drained(&mut self) -> Vec<SocketKey> {
        std::mem::take(&mut self.drained)
    }

    /// Whether there are some.
    pub(super) fn has_drained(&self) -> bool {
        !self.drained.is_empty()
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::lag::LagPolicy;
    use crate::server::rooms::{SharedRooms, Subscriptions};
    use crate::websocket::Message;
    use std::sync::Arc;

    const DELAY: Duration = Duration::from_millis(20);

    /// A room with a subscriber; what is published to it is to be written.
    fn rooms() -> RoomTable {
        let policy_of = Arc::new(|_: &str| LagPolicy::default());
        let mut rooms = RoomTable::new(policy_of, SharedRooms::default(), Arc::default(), None);
        let key = SocketKey::from_bits(0);
        let subscribed = rooms.subscribe("hall", key, None, &mut Subscriptions::default());
        subscribed.expect("there is no limit");
        rooms
    }

    fn publish(rooms: &mut RoomTable) {
        rooms.append_local("hall", Message::Text("hello"), None);
    }

    #[test]
    fn turn_owes_a_flush_while_a_queue_or_a_log_has_something_to_write() {
        let (mut rooms, mut pending) = (rooms(), PendingWrites::default());
        assert!(!pending.owes_flush(&rooms));
        publish(&mut rooms);
        assert!(pending.owes_flush(&rooms));
        rooms.take_dirty();
        assert!(!pending.owes_flush(&rooms));
        pending.add(SocketKey::from_bits(0));
        assert!(pending.owes_flush(&rooms));
        let taken = pending.take();
        assert!(!pending.owes_flush(&rooms));
        // Something is queued while the queues are written.
        pending.add(SocketKey::from_bits(1));
        pending.reuse(taken);
        assert_eq!(pending.take(), [SocketKey::from_bits(1)]);
    }

    #[test]
    fn batch_is_written_when_its_delay_is_over_and_owes_no_flush_before() {
        let (mut rooms, mut pending) = (rooms(), PendingWrites::default());
        let at = Timestamp;
        assert!(pending.batch_is_due(&rooms, at(0), Duration::ZERO));
        assert!(!pending.batch_is_due(&rooms, at(0), DELAY));
        assert_eq!(pending.batch_ends_at(), None);
        publish(&mut rooms);
        assert!(!pending.batch_is_due(&rooms, at(100), DELAY));
        assert_eq!(pending.batch_ends_at(), Some(at(120)));
        assert!(!pending.owes_flush(&rooms));
        // A later message does not put it off.
        publish(&mut rooms);
        assert!(!pending.batch_is_due(&rooms, at(119), DELAY));
        assert!(pending.batch_is_due(&rooms, at(120), DELAY));
        assert_eq!(pending.batch_ends_at(), None);
    }
}
