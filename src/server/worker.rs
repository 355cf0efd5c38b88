//! One worker: an event loop's connections and its part of the rooms.
//!
//! ```text
//!   received ────── opening.rs      a request is complete: 101, or an HTTP response
//!              └─── connection.rs   frames: replies, the handler, its publications
//!              └─── ending.rs       bytes after the end are discarded
//!   message ─────── fan_out.rs      publications of other workers
//!   timer ───────── the connection's one deadline: head, body, next request, silence, pong, Close, FIN, timers of the handler
//!   alarm ───────── only starts a turn: a flush is owed, a batch is due, messages are too old, the next Close of a drain
//!   woken ───────── a signal: the program's own function
//!   turn_ended ──── shutdown.rs: what is due; workers.rs: cross-worker messages out; flush.rs: queues and logs are written
//! ```
//!
//! This file decides which part gets which callback, and the order of a turn's end. A connection is borrowed in place, beside the
//! environment that its methods need.

use super::backpressure::PausedConnections;
use super::connection::{End, Received, leave_rest};
use super::connection_id::ConnectionId;
use super::connections::{ConnectionState, Connections};
use super::direct::{DirectAction, DirectRequest};
use super::ending::Ending;
use super::environment::Environment;
use super::failure::Failure;
use super::fan_out::FanOut;
use super::flush::{Flusher, Owed};
use super::handler::Handler;
use super::listeners::is_shared;
use super::not_sent::NotSent;
use super::opening::{Opening, Progress};
use super::overload::keep_budget;
use super::places::{
    PATIENCE_DIVISOR, RefusedConnections, ReplaceableConnections, TLS_REFUSALS_MAX,
};
use super::refusal_reason::RefusalReason;
use super::room_events::{Acknowledgement, EngineEvent, EngineMessages, RoomEvent};
use super::rooms::{SharedMessage, Subscription, step_bytes};
use super::shutdown::{DrainedAs, MayStop, Outlook, Step};
use super::tls::speaks_tls;
use super::workers::{CrossWorkerMessage, MarkPurpose, OrderMark};
use crate::reactor::{
    self, AcceptedConnection, Application, Io, LimitReached, PeerAddress, SocketKey,
};
use std::time::Duration;

/// One thread of the server.
pub(super) struct Worker<H: Handler> {
    connections: Connections<H>,
    environment: Environment<H>,
    flusher: Flusher,
    paused: PausedConnections,
    replaceable: ReplaceableConnections,
    /// Connections beyond a limit.
    refused: RefusedConnections,
    /// The same over TLS.
    refused_tls: RefusedConnections,
    /// Called when the reactor is woken.
    on_wake: Option<OnWake>,
}

/// A function that the first worker calls: see [`Server::on_wake`](super::Server::on_wake).
pub(super) type OnWake = Box<dyn FnMut() + Send>;

impl<H: Handler> Worker<H> {
    pub(super) fn new(environment: Environment<H>, refusals_max: usize) -> Self {
        Worker {
            on_wake: None,
            connections: Connections::new(),
            environment,
            flusher: Flusher::new(),
            paused: PausedConnections::default(),
            replaceable: ReplaceableConnections::default(),
            refused: RefusedConnections::new(refusals_max),
            refused_tls: RefusedConnections::new(refusals_max.min(TLS_REFUSALS_MAX)),
        }
    }

    #[cfg(unix)]
    pub(super) fn set_on_wake(&mut self, on_wake: OnWake) {
        self.on_wake = Some(on_wake);
    }
}

impl<H: Handler> Application for Worker<H> {
    type Message = CrossWorkerMessage;

    fn accepted(&mut self, connection: AcceptedConnection) -> Option<AcceptedConnection> {
        let Environment {
            config,
            fan_out,
            shutdown,
            ..
        } = &mut self.environment;
        // A worker that drains may stop at any time.
        if !is_shared(&connection, config.accept) || shutdown.is_requested() {
            return Some(connection);
        }
        shutdown.sends_connection();
        let kept = fan_out.outbound.hand_over(connection);
        if kept.is_some() {
            shutdown.keeps_connection();
        }
        kept
    }

    fn opened(&mut self, io: &mut Io, key: SocketKey, peer_address: PeerAddress) {
        let refused = self.environment.memory.is_nearly_used();
        if refused && speaks_tls(io, key) {
            // A handshake would cost more than any answer.
            self.refuse_for_memory(peer_address);
            return io.close(key);
        }
        match refused {
            true => self.refuse_for_memory(peer_address),
            false => self.environment.counts.count_accepted(),
        }
        self.begin_opening(io, key, peer_address, refused);
    }

