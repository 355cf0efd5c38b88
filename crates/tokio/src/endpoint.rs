//! One end of a connection on its stream: the protocol core, its deadlines, and the bytes to send.
//!
//! ```text
//!   stream ──poll_more()──▶ ReadBuffer ──receive()──▶ event
//!                             │ Pong, Close
//!   stream ◀──poll_write()── WriteQueue ◀──push()── message
//!   timer  ──▶ Deadlines ──▶ Ping, or given up
//!
//!   Receiving ── both Closes, or a broken rule ──▶ Ending ── end of the stream, or deadline ──▶ Over
//!       └── the stream ended, or a deadline passed ──────────────────────────────────────────▶ Over
//! ```
//!
//! All state is here and none in a future: every function is a poll that has done its work or has not begun it. So a
//! future that is dropped loses nothing.
//!
//! `Ending` writes what waits, and reads on to the end of the stream, at most for the close timeout: a socket that is
//! closed over unread bytes is reset, and the reset can overtake our Close. A server ends its direction of the stream
//! first, a client waits for that (RFC 6455 §7.1.1).

use std::fmt;
use std::io;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use yamabiko::time::Timestamp;
use yamabiko::websocket::deadlines::{Awaited, Deadlines, Due, Overdue, Timeouts};
use yamabiko::websocket::frame::{CloseFrame, Role};
use yamabiko::websocket::{
    AsMessage, Connection, Ended, Event, Message, ReadBuffer, SendError, State,
};

use crate::error::Error;
use crate::options::Options;
use crate::timer::Clock;
use crate::write_queue::{Half, WriteQueue};

pub(crate) struct Endpoint<T> {
    stream: T,
    connection: Connection,
    role: Role,
    queue: WriteQueue,
    deadlines: Deadlines,
    clock: Clock,
    /// Bytes have come since the deadlines were asked.
    heard: bool,
    options: Arc<Options>,
    phase: Phase,
    /// What ended the connection, if it was no frame.
    cause: Option<Cause>,
    /// The task that reads.
    reader: Option<Waker>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Events may come.
    Receiving,
    /// Both Closes have been sent and received, or the peer broke a rule.
    Ending { end_sent: bool },
    /// The stream is not used any more.
    Over,
}

#[derive(Debug)]
enum Cause {
    Stream(Arc<io::Error>),
    Overdue(Overdue),
}

/// What [`Endpoint::poll_more`] has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum More {
    /// There may be events.
    Bytes,
    /// Nothing more comes.
    Nothing,
}

impl<T: AsyncRead + AsyncWrite + Unpin> Endpoint<T> {
    /// The opening handshake was completed now.
    pub(crate) fn new(
        stream: T,
        connection: Connection,
        role: Role,
        options: Arc<Options>,
    ) -> Endpoint<T> {
        let clock = Clock::start(options.timer);
        let connection = match options.pieces {
            true => connection.with_pieces(),
            false => connection,
        };
        Endpoint {
            stream,
            connection,
            role,
            queue: WriteQueue::default(),
            deadlines: Deadlines::new(clock.now()),
            clock,
            heard: false,
            options,
            phase: Phase::Receiving,
            cause: None,
            reader: None,
        }
    }

