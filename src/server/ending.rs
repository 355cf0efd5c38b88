//! The end of a connection: the last bytes arrive.
//!
//! The server writes the remaining bytes, sends FIN, and then reads and discards what the client still sends until its FIN
//! comes. Closing a socket with unread input makes the kernel send RST, which can discard the response or the Close before the
//! client reads it.
//!
//! ```text
//!   server                                    client
//!   Close or HTTP response ───────────────▶
//!   FIN ──────────────────────────────────▶   reads both, then sends its own FIN
//!   discards input ◀───────────────────────   what was on its way
//!   closes the socket ◀────────────────────   FIN
//! ```
//!
//! All of it is limited: in time ([`Config::close_timeout`](super::Config) for each of these steps, and for each write that
//! the client is slow to take), in bytes, and in bytes for each millisecond. Nobody waits for discarded bytes. But a client on this machine or
//! a fast network sends them as fast as they are read, and a read of 64 KiB takes up to 100 µs, because the kernel puts the next bytes in
//! their place meanwhile. So the socket is read 64 KiB at a time, with a millisecond in between:
//!
//! ```text
//!            64 KiB since the last pause             1 ms
//!   reading ────────────────────────────▶ paused ───────────▶ reading
//! ```

use super::config::CLOSING_BYTES_MAX;
use super::recipient::flush_write_queue;
use crate::broadcast::WriteQueue;
use crate::reactor::{Io, SocketKey};
use crate::time::Timestamp;
use std::time::Duration;

/// A connection whose last bytes are on their way out.
pub(super) struct Ending {
    queue: WriteQueue,
    /// The client has sent FIN, so that only writing is left.
    client_ended: bool,
    has_sent_fin: bool,
    discarded: Discarded,
    /// The time for this step is over then.
    ends_at: Timestamp,
    /// The socket is not read before that.
    paused_until: Option<Timestamp>,
}

impl Ending {
    /// `queue`: the last bytes.
    pub(super) fn new(queue: WriteQueue) -> Ending {
        Ending {
            queue,
            client_ended: false,
            has_sent_fin: false,
            discarded: Discarded::default(),
            ends_at: Timestamp(0),
            paused_until: None,
        }
    }

    /// The same where the client has sent FIN already.
    pub(super) fn after_client(queue: WriteQueue) -> Ending {
        Ending {
            client_ended: true,
            ..Ending::new(queue)
        }
    }

    /// Reads on, to discard it, and writes.
    //= https://www.rfc-editor.org/rfc/rfc6455#section-7.1.1
    //# An endpoint SHOULD use a method that cleanly closes the TCP connection,
    //# as well as the TLS session, if applicable, discarding any trailing bytes
    //# that may have been received.
    pub(super) fn begin(&mut self, io: &mut Io, key: SocketKey, close_timeout: Duration) -> Fate {
        if !self.client_ended {
            io.resume_reading(key);
        }
        self.write(io, key, close_timeout)
    }

    /// Writes what the socket takes. Sends FIN when all is written.
    //= https://www.rfc-editor.org/rfc/rfc6455#section-5.5.1
    //# The server MUST close the underlying TCP connection immediately
    //= https://www.rfc-editor.org/rfc/rfc6455#section-7.1.1
    //# The underlying TCP connection, in most normal cases, SHOULD be closed
    //# first by the server
    //= https://www.rfc-editor.org/rfc/rfc6455#section-7.1.1
    //# when a server is
    //# instructed to _Close the WebSocket Connection_ it SHOULD initiate
    //# a TCP Close immediately
    pub(super) fn write(&mut self, io: &mut Io, key: SocketKey, close_timeout: Duration) -> Fate {
        flush_write_queue(io, key, &mut self.queue);
        if self.queue.is_empty() {
            if !std::mem::replace(&mut self.has_sent_fin, true) {
                io.shutdown_write(key);
            }
            // What TLS has sealed goes out first.
            if self.client_ended && !io.has_sealed(key) {
                return Fate::Close;
            }
        }
        self.ends_at = io.now().plus(close_timeout);
        self.set_timer(io, key);
        Fate::Stay
    }

    /// The client has sent FIN. It may still be reading.
    pub(super) fn client_ended(
        &mut self,
        io: &mut Io,
        key: SocketKey,
        close_timeout: Duration,
    ) -> Fate {
        self.client_ended = true;
        self.write(io, key, close_timeout)
    }

    /// Whether all is written, and only the end of the client's input is awaited.
    pub(super) fn is_written(&self) -> bool {
        self.queue.is_empty()
    }

    /// Discards input.
    pub(super) fn discard(&mut self, io: &mut Io, key: SocketKey, bytes: usize) -> Fate {
        match self.discarded.add(bytes) {
            Next::Read => Fate::Stay,
            Next::Pause => {
                io.pause_reading(key);
                self.paused_until = Some(io.now().plus(DISCARD_PAUSE));
                self.set_timer(io, key);
                Fate::Stay
            }
            Next::Close => Fate::Close,
        }
    }

    /// The socket's deadline has come: a pause is over, or the time for this step.
    pub(super) fn timed_out(&mut self, io: &mut Io, key: SocketKey) -> Fate {
        if io.now() >= self.ends_at {
            return Fate::Close;
        }
        self.paused_until = None;
        io.resume_reading(key);
        self.set_timer(io, key);
        Fate::Stay
    }

    fn set_timer(&self, io: &mut Io, key: SocketKey) {
        let paused_until = self.paused_until.unwrap_or(self.ends_at);
        io.set_deadline(key, self.ends_at.min(paused_until));
    }
}

/// The bytes of one client that were discarded.
#[derive(Default)]
struct Discarded {
    bytes: u32,
    since_pause: u32,
}

impl Discarded {
    fn add(&mut self, bytes: usize) -> Next {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        self.bytes = self.bytes.saturating_add(bytes);
        self.since_pause = self.since_pause.saturating_add(bytes);
        if self.bytes > CLOSING_BYTES_MAX {
            return Next::Close;
        }
        if self.since_pause < DISCARDED_AT_ONCE {
            return Next::Read;
        }
        self.since_pause = 0;
        Next::Pause
    }
}

/// What follows when bytes were discarded.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    Read,
    Pause,
    Close,
}

/// What happens to the socket next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(super) enum Fate {
    Stay,
    Close,
}

/// What is discarded before a pause: what a turn reads of it.
const DISCARDED_AT_ONCE: u32 = 64 << 10;

/// How long a pause is. All of the bytes that are discarded at most take a second, and the client has
/// [`Config::close_timeout`](super::Config).
const DISCARD_PAUSE: Duration = Duration::from_millis(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn input_after_the_end_is_discarded_up_to_the_limit_and_closes_the_socket_one_past_it() {
        let mut discarded = Discarded::default();
        assert_ne!(discarded.add(CLOSING_BYTES_MAX as usize - 1), Next::Close);
        assert_ne!(discarded.add(1), Next::Close);
        assert_eq!(discarded.add(1), Next::Close);
    }

    #[test]
    fn pause_follows_64_kib_that_were_discarded_and_not_one_byte_less() {
        let mut discarded = Discarded::default();
        for _ in 0..3 {
            assert_eq!(discarded.add(DISCARDED_AT_ONCE as usize - 1), Next::Read);
            assert_eq!(discarded.add(1), Next::Pause);
        }
    }
}
