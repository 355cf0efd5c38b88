//! Messages between workers: the owner of a room, queues to the other workers, and the limit on bytes in flight.
//!
//! Each room has an owner: the worker that puts its messages in order. A message that is published on another worker goes
//! to the owner first, and from there to every worker. All workers append in that order, so that all subscribers of a room
//! receive the same sequence. Cross-worker messages are collected during a turn and sent in batches: before the flush, and after
//! it the messages that the flush has brought.
//!
//! Nothing is dropped: messages that a full mailbox does not take wait at the sender. Each sender sees how many bytes are in flight
//! to each worker; above the limit it stops reading its WebSocket clients (`backpressure.rs`).

use super::backplane::BackplaneMessage;
use super::backplane::link::Link;
use super::connection_id::ConnectionId;
use super::direct::DirectRequest;
use super::history::{Position, Replay};
use super::room_events::{Acknowledgement, EngineEvent, EngineMessages, RoomEvent, RoomUse};
use super::rooms::SharedMessage;
use crate::reactor::{AcceptedConnection, Full, Mailbox};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

/// One message between workers.
#[derive(Debug)]
pub(super) enum CrossWorkerMessage {
    /// To the room's owner: put this in order.
    Order(SharedMessage),
    /// From the room's owner: this is the next message of the room.
    Append(SharedMessage),
    /// From the engine of the backplane to the room's owner.
    Deliver(Box<EngineMessages>),
    /// From the engine of the backplane to the room's owner.
    Engine(Box<EngineEvent>),
    /// From the room's owner.
    Room(Arc<RoomEvent>),
    /// To the room's owner.
    Use(RoomUse),
    /// What has become of a message that a connection has published.
    Published(Box<Acknowledgement>),
    /// To the room's owner: send this mark behind the room's messages so far.
    OrderMark(OrderMark),
    /// From the room's owner, behind its messages: the mark has come to the connection's worker.
    Mark(OrderMark),
    /// From a thread that is no worker: a message for one connection, or its end.
    Direct(Box<DirectRequest>),
    /// From the worker with the only listener, or from a thread that is no worker: serve this connection.
    Serve(AcceptedConnection),
    /// The server stops: look at the flag. If a mailbox has no room for this, its worker has been woken already.
    Wake,
}

/// A place in the order of a room's messages, for one connection. See `Context::mark_order`.
#[derive(Clone, Debug)]
pub(super) struct OrderMark {
    pub(super) room: Arc<str>,
    pub(super) connection: ConnectionId,
    pub(super) purpose: MarkPurpose,
}

/// What is done when a mark has come to its connection.
#[derive(Clone, Copy, Debug)]
pub(super) enum MarkPurpose {
    /// The handler is told the number.
    Tell(u64),
    /// The connection is subscribed to the room, beginning in its past.
    Join {
        replay: Replay,
        /// The place behind the last message that the room's owner has put in order. `None`: the room has no history.
        head: Option<Position>,
    },
    /// The connection could not be subscribed to a room of the backplane, because the room is not loaded.
    JoinFailed,
}

impl OrderMark {
    /// The same mark of a connection that joins: its room's last message is in front of this place.
    pub(super) fn at(mut self, place: Position) -> OrderMark {
        if let MarkPurpose::Join { head, .. } = &mut self.purpose {
            *head = Some(place);
        }
        self
    }

    /// The place that a connection names that joins.
    pub(super) fn begins_after(&self) -> Option<Position> {
        match self.purpose {
            MarkPurpose::Join {
                replay: Replay::After(place),
                ..
            } => Some(place),
            _ => None,
        }
    }

    /// The same mark of a connection that cannot join.
    pub(super) fn failed(self) -> OrderMark {
        OrderMark {
            purpose: MarkPurpose::JoinFailed,
            ..self
        }
    }

    fn bytes(&self) -> usize {
        self.room.len() + size_of::<Self>()
    }
}

