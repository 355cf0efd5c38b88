//! The receiving half of a client: decodes the bytes of the socket into messages, and
//! performs the client's part of the closing handshake.
//!
//! ```text
//!           ┌─ NeedsBytes: wait() ─┐
//!           ▼                      │        Close            server closes TCP,
//!   Open ── decode() ──────────────┴─────────────────▶ end() ────────────────────▶ Clean
//!    │          └── a rule broken, our Close sent ───▶ end() ──or close deadline─▶ Failed
//!    └── TCP ended without a Close ──────────────────────────────────────────────▶ Lost
//! ```
//!
//! Bytes are read into one buffer of 64 KiB. On Linux it grows with a message that more than
//! one read brings, to at most 320 KiB, as long as more has arrived. A message that is
//! complete in this buffer is not copied before the caller receives it. What else has arrived of
//! a larger binary message is read straight into the message. The replies that the protocol requires
//! are written when an event is returned and before each wait. The reader does not wait
//! for these writes: if the kernel does not accept a reply, the reader tries again every
//! [`REPLY_RETRY`], unless a writer is active, which sends it with its own batch.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::error::{ClientError, Step};
use super::progress::Progress;
use super::protocol::Decoded;
use super::shared::Shared;
use super::waits::is_timeout;
use crate::read_buffer::ReadBuffer;
use crate::time::Timestamp;
use crate::websocket::deadlines::Overdue;
use crate::websocket::frame::CloseFrame;
use crate::websocket::{Ended, Event, OwnedMessage};

/// The bound of the read buffer, as the server's. A longer binary message is read into its own
/// memory, which the caller can keep without a copy.
const BUFFER_BYTES_MAX: usize = 320 << 10;

/// The delay before a reply is written again that the kernel did not accept.
const REPLY_RETRY: Duration = Duration::from_millis(20);

/// The receiving half of a [`Client`](super::Client).
///
/// Keep reading, even if no message is expected: the reader answers the server's pings
/// and its Close.
#[derive(Debug)]
pub struct Reader {
    shared: Arc<Shared>,
    buffer: ReadBuffer,
    read_timeout: Option<Duration>,
    /// The read timeout that is set on the socket.
    socket_timeout: Option<Duration>,
    /// There is a writer on another thread, which can begin the closing handshake while
    /// this half sleeps in a read.
    beside_writer: bool,
    /// Messages are handed out in pieces.
    in_pieces: bool,
    progress: Progress,
}

/// The result of waiting for bytes.
enum Waited {
    Bytes,
    End(Option<io::Error>),
    /// The caller's deadline has passed.
    ReadDeadline,
    /// The deadline of this step has passed, and the connection is lost.
    Overdue(Step),
}

impl Reader {
    /// `surplus`: the bytes that arrived after the head of the opening handshake.
    pub(super) fn new(
        shared: Arc<Shared>,
        surplus: &[u8],
        read_timeout: Option<Duration>,
    ) -> Reader {
        Reader {
            shared,
            buffer: ReadBuffer::new(BUFFER_BYTES_MAX).with_bytes(surplus),
            read_timeout,
            socket_timeout: None,
            beside_writer: false,
            in_pieces: false,
            progress: Progress::Open,
        }
    }

    /// Whether messages are handed out in pieces.
    pub(super) fn in_pieces(self, in_pieces: bool) -> Reader {
        Reader { in_pieces, ..self }
    }

    /// From now on a writer on another thread can begin the closing handshake.
    pub(super) fn beside_writer(self) -> Reader {
        Reader {
            beside_writer: true,
            ..self
        }
    }

    /// Waits for the next message. `None`: the closing handshake is complete and TCP has
    /// ended; [`Reader::ended`] tells which side closed, and why.
    ///
    /// # Errors
    /// As [`Client::read`](super::Client::read).
    pub fn read(&mut self) -> Result<Option<OwnedMessage>, ClientError> {
        if self.in_pieces {
            return Err(ClientError::InPieces);
        }
        self.next(self.deadline(), |event| event.into_message())
    }

    /// Waits for the next event and passes it to `handle`: a text, a binary message, a ping
    /// (already answered) or a pong; with
    /// [`ClientBuilder::pieces`](super::ClientBuilder::pieces) a piece of a message instead
    /// of a whole one. `None`: as [`Reader::read`].
    ///
    /// The event borrows the read buffer: no copy and no allocation if the message is one frame
    /// that arrived in one piece. `handle` may use the [`Writer`](super::Writer).
    ///
    /// # Errors
    /// As [`Client::read`](super::Client::read).
    pub fn read_with<R>(
        &mut self,
        handle: impl FnOnce(Event<'_>) -> R,
    ) -> Result<Option<R>, ClientError> {
        let mut handle = Some(handle);
        self.next(self.deadline(), |event| {
            handle.take().map(|handle| handle(event))
        })
    }

    /// Performs the closing handshake from this half: sends a Close, reads until the
    /// server's Close (messages before it are discarded), and waits until the server has
    /// closed TCP. Takes at most the close timeout.
    ///
    /// # Errors
    /// [`ClientError::Send`]: the reason has more than 123 bytes. Other failures are part
    /// of [`Ended`].
    pub fn close<'f>(&mut self, close: impl Into<CloseFrame<'f>>) -> Result<Ended, ClientError> {
        self.shared.start_close(close.into())?;
        while let Ok(Some(())) = self.next(None, |_| None) {}
        Ok(self.ended().unwrap_or_default())
    }

    /// How the connection has ended; `None` while it is open.
    pub fn ended(&self) -> Option<Ended> {
        self.shared.ended()
    }

    /// How long a read waits for a message from now on; `None`: without limit.
    pub fn set_read_timeout(&mut self, timeout: Option<Duration>) {
        self.read_timeout = timeout;
    }

