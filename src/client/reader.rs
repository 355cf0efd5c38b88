//! The receiving half of a client: bytes from the socket into messages, and the
//! client's part in the closing handshake.
//!
//! ```text
//!             ┌─ Hungry: arrive() ─┐
//!             ▼                    │          Close           server drops TCP,
//!   Open ── decode() ──────────────┴──────────────────▶ end() ─────────────────▶ Clean
//!    │          └── a rule broken, our Close sent ────▶ end() ──or its time ───▶ Failed
//!    └── TCP ended before a Close came ────────────────────────────────────────▶ Lost
//! ```
//!
//! Bytes come through one buffer of 64 KiB, as many as one read gives; a message
//! that lies whole in it is not copied before it is handed out. Replies that
//! the protocol asks for are written when an event is handed out and before each
//! wait, and never waited for: what the kernel does not take at once is tried
//! again every [`REPLY_RETRY`], unless a writer is at work, which takes it along.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::error::{ClientError, Step};
use super::shared::{Protocol, Shared};
use super::stream::is_timeout;
use super::{Ended, FirstClose};
use crate::websocket::frame::{CloseCode, CloseReason};
use crate::websocket::{Event, Message, OwnedMessage, ProtocolError};

/// What one read can bring.
const BUFFER_BYTES: usize = 64 << 10;

/// How soon a reply is tried again that the kernel had no room for.
const REPLY_RETRY: Duration = Duration::from_millis(20);

/// The receiving half of a [`Client`](super::Client).
///
/// Keep reading, also when no message is expected: reading is what answers the
/// server's pings and its Close.
#[derive(Debug)]
pub struct Reader {
    shared: Arc<Shared>,
    /// `buffer[start..end]` has arrived and is not decoded; 0 ≤ start ≤ end ≤ 64 KiB.
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
    read_timeout: Option<Duration>,
    /// What the socket's read timeout is set to.
    socket_timeout: Option<Duration>,
    /// Another half lives, which may begin the closing handshake while this one
    /// sleeps in a read.
    shares: bool,
    progress: Progress,
    /// Where [`Reader::read_with`] keeps its message while the lock is free.
    kept: Kept,
}

/// How far the reader has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    /// Messages may come.
    Open,
    /// The closing handshake was completed, and TCP has ended.
    Clean,
    /// The server broke a rule.
    Failed(ProtocolError),
    /// TCP has ended, and no Close had come.
    Lost,
}

/// What the bytes that are here amount to.
enum Decoded<R> {
    /// An event that the caller wanted.
    Wanted(R),
    /// Nothing yet: more bytes are needed.
    Hungry,
    /// The server's Close.
    Close,
    /// The server broke a rule.
    Broken(ProtocolError),
}

/// What a wait for bytes ended in.
enum Arrival {
    Bytes,
    End(Option<io::Error>),
    /// The caller's deadline has come.
    Late,
    /// The deadline of the closing handshake has come.
    LateClose,
}

/// A copy of one event; the buffers are used again for the next.
#[derive(Debug, Default)]
struct Kept {
    text: String,
    bytes: Vec<u8>,
}

/// Which event a [`Kept`] holds.
#[derive(Clone, Copy, Debug)]
enum KeptKind {
    Text,
    Binary,
    Ping,
    Pong,
}

impl Reader {
    /// `surplus`: what came behind the head of the opening handshake.
    pub(super) fn new(
        shared: Arc<Shared>,
        surplus: &[u8],
        read_timeout: Option<Duration>,
    ) -> Reader {
        let mut buffer = vec![0; BUFFER_BYTES.max(surplus.len())].into_boxed_slice();
        buffer[..surplus.len()].copy_from_slice(surplus);
        Reader {
            shared,
            buffer,
            start: 0,
            end: surplus.len(),
            read_timeout,
            socket_timeout: None,
            shares: false,
            progress: Progress::Open,
            kept: Kept::default(),
        }
    }

    /// From now on another half may begin the closing handshake.
    pub(super) fn shares(self) -> Reader {
        Reader {
            shares: true,
            ..self
        }
    }

    /// Waits for the next message. `None`: the closing handshake is done and TCP
    /// has ended; [`Reader::ended`] tells by whom and why.
    ///
    /// # Errors
    /// As [`Client::read`](super::Client::read).
    pub fn read(&mut self) -> Result<Option<OwnedMessage>, ClientError> {
        self.next(self.deadline(), |event| {
            event.message().map(Message::into_owned)
        })
    }

