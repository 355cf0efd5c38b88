//! One worker: an event loop's connections, and its share of the rooms.
//!
//! ```text
//!              ┌ opening.rs      a head is complete: 101, or an HTTP answer
//!   received ──┼ established.rs  frames: replies, the handler, its publications
//!              └ ending.rs       bytes after the end are thrown away
//!   mail ────── rooms.rs         publications of other workers
//!   timer ───── session's one deadline: handshake, silence, pong, close, linger
//!   alarm ───── stopping.rs      whoever has not closed in time
//!   woken ───── a signal came: every worker is told to stop
//!   turn_ended  mail out; write queues; then each room that has something new is
//!               written to its members; who is too far behind is closed
//! ```
//!
//! This file is the table of contents: who gets which callback, and the flush.
//! There is no parsing in it and no system call; both are below.

use super::buffers::Buffers;
use super::config::{Accept, Config};
use super::date::Date;
use super::handler::{Failure, Handler};
use super::mail::{ConnectionId, Mail};
use super::places::Place;
use super::rooms::{Rooms, TooSlow};
use super::session::{Ending, Established, Reading, Session, Sessions, Waiting};
use super::slow::{Missed, SlowPolicy};
use crate::broadcast::{Backlog, WriteQueue};
use crate::reactor::{AcceptedConnection, Application, End, Io, SocketKey};
use crate::time::Timestamp;
use crate::websocket::frame::CloseCode;
use std::collections::VecDeque;
use std::io::IoSlice;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// What one thread of the server knows.
pub(super) struct Worker<H: Handler> {
    pub(super) index: usize,
    pub(super) handler: Arc<H>,
    pub(super) config: Arc<Config>,
    pub(super) sessions: Sessions<H::Session>,
    pub(super) rooms: Rooms,
    /// For the write queues.
    pub(super) buffers: Buffers,
    /// Connections with something in their write queue since the last flush.
    pub(super) to_flush: Vec<SocketKey>,
    /// Connections that are not read while cross-worker messages are congested, in the
    /// order in which they will be.
    congested: VecDeque<SocketKey>,
    /// Members over their bounds, as `Rooms::too_slow` names them.
    too_slow: Vec<TooSlow>,
    /// When what has gathered in the rooms will be written.
    gathered_at: Option<Timestamp>,
    /// The number of the last ping, so that each has its own pong.
    pub(super) pings: u64,
    pub(super) date: Date,
    /// With one listener for all workers, on the worker that has it: who serves the next
    /// connection.
    next_to_serve: usize,
    /// Set by [`ServerHandle::shutdown`](super::ServerHandle).
    stopping: Arc<AtomicBool>,
    /// Set when this worker has seen that: the end of its patience.
    pub(super) drained_at: Option<Timestamp>,
}

impl<H: Handler> Worker<H> {
    pub(super) fn new(
        index: usize,
        handler: Arc<H>,
        config: Arc<Config>,
        rooms: Rooms,
        stopping: Arc<AtomicBool>,
    ) -> Self {
        Worker {
            index,
            handler,
            config,
            sessions: Sessions::new(),
            rooms,
            buffers: Buffers::default(),
            to_flush: Vec::new(),
            congested: VecDeque::new(),
            too_slow: Vec::new(),
            gathered_at: None,
            pings: 0,
            date: Date::default(),
            next_to_serve: index,
            stopping,
            drained_at: None,
        }
    }

    pub(super) fn id(&self, key: SocketKey) -> ConnectionId {
        ConnectionId {
            worker: self.index,
            key,
        }
    }
}

impl<H: Handler> Application for Worker<H> {
    type Message = Mail;

    /// With one listener for all workers they serve in turn. By number and not by load: a
    /// worker's connections do not say how busy it is.
    fn accepted(&mut self, connection: AcceptedConnection) -> Option<AcceptedConnection> {
        if self.config.accept == Accept::PerWorker {
            return Some(connection);
        }
        let worker = self.next_to_serve;
        self.next_to_serve = (worker + 1) % self.rooms.post.workers();
        self.rooms.post.hand_over(worker, connection)
    }

    fn opened(&mut self, io: &mut Io, key: SocketKey, peer_address: SocketAddr) {
        self.rooms.metrics.accepted += 1;
        self.begin_opening(io, key, peer_address, false);
    }

