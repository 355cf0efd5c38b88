//! A client on any stream of bytes that blocks: [`StreamClient`].
//!
//! ```text
//!   stream ──read──▶ ReadBuffer ──▶ Connection ──▶ event ──▶ the caller
//!                                       │ Pong, Close
//!   stream ◀──write_all, flush── output ◀── frame ◀── send
//! ```
//!
//! One thread, no lock: what [`Client`](super::Client) is for a socket, in the least code. The protocol, its deadlines and the errors
//! are the same.
//!
//! Where it stops: a stream that has no timeouts of its own blocks for as long as it likes, and two threads cannot use one client.

use std::fmt;
use std::io::{self, Read, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::error::{ClientError, Step};
use super::opening::{self, Source};
use super::options::Options;
use super::progress::Progress;
use super::traffic::TrafficObserver;
use crate::read_buffer::ReadBuffer;
use crate::time::{Clock, Timestamp};
use crate::traffic::Traffic;
use crate::websocket::deadlines::{Deadlines, Due, Overdue, Timeouts};
use crate::websocket::deflate::DeflateParameters;
use crate::websocket::frame::CloseFrame;
use crate::websocket::handshake::{ClientHandshake, Established, Fields};
use crate::websocket::{
    AsMessage, Connection, Ended, Event, Fragment, OwnedMessage, SendError, State,
};

/// A client on a stream that the caller has made: a pipe, a TLS stream of another library, a serial line. Made by
/// [`ClientBuilder::connect_over`](super::ClientBuilder::connect_over), with the same options as a [`Client`](super::Client).
///
/// # Time
///
/// The stream blocks, and its own timeouts are the caller's matter. When a read of it returns
/// [`WouldBlock`](io::ErrorKind::WouldBlock) or [`TimedOut`](io::ErrorKind::TimedOut), the client looks at its deadlines: it pings a silent
/// server or gives it up ([`keep_alive`](super::ClientBuilder::keep_alive)), gives up a closing handshake, and returns
/// [`ClientError::TimedOut`] with [`Step::Read`] when the [`read_timeout`](super::ClientBuilder::read_timeout) is over, or at once if
/// there is none. So a stream with a read timeout of a second keeps all deadlines to the second, and one without keeps none while
/// nothing comes.
///
/// Cost: a buffer of 64 KiB (up to 320 KiB), and two allocations. No thread.
pub struct StreamClient<S> {
    stream: S,
    connection: Connection,
    buffer: ReadBuffer,
    /// Frames that the stream has not taken.
    output: Vec<u8>,
    /// A write has failed, perhaps inside a frame: nothing is sent any more.
    broken: Option<Option<Arc<io::Error>>>,
    deadlines: Deadlines,
    timeouts: Timeouts,
    read_timeout: Option<Duration>,
    clock: Clock,
    observer: TrafficObserver,
    established: Established,
    in_pieces: bool,
    progress: Progress,
    /// How the connection has ended.
    ended: Option<Ended>,
}

impl<S: Read + Write> StreamClient<S> {
    /// Performs the opening handshake. `connection` makes the connection of what was agreed on.
    pub(super) fn open(
        mut stream: S,
        mut handshake: ClientHandshake,
        options: &Options,
        connection: impl FnOnce(&Established) -> Connection,
    ) -> Result<StreamClient<S>, ClientError> {
        let observer = options.observer.clone();
        let deadline = opening::deadline_in(options.timeouts.handshake);
        let mut request = Vec::new();
        handshake.write_request(&mut request);
        write(&mut stream, &request, &observer).map_err(opening::failed)?;
        let mut source = ByDeadline {
            stream: &mut stream,
            observer: &observer,
        };
        let mut bytes = Vec::new();
        let established =
            opening::read_response(&mut source, &mut handshake, &mut bytes, deadline)?;
        let surplus = bytes.split_off(established.head_bytes);
        let clock = Clock::start();
        Ok(StreamClient {
            connection: connection(&established),
            buffer: ReadBuffer::new(BUFFER_BYTES_MAX).with_bytes(&surplus),
            output: Vec::new(),
            broken: None,
            deadlines: Deadlines::new(clock.now()),
            timeouts: options.timeouts.deadlines(),
            read_timeout: options.timeouts.read,
            clock,
            observer,
            established,
            in_pieces: options.in_pieces,
            progress: Progress::Open,
            ended: None,
            stream,
        })
    }

    /// Waits for the next message. `None`: the closing handshake is complete and the stream has ended.
    ///
    /// # Errors
    /// As [`Client::read`](super::Client::read).
    pub fn read(&mut self) -> Result<Option<OwnedMessage>, ClientError> {
        if self.in_pieces {
            return Err(ClientError::InPieces);
        }
        self.next(self.read_deadline(), |event| event.into_message())
    }

    /// Waits for the next event and passes it to `handle`, as [`Client::read_with`](super::Client::read_with).
    ///
    /// # Errors
    /// As [`Client::read`](super::Client::read).
    pub fn read_with<R>(
        &mut self,
        handle: impl FnOnce(Event<'_>) -> R,
    ) -> Result<Option<R>, ClientError> {
        let mut handle = Some(handle);
        self.next(self.read_deadline(), |event| {
            handle.take().map(|handle| handle(event))
        })
    }

    /// Sends a message in one frame; returns when the stream has taken and flushed it.
    ///
    /// # Errors
    /// As [`Client::send`](super::Client::send).
    pub fn send(&mut self, message: impl AsMessage) -> Result<(), ClientError> {
        self.transmit(|connection, output| connection.send(message, output))
    }

    /// Sends one fragment of a message, as [`Client::send_fragment`](super::Client::send_fragment).
    ///
    /// # Errors
    /// As there.
    pub fn send_fragment(&mut self, fragment: Fragment<'_>) -> Result<(), ClientError> {
        self.transmit(|connection, output| connection.send_fragment(fragment, output))
    }

    /// Sends a ping with at most 125 bytes. Its pong is an event of [`StreamClient::read_with`].
    ///
    /// # Errors
    /// As [`Client::ping`](super::Client::ping).
    pub fn ping(&mut self, payload: &[u8]) -> Result<(), ClientError> {
        self.transmit(|connection, output| connection.ping(payload, output))
    }

    /// Performs the closing handshake, as [`Client::close`](super::Client::close): at most for the close timeout, if the stream has
    /// a read timeout.
    ///
    /// # Errors
    /// As there.
    pub fn close<'f>(&mut self, close: impl Into<CloseFrame<'f>>) -> Result<Ended, ClientError> {
        if self.ended.is_none() && self.connection.state() == State::Open {
            self.connection
                .close(close.into(), &mut self.output)
                .map_err(ClientError::Send)?;
            self.deadlines.closing(self.clock.now());
        }
        loop {
            match self.next(None, |_| None::<()>) {
                // The stream's own timeout.
                Err(ClientError::TimedOut(Step::Read)) => {}
                _ => return Ok(self.ended.clone().unwrap_or_default()),
            }
        }
    }

    /// Whether messages can be sent.
    pub fn is_open(&self) -> bool {
        self.ended.is_none() && self.broken.is_none() && self.connection.is_open()
    }

    /// How the connection has ended; `None` while it is open.
    pub fn ended(&self) -> Option<Ended> {
        self.ended.clone()
    }

    /// The subprotocol that the server selected.
    pub fn subprotocol(&self) -> Option<&str> {
        self.established.subprotocol.as_deref()
    }

    /// The negotiated compression.
    pub fn deflate(&self) -> Option<DeflateParameters> {
        self.established.deflate
    }

    /// The header fields of the server's response.
    pub fn response_fields(&self) -> Fields<'_> {
        self.established.fields.as_fields()
    }

    /// The stream, for its addresses.
    pub fn stream(&self) -> &S {
        &self.stream
    }

    /// The stream, to set its timeouts. Nothing may be read from it or written to it.
    pub fn stream_mut(&mut self) -> &mut S {
        &mut self.stream
    }
}

