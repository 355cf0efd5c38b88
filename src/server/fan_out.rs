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
use super::workers::{MarkPurpose, OrderMark, OutboundQueues, owner_of};
use crate::websocket::Message;

/// One worker's rooms, and its queues to the other workers.
pub(super) struct FanOut {
    worker: usize,
    pub(super) rooms: RoomTable,
    pub(super) outbound: OutboundQueues,
    /// Bytes of all messages that this worker's handlers have published; wraps around.
    published_bytes: usize,
}

/// A connection of this worker that does not receive a message.
#[derive(Clone, Copy, Debug)]
pub(super) struct ExceptedConnection {
    pub(super) id: ConnectionId,
    /// Its subscription to the message's room, if it has one.
    pub(super) subscription: Option<Subscription>,
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

    /// Publishes a message to all subscribers of a room, on all workers, but `except`.
    pub(super) fn publish(
        &mut self,
        room: &str,
        message: Message<'_>,
        except: Option<ExceptedConnection>,
    ) {
        let bytes = message.as_bytes().len();
        self.published_bytes = self.published_bytes.wrapping_add(bytes);
        let except_subscription = except.and_then(|excepted| excepted.subscription);
        self.rooms.published(room);
        if self.outbound.workers() == 1 {
            self.rooms.append_local(room, message, except_subscription);
            return;
        }
        let compressible = self.rooms.is_compressible(bytes);
        let except_connection = except.map(|excepted| excepted.id);
        let message = SharedMessage::new(room, message, except_connection, compressible);
        match owner_of(room, self.outbound.workers()) {
            owner if owner == self.worker => self.order(&message, except_subscription),
            owner => self.outbound.send_to_owner(owner, message),
        }
    }

    /// Publishes a message to all subscribers of a room. It has its place in the room's order when this returns.
    pub(super) fn publish_ordered(&mut self, room: &str, message: Message<'_>) {
        let bytes = message.as_bytes().len();
        self.published_bytes = self.published_bytes.wrapping_add(bytes);
        let compressible = self.rooms.is_compressible(bytes);
        let message = SharedMessage::new(room, message, None, compressible);
        self.outbound.order_now(message);
    }

    /// Marks the present place in a room's order for a connection of this worker.
    pub(super) fn mark_order(
        &mut self,
        room: &str,
        connection: ConnectionId,
        purpose: MarkPurpose,
    ) {
        self.outbound.mark_now(OrderMark {
            room: room.into(),
            connection,
            purpose,
        });
    }

    /// Runs on the worker that owns the room: a mark for a subscriber learns the room's last offset.
    pub(super) fn order_mark(&mut self, mark: &mut OrderMark) {
        if let MarkPurpose::Join { head, .. } = &mut mark.purpose {
            *head = self.rooms.history_head(&mark.room);
        }
    }

    /// Runs on the worker that owns the room: the message is the next one, for all workers.
    pub(super) fn order(&mut self, message: &SharedMessage, except: Option<Subscription>) {
        let numbered = self.rooms.number(message);
        let message = numbered.as_ref().unwrap_or(message);
        self.outbound.send_to_others(message);
        self.append(message, except);
    }