    /// Waits for the next event and lends it to `handle`: a text, a binary
    /// message, a ping (answered already) or a pong. `None`: as [`Reader::read`].
    ///
    /// The message is copied once, into a buffer that is used again and again, so
    /// that `handle` may take its time and may use the [`Writer`](super::Writer).
    ///
    /// # Errors
    /// As [`Client::read`](super::Client::read).
    pub fn read_with<R>(
        &mut self,
        handle: impl FnOnce(Event<'_>) -> R,
    ) -> Result<Option<R>, ClientError> {
        let mut kept = std::mem::take(&mut self.kept);
        let kind = self.next(self.deadline(), |event| kept.keep(event));
        self.kept = kept;
        Ok(kind?.map(|kind| handle(self.kept.lend(kind))))
    }

    /// Waits for the next event and lends it to `handle` straight out of the
    /// buffer. The lock is held meanwhile.
    pub(super) fn lend<R>(
        &mut self,
        handle: impl FnOnce(Event<'_>) -> R,
    ) -> Result<Option<R>, ClientError> {
        let mut handle = Some(handle);
        self.next(self.deadline(), |event| {
            handle.take().map(|handle| handle(event))
        })
    }

    /// The closing handshake, from this half: sends a Close, reads until the
    /// server's (its last messages are dropped unseen), and waits until the server
    /// has dropped TCP. Bounded by the close timeout.
    ///
    /// # Errors
    /// [`ClientError::Send`]: the reason has more than 123 bytes. Everything else
    /// that goes wrong is in the [`Ended`].
    pub fn close(&mut self, code: CloseCode, reason: &str) -> Result<Ended, ClientError> {
        self.shared.start_close(CloseReason { code, reason })?;
        while let Ok(Some(())) = self.next(None, |_| None) {}
        Ok(self.ended().unwrap_or(Ended::LOST))
    }

    /// How the connection has ended; `None` while it has not.
    pub fn ended(&self) -> Option<Ended> {
        self.shared.ended()
    }

    /// How long a read may wait for a message from now on; `None`: forever.
    pub fn set_read_timeout(&mut self, timeout: Option<Duration>) {
        self.read_timeout = timeout;
    }

    fn deadline(&self) -> Option<Instant> {
        self.read_timeout
            .and_then(|timeout| Instant::now().checked_add(timeout))
    }

    /// The next event for which `handle` gives something.
    fn next<R>(
        &mut self,
        deadline: Option<Instant>,
        mut handle: impl FnMut(Event<'_>) -> Option<R>,
    ) -> Result<Option<R>, ClientError> {
        loop {
            match self.progress {
                Progress::Open => {}
                Progress::Clean => return Ok(None),
                Progress::Failed(error) => return Err(ClientError::Protocol(error)),
                Progress::Lost => return Err(ClientError::Lost(None)),
            }
            match self.decode(&mut handle) {
                Decoded::Wanted(result) => return Ok(Some(result)),
                Decoded::Hungry => self.fill(deadline)?,
                Decoded::Close => self.end(Progress::Clean),
                Decoded::Broken(error) => self.end(Progress::Failed(error)),
            }
        }
    }

    /// Decodes what has arrived, up to an event that the caller wants.
    fn decode<R>(&mut self, handle: &mut impl FnMut(Event<'_>) -> Option<R>) -> Decoded<R> {
        let mut protocol = self.shared.lock();
        let Protocol {
            connection,
            outgoing,
            ..
        } = &mut *protocol;
        let mut input = &mut self.buffer[self.start..self.end];
        loop {
            let received = connection.receive(&mut input, &mut outgoing.bytes);
            self.start = self.end - input.len();
            let event = match received {
                Err(error) => return Decoded::Broken(error),
                Ok(None) => return Decoded::Hungry,
                Ok(Some(Event::Close(_))) => {
                    protocol.closing(FirstClose::Server, self.shared.close_timeout);
                    return Decoded::Close;
                }
                Ok(Some(event)) => event,
            };
            // A burst of pings is answered by one write.
            if input.is_empty() || !matches!(event, Event::Ping(_)) {
                outgoing.flush_now(&self.shared.stream);
            }
            if let Some(result) = handle(event) {
                return Decoded::Wanted(result);
            }
        }
    }

    /// More bytes for the decoder, or the reason why there are none.
    fn fill(&mut self, deadline: Option<Instant>) -> Result<(), ClientError> {
        let error = match self.arrive(deadline) {
            Arrival::Bytes => return Ok(()),
            Arrival::Late => return Err(ClientError::TimedOut(Step::Read)),
            Arrival::LateClose => ClientError::TimedOut(Step::ClosingHandshake),
            //= https://www.rfc-editor.org/rfc/rfc6455#section-7.2.1
            //# If at any point the underlying transport layer connection is
            //# unexpectedly lost, the client MUST _Fail the WebSocket Connection_.
            Arrival::End(cause) => ClientError::Lost(cause),
        };
        self.progress = Progress::Lost;
        self.shared.hang_up();
        Err(error)
    }

    /// The last Close has come, or ours tells the server what it did wrong: that
    /// is sent, and then the server's end of TCP is awaited. Bytes that still
    /// come are dropped.
    //= https://www.rfc-editor.org/rfc/rfc6455#section-7.1.1
    //# when a client is instructed to do the same, it SHOULD wait for a TCP Close from the server
    fn end(&mut self, progress: Progress) {
        self.progress = progress;
        let close_timeout = self.shared.close_timeout;
        self.shared
            .lock()
            .closing(FirstClose::Client, close_timeout);
        //= https://www.rfc-editor.org/rfc/rfc6455#section-7.1.1
        //# An endpoint SHOULD use a method that cleanly closes the TCP connection, as
        //# well as the TLS session, if applicable, discarding any trailing bytes
        //# that may have been received.
        while let Arrival::Bytes = self.arrive(None) {}
        //= https://www.rfc-editor.org/rfc/rfc6455#section-5.5.1
        //# the client SHOULD wait for the server to close the connection but MAY close
        //# the connection at any time after sending and receiving a Close message
        self.shared.hang_up();
    }

    /// Waits for bytes until a deadline comes. Whoever waits also sends the
    /// replies that have not been sent.
    fn arrive(&mut self, deadline: Option<Instant>) -> Arrival {
        loop {
            let (replies_wait, close_deadline) = self.flush_replies();
            if is_past(deadline) {
                return Arrival::Late;
            }
            if is_past(close_deadline) {
                return Arrival::LateClose;
            }
            let naps = [
                deadline.map(from_now),
                close_deadline.map(from_now),
                replies_wait.then_some(REPLY_RETRY),
                // A Close that another half sends while this one sleeps has a
                // deadline that is no nearer than this.
                self.shares.then_some(self.shared.close_timeout),
            ];
            match self.read_socket(naps.into_iter().flatten().min()) {
                Ok(0) => return Arrival::End(None),
                Ok(arrived) => {
                    (self.start, self.end) = (0, arrived);
                    return Arrival::Bytes;
                }
                Err(error) if is_timeout(&error) => {}
                Err(error) => return Arrival::End(Some(error)),
            }
        }
    }

    /// Sends the replies that the kernel takes at once. Returns whether some are
    /// left that nobody else will send, and the deadline of the closing handshake.
    fn flush_replies(&self) -> (bool, Option<Instant>) {
        let mut protocol = self.shared.lock();
        let Protocol {
            connection,
            outgoing,
            ..
        } = &mut *protocol;
        outgoing.flush_now(&self.shared.stream);
        connection.resume_replies(&mut outgoing.bytes);
        outgoing.flush_now(&self.shared.stream);
        (outgoing.is_left_waiting(), protocol.close_deadline())
    }

    /// One read that waits no longer than `nap`. Setting the timeout costs a
    /// system call, so it is set only when it changes.
    fn read_socket(&mut self, nap: Option<Duration>) -> io::Result<usize> {
        if nap != self.socket_timeout {
            self.shared.stream.set_read_timeout(nap)?;
            self.socket_timeout = nap;
        }
        self.shared.stream.read(&mut self.buffer)
    }
}

impl Kept {
    /// Copies an event. (A Close is none that is lent.)
    fn keep(&mut self, event: Event<'_>) -> Option<KeptKind> {
        let (kind, bytes) = match event {
            Event::Text(text) => {
                self.text.clear();
                self.text.push_str(text);
                return Some(KeptKind::Text);
            }
            Event::Binary(bytes) => (KeptKind::Binary, bytes),
            Event::Ping(payload) => (KeptKind::Ping, payload),
            Event::Pong(payload) => (KeptKind::Pong, payload),
            Event::Close(_) => return None,
        };
        self.bytes.clear();
        self.bytes.extend_from_slice(bytes);
        Some(kind)
    }

    fn lend(&self, kind: KeptKind) -> Event<'_> {
        match kind {
            KeptKind::Text => Event::Text(&self.text),
            KeptKind::Binary => Event::Binary(&self.bytes),
            KeptKind::Ping => Event::Ping(&self.bytes),
            KeptKind::Pong => Event::Pong(&self.bytes),
        }
    }
}

fn is_past(deadline: Option<Instant>) -> bool {
    deadline.is_some_and(|deadline| deadline <= Instant::now())
}

/// Rounded up to whole milliseconds: the kernel is no more exact, and so a read
/// timeout that stays the same is not set anew for each read.
fn from_now(deadline: Instant) -> Duration {
    let rest = deadline.saturating_duration_since(Instant::now());
    let milliseconds = rest.as_nanos().div_ceil(1_000_000);
    Duration::from_millis(u64::try_from(milliseconds).unwrap_or(u64::MAX))
}