/// The worker that puts a room's messages in order: 0 ≤ owner < workers.
pub(super) fn owner_of(room: &str, workers: usize) -> usize {
    if workers <= 1 {
        return 0;
    }
    let mut hasher = DefaultHasher::new();
    room.hash(&mut hasher);
    usize::try_from(hasher.finish() % workers as u64).unwrap_or(0)
}

/// The mailboxes of all workers. Cheap to clone: each message that the engine is to take has them for its answer.
#[derive(Clone, Debug)]
pub(super) struct Workers(Arc<SharedWorkers>);

#[derive(Debug)]
pub(super) struct SharedWorkers {
    mailboxes: Box<[Mailbox<CrossWorkerMessage>]>,
    /// Bytes sent to each worker that it has not taken yet.
    in_flight_bytes: Box<[AtomicUsize]>,
    /// Above this, senders to the worker stop reading from clients.
    in_flight_bytes_max: usize,
    /// `None`: there is no backplane.
    link: Option<Arc<Link>>,
}

impl Workers {
    /// `link`: `None` if there is no backplane.
    pub(super) fn new(
        mailboxes: impl Iterator<Item = Mailbox<CrossWorkerMessage>>,
        in_flight_bytes_max: usize,
        link: Option<Arc<Link>>,
    ) -> Workers {
        let mailboxes: Box<[_]> = mailboxes.collect();
        Workers(Arc::new(SharedWorkers {
            in_flight_bytes: mailboxes.iter().map(|_| AtomicUsize::new(0)).collect(),
            mailboxes,
            in_flight_bytes_max,
            link,
        }))
    }

    /// The node's side of the engine. `None`: there is no backplane.
    pub(super) fn link(&self) -> Option<&Link> {
        self.link.as_deref()
    }

    /// Whether so many bytes wait for the engine's answer that no client is to be read.
    pub(super) fn engine_is_behind(&self) -> bool {
        let pending_bytes = self.link().map_or(0, Link::pending_bytes);
        pending_bytes > self.in_flight_bytes_max
    }

    pub(super) fn count(&self) -> usize {
        self.mailboxes.len()
    }

    pub(super) fn wake_all(&self) {
        for mailbox in self.mailboxes.iter() {
            // A full one has woken its worker already.
            let _ = mailbox.send(CrossWorkerMessage::Wake);
        }
    }

    /// Sends a message to a worker at once, whatever is in flight to it: for messages of handlers, whose clients are not read
    /// when too much is in flight.
    fn send_now(&self, worker: usize, bytes: usize, message: CrossWorkerMessage) {
        let (Some(mailbox), Some(in_flight)) =
            (self.mailboxes.get(worker), self.in_flight_bytes.get(worker))
        else {
            return;
        };
        // Before the message can be taken, so that no count falls below zero.
        in_flight.fetch_add(bytes, Ordering::Relaxed);
        mailbox.send_all([message]);
    }

    /// How many bytes may be in flight to a worker in front of a publication of a thread that has so many for it. One may be as large as the
    /// backlog itself, and another one of that size is taken behind it. What these leave is for small ones, whose publishers are not to wait
    /// for the large ones.
    fn backlog_before(&self, bytes: usize) -> usize {
        let max = self.in_flight_bytes_max;
        match bytes <= max / SMALL_PUBLICATION_DIVISOR {
            true => max.saturating_mul(BACKLOG_OF_SMALL),
            false => max
                .saturating_mul(BACKLOG_OF_LARGE)
                .saturating_sub(bytes)
                .max(max),
        }
    }