    /// Appends a message that the room's owner has put in order.
    pub(super) fn append(&mut self, message: &SharedMessage, except: Option<Subscription>) {
        self.rooms.append_shared(message, except);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broadcast::FlushBudget;
    use crate::reactor::{Application, End, Io, PeerAddress, Reactor, ReactorConfig, SocketKey};
    use crate::server::lag::LagPolicy;
    use crate::server::rooms::{SharedRooms, Subscriptions};
    use crate::server::workers::{CrossWorkerMessage, Workers};
    use crate::time::Timestamp;
    use proptest::prelude::*;
    use std::sync::Arc;

    const WORKERS: usize = 3;
    const ROOMS: [&str; 3] = ["hall", "garden", "attic"];

    /// A worker without sockets: one subscriber in each room.
    struct Worker {
        fan_out: FanOut,
        received: Vec<Vec<u8>>,
    }

    impl Worker {
        fn new(index: usize, workers: &Workers) -> Worker {
            let policy_of = Arc::new(|_: &str| LagPolicy::default());
            let mut rooms = RoomTable::new(policy_of, SharedRooms::default(), Arc::default(), None);
            for (number, room) in ROOMS.iter().enumerate() {
                let key = SocketKey::from_bits(number as u64);
                let subscribed = rooms.subscribe(room, key, None, &mut Subscriptions::default());
                subscribed.expect("there is no limit");
            }
            let outbound = OutboundQueues::new(index, workers.clone());
            Worker {
                fan_out: FanOut::new(index, rooms, outbound),
                received: vec![Vec::new(); ROOMS.len()],
            }
        }

        /// Writes all logs to the subscribers.
        fn flush(&mut self) {
            let rooms = &mut self.fan_out.rooms;
            let dirty = rooms.take_dirty();
            for &log in &dirty {
                let mut budget = FlushBudget::UNLIMITED;
                rooms.flush(log, Timestamp(0), &mut budget, |subscriber, backlog| {
                    let received = &mut self.received[subscriber as usize];
                    backlog
                        .slices()
                        .for_each(|slice| received.extend_from_slice(slice));
                    backlog.bytes()
                });
            }
        }
    }

    impl Application for Worker {
        type Message = CrossWorkerMessage;

        fn opened(&mut self, _: &mut Io, _: SocketKey, _: PeerAddress) {}
        fn received(&mut self, _: &mut Io, _: SocketKey, _: &mut [u8]) {}
        fn ended(&mut self, _: &mut Io, _: SocketKey, _: End) {}

        fn message(&mut self, _: &mut Io, message: CrossWorkerMessage) {
            match message {
                CrossWorkerMessage::Order(message) => self.fan_out.order(&message, None),
                CrossWorkerMessage::Append(message) => self.fan_out.append(&message, None),
                CrossWorkerMessage::OrderMark(_) | CrossWorkerMessage::Mark(_) => {}
                CrossWorkerMessage::Direct(_)
                | CrossWorkerMessage::Serve(_)
                | CrossWorkerMessage::Wake => {}
            }
        }

        fn turn_ended(&mut self, _: &mut Io) {
            self.fan_out.outbound.send();
            self.flush();
        }
    }

    #[derive(Clone, Debug)]
    enum Step {
        Publish { worker: usize, room: usize },
        Turn { worker: usize },
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (0..WORKERS, 0..ROOMS.len()).prop_map(|(worker, room)| Step::Publish { worker, room }),
            (0..WORKERS).prop_map(|worker| Step::Turn { worker }),
        ]
    }

    proptest! {
        #[test]
        fn all_workers_deliver_every_message_in_one_order_however_their_turns_interleave(
            steps in prop::collection::vec(step(), 0..60)
        ) {
            let mut reactors: Vec<_> = (0..WORKERS)
                .map(|_| Reactor::new(ReactorConfig::default()).expect("a reactor"))
                .collect();
            let handles = Workers::new(reactors.iter().map(Reactor::mailbox), usize::MAX);
            let mut workers: Vec<_> =
                (0..WORKERS).map(|index| Worker::new(index, &handles)).collect();
            let mut turn = |workers: &mut Vec<Worker>, index: usize| {
                handles.wake_all(); // A turn with nothing to do would sleep.
                reactors[index].turn(&mut workers[index]).expect("a turn");
            };
            let mut published = [0u8; WORKERS];
            let mut expected = [0; ROOMS.len()];
            for step in steps {
                match step {
                    Step::Publish { worker, room } => {
                        let message = [worker as u8, published[worker]];
                        published[worker] += 1;
                        expected[room] += 1;
                        let message = Message::Binary(&message);
                        workers[worker].fan_out.publish(ROOMS[room], message, None);
                    }
                    Step::Turn { worker } => turn(&mut workers, worker),
                }
            }
            // To the owner, and from there to all.
            (0..3 * WORKERS).for_each(|turns| turn(&mut workers, turns % WORKERS));
            for (room, &messages) in expected.iter().enumerate() {
                let frames: Vec<&[u8]> = workers[0].received[room].chunks(4).collect();
                prop_assert_eq!(frames.len(), messages);
                for worker in &workers {
                    prop_assert_eq!(&worker.received[room], &workers[0].received[room]);
                }
                for publisher in 0..WORKERS as u8 {
                    let own = frames.iter().filter(|frame| frame[2] == publisher);
                    let numbers: Vec<u8> = own.map(|frame| frame[3]).collect();
                    prop_assert!(numbers.is_sorted(), "of publisher {}: {:?}", publisher, numbers);
                }
            }
        }
    }
}
