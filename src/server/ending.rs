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
//! the client is slow to take), and in bytes.

use super::config::CLOSING_BYTES_MAX;
use super::recipient::flush_write_queue;
use crate::broadcast::WriteQueue;
use crate::reactor::{Io, SocketKey};
use std::time::Duration;

/// A connection whose last bytes are on their way out.
pub(super) struct Ending {
    queue: WriteQueue,
    /// The client has sent FIN, so that only writing is left.
    client_ended: bool,
    has_sent_fin: bool,
    discarded_bytes: u32,
}

impl Ending {
    /// `queue`: the last bytes.
    pub(super) fn new(queue: WriteQueue) -> Ending {
        Ending {
            queue,
            client_ended: false,
            has_sent_fin: false,
            discarded_bytes: 0,
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
        io.set_deadline(key, io.now().plus(close_timeout));
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
    pub(super) fn discard(&mut self, bytes: usize) -> Fate {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        self.discarded_bytes = self.discarded_bytes.saturating_add(bytes);
        match self.discarded_bytes > CLOSING_BYTES_MAX {
            true => Fate::Close,
            false => Fate::Stay,
        }
    }
}

/// What happens to the socket next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(super) enum Fate {
    Stay,
    Close,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn input_after_the_end_is_discarded_up_to_the_limit_and_closes_the_socket_one_past_it() {
        let mut ending = Ending::new(WriteQueue::new());
        assert_eq!(ending.discard(CLOSING_BYTES_MAX as usize - 1), Fate::Stay);
        assert_eq!(ending.discard(1), Fate::Stay);
        assert_eq!(ending.discard(1), Fate::Close);
    }
}