    fn refused(&mut self, io: &mut Io, key: SocketKey, peer_address: SocketAddr) {
        self.rooms.metrics.refused += 1;
        if io.refused_sockets() > REFUSALS_MAX {
            io.close(key);
        } else {
            self.begin_opening(io, key, peer_address, true);
        }
    }

    /// While cross-worker messages are congested, what clients send stays in the kernel.
    fn before_read(&mut self, io: &mut Io, key: SocketKey) {
        if !self.is_congested() {
            return;
        }
        let connection = self.sessions.established(key);
        if let Some(connection) = connection.filter(|other| other.reading == Reading::Reads) {
            connection.reading = Reading::AwaitsMail;
            self.congested.push_back(key);
            io.pause_reading(key);
        }
    }

    fn received(&mut self, io: &mut Io, key: SocketKey, bytes: &mut [u8]) {
        let session = match self.sessions.take(key) {
            None => None,
            Some(Session::Opening(opening)) => self.receive_head(io, key, opening, bytes),
            Some(Session::Established(connection)) => {
                self.receive_frames(io, key, connection, bytes)
            }
            Some(Session::Ending(ending)) => self.discard(io, key, ending, bytes.len()),
        };
        self.sessions.put(key, session);
    }

    fn ended(&mut self, io: &mut Io, key: SocketKey, end: End) {
        let session = match (self.sessions.take(key), end) {
            (Some(Session::Established(connection)), End::Failed(error)) => {
                self.finish(io, key, *connection, Some(Failure::Transport(error)));
                None
            }
            // It may still be reading what it has asked for.
            (Some(Session::Established(connection)), End::Eof) => {
                let write_queue = self.finish(io, key, *connection, Some(Failure::EndOfInput));
                self.client_ended(io, key, Box::new(Ending::new(write_queue)))
            }
            (Some(Session::Ending(ending)), End::Eof) => self.client_ended(io, key, ending),
            _ => None,
        };
        if session.is_none() {
            io.close(key);
        }
        self.sessions.put(key, session);
    }

    fn writable(&mut self, io: &mut Io, key: SocketKey) {
        let session = match self.sessions.take(key) {
            Some(Session::Established(mut connection)) => {
                self.is_alive(io, key, &mut connection);
                self.write_all(io, key, &mut connection);
                Some(Session::Established(connection))
            }
            Some(Session::Ending(ending)) => self.continue_ending(io, key, ending),
            other => other,
        };
        self.sessions.put(key, session);
    }

    fn timer(&mut self, io: &mut Io, key: SocketKey) {
        let session = match self.sessions.take(key) {
            None => None,
            Some(Session::Opening(opening)) => self.opening_timed_out(io, key, &opening),
            Some(Session::Established(connection)) => self.deadline_came(io, key, connection),
            Some(Session::Ending(_)) => {
                io.close(key);
                None
            }
        };
        self.sessions.put(key, session);
    }

    fn message(&mut self, io: &mut Io, mail: Mail) {
        match mail {
            Mail::Publish(published) => {
                self.rooms.post.take(&published);
                let except = self.place_of(published.except, &published.room);
                self.rooms.order(&published, except);
            }
            Mail::Deliver(published) => {
                self.rooms.post.take(&published);
                let except = self.place_of(published.except, &published.room);
                self.rooms.deliver(&published, except);
            }
            // One that comes after the other connections were told to end is closed unheard, as
            // those in the backlog are. An error says that the system cannot watch one socket
            // more: the connection is closed.
            Mail::Serve(connection) if self.drained_at.is_none() => {
                drop(io.adopt_accepted(connection));
            }
            Mail::Serve(_) | Mail::Wake => {}
        }
        if self.rooms.has_much_gathered() {
            self.flush_without_delay(io);
        }
    }

    fn alarm(&mut self, io: &mut Io) {
        if self.drained_at.is_some_and(|at| at <= io.now()) {
            self.abandon_all(io);
        }
    }

    fn woken(&mut self, _io: &mut Io) {
        self.stopping.store(true, Ordering::Release);
        self.rooms.post.wake_all();
    }

