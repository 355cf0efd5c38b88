//! An open connection: frames in, the handler called, deadlines, the closing handshake.
//!
//! ```text
//!   receive ──▶ websocket: an event ──▶ handler ──┬──▶ recipient: replies, direct messages
//!                                                 └──▶ rooms: published messages
//!   writable ──▶ the rest of a message, then the write queue, then the rooms
//!   deadline ──▶ ping, or an end
//! ```
//!
//! A method that ends the connection returns an [`End`]. The caller then removes the connection from the table and calls
//! [`Connection::end`], which ends its subscriptions and calls the handler.
//!
//! Cost of a message that comes uncompressed and in one read: no allocation here. Its payload is read in the worker's buffer;
//! replies go into a buffer that connections use one after the other. The same holds for a message of several reads, if its
//! rest is within the client's budget for the turn (`Io::await_more`). A message that comes in several turns, in fragments or
//! compressed is put together in a buffer of its own, and with several workers a published message has an allocation
//! (`rooms/publication.rs`). A connection whose messages are received in pieces has no such buffer.

use super::context::Context;
use super::diagnostics;
use super::ending::Ending;
use super::environment::Environment;
use super::failure::Failure;
use super::handler::{Closed, Handler};
use super::lag::Missed;
use super::not_sent::NotSent;
use super::rates::{Rate, RateAction};
use super::recipient::Recipient;
use super::room_events::Acknowledgement;
use super::rooms::{NotJoined, Subscriptions};
use super::shutdown::DrainedAs;
use super::workers::{MarkPurpose, OrderMark};
use crate::broadcast::{Skipped, WriteQueue};
use crate::reactor::{Io, SocketKey};
use crate::time::Timestamp;
use crate::websocket::deadlines::{Awaited, Deadlines, Due, Overdue};
use crate::websocket::frame::{CloseCode, CloseFrame};
use crate::websocket::{self, Event, Message, OwnedMessage, Piece, State};
use std::time::Duration;

/// A WebSocket connection, with the session that the application keeps for it.
pub(super) struct Connection<H: Handler> {
    websocket: websocket::Connection,
    session: H::Session,
    recipient: Recipient,
    deadlines: Deadlines,
}

/// What has become of input.
#[derive(Debug)]
pub(super) enum Received {
    /// It is consumed, or left for later.
    All,
    /// The rooms' logs are to be flushed while no connection is borrowed, or the client has to wait because of what it has published.
    /// Then the rest of the input is to be received.
    FlushFirst,
    Ended(End),
}

/// How a connection ends.
#[derive(Debug)]
pub(super) enum End {
    /// The closing handshake is complete, or the client broke a rule. Our last frames begin `at` this byte of the write
    /// queue's buffer.
    Closed { at: usize, failure: Option<Failure> },
    /// _Fail the WebSocket Connection_: the client gets a Close with this code, and its answer is not awaited. What the socket
    /// takes of the rooms' messages is written before it.
    Fail { code: CloseCode, failure: Failure },
    /// TCP has ended on the client's side, without a Close. The client may still read.
    InputEnded,
    /// Nothing more is written.
    Abandon(Failure),
}

impl<H: Handler> Connection<H> {
    pub(super) fn new(
        websocket: websocket::Connection,
        session: H::Session,
        recipient: Recipient,
        now: Timestamp,
    ) -> Connection<H> {
        Connection {
            websocket,
            session,
            recipient,
            deadlines: Deadlines::new(now),
        }
    }

    pub(super) fn subscriptions(&self) -> &Subscriptions {
        self.recipient.subscriptions()
    }

    /// The opening handshake is complete.
    pub(super) fn opened(
        &mut self,
        io: &mut Io,
        key: SocketKey,
        environment: &mut Environment<H>,
    ) -> Result<(), End> {
        environment.counts.count_opened();
        environment.totals.opened(key.index(), io.now());
        diagnostics::connection_opened(self.recipient.peer_address());
        environment.rates.opened(key.index(), io.now());
        self.set_timer(io, key, environment);
        self.call(io, key, environment, |handler, session, context| {
            handler.opened(session, context);
        })
    }