    /// Publishes all of these messages from any thread, or none of them. False: none, too much is in flight to the owner of a
    /// room. Several threads at once may each exceed the limit by their messages. `insists`: all of them, whatever is in flight.
    pub(super) fn publish_all(&self, messages: Vec<SharedMessage>, insists: bool) -> bool {
        let mut of_owners: Vec<Vec<SharedMessage>> = Vec::new();
        of_owners.resize_with(self.count(), Vec::new);
        for message in messages {
            let owner = owner_of(message.room(), self.count());
            if let Some(of_owner) = of_owners.get_mut(owner) {
                of_owner.push(message);
            }
        }
        let of_owners = of_owners.into_iter().enumerate();
        let of_owners: Vec<_> = of_owners
            .filter(|(_, messages)| !messages.is_empty())
            .map(|(owner, messages)| {
                let bytes: usize = messages.iter().map(SharedMessage::bytes).sum();
                (owner, bytes, messages)
            })
            .collect();
        let takes_more = |owner: usize, bytes: usize| {
            self.in_flight_bytes[owner].load(Ordering::Relaxed) <= self.backlog_before(bytes)
                && !self.mailboxes[owner].is_full()
        };
        let mut owners = of_owners.iter();
        if !insists && !owners.all(|(owner, bytes, _)| takes_more(*owner, *bytes)) {
            return false;
        }
        for (owner, bytes, messages) in of_owners {
            self.in_flight_bytes[owner].fetch_add(bytes, Ordering::Relaxed);
            self.mailboxes[owner].send_all(messages.into_iter().map(CrossWorkerMessage::Order));
        }
        true
    }

    /// Gives a connection to a worker. It is sent at once, so that never more connections wait for a worker than its mailbox takes.
    ///
    /// # Errors
    /// The mailbox is full. The connection is given back.
    pub(super) fn serve(
        &self,
        worker: usize,
        connection: AcceptedConnection,
    ) -> Result<(), AcceptedConnection> {
        let Some(mailbox) = self.mailboxes.get(worker) else {
            return Err(connection);
        };
        match mailbox.send(CrossWorkerMessage::Serve(connection)) {
            Err(Full(CrossWorkerMessage::Serve(connection))) => Err(connection),
            _ => Ok(()),
        }
    }

    /// Waits until each worker has taken so much that its senders go on, but for no more milliseconds than these. True: they have.
    pub(super) fn wait_until_taken(&self, milliseconds: u32) -> bool {
        let is_behind =
            |bytes: &AtomicUsize| bytes.load(Ordering::Relaxed) > self.in_flight_bytes_max;
        let mut left = milliseconds;
        while self.in_flight_bytes.iter().any(is_behind) {
            let Some(less) = left.checked_sub(1) else {
                return false;
            };
            left = less;
            thread::sleep(PAUSE);
        }
        true
    }

    /// Gives a request to the worker of its connection, whatever is in flight to it.
    pub(super) fn request_now(&self, request: Box<DirectRequest>) {
        let (worker, bytes) = (request.connection().worker(), request.bytes());
        self.send_now(worker, bytes, CrossWorkerMessage::Direct(request));
    }

    /// Gives a request to the worker of its connection.
    ///
    /// # Errors
    /// Too much is in flight to that worker. The request is given back.
    pub(super) fn request(&self, request: Box<DirectRequest>) -> Result<(), Box<DirectRequest>> {
        let worker = request.connection().worker();
        let bytes = request.bytes();
        match self.send_if_room(worker, bytes, CrossWorkerMessage::Direct(request)) {
            Err(CrossWorkerMessage::Direct(request)) => Err(request),
            _ => Ok(()),
        }
    }

    /// Gives an event of the engine to the room's owner.
    ///
    /// # Errors
    /// Too much is in flight to that worker. The event is given back.
    pub(super) fn tell_owner(&self, event: EngineEvent) -> Result<(), EngineEvent> {
        let owner = owner_of(event.room(), self.count());
        let bytes = event.bytes();
        match self.send_if_room(owner, bytes, CrossWorkerMessage::Engine(Box::new(event))) {
            Err(CrossWorkerMessage::Engine(event)) => Err(*event),
            _ => Ok(()),
        }
    }