    fn turn_ended(&mut self, io: &mut Io) {
        if self.stopping.load(Ordering::Acquire) {
            self.drain(io);
        }
        // First of all, so that the other workers write while this one does.
        self.rooms.post.flush();
        if !self.congested.is_empty() && !self.is_congested() {
            self.read_congested_again(io);
        }
        let owes_flush = self.flush_all(io);
        // Handlers that were told of slow readers may have published, too.
        let mail_waits = self.rooms.post.flush();
        if self.drained_at.is_some() && self.sessions.len() == 0 {
            io.stop();
        }
        self.rooms.show();
        // Nobody says when another worker has taken its mail.
        let retry = mail_waits || owes_flush || !self.congested.is_empty();
        let retry_at = retry.then(|| io.now().plus(MAIL_RETRY));
        let alarms = [
            self.drained_at,
            retry_at,
            self.gathered_at,
            self.rooms.too_old_at(),
        ];
        io.set_alarm(alarms.into_iter().flatten().min());
    }
}

// Flushing.
impl<H: Handler> Worker<H> {
    /// Writes what this turn has brought: first each connection's own bytes,
    /// then the rooms. A socket that is full refuses until it is writable, so
    /// nothing of a room can get between a write queue and its end.
    fn flush(&mut self, io: &mut Io) {
        self.flush_write_queues(io);
        if self.has_gathered(io) {
            self.flush_rooms(io);
        }
    }

    /// Writes all that waits, also what handlers have published and sent meanwhile
    /// because they were told of slow readers. Returns whether the turn still owes a
    /// flush: a handler that publishes whenever it is told that somebody has missed a
    /// publication could go on for ever.
    fn flush_all(&mut self, io: &mut Io) -> bool {
        for _ in 0..FLUSHES_PER_TURN_MAX {
            self.flush(io);
            self.judge_old(io);
            if !self.owes_flush() {
                return false;
            }
        }
        true
    }

    /// Whether something has to be written that no alarm and no event will bring up.
    fn owes_flush(&self) -> bool {
        let rooms = self.rooms.is_dirty() && self.gathered_at.is_none();
        rooms || !self.to_flush.is_empty()
    }

    fn flush_write_queues(&mut self, io: &mut Io) {
        let mut to_flush = std::mem::take(&mut self.to_flush);
        for key in to_flush.drain(..) {
            if let Some(Session::Established(mut connection)) = self.sessions.take(key) {
                self.flush_write_queue(io, key, &mut connection);
                self.sessions
                    .put(key, Some(Session::Established(connection)));
            }
        }
        self.to_flush = to_flush;
    }

    /// The same in the middle of a turn, because the rooms' logs would grow beyond
    /// their bound. `connection` is the one that is being read: it
    /// is judged like all others, and given back.
    pub(super) fn flush_amid(
        &mut self,
        io: &mut Io,
        key: SocketKey,
        connection: Box<Established<H::Session>>,
    ) -> Option<Box<Established<H::Session>>> {
        self.sessions
            .put(key, Some(Session::Established(connection)));
        self.to_flush.push(key);
        self.flush_without_delay(io);
        match self.sessions.take(key) {
            Some(Session::Established(connection)) => Some(connection),
            other => {
                self.sessions.put(key, other);
                None
            }
        }
    }

    fn flush_without_delay(&mut self, io: &mut Io) {
        self.flush_write_queues(io);
        self.gathered_at = None;
        self.flush_rooms(io);
    }

    /// Whether the rooms are to be written now: always, unless
    /// [`Config::gather_delay`] trades latency for fewer writes.
    fn has_gathered(&mut self, io: &Io) -> bool {
        if self.config.gather_delay.is_zero() {
            return true;
        }
        if !self.rooms.is_dirty() {
            return false;
        }
        let gathered_at = io.now().plus(self.config.gather_delay);
        let has_gathered = *self.gathered_at.get_or_insert(gathered_at) <= io.now();
        if has_gathered {
            self.gathered_at = None;
        }
        has_gathered
    }

    fn flush_rooms(&mut self, io: &mut Io) {
        let dirty = self.rooms.take_dirty();
        for &lane in &dirty {
            if let Some((room, pool)) = self.rooms.lane(lane) {
                room.flush(pool, |member, backlog| {
                    write_backlog(io, SocketKey::from_bits(member), backlog)
                });
            }
            self.rooms.watch(lane, io.now());
            self.judge(io, lane);
        }
        self.rooms.reuse_dirty(dirty);
    }