    /// The next event in `buffer`; not a Close. `None`: more bytes are needed, or nothing more
    /// comes.
    pub(crate) fn receive<'b>(&mut self, buffer: &'b mut ReadBuffer) -> Option<Event<'b>> {
        if self.phase != Phase::Receiving {
            return None;
        }
        match self.connection.receive_from(buffer, self.queue.bytes()) {
            Ok(Some(Event::Close(_))) | Err(_) => {
                self.begin_ending();
                None
            }
            Ok(event) => event,
        }
    }

    /// Waits for bytes, after all events have been received from `buffer`. Before it waits it
    /// writes what waits; meanwhile it keeps the deadlines.
    pub(crate) fn poll_more(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuffer,
    ) -> Poll<More> {
        loop {
            if self.connection.has_unanswered_ping() {
                self.connection.resume_replies(self.queue.bytes());
            }
            let written = self.poll_write(Half::Reader, cx);
            let read = match self.phase {
                Phase::Receiving => self.poll_read(cx, buffer),
                Phase::Ending { .. } => self.poll_end(cx, written),
                Phase::Over => return Poll::Ready(More::Nothing),
            };
            match read {
                Poll::Ready(Some(more)) => return Poll::Ready(more),
                Poll::Ready(None) => continue,
                Poll::Pending => {}
            }
            if self.poll_deadline(cx, buffer.unread_bytes()).is_pending() {
                remember(&mut self.reader, cx.waker());
                return Poll::Pending;
            }
        }
    }

    /// Writes what waits for the stream. Ready: all is written, or nothing can be.
    #[inline]
    fn poll_write(&mut self, half: Half, cx: &mut Context<'_>) -> Poll<()> {
        match self.queue.is_flushed() {
            true => Poll::Ready(()),
            false => self.poll_write_rest(half, cx),
        }
    }

    fn poll_write_rest(&mut self, half: Half, cx: &mut Context<'_>) -> Poll<()> {
        let (was_blocked, before) = (self.queue.is_blocked(), self.queue.len());
        let written = self.queue.poll_write(Pin::new(&mut self.stream), half, cx);
        // The peer has taken bytes that it was slow to take.
        if was_blocked && self.queue.len() < before {
            self.deadlines.peer_is_alive(self.clock.now());
        }
        written
    }

    /// Ready when another message may be appended.
    pub(crate) fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        if self.is_full() {
            let written = self.poll_write(Half::Writer, cx);
            if self.is_full() {
                ready!(written);
            }
        }
        Poll::Ready(self.check_writable())
    }

    /// Whether another message has to wait.
    #[inline]
    pub(crate) fn is_full(&self) -> bool {
        self.queue.len() >= self.options.write_queue_bytes_max
    }

    /// Appends frames to the write queue.
    pub(crate) fn push(
        &mut self,
        encode: impl FnOnce(&mut Connection, &mut Vec<u8>) -> Result<(), SendError>,
    ) -> Result<(), Error> {
        self.check_writable()?;
        encode(&mut self.connection, self.queue.bytes_for_frame()).map_err(Error::Send)
    }

    /// Appends frames to the write queue as soon as there is room, and writes it. What has to
    /// be appended is taken out of `encode`.
    pub(crate) fn poll_push(
        &mut self,
        encode: &mut Option<impl FnOnce(&mut Connection, &mut Vec<u8>) -> Result<(), SendError>>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Error>> {
        if encode.is_some() {
            ready!(self.poll_ready(cx))?;
        }
        if let Some(encode) = encode.take() {
            self.push(encode)?;
        }
        self.poll_flush(cx)
    }

    /// Sends a message as soon as there is room, and writes it. The message is taken when it
    /// is sent.
    pub(crate) fn poll_send(
        &mut self,
        message: &mut Option<impl AsMessage>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Error>> {
        if message.is_some() {
            ready!(self.poll_ready(cx))?;
        }
        if let Some(message) = message.take() {
            self.send(message.as_message(), cx)?;
        }
        self.poll_flush(cx)
    }

    /// Sends a message. A long one is written from where it lies, as far as the stream takes
    /// it at once, and its rest is appended to the write queue; others are appended.
    #[inline]
    pub(crate) fn send(&mut self, message: Message<'_>, cx: &mut Context<'_>) -> Result<(), Error> {
        match message.as_bytes().len() {
            ..UNCOPIED_BYTES_MIN => {
                self.push(|connection, output| connection.send(message, output))
            }
            _ => self.send_long(message, cx),
        }
    }

    fn send_long(&mut self, message: Message<'_>, cx: &mut Context<'_>) -> Result<(), Error> {
        // A stream wakes the task that polled it last: here no other one may wait for it.
        if self.queue.is_blocked() || !self.stream.is_write_vectored() {
            return self.push(|connection, output| connection.send(message, output));
        }
        self.check_writable()?;
        let output = self.queue.bytes_for_frame();
        let sent = self.connection.send_vectored(message, output);
        let behind = sent.map_err(Error::Send)?;
        if !behind.is_empty() {
            self.queue
                .write_with(Pin::new(&mut self.stream), behind, cx);
        }
        Ok(())
    }

    /// Ready when all is written.
    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        ready!(self.poll_write(Half::Writer, cx));
        Poll::Ready(self.check_written())
    }

    /// Appends a Close, unless the closing handshake has begun.
    pub(crate) fn start_close(&mut self, close: CloseFrame<'_>) -> Result<(), Error> {
        if self.phase != Phase::Receiving || self.connection.state() != State::Open {
            return Ok(());
        }
        let closed = self.connection.close(close, self.queue.bytes());
        closed.map_err(Error::Send)?;
        self.deadlines.closing(self.clock.now());
        // The deadline of the closing handshake comes earlier than the one that it waits for.
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
        Ok(())
    }

    /// Whether messages can be sent.
    pub(crate) fn is_open(&self) -> bool {
        self.phase == Phase::Receiving && self.queue.broken().is_none() && self.connection.is_open()
    }

    /// Whether messages are handed out in pieces.
    pub(crate) fn in_pieces(&self) -> bool {
        self.options.pieces
    }

    /// How the connection has ended, if it has.
    pub(crate) fn ended(&self) -> Option<Ended> {
        (self.phase == Phase::Over).then(|| self.connection.ended())
    }

    /// The result of a connection that is over.
    pub(crate) fn result(&self) -> Result<(), Error> {
        let ended = self.connection.ended();
        if let Some(error) = ended.error {
            return Err(Error::Protocol(error));
        }
        match &self.cause {
            _ if ended.clean => Ok(()),
            Some(Cause::Overdue(overdue)) => Err(Error::TimedOut(*overdue)),
            Some(Cause::Stream(error)) => Err(Error::Lost(Some(Arc::clone(error)))),
            None => Err(Error::Lost(self.queue.broken().cloned().flatten())),
        }
    }

    /// The stream.
    pub(crate) fn stream(&self) -> &T {
        &self.stream
    }
}