    /// Gives messages of the engine to the room's owner, until too much is in flight to it. Returns how many it gets.
    pub(super) fn deliver(
        &self,
        room: &str,
        first: Position,
        messages: &[BackplaneMessage],
    ) -> usize {
        let owner = owner_of(room, self.count());
        let Some(in_flight) = self.in_flight_bytes.get(owner) else {
            return 0;
        };
        let room_bytes = self
            .in_flight_bytes_max
            .checked_sub(in_flight.load(Ordering::Relaxed));
        let (mut taken, mut bytes) = (0, 0);
        for message in messages {
            if room_bytes.is_none_or(|room_bytes| bytes > room_bytes) {
                break;
            }
            bytes += message.bytes();
            taken += 1;
        }
        if taken == 0 {
            return 0;
        }
        let messages = EngineMessages {
            room: room.into(),
            first,
            messages: messages.iter().take(taken).cloned().collect(),
            bytes,
        };
        match self.send_if_room(
            owner,
            bytes,
            CrossWorkerMessage::Deliver(Box::new(messages)),
        ) {
            Ok(()) => taken,
            Err(_) => 0,
        }
    }

    /// Tells a connection what has become of a message that it has published. Its clients are not read while too many messages wait
    /// for an answer.
    pub(super) fn acknowledge(&self, acknowledgement: Acknowledgement) {
        let (worker, bytes) = (acknowledgement.connection.worker(), acknowledgement.bytes());
        let message = CrossWorkerMessage::Published(Box::new(acknowledgement));
        self.send_now(worker, bytes, message);
    }

    /// Publishes from a thread that is no worker. False: not published, too much is in flight to the room's owner. `insists`: published in
    /// any case.
    pub(super) fn publish(&self, message: SharedMessage, insists: bool) -> bool {
        let owner = owner_of(message.room(), self.count());
        let bytes = message.bytes();
        let message = CrossWorkerMessage::Order(message);
        if insists {
            self.send_now(owner, bytes, message);
            return true;
        }
        let before = self.backlog_before(bytes);
        self.send_behind(owner, bytes, before, message).is_ok()
    }

    /// Sends a message of so many bytes to a worker.
    ///
    /// # Errors
    /// Too much is in flight to that worker. The message is given back.
    fn send_if_room(
        &self,
        worker: usize,
        bytes: usize,
        message: CrossWorkerMessage,
    ) -> Result<(), CrossWorkerMessage> {
        self.send_behind(worker, bytes, self.in_flight_bytes_max, message)
    }

    /// Sends a message to a worker, if no more than `before` bytes are in flight to it.
    fn send_behind(
        &self,
        worker: usize,
        bytes: usize,
        before: usize,
        message: CrossWorkerMessage,
    ) -> Result<(), CrossWorkerMessage> {
        let (Some(mailbox), Some(in_flight)) =
            (self.mailboxes.get(worker), self.in_flight_bytes.get(worker))
        else {
            return Err(message);
        };
        let sent = match in_flight.fetch_add(bytes, Ordering::Relaxed) > before {
            true => Err(message),
            false => mailbox.send(message).map_err(|Full(message)| message),
        };
        if sent.is_err() {
            in_flight.fetch_sub(bytes, Ordering::Relaxed);
        }
        sent
    }
}

impl Deref for Workers {
    type Target = SharedWorkers;

    fn deref(&self) -> &SharedWorkers {
        &self.0
    }
}

/// What one worker sends to the others.
pub(super) struct OutboundQueues {
    own: usize,
    workers: Workers,
    /// By worker; a worker's own stays empty.
    queues: Vec<OutboundQueue>,
    /// Bytes that this worker has received in this turn.
    received_bytes: usize,
    /// With one listener for all workers, on the worker that has it: which worker serves the next connection.
    next_to_serve: usize,
}

/// Messages to one worker that are not sent yet.
#[derive(Default)]
struct OutboundQueue {
    messages: Vec<CrossWorkerMessage>,
    /// Bytes that are not counted as in flight yet.
    new_bytes: usize,
}