    /// Calls one of the handler's methods.
    #[inline(always)]
    fn call(
        &mut self,
        io: &mut Io,
        key: SocketKey,
        environment: &mut Environment<H>,
        method: impl FnOnce(&H, &mut H::Session, &mut Context<'_>),
    ) -> Result<(), End> {
        let is_open = self.websocket.state() == State::Open;
        let (session, recipient) = (&mut self.session, &mut self.recipient);
        let called = environment.call(key, recipient, is_open, |handler, context| {
            method(handler, session, context);
        });
        self.after_call(io, key, environment, called)
    }

    /// One of the handler's methods has returned.
    #[inline(always)]
    fn after_call(
        &mut self,
        io: &mut Io,
        key: SocketKey,
        environment: &mut Environment<H>,
        called: Result<Option<CloseFrame<'static>>, Failure>,
    ) -> Result<(), End> {
        match called {
            Ok(None) => Ok(()),
            Ok(Some(close)) => {
                self.begin_close(io, key, environment, close);
                Ok(())
            }
            Err(failure) => Err(panicked(failure)),
        }
    }
}

// Receiving.
impl<H: Handler> Connection<H> {
    /// Bytes of frames. All are consumed, unless the client's share of the turn is used up, or it does not take its replies, or
    /// it exceeds a rate, or this worker has too many bytes for another one: then the rest is left for later. `input` becomes what is to be
    /// received after a flush.
    pub(super) fn receive(
        &mut self,
        io: &mut Io,
        key: SocketKey,
        input: &mut &mut [u8],
        environment: &mut Environment<H>,
    ) -> Received {
        self.is_alive(io, key, environment);
        self.recipient.offer_buffer(|| environment.buffers.take());
        environment.rates.begin();
        let mut flush_first = false;
        let mut left_bytes = io.take_stayed_bytes();
        while !flush_first {
            let (before, joins_before) = (input.len(), environment.fan_out.rooms.joins());
            let unfinished_before = self.websocket.unfinished_message_bytes();
            let step = self.receive_step(io, key, input, &mut left_bytes, environment);
            let inflates_on = self.websocket.inflates_on();
            // The messages of one read may make the handler send far more than the size of the read.
            let mut all_received = false;
            let mut must_wait = !io.has_budget() || environment.must_stop_mid_read();
            must_wait |= inflates_on && self.deadlines.is_paused();
            match step {
                Step::Ended(end) => return Received::Ended(end),
                Step::MoreInput => {
                    all_received = left_bytes > 0 || input.is_empty() && !inflates_on;
                }
                Step::Event => {
                    let rooms = &environment.fan_out.rooms;
                    flush_first = rooms.must_flush() || rooms.publisher_may_wait();
                    must_wait |= !flush_first && self.queue_stays_long(io, key, environment);
                }
            }
            if environment.rates.is_limited() {
                let joins = environment.fan_out.rooms.joins().wrapping_sub(joins_before);
                let bytes = before - input.len();
                self.count_unfinished(unfinished_before, environment);
                match self.enforce_rates(io, key, bytes, joins, environment) {
                    Ok(exceeds) => must_wait |= exceeds,
                    Err(end) => return Received::Ended(end),
                }
            }
            if left_bytes > 0 {
                io.await_more(left_bytes);
            }
            if all_received || must_wait && leave_rest(io, input, inflates_on) && !flush_first {
                break;
            }
        }
        if flush_first {
            environment.pending.add(key);
            return Received::FlushFirst;
        }
        self.after_receiving(io, key, environment);
        Received::All
    }

    /// The buffer of the large message that is under way, to be read into.
    pub(super) fn lend(&mut self) -> Option<&mut Vec<u8>> {
        self.websocket.lend()
    }

    /// So many bytes were read into the buffer that was lent. The message may be whole now.
    pub(super) fn receive_lent(
        &mut self,
        io: &mut Io,
        key: SocketKey,
        count: usize,
        environment: &mut Environment<H>,
    ) -> Received {
        self.is_alive(io, key, environment);
        environment.totals.received(key.index(), count);
        if let Err(end) = self.count_while_closing(count, environment) {
            return Received::Ended(end);
        }
        self.recipient.offer_buffer(|| environment.buffers.take());
        environment.rates.begin();
        let joins_before = environment.fan_out.rooms.joins();
        let unfinished_before = self.websocket.unfinished_message_bytes();
        let event = self.websocket.filled();
        if let Some(message) = event.as_ref().and_then(Event::message)
            && let Step::Ended(end) = self.receive_whole(io, key, message, count, environment)
        {
            return Received::Ended(end);
        }
        if environment.rates.is_limited() {
            let joins = environment.fan_out.rooms.joins().wrapping_sub(joins_before);
            self.count_unfinished(unfinished_before, environment);
            if let Err(end) = self.enforce_rates(io, key, count, joins, environment) {
                return Received::Ended(end);
            }
        }
        let rooms = &environment.fan_out.rooms;
        if rooms.must_flush() || rooms.publisher_may_wait() {
            environment.pending.add(key);
            return Received::FlushFirst;
        }
        self.after_receiving(io, key, environment);
        Received::All
    }

    /// A message that was read into its own buffer is whole.
    fn receive_whole(
        &mut self,
        io: &mut Io,
        key: SocketKey,
        message: Message<'_>,
        taken_bytes: usize,
        environment: &mut Environment<H>,
    ) -> Step {
        environment.counts.count_received();
        environment.totals.message(key.index());
        self.deadlines.message_is_finished();
        environment.rates.count_message(0);
        let work = Work {
            is_open: self.websocket.state() == State::Open,
            at: self.recipient.buffer().len(),
            taken_bytes,
            payload_bytes: message.as_bytes().len(),
        };
        self.hand_over(io, key, work, environment, |handler, session, context| {
            handler.message(session, message, context);
        })
    }

    /// After our Close, bytes that come instead of the client's Close are counted.
    #[inline(always)]
    fn count_while_closing(
        &mut self,
        bytes: usize,
        environment: &Environment<H>,
    ) -> Result<(), End> {
        if self.deadlines.awaited() != Awaited::Close {
            return Ok(());
        }
        let counted = self
            .deadlines
            .received_while_closing(bytes, &environment.timeouts);
        counted.map_err(end_of)
    }

    /// Takes at most one event from the input, and counts the bytes that come instead of the client's Close.
    #[inline(always)]
    fn receive_step(
        &mut self,
        io: &mut Io,
        key: SocketKey,
        input: &mut &mut [u8],
        left_bytes: &mut usize,
        environment: &mut Environment<H>,
    ) -> Step {
        let before = input.len();
        let awaits_close = self.deadlines.awaited() == Awaited::Close;
        let step = match self.recipient.has_compression() {
            false => {
                let more_bytes_max = io.more_bytes_max();
                self.receive_event(io, key, input, left_bytes, more_bytes_max, environment)
            }
            true => self.receive_compressed(io, key, input, environment),
        };
        if awaits_close {
            let bytes = before - input.len();
            if let Err(overdue) = self
                .deadlines
                .received_while_closing(bytes, &environment.timeouts)
            {
                return Step::Ended(end_of(overdue));
            }
        }
        step
    }