impl<T> fmt::Debug for Endpoint<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint")
            .field("role", &self.role)
            .field("phase", &self.phase)
            .field("connection", &self.connection.state())
            .field("unwritten_bytes", &self.queue.len())
            .finish_non_exhaustive()
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> Endpoint<T> {
    /// Reads into `buffer`.
    fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut ReadBuffer) -> Poll<Option<More>> {
        let mut room = ReadBuf::new(buffer.room());
        let read = Pin::new(&mut self.stream).poll_read(cx, &mut room);
        let count = room.filled().len();
        buffer.filled(count);
        match read {
            // The beginning of a long message waits there for its end, and is not copied.
            Poll::Pending if buffer.unread_bytes() >= WAITING_BYTES_MIN => {
                buffer.expect_more();
                Poll::Pending
            }
            Poll::Pending if !buffer.is_empty() => Poll::Ready(Some(More::Bytes)),
            Poll::Pending => Poll::Pending,
            Poll::Ready(Ok(())) if count > 0 => {
                self.heard = true;
                buffer.expect_more();
                let timeouts = &self.options.timeouts;
                let in_bounds = self.deadlines.received_while_closing(count, timeouts);
                if let Err(overdue) = in_bounds {
                    self.end(Some(Cause::Overdue(overdue)), cx);
                }
                Poll::Ready(Some(More::Bytes))
            }
            Poll::Ready(read) => {
                self.end(read.err().map(|error| Cause::Stream(Arc::new(error))), cx);
                Poll::Ready(None)
            }
        }
    }

    /// All that has come is received, or waits as the beginning of a message: starts or stops the time of an unfinished message.
    fn watch_message(&mut self, now: Timestamp, waiting_bytes: usize) {
        if waiting_bytes > 0 || self.connection.has_unfinished_input() {
            let bytes = self.connection.unfinished_message_bytes() + waiting_bytes;
            self.deadlines
                .message_is_unfinished(now, bytes, &self.options.timeouts);
        } else {
            self.deadlines.message_is_finished();
        }
    }

    fn begin_ending(&mut self) {
        self.deadlines.closing(self.clock.now());
        self.phase = Phase::Ending { end_sent: false };
    }

    /// When all is `written`, ends this direction of the stream as a server; discards what
    /// comes. `None`: look again.
    fn poll_end(&mut self, cx: &mut Context<'_>, written: Poll<()>) -> Poll<Option<More>> {
        if self.phase == (Phase::Ending { end_sent: false }) {
            ready!(written);
            if self.role == Role::Server {
                let sent = ready!(Pin::new(&mut self.stream).poll_shutdown(cx));
                if let Err(error) = sent {
                    self.queue.break_off(Some(error));
                }
            }
            self.phase = Phase::Ending { end_sent: true };
        }
        let mut discarded = [0; DISCARDED_BYTES];
        let mut room = ReadBuf::new(&mut discarded);
        let read = ready!(Pin::new(&mut self.stream).poll_read(cx, &mut room));
        let count = room.filled().len();
        let timeouts = &self.options.timeouts;
        let in_bounds = self.deadlines.received_while_closing(count, timeouts);
        if read.is_err() || count == 0 || in_bounds.is_err() {
            self.end(None, cx);
        }
        Poll::Ready(None)
    }

    /// Nothing has come for now; so many bytes in the read buffer wait for the end of their message. Ready: the state has changed.
    // The one place that reads the clock for a message, and it does so once for all messages of
    // a read.
    fn poll_deadline(&mut self, cx: &mut Context<'_>, waiting_bytes: usize) -> Poll<()> {
        if !self.has_deadline() {
            return Poll::Pending;
        }
        let now = self.clock.now();
        if mem::take(&mut self.heard) {
            self.deadlines.peer_is_alive(now);
        }
        if self.phase == Phase::Receiving {
            self.watch_message(now, waiting_bytes);
        }
        let timeouts = &self.options.timeouts;
        let Some(deadline) = self.deadlines.deadline(timeouts) else {
            return Poll::Pending;
        };
        ready!(self.clock.poll_until(deadline, now, cx));
        // Whether the kernel has unsent bytes is not known here.
        let due = self
            .deadlines
            .handle_timeout(self.clock.now(), timeouts, || false);
        match due {
            // A connection that is not open any more needs no ping.
            Due::Ping => _ = self.connection.ping(b"", self.queue.bytes()),
            Due::Fail(overdue) => self.give_up(overdue, cx),
            _ => {}
        }
        Poll::Ready(())
    }

    /// Whether the state of the connection has a deadline, or the clock has to tell it.
    fn has_deadline(&self) -> bool {
        let Timeouts { ping, message, .. } = &self.options.timeouts;
        ping.is_some() || message.is_some() || self.deadlines.awaited() != Awaited::Silence
    }

    /// The Close is sent as far as the stream takes it at once: the peer does not answer.
    fn give_up(&mut self, overdue: Overdue, cx: &mut Context<'_>) {
        if let Some(code) = overdue.close_code() {
            let reason = overdue.to_string();
            _ = self.connection.close((code, &*reason), self.queue.bytes());
            _ = self.poll_write(Half::Reader, cx);
        }
        self.end(Some(Cause::Overdue(overdue)), cx);
    }

    /// Nothing more is read or written.
    fn end(&mut self, cause: Option<Cause>, cx: &mut Context<'_>) {
        if self.cause.is_none() {
            self.cause = cause;
        }
        self.connection.end_of_input();
        self.phase = Phase::Over;
        // A stream that has more to say at its end, as TLS has, says it if it can do so at once.
        _ = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.queue.break_off(None);
    }

    fn check_writable(&self) -> Result<(), Error> {
        let is_lost = || matches!(self.connection.state(), State::Open | State::Lost);
        match self.queue.broken() {
            Some(error) if is_lost() => Err(Error::Lost(error.clone())),
            _ => Ok(()),
        }
    }

    fn check_written(&self) -> Result<(), Error> {
        match self.queue.broken() {
            Some(error) if !self.connection.ended().clean => Err(Error::Lost(error.clone())),
            _ => Ok(()),
        }
    }
}

/// Keeps the waker of the task that polled last.
fn remember(slot: &mut Option<Waker>, waker: &Waker) {
    if !slot.as_ref().is_some_and(|kept| kept.will_wake(waker)) {
        *slot = Some(waker.clone());
    }
}

/// A message of so many bytes is written from where it lies. A shorter one is copied into the
/// write queue, so that all replies to one read are one write.
const UNCOPIED_BYTES_MIN: usize = 16 << 10;

/// The beginning of a message with so many bytes waits in the read buffer when there is nothing more to read for now: the buffer has
/// at most 64 KiB, or about twice as much as waits. A shorter one goes to the connection, so that the buffer is free.
const WAITING_BYTES_MIN: usize = 16 << 10;

/// What one read discards at the end.
const DISCARDED_BYTES: usize = 4 << 10;