impl OutboundQueues {
    pub(super) fn new(own: usize, workers: Workers) -> OutboundQueues {
        let queues = std::iter::repeat_with(OutboundQueue::default);
        OutboundQueues {
            own,
            queues: queues.take(workers.count()).collect(),
            workers,
            received_bytes: 0,
            next_to_serve: own,
        }
    }

    pub(super) fn workers(&self) -> usize {
        self.workers.count()
    }

    pub(super) fn all_workers(&self) -> &Workers {
        &self.workers
    }

    pub(super) fn wake_all(&self) {
        self.workers.wake_all();
    }

    /// Wakes the other workers.
    pub(super) fn wake_others(&self) {
        let mailboxes = self.workers.mailboxes.iter().enumerate();
        for (_, mailbox) in mailboxes.filter(|(worker, _)| *worker != self.own) {
            // A full one has woken its worker already.
            let _ = mailbox.send(CrossWorkerMessage::Wake);
        }
    }

    /// Gives a connection to the worker whose turn it is. By number and not by load: a worker's connections do not show how
    /// busy it is.
    ///
    /// Returned: this worker serves it, because it is this worker's turn or the other one's mailbox is full. It is sent at
    /// once, so that never more connections wait for a worker than its mailbox takes.
    pub(super) fn hand_over(
        &mut self,
        connection: AcceptedConnection,
    ) -> Option<AcceptedConnection> {
        let worker = self.next_to_serve;
        self.next_to_serve = (worker + 1) % self.workers();
        if worker == self.own {
            return Some(connection);
        }
        self.workers.serve(worker, connection).err()
    }

    /// To the room's owner, which is another worker.
    pub(super) fn send_to_owner(&mut self, owner: usize, message: SharedMessage) {
        if let Some(queue) = self.queues.get_mut(owner) {
            queue.new_bytes += message.bytes();
            queue.messages.push(CrossWorkerMessage::Order(message));
        }
    }

    /// From the room's owner to all others.
    pub(super) fn send_to_others(&mut self, message: &SharedMessage) {
        for (worker, queue) in self.queues.iter_mut().enumerate() {
            if worker != self.own {
                queue.new_bytes += message.bytes();
                let message = CrossWorkerMessage::Append(message.clone());
                queue.messages.push(message);
            }
        }
    }

    /// Gives a room's message to its owner at once: it has its place in the room's order when this returns.
    pub(super) fn order_now(&self, message: SharedMessage) {
        let owner = owner_of(message.room(), self.workers());
        let bytes = message.bytes();
        self.workers
            .send_now(owner, bytes, CrossWorkerMessage::Order(message));
    }

    /// Gives a mark to the room's owner at once.
    pub(super) fn mark_now(&self, mark: OrderMark) {
        let owner = owner_of(&mark.room, self.workers());
        let bytes = mark.bytes();
        self.workers
            .send_now(owner, bytes, CrossWorkerMessage::OrderMark(mark));
    }

    /// From the room's owner to the worker of the mark's connection, behind the room's messages so far.
    pub(super) fn forward_mark(&mut self, mark: OrderMark) {
        if let Some(queue) = self.queues.get_mut(mark.connection.worker()) {
            queue.new_bytes += mark.bytes();
            queue.messages.push(CrossWorkerMessage::Mark(mark));
        }
    }

    /// From the room's owner to all others, in the room's order.
    pub(super) fn send_room_event(&mut self, event: &Arc<RoomEvent>) {
        let bytes = event.bytes();
        for (worker, queue) in self.queues.iter_mut().enumerate() {
            if worker != self.own {
                queue.new_bytes += bytes;
                queue.messages.push(CrossWorkerMessage::Room(event.clone()));
            }
        }
    }