    fn refused(&mut self, io: &mut Io, key: SocketKey, peer_address: PeerAddress) {
        let limit = io.refused_by(key);
        let is_replaced = limit == Some(LimitReached::Connections) && self.end_replaceable(io);
        if is_replaced && io.admit_refused(key, peer_address) {
            return self.opened(io, key, peer_address);
        }
        let reason = limit.map_or(RefusalReason::Connections, RefusalReason::from);
        self.environment.refuse_connection(peer_address, reason);
        let is_tls = speaks_tls(io, key);
        let has_place = match is_tls {
            true => self.has_place_for_refused_tls(io),
            false => self.has_place_for_refused(io),
        };
        if !has_place {
            return io.close(key);
        }
        let places = match is_tls {
            true => &mut self.refused_tls,
            false => &mut self.refused,
        };
        places.add(key, &mut self.connections);
        self.begin_opening(io, key, peer_address, true);
    }

    fn before_read(&mut self, io: &mut Io, key: SocketKey) {
        self.paused
            .before_read(io, key, &mut self.connections, &self.environment);
    }

    fn received(&mut self, io: &mut Io, key: SocketKey, bytes: &mut [u8]) {
        match self.connections.get_mut(key) {
            Some(ConnectionState::Open(_)) => {
                self.environment.fan_out.rooms.forget_publications();
                self.receive_frames(io, key, bytes);
                if self.environment.memory.must_publish() {
                    self.keep_budget(io);
                }
            }
            Some(ConnectionState::Opening(_)) => self.receive_requests(io, key, bytes),
            Some(ConnectionState::Ending(ending)) => {
                // Their length is charged already.
                io.charge(bytes.len().saturating_mul(DISCARDED_BYTE_COST - 1));
                let fate = ending.discard(io, key, bytes.len());
                self.connections.apply(io, key, fate);
            }
            None => {}
        }
    }

    fn lend(&mut self, key: SocketKey) -> Option<&mut Vec<u8>> {
        self.connections.open_mut(key)?.lend()
    }

    fn filled(&mut self, io: &mut Io, key: SocketKey, count: usize) {
        let Some(connection) = self.connections.open_mut(key) else {
            return;
        };
        self.environment.fan_out.rooms.forget_publications();
        match connection.receive_lent(io, key, count, &mut self.environment) {
            Received::All => {}
            Received::FlushFirst => {
                self.flush_early(io);
                self.publisher_waits(io, key);
                self.receive_frames(io, key, &mut []);
            }
            Received::Ended(end) => self.end(io, key, end),
        }
    }

    fn ended(&mut self, io: &mut Io, key: SocketKey, end: reactor::End) {
        match (self.connections.get_mut(key), end) {
            (Some(ConnectionState::Open(_)), reactor::End::Failed(error)) => {
                self.end(io, key, End::Abandon(Failure::of_socket(error)));
            }
            // The client may still be reading.
            (Some(ConnectionState::Open(_)), reactor::End::Eof) => {
                self.end(io, key, End::InputEnded)
            }
            (Some(ConnectionState::Opening(opening)), end) => {
                let can_write = matches!(end, reactor::End::Eof);
                if let reactor::End::Failed(error) = end {
                    opening.failed(error, &mut self.environment);
                }
                let ending = opening.end(true, &mut self.environment);
                self.end_opening(io, key, ending.filter(|_| can_write));
            }
            (Some(ConnectionState::Ending(ending)), reactor::End::Eof) => {
                let close_timeout = self.environment.config.close_timeout;
                let fate = ending.client_ended(io, key, close_timeout);
                self.connections.apply(io, key, fate);
            }
            _ => self.connections.close(io, key),
        }
    }

    fn end_hidden(&mut self, io: &mut Io, key: SocketKey) {
        let Worker {
            connections,
            environment,
            ..
        } = self;
        if let Some(connection) = connections.open_mut(key) {
            connection.input_ends(io, key, environment);
        }
    }