    /// As [`Connection::receive_event`], from the first few bytes of the input: where compression was agreed on, few bytes may
    /// be much work, and the budget is checked after each part of the input.
    // Not inlined, so that plain messages have the shorter path.
    #[inline(never)]
    fn receive_compressed(
        &mut self,
        io: &mut Io,
        key: SocketKey,
        input: &mut &mut [u8],
        environment: &mut Environment<H>,
    ) -> Step {
        let whole = std::mem::take(input);
        let bytes = whole.len().min(COMPRESSED_BYTES_MAX);
        let mut front = &mut whole[..bytes];
        let inflated_before = self.websocket.inflated_bytes();
        let step = self.receive_event(io, key, &mut front, &mut 0, 0, environment);
        let taken_bytes = bytes - front.len();
        *input = &mut whole[taken_bytes..];
        if self.websocket.is_inflating() {
            // They have been charged as other bytes are.
            let taken_cost = taken_bytes.saturating_mul(COMPRESSED_INPUT_BYTE_COST - 1);
            // Those of a whole message are charged with it.
            let inflated = self
                .websocket
                .inflated_bytes()
                .saturating_sub(inflated_before);
            io.charge(taken_cost.max(inflated.saturating_mul(INFLATED_BYTE_COST)));
        }
        step
    }

    /// Whether there is more to receive, although nothing is left of the input: the rest of a compressed message, of which a step is inflated.
    pub(super) fn inflates_on(&self) -> bool {
        self.websocket.inflates_on()
    }

    /// Takes one event from the input, acts on it, and charges its cost.
    #[inline(always)]
    fn receive_event(
        &mut self,
        io: &mut Io,
        key: SocketKey,
        input: &mut &mut [u8],
        left_bytes: &mut usize,
        more_bytes_max: usize,
        environment: &mut Environment<H>,
    ) -> Step {
        let (state, bytes) = (self.websocket.state(), input.len());
        let replies = self.recipient.buffer();
        let at = replies.len();
        // Matched where it is: an event that is moved costs some 30 instructions.
        let received = self
            .websocket
            .receive_or_leave(input, left_bytes, more_bytes_max, replies);
        let work = Work {
            is_open: state == State::Open,
            at,
            taken_bytes: bytes - input.len(),
            payload_bytes: 0,
        };
        environment.totals.received(key.index(), work.taken_bytes);
        let message = match &received {
            Ok(Some(Event::Text(text))) => Message::Text(text),
            Ok(Some(Event::Binary(bytes))) => Message::Binary(bytes),
            Ok(Some(Event::Piece(piece))) => {
                return self.receive_piece(io, key, piece, work, environment);
            }
            // A pong has done its work by arriving.
            Ok(Some(Event::Ping(_) | Event::Pong(_))) => {
                environment.rates.count_control_frame();
                charge(io, work.taken_bytes, 0);
                return Step::Event;
            }
            Ok(None) => return Step::MoreInput,
            Ok(Some(Event::Close(_))) => return Step::Ended(End::Closed { at, failure: None }),
            Err(error) => {
                let failure = Some(Failure::Protocol(*error));
                return Step::Ended(End::Closed { at, failure });
            }
        };
        environment.counts.count_received();
        environment.totals.message(key.index());
        self.deadlines.message_is_finished();
        let work = work.with_payload(message.as_bytes());
        environment.rates.count_message(self.inflated_bytes(work));
        self.hand_over(io, key, work, environment, |handler, session, context| {
            handler.message(session, message, context);
        })
    }

    /// A piece of a message, which counts as received when it is whole.
    // Out of the way of whole messages, whose path is inlined.
    #[inline(never)]
    fn receive_piece(
        &mut self,
        io: &mut Io,
        key: SocketKey,
        piece: &Piece<'_>,
        work: Work,
        environment: &mut Environment<H>,
    ) -> Step {
        let work = work.with_payload(piece.as_bytes());
        environment.rates.count_inflated(self.inflated_bytes(work));
        if piece.is_last() {
            environment.counts.count_received();
            environment.totals.message(key.index());
            environment.rates.count_message(0);
            self.deadlines.message_is_finished();
        }
        self.hand_over(io, key, work, environment, |handler, session, context| {
            handler.piece(session, piece, context);
        })
    }

    /// The payload's length, if it came compressed.
    #[inline(always)]
    fn inflated_bytes(&self, work: Work) -> usize {
        match self.websocket.is_inflating() {
            true => work.payload_bytes,
            false => 0,
        }
    }

