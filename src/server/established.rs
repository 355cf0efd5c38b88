//! An open WebSocket: frames in, the handler called, deadlines kept, the
//! closing handshake.

use super::context::Context;
use super::ending::LINGER_BYTES_MAX;
use super::handler::{Closed, Failure, Handler};
use super::panics;
use super::session::{Ending, Established, Reading, Session, Waiting};
use super::worker::{Worker, flush_write_queue};
use crate::reactor::{Io, SocketKey};
use crate::websocket::frame::{CloseCode, CloseReason};
use crate::websocket::{Event, Message, State};
use std::net::SocketAddr;

impl<H: Handler> Worker<H> {
    /// Bytes of frames. All of them are consumed, unless the client's share of the turn
    /// is used up, or it does not take its answers, or messages to other workers pile up:
    /// then the rest is left for later.
    pub(super) fn receive_frames(
        &mut self,
        io: &mut Io,
        key: SocketKey,
        mut connection: Box<Established<H::Session>>,
        mut input: &mut [u8],
    ) -> Option<Session<H::Session>> {
        self.is_alive(io, key, &mut connection);
        if connection.write_queue.is_empty() {
            *connection.write_queue.buffer() = self.buffers.take();
        }
        loop {
            let (before, waiting) = (input.len(), connection.waiting);
            let next = match connection.window {
                None => self.receive_event(io, key, &mut connection, &mut input),
                Some(_) => self.receive_piece(io, key, &mut connection, &mut input),
            };
            if connection.sends_on_after_close(waiting, before - input.len()) {
                self.finish(io, key, *connection, Some(Failure::CloseTimeout));
                io.close(key);
                return None;
            }
            // A read may bring far more to say than its size.
            let mut must_wait = !io.has_budget() || self.is_full();
            match next {
                Next::Event if self.rooms.has_much_gathered() => {
                    connection = self.flush_amid(io, key, connection)?;
                }
                // A client that reads gets every answer, however many one read brings.
                Next::Event if connection.has_many_own_bytes() => {
                    self.flush_write_queue(io, key, &mut connection);
                    must_wait |= connection.has_many_own_bytes();
                }
                Next::Event => {}
                Next::MoreInput if input.is_empty() => break,
                Next::MoreInput => {}
                Next::End { failure, at } => {
                    // Our Close is the last word, also after what the rooms
                    // have for the client.
                    let close = connection.write_queue.buffer().split_off(at);
                    self.leave_rooms(io, key, &mut connection);
                    connection.write_queue.push(&close);
                    let write_queue = self.finish(io, key, *connection, failure);
                    return self.begin_ending(io, key, Ending::new(write_queue));
                }
            }
            if must_wait && !input.is_empty() {
                io.leave_unread(input.len());
                break;
            }
        }
        self.after_receiving(io, key, &mut connection);
        Some(Session::Established(connection))
    }

    /// As [`Worker::receive_event`], from the first few bytes of the input: where
    /// compression was agreed on, few bytes may be much work, and the budget is looked
    /// at after each piece.
    // Out of the way of plain messages, whose path is inlined.
    #[inline(never)]
    fn receive_piece(
        &mut self,
        io: &mut Io,
        key: SocketKey,
        established: &mut Established<H::Session>,
        input: &mut &mut [u8],
    ) -> Next {
        let whole = std::mem::take(input);
        let bytes = whole.len().min(INFLATED_PIECE_BYTES_MAX);
        let mut piece = &mut whole[..bytes];
        let next = self.receive_event(io, key, established, &mut piece);
        let taken_bytes = bytes - piece.len();
        *input = &mut whole[taken_bytes..];
        if established.connection.is_inflating() {
            // They have been counted as others are already.
            io.charge(taken_bytes.saturating_mul(INFLATED_BYTE_COST - 1));
        }
        next
    }