    fn writable(&mut self, io: &mut Io, key: SocketKey) {
        match self.connections.get_mut(key) {
            Some(ConnectionState::Open(connection)) => {
                connection.writable(io, key, &mut self.environment)
            }
            Some(ConnectionState::Ending(ending)) => {
                let fate = ending.write(io, key, self.environment.config.close_timeout);
                self.connections.apply(io, key, fate);
            }
            Some(ConnectionState::Opening(opening)) => {
                opening.write(io, key, &mut self.environment);
            }
            None => {}
        }
    }

    fn timer(&mut self, io: &mut Io, key: SocketKey) {
        let Worker {
            connections,
            environment,
            ..
        } = self;
        match connections.get_mut(key) {
            Some(ConnectionState::Open(connection)) => {
                if let Err(end) = connection.deadline(io, key, environment) {
                    self.end(io, key, end);
                }
            }
            Some(ConnectionState::Opening(opening)) => {
                let ending = opening.timed_out(io, environment);
                self.end_opening(io, key, ending);
            }
            Some(ConnectionState::Ending(ending)) => {
                let fate = ending.timed_out(io, key);
                connections.apply(io, key, fate);
            }
            None => connections.close(io, key),
        }
    }

    /// While too much of a log is not written, the messages stay in the mailbox, and their senders see that by the bytes in flight.
    fn takes_messages(&mut self) -> bool {
        self.environment.fan_out.rooms.takes_messages()
    }

    fn message(&mut self, io: &mut Io, message: CrossWorkerMessage) {
        match message {
            CrossWorkerMessage::Order(message) => {
                let except = self.except_subscription(&message);
                let fan_out = &mut self.environment.fan_out;
                fan_out.outbound.count_received(&message);
                fan_out.order(&message, except);
            }
            CrossWorkerMessage::Append(message) => {
                let except = self.except_subscription(&message);
                let fan_out = &mut self.environment.fan_out;
                fan_out.outbound.count_received(&message);
                fan_out.append(&message, except);
            }
            CrossWorkerMessage::Deliver(messages) => {
                let FanOut { outbound, .. } = &mut self.environment.fan_out;
                outbound.count_received_bytes(messages.bytes);
                self.deliver(io, &messages);
            }
            CrossWorkerMessage::Engine(event) => {
                let FanOut { outbound, .. } = &mut self.environment.fan_out;
                outbound.count_received_bytes(event.bytes());
                self.engine_event(io, *event);
            }
            CrossWorkerMessage::Room(event) => {
                let FanOut { outbound, .. } = &mut self.environment.fan_out;
                outbound.count_received_bytes(event.bytes());
                self.room_event(io, &event);
            }
            CrossWorkerMessage::Use(room_use) => {
                let fan_out = &mut self.environment.fan_out;
                fan_out.outbound.count_received_bytes(room_use.bytes());
                fan_out.room_used(&room_use);
            }
            CrossWorkerMessage::Published(acknowledgement) => {
                let FanOut { outbound, .. } = &mut self.environment.fan_out;
                outbound.count_received_bytes(acknowledgement.bytes());
                self.published(io, &acknowledgement);
            }
            CrossWorkerMessage::OrderMark(mark) => {
                let fan_out = &mut self.environment.fan_out;
                fan_out.outbound.count_received_mark(&mark);
                if let Some(mark) = fan_out.order_mark(mark) {
                    match self.socket_of(mark.connection) {
                        Some(_) => self.mark_reached(io, &mark),
                        None => self.environment.fan_out.outbound.forward_mark(mark),
                    }
                }
            }
            CrossWorkerMessage::Mark(mark) => {
                let FanOut { outbound, .. } = &mut self.environment.fan_out;
                outbound.count_received_mark(&mark);
                self.mark_reached(io, &mark);
            }
            CrossWorkerMessage::Direct(request) => self.direct(io, *request),
            CrossWorkerMessage::Serve(connection) => self.serve(io, connection),
            CrossWorkerMessage::Wake => {}
        }
        self.flush_early(io);
        self.environment.fan_out.rooms.forget_publications();
    }

    /// It has begun a turn: `turn_ended` does the work.
    fn alarm(&mut self, _io: &mut Io) {}

    fn woken(&mut self, _io: &mut Io) {
        if let Some(on_wake) = &mut self.on_wake {
            on_wake();
        }
    }

