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
//! In a room of the backplane, the owner gives the message to the engine, and the engine gives it back to the owners of all nodes, in its
//! order:
//!
//! ```text
//!   backplane         publish ──▶ on the owner ──▶ the engine ──▶ on the owner: next, a duplicate, or behind a gap? ──▶ as above
//! ```
//!
//! `flush.rs` writes the logs to the sockets when the turn ends.

use super::backplane::link::Link;
use super::backplane::owned::{Delivered, Loaded, OwnedRooms};
use super::backplane::{
    Answer, BackplaneConfig, BackplaneMessage, BackplanePublication, GapNotice, KeptMessages,
    NodeConnection,
};
use super::connection_id::ConnectionId;
use super::diagnostics;
use super::history::Position;
use super::not_published::{NotPublished, Published};
use super::room_events::{Acknowledgement, Notice, RoomEvent, RoomUse, UseChange};
use super::rooms::{Outcome, PublisherOf, RoomTable, SharedMessage, Subscription};
use super::workers::{MarkPurpose, OrderMark, OutboundQueues, Workers, owner_of};
use crate::reactor::SocketKey;
use crate::time::Timestamp;
use crate::websocket::Message;
use std::sync::Arc;

/// One worker's rooms, and its queues to the other workers.
pub(super) struct FanOut {
    worker: usize,
    /// There is one worker, and no backplane.
    is_alone: bool,
    pub(super) rooms: RoomTable,
    pub(super) outbound: OutboundQueues,
    /// Bytes of all messages that this worker's handlers have published; wraps around.
    published_bytes: usize,
    /// For connections of this worker.
    acknowledgements: Vec<Acknowledgement>,
    /// `None`: there is no backplane.
    node: Option<Box<NodeRooms>>,
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
            is_alone: outbound.workers() == 1,
            rooms,
            outbound,
            published_bytes: 0,
            acknowledgements: Vec::new(),
            node: None,
        }
    }

    /// The same with a backplane.
    pub(super) fn with_backplane(self, node: Option<NodeRooms>) -> FanOut {
        FanOut {
            is_alone: self.is_alone && node.is_none(),
            node: node.map(Box::new),
            ..self
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

    /// Publishes a message of a connection of this worker to all subscribers of a room, on all workers, but `except`.
    pub(super) fn publish(
        &mut self,
        room: &str,
        message: Message<'_>,
        publisher: SocketKey,
        except: Option<ExceptedConnection>,
    ) {
        let bytes = message.as_bytes().len();
        self.published_bytes = self.published_bytes.wrapping_add(bytes);
        let except_subscription = except.and_then(|excepted| excepted.subscription);
        self.rooms.published(room);
        if self.is_alone {
            self.rooms.append_local(room, message, except_subscription);
            return;
        }
        let compressible = self.rooms.is_compressible(bytes);
        let except_connection = except.map(|excepted| excepted.id);
        let mut message = SharedMessage::new(room, message, except_connection, compressible);
        if self.node.is_some() {
            message = self.for_backplane(message, publisher);
        }
        self.give_to_owner(message, except_subscription);
    }

    /// As [`FanOut::publish`]; the publisher's handler is told by this number what becomes of the message.
    pub(super) fn publish_acknowledged(
        &mut self,
        room: &str,
        message: Message<'_>,
        publisher: SocketKey,
        number: u64,
    ) {
        let publisher = PublisherOf {
            connection: ConnectionId::new(self.worker, publisher),
            number: Some(number),
        };
        let bytes = message.as_bytes().len();
        self.published_bytes = self.published_bytes.wrapping_add(bytes);
        self.rooms.published(room);
        if self.is_alone {
            self.rooms.append_local(room, message, None);
            let published = Published::new(self.rooms.position(room));
            return self.acknowledge(acknowledgement(publisher, room.into(), Ok(published)));
        }
        let compressible = self.rooms.is_compressible(bytes);
        let message = SharedMessage::new(room, message, None, compressible);
        self.send_uses();
        self.give_to_owner(message.with_outcome(Outcome::Publisher(publisher)), None);
    }

    /// Publishes a message to all subscribers of a room. It has its place in the room's order when this returns; in a room of the
    /// backplane, when the engine has it.
    pub(super) fn publish_ordered(
        &mut self,
        room: &str,
        message: Message<'_>,
        publisher: SocketKey,
    ) {
        let bytes = message.as_bytes().len();
        self.published_bytes = self.published_bytes.wrapping_add(bytes);
        let compressible = self.rooms.is_compressible(bytes);
        let mut message = SharedMessage::new(room, message, None, compressible);
        if self.node.is_some() {
            message = self.for_backplane(message, publisher);
        }
        self.outbound.order_now(message);
    }

    fn give_to_owner(&mut self, message: SharedMessage, except: Option<Subscription>) {
        match owner_of(message.room(), self.outbound.workers()) {
            owner if owner == self.worker => self.order(&message, except),
            owner => self.outbound.send_to_owner(owner, message),
        }
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

    /// Runs on the worker that owns the room: a mark for a subscriber learns where the room is. Returned: its place is here.
    /// Otherwise its room is not loaded yet.
    pub(super) fn order_mark(&mut self, mut mark: OrderMark) -> Option<OrderMark> {
        if matches!(mark.purpose, MarkPurpose::Join { .. }) && self.is_shared(&mark.room) {
            return self.join_shared(mark);
        }
        if let MarkPurpose::Join { head, .. } = &mut mark.purpose {
            *head = self.rooms.history_head(&mark.room);
        }
        Some(mark)
    }

    /// Runs on the worker that owns the room: the message is the next one, for all workers.
    pub(super) fn order(&mut self, message: &SharedMessage, except: Option<Subscription>) {
        if self.is_shared(message.room()) {
            return self.publish_to_engine(message);
        }
        let numbered = self.rooms.number(message);
        let message = numbered.as_ref().unwrap_or(message);
        self.outbound.send_to_others(message);
        self.append(message, except);
        if let Some(outcome) = message.outcome() {
            self.tell_outcome(outcome, message);
        }
    }

    /// Appends a message that the room's owner has put in order.
    pub(super) fn append(&mut self, message: &SharedMessage, except: Option<Subscription>) {
        self.rooms.append_shared(message, except);
    }
}

// Acknowledgements.
impl FanOut {
    /// A message has its place in the room's order.
    fn tell_outcome(&mut self, outcome: &Outcome, message: &SharedMessage) {
        let published = Published::new(message.position());
        if let Some(publisher) = outcome.set(Ok(published)) {
            let room = message.room().clone();
            self.acknowledge(acknowledgement(publisher, room, Ok(published)));
        }
    }

    fn acknowledge(&mut self, acknowledgement: Acknowledgement) {
        match acknowledgement.connection.worker() == self.worker {
            true => self.acknowledgements.push(acknowledgement),
            false => self.outbound.acknowledge(acknowledgement),
        }
    }

    /// Takes those for connections of this worker.
    pub(super) fn take_acknowledgements(&mut self) -> Vec<Acknowledgement> {
        std::mem::take(&mut self.acknowledgements)
    }

    /// Whether something is left for the next turn: it was done after [`FanOut::turn_ended`].
    pub(super) fn owes_turn(&self) -> bool {
        let owes_uses = self.rooms.has_use_changes();
        let owes_turn = self
            .node
            .as_ref()
            .is_some_and(|node| node.owned.owes_turn());
        let owes_messages = self.rooms.can_go_on();
        !self.acknowledgements.is_empty() || owes_uses || owes_turn || owes_messages
    }
}

/// What a worker knows of the backplane: the rooms of the engine that it owns.
pub(super) struct NodeRooms {
    owned: OwnedRooms<OrderMark>,
    /// How many they were when the last turn ended.
    owned_before: usize,
    link: Arc<Link>,
    gap_of: Arc<GapOf>,
}

/// What the subscribers of a room get instead of the messages in front of a place.
pub(super) type GapOf = dyn Fn(&str, Position) -> GapNotice + Send + Sync;

impl NodeRooms {
    /// `unused_max`: how many rooms may be unused and subscribed to.
    pub(super) fn new(
        backplane: BackplaneConfig,
        unused_max: usize,
        link: Arc<Link>,
        gap_of: Arc<GapOf>,
    ) -> NodeRooms {
        NodeRooms {
            owned: OwnedRooms::new(backplane, unused_max),
            owned_before: 0,
            link,
            gap_of,
        }
    }
}

// Rooms of the backplane.
//
//   publish ─▶ owner ─▶ engine ─▶ owner: is it the next one? ─▶ number ─▶ the logs of all workers
impl FanOut {
    #[inline]
    fn is_shared(&self, room: &str) -> bool {
        self.node.is_some() && self.rooms.is_shared(room)
    }

    /// The owners learn which rooms this worker uses, before they get the message. A connection of this worker is told if the engine
    /// refuses it.
    fn for_backplane(&mut self, message: SharedMessage, publisher: SocketKey) -> SharedMessage {
        self.send_uses();
        message.with_outcome(Outcome::Publisher(PublisherOf {
            connection: ConnectionId::new(self.worker, publisher),
            number: None,
        }))
    }

    /// Tells the owners of the rooms of the backplane that this worker has begun to use, or does not use any more.
    fn send_uses(&mut self) {
        for (room, is_used) in self.rooms.take_use_changes() {
            let change = match is_used {
                true => UseChange::Begins,
                false => UseChange::Ends,
            };
            self.send_use(room, change);
        }
    }

    fn send_use(&mut self, room: Arc<str>, change: UseChange) {
        let worker = self.worker;
        let room_use = RoomUse {
            room,
            worker,
            change,
        };
        match owner_of(&room_use.room, self.outbound.workers()) {
            owner if owner == worker => self.room_used(&room_use),
            _ => self.outbound.use_now(room_use),
        }
    }

    /// A client that this worker was told to subscribe to a room is subscribed, or has ended.
    pub(super) fn join_done(&mut self, room: &Arc<str>) {
        if self.is_shared(room) {
            // The owner learns first that the room is in use.
            self.send_uses();
            self.send_use(room.clone(), UseChange::Joined);
        }
    }

    /// Runs on the worker that owns the room: a worker uses it, or does not any more.
    pub(super) fn room_used(&mut self, room_use: &RoomUse) {
        let RoomUse {
            room,
            worker,
            change,
        } = room_use;
        let history = self.rooms.kept_by_backplane(room);
        let Some(node) = &mut self.node else {
            return;
        };
        match change {
            UseChange::Begins => node.owned.set_used(room, *worker, true, history),
            UseChange::Ends => node.owned.set_used(room, *worker, false, history),
            UseChange::Joined => node.owned.join_done(room),
        }
    }

    /// Runs on the worker that owns the room.
    fn join_shared(&mut self, mark: OrderMark) -> Option<OrderMark> {
        let history = self.rooms.kept_by_backplane(&mark.room);
        let node = self.node.as_mut()?;
        let room = mark.room.clone();
        let after = mark.begins_after();
        match node.owned.join(&room, mark, after, history) {
            Ok(joins) => joins.map(|(mark, head)| mark.at(head)),
            Err(mark) => Some(mark.failed()),
        }
    }

    /// Runs on the worker that owns the room.
    fn publish_to_engine(&mut self, message: &SharedMessage) {
        let Some(node) = &mut self.node else {
            return;
        };
        let link = &node.link;
        let except = message.except_connection();
        let except = except.map(|except| NodeConnection::new(link.node(), except));
        let Some(content) = message.to_backplane(link.next_id(), except) else {
            return;
        };
        let content = content.with_erasure(self.rooms.erasure_of(message));
        let room = message.room();
        let bytes = room.len() + content.bytes();
        link.begins(bytes);
        let answer = answer_of(message, bytes, self.outbound.all_workers().clone());
        let history = self.rooms.kept_by_backplane(room);
        let publication = BackplanePublication::new(room.clone(), history, content, answer);
        node.owned.publish(publication);
    }

    /// A message of the engine, as workers share it.
    pub(super) fn of_engine(
        &self,
        room: &Arc<str>,
        position: Position,
        message: &BackplaneMessage,
    ) -> SharedMessage {
        let own = self.node.as_ref().map(|node| node.link.node());
        let except = message.except().zip(own);
        let except = except.and_then(|(except, own)| except.on(own));
        let compressible = self.rooms.is_compressible(message.payload().len());
        SharedMessage::of_backplane(room.clone(), position, message, except, compressible)
    }

    /// Runs on the worker that owns the room: the engine has so many messages, with this place behind the first one. Returns how many of
    /// the first ones are dropped, because nobody here wants them or the room has had them, and what comes in front of the others: messages
    /// are missing. [`FanOut::append_next`] follows for each of the others.
    pub(super) fn check_delivered(
        &mut self,
        room: &Arc<str>,
        first: Position,
        count: usize,
    ) -> (usize, Option<Arc<RoomEvent>>) {
        let Some(node) = &mut self.node else {
            return (count, None);
        };
        let Delivered::Next { known, gap } = node.owned.deliver(room, first, count) else {
            return (count, None);
        };
        node.link.count_delivered(known, count);
        (known, gap.map(|at| self.gap_event(room, at)))
    }

    /// Runs on the worker that owns the room: the message of the engine is the next one, for all workers.
    pub(super) fn append_next(&mut self, message: SharedMessage, except: Option<Subscription>) {
        let message = self.rooms.number_shared(message);
        self.outbound.send_to_others(&message);
        self.append(&message, except);
    }

    /// Runs on the worker that owns the room: the engine has told that messages are missing.
    pub(super) fn gap(&mut self, room: &Arc<str>, at: Position) -> Option<Arc<RoomEvent>> {
        let node = self.node.as_mut()?;
        node.owned.gap(room, at).then(|| self.gap_event(room, at))
    }

    /// All other workers learn that messages are missing. This worker has to do what is returned.
    fn gap_event(&mut self, room: &Arc<str>, position: Position) -> Arc<RoomEvent> {
        diagnostics::messages_missing(room, position);
        let notice = match &self.node {
            Some(node) => {
                node.link.count_gap();
                (node.gap_of)(room, position)
            }
            None => GapNotice::Nothing,
        };
        let event = Arc::new(RoomEvent::Gap {
            room: room.clone(),
            position,
            notice: Notice::new(room, notice, |bytes| self.rooms.is_compressible(bytes)),
        });
        self.outbound.send_room_event(&event);
        event
    }

    /// Runs on the worker that owns the room: the engine has told what it keeps.
    pub(super) fn load(&mut self, room: &Arc<str>, mut kept: KeptMessages) -> LoadSteps {
        let Some(node) = &mut self.node else {
            return LoadSteps::default();
        };
        // There cannot be more messages than offsets.
        let messages_max = usize::try_from(kept.head.offset()).unwrap_or(usize::MAX);
        let excess = kept.messages.len().saturating_sub(messages_max);
        kept.messages.drain(..excess);
        let (loaded, joins) = node.owned.load(room, &kept);
        let Some(position) = node.owned.position(room) else {
            return LoadSteps::default();
        };
        let (event, next) = match loaded {
            Loaded::Nothing => (None, Vec::new()),
            Loaded::Past => (Some(self.past(room, &kept)), Vec::new()),
            Loaded::Next { from, gap } => {
                let event = gap.map(|at| self.gap_event(room, at));
                (event, self.shared(room, &kept).skip(from).collect())
            }
        };
        LoadSteps {
            event,
            next,
            joins: joins.into_iter().map(|mark| mark.at(position)).collect(),
        }
    }

    /// All other workers get the past of a room. This worker has to do what is returned.
    fn past(&mut self, room: &Arc<str>, kept: &KeptMessages) -> Arc<RoomEvent> {
        let messages = self.shared(room, kept);
        let messages = messages.map(|message| self.rooms.number_shared(message));
        let event = Arc::new(RoomEvent::Load {
            room: room.clone(),
            head: kept.head,
            messages: messages.collect(),
        });
        self.outbound.send_room_event(&event);
        event
    }

    /// The kept messages of a room, as the engine has them.
    fn shared<'k>(
        &self,
        room: &'k Arc<str>,
        kept: &'k KeptMessages,
    ) -> impl Iterator<Item = SharedMessage> {
        let before = kept.head.offset() - kept.messages.len() as u64;
        let first = Position::new(kept.head.epoch(), before).plus(1);
        // Without a meaning for a message of the past.
        let kept = kept
            .messages
            .iter()
            .map(|kept| kept.clone().with_except(None));
        kept.zip(0..)
            .map(move |(message, index)| self.of_engine(room, first.plus(index), &message))
    }

    /// Gives marks to the workers of their connections. Returns those of this worker.
    pub(super) fn forward_marks(
        &mut self,
        marks: impl Iterator<Item = OrderMark>,
    ) -> Vec<OrderMark> {
        let mut own = Vec::new();
        for mark in marks {
            match mark.connection.worker() == self.worker {
                true => own.push(mark),
                false => self.outbound.forward_mark(mark),
            }
        }
        own
    }

    /// What the room's owner has told all workers.
    pub(super) fn apply(&mut self, event: &RoomEvent) {
        match event {
            RoomEvent::Load {
                room,
                head,
                messages,
            } => self.rooms.load(room, *head, messages),
            RoomEvent::Gap {
                room,
                position,
                notice,
            } => {
                let notice = match notice {
                    Notice::Message(message) => Some(message),
                    Notice::Disconnect | Notice::Nothing => None,
                };
                self.rooms.interrupt(room, *position, notice);
            }
        }
    }

    /// When something is due in the rooms of the backplane.
    pub(super) fn next_due(&self) -> Option<Timestamp> {
        self.node.as_ref()?.owned.next_due()
    }

    /// Bytes of the messages that wait for the answer of the engine. They are counted for the first worker.
    pub(super) fn pending_bytes(&self) -> usize {
        match &self.node {
            Some(node) if self.worker == 0 => node.link.pending_bytes(),
            _ => 0,
        }
    }

    /// A turn ends. Returns the marks of this worker's connections that have waited for too long.
    pub(super) fn turn_ended(&mut self, now: Timestamp) -> Vec<OrderMark> {
        if self.node.is_none() {
            return Vec::new();
        }
        self.send_uses();
        let Some(node) = &mut self.node else {
            return Vec::new();
        };
        let failed = node.owned.turn_ended(now);
        let (before, rooms) = (node.owned_before, node.owned.len());
        if before != rooms {
            node.owned_before = rooms;
            node.link.rooms_changed(before as u64, rooms as u64);
        }
        self.forward_marks(failed.into_iter().map(OrderMark::failed))
    }
}

/// What a worker does when the engine has told what it keeps of a room that the worker owns, in this order.
#[derive(Default)]
pub(super) struct LoadSteps {
    /// To be applied.
    pub(super) event: Option<Arc<RoomEvent>>,
    /// To be appended.
    pub(super) next: Vec<SharedMessage>,
    /// To be forwarded behind that.
    pub(super) joins: Vec<OrderMark>,
}

fn acknowledgement(
    publisher: PublisherOf,
    room: Arc<str>,
    result: Result<Published, NotPublished>,
) -> Acknowledgement {
    Acknowledgement {
        connection: publisher.connection,
        room,
        number: publisher.number,
        result,
    }
}

/// What is done with the engine's answer to a message.
fn answer_of(message: &SharedMessage, bytes: usize, workers: Workers) -> Answer {
    let (outcome, room) = (message.outcome().cloned(), message.room().clone());
    Box::new(move |result| {
        if let Some(link) = workers.link() {
            link.ends(bytes, result);
        }
        let published = result.map(|position| Published::new(Some(position)));
        let publisher = outcome.and_then(|outcome| outcome.set(published));
        if let Some(publisher) = publisher {
            workers.acknowledge(acknowledgement(publisher, room, published));
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broadcast::FlushBudget;
    use crate::reactor::{Application, End, Io, PeerAddress, Reactor, ReactorConfig};
    use crate::server::lag::LagPolicy;
    use crate::server::rooms::{SharedRooms, Subscriptions};
    use crate::server::workers::{CrossWorkerMessage, Workers};
    use proptest::prelude::*;

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
                _ => {}
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
            let handles = Workers::new(reactors.iter().map(Reactor::mailbox), usize::MAX, None);
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
                        let publisher = SocketKey::from_bits(0);
                        workers[worker].fan_out.publish(ROOMS[room], message, publisher, None);
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