impl<S: Read + Write> StreamClient<S> {
    fn read_deadline(&self) -> Option<Timestamp> {
        Some(self.clock.now().plus(self.read_timeout?))
    }

    /// The next event for which `handle` returns a value.
    fn next<R>(
        &mut self,
        deadline: Option<Timestamp>,
        mut handle: impl FnMut(Event<'_>) -> Option<R>,
    ) -> Result<Option<R>, ClientError> {
        while self.progress.may_receive()? {
            match self
                .connection
                .receive_from(&mut self.buffer, &mut self.output)
            {
                Ok(Some(Event::Close(_))) => self.end(Progress::Clean),
                Err(error) => self.end(Progress::Failed(error)),
                Ok(Some(event)) => {
                    if !self.output.is_empty() {
                        // Replies. A failure is found by the next read, behind what the server has sent before.
                        let written = write(&mut self.stream, &self.output, &self.observer);
                        self.output.clear();
                        if let Err(error) = written {
                            self.broken = Some(Some(Arc::new(error)));
                        }
                    }
                    if let Some(result) = handle(event) {
                        return Ok(Some(result));
                    }
                }
                Ok(None) => self.fill(deadline)?,
            }
        }
        Ok(None)
    }

    /// Waits for more bytes. If none can arrive any more, the progress tells why.
    fn fill(&mut self, deadline: Option<Timestamp>) -> Result<(), ClientError> {
        if self.buffer.waits_for_more() {
            // Another read might wait: what is there is received as it is.
            self.buffer.filled(0);
            return Ok(());
        }
        _ = self.write_output();
        loop {
            match self.stream.read(self.buffer.room()) {
                Ok(0) => return self.lost(None),
                Ok(count) => {
                    self.buffer_filled(count);
                    return Ok(());
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if is_wait(&error) => {
                    let now = self.clock.now();
                    if self.keep_deadlines(now) {
                        return Ok(());
                    }
                    if deadline.is_none_or(|deadline| deadline <= now) {
                        return Err(ClientError::TimedOut(Step::Read));
                    }
                }
                Err(error) => return self.lost(Some(Arc::new(error))),
            }
        }
    }

    fn buffer_filled(&mut self, count: usize) {
        let read = self.buffer.room();
        self.observer.observe(Traffic::Received(&read[..count]));
        self.buffer.filled(count);
        self.deadlines.peer_is_alive(self.clock.now());
    }

    /// Pings a silent server. True: the server is given up.
    fn keep_deadlines(&mut self, now: Timestamp) -> bool {
        match self.deadlines.handle_timeout(now, &self.timeouts, || false) {
            Due::Ping => {
                // A connection that is not open any more needs no ping.
                _ = self.connection.ping(b"", &mut self.output);
                _ = self.write_output();
                false
            }
            Due::Fail(overdue) => {
                self.over(Progress::GivenUp(match overdue {
                    Overdue::Pong => Step::Pong,
                    _ => Step::ClosingHandshake,
                }));
                true
            }
            _ => false,
        }
    }

    /// Both Closes are there, or our Close tells the server which rule it broke. Writes it, and waits for the server's end of the
    /// stream; discards what still comes.
    fn end(&mut self, progress: Progress) {
        self.deadlines.closing(self.clock.now());
        _ = self.write_output();
        self.buffer.leave(0);
        loop {
            match self.stream.read(self.buffer.room()) {
                Ok(0) => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if is_wait(&error) => {
                    let now = self.clock.now();
                    let due = self.deadlines.handle_timeout(now, &self.timeouts, || false);
                    if matches!(due, Due::Fail(_)) {
                        break;
                    }
                }
                Err(_) => break,
                Ok(count) => {
                    let timeouts = &self.timeouts;
                    if self
                        .deadlines
                        .received_while_closing(count, timeouts)
                        .is_err()
                    {
                        break;
                    }
                }
            }
        }
        self.over(progress);
    }

    /// The stream has ended without a Close.
    fn lost(&mut self, cause: Option<Arc<io::Error>>) -> Result<(), ClientError> {
        self.over(Progress::Lost(cause));
        Ok(())
    }

    /// Nothing is read or written any more.
    fn over(&mut self, progress: Progress) {
        self.progress = progress;
        self.ended = Some(self.connection.end_of_input());
        self.broken.get_or_insert(None);
        self.output = Vec::new();
    }

    /// Encodes a frame, and writes it.
    fn transmit(
        &mut self,
        encode: impl FnOnce(&mut Connection, &mut Vec<u8>) -> Result<(), SendError>,
    ) -> Result<(), ClientError> {
        let is_lost = matches!(self.connection.state(), State::Open | State::Lost);
        if let Some(cause) = self.broken.as_ref().filter(|_| is_lost) {
            return Err(ClientError::Lost(cause.clone()));
        }
        encode(&mut self.connection, &mut self.output).map_err(ClientError::Send)?;
        self.write_output()
    }

    /// Writes what waits.
    fn write_output(&mut self) -> Result<(), ClientError> {
        if self.output.is_empty() || self.broken.is_some() {
            return Ok(());
        }
        let written = write(&mut self.stream, &self.output, &self.observer);
        self.output.clear();
        if self.output.capacity() > KEPT_BYTES_MAX {
            self.output = Vec::new();
        }
        let Err(error) = written else {
            return Ok(());
        };
        // A frame may be incomplete: no frame can follow it.
        if is_wait(&error) {
            self.broken = Some(None);
            return Err(ClientError::TimedOut(Step::Write));
        }
        let error = Arc::new(error);
        self.broken = Some(Some(error.clone()));
        Err(ClientError::Lost(Some(error)))
    }
}

impl<S: fmt::Debug> fmt::Debug for StreamClient<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamClient")
            .field("stream", &self.stream)
            .field("progress", &self.progress)
            .finish_non_exhaustive()
    }
}