    fn turn_ended(&mut self, io: &mut Io) {
        self.follow_config(io);
        self.take_shutdown_steps(io);
        self.call_published(io);
        for mark in self.environment.fan_out.turn_ended(io.now()) {
            self.mark_reached(io, &mark);
        }
        // Before all else, so that the other workers write while this one does.
        self.environment.fan_out.outbound.send();
        self.paused
            .resume(io, &mut self.connections, &self.environment);
        self.call_drained(io);
        self.compress_owed(io);
        let owed = self
            .flusher
            .flush(io, &mut self.connections, &mut self.environment);
        // `Handler::missed` may have published, too.
        let messages_wait = self.environment.fan_out.outbound.send();
        // What it has not sent and what it does not take keep it alive as a connection does.
        let messages_left = messages_wait || !self.takes_messages();
        let alive = self.connections.len() + usize::from(messages_left);
        match self.environment.shutdown.may_stop(alive) {
            MayStop::No => {}
            MayStop::Yes => io.stop(),
            MayStop::YesAndTheOthers => {
                self.environment.fan_out.outbound.wake_all();
                io.stop();
            }
        }
        self.environment.publish_metrics(io);
        self.keep_budget(io);
        self.set_changed_timers(io);
        let drained = self.environment.pending.has_drained();
        let owes_turn = self.environment.fan_out.owes_turn();
        // There is no event for "another worker has taken its messages".
        let awaits_frames = self.environment.fan_out.rooms.owes_messages();
        let retry =
            messages_wait || owed == Owed::Later || !self.paused.is_empty() || awaits_frames;
        let alarms = [
            self.environment.shutdown.next_at(),
            retry.then(|| io.now().plus(RETRY_DELAY)),
            (owed == Owed::NextTurn || drained || owes_turn).then(|| io.now()),
            self.environment.pending.batch_ends_at(),
            self.environment.fan_out.rooms.next_due(),
            self.environment.fan_out.next_due(),
        ];
        io.set_alarm(alarms.into_iter().flatten().min());
    }
}

// Opening.
impl<H: Handler> Worker<H> {
    /// A connection that another worker has accepted, or another part of the program.
    fn serve(&mut self, io: &mut Io, connection: AcceptedConnection) {
        self.environment.shutdown.connection_arrived();
        // In a shutdown without a drain it is closed without a response, as those in the backlog are.
        if self.environment.shutdown.serves_newcomers() {
            // An error means that the system cannot watch one socket more. The connection is closed then.
            drop(io.adopt_accepted(connection));
        }
    }

    /// A new connection gets 503, and the worker that holds the most frees memory for the next one.
    fn refuse_for_memory(&mut self, peer_address: PeerAddress) {
        self.environment
            .refuse_connection(peer_address, RefusalReason::Memory);
        if self.environment.memory.newcomer_is_refused() {
            self.environment.fan_out.outbound.wake_all();
        }
    }

    /// Closes a connection without a request, so that a new one can have its place. False: there is none.
    fn end_replaceable(&mut self, io: &mut Io) -> bool {
        let Worker {
            replaceable,
            connections,
            environment,
            ..
        } = self;
        let least = environment.config.handshake_timeout / PATIENCE_DIVISOR;
        let taken = replaceable.take(connections, io.now(), least);
        taken.is_some_and(|key| self.replace(io, key))
    }

    /// Whether one more refused connection gets a response: there are not too many, or one of them is closed now.
    fn has_place_for_refused(&mut self, io: &mut Io) -> bool {
        // The new one counts already.
        if io.refused_sockets() <= self.refused.max() {
            return true;
        }
        let taken = self.refused.take_replaceable(&mut self.connections);
        taken.is_some_and(|key| self.replace(io, key))
    }

    /// Whether one more refused connection over TLS gets its handshake and a response, such as that of a monitoring system.
    fn has_place_for_refused_tls(&mut self, io: &mut Io) -> bool {
        // The new one counts already.
        if io.refused_sockets() > self.refused.max() {
            return false;
        }
        let Worker {
            refused_tls,
            connections,
            environment,
            ..
        } = self;
        let least = environment.config.handshake_timeout / PATIENCE_DIVISOR;
        if refused_tls.has_place(connections) {
            return true;
        }
        let taken = refused_tls.take_silent(connections, io.now(), least);
        taken.is_some_and(|key| self.replace(io, key))
    }

    /// Closes a connection that is not open, for a new one. True.
    fn replace(&mut self, io: &mut Io, key: SocketKey) -> bool {
        let Worker {
            connections,
            environment,
            ..
        } = self;
        if let Some(ConnectionState::Opening(opening)) = connections.get_mut(key) {
            opening.replaced(environment);
        }
        connections.close(io, key);
        true
    }