    /// Acts on the members of a lane that are too far behind.
    fn judge(&mut self, io: &mut Io, lane: u32) {
        let mut too_slow = std::mem::take(&mut self.too_slow);
        self.rooms.too_slow(lane, io.now(), &mut too_slow);
        for member in too_slow.drain(..) {
            if let Some(Session::Established(mut connection)) = self.sessions.take(member.key) {
                let session = match member.policy {
                    SlowPolicy::Disconnect => self.disconnect(io, &member, connection),
                    policy => match self.skip(io, &member, policy, &mut connection) {
                        Ok(()) => Some(Session::Established(connection)),
                        Err(failure) => {
                            let code = CloseCode::INTERNAL_ERROR;
                            self.fail(io, member.key, connection, code, failure)
                        }
                    },
                };
                self.sessions.put(member.key, session);
            }
        }
        self.too_slow = too_slow;
    }

    /// The same, in rooms where nobody speaks: what waits there gets older too.
    fn judge_old(&mut self, io: &mut Io) {
        for lane in self.rooms.take_too_old(io.now()) {
            self.judge(io, lane);
        }
    }

    fn disconnect(
        &mut self,
        io: &mut Io,
        member: &TooSlow,
        connection: Box<Established<H::Session>>,
    ) -> Option<Session<H::Session>> {
        let failure = Failure::TooSlow {
            bytes: member.lag.bytes,
        };
        self.rooms.metrics.disconnected += 1;
        let code = CloseCode::TRY_AGAIN_LATER;
        self.fail(io, member.key, connection, code, failure)
    }

    /// # Errors
    /// [`Handler::missed`] has panicked.
    fn skip(
        &mut self,
        io: &mut Io,
        member: &TooSlow,
        policy: SlowPolicy,
        connection: &mut Established<H::Session>,
    ) -> Result<(), Failure> {
        let skipped = self.rooms.skip(member.place, policy == SlowPolicy::Latest);
        if let Some(rest) = skipped.remainder {
            connection.write_queue.finish_first(rest);
        }
        let missed = Missed {
            messages: skipped.records,
            bytes: skipped.bytes,
        };
        let name = self.rooms.name(member.place.lane);
        if let (Some(name), 1..) = (name, missed.messages) {
            self.call(io, member.key, connection, |handler, session, context| {
                handler.missed(session, &name, missed, context);
            })?;
        }
        self.to_flush.push(member.key);
        Ok(())
    }

    /// Writes all that waits for a client whose socket has become writable: the
    /// rest of a record, then its own bytes, then its rooms.
    pub(super) fn write_all(
        &mut self,
        io: &mut Io,
        key: SocketKey,
        connection: &mut Established<H::Session>,
    ) {
        for place in connection.places.as_slice() {
            if let Some((room, pool)) = self.rooms.lane(place.lane) {
                let write = |_, rest: &[u8]| io.write(key, rest);
                if !room.finish_record(place.subscription, pool, write) {
                    return;
                }
            }
        }
        self.flush_write_queue(io, key, connection);
        if connection.write_queue.is_empty() {
            self.write_rooms(io, key, connection);
        }
    }

    /// Writes what the connection's rooms have for it.
    pub(super) fn write_rooms(
        &mut self,
        io: &mut Io,
        key: SocketKey,
        connection: &mut Established<H::Session>,
    ) {
        for place in connection.places.as_slice() {
            if let Some((room, pool)) = self.rooms.lane(place.lane) {
                room.flush_one(place.subscription, pool, |_, backlog| {
                    write_backlog(io, key, backlog)
                });
            }
        }
    }

    /// Writes the connection's own bytes, and goes on reading when few are left.
    #[inline(always)]
    pub(super) fn flush_write_queue(
        &mut self,
        io: &mut Io,
        key: SocketKey,
        connection: &mut Established<H::Session>,
    ) {
        let drained = flush_write_queue(io, key, &mut connection.write_queue);
        self.buffers.give(drained);
        if connection.write_queue.bytes() < READ_PAUSE_BYTES {
            connection
                .connection
                .resume_replies(connection.write_queue.buffer());
            flush_write_queue(io, key, &mut connection.write_queue);
            if !connection.has_many_own_bytes() {
                self.read_again(io, key, connection);
            }
        }
    }

    fn read_again(&self, io: &mut Io, key: SocketKey, connection: &mut Established<H::Session>) {
        if connection.reading != Reading::AwaitsWriteQueue {
            return;
        }
        connection.reading = Reading::Reads;
        // The time that we did not listen is none that the client was silent.
        self.is_alive(io, key, connection);
        io.resume_reading(key);
    }