    /// Tells the room's owner at once, so that it knows this before it gets a message that is published later.
    pub(super) fn use_now(&self, room_use: RoomUse) {
        let owner = owner_of(&room_use.room, self.workers());
        let bytes = room_use.bytes();
        self.workers
            .send_now(owner, bytes, CrossWorkerMessage::Use(room_use));
    }

    /// Tells a connection of another worker what has become of its message, behind the message itself.
    pub(super) fn acknowledge(&mut self, acknowledgement: Acknowledgement) {
        if let Some(queue) = self.queues.get_mut(acknowledgement.connection.worker()) {
            queue.new_bytes += acknowledgement.bytes();
            let message = CrossWorkerMessage::Published(Box::new(acknowledgement));
            queue.messages.push(message);
        }
    }

    /// Something of so many bytes has arrived and is no longer in flight.
    pub(super) fn count_received_bytes(&mut self, bytes: usize) {
        self.received_bytes += bytes;
    }

    /// This mark has arrived and is no longer in flight.
    pub(super) fn count_received_mark(&mut self, mark: &OrderMark) {
        self.received_bytes += mark.bytes();
    }

    /// This request has arrived and is no longer in flight.
    pub(super) fn count_received_request(&mut self, request: &DirectRequest) {
        self.received_bytes += request.bytes();
    }

    /// This message has arrived and is no longer in flight.
    pub(super) fn count_received(&mut self, message: &SharedMessage) {
        self.received_bytes += message.bytes();
    }

    /// Sends what the mailboxes have room for. The rest waits, in its order. True: something waits.
    pub(super) fn send(&mut self) -> bool {
        if let Some(own) = self.workers.in_flight_bytes.get(self.own) {
            own.fetch_sub(self.received_bytes, Ordering::Relaxed);
            self.received_bytes = 0;
        }
        let SharedWorkers {
            mailboxes,
            in_flight_bytes,
            ..
        } = &*self.workers;
        let receivers = mailboxes.iter().zip(in_flight_bytes.iter());
        let mut rest_waits = false;
        for (queue, (mailbox, in_flight)) in self.queues.iter_mut().zip(receivers) {
            if queue.messages.is_empty() {
                continue;
            }
            // Before the messages can be taken, so that no count falls below zero.
            in_flight.fetch_add(queue.new_bytes, Ordering::Relaxed);
            queue.new_bytes = 0;
            mailbox.send_batch(&mut queue.messages);
            rest_waits |= !queue.messages.is_empty();
        }
        rest_waits
    }

    /// Whether this worker has so many new bytes for another worker that it stops a read that has begun. Cost: a comparison for
    /// each worker.
    #[inline]
    pub(super) fn must_stop_mid_read(&self) -> bool {
        let bytes_max = self.workers.in_flight_bytes_max;
        self.queues.iter().any(|queue| queue.new_bytes > bytes_max)
    }

    /// Whether so many bytes are in flight to a worker, or wait for the engine of the backplane, that no client is to be read. Bytes to this worker itself count: its clients
    /// wait like those of the others while it is behind, and it takes its messages first.
    pub(super) fn must_stop_reading(&self) -> bool {
        let in_flight = self.workers.in_flight_bytes.iter();
        let bytes = self.queues.iter().zip(in_flight);
        bytes
            .map(|(queue, sent)| queue.new_bytes + sent.load(Ordering::Relaxed))
            .any(|bytes| bytes > self.workers.in_flight_bytes_max)
            || self.workers.engine_is_behind()
    }
}