/// A stream while the opening handshake is read.
struct ByDeadline<'a, S> {
    stream: &'a mut S,
    observer: &'a TrafficObserver,
}

impl<S: Read> Source for ByDeadline<'_, S> {
    fn read_by(&mut self, buffer: &mut [u8], deadline: Instant) -> io::Result<usize> {
        loop {
            if Instant::now() >= deadline {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            match self.stream.read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted || is_wait(&error) => {}
                Ok(count) => {
                    self.observer.observe(Traffic::Received(&buffer[..count]));
                    return Ok(count);
                }
                Err(error) => return Err(error),
            }
        }
    }
}

/// Writes all of it; a stream may have a buffer of its own.
fn write(stream: &mut impl Write, bytes: &[u8], observer: &TrafficObserver) -> io::Result<()> {
    stream.write_all(bytes)?;
    stream.flush()?;
    observer.observe(Traffic::Sent(bytes));
    Ok(())
}

/// Whether a timeout of the stream has passed. Streams use either kind.
fn is_wait(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
    )
}

/// The bound of the read buffer, as that of a [`Client`](super::Client).
const BUFFER_BYTES_MAX: usize = 320 << 10;

/// A larger buffer, grown for one large message, is not kept.
const KEPT_BYTES_MAX: usize = 256 << 10;