    /// Whether what clients say now would wait for other workers. A server that
    /// stops reads on: all that it still waits for is their Close.
    pub(super) fn is_congested(&self) -> bool {
        self.drained_at.is_none() && self.rooms.post.is_congested()
    }

    /// The same in the middle of a read, for what this worker alone has to post.
    pub(super) fn is_full(&self) -> bool {
        self.drained_at.is_none() && self.rooms.post.is_full()
    }

    /// Reads those on that have waited longest; the next turn sees whether there is
    /// room for more.
    fn read_congested_again(&mut self, io: &mut Io) {
        let count = self.congested.len().min(RESUMED_PER_TURN_MAX);
        let resumed: Vec<_> = self.congested.drain(..count).collect();
        for &key in &resumed {
            let mut session = self.sessions.take(key);
            if let Some(Session::Established(connection)) = &mut session {
                connection.reading = Reading::Reads;
                // The time that we did not listen is none that the client was silent.
                self.is_alive(io, key, connection);
            }
            self.sessions.put(key, session);
        }
        io.resume_reading_first(resumed);
    }
}

// Mail.
impl<H: Handler> Worker<H> {
    /// Where in the room the connection is that is left out of a message.
    fn place_of(&mut self, connection: Option<ConnectionId>, room: &str) -> Option<Place> {
        let id = connection.filter(|id| id.worker == self.index)?;
        let established = self.sessions.established(id.key)?;
        self.rooms.place_in(room, &established.places)
    }
}

/// Writes a member's backlog: one slice and one system call, nearly always. Inlined,
/// as all on the way to that call.
#[inline(always)]
fn write_backlog(io: &mut Io, key: SocketKey, backlog: Backlog<'_>) -> usize {
    if let Some(bytes) = backlog.contiguous() {
        return io.write(key, bytes);
    }
    let mut slices = [IoSlice::new(&[]); Backlog::SLICES_MAX];
    let mut count = 0;
    for (place, slice) in slices.iter_mut().zip(backlog.slices()) {
        *place = IoSlice::new(slice);
        count += 1;
    }
    io.write_slices(key, &slices[..count])
}

/// Writes what the socket takes of a write queue. Returns a buffer that can be used again,
/// perhaps one without memory.
#[inline(always)]
pub(super) fn flush_write_queue(
    io: &mut Io,
    key: SocketKey,
    write_queue: &mut WriteQueue,
) -> Vec<u8> {
    let written = match write_queue.slices() {
        [[], []] => 0,
        [[], lane] => io.write(key, lane),
        [remainder, lane] => io.write_slices(key, &[IoSlice::new(remainder), IoSlice::new(lane)]),
    };
    write_queue.advance(written)
}

impl<S> Established<S> {
    /// Whether so much waits for this client alone that it is not read on until it has
    /// taken some of that. Pongs that it does not take count, however few bytes they are.
    #[inline]
    pub(super) fn has_many_own_bytes(&self) -> bool {
        self.write_queue.bytes() > READ_PAUSE_BYTES || self.connection.has_unanswered_ping()
    }

    /// When the connection's deadline is, from now on.
    pub(super) fn wait(&mut self, io: &mut Io, key: SocketKey, waiting: Waiting, span: Duration) {
        self.waiting = waiting;
        io.set_deadline(key, io.now().plus(span));
    }
}

/// Connections beyond [`Config::connections_max`] that are being answered with a 503 at a
/// time; any further one is closed without an answer. Each costs a descriptor, and at most
/// the time of a handshake and of an ending.
const REFUSALS_MAX: usize = 256;

/// Own bytes from which on a client's messages wait in the kernel.
const READ_PAUSE_BYTES: usize = 64 << 10;

/// Flushes at the end of one turn: the first one, one for what handlers have published
/// when they were told of slow readers, and two more for what follows from that.
const FLUSHES_PER_TURN_MAX: usize = 4;

/// Connections that are read on in one turn after congestion. Many at once would only
/// be asked to wait again.
const RESUMED_PER_TURN_MAX: usize = 64;

/// How soon mail is posted again that found a mailbox full, and how soon a flush is
/// made up for that a turn still owes.
const MAIL_RETRY: Duration = Duration::from_millis(1);

#[cfg(test)]
mod tests;