/// Publications of a thread are small up to this part of the backlog: 64 KiB by default.
const SMALL_PUBLICATION_DIVISOR: usize = 16;
/// How many times the backlog may be in flight in front of a small one.
const BACKLOG_OF_SMALL: usize = 4;
/// How many times the backlog may be in flight with a large one, unless nearly nothing is in front of it.
const BACKLOG_OF_LARGE: usize = 3;
/// Until a worker that is behind is looked at again.
const PAUSE: Duration = Duration::from_millis(1);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reactor::{Reactor, ReactorConfig};
    use crate::websocket::Message;

    const BACKLOG: usize = 1 << 20;

    /// A worker that takes nothing.
    fn worker() -> (Reactor<CrossWorkerMessage>, Workers) {
        let reactor = Reactor::new(ReactorConfig::default()).expect("a reactor");
        let workers = Workers::new([reactor.mailbox()].into_iter(), BACKLOG, None);
        (reactor, workers)
    }

    fn messages(count: usize, bytes: usize) -> Vec<SharedMessage> {
        let text = "x".repeat(bytes);
        let message = |_| SharedMessage::new("room", Message::Text(&text), None, false);
        (0..count).map(message).collect()
    }

    fn message(bytes: usize) -> SharedMessage {
        messages(1, bytes).remove(0)
    }

    #[test]
    fn large_publications_are_taken_up_to_three_times_the_backlog_and_one_in_front_of_which_there_is_less_than_that()
     {
        let (_reactor, workers) = worker();
        let bytes = |message: &SharedMessage| message.bytes();
        let large: usize = messages(110, 10 << 10).iter().map(bytes).sum();
        for publications in 1..=2 {
            assert!(workers.publish_all(messages(110, 10 << 10), false));
            let in_flight = workers.in_flight_bytes[0].load(Ordering::Relaxed);
            assert_eq!(in_flight, publications * large);
        }
        assert!(!workers.publish_all(messages(110, 10 << 10), false));
        let more_by = |more: usize| {
            let left = BACKLOG_OF_LARGE * BACKLOG - 2 * large;
            message(left + more - (message(large).bytes() - large))
        };
        assert!(!workers.publish(more_by(1), false));
        assert!(workers.publish(more_by(0), false));
        // One that is larger than all of that.
        for (in_flight, is_taken) in [(BACKLOG, true), (BACKLOG + 1, false)] {
            workers.in_flight_bytes[0].store(in_flight, Ordering::Relaxed);
            assert_eq!(workers.publish(message(4 * BACKLOG), false), is_taken);
        }
    }

    #[test]
    fn small_publication_is_taken_behind_large_ones_up_to_four_times_the_backlog() {
        let (_reactor, workers) = worker();
        assert!(workers.publish_all(messages(110, 10 << 10), false));
        assert!(workers.publish_all(messages(110, 10 << 10), false));
        assert!(!workers.publish_all(messages(110, 10 << 10), false));
        let small = message(10 << 10).bytes();
        let mut in_flight = workers.in_flight_bytes[0].load(Ordering::Relaxed);
        while workers.publish(message(10 << 10), false) {
            assert!(in_flight <= 4 * BACKLOG, "{in_flight}");
            in_flight += small;
        }
        assert!(in_flight > 4 * BACKLOG && in_flight <= 4 * BACKLOG + small);
        assert!(!workers.publish_all(messages(1, 1), false));
        assert_eq!(
            workers.in_flight_bytes[0].load(Ordering::Relaxed),
            in_flight
        );
    }

    #[test]
    fn thread_that_insists_publishes_to_a_worker_that_is_behind_and_waits_afterwards() {
        let (_reactor, workers) = worker();
        while workers.publish(message(1000), false) {}
        let before = workers.in_flight_bytes[0].load(Ordering::Relaxed);
        assert!(!workers.wait_until_taken(0));
        assert!(workers.publish(message(1000), true));
        assert!(workers.publish_all(messages(3, 1000), true));
        let bytes = workers.in_flight_bytes[0].load(Ordering::Relaxed);
        assert_eq!(bytes - before, 4 * message(1000).bytes());
        // Just enough is taken.
        workers.in_flight_bytes[0].store(BACKLOG + 1, Ordering::Relaxed);
        assert!(!workers.wait_until_taken(0));
        workers.in_flight_bytes[0].store(BACKLOG, Ordering::Relaxed);
        assert!(workers.wait_until_taken(0));
    }
}