    /// Calls the handler's method for what has come, and charges what that has cost.
    #[inline(always)]
    fn hand_over(
        &mut self,
        io: &mut Io,
        key: SocketKey,
        work: Work,
        environment: &mut Environment<H>,
        method: impl FnOnce(&H, &mut H::Session, &mut Context<'_>),
    ) -> Step {
        let mut work_bytes = work.payload_bytes;
        // After our own Close the application gets no messages.
        if work.is_open {
            let published_before = environment.fan_out.published_bytes();
            let joins_before = environment.fan_out.rooms.joins();
            let compressed_before = environment.fan_out.rooms.compressed_bytes();
            let (session, recipient) = (&mut self.session, &mut self.recipient);
            let called = environment.call(key, recipient, true, |handler, context| {
                method(handler, session, context);
            });
            if let Err(end) = self.after_call(io, key, environment, called) {
                return Step::Ended(end);
            }
            let sent_bytes = self.recipient.queued_bytes().saturating_sub(work.at);
            let published_after = environment.fan_out.published_bytes();
            let published_bytes = published_after.wrapping_sub(published_before);
            let joins = environment.fan_out.rooms.joins().wrapping_sub(joins_before);
            work_bytes = work_bytes.max(output_cost(sent_bytes, published_bytes));
            work_bytes = work_bytes.saturating_add(joins.saturating_mul(JOIN_COST_BYTES));
            let compressed_after = environment.fan_out.rooms.compressed_bytes();
            let compressed = compressed_after.wrapping_sub(compressed_before);
            work_bytes = work_bytes.saturating_add(compressed.saturating_mul(COMPRESSED_BYTE_COST));
        }
        charge(io, work.taken_bytes, work_bytes);
        Step::Event
    }

    /// Writes a long queue. True: it is still long, because the client does not take it. A client that reads gets every reply,
    /// however many one read brings.
    #[inline(always)]
    fn queue_stays_long(
        &mut self,
        io: &mut Io,
        key: SocketKey,
        environment: &mut Environment<H>,
    ) -> bool {
        if self.has_long_queue() {
            self.flush_queue(io, key, environment);
            return self.has_long_queue();
        }
        false
    }

    /// The messages may have brought something to write, or too much.
    #[inline(always)]
    fn after_receiving(&mut self, io: &mut Io, key: SocketKey, environment: &mut Environment<H>) {
        let stays_long = self.queue_stays_long(io, key, environment);
        match self.recipient.take_idle_buffer() {
            Some(buffer) => environment.buffers.give(buffer),
            None => environment.pending.add(key),
        }
        if stays_long {
            self.recipient.pause_reading(io, key);
        }
        if self.websocket.has_unfinished_input() {
            self.message_is_unfinished(io, key, environment);
        } else {
            self.deadlines.message_is_finished();
            if self.recipient.is_counted() {
                self.count_held(environment);
            }
        }
    }

    /// Counts what has come of an unfinished message: it may take the time that this takes at the allowed rate.
    fn count_unfinished(&self, bytes_before: usize, environment: &mut Environment<H>) {
        match self.websocket.has_unfinished_input() {
            true => {
                let bytes = self.websocket.unfinished_message_bytes();
                environment
                    .rates
                    .count_unfinished(bytes.saturating_sub(bytes_before));
            }
            false => environment.rates.forget_unfinished(),
        }
    }

    /// The client has sent so many bytes, and joined so many rooms, besides the messages that are counted already. True: it
    /// exceeds a rate, and is not read for a while.
    #[inline(never)]
    fn enforce_rates(
        &mut self,
        io: &mut Io,
        key: SocketKey,
        bytes: usize,
        joins: usize,
        environment: &mut Environment<H>,
    ) -> Result<bool, End> {
        let excess = environment.rates.pay(key.index(), bytes, joins, io.now());
        // The end of the closing handshake is awaited, and has limits of its own.
        let Some(excess) = excess.filter(|_| self.websocket.state() == State::Open) else {
            return Ok(false);
        };
        match environment.rates.action() {
            RateAction::Close => Err(too_fast(excess.rate)),
            RateAction::Wait => {
                if environment.rates.begin_wait(key.index()) {
                    environment.counts.count_slowed();
                    diagnostics::client_slowed(self.recipient.peer_address(), excess.rate);
                    self.deadlines.throttle();
                    io.pause_reading(key);
                }
                self.set_timer(io, key, environment);
                Ok(true)
            }
        }
    }

    /// The client is within its rates, or closes: it is read again, unless it does not take its replies.
    fn end_wait(&mut self, io: &mut Io, key: SocketKey, environment: &Environment<H>) {
        if !self.recipient.is_paused() {
            io.resume_reading(key);
        }
        self.resume_deadlines(io, key, environment);
    }

    /// The connection is read again.
    fn resume_deadlines(&mut self, io: &mut Io, key: SocketKey, environment: &Environment<H>) {
        match self.deadlines.resume(io.now()) {
            Some(awaited) => self.after_sign_of_life(io, key, awaited, environment),
            None => self.set_timer(io, key, environment),
        }
    }

    /// A worker, the flush of a log, or a subscriber is behind: the connection is not read, and its deadlines stand still. False: it is not read
    /// anyway.
    pub(super) fn pause_for_workers(&mut self, io: &mut Io, key: SocketKey) -> bool {
        if self.recipient.is_paused() || self.deadlines.is_paused() {
            return false;
        }
        self.deadlines.pause(io.now());
        io.pause_reading(key);
        true
    }

    /// It has caught up. The caller resumes the socket.
    pub(super) fn resume_after_workers(
        &mut self,
        io: &mut Io,
        key: SocketKey,
        environment: &Environment<H>,
    ) {
        self.resume_deadlines(io, key, environment);
    }
}

// Writing.
impl<H: Handler> Connection<H> {
    /// The socket takes more: the rest of a partly written message, then the write queue, then what the rooms have.
    pub(super) fn writable(
        &mut self,
        io: &mut Io,
        key: SocketKey,
        environment: &mut Environment<H>,
    ) {
        self.is_alive(io, key, environment);
        let rooms = &mut environment.fan_out.rooms;
        if !self.recipient.finish_messages(io, key, rooms) {
            return;
        }
        self.flush_queue(io, key, environment);
        if self.recipient.queued_bytes() == 0 {
            let rooms = &mut environment.fan_out.rooms;
            self.recipient.flush_rooms(io, key, rooms);
        }
    }

    /// Writes the queue, and reads on when it is short again.
    #[inline(always)]
    pub(super) fn flush_queue(
        &mut self,
        io: &mut Io,
        key: SocketKey,
        environment: &mut Environment<H>,
    ) {
        let drained = self.recipient.flush_queue(io, key);
        environment.buffers.give(drained);
        if self.recipient.queued_bytes() < READ_PAUSE_BYTES {
            self.websocket.resume_replies(self.recipient.buffer());
            self.recipient.flush_queue(io, key);
            // The time without reading is no silence.
            if !self.has_long_queue() && self.recipient.resume_reading(io, key) {
                self.is_alive(io, key, environment);
                if environment.rates.wait_ends_at(key.index()).is_some() {
                    io.pause_reading(key);
                }
            }
        }
        if self.recipient.take_drained() {
            environment.pending.add_drained(key);
        }
        // A full socket: the rooms follow when it is writable.
        if self.recipient.take_rooms_wait() && self.recipient.queued_bytes() == 0 {
            let rooms = &mut environment.fan_out.rooms;
            self.recipient.flush_rooms(io, key, rooms);
        }
        self.count_held(environment);
    }