    fn begin_opening(
        &mut self,
        io: &mut Io,
        key: SocketKey,
        peer_address: PeerAddress,
        refused: bool,
    ) {
        let opening = Opening::new(io, key, peer_address, refused, &self.environment.config);
        self.connections.insert(key, opening);
    }

    fn receive_requests(&mut self, io: &mut Io, key: SocketKey, bytes: &mut [u8]) {
        let Worker {
            connections,
            environment,
            ..
        } = self;
        let Some(ConnectionState::Opening(opening)) = connections.get_mut(key) else {
            return;
        };
        match opening.receive(io, key, bytes, environment) {
            Progress::Waits => {}
            Progress::Ends(ending) => self.end_opening(io, key, Some(ending)),
            Progress::Fails => self.end_opening(io, key, None),
            Progress::Opens {
                mut connection,
                behind,
                ends_at,
            } => {
                environment.token_ends.opened(key.index(), ends_at);
                let lifetime = environment.config.connection_lifetime_max;
                let ends_at = lifetime.map(|lifetime| io.now().plus(lifetime));
                environment.lifetimes.opened(key.index(), ends_at);
                environment.shutdown.schedule(io.now(), key);
                environment.input_ends.opened(key.index(), None);
                let opened = connection.opened(io, key, environment);
                connections.open(key, connection);
                match opened {
                    Ok(()) => {
                        let frames_at = bytes.len() - behind;
                        self.receive_frames(io, key, &mut bytes[frames_at..]);
                    }
                    Err(end) => self.end(io, key, end),
                }
            }
        }
    }

    /// A connection ends that was not opened. `ending`: its last bytes, if there are any.
    fn end_opening(&mut self, io: &mut Io, key: SocketKey, ending: Option<Ending>) {
        let close_timeout = self.environment.config.close_timeout;
        match ending {
            Some(ending) => self.connections.refuse(io, key, ending, close_timeout),
            None => self.connections.close(io, key),
        }
    }
}

// Open connections.
impl<H: Handler> Worker<H> {
    /// Hands a read to its connection. The logs may have to be flushed in between, with no connection borrowed: that may end any
    /// of them.
    fn receive_frames(&mut self, io: &mut Io, key: SocketKey, mut input: &mut [u8]) {
        while let Some(connection) = self.connections.open_mut(key) {
            match connection.receive(io, key, &mut input, &mut self.environment) {
                Received::All => return,
                Received::FlushFirst => {
                    self.flush_early(io);
                    // Perhaps the connection has left it already.
                    if self.publisher_waits(io, key) {
                        let connection = self.connections.open_mut(key);
                        let inflates_on = connection.is_some_and(|one| one.inflates_on());
                        leave_rest(io, &mut input, inflates_on);
                    }
                }
                Received::Ended(end) => return self.end(io, key, end),
            }
        }
    }

    fn end(&mut self, io: &mut Io, key: SocketKey, end: End) {
        self.connections.end(io, key, end, &mut self.environment);
    }

    /// Goes on with long messages that are compressed in steps. Other workers may wait for the frame.
    fn compress_owed(&mut self, io: &Io) {
        let work = self.flusher.last_cost() + io.read_cost_of_turn();
        let FanOut {
            rooms, outbound, ..
        } = &mut self.environment.fan_out;
        if rooms.owes_messages() && rooms.compress_owed(step_bytes(work)) {
            outbound.wake_others();
        }
    }

    /// Tells handlers that their clients have taken all. What they send now may be taken in the flush that follows; then they
    /// are told in the next turn, so that the other clients are read in between.
    fn call_drained(&mut self, io: &mut Io) {
        for key in self.environment.pending.take_drained() {
            let Some(connection) = self.connections.open_mut(key) else {
                continue;
            };
            if let Err(end) = connection.drained(io, key, &mut self.environment) {
                self.end(io, key, end);
            }
        }
    }

    /// The timers that handlers have set in this turn begin to run.
    fn set_changed_timers(&mut self, io: &mut Io) {
        let Worker {
            connections,
            environment,
            ..
        } = self;
        while let Some(key) = environment.timers.take_changed(io.now()) {
            if let Some(connection) = connections.open_mut(key) {
                connection.set_timer(io, key, environment);
            }
        }
    }

    fn keep_budget(&mut self, io: &mut Io) {
        keep_budget(io, &mut self.connections, &mut self.environment);
    }