    /// Takes one event from the input, acts on it, and charges what that has cost.
    #[inline(always)]
    fn receive_event(
        &mut self,
        io: &mut Io,
        key: SocketKey,
        established: &mut Established<H::Session>,
        input: &mut &mut [u8],
    ) -> Next {
        let (id, state, bytes) = (self.id(key), established.connection.state(), input.len());
        let replies = established.write_queue.buffer();
        let at = replies.len();
        let message = match established.connection.receive(input, replies) {
            Ok(None) => return Next::MoreInput,
            Err(error) => {
                let failure = Some(Failure::Protocol(error));
                return Next::End { failure, at };
            }
            Ok(Some(Event::Close(_))) => return Next::End { failure: None, at },
            // A pong has done what it was sent for by arriving.
            Ok(Some(Event::Ping(_) | Event::Pong(_))) => {
                charge(io, bytes - input.len(), 0);
                return Next::Event;
            }
            Ok(Some(Event::Text(text))) => Message::Text(text),
            Ok(Some(Event::Binary(bytes))) => Message::Binary(bytes),
        };
        self.rooms.metrics.received += 1;
        let mut work_bytes = message.as_bytes().len();
        // After our own Close the application has said its last word.
        if state == State::Open {
            let published_bytes = self.rooms.published_bytes;
            let mut context = Context {
                id,
                peer_address: established.peer_address.get(),
                open: true,
                backlog_bytes_max: self.config.backlog_bytes_max,
                window: established.window,
                write_queue: &mut established.write_queue,
                places: &mut established.places,
                rooms: &mut self.rooms,
                close: None,
            };
            let session = &mut established.session;
            let called = panics::catch(|| self.handler.message(session, message, &mut context));
            let close = context.close;
            if let Err(failure) = called {
                let at = established.write_queue.buffer().len();
                established.close_with(CloseCode::INTERNAL_ERROR, INTERNAL_ERROR);
                return Next::End {
                    failure: Some(failure),
                    at,
                };
            }
            if let Some((code, words)) = close {
                self.begin_close(io, key, established, code, &words);
            }
            let sent_bytes = established.write_queue.bytes().saturating_sub(at);
            let published_bytes = self.rooms.published_bytes.wrapping_sub(published_bytes);
            work_bytes = work_bytes.max(sent_bytes).max(published_bytes);
            // An answer is a message, too.
            if sent_bytes > 0 {
                work_bytes = work_bytes.max(2 * MESSAGE_COST_BYTES);
            }
        }
        charge(io, bytes - input.len(), work_bytes);
        Next::Event
    }