    fn deadline(&self) -> Option<Timestamp> {
        let timeout = self.read_timeout?;
        Some(self.shared.now().plus(timeout))
    }

    /// The next event for which `handle` returns a value.
    fn next<R>(
        &mut self,
        deadline: Option<Timestamp>,
        mut handle: impl FnMut(Event<'_>) -> Option<R>,
    ) -> Result<Option<R>, ClientError> {
        while self.progress.may_receive()? {
            let mut protocol = self.shared.lock();
            let decoded = protocol.decode(&mut self.buffer, self.shared.stream());
            drop(protocol);
            match decoded {
                Decoded::Event(event) => {
                    if let Some(result) = handle(event) {
                        return Ok(Some(result));
                    }
                }
                Decoded::NeedsBytes => self.fill(deadline)?,
                Decoded::Close => self.end(Progress::Clean),
                Decoded::Broken(error) => self.end(Progress::Failed(error)),
            }
        }
        Ok(None)
    }

    /// Waits for more bytes. If none can arrive any more, [`Reader::next`] tells why.
    fn fill(&mut self, deadline: Option<Timestamp>) -> Result<(), ClientError> {
        self.progress = match self.wait(deadline) {
            Waited::Bytes => return Ok(()),
            Waited::ReadDeadline => return Err(ClientError::TimedOut(Step::Read)),
            Waited::Overdue(step) => Progress::GivenUp(step),
            //= https://www.rfc-editor.org/rfc/rfc6455#section-7.2.1
            //# If at any point the underlying transport layer connection is
            //# unexpectedly lost, the client MUST _Fail the WebSocket Connection_.
            Waited::End(cause) => Progress::Lost(cause.map(Arc::new)),
        };
        self.shared.shut_down();
        Ok(())
    }

    /// The server's Close has arrived, or our Close tells the server which rule it broke.
    /// Sends it, and waits for the server's end of TCP. Discards the bytes that still
    /// arrive.
    //= https://www.rfc-editor.org/rfc/rfc6455#section-7.1.1
    //# when a client is instructed to do the same, it SHOULD wait for a TCP Close from the server
    fn end(&mut self, progress: Progress) {
        self.progress = progress;
        self.shared.lock().closing(self.shared.now());
        //= https://www.rfc-editor.org/rfc/rfc6455#section-7.1.1
        //# An endpoint SHOULD use a method that cleanly closes the TCP connection, as
        //# well as the TLS session, if applicable, discarding any trailing bytes
        //# that may have been received.
        self.buffer.leave(0);
        while let Waited::Bytes = self.wait(None) {
            self.buffer.leave(0);
        }
        //= https://www.rfc-editor.org/rfc/rfc6455#section-5.5.1
        //# the client SHOULD wait for the server to close the connection but MAY close
        //# the connection at any time after sending and receiving a Close message
        self.shared.shut_down();
    }

    /// Waits for bytes until a deadline, and sends the replies that are not sent yet.
    fn wait(&mut self, deadline: Option<Timestamp>) -> Waited {
        loop {
            let timeout = match self.prepare_wait(deadline) {
                Ok(timeout) => timeout,
                Err(passed) => return passed,
            };
            if self.buffer.waits_for_more() {
                return self.read_more();
            }
            match self.read_socket(timeout) {
                Ok(0) => return Waited::End(None),
                Ok(_) => {
                    let now = || self.shared.now();
                    self.shared.lock().server_is_alive(now);
                    return Waited::Bytes;
                }
                Err(error) if is_timeout(&error) => {}
                Err(error) => return Waited::End(Some(error)),
            }
        }
    }

    /// Sends the replies that the kernel accepts at once. Returns how long the next read may
    /// wait, or the deadline that has passed.
    fn prepare_wait(&self, deadline: Option<Timestamp>) -> Result<Option<Duration>, Waited> {
        let mut protocol = self.shared.lock();
        let now = self.shared.now();
        if let Some(overdue) = protocol.handle_timeout(now) {
            return Err(Waited::Overdue(match overdue {
                Overdue::Pong => Step::Pong,
                _ => Step::ClosingHandshake,
            }));
        }
        let replies_wait = protocol.flush_replies(self.shared.stream());
        if deadline.is_some_and(|deadline| deadline <= now) {
            return Err(Waited::ReadDeadline);
        }
        let deadlines = [deadline, protocol.deadline()];
        let next_deadline = deadlines.into_iter().flatten().min();
        let timeouts = [
            next_deadline.map(|deadline| deadline.since(now)),
            replies_wait.then_some(REPLY_RETRY),
            // The deadline of a Close that a writer sends while this thread sleeps is not
            // earlier than this.
            self.beside_writer.then_some(self.shared.close_timeout()),
        ];
        Ok(timeouts.into_iter().flatten().min())
    }

    /// One read that waits at most for `timeout`. Setting it on the socket costs a system
    /// call, so it is set only when it changes.
    fn read_socket(&mut self, timeout: Option<Duration>) -> io::Result<usize> {
        let stream = self.shared.stream();
        if timeout != self.socket_timeout {
            stream.set_read_timeout(timeout)?;
            self.socket_timeout = timeout;
        }
        let count = stream.read(self.buffer.room())?;
        self.buffer.filled(count);
        Ok(count)
    }

    /// Reads what has arrived behind a large read. Nothing: what stays in the buffer is to be
    /// decoded as it is.
    fn read_more(&mut self) -> Waited {
        match self.shared.stream().read_now(self.buffer.room()) {
            // The next read, which waits, finds the end of TCP.
            Ok(count) => self.buffer.filled(count),
            Err(error) if is_timeout(&error) => self.buffer.filled(0),
            Err(error) => return Waited::End(Some(error)),
        }
        Waited::Bytes
    }
}