    /// Tells the memory budget what the connection holds now.
    #[inline(always)]
    fn count_held(&mut self, environment: &mut Environment<H>) {
        let held_bytes = self.websocket.held_bytes() + self.recipient.held_bytes();
        if let Some((before, now)) = self.recipient.count_held(held_bytes) {
            environment.memory.changed(before, now);
        }
    }

    /// The bytes of the unfinished message that are inflated.
    #[cfg(test)]
    pub(super) fn unfinished_inflated_bytes(&self) -> usize {
        self.websocket.inflated_bytes()
    }

    /// Bytes that wait for this client alone.
    #[cfg(test)]
    pub(super) fn queued_bytes(&self) -> usize {
        self.recipient.queued_bytes()
    }

    /// The memory of the write queue.
    pub(super) fn queue_bytes(&self) -> usize {
        self.recipient.held_bytes()
    }

    /// The memory of an unfinished message.
    pub(super) fn unfinished_bytes(&self) -> usize {
        match self.websocket.has_unfinished_input() {
            true => self.websocket.held_bytes(),
            false => 0,
        }
    }

    /// How long the unfinished message has made no progress.
    pub(super) fn message_stands_for(&self, now: Timestamp) -> Duration {
        self.deadlines.message_stands_for(now)
    }

    /// Whether so much waits for this client alone that it is not read before it has taken some of that. Pongs that have no room
    /// count, however few bytes they are.
    #[inline]
    fn has_long_queue(&self) -> bool {
        self.recipient.queued_bytes() > READ_PAUSE_BYTES || self.websocket.has_unanswered_ping()
    }

    /// The write queue is empty, and the handler wants to know that.
    pub(super) fn drained(
        &mut self,
        io: &mut Io,
        key: SocketKey,
        environment: &mut Environment<H>,
    ) -> Result<(), End> {
        if self.websocket.state() != State::Open {
            return Ok(());
        }
        self.recipient.offer_buffer(|| environment.buffers.take());
        self.call(io, key, environment, |handler, session, context| {
            handler.drained(session, context);
        })?;
        environment.pending.add(key);
        Ok(())
    }

    /// Another thread sends a message to the client.
    pub(super) fn send(
        &mut self,
        io: &mut Io,
        key: SocketKey,
        message: &OwnedMessage,
        environment: &mut Environment<H>,
    ) -> Result<(), NotSent> {
        self.recipient.offer_buffer(|| environment.buffers.take());
        let mut sent = Err(NotSent::NotOpen);
        // Nothing of the application runs here, so nothing ends the connection.
        let _ = self.call(io, key, environment, |_, _, context| {
            sent = context.send(message);
        });
        environment.pending.add(key);
        sent
    }

    /// Another thread closes the connection.
    pub(super) fn close(
        &mut self,
        io: &mut Io,
        key: SocketKey,
        close: CloseFrame<'static>,
        environment: &mut Environment<H>,
    ) -> Result<(), NotSent> {
        if self.websocket.state() != State::Open {
            return Err(NotSent::NotOpen);
        }
        self.begin_close(io, key, environment, close);
        Ok(())
    }

    /// All of a room's messages in front of a mark have come.
    pub(super) fn order_reached(
        &mut self,
        io: &mut Io,
        key: SocketKey,
        mark: &OrderMark,
        environment: &mut Environment<H>,
    ) -> Result<(), End> {
        if self.websocket.state() != State::Open {
            return Ok(());
        }
        match mark.purpose {
            MarkPurpose::JoinFailed => {
                self.call(io, key, environment, |handler, session, context| {
                    handler.joined(session, &mark.room, Err(NotJoined::NotLoaded), context);
                })?;
            }
            MarkPurpose::Tell(number) => {
                self.call(io, key, environment, |handler, session, context| {
                    handler.order_reached(session, &mark.room, number, context);
                })?;
            }
            MarkPurpose::Join { replay, head } => {
                let rooms = &mut environment.fan_out.rooms;
                let joined = self
                    .recipient
                    .subscribe_from(&mark.room, replay, head, key, rooms);
                self.call(io, key, environment, |handler, session, context| {
                    handler.joined(session, &mark.room, joined, context);
                })?;
            }
        }
        environment.pending.add(key);
        Ok(())
    }

    /// A message of this connection was published, or was not.
    pub(super) fn published(
        &mut self,
        io: &mut Io,
        key: SocketKey,
        told: &Acknowledgement,
        environment: &mut Environment<H>,
    ) -> Result<(), End> {
        if self.websocket.state() != State::Open {
            return Ok(());
        }
        self.recipient.offer_buffer(|| environment.buffers.take());
        self.call(io, key, environment, |handler, session, context| {
            handler.published(session, &told.room, told.number, told.result, context);
        })?;
        environment.pending.add(key);
        Ok(())
    }

    /// Messages of a room of the backplane are missing, and the application has no other way to tell the client.
    pub(super) fn close_for_gap(
        &mut self,
        io: &mut Io,
        key: SocketKey,
        environment: &mut Environment<H>,
    ) {
        if self.websocket.state() == State::Open {
            let close = CloseFrame::new(CloseCode::TRY_AGAIN_LATER, MESSAGES_MISSING);
            let close = self.own_close(close, None, environment);
            self.begin_close(io, key, environment, close);
        }
    }

