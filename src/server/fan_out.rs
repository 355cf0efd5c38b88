//! Fan-out: a message's way from its publisher into the logs of all workers.
//!
//! ```text
//!   one worker        publish ──▶ the room's logs
//!
//!   several workers   publish ──▶ on the owner: order ──┬──▶ the room's logs
//!                        │                ▲             └──▶ Append to all other workers ──▶ their logs
//!                        └──▶ Order ──────┘
//! ```
//!
//! `flush.rs` writes the logs to the sockets when the turn ends.

use super::connection_id::ConnectionId;
use super::rooms::{RoomTable, SharedMessage, Subscription};
use super::workers::{OutboundQueues, owner_of};
use crate::websocket::Message;

/// One worker's rooms, and its queues to the other workers.
pub(super) struct FanOut {
    worker: usize,
    pub(super) rooms: RoomTable,
    pub(super) outbound: OutboundQueues,
    /// Bytes of all messages that this worker's handlers have published; wraps around.
    published_bytes: usize,
}

impl FanOut {
    pub(super) fn new(worker: usize, rooms: RoomTable, outbound: OutboundQueues) -> FanOut {
        FanOut {
            worker,
            rooms,
            outbound,
            published_bytes: 0,
        }
    }

    /// The number of the worker.
    pub(super) fn worker(&self) -> usize {
        self.worker
    }

    /// Bytes of all messages that this worker's handlers have published; wraps around.
    #[inline(always)]
    pub(super) fn published_bytes(&self) -> usize {
        self.published_bytes
    }

    /// Publishes a message to all subscribers of a room, on all workers, but `except` (a connection of this worker, and its
    /// subscription to the room if it has one).
    pub(super) fn publish(
        &mut self,
        room: &str,
        message: Message<'_>,
        except: Option<(ConnectionId, Option<Subscription>)>,
    ) {
        let bytes = message.as_bytes().len();
        self.published_bytes = self.published_bytes.wrapping_add(bytes);
        let excepted = except.and_then(|(_, subscription)| subscription);
        if self.outbound.workers() == 1 {
            self.rooms.append_local(room, message, excepted);
            return;
        }
        let compressible = self.rooms.is_compressible(bytes);
        let except = except.map(|(id, _)| id);
        let message = SharedMessage::new(room, message, except, compressible);
        match owner_of(room, self.outbound.workers()) {
            owner if owner == self.worker => self.order(&message, excepted),
            owner => self.outbound.send_to_owner(owner, message),
        }
    }

    /// Runs on the worker that owns the room: the message is the next one, for all workers.
    pub(super) fn order(&mut self, message: &SharedMessage, except: Option<Subscription>) {
        self.outbound.send_to_others(message);
        self.append(message, except);
    }

    /// Appends a message that the room's owner has put in order.
    pub(super) fn append(&mut self, message: &SharedMessage, except: Option<Subscription>) {
        self.rooms.append_shared(message, except);
    }
}