    fn flush_early(&mut self, io: &mut Io) {
        self.flusher
            .flush_early(io, &mut self.connections, &mut self.environment);
    }

    /// Whether a client is not read for a while, because it has published faster than the messages are written.
    fn publisher_waits(&mut self, io: &mut Io, key: SocketKey) -> bool {
        self.flusher
            .publisher_waits(io, key, &mut self.connections, &mut self.environment)
    }

    /// The socket of a connection, if this worker has it.
    fn socket_of(&self, connection: ConnectionId) -> Option<SocketKey> {
        connection.key_on(self.environment.fan_out.worker())
    }

    /// All of a room's messages in front of a mark of this worker have come.
    fn mark_reached(&mut self, io: &mut Io, mark: &OrderMark) {
        if let Some(key) = self.socket_of(mark.connection) {
            self.order_reached(io, key, mark);
        }
        if matches!(mark.purpose, MarkPurpose::Join { .. }) {
            self.environment.fan_out.join_done(&mark.room);
        }
    }

    fn order_reached(&mut self, io: &mut Io, key: SocketKey, mark: &OrderMark) {
        let Worker {
            connections,
            environment,
            ..
        } = self;
        let Some(connection) = connections.open_mut(key) else {
            return;
        };
        if let Err(end) = connection.order_reached(io, key, mark, environment) {
            self.end(io, key, end);
        }
    }

    /// Handlers learn what has become of messages of their connections that this worker has put in order.
    fn call_published(&mut self, io: &mut Io) {
        for acknowledgement in self.environment.fan_out.take_acknowledgements() {
            self.published(io, &acknowledgement);
        }
    }

    /// A handler learns what has become of a message of its connection.
    fn published(&mut self, io: &mut Io, acknowledgement: &Acknowledgement) {
        let Worker {
            connections,
            environment,
            ..
        } = self;
        let key = acknowledgement
            .connection
            .key_on(environment.fan_out.worker());
        let Some(key) = key else { return };
        let Some(connection) = connections.open_mut(key) else {
            return;
        };
        if let Err(end) = connection.published(io, key, acknowledgement, environment) {
            self.end(io, key, end);
        }
    }

    /// Another thread sends a message to a connection, or closes it.
    fn direct(&mut self, io: &mut Io, request: DirectRequest) {
        let FanOut { outbound, .. } = &mut self.environment.fan_out;
        outbound.count_received_request(&request);
        let key = self.socket_of(request.connection());
        request.done_by(|action| {
            let key = key.ok_or(NotSent::NotOpen)?;
            let connection = self.connections.open_mut(key).ok_or(NotSent::NotOpen)?;
            match action {
                DirectAction::Send(message) => {
                    connection.send(io, key, &message, &mut self.environment)
                }
                DirectAction::Close(close) => {
                    connection.close(io, key, close, &mut self.environment)
                }
            }
        });
    }

    /// The subscription of the connection that does not get a message, if this worker has it.
    fn except_subscription(&mut self, message: &SharedMessage) -> Option<Subscription> {
        let fan_out = &self.environment.fan_out;
        let key = message.except_connection()?.key_on(fan_out.worker())?;
        let connection = self.connections.open_mut(key)?;
        fan_out
            .rooms
            .subscription_in(message.room(), connection.subscriptions())
    }
}

// Rooms of the backplane.
impl<H: Handler> Worker<H> {
    /// The engine has told the next messages of a room that this worker owns.
    fn deliver(&mut self, io: &mut Io, delivered: &EngineMessages) {
        let EngineMessages {
            room,
            first,
            messages,
            ..
        } = delivered;
        let fan_out = &mut self.environment.fan_out;
        let (dropped, gap) = fan_out.check_delivered(room, *first, messages.len());
        if let Some(event) = gap {
            self.room_event(io, &event);
        }
        for (message, index) in messages.iter().zip(0..).skip(dropped) {
            let fan_out = &self.environment.fan_out;
            let message = fan_out.of_engine(room, first.plus(index), message);
            let except = self.except_subscription(&message);
            self.environment.fan_out.append_next(message, except);
            self.flush_early(io);
        }
    }