    /// Messages of a room were skipped, because the client was too slow.
    pub(super) fn missed(
        &mut self,
        io: &mut Io,
        key: SocketKey,
        room: &str,
        skipped: Skipped,
        environment: &mut Environment<H>,
    ) -> Result<(), End> {
        if let Some(rest) = skipped.remainder {
            self.recipient.finish_first(rest);
        }
        let missed = Missed {
            messages: skipped.records,
            bytes: skipped.bytes,
        };
        if missed.messages > 0 {
            diagnostics::messages_skipped(self.recipient.peer_address(), room, missed);
            self.call(io, key, environment, |handler, session, context| {
                handler.missed(session, room, missed, context);
            })?;
        }
        environment.pending.add(key);
        Ok(())
    }
}

// Deadlines.
impl<H: Handler> Connection<H> {
    /// The client is alive: bytes came from it, or it has acknowledged some.
    #[inline(always)]
    fn is_alive(&mut self, io: &mut Io, key: SocketKey, environment: &Environment<H>) {
        if let Some(awaited) = self.deadlines.peer_is_alive(io.now()) {
            self.after_sign_of_life(io, key, awaited, environment);
        }
    }

    /// A sign of life that was awaited has come.
    #[cold]
    fn after_sign_of_life(
        &mut self,
        io: &mut Io,
        key: SocketKey,
        awaited: Awaited,
        environment: &Environment<H>,
    ) {
        if awaited == Awaited::Acknowledgement {
            io.set_acknowledgement_timeout(key, None);
        }
        self.set_timer(io, key, environment);
    }

    /// Calls the handler for each of its timers that is due. Those that it sets meanwhile are due in a later turn.
    fn call_timers(
        &mut self,
        io: &mut Io,
        key: SocketKey,
        environment: &mut Environment<H>,
    ) -> Result<(), End> {
        while let Some(number) = environment.timers.take_due(key, io.now()) {
            self.recipient.offer_buffer(|| environment.buffers.take());
            self.call(io, key, environment, |handler, session, context| {
                handler.timer(session, number, context);
            })?;
            environment.pending.add(key);
        }
        Ok(())
    }

    /// Sets the socket's one deadline: the earliest time at which something is due.
    pub(super) fn set_timer(&self, io: &mut Io, key: SocketKey, environment: &Environment<H>) {
        let deadlines = [
            self.deadlines.deadline(&environment.timeouts),
            environment.rates.wait_ends_at(key.index()),
            environment.token_ends.ends_at(key.index()),
            environment.lifetimes.ends_at(key.index()),
            environment.input_ends.ends_at(key.index()),
            environment.timers.next_at(key),
        ];
        match deadlines.into_iter().flatten().min() {
            Some(at) => io.set_deadline(key, at),
            None => io.clear_deadline(key),
        }
    }

    /// A read has left a message unfinished: its time runs.
    #[inline(never)]
    fn message_is_unfinished(
        &mut self,
        io: &mut Io,
        key: SocketKey,
        environment: &mut Environment<H>,
    ) {
        self.count_held(environment);
        let bytes = self.websocket.unfinished_message_bytes();
        let (now, timeouts) = (io.now(), &environment.timeouts);
        let is_first = self.deadlines.message_is_unfinished(now, bytes, timeouts);
        if let Some(time) = environment.rates.unfinished_time() {
            self.deadlines.extend_message(time);
        }
        if is_first {
            self.set_timer(io, key, environment);
        }
    }

    /// The connection's timer has expired.
    pub(super) fn deadline(
        &mut self,
        io: &mut Io,
        key: SocketKey,
        environment: &mut Environment<H>,
    ) -> Result<(), End> {
        let (now, timeouts) = (io.now(), environment.timeouts);
        if environment.rates.end_wait_if_due(key.index(), now) {
            self.end_wait(io, key, environment);
        }
        if environment.token_ends.end_if_due(key.index(), now) {
            let close = CloseFrame::new(CloseCode::UNAUTHORIZED, EXPIRED);
            self.begin_close(io, key, environment, close);
        }
        if environment.lifetimes.end_if_due(key.index(), now) {
            let close = CloseFrame::new(CloseCode::GOING_AWAY, OPEN_FOR_LONG);
            self.begin_close(io, key, environment, close);
        }
        if environment.input_ends.end_if_due(key.index(), now) {
            // Only its own rate counts: another client's work is no reason to lose what this one has sent.
            if environment.rates.wait_ends_at(key.index()).is_some() {
                return Err(End::InputEnded);
            }
            self.input_ends(io, key, environment);
        }
        self.call_timers(io, key, environment)?;
        let queued_bytes = self.recipient.queued_bytes();
        let has_unsent = || queued_bytes > 0 || io.has_unsent(key);
        match self.deadlines.handle_timeout(now, &timeouts, has_unsent) {
            Due::Nothing => {}
            Due::Ping => self.ping(key, environment),
            Due::WatchAcknowledgements => {
                if !io.set_acknowledgement_timeout(key, Some(timeouts.pong)) {
                    // This system does not show progress. A full socket has taken nothing.
                    return Err(too_slow(queued_bytes as u64));
                }
            }
            Due::UnwatchAcknowledgements => {
                io.set_acknowledgement_timeout(key, None);
            }
            Due::Fail(overdue) => return Err(end_of(overdue)),
        }
        self.set_timer(io, key, environment);
        Ok(())
    }