    /// Calls one of the handler's methods that come without a message.
    ///
    /// # Errors
    /// The method has panicked; the caller [fails](Worker::fail) the connection.
    pub(super) fn call(
        &mut self,
        io: &mut Io,
        key: SocketKey,
        established: &mut Established<H::Session>,
        method: impl FnOnce(&H, &mut H::Session, &mut Context<'_>),
    ) -> Result<(), Failure> {
        let mut context = Context {
            id: self.id(key),
            peer_address: established.peer_address.get(),
            open: established.connection.state() == State::Open,
            backlog_bytes_max: self.config.backlog_bytes_max,
            window: established.window,
            write_queue: &mut established.write_queue,
            places: &mut established.places,
            rooms: &mut self.rooms,
            close: None,
        };
        let session = &mut established.session;
        let called = panics::catch(|| method(&self.handler, session, &mut context));
        let close = context.close;
        called?;
        if let Some((code, words)) = close {
            self.begin_close(io, key, established, code, &words);
        }
        Ok(())
    }

    /// What was received may have brought something to write, or too much.
    fn after_receiving(
        &mut self,
        io: &mut Io,
        key: SocketKey,
        established: &mut Established<H::Session>,
    ) {
        if established.has_many_own_bytes() {
            self.flush_write_queue(io, key, established);
        }
        if established.write_queue.is_empty() {
            self.buffers
                .give(std::mem::take(established.write_queue.buffer()));
        } else {
            self.to_flush.push(key);
        }
        if established.has_many_own_bytes() {
            established.reading = Reading::AwaitsWriteQueue;
            io.pause_reading(key);
        }
    }

    /// The client has shown that it is alive: bytes have come from it, or it has
    /// acknowledged some. After a ping that is enough, whatever it is: the pong may be
    /// behind a message that is still arriving, or the ping behind bytes that the client
    /// has not read yet.
    pub(super) fn is_alive(
        &self,
        io: &mut Io,
        key: SocketKey,
        established: &mut Established<H::Session>,
    ) {
        established.heard_at = io.now();
        match established.waiting {
            Waiting::Nothing | Waiting::Close { .. } => return,
            Waiting::Pong => {}
            Waiting::Acknowledgement => {
                io.set_acknowledgement_timeout(key, None);
            }
        }
        self.wait_for_silence(io, key, established);
    }

    /// The connection's deadline: silence, a missing sign of life, a missing Close.
    pub(super) fn deadline_came(
        &mut self,
        io: &mut Io,
        key: SocketKey,
        mut established: Box<Established<H::Session>>,
    ) -> Option<Session<H::Session>> {
        match established.waiting {
            Waiting::Nothing => self.ping_if_silent(io, key, &mut established),
            Waiting::Pong | Waiting::Acknowledgement => {
                return self.pong_is_missing(io, key, established);
            }
            Waiting::Close { .. } => {
                self.finish(io, key, *established, Some(Failure::CloseTimeout));
                io.close(key);
                return None;
            }
        }
        Some(Session::Established(established))
    }

    /// Nothing has come for a while: is the client still there?
    fn ping_if_silent(
        &mut self,
        io: &mut Io,
        key: SocketKey,
        established: &mut Established<H::Session>,
    ) {
        let Some(interval) = self.config.ping_interval else {
            return;
        };
        let silent_since = established.heard_at.plus(interval);
        if silent_since > io.now() {
            io.set_deadline(key, silent_since);
            return;
        }
        self.pings += 1;
        let ping = self.pings.to_be_bytes();
        let lane = established.write_queue.buffer();
        if established.connection.ping(&ping, lane).is_ok() {
            let pong_timeout = self.config.pong_timeout;
            established.wait(io, key, Waiting::Pong, pong_timeout);
            self.to_flush.push(key);
        }
    }

    /// For all of [`Config::pong_timeout`](super::Config) after a ping nothing has come
    /// from the client. That is the end of it, unless it is not the client's fault, or the
    /// ping has not left yet and what is before it makes progress.
    fn pong_is_missing(
        &mut self,
        io: &mut Io,
        key: SocketKey,
        mut established: Box<Established<H::Session>>,
    ) -> Option<Session<H::Session>> {
        let pong_timeout = self.config.pong_timeout;
        // Not read because of other workers: a pong may be in the kernel.
        if established.reading == Reading::AwaitsMail {
            established.wait(io, key, Waiting::Pong, pong_timeout);
            return Some(Session::Established(established));
        }
        let own_bytes = established.write_queue.bytes() as u64;
        if own_bytes > 0 || io.has_unsent(key) {
            if io.set_acknowledgement_timeout(key, Some(pong_timeout)) {
                established.wait(io, key, Waiting::Acknowledgement, pong_timeout);
                return Some(Session::Established(established));
            }
            // Nobody can tell whether they make progress; a full socket has taken nothing.
            let failure = Failure::TooSlow { bytes: own_bytes };
            return self.fail(io, key, established, CloseCode::TRY_AGAIN_LATER, failure);
        }
        // The ping may have left just now.
        if established.waiting == Waiting::Acknowledgement {
            io.set_acknowledgement_timeout(key, None);
            established.wait(io, key, Waiting::Pong, pong_timeout);
            return Some(Session::Established(established));
        }
        let code = CloseCode::POLICY_VIOLATION;
        self.fail(io, key, established, code, Failure::PongTimeout)
    }

    /// Nothing is owed: the next deadline is for silence.
    pub(super) fn wait_for_silence(
        &self,
        io: &mut Io,
        key: SocketKey,
        established: &mut Established<H::Session>,
    ) {
        match self.config.ping_interval {
            Some(interval) => established.wait(io, key, Waiting::Nothing, interval),
            None => {
                established.waiting = Waiting::Nothing;
                io.clear_deadline(key);
            }
        }
    }

    /// Begins the closing handshake: what has been said so far, as much as the
    /// socket takes, then a Close, then nothing.
    pub(super) fn begin_close(
        &mut self,
        io: &mut Io,
        key: SocketKey,
        established: &mut Established<H::Session>,
        code: CloseCode,
        words: &str,
    ) {
        self.leave_rooms(io, key, established);
        // §7.4.1: 1010 is only for clients.
        let code = match code {
            CloseCode::MANDATORY_EXTENSION => CloseCode::INTERNAL_ERROR,
            code => code,
        };
        let reason = CloseReason {
            code,
            reason: cut(words),
        };
        if established
            .connection
            .close(Some(reason), established.write_queue.buffer())
            .is_ok()
        {
            let close_timeout = self.config.close_timeout;
            established.wait(io, key, Waiting::Close { read_bytes: 0 }, close_timeout);
        }
        self.to_flush.push(key);
    }

    /// _Fail the WebSocket Connection_: the client gets a Close and its answer is not
    /// waited for, so that rooms and handler are told now. What the socket takes of the
    /// rooms goes out before the Close.
    //= https://www.rfc-editor.org/rfc/rfc6455#section-7.1.7
    //# An endpoint MUST NOT continue to attempt to process data (including a
    //# responding Close frame) from the remote endpoint after being instructed to
    //# _Fail the WebSocket Connection_.
    pub(super) fn fail(
        &mut self,
        io: &mut Io,
        key: SocketKey,
        mut established: Box<Established<H::Session>>,
        code: CloseCode,
        failure: Failure,
    ) -> Option<Session<H::Session>> {
        self.leave_rooms(io, key, &mut established);
        match failure {
            Failure::Panicked { .. } => established.close_with(code, INTERNAL_ERROR),
            _ => established.close_with(code, &failure.to_string()),
        }
        let write_queue = self.finish(io, key, *established, Some(failure));
        self.begin_ending(io, key, Ending::new(write_queue))
    }

    /// The WebSocket is over: its rooms and its handler hear of it. Gives back
    /// what is still to be written.
    pub(super) fn finish(
        &mut self,
        io: &mut Io,
        key: SocketKey,
        mut established: Established<H::Session>,
        failure: Option<Failure>,
    ) -> crate::broadcast::WriteQueue {
        self.leave_rooms(io, key, &mut established);
        //= https://www.rfc-editor.org/rfc/rfc6455#section-7.1.7
        //# the server MUST _Close the WebSocket Connection_, and SHOULD log the
        //# problem.
        let peer_address = established.peer_address.get();
        if let Some(failure) = &failure {
            self.report(peer_address, failure);
        }
        self.rooms.metrics.closed += 1;
        let ended = established.connection.ended();
        let closed = Closed {
            clean: ended.clean,
            code: ended.code,
            reason: ended.reason,
            failure: failure.as_ref(),
        };
        let mut context = Context {
            id: self.id(key),
            peer_address: established.peer_address.get(),
            open: false,
            backlog_bytes_max: self.config.backlog_bytes_max,
            window: established.window,
            write_queue: &mut established.write_queue,
            places: &mut established.places,
            rooms: &mut self.rooms,
            close: None,
        };
        let session = established.session;
        let called = panics::catch(|| self.handler.closed(session, &closed, &mut context));
        if let Err(failure) = called {
            self.report(peer_address, &failure);
        }
        established.write_queue
    }

    /// Counts a panic, and reports a failure to [`Config::on_failure`](super::Config).
    pub(super) fn report(&mut self, peer_address: SocketAddr, failure: &Failure) {
        if matches!(failure, Failure::Panicked { .. }) {
            self.rooms.metrics.panics += 1;
        }
        if let Some(on_failure) = &self.config.on_failure {
            let called = panics::catch(|| on_failure.call(peer_address, failure));
            self.rooms.metrics.panics += u64::from(called.is_err());
        }
    }

    /// Writes the connection's own bytes and what the rooms have for it, as far
    /// as the socket takes them, and leaves the rooms. A message of theirs that
    /// is partly written will be finished.
    fn leave_rooms(
        &mut self,
        io: &mut Io,
        key: SocketKey,
        established: &mut Established<H::Session>,
    ) {
        flush_write_queue(io, key, &mut established.write_queue);
        self.write_rooms(io, key, established);
        for &place in std::mem::take(&mut established.places).as_slice() {
            if let Some(rest) = self.rooms.leave(place) {
                established.write_queue.finish_first(rest);
            }
        }
    }
}

impl<S> Established<S> {
    /// Writes our Close, unless one is on its way already.
    fn close_with(&mut self, code: CloseCode, words: &str) {
        let reason = CloseReason {
            code,
            reason: cut(words),
        };
        let _ = self
            .connection
            .close(Some(reason), self.write_queue.buffer());
    }
}

impl<S> Established<S> {
    /// Counts what has been read since our Close, if that was `waiting`. True: it is more
    /// than may be on the way to us, and the client does not stop.
    fn sends_on_after_close(&mut self, waiting: Waiting, taken_bytes: usize) -> bool {
        let Waiting::Close { read_bytes } = waiting else {
            return false;
        };
        let read_bytes = read_bytes as usize + taken_bytes;
        self.waiting = Waiting::Close {
            read_bytes: u32::try_from(read_bytes).unwrap_or(u32::MAX),
        };
        read_bytes > LINGER_BYTES_MAX
    }
}

/// What one event leads to.
enum Next {
    Event,
    MoreInput,
    /// The WebSocket is over, well or not. Our Close, if there is one, begins
    /// `at` this byte of the lane.
    End {
        failure: Option<Failure>,
        at: usize,
    },
}

/// Charges for a message: as for the largest of what was read of it, what it brought
/// about, and [`MESSAGE_COST_BYTES`]. What was read has been counted already.
#[inline]
fn charge(io: &mut Io, taken_bytes: usize, work_bytes: usize) {
    let bytes = work_bytes.max(MESSAGE_COST_BYTES);
    io.charge(bytes.saturating_sub(taken_bytes));
}

/// What a message or a control frame costs of a read budget at least, however short
/// it is, and what an answer costs. With the budget of 256 KiB a client has 64 messages
/// in a turn, or 32 that are answered.
const MESSAGE_COST_BYTES: usize = 4 << 10;

/// What a compressed byte costs, whatever it inflates to: 0.03 µs and up to 0.4 µs
/// (see [`crate::websocket::deflate`]), which is some sixty times a plain one.
const INFLATED_BYTE_COST: usize = 64;

/// The most that is inflated before the budget is looked at: all of it.
const INFLATED_PIECE_BYTES_MAX: usize = 4 << 10;

/// The reason in the Close after a panic: its text is not for the client.
const INTERNAL_ERROR: &str = "internal error";

/// As many whole characters of the words as fit a Close.
fn cut(words: &str) -> &str {
    let mut end = words.len().min(CloseReason::REASON_BYTES_MAX);
    while !words.is_char_boundary(end) {
        end -= 1;
    }
    &words[..end]
}