    /// The engine has told something of a room that this worker owns.
    fn engine_event(&mut self, io: &mut Io, event: EngineEvent) {
        let fan_out = &mut self.environment.fan_out;
        match event {
            EngineEvent::Gap { room, position } => {
                if let Some(event) = fan_out.gap(&room, position) {
                    self.room_event(io, &event);
                }
            }
            EngineEvent::Load { room, kept } => {
                let steps = fan_out.load(&room, kept);
                if let Some(event) = steps.event {
                    self.room_event(io, &event);
                }
                for message in steps.next {
                    self.environment.fan_out.append_next(message, None);
                }
                let joins = steps.joins.into_iter();
                for mark in self.environment.fan_out.forward_marks(joins) {
                    self.mark_reached(io, &mark);
                }
            }
        }
    }

    /// The owner of a room has told something of it.
    fn room_event(&mut self, io: &mut Io, event: &RoomEvent) {
        self.environment.fan_out.apply(event);
        if !event.disconnects() {
            return;
        }
        let Worker {
            connections,
            environment,
            ..
        } = self;
        for key in environment.fan_out.rooms.subscribers_of(event.room()) {
            if let Some(connection) = connections.open_mut(key) {
                connection.close_for_gap(io, key, environment);
            }
        }
    }
}

// Settings.
impl<H: Handler> Worker<H> {
    /// If there are new settings, they hold for open connections, too.
    fn follow_config(&mut self, io: &mut Io) {
        if !self.environment.follow_config() {
            return;
        }
        for key in self.connections.keys() {
            if let Some(connection) = self.connections.open_mut(key) {
                connection.set_timer(io, key, &self.environment);
            }
        }
    }
}

// Shutdown.
impl<H: Handler> Worker<H> {
    /// Does what a shutdown asks of this worker in this turn.
    fn take_shutdown_steps(&mut self, io: &mut Io) {
        let drain_timeout = self.environment.config.drain_timeout;
        while let Some(step) = self.environment.shutdown.next(io.now(), drain_timeout) {
            match step {
                Step::Begin(outlook) => {
                    match outlook {
                        Outlook::Stops => io.stop_accepting(),
                        Outlook::Restarts => io.leave_accepting(),
                    }
                    let keys = self.connections.keys();
                    let shutdown = &mut self.environment.shutdown;
                    shutdown.begin(io.now(), keys, drain_timeout);
                }
                Step::Close(key) => self.close_for_shutdown(io, key),
                Step::Cut => return self.cut_all(io),
            }
        }
    }

    /// Begins the end of a connection, because the server stops.
    fn close_for_shutdown(&mut self, io: &mut Io, key: SocketKey) {
        let Worker {
            connections,
            environment,
            ..
        } = self;
        let close_timeout = environment.config.close_timeout;
        match connections.get_mut(key) {
            Some(ConnectionState::Open(connection)) => {
                let close = environment.shutdown.close_frame();
                let close = connection.own_close(close, None, environment);
                connection.begin_close(io, key, environment, close);
            }
            Some(ConnectionState::Opening(opening)) if environment.shutdown.serves_newcomers() => {
                // Another one gets the response to its request, and ends with it.
                if opening.is_between_requests() {
                    let ending = opening.end_idle(environment);
                    connections.refuse(io, key, ending, close_timeout);
                }
            }
            Some(ConnectionState::Opening(opening)) => match opening.end(false, environment) {
                Some(ending) => connections.refuse(io, key, ending, close_timeout),
                None => connections.close(io, key),
            },
            Some(ConnectionState::Ending(_)) | None => {}
        }
    }

    /// The shutdown has taken too long, or is to end now: the remaining connections are closed without more.
    fn cut_all(&mut self, io: &mut Io) {
        for key in self.connections.keys() {
            match self.connections.get_mut(key) {
                Some(ConnectionState::Open(_)) => {
                    self.end(io, key, End::Abandon(Failure::CloseTimeout));
                }
                Some(ConnectionState::Opening(opening)) => {
                    if opening.is_serving() {
                        self.environment.shutdown.count_end(DrainedAs::Cut);
                    }
                    self.connections.close(io, key);
                }
                Some(ConnectionState::Ending(_)) | None => self.connections.close(io, key),
            }
        }
        io.stop();
    }
}

/// What a byte costs that is read to be discarded. Nobody waits for it: with the budget of 256 KiB a turn reads 64 KiB of them.
const DISCARDED_BYTE_COST: usize = 4;

/// The time until cross-worker messages are sent again that found a mailbox full, and until a flush that a turn still owes.
const RETRY_DELAY: Duration = Duration::from_millis(1);

#[cfg(test)]
mod tests;