    /// The client has sent its last byte, and is not read so far. It has some time for the bytes before that.
    pub(super) fn input_ends(
        &mut self,
        io: &mut Io,
        key: SocketKey,
        environment: &mut Environment<H>,
    ) {
        if environment.input_ends.ends_at(key.index()).is_none() {
            let ends_at = io.now().plus(environment.config.close_timeout);
            environment.input_ends.opened(key.index(), Some(ends_at));
            self.set_timer(io, key, environment);
        }
    }

    fn ping(&mut self, key: SocketKey, environment: &mut Environment<H>) {
        let ping = environment.next_ping();
        if self.websocket.ping(&ping, self.recipient.buffer()).is_ok() {
            environment.pending.add(key);
        }
    }
}

// Closing.
impl<H: Handler> Connection<H> {
    /// Begins the closing handshake: what was sent so far, as much as the socket takes in a few writes, then a Close, then nothing.
    pub(super) fn begin_close(
        &mut self,
        io: &mut Io,
        key: SocketKey,
        environment: &mut Environment<H>,
        close: CloseFrame<'_>,
    ) {
        let rooms = &mut environment.fan_out.rooms;
        rooms.settle_all(self.recipient.subscriptions());
        self.recipient.unsubscribe_all(io, key, rooms);
        environment.timers.forget(key);
        if environment.rates.end_wait(key.index()) {
            self.end_wait(io, key, environment);
        }
        if self.write_close(close) {
            self.deadlines.closing(io.now());
            self.set_timer(io, key, environment);
        }
        environment.pending.add(key);
    }

    /// The Close that the server sends for a reason of its own, or that which the application wants instead.
    pub(super) fn own_close(
        &self,
        close: CloseFrame<'static>,
        failure: Option<&Failure>,
        environment: &mut Environment<H>,
    ) -> CloseFrame<'static> {
        let (session, peer_address) = (&self.session, self.recipient.peer_address());
        let asked = environment.ask(peer_address, |handler| {
            handler.server_closes(session, &close, failure)
        });
        asked.ok().flatten().unwrap_or(close)
    }

    /// Queues our Close. False: it was queued before.
    fn write_close(&mut self, close: CloseFrame<'_>) -> bool {
        // §7.4.1: 1010 is only for clients.
        let close = match close.code() {
            Some(CloseCode::MANDATORY_EXTENSION) => {
                CloseFrame::new(CloseCode::INTERNAL_ERROR, close.reason())
            }
            _ => close,
        };
        let closed = self
            .websocket
            .close(close.truncated(), self.recipient.buffer());
        closed.is_ok()
    }

    /// Ends the connection: subscriptions end, the failure is reported, the handler is called. `None`: the socket is to be closed
    /// now.
    //= https://www.rfc-editor.org/rfc/rfc6455#section-7.1.7
    //# An endpoint MUST NOT continue to attempt to process data (including a
    //# responding Close frame) from the remote endpoint after being instructed to
    //# _Fail the WebSocket Connection_.
    pub(super) fn end(
        mut self,
        io: &mut Io,
        key: SocketKey,
        end: End,
        environment: &mut Environment<H>,
    ) -> Option<Ending> {
        let rooms = &mut environment.fan_out.rooms;
        match end {
            End::Closed { at, failure } => {
                // The Close goes behind the rooms' messages, too.
                let close = self.recipient.buffer().split_off(at);
                self.recipient.unsubscribe_all(io, key, rooms);
                self.recipient.buffer().extend_from_slice(&close);
                Some(Ending::new(self.finish(io, key, failure, environment)))
            }
            End::Fail { code, failure } => {
                self.recipient.unsubscribe_all(io, key, rooms);
                match &failure {
                    Failure::Panicked { .. } => {
                        self.write_close(CloseFrame::new(code, INTERNAL_ERROR))
                    }
                    failure => {
                        let reason = failure.to_string();
                        let close = CloseFrame::new(code, &reason).into_owned();
                        let close = self.own_close(close, Some(failure), environment);
                        self.write_close(close)
                    }
                };
                let failure = Some(failure);
                Some(Ending::new(self.finish(io, key, failure, environment)))
            }
            End::InputEnded => {
                let failure = Some(Failure::EndOfInput);
                let queue = self.finish(io, key, failure, environment);
                Some(Ending::after_client(queue))
            }
            End::Abandon(failure) => {
                self.finish(io, key, Some(failure), environment);
                None
            }
        }
    }

    /// Returns what is still to be written.
    fn finish(
        self,
        io: &mut Io,
        key: SocketKey,
        failure: Option<Failure>,
        environment: &mut Environment<H>,
    ) -> WriteQueue {
        let Connection {
            mut websocket,
            session,
            mut recipient,
            ..
        } = self;
        recipient.unsubscribe_all(io, key, &mut environment.fan_out.rooms);
        environment.timers.forget(key);
        if let Some((before, now)) = recipient.count_held(0) {
            environment.memory.changed(before, now);
        }
        //= https://www.rfc-editor.org/rfc/rfc6455#section-7.1.7
        //# the server MUST _Close the WebSocket Connection_, and SHOULD log the
        //# problem.
        let peer_address = recipient.peer_address();
        if let Some(failure) = &failure {
            environment.report(peer_address, failure);
        }
        environment.shutdown.count_end(match &failure {
            None => DrainedAs::Closed,
            Some(Failure::CloseTimeout) => DrainedAs::Cut,
            Some(_) => DrainedAs::Lost,
        });
        let ended = websocket.end_of_input();
        let totals = environment.count_closed(io, key, peer_address, &ended, failure.as_ref());
        let closed = Closed {
            ended,
            failure: failure.as_ref(),
            totals,
        };
        let called = environment.call(key, &mut recipient, false, |handler, context| {
            handler.closed(session, &closed, context);
        });
        if let Err(failure) = called {
            environment.report(peer_address, &failure);
        }
        recipient.into_queue()
    }
}

/// The end of a connection whose subscription, or write queue, is too far behind.
pub(super) fn too_slow(bytes: u64) -> End {
    End::Fail {
        code: CloseCode::TRY_AGAIN_LATER,
        failure: Failure::TooSlow { bytes },
    }
}

/// The end of a connection whose memory others need.
pub(super) fn overloaded() -> End {
    End::Fail {
        code: CloseCode::TRY_AGAIN_LATER,
        failure: Failure::Overloaded,
    }
}

/// The end of a connection that exceeds a rate.
fn too_fast(rate: Rate) -> End {
    End::Fail {
        code: CloseCode::POLICY_VIOLATION,
        failure: Failure::TooFast { rate },
    }
}

/// The end of a connection from which something has not come in time.
fn end_of(overdue: Overdue) -> End {
    let failure = match overdue {
        Overdue::Pong => Failure::PongTimeout,
        Overdue::Message => Failure::MessageTimeout,
        Overdue::Close => Failure::CloseTimeout,
    };
    match overdue.close_code() {
        Some(code) => End::Fail { code, failure },
        None => End::Abandon(failure),
    }
}

fn panicked(failure: Failure) -> End {
    End::Fail {
        code: CloseCode::INTERNAL_ERROR,
        failure,
    }
}

/// What is known of a message, or a piece of one, before the application is called.
#[derive(Clone, Copy)]
struct Work {
    /// Our Close has not been sent.
    is_open: bool,
    /// The length of the write queue.
    at: usize,
    /// Bytes of the input.
    taken_bytes: usize,
    payload_bytes: usize,
}

impl Work {
    #[inline(always)]
    fn with_payload(self, payload: &[u8]) -> Work {
        Work {
            payload_bytes: payload.len(),
            ..self
        }
    }
}

/// What one event leads to.
enum Step {
    Event,
    MoreInput,
    Ended(End),
}

/// The cost of the messages that a handler has sent and published because of one message, in bytes of a read budget.
#[inline(always)]
fn output_cost(sent_bytes: usize, published_bytes: usize) -> usize {
    let bytes = sent_bytes.max(published_bytes);
    match sent_bytes {
        0 => bytes,
        // A reply is a message, too.
        _ => bytes.max(2 * MESSAGE_COST_BYTES),
    }
}

/// Leaves the rest of the input, and of what is inflated of it, for later. False: there is none.
#[inline(always)]
pub(super) fn leave_rest(io: &mut Io, input: &mut &mut [u8], inflates_on: bool) -> bool {
    if inflates_on {
        io.receive_again();
    }
    if input.is_empty() {
        return inflates_on;
    }
    io.leave_unread(input.len());
    *input = &mut [];
    true
}

/// Charges for a message: the largest of its length, of what the handler sent and published because of it, and of
/// [`MESSAGE_COST_BYTES`]. The bytes that were read are charged already.
#[inline]
fn charge(io: &mut Io, taken_bytes: usize, work_bytes: usize) {
    let bytes = work_bytes.max(MESSAGE_COST_BYTES);
    io.charge(bytes.saturating_sub(taken_bytes));
}

/// The write queue's length above which the client is not read.
const READ_PAUSE_BYTES: usize = 64 << 10;

/// The least that a message or a control frame costs of a read budget, however short it is, and what a reply costs. With the
/// budget of 256 KiB a client has 64 messages in a turn, or 32 that get a reply.
const MESSAGE_COST_BYTES: usize = 4 << 10;

/// What each join costs besides its message: it changes tables of the application and of the server. With the budget of 256 KiB a client
/// has ten joins in a turn.
const JOIN_COST_BYTES: usize = 16 << 10;

/// The cost of a byte that is compressed because of a message: 5 to 25 ns, as 32 bytes of a budget that is used up in 100 µs. With the budget of
/// 256 KiB a client has 8 KiB compressed in a turn, and the rest of the message that exceeds it.
const COMPRESSED_BYTE_COST: usize = 32;

/// The cost of a compressed byte that comes, whatever it inflates to: 0.03 µs and up to 0.4 µs (see [`crate::websocket::deflate`]), which
/// is about 60 times the cost of a plain one.
const COMPRESSED_INPUT_BYTE_COST: usize = 64;

/// The cost of a byte of a whole message that is inflated: 1 to 3 ns, to inflate it, to copy it and to bring memory for it. With the budget of
/// 256 KiB a client has 64 KiB inflated in a turn.
const INFLATED_BYTE_COST: usize = 4;

/// The most that is inflated before the budget is checked.
const COMPRESSED_BYTES_MAX: usize = 4 << 10;

/// The reason in the Close of a connection whose token has expired.
const EXPIRED: &str = "the token has expired";

/// The reason in the Close of a connection that has reached its lifetime.
const OPEN_FOR_LONG: &str = "the connection has been open for its longest time";

/// The reason in the Close of a connection in whose room messages are missing.
const MESSAGES_MISSING: &str = "messages of the room are missing";

/// The reason in the Close after a panic. The text of the panic is not for the client.
const INTERNAL_ERROR: &str = "internal error";

#[cfg(test)]
mod tests {
    use super::*;

    use crate::server::{Admission, Refusal, Upgrade};

    struct NoSession;

    impl Handler for NoSession {
        type Session = ();

        fn admit(&self, _: &Upgrade<'_>) -> Result<Admission<()>, Refusal> {
            Ok(Admission::new(()))
        }

        fn message(&self, _: &mut (), _: Message<'_>, _: &mut Context<'_>) {}
    }

    /// One byte more can cost each idle connection 16 bytes, because the allocator rounds up.
    #[test]
    fn connection_without_session_takes_200_bytes() {
        assert!(size_of::<Connection<NoSession>>() <= 200);
    }
}
